//! The user of the simulated program: opens a session, records, edits, and closes it, as the seed says. Thread: the
//! simulated main thread.

use crate::disk::Planted;
use crate::edits::{later_edit, random_edit};
use crate::kept::{Kept, take_without_track};
use crate::oracle::SeenPass;
use crate::plan::{Life, Plan, RATE};
use crate::random::Random;
use crate::saved;
use crate::told::{Ended, Told, ended_takes};
use crate::world::here;
use crate::wrong_fact;
use faultless::butler::capabilities::{Capabilities, CapturePath};
use faultless::butler::spool::SpoolPlace;
use faultless::control::edit::Edit;
use faultless::control::recording::{PassPhase, PassReport};
use faultless::control::{Control, ControlError, Notice, Purpose, SaveState, Setup, Severity};
use faultless::device::DeviceSpec;
use faultless::device::signal::Signal;
use faultless::message::published::{NO_PASS, Published};
use faultless::session::names::SESSION_FILE;
use faultless::session::session_file::parse;
use faultless::session::{Session, Take, Track, TrackId};
use faultless::threads::ThreadsSetup;
use faultless::time::{FramePos, Frames, SampleRate};
use faultless::window::map::Populate;
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What the lives of a run have seen. It outlives the program.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) passes: Vec<SeenPass>,
    /// The pass that is on.
    pub(crate) current: Option<SeenPass>,
    pub(crate) notices: Vec<(Severity, String)>,
    /// Rules that were broken while the program ran.
    pub(crate) offences: Vec<String>,
    /// The session in memory when the program was closed without a pass, if its last save did not fail.
    pub(crate) at_close: Option<Arc<Session>>,
    /// The messages of the program about each pass.
    pub(crate) told: Told,
    /// Why the session could not be opened.
    pub(crate) refused: Option<String>,
    pub(crate) published: Option<Arc<Published>>,
    pub(crate) frames_recorded: u64,
    /// The fewest inputs that a device had.
    pub(crate) inputs_min: Option<usize>,
    /// Durable saves of the session when the overflow folder was named last in this life: an earlier naming may have been refused.
    pub(crate) named_overflow: Option<u64>,
    /// Whether the user has stopped the pass that was begun last.
    pub(crate) is_stopped: bool,
}

impl Story {
    /// The program has ended, in whatever way: the pass that was on must have at least the frames that were stored.
    /// `safe`: the frames that had been stored for as long as a power cut may cost.
    pub(crate) fn end_of_life(&mut self, safe: u64) {
        let recorded = self.published.take().map_or(NO_PASS, |published| published.pass_frames.load(Relaxed));
        if let Some(mut pass) = self.current.take() {
            pass.frames_max = (recorded != NO_PASS).then_some(recorded);
            if recorded != NO_PASS {
                pass.frames_min = pass.frames_min.max(recorded);
            }
            pass.frames_safe = safe.min(pass.frames_min);
            self.passes.push(pass);
        }
    }
}

/// The folders of a run.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) session: PathBuf,
    pub(crate) mirror: PathBuf,
    pub(crate) overflow: PathBuf,
    pub(crate) spool: PathBuf,
}

/// What a front end remembers of what the program shows.
struct Watch {
    story: Rc<RefCell<Story>>,
    /// The folder of the run. It is left out of the trace, so that two runs of a seed say the same.
    root: String,
    /// Whether the frames of the device can be told from the clock.
    is_steady: bool,
    /// Parts per million by which the clock of the device is faster than the one of the machine.
    drift_ppm: i64,
}

/// The user's program with its session.
struct User {
    control: Control,
    watch: Watch,
    random: Random,
    /// For the new names of tracks.
    names: Option<Random>,
    /// For the edits of kinds that the simulator has not drawn from its beginning on.
    later: Option<Random>,
    /// For what a hasty user does, see [`User::hurry`].
    hasty: Option<Random>,
    plan: Rc<Plan>,
    places: Places,
    /// The part of the session that only the user changes, as it was at the last look.
    kept: Option<Kept>,
}

pub(crate) fn setup(plan: &Plan, life: &Life, places: &Places) -> Setup {
    let capabilities = Capabilities {
        populate: Populate::Advise,
        o_direct: plan.o_direct,
        reserve: plan.reserve,
        io_uring: plan.io_uring,
        spool: SpoolPlace::Folder(places.spool.clone()),
        notes: Vec::new(),
    };
    Setup {
        folder: places.session.clone(),
        purpose: Purpose::Record,
        device: DeviceSpec {
            name: life.device.clone(),
            rate: SampleRate(RATE as u32),
            period_frames: Some(plan.period),
            buffer_frames: None,
            inputs: Some(plan.inputs),
            outputs: Some(if life.playback { 2 } else { 0 }),
            format: None,
            signal: Signal::Ramp,
        },
        format: plan.format,
        run: ThreadsSetup {
            capabilities,
            capture_path: CapturePath::Spool,
            lock_bytes_max: plan.lock_bytes,
            spool_bytes_max: plan.spool_bytes,
            lead_ms: 1000,
            sync_interval: Duration::from_millis(700),
        },
    }
}

