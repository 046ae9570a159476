//! The names of the files and folders in a session's folder: the only place that spells them. Thread: any. The module
//! owns nothing.

/// The folder of the takes' WAV files.
pub const AUDIO: &str = "audio";

/// The folder of the files of takes that the user has deleted.
pub const TRASH: &str = "trash";

/// The folder of the waveform caches. Its files can be made again.
pub const PEAKS: &str = "peaks";

/// The folder for exports where the user names no other.
pub const EXPORT: &str = "export";

/// The folder of earlier versions of [`SESSION_FILE`].
pub const HISTORY: &str = "history";

/// The folder of reports. It is made when the user saves the first one.
pub const REPORTS: &str = "reports";

/// Every folder that a session has from its start on.
pub const FOLDERS: [&str; 5] = [AUDIO, PEAKS, EXPORT, HISTORY, TRASH];

/// The session itself: tracks, takes, regions and markers.
pub const SESSION_FILE: &str = "session.json";

/// The next version of [`SESSION_FILE`] until it is whole and takes its place.
pub const NEW_SESSION_FILE: &str = ".session.json.new";

/// Takes that [`SESSION_FILE`] does not list yet. Missing most of the time.
pub const ADDED_TAKES_FILE: &str = "session.takes.json";

/// The next version of [`ADDED_TAKES_FILE`] until it is whole and takes its place.
pub const NEW_ADDED_TAKES_FILE: &str = ".session.takes.json.new";

/// A file [`ADDED_TAKES_FILE`] that could not be read.
pub const DAMAGED_ADDED_TAKES_FILE: &str = "session.takes-damaged.json";

/// A file of blocks that are given back to the disk when it is full, so that [`SESSION_FILE`] can still be saved.
pub const RESERVE_FILE: &str = ".session.reserve";

/// The file on which the program that records holds a lock.
pub const LOCK_FILE: &str = "session.lock";

/// The log of events.
pub const EVENTS_FILE: &str = "events.jsonl";

/// The log of events before [`EVENTS_FILE`] was full.
pub const EARLIER_EVENTS_FILE: &str = "events.1.jsonl";

/// The path of a take's file as a session stores it: `audio/NAME`.
pub fn audio_path(name: &str) -> String {
    format!("{AUDIO}/{name}")
}

/// The path of a take's file while the take is in the trash: `trash/NAME`.
pub fn trash_path(name: &str) -> String {
    format!("{TRASH}/{name}")
}

/// NAME of `audio/NAME`, `None` for any other path.
pub fn name_in_audio(path: &str) -> Option<&str> {
    path.strip_prefix(AUDIO)?.strip_prefix('/')
}
