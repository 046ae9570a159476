//! `faultless [SESSION]`: opens the GUI. Thread: ui.

use super::Failure;
use super::args::WindowArgs;
use crate::app::{DeviceWish, Options};
use crate::ui::frame::WindowFrame;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Advice for a machine without a display.
const WITHOUT_DISPLAY: &str = "to record without a window: faultless record SESSION";

/// The smallest size at which nothing in the GUI overlaps.
const MIN_SIZE: [f32; 2] = [960.0, 560.0];

/// Opens the GUI and returns when the user closes it.
pub fn run(args: &WindowArgs) -> Result<(), Failure> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !set("DISPLAY") && !set("WAYLAND_DISPLAY") && !set("WAYLAND_SOCKET") {
        return Err(Failure(format!("no display: neither DISPLAY nor WAYLAND_DISPLAY is set; {WITHOUT_DISPLAY}")));
    }
    if let Some(session) = &args.session
        && !session.exists()
    {
        return Err(Failure(format!(
            "{}: no such session; 'faultless' alone begins one, 'faultless --help' lists the modes",
            session.display()
        )));
    }
    let options = options(args);
    let native = eframe::NativeOptions {
        renderer: eframe::Renderer::Glow,
        viewport: egui::ViewportBuilder::default()
            .with_title("Faultless")
            .with_app_id("faultless")
            .with_inner_size([1440.0, 900.0])
            .with_min_inner_size(MIN_SIZE),
        ..eframe::NativeOptions::default()
    };
    let end = Arc::new(AtomicBool::new(false));
    let made = Box::new(move |cc: &eframe::CreationContext<'_>| {
        listen(&end, &cc.egui_ctx);
        Ok(Box::new(WindowFrame::new(&cc.egui_ctx, Options { end: Some(end), ..options })) as Box<dyn eframe::App>)
    });
    eframe::run_native("Faultless", native, made)
        .map_err(|error| Failure(format!("the window cannot be opened: {error}; {WITHOUT_DISPLAY}")))
}

fn options(args: &WindowArgs) -> Options {
    let named = args.device.is_some() || args.rate.is_some() || args.period.is_some() || args.inputs.is_some();
    let signalled = args.signal.is_some();
    let device = (named || signalled).then(|| DeviceWish {
        name: args.device.clone().unwrap_or_default(),
        rate: args.rate,
        period: args.period,
        inputs: args.inputs,
        signal: args.signal.clone(),
    });
    Options { session: args.session.clone(), device, capture_path: args.capture_path, ..Options::default() }
}

/// Closes the GUI at Ctrl-C, at SIGTERM and when the terminal closes, without asking the user.
fn listen(end: &Arc<AtomicBool>, ctx: &egui::Context) {
    let (end, ctx) = (Arc::clone(end), ctx.clone());
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            end.store(true, Relaxed);
            ctx.request_repaint();
        }
    });
    // Without this thread a signal kills the program, and the next start recovers the takes.
    drop(thread);
}
