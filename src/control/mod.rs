//! The faces' end of everything: sends commands, drains events, keeps the session. Thread: control.
//!
//! A face calls [`Control::poll`] in its loop and shows the [`Notice`]s; nothing here waits for the disk but
//! [`Control::open`] and [`Control::close`].

mod answers;
mod companion;
mod disk_space;
pub mod edit;
mod ended;
mod events;
mod mirror;
mod monitoring;
mod overflow;
pub mod pass;
pub mod playback;
mod reconnect;
pub mod report;
mod session_folder;
pub mod session_saver;
pub mod setup;
mod system_sleep;

use crate::butler::spool;
use crate::device::{self, DeviceError, DeviceSpec};
use crate::flight::record::Kind;
use crate::format::TakeFormat;
use crate::message::AudioCommand;
use crate::message::published::Published;
use crate::recovery;
use crate::residency::sample::Sources;
use crate::residency::watcher::Watcher;
use crate::session::session_file::{OpenSession, SESSION_FILE, SessionError, folder_of, is_in_use, open_read_only};
use crate::session::{Session, TrackId};
use crate::threads::{self, Threads, ThreadsError, ThreadsSetup};
use crate::time::{FramePos, SampleRate};
use companion::Companions;
use pass::{PassReport, RecordingPass};
use playback::Players;
use report::Reading;
use session_saver::SessionSaver;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub use crate::flight::record::Severity;

/// Something that a face shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How bad it is.
    pub severity: Severity,
    /// In words: the thing, the reason, what to do.
    pub text: String,
}

/// Why something could not be begun.
#[derive(Debug)]
pub enum ControlError {
    /// The session.
    Session(SessionError),
    /// The device.
    Device(DeviceError),
    /// The threads.
    Run(ThreadsError),
    /// The kernel's pages.
    Kernel(io::Error),
    /// It makes no sense now.
    State(String),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlError::Session(error) => error.fmt(f),
            ControlError::Device(error) => error.fmt(f),
            ControlError::Run(error) => error.fmt(f),
            ControlError::Kernel(error) => error.fmt(f),
            ControlError::State(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for ControlError {}

/// What a session is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To record, and to play along. It is made if it is not there, locked against others, and saved.
    Record,
    /// To play. Nothing of it is written, so it may be read-only, or another program may be recording into it.
    Play,
}

/// What a session is opened with.
pub struct Setup {
    /// The session's folder.
    pub folder: PathBuf,
    /// What it is opened for.
    pub purpose: Purpose,
    /// The device.
    pub device: DeviceSpec,
    /// How new takes are stored.
    pub format: TakeFormat,
    /// Memory, paths, syncs.
    pub run: ThreadsSetup,
}

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "each is a wish or a debt of its own")]
pub struct Control {
    running: Threads,
    session: Session,
    folder: PathBuf,
    /// `None`: the session was opened to be played.
    saver: Option<SessionSaver>,
    companions: Companions,
    players: Players,
    pass: Option<RecordingPass>,
    reports: VecDeque<PassReport>,
    notices: VecDeque<Notice>,
    format: TakeFormat,
    next_key: u64,
    undo_steps: edit::UndoSteps,
    /// Changes whenever the session may have.
    revision: u64,
    /// The session for those who draw, of a revision.
    shared: Option<(u64, Arc<Session>)>,
    /// Whether the session saver has yet to be given the session as it is.
    save_due: bool,
    /// Whether tracks are heard, and their players follow the session.
    playback_enabled: bool,
    /// Whether inputs of armed tracks are heard where that is left to the program.
    auto_monitoring: bool,
    /// Whether places of the session changed that the players do not know yet.
    players_outdated: bool,
    lost_device: Option<reconnect::LostDevice>,
    /// The machine's sleep so far.
    system_sleep: system_sleep::SystemSleep,
    spec: DeviceSpec,
    disk_trouble: Option<String>,
    /// Files that lay in the session's folder when it was opened: no take gets a name of theirs.
    file_names_found: Vec<String>,
    watched_folder: session_folder::WatchedFolder,
    watcher: Option<Watcher>,
    event_log: events::EventLog,
}

