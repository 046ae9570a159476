//! Takes that their disk refuses: what counts as durable meanwhile, and what their end says. Thread: test.

use super::tests::{FRAME_BYTES, Rig, TAKE, WINDOW, byte_of, claimed};
use super::*;
use crate::butler::spool::{self, SpoolPlace};
use crate::host::refusing::without_folder_syncs;
use crate::message::take::TakeEnd;
use crate::time::Frames;
use nix::errno::Errno;

impl Rig {
    /// The trouble of the take if it is given up now, at the end of a pass of so many windows.
    fn given_up(&mut self, windows: u64) -> String {
        let take = self.committer.takes.remove(0);
        let refused = Err(io::Error::from_raw_os_error(libc::ENOSPC));
        let event = self.committer.finish_event(take, Frames(windows * WINDOW), refused);
        let DiskEvent::TakeFinished { trouble: Some(trouble), .. } = event else { panic!("the take is not whole") };
        trouble
    }
}

/// The line of the window said that nothing of the pass was safe against power loss, as soon as the disk was full.
#[test]
fn a_disk_that_refuses_every_take_leaves_as_durable_what_its_headers_have_claimed_before() {
    let mut rig = Rig::new(4);
    rig.captured(0);
    rig.captured(1);
    rig.work();
    let durable = |rig: &Rig| rig.committer.setup.disk.durable_frames[0].load(Relaxed);
    assert_eq!((durable(&rig), claimed(&rig.plan.path).len() as u64), (2 * WINDOW, 2 * WINDOW * FRAME_BYTES));
    rig.accept_up_to(2 * WINDOW);
    rig.captured(2);
    rig.work();
    assert!(rig.committer.takes[0].trouble.is_some());
    assert_eq!((durable(&rig), claimed(&rig.plan.path).len() as u64), (2 * WINDOW, 2 * WINDOW * FRAME_BYTES));
    rig.accept_up_to(4 * WINDOW);
    rig.work();
    assert_eq!(durable(&rig), 3 * WINDOW, "the disk takes sound again");
}

/// An error that was over soon hid the one that lasted, and the take did not continue in a second file.
#[test]
fn a_file_that_may_not_become_larger_is_reported_although_another_error_was_reported_at_the_same_place() {
    let mut rig = Rig::new(2);
    rig.captured(0);
    let mut reported = |code| {
        rig.committer.on_write_failure(0, &io::Error::from_raw_os_error(code));
        let is_size_limit = |event| match event {
            DiskEvent::Stuck { is_size_limit, .. } => Some(is_size_limit),
            _ => None,
        };
        rig.events.try_iter().filter_map(is_size_limit).collect::<Vec<_>>()
    };
    assert_eq!(
        [libc::EIO, libc::EIO, libc::EFBIG, libc::EIO, libc::EFBIG].map(&mut reported),
        [vec![false], vec![], vec![true], vec![], vec![]]
    );
}

/// The line of the window said that sound was safe whose file a power cut would have taken.
#[test]
fn nothing_of_a_file_without_a_durable_name_counts_as_durable_until_a_later_sync_of_its_folder() {
    let mut rig = Rig::new(4);
    rig.captured(0);
    rig.work();
    let durable = |rig: &Rig| rig.committer.setup.disk.durable_frames[0].load(Relaxed);
    assert_eq!(durable(&rig), WINDOW);
    rig.committer.takes[0].file.note_volatile_name();
    let refused = without_folder_syncs(Errno::EIO);
    rig.captured(1);
    rig.committer.write_some(true);
    rig.committer.sync();
    assert_eq!(durable(&rig), WINDOW, "the folder could not be made durable");
    drop(refused);
    rig.captured(2);
    rig.work();
    assert_eq!(durable(&rig), 3 * WINDOW);
}

#[test]
fn a_take_that_is_given_up_names_the_file_of_the_mirror_that_alone_has_a_part_of_it() {
    let mut rig = Rig::new(3);
    rig.captured(0);
    rig.work();
    rig.gave_up(1);
    rig.captured(2);
    let trouble = rig.given_up(3);
    assert!(trouble.contains("what is missing is kept in") && trouble.contains("mirror.wav"), "{trouble}");
}

/// The end of the program said that the sound is in memory, where only the mirror had it.
#[test]
fn a_take_that_is_given_up_names_its_memory_only_if_a_recovery_finds_there_what_the_file_lacks() {
    let place = tempfile::tempdir().unwrap();
    let given_up = |waits_in_memory: bool, lacks_a_part: bool| {
        let mut rig = Rig::new(3);
        let memory = SpoolPlace::Folder(place.path().to_owned());
        let spool = spool::create(&memory, &rig.plan, rig.plan.identity, (WINDOW * FRAME_BYTES) as usize).unwrap();
        rig.committer.takes[0].spool = Some(Arc::new(spool));
        if lacks_a_part {
            rig.gave_up(1);
        }
        if waits_in_memory {
            rig.captured(2);
        }
        let trouble = rig.given_up(3);
        (trouble.contains(".spool"), trouble.contains("mirror.wav"))
    };
    assert_eq!(given_up(true, false), (true, false));
    assert_eq!(given_up(true, true), (true, true));
    assert_eq!(given_up(false, true), (false, true), "the memory does not have it");
    assert_eq!(given_up(false, false), (true, false), "only the end of the file is missing, which memory knows");
}

/// Stop and the end of the session waited for the disk of the mirror without a limit.
#[test]
fn an_ended_take_whose_gap_a_mirror_does_not_fill_is_given_up_and_names_where_its_sound_is() {
    for is_in_earlier_file in [false, true] {
        let mut rig = Rig::new(4);
        rig.captured(0);
        rig.captured(1);
        rig.work();
        // The disk of the mirror stands still behind the first window.
        rig.pair.continue_in(Replica::Mirror, FileStart(byte_of(WINDOW)), Arc::clone(&rig.mirror));
        rig.gave_up(1);
        if is_in_earlier_file {
            rig.committer.on_write_failure(0, &io::Error::from_raw_os_error(libc::ENOSPC));
            assert!(matches!(rig.go_on(2 * WINDOW), Continuation::Done));
        }
        rig.captured(2);
        rig.work();
        let end = TakeEnd { frames: Frames(3 * WINDOW), ..TakeEnd::default() };
        rig.committer.apply(CommitCommand::Finish { take: TAKE, end });
        let troubles = |rig: &mut Rig| {
            let trouble_of = |event| match event {
                DiskEvent::EarlierFileFinished { trouble, .. } | DiskEvent::TakeFinished { trouble, .. } => trouble,
                _ => None,
            };
            (0..4).flat_map(|_| rig.work()).filter_map(trouble_of).collect::<Vec<String>>()
        };
        assert_eq!(troubles(&mut rig), [] as [String; 0], "the mirror may come back");
        assert_eq!(rig.committer.takes.len(), 1);
        rig.committer.takes[0].make_gap_wait_older();
        let troubles = troubles(&mut rig);
        assert!(rig.committer.takes.is_empty(), "Stop ends");
        let [trouble] = &troubles[..] else { panic!("{troubles:?}") };
        assert!(trouble.contains("t-1.wav") && trouble.contains("mirror"), "{trouble}");
    }
}
