//! Reads the header of an exported file with hound, a parser that shares no code with this program's writer. A file that
//! only this program can read is not an export. Thread: export, or main in `faultless export`.

use super::error::ExportError;
use super::plan::PlannedFile;
use crate::format::TakeFormat;
use hound::{SampleFormat, WavReader};

/// Fails if hound finds another length, rate or format in a finished file than the plan has. `bytes`: the size of the
/// file. A file of 4 GiB or more is RF64, which hound does not know; such a file is not checked.
pub(super) fn check(planned: &PlannedFile, bytes: u64) -> Result<(), ExportError> {
    if u64::from(u32::MAX) <= bytes {
        return Ok(());
    }
    let differs = |reason: String| ExportError::Unreadable { path: planned.path.clone(), reason };
    let reader = WavReader::open(&planned.path).map_err(|error| differs(error.to_string()))?;
    let (spec, header) = (reader.spec(), &planned.header);
    let is_float = spec.sample_format == SampleFormat::Float;
    let found = (u64::from(reader.duration()), spec.sample_rate, spec.channels, spec.bits_per_sample, is_float);
    let format = header.format;
    let wanted = (planned.frames, header.rate, header.channels, format.bits(), format == TakeFormat::F32);
    if found == wanted {
        return Ok(());
    }
    Err(differs(format!("it finds {found:?} and not {wanted:?}: frames, Hz, channels, bits, float")))
}
