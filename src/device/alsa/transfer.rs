//! Lends one period of the sound card's memory to the engine, piece by piece. Thread: audio.

use super::pcm::errno;
use super::side::{SampleAccess, Side};
use crate::device::{Input, Output};
use crate::limits::BLOCK_FRAMES_MAX;

/// The function of the engine that receives each piece of a period.
pub(super) type Process<'p> = dyn FnMut(Input<'_>, Output<'_>) + 'p;

/// Output frames to drop, because they would be played too late. Playback gets the frame behind them next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skip {
    frames: usize,
    /// Whether playback runs on and has fallen behind. Otherwise it was silent.
    is_late: bool,
}

impl Skip {
    /// Frames whose time has passed while playback was silent.
    pub(super) fn silent(frames: usize) -> Skip {
        Skip { frames, is_late: false }
    }

    /// Frames by which playback has fallen behind, because its clock is slower.
    pub(super) fn late(frames: usize) -> Skip {
        Skip { frames, is_late: true }
    }

    /// Whether no frame is to be dropped.
    pub(super) fn is_over(self) -> bool {
        self.frames == 0
    }
}

/// The destination of output.
pub(super) struct Sink<'s> {
    /// The playback side, if there is one.
    pub(super) playback: Option<&'s mut Side>,
    /// Output frames to drop.
    pub(super) skip: &'s mut Skip,
    /// The playback side failed. Output is computed and dropped, so that no input is lost.
    pub(super) playback_failed: &'s mut bool,
    /// Output frames that were computed and not played, because the outputs were silent.
    pub(super) unheard_frames: &'s mut u64,
    /// Output frames that were computed and skipped, because the outputs had fallen behind.
    pub(super) skipped_frames: &'s mut u64,
    /// There is no capture side. When playback fails then, the cycle ends, because there is no input to save.
    pub(super) alone: bool,
    /// Error number of the last output that the device did not take.
    pub(super) error: Option<i32>,
}

/// Result of a transfer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lent {
    /// Frames that were lent: fewer than wanted only if the device failed.
    pub(super) frames: usize,
    /// Error number of a call on the side that paces the device.
    pub(super) error: Option<i32>,
}

/// Lends `frames` frames.
pub(super) fn lend(capture: Option<&mut Side>, sink: &mut Sink<'_>, frames: usize, process: &mut Process<'_>) -> Lent {
    let mut capture = capture;
    let mut lent = Lent::default();
    while lent.frames < frames && lent.error.is_none() {
        let piece = (frames - lent.frames).min(BLOCK_FRAMES_MAX);
        let moved = match capture.as_deref_mut() {
            Some(side) => lend_captured(side, sink, piece, process),
            None => Lent { frames: hand_over(Input::none(piece), sink, process), error: sink.error },
        };
        lent = Lent { frames: lent.frames + moved.frames, error: moved.error };
        if moved.frames == 0 {
            break;
        }
    }
    lent
}

fn lend_captured(side: &mut Side, sink: &mut Sink<'_>, piece: usize, process: &mut Process<'_>) -> Lent {
    let (format, channels, frame_bytes) = (side.format, side.channels, side.frame_bytes());
    let failed = |e: ::alsa::Error| Lent { frames: 0, error: Some(errno(&e)) };
    // A plugin updates its ring in this call, and only up to the ring's end.
    if matches!(side.access, SampleAccess::Mapped)
        && let Err(e) = side.pcm.avail_update()
    {
        return failed(e);
    }
    if matches!(side.access, SampleAccess::Mapped) && !(side.is_endless() && side.is_near_full) {
        let mut lent = 0;
        let moved = side.pcm.io_bytes().mmap(piece, |ring| {
            // The slice ends where the ring wraps, which may be before the piece ends.
            let whole = ring.len() / frame_bytes * frame_bytes;
            lent = hand_over(Input::interleaved(&ring[..whole], format, channels), sink, process);
            lent
        });
        // The frames were lent even if returning them to the ring failed. The next wait judges the error.
        return Lent { frames: lent, error: moved.err().map(|e| errno(&e)) };
    }
    let frames = match side.read_block(piece) {
        Ok(frames) => frames,
        Err(error) => return Lent { frames: 0, error: Some(error) },
    };
    if !side.was_in_time(frames) {
        return Lent::default();
    }
    let input = match &side.access {
        SampleAccess::Planar(planar) => Input {
            bytes: planar.bytes(),
            format,
            channels,
            frames,
            frame_step: format.bytes(),
            channel_step: planar.channel_step(),
        },
        _ => Input::interleaved(&side.block[..frames * frame_bytes], format, channels),
    };
    Lent { frames: hand_over(input, sink, process), error: None }
}

