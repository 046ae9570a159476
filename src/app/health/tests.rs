//! Tests of the health line. Thread: test.

use super::*;

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn with(change: impl FnOnce(&mut HealthInput<'static>)) -> Health {
    let figures = EngineFigures {
        minor_faults: Some(0),
        major_faults: Some(0),
        lead_s: Some(1.84),
        spool_bytes_max: 1 << 30,
        ..EngineFigures::default()
    };
    let mut input = HealthInput {
        stage: &Stage::Open,
        phase: Some(PassPhase::Recording),
        rolls: true,
        tracks: (24, 24),
        device: "Scarlett 18i20",
        device_gone: false,
        device_blocked_by: None,
        built_in: false,
        figures: leak(figures),
        disk_space: None,
        inputs: Inputs { device: 24, wanted: 24, missing: 0 },
        memory_seconds: Some(700.0),
        continues_in: None,
        has_overflow: false,
        rate: SampleRate(48_000),
        alarm: None,
        standing: None,
        recovered: None,
        no_real_time: None,
        windows_unlocked: 0,
        memory_outlives: true,
        disk: None,
        mirror: None,
        mirror_behind: None,
        lost_before: 0,
        lost_unrecorded: 0,
    };
    change(&mut input);
    health(&input)
}

#[test]
fn a_recording_without_trouble_is_well_and_shows_its_figures() {
    let health = with(|_| {});
    assert_eq!((health.severity, health.head.as_str()), (Severity::Info, "All is well."));
    assert_eq!(health.parts, ["24 tracks", "1.8 s lead", "0 frames lost", "0 page faults", "0 xruns"]);
}

#[test]
fn the_worst_condition_comes_first_with_advice() {
    let disk_space = leak(DiskSpace { free_bytes: 1, seconds: 60.0, disk: "Music".to_owned() });
    let gone = with(|input| {
        input.device_gone = true;
        input.disk_space = Some(disk_space);
    });
    assert!(gone.severity == Severity::Loss && gone.head == "Scarlett 18i20 is gone." && gone.advice.is_some());
    let full = with(|input| input.disk_space = Some(disk_space));
    assert!(full.severity == Severity::Loss && full.head.contains("60 s") && full.advice.unwrap().contains("Music"));
    let few = with(|input| {
        input.no_real_time = Some(("refused", Some("add yourself to group audio")));
        input.windows_unlocked = 3;
    });
    assert!(few.severity == Severity::Caution && few.head == "Recording without locked memory.");
}

/// Frames that a sound server left out before the first recording were "silence in its place, marked on the timeline".
#[test]
fn frames_that_were_lost_while_nothing_was_recorded_are_no_silence_in_a_take() {
    let lost = |frames_lost: u64, phase, unrecorded: u64, before: u64| {
        with(|input| {
            input.figures = leak(EngineFigures { frames_lost, ..input.figures.clone() });
            (input.phase, input.lost_unrecorded, input.lost_before) = (phase, unrecorded, before);
        })
    };
    let idle = lost(960, None, 960, 0);
    assert_eq!((idle.severity, idle.head.as_str()), (Severity::Caution, "20 ms lost by the device."));
    assert_eq!(idle.advice.as_deref(), Some("Nothing was recorded then, so no take lacks sound"));
    assert_eq!(idle.cure, Some(Cure::Acknowledge));
    assert_eq!(lost(960, None, 0, 960).severity, Severity::Info, "acknowledged");
    // A loss of the last recording stays an alarm after its end.
    let both = lost(960 + 480, None, 960, 0);
    assert_eq!((both.severity, both.head.as_str()), (Severity::Loss, "30 ms lost."));
    assert!(both.advice.unwrap().starts_with("10 ms of it is silence in its place"));
    let ended = lost(480, None, 0, 0);
    assert_eq!(ended.advice.as_deref(), Some("It is silence in its place, marked on the timeline"));
    // The figures of a pass begin with it, so an earlier loss is none of them.
    assert_eq!(lost(0, Some(PassPhase::Recording), 960, 0).severity, Severity::Info);
    assert_eq!(lost(480, Some(PassPhase::Recording), 960, 0).severity, Severity::Loss);
    assert_eq!(lost(480, Some(PassPhase::Preparing), 480, 0).severity, Severity::Info);
}

/// Record was refused under a green line.
#[test]
fn armed_tracks_without_an_input_are_red_before_the_recording_with_a_button() {
    let health = with(|input| {
        (input.phase, input.device) = (None, "Null");
        input.inputs = Inputs { device: 2, wanted: 8, missing: 6 };
    });
    assert_eq!((health.severity, health.head.as_str()), (Severity::Loss, "6 tracks have no input."));
    assert_eq!(health.advice.as_deref(), Some("Null has 2 inputs: Record takes only 2 of 8 tracks"));
    assert_eq!(health.cure.as_ref().map(Cure::label).as_deref(), Some("Use these 2 inputs"));
    let none = with(|input| {
        input.phase = None;
        input.inputs = Inputs { device: 2, wanted: 8, missing: 8 };
    });
    assert!(none.head == "None of 8 tracks has an input." && none.advice.unwrap().contains("record nothing"));
}

/// The event about a recorder that has died during a recording.
const DIED: &str = "The recorder ended unexpectedly (it was killed); it was started again, and what was recorded is recovered \
     when the session opens";

/// After the recorder was killed while it recorded, "16 tracks have no input" hid that until the session was closed.
#[test]
fn a_loss_that_is_not_acknowledged_comes_before_tracks_without_an_input() {
    let loss = leak(EventEntry { severity: Severity::Loss, ..entry_of(DIED) });
    let full = leak(DiskSpace { free_bytes: 0, seconds: 0.0, disk: "mnt".to_owned() });
    let line = |alarm| {
        with(|input| {
            (input.phase, input.rolls, input.alarm) = (None, false, alarm);
            (input.inputs, input.disk_space) = (Inputs { device: 8, wanted: 24, missing: 16 }, Some(full));
        })
    };
    let health = line(Some(loss));
    assert_eq!(health.head, "The recorder ended unexpectedly (it was killed).");
    assert_eq!(health.cure, Some(Cure::Acknowledge));
    assert_eq!(line(None).head, "16 tracks have no input.", "after it is acknowledged");
}

/// The line did not say how much was recovered.
#[test]
fn the_line_about_a_recorder_that_died_says_what_the_next_one_recovered() {
    let loss = leak(EventEntry { severity: Severity::Loss, ..entry_of(DIED) });
    let recovered = "Recovered 8 takes of the pass that was cut off: 0:06.400 each; 0.70 s came from memory";
    let entry = leak(entry_of(recovered));
    let health = with(|input| (input.phase, input.alarm, input.recovered) = (None, Some(loss), Some(entry)));
    assert_eq!(health.head, "The recorder ended unexpectedly (it was killed).");
    assert_eq!(health.advice, Some(format!("It was started again. {recovered}")));
    let other = leak(EventEntry { severity: Severity::Loss, ..entry_of("/a/b.wav: lost; see there") });
    let health = with(|input| (input.phase, input.alarm, input.recovered) = (None, Some(other), Some(entry)));
    assert_eq!(health.advice.as_deref(), Some("/a/b.wav: lost; see there"));
}

/// Playback with page faults, late cycles and dropouts was green.
#[test]
fn playback_that_takes_page_faults_or_drops_sound_is_a_caution() {
    let line = |rolls: bool, minor_faults: u64, frames_dropped: u64| {
        with(|input| {
            (input.phase, input.rolls) = (None, rolls);
            let minor_faults = Some(minor_faults);
            input.figures = leak(EngineFigures { minor_faults, frames_dropped, ..input.figures.clone() });
        })
    };
    let faults = line(true, 12, 0);
    assert_eq!((faults.severity, faults.head.as_str()), (Severity::Caution, "12 page faults."));
    let dropped = line(true, 0, 960);
    assert_eq!((dropped.severity, dropped.head.as_str()), (Severity::Caution, "20 ms not heard in time."));
    assert_eq!(dropped.parts.iter().filter(|part| part.contains("not heard")).count(), 0, "it is not said twice");
    assert_eq!(line(false, 12, 960).severity, Severity::Info, "nothing rolls");
    assert_eq!(line(true, 0, 0).severity, Severity::Info);
}

/// The line said that the computer may fall asleep, and the recording took 8 of 24 tracks.
#[test]
fn tracks_without_an_input_are_shown_while_recording_before_what_costs_no_sound() {
    let entry = leak(EventEntry {
        at: std::time::Duration::ZERO,
        clock: String::new(),
        severity: Severity::Caution,
        text: "sleep: the desktop does not answer".to_owned(),
        seen: false,
        headline: Some("The computer may fall asleep.".to_owned()),
    });
    let without = |input: &mut HealthInput<'static>| {
        input.inputs = Inputs { device: 8, wanted: 24, missing: 16 };
        input.standing = Some(entry);
        input.no_real_time = Some(("refused", None));
    };
    let health = with(without);
    assert_eq!((health.severity, health.head.as_str()), (Severity::Loss, "16 tracks have no input."));
    assert_eq!(health.advice.as_deref(), Some("Scarlett 18i20 has 8 inputs: only 8 of 24 tracks get sound"));
    assert_eq!(health.cure, None, "a recording keeps its tracks");
    let full = leak(DiskSpace { free_bytes: 1, seconds: 60.0, disk: "Music".to_owned() });
    let soon = with(|input| {
        without(input);
        input.disk_space = Some(full);
    });
    assert_eq!(soon.head, "The disk Music is full in 60 s.");
    let gone = with(|input| {
        without(input);
        input.device_gone = true;
    });
    assert_eq!(gone.head, "Scarlett 18i20 is gone.");
    let later = leak(DiskSpace { free_bytes: 1, seconds: 500.0, disk: "Music".to_owned() });
    let left = with(|input| {
        without(input);
        input.disk_space = Some(later);
    });
    assert_eq!(left.head, "16 tracks have no input.", "ten minutes of room cost nothing yet");
}

