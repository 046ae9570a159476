//! Faults that the simulator has learned later: a disk that does not say how much room it has, calls that only ask and fail, a
//! card whose clock drifts, another device within a life, more kinds of edits, a disk that makes no folder durable, a user who
//! edits while a pass is prepared or finished, outputs that run dry in many periods, files that are cut in the middle. Thread: the one of the run.
//!
//! They are drawn from a stream of their own, after everything else of the plan. So the plan of an earlier seed is what it was,
//! and some seeds have such a fault beside it. The seeds in the first part of `seeds.txt` get none: each of them is the run that
//! once failed, to the last call. A further addition needs a further part of `seeds.txt`.

use crate::disk::{Fault, Name, Trouble};
use crate::nature::{Act, Deed};
use crate::plan::{BEGIN, DeviceChange, Ending, Plan, RATE, device};
use crate::random::Random;
use crate::seeds;
use crate::world::Kill;
use nix::libc;
use std::time::Duration;

/// Makes the stream of the additions another one than that of the plan.
const ADDITIONS: u64 = 0x0ADD_1710_0000_0000;

/// The same for the folders that cannot be made durable.
const FOLDER_SYNCS: u64 = 0x0ADD_1711_0000_0000;

/// The same for the outputs that run dry in many periods.
const DRY_OUTPUTS: u64 = 0x0ADD_1712_0000_0000;

/// The same for the hasty users.
const HASTE: u64 = 0x0ADD_1713_0000_0000;

/// The same for the files that are cut.
const CUTS: u64 = 0x0ADD_1714_0000_0000;

/// Calls that change nothing, by the names of [`crate::fault::Op::name`].
const ASKS: [&str; 4] = ["open", "list", "stat", "lock"];

/// Adds to the plan of a seed.
pub(crate) fn add(plan: &mut Plan, seed: u64) {
    if seeds::is_without_additions(seed) {
        return;
    }
    let random = &mut Random::new(seed ^ ADDITIONS);
    let (mut for_edits, mut for_devices, mut for_disks) = (random.part(), random.part(), random.part());
    if plan.allowed.edits {
        plan.lives.iter_mut().for_each(|life| life.later = Some(for_edits.part()));
    }
    if plan.allowed.devices {
        add_to_devices(plan, seed, &mut for_devices);
    }
    let has_all = !seeds::is_without_haste(seed);
    if plan.allowed.foreign && !seeds::is_without_cuts_inside(seed) {
        add_cuts(plan, &mut Random::new(seed ^ CUTS));
    }
    if plan.allowed.edits && has_all {
        add_haste(plan, &mut Random::new(seed ^ HASTE));
    }
    if plan.allowed.devices && has_all {
        add_dry_outputs(plan, &mut Random::new(seed ^ DRY_OUTPUTS));
    }
    // After a recovery by somebody else the oracle looks at the disks as the program finds them.
    if plan.allowed.disks && plan.elsewhere.is_none() {
        add_to_disks(plan, &mut for_disks);
        if !seeds::is_without_folder_syncs(seed) {
            add_folder_syncs(plan, &mut Random::new(seed ^ FOLDER_SYNCS));
        }
    }
}

/// Another program cuts files that are recorded.
fn add_cuts(plan: &mut Plan, random: &mut Random) {
    // These acts were chosen by their remainder, and a cut chooses its place by it.
    plan.deeds.iter_mut().filter(|deed| deed.act == Act::Cuts).for_each(|deed| deed.number /= 3);
    if random.chance(40) {
        let whole: Duration = plan.lives.iter().map(|life| life.time).sum();
        for _ in 0..random.between(1, 4) {
            let at = BEGIN + Duration::from_micros(random.below(whole.as_micros() as u64));
            plan.deeds.push(Deed { act: Act::Cuts, ..Deed::new(random, at) });
        }
        plan.deeds.sort_by_key(|deed| std::cmp::Reverse(deed.at));
    }
}

/// A hasty user edits while a pass is prepared or finished. A slow disk makes that time longer.
fn add_haste(plan: &mut Plan, random: &mut Random) {
    for life in &mut plan.lives {
        life.hasty = Some(random.part()).filter(|_| random.chance(150));
        if life.hasty.is_some() && random.chance(400) {
            let pause = Duration::from_millis(random.between(20, 250));
            let fault = Fault { from: Duration::ZERO, to: life.time, trouble: Trouble::Slow(pause) };
            life.faults.push((Name::Session, fault));
        }
    }
}

