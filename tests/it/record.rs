//! Recording from end to end: the program and its files, every sample compared with the ramp. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::util::{
    Checked, DEEP, PATIENCE, Started, before, check, contents, edit, faultless, new_session, place, read_wav, record,
    run, skip, start, stored,
};
use faultless::butler::capabilities::{Capabilities, CapturePath};
use faultless::control::{Control, Notice, Setup};
use faultless::device::signal::{Signal, ramp};
use faultless::device::virtual_device;
use faultless::format::{DeviceFormat, TakeFormat};
use faultless::session::TakeState;
use faultless::session::session_file::open_read_only;
use faultless::threads::ThreadsSetup;
use faultless::time::{Frames, SampleRate};
use faultless::wav::parse::parse;
use faultless::wav::read::Reader;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn checked(takes: usize, frames: u64, lost: u64) -> Checked {
    Checked { takes, frames, lost, began: 0 }
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The setup with which the tests record through the library.
pub(crate) fn setup(folder: &Path, device: &str, inputs: usize, rate: u32, format: TakeFormat) -> Setup {
    let mut device = virtual_device::spec(device, inputs, Signal::Ramp);
    device.rate = SampleRate(rate);
    device.outputs = Some(0);
    device.format = (format == TakeFormat::F32).then_some(DeviceFormat::F32);
    Setup {
        folder: folder.to_owned(),
        purpose: faultless::control::Purpose::Record,
        device,
        format,
        run: threads_setup(256 << 20),
    }
}

pub(crate) fn threads_setup(spool_bytes_max: u64) -> ThreadsSetup {
    ThreadsSetup {
        capabilities: Capabilities::probe(&[]),
        capture_path: CapturePath::Spool,
        lock_bytes_max: 6 << 20,
        spool_bytes_max,
        lead_ms: 1000,
        sync_interval: Duration::from_millis(1000),
    }
}

/// Records to the end and calls `looking` from time to time. Returns all notices.
pub(crate) fn record_through(mut control: Control, frames: u64, mut looking: impl FnMut(&Control)) -> Vec<Notice> {
    let until = Instant::now() + Duration::from_secs(300);
    control.record(Frames(frames)).unwrap();
    while control.is_recording() {
        assert!(Instant::now() < until, "it does not end");
        control.poll();
        looking(&control);
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut told: Vec<Notice> = std::iter::from_fn(|| control.take_notice()).collect();
    let (_, rest) = control.close();
    told.extend(rest);
    told
}

#[test]
fn every_format_with_one_and_with_24_inputs_is_exact_to_the_frame() {
    let place = place();
    for format in ["s16", "s24", "f32"] {
        for inputs in [1, 24] {
            let folder = place.path().join(format!("{format}-{inputs}"));
            let arguments = format!("--device virtual:free --inputs {inputs} --format {format} --seconds 1.001");
            let run = run(record(&folder, &arguments)).done();
            assert_eq!(run.json()["frames"], 48_048);
            assert_eq!(check(&folder), [checked(inputs, 48_048, 0)], "{format}");
        }
    }
}

#[test]
fn the_last_line_is_one_object_with_the_promised_members() {
    let place = place();
    let folder = place.path().join("session");
    let run =
        run(record(&folder, "--device virtual:free --inputs 2 --seconds 0.5 --period 128 --rate 44100 --format f32"))
            .done();
    let found = run.json();
    let head = "session device rate period format capture_path seconds frames xruns playback_xruns frames_lost \
                locked_bytes_peak latency run lead_frames_min commit_us_max audio_thread page_faults takes bare_copy_us \
                bare_copy_ratio";
    assert_eq!(keys(&found), head.split_whitespace().collect());
    let thread = "scheduling cycles minor_faults major_faults library_threads voluntary_switches cycle_us_mean \
                  cycle_us_p9999 cycle_us_max cpu_seconds signal_seconds frames_unheard frames_dropped";
    assert_eq!(keys(&found["audio_thread"]), thread.split_whitespace().collect());
    let run = "page_faults xruns playback_xruns frames_lost frames_unheard frames_skipped frames_dropped";
    assert_eq!(keys(&found["run"]), run.split_whitespace().collect());
    let faults = ["attributed", "unattributed"].map(|key| found["page_faults"][key].as_u64().unwrap());
    let counted = ["minor_faults", "major_faults"].map(|key| found["audio_thread"][key].as_u64().unwrap());
    assert_eq!(
        faults.iter().sum::<u64>(),
        counted.iter().sum::<u64>(),
        "each fault that was counted is attributed or not"
    );
    assert_eq!(found["session"], json!(folder));
    let plain = ["device", "rate", "period", "format", "capture_path", "seconds", "frames", "xruns", "frames_lost"];
    let want = json!(["virtual:free", 44_100, 128, "f32", "spool", 0.5, 22_050, 0, 0]);
    assert_eq!(json!(plain.map(|key| found[key].clone())), want);
    assert_eq!(
        found["takes"],
        json!([
            { "track": "In 1", "input": 0, "file": "audio/In 1-1.wav", "frames": 22_050, "frames_lost": 0, "xruns": 0 },
            { "track": "In 2", "input": 1, "file": "audio/In 2-1.wav", "frames": 22_050, "frames_lost": 0, "xruns": 0 },
        ])
    );
    for take in found["takes"].as_array().unwrap() {
        let file = folder.join(take["file"].as_str().unwrap());
        assert_eq!(hound::WavReader::open(file).unwrap().duration(), 22_050);
    }
    assert!(found["audio_thread"]["scheduling"].is_string());
    assert_eq!(found["audio_thread"]["library_threads"], json!([]), "no library runs the built-in device");
    for number in ["minor_faults", "major_faults", "voluntary_switches", "cycles"] {
        assert!(found["audio_thread"][number].is_u64(), "{number}");
    }
}

#[test]
fn rates_and_periods_even_and_odd_are_exact() {
    let place = place();
    let cases = [(44_100, 63), (96_000, 100), (48_000, 16), (48_000, 1024), (192_000, 1000), (8_000, 257)];
    for (rate, period) in cases {
        let folder = place.path().join(format!("{rate}-{period}"));
        let arguments = format!("--device virtual:free --inputs 3 --rate {rate} --period {period} --seconds 1");
        let found = run(record(&folder, &arguments)).done().json();
        assert_eq!((&found["rate"], &found["period"]), (&json!(rate), &json!(period)));
        assert_eq!(check(&folder), [checked(3, rate, 0)], "{rate} {period}");
    }
    // A period longer than the engine processes in one call.
    let folder = place.path().join("long");
    run(record(&folder, "--device virtual:free --inputs 2 --period 8192 --seconds 1")).done();
    assert_eq!(check(&folder), [checked(2, 48_000, 0)]);
}

#[test]
fn in_real_time_it_is_exact_too_on_both_capture_paths() {
    let place = place();
    for path in ["spool", "in-place"] {
        let folder = place.path().join(path);
        let arguments = format!("--device virtual --inputs 8 --seconds 2 --capture-path {path} {DEEP}");
        let found = run(record(&folder, &arguments)).done().json();
        assert_eq!((&found["capture_path"], &found["frames_lost"]), (&json!(path), &json!(0)));
        let Checked { takes, frames, lost, .. } = check(&folder)[0];
        assert_eq!((takes, frames, lost), (8, 96_000, 0));
    }
    let folder = place.path().join("in-place-free");
    run(record(&folder, "--device virtual:free --inputs 24 --seconds 3 --capture-path in-place --format s16")).done();
    assert_eq!(check(&folder), [checked(24, 144_000, 0)]);
}

#[test]
fn stereo_tracks_and_swapped_inputs_are_exact() {
    let place = place();
    for format in [TakeFormat::S16, TakeFormat::S24, TakeFormat::F32] {
        let folder = place.path().join(format.to_string());
        new_session(&folder, 48_000, format, &[&[0, 1], &[3, 2], &[5], &[4, 0]]);
        let control = Control::open(setup(&folder, "free", 6, 48_000, format)).unwrap();
        assert_eq!(record_through(control, 100_001, |_| ()), []);
        assert_eq!(check(&folder), [checked(4, 100_001, 0)]);
    }
}

#[test]
fn takes_can_be_read_while_they_are_recorded() {
    let place = place();
    let folder = place.path().join("session");
    let mut program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 4 {DEEP}")));
    let mut seen = BTreeSet::new();
    while program.is_running() {
        std::thread::sleep(Duration::from_millis(50));
        let file = folder.join("audio/In 2-1.wav");
        let Ok(mut reader) = hound::WavReader::open(&file) else {
            assert!(seen.is_empty(), "it could be read before");
            continue;
        };
        let frames = reader.duration();
        assert!(seen.last().is_none_or(|last| *last <= frames), "the header went back");
        if seen.insert(frames) && frames > 0 {
            let samples: Vec<i32> = reader.samples::<i32>().map(Result::unwrap).collect();
            assert_eq!(samples.len(), frames as usize, "the header promises more than there is");
            let first = (samples[0] + (1 << 23)) as u64;
            let wrong = samples.iter().zip(first..).position(|(value, frame)| *value != ramp(frame, 0));
            assert_eq!(wrong, None);
        }
    }
    assert!(3 <= seen.len(), "{seen:?}: the header did not grow");
    program.wait(PATIENCE).done();
    assert_eq!(check(&folder)[0].frames, 192_000);
}

#[test]
fn an_interrupt_ends_a_take_cleanly() {
    let place = place();
    for signal in ["INT", "TERM", "HUP"] {
        let folder = place.path().join(signal);
        let program = start(record(&folder, &format!("--device virtual --inputs 3 {DEEP}")));
        await_sound(&folder.join("audio/In 3-1.wav"));
        program.signal(signal);
        let found = program.wait(PATIENCE).done().json();
        let session = open_read_only(&folder).unwrap();
        assert!(session.takes().iter().all(|take| take.state == TakeState::Complete));
        assert_eq!(found["frames"], session.takes()[0].frames.0);
        assert!(check(&folder)[0].frames > 0);
    }
}

/// Waits until a take's header claims at least one frame.
pub(crate) fn await_sound(file: &Path) {
    let until = Instant::now() + PATIENCE;
    while hound::WavReader::open(file).map_or(0, |reader| reader.duration()) == 0 {
        assert!(Instant::now() < until, "{}: no sound", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ordered_losses_are_silence_at_their_place_and_in_the_record() {
    let place = place();
    // A period has 64 frames: an order takes effect at the first period from its frame on.
    let cases = [
        ("xrun=48000+777", 1, vec![(48_000, 777, "xrun")]),
        ("xrun=30+5,xrun=20000+1,xrun=70000+64", 3, vec![(64, 5, "xrun"), (20_037, 1, "xrun"), (70_022, 64, "xrun")]),
        ("unplug=30000+5000", 0, vec![(30_016, 4984, "device away")]),
        ("unplug=90000+9000", 0, vec![(90_048, 5952, "device away")]),
        ("xrun=48000+0", 1, vec![]),
        ("slow=48000+1000", 0, vec![]),
    ];
    for (order, xruns, losses) in cases {
        let folder = place.path().join(order);
        let arguments = format!("--device virtual:free,{order} --inputs 5 --seconds 2");
        let found = run(record(&folder, &arguments)).done().json();
        let lost: u64 = losses.iter().map(|(_, frames, _)| frames).sum();
        assert_eq!(
            (&found["frames"], &found["xruns"], &found["frames_lost"]),
            (&json!(96_000), &json!(xruns), &json!(lost))
        );
        assert_eq!(check(&folder), [checked(5, 96_000, lost)], "{order}");
        for take in open_read_only(&folder).unwrap().takes() {
            let found: Vec<_> =
                take.losses.iter().map(|loss| (loss.at.0, loss.frames.0, loss.cause.as_str())).collect();
            // A loss of 0 frames may be listed or not; it is counted.
            let found: Vec<_> = found.into_iter().filter(|(_, frames, _)| *frames > 0).collect();
            assert_eq!(found, losses, "{order}");
        }
    }
}

#[test]
fn a_device_that_is_late_or_gone_loses_only_what_is_reported() {
    let place = place();
    let folder = place.path().join("late");
    let late = run(record(&folder, "--device virtual:slow=24000+600000 --inputs 4 --seconds 2")).done().json();
    let found = check(&folder)[0];
    assert!(late["xruns"].as_u64().unwrap() >= 1 && found.lost >= 28_000, "{late} {found:?}");
    assert_eq!((late["frames_lost"].as_u64(), found.frames), (Some(found.lost), 96_000));

    let folder = place.path().join("gone");
    let gone = run(record(&folder, "--device virtual:free,gone=24000 --inputs 4 --seconds 1")).done();
    assert!(gone.err.contains("the device is gone"), "{}", gone.err);
    assert_eq!(check(&folder), [checked(4, 48_000, 24_000)]);
}

#[test]
fn a_second_pass_makes_take_2_and_never_touches_take_1() {
    let place = place();
    let folder = place.path().join("session");
    run(record(&folder, "--device virtual:free --inputs 2 --seconds 1")).done();
    let before = contents(&folder.join("audio"));
    let second = run(record(&folder, "--device virtual:free --inputs 3 --seconds 0.5 --format f32")).done().json();
    let files: Vec<&str> = second["takes"].as_array().unwrap().iter().map(|t| t["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["audio/In 1-2.wav", "audio/In 2-2.wav", "audio/In 3-1.wav"]);
    let after = contents(&folder.join("audio"));
    assert_eq!(after.len(), 5);
    assert!(before.iter().all(|(path, bytes)| after[path] == *bytes));
    assert_eq!(check(&folder), [checked(2, 48_000, 0), checked(3, 24_000, 0)]);
    // A file that the session does not know keeps its name and its bytes.
    fs::write(folder.join("audio/In 1-3.wav"), "mine").unwrap();
    let third = run(record(&folder, "--device virtual:free --inputs 1 --seconds 0.1")).done().json();
    assert_eq!(third["takes"][0]["file"], "audio/In 1-4.wav");
    assert_eq!(fs::read(folder.join("audio/In 1-3.wav")).unwrap(), b"mine");
}

#[test]
fn each_fallback_is_exact_and_named() {
    let place = place();
    let cases = [
        ("populate", vec!["MADV_POPULATE"]),
        ("o_direct", vec!["O_DIRECT"]),
        ("fallocate", vec!["fallocate"]),
        ("io_uring", vec!["io_uring"]),
        ("tmpfs", vec!["tmpfs"]),
        (
            "populate,o_direct,fallocate,io_uring,tmpfs",
            vec!["MADV_POPULATE", "O_DIRECT", "fallocate", "io_uring", "tmpfs"],
        ),
    ];
    for (without, named) in cases {
        for (path, device) in [("spool", "virtual:free"), ("in-place", "virtual:free"), ("spool", "virtual")] {
            let folder = place.path().join(format!("{without}-{path}-{device}"));
            let arguments = format!("--device {device} --inputs 6 --seconds 0.7 --capture-path {path} {DEEP}");
            let mut command = record(&folder, &arguments);
            command.env("FAULTLESS_WITHOUT", without);
            let run = run(command).done();
            let found = check(&folder)[0];
            assert_eq!((found.takes, found.frames, found.lost), (6, 33_600, 0), "{without} {path}");
            for name in &named {
                // `in-place` maps the take itself and never uses O_DIRECT.
                let asked = path == "spool" || *name != "O_DIRECT";
                assert_eq!(run.err.contains(name), asked, "{without} {path}: {}", run.err);
            }
        }
        let folder = place.path().join(format!("{without}-spool-virtual:free"));
        let mut command = faultless("play", &folder, "--device virtual:free --json");
        command.env("FAULTLESS_WITHOUT", without);
        assert_eq!(run(command).done().json()["dropouts"], 0);
    }
}

#[test]
fn no_locked_memory_at_all_is_reported_and_exact() {
    let place = place();
    let folder = place.path().join("session");
    let run = run(record(&folder, "--device virtual:free --inputs 24 --seconds 1 --lock-limit 0")).done();
    assert!(run.err.contains("locked memory"), "{}", run.err);
    assert_eq!(run.json()["locked_bytes_peak"], 0);
    assert_eq!(check(&folder), [checked(24, 48_000, 0)]);
}

#[test]
fn a_device_without_a_clock_waits_for_a_spool_that_is_full() {
    let place = place();
    let folder = place.path().join("session");
    new_session(&folder, 48_000, TakeFormat::S24, &[&[0], &[1, 2]]);
    let mut setup = setup(&folder, "free", 3, 48_000, TakeFormat::S24);
    setup.run = threads_setup(512 * 1024);
    let control = Control::open(setup).unwrap();
    let mut most = 0;
    record_through(control, 480_000, |control| {
        let held = control.running().disk.spool_bytes_peak.load(std::sync::atomic::Ordering::Relaxed);
        most = most.max(held);
    });
    assert!(0 < most && most <= 512 * 1024, "{most}");
    assert_eq!(check(&folder), [checked(2, 480_000, 0)]);
}

/// Starts a recording whose disk can be made to refuse sound and to take it again, by a limit on the size of its
/// files.
pub(crate) fn on_a_disk_that_refuses(folder: &Path, arguments: &str) -> Started {
    let command = record(folder, arguments);
    // The signal SIGXFSZ that comes with the limit is ignored, so that write() returns an error.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    start(shell)
}

pub(crate) fn refuse_above(program: &Started, bytes: &str) {
    let done = Command::new("prlimit")
        .args(["--pid", &program.pid().to_string(), &format!("--fsize={bytes}:unlimited")])
        .status()
        .unwrap();
    assert!(done.success());
}

#[test]
fn a_disk_that_refuses_for_a_while_costs_nothing() {
    let place = place();
    let folder = place.path().join("session");
    let program = on_a_disk_that_refuses(&folder, &format!("--device virtual --inputs 4 --seconds 4 {DEEP}"));
    await_sound(&folder.join("audio/In 1-1.wav"));
    refuse_above(&program, "100000");
    std::thread::sleep(Duration::from_millis(1500));
    refuse_above(&program, "unlimited");
    let run = program.wait(PATIENCE).done();
    assert!(run.err.contains("cannot write") && run.err.contains("takes sound again"), "{}", run.err);
    let found = check(&folder)[0];
    assert_eq!((found.takes, found.frames, found.lost), (4, 192_000, 0));
}

#[test]
fn a_spool_that_is_full_loses_frames_in_place_and_continues() {
    let place = place();
    let folder = place.path().join("session");
    // The recording makes 1.5 MB/s, and the spool has 1 MiB.
    let arguments = "--device virtual --inputs 1 --rate 384000 --period 512 --format f32 --seconds 4 --lead 100 \
                     --spool-limit 1 --buffer 3840000";
    let program = on_a_disk_that_refuses(&folder, arguments);
    await_sound(&folder.join("audio/In 1-1.wav"));
    refuse_above(&program, "100000");
    std::thread::sleep(Duration::from_millis(1500));
    refuse_above(&program, "unlimited");
    let run = program.wait(PATIENCE).done();
    assert!(run.err.contains("spool") && run.err.contains("not recorded (no memory was ready)"), "{}", run.err);
    let found = check(&folder)[0];
    assert_eq!(found.frames, 4 * 384_000);
    assert!(found.lost > 0 && run.json()["frames_lost"] == found.lost, "{found:?}");
    assert_eq!(open_read_only(&folder).unwrap().takes()[0].losses[0].cause, "overrun");
}

#[test]
fn a_session_that_is_being_recorded_refuses_a_second_program() {
    let place = place();
    let folder = place.path().join("session");
    // The shell that starts the tests may ignore SIGINT, and the program then ignores it too.
    let program = record(&folder, &format!("--device virtual --inputs 2 {DEEP}"));
    let program = start(before("env --default-signal=INT", &program));
    await_sound(&folder.join("audio/In 2-1.wav"));
    let second = run(record(&folder, "--device virtual:free --inputs 2 --seconds 1"));
    second.refused(&[&folder.display().to_string(), &format!("process {}", program.pid())]);
    program.signal("INT");
    program.wait(PATIENCE).done();
    assert_eq!(check(&folder).len(), 1);
    run(record(&folder, "--device virtual:free --inputs 2 --seconds 0.1")).done();
    assert_eq!(check(&folder).len(), 2);
}

#[test]
fn a_recording_that_nohup_started_outlives_its_terminal() {
    let place = place();
    let folder = place.path().join("session");
    let program = record(&folder, &format!("--device virtual --inputs 2 --seconds 3 {DEEP}"));
    let program = start(before("nohup", &program));
    await_sound(&folder.join("audio/In 2-1.wav"));
    program.signal("HUP");
    program.wait(PATIENCE).done();
    assert_eq!(check(&folder)[0].frames, 144_000);
}

#[test]
fn a_card_that_dies_before_the_first_frame_ends_the_recording_by_name() {
    let place = place();
    for device in ["virtual:gone=64", "virtual:unplug=0+48000000"] {
        let folder = place.path().join(device);
        let since = Instant::now();
        run(record(&folder, &format!("--device {device} --inputs 2 --seconds 2")))
            .refused(&[device, "no sound within"]);
        assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    }
}

/// The counters of a whole run are for the time before the first frame too; a take has nothing of it.
#[test]
fn a_loss_before_the_first_frame_is_in_the_counters_of_the_run_and_in_no_take() {
    let place = place();
    let folder = place.path().join("session");
    let arguments = "--device virtual:xrun=64+500 --inputs 2 --seconds 1";
    let ended = run(record(&folder, arguments)).done();
    let found = ended.json();
    assert_eq!((&found["frames_lost"], &found["xruns"]), (&json!(0), &json!(0)), "{}", ended.err);
    assert_eq!((&found["run"]["frames_lost"], &found["run"]["xruns"]), (&json!(500), &json!(1)), "{}", ended.err);
    assert_eq!(check(&folder)[0].lost, 0);
}

#[test]
fn takes_without_a_frame_are_no_success() {
    let place = place();
    let folder = place.path().join("session");
    let program = start(record(&folder, "--device virtual:gone=64 --inputs 2"));
    let until = Instant::now() + PATIENCE;
    while !program.said().contains("the device is gone") {
        assert!(Instant::now() < until, "{}", program.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    program.signal("TERM");
    program.wait(PATIENCE).refused(&[&folder.display().to_string(), "no sound was recorded"]);
}

#[test]
fn a_time_zone_that_tz_names_is_the_time_zone_of_takes() {
    if !Path::new("/usr/share/zoneinfo/Asia/Kolkata").exists() {
        return skip("a_time_zone_that_tz_names", "needs the zones of tzdata");
    }
    let place = place();
    for name in ["Asia/Kolkata", ":Asia/Kolkata", "posix/Asia/Kolkata", "right/Asia/Kolkata", ":posix/Asia/Kolkata"] {
        let folder = place.path().join(name.replace('/', "-"));
        let mut program = record(&folder, "--device virtual:free --inputs 1 --seconds 0.1");
        program.env("TZ", name);
        run(program).done();
        let session = open_read_only(&folder).unwrap();
        assert!(session.takes()[0].started.ends_with("+05:30"), "{name}: {}", session.takes()[0].started);
    }
}

#[test]
fn a_file_as_signal_comes_back_bit_by_bit() {
    let place = place();
    let folder = place.path().join("first");
    run(record(&folder, "--device virtual:free --inputs 1 --seconds 1")).done();
    let file = folder.join("audio/In 1-1.wav");
    let copy = place.path().join("heard.wav");
    fs::copy(&file, &copy).unwrap();
    let again = place.path().join("again");
    let mut command = faultless("record", &again, "--device virtual:free --seconds 1 --json --signal");
    command.arg(format!("file={}", copy.display()));
    run(command).done();
    assert_eq!(read_wav(&again.join("audio/In 1-1.wav")).1, read_wav(&file).1);
}

#[test]
fn minute_256_inputs_are_exact() {
    let place = place();
    let folder = place.path().join("session");
    let found = run(record(&folder, "--device virtual:free --inputs 256 --seconds 2")).done().json();
    assert_eq!(found["takes"].as_array().unwrap().len(), 256);
    assert_eq!(check(&folder), [checked(256, 96_000, 0)]);
}

#[test]
fn minute_a_take_that_passes_4_gib_becomes_rf64_while_it_rolls() {
    const BYTES: u64 = (4 << 30) + (200 << 20);
    let place = place();
    let stat = nix::sys::statvfs::statvfs(place.path()).unwrap();
    if stat.blocks_available() * stat.fragment_size() < 9 << 30 {
        return crate::util::skip("a_take_that_passes_4_gib", "needs 9 GB of free disk");
    }
    let folder = place.path().join("session");
    new_session(&folder, 192_000, TakeFormat::F32, &[&[0, 1]]);
    let mut setup = setup(&folder, "free", 2, 192_000, TakeFormat::F32);
    setup.device.period_frames = Some(1024);
    // The headers are written often enough to be seen between the crossing and the end.
    setup.run.sync_interval = Duration::from_millis(100);
    let file = folder.join("audio/Track 1-1.wav");
    let (frames, mut long_while_rolling, mut next) = (BYTES / 8, false, Instant::now());
    let told = record_through(Control::open(setup).unwrap(), frames, |_| {
        if next < Instant::now() {
            next = Instant::now() + Duration::from_millis(20);
            let mut head = [0; 4];
            let read = File::open(&file).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut head));
            long_while_rolling |= read.is_ok() && &head == b"RF64";
        }
    });
    assert_eq!(told, []);
    assert!(long_while_rolling, "the header was RIFF to the end");
    let bytes = fs::metadata(&file).unwrap().len();
    assert_eq!(bytes, 4096 + BYTES);
    let layout = parse(&mut File::open(&file).unwrap(), bytes).unwrap();
    assert_eq!((layout.frames, layout.channels, layout.data_offset, layout.truncated), (frames, 2, 4096, false));
    let reader = Reader::open(&file).unwrap();
    let places = (0..frames).step_by(7_654_321).chain([(u64::from(u32::MAX) - 4096) / 8 - 200, frames - 500]);
    for place in places {
        let mut samples = [0.0_f32; 1000];
        let mut reader = Reader::open(reader.path()).unwrap();
        assert_eq!(reader.read_frames(place, &mut samples).unwrap(), 500.min((frames - place) as usize));
        for (frame, pair) in samples.chunks_exact(2).enumerate().take((frames - place) as usize) {
            for (channel, sample) in pair.iter().enumerate() {
                let want = ramp(place + frame as u64, channel as u64) as f32 / 8_388_608.0;
                assert_eq!(*sample, want, "frame {}", place + frame as u64);
            }
        }
    }
    edit(&folder, |session| assert_eq!(session.takes()[0].frames.0, frames));
}

#[test]
fn the_checker_sees_a_shift_a_gap_and_a_false_record() {
    let place = place();
    let folder = place.path().join("session");
    run(record(&folder, "--device virtual:free,xrun=20000+100 --inputs 2 --seconds 1")).done();
    let file = folder.join("audio/In 2-1.wav");
    let good = fs::read(&file).unwrap();
    let fails = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        std::panic::catch_unwind(|| check(&folder)).is_err()
    };
    let at = |frame: usize| 4096 + 3 * frame;
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    assert!(!fails(&good));
    assert!(fails(&with(&|bytes| bytes[at(40_000)] ^= 1)), "one bit");
    assert!(fails(&with(&|bytes| bytes.copy_within(at(30_001)..at(48_000), at(30_000)))), "a shift");
    assert!(fails(&with(&|bytes| bytes[at(30_000)..at(30_001)].fill(0))), "a gap");
    assert!(fails(&with(&|bytes| bytes[at(20_040)] = 1)), "sound where it was lost");
    assert!(fails(&good[..good.len() - 6]), "cut short");
    assert_eq!(stored(-129, 16), -1);
    assert_eq!(stored(8_388_607, 16), 32_767);
}
