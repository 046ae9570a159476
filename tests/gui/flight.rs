//! Tests of the events panel, the report and the stress test panel. Thread: test.

use super::rig::Rig;
use egui_kittest::kittest::Queryable as _;
use faultless::app::command::Command;
use faultless::app::jobs::StressRequest;
use faultless::diagnostics::stress::StressKind;
use faultless::diagnostics::stress::sheet::Verdict;
use faultless::ui::bottom_panel::Tab;

fn show_tab(rig: &mut Rig, tab: Tab) {
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, tab);
    rig.step(4);
}

#[test]
fn events_of_earlier_starts_are_shown_and_a_report_holds_everything() {
    let mut rig = Rig::new("virtual:xrun=60000+480", 2);
    rig.click("Record");
    rig.record_for(2.0);
    rig.stop();
    let mut rig = rig.again();
    show_tab(&mut rig, Tab::Events);
    rig.harness.get_by_label("Earlier");
    let found = rig.snapshot();
    let texts: Vec<&str> = found.earlier.iter().map(|notice| notice.text.as_str()).collect();
    for words in
        ["opened by faultless", "recording of 2 takes began", "10 ms lost (xrun)", "10 ms lost, 1 xrun", "closed"]
    {
        assert!(texts.iter().any(|text| text.contains(words)), "{words}: {texts:#?}");
    }
    assert!(found.notices.iter().any(|notice| notice.text.contains("opened by faultless")), "this start");
    rig.click("Save report");
    rig.until("it is saved", |rig| rig.harness.query_by_label_contains("Saved as").is_some());
    let reports: Vec<_> =
        std::fs::read_dir(found.folder.join("reports")).unwrap().flatten().map(|file| file.path()).collect();
    let path = reports.iter().find(|path| path.extension().is_some_and(|ending| ending == "json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(report["takes"].as_array().unwrap().len(), 2);
    assert_eq!(report["takes"][0]["accounts"]["frames_lost"], 480);
    assert!(report["earlier_events"].as_array().unwrap().len() >= 5);
    assert!(report["machine"]["file_system"].is_string() && report["figures"]["scheduling"].is_string());
    assert_eq!(report["residency"]["kind"], "faultless-residency");
    // The residency panel shows them next to the map, too.
    show_tab(&mut rig, Tab::Residency);
    let beside = rig.harness.query_all_by_label_contains("Note, ").count();
    assert!(beside > 3, "{beside} events beside the map");
}

#[test]
fn the_stress_test_runs_a_separate_program_and_shows_its_results() {
    let mut rig = Rig::new("virtual", 2);
    show_tab(&mut rig, Tab::Stress);
    for kind in StressKind::ALL {
        if kind != StressKind::Unplug {
            rig.click(kind.title());
        }
    }
    rig.click("Run");
    rig.until("it records", |rig| rig.snapshot().stress.doing.contains("recorded"));
    rig.click("Stop the stress test");
    rig.until("it is stopped", |rig| rig.snapshot().stress.progress.is_none());
    assert!(rig.snapshot().stress.failed.unwrap().contains("stopped"), "the window shows why it ended");
    let request = StressRequest { kinds: vec![StressKind::Freeze, StressKind::Unplug], tracks: 2, seconds: 3.0 };
    rig.send(Command::Stress(request));
    rig.until("it is over", |rig| {
        let stress = rig.snapshot().stress;
        stress.progress.is_none() && stress.rows.len() == 2
    });
    rig.step(3);
    let rows = rig.snapshot().stress.rows;
    assert_eq!((rows[0].stress, rows[0].verdict), (StressKind::Freeze, Verdict::Skipped), "{rows:?}");
    let figures = rows[1].figures.as_ref().unwrap();
    assert_eq!((figures.takes, figures.samples_wrong), (2, 0), "{rows:?}");
    assert!(figures.frames_lost >= 24_000, "{rows:?}");
    rig.harness.get_by_label_contains("frozen disk: skipped, ");
    assert_eq!(rig.snapshot().stress.failed, None);
    let base = rig.home.path().join("sessions");
    assert!(!base.join("Stress test").exists(), "the rehearsals are gone");
}
