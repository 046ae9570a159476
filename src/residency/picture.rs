//! A picture of the residency map for a report: the last sample with the figures of the minute above it, as SVG. Any browser
//! shows it, and it needs no toolkit. Pure. Thread: any.

use super::faults::SeenFault;
use super::lanes::{Axis, LANES, Lane, Unit};
use super::rates::RatePoint;
use super::sample::{Pages, Row, RowKey, Sample};
use super::state::{Cell, PageState};
use crate::limits::RESIDENCY_HISTORY_MS;
use std::fmt::Write;
use std::sync::Arc;

/// Sizes in pixels.
const NAMES: f64 = 150.0;
const PLOT: f64 = 840.0;
const VALUES: f64 = 190.0;
const LANE: f64 = 34.0;
const ROW: f64 = 16.0;

/// The states with their names and colours, in the order of a page's life.
const STATES: [(PageState, &str, &str); 11] = [
    (PageState::OnDisk, "on disk", "#d4d8dd"),
    (PageState::Silent, "silence", "#e6e8eb"),
    (PageState::Cached, "cached", "#b3c3d6"),
    (PageState::Resident, "ready", "#8fc3a4"),
    (PageState::Locked, "locked", "#3f9b6c"),
    (PageState::Recorded, "recorded", "#e0893f"),
    (PageState::Writeback, "in writeback", "#c9a227"),
    (PageState::Committed, "committed", "#6f9fd8"),
    (PageState::Durable, "durable", "#3c6fb4"),
    (PageState::WriteProtected, "write-protected", "#cf3f4f"),
    (PageState::Free, "free slot", "#eef0f3"),
];

/// The picture of the last sample of `history`. `name` gives the name of a row's track. `None`: there is no sample.
pub fn picture(
    history: &[Arc<Sample>],
    rates: &[RatePoint],
    faults: &[SeenFault],
    name: &dyn Fn(&RowKey) -> Option<String>,
) -> Option<String> {
    let sample = history.last()?;
    let axis = Axis { end_ms: rates.last().map_or(0, |point| point.at_ms).max(sample.at.0) };
    let lanes_end = 34.0 + LANE * LANES.len() as f64;
    let rows_from = lanes_end + 62.0;
    let height = rows_from + ROW * sample.rows.len() as f64 + 60.0;
    let width = NAMES + PLOT + VALUES;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"#333\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    text(&mut out, (NAMES, 20.0), "start", "Figures over the last minute");
    for (at, lane) in LANES.iter().enumerate() {
        draw_lane(&mut out, lane, axis, axis.within(rates), 30.0 + LANE * at as f64);
    }
    for step in 0..=6 {
        let x = NAMES + PLOT * f64::from(step) / 6.0;
        let seconds = f64::from(6 - step) * RESIDENCY_HISTORY_MS as f64 / 6000.0;
        let label = if step == 6 { "0 s".to_owned() } else { format!("\u{2212}{seconds:.0} s") };
        text(&mut out, (x, lanes_end + 12.0), "middle", &label);
    }
    let pages = if sample.view.pages == Pages::Pool { "Slots of the spools" } else { "Pages around the heads" };
    let title = format!("{pages} {:.1} s before", (axis.end_ms - sample.at.0) as f64 / 1000.0);
    text(&mut out, (NAMES, rows_from - 10.0), "start", &title);
    for (at, row) in sample.rows.iter().enumerate() {
        draw_row(&mut out, row, rows_from + ROW * at as f64, &name(&row.key).unwrap_or_default(), faults, sample);
    }
    legend(&mut out, rows_from + ROW * sample.rows.len() as f64 + 24.0);
    out.push_str("</svg>\n");
    Some(out)
}

fn draw_lane(out: &mut String, lane: &Lane, axis: Axis, points: &[RatePoint], top: f64) {
    let (height, bottom, most) = (LANE - 8.0, top + LANE - 8.0, lane.top(points));
    text(out, (NAMES - 8.0, bottom - 6.0), "end", lane.name);
    text(out, (NAMES + PLOT + 8.0, bottom - 6.0), "start", &lane.summary(points));
    rect(out, (NAMES, top), (PLOT, height), "#f4f5f7");
    let colour = if lane.unit == Unit::Count { "#cf3f4f" } else { "#7f95ad" };
    for point in points {
        let Some(value) = (lane.value)(point).filter(|value| 0.0 < *value) else { continue };
        let right = axis.place(point.at_ms).clamp(0.0, 1.0);
        let left = axis.place(point.at_ms.saturating_sub(u64::from(point.ms))).clamp(0.0, 1.0);
        let tall = (value / most * height).max(1.0);
        rect(out, (NAMES + left * PLOT, bottom - tall), (((right - left) * PLOT).max(1.0), tall), colour);
    }
}

