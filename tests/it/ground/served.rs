//! File systems that another program serves: USB sticks (exFAT, NTFS), a folder mounted a second time, and a folder
//! behind sshfs, over a pipe. Each holds a session from the first pass to the export, and keeps what a killed program
//! left. Thread: test.

use super::{one_more, recording};
use crate::util::{PATIENCE, check, contents, edit, faultless, is_root, place, record, run, skip};
use crate::waiting::{HELPER, ended, is_mounted, kill, succeeds, unmount};
use faultless::session::TakeState;
use faultless::session::session_file::open_read_only;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A mounted file system. Dropping it unmounts the file system.
pub(super) struct Mounted {
    at: PathBuf,
    device: Option<String>,
    server: Option<Child>,
    /// The folder that holds the mount point. It is removed after the unmount.
    place: Option<TempDir>,
}

impl Mounted {
    /// A file system that the caller has mounted at `at`.
    pub(super) fn at(at: &Path) -> Mounted {
        Mounted { at: at.to_owned(), device: None, server: None, place: None }
    }

    fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.at);
        if let Some(device) = &self.device {
            ran("losetup", &[Path::new("-d"), Path::new(device)]);
        }
        if let Some(server) = &mut self.server {
            // The other end is gone, so the server usually has ended already.
            kill(server);
        }
    }
}

fn ran(program: &str, arguments: &[&Path]) -> bool {
    succeeds(Command::new(program).args(arguments))
}

fn has(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("PATH=$PATH:/usr/sbin:/sbin; command -v {program}")])
        .output()
        .is_ok_and(|found| found.status.success())
}

/// A file system in an image behind a loop device, made by `make IMAGE` and mounted by `mount DEVICE DIR`.
fn image(make: &[&str], mount: &str) -> Option<Mounted> {
    if ![make[0], mount].into_iter().all(has) || !Path::new("/dev/fuse").exists() {
        return None;
    }
    let place = place();
    let (image, at) = (place.path().join("image"), place.path().join("disk"));
    fs::create_dir(&at).ok()?;
    fs::File::create(&image).ok()?.set_len(700 << 20).ok()?;
    let made = Command::new(make[0]).args(&make[1..]).arg(&image).stdout(Stdio::null()).stderr(Stdio::null()).status();
    made.ok().filter(std::process::ExitStatus::success)?;
    let found = Command::new("losetup").args(["-f", "--show"]).arg(&image).output().ok()?;
    let device = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    if !device.starts_with("/dev/") {
        return None;
    }
    ran(mount, &[Path::new(&device), &at]);
    let mounted = Mounted { at, device: Some(device), server: None, place: Some(place) };
    is_mounted(mounted.path()).then_some(mounted)
}

/// Records, plays, exports, kills and recovers on this disk. `names` are names of tracks, `words` must be printed at
/// the start.
fn holds_a_session(disk: &Path, tracks: usize, names: [&str; 4], words: &str) {
    let folder = disk.join("session");
    let arguments = format!("--device virtual:free --inputs {tracks} --seconds 1");
    let told = run(record(&folder, &arguments)).done();
    assert!(told.err.contains(words), "{}", told.err);
    edit(&folder, |session| {
        let ids: Vec<_> = session.track_ids().collect();
        for (id, name) in ids.into_iter().zip(names) {
            session.track_mut(id).unwrap().rename(name);
        }
    });
    run(record(&folder, &arguments)).done();
    let found = check(&folder);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|pass| (pass.takes, pass.frames, pass.lost) == (tracks, 48_000, 0)), "{found:?}");
    assert!(fs::read_dir(folder.join("history")).unwrap().count() > 2, "versions are kept");
    let played = run(faultless("play", &folder, "--device virtual:free --json")).done().json();
    assert_eq!((&played["dropouts"], &played["frames"]), (&0.into(), &48_000.into()));
    for more in ["", "--mix"] {
        let to = disk.join(format!("to{more}"));
        let export = || faultless("export", &folder, &format!("--to {} {more}", to.display()));
        run(export()).done();
        let before = contents(&to);
        assert_eq!(before.len(), if more.is_empty() { tracks } else { 1 });
        run(export()).refused(&["the file exists"]);
        assert!(before == contents(&to), "an export that was refused has changed files");
    }
    // A take moves to the trash.
    edit(&folder, |session| {
        let id = session.takes()[0].id;
        session.trash_take(id).unwrap();
    });
    run(one_more(&folder)).done();
    assert_eq!(fs::read_dir(folder.join("trash")).unwrap().count(), 1);
    killed_and_recovered(&disk.join("killed"), tracks);
}

fn killed_and_recovered(folder: &Path, tracks: usize) {
    let program = recording(folder, tracks);
    run(one_more(folder)).refused(&["open in another program"]);
    std::thread::sleep(Duration::from_millis(700));
    program.signal("KILL");
    program.wait(PATIENCE);
    run(faultless("recover", folder, "--json")).done();
    let found = check(folder)[0];
    assert_eq!((found.takes, found.lost), (tracks, 0));
    assert!(open_read_only(folder).unwrap().takes().iter().all(|take| take.state == TakeState::Recovered));
}

