//! Sessions for tests: arbitrary ones, and the rules that hold for all of them. Thread: tests.

use super::file_name::TakenNames;
use super::*;
use proptest::prelude::*;

/// A session without tracks.
pub(super) fn empty_session() -> Session {
    Session::new(Uuid::from_u128(1), "Test", "2026-01-02T03:04:05+00:00", SampleRate(48_000), TakeFormat::S24)
}

/// Adds a finished take.
pub(crate) fn recorded(session: &mut Session, track: TrackId, start: FramePos, frames: Frames) -> TakeId {
    let mut names = session.taken_names();
    let take = session.add_take(new_take(session, track, start), &mut names).expect("room");
    session.finish_take(take, frames, TakeState::Complete, Some(TakeAccounts::default())).expect("fits");
    take
}

/// Adds a take that is being recorded.
pub(crate) fn recording(session: &mut Session, track: TrackId, start: FramePos) -> TakeId {
    let mut names = session.taken_names();
    session.add_take(new_take(session, track, start), &mut names).expect("room")
}

fn new_take(session: &Session, track: TrackId, start: FramePos) -> NewTake {
    NewTake {
        uuid: Uuid::from_u128(u128::from(session.next_id) << 64),
        track,
        pass: session.next_pass(),
        inputs: vec![0],
        channels: 1,
        rate: session.rate(),
        format: session.format,
        start,
        started: "2026-01-02T03:04:05+00:00".into(),
    }
}

/// A change that a user may make. Its numbers choose among the things that exist; often they choose none.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Track(String, Vec<u32>),
    Mix(u8, f32, f32, u8),
    RemoveTrack(u8),
    MoveTrack(u8, u8),
    Take(u8, u64, u64),
    Frames(u8, u64),
    Loss(u8, u64, u64, String),
    Place(u8, u8, u64, u64, u64),
    Choose(u8, u8, u64, u64),
    Move(u8, u8, u64),
    Trim(u8, u64, u64),
    Split(u8, u64),
    RemoveRegion(u8),
    Trash(u8, bool),
    Marker(u64, String),
    MoveMarker(u8, u64),
}

fn position() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0..2000u64, 1 => any::<u64>(), 1 => POSITION_MAX - 5..=POSITION_MAX + 5]
}

fn any_step() -> impl Strategy<Value = Step> {
    let n = any::<u8>;
    let inputs = prop::collection::vec(prop_oneof![9 => 0..64u32, 1 => any::<u32>()], 0..4);
    prop_oneof![
        2 => (any::<String>(), inputs).prop_map(|(name, inputs)| Step::Track(name, inputs)),
        1 => (n(), any::<f32>(), any::<f32>(), n()).prop_map(|(t, gain, pan, bits)| Step::Mix(t, gain, pan, bits)),
        1 => n().prop_map(Step::RemoveTrack),
        1 => (n(), n()).prop_map(|(t, to)| Step::MoveTrack(t, to)),
        4 => (n(), position(), position()).prop_map(|(t, start, frames)| Step::Take(t, start, frames)),
        1 => (n(), position()).prop_map(|(t, frames)| Step::Frames(t, frames)),
        1 => (n(), position(), position(), any::<String>()).prop_map(|(t, at, frames, why)| Step::Loss(t, at, frames, why)),
        4 => (n(), n(), position(), position(), position()).prop_map(|(t, k, s, ts, l)| Step::Place(t, k, s, ts, l)),
        4 => (n(), n(), position(), position()).prop_map(|(t, k, from, to)| Step::Choose(t, k, from, to)),
        2 => (n(), n(), position()).prop_map(|(r, t, start)| Step::Move(r, t, start)),
        2 => (n(), position(), position()).prop_map(|(r, start, end)| Step::Trim(r, start, end)),
        2 => (n(), position()).prop_map(|(r, at)| Step::Split(r, at)),
        1 => n().prop_map(Step::RemoveRegion),
        1 => (n(), any::<bool>()).prop_map(|(k, trashed)| Step::Trash(k, trashed)),
        1 => (position(), any::<String>()).prop_map(|(at, name)| Step::Marker(at, name)),
        1 => (n(), position()).prop_map(|(m, at)| Step::MoveMarker(m, at)),
    ]
}

