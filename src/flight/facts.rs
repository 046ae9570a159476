//! Facts about the machine that a reader of events needs. Thread: any.

use nix::sys::utsname::uname;

/// The kernel's release, "unknown" if the system does not give it.
pub fn kernel() -> String {
    uname().map_or_else(|_| "unknown".to_owned(), |name| name.release().to_string_lossy().into_owned())
}
