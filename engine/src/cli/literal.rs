//! Where our flags end and the program's words begin: `run IMAGE -d` hands `-d` to the program.

use std::ffi::OsString;

/// Puts `--` behind the first word of `argv` from `at` on that is no flag and no flag's value.
/// `definitions` knows which flags take one.
pub(super) fn close(
    mut argv: Vec<OsString>,
    at: usize,
    definitions: &clap::Command,
) -> Vec<OsString> {
    let mut place = at;
    while let Some(word) = argv.get(place) {
        let Some(text) = word.to_str() else { break };
        if text == "--" {
            return argv;
        }
        if !text.starts_with('-') || text == "-" {
            break;
        }
        place += if awaits_value(definitions, text).is_some() { 2 } else { 1 };
    }
    if place < argv.len() {
        argv.insert(place + 1, "--".into());
    }
    argv
}

/// The flag whose value is the word behind `text`.
pub(super) fn awaits_value<'a>(
    definitions: &'a clap::Command,
    text: &str,
) -> Option<&'a clap::Arg> {
    match text.strip_prefix("--") {
        Some(long) if long.contains('=') => None,
        Some(long) => {
            let flag = definitions.get_arguments().find(|arg| is_long(arg, long));
            flag.filter(|arg| takes_next(arg))
        }
        None => last_takes_value(definitions, text.strip_prefix('-')?),
    }
}

/// `--sig-proxy` alone is a value of its own: what follows is the next word.
fn takes_next(arg: &clap::Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

pub(super) fn is_long(arg: &clap::Arg, name: &str) -> bool {
    arg.get_long() == Some(name)
        || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
}

/// Of `-ite`, `e` takes a value and nothing is left for it; of `-eA=B` something is.
fn last_takes_value<'a>(definitions: &'a clap::Command, shorts: &str) -> Option<&'a clap::Arg> {
    let mut rest = shorts.chars();
    while let Some(short) = rest.next() {
        let mut flags = definitions.get_arguments();
        let flag = flags.find(|arg| arg.get_short() == Some(short));
        if let Some(flag) = flag.filter(|arg| takes_next(arg)) {
            return rest.as_str().is_empty().then_some(flag);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args;

    #[test]
    fn flags_end_at_the_first_word_of_the_program() {
        let definitions = crate::container::run::Args::augment_args(clap::Command::new("run"));
        let closed = |line: &str| {
            let argv = line.split(' ').map(OsString::from).collect();
            let argv = close(argv, 1, &definitions);
            argv.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
        };
        for (typed, expected) in [
            ("create -it img -d x", "create -it img -- -d x"),
            ("create --name n img", "create --name n img --"),
            ("create --net none -eA=b -e C img -- x", "create --net none -eA=b -e C img -- -- x"),
            ("create --name=n -ite A img ls -l", "create --name=n -ite A img -- ls -l"),
            ("create -- img x", "create -- img x"),
            ("create --rm", "create --rm"),
            ("run --sig-proxy img -d", "run --sig-proxy img -- -d"),
            ("run --sig-proxy=false img -d", "run --sig-proxy=false img -- -d"),
        ] {
            assert_eq!(closed(typed), expected);
        }
    }
}
