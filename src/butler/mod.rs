//! The disk side: the threads between windows and disk. Thread: butler, read-ahead, committer, as each file says.
//!
//! [`capture_ahead`] is the butler. It keeps capture windows ahead of the record position and collects them behind it.
//! It waits for tmpfs only, never for a disk, so that a slow disk cannot delay the supply of windows. [`commit`] is the
//! committer: of the threads that carry sound, only committers wait for disk writes. The mirror has a committer of its
//! own. [`read_ahead`] maps files for playback and waits for disk reads in place of the audio thread.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

pub mod plan;
mod put_back;
pub mod capabilities;
pub mod logout;
mod stored_path;
pub mod spool;
mod slot_supply;
mod outbox;
pub mod capture_ahead;
pub mod take_file;
mod take_place;
pub mod commit;
mod played_file;
pub mod read_ahead;
