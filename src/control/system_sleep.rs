//! Whether the machine slept, which the timeline does not show. Thread: control.
//!
//! The timeline counts by the monotonic clock, which stands still while the machine sleeps. A night under a closed lid is
//! no night of silence in every take, and takes of one pass keep their places, since all of them count by that clock.
//! What the card lost around it is silence like any other. That the wall's clock went on is said.

use crate::time::Clock;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Shorter sleeps are not worth a word.
const SLEEP_MIN: Duration = Duration::from_secs(1);

/// How long the machine has slept since it was started, as known last.
#[derive(Debug)]
pub(super) struct SystemSleep(Duration);

impl Default for SystemSleep {
    fn default() -> SystemSleep {
        SystemSleep(time_asleep())
    }
}

impl SystemSleep {
    /// What is to be said if the machine slept since the last look.
    pub(super) fn poll(&mut self) -> Option<String> {
        self.update(time_asleep())
    }

    fn update(&mut self, time_asleep: Duration) -> Option<String> {
        let now = time_asleep.checked_sub(self.0).filter(|now| SLEEP_MIN <= *now)?;
        self.0 = time_asleep;
        Some(format!("the machine slept for {}; that time is not on the timeline, and takes stay in line", Clock(now)))
    }
}

/// What the clock that counts sleep is ahead of the one that does not.
fn time_asleep() -> Duration {
    let read = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    // In this order: an interruption in between makes the result smaller, never a sleep out of nothing.
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
