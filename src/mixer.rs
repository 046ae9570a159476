//! The mixer: [`mix_of`] turns gain, pan, mute and solo of the session's tracks into the gains that playback and export
//! apply. Thread: any. The audio thread only copies a [`Mix`]; the control side and the export compute it. Both call
//! [`mix_of`], so that a mixdown sounds like playback.

use crate::limits::TAKE_CHANNEL_COUNT_MAX;
use crate::session::{Monitor, Region, Session, Take, Track};

/// Gains from each channel of a track to the left and the right bus: `gains[channel] == [left, right]`, as factors.
pub type PanGains = [[f32; 2]; TAKE_CHANNEL_COUNT_MAX];

/// The gains of a track for a sound of one channel and for a sound of two.
///
/// The sound decides which ones apply, not the track: a take of one channel is panned and a take of two is balanced,
/// also after the track was given other inputs. So a take sounds as it did when it was recorded, on both sides, in
/// playback and in every mix. Reaper treats items in the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrackGains {
    /// For one channel. Only the first row is used.
    pub mono: PanGains,
    /// For two channels.
    pub stereo: PanGains,
}

impl TrackGains {
    /// The gains of silence.
    pub const SILENT: TrackGains = TrackGains { mono: [[0.0; 2]; 2], stereo: [[0.0; 2]; 2] };

    /// The same gains for every sound.
    pub const fn both(gains: PanGains) -> TrackGains {
        TrackGains { mono: gains, stereo: gains }
    }

    /// The gains for a sound of `channels` channels. This is realtime-safe.
    pub fn of(&self, channels: usize) -> &PanGains {
        if channels == 1 { &self.mono } else { &self.stereo }
    }

    /// The gains for a sound of `channels` channels. This is realtime-safe.
    pub fn of_mut(&mut self, channels: usize) -> &mut PanGains {
        if channels == 1 { &mut self.mono } else { &mut self.stereo }
    }
}

/// How one track sounds: gains, sources, and channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Gains that the track's sound ramps to.
    pub gains: TrackGains,
    /// Whether the track's takes are played.
    pub disk: bool,
    /// Whether the track's inputs are played (input monitoring).
    pub input: bool,
    /// Whether the audio thread chooses between takes and inputs in place of `disk` and `input`, see [`Mix::sources`].
    pub auto: bool,
    /// Device channels of the track's inputs, counted from 0. Only the first `channels` entries are used.
    pub inputs: [usize; TAKE_CHANNEL_COUNT_MAX],
    /// Channels of the track's inputs: 1 or 2.
    pub channels: usize,
}

impl Mix {
    /// Whether the takes and whether the inputs are played. `live`: the transport is at rest or a pass records. With
    /// `auto` the inputs are played then, and the takes otherwise: also in the pre-roll of a punch, where the player
    /// needs the take that he punches into. This is realtime-safe.
    pub fn sources(&self, live: bool) -> (bool, bool) {
        if self.auto { (!live, live) } else { (self.disk, self.input) }
    }
}

/// The mix of `track` in `session`: the track's gain and pan, muted by its mute switch and by the solo of other tracks.
pub fn mix_of(track: &Track, session: &Session) -> Mix {
    mix_with(track, session.is_any_soloed())
}

/// The mixes of all tracks of `session`, in their order.
pub fn mixes_of(session: &Session) -> impl Iterator<Item = Mix> {
    let is_any_soloed = session.is_any_soloed();
    session.tracks().iter().map(move |track| mix_with(track, is_any_soloed))
}

fn mix_with(track: &Track, is_any_soloed: bool) -> Mix {
    let channels = track.inputs().len();
    let of = |channels| pan_gains(track.gain_db(), track.pan(), channels);
    let gains =
        if track.is_silent(is_any_soloed) { TrackGains::SILENT } else { TrackGains { mono: of(1), stereo: of(2) } };
    let mut inputs = [0; TAKE_CHANNEL_COUNT_MAX];
    for (slot, input) in inputs.iter_mut().zip(track.inputs()) {
        *slot = *input as usize;
    }
    let input = track.monitor == Monitor::Input;
    Mix { gains, disk: !input, input, auto: false, inputs, channels }
}

