//! Kinds of runs that lead to a place which chance does not find: two or three things must happen there within
//! milliseconds. Thread: the one of the run.
//!
//! | kind | what happens |
//! |---|---|
//! | ambush | another program replaces a take just before a write, and a kill comes soon |
//! | unsaved | a disk takes sound and refuses session.json |
//! | moving | headers cannot be written, so each sync moves the frame at which a take is refused |
//! | cut twice | the power goes while a pass is recovered that a kill has cut off |
//! | elsewhere | somebody who cannot see the memory recovers first |

use crate::disk::{Fault, Name, Trouble};
use crate::nature::Act;
use crate::plan::{Allowed, BEGIN, Ending, KINDS, LARGE_DISK, Life, Plan, RATE};
use crate::random::Random;
use crate::world::Kill;
use nix::libc;
use std::time::Duration;

#[derive(Clone, Copy)]
enum Kind {
    Ambush,
    Unsaved,
    Moving,
    CutTwice,
    Elsewhere,
}

impl Kind {
    /// Parts of some of the sixteen kinds of a plan. The other parts, and so the seeds that once failed, stay as they are.
    fn of(seed: u64) -> Option<Kind> {
        match (seed % KINDS, seed / KINDS % 4) {
            (3, 1..) => Some(Kind::Ambush),
            (5, 1..) => Some(Kind::Unsaved),
            (12, 1..) => Some(Kind::Moving),
            (14, 0 | 3) => Some(Kind::CutTwice),
            (1, 0 | 3) => Some(Kind::Elsewhere),
            _ => None,
        }
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Leads a run to the place of its kind.
pub(crate) fn lead(plan: &mut Plan, seed: u64) {
    let Some(kind) = Kind::of(seed).filter(|_| plan.allowed == Allowed::ALL) else { return };
    let random = &mut Random::new(!seed ^ (1 << 40));
    plan.deeds.retain(|deed| deed.act == Act::TakesName);
    // The user records at once and rarely stops.
    (plan.lives[0].time, plan.lives[0].activity) = (ms(8_000), 5);
    match kind {
        Kind::Ambush => ambush(plan, random),
        Kind::Unsaved => unsaved(plan, random),
        Kind::Moving => moving(plan, random),
        Kind::CutTwice => cut_twice(plan, seed, random),
        Kind::Elsewhere => elsewhere(plan, random),
    }
}

/// No disk, no other program and no busy machine disturbs the run.
fn quiet(plan: &mut Plan) {
    plan.faults.clear();
    plan.deeds.clear();
    (plan.disk_bytes, plan.stall_chance) = (LARGE_DISK, 0);
}

fn ambush(plan: &mut Plan, random: &mut Random) {
    if random.chance(700) {
        quiet(plan);
    }
    // Small windows: almost each sync gives memory back.
    plan.lock_bytes = 256 << 10;
    for life in &mut plan.lives {
        // A simulated file does not know when it was made, and without memory nothing else tells a copy.
        if let Ending::PowerCut(kill) = life.ending {
            life.ending = Ending::Killed(kill);
        }
    }
    let first = &mut plan.lives[0];
    first.mirror &= random.chance(300);
    first.ending = Ending::Killed(Kill::AfterReplacing(random.between(3, 45)));
    plan.ambushes = vec![BEGIN + ms(random.between(1_200, 5_000))];
}

fn unsaved(plan: &mut Plan, random: &mut Random) {
    if random.chance(700) {
        quiet(plan);
    }
    // The overflow folder is open and listed by then.
    let after = random.between(900, 1_500);
    let from = BEGIN + ms(after);
    let fault = |trouble| Fault { from, to: from + ms(8_000), trouble };
    let first = &mut plan.lives[0];
    first.overflow = true;
    match random.below(10) {
        // Only the copy in the overflow folder lists a loss.
        0..5 => {
            let (at, lost) = (after + random.between(100, 800), random.between(100, 3_000));
            plan.faults.push((Name::Session, fault(Trouble::NoNewFiles)));
            first.device.push_str(&format!(",xrun={}+{lost}", at * RATE / 1000));
            first.ending = Ending::PowerCut(Kill::At(ms(at + random.between(1_800, 4_500))));
        }
        // No session can list the next file of a take.
        5..8 => {
            plan.faults.push((Name::Session, fault(Trouble::Fails(libc::EIO))));
            plan.faults.push((Name::Overflow, fault(Trouble::KeepsNames)));
            let kill = Kill::At(ms(after + random.between(2_000, 5_000)));
            first.ending = if random.chance(500) { Ending::Killed(kill) } else { Ending::PowerCut(kill) };
        }
        // The same in the own folder, because the file is too large.
        _ => {
            // As on FAT: one byte less than whole pages.
            (plan.file_bytes_max, plan.reserve) = (random.between(12, 40) * 4096 - 1, false);
            first.overflow = false;
            plan.faults.push((Name::Session, fault(Trouble::KeepsNames)));
            first.ending = Ending::Killed(Kill::At(ms(after + random.between(2_500, 6_000))));
        }
    }
}

fn moving(plan: &mut Plan, random: &mut Random) {
    if random.chance(700) {
        quiet(plan);
    }
    plan.spool_bytes = 64 << 20;
    plan.lives[0].overflow = true;
    let from = BEGIN + ms(random.between(900, 1_500));
    let troubles = [
        (Name::Session, Trouble::Headers(libc::EIO)),
        (Name::Session, Trouble::Slow(ms(random.between(50, 500)))),
        (Name::Overflow, Trouble::Slow(ms(random.between(20, 250)))),
    ];
    for (name, trouble) in troubles {
        plan.faults.push((name, Fault { from, to: from + ms(5_000), trouble }));
    }
}

fn cut_twice(plan: &mut Plan, seed: u64, random: &mut Random) {
    if random.chance(800) {
        quiet(plan);
    }
    plan.inputs = plan.inputs.max(2);
    if plan.lives.len() < 2 {
        let device = format!("virtual:xrun={}+{}", (1_u64 << 39) + 9, 1 + (seed & 0xff_ffff));
        plan.lives.push(Life { device, ..plan.lives[0].clone() });
    }
    plan.lives[0].ending = Ending::Killed(Kill::At(ms(random.between(1_500, 6_000))));
    plan.lives[1].ending = Ending::PowerCut(Kill::AfterRecovery(random.between(1, 40)));
}

fn elsewhere(plan: &mut Plan, random: &mut Random) {
    let without_memory = random.chance(500);
    if without_memory || random.chance(500) {
        quiet(plan);
    }
    plan.lives[0].ending = Ending::Killed(Kill::At(ms(random.between(1_500, 6_000))));
    plan.elsewhere = Some(without_memory);
}