/// The main thread of one life. The user may choose another device in it: he closes the session, and opens it with that device,
/// as the window does it.
pub(crate) fn live(plan: &Rc<Plan>, life: &Life, places: &Places, story: &Rc<RefCell<Story>>, mut random: Random) {
    let Some(change) = &life.change else { return use_device(plan, life, places, story, random) };
    let first = Life { time: change.after, later: life.later.clone(), ..life.clone() };
    use_device(plan, &first, places, story, random.part());
    let in_memory = {
        let mut story = story.borrow_mut();
        // A pass without a report has a refused file. A power cut may take what it has.
        story.end_of_life(0);
        story.at_close.take()
    };
    let offence = in_memory.and_then(|session| saved::difference(&here(), &places.session, &session));
    story.borrow_mut().offences.extend(offence);
    say(format_args!("another device"));
    let time = life.time.saturating_sub(change.after);
    let second = Life { time, device: change.device.clone(), change: None, ..life.clone() };
    use_device(plan, &second, places, story, random);
}

/// Opens the session with the device of `life`, uses it, and closes it.
fn use_device(plan: &Rc<Plan>, life: &Life, places: &Places, story: &Rc<RefCell<Story>>, random: Random) {
    let root = places.spool.parent().and_then(Path::parent).unwrap_or(Path::new("/")).display().to_string();
    let is_steady = life.is_steady() && plan.stall_chance == 0;
    let watch = Watch { story: Rc::clone(story), root, is_steady, drift_ppm: life.drift_ppm() };
    let ended = ended_takes(&places.session);
    let control = match Control::open(setup(plan, life, places)) {
        Ok(control) => control,
        Err(error) => {
            let reason = error.to_string().replace(&watch.root, "");
            say(format_args!("open refused: {reason}"));
            if let ControlError::Recovered { notices, .. } = error {
                watch.recovered(&places.session, &ended, notices);
            }
            story.borrow_mut().refused = Some(reason);
            return;
        }
    };
    {
        let mut story = story.borrow_mut();
        story.told.opened(&ended, control.session());
        (story.refused, story.named_overflow) = (None, None);
        story.published = Some(Arc::clone(&control.running().published));
    }
    here().watch_stored(Arc::clone(&control.running().published));
    let (names, later, hasty) = (plan.names.clone(), life.later.clone(), life.hasty.clone());
    let mut user =
        User { control, watch, random, names, later, hasty, plan: Rc::clone(plan), places: places.clone(), kept: None };
    user.use_it(life);
    user.close();
}

fn say(what: std::fmt::Arguments<'_>) {
    here().note("user", what);
}

/// A life in which the user only looks: what was cut off is recovered.
pub(crate) fn look_only(plan: &Rc<Plan>, life: &Life, places: &Places, story: &Rc<RefCell<Story>>) {
    live(plan, life, places, story, Random::new(0));
}

impl User {
    fn use_it(&mut self, life: &Life) {
        if let Err(error) = self.control.arm_inputs(self.plan.inputs) {
            say(format_args!("arm refused: {error}"));
        }
        self.kept = Some(Kept::of(&self.control));
        if life.playback {
            self.control.enable_playback();
        }
        if life.mirror {
            let place = self.places.mirror.clone();
            self.control.set_mirror(Some(&place));
        }
        if life.overflow {
            let place = self.places.overflow.clone();
            self.name_overflow(Some(&place));
        }
        self.duplicate_in_haste();
        let until = here().time() + life.time;
        let mut first = true;
        while here().time() < until {
            self.look();
            if life.activity > 0 && (first || (!life.only_records && self.random.chance(life.activity))) {
                self.act(first, life.only_records);
                first = false;
            }
            self.rename();
            self.hurry();
            let pause = self.random.between(5, 60);
            faultless::host::sleep(Duration::from_millis(pause));
        }
    }

