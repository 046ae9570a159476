//! Capacities that several modules share, and the relations between them. Thread: any; constants only.
//!
//! The comment of a number begins with its unit and gives its reason. The `const` assertions at the end state what
//! the numbers promise each other: change a number, and the build fails with the promise that it breaks.
//!
//! Every ring to or from the audio thread has its capacity here. The other channels have theirs here or beside their
//! code, with what happens when they are full.

/// Bytes of a memory page. At start the program checks that the kernel uses the same size
/// ([`crate::window::page_bytes_check`]).
pub const PAGE_BYTES: usize = 4096;

/// Byte of a WAV file at which its sound starts: one page. So windows, pages and `O_DIRECT` writes share their
/// boundaries, and rewriting the header never touches a page of sound.
pub const DATA_OFFSET: u64 = PAGE_BYTES as u64;

/// Bytes of a window before rounding to whole frames: 64 KiB, as in a recorder of the year 2000 that mapped its
/// files.
pub const WINDOW_BYTES_DEFAULT: usize = 64 * 1024;

/// Bytes of the smallest window. Below this size making and collecting a window costs more than storing its sound.
pub const WINDOW_BYTES_MIN: usize = 12 * 1024;

/// Bytes of the largest window. A larger size that is asked for is reduced to it.
pub const WINDOW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Windows that the ready ring of one track holds. The lead is at least two windows shorter. The done ring has twice as
/// many slots, so the audio thread can always give a window back.
pub const RING_WINDOWS: usize = 64;

/// Windows that must wait for a recording track before a pass begins: one to fill and one to continue with.
pub const LEAD_WINDOWS_MIN: usize = 2;

/// Slots of a spool file: 4 GiB of windows of 64 KiB wait for the disk of one take before its windows end.
pub const SPOOL_SLOTS_MAX: u32 = 1 << 16;

/// Milliseconds of sound that usually wait for the disk: the time between two syncs, the length of a sync, and the
/// butler's pause. The spool keeps slots for as much, and gives the memory of further ones back.
pub const SPOOL_BACKLOG_MS: u64 = 1200;

/// Microseconds by which each take makes the writes and syncs of a pass longer, and so the time that sound waits for the disk.
/// Measured with 1,024 takes on ext4.
pub const SPOOL_BACKLOG_US_PER_TAKE: u64 = 400;

/// Slots that the spools of a pass keep mapped, whether a window is in them or not. The kernel allows 65,530 mappings a process.
pub const SPOOL_SLOTS_KEPT_MAX: usize = 24 * 1024;

/// Slots beyond those that a spool keeps, of which the butler gives the memory back in one look at the rings. Each takes
/// it some 25 us.
pub const SPOOL_SHRINK_SLOTS: usize = 64;

/// Milliseconds of sound that windows are supplied ahead, unless memory or the user limits them to less.
pub const LEAD_MS_DEFAULT: u64 = 1000;

/// Tracks of a session, and takes of a pass. The engine has a slot for each from its start, because it cannot
/// allocate later.
pub const TRACK_COUNT_MAX: usize = 1024;

/// Channels of a device in one direction.
pub const CHANNEL_COUNT_MAX: usize = 1024;

/// Files that must be free to open beside those of takes: for the saves of a pass, windows, and the system's bus.
pub const SPARE_FILES: u64 = 16;

/// Channels of one take: mono or stereo.
pub const TAKE_CHANNEL_COUNT_MAX: usize = 2;

/// Frames that the engine processes in one call. A larger period is processed in several calls, so the buffers of the
/// engine have a fixed size.
pub const BLOCK_FRAMES_MAX: usize = 1024;

/// Frames of the largest period that a device may have.
pub const PERIOD_FRAMES_MAX: usize = 8192;

/// Frames of the smallest period that a device may have.
pub const PERIOD_FRAMES_MIN: usize = 16;

/// Frames of a period of a sound card, if the user names none.
pub const PERIOD_FRAMES_DEFAULT: usize = 64;

