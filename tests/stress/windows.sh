#!/usr/bin/env bash
# Kills, stops and ends windows and engines at random moments while 24 tracks record, in real windows on a screen of its
# own. After each: the recording continues or is recovered, the next window shows it, and every frame is in the takes.
#
#   windows.sh DIR [ROUNDS]   sessions are made in DIR and removed; 100 rounds
#
# PROGRAM names another build than target/release/faultless; faultless-window lies beside it. SEED makes the same choices again.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
root=$(readlink -f "$(dirname "$(readlink -f "$0")")/../..")
[ $# -ge 1 ] || { sed -n '5s/^#   //p' "$0" >&2; exit 2; }
need_tools Xvfb xdotool python3
program=${PROGRAM:-${CARGO_TARGET_DIR:-$root/target}/release/faultless}
[ -x "$program" ] && [ -x "$program-window" ] || fail "$program: build it first: cargo build --release"
program=$(readlink -f "$program")
rounds=${2:-100}
RANDOM=${SEED:-1}
work=$(mktemp -d "$1/windows.XXXXXX")
export HOME=$work/home XDG_CONFIG_HOME=$work/config XDG_RUNTIME_DIR=$work/runtime
mkdir -p "$HOME/Music"
mkdir -m 700 "$XDG_RUNTIME_DIR"
engine() { find "$XDG_RUNTIME_DIR" -name 'engine-*.sock' | sed 's/.*engine-\([0-9]*\)\.sock/\1/' | head -n1; }
screen='' app=''
finish() {
    kill -9 "$app" "$(engine)" "$screen" 2>/dev/null || true
    rm -rf "$work"
    end_pause
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT HUP

exec 3<>"$work/number"
Xvfb -displayfd 3 -screen 0 1440x930x24 -nolisten tcp -noreset >/dev/null 2>&1 &
screen=$!
for _ in $(seq 100); do [ -s "$work/number" ] && break; pause 0.1; done
DISPLAY=:$(head -n1 "$work/number")
export DISPLAY

# Waits, at most for $1 tenths of a second, until the rest of the arguments, a command, succeeds.
until_true() {
    local tenths=$1
    shift
    until "$@" >/dev/null 2>&1; do
        tenths=$((tenths - 1))
        [ "$tenths" -gt 0 ] || return 1
        pause 0.1
    done
}
is_gone() { ! kill -0 "$1" 2>/dev/null; }
# Opens a window of session $1. Prints nothing; `app` and `window` are set.
open() {
    local began
    began=$(date +%s%N)
    "$program" "$1" --device virtual --inputs 24 --signal ramp --period 256 2>>"$work/said" &
    app=$!
    # The shell says nothing about its end.
    disown "$app"
    until_true 100 xdotool search --onlyvisible --pid "$app" || fail "round $round: no window; $(tail -n3 "$work/said")"
    window=$(xdotool search --onlyvisible --pid "$app" | tail -n1)
    shown_ms=$((($(date +%s%N) - began) / 1000000))
}
# Whether the session lists takes that are being recorded. Record lists them in a file of their own first.
records() { grep -qs '"state": "recording"' "$1/session.json" "$1/session.takes.json"; }
listed() { grep -q "\"state\": \"$2\"" "$1/session.json"; }

slowest=0
for round in $(seq "$rounds"); do
    gig=$work/gig-$round
    open "$gig"
    xdotool windowmove "$window" 0 0 windowsize "$window" 1440 900
    pause 1
    xdotool mousemove --window "$window" 516 34 click 1
    until_true 100 records "$gig" || fail "round $round: it does not record"
    pause "$((RANDOM % 3)).$((RANDOM % 10))"
    old=$(engine)
    case $((RANDOM % 6)) in
        0) what="window killed"; kill -9 "$app" ;;
        1) what="window ended by SIGTERM"; kill -TERM "$app"; until_true 50 is_gone "$app" || fail "round $round: SIGTERM" ;;
        2) what="window stopped, then killed"; kill -STOP "$app"; pause 1; kill -9 "$app" ;;
        3) what="window stopped for a second"; kill -STOP "$app"; pause 1; kill -CONT "$app" ;;
        4) what="engine killed"; kill -9 "$old"
           until_true 200 listed "$gig" recovered || fail "round $round: not recovered" ;;
        5) what="engine ended by SIGTERM"; kill -TERM "$old"; until_true 100 is_gone "$old" || fail "round $round: SIGTERM" ;;
    esac
    case $what in
        window*)
            [ "$(engine)" = "$old" ] && kill -0 "$old" || fail "round $round: $what: the engine has ended"
            open "$gig"
            [ "$slowest" -gt "$shown_ms" ] || slowest=$shown_ms
            pause 0.5
            [ "$(engine)" = "$old" ] || fail "round $round: $what: there is another engine" ;;
    esac
    if [ -n "$(engine)" ]; then within 60 "$program" stop "$gig" >/dev/null || fail "round $round: $what: stop"; fi
    kill -9 "$app" 2>/dev/null || true
    python3 - "$gig" <<'P' || fail "round $round: $what: the takes are not whole"
import json, sys
folder = sys.argv[1]
takes = json.load(open(folder + "/session.json"))["takes"]
assert len(takes) == 24, f"{len(takes)} takes"
assert len({take["frames"] for take in takes}) == 1, "takes of different lengths"
for take in takes:
    assert take["state"] in ("complete", "recovered"), take
    lost = sum(loss["frames"] for loss in take.get("losses", []))
    assert lost == 0, f"{lost} frames lost: {take['losses']}"
    file = take["file"] if "/" in take["file"] else "audio/" + take["file"]
    sound = open(folder + "/" + file, "rb").read()[4096:]
    values = [int.from_bytes(sound[at:at + 3], "little") for at in range(0, take["frames"] * 3, 3)]
    wrong = sum((b - a) % (1 << 24) != 1 for a, b in zip(values, values[1:]))
    assert wrong == 0, f"{file}: {wrong} frames do not follow the one before"
P
    rm -rf "$gig"
    echo "windows: round $round: $what: 24 takes, 0 frames lost"
done
echo "windows: $rounds rounds, 0 frames lost; a recording was shown again after $slowest ms at most"