/// A short sequence of changes.
pub(super) fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any_step(), 0..30)
}

/// A session made by any sequence of changes.
pub(super) fn any_session() -> impl Strategy<Value = Session> {
    prop::collection::vec(any_step(), 0..60).prop_map(|steps| {
        let mut session = empty_session();
        session.add_track("Kick", &[0]).expect("room");
        for step in steps {
            apply(&mut session, step).ok();
        }
        session
    })
}

fn pick<T: Clone>(all: impl Iterator<Item = T>, index: u8) -> Option<T> {
    let all: Vec<T> = all.collect();
    all.get(usize::from(index) % all.len().max(1)).cloned()
}

/// Applies a change. An error is expected: many changes name things that do not exist.
pub(super) fn apply(session: &mut Session, step: Step) -> Result<(), EditError> {
    let track = |s: &Session, n| pick(s.track_ids(), n).unwrap_or(TrackId(n.into()));
    let take = |s: &Session, n| pick(s.takes.iter().map(|take| take.id), n).unwrap_or(TakeId(n.into()));
    let regions = |s: &Session| s.tracks.iter().flat_map(|t| t.regions.iter().cloned()).collect::<Vec<_>>();
    let region = |s: &Session, n| pick(regions(s).into_iter(), n).map_or(RegionId(n.into()), |region| region.id);
    match step {
        Step::Track(name, inputs) => session.add_track(&name, &inputs).map(drop),
        Step::Mix(t, gain_db, pan, bits) => {
            let id = track(session, t);
            let track = session.track_mut(id).ok_or(EditError::NoSuchTrack(id))?;
            track.set_gain_db(gain_db);
            track.set_pan(pan);
            (track.mute, track.solo, track.armed) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            track.monitor = [Monitor::Auto, Monitor::Input, Monitor::Disk][usize::from(bits) % 3];
            track.colour = bits;
            Ok(())
        }
        Step::RemoveTrack(t) => session.remove_track(track(session, t)).map(drop),
        Step::MoveTrack(t, to) => session.move_track(track(session, t), to.into()),
        Step::Take(t, start, frames) => {
            let new = new_take(session, track(session, t), FramePos(start));
            let mut names = session.taken_names();
            let take = session.add_take(new, &mut names)?;
            let state = if frames % 5 == 0 { TakeState::Recording } else { TakeState::Complete };
            session.finish_take(take, Frames(frames), state, None)
        }
        Step::Frames(k, frames) => session.set_take_frames(take(session, k), Frames(frames)),
        Step::Loss(k, at, frames, cause) => session.add_loss(take(session, k), FramePos(at), Frames(frames), &cause),
        Step::Place(t, k, start, take_start, length) => session
            .place_region(track(session, t), take(session, k), FramePos(start), FramePos(take_start), Frames(length))
            .map(drop),
        Step::Choose(t, k, from, to) => {
            session.choose_take(track(session, t), take(session, k), FramePos(from), FramePos(to)).map(drop)
        }
        Step::Move(r, t, start) => session.move_region(region(session, r), track(session, t), FramePos(start)),
        Step::Trim(r, start, end) => session.trim_region(region(session, r), FramePos(start), FramePos(end)),
        Step::Split(r, at) => session.split_region(region(session, r), FramePos(at)).map(drop),
        Step::RemoveRegion(r) => session.remove_region(region(session, r)).map(drop),
        Step::Trash(k, true) => session.trash_take(take(session, k)),
        Step::Trash(k, false) => session.untrash_take(take(session, k)),
        Step::Marker(at, name) => session.add_marker(FramePos(at), &name).map(drop),
        Step::MoveMarker(m, at) => {
            let id = pick(session.markers.iter().map(|marker| marker.id), m).unwrap_or(MarkerId(m.into()));
            session.move_marker(id, FramePos(at))
        }
    }
}

