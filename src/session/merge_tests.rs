//! Tests of what a session takes over from a copy of it. Thread: tests.

use super::tests::{one_track_and_takes, recorded, recording};
use super::*;

#[test]
fn takes_of_a_copy_that_comes_back_late_are_adopted_though_their_identities_were_given_again() {
    let (mut own, track, _) = one_track_and_takes(&[10]);
    // The copy knows three takes more; this session was started without it and gave the same identities again.
    let mut copy = own.clone();
    let elsewhere = [recording(&mut copy, track, FramePos(0)), recording(&mut copy, track, FramePos(50))];
    let empty = recording(&mut copy, track, FramePos(50));
    for id in elsewhere {
        copy.finish_take(id, Frames(20), TakeState::Complete, None).expect("recording");
    }
    let uuids = |session: &Session| session.takes.iter().map(|take| take.uuid).collect::<Vec<_>>();
    for (at, take) in copy.takes.iter_mut().enumerate().skip(1) {
        (take.uuid, take.folder) = (Uuid::from_u128(77 + at as u128), Some("/other/session".to_owned()));
    }
    recorded(&mut own, track, FramePos(100), Frames(30));
    for name in ["since", "then"] {
        own.add_marker(FramePos(0), name).expect("room");
    }
    assert!(own.merge_newer_takes(&copy, CopyKind::Found, |_| false));
    own.validate().expect("valid");
    assert_eq!(uuids(&own).len(), 4, "all with sound");
    assert!(!uuids(&own).contains(&copy.take(empty).expect("take").uuid), "forgotten here and without a file");
    for id in elsewhere {
        let uuid = copy.take(id).expect("take").uuid;
        let take = own.takes.iter().find(|take| take.uuid == uuid).expect("adopted");
        assert!(own.track(track).expect("track").regions().iter().any(|region| region.take == take.id), "placed");
    }
    assert!(!own.merge_newer_takes(&copy, CopyKind::Found, |_| false), "a second time there is nothing");
    assert!(
        own.merge_newer_takes(&copy, CopyKind::Found, |_| true),
        "its file is there: sound of it may be in a spool"
    );
    own.validate().expect("valid");
}

/// The next opening took the take over, recovered its pass again, and withdrew the take.
#[test]
fn a_take_without_sound_that_stays_out_because_its_name_is_anothers_stays_out_at_the_next_opening_too() {
    let (mut own, track, _) = one_track_and_takes(&[]);
    let first = recording(&mut own, track, FramePos(0));
    let mut copy = own.clone();
    let mut names = copy.taken_names();
    let planned = |session: &mut Session, uuid, names: &mut _| {
        let folder = Some("/other/session".to_owned());
        session.add_continuation(first, Uuid::from_u128(uuid), Frames(10), folder, names).expect("room")
    };
    let mine = planned(&mut own, 1, &mut names.clone());
    copy.add_marker(FramePos(0), "later").expect("room");
    planned(&mut copy, 2, &mut names);
    assert!(own.merge_newer_takes(&copy, CopyKind::Found, |_| false), "its identity counts as given");
    assert_eq!(own.takes.len(), 2, "the name is that of the own take");
    own.takes.retain(|take| take.id != mine);
    assert!(!own.merge_newer_takes(&copy, CopyKind::Found, |_| false));
    assert_eq!(own.takes.len(), 1);
}

#[test]
fn a_pass_of_a_copy_whose_number_was_given_again_gets_another_number() {
    let (own, track, _) = one_track_and_takes(&[10]);
    let (mut own, mut copy) = (own.clone(), own);
    let theirs = recorded(&mut copy, track, FramePos(50), Frames(20));
    let fields = copy.takes.iter_mut().find(|take| take.id == theirs).expect("take");
    (fields.uuid, fields.folder) = (Uuid::from_u128(77), Some("/other/session".to_owned()));
    recorded(&mut own, track, FramePos(100), Frames(30));
    assert!(own.merge_newer_takes(&copy, CopyKind::Found, |_| false));
    own.validate().expect("valid");
    let passes: Vec<_> = own.takes.iter().map(|take| take.pass).collect();
    assert_eq!(passes, [1, 2, 3], "no take continues one of another pass");
}

