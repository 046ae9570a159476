//! Tests of the settings file. Thread: test.

use super::*;

fn load(folder: &Path) -> (SettingsStore, Settings, Option<String>) {
    SettingsStore::load(Some(folder.to_path_buf()), DamagedFile::PutAside, Arc::new(|| ()))
}

#[test]
fn settings_are_read_back_as_they_were_saved() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, first, note) = load(folder.path());
    assert!(first == Settings::default() && note.is_none());
    let changed = Settings { period: 256, theme: ThemeChoice::Light, ..first };
    store.save(&Arc::new(changed.clone()));
    drop(store);
    let (_, again, note) = load(folder.path());
    assert!(again == changed && note.is_none());
}

#[test]
fn an_offset_is_stored_beside_the_other_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, first, _) = load(folder.path());
    store.save(&Arc::new(Settings { period: 256, ..first }));
    drop(store);
    let at = |key: &str| load(folder.path()).1.offset_of(key);
    store_offset_in(folder.path(), "alsa:default, 48000 Hz, 1024 frames", -72).unwrap();
    assert_eq!((at("alsa:default, 48000 Hz, 1024 frames"), at("virtual")), (-72, 0));
    store_offset_in(folder.path(), "alsa:default, 48000 Hz, 1024 frames", 0).unwrap();
    let settings = load(folder.path()).1;
    assert_eq!((settings.offsets.len(), settings.period), (0, 256));
}

#[test]
fn a_damaged_file_is_renamed_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["{\"period\": ", "[1,2]", "", "\u{0}\u{0}"] {
        std::fs::write(folder.path().join("settings.json"), text).unwrap();
        let (_, settings, note) = load(folder.path());
        assert!(settings == Settings::default() && note.is_some_and(|note| note.contains("put aside")), "{text}");
        assert_eq!(std::fs::read_to_string(folder.path().join("settings.json.damaged")).unwrap(), text);
    }
}

/// The note said that the file was put aside, and the next save replaced it.
#[test]
fn a_damaged_file_that_cannot_be_put_aside_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    fs::write(&file, "{\"period\": ").unwrap();
    fs::create_dir(folder.path().join("settings.json.damaged")).unwrap();
    let (mut store, settings, note) = load(folder.path());
    let note = note.unwrap();
    assert!(note.contains("it cannot be put aside: ") && note.contains("changes are not saved"), "{note}");
    store.save(&Arc::new(Settings { period: 256, ..settings }));
    drop(store);
    assert_eq!(fs::read_to_string(&file).unwrap(), "{\"period\": ");
}

#[test]
fn a_pipe_a_folder_or_a_device_in_place_of_the_file_does_not_block() {
    type Make = fn(&Path);
    let kinds: [Make; 3] = [
        |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        |path| fs::create_dir(path).unwrap(),
        |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
    ];
    for make in kinds {
        let folder = tempfile::tempdir().unwrap();
        make(&folder.path().join("settings.json"));
        let (mut store, settings, note) = load(folder.path());
        assert!(settings == Settings::default() && note.is_some_and(|note| note.contains("no ordinary file")));
        store.save(&Arc::new(Settings { period: 256, ..settings }));
        drop(store);
        assert_eq!(load(folder.path()).1.period, 256);
    }
}

#[test]
fn a_symlink_in_place_of_the_new_file_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("letter");
    fs::write(&target, "dear").unwrap();
    std::os::unix::fs::symlink(&target, folder.path().join("settings.json.new")).unwrap();
    let (mut store, settings, _) = load(folder.path());
    store.save(&Arc::new(Settings { period: 256, ..settings }));
    drop(store);
    assert_eq!(fs::read_to_string(target).unwrap(), "dear");
    assert_eq!(load(folder.path()).1.period, 256);
}

#[test]
fn of_settings_that_wait_the_last_ones_are_written_and_then_nothing_is_unsaved() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, settings, _) = load(folder.path());
    for period in 16..1016 {
        store.save(&Arc::new(Settings { period, ..settings.clone() }));
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !store.is_saved() {
        assert!(std::time::Instant::now() < deadline, "it is not saved");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert_eq!(load(folder.path()).1.period, 1015);
}

#[test]
fn an_error_is_one_line_without_control_characters() {
    let text = parse(b"{\"theme\": \"dark\\n\\u001b[2J\"}").unwrap().left_out_text().unwrap();
    assert!(text.contains("unknown variant") && !text.contains(char::is_control), "{text:?}");
}

#[test]
fn values_out_of_range_are_brought_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"period": 1, "rate": 999999999, "zoom": 1e9, "tempo": [0.0, 0]}"#;
    std::fs::write(folder.path().join("settings.json"), text).unwrap();
    let (_, settings, note) = load(folder.path());
    assert!(note.is_none() && settings == settings.clone().clamped() && settings.zoom == 3.0, "{settings:?}");
}

#[test]
fn an_unknown_field_or_value_costs_that_field_only_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"period": 256, "zoom": "large", "newer": true, "theme": "light", "rate": 96000}"#;
    let file = folder.path().join("settings.json");
    std::fs::write(&file, text).unwrap();
    let (_, settings, note) = load(folder.path());
    assert_eq!(settings, Settings { period: 256, theme: ThemeChoice::Light, rate: 96_000, ..Settings::default() });
    let note = note.unwrap();
    assert!(note.contains("'zoom' cannot be used") && note.contains("'newer' is an unknown setting"), "{note}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "it is as it was");
    assert!(store_offset_in(folder.path(), "virtual", 7).unwrap_err().contains("zoom"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "it is as it was");
}

#[test]
fn a_file_that_cannot_be_opened_is_neither_renamed_nor_replaced() {
    let folder = tempfile::tempdir().unwrap();
    // A link to itself cannot be opened (ELOOP), by root neither.
    let file = folder.path().join("settings.json");
    std::os::unix::fs::symlink("settings.json", &file).unwrap();
    let (mut store, settings, note) = load(folder.path());
    assert!(note.is_some_and(|note| note.contains("changes are not saved")));
    store.save(&Arc::new(Settings { period: 256, ..settings }));
    drop(store);
    assert!(file.symlink_metadata().unwrap().is_symlink());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_command_line_leaves_a_damaged_file_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    std::fs::write(&file, "{\"period\": ").unwrap();
    let (mut store, settings, note) =
        SettingsStore::load(Some(folder.path().to_path_buf()), DamagedFile::Leave, Arc::new(|| ()));
    assert!(settings == Settings::default() && note.is_some_and(|note| note.contains("changes are not saved")));
    store.save(&Arc::new(Settings { period: 256, ..settings }));
    drop(store);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"period\": ");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
