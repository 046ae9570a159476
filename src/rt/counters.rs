//! Page faults, context switches and processor time of a thread, as the kernel counts them. Thread: any but audio,
//! whose counters others read.

use std::fs;
use std::io;

/// Counters of a thread since its start, or the difference of two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadCounters {
    /// Page faults that the kernel resolved at once.
    pub minor_faults: u64,
    /// Page faults that waited for the disk or for a locked page. The kernel counts a fault here also if it had to
    /// start over.
    pub major_faults: u64,
    /// Times the thread gave up the processor to wait for something.
    pub voluntary_switches: u64,
    /// Times the kernel took the processor from the thread.
    pub involuntary_switches: u64,
    /// Nanoseconds on a processor. While the thread runs, the kernel updates this at every tick (1 to 10 ms), so it may
    /// be one tick old.
    pub cpu_ns: u64,
    /// Nanoseconds for which the thread could run and no processor was free for it; 0 if the kernel does not count them.
    pub run_delay_ns: u64,
}

impl ThreadCounters {
    /// Reads the counters of thread `tid` of this process from `/proc/self/task/TID/{stat,status,schedstat}`.
    ///
    /// The three files are read one after the other, so the counters of a running thread are from slightly different
    /// times. The error is `NotFound` if there is no such thread any more.
    pub fn of(tid: i32) -> io::Result<ThreadCounters> {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/task/{tid}/{name}"));
        // Some kernels lack this file. `stat` then gives the time in ticks.
        let schedstat = read("schedstat").unwrap_or_default();
        parse(&read("stat")?, &read("status")?, &schedstat)
            .ok_or_else(|| io::Error::other(format!("/proc/self/task/{tid}: not the fields that proc(5) lists")))
    }

    /// The difference to an earlier reading of the same thread.
    #[must_use]
    pub fn since(&self, earlier: &ThreadCounters) -> ThreadCounters {
        ThreadCounters {
            minor_faults: self.minor_faults.saturating_sub(earlier.minor_faults),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(earlier.involuntary_switches),
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            run_delay_ns: self.run_delay_ns.saturating_sub(earlier.run_delay_ns),
        }
    }
}

/// The kernel's id of the calling thread, as in `/proc/self/task`.
pub fn this_thread_id() -> i32 {
    nix::unistd::gettid().as_raw()
}

/// A thread of this process that has a real-time class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealTimeThread {
    pub tid: i32,
    /// Its start in ticks of the machine. It tells the thread from a later one with the same id.
    pub started: u64,
    pub name: String,
    pub counters: ThreadCounters,
}

/// The threads of this process that have a real-time class. A thread that ends meanwhile is left out.
pub fn real_time_threads() -> Vec<RealTimeThread> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.filter_map(|task| real_time_thread(task.file_name().to_str()?.parse().ok()?)).collect()
}

fn real_time_thread(tid: i32) -> Option<RealTimeThread> {
    let stat = fs::read_to_string(format!("/proc/self/task/{tid}/stat")).ok()?;
    let (name, started) = identity_of_real_time(&stat)?;
    Some(RealTimeThread { tid, started, name, counters: ThreadCounters::of(tid).ok()? })
}

/// Name and start of the thread of a `stat` line; `None` if its class is none of the real-time ones.
fn identity_of_real_time(stat: &str) -> Option<(String, u64)> {
    const CLASSES: [i32; 3] = [libc::SCHED_FIFO, libc::SCHED_RR, libc::SCHED_DEADLINE];
    let (class, _) = class(stat)?;
    let name = stat.split_once('(')?.1.rsplit_once(')')?.0;
    CLASSES.iter().any(|own| u32::try_from(*own) == Ok(class)).then_some((name.to_owned(), stat_field(stat, 22)?))
}

/// Current scheduling class (`SCHED_*` of sched(7)) and static priority of a thread of this process.
pub(super) fn class_of(tid: i32) -> io::Result<(u32, u32)> {
    let stat = fs::read_to_string(format!("/proc/self/task/{tid}/stat"))?;
    class(&stat).ok_or_else(|| io::Error::other(format!("/proc/self/task/{tid}/stat: no scheduling class in it")))
}

