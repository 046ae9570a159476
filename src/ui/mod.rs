//! The window of the program. Panels draw a snapshot of the app and push commands to the app. Nothing here waits.
//! Thread: ui.
//!
//! # From a click to a change
//!
//! Four enums describe four layers, from the user to the session:
//!
//! - [`action::Action`]: something that a user can do. It has a name, a group and keys, in one table. Menu, search, key
//!   sheet and tooltips read that table.
//! - [`effect::Effect`]: something that the shell does because of an action: send a command, open a tab, zoom.
//!   [`dispatch`] chooses the effects, and changes nothing itself.
//! - [`crate::app::command::Command`]: a request to the app. [`shell::Shell::show`] returns commands, and [`frame`]
//!   gives them to the app. The requests of a user reach the app in no other way.
//! - [`crate::control::edit::Edit`]: a change of the session, which can be undone. `Command::Edit` carries it.
//!
//! A widget pushes an action where keys or the menu do the same, and a command where only this widget does it.
//! [`panel_context::PanelContext`] has both lists, and everything that a panel reads.
//!
//! # How to add an action
//!
//! 1. `action.rs`: a variant of `Action`, above `Quit`. `Quit` stays last, because a test counts the actions by it.
//! 2. `action.rs`: a line of `ACTIONS` with group, name and default keys. Every action has keys, and no two share any.
//!    A new group must also be listed in `panels/keys.rs`, else the key sheet does not show it.
//! 3. `dispatch.rs`: an arm of `dispatch`. If the shell must do something new: a variant of `Effect`, and an arm of
//!    `Shell::apply`.
//! 4. `bar/menu.rs`: a line of `GROUPS`, if the action belongs in the menu.
//!
//! The user's settings store changed keys under `Action::id`, which is the Debug name of the action. When you rename an
//! action, let `id` return the old name.
//!
//! # How to add a panel
//!
//! 1. `panels/NAME.rs`: a struct `NameState` with the state that the panel keeps between pictures, and a function
//!    `show(ui, state, context)`. Declare the file in `panels/mod.rs`.
//! 2. A tab of the bottom panel, in `bottom_panel.rs`: a variant of `Tab`, a line of `TABS` (and its length), a field
//!    of `BottomPanelState` and its `Default`, an arm of the `match` in `show`.
//! 3. Or an overlay: a variant of `effect::Overlay`, a field of `Shell`, an arm of the `match` in
//!    `Shell::show_overlay`, and a line in `tests/gui/labels.rs`.
//! 4. An action that opens the panel, see above.
//! 5. Data that the snapshot lacks: a field in `app/snapshot.rs`, filled in `app/build_snapshot.rs`, with an example in
//!    `demo.rs`.
//! 6. A picture test in `shell.rs`. Give everything that can be used an accessible name: a test looks at every tab. A value that
//!    a screen reader may set goes through `widget::adjusted`, and a sentence that it has to speak by itself through
//!    `announce::say`.

#![forbid(unsafe_code)]

pub mod theme;
pub mod icon;
pub mod action;
pub mod view;
pub mod panel_context;
pub mod format;
pub mod announce;
pub mod layer_focus;
pub mod widget;
pub mod dialog;
pub mod bar;
pub mod health_line;
pub mod tracks;
pub mod timeline;
pub mod save_report;
pub mod open_folder;
pub mod residency;
pub mod panels;
pub mod bottom_panel;
pub mod effect;
pub mod dispatch;
pub mod notes;
pub mod shell;
pub mod pace;
pub mod frame;
#[cfg(test)]
#[cfg(feature = "gui-tests")]
pub mod demo;
#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod picture_cost_tests;