    /// What a front end does all the time: it polls, and takes what there is to show.
    fn look(&mut self) {
        self.control.poll();
        self.look_at_session();
        while let Some(notice) = self.control.take_notice() {
            self.watch.noted(notice);
        }
        self.watch.story.borrow_mut().told.looked();
        while let Some(report) = self.control.take_report() {
            self.watch.reported(&report);
        }
        while self.control.take_event().is_some() {}
        self.watch.pass(&self.control);
    }

    /// Checks that the session has lost no edit, and that each take can be reached.
    fn look_at_session(&mut self) {
        if self.kept.as_ref().is_some_and(|kept| kept.revision == self.control.revision()) {
            return;
        }
        let now = Kept::of(&self.control);
        let lost = self.kept.as_ref().and_then(|before| before.lost_in(&now));
        let offences: Vec<String> = take_without_track(self.control.session()).into_iter().chain(lost).collect();
        self.kept = Some(now);
        for offence in offences {
            self.watch.offence(offence);
        }
    }

    fn act(&mut self, first: bool, without_end: bool) {
        if first {
            self.record(without_end);
            return;
        }
        let recording = self.control.is_recording();
        match self.random.below(100) {
            0..25 if !recording => self.record(false),
            0..12 | 40..44 => self.stop(),
            25..30 if !recording => self.punch(),
            30..36 => self.locate(),
            36..40 => self.control.roll(),
            44..48 => self.set_mirror(),
            48..52 => self.set_overflow(),
            52..54 => self.control.save_now(),
            54..62 => self.change("undo", Control::undo),
            62..68 => self.change("redo", Control::redo),
            _ => self.edit(),
        }
    }

    /// The user is about to begin a pass. An earlier one whose files could not be made has left no report, and its number is
    /// given again.
    fn forget_refused_pass(&self) {
        self.watch.story.borrow_mut().is_stopped = false;
        if !self.control.is_recording() {
            self.watch.story.borrow_mut().current = None;
        }
    }

    fn record(&mut self, without_end: bool) {
        self.forget_refused_pass();
        let length = if without_end || self.random.chance(800) { u64::MAX } else { self.random.between(1, 5 * RATE) };
        let result = self.control.record(Frames(length));
        say(format_args!("record {length}: {}", text(&result)));
        self.watch.pass(&self.control);
    }

    fn punch(&mut self) {
        let from = self.random.below(20 * RATE);
        let to = from + self.random.between(1, 4 * RATE);
        let pre_roll = self.random.below(2 * RATE);
        self.forget_refused_pass();
        let result = self.control.punch(FramePos(from), FramePos(to), Frames(pre_roll));
        say(format_args!("punch {from} to {to} after {pre_roll}: {}", text(&result)));
        self.watch.pass(&self.control);
    }

    fn stop(&mut self) {
        say(format_args!("stop"));
        self.stop_now();
    }

    fn stop_now(&mut self) {
        self.watch.story.borrow_mut().is_stopped = true;
        self.control.stop();
    }

    fn locate(&mut self) {
        let to = self.random.below(20 * RATE);
        let result = self.control.locate(FramePos(to));
        say(format_args!("locate {to}: {}", text(&result)));
    }

    fn set_mirror(&mut self) {
        let place = self.random.chance(600).then(|| self.places.mirror.clone());
        say(format_args!("mirror {}", place.is_some()));
        self.control.set_mirror(place.as_deref());
    }

    fn set_overflow(&mut self) {
        let place = self.random.chance(600).then(|| self.places.overflow.clone());
        say(format_args!("overflow {}", place.is_some()));
        self.name_overflow(place.as_deref());
    }

    fn name_overflow(&mut self, place: Option<&Path>) {
        if place.is_some() {
            let saves = here().disks.borrow().session_saves;
            self.watch.story.borrow_mut().named_overflow = Some(saves);
        }
        self.control.set_overflow(place);
    }

    fn edit(&mut self) {
        if !self.plan.allowed.edits {
            return;
        }
        let edit = match self.later.as_mut().and_then(|later| later.chance(200).then_some(later)) {
            Some(later) => later_edit(later, self.control.session()),
            None => random_edit(&mut self.random, self.control.session()),
        };
        let Some(edit) = edit else { return };
        let name = format!("{edit:?}");
        self.change(&name, |control| control.edit(edit));
    }

    /// Gives a track another name now and then while it may be recorded. Two tracks can get the same name.
    fn rename(&mut self) {
        let Some(names) = self.names.as_mut().filter(|_| self.control.is_recording()) else { return };
        if !names.chance(15) {
            return;
        }
        let tracks: Vec<TrackId> = self.control.session().track_ids().collect();
        // The user may have removed all tracks while the takes are finished.
        if tracks.is_empty() {
            return;
        }
        let name = match names.below(3) {
            0 => format!("In {}", names.between(1, 4)),
            _ => format!("Name {}", names.below(5)),
        };
        let edit = Edit::Name(*names.pick(&tracks), name);
        let text = format!("{edit:?}");
        self.change(&text, |control| control.edit(edit));
    }

