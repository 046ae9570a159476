//! Sizes, leads and spans of windows. Thread: any. Pure.

use crate::limits;
use crate::message::offset::SpoolByte;
use crate::message::{PlayPath, PlayRegion};
use crate::time::{FramePos, Frames};

/// The smallest number of bytes that is whole pages and whole frames of `frame_bytes` bytes: 4,096 for 2 and 4 bytes,
/// 12,288 for 3 and 6.
pub const fn granule_bytes(frame_bytes: usize) -> usize {
    let (mut a, mut b) = (limits::PAGE_BYTES, frame_bytes);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    limits::PAGE_BYTES / a * frame_bytes
}

/// The length of a window of about `wanted` bytes: whole granules, at least one.
pub fn window_bytes(frame_bytes: usize, wanted: usize) -> usize {
    let granule = granule_bytes(frame_bytes);
    let wanted = wanted.clamp(limits::WINDOW_BYTES_MIN, limits::WINDOW_BYTES_MAX);
    (wanted / granule).max(1) * granule
}

/// How the windows of several streams share a budget of locked memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// Length to aim at for one window, in bytes.
    pub window_bytes: usize,
    /// Number of windows ahead of the one in use.
    pub windows: usize,
    /// Whether the budget holds all of them, including the one in use.
    pub fits: bool,
}

/// The memory and the mappings that the windows of several streams may use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Bytes of locked memory.
    pub bytes: u64,
    /// Mappings of the process: the kernel bounds their number.
    pub mappings: usize,
}

/// The part of a lock budget that capture may use. It is larger than that of playback, because recording comes first.
pub const fn capture_share(budget: u64) -> Share {
    Share { bytes: budget / 8 * 5, mappings: limits::SPOOL_SLOTS_KEPT_MAX }
}

/// The part of a lock budget that playback may use.
pub const fn playback_share(budget: u64) -> Share {
    Share { bytes: budget / 8 * 3, mappings: limits::GUARDED_MAPPINGS_MAX }
}

/// Slots that the spool of a take keeps, with and without a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptSlots {
    /// Slots that keep their memory.
    pub slots: usize,
    /// Slots that stay locked while no window is in them. The budget holds them beside the windows.
    pub locked: usize,
}

/// The slots for the windows of `lead` and for sound that waits for the disk. `budget`, `streams` and `bytes_per_second`
/// are those of [`lead`].
pub fn kept_slots(lead: &Lead, budget: u64, streams: usize, bytes_per_second: u64) -> KeptSlots {
    let (streams, bytes) = (streams.max(1), lead.window_bytes as u64);
    let waiting_ms = limits::SPOOL_BACKLOG_MS + streams as u64 * limits::SPOOL_BACKLOG_US_PER_TAKE / 1000;
    let waiting = bytes_per_second.saturating_mul(waiting_ms).div_ceil(bytes * 1000) as usize + 1;
    let windows = lead.windows + 1;
    let slots = (windows + waiting).min(limits::SPOOL_SLOTS_KEPT_MAX / streams).max(windows);
    let affordable = usize::try_from(budget / streams as u64 / bytes).unwrap_or(usize::MAX);
    KeptSlots { slots, locked: affordable.saturating_sub(windows).min(slots - windows) }
}

/// Windows that a stream can have besides those of its lead: those in use, those that are given back, and those of playback
/// that wait for their pages.
const WINDOWS_BESIDE_LEAD: u64 = 5;

/// Divides a share among `streams` streams of `bytes_per_second` each. Each stream gets a lead of `lead_ms`, or
/// as much as the budget allows, but at least [`limits::LEAD_WINDOWS_MIN`] windows; those that do not fit are not
/// locked. A window holds at least `period_bytes`, so that two windows always hold a period.
pub fn lead(
    share: Share,
    streams: usize,
    frame_bytes: usize,
    bytes_per_second: u64,
    lead_ms: u64,
    period_bytes: usize,
) -> Lead {
    let (streams, budget) = (streams.max(1) as u64, share.bytes);
    let least = limits::LEAD_WINDOWS_MIN as u64 + 1;
    let affordable = usize::try_from(budget / streams / least).unwrap_or(usize::MAX);
    let wanted_bytes = affordable.min(limits::WINDOW_BYTES_DEFAULT).max(period_bytes + granule_bytes(frame_bytes));
    let bytes = window_bytes(frame_bytes, wanted_bytes);
    let wanted = bytes_per_second.saturating_mul(lead_ms).div_ceil(bytes as u64 * 1000) + 1;
    let affordable = (budget / streams / bytes as u64).saturating_sub(1);
    let mappings = (share.mappings as u64 / streams).saturating_sub(WINDOWS_BESIDE_LEAD);
    let windows =
        wanted.min(affordable).min(mappings).clamp(limits::LEAD_WINDOWS_MIN as u64, limits::RING_WINDOWS as u64 - 2);
    let fits = (windows + 1) * bytes as u64 * streams <= budget;
    Lead { window_bytes: bytes, windows: windows as usize, fits }
}

