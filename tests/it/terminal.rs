//! The program on a terminal and in a user's environment: the status line, jobs in the background, the umask.

use crate::util::{faultless, place, record, run, skip};
use std::path::Path;
use std::process::Command;

/// Runs a command of a shell on a terminal of its own, 80 columns wide. Returns everything that the terminal got; `None`
/// if there is no `script` here.
fn on_terminal(command: &str, folder: &Path) -> Option<String> {
    let mut script = Command::new("script");
    script.args(["-qec", &format!("stty cols 80 rows 24; {command}"), "/dev/null"]);
    script.current_dir(folder).env("TERM", "xterm");
    let found = Command::new("script").arg("--version").output().is_ok();
    found.then(|| run(script).out)
}

/// The command line of a recording in folder `s`.
fn recording(arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_faultless");
    format!("'{program}' record s {arguments}")
}

/// What each drawing of the status line wrote, without control sequences.
fn drawings(out: &str) -> Vec<String> {
    out.split('\r').filter(|part| part.contains('●')).map(|part| part.replace("\u{1b}[K", "")).collect()
}

#[test]
fn the_status_line_of_24_inputs_stays_in_80_columns_and_a_loss_stays_above_it() {
    let folder = place();
    let command = recording("--device virtual:xrun=24000+4800 --inputs 24 --seconds 3");
    let Some(out) = on_terminal(&command, folder.path()) else { return skip("the status line", "needs script") };
    let drawn = drawings(&out);
    assert!(drawn.len() > 5, "{out}");
    for line in &drawn {
        assert!(line.chars().count() < 80 && !line.contains('\n'), "{} columns: {line}", line.chars().count());
        assert!(line.contains(" lost"), "{line}");
    }
    // The loss is on a line of its own, and no drawing begins a new line.
    let loss = out.find("LOSS: ").unwrap_or_else(|| panic!("{out}"));
    let after = &out[loss..];
    let status = &after[after.find('\n').unwrap()..after.rfind('●').unwrap()];
    assert!(!status.trim_start().contains("\n\n") && drawings(status).iter().all(|line| !line.contains('\n')), "{out}");
}

#[test]
fn a_recording_in_the_background_writes_no_status_line() {
    let folder = place();
    let command = format!("bash -c \"set -m; {} & wait\"", recording("--device virtual --inputs 2 --seconds 1.5"));
    let Some(out) = on_terminal(&command, folder.path()) else { return skip("the status line", "needs script") };
    assert!(out.contains("2 takes of 0:01.500"), "{out}");
    assert_eq!(drawings(&out), Vec::<String>::new(), "{out}");
}

#[test]
fn a_terminal_that_knows_no_control_sequences_gets_none() {
    let folder = place();
    let command = format!("TERM=dumb {}", recording("--device virtual --inputs 2 --seconds 1.5"));
    let Some(out) = on_terminal(&command, folder.path()) else { return skip("the status line", "needs script") };
    assert!(out.contains("2 takes of 0:01.500") && !out.contains('\u{1b}'), "{out}");
}

#[test]
fn files_have_the_permissions_that_the_umask_leaves() {
    for (umask, mode) in [("002", 0o664), ("027", 0o640), ("077", 0o600)] {
        let folder = place();
        let session = folder.path().join("s");
        let inner = record(&session, "--device virtual:free --inputs 1 --seconds 0.1");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
            .arg(inner.get_program())
            .args(inner.get_args());
        run(shell).done();
        for mix in ["", "--mix"] {
            let inner = faultless("export", &session, &format!("{mix} --to {}", session.join("export").display()));
            let mut shell = Command::new("sh");
            shell
                .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
                .arg(inner.get_program())
                .args(inner.get_args());
            run(shell).done();
        }
        let exports = std::fs::read_dir(session.join("export")).unwrap().map(|entry| entry.unwrap().path());
        let exports: Vec<_> = exports.collect();
        assert_eq!(exports.len(), 2, "a stem and a mix");
        let own = ["audio/In 1-1.wav", "session.json", "events.jsonl"].map(|name| session.join(name));
        for file in own.iter().chain(&exports) {
            use std::os::unix::fs::PermissionsExt;
            let found = std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{} with umask {umask}", file.display());
        }
    }
}

#[test]
fn takes_and_exports_of_24_bits_have_the_plain_pcm_tag() {
    let folder = place();
    let session = folder.path().join("s");
    run(record(&session, "--device virtual:free --inputs 2 --seconds 0.1")).done();
    let to = folder.path().join("out");
    run(faultless("export", &session, &format!("--to {}", to.display()))).done();
    run(faultless("export", &session, &format!("--mix --to {}", to.display()))).done();
    let mut seen = 0;
    for folder in [session.join("audio"), to] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let page = std::fs::read(entry.unwrap().path()).unwrap();
            let at = page.windows(4).position(|bytes| bytes == b"fmt ").unwrap();
            assert_eq!(page[at + 4..at + 10], [16, 0, 0, 0, 1, 0], "16 bytes, tag 1");
            assert_eq!(&page[4088..4092], b"data");
            seen += 1;
        }
    }
    assert_eq!(seen, 5, "two takes, two stems, one mix");
}
