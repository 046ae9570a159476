//! Judges the kernel: populating windows, preemption and the clock. Thread: control, which starts a helper and leaves
//! it behind if the disk hangs.

use super::scratch::{Scratch, with_timeout};
use super::{Finding, Verdict, read};
use crate::limits::WINDOW_BYTES_DEFAULT;
use crate::window::map::{Mapping, Populate};
use std::io;
use std::path::Path;
use std::time::Duration;

/// A file system that does not answer within this time counts as hung.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn examine(root: &Path, folder: &Path) -> Vec<Finding> {
    let release = read(root, "proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned());
    let build = read(root, "proc/sys/kernel/version").unwrap_or_default();
    let real_time = read(root, "sys/kernel/realtime").is_some_and(|text| text == "1");
    let arguments = read(root, "proc/cmdline").unwrap_or_default();
    let clock = read(root, "sys/devices/system/clocksource/clocksource0/current_clocksource");
    let path = folder.to_path_buf();
    vec![
        judge_features(&release, with_timeout(TIMEOUT, move || populates(&path))),
        judge_preemption(&build, &arguments, real_time),
        judge_clock(clock.as_deref()),
    ]
}

/// Populates windows of a scratch file as the butler does, one for writing and one for reading. The outer error means
/// that no scratch file could be made; the inner error is the result of the trial.
fn populates(folder: &Path) -> io::Result<io::Result<()>> {
    let scratch = Scratch::new(folder)?;
    scratch.file.set_len(WINDOW_BYTES_DEFAULT as u64)?;
    let populate = || {
        Mapping::writable(&scratch.file, 0, WINDOW_BYTES_DEFAULT)?.populate(Populate::Advise)?;
        Mapping::readable(&scratch.file, 0, WINDOW_BYTES_DEFAULT)?.populate(Populate::Advise)
    };
    Ok(populate())
}

fn judge_features(release: &str, populates: io::Result<io::Result<()>>) -> Finding {
    const TOPIC: &str = "kernel";
    let cachestat = match version(release) {
        // Judge by the version: calling cachestat needs `unsafe`, which this module must not use.
        Some(at) if (6, 5) <= at => "The map can ask for dirty pages (cachestat, since 6.5).",
        _ => "The map cannot tell dirty pages by cachestat (since 6.5).",
    };
    match populates {
        Ok(Ok(())) => {
            let sentence = format!("It brings memory in ahead of the audio thread (MADV_POPULATE, tried). {cachestat}");
            Finding::new(TOPIC, release, Verdict::Good, sentence)
        }
        Err(error) => {
            let sentence =
                format!("Whether it brings memory in ahead could not be tried in that folder: {error}. {cachestat}");
            Finding::new(TOPIC, release, Verdict::Fair, sentence)
        }
        Ok(Err(error)) => {
            let sentence = format!(
                "MADV_POPULATE (since 5.14) did not work here ({error}), so the butler touches every page of a window instead. \
                 The program's code and heap are not brought into memory if the kernel is older: use Linux 5.14 or later. \
                 {cachestat}"
            );
            Finding::new(TOPIC, release, Verdict::Fair, sentence)
        }
    }
}

