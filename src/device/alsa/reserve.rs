//! Asks the desktop's sound server for a card, and gives the card back. Thread: reserve; opener, reconnect and control wait
//! for its answer for [`PATIENCE`] at most.
//!
//! The protocol is `org.freedesktop.ReserveDevice1` on the session bus. The program that uses card N owns the name
//! `org.freedesktop.ReserveDevice1.AudioN`. Another one calls its `RequestRelease` with a priority. The owner lets the card go
//! and answers with true, or refuses. Without a session bus nothing is asked.

use super::name::card_of;
use crate::device::{DeviceError, DeviceSpec};
use crate::lock::lock;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use zbus::blocking::Connection;
use zbus::fdo::RequestNameFlags;
use zbus::zvariant::OwnedValue;

const INTERFACE: &str = "org.freedesktop.ReserveDevice1";

/// Our priority. PipeWire has -20, PulseAudio 0; JACK has the highest there is.
const PRIORITY: i32 = 100;

/// Time for the owner of a card to let it go. PipeWire closes its streams meanwhile.
const ASK_PATIENCE: Duration = Duration::from_secs(2);

/// Time for the whole exchange.
const PATIENCE: Duration = Duration::from_secs(4);

/// Time in which the device must be closed after another program has asked for it.
const CLOSE_PATIENCE: Duration = Duration::from_millis(1_500);

/// Time for a program that got the card from us to open it. The search for the device does not take it back before.
const GRANT_REST: Duration = Duration::from_secs(5);

/// Whether sound is being recorded, so that no card may be given away.
static IS_RECORDING: AtomicBool = AtomicBool::new(false);

/// Cards that were given away, and when.
static GRANTED: Mutex<Vec<(u32, Instant)>> = Mutex::new(Vec::new());

/// Says whether sound is being recorded. While it is, no other program gets a card that this program uses. This is
/// realtime-safe.
pub fn keep_cards(on: bool) {
    IS_RECORDING.store(on, Ordering::Relaxed);
}

/// Whether sound is being recorded.
pub(super) fn is_recording() -> bool {
    IS_RECORDING.load(Ordering::Relaxed)
}

/// A card that this program owns. Dropping it gives the card back and does not wait.
pub(super) struct Reservation {
    shared: Arc<Shared>,
    /// Dropping the sender ends the thread, which releases the name.
    _end: SyncSender<()>,
}

/// State of a reservation that its thread and the device share.
#[derive(Default)]
struct Shared {
    /// A program with a higher priority wants the card.
    is_asked_for: AtomicBool,
    is_closed: Mutex<bool>,
    closed: Condvar,
}

impl Reservation {
    /// Whether another program wants the card and gets it. This is realtime-safe.
    pub(super) fn is_asked_for(&self) -> bool {
        self.shared.is_asked_for.load(Ordering::Relaxed)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        *lock(&self.shared.is_closed) = true;
        self.shared.closed.notify_all();
    }
}

/// The program that keeps a card for itself, as it names itself.
struct Refusal(String);

/// Reserves the cards of `pcms`, those of the inputs and of the outputs, for `spec`. No reservation without a bus, and for PCMs that are no card's.
pub(super) fn reserve(spec: &DeviceSpec, pcms: &[Option<&str>]) -> Result<Vec<Reservation>, DeviceError> {
    let card = |pcm: Option<&str>| card_number(Path::new("/proc/asound"), pcm?);
    let sides: Vec<Option<u32>> = pcms.iter().copied().map(card).collect();
    let mut cards: Vec<u32> = sides.iter().flatten().copied().collect();
    cards.sort_unstable();
    cards.dedup();
    let reserved = cards.into_iter().map(|card| {
        reserve_card(card).map_err(|Refusal(owner)| {
            let is_held: Vec<bool> = sides.iter().map(|side| *side == Some(card)).collect();
            let part = match is_held[..] {
                [true, false] => Some("inputs"),
                [false, true] => Some("outputs"),
                _ => None,
            };
            DeviceError::Busy { name: spec.name.clone(), part, holder: Some(owner), instead: None }
        })
    });
    reserved.filter_map(Result::transpose).collect()
}

/// The number of the card of `pcm`.
fn card_number(asound: &Path, pcm: &str) -> Option<u32> {
    let card = card_of(pcm)?;
    card.parse().ok().or_else(|| {
        // /proc/asound has a link from each card's id to its folder.
        let folder = fs::read_link(asound.join(card)).ok()?;
        folder.file_name()?.to_str()?.strip_prefix("card")?.parse().ok()
    })
}

fn reserve_card(card: u32) -> Result<Option<Reservation>, Refusal> {
    lock(&GRANTED).retain(|(_, at)| at.elapsed() < GRANT_REST);
    if lock(&GRANTED).iter().any(|(granted, _)| *granted == card) {
        return Err(Refusal("the program that asked for it".to_owned()));
    }
    let shared = Arc::new(Shared::default());
    let (end, ended) = sync_channel(1);
    let (answer, answered) = sync_channel(1);
    let of_thread = Arc::clone(&shared);
    let thread = std::thread::Builder::new().name("reserve".to_owned());
    if thread.spawn(move || own(card, &of_thread, &answer, &ended)).is_err() {
        return Ok(None);
    }
    match answered.recv_timeout(PATIENCE) {
        Ok(Ok(true)) => Ok(Some(Reservation { shared, _end: end })),
        Ok(Err(refusal)) => Err(refusal),
        // Without a bus, or with one that hangs, the card is opened as it is.
        Ok(Ok(false)) | Err(_) => Ok(None),
    }
}

