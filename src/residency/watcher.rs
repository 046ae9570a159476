//! The watcher: takes samples while a front end shows them, and twice a second while something rolls; figures as long as
//! a session is open. Thread: watcher; the front end owns the handle.

use super::disk_work::{self, DiskWork, DiskWorkLog, SeenWork};
use super::disk_work_reader::DiskWorkReader;
use super::faults::SeenFault;
use super::history::History;
use super::kernel_counters::{KernelCounters, KernelDeltas};
use super::rates::{RateMeter, RatePoint, Rates};
use super::sample::{RowKey, Sample, Sources, View};
use super::sampler::{Sampler, unwritten};
use super::story;
use super::window_events::monotonic_ns;
use crate::limits::{self, RATE_MS, RESIDENCY_HZ_MAX};
use crate::lock::lock;
use crate::mailbox::{Mailbox, Poster, mailbox};
use crate::residency::ledger::Stamp;
use crossbeam_channel::RecvTimeoutError;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The thread works at most one part in this many of its time. With very many tracks it takes fewer samples than
/// requested.
const SHARE: u32 = 20;

/// Time from one point of the figures to the next.
const RATE: Duration = Duration::from_millis(RATE_MS);

/// Stack of the thread in bytes.
const STACK_BYTES: usize = limits::HELPER_STACK_BYTES;

/// Samples as a front end reads them, from the watcher of this process or of another one.
pub trait ResidencySamples: Send + Sync {
    /// Requests samples of `view` from now on; `None`: no samples.
    fn set_view(&self, view: Option<View>);

    /// The last sample. Does not wait.
    fn latest(&self) -> Option<Arc<Sample>>;

    /// The samples of the last minute, oldest first.
    fn history(&self) -> Vec<Arc<Sample>>;

    /// The history of the page as of `sample`. Empty while it is not known.
    fn page_story_at(&self, sample: &Sample, key: &RowKey, byte: u64) -> Vec<String>;

    /// Figures over the last minute in which something rolled, oldest first.
    fn rates(&self) -> Vec<RatePoint>;

    /// The last page faults of the audio thread, oldest first.
    fn faults(&self) -> Vec<SeenFault>;

    /// Why page faults are not attributed; `None` if they are.
    fn no_faults_because(&self) -> Option<Arc<str>>;

    /// The last syncs and writeback by others, oldest first.
    fn disk_work(&self) -> Vec<SeenWork>;

    /// Why those are not known; `None` if they are.
    fn no_disk_work_because(&self) -> Option<Arc<str>>;

    /// The gaps in those, in words; `None`: there are none.
    fn disk_work_gaps(&self) -> Option<Arc<str>>;
}

impl ResidencySamples for Watcher {
    fn set_view(&self, view: Option<View>) {
        Watcher::set_view(self, view);
    }

    fn latest(&self) -> Option<Arc<Sample>> {
        Watcher::latest(self)
    }

    fn history(&self) -> Vec<Arc<Sample>> {
        Watcher::history(self)
    }

    fn page_story_at(&self, sample: &Sample, key: &RowKey, byte: u64) -> Vec<String> {
        Watcher::page_story_at(self, sample, key, byte)
    }

    fn rates(&self) -> Vec<RatePoint> {
        Watcher::rates_after(self, None)
    }

    fn faults(&self) -> Vec<SeenFault> {
        Watcher::faults_after(self, 0)
    }

    fn no_faults_because(&self) -> Option<Arc<str>> {
        self.sources.faults.refusal().cloned()
    }

    fn disk_work(&self) -> Vec<SeenWork> {
        Watcher::disk_work_after(self, 0)
    }

    fn no_disk_work_because(&self) -> Option<Arc<str>> {
        self.samples.disk_work.refusal().cloned()
    }

    fn disk_work_gaps(&self) -> Option<Arc<str>> {
        self.samples.disk_work.gaps()
    }
}

/// The handle of the thread. Dropping it ends the thread and does not wait for it: the thread only reads.
#[derive(Debug)]
pub struct Watcher {
    sources: Sources,
    samples: Arc<Samples>,
    /// The view that is wanted. Only the newest one counts.
    views: Poster<Option<View>>,
}

/// The samples that the thread writes and the handle reads.
#[derive(Debug, Default)]
struct Samples {
    latest: Mutex<Option<Arc<Sample>>>,
    history: Mutex<History>,
    rates: Mutex<Rates>,
    kernel: Mutex<KernelCounters>,
    disk_work: DiskWorkLog,
}

