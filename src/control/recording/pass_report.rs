//! The report of a finished pass. Thread: control makes it; any thread reads it.

use super::fault_report::FaultReport;
use super::latency::LatencyReport;
use crate::control::Severity;
use crate::control::mirror::MirrorReport;
use crate::control::report::AudioReport;
use crate::time::{Clock, Frames, SampleRate};
use serde::Serialize;

/// The report of a finished pass.
#[derive(Clone, Debug, Serialize)]
pub struct PassReport {
    /// Number of the pass in the session. It need not be the highest one: takes that were taken over from a copy get new
    /// numbers.
    #[serde(skip)]
    pub pass: u32,
    /// Frames of the pass.
    pub frames: u64,
    /// Xruns of the device's inputs during the pass.
    pub xruns: u64,
    /// Xruns of the device's outputs during the pass. They cost no recorded frame.
    pub playback_xruns: u64,
    /// Frames of silence in place of lost sound, in the take that lost most.
    pub frames_lost: u64,
    /// Frames of the pass for which a track that was played had no sound, because of a take that is missing, foreign, short
    /// or cut off. `frames_unheard` of the audio thread includes them.
    #[serde(skip)]
    pub frames_without_sound: u64,
    /// Faults, switches and cycle times of the audio thread.
    pub audio_thread: AudioReport,
    /// The memory that the page faults of the audio thread hit.
    pub page_faults: FaultReport,
    /// Frames by which the takes were placed earlier, because they were recorded while something played.
    pub latency: LatencyReport,
    /// The files of the pass; a take that continued has several.
    pub takes: Vec<TakeReport>,
    /// The shortest lead, in frames; `None` (`null`) if the butler measured none during the pass.
    pub lead_frames_min: Option<u64>,
    /// The longest write of a run to the disk, in microseconds.
    pub commit_us_max: u64,
    /// Microseconds of a period. A cycle must not take longer.
    #[serde(skip)]
    pub period_us: f64,
    /// Time to copy a period's bytes to as many places on this machine, in microseconds.
    pub bare_copy_us: f64,
    /// The mean cycle divided by `bare_copy_us`.
    pub bare_copy_ratio: f64,
    /// Sentences about inputs that did not give the sound of their source, each with its time: a sound server took the source
    /// away, or the device ran at a wrong rate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_losses: Vec<String>,
    /// The result of the mirror, if the pass had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorReport>,
}

/// A file of a finished pass.
#[derive(Clone, Debug, Serialize)]
pub struct TakeReport {
    /// The track's name.
    pub track: String,
    /// 0-based device channel of its first input.
    pub input: u32,
    /// The file: relative to the session's folder, or absolute in an overflow folder.
    pub file: String,
    /// Frames in this file.
    pub frames: u64,
    /// Frames of silence in place of lost sound, in all files of the take together.
    pub frames_lost: u64,
    /// Xruns of the device during the pass.
    pub xruns: u64,
    /// Why the file is not whole on the disk. `None`: it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl PassReport {
    /// Takes that are not whole on the disk.
    pub fn takes_troubled(&self) -> usize {
        self.takes.iter().filter(|take| take.trouble.is_some()).count()
    }

    /// [`Severity::Loss`] if a frame was lost or a take is not whole. [`Severity::Caution`] if no frame was lost, but the
    /// audio thread, or a thread of the sound server's library, had to wait for the kernel, or the audio thread was later
    /// than a period.
    pub fn severity(&self) -> Severity {
        let audio = &self.audio_thread;
        if self.frames_lost > 0 || self.takes_troubled() > 0 {
            Severity::Loss
        } else if !self.source_losses.is_empty()
            || audio.faults().is_some_and(|faults| faults > 0)
            || 0 < audio.library_faults()
            || self.period_us < audio.cycle_us_max
        {
            Severity::Caution
        } else {
            Severity::Info
        }
    }

    /// The first words of the health line about a pass with [`Severity::Caution`]: what happened.
    pub fn headline(&self) -> Option<String> {
        let faults = self.audio_thread.faults().unwrap_or(0);
        let of_library = self.audio_thread.library_faults();
        (self.severity() == Severity::Caution).then(|| {
            if !self.source_losses.is_empty() {
                "The inputs were not right.".to_owned()
            } else if faults > 0 {
                format!("{}.", counted(faults, "page fault"))
            } else if of_library > 0 {
                format!("{} in the sound server's library.", counted(of_library, "page fault"))
            } else {
                "A cycle was late.".to_owned()
            }
        })
    }

    /// The report in one line, for a notice and for the events of the session.
    pub fn summary(&self, rate: SampleRate) -> String {
        let audio = &self.audio_thread;
        let lost = if self.frames_lost == 0 { "nothing".to_owned() } else { Frames(self.frames_lost).text(rate) };
        let mut text = format!(
            "{} of {}: {lost} lost, {}, {} page {}, worst cycle {}",
            counted(self.takes.len() as u64, "take"),
            Clock(Frames(self.frames).duration(rate)),
            counted(self.xruns, "xrun"),
            audio.faults_text(),
            if audio.faults() == Some(1) { "fault" } else { "faults" },
            cycle_text(audio.cycle_us_max),
        );
        if self.period_us < audio.cycle_us_max {
            text.push_str(&format!(", past its deadline of {}", cycle_text(self.period_us)));
        }
        if let Some(of_library) = audio.library_text() {
            text.push_str(&format!("; {of_library}"));
        }
        if let Some(placed) = self.latency.text() {
            text.push_str(&format!("; {placed}"));
        }
        for lost in &self.source_losses {
            text.push_str(&format!("; {lost}"));
        }
        match self.takes_troubled() {
            0 => {}
            1 => text.push_str("; 1 is not whole on the disk, see above"),
            troubled => text.push_str(&format!("; {troubled} are not whole on the disk, see above")),
        }
        text
    }
}