#[test]
fn a_card_that_a_sound_server_holds_is_replaced_by_the_server_with_one_click() {
    let server = || Some("alsa:default".to_owned());
    let stage = Stage::NoDevice { reason: "alsa:hw:0: in use by pipewire".to_owned(), instead: server() };
    let health = with(|input| input.stage = leak(stage));
    assert_eq!(health.cure, server().map(Cure::UseDevice));
    assert_eq!(health.cure.as_ref().map(Cure::label).as_deref(), Some("Use the sound server"));
    let stage = Stage::NoDevice { reason: "alsa:hw:0: no such device".to_owned(), instead: None };
    assert_eq!(with(|input| input.stage = leak(stage)).cure, Some(Cure::ChooseDevice));
}

/// While memory took over, and after takes had continued in another folder, the line said "full in 0 s".
#[test]
fn a_full_disk_says_how_long_memory_lasts_and_then_where_takes_continue() {
    let full = leak(DiskSpace { free_bytes: 0, seconds: 0.0, disk: "mnt".to_owned() });
    let memory = with(|input| {
        input.disk_space = Some(full);
        input.disk = Some("/mnt/a/audio/Kick-1.wav: cannot write: the disk is full");
        input.memory_seconds = Some(64.0);
    });
    assert_eq!((memory.severity, memory.head.as_str()), (Severity::Loss, "Recording into memory."));
    assert!(memory.advice.unwrap().starts_with("Memory lasts 64 s; nothing is lost"));
    assert_eq!(memory.cure, Some(Cure::ChooseOverflowFolder));
    let other = leak(DiskSpace { free_bytes: 1 << 40, seconds: 7200.0, disk: "Backup".to_owned() });
    let health = with(|input| {
        input.disk_space = Some(other);
        input.continues_in = Some(Path::new("/media/Backup/Friday"));
    });
    assert_eq!(health.head, "Recording continues in /media/Backup/Friday.");
    assert!(health.severity == Severity::Caution && health.advice.unwrap().ends_with("room for 2 h"));
    assert_eq!(with(|input| input.disk_space = Some(full)).head, "The disk mnt is full.");
}

