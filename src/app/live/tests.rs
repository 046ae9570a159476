//! Tests of both ends of the live page. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use super::super::snapshot::{DiskSpace, Meter, Meters, PassView};
use super::page::{CYCLES_AT, METERS_AT, SEQUENCE_AT, TOGETHER_AT, TURNS_KEPT, WORDS};
use super::*;
use crate::histogram::Histogram;
use crate::limits::{CHANNEL_COUNT_MAX, TRACK_COUNT_MAX};
use crate::session::POSITION_MAX;
use proptest::prelude::*;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// A snapshot of a pass.
fn recording(shape: u64) -> Snapshot {
    let mut snapshot = Snapshot { shape, ..Snapshot::empty() };
    snapshot.transport.pass = Some(PassView {
        phase: PassPhase::Recording,
        start: FramePos(0),
        head: Frames(0),
        frames: Frames(0),
        takes: Arc::default(),
        losses: Arc::default(),
        spool: None,
    });
    snapshot.disk_space = Some(DiskSpace { free_bytes: 1, seconds: 2.0, disk: "Music".to_owned() });
    snapshot
}

fn playhead(at: u64) -> Playhead {
    Playhead { motion: Motion::Rolling, position: FramePos(at), frames: Frames(at) }
}

/// Meters of one input and two tracks, all with this peak.
fn peak(peak: f32) -> Meters {
    let meter = Meter { peak, rms: peak / 2.0 };
    Meters { inputs: vec![meter], tracks: vec![meter; 2], master: [meter; 2] }
}

fn frames(snapshot: &Snapshot) -> u64 {
    snapshot.transport.pass.as_ref().unwrap().frames.0
}

#[test]
fn a_window_sees_the_values_that_control_has_written() {
    let page = LivePage::new().unwrap();
    let mut reader = LiveReader::new(page.file()).unwrap();
    let mut snapshot = recording(1);
    assert!(reader.over(&snapshot).is_none(), "nothing is written yet");
    let histogram = Histogram::default();
    histogram.count(10_000);
    snapshot.figures = EngineFigures {
        minor_faults: Some(3),
        major_faults: None,
        xruns: 4,
        lead_s: Some(1.5),
        cycles: Some(Arc::new(histogram.counts())),
        durable_age: Some(Duration::from_millis(250)),
        spool_bytes: 99,
        ..EngineFigures::default()
    };
    page.write(&playhead(480), &peak(0.5), &snapshot);
    // The window has the snapshot as it was when it was sent.
    let shown = reader.over(&recording(1)).unwrap();
    assert_eq!(
        (shown.transport.motion, shown.transport.position, frames(&shown)),
        (Motion::Rolling, FramePos(480), 480)
    );
    assert_eq!(shown.meters(), peak(0.5));
    assert_eq!(counters(&shown.figures), counters(&snapshot.figures));
    assert_eq!(shown.figures.cycles, snapshot.figures.cycles);
    assert_eq!(shown.disk_space, snapshot.disk_space);
    assert!(reader.over(&shown).is_none(), "nothing is new");
    // A message brings an older playhead. The window shows that of the page, and no peak twice.
    page.write(&playhead(960), &peak(0.1), &snapshot);
    reader.over(&shown).unwrap();
    reader.refresh();
    let again = reader.over(&recording(1)).unwrap();
    assert_eq!((frames(&again), again.tracks[0].peak), (960, 0.1));
}

#[test]
fn two_windows_take_no_peak_from_each_other_and_each_sees_every_peak_once() {
    let page = LivePage::new().unwrap();
    let [mut one, mut other] = [(); 2].map(|()| LiveReader::new(page.file()).unwrap());
    let snapshot = recording(1);
    let write = |level| page.write(&playhead(1), &peak(level), &snapshot);
    write(0.1);
    let shown = |reader: &mut LiveReader| reader.over(&snapshot).map(|shown| shown.tracks[1].peak);
    assert_eq!((shown(&mut one), shown(&mut other)), (Some(0.1), Some(0.1)));
    write(0.9);
    write(0.2);
    assert_eq!(shown(&mut one), Some(0.9));
    write(0.3);
    assert_eq!((shown(&mut one), shown(&mut other)), (Some(0.3), Some(0.9)));
    // A window that looks rarely sees the last turns.
    (0..TURNS_KEPT * 3).for_each(|_| write(0.0));
    write(0.7);
    (0..TURNS_KEPT - 2).for_each(|_| write(0.1));
    assert_eq!((shown(&mut one), shown(&mut other)), (Some(0.7), Some(0.7)));
}

