//! The difference of two states of a session as bytes, for a window that has the first one. Thread: any; pure.
//!
//! States of a session share what did not change ([`Shared`]). So the difference is found by pointers: a track, a list of
//! regions, a take that both have costs one comparison and no byte. A change of one region of a thousand is that region.
//!
//! Who applies a difference has been sent the first state by the same sender before. Bytes that do not fit to it are
//! refused, and the result is a valid session, as [`parse`](super::parse) makes it.

use super::bytes::{Fault, check_version};
use super::{FILE_VERSION, Session, Take};
use crate::format::TakeFormat;
use crate::limits::TRACK_COUNT_MAX;
use crate::session::{Marker, Other, Region, Shared, TAKE_COUNT_MAX, Track, TrackFields, TrackId};
use crate::time::SampleRate;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use uuid::Uuid;

/// The changes. The small fields are always there.
#[derive(Serialize, Deserialize)]
struct Difference {
    version: u64,
    id: Uuid,
    name: String,
    created: String,
    rate: SampleRate,
    format: TakeFormat,
    next_id: u64,
    overflow_folders: Vec<String>,
    other: Other,
    /// The tracks in their order.
    tracks: Vec<Part>,
    markers: Splice<Marker>,
    take_count: usize,
    /// The takes that were added or changed, with their places.
    takes: Vec<(usize, Take)>,
}

/// One or several tracks.
#[derive(Serialize, Deserialize)]
enum Part {
    /// Unchanged tracks: the place of the first one before, and their number.
    Same(usize, usize),
    /// A track whose place before is this. The fields come without regions.
    Changed(usize, TrackFields, Splice<Region>),
    New(Track),
}

/// A list in which one span is another.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Splice<T> {
    at: usize,
    removed: usize,
    added: Vec<T>,
}

impl<T: Clone + PartialEq> Splice<T> {
    fn between(before: &Shared<Vec<T>>, now: &Shared<Vec<T>>) -> Splice<T> {
        if Shared::is_same(before, now) {
            return Splice { at: 0, removed: 0, added: Vec::new() };
        }
        let at = before.iter().zip(now.iter()).take_while(|(one, other)| one == other).count();
        let (before, now) = (&before[at..], &now[at..]);
        let end = before.iter().rev().zip(now.iter().rev()).take_while(|(one, other)| one == other).count();
        Splice { at, removed: before.len() - end, added: now[..now.len() - end].to_vec() }
    }

    /// The list now. `None`: the span is not in the list before.
    fn over(self, before: &Shared<Vec<T>>) -> Option<Shared<Vec<T>>> {
        if self.removed == 0 && self.added.is_empty() {
            return Some(before.clone());
        }
        let until = self.at.checked_add(self.removed)?;
        let (head, tail) = (before.get(..self.at)?, before.get(until..)?);
        Some(Shared::new([head, &self.added, tail].concat()))
    }
}

/// The bytes that bring a reader who has `before` to `now`. `None`: they are states of two sessions.
pub fn difference(before: &Session, now: &Session) -> io::Result<Option<Vec<u8>>> {
    if before.id != now.id {
        return Ok(None);
    }
    // Every field is named here, so that the compiler asks for a new one.
    let Session { id, name, created, rate, format, next_id, tracks, markers, takes, overflow_folders, other } = now;
    let changed = |(at, take): (usize, &Take)| {
        let is_same = before.takes.get(at).is_some_and(|before| before == take);
        (!is_same).then(|| (at, take.clone()))
    };
    let is_same = Shared::is_same(&before.takes, takes);
    let changes = if is_same { Vec::new() } else { takes.iter().enumerate().filter_map(changed).collect() };
    let difference = Difference {
        version: FILE_VERSION,
        id: *id,
        name: name.clone(),
        created: created.clone(),
        rate: *rate,
        format: *format,
        next_id: *next_id,
        overflow_folders: overflow_folders.clone(),
        other: other.clone(),
        tracks: parts(&before.tracks, tracks),
        markers: Splice::between(&before.markers, markers),
        take_count: takes.len(),
        takes: changes,
    };
    Ok(Some(serde_json::to_vec(&difference)?))
}

