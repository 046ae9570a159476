//! Tools that judge this machine: the doctor, the residency bench and the stress test. Thread: each module says.

pub mod bench;
pub mod doctor;
pub mod stress;
pub mod trace;
mod trace_lanes;