/// The take and its frame that each of the first `frames` positions of a track plays.
fn sound_of(session: &Session, track: TrackId, frames: u64) -> Vec<Option<(TakeId, u64)>> {
    let track = session.track(track).expect("track");
    let sound = |at| track.region_at(FramePos(at)).map(|r| (r.take, r.take_start.0 + at - r.start.0));
    (0..frames).map(sound).collect()
}

pub(super) fn one_track_and_takes(lengths: &[u64]) -> (Session, TrackId, Vec<TakeId>) {
    let mut session = empty_session();
    let track = session.add_track("Kick", &[0]).expect("room");
    let takes = lengths.iter().map(|&frames| recorded(&mut session, track, FramePos(0), Frames(frames))).collect();
    (session, track, takes)
}

#[test]
fn a_region_placed_in_the_middle_splits_the_one_below_it() {
    let (mut session, track, takes) = one_track_and_takes(&[100, 100]);
    let below = session.choose_take(track, takes[0], FramePos(0), FramePos(100)).expect("placed");
    let above = session.choose_take(track, takes[1], FramePos(40), FramePos(60)).expect("placed");
    let regions = session.track(track).expect("track").regions();
    let spans: Vec<_> = regions.iter().map(|r| (r.take, r.start.0, r.take_start.0, r.length.0)).collect();
    assert_eq!(spans, [(takes[0], 0, 0, 40), (takes[1], 40, 40, 20), (takes[0], 60, 60, 40)]);
    assert_eq!((regions[0].id, regions[1].id), (below, above));
    assert_eq!(session.take(takes[0]).expect("kept").frames, Frames(100));
    session.validate().expect("valid");
}

#[test]
fn a_region_placed_over_others_trims_their_edges_and_removes_those_it_covers() {
    let (mut session, track, takes) = one_track_and_takes(&[10, 10, 10, 100]);
    for (index, start) in [0, 20, 40].into_iter().enumerate() {
        let (take, start) = (takes[index], FramePos(start));
        session.place_region(track, take, start, FramePos(0), Frames(10)).expect("placed");
    }
    session.place_region(track, takes[3], FramePos(5), FramePos(0), Frames(40)).expect("placed");
    let spans: Vec<_> = (session.track(track).expect("track").regions().iter())
        .map(|r| (r.take, r.start.0, r.take_start.0, r.length.0))
        .collect();
    assert_eq!(spans, [(takes[0], 0, 0, 5), (takes[3], 5, 0, 40), (takes[2], 45, 5, 5)]);
    assert_eq!(session.takes().len(), 4);
}

#[test]
fn a_refused_step_changes_nothing() {
    let (mut session, track, takes) = one_track_and_takes(&[100]);
    let region = session.choose_take(track, takes[0], FramePos(0), FramePos(100)).expect("placed");
    let before = session.clone();
    let (far, zero) = (FramePos(POSITION_MAX), FramePos(0));
    let refusals = [
        session.place_region(track, takes[0], zero, FramePos(1), Frames(100)).err(),
        session.place_region(track, takes[0], zero, zero, Frames(0)).err(),
        session.place_region(track, takes[0], zero, FramePos(u64::MAX), Frames(2)).err(),
        session.place_region(track, takes[0], FramePos::END, zero, Frames(2)).err(),
        session.place_region(track, TakeId(99), zero, zero, Frames(2)).err(),
        session.place_region(TrackId(99), takes[0], zero, zero, Frames(2)).err(),
        session.move_region(region, track, far).err(),
        session.move_region(region, TrackId(99), zero).err(),
        session.trim_region(region, zero, FramePos(101)).err(),
        session.trim_region(region, FramePos(50), FramePos(50)).err(),
        session.split_region(region, zero).err(),
        session.set_take_frames(takes[0], Frames(u64::MAX)).err(),
        session.add_track("none", &[]).err(),
        session.add_track("three", &[0, 1, 2]).err(),
        session.add_marker(FramePos::END, "").err(),
        session.add_take(NewTake { channels: 3, ..new_take(&before, track, zero) }, &mut TakenNames::default()).err(),
    ];
    for (index, refusal) in refusals.into_iter().enumerate() {
        let refusal = refusal.unwrap_or_else(|| panic!("step {index} was not refused"));
        assert!(!refusal.to_string().is_empty());
    }
    assert_eq!(session, before);
}

