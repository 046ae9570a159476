#!/usr/bin/env python3
"""Uses a window of Faultless with the mouse. AT-SPI says where a control is and what it shows.

    mouse.py STEP...   needs DISPLAY, DBUS_SESSION_BUS_ADDRESS and xdotool; prints what each control showed, or fails with
                       the reason

    shows NAME TEXT    waits until the description of the control NAME contains TEXT
    reaches NAME TEXT  waits until the description is TEXT, or comes behind it in the order of the alphabet
    on NAME, off NAME  waits until the toggle button NAME is pressed, or is not
    click NAME         moves the pointer to NAME, and clicks once
    press NAME         does the same, and keeps the button of the mouse down
    release            lets the button of the mouse go
"""

import subprocess
import sys

import readers
from gi.repository import Atspi

# A program whose window a busy machine draws in software may be slow.
readers.SECONDS = 60


def xdotool(*words):
    subprocess.run(["xdotool", *map(str, words)], check=True)


class Window:
    def __init__(self):
        readers.enable()
        self.frame = readers.until("a window with a name", readers.window)

    def control(self, name):
        """The control of a name. There is exactly one."""
        found = [node for node in readers.nodes(self.frame) if node.get_name() == name]
        return found[0] if len(found) == 1 else None

    def await_control(self, name, what, is_so):
        """Waits until one control of the name is as it should be, and prints its description."""
        seen = []

        def found():
            node = self.control(name)
            if node is None:
                return None
            description = node.get_description() or ""
            seen[:] = [description]
            return (node, description) if is_so(node, description) else None

        try:
            node, description = readers.until(f"{name} {what}", found)
        except SystemExit as late:
            raise SystemExit(f"{late}; {name} shows {seen}") from None
        print(f"{name}: {description}", flush=True)
        return node

    def point(self, name):
        node = self.await_control(name, "has a place", lambda node, _: node.get_extents(Atspi.CoordType.SCREEN).width > 0)
        place = node.get_extents(Atspi.CoordType.SCREEN)
        xdotool("mousemove", place.x + place.width // 2, place.y + place.height // 2)

    def shows(self, name, text):
        self.await_control(name, f"shows {text}", lambda _, description: text in description)

    def reaches(self, name, text):
        self.await_control(name, f"reaches {text}", lambda _, description: description >= text)

    def on(self, name):
        self.await_control(name, "is on", lambda node, _: readers.has(node, Atspi.StateType.PRESSED))

    def off(self, name):
        self.await_control(name, "is off", lambda node, _: not readers.has(node, Atspi.StateType.PRESSED))

    def click(self, name):
        self.point(name)
        xdotool("click", 1)

    def press(self, name):
        self.point(name)
        xdotool("mousedown", 1)

    def release(self):
        xdotool("mouseup", 1)


STEPS = {"shows": 2, "reaches": 2, "on": 1, "off": 1, "click": 1, "press": 1, "release": 0}


def main(words):
    window = Window()
    while words:
        step, *words = words
        count = STEPS[step]
        getattr(window, step)(*words[:count])
        words = words[count:]


if __name__ == "__main__":
    main(sys.argv[1:])
