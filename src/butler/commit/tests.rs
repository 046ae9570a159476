//! A take that continues in another file, and gaps that the other replica fills. Thread: test.
//!
//! Each test drives the steps of a committer by hand. The disk that refuses sound is a spool that is cut short: a span
//! behind its end cannot be read, so it cannot be written.

use super::*;
use crate::butler::spool::{self, SpoolPlace};
use crate::format::TakeFormat;
use crate::message::offset::SpoolByte;
use crate::message::replica::ReplicaPair;
use crate::message::span_to_commit::SpanToCommit;
use crate::message::spool_file::{CapturedSlot, SpoolFile};
use crate::message::take::TakeEnd;
use crate::time::Frames;
use crate::wav::header::Header;
use std::fs::File;
use std::os::unix::fs::FileExt;
use uuid::Uuid;

/// Frames of a window: whole pages of 24-bit samples.
pub(super) const WINDOW: u64 = 4096;

/// Bytes of one sample.
pub(super) const FRAME_BYTES: u64 = 3;

pub(super) const TAKE: TakeKey = TakeKey(1);

const OTHER: TakeKey = TakeKey(2);

/// The sample at frame `at`: never silence.
fn sample(at: u64) -> [u8; 3] {
    [(at % 251) as u8 + 1, (at / 251 % 251) as u8 + 1, (at / 63_001) as u8 + 1]
}

pub(super) fn sound(from: u64, to: u64) -> Vec<u8> {
    (from..to).flat_map(sample).collect()
}

pub(super) fn byte_of(frame: u64) -> SpoolByte {
    SpoolByte::DATA + frame * FRAME_BYTES
}

/// A session's committer with one take, and a mirror's file that contains all of the sound.
pub(super) struct Rig {
    pub(super) committer: Committer,
    pub(super) events: Receiver<DiskEvent>,
    pub(super) spool: Arc<SpoolFile>,
    pub(super) pair: Arc<ReplicaPair>,
    pub(super) mirror: Arc<File>,
    pub(super) plan: TakePlan,
    pub(super) folder: tempfile::TempDir,
}

/// A second take of the same pass.
pub(super) struct OtherTake {
    pub(super) path: std::path::PathBuf,
    spool: Arc<SpoolFile>,
}

/// A committer of the session's disk. The capabilities in `without` count as missing.
pub(super) fn committer_without(without: &[String], events: Sender<DiskEvent>) -> Committer {
    Committer::new(CommitterSetup {
        replica: Replica::Session,
        spool_bytes_max: 1 << 20,
        published: Arc::new(Published::new(1)),
        capabilities: Capabilities::probe(without),
        capture_path: CapturePath::Spool,
        sync_interval: Duration::ZERO,
        disk: Arc::default(),
        ledger: Arc::new(Ledger::default()),
        commands: crossbeam_channel::unbounded().1,
        events,
    })
}

