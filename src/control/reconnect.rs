//! Opens a device that is gone again, as soon as it is there. Thread: reconnect owns the old device and opens the new
//! one; control polls for it.
//!
//! The reconnect thread first closes the old device. A driver may make the caller of close or open wait, and an open
//! device, even our own, keeps a card busy. Control sends the new device to the audio thread unstarted. The audio
//! thread starts it and learns its place on the timeline from its first frames.

use super::recording::LatencyRest;
use super::{Control, Notice, Severity};
use crate::device::{self, Attempts, Device, DeviceError, DeviceFacts, DeviceSpec};
use crate::flight::record::Kind;
use crate::host::{self, Thread};
use crate::lock::lock;
use crate::message::AudioCommand;
use crate::message::published::NO_PASS;
use crate::time::FramePos;
use crate::window::process;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

/// Attempts in a row at which a device with fewer channels than before is left alone. While a card is being plugged in,
/// some of its channels may appear later.
const PARTIAL_LOOKS_MAX: u32 = 3;

/// Attempts in a row at which another program holds the outputs until the inputs are opened alone. A sound server takes a new
/// card for a moment.
const BUSY_LOOKS_MAX: u32 = 3;

/// Answers that may wait for control.
const ANSWERS: usize = 8;

/// Stack of the thread. A driver's library runs on it.
const STACK_BYTES: usize = 2 << 20;

/// Control's state of a device that is gone.
pub(super) struct LostDevice {
    reconnect: Option<Reconnect>,
    /// Why the device is not opened although it is there, as a sentence.
    blocked_by: Option<String>,
    /// Notices about differences of the device that was found; shown when it delivers frames.
    changes: Vec<Notice>,
    /// Frames of the pass when the device went away.
    gone_at: FramePos,
    /// Inputs of the device that was found.
    inputs: Option<usize>,
}

/// The reconnect thread. Dropping this ends the thread and does not wait for it, because a driver may hold it up.
struct Reconnect {
    answers: Receiver<Answer>,
    /// Dropping the sender ends the thread.
    stop: Sender<()>,
    thread: Thread,
}

enum Answer {
    Found(Box<dyn Device>),
    /// The device without its outputs, which another program holds, and a sentence about that.
    FoundWithoutOutputs(Box<dyn Device>, String),
    Blocked(String),
    /// A device that was blocked is away again.
    Away,
}

impl Reconnect {
    /// Starts the thread: it closes `old` and looks for the device. `None` if the system gives no thread.
    fn start(spec: DeviceSpec, old: Box<dyn Device>, attempts: Attempts) -> Option<Reconnect> {
        let (answer_sender, answers) = bounded(ANSWERS);
        let (stop, stopped) = bounded(0);
        let old = Arc::new(Mutex::new(Some(old)));
        let shared = Arc::clone(&old);
        let thread = host::spawn("reconnect", STACK_BYTES, move || {
            let old = lock(&shared).take();
            drop(old);
            look_for_device(&spec, attempts, &answer_sender, &stopped);
        });
        if thread.is_err() {
            // Closing the device could hold up control. It stays open until the program ends.
            std::mem::forget(old);
        }
        thread.ok().map(|thread| Reconnect { answers, stop, thread })
    }
}

impl LostDevice {
    /// Ends the search for the device, and waits for its thread: it must not hold the device when another session opens
    /// it.
    pub(super) fn finish(self) {
        if let Some(Reconnect { stop, thread, .. }) = self.reconnect {
            drop(stop);
            // A panic of the thread loses nothing but the attempt.
            thread.join().ok();
        }
    }
}

