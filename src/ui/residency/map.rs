//! The residency map: one row for each track, one cell for one or several pages. It is one texture, which is drawn
//! again for each new sample. Thread: ui.

use super::{NAMES, ResidencyState, fault_marks, map_keys, story};
use crate::app::report::track_name;
use crate::residency::faults::SeenFault;
use crate::residency::sample::{Pages, Row, Sample};
use crate::residency::state::{Cell, PageState};
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::{Theme, mixed};
use crate::ui::widget::{elided, text_at};
use egui::{
    Align2, Color32, ColorImage, Mesh, Painter, PointerButton, Rect, Role, Sense, Shape, Stroke, StrokeKind,
    TextureHandle, TextureOptions, Ui, WidgetInfo, pos2, vec2,
};
use std::sync::Arc;

/// Height of the line of texts above the rows, in points.
const HEAD: f32 = 20.0;

/// Maximum height of a row, in points.
const ROW_MAX: f32 = 18.0;

/// The texture, and the facts that decide whether to draw it again.
#[derive(Default)]
pub(super) struct Map {
    texture: Option<TextureHandle>,
    /// Address of the sample, dark theme, and size of the texture at the last drawing.
    drawn: Option<(usize, bool, [usize; 2])>,
}

/// Positions of the parts of the map, in points.
struct MapLayout {
    cells: Rect,
    /// Height of a row.
    row: f32,
    /// Width of a cell.
    cell: f32,
    head_x: f32,
}

/// The colour of a page state.
fn colour(page: PageState, theme: &Theme) -> Color32 {
    match page {
        PageState::None => theme.background,
        PageState::OnDisk | PageState::Silent | PageState::Free => theme.heat.on_disk,
        PageState::Cached => theme.heat.cached,
        PageState::Resident => theme.heat.ready,
        PageState::Locked => theme.heat.locked,
        PageState::Recorded => theme.heat.recorded,
        PageState::Writeback => theme.heat.writeback,
        PageState::WriteProtected => theme.heat.write_protected,
        PageState::Committed => theme.heat.committed,
        PageState::Durable => theme.heat.durable,
    }
}

/// The colour of a texel in a cell of `w` by `h` texels. Each state has a pattern too, for users who do not see
/// colours.
pub(super) fn texel(
    page: PageState,
    disagrees: bool,
    (x, y): (usize, usize),
    (w, h): (usize, usize),
    theme: &Theme,
) -> Color32 {
    if x + 1 >= w || y + 1 >= h {
        return theme.panel;
    }
    let base = colour(page, theme);
    let edge = x == 0 || y == 0 || x + 2 >= w || y + 2 >= h;
    if disagrees {
        return if edge || (x + y) % 2 == 0 { theme.heat.write_protected } else { base };
    }
    let marked = match page {
        PageState::Cached => x % 3 == 1 && y % 3 == 1,
        PageState::Resident => (x + y) % 4 == 0,
        PageState::Recorded => y * 2 / h.max(1) == 0 && y % 2 == 1,
        PageState::Writeback => (x + 2 * y) % 4 < 2,
        PageState::Durable => y + 3 >= h,
        PageState::Silent => x == w / 2,
        PageState::Free => edge,
        PageState::WriteProtected => {
            // In a low row a cross would fill the cell, and the cell would be white. It has a thin stroke instead.
            let (across, is_low) = (x * h / w.max(1), h <= 8);
            across.abs_diff(y) <= usize::from(!is_low) || (!is_low && (across + y).abs_diff(h.saturating_sub(2)) <= 1)
        }
        _ => false,
    };
    if marked {
        let (ink, share) = match page {
            PageState::WriteProtected => (Color32::WHITE, 0.85),
            PageState::Free => (theme.quiet, 0.45),
            _ => (theme.background, 0.30),
        };
        mixed(base, ink, share)
    } else {
        base
    }
}

/// Draws an example of a state for the legend.
pub(super) fn swatch(ui: &Ui, rect: Rect, page: PageState, theme: &Theme) {
    let (w, h) = (rect.width() as usize + 1, rect.height() as usize + 1);
    let mut mesh = Mesh::default();
    for y in 0..h - 1 {
        for x in 0..w - 1 {
            let at = Rect::from_min_size(rect.min + vec2(x as f32, y as f32), vec2(1.0, 1.0));
            mesh.add_colored_rect(at, texel(page, false, (x, y), (w, h), theme));
        }
    }
    ui.painter().add(Shape::mesh(mesh));
}

