//! The actions of a user with their names and keys. The menu, the search for an action, the key sheet and the tooltips
//! read this list. Thread: ui.

use egui::{Key, KeyboardShortcut, Modifiers};
use std::collections::BTreeMap;

/// Something that a user can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`ACTIONS` has the name of each on the screen")]
pub enum Action {
    Record,
    Stop,
    PlayOrStop,
    ToStart,
    ToEnd,
    Loop,
    Punch,
    NudgeBack,
    NudgeForward,
    NudgeBackFar,
    NudgeForwardFar,
    Marker,
    MarkerBefore,
    MarkerAfter,
    RangeStart,
    RangeEnd,
    RangeClear,
    ZoomIn,
    ZoomOut,
    ZoomAll,
    ZoomRange,
    Follow,
    Tall,
    Undo,
    Redo,
    Save,
    NewSession,
    OpenSession,
    RenameSession,
    OpenFolder,
    ChooseOverflowFolder,
    AddTrack,
    DuplicateTracks,
    RemoveSelected,
    SelectAll,
    SelectNone,
    SelectAbove,
    SelectBelow,
    RenameTrack,
    ArmAll,
    ArmNone,
    ArmSelected,
    MuteSelected,
    SoloSelected,
    Unsolo,
    Split,
    Residency,
    Stress,
    Doctor,
    Events,
    Takes,
    Export,
    Lower,
    Freeze,
    NextFault,
    Device,
    Settings,
    Theme,
    Larger,
    Smaller,
    FullScreen,
    Acknowledge,
    Palette,
    Keys,
    Quit,
}

/// A line of [`ACTIONS`].
pub struct Entry {
    pub action: Action,
    /// Name on the screen.
    pub name: &'static str,
    /// Heading on the key sheet.
    pub group: &'static str,
    /// Default keys. Each of them works; the first is shown.
    pub keys: &'static [&'static str],
}

const fn entry(action: Action, group: &'static str, name: &'static str, keys: &'static [&'static str]) -> Entry {
    Entry { action, name, group, keys }
}

