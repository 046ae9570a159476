//! Tests of the takes panel, driven by clicks on accessible names. Thread: test.

use super::*;
use crate::app::snapshot::Snapshot;
use crate::format::TakeFormat;
use crate::session::{NewTake, Take, TakeAccounts};
use crate::time::{FramePos, Frames, SampleRate};
use crate::ui::demo;
use crate::ui::panel_context::test_panel::{self, Sent};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use std::sync::Arc;
use std::time::Instant;

/// A session with `passes` passes. Some tracks have no take of pass 2; the takes of the last pass are on the timeline.
fn passes(tracks: usize, passes: u32) -> Snapshot {
    let mut snapshot = demo::stopped(tracks, 0);
    let session = Arc::make_mut(&mut snapshot.session);
    let mut names = session.taken_names();
    let ids: Vec<TrackId> = session.track_ids().collect();
    for pass in 1..=passes {
        for (at, track) in ids.iter().enumerate().filter(|(at, _)| pass != 2 || at % 5 != 3) {
            let new = NewTake {
                uuid: Uuid::from_u128(u128::from(pass) * 1000 + at as u128),
                track: *track,
                pass,
                inputs: vec![at as u32],
                channels: 1,
                rate: SampleRate(48_000),
                format: TakeFormat::S24,
                start: FramePos(0),
                started: format!("2026-11-22T20:{:02}:00+01:00", pass * 2 % 60),
            };
            let take = session.add_take(new, &mut names).unwrap();
            let frames = Frames(48_000 * (300 + u64::from(pass) * 37));
            let lost = if pass == 3 && at == 1 { 4096 } else { 0 };
            let accounts = TakeAccounts {
                frames_lost: lost,
                xruns: lost / 4096,
                minor_faults: if pass == 2 && at == 4 { 3 } else { 0 },
                cycle_us_max: 412,
                capture_path: "spool".to_owned(),
                device: "Scarlett 18i20".to_owned(),
                ..TakeAccounts::default()
            };
            session.finish_take(take, frames, TakeState::Complete, Some(accounts)).unwrap();
            if lost > 0 {
                session.add_loss(take, FramePos(96_000), Frames(lost), "xrun").unwrap();
            }
            if pass == passes {
                session.place_region(*track, take, FramePos(0), FramePos(0), frames).unwrap();
            }
        }
    }
    snapshot
}

/// The take of a pass on a track. `track` counts from 0, `pass` from 1.
fn take_of(snapshot: &Snapshot, track: usize, pass: u32) -> TakeId {
    let session = &snapshot.session;
    let track = session.tracks()[track].id();
    session.takes().iter().find(|take| take.track == track && take.pass == pass).unwrap().id
}

fn harness(snapshot: Snapshot) -> (Harness<'static>, Sent) {
    let mut state = TakesState::default();
    test_panel::harness(snapshot, [960.0, 250.0], move |ui, context| show(ui, &mut state, context))
}

#[test]
fn a_click_chooses_a_take_and_does_nothing_on_a_take_that_plays_in_full() {
    let snapshot = passes(4, 3);
    let wanted = take_of(&snapshot, 1, 2);
    let (mut harness, sent) = harness(snapshot);
    harness.get_by_label("Take 3 of track 2").click();
    harness.run_steps(3);
    assert!(sent.borrow().is_empty());
    harness.get_by_label("Take 2 of track 2").click();
    harness.run_steps(3);
    assert_eq!(*sent.borrow(), [Command::Edit(Edit::ChooseTake(wanted))]);
}

#[test]
fn a_take_in_several_files_is_one_cell_of_its_whole_length() {
    let mut snapshot = passes(2, 3);
    let first = take_of(&snapshot, 0, 2);
    let session = Arc::make_mut(&mut snapshot.session);
    let (frames, mut names) = (session.take(first).unwrap().frames, session.taken_names());
    let folder = Some("/other/session".to_owned());
    let second = session.add_continuation(first, Uuid::from_u128(7), frames, folder, &mut names).unwrap();
    session.finish_take(second, Frames(48_000 * 60), TakeState::Complete, None).unwrap();
    let (track, mut index) = (session.tracks()[0].id(), Index::default());
    index.update(session, 1);
    let whole = &index.cells[&(track, 2)];
    assert_eq!((whole.take.id, whole.take.frames), (first, frames + Frames(48_000 * 60)));
    assert_eq!(whole.placed, None);
    session.choose_take(track, first, FramePos(0), FramePos(u64::MAX)).unwrap();
    index.update(session, 2);
    assert_eq!(index.cells[&(track, 2)].placed, Some(Placed::Part));
    let start = session.take(second).unwrap().start;
    session.choose_take(track, second, start, FramePos(u64::MAX)).unwrap();
    index.update(session, 3);
    assert_eq!(index.cells[&(track, 2)].placed, Some(Placed::Whole));
}

