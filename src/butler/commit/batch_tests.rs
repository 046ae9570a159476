//! Batches of many takes, with a ring of the kernel and with a call for each write: the same tests. Thread: test.

use super::tests::committer_without;
use super::*;
use crate::butler::spool::{self, SpoolPlace};
use crate::format::TakeFormat;
use crate::message::offset::SpoolByte;
use crate::message::span_to_commit::SpanToCommit;
use crate::message::spool_file::{CapturedSlot, SpoolFile};
use crate::message::take::TakeEnd;
use crate::time::Frames;
use crate::wav::header::{Header, header_data_bytes};
use std::os::unix::fs::FileExt;
use uuid::Uuid;

const TAKES: u64 = 9;

/// Frames of a window: whole pages of 24-bit samples.
const WINDOW: u64 = 4096;
const WINDOW_BYTES: usize = WINDOW as usize * 3;

/// The ways in which a committer makes its calls.
const WAYS: [&[&str]; 2] = [&[], &["io_uring"]];

/// A session's committer with a few takes that the audio thread fills alike.
struct Rig {
    committer: Committer,
    events: Receiver<DiskEvent>,
    spools: Vec<Arc<SpoolFile>>,
    plans: Vec<TakePlan>,
    _folder: tempfile::TempDir,
}

/// The sound of a window of a take.
fn sound(take: u64, window: u64) -> Vec<u8> {
    (0..WINDOW_BYTES as u64).map(|at| ((at + 7 * window + 31 * take) % 251) as u8 + 1).collect()
}

fn byte_of(window: u64) -> SpoolByte {
    SpoolByte::DATA + window * WINDOW_BYTES as u64
}

impl Rig {
    /// `windows`: windows of sound in each spool.
    fn new(without: &[&str], windows: u64) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let without: Vec<String> = without.iter().map(ToString::to_string).collect();
        let plans: Vec<TakePlan> = (0..TAKES)
            .map(|take| TakePlan {
                key: TakeKey(take),
                identity: Uuid::from_u128(u128::from(take) + 1),
                session: Uuid::nil(),
                path: folder.path().join(format!("t-{take}.wav")),
                header: Header::new(1, 48_000, TakeFormat::S24),
                pair: None,
                head: Frames(0),
            })
            .collect();
        let (sender, events) = crossbeam_channel::unbounded();
        let mut committer = committer_without(&without, sender);
        committer.apply(CommitCommand::Open { pass: PassKey(1), takes: plans.clone() });
        let mut spools = Vec::new();
        for (take, plan) in plans.iter().enumerate() {
            let made = spool::create(&SpoolPlace::Memory, plan, plans[0].identity, WINDOW_BYTES).unwrap();
            let spool = Arc::new(made);
            for window in 0..windows {
                spool.list(window as u32, byte_of(window), WINDOW_BYTES).unwrap();
                let at = spool.shape.slot_at(window as u32);
                spool.file.write_all_at(&sound(take as u64, window), at).unwrap();
            }
            committer.apply(CommitCommand::Spooled { take: plan.key, spool: Arc::clone(&spool) });
            spools.push(spool);
        }
        Rig { committer, events, spools, plans, _folder: folder }
    }

    /// A window of each take arrives.
    fn captured(&mut self, window: u64) {
        for (plan, spool) in self.plans.iter().zip(&self.spools) {
            let span = SpanToCommit::new(byte_of(window), WINDOW_BYTES, WINDOW_BYTES, true, &[Replica::Session]);
            let span = span.in_slot(CapturedSlot::new(spool, window as u32, byte_of(window), None));
            self.committer.apply(CommitCommand::Captured { take: plan.key, span: Arc::new(span) });
        }
    }

    fn stored(&self, frames: u64) {
        self.committer.setup.published.pass_frames.store(frames, Relaxed);
    }

    /// Makes a sync that is due now. Returns the events of the committer.
    fn sync(&mut self) -> Vec<DiskEvent> {
        self.committer.retry_at = None;
        self.committer.next_sync = host::now();
        self.committer.work();
        self.events.try_iter().collect()
    }

    /// The sound that the header of a take claims.
    fn claimed(&self, take: u64) -> Vec<u8> {
        let bytes = std::fs::read(&self.plans[take as usize].path).unwrap();
        let length = header_data_bytes(bytes[..4096].try_into().unwrap()).unwrap() as usize;
        bytes[limits::DATA_OFFSET as usize..][..length].to_vec()
    }

    fn finish(&mut self, windows: u64) {
        let end = TakeEnd { frames: Frames(windows * WINDOW), ..TakeEnd::default() };
        for take in 0..TAKES {
            self.committer.apply(CommitCommand::Finish { take: TakeKey(take), end: end.clone() });
        }
        let ended: Vec<DiskEvent> = (0..5).flat_map(|_| self.sync()).collect();
        let whole = |event: &&DiskEvent| matches!(event, DiskEvent::TakeFinished { trouble: None, .. });
        assert_eq!(ended.iter().filter(whole).count() as u64, TAKES);
        for take in 0..TAKES {
            let whole: Vec<u8> = (0..windows).flat_map(|window| sound(take, window)).collect();
            assert!(self.claimed(take) == whole, "take {take}");
        }
    }
}

