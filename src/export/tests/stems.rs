//! Stems hold the recorded sound at its position, bit for bit. Thread: any.

use super::*;
use crate::session::Monitor;
use crate::session::names::LOCK_FILE;

#[test]
fn a_whole_take_comes_out_bit_for_bit_in_every_format_mono_and_stereo() {
    for format in FORMATS {
        for channels in [1, 2] {
            let mut fixture = TestSession::new(TakeFormat::S24);
            let track = fixture.track("Kick in", &[0, 1][..channels]);
            let take = fixture.take(track, format, channels as u32, &noise(format, 40_001 * channels, 7));
            fixture.place(track, take, 0, 0, 40_001);
            // Mute, monitoring, gain and pan have no effect on a stem.
            let track = fixture.session.track_mut(track).unwrap();
            (track.mute, track.monitor) = (true, Monitor::Input);
            track.set_gain_db(-12.0);
            track.set_pan(0.5);
            let exported = fixture.export(&fixture.options()).unwrap();
            let file = fixture.to().join("01 Kick in.wav");
            assert_eq!(stored(&file), stored(&fixture.file(take)));
            assert_eq!(
                exported,
                [Exported {
                    file: file.clone(),
                    track: Some(1),
                    channels: channels as u16,
                    frames: 40_001,
                    format,
                    bytes: fs::metadata(&file).unwrap().len(),
                    dithered: false,
                    over_full_scale: 0,
                    peak_dbfs: None,
                    notes: Vec::new(),
                }]
            );
        }
    }
}

#[test]
fn a_range_is_cut_at_the_exact_frame_and_bext_has_its_position() {
    let mut fixture = TestSession::new(TakeFormat::S24);
    let sound = noise(TakeFormat::S24, 5_000, 1);
    fixture.mono("Voice", TakeFormat::S24, 1_000, &sound);
    fixture.export(&fixture.range(1_001, 5_999)).unwrap();
    let file = fixture.to().join("01 Voice.wav");
    assert_eq!(decoded(&file), sound[1..4_999]);
    let bext = Reader::open(&file).unwrap().layout().bext.clone().unwrap();
    assert_eq!((bext.time_reference, bext.description.as_str()), (1_001, "Demo, track 1 (Voice)"));
    assert_eq!(bext.coding_history, "A=PCM,F=48000,W=24,M=mono,T=Faultless export");
}

#[test]
fn stems_of_a_session_all_have_its_length_and_gaps_are_silence() {
    let mut fixture = TestSession::new(TakeFormat::S16);
    let (early, late) = (noise(TakeFormat::S16, 3_000, 1), noise(TakeFormat::S16, 50_000, 2));
    fixture.mono("Early", TakeFormat::S16, 0, &early);
    fixture.mono("Late", TakeFormat::S16, 60_000, &late);
    let exported = fixture.export(&fixture.options()).unwrap();
    assert!(exported.iter().all(|file| file.frames == 110_000));
    let out = decoded(&fixture.to().join("01 Early.wav"));
    assert_eq!(out[..3_000], early);
    assert!(out[3_000..].iter().all(|sample| *sample == 0.0));
    let out = decoded(&fixture.to().join("02 Late.wav"));
    assert!(out[..60_000].iter().all(|sample| *sample == 0.0));
    assert_eq!(out[60_000..], late);
}

#[test]
fn regions_of_several_takes_are_at_their_positions_and_muted_ones_are_silent() {
    let mut fixture = TestSession::new(TakeFormat::S24);
    let track = fixture.track("Solo", &[0]);
    let (one, two) = (noise(TakeFormat::S24, 1_000, 1), noise(TakeFormat::S24, 1_000, 2));
    let takes = [fixture.take(track, TakeFormat::S24, 1, &one), fixture.take(track, TakeFormat::S24, 1, &two)];
    fixture.place(track, takes[0], 100, 10, 500);
    fixture.place(track, takes[1], 300, 0, 200);
    let muted = fixture.place(track, takes[1], 700, 0, 100);
    fixture.session.mute_regions(&[muted], true).unwrap();
    fixture.export(&fixture.options()).unwrap();
    let mut expected = vec![0.0; 800];
    expected[100..600].copy_from_slice(&one[10..510]);
    expected[300..500].copy_from_slice(&two[..200]);
    assert_eq!(decoded(&fixture.to().join("01 Solo.wav")), expected);
}