/// Major and minor number of `6.18.44-something`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|sign: char| !sign.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn judge_preemption(build: &str, arguments: &str, real_time: bool) -> Finding {
    const TOPIC: &str = "preemption";
    let chosen = arguments.split_ascii_whitespace().find_map(|word| word.strip_prefix("preempt="));
    let has = |word: &str| build.split_ascii_whitespace().any(|part| part == word);
    if real_time || has("PREEMPT_RT") {
        return Finding::new(TOPIC, "PREEMPT_RT", Verdict::Good, "The kernel itself lets the audio thread go first.");
    }
    let slow = "A system call of another program can hold the audio thread up for milliseconds.";
    if has("PREEMPT_DYNAMIC") {
        return match chosen {
            Some(mode @ ("none" | "voluntary")) => {
                Finding::new(TOPIC, format!("dynamic, preempt={mode}"), Verdict::Fair, slow).fix(FULL)
            }
            Some(mode) => {
                let sentence = "The audio thread interrupts other programs' system calls.";
                Finding::new(TOPIC, format!("dynamic, preempt={mode}"), Verdict::Good, sentence)
            }
            None => {
                let sentence = "The kernel uses the mode that it was built with. The finding wake-up shows how late a thread \
                                wakes up with it.";
                Finding::new(TOPIC, "dynamic", Verdict::Good, sentence)
            }
        };
    }
    if has("PREEMPT") || has("PREEMPT_LAZY") {
        return Finding::new(
            TOPIC,
            "PREEMPT",
            Verdict::Good,
            "The audio thread interrupts other programs' system calls.",
        );
    }
    Finding::new(
        TOPIC,
        "voluntary or none",
        Verdict::Fair,
        format!("{slow} A kernel built with PREEMPT_DYNAMIC is better."),
    )
}

const FULL: &str = "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&preempt=full /' /etc/default/grub && sudo update-grub";

fn judge_clock(clock: Option<&str>) -> Finding {
    const TOPIC: &str = "clock";
    let Some(clock) = clock else {
        let sentence = "The kernel does not say how it tells the time.";
        return Finding::new(TOPIC, "unknown", Verdict::Fair, sentence);
    };
    match clock {
        // A program reads these clocks from a mapped page, without a system call.
        "tsc"
        | "kvm-clock"
        | "hyperv_clocksource_tsc_page"
        | "arch_sys_counter"
        | "riscv_clocksource"
        | "timebase"
        | "stable counter" => Finding::new(TOPIC, clock, Verdict::Good, "Reading the time takes no system call."),
        _ => {
            let sentence = "Every look at the time is a system call, a microsecond or more, some of them on the audio thread. \
                            The kernel falls back to this when it finds the processor's own counter unsteady.";
            Finding::new(TOPIC, clock, Verdict::Fair, sentence)
                .fix("echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_compared_by_its_first_two_numbers() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("5.4-rc1"), Some((5, 4)));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn without_populate_the_fallback_is_named() {
        let finding = judge_features("5.4.0", Ok(Err(io::Error::from_raw_os_error(22))));
        assert_eq!(finding.verdict, Verdict::Fair);
        assert!(finding.sentence.contains("touches every page") && finding.sentence.contains("cannot tell dirty"));
        let untried = judge_features("6.5.1", Err(io::ErrorKind::PermissionDenied.into()));
        assert!(untried.sentence.contains("could not be tried") && !untried.sentence.contains("touches"));
        assert!(judge_features("6.5.1", Ok(Ok(()))).sentence.contains("since 6.5)."));
    }

    #[test]
    fn preemption_is_read_from_the_build_and_the_boot_arguments() {
        let judge = |build: &str, arguments: &str| {
            let finding = judge_preemption(build, arguments, false);
            (finding.measured, finding.verdict)
        };
        assert_eq!(judge("#1 SMP PREEMPT_RT x", ""), ("PREEMPT_RT".to_owned(), Verdict::Good));
        assert_eq!(
            judge("#1 SMP PREEMPT_DYNAMIC x", "quiet preempt=full"),
            ("dynamic, preempt=full".to_owned(), Verdict::Good)
        );
        assert_eq!(judge("#1 SMP PREEMPT_DYNAMIC x", "preempt=none").1, Verdict::Fair);
        assert_eq!(judge("#1 SMP PREEMPT_DYNAMIC x", "").1, Verdict::Good);
        assert_eq!(judge("#1 SMP x", "").1, Verdict::Fair);
    }

    #[test]
    fn a_clock_that_needs_a_system_call_is_named() {
        assert_eq!(judge_clock(Some("tsc")).verdict, Verdict::Good);
        assert!(judge_clock(Some("acpi_pm")).fix.is_some());
        assert_eq!(judge_clock(None).measured, "unknown");
    }
}
