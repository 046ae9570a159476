//! The tabs of the bottom panel and the overlays, one file for each. Thread: ui.

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
