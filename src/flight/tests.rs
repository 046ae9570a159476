//! Bounds, rotation, torn and hostile lines, a disk that takes nothing. Thread: test.

use super::journal::Journal;
use super::limiter::Limiter;
use super::margin::{Lead, Longest, Spool, SpoolStep};
use super::record::{Kind, Record, Severity};
use super::*;
use crate::session::names::EARLIER_EVENTS_FILE;
use std::fs;
use std::io::Write;
use std::time::Duration;

fn record(n: u64) -> Record {
    Record::new(Kind::Notice, Severity::Info, &format!("event {n}"), &[("frames", n)])
}

#[test]
fn noted_events_are_read_back_and_the_next_start_appends_to_them() {
    let folder = tempfile::tempdir().unwrap();
    for start in 0..2 {
        let mut flight = Flight::start(folder.path(), true);
        assert_eq!(flight.recent().len(), 2 * start);
        flight.note(Kind::Opened, Severity::Info, "open", &[]);
        flight.note(Kind::Lost, Severity::Loss, "00:01: 64 frames lost", &[("at", 48_000), ("frames", 64)]);
        flight.finish();
        assert!(flight.problems().is_empty());
    }
    let found = read::last(folder.path(), 100);
    assert_eq!(
        found.iter().map(|record| record.kind).collect::<Vec<_>>(),
        [Kind::Opened, Kind::Lost, Kind::Opened, Kind::Lost]
    );
    assert_eq!(found[3].numbers["frames"], 64);
    assert!(found[3].stamp().is_some());
    let text = fs::read_to_string(folder.path().join(EVENTS_FILE)).unwrap();
    assert!(text.contains("\"kind\":\"lost\",\"severity\":\"loss\""), "{text}");
}

#[test]
fn two_files_are_kept_and_none_is_larger_than_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path()).unwrap();
    let long = "x".repeat(900);
    let mut written = 0_u64;
    while written < 5 * limits::FLIGHT_BYTES_MAX / 2 {
        let batch: Vec<Record> =
            (0..300).map(|n| Record::new(Kind::Notice, Severity::Info, &long, &[("frames", n)])).collect();
        written += batch.iter().map(|record| record.line().len() as u64).sum::<u64>();
        journal.append(&batch).unwrap();
    }
    let mut names: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [EARLIER_EVENTS_FILE, EVENTS_FILE]);
    for name in [EARLIER_EVENTS_FILE, EVENTS_FILE] {
        let bytes = fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(bytes <= limits::FLIGHT_BYTES_MAX && bytes > 0, "{name}: {bytes}");
    }
    let last = read::last(folder.path(), 10);
    assert_eq!(last.iter().map(|record| record.numbers["frames"]).collect::<Vec<_>>(), (290..300).collect::<Vec<_>>());
}

#[test]
fn an_incomplete_line_is_skipped_and_the_next_event_has_its_own_line() {
    let folder = tempfile::tempdir().unwrap();
    let whole = record(1).line();
    fs::write(folder.path().join(EVENTS_FILE), [&whole[..], &whole[..whole.len() / 2]].concat()).unwrap();
    assert_eq!(read::last(folder.path(), 10).len(), 1);
    Journal::open(folder.path()).unwrap().append(&[record(2)]).unwrap();
    let found = read::last(folder.path(), 10);
    assert_eq!(found.iter().map(|record| record.numbers["frames"]).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_hostile_file_costs_no_more_than_its_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(EVENTS_FILE);
    let good = record(7).line();
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(&vec![b'a'; 3 << 20]).unwrap();
    file.write_all(
        b"\n{}\n[]\nnull\n{\"time\":\"never\",\"kind\":\"lost\",\"severity\":\"loss\",\"text\":\"\"}\n\xff\xfe\n",
    )
    .unwrap();
    file.write_all(&[b"[".repeat(4000), b"\n".to_vec()].concat()).unwrap();
    let mut long = Record::new(Kind::Notice, Severity::Info, "", &[]);
    long.text = "b".repeat(limits::FLIGHT_LINE_BYTES_MAX);
    file.write_all(&long.line()).unwrap();
    let mut wild = Record::new(Kind::Notice, Severity::Loss, "", &[]);
    wild.text = "first\n\u{1b}[2Jsecond\u{202e}".to_owned();
    wild.numbers = (0..60).map(|n| (format!("n{}", "a".repeat(n % 40)), n as u64)).collect();
    file.write_all(&wild.line()).unwrap();
    file.write_all(
        b"{\"time\":\"2030-01-01T00:00:00Z\",\"kind\":\"of_a_later_program\",\"severity\":\"info\",\"text\":\"x\"}\n",
    )
    .unwrap();
    file.write_all(&good).unwrap();
    // And a hole that seems endless, in the earlier one.
    fs::File::create(folder.path().join(EARLIER_EVENTS_FILE)).unwrap().set_len(1 << 40).unwrap();
    let found = read::last(folder.path(), 100);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0].text, "first  [2Jsecond ");
    assert!(found[0].numbers.len() <= limits::FLIGHT_NUMBERS_MAX);
    assert_eq!((found[1].kind, &found[2]), (Kind::Unknown, &Record::parse(&good[..good.len() - 1]).unwrap()));
}

