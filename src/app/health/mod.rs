//! The health line under the transport: the most urgent condition, figures, and advice. Thread: control. Pure.

use crate::app::snapshot::{Cure, DiskSpace, EngineFigures, EventEntry, Health, PassPhase, RECORDER_ENDED, Stage};
use crate::control::Severity;
use crate::control::recording::counted;
use crate::time::{Frames, SampleRate};
use std::path::Path;
use std::time::Duration;

/// Everything that the health line is derived from.
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
    /// The notice about a recovery at the start, if the user has not acknowledged it.
    pub(super) recovered: Option<&'a EventEntry>,
    /// Why the audio thread has no real-time priority, and how to change that.
    pub(super) no_real_time: Option<(&'a str, Option<&'a str>)>,
    pub(super) windows_unlocked: u64,
    /// Whether sound that is not on the disk yet outlives the program, if that is killed.
    pub(super) memory_outlives: bool,
    /// The error of the disk that fails now.
    pub(super) disk: Option<&'a str>,
    /// The folder of the pass's mirror, or its error.
    pub(super) mirror: Option<Result<&'a Path, &'a str>>,
    /// The newest sound of the pass that the mirror has not made durable.
    pub(super) mirror_behind: Option<Duration>,
    /// Frames lost that the user has acknowledged.
    pub(super) lost_before: u64,
    /// Frames lost while nothing was recorded, without those that the user has acknowledged.
    pub(super) lost_unrecorded: u64,
}

impl HealthInput<'_> {
    /// Frames lost that the user has not acknowledged, and those of them that are silence in takes. While a pass records,
    /// every lost frame is.
    fn lost(&self) -> (Frames, Frames) {
        let lost = self.figures.frames_lost.saturating_sub(self.lost_before);
        let records = matches!(self.phase, Some(PassPhase::Recording | PassPhase::Finishing));
        let silent = if records { lost } else { lost.saturating_sub(self.lost_unrecorded) };
        (Frames(lost), Frames(silent))
    }
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

/// Recording time that is left, in seconds, below which the health line is a caution (first) or an alarm (second).
const DISK_SECONDS_WARNING: (f64, f64) = (600.0, 120.0);

/// The disk counts as behind when one part in this many of the spool waits for it.
const BACKLOG_FRACTION: u64 = 8;

/// The health line for a state. Losses come before cautions.
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
    // A condition that costs sound comes first. The line about tracks without inputs does not go away during a recording, so
    // it comes after trouble that grows and after losses that the user can acknowledge.
    let (urgent_disk, disk) = match disk {
        Some(health) if health.severity == Severity::Loss => (Some(health), None),
        disk => (None, disk),
    };
    let trouble = device_or_loss(input, &make).or_else(|| match input.phase {
        Some(_) => urgent_disk.or(alarm).or(inputs).or(disk),
        None => alarm.or(inputs).or(urgent_disk).or(disk),
    });
    trouble.or_else(|| caution(input, &make)).unwrap_or_else(|| {
        let head = match (input.phase, input.built_in) {
            (None, true) => "Built-in test tones.",
            _ => "All is well.",
        };
        make(Severity::Info, head, "", None)
    })
}

/// The health line while nothing can be recorded. `None`: a session and a device are open.
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
        Stage::ReadOnly(reason) => alone(Severity::Caution, "Playback only.", reason, None),
        Stage::Failed { reason } => failed(reason),
        Stage::Open => return None,
    })
}

/// The health line after control has failed.
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

/// The health line after everything was closed and not everything is on the disk.
pub(super) fn unsaved(reason: &str) -> Health {
    Health { head: "Not everything is saved.".to_owned(), advice: Some(reason.to_owned()), ..failed(reason) }
}

type MakeHealth<'a> = dyn Fn(Severity, &str, &str, Option<Cure>) -> Health + 'a;

