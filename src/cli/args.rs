//! What the command line accepts, and what its help teaches. Thread: control.

use crate::butler::capabilities::CapturePath;
use crate::format::TakeFormat;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// A multitrack recorder whose audio thread takes no page fault.
#[derive(Parser)]
#[command(name = "faultless", version, max_term_width = 100, propagate_version = true)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  faultless                                                         the window: the last session, or a new one
  faultless gig                                                     the window, over the session in folder gig
  faultless record demo --device virtual --inputs 24 --seconds 10   24 tracks from the built-in device
  faultless record gig --device alsa:hw:CARD=USB                    every input of a sound card, until Ctrl-C
  faultless play demo                                               listen to it
  faultless export demo --to mixes --mix                            a stereo mix, as it was heard
  faultless doctor gig                                              what recording here will be like
  faultless stress /var/tmp/rehearsal --inputs 24                   does it hold, whatever the machine does?
  faultless recover gig                                             after a crash: every frame into its take

Takes are ordinary WAV files, one per track, in SESSION/audio; other programs can open them while they
are being recorded.")]
pub struct Cli {
    /// What to do; nothing: open the window.
    #[command(subcommand)]
    pub mode: Option<Mode>,
    /// For the window.
    #[command(flatten)]
    pub window: WindowArgs,
}

/// Arguments of the window. What is not given is as the settings say.
#[derive(Args)]
pub struct WindowArgs {
    /// Folder of the session to open; without it the last one, or a new one named by date
    pub session: Option<PathBuf>,
    /// The device, as for 'record'; without it the one that was used last, or the best there is
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Frames a second of a new session
    #[arg(long, value_name = "HZ")]
    pub rate: Option<u32>,
    /// Frames of a period
    #[arg(long, value_name = "FRAMES")]
    pub period: Option<usize>,
    /// Inputs to open; all of them without it
    #[arg(long, value_name = "N")]
    pub inputs: Option<usize>,
    /// Where captured sound goes first: 'spool' or 'in-place'
    #[arg(long, value_name = "PATH")]
    pub capture_path: Option<CapturePath>,
    /// What the built-in device hears: tones, ramp, silence or file=PATH
    #[arg(long, value_name = "SIGNAL")]
    pub signal: Option<String>,
}

/// The modes.
#[derive(Subcommand)]
pub enum Mode {
    /// Record every wanted input of a device, one WAV file per track, until Ctrl-C
    Record(RecordArgs),
    /// Play a session
    Play(PlayArgs),
    /// Write tracks or the mix of a session as WAV files
    Export(ExportArgs),
    /// Make whole takes of a recording that was cut off, or list what such recordings have left in memory
    Recover(RecoverArgs),
    /// List the sound devices that are here, and what they can do
    Devices(DevicesArgs),
    /// Measure what recording will be like here, and say what to change
    Doctor(DoctorArgs),
    /// Measure how the program works on this machine, and why
    Bench(BenchArgs),
    /// Rehearse: record while the machine is ill-treated, compare every sample, end with a sheet
    Stress(StressArgs),
}

/// Arguments of everything that opens a device.
#[derive(Args)]
pub struct DeviceArgs {
    /// 'virtual', 'virtual:OPTIONS', 'alsa:NAME' or 'alsa:CAPTURE,PLAYBACK' ('-': none).
    /// Without it: ALSA's default where a card is, else virtual
    ///
    /// Options of the virtual device, separated by commas: free (no clock), loop=DELAY, xrun=FRAME+LOST,
    /// unplug=FRAME+AWAY, suspend=FRAME+ASLEEP, slow=FRAME+MICROSECONDS, gone=FRAME, crash=FRAME (the audio thread
    /// panics). pull=AFTER+AWAY makes it leave AFTER frames after its start, to be opened anew AWAY frames later (given
    /// again: for the next start). Once pulled: busy=N (another program has it at N openings), returns=INPUTS,
    /// returns-period=FRAMES, returns-rate=HZ+N (no other rate at N openings).
    #[arg(long, value_name = "DEVICE", verbatim_doc_comment)]
    pub device: Option<String>,
    /// Frames a second; the session's own where it has one, else 48000
    #[arg(long, value_name = "HZ")]
    pub rate: Option<u32>,
    /// Frames of a period
    #[arg(long, default_value_t = 64, value_name = "FRAMES")]
    pub period: usize,
    /// Frames of the device's buffer: how late the program may be
    #[arg(long, value_name = "FRAMES")]
    pub buffer: Option<usize>,
    /// Milliseconds of sound for which windows are kept ready ahead, if locked memory allows
    #[arg(long, default_value_t = crate::limits::LEAD_MS_DEFAULT, value_name = "MS", value_parser = clap::value_parser!(u64).range(20..=60_000))]
    pub lead: u64,
    /// Memory that may be locked, in KiB; the system's limit if that is lower
    #[arg(long, value_name = "KIB")]
    pub lock_limit: Option<u64>,
    /// Memory that sound may wait in for a slow disk, in MiB; a quarter of the machine's if not given
    #[arg(long, value_name = "MIB")]
    pub spool_limit: Option<u64>,
}

