//! The events that control gives to the flight recorder. Owns the flight recorder and the state of the margin warnings.
//! Thread: control.

use super::recording::{PassReport, counted};
use super::{Control, Notice, Severity};
use crate::device::Pace;
use crate::file_system::mount_of;
use crate::flight::margin::{Lead, Longest, Spool, SpoolStep};
use crate::flight::record::{Kind, Record};
use crate::flight::{Events, Flight, facts};
use crate::host;
use crate::limits;
use crate::message::published::NO_PASS;
use crate::threads::Threads;
use crate::time::{Clock, Frames};
use crate::window::lock_limit::{LockLimit, lock_limit};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// The flight recorder, and the margins as of the last check.
pub(super) struct EventLog {
    flight: Flight,
    started: Instant,
    lead: Lead,
    spool: Spool,
    commit: Longest,
    sync: Longest,
}

impl EventLog {
    /// Reads the events in `folder` and, if `writes`, appends to them. May wait for the disk.
    pub(super) fn start(folder: &Path, writes: bool) -> EventLog {
        EventLog {
            flight: Flight::start(folder, writes),
            started: host::now(),
            lead: Lead::default(),
            spool: Spool::default(),
            commit: Longest::default(),
            sync: Longest::default(),
        }
    }

    /// Notes the notices of a recovery after which the session could not be opened.
    pub(super) fn recovered(&mut self, notices: &[Notice]) {
        for notice in notices {
            self.flight.note(Kind::Recovered, notice.severity, &notice.text, &[]);
        }
    }

    /// Notes the first events of a start: program, machine, device, limits, and then the notices so far. The first
    /// `recovered` notices are those of the recovery. Reads the mount table, so it may wait for the disk.
    pub(super) fn opened<'a>(
        &mut self,
        folder: &Path,
        running: &Threads,
        recovered: usize,
        notices: impl Iterator<Item = &'a Notice>,
    ) {
        let (device, setup) = (&running.device, &running.setup);
        let mount = mount_of(folder).map_or_else(|| "unknown".to_owned(), |mount| mount.kind);
        let text = format!(
            "opened by faultless {} on Linux {}, {mount}; {}, {} inputs, {}, periods of {}; {}; {} path",
            env!("CARGO_PKG_VERSION"),
            facts::kernel(),
            device.name,
            device.inputs,
            device.rate,
            device.period_frames,
            running.scheduling,
            setup.capture_path,
        );
        let numbers = [
            ("inputs", device.inputs as u64),
            ("rate", u64::from(device.rate.0)),
            ("period", device.period_frames as u64),
            ("locked_bytes_max", setup.lock_bytes_max),
            ("spool_bytes_max", setup.spool_bytes_max),
            ("lead_ms", setup.lead_ms),
        ];
        self.flight.note_without_notice(Kind::Opened, Severity::Info, &text, &numbers);
        if setup.lock_bytes_max < limits::LOCKED_BYTES_WANTED && lock_limit() != LockLimit::Unlimited {
            let text = format!("locked memory: {} KiB are allowed; 'ulimit -l' raises it", setup.lock_bytes_max >> 10);
            let count = [("locked_bytes_max", setup.lock_bytes_max)];
            self.flight.note_without_notice(Kind::Limit, Severity::Info, &text, &count);
        }
        for (at, notice) in notices.enumerate() {
            let kind = if at < recovered { Kind::Recovered } else { Kind::Limit };
            self.flight.note(kind, notice.severity, &notice.text, &[]);
        }
    }
}

impl Control {
    /// Shows a notice and writes it into the session's events.
    pub(super) fn notify(&mut self, kind: Kind, severity: Severity, text: String, numbers: &[(&str, u64)]) {
        self.event_log.flight.note(kind, severity, &text, numbers);
        self.notices.push_back(Notice { severity, text });
    }

    /// Writes an event without a notice. A front end that shows all events gets it by [`Control::take_event`].
    pub(super) fn log_event(&mut self, kind: Kind, severity: Severity, text: &str, numbers: &[(&str, u64)]) {
        self.event_log.flight.note_without_notice(kind, severity, text, numbers);
    }

    /// The last events of the session, those of earlier starts included, the oldest first.
    pub fn events(&self) -> Events {
        self.event_log.flight.recent()
    }

    /// The next event that came without a notice, for a front end that shows every event.
    pub fn take_event(&mut self) -> Option<Arc<Record>> {
        self.event_log.flight.take_unannounced()
    }

    /// Writes a notice into the session's events that the front end itself made and shows.
    pub fn keep_event(&mut self, severity: Severity, text: &str) {
        self.event_log.flight.note(Kind::Notice, severity, text, &[]);
    }

