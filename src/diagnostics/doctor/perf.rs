//! Whether the kernel reports the page faults of the audio thread one by one, and who syncs and writes back. Thread: control.

use super::{Finding, Verdict};
use crate::residency::disk_work_reader;
use crate::rt::page_faults::{FaultEvents, Refusal};
use crate::rt::this_thread_id;

pub(super) fn examine() -> [Finding; 2] {
    let faults = FaultEvents::open(this_thread_id()).map(|events| events.sees_kernel());
    [judge(faults), judge_others(disk_work_reader::examine())]
}

fn judge_others(refused: Option<Refusal>) -> Finding {
    const TOPIC: &str = "sync tracing";
    let Some(Refusal { reason, fix }) = refused else {
        let sentence = "Syncs and writeback by other programs are listed with the program that caused them.";
        return Finding::new(TOPIC, "tracepoints", Verdict::Good, sentence);
    };
    let permits = match fix {
        Some(_) => {
            " The command permits it until the next start of the computer. Its settings let programs of this user see \
                    those of others."
        }
        None => "",
    };
    let sentence =
        format!("Reports cannot say which program synced or wrote back: {reason}. Recording is not affected.{permits}");
    let finding = Finding::new(TOPIC, "not permitted", Verdict::Fair, sentence);
    match fix {
        Some(command) => finding.fix(command),
        None => finding,
    }
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
            Finding::new(TOPIC, "not permitted", Verdict::Fair, sentence).fix_if_any(fix)
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
        let refusal = Refusal { reason: "only root may read x".to_owned(), fix: Some("sudo y".to_owned()) };
        let finding = judge_others(Some(refusal));
        assert_eq!((finding.verdict, finding.fix.as_deref()), (Verdict::Fair, Some("sudo y")));
        assert!(finding.sentence.contains("only root may read x") && finding.sentence.contains("next start"));
        let without = judge_others(Some(Refusal { reason: "none".to_owned(), fix: None }));
        assert!(!without.sentence.contains("command") && judge_others(None).verdict == Verdict::Good);
        assert!(judge(Ok(false)).sentence.contains("system calls") && judge(Ok(true)).verdict == Verdict::Good);
    }
}
