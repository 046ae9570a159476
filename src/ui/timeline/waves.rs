//! The waveforms of all lanes. They are drawn into one texture, and only changed columns are drawn again. Thread: ui.

use super::lanes::{self, LaneBlock};
use crate::peaks::{Column, Quality};
use crate::session::Session;
use crate::ui::panel_context::PanelContext;
use egui::{Color32, ColorImage, Mesh, Rect, Shape, TextureHandle, TextureOptions, Ui, pos2, vec2};
use std::sync::Arc;

/// Limit of the texture's sides in texels. Every graphics driver supports this size.
const SIDE_MAX: usize = 4096;

/// Everything that the texture depends on. If it changes, the whole texture is drawn again.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    /// Index of the leftmost column on the timeline.
    first: i64,
    frames_per_column: f64,
    size: [usize; 2],
    scroll: f32,
    row: f32,
    revision: u64,
    dark: bool,
}

/// The texture, and the facts about its last drawing.
#[derive(Default)]
pub(super) struct Waves {
    texture: Option<TextureHandle>,
    image: Option<ColorImage>,
    key: Option<Key>,
    /// Generation of the peaks at the last drawing.
    generation: u64,
    /// First column that some take in recording has not filled yet, because peaks lag behind the audio. `usize::MAX` if
    /// the last drawing had no such take.
    live_known: usize,
    /// Column behind the last one of the takes in recording.
    live_end: usize,
    /// The last drawing used coarse peaks, because finer ones were not ready.
    is_coarse: bool,
    /// Scratch memory of `draw`.
    columns: Vec<Column>,
}

