//! Commands of the front end, carried out. Thread: control.
//!
//! [`App::apply`] takes every [`Command`]. One `match` without a catch-all arm handles them, so a new command does not
//! compile until it is handled here.

use super::build_snapshot::TransportRequests;
use super::command::Command;
use super::jobs::{ExportRequest, StressRequest};
use super::settings_change::SettingsChange;
use super::{App, OpenState};
use crate::control::edit::Edit;
use crate::control::{Control, ControlError, Severity};
use crate::message::Motion;
use crate::session::names::AUDIO;
use crate::time::{FramePos, Frames};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

impl App {
    /// Carries out a command. A command that is refused posts a notice; a command that needs a session and a device
    /// does nothing while none is open.
    pub fn apply(&mut self, command: Command) {
        self.changed = true;
        if let Err(error) = self.carry_out(command) {
            self.notify(Severity::Caution, error.to_string());
        }
    }

    fn carry_out(&mut self, command: Command) -> Result<(), ControlError> {
        match command {
            Command::Record => self.record()?,
            Command::Stop => self.with_control(|control, transport| {
                transport.rolls = false;
                control.stop();
                Ok(())
            })?,
            Command::Play => self.with_control(|control, transport| {
                if !control.is_recording() {
                    transport.rolls = true;
                    control.roll();
                }
                Ok(())
            })?,
            Command::PlayOrStop => self.with_control(|control, transport| {
                play_or_stop(control, transport);
                Ok(())
            })?,
            Command::Locate(to) => self.with_control(|control, _| control.locate(to))?,
            Command::ToStart => self.with_control(|control, _| control.locate(FramePos(0)))?,
            Command::ToEnd => self.with_control(|control, _| control.locate(control.session().end()))?,
            Command::Range(range) => self.with_control(|control, transport| {
                transport.range = range.filter(|(from, to)| from < to);
                if transport.loops {
                    control.set_loop(transport.range);
                }
                Ok(())
            })?,
            Command::Loop(on) => self.with_control(|control, transport| {
                transport.loops = on && transport.range.is_some();
                control.set_loop(transport.range.filter(|_| transport.loops));
                Ok(())
            })?,
            Command::Punch(on) => self.with_control(|_, transport| {
                transport.punches = on && transport.range.is_some();
                Ok(())
            })?,
            Command::Edit(edit) => self.with_control(|control, _| control.edit(edit))?,
            Command::Marker => self.with_control(|control, _| {
                let position = FramePos(control.published().position.load(Relaxed));
                control.edit(Edit::AddMarker(position, String::new()))
            })?,
            Command::Undo => self.with_control(|control, _| control.undo())?,
            Command::Redo => self.with_control(|control, _| control.redo())?,
            Command::Save => self.save(),
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
            Command::SetOverflowFolder(folder) => self.apply_settings([SettingsChange::Overflow(Some(folder))]),
            Command::Settings(changes) => self.apply_settings(changes),
            Command::Notice(severity, text) => self.notify(severity, text),
            Command::Export(request) => self.export(*request),
            Command::CancelExport => self.jobs.cancel_export(),
            Command::Doctor => {
                if let OpenState::Open(control) = &self.state {
                    let (tracks, rate) = (control.session().tracks().len(), control.session().rate().0);
                    self.jobs.doctor(control.folder().to_path_buf(), tracks, rate, self.settings.format);
                }
            }
            Command::Stress(request) => self.stress(request),
            Command::CancelStress => self.jobs.cancel_stress(),
            Command::OpenFolder => {
                if let OpenState::Open(control) = &self.state {
                    self.jobs.open_folder(control.folder().join(AUDIO));
                }
            }
            Command::OpenExportFolder(folder) => self.jobs.open_folder(folder),
            Command::Acknowledge => self.acknowledge(),
        }
        Ok(())
    }

    fn export(&mut self, request: ExportRequest) {
        if let OpenState::Open(control) = &mut self.state {
            let session = control.shared();
            self.jobs.export(request, control.folder().to_path_buf(), session);
        }
    }

    fn stress(&mut self, request: StressRequest) {
        let base = self.session_info.folder.parent().map_or_else(std::env::temp_dir, PathBuf::from);
        let program = self.options.program.clone();
        self.jobs.stress(request, &base, self.settings.period, program);
    }

    /// Does `work` if a session and a device are open.
    fn with_control(
        &mut self,
        work: impl FnOnce(&mut Control, &mut TransportRequests) -> Result<(), ControlError>,
    ) -> Result<(), ControlError> {
        match &mut self.state {
            OpenState::Open(control) => work(control, &mut self.transport),
            OpenState::Empty(_) => Ok(()),
        }
    }

    fn refuse_while_recording(&self, subject: &str) -> Result<(), ControlError> {
        if self.is_recording() {
            return Err(ControlError::State(format!("{subject}: a pass is being recorded; stop it first")));
        }
        Ok(())
    }

    /// Records every armed track; if none is armed, arms all of them first.
    fn record(&mut self) -> Result<(), ControlError> {
        let pre_roll = self.settings.pre_roll_ms;
        self.with_control(|control, transport| {
            if control.is_recording() {
                return Ok(());
            }
            if control.session().tracks().iter().all(|track| !track.armed) {
                let all = control.session().track_ids().collect();
                control.edit(Edit::Arm(all, true))?;
            }
            if transport.loops {
                // A pass runs on without end. Playback beside it must not jump back.
                transport.loops = false;
                control.set_loop(None);
            }
            match transport.range.filter(|_| transport.punches) {
                Some((from, to)) => {
                    let rate = control.session().rate();
                    control.punch(from, to, rate.frames(Duration::from_millis(pre_roll)))
                }
                None => control.record(Frames(u64::MAX)),
            }
        })
    }

    fn save(&mut self) {
        if let OpenState::Open(control) = &mut self.state {
            control.save_now();
            self.save_to_announce = Some(control.revision());
        }
    }

    /// Closes the device and opens the one that the settings name.
    fn reopen(&mut self) {
        // The device of the command line is used until the settings name one.
        self.options.device = self.options.device.take().filter(|_| self.settings.device.is_none());
        let folder = (!self.session_info.folder.as_os_str().is_empty()).then(|| self.session_info.folder.clone());
        self.open(folder);
    }

    fn acknowledge(&mut self) {
        for entry in Arc::make_mut(&mut self.notices) {
            entry.seen = true;
        }
        self.acknowledge_losses();
    }

    /// Stores changed settings. Format, input monitoring, mirror and overflow folder also change the open session at
    /// once.
    fn apply_settings(&mut self, changes: impl IntoIterator<Item = SettingsChange>) {
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
            control.set_mirror(settings.mirror.as_deref());
            control.set_overflow(settings.overflow.as_deref());
        }
        self.change_settings(|current| *current = settings);
    }
}

fn play_or_stop(control: &mut Control, transport: &mut TransportRequests) {
    if control.is_recording() {
        return;
    }
    let rolls = match control.published().motion() {
        Motion::Rolling => true,
        Motion::Stopped | Motion::Stopping => false,
        // While the engine locates, the last request counts.
        Motion::DeclickToLocate | Motion::WaitingForData => transport.rolls,
    };
    transport.rolls = !rolls;
    if rolls {
        control.stop();
    } else {
        control.roll();
    }
}
