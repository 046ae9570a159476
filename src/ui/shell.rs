//! The window without its frame: the panels side by side, over a snapshot. Thread: ui.

use super::action::{Action, KeyMap};
use super::panel_context::PanelContext;
use super::panels::{device, keys, palette, settings};
use super::theme::{self, Theme};
use super::view::View;
use super::{bar, bottom_panel, dispatch, health, timeline, tracks};
use crate::app::LiveSources;
use crate::app::command::Command;
use crate::app::settings::ThemeChoice;
use crate::app::snapshot::Snapshot;
use egui::{Rect, Sense, Ui, UiBuilder, pos2, vec2};
use std::collections::BTreeMap;

/// Height of the timeline and the track list that the lower panel leaves at least.
const LANES_LEAST: f32 = 120.0;

/// What stands over the panels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    /// Nothing.
    #[default]
    Nothing,
    /// Find an action.
    Palette,
    /// The sheet of keys.
    Keys,
    /// The device chooser.
    Device,
    /// Settings.
    Settings,
}

/// See the module.
#[derive(Default)]
pub struct Shell {
    /// Its colours.
    pub theme: Option<Theme>,
    keys: KeyMap,
    changed_keys: Option<BTreeMap<String, String>>,
    /// What is shown of the timeline, and selected.
    pub view: View,
    /// What stands over the panels.
    pub overlay: Overlay,
    /// The transport bar.
    pub bar: bar::State,
    /// The track list.
    pub tracks: tracks::State,
    timeline: timeline::State,
    /// The lower panel.
    pub bottom: bottom_panel::State,
    palette: palette::State,
    device: device::State,
    settings: settings::State,
    sheet: keys::State,
    /// What only the frame can do: close, full screen.
    pub frame_requests: Vec<Action>,
    settled: bool,
    shown_before: bool,
}

impl Shell {
    /// Draws everything; returns what was asked of the app.
    pub fn show(&mut self, ui: &mut Ui, snapshot: &Snapshot, live_sources: LiveSources<'_>) -> Vec<Command> {
        self.settle(ui, snapshot);
        let theme = self.theme.clone().unwrap_or_else(Theme::dark);
        let mut commands = Vec::new();
        let mut actions = self.keys.pressed(ui.ctx());
        let keys = self.keys.clone();
        let whole = ui.max_rect();
        let lower_height = if self.bottom.open {
            let most = whole.height() - theme::BAR - theme::HEALTH - theme::RULER - LANES_LEAST;
            self.bottom.height.clamp(120.0, most.max(120.0))
        } else {
            bottom_panel::TABS_HEIGHT
        };
        let bar = Rect::from_min_size(whole.min, vec2(whole.width(), theme::BAR));
        let line = Rect::from_min_size(bar.left_bottom(), vec2(whole.width(), theme::HEALTH));
        let low = Rect::from_min_max(pos2(whole.left(), whole.bottom() - lower_height), whole.max);
        let middle = Rect::from_min_max(line.left_bottom(), low.right_top());
        let split = middle.left() + theme::TRACKS;
        let head = Rect::from_min_max(middle.min, pos2(split, middle.top() + theme::RULER));
        let list = Rect::from_min_max(head.left_bottom(), pos2(split, middle.bottom()));
        let ruler = Rect::from_min_max(pos2(split, middle.top()), pos2(middle.right(), head.bottom()));
        let lanes = Rect::from_min_max(ruler.left_bottom(), middle.max);
        self.view.width = lanes.width();
        let mut context = PanelContext {
            snapshot,
            theme: &theme,
            now: ui.input(|input| input.time),
            waves: live_sources.waves,
            watcher: live_sources.watcher,
            keys: &keys,
            view: &mut self.view,
            commands: &mut commands,
            actions: &mut actions,
        };
        part(ui, "bar", bar, |ui| bar::show(ui, &mut self.bar, bar, &mut context));
        part(ui, "health", line, |ui| health::show(ui, line, &mut context));
        part(ui, "timeline", ruler.union(lanes), |ui| {
            timeline::show(ui, &mut self.timeline, ruler, lanes, &mut context)
        });
        part(ui, "tracks", head.union(list), |ui| tracks::show(ui, &mut self.tracks, head, list, &mut context));
        part(ui, "lower", low, |ui| bottom_panel::show(ui, &mut self.bottom, &mut context));
        if self.bottom.open {
            self.bottom.height -= grip(ui, low);
        }
        self.overlay(ui, whole, &theme, snapshot, &keys, &mut commands, &mut actions);
        for action in actions {
            dispatch::act(self, action, snapshot, &mut commands);
        }
        commands
    }

    /// Whether something in it moves by itself, snapshot or not.
    pub fn moves(&self) -> bool {
        self.bar.moves() || self.tracks.moves()
    }

