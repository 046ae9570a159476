//! Finds out which memory an address is, and which function an instruction. Thread: faults.
//!
//! Windows are looked up in the ledger by address and time: the ledger keeps a window after it came back, and the address
//! may belong to a later one by then. Other addresses are looked up in `/proc/self/maps`.

use super::faults::{Fault, FaultCause, FaultKind, FaultPlace};
use super::ledger::Ledger;
use crate::limits::PAGE_BYTES;
use crate::rt::page_faults::{PageFault, Resolution};
use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};
use std::collections::HashMap;
use std::ffi::c_void;
use std::path::Path;
use std::sync::Arc;

/// Functions that are remembered. A storm of faults comes from a few instructions.
const SYMBOLS_MAX: usize = 1024;

/// Finds memory and code of faults. Remembers the names of functions.
#[derive(Debug)]
pub(super) struct Attributor {
    ledger: Arc<Ledger>,
    /// An address on the stack of the audio thread.
    stack: u64,
    symbols: HashMap<u64, String>,
}

impl Attributor {
    pub(super) fn new(ledger: Arc<Ledger>, stack: u64) -> Attributor {
        Attributor { ledger, stack, symbols: HashMap::new() }
    }

    /// The faults with the memory that each hit.
    pub(super) fn attribute(&mut self, faults: &[PageFault]) -> Vec<Fault> {
        // The mappings of the process are read only if an address is in no window.
        let mut maps: Option<Vec<MemoryMap>> = None;
        faults.iter().map(|fault| self.attribute_one(fault, &mut maps)).collect()
    }

    fn attribute_one(&mut self, fault: &PageFault, maps: &mut Option<Vec<MemoryMap>>) -> Fault {
        let (place, cause) = match self.window_at(fault) {
            Some(found) => found,
            None => self.other_memory(fault.address, maps.get_or_insert_with(own_maps)),
        };
        Fault {
            at_ns: fault.at_ns,
            kind: match fault.resolution {
                Resolution::Minor => FaultKind::Minor,
                Resolution::Major => FaultKind::Major,
                Resolution::Refused => FaultKind::Refused,
            },
            cause,
            cost_us: fault.cost_ns.map(|ns| ns as f64 / 1e3),
            address: fault.address,
            place,
            instruction: fault.instruction,
            code: self.code_at(fault, maps),
            in_kernel: fault.in_kernel,
        }
    }

    /// The window at the address of a fault.
    fn window_at(&self, fault: &PageFault) -> Option<(FaultPlace, FaultCause)> {
        let at = self.ledger.stamp_at(fault.at_ns);
        let page = |byte: u64| byte / PAGE_BYTES as u64;
        for take in self.ledger.takes() {
            let Some((span, byte)) = take.window_at(fault.address, at) else { continue };
            let file = take.path.display().to_string();
            let place = FaultPlace::Capture { take: take.identity, file, page: page(byte), byte, locked: span.locked };
            // A window is populated before it is handed over. The kernel never write-protects memory of the spool for
            // writeback. A program that writes 4 to `/proc/PID/clear_refs`, as CRIU does, is not looked for.
            let cause = if take.spool().is_none() { FaultCause::WriteProtected } else { FaultCause::NotPresent };
            return Some((place, cause));
        }
        for slot in self.ledger.slots() {
            let (spans, _) = slot.view();
            let inside = |start: usize, bytes: u32| {
                fault.address.checked_sub(start as u64).filter(|offset| *offset < u64::from(bytes))
            };
            let found = spans.iter().find_map(|span| Some((span, inside(span.address, span.bytes)?)));
            if let Some((span, offset)) = found {
                let byte = span.offset + offset;
                let file = span.path.display().to_string();
                let place = FaultPlace::Playback { slot: slot.slot, file, page: page(byte), byte, locked: span.locked };
                return Some((place, FaultCause::NotPresent));
            }
        }
        None
    }

    fn other_memory(&self, address: u64, maps: &[MemoryMap]) -> (FaultPlace, FaultCause) {
        let Some(map) = map_at(maps, address) else { return (FaultPlace::Unmapped, FaultCause::NotPresent) };
        let may_be_a_copy = map.perms.contains(MMPermissions::PRIVATE | MMPermissions::WRITE);
        let of_file = if may_be_a_copy { FaultCause::NotPresentOrCopied } else { FaultCause::NotPresent };
        let has_stack = (map.address.0..map.address.1).contains(&self.stack);
        match &map.pathname {
            MMapPath::Path(path) => {
                let byte = map.offset + (address - map.address.0);
                (FaultPlace::File { file: path.display().to_string(), byte }, of_file)
            }
            _ if has_stack => (FaultPlace::Stack, FaultCause::NotPresent),
            MMapPath::Heap => (FaultPlace::Heap, FaultCause::NotPresent),
            _ => (FaultPlace::Anonymous, FaultCause::NotPresent),
        }
    }

    /// Name of the function of an instruction, or file and offset.
    fn code_at(&mut self, fault: &PageFault, maps: &mut Option<Vec<MemoryMap>>) -> String {
        if let Some(known) = self.symbols.get(&fault.instruction) {
            return known.clone();
        }
        let found = if fault.in_kernel && i64::try_from(fault.instruction).is_err() {
            "a system call".to_owned()
        } else {
            symbol(fault.instruction).unwrap_or_else(|| {
                let maps = maps.get_or_insert_with(own_maps);
                offset_in_file(fault.instruction, maps)
            })
        };
        if SYMBOLS_MAX <= self.symbols.len() {
            self.symbols.clear();
        }
        self.symbols.insert(fault.instruction, found.clone());
        found
    }
}

