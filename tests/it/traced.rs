//! Traces and attributed page faults of real recordings. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::util::{DEEP, PATIENCE, place, record, run, skip_part, start};
use crate::viewers::refused;
use serde_json::Value;
use std::fs::File;
use std::time::{Duration, Instant};

#[test]
fn the_trace_of_a_recording_has_its_cycles_windows_writes_and_pass_in_order() {
    let folder = place();
    let path = folder.path().join("trace.json");
    let arguments = format!("--device virtual --inputs 3 --seconds 3 {DEEP} --trace {}", path.display());
    let json = run(record(&folder.path().join("s"), &arguments)).done().json();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(refused(&bytes), Vec::<String>::new());
    let trace: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&trace["displayTimeUnit"], &trace["otherData"]["device"]), (&"ms".into(), &"virtual".into()));
    let events = trace["traceEvents"].as_array().unwrap();
    let named = |name: &'static str| events.iter().filter(move |event| event["name"] == name);
    let cycles = named("cycle").count() as u64;
    let counted = json["audio_thread"]["cycles"].as_u64().unwrap();
    assert!(counted <= cycles, "{cycles} of at least {counted} cycles");
    let handed_over = named("capture buffer").filter(|event| event["tid"] == 4).count();
    let given_back = named("capture buffer").filter(|event| event["tid"] == 5).count();
    assert!(3 <= given_back && given_back <= handed_over, "{given_back} of {handed_over}");
    assert!(named("write").count() >= 3 && named("sync").count() >= 2 && named("late").count() > 10);
    assert!(named("pass").any(|pass| pass["dur"].as_f64() > Some(2_800_000.0)), "{:?}", named("pass").next());
    // In order, and the slices of a lane do not overlap.
    let number = |event: &Value, name: &str| event[name].as_f64().unwrap();
    let timed: Vec<&Value> = events.iter().filter(|event| event["ph"] != "M").collect();
    assert!(timed.is_sorted_by(|a, b| number(a, "ts") <= number(b, "ts")));
    for lane in 1..=13 {
        let mut end = 0.0;
        for slice in timed.iter().filter(|event| event["tid"] == lane && event["ph"] == "X") {
            assert!(end <= number(slice, "ts") + 0.001, "{slice}");
            end = number(slice, "ts") + number(slice, "dur");
        }
    }
    // A second trace does not replace the first one, and the reason comes before anything is recorded.
    let again = run(record(&folder.path().join("t"), &arguments));
    again.refused(&["the file is there already"]);
    assert!(!folder.path().join("t").exists());
}

/// In `in-place` the kernel write-protects the pages of the take when it writes them back, so the audio thread takes
/// faults. Each has its page.
#[test]
fn the_faults_of_an_in_place_recording_are_listed_with_track_and_page() {
    let folder = place();
    let (session, path) = (folder.path().join("s"), folder.path().join("trace.json"));
    let arguments =
        format!("--device virtual --inputs 4 --seconds 6 --capture-path in-place {DEEP} --trace {}", path.display());
    let recorder = start(record(&session, &arguments));
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        // Another program writes the takes back.
        let takes = std::fs::read_dir(session.join("audio")).into_iter().flatten().flatten();
        takes.for_each(|take| drop(File::open(take.path()).and_then(|take| take.sync_data())));
        std::thread::sleep(Duration::from_millis(100));
    }
    let json = recorder.wait(PATIENCE).done().json();
    // A storm of faults, and writes that take long, are in the trace too.
    assert_eq!(refused(&std::fs::read(&path).unwrap()), Vec::<String>::new());
    let (audio, report) = (&json["audio_thread"], &json["page_faults"]);
    let counted = audio["minor_faults"].as_u64().unwrap() + audio["major_faults"].as_u64().unwrap();
    let number = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(number("attributed") + number("unattributed"), counted, "{report}");
    if let Some(reason) = report["not_attributed_because"].as_str() {
        return skip_part("traced: the pages of faults", reason);
    }
    if counted == 0 {
        return skip_part("traced: the pages of faults", "nothing was written back while it recorded");
    }
    assert!(number("attributed") * 10 >= counted * 9, "{report}");
    let first = report["first"].as_array().unwrap();
    let of_window = |fault: &&Value| fault["place"]["memory"] == "capture";
    let Some(fault) = first.iter().find(of_window) else { panic!("{report}") };
    assert!(fault["track"].as_str().unwrap().starts_with("In "), "{fault}");
    let place = &fault["place"];
    assert_eq!(place["page"].as_u64().unwrap(), place["byte"].as_u64().unwrap() / 4096);
    assert!(place["file"].as_str().unwrap().starts_with(session.to_str().unwrap()), "{fault}");
    assert_eq!(fault["cause"], "write_protected");
    assert!(fault["cost_us"].as_f64() > Some(0.0) && fault["code"].as_str().unwrap().len() > 3, "{fault}");
    let run = |name: &str| json["run"]["page_faults"][name].as_u64().unwrap();
    assert!(number("attributed") <= run("attributed"), "{json}");
    assert_eq!(run("attributed") + run("missed"), run("minor") + run("major"), "the kernel counts each fault");
}
