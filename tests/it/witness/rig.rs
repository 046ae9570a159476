//! A rig that runs the real engine cycle by cycle on a device without a clock, and keeps its output. Thread: test.

use super::account::{assert_rt, prepare};
use faultless::device::signal::{Signal, Source, ramp};
use faultless::device::virtual_device::{VirtualDevice, spec};
use faultless::device::{Access, Device, DeviceFacts, DeviceSpec, Input, Output, Pace, StartError, Wake};
use faultless::engine::{Engine, Next};
use faultless::format::DeviceFormat;
use faultless::limits;
use faultless::message::published::{NO_PASS, Published};
use faultless::message::{AudioCommand, AudioEvent, Motion, Pass};
use faultless::mixer::{Mix, TrackGains};
use faultless::time::SampleRate;
use faultless::window::budget::LockBudget;
use faultless::window::map::Populate;
use faultless::window::progress_page::{self, Progress, ProgressPage};
use nix::sys::memfd::{MFdFlags, memfd_create};
use rtrb::{Consumer, Producer, RingBuffer};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::Duration;

pub(super) const RATE: SampleRate = SampleRate(48_000);

/// Most frames of output that a rig keeps.
const PLAYBACK_FRAMES: usize = 64 * 1024;

/// The engine, its device, and the control side's ends of the rings.
pub(super) struct Rig {
    pub(super) engine: Engine,
    pub(super) device: Box<dyn Device>,
    pub(super) published: Arc<Published>,
    pub(super) playback: Playback,
    commands: Producer<AudioCommand>,
    events: Consumer<AudioEvent>,
    /// The file of the last pass's progress page.
    progress_page: Option<File>,
}

/// The output so far: left and right of every frame that the device lent, as 24-bit integers.
pub(super) struct Playback {
    samples: Box<[[i32; 2]]>,
    frames: usize,
}

impl Playback {
    fn keep(&mut self, output: &Output<'_>) {
        let mut frames = 0;
        for (frame, kept) in self.samples[self.frames..].iter_mut().take(output.frames).enumerate() {
            for (channel, sample) in kept.iter_mut().enumerate().take(output.channels) {
                let at = frame * output.frame_step + channel * output.channel_step;
                *sample = sample_24(&output.bytes[at..], output.format);
            }
            frames += 1;
        }
        self.frames += frames;
    }

    /// Left and right of device frame `frame`. Lost frames are not counted.
    pub(super) fn at(&self, frame: u64) -> [i32; 2] {
        assert!((frame as usize) < self.frames, "only {} frames were kept", self.frames);
        self.samples[frame as usize]
    }

    pub(super) fn frames(&self) -> u64 {
        self.frames as u64
    }
}

/// The sample at the start of `bytes`, as a 24-bit integer.
pub(super) fn sample_24(bytes: &[u8], format: DeviceFormat) -> i32 {
    match format {
        DeviceFormat::S16 => i32::from(i16::from_le_bytes([bytes[0], bytes[1]])) << 8,
        DeviceFormat::S24 | DeviceFormat::S24In3 => i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8,
        DeviceFormat::S32 => i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) >> 8,
        DeviceFormat::F32 => (f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) * 8_388_608.0) as i32,
    }
}

/// The ramp as the device delivers it in `format`, as a 24-bit integer.
pub(super) fn input_24(frame: u64, channel: usize, format: DeviceFormat) -> i32 {
    let value = ramp(frame, channel as u64);
    if format == DeviceFormat::S16 { value >> 8 << 8 } else { value }
}

/// A virtual device without a clock whose inputs are ramps, with interleaved memory.
pub(super) fn interleaved(options: &str, inputs: usize, format: DeviceFormat, period: usize) -> Box<dyn Device> {
    let options = if options.is_empty() { "free".to_owned() } else { format!("free,{options}") };
    let spec = DeviceSpec { format: Some(format), period_frames: Some(period), ..spec(&options, inputs, Signal::Ramp) };
    Box::new(VirtualDevice::open(&spec, &options).unwrap())
}

/// A device without a clock whose inputs are ramps, with planar memory, which the virtual device does not offer.
pub(super) fn planar(inputs: usize, format: DeviceFormat, period: usize) -> Box<dyn Device> {
    assert!(period <= limits::BLOCK_FRAMES_MAX);
    let facts = interleaved("", inputs, format, period).facts().clone();
    assert_eq!((facts.access, facts.pace, facts.outputs), (Access::Mapped, Pace::Free, 2));
    let memory = |channels: usize| vec![0; channels * period * format.bytes()].into_boxed_slice();
    Box::new(PlanarDevice {
        source: Source::open(&Signal::Ramp, RATE).unwrap().for_inputs(inputs, RATE),
        woven: memory(inputs),
        input: memory(inputs),
        output: memory(2),
        facts,
        frame: 0,
    })
}

struct PlanarDevice {
    facts: DeviceFacts,
    source: Source,
    woven: Box<[u8]>,
    input: Box<[u8]>,
    output: Box<[u8]>,
    frame: u64,
}

impl Device for PlanarDevice {
    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn start(&mut self) -> Result<(), StartError> {
        Ok(())
    }

    fn wait(&mut self, _: Duration) -> Wake {
        Wake::Ready
    }

