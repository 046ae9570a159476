//! `faultless [SESSION]`: becomes the program of the window. Thread: main.

use super::Failure;
use super::args::{Cli, WindowArgs};
use super::programs::{WINDOW, path_of};
use clap::CommandFactory as _;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Replaces this program by the window, with the same arguments and the same process number. Returns only if that fails.
pub fn run(args: &WindowArgs) -> Result<(), Failure> {
    if let Some(session) = &args.session {
        mode_check(session)?;
    }
    let program = path_of(WINDOW);
    let error = Command::new(&program).args(std::env::args_os().skip(1)).exec();
    Err(Failure(if error.kind() == io::ErrorKind::NotFound {
        format!(
            "the window is not installed: '{WINDOW}' is neither beside this program nor in PATH; to record without a \
             window: faultless record SESSION"
        )
    } else {
        format!("{}: the window cannot be started: {error}", program.display())
    }))
}

/// Refuses the name of a session that is almost that of a mode.
fn mode_check(session: &Path) -> Result<(), Failure> {
    let name = session.display().to_string();
    if session.exists() || name.contains('/') {
        return Ok(());
    }
    let modes = Cli::command();
    let mut modes = modes.get_subcommands().map(|mode| mode.get_name().to_owned());
    match modes.find(|mode| distance(mode, &name) <= 2) {
        Some(mode) => {
            Err(Failure(format!("{name}: there is no such mode; is '{mode}' meant? './{name}' begins a session")))
        }
        None => Ok(()),
    }
}

/// Letters to insert, remove or replace to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(32).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.iter().enumerate() {
            let replaced = before + usize::from(a != *b);
            before = row[j + 1];
            row[j + 1] = replaced.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_with_a_typing_error_is_no_session() {
        assert!(mode_check(Path::new("my-new-gig")).is_ok());
        assert!(mode_check(Path::new("./recrod")).is_ok());
        assert!(mode_check(Path::new("recrod")).is_err_and(|error| error.0.contains("is 'record' meant?")));
        assert_eq!([distance("record", "record"), distance("record", "recrod"), distance("play", "")], [0, 2, 4]);
    }
}
