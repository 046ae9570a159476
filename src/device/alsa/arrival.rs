//! The times of the attempts to open a device that is away. Thread: reconnect, outputs.
//!
//! Each attempt to open a device of a sound server starts programs that ask the server, and it may be away for hours. The
//! server's events say when an attempt is worth it. JACK's devices have no such wait: their PCM stays open when their client ends.

use super::graph::{SoundServer, named};
use super::list::SERVERS;
use super::name::split_names;
use super::server_events::{EventServer, Interest, STARTS_MAX, ServerEvents};
use crate::host;
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

/// Pause before the first attempt; doubled after each one. Short, because a loose plug is often back at once.
const PAUSE_FIRST: Duration = Duration::from_millis(20);

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(640);

/// The longest time without an attempt while a sound server is to say that its device is there. An event can be missed.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The attempts to open a device that is away. Dropping this ends the program that prints the events of its server.
pub struct Attempts {
    name: String,
    pause: Duration,
    arrival: Option<Arrival>,
}

impl Attempts {
    /// Attempts for the device `name`, which was there until now.
    pub fn first(name: &str) -> Attempts {
        Attempts { name: name.to_owned(), pause: PAUSE_FIRST, arrival: None }
    }

    /// Attempts for the device `name`, which was found before and delivered nothing: with long pauses from the beginning.
    pub fn further(name: &str) -> Attempts {
        Attempts { pause: PAUSE_MAX, ..Attempts::first(name) }
    }

    /// Waits until it is time for the next attempt. `for_event`: an event of the server is waited for, because the device is
    /// away as a whole. Returns `false` if the sender of `stopped` was dropped: there is to be no attempt.
    pub fn await_next(&mut self, stopped: &Receiver<()>, for_event: bool) -> bool {
        let mut waited = Duration::ZERO;
        while host::receive_timeout(stopped, self.pause) == Err(RecvTimeoutError::Timeout) {
            waited += self.pause;
            let may_be_there = self.arrival.as_mut().filter(|_| for_event).is_none_or(Arrival::may_be_there);
            if may_be_there || WAIT_MAX <= waited {
                // A source that is moved is back at once. Later the server's events are waited for.
                if self.pause == PAUSE_MAX && self.arrival.is_none() {
                    self.arrival = Arrival::watch(&self.name);
                }
                self.pause = (2 * self.pause).min(PAUSE_MAX);
                return true;
            }
        }
        false
    }
}

/// The events of the server that a device belongs to. Dropping it ends the program that prints them.
struct Arrival {
    server: EventServer,
    events: Option<ServerEvents>,
    starts: u32,
    /// Attempts that are made without another event.
    attempts: u32,
}

/// Attempts after an event: a source that has just arrived may not be ready.
const ATTEMPTS: u32 = 4;

impl Arrival {
    /// Reads the events of the server of `name`; `None` if not each of its sides is a source or sink that this server has
    /// by name.
    fn watch(name: &str) -> Option<Arrival> {
        let server = server_of(name)?;
        Some(Arrival { server, events: ServerEvents::start(server, Interest::Devices), starts: 1, attempts: 0 })
    }

    /// Whether the device may be there, because something has arrived since the last call. Where no events can be read it may
    /// be there at any time.
    fn may_be_there(&mut self) -> bool {
        match self.events.as_ref().map(|events| events.received().try_recv()) {
            Some(Ok(())) => self.is_worth_an_attempt(true),
            Some(Err(TryRecvError::Empty)) => self.is_worth_an_attempt(false),
            Some(Err(TryRecvError::Disconnected)) | None => {
                self.events = None;
                if self.starts < STARTS_MAX {
                    self.starts += 1;
                    self.events = ServerEvents::start(self.server, Interest::Devices);
                }
                true
            }
        }
    }

    fn is_worth_an_attempt(&mut self, has_arrived: bool) -> bool {
        self.attempts = if has_arrived { ATTEMPTS } else { self.attempts };
        let is_worth = 0 < self.attempts;
        self.attempts = self.attempts.saturating_sub(1);
        is_worth
    }
}

/// The server that says when the device may be there. A card on one side returns without an event of the server, so such a
/// pair has none. The server's own choice on one side is there whenever the server is.
fn server_of(name: &str) -> Option<EventServer> {
    let (inputs, outputs) = split_names(name.strip_prefix("alsa:")?);
    let sides = [inputs, outputs].into_iter().filter(|pcm| *pcm != "-" && !SERVERS.contains(pcm));
    let mut servers = sides.map(|pcm| named(pcm).map(|(server, _)| server));
    let server = servers.next()??;
    if servers.any(|other| other != Some(server)) {
        return None;
    }
    Some(match server {
        SoundServer::PipeWire => EventServer::PipeWire,
        SoundServer::PulseAudio => EventServer::PulseAudio,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_between_attempts_double_up_to_the_longest_and_end_with_the_search() {
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        let mut attempts = Attempts::first("alsa:hw:0");
        for wanted in [40, 80] {
            assert!(attempts.await_next(&stopped, true));
            assert_eq!(attempts.pause, Duration::from_millis(wanted));
        }
        assert_eq!(Attempts::further("alsa:hw:0").pause, PAUSE_MAX);
        attempts.pause = PAUSE_MAX;
        assert!(attempts.await_next(&stopped, true));
        assert_eq!((attempts.pause, attempts.arrival.is_none()), (PAUSE_MAX, true), "a card has no events");
        drop(stop);
        assert!(!attempts.await_next(&stopped, true));
    }

    #[test]
    fn a_source_that_has_just_arrived_is_tried_a_few_times() {
        let mut arrival = Arrival { server: EventServer::PipeWire, events: None, starts: STARTS_MAX, attempts: 0 };
        let mut tries = |has_arrived: bool| arrival.is_worth_an_attempt(has_arrived);
        assert_eq!(
            [false, true, false, false, false, false, true].map(&mut tries),
            [false, true, true, true, true, false, true]
        );
    }

    #[test]
    fn only_a_device_that_a_server_has_by_its_name_is_waited_for() {
        for (name, server) in [
            ("alsa:pipewire:NODE=umc,CHANNELS=8,-", Some(EventServer::PipeWire)),
            ("alsa:-,pulse:DEVICE=null", Some(EventServer::PulseAudio)),
            ("alsa:pulse:DEVICE=mic,pulse:DEVICE=null", Some(EventServer::PulseAudio)),
            ("alsa:pipewire:NODE=umc,CHANNELS=8", Some(EventServer::PipeWire)),
            ("alsa:pipewire:NODE=umc,CHANNELS=8,pipewire", Some(EventServer::PipeWire)),
            ("alsa:pipewire:NODE=umc,CHANNELS=8,default", Some(EventServer::PipeWire)),
            // The card was not opened for up to 10 s, because no event of the server came.
            ("alsa:hw:0,pipewire:NODE=x", None),
            ("alsa:pipewire:NODE=x,hw:0", None),
            ("alsa:pipewire:NODE=x,pulse:DEVICE=y", None),
            ("alsa:hw:0,1", None),
            ("alsa:default", None),
            ("alsa:jack:CLIENT=synth", None),
            ("virtual", None),
        ] {
            assert_eq!(server_of(name), server, "{name}");
        }
    }
}
