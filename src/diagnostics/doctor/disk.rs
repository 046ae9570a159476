//! Measures the disk's speed for the writes of the committer, on average and at worst. Thread: control, which starts a
//! helper and leaves it behind if the disk hangs.

use super::scratch::{Scratch, with_timeout};
use super::{Finding, Needs, Verdict};
use crate::limits::{COMMIT_RUN_BYTES_MAX, WINDOW_BYTES_DEFAULT};
use nix::fcntl::{FallocateFlags, fallocate};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// At most this many windows are written and made durable one by one.
const WRITES: usize = 100;
/// Bytes of the whole trial.
const TRIAL_BYTES: u64 = 64 << 20;
/// Time limit for each of the trial's two halves: single windows, then long writes.
const HALF_TIME: Duration = Duration::from_millis(750);
/// A disk that does not answer within this time counts as hung.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Measured speed of a disk.
#[derive(Clone, Copy, Debug)]
struct Speed {
    writes: usize,
    median: Duration,
    worst: Duration,
    /// Bytes per second of long writes that are made durable at the end.
    sustained: f64,
    o_direct: bool,
}

pub(super) fn examine(folder: &Path, needs: Needs) -> Finding {
    let path = folder.to_path_buf();
    judge(with_timeout(TIMEOUT, move || measure(&path)), needs)
}

fn measure(folder: &Path) -> io::Result<Speed> {
    let scratch = Scratch::new(folder)?;
    let (file, o_direct) = match scratch.o_direct() {
        Ok(file) => (file, true),
        Err(_) => (scratch.file.try_clone()?, false),
    };
    // Reserve the blocks, as the committer does for takes, if the file system can.
    fallocate(&file, FallocateFlags::empty(), 0, TRIAL_BYTES as i64).ok();
    file.sync_all()?;
    let mut buffer = memmap2::MmapMut::map_anon(COMMIT_RUN_BYTES_MAX)?;
    // Do not write zeros: some disks do not store them.
    buffer.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * 31 + at / 251) as u8);
    let mut times = windows(&file, &buffer[..WINDOW_BYTES_DEFAULT])?;
    times.sort_unstable();
    let begin = (times.len() * WINDOW_BYTES_DEFAULT).next_multiple_of(COMMIT_RUN_BYTES_MAX) as u64;
    let sustained = runs(&file, &buffer, begin)?;
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    Ok(Speed { writes: times.len(), median, worst, sustained, o_direct })
}

/// Writes single windows. Returns the time that each took to become durable; there is at least one.
fn windows(file: &File, window: &[u8]) -> io::Result<Vec<Duration>> {
    let (begin, mut times) = (Instant::now(), Vec::with_capacity(WRITES));
    while times.is_empty() || times.len() < WRITES && begin.elapsed() < HALF_TIME {
        let before = Instant::now();
        file.write_all_at(window, (times.len() * window.len()) as u64)?;
        file.sync_data()?;
        times.push(before.elapsed());
    }
    Ok(times)
}

/// Writes long runs from `offset` on. Returns the bytes per second.
fn runs(file: &File, run: &[u8], offset: u64) -> io::Result<f64> {
    let (begin, mut at) = (Instant::now(), offset);
    while at == offset || at + run.len() as u64 <= TRIAL_BYTES && begin.elapsed() < HALF_TIME {
        file.write_all_at(run, at)?;
        at += run.len() as u64;
    }
    file.sync_data()?;
    Ok((at - offset) as f64 / begin.elapsed().as_secs_f64())
}

fn judge(speed: io::Result<Speed>, needs: Needs) -> Finding {
    const TOPIC: &str = "disk";
    let speed = match speed {
        Ok(speed) => speed,
        Err(error) => {
            return Finding::new(TOPIC, "not measured", Verdict::Poor, format!("It could not be measured: {error}."));
        }
    };
    let times = speed.sustained / needs.bytes_per_second();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let measured = format!(
        "{:.0} MB/s; 64 KiB in {:.1} ms, {:.1} ms at worst",
        speed.sustained / 1e6,
        ms(speed.median),
        ms(speed.worst)
    );
    let (verdict, advice) = match times {
        t if t < 1.2 => (Verdict::Poor, "it cannot keep up: record fewer tracks or to another disk"),
        t if t < 4.0 => (Verdict::Fair, "it keeps up as long as nothing else writes to it"),
        _ if Duration::from_millis(250) < speed.worst => {
            (Verdict::Fair, "it is fast enough, and the sound waits in memory during its pauses")
        }
        _ => (Verdict::Good, "it is fast enough"),
    };
    let sentence = format!(
        "{} need {:.1} MB/s and it takes {times:.1} times that: {advice}. Measured with {} durable writes of 64 KiB, then \
         long ones, {} the page cache.",
        needs.tracks(),
        needs.bytes_per_second() / 1e6,
        speed.writes,
        if speed.o_direct { "past" } else { "through" },
    );
    Finding::new(TOPIC, measured, verdict, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;

    const NEEDS: Needs = Needs { tracks: 24, rate: 48_000, format: TakeFormat::S24 };

    fn speed(sustained: f64, worst_ms: u64) -> Speed {
        let (median, worst) = (Duration::from_millis(1), Duration::from_millis(worst_ms));
        Speed { writes: 100, median, worst, sustained, o_direct: true }
    }

    #[test]
    fn a_disk_is_judged_by_what_the_tracks_need() {
        let verdict = |sustained, worst| judge(Ok(speed(sustained, worst)), NEEDS).verdict;
        assert_eq!(verdict(100e6, 20), Verdict::Good);
        assert_eq!(verdict(100e6, 900), Verdict::Fair);
        assert_eq!(verdict(6e6, 20), Verdict::Fair);
        assert_eq!(verdict(3.5e6, 20), Verdict::Poor);
    }

    #[test]
    fn a_failing_disk_is_a_finding() {
        let finding = judge(Err(io::Error::other("input/output error")), NEEDS);
        assert!(finding.verdict == Verdict::Poor && finding.sentence.contains("input/output error"));
    }
}
