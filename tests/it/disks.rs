//! Disks that are full, stall or fail under 24 tracks: every take stays valid, nothing is lost while the spool has
//! memory, takes continue in the overflow folder without a gap, and a mirror becomes complete. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::record::{record_through, setup};
use crate::recovery::await_frames;
use crate::util::{DEEP, Image, PATIENCE, Run, check, faultless, place, read_wav, record, run, start, stress_script};
use faultless::control::{Control, Severity};
use faultless::device::signal::ramp;
use faultless::format::TakeFormat;
use faultless::session::TakeState;
use faultless::session::session_file::open_read_only;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// Fills a disk until `left` bytes are free. Removing the returned file frees them again.
pub(crate) fn fill(disk: &Path, left: u64) -> PathBuf {
    let filler = disk.join("filler");
    let file = File::create(&filler).unwrap();
    let free = || {
        let stat = nix::sys::statvfs::statvfs(disk).unwrap();
        // Root may also use the blocks that are reserved for root.
        stat.blocks_free() * stat.fragment_size()
    };
    let (mut at, mut piece) = (0, 64 * MIB);
    while MIB / 4 < piece {
        let wanted = free().saturating_sub(left).min(piece) as i64;
        let flags = nix::fcntl::FallocateFlags::empty();
        match nix::fcntl::fallocate(&file, flags, at, wanted.max(1)) {
            Ok(()) if wanted > 1 => at += wanted,
            _ => piece /= 2,
        }
    }
    file.sync_all().unwrap();
    filler
}

/// A random number below `below`.
fn any(below: u64) -> u64 {
    uuid::Uuid::new_v4().as_u128() as u64 % below
}

/// Checks that every take of a session opens and is the ramp as far as its header goes. Returns the frames of the
/// shortest.
#[track_caller]
pub(crate) fn valid(folder: &Path) -> u64 {
    let session = open_read_only(folder).unwrap();
    let mut shortest = u64::MAX;
    for take in session.takes() {
        let (_, samples) = read_wav(&folder.join(take.path()));
        let input = u64::from(take.inputs[0]);
        let step = input * faultless::device::signal::RAMP_CHANNEL_STEP;
        let first = samples.first().map_or(0, |first| ((i64::from(*first) + (1 << 23)) as u64).wrapping_sub(step));
        let wrong = samples.iter().zip(first..).position(|(sample, frame)| *sample != ramp(frame, input));
        assert_eq!(wrong, None, "{}: {} frames", take.path(), samples.len());
        shortest = shortest.min(samples.len() as u64);
    }
    shortest
}

#[track_caller]
fn whole(folder: &Path, takes: usize, frames: u64) {
    let found = check(folder)[0];
    assert_eq!((found.takes, found.frames, found.lost), (takes, frames, 0), "{}", folder.display());
}

/// Checks that the audio thread had no page fault, no wait, no xrun and no loss.
#[track_caller]
fn untroubled(run: &Run) -> Value {
    let found = run.json();
    let thread = &found["audio_thread"];
    for count in ["minor_faults", "major_faults", "voluntary_switches"] {
        assert_eq!(thread[count], 0, "{count}: {found}\n{}", run.err);
    }
    assert_eq!((&found["frames_lost"], &found["xruns"]), (&0.into(), &0.into()), "{}", run.err);
    found
}

fn recording(folder: &Path, seconds: u64, arguments: &str) -> Command {
    record(folder, &format!("--device virtual --inputs 24 --seconds {seconds} {DEEP} {arguments}"))
}

#[test]
fn root_full_disks_of_10_sizes_on_ext4_leave_valid_takes_and_lose_nothing() {
    full_disks("ext4");
}

#[test]
fn root_full_disks_of_10_sizes_on_xfs_leave_valid_takes_and_lose_nothing() {
    full_disks("xfs");
}