/// Frames of a period of a sound server, if the user names none: the usual block of PipeWire and of JACK. With a shorter
/// one the server has to change its own block, and playback beside capture runs dry until it has.
pub const PERIOD_FRAMES_SERVER: usize = 1024;

/// Hertz of the lowest sample rate.
pub const RATE_HZ_MIN: u32 = 8_000;

/// Hertz of the highest sample rate.
pub const RATE_HZ_MAX: u32 = 384_000;

/// Commands that wait for the audio thread: four for each of [`TRACK_COUNT_MAX`] tracks. The audio thread takes all
/// of them at the start of every period.
pub const AUDIO_COMMANDS: usize = 4096;

/// Events of the audio thread that wait for control. When the ring is full the audio thread drops an event whose
/// number is also in [`crate::message::published::Published`], and keeps one that hands over memory or tells a state for
/// later. So a loss is always counted.
pub const AUDIO_EVENTS: usize = 4096;

/// Messages that wait in a channel between two threads, neither of which is the audio thread.
pub const CHANNEL_MESSAGES: usize = 16 * 1024;

/// Commands that wait in the channel of a disk thread. What finds no room there waits in the outbox of the sender, which has
/// no bound. A channel has the memory of all its places from the start, so it is no larger than it needs to be: a command for
/// each of [`TRACK_COUNT_MAX`] tracks, and as many others.
pub const DISK_COMMANDS: usize = 2 * TRACK_COUNT_MAX;

/// Events of the disk threads that wait for control: four for each of [`TRACK_COUNT_MAX`] tracks. A committer and the
/// read-ahead wait while there is no room.
pub const DISK_EVENTS: usize = 4 * TRACK_COUNT_MAX;

/// Commands that wait for a committer, beyond those in its channel, when its disk counts as one that stands still.
pub const WAITING_COMMANDS_MAX: usize = 30 * 1024;

/// Captured windows that stay mapped while they wait for the disk. The butler unmaps those beyond, and the committer
/// maps them again, because the kernel allows 65,530 mappings a process.
pub const MAPPED_BACKLOG_MAX: usize = 16 * 1024;

/// Bytes that the committer writes in one call when several windows of a take wait.
pub const COMMIT_RUN_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that the committer gives to the disk in one batch outside of a sync, so that a sync that is due begins soon.
pub const COMMIT_BATCH_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Bytes that the committer reads from the spool, or from the other replica, to write them in one call.
pub const COPY_RUN_BYTES_MAX: usize = 256 * 1024;

/// Milliseconds from one sync of all takes to the next, while the disk keeps up. A power cut costs this time and the
/// time of one sync; both together should stay below a second.
pub const SYNC_INTERVAL_MS_DEFAULT: u64 = 700;

/// Seconds of sound for which the committer reserves blocks on the disk ahead of a take, so that a disk that another
/// program fills does not end the take at once.
pub const RESERVE_SECONDS: u64 = 30;

/// Parts into which the memory of the machine, or of the control group, is divided: the program locks at most one of
/// them, unless the system or the user limits it to another amount.
pub const LOCKED_RAM_DIVISOR: u64 = 8;

/// Bytes with which windows of [`WINDOW_BYTES_DEFAULT`] are locked for a full session: three for each of
/// [`TRACK_COUNT_MAX`] takes, of which recording may lock five eighths. On a machine with less than eight times as much
/// memory the program locks up to this amount, but at most a part of [`LOCKED_SMALL_RAM_DIVISOR`].
pub const LOCKED_BYTES_WANTED: u64 =
    ((LEAD_WINDOWS_MIN + 1) * WINDOW_BYTES_DEFAULT * TRACK_COUNT_MAX) as u64 / 5 * 8 + 8 * PAGE_BYTES as u64;

/// Parts into which the memory of a small machine is divided: the program locks at most one of them.
pub const LOCKED_SMALL_RAM_DIVISOR: u64 = 4;