impl Control {
    /// Opens or makes the session, opens the device, starts the threads.
    pub fn open(setup: Setup) -> Result<Control, ControlError> {
        crate::window::page_bytes_check().map_err(ControlError::Kernel)?;
        // A device that is not there must not leave an empty session behind.
        let mut spec = setup.device.clone();
        let device = device::open(&spec).map_err(ControlError::Device)?;
        spec.name = device::lasting_name(&spec.name);
        let rate = device.facts().rate;
        let (mut store, mut session) = match setup.purpose {
            Purpose::Record => open_session(&setup, rate).map(|(store, session)| (Some(store), session))?,
            Purpose::Play => (None, open_read_only(&setup.folder).map_err(ControlError::Session)?),
        };
        let mut notices: VecDeque<Notice> = recover_cut_off(&setup.folder, store.as_mut(), &mut session).into();
        let recovered = notices.len();
        if session.rate() != rate {
            return Err(ControlError::State(format!(
                "{}: the session has {} and the device {rate}; open the device with the session's rate",
                setup.folder.display(),
                session.rate()
            )));
        }
        let capabilities = setup.run.capabilities.notes.iter().chain(&device.facts().notes);
        notices.extend(capabilities.map(|text| Notice { severity: Severity::Caution, text: text.clone() }));
        // The spool keeps the path of its take, for a recovery that may start elsewhere.
        let folder = store.as_ref().map_or(folder_of(&setup.folder), OpenSession::path);
        let folder = std::path::absolute(folder).map_err(ControlError::Kernel)?;
        if let Some(store) = &store {
            notices.extend(session_folder::notices(store, &folder, setup.format, rate));
        }
        let watched_folder = session_folder::WatchedFolder::of(store.as_ref());
        let file_names_found = store.as_ref().and_then(|store| store.file_names().ok()).unwrap_or_default();
        let saver = store.map(SessionSaver::start).transpose().map_err(ControlError::Kernel)?;
        let mut event_log = events::EventLog::start(&folder, saver.is_some());
        let running = threads::start(device, setup.run).map_err(ControlError::Run)?;
        if let Some(reason) = running.scheduling.reason() {
            let fix = running.scheduling.fix().map_or_else(String::new, |fix| format!("; to change that: {fix}"));
            let text =
                format!("audio thread: no real-time scheduling ({reason}), a busy machine can make it late{fix}");
            notices.push_back(Notice { severity: Severity::Caution, text });
        }
        event_log.opened(&folder, &running, recovered, notices.iter());
        Ok(Control {
            running,
            session,
            folder,
            saver,
            companions: Companions::default(),
            players: Players::default(),
            pass: None,
            reports: VecDeque::new(),
            notices,
            format: setup.format,
            next_key: 1,
            undo_steps: edit::UndoSteps::default(),
            revision: 1,
            shared: None,
            save_due: false,
            playback_enabled: false,
            auto_monitoring: true,
            players_outdated: false,
            lost_device: None,
            system_sleep: system_sleep::SystemSleep::default(),
            spec,
            disk_trouble: None,
            file_names_found,
            watched_folder,
            watcher: None,
            event_log,
        })
    }

    /// The session as it is now.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The session as it is now, to be kept while it changes.
    pub fn shared(&mut self) -> Arc<Session> {
        match &self.shared {
            Some((revision, session)) if *revision == self.revision => Arc::clone(session),
            _ => {
                let session = Arc::new(self.session.clone());
                self.shared = Some((self.revision, Arc::clone(&session)));
                session
            }
        }
    }

    /// Changes whenever the session may have.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether nothing of the session is written.
    pub fn is_read_only(&self) -> bool {
        self.saver.is_none()
    }

    /// The session's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How new takes are stored.
    pub fn format(&self) -> TakeFormat {
        self.format
    }

    /// The threads, their numbers and what they were granted.
    pub fn running(&self) -> &Threads {
        &self.running
    }

    /// The residency of windows, sampled while something shows it. Its thread is started by the first call.
    pub fn watcher(&mut self) -> io::Result<&Watcher> {
        let watcher = match self.watcher.take() {
            Some(watcher) => watcher,
            None => Watcher::start(Sources {
                ledger: Arc::clone(&self.running.ledger),
                published: Arc::clone(&self.running.published),
                disk: Arc::clone(&self.running.disk),
                budget: Arc::clone(&self.running.budget),
            })?,
        };
        Ok(self.watcher.insert(watcher))
    }