fn class(stat: &str) -> Option<(u32, u32)> {
    Some((stat_field(stat, 41)?.try_into().ok()?, stat_field(stat, 40)?.try_into().ok()?))
}

fn parse(stat: &str, status: &str, schedstat: &str) -> Option<ThreadCounters> {
    let mut times = schedstat.split_ascii_whitespace().map(|ns| ns.parse().ok());
    let (on_cpu, run_delay) = (times.next().flatten(), times.next().flatten());
    let ticks = || Some(stat_field(stat, 14)? + stat_field(stat, 15)?);
    Some(ThreadCounters {
        minor_faults: stat_field(stat, 10)?,
        major_faults: stat_field(stat, 12)?,
        voluntary_switches: status_field(status, "voluntary_ctxt_switches:")?,
        involuntary_switches: status_field(status, "nonvoluntary_ctxt_switches:")?,
        // USER_HZ is 100 on every architecture that has a desktop.
        cpu_ns: on_cpu.or_else(|| ticks().map(|ticks| ticks * 10_000_000))?,
        run_delay_ns: run_delay.unwrap_or(0),
    })
}

/// Field `number` of a `stat` line, counted from 1 as in proc(5). Field 2, the name in parentheses, may contain spaces
/// and parentheses.
fn stat_field(stat: &str, number: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn status_field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "71 (au) dio 1 (x)) S 1 2 3 4 5 6 1001 8 1202 10 14 15 16 17 -61 19 20 21 22 23 24 25 26 27 \
                        28 29 30 31 32 33 34 35 36 37 38 39 60 2 42";
    const STATUS: &str = "Name:\tau\nvoluntary_ctxt_switches:\t31\nnonvoluntary_ctxt_switches:\t32\n";

    #[test]
    fn a_name_with_spaces_and_parentheses_moves_no_field() {
        let read = parse(STAT, STATUS, "987654321 5 6\n").unwrap();
        assert_eq!((read.minor_faults, read.major_faults), (1001, 1202));
        assert_eq!((read.voluntary_switches, read.involuntary_switches), (31, 32));
        assert_eq!((read.cpu_ns, read.run_delay_ns), (987_654_321, 5));
        assert_eq!(class(STAT), Some((2, 60)));
    }

    #[test]
    fn a_thread_with_a_real_time_class_has_its_name_and_its_start_and_another_one_is_left_out() {
        let (fifo, normal) = ("0 0 60 1 42", "0 0 0 0 42");
        let stat = |tail: &str| STAT.replace("38 39 60 2 42", tail);
        assert_eq!(identity_of_real_time(STAT), Some(("au) dio 1 (x)".to_owned(), 22)), "round robin");
        assert_eq!(identity_of_real_time(&stat(fifo)).map(|(_, started)| started), Some(22));
        assert_eq!((identity_of_real_time(&stat(normal)), identity_of_real_time("71 (a) S 1")), (None, None));
    }

    #[test]
    fn without_schedstat_the_time_is_counted_in_ticks() {
        let read = parse(STAT, STATUS, "").unwrap();
        assert_eq!((read.cpu_ns, read.run_delay_ns), (290_000_000, 0));
    }

    #[test]
    fn a_line_that_is_cut_short_is_no_reading() {
        assert!(parse("71 (a) S 1 2", STATUS, "").is_none());
        assert!(parse("", "", "").is_none());
    }

    #[test]
    fn a_touched_page_is_one_minor_fault_of_the_thread_that_touched_it() {
        let tid = this_thread_id();
        let before = ThreadCounters::of(tid).unwrap();
        let pages = memmap2::MmapMut::map_anon(64 * 4096).map(|mut map| {
            (0..64).for_each(|page| map[page * 4096] = 1);
            map
        });
        let spent = ThreadCounters::of(tid).unwrap().since(&before);
        assert!(pages.is_ok() && spent.minor_faults > 0, "{spent:?}");
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(ThreadCounters::of(tid).unwrap().since(&before).voluntary_switches > 0);
    }

    #[test]
    fn a_thread_that_is_gone_is_an_error() {
        let tid = std::thread::spawn(this_thread_id).join().unwrap();
        // The kernel may list the thread for a moment after `join`.
        for _ in 0..200 {
            if ThreadCounters::of(tid).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("still there");
    }
}
