//! The status line under the transport: the most urgent condition, figures, and advice. Thread: control. Pure.

use super::snapshot::{Cure, DiskSpace, EngineFigures, EventEntry, Health, PassPhase, Stage};
use crate::control::Severity;
use crate::control::recording::counted;
use crate::time::{Frames, SampleRate};
use std::path::Path;

/// Everything that the status line is derived from.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the recorder")]
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
    /// The inputs of the device, and which of the tracks that Record would record have them.
    pub(super) inputs: Inputs,
    /// Seconds of sound that still fit into memory while the disk takes nothing.
    pub(super) memory_seconds: Option<f64>,
    /// The folder in which takes of the pass continue, because their own disk refused them.
    pub(super) continues_in: Option<&'a Path>,
    /// Whether a folder is named in which takes continue when their disk is full.
    pub(super) has_overflow: bool,
    /// Sample rate of the timeline.
    pub(super) rate: SampleRate,
    /// The last loss that the user has not acknowledged.
    pub(super) alarm: Option<&'a EventEntry>,
    /// The last entry with a headline that the user has not acknowledged.
    pub(super) standing: Option<&'a EventEntry>,
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

/// The inputs of the device against those of the tracks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inputs {
    /// Inputs of the device.
    pub(super) device: usize,
    /// Tracks that Record would record: the armed ones, or all if none is armed.
    pub(super) wanted: usize,
    /// Those of them whose inputs the device lacks.
    pub(super) missing: usize,
}

/// Recording time that is left, in seconds, below which the status line is a caution (first) or an alarm (second).
const DISK_SECONDS_WARNING: (f64, f64) = (600.0, 120.0);

/// The disk counts as behind when one part in this many of the spool waits for it.
const BACKLOG_FRACTION: u64 = 8;

/// The status line for a state. Losses come before cautions.
pub(super) fn health(input: &HealthInput<'_>) -> Health {
    let (parts, safety) = (parts(input), safety(input));
    let make = |severity: Severity, head: &str, advice: &str, cure: Option<Cure>| Health {
        severity,
        head: head.to_owned(),
        // A figure that is the headline is not said twice.
        parts: parts.iter().filter(|part| !head.starts_with(part.as_str())).cloned().collect(),
        advice: Some(advice.to_owned()).filter(|advice| !advice.is_empty()),
        cure,
        safety: safety.clone(),
    };
    if let Some(health) = not_open(input.stage) {
        return health;
    }
    let (inputs, disk, alarm) = (no_inputs(input, &make), disk(input, &make), alarm(input, &make));
    // A condition that costs sound comes first. Tracks without inputs stay so to the end of a recording, so they hide no trouble that
    // grows and no loss that the user can acknowledge.
    let (urgent_disk, disk) = match disk {
        Some(health) if health.severity == Severity::Loss => (Some(health), None),
        disk => (None, disk),
    };
    let trouble = device_or_loss(input, &make).or_else(|| match input.phase {
        Some(_) => urgent_disk.or(alarm).or(inputs).or(disk),
        None => inputs.or(urgent_disk).or(disk).or(alarm),
    });
    trouble.or_else(|| caution(input, &make)).unwrap_or_else(|| {
        let head = match (input.phase, input.built_in) {
            (None, true) => "Built-in test tones.",
            _ => "All is well.",
        };
        make(Severity::Info, head, "", None)
    })
}

/// The status line while nothing can be recorded. `None`: a session and a device are open.
fn not_open(stage: &Stage) -> Option<Health> {
    let alone = |severity: Severity, head: &str, advice: &str, cure: Option<Cure>| Health {
        severity,
        head: head.to_owned(),
        parts: Vec::new(),
        advice: Some(advice.to_owned()),
        cure,
        safety: Vec::new(),
    };
    Some(match stage {
        Stage::Opening => Health { head: "Opening.".to_owned(), ..Health::default() },
        Stage::Closing => Health { head: "Saving.".to_owned(), ..Health::default() },
        Stage::NoSession { reason, versions } => {
            let (advice, cure) = if versions.is_empty() {
                ("Open another session or begin a new one", None)
            } else {
                ("Earlier versions can be restored", Some(Cure::ShowVersions))
            };
            alone(Severity::Loss, "The session cannot be opened.", &format!("{reason}. {advice}"), cure)
        }
        Stage::NoDevice { reason, instead } => {
            let cure = instead.clone().map_or(Cure::ChooseDevice, Cure::UseDevice);
            alone(Severity::Loss, "No device.", reason, Some(cure))
        }
        Stage::ReadOnly(reason) => alone(Severity::Caution, "Only to be played.", reason, None),
        Stage::Failed { reason } => failed(reason),
        Stage::Open => return None,
    })
}

