//! The window. Panels are given a snapshot and push commands; nothing here waits. Thread: ui.
//!
//! [`window`] holds the panels together, [`cx`] is what each of them is given, [`action`] is every action by name.

#![forbid(unsafe_code)]

pub mod theme;
pub mod icon;
pub mod action;
pub mod view;
pub mod cx;
pub mod words;
pub mod widget;
pub mod bar;
pub mod health;
pub mod tracks;
pub mod timeline;
pub mod save;
pub mod residency;
pub mod take_facts;
pub mod takes;
pub mod events;
pub mod doctor_panel;
pub mod stress_panel;
pub mod export_panel;
pub mod device_panel;
pub mod settings_panel;
pub mod keys_panel;
pub mod palette;
pub mod lower;
pub mod act;
pub mod window;
pub mod pace;
pub mod dialog;
pub mod app;
#[cfg(test)]
pub mod demo;
