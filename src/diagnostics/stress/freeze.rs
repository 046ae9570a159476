//! Freezes a file system for seconds, so that it accepts no write. Thread: the stress test's; a helper process freezes
//! and thaws.
//!
//! The helper thaws when its time is up or when its standard input is closed. So the file system does not stay frozen,
//! however this program ends.

use crate::file_system::Mount;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `$0`: the mount point. `$1`: seconds. If another program has frozen the file system, the helper does not thaw it.
const HELPER: &str = "PATH=$PATH:/usr/sbin:/sbin
trap '' INT HUP TERM
fsfreeze -f \"$0\" || exit 3
trap 'fsfreeze -u \"$0\"' EXIT
timeout -s KILL \"$1\" cat >/dev/null
exit 0
";

/// Folders whose file system is never frozen, because the machine needs it.
const NEVER_FROZEN: [&str; 12] =
    ["/", "/usr", "/bin", "/lib", "/etc", "/var", "/var/log", "/tmp", "/home", "/root", "/run", "/dev"];

/// Permission to freeze a file system.
pub(super) struct Freeze {
    at: PathBuf,
    seconds: f64,
}

impl Freeze {
    /// Checks that the file system may be frozen. The error is the reason why not.
    pub(super) fn permitted(mount: Option<&Mount>, may_freeze: bool, seconds: f64) -> Result<Freeze, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("needs root".to_owned());
        }
        let mount = mount.ok_or("where the folder is mounted is not known")?;
        if !(may_freeze || mount.source.starts_with("/dev/loop")) {
            return Err(format!(
                "{} is no loop image; only such a one is frozen, unless --may-freeze says that this one may be",
                mount.at.display()
            ));
        }
        let own = fs::metadata(&mount.at).map_err(|error| format!("{}: {error}", mount.at.display()))?.dev();
        if let Some(used) =
            never_frozen().into_iter().find(|path| fs::metadata(path).is_ok_and(|data| data.dev() == own))
        {
            return Err(format!("{} lies on the same file system; the machine would stand still", used.display()));
        }
        for tool in ["fsfreeze", "timeout"] {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
            if !folders.any(|folder| folder.join(tool).exists()) {
                return Err(format!("{tool} is not installed"));
            }
        }
        Ok(Freeze { at: mount.at.clone(), seconds })
    }

    /// Freezes the file system.
    pub(super) fn start(&self) -> Result<Frozen, String> {
        let child = Command::new("sh")
            .args(["-c", HELPER])
            .arg(&self.at)
            .arg(format!("{:.1}", self.seconds))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child
            .map(|child| Frozen { child, seconds: self.seconds })
            .map_err(|error| format!("sh: cannot be started: {error}"))
    }
}

fn never_frozen() -> Vec<PathBuf> {
    let own = [std::env::current_exe().ok(), std::env::var_os("HOME").map(PathBuf::from)];
    NEVER_FROZEN.iter().map(Path::new).map(Path::to_path_buf).chain(own.into_iter().flatten()).collect()
}

/// A frozen file system. Dropping it thaws the file system.
pub(super) struct Frozen {
    child: Child,
    seconds: f64,
}

impl Frozen {
    /// Thaws the file system if its time is not up yet. Returns a description, or the reason why it was not frozen.
    pub(super) fn stop(mut self) -> Result<String, String> {
        match self.thaw() {
            Some(0) => Ok(format!("no write for {:.1} s", self.seconds)),
            Some(3) => Err("fsfreeze was refused".to_owned()),
            status => Err(format!("the helper ended with {status:?}")),
        }
    }

    fn thaw(&mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.child.wait().ok()?.code()
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.thaw();
    }
}
