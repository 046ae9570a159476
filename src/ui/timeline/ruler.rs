//! The ruler: ticks, labels that never overlap, and the grid of the lanes. Thread: ui.

use crate::app::settings::TimeFormat;
use crate::time::SampleRate;
use crate::ui::format;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::view::View;
use egui::{Align2, Rect, Ui, pos2};

/// Minimum distance of two labels, in points.
const LABEL_POINTS: f64 = 92.0;

/// Distances of labels in seconds.
const SECONDS: [f64; 28] = [
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0,
    60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0,
];

/// Number of frames between two labels, and number of equal parts into which ticks divide this distance.
fn step(view: &View, rate: SampleRate, format: TimeFormat, tempo: (f32, u32)) -> (f64, u32) {
    let least = LABEL_POINTS * view.frames_per_point;
    let rate = f64::from(rate.0.max(1));
    match format {
        TimeFormat::Clock => {
            let seconds = SECONDS.into_iter().find(|seconds| seconds * rate >= least).unwrap_or(86_400.0);
            (seconds * rate, 5)
        }
        TimeFormat::Samples => {
            let power = 10.0_f64.powf(least.max(1.0).log10().floor());
            let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= least).unwrap_or(10.0);
            ((factor * power).max(1.0), 5)
        }
        TimeFormat::Bars => {
            let beat = rate * 60.0 / f64::from(tempo.0.max(1.0));
            let bar = beat * f64::from(tempo.1.max(1));
            if beat >= least {
                return (beat, 4);
            }
            let bars = (0..30).map(|power| f64::from(1_u32 << power)).find(|bars| bars * bar >= least).unwrap_or(1.0);
            (bars * bar, tempo.1.clamp(2, 8))
        }
    }
}

/// The text of the label at `frame`, with as few digits as `step` allows.
fn label(frame: f64, step: f64, rate: SampleRate, format: TimeFormat, tempo: (f32, u32)) -> String {
    let at = crate::time::FramePos(frame.round().max(0.0) as u64);
    match format {
        TimeFormat::Samples => format::grouped(at.0),
        TimeFormat::Bars => format::bars(at, rate, tempo),
        TimeFormat::Clock => {
            let hertz = f64::from(rate.0.max(1));
            let whole = (frame / hertz + 1e-9).floor();
            let (h, m, s) = (whole as u64 / 3600, whole as u64 / 60 % 60, whole as u64 % 60);
            let mut text = if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") };
            let seconds = step / hertz;
            if seconds < 0.9999 {
                let digits = (-seconds.log10()).ceil().clamp(1.0, 4.0) as usize;
                let fraction = ((frame / hertz - whole).max(0.0) * 10.0_f64.powi(digits as i32)).round() as u64;
                text.push_str(&format!(".{fraction:0digits$}"));
            }
            text
        }
    }
}

/// Positions of the labels in view, in frames.
fn label_frames(view: &View, step: f64) -> impl Iterator<Item = f64> {
    let first = (view.start / step).floor();
    let last = ((view.start + view.frames()) / step).ceil();
    (0..=((last - first) as u32).min(4000)).map(move |n| (first + f64::from(n)) * step)
}

/// Draws the ruler.
pub(super) fn show(ui: &Ui, ruler: Rect, context: &PanelContext<'_>) {
    let (settings, rate) = (&context.snapshot.settings, context.snapshot.transport.rate);
    let (step, ticks) = step(context.view, rate, settings.time, settings.tempo);
    let painter = ui.painter().with_clip_rect(ruler);
    painter.rect_filled(ruler, 0, context.theme.background);
    let x_of = |frame: f64| ruler.left() + ((frame - context.view.start) / context.view.frames_per_point) as f32;
    for frame in label_frames(context.view, step) {
        let x = x_of(frame);
        painter.vline(x, ruler.bottom() - 8.0..=ruler.bottom(), (1.0, context.theme.line));
        let text = label(frame, step, rate, settings.time, settings.tempo);
        let at = pos2(x + 5.0, ruler.top() + 12.5);
        painter.text(at, Align2::LEFT_CENTER, text, Theme::font(11.0), context.theme.quiet);
        for tick in 1..ticks {
            let x = x_of(frame + step * f64::from(tick) / f64::from(ticks));
            painter.vline(x, ruler.bottom() - 4.0..=ruler.bottom(), (1.0, context.theme.line_soft));
        }
    }
}

/// Draws the grid: a line through the lanes below each label.
pub(super) fn grid(ui: &Ui, lanes: Rect, context: &PanelContext<'_>) {
    let (settings, rate) = (&context.snapshot.settings, context.snapshot.transport.rate);
    let (step, _) = step(context.view, rate, settings.time, settings.tempo);
    for frame in label_frames(context.view, step) {
        let x = lanes.left() + ((frame - context.view.start) / context.view.frames_per_point) as f32;
        ui.painter().vline(x, lanes.y_range(), (1.0, context.theme.line_soft));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_overlap_and_never_repeat_at_any_zoom() {
        let rate = SampleRate(48_000);
        for format in [TimeFormat::Clock, TimeFormat::Samples, TimeFormat::Bars] {
            let mut zoom = 1.0 / 32.0;
            while zoom < 4_000_000.0 {
                let view = View { frames_per_point: zoom, start: 123_456.0, ..View::default() };
                let (step, _) = step(&view, rate, format, (120.0, 4));
                assert!(step / zoom >= LABEL_POINTS * 0.99 || step >= 86_400.0 * 48_000.0, "{format:?} at {zoom}");
                let texts: Vec<String> =
                    label_frames(&view, step).map(|frame| label(frame, step, rate, format, (120.0, 4))).collect();
                if format != TimeFormat::Bars && step > 4.8 {
                    let mut once = texts.clone();
                    once.dedup();
                    assert_eq!(once.len(), texts.len(), "{format:?} at {zoom}: {texts:?}");
                }
                zoom *= 1.37;
            }
        }
    }

    #[test]
    fn labels_are_as_short_as_the_step_allows() {
        let rate = SampleRate(48_000);
        let text = |frame, step| label(frame, step, rate, TimeFormat::Clock, (120.0, 4));
        assert_eq!(text(48_000.0 * 61.0, 48_000.0), "1:01");
        assert_eq!(text(48_000.0 * 3661.0, 48_000.0), "1:01:01");
        assert_eq!(text(4_800.0 * 3.0, 4_800.0), "0:00.3");
        assert_eq!(text(48.0 * 7.0, 48.0), "0:00.007");
    }
}
