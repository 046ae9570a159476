//! The graphs of the figures over the last minute: their names, units and scales. Pure. Thread: any.

use super::rates::RatePoint;
use crate::limits::RESIDENCY_HISTORY_MS;

/// The unit of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Micros,
    Bytes,
}

/// One graph. All graphs share one axis of time.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    pub name: &'static str,
    /// The meaning of the graph, as a sentence.
    pub about: &'static str,
    pub unit: Unit,
    /// The height of the graph is at least this value, so that small values look small.
    pub floor: f64,
    /// Whether a value above the length of a period is trouble.
    pub has_deadline: bool,
    /// The figure that is drawn as an area.
    pub value: Figure,
    /// The name of a second figure, and the figure. It is drawn as a line.
    pub second: Option<(&'static str, Figure)>,
}

/// Reads a figure of a point; `None`: it is not known.
type Figure = fn(&RatePoint) -> Option<f64>;

/// The graphs, the most important one first: a low panel shows the first ones only.
pub const LANES: [Lane; 5] = [
    Lane {
        name: "Page faults",
        about: "Page faults of the audio thread in each half second. There should be none.",
        unit: Unit::Count,
        floor: 4.0,
        has_deadline: false,
        value: |point| point.faults().map(f64::from),
        second: None,
    },
    Lane {
        name: "Late wake-up",
        about: "The latest wake-up of the audio thread in each half second, after the moment at which the device's wait was to end.",
        unit: Unit::Micros,
        floor: 200.0,
        has_deadline: true,
        value: |point| point.late_us_max.map(f64::from),
        second: None,
    },
    Lane {
        name: "Commit",
        about: "The longest write to a take in each half second. The line is the longest sync of all takes. The audio thread waits for neither.",
        unit: Unit::Micros,
        floor: 10_000.0,
        has_deadline: false,
        value: |point| (0 < point.commits).then_some(f64::from(point.commit_us_max)),
        second: Some(("sync", |point| (0.0 < point.sync_us_max).then_some(f64::from(point.sync_us_max)))),
    },
    Lane {
        name: "Dirty",
        about: "Dirty bytes of the whole machine, which the kernel has not written yet. The line is the bytes in writeback.",
        unit: Unit::Bytes,
        floor: 4_194_304.0,
        has_deadline: false,
        value: |point| Some(point.machine_dirty_bytes as f64),
        second: Some(("writeback", |point| Some(point.machine_writeback_bytes as f64))),
    },
    Lane {
        name: "Run delay",
        about: "Time in each half second for which the audio thread could have run and no processor was free for it.",
        unit: Unit::Micros,
        floor: 1000.0,
        has_deadline: false,
        value: |point| point.run_delay_us.map(f64::from),
        second: None,
    },
];

impl Unit {
    /// A value with its unit: "41 µs", "1.2 ms", "4.7 MiB".
    pub fn text(self, value: f64) -> String {
        match self {
            Unit::Count => format!("{value:.0}"),
            Unit::Micros if value < 999.5 => format!("{value:.0} µs"),
            Unit::Micros if value < 9_950.0 => format!("{:.1} ms", value / 1e3),
            Unit::Micros if value < 999_500.0 => format!("{:.0} ms", value / 1e3),
            Unit::Micros => format!("{:.1} s", value / 1e6),
            Unit::Bytes if value < 1_048_576.0 => format!("{:.0} KiB", value / 1024.0),
            Unit::Bytes if value < 1e9 => format!("{:.1} MiB", value / 1_048_576.0),
            Unit::Bytes => format!("{:.1} GiB", value / 1_073_741_824.0),
        }
    }
}

impl Lane {
    /// The largest figure of the points; `None`: there is none.
    pub fn max(&self, points: &[RatePoint]) -> Option<f64> {
        points.iter().filter_map(|point| (self.value)(point)).reduce(f64::max)
    }

    /// The sum of a count, else the largest figure, in words.
    pub fn summary(&self, points: &[RatePoint]) -> String {
        if self.unit == Unit::Count {
            let known: Vec<f64> = points.iter().filter_map(|point| (self.value)(point)).collect();
            return if known.is_empty() { "not known".to_owned() } else { self.unit.text(known.iter().sum()) };
        }
        self.max(points).map_or_else(|| "\u{2013}".to_owned(), |max| format!("max {}", self.unit.text(max)))
    }

