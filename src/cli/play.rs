//! `faultless play`. Thread: control.

use super::args::PlayArgs;
use super::record::show_notices;
use super::status::StatusLine;
use super::{Failure, choose, end_flag, is_raised, print, say};
use crate::butler::means::CapturePath;
use crate::control::report::Reading;
use crate::control::{Control, Setup};
use crate::device::signal::Signal;
use crate::export::time_text::parse_time;
use crate::message::Motion;
use crate::session::session_file::open_read_only;
use crate::time::{Clock, FramePos, Frames};
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long the first windows may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plays until the end, or until told to stop.
pub fn run(args: &PlayArgs) -> Result<(), Failure> {
    let ended = end_flag();
    let session = open_read_only(&args.session)?;
    let rate = session.rate();
    let from = args.from.as_ref().map(|text| parse_time(text, rate)).transpose()?.unwrap_or_default().0;
    let end = match args.seconds {
        Some(seconds) => from + choose::frames(seconds, rate)?,
        None => session.end().0,
    };
    if session.end().0 <= from {
        return Err(Failure(format!("{}: there is nothing to play from there on", args.session.display())));
    }
    let (name, told) = choose::device_name(&args.device);
    if let Some(text) = told {
        say(&text);
    }
    let device = choose::device_spec(&args.device, name, Some(rate), (Some(0), None), session.format, Signal::Silence)?;
    let setup = Setup {
        folder: args.session.clone(),
        create: false,
        device,
        format: session.format,
        run: choose::run_setup(&args.device, CapturePath::Spool),
    };
    let mut control = Control::open(setup)?;
    let mut line = StatusLine::new(!args.json);
    control.load_players();
    control.locate(FramePos(from))?;
    let patience = Instant::now() + PATIENCE;
    while !control.is_ready_to_roll() {
        control.poll();
        show_notices(&mut control, &mut line);
        if patience < Instant::now() || is_raised(&ended) {
            return Err(Failure(format!("{}: the disk does not deliver its takes", args.session.display())));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let base = Reading::take(control.published(), true);
    control.roll();
    // Rolling takes a period to show.
    let mut rolled = false;
    loop {
        control.poll();
        show_notices(&mut control, &mut line);
        line.draw(&control, false);
        let motion = control.published().motion();
        rolled |= motion == Motion::Rolling;
        let at = control.published().position.load(Relaxed);
        if rolled && (is_raised(&ended) || end <= at) {
            break;
        }
        std::thread::sleep(line.pace().min(Duration::from_millis(20)));
    }
    let played = control.published().position.load(Relaxed).min(end).saturating_sub(from);
    let running = control.running();
    let now = Reading::take(control.published(), false);
    let audio_thread = now.since(&base, &running.scheduling);
    let (xruns, dropouts, lost) =
        (now.xruns - base.xruns, now.dropouts - base.dropouts, now.frames_dropped - base.frames_dropped);
    let (device, locked) = (running.device.clone(), running.budget.peak());
    let tracks = control.session().tracks().len();
    let folder = control.folder().to_owned();
    control.stop();
    line.clear();
    let (_, notices) = control.close();
    for notice in notices {
        super::record::say_notice(&notice);
    }
    if args.json {
        let object: Value = json!({
            "session": folder,
            "device": device.name,
            "rate": device.rate,
            "period": device.period_frames,
            "tracks": tracks,
            "seconds": Frames(played).seconds(rate),
            "frames": played,
            "xruns": xruns,
            "dropouts": dropouts,
            "frames_dropped": lost,
            "locked_bytes_peak": locked,
            "audio_thread": audio_thread,
        });
        print(&object.to_string());
    } else {
        print(&format!(
            "played {} of {tracks} tracks: {dropouts} dropouts, {xruns} xruns, {} page faults; cycle {:.1} us mean, {:.1} us worst; {}",
            Clock(Frames(played).duration(rate)),
            audio_thread.minor_faults + audio_thread.major_faults,
            audio_thread.cycle_us_mean,
            audio_thread.cycle_us_max,
            audio_thread.scheduling,
        ));
    }
    Ok(())
}