/// Draws the map into the rectangle `map`, and the card of the page under the pointer or of the pinned page.
pub(super) fn show(
    ui: &mut Ui,
    state: &mut ResidencyState,
    map: Rect,
    sample: &Arc<Sample>,
    context: &mut PanelContext<'_>,
) {
    let layout = map_layout(map, sample);
    draw(ui, &mut state.map, sample, &layout, context);
    draw_names(ui, map, sample, &layout, context);
    draw_heads(ui, sample, &layout, context);
    let marked = draw_faults(ui, &state.faults, sample, &layout, context);
    let response = ui.interact(layout.cells, ui.scope_id().with("map"), Sense::click());
    response.widget_info(|| {
        let is_pool = sample.view.pages == Pages::Pool;
        let name = if is_pool { "Map of the pool of slots" } else { "Residency map" };
        let mut info = WidgetInfo::labeled(Role::Canvas, true, name);
        info.current_text_value = (0 < marked).then(|| crate::ui::format::count(marked, "cell") + " with page faults");
        info
    });
    let page = response.hover_pos().and_then(|at| page_at(at, sample, &layout));
    if response.clicked_by(PointerButton::Primary) {
        state.pinned = page.map(|(row, byte)| (row.key, byte));
    }
    map_keys::steer(ui, &response, state, sample);
    if let Some((key, byte)) = state.pinned {
        if let Some((index, row)) = sample.rows.iter().enumerate().find(|(_, row)| row.key == key) {
            let x = x_of(row, byte, &layout);
            let rect = Rect::from_min_size(
                pos2(x, layout.cells.top() + index as f32 * layout.row),
                vec2(layout.cell, layout.row),
            );
            // The page leaves the map when the head moves on.
            let painter = ui.painter().with_clip_rect(layout.cells.expand(2.0).intersect(ui.clip_rect()));
            painter.rect_stroke(rect.expand(1.0), 1, Stroke::new(1.5, context.theme.strong), StrokeKind::Outside);
            let at = layout.cells.clamp(rect.center());
            let name = full_name(row, index, sample, context);
            let shown = story::Shown { row, byte, sample, faults: &state.faults, name };
            if story::card(ui, at, map, &shown, true, context) {
                state.pinned = None;
            }
        } else {
            state.pinned = None;
        }
    } else if let (Some((row, byte)), Some(at)) = (page, response.hover_pos()) {
        let index = sample.rows.iter().position(|other| other.key == row.key).unwrap_or(0);
        let name = full_name(row, index, sample, context);
        let shown = story::Shown { row, byte, sample, faults: &state.faults, name };
        story::card(ui, at, map, &shown, false, context);
    }
}

fn map_layout(map: Rect, sample: &Sample) -> MapLayout {
    let rows = sample.rows.len().max(1) as f32;
    let cells = Rect::from_min_max(pos2(map.left() + NAMES, map.top() + HEAD), map.max - vec2(12.0, 8.0));
    let row = (cells.height() / rows).min(ROW_MAX);
    let widest = sample.rows.iter().map(|row| row.cells.len()).max().unwrap_or(1).max(1);
    let cell = cells.width() / widest as f32;
    let fraction = sample.rows.first().map_or(0.6, |row| {
        let behind = row.head_byte.saturating_sub(row.first_byte) as f32 / row.bytes_per_cell.max(1) as f32;
        behind / widest as f32
    });
    // In a map of whole files the head moves. In a map around the heads it has a fixed position.
    let is_fixed = matches!(sample.view.pages, Pages::AroundHead { .. });
    let (back, ahead) = super::AROUND_MS;
    let fraction = if is_fixed { back as f32 / (back + ahead) as f32 } else { fraction };
    let cells = Rect::from_min_size(cells.min, vec2(cells.width(), row * rows));
    MapLayout { cells, row, cell, head_x: cells.left() + fraction * cells.width() }
}

/// The x of a file byte in a row.
fn x_of(row: &Row, byte: u64, layout: &MapLayout) -> f32 {
    if row.slots.is_some() {
        let cells = byte as f64 / row.bytes_per_cell.max(1) as f64;
        return layout.cells.left() + cells as f32 * layout.cell;
    }
    let cells = (byte as f64 - row.head_byte as f64) / row.bytes_per_cell.max(1) as f64;
    layout.head_x + cells as f32 * layout.cell
}