impl Watcher {
    /// Starts the thread. It takes figures, and samples when [`Watcher::set_view`] requests them.
    pub fn start(sources: Sources) -> io::Result<Watcher> {
        let (views, wanted) = mailbox();
        let samples = Arc::new(Samples::default());
        std::thread::Builder::new().name("watcher".to_owned()).stack_size(STACK_BYTES).spawn({
            let (sources, samples) = (sources.clone(), Arc::clone(&samples));
            move || run(&sources, &samples, &wanted)
        })?;
        Ok(Watcher { sources, samples, views })
    }

    /// Requests samples of `view` from now on. `None`: no samples. Samples taken before are kept.
    pub fn set_view(&self, view: Option<View>) {
        // A thread that has failed takes no more samples; the age of the last one shows it.
        self.views.post(view);
    }

    /// The last sample. Does not wait: `None` before the first sample, and while the thread replaces it.
    pub fn latest(&self) -> Option<Arc<Sample>> {
        self.samples.latest.try_lock().ok()?.clone()
    }

    /// The samples of the last minute, oldest first; see [`crate::limits::RESIDENCY_HISTORY_MS`] and
    /// [`crate::limits::RESIDENCY_HISTORY_BYTES_MAX`].
    pub fn history(&self) -> Vec<Arc<Sample>> {
        lock(&self.samples.history).samples()
    }

    /// The history of the page that contains offset `byte` of a row's file, as of now, one line for each event. The
    /// first lines give the position and the states of the last sample. Empty if the last sample has no such row.
    pub fn page_story(&self, key: &RowKey, byte: u64) -> Vec<String> {
        let latest = lock(&self.samples.latest).clone();
        let now = self.sources.ledger.now();
        latest.map(|sample| self.story(&sample, now, key, byte)).unwrap_or_default()
    }

    /// The history of the page as of `sample`. Leaves later events out, and counts ages from the time of the sample.
    pub fn page_story_at(&self, sample: &Sample, key: &RowKey, byte: u64) -> Vec<String> {
        self.story(sample, sample.at, key, byte)
    }

    /// The history of a page, then the syncs and the writeback by others that concern it.
    fn story(&self, sample: &Sample, now: Stamp, key: &RowKey, byte: u64) -> Vec<String> {
        let ledger = &self.sources.ledger;
        let mut lines = story::page_story(ledger, sample, now, key, byte);
        let take = match key {
            RowKey::Take { key, .. } => ledger.takes().into_iter().find(|take| take.key == *key),
            RowKey::Slot(_) => None,
        };
        let of_take = take.as_ref().and_then(|take| take.wav()?.metadata().ok());
        if !lines.is_empty() {
            let inode = of_take.map(|metadata| metadata.ino());
            lines.extend(disk_work::story(&self.samples.disk_work, inode, now, |at_ns| ledger.stamp_at(at_ns)));
            // Only pages of the file itself can be written back by others.
            let is_in_place = take.is_some_and(|take| take.spool().is_none());
            let log = &self.samples.disk_work;
            let reason = log.refusal().cloned().or_else(|| log.unseen()).filter(|_| is_in_place);
            lines.extend(reason.map(|reason| format!("who synced or wrote back is not known: {reason}")));
        }
        lines
    }

    /// The figures after `at_ms`, or all: those of the last minute in which something rolled.
    pub fn rates_after(&self, at_ms: Option<u64>) -> Vec<RatePoint> {
        lock(&self.samples.rates).after(at_ms)
    }

    /// The page faults of the audio thread after the first `number` ones, as far as they are kept.
    pub fn faults_after(&self, number: u64) -> Vec<SeenFault> {
        let seen = |(number, fault): (u64, Arc<super::faults::Fault>)| SeenFault {
            number,
            at: self.sources.ledger.stamp_at(fault.at_ns),
            fault,
        };
        self.sources.faults.after(number).into_iter().map(seen).collect()
    }

    /// Why page faults are not attributed; `None` if they are.
    pub fn no_faults_because(&self) -> Option<&Arc<str>> {
        self.sources.faults.refusal()
    }

