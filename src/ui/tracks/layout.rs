//! The layout of a track row. Pure. Thread: ui.

use egui::{Rect, pos2, vec2};

/// Rectangles of the controls of one row.
pub(super) struct Row {
    /// The strip in the track's colour.
    pub(super) strip: Rect,
    /// The track number. A user selects and drags the track with it.
    pub(super) number: Rect,
    pub(super) name: Rect,
    pub(super) input: Rect,
    /// Input monitoring mode.
    pub(super) monitor: Rect,
    pub(super) arm: Rect,
    pub(super) mute: Rect,
    pub(super) solo: Rect,
    pub(super) gain: Rect,
    pub(super) pan: Rect,
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
    let inset = if tall { 5.0 } else { 3.0 };
    let meter =
        Rect::from_min_max(pos2(right - 20.0, rect.top() + inset), pos2(right - 8.0, rect.bottom() - inset - 1.0));
    let pan = centred(right - 58.0, 30.0, if tall { 28.0 } else { 18.0 });
    let gain = centred(right - 116.0, 50.0, if tall { 29.0 } else { 18.0 });
    let button = if tall { 20.0 } else { 17.0 };
    let [arm, mute, solo] = [200.0, 175.0, 150.0].map(|from| centred(right - from, 21.0, button));
    let left = number.right() + 5.0;
    let edge = arm.left() - 8.0;
    if tall {
        let line = |top: f32, height: f32, from: f32, to: f32| {
            Rect::from_min_max(pos2(from, rect.top() + top), pos2(to, rect.top() + top + height))
        };
        let split = left + 48.0;
        let (name, input, monitor) =
            (line(4.0, 17.0, left, edge), line(22.0, 14.0, left, split), line(22.0, 14.0, split + 2.0, edge));
        return Row { strip, number, name, input, monitor, arm, mute, solo, gain, pan, meter };
    }
    let monitor = centred(edge - 26.0, 26.0, 16.0);
    let input = centred(monitor.left() - 32.0, 30.0, 16.0);
    let name = Rect::from_min_max(pos2(left, middle - 8.0), pos2(input.left() - 4.0, middle + 8.0));
    Row { strip, number, name, input, monitor, arm, mute, solo, gain, pan, meter }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_parts_of_a_row_overlap_at_any_width() {
        for width in [344.0, 400.0, 480.0] {
            for (tall, height) in [(true, 41.0), (false, 25.0)] {
                let rect = Rect::from_min_size(pos2(10.0, 20.0), vec2(width, height));
                let row = row(rect, tall);
                let parts = [
                    row.strip,
                    row.number,
                    row.name,
                    row.input,
                    row.monitor,
                    row.arm,
                    row.mute,
                    row.solo,
                    row.gain,
                    row.pan,
                    row.meter,
                ];
                for (at, part) in parts.iter().enumerate() {
                    assert!(part.is_positive() && rect.contains_rect(*part), "{at} at {width}: {part:?}");
                    for other in &parts[at + 1..] {
                        let both = part.intersect(*other);
                        assert!(
                            both.width() <= 0.01 || both.height() <= 0.01,
                            "{at} at {width}: {part:?} and {other:?}"
                        );
                    }
                }
            }
        }
    }
}
