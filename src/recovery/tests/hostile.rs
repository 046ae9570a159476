//! Files in memory and takes that are not what they should be. Thread: test.

use super::*;

/// Recovers with one file of memory made bad. It is named, kept as it is, and the takes have at least what the disk
/// had.
#[track_caller]
fn hostile(what: &str, bad: impl Fn(&Scene) -> PathBuf) {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    let path = bad(&scene);
    let before = fs::symlink_metadata(&path).unwrap();
    let (report, session) = scene.recover();
    assert!(
        report.troubles.iter().any(|trouble| trouble.starts_with(&path.display().to_string())),
        "{what}: {report:?}"
    );
    assert_eq!(fs::symlink_metadata(&path).unwrap().len(), before.len(), "{what}: it is kept");
    for take in session.takes() {
        assert_eq!(take.state, TakeState::Recovered, "{what}");
        assert!(take.frames == Frames(3 * WINDOW), "{what}: {take:?}");
    }
}

#[test]
fn a_spool_that_is_rejected_is_named_and_left_alone() {
    let rewrite = |scene: &Scene, from: &str, to: &str| {
        let path = scene.spool(0);
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut page = vec![0; 4096];
        file.read_exact_at(&mut page, 0).unwrap();
        let text = String::from_utf8(page).unwrap();
        let new = text.replacen(from, to, 1);
        assert_ne!(text, new);
        file.write_all_at(&new.as_bytes()[..4096.min(new.len())], 0).unwrap();
        path
    };
    let swap = |scene: &Scene, make: &dyn Fn(&Path)| {
        fs::remove_file(scene.spool(0)).unwrap();
        make(&scene.spool(0));
        scene.spool(0)
    };
    let mode = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let uuid = Uuid::new_v4().to_string();
    hostile("another session", |scene| rewrite(scene, &scene.plans[0].session.to_string(), &uuid));
    hostile("another take", |scene| rewrite(scene, &scene.plans[0].identity.to_string(), &uuid));
    hostile("other frames", |scene| rewrite(scene, "\"frame_bytes\":3", "\"frame_bytes\":4"));
    hostile("frames of nothing", |scene| rewrite(scene, "\"frame_bytes\":3", "\"frame_bytes\":0"));
    hostile("a newer one", |scene| rewrite(scene, "spool\":2", "spool\":9"));
    let header = |scene: &Scene, at: u64| {
        let file = OpenOptions::new().read(true).write(true).open(scene.spool(0)).unwrap();
        let (at, mut byte) = (crate::spool_index::HEADER_AT + at, [0]);
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[!byte[0]], at).unwrap();
        scene.spool(0)
    };
    hostile("an index of another kind", |scene| header(scene, 0));
    hostile("slots of another size", |scene| header(scene, 18));
    hostile("the index of another take", |scene| header(scene, 30));
    hostile("a short index", |scene| {
        OpenOptions::new().write(true).open(scene.spool(0)).unwrap().set_len(5000).unwrap();
        scene.spool(0)
    });
    hostile("noise", |scene| {
        swap(scene, &|path| {
            fs::write(
                path,
                (0..50_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<u8>>(),
            )
            .unwrap();
            mode(path);
        })
    });
    hostile("a short one", |scene| {
        swap(scene, &|path| {
            fs::write(path, "{}").unwrap();
            mode(path);
        })
    });
    hostile("a link", |scene| {
        let to = scene.folder.path().join("to");
        fs::rename(scene.spool(0), &to).unwrap();
        symlink(&to, scene.spool(0)).unwrap();
        scene.spool(0)
    });
    hostile("a second name", |scene| {
        fs::hard_link(scene.spool(0), scene.folder.path().join("name")).unwrap();
        scene.spool(0)
    });
    hostile("open to others", |scene| {
        fs::set_permissions(scene.spool(0), fs::Permissions::from_mode(0o644)).unwrap();
        scene.spool(0)
    });
    hostile("a folder", |scene| swap(scene, &|path| fs::create_dir(path).unwrap()));
    hostile("a pipe", |scene| swap(scene, &|path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap()));
    if nix::unistd::getuid().is_root() {
        hostile("somebody else's", |scene| {
            std::os::unix::fs::chown(scene.spool(0), Some(65_534), None).unwrap();
            scene.spool(0)
        });
    }
}

