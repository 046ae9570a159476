//! The live status line on a terminal. Thread: main reads the figures; output fits them into the terminal's width.
//!
//! No disk is asked here: a disk that does not answer would make control wait.

use super::live_line::{LiveLine, columns_of};
use crate::app::terminal::TerminalApp;
use crate::control::{Control, report};
use crate::format::FULL_SCALE;
use crate::message::published::{MeterCell, NO_PASS};
use crate::time::{Clock, Frames};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Most meters. More inputs share them.
const METERS_MAX: usize = 48;

/// Meters for which words are left out.
const METERS_MIN: usize = 8;

/// The line of a recording or of playback. Without a terminal it prints nothing.
pub struct StatusLine(LiveLine);

impl StatusLine {
    /// The line is shown if `wanted` and if standard error is a terminal.
    pub fn new(wanted: bool) -> StatusLine {
        StatusLine(LiveLine::new(wanted))
    }

    /// The time between two drawings.
    pub fn pace(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// Draws the line of a recording.
    pub fn draw_recording(&mut self, app: &mut TerminalApp) {
        if !self.0.is_shown() {
            return;
        }
        let (head, facts) = recording_facts(app);
        let peaks = if facts.is_empty() { Vec::new() } else { app.input_peaks() };
        self.0.draw_fitted(move |columns| fitted(&head, &peaks, facts, columns));
    }

    /// Draws the line of playback.
    pub fn draw_playing(&mut self, control: &Control) {
        if !self.0.is_shown() {
            return;
        }
        let (head, peaks, facts) = playing_facts(control);
        self.0.draw_fitted(move |columns| fitted(&head, &peaks, facts, columns));
    }

    /// Erases the line.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A word of the line, and its rank: of the words that do not fit, those with the highest ranks are left out.
type Fact = (u8, String);

/// The beginning of the line, and the words behind the meters; before the first frame there are none.
fn recording_facts(app: &mut TerminalApp) -> (String, Vec<Fact>) {
    let left = app.time_left().map_or_else(|| "?".to_owned(), rough_duration);
    let control = app.control();
    let (running, published) = (control.running(), control.published());
    let rate = running.device.rate;
    let frames = published.pass_frames.load(Relaxed);
    if frames == NO_PASS {
        return ("preparing".to_owned(), Vec::new());
    }
    let lead = running.disk.lead_frames.load(Relaxed);
    let lead = if lead == u64::MAX { 0.0 } else { Frames(lead).seconds(rate) };
    let faults = control.pass_reading().and_then(|base| report::faults_by_kind(running, base));
    let facts = vec![
        (3, format!("lead {lead:.2} s")),
        (1, format!("{} xruns", published.xruns.load(Relaxed))),
        (0, format!("{} lost", published.frames_lost.load(Relaxed) + published.frames_overrun.load(Relaxed))),
        (4, faults_text(faults)),
        (2, format!("{left} left")),
    ];
    (format!("● {}", Clock(Frames(frames).duration(rate))), facts)
}

/// The page faults, without and with a wait; `None`: the kernel's counters cannot be read.
fn faults_text(faults: Option<(u64, u64)>) -> String {
    faults.map_or_else(|| "faults ?".to_owned(), |(minor, major)| format!("{} faults", minor + major))
}

/// The beginning of the line, the peaks since the last drawing, and the words behind the meters.
fn playing_facts(control: &Control) -> (String, Vec<f32>, Vec<Fact>) {
    let (running, published) = (control.running(), control.published());
    let peaks = published.master.iter().map(MeterCell::take_peak).collect();
    let head = format!("▶ {}", Clock(Frames(published.position.load(Relaxed)).duration(running.device.rate)));
    (head, peaks, vec![(0, format!("{} dropouts", published.dropouts.load(Relaxed)))])
}

/// The line in at most `columns`. First meters share a step, then words are left out, and at last the meters.
fn fitted(head: &str, peaks: &[f32], mut facts: Vec<Fact>, columns: usize) -> String {
    loop {
        let tail = facts.iter().map(|(_, fact)| fact.as_str()).collect::<Vec<_>>().join(" · ");
        let spaces = usize::from(!tail.is_empty()) + usize::from(!peaks.is_empty());
        let room = columns.saturating_sub(columns_of(head) + columns_of(&tail) + spaces);
        let fits = columns_of(head) + columns_of(&tail) + spaces <= columns;
        if fits && room >= peaks.len().min(METERS_MIN) || facts.len() <= 1 {
            let meters: String = if room == 0 { String::new() } else { shared(peaks, room).map(bar).collect() };
            let parts = [head, &meters, &tail].into_iter().filter(|part| !part.is_empty());
            return parts.collect::<Vec<_>>().join(" ");
        }
        let last = facts.iter().enumerate().max_by_key(|(_, (rank, _))| *rank).map_or(0, |(at, _)| at);
        facts.remove(last);
    }
}

/// The peaks in at most `most` steps. Neighbouring inputs that share a step show the highest peak.
fn shared(peaks: &[f32], most: usize) -> impl Iterator<Item = f32> {
    let each = peaks.len().div_ceil(most.clamp(1, METERS_MAX)).max(1);
    peaks.chunks(each).map(|peaks| peaks.iter().copied().fold(0.0, f32::max))
}

/// A meter of eight steps of 6 dB. `!` is full scale or more, a space is digital silence.
fn bar(peak: f32) -> char {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    match peak {
        peak if FULL_SCALE <= peak => '!',
        peak if peak <= 0.0 => ' ',
        peak => STEPS[(8.0 + 20.0 * peak.log10() / 6.0).clamp(0.0, 7.0) as usize],
    }
}

/// A duration as `9 h 12 min`, `12 min` or `45 s`.
fn rough_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_into_every_width_and_says_what_is_lost_to_the_last() {
        let facts = || {
            let words = ["lead 1.00 s", "12 xruns", "4096 lost", "3 faults", "17 h 02 min left"];
            [3, 1, 0, 4, 2].into_iter().zip(words.map(str::to_owned)).collect::<Vec<Fact>>()
        };
        for inputs in [0, 1, 2, 8, 24, 48, 64, 1024] {
            for columns in 30..200 {
                let line = fitted("● 0:00:03.120", &vec![0.5; inputs], facts(), columns);
                assert!(columns_of(&line) <= columns, "{inputs} in {columns}: {line}");
                assert!(
                    line.starts_with("● 0:00:03.120 ") && line.contains("4096 lost"),
                    "{inputs} in {columns}: {line}"
                );
            }
        }
        let wide = fitted("● 0:00:03.120", &[0.5; 24], facts(), 200);
        assert_eq!(wide.matches('▇').count(), 24, "{wide}");
        let narrow = fitted("● 0:00:03.120", &[0.5; 24], facts(), 79);
        assert!(narrow.matches('▇').count() >= 8, "{narrow}");
        assert_eq!(fitted("▶ 0:01", &[1.0, 0.0], vec![(0, "0 dropouts".to_owned())], 80), "▶ 0:01 !  0 dropouts");
    }

    #[test]
    fn page_faults_that_cannot_be_counted_are_a_question_mark_and_not_zero() {
        assert_eq!(faults_text(None), "faults ?");
        assert_eq!(
            (faults_text(Some((0, 0))), faults_text(Some((2, 1)))),
            ("0 faults".to_owned(), "3 faults".to_owned())
        );
    }

    #[test]
    fn inputs_that_share_a_meter_show_the_loudest() {
        assert_eq!(shared(&[0.1, 0.9, 0.2, 0.0, 0.3], 3).collect::<Vec<_>>(), [0.9, 0.2, 0.3]);
        assert_eq!(shared(&[0.1, 0.9], 40).collect::<Vec<_>>(), [0.1, 0.9]);
    }
}