/// The row under a point, and the first byte of the page under it.
fn page_at<'a>(at: egui::Pos2, sample: &'a Sample, layout: &MapLayout) -> Option<(&'a Row, u64)> {
    let index = ((at.y - layout.cells.top()) / layout.row).floor();
    let row = sample.rows.get(index.max(0.0) as usize)?;
    let cells = f64::from((at.x - x_of(row, row.head_byte, layout)) / layout.cell);
    let byte = row.head_byte as f64 + cells * row.bytes_per_cell as f64;
    let last = row.first_byte + row.cells.len() as u64 * row.bytes_per_cell;
    (byte >= row.first_byte as f64 && byte < last as f64).then(|| {
        let byte = byte as u64;
        (row, byte - byte % crate::limits::PAGE_BYTES as u64)
    })
}

fn draw(ui: &Ui, map: &mut Map, sample: &Arc<Sample>, layout: &MapLayout, context: &PanelContext<'_>) {
    let scale = ui.pixels_per_point();
    let widest = sample.rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let (w, h) = ((layout.cell * scale).round().max(2.0) as usize, (layout.row * scale).round().max(2.0) as usize);
    let size = [(widest * w).clamp(1, 8192), (sample.rows.len() * h).clamp(1, 8192)];
    let drawn = (Arc::as_ptr(sample) as usize, context.theme.dark, size);
    if map.drawn != Some(drawn) {
        map.drawn = Some(drawn);
        let mut image = ColorImage::filled(size, context.theme.panel);
        for (index, row) in sample.rows.iter().enumerate() {
            for (at, cell) in row.cells.iter().enumerate() {
                paint(&mut image, (at * w, index * h), (w, h), *cell, context.theme);
            }
        }
        match &mut map.texture {
            Some(texture) => texture.set(image, TextureOptions::NEAREST),
            None => map.texture = Some(ui.ctx().load_texture("residency", image, TextureOptions::NEAREST)),
        }
    }
    let Some(texture) = &map.texture else { return };
    let mut mesh = Mesh::with_texture(texture.id());
    for (index, row) in sample.rows.iter().enumerate() {
        let left = x_of(row, row.first_byte, layout);
        let top = layout.cells.top() + index as f32 * layout.row;
        let width = row.cells.len() as f32 * layout.cell;
        let rect = Rect::from_min_size(pos2(left, top), vec2(width, layout.row));
        let part = |at: usize| (at * h) as f32 / size[1] as f32;
        let right = (row.cells.len() * w) as f32 / size[0] as f32;
        let uv = Rect::from_min_max(pos2(0.0, part(index)), pos2(right, part(index + 1)));
        mesh.add_rect_with_uv(rect, uv, Color32::WHITE);
    }
    ui.painter().with_clip_rect(layout.cells).add(Shape::mesh(mesh));
}

fn paint(image: &mut ColorImage, (left, top): (usize, usize), (w, h): (usize, usize), cell: Cell, theme: &Theme) {
    let [width, height] = image.size;
    for y in 0..h {
        for x in 0..w {
            if left + x < width && top + y < height {
                image.pixels[(top + y) * width + left + x] =
                    texel(cell.shown(), cell.disagrees(), (x, y), (w, h), theme);
            }
        }
    }
}

/// The name of a row: the name of its track, or its number.
fn name_of(row: &Row, index: usize, context: &PanelContext<'_>) -> String {
    let name = track_name(&context.snapshot.session, &row.key);
    name.unwrap_or_else(|| format!("{}", index + 1))
}

/// The word that tells a row of a track that plays from the row of a track of the same name that is recorded. Empty where no
/// track is recorded.
fn role(row: &Row, sample: &Sample) -> &'static str {
    let is_overdub = !row.is_recorded() && sample.rows.iter().any(Row::is_recorded);
    if is_overdub { "plays" } else { "" }
}

/// The name of a row and its role, for a card.
fn full_name(row: &Row, index: usize, sample: &Sample, context: &PanelContext<'_>) -> String {
    let name = name_of(row, index, context);
    let role = role(row, sample);
    if role.is_empty() { name } else { format!("{name}, {role}") }
}