#[test]
fn a_take_being_recorded_does_not_go_to_the_trash() {
    let mut session = empty_session();
    let track = session.add_track("Kick", &[0]).expect("room");
    let new = new_take(&session, track, FramePos(0));
    let take = session.add_take(new, &mut TakenNames::default()).expect("room");
    assert_eq!(session.trash_take(take), Err(EditError::Recording(take)));
}

#[test]
fn a_take_continues_in_another_folder_from_any_frame_even_its_first() {
    let (mut session, track, _) = one_track_and_takes(&[]);
    let mut names = session.taken_names();
    let first = session.add_take(new_take(&session, track, FramePos(7)), &mut names).unwrap();
    let mut go_on = |of, from: u64, folder: &str| {
        let uuid = Uuid::from_u128(u128::from(from) + 1);
        session.add_continuation(of, uuid, Frames(from), Some(folder.to_owned()), &mut names).unwrap()
    };
    let second = go_on(first, 0, "/b/session");
    let third = go_on(second, 500, "/c/session");
    let alone = session.add_take(new_take(&session, track, FramePos(9)), &mut names).unwrap();
    for seen in [session.clone(), session.copy_for_folder("/b/session", "/a/session")] {
        let take = |id| seen.take(id).unwrap();
        let next = |id| seen.continuation_of(take(id)).map(|next| next.id);
        assert_eq!([first, second, third, alone].map(next), [Some(second), Some(third), None, None]);
        assert_eq!([first, second, third, alone].map(|id| seen.is_continuation(take(id))), [false, true, true, false]);
        assert_eq!((take(second).start, take(third).start), (FramePos(7), FramePos(507)));
    }
}

#[test]
fn of_many_overflow_folders_the_oldest_without_takes_is_forgotten_first() {
    let (mut session, track, _) = one_track_and_takes(&[]);
    let take = recording(&mut session, track, FramePos(0));
    let mut names = session.taken_names();
    session.remember_overflow_folder("/0".to_owned());
    session.add_continuation(take, Uuid::from_u128(7), Frames(5), Some("/0".to_owned()), &mut names).expect("room");
    for number in 1..=OVERFLOW_FOLDER_COUNT_MAX {
        assert!(session.remember_overflow_folder(format!("/{number}")));
    }
    assert_eq!(session.overflow_folders()[..2], ["/0", "/2"]);
    assert!(!session.forget_overflow_folder("/0") && session.forget_overflow_folder("/2"));
    assert!(!session.remember_overflow_folder("/a/../b".to_owned()), "session.json could not be saved with it");
}

#[test]
fn removing_a_track_keeps_its_takes() {
    let (mut session, track, takes) = one_track_and_takes(&[100]);
    session.choose_take(track, takes[0], FramePos(0), FramePos(100)).expect("placed");
    session.remove_track(track).expect("there");
    assert_eq!(session.takes().len(), 1);
    session.validate().expect("valid");
}

