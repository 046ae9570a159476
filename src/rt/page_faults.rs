//! The page faults of one thread, one by one, as the kernel reports them (`perf_event_open(2)`). Thread: faults, never
//! audio, whose faults it reads.
//!
//! The kernel has three software events: a fault begins, a fault was resolved at once (minor), a fault was resolved
//! after a wait for the disk or for a locked page (major). Each is sampled for the one thread, with address,
//! instruction and time. The time between the first event and the second is the cost of the fault.
//!
//! Another thread opens the events and reads their rings. The observed thread makes no call for it: the kernel writes a
//! record while it handles a fault, and looks at the events when it switches the thread.

use perf_event::events::Software;
use perf_event::{Builder, Clock, SampleFlag, Sampler};
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Bytes of the ring of one event. The kernel counts the records that do not fit, and says how many when the next one
/// fits.
const RING_BYTES: usize = 4 * 4096;

/// Bytes of a record: header, instruction, process and thread, time, address.
const RECORD_BYTES: usize = 40;

/// Records of a full ring: 409. The kernel leaves at least one byte free.
const RING_RECORDS: usize = (RING_BYTES - 1) / RECORD_BYTES;

/// Pause between two looks for the end of a fault that has just begun: none, the caller has its own.
const LOOK_AT_ONCE: Duration = Duration::ZERO;

/// Pause between two looks for the end of a fault that takes long, as on a disk that stands still.
const LOOK_LATER: Duration = Duration::from_secs(1);

/// Types of records.
const RECORD_LOST: u32 = 2;
const RECORD_SAMPLE: u32 = 9;

/// The bits of a record that say whether it was made in the kernel, and their value if it was.
const MISC_MODE: u16 = 7;
const MISC_KERNEL: u16 = 1;

/// How the kernel ended a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Without a wait.
    Minor,
    /// By waiting for the disk, or for a page that another thread had locked.
    Major,
    /// The kernel found no page: it sent a signal, or refused a system call.
    Refused,
}

/// One page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// Its end in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// Nanoseconds that the kernel took; `None` if its start was not seen.
    pub cost_ns: Option<u64>,
    /// The address that was accessed.
    pub address: u64,
    /// Address of the instruction that accessed it.
    pub instruction: u64,
    /// Whether the kernel accessed it, in a system call of the thread.
    pub in_kernel: bool,
    pub resolution: Resolution,
}

/// Why the kernel does not report faults, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The end of a sentence: "... because".
    pub reason: String,
    /// A shell command that permits it.
    pub fix: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The open events of a thread.
pub struct FaultEvents {
    begun: Sampler,
    minor: Sampler,
    major: Sampler,
    pairs: Pairs,
    sees_kernel: bool,
    /// Faults that did not fit into the rings since the last call of [`FaultEvents::drain`].
    lost: u64,
    /// Whether a ring of ends was full at the last call of [`FaultEvents::drain`].
    was_full: bool,
}

impl fmt::Debug for FaultEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultEvents").field("sees_kernel", &self.sees_kernel).finish_non_exhaustive()
    }
}

/// A record of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    instruction: u64,
    time: u64,
    address: u64,
    in_kernel: bool,
}

/// The contents of a record that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Sample(Sample),
    /// Records that did not fit into the ring.
    Lost(u64),
}

impl FaultEvents {
    /// Opens the events of thread `tid` of this process. Tries with the faults of its system calls first, which fewer
    /// systems permit.
    pub fn open(tid: i32) -> Result<FaultEvents, Refusal> {
        let opened = Self::try_open(tid, true).or_else(|_| Self::try_open(tid, false));
        opened.map_err(|error| refusal(&error, Path::new("/")))
    }