/// Tries to open the device until that works or the sender of `stopped` is dropped.
fn look_for_device(spec: &DeviceSpec, mut attempts: Attempts, answer_sender: &Sender<Answer>, stopped: &Receiver<()>) {
    let (mut partial_looks, mut busy_looks, mut reported) = (0, 0, None);
    while attempts.await_next(stopped, partial_looks == 0) {
        let error = match device::open(spec) {
            Ok(device) => return hand_over(Answer::Found, device, answer_sender),
            Err(error) => error,
        };
        // Another program may hold the outputs, or their server may be away, for hours. The inputs do not wait for them.
        if let Some(device) = device::open_before_outputs(spec) {
            return hand_over(Answer::Found, device, answer_sender);
        }
        busy_looks = if may_open_inputs_alone(spec, &error) { busy_looks + 1 } else { 0 };
        if BUSY_LOOKS_MAX < busy_looks
            && let Ok(device) = device::open(&DeviceSpec { outputs: Some(0), ..spec.clone() })
        {
            let text = reason_without_outputs(&error);
            return hand_over(|device| Answer::FoundWithoutOutputs(device, text), device, answer_sender);
        }
        if matches!(error, DeviceError::Unknown { .. } | DeviceError::Unsupported { .. }) {
            match open_less(spec) {
                Some(device) if PARTIAL_LOOKS_MAX <= partial_looks => {
                    return hand_over(Answer::Found, device, answer_sender);
                }
                Some(_) => {
                    partial_looks += 1;
                    continue;
                }
                None => partial_looks = 0,
            }
        }
        // Report a reason once, and again when it changes.
        let reason = reason_blocked(&error);
        if reported != reason && answer_sender.len() + 1 < ANSWERS {
            // A place is left for the device. A reason that finds none is reported at a later attempt.
            answer_sender.try_send(reason.clone().map_or(Answer::Away, Answer::Blocked)).ok();
            reported = reason;
        }
    }
}

/// Whether `error` may be one of the outputs alone. The built-in device has no other program.
fn may_open_inputs_alone(spec: &DeviceSpec, error: &DeviceError) -> bool {
    let is_busy = matches!(error, DeviceError::Busy { part, .. } if *part != Some("inputs"));
    is_busy && !device::is_virtual(&spec.name) && spec.inputs != Some(0) && spec.outputs != Some(0)
}

fn hand_over(answer: impl FnOnce(Box<dyn Device>) -> Answer, device: Box<dyn Device>, answer_sender: &Sender<Answer>) {
    // The device is new memory. Touch every page now, so that the audio thread does not fault on it.
    process::populate();
    // There is room: the thread leaves a place for this message, and ends with it.
    answer_sender.try_send(answer(device)).ok();
}

/// Opens the device with the channels that it has now, without outputs if it must be.
fn open_less(spec: &DeviceSpec) -> Option<Box<dyn Device>> {
    let any = |wanted: Option<usize>| wanted.filter(|count| *count == 0);
    let fewer = DeviceSpec { inputs: any(spec.inputs), outputs: any(spec.outputs), ..spec.clone() };
    let silent = DeviceSpec { outputs: Some(0), ..fewer.clone() };
    let before_outputs = || device::open_before_outputs(&DeviceSpec { outputs: spec.outputs, ..fewer.clone() });
    // Outputs whose inputs are away record nothing, and nobody would look for the inputs any more.
    let has_inputs = |device: &dyn Device| spec.inputs == Some(0) || 0 < device.facts().inputs;
    let opened = |spec: &DeviceSpec| device::open(spec).ok().filter(|device| has_inputs(&**device));
    opened(&fewer).or_else(before_outputs).or_else(|| opened(&silent))
}

/// Why the device is there without its outputs, and what to do.
fn reason_without_outputs(error: &DeviceError) -> String {
    let DeviceError::Busy { name, holder, .. } = error else { return error.to_string() };
    let holder = holder.as_deref().unwrap_or("another program");
    format!(
        "{name} came back without its outputs, which are in use by {holder}; close it there, and Faultless opens them when \
         nothing is recorded"
    )
}

/// Why the device is not opened although it is there, and what to do; `None` if it is not there.
fn reason_blocked(error: &DeviceError) -> Option<String> {
    Some(match error {
        DeviceError::Unknown { .. } => return None,
        DeviceError::Busy { name, part, holder, .. } => {
            let holder = holder.as_deref().unwrap_or("another program");
            let what = part.map_or_else(|| "but".to_owned(), |part| format!("but its {part} are"));
            format!("{name} is back, {what} in use by {holder}; close it there, and Faultless opens it again")
        }
        DeviceError::Unsupported { name, what, offers } => format!(
            "{name} is back, but does not offer {what} ({offers}). The takes stay silent until it does, so that they stay \
             aligned: set it to {what}"
        ),
        error => format!("{error}; Faultless tries again until it can be opened"),
    })
}

