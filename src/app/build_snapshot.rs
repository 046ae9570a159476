//! Builds the snapshot from control, the jobs and the settings. Thread: control, which owns all of them.

use super::health::{self, HealthInput, Inputs};
use super::live::{Playhead, Shape};
use super::snapshot::{
    DeviceView, DiskSpace, EngineFigures, EventEntry, Meter, Meters, PassView, Snapshot, Stage, Transport, WAS_CUT_OFF,
};
use super::{App, OpenState};
use crate::butler::capabilities::CapturePath;
use crate::butler::spool::SpoolPlace;
use crate::control::recording::PassStatus;
use crate::control::report::{Reading, faults_by_kind};
use crate::control::{Control, Severity};
use crate::limits::DATA_OFFSET;
use crate::message::Motion;
use crate::message::published::{MeterCell, Published};
use crate::message::replica::Replica;
use crate::session::{Monitor, Session, TakeId, Track, TrackId};
use crate::time::{FramePos, Frames};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Time between two readings of the counters. The kernel's need a system call.
const FIGURES_INTERVAL: Duration = Duration::from_millis(100);

/// Requests of the user to the transport, and the extent to which losses are acknowledged.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a request of its own")]
pub(super) struct TransportRequests {
    pub(super) range: Option<(FramePos, FramePos)>,
    pub(super) loops: bool,
    pub(super) punches: bool,
    /// Whether the last request was to roll rather than to stop.
    pub(super) rolls: bool,
    /// Frames that were lost up to the last acknowledgement.
    pub(super) lost_seen: u64,
    /// Those of them that were lost while nothing was recorded.
    pub(super) lost_unrecorded_seen: u64,
    /// Whether a recording has just ended and the playhead was not moved since. Play then plays that recording.
    pub(super) replays: bool,
    /// The pass that was recorded last since the session was opened.
    pub(super) last_pass: Option<u32>,
    /// Whether the user has pressed Record, and no frame is recorded yet.
    pub(super) begins: bool,
}

/// Facts of the session and the device that control does not have. They stay while both are being reopened.
pub(super) struct SessionInfo {
    pub(super) folder: PathBuf,
    pub(super) session: Arc<Session>,
    pub(super) title: String,
    pub(super) read_only: Option<String>,
    /// The revision of a session that the app made by itself, right after it was made.
    untouched_revision: Option<u64>,
    /// Whether the settings name the session as the last one, as far as they may.
    pub(super) is_remembered: bool,
    base: Option<Reading>,
    figures: EngineFigures,
    read_at: Option<Instant>,
}

impl Default for SessionInfo {
    fn default() -> SessionInfo {
        SessionInfo {
            folder: PathBuf::new(),
            session: Snapshot::empty().session,
            title: String::new(),
            read_only: None,
            untouched_revision: None,
            is_remembered: false,
            base: None,
            figures: EngineFigures::default(),
            read_at: None,
        }
    }
}

impl SessionInfo {
    /// The facts of a session and a device that have just been opened.
    pub(super) fn new(
        control: &mut Control,
        title: String,
        read_only: Option<String>,
        is_new: bool,
        base: Reading,
    ) -> SessionInfo {
        SessionInfo {
            folder: control.folder().to_path_buf(),
            session: control.shared(),
            title,
            read_only,
            untouched_revision: is_new.then(|| control.revision()),
            base: Some(base),
            ..SessionInfo::default()
        }
    }

    /// Copies the session's last state, to show it while control closes.
    pub(super) fn keep_session(&mut self, control: &Control) {
        self.session = Arc::new(control.session().clone());
    }

    /// Whether the app made the session by itself and the user has changed nothing in it.
    pub(super) fn is_untouched(&self, control: &Control) -> bool {
        self.untouched_revision == Some(control.revision()) && control.session().takes().is_empty()
    }
}