/// Records on disks of file system `name` that have room for a part of the recording, until ten were full.
fn full_disks(name: &str) {
    let image = Image::up(name, "400M");
    let (mut rounds, mut tries, mut left) = (10, 0, 6 * MIB);
    while rounds > 0 {
        tries += 1;
        assert!(tries < 40, "{name}: no size is too small and large enough");
        let folder = image.path().join("session");
        let filler = fill(image.path(), left + any(8 * MIB));
        let run = run(recording(&folder, 6, ""));
        if open_read_only(&folder).map_or(0, |session| session.takes().len()) == 0 {
            // The disk is so full that the recording is refused before it begins.
            assert!(run.code == Some(1) && run.err.contains("space") || run.err.contains("full"), "{}", run.err);
            left += 4 * MIB;
        } else if run.code == Some(0) {
            // The whole recording fitted.
            whole(&folder, 24, 288_000);
            left = left.saturating_sub(2 * MIB);
        } else {
            rounds -= 1;
            assert!(run.err.contains("the disk is full"), "{name}: {}", run.err);
            assert!(run.err.contains("has room for"), "{name}: it was not told before\n{}", run.err);
            untroubled(&run);
            valid(&folder);
        }
        // The rest of the recording waits in memory.
        fs::remove_file(filler).unwrap();
        if run.code == Some(1) && open_read_only(&folder).is_ok_and(|session| !session.takes().is_empty()) {
            crate::util::run(faultless("recover", &folder, "")).done();
            whole(&folder, 24, 288_000);
        }
        fs::remove_dir_all(folder).ok();
    }
}

#[test]
fn root_room_that_is_made_in_time_is_used_and_nothing_is_missing() {
    let image = Image::up("ext4", "400M");
    let folder = image.path().join("session");
    let filler = fill(image.path(), 8 * MIB);
    let program = start(recording(&folder, 9, ""));
    std::thread::sleep(Duration::from_millis(6500));
    fs::remove_file(filler).unwrap();
    let run = program.wait(PATIENCE).done();
    untroubled(&run);
    assert!(run.err.contains("the disk takes sound again"), "{}", run.err);
    whole(&folder, 24, 432_000);
    assert_eq!(open_read_only(&folder).unwrap().takes().len(), 24, "in one file each");
}

/// Makes a disk refuse sound in the middle of a take.
type Refusal = fn(&Image);

/// The disk was nearly full before, so nothing is to be done.
fn full(_: &Image) {}

/// Makes the kernel find the file system damaged, so that it becomes read-only.
fn broken(image: &Image) {
    let source = Command::new("findmnt").args(["-no", "SOURCE"]).arg(image.path()).output().unwrap().stdout;
    let device = PathBuf::from(String::from_utf8(source).unwrap().trim());
    let trigger = Path::new("/sys/fs/ext4").join(device.file_name().unwrap()).join("trigger_fs_error");
    image.remount("errors=remount-ro");
    fs::write(trigger, "1").unwrap();
}

fn over_quota(image: &Image) {
    for arguments in [vec!["quota", "enable"], vec!["quota", "rescan", "-w"], vec!["qgroup", "limit", "30M"]] {
        let done = Command::new("btrfs").args(&arguments).arg(image.path()).output().unwrap();
        assert!(done.status.success(), "{arguments:?} {done:?}");
    }
}

fn over_quota_no_more(image: &Image) {
    assert!(Command::new("btrfs").args(["quota", "disable"]).arg(image.path()).status().unwrap().success());
}

