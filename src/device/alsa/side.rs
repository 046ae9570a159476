//! One direction of an ALSA device: opens and configures a PCM, and transfers its samples. Thread: audio
//! (opening: opener, reconnect, control).

use super::delays::SideDelay;
use super::graph::{SoundServer, missing_node, source_of};
use super::jack::{Ports, note_unlisted};
use super::list::{SERVERS, channels_of_elastic};
use super::open_error::open_error;
use super::pcm::{
    FORMATS, Kind, Want, description, direction_name, errno, is_null, kind_of, open_pcm, pcm_format, rates_offered,
    system_says,
};
use super::planar::{Planar, Touched};
use super::reserve::Reservation;
use super::ring;
use super::source_watch::{StreamWatch, Watched};
use crate::device::DeviceError;
use crate::format::DeviceFormat;
use crate::limits::{BLOCK_FRAMES_MAX, CHANNEL_COUNT_MAX, PERIOD_FRAMES_DEFAULT, PERIOD_FRAMES_MAX, PERIOD_FRAMES_MIN};
use ::alsa::pcm::{Access as PcmAccess, Frames, HwParams, PCM, TstampType};
use ::alsa::{Direction, Output as AlsaOutput, ValueOr};

/// Kinds of access in order of preference.
const ACCESSES: [PcmAccess; 3] = [PcmAccess::MMapInterleaved, PcmAccess::RWInterleaved, PcmAccess::RWNonInterleaved];

/// How the program accesses the samples.
pub(super) enum SampleAccess {
    /// Directly in the mapped ring.
    Mapped,
    /// By `readi` and `writei` through [`Side::block`].
    Interleaved,
    /// By `readn` and `writen` through a planar block.
    Planar(Planar),
}

/// An open direction.
pub(super) struct Side {
    pub(super) pcm: PCM,
    pub(super) direction: Direction,
    pub(super) channels: usize,
    pub(super) format: DeviceFormat,
    pub(super) period_frames: usize,
    pub(super) buffer_frames: usize,
    pub(super) access: SampleAccess,
    /// A block of interleaved samples: the buffer of [`SampleAccess::Interleaved`], the destination of output that is
    /// dropped, and the copy of input that the card may overwrite.
    pub(super) block: Touched,
    /// The origin of its sound.
    pub(super) kind: Kind,
    /// Who reports its delay, and the part that no reading has.
    pub(super) delay: SideDelay,
    /// More than half of the capture ring is in use, so the card may overwrite what is being read.
    pub(super) is_near_full: bool,
    /// Frames that were taken out of the capture ring and not lent, because the card had overwritten some of them.
    pub(super) spoiled: usize,
    /// The driver stamps its frame count with the time of the reading.
    pub(super) stamps: bool,
    /// The source of the sound, if a server can take it away.
    pub(super) watched: Option<Watched>,
    /// Frames that were written since the prefill began.
    pub(super) written: u64,
    /// The card of outputs that are on another card than the inputs. The last field, because the PCM must be closed before
    /// the card is given back.
    pub(super) reservation: Option<Reservation>,
}

/// A setting that the device may accept.
#[derive(Clone, Copy)]
struct Choice {
    access: PcmAccess,
    format: DeviceFormat,
    channels: u32,
    resample: bool,
}