/// A cycle time in milliseconds, as the health line has it: "2.19 ms".
fn cycle_text(us: f64) -> String {
    format!("{:.2} ms", us / 1000.0)
}

/// "1 take", "24 takes". `thing` must have a regular plural.
pub fn counted(n: u64, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

#[cfg(test)]
impl PassReport {
    /// A report of one take with so many page faults and this longest cycle.
    pub(crate) fn example(faults: u64, cycle_us_max: f64) -> PassReport {
        PassReport {
            pass: 1,
            frames: 96_000,
            xruns: 1,
            playback_xruns: 0,
            frames_lost: 0,
            frames_without_sound: 0,
            audio_thread: AudioReport {
                scheduling: "SCHED_FIFO 80".to_owned(),
                cycles: 1500,
                minor_faults: Some(faults),
                major_faults: Some(0),
                library_threads: Vec::new(),
                voluntary_switches: Some(0),
                cycle_us_mean: 8.0,
                cycle_us_p9999: 40.0,
                cycle_us_max,
                cpu_seconds: 0.1,
                frames_dropped: 0,
                signal_seconds: 0.0,
                frames_unheard: 0,
            },
            page_faults: FaultReport::default(),
            takes: vec![TakeReport {
                track: "Kick".to_owned(),
                input: 0,
                file: "audio/Kick-1.wav".to_owned(),
                frames: 96_000,
                frames_lost: 0,
                xruns: 1,
                trouble: None,
            }],
            latency: LatencyReport::default(),
            source_losses: Vec::new(),
            lead_frames_min: None,
            commit_us_max: 0,
            period_us: 1333.3,
            bare_copy_us: 1.0,
            bare_copy_ratio: 1.0,
            mirror: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::report::LibraryThread;

    fn report(faults: u64, cycle_us_max: f64) -> PassReport {
        PassReport::example(faults, cycle_us_max)
    }

    /// 42,999 page faults and a cycle of 4.1 ms, of 1.3, were a green note.
    #[test]
    fn page_faults_and_a_cycle_past_its_deadline_are_a_caution() {
        assert_eq!(report(0, 80.0).severity(), Severity::Info);
        assert_eq!(report(42_999, 80.0).severity(), Severity::Caution);
        assert_eq!(report(0, 4100.0).severity(), Severity::Caution);
        assert_eq!(PassReport { frames_lost: 1, ..report(9, 80.0) }.severity(), Severity::Loss);
    }

    /// The headline of each was "Not without trouble."
    #[test]
    fn the_headline_says_what_happened() {
        let headline = |faults, cycle_us_max| report(faults, cycle_us_max).headline();
        assert_eq!(headline(0, 4100.0).as_deref(), Some("A cycle was late."));
        assert_eq!(headline(12, 4100.0).as_deref(), Some("12 page faults."));
        assert_eq!(headline(1, 80.0).as_deref(), Some("1 page fault."));
        assert_eq!(headline(0, 80.0), None);
        let lost = PassReport { source_losses: vec!["0:03.000: the source has ended".to_owned()], ..report(0, 80.0) };
        assert_eq!(lost.headline().as_deref(), Some("The inputs were not right."));
    }

    #[test]
    fn page_faults_of_the_thread_that_stores_the_samples_of_a_server_are_a_caution_with_its_name() {
        let report = |minor_faults| {
            let mut report = report(0, 80.0);
            let name = "data-loop.0".to_owned();
            report.audio_thread.library_threads = vec![LibraryThread { name, minor_faults, major_faults: 0 }];
            report
        };
        let (none, some) = (report(0), report(1));
        assert_eq!((none.severity(), none.headline()), (Severity::Info, None));
        let text = none.summary(SampleRate(48_000));
        assert!(text.ends_with("0 page faults in the sound server's library (data-loop.0)"), "{text}");
        assert_eq!(some.severity(), Severity::Caution);
        assert_eq!(some.headline().as_deref(), Some("1 page fault in the sound server's library."));
    }

    #[test]
    fn the_summary_counts_one_of_a_thing_as_one() {
        let rate = SampleRate(48_000);
        let text = report(1, 4100.0).summary(rate);
        let wanted =
            "1 take of 0:02.000: nothing lost, 1 xrun, 1 page fault, worst cycle 4.10 ms, past its deadline of 1.33 ms";
        assert_eq!(text, wanted);
        let lossy = PassReport { frames_lost: 4096, ..report(0, 80.0) };
        assert!(lossy.summary(rate).contains("85 ms lost"));
    }
}