#[test]
fn a_progress_that_claims_the_impossible_makes_no_giant() {
    for claim in [u64::MAX, 1 << 60, 1 << 40] {
        let scene = Scene::new(&TWO, 3 * WINDOW);
        let file = OpenOptions::new().write(true).open(scene.progress_page()).unwrap();
        file.write_all_at(&claim.to_ne_bytes(), crate::window::progress_page::PAGE_AT).unwrap();
        drop(file);
        let (report, session) = scene.recover();
        scene.check(&session, 3 * WINDOW, whole);
        assert_eq!(report.passes[0].basis, Basis::Spool);
    }
}

#[test]
fn a_folder_that_others_may_enter_is_rejected() {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    fs::set_permissions(scene.memory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (report, session) = scene.recover();
    assert!(report.troubles.iter().any(|trouble| trouble.contains("closed to others")), "{report:?}");
    assert_eq!((report.passes[0].basis, session.takes()[0].frames), (Basis::Disk, Frames(2 * WINDOW)));
    assert!(scene.spool(0).exists());
}

#[test]
fn a_recording_of_a_running_program_is_left_alone() {
    for of_progress in [false, true] {
        let scene = Scene::new(&TWO, 3 * WINDOW);
        let locked = File::open(if of_progress { scene.progress_page() } else { scene.spool(1) }).unwrap();
        locked.try_lock().unwrap();
        let before = scene.files();
        let (report, session) = scene.recover();
        assert!(report.passes.is_empty() && report.troubles[0].contains("a program that is running holds it"));
        assert_eq!(session.takes()[0].state, TakeState::Recording);
        assert!(before == scene.files());
        drop(locked);
        let (_, session) = scene.recover();
        scene.check(&session, 3 * WINDOW, whole);
    }
}

#[test]
fn a_take_that_is_a_link_or_another_file_is_refused_by_name_and_the_others_are_recovered() {
    type Lead = fn(&Path, &Path);
    let leads: [(Lead, &str); 3] = [
        (|path, target| symlink(target, path).unwrap(), "link"),
        (|path, _| fs::write(path, "a letter").unwrap(), "not the file that was recorded"),
        (|_, _| {}, "In 1-1.wav"),
    ];
    for (lead, expected) in leads {
        let scene = Scene::new(&TWO, 3 * WINDOW);
        let target = scene.folder.path().join("target");
        fs::rename(&scene.plans[0].path, &target).unwrap();
        lead(&scene.plans[0].path, &target);
        let before = fs::read(&target).unwrap();
        let (report, session) = scene.recover();
        let [first, second] = session.takes() else { panic!("{:?}", session.takes()) };
        // The session notes that the take has begun: it is not one that was never made, also if its memory goes.
        assert_eq!((first.state, first.frames.0 > 0), (TakeState::Recording, expected != "link"));
        assert_eq!((second.state, second.frames.0), (TakeState::Recovered, 3 * WINDOW));
        assert!(
            report.troubles.iter().any(|trouble| trouble.contains(expected) && trouble.contains("kept in")),
            "{report:?}"
        );
        assert!(before == fs::read(&target).unwrap());
        assert!(scene.spool(0).exists() && !scene.spool(1).exists() && scene.progress_page().exists());
        // Put right, it gets all that is its own.
        fs::rename(&target, &scene.plans[0].path).unwrap();
        let (_, session) = scene.recover();
        scene.check(&session, 3 * WINDOW, whole);
    }
}
