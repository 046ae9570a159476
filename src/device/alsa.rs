//! The ALSA device. Thread: audio (opening: control).