/// The status line after control has failed.
pub(super) fn failed(reason: &str) -> Health {
    Health {
        severity: Severity::Loss,
        head: "The recorder has failed.".to_owned(),
        parts: Vec::new(),
        advice: Some(format!("{reason}. What was recorded is kept: close the window and start again")),
        cure: None,
        safety: Vec::new(),
    }
}

type MakeHealth<'a> = dyn Fn(Severity, &str, &str, Option<Cure>) -> Health + 'a;

/// The status line for a device that is gone, or sound that was lost.
fn device_or_loss(input: &HealthInput<'_>, make: &MakeHealth<'_>) -> Option<Health> {
    let figures = input.figures;
    if input.device_gone {
        let head = format!("{} is gone.", input.device);
        let waits = if input.phase.is_some() {
            "The timeline counts on; plug it in again, or stop"
        } else {
            "Plug it in again, or choose another"
        };
        let cure = Some(Cure::ChooseDevice).filter(|_| input.phase.is_none());
        return Some(make(Severity::Loss, &head, input.device_blocked_by.unwrap_or(waits), cure));
    }
    if figures.frames_lost > input.lost_before {
        let lost = Frames(figures.frames_lost.saturating_sub(input.lost_before));
        let head = format!("{} lost.", lost.text(input.rate));
        let advice = "It is silence in its place, marked on the timeline";
        return Some(make(Severity::Loss, &head, advice, Some(Cure::Acknowledge)));
    }
    None
}

/// The status line for a recording that misses tracks, or would, because the device lacks their inputs.
fn no_inputs(input: &HealthInput<'_>, make: &MakeHealth<'_>) -> Option<Health> {
    let Inputs { device, wanted, missing } = input.inputs;
    if missing == 0 {
        return None;
    }
    let head = match (missing, wanted) {
        (1, 1) => "The armed track has no input.".to_owned(),
        (1, _) => "1 track has no input.".to_owned(),
        (missing, wanted) if missing == wanted => format!("None of {wanted} tracks has an input."),
        (missing, _) => format!("{missing} tracks have no input."),
    };
    let has = format!("{} has {}", input.device, counted(device as u64, "input"));
    let advice = match (input.phase, wanted.saturating_sub(missing)) {
        (Some(_), left) => format!("{has}: only {left} of {wanted} tracks get sound"),
        (None, 0) => format!("{has}: Record would record nothing"),
        (None, left) => format!("{has}: Record takes only {left} of {wanted} tracks"),
    };
    let cure = Some(Cure::UseInputs(device)).filter(|_| input.phase.is_none());
    Some(make(Severity::Loss, &head, &advice, cure))
}

/// The status line for a disk that takes nothing, is full soon, or was replaced by another one.
fn disk(input: &HealthInput<'_>, make: &MakeHealth<'_>) -> Option<Health> {
    let choose = Some(Cure::ChooseOverflowFolder);
    let space = input.disk_space.filter(|space| space.seconds < DISK_SECONDS_WARNING.0);
    // The first report comes when blocks cannot be reserved: those reserved before still take sound.
    let is_reserve_left = space.is_some_and(|space| 1.0 <= space.seconds);
    if let Some(trouble) = input.disk.filter(|trouble| !is_reserve_left || trouble.contains("cannot write")) {
        let lasts = input
            .memory_seconds
            .map_or_else(|| "Memory is limited".to_owned(), |seconds| format!("Memory lasts {}", time_left(seconds)));
        let advice = format!("{lasts}; nothing is lost. {trouble}");
        let head = if input.phase.is_some() { "Recording into memory." } else { "The disk takes nothing." };
        return Some(make(Severity::Loss, head, &advice, choose));
    }
    if let Some(space) = space {
        let is_soon = space.seconds < DISK_SECONDS_WARNING.1;
        let head = match time_left(space.seconds) {
            _ if space.seconds < 1.0 => format!("The disk {} is full.", space.disk),
            left if is_soon => format!("The disk {} is full in {left}.", space.disk),
            left => format!("{left} of room left."),
        };
        return Some(if is_soon && input.has_overflow && input.continues_in.is_none() && input.phase.is_some() {
            make(Severity::Caution, &head, "Then takes continue in the other folder, without a gap", None)
        } else {
            let advice = format!("Make room on {}, or choose another disk", space.disk);
            make(if is_soon { Severity::Loss } else { Severity::Caution }, &head, &advice, choose)
        });
    }
    let folder = input.continues_in?;
    let left = input.disk_space.map_or_else(String::new, |space| format!(", room for {}", time_left(space.seconds)));
    let advice = format!("The session's own disk is full. Nothing is lost{left}");
    Some(make(Severity::Caution, &format!("Recording continues in {}.", folder.display()), &advice, None))
}