/// The window could not restore such a take, so its sound stayed out of reach.
#[test]
fn a_take_that_leaves_the_trash_brings_its_track_back_with_its_name_and_inputs() {
    let (mut session, track, takes) = one_track_and_takes(&[100, 50]);
    session.trash_takes(&takes).expect("complete");
    session.remove_track(track).expect("idle");
    for take in &takes {
        session.untrash_take(*take).expect("there");
    }
    let tracks: Vec<_> = session.tracks.iter().map(|track| (track.id, track.name(), track.inputs())).collect();
    assert_eq!(tracks, [(track, "Kick", &[0][..])]);
    session.validate().expect("valid");

    // An older file was opened, and its identities were given again.
    session.remove_track(track).expect("idle");
    let marker = session.add_marker(FramePos(0), "").expect("room");
    session.takes.iter_mut().for_each(|take| take.track = TrackId(marker.0));
    session.ensure_track_of(takes[0]).expect("room");
    assert!(session.takes.iter().all(|take| session.track(take.track).is_some()));
    session.validate().expect("valid");
}

#[test]
fn two_tracks_of_one_name_number_their_takes_apart() {
    let mut session = empty_session();
    let first = session.add_track("Kick", &[0]).expect("room");
    let second = session.add_track("KICK", &[1]).expect("room");
    for track in [first, second, first] {
        recorded(&mut session, track, FramePos(0), Frames(10));
    }
    let takes: Vec<_> = session.takes().iter().map(|take| (take.number, take.file.as_str())).collect();
    assert_eq!(takes, [(1, "audio/Kick-1.wav"), (2, "audio/KICK-2.wav"), (3, "audio/Kick-3.wav")]);
}

#[test]
fn losses_beyond_the_list_are_counted() {
    let (mut session, _, takes) = one_track_and_takes(&[100]);
    for at in 0..LOSS_COUNT_MAX as u64 + 5 {
        session.add_loss(takes[0], FramePos(2 * at), Frames(1), "xrun").expect("take");
    }
    let take = session.take(takes[0]).expect("take");
    assert_eq!((take.losses.len(), take.losses_unlisted), (LOSS_COUNT_MAX, 5));
}

/// A spool that was full for 11 minutes filled the list, and every later loss was only counted.
#[test]
fn a_long_loss_that_is_reported_in_parts_is_one_loss_in_the_list() {
    let (mut session, _, takes) = one_track_and_takes(&[100]);
    let part = 32_768;
    for number in 0..2 * LOSS_COUNT_MAX as u64 {
        session.list_loss(takes[0], FramePos(number * part), Frames(part), "overrun").expect("take");
    }
    let end = 2 * LOSS_COUNT_MAX as u64 * part;
    session.list_loss(takes[0], FramePos(end), Frames(7), "xrun").expect("take");
    let take = session.take(takes[0]).expect("take");
    let losses: Vec<_> = take.losses.iter().map(|loss| (loss.at.0, loss.frames.0, loss.cause.as_str())).collect();
    assert_eq!((losses, take.losses_unlisted), (vec![(0, end, "overrun"), (end, 7, "xrun")], 0));
}

/// The account of a take that was half silence, because its JACK client had ended, said nothing about it.
#[test]
fn an_account_keeps_sentences_about_a_lost_source_and_earlier_files_have_none() {
    let (mut session, _, takes) = one_track_and_takes(&[100]);
    let text = "0:03.000: the JACK client\nsynth has ended".to_owned();
    let accounts = TakeAccounts { source_losses: vec![text; LOSS_COUNT_MAX + 1], ..TakeAccounts::default() };
    session.finish_take(takes[0], Frames(100), TakeState::Complete, Some(accounts)).expect("take");
    let kept = session.take(takes[0]).and_then(|take| take.accounts.clone()).expect("account");
    assert_eq!(kept.source_losses, vec!["0:03.000: the JACK client synth has ended"; LOSS_COUNT_MAX]);
    let earlier = serde_json::to_string(&TakeAccounts::default()).expect("JSON");
    assert!(!earlier.contains("source_losses") && !earlier.contains("placing"), "{earlier}");
    assert_eq!(serde_json::from_str::<TakeAccounts>(&earlier).expect("JSON"), TakeAccounts::default());
}

