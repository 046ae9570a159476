//! The waveforms of all lanes. They are drawn into one texture, and only changed columns are drawn again. Thread: ui.

use super::lanes::{self, RecordedBlock};
use super::pointer::Preview;
use super::short_regions::ShortRegions;
use crate::peaks::{Column, PeakStore, Quality, Span};
use crate::session::{Region, Session, Take, Track};
use crate::time::{FramePos, Frames};
use crate::ui::panel_context::PanelContext;
use egui::{Color32, ColorImage, Mesh, Rect, Shape, TextureHandle, TextureOptions, Ui, pos2, vec2};
use std::sync::Arc;

/// Limit of the texture's sides in texels. Every graphics driver supports this size.
const SIDE_MAX: usize = 4096;

/// Frames of a column up to which the columns are joined to a line. Without it, only separate dots would be visible.
const JOINED_MAX: f64 = 2.0;

/// Strength of the colour of what is muted.
const MUTED: f32 = 0.4;

/// Everything that the texture depends on. If only `first` changes, the columns that stay in view are moved. If anything else
/// changes, the whole texture is drawn again.
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
    /// The region that is being dragged.
    preview: Option<Preview>,
}

impl Key {
    /// The columns by which the view has moved to the right since `before`, if nothing else has changed and a part of the
    /// texture stays in view.
    fn columns_since(&self, before: &Key) -> Option<i64> {
        // Where columns are joined to a line, the first column of a drawing depends on where the drawing begins.
        if self.frames_per_column <= JOINED_MAX || self.preview.is_some() {
            return None;
        }
        let by = self.first - before.first;
        let is_moved_only = Key { first: self.first, ..before.clone() } == *self;
        (is_moved_only && (by.unsigned_abs() as usize) < self.size[0]).then_some(by)
    }
}

/// The texture, and the facts about its last drawing.
#[derive(Default)]
pub(super) struct Waves {
    texture: Option<TextureHandle>,
    /// The texels of the texture. The toolkit shares them until it has given them to the graphics card.
    image: Option<Arc<ColorImage>>,
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
    /// Scratch memory for the columns of one channel.
    columns: Vec<Column>,
    /// Scratch memory for the short regions of one track.
    short: ShortRegions,
}

