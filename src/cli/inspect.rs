//! `faultless export`, `devices`, `doctor` and `bench`: what needs no running engine. Thread: control.

use super::Failure;
use super::args::{BenchArgs, DevicesArgs, DoctorArgs, ExportArgs};

/// Exports.
pub fn export(_: &ExportArgs) -> Result<(), Failure> {
    Err(Failure("export: not built in yet".to_owned()))
}

/// Lists devices.
pub fn devices(_: &DevicesArgs) -> Result<(), Failure> {
    Err(Failure("devices: not built in yet".to_owned()))
}

/// Examines the machine.
pub fn doctor(_: &DoctorArgs) -> Result<(), Failure> {
    Err(Failure("doctor: not built in yet".to_owned()))
}

/// Measures.
pub fn bench(_: &BenchArgs) -> Result<(), Failure> {
    Err(Failure("bench: not built in yet".to_owned()))
}