/// A disk refuses sound. The takes continue in the overflow folder without a gap and are played as if nothing had
/// happened.
fn continues_in_overflow(fs: &str, refusal: Refusal, words: &str) {
    let (image, place) = (Image::up(fs, "400M"), place());
    let folder = image.path().join("session");
    let other = place.path().join("other disk");
    let filler = (refusal as *const () == full as *const ()).then(|| fill(image.path(), 9 * MIB));
    let mut command = recording(&folder, 9, "--overflow");
    command.arg(&other);
    let mut program = start(command);
    await_frames(&folder, &mut program, 48_000);
    refusal(&image);
    let run = program.wait(PATIENCE);
    untroubled(&run);
    assert!(run.err.contains(words), "{fs}: {}", run.err);
    assert!(run.err.contains("takes continue here, without a gap"), "{fs}: {}", run.err);
    // A disk that takes no sound may not take the last version of session.json either. The copy in the overflow
    // folder has it.
    let copy = other.join("session");
    let session = open_read_only(&copy).unwrap();
    // A take whose disk accepts sound again before the committer has left its file stays there. xfs frees blocks that it
    // had preallocated, so one take or the other fits after all.
    assert!((40..=48).contains(&session.takes().len()), "{fs}: {} files\n{}", session.takes().len(), run.err);
    let mut frames = 0;
    for take in session.takes() {
        // Takes on a broken disk may have to be finished by the next start.
        assert!(take.state == TakeState::Complete || !session.is_continuation(take), "{}: {}", take.path(), run.err);
        frames += take.frames.0;
    }
    assert_eq!(frames, 24 * 432_000);
    let after = valid(&copy);
    assert!(after > 0, "{fs}");
    if fs != "ext4" || refusal as *const () == full as *const () {
        // The files and session.json on the full disk may lack what did not fit.
        match filler {
            Some(filler) => fs::remove_file(filler).unwrap(),
            None => over_quota_no_more(&image),
        }
        for session in [&copy, &folder] {
            crate::util::run(faultless("recover", session, "")).done();
            whole(session, 24, 432_000);
        }
        let played = crate::util::run(faultless("play", &folder, "--device virtual:free --json")).done().json();
        assert_eq!((&played["frames"], &played["dropouts"]), (&432_000.into(), &0.into()));
    }
}

#[test]
fn root_takes_continue_in_the_overflow_folder_when_the_disk_is_full() {
    continues_in_overflow("ext4", full, "the disk is full");
    continues_in_overflow("xfs", full, "the disk is full");
}

#[test]
fn root_takes_continue_in_the_overflow_folder_when_the_file_system_becomes_read_only() {
    continues_in_overflow("ext4", broken, "read-only");
}

#[test]
fn root_takes_continue_in_the_overflow_folder_when_the_quota_is_used_up() {
    continues_in_overflow("btrfs", over_quota, "the quota is used up");
}

