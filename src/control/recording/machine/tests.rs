//! The states of a pass, over every pair of state and event. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use super::*;

type TestMachine = Machine<&'static str, u8>;
type TestState = State<&'static str, u8>;
type TestEvent = Event<&'static str, u8>;
type TestEffect = Effect<&'static str, u8>;

const LISTED_BY: u64 = 7;
const ENDED: Ended =
    Ended { frames: Frames(480), lost: Frames(3), xruns: 1, playback_xruns: 2, began: FramePos(1_000) };
const NOTHING: Ended = Ended { frames: Frames(0), lost: Frames(0), xruns: 0, playback_xruns: 0, began: FramePos(0) };

/// The clock of the tests: one moment, and seconds after it.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn at(self, seconds: f64) -> Instant {
        self.0 + Duration::from_secs_f64(seconds)
    }

    /// A tick at which nothing is saved and everything runs.
    fn tick(self, seconds: f64) -> Facts {
        Facts {
            now: self.at(seconds),
            recoverable: 0,
            tried: 0,
            audio_thread_ended: None,
            is_mirror_finished: false,
            are_files_named: false,
            is_device_reopening: false,
        }
    }
}

const STATES: [&str; 17] = [
    "opening",
    "opening, files",
    "opening, mirror",
    "opening, files, mirror",
    "opening, unlisted files, mirror",
    "preparing",
    "awaiting",
    "awaiting, unsaved",
    "rolling",
    "rolling, stopped",
    "rolling, begun",
    "finishing, nothing",
    "finishing",
    "finishing, finished",
    "finishing, mirror",
    "finishing, names",
    "ended",
];

fn state(name: &str, clock: Clock) -> TestState {
    let opening = |files: Option<&'static str>, mirror: bool| {
        let listed_by = files.map(|_| LISTED_BY).filter(|_| mirror);
        State::Opening(Opening { files, listed_by, mirror_since: mirror.then(|| clock.at(0.0)) })
    };
    let finishing = |ended, has_rolled, waits_for| State::Finishing { ended, has_rolled, waits_for };
    let mirror = |seconds| WaitsFor::Mirror { since: Some(clock.at(seconds)) };
    let names = |seconds| WaitsFor::Names { since: clock.at(seconds) };
    match name {
        "opening" => opening(None, false),
        "opening, files" => opening(Some("files"), false),
        "opening, mirror" => opening(None, true),
        "opening, files, mirror" => opening(Some("files"), true),
        "opening, unlisted files, mirror" => {
            State::Opening(Opening { files: Some("files"), listed_by: None, mirror_since: Some(clock.at(0.0)) })
        }
        "preparing" => State::Preparing { listed_by: LISTED_BY },
        "awaiting" => State::AwaitingSave { windows: 5, listed_by: LISTED_BY, unsaved_since: None },
        "awaiting, unsaved" => {
            State::AwaitingSave { windows: 5, listed_by: LISTED_BY, unsaved_since: Some(clock.at(0.0)) }
        }
        "awaiting, unsaved since late" => {
            State::AwaitingSave { windows: 5, listed_by: LISTED_BY, unsaved_since: Some(clock.at(3.0)) }
        }
        "rolling" => State::Rolling { is_stop_sent: false, has_begun: false },
        "rolling, stopped" => State::Rolling { is_stop_sent: true, has_begun: false },
        "rolling, begun" => State::Rolling { is_stop_sent: false, has_begun: true },
        "rolling, stopped, begun" => State::Rolling { is_stop_sent: true, has_begun: true },
        "finishing, nothing" => finishing(NOTHING, false, WaitsFor::Takes),
        "finishing, nothing, finished" => finishing(NOTHING, false, WaitsFor::Mirror { since: None }),
        "finishing" => finishing(ENDED, true, WaitsFor::Takes),
        "finishing, finished" => finishing(ENDED, true, WaitsFor::Mirror { since: None }),
        "finishing, mirror" => finishing(ENDED, true, mirror(0.0)),
        "finishing, mirror since late" => finishing(ENDED, true, mirror(20.1)),
        "finishing, mirror since 3 s" => finishing(ENDED, true, mirror(3.0)),
        "finishing, names" => finishing(ENDED, true, names(0.0)),
        "finishing, names since late" => finishing(ENDED, true, names(20.1)),
        "ended" => State::Ended,
        other => panic!("no state {other}"),
    }
}

const EVENTS: [&str; 24] = [
    "created",
    "refused",
    "refused, names",
    "listed",
    "mirror",
    "ready",
    "no windows",
    "stop",
    "began here",
    "began there",
    "audio ended",
    "audio ended empty",
    "takes finished",
    "names fit",
    "thread failed",
    "tick",
    "tick, mirror",
    "tick, named",
    "tick, late",
    "tick, saved",
    "tick, saved, device",
    "tick, tried",
    "tick, tried, late",
    "tick, audio dead",
];

