//! The studio over the built-in device. Thread: test.
