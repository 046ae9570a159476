//! All colours, sizes and fonts of the window. Thread: ui.

use egui::{
    Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow, Stroke, Visuals, vec2,
};
use std::sync::Arc;

/// Grid of the layout, in points. All sizes below are in points too.
pub const GRID: f32 = 8.0;
/// Radius of buttons and cards.
pub const RADIUS: u8 = 8;
/// Height of a tall track row.
pub const ROW_TALL: f32 = 41.0;
/// Height of the tallest track row, when few tracks fill the window.
pub const ROW_TALLEST: f32 = 120.0;
/// Height of the smallest track row, so that 64 tracks fit.
pub const ROW_SMALLEST: f32 = 7.0;
/// Height of a compact track row.
pub const ROW_COMPACT: f32 = 25.0;
/// Height of the transport bar.
pub const BAR: f32 = 68.0;
/// Height of the health line.
pub const HEALTH: f32 = 30.0;
/// Height of the ruler and of the track list's head.
pub const RULER: f32 = 26.0;
/// Width of the track list.
pub const TRACKS: f32 = 344.0;
/// Width of the track list in a narrow window, without gain and pan. They are in the track's menu.
pub const TRACKS_NARROW: f32 = 232.0;

/// Width of the track list in a window of this width.
pub fn tracks_width(window: f32) -> f32 {
    if window < 800.0 { TRACKS_NARROW.min(window * 0.6) } else { TRACKS }
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// The colours of one theme.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    pub dark: bool,
    /// Background of the window.
    pub background: Color32,
    /// Bars and panels.
    pub panel: Color32,
    /// Cards and chips on a panel.
    pub card: Color32,
    pub button: Color32,
    /// A button under the pointer.
    pub button_hover: Color32,
    /// Lines between panels.
    pub line: Color32,
    /// Lines within a panel.
    pub line_soft: Color32,
    /// Sunken areas: meters, text fields, rails of faders.
    pub well: Color32,
    /// Text that matters most.
    pub strong: Color32,
    /// Text in the usual colour.
    pub text: Color32,
    /// Text of less importance.
    pub quiet: Color32,
    /// Text of something that cannot be used now.
    pub faint: Color32,
    /// Recording and loss of audio. Only these are red.
    pub record: Color32,
    /// A good state.
    pub good: Color32,
    /// A state with too little margin.
    pub caution: Color32,
    /// Selection, and controls to point out.
    pub accent: Color32,
    /// Mute switch that is on.
    pub mute: Color32,
    /// Solo switch that is on.
    pub solo: Color32,
    pub marker: Color32,
    /// Track colours. Index is the colour number of the track, modulo the length.
    pub tracks: [Color32; 12],
    /// Colours of the residency map.
    pub heat: Heat,
    /// Meter colours from low to high.
    pub meter: [Color32; 3],
}

/// Colours of page states in the residency map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heat {
    /// Not in memory.
    pub on_disk: Color32,
    /// In the page cache.
    pub cached: Color32,
    /// Mapped and resident.
    pub ready: Color32,
    /// Locked in memory.
    pub locked: Color32,
    /// The play or record head.
    pub head: Color32,
    /// Recorded, not yet on the disk.
    pub recorded: Color32,
    /// In writeback by the kernel.
    pub writeback: Color32,
    /// Written to the file.
    pub committed: Color32,
    /// Written to the file and synced: safe against a power cut.
    pub durable: Color32,
    /// Write-protected, so that the next store would fault. Also marks pages where ledger and kernel disagree.
    pub write_protected: Color32,
}

/// The colours of one level: good, caution or loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tint {
    pub sign: Color32,
    pub text: Color32,
    /// Colour of the background.
    pub fill: Color32,
    /// Colour of the border.
    pub line: Color32,
}

impl Tint {
    /// Colour of a button in the line.
    pub fn button(&self) -> Color32 {
        mixed(self.fill, self.sign, 0.35)
    }
}

/// The contrast at which white text on a filled colour can be read. It is less than the 4.5 of running text, because text on
/// buttons is of medium weight.
const WHITE_CONTRAST_MIN: f64 = 3.6;