/// The outputs run dry in more periods than the audio thread has places for losses, and then the inputs lose frames. In half of
/// the runs a kill comes soon after that.
fn add_dry_outputs(plan: &mut Plan, random: &mut Random) {
    if !random.chance(80) {
        return;
    }
    let number = random.below(plan.lives.len() as u64) as usize;
    let (period, life) = (plan.period as u64, &mut plan.lives[number]);
    let count = random.between(66, 131);
    let from = random.between(RATE / 4, RATE);
    let lost = from + count * period + random.below(RATE / 2);
    if life.time.as_millis() as u64 * RATE / 1000 < lost {
        return;
    }
    for at in 0..count {
        life.device.push_str(&format!(",playback-xrun={}", from + at * period));
    }
    life.device.push_str(&format!(",xrun={lost}+{}", random.between(100, 5_001)));
    if plan.allowed.kills && random.chance(500) {
        let at = Duration::from_millis(lost * 1000 / RATE + random.below(1_500));
        life.ending = Ending::Killed(Kill::At(at));
    }
}

/// A disk makes no folder durable for a moment, and in half of the runs the power goes soon afterwards.
fn add_folder_syncs(plan: &mut Plan, random: &mut Random) {
    if !random.chance(80) {
        return;
    }
    // A simulated file does not know when it was made: after a power cut nothing tells a copy of another program.
    let may_cut = plan.allowed.power_cuts && !plan.has_harm();
    let number = random.below(plan.lives.len() as u64) as usize;
    let life = &mut plan.lives[number];
    let whole = life.time.as_micros() as u64;
    // Half of the time when the session is opened and the files of the first pass are made.
    let end = if random.chance(500) { 300_000 } else { whole };
    let from = Duration::from_micros(random.below(end));
    let to = from + Duration::from_millis(random.between(100, 1_000));
    let name = *random.pick(&[Name::Session, Name::Session, Name::Mirror, Name::Overflow]);
    life.faults.push((name, Fault { from, to, trouble: Trouble::FolderSyncs(libc::EIO) }));
    if may_cut && random.chance(500) {
        life.ending = Ending::PowerCut(Kill::At(to + Duration::from_millis(random.below(2_500))));
    }
}

fn add_to_devices(plan: &mut Plan, seed: u64, random: &mut Random) {
    let ppm = random.chance(200).then(|| *random.pick(&[-300, -100, -20, 20, 100, 300]));
    let allowed = plan.allowed;
    for (number, life) in (100..).zip(&mut plan.lives) {
        let millis = life.time.as_millis() as u64;
        if random.chance(120) && 1_000 < millis {
            let after = Duration::from_millis(random.between(500, millis - 200));
            let device = device(random, seed, number, life.time.saturating_sub(after), allowed);
            life.change = Some(DeviceChange { after, device: format!("{device},latency=128+64") });
        }
        if let Some(ppm) = ppm {
            let devices =
                std::iter::once(&mut life.device).chain(life.change.iter_mut().map(|change| &mut change.device));
            devices.for_each(|device| device.push_str(&format!(",drift={ppm}")));
        }
    }
}

fn add_to_disks(plan: &mut Plan, random: &mut Random) {
    if !random.chance(250) {
        return;
    }
    for _ in 0..random.between(1, 4) {
        let number = random.below(plan.lives.len() as u64) as usize;
        let life = &mut plan.lives[number];
        let from = match random.below(3) {
            // When the session is opened and what was cut off is recovered.
            0 => Duration::ZERO,
            // When mirror and overflow folder are opened and the files of the first pass are made.
            1 => Duration::from_micros(random.below(200_000)),
            _ => Duration::from_micros(random.below(life.time.as_micros() as u64)),
        };
        let to = from + Duration::from_millis(*random.pick(&[6, 50, 500, 5_000]));
        let name = *random.pick(&[Name::Session, Name::Session, Name::Mirror, Name::Overflow]);
        let mut add = |trouble| life.faults.push((name, Fault { from, to, trouble }));
        match random.below(7) {
            0 => add(Trouble::RoomUnknown),
            1 => add(Trouble::RoomSlow(Duration::from_millis(random.between(10, 3_000)))),
            2 => add(Trouble::SaysFull),
            3 => ASKS.iter().for_each(|name| add(Trouble::AskFails(name))),
            _ => {
                let name = *random.pick(&ASKS);
                add(Trouble::AskFails(name));
            }
        }
    }
}
