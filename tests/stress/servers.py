#!/usr/bin/env python3
"""Plays and records through real sound servers and snd-aloop, compares every sample, and prints a table.

    servers.py [SERVER...]

SERVER: pipewire-64, pipewire-256, pipewire-1024, pulseaudio, jack, aloop; all by default. Each server runs in a folder of its
own and ends with its rows; a server that is not installed is skipped by name. 'aloop' is the kernel's card of this name:
modprobe snd-aloop.

Environment: PROGRAM (target/debug/faultless), CHANNELS ("2 8 18 24 32"), TRACKS ("2 24"), PERIODS ("0", the program's choice;
frames), ROUNDS (3).

Recording: another program plays the ramp into the server, and every take is compared with it by check.py. Playing: two tracks
have the ramp, the others silence, and the monitor of the server is recorded by arecord. A row is repeated up to ROUNDS times
until it is exact, because a busy machine makes a server leave out blocks; the best round counts, and the table says which.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
from array import array

HERE = os.path.dirname(os.path.realpath(__file__))
PROGRAM = os.path.realpath(
    os.environ.get("PROGRAM", os.path.join(os.environ.get("CARGO_TARGET_DIR", HERE + "/../../target"), "debug/faultless")))
CHANNELS = [int(n) for n in os.environ.get("CHANNELS", "2 8 18 24 32").split()]
TRACKS = [int(n) for n in os.environ.get("TRACKS", "2 24").split()]
PERIODS = [int(n) for n in os.environ.get("PERIODS", "0").split()]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
RATE = 48000
FRAMES = 2 * RATE
STEP = 1000003
WHOLE = 1 << 24
UNMIXED = "stream.dont-remix = true channelmix.disable = true"


class Missing(Exception):
    """A server that is not here."""


def ramp(channel, frames):
    return [((n + channel * STEP) % WHOLE) - (1 << 23) for n in range(frames)]


def raw_ramp(path, channels, frames, is_float):
    """Writes the ramp as interleaved samples of four bytes."""
    samples = array("f" if is_float else "i", bytes(4 * channels * frames))
    for channel in range(channels):
        column = ramp(channel, frames)
        if is_float:
            samples[channel::channels] = array("f", [value / 8388608.0 for value in column])
        else:
            samples[channel::channels] = array("i", [value << 8 for value in column])
    with open(path, "wb") as file:
        samples.tofile(file)


class Server:
    """A server in a folder of its own."""

    is_float = False
    delay = 0.5
    # Of every server, so that one that does not start ends too.
    processes = []

    def __init__(self, folder):
        self.folder = folder
        self.env = {key: value for key, value in os.environ.items()
                    if key not in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "PIPEWIRE_ALSA", "PIPEWIRE_PROPS")}

    def spawn(self, name, command, env=None):
        log = open(os.path.join(self.folder, name + ".log"), "w")
        process = subprocess.Popen(command, env=env or self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def write_pcms(self, text):
        path = os.path.join(self.folder, "asound.conf")
        with open(path, "w") as file:
            file.write("</usr/share/alsa/alsa.conf>\n" + text)
        self.env["ALSA_CONFIG_PATH"] = path

    def for_source(self):
        return self.env

    def for_monitor(self):
        return self.env


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(what, is_ready):
    deadline = time.monotonic() + 40
    while not is_ready():
        if time.monotonic() > deadline:
            raise Missing(what + " did not start")
        time.sleep(0.05)


def needs(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Missing(program + " is not installed")


class PipeWire(Server):
    def __init__(self, folder, quantum):
        super().__init__(folder)
        needs("pipewire", "wireplumber", "pw-cli")
        config = os.path.join(folder, "config")
        for part in ("pipewire", "wireplumber/main.lua.d", "wireplumber/bluetooth.lua.d"):
            os.makedirs(os.path.join(config, part))
        with open("/usr/share/pipewire/pipewire.conf") as file:
            given = file.read()
        # The distribution makes blocks long in a virtual machine.
        begin = given.index("vm.overrides = {")
        given = given[:begin] + given[given.index("}", begin) + 1:]
        sinks = "".join(
            "{ factory = adapter args = { factory.name = support.null-audio-sink node.name = n%d media.class = Audio/Sink "
            "object.linger = true audio.rate = 48000 audio.channels = %d audio.position = [ %s ] "
            "session.suspend-timeout-seconds = 0 } }\n" % (n, n, " ".join("AUX%d" % c for c in range(n)))
            for n in sorted({2, *CHANNELS}))
        given = given.replace("context.properties = {", "context.properties = { default.clock.rate = 48000 "
                              "default.clock.quantum = %d default.clock.min-quantum = 32 default.clock.max-quantum = 2048 "
                              "support.dbus = false\n" % quantum, 1)
        given = given.replace("context.objects = [", "context.objects = [\n" + sinks, 1)
        with open(os.path.join(config, "pipewire/pipewire.conf"), "w") as file:
            file.write(given)
        with open(os.path.join(config, "wireplumber/main.lua.d/90-enable-all.lua"), "w") as file:
            file.write('default_access.properties = {}\ndefault_access.enable()\n'
                       'device_defaults.properties["use-persistent-storage"] = false\ndevice_defaults.enable()\n'
                       'load_module("si-node"); load_module("si-audio-adapter"); load_module("si-standard-link")\n'
                       'load_script("create-item.lua")\n')
        open(os.path.join(config, "wireplumber/bluetooth.lua.d/90-enable-all.lua"), "w").close()
        for name, part in (("CONFIG", "config"), ("STATE", "state"), ("CACHE", "cache")):
            self.env["XDG_%s_HOME" % name] = os.path.join(folder, part)
        self.env["XDG_RUNTIME_DIR"] = self.env["PIPEWIRE_RUNTIME_DIR"] = folder
        self.write_pcms("".join('pcm.n%d { type pipewire playback_node "n%d" capture_node "n%d" }\n' % (n, n, n)
                                for n in sorted({2, *CHANNELS})))
        self.spawn("pipewire", ["pipewire"])
        until("pipewire", lambda: os.path.exists(os.path.join(folder, "pipewire-0")))
        self.spawn("wireplumber", ["wireplumber"])
        clients = ["pw-cli", "ls", "Client"]
        until("wireplumber", lambda: b"WirePlumber" in subprocess.run(clients, env=self.env, capture_output=True).stdout)
        time.sleep(1.5)

    def source(self, channels):
        return "n%d" % channels

    inputs = source

    def output(self):
        return "n2"

    monitor = output

    def for_source(self):
        return {**self.env, "PIPEWIRE_ALSA": "{ %s }" % UNMIXED}

    def for_monitor(self):
        return {**self.env, "PIPEWIRE_ALSA": "{ stream.capture.sink = true %s }" % UNMIXED}

    def for_recorder(self):
        # The program itself keeps the channels apart.
        return {**self.env, "PIPEWIRE_PROPS": "{ stream.capture.sink = true }"}


class Pulse(Server):
    delay = 2.5

    def __init__(self, folder):
        super().__init__(folder)
        needs("pulseaudio")
        home = os.path.join(folder, "config/pulse")
        os.makedirs(home)
        with open(os.path.join(home, "daemon.conf"), "w") as file:
            file.write("enable-remixing = no\nflat-volumes = no\ndefault-sample-format = s32le\n")
        socket = os.path.join(folder, "native")
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes", "--use-pid-file=no"]
        pcms = ""
        # As the plugin names the channels of its streams. Channels of other names would be silent.
        named = ["front-left", "front-right", "rear-left", "rear-right", "front-center", "lfe", "side-left", "side-right"]
        for n in sorted({2, *CHANNELS}):
            places = ",".join((named + ["aux%d" % c for c in range(24)])[:n])
            command += ["-L", "module-null-sink sink_name=n%d rate=48000 channels=%d channel_map=%s format=s32le" % (n, n, places)]
            pcms += "pcm.n%d { type pulse device n%d }\npcm.m%d { type pulse device n%d.monitor }\n" % (n, n, n, n)
        command += ["-L", "module-native-protocol-unix auth-anonymous=1 socket=" + socket]
        self.env.update(HOME=folder, XDG_RUNTIME_DIR=folder, XDG_CONFIG_HOME=os.path.join(folder, "config"))
        self.spawn("pulseaudio", command)
        until("pulseaudio", lambda: os.path.exists(socket))
        self.env.update(PULSE_SERVER="unix:" + socket, PULSE_COOKIE=os.path.join(folder, "cookie"))
        self.write_pcms(pcms)

    def source(self, channels):
        return "n%d" % channels

    def inputs(self, channels):
        return "m%d" % channels

    def output(self):
        return "n2"

    def monitor(self):
        return "m2"

    def for_recorder(self):
        return self.env


class Jack(Server):
    is_float = True

    def __init__(self, folder):
        super().__init__(folder)
        needs("jackd", "jack_lsp")
        name = "faultless-%d" % os.getpid()
        clock = ["-R", "-P", "60"] if os.geteuid() == 0 else ["-r"]
        self.env.update(JACK_NO_AUDIO_RESERVATION="1", JACK_DEFAULT_SERVER=name, JACK_NO_START_SERVER="1")
        # Each channel of a source is a port of its own client; the plugin wants it connected.
        self.write_pcms("".join(
            "pcm.s%d { type jack name s%d playback_ports { %s } }\n" % (
                n, n, " ".join("%d system:playback_%d" % (c, c % 2 + 1) for c in range(n)))
            for n in CHANNELS) + "pcm.m2 { type jack capture_ports { 0 system:monitor_1 1 system:monitor_2 } }\n")
        self.spawn("jackd", ["jackd", "-n", name, *clock, "-d", "dummy", "-r", "48000", "-p", "256", "-C", "2", "-P", "2", "-m"])
        until("jackd", lambda: b"system" in subprocess.run(["jack_lsp"], env=self.env, capture_output=True).stdout)

    def source(self, channels):
        return "s%d" % channels

    def inputs(self, channels):
        return "jack:CLIENT=s%d" % channels

    def output(self):
        return "jack:CLIENT=system"

    def monitor(self):
        return "m2"

    def for_recorder(self):
        return self.env


class Aloop(Server):
    """A card of the kernel that returns at device 1 what is played to device 0. It needs no process."""

    def __init__(self, folder):
        super().__init__(folder)
        if not os.path.exists("/proc/asound/Loopback"):
            raise Missing("snd-aloop is not loaded")
        # Each use has a cable of its own: one end takes the channels and the format of the other.
        self.write_pcms("".join("pcm.%s { type hw card Loopback device %d subdevice %d }\n" % pcm for pcm in (
            ("source", 0, 0), ("inputs", 1, 0), ("output", 0, 1), ("monitor", 1, 1))))

    def source(self, channels):
        return "source"

    def inputs(self, channels):
        return "inputs"

    def output(self):
        return "output"

    def monitor(self):
        return "monitor"

    def for_recorder(self):
        return self.env


def faultless(arguments, env):
    """Runs the program; returns its exit status, its last line as JSON, and what it said."""
    env = {**env, "XDG_CONFIG_HOME": os.path.join(env.get("HOME_OF_ROW", "/nonexistent"), "config")}
    ended = subprocess.run([PROGRAM, *arguments], env=env, capture_output=True, text=True, timeout=120)
    lines = ended.stdout.strip().splitlines()
    return ended.returncode, json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}, ended.stderr


def row_record(server, folder, channels, period):
    raw = os.path.join(folder, "source.raw")
    raw_ramp(raw, channels, 12 * RATE, server.is_float)
    command = ["aplay", "-q", "-D", server.source(channels), "-f", "FLOAT_LE" if server.is_float else "S32_LE",
               "-c", str(channels), "-r", str(RATE), "-t", "raw", "--period-size=1024", "--buffer-size=16384", raw]
    source = server.spawn("source", command, server.for_source())
    time.sleep(1.5)
    if source.poll() is not None:
        with open(os.path.join(server.folder, "source.log")) as file:
            return False, "the source does not play: " + file.read().strip()[:100], 0
    session, summary = os.path.join(folder, "session"), os.path.join(folder, "summary.json")
    arguments = ["record", session, "--json", "--device", "alsa:%s,-" % server.inputs(channels), "--inputs", str(channels),
                 "--seconds", "3"] + (["--period", str(period)] if period else [])
    status, told, said = faultless(arguments, server.for_recorder())
    end(source)
    if status != 0:
        return False, "exit %d: %s" % (status, (said.strip().splitlines() or ["?"])[-1][:100]), 0
    with open(summary, "w") as file:
        file.write(json.dumps(told) + "\n")
    found = subprocess.run([sys.executable, HERE + "/check.py", session, summary], capture_output=True, text=True)
    checked = json.loads(found.stdout.strip().splitlines()[-1])
    wrong, silent = checked.get("wrong"), checked.get("silent")
    thread = told["audio_thread"]
    faults = thread["minor_faults"] + thread["major_faults"]
    silence = max(silent) if isinstance(silent, list) and silent else silent
    text = "%d takes of %s frames, wrong %s, lost %d, silent %s, faults %d, period %d" % (
        len(told["takes"]), told["frames"], wrong, told["frames_lost"], silence, faults, told["period"])
    if checked.get("errors"):
        text += ": " + str(checked["errors"][0])[:160]
    return wrong == 0 and told["frames_lost"] == 0 and not silence and faults == 0 and not checked.get("errors"), text, -(wrong or 0)


def session_of(folder, tracks, base):
    """A session of which two tracks have the ramp, left and right, and the others silence."""
    path = os.path.join(base, "ramp-%d.wav" % tracks)
    if not os.path.exists(path):
        samples = bytearray(3 * tracks * FRAMES)
        for channel in range(2):
            for byte in range(3):
                samples[3 * channel + byte::3 * tracks] = bytes(
                    (value >> (8 * byte)) & 255 for value in ramp(channel, FRAMES))
        with wave.open(path, "wb") as file:
            file.setnchannels(tracks)
            file.setsampwidth(3)
            file.setframerate(RATE)
            file.writeframes(bytes(samples))
    session = os.path.join(folder, "session")
    arguments = ["record", session, "--device", "virtual:free", "--inputs", str(tracks), "--signal", "file=" + path,
                 "--seconds", str(FRAMES // RATE), "--json"]
    status, _, said = faultless(arguments, os.environ)
    assert status == 0, said
    with open(os.path.join(session, "session.json")) as file:
        text = file.read()
    for number, pan in ((1, "-1.0"), (2, "1.0")):
        at = text.index('"name": "In %d"' % number)
        text = text[:at] + text[at:].replace('"pan": 0.0', '"pan": ' + pan, 1)
    with open(os.path.join(session, "session.json"), "w") as file:
        file.write(text)
    return session


def row_play(server, folder, tracks, period, base):
    session = session_of(folder, tracks, base)
    raw = os.path.join(folder, "heard.raw")
    listener = server.spawn("listener", [
        "arecord", "-q", "-D", server.monitor(), "-t", "raw", "-f", "FLOAT_LE" if server.is_float else "S32_LE", "-c", "2",
        "-r", str(RATE), "--period-size=1024", "--buffer-size=16384", raw], server.for_monitor())
    until("the listener", lambda: os.path.exists(raw) and os.path.getsize(raw) > 0)
    arguments = ["play", session, "--json", "--device", "alsa:-," + server.output()]
    status, told, said = faultless(arguments + (["--period", str(period)] if period else []), server.env)
    time.sleep(server.delay)
    end(listener)
    heard = array("f" if server.is_float else "i")
    with open(raw, "rb") as file:
        data = file.read()
    heard.frombytes(data[:len(data) // 8 * 8])
    if server.is_float:
        heard = array("i", [round(value * 8388608.0) for value in heard])
    else:
        heard = array("i", [value >> 8 for value in heard])
    left, right = heard[0::2], heard[1::2]
    first = next((n for n in range(len(left)) if left[n] or right[n]), None)
    if status != 0 or first is None:
        return False, "exit %d, nothing heard: %s" % (status, (said.strip().splitlines() or ["?"])[-1][:100]), 0
    # The transport fades in.
    steady = first + 1000
    longest = 0
    begin = left[steady] + (1 << 23)
    while (steady + longest < len(left) and left[steady + longest] == begin + longest - (1 << 23)
           and right[steady + longest] == (begin + longest + STEP) % WHOLE - (1 << 23)):
        longest += 1
    text = "%d of %d frames exact in one piece, unheard %s, xruns %s, period %s" % (
        longest, FRAMES, told.get("frames_unheard"), told.get("playback_xruns", told.get("xruns")), told.get("period"))
    # The end fades out, and the first thousand frames are left out above.
    return FRAMES - 3000 < longest, text, longest


def rows(name, server, base):
    for what, counts in (("record", CHANNELS), ("play", TRACKS)):
        for count in counts:
            for period in PERIODS:
                best = None
                for turn in range(1, ROUNDS + 1):
                    folder = tempfile.mkdtemp(dir=base)
                    try:
                        if what == "record":
                            good, text, rank = row_record(server, folder, count, period)
                        else:
                            good, text, rank = row_play(server, folder, count, period, base)
                    finally:
                        shutil.rmtree(folder, ignore_errors=True)
                    if best is None or good or rank > best[2]:
                        best = (good, text, rank, turn)
                    if good:
                        break
                verdict = "exact" if best[0] else "NOT EXACT"
                print("| %s | %s %d | %s, round %d | %s |" % (name, what, count, verdict, best[3], best[1]), flush=True)


def main():
    known = {
        "pipewire-64": lambda folder: PipeWire(folder, 64),
        "pipewire-256": lambda folder: PipeWire(folder, 256),
        "pipewire-1024": lambda folder: PipeWire(folder, 1024),
        "pulseaudio": Pulse,
        "jack": Jack,
        "aloop": Aloop,
    }
    wanted = sys.argv[1:] or list(known)
    if unknown := [name for name in wanted if name not in known]:
        sys.exit("unknown: %s; known: %s" % (" ".join(unknown), " ".join(known)))
    print("| server | what | verdict | figures |\n|---|---|---|---|", flush=True)
    for name in wanted:
        with tempfile.TemporaryDirectory() as base:
            folder = os.path.join(base, "server")
            os.mkdir(folder, 0o700)
            try:
                rows(name, known[name](folder), base)
            except Missing as reason:
                print("| %s | | skipped | %s |" % (name, reason), flush=True)
            finally:
                while Server.processes:
                    end(Server.processes.pop())


if __name__ == "__main__":
    main()
