//! The simulated machine: its clock, its threads as coroutines, and the scheduler that a seed drives. It is the program's
//! [`Host`]. Thread: the one of the run; every simulated thread runs on it.
//!
//! A coroutine is suspended where its thread would wait (a sleep, an empty channel, a join) and before each call to a
//! disk. Between two suspensions it runs alone, so a run depends on nothing but its seed.

#![allow(
    unsafe_code,
    reason = "a coroutine is suspended through a pointer to its yielder, and dropped without unwinding"
)]

use crate::disk::Disks;
use crate::host::Folders;
use crate::nature::Deed;
use crate::process::{close_descriptors_except, open_descriptors, unmap_files};
use crate::random::Random;
use crate::trace::Trace;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use faultless::host::HostThread;
use faultless::message::published::{NO_PASS, Published};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

/// Bytes of the stack of a simulated thread.
const STACK_BYTES: usize = 512 * 1024;

/// Steps of each coroutine without a visible effect after which the scheduler lets time pass, see [`Waiting::Guessed`].
const IDLE_STEPS: usize = 3;

/// Looks of all threads at what they wait for, before they count as waiting for ever.
const LOOKS_MAX: usize = 20;

/// Steps after which a run counts as endless.
const STEPS_MAX: u64 = 3_000_000;

/// The condition on which a suspended coroutine continues. A moment is in nanoseconds of the clock.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// For a moment.
    Until(u64),
    /// For something that another coroutine does, or for a moment.
    Change(u64),
}

/// How the scheduler finds out whether a coroutine that waited and waits again has done something in between. If it has, all
/// others look again at what they wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It tells.
    Told,
    /// After [`IDLE_STEPS`] such steps of each coroutine nobody did anything. The runs of earlier seeds depend on it.
    Guessed,
}

/// The moment of a coroutine that waits for no moment, or has ended.
const NEVER: u64 = u64::MAX;

/// The part of a task that the scheduler compares at every step. All of them lie in one array, so that a step reads little
/// memory.
#[derive(Clone, Copy)]
struct Due {
    /// The moment at which the coroutine can go on.
    at: u64,
    /// For [`Wait::Change`]: the number of [`World::changes`] at the last look of the coroutine. Otherwise the largest.
    seen: u64,
}

/// A simulated thread.
struct Task {
    name: &'static str,
    /// `None` while it runs, and when it has ended.
    coroutine: Option<Coroutine<(), Wait, ()>>,
    yielder: *const Yielder<(), Wait>,
    wait: Wait,
    has_ended: bool,
}

/// States of a [`Handle`].
const RUNS: u32 = 0;
const ENDED: u32 = 1;
const FAILED: u32 = 2;

/// The handle of a simulated thread.
pub(crate) struct Handle {
    state: Arc<AtomicU32>,
}

impl HostThread for Handle {
    fn is_finished(&self) -> bool {
        self.state.load(SeqCst) != RUNS
    }

    fn join(self: Box<Self>) -> std::thread::Result<()> {
        let mut found_nothing = false;
        while !self.is_finished() {
            here().wait_for_change(None, std::mem::replace(&mut found_nothing, true));
        }
        if self.state.load(SeqCst) == ENDED { Ok(()) } else { Err(Box::new("it failed")) }
    }
}

/// How a life of the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The main thread returned.
    Returned,
    /// The program was killed.
    Killed,
    /// No thread can go on, or the run takes too many steps.
    Stuck,
}

/// When the program is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    Never,
    /// At this moment.
    At(Duration),
    /// Before the disk call of this number, counted from the start of the life.
    AtCall(u64),
    /// Before the disk call of this number, counted from the first one of the thread that gives files new names.
    AfterNaming(u64),
    /// Before the disk call of this number, counted from the write before which another program replaced the file.
    AfterReplacing(u64),
    /// Before the disk call of this number, counted from the first write of sound by a recovery.
    AfterRecovery(u64),
}

