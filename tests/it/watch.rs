//! Residency from end to end: real recordings and playback on a real disk, and the watcher's samples of them. Thread:
//! test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::util::{place, skip};
use faultless::butler::capabilities::{Capabilities, CapturePath};
use faultless::control::recording::PassReport;
use faultless::control::{Control, Purpose, Setup};
use faultless::device::signal::Signal;
use faultless::device::virtual_device::spec;
use faultless::format::TakeFormat;
use faultless::residency::report::report;
use faultless::residency::sample::{Pages, Row, RowKey, Sample, View};
use faultless::residency::state::PageState;
use faultless::threads::ThreadsSetup;
use faultless::time::{FramePos, Frames, SampleRate};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const INPUTS: usize = 4;
const VIEW: View = View { cells: 112, pages: Pages::AroundHead { back_ms: 1500, ahead_ms: 1000 }, hz: 20 };

fn open(folder: &Path, capture_path: CapturePath) -> Control {
    open_at(folder, capture_path, 48_000)
}

fn open_at(folder: &Path, capture_path: CapturePath, rate: u32) -> Control {
    let run = ThreadsSetup {
        capabilities: Capabilities::probe(&[]),
        capture_path,
        lock_bytes_max: 8 << 20,
        spool_bytes_max: 64 << 20,
        lead_ms: 500,
        sync_interval: Duration::from_millis(300),
    };
    let mut device = spec("", INPUTS, Signal::Ramp);
    device.rate = SampleRate(rate);
    // With a deep buffer a busy machine makes no xrun that the test did not order.
    device.buffer_frames = Some(2 * rate as usize);
    let format = TakeFormat::S24;
    let mut control =
        Control::open(Setup { folder: folder.to_owned(), purpose: Purpose::Record, device, format, run }).unwrap();
    control.arm_inputs(INPUTS).unwrap();
    control
}

