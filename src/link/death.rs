//! The sentences about an engine that has died or takes no further window. Thread: link.

use super::protocol::LinkError;
use crate::app::snapshot::{Health, RECORDER_ENDED};
use crate::control::Severity;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Time for a dead engine's process to be known as dead.
const DEATH_LIMIT: Duration = Duration::from_millis(500);

/// How an engine ended whose link ended by `error`, as the beginning of a sentence. `child`: its process, if this program has
/// started it. Waits for its end for a moment.
pub(super) fn how_it_ended(child: Option<&mut Child>, error: &LinkError) -> String {
    let Some(child) = child else {
        let has_ended = matches!(error, LinkError::Ended);
        return if has_ended { RECORDER_ENDED.to_owned() } else { format!("recorder: {error}") };
    };
    let until = Instant::now() + DEATH_LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return beginning(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            _ => return format!("recorder: {error}"),
        }
    }
}

/// How the process of an engine ended, as the beginning of a sentence.
fn beginning(status: ExitStatus) -> String {
    let how = match (status.signal(), status.code()) {
        (Some(9), _) => "it was killed".to_owned(),
        // SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV.
        (Some(4 | 6 | 7 | 8 | 11), _) => "it crashed".to_owned(),
        (Some(number), _) => format!("signal {number} ended it"),
        (None, Some(code)) => format!("its exit code was {code}"),
        (None, None) => "the reason is not known".to_owned(),
    };
    format!("{RECORDER_ENDED} ({how})")
}

/// The engine that is started again recovers the takes, unless its device cannot be opened.
const RECOVERED: &str = "what was recorded is recovered when the session opens";

/// The event about an engine that is started again. `recorded`: it had a pass.
pub(super) fn event(beginning: &str, recorded: bool) -> String {
    let rest = if recorded { RECOVERED } else { "nothing was being recorded" };
    format!("{beginning}; it was started again, and {rest}")
}

/// The event about a terminal's recording that has ended, after which the window has an engine of its own. `is_saved`:
/// everything is on the disk.
pub(super) fn terminal_event(is_saved: bool) -> (Severity, String) {
    let ended = "the recording in the terminal has ended";
    if is_saved {
        return (Severity::Info, format!("{ended}; this window has its session now"));
    }
    (
        Severity::Caution,
        format!("{ended}, and not everything was saved; this window has its session now, and {RECOVERED}"),
    )
}

/// The health line until the next engine answers. `recorded`: the dead one had a pass.
pub(super) fn health(recorded: bool) -> Health {
    let rest = if recorded { format!(", and {RECOVERED}") } else { String::new() };
    Health {
        severity: Severity::Loss,
        head: format!("{RECORDER_ENDED}."),
        advice: Some(format!("It is started again{rest}")),
        ..Health::default()
    }
}

/// The health line of a window that the engine does not take, for `reason`.
pub(super) fn not_attached(reason: &str) -> Health {
    let mut letters = reason.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    Health {
        severity: Severity::Caution,
        head: "This window is not attached.".to_owned(),
        advice: Some(format!("{first}{}", letters.as_str())),
        ..Health::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After an idle recorder was killed, the line said "signal: 9 (SIGKILL)" and that what was recorded is recovered.
    #[test]
    fn a_recorder_that_died_is_told_of_in_plain_words_and_recovery_only_where_a_pass_ran() {
        let killed = beginning(ExitStatus::from_raw(9));
        assert_eq!(killed, "The recorder ended unexpectedly (it was killed)");
        assert_eq!(beginning(ExitStatus::from_raw(11)), "The recorder ended unexpectedly (it crashed)");
        assert_eq!(beginning(ExitStatus::from_raw(3 << 8)), "The recorder ended unexpectedly (its exit code was 3)");
        let [recorded, idle] = [true, false].map(|recorded| event(&killed, recorded));
        assert!(recorded.ends_with("and what was recorded is recovered when the session opens"), "{recorded}");
        assert!(idle.ends_with("; it was started again, and nothing was being recorded"), "{idle}");
        assert_eq!(health(false).advice.as_deref(), Some("It is started again"));
        assert!(health(true).advice.unwrap().ends_with("is recovered when the session opens"));
    }
}