impl Rig {
    /// `windows`: windows of sound in the spool and in the mirror.
    pub(super) fn new(windows: u64) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let (mirror_path, path) = (folder.path().join("mirror.wav"), folder.path().join("t-1.wav"));
        let pair = Arc::new(ReplicaPair::new(path.clone(), mirror_path.clone()));
        let mirror = File::options().read(true).write(true).create_new(true).open(mirror_path).unwrap();
        mirror.write_all_at(&sound(0, windows * WINDOW), limits::DATA_OFFSET).unwrap();
        let mirror = Arc::new(mirror);
        pair.continue_in(Replica::Mirror, FileStart::FIRST, Arc::clone(&mirror));
        pair.set_durable(Replica::Mirror, byte_of(windows * WINDOW));
        let plan = TakePlan {
            key: TAKE,
            identity: Uuid::new_v4(),
            session: Uuid::nil(),
            path,
            header: Header::new(1, 48_000, TakeFormat::S24),
            pair: Some(Arc::clone(&pair)),
            head: Frames(0),
        };
        let bytes = (WINDOW * FRAME_BYTES) as usize;
        let spool = Arc::new(spool::create(&SpoolPlace::Memory, &plan, plan.identity, bytes).unwrap());
        for window in 0..windows {
            spool.list(window as u32, byte_of(window * WINDOW), bytes).unwrap();
        }
        write_slots(&spool, windows * WINDOW);
        let (sender, events) = crossbeam_channel::unbounded();
        let mut committer = committer_without(&[], sender);
        committer.apply(CommitCommand::Open { pass: PassKey(1), takes: vec![plan.clone()] });
        committer.apply(CommitCommand::Spooled { take: TAKE, spool: Arc::clone(&spool) });
        let mut rig = Rig { committer, events, spool, pair, mirror, plan, folder };
        assert!(matches!(rig.work()[..], [DiskEvent::TakesOpened { files: Ok(_), .. }]));
        rig
    }

    /// The second line of the spool's first page.
    pub(super) fn noted(&self) -> String {
        let mut page = vec![0; limits::PAGE_BYTES];
        self.spool.file.read_exact_at(&mut page, 0).unwrap();
        let text = String::from_utf8(page).unwrap();
        text.trim_end_matches('\0').lines().nth(1).unwrap_or_default().to_owned()
    }

    /// The disk accepts the sound before frame `frame` and refuses what comes behind it.
    pub(super) fn accept_up_to(&self, frame: u64) {
        self.spool.file.set_len(self.spool.shape.slot_at((frame / WINDOW) as u32)).unwrap();
        write_slots(&self.spool, frame);
    }

    /// The window `number` of sound arrives.
    pub(super) fn captured(&mut self, number: u64) {
        let bytes = (WINDOW * FRAME_BYTES) as usize;
        let span = SpanToCommit::new(byte_of(number * WINDOW), bytes, bytes, true, &[Replica::Session]);
        let span = span.in_slot(self.slot(number));
        self.committer.apply(CommitCommand::Captured { take: TAKE, span: Arc::new(span) });
    }

    /// A second take in the pass, without a mirror, with `windows` windows of sound in its spool.
    pub(super) fn open_another(&mut self, windows: u64) -> OtherTake {
        let (path, identity) = (self.folder.path().join("t-2.wav"), Uuid::new_v4());
        let plan = TakePlan { key: OTHER, identity, path: path.clone(), pair: None, ..self.plan.clone() };
        let bytes = (WINDOW * FRAME_BYTES) as usize;
        let spool = Arc::new(spool::create(&SpoolPlace::Memory, &plan, identity, bytes).unwrap());
        (0..windows).for_each(|window| spool.list(window as u32, byte_of(window * WINDOW), bytes).unwrap());
        write_slots(&spool, windows * WINDOW);
        self.committer.apply(CommitCommand::Open { pass: PassKey(1), takes: vec![plan] });
        self.committer.apply(CommitCommand::Spooled { take: OTHER, spool: Arc::clone(&spool) });
        OtherTake { path, spool }
    }

    /// The window `number` of sound of another take arrives.
    pub(super) fn captured_by(&mut self, other: &OtherTake, number: u64) {
        let bytes = (WINDOW * FRAME_BYTES) as usize;
        let span = SpanToCommit::new(byte_of(number * WINDOW), bytes, bytes, true, &[Replica::Session]);
        let span = span.in_slot(CapturedSlot::new(&other.spool, number as u32, byte_of(number * WINDOW), None));
        self.committer.apply(CommitCommand::Captured { take: OTHER, span: Arc::new(span) });
    }

    /// The slot of window `number`, without a mapping.
    pub(super) fn slot(&self, number: u64) -> CapturedSlot {
        CapturedSlot::new(&self.spool, number as u32, byte_of(number * WINDOW), None)
    }

    /// The audio thread did not touch window `number`.
    pub(super) fn passed_over(&mut self, number: u64) {
        let bytes = (WINDOW * FRAME_BYTES) as usize;
        let span = SpanToCommit::new(byte_of(number * WINDOW), bytes, bytes, false, &[Replica::Session]);
        let span = span.in_slot(self.slot(number));
        self.committer.apply(CommitCommand::Captured { take: TAKE, span: Arc::new(span) });
    }

    /// The session's disk was too slow for window `number`: only the mirror has it.
    pub(super) fn gave_up(&self, number: u64) {
        self.pair.add_gap(Replica::Session, byte_of(number * WINDOW), byte_of((number + 1) * WINDOW));
    }

    /// A take of so many windows whose disk has accepted the first one only.
    pub(super) fn stuck_behind_one_window(windows: u64) -> Rig {
        let mut rig = Rig::new(windows);
        rig.accept_up_to(WINDOW);
        rig.captured(0);
        rig.work();
        rig.captured(1);
        assert_eq!(rig.stuck(), Some(WINDOW));
        rig
    }

    /// A few steps of the committer with a sync each, without the pause after a failure. Returns the events.
    pub(super) fn work(&mut self) -> Vec<DiskEvent> {
        for _ in 0..4 {
            self.committer.retry_at = None;
            self.committer.next_sync = Instant::now();
            self.committer.takes.iter_mut().for_each(OpenTake::retry_earlier_now);
            self.committer.work();
        }
        self.events.try_iter().collect()
    }

    /// The frame from which on the last event reports the take as stuck.
    pub(super) fn stuck(&mut self) -> Option<u64> {
        self.work().iter().rev().find_map(|event| match event {
            DiskEvent::Stuck { from, .. } => Some(from.0),
            _ => None,
        })
    }

    /// Continues in another file at frame `from`. Returns the answer.
    pub(super) fn go_on(&mut self, from: u64) -> Continuation {
        self.go_on_in(&self.next_path(), None, from)
    }

    pub(super) fn go_on_in(&mut self, path: &Path, copy: Option<&Path>, from: u64) -> Continuation {
        let mut take = TakePlan { path: path.to_owned(), ..self.plan.clone() };
        take.header.bext.time_reference = from;
        let plan = Box::new(ContinuationPlan { from: Frames(from), take, copy: copy.map(Path::to_owned) });
        self.committer.apply(CommitCommand::Continue { plan });
        let is_answer = |event| if let DiskEvent::Continued { outcome, .. } = event { Some(outcome) } else { None };
        self.events.try_iter().find_map(is_answer).expect("an answer")
    }

    /// Checks that the sound of a take that continued at frame `at` and ended at frame `end` lies in its two files.
    pub(super) fn check_files(&self, at: u64, end: u64) {
        assert!(claimed(&self.plan.path) == sound(0, at), "the first file");
        assert!(claimed(&self.next_path()) == sound(at, end), "the next file");
    }

    pub(super) fn next_path(&self) -> std::path::PathBuf {
        self.folder.path().join("next.wav")
    }

    /// The takes end after `windows` windows. Returns the troubles: of the earlier file and of a present one.
    pub(super) fn finish(&mut self, windows: u64) -> (Option<String>, Option<String>) {
        let end = TakeEnd { frames: Frames(windows * WINDOW), ..TakeEnd::default() };
        let takes: Vec<TakeKey> = self.committer.takes.iter().map(|take| take.key).collect();
        for take in takes {
            self.committer.apply(CommitCommand::Finish { take, end: end.clone() });
        }
        let mut troubles = (None, None);
        for _ in 0..20 {
            for event in self.work() {
                match event {
                    DiskEvent::EarlierFileFinished { index: 0, trouble, .. } => troubles.0 = trouble,
                    DiskEvent::TakeFinished { trouble, .. } => troubles.1 = trouble.or(troubles.1.take()),
                    _ => {}
                }
            }
        }
        assert!(self.committer.takes.is_empty(), "the take ends");
        troubles
    }
}