    /// Takes what the settings say: colours, keys, and the view at the start.
    fn settle(&mut self, ui: &Ui, snapshot: &Snapshot) {
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
        if !std::mem::replace(&mut self.settled, true) {
            self.view.follow = settings.follow;
            self.view.tall = settings.tall;
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a context that is made anew")]
    fn overlay(
        &mut self,
        ui: &mut Ui,
        whole: Rect,
        theme: &Theme,
        snapshot: &Snapshot,
        keys: &KeyMap,
        commands: &mut Vec<Command>,
        actions: &mut Vec<Action>,
    ) {
        if self.overlay == Overlay::Nothing {
            return;
        }
        let mut context = PanelContext {
            snapshot,
            theme,
            now: ui.input(|input| input.time),
            waves: None,
            watcher: None,
            keys,
            view: &mut self.view,
            commands,
            actions,
        };
        let overlay = self.overlay;
        let width = if overlay == Overlay::Palette { 520.0_f32 } else { 760.0 }.min(whole.width() - 32.0);
        // Behind it everything goes on, and a click beside it closes it.
        let mut open = true;
        let area = egui::Area::new(egui::Id::unique("over"))
            .order(egui::Order::Foreground)
            .anchor(egui::Align2::CENTER_TOP, vec2(0.0, (whole.height() * 0.10).min(72.0)))
            .show(ui, |ui| {
                egui::Frame::popup(ui.style()).inner_margin(16).show(ui, |ui| {
                    ui.set_width(width);
                    ui.set_max_height(whole.height() * 0.8);
                    match overlay {
                        Overlay::Palette => open = palette::show(ui, &mut self.palette, &mut context),
                        Overlay::Keys => keys::show(ui, &mut self.sheet, &mut context),
                        Overlay::Device => device::show(ui, &mut self.device, &mut context),
                        Overlay::Settings => settings::show(ui, &mut self.settings, &mut context),
                        Overlay::Nothing => {}
                    }
                });
            });
        let escaped = ui.input(|input| input.key_pressed(egui::Key::Escape));
        let beside = ui.input(|input| {
            input.pointer.any_pressed()
                && input.pointer.interact_pos().is_some_and(|at| !area.response.rect.contains(at))
        });
        let in_popup = egui::Popup::is_any_open(ui.ctx());
        if !open || escaped || (beside && !in_popup && self.shown_before) {
            self.overlay = Overlay::Nothing;
        }
        self.shown_before = self.overlay != Overlay::Nothing;
    }
}

/// A part of the window, clipped to its place.
fn part(ui: &mut Ui, name: &str, rect: Rect, draw: impl FnOnce(&mut Ui)) {
    let mut child = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(name));
    child.shrink_clip_rect(rect);
    draw(&mut child);
}

/// The upper edge of the lower panel, to be dragged; how far it was dragged down.
fn grip(ui: &Ui, low: Rect) -> f32 {
    let rect = Rect::from_min_max(low.min - vec2(0.0, 3.0), pos2(low.right(), low.top() + 4.0));
    let response = ui.interact(rect, egui::Id::unique("grip"), Sense::drag());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Splitter, true, "Height of the lower panel"));
    response.on_hover_and_drag_cursor(egui::CursorIcon::ResizeVertical).drag_delta().y
}

#[cfg(test)]
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
            advice: Some("The timeline counts on; plug it in again, or stop".to_owned()),
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

    #[test]
    fn drawing_the_window_costs_milliseconds_at_most() {
        for (tracks, most_ms) in [(24, 8.0), (64, 12.0)] {
            let ctx = egui::Context::default();
            crate::ui::theme::install_fonts(&ctx);
            let (snapshot, mut shell) = (demo::recording(tracks, 2537), Shell::default());
            shell.bottom.open = true;
            let mut times = Vec::new();
            for frame in 0..120 {
                let input = egui::RawInput {
                    screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), vec2(1440.0, 900.0))),
                    time: Some(f64::from(frame) / 30.0),
                    ..egui::RawInput::default()
                };
                let started = std::time::Instant::now();
                let mut out = ctx.run_ui(input, |ui| {
                    shell.show(ui, &snapshot, LiveSources::default());
                });
                let shapes = std::mem::take(&mut out.shapes);
                let meshes = ctx.tessellate(shapes, out.pixels_per_point);
                times.push(started.elapsed().as_secs_f64() * 1e3);
                std::hint::black_box(meshes);
                out.textures_delta.clear();
            }
            times.sort_by(f64::total_cmp);
            let median = times[times.len() / 2];
            println!("{tracks} tracks: {median:.2} ms a picture, ui and tessellation");
            // Far above what it takes: machines that test are busy.
            assert!(median < most_ms, "{tracks} tracks: {median:.2} ms");
        }
    }
}
