//! Obtains a real-time scheduling class for the calling thread, or the reason why there is none, and favours the butler.
//! Thread: audio and butler, each at its start.

use super::{counters, cpu_limit, rtkit};
use nix::sys::resource::{Resource, getrlimit};
use std::fmt;
use std::time::Duration;
use thread_priority::{
    NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
};

/// The requested priority: above the interrupt threads of a real-time kernel (50), and below a sound server (PipeWire:
/// 88), because this program may be its client.
pub const FIFO_PRIORITY: u8 = 70;

/// The nice value of a thread on which the audio thread depends and that waits for memory only: the butler. Ordinary
/// programs have 0.
pub const FAVOURED_NICE: i32 = -11;

/// [`FAVOURED_NICE`] on the scale of `thread_priority`, from 0 (nice 19) to 99 (nice -20).
const FAVOURED_PRIORITY: u8 = 75;

/// Longest wait for D-Bus at the start.
pub const RTKIT_PATIENCE: Duration = Duration::from_secs(1);

/// How the kernel schedules the audio thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheduling {
    /// `SCHED_FIFO`, granted by the kernel directly.
    Fifo {
        /// 1 to 99.
        priority: u8,
    },
    /// `SCHED_RR`, granted by rtkit.
    RoundRobin {
        /// 1 to 99; rtkit's default is 20.
        priority: u8,
    },
    /// `SCHED_OTHER`, the class of ordinary programs.
    Normal {
        /// Why there is no real-time class, as a sentence.
        reason: String,
    },
}

impl Scheduling {
    /// Whether the class is a real-time one, so that ordinary programs cannot delay the thread.
    pub fn is_real_time(&self) -> bool {
        !matches!(self, Scheduling::Normal { .. })
    }

    /// Why the class is not a real-time one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Scheduling::Normal { reason } => Some(reason),
            Scheduling::Fifo { .. } | Scheduling::RoundRobin { .. } => None,
        }
    }

    /// A shell command that gives the user real-time rights from the next login on; `None` if the class is a real-time
    /// one.
    pub fn fix(&self) -> Option<&'static str> {
        self.reason().map(|_| {
            "printf '@audio - rtprio 95\\n@audio - memlock unlimited\\n' | sudo tee /etc/security/limits.d/95-audio.conf \
             && sudo usermod -aG audio \"$USER\""
        })
    }
}

impl fmt::Display for Scheduling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scheduling::Fifo { priority } => write!(f, "SCHED_FIFO {priority}"),
            Scheduling::RoundRobin { priority } => write!(f, "SCHED_RR {priority} by rtkit"),
            Scheduling::Normal { .. } => f.write_str("SCHED_OTHER"),
        }
    }
}

/// Gives the calling thread the best class available: `SCHED_FIFO` directly, otherwise `SCHED_RR` by rtkit, otherwise
/// none. Never waits longer than [`RTKIT_PATIENCE`].
///
/// This is not realtime-safe: it allocates, and may start a helper thread for D-Bus. Threads that the caller starts
/// after a direct grant inherit the class; the audio thread starts none.
pub fn obtain() -> Scheduling {
    let refused = match fifo(rtprio_limit()) {
        Ok(priority) => {
            // The desktop session may have a limit that would kill this thread: see `cpu_limit`.
            cpu_limit::arm(None).ok();
            return Scheduling::Fifo { priority };
        }
        Err(refused) => refused,
    };
    match rtkit::make_realtime(counters::this_thread_id(), RTKIT_PATIENCE) {
        Ok(priority) => Scheduling::RoundRobin { priority },
        Err(reason) => actual_class(format!("{refused}; {reason}")),
    }
}

/// Lets the calling thread run before ordinary programs: by the kernel directly, otherwise by rtkit. Returns whether it
/// does. A busy machine can otherwise make the thread late. Never waits longer than [`RTKIT_PATIENCE`].
pub fn favour() -> bool {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    set(FAVOURED_PRIORITY, policy).is_ok()
        || rtkit::make_high_priority(counters::this_thread_id(), FAVOURED_NICE, RTKIT_PATIENCE)
}