/// Stores the sound of the windows before frame `frame`, each in the slot of its number.
fn write_slots(spool: &SpoolFile, frame: u64) {
    for window in 0..frame / WINDOW {
        let sound = sound(window * WINDOW, (window + 1) * WINDOW);
        spool.file.write_all_at(&sound, spool.shape.slot_at(window as u32)).unwrap();
    }
}

/// The sound of a WAV file, as far as its header claims it.
pub(super) fn claimed(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let length = crate::wav::header::header_data_bytes(bytes[..4096].try_into().unwrap()).unwrap() as usize;
    bytes[limits::DATA_OFFSET as usize..][..length].to_vec()
}

#[test]
fn a_gap_before_a_continuation_is_filled_in_the_file_in_which_it_lies() {
    let mut rig = Rig::new(5);
    rig.captured(0);
    rig.work();
    rig.accept_up_to(WINDOW);
    rig.gave_up(1);
    rig.captured(2);
    assert_eq!(rig.stuck(), Some(2 * WINDOW));
    assert!(matches!(rig.go_on(2 * WINDOW), Continuation::Done));
    assert_eq!(claimed(&rig.plan.path), sound(0, WINDOW), "no header claims the gap while it is one");
    rig.accept_up_to(5 * WINDOW);
    rig.captured(3);
    rig.captured(4);
    assert_eq!(rig.finish(5), (None, None));
    assert!(claimed(&rig.plan.path) == sound(0, 2 * WINDOW), "the first file is whole");
    assert!(claimed(&rig.next_path()) == sound(2 * WINDOW, 5 * WINDOW), "the next file is whole");
}

