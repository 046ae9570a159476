//! Syncs and writeback by other programs and by the kernel: which process caused them. Thread: watcher writes, any other
//! reads; audio never sees it.
//!
//! ```text
//!   kernel --- perf rings ---> watcher: DiskWorkReader ---> DiskWorkLog ---> page's card, line below the graphs, trace
//! ```
//!
//! Where the kernel does not permit it, the log says why.

use super::ledger::Stamp;
use crate::limits::DISK_WORK_KEPT;
use crate::lock::lock;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};

/// The kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// A thread of the kernel wrote dirty pages of any files.
    Writeback,
    /// A thread of the kernel wrote dirty pages of a take.
    TakeWriteback,
    /// A process synced one file.
    FileSync,
    /// A process synced a file system, or all.
    SystemSync,
}

/// A sync, or a run of writeback, that this program did not ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskWork {
    /// Its end in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// Nanoseconds from its start to its end; 0: not known.
    pub took_ns: u64,
    pub kind: WorkKind,
    pub pid: i32,
    /// Name of the process; empty if it ended before it could be asked for.
    pub program: String,
    /// The kernel's word for the reason of writeback, or the name of the system call.
    pub word: String,
    /// Number of the disk, as `252:0`.
    pub disk: String,
    /// Number of the file; 0: several files.
    pub inode: u64,
    /// Whether the file is a take that is recorded.
    pub is_take: bool,
    /// Pages that were written; 0: not known.
    pub pages: u64,
    /// How often it was done in a row.
    pub count: u32,
}

impl DiskWork {
    /// The work in words, without its time: "sync by dpkg".
    pub fn text(&self) -> String {
        let program = self.program_name();
        let pages = match self.pages {
            1 => "1 page".to_owned(),
            pages => format!("{pages} pages"),
        };
        let why = if self.word.is_empty() { String::new() } else { format!(" ({})", self.word) };
        let times = if self.count > 1 { format!("{} times ", self.count) } else { String::new() };
        match self.kind {
            WorkKind::Writeback => format!("{pages} written back by {program}{why}"),
            WorkKind::TakeWriteback => format!("{pages} of the take written back by {program}{why}"),
            WorkKind::FileSync if self.is_take => format!("{times}{} of the take by {program}", self.word),
            WorkKind::FileSync => format!("{times}{} by {program}", self.word),
            WorkKind::SystemSync => format!("{} by {program}", self.word),
        }
    }

    /// The name of the process, or its number.
    pub fn program_name(&self) -> String {
        if self.program.is_empty() { format!("process {}, which has ended", self.pid) } else { self.program.clone() }
    }

    pub fn is_sync(&self) -> bool {
        matches!(self.kind, WorkKind::FileSync | WorkKind::SystemSync)
    }
}

/// Work as a front end gets it: beside samples, whose times it shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenWork {
    /// Its number since the watcher started, from 1 on.
    pub number: u64,
    pub at: Stamp,
    #[serde(with = "crate::serial::shared")]
    pub work: Arc<DiskWork>,
}

impl SeenWork {
    /// Milliseconds from the end of the work to `now`; `None`: it is later.
    pub fn age_ms(&self, now: Stamp) -> Option<u64> {
        age(self.at, now)
    }
}

fn age(at: Stamp, now: Stamp) -> Option<u64> {
    now.0.checked_sub(at.0)
}

/// The last work that was seen.
#[derive(Debug, Default)]
pub struct DiskWorkLog {
    /// Why it is not seen; empty while it is.
    refusal: OnceLock<Arc<str>>,
    state: Mutex<LogState>,
}

#[derive(Debug, Default)]
struct LogState {
    /// The last [`DISK_WORK_KEPT`].
    kept: VecDeque<Arc<DiskWork>>,
    seen: u64,
    /// Events that did not fit into the rings of the kernel.
    lost: u64,
    /// Why the syncs of the takes' file systems are not seen, or of some of them.
    unseen: Option<Arc<str>>,
}

impl DiskWorkLog {
    /// Why the work of others is not seen. `None`: it is.
    pub fn refusal(&self) -> Option<&Arc<str>> {
        self.refusal.get()
    }

    /// It is not seen, for this reason.
    pub(super) fn refuse(&self, reason: &str) {
        self.refusal.set(reason.into()).ok();
    }

    /// Why syncs on the file systems of the takes are not seen; `None`: they are, or nothing has been recorded yet.
    pub fn unseen(&self) -> Option<Arc<str>> {
        lock(&self.state).unseen.clone()
    }

