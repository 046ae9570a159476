//! Pictures of the window's main states. Thread: test.
