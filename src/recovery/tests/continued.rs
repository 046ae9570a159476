//! Takes that went on in an overflow folder which session.json on the session's own disk never listed, because that disk
//! failed first. Thread: test.

use super::*;
use crate::butler::spool::note_next_file;
use crate::limits::PAGE_BYTES;
use crate::session::CopyKind;
use crate::spool_index::{Shape, Target, target_at};

/// Frames of the pass. The first two windows are in the session's file, the third one is in the overflow folder, and
/// the rest is in memory.
const FRAMES: u64 = 4 * WINDOW + 77;
const SPLIT: u64 = 2 * WINDOW;

/// A take that was cut off in the overflow folder, and that folder.
fn scene() -> (Scene, PathBuf) {
    scene_of(1)
}

/// The first take of a session with so many takes was cut off in the overflow folder.
fn scene_of(takes: usize) -> (Scene, PathBuf) {
    let scene = Scene::bare(takes);
    scene.write_wav(0, Cut { committed: 2, claimed: SPLIT }, SPLIT);
    scene.write_spool(0, 3, FRAMES);
    scene.write_progress(FRAMES, true, &[]);
    let overflow = scene.folder.path().join("overflow");
    let (_, mut session) = OpenSession::open(&scene.root()).unwrap();
    let (id, mut names, identity) = (session.takes()[0].id, session.taken_names(), Uuid::new_v4());
    session.remember_overflow_folder(overflow.display().to_string());
    let folder = Some(overflow.display().to_string());
    let next = session.add_continuation(id, identity, Frames(SPLIT), folder, &mut names).unwrap();
    let path = overflow.join(session.take(next).unwrap().file.clone());
    let copy = session.copy_for_folder(&overflow.display().to_string(), &scene.root().display().to_string());
    drop(OpenSession::open_on_other_disk(&overflow, &copy).unwrap());
    let mut plan = TakePlan { identity, path, ..scene.plans[0].clone() };
    plan.header.bext.originator_reference = identity.simple().to_string();
    let file = File::create(&plan.path).unwrap();
    let header = Header { data_bytes: WINDOW * BYTES, ..plan.header.clone() };
    file.write_all_at(&*header.build(), 0).unwrap();
    file.write_all_at(&sound(0, SPLIT..3 * WINDOW), at(0)).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(scene.spool(0)).unwrap();
    // The one of an earlier refusal is replaced, however long it was.
    let longer = TakePlan { identity: Uuid::new_v4(), path: overflow.join("x".repeat(200)).join("y"), ..plan.clone() };
    note_next_file(&file, &longer).unwrap();
    note_next_file(&file, &plan).unwrap();
    (scene, overflow)
}

/// Both files, taken together, have every frame, and no loss is listed.
#[track_caller]
fn is_whole(scene: &Scene, overflow: &Path, session: &Session) {
    let parts: Vec<_> = session.takes().iter().map(|take| (take.state, take.offset.0, take.frames.0)).collect();
    let (first, second) = ((TakeState::Recovered, 0, SPLIT), (TakeState::Recovered, SPLIT, FRAMES - SPLIT));
    assert_eq!(parts, [first, second]);
    assert!(session.takes().iter().all(|take| take.losses.is_empty()));
    let bytes = |folder: &Path, index: usize| {
        let file = fs::read(folder.join(&session.takes()[index].file)).unwrap();
        file[at(0) as usize..][..(session.takes()[index].frames.0 * BYTES) as usize].to_vec()
    };
    assert!([bytes(&scene.root(), 0), bytes(overflow, 1)].concat() == sound(0, 0..FRAMES));
    assert_eq!(fs::read_dir(scene.memory.path()).unwrap().count(), 0, "memory is given back");
}

#[test]
fn a_take_that_went_on_in_a_folder_that_its_own_disk_never_listed_is_whole() {
    let (scene, overflow) = scene();
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert_eq!((report.passes[0].missing, report.passes[0].basis), (Frames(0), Basis::ProgressPage));
    is_whole(&scene, &overflow, &session);
}