fn event(name: &str, clock: Clock) -> TestEvent {
    match name {
        "created" => Event::FilesCreated("files"),
        "refused" => Event::FilesRefused { reason: "reason".to_owned(), names_taken: false },
        "refused, names" => Event::FilesRefused { reason: "reason".to_owned(), names_taken: true },
        "listed" => Event::Listed(LISTED_BY),
        "mirror" => Event::MirrorSettled,
        "ready" => Event::WindowsReady(5),
        "no windows" => Event::WindowsRefused("reason".to_owned()),
        "stop" => Event::Stop,
        "began here" => Event::Began(FramePos(900)),
        "began there" => Event::Began(FramePos(1_000)),
        "audio ended" => Event::AudioEnded(ENDED),
        "audio ended empty" => Event::AudioEnded(NOTHING),
        "takes finished" => Event::TakesFinished,
        "names fit" => Event::NamesFit,
        "thread failed" => Event::ThreadFailed("butler".to_owned()),
        "tick, mirror" => Event::Tick(Facts { is_mirror_finished: true, ..clock.tick(0.0) }),
        "tick, named" => Event::Tick(Facts { are_files_named: true, ..clock.tick(0.0) }),
        "tick" => Event::Tick(clock.tick(0.0)),
        "tick, late" => Event::Tick(clock.tick(20.1)),
        "tick, saved" => Event::Tick(Facts { recoverable: LISTED_BY, tried: LISTED_BY, ..clock.tick(0.0) }),
        // Control had just given the device back to open it again for its outputs: the takes began with silence.
        "tick, saved, device" => Event::Tick(Facts {
            recoverable: LISTED_BY,
            tried: LISTED_BY,
            is_device_reopening: true,
            ..clock.tick(0.0)
        }),
        "tick, tried" => Event::Tick(Facts { tried: LISTED_BY, ..clock.tick(0.0) }),
        "tick, tried, late" => Event::Tick(Facts { tried: u64::MAX, ..clock.tick(3.0) }),
        "tick, audio dead" => Event::Tick(Facts { audio_thread_ended: Some(ENDED), ..clock.tick(0.0) }),
        other => panic!("no event {other}"),
    }
}

fn failed() -> Vec<TestEffect> {
    vec![Effect::Abandon, Effect::Notify(Problem::ThreadFailed("butler".to_owned()))]
}

