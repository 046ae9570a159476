//! Meters: decay, peak hold and clip lamp of a level, and one mesh that draws all meters of a panel. Thread: ui.

use crate::app::snapshot::Meter;
use crate::format::FULL_SCALE;
use crate::ui::theme::{Theme, mixed};
use egui::epaint::{Mesh, Vertex, WHITE_UV};
use egui::{Color32, Painter, Pos2, Rect, Shape, pos2};

/// Decay of a peak in decibels per second.
const FALL_DB: f32 = 24.0;

/// Seconds that the peak hold stays.
const HOLD_SECONDS: f64 = 1.5;

/// Height in points below which a meter has no place for a clip lamp above the column.
const LOW: f32 = 14.0;

/// Level at the lower end of a meter, in decibels.
pub const FOOT_DB: f32 = -60.0;

/// The values that one meter shows. They also change between two snapshots, because peaks decay. Full scale is 1.0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ballistics {
    /// Peak with decay.
    pub peak: f32,
    pub rms: f32,
    /// Peak that is held on the meter.
    pub hold: f32,
    /// Time of the held peak, in seconds.
    hold_since: f64,
    /// Clip lamp: a peak reached full scale. Stays on until the user acknowledges it.
    pub clipped: bool,
    /// Time of the last update, in seconds.
    updated: f64,
}

impl Ballistics {
    /// Applies a new level at `now` seconds.
    pub fn update(&mut self, level: Meter, now: f64) {
        let elapsed = (now - self.updated).clamp(0.0, 1.0) as f32;
        self.updated = now;
        let decayed = self.peak * 10.0_f32.powf(-FALL_DB * elapsed / 20.0);
        self.peak = level.peak.max(if decayed < 1e-4 { 0.0 } else { decayed });
        self.rms = if level.rms < 1e-4 { 0.0 } else { level.rms };
        if level.peak >= self.hold || now - self.hold_since > HOLD_SECONDS {
            self.hold = level.peak.max(self.peak);
            self.hold_since = now;
        }
        self.clipped |= FULL_SCALE <= level.peak;
    }

    /// Whether the meter shows nothing, so that it needs no new picture until a level arrives.
    pub fn is_at_rest(&self) -> bool {
        self.peak == 0.0 && self.hold == 0.0 && self.rms == 0.0
    }
}

/// Height of a level in a meter, 0 to 1. Full scale is 1.0 in both.
pub fn height_of(level: f32) -> f32 {
    if level <= 0.0 { 0.0 } else { (1.0 - 20.0 * level.log10() / FOOT_DB).clamp(0.0, 1.0) }
}

/// The mesh of all meters of a panel. One mesh costs much less than a shape for each rectangle.
#[derive(Default)]
pub struct Meters {
    mesh: Mesh,
}

impl Meters {
    /// Adds a rectangle.
    pub fn rect(&mut self, rect: Rect, colour: Color32) {
        self.quad(rect, colour, colour);
    }

    fn quad(&mut self, rect: Rect, top: Color32, bottom: Color32) {
        let first = self.mesh.vertices.len() as u32;
        let vertex = |pos: Pos2, color: Color32| Vertex { pos, uv: WHITE_UV, color };
        self.mesh.vertices.extend([
            vertex(rect.left_top(), top),
            vertex(rect.right_top(), top),
            vertex(rect.left_bottom(), bottom),
            vertex(rect.right_bottom(), bottom),
        ]);
        self.mesh.indices.extend([first, first + 1, first + 2, first + 2, first + 1, first + 3]);
    }

    /// Adds a vertical meter: RMS bright, peak dim, peak hold as a line, clip lamp at the top. The column of a low meter has the
    /// whole height, and the lamp of one that has clipped lies over it. A dead meter, whose device is gone, is an empty frame.
    pub fn upright(&mut self, rect: Rect, of: &Ballistics, is_dead: bool, theme: &Theme) {
        if is_dead {
            self.rect(rect, theme.line);
            self.rect(rect.shrink(1.0), theme.panel);
            return;
        }
        let is_low = rect.height() < LOW;
        let lamp = Rect::from_min_max(rect.min, pos2(rect.right(), rect.top() + if is_low { 1.5 } else { 4.0 }));
        let well = if is_low { rect } else { Rect::from_min_max(pos2(rect.left(), rect.top() + 5.0), rect.max) };
        if !is_low {
            self.rect(lamp, if of.clipped { theme.record } else { theme.well });
        }
        self.rect(well, theme.well);
        let height = |level: f32| well.bottom() - height_of(level) * well.height();
        self.column(well, height(of.peak), 0.45, theme);
        self.column(well, height(of.rms), 1.0, theme);
        if of.hold > 0.002 {
            let y = height(of.hold).max(well.top());
            let hold = if FULL_SCALE <= of.hold { theme.record } else { theme.solo };
            let thick = if is_low { 0.75 } else { 1.5 };
            self.rect(Rect::from_min_max(pos2(well.left(), y), pos2(well.right(), y + thick)), hold);
        }
        if is_low && of.clipped {
            self.rect(lamp, theme.record);
        }
    }