#[test]
fn many_takes_are_written_and_durable_in_batches_and_in_calls_for_each() {
    for without in WAYS {
        let mut rig = Rig::new(without, 4);
        // The third window is open: its whole pages are written too.
        rig.captured(0);
        rig.captured(1);
        let open = (2048 * 3_usize) & !4095;
        rig.stored(2 * WINDOW + 2048 + limits::STORE_LAG_FRAMES);
        rig.sync();
        for take in 0..TAKES {
            let claimed = rig.claimed(take);
            let third = sound(take, 2);
            let expected = [sound(take, 0), sound(take, 1), third[..open / 3 * 3].to_vec()].concat();
            assert!(claimed == expected, "take {take} {without:?}: {} of {}", claimed.len(), expected.len());
        }
        assert!(rig.committer.spool_use.disk.commit_us_max.load(Relaxed) > 0);
        rig.captured(2);
        rig.captured(3);
        rig.finish(4);
    }
}

#[test]
fn a_batch_that_fails_in_part_makes_the_other_takes_durable_and_the_failed_one_is_written_again() {
    for without in WAYS {
        let mut rig = Rig::new(without, 2);
        rig.captured(0);
        rig.sync();
        // The second window of take 4 cannot be read, so it cannot be written.
        let (spool, at) = (Arc::clone(&rig.spools[4]), rig.spools[4].shape.slot_at(1));
        spool.file.set_len(at).unwrap();
        rig.captured(1);
        let events = rig.sync();
        let stuck: Vec<TakeKey> = events
            .iter()
            .filter_map(|event| match event {
                DiskEvent::Stuck { take, from: Frames(WINDOW), .. } => Some(*take),
                _ => None,
            })
            .collect();
        assert_eq!(stuck, [TakeKey(4)]);
        for take in 0..TAKES {
            let windows = if take == 4 { 1 } else { 2 };
            let durable = rig.committer.takes[take as usize].durable_frames();
            assert_eq!(durable, Frames(windows * WINDOW), "take {take} {without:?}");
            // Only what is durable is given back.
            assert_eq!(rig.spools[take as usize].listed(byte_of(1), byte_of(2)).len(), usize::from(take == 4));
        }
        spool.file.set_len(spool.shape.file_bytes()).unwrap();
        spool.file.write_all_at(&sound(4, 1), at).unwrap();
        let events = rig.sync();
        assert!(events.iter().any(|event| matches!(event, DiskEvent::TroubleOver { .. })));
        rig.finish(2);
    }
}

#[test]
fn one_header_of_a_pass_is_written_at_each_sync_and_each_other_one_at_every_third_or_when_it_lacks_two_seconds() {
    let mut rig = Rig::new(&[], 32);
    let claims = |rig: &Rig| -> Vec<u64> {
        (0..TAKES).map(|take| rig.claimed(take).len() as u64 / WINDOW_BYTES as u64).collect()
    };
    let mut before = vec![0; TAKES as usize];
    for window in 0..7 {
        rig.captured(window);
        rig.sync();
        let (now, end) = (claims(&rig), window + 1);
        assert_eq!(now[0], end, "a recovery gives all takes the length of the first");
        let written = before.iter().zip(&now).skip(1).filter(|(before, now)| before != now).count();
        assert_eq!(written, if window == 0 { 8 } else { [2, 3, 3][(window as usize + 1) % 3] }, "{window}: {now:?}");
        assert!(now.iter().all(|claim| end <= claim + 2), "{now:?}");
        before = now;
    }
    // 98,304 frames are two seconds and 48 ms.
    (7..31).for_each(|window| rig.captured(window));
    rig.sync();
    assert_eq!(claims(&rig), [31; TAKES as usize]);
    rig.captured(31);
    rig.finish(32);
}

#[test]
fn a_refused_ring_is_named_when_takes_are_opened_and_costs_nothing() {
    let mut rig = Rig::new(&["io_uring"], 1);
    assert!(rig.committer.batcher.refusal().is_none(), "it is named at the start");
    rig.captured(0);
    rig.finish(1);
}
