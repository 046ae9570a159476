//! One run: a few lives of the program on simulated disks, and the judgement at its end. Thread: the one of the run.

use crate::disk::{Disks, Fault, NAMES, Name, Planted};
use crate::elsewhere::{self, KeptSpool};
use crate::mirror::wav_files;
use crate::nature::{Act, rename_by_hand};
use crate::oracle::{self, Evidence};
use crate::plan::{Allowed, BEGIN, Ending, Life, Plan, RATE};
use crate::random::Random;
use crate::saved;
use crate::seeds;
use crate::told::is_about_recovery;
use crate::trace::Trace;
use crate::user::{self, Places, Story};
use crate::world::{End, Kill, Waiting, World, enter};
use crate::wrong_fact;
use faultless::control::Severity;
use faultless::recovery::recover;
use faultless::session::names::SESSION_FILE;
use faultless::session::session_file::{OpenSession, open_read_only, parse};
use faultless::session::{Session, Take, TakeState};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// What a power cut may cost of a pass whose disks had no trouble: the time between two syncs, one sync, and the
/// pauses of the threads.
const CUT_COSTS: Duration = Duration::from_millis(2_000);

/// The time that a power cut may cost in addition after a loss. Headers wait at most so long for the save that lists the loss.
const LOSS_COSTS: Duration = Duration::from_secs(3);

/// For how long the disks must have had no trouble before a power cut, so that [`CUT_COSTS`] is the limit.
const CALM: Duration = Duration::from_secs(15);

/// How to run a seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) allowed: Allowed,
    pub(crate) planted: Option<Planted>,
    /// Whether every line of the trace is printed.
    pub(crate) prints: bool,
    /// A change of the plan.
    pub(crate) lead: Option<fn(&mut Plan)>,
}

/// The result of a run.
pub(crate) struct Outcome {
    /// What was wrong, a sentence each. Empty: the run was honest.
    pub(crate) offences: Vec<String>,
    pub(crate) hash: u64,
    /// Simulated time.
    pub(crate) time: Duration,
    pub(crate) frames: u64,
    /// Batches that failed in part.
    pub(crate) partial_failures: u64,
}

/// Runs a seed in a folder of its own below `base`, which it removes afterwards.
pub(crate) fn run(seed: u64, base: &Path, options: Options) -> Outcome {
    let root = base.join("run");
    fs::remove_dir_all(&root).ok();
    fs::create_dir_all(&root).expect("a folder of the run");
    let mut random = Random::new(seed);
    let mut plan = Plan::new(&mut random, seed, options.allowed);
    if let Some(lead) = options.lead {
        lead(&mut plan);
    }
    let plan = Rc::new(plan);
    let mut disks = Disks::new(&root, plan.disk_bytes);
    for (name, fault) in &plan.faults {
        disks.add_fault(*name, *fault);
    }
    if let Some(planted) = options.planted {
        disks.plant(planted);
    }
    (disks.file_bytes_max, disks.o_direct) = (plan.file_bytes_max, plan.o_direct);
    let places = Places {
        session: disks.root(Name::Session).join("song"),
        mirror: disks.root(Name::Mirror).to_owned(),
        overflow: disks.root(Name::Overflow).to_owned(),
        spool: root.join("memory").join(format!("faultless-{}", nix::unistd::getuid())),
    };
    let world = World::new(random.part(), disks, Trace::new(options.prints));
    if seeds::waits_by_guess(seed) {
        world.waiting.set(Waiting::Guessed);
    }
    world.stall_chance.set(plan.stall_chance);
    world.deeds.borrow_mut().clone_from(&plan.deeds);
    world.ambushes.borrow_mut().clone_from(&plan.ambushes);
    world.stall_max.set(plan.stall_max);
    *world.memory_folder.borrow_mut() = root.join("memory");
    make_spool_folder(&places.spool);
    enter(&world);
    let host = faultless::host::install(Rc::clone(&world) as Rc<dyn faultless::host::Host>);
    let names = plan.names.clone();
    let mut run = Run {
        world: Rc::clone(&world),
        plan,
        places,
        random,
        story: Rc::default(),
        evidence: Evidence::default(),
        offences: Vec::new(),
        planted: options.planted,
        names,
        overflow_is_unlisted: false,
        kept: Vec::new(),
    };
    if options.prints {
        println!("{:#?}", run.plan);
    }
    run.live_all();
    run.judge();
    drop(host);
    let trace = world.trace.borrow();
    let outcome = Outcome {
        offences: std::mem::take(&mut run.offences),
        hash: trace.hash(),
        time: world.time().saturating_sub(BEGIN),
        frames: run.story.borrow().frames_recorded,
        partial_failures: world.partial_failures.get(),
    };
    drop(trace);
    world.clear();
    fs::remove_dir_all(&root).ok();
    outcome
}

