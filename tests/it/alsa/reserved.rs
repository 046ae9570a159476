//! A card that the desktop's sound server holds. The server and the session bus are the test's own. Thread: test.

use super::card::{on_a_test_card, session_bus};
use super::{capture_spec, error, open};
use crate::util::skip;
use faultless::device::alsa::Gone;
use faultless::device::{Device, DeviceError, Wake, keep_cards};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};
use zbus::blocking::Connection;
use zbus::fdo::RequestNameFlags;

/// A session bus that ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Daemon {
    fn start() -> Option<Daemon> {
        let socket = session_bus();
        let mut daemon = Command::new("dbus-daemon");
        daemon.args(["--session", "--nofork", "--nosyslog"]).arg(format!("--address=unix:path={}", socket.display()));
        let daemon = Daemon(daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?);
        eventually("the bus listens", || socket.exists());
        Some(daemon)
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn name(card: u32) -> String {
    format!("org.freedesktop.ReserveDevice1.Audio{card}")
}

fn path(card: u32) -> String {
    format!("/org/freedesktop/ReserveDevice1/Audio{card}")
}

/// A sound server that owns a card, and lets it go or not.
struct Holder {
    name: String,
    lets_go: bool,
    asked: Arc<AtomicI32>,
}

#[zbus::interface(name = "org.freedesktop.ReserveDevice1")]
impl Holder {
    fn request_release(&self, priority: i32) -> bool {
        self.asked.store(priority, Ordering::Relaxed);
        self.lets_go
    }

    #[zbus(property)]
    fn application_name(&self) -> String {
        self.name.clone()
    }
}

fn hold(card: u32, lets_go: bool) -> (Connection, Arc<AtomicI32>) {
    let asked = Arc::new(AtomicI32::new(i32::MIN));
    let holder = Holder { name: "Some Server".to_owned(), lets_go, asked: Arc::clone(&asked) };
    let bus = zbus::blocking::connection::Builder::session().unwrap().serve_at(path(card), holder).unwrap();
    let bus = bus.build().unwrap();
    let flags = RequestNameFlags::AllowReplacement | RequestNameFlags::DoNotQueue;
    bus.request_name_with_flags(name(card), flags).unwrap();
    (bus, asked)
}

fn owner(bus: &Connection, card: u32) -> Option<String> {
    let proxy = zbus::blocking::fdo::DBusProxy::new(bus).unwrap();
    let owner = proxy.get_name_owner(name(card).try_into().unwrap());
    owner.ok().map(|owner| owner.to_string())
}

/// Asks the owner of a card to let it go.
fn ask(bus: &Connection, card: u32, priority: i32) -> bool {
    let interface = Some("org.freedesktop.ReserveDevice1");
    let reply = bus.call_method(Some(name(card)), path(card), interface, "RequestRelease", &priority).unwrap();
    reply.body().deserialize().unwrap()
}

#[test]
fn a_card_of_the_desktop_is_asked_for_owned_and_given_back() {
    let test = "alsa::reserved::a_card_of_the_desktop_is_asked_for_owned_and_given_back";
    on_a_test_card(test, || {
        let Some(_daemon) = Daemon::start() else { return skip("alsa::reserved", "dbus-daemon is not installed") };
        let (server, asked) = hold(7, true);
        let before = server.unique_name().unwrap().to_string();
        assert_eq!(owner(&server, 7), Some(before.clone()));
        let device = open(&capture_spec("front:7"));
        assert_eq!(asked.load(Ordering::Relaxed), 100);
        let now = owner(&server, 7);
        assert!(now.as_ref().is_some_and(|now| *now != before), "{now:?}");
        drop(device);
        eventually("the card is given back", || owner(&server, 7).is_none());
        // A card that nobody owns is owned while it is in use.
        let device = open(&capture_spec("front:8"));
        assert!(owner(&server, 8).is_some());
        drop(device);
        eventually("the card is given back", || owner(&server, 8).is_none());
    });
}

#[test]
fn a_card_that_is_not_let_go_is_busy_and_its_holder_is_named() {
    let test = "alsa::reserved::a_card_that_is_not_let_go_is_busy_and_its_holder_is_named";
    on_a_test_card(test, || {
        let Some(_daemon) = Daemon::start() else { return skip("alsa::reserved", "dbus-daemon is not installed") };
        let (server, _) = hold(7, false);
        let error = error(&capture_spec("front:7"));
        assert!(matches!(&error, DeviceError::Busy { holder: Some(holder), .. } if holder == "Some Server"), "{error}");
        assert_eq!(owner(&server, 7), server.unique_name().map(ToString::to_string));
    });
}

#[test]
fn a_program_with_a_higher_priority_gets_the_card_unless_it_records() {
    let test = "alsa::reserved::a_program_with_a_higher_priority_gets_the_card_unless_it_records";
    on_a_test_card(test, || {
        let Some(_daemon) = Daemon::start() else { return skip("alsa::reserved", "dbus-daemon is not installed") };
        let other = zbus::blocking::Connection::session().unwrap();
        let mut device = open(&capture_spec("front:7"));
        device.start().unwrap();
        assert!(!ask(&other, 7, 100), "a program of the same priority");
        keep_cards(true);
        assert!(!ask(&other, 7, i32::MAX), "sound is being recorded");
        assert!(device.gone().is_none());
        keep_cards(false);
        let asking = std::thread::spawn(move || (ask(&other, 7, i32::MAX), other));
        eventually("the device is gone", || device.wait(Duration::from_millis(20)) == Wake::Gone);
        assert_eq!(device.gone(), Some(Gone::AskedFor));
        drop(device);
        let (is_free, other) = asking.join().unwrap();
        assert!(is_free);
        eventually("the card is given back", || owner(&other, 7).is_none());
        // The search for the device leaves the card to the program that asked.
        assert!(matches!(error(&capture_spec("front:7")), DeviceError::Busy { .. }));
    });
}
