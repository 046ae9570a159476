//! Calls that the program gives to the disks at once: writes and syncs of several files. Thread: the one of the run.
//!
//! They end in any order. Each of them may fail, be cut short or wait for its disk by itself, and a kill may come between any
//! two of them. When the program is killed, the kernel may still carry out some of those that it has.

use crate::disk::Planted;
use crate::world::World;
use faultless::host::disk::{DiskCall, Proceed};
use nix::errno::Errno;
use nix::sys::uio::pwrite;
use std::io;
use std::time::Duration;

/// Carries out the call at a place of the batch.
type CarryOut<'a> = &'a mut dyn FnMut(usize, Proceed) -> Result<usize, Errno>;

impl World {
    /// Carries out a batch.
    pub(crate) fn run_batch(&self, calls: &[DiskCall<'_>], carry_out: CarryOut<'_>) {
        self.note(self.name_of_current(), format_args!("batch of {}", calls.len()));
        let mut left: Vec<usize> = (0..calls.len()).collect();
        let mut failed = 0;
        while !left.is_empty() {
            let chosen = self.random().below(left.len() as u64) as usize;
            if self.is_next_call_fatal() {
                self.finish_some(calls, &left, carry_out);
            }
            self.count_call();
            let at = left[chosen];
            self.take_time(self.delay_of(&self.call_of(&calls[at])) / calls.len() as u32);
            // Another disk may accept its calls while this one stands still.
            let (mut place, mut until) = (chosen, Duration::MAX);
            let proceed = (0..left.len()).find_map(|next| {
                place = (chosen + next) % left.len();
                self.judge_now(&self.call_of(&calls[left[place]])).map_err(|moment| until = until.min(moment)).ok()
            });
            let Some(proceed) = proceed else {
                self.wait_until(until);
                continue;
            };
            let at = left.swap_remove(place);
            if matches!(proceed, Proceed::Fail(_)) {
                failed += 1;
                if self.disks.borrow().planted() == Some(Planted::HiddenFailure) {
                    self.hide_failure(&calls[at], at, carry_out);
                    continue;
                }
            }
            if !matches!(proceed, Proceed::Fail(_)) {
                self.ambush(&calls[at]);
            }
            self.carry_out_one(&calls[at], at, proceed, carry_out);
        }
        if 0 < failed && failed < calls.len() {
            self.note(self.name_of_current(), format_args!("{failed} of {} failed", calls.len()));
            self.partial_failures.set(self.partial_failures.get() + 1);
        }
    }

    fn carry_out_one(&self, call: &DiskCall<'_>, at: usize, proceed: Proceed, carry_out: CarryOut<'_>) {
        let (result, call) = (carry_out(at, proceed), self.call_of(call));
        match (proceed, result) {
            (Proceed::Fail(_), _) => {}
            (_, Err(errno)) => self.trace_call(&call, &io::Error::from(errno).to_string()),
            (_, Ok(bytes)) => self.call_done(&call.cut_to(bytes as u64)),
        }
    }

    /// The program is about to be killed. The kernel finishes some of the calls that it has.
    fn finish_some(&self, calls: &[DiskCall<'_>], left: &[usize], carry_out: CarryOut<'_>) {
        for at in left {
            if self.random().chance(500)
                && let Ok(proceed @ (Proceed::Go | Proceed::Short(_))) = self.judge_now(&self.call_of(&calls[*at]))
            {
                self.carry_out_one(&calls[*at], *at, proceed, carry_out);
            }
        }
    }

    /// The planted defect: a call fails, and its result says that it succeeded.
    fn hide_failure(&self, call: &DiskCall<'_>, at: usize, carry_out: CarryOut<'_>) {
        self.note(self.name_of_current(), format_args!("a failure is hidden"));
        let bytes = carry_out(at, Proceed::Go).unwrap_or(0);
        if let DiskCall::Write { file, offset, .. } = call {
            pwrite(file, &vec![0; bytes], *offset as i64).ok();
        }
    }
}