/// Another program replaced the first file, the disk was too full to put it back, and the take went on in another folder. The
/// zeros in the first file counted as sound.
#[test]
fn a_copy_at_the_place_of_an_earlier_file_is_not_believed() {
    let (scene, overflow) = scene();
    let second = fs::read_dir(overflow.join("audio")).unwrap().next().unwrap().unwrap().path();
    let shape = Shape::new(scene.plans[0].identity.as_u128(), (WINDOW * BYTES) as usize);
    let spool = OpenOptions::new().write(true).open(scene.spool(0)).unwrap();
    for (files_before, (path, frames)) in [(&scene.plans[0].path, 0), (&second, SPLIT)].into_iter().enumerate() {
        let target =
            Target { file: fs::metadata(path).unwrap().ino(), bytes_before: frames * BYTES, is_changed: false };
        spool.write_all_at(&shape.target_bytes(target), target_at(files_before)).unwrap();
    }
    drop(spool);
    let copy = scene.root().join("copy");
    let file = File::create(&copy).unwrap();
    file.write_all_at(&*Header { data_bytes: 0, ..scene.plans[0].header.clone() }.build(), 0).unwrap();
    file.set_len(at(SPLIT)).unwrap();
    fs::rename(&copy, &scene.plans[0].path).unwrap();
    let (report, session) = scene.recover();
    let losses: Vec<Vec<_>> = session
        .takes()
        .iter()
        .map(|take| take.losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect())
        .collect();
    assert_eq!(losses, [vec![(0, SPLIT)], vec![]], "{:?}", report.troubles);
    assert!(report.passes[0].is_short(), "{}", report.passes[0]);
}

#[test]
fn while_the_folder_in_which_a_take_went_on_is_away_no_take_is_changed_and_it_is_said() {
    let (scene, overflow) = scene();
    let away = scene.folder.path().join("away");
    fs::rename(&overflow, &away).unwrap();
    let takes = || {
        let mut files = scene.files();
        files.retain(|path, _| path.extension().is_none_or(|it| it != "json"));
        files
    };
    let before = takes();
    let (report, session) = scene.recover();
    let [line] = &report.troubles[..] else { panic!("{:?}", report.troubles) };
    assert!(line.contains(&overflow.display().to_string()) && line.contains("connect its disk"), "{line}");
    assert!(report.passes.is_empty() && session.takes()[0].state == TakeState::Recording);
    assert!(before == takes(), "nothing is changed and nothing is removed");
    // After a power cut, only this list leads there.
    assert_eq!(session.overflow_folders(), [overflow.display().to_string()]);
    fs::rename(&away, &overflow).unwrap();
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    is_whole(&scene, &overflow, &session);
}

#[test]
fn without_the_folder_in_which_a_take_went_on_its_silence_is_a_listed_loss_and_is_said() {
    let (scene, overflow) = scene();
    fs::remove_dir_all(&overflow).unwrap();
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let view = Viewpoint { without_memory: true, ..scene.view() };
    let report = recover_from(&mut store, &mut session, &view, &mut |_| Ok(()));
    let losses: Vec<_> = session.takes()[0].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
    assert_eq!((session.takes()[0].frames, losses), (Frames(FRAMES), vec![(SPLIT, WINDOW)]));
    let pass = &report.passes[0];
    assert!(pass.missing == Frames(WINDOW) && pass.is_short(), "{pass}");
    assert!(pass.to_string().contains("neither on the disk nor in memory"), "{pass}");
    let file = fs::read(&scene.plans[0].path).unwrap();
    assert!(file[at(3 * WINDOW) as usize..].starts_with(&sound(0, 3 * WINDOW..FRAMES)), "what memory has is there");
}

#[test]
fn the_copy_in_the_overflow_folder_brings_the_sound_back_too() {
    let (scene, overflow) = scene();
    let (mut store, mut session) = OpenSession::open(&overflow).unwrap();
    let report = recover_from(&mut store, &mut session, &scene.view(), &mut |_| Ok(()));
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    is_whole(&scene, &overflow, &session);
}