/// Effects and next state of every pair that changes something. Every other pair changes nothing.
#[expect(clippy::match_same_arms, reason = "a table has a row for each pair")]
#[rustfmt::skip]
fn row(state: &str, event: &str) -> Option<(Vec<TestEffect>, &'static str)> {
    use Effect::*;
    let windows = || Notify(Problem::NoWindows("reason".to_owned()));
    Some(match (state, event) {
        ("opening", "created") => (vec![Save], "opening, files"),
        ("opening", "refused") => (vec![Forget("reason".to_owned())], "ended"),
        ("opening", "refused, names") => (vec![OpenAgain], "ended"),
        ("opening, files", "created") => (vec![Save], "opening, files"),
        ("opening, files", "refused") => (vec![Forget("reason".to_owned())], "ended"),
        ("opening, files", "refused, names") => (vec![OpenAgain], "ended"),
        ("opening, files", "listed") => (vec![Prepare("files")], "preparing"),
        ("opening, mirror", "created") => (vec![Save], "opening, unlisted files, mirror"),
        ("opening, mirror", "refused") => (vec![Forget("reason".to_owned())], "ended"),
        ("opening, mirror", "refused, names") => (vec![OpenAgain], "ended"),
        ("opening, mirror", "mirror") => (vec![], "opening"),
        ("opening, mirror", "stop") => (vec![GiveUpMirror], "opening"),
        ("opening, files, mirror", "created") => (vec![Save], "opening, files, mirror"),
        ("opening, files, mirror", "refused") => (vec![Forget("reason".to_owned())], "ended"),
        ("opening, files, mirror", "refused, names") => (vec![OpenAgain], "ended"),
        ("opening, files, mirror", "mirror") => (vec![Prepare("files")], "preparing"),
        ("opening, files, mirror", "stop" | "tick, late" | "tick, tried, late") => {
            (vec![GiveUpMirror, Prepare("files")], "preparing")
        }
        ("opening, unlisted files, mirror", "created") => (vec![Save], "opening, unlisted files, mirror"),
        ("opening, unlisted files, mirror", "refused") => (vec![Forget("reason".to_owned())], "ended"),
        ("opening, unlisted files, mirror", "refused, names") => (vec![OpenAgain], "ended"),
        ("opening, unlisted files, mirror", "listed") => (vec![], "opening, files, mirror"),
        ("opening, unlisted files, mirror", "mirror") => (vec![], "opening, files"),
        ("opening, unlisted files, mirror", "stop" | "tick, late" | "tick, tried, late") => {
            (vec![GiveUpMirror], "opening, files")
        }

        ("preparing", "ready") => (vec![], "awaiting"),
        ("preparing", "no windows") => (vec![windows(), Finish(NOTHING)], "finishing, nothing"),

        ("awaiting" | "awaiting, unsaved", "stop") => (vec![Finish(NOTHING)], "finishing, nothing"),
        ("awaiting" | "awaiting, unsaved", "tick, saved") => (vec![SendRecord(5)], "rolling"),
        ("awaiting", "tick, tried") => (vec![], "awaiting, unsaved"),
        ("awaiting", "tick, tried, late") => (vec![], "awaiting, unsaved since late"),
        ("awaiting, unsaved", "tick, tried, late") => {
            (vec![Notify(Problem::Unsaved), Finish(NOTHING)], "finishing, nothing")
        }

        ("rolling", "stop") => (vec![SendStop], "rolling, stopped"),
        ("rolling, begun", "stop") => (vec![SendStop], "rolling, stopped, begun"),
        ("rolling", "began here") => (vec![], "rolling, begun"),
        ("rolling", "began there") => (vec![MoveTakes(FramePos(1_000))], "rolling, begun"),
        ("rolling, stopped", "began here") => (vec![], "rolling, stopped, begun"),
        ("rolling, stopped", "began there") => (vec![MoveTakes(FramePos(1_000))], "rolling, stopped, begun"),
        ("rolling, begun", "began there") => (vec![MoveTakes(FramePos(1_000))], "rolling, begun"),
        ("rolling" | "rolling, stopped" | "rolling, begun", "audio ended" | "tick, audio dead") => {
            (vec![MoveTakes(FramePos(1_000)), Finish(ENDED)], "finishing")
        }

        ("finishing, nothing", "takes finished") => (vec![PlaceTakes], "finishing, nothing, finished"),
        ("finishing", "takes finished") => (vec![PlaceTakes], "finishing, finished"),
        ("finishing, finished", "tick" | "tick, saved" | "tick, tried" | "tick, audio dead" | "tick, named") => {
            (vec![], "finishing, mirror")
        }
        ("finishing, finished", "tick, saved, device") => (vec![], "finishing, mirror"),
        ("finishing, finished" | "finishing, mirror", "tick, mirror") => (vec![NameFiles], "finishing, names"),
        ("finishing, finished", "tick, late") => (vec![], "finishing, mirror since late"),
        ("finishing, finished", "tick, tried, late") => (vec![], "finishing, mirror since 3 s"),
        ("finishing, mirror", "tick, late") => (vec![NameFiles], "finishing, names since late"),
        ("finishing, names", "names fit" | "tick, named" | "tick, late") => (vec![Report(ENDED)], "ended"),

        ("finishing, mirror" | "finishing, finished" | "finishing, names", "thread failed") => {
            (vec![Report(ENDED), Notify(Problem::ThreadFailed("butler".to_owned()))], "ended")
        }
        ("finishing" | "finishing, nothing", "thread failed") => {
            ([vec![PlaceTakes], failed()].into_iter().flatten().collect(), "ended")
        }
        ("rolling" | "rolling, begun", "thread failed") => {
            ([vec![SendStop], failed()].into_iter().flatten().collect(), "ended")
        }
        ("ended", _) => return None,
        (_, "thread failed") => (failed(), "ended"),
        _ => return None,
    })
}

/// A pass that ended without a frame keeps the start of its takes.
fn empty_end(state: &str, event: &str) -> bool {
    state.starts_with("rolling") && event == "audio ended empty"
}

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let clock = Clock(Instant::now());
    for name in STATES {
        for input in EVENTS {
            let machine = || TestMachine {
                state: state(name, clock),
                start: FramePos(900),
                is_stopped: false,
                name_collisions: 0,
            };
            let mut found = machine();
            let effects = found.on(event(input, clock));
            if empty_end(name, input) {
                assert_eq!(effects, [Effect::Finish(NOTHING)], "{name}: {input}");
                continue;
            }
            let (wanted, next) = row(name, input).unwrap_or((Vec::new(), name));
            assert_eq!(effects, wanted, "{name}: {input}");
            assert_eq!(format!("{:?}", found.state), format!("{:?}", state(next, clock)), "{name}: {input}");
            // `began` and `audio ended` with frames move the start and nothing else does.
            let moves = wanted.iter().any(|effect| matches!(effect, Effect::MoveTakes(_)));
            assert_eq!(found.start, FramePos(if moves { 1_000 } else { 900 }), "{name}: {input}");
        }
    }
}

