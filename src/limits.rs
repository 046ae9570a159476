//! Every capacity of the program, and the relations between them. Thread: any.
//!
//! A queue without a number here does not exist. The `const` assertions at the end are the
//! derivations: change a number and the build says which promise it breaks.

/// Bytes of a memory page. Checked against the kernel's at start ([`crate::window::page_bytes_check`]).
pub const PAGE_BYTES: usize = 4096;

/// Byte of a WAV file at which its sound starts: one page, so that windows, pages and `O_DIRECT`
/// writes share their boundaries, and a header rewrite never touches a page of sound.
pub const DATA_OFFSET: u64 = PAGE_BYTES as u64;

/// Bytes of a window before rounding to whole frames: 64 KiB, the read-ahead of the scheme of 2000.
pub const WINDOW_BYTES_DEFAULT: usize = 64 * 1024;

/// Bytes of the smallest window: below this the supply costs more than the sound.
pub const WINDOW_BYTES_MIN: usize = 12 * 1024;

/// Bytes of the largest window.
pub const WINDOW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Windows that one direction of one track's ring can hold.
pub const RING_WINDOWS: usize = 64;

/// Windows a recording track must find ahead before a pass may begin: one to fill, one to go on with.
pub const LEAD_WINDOWS_MIN: usize = 2;

/// Milliseconds of lead that are asked for where nothing limits it.
pub const LEAD_MS_DEFAULT: u64 = 1000;

/// Tracks of a session, and takes of a pass.
pub const TRACK_COUNT_MAX: usize = 1024;

/// Channels of a device in one direction.
pub const CHANNEL_COUNT_MAX: usize = 1024;

/// Channels of one take: mono or stereo.
pub const TAKE_CHANNEL_COUNT_MAX: usize = 2;

/// Frames that the engine takes in one call. A larger period is handed over in pieces.
pub const BLOCK_FRAMES_MAX: usize = 1024;

/// Frames of the largest period a device may have.
pub const PERIOD_FRAMES_MAX: usize = 8192;

/// Frames of the smallest period a device may have.
pub const PERIOD_FRAMES_MIN: usize = 16;

/// Hertz of the lowest and of the highest sample rate.
pub const RATE_HZ_MIN: u32 = 8_000;
/// See [`RATE_HZ_MIN`].
pub const RATE_HZ_MAX: u32 = 384_000;

/// Commands that may wait for the audio thread. It drains them all at the head of every period.
pub const AUDIO_COMMANDS: usize = 4096;

/// Events of the audio thread that may wait for the control side. When full, the counts in
/// [`crate::message::published::Published`] still grow: an event can be late, a loss cannot be silent.
pub const AUDIO_EVENTS: usize = 4096;

/// Messages that may wait on an edge between two threads other than the audio thread.
pub const CHANNEL_MESSAGES: usize = 16 * 1024;

/// Captured windows that keep their mapping while they wait for the disk. Beyond it they are
/// unmapped and the committer maps them again: the kernel allows 65,530 mappings a process.
pub const MAPPED_BACKLOG_MAX: usize = 16 * 1024;

/// Bytes that the committer hands the disk in one write when a backlog lets it choose.
pub const COMMIT_RUN_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that are read from the spool, or from another copy, to be written in one go.
pub const WRITE_AHEAD_BYTES: usize = 256 * 1024;

/// Milliseconds from one durable header of a take that is being recorded to the next, while the disk keeps up. What a power
/// cut costs is this and the time that a sync takes: together they shall stay below a second.
pub const SYNC_INTERVAL_MS_DEFAULT: u64 = 700;

/// Seconds of sound for which blocks are reserved on the disk ahead of a take.
pub const RESERVE_SECONDS: u64 = 30;

/// Bytes of locked memory that the program asks for where nothing limits it.
pub const LOCKED_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// Part of the machine's memory that the spool may hold: one in this many bytes.
pub const SPOOL_RAM_DIVISOR: u64 = 4;

/// Windows of one take whose history is kept for the residency map: those that are out, and what became of the last ones.
pub const LEDGER_SPANS_MAX: usize = 512;

/// Milliseconds for which a window's history is kept.
pub const LEDGER_HISTORY_MS: u64 = 60_000;

/// Milliseconds of residency samples that can be gone back to.
pub const WATCH_HISTORY_MS: u64 = 60_000;

/// Bytes of cells that those samples may hold; with more tracks they reach less far back.
pub const WATCH_HISTORY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Cells of one row of the residency map.
pub const WATCH_CELLS_MAX: usize = 4096;

/// Residency samples a second at the most.
pub const WATCH_HZ_MAX: u32 = 60;

/// Playback windows that can be registered with the SIGBUS handler at once.
pub const GUARDED_MAPPINGS_MAX: usize = 16 * 1024;

/// Bytes of stack given to the audio thread; the half that it uses is touched and locked.
pub const AUDIO_STACK_BYTES: usize = 256 * 1024;

/// Frames of the ramp that keeps a start, a stop, a locate and a region's edge from clicking.
pub const DECLICK_FRAMES: u32 = 256;

/// Bytes after which a RIFF file must carry 64-bit sizes (RF64, EBU Tech 3306).
pub const RIFF_BYTES_MAX: u64 = u32::MAX as u64;

/// Frames of one entry of a waveform's base level, the finest that is stored.
pub const PEAK_BASE_FRAMES: usize = 256;

/// Frames of one entry where a waveform is drawn finer than its base: worked out from the sound when asked for.
pub const PEAK_FINE_FRAMES: usize = 16;