/// The status line for a loss that the user has not acknowledged.
fn alarm(input: &HealthInput<'_>, make: &MakeHealth<'_>) -> Option<Health> {
    let alarm = input.alarm?;
    let head = alarm.headline.as_deref().unwrap_or("Trouble.");
    Some(make(Severity::Loss, head, &alarm.text, Some(Cure::Acknowledge)))
}

/// The status line for less safety margin than there should be.
fn caution(input: &HealthInput<'_>, make: &MakeHealth<'_>) -> Option<Health> {
    let caution = |head: &str, advice: &str, cure: Option<Cure>| Some(make(Severity::Caution, head, advice, cure));
    if input.phase.is_some()
        && let Some((head, advice)) = late_thread(input.figures)
    {
        return caution(&head, advice, Some(Cure::Examine));
    }
    let figures = input.figures;
    if input.phase.is_some()
        && figures.backlog_bytes > figures.spool_bytes_max / BACKLOG_FRACTION
        && figures.spool_bytes_max > 0
    {
        let used = 100 * figures.spool_bytes / figures.spool_bytes_max;
        let lasts =
            input.memory_seconds.map_or_else(String::new, |seconds| format!("; it lasts {}", time_left(seconds)));
        let advice = format!("Recording continues in memory, {used} % of it used{lasts}; nothing is lost");
        return caution("The disk is behind.", &advice, None);
    }
    if let Some(Err(reason)) = input.mirror {
        return caution("No mirror.", &format!("{reason}. The session's own takes continue as they are"), None);
    }
    if input.windows_unlocked > 0 && input.phase.is_some() {
        let limit = figures.locked_limit / 1024;
        let advice = format!("{limit} KiB may be locked, too little for all tracks; raise it with ulimit -l");
        return caution("Recording without locked memory.", &advice, None);
    }
    if let Some(entry) = input.standing {
        let cure = if entry.text.contains(TONES) { Cure::ChooseDevice } else { Cure::Acknowledge };
        // The headline names the subject already.
        let text = entry.text.strip_prefix("sleep: ").or_else(|| entry.text.strip_prefix("device: "));
        let text = capitalised(text.unwrap_or(&entry.text));
        return caution(entry.headline.as_deref().unwrap_or_default(), &text, Some(cure));
    }
    if let Some((reason, fix)) = input.no_real_time {
        let advice = fix.map_or_else(|| reason.to_owned(), |fix| format!("{reason}; to change that: {fix}"));
        return caution("No real-time right.", &advice, Some(Cure::Examine));
    }
    None
}

/// The words of the note about a machine without a sound card.
const TONES: &str = "test tones";

