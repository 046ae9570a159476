//! The drive loop under the witnesses while it waits for capture windows after a loss. Thread: test.

use super::account::{Calls, account, prepare};
use super::driving::{Control, Scripted};
use super::reel::Reel;
use super::rig::RATE;
use faultless::device::{Device, LossCause, Wake};
use faultless::engine::{Engine, drive};
use faultless::format::{DeviceFormat, TakeFormat};
use faultless::limits;
use faultless::message::published::Published;
use faultless::message::{AudioCommand, AudioEvent, Capture, Pass, PassRange};
use faultless::time::Frames;
use rtrb::{Consumer, RingBuffer};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Frames of a period. A window of the smallest size holds one period and a part of the next.
const PERIOD: u64 = 1024;

/// Frames of the buffer at which the longest wait is 50 ms, and the most pauses of 200 us in that time.
const SHORT_BUFFER: usize = 4_800;
const SHORT_PAUSES: u64 = 250;

/// Frames of a buffer at which the longest wait is the limit of 400 ms.
const LONG_BUFFER: usize = 48_000;

fn ready(periods: usize) -> Vec<Wake> {
    vec![Wake::Ready; periods]
}

fn xrun(frames: u64) -> Vec<Wake> {
    vec![Wake::Lost { frames, cause: LossCause::Xrun }]
}

/// An engine and the control side's ends of its rings.
struct Desk {
    engine: Engine,
    control: Control,
    reports: Consumer<AudioEvent>,
    published: Arc<Published>,
}

impl Desk {
    /// An engine that records `captures`.
    fn recording(captures: Vec<Capture>) -> Desk {
        let (control, commands) = RingBuffer::new(16);
        let (events, reports) = RingBuffer::new(limits::AUDIO_EVENTS);
        let published = Arc::new(Published::new(2));
        let engine = Engine::new(commands, events, Arc::clone(&published), 2, RATE);
        let desk = Desk { engine, control: Arc::new(Mutex::new(control)), reports, published };
        let pass = Box::new(Pass::new(captures, PassRange::Now(Frames(u64::MAX)), true));
        assert!(desk.control.lock().unwrap().push(AudioCommand::Record(pass)).is_ok());
        desk
    }

    /// A device with this script, whose end ends the loop.
    fn device(&self, buffer_frames: usize, script: Vec<Wake>) -> Box<Scripted> {
        let mut device = Scripted::with_period(PERIOD as usize, script, &self.control, AudioCommand::Quit);
        device.facts.buffer_frames = buffer_frames;
        device
    }

    /// Runs the loop. It allocates nothing and takes no fault, and each of its waits is a pause that it counts. Returns the
    /// pauses and the pass.
    fn drive(&mut self, device: Box<Scripted>) -> (u64, Box<Pass>) {
        prepare();
        let mut device: Option<Box<dyn Device>> = Some(device);
        let ((), cost) = account(Calls::LetThrough, || drive::drive(&mut self.engine, &mut device, &self.published));
        assert!(device.is_some());
        assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{cost:?}");
        let pauses = self.published.counted_sleeps.load(Relaxed);
        assert_eq!(u64::try_from(cost.switches), Ok(pauses), "{cost:?}");
        let pass = std::iter::from_fn(|| self.reports.pop().ok()).find_map(|event| match event {
            AudioEvent::PassEnded(pass) => Some(pass),
            _ => None,
        });
        (pauses, pass.expect("a pass ended"))
    }
}