    fn try_open(tid: i32, sees_kernel: bool) -> io::Result<FaultEvents> {
        let open = |event: Software| {
            let mut builder = Builder::new(event);
            builder.observe_pid(tid).any_cpu().exclude_kernel(!sees_kernel).enabled(true);
            builder.sample_period(1).wakeup_events(1).clockid(Clock::MONOTONIC);
            builder.sample(SampleFlag::IP | SampleFlag::TID | SampleFlag::TIME | SampleFlag::ADDR);
            builder.build()?.sampled(RING_BYTES)
        };
        Ok(FaultEvents {
            begun: open(Software::PAGE_FAULTS)?,
            minor: open(Software::PAGE_FAULTS_MIN)?,
            major: open(Software::PAGE_FAULTS_MAJ)?,
            pairs: Pairs::default(),
            sees_kernel,
            lost: 0,
            was_full: false,
        })
    }

    /// Whether faults in system calls of the thread are reported too.
    pub fn sees_kernel(&self) -> bool {
        self.sees_kernel
    }

    /// Waits until a fault begins, at most for `limit`. Returns at once when the thread has ended.
    pub fn wait(&mut self, limit: Duration) {
        let content = self.begun.next_blocking(Some(limit)).and_then(|record| content(&record));
        self.take_begun(content);
    }

    /// The faults that have ended since the last call, and the number of those that did not fit into the rings.
    pub fn drain(&mut self) -> (Vec<PageFault>, u64) {
        // Ends first: the start of each is in its ring by then.
        let mut ends = Vec::new();
        self.was_full = false;
        for (ring, resolution) in [(&mut self.minor, Resolution::Minor), (&mut self.major, Resolution::Major)] {
            let mut records = 0;
            while let Some(record) = ring.next_record() {
                records += 1;
                match content(&record) {
                    Some(Content::Sample(sample)) => ends.push((sample, resolution)),
                    Some(Content::Lost(records)) => self.lost += records,
                    None => {}
                }
            }
            self.was_full |= RING_RECORDS <= records;
        }
        while let Some(content) = self.begun.next_record().map(|record| content(&record)) {
            self.take_begun(content);
        }
        ends.sort_by_key(|(sample, _)| sample.time);
        let faults = self.pairs.end(&ends, self.was_full);
        (faults, std::mem::take(&mut self.lost))
    }

    /// How long to [wait](FaultEvents::wait) before the next look. `now_ns`: the monotonic clock. `rest`: the time if
    /// no fault is open.
    pub fn next_wait(&self, now_ns: u64, rest: Duration) -> Duration {
        // A fault may be open whose begin was dropped with those of lost ends.
        if self.was_full { LOOK_AT_ONCE } else { self.pairs.next_wait(now_ns, rest) }
    }

    fn take_begun(&mut self, content: Option<Content>) {
        // A begin that was lost costs the price of its fault, and no fault.
        if let Some(Content::Sample(sample)) = content {
            self.pairs.begun.push(sample);
        }
    }
}

fn content(record: &perf_event::Record<'_>) -> Option<Content> {
    parse(record.ty(), record.misc(), &record.to_contiguous())
}

/// Parses the bytes behind the header of a record.
fn parse(kind: u32, misc: u16, bytes: &[u8]) -> Option<Content> {
    let word = |at: usize| Some(u64::from_ne_bytes(bytes.get(at * 8..at * 8 + 8)?.try_into().ok()?));
    match kind {
        // Identity of the event, number of records.
        RECORD_LOST => Some(Content::Lost(word(1)?)),
        // Instruction, process and thread, time, address: in the order of the bits of their flags.
        RECORD_SAMPLE => Some(Content::Sample(Sample {
            instruction: word(0)?,
            time: word(2)?,
            address: word(3)?,
            in_kernel: misc & MISC_MODE == MISC_KERNEL,
        })),
        _ => None,
    }
}

/// Begins of faults, each of which waits for its end.
#[derive(Debug, Default)]
struct Pairs {
    begun: Vec<Sample>,
}

