//! Writing the bytes of `session.json`. Thread: any; pure.
//!
//! Every track, region, take, loss and marker has a line of its own, so that a person can read the file and compare two
//! versions of it. An [`Encoder`] keeps the bytes of the last session and encodes only what is not the same value in
//! memory since, so encoding costs the change and a copy of the bytes.

use super::FILE_VERSION;
use crate::format::TakeFormat;
use crate::session::{Marker, Other, Session, Shared, Track, TrackId};
use crate::time::SampleRate;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use uuid::Uuid;

/// Encodes sessions, one after the other.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    last: Option<Encoded>,
}

/// An encoded session, with the places of its tracks and takes in the bytes.
#[derive(Debug)]
struct Encoded {
    session: Session,
    bytes: Vec<u8>,
    tracks: Vec<Range<usize>>,
    takes: Vec<Range<usize>>,
}

/// The part of the file before the tracks.
#[derive(Serialize)]
struct Head<'a> {
    version: u64,
    id: &'a Uuid,
    name: &'a str,
    created: &'a str,
    rate: SampleRate,
    format: TakeFormat,
    next_id: u64,
    markers: &'a [Marker],
    #[serde(rename = "beside", skip_serializing_if = "<[String]>::is_empty")]
    overflow_folders: &'a [String],
    #[serde(flatten)]
    other: &'a Other,
}

impl Encoder {
    /// The number of bytes that were encoded last.
    pub(super) fn byte_count(&self) -> usize {
        self.last.as_ref().map_or(0, |last| last.bytes.len())
    }

    /// The session that was encoded last.
    pub(super) fn last(&self) -> Option<&Session> {
        self.last.as_ref().map(|last| &last.session)
    }

    /// Whether this is the session that was encoded last.
    pub(super) fn has_encoded(&self, session: &Session) -> bool {
        self.last() == Some(session)
    }

    /// The bytes of a session as they are written, and whether they differ from the last ones.
    pub(super) fn encode(&mut self, session: &Session) -> io::Result<(&[u8], bool)> {
        let is_same = self.has_encoded(session);
        let (encoded, differs) = match self.last.take() {
            Some(last) if is_same => (last, false),
            last => {
                let encoded = encode(session, last.as_ref())?;
                let differs = last.is_none_or(|last| last.bytes != encoded.bytes);
                (encoded, differs)
            }
        };
        Ok((&self.last.insert(encoded).bytes, differs))
    }
}

/// The bytes of a session as they are written.
pub fn to_bytes(session: &Session) -> io::Result<Vec<u8>> {
    encode(session, None).map(|encoded| encoded.bytes)
}

