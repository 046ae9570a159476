//! The panels that open below the timeline or over the window, one a file. Thread: ui.

pub mod take_facts;
pub mod takes;
pub mod events;
pub mod doctor;
pub mod stress;
pub mod export;
pub mod device;
pub mod settings;
pub mod keys;
pub mod palette;
