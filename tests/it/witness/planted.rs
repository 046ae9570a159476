//! Planted offences, one for each witness: the witness must find it. Thread: test.
#![expect(unsafe_code, reason = "a system call and a page, planted")]

use super::account::{Account, Calls, account, assert_rt, can_trap, prepare};
use memmap2::MmapMut;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

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