fn until(control: &mut Control, what: &str, mut is_so: impl FnMut(&mut Control) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so(control) {
        assert!(Instant::now() < end, "{what} took too long");
        control.poll();
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Records `frames` frames while the watcher samples, and calls `meanwhile` from time to time.
fn record(
    control: &mut Control,
    view: View,
    frames: u64,
    mut meanwhile: impl FnMut(&Control),
) -> (PassReport, Vec<Arc<Sample>>) {
    control.watcher().unwrap().set_view(Some(view));
    control.record(Frames(frames)).unwrap();
    until(control, "a pass", |control| {
        meanwhile(control);
        !control.is_recording()
    });
    let watcher = control.watcher().unwrap();
    watcher.set_view(None);
    let history = watcher.history();
    (control.take_report().unwrap(), history)
}

fn shown(row: &Row) -> BTreeSet<char> {
    row.cells.iter().map(|cell| cell.shown().letter()).collect()
}

/// Each disagreement in words: the cell, the state in the ledger, and the state in the kernel.
fn accused(history: &[Arc<Sample>]) -> Vec<String> {
    let mut accused = Vec::new();
    for sample in history {
        for row in &sample.rows {
            let cells = row.cells.iter().enumerate().filter(|(_, cell)| cell.disagrees());
            accused.extend(cells.map(|(at, cell)| {
                let (believed, kernel) = (cell.believed(), cell.kernel());
                format!("{} ms {:?} cell {at}: {believed:?}, {kernel:?}", sample.at.0, row.key)
            }));
        }
        if sample.figures.lock_disagrees {
            accused.push(format!("{} ms: {:?}", sample.at.0, sample.figures));
        }
    }
    accused
}

fn no_faults(report: &PassReport) {
    let audio = &report.audio_thread;
    assert_eq!((audio.minor_faults, audio.major_faults), (Some(0), Some(0)), "{audio:?}");
}

/// The head positions in a row's samples, in order.
fn heads(history: &[Arc<Sample>], key: RowKey) -> Vec<u64> {
    history.iter().filter_map(|sample| Some(sample.row(&key)?.head_byte)).collect()
}

#[test]
fn a_recording_is_seen_on_its_way_to_the_disk_and_nobody_disagrees() {
    let place = place();
    let mut control = open(&place.path().join("Session"), CapturePath::Spool);
    let (pass, history) = record(&mut control, VIEW, 3 * 48_000, |_| ());
    no_faults(&pass);
    let with_rows: Vec<&Arc<Sample>> = history.iter().filter(|sample| sample.rows.len() == INPUTS).collect();
    assert!(20 < with_rows.len(), "{} of {}", with_rows.len(), history.len());
    let key = with_rows[0].rows[0].key;
    let heads = heads(&history, key);
    assert!(heads.is_sorted() && heads[0] + 200_000 < heads[heads.len() - 1], "{heads:?}");
    let seen: BTreeSet<char> = with_rows.iter().flat_map(|sample| &sample.rows).flat_map(shown).collect();
    for state in [PageState::Locked, PageState::Recorded, PageState::Durable] {
        assert!(seen.contains(&state.letter()), "{state:?} not in {seen:?}");
    }
    assert_eq!(accused(&history), Vec::<String>::new());
    for sample in &with_rows {
        for row in &sample.rows {
            assert!(row.cells.len() <= VIEW.cells && row.bytes_per_cell == 4096, "{row:?}");
        }
    }
    let json = serde_json::to_value(report(&history, &|_| None)).unwrap();
    assert_eq!((&json["disagreements"], &json["samples_taken"]), (&0.into(), &history.len().into()));
    assert!(json["samples"].as_array().unwrap().iter().any(|sample| sample["rows"][0]["shown"].is_string()));
    let story = control.watcher().unwrap().page_story_at(with_rows[1], &key, 8192);
    // Syncs by other programs come after it, if there were some.
    let is_over = story.iter().any(|line| line.starts_with("it is over"));
    assert!(story[0].starts_with("page 2 of In 1-1.wav") && is_over, "{story:?}");
    control.close();
}

#[test]
fn a_page_has_its_story_while_it_is_recorded() {
    let place = place();
    let mut control = open(&place.path().join("Session"), CapturePath::Spool);
    control.watcher().unwrap().set_view(Some(VIEW));
    control.record(Frames(2 * 48_000)).unwrap();
    let mut story = Vec::new();
    until(&mut control, "a page's life", |control| {
        let Some(take) = control.running().ledger.takes().first().cloned() else { return false };
        let key = RowKey::Take { uuid: take.identity, key: take.key };
        story = control.watcher().unwrap().page_story(&key, 4096);
        story.iter().any(|line| line.starts_with("durable"))
    });
    assert!(story[0].starts_with("page 1 of In 1-1.wav, bytes 4096 to 8191, 0:00.000 on the timeline"), "{story:#?}");
    for words in ["by the butler, locked", "filled by the audio thread", "by the committer, in"] {
        assert!(story.iter().any(|line| line.contains(words)), "{words}: {story:#?}");
    }
    until(&mut control, "the pass", |control| !control.is_recording());
    control.close();
}

#[test]
fn in_place_a_sync_of_another_program_is_seen_to_write_protect() {
    let place = place();
    let folder = place.path().join("Session");
    let mut control = open(&folder, CapturePath::InPlace);
    let path = folder.join("audio/In 1-1.wav");
    let (_, history) = record(&mut control, VIEW, 2 * 48_000, |_| {
        if let Ok(file) = std::fs::File::open(&path) {
            file.sync_data().unwrap();
        }
    });
    if history
        .iter()
        .flat_map(|sample| &sample.rows)
        .all(|row| !shown(row).contains(&'c') && !shown(row).contains(&'R'))
    {
        return skip("watch: write-protection", "this kernel has no cachestat");
    }
    let name = |row: &Row| row.path.file_name().unwrap().to_string_lossy().into_owned();
    let protected: BTreeSet<String> = history
        .iter()
        .flat_map(|sample| &sample.rows)
        .filter(|row| shown(row).contains(&PageState::WriteProtected.letter()))
        .map(name)
        .collect();
    assert!(protected.contains("In 1-1.wav"), "{protected:?}");
    assert_eq!(accused(&history), Vec::<String>::new());
    control.close();
}

#[test]
fn a_whole_file_in_a_few_cells_accuses_nobody_on_either_path() {
    let place = place();
    for (name, path) in [("spool", CapturePath::Spool), ("in-place", CapturePath::InPlace)] {
        // The take is long enough for the write-behind of `in-place`, which stays 2 MiB away from the record
        // position.
        let mut control = open_at(&place.path().join(name), path, 192_000);
        let view = View { cells: 12, pages: Pages::WholeFile, ..VIEW };
        let (_, history) = record(&mut control, view, 6 * 192_000, |_| ());
        assert_eq!(accused(&history), Vec::<String>::new(), "{name}");
        let rows: Vec<&Row> = history.iter().flat_map(|sample| &sample.rows).collect();
        assert!(rows.iter().all(|row| row.first_byte == 4096 && row.cells.len() <= 12), "{name}");
        assert!(rows.iter().any(|row| row.bytes_per_cell > 4096), "{name}");
        let seen: BTreeSet<char> = rows.iter().flat_map(|row| shown(row)).collect();
        let written = if name == "in-place" { PageState::Committed } else { PageState::Durable };
        assert!(seen.contains(&written.letter()), "{name}: {seen:?}");
        control.close();
    }
}

#[test]
fn windows_that_play_are_seen_locked_and_moving() {
    let place = place();
    let mut control = open(&place.path().join("Session"), CapturePath::Spool);
    record(&mut control, VIEW, 2 * 48_000, |_| ());
    control.load_players();
    control.locate(FramePos(0)).unwrap();
    until(&mut control, "windows", |control| control.is_ready_to_roll());
    control.watcher().unwrap().set_view(Some(VIEW));
    control.roll();
    until(&mut control, "rolling", |control| {
        72_000 < control.published().position.load(std::sync::atomic::Ordering::Relaxed)
    });
    control.stop();
    let history = control.watcher().unwrap().history();
    let playing: Vec<&Arc<Sample>> = history.iter().filter(|sample| sample.row(&RowKey::Slot(0)).is_some()).collect();
    assert!(10 < playing.len());
    let mut slots: Vec<&Row> =
        playing.iter().flat_map(|sample| &sample.rows).filter(|row| !row.is_recorded()).collect();
    slots.retain(|row| shown(row).contains(&PageState::Locked.letter()));
    assert!(10 < slots.len(), "locked windows around the play head");
    let heads = heads(&history, RowKey::Slot(0));
    assert!(heads.is_sorted() && heads[0] + 100_000 < heads[heads.len() - 1], "{heads:?}");
    assert_eq!(accused(&history), Vec::<String>::new());
    control.close();
}
