//! The app over the built-in device. Thread: test.
