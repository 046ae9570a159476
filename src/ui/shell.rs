//! The shell: the layout of all panels, the state that they keep between pictures, and the effects of actions. The
//! frame around the shell is in [`super::frame`]. Thread: ui.

use super::action::{Action, KeyMap};
use super::announce::Announcer;
use super::effect::{Effect, FrameRequest, Overlay};
use super::layer_focus::LayerFocus;
use super::panel_context::PanelContext;
use super::panels::{device, keys, palette, settings};
use super::theme::{self, Theme};
use super::view::View;
use super::widget::{adjusted, focus_ring, name_part, value_before_cancelled_drag};
use super::{bar, bottom_panel, dialog, dispatch, health_line, notes, timeline, tracks};
use crate::app::LiveSources;
use crate::app::command::Command;
use crate::app::settings::ThemeChoice;
use crate::app::snapshot::Snapshot;
use egui::{Key, LayerId, Rect, Role, Sense, Ui, UiBuilder, pos2, vec2};
use std::collections::BTreeMap;

/// Height that the bottom panel leaves to the timeline and the track list, in points.
const LANES_HEIGHT_MIN: f32 = 120.0;

/// Height of the open bottom panel at least, in points.
const BOTTOM_HEIGHT_MIN: f32 = 120.0;

/// Points by which an arrow key or a screen reader moves the upper edge of the bottom panel.
const EDGE_STEP: f32 = 24.0;

/// The strip between the health line and the timeline. The window's frame draws it, after the panels.
#[derive(Default)]
pub struct Strip {
    /// Height in points that the panels leave free. 0: there is no strip.
    pub height: f32,
    /// Whether the strip asks something that Esc answers.
    pub asks: bool,
    /// The user has answered with Esc. The frame takes it.
    pub escaped: bool,
}

/// Facts of the end of the last picture, by which this one chooses who gets its keys.
#[derive(Default)]
struct LastPicture {
    /// Whether a text field had the focus.
    typed: bool,
    /// Whether something was dragged.
    dragged: bool,
    /// Whether Esc was down.
    escape_down: bool,
}

/// The state of all panels. A snapshot of the app is the only other input of a picture.
#[derive(Default)]
pub struct Shell {
    /// `None` before the first picture.
    pub theme: Option<Theme>,
    keys: KeyMap,
    /// The key settings from which `keys` was made.
    changed_keys: Option<BTreeMap<String, String>>,
    /// Visible part of the timeline, and the selection.
    pub view: View,
    pub overlay: Overlay,
    pub bar: bar::BarState,
    pub tracks: tracks::TracksState,
    timeline: timeline::TimelineState,
    pub bottom: bottom_panel::BottomPanelState,
    palette: palette::PaletteState,
    device: device::DeviceState,
    settings: settings::SettingsState,
    keys_sheet: keys::KeysState,
    notes: notes::NotesState,
    pub strip: Strip,
    announcer: Announcer,
    layer_focus: LayerFocus,
    last_picture: LastPicture,
    /// Requests that only the window's frame can carry out. The frame takes them after each picture.
    pub frame_requests: Vec<FrameRequest>,
    /// Whether `view` has the values of the settings. They apply once, at the start.
    has_view_settings: bool,
    /// Whether an overlay was open in the last picture. The click that opens an overlay must not close it.
    overlay_was_shown: bool,
}

