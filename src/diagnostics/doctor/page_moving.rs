//! Judges whether the kernel may swap out or move the program's memory. Thread: control.

use super::{Finding, Verdict, read};
use std::path::Path;

pub(super) fn examine(root: &Path) -> Vec<Finding> {
    let balancing = read(root, "proc/sys/kernel/numa_balancing").is_some_and(|value| value != "0");
    let compaction = read(root, "proc/sys/vm/compact_unevictable_allowed").is_some_and(|value| value != "0");
    // The recorder asks the kernel to leave its memory out. A kernel that does so has 0 here.
    let status = read(root, "proc/self/status").unwrap_or_default();
    let is_left_out = status.lines().any(|line| line.split_ascii_whitespace().eq(["THP_enabled:", "0"]));
    let huge = !is_left_out
        && read(root, "sys/kernel/mm/transparent_hugepage/enabled").is_some_and(|text| text.contains("[always]"));
    vec![judge_swap(&read(root, "proc/swaps").unwrap_or_default()), judge_moving(balancing, compaction, huge)]
}

fn judge_swap(swaps: &str) -> Finding {
    const TOPIC: &str = "swap";
    // The first line names the columns.
    let places: Vec<&str> = swaps.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next()).collect();
    if places.is_empty() {
        return Finding::new(TOPIC, "none", Verdict::Good, "Nothing of the spool can be swapped out.");
    }
    let measured = places.join(", ");
    if places.iter().all(|place| place.starts_with("/dev/zram")) {
        let sentence = "Swapped memory is kept compressed in memory. Locked memory stays where it is; the rest of the \
                        spool may be compressed when memory is short.";
        return Finding::new(TOPIC, measured, Verdict::Good, sentence);
    }
    let sentence = "Locked pages stay in memory. Pages beyond the limit, and recorded sound that waits for the disk, may be \
                    swapped to a disk when memory is short.";
    Finding::new(TOPIC, measured, Verdict::Fair, sentence).fix("sudo sysctl vm.swappiness=10")
}

/// NUMA balancing and compaction both remove a page from the page tables for a moment, even a locked one, and an access
/// at that moment is a minor fault. See Documentation/admin-guide/sysctl in the kernel's sources, kernel.rst and
/// vm.rst.
fn judge_moving(balancing: bool, compaction: bool, huge: bool) -> Finding {
    const TOPIC: &str = "page moving";
    let named: Vec<&str> = [(balancing, "NUMA balancing"), (compaction, "compaction"), (huge, "huge pages")]
        .iter()
        .filter(|on| on.0)
        .map(|on| on.1)
        .collect();
    if named.is_empty() {
        return Finding::new(TOPIC, "off", Verdict::Good, "Locked pages stay mapped where they are.");
    }
    let mut fix = Vec::new();
    let mut sentences = Vec::new();
    if balancing {
        sentences.push(
            "The kernel unmaps pages to see who uses them, locked ones too, which costs the audio thread minor faults.",
        );
        fix.push("kernel.numa_balancing=0");
    }
    if compaction {
        sentences.push(
            "When memory is fragmented the kernel may move locked pages; the audio thread would see it as a rare minor fault.",
        );
        fix.push("vm.compact_unevictable_allowed=0");
    }
    if huge {
        sentences.push(
            "While the kernel makes a huge page of the heap, an audio thread that needs the heap waits for it, and this kernel \
             does not leave out the memory of a single program.",
        );
    }
    // Compaction is enabled nearly everywhere and rarely happens, so it is no reason to warn by itself.
    let verdict = if balancing || huge { Verdict::Fair } else { Verdict::Good };
    let mut commands = Vec::new();
    if !fix.is_empty() {
        commands.push(format!("sudo sysctl {}", fix.join(" ")));
    }
    if huge {
        commands.push("echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled".to_owned());
    }
    Finding::new(TOPIC, named.join(", "), verdict, sentences.join(" ")).fix(commands.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Filename\tType\tSize\tUsed\tPriority\n";

    #[test]
    fn swap_in_memory_and_swap_on_a_disk_are_distinguished() {
        assert_eq!(judge_swap(HEAD).measured, "none");
        let zram = judge_swap(&format!("{HEAD}/dev/zram0 partition 8 0 100\n"));
        assert_eq!((zram.measured.as_str(), zram.verdict), ("/dev/zram0", Verdict::Good));
        let both = judge_swap(&format!("{HEAD}/dev/zram0 partition 8 0 100\n/swap.img file 8 0 -2\n"));
        assert_eq!((both.measured.as_str(), both.verdict), ("/dev/zram0, /swap.img", Verdict::Fair));
    }

    #[test]
    fn only_what_moves_pages_is_in_the_fix() {
        assert_eq!(judge_moving(false, false, false).fix, None);
        let compaction = judge_moving(false, true, false);
        assert_eq!(compaction.fix.as_deref(), Some("sudo sysctl vm.compact_unevictable_allowed=0"));
        assert_eq!(compaction.verdict, Verdict::Good);
        let both = judge_moving(true, true, false);
        assert_eq!(both.verdict, Verdict::Fair);
        assert!(both.fix.unwrap().starts_with("sudo sysctl kernel.numa_balancing=0 vm."));
        let huge = judge_moving(false, false, true);
        assert_eq!((huge.verdict, huge.measured.as_str()), (Verdict::Fair, "huge pages"));
        assert!(huge.fix.unwrap().starts_with("echo madvise"));
    }

    #[test]
    fn huge_pages_are_no_trouble_where_the_kernel_leaves_the_memory_of_this_program_out() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
        write("proc/self/status", "Name:\tfaultless\nTHP_enabled:\t1\n");
        assert_eq!(examine(root.path())[1].measured, "huge pages");
        write("proc/self/status", "Name:\tfaultless\nTHP_enabled:\t0\n");
        assert_eq!(examine(root.path())[1].measured, "off");
    }
}
