//! Samples of real files and real processes, on the disk of the build. Thread: test.

use super::*;
use crate::window::budget::LockBudget;
use crate::window::kernel_pages::has_cachestat;
use crate::window::map::{Mapping, Populate};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::File;
use std::os::unix::fs::FileExt;

const PAGE: u64 = PAGE_BYTES as u64;

/// A folder on the disk that contains the test binary, and a clean file of 16 pages in it.
fn file() -> (tempfile::TempDir, PathBuf, File) {
    let program = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    let path = folder.path().join("a.wav");
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    file.write_all_at(&vec![7; 16 * PAGE_BYTES], 0).unwrap();
    file.sync_all().unwrap();
    (folder, path, file)
}

fn watch(paths: &[&Path], pid: Option<i32>) -> Watch {
    Watch::new(Watched { paths: paths.iter().map(|path| (*path).to_owned()).collect(), pid, cells: 16 })
}

fn own_pid() -> i32 {
    std::process::id() as i32
}

#[test]
fn pages_of_a_file_are_shown_after_a_read_and_gone_after_the_cache_was_dropped() {
    let (_folder, path, file) = file();
    let mut watch = watch(&[&path], None);
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    let look = watch.sample().unwrap().files.remove(0);
    assert_eq!((look.cached_bytes, look.size_bytes), (Some(0), 16 * PAGE));
    assert_eq!(look.cells, "................");
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM).unwrap();
    file.read_exact_at(&mut [0; 3 * PAGE_BYTES], 2 * PAGE).unwrap();
    let look = watch.sample().unwrap().files.remove(0);
    assert_eq!((look.cached_bytes, look.cells.as_str()), (Some(3 * PAGE), "..===..........."));
    if has_cachestat() {
        file.write_all_at(&[8; PAGE_BYTES], 10 * PAGE).unwrap();
        let look = watch.sample().unwrap().files.remove(0);
        assert_eq!((look.dirty_bytes, look.cells.as_str()), (Some(PAGE), "..===.....d....."));
    }
    assert_eq!(look.mapped, None);
}

#[test]
fn a_file_that_grows_vanishes_or_is_none_is_one_clear_line() {
    let (folder, path, file) = file();
    let mut watch = watch(&[&path, folder.path(), Path::new("/dev/null"), Path::new("/nowhere")], None);
    file.set_len(40 * PAGE).unwrap();
    let sample = watch.sample().unwrap();
    let [own, of_folder, device, missing] = &sample.files[..] else { panic!("{sample:?}") };
    assert_eq!((own.size_bytes, own.cell_bytes, own.cells.len()), (40 * PAGE, 3 * PAGE, 14));
    assert_eq!(own.cells, of_folder.cells);
    assert_eq!(device.problem.as_deref(), Some("it is no regular file, so it has no pages to show"));
    assert_eq!(missing.problem.as_deref(), Some("there is no such file"));
    std::fs::remove_file(&path).unwrap();
    let sample = watch.sample().unwrap();
    assert_eq!(sample.files[0].problem.as_deref(), Some("there is no such file"));
    assert!(sample.notes.iter().any(|note| note.ends_with("the folder has no files")), "{:?}", sample.notes);
}

#[test]
fn a_file_on_tmpfs_has_nothing_dirty_and_the_note_says_why() {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        println!("SKIPPED this test: /dev/shm cannot be written");
        return;
    };
    let path = folder.path().join("a");
    std::fs::write(&path, [1; 3 * PAGE_BYTES]).unwrap();
    let sample = watch(&[&path], None).sample().unwrap();
    let look = &sample.files[0];
    assert_eq!((look.file_system.as_deref(), look.dirty_bytes), (Some("tmpfs"), Some(0)));
    assert_eq!((look.cached_bytes, look.cells.as_str()), (Some(3 * PAGE), "==="));
    assert!(sample.notes[0].contains("in memory only"), "{:?}", sample.notes);
}