    /// Reads lead, write times, sync times and the use of the spool, and writes an event for each that crossed its
    /// limit. Reads atomics only; it does not wait.
    pub(super) fn check_margins(&mut self) {
        let (now, disk) = (host::elapsed(self.event_log.started), Arc::clone(&self.running.disk));
        let rate = self.running.device.rate;
        self.event_log.flight.tick();
        for text in self.event_log.flight.problems() {
            self.notices.push_back(Notice { severity: Severity::Caution, text });
        }
        let lead = disk.lead_frames.load(Relaxed);
        let aim = disk.lead_frames_aim.load(Relaxed);
        // A device without a clock consumes windows as fast as the butler makes them, so its lead is always short.
        if self.running.device.pace == Pace::RealTime
            && self.published().pass_frames.load(Relaxed) != NO_PASS
            && lead != u64::MAX
            && let Some(least) = self.event_log.lead.update(now, aim, lead, disk.lead_frames_min.load(Relaxed))
        {
            self.near_miss(least, aim);
        }
        if let Some(micros) = self.event_log.commit.update(disk.commit_us_max.load(Relaxed), limits::SLOW_COMMIT_US) {
            let text =
                format!("disk: one write took {:.1} s; what was recorded meanwhile waited in memory", seconds(micros));
            let waits = disk.backlog_bytes.load(Relaxed);
            let numbers = [("microseconds", micros), ("backlog_bytes", waits)];
            self.log_event(Kind::SlowCommit, Severity::Caution, &text, &numbers);
        }
        if let Some(micros) = self.event_log.sync.update(disk.sync_us_max.load(Relaxed), limits::SLOW_SYNC_US) {
            let text = format!(
                "disk: it took {:.1} s to make the takes durable; a power cut would have cost as much",
                seconds(micros)
            );
            self.log_event(Kind::SlowSync, Severity::Caution, &text, &[("microseconds", micros)]);
        }
        let (held, max) = (disk.spool_bytes.load(Relaxed), self.running.setup.spool_bytes_max);
        if let Some(step) = self.event_log.spool.update(held, max) {
            let (used, limit) = (held >> 20, max >> 20);
            let (kind, severity, text) = match step {
                SpoolStep::Half => (
                    Kind::SpoolHalf,
                    Severity::Caution,
                    format!("spool: {used} of {limit} MiB wait for the disk; nothing is lost"),
                ),
                SpoolStep::Full => (
                    Kind::SpoolFull,
                    Severity::Caution,
                    format!(
                        "spool: {used} of {limit} MiB are in use; when it is full, sound is lost; use a faster disk, or \
                         allow more memory (--spool-limit, or Spool in the settings)"
                    ),
                ),
                SpoolStep::Room => (
                    Kind::SpoolRoom,
                    Severity::Info,
                    format!("spool: {used} of {limit} MiB are in use, there is room again"),
                ),
            };
            self.log_event(
                kind,
                severity,
                &text,
                &[("spool_bytes", held), ("spool_bytes_max", max), ("rate", rate.0.into())],
            );
        }
    }

    fn near_miss(&mut self, least: u64, aim: u64) {
        let rate = self.running.device.rate;
        let ms = |frames: u64| 1000.0 * Frames(frames).seconds(rate);
        // A loss is reported by itself, and may be known only after this.
        let text = format!("lead: only {:.0} of {:.0} ms of memory were ready for new sound", ms(least), ms(aim));
        self.log_event(Kind::NearMiss, Severity::Caution, &text, &[("lead_frames", least), ("aim_frames", aim)]);
    }

    /// Writes the event of a pass's first frame.
    pub(super) fn note_pass_began(&mut self, at: u64) {
        self.event_log.lead = Lead::default();
        let takes = self.pass_status().map_or(0, |pass| pass.takes.len());
        let clock = Clock(Frames(at).duration(self.running.device.rate));
        let text = format!("recording of {} began at {clock}", counted(takes as u64, "take"));
        self.log_event(Kind::PassBegan, Severity::Info, &text, &[("at", at), ("takes", takes as u64)]);
    }

    /// Writes the event of a pass that is over, if one `was_on` before and none is now. `reports`: the number of
    /// waiting reports before the pass ended; a report beyond them is this pass's.
    pub(super) fn note_pass_ended(&mut self, was_on: bool, reports: usize) {
        if !was_on || self.pass.is_some() {
            return;
        }
        let aim = self.running.disk.lead_frames_aim.load(Relaxed);
        if let Some(least) = self.event_log.lead.end() {
            self.near_miss(least, aim);
        }
        let Some(report) = self.reports.get(reports) else {
            self.log_event(Kind::PassEnded, Severity::Caution, "recording: it has ended without a report", &[]);
            return;
        };
        let (text, numbers) = (report.summary(self.running.device.rate), numbers(report));
        // The front end shows the report itself.
        self.event_log.flight.note(Kind::PassEnded, report.severity(), &text, &numbers);
    }

    /// Writes the last event, and waits until all events are on the disk.
    pub(super) fn close_events(&mut self) {
        self.log_event(Kind::Closed, Severity::Info, "closed", &[]);
        self.event_log.flight.finish();
        for text in self.event_log.flight.problems() {
            self.notices.push_back(Notice { severity: Severity::Caution, text });
        }
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// The numbers of a report, by their names in the events file.
fn numbers(report: &PassReport) -> Vec<(&'static str, u64)> {
    let audio = &report.audio_thread;
    let mut numbers = vec![
        ("takes", report.takes.len() as u64),
        ("takes_troubled", report.takes_troubled() as u64),
        ("frames", report.frames),
        ("frames_lost", report.frames_lost),
        ("xruns", report.xruns),
        ("playback_xruns", report.playback_xruns),
        ("cycle_us_max", audio.cycle_us_max.ceil() as u64),
        ("commit_us_max", report.commit_us_max),
    ];
    numbers.extend(audio.minor_faults.map(|faults| ("minor_faults", faults)));
    numbers.extend(audio.major_faults.map(|faults| ("major_faults", faults)));
    numbers.extend(audio.voluntary_switches.map(|switches| ("voluntary_switches", switches)));
    numbers.extend(report.lead_frames_min.map(|frames| ("lead_frames_min", frames)));
    numbers
}