/// Draws the names at the left. If rows are low, only every second or third name is drawn.
fn draw_names(ui: &Ui, map: Rect, sample: &Sample, layout: &MapLayout, context: &PanelContext<'_>) {
    let every = (10.5 / layout.row).ceil().max(1.0) as usize;
    for (index, row) in sample.rows.iter().enumerate().step_by(every) {
        let y = layout.cells.top() + (index as f32 + 0.5) * layout.row;
        let (mut right, left) = (map.left() + NAMES - 8.0, map.left() + 6.0);
        let (name, role, theme) = (name_of(row, index, context), role(row, sample), context.theme);
        let put = |right: f32, text: &str, colour: Color32| {
            text_at(ui, pos2(right, y), Align2::RIGHT_CENTER, text, Theme::font(10.0), colour, right - left)
        };
        if !role.is_empty() {
            right = put(right, role, theme.good).left() - 4.0;
        }
        put(right, &name, theme.quiet);
    }
}

/// Draws a mark on each cell that had page faults. Returns their number.
fn draw_faults(
    ui: &Ui,
    faults: &[SeenFault],
    sample: &Sample,
    layout: &MapLayout,
    context: &PanelContext<'_>,
) -> usize {
    if faults.is_empty() {
        return 0;
    }
    let painter = ui.painter().with_clip_rect(layout.cells);
    let half = (layout.cell.min(layout.row) * 0.42).clamp(2.0, 4.5);
    let mut marked = 0;
    for (index, row) in sample.rows.iter().enumerate() {
        let y = layout.cells.top() + (index as f32 + 0.5) * layout.row;
        for cell in fault_marks::cells(faults, row, sample) {
            let x = x_of(row, row.first_byte + cell * row.bytes_per_cell, layout) + layout.cell / 2.0;
            let points = [(0.0, -half), (half, 0.0), (0.0, half), (-half, 0.0)].map(|(dx, dy)| pos2(x + dx, y + dy));
            let edge = Stroke::new(1.0, context.theme.background);
            painter.add(Shape::convex_polygon(points.to_vec(), context.theme.record, edge));
            marked += 1;
        }
    }
    marked
}

/// Draws the heads, the ends of the lead, and the time scale above the rows.
fn draw_heads(ui: &Ui, sample: &Sample, layout: &MapLayout, context: &PanelContext<'_>) {
    let theme = context.theme;
    let painter = ui.painter();
    let painter = painter.with_clip_rect(layout.cells.expand2(vec2(2.0, 24.0)).intersect(ui.clip_rect()));
    let y = layout.cells.top() - 9.0;
    let Some(first) = sample.rows.first() else { return };
    if sample.view.pages == Pages::Pool {
        let text = elided(ui, &pool_summary(sample), Theme::font(10.0), theme.quiet, layout.cells.width());
        painter.galley(pos2(layout.cells.left(), y - text.size().y / 2.0), text, theme.quiet);
        draw_slots(&painter, sample, layout, theme);
        return;
    }
    let seconds = |row: &Row, bytes: f64| bytes / (row.frame_bytes.max(1) as f64 * f64::from(row.rate.max(1)));
    let behind = f64::from((layout.head_x - layout.cells.left()) / layout.cell) * first.bytes_per_cell as f64;
    let back = format!("\u{2212}{:.1} s", seconds(first, behind));
    painter.text(pos2(layout.cells.left(), y), Align2::LEFT_CENTER, back, Theme::font(10.0), theme.quiet);
    let word = if first.is_recorded() { "record head" } else { "play head" };
    painter.text(pos2(layout.head_x, y), Align2::CENTER_CENTER, word, Theme::font(10.0), theme.quiet);
    for (index, row) in sample.rows.iter().enumerate() {
        let top = layout.cells.top() + index as f32 * layout.row;
        let x = x_of(row, row.head_byte, layout);
        if layout.cells.x_range().contains(x) {
            let head = Rect::from_min_size(pos2(x, top), vec2(layout.cell - 1.0, layout.row - 1.0));
            painter.rect_filled(head, 0, theme.heat.head);
        }
        let x = x_of(row, row.lead_byte, layout);
        if layout.cells.x_range().contains(x) {
            painter.vline(x, top..=top + layout.row, (1.5, theme.strong));
        }
    }
    let least = sample.rows.iter().min_by_key(|row| row.lead_frames());
    if let Some(row) = least {
        let lead = row.lead_frames() as f64 / f64::from(row.rate.max(1));
        let x = x_of(row, row.lead_byte, layout).min(layout.cells.right() - 60.0).max(layout.head_x + 70.0);
        painter.text(pos2(x, y), Align2::LEFT_CENTER, format!("+{lead:.2} s lead"), Theme::font(10.0), theme.quiet);
    }
}