impl Shell {
    /// Draws everything, applies the effects of actions, and returns commands for the app.
    pub fn show(&mut self, ui: &mut Ui, snapshot: &Snapshot, live_sources: LiveSources<'_>) -> Vec<Command> {
        self.apply_settings(ui, snapshot);
        self.layer_focus.scroll(ui.ctx());
        let theme = self.theme.clone().unwrap_or_else(Theme::dark);
        let mut commands = Vec::new();
        let mut actions = self.take_keys(ui, snapshot);
        let keys = self.keys.clone();
        let whole = ui.max_rect();
        let bottom_height = if self.bottom.open {
            let above = theme::BAR + theme::HEALTH + self.strip.height + theme::RULER;
            let height_max = whole.height() - above - LANES_HEIGHT_MIN;
            self.bottom.height.clamp(BOTTOM_HEIGHT_MIN, height_max.max(BOTTOM_HEIGHT_MIN))
        } else {
            bottom_panel::TABS_HEIGHT
        };
        let bar = Rect::from_min_size(whole.min, vec2(whole.width(), theme::BAR));
        let health = Rect::from_min_size(bar.left_bottom(), vec2(whole.width(), theme::HEALTH));
        let bottom = Rect::from_min_max(pos2(whole.left(), whole.bottom() - bottom_height), whole.max);
        let middle = Rect::from_min_max(health.left_bottom() + vec2(0.0, self.strip.height), bottom.right_top());
        let tracks_right = middle.left() + theme::tracks_width(whole.width());
        let head = Rect::from_min_max(middle.min, pos2(tracks_right, middle.top() + theme::RULER));
        let list = Rect::from_min_max(head.left_bottom(), pos2(tracks_right, middle.bottom()));
        let ruler = Rect::from_min_max(pos2(tracks_right, middle.top()), pos2(middle.right(), head.bottom()));
        let lanes = Rect::from_min_max(ruler.left_bottom(), middle.max);
        self.view.width = lanes.width();
        self.view.list_width = list.width();
        self.view.fit(lanes.height(), snapshot);
        let mut context = PanelContext {
            snapshot,
            theme: &theme,
            now: ui.input(|input| input.time),
            waves: live_sources.waves,
            watcher: live_sources.watcher,
            questions: live_sources.questions.as_ref(),
            keys: &keys,
            view: &mut self.view,
            commands: &mut commands,
            actions: &mut actions,
            frame_requests: &mut self.frame_requests,
        };
        // The Tab key and screen readers follow the order of these calls.
        clipped_ui(ui, ("bar", "Transport bar"), bar, |ui| bar::show(ui, &mut self.bar, bar, &mut context));
        clipped_ui(ui, ("health", "Health line"), health, |ui| health_line::show(ui, health, &mut context));
        clipped_ui(ui, ("tracks", "Tracks and their controls"), head.union(list), |ui| {
            tracks::show(ui, &mut self.tracks, head, list, &mut context);
        });
        clipped_ui(ui, ("timeline", "Ruler and lanes"), ruler.union(lanes), |ui| {
            timeline::show(ui, &mut self.timeline, ruler, lanes, &mut context);
        });
        clipped_ui(ui, ("lower", "Lower panel"), bottom, |ui| bottom_panel::show(ui, &mut self.bottom, &mut context));
        if self.bottom.open {
            self.bottom.height = drag_upper_edge(ui, bottom, self.bottom.height);
        }
        notes::show(ui, &mut self.notes, (lanes, middle.top() + 2.0), &mut context);
        let sheet = self.show_overlay(ui, whole, &theme, snapshot, &keys, &mut commands, &mut actions);
        self.layer_focus.follow(ui.ctx(), sheet);
        // The track list scrolls by itself.
        if !self.tracks.has_focus() {
            self.layer_focus.look(ui.ctx());
        }
        self.announcer.show(ui.ctx(), snapshot);
        name_window(ui.ctx(), snapshot);
        focus_ring(ui, &theme);
        self.last_picture = LastPicture {
            typed: ui.ctx().text_edit_focused(),
            dragged: ui.ctx().dragged_id().is_some(),
            escape_down: ui.input(|input| input.key_down(Key::Escape)),
        };
        for action in actions {
            for effect in dispatch::dispatch(action, snapshot, &self.view) {
                self.apply(effect, &mut commands);
            }
        }
        commands
    }

    /// Applies the levels of a snapshot to all meters, at `now` seconds. Call it for every snapshot, also while nothing is
    /// drawn: a peak is in few snapshots, and must light its clip lamp.
    pub fn update_meters(&mut self, snapshot: &Snapshot, now: f64) {
        self.bar.update_meters(snapshot, now);
        self.tracks.update_meters(snapshot, now);
    }

