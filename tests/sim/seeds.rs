//! Many seeds, in processes of their own: a life that is killed leaves its memory behind, and a seed that hangs or
//! crashes must not end the others. Thread: test.

use crate::plan::{Allowed, LARGE_DISK, Plan, RATE};
use crate::run::{Options, Outcome, run};
use crate::world::watch_panics;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Seeds that one process runs.
const SEEDS_PER_PROCESS: u64 = 100;

/// Seeds of one test.
const SEEDS_PER_TEST: u64 = 1_000;

/// The longest that a seed may take, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Failures after which a run of many seeds ends.
const FAILURES_MAX: usize = 25;

/// Seeds whose runs failed before the program or the simulator was fixed.
const ONCE_FAILED: &str = include_str!("seeds.txt");

/// Seeds whose runs fail because of a defect that is known.
const KNOWN: &str = include_str!("open.txt");

const ALL: Options = Options { allowed: Allowed::ALL, planted: None, prints: false, lead: None };

/// The line of `seeds.txt` after which the seeds have the additions to their plans.
const WITH_ADDITIONS: &str = "# With the additions:";

/// The line of `seeds.txt` after which coroutines tell whether they have only looked.
const WITH_TOLD_WAITS: &str = "# With told waits:";

/// The line of `seeds.txt` after which plans can have a disk that makes no folder durable.
const WITH_FOLDER_SYNCS: &str = "# With folder syncs:";

/// The line of `seeds.txt` after which plans can have a hasty user, and outputs that run dry in many periods.
const WITH_HASTE: &str = "# With hasty users:";

/// The line of `seeds.txt` after which another program can cut a file behind its header.
const WITH_CUTS_INSIDE: &str = "# With cuts inside:";

/// A folder for the runs of this process, in memory. Its name has the same length in every process.
pub(crate) struct Base(pub(crate) PathBuf);

