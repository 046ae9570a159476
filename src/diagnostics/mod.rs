//! Tools that judge this machine: the doctor, the residency bench, the stress test. Thread: as each says.

pub mod bench;
pub mod doctor;
pub mod stress;