    /// The actions of the keys that were pressed. Keys are text while a text field has the focus. Esc first closes what is
    /// open.
    fn take_keys(&mut self, ui: &Ui, snapshot: &Snapshot) -> Vec<Action> {
        if self.overlay != Overlay::Keys {
            self.keys_sheet.cancel();
        }
        // A field that Esc, Enter or Tab ends has lost the focus already, and the key belongs to it.
        let types = self.last_picture.typed || ui.ctx().text_edit_focused();
        // A key that is held down repeats. The Esc that has ended a recording must not close the card about it.
        let escapes = ui.input(|input| {
            input.modifiers.is_none()
                && input.events.iter().any(|event| {
                    matches!(event, egui::Event::Key { key: Key::Escape, pressed: true, repeat: false, .. })
                })
        });
        // The Esc that cancels a drag does nothing else. egui may have taken its event out of the input.
        let (is_pressed, is_down) = ui.input(|input| (input.key_pressed(Key::Escape), input.key_down(Key::Escape)));
        if self.last_picture.dragged && (is_pressed || (is_down && !self.last_picture.escape_down)) {
            // A long press that began before the drag still ends the recording.
            if !self.last_picture.escape_down {
                self.bar.ignore_stop_key();
            }
            return Vec::new();
        }
        if escapes && self.strip.asks {
            self.strip.escaped = true;
            self.bar.ignore_stop_key();
            return Vec::new();
        }
        let closes = escapes && self.close_topmost(ui, snapshot, types);
        if closes || types || dialog::is_modal(ui.ctx()) || self.keys_sheet.is_waiting() {
            // The key belongs to what it closes, to a text, or to the sheet of keys.
            self.bar.ignore_stop_key();
            return Vec::new();
        }
        self.keys.pressed(ui.ctx())
    }

    /// Closes what lies on top for the Esc key: a menu, a sheet, a card. Returns whether there was anything.
    fn close_topmost(&mut self, ui: &Ui, snapshot: &Snapshot, types: bool) -> bool {
        if dialog::is_modal(ui.ctx()) || egui::Popup::is_any_open(ui.ctx()) {
            // They close themselves when they see the key.
            return true;
        }
        match self.overlay {
            Overlay::Nothing if types => false,
            // A card that closes does not stop a long press from ending the recording.
            Overlay::Nothing => {
                let closed = self.bottom.residency.unpin() || self.notes.close(snapshot);
                closed && snapshot.transport.pass.is_none()
            }
            Overlay::Keys if self.keys_sheet.cancel() => true,
            // The search always has the focus of the keyboard.
            Overlay::Settings | Overlay::Device | Overlay::Keys if types => false,
            _ => {
                self.overlay = Overlay::Nothing;
                true
            }
        }
    }

    fn apply(&mut self, effect: Effect, commands: &mut Vec<Command>) {
        match effect {
            Effect::Send(command) => commands.push(command),
            Effect::AskFrame(request) => self.frame_requests.push(request),
            Effect::ToggleTab(tab) => self.bottom.toggle(tab),
            Effect::ToggleBottomPanel => self.bottom.open = !self.bottom.open,
            Effect::ToggleFreeze => self.bottom.residency.toggle_freeze(),
            Effect::ShowNextFault => {
                (self.bottom.open, self.bottom.tab) = (true, bottom_panel::Tab::Residency);
                self.bottom.residency.show_next_fault();
            }
            Effect::ToggleOverlay(overlay) if self.overlay == overlay => self.overlay = Overlay::Nothing,
            Effect::ToggleOverlay(overlay) => self.overlay = overlay,
            Effect::EditSessionName => self.bar.rename = true,
            Effect::EditTrackName => self.tracks.rename = true,
            Effect::ResetClipLamps => {
                self.bar.acknowledge();
                self.tracks.acknowledge();
            }
            Effect::Zoom { factor, x } => self.view.zoom(factor, x),
            Effect::ShowRange { from, to } => self.view.show_range(from, to),
            Effect::SetFollow(on) => self.view.follow = on,
            Effect::SetTallRows(on) => self.view.tall = on,
            Effect::SelectTracks(tracks) => {
                self.view.selected_tracks = tracks;
                self.view.selected_regions.clear();
            }
            Effect::DeselectRegions => self.view.selected_regions.clear(),
        }
    }

    /// Whether something moves although the snapshot stays the same: a falling meter, the ring of a long press.
    pub fn moves(&self) -> bool {
        self.bar.moves() || self.tracks.moves() || self.notes.moves()
    }

