//! The way out of the audio thread. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use crate::message::AudioEvent;
use crate::message::published::{NO_PASS, Published};
use rtrb::{Producer, PushError};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Events in order, and a slot for boxes that found the ring full.
pub struct Outbox {
    events: Producer<AudioEvent>,
    unsent: [Option<AudioEvent>; Outbox::UNSENT_MAX],
    published: Arc<Published>,
}

impl Outbox {
    const UNSENT_MAX: usize = 16;

    /// Not realtime-safe.
    pub fn new(events: Producer<AudioEvent>, published: Arc<Published>) -> Outbox {
        Outbox { events, unsent: [const { None }; Outbox::UNSENT_MAX], published }
    }

    /// Tells something whose numbers stand in [`Published`] too: when the ring is full it is counted and
    /// dropped. Not for events that own memory. This is realtime-safe.
    pub fn report(&mut self, event: AudioEvent) {
        if let Err(PushError::Full(event)) = self.events.push(event) {
            std::mem::forget(event);
            self.published.events_missed.fetch_add(1, Relaxed);
        }
    }

    /// Sends something that owns memory: never dropped, kept until there is room. This is realtime-safe.
    pub fn hand_over(&mut self, event: AudioEvent) {
        if let Err(PushError::Full(event)) = self.events.push(event) {
            match self.unsent.iter_mut().find(|slot| slot.is_none()) {
                Some(slot) => *slot = Some(event),
                // Nobody has read thousands of events: leaked here rather than freed here.
                None => std::mem::forget(event),
            }
        }
    }

    /// Whether nothing is kept. This is realtime-safe.
    pub fn is_empty(&self) -> bool {
        self.unsent.iter().all(Option::is_none)
    }

    /// No pass is on any more. Told before the pass is handed over, so that whoever gets it sees that too.
    /// This is realtime-safe.
    pub fn publish_no_pass(&self) {
        self.published.pass_frames.store(NO_PASS, Relaxed);
    }

    /// Tries again what was kept. This is realtime-safe.
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
