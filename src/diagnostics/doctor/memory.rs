//! Judges the limit for locked memory, by the lead that it allows, and the limit for open files. Thread: control.

use super::{Finding, Needs, Verdict, binary, duration};
use crate::butler::plan::{self, Lead};
use crate::limits::{AUDIO_STACK_BYTES, LEAD_MS_DEFAULT};
use crate::rt::process;
use crate::window::lock_limit::{LockLimit, default_lock_bytes, lock_limit};

pub(super) fn examine(needs: Needs) -> Vec<Finding> {
    let memory = process::memory_bound().unwrap_or(1 << 30);
    vec![judge_locks(lock_limit(), memory, needs), judge_files(process::raise_open_files().ok(), needs)]
}

fn judge_locks(limit: LockLimit, memory: u64, needs: Needs) -> Finding {
    const TOPIC: &str = "locked memory";
    let bytes = match limit {
        LockLimit::Unlimited => default_lock_bytes(memory),
        // The stack of the audio thread is locked, too.
        LockLimit::Bytes(bytes) => bytes.saturating_sub(AUDIO_STACK_BYTES as u64 / 2).min(default_lock_bytes(memory)),
    };
    // Compute the lead as the butler and the read-ahead will.
    let speed = u64::from(needs.rate) * needs.format.bytes() as u64;
    let lead = |share| plan::lead(share, needs.tracks, needs.format.bytes(), speed, LEAD_MS_DEFAULT, 0);
    let (record, play) = (lead(plan::capture_share(bytes)), lead(plan::playback_share(bytes)));
    let seconds = |lead: Lead| lead.windows as f64 * lead.window_bytes as f64 / speed as f64;
    let wanted_lead = LEAD_MS_DEFAULT as f64 / 1000.0;
    let (verdict, rest) = if !record.fits || !play.fits {
        let rest = "That is too little to lock all of them: the rest stay resident but unlocked, and the kernel may \
                    take played ones back when memory is short.";
        (Verdict::Poor, rest)
    } else if seconds(record) < wanted_lead || seconds(play) < wanted_lead {
        (Verdict::Fair, "That is enough; a larger limit gives a longer lead.")
    } else {
        (Verdict::Good, "A larger limit would not change the lead.")
    };
    let sentence = format!(
        "Faultless locks up to {}, unless --lock-limit names another amount. That keeps {} ready {} ahead for recording \
         and {} ahead for playing at the same time. {rest}",
        binary(bytes),
        needs.tracks(),
        duration(seconds(record)),
        duration(seconds(play))
    );
    let measured = match limit {
        LockLimit::Unlimited => "no limit".to_owned(),
        LockLimit::Bytes(bytes) => binary(bytes),
    };
    let finding = Finding::new(TOPIC, measured, verdict, sentence);
    if verdict == Verdict::Good || limit == LockLimit::Unlimited {
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
            "The kernel refused to raise the soft limit to the hard limit.",
        );
    };
    // Each track needs four files: a take, its spool, a played take and its peaks. The program itself needs others.
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
    use crate::limits::WINDOW_BYTES_DEFAULT;

    const NEEDS: Needs = Needs { tracks: 24, rate: 48_000, format: TakeFormat::S24 };

    #[test]
    fn eight_mebibytes_serve_24_tracks_both_ways_and_the_lead_is_shown() {
        let finding = judge_locks(LockLimit::Bytes(8 << 20), 16 << 30, NEEDS);
        assert_eq!((finding.verdict, finding.measured.as_str()), (Verdict::Fair, "8.0 MiB"));
        assert!(finding.sentence.contains("ahead for recording"), "{finding:?}");
        assert!(finding.fix.is_some());
    }

    #[test]
    fn a_limit_too_small_for_two_windows_a_track_is_poor() {
        assert_eq!(judge_locks(LockLimit::Bytes(64 << 10), 16 << 30, NEEDS).verdict, Verdict::Poor);
        assert_eq!(judge_locks(LockLimit::Bytes(0), 16 << 30, NEEDS).verdict, Verdict::Poor);
    }

    #[test]
    fn no_limit_and_a_generous_one_need_no_fix() {
        for limit in [LockLimit::Unlimited, LockLimit::Bytes(1 << 30)] {
            let finding = judge_locks(limit, 16 << 30, NEEDS);
            assert!(finding.verdict == Verdict::Good && finding.fix.is_none(), "{finding:?}");
        }
    }

    #[test]
    fn windows_of_1024_tracks_are_whole_wherever_memory_is_there() {
        for memory in [2_u64 << 30, 8 << 30, 64 << 30] {
            let share = plan::capture_share(default_lock_bytes(memory));
            for bytes in [3, 4] {
                let lead = plan::lead(share, 1024, bytes, 48_000 * bytes as u64, LEAD_MS_DEFAULT, 64 * bytes);
                let whole = plan::window_bytes(bytes, WINDOW_BYTES_DEFAULT);
                assert!(lead.fits && lead.window_bytes == whole, "{memory}: {lead:?}");
            }
        }
        let many = Needs { tracks: 1024, format: TakeFormat::F32, ..NEEDS };
        let finding = judge_locks(LockLimit::Unlimited, 24 << 30, many);
        assert!(finding.verdict == Verdict::Good && finding.sentence.contains("up to 3.0 GiB"), "{finding:?}");
    }

    #[test]
    fn too_few_open_files_are_named_before_they_run_out() {
        assert_eq!(judge_files(Some(1024), NEEDS).verdict, Verdict::Good);
        let many = Needs { tracks: 512, ..NEEDS };
        assert!(judge_files(Some(1024), many).fix.unwrap().contains("nofile 4096"));
    }
}