/// The slots of all takes, in words.
fn pool_summary(sample: &Sample) -> String {
    let pools = || sample.rows.iter().filter_map(|row| row.slots.as_ref());
    let (all, free) = pools().fold((0, 0), |(all, free), slots| (all + slots.parts.len(), free + slots.free()));
    let bytes: u64 = pools().map(|slots| slots.slot_bytes * slots.parts.len() as u64).sum();
    let slots = crate::ui::format::count(all, "slot");
    format!(
        "{slots} in {:.1} MiB, {free} free: each is filled, written to the disk, wiped, and used again",
        bytes as f64 / 1_048_576.0
    )
}

/// Draws the edges of slots, and the place where each take is recorded.
fn draw_slots(painter: &Painter, sample: &Sample, layout: &MapLayout, theme: &Theme) {
    for (index, row) in sample.rows.iter().enumerate() {
        let Some(slots) = &row.slots else { continue };
        let top = layout.cells.top() + index as f32 * layout.row;
        let rows = top..=top + layout.row - 1.0;
        for slot in 1..slots.parts.len() {
            let x = x_of(row, slot as u64 * slots.slot_bytes, layout);
            painter.vline(x - 0.5, rows.clone(), (2.0, theme.background));
        }
        if row.head_byte < slots.slot_bytes * slots.parts.len() as u64 {
            painter.vline(x_of(row, row.head_byte, layout), rows, (2.0, theme.heat.head));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_two_states_differ_in_pattern_or_lightness_and_not_in_colour_alone() {
        let legends = [&super::super::LEGEND[..], &super::super::POOL_LEGEND];
        for (theme, legend) in [Theme::dark(), Theme::light()].iter().flat_map(|theme| legends.map(|of| (theme, of))) {
            let grey = |page: PageState| -> Vec<u32> {
                let texels = (0..9).flat_map(|y| (0..9).map(move |x| (x, y)));
                texels
                    .map(|at| {
                        let [r, g, b, _] = texel(page, false, at, (10, 10), theme).to_array().map(u32::from);
                        (r * 30 + g * 59 + b * 11) / 100
                    })
                    .collect()
            };
            for (at, (a, _)) in legend.iter().enumerate() {
                for (b, _) in &legend[at + 1..] {
                    let apart: u32 = grey(*a).iter().zip(grey(*b)).map(|(a, b)| a.abs_diff(b)).sum();
                    assert!(apart / 81 >= 6, "{a:?} and {b:?} look alike in grey: {}", apart / 81);
                }
            }
        }
    }

    /// With 24 rows, write-protected pages were white, and no state of the legend is.
    #[test]
    fn a_write_protected_page_is_red_in_a_low_row_too() {
        let theme = Theme::dark();
        let texels = (0..3).flat_map(|y| (0..9).map(move |x| (x, y)));
        let colours = texels.map(|at| texel(PageState::WriteProtected, false, at, (10, 4), &theme));
        let red = colours.filter(|colour| *colour == theme.heat.write_protected).count();
        assert!(27 < 2 * red, "{red} of 27 are red");
    }

    /// While a track was recorded over its own playback, two rows had its name.
    #[test]
    fn a_row_that_plays_says_so_beside_rows_that_are_recorded() {
        use crate::message::take::TakeKey;
        use crate::residency::sample::RowKey;
        use crate::residency::sample::tests::{row, sample};
        let of = |key| row(key, 0, 4096, Vec::new());
        let (take, slot) = (RowKey::Take { uuid: uuid::Uuid::nil(), key: TakeKey(1) }, RowKey::Slot(0));
        let mut both = sample(0, of(take));
        both.rows.push(of(slot));
        let roles = |sample: &Sample| -> Vec<&str> { sample.rows.iter().map(|row| role(row, sample)).collect() };
        assert_eq!(roles(&both), ["", "plays"]);
        assert_eq!(roles(&sample(0, of(slot))), [""], "everything plays");
    }

    #[test]
    fn a_page_that_ledger_and_kernel_disagree_on_is_framed_in_red() {
        let theme = Theme::dark();
        assert_eq!(texel(PageState::Locked, true, (0, 0), (9, 9), &theme), theme.heat.write_protected);
    }
}
