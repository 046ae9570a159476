//! Compares the exported mix with the session as the engine's own voices play it. Thread: any.

use super::*;
use crate::engine::Playhead;
use crate::engine::mix::Buses;
use crate::engine::outbox::Outbox;
use crate::engine::voices::Voices;
use crate::message::published::Published;
use crate::message::{PlayPath, Voice};
use crate::mixer::{AudibleRegion, audible_regions, mix_of};
use crate::session::Track;
use crate::window::map::Mapping;
use crate::window::playback::{Edges, PlaybackWindow, playback_windows};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const PERIOD_FRAMES: usize = 96;

impl TestSession {
    /// The voice of a track, with all of its windows supplied.
    fn voice(&self, track: &Track) -> Box<Voice> {
        let (audio, mut reader) = playback_windows();
        for AudibleRegion { region, take, fades } in audible_regions(track, &self.session) {
            let file = fs::File::open(self.file(take.id)).unwrap();
            let bytes = file.metadata().unwrap().len().next_multiple_of(4096) as usize;
            let skip_frames = region.take_start.0 as usize;
            let window = PlaybackWindow {
                map: Mapping::readable(&file, 0, bytes).unwrap(),
                epoch: 0,
                start: region.start.0,
                frames: region.length.0,
                skip_bytes: 4096 + skip_frames * take.channels as usize * take.format.bytes(),
                format: take.format,
                channels: take.channels as usize,
                edges: Edges::new(fades, region.length.0),
            };
            assert!(reader.ring.hand_over(window).is_ok());
        }
        reader.supplied_until(0, u64::MAX);
        Box::new(Voice::new(audio, mix_of(track, &self.session)))
    }

    /// The output of the buses for the whole session.
    fn played(&self) -> Vec<f32> {
        let (events, _kept) = rtrb::RingBuffer::new(64);
        let published = Arc::new(Published::new(0));
        let mut outbox = Outbox::new(events, Arc::clone(&published));
        let (mut voices, mut buses, mut out) = (Voices::default(), Box::<Buses>::default(), Vec::new());
        for (slot, track) in self.session.tracks().iter().enumerate() {
            voices.replace(slot, self.voice(track), false, &mut outbox);
        }
        let mut playhead = Playhead { path: PlayPath::default(), epoch: 0, stream: 0 };
        while playhead.stream < self.session.end().0 {
            let frames = (self.session.end().0 - playhead.stream).min(PERIOD_FRAMES as u64) as usize;
            buses.clear(frames);
            voices.play_disk(&playhead, frames, &mut buses, &mut outbox, &published, 1.0);
            out.extend(buses.sum(0, frames).iter().zip(buses.sum(1, frames)).flat_map(|(left, right)| [*left, *right]));
            playhead.stream += frames as u64;
        }
        assert_eq!((published.frames_dropped.load(Relaxed), published.events_missed.load(Relaxed)), (0, 0));
        out
    }
}

#[test]
fn the_mix_is_bit_for_bit_what_the_engine_plays() {
    let mut fixture = TestSession::new(TakeFormat::S24);
    for index in 0..12_usize {
        let format = FORMATS[index % 3];
        let inputs = 1 + index / 3 % 2;
        // Every fifth take has another number of channels than its track.
        let channels = if index % 5 == 4 { 3 - inputs } else { inputs };
        let track = fixture.track("T", &[0, 1][..inputs]);
        let take = fixture.take(track, format, channels as u32, &noise(format, 20_000 * channels, index as u64));
        let at = index as u64 * 313;
        fixture.place(track, take, at, 17, 9_000);
        // The second region continues the first one; the third one does not.
        fixture.place(track, take, at + 9_000, 9_017, 1_000);
        fixture.place(track, take, at + 10_000, 1_234, 2_000);
        let muted = fixture.place(track, take, at + 12_500, 0, 500);
        fixture.session.mute_regions(&[muted], true).unwrap();
        fixture.place(track, take, at + 14_000, 5, 4_001);
        let track = fixture.session.track_mut(track).unwrap();
        track.set_gain_db(6.0 - 1.7 * index as f32);
        track.set_pan(index as f32 / 5.5 - 1.0);
        (track.mute, track.solo) = (index == 3, false);
    }
    let options = ExportOptions { mix: true, force: true, format: Some(TakeFormat::F32), ..fixture.options() };
    for soloed in [false, true] {
        for track in fixture.session.track_ids().skip(5).step_by(2).collect::<Vec<_>>() {
            fixture.session.track_mut(track).unwrap().solo = soloed;
        }
        let exported = fixture.export(&options).unwrap();
        let bits = |samples: &[f32]| samples.iter().map(|sample| sample.to_bits()).collect::<Vec<_>>();
        let played = fixture.played();
        assert!(played.iter().filter(|sample| **sample != 0.0).count() > 20_000);
        assert!(bits(&decoded(&exported[0].file)) == bits(&played));
    }
}
