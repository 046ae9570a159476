//! The plan of a run: what the seed decides before the run begins. Thread: the one of the run.

use crate::additions;
use crate::disk::{Fault, NAMES, Name, Trouble};
use crate::kinds;
use crate::nature::{Act, Deed};
use crate::random::Random;
use crate::world::Kill;
use faultless::format::TakeFormat;
use nix::libc;
use std::str::FromStr;
use std::time::Duration;

/// Frames per second of every simulated card: the lowest that the program takes.
pub(crate) const RATE: u64 = 8_000;

/// Which faults a run may have. Each test of the simulator allows its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a kind of fault")]
pub(crate) struct Allowed {
    pub(crate) kills: bool,
    pub(crate) power_cuts: bool,
    pub(crate) disks: bool,
    pub(crate) devices: bool,
    pub(crate) edits: bool,
    pub(crate) foreign: bool,
}

impl Allowed {
    pub(crate) const NOTHING: Allowed =
        Allowed { kills: false, power_cuts: false, disks: false, devices: false, edits: false, foreign: false };
    pub(crate) const ALL: Allowed =
        Allowed { kills: true, power_cuts: true, disks: true, devices: true, edits: true, foreign: true };
}

/// How a life of the program is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The user closes the program.
    Close,
    Killed(Kill),
    /// Killed, and the machine loses its power in the same moment.
    PowerCut(Kill),
}

/// One life of the program: from its start to its end.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of the user")]
pub(crate) struct Life {
    pub(crate) time: Duration,
    pub(crate) ending: Ending,
    pub(crate) device: String,
    pub(crate) mirror: bool,
    pub(crate) overflow: bool,
    pub(crate) playback: bool,
    /// Per mille of the user's looks at which something is done.
    pub(crate) activity: u64,
    /// Whether the user records to the end and does nothing else.
    pub(crate) only_records: bool,
    /// Time until the program is started again.
    pub(crate) pause: Duration,
    /// For the edits of kinds that the simulator has not drawn from its beginning on.
    pub(crate) later: Option<Random>,
    /// For what a hasty user does while a pass is prepared or finished.
    pub(crate) hasty: Option<Random>,
    /// The change of the device within the life.
    pub(crate) change: Option<DeviceChange>,
    /// Faults of the disks beside those of the plan. Their times begin with the life.
    pub(crate) faults: Vec<(Name, Fault)>,
}

/// The user chooses another device: the session is closed, and opened with that device.
#[derive(Clone, Debug)]
pub(crate) struct DeviceChange {
    /// The time from the start of the life on.
    pub(crate) after: Duration,
    pub(crate) device: String,
}

impl Life {
    /// Whether the device numbers its frames by the clock from the start of the audio thread on, without any trouble.
    pub(crate) fn is_steady(&self) -> bool {
        let troubles = ["unplug", "suspend", "pull", "slow", "playback-xrun", "busy", "returns"];
        !troubles.iter().any(|trouble| self.device.contains(trouble)) && self.device.matches("xrun").count() == 1
    }

    /// The numbers of inputs that the devices have after they were unplugged, if these are other ones.
    pub(crate) fn inputs_returned(&self) -> impl Iterator<Item = usize> {
        let devices = std::iter::once(&self.device).chain(self.change.iter().map(|change| &change.device));
        devices.filter_map(|device| option(device, "returns"))
    }

    /// Parts per million by which the clock of the device is faster than the one of the machine.
    pub(crate) fn drift_ppm(&self) -> i64 {
        option(&self.device, "drift").unwrap_or(0)
    }
}

/// The number that a device has for an option.
fn option<T: FromStr>(device: &str, name: &str) -> Option<T> {
    device.split(',').find_map(|option| option.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// The plan of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) allowed: Allowed,
    pub(crate) inputs: usize,
    pub(crate) period: usize,
    pub(crate) format: TakeFormat,
    pub(crate) o_direct: bool,
    pub(crate) reserve: bool,
    /// Whether the disks get the writes and the syncs of several takes at once.
    pub(crate) io_uring: bool,
    pub(crate) lock_bytes: u64,
    pub(crate) spool_bytes: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) lives: Vec<Life>,
    pub(crate) faults: Vec<(Name, Fault)>,
    /// What other programs do, the last one first.
    pub(crate) deeds: Vec<Deed>,
    pub(crate) stall_chance: u64,
    pub(crate) stall_max: Duration,
    /// For the new names that tracks and files get. `None`: they keep theirs.
    pub(crate) names: Option<Random>,
    /// When another program begins to wait for a write of sound, to replace the file just before it.
    pub(crate) ambushes: Vec<Duration>,
    /// After each kill, somebody who cannot see the memory recovers the session. `true`: and asks to do without it.
    pub(crate) elsewhere: Option<bool>,
    /// Bytes of the largest file of a take.
    pub(crate) file_bytes_max: u64,
}

/// Kinds of runs. Most kinds are alike. The number of a run decides, so that the other runs of earlier programs stay the same.
pub(crate) const KINDS: u64 = 16;

/// The kind of runs whose disks cannot be read for some time.
const UNREADABLE: u64 = 4;