/// All actions, in the order of the key sheet.
pub const ACTIONS: &[Entry] = &[
    entry(Action::Record, "Transport", "Record", &["R", "Shift+Space"]),
    entry(Action::Stop, "Transport", "Stop (hold while recording)", &["Escape"]),
    entry(Action::PlayOrStop, "Transport", "Play or stop", &["Space"]),
    entry(Action::ToStart, "Transport", "Go to the start", &["Home"]),
    entry(Action::ToEnd, "Transport", "Go to the end", &["End"]),
    entry(Action::NudgeBack, "Transport", "Back 1 second", &["ArrowLeft"]),
    entry(Action::NudgeForward, "Transport", "Forward 1 second", &["ArrowRight"]),
    entry(Action::NudgeBackFar, "Transport", "Back 10 seconds", &["Shift+ArrowLeft"]),
    entry(Action::NudgeForwardFar, "Transport", "Forward 10 seconds", &["Shift+ArrowRight"]),
    entry(Action::Loop, "Transport", "Loop the range", &["L"]),
    entry(Action::Punch, "Transport", "Punch in and out at the range", &["P"]),
    entry(Action::Marker, "Timeline", "Drop a marker", &["M"]),
    entry(Action::MarkerBefore, "Timeline", "Go to the marker before", &["Ctrl+ArrowLeft"]),
    entry(Action::MarkerAfter, "Timeline", "Go to the next marker", &["Ctrl+ArrowRight"]),
    entry(Action::RangeStart, "Timeline", "Start the range here", &["OpenBracket"]),
    entry(Action::RangeEnd, "Timeline", "End the range here", &["CloseBracket"]),
    entry(Action::RangeClear, "Timeline", "Clear the range", &["Shift+Escape"]),
    entry(Action::ZoomIn, "Timeline", "Zoom in", &["Plus", "Equals"]),
    entry(Action::ZoomOut, "Timeline", "Zoom out", &["Minus"]),
    entry(Action::ZoomAll, "Timeline", "Show the whole session", &["F"]),
    entry(Action::ZoomRange, "Timeline", "Show the range", &["Z"]),
    entry(Action::Follow, "Timeline", "Follow the playhead", &["Shift+F"]),
    entry(Action::Split, "Timeline", "Split regions at the playhead", &["X"]),
    entry(Action::AddTrack, "Tracks", "Add a track", &["Ctrl+T"]),
    entry(Action::DuplicateTracks, "Tracks", "Duplicate the selected tracks", &["Ctrl+D"]),
    entry(Action::RemoveSelected, "Tracks", "Remove what is selected (takes go to the trash)", &["Delete"]),
    entry(Action::RenameTrack, "Tracks", "Name the selected track", &["Enter"]),
    entry(Action::SelectAll, "Tracks", "Select all tracks", &["Ctrl+A"]),
    entry(Action::SelectNone, "Tracks", "Select nothing", &["Ctrl+Shift+A"]),
    entry(Action::SelectAbove, "Tracks", "Select the track above", &["ArrowUp"]),
    entry(Action::SelectBelow, "Tracks", "Select the track below", &["ArrowDown"]),
    entry(Action::ArmAll, "Tracks", "Arm all tracks", &["A"]),
    entry(Action::ArmNone, "Tracks", "Arm no track", &["Shift+A"]),
    entry(Action::ArmSelected, "Tracks", "Arm the selected tracks", &["Shift+R"]),
    entry(Action::MuteSelected, "Tracks", "Mute the selected tracks", &["Shift+M"]),
    entry(Action::SoloSelected, "Tracks", "Solo the selected tracks", &["Shift+S"]),
    entry(Action::Unsolo, "Tracks", "Solo no track", &["Alt+S"]),
    entry(Action::Tall, "Tracks", "Tall or compact rows", &["T"]),
    entry(Action::Undo, "Session", "Undo", &["Ctrl+Z"]),
    entry(Action::Redo, "Session", "Redo", &["Ctrl+Shift+Z", "Ctrl+Y"]),
    entry(Action::Save, "Session", "Save now", &["Ctrl+S"]),
    entry(Action::NewSession, "Session", "New session", &["Ctrl+N"]),
    entry(Action::OpenSession, "Session", "Open a session", &["Ctrl+O"]),
    entry(Action::RenameSession, "Session", "Rename the session", &["F2"]),
    entry(Action::OpenFolder, "Session", "Open the folder of the takes", &["Ctrl+Shift+O"]),
    entry(Action::ChooseOverflowFolder, "Session", "Choose a folder for when the disk is full", &["Ctrl+Shift+G"]),
    entry(Action::Export, "Session", "Export", &["Ctrl+E"]),
    entry(Action::Residency, "Panels", "Residency", &["Ctrl+1"]),
    entry(Action::Stress, "Panels", "Stress test", &["Ctrl+2"]),
    entry(Action::Doctor, "Panels", "Doctor", &["Ctrl+3"]),
    entry(Action::Events, "Panels", "Events", &["Ctrl+4"]),
    entry(Action::Takes, "Panels", "Takes", &["Ctrl+5"]),
    entry(Action::Lower, "Panels", "Show or hide the lower panel", &["B"]),
    entry(Action::Freeze, "Panels", "Freeze the residency map", &["Ctrl+F"]),
    entry(Action::NextFault, "Panels", "Show the next page fault in the residency map", &["Ctrl+G"]),
    entry(Action::Device, "Window", "Device", &["Ctrl+Shift+D"]),
    entry(Action::Settings, "Window", "Settings", &["Ctrl+Comma"]),
    entry(Action::Theme, "Window", "Dark or light", &["Ctrl+Shift+L"]),
    entry(Action::Larger, "Window", "Larger", &["Ctrl+Plus", "Ctrl+Equals"]),
    entry(Action::Smaller, "Window", "Smaller", &["Ctrl+Minus"]),
    entry(Action::FullScreen, "Window", "Full screen", &["F11"]),
    entry(Action::Acknowledge, "Window", "Acknowledge alarms and clip lamps", &["Ctrl+K"]),
    entry(Action::Palette, "Window", "Find an action", &["Ctrl+Shift+P", "Ctrl+P"]),
    entry(Action::Keys, "Window", "Keys", &["F1", "Questionmark"]),
    entry(Action::Quit, "Window", "Quit", &["Ctrl+Q"]),
];

/// Limit of the keys of one action. Without it, a settings file with half a million keys would slow every picture.
const KEYS_MAX: usize = 8;

/// The keys of all actions: the defaults with the user's changes.
#[derive(Clone, Debug, Default)]
pub struct KeyMap {
    bound: Vec<(KeyboardShortcut, Action)>,
}

impl KeyMap {
    /// Combines the defaults with `changed`, which maps [`Action::id`] to keys separated by spaces. An empty text takes
    /// all keys away from an action.
    pub fn new(changed: &BTreeMap<String, String>) -> KeyMap {
        let mut bound = Vec::new();
        for entry in ACTIONS {
            let own = changed.get(&entry.action.id()).map(String::as_str);
            let keys: Vec<&str> =
                own.map_or_else(|| entry.keys.to_vec(), |own| own.split(' ').take(KEYS_MAX).collect());
            bound.extend(keys.into_iter().filter_map(parse).map(|keys| (keys, entry.action)));
        }
        // More modifiers first, so that Ctrl+Shift+Z does not match as Ctrl+Z.
        bound.sort_by_key(|(keys, _)| std::cmp::Reverse(weight(keys.modifiers)));
        KeyMap { bound }
    }

