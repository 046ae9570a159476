//! The edits of the user: one of any kind, with things of the session that exist. Thread: the simulated main thread.

use crate::plan::RATE;
use crate::random::Random;
use faultless::control::edit::Edit;
use faultless::format::TakeFormat;
use faultless::session::{Monitor, NewTake, RegionId, Session, TakeId, TakeState, TrackId};
use faultless::time::{FramePos, Frames, SampleRate};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Names the kinds of edits once: for the list of them, and for the match, which does not compile if a kind is missing.
macro_rules! kinds {
    ($($kind:ident)*) => {
        /// The kinds of edits that the program has.
        const KINDS: &[&str] = &[$(stringify!($kind)),*];

        /// The kind of an edit. A new kind belongs into the list, and into [`random_edit`] or [`later_edit`].
        fn kind(edit: &Edit) -> &'static str {
            match edit {
                $(Edit::$kind(..) => stringify!($kind),)*
            }
        }
    };
}

kinds! {
    Arm ArmOnly Mute Solo SoloOnly Monitor Inputs Gain Pan Name Colour MoveTrack AddTrack DuplicateTracks RemoveTracks AddMarker
    RenameMarker MoveMarker RemoveMarker RenameSession Format ChooseTake TrashTake TrashTakes UntrashTake UntrashTakes MoveRegion
    TrimRegion SplitRegions RemoveRegions MuteRegions
}

/// An edit of any kind that the simulator has drawn from its beginning on. It may be one that the program refuses.
pub(crate) fn random_edit(random: &mut Random, session: &Session) -> Option<Edit> {
    let tracks: Vec<TrackId> = session.track_ids().collect();
    let takes: Vec<TakeId> = session.takes().iter().map(|take| take.id).collect();
    let regions: Vec<RegionId> =
        session.tracks().iter().flat_map(|track| track.regions().iter().map(|region| region.id)).collect();
    let markers: Vec<_> = session.markers().iter().map(|marker| marker.id).collect();
    if tracks.is_empty() {
        return Some(Edit::AddTrack(None));
    }
    let track = *random.pick(&tracks);
    let place = FramePos(random.below(30 * RATE));
    let on = random.chance(500);
    let number = random.below(100);
    let take = (!takes.is_empty()).then(|| *random.pick(&takes));
    let region = (!regions.is_empty()).then(|| *random.pick(&regions));
    let marker = (!markers.is_empty()).then(|| *random.pick(&markers));
    Some(match random.below(28) {
        0 => Edit::Arm(vec![track], on),
        1 => Edit::Mute(vec![track], on),
        2 => Edit::Solo(vec![track], on),
        3 => Edit::Monitor(vec![track], *random.pick(&[Monitor::Auto, Monitor::Input, Monitor::Disk])),
        4 => Edit::Inputs(track, (0..random.between(1, 3)).map(|at| (at + number) as u32 % 4).collect()),
        5 => Edit::Gain(vec![(track, -(number as f32))]),
        6 => Edit::Pan(vec![track], number as f32 / 100.0),
        7 => Edit::Name(track, format!("Name {number}")),
        8 => Edit::Colour(vec![track], number as u8),
        9 => Edit::MoveTrack(track, number as usize % tracks.len()),
        10 => Edit::AddTrack(None),
        11 => Edit::DuplicateTracks(vec![track]),
        12 | 13 => Edit::RemoveTracks(vec![track]),
        14 => Edit::AddMarker(place, format!("Marker {number}")),
        15 => Edit::RenameMarker(marker?, format!("Marker {number}")),
        16 => Edit::MoveMarker(marker?, place),
        17 => Edit::RemoveMarker(marker?),
        18 => Edit::RenameSession(format!("Session {number}")),
        19 => Edit::Format(*random.pick(&[TakeFormat::S16, TakeFormat::S24, TakeFormat::F32])),
        20 => Edit::ChooseTake(take?),
        21 => Edit::TrashTake(take?),
        22 => Edit::UntrashTake(take?),
        23 => Edit::MoveRegion(region?, track, place),
        24 => Edit::TrimRegion(region?, place, FramePos(place.0 + 1 + number * 100)),
        25 => Edit::SplitRegions(vec![region?], place),
        26 => Edit::RemoveRegions(vec![region?]),
        _ => Edit::MuteRegions(vec![region?], on),
    })
}

/// An edit of a kind that [`random_edit`] does not draw. Its numbers come from another stream.
pub(crate) fn later_edit(random: &mut Random, session: &Session) -> Option<Edit> {
    let tracks: Vec<TrackId> = session.track_ids().filter(|_| random.chance(500)).collect();
    Some(match random.below(4) {
        0 => {
            let given = tracks.first().copied().filter(|_| random.chance(300));
            let inputs = given.map(|id| (id, (0..random.between(1, 3)).map(|_| random.below(4) as u32).collect()));
            let inputs = inputs.into_iter().collect();
            Edit::ArmOnly(tracks, inputs)
        }
        1 => Edit::SoloOnly(tracks),
        kind => {
            let passes: Vec<u32> = session.takes().iter().map(|take| take.pass).collect();
            let pass = (!passes.is_empty()).then(|| *random.pick(&passes))?;
            let takes = session.takes().iter().filter(|take| take.pass == pass).map(|take| take.id).collect();
            if kind == 2 { Edit::TrashTakes(takes) } else { Edit::UntrashTakes(takes) }
        }
    })
}

/// Each kind of edit is drawn, those that only exist in a session with takes, regions and markers too.
pub(crate) fn every_kind_is_drawn() {
    let session = session_with_all();
    let mut random = Random::new(1);
    let mut drawn: BTreeSet<&str> = BTreeSet::new();
    for _ in 0..2_000 {
        drawn.extend(random_edit(&mut random, &session).as_ref().map(kind));
        drawn.extend(later_edit(&mut random, &session).as_ref().map(kind));
    }
    let missing: Vec<_> = KINDS.iter().filter(|kind| !drawn.contains(*kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A session with a track, a take, a region and a marker.
fn session_with_all() -> Session {
    let (id, started, format) = (Uuid::from_u128(1), "2026-01-02T03:04:05+00:00", TakeFormat::S24);
    let mut session = Session::new(id, "Test", started, SampleRate(RATE as u32), format);
    let track = session.add_track("In 1", &[0]).expect("a track");
    session.add_marker(FramePos(0), "Marker").expect("a marker");
    let take = NewTake {
        uuid: Uuid::from_u128(2),
        track,
        pass: session.next_pass(),
        inputs: vec![0],
        channels: 1,
        rate: session.rate(),
        format,
        start: FramePos(0),
        started: started.to_owned(),
    };
    let mut names = session.taken_names();
    let take = session.add_take(take, &mut names).expect("a take");
    session.finish_take(take, Frames(RATE), TakeState::Complete, None).expect("an end");
    session.place_take(track, take).expect("a region");
    session
}
