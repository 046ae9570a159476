#!/usr/bin/env bash
# Runs the acceptance tests: every limit of Faultless, under every stress, on a file system of its own. Needs root.
# Prints one table, a line under a row for each limit that the row missed, and a summary line.
#
#   accept.sh [ROW...]      ROW: a pattern of row names, e.g. 'record 24*' or '*freeze*'; all by default
#
# Environment: SECONDS_EACH (60), FS (ext4; xfs, btrfs), IMAGE_BYTES (6G), PROGRAM (target/release/faultless), WORK (a
# folder on a real disk; one under TMPDIR by default). Takes about 20 minutes.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
here=$(dirname "$(readlink -f "$0")")
seconds=${SECONDS_EACH:-60}
program=$(readlink -f "${PROGRAM:-${CARGO_TARGET_DIR:-$here/../../target}/release/faultless}")
patterns=("$@")
[ $# != 0 ] || patterns=('*')

need_root
need_tools python3 fio pgrep prlimit setpriv fsfreeze findmnt losetup
[ -x "$program" ] || fail "$program: build it first: cargo build --release --locked"
work_on_a_disk
disk=$work/disk log=$work/log
mkdir -p "$log"
passed=0 missed=0 skipped=0
runner= stress= player=

finish() {
    trap '' TERM INT HUP
    local pid
    for pid in $stress $runner $player; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    "$here/image.sh" down "$disk" || true
    # If WORK was given, the output of missed rows remains there.
    [ -n "${WORK-}" ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT HUP

wanted() {
    local pattern
    for pattern in "${patterns[@]}"; do
        # shellcheck disable=SC2254
        case $1 in $pattern) return 0 ;; esac
    done
    return 1
}

# Starts stress $1 for process $2 in a run of $3 seconds. The stress ends before the run.
start_stress() {
    local long=$(($3 > 6 ? $3 - 3 : $3))
    case $1 in
        nothing) : >"$log/stress"; return ;;
        sync) set -- "$here/sync-storm.sh" "$disk" "$long" ;;
        slow) set -- "$here/slow-disk.sh" "$disk" "$long" ;;
        freeze) set -- "$here/freeze.sh" "$disk" $(($3 / 4 + 1)) "$(($3 > 20 ? 8 : 3))" ;;
        squeeze) set -- "$here/squeeze.sh" "$2" "$disk" 30 $(($3 > 12 ? $3 - 9 : $3 / 2)) ;;
    esac
    (
        "$@" >"$log/stress" 2>&1 &
        trap 'kill $! 2>/dev/null; wait $!; exit' TERM
        status=0
        wait $! || status=$?
        echo "status $status" >>"$log/stress"
    ) &
    stress=$!
}

# Prints the process id of the program. Waits until the child of measure.py (process $1) has become the program.
program_of() {
    local pid tries=0
    while :; do
        pid=$(pgrep -P "$1" | head -n 1) && [ -n "$pid" ] && [ "$(readlink "/proc/$pid/exe")" = "$program" ] && break
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || return 1
        sleep 0.05
    done
    echo "$pid"
}

# run NAME STRESS SECONDS CHECK LIMIT... -- ARGUMENTS...: runs one row. CHECK: the session to check, or `-`.
run() {
    local row=$1 what=$2 long=$3 check=$4 limits=() extra=() prefix=() pid status=0
    shift 4
    while [ "$1" != -- ]; do limits+=("$1"); shift; done
    shift
    local probe
    case $what in sync) probe=sync-storm ;; slow) probe=slow-disk ;; nothing) probe= ;; *) probe=$what ;; esac
    if [ -n "$probe" ] && ! "$here/$probe.sh" probe >"$log/probe" 2>&1; then
        skipped=$((skipped + 1))
        echo "skipped: $row: $(sed 's/^skip: //' "$log/probe")"
        return 0
    fi
    # Start the recorder in the group of the squeeze, so that all of its pages are charged to that group.
    [ "$what" != squeeze ] || prefix=("$here/squeeze.sh" "in")
    rm -f "$log/cost"
    (cd "$work" && exec python3 "$here/measure.py" "$log/cost" ${prefix[@]+"${prefix[@]}"} ${as[@]+"${as[@]}"} "$program" "$@") \
        >"$log/out" 2>"$log/err" </dev/null &
    runner=$!
    if pid=$(program_of "$runner"); then
        pause 2
        start_stress "$what" "$pid" "$long"
    fi
    wait "$runner" || status=$?
    runner=
    if [ -n "$stress" ]; then
        wait "$stress" || true
        stress=
        extra+=(--stress "$log/stress")
        limits+=(stress_ran)
    fi
    if [ "$check" != - ]; then
        "$here/check.py" "$check" "$log/out" >"$log/check" 2>&1 || true
        extra+=(--check "$log/check")
    fi
    if "$here/verdict.py" "$row" "$log/out" "$log/err" "$log/cost" ${extra[@]+"${extra[@]}"} ${limits[@]+"${limits[@]}"}; then
        passed=$((passed + 1))
    else
        missed=$((missed + 1))
        mkdir -p "$log/missed/${row// /-}"
        cp "$log"/out "$log"/err "$log"/cost "$log"/stress "$log"/check "$log/missed/${row// /-}/" 2>/dev/null || true
    fi
}

