//! Prevents the kernel from killing the process when a real-time thread uses too much processor time. Thread: audio
//! checks once a cycle, control arms.
//!
//! # The kernel's limit
//!
//! `RLIMIT_RTTIME` limits the processor time that a real-time thread may use *without waiting for anything*. Every
//! wait, however short, resets the count. At the soft limit the kernel sends `SIGXCPU`, which by default ends the
//! process. At the hard limit it sends `SIGKILL`, which cannot be caught. rtkit grants a thread the real-time class
//! only if the hard limit is at most 200 ms, and an ordinary user can never raise a hard limit again. Programs inherit
//! the limit from their desktop session, so it may also apply without rtkit.
//!
//! # The guard
//!
//! The soft limit is half of the hard one, and `SIGXCPU` sets a flag instead of ending the process. The audio thread
//! reads the flag once a cycle ([`yield_if_warned`]: one relaxed load). If the flag is set, the thread was busy for 100
//! ms without waiting for the card (a period takes 1 to 20 ms), so sound is lost already. The thread then sleeps for a
//! millisecond, which resets the kernel's count, and continues. So a device that is always ready (an unplugged card, a
//! broken sound server) causes a gap, but not the end of the recording. Only a single cycle of 200 ms would still be
//! killed, and the engine has no unbounded loop. In that case recovery restores the takes from the spool.
//!
//! The guard does not move the thread to the normal scheduling class instead: on a machine with one processor no other
//! thread would run to do that, and the audio thread itself can as well sleep.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The flag that the signal handler sets and [`yield_if_warned`] clears. Empty before [`arm`].
static OVERRAN: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Microseconds that a real-time thread of this process may run without waiting; `None` without a limit.
pub fn hard_limit_us() -> Option<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_RTTIME).ok()?;
    (hard != nix::libc::RLIM_INFINITY).then_some(hard)
}

/// Handles `SIGXCPU` and sets the soft limit to half of the hard one. With `at_most_us`, first lowers the hard limit to
/// that, which cannot be undone without `CAP_SYS_RESOURCE`. Without a hard limit nothing changes.
pub fn arm(at_most_us: Option<u64>) -> io::Result<()> {
    if OVERRAN.get().is_none() {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(nix::libc::SIGXCPU, Arc::clone(&flag))?;
        // Two threads at once may register two flags. One is kept; the other is set and never read.
        OVERRAN.set(flag).ok();
    }
    let hard = match (hard_limit_us(), at_most_us) {
        (Some(has), Some(wants)) => has.min(wants),
        (Some(limit), None) | (None, Some(limit)) => limit,
        (None, None) => return Ok(()),
    };
    Ok(setrlimit(Resource::RLIMIT_RTTIME, soft_of(hard), hard)?)
}

/// Sleeps for a millisecond if the kernel has sent its warning, and returns whether it did. The audio thread calls this
/// once a cycle. Without a warning this is a relaxed load and realtime-safe.
#[inline]
pub fn yield_if_warned() -> bool {
    let Some(flag) = OVERRAN.get() else { return false };
    if !flag.load(Ordering::Relaxed) {
        return false;
    }
    sleep_and_rearm(flag);
    true
}

#[cold]
fn sleep_and_rearm(flag: &AtomicBool) {
    std::thread::sleep(Duration::from_millis(1));
    flag.store(false, Ordering::Relaxed);
    // With each signal the kernel raises the soft limit by a second, beyond the hard one. Set it back.
    if let Some(hard) = hard_limit_us() {
        // If this fails there is no further warning. Recovery would then restore the takes from the spool.
        setrlimit(Resource::RLIMIT_RTTIME, soft_of(hard), hard).ok();
    }
}

const fn soft_of(hard: rlim_t) -> rlim_t {
    hard / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_real_time_thread_that_spins_past_the_soft_limit_is_warned_and_not_killed() {
        use thread_priority::{RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
        arm(None).unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_RTTIME).unwrap();
        let limit = 40_000.min(hard);
        setrlimit(Resource::RLIMIT_RTTIME, limit, hard).unwrap();
        let outcome = std::thread::spawn(|| {
            let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
            let one = ThreadPriority::Crossplatform(1_u8.try_into().unwrap());
            if thread_priority::set_thread_priority_and_policy(thread_priority::thread_native_id(), one, fifo).is_err()
            {
                return None;
            }
            let begin = Instant::now();
            // Real-time throttling and other tests make this take longer than the limit.
            while begin.elapsed() < Duration::from_secs(5) {
                if yield_if_warned() {
                    return Some(true);
                }
            }
            Some(false)
        })
        .join()
        .unwrap();
        setrlimit(Resource::RLIMIT_RTTIME, soft, hard).unwrap();
        match outcome {
            None => eprintln!("not shown here: no right to SCHED_FIFO"),
            Some(warned) => assert!(warned, "the signal never came"),
        }
    }
}