    /// A hasty user records a track that he has just made.
    fn duplicate_in_haste(&mut self) {
        let armed = self.control.session().tracks().iter().find(|track| track.armed).map(Track::id);
        // There is something to take back.
        let edits = self.hasty.as_mut().map_or(0, |hasty| hasty.below(8));
        for number in 0..edits {
            let Some(track) = armed else { return };
            self.change("colour", |control| control.edit(Edit::Colour(vec![track], 100 + number as u8)));
        }
        let Some(track) = armed.filter(|_| self.hasty.as_mut().is_some_and(|hasty| hasty.chance(500))) else { return };
        self.change("duplicate", |control| control.edit(Edit::DuplicateTracks(vec![track])));
    }

    /// A hasty user takes steps back, and edits, while a pass is prepared or finished, and sometimes while it is recorded.
    fn hurry(&mut self) {
        let Some(phase) = self.control.pass_status().map(|status| status.phase) else { return };
        let Some(hasty) = self.hasty.as_mut() else { return };
        let chance = if [PassPhase::Preparing, PassPhase::Finishing].contains(&phase) { 300 } else { 15 };
        if !hasty.chance(chance) {
            return;
        }
        match hasty.below(4) {
            0 | 1 => self.change("undo", Control::undo),
            2 => self.change("redo", Control::redo),
            _ => {
                let Some(edit) = random_edit(hasty, self.control.session()) else { return };
                let name = format!("{edit:?}");
                self.change(&name, |control| control.edit(edit));
            }
        }
    }

    /// Changes the session, and checks that no take has changed.
    fn change(&mut self, name: &str, change: impl FnOnce(&mut Control) -> Result<(), ControlError>) {
        if !self.plan.allowed.edits {
            return;
        }
        let before = facts(self.control.session());
        let folders = self.control.session().overflow_folders().to_vec();
        let result = change(&mut self.control);
        self.kept = Some(Kept::of(&self.control));
        let forgotten = folders.iter().find(|folder| !self.control.session().overflow_folders().contains(folder));
        if let Some(folder) = forgotten {
            let folder = folder.replace(&self.watch.root, "");
            self.watch.offence(format!("{name}: it forgot the overflow folder {folder}"));
        }
        say(format_args!("{name}: {}", text(&result)));
        let after = match here().disks.borrow().planted() {
            Some(Planted::EditChangesTake) => facts(&wrong_fact::with_other_take(self.control.session())),
            _ => facts(self.control.session()),
        };
        if before != after {
            let mut story = self.watch.story.borrow_mut();
            story.offences.push(format!("{name}: it changed the takes from {before:?} to {after:?}"));
        }
        if let Err(reason) = self.control.session().validate() {
            self.watch.story.borrow_mut().offences.push(format!("{name}: the session contradicts itself: {reason}"));
        }
    }

    fn close(mut self) {
        if self.random.chance(500) {
            // The user ends the recording before he closes the program, and waits for everything to be saved.
            self.stop_now();
            let until = here().time() + Duration::from_secs(60);
            while here().time() < until
                && (self.control.is_recording() || self.control.save_state() != SaveState::Saved)
            {
                self.look();
                faultless::host::sleep(Duration::from_millis(20));
            }
        }
        // A file may get its new name while the program closes.
        let was_recording = self.control.is_recording() || self.control.is_naming_files();
        let session = self.control.shared();
        say(format_args!("close"));
        self.watch.story.borrow_mut().is_stopped = true;
        let User { control, watch, .. } = self;
        let (reports, notices) = control.close();
        for report in &reports {
            watch.reported(report);
        }
        let unsaved = notices.iter().any(|notice| notice.text.contains("the last changes are not saved"));
        for notice in notices {
            watch.noted(notice);
        }
        watch.story.borrow_mut().at_close = Some(session).filter(|_| !was_recording && !unsaved);
    }
}

impl Watch {
    fn offence(&self, offence: String) {
        let mut story = self.story.borrow_mut();
        if !story.offences.contains(&offence) {
            story.offences.push(offence);
        }
    }

    /// The session was recovered, and could not be opened after that.
    fn recovered(&self, folder: &Path, ended: &Ended, notices: Vec<Notice>) {
        if let Some(session) = fs::read(folder.join(SESSION_FILE)).ok().and_then(|bytes| parse(&bytes).ok()) {
            self.story.borrow_mut().told.opened(ended, &session);
        }
        for notice in notices {
            self.noted(notice);
        }
        self.story.borrow_mut().told.looked();
    }