fn draw_row(out: &mut String, row: &Row, top: f64, name: &str, faults: &[SeenFault], sample: &Sample) {
    text(out, (NAMES - 8.0, top + 11.0), "end", name);
    let cell = PLOT / row.cells.len().max(1) as f64;
    let mut at = 0;
    for run in row.cells.chunk_by(|a, b| (a.shown(), a.disagrees()) == (b.shown(), b.disagrees())) {
        let (x, width) = (NAMES + at as f64 * cell, run.len() as f64 * cell);
        at += run.len();
        let shown = run[0].shown();
        if let Some((_, _, colour)) = STATES.iter().find(|(state, _, _)| *state == shown) {
            rect(out, (x, top), (width, ROW - 2.0), colour);
        }
        if run[0].disagrees() {
            let tall = ROW - 3.0;
            writeln!(
                out,
                r##"<rect x="{x:.1}" y="{top:.1}" width="{width:.1}" height="{tall}" fill="none" stroke="#cf3f4f"/>"##
            )
            .ok();
        }
    }
    let x_of = |byte: u64| NAMES + (byte as f64 - row.first_byte as f64) / row.bytes_per_cell.max(1) as f64 * cell;
    let within = NAMES..=NAMES + PLOT;
    for (byte, colour) in [(row.head_byte, "#111"), (row.lead_byte, "#666")] {
        if within.contains(&x_of(byte)) {
            rect(out, (x_of(byte), top - 1.0), (2.0, ROW), colour);
        }
    }
    for fault in faults.iter().filter(|fault| fault.at <= sample.at) {
        let Some(x) = row.byte_of(&fault.fault).map(x_of).filter(|x| within.contains(x)) else { continue };
        let y = top + ROW / 2.0 - 1.0;
        writeln!(out, r##"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="#cf3f4f" stroke="#fff"><title>"##).ok();
        out.push_str(&escaped(&fault.fault.text()));
        out.push_str("</title></circle>\n");
    }
    text(out, (NAMES + PLOT + 8.0, top + 11.0), "start", &ends(&row.cells));
}

/// Cells that disagree, in words.
fn ends(cells: &[Cell]) -> String {
    match cells.iter().filter(|cell| cell.disagrees()).count() {
        0 => String::new(),
        1 => "1 cell disagrees".to_owned(),
        many => format!("{many} cells disagree"),
    }
}

fn legend(out: &mut String, y: f64) {
    let mut x = NAMES;
    for (_, name, colour) in STATES {
        rect(out, (x, y - 9.0), (10.0, 10.0), colour);
        text(out, (x + 14.0, y), "start", name);
        x += 30.0 + 6.2 * name.len() as f64;
    }
    writeln!(out, r##"<circle cx="{:.1}" cy="{:.1}" r="3.5" fill="#cf3f4f"/>"##, x + 5.0, y - 4.0).ok();
    text(out, (x + 14.0, y), "start", "page fault");
}

fn rect(out: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str) {
    // Writing into a text cannot fail.
    writeln!(out, r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#).ok();
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escaped(words)).ok();
}

fn escaped(words: &str) -> String {
    let plain = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    plain.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::super::faults::{FaultPlace, tests::fault};
    use super::super::ledger::Stamp;
    use super::super::sample::tests::{row, sample as sample_of};
    use super::super::state::Kernel;
    use super::*;
    use crate::message::take::TakeKey;
    use uuid::Uuid;

    fn sample(take: Uuid) -> Arc<Sample> {
        let cells = [PageState::Durable, PageState::Recorded, PageState::Locked, PageState::None];
        let cells = cells.map(|state| Cell::new(state, Kernel::Mapped, false)).to_vec();
        let key = RowKey::Take { uuid: take, key: TakeKey(1) };
        Arc::new(sample_of(60_000, row(key, 4096, 4096, cells)))
    }

    #[test]
    fn the_picture_has_rows_graphs_legend_and_the_fault_on_its_cell() {
        let take = Uuid::from_u128(7);
        let place = FaultPlace::Capture { take, file: "/a/<b>.wav".to_owned(), page: 2, byte: 8300, locked: true };
        let seen = |place| SeenFault { number: 1, at: Stamp(59_000), fault: Arc::new(fault(1, place)) };
        let rates = [RatePoint { at_ms: 61_000, ms: 500, late_us_max: Some(120.0), ..RatePoint::default() }];
        let name = |_: &RowKey| Some("Kick & snare".to_owned());
        let faults = [seen(place), seen(FaultPlace::Heap)];
        let svg = picture(&[sample(take)], &rates, &faults, &name).unwrap();
        for part in ["Kick &amp; snare", "Late wake-up", "max 120 µs", "write-protected", "#e0893f", "1.0 s before"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert_eq!(svg.matches("<title>").count(), 1, "the heap has no cell");
        assert!(svg.contains("&lt;b&gt;.wav, capture, page 2"));
        // One document whose elements are closed.
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.matches("<svg").count() == 1);
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(picture(&[], &rates, &faults, &name).is_none());
    }
}
