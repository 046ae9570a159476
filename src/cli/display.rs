//! One line about a window that its display or its toolkit has ended. Thread: ui; a panic of another thread is printed as
//! usual.

use std::io;
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Advice for a machine without a display.
const WITHOUT_DISPLAY: &str = "to record without a window: faultless record SESSION";

/// The line about a display that has ended.
pub const GONE: &str = "the display is gone";

/// Beginnings of the names of crates that speak with the display. They panic when the display is gone.
const TOOLKIT: [&str; 10] = [
    "winit-",
    "egui-winit-",
    "eframe-",
    "glutin",
    "x11rb",
    "x11-dl-",
    "wayland-",
    "smithay-",
    "calloop-",
    "xkbcommon-",
];

/// A panic of the window's thread.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Panic {
    message: String,
    file: String,
    line: u32,
}

impl Panic {
    fn of(info: &PanicHookInfo<'_>) -> Panic {
        let message = info.payload_as_str().unwrap_or("no message").to_owned();
        let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
        Panic { message, file: file.to_owned(), line }
    }

    /// The name of the crate in a registry whose code has panicked; `None`: the code is of this program.
    fn package(&self) -> Option<&str> {
        self.file.split_once("/registry/src/")?.1.split('/').nth(1)
    }

    /// One line about the panic. `is_gone`: whether the display is gone.
    fn line(&self, is_gone: bool) -> String {
        let message = self.message.lines().next().unwrap_or_default();
        match self.package() {
            Some(package) if is_toolkit(package) && is_gone => GONE.to_owned(),
            Some(package) => format!("the window has failed in {package}: {message}"),
            None => format!("the window has failed: {message} ({}:{})", self.file, self.line),
        }
    }
}

fn is_toolkit(package: &str) -> bool {
    TOOLKIT.iter().any(|name| package.starts_with(name))
}

/// Refuses to start without a display, before a recorder is started for it.
pub fn check() -> Result<(), String> {
    match Display::of_environment() {
        None => Err(format!("no display: neither DISPLAY nor WAYLAND_DISPLAY is set; {WITHOUT_DISPLAY}")),
        Some(display) if display.is_there() == Some(false) => {
            let name = display.name;
            Err(format!("the window cannot be opened: no display answers at {name}; {WITHOUT_DISPLAY}"))
        }
        Some(_) => Ok(()),
    }
}

/// Whether the display that the window had is gone, as far as that can be known.
fn is_gone() -> bool {
    Display::of_environment().is_none_or(|display| display.is_there() != Some(true))
}

/// Runs the window on this thread until it ends. The error is one line. `was_open` tells whether there has been a window.
pub fn run(window: impl FnOnce() -> eframe::Result, was_open: impl Fn() -> bool) -> Result<(), String> {
    let panic: Arc<OnceLock<Panic>> = Arc::default();
    let (kept, before, ui) = (Arc::clone(&panic), std::panic::take_hook(), std::thread::current().id());
    std::panic::set_hook(Box::new(move |info| {
        // The first panic of this thread is kept for its line.
        let is_kept = std::thread::current().id() == ui && kept.set(Panic::of(info)).is_ok();
        if !is_kept {
            before(info);
        }
    }));
    match catch_unwind(AssertUnwindSafe(window)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) if was_open() && is_gone() => Err(GONE.to_owned()),
        Ok(Err(error)) if was_open() => Err(format!("the window has failed: {}", without_source(&error.to_string()))),
        Ok(Err(error)) => {
            let error = without_source(&error.to_string());
            Err(format!("the window cannot be opened: {error}; {WITHOUT_DISPLAY}"))
        }
        Err(_) => {
            let line = panic.get().map(|panic| panic.line(is_gone()));
            Err(line.unwrap_or_else(|| "the window has failed".to_owned()))
        }
    }
}

/// The toolkit's text of an error without the place in its source: `os error at FILE:LINE: TEXT`.
fn without_source(error: &str) -> String {
    let text = error
        .rsplit_once("os error at ")
        .map_or(error, |(_, place)| place.split_once(": ").map_or(place, |(_, text)| text));
    text.lines().next().unwrap_or_default().to_owned()
}

/// The display that the environment names.
struct Display {
    /// The variable and its value.
    name: String,
    address: Address,
}