impl App {
    pub(super) fn build_snapshot(&mut self) -> Snapshot {
        let mut snapshot = Snapshot::empty();
        snapshot.settings = Arc::clone(&self.settings);
        snapshot.notices = Arc::clone(&self.notices);
        snapshot.earlier = Arc::clone(&self.earlier);
        snapshot.devices = Arc::clone(&self.devices);
        snapshot.doctor = self.jobs.doctor_view();
        snapshot.export = self.jobs.export_view();
        snapshot.stress = self.jobs.stress_view();
        snapshot.folder.clone_from(&self.session_info.folder);
        match &mut self.state {
            OpenState::Empty(stage) => {
                snapshot.stage = stage.clone();
                snapshot.session = Arc::clone(&self.session_info.session);
                snapshot.transport.rate = snapshot.session.rate();
            }
            OpenState::Open(control) => {
                snapshot.stage = self.session_info.read_only.clone().map_or(Stage::Open, Stage::ReadOnly);
                snapshot.session = control.shared();
                snapshot.revision = control.revision();
                let (undo, redo) = control.undo_labels();
                (snapshot.undo, snapshot.redo) = (undo.map(str::to_owned), redo.map(str::to_owned));
                let pass = control.pass_status();
                snapshot.transport = transport(control, pass, &self.transport);
                let recorded = snapshot.transport.pass.as_ref().map(|pass| Arc::clone(&pass.takes));
                snapshot.set_meters(meters(control, &snapshot.session, recorded.as_ref().map(|takes| &takes[..])));
                snapshot.device = device(control, &self.session_info.title);
                read_figures(control, &mut self.session_info);
                snapshot.figures = self.session_info.figures.clone();
            }
        }
        snapshot.refusal.clone_from(&self.answers.refusal);
        snapshot.note.clone_from(&self.answers.note);
        snapshot.made.clone_from(&self.made);
        snapshot.disk_space = self.disk_space(&snapshot);
        snapshot.health = self.build_health(&snapshot);
        snapshot
    }

    /// The values that change between two snapshots: the playhead, and every meter. Reading the meters resets their peaks.
    pub(super) fn live(&self) -> (Playhead, Meters) {
        let OpenState::Open(control) = &self.state else { return Default::default() };
        let (published, pass) = (control.published(), control.pass_status());
        let playhead = Playhead {
            motion: published.motion(),
            position: FramePos(published.position.load(Relaxed)),
            frames: pass.as_ref().map_or(Frames(0), |pass| pass.frames),
        };
        (playhead, meters(control, control.session(), pass.as_ref().map(|pass| &pass.takes[..])))
    }

    /// The set of inputs, tracks and takes to which live values belong.
    pub(super) fn shape(&self) -> Shape {
        let OpenState::Open(control) = &self.state else { return Shape::default() };
        Shape {
            revision: control.revision(),
            inputs: control.published().inputs.len(),
            pass: control.pass_status().map(|pass| (pass.phase, pass.start, pass.losses.len())),
            is_gone: control.is_device_gone(),
        }
    }

    fn disk_space(&self, snapshot: &Snapshot) -> Option<DiskSpace> {
        let (free_bytes, disk) = self.disk_watch.latest()?;
        let session = &snapshot.session;
        // While a pass runs, the committer knows better: it counts the blocks that it has reserved, too.
        if let OpenState::Open(control) = &self.state
            && snapshot.transport.pass.is_some()
            && let room_ms @ 1.. = control.running().disk.room_ms[Replica::Session.index()].load(Relaxed)
        {
            return Some(DiskSpace { free_bytes, seconds: room_ms as f64 / 1000.0, disk });
        }
        let header_bytes = DATA_OFFSET * session.tracks().len() as u64;
        let device_inputs = match &self.state {
            OpenState::Open(control) => control.inputs_now(),
            OpenState::Empty(_) => usize::MAX,
        };
        let seconds = free_bytes.saturating_sub(header_bytes) as f64 / bytes_per_second(snapshot, device_inputs);
        Some(DiskSpace { free_bytes, seconds, disk })
    }

    fn build_health(&mut self, snapshot: &Snapshot) -> super::snapshot::Health {
        let OpenState::Open(control) = &self.state else {
            return health::health(&closed(snapshot));
        };
        let unseen = control.published().losses().saturating_sub(self.transport.lost_seen);
        let figures = &snapshot.figures;
        let gone = control.is_device_gone();
        let alarm = self.notices.iter().rev().find(|entry| entry.severity == Severity::Loss && !entry.seen);
        let standing = self.notices.iter().rev().find(|entry| entry.headline.is_some() && !entry.seen);
        let was_cut_off = |entry: &&EventEntry| entry.headline.as_deref() == Some(WAS_CUT_OFF) && !entry.seen;
        let recovered = self.notices.iter().rev().find(was_cut_off);
        let scheduling = &control.running().scheduling;
        let session = &snapshot.session;
        let armed = session.tracks().iter().filter(|track| track.armed).count();
        let pass = snapshot.transport.pass.as_ref();
        health::health(&HealthInput {
            stage: &snapshot.stage,
            phase: pass.map(|pass| pass.phase),
            rolls: snapshot.transport.motion != Motion::Stopped,
            tracks: (session.tracks().len(), pass.map_or(armed, |pass| pass.takes.len())),
            device: &snapshot.device.title,
            device_gone: gone,
            device_blocked_by: control.device_blocked_by(),
            built_in: snapshot.device.is_virtual,
            figures,
            disk_space: snapshot.disk_space.as_ref(),
            inputs: inputs(session, control.inputs_now()),
            memory_seconds: memory_seconds(snapshot, control.inputs_now()),
            continues_in: control.continues_in().and(control.overflow()).and_then(Result::ok),
            has_overflow: control.overflow().is_some_and(|folder| folder.is_ok()),
            rate: session.rate(),
            standing,
            recovered,
            alarm: alarm.filter(|_| unseen == 0),
            no_real_time: scheduling.reason().map(|reason| (reason, scheduling.fix())),
            windows_unlocked: control.running().disk.windows_unlocked.load(Relaxed),
            memory_outlives: matches!(control.running().setup.capabilities.spool, SpoolPlace::Folder(_)),
            disk: control.trouble(),
            mirror: control.pass_mirror(),
            mirror_behind: control.not_durable(Replica::Mirror),
            lost_before: figures.frames_lost.saturating_sub(unseen),
            lost_unrecorded: control.frames_lost_unrecorded().saturating_sub(self.transport.lost_unrecorded_seen),
        })
    }

