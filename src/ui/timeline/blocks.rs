//! The blocks of the regions: one mesh for all lanes. It is made again only when something that it shows has changed.
//! Thread: ui.
//!
//! Every edge is at a pixel. So a block needs few vertices: 4 if it is narrow, 8 with cut corners, 16 with round ones. A
//! rectangle of egui needs 40.

use super::lanes::{block_rect, lane_rect, rows_in_view};
use super::pointer::Preview;
use super::runs::{Run, runs};
use crate::session::{RegionId, Track};
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::{Theme, mixed};
use egui::epaint::Vertex;
use egui::{Align2, Color32, Mesh, Pos2, Rect, Shape, Stroke, StrokeKind, Ui, pos2, vec2};
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// Width in points from which a block has round corners.
const ROUND_MIN: f32 = 24.0;

/// Radius of a round corner in points. egui draws this radius where it is asked for 3.
const RADIUS: f32 = 3.4;

/// Width in points from which a block has cut corners, one pixel less each.
const CUT_MIN: f32 = 8.0;

/// Legs of the triangle that a cut corner leaves out, in pixels. It contains the middle of one pixel.
const CUT: f32 = 1.2;

/// Width in points from which the word "muted" fits into a block.
const MUTED_MIN: f32 = 34.0;

/// Strength of the track's colour in the left edge of a block.
const EDGE_STRENGTH: f32 = 0.5;

/// Everything that the blocks depend on.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    session: Uuid,
    revision: u64,
    start: f64,
    frames_per_point: f64,
    lanes: Rect,
    scroll: f32,
    row: f32,
    pixel: f32,
    dark: bool,
    selected: BTreeSet<RegionId>,
    /// The region that is being dragged.
    preview: Option<Preview>,
}

/// The blocks of the last picture.
#[derive(Default)]
pub(super) struct Blocks {
    key: Option<Key>,
    all: Layer,
    /// The block of the region that is being dragged, which lies above everything.
    dragged: Layer,
}

impl Blocks {
    /// Makes the blocks again if something has changed. `preview` is the region that is being dragged, as it would be.
    pub(super) fn update(&mut self, ui: &Ui, lanes: Rect, preview: Option<Preview>, context: &PanelContext<'_>) {
        let key = Key {
            session: context.snapshot.session.id,
            revision: context.snapshot.revision,
            start: context.view.start,
            frames_per_point: context.view.frames_per_point,
            lanes,
            scroll: context.view.scroll,
            row: context.view.row_height(),
            pixel: 1.0 / ui.pixels_per_point(),
            dark: context.theme.dark,
            selected: context.view.selected_regions.clone(),
            preview,
        };
        if self.key.as_ref() == Some(&key) {
            return;
        }
        self.all.clear();
        self.dragged.clear();
        let session = &context.snapshot.session;
        let is_any_soloed = session.is_any_soloed();
        for row in rows_in_view(lanes, context) {
            let Some(track) = session.tracks().get(row) else { continue };
            let lane = lane_rect(lanes, row, context);
            self.add_track(track, (lanes, lane), track.is_silent(is_any_soloed), &key, context);
        }
        self.key = Some(key);
    }

    fn add_track(
        &mut self,
        track: &Track,
        (lanes, lane): (Rect, Rect),
        is_silent: bool,
        key: &Key,
        context: &PanelContext<'_>,
    ) {
        let own = context.theme.track(track.colour);
        let colours = [is_silent, true].map(|is_silent| {
            let fill = fill_colour(context.theme.background, own, is_silent);
            (fill, mixed(fill, own, EDGE_STRENGTH))
        });
        runs(track, context.view, key.pixel, &mut |run| {
            let colours = colours[usize::from(run.muted)];
            match (run.only, key.preview) {
                (Some(region), Some(preview)) if region.id == preview.region => {
                    let from = context.view.x_of(preview.start).max(-4.0);
                    let to = context.view.x_of(preview.end).min(lanes.width() + 4.0).max(from + 1.0);
                    self.dragged.add(&run, block_rect(lanes, lane, from, to), colours, key.pixel);
                }
                _ => self.all.add(&run, block_rect(lanes, lane, run.from, run.to), colours, key.pixel),
            }
        });
    }

    /// Draws all blocks but the one that is being dragged.
    pub(super) fn draw(&self, ui: &Ui, theme: &Theme) {
        self.all.draw(ui, theme);
    }

    /// Draws the block that is being dragged.
    pub(super) fn draw_dragged(&self, ui: &Ui, theme: &Theme) {
        self.dragged.draw(ui, theme);
    }
}

/// The colour of a block on `base`, in a track with the colour `own`.
pub(super) fn fill_colour(base: Color32, own: Color32, is_silent: bool) -> Color32 {
    mixed(base, own, if is_silent { 0.06 } else { 0.15 })
}