/// The name of the function that contains an instruction. The symbols of the program and its libraries are read when
/// the first one is asked for.
fn symbol(instruction: u64) -> Option<String> {
    let mut name = None;
    backtrace::resolve(instruction as usize as *mut c_void, |symbol| {
        // Of inlined functions the innermost comes first; the outer one has the address.
        let found = symbol.name().map(|found| format!("{found:#}"));
        let line = symbol.filename().zip(symbol.lineno());
        let place = line.map_or_else(String::new, |(file, line)| {
            let file = file.file_name().unwrap_or_default().to_string_lossy();
            format!(" ({file}:{line})")
        });
        if name.is_none() {
            name = found.map(|found| format!("{found}{place}"));
        }
    });
    name
}

fn offset_in_file(instruction: u64, maps: &[MemoryMap]) -> String {
    match map_at(maps, instruction) {
        Some(MemoryMap { pathname: MMapPath::Path(path), address, offset, .. }) => {
            let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
            format!("{name}+{:#x}", offset + (instruction - address.0))
        }
        _ => format!("{instruction:#x}"),
    }
}

fn own_maps() -> Vec<MemoryMap> {
    Process::myself().and_then(|process| process.maps()).map(|maps| maps.0).unwrap_or_default()
}

fn map_at(maps: &[MemoryMap], address: u64) -> Option<&MemoryMap> {
    maps.iter().find(|map| (map.address.0..map.address.1).contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::limits::DATA_OFFSET;
    use crate::message::offset::SpoolByte;
    use crate::message::take::{TakeKey, TakePlan};
    use crate::wav::header::Header;
    use crate::window::map::Mapping;
    use std::path::PathBuf;

    fn attributor(ledger: &Arc<Ledger>) -> Attributor {
        let here = 0_u8;
        Attributor::new(Arc::clone(ledger), &raw const here as u64)
    }

    fn fault(ledger: &Ledger, address: u64) -> PageFault {
        let now = super::super::window_events::monotonic_ns();
        assert!(ledger.stamp_at(now).0 <= ledger.now().0);
        PageFault {
            at_ns: now,
            cost_ns: Some(2500),
            address,
            instruction: symbol as fn(u64) -> Option<String> as usize as u64 + 4,
            in_kernel: false,
            resolution: Resolution::Minor,
        }
    }

    fn place_of(attributor: &mut Attributor, ledger: &Ledger, address: u64) -> Fault {
        attributor.attribute(&[fault(ledger, address)]).remove(0)
    }

    #[test]
    fn an_address_in_a_capture_window_is_a_page_and_a_byte_of_its_take() {
        let ledger: Arc<Ledger> = Arc::default();
        let plan = TakePlan {
            key: TakeKey(1),
            identity: uuid::Uuid::new_v4(),
            session: uuid::Uuid::new_v4(),
            path: PathBuf::from("/x/audio/In 1-1.wav"),
            header: Header::new(1, 48_000, TakeFormat::S24),
            pair: None,
            head: crate::time::Frames(0),
        };
        let take = ledger.take(&plan);
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        let window = Mapping::writable(&file, DATA_OFFSET, 4 * PAGE_BYTES).unwrap();
        take.supplied(SpoolByte::DATA, 4 * PAGE_BYTES, &window);
        std::thread::sleep(std::time::Duration::from_millis(3));
        let mut attributor = attributor(&ledger);
        let found = place_of(&mut attributor, &ledger, window.address() as u64 + 2 * 4096 + 100);
        let file = "/x/audio/In 1-1.wav".to_owned();
        let byte = DATA_OFFSET + 2 * 4096 + 100;
        assert_eq!(found.place, FaultPlace::Capture { take: plan.identity, file, page: 3, byte, locked: false });
        // Without a spool the window maps the take itself, which the kernel writes back.
        assert_eq!((found.cause, found.cost_us), (FaultCause::WriteProtected, Some(2.5)));
        assert!(found.code.contains("symbol"), "{}", found.code);
        // The window came back before this fault: the address is no window any more.
        take.collected(SpoolByte::DATA, 4096, true);
        std::thread::sleep(std::time::Duration::from_millis(3));
        let found = place_of(&mut attributor, &ledger, window.address() as u64);
        assert!(!matches!(found.place, FaultPlace::Capture { .. }), "{found:?}");
    }

    #[test]
    fn other_addresses_are_code_stack_heap_or_nothing() {
        let ledger: Arc<Ledger> = Arc::default();
        let mut attributor = attributor(&ledger);
        let code = place_of(&mut attributor, &ledger, symbol as fn(u64) -> Option<String> as usize as u64);
        assert!(matches!(&code.place, FaultPlace::File { file, .. } if file.contains("faultless")), "{code:?}");
        let local = 0_u8;
        assert_eq!(place_of(&mut attributor, &ledger, &raw const local as u64).place, FaultPlace::Stack);
        let mapped = memmap2::MmapMut::map_anon(1 << 24).unwrap();
        let at = mapped.as_ptr() as u64 + (1 << 23);
        assert_eq!(place_of(&mut attributor, &ledger, at).place, FaultPlace::Anonymous);
        assert_eq!(place_of(&mut attributor, &ledger, 8).place, FaultPlace::Unmapped);
    }
}
