//! Arguments of the command line and the texts of `--help`, which come from the doc comments here. Thread: main.

use crate::butler::capabilities::CapturePath;
use crate::control::recording::LATENCY_OFFSET_MAX;
use crate::format::TakeFormat;
use crate::limits::{RATE_HZ_MAX, RATE_HZ_MIN};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// A multitrack recorder whose audio thread takes no page fault.
#[derive(Parser)]
#[command(name = "faultless", version, max_term_width = 100, propagate_version = true)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  faultless                                                         open the window: the last session, or a new one
  faultless gig                                                     open the window with the session in folder gig,
                                                                    or begin one there
  faultless record demo --device virtual --inputs 24 --seconds 10   24 tracks from the built-in device
  faultless record gig --device alsa:hw:CARD=USB                    every input of a sound card, until Ctrl-C
  faultless play demo                                               listen to it
  faultless export demo --to mixes --mix                            a stereo mix, as it was played
  faultless doctor gig                                              check this machine and the disk of folder gig
  faultless stress /var/tmp/test --inputs 24                        test recording while the machine is busy
  faultless watch gig/audio                                         which pages of the takes are in memory
  faultless recover gig                                             after a crash: complete the takes that were cut off
  faultless stop gig                                                end the recording, with or without a window
  faultless trace gig                                               the last minute, for ui.perfetto.dev

Takes are ordinary WAV files, one per track, in SESSION/audio; other programs can open them while they
are being recorded.")]
pub struct Cli {
    /// The mode; without one, the window opens.
    #[command(subcommand)]
    pub mode: Option<Mode>,
    /// Arguments of the window, if there is no mode.
    #[command(flatten)]
    pub window: WindowArgs,
}

/// Arguments of the window. The settings decide everything that is not given.
#[derive(Args)]
pub struct WindowArgs {
    /// Folder of the session to open or to begin; without it, the last session or a new one named by date
    pub session: Option<PathBuf>,
    /// The device, as for 'record'; without it, the device of the settings or the best one present
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Sample rate of a new session
    #[arg(long, value_name = "HZ")]
    pub rate: Option<u32>,
    /// Frames in a period
    #[arg(long, value_name = "FRAMES")]
    pub period: Option<usize>,
    /// Number of inputs to open; without it, all
    #[arg(long, value_name = "N")]
    pub inputs: Option<usize>,
    /// Where captured sound goes first: 'spool' or 'in-place'
    #[arg(long, value_name = "PATH")]
    pub capture_path: Option<CapturePath>,
    /// Input signal of the built-in device ('virtual'): ramp, tones, silence or file=PATH
    #[arg(long, value_name = "SIGNAL")]
    pub signal: Option<String>,
}

/// The modes of the program.
#[derive(Subcommand)]
pub enum Mode {
    /// Record the inputs of a device, one WAV file per track, until Ctrl-C
    Record(RecordArgs),
    /// Play a session
    Play(PlayArgs),
    /// Write tracks or the mix of a session as WAV files
    Export(ExportArgs),
    /// Complete the takes of a recording that was cut off, or list the sound that such recordings left in memory
    Recover(RecoverArgs),
    /// List the sound devices of this machine and their abilities
    Devices(DevicesArgs),
    /// Check whether this machine can record safely, and show what to change
    Doctor(DoctorArgs),
    /// Measure how the program's ways to use memory perform on this machine
    Bench(BenchArgs),
    /// Show which pages of any files, or of the files that a process maps, are in memory, dirty or locked
    Watch(WatchArgs),
    /// Test: record while the machine is put under stress, compare every sample, print the results
    Stress(StressArgs),
    /// End the recording of a session, with or without a window, and wait until everything is saved
    Stop(StopArgs),
    /// Write the last minute of a recording that runs, for ui.perfetto.dev or chrome://tracing
    Trace(TraceArgs),
    /// Run the recorder without a window. The window starts it
    #[command(hide = true)]
    Engine(WindowArgs),
}

/// Arguments of `stop`.
#[derive(Args)]
pub struct StopArgs {
    /// Folder of the session
    pub session: PathBuf,
}

