//! How much memory may be locked and what lead that buys; how many files may be open. Thread: control.

use super::{Finding, Needs, Verdict, binary, duration};
use crate::limits::{AUDIO_STACK_BYTES, LEAD_MS_DEFAULT, LEAD_WINDOWS_MIN, LOCKED_BYTES_DEFAULT, WINDOW_BYTES_MIN};
use crate::rt::process;
use crate::window::budget::{LockLimit, lock_limit};

pub(super) fn examine(needs: Needs) -> Vec<Finding> {
    vec![judge_locks(lock_limit(), needs), judge_files(process::raise_open_files().ok(), needs)]
}

fn judge_locks(limit: LockLimit, needs: Needs) -> Finding {
    const TOPIC: &str = "locked memory";
    let asked = LEAD_MS_DEFAULT as f64 / 1000.0;
    let tracks = needs.tracks();
    let LockLimit::Bytes(limit) = limit else {
        // The program asks for a lead and for no more than a fixed sum, whichever is less.
        let lead = |directions: f64| asked.min(LOCKED_BYTES_DEFAULT as f64 / (needs.bytes_per_second() * directions));
        let sentence = format!(
            "{tracks} are recorded {} ahead of the disk; recorded and played at once, {}. The program takes {} at most \
             unless told otherwise.",
            duration(lead(1.0)),
            duration(lead(2.0)),
            binary(LOCKED_BYTES_DEFAULT)
        );
        return Finding::new(TOPIC, "no limit", Verdict::Good, sentence);
    };
    // The stack of the audio thread is locked too.
    let room = limit.saturating_sub(AUDIO_STACK_BYTES as u64 / 2);
    let record = room as f64 / needs.bytes_per_second();
    let both = record / 2.0;
    let least = (2 * needs.tracks * LEAD_WINDOWS_MIN * WINDOW_BYTES_MIN) as u64;
    let (verdict, rest) = if asked <= both {
        (Verdict::Good, "More would buy nothing at this size.")
    } else if least <= room {
        (Verdict::Fair, "That is enough; a larger limit buys a longer lead, up to 2 s.")
    } else {
        (
            Verdict::Poor,
            "That is too little for all of them: the rest of the windows stay unlocked, and the kernel may take \
                         them back when memory is short.",
        )
    };
    let sentence = format!(
        "It keeps {tracks} ready for {} when they are recorded, for {} when as many are played at the same time. {rest}",
        duration(record),
        duration(both)
    );
    let finding = Finding::new(TOPIC, binary(limit), verdict, sentence);
    if verdict == Verdict::Good {
        return finding;
    }
    finding.fix(
        "echo '@audio - memlock unlimited' | sudo tee /etc/security/limits.d/95-audio-memlock.conf \
         && sudo usermod -aG audio \"$USER\"",
    )
}

fn judge_files(limit: Option<u64>, needs: Needs) -> Finding {
    const TOPIC: &str = "open files";
    let Some(limit) = limit else {
        return Finding::new(
            TOPIC,
            "unknown",
            Verdict::Fair,
            "The kernel would not raise the limit to what it allows.",
        );
    };
    // A take and its spool, a played take, its peaks; and what the program has open anyway.
    let wanted = 4 * needs.tracks as u64 + 256;
    if wanted <= limit {
        return Finding::new(TOPIC, limit.to_string(), Verdict::Good, format!("Enough for {}.", needs.tracks()));
    }
    let sentence = format!("{} to record and play may need {wanted} open files.", needs.tracks());
    Finding::new(TOPIC, limit.to_string(), Verdict::Poor, sentence).fix(format!(
        "echo '* hard nofile {}' | sudo tee /etc/security/limits.d/95-audio-files.conf",
        wanted.next_power_of_two()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;

    const NEEDS: Needs = Needs { tracks: 24, rate: 48_000, format: TakeFormat::S24 };

    #[test]
    fn eight_mebibytes_serve_24_tracks_both_ways_with_the_lead_in_the_words() {
        let finding = judge_locks(LockLimit::Bytes(8 << 20), NEEDS);
        // (8 MiB - 128 KiB) / (24 * 48000 * 3)
        assert_eq!((finding.verdict, finding.measured.as_str()), (Verdict::Fair, "8.0 MiB"));
        assert!(finding.sentence.contains("for 2.4 s") && finding.sentence.contains("for 1.2 s"), "{finding:?}");
        assert!(finding.fix.is_some());
    }

    #[test]
    fn a_limit_too_small_for_two_windows_a_track_is_poor() {
        assert_eq!(judge_locks(LockLimit::Bytes(64 << 10), NEEDS).verdict, Verdict::Poor);
        assert_eq!(judge_locks(LockLimit::Bytes(0), NEEDS).verdict, Verdict::Poor);
    }

    #[test]
    fn no_limit_and_a_generous_one_need_no_fix() {
        for limit in [LockLimit::Unlimited, LockLimit::Bytes(1 << 30)] {
            let finding = judge_locks(limit, NEEDS);
            assert!(finding.verdict == Verdict::Good && finding.fix.is_none(), "{finding:?}");
        }
    }

    #[test]
    fn too_few_open_files_are_named_before_they_run_out() {
        assert_eq!(judge_files(Some(1024), NEEDS).verdict, Verdict::Good);
        let many = Needs { tracks: 512, ..NEEDS };
        assert!(judge_files(Some(1024), many).fix.unwrap().contains("nofile 4096"));
    }
}
