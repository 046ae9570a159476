//! The file of a take alone: capabilities, changes by other programs, headers. Thread: test.

use super::*;
use crate::format::TakeFormat;
use crate::host::disk::{DiskCall, Proceed};
use crate::host::refusing::{refusing, without_folder_syncs};
use crate::message::take::TakeKey;
use crate::time::FramePos;
use crate::wav::bext::CHANGED_BY_OTHERS;
use std::os::unix::fs::FileExt;
use uuid::Uuid;

fn plan(folder: &std::path::Path) -> TakePlan {
    TakePlan {
        key: TakeKey(1),
        identity: Uuid::new_v4(),
        session: Uuid::new_v4(),
        path: folder.join("t-1.wav"),
        header: Header::new(1, 48_000, TakeFormat::S24),
        pair: None,
        head: Frames(0),
    }
}

#[test]
fn a_take_is_readable_while_it_grows_and_exact_at_its_end_with_every_capability() {
    for without in [vec![], vec!["o_direct".to_owned()], vec!["o_direct".to_owned(), "fallocate".to_owned()]] {
        let folder = tempfile::tempdir().unwrap();
        let (capabilities, mut notes) = (Capabilities::probe(&without), Vec::new());
        let mut take = TakeFile::create(
            &plan(folder.path()),
            FileStart::FIRST,
            &capabilities,
            Duration::from_secs(30),
            &mut notes,
        )
        .unwrap();
        take.make_durable(&capabilities, true, &mut notes).unwrap();
        assert_eq!(notes.is_empty(), without.is_empty(), "{notes:?}");
        let memory = MmapMut::map_anon(12_288).unwrap();
        take.write_run(FileByte(4096), &mut [IoSlice::new(&memory[..4096]), IoSlice::new(&memory[4096..])]).unwrap();
        take.note_written(FileByte(4096 + 12_288));
        assert!(take.sync().unwrap().is_empty());
        assert!(!take.is_unsynced() && take.header_lag(take.durable()) == HeaderLag::All);
        take.write_header(take.durable()).unwrap();
        assert_eq!(hound::WavReader::open(&take.path).unwrap().duration(), 4096);
        let end = TakeEnd { frames: Frames(4095), began: FramePos(7), latency: Frames(3), history: "A=PCM".to_owned() };
        take.finish(end.frames, &end).unwrap();
        let reader = hound::WavReader::open(&take.path).unwrap();
        assert_eq!((reader.duration(), reader.spec().bits_per_sample), (4095, 24));
        assert_eq!(std::fs::metadata(&take.path).unwrap().len(), 4096 + 4095 * 3 + 1, "a pad byte after an odd size");
    }
}

/// The end of a file on a slow disk made silence of sound that another program had just cut off.
#[test]
fn a_file_that_is_cut_short_between_the_last_look_and_its_end_is_found_by_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (capabilities, ahead) = (Capabilities::probe(&[]), Duration::from_secs(1));
    let mut take =
        TakeFile::create(&plan(folder.path()), FileStart::FIRST, &capabilities, ahead, &mut Vec::new()).unwrap();
    take.write_run(FileByte(4096), &mut [IoSlice::new(&[1; 12_288])]).unwrap();
    take.note_written(FileByte(4096 + 12_288));
    take.sync().unwrap();
    assert_eq!(take.find_change(false), None);
    OpenOptions::new().write(true).open(&take.path).unwrap().set_len(5000).unwrap();
    let end = TakeEnd { frames: Frames(4096), began: FramePos(0), latency: Frames(0), history: String::new() };
    assert!(take.finish(end.frames, &end).unwrap_err().to_string().contains("another program"));
    assert_eq!(
        take.find_change(false),
        Some(Change { had: FileByte(4096 + 12_288), is_shorter: true, cut_at: Some(FileByte(5000)) })
    );
    take.finish(end.frames, &end).unwrap();
}