/// The simulated machine.
pub(crate) struct World {
    now: Cell<Duration>,
    tasks: RefCell<Vec<Task>>,
    dues: RefCell<Vec<Due>>,
    /// The tasks that have not ended, in order.
    alive: RefCell<Vec<usize>>,
    /// The clock in nanoseconds.
    now_ns: Cell<u64>,
    current: Cell<Option<usize>>,
    stacks: RefCell<Vec<DefaultStack>>,
    /// The descriptors that were open before the first life: those of the simulator itself.
    own_descriptors: Vec<i32>,
    random: RefCell<Random>,
    pub(crate) trace: RefCell<Trace>,
    pub(crate) disks: RefCell<Disks>,
    pub(crate) folders: RefCell<Folders>,
    /// Whether the program of this life was killed.
    is_dead: Cell<bool>,
    kill: Cell<Kill>,
    calls: Cell<u64>,
    /// The number of calls before the event that the kill counts from.
    since: Cell<Option<u64>>,
    steps: Cell<u64>,
    /// How often a coroutine did something that others may wait for.
    changes: Cell<u64>,
    /// How it is found out whether a coroutine that waited and waits again has done something.
    pub(crate) waiting: Cell<Waiting>,
    /// Whether the coroutine that ran last has only checked its condition, and must continue to wait.
    found_nothing: Cell<bool>,
    /// The coroutines that can go on. Kept, so that a step needs no memory of its own.
    able: RefCell<Vec<usize>>,
    /// Per mille of the sleeps that take up to [`World::stall_max`] longer.
    pub(crate) stall_chance: Cell<u64>,
    pub(crate) stall_max: Cell<Duration>,
    pub(crate) memory_folder: RefCell<PathBuf>,
    /// Number of the boot. A power cut raises it.
    pub(crate) boot: Cell<u32>,
    stuck: RefCell<String>,
    /// What other programs will do, the next one last.
    pub(crate) deeds: RefCell<Vec<Deed>>,
    /// When another program begins to wait for a write of sound, the next one last.
    pub(crate) ambushes: RefCell<Vec<Duration>>,
    /// Batches of which some calls failed and others did not.
    pub(crate) partial_failures: Cell<u64>,
    /// Messages of panics.
    pub(crate) panics: RefCell<Vec<String>>,
    /// When the audio thread of this life was started.
    pub(crate) audio_since: Cell<Duration>,
    /// What the audio thread of this life publishes.
    published: RefCell<Option<Arc<Published>>>,
    /// The frames of the pass that were stored, each number with the moment at which it was first seen.
    stored: RefCell<Vec<(Duration, u64)>>,
    /// The lost frames of the present life, and the moment at which so many were first seen.
    lost: Cell<(Duration, u64)>,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };

    /// Stacks of earlier runs. The kernel need not make their pages again.
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

/// The world of the run of this thread.
pub(crate) fn here() -> Rc<World> {
    WORLD.with(|world| world.borrow().clone().expect("a world is set up"))
}

/// Sets up a world for this thread.
pub(crate) fn enter(world: &Rc<World>) {
    WORLD.with(|place| *place.borrow_mut() = Some(Rc::clone(world)));
}

impl World {
    pub(crate) fn new(random: Random, disks: Disks, trace: Trace) -> Rc<World> {
        Rc::new(World {
            now: Cell::new(Duration::from_secs(1000)),
            tasks: RefCell::default(),
            dues: RefCell::default(),
            alive: RefCell::default(),
            now_ns: Cell::new(nanoseconds(Duration::from_secs(1000))),
            current: Cell::new(None),
            stacks: RefCell::new(STACKS.take()),
            own_descriptors: open_descriptors(),
            random: RefCell::new(random),
            trace: RefCell::new(trace),
            disks: RefCell::new(disks),
            folders: RefCell::default(),
            is_dead: Cell::new(false),
            kill: Cell::new(Kill::Never),
            calls: Cell::new(0),
            since: Cell::new(None),
            steps: Cell::new(0),
            changes: Cell::new(0),
            waiting: Cell::new(Waiting::Told),
            found_nothing: Cell::new(false),
            able: RefCell::default(),
            stall_chance: Cell::new(0),
            stall_max: Cell::new(Duration::ZERO),
            memory_folder: RefCell::default(),
            boot: Cell::new(1),
            stuck: RefCell::default(),
            deeds: RefCell::default(),
            ambushes: RefCell::default(),
            partial_failures: Cell::new(0),
            panics: RefCell::default(),
            audio_since: Cell::default(),
            published: RefCell::default(),
            stored: RefCell::default(),
            lost: Cell::default(),
        })
    }

    pub(crate) fn time(&self) -> Duration {
        self.now.get()
    }

    fn set_time(&self, time: Duration) {
        self.now.set(time);
        self.now_ns.set(nanoseconds(time));
    }

    /// Lets time pass between two lives.
    pub(crate) fn advance(&self, time: Duration) {
        self.set_time(self.now.get() + time);
    }

    pub(crate) fn note(&self, who: &str, what: std::fmt::Arguments<'_>) {
        self.trace.borrow_mut().add(self.now.get(), who, what);
    }

