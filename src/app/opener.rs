//! Opens and closes sessions, lists devices and restores kept versions. Thread: control owns [`Opener`]; opener,
//! closer, lister and restore do the work, one thread for each task.

use super::naming;
use super::settings::Settings;
use super::snapshot::Stage;
use super::{DeviceWish, Wake};
use crate::butler::capabilities::CapturePath;
use crate::control::close::left_in_memory;
use crate::control::recording::PassReport;
use crate::control::report::Reading;
use crate::control::setup::{self, DeviceRequest, UserLimits};
use crate::control::{Closed, Control, ControlError, Notice, Purpose, Setup, Severity};
use crate::device::signal::Signal;
use crate::device::{DeviceError, Listed, is_present, is_virtual, list};
use crate::limits;
use crate::session::session_file::{
    KeptVersion, SessionError, is_in_use, kept_versions, open_read_only, restore, unlisted_files,
};
use crate::session::{Session, Take, TakeState};
use crate::shell_word::for_shell;
use crate::time::SampleRate;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A request to open a session and a device.
pub(super) struct OpenRequest {
    /// The session's folder; `None`: make a new session.
    pub(super) folder: Option<PathBuf>,
    /// Whether a new session is begun elsewhere if the folder is not there. The last session, which the settings name, is
    /// opened in this way.
    pub(super) may_be_missing: bool,
    /// Whether a new session begins in the folder if it is not there.
    pub(super) may_begin: bool,
    pub(super) settings: Arc<Settings>,
    pub(super) device: Option<DeviceWish>,
    pub(super) capture_path: Option<CapturePath>,
    pub(super) sessions: Option<PathBuf>,
}

/// The result of one task.
pub(super) enum OpenerEvent {
    Opened(Box<Opened>),
    Failed(Box<Failed>),
    /// Notices that nobody has fetched, and why not everything is on the disk.
    Closed(Vec<Notice>, Option<String>),
    Listed(Vec<Listed>),
    /// The session's folder, and the sentence about files that the restored version does not list.
    Restored(Result<(PathBuf, Option<String>), String>),
}

/// An open session with its device.
pub(super) struct Opened {
    pub(super) control: Box<Control>,
    /// The device's name for people.
    pub(super) title: String,
    /// The reason why the session is open for playback only.
    pub(super) read_only: Option<String>,
    /// Whether the session is new.
    pub(super) is_new: bool,
    /// Decisions that were made for the user, one sentence each.
    pub(super) notes: Vec<String>,
    /// The audio thread's counters at the start.
    pub(super) base: Reading,
}

/// The failure to open a session or a device.
pub(super) struct Failed {
    pub(super) reason: String,
    pub(super) stage: Stage,
    pub(super) folder: PathBuf,
    /// The session, if only the device could not be opened.
    pub(super) session: Option<Arc<Session>>,
    /// The folder is the place of a new session that was not begun.
    pub(super) is_new: bool,
    /// Notices of the recovery that came before. The session's events have them.
    pub(super) recovered: Vec<Notice>,
    /// Why the session is not on the disk as a whole, if it could be read.
    pub(super) unsaved: Option<String>,
}

impl Failed {
    /// Adds a sentence to the reason.
    fn add(&mut self, text: &str) {
        self.reason.push_str(text);
        if let Stage::NoDevice { reason, .. } | Stage::NoSession { reason, .. } = &mut self.stage {
            reason.push_str(text);
        }
    }
}

/// Results that may wait for control. A task whose result finds no place waits on its own thread, so none is lost.
const EVENTS_MAX: usize = 8;

/// The reason of a task that panicked.
const PANICKED: &str = "an error in the program, which the terminal shows";

/// The kinds of tasks. At most one listing runs at a time, and at most one of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Open,
    Close,
    Restore,
    List,
}