#[test]
fn root_a_folder_that_is_named_while_the_disk_is_full_is_used() {
    let (image, place) = (Image::up("ext4", "400M"), place());
    let folder = image.path().join("session");
    let mut control = Control::open(setup(&folder, "", 4, 48_000, TakeFormat::S24)).unwrap();
    control.arm_inputs(4).unwrap();
    fill(image.path(), 9 * MIB);
    let mut named = false;
    let other = place.path().to_owned();
    let (mut told, rest) = {
        control.record(faultless::time::Frames(12 * 48_000)).unwrap();
        let mut told = Vec::new();
        while control.is_recording() {
            control.poll();
            told.extend(std::iter::from_fn(|| control.take_notice()));
            if control.trouble().is_some() && !named {
                named = true;
                control.set_overflow(Some(&other));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        (told, control.close().1)
    };
    told.extend(rest);
    assert!(named, "{told:?}");
    assert!(told.iter().all(|notice| notice.severity != Severity::Loss), "{told:?}");
    whole(&folder, 4, 12 * 48_000);
    assert_eq!(open_read_only(&folder).unwrap().takes().len(), 8);
}

/// The warning named the disk that the takes had left.
#[test]
fn root_the_warning_of_a_full_disk_names_the_disk_on_which_the_takes_continue() {
    let [own, other] = [Image::up("ext4", "400M"), Image::up("ext4", "400M")];
    fill(own.path(), 9 * MIB);
    // 24 tracks fill some 3.3 MiB a second.
    fill(other.path(), 145 * MIB);
    let mut command = recording(&own.path().join("session"), 16, "--overflow");
    command.arg(other.path());
    let run = run(command);
    let after = run.err.lines().skip_while(|line| !line.contains("takes continue here"));
    let warnings: Vec<&str> = after.filter(|line| line.contains("the disk has room for")).collect();
    let place = other.path().display().to_string();
    assert!(!warnings.is_empty() && warnings.iter().all(|line| line.contains(&place)), "{}", run.err);
}

#[test]
fn root_a_recording_that_is_killed_after_it_continued_in_the_overflow_folder_is_whole() {
    killed_in_overflow(6 * MIB);
}

#[test]
fn root_a_recording_that_is_killed_after_takes_began_in_the_overflow_folder_is_whole() {
    // There is space for the files, and for hardly any sound: some takes continue in another file from their first
    // frame.
    killed_in_overflow(11 * MIB / 2);
}

#[track_caller]
fn killed_in_overflow(left: u64) {
    let (image, place) = (Image::up("ext4", "400M"), place());
    let folder = image.path().join("session");
    let other = place.path().join("other");
    fill(image.path(), left);
    let mut command = recording(&folder, 600, "--overflow");
    command.arg(&other);
    let mut program = start(command);
    let is_in_overflow = || {
        let files = fs::read_dir(other.join("session/audio")).into_iter().flatten().flatten();
        files.filter(|file| file.metadata().is_ok_and(|found| found.len() > 300_000)).count() == 24
    };
    while !is_in_overflow() {
        assert!(program.is_running());
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(any(1500)));
    program.signal("KILL");
    program.wait(PATIENCE);
    run(faultless("recover", &folder, "")).done();
    let found = check(&folder)[0];
    assert_eq!((found.takes, found.lost), (24, 0));
    let again = run(faultless("recover", &folder, "")).done();
    assert!(again.out.contains("nothing was cut off"), "{}", again.out);
}

/// Two disks: the session is on the first and its mirror on the second.
struct Mirrored {
    own: Image,
    other: Image,
}

impl Mirrored {
    fn up() -> Mirrored {
        Mirrored { own: Image::up("ext4", "400M"), other: Image::up("xfs", "400M") }
    }

    fn session(&self) -> PathBuf {
        self.own.path().join("session")
    }

    fn mirror(&self) -> PathBuf {
        self.other.path().join("session")
    }

    fn recording(&self, seconds: u64, arguments: &str) -> Command {
        let mut command = recording(&self.session(), seconds, arguments);
        command.arg("--mirror").arg(self.other.path());
        command
    }
}

/// A command that stops every write to a disk for `seconds`, after one second.
fn freeze(image: &Image, seconds: u32) -> Command {
    let mut command = Command::new(stress_script("freeze.sh"));
    command.arg(image.path()).args(["1", &seconds.to_string()]);
    command
}

#[test]
fn root_a_mirror_is_a_whole_session_on_its_own_disk() {
    let disks = Mirrored::up();
    let run = run(disks.recording(3, "")).done();
    let found = untroubled(&run);
    assert_eq!((&found["mirror"]["whole"], &found["mirror"]["takes_whole"]), (&true.into(), &24.into()));
    whole(&disks.session(), 24, 144_000);
    whole(&disks.mirror(), 24, 144_000);
    let played = crate::util::run(faultless("play", &disks.mirror(), "--device virtual:free --json")).done().json();
    assert_eq!((&played["frames"], &played["dropouts"]), (&144_000.into(), &0.into()));
}

#[test]
fn root_a_mirror_whose_disk_is_full_does_no_harm_and_is_named() {
    let disks = Mirrored::up();
    fill(disks.other.path(), 6 * MIB);
    let run = run(disks.recording(5, ""));
    assert_eq!(run.code, Some(1), "{}", run.err);
    let found = untroubled(&run);
    assert_eq!(found["mirror"]["whole"], false);
    assert!(run.err.contains("mirror: not whole") && run.err.contains("the session's own takes are"), "{}", run.err);
    whole(&disks.session(), 24, 240_000);
    valid(&disks.mirror());
}

#[test]
fn root_a_session_whose_disk_is_full_has_a_whole_mirror() {
    let disks = Mirrored::up();
    let filler = fill(disks.own.path(), 6 * MIB);
    let run = run(disks.recording(7, ""));
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert_eq!(untroubled(&run)["mirror"]["whole"], true, "{}", run.err);
    valid(&disks.session());
    let session = open_read_only(&disks.mirror()).unwrap();
    for take in session.takes() {
        assert_eq!(read_wav(&disks.mirror().join(take.path())).1.len(), 7 * 48_000);
    }
    fs::remove_file(filler).unwrap();
    crate::util::run(faultless("recover", &disks.session(), "")).done();
    whole(&disks.session(), 24, 7 * 48_000);
}

/// One of the two disks stalls for longer than the spool has memory. What it missed is copied from the other disk.
fn repaired(frozen: fn(&Mirrored) -> &Image) {
    let disks = Mirrored::up();
    // 24 tracks need some 10 MiB of the spool for their windows, and fill as much again in 3 s.
    let program = start(disks.recording(14, "--spool-limit 32"));
    let frozen = start(freeze(frozen(&disks), 9));
    let run = program.wait(PATIENCE).done();
    frozen.wait(PATIENCE).done();
    assert_eq!(untroubled(&run)["mirror"]["whole"], true, "{}", run.err);
    whole(&disks.session(), 24, 14 * 48_000);
    whole(&disks.mirror(), 24, 14 * 48_000);
}

#[test]
fn root_freeze_of_a_mirror_longer_than_memory_lasts_is_repaired_from_the_other_disk() {
    repaired(|disks| &disks.other);
}

#[test]
fn root_freeze_of_the_sessions_disk_longer_than_memory_lasts_is_repaired_from_the_mirror() {
    repaired(|disks| &disks.own);
}

#[test]
fn root_freeze_and_a_kill_leave_session_and_mirror_whole() {
    let disks = Mirrored::up();
    let mut program = start(disks.recording(600, "--spool-limit 32"));
    await_frames(&disks.session(), &mut program, 48_000);
    let frozen = start(freeze(&disks.own, 9));
    std::thread::sleep(Duration::from_millis(8000));
    program.signal("KILL");
    frozen.wait(PATIENCE).done();
    program.wait(PATIENCE);
    run(faultless("recover", &disks.session(), "")).done();
    let found = check(&disks.session())[0];
    assert_eq!((found.takes, found.lost), (24, 0));
    assert!(found.frames > 7 * 48_000, "{found:?}");
    whole(&disks.mirror(), 24, found.frames);
}

#[test]
fn root_freeze_of_30_seconds_costs_24_tracks_nothing() {
    let image = Image::up("ext4", "1G");
    let folder = image.path().join("session");
    let program = start(recording(&folder, 36, ""));
    let frozen = start(freeze(&image, 30));
    let run = program.wait(Duration::from_secs(180)).done();
    frozen.wait(PATIENCE).done();
    untroubled(&run);
    whole(&folder, 24, 36 * 48_000);
}

#[test]
fn a_mirror_or_another_folder_that_cannot_be_had_is_refused_before_anything_is_recorded() {
    let place = place();
    let folder = place.path().join("session");
    File::create(place.path().join("file")).unwrap();
    for option in ["--mirror", "--overflow"] {
        let mut command = record(&folder, "--device virtual:free --inputs 1 --seconds 1");
        command.arg(option).arg(place.path().join("file/dir"));
        let run = run(command);
        assert_eq!(run.code, Some(1), "{}", run.err);
        assert!(run.err.contains(option) && run.err.contains("file/dir"), "{}", run.err);
        assert!(open_read_only(&folder).unwrap().takes().is_empty());
    }
}

#[test]
fn a_mirror_in_the_same_place_as_another_sessions_gets_a_folder_of_its_own() {
    let place = place();
    let mirrors = place.path().join("mirrors");
    for parent in ["a", "b"] {
        let folder = place.path().join(parent).join("session");
        let mut command = record(&folder, "--device virtual:free --inputs 2 --seconds 1");
        command.arg("--mirror").arg(&mirrors);
        let found = run(command).done().json();
        assert_eq!(found["mirror"]["whole"], true);
        whole(Path::new(found["mirror"]["folder"].as_str().unwrap()), 2, 48_000);
    }
    assert_eq!(fs::read_dir(&mirrors).unwrap().count(), 2);
}

/// In `in-place` no memory has the sound, so the mirror copies it from the session's files. It had only silence, and was
/// called whole.
#[test]
fn a_mirror_of_takes_that_are_recorded_in_place_has_their_sound() {
    let place = place();
    for (inputs, device) in [(2, "virtual"), (24, "virtual"), (3, "virtual:free")] {
        let name = format!("{device}-{inputs}");
        let folder = place.path().join(&name);
        let arguments = format!("--device {device} --inputs {inputs} --seconds 3 --capture-path in-place {DEEP}");
        let mut command = record(&folder, &arguments);
        command.arg("--mirror").arg(place.path().join("mirror"));
        let found = run(command).done().json();
        assert_eq!(found["mirror"]["whole"], true, "{name}");
        whole(&folder, inputs, 144_000);
        whole(&place.path().join("mirror").join(&name), inputs, 144_000);
    }
}

#[test]
fn a_pass_in_place_says_that_it_does_not_use_the_overflow_folder() {
    let place = place();
    for (path, is_told) in [("in-place", true), ("spool", false)] {
        let arguments = format!("--device virtual:free --inputs 1 --seconds 1 --capture-path {path}");
        let mut command = record(&place.path().join(path), &arguments);
        command.arg("--overflow").arg(place.path().join("other"));
        let run = run(command).done();
        assert_eq!(run.err.contains("the overflow folder is not used"), is_told, "{}", run.err);
    }
}

#[test]
fn a_pass_with_a_mirror_is_followed_by_one_without() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = Control::open(setup(&folder, "free", 2, 48_000, TakeFormat::S24)).unwrap();
    control.arm_inputs(2).unwrap();
    control.set_mirror(Some(&place.path().join("mirror")));
    while !control.companions_are_known() {
        control.poll();
        std::thread::sleep(Duration::from_millis(2));
    }
    let told = record_through(control, 48_000, |_| {});
    assert!(told.iter().any(|notice| notice.text.contains("mirror: whole, 2 takes")), "{told:?}");
    let mut control = Control::open(setup(&folder, "free", 2, 48_000, TakeFormat::S24)).unwrap();
    control.arm_inputs(2).unwrap();
    let told = record_through(control, 48_000, |_| {});
    assert!(!told.iter().any(|notice| notice.text.contains("mirror")), "{told:?}");
    assert_eq!(check(&folder).len(), 2);
}

#[test]
fn an_overflow_folder_and_a_mirror_that_were_refused_are_opened_again_when_they_are_named_again() {
    let place = place();
    let disk = place.path().join("disk");
    let mut control = Control::open(setup(&place.path().join("session"), "free", 2, 48_000, TakeFormat::S24)).unwrap();
    let mut are_used = || {
        control.set_overflow(Some(&disk.join("overflow")));
        control.set_mirror(Some(&disk.join("mirror")));
        while !control.companions_are_known() {
            control.poll();
            std::thread::sleep(Duration::from_millis(2));
        }
        [control.overflow(), control.mirror()].map(|found| found.unwrap().is_ok())
    };
    assert_eq!(are_used(), [false, false]);
    fs::create_dir(&disk).unwrap();
    assert_eq!(are_used(), [true, true]);
    control.close();
}