    /// Takes pressed keys out of the input and returns their actions. A control that has the focus keeps the keys that it
    /// needs: arrows and Enter. The caller asks only while the user types no text.
    pub fn pressed(&self, ctx: &egui::Context) -> Vec<Action> {
        let is_focused = ctx.memory(|memory| memory.focused().is_some());
        ctx.input_mut(|input| {
            let hit = |(keys, action): &(KeyboardShortcut, Action)| {
                let is_kept = is_focused && keys.modifiers.is_none() && is_of_controls(keys.logical_key);
                (!is_kept && consume(input, *keys)).then_some(*action)
            };
            self.bound.iter().filter_map(hit).collect()
        })
    }

    /// Whether keys of an action are held down, with exactly their modifiers. A control that has the focus keeps arrows and
    /// Enter, as in [`KeyMap::pressed`].
    pub fn is_down(&self, ctx: &egui::Context, action: Action) -> bool {
        let is_focused = ctx.memory(|memory| memory.focused().is_some());
        ctx.input(|input| {
            self.bound.iter().filter(|(_, bound)| *bound == action).any(|(keys, _)| {
                let is_kept = is_focused && keys.modifiers.is_none() && is_of_controls(keys.logical_key);
                !is_kept && input.key_down(keys.logical_key) && has_modifiers(*keys, input.modifiers)
            })
        })
    }

    /// The keys of an action for display: the first default if it is still bound. Empty if the action has no keys.
    pub fn text(&self, action: Action) -> String {
        let of = |entry: &&Entry| entry.action == action;
        let first = ACTIONS.iter().find(of).and_then(|entry| entry.keys.first()).and_then(|keys| parse(keys));
        let own: Vec<_> = self.bound.iter().filter(|(_, bound)| *bound == action).map(|(keys, _)| *keys).collect();
        let shown = first.filter(|keys| own.contains(keys)).or(own.first().copied());
        shown.map_or_else(String::new, written)
    }
}

/// Whether a control that has the focus uses this key itself.
fn is_of_controls(key: Key) -> bool {
    matches!(key, Key::ArrowLeft | Key::ArrowRight | Key::ArrowUp | Key::ArrowDown | Key::Enter)
}

/// Whether `given` are exactly the modifiers of the keys. Shift is ignored for signs that need it on some keyboard layouts,
/// such as `+`.
fn has_modifiers(keys: KeyboardShortcut, given: Modifiers) -> bool {
    let is_sign = matches!(keys.logical_key, Key::Plus | Key::Questionmark | Key::Equals);
    given.ctrl == (keys.modifiers.ctrl || keys.modifiers.command)
        && (is_sign || given.shift == keys.modifiers.shift)
        && given.alt == keys.modifiers.alt
}

fn consume(input: &mut egui::InputState, keys: KeyboardShortcut) -> bool {
    let mut hit = false;
    input.events.retain(|event| {
        let egui::Event::Key { key, modifiers, pressed: true, repeat, .. } = event else { return true };
        let same = *key == keys.logical_key && has_modifiers(keys, *modifiers);
        // A key that is held down may repeat a move or a zoom. It must not repeat Record.
        let repeats = matches!(
            key,
            Key::ArrowLeft | Key::ArrowRight | Key::ArrowUp | Key::ArrowDown | Key::Plus | Key::Minus | Key::Equals
        );
        if same && (!repeat || repeats) {
            hit = true;
        }
        !same
    });
    hit
}

fn weight(modifiers: Modifiers) -> u32 {
    u32::from(modifiers.ctrl || modifiers.command) + u32::from(modifiers.shift) + u32::from(modifiers.alt)
}

/// Reads a text such as `Ctrl+Shift+Z`: modifiers, then egui's name of a key. `None` if there is no such key.
pub fn parse(text: &str) -> Option<KeyboardShortcut> {
    let mut modifiers = Modifiers::NONE;
    let mut key = None;
    for name in text.split('+') {
        match name {
            "Ctrl" => modifiers.ctrl = true,
            "Shift" => modifiers.shift = true,
            "Alt" => modifiers.alt = true,
            name => key = Key::from_name(name),
        }
    }
    key.map(|key| KeyboardShortcut::new(modifiers, key))
}