    /// Whether frames were lost that the user has not acknowledged.
    pub(super) fn has_new_losses(&self) -> bool {
        let OpenState::Open(control) = &self.state else { return false };
        let published = control.published();
        let lost = published.frames_lost.load(Relaxed) + published.frames_overrun.load(Relaxed);
        self.transport.lost_seen < lost || self.transport.lost_unrecorded_seen < control.frames_lost_unrecorded()
    }

    /// Acknowledges the losses up to now, so that they raise no alarm.
    pub(super) fn acknowledge_losses(&mut self) {
        if let OpenState::Open(control) = &self.state {
            self.transport.lost_seen = control.published().losses();
            self.transport.lost_unrecorded_seen = control.frames_lost_unrecorded();
        }
    }
}

fn closed(snapshot: &Snapshot) -> HealthInput<'_> {
    HealthInput {
        stage: &snapshot.stage,
        phase: None,
        rolls: false,
        tracks: (snapshot.session.tracks().len(), 0),
        device: "",
        device_gone: false,
        device_blocked_by: None,
        built_in: false,
        figures: &snapshot.figures,
        disk_space: None,
        inputs: Inputs::default(),
        memory_seconds: None,
        continues_in: None,
        has_overflow: false,
        rate: snapshot.session.rate(),
        alarm: None,
        standing: None,
        recovered: None,
        no_real_time: None,
        windows_unlocked: 0,
        memory_outlives: true,
        disk: None,
        mirror: None,
        mirror_behind: None,
        lost_before: 0,
        lost_unrecorded: 0,
    }
}

/// Bytes of a second of the present recording; without one, of the armed tracks, or of all tracks if none is armed. A track
/// whose inputs a device with `device_inputs` lacks would not be recorded, so it does not count, unless all are such tracks.
fn bytes_per_second(snapshot: &Snapshot, device_inputs: usize) -> f64 {
    let session = &snapshot.session;
    let channels = match &snapshot.transport.pass {
        Some(pass) => {
            pass.takes.iter().filter_map(|(id, _)| session.track(*id)).map(|track| track.inputs().len()).sum()
        }
        None => {
            let of = |device_inputs: usize| -> usize {
                let tracks = recordable(session).filter(|track| has_inputs(track, device_inputs));
                tracks.map(|track| track.inputs().len()).sum()
            };
            Some(of(device_inputs)).filter(|channels| 0 < *channels).unwrap_or_else(|| of(usize::MAX))
        }
    };
    (channels.max(1) * session.format.bytes()) as f64 * f64::from(session.rate().0)
}

/// The tracks that Record would record: the armed ones, or all if none is armed.
pub(super) fn recordable(session: &Session) -> impl Iterator<Item = &Track> {
    let all = session.tracks().iter().all(|track| !track.armed);
    session.tracks().iter().filter(move |track| all || track.armed)
}

/// Whether the device has all inputs of a track.
pub(super) fn has_inputs(track: &Track, device_inputs: usize) -> bool {
    track.inputs().iter().all(|input| (*input as usize) < device_inputs)
}

fn inputs(session: &Session, device: usize) -> Inputs {
    let (wanted, missing) = recordable(session)
        .fold((0, 0), |(wanted, missing), track| (wanted + 1, missing + usize::from(!has_inputs(track, device))));
    Inputs { device, wanted, missing }
}