/// The kind of runs in which other programs remove, replace and cut files also while there are other faults.
const REPLACED: u64 = 15;

/// The kind of runs in which a device may be away for ten seconds, and calls to disks fail by chance.
const AWAY: u64 = 7;

/// Bytes of a disk that no run fills.
pub(crate) const LARGE_DISK: u64 = 256 << 20;

/// The moment at which every run begins.
pub(crate) const BEGIN: Duration = Duration::from_secs(1000);

impl Plan {
    pub(crate) fn new(random: &mut Random, seed: u64, allowed: Allowed) -> Plan {
        let life_count = if allowed.kills || allowed.power_cuts { random.between(1, 4) } else { 1 };
        let mut lives = Vec::new();
        for number in 0..life_count {
            lives.push(life(random, seed, number, allowed));
        }
        let whole: Duration = lives.iter().map(|life| life.time + life.pause).sum();
        let mut faults = if allowed.disks { faults(random, whole) } else { Vec::new() };
        if allowed.disks && seed % KINDS == UNREADABLE {
            faults.extend(unreadable(&mut Random::new(!seed), &lives));
        }
        if allowed.disks && seed % KINDS == AWAY {
            faults.extend(flaky(&mut Random::new(!seed), whole));
        }
        let disk_bytes = *random.pick(&[4 << 20, 16 << 20, LARGE_DISK]);
        let mut deeds = Vec::new();
        if allowed.foreign && random.chance(300) {
            for _ in 0..random.between(1, 4) {
                let at = BEGIN + Duration::from_micros(random.below(whole.as_micros() as u64));
                deeds.push(Deed::new(random, at));
            }
        }
        // A file that another program removes or replaces is put back by the next sync. Sound that was in it only is gone
        // if the program or the power ends before, or if its disk is full. Some runs have this too: it must be said.
        let is_harmful =
            lives.iter().any(|life| life.ending != Ending::Close) || !faults.is_empty() || disk_bytes < LARGE_DISK;
        if is_harmful && seed % KINDS != REPLACED {
            deeds.retain(|deed| deed.act == Act::TakesName);
        }
        if seed % KINDS == REPLACED {
            // A simulated file does not know when it was made, and without memory nothing else tells a copy.
            if lives.iter().any(|life| matches!(life.ending, Ending::PowerCut(_))) {
                deeds.retain(|deed| deed.act != Act::Replaces);
            }
            deeds.iter_mut().filter(|deed| deed.number.is_multiple_of(3)).for_each(|deed| deed.act = Act::Cuts);
        }
        deeds.sort_by_key(|deed| std::cmp::Reverse(deed.at));
        let is_busy = allowed.devices && random.chance(200);
        // No number of the run is used for it, and half of the runs of earlier programs stay the same.
        let mut names = (allowed.edits && !seed.is_multiple_of(2)).then(|| Random::new(!seed));
        if let Some(names) = &mut names {
            for life in &mut lives {
                if let Ending::Killed(kill) | Ending::PowerCut(kill) = &mut life.ending
                    && names.chance(400)
                {
                    *kill = Kill::AfterNaming(names.between(1, 80));
                }
            }
        }
        let mut plan = Plan {
            allowed,
            inputs: random.between(1, 4) as usize,
            period: *random.pick(&[64, 128, 256, 512]),
            format: *random.pick(&[TakeFormat::S24, TakeFormat::S24, TakeFormat::F32, TakeFormat::S16]),
            o_direct: random.chance(800),
            reserve: random.chance(850),
            // No number of the run is used for it, so that the other plans of earlier programs stay the same.
            io_uring: !seed.is_multiple_of(4),
            lock_bytes: *random.pick(&[256 << 10, 512 << 10, 1 << 20, 8 << 20]),
            spool_bytes: *random.pick(&[512 << 10, 1 << 20, 2 << 20, 64 << 20]),
            disk_bytes,
            lives,
            faults,
            deeds,
            stall_chance: if is_busy { 5 } else { 0 },
            stall_max: Duration::from_millis(600),
            names,
            ambushes: Vec::new(),
            elsewhere: None,
            file_bytes_max: u64::MAX,
        };
        kinds::lead(&mut plan, seed);
        additions::add(&mut plan, seed);
        plan
    }
}

impl Plan {
    /// Whether no disk, no other program and no busy machine disturbs the run.
    pub(crate) fn is_quiet(&self) -> bool {
        self.faults.is_empty()
            && self.deeds.is_empty()
            && self.ambushes.is_empty()
            && self.disk_bytes == LARGE_DISK
            && self.file_bytes_max == u64::MAX
            && self.stall_chance == 0
            && self.elsewhere != Some(true)
            && self.lives.iter().all(|life| life.faults.is_empty() && life.inputs_returned().next().is_none())
    }

    /// Whether another program removes, replaces or cuts files.
    pub(crate) fn has_harm(&self) -> bool {
        !self.ambushes.is_empty() || self.deeds.iter().any(|deed| deed.act != Act::TakesName)
    }
}

