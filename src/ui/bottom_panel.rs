//! The bottom panel: a row of tabs, and below it the panel of the chosen tab. Thread: ui.

use super::icon::Icon;
use super::panel_context::PanelContext;
use super::panels::{doctor, events, export, stress, takes};
use super::residency;
use super::theme::Theme;
use super::widget::{Button, Look, mark_selected, with_height};
use egui::{Align2, CursorIcon, Popup, Rect, Role, Sense, Ui, UiBuilder, WidgetInfo, pos2, vec2};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    /// State of memory pages around the play and record heads.
    #[default]
    Residency,
    /// Test recordings under load.
    Stress,
    /// Check of the machine.
    Doctor,
    /// Log of events.
    Events,
    /// Grid of tracks and takes.
    Takes,
    /// Export of tracks or of the mix.
    Export,
}

/// The tabs with their names, in the order of the screen.
pub const TABS: [(Tab, &str); 6] = [
    (Tab::Residency, "Residency"),
    (Tab::Stress, "Stress test"),
    (Tab::Doctor, "Doctor"),
    (Tab::Events, "Events"),
    (Tab::Takes, "Takes"),
    (Tab::Export, "Export"),
];

/// Height of the row of tabs, in points.
pub const TABS_HEIGHT: f32 = 34.0;

/// Height that a panel needs at least, in points. In a lower place it scrolls.
const HEIGHT_MIN: f32 = 190.0;

/// State that the panel keeps between pictures.
pub struct BottomPanelState {
    /// Whether a tab's panel is shown. The row of tabs is always shown.
    pub open: bool,
    /// The tab that is shown, or was shown last.
    pub tab: Tab,
    /// Height of the open panel, in points.
    pub height: f32,
    pub residency: residency::ResidencyState,
    takes: takes::TakesState,
    events: events::EventsState,
    doctor: doctor::DoctorState,
    stress: stress::StressState,
    export: export::ExportState,
}

impl Default for BottomPanelState {
    fn default() -> BottomPanelState {
        BottomPanelState {
            open: false,
            tab: Tab::Residency,
            height: 340.0,
            residency: residency::ResidencyState::default(),
            takes: takes::TakesState::default(),
            events: events::EventsState::default(),
            doctor: doctor::DoctorState::default(),
            stress: stress::StressState::default(),
            export: export::ExportState::default(),
        }
    }
}

impl BottomPanelState {
    /// Whether the residency panel is visible. The watcher takes samples only then.
    pub fn shows_residency(&self) -> bool {
        self.open && self.tab == Tab::Residency
    }

    /// Shows a tab. If the tab is shown already, closes the panel.
    pub fn toggle(&mut self, tab: Tab) {
        self.open = !(self.open && self.tab == tab);
        self.tab = tab;
    }
}

/// Draws the tabs that fit into `head`, and a menu with the others. Returns the x of their right edge.
fn tabs(ui: &mut Ui, head: Rect, state: &mut BottomPanelState, context: &PanelContext<'_>) -> f32 {
    const MORE: f32 = 34.0;
    let mut x = head.left() + 10.0;
    let mut hidden = Vec::new();
    // The map has its buttons at the right end.
    let right = head.right() - if state.open && state.tab == Tab::Residency { residency::BUTTONS + 12.0 } else { 8.0 };
    for (at, (tab, name)) in TABS.into_iter().enumerate() {
        let on = state.open && state.tab == tab;
        let galley = ui.painter().layout_no_wrap(name.to_owned(), Theme::medium(12.5), context.theme.text);
        let rect = Rect::from_min_size(pos2(x, head.top() + 5.0), vec2(galley.rect.width() + 24.0, 25.0));
        let more = if at + 1 < TABS.len() { MORE } else { 0.0 };
        if !hidden.is_empty() || right < rect.right() + more {
            hidden.push((tab, name));
            continue;
        }
        x = rect.right() + 2.0;
        let response = ui.interact(rect, ui.scope_id().with(name), Sense::click());
        response.widget_info(|| WidgetInfo::selected(Role::Tab, true, on, name));
        mark_selected(&response, on);
        let fill = if on {
            context.theme.button
        } else if response.hovered() {
            context.theme.line_soft
        } else {
            context.theme.panel
        };
        ui.painter().rect_filled(rect, 6, fill);
        let colour = if on { context.theme.strong } else { context.theme.quiet };
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, name, Theme::medium(12.5), colour);
        if response.on_hover_cursor(CursorIcon::PointingHand).clicked() {
            state.toggle(tab);
        }
    }
    if hidden.is_empty() {
        return x;
    }
    let rect = Rect::from_min_size(pos2(x, head.top() + 5.0), vec2(MORE - 4.0, 25.0));
    let button = Button::icon("More tabs", Icon::Down).look(Look::Quiet).show_in(ui, context.theme, rect);
    Popup::menu(&button).width(140.0).show(|ui| {
        for (tab, name) in hidden {
            if ui.selectable_label(state.open && state.tab == tab, name).clicked() {
                state.toggle(tab);
                ui.close();
            }
        }
    });
    rect.right()
}

/// Draws the row of tabs, and the panel below it.
pub fn show(ui: &mut Ui, state: &mut BottomPanelState, context: &mut PanelContext<'_>) {
    let whole = ui.max_rect();
    ui.painter().rect_filled(whole, 0, context.theme.panel);
    ui.painter().hline(whole.x_range(), whole.top() + 0.5, (1.0, context.theme.line));
    let head = Rect::from_min_size(whole.min, vec2(whole.width(), TABS_HEIGHT));
    let x = tabs(ui, head, state, context);
    if !state.open {
        return;
    }
    if state.tab == Tab::Residency {
        let rest = Rect::from_min_max(pos2(x + 12.0, head.top()), head.max);
        let mut legend = ui.new_child(UiBuilder::new().max_rect(rest).id_salt("legend"));
        residency::legend(&mut legend, &mut state.residency, context);
    }
    ui.painter().hline(whole.x_range(), head.bottom() + 0.5, (1.0, context.theme.line_soft));
    let body = Rect::from_min_max(pos2(whole.left(), head.bottom() + 1.0), whole.max);
    let mut body = ui.new_child(UiBuilder::new().max_rect(body).id_salt("body"));
    body.shrink_clip_rect(body.max_rect());
    let height_min = if state.tab == Tab::Residency { residency::height_min(&state.residency) } else { HEIGHT_MIN };
    with_height(&mut body, "low panel", height_min, |ui| match state.tab {
        Tab::Residency => residency::show(ui, &mut state.residency, context),
        Tab::Stress => stress::show(ui, &mut state.stress, context),
        Tab::Doctor => doctor::show(ui, &mut state.doctor, context),
        Tab::Events => events::show(ui, &mut state.events, context),
        Tab::Takes => takes::show(ui, &mut state.takes, context),
        Tab::Export => export::show(ui, &mut state.export, context),
    });
}