impl Waves {
    /// Updates the texture and draws it over the lanes.
    pub(super) fn show(&mut self, ui: &Ui, lanes: Rect, context: &mut PanelContext<'_>) {
        let scale = ui.pixels_per_point();
        let size =
            [lanes.width() + 1.0, lanes.height()].map(|side| ((side * scale).ceil() as usize).clamp(1, SIDE_MAX));
        // Columns start at multiples of their width, so that the waveform does not flicker when the view moves.
        let frames_per_column = context.view.frames_per_point / f64::from(scale);
        let first = (context.view.start / frames_per_column).floor();
        let Some(peaks) = context.waves.as_deref_mut() else { return };
        let generation = peaks.generation();
        let key = Key {
            first: first as i64,
            frames_per_column,
            size,
            scroll: context.view.scroll,
            row: context.view.row_height(),
            revision: context.snapshot.revision,
            dark: context.theme.dark,
        };
        let live = context.snapshot.transport.pass.is_some();
        if self.key.as_ref() != Some(&key) {
            self.draw_all(lanes, size, scale, context);
            self.upload(ui, None);
        } else if generation != self.generation || live || self.is_coarse {
            if live && !self.is_coarse && !context.waves.as_deref().is_some_and(crate::peaks::PeakStore::is_busy) {
                // Draw only new audio, from two columns before the first unfilled one. If no take was in recording at
                // the last drawing, draw from the left edge.
                let from = if self.live_known == usize::MAX { 0 } else { self.live_known.saturating_sub(2) };
                if let Some(changed) = self.draw_live(lanes, from, scale, context) {
                    self.upload(ui, Some(changed));
                }
            } else if generation != self.generation {
                self.draw_all(lanes, size, scale, context);
                self.upload(ui, None);
            }
        }
        self.key = Some(key);
        self.generation = generation;
        let Some(texture) = &self.texture else { return };
        let offset = ((context.view.start / frames_per_column - first) / f64::from(scale)) as f32;
        let shown = vec2(size[0] as f32 / scale, size[1] as f32 / scale);
        let rect = Rect::from_min_size(lanes.min - vec2(offset, 0.0), shown);
        let mut mesh = Mesh::with_texture(texture.id());
        mesh.add_rect_with_uv(rect, Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)), Color32::WHITE);
        ui.painter().add(Shape::mesh(mesh));
    }

    /// Draws the whole image.
    fn draw_all(&mut self, lanes: Rect, size: [usize; 2], scale: f32, context: &mut PanelContext<'_>) {
        let mut image = match self.image.take() {
            Some(mut image) if image.size == size => {
                image.pixels.fill(Color32::TRANSPARENT);
                image
            }
            _ => ColorImage::filled(size, Color32::TRANSPARENT),
        };
        self.is_coarse = false;
        (self.live_known, self.live_end) = (usize::MAX, 0);
        let session = Arc::clone(&context.snapshot.session);
        let rows = lanes::rows_in_view(lanes, context);
        for block in lanes::lane_blocks(&session, rows, context) {
            self.draw(&mut image, &session, &block, lanes, (0, usize::MAX), scale, context);
        }
        self.image = Some(image);
    }

    /// Draws the takes in recording from column `from`. Returns the range of changed columns.
    fn draw_live(
        &mut self,
        lanes: Rect,
        from: usize,
        scale: f32,
        context: &mut PanelContext<'_>,
    ) -> Option<(usize, usize)> {
        let mut image = self.image.take()?;
        let session = Arc::clone(&context.snapshot.session);
        let rows = lanes::rows_in_view(lanes, context);
        let width = image.size[0];
        (self.live_known, self.live_end) = (usize::MAX, 0);
        for block in lanes::lane_blocks(&session, rows, context) {
            if block.region.is_none() {
                let band = band(&block, lanes, scale, image.size[1], context);
                for y in band.from..band.to {
                    image.pixels[y * width + from.min(width)..(y + 1) * width].fill(Color32::TRANSPARENT);
                }
                self.draw(&mut image, &session, &block, lanes, (from, usize::MAX), scale, context);
            }
        }
        self.image = Some(image);
        (from < self.live_end.min(width)).then_some((from, self.live_end.min(width)))
    }

    /// Draws a block into the columns `from..to` of the image.
    #[expect(clippy::too_many_arguments, reason = "the block and its place in the image")]
    fn draw(
        &mut self,
        image: &mut ColorImage,
        session: &Session,
        block: &LaneBlock<'_>,
        lanes: Rect,
        (from, to): (usize, usize),
        scale: f32,
        context: &mut PanelContext<'_>,
    ) {
        let Some(take) = session.take(block.take) else { return };
        let frames_per_column = context.view.frames_per_point / f64::from(scale);
        let first = (context.view.start / frames_per_column).floor();
        let column_of = |frame: u64| (frame as f64 / frames_per_column - first).floor();
        let [width, height] = image.size;
        let begin = column_of(block.start.0).max(from as f64).max(0.0) as usize;
        let end = (column_of((block.start + block.length).0) + 1.0).clamp(0.0, width.min(to) as f64) as usize;
        if end <= begin {
            if block.region.is_none() {
                self.live_known = self.live_known.min(end);
            }
            return;
        }
        if block.region.is_none() {
            self.live_end = self.live_end.max(end);
        }
        let band = band(block, lanes, scale, height, context);
        let colour = context.theme.track(block.track.colour);
        let is_silent = block.track.mute || block.region.is_some_and(|region| region.muted);
        let colour = if is_silent { colour.gamma_multiply(0.4) } else { colour };
        let clip = context.theme.record;
        let channels = take.channels.max(1) as usize;
        // The frame of the take at the left edge of the first column. It has a fraction, because columns are aligned to
        // the timeline and not to the take.
        let take_from = (first + begin as f64) * frames_per_column - block.start.0 as f64 + block.take_start.0 as f64;
        for channel in 0..channels {
            self.columns.clear();
            self.columns.resize(end - begin, Column::EMPTY);
            let Some(peaks) = context.waves.as_deref_mut() else { return };
            let quality = peaks.columns(take.uuid, channel, take_from, frames_per_column, &mut self.columns);
            self.is_coarse |= quality == Quality::Coarse && block.region.is_some();
            if block.region.is_none() {
                // Peaks lag behind the audio. Columns without peaks are drawn in a later picture.
                let known = self.columns.iter().rposition(|column| !column.is_empty()).map_or(0, |last| last + 1);
                self.live_known = self.live_known.min(begin + known);
            }
            join(&mut self.columns, frames_per_column);
            let share = band.height / channels as f32;
            let middle = band.top + share * (channel as f32 + 0.5);
            let half = (share / 2.0 - 1.5 * scale).max(1.0);
            for (at, column) in self.columns.iter().enumerate() {
                if !column.is_empty() {
                    let x = begin + at;
                    let colour = if column.is_clipped() { clip } else { colour };
                    let top = middle - column.max.clamp(-1.0, 1.0) * half;
                    let bottom = middle - column.min.clamp(-1.0, 1.0) * half;
                    bar(&mut image.pixels, [width, height], x, (top - 0.5, bottom + 0.5), colour);
                }
            }
        }
    }

    /// Gives the image, or its `changed` columns, to the graphics card.
    fn upload(&mut self, ui: &Ui, changed: Option<(usize, usize)>) {
        let Some(image) = &self.image else { return };
        match (&mut self.texture, changed) {
            (Some(texture), Some((from, to))) if texture.size() == image.size => {
                let (width, height) = (image.size[0], image.size[1]);
                let rows = (0..height).flat_map(|y| &image.pixels[y * width + from..y * width + to]).copied();
                let columns = ColorImage::new([to - from, height], rows.collect());
                texture.set_partial([from, 0], columns, TextureOptions::LINEAR);
            }
            (Some(texture), _) => texture.set(image.clone(), TextureOptions::LINEAR),
            (None, _) => self.texture = Some(ui.ctx().load_texture("waves", image.clone(), TextureOptions::LINEAR)),
        }
    }
}