fn parts(before: &[Track], now: &[Track]) -> Vec<Part> {
    let places: HashMap<TrackId, usize> = before.iter().enumerate().map(|(at, track)| (track.id, at)).collect();
    let mut parts: Vec<Part> = Vec::new();
    for track in now {
        let Some((at, old)) = places.get(&track.id).and_then(|at| Some((*at, before.get(*at)?))) else {
            parts.push(Part::New(track.clone()));
            continue;
        };
        if !Shared::is_same(old, track) {
            let regions = Splice::between(&old.regions, &track.regions);
            let fields = TrackFields { regions: Shared::default(), ..TrackFields::clone(track) };
            parts.push(Part::Changed(at, fields, regions));
            continue;
        }
        match parts.last_mut() {
            Some(Part::Same(from, count)) if *from + *count == at => *count += 1,
            _ => parts.push(Part::Same(at, 1)),
        }
    }
    parts
}

/// The state after `before`, by bytes of [`difference`]. It is valid, or the bytes are refused.
pub fn with_difference(before: &Session, bytes: &[u8]) -> Result<Session, Fault> {
    check_version(bytes)?;
    let difference: Difference = serde_json::from_slice(bytes)?;
    let session = apply(before, difference).ok_or_else(|| Fault::damaged("the change is one of another session"))?;
    session.validate().map_err(|reason| Fault::damaged(&reason))?;
    Ok(session)
}