    /// Adds a bar from the lower end to `top`, with the colours of its heights.
    fn column(&mut self, well: Rect, top: f32, strength: f32, theme: &Theme) {
        let [low, middle, high] = theme.meter.map(|colour| mixed(theme.well, colour, strength));
        let at = |part: f32| well.bottom() - part * well.height();
        // -12 dB and -3 dB: green below, yellow between, red above.
        for (from, to, lower, upper) in [(0.0, 0.75, low, low), (0.75, 0.95, low, middle), (0.95, 1.0, high, high)] {
            let (bottom, up) = (at(from), at(to).max(top));
            if up < bottom {
                self.quad(Rect::from_min_max(pos2(well.left(), up), pos2(well.right(), bottom)), upper, lower);
            }
        }
    }

    /// Paints all meters.
    pub fn paint(self, painter: &Painter) {
        if !self.mesh.is_empty() {
            painter.add(Shape::mesh(self.mesh));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_held_falls_and_leaves_the_clip_lamp_on() {
        let mut meter = Ballistics::default();
        meter.update(Meter { peak: 1.0, rms: 0.5 }, 1.0);
        for frame in 1..30 {
            meter.update(Meter::default(), 1.0 + f64::from(frame) / 30.0);
        }
        assert!(meter.clipped && meter.hold == 1.0 && meter.peak < 0.1 && meter.peak > 0.01, "{meter:?}");
        for frame in 30..300 {
            meter.update(Meter::default(), 1.0 + f64::from(frame) / 30.0);
        }
        assert!(meter.clipped && meter.is_at_rest(), "{meter:?}");
    }

    /// The highest positive sample of a 16-bit card is 32767/32768. The lamp stayed dark.
    #[test]
    fn the_highest_sample_of_a_16_bit_and_of_a_24_bit_card_lights_the_clip_lamp_and_a_lower_one_does_not() {
        let is_lit = |peak: f32| {
            let mut meter = Ballistics::default();
            meter.update(Meter { peak, rms: 0.5 }, 1.0);
            meter.clipped
        };
        assert!(is_lit(32_767.0 / 32_768.0) && is_lit(8_388_607.0 / 8_388_608.0) && is_lit(1.0));
        assert!(!is_lit(32_766.0 / 32_768.0));
    }

    /// In the overview of 64 tracks a meter has 8 points. Of these the lamp took 5, and the hold line covered the rest.
    #[test]
    fn the_column_of_a_low_meter_has_the_whole_height_and_the_hold_line_is_thin() {
        let theme = Theme::dark();
        let (rect, level) = (Rect::from_min_max(pos2(0.0, 0.0), pos2(12.0, 8.0)), height_of(0.25));
        let of = Ballistics { peak: 0.5, rms: 0.25, hold: 0.5, ..Ballistics::default() };
        let heights = |of: &Ballistics, colour: Color32| -> f32 {
            let mut meters = Meters::default();
            meters.upright(rect, of, false, &theme);
            let quads =
                meters.mesh.vertices.chunks(4).filter(|quad| quad[0].color == colour || quad[2].color == colour);
            quads.map(|quad| quad[2].pos.y - quad[0].pos.y).sum()
        };
        let bright = heights(&of, theme.meter[0]);
        assert!((bright - level * 8.0).abs() < 0.1, "{bright} of {}", level * 8.0);
        assert!(heights(&of, theme.solo) < 1.0, "the hold line");
        assert_eq!(heights(&of, theme.record), 0.0);
        assert_eq!(heights(&Ballistics { clipped: true, ..of }, theme.record), 1.5, "the lamp of a clip");
    }

    #[test]
    fn full_scale_is_the_top_and_silence_the_lower_end() {
        assert!(height_of(1.0) == 1.0 && height_of(0.0) == 0.0 && height_of(0.0009) == 0.0);
        assert!((height_of(0.5) - 0.8997).abs() < 0.001);
    }
}
