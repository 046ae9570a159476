//! The rules by which trace viewers read a trace: those of the Trace Event Format, and those of the importer of Perfetto for
//! that format, whose versions of several years differ. A record that breaks one is left out, or ends the reading of the whole
//! file. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The reasons for which a viewer would leave out a record of a trace, or the whole file. Empty: it shows all of them.
pub(crate) fn refused(trace: &[u8]) -> Vec<String> {
    let Ok(text) = str::from_utf8(trace) else { return vec!["it is not UTF-8".to_owned()] };
    let whole: Value = match serde_json::from_str(text) {
        Ok(whole) => whole,
        Err(error) => return vec![format!("it is not JSON: {error}")],
    };
    let mut reasons = Vec::new();
    if !["ms", "ns"].iter().any(|unit| whole["displayTimeUnit"] == **unit) {
        reasons.push(format!("displayTimeUnit is {}", whole["displayTimeUnit"]));
    }
    let Some((head, rest)) = text.split_once("\"traceEvents\":[") else { return vec!["no traceEvents".to_owned()] };
    // Viewers read what is around the events without the rules of JSON for escapes.
    if !is_plain(head) {
        reasons.push(format!("a control character or an escape before the events: {head}"));
    }
    let Some(events) = rest.strip_suffix("]}") else { return vec!["something is behind the events".to_owned()] };
    let mut lanes: BTreeMap<(u64, u64), Vec<[Slice; 2]>> = BTreeMap::new();
    let (mut named, mut last) = (BTreeSet::new(), [0; 2]);
    for raw in events.split(",\n").filter(|raw| !raw.is_empty()) {
        match record(raw) {
            Err(reason) => reasons.push(format!("{reason}: {raw}")),
            Ok(Record::Name(lane)) => {
                named.insert(lane);
            }
            Ok(Record::Other) => {}
            Ok(Record::Timed(lane, slices, is_on_a_lane)) => {
                let begins = slices.map(|slice| slice.from);
                if begins[0] < last[0] || begins[1] < last[1] {
                    reasons.push(format!("it is earlier than the record before it: {raw}"));
                }
                last = begins;
                if is_on_a_lane {
                    lanes.entry(lane).or_default().push(slices);
                }
            }
        }
    }
    for (lane, slices) in &lanes {
        if !named.contains(lane) {
            reasons.push(format!("lane {lane:?} has no name"));
        }
        for reading in 0..2 {
            reasons.extend(overlaps(slices.iter().map(|readings| readings[reading])));
        }
    }
    reasons
}

/// Whether a text has neither control characters nor an escape other than that of a quote.
fn is_plain(json: &str) -> bool {
    !json.chars().any(char::is_control) && !json.replace("\\\"", "").contains('\\')
}

/// Begin and end in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Slice {
    from: i64,
    to: i64,
}

/// A lane is a process number and a thread number.
enum Record {
    /// The name of a lane.
    Name((u64, u64)),
    Other,
    /// A slice, a moment or a counter, by both readings of its times; whether it is drawn on its lane.
    Timed((u64, u64), [Slice; 2], bool),
}

fn record(raw: &str) -> Result<Record, String> {
    let event: Value = serde_json::from_str(raw).map_err(|error| format!("no JSON of its own: {error}"))?;
    let (head, args) = raw.split_once(",\"args\":").ok_or("args are not the last member")?;
    // Old versions look for the times without the rules of JSON, up to the first array.
    if !is_plain(head) || head.contains(":[") {
        return Err("a control character, an escape or an array before its args".to_owned());
    }
    // One version takes a backslash and the quote behind it for an escaped quote.
    if raw.contains("\\\\\"") {
        return Err("a text ends with a backslash".to_owned());
    }
    if !event["args"].is_object() {
        return Err(format!("args are no object: {args}"));
    }
    numbers(&event["args"])?;
    let name = event["name"].as_str().filter(|name| !name.is_empty()).ok_or("no name")?;
    let number = |key: &str| event[key].as_u64().filter(|number| u32::try_from(*number).is_ok());
    let lane = number("pid").zip(number("tid")).ok_or("no process or thread number of 32 bits")?;
    let time = |key: &str| time(head, key).ok_or_else(|| format!("no {key} as a plain number from 0 on"));
    let moment = |from: [i64; 2]| from.map(|from| Slice { from, to: from });
    match event["ph"].as_str() {
        Some("M") if name == "thread_name" || name == "process_name" => {
            let given = event["args"]["name"].as_str().filter(|name| !name.is_empty());
            given
                .map(|_| if name == "thread_name" { Record::Name(lane) } else { Record::Other })
                .ok_or("no name".into())
        }
        Some("M") if name == "thread_sort_index" => {
            event["args"]["sort_index"].as_i64().map(|_| Record::Other).ok_or("no sort_index".into())
        }
        Some("X") => {
            let ([one, other], [long, also]) = (time("ts")?, time("dur")?);
            let slices = [Slice { from: one, to: one + long }, Slice { from: other, to: other + also }];
            Ok(Record::Timed(lane, slices, true))
        }
        Some("i") if event["s"] == "t" => Ok(Record::Timed(lane, moment(time("ts")?), true)),
        Some("C") => {
            let series = event["args"].as_object().filter(|all| !all.is_empty() && all.values().all(Value::is_number));
            series.ok_or("a counter that is no number")?;
            Ok(Record::Timed(lane, moment(time("ts")?), false))
        }
        other => Err(format!("phase {other:?}, or its scope is missing")),
    }
}

