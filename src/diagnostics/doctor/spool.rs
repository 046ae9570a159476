//! Judges the spool: its folder, and how long a disk may stall before the spool is full. Thread: control.

use super::{Finding, Needs, Verdict, binary, duration};
use crate::butler::logout::{self, Logout};
use crate::butler::spool;
use crate::limits::SPOOL_RAM_DIVISOR;
use crate::rt::process;
use nix::unistd::getuid;
use std::path::{Path, PathBuf};

pub(super) fn examine(needs: Needs) -> Vec<Finding> {
    let memory = process::memory_bound().and_then(|bound| Ok((bound, process::memory_available()?)));
    let folder = spool::folder();
    let effect = folder.as_ref().and_then(|(folder, _)| logout::effect(folder, getuid().as_raw()));
    let at_logout = folder.as_ref().zip(effect).map(|((folder, _), effect)| judge_logout(folder, effect));
    std::iter::once(judge(folder, memory.ok(), needs)).chain(at_logout).collect()
}

/// A spool folder that does not outlive the user's last logout.
fn judge_logout(folder: &Path, effect: Logout) -> Finding {
    let sentence = format!(
        "{}: a recording that was killed must be recovered before the logout, or its last seconds are lost.",
        effect.sentence()
    );
    Finding::new("spool at logout", folder.display().to_string(), Verdict::Fair, sentence).fix(effect.fix())
}

/// `folder` is the spool folder and its free bytes; `memory` is the bytes of memory that exist and that are free now.
fn judge(folder: Option<(PathBuf, u64)>, memory: Option<(u64, u64)>, needs: Needs) -> Finding {
    const TOPIC: &str = "spool";
    let Some((folder, free)) = folder else {
        let sentence = "Neither $XDG_RUNTIME_DIR nor /dev/shm is a tmpfs that Faultless can write to, so sound that is not on the \
                        disk yet is lost if the program is killed.";
        return Finding::new(TOPIC, "none", Verdict::Poor, sentence)
            .fix("sudo mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm");
    };
    let (bound, available) = memory.unwrap_or((free, free));
    let bytes = free.min(bound / SPOOL_RAM_DIVISOR).min(available);
    let seconds = bytes as f64 / needs.bytes_per_second();
    let measured = format!("{} on {}", binary(bytes), folder.display());
    let outlasts = format!("{} can be recorded for {} while the disk takes no data", needs.tracks(), duration(seconds));
    let (verdict, sentence) = match seconds {
        s if 30.0 <= s => (Verdict::Good, format!("{outlasts}.")),
        s if 5.0 <= s => (
            Verdict::Fair,
            format!("{outlasts}; that is enough for a busy disk, but not for one that must start its motor."),
        ),
        _ => (Verdict::Poor, format!("{outlasts}: free some memory before recording.")),
    };
    Finding::new(TOPIC, measured, verdict, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;

    const NEEDS: Needs = Needs { tracks: 24, rate: 48_000, format: TakeFormat::S24 };

    #[test]
    fn the_spool_is_bounded_by_free_space_a_quarter_of_memory_and_free_memory() {
        let measured = |free, memory| judge(Some((PathBuf::from("/s"), free)), Some(memory), NEEDS).measured;
        assert_eq!(measured(8 << 30, (16 << 30, 12 << 30)), "4.0 GiB on /s");
        assert_eq!(measured(1 << 30, (16 << 30, 12 << 30)), "1.0 GiB on /s");
        assert_eq!(measured(8 << 30, (16 << 30, 2 << 30)), "2.0 GiB on /s");
    }

    #[test]
    fn the_longest_stall_is_shown_as_a_time() {
        let finding = judge(Some((PathBuf::from("/s"), 1 << 30)), None, NEEDS);
        // a quarter of 1 GiB / 3,456,000 bytes per second
        assert!(finding.sentence.contains("for 77.7 s"), "{finding:?}");
        assert_eq!(finding.verdict, Verdict::Good);
    }

    #[test]
    fn a_spool_folder_that_a_logout_empties_is_fair_and_the_fix_keeps_it() {
        let finding = judge_logout(Path::new("/dev/shm/faultless-1000"), Logout::RemovesIpc);
        assert_eq!(finding.verdict, Verdict::Fair);
        assert!(finding.sentence.contains("RemoveIPC") && finding.sentence.ends_with('.'), "{finding:?}");
        assert!(finding.fix.unwrap().contains("RemoveIPC=no"));
    }

    #[test]
    fn no_tmpfs_is_poor_and_the_fix_mounts_one() {
        let finding = judge(None, None, NEEDS);
        assert!(finding.verdict == Verdict::Poor && finding.fix.unwrap().contains("mount -t tmpfs"));
    }
}