#[test]
fn a_loss_that_is_reported_twice_is_listed_once() {
    let (mut session, _, takes) = one_track_and_takes(&[100]);
    let id = takes[0];
    let cases = [
        (20, 10, vec![(20, 10)]),
        (20, 10, vec![(20, 10)]),
        (15, 10, vec![(20, 10), (15, 5)]),
        (40, 10, vec![(20, 10), (15, 5), (40, 10)]),
        (10, 50, vec![(20, 20), (15, 5), (40, 20), (10, 5)]),
    ];
    for (at, frames, wanted) in cases {
        session.list_loss(id, FramePos(at), Frames(frames), "xrun").expect("take");
        let take = session.take(id).expect("take");
        let losses: Vec<_> = take.losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
        assert_eq!(losses, wanted);
    }
    session.raise_unlisted_losses(id, 3).expect("take");
    session.raise_unlisted_losses(id, 2).expect("take");
    assert_eq!(session.take(id).expect("take").losses_unlisted, 3);
    session.clear_losses(id).expect("take");
    assert_eq!(session.take(id).map(|take| (take.losses.len(), take.losses_unlisted)), Some((0, 0)));
}

#[test]
fn losses_beyond_the_end_of_a_take_go_with_its_end() {
    let (mut session, _, takes) = one_track_and_takes(&[100]);
    for (at, frames) in [(10, 10), (45, 10), (60, 10)] {
        session.add_loss(takes[0], FramePos(at), Frames(frames), "xrun").expect("take");
    }
    session.finish_take(takes[0], Frames(50), TakeState::Recovered, None).expect("take");
    let take = session.take(takes[0]).expect("take");
    let losses: Vec<_> = take.losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
    assert_eq!(losses, [(10, 10), (45, 5)]);
}

#[test]
fn not_a_number_is_no_gain_and_no_pan() {
    let (mut session, id, _) = one_track_and_takes(&[]);
    let track = session.track_mut(id).expect("track");
    track.set_gain_db(f32::NAN);
    track.set_pan(f32::NAN);
    assert_eq!((track.gain_db(), track.pan()), (0.0, 0.0));
    track.set_gain_db(f32::NEG_INFINITY);
    assert!(track.gain_db() <= GAIN_DB_MIN);
}

#[test]
fn regions_in_a_span_are_those_that_touch_it() {
    let (mut session, track, takes) = one_track_and_takes(&[10]);
    for start in [0, 20, 40] {
        session.place_region(track, takes[0], FramePos(start), FramePos(0), Frames(10)).expect("placed");
    }
    let track = session.track(track).expect("track");
    let starts = |from, to| -> Vec<u64> {
        track.regions_in(FramePos(from), FramePos(to)).iter().map(|region| region.start.0).collect()
    };
    assert!(starts(10, 20).is_empty());
    assert_eq!(starts(9, 21), [0, 20]);
    assert_eq!(starts(0, u64::MAX), [0, 20, 40]);
    assert!(starts(30, 5).is_empty());
    assert_eq!(session.regions_at(FramePos(29)).count(), 1);
    assert_eq!(session.regions_at(FramePos(30)).count(), 0);
    assert_eq!(session.end(), FramePos(50));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_sequence_of_steps_makes_a_session_invalid(session in any_session()) {
        prop_assert_eq!(session.validate(), Ok(()));
    }

    #[test]
    fn a_placed_region_is_heard_and_everything_around_it_is_heard_as_before(
        spans in prop::collection::vec((0..200u64, 0..50u64, 1..50u64), 1..20),
    ) {
        let (mut session, track, _) = one_track_and_takes(&[]);
        for (start, take_start, length) in spans {
            let take = recorded(&mut session, track, FramePos(0), Frames(100));
            let mut wanted = sound_of(&session, track, 300);
            for frame in 0..length {
                wanted[(start + frame) as usize] = Some((take, take_start + frame));
            }
            session.place_region(track, take, FramePos(start), FramePos(take_start), Frames(length)).expect("placed");
            prop_assert_eq!(session.validate(), Ok(()));
            prop_assert_eq!(sound_of(&session, track, 300), wanted);
        }
    }

    #[test]
    fn undo_anywhere_leaves_a_valid_session(before in any_session(), steps in any_steps()) {
        let mut now = before.clone();
        for step in steps {
            apply(&mut now, step).ok();
        }
        let takes = now.takes().len();
        let restored = now.restore(&before.arrangement());
        prop_assert!(matches!(restored, Ok(()) | Err(EditError::Recording(_))));
        prop_assert_eq!(now.validate(), Ok(()));
        prop_assert_eq!(now.takes().len(), takes);
    }
}