impl Control {
    /// Whether the device is gone and the program waits for it.
    pub fn is_device_gone(&self) -> bool {
        self.lost_device.is_some()
    }

    /// Why the device is not opened although it is there again, and what to do.
    pub fn device_blocked_by(&self) -> Option<&str> {
        self.lost_device.as_ref()?.blocked_by.as_deref()
    }

    /// A pass begins. If the device is away, it was away since before frame 0 of this pass.
    pub(super) fn pass_begins_without_device(&mut self) {
        if let Some(lost_device) = &mut self.lost_device {
            lost_device.gone_at = FramePos(0);
        }
    }

    /// The device is gone, or the one that was found never delivered a frame.
    pub(super) fn device_gone(&mut self, device: Box<dyn Device>, reason: Option<&str>) {
        self.wrong_rate = None;
        let tried_before = self.lost_device.take().is_some();
        let attempts = if tried_before { Attempts::further } else { Attempts::first };
        let reconnect = Reconnect::start(self.spec_of_present_channels(), device, attempts(&self.spec.name));
        let name = &self.running.device.name;
        let is_released = !tried_before && self.outputs_watch.is_released();
        if is_released {
            let text = format!("{name}: its outputs are there again, so it is opened again");
            self.info(text);
        } else if !tried_before {
            let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
            let text = format!(
                "{name}: the device is gone{reason}; the takes get silence, and Faultless opens it again when it is back"
            );
            self.notify(Kind::DeviceGone, Severity::Loss, text, &[]);
        }
        if reconnect.is_none() {
            let text = format!(
                "{}: it is not searched for, because the system gives no thread; stop, then open it again in the device \
                 chooser",
                self.running.device.name
            );
            self.loss(text);
        }
        let recorded = self.published().pass_frames.load(Relaxed);
        let gone_at = FramePos(if recorded == NO_PASS { 0 } else { recorded });
        self.lost_device = Some(LostDevice { reconnect, blocked_by: None, changes: Vec::new(), gone_at, inputs: None });
    }

    /// The device to look for: with the channels that it has. A card that can be opened with any number would come back
    /// with all of them, which shuts out other programs that use it.
    fn spec_of_present_channels(&self) -> DeviceSpec {
        let (spec, facts) = (&self.spec, &self.running.device);
        if device::is_virtual(&spec.name) {
            return spec.clone();
        }
        DeviceSpec {
            inputs: spec.inputs.or(Some(facts.inputs)),
            outputs: spec.outputs.or(Some(facts.outputs)),
            ..spec.clone()
        }
    }

    /// The inputs of the device that was found and has not delivered yet, if it has another number of them, and the frame of the
    /// pass at which the device before went away.
    pub(super) fn inputs_found(&self) -> Option<(FramePos, usize)> {
        let lost_device = self.lost_device.as_ref()?;
        lost_device.inputs.filter(|inputs| *inputs != self.present_inputs).map(|inputs| (lost_device.gone_at, inputs))
    }

    /// The device that was found delivers frames.
    pub(super) fn device_back(&mut self) {
        let found = self.inputs_found();
        let lost_device = self.lost_device.take();
        self.outputs_watch.device_delivers();
        let changes = lost_device.map(|lost_device| lost_device.changes);
        let text = format!("{}: the device is back", self.running.device.name);
        self.notify(Kind::DeviceBack, Severity::Info, text, &[]);
        for change in changes.into_iter().flatten() {
            self.notify(Kind::DeviceChanged, change.severity, change.text, &[]);
        }
        if let Some((gone_at, inputs)) = found {
            self.present_inputs = inputs;
            self.inputs_changed(gone_at, inputs);
        } else {
            self.note_inputs_found(None);
        }
    }