fn apply(before: &Session, difference: Difference) -> Option<Session> {
    let Difference { version: _, id, name, created, rate, format, next_id, overflow_folders, other, .. } = difference;
    let mut tracks: Vec<Track> = Vec::new();
    for part in difference.tracks {
        match part {
            Part::Same(from, count) => tracks.extend_from_slice(before.tracks.get(from..from.checked_add(count)?)?),
            Part::Changed(at, fields, regions) => {
                let regions = regions.over(&before.tracks.get(at)?.regions)?;
                tracks.push(Shared::new(TrackFields { regions, ..fields }));
            }
            Part::New(track) => tracks.push(track),
        }
        if TRACK_COUNT_MAX < tracks.len() {
            return None;
        }
    }
    let mut takes = before.takes.clone();
    if TAKE_COUNT_MAX < difference.take_count {
        return None;
    }
    if difference.take_count < takes.len() || !difference.takes.is_empty() {
        takes.truncate(difference.take_count);
        for (at, take) in difference.takes {
            match takes.len() {
                count if at < count => takes[at] = take,
                count if at == count => takes.push(take),
                _ => return None,
            }
        }
    }
    let markers = difference.markers.over(&before.markers)?;
    let is_whole = id == before.id && takes.len() == difference.take_count;
    is_whole.then_some(Session {
        id,
        name,
        created,
        rate,
        format,
        next_id,
        tracks,
        markers,
        takes,
        overflow_folders,
        other,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{any_session, any_steps, apply as step, recorded};
    use super::super::{parse, to_bytes};
    use super::*;
    use crate::time::{FramePos, Frames};
    use proptest::prelude::*;

    fn through(before: &Session, now: &Session) -> (Session, usize) {
        let bytes = difference(before, now).unwrap().unwrap();
        (with_difference(before, &bytes).unwrap(), bytes.len())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn a_window_that_gets_only_differences_has_the_session_of_the_engine(
            first in any_session(),
            rounds in prop::collection::vec(any_steps(), 1..5),
        ) {
            let (mut engine, mut window) = (first.clone(), parse(&to_bytes(&first).unwrap()).unwrap());
            for steps in rounds {
                let before = engine.clone();
                for one in steps {
                    step(&mut engine, one).ok();
                }
                let bytes = difference(&before, &engine).unwrap().unwrap();
                window = with_difference(&window, &bytes).unwrap();
                prop_assert_eq!(&window, &engine);
            }
        }

        #[test]
        fn bytes_that_were_changed_on_the_way_give_a_valid_session_or_none(
            first in any_session(),
            steps in any_steps(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            other in any_session(),
        ) {
            let mut now = first.clone();
            for one in steps {
                step(&mut now, one).ok();
            }
            let mut bytes = difference(&first, &now).unwrap().unwrap();
            // Another session of the same identity, which this difference does not belong to.
            if let Ok(session) = with_difference(&other, &bytes) {
                prop_assert!(session.validate().is_ok());
            }
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(session) = with_difference(&first, &bytes) {
                prop_assert!(session.validate().is_ok());
            }
        }
    }

    fn large() -> Session {
        let mut session = super::super::super::tests::empty_session();
        for track in 0..64_u64 {
            let id = session.add_track(&format!("In {track}"), &[track as u32]).unwrap();
            let take = recorded(&mut session, id, FramePos(0), Frames(1_000_000));
            for region in 0..1000 {
                session.place_region(id, take, FramePos(region * 1000), FramePos(0), Frames(900)).unwrap();
            }
        }
        session
    }

    #[test]
    fn an_edit_of_a_large_session_is_a_small_difference_and_shares_what_did_not_change() {
        let before = large();
        let whole = to_bytes(&before).unwrap().len();
        assert!(6_000_000 < whole, "{whole}");
        let ids: Vec<TrackId> = before.track_ids().collect();
        let mut gain = before.clone();
        gain.track_mut(ids[7]).unwrap().set_gain_db(-3.0);
        let mut split = before.clone();
        let region = split.track(ids[5]).unwrap().regions()[500].id;
        split.split_region(region, FramePos(500_400)).unwrap();
        let mut moved = before.clone();
        moved.move_track(ids[0], 63).unwrap();
        let mut taken = before.clone();
        recorded(&mut taken, ids[3], FramePos(0), Frames(10));
        for (name, now) in [("gain", gain), ("split", split), ("moved", moved), ("taken", taken)] {
            let (window, bytes) = through(&before, &now);
            assert_eq!(window, now, "{name}");
            assert!(bytes < 4096, "{name}: {bytes} bytes");
            let same = |track: &Track| before.track(track.id()).is_some_and(|before| Shared::is_same(before, track));
            assert!(62 < window.tracks().iter().filter(|track| same(track)).count(), "{name}");
        }
    }

    #[test]
    fn states_of_two_sessions_have_no_difference() {
        let one = super::super::super::tests::empty_session();
        let other = Session { id: Uuid::from_u128(2), ..one.clone() };
        assert!(difference(&one, &other).unwrap().is_none());
        let bytes = difference(&one, &one).unwrap().unwrap();
        assert!(with_difference(&other, &bytes).is_err());
    }

    #[test]
    fn parts_that_do_not_fit_are_refused_and_cannot_make_the_reader_grow() {
        let mut session = super::super::super::tests::empty_session();
        session.add_track("Kick", &[0]).unwrap();
        let text = String::from_utf8(difference(&session, &session).unwrap().unwrap()).unwrap();
        for (from, to) in [
            (r#"{"Same":[0,1]}"#, r#"{"Same":[0,2]}"#.to_owned()),
            (r#"{"Same":[0,1]}"#, format!(r#"{{"Same":[{},1]}}"#, usize::MAX)),
            (r#"{"Same":[0,1]}"#, vec![r#"{"Same":[0,1]}"#; 100_000].join(",")),
            (r#""take_count":0"#, r#""take_count":1"#.to_owned()),
            (r#""take_count":0"#, format!(r#""take_count":{}"#, usize::MAX)),
            (r#"{"at":0,"removed":0,"added":[]}"#, r#"{"at":0,"removed":1,"added":[]}"#.to_owned()),
            (r#"{"at":0,"removed":0,"added":[]}"#, format!(r#"{{"at":1,"removed":{},"added":[]}}"#, usize::MAX)),
        ] {
            assert!(text.contains(from), "{from}: {text}");
            let damaged = text.replacen(from, &to, 1);
            assert!(with_difference(&session, damaged.as_bytes()).is_err(), "{from} {}", &to[..to.len().min(60)]);
        }
    }
}