/// Arguments of `trace`.
#[derive(Args)]
pub struct TraceArgs {
    /// Folder of a session that is open in a window or that 'faultless record' records
    pub session: PathBuf,
    /// Write into this new file; '-': standard output. Without it: a file in the session's folder 'reports'
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of the modes that open a device.
#[derive(Args)]
pub struct DeviceArgs {
    /// 'virtual', 'virtual:OPTIONS', 'alsa:NAME' or 'alsa:CAPTURE,PLAYBACK' ('-': none).
    /// Without it: the device that was chosen last in the window, if it is there.
    /// Otherwise, to record: the free card (or JACK's) with most channels, else the default of a sound server, else the
    /// built-in device ('virtual'). To play: JACK's card, else the default of the sound server or of ALSA, else a card.
    /// Ports of JACK: 'alsa:jack:CLIENT=NAME' or 'alsa:jack:CLIENT=NAME,PORTS=NAME+NAME' ('*': any letters)
    ///
    /// Options of the built-in device ('virtual'), separated by commas: free (no clock), loop=DELAY,
    /// latency=OUTPUT+INPUT, drift=PPM (its clock is faster by so much), xrun=FRAME+LOST, playback-xrun=FRAME,
    /// suspend=FRAME+ASLEEP, slow=FRAME+MICROSECONDS, gone=FRAME, crash=FRAME (the audio thread panics).
    /// unplug=FRAME+AWAY: from FRAME on it delivers nothing for AWAY frames. It stays open, and delivers again by itself.
    /// pull=AFTER+AWAY: AFTER frames after its start it is gone. It must be opened again, which fails for AWAY frames.
    /// The second pull is for the second start, and so on.
    /// After a pull: busy=N (another program uses it at the next N openings), returns=INPUTS, returns-period=FRAMES,
    /// returns-rate=HZ+N (the only rate at the next N openings).
    #[arg(long, value_name = "DEVICE", verbatim_doc_comment)]
    pub device: Option<String>,
    /// Sample rate; without it, the session's rate, or 48000 for a new session
    #[arg(long, value_name = "HZ")]
    pub rate: Option<u32>,
    /// Frames in a period; without it, 64, and 1024 for a sound server
    #[arg(long, value_name = "FRAMES")]
    pub period: Option<usize>,
    /// Frames in the device's buffer: how late the program may be
    #[arg(long, value_name = "FRAMES")]
    pub buffer: Option<usize>,
    /// Milliseconds of sound for which memory is prepared ahead, if enough memory may be locked
    #[arg(long, default_value_t = crate::limits::LEAD_MS_DEFAULT, value_name = "MS", value_parser = clap::value_parser!(u64).range(20..=60_000))]
    pub lead: u64,
    /// Memory that may be locked, in KiB, up to the system's limit; without it, an eighth of the machine's memory, on small
    /// machines up to a quarter
    #[arg(long, value_name = "KIB")]
    pub lock_limit: Option<u64>,
    /// Memory for sound that waits for a slow disk, in MiB; without it, a quarter of the machine's memory
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub spool_limit: Option<u64>,
}

/// Arguments of `faultless record`.
#[derive(Args)]
pub struct RecordArgs {
    /// The session's folder; it is made if it does not exist
    pub session: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened")]
    pub device: DeviceArgs,
    /// Number of inputs to record, from the first on; without it, all
    #[arg(long, value_name = "N")]
    pub inputs: Option<usize>,
    /// Sample format of new takes: s16, s24 or f32; without it, the session's format, or s24 for a new session
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<TakeFormat>,
    /// Stop after this many seconds, exact to the frame
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seconds: Option<f64>,
    /// Where captured sound goes first: 'spool' (memory; a slow disk cannot stop it) or 'in-place' (the file itself)
    #[arg(long, default_value = "spool", value_name = "PATH")]
    pub capture_path: CapturePath,
    /// Input signal of the built-in device ('virtual'): ramp, tones, silence or file=PATH
    #[arg(long, default_value = "tones", value_name = "SIGNAL")]
    pub signal: String,
    /// Also write the takes to a second folder in DIR, best on another disk: either disk may fail, fill up or hang
    #[arg(long, value_name = "DIR")]
    pub mirror: Option<PathBuf>,
    /// Continue in a folder in DIR, without a gap, when the session's disk is full or fails
    #[arg(long, value_name = "DIR")]
    pub overflow: Option<PathBuf>,
    /// Play the session while recording; takes are placed earlier by the time from the outputs to the inputs
    #[arg(long)]
    pub play_along: bool,
    /// With --play-along: frames by which takes are placed earlier than the device tells, or later if negative
    ///
    /// The number is kept for this device, rate and period, until another one is given; 0 forgets it. To find it, record
    /// a click through a cable from an output to an input: the number of frames by which the recorded click lies behind
    /// the one that was played.
    #[arg(long, value_name = "FRAMES", requires = "play_along", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i64).range(-LATENCY_OFFSET_MAX..=LATENCY_OFFSET_MAX))]
    pub offset: Option<i64>,
    /// At the end, write the last minute as a trace for ui.perfetto.dev or chrome://tracing into a new FILE
    ///
    /// It shows each cycle of the audio thread with the lateness of its wake-up, buffers, writes, syncs, page faults, passes
    /// and events.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Print the result as one line of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `faultless play`.
#[derive(Args)]
pub struct PlayArgs {
    /// The session's folder
    pub session: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened")]
    pub device: DeviceArgs,
    /// Where to begin: seconds, m:s or h:m:s.ms
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Stop after this many seconds; without it, at the end of the session
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seconds: Option<f64>,
    /// Print the result as one line of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `faultless export`.
#[derive(Args)]
pub struct ExportArgs {
    /// The session's folder
    pub session: PathBuf,
    /// The folder for the files; it is made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Numbers of the tracks, separated by commas; without it, all
    #[arg(long, value_delimiter = ',', value_name = "N,N,...")]
    pub tracks: Option<Vec<usize>>,
    /// Where to begin: seconds, m:s, h:m:s.ms, or frames as in 48000f
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Where to end, in the same form as --from
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Sample format: s16, s24 or f32; without it, the format of each take
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<TakeFormat>,
    /// Export the stereo mix in place of the tracks
    #[arg(long)]
    pub mix: bool,
    /// Replace existing files
    #[arg(long)]
    pub force: bool,
    /// Print the result as one line of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `faultless recover`.
#[derive(Args)]
pub struct RecoverArgs {
    /// The session's folder; without it, the spool files left in memory are listed and nothing is changed
    ///
    /// Every mode that opens a session to record recovers it first; this mode recovers without recording. It can be
    /// stopped at any moment and run again. A spool file is removed only when its sound is in its take.
    #[arg(verbatim_doc_comment)]
    pub session: Option<PathBuf>,
    /// Make a kept version of session.json the session again, first; the present file is kept
    ///
    /// The message that a session is damaged tells the numbers of the latest and the oldest version. The takes of the
    /// session stay as they are.
    #[arg(long, value_name = "NUMBER", requires = "session", verbatim_doc_comment)]
    pub restore: Option<u32>,
    /// Finish the takes with the sound that is on the disk, although their memory cannot be seen from here
    ///
    /// A recovery as another user, in another container or on another machine cannot see the memory of the recording.
    /// It then leaves the takes as they are. Use this only if that memory is gone. It removes nothing from memory.
    #[arg(long, requires = "session", verbatim_doc_comment)]
    pub without_memory: bool,
    /// Write the sound of the spool files that no session will recover into WAV files in this folder
    ///
    /// The list without arguments shows these files: their session is not there any more, or their take is finished.
    #[arg(long, value_name = "FOLDER", conflicts_with = "session", verbatim_doc_comment)]
    pub extract: Option<PathBuf>,
    /// Remove each of these spool files from memory once the WAV file with its sound is durable
    #[arg(long, requires = "extract")]
    pub discard: bool,
    /// Print the result as one line of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `faultless devices`.
#[derive(Args)]
pub struct DevicesArgs {
    /// Print one line of JSON in place of the table
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `faultless doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    /// The folder where sessions are kept
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// Number of tracks to record
    #[arg(long, default_value_t = 24, value_name = "N")]
    pub tracks: usize,
    /// Sample rate of the takes
    #[arg(long, default_value_t = 48_000, value_name = "HZ", value_parser = clap::value_parser!(u32).range(i64::from(RATE_HZ_MIN)..=i64::from(RATE_HZ_MAX)))]
    pub rate: u32,
    /// Sample format: s16, s24 or f32
    #[arg(long, default_value = "s24", value_name = "FORMAT")]
    pub format: TakeFormat,
    /// Print one line of JSON in place of the table
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `faultless bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// The measurement to make.
    #[command(subcommand)]
    pub what: BenchMode,
}

/// The measurements of `faultless bench`.
#[derive(Subcommand)]
pub enum BenchMode {
    /// Compare ways to stream through memory-mapped files, from the scheme of 2000 ('touch') to this program's ('spool')
    Residency(ResidencyArgs),
    /// Time the loops that convert the samples of a device and store them in takes
    Samples(SamplesArgs),
}

/// Arguments of `faultless bench samples`.
#[derive(Args)]
pub struct SamplesArgs {
    /// Frames in a period
    #[arg(long, default_value_t = 64, value_name = "FRAMES")]
    pub period: usize,
    /// Seconds to measure each row
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    pub seconds: f64,
    /// Print one line of JSON in place of the table
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `faultless bench residency`.
#[derive(Args)]
pub struct ResidencyArgs {
    /// A folder on the file system to measure; a real disk, not tmpfs
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Number of tracks
    #[arg(long, default_value_t = 24, value_name = "N")]
    pub tracks: usize,
    /// Frames in a period
    #[arg(long, default_value_t = 64, value_name = "FRAMES")]
    pub period: usize,
    /// Seconds to measure each row
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    pub seconds: f64,
    /// The load beside the measurement: none, sync, disk or memory
    #[arg(long, default_value = "none", value_name = "LOAD")]
    pub load: String,
    /// Print one line of JSON in place of the table
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `faultless watch`.
#[derive(Args)]
pub struct WatchArgs {
    /// Files, or folders whose files are meant; with --pid, the only files of the process to show
    pub paths: Vec<PathBuf>,
    /// A process: its files, their pages in its page tables, and the page faults of its threads
    ///
    /// Needs the rights of the user of the process, or root. The kernel holds the memory map of the process while it
    /// answers, some milliseconds each second.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Option<i32>,
    /// Print one table and end; without it, a table each second until Ctrl-C
    #[arg(long)]
    pub once: bool,
    /// Print each sample as one line of JSON in place of the table
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `faultless stress`.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct StressArgs {
    /// A folder on the disk to test; it must not be, contain or lie in a session
    ///
    /// A new folder is made inside it and removed at the end.
    pub scratch: PathBuf,
    /// Stresses, separated by commas: none, sync, cache, disk, memory, slow, freeze, unplug; or all
    ///
    /// memory, slow and freeze need root; freeze also needs a loop image. A stress that is not permitted is skipped.
    #[arg(long, default_value = "all", value_delimiter = ',', value_name = "STRESS,...")]
    pub stress: Vec<String>,
    /// Seconds to record under each stress
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    pub seconds: f64,
    /// Number of inputs to record
    #[arg(long, default_value_t = 24, value_name = "N")]
    pub inputs: usize,
    /// Frames in a period
    #[arg(long, default_value_t = 64, value_name = "FRAMES")]
    pub period: usize,
    /// Frames in the device's buffer: how late the program may be
    #[arg(long, value_name = "FRAMES")]
    pub buffer: Option<usize>,
    /// Freeze the file system of SCRATCH even if it is no loop image; a system disk is never frozen
    #[arg(long)]
    pub may_freeze: bool,
    /// Keep the recordings of the test
    #[arg(long)]
    pub keep: bool,
    /// Print one line of JSON in place of the table
    #[arg(long)]
    pub json: bool,
    /// For the window: print progress as lines of JSON on standard output, and stop when standard input closes
    #[arg(long, hide = true)]
    pub told: bool,
}