impl Task {
    /// The name of its thread.
    fn name(self) -> &'static str {
        match self {
            Task::Open => "opener",
            Task::Close => "closer",
            Task::Restore => "restore",
            Task::List => "lister",
        }
    }

    /// The result of a task that failed for `reason`.
    fn failed(self, reason: &str) -> OpenerEvent {
        let reason = match self {
            Task::Open => format!("the session is not open: {reason}; open it again, or start Faultless again"),
            Task::Close => format!(
                "the session was not closed in order: {reason}; start Faultless again before you switch the machine off, so \
                 that sound that is in memory is recovered"
            ),
            Task::Restore => format!("the version is not restored: {reason}; try again, or start Faultless again"),
            Task::List => reason.to_owned(),
        };
        match self {
            Task::Open => {
                let stage = Stage::NoDevice { reason: reason.clone(), instead: None };
                OpenerEvent::Failed(Box::new(Failed {
                    reason,
                    stage,
                    folder: PathBuf::new(),
                    session: None,
                    is_new: false,
                    recovered: Vec::new(),
                    unsaved: None,
                }))
            }
            Task::Close => {
                let notice = Notice { severity: Severity::Loss, text: reason.clone() };
                OpenerEvent::Closed(vec![notice], Some(reason))
            }
            Task::Restore => OpenerEvent::Restored(Err(reason)),
            Task::List => OpenerEvent::Listed(Vec::new()),
        }
    }
}

/// Starts the tasks and receives their results.
pub(super) struct Opener {
    wake: Wake,
    sender: Sender<(Task, OpenerEvent)>,
    events: Receiver<(Task, OpenerEvent)>,
    /// The results of tasks that could not be started. At most one of each kind.
    not_started: Vec<(Task, OpenerEvent)>,
    /// The task other than a listing that runs.
    running: Option<Task>,
    is_listing: bool,
    /// Whether the devices are to be listed once more, because the user asked during a listing.
    lists_again: bool,
}

impl Opener {
    pub(super) fn new(wake: Wake) -> Opener {
        let (sender, events) = bounded(EVENTS_MAX);
        let (not_started, running) = (Vec::new(), None);
        Opener { wake, sender, events, not_started, running, is_listing: false, lists_again: false }
    }

    /// Whether a session is being opened, closed or restored. Listing devices does not count.
    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn next_event(&mut self) -> Option<OpenerEvent> {
        let (task, event) = self.not_started.pop().or_else(|| self.events.try_recv().ok())?;
        if task == Task::List {
            self.is_listing = false;
            if std::mem::take(&mut self.lists_again) {
                self.list();
            }
        } else {
            self.running = None;
        }
        Some(event)
    }

    pub(super) fn open(&mut self, request: OpenRequest) {
        self.spawn(Task::Open, move || match open(&request) {
            Ok(opened) => OpenerEvent::Opened(Box::new(opened)),
            Err(failed) => OpenerEvent::Failed(failed),
        });
    }

    /// Closes a session. `untouched` is the folder of a session to be removed because the user has not changed it.
    pub(super) fn close(&mut self, control: Box<Control>, untouched: Option<PathBuf>) {
        self.spawn(Task::Close, move || {
            let rate = control.running().device.rate;
            let Closed { reports, mut notices, unsaved } = control.end();
            // A report refers to the notices above it.
            let summary = |report: PassReport| Notice { severity: report.severity(), text: report.summary(rate) };
            notices.extend(reports.into_iter().map(summary));
            if let Some(folder) = untouched {
                naming::remove_untouched(&folder);
            }
            OpenerEvent::Closed(notices, unsaved)
        });
    }

    /// Restores a kept version. Does nothing while a session is being opened, closed or restored.
    pub(super) fn restore(&mut self, folder: PathBuf, number: u32) {
        if !self.is_busy() {
            self.spawn(Task::Restore, move || {
                let restored = restore(&folder, number).map_err(|error| error.to_string());
                OpenerEvent::Restored(restored.map(|()| {
                    let unlisted = open_read_only(&folder).ok().and_then(|session| unlisted_files(&folder, &session));
                    (folder, unlisted)
                }))
            });
        }
    }