#[test]
fn links_pipes_and_folders_are_neither_read_nor_written() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("precious");
    fs::write(&target, record(1).line()).unwrap();
    let before = fs::read(&target).unwrap();
    let path = folder.path().join(EVENTS_FILE);
    let pipe = || nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let plants: [&dyn Fn(); 4] = [
        &|| std::os::unix::fs::symlink(&target, &path).unwrap(),
        &|| fs::hard_link(&target, &path).unwrap(),
        &pipe,
        &|| fs::create_dir(&path).unwrap(),
    ];
    for (at, plant) in plants.iter().enumerate() {
        plant();
        let mut flight = Flight::start(folder.path(), true);
        flight.note(Kind::Opened, Severity::Info, "open", &[]);
        flight.finish();
        let problems = flight.problems();
        assert!(problems.len() == 1 && problems[0].starts_with(&path.display().to_string()), "{at}: {problems:?}");
        assert_eq!(fs::read(&target).unwrap(), before, "{at}: it was written through");
        fs::remove_dir(&path).or_else(|_| fs::remove_file(&path)).unwrap();
    }
}

#[test]
fn a_flood_is_counted_and_not_written() {
    let mut limiter = Limiter::default();
    let mut written = Vec::new();
    for n in 0..10_000_u64 {
        let loss = Record::new(Kind::Overrun, Severity::Loss, "lost", &[("frames", 64)]);
        written.extend(limiter.admit(Duration::from_millis(n / 10), loss));
    }
    assert_eq!(written.len(), limits::FLIGHT_SAME_KIND_MAX as usize);
    // Another kind is not held back by it.
    assert_eq!(limiter.admit(Duration::from_secs(1), Record::new(Kind::Closed, Severity::Info, "", &[])).len(), 1);
    let counts = limiter.take_due_counts(limits::FLIGHT_SAME_KIND_SPAN);
    assert_eq!(counts.len(), 1);
    let withheld = 10_000 - u64::from(limits::FLIGHT_SAME_KIND_MAX);
    assert_eq!((counts[0].numbers["events"], counts[0].numbers["frames"]), (withheld, 64 * withheld));
    assert_eq!(counts[0].severity, Severity::Loss);
    assert!(limiter.take_all_counts().is_empty(), "the count was reported");
}

#[test]
fn a_disk_that_hangs_costs_a_bounded_queue_and_the_events_beyond_it_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut flight = Flight::start(folder.path(), false);
    // Nobody takes anything out of it, as while a write waits.
    let (queue, records) = bounded(limits::FLIGHT_QUEUE);
    flight.queue = Some(queue);
    for n in 0..3 * limits::FLIGHT_QUEUE as u64 {
        flight.keep(record(n));
    }
    assert_eq!(records.len(), limits::FLIGHT_QUEUE);
    assert_eq!(flight.dropped(), 2 * limits::FLIGHT_QUEUE as u64);
    assert_eq!(flight.recent().len(), limits::FLIGHT_EVENTS_KEPT.min(3 * limits::FLIGHT_QUEUE));
    assert_eq!(records.try_iter().count(), limits::FLIGHT_QUEUE);
    flight.keep(record(9));
    let after: Vec<Record> = records.try_iter().collect();
    assert_eq!(after.iter().map(|record| record.kind).collect::<Vec<_>>(), [Kind::Dropped, Kind::Notice]);
    assert_eq!(after[0].numbers["events"], 2 * limits::FLIGHT_QUEUE as u64);
    assert_eq!(flight.dropped(), 0);
}

