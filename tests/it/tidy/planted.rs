//! Planted offences: each house rule must find them and accept correct code.

use super::direction::direction_offences;
use super::read::blank;
use super::*;
use std::collections::BTreeSet;

fn modules() -> BTreeSet<String> {
    ["device", "device::alsa", "device::signal", "engine", "engine::mix", "butler", "window"].map(str::to_owned).into()
}

fn direction(path: &str, text: &str) -> Vec<String> {
    direction_offences(&Source::new(path, text), &modules())
}

#[test]
fn a_forbidden_use_is_found_in_every_shape() {
    for text in [
        "use crate::butler::plan;",
        "use crate::{time::Frames, butler};",
        "use crate::{\n    time::{Frames, FramePos},\n    message::{self as m, Event},\n    butler::plan::*,\n};",
        "fn f() { let x = crate::butler::plan(); }",
        "fn f(x: &crate :: butler::Plan) {}".replace(" :: ", "::").as_str(),
        "use super::super::butler;",
        "use super::{super::butler::Plan, mix};",
        "pub(crate) use crate::cli::main;",
    ] {
        let found = direction("src/engine/mix.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
    }
    assert_eq!(
        direction("src/engine/mix.rs", "\nuse crate::butler;")[0],
        "src/engine/mix.rs:2: `engine` may not use `crate::butler`"
    );
    assert_eq!(direction("src/time.rs", "use super::limits;").len(), 1);
}

#[test]
fn a_permitted_use_is_left_alone() {
    for text in [
        "use crate::message::Event;",
        "use crate::{time::{Frames, FramePos}, limits};",
        "use crate::engine::mix::gain;",
        "use super::mix;",
        "//! [`crate::butler`] supplies.\n// crate::butler\nconst A: &str = \"crate::butler\";",
        "#[cfg(test)]\nmod tests {\n    use crate::butler;\n}",
        "use crate::device::{Input, open};",
    ] {
        assert_eq!(direction("src/engine/track.rs", text), Vec::<String>::new(), "{text}");
    }
    assert_eq!(direction("src/engine/mod.rs", "use crate::device::alsa::open;").len(), 1);
    assert_eq!(direction("src/threads.rs", "use crate::device::signal::Signal;").len(), 0);
    assert_eq!(direction("src/threads.rs", "use crate::device::alsa::open;").len(), 1, "private to `device`");
}

#[test]
fn code_after_a_test_module_is_still_read() {
    let text = "#[cfg(test)]\nmod tests {\n    fn f() { if x { } }\n}\nuse crate::butler;";
    assert_eq!(direction("src/engine/mod.rs", text).len(), 1);
}

#[test]
fn a_module_without_a_place_is_refused() {
    assert!(direction("src/helpers.rs", "")[0].contains("not in the direction table"));
}

#[test]
fn a_file_without_its_header_is_found() {
    let offences = |path, text| header_offences(&Source::new(path, text)).len();
    assert_eq!(offences("src/a.rs", "use std::io;"), 1);
    assert_eq!(offences("src/a.rs", "//! Owns a thing."), 1);
    assert_eq!(offences("src/a.rs", "//! Owns a thing.\n//!\n//! Thread: too late."), 1);
    assert_eq!(offences("src/a.rs", "//! Owns a thing that takes\n//! two lines. Thread: any."), 0);
    assert_eq!(offences("src/main.rs", "fn main() {}"), 0);
}

#[test]
fn unsafe_outside_its_modules_is_found() {
    let offences = |path, text| unsafe_offences(&Source::new(path, text)).len();
    assert_eq!(offences("src/rt/mod.rs", "fn f() { unsafe { g() } }"), 1);
    assert_eq!(offences("src/device/alsa/pcm.rs", "unsafe impl Send for X {}"), 1);
    assert_eq!(offences("src/device/alsa/planar.rs", "unsafe impl Send for X {}"), 0);
    assert_eq!(offences("src/window/map.rs", "fn f() { unsafe { g() } }"), 0);
    assert_eq!(offences("src/rt/mod.rs", "#![forbid(unsafe_code)]\n// unsafe\nconst A: &str = r#\"unsafe \" {\"#;"), 0);
}

#[test]
fn the_alsa_crate_outside_its_device_is_found() {
    let offences = |path, text| alsa_offences(&Source::new(path, text)).len();
    assert_eq!(offences("src/run.rs", "use alsa::PCM;"), 1);
    assert_eq!(offences("src/run.rs", "use alsa;"), 1);
    assert_eq!(offences("src/run.rs", "fn f(p: &::alsa::PCM) {}"), 1);
    assert_eq!(offences("src/threads.rs", "use crate::device::alsa;\nfn f() { alsa::open() }"), 0);
    assert_eq!(offences("src/run.rs", "fn f() { crate::device::alsa::open() }"), 0);
    assert_eq!(offences("src/device/mod.rs", "pub mod alsa;\nfn f() { alsa::open() }"), 0);
    assert_eq!(offences("src/device/alsa/pcm.rs", "use alsa::PCM;"), 0);
}

#[test]
fn a_queue_without_a_bound_is_found() {
    let offences = |text| queue_offences(&Source::new("src/run.rs", text)).len();
    assert_eq!(offences("fn f() { let (to, from) = crossbeam_channel::unbounded(); }"), 1);
    assert_eq!(offences("fn f() { let (to, from) = channel::<u32>(); }"), 1);
    assert_eq!(offences("fn f() { let (to, from) = mpsc::channel(); }"), 1);
    assert_eq!(offences("fn f() { let (to, from) = mpsc::sync_channel(1); }"), 0);
    assert_eq!(offences("#[cfg(test)]\nmod tests { fn f() { mpsc::channel(); } }"), 0);
}

#[test]
fn a_long_function_and_a_long_file_are_found() {
    let body = |lines: usize| {
        format!("fn long(a: [u8; 2]) -> bool\nwhere\n    u8: Copy,\n{{\n{}}}\n", "    g();\n".repeat(lines))
    };
    let offences = |text: &str| length_offences(&Source::new("src/a.rs", text));
    assert_eq!(offences(&body(FUNCTION_LINES_MAX - 5)).len(), 0);
    assert_eq!(offences(&body(FUNCTION_LINES_MAX - 4)).len(), 1);
    assert!(offences(&body(100))[0].contains("`long` has 105 lines"));
    assert_eq!(offences(&"\n".repeat(FILE_LINES_MAX + 1)).len(), 1);
    assert_eq!(offences("trait T { fn a(&self); }\nfn b() {}\nstruct S { f: fn (u8) }").len(), 0);
    let braces = format!("fn a() {{ let _ = ('{{', \"{{\", '\\'', b'{{', \"\\\"{{\"); }}\n{}", "\n".repeat(200));
    assert_eq!(offences(&braces).len(), 0);
}

#[test]
fn what_is_unfinished_is_found() {
    let offences = |text: &str| leftover_offences(&Source::new("src/a.rs", text)).len();
    for word in WORDS_BANNED {
        assert_eq!(offences(&format!("fn f() {{}} // {word}: later")), 1, "{word}");
        assert_eq!(offences(&format!("const {word}LIST: u8 = 1;")), 0, "{word}");
    }
    for code in [
        "fn f() { dbg!(1); }",
        "fn f() { todo!() }",
        "#[ignore]\nfn f() {}",
        "#[ignore = \"slow\"]\nfn f() {}",
        "#[should_panic]\nfn f() {}",
    ] {
        assert_eq!(offences(code), 1, "{code}");
    }
    assert_eq!(offences("const A: &str = \"dbg!(1)\";"), 0);
}

#[test]
fn an_engine_file_without_its_ban_is_found() {
    let offences = |path, text: &str| engine_offences(&Source::new(path, text)).len();
    let header = ENGINE_HEADER.join("\n");
    assert_eq!(offences("src/engine/mix.rs", ""), 2);
    assert_eq!(offences("src/engine/mix.rs", ENGINE_HEADER[0]), 1);
    assert_eq!(offences("src/engine/mix.rs", &header), 0);
    assert_eq!(
        offences("src/engine/mix.rs", &header.replace("(clippy", "(\n    clippy").replace("macros)", "macros,\n)")),
        0
    );
    assert_eq!(offences("src/engine/mix.rs", &format!("// {}", header.replace('\n', "\n// "))), 2);
    assert_eq!(offences("src/run.rs", ""), 0);
}

#[test]
fn a_dead_file_is_found() {
    let tree = [
        Source::new("src/lib.rs", "pub mod a;\nmod b { }\n// mod d;"),
        Source::new("src/a/mod.rs", "mod inner;"),
        Source::new("src/a/inner.rs", "#[cfg(test)]\nmod tests;"),
        Source::new("src/a/inner/tests.rs", ""),
        Source::new("src/b.rs", ""),
        Source::new("src/d.rs", ""),
    ];
    let dead = dead_files(&tree, ROOTS);
    assert_eq!(dead, ["src/b.rs: no `mod` line reaches it", "src/d.rs: no `mod` line reaches it"]);
}

#[test]
fn comments_strings_and_characters_are_blanked_and_lifetimes_are_not() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("f(\"x\\\"y\") g", "f(      ) g"),
        ("r#\"a\"b\"# c", "         c"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("'x' '\\n' 'é' b'x' y", "                   y"),
        ("bar\"x\"", "bar   "),
    ] {
        assert_eq!(blank(text).trim_end(), code.trim_end(), "{text}");
    }
}
