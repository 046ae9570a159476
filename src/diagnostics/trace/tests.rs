//! Tests of the trace. Thread: test.

use super::super::trace_lanes::OTHERS;
use super::*;
use crate::flight::record::Severity;
use crate::residency::disk_work::WorkKind;
use crate::residency::disk_work::tests::work;
use crate::residency::faults::{FaultCause, FaultPlace};

fn trace() -> Trace {
    let cycle = |at: u64| Cycle { begin_ns: 1_000_000_000 + at * 1_333_333, length_ns: 30_000, late_ns: 40_000 };
    let window = |at_ns, took_ns, step| TracedStep { at_ns, took_ns, step, file: Some(0), byte: 4096, bytes: 61_440 };
    let record = |kind| Record::new(kind, Severity::Info, "a \"pass\"", &[("frames", 7)]);
    Trace {
        now_ns: 2_000_000_000,
        device: "virtual".to_owned(),
        period_frames: 64,
        cycles: (0..100).map(cycle).collect(),
        windows: vec![
            window(1_010_000_000, 0, WindowStep::HandedOver),
            window(1_050_000_000, 3_000_000, WindowStep::Committed),
            // It was measured to begin within the one before.
            window(1_051_000_000, 2_000_000, WindowStep::Committed),
            window(1_060_000_000, 9_000_000, WindowStep::Synced),
        ],
        files: vec!["Kick \"1\".wav".to_owned()],
        rates: vec![(
            1_500_000_000,
            RatePoint { dirty_bytes: 4096, machine_dirty_bytes: 8192, ..RatePoint::default() },
        )],
        faults: vec![Fault {
            at_ns: 1_000_010_000,
            kind: FaultKind::Minor,
            cause: FaultCause::NotPresent,
            cost_us: Some(5.0),
            address: 0x1000,
            place: FaultPlace::Heap,
            instruction: 1,
            code: "f".to_owned(),
            in_kernel: false,
        }],
        faults_counted: Some(1),
        no_faults_because: None,
        others: vec![DiskWork { took_ns: 50_000_000, ..work(1200, WorkKind::FileSync, "dpkg", "fsync") }],
        others_lost: 0,
        no_others_because: None,
        events: vec![(1_005_000_000, record(Kind::PassBegan)), (1_900_000_000, record(Kind::PassEnded))],
    }
}

fn parsed(trace: &Trace) -> Vec<Value> {
    let mut bytes = Vec::new();
    trace.write(&mut bytes).unwrap();
    let json: Value = serde_json::from_slice(&bytes).unwrap();
    json["traceEvents"].as_array().unwrap().clone()
}

#[test]
fn a_trace_is_json_whose_events_are_in_order_and_whose_slices_do_not_overlap() {
    let events = parsed(&trace());
    let number = |event: &Value, name: &str| event[name].as_f64().unwrap();
    let timed: Vec<&Value> = events.iter().filter(|event| event["ph"] != "M").collect();
    assert!(timed.is_sorted_by(|a, b| number(a, "ts") <= number(b, "ts")));
    for (tid, _) in LANES {
        let mut end = 0.0;
        for slice in timed.iter().filter(|event| event["tid"] == tid && event["ph"] == "X") {
            assert!(end <= number(slice, "ts") + 1e-6 && 0.0 <= number(slice, "dur"), "{slice}");
            end = number(slice, "ts") + number(slice, "dur");
        }
    }
    let count = |name: &str| events.iter().filter(|event| event["name"] == name).count();
    assert_eq!((count("cycle"), count("late"), count("write"), count("sync")), (100, 100, 2, 1));
    assert_eq!((count("thread_name"), count("minor fault"), count("pass began")), (LANES.len(), 1, 1));
}