fn make_spool_folder(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder for spools");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("a private folder");
}

struct Run {
    world: Rc<World>,
    plan: Rc<Plan>,
    places: Places,
    random: Random,
    story: Rc<RefCell<Story>>,
    evidence: Evidence,
    offences: Vec<String>,
    planted: Option<Planted>,
    /// For the names that files get by hand.
    names: Option<Random>,
    /// Whether the own disk accepted no session.json from the naming of an overflow folder to a power cut, except for one
    /// that was being written. Then nothing on it can lead to that folder.
    overflow_is_unlisted: bool,
    /// Memory with sound that no file has, because a recovery did without it.
    kept: Vec<KeptSpool>,
}

impl Run {
    fn live_all(&mut self) {
        let plan = Rc::clone(&self.plan);
        for (number, life) in plan.lives.iter().enumerate() {
            self.world.note("run", format_args!("life {number}: {:?}", life.ending));
            let end = self.live(life);
            if end == End::Killed && matches!(life.ending, Ending::PowerCut(_)) {
                self.cut_power();
            }
            if end == End::Killed {
                let folders = [self.places.session.clone(), self.places.overflow.join("song")];
                self.evidence.listed.read(&folders, matches!(life.ending, Ending::PowerCut(_)));
            }
            if let (End::Killed, Ending::Killed(_), Some(without_memory)) = (end, life.ending, plan.elsewhere) {
                self.recover_elsewhere(without_memory);
            }
            self.world.advance(life.pause);
            if let Some(names) = &mut self.names
                && names.chance(250)
            {
                let disk = *names.pick(&NAMES);
                rename_by_hand(&self.world, disk, names);
            }
            if end == End::Stuck {
                return;
            }
        }
        // Everything is repaired, and the user looks what is there.
        self.world.disks.borrow_mut().repair();
        self.world.stall_chance.set(0);
        let last = Life {
            time: Duration::from_millis(1_500),
            ending: Ending::Close,
            device: format!("virtual:xrun={}+1", 1_u64 << 38),
            mirror: false,
            overflow: false,
            playback: false,
            activity: 0,
            only_records: false,
            pause: Duration::from_secs(1),
            later: None,
            hasty: None,
            change: None,
            faults: Vec::new(),
        };
        self.world.note("run", format_args!("last look"));
        self.look(&last);
        if self.overflow_is_unlisted && self.has_unlisted_overflow() {
            // Only the user can lead there. He names the folder again, as a front end does that keeps its settings.
            self.world.note("run", format_args!("last look with the overflow folder"));
            self.look(&Life { overflow: true, ..last });
        }
        if let Some(reason) = self.story.borrow().refused.clone() {
            self.offences.push(format!("the session cannot be opened after all is repaired: {reason}"));
        }
    }

    /// Whether the overflow folder has a copy of the session, and the session does not list that folder.
    fn has_unlisted_overflow(&self) -> bool {
        let folder = self.places.overflow.join("song");
        let (own, copy) = (open_read_only(&self.places.session), open_read_only(&folder));
        let is_listed = |own: &Session| own.overflow_folders().iter().any(|listed| Path::new(listed) == folder);
        own.is_ok_and(|own| copy.is_ok_and(|copy| copy.id == own.id) && !is_listed(&own))
    }

    fn live(&mut self, life: &Life) -> End {
        let now = self.world.time();
        for (name, fault) in &life.faults {
            let fault = Fault { from: now + fault.from, to: now + fault.to, ..*fault };
            self.world.disks.borrow_mut().add_fault(*name, fault);
        }
        let kill = match life.ending {
            Ending::Close => Kill::Never,
            Ending::Killed(kill) | Ending::PowerCut(kill) => match kill {
                Kill::At(after) => Kill::At(self.world.time() + after),
                kill => kill,
            },
        };
        let (plan, places, story) = (Rc::clone(&self.plan), self.places.clone(), Rc::clone(&self.story));
        let (random, life) = (self.random.part(), life.clone());
        self.go(kill, move || user::live(&plan, &life, &places, &story, random))
    }