/// The span of a take that a capture window is going to be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedSpan {
    /// Position in the take of the first frame.
    pub start: FramePos,
    /// Length in frames.
    pub frames: Frames,
    /// Offset of the first byte; whole pages.
    pub offset: SpoolByte,
    /// Length in bytes; whole pages.
    pub bytes: usize,
}

/// The span of the window that begins at frame `start` of a take, where the window before ended.
///
/// Every window ends on a multiple of `window_bytes`, shifted by `phase` granules. The takes of a pass have different
/// phases, so that they do not all change windows in the same period.
pub fn planned_span(start: FramePos, frame_bytes: usize, window_bytes: usize, phase: usize) -> PlannedSpan {
    let granule = granule_bytes(frame_bytes) as u64;
    let (window, frame) = (window_bytes as u64, frame_bytes as u64);
    debug_assert!(window.is_multiple_of(granule));
    let at = start.0 * frame;
    debug_assert!(at.is_multiple_of(granule), "a window begins on a page and a frame");
    let shift = phase as u64 * granule % window;
    let end = (at + shift) / window * window + window - shift;
    PlannedSpan { start, frames: Frames((end - at) / frame), offset: SpoolByte::DATA + at, bytes: (end - at) as usize }
}

/// The last position at or before `frame` at which a window can begin.
pub fn window_start(frame: FramePos, frame_bytes: usize) -> FramePos {
    let frames = (granule_bytes(frame_bytes) / frame_bytes) as u64;
    FramePos(frame.0 / frames * frames)
}

/// Content of a track at a stream frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaySpan {
    /// Sound of a region.
    Sound {
        /// Index of the region.
        region: usize,
        /// Frame of the take.
        take_frame: u64,
        /// Frames to the end of the region or of the loop.
        frames: u64,
    },
    /// Silence between regions.
    Gap {
        /// Frames to the next region or to the end of the loop; `u64::MAX` if nothing follows.
        frames: u64,
    },
}

/// The content of a track at stream frame `stream`. `regions` are in order and do not overlap.
pub fn play_span(regions: &[PlayRegion], path: &PlayPath, stream: u64) -> PlaySpan {
    let at = path.at(stream);
    let straight = path.straight(stream);
    let next = regions.partition_point(|region| region.start + region.length <= at);
    match regions.get(next) {
        Some(region) if region.start <= at => PlaySpan::Sound {
            region: next,
            take_frame: region.take_start.0.saturating_add(at.since(region.start).0),
            frames: (region.start + region.length).since(at).0.min(straight),
        },
        Some(region) => PlaySpan::Gap { frames: region.start.since(at).0.min(straight) },
        None => PlaySpan::Gap { frames: straight },
    }
}

/// The bytes of a file to map for a playback window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSpan {
    /// Offset in the file of the first byte to map; whole pages.
    pub offset: u64,
    /// Bytes to map; whole pages.
    pub bytes: usize,
    /// Bytes from the start of the mapping to the first frame to play.
    pub skip_bytes: usize,
    /// Frames to play.
    pub frames: u64,
}

