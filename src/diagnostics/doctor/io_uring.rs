//! Whether the kernel takes writes and syncs in batches. Thread: control.

use super::{Finding, Verdict};
use crate::io_ring::{IoRing, Refusal};

pub(super) fn examine() -> Finding {
    judge(IoRing::new().map(drop))
}

fn judge(tried: Result<(), Refusal>) -> Finding {
    const TOPIC: &str = "disk batches";
    match tried {
        Ok(()) => {
            let sentence = "The kernel takes the writes and the syncs of all takes in batches, which saves processor time with many \
                            tracks.";
            Finding::new(TOPIC, "io_uring", Verdict::Good, sentence)
        }
        Err(Refusal { reason, fix }) => {
            let sentence = format!(
                "The committer makes a call for each write and each sync: {reason}. Recording is not affected; it costs more \
                 processor time with many tracks."
            );
            Finding::new(TOPIC, "no io_uring", Verdict::Fair, sentence).fix_if_any(fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_reason_and_its_fix_and_is_no_danger() {
        let refusal = Refusal { reason: "kernel.io_uring_disabled is 2".to_owned(), fix: Some("sudo x") };
        let finding = judge(Err(refusal));
        assert_eq!((finding.verdict, finding.fix.as_deref()), (Verdict::Fair, Some("sudo x")));
        assert!(finding.sentence.contains("io_uring_disabled is 2") && finding.sentence.contains("not affected"));
        assert_eq!(judge(Ok(())).verdict, Verdict::Good);
    }
}