/// The bytes of a value as a session's file has them: a line for each object of a list.
pub(super) fn to_lines(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    append(&mut bytes, value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn encode(session: &Session, last: Option<&Encoded>) -> io::Result<Encoded> {
    // Every field is named here, so that the compiler asks for a new one.
    let Session { id, name, created, rate, format, next_id, tracks, markers, takes, overflow_folders, other } = session;
    let head = Head {
        version: FILE_VERSION,
        id,
        name,
        created,
        rate: *rate,
        format: *format,
        next_id: *next_id,
        markers,
        overflow_folders,
        other,
    };
    let mut bytes = Vec::with_capacity(last.map_or(0, |last| last.bytes.len() + 4096));
    append(&mut bytes, &head)?;
    // The tracks and takes follow inside the same object.
    bytes.pop();
    bytes.extend_from_slice(b",\n\"tracks\": [");
    let tracks = append_tracks(&mut bytes, tracks, last)?;
    bytes.extend_from_slice(b"],\n\"takes\": [");
    let mut old = last.map(|last| last.session.takes.iter().zip(&last.takes).peekable());
    let mut places = Vec::with_capacity(takes.len());
    for take in takes.iter() {
        begin_value(&mut bytes, places.is_empty());
        let from = bytes.len();
        // Both lists are sorted by identity.
        if let Some(old) = &mut old {
            while old.next_if(|(old, _)| !Shared::is_same(old, take) && old.id < take.id).is_some() {}
        }
        let same = old.as_mut().and_then(|old| old.next_if(|(old, _)| Shared::is_same(old, take)));
        match (same, last) {
            (Some((_, place)), Some(last)) => bytes.extend_from_slice(&last.bytes[place.clone()]),
            _ => append(&mut bytes, take)?,
        }
        places.push(from..bytes.len());
    }
    bytes.extend_from_slice(b"]}\n");
    Ok(Encoded { session: session.clone(), bytes, tracks, takes: places })
}

fn append_tracks(bytes: &mut Vec<u8>, tracks: &[Track], last: Option<&Encoded>) -> io::Result<Vec<Range<usize>>> {
    let old: HashMap<TrackId, (&Track, &Range<usize>)> = last
        .map(|last| last.session.tracks.iter().zip(&last.tracks).map(|found| (found.0.id, found)).collect())
        .unwrap_or_default();
    let mut places = Vec::with_capacity(tracks.len());
    for track in tracks {
        begin_value(bytes, places.is_empty());
        let from = bytes.len();
        match (old.get(&track.id), last) {
            (Some((old, place)), Some(last)) if Shared::is_same(old, track) => {
                bytes.extend_from_slice(&last.bytes[(*place).clone()]);
            }
            _ => append(bytes, track)?,
        }
        places.push(from..bytes.len());
    }
    Ok(places)
}

fn begin_value(bytes: &mut Vec<u8>, is_first: bool) {
    bytes.extend_from_slice(if is_first { b"\n" } else { b",\n" });
}

fn append(bytes: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(bytes, Lines::default()))?)
}

/// Adds bytes to the text in memory.
fn put<W: io::Write + ?Sized>(to: &mut W, bytes: &[u8]) -> io::Result<()> {
    io::Write::write_all(to, bytes)
}

/// Puts every object of an array on a line of its own.
#[derive(Default)]
struct Lines {
    /// Whether the next value is an element of an array.
    is_element: bool,
}

impl Formatter for Lines {
    fn begin_array_value<W: io::Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.is_element = true;
        if first { Ok(()) } else { put(to, b",") }
    }

    fn end_array_value<W: io::Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_element = false;
        Ok(())
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        let line: &[u8] = if std::mem::take(&mut self.is_element) { b"\n{" } else { b"{" };
        put(to, line)
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { put(to, b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.is_element = false;
        put(to, b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{any_session, any_steps, apply, empty_session, recorded};
    use crate::time::{FramePos, Frames};
    use proptest::prelude::*;

    #[test]
    fn every_track_region_take_and_marker_has_a_line() {
        let mut session = empty_session();
        let track = session.add_track("Kick", &[0, 1]).expect("room");
        let take = recorded(&mut session, track, FramePos(0), Frames(100));
        session.choose_take(track, take, FramePos(0), FramePos(100)).expect("placed");
        session.add_loss(take, FramePos(7), Frames(1), "xrun").expect("room");
        session.add_marker(FramePos(1), "one").expect("room");
        session.add_marker(FramePos(2), "two").expect("room");
        let text = String::from_utf8(to_bytes(&session).expect("JSON")).expect("UTF-8");
        let line = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(line("{\"version\": 1, "), 1, "{text}");
        assert_eq!(line("{\"id\": "), 5, "{text}");
        assert_eq!(line("{\"at\": 7, \"frames\": 1, "), 1, "{text}");
        assert!(text.contains("\"inputs\": [0,1]"), "{text}");
    }

    proptest! {
        #[test]
        fn an_encoder_that_has_encoded_another_session_writes_the_same_bytes(
            session in any_session(),
            steps in any_steps(),
        ) {
            let mut encoder = Encoder::default();
            prop_assert!(encoder.encode(&session).expect("JSON").1);
            prop_assert!(!encoder.encode(&session.clone()).expect("JSON").1);
            let mut now = session;
            for step in steps {
                let before = now.clone();
                apply(&mut now, step).ok();
                let plain = to_bytes(&now).expect("JSON");
                let (bytes, differs) = encoder.encode(&now).expect("JSON");
                prop_assert_eq!(bytes, &plain[..]);
                prop_assert_eq!(differs, now != before);
            }
        }
    }
}
