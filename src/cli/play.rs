//! `faultless play`: plays a session to its end. Thread: main.

use super::args::PlayArgs;
use super::record::show_notices;
use super::status::StatusLine;
use super::{Failure, SILENT_PER_SECOND, choose, end_on_signals, is_set, output, print, print_stderr, unfinished_pass};
use crate::butler::capabilities::CapturePath;
use crate::control::report::{AudioReport, Reading};
use crate::control::setup::Side;
use crate::control::{Control, Purpose, Setup};
use crate::device::DeviceFacts;
use crate::device::signal::Signal;
use crate::export::position_text::parse_position;
use crate::message::Motion;
use crate::session::session_file::open_read_only;
use crate::time::{Clock, FramePos, Frames, SampleRate};
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Time limit for the read-ahead to supply the first windows.
const WINDOWS_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest wait for the last frames to leave the device.
const OUTPUT_DELAY_MAX: Duration = Duration::from_secs(1);

/// Plays until the end or until a signal.
pub fn run(args: &PlayArgs) -> Result<(), Failure> {
    let stop_flag = end_on_signals();
    output::start();
    let session = open_read_only(&args.session)?;
    let rate = session.rate();
    let from = args.from.as_ref().map(|text| parse_position(text, rate)).transpose()?.unwrap_or_default().0;
    let end = match args.seconds {
        Some(seconds) => from + choose::frames(seconds, rate)?,
        None => session.end().0,
    };
    if session.end().0 <= from {
        let more = unfinished_pass(&args.session, &session).map_or_else(String::new, |advice| format!("; {advice}"));
        return Err(Failure(format!("{}: there is nothing to play from there on{more}", args.session.display())));
    }
    let (name, note) = choose::device_name(&args.device, Side::Outputs)?;
    if let Some(text) = note {
        print_stderr(&text);
    }
    let device = choose::device_spec(&args.device, name, Some(rate), (Some(0), None), session.format, Signal::Silence)?;
    let setup = Setup {
        folder: args.session.clone(),
        purpose: Purpose::Play,
        device,
        format: session.format,
        run: choose::threads_setup(&args.device, CapturePath::Spool),
    };
    let mut control = Control::open(setup)?;
    let mut line = StatusLine::new(!args.json);
    control.load_players();
    control.locate(FramePos(from))?;
    let deadline = Instant::now() + WINDOWS_TIMEOUT;
    while !control.is_ready_to_roll() && !is_set(&stop_flag) {
        control.poll();
        show_notices(|| control.take_notice());
        if deadline < Instant::now() {
            return Err(Failure(format!(
                "{}: its takes could not be read within {} s; check the disk, then play again",
                args.session.display(),
                WINDOWS_TIMEOUT.as_secs()
            )));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let base = Reading::now(control.published(), true);
    if is_set(&stop_flag) {
        // The user does not want the sound any more, so it is no failure that nothing was heard.
        print(&Outcome::of(&control, &base, FramePos(from), 0).text(args.json));
        return Ok(());
    }
    control.roll();
    // The engine starts to roll within a period. Until then it shows the old position.
    let (mut rolled, mut loss, mut wrong_rate) = (false, None, None);
    loop {
        control.poll();
        loss = show_notices(|| control.take_notice()).or(loss);
        wrong_rate = wrong_rate.or_else(|| control.plays_at_wrong_rate());
        line.draw_playing(&control);
        let motion = control.published().motion();
        rolled |= motion == Motion::Rolling;
        let at = control.published().position.load(Relaxed);
        if rolled && (is_set(&stop_flag) || end <= at) {
            break;
        }
        std::thread::sleep(line.pace().min(Duration::from_millis(20)));
    }
    let played = control.published().position.load(Relaxed).min(end).saturating_sub(from);
    let outcome = Outcome::of(&control, &base, FramePos(from), played);
    if !is_set(&stop_flag) {
        // The last frames are computed, and leave the device later.
        let delay = Frames(control.published().latency().output);
        std::thread::sleep(delay.duration(control.running().device.rate).min(OUTPUT_DELAY_MAX));
    }
    control.stop();
    line.clear();
    let (_, notices) = control.close();
    for notice in notices {
        super::record::print_notice(&notice);
    }
    print(&outcome.text(args.json));
    outcome.verdict(loss, wrong_rate)
}

/// Tracks that were silent for a time that a listener notices, because the disk was late. `dropped`: their frames, summed over
/// the tracks.
pub(super) fn late_tracks(dropped: u64, rate: SampleRate) -> Option<String> {
    let late = Clock(Frames(dropped).duration(rate));
    (u64::from(rate.0) <= dropped.saturating_mul(SILENT_PER_SECOND)).then(|| {
        format!(
            "tracks were silent for {late} together, because the disk was late; check the disk, and what else uses it"
        )
    })
}

/// The figures of a playback.
struct Outcome {
    folder: std::path::PathBuf,
    device: DeviceFacts,
    tracks: usize,
    frames: u64,
    /// Frames of them that nobody heard: the device lost them, or the outputs had failed.
    silent: u64,
    /// Frames of them for which a track had no sound, because a take is missing, foreign, short or cut off.
    without_sound: u64,
    xruns: u64,
    playback_xruns: u64,
    dropouts: u64,
    frames_dropped: u64,
    locked_bytes_peak: u64,
    audio_thread: AudioReport,
}

impl Outcome {
    fn of(control: &Control, base: &Reading, from: FramePos, frames: u64) -> Outcome {
        let (running, now) = (control.running(), Reading::now(control.published(), false));
        Outcome {
            folder: control.folder().to_owned(),
            device: running.device.clone(),
            tracks: control.session().tracks().len(),
            frames,
            silent: (now.frames_lost - base.frames_lost) + (now.frames_unheard - base.frames_unheard),
            without_sound: control.frames_without_sound(from, from + Frames(frames)),
            xruns: now.xruns - base.xruns,
            playback_xruns: now.playback_xruns - base.playback_xruns,
            dropouts: now.dropouts - base.dropouts,
            frames_dropped: now.frames_dropped - base.frames_dropped,
            locked_bytes_peak: running.budget.peak(),
            audio_thread: now.since(base, &running.scheduling),
        }
    }

    /// Frames that were not heard as the session lists them.
    fn unheard(&self) -> u64 {
        self.frames.min(self.silent + self.without_sound)
    }

    /// The figures as one line of JSON or as a sentence.
    fn text(&self, as_json: bool) -> String {
        if as_json { self.json().to_string() } else { self.summary() }
    }

    fn json(&self) -> Value {
        json!({
            "session": self.folder.to_string_lossy(),
            "device": self.device.name,
            "rate": self.device.rate,
            "period": self.device.period_frames,
            "tracks": self.tracks,
            "seconds": Frames(self.frames).seconds(self.device.rate),
            "frames": self.frames,
            "frames_unheard": self.unheard(),
            "xruns": self.xruns,
            "playback_xruns": self.playback_xruns,
            "dropouts": self.dropouts,
            "frames_dropped": self.frames_dropped,
            "locked_bytes_peak": self.locked_bytes_peak,
            "audio_thread": self.audio_thread,
        })
    }

    /// The failure of this playback: nothing was heard; the outputs were silent for a time that a listener notices; tracks
    /// were silent for such a time because the disk was slow; a track had no sound where the session lists some; or the
    /// device ran at `wrong_rate`. `loss`: the text of the last notice of a loss.
    fn verdict(&self, loss: Option<String>, wrong_rate: Option<String>) -> Result<(), Failure> {
        let (name, because) = (&self.device.name, loss.map_or_else(String::new, |text| format!(": {text}")));
        if self.audio_thread.cycles == 0 || self.frames <= self.silent {
            let advice = "choose a longer period with --period, or another device";
            return Err(Failure(format!("{name}: nothing was heard{because}; {advice}")));
        }
        if u64::from(self.device.rate.0) <= self.silent * SILENT_PER_SECOND {
            let silent = Clock(Frames(self.silent).duration(self.device.rate));
            return Err(Failure(format!("{name}: the outputs were silent for {silent} of it{because}")));
        }
        if let Some(text) = late_tracks(self.frames_dropped, self.device.rate) {
            return Err(Failure(format!("{}: {text}", self.folder.display())));
        }
        if 0 < self.without_sound {
            let silent = Clock(Frames(self.without_sound).duration(self.device.rate));
            let session = self.folder.display();
            return Err(Failure(format!("{session}: for {silent} of it a track had no sound; see above")));
        }
        if let Some(text) = wrong_rate {
            return Err(Failure(format!("{name}: {text}")));
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let audio = &self.audio_thread;
        let late = format!("{:.2}", Frames(self.frames_dropped).seconds(self.device.rate));
        format!(
            "played {} of {} tracks: {} frames not heard, {} dropouts{}, {} xruns, {} page faults; cycle {:.1} µs mean{}, {:.1} µs worst; {}",
            Clock(Frames(self.frames).duration(self.device.rate)),
            self.tracks,
            self.unheard(),
            self.dropouts,
            if self.frames_dropped == 0 { String::new() } else { format!(" of {late} s together") },
            self.xruns + self.playback_xruns,
            audio.faults_text(),
            audio.cycle_us_mean,
            audio.signal_text(),
            audio.cycle_us_max,
            audio.scheduling,
        ) + &audio.library_text().map_or_else(String::new, |text| format!("; {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::recording::PassReport;
    use crate::control::setup::test_setup;

    /// The status was 0, and the summary said "0 frames not heard".
    #[test]
    fn tracks_that_were_silent_for_half_a_second_because_the_disk_was_late_are_a_failure() {
        let rate = SampleRate(48_000);
        assert_eq!((late_tracks(0, rate), late_tracks(23_999, rate)), (None, None));
        let text = late_tracks(24_000, rate).unwrap();
        assert!(text.starts_with("tracks were silent for 0:00.500 together, because the disk was late; "), "{text}");
        assert!(late_tracks(u64::MAX, rate).is_some());
    }
    /// A playback of so many frames at 48 kHz, of which nobody heard `silent`.
    fn played(frames: u64, silent: u64) -> Outcome {
        let device = crate::device::open(&test_setup(std::path::Path::new("/x")).device).unwrap().facts().clone();
        Outcome {
            folder: "/x".into(),
            device,
            tracks: 1,
            frames,
            silent,
            without_sound: 0,
            xruns: 0,
            playback_xruns: 0,
            dropouts: 0,
            frames_dropped: 0,
            locked_bytes_peak: 0,
            audio_thread: PassReport::example(0, 80.0).audio_thread,
        }
    }

    fn failure(outcome: &Outcome) -> Option<String> {
        outcome.verdict(Some("it is unplugged".to_owned()), None).err().map(|Failure(text)| text)
    }

    #[test]
    fn a_playback_in_which_nothing_was_heard_is_a_failure() {
        let mut without_cycles = played(0, 0);
        without_cycles.audio_thread.cycles = 0;
        for outcome in [without_cycles, played(0, 0), played(96_000, 96_000), played(96_000, 200_000)] {
            let text = failure(&outcome).unwrap();
            assert!(text.contains(": nothing was heard: it is unplugged; choose a longer period"), "{text}");
        }
    }

    #[test]
    fn half_a_second_that_nobody_heard_is_a_failure_and_less_is_none() {
        let text = failure(&played(96_000, 24_000)).unwrap();
        assert!(text.ends_with(": the outputs were silent for 0:00.500 of it: it is unplugged"), "{text}");
        assert_eq!((failure(&played(96_000, 23_999)), failure(&played(96_000, 0))), (None, None));
        // A short playback that was heard in part.
        assert_eq!(failure(&played(24_000, 23_999)), None);
        assert!(failure(&played(23_999, 23_999)).is_some_and(|text| text.contains("nothing was heard")));
    }
}
