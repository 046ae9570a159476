//! Commands of the front end, carried out. Thread: control.
//!
//! [`App::apply`] takes every [`Command`]. One `match` without a catch-all arm handles them, so a new command does not
//! compile until it is handled here.

use super::build_snapshot::{TransportRequests, has_inputs, recordable};
use super::command::Command;
use super::jobs::{ExportRequest, StressRequest};
use super::settings::STOP_KEYS;
use super::settings_change::SettingsChange;
use super::snapshot::{Cure, EventEntry, Note, Refusal, Stage};
use super::{App, OpenState};
use crate::control::edit::Edit;
use crate::control::recording::counted;
use crate::control::{Control, ControlError, Severity};
use crate::message::Motion;
use crate::session::{Region, Session, Track, TrackId};
use crate::time::{FramePos, Frames};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The answer to the last command: the reason of a refusal, or a note about an effect that the user may not see.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) refusal: Option<Refusal>,
    pub(super) note: Option<Note>,
    /// Number of all refusals and notes.
    number: u64,
}

impl Answers {
    /// No refusal and no note. The number continues, because the window knows by it which ones it has shown.
    pub(super) fn cleared(&self) -> Answers {
        Answers { number: self.number, ..Answers::default() }
    }
}

/// A command that needs a note after it was carried out.
enum Noted {
    Undo,
    Redo,
    /// A removal that undo takes back: number of things, and their name.
    Removal(usize, &'static str),
    Discard,
    Restore,
    /// The range is cleared that these switches need, so they are off.
    SwitchedOff(&'static str),
}

impl Noted {
    /// The note that the command needs. `transport`: the requests before it.
    fn of(command: &Command, transport: &TransportRequests) -> Option<Noted> {
        Some(match command {
            Command::Range(None) => match (transport.loops, transport.punches) {
                (true, true) => Noted::SwitchedOff("Loop and Punch are"),
                (true, false) => Noted::SwitchedOff("Loop is"),
                (false, true) => Noted::SwitchedOff("Punch is"),
                (false, false) => return None,
            },
            Command::Undo => Noted::Undo,
            Command::Redo => Noted::Redo,
            Command::Edit(Edit::RemoveTracks(ids)) => Noted::Removal(ids.len(), "track"),
            Command::Edit(Edit::RemoveRegions(ids)) => Noted::Removal(ids.len(), "region"),
            Command::Edit(Edit::TrashTakes(_)) => Noted::Discard,
            Command::Edit(Edit::UntrashTake(_) | Edit::UntrashTakes(_)) => Noted::Restore,
            _ => return None,
        })
    }
}

impl App {
    /// Opens a session that a kept version was made again, and says which files of takes that version does not list.
    pub(super) fn open_restored(&mut self, folder: PathBuf, unlisted: Option<String>) {
        self.open(Some(folder));
        if let Some(text) = unlisted {
            self.notify(Severity::Caution, text);
        }
    }

    /// Carries out a command. The window shows the reason of a command that is refused. The reason is an event too, unless
    /// the user has only pressed a key that has no effect now.
    pub fn apply(&mut self, command: Command) {
        self.changed = true;
        let is_idle_key = match &command {
            Command::Undo | Command::Redo | Command::Loop(_) | Command::Punch(_) => true,
            Command::Record
            | Command::Play
            | Command::PlayOrStop
            | Command::Save
            | Command::Locate(_)
            | Command::ToStart
            | Command::ToEnd => self.is_recording() || matches!(self.state, OpenState::Empty(Stage::Opening)),
            _ => false,
        };
        let is_user = !matches!(command, Command::Notice(..) | Command::RescanDevices | Command::Settings(_));
        let loops = matches!(command, Command::Record) && self.transport.loops;
        let noted = Noted::of(&command, &self.transport);
        let allowed = self.check_owner(&command).and_then(|()| self.check_lock(&command));
        match allowed.and_then(|()| self.carry_out(command)) {
            Ok(()) if is_user => {
                self.answers = self.answers.cleared();
                if let Some(text) = noted.and_then(|noted| self.note_text(&noted)) {
                    self.answers.number += 1;
                    self.answers.note = Some(Note { number: self.answers.number, text });
                }
            }
            Ok(()) => {}
            Err(error) => {
                let text = error.to_string();
                if !is_idle_key {
                    self.notify(Severity::Caution, text.clone());
                }
                self.refuse(text, loops.then_some(Cure::SwitchLoopOff));
            }
        }
    }

    /// Shows why a command has no effect.
    pub(super) fn refuse(&mut self, text: String, cure: Option<Cure>) {
        let number = self.answers.number + 1;
        self.answers = Answers { refusal: Some(Refusal { number, text, cure }), note: None, number };
    }

    /// The note about a command that was carried out.
    fn note_text(&self, noted: &Noted) -> Option<String> {
        let OpenState::Open(control) = &self.state else { return None };
        let (undo, redo) = control.undo_labels();
        Some(match noted {
            Noted::Undo => format!("Undone: {}", redo?),
            Noted::Redo => format!("Redone: {}", undo?),
            Noted::Removal(number, thing) => {
                let them = if *number == 1 { "it" } else { "them" };
                format!("{} removed; Undo brings {them} back", counted(*number as u64, thing))
            }
            Noted::Discard => "The recording is in the trash; Undo brings it back".to_owned(),
            Noted::SwitchedOff(switches) => {
                format!("{switches} off: the range is cleared; drag a new one in the ruler")
            }
            Noted::Restore => "Back among the takes; click a take there to use it".to_owned(),
        })
    }

    fn carry_out(&mut self, command: Command) -> Result<(), ControlError> {
        match command {
            Command::Record => self.record()?,
            Command::Stop => {
                self.stopped_for_terminal();
                self.with_control(|control, transport| {
                    transport.rolls = false;
                    control.stop();
                    Ok(())
                })?;
            }
            Command::Play => self.with_control(play)?,
            Command::PlayOrStop => self.with_control(play_or_stop)?,
            Command::Locate(to) => self.with_control(|control, transport| locate(control, transport, to))?,
            Command::ToStart => self.with_control(|control, transport| locate(control, transport, FramePos(0)))?,
            Command::ToEnd => self.with_control(|control, transport| {
                let end = control.session().end();
                locate(control, transport, end)
            })?,
            // An empty range is none that a user asks for. It must not switch Loop and Punch off.
            Command::Range(Some((from, to))) if to <= from => {}
            Command::Range(range) => self.with_control(|control, transport| {
                transport.range = range;
                if transport.loops {
                    control.set_loop(transport.range);
                }
                // A lit Punch promises an end of the recording, and there is none without a range.
                transport.loops &= transport.range.is_some();
                transport.punches &= transport.range.is_some();
                Ok(())
            })?,
            Command::Loop(on) => self.with_control(|control, transport| {
                range_check("loop", on, transport)?;
                transport.loops = on && transport.range.is_some();
                control.set_loop(transport.range.filter(|_| transport.loops));
                if transport.rolls && !control.is_recording() { locate_into_loop(control, transport) } else { Ok(()) }
            })?,
            Command::Punch(on) => self.with_control(|_, transport| {
                range_check("punch", on, transport)?;
                transport.punches = on && transport.range.is_some();
                Ok(())
            })?,
            Command::UseInputs => self.with_control(|control, _| use_inputs(control))?,
            Command::Edit(edit) => self.with_control(|control, _| control.edit(edit))?,
            Command::Marker => self.with_control(|control, _| {
                let position = FramePos(control.published().position.load(Relaxed));
                let name = next_marker_name(control.session());
                control.edit(Edit::AddMarker(position, name))
            })?,
            Command::Undo => self.with_control(|control, _| control.undo())?,
            Command::Redo => self.with_control(|control, _| control.redo())?,
            Command::Save => self.save()?,
            Command::NewSession => {
                self.refuse_while_recording("new session")?;
                self.open(None);
            }
            Command::OpenSession(folder) => {
                self.refuse_while_recording("open a session")?;
                self.open(Some(folder));
            }
            Command::RestoreVersion(number) => self.opener.restore(self.session_info.folder.clone(), number),
            Command::Reopen => {
                self.refuse_while_recording("device")?;
                self.reopen();
            }
            Command::RescanDevices => self.opener.list(),
            Command::SetOverflowFolder(folder) => self.apply_settings(vec![SettingsChange::Overflow(Some(folder))]),
            Command::Settings(changes) => self.apply_settings(changes),
            Command::Notice(severity, text) => self.notify(severity, text),
            Command::Refusal(text) => return Err(ControlError::State(text)),
            Command::Export(request) => self.export(*request)?,
            Command::CancelExport => self.jobs.cancel_export(),
            Command::Doctor => match &self.state {
                OpenState::Open(control) => {
                    let (tracks, rate) = (control.session().tracks().len(), control.session().rate().0);
                    self.jobs.doctor(control.folder().to_path_buf(), tracks, rate, self.settings.format);
                }
                OpenState::Empty(stage) => return Err(nothing_open(stage)),
            },
            Command::Stress(request) => self.stress(request),
            Command::CancelStress => self.jobs.cancel_stress(),
            Command::Acknowledge => self.acknowledge(),
            Command::AcknowledgeLine => self.acknowledge_line(),
        }
        Ok(())
    }

    /// Exports the session that the window shows. An export needs no device.
    fn export(&mut self, request: ExportRequest) -> Result<(), ControlError> {
        if self.jobs.is_exporting() {
            return Err(ControlError::State("export: one is running; wait for its end, or cancel it".to_owned()));
        }
        let (folder, session) = match &mut self.state {
            OpenState::Open(control) => (control.folder().to_path_buf(), control.shared()),
            OpenState::Empty(Stage::NoDevice { .. }) if !self.session_info.folder.as_os_str().is_empty() => {
                (self.session_info.folder.clone(), Arc::clone(&self.session_info.session))
            }
            OpenState::Empty(stage) => return Err(nothing_open(stage)),
        };
        self.jobs.export(request, folder, session);
        Ok(())
    }

    fn stress(&mut self, request: StressRequest) {
        let base = self.session_info.folder.parent().map_or_else(std::env::temp_dir, PathBuf::from);
        let program = self.options.program.clone();
        self.jobs.stress(request, &base, self.settings.period, program);
    }

    /// Does `work` on the session and the device that are open.
    fn with_control(
        &mut self,
        work: impl FnOnce(&mut Control, &mut TransportRequests) -> Result<(), ControlError>,
    ) -> Result<(), ControlError> {
        match &mut self.state {
            OpenState::Open(control) => work(control, &mut self.transport),
            OpenState::Empty(stage) => Err(nothing_open(stage)),
        }
    }

    fn refuse_while_recording(&self, subject: &str) -> Result<(), ControlError> {
        if self.is_recording() {
            return Err(ControlError::State(format!("{subject}: a pass is being recorded; stop it first")));
        }
        Ok(())
    }

    /// Refuses to play and to record while a pass runs.
    fn check_lock(&self, command: &Command) -> Result<(), ControlError> {
        let subject = match command {
            Command::Record => "record",
            Command::Play | Command::PlayOrStop => "play",
            _ => return Ok(()),
        };
        match &self.state {
            OpenState::Open(control) if control.is_recording() => {
                Err(locked(control, subject, self.settings.keys.get(STOP_KEYS).map(String::as_str)))
            }
            OpenState::Open(_) | OpenState::Empty(_) => Ok(()),
        }
    }

    /// Records every armed track; if none is armed, arms all of them first.
    fn record(&mut self) -> Result<(), ControlError> {
        let pre_roll = self.settings.pre_roll_ms;
        self.with_control(|control, transport| {
            if transport.loops {
                // A pass runs on without end. Playback beside it must not jump back.
                let text = "record: Loop is on, and a loop cannot be recorded yet; switch Loop off first";
                return Err(ControlError::State(text.to_owned()));
            }
            transport.replays = false;
            if control.session().tracks().iter().all(|track| !track.armed) {
                let all = control.session().track_ids().collect();
                control.edit(Edit::Arm(all, true))?;
            }
            match transport.range.filter(|_| transport.punches) {
                Some((from, to)) => {
                    let rate = control.session().rate();
                    control.punch(from, to, rate.frames(Duration::from_millis(pre_roll)))?;
                }
                None => control.record(Frames(u64::MAX))?,
            }
            transport.begins = true;
            Ok(())
        })
    }

    fn save(&mut self) -> Result<(), ControlError> {
        match &mut self.state {
            OpenState::Open(control) => {
                control.save_now();
                self.save_to_announce = Some(control.revision());
                Ok(())
            }
            OpenState::Empty(stage) => Err(nothing_open(stage)),
        }
    }

    /// Closes the device and opens the one that the settings name.
    fn reopen(&mut self) {
        // The device of the command line is used until the settings name one.
        self.options.device = self.options.device.take().filter(|_| self.settings.device.is_none());
        let folder = (!self.session_info.folder.as_os_str().is_empty()).then(|| self.session_info.folder.clone());
        self.open(folder);
    }

    /// Acknowledges what the health line shows, and nothing that it has not shown yet.
    fn acknowledge_line(&mut self) {
        let notices = Arc::make_mut(&mut self.notices);
        let mut losses = notices.iter_mut().filter(|entry| entry.severity == Severity::Loss && !entry.seen).peekable();
        if losses.peek().is_some() {
            losses.for_each(|entry| entry.seen = true);
            self.acknowledge_losses();
        } else if self.has_new_losses() {
            self.acknowledge_losses();
        } else {
            let is_standing = |entry: &&EventEntry| entry.headline.is_some() && !entry.seen;
            let shown = self.notices.iter().rev().find(is_standing).and_then(|entry| entry.headline.clone());
            // The takes of a recording that was cut off have an entry each, with the same headline.
            let entries = Arc::make_mut(&mut self.notices).iter_mut();
            entries.filter(|entry| shown.is_some() && entry.headline == shown).for_each(|entry| entry.seen = true);
        }
    }

    fn acknowledge(&mut self) {
        for entry in Arc::make_mut(&mut self.notices) {
            entry.seen = true;
        }
        self.acknowledge_losses();
    }

    /// Stores changed settings. Format, input monitoring, offset, mirror and overflow folder also change the open session at
    /// once. A terminal that owns the recording may have named others than the settings, so each is set only if it is among
    /// the changes.
    fn apply_settings(&mut self, changes: Vec<SettingsChange>) {
        let has = |is_it: fn(&SettingsChange) -> bool| changes.iter().any(is_it);
        let has_mirror = has(|change| matches!(change, SettingsChange::Mirror(_)));
        let has_overflow = has(|change| matches!(change, SettingsChange::Overflow(_)));
        let has_offset = has(|change| matches!(change, SettingsChange::Offset { .. }));
        let mut settings = (*self.settings).clone();
        for change in changes {
            settings.apply(change);
        }
        let settings = settings.clamped();
        if let OpenState::Open(control) = &mut self.state {
            if settings.format != self.settings.format && control.format() != settings.format {
                control.edit(Edit::Format(settings.format)).ok();
            }
            if settings.monitors != self.settings.monitors {
                let inputs = control.running().device.inputs;
                control.set_monitoring(settings.monitors.unwrap_or(inputs > 2));
            }
            if has_offset {
                control.set_latency_offset(settings.offset_of(&control.offset_key()));
            }
            if has_mirror {
                control.set_mirror(settings.mirror.as_deref());
            }
            if has_overflow {
                control.set_overflow(settings.overflow.as_deref());
            }
        }
        self.change_settings(|current| *current = settings);
    }
}

/// The reason why nothing can be done while no session and no device is open.
fn nothing_open(stage: &Stage) -> ControlError {
    let text = match stage {
        Stage::Opening => "still opening; press again when it is open",
        _ => "no session and no device is open; choose a device, or open a session",
    };
    ControlError::State(text.to_owned())
}

/// The reason why the transport does not obey during a pass. `stop_keys`: the user's keys for Stop.
fn locked(control: &Control, subject: &str, stop_keys: Option<&str>) -> ControlError {
    let is_over = control.pass_status().is_some_and(|pass| pass.has_ended());
    ControlError::State(if is_over {
        format!("{subject}: the recording is being finished; try again in a moment")
    } else {
        format!("The recording is locked. Hold {} to end it", stop_and_key(stop_keys))
    })
}

/// Stop and its key, as a text.
fn stop_and_key(keys: Option<&str>) -> String {
    let first = keys.unwrap_or("Escape").split_whitespace().next().unwrap_or_default();
    if first.is_empty() { "Stop".to_owned() } else { format!("Stop or {}", first.replace("Escape", "Esc")) }
}

/// Refuses to switch something on that needs a range.
fn range_check(subject: &str, on: bool, transport: &TransportRequests) -> Result<(), ControlError> {
    if on && transport.range.is_none() {
        return Err(ControlError::State(format!("{subject}: there is no range; drag one in the ruler")));
    }
    Ok(())
}

fn locate(control: &mut Control, transport: &mut TransportRequests, to: FramePos) -> Result<(), ControlError> {
    control.locate(to)?;
    transport.replays = false;
    Ok(())
}

/// Plays from the playhead. Right after a recording, and where nothing is left to play, plays what was recorded last.
fn play(control: &mut Control, transport: &mut TransportRequests) -> Result<(), ControlError> {
    let at = FramePos(control.published().position.load(Relaxed));
    let replays = std::mem::take(&mut transport.replays) || control.session().end() <= at;
    let start = last_pass_start(control.session(), transport.last_pass);
    if let Some(start) = start.filter(|_| replays && !transport.loops) {
        control.locate(start)?;
    }
    if transport.loops {
        locate_into_loop(control, transport)?;
    }
    transport.rolls = true;
    control.roll();
    Ok(())
}

/// Goes to the start of the loop if the playhead is behind its end: playback from there would never come back to it.
fn locate_into_loop(control: &mut Control, transport: &TransportRequests) -> Result<(), ControlError> {
    let at = FramePos(control.published().position.load(Relaxed));
    match transport.range.filter(|(_, end)| transport.loops && *end <= at) {
        Some((start, _)) => control.locate(start),
        None => Ok(()),
    }
}

/// The name of the next marker: one more than the highest number among the names, so that no marker ever gets another number.
fn next_marker_name(session: &Session) -> String {
    let numbers = session.markers().iter().enumerate();
    let highest = numbers.filter_map(|(at, marker)| match marker.name.as_str() {
        // Markers of earlier versions have no name, and show their place in the list.
        "" => Some(at as u64 + 1),
        name => name.parse::<u64>().ok(),
    });
    (highest.max().unwrap_or(0).saturating_add(1)).to_string()
}

/// The first position at which a take of the last pass plays: of the pass `recorded`, or, if all of it is in the trash, of
/// the one with the highest number.
fn last_pass_start(session: &Session, recorded: Option<u32>) -> Option<FramePos> {
    let kept = || session.takes().iter().filter(|take| !take.trashed).map(|take| take.pass);
    let last = recorded.filter(|pass| kept().any(|kept| kept == *pass)).or_else(|| kept().max())?;
    let regions = session.tracks().iter().flat_map(Track::regions);
    let is_of_last = |region: &&Region| session.take(region.take).is_some_and(|take| take.pass == last);
    regions.filter(is_of_last).map(|region| region.start).min()
}

fn play_or_stop(control: &mut Control, transport: &mut TransportRequests) -> Result<(), ControlError> {
    let rolls = match control.published().motion() {
        Motion::Rolling => true,
        Motion::Stopped | Motion::Stopping => false,
        // While the engine locates, the last request counts.
        Motion::DeclickToLocate | Motion::WaitingForData => transport.rolls,
    };
    if rolls {
        transport.rolls = false;
        control.stop();
        return Ok(());
    }
    play(control, transport)
}

/// Arms the tracks whose inputs the device has, of those that Record would record, and no others. If none has, the
/// first ones get the inputs.
fn use_inputs(control: &mut Control) -> Result<(), ControlError> {
    let inputs = control.inputs_now();
    let wanted = || recordable(control.session());
    let mut chosen: Vec<TrackId> = wanted().filter(|track| has_inputs(track, inputs)).map(Track::id).collect();
    let mut given = Vec::new();
    if chosen.is_empty() {
        chosen = wanted().map(Track::id).take(inputs).collect();
        given = chosen.iter().enumerate().map(|(input, track)| (*track, vec![input as u32])).collect();
    }
    control.edit(Edit::ArmOnly(chosen, given))
}

#[cfg(test)]
mod tests;