/// Supplies windows from frame `from` on, one each time that the loop has paused three times more, until `over` is set.
fn supply_in_pauses(mut reel: Reel, from: u64, published: &Arc<Published>, over: &Arc<AtomicBool>) -> JoinHandle<Reel> {
    let (published, over) = (Arc::clone(published), Arc::clone(over));
    reel.skip_to(from);
    std::thread::spawn(move || {
        let mut seen = 0;
        while !over.load(Relaxed) {
            let pauses = published.counted_sleeps.load(Relaxed);
            if seen + 3 <= pauses {
                reel.supply(1);
                seen = pauses;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        reel
    })
}

#[test]
fn after_a_loss_past_all_windows_each_period_waits_until_it_has_its_windows() {
    let lost = 50_000;
    let (mut reel, capture) = Reel::new(TakeFormat::S24, &[0], 0);
    reel.supply(3);
    let mut desk = Desk::recording(vec![capture]);
    let over = Arc::new(AtomicBool::new(false));
    let supplier = supply_in_pauses(reel, 2 * PERIOD + lost, &desk.published, &over);
    let device = desk.device(LONG_BUFFER, [ready(2), xrun(lost), ready(4)].concat());
    let (pauses, pass) = desk.drive(device);
    over.store(true, Relaxed);
    let reel = supplier.join().unwrap();
    let end = 6 * PERIOD + lost;
    assert_eq!((pass.frames, pass.lost, pass.xruns), (Frames(end), Frames(lost), 1));
    assert_eq!((pass.captures[0].overrun, desk.published.frames_overrun.load(Relaxed)), (Frames(0), 0));
    // More than one period has waited: the first window is not enough for two.
    assert!(6 <= pauses, "{pauses} pauses");
    reel.assert_ramp(0..2 * PERIOD, 0, DeviceFormat::S32);
    reel.assert_silent(2 * PERIOD..2 * PERIOD + lost);
    reel.assert_ramp(2 * PERIOD + lost..end, 2 * PERIOD, DeviceFormat::S32);
}

#[test]
fn a_stop_and_the_end_of_the_thread_end_the_wait_for_windows() {
    for stops in [true, false] {
        let (mut reel, capture) = Reel::new(TakeFormat::S24, &[0], 0);
        reel.supply(3);
        let mut desk = Desk::recording(vec![capture]);
        let (control, published) = (Arc::clone(&desk.control), Arc::clone(&desk.published));
        let user = std::thread::spawn(move || {
            while published.counted_sleeps.load(Relaxed) < 5 {
                std::thread::sleep(Duration::from_millis(1));
            }
            let command = if stops { AudioCommand::Stop } else { AudioCommand::Quit };
            assert!(control.lock().unwrap().push(command).is_ok());
        });
        // The last period is moved after the stop, and not in a wait that the end of the thread ends.
        let device = desk.device(LONG_BUFFER, [ready(2), xrun(50_000), ready(1)].concat());
        let (pauses, pass) = desk.drive(device);
        user.join().unwrap();
        assert!(5 <= pauses, "{pauses} pauses");
        let end = 2 * PERIOD + 50_000;
        assert_eq!((pass.frames, pass.captures[0].overrun), (Frames(end), Frames(0)));
        assert_eq!(desk.published.cycles.counts().total(), if stops { 3 } else { 2 });
        reel.assert_returned(end);
    }
}

/// The sound of all takes was lost for as long as one of them had no window: each loss allowed another wait, and each wait
/// led to the next loss.
#[test]
fn losses_that_follow_a_wait_allow_no_further_wait_before_a_period_is_moved() {
    let ((mut reel, fed), (mut hungry, starved)) =
        (Reel::new(TakeFormat::S24, &[0], 0), Reel::new(TakeFormat::S24, &[1], 0));
    reel.supply(50);
    let mut desk = Desk::recording(vec![fed, starved]);
    let losses = [xrun(10_000), xrun(10_000), xrun(10_000)].concat();
    let device = desk.device(SHORT_BUFFER, [ready(2), losses, ready(5)].concat());
    let (pauses, pass) = desk.drive(device);
    assert!((1..=SHORT_PAUSES + 1).contains(&pauses), "{pauses} pauses");
    assert_eq!((pass.frames, pass.xruns), (Frames(7 * PERIOD + 30_000), 3));
    assert_eq!([0, 1].map(|take| pass.captures[take].overrun), [Frames(0), Frames(7 * PERIOD)]);
    reel.assert_ramp(2 * PERIOD + 30_000..pass.frames.0, 2 * PERIOD, DeviceFormat::S32);
    reel.assert_returned(pass.frames.0);
    hungry.assert_returned(pass.frames.0);
}

#[test]
fn a_loss_after_a_period_was_moved_allows_a_wait_again() {
    let (_reel, starved) = Reel::new(TakeFormat::S24, &[0], 0);
    let mut desk = Desk::recording(vec![starved]);
    let once = [xrun(1_000), ready(1)].concat();
    let device = desk.device(SHORT_BUFFER, [ready(1), once.clone(), once].concat());
    let began = Instant::now();
    let (_, pass) = desk.drive(device);
    assert!(Duration::from_millis(100) <= began.elapsed(), "two waits of 50 ms: {:?}", began.elapsed());
    assert_eq!(pass.captures[0].overrun, Frames(3 * PERIOD));
}

#[test]
fn periods_of_a_buffer_that_is_half_full_do_not_wait_for_windows() {
    let ((mut reel, fed), (_hungry, starved)) =
        (Reel::new(TakeFormat::S24, &[0], 0), Reel::new(TakeFormat::S24, &[1], 0));
    reel.supply(50);
    let mut desk = Desk::recording(vec![fed, starved]);
    let mut device = desk.device(LONG_BUFFER, [ready(2), xrun(10_000), ready(5)].concat());
    device.near_full = true;
    let (pauses, pass) = desk.drive(device);
    assert_eq!((pauses, pass.frames), (0, Frames(7 * PERIOD + 10_000)));
    assert_eq!([0, 1].map(|take| pass.captures[take].overrun), [Frames(0), Frames(7 * PERIOD)]);
    reel.assert_returned(pass.frames.0);
}
