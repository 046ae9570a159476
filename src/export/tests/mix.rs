//! Compares the mix with sums that the tests compute themselves. Thread: any.

use super::*;
use crate::mixer::pan_gains;
use crate::session::Monitor;

const FRAMES: usize = 70_000;

impl TestSession {
    fn mixed(&self, format: Option<TakeFormat>) -> Vec<f32> {
        let exported = self.export(&ExportOptions { mix: true, force: true, format, ..self.options() }).unwrap();
        assert_eq!((exported.len(), exported[0].track, exported[0].channels), (1, None, 2));
        assert_eq!(exported[0].file, self.to().join("Demo mix.wav"));
        decoded(&exported[0].file)
    }
}

/// `sound`, of `channels` channels, as a region of all of it plays it.
fn with_edges(sound: &[f32], channels: usize) -> Vec<f32> {
    let frames = sound.len() / channels;
    let gain = |at: usize| (at.min(frames - 1 - at) as f32 / 64.0).min(1.0);
    sound.iter().enumerate().map(|(at, sample)| sample * gain(at / channels)).collect()
}

/// Regions began and ended with a step, for example from 0.0 to 0.114 within a frame.
#[test]
fn a_region_fades_at_its_edges_and_not_where_the_next_one_continues_it() {
    let mut fixture = TestSession::new(TakeFormat::F32);
    let track = fixture.track("A", &[0]);
    fixture.session.track_mut(track).unwrap().set_pan(-1.0);
    let take = fixture.take(track, TakeFormat::F32, 1, &[0.5; 4_000]);
    fixture.place(track, take, 0, 0, 1_000);
    fixture.place(track, take, 1_000, 1_000, 1_000);
    fixture.place(track, take, 2_000, 2_500, 1_000);
    let out: Vec<f32> = fixture.mixed(Some(TakeFormat::F32)).chunks_exact(2).map(|frame| frame[0]).collect();
    let seams = [0, 1_999, 2_000, 2_999].map(|at| out[at].to_bits());
    assert_eq!(seams, [0.0_f32.to_bits(); 4], "edges that are no continuation are silent");
    assert!(out[64..1_936].iter().all(|sample| sample.to_bits() == 0.5_f32.to_bits()), "the seam is not heard");
    assert!(out.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.01), "no step");
}

#[test]
fn the_mix_is_the_sum_of_its_tracks_in_their_order_bit_for_bit() {
    let mut fixture = TestSession::new(TakeFormat::S24);
    let mut expected = vec![0.0_f32; FRAMES * 2];
    for (index, format) in [TakeFormat::S16, TakeFormat::S24, TakeFormat::F32].into_iter().cycle().take(8).enumerate() {
        // Every track starts and ends at another frame, and not at the edge of a block.
        let (at, frames) = (index * 1_237, FRAMES - index * 2_501);
        let sound = noise(format, frames, index as u64);
        let track = fixture.mono("T", format, at as u64, &sound);
        let track = fixture.session.track_mut(track).unwrap();
        track.set_gain_db(-3.0 * index as f32);
        track.set_pan(index as f32 / 4.0 - 0.9);
        let [[left, right], _] = pan_gains(track.gain_db(), track.pan(), 1);
        for (frame, sample) in expected.chunks_exact_mut(2).skip(at).zip(&with_edges(&sound, 1)) {
            frame[0] += sample * left;
            frame[1] += sample * right;
        }
    }
    let end = fixture.session.end().0 as usize * 2;
    expected.resize(end, 0.0);
    assert_eq!(fixture.mixed(Some(TakeFormat::F32)), expected);
}

#[test]
fn a_mono_track_panned_left_is_unchanged_on_the_left() {
    let mut fixture = TestSession::new(TakeFormat::S24);
    let sound = noise(TakeFormat::S24, 5_000, 4);
    let track = fixture.mono("A", TakeFormat::S24, 0, &sound);
    fixture.session.track_mut(track).unwrap().set_pan(-1.0);
    let out = fixture.mixed(Some(TakeFormat::F32));
    assert!(out.chunks_exact(2).zip(&with_edges(&sound, 1)).all(|(frame, sample)| frame == [*sample, 0.0]));
}