impl Base {
    pub(crate) fn new() -> Base {
        let folder = PathBuf::from(format!("/dev/shm/faultless-simulator-{:08}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder in memory");
        Base(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Runs seeds in this process. Prints a line before and after each.
pub(crate) fn worker(from: u64, count: u64) -> bool {
    watch_panics();
    let base = Base::new();
    let mut honest = true;
    for seed in from..from + count {
        println!("begin {seed}");
        let began = Instant::now();
        let outcome = run(seed, base.path(), ALL);
        let (milliseconds, seconds) = (began.elapsed().as_secs_f64() * 1000.0, outcome.time.as_secs_f64());
        println!(
            "end {seed} {:016x} {milliseconds:.3} {seconds:.3} {} {}",
            outcome.hash, outcome.frames, outcome.partial_failures
        );
        for offence in &outcome.offences {
            println!("offence {seed} {}", offence.replace('\n', " "));
        }
        honest &= outcome.offences.is_empty();
    }
    honest
}

/// Runs one seed and prints its plan, its trace and the judgement.
pub(crate) fn show(seed: u64) -> bool {
    watch_panics();
    let base = Base::new();
    let outcome = run(seed, base.path(), Options { prints: true, ..ALL });
    print_judgement(seed, &outcome);
    outcome.offences.is_empty()
}

fn print_judgement(seed: u64, outcome: &Outcome) {
    println!(
        "\nseed {seed}: trace {:016x}, {:.1} s, {} frames",
        outcome.hash,
        outcome.time.as_secs_f64(),
        outcome.frames
    );
    for offence in &outcome.offences {
        println!("  {offence}");
    }
    if outcome.offences.is_empty() {
        println!("  honest");
    }
}

/// The figures of many seeds.
#[derive(Debug, Default)]
struct Tally {
    seeds: u64,
    milliseconds: f64,
    worst_milliseconds: f64,
    seconds: f64,
    frames: u64,
    /// Batches of the disks that failed in part, and the seeds that have one.
    partial_failures: (u64, u64),
    /// Seed and reason.
    failures: Vec<(u64, String)>,
    hashes: Vec<(u64, String)>,
}

/// Runs seeds, and prints the failures and the figures.
pub(crate) fn many(from: u64, count: u64) -> bool {
    let began = Instant::now();
    let tally = run_many(from, count);
    let seeds = tally.seeds.max(1) as f64;
    println!(
        "{} seeds from {from}: {} failed; mean {:.1} ms, longest {:.0} ms, mean {:.1} simulated seconds and {:.1} recorded; {} batches failed in part, in {} seeds; {:.0} s in all",
        tally.seeds,
        tally.failures.len(),
        tally.milliseconds / seeds,
        tally.worst_milliseconds,
        tally.seconds / seeds,
        tally.frames as f64 / seeds / crate::plan::RATE as f64,
        tally.partial_failures.0,
        tally.partial_failures.1,
        began.elapsed().as_secs_f64()
    );
    tally.failures.is_empty()
}

/// Runs seeds until so many hours are over or a seed failed, and prints the figures of every few thousand.
pub(crate) fn for_hours(from: u64, hours: u64) -> bool {
    const SEEDS: u64 = 10_000;
    let until = Instant::now() + Duration::from_secs(3600 * hours);
    let mut from = from;
    while Instant::now() < until {
        if !many(from, SEEDS) {
            return false;
        }
        from += SEEDS;
    }
    true
}

/// A process that runs seeds.
struct Worker {
    child: Child,
    lines: Receiver<String>,
    /// The seed that it runs, and since when.
    seed: u64,
    since: Instant,
    has_begun: bool,
    /// The first seed that has not ended.
    left: u64,
    end: u64,
}

impl Worker {
    fn start(from: u64, count: u64) -> Worker {
        let program = std::env::current_exe().expect("the path of this program");
        let mut command = Command::new(program);
        command.args(["--worker", &from.to_string(), "--count", &count.to_string()]);
        // The allocator keeps what is freed: the next run needs it again.
        command.env("MALLOC_MMAP_THRESHOLD_", "1000000000").env("MALLOC_TRIM_THRESHOLD_", "1000000000");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a process");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Worker { child, lines, seed: from, since: Instant::now(), has_begun: false, left: from, end: from + count }
    }

    /// Reads what it has printed. Returns the first seed that is left to run if it has ended, and ends it if it hangs.
    fn read(&mut self, tally: &mut Tally) -> Option<u64> {
        loop {
            match self.lines.recv_timeout(Duration::from_millis(20)) {
                Ok(line) => self.line(&line, tally),
                Err(RecvTimeoutError::Timeout) => {
                    if PATIENCE < self.since.elapsed() {
                        self.child.kill().ok();
                        self.child.wait().ok();
                        tally.fail(self.seed, format!("it did not end within {} s", PATIENCE.as_secs()));
                        return Some(self.seed + 1);
                    }
                    return None;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait();
                    if self.has_begun {
                        tally.fail(self.seed, format!("the simulator ended in it: {status:?}"));
                        return Some(self.seed + 1);
                    }
                    if self.left < self.end {
                        tally.fail(self.left, format!("the simulator ended before it: {status:?}"));
                        return Some(self.left + 1);
                    }
                    return Some(self.end);
                }
            }
        }
    }

    fn line(&mut self, line: &str, tally: &mut Tally) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let seed = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        match words[0] {
            "begin" => (self.seed, self.since, self.has_begun) = (seed, Instant::now(), true),
            "end" => {
                (self.has_begun, self.left) = (false, seed + 1);
                let figures: Vec<&str> = words.get(2).map_or(Vec::new(), |rest| rest.split(' ').collect());
                let number = |at: usize| figures.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
                tally.seeds += 1;
                tally.milliseconds += number(1);
                tally.worst_milliseconds = tally.worst_milliseconds.max(number(1));
                tally.seconds += number(2);
                tally.frames += number(3) as u64;
                tally.partial_failures.0 += number(4) as u64;
                tally.partial_failures.1 += u64::from(number(4) > 0.0);
                tally.hashes.push((seed, figures.first().map_or_else(String::new, ToString::to_string)));
            }
            "offence" => tally.fail(seed, words.get(2).map_or_else(String::new, ToString::to_string)),
            _ => {}
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let id = self.child.id();
        self.child.kill().ok();
        self.child.wait().ok();
        // What a process that was killed has left.
        std::fs::remove_dir_all(format!("/dev/shm/faultless-simulator-{id:08}")).ok();
    }
}

impl Tally {
    /// Notes and prints a failure. One seed counts once.
    fn fail(&mut self, seed: u64, reason: String) {
        println!("seed {seed}: {reason}");
        if self.failures.last().is_none_or(|(last, _)| *last != seed) {
            self.failures.push((seed, reason));
        }
    }
}

fn run_many(from: u64, count: u64) -> Tally {
    // The runner of tests starts as many tests as there are cores.
    let at_once = if std::env::var_os("FAULTLESS_TEST_MARK").is_some() { 1 } else { 2 };
    let (mut tally, mut next, end) = (Tally::default(), from, from + count);
    let mut workers: Vec<Worker> = Vec::new();
    while (next < end || !workers.is_empty()) && tally.failures.len() < FAILURES_MAX {
        while workers.len() < at_once && next < end {
            let batch = SEEDS_PER_PROCESS.min(end - next);
            workers.push(Worker::start(next, batch));
            next += batch;
        }
        let mut at = 0;
        while at < workers.len() {
            match workers[at].read(&mut tally) {
                None => at += 1,
                Some(left) => {
                    let stopped = workers.swap_remove(at);
                    if left < stopped.end {
                        workers.push(Worker::start(left, stopped.end - left));
                    }
                }
            }
        }
    }
    tally
}

/// The test of the seeds from `from` on.
pub(crate) fn honest(from: u64) {
    let mut tally = run_many(from, SEEDS_PER_TEST);
    let known = seeds_in(KNOWN);
    tally.failures.retain(|(seed, _)| !known.contains(seed));
    assert!(
        tally.failures.is_empty(),
        "{} seeds failed, the first is {:?}; to see it: cargo test --no-default-features --test sim -- --seed {}",
        tally.failures.len(),
        tally.failures[0],
        tally.failures[0].0
    );
    assert_eq!(tally.seeds, SEEDS_PER_TEST);
}

/// Two processes do the same with the same seed.
pub(crate) fn same_every_time() {
    const SEEDS: u64 = 40;
    let (mut first, mut second) = (run_many(0, SEEDS).hashes, run_many(0, SEEDS).hashes);
    first.sort();
    second.sort();
    assert_eq!(first.len() as u64, SEEDS);
    let other: Vec<_> = first.iter().zip(&second).filter(|(a, b)| a != b).collect();
    assert!(other.is_empty(), "other runs of the same seed: {other:?}");
}

/// The seeds in `seeds.txt`.
pub(crate) fn once_failed() {
    let mut failures = Vec::new();
    for seed in seeds_in(ONCE_FAILED) {
        let tally = run_many(seed, 1);
        failures.extend(tally.failures);
        assert_eq!(tally.seeds, 1, "seed {seed} did not run");
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// Whether a seed is in the first part of `seeds.txt`, so that its plan stays as it was.
pub(crate) fn is_without_additions(seed: u64) -> bool {
    is_listed_before(WITH_ADDITIONS, seed)
}

/// Whether a seed is in the part of `seeds.txt` whose runs depend on [`crate::world::Waiting::Guessed`].
pub(crate) fn waits_by_guess(seed: u64) -> bool {
    is_listed_before(WITH_TOLD_WAITS, seed)
}

/// Whether a seed is in the part of `seeds.txt` whose plans have no disk that makes no folder durable.
pub(crate) fn is_without_folder_syncs(seed: u64) -> bool {
    is_listed_before(WITH_FOLDER_SYNCS, seed)
}

/// Whether a seed is in the part of `seeds.txt` whose plans have neither a hasty user nor outputs that run dry in many periods.
pub(crate) fn is_without_haste(seed: u64) -> bool {
    is_listed_before(WITH_HASTE, seed)
}

/// Whether a seed is in the part of `seeds.txt` whose plans have no file that is cut behind its header.
pub(crate) fn is_without_cuts_inside(seed: u64) -> bool {
    is_listed_before(WITH_CUTS_INSIDE, seed)
}

fn is_listed_before(line: &str, seed: u64) -> bool {
    let before = ONCE_FAILED.split_once(line).map_or(ONCE_FAILED, |(before, _)| before);
    seeds_in(before).contains(&seed)
}

/// A run of 60 simulated seconds takes milliseconds.
pub(crate) fn a_minute() {
    const SECONDS: u64 = 60;
    watch_panics();
    let base = Base::new();
    let lead = |plan: &mut Plan| {
        plan.lives.truncate(1);
        let life = &mut plan.lives[0];
        (life.time, life.only_records) = (Duration::from_secs(SECONDS), true);
        (plan.disk_bytes, plan.spool_bytes) = (LARGE_DISK, 64 << 20);
    };
    let began = Instant::now();
    let outcome = run(0, base.path(), Options { allowed: Allowed::NOTHING, lead: Some(lead), ..ALL });
    let real = began.elapsed();
    println!("{SECONDS} simulated seconds of recording: {} ms of real time", real.as_millis());
    assert!(outcome.offences.is_empty(), "{:?}", outcome.offences);
    let seconds = outcome.frames / RATE;
    assert!(SECONDS - 1 <= seconds, "{seconds} s were recorded");
    assert!(real < Duration::from_secs(10), "{real:?}");
}

/// The seeds at the begins of the lines of a list.
fn seeds_in(list: &str) -> Vec<u64> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}