#[test]
fn values_of_another_set_of_tracks_wait_for_their_snapshot() {
    let page = LivePage::new().unwrap();
    let mut reader = LiveReader::new(page.file()).unwrap();
    page.write(&playhead(1), &peak(0.9), &recording(1));
    page.write(&playhead(2), &Meters::default(), &recording(2));
    assert!(reader.over(&recording(1)).is_none());
    page.write(&playhead(3), &peak(0.2), &recording(2));
    let shown = reader.over(&recording(2)).unwrap();
    assert_eq!((frames(&shown), shown.tracks[0].peak), (3, 0.2), "the peak of another track is not shown");
}

#[test]
fn a_window_of_an_engine_that_died_while_it_wrote_keeps_its_values_and_does_not_wait() {
    let page = LivePage::new().unwrap();
    let mut reader = LiveReader::new(page.file()).unwrap();
    page.write(&playhead(1), &peak(0.1), &recording(1));
    page.word(SEQUENCE_AT).fetch_add(1, Relaxed);
    let began = Instant::now();
    assert!(reader.over(&recording(1)).is_none());
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    // Control has caught its panic and works again.
    page.write(&playhead(2), &peak(0.2), &recording(1));
    assert_eq!(frames(&reader.over(&recording(1)).unwrap()), 2);
    drop(page);
    assert!(reader.over(&recording(1)).is_none(), "the memory is still there");
}

#[test]
fn what_belongs_together_is_read_together_while_control_writes_without_a_pause() {
    let page = LivePage::new().unwrap();
    let mut reader = LiveReader::new(page.file()).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 0;
            while !is_over.load(Relaxed) {
                at += 1;
                let mut snapshot = recording(1);
                snapshot.figures.xruns = at;
                page.write(&playhead(at), &peak(0.5), &snapshot);
                std::thread::yield_now();
            }
        });
        let (mut seen, began) = (0, Instant::now());
        while seen < 2_000 && began.elapsed() < Duration::from_secs(10) {
            if let Some(shown) = reader.over(&recording(1)) {
                assert_eq!((frames(&shown), shown.figures.xruns), (shown.transport.position.0, frames(&shown)));
                seen += 1;
            }
        }
        is_over.store(true, Relaxed);
        assert!(100 < seen, "{seen}");
    });
}

#[test]
fn a_page_of_another_form_is_refused() {
    let page = LivePage::new().unwrap();
    page.word(0).store(1, Relaxed);
    assert!(LiveReader::new(page.file()).is_err());
    assert!(LiveReader::new(&File::open("/dev/null").unwrap()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_page_with_any_values_gives_values_that_a_window_can_draw(
        words in proptest::collection::vec(prop_oneof![any::<u64>(), 0_u64..4, Just(u64::MAX)], 64),
        level in any::<u64>(),
        before in 0_u64..3,
    ) {
        let page = LivePage::new().unwrap();
        let mut reader = LiveReader::new(page.file()).unwrap();
        (0..before).for_each(|_| page.write(&playhead(1), &peak(0.1), &recording(0)));
        reader.over(&recording(0));
        for (index, word) in words.iter().enumerate().take(CYCLES_AT - TOGETHER_AT) {
            page.word(TOGETHER_AT + index).store(*word, Relaxed);
        }
        (CYCLES_AT..METERS_AT).for_each(|index| page.word(index).store(words[index % 64], Relaxed));
        (METERS_AT..WORDS).step_by(7).for_each(|index| page.word(index).store(level, Relaxed));
        let snapshot = recording(words[1]);
        if let Some(shown) = reader.over(&snapshot) {
            prop_assert!(shown.inputs.len() <= CHANNEL_COUNT_MAX && shown.tracks.len() <= TRACK_COUNT_MAX);
            let all = shown.inputs.iter().chain(&shown.tracks).chain(&shown.master);
            for meter in all {
                prop_assert!((0.0..=1000.0).contains(&meter.peak) && (0.0..=1000.0).contains(&meter.rms));
            }
            prop_assert!(shown.transport.position.0 <= POSITION_MAX && frames(&shown) <= POSITION_MAX);
            let figures = &shown.figures;
            prop_assert!(figures.xruns <= COUNT_MAX && figures.lead_s.is_none_or(f64::is_finite));
            if let Some(cycles) = &figures.cycles {
                prop_assert!(cycles.quantile_us(0.5).is_finite() && cycles.mean_us().is_finite());
            }
            prop_assert!(shown.disk_space.unwrap().seconds.is_finite());
        }
    }
}
