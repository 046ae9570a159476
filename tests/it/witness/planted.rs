//! Planted offences, one for each witness: the witness must find it. Thread: test.
#![expect(unsafe_code, reason = "a system call and a page, planted")]

use super::account::{Account, Calls, account, assert_rt, can_trap, prepare};
use crate::util::skip;
use faultless::format::TakeFormat;
use faultless::limits::{CYCLES_KEPT, DATA_OFFSET};
use faultless::message::cycle_log::CycleLog;
use faultless::message::offset::SpoolByte;
use faultless::message::take::{TakeKey, TakePlan};
use faultless::residency::faults::{self, FaultKind, FaultLog, FaultPlace};
use faultless::residency::ledger::Ledger;
use faultless::rt::this_thread_id;
use faultless::time::Frames;
use faultless::wav::header::Header;
use faultless::window::map::Mapping;
use memmap2::MmapMut;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Pages that were never touched. The mapping is shared, because other tests populate all private memory.
fn fresh(pages: usize) -> MmapMut {
    let file = File::from(memfd_create(c"faultless-planted", MFdFlags::MFD_CLOEXEC).unwrap());
    file.set_len(pages as u64 * 4096).unwrap();
    // SAFETY: nothing else uses the file.
    unsafe { MmapMut::map_mut(&file) }.unwrap()
}

#[test]
fn code_that_does_nothing_has_an_empty_account() {
    prepare();
    let (sum, cost) = account(Calls::Trapped, || (0..1000).map(black_box).sum::<u64>());
    assert_eq!((sum, cost), (499_500, Account::default()));
}

#[test]
fn an_allocation_is_seen() {
    prepare();
    let (made, cost) = account(Calls::LetThrough, || black_box(Box::new(7_u64)));
    assert_eq!((*made, cost.allocations), (7, 1));
}

#[test]
fn a_free_is_seen() {
    prepare();
    let doomed = black_box(Box::new([1_u8; 100]));
    let ((), cost) = account(Calls::Trapped, || drop(doomed));
    assert_eq!(cost, Account { allocations: 1, ..Account::default() });
}

#[test]
fn a_grown_vector_is_seen() {
    prepare();
    let mut grown = Vec::with_capacity(4);
    assert_rt(|| (0..4_u32).for_each(|n| grown.push(n)));
    let ((), cost) = account(Calls::LetThrough, || grown.push(4));
    assert!(1 <= cost.allocations, "{cost:?}");
}

#[test]
fn a_fault_on_a_fresh_page_is_seen() {
    prepare();
    let mut fresh = fresh(16);
    let ((), cost) = account(Calls::Trapped, || (0..16).for_each(|page| fresh[page * 4096] = 1));
    assert!(1 <= cost.minor_faults, "{cost:?}");
    assert_eq!(cost, Account { minor_faults: cost.minor_faults, ..Account::default() }, "a fault is no system call");
    assert_rt(|| (0..16).for_each(|page| fresh[page * 4096] = 2));
}