/// Seconds of sound that still fit into memory.
fn memory_seconds(snapshot: &Snapshot, device_inputs: usize) -> Option<f64> {
    let figures = &snapshot.figures;
    let free = figures.spool_bytes_max.saturating_sub(figures.spool_bytes);
    (figures.spool_bytes_max > 0).then(|| free as f64 / bytes_per_second(snapshot, device_inputs))
}

fn transport(control: &Control, pass: Option<PassStatus>, requests: &TransportRequests) -> Transport {
    let (published, setup) = (control.published(), &control.running().setup);
    let pass = pass.map(|pass| PassView {
        phase: pass.phase,
        start: pass.start,
        head: pass.head,
        frames: pass.frames,
        takes: Arc::new(pass.takes),
        losses: Arc::new(pass.losses),
        spool: match setup.capture_path {
            CapturePath::Spool => Some(setup.capabilities.spool.clone()),
            CapturePath::InPlace => None,
        },
    });
    Transport {
        motion: published.motion(),
        position: FramePos(published.position.load(Relaxed)),
        rate: control.session().rate(),
        pass,
        range: requests.range,
        loops: requests.loops,
        punches: requests.punches,
    }
}

/// Reads every meter. Reading resets the peaks, so what is read goes to every front end. `recorded`: the takes of the pass
/// that runs.
fn meters(control: &Control, session: &Session, recorded: Option<&[(TrackId, TakeId)]>) -> Meters {
    let published = control.published();
    // Nobody writes the meters of a device that is gone: their last values would look alive.
    let is_gone = control.is_device_gone();
    let meter = |cell: &MeterCell| {
        let meter = Meter { peak: cell.take_peak(), rms: cell.rms() };
        if is_gone { Meter::default() } else { meter }
    };
    let rolls = published.motion() != Motion::Stopped;
    let in_pass: HashSet<TrackId> = recorded.into_iter().flatten().map(|(track, _)| *track).collect();
    let mut meters = Meters { inputs: published.inputs.iter().map(meter).collect(), ..Meters::default() };
    for (slot, track) in session.tracks().iter().enumerate() {
        let played = published.tracks.get(slot).map(meter).unwrap_or_default();
        let input = shows_input(track, rolls, recorded.is_some(), in_pass.contains(&track.id()));
        let inputs = track.inputs().iter().filter_map(|input| meters.inputs.get(*input as usize));
        let loudest = inputs.fold(Meter::default(), |a, b| Meter { peak: a.peak.max(b.peak), rms: a.rms.max(b.rms) });
        meters.tracks.push(if input { loudest } else { played });
    }
    meters.master = [meter(&published.master[0]), meter(&published.master[1])];
    if !rolls {
        // A stopped engine without monitored inputs no longer writes the master meter, so its last value is stale.
        let monitored = session.tracks().iter().any(|track| track.monitor == Monitor::Input || track.armed);
        if !monitored {
            meters.master = [Meter::default(); 2];
        }
    }
    meters
}

/// Whether the meter of a track shows its input. `in_pass`: the pass that runs records this track, armed or not.
fn shows_input(track: &Track, rolls: bool, records: bool, in_pass: bool) -> bool {
    let monitored = match track.monitor {
        Monitor::Input => true,
        Monitor::Disk => false,
        Monitor::Auto => records && track.armed,
    };
    in_pass || !rolls || monitored
}

fn device(control: &Control, title: &str) -> DeviceView {
    let facts = &control.running().device;
    DeviceView {
        name: facts.name.clone(),
        title: title.to_owned(),
        rate: facts.rate.0,
        inputs: facts.inputs,
        outputs: facts.outputs,
        period: facts.period_frames,
        // A period from the input, and another to the output.
        latency_ms: 2000.0 * facts.period_frames as f32 / facts.rate.0.max(1) as f32,
        is_virtual: crate::device::is_virtual(&facts.name),
        gone: control.is_device_gone(),
        offset_key: control.offset_key(),
        placing: facts.delays.advice(control.latency_offset()),
    }
}