#[test]
fn a_file_that_another_program_cuts_short_or_writes_to_is_found_once_and_one_that_it_prolongs_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let capabilities = Capabilities::probe(&[]);
    let ahead = Duration::from_secs(1);
    let mut take =
        TakeFile::create(&plan(folder.path()), FileStart::FIRST, &capabilities, ahead, &mut Vec::new()).unwrap();
    assert_eq!(take.find_change(false), None, "it has no sound");
    take.write_run(FileByte(4096), &mut [IoSlice::new(&[1; 12_288])]).unwrap();
    take.note_written(FileByte(4096 + 9000));
    assert_eq!(take.find_change(false), None);
    let other = OpenOptions::new().write(true).open(&take.path).unwrap();
    other.set_len(1 << 20).unwrap();
    assert_eq!(take.find_change(false), None, "it is longer");
    other.set_len(5000).unwrap();
    let cut = |had, at| Some(Change { had: FileByte(had), is_shorter: true, cut_at: Some(FileByte(at)) });
    assert_eq!(take.find_change(false), cut(4096 + 9000, 5000), "up to the end of the sound");
    assert_eq!(take.find_change(false), None, "once only");
    other.set_len(0).unwrap();
    assert_eq!(take.find_change(false), cut(5000, 4096));
    // An older copy of the take is saved over it: a header that claims less.
    take.write_header(FileByte(4096 + 3000)).unwrap();
    let older = std::fs::read(&take.path).unwrap();
    take.write_header(FileByte(4096 + 6000)).unwrap();
    assert_eq!(take.find_change(false), None);
    std::fs::write(&take.path, &older).unwrap();
    assert_eq!(take.find_change(false).map(|change| change.is_shorter), Some(false));
    assert_eq!(take.find_change(false), None, "once only");
    take.write_header(FileByte(4096 + 6000)).unwrap();
    assert_eq!(take.find_change(false), None);
    // A sync fails, and the kernel drops the page of the header.
    take.synced(Err(io::ErrorKind::StorageFull.into())).unwrap_err();
    disk::write_all_at(&*take.file, &older[..4096], 0).unwrap();
    assert_eq!(take.find_change(false), None, "the disk did it");
    // After a link, a single name need not be the one in the session.
    assert!(take.has_name());
    std::fs::hard_link(&take.path, folder.path().join("link")).unwrap();
    take.find_change(false);
    std::fs::remove_file(&take.path).unwrap();
    take.find_change(false);
    assert!(!take.has_name());
}

#[test]
fn an_existing_file_is_never_changed() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path());
    std::fs::write(&plan.path, "mine").unwrap();
    let error =
        TakeFile::create(&plan, FileStart::FIRST, &Capabilities::probe(&[]), Duration::from_secs(30), &mut Vec::new())
            .err()
            .unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&plan.path).unwrap(), b"mine");
}

#[test]
fn a_header_is_due_after_a_failed_sync_and_after_a_change_even_if_there_is_no_more_sound_to_claim() {
    let folder = tempfile::tempdir().unwrap();
    let (capabilities, ahead) = (Capabilities::probe(&[]), Duration::from_secs(1));
    let mut take =
        TakeFile::create(&plan(folder.path()), FileStart::FIRST, &capabilities, ahead, &mut Vec::new()).unwrap();
    let remarks = |take: &TakeFile| {
        let page = std::fs::read(&take.path).unwrap();
        String::from_utf8_lossy(&page[..4096]).matches(CHANGED_BY_OTHERS).count()
    };
    let end = FileByte(4096 + 9000);
    take.write_run(FileByte(4096), &mut [IoSlice::new(&[1; 12_288])]).unwrap();
    take.note_written(end);
    take.sync().unwrap();
    take.write_header(end).unwrap();
    assert!(take.header_lag(end) == HeaderLag::Nothing && !take.is_unsynced());
    // The kernel may have dropped the header.
    take.synced(Err(io::ErrorKind::StorageFull.into())).unwrap_err();
    assert_eq!(take.header_lag(end), HeaderLag::All);
    take.write_header(FileByte::DATA).unwrap();
    assert!(take.header_lag(end) == HeaderLag::Nothing && take.is_unsynced(), "it claims what it has claimed");
    take.sync().unwrap();
    assert!(!take.is_unsynced());
    take.note_changed(false, None);
    assert_eq!(take.header_lag(end), HeaderLag::All);
    take.write_header(end).unwrap();
    assert_eq!((take.header_lag(end), remarks(&take)), (HeaderLag::Nothing, 1));
    take.note_repaired();
    assert_eq!(take.header_lag(end), HeaderLag::All);
    take.write_header(end).unwrap();
    assert_eq!((take.header_lag(end), remarks(&take)), (HeaderLag::Nothing, 0));
    take.note_repaired();
    assert_eq!(take.header_lag(end), HeaderLag::Nothing, "once only");
    take.note_changed(true, None);
    take.note_repaired();
    take.write_header(end).unwrap();
    assert_eq!(remarks(&take), 1, "what is lost stays lost");
    // A file without a claim.
    let plan = TakePlan { path: folder.path().join("t-2.wav"), ..plan(folder.path()) };
    let mut take = TakeFile::create(&plan, FileStart::FIRST, &capabilities, ahead, &mut Vec::new()).unwrap();
    assert_eq!(take.header_lag(FileByte::DATA), HeaderLag::Nothing);
    take.note_changed(true, None);
    assert_eq!(take.header_lag(FileByte::DATA), HeaderLag::All);
}