/// The header of no take claimed anything behind a gap of one take, as long as it was filled, which took minutes. A power cut
/// in this time cut all takes off there.
#[test]
fn a_gap_of_one_take_keeps_the_headers_of_the_others_back_for_three_seconds_at_most() {
    let mut rig = Rig::new(4);
    let other = rig.open_another(4);
    let path = other.path.clone();
    let captured = |rig: &mut Rig, number: u64| rig.captured_by(&other, number);
    let sync = |rig: &mut Rig| {
        rig.committer.write_some(true);
        rig.committer.sync();
        let frames = |path: &Path| claimed(path).len() as u64 / FRAME_BYTES / WINDOW;
        (frames(&rig.plan.path), frames(&path))
    };
    rig.captured(0);
    captured(&mut rig, 0);
    sync(&mut rig);
    assert_eq!(sync(&mut rig), (1, 1));
    rig.gave_up(1);
    rig.captured(2);
    captured(&mut rig, 1);
    captured(&mut rig, 2);
    assert_eq!(sync(&mut rig), (1, 1), "the gap may be short");
    rig.committer.takes[0].make_gap_older();
    assert_eq!(sync(&mut rig), (1, 3), "what the other take has is on the disk");
    captured(&mut rig, 3);
    rig.captured(3);
    assert_eq!(sync(&mut rig), (1, 4), "one header is durable at each sync");
    let durable = |rig: &Rig| rig.committer.setup.disk.durable_frames[0].load(Relaxed);
    assert_eq!(durable(&rig), WINDOW, "the disk lacks sound");
    rig.work();
    assert_eq!((sync(&mut rig), sync(&mut rig)), ((4, 4), (4, 4)), "the gap is filled");
    assert_eq!(durable(&rig), 4 * WINDOW);
}

/// The window said that sound is safe against power loss up to the last sync, while minutes of it waited in memory.
#[test]
fn a_sync_that_leaves_sound_in_memory_counts_as_durable_only_what_it_has_written() {
    let windows = 200;
    let mut rig = Rig::new(windows);
    (0..windows).for_each(|number| rig.captured(number));
    let durable = |rig: &Rig| rig.committer.setup.disk.durable_frames[0].load(Relaxed);
    let mut before = 0;
    rig.committer.write_some(true);
    rig.committer.sync();
    while rig.committer.takes[0].has_pending() {
        let now = durable(&rig);
        assert!(before <= now && now < windows * WINDOW, "{now}");
        assert_eq!(now, rig.committer.takes[0].durable_frames().0);
        before = now;
        rig.committer.write_some(true);
        rig.committer.sync();
    }
    assert!(0 < before, "a sync writes one run of a take");
    assert_eq!(durable(&rig), windows * WINDOW);
}

/// Each take got one run in a tick, so that a gap of an hour took minutes.
#[test]
fn several_runs_of_a_gap_are_filled_between_two_syncs() {
    let runs = |rig: &Rig| {
        let take = &rig.committer.takes[0];
        (take.file.filled_end() - take.file.start().0).div_ceil(limits::COPY_RUN_BYTES_MAX as u64)
    };
    let mut rig = Rig::new(500);
    rig.committer.next_sync = Instant::now() + Duration::from_secs(60);
    rig.pair.add_gap(Replica::Session, byte_of(0), byte_of(500 * WINDOW));
    // A run can be slow for once.
    let several = (0..10).any(|_| {
        let before = runs(&rig);
        rig.committer.fill_gaps();
        (2..=8).contains(&(runs(&rig) - before))
    });
    assert!(several);
    rig.committer.next_sync = Instant::now();
    let before = runs(&rig);
    rig.committer.fill_gaps();
    assert_eq!(runs(&rig), before + 1, "a sync is due");
}