    /// Applies the settings: colours and keys at every change, the view once at the start.
    fn apply_settings(&mut self, ui: &Ui, snapshot: &Snapshot) {
        let settings = &snapshot.settings;
        let dark = match settings.theme {
            ThemeChoice::Dark => true,
            ThemeChoice::Light => false,
            ThemeChoice::System => ui.ctx().system_theme() != Some(egui::Theme::Light),
        };
        if self.theme.as_ref().is_none_or(|theme| theme.dark != dark) {
            let theme = if dark { Theme::dark() } else { Theme::light() };
            theme.install(ui.ctx());
            self.theme = Some(theme);
        }
        if self.changed_keys.as_ref() != Some(&settings.keys) {
            self.keys = KeyMap::new(&settings.keys);
            self.changed_keys = Some(settings.keys.clone());
        }
        if !std::mem::replace(&mut self.has_view_settings, true) {
            self.view.follow = settings.follow;
            self.view.tall = settings.tall;
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of a second context, because the first one borrows the view"
    )]
    fn show_overlay(
        &mut self,
        ui: &mut Ui,
        whole: Rect,
        theme: &Theme,
        snapshot: &Snapshot,
        keys: &KeyMap,
        commands: &mut Vec<Command>,
        actions: &mut Vec<Action>,
    ) -> Option<LayerId> {
        let name = match self.overlay {
            Overlay::Nothing => return None,
            Overlay::Palette => "Search for an action",
            Overlay::Keys => "Sheet of keys",
            Overlay::Device => "Sheet of the device",
            Overlay::Settings => "Sheet of settings",
        };
        let mut context = PanelContext {
            snapshot,
            theme,
            now: ui.input(|input| input.time),
            waves: None,
            watcher: None,
            questions: None,
            keys,
            view: &mut self.view,
            commands,
            actions,
            frame_requests: &mut self.frame_requests,
        };
        let overlay = self.overlay;
        let width = if overlay == Overlay::Palette { 520.0_f32 } else { 760.0 }.min(whole.width() - 64.0);
        let top = (whole.height() * 0.10).min(72.0);
        // The panels behind the overlay stay in use. A click outside the overlay closes it.
        let mut open = true;
        hide_tooltips_below(ui);
        let area = egui::Area::new(egui::Id::unique(("over", name)))
            .order(egui::Order::Foreground)
            .anchor(egui::Align2::CENTER_TOP, vec2(0.0, top))
            .show(ui, |ui| {
                name_part(ui, Role::Dialog, name, None);
                egui::Frame::popup(ui.style()).inner_margin(16).show(ui, |ui| {
                    ui.set_width(width);
                    ui.set_max_height((whole.height() - top - 48.0).max(120.0));
                    open = match overlay {
                        Overlay::Palette => palette::show(ui, &mut self.palette, &mut context),
                        Overlay::Keys => keys::show(ui, &mut self.keys_sheet, &mut context),
                        Overlay::Device => device::show(ui, &mut self.device, &mut context),
                        Overlay::Settings => settings::show(ui, &mut self.settings, &mut context),
                        Overlay::Nothing => false,
                    };
                });
            });
        let pressed_outside = ui.input(|input| {
            input.pointer.any_pressed()
                && input.pointer.interact_pos().is_some_and(|at| !area.response.rect.contains(at))
        });
        let in_popup = egui::Popup::is_any_open(ui.ctx());
        let in_popup = in_popup || dialog::is_modal(ui.ctx());
        if !open || (pressed_outside && !in_popup && self.overlay_was_shown) {
            self.overlay = Overlay::Nothing;
        }
        self.overlay_was_shown = self.overlay != Overlay::Nothing;
        Some(area.response.layer_id)
    }
}

/// Draws a panel into `rect`. The panel cannot draw outside. Its names: the one of its place in the layout, and the one that
/// screen readers speak.
fn clipped_ui(ui: &mut Ui, (salt, name): (&str, &str), rect: Rect, draw: impl FnOnce(&mut Ui)) {
    let mut child = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(salt));
    child.shrink_clip_rect(rect);
    name_part(&child, Role::Group, name, Some(rect));
    draw(&mut child);
}

/// Hides the tooltips of the panels and cards while a sheet is open: they would lie over it. egui hides those of a layer that
/// has an open popup, so each of these layers gets one that shows nothing.
fn hide_tooltips_below(ui: &Ui) {
    let cards = ui.memory(|memory| memory.layer_ids().collect::<Vec<_>>());
    let cards = cards.into_iter().filter(|layer| layer.order == egui::Order::Middle);
    for layer in cards.chain([ui.layer_id()]) {
        let at = egui::PopupAnchor::Position(ui.max_rect().min);
        let popup = egui::Popup::new(egui::Id::unique(("no tooltips", layer)), ui.ctx().clone(), at, layer);
        popup.open(true).frame(egui::Frame::NONE).width(0.0).interactable(false).show(|_| ());
    }
}

