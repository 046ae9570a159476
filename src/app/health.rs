//! The status line under the transport: the most urgent condition, figures, and advice. Thread: control. Pure.

use super::snapshot::{DiskSpace, EngineFigures, Health, PassPhase, Stage};
use crate::control::Severity;
use std::path::Path;

/// Everything that the status line is derived from.
pub(super) struct HealthInput<'a> {
    pub(super) stage: &'a Stage,
    /// The phase of the running pass.
    pub(super) phase: Option<PassPhase>,
    pub(super) rolls: bool,
    /// Number of tracks, and number of those that are armed or being recorded.
    pub(super) tracks: (usize, usize),
    pub(super) device: &'a str,
    pub(super) device_gone: bool,
    /// The reason why a device that is back cannot be used.
    pub(super) device_blocked_by: Option<&'a str>,
    pub(super) built_in: bool,
    pub(super) figures: &'a EngineFigures,
    pub(super) disk_space: Option<&'a DiskSpace>,
    /// The text of the last loss that the user has not acknowledged.
    pub(super) alarm: Option<&'a str>,
    /// Why the audio thread has no real-time priority, and how to change that.
    pub(super) no_real_time: Option<(&'a str, Option<&'a str>)>,
    pub(super) windows_unlocked: u64,
    /// The error of the disk that fails now.
    pub(super) disk: Option<&'a str>,
    /// The folder of the pass's mirror, or its error.
    pub(super) mirror: Option<Result<&'a Path, &'a str>>,
    /// Frames lost that the user has acknowledged.
    pub(super) lost_before: u64,
}

/// Recording time that is left, in seconds, below which the status line is a caution (first) or an alarm (second).
const DISK_SECONDS_WARNING: (f64, f64) = (600.0, 120.0);

/// The disk counts as behind when one part in this many of the spool waits for it.
const BACKLOG_FRACTION: u64 = 8;

/// The status line for a state. Losses come before cautions.
pub(super) fn health(input: &HealthInput<'_>) -> Health {
    let parts = parts(input);
    let safety = safety(input);
    let make = |severity: Severity, head: &str, advice: Option<String>| Health {
        severity,
        head: head.to_owned(),
        parts: parts.clone(),
        advice,
        safety: safety.clone(),
    };
    let alone = |severity: Severity, head: &str, advice: &str| Health {
        severity,
        head: head.to_owned(),
        parts: Vec::new(),
        advice: Some(advice.to_owned()),
        safety: Vec::new(),
    };
    match input.stage {
        Stage::Opening => return Health { head: "Opening.".to_owned(), ..Health::default() },
        Stage::Closing => return Health { head: "Saving.".to_owned(), ..Health::default() },
        Stage::NoSession { reason, versions } => {
            let advice = if versions.is_empty() {
                "Open another session or begin a new one"
            } else {
                "Earlier versions can be restored: click here"
            };
            return alone(Severity::Loss, "The session cannot be opened.", &format!("{reason}. {advice}"));
        }
        Stage::NoDevice { reason } => return alone(Severity::Loss, "No device.", reason),
        Stage::ReadOnly(reason) => return alone(Severity::Caution, "Only to be played.", reason),
        Stage::Failed { reason } => return failed(reason),
        Stage::Open => {}
    }
    loss(input, &make).or_else(|| caution(input, &make)).unwrap_or_else(|| {
        let head = match (input.phase, input.built_in) {
            (None, true) => "Built-in test tones.",
            _ => "All is well.",
        };
        make(Severity::Info, head, None)
    })
}

/// The status line after control has failed.
pub(super) fn failed(reason: &str) -> Health {
    Health {
        severity: Severity::Loss,
        head: "The recorder has failed.".to_owned(),
        parts: Vec::new(),
        advice: Some(format!("{reason}. What was recorded is kept: close the window and start again")),
        safety: Vec::new(),
    }
}

type MakeHealth<'a> = dyn Fn(Severity, &str, Option<String>) -> Health + 'a;

