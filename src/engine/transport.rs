//! The transport: what rolls, what waits, and the ramp that keeps each turn from clicking. Thread: audio. Pure.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use crate::limits::DECLICK_FRAMES;
use crate::message::{Motion, PlayPath};

/// What happens to the transport.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// Play was asked for.
    Roll,
    /// Stop was asked for.
    Stop,
    /// A locate was asked for.
    Locate {
        /// Where to, and what then.
        path: PlayPath,
        /// Its number.
        epoch: u32,
    },
    /// The windows of the last locate are in place.
    WindowsReady,
    /// Stand still at once: the thread leaves.
    Halt,
}

/// A locate to carry out: the playhead jumps to the start of `path`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jump {
    /// What plays from there.
    pub path: PlayPath,
    /// The locate's number.
    pub epoch: u32,
}

/// A gain at the head of a stretch, and how it changes with every frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// Gain of the first frame.
    pub gain: f32,
    /// Added per frame, the gain staying in 0..=1.
    pub step: f32,
}

/// Motion, and the declick that goes with it.
#[derive(Clone, Copy, Debug)]
pub struct Transport {
    motion: Motion,
    // In 1/DECLICK_FRAMES, so that ramps begin and end on whole frames.
    gain: u32,
    pending_jump: Option<Jump>,
    roll_after_locate: bool,
}

impl Default for Transport {
    fn default() -> Self {
        Transport { motion: Motion::Stopped, gain: 0, pending_jump: None, roll_after_locate: false }
    }
}

impl Transport {
    /// What it does.
    pub fn motion(&self) -> Motion {
        self.motion
    }

    /// Whether frames pass under the playhead.
    pub fn is_rolling(&self) -> bool {
        matches!(self.motion, Motion::Rolling | Motion::Stopping | Motion::DeclickToLocate)
    }

    /// The gain of what is played, from this frame on.
    pub fn ramp(&self) -> Ramp {
        let unit = 1.0 / DECLICK_FRAMES as f32;
        let step = match self.motion {
            Motion::Stopping | Motion::DeclickToLocate if self.gain > 0 => -unit,
            Motion::Rolling if self.gain < DECLICK_FRAMES => unit,
            _ => 0.0,
        };
        Ramp { gain: self.gain as f32 * unit, step }
    }

    /// Frames until the ramp ends; `u64::MAX` when none is on.
    pub fn frames_to_change(&self) -> u64 {
        match self.motion {
            Motion::Rolling if self.gain < DECLICK_FRAMES => u64::from(DECLICK_FRAMES - self.gain),
            Motion::Stopping | Motion::DeclickToLocate => u64::from(self.gain.max(1)),
            _ => u64::MAX,
        }
    }

    /// What is played jumped without being asked (frames were lost): fade it in again.
    pub fn mute(&mut self) {
        self.gain = 0;
    }

    /// `frames` frames went by, no more than [`Transport::frames_to_change`].
    pub fn advance(&mut self, frames: u32) -> Option<Jump> {
        match self.motion {
            Motion::Rolling => self.gain = (self.gain + frames).min(DECLICK_FRAMES),
            Motion::Stopping | Motion::DeclickToLocate => {
                self.gain = self.gain.saturating_sub(frames);
                if self.gain == 0 {
                    return self.finish_fade_out();
                }
            }
            Motion::Stopped | Motion::WaitingForData => {}
        }
        None
    }

    /// The one place where motion changes by request.
    pub fn apply(&mut self, event: Event) -> Option<Jump> {
        match (event, self.motion) {
            (Event::Halt, _) => {
                *self = Transport::default();
                None
            }
            (Event::Roll, Motion::Stopped | Motion::Stopping) => {
                self.motion = Motion::Rolling;
                None
            }
            (Event::Roll, Motion::DeclickToLocate | Motion::WaitingForData) => {
                self.roll_after_locate = true;
                None
            }
            (Event::Stop, Motion::Rolling) => {
                self.motion = Motion::Stopping;
                if self.gain == 0 { self.finish_fade_out() } else { None }
            }
            (Event::Stop, Motion::DeclickToLocate | Motion::WaitingForData) => {
                self.roll_after_locate = false;
                None
            }
            (Event::Locate { path, epoch }, Motion::Stopped | Motion::WaitingForData) => {
                self.roll_after_locate &= self.motion == Motion::WaitingForData;
                self.motion = Motion::WaitingForData;
                Some(Jump { path, epoch })
            }
            (Event::Locate { path, epoch }, Motion::Rolling | Motion::Stopping | Motion::DeclickToLocate) => {
                self.roll_after_locate = match self.motion {
                    Motion::DeclickToLocate => self.roll_after_locate,
                    motion => motion == Motion::Rolling,
                };
                self.motion = Motion::DeclickToLocate;
                self.pending_jump = Some(Jump { path, epoch });
                if self.gain == 0 { self.finish_fade_out() } else { None }
            }
            (Event::WindowsReady, Motion::WaitingForData) => {
                self.motion = if self.roll_after_locate { Motion::Rolling } else { Motion::Stopped };
                self.gain = 0;
                None
            }
            (Event::Roll, Motion::Rolling)
            | (Event::Stop, Motion::Stopped | Motion::Stopping)
            | (Event::WindowsReady, _) => None,
        }
    }

