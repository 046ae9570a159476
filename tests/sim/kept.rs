//! The part of an open session that changes only when the user edits it. Thread: the one of the run.

use faultless::control::Control;
use faultless::session::{Session, Take, TakeState, Track, TrackId};

/// The name, the format, the markers, and the tracks without their regions.
pub(crate) struct Kept {
    pub(crate) revision: u64,
    whole: String,
    tracks: Vec<(TrackId, String)>,
}

impl Kept {
    pub(crate) fn of(control: &Control) -> Kept {
        let session = control.session();
        let markers: Vec<_> = session.markers().iter().map(|marker| (marker.id, marker.at, &marker.name)).collect();
        let track = |track: &Track| {
            let mix = (track.gain_db(), track.pan(), track.mute, track.solo, track.monitor, track.armed, track.colour);
            (track.id(), format!("{:?} {:?} {mix:?}", track.name(), track.inputs()))
        };
        Kept {
            revision: control.revision(),
            whole: format!("{:?} {:?} {markers:?}", session.name(), session.format),
            tracks: session.tracks().iter().map(track).collect(),
        }
    }

    /// The edit that `now` has lost since, as an offence. A track may come: a take may bring back the one that it belongs to.
    pub(crate) fn lost_in(&self, now: &Kept) -> Option<String> {
        if self.whole != now.whole {
            return Some(format!("an edit is lost: {} became {}", self.whole, now.whole));
        }
        let (id, was) = self.tracks.iter().find(|track| !now.tracks.contains(track))?;
        Some(format!("an edit is lost: track {id} was {was}"))
    }
}

/// A take with sound whose track is not there, as an offence. The next start would bring the track back.
pub(crate) fn take_without_track(session: &Session) -> Option<String> {
    let has_ended = |take: &&Take| take.state != TakeState::Recording && !take.trashed && take.frames.0 > 0;
    let without = session.takes().iter().filter(has_ended).find(|take| session.track(take.track).is_none())?;
    Some(format!("{}: its track is not there while the program runs", without.path()))
}