    /// The figures of one point in words: the first, then the second if there is one.
    pub fn text(&self, point: &RatePoint) -> String {
        let text = |value: Option<f64>| value.map_or_else(|| "\u{2013}".to_owned(), |value| self.unit.text(value));
        match self.second {
            Some((_, second)) if second(point).is_some_and(|value| 0.0 < value) => {
                format!("{} / {}", text((self.value)(point)), text(second(point)))
            }
            _ => text((self.value)(point)),
        }
    }

    /// The value at the upper edge of the graph.
    pub fn top(&self, points: &[RatePoint]) -> f64 {
        let second = |point: &RatePoint| self.second.and_then(|(_, second)| second(point));
        let second = points.iter().filter_map(second).reduce(f64::max);
        self.max(points).unwrap_or(0.0).max(second.unwrap_or(0.0)).max(self.floor)
    }
}

/// The span of time that the graphs show: the last minute up to `end_ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    pub end_ms: u64,
}

impl Axis {
    /// The place of a moment, from 0 at the left edge to 1 at the right one.
    pub fn place(self, at_ms: u64) -> f64 {
        1.0 - (self.end_ms as f64 - at_ms as f64) / RESIDENCY_HISTORY_MS as f64
    }

    /// The moment at a place.
    pub fn moment(self, place: f64) -> u64 {
        let before = (1.0 - place.clamp(0.0, 1.0)) * RESIDENCY_HISTORY_MS as f64;
        self.end_ms.saturating_sub(before as u64)
    }

    /// The points within the span.
    pub fn within(self, points: &[RatePoint]) -> &[RatePoint] {
        let first = points.partition_point(|point| self.place(point.at_ms) <= 0.0);
        let end = points.partition_point(|point| point.at_ms.saturating_sub(u64::from(point.ms)) < self.end_ms);
        points.get(first..end.max(first)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<RatePoint> {
        let point = |at: u64| RatePoint {
            at_ms: at * 500,
            ms: 500,
            minor_faults: Some(u32::from(at == 3)),
            major_faults: Some(0),
            late_us_max: Some(at as f32),
            machine_dirty_bytes: at << 20,
            machine_writeback_bytes: 3 << 20,
            ..RatePoint::default()
        };
        (1..=200).map(point).collect()
    }

    #[test]
    fn the_axis_is_a_minute_and_has_the_points_of_it() {
        let (axis, points) = (Axis { end_ms: 100_000 }, points());
        assert_eq!((axis.place(100_000), axis.place(40_000), axis.place(70_000)), (1.0, 0.0, 0.5));
        assert_eq!((axis.moment(0.5), axis.moment(-3.0), axis.moment(7.0)), (70_000, 40_000, 100_000));
        let within = axis.within(&points);
        assert_eq!((within.len(), within[0].at_ms, within.last().unwrap().at_ms), (120, 40_500, 100_000));
        assert_eq!(Axis { end_ms: 0 }.within(&points).len(), 0);
        assert_eq!(Axis { end_ms: 500 }.within(&points[..1]).len(), 1, "shortly after the start");
    }

    #[test]
    fn each_graph_has_its_figure_with_its_unit() {
        let points = points();
        let text = |name: &str| {
            let lane = LANES.iter().find(|lane| lane.name == name).unwrap();
            (lane.summary(&points), lane.text(&points[2]), lane.top(&points))
        };
        let own = |(summary, text): (&str, &str), top| (summary.to_owned(), text.to_owned(), top);
        assert_eq!(text("Page faults"), own(("1", "1"), 4.0));
        assert_eq!(text("Late wake-up"), own(("max 200 µs", "3 µs"), 200.0));
        assert_eq!(text("Dirty"), own(("max 200.0 MiB", "3.0 MiB / 3.0 MiB"), 209_715_200.0));
        assert_eq!(text("Commit"), own(("\u{2013}", "\u{2013}"), 10_000.0));
        assert_eq!(LANES[0].summary(&[]), "not known");
        let units = [Unit::Micros.text(1_240.0), Unit::Micros.text(18_000.0), Unit::Bytes.text(65_536.0)];
        assert_eq!(units, ["1.2 ms", "18 ms", "64 KiB"]);
    }
}
