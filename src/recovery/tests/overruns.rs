//! Takes that had no window for some frames before the program was killed. Thread: test.

use super::*;
use crate::window::overrun_places::{OverrunPlace, TakeMark};
use crate::window::progress_page::PAGE_AT;

const FRAMES: u64 = 3 * WINDOW + 77;

/// Words of the page from which on the places of overruns lie.
const PLACES: u64 = 394;

fn place(at: u64, frames: u64) -> OverrunPlace {
    OverrunPlace { at: FramePos(at), frames: Frames(frames) }
}

/// Two takes that were cut off. The progress page has these overruns, each with the index of its take, and their sum.
fn scene(overruns: &[(usize, OverrunPlace)]) -> Scene {
    let scene = Scene::new(&TWO, FRAMES);
    let file = OpenOptions::new().read(true).write(true).open(scene.progress_page()).unwrap();
    let page = ProgressPage::new(&file, Populate::Advise, &LockBudget::new(0)).unwrap();
    for (take, place) in overruns {
        page.overrun(place.frames);
        page.note_overrun(TakeMark::of(scene.plans[*take].identity), *place, None);
    }
    scene
}

/// The losses of each take: first frame, number of frames, cause.
fn losses(session: &Session) -> Vec<Vec<(u64, u64, &str)>> {
    fn of(take: &Take) -> Vec<(u64, u64, &str)> {
        take.losses.iter().map(|loss| (loss.at.0, loss.frames.0, loss.cause.as_str())).collect()
    }
    session.takes().iter().map(of).collect()
}

/// The page had the sum of these frames only. So the silence was in a take, and no loss said where.
#[test]
fn frames_without_a_window_before_a_kill_are_listed_where_they_were() {
    let scene = scene(&[(0, place(2 * WINDOW, 1_103)), (1, place(10, 20)), (0, place(FRAMES - 7, 64))]);
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    let first = vec![(2 * WINDOW, 1_103, "overrun"), (FRAMES - 7, 7, "overrun")];
    assert_eq!(losses(&session), [first, vec![(10, 20, "overrun")]], "a block that was not finished is no loss");
    assert_eq!(report.passes[0].overrun, Frames(1_103 + 20 + 64));
}

#[test]
fn an_overrun_that_the_session_lists_already_is_listed_once() {
    let scene = scene(&[(0, place(2 * WINDOW, 1_103))]);
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let id = session.takes()[0].id;
    session.list_loss(id, FramePos(2 * WINDOW), Frames(1_000), "overrun").unwrap();
    store.save(&session).unwrap();
    drop(store);
    let (_, session) = scene.recover();
    let found = vec![(2 * WINDOW, 1_103, "overrun")];
    assert_eq!(losses(&session), [found, vec![]]);
}

#[test]
fn a_damaged_entry_lists_nothing_and_the_sum_is_still_said() {
    for bit in [0, 20, 47, 50, 63, 64, 80, 103, 110, 127] {
        let scene = scene(&[(0, place(2 * WINDOW, 1_103))]);
        let file = OpenOptions::new().read(true).write(true).open(scene.progress_page()).unwrap();
        let (at, mut byte) = (PAGE_AT + PLACES * 8 + bit / 8, [0]);
        file.read_exact_at(&mut byte, at).unwrap();
        byte[0] ^= 1 << (bit % 8);
        file.write_all_at(&byte, at).unwrap();
        let (report, session) = scene.recover();
        assert_eq!(losses(&session), [vec![], vec![]], "bit {bit}");
        let text = report.passes[0].to_string();
        assert!(text.contains("1103 frames for which no memory was ready are silence"), "{text}");
    }
}

#[test]
fn an_entry_that_is_longer_than_all_overruns_together_lists_nothing() {
    let scene = scene(&[(0, place(10, 20))]);
    let file = OpenOptions::new().read(true).write(true).open(scene.progress_page()).unwrap();
    let page = ProgressPage::new(&file, Populate::Advise, &LockBudget::new(0)).unwrap();
    page.note_overrun(TakeMark::of(scene.plans[0].identity), place(WINDOW, 21), None);
    let (_, session) = scene.recover();
    assert_eq!(losses(&session), [vec![(10, 20, "overrun")], vec![]]);
}

#[test]
fn the_page_of_an_earlier_program_lists_no_overrun() {
    let scene = scene(&[(0, place(2 * WINDOW, 1_103))]);
    let file = OpenOptions::new().write(true).open(scene.progress_page()).unwrap();
    file.write_all_at(&[0; 119 * 8], PAGE_AT + (PLACES - 1) * 8).unwrap();
    let (report, session) = scene.recover();
    assert_eq!((losses(&session), report.passes[0].overrun), (vec![vec![], vec![]], Frames(1_103)));
}