# record INPUTS STRESS SECONDS LIMIT... -- ARGUMENTS...: runs one row that records and checks the session.
record() {
    local inputs=$1 what=$2 long=$3 limits=()
    shift 3
    while [ "$1" != -- ]; do limits+=("$1"); shift; done
    shift
    local row="record $inputs $what${tag:+ $tag}"
    wanted "$row" || return 0
    rm -rf "$disk/session"
    run "$row" "$what" "$long" "$disk/session" "seconds=$long" ${limits[@]+"${limits[@]}"} -- \
        record "$disk/session" --device virtual --inputs "$inputs" --rate 48000 --seconds "$long" --signal ramp --json "$@"
    rm -rf "$disk/session"
}

# Drops the takes of session $1 and the image from the page cache, so that playback reads the disk.
drop_from_cache() {
    sync -f "$disk"
    python3 - "$disk.img" "$1"/audio/* <<'PY'
import os, sys
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
PY
}

"$here/image.sh" up "${FS:-ext4}" "${IMAGE_BYTES:-6G}" "$disk"
as=() tag=
echo "$("$program" --version 2>/dev/null || echo faultless), ${FS:-ext4}, kernel $(uname -r), $(nproc) cores, $seconds s each"
"$here/verdict.py" head

quiet=(exact quiet)
spool=(--period 64 --format s24 --capture-path spool)
for inputs in 24 64; do
    for what in nothing sync slow squeeze freeze; do
        limits=("${quiet[@]}")
        # The slots with sound that waits for the disk stay locked beside the windows.
        if [ "$inputs" = 24 ]; then limits+=(locked=12 rss=60); fi
        case $inputs/$what in
            24/nothing) limits+=(cycle_max=0.5 cycle_mean=10) ;;
            */nothing) limits+=(cycle_max=0.5) ;;
            */squeeze) limits+=(hit) ;;
        esac
        record "$inputs" "$what" "$seconds" "${limits[@]}" -- "${spool[@]}"
    done
done
tag=
record 256 nothing $((seconds < 30 ? seconds : 30)) "${quiet[@]}" cycle_max=0.5 -- "${spool[@]}"

# The limits for CPU time are per minute of sound. A short run has a smaller limit, although its start costs the same.
tag="f32 p128"
record 24 nothing "$seconds" "${quiet[@]}" "cpu=$(awk -v s="$seconds" 'BEGIN {print 1.1 * s / 60}')" \
    "audio_cpu=$(awk -v s="$seconds" 'BEGIN {print 0.4 * s / 60}')" -- --period 128 --format f32 --capture-path spool
tag=

# Playback of takes that were recorded here and are no longer in the page cache.
if wanted "play 24 nothing" || wanted "play 24 sync" || wanted "play 24 slow" || wanted "play 24 squeeze"; then
    "$program" record "$disk/played" --device virtual --inputs 24 --rate 48000 "${spool[@]}" \
        --seconds "$((seconds + 2))" --signal ramp --json >"$log/played" 2>&1 || fail "the session to play could not be recorded: $(tail -n 1 "$log/played")"
    for what in nothing sync slow squeeze; do
        wanted "play 24 $what" || continue
        drop_from_cache "$disk/played"
        limits=("${quiet[@]}" rss=60)
        case $what in
            nothing) limits+=(cycle_max=0.5) ;;
            squeeze) limits+=(hit) ;;
        esac
        run "play 24 $what" "$what" "$seconds" - "${limits[@]}" -- \
            play "$disk/played" --device virtual --period 64 --seconds "$seconds" --json
    done
fi

# An ordinary user without real-time rights and with 8 MiB of locked memory records and plays at once, in two programs.
if wanted "user record 24" || wanted "user play 24"; then
    [ -d "$disk/played" ] || "$program" record "$disk/played" --device virtual --inputs 24 --rate 48000 "${spool[@]}" \
        --seconds "$((seconds + 2))" --signal ramp --json >"$log/played" 2>&1
    chown -R 65534:65534 "$disk/played"
    # Copy the program, because other users may not have access to the folder in which it was built.
    cp "$program" "$disk/faultless"
    chmod 755 "$disk/faultless" "$work" "$disk"
    chmod 1777 "$disk"
    built=$program
    program=$disk/faultless
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all --inh-caps=-all --reset-env
        prlimit --memlock=8388608:8388608 --rtprio=0:0 --)
    rm -rf "$disk/session"
    (cd "$disk" && exec "${as[@]}" "$program" play "$disk/played" --device virtual --period 64 --seconds "$((seconds + 1))" --json) \
        >"$log/play-out" 2>"$log/play-err" </dev/null &
    player=$!
    run "user record 24" nothing "$seconds" "$disk/session" "seconds=$seconds" complete locked=8 rss=60 \
        "says=real-?time|SCHED_FIFO|rtkit" -- \
        record "$disk/session" --device virtual --inputs 24 --rate 48000 --seconds "$seconds" --signal ramp --json "${spool[@]}"
    status=0
    wait "$player" || status=$?
    player=
    printf '{"status":%s}\n' "$status" >"$log/play-cost"
    if "$here/verdict.py" "user play 24" "$log/play-out" "$log/play-err" "$log/play-cost" "says=real-?time|SCHED_FIFO|rtkit"; then
        passed=$((passed + 1))
    else
        missed=$((missed + 1))
    fi
    as=()
    program=$built
fi

printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$missed" "$skipped"
[ "$missed" = 0 ]