impl Pairs {
    /// The faults that end with `ends`, which are in the order of their times. A begin that is older than the end of
    /// another fault has no end: a thread has one fault at a time. `are_lost`: ends may be missing, because a ring was
    /// full. Begins without an end are dropped then; their faults need not have been refused.
    fn end(&mut self, ends: &[(Sample, Resolution)], are_lost: bool) -> Vec<PageFault> {
        self.begun.sort_by_key(|sample| sample.time);
        let mut faults = Vec::new();
        for (end, resolution) in ends {
            let is_begin = |begin: &Sample| begin.time <= end.time && begin.address == end.address;
            let found = self.begun.iter().rposition(is_begin);
            let begin = found.map(|at| {
                // A fault that began earlier and has no end record got no page: the kernel refused it.
                let before: Vec<Sample> = self.begun.drain(..=at).collect();
                let refused = before[..at].iter().filter(|_| !are_lost);
                faults.extend(refused.map(|begin| fault(begin, None, Resolution::Refused)));
                before[at]
            });
            faults.push(fault(end, begin.map(|begin| end.time - begin.time), *resolution));
        }
        if are_lost {
            self.begun.clear();
        }
        faults
    }

    /// The fault that began last is looked at again: at once while it is younger than a second, then once a second.
    fn next_wait(&self, now_ns: u64, rest: Duration) -> Duration {
        match self.begun.iter().map(|begin| begin.time).max() {
            None => rest,
            Some(begun) if now_ns.saturating_sub(begun) < LOOK_LATER.as_nanos() as u64 => LOOK_AT_ONCE,
            Some(_) => LOOK_LATER.min(rest),
        }
    }
}

fn fault(sample: &Sample, cost_ns: Option<u64>, resolution: Resolution) -> PageFault {
    PageFault {
        at_ns: sample.time,
        cost_ns,
        address: sample.address,
        instruction: sample.instruction,
        in_kernel: sample.in_kernel,
        resolution,
    }
}

