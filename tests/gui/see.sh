#!/usr/bin/env bash
# Opens Faultless in a real window on a screen of its own, and uses it as a person would: first start, record,
# stop, play, residency. Checks the WAV files and that the audio thread took no fault. Records and stops over AT-SPI, as a screen
# reader does. Then stops and kills the screen's server while a window records, and a Wayland compositor too: the recording
# continues, and other windows show it.
#
#   tests/gui/see.sh [FOLDER]     screenshots go to FOLDER (target/pictures/window where none is named)
#
# Needs Xvfb, xdotool, openbox and ImageMagick's import; says which is missing. Without Weston the part on Wayland is skipped,
# and without AT-SPI and its Python bindings the part of the screen reader; both are said. PROGRAM names another build than target/release/faultless; faultless-window lies beside it.
set -euo pipefail
cd "$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")"
for tool in Xvfb xdotool openbox import python3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not here"; exit 77; }
done
target=${CARGO_TARGET_DIR:-target}
program=${PROGRAM:-$target/release/faultless}
[ -x "$program-window" ] || { echo "FAILED: $program-window is not there: cargo build builds it"; exit 1; }
pictures=${1:-$target/pictures/window}
mkdir -p "$target" "$pictures"
work=$(mktemp -d "${WORK:-$target}/see.XXXXXX")
work=$(readlink -f "$work")
export XDG_CONFIG_HOME=$work/config XDG_DATA_HOME=$work/data HOME=$work/home XDG_RUNTIME_DIR=$work/runtime
mkdir -p "$HOME/Music" "$XDG_CONFIG_HOME"
mkdir -m 700 "$XDG_RUNTIME_DIR"
# No program of the user's desktop is asked for anything.
export DBUS_SESSION_BUS_ADDRESS=unix:path=$work/no-bus
# Stands for the file manager, and notes on which display it was to open a folder.
mkdir "$work/bin"
printf '#!/bin/sh\necho "$DISPLAY $1" >>"%s"\n' "$work/opened" >"$work/bin/xdg-open"
chmod +x "$work/bin/xdg-open"
export PATH=$work/bin:$PATH
# Process numbers of the engines that run. Each has a socket that is named after it.
engines() { find "$XDG_RUNTIME_DIR" -name 'engine-*.sock' 2>/dev/null | sed 's/.*engine-\([0-9]*\)\.sock/\1/'; }
pids=()
end() {
    for pid in "${pids[@]}" $(engines); do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap end EXIT
fail() { echo "FAILED: $*"; shot failed; tail -n 20 "$work/told" || true; waiting; exit 1; }
# What each thread of the window waits for, and how long the machine has let tasks wait.
waiting() {
    [ -n "${app:-}" ] || return 0
    for thread in /proc/"$app"/task/*; do
        echo "thread $(cat "$thread/comm" "$thread/wchan" 2>/dev/null | tr '\n' ' ')"
    done
    head -n 1 /proc/pressure/cpu /proc/pressure/io 2>/dev/null || true
}
# Waits until the program shows a window. Before its first window, the system reads the graphics libraries from the disk, and
# the disk of a test machine can be busy for long.
wait_for_window() {
    local until=$((SECONDS + 60))
    window=
    while [ $SECONDS -lt $until ]; do
        window=$(xdotool search --onlyvisible --pid "$app" 2>/dev/null | tail -n1) && [ -n "$window" ] && return
        kill -0 "$app" 2>/dev/null || fail "the program ended before its window was shown"
        sleep 0.02
    done
    fail "no window after 60 s"
}
place_window() { xdotool windowmove "$window" 0 0 windowsize "$window" 1440 900; }
shot() { import -window root -silent "$pictures/$1.png" 2>/dev/null || true; }

exec 3<>"$work/number"
Xvfb -displayfd 3 -screen 0 1440x930x24 -nolisten tcp >/dev/null 2>&1 &
screen=$!
pids+=("$screen")
for _ in $(seq 100); do [ -s "$work/number" ] && break; sleep 0.1; done
DISPLAY=:$(head -n1 "$work/number")
export DISPLAY
openbox >/dev/null 2>&1 &
pids+=($!)
sleep 0.5

# Without a choice the window opens on the machine's own sound card, and nobody asked to record from that.
device=()
if grep -qs capture /proc/asound/pcm; then
    device=(--device virtual)
    echo "skipped: the choice of the device at the first start: this machine has a sound card"
fi
started=$(date +%s%N)
"$program" "${device[@]}" >"$work/told" 2>&1 &
app=$!
pids+=("$app")
wait_for_window
echo "window after $((($(date +%s%N) - started) / 1000000)) ms"
place_window
sleep 1.5
shot 1-first-start

# Where things stand in a window of 1440 x 900, see src/ui/bar.
click() { xdotool mousemove --window "$window" "$1" "$2"; sleep 0.1; xdotool click 1; }
record="516 34" stop="338 34" play="425 34"
click $record
sleep 6
shot 2-recording
xdotool mousemove --window "$window" 700 500 click 1 key --window "$window" space
sleep 0.5
takes() { find "$HOME/Music" -path '*/audio/*.wav' | sort; }
[ "$(takes | wc -l)" -gt 0 ] || fail "nothing is being recorded"
xdotool mousemove --window "$window" $stop mousedown 1
sleep 0.4
shot 3-holding
sleep 0.9
xdotool mouseup 1
sleep 1.5
shot 4-stopped
key() { xdotool windowfocus "$window" 2>/dev/null || true; xdotool key "$1"; }
key Home
sleep 0.3
click $play
sleep 1.5
shot 5-playing
key ctrl+1
sleep 1.5
shot 6-residency
key space
sleep 0.5
key ctrl+3
sleep 4
shot 7-doctor
key ctrl+4
sleep 0.5
shot 8-events
key ctrl+5
sleep 0.5
shot 9-takes
key F1
sleep 0.5
shot 10-keys
key Escape
sleep 0.3
key alt+F4
for _ in $(seq 100); do kill -0 "$app" 2>/dev/null || break; sleep 0.1; done
kill -0 "$app" 2>/dev/null && fail "the window does not close"

# A signal ends it as its close button does.
"$program" "${device[@]}" >"$work/told" 2>&1 &
app=$!
pids+=("$app")
wait_for_window
sleep 2
kill -TERM "$app"
for _ in $(seq 100); do kill -0 "$app" 2>/dev/null || break; sleep 0.1; done
kill -0 "$app" 2>/dev/null && fail "a signal does not end the window"

python3 - "$HOME/Music" <<'P' || fail "the takes are not as they should be"
import glob, json, struct, sys
folder = sys.argv[1]

def read(path):
    """Format and sound of a WAV file, chunk by chunk."""
    data, at, kind = open(path, "rb").read(), 12, None
    assert data[:4] == b"RIFF" and data[8:12] == b"WAVE", path
    while at + 8 <= len(data):
        name, size = data[at:at + 4], struct.unpack("<I", data[at + 4:at + 8])[0]
        if name == b"fmt ":
            kind = struct.unpack("<HHIIHH", data[at + 8:at + 24])
        if name == b"data":
            return kind, data[at + 8:at + 8 + size]
        at += 8 + size + size % 2
    raise AssertionError(f"{path}: no sound")

takes = sorted(glob.glob(folder + "/**/audio/*.wav", recursive=True))
lengths = set()
for path in takes:
    (_, channels, rate, _, frame_bytes, bits), sound = read(path)
    lengths.add(len(sound) // frame_bytes)
    assert (channels, rate, bits) == (1, 48000, 24), path
    assert any(sound), f"{path}: silent"
assert len(takes) >= 2, f"{len(takes)} takes"
assert len(lengths) == 1, f"takes of different lengths: {lengths}"
seconds = lengths.pop() / 48000
assert 5 < seconds < 12, f"{seconds} s"
session = json.load(open(glob.glob(folder + "/**/session.json", recursive=True)[0]))
for take in session["takes"]:
    accounts = take["accounts"]
    assert accounts["minor_faults"] + accounts["major_faults"] == 0, accounts
    assert accounts["xruns"] == 0 and accounts["frames_lost"] == 0, accounts
print(f"{len(takes)} takes of {seconds:.2f} s, 0 faults, 0 xruns, 0 frames lost")
P

# A screen reader uses a window over AT-SPI, on a session bus of its own.
with_a_screen_reader() {
    local python bus=
    for tool in dbus-daemon /usr/share/dbus-1/services/org.a11y.Bus.service; do
        command -v $tool >/dev/null || [ -e $tool ] || { echo "skip: screen reader: $tool is not here"; return; }
    done
    # A Python of the user's own often lacks the bindings that the system's has.
    for python in python3 /usr/bin/python3 none; do
        ! "$python" tests/gui/readers.py probe >"$work/probe" 2>/dev/null || break
    done
    [ "$python" != none ] || { echo "skip: screen reader: python3-gi or gir1.2-atspi-2.0 is not here"; return; }
    dbus-daemon --session --nofork --print-address=1 >"$work/bus" 2>"$work/bus-errors" &
    bus=$!
    pids+=("$bus")
    for _ in $(seq 100); do [ -s "$work/bus" ] && break; sleep 0.05; done
    local started
    started=$(date +%s%N)
    env "DBUS_SESSION_BUS_ADDRESS=$(cat "$work/bus")" "$program" "$work/read" --device virtual --inputs 2 >"$work/told" 2>&1 &
    app=$!
    pids+=("$app")
    DBUS_SESSION_BUS_ADDRESS=$(cat "$work/bus") timeout 60 "$python" tests/gui/readers.py 2>&1 || fail "a screen reader cannot use the window"
    shot 11-screen-reader
    kill -TERM "$app"
    for _ in $(seq 100); do kill -0 "$app" 2>/dev/null || break; sleep 0.1; done
    kill -0 "$app" 2>/dev/null && fail "a window that a screen reader uses does not end"
    for _ in $(seq 100); do [ -z "$(engines)" ] && break; sleep 0.1; done
    kill "$bus"
    [ "$(find "$work/read/audio" -name '*.wav' | wc -l)" = 1 ] || fail "the screen reader has not recorded one track"
    echo "used by a screen reader for $((($(date +%s%N) - started) / 1000000)) ms"
}
with_a_screen_reader

# The server of the screen stands still, and with it the window's thread; a signal ends the window. Then the server of the
# screen is killed. Each time the recording continues, and another window shows it.
export HOME=$work/home2 XDG_CONFIG_HOME=$work/config2
mkdir -p "$HOME/Music" "$XDG_CONFIG_HOME"
gig=$work/gig
wait_for_end() {
    for _ in $(seq 60); do kill -0 "$app" 2>/dev/null || return 0; sleep 0.05; done
    fail "$1"
}
"$program" "$gig" --device virtual --inputs 8 --signal ramp >"$work/told" 2>&1 &
app=$!
pids+=("$app")
wait_for_window
place_window
sleep 1.5
click $record
sleep 2
engine=$(engines)
kill -STOP "$screen"
sleep 2
kill -TERM "$app"
wait_for_end "a signal does not end the window while its screen stands still"
kill -CONT "$screen"
sleep 0.3
grep -q "the recording continues in process $engine" "$work/told" || fail "nobody says that the recording continues"
started=$(date +%s%N)
"$program" >"$work/told2" 2>&1 &
app=$!
pids+=("$app")
wait_for_window
place_window
echo "the recording is shown again after $((($(date +%s%N) - started) / 1000000)) ms"
sleep 1.5
shot 12-again
kill -KILL "$screen"
wait_for_end "the window does not end with its screen"
[ "$(engines)" = "$engine" ] && kill -0 "$engine" || fail "the engine ended with the screen"
cat "$work/told2"
# Whether the window has said that its display is gone, in one line, and the toolkit nothing.
says_one_line() {
    grep -qx "faultless: the display is gone" "$1" || fail "the window does not say that its display is gone"
    [ "$(grep -vc "^faultless: " "$1")" = 0 ] || fail "the toolkit says more than one line"
}
says_one_line "$work/told2"

# The recording is shown by a compositor without a screen, which is killed.
on_wayland() {
    command -v weston >/dev/null || { echo "skip: Wayland: weston is not here"; return; }
    weston --backend=headless-backend.so --use-gl --socket=wayland-9 >"$work/weston" 2>&1 &
    local compositor=$!
    pids+=("$compositor")
    for _ in $(seq 100); do [ -S "$XDG_RUNTIME_DIR/wayland-9" ] && break; sleep 0.1; done
    if ! grep -q "GL renderer: " "$work/weston" || ! kill -0 "$compositor" 2>/dev/null; then
        echo "skip: Wayland: weston does not start without a screen: $(tail -n 1 "$work/weston")"
        return
    fi
    env -u DISPLAY WAYLAND_DISPLAY=wayland-9 "$program" "$gig" >"$work/told4" 2>&1 &
    app=$!
    pids+=("$app")
    for _ in $(seq 40); do
        kill -0 "$app" 2>/dev/null || fail "the window on Wayland ended: $(cat "$work/told4")"
        sleep 0.1
    done
    kill -KILL "$compositor"
    wait_for_end "the window does not end with its compositor"
    [ "$(engines)" = "$engine" ] && kill -0 "$engine" || fail "the engine ended with the compositor"
    says_one_line "$work/told4"
    echo "a window on Wayland ended with its compositor, and the recording continued"
}
on_wayland
: >"$work/number"
exec 4<>"$work/number2"
Xvfb -displayfd 4 -screen 0 1440x930x24 -nolisten tcp >/dev/null 2>&1 &
pids+=($!)
for _ in $(seq 100); do [ -s "$work/number2" ] && break; sleep 0.1; done
DISPLAY=:$(head -n1 "$work/number2")
openbox >/dev/null 2>&1 &
pids+=($!)
sleep 0.5
"$program" "$gig" >"$work/told3" 2>&1 &
app=$!
pids+=("$app")
wait_for_window
place_window
sleep 1.5
shot 13-on-another-screen
# The engine was started on the first screen; folders are opened on the one of the window.
key ctrl+shift+o
for _ in $(seq 100); do [ -s "$work/opened" ] && break; sleep 0.05; done
grep -qx "$DISPLAY $(readlink -f "$gig")/audio" "$work/opened" || fail "the folder is not opened on the screen of the window"
ps -o rss=,comm= -p "$engine" "$app" | sed 's/^/resident KiB: /'
"$program" stop "$gig" || fail "the recording cannot be stopped"
wait_for_end "the window does not end with its engine"
[ -z "$(engines)" ] || fail "an engine is left"
python3 - "$gig" <<'P' || fail "the takes are not whole"
import json, sys
takes = json.load(open(sys.argv[1] + "/session.json"))["takes"]
assert len(takes) == 8 and all(take["state"] == "complete" for take in takes), takes
assert all(take["frames"] > 7 * 48000 and not take.get("losses") for take in takes), takes
for take in takes:
    sound = open(sys.argv[1] + "/" + take["file"] if "/" in take["file"] else sys.argv[1] + "/audio/" + take["file"], "rb").read()[4096:]
    values = [int.from_bytes(sound[at:at + 3], "little") for at in range(0, take["frames"] * 3, 3)]
    wrong = sum((b - a) % (1 << 24) != 1 for a, b in zip(values, values[1:]))
    assert wrong == 0, f"{take['file']}: {wrong} frames do not follow the one before"
print(f"{len(takes)} takes of {takes[0]['frames'] / 48000:.2f} s, exact, while two windows and a screen were ended")
P
echo "passed; pictures in $pictures"