/// The power went: nothing in memory leads to the overflow folder. A header claims `claimed` frames of the first file.
fn scene_without_memory(claimed: u64) -> (Scene, PathBuf) {
    let (scene, overflow) = scene();
    scene.write_wav(0, Cut { committed: 2, claimed }, SPLIT);
    fs::remove_file(scene.spool(0)).unwrap();
    fs::remove_file(scene.progress_page()).unwrap();
    (scene, overflow)
}

/// A mirror whose header claims `frames` frames of the whole pass, and which the session and the copy in the overflow folder name.
fn add_mirror(scene: &Scene, overflow: &Path, frames: u64) -> PathBuf {
    let mirror = scene.folder.path().join("mirror");
    let (_, session) = OpenSession::open(&scene.root()).unwrap();
    drop(OpenSession::open_on_other_disk(&mirror, &session).unwrap());
    scene.write_replica(&mirror, 0, frames, "being recorded");
    for folder in [&scene.root(), overflow] {
        scene.name_memory_in(folder, Some(&mirror));
    }
    mirror
}

/// The take goes from the session's file into the one in the overflow folder, and both together have `frames` frames, all of
/// them sound.
#[track_caller]
fn has_sound_up_to(frames: u64, scene: &Scene, overflow: &Path, session: &Session) {
    session.validate().unwrap();
    let parts: Vec<_> = session.takes().iter().map(|take| (take.state, take.offset.0, take.frames.0)).collect();
    assert_eq!(parts, [(TakeState::Recovered, 0, SPLIT), (TakeState::Recovered, SPLIT, frames - SPLIT)]);
    assert!(session.takes().iter().all(|take| take.losses.is_empty()), "{:?}", session.takes());
    let bytes = |path: &Path| fs::read(path).unwrap()[at(0) as usize..].to_vec();
    let (first, mut second) = (bytes(&scene.plans[0].path), bytes(&overflow.join(&session.takes()[1].file)));
    // An odd number of bytes is padded.
    second.truncate(((frames - SPLIT) * BYTES) as usize);
    assert!([first, second].concat() == sound(0, 0..frames));
}

/// The take was called whole, shorter by the part that was in the file.
#[test]
fn without_memory_the_file_of_a_part_that_is_gone_is_named() {
    let (scene, overflow) = scene_without_memory(SPLIT);
    list_next_file(&scene, &overflow);
    let second = OpenSession::open(&scene.root()).unwrap().1.takes()[1].file.clone();
    fs::remove_file(overflow.join(&second)).unwrap();
    let (report, session) = scene.recover();
    assert_eq!(session.takes().iter().map(|take| take.frames).collect::<Vec<_>>(), [Frames(SPLIT)]);
    let is_named = |line: &String| line.contains(&second) && line.contains("is gone; put it back");
    assert!(report.troubles.iter().any(is_named), "{:?}", report.troubles);
}

/// A copy names the session's own file by an absolute path. That file counted as the one in the mirror.
#[test]
fn a_copy_in_an_overflow_folder_finds_the_file_of_the_mirror() {
    let (scene, overflow) = scene_without_memory(SPLIT);
    let mirror = add_mirror(&scene, &overflow, 4 * WINDOW);
    let (mut store, mut session) = OpenSession::open(&overflow).unwrap();
    let report = recover_from(&mut store, &mut session, &scene.view(), &mut |_| Ok(()));
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert_eq!(report.passes[0].from_mirrors, [mirror]);
    has_sound_up_to(4 * WINDOW, &scene, &overflow, &session);
}

/// Recovers the session while its overflow folder is away, and brings the folder back. The one take then has `frames` frames.
#[track_caller]
fn recover_without(overflow: &Path, scene: &Scene, frames: u64) {
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    session.remember_overflow_folder(overflow.display().to_string());
    store.save(&session).unwrap();
    drop(store);
    let away = scene.folder.path().join("away");
    fs::rename(overflow, &away).unwrap();
    let (_, session) = scene.recover();
    assert_eq!((session.takes().len(), session.takes()[0].frames), (1, Frames(frames)));
    fs::rename(&away, overflow).unwrap();
}

