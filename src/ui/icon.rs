//! Icons. They are drawn as shapes, so that they are sharp at every size and need no font. Thread: ui.

use egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, pos2, vec2};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    /// A filled disc.
    Record,
    /// A filled square.
    Stop,
    /// A triangle to the right.
    Play,
    /// A bar and a triangle to the left.
    ToStart,
    /// A triangle to the right and a bar.
    ToEnd,
    /// Two arrows in a ring.
    Loop,
    /// In and out brackets around a disc.
    Punch,
    /// Three sliders with knobs.
    Settings,
    /// A plus sign.
    Plus,
    /// A diagonal cross.
    Close,
    /// An arrow head down.
    Down,
    /// A slanted pencil outline.
    Pencil,
    /// Three horizontal lines.
    Menu,
    /// A closed folder.
    Folder,
    /// A small flag.
    Marker,
    /// Two arrows sideways.
    Follow,
    /// A frame in two rows.
    Rows,
    /// A snowflake of three lines.
    Freeze,
    /// An arrow into a tray.
    Save,
}

impl Icon {
    /// Paints it into the square of side `size` around `centre`.
    pub fn paint(self, painter: &Painter, centre: Pos2, size: f32, colour: Color32) {
        let r = size / 2.0;
        let at = |x: f32, y: f32| pos2(centre.x + x * r, centre.y + y * r);
        let stroke = Stroke::new((size / 9.0).max(1.2), colour);
        let line = |points: &[(f32, f32)]| {
            painter.add(Shape::line(points.iter().map(|(x, y)| at(*x, *y)).collect(), stroke));
        };
        let filled = |points: &[(f32, f32)]| {
            painter.add(Shape::convex_polygon(points.iter().map(|(x, y)| at(*x, *y)).collect(), colour, Stroke::NONE));
        };
        let bar = |x0: f32, y0: f32, x1: f32, y1: f32| {
            painter.rect_filled(Rect::from_two_pos(at(x0, y0), at(x1, y1)), 1.0, colour);
        };
        match self {
            Icon::Record => {
                painter.circle_filled(centre, r * 0.86, colour);
            }
            Icon::Stop => bar(-0.72, -0.72, 0.72, 0.72),
            Icon::Play => filled(&[(-0.55, -0.85), (0.85, 0.0), (-0.55, 0.85)]),
            Icon::ToStart => {
                bar(-0.8, -0.8, -0.5, 0.8);
                filled(&[(0.8, -0.8), (0.8, 0.8), (-0.4, 0.0)]);
            }
            Icon::ToEnd => {
                bar(0.5, -0.8, 0.8, 0.8);
                filled(&[(-0.8, -0.8), (0.4, 0.0), (-0.8, 0.8)]);
            }
            Icon::Loop => {
                line(&[(-0.85, 0.1), (-0.85, -0.45), (0.55, -0.45)]);
                filled(&[(0.4, -0.85), (0.95, -0.45), (0.4, -0.05)]);
                line(&[(0.85, -0.1), (0.85, 0.45), (-0.55, 0.45)]);
                filled(&[(-0.4, 0.05), (-0.4, 0.85), (-0.95, 0.45)]);
            }
            Icon::Punch => {
                line(&[(-0.55, -0.85), (-0.9, -0.85), (-0.9, 0.85), (-0.55, 0.85)]);
                line(&[(0.55, -0.85), (0.9, -0.85), (0.9, 0.85), (0.55, 0.85)]);
                painter.circle_filled(centre, r * 0.4, colour);
            }
            Icon::Settings => paint_sliders(&line, painter, &at, r, colour),
            Icon::Plus => {
                line(&[(-0.75, 0.0), (0.75, 0.0)]);
                line(&[(0.0, -0.75), (0.0, 0.75)]);
            }
            Icon::Close => {
                line(&[(-0.6, -0.6), (0.6, 0.6)]);
                line(&[(0.6, -0.6), (-0.6, 0.6)]);
            }
            Icon::Down => line(&[(-0.6, -0.3), (0.0, 0.35), (0.6, -0.3)]),
            Icon::Pencil => {
                line(&[(-0.7, 0.75), (-0.55, 0.2), (0.4, -0.75), (0.75, -0.4), (-0.2, 0.55), (-0.7, 0.75)]);
            }
            Icon::Menu => {
                for y in [-0.6, 0.0, 0.6] {
                    line(&[(-0.8, y), (0.8, y)]);
                }
            }
            Icon::Folder => {
                line(&[(-0.9, -0.6), (-0.25, -0.6), (0.0, -0.3), (0.9, -0.3), (0.9, 0.7), (-0.9, 0.7), (-0.9, -0.65)]);
            }
            Icon::Marker => {
                line(&[(-0.5, 0.9), (-0.5, -0.8)]);
                filled(&[(-0.5, -0.85), (0.75, -0.4), (-0.5, 0.1)]);
            }
            Icon::Follow => {
                line(&[(-0.9, 0.0), (0.5, 0.0)]);
                line(&[(0.1, -0.45), (0.55, 0.0), (0.1, 0.45)]);
                line(&[(0.9, -0.8), (0.9, 0.8)]);
            }
            Icon::Rows => {
                painter.rect_stroke(
                    Rect::from_center_size(centre, vec2(r * 1.7, r * 1.5)),
                    2.0,
                    stroke,
                    egui::StrokeKind::Middle,
                );
                line(&[(-0.8, 0.0), (0.8, 0.0)]);
            }
            Icon::Freeze => {
                for (x, y) in [(0.0_f32, 1.0_f32), (0.866, 0.5), (0.866, -0.5)] {
                    line(&[(-x * 0.9, -y * 0.9), (x * 0.9, y * 0.9)]);
                }
            }
            Icon::Save => {
                line(&[(0.0, -0.9), (0.0, 0.25)]);
                line(&[(-0.4, -0.1), (0.0, 0.3), (0.4, -0.1)]);
                line(&[(-0.85, 0.3), (-0.85, 0.8), (0.85, 0.8), (0.85, 0.3)]);
            }
        }
    }
}

/// Draws a line through points of the unit square.
type Line<'a> = dyn Fn(&[(f32, f32)]) + 'a;

/// Three faders: what can be set.
fn paint_sliders(line: &Line<'_>, painter: &Painter, at: &dyn Fn(f32, f32) -> Pos2, r: f32, colour: Color32) {
    for (y, knob) in [(-0.6, 0.35), (0.0, -0.35), (0.6, 0.15)] {
        line(&[(-0.9, y), (0.9, y)]);
        painter.circle_filled(at(knob, y), r * 0.26, colour);
    }
}