#[test]
fn a_take_that_no_disk_takes_continues_twice_from_its_first_frame_in_one_folder() {
    let (mut session, track, _) = one_track_and_takes(&[]);
    let mut names = session.taken_names();
    let first = session.add_take(new_take(&session, track, FramePos(7)), &mut names).unwrap();
    let mut go_on = |of, uuid| {
        let folder = Some("/b/session".to_owned());
        session.add_continuation(of, Uuid::from_u128(uuid), Frames(0), folder, &mut names).unwrap()
    };
    let second = go_on(first, 1);
    let third = go_on(second, 2);
    let next = |id| session.continuation_of(session.take(id).unwrap()).map(|next| next.id);
    assert_eq!([first, second, third].map(next), [Some(second), Some(third), None]);
}

#[test]
fn losses_go_with_the_frames_to_the_take_that_continues_another() {
    let (mut session, track, _) = one_track_and_takes(&[]);
    let mut names = session.taken_names();
    let first = session.add_take(new_take(&session, track, FramePos(0)), &mut names).unwrap();
    let next = session.add_continuation(first, Uuid::from_u128(1), Frames(100), None, &mut names).unwrap();
    for (at, frames) in [(10, 20), (90, 30), (150, 5)] {
        session.add_loss(first, FramePos(at), Frames(frames), "xrun").unwrap();
    }
    session.move_losses(first, next, Frames(100)).unwrap();
    let of = |id| session.take(id).unwrap().losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect::<Vec<_>>();
    assert_eq!((of(first), of(next)), (vec![(10, 20), (90, 10)], vec![(0, 20), (50, 5)]));
}

#[test]
fn a_loss_that_lasts_can_be_ended_in_the_take_that_continues_another() {
    let (mut session, track, _) = one_track_and_takes(&[]);
    let mut names = session.taken_names();
    let first = session.add_take(new_take(&session, track, FramePos(0)), &mut names).unwrap();
    let next = session.add_continuation(first, Uuid::from_u128(1), Frames(100), None, &mut names).unwrap();
    session.list_open_loss(first, FramePos(90), "the device is gone").unwrap();
    session.move_losses(first, next, Frames(100)).unwrap();
    session.end_losses(next, FramePos(30)).unwrap();
    let of = |id| session.take(id).unwrap().losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect::<Vec<_>>();
    assert_eq!((of(first), of(next)), (vec![(90, 10)], vec![(0, 30)]));
}

#[test]
fn a_gain_or_pan_of_minus_zero_is_zero_so_that_equal_sessions_have_equal_bytes() {
    let mut session = empty_session();
    let id = session.add_track("Kick", &[0]).expect("room");
    let track = session.track_mut(id).expect("there");
    track.set_gain_db(-0.001);
    track.set_pan(-0.000_1);
    assert!(track.gain_db.is_sign_positive() && track.pan.is_sign_positive());
}
