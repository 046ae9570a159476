//! ALSA's configuration files with mistakes: the program says the file, the line and the reason, and records no test tones in
//! place of the user's card. Thread: test.

use crate::util::{PATIENCE, Run, place, run, skip};
use faultless::app::snapshot::{Snapshot, Stage};
use faultless::link::client::Client;
use faultless::link::start::EngineStart;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// A mode of the program for a user with this `.asoundrc`.
fn with(asoundrc: &str, home: &Path, arguments: &[&str]) -> Command {
    fs::write(home.join(".asoundrc"), asoundrc).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultless"));
    command.args(arguments).current_dir(home).env("HOME", home).env("XDG_CONFIG_HOME", home.join("config"));
    command.env_remove("ALSA_CONFIG_PATH");
    command
}

fn is_readable(test: &str) -> bool {
    let is_there = Path::new("/usr/share/alsa/alsa.conf").exists();
    if !is_there {
        skip(test, "ALSA's own configuration is not installed");
    }
    is_there
}

const RECORD: [&str; 4] = ["record", "session", "--seconds", "0.1"];

/// The recording had test tones, the status 0 and the reason "there is no sound card and no sound server".
#[test]
fn a_mistake_in_alsas_configuration_is_said_and_never_recorded_as_test_tones() {
    if !is_readable("alsa::configuration::a_mistake_in_alsas_configuration_is_said_and_never_recorded_as_test_tones") {
        return;
    }
    for (text, reason) in [
        ("pcm.mine { type hw card \n", "Unexpected char"),
        ("</nonexistent/file>\n", "Cannot access file /nonexistent/file"),
        ("ctl.!default { type hw card }\n", "Unexpected char"),
        ("pcm.a 3\npcm.a.b 4\n", "a is not a compound"),
    ] {
        let place = place();
        let home = place.path();
        let words = [".asoundrc, line ", reason];
        run(with(text, home, &RECORD)).refused(&words);
        run(with(text, home, &["play", "session"])).refused(&[]);
        assert!(!home.join("session").exists(), "{text}");
        let named = run(with(text, home, &["record", "session", "--seconds", "0.1", "--device", "alsa:default"]));
        named.refused(&words);
        for arguments in [&["devices"][..], &["devices", "--json"], &["doctor", "."], &["doctor", ".", "--json"]] {
            let told = run(with(text, home, arguments));
            // The doctor breaks lines between words.
            let out = told.out.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.iter().all(|word| out.contains(word)), "{arguments:?}\n{}{}", told.out, told.err);
        }
        // The built-in device needs no configuration.
        run(with(text, home, &["record", "tones", "--seconds", "0.1", "--device", "virtual"])).done();
    }
    let place = place();
    let mut gone = with("", place.path(), &RECORD);
    gone.env("ALSA_CONFIG_PATH", "/nonexistent/alsa.conf");
    run(gone).refused(&["Cannot access file /nonexistent/alsa.conf"]);
    let devices = run(with("", place.path(), &["devices", "--json"])).done();
    assert!(devices.json()["configuration_fault"].is_null(), "{}", devices.out);
}

#[test]
fn a_device_that_alsa_cannot_open_is_said_with_alsas_own_reason() {
    if !is_readable("alsa::configuration::a_device_that_alsa_cannot_open_is_said_with_alsas_own_reason") {
        return;
    }
    let place = place();
    let open = |text: &str, device: &str| -> Run {
        run(with(text, place.path(), &["record", "session", "--seconds", "0.1", "--device", device]))
    };
    open("pcm.mine { type nosuch }\n", "alsa:mine").refused(&["libasound_module_pcm_nosuch"]);
    open("pcm.mine { type plug slave.pcm \"gone\" }\n", "alsa:mine").refused(&["ALSA says: Unknown PCM gone"]);
    let unknown = open("", "alsa:nosuch");
    unknown.refused(&["alsa:nosuch: no such device; "]);
    assert!(!unknown.err.contains("ALSA says"), "{}", unknown.err);
    // These are defined rightly, by the system.
    for device in ["alsa:a52", "alsa:usbstream"] {
        let refused = open("", device);
        refused.refused(&[device]);
        assert!(!refused.err.contains("configuration is wrong"), "{}", refused.err);
        assert!(!refused.err.contains("configuration cannot be read"), "{}", refused.err);
    }
}

