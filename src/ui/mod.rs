//! The window. Panels are given a snapshot and push commands; nothing here waits. Thread: ui.
//!
//! [`shell`] holds the panels together, [`context`] is what each of them is given, [`action`] is every action by name.

#![forbid(unsafe_code)]

pub mod theme;
pub mod icon;
pub mod action;
pub mod view;
pub mod panel_context;
pub mod format;
pub mod widget;
pub mod bar;
pub mod health_line;
pub mod tracks;
pub mod timeline;
pub mod save_report;
pub mod residency;
pub mod panels;
pub mod bottom_panel;
pub mod effect;
pub mod dispatch;
pub mod shell;
pub mod pace;
pub mod dialog;
pub mod frame;
#[cfg(test)]
pub mod demo;