/// The class that the thread has in fact: rtkit may have granted it although its answer came too late.
fn actual_class(reason: String) -> Scheduling {
    const SCHED_RR: u32 = 2;
    match counters::class_of(counters::this_thread_id()) {
        Ok((SCHED_RR, priority)) => Scheduling::RoundRobin { priority: priority as u8 },
        _ => Scheduling::Normal { reason },
    }
}

/// Requests [`FIFO_PRIORITY`], then the highest priority within `limit`. Returns the priority, or the reason as text.
fn fifo(limit: u64) -> Result<u8, String> {
    let Err(error) = set_fifo(FIFO_PRIORITY) else { return Ok(FIFO_PRIORITY) };
    let within = limit.min(u64::from(FIFO_PRIORITY)) as u8;
    if within == 0 {
        return Err("RLIMIT_RTPRIO is 0".to_owned());
    }
    if within < FIFO_PRIORITY && set_fifo(within).is_ok() {
        return Ok(within);
    }
    Err(format!("the kernel refused SCHED_FIFO although RLIMIT_RTPRIO is {limit} ({error})"))
}

fn set_fifo(priority: u8) -> Result<(), String> {
    set(priority, ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo))
}

fn set(priority: u8, policy: ThreadSchedulePolicy) -> Result<(), String> {
    let value = ThreadPriorityValue::try_from(priority)?;
    let thread = thread_priority::thread_native_id();
    thread_priority::set_thread_priority_and_policy(thread, ThreadPriority::Crossplatform(value), policy).map_err(
        |error| match error {
            thread_priority::Error::OS(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
            other => other.to_string(),
        },
    )
}

/// The highest real-time priority that this process may use without a capability; 0 if none.
pub fn rtprio_limit() -> u64 {
    getrlimit(Resource::RLIMIT_RTPRIO).map_or(0, |(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_class_is_written_as_the_kernel_names_it() {
        assert_eq!(Scheduling::Fifo { priority: 70 }.to_string(), "SCHED_FIFO 70");
        assert_eq!(Scheduling::RoundRobin { priority: 20 }.to_string(), "SCHED_RR 20 by rtkit");
        let normal = Scheduling::Normal { reason: "why".to_owned() };
        assert_eq!((normal.to_string().as_str(), normal.reason()), ("SCHED_OTHER", Some("why")));
        assert!(normal.fix().is_some() && Scheduling::Fifo { priority: 1 }.fix().is_none());
    }

    #[test]
    fn a_favoured_thread_has_the_nice_value_that_it_was_promised() {
        let (favoured, nice) = std::thread::spawn(|| {
            let favoured = favour();
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let nice = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(16).unwrap().to_owned();
            (favoured, nice)
        })
        .join()
        .unwrap();
        if !favoured {
            println!("PART SKIPPED the value: neither the kernel nor rtkit grants a nice value here");
        }
        assert_eq!(nice, if favoured { FAVOURED_NICE.to_string() } else { "0".to_owned() });
    }

    #[test]
    fn the_returned_class_is_the_kernels_and_comes_within_the_promised_time() {
        let (claimed, class, took) = std::thread::spawn(|| {
            let begin = Instant::now();
            let claimed = obtain();
            (claimed, counters::class_of(counters::this_thread_id()).unwrap(), begin.elapsed())
        })
        .join()
        .unwrap();
        match claimed {
            Scheduling::Fifo { priority } => assert_eq!(class, (1, u32::from(priority))),
            Scheduling::RoundRobin { priority } => assert_eq!(class, (2, u32::from(priority))),
            Scheduling::Normal { reason } => assert!(class == (0, 0) && !reason.is_empty()),
        }
        assert!(took < RTKIT_PATIENCE * 3, "{took:?}");
    }
}
