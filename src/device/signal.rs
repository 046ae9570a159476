//! Input signals of the built-in device: ramp, tones, silence, a WAV file. Thread: audio (opening: opener, reconnect, control).

use crate::format::DeviceFormat;
use crate::time::SampleRate;
use crate::wav::parse::parse;
use crate::wav::sample;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The input signal of the built-in device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A different number in every frame, see [`ramp`]. Exact in s24 and f32, so a test finds every gap, repetition and
    /// shift.
    Ramp,
    /// A different pitch and level per channel, for the ear.
    Tones,
    /// Silence in every channel.
    Silence,
    /// The channels of a WAV file, repeated without end.
    File(PathBuf),
}

/// Difference between the ramps of two neighbouring channels.
pub const RAMP_CHANNEL_STEP: u64 = 1_000_003;

/// The ramp at device frame `frame` on channel `channel`: `((frame + channel * 1000003) mod 2^24) - 2^23`, a 24-bit
/// integer.
pub const fn ramp(frame: u64, channel: u64) -> i32 {
    (frame.wrapping_add(channel.wrapping_mul(RAMP_CHANNEL_STEP)) & 0x00FF_FFFF) as i32 - 0x0080_0000
}

/// Entries of the sine table of the tones.
const SINE_STEPS: usize = 4096;

/// Most samples of a file, because they are kept in memory: 512 MiB.
const FILE_SAMPLES_MAX: usize = 1 << 27;

/// Samples of a file that are read at a time.
const PIECE_SAMPLES: usize = 16 * 1024;

/// A generator of a [`Signal`], with its tables or samples in memory.
pub enum Source {
    /// The ramp. Each entry is added to the frame number for one channel.
    Ramp(Box<[u32]>),
    /// Tones, made as the device runs.
    Tones {
        /// One period of a sine.
        sine: Box<[f32]>,
        /// One tone per channel.
        voices: Box<[Tone]>,
    },
    /// Silence in every channel.
    Silence,
    /// A WAV file.
    File {
        /// Interleaved samples, full scale 1.0.
        samples: Box<[f32]>,
        /// Channels of the file.
        channels: usize,
        /// Input channels of the device, at most the file's.
        inputs: usize,
    },
}

/// A channel of [`Source::Tones`]. Phases and their steps per frame, in units of 2^-32 of a period.
pub struct Tone {
    phase: u32,
    step: u32,
    beat: u32,
    beat_step: u32,
    level: f32,
}

impl Source {
    /// Loads `signal`. The error is a sentence about the file.
    pub fn open(signal: &Signal, rate: SampleRate) -> Result<Source, String> {
        Ok(match signal {
            Signal::Ramp => Source::Ramp(Box::default()),
            Signal::Tones => Source::Tones { sine: sine(), voices: Box::default() },
            Signal::Silence => Source::Silence,
            Signal::File(path) => read_file(path, rate)?,
        })
    }

    /// Channels of the signal; `None` if it can have any number.
    pub fn channels(&self) -> Option<usize> {
        match self {
            Source::File { channels, .. } => Some(*channels),
            _ => None,
        }
    }

    /// The source for `inputs` channels at `rate`.
    #[must_use]
    pub fn for_inputs(self, inputs: usize, rate: SampleRate) -> Source {
        match self {
            Source::Ramp(_) => {
                let step = |channel: u64| (channel * RAMP_CHANNEL_STEP) as u32;
                Source::Ramp((0..inputs as u64).map(step).collect())
            }
            Source::Tones { sine, .. } => {
                Source::Tones { sine, voices: (0..inputs).map(|c| Tone::new(c, rate)).collect() }
            }
            Source::File { samples, channels, .. } => Source::File { samples, channels, inputs },
            Source::Silence => Source::Silence,
        }
    }