/// The bytes to map from frame `take_frame` of a file on whose sound begins at `data_offset`: at most `frames` frames
/// in about `window_bytes` bytes.
pub fn map_span(take_frame: u64, frames: u64, frame_bytes: usize, data_offset: u64, window_bytes: usize) -> MapSpan {
    let page = limits::PAGE_BYTES as u64;
    let first = data_offset + take_frame * frame_bytes as u64;
    let offset = first / page * page;
    let skip = first - offset;
    let fitting = (window_bytes as u64 - skip) / frame_bytes as u64;
    let frames = frames.min(fitting.max(1));
    let bytes = (skip + frames * frame_bytes as u64).next_multiple_of(page);
    MapSpan { offset, bytes: bytes as usize, skip_bytes: skip as usize, frames }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::message::PlayFile;
    use crate::wav::take_sound::{TakeProgress, TakeSound};
    use proptest::prelude::*;
    use std::path::PathBuf;
    use std::sync::Arc;

    #[test]
    fn a_granule_is_whole_pages_and_whole_frames() {
        assert_eq!([2, 3, 4, 6, 8].map(granule_bytes), [4096, 12_288, 4096, 12_288, 4096]);
        assert_eq!(window_bytes(3, limits::WINDOW_BYTES_DEFAULT), 61_440);
        assert_eq!(window_bytes(4, limits::WINDOW_BYTES_DEFAULT), 65_536);
    }

    #[test]
    fn eight_mebibytes_hold_24_tracks_both_ways() {
        let limit = 8 << 20;
        let record = lead(capture_share(limit), 24, 3, 144_000, 1000, 192);
        let play = lead(playback_share(limit), 24, 3, 144_000, 1000, 192);
        assert!(record.fits && play.fits, "{record:?} {play:?}");
        assert!(limits::LEAD_WINDOWS_MIN <= record.windows);
    }

    #[test]
    fn two_windows_hold_a_period_however_long_it_is() {
        for frame_bytes in [2, 3, 4, 6, 8] {
            let period_bytes = limits::PERIOD_FRAMES_MAX * frame_bytes;
            let lead = lead(locking(0), 200, frame_bytes, 48_000 * frame_bytes as u64, 1000, period_bytes);
            assert!(period_bytes <= lead.window_bytes, "{lead:?}");
        }
    }

    #[test]
    fn slots_stay_locked_where_the_budget_holds_them_and_never_at_the_cost_of_a_window() {
        let kept = |budget: u64, streams: usize, rate: u64| {
            let lead = lead(locking(budget), streams, 4, rate, 1000, 256);
            (lead, kept_slots(&lead, budget, streams, rate))
        };
        let (lead, slots) = kept(capture_share(64 << 20).bytes, 24, 192_000);
        assert_eq!((lead.windows, slots), (4, KeptSlots { slots: 10, locked: 5 }));
        let (lead, slots) = kept(capture_share(8 << 20).bytes, 24, 192_000);
        assert!(lead.fits && slots.locked == 0 && lead.windows < slots.slots, "{lead:?} {slots:?}");
        let (lead, slots) = kept(capture_share(1 << 30).bytes, 1024, 192_000);
        assert_eq!((lead.window_bytes, slots), (65_536, KeptSlots { slots: 11, locked: 5 }));
    }

    #[test]
    fn a_budget_that_is_too_small_is_reported() {
        assert!(!lead(locking(0), 24, 3, 144_000, 1000, 192).fits);
        assert_eq!(lead(locking(0), 24, 3, 144_000, 1000, 192).windows, limits::LEAD_WINDOWS_MIN);
    }

    const SOUND: TakeSound =
        TakeSound { channels: 1, rate: 48_000, format: TakeFormat::S24, progress: TakeProgress::Finished };

    fn region(start: u64, length: u64, take_start: u64) -> PlayRegion {
        PlayRegion {
            start: FramePos(start),
            length: Frames(length),
            take_start: FramePos(take_start),
            file: Arc::new(PlayFile { path: Arc::default(), earlier_path: PathBuf::new(), sound: SOUND }),
            edges: crate::window::playback::Edges::NONE,
        }
    }

    #[test]
    fn regions_gaps_and_the_end_follow_each_other() {
        let regions = [region(10, 20, 5), region(40, 10, 0)];
        let path = PlayPath::default();
        assert_eq!(play_span(&regions, &path, 0), PlaySpan::Gap { frames: 10 });
        assert_eq!(play_span(&regions, &path, 12), PlaySpan::Sound { region: 0, take_frame: 7, frames: 18 });
        assert_eq!(play_span(&regions, &path, 30), PlaySpan::Gap { frames: 10 });
        assert_eq!(play_span(&regions, &path, 50), PlaySpan::Gap { frames: u64::MAX });
    }

    #[test]
    fn a_loop_ends_its_spans() {
        let regions = [region(0, 100, 0)];
        let path = PlayPath { start: FramePos(0), loop_range: Some((FramePos(20), FramePos(30))) };
        assert_eq!(play_span(&regions, &path, 0), PlaySpan::Sound { region: 0, take_frame: 0, frames: 30 });
        assert_eq!(play_span(&regions, &path, 30), PlaySpan::Sound { region: 0, take_frame: 20, frames: 10 });
    }

    /// A share of so many bytes, with all the mappings that it can use.
    fn locking(bytes: u64) -> Share {
        Share { bytes, mappings: usize::MAX }
    }

    proptest! {
        #[test]
        fn capture_windows_tile_the_take_whatever_the_phase(
            frame_bytes in prop::sample::select(vec![2_usize, 3, 4, 6, 8]),
            wanted in 4096_usize..200_000,
            phase in 0_usize..100,
        ) {
            let window = window_bytes(frame_bytes, wanted);
            let mut start = FramePos(0);
            for index in 0..50 {
                let span = planned_span(start, frame_bytes, window, phase);
                prop_assert!(span.frames.0 > 0 && span.bytes <= window);
                prop_assert!(span.offset.0.is_multiple_of(4096) && span.bytes.is_multiple_of(4096));
                prop_assert_eq!(span.bytes as u64, span.frames.0 * frame_bytes as u64);
                prop_assert!(index == 0 || span.bytes == window);
                start += span.frames;
                prop_assert_eq!(window_start(start, frame_bytes), start);
            }
        }

        #[test]
        fn a_playback_window_holds_the_frames_it_says_inside_whole_pages(
            frame_bytes in prop::sample::select(vec![2_usize, 3, 4, 6, 8]),
            take_frame in 0_u64..1 << 40,
            frames in 1_u64..1 << 30,
            data_offset in 44_u64..100_000,
        ) {
            let span = map_span(take_frame, frames, frame_bytes, data_offset, 61_440);
            prop_assert!(1 <= span.frames && span.frames <= frames);
            prop_assert!(span.offset.is_multiple_of(4096) && span.bytes.is_multiple_of(4096));
            prop_assert_eq!(span.offset + span.skip_bytes as u64, data_offset + take_frame * frame_bytes as u64);
            prop_assert!(span.skip_bytes + span.frames as usize * frame_bytes <= span.bytes);
        }

        #[test]
        fn kept_slots_hold_the_windows_and_stay_inside_budget_and_mappings(
            budget in 0_u64..1 << 30, streams in 1_usize..1024, lead_ms in 0_u64..20_000, rate in 1_u64..4_000_000,
        ) {
            let lead = lead(locking(budget), streams, 4, rate, lead_ms, 256);
            let kept = kept_slots(&lead, budget, streams, rate);
            prop_assert!(lead.windows < kept.slots && kept.locked < kept.slots);
            prop_assert!(kept.slots == lead.windows + 1 || kept.slots * streams <= limits::SPOOL_SLOTS_KEPT_MAX);
            let locked = (lead.windows + 1 + kept.locked) * lead.window_bytes * streams;
            prop_assert!(kept.locked == 0 || locked as u64 <= budget);
        }

        #[test]
        fn a_lead_that_fits_stays_inside_its_budget(
            budget in 0_u64..1 << 30, streams in 1_usize..1024, lead_ms in 0_u64..20_000,
        ) {
            let lead = lead(locking(budget), streams, 3, 144_000, lead_ms, 192);
            prop_assert!(limits::LEAD_WINDOWS_MIN <= lead.windows && lead.windows <= limits::RING_WINDOWS - 2);
            prop_assert_eq!(lead.fits, (lead.windows + 1) * lead.window_bytes * streams <= budget as usize);
        }

        #[test]
        fn however_long_the_lead_the_windows_of_1024_tracks_fit_into_the_mappings_of_a_process(
            streams in 1_usize..=limits::TRACK_COUNT_MAX, lead_ms in 0_u64..60_000,
        ) {
            for share in [capture_share(1 << 40), playback_share(1 << 40)] {
                let lead = lead(share, streams, 4, 192_000, lead_ms, 256);
                prop_assert!((lead.windows + WINDOWS_BESIDE_LEAD as usize) * streams <= share.mappings);
            }
        }
    }
}