#[test]
fn a_wider_format_holds_the_same_sound_and_no_dither() {
    for (from, to) in
        [(TakeFormat::S16, TakeFormat::S24), (TakeFormat::S16, TakeFormat::F32), (TakeFormat::S24, TakeFormat::F32)]
    {
        let mut fixture = TestSession::new(from);
        let sound = noise(from, 20_000, 3);
        fixture.mono("A", from, 0, &sound);
        let exported = fixture.export(&ExportOptions { format: Some(to), ..fixture.options() }).unwrap();
        assert!(!exported[0].dithered && exported[0].format == to);
        assert_eq!(decoded(&exported[0].file), sound);
    }
}

#[test]
fn a_shallower_format_is_dithered_where_there_is_sound_and_only_there() {
    for (from, to) in
        [(TakeFormat::F32, TakeFormat::S24), (TakeFormat::F32, TakeFormat::S16), (TakeFormat::S24, TakeFormat::S16)]
    {
        let mut fixture = TestSession::new(from);
        // Recorded silence is dithered as well. Only the silence between regions is not.
        fixture.mono("A", from, 10_000, &vec![0.0; 10_000]);
        let options = ExportOptions { format: Some(to), ..fixture.range(0, 30_000) };
        let exported = fixture.export(&options).unwrap();
        assert!(exported[0].dithered);
        let out = decoded(&exported[0].file);
        let scale = f64::from(1_u32 << (to.bits() - 1));
        assert!(out[..10_000].iter().chain(&out[20_000..]).all(|sample| *sample == 0.0));
        let sound: Vec<f64> = out[10_000..20_000].iter().map(|sample| f64::from(*sample) * scale).collect();
        assert!(sound.iter().all(|value| value.abs() <= 1.0));
        // Triangular noise within 1 bit, rounded, gives 1 and -1 in one of eight samples each.
        let moved = sound.iter().filter(|value| 0.0 < value.abs()).count();
        assert!((2_000..3_000).contains(&moved), "{moved}");
        let bext = Reader::open(&exported[0].file).unwrap().layout().bext.clone().unwrap();
        assert!(bext.coding_history.ends_with("T=Faultless export; dithered"));
        // A second export is equal bit for bit.
        let first = stored(&exported[0].file);
        fixture.export(&ExportOptions { force: true, ..options }).unwrap();
        assert_eq!(stored(&exported[0].file), first);
    }
}

#[test]
fn takes_of_several_formats_give_the_widest_and_none_loses_a_bit() {
    let mut fixture = TestSession::new(TakeFormat::S16);
    let track = fixture.track("A", &[0]);
    let (narrow, match_channels) = (noise(TakeFormat::S16, 100, 1), noise(TakeFormat::S24, 100, 2));
    let takes =
        [fixture.take(track, TakeFormat::S16, 1, &narrow), fixture.take(track, TakeFormat::S24, 1, &match_channels)];
    fixture.place(track, takes[0], 0, 0, 100);
    fixture.place(track, takes[1], 100, 0, 100);
    let exported = fixture.export(&fixture.options()).unwrap();
    assert!(exported[0].format == TakeFormat::S24 && !exported[0].dithered);
    assert_eq!(decoded(&exported[0].file), [narrow, match_channels].concat());
}

#[test]
fn a_mono_take_on_a_stereo_track_sounds_on_both_sides() {
    let mut fixture = TestSession::new(TakeFormat::S16);
    let track = fixture.track("Keys", &[0, 1]);
    let take = fixture.take(track, TakeFormat::S16, 1, &[0.5, -0.25]);
    fixture.place(track, take, 1, 0, 2);
    fixture.export(&fixture.options()).unwrap();
    assert_eq!(decoded(&fixture.to().join("01 Keys.wav")), [0.0, 0.0, 0.5, 0.5, -0.25, -0.25]);
}

#[test]
fn floats_over_full_scale_are_kept_as_floats_and_counted_when_clamped() {
    let mut fixture = TestSession::new(TakeFormat::F32);
    fixture.mono("Hot", TakeFormat::F32, 0, &[2.0, -1.5, 1.0, 0.5]);
    fixture.export(&fixture.options()).unwrap();
    assert_eq!(decoded(&fixture.to().join("01 Hot.wav")), [2.0, -1.5, 1.0, 0.5]);
    let options = ExportOptions { format: Some(TakeFormat::S16), force: true, ..fixture.options() };
    let exported = fixture.export(&options).unwrap();
    assert_eq!(exported[0].over_full_scale, 2);
    assert!((exported[0].peak_dbfs.unwrap() - 6.0206).abs() < 1e-3);
    assert_eq!(decoded(&exported[0].file)[..2], [32_767.0 / 32_768.0, -1.0]);
}