    /// Takes the answer of the reconnect thread: sends a found device to the audio thread, or shows why it is blocked.
    pub(super) fn poll_reconnect(&mut self) {
        let Some(lost_device) = &mut self.lost_device else { return };
        let Some(answer) = lost_device.reconnect.as_ref().and_then(|reconnect| reconnect.answers.try_recv().ok())
        else {
            return;
        };
        match answer {
            Answer::Blocked(text) => {
                lost_device.blocked_by = Some(text.clone());
                self.caution(text);
            }
            Answer::Away => lost_device.blocked_by = None,
            Answer::Found(device) => self.device_found(device, None),
            Answer::FoundWithoutOutputs(device, text) => self.device_found(device, Some(text)),
        }
    }

    /// Sends a found device to the audio thread. `lacks_outputs`: why it is there without its outputs.
    fn device_found(&mut self, device: Box<dyn Device>, lacks_outputs: Option<String>) {
        let Some(lost_device) = &mut self.lost_device else { return };
        (lost_device.reconnect, lost_device.blocked_by) = (None, None);
        let before = &self.running.device;
        let expected = if lacks_outputs.is_some() { 0 } else { before.outputs };
        lost_device.changes = changes(device.facts(), &DeviceFacts { outputs: expected, ..before.clone() });
        let is_without_outputs = lacks_outputs.is_some();
        lost_device.changes.extend(lacks_outputs.map(|text| Notice { severity: Severity::Caution, text }));
        lost_device.inputs = Some(device.facts().inputs);
        let earlier = std::mem::replace(&mut self.running.device.source, device.facts().source.clone());
        if let (Some(source), Some(earlier)) = (&self.running.device.source, earlier) {
            source.continue_from(&earlier);
        }
        self.latency_rest = LatencyRest::new(self.published().device_frames.load(Relaxed));
        self.note_inputs_found(self.inputs_found());
        // Before the device is sent: a failure of its outputs comes after this.
        self.outputs_watch.device_opened();
        self.outputs_replaced();
        if is_without_outputs {
            self.outputs_watch.outputs_are_away(host::now());
            self.outputs_are_silent();
        }
        self.send(AudioCommand::Device(device));
    }
}

/// Notices about the differences between the device that was found and the one that was lost.
fn changes(now: &DeviceFacts, before: &DeviceFacts) -> Vec<Notice> {
    let mut changes = Vec::new();
    let mut add = |severity: Severity, change: String| {
        changes.push(Notice { severity, text: format!("{}: it came back with {change}", now.name) });
    };
    if now.inputs < before.inputs {
        add(Severity::Loss, format!("{} inputs of {}; the others are silent", now.inputs, before.inputs));
    } else if before.inputs < now.inputs {
        add(Severity::Info, format!("{} inputs, not {}; the new ones are not used", now.inputs, before.inputs));
    }
    if now.outputs < before.outputs {
        add(Severity::Caution, format!("{} outputs of {}", now.outputs, before.outputs));
    }
    if now.period_frames != before.period_frames {
        add(Severity::Info, format!("periods of {} frames, not {}", now.period_frames, before.period_frames));
    }
    if now.input_format != before.input_format {
        add(Severity::Info, format!("samples in {}, not {}", now.input_format, before.input_format));
    }
    let notes = now.notes.iter().filter(|note| !before.notes.contains(note));
    changes.extend(notes.map(|text| Notice { severity: Severity::Caution, text: text.clone() }));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_search_that_a_driver_holds_up_is_ended_without_waiting_for_it() {
        let (thaw, frozen) = bounded::<()>(0);
        let (_answer_sender, answers) = bounded(ANSWERS);
        let thread = host::spawn("reconnect", STACK_BYTES, move || {
            frozen.recv().ok();
        });
        let reconnect = Some(Reconnect { answers, stop: bounded(0).0, thread: thread.unwrap() });
        let began = Instant::now();
        let (gone_at, inputs) = (FramePos(0), None);
        drop(LostDevice { reconnect, blocked_by: None, changes: Vec::new(), gone_at, inputs });
        assert!(began.elapsed() < Duration::from_secs(2), "control does not wait for the driver");
        drop(thaw);
    }
}