    /// The way out is silent: stop, or go where it was meant to go.
    fn finish_fade_out(&mut self) -> Option<Jump> {
        match (self.motion, self.pending_jump.take()) {
            (Motion::DeclickToLocate, Some(jump)) => {
                self.motion = Motion::WaitingForData;
                Some(jump)
            }
            _ => {
                self.motion = Motion::Stopped;
                None
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run on a thread of their own")]
mod tests {
    use super::*;
    use crate::time::FramePos;

    fn locate(to: u64, epoch: u32) -> Event {
        Event::Locate { path: PlayPath { start: FramePos(to), loop_range: None }, epoch }
    }

    fn rolling() -> Transport {
        let mut transport = Transport::default();
        assert_eq!((transport.apply(Event::Roll), transport.motion()), (None, Motion::Rolling));
        transport.advance(DECLICK_FRAMES);
        transport
    }

    #[test]
    fn a_stop_declicks_and_then_stands() {
        let mut transport = rolling();
        assert_eq!(transport.apply(Event::Stop), None);
        assert!(transport.is_rolling() && transport.ramp().step < 0.0);
        assert_eq!(transport.advance(DECLICK_FRAMES - 1), None);
        assert_eq!((transport.advance(1), transport.motion()), (None, Motion::Stopped));
    }

    #[test]
    fn a_locate_while_rolling_fades_out_jumps_waits_and_fades_in() {
        let mut transport = rolling();
        assert_eq!(transport.apply(locate(5, 1)), None);
        let Some(Jump { epoch, .. }) = transport.advance(DECLICK_FRAMES) else { panic!("it goes") };
        assert_eq!((epoch, transport.motion(), transport.is_rolling()), (1, Motion::WaitingForData, false));
        assert_eq!((transport.apply(Event::WindowsReady), transport.motion()), (None, Motion::Rolling));
        assert_eq!(transport.ramp().gain, 0.0);
        assert!(transport.ramp().step > 0.0);
    }

    #[test]
    fn the_last_of_several_locates_wins_and_a_stop_on_the_way_is_kept() {
        let mut transport = rolling();
        transport.apply(locate(5, 1));
        transport.apply(locate(9, 2));
        transport.apply(Event::Stop);
        assert!(matches!(transport.advance(DECLICK_FRAMES), Some(Jump { epoch: 2, .. })));
        assert_eq!((transport.apply(Event::WindowsReady), transport.motion()), (None, Motion::Stopped));
    }

    #[test]
    fn play_pressed_while_it_arrives_is_not_forgotten() {
        let mut transport = Transport::default();
        assert!(matches!(transport.apply(locate(5, 1)), Some(_)));
        assert_eq!(transport.apply(Event::Roll), None);
        assert!(matches!(transport.apply(locate(6, 2)), Some(_)));
        assert_eq!((transport.apply(Event::WindowsReady), transport.motion()), (None, Motion::Rolling));
    }

    #[test]
    fn play_during_the_fade_of_a_stop_rolls_on_without_a_break() {
        let mut transport = rolling();
        transport.apply(Event::Stop);
        transport.advance(100);
        assert_eq!(transport.apply(Event::Roll), None);
        assert_eq!(transport.motion(), Motion::Rolling);
        assert!(transport.ramp().step > 0.0);
    }

    #[test]
    fn no_event_in_any_motion_leaves_the_gain_outside_its_range() {
        let events = [Event::Roll, Event::Stop, locate(1, 1), Event::WindowsReady, Event::Halt];
        for first in events {
            for second in events {
                for third in events {
                    let mut transport = rolling();
                    for event in [first, second, third] {
                        transport.apply(event);
                        transport.advance(transport.frames_to_change().min(100) as u32);
                        let gain = transport.ramp().gain;
                        assert!((0.0..=1.0).contains(&gain));
                    }
                }
            }
        }
    }
}
