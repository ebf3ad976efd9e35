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
        let value_follows = match (text.strip_prefix("--"), text.strip_prefix('-')) {
            (Some(long), _) => {
                !long.contains('=') && takes_value(definitions, |arg| is_long(arg, long))
            }
            (None, Some(shorts)) if !shorts.is_empty() => last_takes_value(definitions, shorts),
            _ => break,
        };
        place += if value_follows { 2 } else { 1 };
    }
    if place < argv.len() {
        argv.insert(place + 1, "--".into());
    }
    argv
}

fn takes_value(definitions: &clap::Command, is: impl Fn(&clap::Arg) -> bool) -> bool {
    definitions.get_arguments().any(|arg| is(arg) && arg.get_action().takes_values())
}

fn is_long(arg: &clap::Arg, name: &str) -> bool {
    arg.get_long() == Some(name)
        || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
}

/// Of `-ite`, `e` takes a value and nothing is left for it; of `-eA=B` something is.
fn last_takes_value(definitions: &clap::Command, shorts: &str) -> bool {
    let mut rest = shorts.chars();
    while let Some(short) = rest.next() {
        if takes_value(definitions, |arg| arg.get_short() == Some(short)) {
            return rest.as_str().is_empty();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args;

    #[test]
    fn flags_end_at_the_first_word_of_the_program() {
        let definitions =
            crate::container::create::Args::augment_args(clap::Command::new("create"));
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
        ] {
            assert_eq!(closed(typed), expected);
        }
    }
}
