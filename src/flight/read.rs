//! Reads events back. Size and number are bounded, because a session may come from anywhere; the last line may be
//! incomplete after a crash. Thread: any that may wait for the disk.

use super::record::Record;
use crate::file_system::open_regular;
use crate::limits;
use crate::session::names::{EARLIER_EVENTS_FILE, EVENTS_FILE};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The last events of a session, at most `max`, the oldest first. Skips lines that are no events.
pub fn last(folder: &Path, max: usize) -> Vec<Record> {
    let mut records: Vec<Record> =
        [EARLIER_EVENTS_FILE, EVENTS_FILE].iter().flat_map(|name| events(&folder.join(name))).collect();
    records.split_off(records.len().saturating_sub(max))
}

fn events(path: &Path) -> Vec<Record> {
    let bytes = tail(path).unwrap_or_default();
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).filter_map(Record::parse).collect()
}

/// The end of a file: at most the size limit of an events file, without the line that this cuts.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_regular(path)?;
    let skipped = file.metadata()?.len().saturating_sub(limits::FLIGHT_BYTES_MAX);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(limits::FLIGHT_BYTES_MAX).read_to_end(&mut bytes)?;
    if skipped > 0 {
        let cut = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..cut);
    }
    Ok(bytes)
}