#[test]
fn a_gap_that_cannot_be_filled_before_a_continuation_is_reported_and_never_claimed() {
    let mut rig = Rig::new(4);
    rig.captured(0);
    rig.work();
    rig.accept_up_to(WINDOW);
    rig.gave_up(1);
    rig.captured(2);
    assert_eq!(rig.stuck(), Some(2 * WINDOW));
    // The mirror's file is shorter than the mirror has reported.
    rig.mirror.set_len(byte_of(WINDOW).0).unwrap();
    assert!(matches!(rig.go_on(2 * WINDOW), Continuation::Done));
    rig.accept_up_to(4 * WINDOW);
    rig.captured(3);
    rig.work();
    assert!(claimed(&rig.next_path()) == sound(2 * WINDOW, 4 * WINDOW), "the gap keeps no other sound back");
    let (earlier, present) = rig.finish(4);
    assert!(earlier.is_some_and(|trouble| trouble.contains("t-1.wav")) && present.is_none());
    assert!(claimed(&rig.plan.path) == sound(0, WINDOW));
}

#[test]
fn sound_that_was_filled_behind_the_frame_of_a_continuation_is_filled_in_the_next_file_again() {
    let mut rig = Rig::new(3);
    rig.captured(0);
    rig.work();
    rig.gave_up(1);
    rig.work();
    assert_eq!(rig.pair.missing_bytes(Replica::Session, FileStart::FIRST), 0);
    // The disk refuses the next header: the take is stuck behind the last window that has arrived.
    rig.committer.on_write_failure(0, &io::Error::from_raw_os_error(libc::ENOSPC));
    assert!(matches!(rig.go_on(WINDOW), Continuation::Done));
    rig.captured(2);
    assert_eq!(rig.finish(3), (None, None));
    rig.check_files(WINDOW, 3 * WINDOW);
}

#[test]
fn a_take_continues_at_the_frame_at_which_its_next_file_is_listed_or_not_at_all() {
    let mut rig = Rig::stuck_behind_one_window(4);
    // While the continuation is being listed, the disk accepts some more.
    rig.accept_up_to(2 * WINDOW);
    rig.work();
    rig.captured(2);
    assert_eq!(rig.stuck(), Some(2 * WINDOW));
    assert!(matches!(rig.go_on(WINDOW), Continuation::Moved(Frames(at)) if at == 2 * WINDOW));
    assert!(!rig.next_path().exists());
    assert_eq!(rig.noted(), "", "nothing went on anywhere");
    // The take waits there for a plan that fits, although the disk accepts everything.
    rig.accept_up_to(4 * WINDOW);
    rig.captured(3);
    assert_eq!(rig.stuck(), None);
    assert!(matches!(rig.go_on(2 * WINDOW), Continuation::Done));
    let noted = rig.noted();
    assert!(noted.contains(&rig.plan.identity.to_string()), "a recovery finds the next file by its spool: {noted}");
    assert_eq!(rig.finish(4), (None, None));
    rig.check_files(2 * WINDOW, 4 * WINDOW);
}

#[test]
fn the_sync_after_a_loss_of_a_whole_window_claims_the_sound_behind_it() {
    let mut rig = Rig::new(3);
    rig.captured(0);
    rig.work();
    assert!(claimed(&rig.plan.path) == sound(0, WINDOW));
    let bytes = (WINDOW * FRAME_BYTES) as usize;
    rig.passed_over(1);
    rig.captured(2);
    // A sync writes first.
    rig.committer.write_some(true);
    rig.committer.sync();
    let silence = vec![0; bytes];
    assert!(claimed(&rig.plan.path) == [sound(0, WINDOW), silence, sound(2 * WINDOW, 3 * WINDOW)].concat());
}