/// The rectangle with its edges at pixels, at least one pixel wide.
pub(super) fn at_pixels(rect: Rect, pixel: f32) -> Rect {
    let snap = |x: f32| (x / pixel).round() * pixel;
    let (min, max) = (pos2(snap(rect.left()), snap(rect.top())), pos2(snap(rect.right()), snap(rect.bottom())));
    Rect::from_min_max(min, pos2(max.x.max(min.x + pixel), max.y))
}

/// Blocks that are drawn together: their areas, then their texts, then the frames of the selected ones.
#[derive(Default)]
struct Layer {
    mesh: Arc<Mesh>,
    selected: Vec<Rect>,
    /// The places of the words "muted".
    muted: Vec<Pos2>,
}

impl Layer {
    fn clear(&mut self) {
        match Arc::get_mut(&mut self.mesh) {
            Some(mesh) => mesh.clear(),
            None => self.mesh = Arc::default(),
        }
        self.selected.clear();
        self.muted.clear();
    }

    fn add(&mut self, run: &Run<'_>, rect: Rect, (fill, edge): (Color32, Color32), pixel: f32) {
        let block = at_pixels(rect, pixel);
        let mesh = Arc::make_mut(&mut self.mesh);
        if ROUND_MIN <= rect.width() {
            add_round(mesh, block, pixel, fill);
            // Without its left edge, the seam of two regions side by side could not be seen.
            let edge_rect =
                Rect::from_min_max(block.min + vec2(0.0, 2.0), pos2(block.min.x + pixel, block.max.y - 2.0));
            add_plain(mesh, edge_rect, edge);
        } else if CUT_MIN <= rect.width() {
            add_cut(mesh, block, pixel, fill);
        } else {
            // A pixel stays free between two blocks side by side.
            let free = if 2.5 * pixel < block.width() { pixel } else { 0.0 };
            add_plain(mesh, Rect::from_min_max(block.min, block.max - vec2(free, 0.0)), fill);
        }
        if run.selected {
            self.selected.push(rect);
        }
        if run.muted && MUTED_MIN <= rect.width() {
            self.muted.push(rect.left_top() + vec2(5.0, 8.0));
        }
    }

    fn draw(&self, ui: &Ui, theme: &Theme) {
        if !self.mesh.is_empty() {
            ui.painter().add(Shape::Mesh(Arc::clone(&self.mesh)));
        }
        if !self.muted.is_empty() {
            let word = ui.painter().layout_no_wrap("muted".to_owned(), Theme::font(9.5), theme.quiet);
            for at in &self.muted {
                let rect = Align2::LEFT_CENTER.anchor_size(*at, word.size());
                ui.painter().galley(rect.min, Arc::clone(&word), theme.quiet);
            }
        }
        for rect in &self.selected {
            ui.painter().rect_stroke(*rect, 3, Stroke::new(1.5, theme.accent), StrokeKind::Inside);
        }
    }
}

/// Adds a rectangle.
pub(super) fn add_plain(mesh: &mut Mesh, rect: Rect, colour: Color32) {
    let corners = [rect.left_top(), rect.right_top(), rect.right_bottom(), rect.left_bottom()];
    add_polygon(mesh, corners.map(|at| Vertex::untextured(at, colour)));
}

/// Adds a rectangle that lacks the pixels at its corners.
fn add_cut(mesh: &mut Mesh, rect: Rect, pixel: f32, colour: Color32) {
    let cut = (CUT * pixel).min(rect.height() / 2.0);
    let (left, right, top, bottom) = (rect.left(), rect.right(), rect.top(), rect.bottom());
    let corners = [
        pos2(left, top + cut),
        pos2(left + cut, top),
        pos2(right - cut, top),
        pos2(right, top + cut),
        pos2(right, bottom - cut),
        pos2(right - cut, bottom),
        pos2(left + cut, bottom),
        pos2(left, bottom - cut),
    ];
    add_polygon(mesh, corners.map(|at| Vertex::untextured(at, colour)));
}

/// Adds a rectangle with round corners, whose arcs fade out over a pixel.
fn add_round(mesh: &mut Mesh, rect: Rect, pixel: f32, colour: Color32) {
    let radius = RADIUS.min(rect.height() / 2.0);
    // The distance of the middle of the arc from both sides of the corner, and its limits inwards and outwards.
    let arc = radius * (1.0 - std::f32::consts::FRAC_1_SQRT_2);
    let inner = (arc + 0.33 * pixel).min(0.45 * radius);
    let outer = (arc - 0.37 * pixel).max(0.0);
    let (right, down) = (vec2(1.0, 0.0), vec2(0.0, 1.0));
    // Each corner with the directions to the ends of its arc, clockwise.
    let corners = [
        (rect.left_top(), down, right),
        (rect.right_top(), -right, down),
        (rect.right_bottom(), -down, -right),
        (rect.left_bottom(), right, -down),
    ];
    let first = mesh.vertices.len() as u32;
    let mut body = [Vertex::untextured(Pos2::ZERO, colour); 12];
    for (at, (corner, before, behind)) in corners.into_iter().enumerate() {
        body[3 * at].pos = corner + before * radius;
        body[3 * at + 1].pos = corner + (before + behind) * inner;
        body[3 * at + 2].pos = corner + behind * radius;
    }
    add_polygon(mesh, body);
    let faded = |(corner, before, behind)| Vertex::untextured(corner + (before + behind) * outer, Color32::TRANSPARENT);
    mesh.vertices.extend(corners.map(faded));
    for corner in 0..4 {
        let (begin, out) = (first + 3 * corner, first + 12 + corner);
        mesh.indices.extend([begin, out, begin + 1, begin + 1, out, begin + 2]);
    }
}