/// A file beside this program: the folder for temporary files may be on a file system without holes. Dropping the folder removes it.
fn on_the_disk_of_the_program() -> (TakeFile, tempfile::TempDir) {
    let program = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    let (capabilities, ahead) = (Capabilities::probe(&[]), Duration::ZERO);
    let take = TakeFile::create(&plan(folder.path()), FileStart::FIRST, &capabilities, ahead, &mut Vec::new());
    (take.unwrap(), folder)
}

/// Writes `bytes` bytes of sound from byte `from` on, of which those before byte `recorded` are recorded.
fn write_durably(take: &mut TakeFile, from: u64, bytes: usize, recorded: u64) {
    take.write_run(FileByte(from), &mut [IoSlice::new(&vec![1; bytes])]).unwrap();
    take.note_written(FileByte(recorded));
    take.sync().unwrap();
}

#[test]
fn a_cut_that_falls_into_a_write_behind_it_is_found_although_the_length_and_the_header_are_right() {
    let (mut take, _folder) = on_the_disk_of_the_program();
    let write = |take: &mut TakeFile, from: u64, bytes: usize| write_durably(take, from, bytes, from + bytes as u64);
    write(&mut take, 4096, 65_536);
    take.write_header(FileByte(4096 + 65_536)).unwrap();
    assert_eq!(take.find_change(false), None);
    write(&mut take, 4096 + 65_536, 12_288);
    assert_eq!(take.find_change(false), None, "nothing lies between the two writes");
    let by_another_program = File::options().write(true).open(&take.path).unwrap();
    by_another_program.set_len(20_480).unwrap();
    write(&mut take, 4096 + 77_824, 12_288);
    if nix::unistd::lseek(&by_another_program, 40_960, nix::unistd::Whence::SeekData).unwrap() == 40_960 {
        println!("PART SKIPPED a cut in a write: this file system has no holes");
        return;
    }
    let change = take.find_change(false).unwrap();
    assert!(change.is_shorter && change.had == FileByte(4096 + 90_112), "{change:?}");
    assert_eq!(take.find_change(false), None, "once only");
}

/// The next write began with the last page again and filled the place that was looked at. The hole before it was in no list.
#[test]
fn a_cut_is_found_although_the_next_write_begins_with_the_last_page_again() {
    let (mut take, _folder) = on_the_disk_of_the_program();
    // The last page is written before it is full.
    write_durably(&mut take, 4096, 65_536, 4096 + 62_000);
    take.write_header(FileByte(4096 + 62_000)).unwrap();
    assert_eq!(take.find_change(false), None);
    let by_another_program = File::options().write(true).open(&take.path).unwrap();
    by_another_program.set_len(20_480).unwrap();
    write_durably(&mut take, 4096 + 61_440, 12_288, 4096 + 73_728);
    if nix::unistd::lseek(&by_another_program, 40_960, nix::unistd::Whence::SeekData).unwrap() == 40_960 {
        println!("PART SKIPPED a cut in a write: this file system has no holes");
        return;
    }
    assert!(take.find_change(false).is_some_and(|change| change.is_shorter));
}

/// The header of this program replaced the one of a program that had saved an older copy into the file. Nothing else shows that.
#[test]
fn the_header_of_another_program_stays_until_it_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (capabilities, ahead) = (Capabilities::probe(&[]), Duration::ZERO);
    let mut take =
        TakeFile::create(&plan(folder.path()), FileStart::FIRST, &capabilities, ahead, &mut Vec::new()).unwrap();
    take.write_run(FileByte(4096), &mut [IoSlice::new(&[1; 8192])]).unwrap();
    // 2,730 frames of three bytes.
    let end = FileByte(4096 + 8190);
    take.note_written(end);
    assert!(take.write_header(FileByte(8192)).unwrap());
    let older = take.page.to_vec();
    assert!(take.write_header(end).unwrap());
    assert_eq!(take.find_change(false), None);
    let save_older =
        || File::options().write(true).open(folder.path().join("t-1.wav")).unwrap().write_all_at(&older, 0);
    for is_end in [false, true] {
        save_older().unwrap();
        match is_end {
            false => assert!(!take.write_header(end).unwrap()),
            true => assert!(take.finish(Frames(2_730), &TakeEnd::default()).is_err()),
        }
        let change = take.find_change(false).unwrap();
        assert!(!change.is_shorter, "{change:?}");
        assert!(take.write_header(end).unwrap(), "once it was seen");
    }
    take.finish(Frames(2_730), &TakeEnd::default()).unwrap();
}