#[test]
fn a_header_claims_nothing_behind_a_loss_before_a_saved_session_lists_it() {
    let mut rig = Rig::new(3);
    rig.captured(0);
    rig.work();
    // The device goes away for longer than a loss may keep headers back. It is not reported before it has ended.
    rig.committer.setup.published.open_loss.store(WINDOW, Relaxed);
    rig.captured(1);
    for _ in 0..3 {
        rig.work();
        rig.committer.losses.values_mut().for_each(|losses| losses.make_older(Duration::from_secs(3)));
    }
    assert!(claimed(&rig.plan.path) == sound(0, WINDOW));
    rig.committer.setup.published.losses_reported.store(64, Relaxed);
    rig.committer.setup.published.open_loss.store(NO_PASS, Relaxed);
    rig.work();
    assert!(claimed(&rig.plan.path) == sound(0, WINDOW));
    assert_eq!(rig.committer.takes[0].durable_frames(), Frames(2 * WINDOW), "the sound is on the disk");
    rig.committer.setup.disk.losses_saved.store(64, Relaxed);
    rig.work();
    assert!(claimed(&rig.plan.path) == sound(0, 2 * WINDOW));
    // Neither does the last header of a take.
    rig.committer.setup.published.losses_reported.store(128, Relaxed);
    rig.captured(2);
    let end = TakeEnd { frames: Frames(3 * WINDOW), ..TakeEnd::default() };
    rig.committer.apply(CommitCommand::Finish { take: TAKE, end });
    assert!(rig.work().is_empty() && claimed(&rig.plan.path) == sound(0, 2 * WINDOW));
    rig.committer.setup.disk.losses_saved.store(128, Relaxed);
    assert!(matches!(rig.work()[..], [DiskEvent::TakeFinished { trouble: None, .. }]));
    assert!(claimed(&rig.plan.path) == sound(0, 3 * WINDOW));
}

#[test]
fn sound_before_a_device_went_away_is_durable_to_its_last_frame_while_the_device_is_away() {
    let mut rig = Rig::new(3);
    let stored = |rig: &Rig, frames| rig.committer.setup.published.pass_frames.store(frames, Relaxed);
    stored(&rig, 100);
    rig.work();
    assert!(claimed(&rig.plan.path) == sound(0, 100), "less than a page");
    // The device goes away in the second window, in the middle of a page.
    let last = WINDOW + 1000;
    stored(&rig, last);
    rig.captured(0);
    rig.work();
    assert!(claimed(&rig.plan.path) == sound(0, last));
    let written = rig.committer.takes[0].file.written();
    assert!(!rig.committer.write_some(true), "nothing is written twice");
    assert_eq!(rig.committer.takes[0].file.written(), written);
    stored(&rig, 3 * WINDOW);
    rig.captured(1);
    rig.captured(2);
    rig.work();
    assert_eq!(rig.finish(3), (None, None));
    assert!(claimed(&rig.plan.path) == sound(0, 3 * WINDOW));
}

#[test]
fn a_window_that_was_lost_is_durable_without_a_write() {
    let mut rig = Rig::new(2);
    rig.captured(0);
    rig.work();
    let bytes = (WINDOW * FRAME_BYTES) as usize;
    rig.passed_over(1);
    rig.committer.write_some(true);
    rig.committer.sync();
    assert!(claimed(&rig.plan.path) == [sound(0, WINDOW), vec![0; bytes]].concat());
}

#[test]
fn a_take_that_needs_no_continuation_any_more_is_reported_again_when_it_is_stuck_again() {
    let mut rig = Rig::new(3);
    rig.accept_up_to(WINDOW);
    rig.captured(0);
    rig.captured(1);
    assert_eq!(rig.stuck(), Some(0));
    rig.accept_up_to(2 * WINDOW);
    rig.work();
    rig.captured(2);
    assert_eq!(rig.stuck(), Some(2 * WINDOW));
    rig.accept_up_to(3 * WINDOW);
    // The disk accepts the write and then loses it: the take is stuck at the same place as before.
    rig.committer.retry_at = None;
    rig.committer.write_some(true);
    assert!(matches!(rig.go_on(2 * WINDOW), Continuation::Needless));
    rig.committer.takes[0].requeue_unsynced();
    rig.accept_up_to(2 * WINDOW);
    assert_eq!(rig.stuck(), Some(2 * WINDOW));
    assert!(matches!(rig.go_on(2 * WINDOW), Continuation::Done));
    rig.accept_up_to(3 * WINDOW);
    assert_eq!(rig.finish(3), (None, None));
    assert!(claimed(&rig.next_path()) == sound(2 * WINDOW, 3 * WINDOW));
}

