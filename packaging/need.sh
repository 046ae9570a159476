# Installs what is missing, and nothing else. Sourced, not run.

PATH=$PATH:/usr/sbin:/sbin

say() { echo "faultless: $*" >&2; }

# Seconds that apt-get may take.
install_seconds=900

# missing TEST:PACKAGE...: prints the packages whose test fails. A test is a command that must exist, or `file=NAME` for
# a file below a folder of libraries, or `lib=NAME` for a library that pkg-config must know, or `links` for a C compiler that makes a
# program (without the C library's headers and start files a compiler can't), or `certificates` for those of https.
missing() {
    local entry test
    for entry in "$@"; do
        test=${entry%%:*}
        case $test in
            # A library that is loaded while the program runs.
            file=*) find -H /usr/lib /usr/lib64 /lib /lib64 -path "*/${test#file=}" 2>/dev/null | grep -q . ;;
            lib=*) pkg-config --exists "${test#lib=}" 2>/dev/null ;;
            links) printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' | cc -x c - -o /dev/null 2>/dev/null ;;
            certificates)
                [ -s /etc/ssl/certs/ca-certificates.crt ] || [ -s /etc/pki/tls/certs/ca-bundle.crt ] ||
                    [ -s /etc/ssl/ca-bundle.pem ] || [ -s /etc/ssl/cert.pem ]
                ;;
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
    install_quietly() {
        timeout --foreground -k 10 $install_seconds $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages </dev/null >&2
    }
    install_quietly 2>/dev/null || { timeout --foreground -k 10 $install_seconds $sudo apt-get update -qq </dev/null >&2 && install_quietly; } || {
        say "apt-get could not install: $(missing "$@" | tr '\n' ' ')"
        return 1
    }
    packages=$(missing "$@" | tr '\n' ' ')
    [ -z "$packages" ] || say "still missing after the installation: $packages"
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

# Packages for the build. Cargo downloads the crates by https, which needs the certificates.
build_needs='lib=alsa:libasound2-dev pkg-config:pkg-config cc:gcc links:libc6-dev certificates:ca-certificates'

# Packages with the libraries that the window loads while it runs.
window_needs='file=libEGL.so.1:libegl1 file=libGL.so.1:libgl1 file=libX11-xcb.so.1:libx11-xcb1
    file=libXcursor.so.1:libxcursor1 file=libXi.so.6:libxi6 file=libxkbcommon-x11.so.0:libxkbcommon-x11-0
    file=dri/swrast_dri.so:libgl1-mesa-dri'