    pub(super) fn set_unseen(&self, reason: Option<String>) {
        lock(&self.state).unseen = reason.map(Into::into);
    }

    /// The gaps in the log, in words; `None`: there are none.
    pub fn gaps(&self) -> Option<Arc<str>> {
        let state = lock(&self.state);
        let lost = match state.lost {
            0 => None,
            1 => Some("1 record of the kernel was lost".to_owned()),
            lost => Some(format!("{lost} records of the kernel were lost")),
        };
        let gaps: Vec<String> = state.unseen.iter().map(std::string::ToString::to_string).chain(lost).collect();
        (!gaps.is_empty()).then(|| gaps.join("; ").into())
    }

    /// The work after the first `number` pieces, as far as it is kept, each with its own number.
    pub fn after(&self, number: u64) -> Vec<(u64, Arc<DiskWork>)> {
        let state = lock(&self.state);
        let first = state.seen - state.kept.len() as u64 + 1;
        (first..).zip(state.kept.iter().cloned()).filter(|(own, _)| number < *own).collect()
    }

    /// The work that ended at `from_ns` of the monotonic clock or later, the oldest first.
    pub fn since(&self, from_ns: u64) -> Vec<Arc<DiskWork>> {
        lock(&self.state).kept.iter().filter(|work| from_ns <= work.at_ns).cloned().collect()
    }

    /// Events that did not fit into the rings of the kernel.
    pub fn lost(&self) -> u64 {
        lock(&self.state).lost
    }

    pub(super) fn push(&self, found: Vec<DiskWork>, lost: u64) {
        let mut state = lock(&self.state);
        state.lost += lost;
        for work in found {
            state.seen += 1;
            if DISK_WORK_KEPT <= state.kept.len() {
                state.kept.pop_front();
            }
            state.kept.push_back(Arc::new(work));
        }
    }
}

/// Lines for the card of a page: who wrote its file back last, and the last two syncs, as of `now`. `inode`: the page's file.
pub(super) fn story(log: &DiskWorkLog, inode: Option<u64>, now: Stamp, stamp: impl Fn(u64) -> Stamp) -> Vec<String> {
    /// A sync that is older than this explains nothing that is seen now.
    const SYNC_MS_MAX: u64 = 10_000;
    let all: Vec<(u64, Arc<DiskWork>)> =
        log.after(0).into_iter().filter_map(|(_, work)| Some((age(stamp(work.at_ns), now)?, work))).collect();
    let line = |(age, work): &(u64, Arc<DiskWork>)| format!("{} {:.1} s ago", work.text(), *age as f64 / 1000.0);
    let written = all
        .iter()
        .rev()
        .find(|(_, work)| work.kind == WorkKind::TakeWriteback && inode.is_some_and(|inode| inode == work.inode));
    let is_other_take = |work: &DiskWork| work.is_take && Some(work.inode) != inode;
    let syncs = all.iter().rev().filter(|(age, work)| *age <= SYNC_MS_MAX && work.is_sync() && !is_other_take(work));
    let mut syncs: Vec<String> = syncs.take(2).map(line).collect();
    syncs.reverse();
    syncs.into_iter().chain(written.map(line)).collect()
}