/// The rows of texels of a lane in the image.
struct Band {
    /// First row in view.
    from: usize,
    /// Row behind the last one in view.
    to: usize,
    /// Top of the lane. Negative if it is above the view.
    top: f32,
    /// Height of the whole lane, with parts out of view.
    height: f32,
}

/// The rows of texels of a block's lane.
fn band(block: &LaneBlock<'_>, lanes: Rect, scale: f32, height: usize, context: &PanelContext<'_>) -> Band {
    let lane = lanes::lane_rect(lanes, block.row, context);
    let top = (lane.top() - lanes.top() + 2.0) * scale;
    let bottom = (lane.bottom() - lanes.top() - 2.0) * scale;
    let whole = (bottom - top).max(1.0);
    // A lane that is partly out of view keeps its full height, so that its waveform keeps its scale.
    let from = top.max(0.0) as usize;
    let to = ((top + whole).max(0.0) as usize).min(height);
    Band { from: from.min(to), to, top, height: whole }
}

/// Joins columns to a line if one column has at most two frames. Without it, only separate dots would be visible.
fn join(columns: &mut [Column], frames_per_column: f64) {
    if frames_per_column > 2.0 {
        return;
    }
    let mut before: Option<Column> = None;
    for column in columns {
        if column.is_empty() {
            before = None;
            continue;
        }
        let own = *column;
        if let Some(before) = before {
            column.min = own.min.min(before.max);
            column.max = own.max.max(before.min);
        }
        before = Some(own);
    }
}

/// Draws a vertical bar, one texel wide, with antialiased ends.
fn bar(pixels: &mut [Color32], [width, height]: [usize; 2], x: usize, (top, bottom): (f32, f32), colour: Color32) {
    if x >= width || bottom <= 0.0 || top >= height as f32 {
        return;
    }
    let first = top.floor().max(0.0) as usize;
    let last = (bottom.ceil() as usize).min(height);
    for y in first..last {
        let covered = (bottom.min(y as f32 + 1.0) - top.max(y as f32)).clamp(0.0, 1.0);
        let pixel = &mut pixels[y * width + x];
        *pixel = if covered >= 0.99 { colour } else { colour.gamma_multiply(covered) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_covers_what_it_should_and_nothing_beside() {
        let mut pixels = vec![Color32::TRANSPARENT; 4 * 10];
        bar(&mut pixels, [4, 10], 2, (2.5, 5.0), Color32::WHITE);
        assert_eq!(pixels[3 * 4 + 2], Color32::WHITE);
        assert!(pixels[2 * 4 + 2].a() > 100 && pixels[2 * 4 + 2].a() < 150);
        assert_eq!(pixels.iter().filter(|pixel| **pixel != Color32::TRANSPARENT).count(), 3);
        bar(&mut pixels, [4, 10], 1, (-20.0, 40.0), Color32::WHITE);
        bar(&mut pixels, [4, 10], 9, (0.0, 4.0), Color32::WHITE);
    }

    #[test]
    fn neighbouring_samples_are_joined_without_a_gap() {
        let point = |value: f32| Column { min: value, max: value };
        let mut columns = [point(0.0), point(0.5), point(-0.5)];
        join(&mut columns, 0.5);
        assert_eq!(columns[1], Column { min: 0.0, max: 0.5 });
        assert_eq!(columns[2], Column { min: -0.5, max: 0.5 });
    }
}
