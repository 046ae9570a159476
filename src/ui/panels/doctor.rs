//! The doctor panel: findings about the machine, with fixes that can be copied. Thread: ui.

use crate::app::command::Command;
use crate::control::Severity;
use crate::diagnostics::doctor::{Finding, Verdict};
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::{Button, label, sign};
use egui::{Frame, Margin, RichText, ScrollArea, Ui};

/// Width in points below which the topic of a finding is above it, not at its left.
const NARROW: f32 = 520.0;

/// State that the panel keeps between pictures.
#[derive(Default)]
pub struct DoctorState {
    /// Topic of the finding whose fix was copied last.
    copied: Option<String>,
}

/// Draws the panel into the rest of `ui`.
pub fn show(ui: &mut Ui, state: &mut DoctorState, context: &mut PanelContext<'_>) {
    let theme = context.theme;
    Frame::NONE.inner_margin(Margin::symmetric(16, 10)).show(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            let looks = context.snapshot.doctor == Some(None);
            let text = match &context.snapshot.doctor {
                None => "What recording here will be like: scheduling, memory, disk, card. Takes a second or two."
                    .to_owned(),
                Some(None) => "Looking\u{2026}".to_owned(),
                Some(Some(findings)) => summary(findings),
            };
            let button = if context.snapshot.doctor.is_none() { "Examine" } else { "Examine again" };
            if Button::text(button, button).size(80.0, 28.0).enabled(!looks).show(ui, theme).clicked() {
                context.send(Command::Doctor);
            }
            ui.label(RichText::new(text).color(theme.quiet));
        });
        let Some(Some(findings)) = context.snapshot.doctor.clone() else { return };
        ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
            let mut sorted: Vec<&Finding> = findings.iter().collect();
            sorted.sort_by_key(|finding| match finding.verdict {
                Verdict::Poor => 0,
                Verdict::Fair => 1,
                Verdict::Good => 2,
            });
            for finding in sorted {
                line(ui, state, finding, context);
            }
        });
    });
}

fn summary(findings: &[Finding]) -> String {
    let count = |verdict: Verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    match (count(Verdict::Poor), count(Verdict::Fair)) {
        (0, 0) => "Everything is as it should be.".to_owned(),
        (0, fair) => format!("Recording works. {fair} of {} could be better.", findings.len()),
        (poor, _) => format!("{poor} of {} will make trouble.", findings.len()),
    }
}

fn line(ui: &mut Ui, state: &mut DoctorState, finding: &Finding, context: &PanelContext<'_>) {
    let theme = context.theme;
    let is_narrow = ui.available_width() < NARROW;
    ui.horizontal_top(|ui| {
        let level = match finding.verdict {
            Verdict::Good => Severity::Info,
            Verdict::Fair => Severity::Caution,
            Verdict::Poor => Severity::Loss,
        };
        sign(ui, level, theme);
        if !is_narrow {
            label(ui, &finding.topic, 150.0, theme.text);
        }
        ui.vertical(|ui| {
            if is_narrow {
                label(ui, &finding.topic, ui.available_width(), theme.text);
            }
            ui.label(RichText::new(&finding.measured).font(Theme::mono(11.5)).color(theme.strong));
            ui.label(RichText::new(&finding.sentence).color(theme.quiet));
            if let Some(fix) = &finding.fix {
                ui.horizontal_wrapped(|ui| {
                    let copied = state.copied.as_deref() == Some(&*finding.topic);
                    let name = format!("Copy fix for {}", finding.topic);
                    let text = if copied { "Copied" } else { "Copy" };
                    if Button::text(&name, text).size(52.0, 22.0).show(ui, theme).clicked() {
                        ui.copy_text(fix.clone());
                        state.copied = Some(finding.topic.to_string());
                    }
                    ui.label(RichText::new(fix).font(Theme::mono(11.0)).color(theme.accent));
                });
            }
        });
    });
    ui.add_space(4.0);
}