    /// The audio thread's numbers.
    pub fn published(&self) -> &Published {
        &self.running.published
    }

    /// Sees to it that there is a track for each of the device channels below `inputs`, and arms those
    /// tracks and no others.
    pub fn arm_inputs(&mut self, inputs: usize) -> Result<(), ControlError> {
        for input in 0..inputs as u32 {
            let has = self.session.tracks().iter().any(|track| track.inputs() == [input]);
            if !has {
                let name = format!("In {}", input + 1);
                self.session.add_track(&name, &[input]).map_err(|error| ControlError::State(error.to_string()))?;
            }
        }
        let ids: Vec<TrackId> = self.session.track_ids().collect();
        let mut wanted: Vec<u32> = (0..inputs as u32).collect();
        for id in ids {
            if let Some(track) = self.session.track_mut(id) {
                let at = wanted.iter().position(|input| track.inputs() == [*input]);
                track.armed = at.is_some();
                if let Some(at) = at {
                    wanted.swap_remove(at);
                }
            }
        }
        Ok(())
    }

    /// Makes a track for each of the device channels below `inputs`, in a session that has none. None is armed.
    pub fn make_tracks(&mut self, inputs: usize) -> Result<(), ControlError> {
        for input in 0..inputs.min(crate::limits::TRACK_COUNT_MAX) as u32 {
            let made = self.session.add_track(&format!("In {}", input + 1), &[input]);
            made.map_err(|error| ControlError::State(error.to_string()))?;
        }
        self.save();
        Ok(())
    }

    /// Rolls from where the playhead stands.
    pub fn roll(&mut self) {
        self.send(AudioCommand::Roll);
    }

    /// Ends the pass, if one is on, and stands.
    pub fn stop(&mut self) {
        self.send(AudioCommand::Stop);
    }

    /// Goes to a place; a rolling transport rolls on there. Refused while recording.
    pub fn locate(&mut self, to: FramePos) -> Result<(), ControlError> {
        if self.is_recording() {
            return Err(ControlError::State("locate: a pass is being recorded; stop it first".to_owned()));
        }
        self.players.locate(&mut self.running, to);
        Ok(())
    }

    /// Whether the windows of the last locate are in place.
    pub fn is_ready_to_roll(&self) -> bool {
        self.players.epoch() == self.published().epoch.load(Relaxed)
            && self.players.epoch() == self.published().ready_epoch.load(Relaxed)
    }

    /// Whether a pass is being prepared, recorded or finished.
    pub fn is_recording(&self) -> bool {
        self.pass.is_some()
    }

    /// Numbers since a pass began recording; `None` while none records.
    pub fn pass_reading(&self) -> Option<&Reading> {
        self.pass.as_ref().and_then(RecordingPass::start_reading)
    }

    /// The next finished pass.
    pub fn take_report(&mut self) -> Option<PassReport> {
        self.reports.pop_front()
    }

    /// The next thing to show.
    pub fn take_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Drains what the threads told. Call it often; it does not wait.
    pub fn poll(&mut self) {
        while let Some(event) = self.running.next_audio_event() {
            self.on_audio_event(event);
        }
        while let Ok(event) = self.running.disk_events.try_recv() {
            self.on_disk_event(event);
        }
        self.poll_companions();
        self.prepare_if_opened();
        self.check_folder(false);
        self.begin_if_saved();
        self.continue_refused_takes();
        self.warn_of_full_disks();
        self.finish_pass_if_done();
        self.end_lost_pass();
        self.poll_reconnect();
        if let Some(text) = self.system_sleep.poll() {
            self.caution(text);
        }
        self.update_playback();
        if self.save_due {
            self.hand_to_saver();
        }
        let problems: Vec<String> = self.saver.iter().flat_map(SessionSaver::problems).collect();
        for text in problems {
            self.caution(text);
        }
        self.check_margins();
    }