/// Keys for display: "Ctrl+Shift+Z", "Left", "+".
fn written(keys: KeyboardShortcut) -> String {
    let mut text = String::new();
    for (on, name) in [(keys.modifiers.ctrl, "Ctrl+"), (keys.modifiers.shift, "Shift+"), (keys.modifiers.alt, "Alt+")] {
        if on {
            text.push_str(name);
        }
    }
    text + match keys.logical_key {
        Key::ArrowLeft => "Left",
        Key::ArrowRight => "Right",
        Key::ArrowUp => "Up",
        Key::ArrowDown => "Down",
        Key::Plus => "+",
        Key::Minus => "\u{2212}",
        Key::Equals => "=",
        Key::Comma => ",",
        Key::Questionmark => "?",
        Key::OpenBracket => "[",
        Key::CloseBracket => "]",
        Key::Escape => "Esc",
        key => key.name(),
    }
}

impl Action {
    /// Name on the screen.
    pub fn name(self) -> &'static str {
        ACTIONS.iter().find(|entry| entry.action == self).map_or("", |entry| entry.name)
    }

    /// The action's name in the user's key settings: its Debug name. A name in a settings file must stay, or the user
    /// loses the keys of this action.
    pub fn id(self) -> String {
        match self {
            // The former name of this action. Settings files hold it.
            Action::ChooseOverflowFolder => "GoOnElsewhere".to_owned(),
            action => format!("{action:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_action_has_one_line_and_every_default_key_can_be_read() {
        let mut seen = BTreeSet::new();
        for entry in ACTIONS {
            assert!(seen.insert(entry.action), "{:?} is listed twice", entry.action);
            assert!(!entry.keys.is_empty(), "{:?} has no key", entry.action);
            for keys in entry.keys {
                assert!(parse(keys).is_some(), "{keys}: no such key");
            }
        }
        assert_eq!(seen.len(), Action::Quit as usize + 1, "an action is missing");
    }

    #[test]
    fn no_two_actions_share_a_key() {
        let mut seen = BTreeSet::new();
        for keys in ACTIONS.iter().flat_map(|entry| entry.keys) {
            assert!(seen.insert(keys), "{keys} means two things");
        }
    }

    #[test]
    fn half_a_million_keys_for_one_action_are_not_looked_through_at_every_frame() {
        let changed = BTreeMap::from([(Action::Keys.id(), "F1 ".repeat(500_000))]);
        assert!(KeyMap::new(&changed).bound.len() < KeyMap::new(&BTreeMap::new()).bound.len() + KEYS_MAX);
    }

    #[test]
    fn an_action_that_was_renamed_keeps_the_keys_that_a_user_gave_it() {
        let map = KeyMap::new(&BTreeMap::from([("GoOnElsewhere".to_owned(), "F9".to_owned())]));
        assert_eq!(map.text(Action::ChooseOverflowFolder), "F9");
    }

    /// Esc ended a recording although Stop had another key, and that key did not.
    #[test]
    fn a_key_that_is_held_counts_for_the_action_that_has_it_now() {
        let held = |map: &KeyMap, key: Key, modifiers: Modifiers| {
            let ctx = egui::Context::default();
            let event = egui::Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers };
            let events = vec![egui::Event::ModifiersChanged(modifiers), event];
            let input = egui::RawInput { events, ..egui::RawInput::default() };
            let mut is_down = false;
            drop(ctx.run_ui(input, |ui| is_down = map.is_down(ui.ctx(), Action::Stop)));
            is_down
        };
        let map = KeyMap::new(&BTreeMap::new());
        assert!(held(&map, Key::Escape, Modifiers::NONE));
        assert!(!held(&map, Key::Escape, Modifiers::SHIFT), "it clears the range");
        let map = KeyMap::new(&[(Action::Stop.id(), "Ctrl+F9".to_owned())].into());
        assert!(held(&map, Key::F9, Modifiers::CTRL));
        assert!(!held(&map, Key::F9, Modifiers::NONE) && !held(&map, Key::Escape, Modifiers::NONE));
        assert_eq!(Action::Stop.id(), crate::app::settings::STOP_KEYS, "the recorder names the keys too");
    }

    #[test]
    fn a_user_gives_an_action_other_keys_or_none() {
        let changed = [("Record".to_owned(), "F9".to_owned()), ("Marker".to_owned(), String::new())].into();
        let map = KeyMap::new(&changed);
        assert_eq!(
            (map.text(Action::Record), map.text(Action::Marker), map.text(Action::Undo)),
            ("F9".to_owned(), String::new(), "Ctrl+Z".to_owned())
        );
    }
}