/// Headline and advice for an audio thread that took page faults or was later than its deadline.
fn late_thread(figures: &EngineFigures) -> Option<(String, &'static str)> {
    let faults = figures.minor_faults.unwrap_or(0).saturating_add(figures.major_faults.unwrap_or(0));
    if faults > 0 {
        let advice = if figures.capture_path == "in-place" {
            "in-place: the kernel write-protected pages under the audio thread; use the spool path"
        } else {
            "The audio thread had to wait for the kernel; the doctor may know why"
        };
        return Some((format!("{}.", counted(faults, "page fault")), advice));
    }
    let worst = figures.cycles.as_ref().map_or(0.0, crate::histogram::Counts::max_us);
    let ms = |us: f64| us / 1000.0;
    (0.0 < figures.deadline_us && figures.deadline_us < worst).then(|| {
        let head = format!("A cycle took {:.1} ms of {:.1} ms.", ms(worst), ms(figures.deadline_us));
        (head, "Nothing is lost, but the margin was used up; the doctor may know why")
    })
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A time for a sentence: "8 s", "3 min", "9 h".
fn time_left(seconds: f64) -> String {
    match seconds.max(0.0) as u64 {
        s if s < 100 => format!("{s} s"),
        s if s < 100 * 60 => format!("{} min", s / 60),
        s => format!("{} h", s / 3600),
    }
}

fn parts(input: &HealthInput<'_>) -> Vec<String> {
    let figures = input.figures;
    let (all, armed) = input.tracks;
    let mut parts = vec![if armed > 0 && armed < all && input.phase.is_none() {
        format!("{armed} of {all} tracks armed")
    } else {
        counted(if input.phase.is_some() { armed as u64 } else { all as u64 }, "track")
    }];
    if let Some(lead) = figures.lead_s.filter(|_| input.phase.is_some() || input.rolls) {
        parts.push(format!("{lead:.1} s lead"));
    }
    parts.push(match figures.frames_lost {
        0 => "0 frames lost".to_owned(),
        lost => format!("{} lost", Frames(lost).text(input.rate)),
    });
    match figures.minor_faults.zip(figures.major_faults) {
        Some((minor, major)) => parts.push(counted(minor + major, "page fault")),
        None => parts.push("page faults not known yet".to_owned()),
    }
    parts.push(counted(figures.xruns, "xrun"));
    if figures.frames_dropped > 0 {
        parts.push(format!("{} not heard in time", Frames(figures.frames_dropped).text(input.rate)));
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
            inputs: Inputs { device: 24, wanted: 24, missing: 0 },
            memory_seconds: Some(700.0),
            continues_in: None,
            has_overflow: false,
            rate: SampleRate(48_000),
            alarm: None,
            standing: None,
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

    /// Record was refused under a green line.
    #[test]
    fn armed_tracks_without_an_input_are_red_before_the_recording_with_a_button() {
        let health = with(|input| {
            (input.phase, input.device) = (None, "Null");
            input.inputs = Inputs { device: 2, wanted: 8, missing: 6 };
        });
        assert_eq!((health.severity, health.head.as_str()), (Severity::Loss, "6 tracks have no input."));
        assert_eq!(health.advice.as_deref(), Some("Null has 2 inputs: Record takes only 2 of 8 tracks"));
        assert_eq!(health.cure.as_ref().map(Cure::label).as_deref(), Some("Use these 2 inputs"));
        let none = with(|input| {
            input.phase = None;
            input.inputs = Inputs { device: 2, wanted: 8, missing: 8 };
        });
        assert!(none.head == "None of 8 tracks has an input." && none.advice.unwrap().contains("record nothing"));
    }

    /// The line said that the computer may fall asleep, and the recording took 8 of 24 tracks.
    #[test]
    fn tracks_without_an_input_are_shown_while_recording_before_what_costs_no_sound() {
        let entry = leak(EventEntry {
            at: std::time::Duration::ZERO,
            clock: String::new(),
            severity: Severity::Caution,
            text: "sleep: the desktop does not answer".to_owned(),
            seen: false,
            headline: Some("The computer may fall asleep.".to_owned()),
        });
        let without = |input: &mut HealthInput<'static>| {
            input.inputs = Inputs { device: 8, wanted: 24, missing: 16 };
            input.standing = Some(entry);
            input.no_real_time = Some(("refused", None));
        };
        let health = with(without);
        assert_eq!((health.severity, health.head.as_str()), (Severity::Loss, "16 tracks have no input."));
        assert_eq!(health.advice.as_deref(), Some("Scarlett 18i20 has 8 inputs: only 8 of 24 tracks get sound"));
        assert_eq!(health.cure, None, "a recording keeps its tracks");
        let full = leak(DiskSpace { free_bytes: 1, seconds: 60.0, disk: "Music".to_owned() });
        let soon = with(|input| {
            without(input);
            input.disk_space = Some(full);
        });
        assert_eq!(soon.head, "The disk Music is full in 60 s.");
        let gone = with(|input| {
            without(input);
            input.device_gone = true;
        });
        assert_eq!(gone.head, "Scarlett 18i20 is gone.");
        let later = leak(DiskSpace { free_bytes: 1, seconds: 500.0, disk: "Music".to_owned() });
        let left = with(|input| {
            without(input);
            input.disk_space = Some(later);
        });
        assert_eq!(left.head, "16 tracks have no input.", "ten minutes of room cost nothing yet");
    }

    #[test]
    fn a_card_that_a_sound_server_holds_is_replaced_by_the_server_with_one_click() {
        let server = || Some("alsa:default".to_owned());
        let stage = Stage::NoDevice { reason: "alsa:hw:0: in use by pipewire".to_owned(), instead: server() };
        let health = with(|input| input.stage = leak(stage));
        assert_eq!(health.cure, server().map(Cure::UseDevice));
        assert_eq!(health.cure.as_ref().map(Cure::label).as_deref(), Some("Use the sound server"));
        let stage = Stage::NoDevice { reason: "alsa:hw:0: no such device".to_owned(), instead: None };
        assert_eq!(with(|input| input.stage = leak(stage)).cure, Some(Cure::ChooseDevice));
    }

    /// While memory took over, and after takes had continued in another folder, the line said "full in 0 s".
    #[test]
    fn a_full_disk_says_how_long_memory_lasts_and_then_where_takes_continue() {
        let full = leak(DiskSpace { free_bytes: 0, seconds: 0.0, disk: "mnt".to_owned() });
        let memory = with(|input| {
            input.disk_space = Some(full);
            input.disk = Some("/mnt/a/audio/Kick-1.wav: cannot write: the disk is full");
            input.memory_seconds = Some(64.0);
        });
        assert_eq!((memory.severity, memory.head.as_str()), (Severity::Loss, "Recording into memory."));
        assert!(memory.advice.unwrap().starts_with("Memory lasts 64 s; nothing is lost"));
        assert_eq!(memory.cure, Some(Cure::ChooseOverflowFolder));
        let other = leak(DiskSpace { free_bytes: 1 << 40, seconds: 7200.0, disk: "Backup".to_owned() });
        let health = with(|input| {
            input.disk_space = Some(other);
            input.continues_in = Some(Path::new("/media/Backup/Friday"));
        });
        assert_eq!(health.head, "Recording continues in /media/Backup/Friday.");
        assert!(health.severity == Severity::Caution && health.advice.unwrap().ends_with("room for 2 h"));
        assert_eq!(with(|input| input.disk_space = Some(full)).head, "The disk mnt is full.");
    }

    /// A cycle of 4.1 ms, of 1.3, and 42,999 page faults were green.
    #[test]
    fn a_cycle_past_its_deadline_is_a_caution_while_recording() {
        let histogram = crate::histogram::Histogram::default();
        histogram.count(4_100_000);
        let figures = EngineFigures {
            minor_faults: Some(0),
            major_faults: Some(0),
            cycles: Some(histogram.counts()),
            deadline_us: 1333.0,
            ..EngineFigures::default()
        };
        let figures = leak(figures);
        let health = with(|input| input.figures = figures);
        assert_eq!(health.severity, Severity::Caution);
        assert!(
            health.head.starts_with("A cycle took 4.") && health.head.ends_with("ms of 1.3 ms."),
            "{}",
            health.head
        );
    }

    #[test]
    fn an_entry_with_a_headline_stands_in_the_line_until_it_is_read() {
        let entry = EventEntry {
            at: std::time::Duration::ZERO,
            clock: String::new(),
            severity: Severity::Caution,
            text: "8 takes, 6.4 s, are whole".to_owned(),
            seen: false,
            headline: Some("A recording was recovered.".to_owned()),
        };
        let entry = leak(entry);
        let health = with(|input| input.standing = Some(entry));
        assert_eq!((health.severity, health.head.as_str()), (Severity::Caution, "A recording was recovered."));
        assert_eq!((health.cure, health.advice), (Some(Cure::Acknowledge), Some(entry.text.clone())));
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
