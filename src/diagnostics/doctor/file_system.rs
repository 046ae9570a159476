//! Judges the file system of the takes: its type, its capabilities and its free space. Thread: control, which starts a
//! helper and leaves it behind if the disk hangs.

use super::scratch::{Scratch, with_timeout};
use super::{Finding, Needs, Verdict, duration};
use crate::file_system::{self, FAT_FILE_BYTES_MAX, Kind};
use crate::limits::PAGE_BYTES;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// A file system that does not answer within this time counts as hung.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn examine(folder: &Path, needs: Needs) -> Vec<Finding> {
    let name = file_system::name_at(folder).unwrap_or_else(|| "unknown".to_owned());
    let path = folder.to_path_buf();
    let tried = with_timeout(TIMEOUT, move || try_capabilities(&path));
    let mut findings = vec![judge(&name, folder, tried, needs)];
    if let Ok(stat) = statvfs(folder) {
        // The field's width differs between architectures.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
        let free = stat.blocks_available() as u64 * stat.fragment_size() as u64;
        findings.push(judge_free_space(free, needs));
    }
    findings
}

/// Capabilities that not every file system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Capabilities {
    o_direct: bool,
    reserve: bool,
}

fn try_capabilities(folder: &Path) -> io::Result<Capabilities> {
    let scratch = Scratch::new(folder)?;
    let reserve = fallocate(&scratch.file, FallocateFlags::empty(), 0, 1 << 20).is_ok();
    let page = memmap2::MmapMut::map_anon(PAGE_BYTES)?;
    let o_direct = scratch.o_direct().and_then(|file| file.write_all_at(&page, PAGE_BYTES as u64)).is_ok();
    Ok(Capabilities { o_direct, reserve })
}

fn judge(name: &str, folder: &Path, tried: io::Result<Capabilities>, needs: Needs) -> Finding {
    const TOPIC: &str = "file system";
    let tried = match tried {
        Ok(tried) => tried,
        Err(error) => {
            let sentence = format!("No file can be tried out in {}: {error}.", folder.display());
            let measured = format!("{name}, no file made");
            return Finding::new(TOPIC, measured, Verdict::Poor, sentence);
        }
    };
    let written = if tried.o_direct {
        "Takes are written past the page cache (O_DIRECT)."
    } else {
        "It refuses O_DIRECT, so takes are written through the page cache and flushed behind."
    };
    let reserved = if tried.reserve {
        "Their space is reserved ahead (fallocate)."
    } else {
        "It reserves no space (fallocate), so a full disk shows only when it is full."
    };
    let mut sentences = vec![written.to_owned(), reserved.to_owned()];
    let (mut verdict, warning) = judge_name(name, needs);
    sentences.extend(warning);
    if verdict == Verdict::Good && !(tried.o_direct && tried.reserve) {
        verdict = Verdict::Fair;
    }
    Finding::new(TOPIC, format!("{name} at {}", folder.display()), verdict, sentences.join(" "))
}

fn judge_name(name: &str, needs: Needs) -> (Verdict, Option<String>) {
    let (verdict, warning) = match Kind::of(name) {
        Kind::Memory => (Verdict::Poor, "It is memory: everything is gone when the machine stops.".to_owned()),
        Kind::Fat => {
            let length = duration(FAT_FILE_BYTES_MAX as f64 / needs.track_bytes_per_second());
            (
                Verdict::Poor,
                format!("No file can pass 4 GiB, {length} of one mono track, and a power cut may cost the folder."),
            )
        }
        Kind::Exfat => (
            Verdict::Fair,
            "It keeps no journal: a power cut may cost the folder. Copy takes to it afterwards.".to_owned(),
        ),
        Kind::Network => (
            Verdict::Poor,
            "It is on a network: writes wait while the network is down. Record to a local disk and copy.".to_owned(),
        ),
        Kind::Layered => (
            Verdict::Fair,
            "It passes files on to another file system; recording to that one directly is safer.".to_owned(),
        ),
        Kind::Served => (Verdict::Fair, "It is served by another program, which can be slow or end.".to_owned()),
        Kind::Plain if matches!(name, "btrfs" | "zfs" | "bcachefs") => {
            (Verdict::Good, "It writes copies, so `in-place` capture takes faults here; `spool` does not.".to_owned())
        }
        Kind::Plain => return (Verdict::Good, None),
    };
    (verdict, Some(warning))
}

fn judge_free_space(free: u64, needs: Needs) -> Finding {
    let seconds = free as f64 / needs.bytes_per_second();
    let verdict = match seconds {
        s if 7_200.0 <= s => Verdict::Good,
        s if 900.0 <= s => Verdict::Fair,
        _ => Verdict::Poor,
    };
    let sentence = format!(
        "{} of {} at {} Hz fill what is free, {:.1} GB an hour.",
        needs.tracks(),
        needs.format,
        needs.rate,
        needs.bytes_per_second() * 3600.0 / 1e9
    );
    Finding::new("free space", duration(seconds), verdict, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;

    const NEEDS: Needs = Needs { tracks: 24, rate: 48_000, format: TakeFormat::S24 };
    const BOTH: Capabilities = Capabilities { o_direct: true, reserve: true };

    #[test]
    fn a_plain_local_disk_is_good_and_the_others_say_why_not() {
        let judge = |name: &str| judge(name, Path::new("/x"), Ok(BOTH), NEEDS);
        for name in ["ext4", "xfs", "btrfs", "f2fs", "ntfs3"] {
            assert_eq!(judge(name).verdict, Verdict::Good, "{name}");
        }
        for name in ["nfs4", "fuse.sshfs", "vfat", "exfat", "tmpfs", "overlay"] {
            assert_ne!(judge(name).verdict, Verdict::Good, "{name}");
        }
        // 4 GiB / 144,000 bytes per second
        assert!(judge("vfat").sentence.contains("8.3 h"));
    }

    #[test]
    fn what_a_file_system_refuses_is_named_with_what_is_done_instead() {
        let none = Capabilities { o_direct: false, reserve: false };
        let finding = judge("ext4", Path::new("/x"), Ok(none), NEEDS);
        assert_eq!(finding.verdict, Verdict::Fair);
        assert!(finding.sentence.contains("through the page cache") && finding.sentence.contains("full disk"));
    }

    #[test]
    fn a_folder_that_takes_no_file_is_poor_and_named() {
        let finding = judge("ext4", Path::new("/x"), Err(io::ErrorKind::PermissionDenied.into()), NEEDS);
        assert!(finding.verdict == Verdict::Poor && finding.sentence.contains("/x: permission denied"));
    }

    #[test]
    fn free_space_is_shown_as_recording_time() {
        let finding = judge_free_space(3_456_000 * 3600 * 5, NEEDS);
        assert_eq!((finding.measured.as_str(), finding.verdict), ("5.0 h", Verdict::Good));
        assert_eq!(judge_free_space(3_456_000 * 60, NEEDS).verdict, Verdict::Poor);
    }
}
