//! A pass of recording, from the command to its report. Owns the pass. Thread: control.
//!
//! ```text
//!   record() -> Open: committers create files -> TakesOpened: session is saved, Prepare: butler makes windows
//!            -> PassReady, session saved -> Record: audio thread records -> PassEnded
//!            -> Finish: butler, committers -> TakeFinished, each take -> all takes, and the mirror -> report
//! ```
//!
//! An event goes to the state machine, which returns effects; `effects` carries them out. Nothing else changes the
//! state of a pass.
//!
//! | file | content |
//! |---|---|
//! | `machine` | the states of a pass, pure |
//! | `effects` | the effects of the machine, carried out; the facts that it observes |
//! | `begin` | the commands that begin a pass, its takes and files |
//! | `continuation` | where a take's sound goes when its disk refuses it, pure |
//! | `pass` | the data of a pass and of its takes |
//! | `latency` | how far the sound lies behind what was heard |
//! | `losses` | losses that are reported go into the session |
//! | `ended` | lengths go into the session, takes are finished, the report is made |
//! | `fault_report` | the memory that page faults of the pass hit |
//! | `pass_report` | the report of a pass |

mod begin;
mod continuation;
mod effects;
mod ended;
mod fault_report;
mod latency;
mod losses;
mod machine;
mod pass;
mod pass_report;

pub use fault_report::{FaultReport, PassFault};
pub use latency::{LATENCY_OFFSET_MAX, LatencyReport, frames_and_time};
pub use machine::PassPhase;
pub use pass::{PassStatus, RecordingPass};
pub use pass_report::{PassReport, TakeReport, counted};

pub(super) use begin::has_name_of;
pub(super) use continuation::{Placement, PlacementEffect, PlacementEvent, Refusal};
pub(super) use latency::LatencyRest;
pub(super) use machine::Event;
pub(super) use pass::{RecordingTake, take_description, track_name};
