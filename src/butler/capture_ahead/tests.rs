//! The order in which takes get windows while memory is short. Thread: test.

use super::*;
use crate::format::TakeFormat;
use crate::wav::header::Header;
use uuid::Uuid;

const TAKES: usize = 6;

fn plan_of(take: usize) -> TakePlan {
    TakePlan {
        key: TakeKey(take as u64),
        identity: Uuid::new_v4(),
        session: Uuid::nil(),
        path: format!("/nowhere/{take}.wav").into(),
        header: Header::new(1, 48_000, TakeFormat::S24),
        pair: None,
        head: Frames(0),
    }
}

fn butler() -> Butler {
    Butler::new(ButlerSetup {
        capabilities: Capabilities::probe(&[]),
        capture_path: CapturePath::Spool,
        budget: LockBudget::new(64 << 20),
        capture_share: plan::capture_share(64 << 20),
        lead_ms: 2_000,
        period_frames: 64,
        keeps_time: true,
        spool_bytes_max: 1 << 30,
        published: Arc::new(Published::new(1)),
        disk: Arc::default(),
        ledger: Arc::new(Ledger::default()),
        commands: crossbeam_channel::unbounded().1,
        commit: vec![crossbeam_channel::unbounded().0, crossbeam_channel::unbounded().0],
        events: crossbeam_channel::unbounded().0,
    })
}

#[test]
fn while_memory_is_short_no_take_gets_a_second_window_before_each_has_one() {
    let mut butler = butler();
    let plans: Vec<TakePlan> = (0..TAKES).map(plan_of).collect();
    let mut audio = butler.prepare(PassKey(1), &plans, &[], 48_000, &mut Vec::new()).unwrap();
    let waiting = |butler: &Butler| -> Vec<usize> {
        butler.pass.iter().flat_map(|pass| &pass.takes).map(|take| take.windows.waiting()).collect()
    };
    assert!(waiting(&butler).iter().all(|windows| 3 < *windows), "the lead is longer than a window");
    // The audio thread has used all windows, and the disk has accepted none of them.
    let recorded = FramePos(10 * 48_000);
    audio.takes.iter_mut().for_each(|take| take.advance_to(recorded));
    assert_eq!(waiting(&butler), [0; TAKES]);
    let window = limits::WINDOW_BYTES_DEFAULT as u64;
    let room_for = |butler: &mut Butler, windows: u64| {
        butler.setup.spool_bytes_max = butler.setup.disk.spool_bytes.load(Relaxed) + windows * window;
    };
    room_for(&mut butler, TAKES as u64);
    butler.refill(recorded);
    // The first windows are shorter, so there is room for some more.
    assert!(waiting(&butler).iter().all(|windows| (1..=2).contains(windows)), "{:?}", waiting(&butler));
    // A lasting shortage does not always meet the same take.
    let mut most = vec![0; TAKES];
    for _ in 0..TAKES {
        audio.takes.iter_mut().for_each(|take| take.advance_to(FramePos(u64::MAX / 16)));
        room_for(&mut butler, 1);
        butler.refill(recorded);
        most.iter_mut().zip(waiting(&butler)).for_each(|(most, windows)| *most = windows.max(*most));
    }
    assert!(most.iter().all(|windows| 1 <= *windows), "{most:?}");
    // A memory file system that others have filled refuses memory long before half of the spool is in use.
    butler.setup.spool_bytes_max = 1 << 30;
    assert!(butler.setup.disk.is_spool_short(butler.setup.spool_bytes_max));
    butler.refill(recorded);
    assert!(!butler.setup.disk.is_spool_short(butler.setup.spool_bytes_max));
}

#[test]
fn a_take_that_gets_no_window_for_a_reason_of_its_own_leaves_the_others_their_lead() {
    let mut butler = butler();
    let plans: Vec<TakePlan> = (0..TAKES).map(plan_of).collect();
    let mut audio = butler.prepare(PassKey(1), &plans, &[], 48_000, &mut Vec::new()).unwrap();
    // The memory of the first take is a file that ends behind its slots.
    let pass = butler.pass.as_mut().unwrap();
    let (lead, window) = (pass.lead.windows, pass.takes[0].window_bytes);
    let file = tempfile::tempfile().unwrap();
    pass.takes[0].backing = Backing::Take(Arc::new(file));
    assert!(window > 0 && lead > 2);
    let recorded = FramePos(10 * 48_000);
    audio.takes.iter_mut().for_each(|take| take.advance_to(recorded));
    butler.refill(recorded);
    let waiting: Vec<usize> =
        butler.pass.iter().flat_map(|pass| &pass.takes).map(|take| take.windows.waiting()).collect();
    assert_eq!(waiting[0], 0, "its file is empty");
    assert!(waiting[1..].iter().all(|windows| *windows == lead), "{waiting:?}");
}