fn life(random: &mut Random, seed: u64, number: u64, allowed: Allowed) -> Life {
    let time = Duration::from_millis(random.between(800, 7_000));
    let moment = |random: &mut Random| {
        if random.chance(500) {
            // Relative to the start of the life; the runner adds it.
            Kill::At(Duration::from_micros(random.below(time.as_micros() as u64)))
        } else {
            Kill::AtCall(random.between(1, 400))
        }
    };
    let ending = match random.below(10) {
        0..4 if allowed.kills => Ending::Killed(moment(random)),
        4..6 if allowed.power_cuts => Ending::PowerCut(moment(random)),
        _ => Ending::Close,
    };
    // No number of the run is used for it, so that the seeds of earlier programs are the same runs.
    let (output, input) = [(0, 0), (128, 0), (512, 256), (3_072, 974)][((seed + number) % 4) as usize];
    Life {
        time,
        ending,
        device: format!("{},latency={output}+{input}", device(random, seed, number, time, allowed)),
        mirror: random.chance(400),
        overflow: random.chance(400),
        playback: random.chance(300),
        activity: *random.pick(&[5, 20, 60]),
        only_records: false,
        pause: Duration::from_millis(random.between(10, 3_000)),
        later: None,
        hasty: None,
        change: None,
        faults: Vec::new(),
    }
}

/// The name of the device, with the faults that it plays out.
pub(crate) fn device(random: &mut Random, seed: u64, number: u64, time: Duration, allowed: Allowed) -> String {
    let frames = time.as_millis() as u64 * RATE / 1000;
    // A device that can be unplugged keeps its state by its name, so each life has a name of its own. The fault itself
    // is too far away to happen.
    let mut options = vec![format!("xrun={}+{}", (1_u64 << 39) + number, 1 + (seed & 0xff_ffff))];
    if !allowed.devices {
        return format!("virtual:{}", options.join(","));
    }
    for _ in 0..random.below(4) {
        let at = random.below(frames);
        let few = random.between(1, 700);
        let many = random.between(1, 20_000) * if seed % KINDS == AWAY { 4 } else { 1 };
        options.push(match random.below(6) {
            0 => format!("xrun={at}+{few}"),
            1 => format!("playback-xrun={at}"),
            2 => format!("unplug={at}+{many}"),
            3 => format!("suspend={at}+{many}"),
            4 => format!("slow={at}+{}", random.between(1, 500_000)),
            _ => format!("pull={at}+{many}"),
        });
    }
    if random.chance(150) {
        options.push(format!("returns={}", random.between(1, 5)));
    }
    if random.chance(100) {
        options.push(format!("busy={}", random.between(1, 4)));
    }
    if random.chance(100) {
        options.push(format!("returns-period={}", random.pick(&[64, 192, 1024])));
    }
    format!("virtual:{}", options.join(","))
}

/// Disks that cannot be read. Most of these faults lie at the start of a life, when what was cut off is recovered.
fn unreadable(random: &mut Random, lives: &[Life]) -> Vec<(Name, Fault)> {
    let mut begin = BEGIN;
    let mut faults = Vec::new();
    for life in lives {
        if random.chance(500) {
            let after = if random.chance(700) { 0 } else { random.below(life.time.as_micros() as u64) };
            let from = begin.saturating_sub(Duration::from_millis(5)) + Duration::from_micros(after);
            let time = Duration::from_millis(*random.pick(&[6, 50, 500, 5_000]));
            let trouble = *random.pick(&[Trouble::Unreadable(1), Trouble::Unreadable(2), Trouble::Unreadable(3)]);
            faults.push((*random.pick(&NAMES), Fault { from, to: from + time, trouble }));
        }
        begin += life.time + life.pause;
    }
    faults
}

/// A disk that takes some of the sound and refuses the rest.
fn flaky(random: &mut Random, whole: Duration) -> Option<(Name, Fault)> {
    let from = BEGIN + Duration::from_micros(random.below(whole.as_micros() as u64));
    let time = Duration::from_millis(random.between(500, 8_000));
    let trouble = Trouble::Flaky(*random.pick(&[libc::EIO, libc::ENOSPC]));
    let name = *random.pick(&[Name::Session, Name::Session, Name::Mirror, Name::Overflow]);
    random.chance(600).then_some((name, Fault { from, to: from + time, trouble }))
}

fn faults(random: &mut Random, whole: Duration) -> Vec<(Name, Fault)> {
    let mut faults = Vec::new();
    for name in NAMES {
        let count = random.below(3);
        for _ in 0..count {
            let from = BEGIN + Duration::from_micros(random.below(whole.as_micros() as u64));
            let time = Duration::from_millis(random.between(50, 5_000));
            let trouble = match random.below(7) {
                0 | 1 => Trouble::Slow(Duration::from_millis(random.between(1, 400))),
                2 => Trouble::Stands,
                3 | 4 => Trouble::Full(random.pick(&[0, 4096, 40_960, 200_000]).to_owned()),
                5 => Trouble::FailsOnce(*random.pick(&[libc::EIO, libc::ENOSPC])),
                _ => Trouble::Fails(*random.pick(&[libc::EIO, libc::EROFS])),
            };
            faults.push((name, Fault { from, to: from + time, trouble }));
        }
    }
    faults
}