/// Entries of one block of a waveform's finer levels, the unit in which they are stored, read and kept.
pub const PEAK_BLOCK_ENTRIES: usize = 4096;

/// Frames of one block of samples that are kept to be drawn one by one.
pub const PEAK_SAMPLE_FRAMES: usize = 16 * 1024;

/// Bytes of blocks that all waveforms together keep; the coarse levels, 0.9 MB per hour and channel, come on top.
pub const PEAK_BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Blocks that may be asked for and not be there yet. What is not asked for now is asked for at the next drawing.
pub const PEAK_REQUESTS_MAX: usize = 128;

/// Frames of a take that are drawn, 99 hours at 48 kHz: no header makes anybody allocate for more.
pub const PEAK_FRAMES_MAX: u64 = 1 << 34;

/// Frames behind the record position that a growing waveform stays: one block of the engine may still be on its way.
pub const PEAK_LAG_FRAMES: u64 = BLOCK_FRAMES_MAX as u64;

/// Bytes of the file of events, and of the earlier one beside it.
pub const FLIGHT_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of one event in its file, newline included.
pub const FLIGHT_LINE_BYTES_MAX: usize = 4096;

/// Characters of an event's text.
pub const FLIGHT_TEXT_CHARS_MAX: usize = 600;

/// Numbers of an event.
pub const FLIGHT_NUMBERS_MAX: usize = 16;

/// Events that may wait for the disk. What comes beyond is counted.
pub const FLIGHT_QUEUE: usize = 256;

/// Events that are kept in memory, earlier starts' among them.
pub const FLIGHT_EVENTS_KEPT: usize = 400;

/// Events of one kind that are written within [`FLIGHT_SAME_SPAN`]; more are counted.
pub const FLIGHT_SAME_MAX: u32 = 12;
/// See [`FLIGHT_SAME_MAX`].
pub const FLIGHT_SAME_SPAN: std::time::Duration = std::time::Duration::from_secs(10);

/// A lead below this part of what is aimed at is a near miss.
pub const NEAR_MISS_PART: u64 = 4;

/// Near misses of a pass are told once in so long, the least of them.
pub const NEAR_MISS_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

/// Microseconds from which on a write of one run is slow: half of the lead that is asked for.
pub const SLOW_COMMIT_US: u64 = 500_000;

/// Microseconds from which on making all takes durable is slow: a power cut would cost more than two syncs.
pub const SLOW_SYNC_US: u64 = 1_000_000;

const _: () = assert!(PAGE_BYTES.is_power_of_two());
const _: () = assert!(
    4 * (FLIGHT_TEXT_CHARS_MAX + 1) + FLIGHT_NUMBERS_MAX * (32 + 24) + 200 <= FLIGHT_LINE_BYTES_MAX,
    "a text of four-byte characters, its controls replaced, fits into a line"
);
const _: () = assert!((FLIGHT_LINE_BYTES_MAX as u64) < FLIGHT_BYTES_MAX / 4);
const _: () = assert!(
    WINDOW_BYTES_DEFAULT.is_multiple_of(PAGE_BYTES) && WINDOW_BYTES_MIN.is_multiple_of(PAGE_BYTES),
    "windows are made of whole pages"
);
const _: () = assert!(WINDOW_BYTES_MIN <= WINDOW_BYTES_DEFAULT && WINDOW_BYTES_DEFAULT <= WINDOW_BYTES_MAX);
const _: () = assert!(
    WINDOW_BYTES_MIN / (4 * TAKE_CHANNEL_COUNT_MAX) >= BLOCK_FRAMES_MAX,
    "one block of the engine never spans more than two windows"
);
const _: () = assert!(LEAD_WINDOWS_MIN + 2 <= RING_WINDOWS, "the ring holds the lead");
const _: () =
    assert!(MAPPED_BACKLOG_MAX + 4 * TRACK_COUNT_MAX < 65_530, "backlog and live windows fit into vm.max_map_count");
const _: () = assert!(2 * RING_WINDOWS <= LEDGER_SPANS_MAX, "the ledger has a line for every window that is out");
const _: () = assert!(PERIOD_FRAMES_MIN <= BLOCK_FRAMES_MAX && BLOCK_FRAMES_MAX <= PERIOD_FRAMES_MAX);
const _: () = assert!(DECLICK_FRAMES as u64 * 1000 / (RATE_HZ_MIN as u64) < 50, "a declick is short");
const _: () = assert!(
    PEAK_BASE_FRAMES.is_power_of_two() && PEAK_FINE_FRAMES.is_power_of_two() && PEAK_FINE_FRAMES < PEAK_BASE_FRAMES
);
const _: () = assert!(
    PEAK_BLOCK_ENTRIES.is_multiple_of(4) && PEAK_SAMPLE_FRAMES.is_multiple_of(PEAK_FINE_FRAMES),
    "an entry of any level lies in one block of the level below"
);
const _: () = assert!(
    64 * TAKE_CHANNEL_COUNT_MAX * 4 * (4096 * PEAK_BASE_FRAMES / PEAK_FINE_FRAMES) <= 2 * PEAK_BLOCK_BYTES_MAX
        && 64 * 4 * (4096 * PEAK_FINE_FRAMES + PEAK_SAMPLE_FRAMES) <= PEAK_BLOCK_BYTES_MAX,
    "64 waveforms, 4096 columns wide, are held at any zoom: what is seen does not push out what is seen"
);