impl Theme {
    pub fn dark() -> Theme {
        Theme {
            dark: true,
            background: rgb(0x13_1518),
            panel: rgb(0x18_1b1f),
            card: rgb(0x1d_2126),
            button: rgb(0x24_292f),
            button_hover: rgb(0x2e_343b),
            line: rgb(0x26_2a30),
            line_soft: rgb(0x1f_2226),
            well: rgb(0x0e_1012),
            strong: rgb(0xee_f1f4),
            text: rgb(0xd6_dae0),
            quiet: rgb(0x98_a0ab),
            faint: rgb(0x6b_737e),
            record: rgb(0xe5_484d),
            good: rgb(0x3f_b27f),
            caution: rgb(0xe0_a63a),
            accent: rgb(0x55_b3e6),
            mute: rgb(0x4d_6fb3),
            solo: rgb(0xd9_a326),
            marker: rgb(0x8f_7ae6),
            tracks: [
                0xe0_6c75, 0xe5_936b, 0xd9_b85b, 0xc9_c162, 0x7f_c27a, 0x4f_b6a5, 0x58_a6d9, 0x7f_8fe0, 0xa8_83dd,
                0xd0_7fc0, 0xb5_9a86, 0x8a_929d,
            ]
            .map(rgb),
            heat: Heat {
                on_disk: rgb(0x22_262b),
                cached: rgb(0x2f_4858),
                ready: rgb(0x2f_7fae),
                locked: rgb(0x55_b3e6),
                head: rgb(0xf2_f4f7),
                recorded: rgb(0xe0_a63a),
                writeback: rgb(0xb0_7a4a),
                committed: rgb(0x3f_a678),
                durable: rgb(0x2c_6b52),
                write_protected: rgb(0xe5_484d),
            },
            meter: [0x2f_9e6a, 0xd9_c24b, 0xe5_484d].map(rgb),
        }
    }

    /// The light theme has its own colours. They are not the inverted dark ones.
    pub fn light() -> Theme {
        Theme {
            dark: false,
            background: rgb(0xf3_f4f6),
            panel: rgb(0xfc_fcfd),
            card: rgb(0xff_ffff),
            button: rgb(0xe8_eaee),
            button_hover: rgb(0xdb_dfe5),
            line: rgb(0xd5_d9df),
            line_soft: rgb(0xe4_e7eb),
            well: rgb(0xdf_e3e8),
            strong: rgb(0x12_161b),
            text: rgb(0x2a_3038),
            quiet: rgb(0x54_5d68),
            faint: rgb(0x85_8d98),
            record: rgb(0xd4_2f36),
            good: rgb(0x1b_8a58),
            caution: rgb(0xa8_6d00),
            accent: rgb(0x17_7db5),
            mute: rgb(0x41_62a8),
            solo: rgb(0xc4_8a0a),
            marker: rgb(0x6d_55d6),
            tracks: [
                0xc8_4a55, 0xc9_6f3f, 0xb0_8a1e, 0x95_8d20, 0x49_9644, 0x1f_8f7d, 0x2c_80b8, 0x56_68c8, 0x84_5bc0,
                0xaf_559c, 0x8d_6f58, 0x6a_737f,
            ]
            .map(rgb),
            heat: Heat {
                on_disk: rgb(0xe3_e6ea),
                cached: rgb(0xb9_cfdc),
                ready: rgb(0x6f_b4dc),
                locked: rgb(0x1f_86c4),
                head: rgb(0x12_161b),
                recorded: rgb(0xd9_9416),
                writeback: rgb(0xb8_7c3c),
                committed: rgb(0x2e_9d6a),
                durable: rgb(0x8c_cbac),
                write_protected: rgb(0xd4_2f36),
            },
            meter: [0x22_8f5c, 0xc7_a41d, 0xd4_2f36].map(rgb),
        }
    }

    /// The colour of a track with colour number `colour`.
    pub fn track(&self, colour: u8) -> Color32 {
        self.tracks[colour as usize % self.tracks.len()]
    }

