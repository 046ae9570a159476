//! The two programs: `faultless` holds nothing of the toolkit, becomes the window, and records where no window is installed.
//! Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::util::{faultless, place, run, start, with_program};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Folders of the window's crates, as the places of their panics name them. The four letters of the shortest name alone occur
/// by chance in ten mebibytes of machine code.
const TOOLKIT: [&str; 6] = ["/egui-", "/winit-", "/glutin-", "/epaint-", "/accesskit-", "/smithay-client-toolkit-"];

/// A folder with the program alone.
fn alone() -> (TempDir, PathBuf) {
    let place = place();
    let program = place.path().join("faultless");
    fs::hard_link(env!("CARGO_BIN_EXE_faultless"), &program).unwrap();
    (place, program)
}

/// Makes a program that stands for the window. It writes its process number and its arguments into a file.
fn window_in(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let (window, told) = (folder.join("faultless-window"), folder.join("told"));
    let text = format!("#!/bin/sh\nprintf '%s\\n' $$ \"$0\" \"$@\" >'{}'\n", told.display());
    fs::write(&window, text).unwrap();
    fs::set_permissions(&window, fs::Permissions::from_mode(0o755)).unwrap();
    told
}

#[test]
fn the_program_becomes_the_window_beside_it_with_its_process_number_and_its_arguments() {
    let (place, program) = alone();
    let told = window_in(place.path());
    // A second window, which PATH names, is not the one.
    let other = window_in(&place.path().join("other"));
    let name = OsStr::from_bytes(b"gig \xff of 8");
    let mut command = Command::new(&program);
    command.env("PATH", place.path().join("other")).args(["--device=virtual", "--inputs", "8"]).arg(name);
    let started = start(command);
    let pid = started.pid();
    assert_eq!(started.wait(crate::util::PATIENCE).code, Some(0));
    let window = place.path().join("faultless-window");
    let want = format!("{pid}\n{}\n--device=virtual\n--inputs\n8\n", window.display());
    let want = [want.as_bytes(), name.as_bytes(), b"\n"].concat();
    assert_eq!(fs::read(told).unwrap(), want);
    assert!(!other.exists());
}

#[test]
fn a_window_that_is_not_beside_the_program_is_found_in_path() {
    let (place, program) = alone();
    let told = window_in(&place.path().join("bin"));
    let mut command = Command::new(program);
    command.env("PATH", place.path().join("bin"));
    assert_eq!(run(command).code, Some(0));
    assert_eq!(fs::read_to_string(told).unwrap().lines().count(), 2);
}

#[test]
fn without_the_window_one_line_says_so_and_the_program_records() {
    let (place, program) = alone();
    for arguments in [&[][..], &["gig"], &["--device=virtual", "gig"]] {
        let mut command = Command::new(&program);
        command.env("PATH", "/nonexistent").args(arguments).current_dir(place.path());
        run(command).refused(&["the window is not installed", "'faultless-window'", "faultless record SESSION"]);
    }
    assert!(!place.path().join("gig").exists());
    let arguments = "--device virtual:free --inputs 2 --seconds 0.5";
    run(with_program(Command::new(&program), "record", &place.path().join("gig"), arguments)).done();
}

#[test]
fn a_mode_with_a_typing_error_is_named_before_the_window_is_looked_for() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultless"));
    command.env("PATH", "/nonexistent").arg("recrod");
    run(command).refused(&["there is no such mode", "is 'record' meant?"]);
    run(faultless("record", Path::new("gig"), "--no-such-option")).refused(&["'faultless --help' tells more"]);
}

#[test]
fn the_recorder_loads_nothing_of_the_toolkit() {
    let program = Loaded::of(Path::new(env!("CARGO_BIN_EXE_faultless")));
    assert!(program.contains("faultless"), "its text is looked at");
    let found: Vec<&str> = TOOLKIT.into_iter().filter(|word| program.contains(word)).collect();
    assert!(found.is_empty(), "{found:?}");
    let mebibytes = program.bytes() >> 20;
    assert!((1..24).contains(&mebibytes), "{mebibytes} MiB");
    #[cfg(feature = "gui")]
    {
        let window = Loaded::of(Path::new(env!("CARGO_BIN_EXE_faultless-window")));
        let missing: Vec<&str> = TOOLKIT.into_iter().filter(|word| !window.contains(word)).collect();
        assert!(missing.is_empty(), "these words do not show the toolkit: {missing:?}");
        let of_window = window.bytes() >> 20;
        assert!(mebibytes + 8 < of_window, "the recorder has {mebibytes} MiB, the window {of_window}");
    }
}

/// The bytes of a program that are brought into memory when it runs: without its debug information.
struct Loaded {
    segments: Vec<Vec<u8>>,
}

impl Loaded {
    fn of(program: &Path) -> Loaded {
        let file = fs::read(program).unwrap();
        assert!(file.starts_with(b"\x7fELF\x02\x01"), "an ELF file of 64 bits");
        let number = |at: usize, bytes: usize| {
            file[at..at + bytes].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
        let is_loaded = |at: &usize| number(*at, 4) == 1;
        let segments = (0..count).map(|index| table + index * size).filter(is_loaded);
        Loaded { segments: segments.map(|at| file[number(at + 8, 8)..][..number(at + 32, 8)].to_vec()).collect() }
    }

    fn bytes(&self) -> usize {
        self.segments.iter().map(Vec::len).sum()
    }

    fn contains(&self, word: &str) -> bool {
        let (first, word) = (word.as_bytes()[0], word.as_bytes());
        self.segments.iter().any(|segment| {
            segment.iter().enumerate().any(|(at, byte)| *byte == first && segment[at..].starts_with(word))
        })
    }
}

#[cfg(feature = "gui")]
mod window {
    use crate::util::{place, run};
    use std::path::Path;
    use std::process::Command;

    /// The window's program, with a home of its own.
    fn window(home: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faultless-window"));
        command.env("HOME", home).env("XDG_CONFIG_HOME", home).env("XDG_RUNTIME_DIR", home).current_dir(home);
        command.env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET").env_remove("DISPLAY");
        command
    }

    #[test]
    fn a_window_without_a_display_says_so_in_one_line_and_starts_no_recorder() {
        let home = place();
        let mut command = window(home.path());
        command.arg("gig");
        run(command).refused(&["no display", "faultless record SESSION"]);
        for (variable, value) in [("DISPLAY", ":31999"), ("WAYLAND_DISPLAY", "wayland-31999")] {
            let mut command = window(home.path());
            command.env(variable, value).arg("gig");
            run(command).refused(&[
                "no display answers at",
                &format!("{variable}={value}"),
                "faultless record SESSION",
            ]);
        }
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn help_and_version_of_the_window_name_it_and_refer_to_the_other_program() {
        let home = place();
        let mut version = window(home.path());
        version.arg("--version");
        assert_eq!(run(version).done().out, format!("faultless-window {}\n", env!("CARGO_PKG_VERSION")));
        let mut help = window(home.path());
        help.arg("--help");
        let text = run(help).done().out;
        assert!(text.contains("Usage: faultless-window") && text.contains("'faultless --help'"), "{text}");
        assert!(!text.contains("Commands:"), "{text}");
        let mut wrong = window(home.path());
        wrong.arg("--no-such-option");
        run(wrong).refused(&["'faultless-window --help' tells more"]);
    }
}