/// Parts into which the memory of the machine, or of the control group, is divided: the spool may fill one of them.
pub const SPOOL_RAM_DIVISOR: u64 = 4;

/// Windows of one take that the ledger remembers for the residency map: those that are out and the last ones that came
/// back.
pub const LEDGER_SPANS_MAX: usize = 512;

/// Milliseconds for which the ledger remembers a window: as long as the residency samples reach back.
pub const LEDGER_HISTORY_MS: u64 = 60_000;

/// Milliseconds that a trace reaches back.
pub const TRACE_MS: u64 = 60_000;

/// Events of windows that are kept for a trace, 64 bytes each. With more than some 200 tracks they reach back less than
/// [`TRACE_MS`].
pub const WINDOW_EVENTS_MAX: usize = 64 * 1024;

/// Cycles of the audio thread that are kept for a trace, 16 bytes each: a minute of periods of 64 frames at 48 kHz is
/// 45,000. Shorter periods reach back less.
pub const CYCLES_KEPT: usize = 64 * 1024;

/// Page faults of the audio thread that are kept with the memory that each hit.
pub const FAULTS_KEPT: usize = 1024;

/// Syncs and runs of writeback by others that are kept, some 200 bytes each.
pub const DISK_WORK_KEPT: usize = 1024;

/// Page faults that the report of a pass lists, the first ones.
pub const FAULTS_LISTED: usize = 16;

/// Milliseconds for which residency samples are kept, so that the user can go back in them.
pub const RESIDENCY_HISTORY_MS: u64 = 60_000;

/// Milliseconds from one point of the figures over the last minute to the next.
pub const RATE_MS: u64 = 500;

/// Milliseconds after the transport has stopped for which figures are still added: the last writes and syncs of a pass
/// belong to it. Later ones would displace those of the pass.
pub const RATES_AFTER_STOP_MS: u64 = 5000;

/// Bytes of cells in all residency samples that are kept. With more tracks the samples reach less far back.
pub const RESIDENCY_HISTORY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Cells of one row of the residency map. A row of more pages shows several pages in a cell.
pub const RESIDENCY_CELLS_MAX: usize = 4096;

/// Residency samples a second: the usual rate of a screen.
pub const RESIDENCY_HZ_MAX: u32 = 60;

/// Playback windows that the SIGBUS handler knows at once. The table is static because a signal handler cannot
/// allocate.
pub const GUARDED_MAPPINGS_MAX: usize = 16 * 1024;

/// Bytes of stack of the audio thread. The thread uses less than half of it, and touches and locks that half at
/// start.
pub const AUDIO_STACK_BYTES: usize = 256 * 1024;

/// Bytes of the stack of a helper thread: any other thread than the audio thread. It is larger than the audio thread's,
/// because `window::process::populate` leaves out the stacks of helper threads, and knows them by their size among others.
pub const HELPER_STACK_BYTES: usize = 512 * 1024;

/// Frames of the ramp at a start, a stop and a locate. Without a ramp these click.
pub const DECLICK_FRAMES: u32 = 256;

/// Frames of the ramp at the edge of a region, 1.3 ms at 48 kHz: long enough that a step does not click, short enough that
/// a drum hit at the edge keeps its attack.
pub const EDGE_FRAMES: u32 = 64;

/// Bytes of the largest file with 32-bit sizes. A longer one carries 64-bit sizes (RF64, EBU Tech 3306).
pub const RIFF_BYTES_MAX: u64 = u32::MAX as u64;

/// Frames of one entry of a waveform's base level, the finest level that the cache stores.
pub const PEAK_BASE_FRAMES: usize = 256;

/// Frames of one entry of a waveform that is drawn finer than its base level. These entries are computed from the sound
/// when they are drawn.
pub const PEAK_FINE_FRAMES: usize = 16;

