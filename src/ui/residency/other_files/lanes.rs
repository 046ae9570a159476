//! The lanes of other files: a name, a cell for a few pages, and figures. Thread: ui.

use super::super::map::texel;
use crate::residency::state::PageState;
use crate::residency::watch::FileLook;
use crate::ui::format::memory_bytes;
use crate::ui::theme::Theme;
use crate::ui::widget::text_at;
use egui::{
    Align2, Color32, ColorImage, Mesh, Rect, Role, Sense, Shape, TextureHandle, TextureOptions, Ui, WidgetInfo, pos2,
    vec2,
};
use std::path::Path;

/// Height of a lane with its distance to the next one, in points.
pub(super) const ROW: f32 = 18.0;

/// Greatest width of a cell, in points.
const CELL_MAX: f32 = 9.0;

/// Width of a figure, in points.
const FIGURE: f32 = 76.0;

/// The letters of a lane with their meanings; see [`crate::residency::watch::lane::LEGEND`].
const LETTERS: [(char, &str); 10] = [
    ('.', "on disk"),
    ('-', "partly in memory"),
    ('=', "in memory"),
    ('m', "in the page tables"),
    ('L', "locked"),
    ('d', "dirty"),
    ('D', "dirty and locked"),
    ('w', "in writeback"),
    ('s', "swapped out"),
    ('?', "not known"),
];

type FigureOf = fn(&FileLook) -> Option<u64>;

/// The figures of a file with their names, the most important one first.
const FIGURES: [(&str, FigureOf); 5] = [
    ("size", |look| Some(look.size_bytes)),
    ("in memory", |look| look.cached_bytes),
    ("dirty", |look| look.dirty_bytes),
    ("page tables", |look| look.mapped.map(|mapped| mapped.in_page_tables_bytes)),
    ("locked", |look| look.mapped.map(|mapped| mapped.locked_bytes)),
];

/// The widths of the columns, in points.
pub(super) struct Columns {
    name: f32,
    /// Number of figures that fit.
    figures: usize,
}

impl Columns {
    pub(super) fn of(width: f32) -> Columns {
        let name = (width * 0.2).clamp(80.0, 220.0);
        let figures = ((width * 0.45 / FIGURE) as usize).min(FIGURES.len());
        Columns { name, figures }
    }

    fn cells(&self, row: Rect) -> Rect {
        let right = (row.right() - self.figures as f32 * FIGURE - 8.0).max(row.left() + self.name + 8.0);
        Rect::from_min_max(pos2(row.left() + self.name, row.top()), pos2(right, row.bottom()))
    }
}

/// The colour of a texel in a cell of `w` by `h` texels. Each letter has a pattern of its own.
fn letter_texel(letter: char, at: (usize, usize), (w, h): (usize, usize), theme: &Theme) -> Color32 {
    let of = |page| texel(page, false, at, (w, h), theme);
    let is_upper = at.1 * 2 < h;
    of(match letter {
        '.' => PageState::OnDisk,
        '-' if is_upper => PageState::OnDisk,
        '-' | '=' => PageState::Cached,
        'm' => PageState::Resident,
        'D' if !is_upper => PageState::Locked,
        'L' => PageState::Locked,
        'd' | 'D' => PageState::Recorded,
        'w' => PageState::Writeback,
        's' => PageState::Silent,
        _ => PageState::None,
    })
}

/// A texture with a cell for each letter.
#[derive(Default)]
pub(super) struct Atlas {
    texture: Option<TextureHandle>,
    drawn: Option<(bool, (usize, usize))>,
}

impl Atlas {
    /// Draws the cells of a lane.
    fn draw(&mut self, ui: &Ui, cells: &str, rect: Rect, theme: &Theme) {
        let count = cells.len().max(1);
        let width = (rect.width() / count as f32).min(CELL_MAX);
        let scale = ui.pixels_per_point();
        let size = ((CELL_MAX * scale).round().max(3.0) as usize, (rect.height() * scale).round().max(3.0) as usize);
        if self.drawn != Some((theme.dark, size)) {
            self.drawn = Some((theme.dark, size));
            let image = image(size, theme);
            match &mut self.texture {
                Some(texture) => texture.set(image, TextureOptions::NEAREST),
                None => self.texture = Some(ui.ctx().load_texture("other files", image, TextureOptions::NEAREST)),
            }
        }
        let Some(texture) = &self.texture else { return };
        let mut mesh = Mesh::with_texture(texture.id());
        for (at, letter) in cells.chars().enumerate() {
            let index = LETTERS.iter().position(|(own, _)| *own == letter).unwrap_or(LETTERS.len() - 1) as f32;
            let cell =
                Rect::from_min_size(pos2(rect.left() + at as f32 * width, rect.top()), vec2(width, rect.height()));
            let part = |of: f32| of / LETTERS.len() as f32;
            mesh.add_rect_with_uv(
                cell,
                Rect::from_min_max(pos2(part(index), 0.0), pos2(part(index + 1.0), 1.0)),
                Color32::WHITE,
            );
        }
        ui.painter().add(Shape::mesh(mesh));
    }
}

fn image((w, h): (usize, usize), theme: &Theme) -> ColorImage {
    let mut image = ColorImage::filled([w * LETTERS.len(), h], theme.panel);
    for (index, (letter, _)) in LETTERS.iter().enumerate() {
        for y in 0..h {
            for x in 0..w {
                image.pixels[y * w * LETTERS.len() + index * w + x] = letter_texel(*letter, (x, y), (w, h), theme);
            }
        }
    }
    image
}

