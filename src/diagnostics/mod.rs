//! Tools that judge this machine (the doctor, the benchmarks, the stress test), and the trace, which shows a run. Thread:
//! each module says.

pub mod bench;
pub mod doctor;
pub mod stress;
pub mod trace;
mod trace_lanes;
