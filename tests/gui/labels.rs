//! Tests of accessible names: every control has one. Thread: test.

use super::rig::Rig;
use egui::accesskit::{Action, Role};
use egui_kittest::Node;
use egui_kittest::kittest::NodeT as _;
use faultless::ui::bottom_panel::TABS;
use faultless::ui::effect::Overlay;

/// Roles of controls. Everything else that the Tab key reaches is a control too.
const USED: &[Role] = &[
    Role::Button,
    Role::CheckBox,
    Role::ComboBox,
    Role::Link,
    Role::ListItem,
    Role::MenuItem,
    Role::Meter,
    Role::RadioButton,
    Role::Slider,
    Role::SpinButton,
    Role::Switch,
    Role::Tab,
    Role::TextInput,
];

fn unnamed(node: &Node<'_>, found: &mut Vec<String>, seen: &mut usize) {
    let it = node.accesskit_node();
    let is_reached = it.data().supports_action(Action::Focus);
    if USED.contains(&it.role()) || is_reached {
        *seen += 1;
        let named = it.label().is_some_and(|label| !label.trim().is_empty()) || it.labelled_by().next().is_some();
        if !named {
            found.push(format!("{:?} at {:?}", it.role(), node.rect()));
        }
    }
    for child in node.children() {
        unnamed(&child, found, seen);
    }
}

fn check(rig: &Rig, state: &str) {
    let (mut found, mut seen) = (Vec::new(), 0);
    unnamed(&rig.harness.root(), &mut found, &mut seen);
    assert!(seen > 15, "{state}: {seen} things that can be used");
    assert!(found.is_empty(), "{state}: without a name: {found:#?}");
}

#[test]
fn everything_that_can_be_used_has_a_name() {
    let mut rig = Rig::new("virtual", 3);
    check(&rig, "stopped");
    for (tab, name) in TABS {
        rig.harness.state_mut().shell().bottom.open = true;
        rig.harness.state_mut().shell().bottom.tab = tab;
        rig.step(4);
        check(&rig, name);
    }
    for overlay in [Overlay::Palette, Overlay::Keys, Overlay::Device, Overlay::Settings] {
        rig.harness.state_mut().shell().overlay = overlay;
        rig.step(4);
        check(&rig, &format!("{overlay:?}"));
        rig.harness.state_mut().shell().overlay = Overlay::Nothing;
        rig.step(2);
    }
    rig.click("Record");
    rig.record_for(0.2);
    check(&rig, "recording");
    rig.stop();
    check(&rig, "with takes");
}

#[test]
fn the_names_that_other_tests_use_exist() {
    use egui_kittest::kittest::Queryable as _;
    let rig = Rig::new("virtual", 2);
    let numbered = ["Arm", "Mute", "Solo", "Monitor", "Input", "Gain", "Pan", "Name", "Meter"];
    let numbered = numbered.iter().flat_map(|name| [format!("{name} In 1"), format!("{name} In 2")]);
    let plain = [
        "Record",
        "Stop",
        "Play",
        "Residency",
        "Doctor",
        "Stress test",
        "Settings",
        "Export",
        "Device",
        "Time",
        "Health",
    ];
    for name in plain.iter().map(ToString::to_string).chain(numbered) {
        rig.harness.get_by_label(&name);
    }
}