/// A region that is heard, and its take.
#[derive(Clone, Copy, Debug)]
pub struct AudibleRegion<'a> {
    /// The region that is heard.
    pub region: &'a Region,
    /// The take that it plays.
    pub take: &'a Take,
    /// Whether the region fades in, and whether it fades out, so that its edges do not click. Where the region before or
    /// behind continues the same recording without a break there is no fade.
    pub fades: [bool; 2],
}

/// The regions of `track` that are not muted, in order.
pub fn audible_regions<'a>(track: &'a Track, session: &'a Session) -> Vec<AudibleRegion<'a>> {
    let audible = track.regions().iter().filter(|region| !region.muted);
    let mut found: Vec<AudibleRegion<'a>> = audible
        .filter_map(|region| Some(AudibleRegion { region, take: session.take(region.take)?, fades: [true; 2] }))
        .collect();
    for at in 1..found.len() {
        if continues(&found[at - 1], &found[at]) {
            found[at - 1].fades[1] = false;
            found[at].fades[0] = false;
        }
    }
    found
}

/// Whether `next` begins with the frame of the recording that follows the last one of `before`, at the same place of the
/// timeline. A recording that continued in another file has a take for each.
fn continues(before: &AudibleRegion<'_>, next: &AudibleRegion<'_>) -> bool {
    let in_pass = |found: &AudibleRegion<'_>| found.take.offset.0 + found.region.take_start.0;
    let same_recording = (before.take.track, before.take.pass) == (next.take.track, next.take.pass)
        && (before.take.id == next.take.id || before.take.offset != next.take.offset);
    same_recording
        && before.region.end() == next.region.start
        && in_pass(before) + before.region.length.0 == in_pass(next)
}

/// The pan law: gains of a sound of `channels` channels. `pan` is -1 (left) to 1 (right).
///
/// A mono sound is panned with constant power: -3 dB in the middle, 0 dB at the ends. A stereo sound is balanced: pan
/// attenuates the side it turns away from and leaves the other unchanged. A `gain_db` of -120 or less is silence.
pub fn pan_gains(gain_db: f32, pan: f32, channels: usize) -> PanGains {
    let gain = if gain_db <= -120.0 { 0.0 } else { 10_f32.powf(gain_db / 20.0) };
    let pan = if pan.is_nan() { 0.0 } else { pan.clamp(-1.0, 1.0) };
    if channels == 1 {
        let angle = (f64::from(pan) + 1.0) * std::f64::consts::FRAC_PI_4;
        // The ends are exact, so that a track panned hard reaches its bus unchanged.
        let (left, right) = match pan {
            -1.0 => (1.0, 0.0),
            1.0 => (0.0, 1.0),
            _ => (angle.cos() as f32, angle.sin() as f32),
        };
        [[gain * left, gain * right], [0.0; 2]]
    } else {
        [[gain * (1.0 - pan).min(1.0), 0.0], [0.0, gain * (1.0 + pan).min(1.0)]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mono_track_keeps_its_power_at_every_pan_and_is_exact_at_the_ends() {
        for pan in [-0.9, -0.3, 0.0, 0.5, 0.99] {
            let [[left, right], _] = pan_gains(0.0, pan, 1);
            assert!((left * left + right * right - 1.0).abs() < 1e-6);
        }
        assert_eq!(pan_gains(0.0, -1.0, 1)[0], [1.0, 0.0]);
        assert_eq!(pan_gains(0.0, 1.0, 1)[0], [0.0, 1.0]);
        assert_eq!(pan_gains(-120.0, 0.0, 1)[0], [0.0, 0.0]);
    }

    #[test]
    fn a_stereo_track_in_the_middle_passes_unchanged() {
        assert_eq!(pan_gains(0.0, 0.0, 2), [[1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(pan_gains(0.0, 1.0, 2), [[0.0, 0.0], [0.0, 1.0]]);
    }
}