    /// Colour of text on the colour `fill`: white where white can be read, otherwise almost black.
    pub fn on(fill: Color32) -> Color32 {
        let dark = rgb(0x0e_1012);
        let is_white_readable = WHITE_CONTRAST_MIN <= contrast(Color32::WHITE, fill);
        if is_white_readable || contrast(dark, fill) < contrast(Color32::WHITE, fill) { Color32::WHITE } else { dark }
    }

    /// The colours of a level, made from the colour of its sign.
    pub fn tint(&self, sign: Color32) -> Tint {
        let (fill, line) = if self.dark { (0.12, 0.24) } else { (0.10, 0.30) };
        Tint {
            sign,
            text: if self.dark { mixed(sign, Color32::WHITE, 0.42) } else { mixed(sign, Color32::BLACK, 0.25) },
            fill: mixed(self.background, sign, fill),
            line: mixed(self.background, sign, line),
        }
    }

    /// Text of regular weight.
    pub fn font(size: f32) -> FontId {
        FontId::new(size, FontFamily::Proportional)
    }

    pub fn medium(size: f32) -> FontId {
        FontId::new(size, FontFamily::Name("medium".into()))
    }

    /// Text of semi-bold weight.
    pub fn semi(size: f32) -> FontId {
        FontId::new(size, FontFamily::Name("semibold".into()))
    }

    /// Fixed width, for numbers in columns.
    pub fn mono(size: f32) -> FontId {
        FontId::new(size, FontFamily::Monospace)
    }

    /// Gives colours, sizes and fonts of text styles to egui.
    pub fn install(&self, ctx: &egui::Context) {
        let mut visuals = if self.dark { Visuals::dark() } else { Visuals::light() };
        visuals.panel_fill = self.panel;
        visuals.window_fill = self.card;
        visuals.window_stroke = Stroke::new(1.0, self.line);
        visuals.window_corner_radius = CornerRadius::same(RADIUS + 2);
        visuals.menu_corner_radius = CornerRadius::same(RADIUS);
        visuals.extreme_bg_color = self.well;
        visuals.faint_bg_color = self.line_soft;
        visuals.hyperlink_color = self.accent;
        visuals.selection.bg_fill = mixed(self.background, self.accent, 0.40);
        visuals.selection.stroke = Stroke::new(1.0, self.strong);
        visuals.warn_fg_color = self.caution;
        visuals.error_fg_color = self.record;
        let shadow = Shadow {
            offset: [0, 6],
            blur: 24,
            spread: 0,
            color: Color32::from_black_alpha(if self.dark { 110 } else { 40 }),
        };
        visuals.window_shadow = shadow;
        visuals.popup_shadow = shadow;
        let radius = CornerRadius::same(6);
        let states = [
            (&mut visuals.widgets.noninteractive, self.panel, self.line, self.text),
            (&mut visuals.widgets.inactive, self.button, self.button, self.text),
            (&mut visuals.widgets.hovered, self.button_hover, self.button_hover, self.strong),
            (&mut visuals.widgets.active, self.button_hover, self.accent, self.strong),
            (&mut visuals.widgets.open, self.button_hover, self.line, self.strong),
        ];
        for (state, fill, line, text) in states {
            state.bg_fill = fill;
            state.weak_bg_fill = fill;
            state.bg_stroke = Stroke::new(1.0, line);
            state.fg_stroke = Stroke::new(1.0, text);
            state.corner_radius = radius;
            state.expansion = 0.0;
        }
        ctx.set_theme(if self.dark { egui::Theme::Dark } else { egui::Theme::Light });
        ctx.all_styles_mut(|style| {
            style.visuals = visuals.clone();
            style.spacing.item_spacing = vec2(GRID, GRID * 0.75);
            style.spacing.button_padding = vec2(10.0, 5.0);
            style.spacing.interact_size = vec2(32.0, 26.0);
            style.spacing.window_margin = Margin::same(16);
            style.spacing.menu_margin = Margin::same(8);
            style.spacing.scroll = egui::style::ScrollStyle { bar_width: 8.0, ..egui::style::ScrollStyle::thin() };
            style.animation_time = 0.12;
            style.interaction.tooltip_delay = 0.35;
            style.text_styles = [
                (egui::TextStyle::Small, Theme::font(11.0)),
                (egui::TextStyle::Body, Theme::font(12.5)),
                (egui::TextStyle::Button, Theme::medium(12.5)),
                (egui::TextStyle::Heading, Theme::semi(15.0)),
                (egui::TextStyle::Monospace, Theme::mono(12.0)),
            ]
            .into();
        });
    }
}