/// The take of [`scene_without_memory`] with a mirror of four windows. It is recovered while the overflow folder is away.
fn recovered_from_mirror_only() -> (Scene, PathBuf, PathBuf) {
    let (scene, overflow) = scene_without_memory(SPLIT);
    let mirror = add_mirror(&scene, &overflow, 4 * WINDOW);
    recover_without(&overflow, &scene, 4 * WINDOW);
    (scene, overflow, mirror)
}

/// The next recovery gave the take the length that the file in the overflow folder claims, cut the first file at the place where
/// the take continues, and said nothing.
#[test]
fn sound_that_a_recovery_took_from_the_mirror_stays_when_the_overflow_folder_is_back() {
    for with_mirror in [true, false] {
        for last in 0.. {
            let (scene, overflow, mirror) = recovered_from_mirror_only();
            if !with_mirror {
                fs::remove_dir_all(&mirror).unwrap();
            }
            let was_killed = scene.recover_until_killed(last);
            let (report, session) = scene.recover();
            let told = |text: &String| text.starts_with("mirror: ") && text.contains("it is not there");
            assert!(report.troubles.iter().all(|text| !with_mirror && told(text)), "{:?}", report.troubles);
            has_sound_up_to(4 * WINDOW, &scene, &overflow, &session);
            if !was_killed {
                break;
            }
        }
    }
}

/// The sound from memory was in the first file only, and the next recovery cut it off.
#[test]
fn sound_that_a_recovery_took_from_memory_stays_when_the_overflow_folder_is_back() {
    let (scene, overflow) = scene();
    let away = scene.folder.path().join("away");
    fs::rename(&overflow, &away).unwrap();
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    session.remember_overflow_folder(overflow.display().to_string());
    let view = Viewpoint { without_memory: true, ..scene.view() };
    recover_from(&mut store, &mut session, &view, &mut |_| Ok(()));
    drop(store);
    let losses: Vec<_> = session.takes()[0].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
    assert_eq!((session.takes()[0].frames, losses), (Frames(FRAMES), vec![(SPLIT, WINDOW)]));
    scene.lose_memory();
    fs::rename(&away, &overflow).unwrap();
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert_eq!(report.passes[0].missing, Frames(0), "the message tells of a loss that no take lists");
    // The file in the overflow folder has what the first one lacked.
    has_sound_up_to(FRAMES, &scene, &overflow, &session);
}

/// The first file was cut, and its list of losses with it.
#[test]
fn losses_behind_the_place_where_a_take_continues_are_listed_where_their_silence_is() {
    let (scene, overflow, mirror) = recovered_from_mirror_only();
    let (lost, frames) = (3 * WINDOW + 100, 200);
    fs::remove_dir_all(&mirror).unwrap();
    let first = OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap();
    first.write_all_at(&vec![0; frames * BYTES as usize], at(lost)).unwrap();
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let id = session.takes()[0].id;
    for at in [SPLIT + 10, lost] {
        session.list_loss(id, FramePos(at), Frames(frames as u64), "what was in memory is gone").unwrap();
    }
    store.save(&session).unwrap();
    drop(store);
    let (_, session) = scene.recover();
    let of =
        |take: usize| session.takes()[take].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect::<Vec<_>>();
    assert_eq!((of(0), of(1)), (vec![], vec![(lost - SPLIT, frames as u64)]));
    assert_eq!(session.takes()[1].frames, Frames(4 * WINDOW - SPLIT));
    let second = fs::read(overflow.join(&session.takes()[1].file)).unwrap();
    assert!(second[at(3 * WINDOW - SPLIT) as usize..].starts_with(&sound(0, 3 * WINDOW..lost)));
}