/// The last sync and the last writeback of the minute before `now`, and what the log may lack, in one line.
pub fn summary(all: &[SeenWork], now: Stamp, span_ms: u64, gaps: Option<&str>) -> String {
    let age = |seen: &SeenWork| seen.age_ms(now).filter(|age| *age <= span_ms);
    let of = |wanted: fn(&DiskWork) -> bool| {
        let found = all.iter().rev().filter(|seen| wanted(&seen.work)).find_map(|seen| Some((age(seen)?, seen)))?;
        Some(format!("{} {:.1} s ago", found.1.work.text(), found.0 as f64 / 1000.0))
    };
    let mut parts: Vec<String> =
        [of(DiskWork::is_sync), of(|work| work.kind == WorkKind::Writeback)].into_iter().flatten().collect();
    if parts.is_empty() {
        let seen = if gaps.is_some() { " was seen" } else { "" };
        parts.push(format!("no sync and no writeback by others{seen} in the last minute"));
    }
    parts.extend(gaps.map(str::to_owned));
    parts.join("; ")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn work(at_ms: u64, kind: WorkKind, program: &str, word: &str) -> DiskWork {
        DiskWork {
            at_ns: at_ms * 1_000_000,
            took_ns: 0,
            kind,
            pid: 412,
            program: program.to_owned(),
            word: word.to_owned(),
            disk: "252:0".to_owned(),
            inode: 0,
            is_take: false,
            pages: 0,
            count: 1,
        }
    }

    fn stamp(at_ns: u64) -> Stamp {
        Stamp(at_ns / 1_000_000)
    }

    #[test]
    fn a_page_tells_who_wrote_its_file_back_and_who_synced() {
        let log = DiskWorkLog::default();
        let written =
            |at, inode, pages| DiskWork { inode, pages, ..work(at, WorkKind::TakeWriteback, "kworker/u8:1", "sync") };
        let synced = |at, inode| DiskWork { inode, is_take: true, ..work(at, WorkKind::FileSync, "cp", "fsync") };
        let found = vec![
            written(1000, 7, 12),
            written(1500, 8, 99),
            work(19_000, WorkKind::FileSync, "old", "fsync"),
            work(29_600, WorkKind::SystemSync, "dpkg", "sync"),
            written(29_700, 7, 1),
            synced(29_800, 8),
            DiskWork { count: 3, ..synced(29_900, 7) },
            work(30_500, WorkKind::SystemSync, "later", "sync"),
        ];
        log.push(found, 5);
        let now = Stamp(30_000);
        let wanted = [
            "sync by dpkg 0.4 s ago",
            "3 times fsync of the take by cp 0.1 s ago",
            "1 page of the take written back by kworker/u8:1 (sync) 0.3 s ago",
        ];
        assert_eq!(story(&log, Some(7), now, stamp), wanted);
        assert_eq!(story(&log, None, now, stamp), wanted[..1], "a file that is not known");
        assert_eq!(log.lost(), 5);
    }

    #[test]
    fn the_line_has_the_last_sync_and_the_last_writeback_of_the_minute() {
        let seen = |number, work: DiskWork| SeenWork { number, at: stamp(work.at_ns), work: Arc::new(work) };
        let all = [
            seen(1, DiskWork { pages: 40, ..work(60_000, WorkKind::Writeback, "kworker/u8:1", "periodic") }),
            seen(2, DiskWork { program: String::new(), ..work(61_000, WorkKind::SystemSync, "", "sync") }),
            seen(3, work(70_000, WorkKind::SystemSync, "later", "sync")),
        ];
        let line = summary(&all, Stamp(62_000), 60_000, None);
        let wanted = "sync by process 412, which has ended 1.0 s ago; 40 pages written back by kworker/u8:1 (periodic) 2.0 s ago";
        assert_eq!(line, wanted);
        assert_eq!(
            summary(&all[..2], Stamp(200_000), 60_000, None),
            "no sync and no writeback by others in the last minute"
        );
    }

    /// The line said "no sync" on file systems whose syncs the kernel does not report.
    #[test]
    fn the_line_says_that_syncs_cannot_be_seen_and_how_many_records_were_lost() {
        let log = DiskWorkLog::default();
        assert_eq!(log.gaps(), None);
        log.set_unseen(Some("the kernel does not report syncs on exfat".to_owned()));
        log.push(Vec::new(), 12);
        let gaps = log.gaps();
        let line = summary(&[], Stamp(1), 60_000, gaps.as_deref());
        let wanted = "no sync and no writeback by others was seen in the last minute; the kernel does not report syncs \
                      on exfat; 12 records of the kernel were lost";
        assert_eq!(line, wanted);
        log.set_unseen(None);
        assert_eq!((log.unseen(), log.gaps().as_deref()), (None, Some("12 records of the kernel were lost")));
    }

    #[test]
    fn the_last_work_is_kept_and_has_its_number() {
        let log = DiskWorkLog::default();
        let many =
            |from: u64| (from..from + DISK_WORK_KEPT as u64).map(|at| work(at, WorkKind::Writeback, "k", "")).collect();
        log.push(many(0), 0);
        log.push(many(10), 0);
        let last = log.after(2 * DISK_WORK_KEPT as u64 - 1);
        assert_eq!((last.len(), last[0].1.at_ns), (1, (DISK_WORK_KEPT as u64 + 9) * 1_000_000));
        assert_eq!((log.after(0).len(), log.after(0)[0].0), (DISK_WORK_KEPT, DISK_WORK_KEPT as u64 + 1));
        assert_eq!(log.since((DISK_WORK_KEPT as u64 + 8) * 1_000_000).len(), 2);
        log.refuse("why");
        assert_eq!(log.refusal().map(|reason| &**reason), Some("why"));
    }
}
