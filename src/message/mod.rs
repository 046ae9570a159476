//! Everything that the audio thread and the control side can say to each other, and what the audio thread
//! publishes for all to read. Thread: any; each type says who writes it.
//!
//! ```text
//!   control --- AudioCommand (ring) --> audio
//!   control <-- AudioEvent   (ring) --- audio
//!   anyone  <-- Published  (atomics) -- audio
//!   butler, read-ahead <-> audio: rings of windows, see `window`
//! ```
//!
//! Nothing here is freed on the audio thread: what it was given in a box goes back in an event.
#![warn(missing_docs)]

mod audio;
mod pass;
mod play_path;
mod voice;
pub mod span_to_commit;
pub mod disk;
pub mod offset;
pub mod published;
pub mod replica;
pub mod spool_file;
pub mod stats;
pub mod take;

pub use audio::{AudioCommand, AudioEvent};
pub use pass::{Capture, LossLog, LossMark, Pass};
pub use play_path::{PlayPath, PlayRegion};
pub use published::Motion;
pub use voice::{Levels, Mix, Voice};
