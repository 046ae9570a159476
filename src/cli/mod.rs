//! The command line: arguments to one mode. Thread: control.
//!
//! Results go to standard output, everything else to standard error. An error is one line that names the
//! thing first, then the reason; the exit status is 1, or 2 for arguments that cannot be read.

pub mod args;
pub mod choose;
pub mod inspect;
pub mod play;
pub mod record;
pub mod recover;
pub mod status;
pub mod stress;
pub mod gui;

use args::{Cli, Mode};
use clap::Parser;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a mode ended without doing its work: one line.
pub struct Failure(pub String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

/// Runs the mode that the arguments name.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            print_stderr(&format!("faultless: {}", printable(&one_line(&error.to_string()))));
            return ExitCode::from(ARGUMENTS_UNREADABLE);
        }
        // Help and version: printed where they belong.
        Err(error) => error.exit(),
    };
    let done = match cli.mode {
        None => gui::run(&cli.window),
        Some(Mode::Record(args)) => record::run(&args),
        Some(Mode::Play(args)) => play::run(&args),
        Some(Mode::Recover(args)) => recover::run(&args),
        Some(Mode::Export(args)) => inspect::export(&args),
        Some(Mode::Devices(args)) => inspect::devices(&args),
        Some(Mode::Doctor(args)) => inspect::doctor(&args),
        Some(Mode::Bench(args)) => inspect::bench(&args),
        Some(Mode::Stress(args)) => stress::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(reason)) => {
            print_stderr(&format!("faultless: {}", printable(&reason)));
            ExitCode::FAILURE
        }
    }
}

/// The exit status for arguments that cannot be read.
const ARGUMENTS_UNREADABLE: u8 = 2;

/// What the argument parser says before it goes on about usage.
fn one_line(text: &str) -> String {
    let message: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let message = message.join(" ");
    format!("{}; 'faultless --help' tells more", message.strip_prefix("error: ").unwrap_or(&message))
}

/// A text as one line that does nothing to a terminal: names of files and folders may hold anything.
pub fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// A line on standard error. That it cannot be written changes nothing.
pub fn print_stderr(line: &str) {
    writeln!(std::io::stderr().lock(), "{line}").ok();
}

/// A line on standard output. A reader that went away ends nothing: the takes matter more.
pub fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}

/// A flag that Ctrl-C, SIGTERM and a closed terminal raise: end what is on, cleanly.
pub fn end_on_signals() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // Without it the signal ends the program, and the next start recovers the takes.
        signal_hook::flag::register(signal, Arc::clone(&flag)).ok();
    }
    flag
}

/// Whether the end was asked for.
pub fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}