impl Side {
    /// Opens and configures one direction. Adds a note for every setting that differs from the request.
    pub(super) fn open(want: &Want<'_>, notes: &mut Vec<String>) -> Result<Side, DeviceError> {
        refuse_missing_node(want)?;
        let ports = Ports::find(want.device, want.pcm, want.direction, want.channels)?;
        if let Some(note) = note_unlisted(want.pcm).filter(|note| !notes.contains(note)) {
            notes.push(note);
        }
        let of_ports = ports.as_ref().map(Ports::pcm);
        // The converter before JACK's ports would offer any channels and format.
        let want = &match &ports {
            Some(ports) => Want { channels: Some(ports.channels()), format: Some(DeviceFormat::F32), ..*want },
            None => Want { ..*want },
        };
        let said = AlsaOutput::local_error_handler().ok();
        let opened = open_pcm(of_ports.as_deref().unwrap_or(want.pcm), want.direction);
        let said = said.map_or_else(String::new, |said| said.borrow().to_string());
        let pcm = opened.map_err(|e| open_error(want, errno(&e), &said))?;
        let kind = kind_of(&pcm);
        let named = want.period_frames;
        let want = &Want { period_frames: Some(named.unwrap_or(kind.period_frames())), ..*want };
        let choice = choose(&pcm, want, notes)?;
        apply(&pcm, want, choice)?;
        let (period_frames, buffer_frames) = actual_sizes(&pcm, want)?;
        let is_chosen = named.is_none() && kind == Kind::Server;
        note_buffer(want, is_chosen.then(|| origin(&pcm)), (period_frames, buffer_frames), notes);
        let channels = choice.channels as usize;
        let frame_bytes = channels * choice.format.bytes();
        let no_memory = |e: std::io::Error| failed(want, "mmap", e.to_string());
        let access = match choice.access {
            PcmAccess::MMapInterleaved => SampleAccess::Mapped,
            PcmAccess::RWNonInterleaved => {
                SampleAccess::Planar(Planar::new(channels, choice.format.bytes(), BLOCK_FRAMES_MAX).map_err(no_memory)?)
            }
            _ => SampleAccess::Interleaved,
        };
        let block = Touched::new(BLOCK_FRAMES_MAX * frame_bytes).map_err(no_memory)?;
        if matches!(access, SampleAccess::Mapped) && !ring::make_resident(&pcm, buffer_frames * frame_bytes) {
            notes.push(format!(
                "{}: its buffer could not be brought into memory; the audio thread may take page faults until it has used \
                 the whole buffer once",
                label(want)
            ));
        }
        Ok(Side {
            direction: want.direction,
            channels,
            format: choice.format,
            period_frames,
            buffer_frames,
            access,
            block,
            kind,
            delay: SideDelay::of(&description(&pcm).unwrap_or_default(), ports.as_ref().and_then(Ports::delay)),
            is_near_full: false,
            spoiled: 0,
            stamps: kind != Kind::Server && enable_stamps(&pcm).is_ok(),
            watched: watched(&pcm, want, ports.as_ref()),
            written: 0,
            reservation: None,
            pcm,
        })
    }

    /// Sets the wake threshold to `avail_min` frames. The device starts only by a start call. It stops when its buffer
    /// runs over or dry, except where [`Side::is_endless`].
    pub(super) fn set_wake(&self, device: &str, avail_min: usize) -> Result<(), DeviceError> {
        let set = || -> ::alsa::Result<()> {
            let params = self.pcm.sw_params_current()?;
            params.set_avail_min(avail_min as Frames)?;
            params.set_start_threshold(params.get_boundary()?)?;
            let stop = if self.is_endless() { params.get_boundary()? } else { self.buffer_frames as Frames };
            params.set_stop_threshold(stop)?;
            self.pcm.sw_params(&params)
        };
        set().map_err(|e| DeviceError::Failed {
            name: device.to_owned(),
            call: "snd_pcm_sw_params",
            reason: system_says(errno(&e)),
        })
    }

    /// Bytes of one frame.
    pub(super) fn frame_bytes(&self) -> usize {
        self.channels * self.format.bytes()
    }

    /// Writes `frames` frames of silence. Returns how many the device took.
    pub(super) fn write_silence(&mut self, frames: usize) -> Result<usize, i32> {
        let mut written = 0;
        self.pcm.avail_update().map_err(|e| errno(&e))?;
        let frame_bytes = self.frame_bytes();
        if let SampleAccess::Planar(planar) = &mut self.access {
            planar.bytes_mut().fill(0);
        }
        self.block.fill(0);
        while written < frames {
            let piece = (frames - written).min(BLOCK_FRAMES_MAX);
            let io = self.pcm.io_bytes();
            let moved = match &mut self.access {
                SampleAccess::Mapped => io.mmap(piece, |ring| {
                    ring.fill(0);
                    ring.len() / frame_bytes
                }),
                SampleAccess::Interleaved => io.writei(&self.block[..piece * frame_bytes]),
                SampleAccess::Planar(planar) => planar.write(&io, 0, piece),
            };
            match moved.map_err(|e| errno(&e)) {
                Ok(0) | Err(libc::EAGAIN) => break,
                Ok(moved) => written += moved,
                Err(e) => return Err(e),
            }
        }
        self.written += written as u64;
        Ok(written)
    }