/// `faultless record`.
#[derive(Args)]
pub struct RecordArgs {
    /// The session's folder; it is made if it is not there
    pub session: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened")]
    pub device: DeviceArgs,
    /// Inputs to record, from the first on; all that the device has if not given
    #[arg(long, value_name = "N")]
    pub inputs: Option<usize>,
    /// Sample format of new takes: s16, s24 or f32; the session's own if not given (s24 for a new one)
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<TakeFormat>,
    /// Stop by itself after so many seconds, to the frame
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seconds: Option<f64>,
    /// Where captured sound goes first: 'spool' (nothing can hold it up) or 'in-place' (the file itself)
    #[arg(long, default_value = "spool", value_name = "PATH")]
    pub capture_path: CapturePath,
    /// What a virtual device hears: ramp, tones, silence or file=WAV
    #[arg(long, default_value = "tones", value_name = "SIGNAL")]
    pub signal: String,
    /// Write the same takes to a second folder in DIR too, better on another disk: either disk may fail, fill or stand still
    #[arg(long, value_name = "DIR")]
    pub mirror: Option<PathBuf>,
    /// Go on in a folder in DIR, without a gap, when the session's disk is full or fails
    #[arg(long, value_name = "DIR")]
    pub overflow: Option<PathBuf>,
    /// Play what the session holds while recording
    #[arg(long)]
    pub play_along: bool,
    /// End with one line of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// `faultless play`.
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
    /// Stop after so many seconds; at the end of the session if not given
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seconds: Option<f64>,
    /// End with one line of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// `faultless export`.
#[derive(Args)]
pub struct ExportArgs {
    /// The session's folder
    pub session: PathBuf,
    /// The folder for the files; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Numbers of the tracks, separated by commas; all if not given
    #[arg(long, value_delimiter = ',', value_name = "N,N,...")]
    pub tracks: Option<Vec<usize>>,
    /// Where to begin: seconds, m:s, h:m:s.ms, or frames as in 48000f
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Where to end, likewise
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Sample format: s16, s24 or f32; each take's own if not given
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<TakeFormat>,
    /// The stereo mix in place of the tracks
    #[arg(long)]
    pub mix: bool,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
    /// End with one line of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// `faultless recover`.
#[derive(Args)]
pub struct RecoverArgs {
    /// The session's folder; without it, spool files that were left in memory are listed and nothing is changed
    ///
    /// Whatever opens a session to record recovers it first, without being asked; this does it without recording. It may
    /// be stopped at any moment and run again. A spool file goes when its sound is in its take, and not before.
    #[arg(verbatim_doc_comment)]
    pub session: Option<PathBuf>,
    /// End with one line of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// `faultless devices`.
#[derive(Args)]
pub struct DevicesArgs {
    /// One line of JSON in place of the table
    #[arg(long)]
    pub json: bool,
}

/// `faultless doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    /// Where sessions are kept
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// Tracks to be recorded
    #[arg(long, default_value_t = 24, value_name = "N")]
    pub tracks: usize,
    /// Frames a second
    #[arg(long, default_value_t = 48_000, value_name = "HZ")]
    pub rate: u32,
    /// Sample format: s16, s24 or f32
    #[arg(long, default_value = "s24", value_name = "FORMAT")]
    pub format: TakeFormat,
    /// One line of JSON in place of the table
    #[arg(long)]
    pub json: bool,
}

/// `faultless bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub what: BenchMode,
}

/// What can be measured.
#[derive(Subcommand)]
pub enum BenchMode {
    /// The ways to stream through mapped files, from the scheme of 2000 to this program's, side by side
    Residency(ResidencyArgs),
}

/// `faultless bench residency`.
#[derive(Args)]
pub struct ResidencyArgs {
    /// A folder on the file system to measure on; a real one, not tmpfs
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Tracks
    #[arg(long, default_value_t = 24, value_name = "N")]
    pub tracks: usize,
    /// Frames of a period
    #[arg(long, default_value_t = 64, value_name = "FRAMES")]
    pub period: usize,
    /// Seconds for each row
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    pub seconds: f64,
    /// The load beside the measurement: none, sync, disk or memory
    #[arg(long, default_value = "none", value_name = "LOAD")]
    pub load: String,
    /// One line of JSON in place of the table
    #[arg(long)]
    pub json: bool,
}

/// `faultless stress`.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct StressArgs {
    /// A folder to rehearse in, on the disk that is meant; none that is a session, or holds one
    ///
    /// A new folder is made inside it, and removed at the end.
    pub scratch: PathBuf,
    /// What to go through, separated by commas: none, sync, cache, disk, memory, slow, freeze, unplug; or all
    ///
    /// memory, slow and freeze need root; freeze a loop image, too. What is not permitted is skipped by name.
    #[arg(long, default_value = "all", value_delimiter = ',', value_name = "STRESS,...")]
    pub stress: Vec<String>,
    /// Seconds to record under each
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    pub seconds: f64,
    /// Inputs to record
    #[arg(long, default_value_t = 24, value_name = "N")]
    pub inputs: usize,
    /// Frames of a period
    #[arg(long, default_value_t = 64, value_name = "FRAMES")]
    pub period: usize,
    /// Frames of the device's buffer: how late the program may be
    #[arg(long, value_name = "FRAMES")]
    pub buffer: Option<usize>,
    /// Freeze the file system of SCRATCH even if it is no loop image; never the one the machine lives on
    #[arg(long)]
    pub may_freeze: bool,
    /// Leave the rehearsals, to look at them
    #[arg(long)]
    pub keep: bool,
    /// One line of JSON in place of the table
    #[arg(long)]
    pub json: bool,
    /// Tell what is done as lines of JSON on standard output, and end when standard input does: for the window
    #[arg(long, hide = true)]
    pub told: bool,
}
