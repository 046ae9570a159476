//! The live status line on a terminal. Thread: control.

use crate::control::{Control, report};
use crate::limits;
use crate::message::published::NO_PASS;
use crate::time::{Clock, Frames};
use nix::sys::statvfs::statvfs;
use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A line that is redrawn in place. Without a terminal it prints nothing.
pub struct StatusLine {
    shown: bool,
    drawn: bool,
}

/// Inputs beyond these get no meter.
const METERS_MAX: usize = 48;

impl StatusLine {
    /// The line is shown if `wanted` and if standard error is a terminal.
    pub fn new(wanted: bool) -> StatusLine {
        StatusLine { shown: wanted && std::io::stderr().is_terminal(), drawn: false }
    }

    /// The time between two drawings.
    pub fn pace(&self) -> Duration {
        Duration::from_millis(100)
    }

    pub fn draw(&mut self, control: &Control, recording: bool) {
        if !self.shown {
            return;
        }
        let line = if recording { recording_line(control) } else { playing_line(control) };
        write!(std::io::stderr().lock(), "\r{line}\x1b[K").ok();
        self.drawn = true;
    }

    /// Erases the line, so that an ordinary line can be printed.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            write!(std::io::stderr().lock(), "\r\x1b[K").ok();
        }
    }
}

fn recording_line(control: &Control) -> String {
    let (running, published) = (control.running(), control.published());
    let rate = running.device.rate;
    let frames = published.pass_frames.load(Relaxed);
    if frames == NO_PASS {
        return "preparing".to_owned();
    }
    let lead = running.disk.lead_frames.load(Relaxed);
    let lead = if lead == u64::MAX { 0.0 } else { Frames(lead).seconds(rate) };
    let faults = control.pass_reading().map_or(0, |base| report::faults_since(running, base));
    let meters: String = published.inputs.iter().take(METERS_MAX).map(|cell| bar(cell.take_peak())).collect();
    format!(
        "● {} {meters} lead {lead:.2} s · {} xruns · {} lost · {faults} faults · {} left",
        Clock(Frames(frames).duration(rate)),
        published.xruns.load(Relaxed),
        published.frames_lost.load(Relaxed),
        time_left(control).map_or_else(|| "?".to_owned(), rough_duration),
    )
}

fn playing_line(control: &Control) -> String {
    let (running, published) = (control.running(), control.published());
    let meters: String = published.master.iter().map(|cell| bar(cell.take_peak())).collect();
    format!(
        "▶ {} {meters} {} dropouts",
        Clock(Frames(published.position.load(Relaxed)).duration(running.device.rate)),
        published.dropouts.load(Relaxed),
    )
}

/// A meter of eight steps of 6 dB. `!` is full scale or more, a space is digital silence.
fn bar(peak: f32) -> char {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    match peak {
        peak if peak >= 1.0 => '!',
        peak if peak <= 0.0 => ' ',
        peak => STEPS[(8.0 + 20.0 * peak.log10() / 6.0).clamp(0.0, 7.0) as usize],
    }
}

/// Recording time for the armed tracks on the session's disk.
pub fn time_left(control: &Control) -> Option<Duration> {
    // A file system that does not know its size reports zero blocks.
    let stat = statvfs(control.folder()).ok().filter(|stat| stat.blocks() > 0)?;
    let free = stat.blocks_available() * stat.fragment_size();
    let session = control.session();
    let channels: u64 =
        session.tracks().iter().filter(|track| track.armed).map(|track| track.inputs().len() as u64).sum();
    let bytes_per_second = channels * session.format.bytes() as u64 * u64::from(session.rate().0);
    // Add the space that is reserved for open takes. The disk counts it as used, but on average half of it is empty.
    Some(Duration::from_secs(free.checked_div(bytes_per_second)? + limits::RESERVE_SECONDS / 2))
}

/// A duration as `9 h 12 min`, `12 min` or `45 s`.
pub fn rough_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes:02} min"),
    }
}