    fn cycle(&mut self, process: &mut dyn FnMut(Input<'_>, Output<'_>)) -> usize {
        let (format, frames, channels) = (self.facts.input_format, self.facts.period_frames, self.facts.inputs);
        let width = format.bytes();
        self.source.fill(&mut self.woven, format, self.frame);
        for (at, sample) in self.woven.chunks_exact(width).enumerate() {
            let to = (at % channels * frames + at / channels) * width;
            self.input[to..to + width].copy_from_slice(sample);
        }
        let (frame_step, channel_step) = (width, frames * width);
        process(
            Input { bytes: &self.input, format, channels, frames, frame_step, channel_step },
            Output { bytes: &mut self.output, format, channels: 2, frames, frame_step, channel_step },
        );
        self.frame += frames as u64;
        frames
    }

    fn sleeps(&self) -> u64 {
        0
    }

    fn stop(&mut self) {}
}

impl Rig {
    /// A rig on `device` with an event ring of the usual size.
    pub(super) fn on(device: Box<dyn Device>) -> Rig {
        Rig::with_events(device, limits::AUDIO_EVENTS)
    }

    /// A rig on `device` with an event ring for `events` events.
    pub(super) fn with_events(mut device: Box<dyn Device>, events: usize) -> Rig {
        let (commands, from_control) = RingBuffer::new(limits::AUDIO_COMMANDS);
        let (to_control, events) = RingBuffer::new(events);
        let inputs = device.facts().inputs;
        let published = Arc::new(Published::new(inputs));
        let engine = Engine::new(from_control, to_control, Arc::clone(&published), inputs, RATE);
        device.start().unwrap();
        let playback = Playback { samples: vec![[i32::MIN; 2]; PLAYBACK_FRAMES].into_boxed_slice(), frames: 0 };
        Rig { engine, device, published, playback, commands, events, progress_page: None }
    }

    /// Sends a command. Populates new memory first, as control does.
    pub(super) fn send(&mut self, command: AudioCommand) {
        prepare();
        assert!(self.commands.push(command).is_ok(), "there is room for a command");
    }

    /// Sends `pass` with a new progress page.
    pub(super) fn record(&mut self, pass: Pass) {
        self.record_with_places_for(1, pass);
    }

    /// Sends `pass` with progress pages for so many takes.
    pub(super) fn record_with_places_for(&mut self, takes: usize, mut pass: Pass) {
        let file = File::from(memfd_create(c"faultless-progress", MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(progress_page::file_bytes(takes)).unwrap();
        pass.progress_page = Some(ProgressPage::new(&file, Populate::Advise, &LockBudget::new(u64::MAX)).unwrap());
        self.progress_page = Some(file);
        self.send(AudioCommand::Record(Box::new(pass)));
    }

    /// The progress page of the last pass, as recovery reads it.
    pub(super) fn progress(&self) -> Progress {
        let file = self.progress_page.as_ref().unwrap();
        let mut pages = vec![0; progress_page::bytes_of_pages(file.metadata().unwrap().len())];
        file.read_exact_at(&mut pages, progress_page::PAGE_AT).unwrap();
        Progress::read(&pages).unwrap()
    }

    /// Runs one cycle of the audio thread's loop under the witnesses, and checks the progress page.
    #[track_caller]
    pub(super) fn cycle(&mut self) -> Next {
        let Rig { engine, device, playback, .. } = self;
        let next = assert_rt(|| cycle(engine, device.as_mut(), playback));
        let frames = self.published.pass_frames.load(Relaxed);
        if frames != NO_PASS {
            assert_eq!(self.progress().frames.0, frames);
        }
        next
    }

    /// Runs `count` cycles, none of which ends the engine.
    #[track_caller]
    pub(super) fn cycles(&mut self, count: usize) {
        for _ in 0..count {
            assert_eq!(self.cycle(), Next::Continue);
        }
    }

    /// Publishes that the read-ahead has supplied the windows of locate `epoch`.
    pub(super) fn arrive(&self, epoch: u32) {
        self.published.ready_epoch.store(epoch, Release);
    }

    /// Takes the events since the last call.
    pub(super) fn reports(&mut self) -> Vec<AudioEvent> {
        std::iter::from_fn(|| self.events.pop().ok()).collect()
    }

    pub(super) fn motion(&self) -> Motion {
        self.published.motion()
    }

    pub(super) fn position(&self) -> u64 {
        self.published.position.load(Relaxed)
    }
}

/// The body of the audio thread's loop, without its waits and time measurement.
pub(super) fn cycle(engine: &mut Engine, device: &mut dyn Device, playback: &mut Playback) -> Next {
    if engine.apply_commands() == Next::Leave {
        return Next::Leave;
    }
    match device.wait(Duration::ZERO) {
        Wake::Ready => {
            device.cycle(&mut |input, mut output| {
                engine.process(&input, &mut output);
                playback.keep(&output);
            });
        }
        Wake::Lost { frames, cause } => engine.lose(frames, cause),
        Wake::PlaybackXrun => engine.count_playback_xrun(),
        Wake::Timeout | Wake::Changed | Wake::Gone => {}
    }
    Next::Continue
}

/// The pass that ended. Asserts that there is exactly one.
pub(super) fn ended(events: Vec<AudioEvent>) -> Box<Pass> {
    let mut passes = events.into_iter().filter_map(|event| match event {
        AudioEvent::PassEnded(pass) => Some(pass),
        _ => None,
    });
    let pass = passes.next().expect("a pass ended");
    assert!(passes.next().is_none(), "one pass ended");
    pass
}

/// A mix that plays channel 0 on the left and channel 1 on the right, unchanged.
pub(super) fn plain(channels: usize) -> Mix {
    Mix {
        gains: TrackGains::both([[1.0, 0.0], [0.0, 1.0]]),
        disk: true,
        input: false,
        auto: false,
        inputs: [0, 1],
        channels,
    }
}
