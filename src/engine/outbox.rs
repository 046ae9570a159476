//! The audio thread's end of the event ring, and a buffer for owning events that found the ring full. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use crate::message::AudioEvent;
use crate::message::published::{NO_PASS, Published};
use crate::time::Frames;
use rtrb::{Producer, PushError};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Sends [`AudioEvent`]s to the control side. Never waits and never frees.
pub struct Outbox {
    events: Producer<AudioEvent>,
    unsent: [Option<AudioEvent>; Outbox::UNSENT_MAX],
    published: Arc<Published>,
}

impl Outbox {
    const UNSENT_MAX: usize = 16;

    /// An outbox on the ring `events`. This is not realtime-safe: it is made before the audio thread runs.
    pub fn new(events: Producer<AudioEvent>, published: Arc<Published>) -> Outbox {
        Outbox { events, unsent: [const { None }; Outbox::UNSENT_MAX], published }
    }

    /// Sends an event that owns no memory. When the ring is full, the event is dropped and counted in
    /// [`Published::events_missed`]; [`Published`] has the sums of such events. This is realtime-safe.
    pub fn report(&mut self, event: AudioEvent) {
        if let Err(PushError::Full(event)) = self.events.push(event) {
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

    /// Sends an event that owns memory. When the ring is full, the event waits here for [`Outbox::retry`]. This is
    /// realtime-safe.
    pub fn hand_over(&mut self, event: AudioEvent) {
        if let Err(PushError::Full(event)) = self.events.push(event) {
            match self.unsent.iter_mut().find(|slot| slot.is_none()) {
                Some(slot) => *slot = Some(event),
                // The control side has read nothing for thousands of events. Leak this one: freeing it could wait for a
                // lock.
                None => std::mem::forget(event),
            }
        }
    }

    /// Whether every owning event is in the ring. This is realtime-safe.
    pub fn is_empty(&self) -> bool {
        self.unsent.iter().all(Option::is_none)
    }

    /// Publishes that no pass is recording. Call it before the pass is handed over, so that the control side never
    /// holds an ended pass while [`Published::pass_frames`] still counts it. This is realtime-safe.
    pub fn publish_no_pass(&self) {
        self.published.pass_frames.store(NO_PASS, Relaxed);
    }

    /// Moves waiting events into the ring until it is full again. This is realtime-safe.
    pub fn retry(&mut self) {
        for slot in &mut self.unsent {
            if let Some(event) = slot.take()
                && let Err(PushError::Full(event)) = self.events.push(event)
            {
                *slot = Some(event);
                return;
            }
        }
    }
}
