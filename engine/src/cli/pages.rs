//! Man pages of section 1, from the definitions of the flags; `make man` writes them.
//!
//! A verb has a page by its first spelling, `pier-run(1)`, and its other spelling leads there.
//! What the definitions do not know stands in `pages/*.roff`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use super::{Global, MANAGED, Verb, all, command};
use clap::{Args, Command};

/// Pages, by their names below `docs/man`.
fn files() -> Vec<(String, String)> {
    let mut files = vec![("pier.1".to_owned(), root())];
    for (group, about) in MANAGED {
        files.push((format!("pier-{group}.1"), group_page(group, about)));
    }
    for verb in all() {
        let name = dashed(verb.spellings[0]);
        files.push((format!("{name}.1"), verb_page(&name, verb)));
        // One further spelling of two words; its aliases are told by the page.
        let other = verb.spellings.iter().skip(1).find(|spelling| spelling.contains(' '));
        if let Some(other) = other.filter(|_| !verb.spellings[0].contains(' ')) {
            files.push((format!("{}.1", dashed(other)), format!(".so man1/{name}.1\n")));
        }
    }
    files
}

/// `container prune` → `pier-container-prune`.
fn dashed(spelling: &str) -> String {
    format!("pier-{}", spelling.replace(' ', "-"))
}

/// Head and flags; what follows is ours.
fn render(command: Command, name: &str) -> String {
    let mut text = Vec::new();
    let command = command.display_name(name.to_owned()).bin_name(name.replace('-', " "));
    let page = clap_mangen::Man::new(command.after_help(None::<&str>))
        .title(name.to_uppercase())
        .section("1")
        .date("")
        .source("Corten")
        .manual("pier");
    page.render(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn root() -> String {
    let about = "Images in, containers out: no daemon";
    let command = Global::augment_args(Command::new("pier")).about(about);
    let told = format!(".SH DESCRIPTION\n{about}\n");
    let mut text = render(command, "pier");
    assert!(text.contains(&told), "{text}");
    text = text.replace(&told, include_str!("pages/head.roff"));
    text.push_str(".SH COMMANDS\n");
    for verb in all() {
        text.push_str(&row(&dashed(verb.spellings[0]), verb.about));
    }
    text.push_str(include_str!("pages/root.roff"));
    text
}

fn group_page(group: &str, about: &str) -> String {
    let name = format!("pier-{group}");
    let mut text = render(Command::new("pier").about(about.to_owned()).arg(word("COMMAND")), &name);
    text.push_str(".SH COMMANDS\n");
    for verb in all() {
        let mut names = verb.spellings.iter();
        let of_group = |spelling: &&&str| spelling.split(' ').next() == Some(group);
        if let Some(spelling) = names.find(of_group).filter(|name| name.contains(' ')) {
            text.push_str(&row(&dashed(spelling), verb.about));
        }
    }
    text.push_str(".SH \"SEE ALSO\"\n.BR pier (1)\n");
    text
}

fn word(name: &'static str) -> clap::Arg {
    clap::Arg::new(name).required(true).help("One of the words below")
}

fn row(page: &str, about: &str) -> String {
    format!(".TP\n.BR {} (1)\n{}\n", page.replace('-', "\\-"), about.replace('-', "\\-"))
}

fn verb_page(name: &str, verb: &'static Verb) -> String {
    let command = command(verb.spellings[0], verb, true);
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut text = render(command, name);
    if verb.spellings.len() > 1 {
        let others: Vec<_> =
            verb.spellings[1..].iter().map(|other| format!("pier {other}")).collect();
        text.push_str(&format!(".SH \"OTHER SPELLINGS\"\n{}\n", others.join(", ")));
    }
    text.push_str(&examples_section(&examples));
    text.push_str(match verb.spellings[0] {
        "run" | "create" => include_str!("pages/run.roff"),
        "exec" => include_str!("pages/exec.roff"),
        "ps" => include_str!("pages/ps.roff"),
        "logs" => include_str!("pages/logs.roff"),
        "pull" => include_str!("pages/pull.roff"),
        "start" => include_str!("pages/start.roff"),
        _ => include_str!("pages/verb.roff"),
    });
    text.push_str(".SH \"SEE ALSO\"\n.BR pier (1)\n");
    text
}

/// A line as roff wants it.
fn escaped(line: &str) -> String {
    let letter = |letter: char| match letter {
        '\\' => "\\e".to_owned(),
        '-' => "\\-".to_owned(),
        letter if letter.is_ascii() => letter.to_string(),
        letter => format!("\\[u{:04X}]", u32::from(letter)),
    };
    line.trim().chars().map(letter).collect()
}

/// The examples of `--help`: lines that begin with blanks are to be typed, the rest is said of them.
fn examples_section(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let lines = text.lines().filter(|line| !matches!(*line, "Example:" | "Examples:"));
    let (typed, said): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("  "));
    let typed: Vec<_> = typed.into_iter().map(escaped).collect();
    let said: Vec<_> = said.into_iter().filter(|line| !line.is_empty()).map(escaped).collect();
    let mut section = format!(".SH EXAMPLES\n.EX\n{}\n.EE\n", typed.join("\n"));
    if !said.is_empty() {
        section.push_str(&format!(".PP\n{}\n", said.join("\n")));
    }
    section
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/man")
}

#[test]
fn generated_man_pages_are_current() {
    let write = std::env::var_os("CORTEN_REGENERATE").is_some();
    let files = files();
    let stale = |name: &str| files.iter().all(|(file, _)| file != name);
    for name in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name()) {
        let name = name.into_string().unwrap();
        if name.ends_with(".1") && stale(&name) {
            assert!(write, "docs/man/{name} is of no verb: run make man");
            fs::remove_file(folder().join(name)).unwrap();
        }
    }
    for (name, text) in &files {
        let path = folder().join(name);
        if write {
            fs::write(&path, text).unwrap();
        }
        let current = fs::read_to_string(&path).unwrap_or_default() == *text;
        assert!(current, "docs/man/{name} is not current: run make man");
    }
}

/// By groff, with every warning; where there is none the pages are as they were on a machine that has it.
#[test]
fn man_pages_render_without_a_warning() {
    let pages: Vec<PathBuf> = files()
        .into_iter()
        .filter(|(_, text)| !text.starts_with(".so"))
        .map(|(name, _)| folder().join(name))
        .collect();
    let groff = Program::new("groff").args(["-ww", "-man", "-Tutf8", "-z"]).args(&pages).output();
    let Ok(said) = groff else {
        eprintln!("passed over: no groff");
        return;
    };
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.is_empty(), "{said}");
}
