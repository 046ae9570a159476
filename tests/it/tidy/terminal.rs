//! Checks that the modes of the command line neither write to the terminal nor ask a disk where control would wait for it.
//! Thread: test.
//!
//! A terminal may take no text, and a disk may not answer. Control waits for neither.

use super::read::{test_spans, words};
use super::{Source, nobody_offends, sources};

/// Files that write to the terminal themselves.
const WRITERS: &[(&str, &str)] = &[
    ("src/cli/output.rs", "its thread writes for everybody else"),
    ("src/cli/mod.rs", "the help, before a mode runs"),
    ("src/cli/live_line.rs", "asks whether standard error is a terminal, and how wide it is"),
    ("src/cli/watch.rs", "records and plays nothing"),
    ("src/cli/trace.rs", "records and plays nothing"),
];

const OUTPUTS: &[&str] = &["print!", "println!", "eprint!", "eprintln!", "stdout()", "stderr()"];

/// Files of the status line. Control draws it ten times a second.
const STATUS: &[&str] = &["src/cli/status.rs", "src/cli/live_line.rs"];

const DISK_CALLS: &[&str] =
    &["statvfs", "statfs", "free_bytes", "fs::", "File::", ".exists()", ".is_dir()", ".metadata(", "canonicalize("];

fn terminal_offences(source: &Source) -> Vec<String> {
    let tests = test_spans(&source.code);
    let found = |calls: &'static [&str], what: &'static str| {
        let places = calls.iter().flat_map(|call| words(&source.code, call).into_iter().map(move |at| (at, call)));
        let places: Vec<_> = places.filter(|(at, _)| !tests.iter().any(|span| span.contains(at))).collect();
        places.into_iter().map(|(at, call)| source.offence(at, &format!("`{call}`: {what}"))).collect::<Vec<_>>()
    };
    let mut offences = Vec::new();
    if source.path.starts_with("src/cli/") && !WRITERS.iter().any(|(path, _)| *path == source.path) {
        offences.extend(found(OUTPUTS, "print with cli::print or cli::print_stderr, so that control does not wait"));
    }
    if STATUS.contains(&source.path.as_str()) {
        offences.extend(found(DISK_CALLS, "control must not ask a disk for the status line"));
    }
    offences
}

#[test]
fn the_command_line_waits_for_no_terminal_and_its_status_line_for_no_disk() {
    nobody_offends(sources("src").iter().flat_map(terminal_offences));
}

#[test]
fn a_direct_write_and_a_question_to_a_disk_are_found() {
    let offences = |path: &str, text: &str| terminal_offences(&Source::new(path, text)).len();
    for text in ["fn f() { eprintln!(\"a\"); }", "fn f() { writeln!(std::io::stderr().lock(), \"a\").ok(); }"] {
        assert_eq!((offences("src/cli/record.rs", text), offences("src/cli/output.rs", text)), (1, 0), "{text}");
    }
    for text in ["use nix::sys::statvfs::statvfs;", "fn f() { file_system::free_bytes(folder); }"] {
        assert!(0 < offences("src/cli/status.rs", text), "{text}");
    }
    let test = "#[cfg(test)]\nmod tests {\n    fn f() { println!(\"a\"); fs::read(path); }\n}";
    assert_eq!((offences("src/cli/status.rs", test), offences("src/cli/status.rs", "fn f() { print(line); }")), (0, 0));
}
