# Installs what is missing, and nothing else. Sourced, not run.

PATH=$PATH:/usr/sbin:/sbin

say() { echo "faultless: $*" >&2; }

# missing TEST:PACKAGE...: prints the packages whose test fails. A test is a command that must exist, or
# `file=NAME` for a file below /usr/lib, or `lib=NAME` for a library that pkg-config must know.
missing() {
    local entry test
    for entry in "$@"; do
        test=${entry%%:*}
        case $test in
            # A library that is loaded while the program runs.
            file=*) find /usr/lib /lib -path "*/${test#file=}" 2>/dev/null | grep -q . ;;
            lib=*) pkg-config --exists "${test#lib=}" 2>/dev/null ;;
            *) command -v "$test" >/dev/null 2>&1 ;;
        esac || echo "${entry#*:}"
    done | sort -u
}

# need TEST:PACKAGE...: installs what is missing with apt-get, by sudo where we are not root.
need() {
    local packages sudo=
    packages=$(missing "$@" | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        say "please install, by your system's names for these Debian packages: $packages"
        return 1
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            say "please install as root: apt-get install $packages"
            return 1
        fi
        sudo=sudo
    fi
    say "installing with ${sudo:+sudo }apt-get: $packages"
    # The package lists of a fresh machine are empty or old: fetched only where the first try finds nothing.
    # shellcheck disable=SC2086
    install_quietly() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >&2; }
    install_quietly 2>/dev/null || { $sudo apt-get update -qq >&2 && install_quietly; } || {
        say "apt-get could not install: $packages"
        return 1
    }
}

need_rust() {
    command -v cargo >/dev/null 2>&1 && return 0
    if [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH=$HOME/.cargo/bin:$PATH
        return 0
    fi
    say "a Rust toolchain is needed, 1.95 or newer: https://rustup.rs"
    return 1
}

# What building needs.
build_needs='lib=alsa:libasound2-dev pkg-config:pkg-config cc:gcc'