    /// From now on the world notes how many frames are stored.
    pub(crate) fn watch_stored(&self, published: Arc<Published>) {
        self.stored.borrow_mut().clear();
        *self.published.borrow_mut() = Some(published);
    }

    fn note_stored(&self) {
        let published = self.published.borrow();
        let Some(published) = published.as_ref() else { return };
        let (frames, lost) = (published.pass_frames.load(Relaxed), published.losses());
        if self.lost.get().1 != lost {
            self.lost.set((self.now.get(), lost));
        }
        // No header gives the silence of a loss that has not ended.
        let frames = if frames == NO_PASS { frames } else { frames.min(published.open_loss.load(Relaxed)) };
        let mut stored = self.stored.borrow_mut();
        if stored.last().is_none_or(|(_, last)| *last != frames) {
            stored.push((self.now.get(), frames));
        }
    }

    /// Whether frames were lost since a moment.
    pub(crate) fn has_lost_since(&self, moment: Duration) -> bool {
        let (last, frames) = self.lost.get();
        frames != 0 && moment <= last
    }

    /// Frames of the last pass that were stored at a moment.
    pub(crate) fn stored_at(&self, moment: Duration) -> u64 {
        let stored = self.stored.borrow();
        let in_pass = stored.iter().rev().skip_while(|(_, frames)| *frames == NO_PASS);
        // Each pass begins with fewer frames than the one before it had.
        let mut after = NO_PASS;
        let mut of_pass = in_pass.take_while(|(_, frames)| *frames < std::mem::replace(&mut after, *frames));
        of_pass.find(|(at, _)| *at <= moment).map_or(0, |(_, frames)| *frames)
    }

    /// Runs one life of the program: `main` and the threads that it starts, until `main` returns or the program is
    /// killed. The threads that are left then are gone, as at the end of a process.
    pub(crate) fn live(&self, kill: Kill, main: impl FnOnce() + 'static) -> End {
        self.is_dead.set(false);
        self.kill.set(kill);
        self.calls.set(0);
        self.since.set(None);
        self.add_task("main", Arc::default(), Box::new(main));
        let end = self.run_tasks();
        if end == End::Stuck {
            *self.stuck.borrow_mut() = format!("{} steps; {}", self.steps.get(), self.describe_tasks());
        }
        if self.forget_tasks() {
            unmap_files(&self.memory_folder.borrow());
        }
        close_descriptors_except(&self.own_descriptors);
        end
    }

    fn run_tasks(&self) -> End {
        let (mut idle, mut looks) = (0, 0);
        loop {
            if self.is_dead.get() {
                return End::Killed;
            }
            if self.tasks.borrow()[0].has_ended {
                return End::Returned;
            }
            if STEPS_MAX < self.steps.replace(self.steps.get() + 1) {
                return End::Stuck;
            }
            let Some(chosen) = self.choose() else {
                if self.let_time_pass() {
                    (idle, looks) = (0, 0);
                } else if looks < LOOKS_MAX {
                    // A message may have been sent after the last look of its receiver.
                    (idle, looks) = (0, looks + 1);
                    self.changes.set(self.changes.get() + 1);
                } else {
                    return End::Stuck;
                }
                continue;
            };
            let was_waiting = matches!(self.tasks.borrow()[chosen].wait, Wait::Change(_));
            self.found_nothing.set(false);
            self.resume(chosen);
            let tasks = self.tasks.borrow();
            let task = &tasks[chosen];
            let waits_for_change = matches!(task.wait, Wait::Change(_)) && !task.has_ended;
            idle = if was_waiting && waits_for_change { idle + 1 } else { 0 };
            let did_something = match self.waiting.get() {
                Waiting::Told => !self.found_nothing.get(),
                Waiting::Guessed => idle < IDLE_STEPS * tasks.len(),
            };
            if did_something {
                self.changes.set(self.changes.get() + 1);
            }
            if waits_for_change {
                // A coroutine waits for changes that others make, not for its own.
                self.dues.borrow_mut()[chosen].seen = self.changes.get();
            }
        }
    }

    /// One of the coroutines that can go on now.
    fn choose(&self) -> Option<usize> {
        let (now, changes, mut able) = (self.now_ns.get(), self.changes.get(), self.able.borrow_mut());
        let (dues, alive) = (self.dues.borrow(), self.alive.borrow());
        able.resize(dues.len(), 0);
        let mut count = 0;
        for index in alive.iter() {
            let due = dues[*index];
            // Without a branch: whether a coroutine can go on is hard to predict.
            able[count] = *index;
            count += usize::from(due.at <= now || due.seen < changes);
        }
        let at = self.random.borrow_mut().below(count as u64) as usize;
        (count > 0).then(|| able[at])
    }

