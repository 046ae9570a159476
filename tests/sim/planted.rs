//! Defects that are planted on purpose, so that a green simulator means something: the oracle must find each of them.
//! Thread: test.

use crate::disk::Planted;
use crate::plan::Allowed;
use crate::run::{Options, run};
use crate::seeds::Base;
use crate::world::watch_panics;
use crate::wrong_fact::WrongFact;

/// The seeds in which a defect is planted.
const SEEDS: u64 = 12;

/// The seeds in which a failure is hidden: few of them have a batch that fails in part.
const SEEDS_WITH_FAILURES: u64 = 60;

/// The seeds in which a loss is not told: few of them have a pass that is cut off after a loss.
const SEEDS_WITH_LOSSES: u64 = 60;

/// Runs a few seeds with and without the defect. Returns what the oracle said about those with it.
fn offences_with(planted: Planted, allowed: Allowed) -> Vec<String> {
    offences_of(SEEDS, planted, allowed)
}

fn offences_of(seeds: u64, planted: Planted, allowed: Allowed) -> Vec<String> {
    watch_panics();
    let base = Base::new();
    let mut offences = Vec::new();
    for seed in 0..seeds {
        let options = Options { allowed, planted: None, prints: false, lead: None };
        let clean = run(seed, base.path(), options);
        assert!(clean.offences.is_empty(), "seed {seed} without the defect: {:?}", clean.offences);
        offences.extend(run(seed, base.path(), Options { planted: Some(planted), ..options }).offences);
    }
    offences
}

fn assert_found(offences: &[String], word: &str) {
    assert!(offences.iter().any(|offence| offence.contains(word)), "{offences:?}");
}

pub(crate) fn skipped_write() {
    let offences = offences_with(Planted::SkippedWrite(3), Allowed::NOTHING);
    assert_found(&offences, "are silence that no loss covers");
}

pub(crate) fn wrong_offset() {
    let offences = offences_with(Planted::WrongOffset(3), Allowed::NOTHING);
    assert_found(&offences, "frames off");
}

pub(crate) fn idle_sync() {
    let allowed = Allowed { power_cuts: true, ..Allowed::NOTHING };
    let offences = offences_with(Planted::IdleSync(1), allowed);
    assert!(!offences.is_empty());
}

pub(crate) fn hidden_failure() {
    let allowed = Allowed { disks: true, ..Allowed::NOTHING };
    let offences = offences_of(SEEDS_WITH_FAILURES, Planted::HiddenFailure, allowed);
    assert_found(&offences, "are silence that no loss covers");
}

pub(crate) fn unlisted_file() {
    let offences = offences_with(Planted::UnlistedFile, Allowed::NOTHING);
    assert_found(&offences, "the session does not list it");
}

pub(crate) fn wrong_facts() {
    let found = |fact, allowed, word| assert_found(&offences_with(Planted::WrongFact(fact), allowed), word);
    let devices = Allowed { devices: true, ..Allowed::NOTHING };
    let kills = Allowed { kills: true, ..Allowed::NOTHING };
    found(WrongFact::NoTracks, Allowed::NOTHING, "its track is not there");
    found(WrongFact::ShortTake, Allowed::NOTHING, "another take of the pass");
    found(WrongFact::NoLosses, devices, "are silence that no loss covers");
    found(WrongFact::SmallReport, devices, "frames are silence, its report says 0");
    found(WrongFact::LongReport, Allowed::NOTHING, "its report says");
    found(WrongFact::LateBegin, Allowed::NOTHING, "by the clock with");
    found(WrongFact::MoreStored, kills, "frames are left of at least");
}

pub(crate) fn other_mirror() {
    let offences = offences_with(Planted::WrongFact(WrongFact::OtherMirror), Allowed::NOTHING);
    assert_found(&offences, "it was called whole and differs");
}

pub(crate) fn other_file() {
    let offences = offences_with(Planted::OtherFile, Allowed::NOTHING);
    assert_found(&offences, "session.json differs from the session in memory");
}

pub(crate) fn cut_off_again() {
    let offences = offences_with(Planted::CutOffAgain, Allowed::NOTHING);
    for word in ["recovers", "changes", "removes"] {
        assert_found(&offences, &format!("a second recovery {word}"));
    }
}

pub(crate) fn edit_changes_take() {
    let offences = offences_with(Planted::EditChangesTake, Allowed { edits: true, ..Allowed::NOTHING });
    assert_found(&offences, "it changed the takes");
}

pub(crate) fn untold() {
    let allowed = Allowed { kills: true, devices: true, ..Allowed::NOTHING };
    let offences = offences_of(SEEDS_WITH_LOSSES, Planted::WrongFact(WrongFact::Untold), allowed);
    assert_found(&offences, "frames of silence, and nothing told that");
}
