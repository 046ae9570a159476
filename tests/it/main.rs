//! One integration binary.

mod alsa; // the ALSA device, against a sound card that lives in a file
