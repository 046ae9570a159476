#!/usr/bin/env bash
# Runs every target of tests/fuzz with libFuzzer, one after the other. The targets read files and texts of other programs.
# Prints a table and every finding with the file that shows it. The exit status is 0 if there is no finding.
#
#   fuzz.sh [EXECUTIONS]   number of executions per target, 10,000,000 by default
#   fuzz.sh HOURSh         hours for all targets together, for example 'fuzz.sh 8h'
#
# Environment: TARGETS (names, separated by blanks; all), SANITIZER (address; 'none' is faster and sees only panics), WORK (the
# folder that keeps the learned inputs for the next run; tests/fuzz/target). Installs cargo-fuzz below WORK if it is missing.
# Copy findings to tests/fuzz/corpus/TARGET, because the ordinary tests run that corpus.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
amount=${1:-10000000}
hours=
case $amount in
    *[!0-9]*h | h | '') sed -n '5,6s/^#   //p' "$0" >&2; exit 2 ;;
    *h) hours=${amount%h} ;;
    *[!0-9]*) sed -n '5,6s/^#   //p' "$0" >&2; exit 2 ;;
esac
need_tools cargo c++
work=${WORK:-$root/tests/fuzz/target}
mkdir -p "$work"
work=$(readlink -f "$work")
sanitizer=${SANITIZER:-address}
crate=$root/tests/fuzz
read -r -a targets <<<"${TARGETS:-$(cd "$crate/fuzz_targets" && echo *.rs | sed 's/\.rs//g')}"

# libFuzzer needs flags of nightly compilers. With this variable a stable compiler accepts them.
export RUSTC_BOOTSTRAP=1
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "$name: installing cargo-fuzz below $work" >&2
    cargo install --quiet --locked --root "$work/tool" cargo-fuzz
    export PATH="$work/tool/bin:$PATH"
fi
echo "$name: building the targets, sanitizer: $sanitizer" >&2
(cd "$crate" && cargo fuzz build --fuzz-dir . --sanitizer "$sanitizer" --target-dir "$work" >&2)
bins=$(echo "$work"/*-linux-*/release)

child=
stop() { [ -z "$child" ] || kill "$child" 2>/dev/null || true; }
trap stop EXIT
trap 'exit 143' TERM
trap 'exit 130' INT HUP

if [ -n "$hours" ]; then
    limit=-max_total_time=$((hours * 3600 / ${#targets[@]}))
else
    limit=-runs=$amount
fi
found=0
printf '%-10s %12s %9s %9s %9s\n' target executions 'a second' 'peak MB' findings
for target in "${targets[@]}"; do
    [ -x "$bins/$target" ] || fail "$target: no such target"
    mkdir -p "$work/learnt/$target" "$work/findings/$target"
    log=$work/$target.log
    dict=()
    [ ! -f "$crate/$target.dict" ] || dict=("-dict=$crate/$target.dict")
    before=$(find "$work/findings/$target" -type f | wc -l)
    status=0
    # The limits of memory and time are far above what any input needs.
    ASAN_OPTIONS=detect_odr_violation=0 "$bins/$target" "$work/learnt/$target" "$crate/corpus/$target" "$limit" \
        -max_len=16384 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -detect_leaks=0 -print_final_stats=1 \
        -artifact_prefix="$work/findings/$target/" "${dict[@]}" >"$log" 2>&1 &
    child=$!
    wait "$child" || status=$?
    child=
    number() { awk -v key="stat::$1:" '$1 == key {n = $2} END {print n + 0}' "$log"; }
    after=$(find "$work/findings/$target" -type f | wc -l)
    new=$((after - before))
    executions=$(number number_of_executed_units)
    printf '%-10s %12s %9s %9s %9s\n' "$target" "$executions" "$(number average_exec_per_sec)" "$(number peak_rss_mb)" "$new"
    if [ "$status" != 0 ] || [ "$new" != 0 ]; then
        found=$((found + 1))
        { grep -E 'panicked at|ERROR: |SUMMARY: ' -A 2 "$log" | head -n 12 || true; echo "see $log and $work/findings/$target"; } | sed 's/^/    /'
    elif [ -z "$hours" ] && [ "$executions" -lt "$amount" ]; then
        found=$((found + 1))
        echo "    ended before its time: see $log"
    fi
done
[ "$found" = 0 ] || { echo "$found targets with findings"; exit 1; }
echo "no finding"
