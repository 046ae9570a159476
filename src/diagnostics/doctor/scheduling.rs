//! Judges the scheduling class that the audio thread will get, and how late a thread of that class wakes up. Thread:
//! control, which starts a trial thread.

use super::{Finding, Verdict, duration};
use crate::rt::{Scheduling, cpu_limit, obtain};
use std::time::{Duration, Instant};

const SLEEPS: u32 = 200;
const SLEEP: Duration = Duration::from_millis(1);

pub(super) fn examine() -> Vec<Finding> {
    // Use a thread of its own, because the class stays with the thread.
    match std::thread::Builder::new().name("audio trial".to_owned()).spawn(|| (obtain(), worst_lateness())) {
        Ok(thread) => match thread.join() {
            Ok((class, late)) => vec![judge_class(&class, cpu_limit::hard_limit_us()), judge_lateness(&class, late)],
            Err(_) => vec![failed("the trial thread panicked")],
        },
        Err(error) => vec![failed(&format!("cannot start a thread: {error}"))],
    }
}

fn failed(reason: &str) -> Finding {
    Finding::new("scheduling", "nothing", Verdict::Poor, format!("It could not be tried: {reason}."))
}

/// Sleeps many times for a short while, as an audio thread does. Returns how late the latest wake-up was.
fn worst_lateness() -> Duration {
    (0..SLEEPS)
        .map(|_| {
            let begin = Instant::now();
            std::thread::sleep(SLEEP);
            begin.elapsed().saturating_sub(SLEEP)
        })
        .max()
        .unwrap_or_default()
}

fn judge_class(class: &Scheduling, hard_limit_us: Option<u64>) -> Finding {
    let Some(reason) = class.reason() else {
        let mut sentence = "The audio thread goes before all ordinary programs.".to_owned();
        if let Some(limit) = hard_limit_us {
            let limit = duration(limit as f64 / 1e6);
            sentence = format!(
                "{sentence} The kernel ends a program that uses {limit} of processor time in one go; ours \
                                pauses before that."
            );
        }
        return Finding::new("scheduling", class.to_string(), Verdict::Good, sentence);
    };
    let sentence = format!(
        "The audio thread waits in line with all other programs, so a busy machine can cost sound ({reason}). \
         The fix counts from the next login; a desktop with rtkit needs none."
    );
    let finding = Finding::new("scheduling", class.to_string(), Verdict::Poor, sentence);
    match class.fix() {
        Some(command) => finding.fix(command),
        None => finding,
    }
}

fn judge_lateness(class: &Scheduling, late: Duration) -> Finding {
    let us = late.as_micros();
    // The limits are half a period of 64 and of 256 frames at 48 kHz.
    let (verdict, advice) = match us {
        0..=666 => (Verdict::Good, "short periods (64 frames) are within reach"),
        667..=2666 => (Verdict::Fair, "choose periods of 256 frames or more"),
        _ => (Verdict::Poor, "choose periods of 1024 frames or more, and close what keeps the machine busy"),
    };
    let measured = format!("{us} µs late at worst");
    let sentence = format!(
        "Of {SLEEPS} sleeps of 1 ms as {class}, the worst ended {:.2} ms late: {advice}. Measured for a fifth of a second; \
         a busy hour is worse.",
        us as f64 / 1000.0
    );
    Finding::new("wake-up", measured, verdict, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_thread_is_poor_and_has_a_fix() {
        let finding = judge_class(&Scheduling::Normal { reason: "RLIMIT_RTPRIO is 0".to_owned() }, None);
        assert_eq!(finding.verdict, Verdict::Poor);
        assert!(finding.sentence.contains("RLIMIT_RTPRIO is 0") && finding.fix.unwrap().contains("rtprio"));
    }

    #[test]
    fn a_limit_that_kills_is_named() {
        let class = Scheduling::RoundRobin { priority: 20 };
        assert!(judge_class(&class, Some(200_000)).sentence.contains("200 ms"));
        assert!(!judge_class(&class, None).sentence.contains("ends a program"));
    }

    #[test]
    fn lateness_is_judged_by_the_period_that_it_leaves() {
        let class = Scheduling::Fifo { priority: 70 };
        let verdict = |us| judge_lateness(&class, Duration::from_micros(us)).verdict;
        assert_eq!([verdict(20), verdict(2_000), verdict(9_000)], [Verdict::Good, Verdict::Fair, Verdict::Poor]);
    }
}
