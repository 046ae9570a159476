//! A window whose recorder still opens its session. Thread: test.

use super::rig::Home;
use egui::Key;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use faultless::app::snapshot::Stage;
use faultless::link::Recorder;
use faultless::link::client::Client;
use faultless::link::start::EngineStart;
use faultless::ui::frame::WindowFrame;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

type Window = Harness<'static, WindowFrame>;

fn is_shown(window: &Window, text: &str) -> bool {
    window.query_by_label_contains(text).is_some()
}

fn step(window: &mut Window, pictures: usize) {
    for _ in 0..pictures {
        window.step();
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The banner said that the recorder does not answer and that a recording continues, and it stayed.
#[test]
fn a_key_while_the_session_opens_is_answered_and_the_answer_goes_when_it_is_open() {
    let home = Home::new();
    let (program, go) = (home.path().join("faultless"), home.path().join("go"));
    let text = format!(
        "#!/bin/sh\nexport HOME='{0}' XDG_CONFIG_HOME='{0}/config'\nwhile [ ! -e '{1}' ]; do sleep 0.05; done\nexec '{2}' \"$@\"\n",
        home.path().display(),
        go.display(),
        env!("CARGO_BIN_EXE_faultless")
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let options = ["--device=virtual", "--inputs=2"].map(Into::into).to_vec();
    let start = EngineStart { program, options, session: Some(home.path().join("gig")) };
    let client = Client::start(start).unwrap();
    let mut window = Harness::builder()
        .with_size([1440.0, 900.0])
        .with_step_dt(1.0 / 30.0)
        .build_eframe(move |cc| WindowFrame::of(&cc.egui_ctx, Recorder::Remote(client)));
    step(&mut window, 3);
    assert!(!is_shown(&window, "Still opening"), "nobody has pressed a key");
    assert_eq!(window.get_by_label("Health").accesskit_node().value().as_deref(), Some("Opening."));
    window.key_press(Key::R);
    step(&mut window, 10);
    assert!(is_shown(&window, "Still opening. Press again when it is open."));
    assert!(!is_shown(&window, "A recording continues"));
    fs::write(go, "").unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while window.state().app().snapshot().stage != Stage::Open {
        assert!(Instant::now() < until, "{:?}", window.state().app().snapshot().stage);
        step(&mut window, 1);
    }
    step(&mut window, 10);
    assert!(!is_shown(&window, "Still opening") && !is_shown(&window, "does not answer"));
    assert!(window.state().app().close_within(Duration::from_secs(30)));
}
