//! `faultless [SESSION]`: opens the GUI. The recorder has a process of its own, see [`super::engine`]. Thread: ui.

use super::args::{Cli, WindowArgs};
use super::engine::NOT_CLOSED;
use super::{Failure, print_stderr};
use crate::app::handle::CLOSE_LIMIT;
use crate::link::client::Client;
use crate::link::start::EngineStart;
use crate::link::{Ended, Recorder};
use crate::rt::process;
use crate::ui::frame::{SIZE, WindowFrame};
use clap::CommandFactory as _;
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Advice for a machine without a display.
const WITHOUT_DISPLAY: &str = "to record without a window: faultless record SESSION";

/// Time for the window to close after everything is on the disk.
const WINDOW_LIMIT: Duration = Duration::from_secs(2);

/// The smallest size at which nothing in the GUI overlaps.
const MIN_SIZE: [f32; 2] = [960.0, 560.0];

/// Opens the GUI and returns when the user closes it.
pub fn run(args: &WindowArgs) -> Result<(), Failure> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !set("DISPLAY") && !set("WAYLAND_DISPLAY") && !set("WAYLAND_SOCKET") {
        return Err(Failure(format!("no display: neither DISPLAY nor WAYLAND_DISPLAY is set; {WITHOUT_DISPLAY}")));
    }
    if let Some(session) = &args.session {
        place_check(session)?;
    }
    let native = eframe::NativeOptions {
        renderer: eframe::Renderer::Glow,
        viewport: egui::ViewportBuilder::default()
            .with_title("Faultless")
            .with_app_id("faultless")
            .with_inner_size(SIZE)
            .with_clamp_size_to_monitor_size(true)
            .with_min_inner_size(MIN_SIZE),
        ..eframe::NativeOptions::default()
    };
    let start = EngineStart::of_this_program(args.session.clone(), engine_options(args));
    let recorder = Recorder::Remote(Client::start(start)?);
    close_on_signals(recorder.clone())?;
    let shared = recorder.clone();
    let was_open = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&was_open);
    let create = Box::new(move |cc: &eframe::CreationContext<'_>| {
        opened.store(true, SeqCst);
        Ok(Box::new(WindowFrame::of(&cc.egui_ctx, shared)) as Box<dyn eframe::App>)
    });
    let shown = eframe::run_native("Faultless", native, create);
    // The event loop also ends by an error, for example when the display server is gone.
    if recorder.end_with_window(CLOSE_LIMIT) == Ended::NotSaved {
        return Err(Failure(NOT_CLOSED.to_owned()));
    }
    shown.map_err(|error| {
        Failure(if was_open.load(SeqCst) {
            format!("the display is gone: {error}")
        } else {
            format!("the window cannot be opened: {error}; {WITHOUT_DISPLAY}")
        })
    })
}

/// Refuses a session that cannot be begun where the command line says, and a name that is almost that of a mode.
fn place_check(session: &Path) -> Result<(), Failure> {
    if session.exists() {
        return Ok(());
    }
    let name = session.display().to_string();
    let modes = Cli::command();
    let mut modes = modes.get_subcommands().map(|mode| mode.get_name().to_owned());
    if let Some(mode) = modes.find(|mode| !name.contains('/') && distance(mode, &name) <= 2) {
        return Err(Failure(format!("{name}: there is no such mode; is '{mode}' meant? './{name}' begins a session")));
    }
    match session.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(Failure(format!("{}: no such folder, so no session can be begun in it", folder.display())))
        }
        _ => Ok(()),
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

/// The options of the engine, as its command line has them.
fn engine_options(args: &WindowArgs) -> Vec<OsString> {
    let text = |name: &str, value: String| OsString::from(format!("--{name}={value}"));
    let WindowArgs { session: _, device, rate, period, inputs, capture_path, signal } = args;
    [
        device.clone().map(|value| text("device", value)),
        rate.map(|value| text("rate", value.to_string())),
        period.map(|value| text("period", value.to_string())),
        inputs.map(|value| text("inputs", value.to_string())),
        capture_path.map(|value| text("capture-path", value.to_string())),
        signal.clone().map(|value| text("signal", value)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Closes the window at Ctrl-C, at a log-out or shutdown and when the terminal closes, without asking the user. A recording
/// continues in the engine's process. Without one, the session is closed and saved; the window then closes by itself. If it
/// does not draw, or the disk does not answer, the program ends without it.
fn close_on_signals(recorder: Recorder) -> Result<(), Failure> {
    let mut signals = Signals::new(process::end_signals())?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if signals.forever().next().is_none() {
            return;
        }
        match recorder.end_with_window(CLOSE_LIMIT) {
            Ended::Saved => {}
            // The engine says it.
            Ended::Continues => std::process::exit(0),
            Ended::NotSaved => {
                print_stderr(&format!("faultless: {NOT_CLOSED}"));
                std::process::exit(1);
            }
        }
        std::thread::sleep(WINDOW_LIMIT);
        std::process::exit(0);
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_a_place_for_a_session_and_a_mode_with_a_typing_error_is_none() {
        let place = tempfile::tempdir().unwrap();
        assert!(place_check(&place.path().join("gig")).is_ok());
        assert!(place_check(Path::new("my-new-gig")).is_ok());
        assert!(place_check(&place.path().join("gone/gig")).is_err_and(|error| error.0.contains("no such folder")));
        assert!(place_check(Path::new("recrod")).is_err_and(|error| error.0.contains("is 'record' meant?")));
        assert_eq!([distance("record", "record"), distance("record", "recrod"), distance("play", "")], [0, 2, 4]);
    }
}