/// Draws the legend in as many lines as it needs.
pub(super) fn legend(ui: &mut Ui, theme: &Theme) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(12.0, 2.0);
        for (letter, name) in LETTERS {
            let galley = ui.painter().layout_no_wrap(name.to_owned(), Theme::font(11.0), theme.quiet);
            let (rect, _) = ui.allocate_exact_size(vec2(galley.size().x + 15.0, 15.0), Sense::hover());
            let mut mesh = Mesh::default();
            for y in 0..10 {
                for x in 0..10 {
                    let at = rect.left_center() + vec2(x as f32, y as f32 - 5.0);
                    let colour = letter_texel(letter, (x, y), (11, 11), theme);
                    mesh.add_colored_rect(Rect::from_min_size(at, vec2(1.0, 1.0)), colour);
                }
            }
            ui.painter().add(Shape::mesh(mesh));
            ui.painter().galley(rect.left_center() + vec2(15.0, -galley.size().y / 2.0), galley, theme.quiet);
        }
    });
}

/// Draws the names of the figures.
pub(super) fn head(ui: &mut Ui, columns: &Columns, theme: &Theme) {
    let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), 14.0), Sense::hover());
    for (at, (name, _)) in FIGURES.iter().take(columns.figures).enumerate() {
        let right = row.right() - (columns.figures - 1 - at) as f32 * FIGURE;
        text_at(ui, pos2(right, row.center().y), Align2::RIGHT_CENTER, name, Theme::font(10.0), theme.quiet, FIGURE);
    }
}

/// Draws a file.
pub(super) fn show(ui: &mut Ui, atlas: &mut Atlas, look: &FileLook, columns: &Columns, theme: &Theme) {
    let (row, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    let name =
        Path::new(&look.path).file_name().map_or_else(|| look.path.clone(), |name| name.to_string_lossy().into_owned());
    let label = label(&name, look);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &label));
    if !ui.is_rect_visible(row) {
        return;
    }
    let at = row.left_center();
    text_at(ui, at, Align2::LEFT_CENTER, &name, Theme::font(11.0), theme.text, columns.name - 8.0);
    let cells = columns.cells(row);
    match &look.problem {
        Some(problem) => {
            let width = row.right() - cells.left();
            text_at(ui, cells.left_center(), Align2::LEFT_CENTER, problem, Theme::font(11.0), theme.caution, width);
        }
        None => {
            atlas.draw(ui, &look.cells, cells.shrink2(vec2(0.0, 2.0)), theme);
            for (at, (_, figure)) in FIGURES.iter().take(columns.figures).enumerate() {
                let right = row.right() - (columns.figures - 1 - at) as f32 * FIGURE;
                let text = figure(look).map_or_else(|| "\u{2013}".to_owned(), memory_bytes);
                let place = pos2(right, row.center().y);
                text_at(ui, place, Align2::RIGHT_CENTER, &text, Theme::font(10.5), theme.text, FIGURE - 4.0);
            }
        }
    }
    response.on_hover_text(format!("{}\n{label}", look.path));
}

/// The figures of a file in words.
fn label(name: &str, look: &FileLook) -> String {
    if let Some(problem) = &look.problem {
        return format!("{name}: {problem}");
    }
    let known = FIGURES.iter().filter_map(|(name, figure)| Some(format!("{name} {}", memory_bytes(figure(look)?))));
    format!("{name}: {}", known.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residency::watch::MappedLook;
    use crate::residency::watch::lane::LEGEND;

    #[test]
    fn each_letter_of_a_lane_has_a_picture_of_its_own_and_a_meaning() {
        let letters: Vec<char> = LEGEND.split("  ").filter_map(|part| part.chars().next()).collect();
        assert!(
            letters.len() == LETTERS.len() && LETTERS.iter().all(|(letter, _)| letters.contains(letter)),
            "{letters:?}"
        );
        for theme in [Theme::dark(), Theme::light()] {
            let picture = |letter| -> Vec<Color32> {
                (0..90).map(|at| letter_texel(letter, (at % 9, at / 9), (9, 10), &theme)).collect()
            };
            for (at, (a, _)) in LETTERS.iter().enumerate() {
                assert!(LETTERS[at + 1..].iter().all(|(b, _)| picture(*a) != picture(*b)), "{a}");
            }
        }
    }

    #[test]
    fn a_file_says_its_figures_and_a_narrow_panel_has_fewer_of_them() {
        let mapped = MappedLook { in_page_tables_bytes: 2 << 20, locked_bytes: 1 << 20, ..MappedLook::default() };
        let look =
            FileLook { size_bytes: 4 << 20, cached_bytes: Some(3 << 20), mapped: Some(mapped), ..FileLook::default() };
        let text = label("a.wav", &look);
        assert!(text.starts_with("a.wav: size ") && text.contains("locked") && !text.contains("dirty"), "{text}");
        let shown = |width: f32| Columns::of(width).figures;
        assert!(shown(300.0) < shown(700.0) && shown(1400.0) == FIGURES.len());
        for width in [200.0_f32, 300.0, 700.0, 1400.0] {
            let row = Rect::from_min_size(pos2(0.0, 0.0), vec2(width, ROW));
            let cells = Columns::of(width).cells(row);
            assert!(8.0 <= cells.width() && row.contains_rect(cells), "{width}: {cells:?}");
        }
    }
}
