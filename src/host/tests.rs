//! Tests of the seam with a machine whose other threads never run. Thread: test.

use super::disk::{DiskCall, Outcome, Proceed};
use super::*;
use crossbeam_channel::{RecvTimeoutError, bounded};
use nix::errno::Errno;
use std::fs::OpenOptions;

/// A machine on which time passes only in waits, and which cuts or refuses writes as it was told.
#[derive(Default)]
struct Alone {
    time: Cell<Duration>,
    proceeds: RefCell<Vec<Proceed>>,
    seen: RefCell<Vec<String>>,
}

struct Body(Box<dyn FnOnce() + Send>);

impl HostThread for Body {
    fn is_finished(&self) -> bool {
        false
    }

    fn join(self: Box<Self>) -> std::thread::Result<()> {
        (self.0)();
        Ok(())
    }
}

impl Host for Alone {
    fn time(&self) -> Duration {
        self.time.get()
    }

    fn wall_clock(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn random(&self) -> u128 {
        7
    }

    fn sleep(&self, time: Duration) {
        self.time.set(self.time.get() + time);
    }

    fn pause(&self, until: Option<Duration>, _: bool) -> bool {
        self.time.set(until.unwrap_or(self.time.get()));
        until.is_some()
    }

    fn spawn(&self, _: &'static str, _: usize, body: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn HostThread>> {
        Ok(Box::new(Body(body)))
    }

    fn before(&self, call: &DiskCall<'_>) -> Proceed {
        match call {
            DiskCall::Write { .. } => self.proceeds.borrow_mut().pop().unwrap_or(Proceed::Go),
            _ => Proceed::Go,
        }
    }

    fn after(&self, call: &DiskCall<'_>, outcome: Outcome<'_>) {
        let call = format!("{call:?}");
        let name = call.split(' ').next().unwrap_or_default();
        let what = match outcome {
            Outcome::Done => "done".to_owned(),
            Outcome::Bytes(bytes) => bytes.to_string(),
            Outcome::Opened(_) => "opened".to_owned(),
            Outcome::Failed(error) => error.kind().to_string(),
        };
        self.seen.borrow_mut().push(format!("{name} {what}"));
    }

    fn batch(&self, calls: &[DiskCall<'_>], carry_out: &mut dyn FnMut(usize, Proceed) -> Result<usize, Errno>) {
        for (at, call) in calls.iter().enumerate().rev() {
            let result = carry_out(at, self.before(call));
            self.seen.borrow_mut().push(format!("{at} {result:?}"));
        }
    }

    fn free_bytes(&self, _: &Path) -> Option<u64> {
        Some(5)
    }

    fn memory_folders(&self) -> Vec<PathBuf> {
        vec![PathBuf::from("/memory")]
    }

    fn boot(&self) -> String {
        "first".to_owned()
    }
}

#[test]
fn simulated_time_passes_in_waits_only_and_the_real_clock_is_back_afterwards() {
    let host = Rc::new(Alone::default());
    let installed = install(Rc::clone(&host) as Rc<dyn Host>);
    let (start, real) = (now(), Instant::now());
    sleep(Duration::from_secs(3600));
    let (sender, receiver) = bounded::<u8>(1);
    assert_eq!(receive_timeout(&receiver, Duration::from_secs(60)), Err(RecvTimeoutError::Timeout));
    assert_eq!((elapsed(start), monotonic()), (Duration::from_secs(3660), Duration::from_secs(3660)));
    assert!(real.elapsed() < Duration::from_secs(60));
    // A process that was killed waits for nobody.
    assert!(receive(&receiver).is_err());
    assert!(send(&sender, 1).is_ok() && send(&sender, 2).is_err());
    assert_eq!(receive(&receiver), Ok(1));
    assert_eq!((new_uuid(), timestamp()), (new_uuid(), Timestamp::UNIX_EPOCH));
    assert_eq!((free_bytes(Path::new("/")), boot().as_deref()), (Some(Some(5)), Some("first")));
    let (done, is_done) = bounded(1);
    let thread = spawn("test", 4096, move || done.send(()).unwrap()).unwrap();
    assert_eq!((thread.name(), thread.is_finished(), is_done.is_empty()), ("test", false, true));
    thread.join().unwrap();
    assert!(!is_done.is_empty());
    drop(installed);
    assert!(!is_simulated() && monotonic() != Duration::from_secs(3660) && boot().is_none());
    assert_ne!(new_uuid(), new_uuid());
}

#[test]
fn a_disk_call_is_cut_short_or_refused_as_the_host_says_and_the_host_learns_the_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let host = Rc::new(Alone::default());
    let installed = install(Rc::clone(&host) as Rc<dyn Host>);
    let mut options = OpenOptions::new();
    let file = disk::create(options.read(true).write(true), &path).unwrap();
    assert_eq!(disk::create(&options, &path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    host.proceeds.borrow_mut().extend([Proceed::Go, Proceed::Short(3)]);
    disk::write_all_at(&file, b"abcdefgh", 0).unwrap();
    host.proceeds.borrow_mut().push(Proceed::Fail(Errno::ENOSPC));
    assert_eq!(disk::write_all_at(&file, b"x", 0).unwrap_err().raw_os_error(), Some(Errno::ENOSPC as i32));
    let parts = [io::IoSlice::new(b"AB"), io::IoSlice::new(b"CD"), io::IoSlice::new(b"EF")];
    host.proceeds.borrow_mut().push(Proceed::Short(3));
    assert_eq!(disk::write_parts_at(&file, &parts, 0), Ok(3));
    let mut bytes = [0; 8];
    disk::read_exact_at(&file, &mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"ABCdefgh");
    disk::sync_folder_at(folder.path()).unwrap();
    let seen = [
        "Create opened",
        "Create entity already exists",
        "Write 3",
        "Write 5",
        "Write 3",
        "Read 8",
        "Open opened",
        "SyncFolder done",
    ];
    assert_eq!(host.seen.take(), seen);
    drop(installed);
    disk::remove(&path).unwrap();
    assert!(host.seen.take().is_empty());
}

#[test]
fn each_call_of_a_batch_has_its_own_result_in_every_way() {
    use batch::{BatchWrite, Batcher};
    use std::os::fd::AsFd;
    let folder = tempfile::tempdir().unwrap();
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let file = |name: &str| disk::create(&options, &folder.path().join(name)).unwrap();
    let parts = [io::IoSlice::new(b"AB"), io::IoSlice::new(b"CD")];
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    for at_once in [false, true] {
        let files = [file(&format!("1 {at_once}")), file(&format!("2 {at_once}"))];
        let mut batcher = Batcher::new(at_once);
        let places = [(&files[0], 2), (&full, 0), (&files[1], 0)];
        let writes = places.map(|(file, offset)| BatchWrite { file: file.as_fd(), offset, parts: &parts });
        assert_eq!(batcher.write(&writes), [Ok(4), Err(Errno::ENOSPC), Ok(4)]);
        assert_eq!(batcher.sync_files(&[&files[0], &files[1]]), [Ok(0), Ok(0)]);
        let mut bytes = [9; 6];
        disk::read_exact_at(&files[0], &mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"\0\0ABCD");
        assert!(batcher.longest_wait() > Duration::ZERO && batcher.longest_wait() == Duration::ZERO);
    }
    let files = [file("3"), file("4"), file("5")];
    let host = Rc::new(Alone::default());
    let installed = install(Rc::clone(&host) as Rc<dyn Host>);
    let mut batcher = Batcher::new(true);
    host.proceeds.borrow_mut().extend([Proceed::Fail(Errno::EIO), Proceed::Short(3)]);
    let writes: Vec<BatchWrite> =
        files.iter().map(|file| BatchWrite { file: file.as_fd(), offset: 0, parts: &parts }).collect();
    assert_eq!(batcher.write(&writes), [Ok(4), Err(Errno::EIO), Ok(3)]);
    assert_eq!(batcher.sync_files(&[&files[0], &files[1]]), [Ok(0), Ok(0)]);
    assert_eq!(host.seen.take(), ["2 Ok(3)", "1 Err(EIO)", "0 Ok(4)", "1 Ok(0)", "0 Ok(0)"]);
    assert_eq!(batcher.write(&writes[..1]), [Ok(4)]);
    assert_eq!(host.seen.take(), ["Write 4"], "a call by itself is no batch");
    drop(installed);
}

#[test]
fn a_name_in_an_open_folder_is_resolved_by_the_folders_present_path() {
    let place = tempfile::tempdir().unwrap();
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    disk::make_folders(&one).unwrap();
    let folder = disk::open_folder(&one).unwrap();
    std::fs::rename(&one, &two).unwrap();
    let name = disk::Name { folder: Some(std::os::fd::AsFd::as_fd(&folder)), path: Path::new("file") };
    assert_eq!(name.resolved(), two.canonicalize().unwrap().join("file"));
}

#[test]
fn a_file_system_that_cannot_sync_a_folder_is_no_error_and_a_disk_that_fails_is_one() {
    let folder = tempfile::tempdir().unwrap();
    for (errno, is_error) in
        [(Errno::EINVAL, false), (Errno::ENOSYS, false), (Errno::EOPNOTSUPP, false), (Errno::EIO, true)]
    {
        let installed = refusing::without_folder_syncs(errno);
        assert_eq!(disk::sync_folder_at(folder.path()).is_err(), is_error, "{errno}");
        drop(installed);
    }
}
