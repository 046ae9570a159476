//! Reads Rust as far as the house rules need: comments, literals, brackets and paths, without a parser.

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// The text with comments, string literals and character literals replaced by blanks. Newlines are kept.
pub(super) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// Adjacent comments of one kind, as one text.
pub(super) struct Comment {
    /// The position of the first one.
    pub(super) at: usize,
    /// `///`, `//!`, `//` or `/*`.
    pub(super) kind: &'static str,
    /// The lines without marks, joined by blanks.
    pub(super) text: String,
}

impl Comment {
    pub(super) fn is_doc(&self) -> bool {
        matches!(self.kind, "///" | "//!")
    }
}

/// The comments of a source. Lines of one kind that follow each other are one comment.
pub(super) fn comments(text: &str) -> Vec<Comment> {
    let bytes = text.as_bytes();
    let mut found: Vec<Comment> = Vec::new();
    let (mut at, mut last_end) = (0, 0);
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end > at && (bytes[at..].starts_with(b"//") || bytes[at..].starts_with(b"/*")) {
            let kinds = ["////", "///", "//!", "//", "/*"];
            let mark = kinds.into_iter().find(|mark| text[at..].starts_with(mark)).unwrap_or("//");
            // Four slashes are an ordinary comment.
            let kind = if mark == "////" { "//" } else { mark };
            let words = text[at + mark.len()..end].trim_matches(|c: char| c.is_whitespace() || c == '*' || c == '/');
            match found.last_mut().filter(|last| last.kind == kind && text[last_end..at].trim().is_empty()) {
                Some(last) if text[last_end..at].matches('\n').count() == 1 => {
                    last.text.push(' ');
                    last.text.push_str(words);
                }
                _ => found.push(Comment { at, kind, text: words.to_owned() }),
            }
            last_end = end;
        }
        at = end.max(at + 1);
    }
    found
}

/// The string and character literals of a source, with their positions.
pub(super) fn strings(text: &str) -> Vec<(usize, &str)> {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end > at && !bytes[at..].starts_with(b"//") && !bytes[at..].starts_with(b"/*") {
            found.push((at, &text[at..end]));
        }
        at = end.max(at + 1);
    }
    found
}

/// The end of the comment or literal that starts at `at`; `at` if none starts there.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let after_word = 0 < at && is_word(bytes[at - 1]);
    match rest[0] {
        b'/' if rest.starts_with(b"//") => at + find(rest, b"\n").unwrap_or(rest.len()),
        b'/' if rest.starts_with(b"/*") => block_comment_end(bytes, at),
        b'"' => quoted_end(bytes, at + 1, b'"'),
        b'b' | b'c' if !after_word && rest.get(1) == Some(&b'"') => quoted_end(bytes, at + 2, b'"'),
        b'b' if !after_word && rest.get(1) == Some(&b'\'') => quoted_end(bytes, at + 2, b'\''),
        b'r' | b'b' | b'c' if !after_word => raw_string_end(bytes, at).unwrap_or(at),
        b'\'' if rest.get(1) == Some(&b'\\') => quoted_end(bytes, at + 1, b'\''),
        b'\'' => {
            // A character, unless it is a lifetime: one scalar and then the closing quote.
            let width = std::str::from_utf8(&rest[1..rest.len().min(5)])
                .or_else(|e| std::str::from_utf8(&rest[1..=e.valid_up_to()]))
                .ok()
                .and_then(|s| s.chars().next())
                .map_or(1, char::len_utf8);
            if rest.get(1 + width) == Some(&b'\'') { at + width + 2 } else { at }
        }
        _ => at,
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn quoted_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let prefix = bytes[at..].iter().take_while(|byte| matches!(byte, b'b' | b'c' | b'r')).count();
    if bytes.get(at + prefix - 1) != Some(&b'r') {
        return None;
    }
    let hashes = bytes[at + prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + prefix + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    Some(find(&bytes[open + 1..], &close).map_or(bytes.len(), |found| open + 1 + found + close.len()))
}

/// Positions of `word` as a whole word.
pub(super) fn words(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(|&at| !(0 < at && is_word(bytes[at - 1]) && is_word(bytes[at])))
        .filter(|&at| {
            !bytes.get(at + word.len()).is_some_and(|&next| is_word(next) && is_word(bytes[at + word.len() - 1]))
        })
        .collect()
}

/// The index behind the bracket that closes the one at `open`.
pub(super) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (i, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Spans of code under `#[cfg(test)]`. They are no part of the program, so the direction does not apply to them.
pub(super) fn test_spans(code: &str) -> Vec<std::ops::Range<usize>> {
    code.match_indices("#[cfg(test)]")
        .filter_map(|(at, attribute)| {
            let rest = &code[at + attribute.len()..];
            let open = rest.find(['{', ';'])?;
            let open = at + attribute.len() + open;
            Some(at..if code.as_bytes()[open] == b'{' { closing(code, open) } else { open })
        })
        .collect()
}

/// Every path that starts at `at`, with `{}` groups expanded, as a list of segments.
pub(super) fn paths_from(code: &str, at: usize) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    spread(code, at, &mut Vec::new(), &mut paths);
    paths
}

/// Reads a path or a use tree and returns its end.
fn spread(code: &str, mut at: usize, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> usize {
    let bytes = code.as_bytes();
    let skip_space = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        at
    };
    let depth = prefix.len();
    loop {
        at = skip_space(at);
        match bytes.get(at) {
            Some(b'{') => {
                let end = closing(code, at);
                at += 1;
                while at < end - 1 {
                    at = skip_space(spread(code, at, prefix, paths));
                    // A comma or ` as name,` separates two trees.
                    while at < end - 1 && bytes[at] != b',' {
                        at += 1;
                    }
                    at += 1;
                }
                at = end;
                break;
            }
            Some(byte) if is_word(*byte) => {
                let start = at;
                while bytes.get(at).is_some_and(|byte| is_word(*byte)) {
                    at += 1;
                }
                prefix.push(code[start..at].to_owned());
                let next = skip_space(at);
                if code[next..].starts_with("::") {
                    at = next + 2;
                    continue;
                }
                paths.push(prefix.clone());
                break;
            }
            Some(b'*') => {
                prefix.push("*".to_owned());
                paths.push(prefix.clone());
                at += 1;
                break;
            }
            _ => {
                paths.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
    at
}