/// The PCM that takes and gives silence was called a sound server.
#[test]
fn the_pcm_without_a_device_is_not_called_a_sound_server() {
    if !is_readable("alsa::configuration::the_pcm_without_a_device_is_not_called_a_sound_server") {
        return;
    }
    let place = place();
    let arguments = ["record", "session", "--seconds", "0.2", "--inputs", "2", "--device", "alsa:null"];
    let done = run(with("", place.path(), &arguments));
    assert!(done.err.contains("nothing is behind it, so the period is "), "{}", done.err);
    assert!(!done.err.contains("sound server"), "{}", done.err);
}

/// The first snapshot of a recorder with a window, for a user with this home, that is not about opening.
fn window_of(home: &Path) -> Arc<Snapshot> {
    let program = home.join("faultless");
    let text = format!(
        "#!/bin/sh\nunset ALSA_CONFIG_PATH\nexport HOME='{0}' XDG_CONFIG_HOME='{0}/config'\nexec '{1}' \"$@\"\n",
        home.display(),
        env!("CARGO_BIN_EXE_faultless")
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let window =
        Client::start(EngineStart { program, options: Vec::new(), session: Some(home.join("session")) }).unwrap();
    let until = Instant::now() + PATIENCE;
    let snapshot = loop {
        let snapshot = window.settled(PATIENCE);
        if matches!(snapshot.stage, Stage::Open | Stage::NoDevice { .. } | Stage::NoSession { .. }) {
            break snapshot;
        }
        assert!(Instant::now() < until, "{:?}", snapshot.stage);
    };
    assert!(window.close_within(PATIENCE));
    snapshot
}

#[test]
fn the_window_shows_a_mistake_in_alsas_configuration_and_opens_no_test_tones() {
    if !is_readable("alsa::configuration::the_window_shows_a_mistake_in_alsas_configuration_and_opens_no_test_tones") {
        return;
    }
    let place = place();
    fs::write(place.path().join(".asoundrc"), "pcm.mine { type hw card \n").unwrap();
    let shown = window_of(place.path());
    let Stage::NoDevice { reason, .. } = &shown.stage else { panic!("{:?}", shown.stage) };
    assert!(reason.contains(".asoundrc, line 2: Unexpected char"), "{reason}");
    assert_eq!(shown.health.head, "No device.");
}

/// The window had no device and could not record.
#[test]
fn the_window_takes_another_device_where_the_last_one_is_not_there_and_says_so() {
    let test = "alsa::configuration::the_window_takes_another_device_where_the_last_one_is_not_there_and_says_so";
    if !is_readable(test) {
        return;
    }
    let place = place();
    let settings = place.path().join("config/faultless");
    fs::create_dir_all(&settings).unwrap();
    fs::write(settings.join("settings.json"), "{\"device\": \"alsa:no-such-card\"}").unwrap();
    let shown = window_of(place.path());
    assert_eq!(shown.stage, Stage::Open);
    let note = shown.notices.iter().find(|entry| entry.text.starts_with("alsa:no-such-card: "));
    assert!(note.is_some_and(|note| note.text.contains("is not there; device: ")), "{:?}", shown.notices);
}

/// A card was replaced by the test tones, and they had the number of inputs that the card was to have.
#[test]
fn a_device_that_replaces_the_last_one_does_not_get_its_number_of_inputs() {
    if !is_readable("alsa::configuration::a_device_that_replaces_the_last_one_does_not_get_its_number_of_inputs") {
        return;
    }
    let place = place();
    let settings = place.path().join("config/faultless");
    fs::create_dir_all(&settings).unwrap();
    for (device, has_its_own) in [("alsa:no-such-card", false), ("virtual", true)] {
        let text = format!("{{\"device\": \"{device}\", \"inputs\": 3}}");
        fs::write(settings.join("settings.json"), text).unwrap();
        let shown = window_of(place.path());
        assert_eq!((&shown.stage, shown.device.inputs == 3), (&Stage::Open, has_its_own), "{device}");
    }
}