#[test]
fn a_take_goes_to_the_trash_from_its_menu_and_is_restored_from_there() {
    let mut snapshot = passes(4, 3);
    let (thrown, kept) = (take_of(&snapshot, 0, 2), take_of(&snapshot, 2, 1));
    Arc::make_mut(&mut snapshot.session).trash_take(kept).unwrap();
    let (mut harness, sent) = harness(snapshot);
    assert!(harness.query_by_label("Take 1 of track 3").is_none(), "it is in the trash");
    harness.get_by_label("Take 2 of track 1").click_secondary();
    harness.run_steps(3);
    harness.get_by_label("To the trash").click();
    harness.run_steps(3);
    harness.get_by_label("Trash").click();
    harness.run_steps(3);
    harness.get_by_label("Restore take 1 of track 3").click();
    harness.run_steps(3);
    let expected = [Edit::TrashTake(thrown), Edit::UntrashTake(kept)].map(Command::Edit);
    assert_eq!(*sent.borrow(), expected);
}

/// A take whose parts all play was said to play in part.
#[test]
fn a_take_that_is_split_plays_whole_until_a_part_of_it_is_moved() {
    let mut snapshot = passes(2, 1);
    let id = take_of(&snapshot, 0, 1);
    let session = Arc::make_mut(&mut snapshot.session);
    let track = session.tracks()[0].id();
    let region = session.tracks()[0].regions()[0].clone();
    let right = session.split_region(region.id, region.start + Frames(region.length.0 / 2)).unwrap();
    let placed = |session: &Session| placed_takes(session)[&id];
    assert_eq!(placed(session), Placed::Whole);
    session.move_region(right, track, region.end() + Frames(48_000)).unwrap();
    assert_eq!(placed(session), Placed::Part);
}

/// A recording of 64 tracks needed 64 clicks.
#[test]
fn one_click_restores_all_takes_and_those_of_a_removed_track_too() {
    let mut snapshot = passes(4, 3);
    let ids: Vec<TakeId> = (0..4).map(|track| take_of(&snapshot, track, 1)).collect();
    let session = Arc::make_mut(&mut snapshot.session);
    session.trash_takes(&ids).unwrap();
    let removed = session.tracks()[3].id();
    session.remove_track(removed).unwrap();
    let (mut harness, sent) = harness(snapshot);
    harness.get_by_label("Trash").click();
    harness.run_steps(3);
    harness.get_by_label("Restore all").click();
    harness.run_steps(3);
    let wanted = ids.iter().rev().copied().collect();
    assert_eq!(*sent.borrow(), [Command::Edit(Edit::UntrashTakes(wanted))]);
}

/// Nothing said why some cells had a thin frame.
#[test]
fn the_frames_of_the_cells_are_explained_beside_the_hint() {
    let (harness, _) = harness(passes(4, 3));
    let hint = harness.get_by_label("Click a take to use it").rect();
    for meaning in ["plays", "plays in part", "not on the timeline"] {
        let rect = harness.get_by_label(meaning).rect();
        assert!(hint.right() < rect.left() && rect.right() < harness.get_by_label("Trash").rect().left());
    }
}

#[test]
fn a_badge_names_the_loss_and_is_red_only_then() {
    let (snapshot, theme) = (passes(5, 3), Theme::dark());
    let badge = |track, pass| facts::badge(snapshot.session.take(take_of(&snapshot, track, pass)).unwrap(), &theme);
    assert_eq!(badge(0, 3), ("0 faults".to_owned(), theme.good));
    assert_eq!(badge(1, 3), ("85 ms lost".to_owned(), theme.record));
    assert_eq!(badge(4, 2), ("3 faults".to_owned(), theme.caution));
    // It had silence to its end, and no fault.
    let mut take = snapshot.session.take(take_of(&snapshot, 0, 3)).unwrap().clone();
    take.accounts.as_mut().unwrap().source_losses = vec!["0:03.000: the JACK client synth has ended".to_owned()];
    assert_eq!(facts::badge(&take, &theme), ("source lost".to_owned(), theme.caution));
}

/// Nothing in the window told that a take may be too early or too late.
#[test]
fn the_facts_of_a_take_tell_why_its_placing_is_inexact() {
    let snapshot = passes(1, 1);
    let mut take = snapshot.session.take(take_of(&snapshot, 0, 1)).unwrap().clone();
    let placing = |take: &Take| facts::lines(take).into_iter().find(|(name, _)| *name == "Placing");
    assert_eq!(placing(&take), None);
    take.accounts.as_mut().unwrap().placing = "PulseAudio reports its delay only roughly".to_owned();
    let text = "inexact: PulseAudio reports its delay only roughly".to_owned();
    assert_eq!(placing(&take), Some(("Placing", text)));
}

#[test]
fn only_visible_cells_of_sixty_four_tracks_and_thirty_passes_are_drawn() {
    let (mut harness, _) = harness(passes(64, 30));
    let made = harness.query_all_by_label_contains(" of track ").count();
    assert!((20..=80).contains(&made), "{made} cells");
    let started = Instant::now();
    harness.run_steps(20);
    assert!(started.elapsed().as_millis() < 2000, "{:?} for 20 frames", started.elapsed());
}