#[test]
fn a_take_that_has_all_its_sound_does_not_continue_behind_its_end() {
    let mut rig = Rig::new(3);
    rig.captured(0);
    rig.work();
    rig.accept_up_to(WINDOW);
    rig.captured(1);
    assert_eq!(rig.stuck(), Some(WINDOW));
    // The take ends, and its last window was only ready ahead.
    let end = TakeEnd { frames: Frames(WINDOW), ..TakeEnd::default() };
    rig.committer.apply(CommitCommand::Finish { take: TAKE, end });
    assert!(matches!(rig.go_on(WINDOW), Continuation::Needless));
    assert!(!rig.next_path().exists(), "no file begins at the end of the pass");
    assert_eq!(rig.stuck(), None, "the take is not reported again");
}

#[test]
fn a_full_queue_of_events_holds_a_committer_up_and_neither_loses_sound_nor_blocks_for_ever() {
    let rig = Rig::new(3);
    let Rig { spool, plan, folder, .. } = rig;
    let path = folder.path().join("queued.wav");
    let plan = TakePlan { path, pair: None, ..plan };
    let (sender, events) = crossbeam_channel::bounded(limits::CHANNEL_MESSAGES);
    let (commands, inbox) = crossbeam_channel::bounded(limits::CHANNEL_MESSAGES);
    while sender.try_send(DiskEvent::TroubleOver { replica: Replica::Session, reason: String::new() }).is_ok() {}
    assert_eq!(events.len(), limits::CHANNEL_MESSAGES);
    let setup = CommitterSetup {
        replica: Replica::Session,
        spool_bytes_max: 1 << 20,
        published: Arc::new(Published::new(1)),
        capabilities: Capabilities::probe(&[]),
        capture_path: CapturePath::Spool,
        sync_interval: Duration::from_millis(20),
        disk: Arc::default(),
        ledger: Arc::new(Ledger::default()),
        commands: inbox,
        events: sender,
    };
    let thread = std::thread::spawn(move || Committer::new(setup).run());
    commands.send(CommitCommand::Open { pass: PassKey(1), takes: vec![plan.clone()] }).unwrap();
    commands.send(CommitCommand::Spooled { take: TAKE, spool: Arc::clone(&spool) }).unwrap();
    for number in 0..3 {
        let bytes = (WINDOW * FRAME_BYTES) as usize;
        let span = SpanToCommit::new(byte_of(number * WINDOW), bytes, bytes, true, &[Replica::Session]);
        let span = span.in_slot(CapturedSlot::new(&spool, number as u32, byte_of(number * WINDOW), None));
        commands.send(CommitCommand::Captured { take: TAKE, span: Arc::new(span) }).unwrap();
    }
    let end = TakeEnd { frames: Frames(3 * WINDOW), ..TakeEnd::default() };
    commands.send(CommitCommand::Finish { take: TAKE, end }).unwrap();
    commands.send(CommitCommand::Quit).unwrap();
    // Nobody reads events: the committer waits with its answer, and the sound stays in memory.
    std::thread::sleep(Duration::from_millis(200));
    assert!(!thread.is_finished() && plan.path.exists());
    let mut held = vec![0; (WINDOW * FRAME_BYTES) as usize];
    spool.file.read_exact_at(&mut held, spool.shape.slot_at(0)).unwrap();
    assert_eq!(spool.listed(byte_of(0), byte_of(WINDOW)).len(), 1);
    assert_eq!(held, sound(0, WINDOW));
    // Control reads events again.
    let events: Vec<DiskEvent> = events.iter().skip(limits::CHANNEL_MESSAGES).collect();
    thread.join().unwrap();
    assert!(matches!(
        events[..],
        [DiskEvent::TakesOpened { files: Ok(_), .. }, DiskEvent::TakeFinished { trouble: None, .. }]
    ));
    assert!(claimed(&plan.path) == sound(0, 3 * WINDOW));
}