/// Entries of one block of a waveform's finer levels. A block is the unit that is stored, read and kept in memory.
pub const PEAK_BLOCK_ENTRIES: usize = 4096;

/// Frames of one block of samples, which are kept in memory where the zoom shows each sample.
pub const PEAK_SAMPLE_FRAMES: usize = 16 * 1024;

/// Bytes of blocks that all waveforms together keep in memory. The levels of the takes come on top.
pub const PEAK_BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of the levels that all finished takes together keep in memory: 14 kB for an hour of one channel, and 7 kB for a
/// short take. Takes that are off the screen are dropped above it. A take that grows or is built is not counted: 0.9 MB
/// for an hour of one channel.
pub const PEAK_LEVEL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Takes that are requested and not yet loaded. A later drawing requests the others. It bounds the levels that arrive
/// before the next drawing drops others.
pub const PEAK_OPENS_MAX: usize = 64;

/// Blocks that are requested and not yet loaded. Whatever does not fit is requested again at the next drawing.
pub const PEAK_REQUESTS_MAX: usize = 128;

/// Frames of a take that are drawn: 99 hours at 48 kHz. It bounds the memory that a damaged header can make a waveform
/// allocate.
pub const PEAK_FRAMES_MAX: u64 = 1 << 34;

/// Frames by which a growing waveform and the committer stay behind the published record position: one block of the
/// engine. The position counts only stored frames, so this is a margin.
pub const STORE_LAG_FRAMES: u64 = BLOCK_FRAMES_MAX as u64;

/// Bytes of the file of events, and of the earlier file that is kept beside it.
pub const FLIGHT_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of one event in the file, newline included.
pub const FLIGHT_LINE_BYTES_MAX: usize = 4096;

/// Characters of an event's text. The rest is cut off.
pub const FLIGHT_TEXT_CHARS_MAX: usize = 600;

/// Named numbers of one event.
pub const FLIGHT_NUMBERS_MAX: usize = 16;

/// Events that wait for the disk. Further ones are dropped and counted.
pub const FLIGHT_QUEUE: usize = 256;

/// Events that are kept in memory to be shown, those of earlier starts included.
pub const FLIGHT_EVENTS_KEPT: usize = 400;

/// Events of one kind that are written within [`FLIGHT_SAME_KIND_SPAN`]. Further ones are counted, so that one repeated
/// fault does not push out the other events.
pub const FLIGHT_SAME_KIND_MAX: u32 = 12;

/// Time over which [`FLIGHT_SAME_KIND_MAX`] counts.
pub const FLIGHT_SAME_KIND_SPAN: std::time::Duration = std::time::Duration::from_secs(10);

/// Parts into which the lead that is aimed at is divided: a lead below one of them is a near miss.
pub const NEAR_MISS_DIVISOR: u64 = 4;

/// Time between two near-miss events of a pass, at least. The event gives the smallest lead of that time.
pub const NEAR_MISS_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

/// Microseconds from which a single write counts as slow: half of the default lead.
pub const SLOW_COMMIT_US: u64 = 500_000;

/// Microseconds from which a sync of all takes counts as slow: a power cut would then cost well over a second of sound.
pub const SLOW_SYNC_US: u64 = 1_000_000;

const _: () = assert!(PAGE_BYTES.is_power_of_two());
const _: () = assert!(AUDIO_STACK_BYTES < HELPER_STACK_BYTES, "the stacks can be told apart");
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
const _: () = assert!(
    MAPPED_BACKLOG_MAX + SPOOL_SLOTS_KEPT_MAX + GUARDED_MAPPINGS_MAX + 4 * TRACK_COUNT_MAX < 65_530,
    "backlog, slots, windows of playback and all else fit into vm.max_map_count"
);
const _: () = assert!(2 * RING_WINDOWS <= LEDGER_SPANS_MAX, "the ledger holds every window that is out");
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
    "64 waveforms, 4096 columns wide, fit into memory at any zoom: blocks on the screen do not push out each other"
);