/// The title of the window: the session, so that a user finds the window among others.
pub(super) fn title_of(snapshot: &Snapshot) -> String {
    let name = snapshot.session.name();
    let records = if snapshot.transport.pass.is_some() { "Recording: " } else { "" };
    if name.is_empty() { "Faultless".to_owned() } else { format!("{records}{name} - Faultless") }
}

/// Names the window for screen readers as its title does.
fn name_window(ctx: &egui::Context, snapshot: &Snapshot) {
    ctx.accesskit_node_builder(egui::accesskit_root_id(), |node| node.set_label(title_of(snapshot)));
}

/// The upper edge of the bottom panel, which the user drags. Returns the height of the panel, which was `height`. Esc brings
/// the height before the drag back.
fn drag_upper_edge(ui: &Ui, bottom: Rect, height: f32) -> f32 {
    let rect = Rect::from_min_max(bottom.min - vec2(0.0, 3.0), pos2(bottom.right(), bottom.top() + 4.0));
    let response = ui.interact(rect, egui::Id::unique("grip"), Sense::drag());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Splitter, true, "Height of the lower panel"));
    let response = response.on_hover_and_drag_cursor(egui::CursorIcon::ResizeVertical);
    if let Some(before) = value_before_cancelled_drag(&response, height) {
        return before;
    }
    let shown = bottom.height();
    let heights = f64::from(BOTTOM_HEIGHT_MIN)..=f64::from(ui.ctx().content_rect().height());
    let set = adjusted(ui, &response, f64::from(shown.round()), &heights, f64::from(EDGE_STEP));
    let mut up = set.map_or(0.0, |set| set as f32 - shown);
    if response.has_focus() {
        let arrows = egui::EventFilter { vertical_arrows: true, ..Default::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
        let presses = |key| ui.input(|input| input.num_presses(key) as f32);
        up += (presses(Key::ArrowUp) - presses(Key::ArrowDown)) * EDGE_STEP;
    }
    height + up - response.drag_delta().y
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests {
    use super::*;
    use crate::ui::demo;

    #[test]
    fn the_window_looks_as_it_did_stopped_recording_empty_and_in_trouble() {
        let small = [1024.0, 640.0];
        demo::picture("stopped", small, &demo::stopped(24, 60), |_| {});
        demo::picture("recording", small, &demo::recording(24, 2537), |shell| shell.view.start = 2530.0 * 48_000.0);
        demo::picture("first-start", small, &demo::stopped(2, 0), |_| {});
        let mut trouble = demo::recording(8, 75);
        trouble.device.gone = true;
        trouble.health = crate::app::snapshot::Health {
            severity: crate::control::Severity::Loss,
            head: "Scarlett 18i20 is gone.".to_owned(),
            parts: vec!["8 tracks".to_owned(), "48000 frames lost".to_owned()],
            advice: Some("The recording continues with silence; plug it in again, or stop".to_owned()),
            cure: None,
            safety: Vec::new(),
        };
        let settings = std::sync::Arc::make_mut(&mut trouble.settings);
        settings.theme = ThemeChoice::Light;
        demo::picture("trouble-light", small, &trouble, |_| {});
    }

    #[test]
    fn panels_look_as_they_did() {
        demo::picture("takes", [1024.0, 640.0], &demo::stopped(8, 10), |shell| {
            shell.bottom.open = true;
            shell.bottom.tab = bottom_panel::Tab::Takes;
        });
        demo::picture("events", [1024.0, 640.0], &demo::eventful(8), |shell| {
            shell.bottom.open = true;
            shell.bottom.tab = bottom_panel::Tab::Events;
        });
        demo::picture("residency-events", [1280.0, 640.0], &demo::eventful(8), |shell| shell.bottom.open = true);
        demo::picture("stress-lab", [1024.0, 640.0], &demo::stressed(8), |shell| {
            shell.bottom.open = true;
            shell.bottom.tab = bottom_panel::Tab::Stress;
        });
    }
}
