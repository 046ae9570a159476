//! Keeps a real-time thread that overran its processor time from taking the process down. Thread: audio
//! asks once a cycle, control arms.
//!
//! # What the kernel does
//!
//! `RLIMIT_RTTIME` bounds the processor time that a real-time thread may use *without waiting for
//! anything*; every wait, however short, sets its count back to zero. At the soft limit the kernel sends
//! `SIGXCPU`, which by default ends the process; at the hard limit `SIGKILL`, which nobody can catch. rtkit
//! grants a thread the real-time class only if the hard limit is at most 200 ms, and an ordinary user
//! can never raise a hard limit again. Sessions and desktops hand a lowered limit down to what they start, so
//! it may also be there when rtkit was not asked.
//!
//! # What this does
//!
//! The soft limit is set to half of the hard one, and `SIGXCPU` sets a flag instead of ending the
//! process. The audio thread looks at the flag once a cycle ([`yield_if_warned`]: one relaxed load). If it is
//! set, the thread was busy for 100 ms (of a period of 1 to 20) without waiting for the card, so sound is
//! lost already; it sleeps for a millisecond, which zeroes the kernel's count, and goes on. So a device
//! that claims to be ready for ever (an unplugged card, a broken sound server) costs a gap and not the takes.
//! Only a single cycle of 200 ms would still be killed, and the engine has no unbounded loop; what was
//! recorded until then is in the spool and comes back by recovery.
//!
//! Giving the thread back to the normal class would be the other answer. It is not taken: on a machine with one
//! processor nobody else would run to do it, and the thread itself can as well sleep.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Set by the signal, cleared by [`yield_if_warned`]. Nothing until [`arm`] was called.
static OVERRAN: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Microseconds that a real-time thread of this process may run without waiting, or `None` if for ever.
pub fn hard_limit_us() -> Option<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_RTTIME).ok()?;
    (hard != nix::libc::RLIM_INFINITY).then_some(hard)
}

/// Makes `SIGXCPU` harmless and the soft limit half of the hard one. With `at_most_us`, lowers the hard
/// limit to that first; this cannot be undone without `CAP_SYS_RESOURCE`. Without a hard limit nothing changes.
pub fn arm(at_most_us: Option<u64>) -> io::Result<()> {
    if OVERRAN.get().is_none() {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(nix::libc::SIGXCPU, Arc::clone(&flag))?;
        // Two threads at once register two flags and keep one; the other is set and never looked at.
        OVERRAN.set(flag).ok();
    }
    let hard = match (hard_limit_us(), at_most_us) {
        (Some(has), Some(wants)) => has.min(wants),
        (Some(limit), None) | (None, Some(limit)) => limit,
        (None, None) => return Ok(()),
    };
    Ok(setrlimit(Resource::RLIMIT_RTTIME, soft_of(hard), hard)?)
}

/// To be called by the audio thread once a cycle. Says whether it had overrun; if so it has slept for a
/// millisecond. Otherwise this is a relaxed load and realtime-safe.
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
    // With each signal the kernel moves the soft limit on by a second, past the hard one: back with it.
    if let Some(hard) = hard_limit_us() {
        // If this fails there is no further warning, and the takes are recovered from the spool.
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
            // Real-time throttling and other tests stretch the time on the wall.
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