#[test]
fn events_of_a_failed_write_are_counted_in_the_next_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path()).unwrap();
    journal.append(&[record(1)]).unwrap();
    // The rotation must fail: a folder has the name of the earlier file.
    fs::create_dir(folder.path().join(EARLIER_EVENTS_FILE)).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(folder.path().join(EVENTS_FILE))
        .unwrap()
        .set_len(limits::FLIGHT_BYTES_MAX)
        .unwrap();
    drop(journal);
    let mut journal = Journal::open(folder.path()).unwrap();
    assert!(journal.append(&[record(2), record(3)]).is_err());
    fs::remove_dir(folder.path().join(EARLIER_EVENTS_FILE)).unwrap();
    journal.append(&[record(4)]).unwrap();
    let found = read::last(folder.path(), 10);
    let kinds: Vec<Kind> = found.iter().map(|record| record.kind).collect();
    assert_eq!(kinds[kinds.len() - 2..], [Kind::Dropped, Kind::Notice]);
    assert_eq!(found[found.len() - 2].numbers["events"], 2);
}

#[test]
fn no_event_is_longer_than_a_line_may_be() {
    let text = "\"\\\u{1}\u{10ffff}".repeat(5000);
    let names: Vec<String> = (0..100).map(|n| "abcdefghij".chars().cycle().skip(n).take(32).collect()).collect();
    let numbers: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), u64::MAX)).collect();
    let line = Record::new(Kind::DiskTroubleOver, Severity::Caution, &text, &numbers).line();
    assert!(line.len() <= limits::FLIGHT_LINE_BYTES_MAX, "{}", line.len());
    assert!(Record::parse(&line[..line.len() - 1]).is_some());
}

#[test]
fn a_near_miss_is_reported_at_once_and_then_once_a_minute_with_the_shortest_lead() {
    let (mut lead, aim) = (Lead::default(), 48_000);
    let second = Duration::from_secs;
    assert_eq!(lead.update(second(0), aim, 48_000, 47_000), None);
    assert_eq!(lead.update(second(1), aim, 20_000, 11_000), Some(11_000), "it fell between two updates");
    assert_eq!(lead.update(second(2), aim, 9_000, 9_000), None);
    assert_eq!(lead.update(second(30), aim, 48_000, 5_000), None);
    assert_eq!(lead.update(second(62), aim, 48_000, 5_000), Some(5_000));
    assert_eq!(lead.update(second(130), aim, 48_000, 5_000), None, "a lead is reported once");
    assert_eq!(lead.update(second(131), aim, 8_000, 5_000), Some(8_000));
    assert_eq!(lead.update(second(132), aim, 4_000, 4_000), None);
    assert_eq!(lead.end(), Some(4_000));
    assert_eq!(lead.end(), None);
    assert_eq!(Lead::default().update(second(0), u64::MAX, 0, 0), None, "nothing is aimed at");
    assert_eq!(Lead::default().update(second(0), aim, 0, u64::MAX), None, "nobody has measured yet");
}

#[test]
fn the_spool_is_reported_when_half_full_when_full_and_when_it_has_space_again() {
    let mut spool = Spool::default();
    let reported: Vec<SpoolStep> = [0, 40, 51, 60, 45, 55, 99, 60, 100, 30, 20, 10, 55]
        .iter()
        .filter_map(|used| spool.update(*used, 100))
        .collect();
    assert_eq!(reported, [SpoolStep::Half, SpoolStep::Full, SpoolStep::Room, SpoolStep::Half]);
    assert_eq!(spool.update(5, 0), None);
}

#[test]
fn a_longest_time_is_reported_when_it_grows_past_the_threshold() {
    let mut longest = Longest::default();
    let reported: Vec<u64> =
        [10, 600, 600, 700, 0, 400, 550].iter().filter_map(|max| longest.update(*max, 500)).collect();
    assert_eq!(reported, [600, 700, 550]);
}