/// Adds a convex polygon.
fn add_polygon<const N: usize>(mesh: &mut Mesh, corners: [Vertex; N]) {
    let first = mesh.vertices.len() as u32;
    mesh.vertices.extend(corners);
    for at in 2..N as u32 {
        mesh.indices.extend([first, first + at - 1, first + at]);
    }
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests {
    use super::*;
    use crate::session::Session;
    use crate::time::FramePos;
    use crate::ui::demo;

    fn run(from: f32, to: f32) -> Run<'static> {
        Run { only: None, from, to, muted: false, selected: false }
    }

    /// The pixels of a block that have its colour at least half, as rows of text.
    fn pixels(width: f32, height: f32) -> Vec<String> {
        let mut layer = Layer::default();
        let rect = Rect::from_min_size(Pos2::ZERO, vec2(width, height));
        layer.add(&run(0.0, width), rect, (Color32::WHITE, Color32::WHITE), 1.0);
        let corner = |index: u32| layer.mesh.vertices[index as usize];
        let covers = |at: Pos2| {
            layer.mesh.indices.chunks(3).any(|triangle| {
                let [a, b, c] = [triangle[0], triangle[1], triangle[2]].map(corner);
                let side = |from: Vertex, to: Vertex| {
                    let (way, to) = (to.pos - from.pos, at - from.pos);
                    way.x * to.y - way.y * to.x
                };
                let (to_a, to_b, to_c) = (side(b, c), side(c, a), side(a, b));
                let whole = to_a + to_b + to_c;
                let shares = [to_a, to_b, to_c].map(|share| share / whole);
                let alpha =
                    shares.iter().zip([a, b, c]).map(|(share, of)| share * f32::from(of.color.a())).sum::<f32>();
                shares.iter().all(|share| 0.0 <= *share) && 127.0 <= alpha
            })
        };
        let row = |y: u32| {
            let dot = |x: u32| if covers(pos2(x as f32 + 0.49, y as f32 + 0.51)) { '#' } else { '.' };
            (0..width as u32).map(dot).collect()
        };
        (0..height as u32).map(row).collect()
    }

    #[test]
    fn blocks_fill_their_pixels_and_have_corners_as_their_width_allows() {
        assert_eq!(pixels(6.0, 3.0), ["#####.", "#####.", "#####."]);
        assert_eq!(pixels(8.0, 4.0), [".######.", "########", "########", ".######."]);
        let (first, second) = (format!("..{}..", "#".repeat(20)), format!(".{}.", "#".repeat(22)));
        let round = pixels(24.0, 12.0);
        assert_eq!((&round[0], &round[1], &round[10], &round[11]), (&first, &second, &second, &first));
        assert!(round[2..10].iter().all(|row| *row == "#".repeat(24)), "{round:#?}");
        // The lowest rows of the track list have blocks of three pixels.
        assert!(pixels(30.0, 3.0).iter().all(|row| row.contains("############")));
    }

    /// The seam of two regions side by side had the colour of both, except for two pixels at the corners.
    #[test]
    fn a_region_that_is_split_shows_its_seam() {
        let mut snapshot = demo::stopped(1, 10);
        let session = Arc::make_mut(&mut snapshot.session);
        let whole = session.tracks()[0].regions()[0].clone();
        let at = FramePos(u64::midpoint(whole.start.0, whole.end().0));
        let theme = Theme::dark();
        let edges = |session: &Session| {
            let mut layer = Layer::default();
            for region in session.tracks()[0].regions() {
                let (from, to) = (region.start.0 as f32 / 100.0, region.end().0 as f32 / 100.0);
                let rect = Rect::from_x_y_ranges(from..=to, 0.0..=40.0);
                layer.add(&run(from, to), rect, (theme.panel, theme.accent), 1.0);
            }
            layer.mesh.vertices.iter().filter(|vertex| vertex.color == theme.accent).count() / 4
        };
        assert_eq!(edges(session), 1);
        session.split_region(whole.id, at).unwrap();
        assert_eq!(edges(session), 2);
    }
}
