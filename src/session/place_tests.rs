//! Takes that were recorded while something played: their place, their continuations, their files. Thread: tests.

use super::tests::{empty_session, recorded, recording};
use super::*;

#[test]
fn the_sound_of_an_overdub_is_placed_earlier_and_cut_at_the_beginning_of_the_timeline() {
    let mut session = empty_session();
    let track = session.add_track("Voice", &[0]).unwrap();
    let place = |start: u64, take_start: u64, length: u64| TakePlace {
        start: FramePos(start),
        take_start: FramePos(take_start),
        length: Frames(length),
    };
    for (start, latency, wanted) in [
        (1_000, 0, place(1_000, 0, 500)),
        (1_000, 300, place(700, 0, 500)),
        (100, 300, place(0, 200, 300)),
        (0, 900, place(0, 900, 0)),
    ] {
        let take = recorded(&mut session, track, FramePos(start), Frames(500));
        session.set_take_latency(take, Frames(latency)).unwrap();
        assert_eq!(session.take(take).unwrap().place(), wanted);
        let placed = session.place_take(track, take);
        assert_eq!(placed.is_ok(), wanted.length > Frames(0), "{wanted:?}");
        let Ok(placed) = placed else { continue };
        let (_, region) = session.region(placed).unwrap();
        assert_eq!((region.start, region.take_start, region.length), (wanted.start, wanted.take_start, wanted.length));
        // A part of it, as a punch or a choice in the grid of takes places it.
        let chosen = session.choose_take(track, take, wanted.start + Frames(50), FramePos(u64::MAX)).unwrap();
        let (_, region) = session.region(chosen).unwrap();
        assert_eq!((region.take_start, region.end()), (wanted.take_start + Frames(50), wanted.end()));
    }
}

#[test]
fn a_continuation_of_an_overdub_follows_it_without_a_gap() {
    let mut session = empty_session();
    let track = session.add_track("Voice", &[0]).unwrap();
    for (start, latency) in [(5_000, 768), (500, 768), (0, 768)] {
        let first = recording(&mut session, track, FramePos(start));
        session.set_take_latency(first, Frames(latency)).unwrap();
        let mut names = session.taken_names();
        let next = session.add_continuation(first, Uuid::new_v4(), Frames(1_000), None, &mut names).unwrap();
        session.finish_take(first, Frames(1_000), TakeState::Complete, None).unwrap();
        session.finish_take(next, Frames(400), TakeState::Complete, None).unwrap();
        let place = |id| session.take(id).unwrap().place();
        assert_eq!((place(first).end(), place(next).length), (place(next).start, Frames(400)), "{start}");
        assert_eq!(place(next).start, FramePos(start + 1_000 - latency));
    }
}

#[test]
fn a_take_of_an_earlier_program_has_no_latency_and_an_impossible_one_is_refused() {
    let mut session = empty_session();
    let track = session.add_track("Voice", &[0]).unwrap();
    let take = recorded(&mut session, track, FramePos(0), Frames(500));
    let text = |session: &Session| serde_json::to_string(session).unwrap();
    assert!(!text(&session).contains("latency"));
    assert_eq!(serde_json::from_str::<Session>(&text(&session)).unwrap().take(take).unwrap().latency, Frames(0));
    session.set_take_latency(take, Frames(u64::MAX)).unwrap();
    assert!(session.validate().is_ok());
    let beyond = text(&session).replace(&LATENCY_MAX.to_string(), &(LATENCY_MAX + 1).to_string());
    let read: Session = serde_json::from_str(&beyond).unwrap();
    assert!(read.validate().is_err_and(|reason| reason.contains("latency")));
}