#[test]
fn a_take_that_was_recovered_without_its_continuation_is_opened_again() {
    let (mut own, track, _) = one_track_and_takes(&[]);
    let first = recording(&mut own, track, FramePos(7));
    let mut copy = own.clone();
    let mut names = copy.taken_names();
    let folder = Some("/other/session".to_owned());
    copy.add_continuation(first, Uuid::from_u128(77), Frames(50), folder, &mut names).expect("room");
    copy.remember_overflow_folder("/other/session".to_owned());
    own.finish_take(first, Frames(40), TakeState::Recovered, None).expect("recording");
    own.place_region(track, first, FramePos(7), FramePos(0), Frames(40)).expect("placed");
    // A mirror has a file of its own for the whole take: only the folder is of use.
    let mut by_mirror = own.clone();
    assert!(by_mirror.merge_newer_takes(&copy, CopyKind::Mirror("/mirror/session"), |_| true));
    assert_eq!((by_mirror.takes.len(), by_mirror.overflow_folders()), (1, &["/other/session".to_owned()][..]));
    assert!(own.merge_newer_takes(&copy, CopyKind::Found, |_| true));
    own.validate().expect("valid");
    let states: Vec<_> = own.takes.iter().map(|take| (take.state, take.offset.0, take.frames.0)).collect();
    assert_eq!(states, [(TakeState::Recording, 0, 40), (TakeState::Recording, 50, 0)]);
    assert_eq!(own.track(track).expect("track").regions().len(), 1, "what plays still plays");
    // A recovery of the copy has given both takes their lengths.
    own.finish_take(first, Frames(40), TakeState::Recovered, None).expect("recording");
    let mut newer = own.clone();
    own.takes.pop();
    for (at, frames) in [(0, 50), (1, 30)] {
        let id = newer.takes[at].id;
        newer.finish_take(id, Frames(frames), TakeState::Recovered, None).expect("there");
    }
    assert!(own.merge_newer_takes(&newer, CopyKind::Recovered, |_| true));
    let states: Vec<_> = own.takes.iter().map(|take| (take.state, take.offset.0, take.frames.0)).collect();
    assert_eq!(states, [(TakeState::Recovered, 0, 50), (TakeState::Recovered, 50, 30)]);
    assert_eq!(own.track(track).expect("track").regions().len(), 2);
}

/// The copy in a second overflow folder was saved after a start without the first one. It ended the take again, and the sound up to
/// the place where the take had continued was in no take.
#[test]
fn a_copy_that_recovered_a_take_without_its_continuation_does_not_end_it_again() {
    let (mut own, track, _) = one_track_and_takes(&[]);
    let first = recording(&mut own, track, FramePos(7));
    let mut with_next = own.clone();
    let (mut names, folder) = (with_next.taken_names(), Some("/first/session".to_owned()));
    with_next.add_continuation(first, Uuid::from_u128(77), Frames(50), folder, &mut names).expect("room");
    own.finish_take(first, Frames(40), TakeState::Recovered, None).expect("recording");
    let stale = own.clone();
    assert!(own.merge_newer_takes(&with_next, CopyKind::Found, |_| true));
    assert!(!own.merge_newer_takes(&stale, CopyKind::Found, |_| true));
    let states: Vec<_> = own.takes.iter().map(|take| (take.state, take.offset.0)).collect();
    assert_eq!(states, [(TakeState::Recording, 0), (TakeState::Recording, 50)]);
}

