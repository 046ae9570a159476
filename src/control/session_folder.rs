//! Warnings about the session's file system before anything is recorded, and the session's folder when another program
//! moves or removes it. Thread: control.

use super::{Control, Notice, Severity};
use crate::file_system::{FAT_FILE_BYTES_MAX, Kind};
use crate::format::TakeFormat;
use crate::host;
use crate::limits::DATA_OFFSET;
use crate::rt::process;
use crate::session::session_file::{FolderChange, FolderWatch, OpenSession};
use crate::time::SampleRate;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time between two checks of the folder.
const LOOK: Duration = Duration::from_millis(500);

/// The watch on the session's folder.
pub(super) struct WatchedFolder {
    folder_watch: Option<FolderWatch>,
    /// When the next check is due.
    next: Instant,
    removed: bool,
}

impl WatchedFolder {
    /// Watches the folder of a session that is open to be recorded into. Without a `store` it never reports a change.
    pub(super) fn of(store: Option<&OpenSession>) -> WatchedFolder {
        WatchedFolder { folder_watch: store.and_then(OpenSession::folder_watch), next: host::now(), removed: false }
    }
}

impl Control {
    /// Follows the folder if another program has moved it, and warns if one has removed it. Checks now and then, or at
    /// once if `force`.
    pub(super) fn check_folder(&mut self, force: bool) {
        let now = host::now();
        if !force && now < self.watched_folder.next {
            return;
        }
        self.watched_folder.next = now + LOOK;
        match self.watched_folder.folder_watch.as_mut().and_then(FolderWatch::changed) {
            Some(FolderChange::Moved(to)) => {
                let was = std::mem::replace(&mut self.folder, to);
                self.caution(format!(
                    "{}: another program moved the session's folder; everything continues in {}",
                    was.display(),
                    self.folder.display()
                ));
                // The copies in overflow folders name this folder.
                self.save();
                // Players open the takes by path.
                self.players_outdated = self.playback_enabled;
            }
            Some(FolderChange::Removed) => {
                self.watched_folder.removed = true;
                let what = if self.is_recording() {
                    "the recording continues, and its takes are put back there when it ends"
                } else {
                    "make a new session"
                };
                self.loss(format!("{}: another program removed the session's folder; {what}", self.folder.display()));
            }
            None => {}
        }
    }

    /// Whether another program has removed the session's folder.
    pub fn is_folder_removed(&self) -> bool {
        self.watched_folder.removed
    }
}

/// Warnings about the file system of a session, and about limits of this process for files on it.
pub(super) fn notices(store: &OpenSession, folder: &Path, format: TakeFormat, rate: SampleRate) -> Vec<Notice> {
    let name = store.file_system().unwrap_or_default();
    let at = folder.display();
    let mut notices = Vec::new();
    let mut warn = |severity, text: String| notices.push(Notice { severity, text: format!("{at}: {text}") });
    let longest_take = |bytes: u64| length_text(bytes, format, rate);
    match Kind::of(&name) {
        Kind::Plain | Kind::Layered => {}
        Kind::Memory => warn(
            Severity::Caution,
            format!("{name} is memory: takes are gone when the machine stops; record to a disk, or copy them before"),
        ),
        Kind::Fat => warn(
            Severity::Caution,
            format!(
                "{name} holds no file of 4 GiB: a mono take continues in another file after {}, a stereo one after half of that; to have them in one, record to another disk",
                longest_take(FAT_FILE_BYTES_MAX)
            ),
        ),
        Kind::Exfat => warn(
            Severity::Info,
            format!("{name} keeps no journal, a power cut may cost the folder; copy takes to another disk soon"),
        ),
        Kind::Network => warn(
            Severity::Caution,
            format!(
                "{name} is across a network: while the network is down, sound waits in memory; record to a local disk and copy"
            ),
        ),
        Kind::Served => warn(
            Severity::Info,
            format!(
                "{name} is served by another program: if that program ends, sound stays in the spool; a local disk is safer"
            ),
        ),
    }
    if !store.is_locked_by_file() {
        warn(
            Severity::Caution,
            format!(
                "{name} has no file locks: a second program here is kept out, one on another computer is not; open the session on one only"
            ),
        );
    }
    if let Some(bytes) = process::file_bytes_max().filter(|bytes| *bytes < 1 << 40) {
        warn(
            Severity::Caution,
            format!(
                "this process may write no file above {} MiB: a mono take ends after {}; to change that: ulimit -f unlimited",
                bytes >> 20,
                longest_take(bytes)
            ),
        );
    }
    notices
}

/// Length of a mono take whose file has this many bytes.
fn length_text(bytes: u64, format: TakeFormat, rate: SampleRate) -> String {
    let frames = bytes.saturating_sub(DATA_OFFSET) / format.bytes() as u64;
    let seconds = frames / u64::from(rate.0).max(1);
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_take_that_a_file_system_allows_is_named() {
        let text = |bytes, format| length_text(bytes, format, SampleRate(48_000));
        assert_eq!(text(FAT_FILE_BYTES_MAX, TakeFormat::S24), "8 h 17 min");
        assert_eq!(text(FAT_FILE_BYTES_MAX, TakeFormat::F32), "6 h 12 min");
        assert_eq!(text(100 << 20, TakeFormat::S24), "12 min");
        assert_eq!(text(1, TakeFormat::S24), "0 s");
    }
}
