//! Detects that the machine slept, which the timeline does not show. Thread: control.
//!
//! The timeline counts by the monotonic clock, which stops while the machine sleeps. So a night with a closed lid does
//! not become a night of silence in every take, and the takes of a pass stay aligned, because all of them count by that
//! clock. Frames that the card lost around the sleep are silence like any other loss. A notice tells the user how long
//! the machine slept, because the wall clock is ahead of the timeline by that time.

use crate::host;
use crate::time::Clock;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Shorter sleeps get no notice.
const SLEEP_MIN: Duration = Duration::from_secs(1);

/// Total sleep since the machine was started, as of the last notice.
#[derive(Debug)]
pub(super) struct SystemSleep(Duration);

impl Default for SystemSleep {
    fn default() -> SystemSleep {
        SystemSleep(time_asleep())
    }
}

impl SystemSleep {
    /// The text of a notice if the machine has slept since the last one.
    pub(super) fn poll(&mut self) -> Option<String> {
        self.update(time_asleep())
    }

    fn update(&mut self, time_asleep: Duration) -> Option<String> {
        let now = time_asleep.checked_sub(self.0).filter(|now| SLEEP_MIN <= *now)?;
        self.0 = time_asleep;
        Some(format!(
            "the machine slept for {}; that time is not on the timeline, and takes stay aligned with each other",
            Clock(now)
        ))
    }
}

/// Total sleep since the machine was started: the difference of the clock that counts sleep and the one that does not.
fn time_asleep() -> Duration {
    if host::is_simulated() {
        return Duration::ZERO;
    }
    let read = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    // In this order: an interruption between the two reads makes the result smaller and never invents a sleep.
    let with_sleep = read(ClockId::CLOCK_BOOTTIME);
    with_sleep.saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_said_once_and_a_machine_that_is_awake_says_nothing() {
        let mut system_sleep = SystemSleep(Duration::from_secs(100));
        assert_eq!(system_sleep.update(Duration::from_millis(100_010)), None);
        assert_eq!(system_sleep.update(Duration::from_millis(99_990)), None);
        let notice = system_sleep.update(Duration::from_secs(100 + 8 * 3600)).unwrap();
        assert!(notice.contains("8:00:00.000"), "{notice}");
        assert_eq!(system_sleep.update(Duration::from_secs(100 + 8 * 3600)), None);
        let mut awake = SystemSleep::default();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(awake.poll(), None);
    }
}