/// The health line for a device that is gone, or sound that was lost.
fn device_or_loss(input: &HealthInput<'_>, make: &MakeHealth<'_>) -> Option<Health> {
    if input.device_gone {
        let head = format!("{} is gone.", input.device);
        let waits = if input.phase.is_some() {
            "The recording continues with silence; plug it in again, or stop"
        } else {
            "Plug it in again, or choose another"
        };
        let cure = Some(Cure::ChooseDevice).filter(|_| input.phase.is_none());
        return Some(make(Severity::Loss, &head, input.device_blocked_by.unwrap_or(waits), cure));
    }
    let (lost, silent) = input.lost();
    if silent > Frames(0) {
        let head = format!("{} lost.", lost.text(input.rate));
        let advice = if silent == lost {
            "It is silence in its place, marked on the timeline".to_owned()
        } else {
            let silent = silent.text(input.rate);
            format!("{silent} of it is silence in its place, marked on the timeline; nothing was recorded at the rest")
        };
        return Some(make(Severity::Loss, &head, &advice, Some(Cure::Acknowledge)));
    }
    None
}

/// The health line for a recording that misses tracks, or would, because the device lacks their inputs.
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

/// The health line for a disk that takes nothing, is full soon, or was replaced by another one.
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
        let head = if input.phase.is_some() { "Recording into memory." } else { "The disk accepts no data." };
        return Some(make(Severity::Loss, head, &advice, choose));
    }
    if let Some(space) = space {
        let is_soon = space.seconds < DISK_SECONDS_WARNING.1;
        // Takes begin on the session's own disk. The other folder only takes over where they have begun.
        let is_closed = input.phase.is_none() && space.seconds < 1.0;
        let head = match time_left(space.seconds) {
            _ if space.seconds < 1.0 => format!("The disk {} is full.", space.disk),
            left if is_soon => format!("The disk {} is full in {left}.", space.disk),
            left => format!("{left} of room left."),
        };
        return Some(if is_closed {
            let advice = format!("Record cannot begin. Make room on {}, or open a session on another disk", space.disk);
            make(Severity::Loss, &head, &advice, Some(Cure::OpenSession))
        } else if is_soon && input.has_overflow && input.continues_in.is_none() {
            make(Severity::Caution, &head, "Then takes continue in the other folder, without a gap", None)
        } else {
            let advice = format!("Make room on {}, or choose another disk", space.disk);
            make(if is_soon { Severity::Loss } else { Severity::Caution }, &head, &advice, choose)
        });
    }
    let folder = input.continues_in?;
    let left = input.disk_space.map_or_else(String::new, |space| format!(", room for {}", time_left(space.seconds)));
    let advice = format!("The session's own disk refuses the takes. Nothing is lost{left}");
    Some(make(Severity::Caution, &format!("Recording continues in {}.", folder.display()), &advice, None))
}

/// The health line for a loss that the user has not acknowledged.
fn alarm(input: &HealthInput<'_>, make: &MakeHealth<'_>) -> Option<Health> {
    let alarm = input.alarm?;
    let (head, mut text) = head_and_rest(alarm);
    if let Some(recovered) = input.recovered.filter(|_| alarm.text.starts_with(RECORDER_ENDED)) {
        text = format!("It was started again. {}", recovered.text);
    }
    Some(make(Severity::Loss, &head, &text, Some(Cure::Acknowledge)))
}

/// The first words of the health line about an entry, and the rest. A text that is a sentence of its own is both.
fn head_and_rest(entry: &EventEntry) -> (String, String) {
    let sentence = entry.text.split_once("; ").filter(|(head, _)| head.starts_with("The "));
    match (&entry.headline, sentence) {
        (Some(head), _) => (head.clone(), entry.text.clone()),
        (None, Some((head, rest))) => (format!("{head}."), capitalised(rest)),
        (None, None) => ("Trouble.".to_owned(), entry.text.clone()),
    }
}