    fn noted(&self, notice: Notice) {
        let text = notice.text.replace(&self.root, "");
        say(format_args!("{:?}: {text}", notice.severity));
        let mut story = self.story.borrow_mut();
        let current = story.current.as_ref().map(|pass| pass.number);
        story.told.notice(notice.severity, &notice.text, current);
        if let Some(inputs) = inputs_left(&notice.text) {
            story.inputs_min = Some(story.inputs_min.map_or(inputs, |least| least.min(inputs)));
        }
        // A mirror in which another program has made a file of the name goes without this pass.
        let is_taken =
            notice.text.contains("there is a file of that name already") && !notice.text.starts_with("mirror: ");
        if notice.severity == Severity::Loss && is_taken && !story.is_stopped {
            story.offences.push(format!("a pass is refused because of the name of a file: {text}"));
        }
        story.notices.push((notice.severity, notice.text));
    }

    /// Remembers which pass is on and how far it has come.
    fn pass(&self, control: &Control) {
        let mut story = self.story.borrow_mut();
        let Some(status) = control.pass_status() else { return };
        let session = control.session();
        let Some(number) = status.takes.first().and_then(|(_, take)| session.take(*take)).map(|take| take.pass) else {
            return;
        };
        if story.current.as_ref().is_some_and(|pass| pass.number != number) {
            // New names were needed, and the pass was begun again.
            story.current = None;
        }
        let tracks: Vec<TrackId> = status.takes.iter().map(|(track, _)| *track).collect();
        let pass = story.current.get_or_insert_with(|| SeenPass {
            number,
            tracks,
            since: here().time(),
            ..SeenPass::default()
        });
        // The first period tells where the pass begins.
        if RATE / 2 < status.frames.0 {
            for take in session.takes().iter().filter(|take| take.pass == number) {
                pass.starts.insert(take.uuid, take.start.0);
            }
        }
        if self.is_steady && pass.first.is_none() {
            pass.first = self.first_frame(control);
        }
        if status.has_begun() {
            pass.frames_min = pass.frames_min.max(status.frames.0);
        }
    }

    /// The frame of the device at which the pass began, by the clock.
    fn first_frame(&self, control: &Control) -> Option<i64> {
        let recorded = control.running().published.pass_frames.load(Relaxed);
        let world = here();
        let micros = world.time().saturating_sub(world.audio_since.get()).as_micros() as i64;
        let delivered =
            micros * (RATE as i64) / 1_000_000 + micros * (RATE as i64) / 1_000_000 * self.drift_ppm / 1_000_000;
        (recorded != NO_PASS && recorded > 0).then_some(delivered - recorded as i64)
    }

    fn reported(&self, report: &PassReport) {
        let troubled = report.takes_troubled();
        say(format_args!("report: {} frames, {} lost, {troubled} troubled", report.frames, report.frames_lost));
        let mut story = self.story.borrow_mut();
        story.frames_recorded += report.frames;
        if 0 < report.xruns && report.frames_lost == 0 {
            story.offences.push(format!("a report has {} xruns, and nothing was lost", report.xruns));
        }
        let Some(mut pass) = story.current.take() else { return };
        pass.frames_min = pass.frames_min.max(report.frames);
        pass.frames = Some(report.frames);
        pass.lost = Some(report.frames_lost);
        pass.is_troubled = troubled > 0;
        pass.whole_mirror = report.mirror.as_ref().filter(|mirror| mirror.whole).map(|mirror| mirror.folder.clone());
        story.passes.push(pass);
    }
}

fn text(result: &Result<(), ControlError>) -> String {
    result.as_ref().map_or_else(ToString::to_string, |()| "done".to_owned())
}

/// Number of inputs that a device came back with, from the notice about it.
fn inputs_left(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once("it came back with ")?;
    let (number, rest) = rest.split_once(' ')?;
    rest.starts_with("inputs of").then(|| number.parse().ok())?
}

/// The facts about takes that no edit and no step of undo may change.
fn facts(session: &Session) -> Vec<(u64, u32, [u64; 4], u64, String)> {
    let fact = |take: &Take| {
        let state = format!("{} {:?} {:?} {}", take.file, take.state, take.losses, take.uuid);
        let place = [take.start.0, take.latency.0, take.offset.0, take.frames.0];
        (take.id.0, take.pass, place, take.track.0, state)
    };
    session.takes().iter().map(fact).collect()
}
