//! Whether the kernel reports the page faults of the audio thread one by one. Thread: control.

use super::{Finding, Verdict};
use crate::rt::page_faults::{FaultEvents, Refusal};
use crate::rt::this_thread_id;

pub(super) fn examine() -> Finding {
    judge(FaultEvents::open(this_thread_id()).map(|events| events.sees_kernel()))
}

fn judge(opened: Result<bool, Refusal>) -> Finding {
    const TOPIC: &str = "fault tracing";
    match opened {
        Ok(true) => {
            let sentence = "Each page fault of the audio thread is listed with the take, page and code that it hit.";
            Finding::new(TOPIC, "perf events", Verdict::Good, sentence)
        }
        Ok(false) => {
            let sentence = "Each page fault of the audio thread is listed with the take, page and code that it hit; those \
                            within its system calls are counted only.";
            Finding::new(TOPIC, "perf events", Verdict::Good, sentence)
        }
        Err(Refusal { reason, fix }) => {
            let sentence = format!(
                "Page faults of the audio thread are counted, and reports cannot say which memory they hit: {reason}. \
                 Recording is not affected."
            );
            let finding = Finding::new(TOPIC, "not permitted", Verdict::Fair, sentence);
            match fix {
                Some(command) => finding.fix(command),
                None => finding,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_reason_and_its_fix_and_is_no_danger() {
        let refusal = Refusal { reason: "kernel.perf_event_paranoid is 4".to_owned(), fix: Some("sudo x".to_owned()) };
        let finding = judge(Err(refusal));
        assert_eq!((finding.verdict, finding.fix.as_deref()), (Verdict::Fair, Some("sudo x")));
        assert!(finding.sentence.contains("paranoid is 4") && finding.sentence.contains("not affected"));
        assert!(judge(Ok(false)).sentence.contains("system calls") && judge(Ok(true)).verdict == Verdict::Good);
    }
}