    /// A life in which nothing is recorded.
    fn look(&mut self, life: &Life) -> End {
        let (plan, places, story, life) =
            (Rc::clone(&self.plan), self.places.clone(), Rc::clone(&self.story), life.clone());
        // Nothing is recorded any more that another program could disturb.
        self.world.deeds.borrow_mut().clear();
        self.go(Kill::Never, move || user::look_only(&plan, &life, &places, &story))
    }

    fn go(&mut self, kill: Kill, main: impl FnOnce() + 'static) -> End {
        let end = self.world.live(kill, main);
        if end == End::Stuck {
            self.offences.push(format!("no thread can go on: {}", self.world.describe_stuck()));
        }
        let panics: Vec<String> = self.world.panics.borrow_mut().drain(..).collect();
        self.offences.extend(panics.into_iter().map(|text| format!("panic: {text}")));
        let mut costs = CUT_COSTS;
        if self.world.has_lost_since(self.world.time().saturating_sub(CUT_COSTS + LOSS_COSTS)) {
            costs += LOSS_COSTS;
        }
        let moment = self.world.time().saturating_sub(costs);
        // Frames that were stored before the user began this pass belong to an earlier pass.
        let is_older = self.story.borrow().current.as_ref().is_some_and(|pass| pass.since <= moment);
        let safe = if is_older { self.world.stored_at(moment) } else { 0 };
        self.story.borrow_mut().end_of_life(safe);
        let in_memory = self.story.borrow_mut().at_close.take();
        self.offences
            .extend(in_memory.and_then(|session| saved::difference(&self.world, &self.places.session, &session)));
        end
    }

    fn cut_power(&mut self) {
        let now = self.world.time();
        self.world.note("run", format_args!("power cut"));
        self.evidence.power_cut = true;
        let saves = self.world.disks.borrow().session_saves;
        self.overflow_is_unlisted |= self.story.borrow().named_overflow.is_some_and(|before| saves <= before + 1);
        self.world.boot.set(self.world.boot.get() + 1);
        if let Err(error) = self.world.disks.borrow_mut().cut_power(&mut self.random) {
            self.offences.push(format!("the simulator cannot cut the power: {error}"));
        }
        self.kept.clear();
        fs::remove_dir_all(&self.places.spool).ok();
        make_spool_folder(&self.places.spool);
        let calm = self.is_calm(now);
        let ended = ended_passes(&self.places.session);
        // The program has not seen it. If the file was the only one of its pass, nothing else says how long the pass was.
        let was_cut = self.world.disks.borrow().last_cut.is_some_and(|at| now.saturating_sub(CUT_COSTS) < at);
        let costs = if calm { CUT_COSTS.as_millis() as u64 * RATE / 1000 } else { u64::MAX };
        for pass in &mut self.story.borrow_mut().passes {
            let has_ended = ended.contains(&pass.number);
            pass.is_cut_in_trouble |= !calm && !has_ended;
            // A pass with a report is on the disk, unless the report named takes that are not whole.
            if pass.is_troubled {
                pass.frames_min = pass.frames_min.saturating_sub(costs);
            } else if pass.frames.is_none() && !has_ended {
                // What was stored for so long is on the disk. A number of frames says nothing here: when a device comes
                // back, the silence of its loss, however long, is stored at once, and no sync could be in time for it.
                let is_known = calm && !(was_cut && pass.tracks.len() < 2);
                pass.frames_min = if is_known { pass.frames_min.min(pass.frames_safe) } else { 0 };
            }
        }
    }

    /// Whether the disks of the takes have had no trouble for a while. That of the mirror does not matter, and that of the
    /// overflow folder only if takes are there.
    fn is_calm(&self, now: Duration) -> bool {
        let has_takes = !wav_files(&self.places.overflow.join("song/audio")).is_empty();
        let mut names = [Name::Session].into_iter().chain(has_takes.then_some(Name::Overflow));
        let disks = self.world.disks.borrow();
        let is_calm = |name| disks.is_calm_since(name, now.saturating_sub(CALM), now);
        names.all(is_calm) && self.plan.stall_chance == 0 && self.plan.file_bytes_max == u64::MAX
    }

    /// Somebody who cannot see the memory recovers the session. Without the wish to do without it, this ends no pass.
    fn recover_elsewhere(&mut self, without_memory: bool) {
        self.world.note("run", format_args!("recovery elsewhere, without memory: {without_memory}"));
        let ended = elsewhere::recover(&self.places, without_memory, &mut self.story.borrow_mut().told);
        if !without_memory {
            let sentence = |pass: u32| format!("pass {pass}: a recovery that cannot see its memory has ended it");
            self.offences.extend(ended.into_iter().map(sentence));
            return;
        }
        // The user did without the rest.
        let mut story = self.story.borrow_mut();
        for pass in story.passes.iter_mut().filter(|pass| ended.contains(&pass.number)) {
            (pass.frames_min, pass.frames) = (0, None);
        }
        drop(story);
        self.kept = elsewhere::spools_with_more(&self.places);
    }

