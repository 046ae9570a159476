//! `faultless-window [SESSION]`: the GUI, in a program of its own. The recorder has another process, see
//! [`super::engine`], of the program `faultless`. Thread: ui.

use super::args::WindowArgs;
use super::display;
use super::engine::not_saved;
use super::programs::{RECORDER, path_of};
use super::{Failure, print_stderr, printable, x11};
use crate::app::handle::CLOSE_LIMIT;
use crate::link::client::Client;
use crate::link::start::EngineStart;
use crate::link::{Ended, Recorder};
use crate::rt::process;
use crate::ui::frame::{SIZE, WindowFrame};
use clap::Parser;
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Time for the window to close after everything is on the disk.
const WINDOW_LIMIT: Duration = Duration::from_secs(2);

/// The smallest size at which nothing in the GUI overlaps.
const MIN_SIZE: [f32; 2] = [960.0, 560.0];

/// The window of Faultless, over a recorder in a process of its own.
///
/// `faultless` starts it. It shows the recorder that has the session open, or starts one: the program `faultless` beside
/// this one.
#[derive(Parser)]
#[command(name = "faultless-window", version, max_term_width = 100)]
#[command(
    after_help = "Everything that needs no window is done by the program faultless; 'faultless --help' lists it."
)]
struct WindowProgram {
    #[command(flatten)]
    window: WindowArgs,
}

/// Runs the program of the window.
pub fn main() -> ExitCode {
    super::run_program(|program: WindowProgram| run(&program.window))
}

/// Opens the GUI and returns when the user closes it.
fn run(args: &WindowArgs) -> Result<(), Failure> {
    display::check()?;
    x11::prepare();
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
    let start =
        EngineStart { program: path_of(RECORDER), options: engine_options(args), session: args.session.clone() };
    let recorder = Recorder::Remote(Client::start(start)?);
    close_on_signals(recorder.clone())?;
    let shared = recorder.clone();
    let was_open = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&was_open);
    let create = Box::new(move |cc: &eframe::CreationContext<'_>| {
        opened.store(true, SeqCst);
        Ok(Box::new(WindowFrame::of(&cc.egui_ctx, shared)) as Box<dyn eframe::App>)
    });
    let shown = display::run(|| eframe::run_native("Faultless", native, create), || was_open.load(SeqCst));
    // The event loop also ends by an error, for example when the display server is gone.
    if recorder.end_with_window(CLOSE_LIMIT) == Ended::NotSaved {
        return Err(Failure(not_saved(recorder.phase(), &recorder.snapshot())));
    }
    shown.map_err(Failure)
}

/// Refuses a session that cannot be begun where the command line says.
fn place_check(session: &Path) -> Result<(), Failure> {
    match session.parent() {
        Some(folder) if !session.exists() && !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(Failure(format!("{}: no such folder, so no session can be begun in it", folder.display())))
        }
        _ => Ok(()),
    }
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
                let reason = not_saved(recorder.phase(), &recorder.snapshot());
                print_stderr(&format!("faultless: {}", printable(&reason)));
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
    use super::super::args::Cli;
    use super::super::programs::WINDOW;
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn a_new_folder_is_a_place_for_a_session_and_one_in_a_folder_that_is_missing_is_none() {
        let place = tempfile::tempdir().unwrap();
        assert!(place_check(&place.path().join("gig")).is_ok());
        assert!(place_check(Path::new("my-new-gig")).is_ok());
        assert!(place_check(&place.path().join("gone/gig")).is_err_and(|error| error.0.contains("no such folder")));
    }

    /// `faultless` passes its arguments to the window as they are.
    #[test]
    fn both_programs_read_the_arguments_of_the_window_alike() {
        let arguments = ["--device=virtual", "--inputs", "24", "--signal=ramp", "--period=256", "--rate=48000", "gig"];
        let read = |name: &str| std::iter::once(name.to_owned()).chain(arguments.map(str::to_owned));
        let window = WindowProgram::try_parse_from(read(WINDOW)).unwrap().window;
        let recorder = Cli::try_parse_from(read(RECORDER)).unwrap().window;
        assert_eq!(
            (window.session.clone(), engine_options(&window)),
            (recorder.session.clone(), engine_options(&recorder))
        );
        assert_eq!(WindowProgram::command().get_name(), WINDOW);
    }
}