/// The status line for sound that was lost, or is being lost.
fn loss(input: &HealthInput<'_>, make: &MakeHealth<'_>) -> Option<Health> {
    let figures = input.figures;
    if input.device_gone {
        let head = format!("{} is gone.", input.device);
        let advice = input.device_blocked_by.unwrap_or("The timeline counts on; plug it in again, or stop");
        return Some(make(Severity::Loss, &head, Some(advice.to_owned())));
    }
    if figures.frames_lost > input.lost_before {
        let lost = figures.frames_lost - input.lost_before;
        let head = format!("{lost} frames lost.");
        return Some(make(
            Severity::Loss,
            &head,
            Some("They are silence in their place, marked on the timeline".to_owned()),
        ));
    }
    if let Some(disk_space) = input.disk_space.filter(|disk_space| disk_space.seconds < DISK_SECONDS_WARNING.1) {
        let head = format!("The disk is full in {} s.", disk_space.seconds as u64);
        return Some(make(Severity::Loss, &head, Some(format!("Make room on {}", disk_space.disk))));
    }
    input.alarm.map(|alarm| make(Severity::Loss, "Trouble.", Some(alarm.to_owned())))
}

/// The status line for less safety margin than there should be. A failing disk is shown as a loss, although the sound
/// still waits in memory.
fn caution(input: &HealthInput<'_>, make: &MakeHealth<'_>) -> Option<Health> {
    let figures = input.figures;
    let faults = figures.minor_faults.unwrap_or(0) + figures.major_faults.unwrap_or(0);
    if input.phase.is_some() && faults > 0 {
        let advice = if figures.capture_path == "in-place" {
            "in-place: the kernel write-protected pages under the audio thread; use the spool path".to_owned()
        } else {
            "The audio thread had to wait for the kernel; the doctor may know why".to_owned()
        };
        return Some(make(Severity::Caution, &format!("{faults} page faults."), Some(advice)));
    }
    if input.phase.is_some()
        && figures.backlog_bytes > figures.spool_bytes_max / BACKLOG_FRACTION
        && figures.spool_bytes_max > 0
    {
        let used = 100 * figures.spool_bytes / figures.spool_bytes_max;
        let advice = format!("Recording continues in memory, {used} % of it used; nothing is lost");
        return Some(make(Severity::Caution, "The disk is behind.", Some(advice)));
    }
    if let Some(trouble) = input.disk {
        let advice = format!(
            "{trouble}. What is recorded waits in memory; make room, or go on in another folder (Ctrl+Shift+G)"
        );
        return Some(make(Severity::Loss, "The disk takes nothing.", Some(advice)));
    }
    if let Some(Err(reason)) = input.mirror {
        let advice = format!("{reason}. The session's own takes go on as they are");
        return Some(make(Severity::Caution, "No mirror.", Some(advice)));
    }
    if let Some(disk_space) = input.disk_space.filter(|disk_space| disk_space.seconds < DISK_SECONDS_WARNING.0) {
        let head = format!("{} min of room left.", (disk_space.seconds / 60.0) as u64);
        return Some(make(Severity::Caution, &head, Some(format!("Make room on {}", disk_space.disk))));
    }
    if input.windows_unlocked > 0 && input.phase.is_some() {
        let limit = figures.locked_limit / 1024;
        let advice = format!("{limit} KiB may be locked, too little for all tracks; raise it with ulimit -l");
        return Some(make(Severity::Caution, "Recording without locked memory.", Some(advice)));
    }
    if let Some((reason, fix)) = input.no_real_time {
        let advice = fix.map_or_else(|| reason.to_owned(), |fix| format!("{reason}; to change that: {fix}"));
        return Some(make(Severity::Caution, "No real-time right.", Some(advice)));
    }
    None
}

fn parts(input: &HealthInput<'_>) -> Vec<String> {
    let figures = input.figures;
    let count = |n: u64, thing: &str| if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") };
    let (all, armed) = input.tracks;
    let mut parts = vec![if armed > 0 && armed < all && input.phase.is_none() {
        format!("{armed} of {all} tracks armed")
    } else {
        count(if input.phase.is_some() { armed as u64 } else { all as u64 }, "track")
    }];
    if let Some(lead) = figures.lead_s.filter(|_| input.phase.is_some() || input.rolls) {
        parts.push(format!("{lead:.1} s lead"));
    }
    parts.push(format!("{} lost", count(figures.frames_lost, "frame")));
    match figures.minor_faults.zip(figures.major_faults) {
        Some((minor, major)) => parts.push(count(minor + major, "page fault")),
        None => parts.push("page faults not known yet".to_owned()),
    }
    parts.push(count(figures.xruns, "xrun"));
    if figures.frames_dropped > 0 {
        parts.push(format!("{} not heard in time", count(figures.frames_dropped, "frame")));
    }
    parts
}

