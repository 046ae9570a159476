//! A deterministic simulation of a whole recorder: the real control, butler, committers, savers, audio thread and
//! recovery run as coroutines on one thread, in simulated time, on simulated disks, driven by a seed. After each run an
//! oracle compares every sample with the ramp that the simulated card delivered. Thread: test.
//!
//! | command | what it does |
//! |---|---|
//! | `cargo test --no-default-features --test sim` | the tests |
//! | `cargo test --no-default-features --test sim -- --seed N` | runs one seed and prints its trace |
//! | `tests/stress/sim.sh SEEDS [FIRST]` | runs so many seeds, two at a time, and prints those that fail |
//!
//! | file | content |
//! |---|---|
//! | `run` | one seed: several lives of the program, kills, power cuts, the judgement |
//! | `plan` | what the seed decides before the run |
//! | `additions` | faults that the simulator has learned later |
//! | `kinds` | plans that lead a run to a place that chance does not find |
//! | `user` | what the user does |
//! | `edits` | the edits of the user |
//! | `world` | clock, threads, scheduler: the program's host |
//! | `host` | the calls of the program that reach the machine |
//! | `batch` | calls that the program gives to the disks at once |
//! | `disk` | the simulated disks and their faults |
//! | `fault` | the troubles of the disks, and defects that tests plant |
//! | `wrong_fact` | facts that tests make wrong after a run |
//! | `image` | a file of a simulated disk, and what a power cut leaves of it |
//! | `process` | the end of a simulated process |
//! | `nature` | what other programs do |
//! | `elsewhere` | a recovery by somebody who cannot see the memory |
//! | `oracle` | the rules that every run must keep |
//! | `mirror` | the rule of the mirror |
//! | `saved` | the rule of the session's file |
//! | `told` | what the program has told of each pass |
//! | `listed` | losses that a session listed, of which none may be forgotten |
//! | `seeds` | many seeds in processes of their own |
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod additions;
mod batch;
mod disk;
mod edits;
mod elsewhere;
mod fault;
mod host;
mod image;
mod kept;
mod kinds;
mod listed;
mod mirror;
mod nature;
mod oracle;
mod plan;
mod planted;
mod process;
mod random;
mod run;
mod saved;
mod seeds;
mod told;
mod trace;
mod user;
mod world;
mod wrong_fact;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A test: its name, and the function that panics if it fails.
type Test = (&'static str, fn());

/// The tests of this program. The seeds are divided, so that each test keeps its deadline.
const TESTS: &[Test] = &[
    ("planted::the_oracle_finds_a_write_that_was_skipped", planted::skipped_write),
    ("planted::the_oracle_finds_sound_at_a_wrong_place", planted::wrong_offset),
    ("planted::the_oracle_finds_a_sync_that_did_nothing_before_a_power_cut", planted::idle_sync),
    ("planted::the_oracle_finds_a_failure_in_a_batch_that_the_program_does_not_see", planted::hidden_failure),
    ("planted::the_oracle_finds_a_file_that_the_session_does_not_list", planted::unlisted_file),
    ("planted::the_oracle_finds_each_fact_that_is_wrong_in_the_session_or_in_a_report", planted::wrong_facts),
    ("planted::the_oracle_finds_a_mirror_that_was_called_whole_and_is_not", planted::other_mirror),
    ("planted::the_oracle_finds_a_file_of_the_session_that_differs_from_the_one_in_memory", planted::other_file),
    ("planted::the_oracle_finds_a_recovery_that_leaves_work_for_the_next_one", planted::cut_off_again),
    ("planted::the_oracle_finds_an_edit_that_changes_a_take", planted::edit_changes_take),
    ("planted::the_oracle_finds_silence_of_a_pass_when_only_losses_of_other_passes_were_told", planted::untold),
    ("edits::each_kind_of_edit_is_drawn", edits::every_kind_is_drawn),
    ("seeds::a_minute_of_recording_takes_little_real_time", seeds::a_minute),
    ("seeds::a_seed_is_the_same_run_every_time", seeds::same_every_time),
    ("seeds::seeds_that_once_failed_are_honest_now", seeds::once_failed),
    ("seeds::seeds_0_to_999_record_honestly", || seeds::honest(0)),
    ("seeds::seeds_1000_to_1999_record_honestly", || seeds::honest(1_000)),
    ("seeds::seeds_2000_to_2999_record_honestly", || seeds::honest(2_000)),
    ("seeds::seeds_3000_to_3999_record_honestly", || seeds::honest(3_000)),
    ("seeds::seeds_4000_to_4999_record_honestly", || seeds::honest(4_000)),
    ("seeds::seeds_5000_to_5999_record_honestly", || seeds::honest(5_000)),
    ("seeds::seeds_6000_to_6999_record_honestly", || seeds::honest(6_000)),
    ("seeds::seeds_7000_to_7999_record_honestly", || seeds::honest(7_000)),
    ("seeds::seeds_8000_to_8999_record_honestly", || seeds::honest(8_000)),
    ("seeds::seeds_9000_to_9999_record_honestly", || seeds::honest(9_000)),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let is_set = |name: &str| arguments.iter().any(|argument| argument == name);
    let status = if is_set("--worker") {
        seeds::worker(number("--worker").unwrap_or(0), number("--count").unwrap_or(1))
    } else if let Some(seed) = number("--seed") {
        seeds::show(seed)
    } else if let Some(count) = number("--seeds") {
        seeds::many(number("--from").unwrap_or(0), count)
    } else if let Some(hours) = number("--hours") {
        seeds::for_hours(number("--from").unwrap_or(0), hours)
    } else if is_set("--list") {
        for (name, _) in TESTS {
            println!("{name}: test");
        }
        true
    } else {
        let is_exact = is_set("--exact");
        let words: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
        let fits = |name: &str| {
            words.is_empty() || words.iter().any(|word| if is_exact { name == *word } else { name.contains(*word) })
        };
        run_tests(|name| fits(name))
    };
    std::process::exit(i32::from(!status));
}

/// Runs the tests whose names fit, and prints what libtest prints.
fn run_tests(fits: impl Fn(&str) -> bool) -> bool {
    let chosen: Vec<&Test> = TESTS.iter().filter(|(name, _)| fits(name)).collect();
    println!("\nrunning {} tests", chosen.len());
    let mut failed = 0;
    for (name, test) in &chosen {
        let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    let (passed, left_out) = (chosen.len() - failed, TESTS.len() - chosen.len());
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} filtered out\n"
    );
    failed == 0
}
