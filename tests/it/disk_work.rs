//! Syncs and writeback by other programs, by the programs' names. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::util::{DEEP, PATIENCE, place, record, skip, start};
use crate::viewers::refused;
use faultless::file_system::name_of;
use faultless::residency::disk_work_reader;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A program of another name that does what `sync` does.
fn other_program(folder: &Path) -> Option<PathBuf> {
    let real = ["/usr/bin/sync", "/bin/sync"].into_iter().find(|path| Path::new(path).exists())?;
    let path = folder.join("other-program");
    std::os::unix::fs::symlink(real, &path).ok()?;
    Some(path)
}

/// The program is gone long before the watcher looks, so its name comes from the kernel.
#[test]
fn syncs_by_another_program_and_the_writeback_of_takes_are_in_the_trace_with_their_programs() {
    const NAME: &str =
        "disk_work::syncs_by_another_program_and_the_writeback_of_takes_are_in_the_trace_with_their_programs";
    if let Some(refused) = disk_work_reader::examine() {
        return skip(NAME, &refused.reason);
    }
    let folder = place();
    let file_system = name_of(File::open(folder.path()).unwrap()).unwrap_or_default();
    if !["ext4", "xfs", "btrfs"].iter().any(|known| file_system.starts_with(known)) {
        return skip(NAME, &format!("{file_system} has no tracepoints of syncs"));
    }
    let Some(other) = other_program(folder.path()) else { return skip(NAME, "there is no program 'sync'") };
    let (session, path) = (folder.path().join("s"), folder.path().join("trace.json"));
    let arguments =
        format!("--device virtual --inputs 2 --seconds 5 --capture-path in-place {DEEP} --trace {}", path.display());
    let recorder = start(record(&session, &arguments));
    let own = recorder.pid();
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        // The first one for one take, the second one for the whole file system.
        for option in ["--data", "--file-system"] {
            let takes = fs::read_dir(session.join("audio")).into_iter().flatten().flatten();
            for take in takes.take(1) {
                Command::new(&other).arg(option).arg(take.path()).status().unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    recorder.wait(PATIENCE).done();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(refused(&bytes), Vec::<String>::new());
    let trace: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(trace["otherData"]["no_work_of_others_because"], Value::Null);
    let events = trace["traceEvents"].as_array().unwrap();
    let works: Vec<&Value> =
        events.iter().map(|event| &event["args"]["work"]).filter(|work| work.is_object()).collect();
    let has = |kind: &str, program: &str| {
        works
            .iter()
            .filter(|work| work["kind"] == kind && work["program"].as_str().unwrap().starts_with(program))
            .count()
    };
    assert!(has("file_sync", "other-program") > 0 && has("system_sync", "other-program") > 0, "{works:#?}");
    let of_take = |work: &&&Value| work["program"] == "other-program" && work["is_take"] == true;
    assert!(works.iter().any(|work| of_take(&work)), "{works:#?}");
    assert!(events.iter().any(|event| event["name"] == "sync: other-program" && event["tid"].as_u64() >= Some(11)));
    // The kernel's thread wrote the pages, because the other program had asked for it.
    assert!(has("take_writeback", "kworker/") > 0 && has("writeback", "kworker/") > 0, "{works:#?}");
    assert!(works.iter().all(|work| work["pid"] != own), "the recorder's own syncs are no work of others");
}
