#!/usr/bin/env bash
# Puts PulseAudio into a folder, for the tests: Debian's package excludes PipeWire's ALSA plugin, which other tests need. Nothing
# of the system changes.
#
#   packaging/pulseaudio.sh FOLDER    afterwards FOLDER/bin/pulseaudio runs
set -euo pipefail

folder=$1
if [ -x "$folder/bin/pulseaudio" ]; then exit 0; fi
made=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$made"' EXIT
# The archive is downloaded by this user into a folder of its own.
(cd "$made" && timeout --foreground -k 10 300 apt-get download -qq -o APT::Sandbox::User="$(id -un)" pulseaudio)
dpkg -x "$made"/pulseaudio_*.deb "$made/root"
rm "$made"/pulseaudio_*.deb
library=$(cd "$made/root" && echo usr/lib/*/pulseaudio)
modules=$(cd "$made/root" && echo usr/lib/pulse-*/modules)
mkdir -p "$made/root/bin"
cat >"$made/root/bin/pulseaudio" <<END
#!/bin/sh
root=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")
export LD_LIBRARY_PATH="\$root/$library:\$root/$modules"
exec "\$root/usr/bin/pulseaudio" --dl-search-path="\$root/$modules" "\$@"
END
chmod +x "$made/root/bin/pulseaudio"
"$made/root/bin/pulseaudio" --version >/dev/null
rm -rf "$folder"
mv "$made/root" "$folder"