impl Waves {
    /// Updates the texture and draws it over the lanes. `preview` is the region that is being dragged, as it would be.
    pub(super) fn show(&mut self, ui: &Ui, lanes: Rect, preview: Option<Preview>, context: &mut PanelContext<'_>) {
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
            preview,
        };
        let live = context.snapshot.transport.pass.is_some();
        if self.key.as_ref() != Some(&key) {
            let is_kept = generation == self.generation && !live && !self.is_coarse;
            let by = self.key.as_ref().filter(|_| is_kept).and_then(|before| key.columns_since(before));
            if !by.is_some_and(|by| self.draw_moved(by, lanes, scale, context)) {
                self.draw_all(lanes, size, scale, (true, preview), context);
            }
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
                self.draw_all(lanes, size, scale, (false, preview), context);
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

    /// Draws the whole image. `moved`: not only the peaks have changed since the last drawing. `preview` is the region that is
    /// being dragged.
    fn draw_all(
        &mut self,
        lanes: Rect,
        size: [usize; 2],
        scale: f32,
        (moved, preview): (bool, Option<Preview>),
        context: &mut PanelContext<'_>,
    ) {
        let mut image = match self.image.take().and_then(Arc::into_inner) {
            Some(mut image) if image.size == size => {
                image.pixels.fill(Color32::TRANSPARENT);
                image
            }
            _ => ColorImage::filled(size, Color32::TRANSPARENT),
        };
        self.is_coarse = false;
        (self.live_known, self.live_end) = (usize::MAX, 0);
        if let Some(peaks) = context.waves.as_deref_mut() {
            peaks.begin_drawing(moved);
        }
        let session = Arc::clone(&context.snapshot.session);
        let grid = Grid::of(context, scale);
        for row in lanes::rows_in_view(lanes, context) {
            let Some(track) = session.tracks().get(row) else { continue };
            let band = band(row, lanes, scale, size[1], context);
            self.draw_regions(&mut image, &session, track, 0..size[0], (&band, &grid, preview), context);
            if let Some(block) = lanes::recorded_block(track, context) {
                self.draw_recorded(&mut image, &session, track, &block, &band, 0, &grid, context);
            }
        }
        self.image = Some(Arc::new(image));
    }

    /// Moves the image left by `by` columns, or right if that is negative, and draws the columns that come into view. Returns
    /// whether all their peaks were ready; otherwise the whole image must be drawn.
    fn draw_moved(&mut self, by: i64, lanes: Rect, scale: f32, context: &mut PanelContext<'_>) -> bool {
        let Some(mut image) = self.image.take().map(Arc::unwrap_or_clone) else { return false };
        let [width, height] = image.size;
        let distance = (by.unsigned_abs() as usize).min(width);
        let texels = image.pixels.len() - distance;
        let fresh = if by < 0 {
            image.pixels.copy_within(..texels, distance);
            0..distance
        } else {
            image.pixels.copy_within(distance.., 0);
            width - distance..width
        };
        // The ends of the rows have moved into these columns.
        clear(&mut image, &fresh, &Band { from: 0, to: height, top: 0.0, height: 0.0 });
        let session = Arc::clone(&context.snapshot.session);
        let grid = Grid::of(context, scale);
        for row in lanes::rows_in_view(lanes, context) {
            let Some(track) = session.tracks().get(row) else { continue };
            let band = band(row, lanes, scale, height, context);
            self.draw_regions(&mut image, &session, track, fresh.clone(), (&band, &grid, None), context);
        }
        self.image = Some(Arc::new(image));
        !self.is_coarse
    }

    /// Draws the takes in recording from column `from`. Returns the range of changed columns.
    fn draw_live(
        &mut self,
        lanes: Rect,
        from: usize,
        scale: f32,
        context: &mut PanelContext<'_>,
    ) -> Option<(usize, usize)> {
        let mut image = Arc::unwrap_or_clone(self.image.take()?);
        let session = Arc::clone(&context.snapshot.session);
        let grid = Grid::of(context, scale);
        let [width, height] = image.size;
        let from = from.min(width);
        (self.live_known, self.live_end) = (usize::MAX, 0);
        for row in lanes::rows_in_view(lanes, context) {
            let Some(track) = session.tracks().get(row) else { continue };
            let Some(block) = lanes::recorded_block(track, context) else { continue };
            let band = band(row, lanes, scale, height, context);
            self.draw_recorded(&mut image, &session, track, &block, &band, from, &grid, context);
        }
        self.image = Some(Arc::new(image));
        (from < self.live_end.min(width)).then_some((from, self.live_end.min(width)))
    }

    /// Draws the regions of a track into some columns. Regions of a few columns are collected first, because several can share
    /// a column. The region that is being dragged is drawn last, as it would be, in place of what is below it.
    fn draw_regions(
        &mut self,
        image: &mut ColorImage,
        session: &Session,
        track: &Track,
        range: std::ops::Range<usize>,
        (band, grid, preview): (&Band, &Grid, Option<Preview>),
        context: &mut PanelContext<'_>,
    ) {
        let mut found: Option<&Take> = None;
        self.short.clear(image.size[0]);
        let is_dragged = |region: &Region| preview.is_some_and(|preview| preview.region == region.id);
        let (from, to) = grid.frames_of(&range);
        for region in track.regions_in(from, to) {
            let take = found.filter(|take| take.id == region.take).or_else(|| session.take(region.take));
            let Some(take) = take.filter(|_| !is_dragged(region)) else { continue };
            found = Some(take);
            if ShortRegions::is_short(region, grid.frames_per_column) {
                let Some(peaks) = context.waves.as_deref_mut() else { return };
                let quality = self.short.add(region, take, grid, peaks);
                self.is_coarse |= quality == Quality::Coarse;
                continue;
            }
            let colour = region_colour(track, region, context);
            self.draw_span(image, take, &TakeSpan::of_region(region), &range, (band, grid, colour), context);
        }
        let colour = context.theme.track(track.colour);
        for (x, column) in self.short.columns().filter(|(x, _)| range.contains(x)) {
            let colour = if track.mute || !column.audible { colour.gamma_multiply(MUTED) } else { colour };
            for (channel, side) in column.sides().iter().enumerate() {
                let part = band.channel(channel, column.sides().len(), grid.scale);
                draw_column(image, x, *side, &part, colour, context.theme.record);
            }
        }
        let dragged = preview.zip(track.regions().iter().find(|region| is_dragged(region)));
        if let Some((preview, region)) = dragged
            && let Some(take) = session.take(region.take)
        {
            let span = TakeSpan::of_preview(&preview);
            clear(image, &grid.columns_of(&span, range.start, range.end), band);
            self.draw_span(image, take, &span, &range, (band, grid, region_colour(track, region, context)), context);
        }
    }

    /// Draws a span of a take into some columns.
    fn draw_span(
        &mut self,
        image: &mut ColorImage,
        take: &Take,
        span: &TakeSpan,
        range: &std::ops::Range<usize>,
        (band, grid, colour): (&Band, &Grid, Color32),
        context: &mut PanelContext<'_>,
    ) {
        let Some(peaks) = context.waves.as_deref_mut() else { return };
        let columns = grid.columns_of(span, range.start, range.end);
        for channel in 0..take.channels.max(1) as usize {
            let quality = span.read(take, channel, &columns, grid, peaks, &mut self.columns);
            self.is_coarse |= quality == Quality::Coarse;
            join(&mut self.columns, grid.frames_per_column);
            let part = band.channel(channel, take.channels.max(1) as usize, grid.scale);
            for (x, column) in columns.clone().zip(&self.columns) {
                draw_column(image, x, *column, &part, colour, context.theme.record);
            }
        }
    }

    /// Draws a take that is being recorded, from column `from` on. It replaces what its track had in these columns, and only
    /// there.
    #[expect(clippy::too_many_arguments, reason = "the block and its place in the image")]
    fn draw_recorded(
        &mut self,
        image: &mut ColorImage,
        session: &Session,
        track: &Track,
        block: &RecordedBlock,
        band: &Band,
        from: usize,
        grid: &Grid,
        context: &mut PanelContext<'_>,
    ) {
        let Some(take) = session.take(block.take) else { return };
        let span = TakeSpan { start: block.start, length: block.length, take_start: block.take_start };
        let columns = grid.columns_of(&span, from, image.size[0]);
        if columns.is_empty() {
            self.live_known = self.live_known.min(columns.end);
            return;
        }
        self.live_end = self.live_end.max(columns.end);
        clear(image, &columns, band);
        let colour = context.theme.track(track.colour);
        let colour = if track.mute { colour.gamma_multiply(MUTED) } else { colour };
        for channel in 0..take.channels.max(1) as usize {
            let Some(peaks) = context.waves.as_deref_mut() else { return };
            span.read(take, channel, &columns, grid, peaks, &mut self.columns);
            // Peaks lag behind the audio. Columns without peaks are drawn in a later picture.
            let known = self.columns.iter().rposition(|column| !column.is_empty()).map_or(0, |last| last + 1);
            self.live_known = self.live_known.min(columns.start + known);
            join(&mut self.columns, grid.frames_per_column);
            let part = band.channel(channel, take.channels.max(1) as usize, grid.scale);
            for (x, column) in columns.clone().zip(&self.columns) {
                draw_column(image, x, *column, &part, colour, context.theme.record);
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
            (Some(texture), _) => texture.set(Arc::clone(image), TextureOptions::LINEAR),
            (None, _) => self.texture = Some(ui.ctx().load_texture("waves", Arc::clone(image), TextureOptions::LINEAR)),
        }
    }
}

/// The columns of the image on the timeline.
pub(super) struct Grid {
    /// Index of the leftmost column on the timeline.
    pub(super) first: f64,
    pub(super) frames_per_column: f64,
    /// Texels in a point.
    scale: f32,
}

impl Grid {
    fn of(context: &PanelContext<'_>, scale: f32) -> Grid {
        let frames_per_column = context.view.frames_per_point / f64::from(scale);
        Grid { first: (context.view.start / frames_per_column).floor(), frames_per_column, scale }
    }

    /// The first frame of some columns, and the one behind the last.
    fn frames_of(&self, columns: &std::ops::Range<usize>) -> (FramePos, FramePos) {
        let frame_of = |column: usize| (self.first + column as f64) * self.frames_per_column;
        (FramePos(frame_of(columns.start).max(0.0) as u64), FramePos(frame_of(columns.end).max(0.0).ceil() as u64))
    }

    /// The columns that show the span, from column `from` to the column before `to`. If there are none, the range is
    /// empty and ends where the span ends.
    fn columns_of(&self, span: &TakeSpan, from: usize, to: usize) -> std::ops::Range<usize> {
        let column_of = |frame: u64| (frame as f64 / self.frames_per_column - self.first).floor();
        let begin = column_of(span.start.0).max(from as f64).max(0.0) as usize;
        let end = (column_of((span.start + span.length).0) + 1.0).clamp(0.0, to as f64) as usize;
        begin.min(end)..end
    }
}

/// A span of the timeline that shows the sound of a take.
struct TakeSpan {
    start: FramePos,
    length: Frames,
    /// The frame of the take at `start`.
    take_start: FramePos,
}

impl TakeSpan {
    fn of_region(region: &Region) -> TakeSpan {
        TakeSpan { start: region.start, length: region.length, take_start: region.take_start }
    }

    fn of_preview(preview: &Preview) -> TakeSpan {
        TakeSpan { start: preview.start, length: preview.end.since(preview.start), take_start: preview.take_start }
    }

    /// Reads the columns of a channel into `out`. They show no sound beyond the ends of the span.
    fn read(
        &self,
        take: &Take,
        channel: usize,
        columns: &std::ops::Range<usize>,
        grid: &Grid,
        peaks: &mut PeakStore,
        out: &mut Vec<Column>,
    ) -> Quality {
        out.clear();
        out.resize(columns.len(), Column::EMPTY);
        // The frame of the take at the left edge of the first column. It has a fraction, because columns are aligned to
        // the timeline and not to the take.
        let left = (grid.first + columns.start as f64) * grid.frames_per_column;
        let from = left - self.start.0 as f64 + self.take_start.0 as f64;
        let first = self.take_start.0 as f64;
        let within = (first, first + self.length.0 as f64);
        let span = Span { within, ..Span::new(from, grid.frames_per_column) };
        peaks.span_columns(take.uuid, channel, &span, out)
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

/// The rows of texels of a lane.
fn band(row: usize, lanes: Rect, scale: f32, height: usize, context: &PanelContext<'_>) -> Band {
    let lane = lanes::lane_rect(lanes, row, context);
    let top = (lane.top() - lanes.top() + 2.0) * scale;
    let bottom = (lane.bottom() - lanes.top() - 2.0) * scale;
    let whole = (bottom - top).max(1.0);
    // A lane that is partly out of view keeps its full height, so that its waveform keeps its scale.
    let from = top.max(0.0) as usize;
    let to = ((top + whole).max(0.0) as usize).min(height);
    Band { from: from.min(to), to, top, height: whole }
}

impl Band {
    /// The part of the lane for one of `channels` channels.
    fn channel(&self, channel: usize, channels: usize, scale: f32) -> ChannelBand {
        let share = self.height / channels as f32;
        ChannelBand { middle: self.top + share * (channel as f32 + 0.5), half: (share / 2.0 - 1.5 * scale).max(1.0) }
    }
}

/// The rows of texels of one channel.
struct ChannelBand {
    /// The row of silence.
    middle: f32,
    /// Rows from silence to full scale.
    half: f32,
}

/// The colour of the waveform of a region.
fn region_colour(track: &Track, region: &Region, context: &PanelContext<'_>) -> Color32 {
    let colour = context.theme.track(track.colour);
    if track.mute || region.muted { colour.gamma_multiply(MUTED) } else { colour }
}

/// Removes everything in these columns of a lane.
fn clear(image: &mut ColorImage, columns: &std::ops::Range<usize>, band: &Band) {
    let width = image.size[0];
    for y in band.from..band.to {
        image.pixels[y * width + columns.start..y * width + columns.end].fill(Color32::TRANSPARENT);
    }
}

/// Draws a column of a waveform, in the colour `clip` if it has a sample at full scale.
fn draw_column(image: &mut ColorImage, x: usize, column: Column, band: &ChannelBand, colour: Color32, clip: Color32) {
    if column.is_empty() {
        return;
    }
    let colour = if column.is_clipped() { clip } else { colour };
    let top = band.middle - column.max.clamp(-1.0, 1.0) * band.half;
    let bottom = band.middle - column.min.clamp(-1.0, 1.0) * band.half;
    let size = image.size;
    bar(&mut image.pixels, size, x, (top - 0.5, bottom + 0.5), colour);
}

/// Joins columns to a line if one column has few frames.
fn join(columns: &mut [Column], frames_per_column: f64) {
    if frames_per_column > JOINED_MAX {
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
    #[cfg(feature = "gui-tests")]
    use crate::ui::panel_context::test_panel::Surroundings;

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

    /// Draws the waveforms from the frame `start` on, until all peaks are ready.
    #[cfg(feature = "gui-tests")]
    fn draw(
        waves: &mut Waves,
        start: f64,
        store: &mut PeakStore,
        surroundings: &mut Surroundings,
        ctx: &egui::Context,
    ) {
        let lanes = Rect::from_min_size(pos2(0.0, 0.0), vec2(900.0, 200.0));
        surroundings.view.start = start;
        loop {
            let out = ctx.run_ui(egui::RawInput::default(), |ui| {
                let mut context = PanelContext { waves: Some(&mut *store), ..surroundings.context(0.0) };
                waves.show(ui, lanes, None, &mut context);
            });
            drop(out);
            if !waves.is_coarse && !store.is_busy() && waves.generation == store.generation() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    #[cfg(feature = "gui-tests")]
    #[test]
    fn a_view_that_moves_shows_the_same_waveforms_as_one_that_is_drawn_as_a_whole() {
        let snapshot = crate::ui::demo::edited(4, 200, 4_800);
        let folder = tempfile::tempdir().unwrap();
        let noise: Vec<i16> =
            (0..200 * 4_800_u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as i16).collect();
        let mut store = crate::ui::picture_cost_tests::waves_of(&snapshot, folder.path(), &noise);
        let mut surroundings = Surroundings::new(snapshot);
        surroundings.view.fit(200.0, &surroundings.snapshot);
        let ctx = egui::Context::default();
        // Regions of 6, 35 and 480 points.
        for frames_per_point in [800.0, 137.3, 10.0] {
            surroundings.view.frames_per_point = frames_per_point;
            let mut moved = Waves::default();
            for (at, points) in [400.0, 403.4, 399.0, 420.5, 421.0, 150.0, 160.0].into_iter().enumerate() {
                let (start, before) = (points * frames_per_point, moved.key.clone());
                draw(&mut moved, start, &mut store, &mut surroundings, &ctx);
                let key = moved.key.clone().unwrap();
                assert!(before.is_none_or(|before| key.columns_since(&before).is_some()), "{at}");
                let mut whole = Waves::default();
                draw(&mut whole, start, &mut store, &mut surroundings, &ctx);
                let image = whole.image.unwrap();
                assert!(image.pixels.iter().any(|texel| *texel != Color32::TRANSPARENT));
                assert!(moved.image.as_ref() == Some(&image), "{at} at {frames_per_point}");
            }
        }
    }
}
