//! The whole program, measured by the kernel's counters: threads, a device with a clock, files on a disk. Thread: test.

use faultless::butler::capabilities::{Capabilities, CapturePath};
use faultless::control::recording::PassReport;
use faultless::control::report::faults_by_kind;
use faultless::control::{Control, Setup};
use faultless::device::signal::{Signal, ramp};
use faultless::device::virtual_device::spec;
use faultless::format::TakeFormat;
use faultless::message::published::MeterCell;
use faultless::rt::counters::ThreadCounters;
use faultless::threads::ThreadsSetup;
use faultless::time::{FramePos, Frames};
use faultless::wav::read::Reader;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const INPUTS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(30);

fn open(folder: &Path) -> Control {
    let run = ThreadsSetup {
        capabilities: Capabilities::probe(&[]),
        capture_path: CapturePath::Spool,
        lock_bytes_max: 8 << 20,
        spool_bytes_max: 64 << 20,
        lead_ms: 500,
        sync_interval: Duration::from_millis(200),
    };
    let (device, format) = (spec("", INPUTS, Signal::Ramp), TakeFormat::S24);
    Control::open(Setup {
        folder: folder.to_owned(),
        purpose: faultless::control::Purpose::Record,
        device,
        format,
        run,
    })
    .unwrap()
}

fn until(control: &mut Control, what: &str, mut is_so: impl FnMut(&mut Control) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so(control) {
        assert!(Instant::now() < end, "{what} took too long");
        control.poll();
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn record(control: &mut Control, frames: u64) -> PassReport {
    control.record(Frames(frames)).unwrap();
    until(control, "a pass", |control| !control.is_recording());
    control.take_report().expect("a pass has its report")
}

/// Checks the cost of a pass and the samples of its takes.
fn check(control: &Control, report: &PassReport, frames: u64) {
    let audio = &report.audio_thread;
    assert_eq!(
        (audio.minor_faults, audio.major_faults, audio.voluntary_switches),
        (Some(0), Some(0), Some(0)),
        "{audio:?}"
    );
    assert_eq!((report.frames, report.takes.len()), (frames, INPUTS));
    assert!(frames / 64 <= audio.cycles + report.frames_lost / 64, "{audio:?}");
    if 0 < report.frames_lost {
        // The machine was busy for longer than the buffer of 16,000 frames. Other tests cover that; skip the samples.
        return crate::util::skip_part("witness::program: the takes' samples", "the device ran over");
    }
    for take in &report.takes {
        let path = control.folder().join(&take.file);
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.layout().frames, frames);
        let mut bytes = vec![0; frames as usize * 3];
        assert_eq!(reader.read_bytes(0, &mut bytes).unwrap(), bytes.len());
        let sample = |at: usize| i32::from_le_bytes([0, bytes[at * 3], bytes[at * 3 + 1], bytes[at * 3 + 2]]) >> 8;
        let first = (sample(0) - ramp(0, u64::from(take.input))) as u64 & 0xff_ffff;
        assert!((0..frames).all(|frame| sample(frame as usize) == ramp(first + frame, u64::from(take.input))));
    }
}

#[test]
fn a_second_of_eight_inputs_costs_the_audio_thread_no_fault_and_no_wait() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut control = open(&folder.path().join("Session"));
    control.arm_inputs(INPUTS).unwrap();
    for _ in 0..2 {
        let report = record(&mut control, 48_000);
        check(&control, &report, 48_000);
        let disk = &control.running().disk;
        assert_eq!(disk.spool_bytes.load(Relaxed), 0, "a pass that is over holds no spool");
    }
    control.close();
}

#[test]
fn playing_what_was_recorded_costs_the_audio_thread_no_fault() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut control = open(&folder.path().join("Session"));
    control.arm_inputs(INPUTS).unwrap();
    record(&mut control, 24_000);
    let thread = control.published().thread_id.load(Relaxed);
    let before = ThreadCounters::of(thread).unwrap();
    let base = faultless::control::report::Reading::now(control.published(), true);
    control.load_players();
    control.locate(FramePos(0)).unwrap();
    until(&mut control, "windows", |control| control.is_ready_to_roll());
    control.roll();
    until(&mut control, "rolling", |control| 12_000 < control.published().position.load(Relaxed));
    // Locate forwards and back while windows are on their way.
    control.locate(FramePos(18_000)).unwrap();
    until(&mut control, "a locate", |control| control.is_ready_to_roll());
    until(&mut control, "rolling there", |control| 20_000 < control.published().position.load(Relaxed));
    control.locate(FramePos(500)).unwrap();
    until(&mut control, "a locate", |control| control.is_ready_to_roll());
    until(&mut control, "rolling back", |control| {
        (4_000..15_000).contains(&control.published().position.load(Relaxed))
    });
    let loudest = control.published().master.iter().map(MeterCell::take_peak).fold(0.0, f32::max);
    assert!(0.1 < loudest, "it was heard: {loudest}");
    control.stop();
    let spent = ThreadCounters::of(thread).unwrap().since(&before);
    assert_eq!((spent.minor_faults, spent.major_faults), (0, 0), "{spent:?}");
    assert_eq!(faults_by_kind(control.running(), &base), Some((0, 0)));
    control.close();
}