    /// Lists the devices, or once more after the listing that runs.
    pub(super) fn list(&mut self) {
        if self.is_listing {
            self.lists_again = true;
        } else {
            self.spawn(Task::List, || OpenerEvent::Listed(list()));
        }
    }

    /// Starts a task. The caller makes sure that none of its kind runs.
    fn spawn(&mut self, task: Task, work: impl FnOnce() -> OpenerEvent + Send + 'static) {
        match task {
            Task::List => self.is_listing = true,
            Task::Open | Task::Close | Task::Restore => self.running = Some(task),
        }
        let (sender, wake) = (self.sender.clone(), Arc::clone(&self.wake));
        let work = move || {
            // A task that panics ends too. Otherwise the app would wait for it and could not be closed.
            let event = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| task.failed(PANICKED));
            sender.send((task, event)).ok();
            wake();
        };
        if let Err(error) = std::thread::Builder::new().name(task.name().to_owned()).spawn(work) {
            self.not_started.push((task, task.failed(&format!("the system gives no thread: {error}"))));
            (self.wake)();
        }
    }
}

fn open(request: &OpenRequest) -> Result<Opened, Box<Failed>> {
    let new_session = || {
        naming::new_session(request.sessions.as_deref().or(request.settings.sessions.as_deref()))
            .map_err(|reason| no_session(Path::new(""), &reason))
    };
    // Asked here, because the disk of the folder may hang.
    let is_missing = |folder: &&PathBuf| !folder.exists();
    let lost = request.folder.as_ref().filter(|folder| request.may_be_missing && is_missing(folder));
    let chosen = match request.folder.as_ref().filter(|_| lost.is_none()) {
        // A folder that the command line names and that is not there is the place of a new session.
        Some(folder) => Ok((folder.clone(), request.may_begin && is_missing(&folder))),
        None => new_session().map(|folder| (folder, true)),
    };
    let opened = chosen.and_then(|(folder, is_new)| open_at(request, &folder, is_new));
    let Some(lost) = lost.map(|folder| folder.display()) else { return opened };
    match opened {
        Ok(mut opened) => {
            let note =
                format!("{lost}: the last session is not there; this is a new one. Connect its disk and open it");
            opened.notes.push(note);
            Ok(opened)
        }
        // The next attempt opens the place of the new session, and does not look for the last one.
        Err(mut failed) => {
            failed.add(&format!("; {lost}: the last session is not there: connect its disk and open it"));
            Err(failed)
        }
    }
}

