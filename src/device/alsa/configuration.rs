//! Faults of ALSA's configuration files, and alsa-lib's words about them. Thread: lister, opener, reconnect, control.

use super::pcm::{errno, quiet, system_says};
use ::alsa::Output;
use ::alsa::config::{update, update_ref};

/// Why ALSA's configuration files cannot be read, and what to do; `None` if they can. With such a fault, alsa-lib opens no
/// device at all, neither a card nor a sound server.
pub fn configuration_fault() -> Option<String> {
    let output = Output::local_error_handler().ok();
    let read = update();
    let said = output.map_or_else(String::new, |output| output.borrow().to_string());
    let what = match read {
        Err(error) => fault_in(&said).unwrap_or_else(|| system_says(errno(&error))),
        // A main file that is missing is no error for alsa-lib, and then there is no device.
        Ok(_) if said.contains("Cannot access file") && is_empty() => fault_in(&said)?,
        Ok(_) => return None,
    };
    Some(format!("ALSA's configuration cannot be read: {what}; correct it there, then try again"))
}

/// Whether the configuration defines no device.
fn is_empty() -> bool {
    let _quiet = quiet();
    let text = || -> ::alsa::Result<String> {
        let mut text = Output::buffer_open()?;
        update_ref()?.save(&mut text)?;
        Ok(text.to_string())
    };
    text().is_ok_and(|text| !text.contains("pcm"))
}

/// The first sentence of what alsa-lib said. Its later ones are about the consequences.
pub(super) fn first_said(said: &str) -> Option<&str> {
    sentences(said).next()
}

/// The sentences of alsa-lib without the names of its functions.
fn sentences(said: &str) -> impl Iterator<Item = &str> {
    let texts = said.lines().map(|line| line.split_once(": ").map_or(line, |(_, text)| text).trim());
    texts.filter(|text| !text.is_empty())
}

/// The file, the line and the reason in alsa-lib's sentences about a file that it cannot read.
fn fault_in(said: &str) -> Option<String> {
    let file = sentences(said).find_map(|text| Some(text.split_once(" may be old or corrupted")?.0));
    let first = first_said(said)?;
    let Some((name, line, reason)) = sentences(said).find_map(place) else {
        return Some(file.map_or_else(|| first.to_owned(), |file| format!("{file}: {first}")));
    };
    // An included file has its own name there.
    let file = if name == "_toplevel_" { file.unwrap_or("a file") } else { name };
    let reason = if place(first).is_some() { reason } else { first };
    Some(format!("{file}, line {line}: {reason}"))
}

/// Name, line and reason of a sentence like `NAME:LINE:COLUMN:REASON`.
fn place(text: &str) -> Option<(&str, &str, &str)> {
    let mut parts = text.splitn(4, ':');
    let (name, line, column, reason) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    (is_number(line) && is_number(column)).then_some((name, line, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_named_with_its_file_line_and_reason() {
        let of_file = "config_file_open: /home/u/.asoundrc may be old or corrupted: consider to remove or fix it\n\
                       snd_config_hooks_call: function snd_config_hook_load returned error: Invalid argument\n";
        let include = "_snd_config_load_with_include: ";
        for (begin, wanted) in [
            (format!("{include}_toplevel_:2:0:Unexpected char\n"), "/home/u/.asoundrc, line 2: Unexpected char"),
            (
                format!("get_char_skip_comments: Cannot access file /gone\n{include}_toplevel_:1:14:No such file\n"),
                "/home/u/.asoundrc, line 1: Cannot access file /gone",
            ),
            (
                format!("parse_def: a is not a compound\n{include}/etc/alsa/x.conf:7:6:Invalid argument\n"),
                "/etc/alsa/x.conf, line 7: a is not a compound",
            ),
            ("x: something else\n".to_owned(), "/home/u/.asoundrc: something else"),
        ] {
            assert_eq!(fault_in(&(begin + of_file)).as_deref(), Some(wanted));
        }
        let missing = "snd_config_update_r: Cannot access file /nonexistent\n";
        assert_eq!(fault_in(missing).as_deref(), Some("Cannot access file /nonexistent"));
        assert_eq!(fault_in(""), None);
    }
}