/// The health line for less safety margin than there should be.
fn caution(input: &HealthInput<'_>, make: &MakeHealth<'_>) -> Option<Health> {
    let caution = |head: &str, advice: &str, cure: Option<Cure>| Some(make(Severity::Caution, head, advice, cure));
    let figures = input.figures;
    let works = input.phase.is_some() || input.rolls;
    if let Some((head, advice)) = late_thread(figures).filter(|_| works) {
        return caution(&head, advice, Some(Cure::Examine));
    }
    if works && figures.frames_dropped > 0 {
        let head = format!("{} not heard in time.", Frames(figures.frames_dropped).text(input.rate));
        return caution(&head, "The disk was too slow for playback. The takes are whole", Some(Cure::Examine));
    }
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
    if let (Some(Ok(folder)), Some(behind)) = (input.mirror, mirror_lag(input).filter(|lag| MIRROR_LATE <= *lag)) {
        let seconds = behind.as_secs();
        let advice = format!(
            "{}: it lacks the last {seconds} s of this recording; the session's own takes continue as they are; check its disk",
            folder.display()
        );
        return caution("The mirror is behind.", &advice, None);
    }
    if input.windows_unlocked > 0 && input.phase.is_some() {
        let limit = figures.locked_limit / 1024;
        let advice = format!(
            "{limit} KiB may be locked, too little for all tracks; raise Locked memory in the settings, or ulimit -l"
        );
        return caution("Recording without locked memory.", &advice, None);
    }
    let (lost, silent) = input.lost();
    if input.phase.is_none() && silent < lost {
        let head = format!("{} lost by the device.", lost.text(input.rate));
        return caution(&head, "Nothing was recorded then, so no take lacks sound", Some(Cure::Acknowledge));
    }
    if let Some(entry) = input.standing {
        let cure = if entry.text.contains(TONES) { Cure::ChooseDevice } else { Cure::Acknowledge };
        // The headline names the subject already. A text without a subject of ours may begin with a name of the user's,
        // which stays as it is.
        let own = entry.text.strip_prefix("sleep: ").or_else(|| entry.text.strip_prefix("device: "));
        let text = own.map_or_else(|| entry.text.clone(), capitalised);
        return caution(entry.headline.as_deref().unwrap_or_default(), &text, Some(cure));
    }
    if let Some((reason, fix)) = input.no_real_time {
        let advice = fix.map_or_else(|| reason.to_owned(), |_| format!("{reason}. The Doctor panel has the command"));
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
            "The audio thread had to wait for the kernel; the Doctor panel may show why"
        };
        return Some((format!("{}.", counted(faults, "page fault")), advice));
    }
    let worst = figures.cycles.as_deref().map_or(0.0, crate::histogram::Counts::max_us);
    let ms = |us: f64| us / 1000.0;
    (0.0 < figures.deadline_us && figures.deadline_us < worst).then(|| {
        let head =
            format!("The audio thread needed {:.2} ms for a period of {:.2} ms.", ms(worst), ms(figures.deadline_us));
        (head, "Nothing is lost, but the margin was used up; the Doctor panel may show why")
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

/// Sound that a mirror may lack without being behind: syncs are less than a second apart, and headers wait for the save of a
/// loss for some seconds.
const MIRROR_LAG_MAX: Duration = Duration::from_secs(5);

/// Sound that a mirror lacks from which on the user is warned.
const MIRROR_LATE: Duration = Duration::from_secs(15);

/// The sound that a crash and a power cut would cost now.
fn safety(input: &HealthInput<'_>) -> Vec<String> {
    if input.phase != Some(PassPhase::Recording) {
        return Vec::new();
    }
    let mut safety = Vec::new();
    if input.memory_outlives {
        safety.push("safe against a crash: now".to_owned());
    }
    if let Some(age) = input.figures.durable_age {
        safety.push(format!("safe against power loss: {:.1} s ago", age.as_secs_f64()));
    }
    if let Some(Ok(folder)) = input.mirror {
        // Show the folder that the user chose. Its subfolder, where the mirror is, has the session's name.
        let named = folder.parent().and_then(Path::file_name).unwrap_or(folder.as_os_str());
        safety.push(match mirror_lag(input) {
            Some(lag) => format!("mirrored in {}, except the last {} s", named.display(), lag.as_secs()),
            None => format!("mirrored in {}", named.display()),
        });
    }
    safety
}

/// The sound that the mirror lacks while a pass is recorded, if it is more than that between two syncs.
fn mirror_lag(input: &HealthInput<'_>) -> Option<Duration> {
    input.mirror_behind.filter(|behind| input.phase == Some(PassPhase::Recording) && MIRROR_LAG_MAX < *behind)
}

#[cfg(test)]
mod tests;