/// Feeds events; the effects of all of them.
fn feed(machine: &mut TestMachine, events: impl IntoIterator<Item = TestEvent>) -> Vec<TestEffect> {
    events.into_iter().flat_map(|event| machine.on(event)).collect()
}

#[test]
fn a_pass_runs_from_its_files_to_its_report() {
    let clock = Clock(Instant::now());
    let mut machine = TestMachine::new(FramePos(900), None, 0);
    assert!(machine.phase(false) == PassPhase::Preparing && !machine.has_rolled());
    let effects = feed(&mut machine, ["created", "listed", "tick, saved", "ready"].map(|name| event(name, clock)));
    assert_eq!(effects, [Effect::Save, Effect::Prepare("files")]);
    assert_eq!(feed(&mut machine, [event("tick, saved", clock)]), [Effect::SendRecord(5)]);
    assert_eq!((machine.phase(false), machine.phase(true)), (PassPhase::Waiting, PassPhase::Recording));
    assert!(machine.has_rolled() && machine.ended().is_none());
    feed(&mut machine, [event("began there", clock)]);
    assert_eq!((machine.phase(false), machine.start()), (PassPhase::Recording, FramePos(1_000)));
    assert_eq!(feed(&mut machine, [event("audio ended", clock)]), [Effect::Finish(ENDED)]);
    assert_eq!((machine.phase(false), machine.ended()), (PassPhase::Finishing, Some(&ENDED)));
    let finished = Event::Tick(Facts { is_mirror_finished: true, ..clock.tick(1.0) });
    let effects = feed(&mut machine, [event("takes finished", clock), finished, event("names fit", clock)]);
    assert_eq!(effects, [Effect::PlaceTakes, Effect::NameFiles, Effect::Report(ENDED)]);
    assert!(!machine.is_rolling());
}

/// A stop during the preparation had no effect: the pass rolled a moment later.
#[test]
fn a_stop_before_the_pass_rolls_ends_it_without_a_frame() {
    let clock = Clock(Instant::now());
    for at in 0..4 {
        let mut events = ["created", "listed", "ready", "tick, saved"].map(|name| event(name, clock)).into_iter();
        let mut machine = TestMachine::new(FramePos(0), None, 0);
        let mut effects = feed(&mut machine, events.by_ref().take(at));
        effects.extend(feed(&mut machine, [Event::Stop]));
        effects.extend(feed(&mut machine, events));
        let rolled = effects.iter().any(|effect| matches!(effect, Effect::SendRecord(_)));
        assert!(!rolled && effects.last() == Some(&Effect::Finish(NOTHING)), "{at}: {effects:?}");
        assert!(!machine.has_rolled());
    }
}

#[test]
fn a_stopped_pass_chooses_no_other_names_and_the_ninth_collision_is_the_last() {
    let clock = Clock(Instant::now());
    let refused = || event("refused, names", clock);
    let mut stopped = TestMachine::new(FramePos(0), None, 0);
    let effects = feed(&mut stopped, [Event::Stop, refused()]);
    assert_eq!(effects, [Effect::Forget("reason".to_owned())]);
    for (collisions, again) in [(0, true), (NAME_COLLISIONS_MAX - 1, true), (NAME_COLLISIONS_MAX, false)] {
        let effects = TestMachine::new(FramePos(0), None, collisions).on(refused());
        assert_eq!(effects == [Effect::OpenAgain], again, "{collisions}");
    }
}

#[test]
fn a_mirror_delays_the_begin_and_the_end_of_a_pass_for_a_time_at_most() {
    let clock = Clock(Instant::now());
    let mut machine = TestMachine::new(FramePos(0), Some(clock.at(0.0)), 0);
    feed(&mut machine, [event("created", clock), event("listed", clock)]);
    assert_eq!(feed(&mut machine, [Event::Tick(clock.tick(2.9))]), []);
    let effects = feed(&mut machine, [Event::Tick(clock.tick(3.0))]);
    assert_eq!(effects, [Effect::GiveUpMirror, Effect::Prepare("files")]);
    machine.state = state("finishing, finished", clock);
    assert_eq!(feed(&mut machine, [Event::Tick(clock.tick(100.0)), Event::Tick(clock.tick(119.9))]), []);
    assert_eq!(feed(&mut machine, [Event::Tick(clock.tick(120.1))]), [Effect::NameFiles]);
}

#[test]
fn files_that_get_other_names_delay_the_report_of_a_pass_for_a_time_at_most() {
    let clock = Clock(Instant::now());
    let mut machine = TestMachine::new(FramePos(0), None, 0);
    machine.state = state("finishing, names", clock);
    assert_eq!(feed(&mut machine, [Event::Tick(clock.tick(4.9))]), []);
    assert_eq!(feed(&mut machine, [Event::Tick(clock.tick(5.1))]), [Effect::Report(ENDED)]);
}