/// Loads the fonts into egui. Call it once, at the start.
pub fn install_fonts(ctx: &egui::Context) {
    let mut fonts = FontDefinitions::default();
    let ours: [(&str, &'static [u8]); 4] = [
        ("inter", include_bytes!("../../assets/fonts/InterTab-Regular.otf")),
        ("inter-medium", include_bytes!("../../assets/fonts/InterTab-Medium.otf")),
        ("inter-semibold", include_bytes!("../../assets/fonts/InterTab-SemiBold.otf")),
        ("jetbrains", include_bytes!("../../assets/fonts/JetBrainsMono-Medium.ttf")),
    ];
    for (name, bytes) in ours {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    }
    let fallbacks = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    for (family, name) in [
        (FontFamily::Proportional, "inter"),
        (FontFamily::Name("medium".into()), "inter-medium"),
        (FontFamily::Name("semibold".into()), "inter-semibold"),
    ] {
        let list = std::iter::once(name.to_owned()).chain(fallbacks.iter().cloned()).collect();
        fonts.families.insert(family, list);
    }
    if let Some(list) = fonts.families.get_mut(&FontFamily::Monospace) {
        list.insert(0, "jetbrains".to_owned());
    }
    ctx.set_fonts(fonts);
}

/// Mixes two colours: `part` 0.0 is `a`, 1.0 is `b`.
pub fn mixed(a: Color32, b: Color32, part: f32) -> Color32 {
    let channel = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * part).round() as u8;
    Color32::from_rgba_premultiplied(
        channel(a.r(), b.r()),
        channel(a.g(), b.g()),
        channel(a.b(), b.b()),
        channel(a.a(), b.a()),
    )
}

/// Relative luminance of a colour, as WCAG defines it.
fn luminance(colour: Color32) -> f64 {
    let [r, g, b, _] = colour.to_array().map(|channel| {
        let part = f64::from(channel) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// Contrast ratio of two colours, as WCAG defines it: from 1 to 21.
fn contrast(a: Color32, b: Color32) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Export now" was white on light blue, and "OK" white on pale red in the light theme.
    #[test]
    fn text_on_a_filled_button_can_be_read_in_both_themes() {
        for theme in [Theme::dark(), Theme::light()] {
            let signs = [theme.good, theme.caution, theme.record];
            let cures = signs.map(|sign| theme.tint(sign).button());
            for fill in [theme.accent, theme.mute, theme.solo, theme.record].into_iter().chain(cures) {
                let found = contrast(Theme::on(fill), fill);
                assert!(WHITE_CONTRAST_MIN <= found, "dark {}: {found:.2} on {fill:?}", theme.dark);
            }
        }
    }

    /// The first sentence that a newcomer needs had a contrast of 2.8.
    #[test]
    fn quiet_text_can_be_read_in_both_themes() {
        for theme in [Theme::dark(), Theme::light()] {
            for behind in [theme.background, theme.panel, theme.card, theme.button, theme.well] {
                let least = contrast(theme.quiet, behind);
                assert!(4.5 <= least, "dark {}: {least:.2} on {behind:?}", theme.dark);
                assert!(least < contrast(theme.text, behind), "quiet text is quieter than text");
            }
            for sign in [theme.good, theme.caution, theme.record] {
                let tint = theme.tint(sign);
                let found = contrast(tint.text, tint.fill);
                assert!(4.5 <= found, "dark {}: {found:.2} in the health line", theme.dark);
            }
        }
    }
}