#[test]
fn a_stereo_track_in_the_middle_is_unchanged() {
    let mut fixture = TestSession::new(TakeFormat::S24);
    let track = fixture.track("A", &[0, 1]);
    let sound = noise(TakeFormat::S16, 10_000, 4);
    let take = fixture.take(track, TakeFormat::S16, 2, &sound);
    fixture.place(track, take, 0, 0, 5_000);
    assert_eq!(fixture.mixed(Some(TakeFormat::F32)), with_edges(&sound, 2));
}

#[test]
fn a_take_keeps_both_sides_when_its_track_is_given_other_inputs() {
    let mut fixture = TestSession::new(TakeFormat::S24);
    let stereo = fixture.track("A", &[0, 1]);
    let take = fixture.take(stereo, TakeFormat::F32, 1, &[0.5; 200]);
    fixture.place(stereo, take, 0, 0, 200);
    let mono = fixture.track("B", &[0]);
    let take = fixture.take(mono, TakeFormat::F32, 2, &[0.25, 0.125].repeat(200));
    fixture.place(mono, take, 200, 0, 200);
    let out = fixture.mixed(Some(TakeFormat::F32));
    let [[left, right], _] = pan_gains(0.0, 0.0, 1);
    assert!(out[200..220].chunks_exact(2).all(|frame| frame == [0.5 * left, 0.5 * right]));
    assert!(out[600..620].chunks_exact(2).all(|frame| frame == [0.25, 0.125]));
}

#[test]
fn mute_solo_and_monitoring_silence_the_same_tracks_as_in_the_engine() {
    let mut fixture = TestSession::new(TakeFormat::S24);
    let tracks = [0.5, 0.25, 0.125].map(|value| fixture.mono("A", TakeFormat::S24, 0, &[value; 200]));
    for track in tracks {
        fixture.session.track_mut(track).unwrap().set_pan(-1.0);
    }
    let left = |fixture: &TestSession| fixture.mixed(Some(TakeFormat::F32))[200];
    assert_eq!(left(&fixture).to_bits(), 0.875_f32.to_bits());
    fixture.session.track_mut(tracks[0]).unwrap().mute = true;
    assert_eq!(left(&fixture).to_bits(), 0.375_f32.to_bits());
    fixture.session.track_mut(tracks[1]).unwrap().solo = true;
    assert_eq!(left(&fixture).to_bits(), 0.25_f32.to_bits());
    fixture.session.track_mut(tracks[0]).unwrap().solo = true;
    assert_eq!(left(&fixture).to_bits(), 0.25_f32.to_bits());
    fixture.session.track_mut(tracks[1]).unwrap().solo = false;
    let error = fixture.plan(&ExportOptions { mix: true, ..fixture.options() }).unwrap_err();
    assert!(matches!(error, ExportError::NoSound { mix: true, .. }), "{error}");

    let track = fixture.session.track_mut(tracks[0]).unwrap();
    (track.mute, track.solo, track.monitor) = (false, false, Monitor::Input);
    assert_eq!(left(&fixture).to_bits(), 0.375_f32.to_bits());
    let notes = fixture.plan(&ExportOptions { mix: true, ..fixture.options() }).unwrap().notes;
    assert_eq!(notes, ["track 1 (A): its input is monitored, so its takes are not heard"]);
}

#[test]
fn only_chosen_tracks_are_mixed() {
    let mut fixture = TestSession::new(TakeFormat::F32);
    for value in [0.5, 0.25] {
        let track = fixture.mono("A", TakeFormat::S24, 0, &[value; 200]);
        fixture.session.track_mut(track).unwrap().set_pan(1.0);
    }
    fixture.export(&ExportOptions { mix: true, tracks: Some(vec![2]), ..fixture.options() }).unwrap();
    assert_eq!(decoded(&fixture.to().join("Demo mix.wav"))[200..202], [0.0, 0.25]);
}