enum Address {
    /// A socket of the file system; a socket without a file of the same name counts as well.
    Socket(PathBuf),
    Host(String, u16),
    Unknown,
}

impl Display {
    /// The display that the toolkit uses; `None`: there is none.
    fn of_environment() -> Option<Display> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(value) = variable("WAYLAND_DISPLAY") {
            let runtime = variable("XDG_RUNTIME_DIR").map_or_else(PathBuf::new, PathBuf::from);
            return Some(Display::wayland(&value, &runtime));
        }
        if let Some(value) = variable("WAYLAND_SOCKET") {
            return Some(Display { name: format!("WAYLAND_SOCKET={value}"), address: Address::Unknown });
        }
        variable("DISPLAY").map(|value| Display::x11(&value))
    }

    fn wayland(value: &str, runtime: &Path) -> Display {
        Display { name: format!("WAYLAND_DISPLAY={value}"), address: Address::Socket(runtime.join(value)) }
    }

    /// `[HOST]:NUMBER[.SCREEN]`. Without a host, and with `unix`, it is a socket of this machine.
    fn x11(value: &str) -> Display {
        let address = value.rsplit_once(':').and_then(|(host, number)| {
            let number: u16 = number.split('.').next()?.parse().ok()?;
            Some(match host {
                "" | "unix" => Address::Socket(PathBuf::from(format!("/tmp/.X11-unix/X{number}"))),
                host => Address::Host(host.to_owned(), number.checked_add(6000)?),
            })
        });
        Display { name: format!("DISPLAY={value}"), address: address.unwrap_or(Address::Unknown) }
    }

    /// Whether the display takes connections; `None`: its address is not known here.
    fn is_there(&self) -> Option<bool> {
        match &self.address {
            Address::Socket(path) => Some(connects(path)),
            Address::Host(host, port) => Some(TcpStream::connect((host.as_str(), *port)).is_ok()),
            Address::Unknown => None,
        }
    }
}

fn connects(path: &Path) -> bool {
    let without_file = || -> io::Result<UnixStream> {
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(path.as_os_str().as_encoded_bytes())?)
    };
    UnixStream::connect(path).or_else(|_| without_file()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn an_error_of_the_toolkit_has_no_path_of_its_source() {
        let error = "winit EventLoopError: os error at /root/.cargo/registry/src/index-1/winit-0.30.13/src/mod.rs:765: \
                     Could not find wayland compositor";
        assert_eq!(without_source(error), "Could not find wayland compositor");
        assert_eq!(without_source("Exit Failure: 1"), "Exit Failure: 1");
    }

    #[test]
    fn a_panic_of_the_toolkit_is_one_line_about_the_display() {
        let panic = |file: &str| Panic {
            message: "Failed to set window title: ConnectionError(IoError(..))\nmore".to_owned(),
            file: file.to_owned(),
            line: 7,
        };
        let toolkit = panic("/home/me/.cargo/registry/src/index.crates.io-1/winit-0.30.13/src/x11/window.rs");
        assert_eq!(toolkit.line(true), GONE);
        let there = toolkit.line(false);
        assert_eq!(
            there,
            "the window has failed in winit-0.30.13: Failed to set window title: ConnectionError(IoError(..))"
        );
        let own = panic("src/ui/shell.rs").line(true);
        assert!(own.contains("(src/ui/shell.rs:7)") && !own.contains("display"), "{own}");
    }

    #[test]
    fn a_display_without_a_server_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let display = Display::wayland("wayland-7", folder.path());
        assert!(display.name == "WAYLAND_DISPLAY=wayland-7" && display.is_there() == Some(false));
        let server = UnixListener::bind(folder.path().join("wayland-7")).unwrap();
        assert_eq!(display.is_there(), Some(true));
        drop(server);
        assert_eq!(display.is_there(), Some(false), "its socket is left");
        assert!(matches!(Display::x11(":81.0").address, Address::Socket(path) if path.ends_with("X81")));
        assert!(matches!(Display::x11("localhost:10.0").address, Address::Host(host, 6010) if host == "localhost"));
        assert_eq!(Display::x11("nonsense").is_there(), None);
    }

    #[test]
    fn a_window_that_panics_ends_with_one_line() {
        let failed = run(|| panic!("as intended"), || true).unwrap_err();
        assert!(failed.starts_with("the window has failed: as intended (src/cli/display.rs:"), "{failed}");
    }
}
