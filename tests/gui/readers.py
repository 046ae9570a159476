#!/usr/bin/env python3
"""Uses a window of Faultless over AT-SPI, as a screen reader does, and nothing else. tests/gui/see.sh starts the window.

    readers.py         needs DBUS_SESSION_BUS_ADDRESS; prints what was done, or fails with the reason
    readers.py probe   exits with 77 and the reason where something is missing
"""

import sys
import time

try:
    import gi

    gi.require_version("Atspi", "2.0")
    from gi.repository import Atspi, Gio, GLib
except (ImportError, ValueError) as missing:
    print(f"skip: {missing}")
    sys.exit(77)

SECONDS = 15
spoken = []


def enable():
    """Tells the session that a screen reader runs. The toolkit builds its tree only then."""
    bus = Gio.bus_get_sync(Gio.BusType.SESSION)
    for name in ("IsEnabled", "ScreenReaderEnabled"):
        arguments = GLib.Variant("(ssv)", ("org.a11y.Status", name, GLib.Variant("b", True)))
        bus.call_sync(
            "org.a11y.Bus", "/org/a11y/bus", "org.freedesktop.DBus.Properties", "Set", arguments, None, 0, 5000, None
        )


def until(what, found):
    """Waits for a result, and handles events meanwhile."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        while GLib.MainContext.default().iteration(False):
            pass
        try:
            result = found()
        except GLib.Error:
            # A control that has gone while it was read.
            result = None
        if result:
            return result
        time.sleep(0.05)
    raise SystemExit(f"not within {SECONDS} s: {what}; spoken: {spoken}")


def nodes(node):
    yield node
    for at in range(node.get_child_count()):
        child = node.get_child_at_index(at)
        if child is not None:
            yield from nodes(child)


def window():
    desktop = Atspi.get_desktop(0)
    for at in range(desktop.get_child_count()):
        application = desktop.get_child_at_index(at)
        for frame in nodes(application) if application else ():
            if frame.get_role_name() == "frame" and (frame.get_name() or "").endswith(" - Faultless"):
                return frame
    return None


def has(node, state):
    return node.get_state_set().contains(state)


def main():
    enable()
    listener = Atspi.EventListener.new(lambda event: spoken.append(str(event.any_data or event.source.get_name())))
    listener.register("object:announcement")
    frame = until("a window with a name", window)
    named = {}

    def control(name):
        """The control of a name. There is exactly one."""
        found = [node for node in nodes(frame) if node.get_name() == name]
        named.update({name: found[0]} if len(found) == 1 else {})
        return found[0] if len(found) == 1 else None

    roles = {
        "Record": "toggle button",
        "Stop": "push button",
        "Time": "push button",
        "Health": "status bar",
        "Track In 1": "list item",
        "Arm In 2": "toggle button",
        "Gain In 1": "slider",
        "Pan In 2": "slider",
        "Meter In 2": "level bar",
        "Residency": "page tab",
    }
    for name, role in roles.items():
        until(f"one control named {name}", lambda: control(name))
        assert named[name].get_role_name() == role, (name, named[name].get_role_name())
    unnamed = [node for node in nodes(frame) if has(node, Atspi.StateType.FOCUSABLE) and not node.get_name()]
    assert not unnamed, [(node.get_role_name(), node.get_index_in_parent()) for node in unnamed]

    def press(name):
        assert Atspi.Action.do_action(named[name], 0), name

    press("Arm In 2")
    until("a track is armed", lambda: has(named["Arm In 2"], Atspi.StateType.PRESSED))
    Atspi.Value.set_current_value(named["Gain In 1"], -6.0)
    until("a gain is set", lambda: abs(Atspi.Value.get_current_value(named["Gain In 1"]) + 6) < 0.01)
    until("the meter has a level", lambda: named["Meter In 2"].get_description().endswith(" dB"))

    press("Record")
    until("it records", lambda: has(named["Record"], Atspi.StateType.PRESSED))
    before = named["Time"].get_description()
    until("the time runs", lambda: named["Time"].get_description() > before)
    until("the start is spoken", lambda: "Recording 1 track." in spoken)
    press("Stop")
    until("the lock is spoken", lambda: any("Press Stop again" in text for text in spoken))
    time.sleep(0.6)
    assert has(named["Record"], Atspi.StateType.PRESSED), "one press has ended a locked recording"
    press("Stop")
    until("it has stopped", lambda: not has(named["Record"], Atspi.StateType.PRESSED))
    until("the end is spoken", lambda: any("Recording has ended." in text for text in spoken))
    region = "Region In 2, 00:00:00.000 to "
    until("the region is in the tree", lambda: any((node.get_name() or "").startswith(region) for node in nodes(frame)))
    print(f"a screen reader armed, set a gain, recorded and stopped; it heard {len(spoken)} sentences")


if __name__ == "__main__" and sys.argv[1:] != ["probe"]:
    main()
