//! Recovery of sessions, spools and progress pages that the tests make themselves. Thread: test.

mod absent;
mod changed;
mod continued;
mod copied;
mod elsewhere;
mod extracting;
mod foreign;
mod gaps;
mod hostile;
mod killed;
mod listed;
mod messages;
mod mirrored;
mod moved;
mod overruns;
mod parts;
mod renamed;
mod slots;

use super::*;
use crate::butler::spool::{SpoolPlace, create, create_progress, pass_of, path_of, progress_path_of};
use crate::format::TakeFormat;
use crate::limits::DATA_OFFSET;
use crate::message::offset::SpoolByte;
use crate::message::take::{TakeKey, TakePlan};
use crate::session::NewTake;
use crate::time::FramePos;
use crate::wav::bext::Bext;
use crate::wav::header::Header;
use crate::window::budget::LockBudget;
use crate::window::map::Populate;
use crate::window::progress_page::{ProgressLoss, ProgressPage};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use tempfile::TempDir;
use uuid::Uuid;

/// Frames of a window: 12 KiB of 24-bit mono.
const WINDOW: u64 = 4096;
const BYTES: u64 = 3;

/// A session whose recording was cut off, and what is left of it.
struct Scene {
    folder: TempDir,
    memory: TempDir,
    plans: Vec<TakePlan>,
}

/// The sample of a take at a frame. Never silence.
fn sample(take: usize, frame: u64) -> [u8; 3] {
    let value = (frame + 1 + 1_000_003 * take as u64) % 0x7f_ffff + 1;
    [value as u8, (value >> 8) as u8, (value >> 16) as u8]
}

fn sound(take: usize, frames: std::ops::Range<u64>) -> Vec<u8> {
    frames.flat_map(|frame| sample(take, frame)).collect()
}

fn at(frame: u64) -> u64 {
    DATA_OFFSET + frame * BYTES
}

/// The state of a take when it was cut off.
#[derive(Clone, Copy)]
struct Cut {
    /// Windows that were committed and given back.
    committed: u64,
    /// Frames that its header claims.
    claimed: u64,
}

/// Two takes, with and without a window that the header does not claim yet.
const TWO: [Cut; 2] = [Cut { committed: 2, claimed: 2 * WINDOW }, Cut { committed: 1, claimed: 0 }];

impl Scene {
    /// Takes cut off when each had `frames` frames.
    fn new(cuts: &[Cut], frames: u64) -> Scene {
        let scene = Scene::bare(cuts.len());
        for (index, cut) in cuts.iter().enumerate() {
            scene.write_wav(index, *cut, cut.committed * WINDOW);
            scene.write_spool(index, cut.committed, frames);
        }
        scene.write_progress(frames, true, &[]);
        scene
    }