#[test]
fn a_mapping_of_a_process_is_shown_page_by_page_with_its_locks() {
    let (_folder, path, file) = file();
    let budget = LockBudget::new(1 << 20);
    let mut locked = Mapping::of_captured(&file, 4 * PAGE, 2 * PAGE_BYTES).unwrap();
    locked.populate(Populate::Advise).unwrap();
    let mut plain = Mapping::of_captured(&file, 8 * PAGE, 3 * PAGE_BYTES).unwrap();
    plain.populate(Populate::Advise).unwrap();
    assert!(locked.lock(&budget));
    let mut watch = watch(&[&path], Some(own_pid()));
    let sample = watch.sample().unwrap();
    let look = &sample.files[0];
    // The part from the first mapped page to the last.
    assert_eq!((look.cells.as_str(), look.first_byte), ("LL==mmm", 4 * PAGE));
    let mapped = look.mapped.unwrap();
    assert_eq!((mapped.mapped_bytes, mapped.locked_bytes), (5 * PAGE, 2 * PAGE));
    assert_eq!(mapped.in_page_tables_bytes, 5 * PAGE);
    drop((locked, plain));
    let look = &watch.sample().unwrap().files[0];
    assert_eq!((look.cells.as_str(), look.mapped), ("================", Some(MappedLook::default())));
}

#[test]
fn a_page_that_is_mapped_twice_counts_once() {
    let (_folder, path, file) = file();
    let maps = [0, 0].map(|offset| {
        let mut map = Mapping::of_captured(&file, offset, 16 * PAGE_BYTES).unwrap();
        map.populate(Populate::Advise).unwrap();
        map
    });
    let mut watch = Watch::new(Watched { paths: vec![path], pid: Some(own_pid()), cells: 1 });
    let look = watch.sample().unwrap().files.remove(0);
    assert_eq!((look.cells.as_str(), look.mapped.unwrap().mapped_bytes), ("m", 32 * PAGE));
    drop(maps);
}

#[test]
fn all_files_of_a_process_are_listed_with_its_threads_and_their_rates() {
    let mut watch = watch(&[], Some(own_pid()));
    let first = watch.sample().unwrap();
    // Pages of the test program itself may still be dirty.
    let is_libc = |look: &&FileLook| look.path.contains("libc.so") || look.path.contains("libc-");
    let libc = first.files.iter().find(is_libc).unwrap();
    assert!(libc.cells.contains(['m', 'L']) && libc.mapped.unwrap().in_page_tables_bytes > 0, "{libc:?}");
    let process = first.process.unwrap();
    assert!(process.anonymous.unwrap().in_page_tables_bytes > 0);
    assert!(process.threads.iter().all(|thread| thread.minor_faults_per_second.is_none()));
    let own = nix::unistd::gettid().as_raw();
    let pages = memmap2::MmapMut::map_anon(256 * PAGE_BYTES).map(|mut map| {
        (0..256).for_each(|page| map[page * PAGE_BYTES] = 1);
        map
    });
    let threads = watch.sample().unwrap().process.unwrap().threads;
    let thread = threads.iter().find(|thread| thread.tid == own).unwrap();
    assert!(pages.is_ok() && thread.minor_faults_per_second.unwrap() > 0.0, "{thread:?}");
}

#[test]
fn a_process_that_is_gone_is_an_error_in_one_line() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id() as i32;
    child.wait().unwrap();
    assert_eq!(
        watch(&[], Some(pid)).sample().unwrap_err(),
        format!("process {pid}: there is no such process, or it has ended")
    );
}

#[test]
fn a_sample_is_plain_data_that_comes_back_from_json() {
    let (_folder, path, _file) = file();
    let sample = watch(&[&path], Some(own_pid())).sample().unwrap();
    let json = serde_json::to_string(&sample).unwrap();
    assert_eq!(serde_json::from_str::<WatchSample>(&json).unwrap(), sample);
}