    /// The syncs and the writeback by others after the first `number` ones, as far as they are kept.
    pub fn disk_work_after(&self, number: u64) -> Vec<SeenWork> {
        let seen = |(number, work): (u64, Arc<DiskWork>)| SeenWork {
            number,
            at: self.sources.ledger.stamp_at(work.at_ns),
            work,
        };
        self.samples.disk_work.after(number).into_iter().map(seen).collect()
    }

    /// The log of syncs and writeback by others.
    pub fn disk_work_log(&self) -> &DiskWorkLog {
        &self.samples.disk_work
    }

    /// The change of the kernel's counters. Asks the kernel, which takes milliseconds.
    pub fn kernel_deltas(&self) -> KernelDeltas {
        lock(&self.samples.kernel).deltas(self.sources.ledger.now().0)
    }
}

fn run(sources: &Sources, samples: &Samples, views: &Mailbox<Option<View>>) {
    let (mut sampler, mut meter) = (Sampler::new(sources.clone()), RateMeter::default());
    let mut others = match DiskWorkReader::open() {
        Ok(reader) => Some(reader),
        Err(refused) => {
            samples.disk_work.refuse(&refused.reason);
            None
        }
    };
    let mut view: Option<View> = None;
    let (mut next, mut next_rate) = (Instant::now(), Instant::now());
    lock(&samples.kernel).start(sources.ledger.now().0);
    loop {
        match views.take(Some(if view.is_some() { next.min(next_rate) } else { next_rate })) {
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(wanted) => {
                if view.is_none() {
                    sampler.forget();
                    next = Instant::now();
                }
                view = wanted;
            }
            Err(RecvTimeoutError::Timeout) => {
                if next_rate <= Instant::now() {
                    next_rate = after(next_rate, RATE, take_rates(sources, samples, &mut meter, others.as_mut()));
                }
                if let Some(view) = view.as_ref().filter(|_| next <= Instant::now()) {
                    let sample = Arc::new(sampler.sample(view));
                    *lock(&samples.latest) = Some(Arc::clone(&sample));
                    // A sample without rows shows nothing to look back at, and would displace those before the stop.
                    if !sample.rows.is_empty() {
                        lock(&samples.history).push(Arc::clone(&sample));
                    }
                    next = after(next, interval(view), Duration::from_micros(u64::from(sample.took_us)));
                }
            }
        }
    }
}

/// The moment of the next work. After late or long work the schedule moves: nothing is made up for.
fn after(last: Instant, interval: Duration, took: Duration) -> Instant {
    (last + interval).max(Instant::now() + took * (SHARE - 1))
}

/// Adds the figures of an interval. Returns how long it took.
fn take_rates(
    sources: &Sources,
    samples: &Samples,
    meter: &mut RateMeter,
    others: Option<&mut DiskWorkReader>,
) -> Duration {
    let (started, at_ms) = (Instant::now(), sources.ledger.now().0);
    if let Some(others) = others {
        others.read(&sources.ledger, &samples.disk_work);
    }
    let machine = lock(&samples.kernel).read(at_ms);
    if let Some(point) = meter.point(sources, &machine, unwritten(sources), (at_ms, monotonic_ns())) {
        lock(&samples.rates).push(point);
    }
    started.elapsed()
}