    /// Ends everything: the pass is finished, takes are final, the session is saved. Waits as long as the
    /// disk does. What is left to tell comes back.
    pub fn close(mut self) -> (Vec<PassReport>, Vec<Notice>) {
        // The pass first, while there is somebody to end it: one that is still being made ends at its first frame.
        while self.pass.is_some() {
            self.stop_pass_once();
            self.poll();
            std::thread::sleep(Duration::from_millis(5));
        }
        self.running.end_audio();
        self.poll();
        self.running.end_disk();
        self.poll();
        self.save();
        while self.save_due {
            std::thread::sleep(Duration::from_millis(5));
            self.hand_to_saver();
        }
        let problems = self.saver.as_mut().map(SessionSaver::finish).unwrap_or_default();
        for text in problems.into_iter().chain(std::mem::take(&mut self.companions).finish()) {
            self.caution(text);
        }
        self.close_events();
        (self.reports.drain(..).collect(), self.notices.drain(..).collect())
    }

    fn save(&mut self) {
        self.revision += 1;
        self.hand_to_saver();
    }

    /// Has the session saved now. It is saved after every change anyway.
    pub fn save_now(&mut self) {
        self.save();
    }

    /// The revision that is durable.
    pub fn saved_revision(&self) -> u64 {
        self.saver.as_ref().map_or(self.revision, session_saver::SessionSaver::saved)
    }

    /// Never waits: a session saver that has too much to do is tried again at the next poll.
    fn hand_to_saver(&mut self) {
        self.save_due = self.saver.as_ref().is_some_and(|saver| !saver.save(&self.session, self.revision));
        self.save_companions();
    }

    /// What is wrong with the disk now, in words.
    pub fn trouble(&self) -> Option<&str> {
        self.disk_trouble.as_deref()
    }

    fn send(&mut self, command: AudioCommand) {
        if self.running.audio.push(command).is_err() {
            self.caution("audio thread: it does not answer".to_owned());
        }
    }

    fn info(&mut self, text: String) {
        self.notify(Kind::Notice, Severity::Info, text, &[]);
    }

    fn caution(&mut self, text: String) {
        self.notify(Kind::Notice, Severity::Caution, text, &[]);
    }

    fn loss(&mut self, text: String) {
        self.notify(Kind::Notice, Severity::Loss, text, &[]);
    }
}

/// Recovers what a program that was killed left of a session, and says so; of one that is only played, says that there is
/// something to recover.
fn recover_cut_off(folder: &Path, store: Option<&mut OpenSession>, session: &mut Session) -> Vec<Notice> {
    let notice = |severity, text| Notice { severity, text };
    let Some(store) = store else {
        // Beside a program that records, its takes are being recorded and nothing is cut off.
        let needed = recovery::is_needed(session) && !is_in_use(folder);
        let name = folder.display();
        let text = format!("{name}: a pass of it was cut off; open it to record, or: faultless recover {name}");
        return needed.then(|| notice(Severity::Caution, text)).into_iter().collect();
    };
    let report = recovery::recover(store, session, &spool::folders());
    let passes = report
        .passes
        .iter()
        .map(|pass| notice(if pass.is_short() { Severity::Loss } else { Severity::Info }, pass.to_string()));
    passes.chain(report.troubles.iter().map(|text| notice(Severity::Caution, text.clone()))).collect()
}

fn open_session(setup: &Setup, rate: SampleRate) -> Result<(OpenSession, Session), ControlError> {
    match OpenSession::open(&setup.folder) {
        // What has a session's file and is none, as one of its folders leads elsewhere, is no place for a new one.
        Err(refused @ SessionError::NotASession { .. }) if is_there(&folder_of(&setup.folder).join(SESSION_FILE)) => {
            Err(refused)
        }
        Err(SessionError::Missing { .. } | SessionError::NotASession { .. }) => {
            let name = setup
                .folder
                .file_name()
                .map_or_else(|| "Session".to_owned(), |name| name.to_string_lossy().into_owned());
            OpenSession::create(&setup.folder, &name, rate, setup.format)
        }
        other => other.and_then(|(store, session)| store.trial().map(|()| (store, session))),
    }
    .map_err(ControlError::Session)
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