#[test]
fn a_fault_lies_within_its_cycle_and_a_pass_between_its_events() {
    let events = parsed(&trace());
    let of = |name: &str| {
        let event = events.iter().find(|event| event["name"] == name).unwrap();
        let from = event["ts"].as_f64().unwrap();
        (from, from + event["dur"].as_f64().unwrap_or(0.0))
    };
    let (cycle, fault) = (of("cycle"), of("minor fault"));
    assert!(cycle.0 <= fault.0 && fault.1 <= cycle.1, "{cycle:?} {fault:?}");
    assert!((fault.1 - fault.0 - 5.0).abs() < 1e-3);
    assert_eq!(of("pass"), (of("pass began").0, of("pass ended").0));
    // A pass that has not ended is drawn to the end of the trace.
    let mut open = trace();
    open.events.truncate(1);
    assert!(parsed(&open).iter().any(|event| event["name"] == "pass" && event["dur"].as_f64() > Some(900_000.0)));
}

/// A duration was the difference of two floating-point numbers, so it could be 2.9e-11, which a viewer reads as 2 µs. The
/// next slice then overlapped, and the viewer left it out.
#[test]
fn times_are_whole_nanoseconds_and_slices_that_follow_each_other_at_once_are_a_nanosecond_apart() {
    let mut close = trace();
    let cycle = |at: u64| Cycle { begin_ns: 1_000_000_000 + at * 333_337, length_ns: 333_337, late_ns: 0 };
    close.cycles = (0..3000).map(cycle).collect();
    let mut bytes = Vec::new();
    close.write(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let digits = |key: &str| -> Vec<String> {
        let of = |behind: &str| behind.split([',', '}']).next().unwrap_or_default().to_owned();
        text.split(&format!("\"{key}\":")).skip(1).map(of).collect()
    };
    for time in digits("ts").iter().chain(&digits("dur")) {
        let decimals = time.split_once('.').unwrap().1;
        assert!(decimals.len() <= 3 && time.chars().all(|c| c.is_ascii_digit() || c == '.'), "{time}");
    }
    let events = parsed(&close);
    let cut_off = |event: &Value, key: &str| (event[key].as_f64().unwrap() * 1000.0) as i64;
    let mut end = 0;
    for cycle in events.iter().filter(|event| event["name"] == "cycle") {
        assert!(end <= cut_off(cycle, "ts"), "{cycle}");
        end = cut_off(cycle, "ts") + cut_off(cycle, "dur");
    }
}

/// A viewer refuses a whole file for a control character in a name, and loses the rest of one behind a text that ends with
/// a backslash.
#[test]
fn names_with_control_characters_and_texts_that_end_with_a_backslash_can_be_read_by_viewers() {
    let mut odd = trace();
    odd.device = "null}\u{7f}\\".to_owned();
    odd.others[0].program = "a\u{1b}[31m\\".to_owned();
    odd.events[0].1.text = "C:\\".to_owned();
    let mut bytes = Vec::new();
    odd.write(&mut bytes).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(!text.contains("\\\\") && !text.contains('\u{7f}'), "{text}");
    let json: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(json["otherData"]["device"], "null}??");
    let events = json["traceEvents"].as_array().unwrap();
    assert!(events.iter().any(|event| event["name"] == "fsync: a?[31m?"));
    assert!(events.iter().any(|event| event["args"]["text"] == "C:\\"), "the text is what it was");
}

/// The sentence about a trace counted the faults that it had, of seven times as many.
#[test]
fn a_trace_says_if_older_page_faults_are_not_in_it() {
    let mut storm = trace();
    assert!(storm.summary().ends_with(", 1 page faults"), "{}", storm.summary());
    storm.faults = vec![storm.faults[0].clone(); FAULTS_KEPT];
    assert!(storm.summary().ends_with(", the last 1024 page faults"), "{}", storm.summary());
    let mut bytes = Vec::new();
    storm.write(&mut bytes).unwrap();
    let json: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(json["otherData"]["has_all_page_faults"], false);
}

/// A trace without perf events had "0 page faults" while the counters of its own graphs had five.
#[test]
fn a_trace_without_attribution_says_how_many_faults_were_counted_and_not_zero() {
    let mut blind = trace();
    blind.faults.clear();
    blind.faults_counted = Some(5);
    let unreported = ", 5 page faults, 5 of them unattributed: the kernel did not report them";
    assert!(blind.summary().ends_with(unreported) && !blind.has_all_faults(), "{}", blind.summary());
    blind.no_faults_because = Some("perf is forbidden".to_owned());
    let refused = ", 5 page faults, 5 of them unattributed: perf is forbidden";
    assert!(blind.summary().ends_with(refused) && !blind.has_all_faults(), "{}", blind.summary());
    blind.faults_counted = None;
    assert!(blind.summary().ends_with(", an unknown number of page faults: perf is forbidden"));
    blind.faults_counted = Some(0);
    assert!(blind.summary().ends_with(", 0 page faults"), "the kernel has counted none");
    let mut storm = trace();
    storm.faults = vec![storm.faults[0].clone(); FAULTS_KEPT];
    storm.faults_counted = Some(7000);
    assert!(storm.summary().ends_with(", 7000 page faults, the last 1024 of them listed"), "{}", storm.summary());
}

#[test]
fn faults_are_counted_in_the_intervals_that_lie_in_the_trace_as_a_whole() {
    let point = |minor_faults| RatePoint { ms: 500, minor_faults, major_faults: Some(1), ..RatePoint::default() };
    let rates = [(1_400_000_000, point(Some(100))), (1_900_000_000, point(Some(4))), (2_400_000_000, point(None))];
    assert_eq!(counted(&rates, 1_000_000_000), Some(5));
    assert_eq!(counted(&rates[2..], 0), None);
}

#[test]
fn the_addresses_of_a_fault_in_the_kernel_are_texts() {
    let mut deep = trace();
    deep.faults[0].instruction = 0xffff_ffff_8100_0000;
    let event = parsed(&deep).into_iter().find(|event| event["name"] == "minor fault").unwrap();
    assert_eq!(event["args"]["instruction"], "0xffffffff81000000");
}

#[test]
fn an_empty_trace_is_whole() {
    assert_eq!(parsed(&Trace::default()).len(), 1 + 2 * LANES.len());
}

/// The viewers have a key for each kind of event, and leave out events that lack theirs.
#[test]
fn each_event_has_the_members_that_the_format_demands() {
    for event in parsed(&trace()) {
        let has = |name: &str| event.get(name).is_some();
        assert!(event["name"].is_string() && event["pid"].is_u64() && event["tid"].is_u64() && has("args"), "{event}");
        match event["ph"].as_str().unwrap() {
            "X" => assert!(event["ts"].is_f64() && event["dur"].is_f64(), "{event}"),
            "i" => assert!(event["ts"].is_f64() && event["s"] == "t", "{event}"),
            "C" => {
                let series = event["args"].as_object().unwrap();
                assert!(!series.is_empty() && series.values().all(Value::is_number), "{event}");
            }
            "M" => assert!(event["args"]["name"].is_string() || event["args"]["sort_index"].is_u64(), "{event}"),
            other => panic!("{other}: {event}"),
        }
    }
    let json = parsed(&trace());
    let other = json.iter().find(|event| event["name"] == "fsync: dpkg").unwrap();
    assert_eq!((&other["tid"], &other["args"]["text"]), (&OTHERS.into(), &"fsync by dpkg".into()));
    let dirty = json.iter().find(|event| event["name"] == "dirty bytes").unwrap();
    assert_eq!(dirty["args"], json!({ "takes": 4096, "other": 4096 }));
}

#[test]
fn a_trace_comes_through_the_bytes_of_the_link() {
    let (mut long, file) = (trace(), 0);
    long.windows = (0..60_000).map(|at| TracedStep { file: Some(file), ..long.windows[at % 4].clone() }).collect();
    let bytes = postcard::to_stdvec(&long).unwrap();
    assert!(bytes.len() < 4 << 20, "{}", bytes.len());
    let back: Trace = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(serde_json::to_value(&back).unwrap(), serde_json::to_value(&long).unwrap());
}

/// The file had a part of the trace, and the next attempt said that it exists.
#[test]
fn a_trace_that_cannot_be_written_whole_leaves_no_file_and_one_that_is_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evening.trace.json");
    let failed = save_new(&path, |file| {
        file.write_all(&vec![b' '; 100_000])?;
        Err(io::ErrorKind::StorageFull.into())
    });
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(!path.exists());
    trace().save(&path).unwrap();
    assert_eq!(trace().save(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert!(path.exists());
}
