//! The commands, events and published numbers that threads exchange. Thread: any; each type names its writer.
//!
//! ```text
//!   control --- AudioCommand (ring) --> audio
//!   control <-- AudioEvent   (ring) --- audio
//!   any     <-- Published (atomics) --- audio
//!   butler, read-ahead <--> audio: rings of windows, see `window::ring`
//!   control <--> butler, committers, read-ahead: see `disk`
//! ```
//!
//! The audio thread frees nothing: everything that it received in a box returns in an event.
#![warn(missing_docs)]

mod audio;
mod pass;
mod play_path;
mod voice;
pub mod cycle_log;
pub mod span_to_commit;
pub mod disk;
pub mod offset;
pub mod outbox;
pub mod published;
pub mod replica;
pub mod spool_file;
pub mod stats;
pub mod take;

pub use audio::{AudioCommand, AudioEvent};
pub use pass::{Capture, LossLog, LossMark, OpenOverrun, Pass, PassRange};
pub use play_path::{PlayFile, PlayPath, PlayRegion};
pub use published::Motion;
pub use voice::Voice;