/// The body of the thread: owns the card's name until the device is closed.
fn own(card: u32, shared: &Arc<Shared>, answer: &SyncSender<Result<bool, Refusal>>, ended: &Receiver<()>) {
    match acquire(card, shared) {
        Ok(bus) => {
            if answer.send(Ok(true)).is_ok() {
                // The sender is never used: this waits until it is dropped.
                ended.recv().ok();
            }
            bus.release_name(name_of(card)).ok();
        }
        Err(Denied::NoBus) => drop(answer.send(Ok(false))),
        Err(Denied::Refused(refusal)) => drop(answer.send(Err(refusal))),
    }
}

enum Denied {
    /// There is no bus, or the owner of the name does not speak the protocol.
    NoBus,
    Refused(Refusal),
}

impl From<zbus::Error> for Denied {
    fn from(_: zbus::Error) -> Denied {
        Denied::NoBus
    }
}

fn name_of(card: u32) -> String {
    format!("{INTERFACE}.Audio{card}")
}

fn acquire(card: u32, shared: &Arc<Shared>) -> Result<Connection, Denied> {
    let (name, path) = (name_of(card), format!("/org/freedesktop/ReserveDevice1/Audio{card}"));
    let object = Object { card, priority: PRIORITY, application: "Faultless".to_owned(), shared: Arc::clone(shared) };
    let bus = zbus::blocking::connection::Builder::session()?
        .method_timeout(ASK_PATIENCE)
        .serve_at(path.as_str(), object)?
        .build()?;
    let flags = RequestNameFlags::AllowReplacement | RequestNameFlags::DoNotQueue;
    match bus.request_name_with_flags(name.as_str(), flags) {
        Err(zbus::Error::NameTaken) => {}
        other => return other.map(|_| bus).map_err(Denied::from),
    }
    let reply = bus.call_method(Some(name.as_str()), path.as_str(), Some(INTERFACE), "RequestRelease", &PRIORITY)?;
    if !reply.body().deserialize::<bool>()? {
        return Err(Denied::Refused(Refusal(application(&bus, &name, &path))));
    }
    bus.request_name_with_flags(name.as_str(), flags | RequestNameFlags::ReplaceExisting)?;
    Ok(bus)
}

/// The name of the program that owns a card.
fn application(bus: &Connection, name: &str, path: &str) -> String {
    let ask = || -> zbus::Result<String> {
        let properties = "org.freedesktop.DBus.Properties";
        let reply = bus.call_method(Some(name), path, Some(properties), "Get", &(INTERFACE, "ApplicationName"))?;
        Ok(String::try_from(reply.body().deserialize::<OwnedValue>()?)?)
    };
    ask().unwrap_or_else(|_| "another program".to_owned())
}

/// The object that other programs call.
struct Object {
    card: u32,
    priority: i32,
    application: String,
    shared: Arc<Shared>,
}

#[zbus::interface(name = "org.freedesktop.ReserveDevice1")]
impl Object {
    /// A program with `priority` wants the card. The device is closed before the answer.
    fn request_release(&self, priority: i32) -> bool {
        if priority <= self.priority || is_recording() {
            return false;
        }
        lock(&GRANTED).push((self.card, Instant::now()));
        self.shared.is_asked_for.store(true, Ordering::Relaxed);
        let is_open = |is_closed: &mut bool| !*is_closed;
        let waited = self.shared.closed.wait_timeout_while(lock(&self.shared.is_closed), CLOSE_PATIENCE, is_open);
        waited.is_ok_and(|(is_closed, _)| *is_closed)
    }

    #[zbus(property)]
    fn priority(&self) -> i32 {
        self.priority
    }

    #[zbus(property)]
    fn application_name(&self) -> String {
        self.application.clone()
    }

    #[zbus(property)]
    fn application_device_name(&self) -> String {
        format!("hw:{}", self.card)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    #[test]
    fn the_card_of_a_pcm_is_found_by_its_number_and_by_its_id() {
        let asound = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("card3", asound.path().join("UMC")).unwrap();
        let of = |pcm: &str| card_number(asound.path(), pcm);
        assert_eq!(of("hw:1,0"), Some(1));
        assert_eq!(of("plughw:CARD=UMC,DEV=0"), Some(3));
        // A sound server that held such a port was not asked for the card.
        for pcm in ["hdmi:CARD=UMC,DEV=1", "iec958:CARD=UMC", "surround51:CARD=UMC,DEV=0", "default:CARD=UMC"] {
            assert_eq!(of(pcm), Some(3), "{pcm}");
        }
        assert_eq!((of("hw:CARD=Absent"), of("default"), of("pipewire")), (None, None, None));
    }
}