/// The reason for an error of `perf_event_open`, and what to do. Settings are read below `root`.
fn refusal(error: &io::Error, root: &Path) -> Refusal {
    /// The largest value that lets a user observe his own threads.
    const PARANOID_MAX: i64 = 2;
    let setting = fs::read_to_string(root.join("proc/sys/kernel/perf_event_paranoid")).ok();
    let paranoid: Option<i64> = setting.and_then(|text| text.trim().parse().ok());
    match (error.raw_os_error(), paranoid) {
        (Some(libc::EACCES | libc::EPERM), Some(level)) if PARANOID_MAX < level => Refusal {
            reason: format!("kernel.perf_event_paranoid is {level}, which keeps perf from ordinary users"),
            fix: Some(
                "echo 'kernel.perf_event_paranoid = 2' | sudo tee /etc/sysctl.d/90-faultless.conf \
                 && sudo sysctl kernel.perf_event_paranoid=2"
                    .to_owned(),
            ),
        },
        (Some(libc::EACCES | libc::EPERM), Some(_)) => Refusal {
            reason:
                "a filter of system calls (seccomp), as of a container, forbids perf_event_open; start the container \
                     with the capability PERFMON"
                    .to_owned(),
            fix: None,
        },
        (Some(libc::ENOSYS | libc::ENOENT | libc::EOPNOTSUPP), _) | (_, None) => {
            Refusal { reason: format!("this kernel has no perf events ({error})"), fix: None }
        }
        _ => Refusal { reason: format!("perf_event_open failed: {error}"), fix: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::counters::{ThreadCounters, this_thread_id};
    use std::sync::mpsc::channel;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn sample(time: u64, address: u64) -> Sample {
        Sample { instruction: 0x40_1000, time, address, in_kernel: false }
    }

    /// Records as a kernel 6.18 wrote them, without their headers.
    #[test]
    fn recorded_bytes_of_a_fault_and_of_a_full_ring_are_read() {
        let record = bytes(&[0x5555_5561_c2a0, 0x0001_0d2f_0001_0d2e, 13_570_123_456_789, 0x7f12_3456_7000]);
        let wanted = Sample {
            instruction: 0x5555_5561_c2a0,
            time: 13_570_123_456_789,
            address: 0x7f12_3456_7000,
            in_kernel: false,
        };
        assert_eq!(parse(RECORD_SAMPLE, 2, &record), Some(Content::Sample(wanted)));
        let in_kernel = Sample { in_kernel: true, ..wanted };
        assert_eq!(parse(RECORD_SAMPLE, 1 | 1 << 14, &record), Some(Content::Sample(in_kernel)));
        assert_eq!(parse(RECORD_LOST, 0, &bytes(&[7, 42])), Some(Content::Lost(42)));
        assert_eq!((parse(RECORD_SAMPLE, 2, &record[..30]), parse(5, 0, &record)), (None, None));
    }

    #[test]
    fn an_end_is_paired_with_its_begin_and_a_begin_without_one_was_refused() {
        let mut pairs = Pairs { begun: vec![sample(100, 1), sample(200, 2), sample(300, 3)] };
        let faults = pairs.end(&[(sample(250, 2), Resolution::Minor)], false);
        assert_eq!(faults.len(), 2);
        assert_eq!((faults[0].address, faults[0].resolution), (1, Resolution::Refused));
        assert_eq!((faults[1].address, faults[1].cost_ns), (2, Some(50)));
        assert_eq!(pairs.begun, [sample(300, 3)], "it has not ended");
        let faults = pairs.end(&[(sample(5_000_300, 3), Resolution::Major)], false);
        assert_eq!((faults[0].cost_ns, faults[0].resolution), (Some(5_000_000), Resolution::Major));
        // Its begin did not fit into the ring.
        assert_eq!(pairs.end(&[(sample(9, 9), Resolution::Minor)], false)[0].cost_ns, None);
    }

    /// The ring of begins has room for one record more than that of ends, because the thread takes one out while it
    /// waits.
    #[test]
    fn begins_whose_ends_were_lost_in_a_full_ring_are_no_faults_without_a_page() {
        let begun = (0..=RING_RECORDS as u64).map(|at| sample(10 * at, 4096 * at)).collect();
        let mut pairs = Pairs { begun };
        // The end of the third fault is missing too.
        let of = |at: u64| (sample(10 * at + 5, 4096 * at), Resolution::Minor);
        let ends: Vec<_> = (0..RING_RECORDS as u64).filter(|at| *at != 2).map(of).collect();
        let faults = pairs.end(&ends, true);
        assert_eq!(faults.len(), ends.len());
        assert!(faults.iter().all(|fault| fault.cost_ns == Some(5)), "{faults:?}");
        assert!(pairs.begun.is_empty(), "{pairs:?}");
        assert_eq!((RING_RECORDS, pairs.next_wait(u64::MAX, Duration::MAX)), (409, Duration::MAX));
    }

    #[test]
    fn a_fault_without_an_end_is_looked_at_once_a_second_after_its_first_second() {
        const SECOND: u64 = 1_000_000_000;
        let pairs = Pairs { begun: vec![sample(5 * SECOND, 1), sample(6 * SECOND, 2)] };
        let rest = Duration::from_secs(60);
        assert_eq!(pairs.next_wait(6 * SECOND + 10, rest), Duration::ZERO);
        assert_eq!(pairs.next_wait(7 * SECOND, rest), Duration::from_secs(1));
        assert_eq!(Pairs::default().next_wait(7 * SECOND, rest), rest);
    }

    #[test]
    fn a_burst_of_more_faults_than_a_ring_holds_has_no_fault_without_a_page_and_ends_the_looks() {
        const PAGES: usize = 700;
        let (send_tid, tid) = channel();
        let (go, wait) = channel();
        let (done, is_done) = channel();
        let (end, may_end) = channel::<()>();
        let thread = std::thread::spawn(move || {
            let Ok(mut map) = memmap2::MmapMut::map_anon(PAGES * 4096) else { panic!("no memory") };
            map.advise(memmap2::Advice::NoHugePage).ok();
            send_tid.send(this_thread_id()).unwrap();
            wait.recv().unwrap();
            (0..PAGES).for_each(|page| map[page * 4096] = 1);
            done.send(()).unwrap();
            may_end.recv().ok();
        });
        let mut events = match FaultEvents::open(tid.recv().unwrap()) {
            Ok(events) => events,
            Err(refused) => {
                println!("SKIPPED rt::page_faults: perf events are not permitted: {refused}");
                drop(end);
                go.send(()).unwrap();
                thread.join().unwrap();
                return;
            }
        };
        go.send(()).unwrap();
        is_done.recv().unwrap();
        events.wait(Duration::from_secs(5));
        let (faults, _) = events.drain();
        assert!(faults.len() >= RING_RECORDS, "{}", faults.len());
        assert!(faults.iter().all(|fault| fault.resolution != Resolution::Refused), "{faults:?}");
        events.drain();
        let rest = Duration::from_secs(60);
        assert_eq!(events.next_wait(u64::MAX, rest), rest);
        drop(end);
        thread.join().unwrap();
    }

    #[test]
    fn a_refusal_says_why_and_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let setting = root.path().join("proc/sys/kernel");
        fs::create_dir_all(&setting).unwrap();
        let of = |errno, level: &str| {
            fs::write(setting.join("perf_event_paranoid"), level).unwrap();
            refusal(&io::Error::from_raw_os_error(errno), root.path())
        };
        let strict = of(libc::EACCES, "4\n");
        assert!(strict.reason.contains("perf_event_paranoid is 4"), "{strict}");
        assert!(strict.fix.unwrap().contains("sysctl kernel.perf_event_paranoid=2"));
        assert!(of(libc::EPERM, "2\n").reason.contains("seccomp"));
        assert!(of(libc::ENOSYS, "2\n").reason.contains("no perf events"));
        assert!(refusal(&io::Error::from_raw_os_error(libc::ENOENT), Path::new("/nowhere")).reason.contains("no perf"));
    }

    #[test]
    fn each_fault_of_a_thread_is_found_with_its_address_its_cost_and_its_instruction() {
        let (send_tid, tid) = channel();
        let (go, wait) = channel();
        let thread = std::thread::spawn(move || {
            let map = memmap2::MmapMut::map_anon(8 * 4096);
            let Ok(mut map) = map else { panic!("no memory") };
            let before = ThreadCounters::of(this_thread_id()).unwrap();
            send_tid.send((this_thread_id(), map.as_ptr() as u64)).unwrap();
            wait.recv().unwrap();
            for page in [0, 3, 6] {
                map[page * 4096 + 24] = 1;
            }
            ThreadCounters::of(this_thread_id()).unwrap().since(&before)
        });
        let (tid, address) = tid.recv().unwrap();
        let mut events = match FaultEvents::open(tid) {
            Ok(events) => events,
            Err(refused) => {
                println!("SKIPPED rt::page_faults: perf events are not permitted: {refused}");
                go.send(()).unwrap();
                thread.join().unwrap();
                return;
            }
        };
        go.send(()).unwrap();
        let counted = thread.join().unwrap();
        events.wait(Duration::from_secs(5));
        let (faults, lost) = events.drain();
        let ours: Vec<&PageFault> =
            faults.iter().filter(|fault| (address..address + 8 * 4096).contains(&fault.address)).collect();
        let addresses: Vec<u64> = ours.iter().map(|fault| fault.address - address).collect();
        // A kernel with large pages may resolve several at once.
        assert!(addresses.first() == Some(&24) && addresses.iter().all(|at| at % 4096 == 24), "{faults:?}");
        assert!(ours.iter().all(|fault| fault.resolution == Resolution::Minor && !fault.in_kernel));
        assert!(
            ours.iter().all(|fault| fault.cost_ns.is_some_and(|cost| 0 < cost && cost < 1_000_000_000)),
            "{ours:?}"
        );
        assert!(ours.iter().all(|fault| fault.instruction != 0 && fault.at_ns > 0));
        assert!(lost == 0 && faults.len() as u64 <= counted.minor_faults + 200, "{counted:?}");
        assert_eq!(events.next_wait(u64::MAX, Duration::MAX), Duration::MAX);
    }
}