/// A recorder that had failed was "Trouble. recorder: its process has ended unexpectedly".
#[test]
fn the_end_of_a_recorder_is_the_first_sentence_of_the_line() {
    let entry = leak(EventEntry { headline: None, severity: Severity::Loss, ..entry_of(DIED) });
    let health = with(|input| input.alarm = Some(entry));
    assert_eq!(health.head, "The recorder ended unexpectedly (it was killed).");
    assert_eq!(
        health.advice.as_deref(),
        Some("It was started again, and what was recorded is recovered when the session opens")
    );
    let entry = leak(EventEntry { headline: None, severity: Severity::Loss, ..entry_of("/a/b.wav: lost; see there") });
    assert_eq!(with(|input| input.alarm = Some(entry)).head, "Trouble.");
}

fn entry_of(text: &str) -> EventEntry {
    EventEntry {
        at: std::time::Duration::ZERO,
        clock: String::new(),
        severity: Severity::Caution,
        text: text.to_owned(),
        seen: false,
        headline: None,
    }
}

/// With another folder chosen, the line still said "choose another disk", and the button for it did not let Record begin.
#[test]
fn a_full_disk_says_before_a_recording_that_none_can_begin_and_asks_for_no_folder_that_is_chosen_already() {
    let idle = |seconds: f64, has_overflow: bool| {
        let space = leak(DiskSpace { free_bytes: 0, seconds, disk: "mnt".to_owned() });
        with(|input| (input.phase, input.disk_space, input.has_overflow) = (None, Some(space), has_overflow))
    };
    for has_overflow in [false, true] {
        let full = idle(0.0, has_overflow);
        assert_eq!((full.head.as_str(), full.cure), ("The disk mnt is full.", Some(Cure::OpenSession)));
        assert!(full.advice.unwrap().starts_with("Record cannot begin. Make room on mnt"));
    }
    let soon = idle(60.0, true);
    assert_eq!((soon.severity, soon.cure), (Severity::Caution, None));
    assert_eq!(soon.advice.as_deref(), Some("Then takes continue in the other folder, without a gap"));
    assert_eq!(idle(60.0, false).cure, Some(Cure::ChooseOverflowFolder));
}