/// Two takes, of which the second one is longer. The first file of the first one claims sound up to frame `end`, within a page
/// of the next file, which has none. `is_page_written`: whether that page has sound at all. Returns the next file too.
fn ends_within_page(end: u64, is_page_written: bool) -> (Scene, PathBuf) {
    let (scene, overflow) = scene_of(2);
    scene.write_wav(1, Cut { committed: 4, claimed: 4 * WINDOW }, 4 * WINDOW);
    scene.write_wav(0, Cut { committed: 2, claimed: end }, end);
    scene.lose_memory();
    let first = OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap();
    let page = at(end) / PAGE_BYTES as u64 * PAGE_BYTES as u64;
    if !is_page_written {
        first.write_all_at(&vec![0; (at(end) - page) as usize], page).unwrap();
    }
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    session.remember_overflow_folder(overflow.display().to_string());
    store.save(&session).unwrap();
    let (_, copy) = OpenSession::open(&overflow).unwrap();
    let next = copy.takes().iter().find(|take| take.offset == Frames(SPLIT)).unwrap();
    let mut header = scene.plans[0].header.clone();
    header.bext.originator_reference = next.uuid.simple().to_string();
    let path = overflow.join(&next.file);
    let second = File::create(&path).unwrap();
    second.write_all_at(&*header.build(), 0).unwrap();
    second.set_len(at(100 * WINDOW)).unwrap();
    (scene, path)
}

/// The rest of the page was silence that no loss covered (seed 700074260). A recovery that was stopped behind its headers left
/// it to the next one, which did not know any more where the sound of the first file ended.
#[test]
fn a_loss_that_begins_within_a_page_is_listed_from_its_first_frame_on_however_often_the_recovery_is_stopped() {
    let end = SPLIT + 1001;
    for is_page_written in [true, false] {
        for last in 0.. {
            let (scene, path) = ends_within_page(end, is_page_written);
            let was_killed = scene.recover_until_killed(last);
            let (_, session) = scene.recover();
            let next = session.takes().iter().find(|take| take.offset == Frames(SPLIT)).unwrap();
            let page = at(end) / PAGE_BYTES as u64 * PAGE_BYTES as u64;
            let sound_end = if is_page_written { end } else { (page - DATA_OFFSET) / BYTES };
            let mut losses: Vec<_> =
                next.losses.iter().map(|loss| (SPLIT + loss.at.0, SPLIT + loss.at.0 + loss.frames.0)).collect();
            losses.sort_unstable();
            assert_eq!(losses.first().map(|(start, _)| *start), Some(sound_end), "{last}: {losses:?}");
            assert!(losses.windows(2).all(|two| two[0].1 == two[1].0), "{last}: {losses:?}");
            assert_eq!(losses.last().map(|(_, end)| *end), Some(4 * WINDOW));
            let bytes = fs::read(&path).unwrap();
            assert!(bytes[at(0) as usize..].starts_with(&sound(0, SPLIT..sound_end)));
            if !was_killed {
                break;
            }
        }
    }
}

/// A piece of the mirror's file that begins before the place where the take continues was left out as a whole.
#[test]
fn the_mirror_gets_the_sound_of_the_next_file_from_its_first_frame_on() {
    let (scene, overflow) = scene_without_memory(SPLIT);
    let mirror = add_mirror(&scene, &overflow, SPLIT - 1000);
    recover_in(&scene, &overflow);
    let replica = fs::read(scene.replica(&mirror, 0)).unwrap();
    assert!(replica[at(0) as usize..].starts_with(&sound(0, 0..3 * WINDOW)));
}

/// Recovers the session, which names the overflow folder.
fn recover_in(scene: &Scene, overflow: &Path) {
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    session.remember_overflow_folder(overflow.display().to_string());
    store.save(&session).unwrap();
    drop(store);
    let (report, _) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
}