fn open_at(request: &OpenRequest, folder: &Path, is_new: bool) -> Result<Opened, Box<Failed>> {
    let settings = &request.settings;
    let session = match open_read_only(folder) {
        Ok(session) => Some(session),
        Err(SessionError::Missing { .. } | SessionError::NotASession { .. }) if is_new => None,
        Err(error) => return Err(no_session(folder, &error.to_string())),
    };
    let wish = request.device.clone().unwrap_or_default();
    let rate = session.as_ref().map_or(SampleRate(wish.rate.unwrap_or(settings.rate)), Session::rate);
    let format = session.as_ref().map_or(settings.format, |session| session.format);
    let mut notes = Vec::new();
    let named = Some(wish.name.clone()).filter(|name| !name.is_empty());
    let name = match named.map_or_else(|| device_of(settings.device.as_deref(), &mut notes), Ok) {
        Ok(name) => name,
        Err(reason) => {
            return Err(no_device(folder, reason, None, session, is_new));
        }
    };
    // The number in the settings belongs to the device in the settings.
    let is_of_settings = settings.device.as_ref().map_or(wish.name.is_empty(), |device| *device == name);
    let mut inputs = wish.inputs.or(settings.inputs.filter(|_| is_of_settings));
    if is_virtual(&name) && inputs.is_none() {
        inputs = Some(setup::BUILT_IN_INPUTS);
    }
    let open = |purpose: Purpose| {
        let signal = wish.signal.as_deref().and_then(setup::signal).unwrap_or(Signal::Tones);
        let outputs = if is_virtual(&name) { Some(2) } else { None };
        // The settings always have a period. The usual one leaves the choice to the device.
        let chosen = (settings.period != limits::PERIOD_FRAMES_DEFAULT).then_some(settings.period);
        let period = wish.period.or(chosen);
        let channels = (inputs, outputs);
        let wanted =
            DeviceRequest { name: name.clone(), rate, period, buffer: None, channels, take_format: format, signal };
        let allowed =
            UserLimits { lock_kib: settings.lock_kib, spool_mib: settings.spool_mib, lead_ms: settings.lead_ms };
        let run = setup::threads_setup(allowed, request.capture_path.unwrap_or(settings.capture_path));
        Control::open(Setup { folder: folder.to_path_buf(), purpose, device: setup::device_spec(wanted), format, run })
    };
    let mut read_only = None;
    let control = match open(Purpose::Record) {
        Err(ControlError::Session(error @ (SessionError::ReadOnly { .. } | SessionError::Locked { .. }))) => {
            read_only = Some(error.to_string());
            open(Purpose::Play)
        }
        other => other,
    };
    let mut control = control.map_err(|error| failed(folder, error, session, is_new))?;
    if read_only.is_none() && control.session().tracks().is_empty() && control.session().takes().is_empty() {
        let inputs_available = control.running().device.inputs;
        control.make_tracks(inputs_available).map_err(|error| no_session(folder, &error.to_string()))?;
    }
    let title = title_of(&name, control.running().device.inputs);
    let base = Reading::now(control.published(), false);
    Ok(Opened { control: Box::new(control), title, read_only, is_new, notes, base })
}

/// The device that the user chose last, if it is there, else the best one, as in the command line. An error is the reason why
/// none can be chosen.
fn device_of(last: Option<&str>, notes: &mut Vec<String>) -> Result<String, String> {
    let is_there = |name: &&str| is_virtual(name) || is_present(name, true) || is_present(name, false);
    if let Some(name) = last.filter(is_there) {
        return Ok(name.to_owned());
    }
    let (name, why) = setup::best_device(setup::Side::Inputs)?;
    notes.extend(match last {
        Some(last) => Some(format!("{last}: the device that was chosen last is not there; {why}")),
        // The screen shows the name of a card. A choice that is no card needs its reason.
        None => Some(why).filter(|_| !name.starts_with("alsa:hw:")),
    });
    Ok(name)
}

fn failed(folder: &Path, error: ControlError, session: Option<Session>, is_new: bool) -> Box<Failed> {
    match error {
        ControlError::Recovered { error, notices } => {
            // The one that was read before has the takes as they were cut off.
            let session = open_read_only(folder).ok().or(session);
            let mut failed = failed(folder, *error, session, is_new);
            failed.recovered = notices;
            failed
        }
        ControlError::Session(error) => no_session(folder, &error.to_string()),
        error => {
            let reason = error.to_string();
            let instead = match error {
                ControlError::Device(DeviceError::Busy { instead, .. }) => instead,
                _ => None,
            };
            no_device(folder, reason, instead, session, is_new)
        }
    }
}