    /// Fills the interleaved memory `bytes` with the frames from device frame `frame` on. This is realtime-safe.
    pub fn fill(&mut self, bytes: &mut [u8], format: DeviceFormat, frame: u64) {
        match self {
            Source::Silence => bytes.fill(0),
            Source::Ramp(steps) => {
                let frames = bytes.chunks_exact_mut((steps.len() * format.bytes()).max(1));
                for (at, out) in frames.enumerate() {
                    fill_ramp(out, format, steps, (frame + at as u64) as u32);
                }
            }
            Source::Tones { sine, voices } => {
                for out in bytes.chunks_exact_mut((voices.len() * format.bytes()).max(1)) {
                    for (sample, voice) in out.chunks_exact_mut(format.bytes()).zip(voices.iter_mut()) {
                        put(sample, format, voice.next(sine));
                    }
                }
            }
            Source::File { samples, channels, inputs } => {
                let length = samples.len() / *channels;
                for (at, out) in bytes.chunks_exact_mut((*inputs * format.bytes()).max(1)).enumerate() {
                    let from = ((frame + at as u64) % length as u64) as usize * *channels;
                    for (sample, value) in out.chunks_exact_mut(format.bytes()).zip(&samples[from..]) {
                        put(sample, format, *value);
                    }
                }
            }
        }
    }
}

/// Writes one frame of ramps.
fn fill_ramp(out: &mut [u8], format: DeviceFormat, steps: &[u32], frame: u32) {
    let value = |step: &u32| (frame.wrapping_add(*step) & 0x00FF_FFFF) as i32 - 0x0080_0000;
    match format {
        DeviceFormat::S32 => {
            for (sample, step) in out.chunks_exact_mut(4).zip(steps) {
                sample.copy_from_slice(&(value(step) << 8).to_le_bytes());
            }
        }
        DeviceFormat::F32 => {
            for (sample, step) in out.chunks_exact_mut(4).zip(steps) {
                sample.copy_from_slice(&(value(step) as f32 * (1.0 / 8_388_608.0)).to_le_bytes());
            }
        }
        DeviceFormat::S24 => {
            for (sample, step) in out.chunks_exact_mut(4).zip(steps) {
                sample.copy_from_slice(&value(step).to_le_bytes());
            }
        }
        DeviceFormat::S24In3 => {
            for (sample, step) in out.chunks_exact_mut(3).zip(steps) {
                sample.copy_from_slice(&value(step).to_le_bytes()[..3]);
            }
        }
        DeviceFormat::S16 => {
            for (sample, step) in out.chunks_exact_mut(2).zip(steps) {
                sample.copy_from_slice(&((value(step) >> 8) as i16).to_le_bytes());
            }
        }
    }
}

/// Writes a float sample in `format`.
fn put(sample: &mut [u8], format: DeviceFormat, value: f32) {
    let wide = ((f64::from(value) * 2_147_483_648.0) as i32).to_le_bytes();
    match format {
        DeviceFormat::S32 => sample.copy_from_slice(&wide),
        DeviceFormat::F32 => sample.copy_from_slice(&value.to_le_bytes()),
        DeviceFormat::S24In3 => sample.copy_from_slice(&wide[1..]),
        DeviceFormat::S24 => sample.copy_from_slice(&(i32::from_le_bytes(wide) >> 8).to_le_bytes()),
        DeviceFormat::S16 => sample.copy_from_slice(&wide[2..]),
    }
}

impl Tone {
    /// Channel 0 is a low A. Each further channel is a fifth higher, folded into four octaves, and has a pulse of its
    /// own tempo, so that meters and waveforms of two channels look different.
    fn new(channel: usize, rate: SampleRate) -> Tone {
        let turn = f64::from(u32::MAX) + 1.0;
        let hertz = 110.0 * 2_f64.powf((channel * 7 % 48) as f64 / 12.0);
        let beats = 0.9 + 0.13 * (channel % 9) as f64;
        Tone {
            phase: 0,
            step: (hertz / f64::from(rate.0) * turn) as u32,
            beat: (channel as u32).wrapping_mul(0x2545_F491),
            beat_step: (beats / f64::from(rate.0) * turn) as u32,
            level: 10_f32.powf((-6.0 - 2.0 * (channel % 7) as f32) / 20.0),
        }
    }

