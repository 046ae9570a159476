//! The effect of a user's last logout on spool folders: logind removes memory that outlives a program. Thread: control,
//! at a start and in the doctor. The module owns nothing; it reads small files.
//!
//! logind removes the runtime folder of a user (`/run/user/UID`) at the user's last logout, always. It empties `/dev/shm`
//! of the user's files too, unless `RemoveIPC=no` is set or the user is a system user (logind.conf(5)). A user who
//! lingers (`loginctl enable-linger`) keeps both. So `/dev/shm` is never less safe than the runtime folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The last user identity of system users, which logind leaves alone.
const SYSTEM_UID_MAX: u32 = 999;

/// Folders of configuration, the most important one first. The second program is logind without systemd.
const CONFIGURATION: [&str; 5] =
    ["etc/systemd", "etc/elogind", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd"];

/// Why a spool folder does not outlive a logout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logout {
    /// logind empties `/dev/shm` of this user's files (`RemoveIPC`).
    RemovesIpc,
    /// logind removes the user's runtime folder.
    RemovesRuntimeFolder,
}

impl Logout {
    /// The consequence for `folder`, as the words after the folder's name.
    pub fn sentence(self) -> &'static str {
        match self {
            Logout::RemovesIpc => "logind empties it when this user logs out for the last time (RemoveIPC)",
            Logout::RemovesRuntimeFolder => "logind removes it when this user logs out for the last time",
        }
    }

    /// The command that lets the folder outlive a logout.
    pub fn fix(self) -> &'static str {
        match self {
            Logout::RemovesIpc => "set RemoveIPC=no in /etc/systemd/logind.conf, or: loginctl enable-linger",
            Logout::RemovesRuntimeFolder => "loginctl enable-linger",
        }
    }
}

/// The effect of the last logout of user `uid` on the spool folder. `None`: the folder outlives it.
pub fn effect(folder: &Path, uid: u32) -> Option<Logout> {
    effect_below(Path::new("/"), folder, uid)
}

fn effect_below(root: &Path, folder: &Path, uid: u32) -> Option<Logout> {
    // logind keeps a file here for each user that is logged in.
    let users = root.join("run/systemd/users");
    if !users.is_dir() || lingers(root, &users, uid) {
        return None;
    }
    if folder.starts_with("/run/user") {
        return Some(Logout::RemovesRuntimeFolder);
    }
    let removes = folder.starts_with("/dev/shm") && SYSTEM_UID_MAX < uid && removes_ipc(root);
    removes.then_some(Logout::RemovesIpc)
}

fn lingers(root: &Path, users: &Path, uid: u32) -> bool {
    let state = fs::read_to_string(users.join(uid.to_string())).unwrap_or_default();
    let name = state.lines().find_map(|line| line.strip_prefix("NAME="));
    name.is_some_and(|name| !name.contains('/') && root.join("var/lib/systemd/linger").join(name).exists())
}

/// The value of `RemoveIPC`. Without a setting it is yes, which is logind's own default.
fn removes_ipc(root: &Path) -> bool {
    let main = CONFIGURATION.iter().map(|folder| root.join(folder).join("logind.conf")).find(|path| path.exists());
    // A drop-in comes after the main file, and the files come in the order of their names. Of two files with the same
    // name, the one in the more important folder counts.
    let mut drop_ins: BTreeMap<_, PathBuf> = BTreeMap::new();
    for folder in CONFIGURATION.iter().rev() {
        let entries = fs::read_dir(root.join(folder).join("logind.conf.d")).into_iter().flatten().flatten();
        let conf = entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "conf"));
        drop_ins.extend(conf.map(|entry| (entry.file_name(), entry.path())));
    }
    let files = main.into_iter().chain(drop_ins.into_values());
    files.filter_map(|path| setting(&fs::read_to_string(path).ok()?)).next_back().unwrap_or(true)
}

fn setting(text: &str) -> Option<bool> {
    let mut values = text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "RemoveIPC").then(|| value.trim().to_ascii_lowercase())
    });
    values
        .next_back()
        .filter(|value| !value.is_empty())
        .map(|value| !["no", "n", "false", "f", "off", "0"].contains(&&*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logout_removes_the_memory_that_logind_removes_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let of = |folder: &str, uid| effect_below(root.path(), Path::new(folder), uid);
        let (shm, runtime) = ("/dev/shm/faultless-1000", "/run/user/1000/faultless-1000");
        assert_eq!((of(shm, 1000), of(runtime, 1000)), (None, None), "without logind");
        write("run/systemd/users/1000", "NAME=anna\nSTATE=active\n");
        assert_eq!(of(shm, 1000), Some(Logout::RemovesIpc), "the default");
        assert_eq!(of(runtime, 1000), Some(Logout::RemovesRuntimeFolder));
        assert_eq!((of(shm, 0), of(shm, 999), of("/mnt/ram/x", 1000)), (None, None, None));
        write("etc/systemd/logind.conf", "[Login]\n#RemoveIPC=yes\n");
        assert_eq!(of(shm, 1000), Some(Logout::RemovesIpc));
        write("etc/systemd/logind.conf", "[Login]\nRemoveIPC=no\n");
        assert_eq!((of(shm, 1000), of(runtime, 1000)), (None, Some(Logout::RemovesRuntimeFolder)));
        write("usr/lib/systemd/logind.conf.d/50-x.conf", "[Login]\nRemoveIPC = yes\n");
        assert_eq!(of(shm, 1000), Some(Logout::RemovesIpc), "a drop-in comes after the main file");
        write("etc/systemd/logind.conf.d/50-x.conf", "[Login]\nRemoveIPC=off\n");
        assert_eq!(of(shm, 1000), None, "/etc covers /usr");
        fs::remove_dir_all(root.path().join("etc")).unwrap();
        write("var/lib/systemd/linger/anna", "");
        assert_eq!((of(shm, 1000), of(runtime, 1000)), (None, None), "the user lingers");
    }
}
