//! The transport: its motion as a state machine, and the declick ramps at start, stop and locate. Thread: audio. Pure.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use crate::limits::DECLICK_FRAMES;
use crate::message::{Motion, PlayPath};

/// Input of the state machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// The control side requests play.
    Roll,
    /// The control side requests stop.
    Stop,
    /// The control side requests a locate.
    Locate {
        /// The path that plays from there.
        path: PlayPath,
        /// Number of the locate.
        epoch: u32,
    },
    /// The read-ahead has supplied the windows of the last locate.
    WindowsReady,
    /// Stop at once, without a ramp: the thread ends.
    Halt,
}

/// A locate to carry out: the playhead jumps to the start of `path`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jump {
    /// The path that plays from there.
    pub path: PlayPath,
    /// Number of the locate.
    pub epoch: u32,
}

/// A gain that changes with every frame of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// Gain of the first frame.
    pub gain: f32,
    /// Added per frame. The gain stays within 0..=1.
    pub step: f32,
}

/// The state: motion, declick gain, and the locate that follows the current fade-out.
#[derive(Clone, Copy, Debug)]
pub struct Transport {
    motion: Motion,
    // In units of 1/DECLICK_FRAMES, so that ramps begin and end on whole frames.
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
    /// The current motion. This is realtime-safe.
    pub fn motion(&self) -> Motion {
        self.motion
    }

    /// Whether the playhead moves. This is realtime-safe.
    pub fn is_rolling(&self) -> bool {
        matches!(self.motion, Motion::Rolling | Motion::Stopping | Motion::DeclickToLocate)
    }

    /// Whether the transport is stopped, or will be as soon as a fade is over or windows are filled. This is realtime-safe.
    pub fn is_at_rest(&self) -> bool {
        match self.motion {
            Motion::Stopped | Motion::Stopping => true,
            Motion::DeclickToLocate | Motion::WaitingForData => !self.roll_after_locate,
            Motion::Rolling => false,
        }
    }

    /// The declick ramp of the next frames. This is realtime-safe.
    pub fn ramp(&self) -> Ramp {
        let unit = 1.0 / DECLICK_FRAMES as f32;
        let step = match self.motion {
            Motion::Stopping | Motion::DeclickToLocate if self.gain > 0 => -unit,
            Motion::Rolling if self.gain < DECLICK_FRAMES => unit,
            _ => 0.0,
        };
        Ramp { gain: self.gain as f32 * unit, step }
    }

    /// Frames until the ramp ends; `u64::MAX` without a ramp. This is realtime-safe.
    pub fn frames_to_change(&self) -> u64 {
        match self.motion {
            Motion::Rolling if self.gain < DECLICK_FRAMES => u64::from(DECLICK_FRAMES - self.gain),
            Motion::Stopping | Motion::DeclickToLocate => u64::from(self.gain.max(1)),
            _ => u64::MAX,
        }
    }

    /// Fades playback in again, because frames were lost and the sound jumps. A fade-out is over at once: its remaining
    /// frames may never come. Returns the jump that was due after it. This is realtime-safe.
    pub fn mute(&mut self) -> Option<Jump> {
        self.gain = 0;
        match self.motion {
            Motion::Stopping | Motion::DeclickToLocate => self.finish_fade_out(),
            _ => None,
        }
    }

    /// Advances the ramp by `frames` frames, at most [`Transport::frames_to_change`]. Returns the jump that is due
    /// after a fade-out. This is realtime-safe.
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

    /// Changes the motion as `event` demands. Returns the jump that is due at once. This is realtime-safe.
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

    /// The fade-out is over: stops, or returns the pending jump.
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
    fn a_stop_fades_out_and_then_stops() {
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

    /// A device that was unplugged within the fade of a stop left the transport stopping, and counting, for ever.
    #[test]
    fn a_loss_within_a_fade_out_ends_it() {
        let mut transport = rolling();
        transport.apply(Event::Stop);
        transport.advance(100);
        assert_eq!((transport.mute(), transport.motion()), (None, Motion::Stopped));
        let mut transport = rolling();
        transport.apply(locate(5, 1));
        assert!(matches!(transport.mute(), Some(Jump { epoch: 1, .. })));
        assert_eq!(transport.motion(), Motion::WaitingForData);
        let mut transport = rolling();
        assert_eq!((transport.mute(), transport.motion()), (None, Motion::Rolling));
    }

    #[test]
    fn the_last_of_several_locates_wins_and_a_stop_in_between_is_remembered() {
        let mut transport = rolling();
        transport.apply(locate(5, 1));
        transport.apply(locate(9, 2));
        transport.apply(Event::Stop);
        assert!(matches!(transport.advance(DECLICK_FRAMES), Some(Jump { epoch: 2, .. })));
        assert_eq!((transport.apply(Event::WindowsReady), transport.motion()), (None, Motion::Stopped));
    }

    #[test]
    fn a_roll_while_waiting_for_data_is_remembered() {
        let mut transport = Transport::default();
        assert!(transport.apply(locate(5, 1)).is_some());
        assert_eq!(transport.apply(Event::Roll), None);
        assert!(transport.apply(locate(6, 2)).is_some());
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