/// A session with a take that is not finished: its file has 30,000 frames, and its region 50,000.
fn unfinished() -> (TestSession, Vec<f32>) {
    let mut fixture = TestSession::new(TakeFormat::S24);
    let track = fixture.track("Live", &[0]);
    let sound = noise(TakeFormat::S24, 30_000, 9);
    let take = fixture.take(track, TakeFormat::S24, 1, &sound);
    fixture.session.finish_take(take, Frames(50_000), TakeState::Recording, None).unwrap();
    fixture.place(track, take, 0, 0, 50_000);
    (fixture, sound)
}

/// Checks that the stem is the take as far as its file reaches, and then silence.
#[track_caller]
fn holds_what_there_is(exported: &Exported, sound: &[f32]) {
    let out = decoded(&exported.file);
    assert_eq!(out[..30_000], *sound);
    assert!(out.len() == 50_000 && out[30_000..].iter().all(|sample| *sample == 0.0));
}

/// It was a note, `problems` was empty, and the exit status was 0.
#[test]
fn a_take_that_was_cut_off_is_read_as_far_as_its_file_reaches_and_is_a_problem() {
    let (fixture, sound) = unfinished();
    // A program that has the session open holds its lock. The pass that it recorded has ended without the end of this take.
    let lock = fs::File::create(fixture.folder().join(LOCK_FILE)).unwrap();
    for (mix, is_open) in [(false, false), (true, false), (true, true), (false, true)] {
        if is_open {
            lock.lock().unwrap();
        }
        let outcome = fixture.outcome(&ExportOptions { mix, force: true, ..fixture.options() }).unwrap();
        let [problem] = outcome.problems.as_slice() else { panic!("{:?}", outcome.problems) };
        let told = "audio/Live-1.wav: not finished; silence from its frame 30000 to frame 50000; 'faultless recover' ";
        assert!(problem.starts_with("track 1 (Live), silent there: ") && problem.contains(told), "{problem}");
        assert_eq!((outcome.files.len(), outcome.files[0].notes.len()), (1, 0));
        if !mix {
            holds_what_there_is(&outcome.files[0], &sound);
        }
    }
    // A range that ends where the file ends is whole.
    let outcome = fixture.outcome(&ExportOptions { force: true, ..fixture.range(0, 30_000) }).unwrap();
    assert_eq!(outcome.problems, Vec::<String>::new());
}

#[test]
fn a_file_carries_date_and_time_of_its_first_take() {
    let mut fixture = TestSession::new(TakeFormat::S24);
    fixture.mono("A", TakeFormat::S24, 0, &[0.5; 10]);
    fixture.mono("B", TakeFormat::S24, 0, &[0.5; 10]);
    let text = serde_json::to_string(&fixture.session).unwrap();
    let times = ["2026-11-28T04:45:48+01:00", "2026-11-27T23:59:59Z"];
    let mut parts = text.split("\"started\":\"\"");
    let mut dated = parts.next().unwrap().to_owned();
    for (part, time) in parts.zip(times) {
        dated.push_str(&format!("\"started\":\"{time}\"{part}"));
    }
    fixture.session = serde_json::from_str(&dated).unwrap();
    let bext = |options: &ExportOptions| {
        let files = fixture.plan(options).unwrap().files;
        let bext = |planned: &crate::export::plan::PlannedFile| planned.header.bext.clone();
        files.iter().map(bext).map(|bext| (bext.date, bext.time, bext.originator_reference)).collect::<Vec<_>>()
    };
    let uuid = |take: usize| fixture.session.takes()[take].uuid.simple().to_string();
    let own = |text: &str| text.to_owned();
    let stems = [(own("2026-11-28"), own("04:45:48"), uuid(0)), (own("2026-11-27"), own("23:59:59"), uuid(1))];
    assert_eq!(bext(&fixture.options()), stems);
    let mix = bext(&ExportOptions { mix: true, ..fixture.options() });
    assert_eq!(mix, [(own("2026-11-27"), own("23:59:59"), fixture.session.id.simple().to_string())]);
}
