//! The iXML chunk (iXML 1.5). It holds the track's name in UTF-8, because `bext` holds only ASCII. Thread: any. Pure.

use std::fmt::Write;

/// The chunk's payload, which gives each of `channels` channels the name `track_name`. The length is even, because not
/// every reader skips the pad byte of a chunk of odd length.
pub fn build(track_name: &str, channels: u16) -> Vec<u8> {
    let name = escape(track_name);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><BWFXML><IXML_VERSION>1.5</IXML_VERSION>");
    xml.push_str("<TRACK_LIST>");
    add(&mut xml, format_args!("<TRACK_COUNT>{channels}</TRACK_COUNT>"));
    for index in 1..=channels {
        add(
            &mut xml,
            format_args!(
                "<TRACK><CHANNEL_INDEX>{index}</CHANNEL_INDEX><INTERLEAVE_INDEX>{index}</INTERLEAVE_INDEX>\
                 <NAME>{name}</NAME></TRACK>"
            ),
        );
    }
    xml.push_str("</TRACK_LIST></BWFXML>");
    if !xml.len().is_multiple_of(2) {
        xml.push('\n');
    }
    xml.into_bytes()
}

fn add(xml: &mut String, text: std::fmt::Arguments<'_>) {
    xml.write_fmt(text).expect("a String takes any text");
}

/// Converts `text` to XML 1.0 character data: escapes markup and leaves out characters that XML does not allow.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_letters_and_cannot_break_the_markup() {
        let xml = String::from_utf8(build("Flügel <L> & \u{1}\"声\"", 1)).unwrap();
        assert!(xml.contains("<NAME>Flügel &lt;L&gt; &amp; &quot;声&quot;</NAME>"), "{xml}");
    }

    #[test]
    fn each_channel_of_a_stereo_take_is_named() {
        let xml = String::from_utf8(build("Room", 2)).unwrap();
        assert_eq!(xml.matches("<NAME>Room</NAME>").count(), 2);
        assert!(xml.contains("<TRACK_COUNT>2</TRACK_COUNT>"));
    }
}
