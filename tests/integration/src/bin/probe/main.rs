//! The program inside the container: answers questions with one JSON line each.
//!
//! `probe QUESTION [-- QUESTION]…`, where a question is a word and its arguments: `read /etc/hostname`,
//! `mount /proc`, `status CapEff`. An answer is `{"fact": "read /etc/hostname", "value": …}`, an error is
//! `{"fact": …, "errno": "ENOENT"}`. The words are in [`facts`]; [`acts`] has those that wait, exit or
//! try to change something, [`tools`] those that tests use outside containers. One static file.
#![allow(clippy::panic, clippy::expect_used, reason = "a test program fails by panicking")]

mod acts;
mod facts;
mod tools;

use std::io::{self, Write};

use serde_json::{Value, json};

/// What a question comes to.
type Answer = io::Result<Value>;

fn main() {
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    if tools::run(&words) {
        return;
    }
    for question in words.split(|w| *w == "--") {
        let Some((word, rest)) = question.split_first() else { continue };
        say(&question.join(" "), facts::answer(word, rest).or_else(|| acts::answer(word, rest)));
    }
}

/// Prints an answer; a word that nobody knows ends the program.
fn say(name: &str, answer: Option<Answer>) {
    let line = match answer {
        Some(Ok(value)) => json!({ "fact": name, "value": value }),
        Some(Err(error)) => json!({ "fact": name, "errno": errno_name(&error) }),
        None => panic!("probe: unknown question: {name}"),
    };
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// `EACCES` of an error, or its words when it has no number.
fn errno_name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => format!("{:?}", nix::errno::Errno::from_raw(number)),
        None => error.to_string(),
    }
}