/// The fault is in a window that the ledger lists, and in no other memory.
#[test]
fn a_fault_in_a_window_is_attributed_to_its_take_page_and_byte() {
    let ledger: Arc<Ledger> = Arc::default();
    let plan = TakePlan {
        key: TakeKey(1),
        identity: Uuid::new_v4(),
        session: Uuid::new_v4(),
        path: PathBuf::from("/gig/audio/Kick-1.wav"),
        header: Header::new(1, 48_000, TakeFormat::S24),
        pair: None,
        head: Frames(0),
    };
    let take = ledger.take(&plan);
    let file = File::from(memfd_create(c"faultless-planted", MFdFlags::MFD_CLOEXEC).unwrap());
    file.set_len(1 << 20).unwrap();
    // Never populated: the first store to each page takes a fault.
    let mut window = Mapping::writable(&file, DATA_OFFSET, 16 * 4096).unwrap();
    take.supplied(SpoolByte::DATA, 16 * 4096, &window);
    let (send_tid, tid) = channel();
    let (go, wait) = channel();
    let stored = std::thread::spawn(move || {
        prepare();
        let here = 0_u8;
        send_tid.send((this_thread_id(), &raw const here as usize)).unwrap();
        wait.recv().unwrap();
        let (window, cost) = account(Calls::Trapped, || {
            window.bytes_mut()[5 * 4096 + 40] = 1;
            window
        });
        assert_eq!(cost.minor_faults, 1, "{cost:?}");
        window
    });
    let (tid, stack) = tid.recv().unwrap();
    let log: Arc<FaultLog> = Arc::default();
    faults::start(tid, stack, &ledger, &log);
    go.send(()).unwrap();
    let _window = stored.join().unwrap();
    if let Some(reason) = log.refusal() {
        return skip("witness::planted::a_fault_in_a_window_is_attributed_to_its_take_page_and_byte", reason);
    }
    let byte = DATA_OFFSET + 5 * 4096 + 40;
    let file = "/gig/audio/Kick-1.wav".to_owned();
    let wanted = FaultPlace::Capture { take: plan.identity, file, page: byte / 4096, byte, locked: false };
    let until = Instant::now() + Duration::from_secs(10);
    let found = loop {
        let found: Vec<_> = log.last().into_iter().filter(|fault| fault.place == wanted).collect();
        if !found.is_empty() || until < Instant::now() {
            break found;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(found.len(), 1, "{:?}", log.last());
    assert!(found[0].kind == FaultKind::Minor && found[0].cost_us > Some(0.0), "{:?}", found[0]);
    assert!(found[0].code.contains("planted") || found[0].code.contains("account"), "{}", found[0].code);
}

#[test]
fn a_cycle_is_logged_without_a_call_an_allocation_or_a_fault() {
    let log = CycleLog::default();
    prepare();
    let begin = Instant::now();
    assert_rt(|| {
        for at in 0..2 * CYCLES_KEPT as u32 {
            log.push(begin + Duration::from_nanos(u64::from(at)), Duration::from_nanos(7), Duration::ZERO);
        }
    });
    assert_eq!(log.count(), 2 * CYCLES_KEPT as u64);
}

#[test]
fn a_wait_is_seen() {
    prepare();
    let ((), cost) = account(Calls::LetThrough, || std::thread::sleep(Duration::from_millis(2)));
    assert!(1 <= cost.switches, "{cost:?}");
}

#[test]
fn a_system_call_is_seen_and_not_made() {
    if !can_trap("witness::planted::a_system_call_is_seen_and_not_made") {
        return;
    }
    prepare();
    // SAFETY: it takes nothing and changes nothing.
    let ask = || unsafe { libc::syscall(libc::SYS_getppid) };
    let parent = ask();
    let (answer, cost) = account(Calls::Trapped, ask);
    assert_eq!(cost, Account { call: Some(libc::SYS_getppid as i32), ..Account::default() });
    assert_ne!(answer, parent, "it was made all the same");
    assert_eq!(ask(), parent, "the trap is open again");
    assert_eq!(account(Calls::LetThrough, ask), (parent, Account::default()));
}

#[test]
fn a_lock_that_nobody_holds_makes_no_system_call_and_one_that_somebody_holds_does() {
    if !can_trap("witness::planted::a_lock_that_nobody_holds_makes_no_system_call_and_one_that_somebody_holds_does") {
        return;
    }
    prepare();
    let (sent, received) = std::sync::mpsc::channel();
    let lock = std::sync::Arc::new(std::sync::Mutex::new(0));
    assert_rt(|| *lock.lock().unwrap() += 1);
    let holder = std::thread::spawn({
        let lock = std::sync::Arc::clone(&lock);
        move || {
            let held = lock.lock().unwrap();
            sent.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            *held
        }
    });
    received.recv().unwrap();
    let (value, cost) = account(Calls::Trapped, || *lock.lock().unwrap());
    assert_eq!((value, cost.call), (1, Some(libc::SYS_futex as i32)));
    assert_eq!(holder.join().unwrap(), 1);
}

#[test]
fn a_panic_disarms_the_trap_and_assert_rt_names_the_offence() {
    prepare();
    let reports = |body: &mut dyn FnMut()| {
        let caught = catch_unwind(AssertUnwindSafe(|| assert_rt(body))).unwrap_err();
        caught.downcast_ref::<String>().cloned().unwrap_or_default()
    };
    let mut doomed = Some(Box::new([1_u8; 100]));
    assert_eq!(reports(&mut || drop(doomed.take())), "allocated or freed 1 times; ");
    let mut page = fresh(1);
    assert_eq!(reports(&mut || page[0] = 1), "faulted 1 times; ");
    reports(&mut || panic!("planted"));
    // SAFETY: it takes nothing and changes nothing.
    let parent = unsafe { libc::getppid() };
    assert!(0 <= parent && parent != libc::SYS_getppid as i32, "system calls are made again");
}
