//! Checks that the modules that a simulator runs use the machine through `src/host` only. Thread: test.
//!
//! A call that goes to the system directly is invisible to the simulator: it takes real time, waits for a thread that never
//! runs, or changes a disk behind the simulator's back.

use super::read::{test_spans, words};
use super::{Source, nobody_offends, sources};

/// The files that a simulator runs: path prefixes. The flight recorder is not among them: its journal is off on a simulated
/// machine.
const SIMULATED: &[&str] = &[
    "src/butler/",
    "src/control/",
    "src/engine/",
    "src/file_system/",
    "src/mailbox.rs",
    "src/message/",
    "src/reaper.rs",
    "src/recovery/",
    "src/session/",
    "src/threads.rs",
];

/// Calls of the system, and the functions of `host` to use in their place.
const CALLS: &[(&[&str], &str)] = &[
    (&["Instant::now", ".elapsed()"], "host::now, host::elapsed"),
    (
        &["SystemTime::now", "Zoned::now", "Timestamp::now", "clock_gettime"],
        "host::zoned, host::timestamp, host::monotonic",
    ),
    (&["Uuid::new_v4"], "host::new_uuid"),
    (&["thread::sleep", "park_timeout"], "host::sleep"),
    (&["thread::spawn", "thread::Builder"], "host::spawn"),
    (&[".recv()", ".recv_timeout(", ".recv_deadline(", "select!"], "host::receive, host::receive_timeout"),
    (&["setup.events.send(", "sender.send(", "answers.send("], "host::send, or an Outbox"),
    (&["unbounded"], "a queue with a bound"),
    (
        &["File::open", "File::create", "File::options", ").open(", "openat(", "DirBuilder", "create_new("],
        "host::disk::open, create, open_at, open_folder",
    ),
    (
        &[".write_all(", ".write_all_at(", ".write_at(", "pwrite(", "pwritev(", "fs::write", "fs::copy"],
        "host::disk::write_all_at, write_parts_at",
    ),
    (
        &[
            ".read_exact(",
            ".read_exact_at(",
            ".read_at(",
            ".read_to_end(",
            ".read_to_string(",
            "fs::read(",
            "fs::read_to_string",
            "lseek(",
        ],
        "host::disk::read_at, read_exact_at, read_to_end, Reading, seek",
    ),
    (&[".sync_all(", ".sync_data(", "fsync(", "fdatasync(", "syncfs("], "host::disk::sync_all, sync_data, sync_folder"),
    (&[".set_len(", "ftruncate(", "fallocate("], "host::disk::set_length, reserve, punch"),
    (
        &[
            "fs::rename",
            "renameat(",
            "renameat2(",
            "linkat(",
            "hard_link(",
            "unlinkat(",
            "remove_file",
            "mkdirat(",
            "create_dir",
            "remove_dir",
        ],
        "host::disk::rename_at, link_at, remove, make_folder_at, make_folders, remove_folder",
    ),
    (
        &["read_dir(", "read_link(", "symlink_metadata(", "fs::metadata(", "fstatat(", ".exists()", "canonicalize("],
        "host::disk::list, stat_at, metadata, link_metadata",
    ),
    (&["statfs(", "statvfs("], "file_system::free_bytes"),
    (&[".try_lock()", ".try_lock_shared()", "Flock", "flock("], "host::disk::try_lock, try_lock_shared"),
];

