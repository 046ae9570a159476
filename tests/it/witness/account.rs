//! The four witnesses: they count what a piece of code costs the thread that runs it. Thread: test.
//!
//! * The allocator of this binary counts allocations and frees (assert_no_alloc, which must not abort here).
//! * `getrusage(RUSAGE_THREAD)` counts minor and major page faults.
//! * `getrusage` also counts voluntary context switches: times the thread waited for something.
//! * Syscall user dispatch (`prctl`, Linux 5.11, x86-64): while a selector byte demands it, a system call raises SIGSYS
//!   instead of being made.
#![expect(unsafe_code, reason = "a signal handler and a prctl")]

use faultless::window::budget::LockBudget;
use faultless::window::process;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use std::cell::Cell;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering::SeqCst};

#[global_allocator]
static ALLOCATOR: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

/// From linux/prctl.h. The libc crate lacks it.
const PR_SET_SYSCALL_USER_DISPATCH: libc::c_int = 59;
/// Values of the selector byte, from linux/prctl.h.
const ALLOW: u8 = 0;
const BLOCK: u8 = 1;

const NO_CALL: i32 = -1;

/// The system call trap of a thread.
struct Trap {
    selector: AtomicU8,
    caught: AtomicI32,
}

thread_local! {
    static TRAP: Cell<Option<&'static Trap>> = const { Cell::new(None) };
}

/// The first system call disarms the trap, so that the code continues, with a meaningless result of that call.
extern "C" fn on_sigsys(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let Some(trap) = TRAP.get() else { return };
    trap.selector.store(ALLOW, SeqCst);
    // SAFETY: for SIGSYS the kernel fills si_syscall, at byte 24 of siginfo on 64-bit Linux.
    let number = unsafe { info.cast::<u8>().add(24).cast::<i32>().read_unaligned() };
    trap.caught.store(number, SeqCst);
}

/// The trap of this thread, made on first use. The error says why the kernel has none.
fn trap() -> Result<&'static Trap, String> {
    if let Some(trap) = TRAP.get() {
        return Ok(trap);
    }
    // Leaked: the kernel keeps the address until the thread is gone.
    let trap: &Trap = Box::leak(Box::new(Trap { selector: AtomicU8::new(ALLOW), caught: AtomicI32::new(NO_CALL) }));
    // SAFETY: the handler stores to leaked atomics of its own thread and does nothing else.
    let handled = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigsys as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut())
    };
    assert_eq!(handled, 0, "sigaction");
    // SAFETY: on (1), no address range excepted (0, 0); the selector outlives the thread.
    let armed = unsafe { libc::prctl(PR_SET_SYSCALL_USER_DISPATCH, 1_u64, 0_u64, 0_u64, trap.selector.as_ptr()) };
    if armed != 0 {
        return Err(format!("no syscall user dispatch: {}", std::io::Error::last_os_error()));
    }
    TRAP.set(Some(trap));
    Ok(trap)
}

/// Whether a test that needs the fourth witness can run. If not, the test is skipped.
pub(crate) fn can_trap(test: &str) -> bool {
    match trap() {
        Ok(_) => true,
        Err(reason) => {
            crate::util::skip(test, &reason);
            false
        }
    }
}

/// How to treat system calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Report the first one; none is made.
    Trapped,
    /// Allow them, because the device makes them.
    LetThrough,
}

/// The cost of a piece of code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Allocations and frees.
    pub(crate) allocations: u32,
    pub(crate) minor_faults: i64,
    pub(crate) major_faults: i64,
    /// Voluntary context switches.
    pub(crate) switches: i64,
    /// Number of the first system call.
    pub(crate) call: Option<i32>,
}

impl Account {
    /// The offences as text; empty if there are none.
    pub(crate) fn offences(&self) -> String {
        let mut text = String::new();
        if let Some(call) = self.call {
            write!(text, "made system call {call}; ").unwrap();
        }
        for (count, what) in [
            (i64::from(self.allocations), "allocated or freed"),
            (self.minor_faults, "faulted"),
            (self.major_faults, "faulted for the disk"),
            (self.switches, "waited"),
        ] {
            if count != 0 {
                write!(text, "{what} {count} times; ").unwrap();
            }
        }
        text
    }
}

/// Disarms the trap when it is dropped, also when the body panics.
struct Trapped(Option<&'static Trap>);

impl Trapped {
    fn begin(trap: Option<&'static Trap>) -> Trapped {
        if let Some(trap) = trap {
            trap.caught.store(NO_CALL, SeqCst);
            trap.selector.store(BLOCK, SeqCst);
        }
        Trapped(trap)
    }
}

impl Drop for Trapped {
    fn drop(&mut self) {
        if let Some(trap) = self.0 {
            trap.selector.store(ALLOW, SeqCst);
        }
    }
}

/// Populates all memory that the thread will use, as the program does before its device starts.
pub(crate) fn prepare() {
    // The budget is 0, so the stack is touched and not locked.
    process::prepare_stack(&LockBudget::new(0));
    process::populate();
}

/// Runs `body` and counts what it costs this thread.
pub(crate) fn account<T>(calls: Calls, body: impl FnOnce() -> T) -> (T, Account) {
    let trap = trap().ok().filter(|_| calls == Calls::Trapped);
    let usage = || getrusage(UsageWho::RUSAGE_THREAD).expect("it always can be asked");
    // The first call brings in the memory that the witnesses themselves use.
    usage();
    let allocations = assert_no_alloc::violation_count();
    let (out, before, after) = assert_no_alloc::assert_no_alloc(|| {
        let before = usage();
        let trapped = Trapped::begin(trap);
        let out = body();
        drop(trapped);
        (out, before, usage())
    });
    let since = |what: fn(&Usage) -> i64| what(&after) - what(&before);
    let account = Account {
        allocations: assert_no_alloc::violation_count() - allocations,
        minor_faults: since(Usage::minor_page_faults),
        major_faults: since(Usage::major_page_faults),
        switches: since(Usage::voluntary_context_switches),
        call: trap.map(|trap| trap.caught.load(SeqCst)).filter(|call| *call != NO_CALL),
    };
    (out, account)
}

/// Runs `body`, and fails the test if `body` does anything that the audio thread must not do.
#[track_caller]
pub(crate) fn assert_rt<T>(body: impl FnOnce() -> T) -> T {
    let (out, account) = account(Calls::Trapped, body);
    assert!(account == Account::default(), "{}", account.offences());
    out
}

/// Runs `body` in a process of its own, where no other test populates memory.
pub(crate) fn alone(test: &str, body: fn()) {
    const ALONE: &str = "FAULTLESS_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    // What it skipped is said in it.
    println!("{text}");
}