    /// Reads up to `frames` frames, at most a block, into this side's own memory.
    pub(super) fn read_block(&mut self, frames: usize) -> Result<usize, i32> {
        let frame_bytes = self.frame_bytes();
        let piece = frames.min(BLOCK_FRAMES_MAX);
        let io = self.pcm.io_bytes();
        let block = &mut self.block;
        match &mut self.access {
            SampleAccess::Mapped => io.mmap(piece, |ring| {
                let whole = ring.len() / frame_bytes * frame_bytes;
                block[..whole].copy_from_slice(&ring[..whole]);
                whole / frame_bytes
            }),
            SampleAccess::Interleaved => io.readi(&mut block[..piece * frame_bytes]),
            SampleAccess::Planar(planar) => planar.read(&io, piece),
        }
        .map_err(|e| errno(&e))
    }

    /// Writes the first `frames` frames of this side's own memory. Not for mapped sides.
    pub(super) fn write_block(&mut self, frames: usize) -> Result<(), i32> {
        let frame_bytes = self.frame_bytes();
        let mut written = 0;
        while written < frames {
            let io = self.pcm.io_bytes();
            let moved = match &mut self.access {
                SampleAccess::Mapped => return Ok(()),
                SampleAccess::Interleaved => io.writei(&self.block[written * frame_bytes..frames * frame_bytes]),
                SampleAccess::Planar(planar) => planar.write(&io, written, frames - written),
            };
            match moved.map_err(|e| errno(&e)) {
                Ok(0) => return Err(libc::EAGAIN),
                Ok(moved) => written += moved,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn period_of(want: &Want<'_>) -> usize {
    want.period_frames.unwrap_or(PERIOD_FRAMES_DEFAULT)
}

/// The origin of the sound of a PCM without a card, for a sentence.
fn origin(pcm: &PCM) -> &'static str {
    if is_null(pcm) { "nothing" } else { "a sound server" }
}

fn failed(want: &Want<'_>, call: &'static str, reason: String) -> DeviceError {
    DeviceError::Failed { name: want.device.to_owned(), call, reason }
}

fn unsupported(want: &Want<'_>, what: String, offers: String) -> DeviceError {
    DeviceError::Unsupported { name: want.device.to_owned(), what, offers }
}

fn label(want: &Want<'_>) -> &'static str {
    direction_name(want.direction)
}

fn any_params<'p>(pcm: &'p PCM, want: &Want<'_>, resample: bool) -> Result<HwParams<'p>, DeviceError> {
    let params = HwParams::any(pcm).map_err(|e| failed(want, "snd_pcm_hw_params_any", system_says(errno(&e))))?;
    // A device that cannot convert refuses this call, which is fine.
    params.set_rate_resample(resample).ok();
    Ok(params)
}

/// The first setting, in order of preference, that the device takes.
fn choose(pcm: &PCM, want: &Want<'_>, notes: &mut Vec<String>) -> Result<Choice, DeviceError> {
    let mut resample = false;
    if any_params(pcm, want, false)?.test_rate(want.rate.0).is_err() {
        // A converter behind the device can provide the rate. Use it, and add a note.
        resample = any_params(pcm, want, true)?.test_rate(want.rate.0).is_ok();
        if !resample {
            return Err(unsupported(want, want.rate.to_string(), rates_offered(&any_params(pcm, want, false)?)));
        }
        notes.push(format!("{}: {} is not the device's own rate; ALSA converts it", label(want), want.rate));
    }
    let channels = choose_channels(pcm, want, resample, notes)?;
    let preferred = want.format.into_iter().chain(FORMATS);
    for access in ACCESSES {
        for format in preferred.clone() {
            let choice = Choice { access, format, channels, resample };
            if restricted(pcm, want, choice)?.is_some() {
                note_choice(want, choice, notes);
                return Ok(choice);
            }
        }
    }
    let what = format!("{channels} channels at {} in a known format for {}", want.rate, label(want));
    let names = FORMATS.map(DeviceFormat::name).join(", ");
    Err(unsupported(want, what, format!("one of {names} is needed")))
}

fn note_choice(want: &Want<'_>, choice: Choice, notes: &mut Vec<String>) {
    if want.format.is_some_and(|format| format != choice.format) {
        notes.push(format!(
            "{}: the format is {}, the device does not offer the wanted one",
            label(want),
            choice.format
        ));
    }
    if choice.access != PcmAccess::MMapInterleaved {
        notes.push(format!("{}: no mapped interleaved access; each sample is copied once more", label(want)));
    }
}

fn choose_channels(pcm: &PCM, want: &Want<'_>, resample: bool, notes: &mut Vec<String>) -> Result<u32, DeviceError> {
    let params = any_params(pcm, want, resample)?;
    // Many cards have fewer channels at higher rates.
    params.set_rate(want.rate.0, ValueOr::Nearest).ok();
    let read = |e: ::alsa::Error| failed(want, "snd_pcm_hw_params_get_channels", system_says(errno(&e)));
    let min = params.get_channels_min().map_err(read)?;
    let max = params.get_channels_max().map_err(read)?;
    let limit = max.min(CHANNEL_COUNT_MAX as u32);
    let Some(wanted) = want.channels else {
        if let Some(two) = channels_of_elastic(min, max) {
            if let Some((channels, title)) = channels_of_source(pcm, want) {
                let channels = channels.clamp(min, limit);
                notes.push(format!(
                    "{}: the sound server's source is {title}; its {channels} channels are opened",
                    label(want)
                ));
                return Ok(channels);
            }
            notes.push(format!("{}: it takes any number of channels; {two} are opened", label(want)));
            return Ok(two);
        }
        return Ok(limit);
    };
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
    match (wanted.max(min)..=limit).find(|count| params.test_channels(*count).is_ok()) {
        Some(channels) => Ok(channels),
        None => Err(unsupported(
            want,
            format!("{wanted} {} channels at {}", label(want), want.rate),
            format!("it has {limit}"),
        )),
    }
}

/// The sound of the inputs, if a server can take it away.
fn watched(pcm: &PCM, want: &Want<'_>, ports: Option<&Ports>) -> Option<Watched> {
    match (want.direction, ports) {
        (Direction::Playback, _) => None,
        (Direction::Capture, Some(ports)) => Some(Watched::Jack(ports.watch())),
        (Direction::Capture, None) => {
            let server = SoundServer::behind(&description(pcm)?)?;
            Some(Watched::Stream(StreamWatch::new(server, want.pcm)))
        }
    }
}

/// The number of channels of the source behind a server's PCM that takes any number, and its title.
fn channels_of_source(pcm: &PCM, want: &Want<'_>) -> Option<(u32, String)> {
    let name = want.pcm.split(':').next().unwrap_or_default();
    // A PCM of the user's own configuration may have any source.
    if want.direction != Direction::Capture || !SERVERS.contains(&name) {
        return None;
    }
    let source = source_of(SoundServer::behind(&description(pcm)?)?, want.pcm)?;
    Some((u32::try_from(source.channels?).ok()?, source.title))
}

/// Refuses a node of PipeWire that is not there. PipeWire would connect another one in its place.
fn refuse_missing_node(want: &Want<'_>) -> Result<(), DeviceError> {
    let records = want.direction == Direction::Capture;
    let Some(others) = missing_node(want.pcm, records) else { return Ok(()) };
    let kind = if records { "sources" } else { "sinks" };
    let hint = if others.is_empty() {
        format!("PipeWire has no {kind} now")
    } else {
        format!("PipeWire's {kind} are: {}; 'faultless devices' lists them", others.join(", "))
    };
    Err(DeviceError::Unknown { name: want.device.to_owned(), hint })
}

/// The settings restricted to `choice`; `None` if the device does not support it.
fn restricted<'p>(pcm: &'p PCM, want: &Want<'_>, choice: Choice) -> Result<Option<HwParams<'p>>, DeviceError> {
    let params = any_params(pcm, want, choice.resample)?;
    let taken = params.set_access(choice.access).is_ok()
        && params.set_format(pcm_format(choice.format)).is_ok()
        && params.set_rate(want.rate.0, ValueOr::Nearest).is_ok()
        && params.set_channels(choice.channels).is_ok();
    Ok(taken.then_some(params))
}

fn apply(pcm: &PCM, want: &Want<'_>, choice: Choice) -> Result<(), DeviceError> {
    let Some(params) = restricted(pcm, want, choice)? else {
        return Err(failed(
            want,
            "snd_pcm_hw_params",
            "the device refused settings that it had offered; close other programs that use it, then open it again"
                .to_owned(),
        ));
    };
    let set = || -> ::alsa::Result<()> {
        let period = params.set_period_size_near(period_of(want) as Frames, ValueOr::Nearest)?;
        params.set_buffer_size_near((want.buffer_frames as Frames).max(4 * period))?;
        pcm.hw_params(&params)
    };
    set().map_err(|e| match errno(&e) {
        // Some drivers allow any number of openings and refuse here.
        libc::EBUSY => open_error(want, libc::EBUSY, ""),
        other => failed(want, "snd_pcm_hw_params", system_says(other)),
    })
}

/// Makes the driver stamp its status with the clock of [`crate::host::monotonic`]. The plugins of sound servers read the
/// clock after the count instead, which is no better than to do that here.
fn enable_stamps(pcm: &PCM) -> ::alsa::Result<()> {
    let params = pcm.sw_params_current()?;
    params.set_tstamp_mode(true)?;
    params.set_tstamp_type(TstampType::Monotonic)?;
    pcm.sw_params(&params)
}

/// Period and buffer that the device chose, checked against the limits.
fn actual_sizes(pcm: &PCM, want: &Want<'_>) -> Result<(usize, usize), DeviceError> {
    let read = || -> ::alsa::Result<(Frames, Frames, u32)> {
        let params = pcm.hw_params_current()?;
        Ok((params.get_period_size()?, params.get_buffer_size()?, params.get_rate()?))
    };
    let (period, buffer, rate) =
        read().map_err(|e| failed(want, "snd_pcm_hw_params_current", system_says(errno(&e))))?;
    if rate != want.rate.0 {
        return Err(unsupported(want, want.rate.to_string(), format!("it offers {rate} Hz")));
    }
    let (period, buffer) = (period as usize, buffer as usize);
    if !(PERIOD_FRAMES_MIN..=PERIOD_FRAMES_MAX).contains(&period) || buffer < 2 * period {
        let what = format!("a period of {} frames for {}", period_of(want), label(want));
        return Err(unsupported(want, what, format!("it settled on {period} in a buffer of {buffer}")));
    }
    Ok((period, buffer))
}

/// Notes what the device chose. `origin`: the reason for a period that the user has not named.
fn note_buffer(want: &Want<'_>, origin: Option<&str>, (period, buffer): (usize, usize), notes: &mut Vec<String>) {
    if let Some(origin) = origin {
        notes.push(format!("{}: {origin} is behind it, so the period is {period} frames", label(want)));
    } else if period != period_of(want) {
        notes.push(format!("{}: the period is {period} frames, not {}", label(want), period_of(want)));
    }
    if buffer < 4 * period {
        notes.push(format!("{}: the buffer holds only {} periods", label(want), buffer / period));
    } else if buffer < want.buffer_frames {
        notes.push(format!("{}: the buffer is {buffer} frames, not {}", label(want), want.buffer_frames));
    }
}
