//! What the documents point at is there: links, files in backticks, targets of the Makefile.

use crate::inventory::{read, root, sources};
use crate::names;

/// Beginnings of paths in backticks that are meant as files of this repository.
const OURS: [&str; 16] = [
    "libcontainer/",
    "runtime/",
    "tests/",
    "oci-conformance/",
    "bench/",
    "docs/",
    "scripts/",
    ".ci/",
    ".cargo/",
    "plan/",
    "create/",
    "cgroup/",
    "state/",
    "hooks/",
    "verbs/",
    "sys/",
];
/// Has paths that are no files; `coverage` looks at it.
const NOT_HERE: &str = "docs/spec-coverage.md";
/// Where a path of the library may begin.
const BASES: [&str; 2] = ["", "libcontainer/src/"];

/// Pieces of `text` between `open` and `close`, with their line numbers.
fn between<'a>(
    text: &'a str,
    open: &'a str,
    close: char,
) -> impl Iterator<Item = (usize, &'a str)> {
    text.lines().enumerate().flat_map(move |(at, line)| {
        let pieces = line.split(open).skip(1);
        pieces.filter_map(move |rest| Some((at + 1, rest.split_once(close)?.0)))
    })
}

/// Texts in backticks: every second piece of a line.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines.flat_map(|(at, line)| line.split('`').skip(1).step_by(2).map(move |c| (at + 1, c)))
}

#[test]
fn links_lead_to_files() {
    let mut dead = Vec::new();
    for name in sources("md") {
        let dir = root().join(&name).parent().map(std::path::Path::to_owned).unwrap_or_default();
        for (line, link) in between(&read(&name), "](", ')') {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !dir.join(file).exists() {
                dead.push(format!("{name}:{line}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "links that lead nowhere: {dead:#?}");
}

#[test]
fn files_in_backticks_are_there() {
    let mut missing = Vec::new();
    for name in sources("md").into_iter().filter(|name| name != NOT_HERE) {
        for (line, path) in code(&read(&name)).filter(|(_, path)| is_path(path)) {
            if !BASES.iter().any(|base| root().join(base).join(path).exists()) {
                missing.push(format!("{name}:{line}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "files that are not there: {missing:#?}");
}

/// One of our files: no placeholder, no command line, no list of names.
fn is_path(text: &str) -> bool {
    OURS.iter().any(|dir| text.starts_with(dir)) && !text.contains([' ', '*', '<', '{', '…', ':'])
}

#[test]
fn tests_in_backticks_are_there() {
    let known = names::all();
    let mut missing = Vec::new();
    for name in ["SECURITY.md", "docs/callers.md"] {
        for (line, test) in code(&read(name)).filter(|(_, text)| is_test(text)) {
            if !names::known(&known, test) {
                missing.push(format!("{name}:{line}: {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "tests that are not there: {missing:#?}");
}

/// `module::what_it_proves`.
fn is_test(text: &str) -> bool {
    text.contains("::")
        && text.chars().all(|c| c.is_ascii_lowercase() || "_:0123456789".contains(c))
}

#[test]
fn make_targets_are_there() {
    let makefile = read("Makefile");
    let mut missing = Vec::new();
    for name in sources("md") {
        let text = read(&name);
        let commands = code(&text).filter_map(|(line, c)| Some((line, c.strip_prefix("make ")?)));
        for (line, words) in commands {
            let target = words.split(' ').next().unwrap_or_default();
            if !makefile.contains(&format!("\n{target}:")) {
                missing.push(format!("{name}:{line}: make {target}"));
            }
        }
    }
    assert!(missing.is_empty(), "targets that are not there: {missing:#?}");
}