fn read_figures(control: &Control, session_info: &mut SessionInfo) {
    let now = Instant::now();
    if session_info.read_at.is_some_and(|at| now.duration_since(at) < FIGURES_INTERVAL) {
        return;
    }
    session_info.read_at = Some(now);
    let running = control.running();
    let (published, disk, rate) = (&running.published, &running.disk, running.device.rate);
    let base = control.pass_reading().or(session_info.base.as_ref());
    let faults = base.and_then(|base| faults_by_kind(running, base));
    let since = |now: u64, of: fn(&Reading) -> u64| now - base.map_or(0, of).min(now);
    let seconds = |frames: u64| (frames != u64::MAX).then(|| Frames(frames).seconds(rate));
    let recording = control.is_recording();
    let lead = if recording { disk.lead_frames.load(Relaxed) } else { disk.play_lead_frames.load(Relaxed) };
    session_info.figures = EngineFigures {
        minor_faults: faults.map(|(minor, _)| minor),
        major_faults: faults.map(|(_, major)| major),
        xruns: since(published.xruns.load(Relaxed), |base| base.xruns),
        frames_lost: frames_lost(published, base),
        frames_dropped: since(published.frames_dropped.load(Relaxed), |base| base.frames_dropped),
        lead_s: seconds(lead),
        lead_min_s: seconds(disk.lead_frames_min.load(Relaxed)).filter(|_| recording),
        lead_aim_s: running.setup.lead_ms as f64 / 1000.0,
        cycles: base.map(|base| Arc::new(base.cycles_since(published))),
        deadline_us: running.device.period_frames as f64 / f64::from(rate.0.max(1)) * 1e6,
        locked_bytes: running.budget.used(),
        locked_limit: running.budget.limit(),
        commit_us_max: disk.commit_us_max.load(Relaxed),
        sync_us_max: disk.sync_us_max.load(Relaxed),
        supply_us_max: disk.supply_us_max.load(Relaxed),
        backlog_bytes: disk.backlog_bytes.load(Relaxed),
        spool_bytes: disk.spool_bytes.load(Relaxed),
        spool_bytes_max: running.setup.spool_bytes_max,
        durable_age: control.not_durable(Replica::Session).filter(|_| recording),
        scheduling: running.scheduling.to_string(),
        capture_path: running.setup.capture_path.to_string(),
    };
}

/// Frames that the device and the takes lost since `base`. The counters of the engine count over all passes.
fn frames_lost(published: &Published, base: Option<&Reading>) -> u64 {
    let (lost, overrun) = base.map_or((0, 0), |base| (base.frames_lost, base.frames_overrun));
    published.frames_lost.load(Relaxed).saturating_sub(lost)
        + published.frames_overrun.load(Relaxed).saturating_sub(overrun)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::time::SampleRate;

    /// With 24 armed tracks at a device of 8 inputs, the time left was a third of the true one.
    #[test]
    fn tracks_whose_inputs_the_device_lacks_take_no_room_on_the_disk() {
        let mut session = Session::new(uuid::Uuid::nil(), "gig", "", SampleRate(48_000), TakeFormat::S24);
        for input in 0..24 {
            session.add_track(&format!("In {input}"), &[input]).unwrap();
        }
        let snapshot = Snapshot { session: Arc::new(session), ..Snapshot::empty() };
        let bytes = |device_inputs| bytes_per_second(&snapshot, device_inputs) as u64;
        assert_eq!([bytes(8), bytes(24), bytes(usize::MAX)], [8, 24, 24].map(|tracks| tracks * 3 * 48_000));
        assert_eq!(bytes(0), 24 * 3 * 48_000, "Record would record nothing: the room is that of all tracks");
    }

    /// The meter of a track that monitors its takes was empty while the track was recorded, and its clip lamp stayed dark.
    #[test]
    fn the_meter_of_a_recorded_track_shows_its_input_whatever_it_monitors() {
        let mut session = Session::new(uuid::Uuid::nil(), "gig", "", SampleRate(48_000), TakeFormat::S24);
        let id = session.add_track("In 1", &[0]).unwrap();
        for monitor in [Monitor::Auto, Monitor::Input, Monitor::Disk] {
            session.track_mut(id).unwrap().monitor = monitor;
            let track = session.track(id).unwrap();
            assert!(!track.armed && shows_input(track, true, true, true), "{monitor:?}");
            assert_eq!(shows_input(track, true, true, false), monitor == Monitor::Input, "{monitor:?}: it plays");
            assert!(shows_input(track, false, false, false), "{monitor:?}: nothing rolls");
        }
    }

    #[test]
    fn frames_that_an_earlier_pass_lost_do_not_count_as_those_of_the_present_one() {
        let published = Published::new(1);
        published.frames_lost.store(480, Relaxed);
        published.frames_overrun.store(64, Relaxed);
        assert_eq!(frames_lost(&published, None), 544);
        let base = Reading::now(&published, false);
        assert_eq!(frames_lost(&published, Some(&base)), 0);
        published.frames_overrun.fetch_add(3, Relaxed);
        assert_eq!(frames_lost(&published, Some(&base)), 3);
    }
}