/// Calls that may go to the system directly: file, call, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("src/file_system/mod.rs", "fs::read_to_string", "/proc/self/fdinfo, which the kernel has in memory"),
    ("src/file_system/mod.rs", "read_link(", "/proc/self/fd, which the kernel has in memory"),
    (
        "src/file_system/mod.rs",
        "symlink_metadata(",
        "whether a continuation's session is at its path; a simulation moves no folder",
    ),
    ("src/file_system/mod.rs", "statfs(", "free_bytes asks the host first"),
    ("src/file_system/mod.rs", "statvfs(", "free_bytes asks the host first"),
    ("src/file_system/mounts.rs", "fs::read(", "/proc/self/mountinfo, which the kernel has in memory"),
    (
        "src/file_system/mounts.rs",
        "canonicalize(",
        "the doctor and the first event of a start ask, before any thread runs; the check of the places of a mirror and an \
         overflow folder does not ask in a simulation",
    ),
    ("src/butler/logout.rs", ".exists()", "settings of logind, which are read at a start"),
    ("src/butler/logout.rs", "fs::read_to_string", "settings of logind, which are read at a start"),
    ("src/butler/logout.rs", "read_dir(", "settings of logind, which are read at a start"),
    ("src/butler/spool.rs", "statfs(", "the kind of a folder in memory"),
    ("src/session/session_file/lock.rs", "fs::read_to_string", "the kernel's account of another process"),
    ("src/control/report.rs", "Instant::now", "the benchmark's measure of a bare copy"),
    ("src/control/report.rs", ".elapsed()", "the benchmark's measure of a bare copy"),
    ("src/control/system_sleep.rs", "clock_gettime", "the sleep of the real machine; a simulated one never sleeps"),
    ("src/recovery/viewpoint.rs", "fs::read_to_string", "the identities of the machine and of its run"),
    ("src/recovery/viewpoint.rs", "read_link(", "/proc/self/ns, which the kernel has in memory"),
];

/// A call to the system, by its position.
fn calls(source: &Source) -> Vec<(usize, &'static str, &'static str)> {
    let tests = test_spans(&source.code);
    let is_test = source.path.ends_with("tests.rs") || source.path.contains("/tests/");
    if is_test || !source.is_in(SIMULATED) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (calls, instead) in CALLS {
        for call in *calls {
            let outside = |at: &usize| !tests.iter().any(|span| span.contains(at));
            found.extend(words(&source.code, call).into_iter().filter(outside).map(|at| (at, *call, *instead)));
        }
    }
    found
}

fn exception(source: &Source, call: &str) -> Option<usize> {
    EXCEPTIONS.iter().position(|(path, excepted, _)| source.path == *path && call == *excepted)
}

fn machine_offences(source: &Source) -> Vec<String> {
    let refused = calls(source).into_iter().filter(|(_, call, _)| exception(source, call).is_none());
    refused.map(|(at, call, instead)| source.offence(at, &format!("`{call}`: use {instead}"))).collect()
}

#[test]
fn what_a_simulator_runs_uses_the_machine_through_the_host() {
    nobody_offends(sources("src").iter().flat_map(machine_offences));
}

#[test]
fn every_exception_to_the_rule_is_used() {
    let sources = sources("src");
    let used: Vec<usize> = sources
        .iter()
        .flat_map(|source| calls(source).into_iter().filter_map(|(_, call, _)| exception(source, call)))
        .collect();
    let dead = EXCEPTIONS.iter().enumerate().filter(|(at, _)| !used.contains(at));
    nobody_offends(dead.map(|(_, (path, call, _))| format!("{path}: {call}: nothing needs this exception; remove it")));
}

#[test]
fn a_direct_call_is_found_and_a_call_of_a_test_is_left_alone() {
    let offences = |path: &str, text: &str| machine_offences(&Source::new(path, text)).len();
    for text in [
        "fn f() { let now = Instant::now(); }",
        "fn f() { std::thread::sleep(time); }",
        "fn f() { let file = std::fs::File::open(path); }",
        "fn f() { self.file.sync_data()?; }",
        "fn f() { let message = commands.recv(); }",
        "fn f() { let (sender, receiver) = unbounded(); }",
        "fn f() { std::fs::remove_file(path).ok(); }",
    ] {
        assert_eq!(offences("src/butler/a.rs", text), 1, "{text}");
        assert_eq!(offences("src/ui/a.rs", text), 0, "{text}");
    }
    for text in [
        "#[cfg(test)]\nmod tests {\n    fn f() { std::thread::sleep(time); }\n}",
        "fn f() { host::sleep(time); disk::sync_data(&file)?; host::receive(&commands).ok(); }",
        "fn f() { let command = commands.try_recv(); }",
    ] {
        assert_eq!(offences("src/butler/a.rs", text), 0, "{text}");
    }
}