    /// Moves the clock to the next moment at which something happens. Returns whether there is one.
    fn let_time_pass(&self) -> bool {
        self.note_stored();
        let next = self.dues.borrow().iter().map(|due| due.at).min().unwrap_or(NEVER);
        if next == NEVER {
            return false;
        }
        let next = Duration::from_nanos(next);
        if let Kill::At(moment) = self.kill.get()
            && moment <= next
        {
            self.set_time(self.now.get().max(moment));
            self.die("the clock");
            return true;
        }
        let deed = self.deeds.borrow_mut().pop_if(|deed| deed.at <= next);
        if let Some(deed) = deed {
            self.set_time(self.now.get().max(deed.at));
            deed.happen(self);
            return true;
        }
        self.set_time(self.now.get().max(next));
        true
    }

    fn resume(&self, index: usize) {
        let coroutine = self.tasks.borrow_mut()[index].coroutine.take();
        let Some(mut coroutine) = coroutine else { return };
        self.current.set(Some(index));
        let result = coroutine.resume(());
        self.current.set(None);
        let task = &mut self.tasks.borrow_mut()[index];
        let due = &mut self.dues.borrow_mut()[index];
        match result {
            CoroutineResult::Yield(wait) => {
                task.wait = wait;
                task.coroutine = Some(coroutine);
                *due = match wait {
                    Wait::Until(at) => Due { at, seen: u64::MAX },
                    Wait::Change(at) => Due { at, seen: due.seen },
                };
            }
            CoroutineResult::Return(()) => {
                task.has_ended = true;
                *due = Due { at: NEVER, seen: u64::MAX };
                self.alive.borrow_mut().retain(|alive| *alive != index);
                self.stacks.borrow_mut().push(coroutine.into_stack());
            }
        }
    }

    pub(crate) fn start_thread(&self, name: &'static str, body: Box<dyn FnOnce() + Send>) -> Handle {
        if name == "audio" {
            self.audio_since.set(self.now.get());
        }
        let state = Arc::new(AtomicU32::new(RUNS));
        self.add_task(name, Arc::clone(&state), body);
        Handle { state }
    }