/// The session was saved before the take continued, and a power cut came before the next save. The header of the next file claims
/// the silence, and nothing listed it.
#[test]
fn a_loss_of_the_device_that_the_file_before_lists_behind_its_end_is_listed_in_the_next_file() {
    let (scene, overflow) = scene_without_memory(SPLIT);
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let id = session.takes()[0].id;
    session.remember_overflow_folder(overflow.display().to_string());
    session.list_loss(id, FramePos(SPLIT - 50), Frames(150), "xrun").unwrap();
    store.save(&session).unwrap();
    drop(store);
    let (_, session) = scene.recover();
    let of =
        |take: usize| session.takes()[take].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect::<Vec<_>>();
    assert_eq!((of(0), of(1)), (vec![(SPLIT - 50, 50)], vec![(0, 100)]));
}

/// Both files, taken together, have every frame that was durable. `gap`: the frames that an earlier recovery cut off the
/// first file.
#[track_caller]
fn is_whole_but(scene: &Scene, overflow: &Path, session: &Session, gap: std::ops::Range<u64>) {
    session.validate().unwrap();
    let parts: Vec<_> = session.takes().iter().map(|take| (take.state, take.offset.0, take.frames.0)).collect();
    assert_eq!(parts, [(TakeState::Recovered, 0, SPLIT), (TakeState::Recovered, SPLIT, WINDOW)]);
    let lost = |take: &Take| take.losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect::<Vec<_>>();
    let gaps: Vec<_> = Some((gap.start, gap.end - gap.start)).filter(|gap| gap.1 > 0).into_iter().collect();
    assert_eq!((lost(&session.takes()[0]), lost(&session.takes()[1])), (gaps, vec![]));
    let bytes = |path: PathBuf| fs::read(path).unwrap()[at(0) as usize..].to_vec();
    let silence = vec![0; ((gap.end - gap.start) * BYTES) as usize];
    let first = [sound(0, 0..gap.start), silence, sound(0, gap.end..SPLIT)].concat();
    assert!(bytes(scene.plans[0].path.clone()) == first);
    let second = overflow.join(&session.takes()[1].file);
    assert!(bytes(second) == sound(0, SPLIT..3 * WINDOW));
    assert_eq!(session.tracks()[0].regions().len(), 2);
}

#[test]
fn a_take_that_was_recovered_while_its_overflow_folder_was_away_is_whole_when_the_folder_is_back() {
    const CLAIMED: u64 = SPLIT - 1000;
    let (scene, overflow) = scene_without_memory(CLAIMED);
    recover_without(&overflow, &scene, CLAIMED);
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    is_whole_but(&scene, &overflow, &session, CLAIMED..SPLIT);
    let (report, again) = scene.recover();
    assert!(report.passes.is_empty() && again == session);
}

#[test]
fn a_copy_in_an_overflow_folder_that_no_disk_listed_is_recovered_when_the_folder_is_named_again() {
    for claimed in [SPLIT, SPLIT - 1000] {
        let (scene, overflow) = scene_without_memory(claimed);
        let (_, mut own) = scene.recover();
        assert_eq!((own.takes().len(), own.takes()[0].frames), (1, Frames(claimed)), "nothing leads there");
        let (mut store, found) = OpenSession::open_on_other_disk(&overflow, &own).unwrap();
        let mut copy = found.copy.unwrap();
        let report = copy::recover_copy(&mut store, &mut copy, &own, &[]);
        assert!(report.troubles.is_empty() && report.passes.len() == 1, "{:?}", report.troubles);
        let root = scene.root().display().to_string();
        let copy = copy.copy_for_folder(&root, &overflow.display().to_string());
        assert!(own.merge_newer_takes(&copy, CopyKind::Recovered, |_| false));
        is_whole_but(&scene, &overflow, &own, claimed..SPLIT);
        // Takes that both list are left to the session that is open.
        let mut copy = copy.copy_for_folder(&overflow.display().to_string(), &root);
        assert!(copy::recover_copy(&mut store, &mut copy, &own, &[]).passes.is_empty());
    }
}

/// The session lists the next file of [`scene_without_memory`], as the copy in the overflow folder does.
fn list_next_file(scene: &Scene, overflow: &Path) {
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let (_, copy) = OpenSession::open(overflow).unwrap();
    let [root, folder] = [&scene.root(), overflow].map(|path| path.display().to_string());
    session.merge_newer_takes(&copy.copy_for_folder(&root, &folder), CopyKind::Found, |_| false);
    store.save(&session).unwrap();
}