/// The nanoseconds of a time in microseconds, as versions of the viewer read it: by way of a floating-point number whose
/// fraction is cut off, or digit by digit.
fn time(head: &str, key: &str) -> Option<[i64; 2]> {
    let (_, behind) = head.split_once(&format!("\"{key}\":"))?;
    let digits = &behind[..behind.find([',', '}'])?];
    if !digits.chars().all(|letter| letter.is_ascii_digit() || letter == '.') {
        return None;
    }
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let by_digits = whole.parse::<i64>().ok()? * 1000 + format!("{part:0<3}").get(..3)?.parse::<i64>().ok()?;
    Some([(digits.parse::<f64>().ok()? * 1000.0) as i64, by_digits])
}

/// Numbers of 64 bits beyond the signed ones lose their last digits, or end the reading.
fn numbers(value: &Value) -> Result<(), String> {
    match value {
        Value::Number(number) if number.is_u64() && number.as_i64().is_none() => Err(format!("{number} is too large")),
        Value::Array(all) => all.iter().try_for_each(numbers),
        Value::Object(all) => all.values().try_for_each(numbers),
        _ => Ok(()),
    }
}

/// The slices of a lane that would be left out: they begin within another one and end behind it.
fn overlaps(slices: impl Iterator<Item = Slice>) -> Vec<String> {
    let (mut open, mut found): (Vec<Slice>, Vec<String>) = (Vec::new(), Vec::new());
    for slice in slices {
        open.retain(|other| slice.from < other.to || (other.from == other.to && slice.to == other.to));
        match open.iter().find(|other| slice.from < other.to && other.to < slice.to) {
            Some(other) => found.push(format!("{slice:?} overlaps {other:?}")),
            None => open.push(slice),
        }
    }
    found
}

/// A trace that a viewer shows.
const WHOLE: &str = "{\"displayTimeUnit\":\"ms\",\"otherData\":{},\"traceEvents\":[\
    {\"name\":\"thread_name\",\"ph\":\"M\",\"ts\":0.0,\"pid\":1,\"tid\":1,\"args\":{\"name\":\"audio\"}},\n\
    {\"name\":\"cycle\",\"ph\":\"X\",\"ts\":1.5,\"dur\":10.25,\"pid\":1,\"tid\":1,\"args\":{\"late_us\":0.5}},\n\
    {\"name\":\"fault\",\"ph\":\"i\",\"ts\":2.5,\"pid\":1,\"tid\":1,\"s\":\"t\",\"args\":{\"text\":\"a \\\"b\\\"\"}},\n\
    {\"name\":\"dirty\",\"ph\":\"C\",\"ts\":3.0,\"pid\":1,\"tid\":0,\"args\":{\"takes\":1}},\n\
    {\"name\":\"cycle\",\"ph\":\"X\",\"ts\":11.751,\"dur\":1.0,\"pid\":1,\"tid\":1,\"args\":{}}]}";

#[test]
fn a_trace_that_breaks_a_rule_of_the_viewers_is_found() {
    assert_eq!(refused(WHOLE.as_bytes()), Vec::<String>::new());
    for (from, to) in [
        ("\"ts\":1.5,", "\"ts\":-1.5,"),
        ("\"ts\":1.5,", "\"ts\":1.5e0,"),
        ("\"ts\":1.5,", "\"ts\":null,"),
        ("\"ts\":1.5,", ""),
        ("\"dur\":10.25,", ""),
        ("\"dur\":10.25,", "\"dur\":10.252,"),
        ("\"ts\":11.751,", "\"ts\":11.749,"),
        ("\"ts\":3.0,", "\"ts\":2.0,"),
        ("\"s\":\"t\",", ""),
        ("\"pid\":1,\"tid\":1,\"s\"", "\"pid\":1,\"tid\":2,\"s\""),
        ("\"pid\":1,\"tid\":1,\"s\"", "\"pid\":1,\"tid\":-1,\"s\""),
        ("{\"takes\":1}", "{\"takes\":\"many\"}"),
        ("{\"takes\":1}", "{}"),
        ("{\"late_us\":0.5}", "{\"late_us\":18446744073709551615}"),
        ("{\"late_us\":0.5}", "[0.5]"),
        ("\"name\":\"cycle\"", "\"name\":\"cycle\\u0001\""),
        ("\"name\":\"cycle\"", "\"name\":\"cycle\u{7f}\""),
        ("\"a \\\"b\\\"\"", "\"a\\\\\""),
        ("{\"name\":\"audio\"}", "{\"name\":\"\"}"),
        ("\"ms\"", "\"us\""),
        ("\"otherData\":{}", "\"otherData\":{\"device\":\"a\\tb\"}"),
        ("]}", "]"),
    ] {
        let planted = WHOLE.replacen(from, to, 1);
        assert_ne!(planted, WHOLE, "{from}");
        assert!(!refused(planted.as_bytes()).is_empty(), "{from} is now {to}");
    }
}