#[test]
fn a_mix_to_integers_is_dithered_clamped_and_counted_but_not_between_regions() {
    let mut fixture = TestSession::new(TakeFormat::S16);
    let sound = vec![0.75; 5_000];
    let tracks = [0, 1].map(|_| fixture.mono("A", TakeFormat::S16, 5_000, &sound));
    for track in tracks {
        fixture.session.track_mut(track).unwrap().set_pan(-1.0);
    }
    let options = ExportOptions { mix: true, ..fixture.range(0, 20_000) };
    let exported = fixture.export(&options).unwrap();
    assert_eq!((exported[0].format, exported[0].dithered), (TakeFormat::S16, true));
    // 1.5 times full scale is over from two thirds of a ramp on.
    assert_eq!(exported[0].over_full_scale, 5_000 - 2 * 43);
    assert!((exported[0].peak_dbfs.unwrap() - 3.5218).abs() < 1e-3);
    let out = decoded(&exported[0].file);
    let (sound, gaps) = (&out[10_000..20_000], [&out[..10_000], &out[20_000..]].concat());
    assert!(gaps.iter().all(|sample| *sample == 0.0));
    let full = 32_767.0_f32 / 32_768.0;
    assert!(sound[128..9_872].chunks_exact(2).all(|frame| frame[0].to_bits() == full.to_bits()));
    assert!(sound.chunks_exact(2).any(|frame| frame[1] != 0.0));
}

#[test]
fn a_mix_ends_with_its_last_sound_and_not_with_that_of_a_track_that_is_muted_or_not_chosen() {
    let mut fixture = TestSession::new(TakeFormat::S24);
    fixture.mono("A", TakeFormat::S24, 5, &[0.5; 10]);
    let long = fixture.mono("B", TakeFormat::S24, 0, &[0.5; 100]);
    let frames = |fixture: &TestSession, options: ExportOptions| {
        fixture.plan(&ExportOptions { mix: true, ..options }).unwrap().files[0].frames().0
    };
    assert_eq!(frames(&fixture, fixture.options()), 100);
    assert_eq!(frames(&fixture, ExportOptions { tracks: Some(vec![1]), ..fixture.options() }), 15);
    fixture.session.track_mut(long).unwrap().mute = true;
    assert_eq!(frames(&fixture, fixture.options()), 15);
    assert_eq!(frames(&fixture, ExportOptions { from: Some(FramePos(5)), ..fixture.options() }), 10);
    // An end on request is kept.
    assert_eq!(frames(&fixture, fixture.range(0, 60)), 60);
}

/// One such sample of a plugin was silence in the file, as in playback, and nobody said so.
#[test]
fn samples_that_are_no_sound_are_silence_in_the_mix_and_its_notes_count_them() {
    let mut fixture = TestSession::new(TakeFormat::F32);
    let mut sound = [0.5; 400];
    for (at, bad) in [(100, f32::NAN), (200, f32::INFINITY), (201, -f32::INFINITY), (300, f32::MAX)] {
        sound[at] = bad;
    }
    let track = fixture.mono("A", TakeFormat::F32, 0, &sound);
    fixture.session.track_mut(track).unwrap().set_pan(-1.0);
    let other = fixture.mono("B", TakeFormat::F32, 0, &[0.25; 400]);
    fixture.session.track_mut(other).unwrap().set_pan(-1.0);
    for format in FORMATS {
        let options = ExportOptions { mix: true, force: true, format: Some(format), ..fixture.options() };
        let exported = fixture.export(&options).unwrap();
        let wanted = ": 4 samples are no sound (not a number, infinite or far too large); silence in their places";
        let [note] = &exported[0].notes[..] else { panic!("{format}: {:?}", exported[0].notes) };
        assert!(note.starts_with("audio/") && note.ends_with(wanted), "{note}");
        assert_eq!(exported[0].over_full_scale, 0, "{format}");
        let out = decoded(&exported[0].file);
        let left: Vec<f32> = [99, 100, 200, 201, 300].map(|frame| out[2 * frame]).to_vec();
        let near = |value: f32, wanted: f32| (value - wanted).abs() < 1e-3;
        assert!(near(left[0], 0.75) && left[1..].iter().all(|value| near(*value, 0.25)), "{format}: {left:?}");
    }
    let stem = fixture.export(&ExportOptions { format: Some(TakeFormat::S16), ..fixture.options() }).unwrap();
    assert_eq!(stem[0].notes, ["1 sample of its takes is not a number; silence in its place"]);
    assert_eq!(stem[0].over_full_scale, 3, "the others are clamped");
    let stem = fixture.export(&ExportOptions { force: true, ..fixture.options() }).unwrap();
    assert!(stem[0].notes.is_empty() && decoded(&stem[0].file)[100].is_nan(), "a copy has the samples of the take");
}