/// A mirror that was opened as a session recorded a pass, which went on in an overflow folder. The part there was in no take.
#[test]
fn a_pass_of_a_mirror_alone_is_taken_over_with_its_parts_in_an_overflow_folder() {
    let (own, track, _) = one_track_and_takes(&[10]);
    let (mut own, mut copy) = (own.clone(), own);
    let first = recorded(&mut copy, track, FramePos(50), Frames(20));
    let (mut names, folder) = (copy.taken_names(), Some("/overflow/session".to_owned()));
    let next = copy.add_continuation(first, Uuid::from_u128(78), Frames(20), folder, &mut names).expect("room");
    copy.finish_take(next, Frames(30), TakeState::Complete, None).expect("recording");
    let fields = copy.takes.iter_mut().find(|take| take.id == first).expect("take");
    (fields.uuid, fields.folder) = (Uuid::from_u128(77), Some("/mirror/session".to_owned()));
    assert!(own.merge_newer_takes(&copy, CopyKind::Mirror("/mirror/session"), |_| true));
    own.validate().expect("valid");
    let frames: Vec<_> = own.takes.iter().map(|take| (take.offset.0, take.frames.0)).collect();
    assert_eq!(frames, [(0, 10), (0, 20), (20, 30)]);
}

/// The session's disk was refused before the latency of the device was known. The second part lay beside the first one.
#[test]
fn the_parts_of_a_take_begin_where_the_copy_says_that_lists_more_of_them() {
    let (mut own, track, _) = one_track_and_takes(&[]);
    let first = recording(&mut own, track, FramePos(5601));
    let mut copy = own.clone();
    copy.set_take_start(first, FramePos(7)).expect("recording");
    copy.set_take_latency(first, Frames(30)).expect("there");
    let (mut names, folder) = (copy.taken_names(), Some("/other/session".to_owned()));
    copy.add_continuation(first, Uuid::from_u128(77), Frames(50), folder, &mut names).expect("room");
    copy.remember_overflow_folder("/other/session".to_owned());
    assert!(own.merge_newer_takes(&copy, CopyKind::Found, |_| true));
    own.validate().expect("valid");
    let starts: Vec<_> = own.takes.iter().map(|take| (take.start.0, take.offset.0)).collect();
    assert_eq!((starts, own.takes[0].latency), (vec![(7, 0), (57, 50)], Frames(30)));
}

/// The overflow folder's copy was saved with a loss, and the session's disk did not take that save. Headers claimed the silence.
#[test]
fn a_loss_that_only_the_copy_lists_is_taken_over() {
    let (mut own, track, _) = one_track_and_takes(&[]);
    let take = recording(&mut own, track, FramePos(0));
    let mut copy = own.clone();
    copy.list_loss(take, FramePos(100), Frames(50), "xrun").expect("there");
    copy.list_open_loss(take, FramePos(400), "unplugged").expect("there");
    assert!(own.merge_newer_takes(&copy, CopyKind::Found, |_| true));
    assert_eq!(own.takes[0].losses, copy.takes[0].losses);
    assert!(!own.merge_newer_takes(&copy, CopyKind::Found, |_| true), "a second time there is nothing");
    // A take that was recovered without the copy has an end.
    own.clear_losses(take).expect("there");
    own.finish_take(take, Frames(500), TakeState::Recovered, None).expect("there");
    assert!(own.merge_newer_takes(&copy, CopyKind::Found, |_| true));
    own.validate().expect("valid");
    let losses: Vec<_> = own.takes[0].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
    assert_eq!(losses, [(100, 50), (400, 100)]);
}

/// The copy could not be read at the start that recovered the take. Later it was the only one with the loss.
#[test]
fn a_loss_of_a_take_that_ended_in_order_in_the_copy_and_was_recovered_here_is_taken_over() {
    for state in [TakeState::Complete, TakeState::Recovered] {
        let (mut own, track, _) = one_track_and_takes(&[]);
        let take = recording(&mut own, track, FramePos(0));
        let mut copy = own.clone();
        copy.list_loss(take, FramePos(100), Frames(50), "xrun").expect("there");
        copy.finish_take(take, Frames(500), state, None).expect("there");
        own.finish_take(take, Frames(500), TakeState::Recovered, None).expect("there");
        // A recovery lists what it did not find, and this session may have found it.
        let is_final = state == TakeState::Complete;
        assert_eq!(own.merge_newer_takes(&copy, CopyKind::Found, |_| true), is_final);
        assert_eq!(own.takes[0].losses.len(), usize::from(is_final));
    }
}