    /// Takes that the session lists, and nothing of them.
    fn bare(takes: usize) -> Scene {
        let (folder, memory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::set_permissions(memory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let root = folder.path().join("session");
        let rate = SampleRate(48_000);
        let (mut store, mut session) = OpenSession::create(&root, "scene", rate, TakeFormat::S24).unwrap();
        let (mut names, mut plans) = (session.taken_names(), Vec::new());
        for index in 0..takes {
            let track = session.add_track(&format!("In {}", index + 1), &[index as u32]).unwrap();
            let new = NewTake {
                uuid: Uuid::new_v4(),
                track,
                pass: 1,
                inputs: vec![index as u32],
                channels: 1,
                rate,
                format: TakeFormat::S24,
                start: FramePos(100),
                started: jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            };
            let identity = new.uuid;
            let id = session.add_take(new, &mut names).unwrap();
            let reference = identity.simple().to_string();
            let bext = Bext {
                originator_reference: reference,
                coding_history: "A=PCM,T=Faultless; being recorded".to_owned(),
                ..Bext::default()
            };
            plans.push(TakePlan {
                key: TakeKey(index as u64),
                identity,
                session: session.id,
                path: root.join(&session.take(id).unwrap().file),
                header: Header { bext, ..Header::new(1, rate.0, TakeFormat::S24) },
                pair: None,
                head: Frames(0),
            });
        }
        store.save(&session).unwrap();
        Scene { folder, memory, plans }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("session")
    }

    fn write_wav(&self, index: usize, cut: Cut, frames: u64) {
        let plan = &self.plans[index];
        let header = Header { data_bytes: cut.claimed * BYTES, ..plan.header.clone() };
        let file = File::create(&plan.path).unwrap();
        file.write_all_at(&*header.build(), 0).unwrap();
        file.write_all_at(&sound(index, 0..frames), at(0)).unwrap();
        // The reserve.
        file.set_len(at(100 * WINDOW)).unwrap();
    }

    /// Windows from `first` on up to two beyond `frames`, as the butler makes them: zeros where no sound has come yet. The
    /// slots are not in the order of the windows.
    fn write_spool(&self, index: usize, first: u64, frames: u64) {
        let spool_place = SpoolPlace::Folder(self.memory.path().to_owned());
        let bytes = (WINDOW * BYTES) as usize;
        let spool = create(&spool_place, &self.plans[index], pass_of(&self.plans), bytes).unwrap();
        for (slot, window) in (0..=40).rev().zip(first..frames / WINDOW + 2) {
            spool.list(slot, SpoolByte(at(window * WINDOW)), bytes).unwrap();
            spool.file.write_all_at(&vec![0; bytes], spool.shape.slot_at(slot)).unwrap();
            let (from, end) = (window * WINDOW, frames.min((window + 1) * WINDOW));
            if from < end {
                spool.file.write_all_at(&sound(index, from..end), spool.shape.slot_at(slot)).unwrap();
            }
        }
    }

    fn write_progress(&self, frames: u64, spooled: bool, losses: &[ProgressLoss]) {
        let made = create_progress(&SpoolPlace::Folder(self.memory.path().to_owned()), &self.plans, spooled).unwrap();
        let progress_page = ProgressPage::new(&made.file, Populate::Advise, &LockBudget::new(0)).unwrap();
        progress_page.begin(FramePos(250));
        for (index, loss) in losses.iter().enumerate() {
            progress_page.add_loss(index + 1, Some((index, *loss)), loss.frames);
        }
        progress_page.advance_to(Frames(frames));
    }

    /// Changes the frame count of the progress page.
    fn write_page(&self, frames: u64) {
        let file = OpenOptions::new().write(true).open(self.progress_page()).unwrap();
        file.write_all_at(&frames.to_ne_bytes(), crate::window::progress_page::PAGE_AT).unwrap();
    }

    fn spool(&self, index: usize) -> PathBuf {
        path_of(self.memory.path(), self.plans[index].identity)
    }

    fn progress_page(&self) -> PathBuf {
        progress_path_of(self.memory.path(), self.plans[0].identity)
    }

    fn recover_in_steps(&self, hook: StepHook<'_>) -> (Report, Session) {
        let (mut store, mut session) = OpenSession::open(&self.root()).unwrap();
        let report = recover_from(&mut store, &mut session, &self.view(), hook);
        // The sound on the disk is the same as in memory.
        drop(store);
        assert_eq!(OpenSession::open(&self.root()).unwrap().1, session);
        (report, session)
    }

    /// This program, which sees the memory.
    fn view(&self) -> Viewpoint {
        Viewpoint::here(&[self.memory.path().to_owned()])
    }

    fn recover(&self) -> (Report, Session) {
        self.recover_in_steps(&mut |_| Ok(()))
    }

    /// Every take has these frames, all of them sound but those that `silent` holds, in file and session.
    #[track_caller]
    fn check(&self, session: &Session, frames: u64, silent: impl Fn(usize, u64) -> bool) {
        for (index, take) in session.takes().iter().enumerate() {
            assert_eq!((take.state, take.frames), (TakeState::Recovered, Frames(frames)), "{}", take.file);
            let path = self.root().join(&take.file);
            let file = fs::read(&path).unwrap();
            let want = (0..frames).flat_map(|frame| if silent(index, frame) { [0; 3] } else { sample(index, frame) });
            assert!(
                file[at(0) as usize..].iter().copied().eq(want.chain((!frames.is_multiple_of(2)).then_some(0))),
                "{}",
                take.file
            );
            assert_eq!(u64::from(hound::WavReader::open(&path).unwrap().duration()), frames);
            let regions: Vec<_> = session.tracks()[index].regions().iter().map(|region| region.length.0).collect();
            assert_eq!(regions, if frames == 0 { vec![] } else { vec![frames] });
        }
        assert_eq!(fs::read_dir(self.memory.path()).unwrap().count(), 0, "memory is given back");
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for folder in [self.root(), self.root().join("audio"), self.memory.path().to_owned()] {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_file() && !entry.ends_with("session.lock") {
                    // A spool is as large as a disk and holds little.
                    let is_spool = entry.extension().is_some_and(|ending| ending == "spool");
                    let blocks = || fs::metadata(&entry).unwrap().blocks().to_ne_bytes().to_vec();
                    let bytes = if is_spool { blocks() } else { fs::read(&entry).unwrap() };
                    files.insert(entry, bytes);
                }
            }
        }
        files
    }
}

fn whole(_: usize, _: u64) -> bool {
    false
}

#[test]
fn what_is_on_the_disk_and_what_is_in_memory_come_together_to_the_frame() {
    for frames in [0, 1, 5000, 2 * WINDOW, 3 * WINDOW + 77] {
        let scene =
            Scene::new(&[Cut { committed: 0, claimed: 0 }, Cut { committed: frames / WINDOW, claimed: 0 }], frames);
        let (report, session) = scene.recover();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        scene.check(&session, frames, whole);
        let pass = &report.passes[0];
        assert_eq!((pass.basis, pass.frames, pass.takes.len()), (Basis::ProgressPage, Frames(frames), 2));
        assert_eq!(pass.takes[0].recovered_frames, frames, "all of it came from memory");
        assert_eq!(session.takes()[0].start, FramePos(250), "where it really began");
    }
}

#[test]
fn a_second_recovery_changes_nothing() {
    let scene = Scene::new(&TWO, 3 * WINDOW + 100);
    scene.recover();
    let before = scene.files();
    let (report, _) = scene.recover();
    assert!(report.passes.is_empty() && report.troubles.is_empty());
    assert!(before == scene.files());
}

#[test]
fn stopped_before_any_step_it_is_finished_by_the_next_and_nothing_is_worse_meanwhile() {
    const FRAMES: u64 = 3 * WINDOW + 100;
    let mut steps = Vec::new();
    Scene::new(&TWO, FRAMES).recover_in_steps(&mut |step| {
        steps.push(step);
        Ok(())
    });
    for step in [Step::Sound, Step::Length, Step::Header, Step::Durable, Step::Session, Step::Remove] {
        assert!(steps.contains(&step), "{steps:?}");
    }
    for first in 0..steps.len() {
        for second in 0..steps.len() {
            let scene = Scene::new(&TWO, FRAMES);
            for stop in [first, second] {
                let mut left = stop;
                scene.recover_in_steps(&mut |_| {
                    // Killed is killed: nothing more is done.
                    left = left.checked_sub(1).ok_or_else(|| io::Error::other("killed"))?;
                    Ok(())
                });
                for (index, cut) in TWO.iter().enumerate() {
                    let file = fs::read(&scene.plans[index].path).unwrap();
                    let had = sound(index, 0..cut.committed * WINDOW);
                    assert!(file[at(0) as usize..].starts_with(&had), "what was on the disk stays, {stop}");
                    assert!(
                        u64::from(hound::WavReader::open(&scene.plans[index].path).unwrap().duration()) >= cut.claimed
                    );
                }
            }
            let (report, session) = scene.recover();
            assert!(report.troubles.is_empty(), "{first} {second}: {:?}", report.troubles);
            scene.check(&session, FRAMES, whole);
        }
    }
}

#[test]
fn the_power_may_go_amid_a_recovery_and_no_header_is_ahead_of_any_sound() {
    let cuts = [Cut { committed: 2, claimed: WINDOW }; 3];
    for last in 0.. {
        let scene = Scene::new(&cuts, 3 * WINDOW + 100);
        let mut steps = Vec::new();
        scene.recover_in_steps(&mut |step| {
            steps.push(step);
            if steps.len() == last { Err(io::Error::other("the power goes")) } else { Ok(()) }
        });
        let header = steps.iter().position(|step| *step == Step::Header).unwrap_or(steps.len());
        assert!(!steps[header..].contains(&Step::Sound), "{steps:?}");
        if last > steps.len() {
            break;
        }
        // Memory goes with it.
        for entry in fs::read_dir(scene.memory.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let (_, session) = scene.recover();
        let frames = session.takes()[0].frames.0;
        assert!((WINDOW..=3 * WINDOW + 100).contains(&frames));
        scene.check(&session, frames, whole);
    }
}

#[test]
fn after_a_restart_of_the_machine_takes_have_what_one_claims_for_all_and_it_is_said() {
    let cuts = [Cut { committed: 3, claimed: 2 * WINDOW }, Cut { committed: 3, claimed: WINDOW + 5 }];
    let scene = Scene::new(&cuts, 3 * WINDOW + 100);
    for path in [scene.spool(0), scene.spool(1), scene.progress_page()] {
        fs::remove_file(path).unwrap();
    }
    let (report, session) = scene.recover();
    scene.check(&session, 2 * WINDOW, whole);
    assert_eq!(report.passes[0].basis, Basis::Disk);
    assert!(report.passes[0].is_short() && report.passes[0].to_string().contains("what was in memory only is gone"));
    assert!(session.takes().iter().all(|take| take.losses.is_empty()), "a header that was late is no loss");
}

#[test]
fn without_a_progress_the_last_sound_of_any_take_is_the_end_of_all() {
    let scene = Scene::new(&TWO, 3 * WINDOW + 100);
    fs::remove_file(scene.progress_page()).unwrap();
    let (report, session) = scene.recover();
    scene.check(&session, 3 * WINDOW + 100, whole);
    assert_eq!(report.passes[0].basis, Basis::Spool);
}

#[test]
fn a_take_whose_spool_is_gone_has_the_length_of_the_others_and_its_loss_is_listed() {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    fs::remove_file(scene.spool(0)).unwrap();
    let (_, session) = scene.recover();
    scene.check(&session, 3 * WINDOW, |take, frame| take == 0 && 2 * WINDOW <= frame);
    let losses: Vec<_> = session.takes()[0].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
    assert_eq!(losses, [(2 * WINDOW, WINDOW)]);
    assert!(session.takes()[1].losses.is_empty());
}

#[test]
fn a_take_without_a_spool_that_was_recorded_into_directly_is_whole_and_claims_no_loss() {
    let scene = Scene::bare(1);
    scene.write_wav(0, Cut { committed: 0, claimed: WINDOW }, 2 * WINDOW + 9);
    scene.write_progress(2 * WINDOW + 9, false, &[]);
    let (report, session) = scene.recover();
    scene.check(&session, 2 * WINDOW + 9, whole);
    assert!(session.takes()[0].losses.is_empty() && !report.passes[0].is_short());
}

#[test]
fn losses_of_the_device_are_listed_where_they_were() {
    let scene = Scene::bare(1);
    scene.write_wav(0, Cut { committed: 1, claimed: WINDOW }, WINDOW);
    scene.write_spool(0, 1, 2 * WINDOW);
    let loss = ProgressLoss { at: FramePos(9), frames: Frames(4), cause: 3 };
    let beyond = ProgressLoss { at: FramePos(2 * WINDOW - 1), frames: Frames(50), cause: 77 };
    scene.write_progress(2 * WINDOW, true, &[loss, beyond]);
    let (report, session) = scene.recover();
    let losses = &session.takes()[0].losses;
    let found: Vec<_> = losses.iter().map(|loss| (loss.at.0, loss.frames.0, loss.cause.as_str())).collect();
    assert_eq!(found, [(9, 4, "device away"), (2 * WINDOW - 1, 1, "lost")]);
    assert_eq!(report.passes[0].lost, Frames(54));
}

#[test]
fn a_session_that_was_moved_is_recovered_where_it_is() {
    let mut scene = Scene::new(&TWO, 3 * WINDOW);
    let target = scene.folder.path().join("elsewhere");
    fs::rename(scene.root(), &target).unwrap();
    symlink(&target, scene.root()).unwrap();
    for plan in &mut scene.plans {
        plan.path = target.join(plan.path.strip_prefix(scene.folder.path().join("session")).unwrap());
    }
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty());
    scene.check(&session, 3 * WINDOW, whole);
}

#[test]
fn a_copy_of_a_session_takes_the_sound_and_leaves_it_for_the_original() {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    let copy = scene.folder.path().join("copy");
    let done = std::process::Command::new("cp").arg("-a").arg(scene.root()).arg(&copy).status().unwrap();
    assert!(done.success());
    let (mut store, mut session) = OpenSession::open(&copy).unwrap();
    let report = recover(&mut store, &mut session, &[scene.memory.path().to_owned()]);
    assert_eq!((report.passes.len(), session.takes()[1].frames), (1, Frames(3 * WINDOW)));
    assert!(scene.spool(0).exists() && scene.spool(1).exists() && scene.progress_page().exists());
    let (report, session) = scene.recover();
    assert_eq!(report.passes[0].basis, Basis::ProgressPage);
    scene.check(&session, 3 * WINDOW, whole);
}

#[test]
fn a_full_disk_is_reported_and_the_spool_is_kept() {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    let mut writes = 0;
    let (report, session) = scene.recover_in_steps(&mut |step| {
        writes += u32::from(step == Step::Sound);
        if writes == 2 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    });
    assert!(report.passes.is_empty());
    let trouble = &report.troubles[0];
    assert!(trouble.contains("In 2-1.wav: not recovered") && trouble.contains("make room on the disk"), "{trouble}");
    assert!(trouble.contains(&scene.spool(1).display().to_string()), "{trouble}");
    assert!(session.takes().iter().all(|take| take.state == TakeState::Recording));
    assert!(scene.spool(0).exists() && scene.spool(1).exists() && scene.progress_page().exists());
    let (_, session) = scene.recover();
    scene.check(&session, 3 * WINDOW, whole);
}

#[test]
fn a_take_passes_four_gib_in_its_recovery() {
    let scene = Scene::bare(1);
    let frames = (5 << 30) / BYTES / WINDOW * WINDOW + 17;
    let claimed = frames / WINDOW * WINDOW - 2 * WINDOW;
    scene.write_wav(0, Cut { committed: 0, claimed: 0 }, 10);
    let header = Header { data_bytes: claimed * BYTES, ..scene.plans[0].header.clone() };
    let file = OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap();
    file.set_len(at(claimed)).unwrap();
    file.write_all_at(&*header.build(), 0).unwrap();
    scene.write_spool(0, frames / WINDOW, frames);
    scene.write_progress(frames, true, &[]);
    let (report, session) = scene.recover();
    assert_eq!((report.passes[0].frames, session.takes()[0].frames), (Frames(frames), Frames(frames)));
    let found = crate::wav::read::Reader::open(&scene.plans[0].path).unwrap();
    assert_eq!((found.layout().frames, found.layout().truncated), (frames, false));
    let mut last = [0; 3];
    found.read_bytes(frames - 1, &mut last).unwrap();
    assert_eq!(last, sample(0, frames - 1));
}

#[test]
fn a_header_that_a_power_cut_emptied_is_rebuilt() {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap().write_all_at(&[0; 4096], 0).unwrap();
    let (_, session) = scene.recover();
    scene.check(&session, 3 * WINDOW, whole);
    let layout = crate::wav::read::Reader::open(&scene.plans[0].path).unwrap().layout().clone();
    let bext = layout.bext.unwrap();
    assert_eq!(bext.originator_reference, scene.plans[0].identity.simple().to_string());
    assert_eq!(bext.time_reference, 250);
    assert!(bext.coding_history.ends_with("cut off and recovered"), "{}", bext.coding_history);
}

#[test]
fn a_header_of_which_a_power_cut_left_sectors_of_two_versions_is_still_its_takes_own() {
    const SECTOR: usize = 512;
    let scene = Scene::bare(1);
    scene.write_wav(0, TWO[0], 3 * WINDOW);
    let file = OpenOptions::new().read(true).write(true).open(&scene.plans[0].path).unwrap();
    let mut before = [0; DATA_OFFSET as usize];
    file.read_exact_at(&mut before, 0).unwrap();
    let mut header = scene.plans[0].header.clone();
    header.bext.coding_history = "A=PCM,T=Faultless; ".to_owned() + &"faults=0 ".repeat(60);
    header.data_bytes = 3 * WINDOW * BYTES;
    let after = header.build();
    let (store, session) = OpenSession::open(&scene.root()).unwrap();
    for torn in 0..1 << (DATA_OFFSET as usize / SECTOR) {
        let mut page = before;
        for sector in (0..page.len() / SECTOR).filter(|sector| torn >> sector & 1 == 1) {
            page[sector * SECTOR..][..SECTOR].copy_from_slice(&after[sector * SECTOR..][..SECTOR]);
        }
        file.write_all_at(&page, 0).unwrap();
        let found = super::take_wav::TakeWav::open(&store, &session, &session.takes()[0]).unwrap();
        assert!([2 * WINDOW, 3 * WINDOW].contains(&found.claimed.0), "{torn:b}: {:?}", found.claimed);
        // Another take's file is still another take's.
        page[48 + 8 + 256 + 32] ^= 1;
        file.write_all_at(&page, 0).unwrap();
        assert!(super::take_wav::TakeWav::open(&store, &session, &session.takes()[0]).is_err(), "{torn:b}");
    }
}

#[test]
fn a_take_that_a_finished_pass_left_open_gets_the_length_of_the_others() {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    // The first take was finished by its committer, and the second one's disk failed.
    scene.write_wav(0, Cut { committed: 0, claimed: 3 * WINDOW }, 3 * WINDOW);
    fs::remove_file(scene.spool(0)).unwrap();
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let ids: Vec<_> = session.takes().iter().map(|take| take.id).collect();
    session.finish_take(ids[0], Frames(3 * WINDOW), TakeState::Complete, None).unwrap();
    session.finish_take(ids[1], Frames(3 * WINDOW), TakeState::Recording, None).unwrap();
    store.save(&session).unwrap();
    drop(store);
    let before = fs::read(&scene.plans[0].path).unwrap();
    let (report, session) = scene.recover();
    assert_eq!((report.passes[0].basis, report.passes[0].takes.len()), (Basis::Finished, 1));
    assert_eq!(session.takes()[1].frames, Frames(3 * WINDOW));
    assert!(before == fs::read(&scene.plans[0].path).unwrap(), "a finished take is not touched");
    let second = fs::read(&scene.plans[1].path).unwrap();
    assert!(second[4096..] == sound(1, 0..3 * WINDOW));
}

#[test]
fn a_take_that_a_finished_pass_left_open_lists_the_losses_of_the_pass() {
    let scene = Scene::bare(2);
    scene.write_wav(0, Cut { committed: 0, claimed: 3 * WINDOW }, 3 * WINDOW);
    scene.write_wav(1, Cut { committed: 1, claimed: 0 }, WINDOW);
    scene.write_spool(1, 1, 3 * WINDOW);
    let loss = ProgressLoss { at: FramePos(9), frames: Frames(4), cause: 3 };
    scene.write_progress(3 * WINDOW, true, &[loss]);
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let first = session.takes()[0].id;
    session.finish_take(first, Frames(3 * WINDOW), TakeState::Complete, None).unwrap();
    store.save(&session).unwrap();
    drop(store);
    let (report, session) = scene.recover();
    assert_eq!((report.passes[0].basis, report.passes[0].lost), (Basis::Finished, Frames(4)));
    let losses: Vec<_> = session.takes()[1].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
    assert_eq!(losses, [(9, 4)]);
    assert_eq!(session.takes()[1].start, FramePos(250), "the start that the progress page knows");
}

#[test]
fn a_spool_of_a_finished_take_is_removed_only_if_the_take_has_all_of_it() {
    for differs in [false, true] {
        let scene = Scene::new(&TWO, 3 * WINDOW);
        let mut removals = 0;
        // Killed when the session was saved and nothing removed.
        scene.recover_in_steps(&mut |step| {
            removals += u32::from(step == Step::Remove);
            if removals > 0 { Err(io::Error::other("killed")) } else { Ok(()) }
        });
        assert!(scene.spool(0).exists() && scene.spool(1).exists());
        if differs {
            let file = OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap();
            file.write_all_at(&[99], at(3 * WINDOW) - 1).unwrap();
        }
        // Memory ends with the machine, so each recovery says that it is kept.
        for _ in 0..2 {
            let (report, _) = scene.recover();
            assert_eq!((report.passes.len(), report.troubles.len()), (0, usize::from(differs)), "{report:?}");
            assert!(report.troubles.iter().all(|text| text.contains("it has sound that its take does not have")));
        }
        assert_eq!((scene.spool(0).exists(), scene.progress_page().exists()), (differs, differs));
        assert!(!scene.spool(1).exists());
    }
}

#[test]
fn what_was_made_for_a_pass_that_never_began_goes_and_sound_of_a_take_that_is_not_listed_stays() {
    for sound in [false, true] {
        let scene = Scene::bare(2);
        for index in 0..2 {
            scene.write_spool(index, 0, if sound { 100 } else { 0 });
        }
        let made = create_progress(&SpoolPlace::Folder(scene.memory.path().to_owned()), &scene.plans, true).unwrap();
        if sound {
            made.file.write_all_at(&100_u64.to_ne_bytes(), crate::window::progress_page::PAGE_AT).unwrap();
        }
        drop(made);
        // The session as it was before the takes were added to it.
        let (mut store, session) = OpenSession::open(&scene.root()).unwrap();
        let mut before = Session::new(session.id, "scene", "", session.rate(), TakeFormat::S24);
        let report = recover(&mut store, &mut before, &[scene.memory.path().to_owned()]);
        assert_eq!((report.passes.len(), report.troubles.len()), (0, if sound { 2 } else { 0 }), "{report:?}");
        assert!(report.troubles.iter().all(|text| text.contains("sound of a take that the session does not list")));
        assert_eq!(fs::read_dir(scene.memory.path()).unwrap().count(), if sound { 3 } else { 0 });
    }
}