    fn next(&mut self, sine: &[f32]) -> f32 {
        self.phase = self.phase.wrapping_add(self.step);
        self.beat = self.beat.wrapping_add(self.beat_step);
        // The envelope of a pulse: a quick rise and a long fall.
        let fall = 1.0 - (self.beat >> 8) as f32 / (1 << 24) as f32;
        sine[(self.phase >> 20) as usize % SINE_STEPS] * self.level * (fall * fall).max(0.02)
    }
}

fn sine() -> Box<[f32]> {
    (0..SINE_STEPS).map(|at| (at as f64 / SINE_STEPS as f64 * std::f64::consts::TAU).sin() as f32).collect()
}

fn read_file(path: &Path, rate: SampleRate) -> Result<Source, String> {
    let message = |reason: &dyn std::fmt::Display| format!("{}: {reason}", path.display());
    // Without O_NONBLOCK a pipe without a writer would block here.
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(|error| message(&error))?;
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Err(message(&"not a regular file"));
    }
    let bytes = file.metadata().map_err(|error| message(&error))?.len();
    read_wav(&mut &file, bytes, rate).map_err(|reason| message(&reason))
}

/// The samples of the WAV file `wav` of `file_bytes` bytes. The error is a sentence about the file.
pub fn read_wav(wav: &mut (impl Read + Seek), file_bytes: u64, rate: SampleRate) -> Result<Source, String> {
    let layout = parse(wav, file_bytes).map_err(|error| error.to_string())?;
    if layout.rate != rate.0 {
        return Err(format!("the file has {} Hz and {rate} were asked for", layout.rate));
    }
    if layout.frames == 0 {
        return Err("the file holds no sound".to_owned());
    }
    let channels = usize::from(layout.channels);
    if FILE_SAMPLES_MAX as u64 / u64::from(layout.channels) < layout.frames {
        return Err("the file is too long to be a test signal".to_owned());
    }
    let mut samples = vec![0.0; layout.frames as usize * channels];
    let mut bytes = vec![0; PIECE_SAMPLES * layout.encoding.bytes()];
    wav.seek(SeekFrom::Start(layout.data_offset)).map_err(|error| error.to_string())?;
    for piece in samples.chunks_mut(PIECE_SAMPLES) {
        let bytes = &mut bytes[..piece.len() * layout.encoding.bytes()];
        wav.read_exact(bytes).map_err(|error| error.to_string())?;
        sample::decode_to_f32(layout.encoding, bytes, piece);
    }
    Ok(Source::File { samples: samples.into_boxed_slice(), channels, inputs: channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ramp_is_the_same_number_in_every_format_that_can_hold_it() {
        let mut source = Source::open(&Signal::Ramp, SampleRate(48_000)).unwrap().for_inputs(3, SampleRate(48_000));
        let mut wide = [0; 24];
        source.fill(&mut wide, DeviceFormat::S32, 16_777_214);
        let mut floats = [0; 24];
        source.fill(&mut floats, DeviceFormat::F32, 16_777_214);
        for at in 0..6 {
            let want = ramp(16_777_214 + at as u64 / 3, at as u64 % 3);
            assert_eq!(i32::from_le_bytes(wide[at * 4..][..4].try_into().unwrap()) >> 8, want);
            assert_eq!((f32::from_le_bytes(floats[at * 4..][..4].try_into().unwrap()) * 8_388_608.0) as i32, want);
        }
    }

    #[test]
    fn a_file_repeats_without_end() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for value in [1_i16, 2, 3, 4, 5, 6] {
            writer.write_sample(value).unwrap();
        }
        writer.finalize().unwrap();
        let signal = Signal::File(path.to_path_buf());
        let mut source = Source::open(&signal, SampleRate(48_000)).unwrap().for_inputs(1, SampleRate(48_000));
        let mut out = [0; 8];
        source.fill(&mut out, DeviceFormat::S16, 2);
        assert_eq!(out, [5, 0, 1, 0, 3, 0, 5, 0]);
        let wrong = Source::open(&signal, SampleRate(44_100)).err().unwrap();
        assert!(wrong.contains("48000 Hz"), "{wrong}");
    }

    /// A WAV file with a chunk `fmt ` and other chunks before the sound.
    fn wav(id: [u8; 4], size: u32, fmt: &[u8], before: &[u8], data_size: u32, sound: &[u8]) -> Vec<u8> {
        let mut bytes = id.to_vec();
        bytes.extend(size.to_le_bytes());
        bytes.extend(b"WAVE");
        bytes.extend(before);
        bytes.extend(b"fmt ");
        bytes.extend((fmt.len() as u32).to_le_bytes());
        bytes.extend(fmt);
        bytes.extend(b"data");
        bytes.extend(data_size.to_le_bytes());
        bytes.extend(sound);
        bytes
    }

    fn fmt(tag: u16, sample_bytes: u16, more: &[u8]) -> Vec<u8> {
        let mut fmt = tag.to_le_bytes().to_vec();
        fmt.extend(1u16.to_le_bytes());
        fmt.extend(48_000u32.to_le_bytes());
        fmt.extend((48_000 * u32::from(sample_bytes)).to_le_bytes());
        fmt.extend(sample_bytes.to_le_bytes());
        fmt.extend((sample_bytes * 8).to_le_bytes());
        fmt.extend(more);
        fmt
    }

    #[test]
    fn every_wav_that_the_parser_reads_is_a_signal() {
        let half = |bytes: &[u8]| bytes.to_vec();
        let (s16, s32) = (half(&[0, 0x40, 0, 0x40]), half(&[0, 0, 0, 0x40, 0, 0, 0, 0x40]));
        let f64s: Vec<u8> = [0.5f64, 0.5].into_iter().flat_map(f64::to_le_bytes).collect();
        let plain = fmt(1, 2, &[]);
        let odd = b"LIST\x03\0\0\0abc\0";
        let mut ds64 = b"ds64\x1c\0\0\0".to_vec();
        ds64.extend([80u64, 4, 2].into_iter().flat_map(u64::to_le_bytes).chain([0; 4]));
        for (kind, file) in [
            ("a chunk of odd length", wav(*b"RIFF", 48, &plain, odd, 4, &s16)),
            ("RF64", wav(*b"RF64", u32::MAX, &plain, &ds64, u32::MAX, &s16)),
            ("BW64", wav(*b"BW64", u32::MAX, &plain, &ds64, u32::MAX, &s16)),
            ("never finished", wav(*b"RIFF", 0, &plain, &[], 0, &s16)),
            ("cut short", wav(*b"RIFF", 2000, &plain, &[], 1964, &s16)),
            ("half a frame", wav(*b"RIFF", 41, &plain, &[], 5, &[&s16[..], &[1, 0]].concat())),
            ("32 bits with 18 bytes of format", wav(*b"RIFF", 48, &fmt(1, 4, &[0, 0]), &[], 8, &s32)),
            ("64-bit float", wav(*b"RIFF", 54, &fmt(3, 8, &[0, 0]), &[], 16, &f64s)),
        ] {
            let source = read_wav(&mut std::io::Cursor::new(&file), file.len() as u64, SampleRate(48_000));
            let Ok(Source::File { samples, channels: 1, .. }) = source else {
                panic!("{kind}: {:?}", source.err());
            };
            assert_eq!(&samples[..2], [0.5, 0.5], "{kind}");
        }
        let bytes = wav(*b"RIFF", 38, &fmt(1, 1, &[]), &[], 2, &[1, 2]);
        let said = read_wav(&mut std::io::Cursor::new(&bytes), bytes.len() as u64, SampleRate(48_000)).err().unwrap();
        assert!(said.contains("8 bits cannot be read; convert"), "{said}");
    }

    #[test]
    fn tones_differ_and_stay_below_full_scale() {
        let mut source = Source::open(&Signal::Tones, SampleRate(48_000)).unwrap().for_inputs(2, SampleRate(48_000));
        let mut out = vec![0; 4800 * 8];
        source.fill(&mut out, DeviceFormat::F32, 0);
        let values: Vec<f32> = out.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert!(values.iter().all(|v| v.abs() < 0.6) && values.iter().any(|v| v.abs() > 0.01));
        assert!(values.chunks(2).any(|f| (f[0] - f[1]).abs() > 0.01));
    }
}