fn interval(view: &View) -> Duration {
    Duration::from_secs(1) / view.hz.clamp(1, RESIDENCY_HZ_MAX)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Pages, Row};
    use super::super::state::{Cell, Kernel, PageState};
    use super::super::story::page_story;
    use super::*;
    use crate::format::TakeFormat;
    use crate::limits::{DATA_OFFSET, PAGE_BYTES};
    use crate::message::offset::SpoolByte;
    use crate::message::published::Published;
    use crate::message::spool_file::{CapturedSlot, SpoolFile};
    use crate::message::stats::DiskPublished;
    use crate::message::take::{TakeKey, TakePlan};
    use crate::residency::ledger::{Ledger, TakeLedger};
    use crate::rt::counters::ThreadCounters;
    use crate::spool_index::Shape;
    use crate::wav::header::Header;
    use crate::window::budget::LockBudget;
    use crate::window::kernel_pages::cachestat;
    use crate::window::map::{Mapping, Populate};
    use std::fs::File;
    use std::path::PathBuf;
    use std::sync::atomic::Ordering::Relaxed;

    const PAGE: u64 = PAGE_BYTES as u64;
    const WINDOW: usize = 4 * PAGE_BYTES;
    const VIEW: View = View { cells: 64, pages: Pages::AroundHead { back_ms: 1000, ahead_ms: 1000 }, hz: 50 };

    fn sources() -> Sources {
        Sources {
            ledger: Arc::default(),
            published: Arc::new(Published::new(0)),
            disk: Arc::new(DiskPublished::default()),
            budget: LockBudget::new(1 << 30),
            faults: Arc::default(),
        }
    }

    /// A file on the disk that contains the test binary. On tmpfs the kernel writes nothing back, so it would prove
    /// nothing.
    fn file() -> Arc<File> {
        let program = std::env::current_exe().unwrap();
        let file = tempfile::tempfile_in(program.parent().unwrap()).unwrap();
        file.set_len(1 << 20).unwrap();
        Arc::new(file)
    }

    /// 16-bit at 16 kHz: one second is some 8 pages.
    fn take(ledger: &Ledger, key: u64) -> Arc<TakeLedger> {
        let plan = TakePlan {
            key: TakeKey(key),
            identity: uuid::Uuid::new_v4(),
            session: uuid::Uuid::new_v4(),
            path: PathBuf::from("/x/audio/In 1-1.wav"),
            header: Header::new(1, 16_000, TakeFormat::S16),
            pair: None,
            head: crate::time::Frames(0),
        };
        let take = ledger.take(&plan);
        take.opened(&file());
        take
    }

    /// A window of the take's own file or of its spool, populated and locked.
    fn window(take: &TakeLedger, index: u64, budget: &Arc<LockBudget>) -> Mapping {
        let offset = DATA_OFFSET + index * WINDOW as u64;
        // The slots of the spool are not in the order of the windows.
        let slot = index as u32 ^ 1;
        let mut map = match take.spool() {
            None => Mapping::writable(&take.wav().unwrap(), offset, WINDOW).unwrap(),
            Some(spool) => {
                spool.list(slot, SpoolByte(offset), WINDOW).unwrap();
                Mapping::writable(&spool.file, spool.shape.slot_at(slot), WINDOW).unwrap()
            }
        };
        map.populate(Populate::Advise).unwrap();
        assert!(map.lock(budget));
        take.supplied(SpoolByte(offset), WINDOW, &map);
        map
    }

    /// A spool in memory for a take, whose slots have the size of a window.
    fn spool(take: &TakeLedger) -> Arc<SpoolFile> {
        let file = File::from(nix::sys::memfd::memfd_create(c"test", nix::sys::memfd::MFdFlags::empty()).unwrap());
        let shape = Shape::new(1, WINDOW);
        file.set_len(shape.file_bytes()).unwrap();
        let spool = Arc::new(SpoolFile::new(file, None, shape));
        take.spooled(&spool);
        spool
    }

    fn shown(row: &Row, pages: std::ops::Range<u64>) -> Vec<PageState> {
        pages.map(|page| row.cell_at(page * PAGE).map_or(PageState::None, Cell::shown)).collect()
    }

    #[test]
    fn a_locked_window_of_a_file_is_locked_until_it_is_written_back_and_again_after_a_store() {
        use PageState::{Locked, WriteProtected};
        let sources = sources();
        let take = take(&sources.ledger, 1);
        let mut map = window(&take, 0, &sources.budget);
        if cachestat(&take.wav().unwrap(), 0, 1).is_err() {
            return;
        }
        let mut sampler = Sampler::new(sources.clone());
        let mut look = || sampler.sample(&VIEW).rows.remove(0);
        let row = look();
        assert_eq!(shown(&row, 1..5), [PageState::Locked; 4]);
        // The file system may have brought in more than was asked for.
        assert!(matches!(shown(&row, 5..6)[0], PageState::OnDisk | PageState::Cached));
        take.wav().unwrap().sync_data().unwrap();
        let row = look();
        assert_eq!(shown(&row, 1..5), [PageState::WriteProtected; 4]);
        assert_eq!(row.cell_at(PAGE).unwrap().believed(), PageState::Locked);
        map.bytes_mut()[PAGE_BYTES] = 7;
        assert_eq!(shown(&look(), 1..5), [WriteProtected, Locked, WriteProtected, WriteProtected]);
        map.populate(Populate::Advise).unwrap();
        let sample = sampler.sample(&VIEW);
        assert_eq!(shown(&sample.rows[0], 1..5), [Locked; 4], "armed again");
        assert_eq!((sample.disagreements(), sample.figures.locked_bytes_believed), (0, WINDOW as u64));
        assert!(WINDOW as u64 <= sample.figures.locked_bytes_kernel && !sample.figures.lock_disagrees);
    }

    #[test]
    fn a_window_of_the_spool_goes_from_locked_to_durable() {
        use PageState::{Committed, Durable, Locked, Recorded};
        let sources = sources();
        let take = take(&sources.ledger, 1);
        spool(&take);
        let maps = [window(&take, 0, &sources.budget), window(&take, 1, &sources.budget)];
        let mut sampler = Sampler::new(sources.clone());
        sources.published.pass_frames.store(WINDOW as u64 / 2 + 2048, Relaxed);
        let mut look = || shown(&sampler.sample(&VIEW).rows[0], 1..10);
        let rest = [Locked, Locked, Locked, PageState::None];
        assert_eq!(look(), [[Recorded; 5].as_slice(), &rest].concat());
        take.collected(SpoolByte::DATA, WINDOW, true);
        assert_eq!(look()[..5], [Recorded; 5]);
        take.committed(SpoolByte::DATA + WINDOW as u64, Duration::from_millis(1));
        assert_eq!(look()[..5], [Committed, Committed, Committed, Committed, Recorded]);
        take.durable(SpoolByte::DATA + WINDOW as u64);
        assert_eq!(look()[..5], [Durable, Durable, Durable, Durable, Recorded]);
        drop(maps);
    }

    #[test]
    fn the_pool_shows_what_each_slot_holds_and_that_it_is_used_again() {
        use PageState::{Free, Locked, Recorded};
        let sources = sources();
        let take = take(&sources.ledger, 1);
        let spool = spool(&take);
        // The first window of the take lies in slot 1, the second one in slot 0.
        let (first, _second) = (window(&take, 0, &sources.budget), window(&take, 1, &sources.budget));
        let mut sampler = Sampler::new(sources.clone());
        let view = View { pages: Pages::Pool, ..VIEW };
        let all = |row: &Row| shown(row, 0..8);
        sources.published.pass_frames.store(WINDOW as u64 / 2 + 2048, Relaxed);
        let sample = sampler.sample(&view);
        let row = &sample.rows[0];
        assert_eq!(all(row), [[Recorded, Locked, Locked, Locked], [Recorded; 4]].concat());
        assert_eq!((row.head_byte, row.cells.len(), sample.disagreements()), (PAGE, 8, 0));
        let story = page_story(&sources.ledger, &sample, sources.ledger.now(), &row.key, 5 * PAGE);
        assert!(story[0].starts_with("slot 1 of 2 in the spool, 16 KiB; it holds page 2 of the take"), "{story:?}");
        take.collected(SpoolByte::DATA, WINDOW, true);
        take.committed(SpoolByte::DATA + WINDOW as u64, Duration::from_millis(1));
        take.durable(SpoolByte::DATA + WINDOW as u64);
        assert_eq!(all(&sampler.sample(&view).rows[0])[4..], [PageState::Durable; 4], "until the committer frees it");
        let captured = CapturedSlot::new(&spool, 1, SpoolByte::DATA, Some(first));
        captured.set_free();
        drop(captured);
        let sample = sampler.sample(&view);
        assert_eq!(all(&sample.rows[0])[4..], [Free; 4]);
        let story = page_story(&sources.ledger, &sample, sources.ledger.now(), &sample.rows[0].key, 5 * PAGE);
        assert_eq!(story[0], "slot 1 of 2 in the spool, 16 KiB; it holds nothing here");
        let mut slots = Vec::new();
        spool.take_returned(&mut slots);
        spool.list(slots[0].number, SpoolByte::DATA + 2 * WINDOW as u64, WINDOW).unwrap();
        take.supplied(SpoolByte::DATA + 2 * WINDOW as u64, WINDOW, slots[0].map.as_ref().unwrap());
        let sample = sampler.sample(&view);
        assert_eq!(all(&sample.rows[0])[4..], [Locked; 4], "the next sound goes there");
        assert_eq!(sample.rows[0].slots.as_ref().unwrap().take_byte(4 * PAGE), Some(9 * PAGE));
    }

    #[test]
    fn an_absent_page_disagrees_in_the_second_sample() {
        let sources = sources();
        let take = take(&sources.ledger, 1);
        // In the ledger although it was never populated.
        let map = Mapping::writable(&take.wav().unwrap(), DATA_OFFSET, WINDOW).unwrap();
        take.supplied(SpoolByte::DATA, WINDOW, &map);
        let mut sampler = Sampler::new(sources.clone());
        let first = sampler.sample(&VIEW);
        let second = sampler.sample(&VIEW);
        assert_eq!((first.disagreements(), second.disagreements()), (0, 4));
        let cell = second.rows[0].cell_at(PAGE).unwrap();
        assert_eq!((cell.believed(), cell.kernel()), (PageState::Resident, Kernel::Absent));
        drop(map);
        take.abandoned();
        assert_eq!(sampler.sample(&VIEW).disagreements(), 0);
    }

    /// Ids of the threads of that name.
    fn watcher_threads() -> Vec<i32> {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let named = tasks.filter(|task| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "watcher")
        });
        named.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
    }

    #[test]
    fn a_watcher_samples_while_something_shows_it_and_otherwise_takes_two_figures_a_second() {
        let sources = sources();
        let take = take(&sources.ledger, 1);
        let _map = window(&take, 0, &sources.budget);
        let before = watcher_threads();
        let watcher = Watcher::start(sources.clone()).unwrap();
        // The thread sets its name itself, when it first runs.
        let started = || watcher_threads().into_iter().find(|thread| !before.contains(thread));
        let thread = std::iter::repeat_with(|| (std::thread::sleep(Duration::from_millis(50)), started()).1);
        let thread = thread.take(100).flatten().next().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let waits = |thread| ThreadCounters::of(thread).unwrap().voluntary_switches;
        let idle = waits(thread);
        std::thread::sleep(Duration::from_millis(1100));
        // Two or three figures. A lock may make it wait once more.
        assert!((1..=6).contains(&(waits(thread) - idle)), "{}", waits(thread) - idle);
        assert!(watcher.latest().is_none() && !watcher.rates_after(None).is_empty());
        watcher.set_view(Some(VIEW));
        let until = Instant::now() + Duration::from_secs(20);
        while watcher.history().len() < 5 {
            assert!(Instant::now() < until, "no samples come");
            std::thread::sleep(Duration::from_millis(5));
        }
        let first = Arc::clone(&watcher.history()[0]);
        let story = watcher.page_story(&first.rows[0].key, DATA_OFFSET + PAGE);
        let then = watcher.page_story_at(&first, &first.rows[0].key, DATA_OFFSET + PAGE);
        assert_eq!((&then[0], &then[1]), (&story[0], &story[1]));
        assert!(story[0].starts_with("page 2 of In 1-1.wav, bytes 8192 to 12287, 0:00.128"), "{story:?}");
        assert!(story[1].contains("resident and locked; the kernel: dirty"), "{story:?}");
        assert!(story[2].contains("by the butler, locked"), "{story:?}");
        watcher.set_view(None);
        std::thread::sleep(Duration::from_millis(100));
        let (idle, kept) = (waits(thread), watcher.history().len());
        std::thread::sleep(Duration::from_millis(300));
        assert!(waits(thread) - idle <= 3, "nothing shows it any more");
        assert_eq!(watcher.history().len(), kept);
        assert!(watcher.latest().is_some());
    }

    #[test]
    fn a_sample_of_24_tracks_costs_little() {
        let sources = sources();
        let takes: Vec<_> = (0..24).map(|key| take(&sources.ledger, key)).collect();
        let maps: Vec<_> =
            takes.iter().flat_map(|take| (0..8).map(|index| window(take, index, &sources.budget))).collect();
        let view = View { cells: 112, pages: Pages::AroundHead { back_ms: 7000, ahead_ms: 7000 }, hz: 10 };
        let mut sampler = Sampler::new(sources);
        let mut times: Vec<u32> = (0..50).map(|_| sampler.sample(&view).took_us).collect();
        times.sort_unstable();
        let sample = sampler.sample(&view);
        assert_eq!((sample.rows.len(), sample.rows[0].cells.len()), (24, 110));
        println!("24 rows of 110 cells: {} us, at the most {} us", times[25], times[49]);
        // Ten a second stay far below a hundredth of a processor; the bound is for a machine with much else to do.
        assert!(times[25] < 20_000, "{times:?}");
        drop(maps);
    }
}
