//! The command line: parses the arguments and runs one mode. Thread: main.
//!
//! Results go to standard output, everything else to standard error. An error is one line: first the thing, then the
//! reason. The exit status is 1 for a failure and 2 for unreadable arguments.

pub mod args;
pub mod choose;
pub mod engine;
pub mod inspect;
pub mod live_line;
pub mod output;
pub mod play;
pub mod record;
pub mod recover;
pub mod status;
pub mod stop;
pub mod stress;
pub mod trace;
pub mod watch;
pub mod watch_table;
pub mod open_window;
pub mod programs;
#[cfg(feature = "gui")]
pub mod display;
#[cfg(feature = "gui")]
pub mod x11;
#[cfg(feature = "gui")]
pub mod gui;

use crate::device::UNMIXED;
use crate::recovery::{self, is_needed};
use crate::rt::process;
use crate::session::session_file::is_in_use;
use crate::session::{Session, Take};
use crate::shell_word::for_shell;
use crate::window::process::{keep_pages_small, limit_arenas, set_plain_time_zone, set_unset_variable};
use args::{Cli, Mode};
use clap::Parser;
use output::Target;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The part of a second of silence from which a playback has failed, though some of it was heard.
const SILENT_PER_SECOND: u64 = 2;

/// The reason why a mode failed, in one line.
pub struct Failure(pub String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

/// Runs the program `faultless`: the mode that the arguments name, or the window.
pub fn main() -> ExitCode {
    // Both before any thread is started. Libraries of sound servers read the environment.
    set_unset_variable(UNMIXED.0, UNMIXED.1);
    limit_arenas();
    run_program(|cli: Cli| {
        // The window is drawn with memory for which huge pages are right.
        if cli.mode.is_some() {
            keep_pages_small();
        }
        run_mode(cli)
    })
}

fn run_mode(cli: Cli) -> Result<(), Failure> {
    match cli.mode {
        None => open_window::run(&cli.window),
        Some(Mode::Record(args)) => record::run(&args),
        Some(Mode::Play(args)) => play::run(&args),
        Some(Mode::Recover(args)) => recover::run(&args),
        Some(Mode::Export(args)) => inspect::export(&args),
        Some(Mode::Devices(args)) => inspect::devices(&args),
        Some(Mode::Doctor(args)) => inspect::doctor(&args),
        Some(Mode::Bench(args)) => inspect::bench(&args),
        Some(Mode::Watch(args)) => watch::run(&args),
        Some(Mode::Stress(args)) => stress::run(&args),
        Some(Mode::Stop(args)) => stop::run(&args),
        Some(Mode::Trace(args)) => trace::run(&args),
        Some(Mode::Engine(args)) => engine::run(&args),
    }
}

/// Reads the arguments of a program and does its work. Returns its exit status.
fn run_program<A: Parser>(work: impl FnOnce(A) -> Result<(), Failure>) -> ExitCode {
    set_plain_time_zone();
    process::prepare();
    let code = outcome_code(work);
    output::flush();
    code
}

fn outcome_code<A: Parser>(work: impl FnOnce(A) -> Result<(), Failure>) -> ExitCode {
    let arguments = match A::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            let line = one_line(&error.to_string(), A::command().get_name());
            print_stderr(&format!("faultless: {}", printable(&line)));
            return ExitCode::from(ARGUMENTS_UNREADABLE);
        }
        // Help and version go to standard output.
        Err(error) => {
            note_output(error.print().and_then(|()| std::io::stdout().flush()));
            return exit_code(Ok(()), OUTPUT_FAILURE.get());
        }
    };
    let outcome = work(arguments);
    // An error of standard output is known when everything is written.
    output::flush();
    exit_code(outcome, OUTPUT_FAILURE.get())
}

/// The exit status of a program with this outcome. Prints why it failed, and why its output is not whole.
fn exit_code(outcome: Result<(), Failure>, output_failure: Option<&String>) -> ExitCode {
    let output = output_failure.map(|reason| format!("standard output: cannot be written: {reason}"));
    let reason = match (outcome, output) {
        (Ok(()), None) => return ExitCode::SUCCESS,
        (Ok(()), Some(output)) => output,
        (Err(Failure(reason)), None) => reason,
        (Err(Failure(reason)), Some(output)) => {
            print_stderr(&format!("caution: {output}"));
            reason
        }
    };
    output::write(Target::Messages, format!("faultless: {}\n", printable(&reason)), true);
    ExitCode::FAILURE
}

/// The first error of writing to standard output. The program ends with it, and does not stop for it.
static OUTPUT_FAILURE: OnceLock<String> = OnceLock::new();

/// Remembers an error of standard output. A reader that has closed its pipe has what it wants.
fn note_output(written: std::io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        OUTPUT_FAILURE.set(error.to_string()).ok();
    }
}

/// The exit status for unreadable arguments.
const ARGUMENTS_UNREADABLE: u8 = 2;

/// The first paragraph of the argument parser's message, as one line. The paragraphs after it explain the usage.
fn one_line(text: &str, program: &str) -> String {
    let message: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let message = message.join(" ");
    format!("{}; '{program} --help' tells more", message.strip_prefix("error: ").unwrap_or(&message))
}

/// Replaces control characters. Names of files and folders may contain them, and a terminal would obey them.
pub fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Prints a line on standard error. Errors of writing are ignored. After [`output::start`] it does not wait.
pub fn print_stderr(line: &str) {
    output::write(Target::Messages, format!("{line}\n"), false);
}

/// Prints a line on standard output. An error of writing does not end a recording: the program reports the error at
/// its end. After [`output::start`] it does not wait.
pub fn print(line: &str) {
    output::write(Target::Results, format!("{line}\n"), true);
}

/// Advice about takes of the session that are not finished or not listed, as the end of a sentence. `None`: all are.
pub fn unfinished_pass(folder: &Path, session: &Session) -> Option<String> {
    if is_in_use(folder) {
        if session.takes().iter().any(Take::may_be_recorded) {
            return Some("a pass of it is being recorded: its sound can be used when it is finished".to_owned());
        }
        let advice = "a pass of it was cut off: end the program that has the session open, then: faultless recover";
        return is_needed(session).then(|| format!("{advice} {}", for_shell(folder)));
    }
    recovery::gain(folder, session).map(|reason| format!("{reason}: faultless recover {}", for_shell(folder)))
}

/// Refuses a new file whose folder does not exist: the path is mistyped, and no folder is made for it. The error begins with
/// the path.
fn folder_above_check(path: &Path) -> Result<(), String> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(format!("{}: the folder above it does not exist; check the path, or make that folder", path.display()))
        }
        _ => Ok(()),
    }
}

/// Returns a flag that Ctrl-C, SIGTERM and a closed terminal set, unless the program's parent ignored that signal. The
/// mode that runs then ends cleanly.
pub fn end_on_signals() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in process::end_signals() {
        // If this fails, the signal kills the program, and the next start recovers the takes.
        signal_hook::flag::register(signal, Arc::clone(&flag)).ok();
    }
    flag
}

/// Whether a signal has set the flag.
pub fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}