/// A take on FAT did not continue in a second file: the error of its write named no cause.
#[test]
fn a_write_that_the_largest_size_of_a_file_cuts_within_a_page_says_that_no_file_may_become_that_large() {
    let limit: u64 = 4096 * 4 - 1;
    for without in [vec![], vec!["o_direct".to_owned()]] {
        let folder = tempfile::tempdir().unwrap();
        let (capabilities, ahead) = (Capabilities::probe(&without), Duration::ZERO);
        let mut take =
            TakeFile::create(&plan(folder.path()), FileStart::FIRST, &capabilities, ahead, &mut Vec::new()).unwrap();
        take.make_durable(&capabilities, true, &mut Vec::new()).unwrap();
        let is_direct = take.o_direct_file.is_some();
        let as_on_fat = refusing(move |call| match call {
            DiskCall::Write { offset, parts, .. } => {
                let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
                match limit.saturating_sub(*offset) {
                    0 => Proceed::Fail(Errno::EFBIG),
                    room if bytes <= room => Proceed::Go,
                    _ if is_direct => Proceed::Fail(Errno::EINVAL),
                    room => Proceed::Short(room as usize),
                }
            }
            DiskCall::SetLength { bytes, .. } if limit < *bytes => Proceed::Fail(Errno::EFBIG),
            _ => Proceed::Go,
        });
        let error = take.write_run(FileByte(4096), &mut [IoSlice::new(&[1; 3 * 4096])]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFBIG), "without {without:?}");
        let cut = |bytes| take.accepted(Ok(bytes), FileByte(4 * 4096));
        let of_last_page = cut(4095).map_err(|error| error.raw_os_error());
        assert_eq!(of_last_page, if is_direct { Err(Some(libc::EFBIG)) } else { Ok(4095) });
        assert_eq!(cut(9000).unwrap(), if is_direct { 8192 } else { 9000 });
        drop(as_on_fat);
        let refused = take.accepted(Err(Errno::EINVAL), FileByte(4 * 4096)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL), "the size is not the cause");
    }
}

/// A power cut after the next sync took the only name of a file that was reported as put back.
#[test]
fn a_file_that_is_put_back_or_moved_back_into_a_folder_that_cannot_be_made_durable_has_a_volatile_name() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("session/audio");
    std::fs::create_dir_all(&folder).unwrap();
    let (capabilities, ahead) = (Capabilities::probe(&[]), Duration::ZERO);
    let create =
        |plan: &TakePlan| TakeFile::create(plan, FileStart::FIRST, &capabilities, ahead, &mut Vec::new()).unwrap();
    let mut removed = create(&plan(&folder));
    std::fs::remove_file(&removed.path).unwrap();
    let installed = without_folder_syncs(Errno::EIO);
    assert!(removed.put_back_if_removed().unwrap().is_some_and(|text| text.contains("put back")));
    assert!(removed.make_name_durable().is_err());
    drop(installed);
    removed.make_name_durable().unwrap();
    assert!(!removed.has_volatile_name);
    let mut moved = create(&TakePlan { path: folder.join("t-2.wav"), ..plan(&folder) });
    for name in ["session/t-2.wav", "removed"] {
        let now = place.path().join(name);
        match name {
            "removed" => std::fs::remove_file(&moved.path).unwrap(),
            _ => std::fs::rename(&moved.path, now).unwrap(),
        }
        let installed = without_folder_syncs(Errno::EIO);
        assert!(moved.finish(Frames(0), &TakeEnd::default()).is_err(), "{name}");
        drop(installed);
        assert!(moved.has_volatile_name, "{name}");
        moved.finish(Frames(0), &TakeEnd::default()).unwrap();
        assert!(moved.path.exists() && !moved.has_volatile_name, "{name}");
    }
}

/// A check for files that were cut took the empty file for one.
#[test]
fn a_new_file_has_its_blocks_reserved() {
    let folder = tempfile::tempdir().unwrap();
    let (capabilities, ahead) = (Capabilities::probe(&[]), Duration::from_secs(1));
    let take = TakeFile::create(&plan(folder.path()), FileStart::FIRST, &capabilities, ahead, &mut Vec::new()).unwrap();
    assert!(0 < take.reserved_bytes());
}
