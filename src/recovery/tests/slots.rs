//! Spools with slots and a damaged index, and spools of an earlier program without slots. Thread: test.

use super::*;
use crate::butler::spool::{SPOOL_VERSION_FLAT, identity_of};
use crate::recovery::evidence::FoundSpool;
use crate::spool_index::{Shape, WORDS_AT};

impl Scene {
    /// The same as an earlier program made it: the layout of the WAV file, byte for byte.
    fn write_flat_spool(&self, index: usize, first: u64, frames: u64) {
        let mut identity = identity_of(&self.plans[index], pass_of(&self.plans));
        identity.faultless_spool = SPOOL_VERSION_FLAT;
        let mut page = serde_json::to_vec(&identity).unwrap();
        page.push(b'\n');
        fs::remove_file(self.spool(index)).ok();
        let file = File::create_new(self.spool(index)).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
        file.set_len(1 << 42).unwrap();
        file.write_all_at(&page, 0).unwrap();
        let (from, end) = (first * WINDOW, (frames / WINDOW + 2) * WINDOW);
        file.write_all_at(&vec![0; ((end - from) * BYTES) as usize], at(from)).unwrap();
        file.write_all_at(&sound(index, from..frames.max(from)), at(from)).unwrap();
    }

    /// Changes a word of the index of a spool: that of the `number`th slot in use.
    fn damage_word(&self, index: usize, number: usize, change: impl Fn(u64) -> u64) {
        let file = OpenOptions::new().read(true).write(true).open(self.spool(index)).unwrap();
        let word_at = |slot: u64| WORDS_AT + 8 * slot;
        let mut word = [0; 8];
        let mut used = (0..=40).rev().filter(|slot| {
            file.read_exact_at(&mut word, word_at(*slot)).unwrap();
            word != [0; 8]
        });
        let slot = used.nth(number).unwrap();
        file.write_all_at(&change(u64::from_ne_bytes(word)).to_ne_bytes(), word_at(slot)).unwrap();
    }
}

#[test]
fn spools_of_an_earlier_program_are_recovered_like_those_of_this_one() {
    for frames in [0, 5000, 3 * WINDOW + 77] {
        let cuts = [Cut { committed: 0, claimed: 0 }, Cut { committed: frames / WINDOW, claimed: 0 }];
        let scene = Scene::new(&cuts, frames);
        for (index, cut) in cuts.iter().enumerate() {
            scene.write_flat_spool(index, cut.committed, frames);
        }
        let (report, session) = scene.recover();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        scene.check(&session, frames, whole);
    }
}

#[test]
fn a_damaged_word_of_an_index_costs_only_what_it_listed_and_is_reported() {
    const FRAMES: u64 = 3 * WINDOW + 100;
    type Change = fn(u64) -> u64;
    let changes: [Change; 3] = [|word| word ^ 1, |word| word ^ (1 << 63), |_| u64::MAX];
    for change in changes {
        // The first take has window 2 and the start of window 3 in memory only.
        let scene = Scene::new(&TWO, FRAMES);
        scene.damage_word(0, 0, change);
        let (report, session) = scene.recover();
        let [trouble] = &report.troubles[..] else { panic!("{:?}", report.troubles) };
        assert!(trouble.contains("1 entries of its index are damaged") && trouble.contains("kept"), "{trouble}");
        let losses: Vec<_> = session.takes()[0].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
        assert_eq!(losses, [(2 * WINDOW, WINDOW)], "the silence is listed");
        assert!(session.takes()[1].losses.is_empty());
        for (index, take) in session.takes().iter().enumerate() {
            assert_eq!((take.state, take.frames), (TakeState::Recovered, Frames(FRAMES)));
            let file = fs::read(scene.root().join(&take.file)).unwrap();
            let mut want = sound(index, 0..FRAMES);
            if index == 0 {
                want[(2 * WINDOW * BYTES) as usize..(3 * WINDOW * BYTES) as usize].fill(0);
            }
            assert!(file[at(0) as usize..].starts_with(&want));
        }
        assert!(scene.spool(0).exists() && !scene.spool(1).exists(), "the damaged one is kept");
        let (report, _) = scene.recover();
        assert!(report.passes.is_empty() && scene.spool(0).exists());
    }
}

#[test]
fn two_slots_that_claim_the_same_window_are_both_refused() {
    let scene = Scene::new(&TWO, 3 * WINDOW + 100);
    let shape = Shape::new(scene.plans[0].identity.as_u128(), (WINDOW * BYTES) as usize);
    let file = OpenOptions::new().write(true).open(scene.spool(0)).unwrap();
    let word = shape.word(5, at(2 * WINDOW), WINDOW * BYTES).unwrap();
    file.write_all_at(&word.to_ne_bytes(), shape.word_at(5)).unwrap();
    file.write_all_at(&vec![77; (WINDOW * BYTES) as usize], shape.slot_at(5)).unwrap();
    let (report, session) = scene.recover();
    assert!(report.troubles[0].contains("2 entries of its index are damaged"), "{:?}", report.troubles);
    let losses: Vec<_> = session.takes()[0].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
    assert_eq!(losses, [(2 * WINDOW, WINDOW)]);
}

#[test]
fn memory_beyond_the_end_is_not_sound() {
    let scene = Scene::new(&TWO, 3 * WINDOW + 5);
    let spool = FoundSpool::open(&scene.spool(1)).unwrap();
    assert_eq!(spool.last_sound().unwrap(), 3 * WINDOW + 5);
    assert!(3 * WINDOW + 5 < spool.memory_end().unwrap());
    let extents = spool.extents(at(2 * WINDOW)).unwrap();
    assert_eq!(extents, [(at(WINDOW), at(2 * WINDOW))]);
    assert!(spool.extents(0).unwrap().is_empty() && spool.extents(u64::MAX >> 1).unwrap().len() == 1);
}
