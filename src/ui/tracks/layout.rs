//! The layout of a track row. Pure. Thread: ui.

use crate::ui::theme::{ROW_TALL, TRACKS};
use egui::{Rect, pos2, vec2};

/// Height in points below which a row shows only number, name, arm switch and meter.
pub(super) const SMALL: f32 = 17.0;

/// Rectangles of the controls of one row. `None`: there is no place for it; the menu of the track has it.
pub(super) struct Row {
    /// The strip in the track's colour.
    pub(super) strip: Rect,
    /// The track number. A user selects and drags the track with it.
    pub(super) number: Rect,
    pub(super) name: Rect,
    pub(super) input: Option<Rect>,
    /// Input monitoring mode.
    pub(super) monitor: Option<Rect>,
    pub(super) arm: Rect,
    pub(super) mute: Option<Rect>,
    pub(super) solo: Option<Rect>,
    pub(super) gain: Option<Rect>,
    pub(super) pan: Option<Rect>,
    pub(super) meter: Rect,
}

/// Lays out a row in `rect`. Controls of fixed size are at the right. The name gets the remaining width.
pub(super) fn row(rect: Rect, tall: bool) -> Row {
    let middle = rect.center().y;
    let centred =
        |x: f32, width: f32, height: f32| Rect::from_min_size(pos2(x, middle - height / 2.0), vec2(width, height));
    let strip = Rect::from_min_size(rect.min, vec2(4.0, rect.height() - 1.0));
    let number = Rect::from_min_max(pos2(rect.left() + 4.0, rect.top()), pos2(rect.left() + 34.0, rect.bottom() - 1.0));
    let right = rect.right();
    let inset = (rect.height() / 8.0).clamp(1.0, 5.0).floor();
    let meter =
        Rect::from_min_max(pos2(right - 20.0, rect.top() + inset), pos2(right - 8.0, rect.bottom() - inset - 1.0));
    let is_small = rect.height() < SMALL;
    // A narrow list has no faders.
    let has_faders = TRACKS <= rect.width() + 1.0 && !is_small;
    let pan = has_faders.then(|| centred(right - 58.0, 30.0, if tall { 28.0 } else { 18.0 }));
    let gain = has_faders.then(|| centred(right - 116.0, 50.0, if tall { 29.0 } else { 18.0 }));
    let button = if tall { 20.0_f32 } else { 17.0 }.min(rect.height() - 2.0);
    let shift = if has_faders { 0.0 } else { 96.0 };
    let [arm, mute, solo] = [200.0, 175.0, 150.0].map(|from| centred(right - from + shift, 21.0, button));
    let left = number.right() + 5.0;
    if is_small {
        let arm = centred(right - 46.0, 21.0, button);
        let name = Rect::from_min_max(pos2(left, rect.top()), pos2(arm.left() - 8.0, rect.bottom() - 1.0));
        let (input, monitor, mute, solo) = (None, None, None, None);
        return Row { strip, number, name, input, monitor, arm, mute, solo, gain, pan, meter };
    }
    let (mute, solo) = (Some(mute), Some(solo));
    let edge = arm.left() - 8.0;
    if tall {
        let top = middle - ROW_TALL / 2.0;
        let line = |below: f32, height: f32, from: f32, to: f32| {
            Rect::from_min_max(pos2(from, top + below), pos2(to, top + below + height))
        };
        let split = left + 48.0;
        let (name, input) = (line(4.0, 17.0, left, edge), Some(line(22.0, 14.0, left, split.min(edge))));
        let monitor = (split + 24.0 < edge).then(|| line(22.0, 14.0, split + 2.0, edge));
        return Row { strip, number, name, input, monitor, arm, mute, solo, gain, pan, meter };
    }
    let (monitor, input) = if has_faders {
        let monitor = centred(edge - 26.0, 26.0, 16.0);
        (Some(monitor), Some(centred(monitor.left() - 32.0, 30.0, 16.0)))
    } else {
        (None, None)
    };
    let end = input.map_or(edge, |input| input.left() - 4.0);
    let name = Rect::from_min_max(pos2(left, middle - 8.0), pos2(end, middle + 8.0));
    Row { strip, number, name, input, monitor, arm, mute, solo, gain, pan, meter }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_parts_of_a_row_overlap_at_any_width_and_height() {
        for width in [205.0, 232.0, 344.0, 400.0, 480.0] {
            for (tall, height) in
                [(true, 41.0), (true, 92.0), (true, 120.0), (false, 25.0), (false, 11.0), (false, 7.0)]
            {
                let rect = Rect::from_min_size(pos2(10.0, 20.0), vec2(width, height));
                let row = row(rect, tall);
                let mut parts = vec![row.strip, row.number, row.name, row.arm, row.meter];
                parts.extend([row.input, row.monitor, row.mute, row.solo, row.gain, row.pan].into_iter().flatten());
                for (at, part) in parts.iter().enumerate() {
                    assert!(part.is_positive() && rect.contains_rect(*part), "{at} at {width} x {height}: {part:?}");
                    for other in &parts[at + 1..] {
                        let both = part.intersect(*other);
                        assert!(
                            both.width() <= 0.01 || both.height() <= 0.01,
                            "{at} at {width} x {height}: {part:?} and {other:?}"
                        );
                    }
                }
            }
        }
    }
}