/// A cycle of 4.1 ms, of 1.3, and 42,999 page faults were green.
#[test]
fn a_cycle_past_its_deadline_is_a_caution_while_recording() {
    let histogram = crate::histogram::Histogram::default();
    histogram.count(4_100_000);
    let figures = EngineFigures {
        minor_faults: Some(0),
        major_faults: Some(0),
        cycles: Some(histogram.counts().into()),
        deadline_us: 1333.0,
        ..EngineFigures::default()
    };
    let figures = leak(figures);
    let health = with(|input| input.figures = figures);
    assert_eq!(health.severity, Severity::Caution);
    let (begin, end) = ("The audio thread needed 4.", "ms for a period of 1.33 ms.");
    assert!(health.head.starts_with(begin) && health.head.ends_with(end), "{}", health.head);
}

#[test]
fn an_entry_with_a_headline_stands_in_the_line_until_it_is_read() {
    let entry = EventEntry {
        at: std::time::Duration::ZERO,
        clock: String::new(),
        severity: Severity::Caution,
        text: "8 takes, 6.4 s, are whole".to_owned(),
        seen: false,
        headline: Some("A recording was recovered.".to_owned()),
    };
    let entry = leak(entry);
    let health = with(|input| input.standing = Some(entry));
    assert_eq!((health.severity, health.head.as_str()), (Severity::Caution, "A recording was recovered."));
    assert_eq!((health.cure, health.advice), (Some(Cure::Acknowledge), Some(entry.text.clone())));
}

/// A track named "ncode" became "Ncode".
#[test]
fn the_line_does_not_change_the_case_of_a_name_of_the_user() {
    let advice = |text: &str| {
        let entry = leak(EventEntry {
            at: std::time::Duration::ZERO,
            clock: String::new(),
            severity: Severity::Caution,
            text: text.to_owned(),
            seen: false,
            headline: Some("A cycle was late.".to_owned()),
        });
        with(|input| input.standing = Some(entry)).advice
    };
    assert_eq!(advice("ncode: 3 frames lost").as_deref(), Some("ncode: 3 frames lost"));
    assert_eq!(advice("sleep: the desktop is silent").as_deref(), Some("The desktop is silent"), "words of our own");
}

#[test]
fn a_mirror_shows_its_folder_and_a_failed_one_its_reason() {
    let mirrored = with(|input| input.mirror = Some(Ok(Path::new("/media/Backup/Friday"))));
    assert_eq!((mirrored.severity, mirrored.safety.last().unwrap().as_str()), (Severity::Info, "mirrored in Backup"));
    let behind = |seconds| {
        with(|input| {
            input.mirror = Some(Ok(Path::new("/media/Backup/Friday")));
            input.mirror_behind = Some(Duration::from_secs(seconds));
        })
    };
    assert_eq!(behind(3).safety.last().unwrap(), "mirrored in Backup");
    assert_eq!(behind(9).safety.last().unwrap(), "mirrored in Backup, except the last 9 s");
    assert_eq!((behind(9).severity, behind(60).head.as_str()), (Severity::Info, "The mirror is behind."));
    let lost = with(|input| input.mirror = Some(Err("/media/Backup: cannot write: the disk is full")));
    assert_eq!((lost.severity, lost.head.as_str()), (Severity::Caution, "No mirror."));
    assert!(lost.advice.unwrap().starts_with("/media/Backup: cannot write"));
}

#[test]
fn page_faults_in_place_are_explained() {
    let figures = EngineFigures {
        minor_faults: Some(7),
        major_faults: Some(0),
        capture_path: "in-place".to_owned(),
        ..EngineFigures::default()
    };
    let health = with(|input| input.figures = leak(figures));
    assert!(
        health.severity == Severity::Caution
            && health.head == "7 page faults."
            && health.advice.unwrap().contains("write-protected")
    );
}

#[test]
fn a_session_that_cannot_be_opened_shows_the_reason_and_the_choices() {
    let stage = Stage::NoSession { reason: "session.json: damaged".to_owned(), versions: Vec::new() };
    let health = with(|input| input.stage = leak(stage));
    assert!(health.severity == Severity::Loss && health.advice.unwrap().contains("new one"));
}

/// A program that is killed loses sound whose memory has no name, and the line said that it is safe.
#[test]
fn a_recording_whose_memory_ends_with_the_program_is_not_called_safe_against_a_crash() {
    let of = |memory_outlives: bool| {
        let safety = with(|input| input.memory_outlives = memory_outlives).safety;
        safety.iter().map(|part| part.split(':').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of(true)[0], "safe against a crash");
    assert_eq!(of(false), of(true)[1..]);
}