#[test]
fn a_track_that_only_a_copy_has_comes_with_its_takes_and_a_removed_one_comes_back_with_them() {
    let (mut own, track, _) = one_track_and_takes(&[]);
    let mut copy = own.clone();
    let new = copy.add_track("Snare", &[1]).expect("room");
    recorded(&mut copy, new, FramePos(0), Frames(20));
    recorded(&mut copy, track, FramePos(0), Frames(20));
    own.remove_track(track).expect("there");
    assert!(own.merge_newer_takes(&copy, CopyKind::Found, |_| false));
    own.validate().expect("valid");
    let tracks: Vec<_> = own.tracks.iter().map(|track| (track.name(), track.regions().len())).collect();
    assert_eq!((tracks, own.takes.len()), (vec![("Snare", 1), ("Kick", 1)], 2));
    assert!(own.track(new).is_some() && own.takes.iter().all(|take| own.track(take.track).is_some()));
}

/// A mirror was opened in place of the session, whose disk was dead. Its own file was neither finished nor listed.
#[test]
fn the_end_of_a_take_holds_for_the_file_that_the_copy_lists() {
    let (mut own, track, _) = one_track_and_takes(&[]);
    let take = recording(&mut own, track, FramePos(5601));
    let mut copy = own.clone();
    copy.set_take_start(take, FramePos(7)).expect("recording");
    copy.list_loss(take, FramePos(10), Frames(5), "xrun").expect("there");
    copy.finish_take(take, Frames(100), TakeState::Complete, None).expect("recording");
    let mut elsewhere = copy.clone();
    elsewhere.takes[0].folder = Some("/d1/session".to_owned());
    let mut by_mirror = own.clone();
    for is_new in [true, false] {
        assert_eq!(by_mirror.merge_newer_takes(&elsewhere, CopyKind::Found, |_| true), is_new);
        let mine = &by_mirror.takes[0];
        assert_eq!((mine.state, mine.folder.as_deref(), mine.start), (TakeState::Recording, None, FramePos(7)));
        assert_eq!(mine.losses, copy.takes[0].losses, "headers claim the silence");
    }
    assert!(own.merge_newer_takes(&copy, CopyKind::Found, |_| true));
    assert_eq!((own.takes[0].state, own.takes[0].frames), (TakeState::Complete, Frames(100)));
}

/// The take continued elsewhere, its own disk took sound again, and the copy that listed the continuation could not be saved any
/// more. The next start made a second take of the pass, all silence.
#[test]
fn a_continuation_that_only_a_copy_lists_stays_out_if_the_take_was_completed_behind_its_begin() {
    for (end, is_needless) in [(100, true), (50, false)] {
        let (mut own, track, _) = one_track_and_takes(&[]);
        let first = recording(&mut own, track, FramePos(0));
        let mut copy = own.clone();
        let mut names = copy.taken_names();
        let folder = Some("/other/session".to_owned());
        copy.add_continuation(first, Uuid::from_u128(77), Frames(50), folder, &mut names).expect("room");
        own.finish_take(first, Frames(end), TakeState::Complete, None).expect("recording");
        assert_eq!(own.is_needless(&copy, &copy.takes[1]), is_needless);
        own.merge_newer_takes(&copy, CopyKind::Found, |_| true);
        own.validate().expect("valid");
        assert_eq!(own.takes.len(), if is_needless { 1 } else { 2 });
    }
}

/// The recovery of a mirror that was opened as a session said that a mirror is missing: itself, at its former place.
#[test]
fn the_session_that_is_saved_in_the_mirror_names_no_mirror() {
    let (mut session, track, _) = one_track_and_takes(&[]);
    let take = recording(&mut session, track, FramePos(0));
    let json = r#"{"uid": 0, "boot": "", "mirror": "/mirror/song"}"#;
    session.set_take_spool(take, serde_json::from_str(json).expect("a record")).expect("there");
    let own = session.clone();
    session.forget_mirror_in("/own/song");
    assert_eq!(session, own);
    session.forget_mirror_in("/mirror/song");
    assert!(session.take(take).expect("there").spool.as_ref().is_some_and(|spool| spool.mirror.is_none()));
}