/// Passes all of `input` to the engine, in as many parts as the playback ring needs.
fn hand_over(input: Input<'_>, sink: &mut Sink<'_>, process: &mut Process<'_>) -> usize {
    let mut done = 0;
    while done < input.frames {
        let part = sink.consume(sub_input(&input, done, input.frames - done), process);
        if part == 0 {
            break;
        }
        done += part;
    }
    done
}

/// `frames` frames of `input` from frame `from` on.
fn sub_input<'a>(input: &Input<'a>, from: usize, frames: usize) -> Input<'a> {
    Input { bytes: &input.bytes[(from * input.frame_step).min(input.bytes.len())..], frames, ..*input }
}

impl Sink<'_> {
    /// Passes frames from the start of `input` to the engine. Returns how many; 0 only if playback failed and there is
    /// no capture side.
    fn consume(&mut self, input: Input<'_>, process: &mut Process<'_>) -> usize {
        let frames = input.frames;
        let Some(side) = self.playback.as_deref_mut() else {
            // The outputs are away, and are to be heard again.
            *self.unheard_frames += if *self.playback_failed { frames as u64 } else { 0 };
            process(input, Output::none(frames));
            return frames;
        };
        if !*self.playback_failed && self.skip.is_over() {
            let (produced, taken) = play(side, &input, process);
            side.written += produced as u64;
            self.error = taken.err();
            *self.playback_failed = taken.is_err();
            if 0 < produced {
                return produced;
            }
        }
        if self.alone {
            return 0;
        }
        let frames = if *self.playback_failed { frames } else { frames.min(self.skip.frames) };
        let is_jump = self.skip.is_late && !*self.playback_failed;
        *(if is_jump { &mut *self.skipped_frames } else { &mut *self.unheard_frames }) += frames as u64;
        self.skip.frames = self.skip.frames.saturating_sub(frames);
        let (format, channels, bytes) = (side.format, side.channels, frames * side.frame_bytes());
        process(sub_input(&input, 0, frames), Output::interleaved(&mut side.block[..bytes], format, channels));
        frames
    }
}

/// Lets the engine compute output for frames from the start of `input`, and plays it. Returns the number of frames, and
/// the error number if the device did not take them: `EAGAIN` for a ring without room.
fn play(side: &mut Side, input: &Input<'_>, process: &mut Process<'_>) -> (usize, Result<(), i32>) {
    let (format, channels, frame_bytes, frames) = (side.format, side.channels, side.frame_bytes(), input.frames);
    if matches!(side.access, SampleAccess::Mapped) {
        let mut produced = 0;
        let moved = side.pcm.io_bytes().mmap(frames, |ring| {
            produced = (ring.len() / frame_bytes).min(frames);
            if 0 < produced {
                let output = Output::interleaved(&mut ring[..produced * frame_bytes], format, channels);
                process(sub_input(input, 0, produced), output);
            }
            produced
        });
        let taken = moved.map_err(|e| errno(&e)).and_then(|moved| if 0 < moved { Ok(()) } else { Err(libc::EAGAIN) });
        return (produced, taken);
    }
    let output = match &mut side.access {
        SampleAccess::Planar(planar) => {
            let channel_step = planar.channel_step();
            Output { bytes: planar.bytes_mut(), format, channels, frames, frame_step: format.bytes(), channel_step }
        }
        _ => Output::interleaved(&mut side.block[..frames * frame_bytes], format, channels),
    };
    process(sub_input(input, 0, frames), output);
    (frames, side.write_block(frames))
}