/// The sound that a crash and a power cut would cost now.
fn safety(input: &HealthInput<'_>) -> Vec<String> {
    if input.phase != Some(PassPhase::Recording) {
        return Vec::new();
    }
    let mut safety = vec!["safe against a crash: now".to_owned()];
    if let Some(age) = input.figures.durable_age {
        safety.push(format!("safe against power loss: {:.1} s ago", age.as_secs_f64()));
    }
    if let Some(Ok(folder)) = input.mirror {
        // Show the folder that the user chose. Its subfolder, where the mirror is, has the session's name.
        let named = folder.parent().and_then(Path::file_name).unwrap_or(folder.as_os_str());
        safety.push(format!("mirrored in {}", named.display()));
    }
    safety
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leak<T>(value: T) -> &'static T {
        Box::leak(Box::new(value))
    }

    fn with(change: impl FnOnce(&mut HealthInput<'static>)) -> Health {
        let figures = EngineFigures {
            minor_faults: Some(0),
            major_faults: Some(0),
            lead_s: Some(1.84),
            spool_bytes_max: 1 << 30,
            ..EngineFigures::default()
        };
        let mut input = HealthInput {
            stage: &Stage::Open,
            phase: Some(PassPhase::Recording),
            rolls: true,
            tracks: (24, 24),
            device: "Scarlett 18i20",
            device_gone: false,
            device_blocked_by: None,
            built_in: false,
            figures: leak(figures),
            disk_space: None,
            alarm: None,
            no_real_time: None,
            windows_unlocked: 0,
            disk: None,
            mirror: None,
            lost_before: 0,
        };
        change(&mut input);
        health(&input)
    }

    #[test]
    fn a_recording_without_trouble_is_well_and_shows_its_figures() {
        let health = with(|_| {});
        assert_eq!((health.severity, health.head.as_str()), (Severity::Info, "All is well."));
        assert_eq!(health.parts, ["24 tracks", "1.8 s lead", "0 frames lost", "0 page faults", "0 xruns"]);
    }

    #[test]
    fn the_worst_condition_comes_first_with_advice() {
        let disk_space = leak(DiskSpace { free_bytes: 1, seconds: 60.0, disk: "Music".to_owned() });
        let gone = with(|input| {
            input.device_gone = true;
            input.disk_space = Some(disk_space);
        });
        assert!(gone.severity == Severity::Loss && gone.head == "Scarlett 18i20 is gone." && gone.advice.is_some());
        let full = with(|input| input.disk_space = Some(disk_space));
        assert!(
            full.severity == Severity::Loss && full.head.contains("60 s") && full.advice.unwrap().contains("Music")
        );
        let few = with(|input| {
            input.no_real_time = Some(("refused", Some("add yourself to group audio")));
            input.windows_unlocked = 3;
        });
        assert!(few.severity == Severity::Caution && few.head == "Recording without locked memory.");
    }

    #[test]
    fn a_mirror_shows_its_folder_and_a_failed_one_its_reason() {
        let mirrored = with(|input| input.mirror = Some(Ok(Path::new("/media/Backup/Friday"))));
        assert_eq!(
            (mirrored.severity, mirrored.safety.last().unwrap().as_str()),
            (Severity::Info, "mirrored in Backup")
        );
        let lost = with(|input| input.mirror = Some(Err("/media/Backup: cannot write: the disk is full")));
        assert_eq!((lost.severity, lost.head.as_str()), (Severity::Caution, "No mirror."));
        assert!(lost.advice.unwrap().starts_with("/media/Backup: cannot write"));
    }

    #[test]
    fn page_faults_in_place_are_explained() {
        let figures = EngineFigures {
            minor_faults: Some(7),
            major_faults: Some(0),
            capture_path: "in-place".to_owned(),
            ..EngineFigures::default()
        };
        let health = with(|input| input.figures = leak(figures));
        assert!(
            health.severity == Severity::Caution
                && health.head == "7 page faults."
                && health.advice.unwrap().contains("write-protected")
        );
    }

    #[test]
    fn a_session_that_cannot_be_opened_shows_the_reason_and_the_choices() {
        let stage = Stage::NoSession { reason: "session.json: damaged".to_owned(), versions: Vec::new() };
        let health = with(|input| input.stage = leak(stage));
        assert!(health.severity == Severity::Loss && health.advice.unwrap().contains("new one"));
    }
}