/// Names that Windows refuses, and two that differ only in case.
const BAD_NAMES: [&str; 4] = ["Gtr", "gtr", "a:b?*\"<>|\\.", "Zoë 歌 🎤."];

#[test]
fn root_exfat_holds_a_session() {
    assert!(is_root());
    match image(&["mkfs.exfat"], "mount.exfat-fuse") {
        Some(disk) => holds_a_session(disk.path(), 24, BAD_NAMES, "fuseblk is served by another program"),
        None => skip("root_exfat", "needs mount.exfat-fuse, mkfs.exfat and /dev/fuse"),
    }
}

#[test]
fn root_ntfs_holds_a_session() {
    assert!(is_root());
    match image(&["mkfs.ntfs", "-q", "-F", "-f"], "ntfs-3g") {
        Some(disk) => holds_a_session(disk.path(), 24, BAD_NAMES, "fuseblk is served by another program"),
        None => skip("root_ntfs", "needs ntfs-3g and /dev/fuse"),
    }
}

#[test]
fn root_bindfs_holds_a_session() {
    assert!(is_root());
    if !has("bindfs") || !Path::new("/dev/fuse").exists() {
        return skip("root_bindfs", "needs bindfs and /dev/fuse");
    }
    let place = place();
    let (source, at) = (place.path().join("source"), place.path().join("bound"));
    fs::create_dir_all(&source).unwrap();
    fs::create_dir_all(&at).unwrap();
    if !ran("bindfs", &[&source, &at]) {
        return skip("root_bindfs", "bindfs refused");
    }
    let mut disk = Mounted::at(&at);
    disk.place = Some(place);
    holds_a_session(disk.path(), 24, BAD_NAMES, "is served by another program");
}

#[test]
fn root_sshfs_holds_a_session() {
    const SERVER: &str = "/usr/lib/openssh/sftp-server";
    assert!(is_root());
    if !has("sshfs") || !Path::new(SERVER).exists() || !Path::new("/dev/fuse").exists() {
        return skip("root_sshfs", "needs sshfs, sftp-server and /dev/fuse");
    }
    let place = place();
    let (source, at) = (place.path().join("source"), place.path().join("far"));
    fs::create_dir_all(&source).unwrap();
    fs::create_dir_all(&at).unwrap();
    // Without a network: each program's output is the other's input.
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let ends = |end: &std::os::unix::net::UnixStream| {
        let copy = || std::os::fd::OwnedFd::from(end.try_clone().unwrap());
        (Stdio::from(copy()), Stdio::from(copy()))
    };
    let (input, output) = ends(&far);
    let server = Command::new(SERVER).stdin(input).stdout(output).stderr(Stdio::null()).spawn().unwrap();
    let (input, output) = ends(&near);
    let mut client = Command::new("sshfs");
    client.args(["-f", "-o", "passive"]).arg(format!(":{}", source.display())).arg(&at);
    let mut client = client.stdin(input).stdout(output).stderr(Stdio::null()).spawn().unwrap();
    let mut disk = Mounted::at(&at);
    (disk.server, disk.place) = (Some(server), Some(place));
    let until = Instant::now() + Duration::from_secs(10);
    while !is_mounted(disk.path()) {
        if until < Instant::now() {
            kill(&mut client);
            return skip("root_sshfs", "sshfs refused");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    holds_a_session(disk.path(), 24, BAD_NAMES, "fuse.sshfs is across a network");
    drop(disk);
    if ended(&mut client, HELPER).is_none() {
        kill(&mut client);
    }
}

#[test]
fn root_bindfs_that_ends_in_mid_take_costs_no_frame() {
    assert!(is_root());
    if !has("bindfs") || !Path::new("/dev/fuse").exists() {
        return skip("root_bindfs_that_ends", "needs bindfs and /dev/fuse");
    }
    let place = place();
    let (source, at) = (place.path().join("source"), place.path().join("bound"));
    fs::create_dir_all(&source).unwrap();
    fs::create_dir_all(&at).unwrap();
    let mut server = Command::new("bindfs").arg("-f").args([&source, &at]).spawn().unwrap();
    let _mounted = Mounted::at(&at);
    let until = Instant::now() + Duration::from_secs(10);
    while !is_mounted(&at) {
        assert!(Instant::now() < until, "bindfs refused");
        std::thread::sleep(Duration::from_millis(50));
    }
    let program = recording(&at.join("session"), 4);
    kill(&mut server);
    std::thread::sleep(Duration::from_millis(1500));
    program.signal("TERM");
    let told = program.wait(PATIENCE);
    assert_eq!(told.code, Some(1), "{}", told.err);
    assert!(told.err.contains("what is missing is kept in"), "{}", told.err);
    // Recovery uses another path to the same folder, as when it is mounted again.
    let folder = source.join("session");
    run(faultless("recover", &folder, "")).done();
    let found = check(&folder)[0];
    assert_eq!((found.takes, Some(found.frames), found.lost), (4, told.json()["frames"].as_u64(), 0));
}
