//! The audio thread's end of the event ring, and a queue for events that found the ring full. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use crate::message::AudioEvent;
use crate::message::published::{NO_PASS, Published};
use crate::time::Frames;
use rtrb::{Producer, PushError};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Sends [`AudioEvent`]s to the control side, in the order in which they were given. Never waits and never frees.
pub struct Outbox {
    events: Producer<AudioEvent>,
    unsent: Unsent,
    published: Arc<Published>,
}

/// Events that wait for room in the ring, in order.
struct Unsent {
    slots: [Option<AudioEvent>; Unsent::COUNT_MAX],
    /// The slot of the oldest event.
    first: usize,
    count: usize,
}

impl Unsent {
    const COUNT_MAX: usize = 64;

    /// Adds an event behind all others. Returns it if there is no room.
    fn push(&mut self, event: AudioEvent) -> Result<(), AudioEvent> {
        if self.count == Unsent::COUNT_MAX {
            return Err(event);
        }
        self.slots[(self.first + self.count) % Unsent::COUNT_MAX] = Some(event);
        self.count += 1;
        Ok(())
    }

    /// Takes the oldest event.
    fn pop(&mut self) -> Option<AudioEvent> {
        let event = self.slots[self.first].take()?;
        self.first = (self.first + 1) % Unsent::COUNT_MAX;
        self.count -= 1;
        Some(event)
    }
}

impl Outbox {
    /// An outbox on the ring `events`. This is not realtime-safe: it is made before the audio thread runs.
    pub fn new(events: Producer<AudioEvent>, published: Arc<Published>) -> Outbox {
        let unsent = Unsent { slots: [const { None }; Unsent::COUNT_MAX], first: 0, count: 0 };
        Outbox { events, unsent, published }
    }

    /// Sends an event that [`AudioEvent::may_be_dropped`]. When the ring is full, or events that came before wait, the event is
    /// dropped and counted in [`Published::events_missed`]; [`Published`] has the sums of such events. This is realtime-safe.
    pub fn report(&mut self, event: AudioEvent) {
        debug_assert!(event.may_be_dropped(), "an event that must arrive");
        if let Err(event) = self.push(event) {
            std::mem::forget(event);
            self.published.events_missed.fetch_add(1, Relaxed);
        }
    }

    /// Sends an event about `frames` lost frames, see [`Published::losses_reported`]. This is
    /// realtime-safe.
    pub fn report_loss(&mut self, event: AudioEvent, frames: Frames) {
        self.report(event);
        self.published.losses_reported.fetch_add(frames.0, Relaxed);
    }

    /// Sends an event that must arrive: it owns memory, or it says how something is from now on. When the ring is full, the event
    /// waits here for [`Outbox::retry`]. This is realtime-safe.
    pub fn send(&mut self, event: AudioEvent) {
        debug_assert!(!event.may_be_dropped(), "an event that is counted instead");
        if let Err(event) = self.push(event)
            && let Err(event) = self.unsent.push(event)
        {
            // The control side has read nothing for thousands of events. Leak this one: freeing it could wait for a lock.
            std::mem::forget(event);
            self.published.events_missed.fetch_add(1, Relaxed);
        }
    }

    /// Pushes an event into the ring behind those that wait. Returns it if there is no room for all of them.
    fn push(&mut self, event: AudioEvent) -> Result<(), AudioEvent> {
        self.retry();
        if !self.is_empty() {
            return Err(event);
        }
        self.events.push(event).map_err(|PushError::Full(event)| event)
    }

    /// Whether every event that must arrive is in the ring. This is realtime-safe.
    pub fn is_empty(&self) -> bool {
        self.unsent.count == 0
    }

    /// Whether the control side has dropped its end of the ring. This is realtime-safe.
    pub fn is_abandoned(&self) -> bool {
        self.events.is_abandoned()
    }

    /// Publishes that no pass is recording. Call it before the pass is handed over, so that the control side never
    /// holds an ended pass while [`Published::pass_frames`] still counts it. This is realtime-safe.
    pub fn publish_no_pass(&self) {
        self.published.pass_frames.store(NO_PASS, Relaxed);
    }

    /// Moves waiting events into the ring until it is full again. This is realtime-safe.
    pub fn retry(&mut self) {
        while 0 < self.unsent.count && !self.events.is_full() {
            let Some(event) = self.unsent.pop() else { return };
            if let Err(PushError::Full(event)) = self.events.push(event) {
                // There was room a moment ago, and only this thread takes room.
                debug_assert!(false, "the ring had room");
                std::mem::forget(event);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run on a thread of their own")]
mod tests {
    use super::*;
    use crate::time::FramePos;
    use rtrb::{Consumer, RingBuffer};

    fn outbox(slots: usize) -> (Outbox, Consumer<AudioEvent>, Arc<Published>) {
        let (events, reports) = RingBuffer::new(slots);
        let published = Arc::new(Published::new(0));
        (Outbox::new(events, Arc::clone(&published)), reports, published)
    }

    fn xrun() -> AudioEvent {
        AudioEvent::PlaybackXrun { at: FramePos(0) }
    }

    /// A state with a number: the device began a pass at this frame.
    fn state(device_frame: u64) -> AudioEvent {
        AudioEvent::PassBegan { at: FramePos(0), device_frame }
    }

    fn next_number(reports: &mut Consumer<AudioEvent>) -> Option<u64> {
        match reports.pop() {
            Ok(AudioEvent::PassBegan { device_frame, .. }) => Some(device_frame),
            _ => None,
        }
    }

    /// A full ring dropped them: control thought that a device that records was gone.
    #[test]
    fn an_event_that_says_how_things_are_waits_for_room_and_a_counted_one_is_dropped() {
        let (mut outbox, mut reports, published) = outbox(1);
        outbox.report(xrun());
        outbox.report(xrun());
        outbox.send(AudioEvent::DeviceBack);
        assert_eq!((published.events_missed.load(Relaxed), outbox.is_empty()), (1, false));
        assert!(matches!(reports.pop(), Ok(AudioEvent::PlaybackXrun { .. })));
        outbox.retry();
        assert!(outbox.is_empty() && matches!(reports.pop(), Ok(AudioEvent::DeviceBack)));
    }

    /// An event overtook those that waited, when control had taken one from the ring meanwhile.
    #[test]
    fn events_that_wait_keep_their_order_and_none_overtakes_them() {
        let (mut outbox, mut reports, published) = outbox(1);
        let mut seen = Vec::new();
        for number in 0..40 {
            outbox.send(state(number));
            if number % 3 == 0 {
                seen.extend(next_number(&mut reports));
            }
        }
        outbox.report(xrun());
        assert_eq!(published.events_missed.load(Relaxed), 1, "the ring has no room for it before those that wait");
        while !outbox.is_empty() {
            seen.extend(next_number(&mut reports));
            outbox.retry();
        }
        seen.extend(next_number(&mut reports));
        assert_eq!(seen, (0..40).collect::<Vec<_>>());
    }
}