    fn add_task(&self, name: &'static str, state: Arc<AtomicU32>, body: Box<dyn FnOnce()>) {
        let stack = self.stacks.borrow_mut().pop();
        let stack = stack.unwrap_or_else(|| DefaultStack::new(STACK_BYTES).expect("memory for a stack"));
        let index = self.tasks.borrow().len();
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), Wait>, ()| {
            here().tasks.borrow_mut()[index].yielder = yielder;
            let result = catch_unwind(AssertUnwindSafe(body));
            state.store(if result.is_ok() { ENDED } else { FAILED }, SeqCst);
        });
        let coroutine = Some(coroutine);
        let yielder = std::ptr::null();
        self.tasks.borrow_mut().push(Task { name, coroutine, yielder, wait: Wait::Until(0), has_ended: false });
        self.dues.borrow_mut().push(Due { at: 0, seen: u64::MAX });
        self.alive.borrow_mut().push(index);
    }

    /// Drops the threads of a life without running anything of them. What they own stays in memory until the process of
    /// the simulator ends. Returns whether there were any.
    fn forget_tasks(&self) -> bool {
        self.dues.borrow_mut().clear();
        self.alive.borrow_mut().clear();
        let mut were_left = false;
        for task in self.tasks.borrow_mut().drain(..) {
            let Some(mut coroutine) = task.coroutine else { continue };
            were_left = true;
            if coroutine.started() && !coroutine.done() {
                // SAFETY: nothing runs or reads what is on this stack afterwards: all threads of the life are dropped
                // together, and what other memory refers to it is leaked with it.
                unsafe { coroutine.force_reset() };
                self.stacks.borrow_mut().push(coroutine.into_stack());
            } else {
                std::mem::forget(coroutine);
            }
        }
        were_left
    }

    fn suspend(&self, wait: Wait) {
        let Some(index) = self.current.get() else {
            // Code of the simulator itself.
            if let Wait::Until(moment) = wait {
                self.set_time(self.now.get().max(Duration::from_nanos(moment)));
            }
            return;
        };
        let yielder = self.tasks.borrow()[index].yielder;
        // SAFETY: the yielder lives on the stack of the coroutine that runs now.
        unsafe { (*yielder).suspend(wait) };
    }

    pub(crate) fn random(&self) -> std::cell::RefMut<'_, Random> {
        self.random.borrow_mut()
    }

    /// Suspends until another thread did something, or until a moment. `found_nothing`: since its last pause the coroutine
    /// has only checked its condition, and must continue to wait.
    pub(crate) fn wait_for_change(&self, until: Option<Duration>, found_nothing: bool) {
        self.found_nothing.set(found_nothing);
        self.suspend(Wait::Change(until.map_or(NEVER, nanoseconds)));
    }

    pub(crate) fn wait_until(&self, moment: Duration) {
        self.suspend(Wait::Until(nanoseconds(moment)));
    }

    /// A call to a disk takes its time: a little, and up to `more`.
    pub(crate) fn take_time(&self, more: Duration) {
        let micros = {
            let mut random = self.random();
            random.between(10, 150) + random.below(more.as_micros() as u64)
        };
        self.suspend(Wait::Until(nanoseconds(self.now.get() + Duration::from_micros(micros))));
    }

    /// Counts a call to a disk. The program may be killed before it.
    pub(crate) fn count_call(&self) {
        if self.current.get().is_none() {
            return;
        }
        if self.name_of_current() == "take-names" {
            self.count_from_here(Kill::AfterNaming);
        }
        self.calls.set(self.calls.get() + 1);
        if self.is_fatal(self.calls.get()) {
            self.die("a call");
            self.suspend(Wait::Change(NEVER));
        }
    }

    /// The calls count from here on, if the kill waits for this event and this is the first one.
    pub(crate) fn count_from_here(&self, event: fn(u64) -> Kill) {
        let kill = self.kill.get();
        let (Kill::AfterNaming(number) | Kill::AfterReplacing(number) | Kill::AfterRecovery(number)) = kill else {
            return;
        };
        if event(number) == kill && self.since.get().is_none() {
            self.since.set(Some(self.calls.get()));
        }
    }

    /// Whether the program is killed before the next call.
    pub(crate) fn is_next_call_fatal(&self) -> bool {
        self.current.get().is_some() && self.is_fatal(self.calls.get() + 1)
    }

    /// Whether the program is killed before the call of this number.
    fn is_fatal(&self, call: u64) -> bool {
        match self.kill.get() {
            Kill::AtCall(at) => call == at,
            Kill::AfterNaming(number) | Kill::AfterReplacing(number) | Kill::AfterRecovery(number) => {
                self.since.get().is_some_and(|since| call == since + number)
            }
            Kill::Never | Kill::At(_) => false,
        }
    }

    /// The program is killed: no thread of this life goes on.
    fn die(&self, by: &str) {
        if !self.is_dead.replace(true) {
            self.note("kill", format_args!("by {by}, call {}", self.calls.get()));
        }
    }

    pub(crate) fn name_of_current(&self) -> &'static str {
        self.current.get().map_or("simulator", |index| self.tasks.borrow()[index].name)
    }

    /// A pause of `time`, with the delay of a busy machine.
    pub(crate) fn sleep_about(&self, time: Duration) {
        let mut random = self.random.borrow_mut();
        let mut late = Duration::from_micros(random.below(300));
        if self.stall_chance.get() > 0 && random.chance(self.stall_chance.get()) {
            late += Duration::from_micros(random.below(self.stall_max.get().as_micros() as u64));
        }
        drop(random);
        self.suspend(Wait::Until(nanoseconds(self.now.get() + time + late)));
    }

    /// What the threads waited for when the run was stuck.
    pub(crate) fn describe_stuck(&self) -> String {
        self.stuck.borrow().clone()
    }

    fn describe_tasks(&self) -> String {
        let tasks = self.tasks.borrow();
        let lines = tasks.iter().filter(|task| !task.has_ended).map(|task| format!("{}: {:?}", task.name, task.wait));
        lines.collect::<Vec<_>>().join("; ")
    }

    /// Frees what the world holds, because leaked coroutines may refer to it.
    pub(crate) fn clear(&self) {
        self.disks.borrow_mut().clear();
        STACKS.with(|stacks| stacks.borrow_mut().append(&mut self.stacks.borrow_mut()));
        WORLD.with(|place| place.borrow_mut().take());
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1)
}

/// Keeps the messages of panics for the judgement, and prints none.
pub(crate) fn watch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let known = WORLD.with(|world| world.try_borrow().ok().and_then(|world| world.clone()));
        match known {
            Some(world) => world.panics.borrow_mut().push(panic.to_string().replace('\n', " ")),
            None => eprintln!("{panic}"),
        }
    }));
}
