//! The threads between windows and disk. Thread: butler, read-ahead, committer, as each file says.
//!
//! The butler keeps capture windows ahead of the record position and takes them up behind; it waits for
//! nothing but tmpfs, so a disk that stalls cannot starve it. The committer alone waits for disk writes, the
//! read-ahead alone for disk reads.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

pub mod plan;
pub mod capabilities;
pub mod spool;
mod outbox;
pub mod capture_ahead;
pub mod take_file;
pub mod commit;
pub mod read_ahead;