/// The failure of a device. Without a device the session is not opened to be recorded, so nothing in it is recovered.
fn no_device(
    folder: &Path,
    mut reason: String,
    instead: Option<String>,
    session: Option<Session>,
    is_new: bool,
) -> Box<Failed> {
    let is_recording = |take: &Take| take.state == TakeState::Recording;
    if session.as_ref().is_some_and(|session| session.takes().iter().any(is_recording)) && !is_in_use(folder) {
        reason.push_str(&format!(
            "; a recording that was cut off is not recovered yet: before you switch the machine off, choose another \
             device, or: faultless recover {}",
            for_shell(folder)
        ));
    }
    let stage = Stage::NoDevice { reason: reason.clone(), instead };
    let unsaved = session.as_ref().and_then(|session| left_in_memory(folder, session));
    let (folder, session) = (folder.to_path_buf(), session.map(Arc::new));
    Box::new(Failed { reason, stage, folder, session, is_new, recovered: Vec::new(), unsaved })
}

fn no_session(folder: &Path, reason: &str) -> Box<Failed> {
    let stage = Stage::NoSession { reason: reason.to_owned(), versions: versions(folder) };
    let (reason, folder) = (reason.to_owned(), folder.to_path_buf());
    Box::new(Failed { reason, stage, folder, session: None, is_new: false, recovered: Vec::new(), unsaved: None })
}

/// The device's name on the screen: the card's own name if it has one.
fn title_of(name: &str, inputs: usize) -> String {
    if is_virtual(name) {
        return format!("Built-in, {inputs} tones");
    }
    let listed = list();
    let exact = listed.iter().find(|listed| listed.name == name);
    let found = exact.or_else(|| listed.iter().find(|listed| listed.is_opened_by(name)));
    let found = found.map(|listed| listed.title.clone());
    found.unwrap_or_else(|| name.strip_prefix("alsa:").unwrap_or(name).to_owned())
}