/// The message gave the takes the length zero, because no last file of a take was there.
#[test]
fn a_pass_whose_last_files_are_out_of_reach_is_as_long_as_the_files_before() {
    let (scene, overflow) = scene_without_memory(SPLIT);
    list_next_file(&scene, &overflow);
    fs::rename(&overflow, scene.folder.path().join("away")).unwrap();
    let (report, session) = scene.recover();
    assert_eq!((session.takes()[0].frames, report.passes[0].frames), (Frames(SPLIT), Frames(SPLIT)));
}

/// The first recovery ended the take where it was to continue. The next file turned out never to have been made, so the take
/// became longer, and the device's loss there was listed by the second recovery after that only (seed 113884).
#[test]
fn a_take_that_becomes_longer_because_its_next_file_was_never_made_has_the_losses_that_a_copy_lists_there() {
    let (scene, overflow) = scene_without_memory(SPLIT);
    list_next_file(&scene, &overflow);
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let (first, next) = (session.takes()[0].id, session.takes()[1].clone());
    session.finish_take(first, Frames(SPLIT), TakeState::Recovered, None).unwrap();
    store.save(&session).unwrap();
    drop(store);
    fs::remove_file(overflow.join(&next.file)).unwrap();
    let (mut store, mut copy) = OpenSession::open(&overflow).unwrap();
    copy.list_loss(first, FramePos(SPLIT + 100), Frames(WINDOW), "device away").unwrap();
    store.save(&copy).unwrap();
    drop(store);
    scene.write_wav(0, Cut { committed: 4, claimed: 4 * WINDOW }, 4 * WINDOW);
    let (_, session) = scene.recover();
    let losses =
        |session: &Session| session.takes()[0].losses.iter().map(|it| (it.at.0, it.frames.0)).collect::<Vec<_>>();
    assert_eq!((session.takes().len(), session.takes()[0].frames), (1, Frames(4 * WINDOW)));
    assert_eq!(losses(&session), [(SPLIT + 100, WINDOW)]);
    assert_eq!(scene.recover().1, session);
}

#[test]
fn a_mirror_that_is_opened_while_the_overflow_folder_is_away_keeps_the_sound_behind_the_continuation() {
    let scene = Scene::bare(2);
    // A mirror's files have the whole pass. Its list has the continuation of the session's own take.
    for index in 0..2 {
        scene.write_wav(index, Cut { committed: 3, claimed: 3 * WINDOW }, 3 * WINDOW);
    }
    let away = scene.folder.path().join("away");
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let (id, mut names) = (session.takes()[0].id, session.taken_names());
    session.remember_overflow_folder(away.display().to_string());
    session.add_continuation(id, Uuid::new_v4(), Frames(SPLIT), Some(away.display().to_string()), &mut names).unwrap();
    let copy = session.copy_for_folder(&away.display().to_string(), &scene.root().display().to_string());
    store.save(&session).unwrap();
    drop(store);
    let (report, session) = scene.recover();
    assert_eq!((report.passes.len(), session.takes()[0].frames), (1, Frames(SPLIT)), "{:?}", report.troubles);
    let file = fs::read(&scene.plans[0].path).unwrap();
    assert!(file[at(0) as usize..] == sound(0, 0..3 * WINDOW), "{} bytes", file.len());
    // The folder is back, and the continuation was never made there.
    drop(OpenSession::open_on_other_disk(&away, &copy).unwrap());
    let (report, session) = scene.recover();
    let parts: Vec<_> = session.takes().iter().map(|take| (take.state, take.offset.0, take.frames.0)).collect();
    assert_eq!(parts, [(TakeState::Recovered, 0, 3 * WINDOW); 2], "{:?}", report.troubles);
    let file = fs::read(&scene.plans[0].path).unwrap();
    assert!(file[at(0) as usize..] == sound(0, 0..3 * WINDOW), "{} bytes", file.len());
}