    fn judge(&mut self) {
        self.offences.append(&mut self.story.borrow_mut().offences);
        let session = self.places.session.clone();
        if !session.exists() {
            return;
        }
        if self.planted == Some(Planted::UnlistedFile) {
            fs::write(session.join("audio/other.wav"), [1; 8192]).expect("a file");
        }
        let others: Vec<PathBuf> =
            [&self.places.mirror, &self.places.overflow].iter().map(|place| place.join("song")).collect();
        {
            let story = self.story.borrow();
            self.evidence.passes.clone_from(&story.passes);
            // Only another program or a power cut can take a file away.
            let has_culprit = self.evidence.power_cut || self.plan.has_harm();
            let is_of_mirror = |text: &str| text.contains("mirror: ");
            self.evidence.mirror_troubles = story.notices.iter().filter(|(_, text)| is_of_mirror(text)).count();
            let words =
                ["the file of this take is gone", "no file of this take is there", "several files have the sound"];
            let is_taken = |text: &str| {
                self.plan.deeds.iter().any(|deed| deed.act == Act::TakesName)
                    && text.contains("not the file that was recorded; left as it is")
            };
            let is_gone =
                |text: &&String| has_culprit && (words.iter().any(|words| text.contains(words)) || is_taken(text));
            self.evidence.gone = story.notices.iter().map(|(_, text)| text).filter(is_gone).cloned().collect();
            self.evidence.recoveries = story.notices.iter().filter(|(_, text)| is_about_recovery(text)).count();
            self.evidence.has_told_loss = story.notices.iter().any(|(severity, _)| *severity == Severity::Loss);
            self.evidence.told.clone_from(&story.told);
            self.evidence.is_quiet = self.plan.is_quiet();
            // The program says that inputs are missing, but a kill may come before.
            let returns = self.plan.lives.iter().flat_map(Life::inputs_returned);
            self.evidence.inputs_min = returns.chain(story.inputs_min).min();
        }
        if let Some(Planted::WrongFact(fact)) = self.planted {
            fact.make(&session, &mut self.evidence);
        }
        self.offences.extend(oracle::judge(&session, &others, &self.evidence));
        self.offences.extend(elsewhere::removed(&self.kept, &session));
        self.recover_again();
        for stranger in self.world.disks.borrow_mut().strangers.drain(..) {
            self.offences.push(format!("the simulator did not see how it was made: {stranger}"));
        }
    }

    /// A second recovery changes nothing.
    fn recover_again(&mut self) {
        let folders: Vec<PathBuf> = NAMES.iter().map(|name| self.world.disks.borrow().root(*name).to_owned()).collect();
        if self.planted == Some(Planted::CutOffAgain) {
            wrong_fact::cut_off_again(&self.places.session);
        }
        let before = oracle::content_of(&folders);
        match OpenSession::open(&self.places.session) {
            Ok((mut store, mut session)) => {
                let report = recover(&mut store, &mut session, std::slice::from_ref(&self.places.spool));
                if !report.passes.is_empty() {
                    self.offences.push(format!("a second recovery recovers {} passes", report.passes.len()));
                }
            }
            Err(error) => self.offences.push(format!("the session cannot be opened again: {error}")),
        }
        let after = oracle::content_of(&folders);
        for (path, number) in &after {
            if before.get(path) != Some(number) {
                self.offences.push(format!("a second recovery changes {}", path.display()));
            }
        }
        for path in before.keys().filter(|path| !after.contains_key(*path)) {
            self.offences.push(format!("a second recovery removes {}", path.display()));
        }
    }
}

/// The passes that have ended for the session on the disk. Nothing takes anything of them away.
fn ended_passes(folder: &Path) -> BTreeSet<u32> {
    let session = fs::read(folder.join(SESSION_FILE)).ok().and_then(|bytes| parse(&bytes).ok());
    let Some(session) = session else { return BTreeSet::new() };
    let passes = |wanted: fn(&Take) -> bool| {
        session.takes().iter().filter(move |take| wanted(take)).map(|take| take.pass).collect::<BTreeSet<u32>>()
    };
    &passes(|_| true) - &passes(|take| take.state == TakeState::Recording)
}