/// The kept versions of a damaged session, latest first.
fn versions(folder: &Path) -> Vec<KeptVersion> {
    let mut versions = kept_versions(folder).unwrap_or_default();
    versions.reverse();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::session_file::OpenSession;
    use crate::session::tests::recording;
    use crate::time::FramePos;
    use std::time::{Duration, Instant};

    fn next(opener: &mut Opener) -> OpenerEvent {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(event) = opener.next_event() {
                return event;
            }
            assert!(Instant::now() < deadline, "no result comes");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_task_that_panics_or_cannot_start_ends_and_the_opener_is_free_again() {
        let mut opener = Opener::new(Arc::new(|| ()));
        opener.spawn(Task::Close, || std::panic::resume_unwind(Box::new("as intended")));
        assert!(opener.is_busy());
        assert!(
            matches!(&next(&mut opener), OpenerEvent::Closed(notices, Some(_)) if notices[0].text.contains(PANICKED))
        );
        assert!(!opener.is_busy());
        // As after a thread that the system refused.
        opener.is_listing = true;
        opener.not_started.push((Task::List, Task::List.failed("the system gives no thread")));
        assert!(matches!(next(&mut opener), OpenerEvent::Listed(_)) && !opener.is_busy() && !opener.is_listing);
    }

    /// The health line said "opener thread: it failed".
    #[test]
    fn a_task_that_failed_is_told_of_by_its_effect_and_by_what_to_do() {
        let OpenerEvent::Failed(failed) = Task::Open.failed(PANICKED) else { panic!("it is a failure") };
        assert!(failed.reason.starts_with("the session is not open: ") && failed.reason.contains("open it again"));
        assert!(matches!(&failed.stage, Stage::NoDevice { reason, .. } if *reason == failed.reason));
        let OpenerEvent::Closed(_, Some(reason)) = Task::Close.failed(PANICKED) else { panic!("it is closed") };
        assert!(reason.contains("was not closed in order") && reason.contains("start Faultless again"), "{reason}");
        let OpenerEvent::Restored(Err(reason)) = Task::Restore.failed(PANICKED) else { panic!("it is a failure") };
        assert!(reason.starts_with("the version is not restored: ") && !reason.contains("thread:"), "{reason}");
    }

    /// The window had no device and could not record, where the command line took another one.
    #[test]
    fn a_device_that_is_not_there_any_more_is_replaced_and_the_note_says_so() {
        let mut notes = Vec::new();
        let chosen = device_of(Some("alsa:no-such-card"), &mut notes).expect("a device");
        assert_ne!(chosen, "alsa:no-such-card");
        assert!(matches!(&notes[..], [note] if note.starts_with("alsa:no-such-card: ") && note.contains("; device: ")));
        // The user chose the built-in device in the window.
        notes.clear();
        assert_eq!(device_of(Some("virtual:loop=64"), &mut notes).as_deref(), Ok("virtual:loop=64"));
        assert!(notes.is_empty());
    }

    fn request(folder: &Path, device: &str) -> OpenRequest {
        let device = DeviceWish { name: device.to_owned(), inputs: Some(2), ..DeviceWish::default() };
        OpenRequest {
            folder: Some(folder.to_owned()),
            may_be_missing: true,
            may_begin: false,
            settings: Arc::default(),
            device: Some(device),
            capture_path: None,
            sessions: folder.parent().map(Path::to_owned),
        }
    }

    /// Its disk was not mounted. A new session took its place without a word.
    #[test]
    fn a_last_session_that_is_not_there_is_named_when_a_new_one_is_begun() {
        let place = tempfile::tempdir().unwrap();
        let gone = place.path().join("evening");
        let opened = open(&request(&gone, "virtual")).map_err(|failed| failed.reason).unwrap();
        let wanted = format!("{}: the last session is not there; this is a new one", gone.display());
        assert!(opened.is_new && opened.notes.iter().any(|note| note.starts_with(&wanted)), "{:?}", opened.notes);
        opened.control.close();
    }

    /// Its disk was not mounted, and the device was missing too. The next device began a new session without a word.
    #[test]
    fn a_last_session_that_is_not_there_is_named_also_if_no_device_can_be_opened() {
        let place = tempfile::tempdir().unwrap();
        let gone = place.path().join("evening");
        let failed = open(&request(&gone, "alsa:no-such-card")).err().unwrap();
        let wanted = format!("{}: the last session is not there: connect its disk", gone.display());
        assert!(failed.is_new && failed.reason.contains(&wanted), "{}", failed.reason);
        assert!(matches!(&failed.stage, Stage::NoDevice { reason, .. } if *reason == failed.reason));
    }

    /// The window said that the recording is recovered, and the sound was gone after the machine was switched off.
    #[test]
    fn a_recording_that_was_cut_off_is_not_forgotten_when_its_device_is_gone() {
        let place = tempfile::tempdir().unwrap();
        // The default name of a session has blanks.
        let folder = place.path().join("2026-11-23 14.05");
        let (rate, format) = (SampleRate(48_000), crate::format::TakeFormat::S24);
        let (mut store, mut session) = OpenSession::create(&folder, "evening", rate, format).unwrap();
        let track = session.add_track("In 1", &[0]).unwrap();
        store.save(&session).unwrap();
        let reason = || open(&request(&folder, "alsa:no-such-card")).map_err(|failed| failed.reason).err().unwrap();
        assert!(!reason().contains("cut off"), "{}", reason());
        recording(&mut session, track, FramePos(0));
        store.save(&session).unwrap();
        assert!(!reason().contains("cut off"), "another program records: {}", reason());
        drop(store);
        let advice = format!("choose another device, or: faultless recover '{}'", folder.display());
        assert!(reason().contains("cut off is not recovered yet") && reason().ends_with(&advice), "{}", reason());
    }

    #[test]
    fn a_thousand_requests_to_list_devices_are_two_listings() {
        let mut opener = Opener::new(Arc::new(|| ()));
        for _ in 0..1000 {
            opener.list();
        }
        assert!(matches!(next(&mut opener), OpenerEvent::Listed(_)) && opener.is_listing);
        assert!(matches!(next(&mut opener), OpenerEvent::Listed(_)) && !opener.is_listing);
        assert!(opener.next_event().is_none());
    }
}
