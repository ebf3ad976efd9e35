//! A command line that cannot be understood: clap's findings in our three parts.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{MANAGED, Typed, absent, all};
use crate::error::Error;
use crate::format::nearest;

/// What is wrong with the words that were typed, and what was probably meant.
pub(super) fn explain(error: &clap::Error, typed: &Typed, definitions: &clap::Command) -> Error {
    let name = typed.name();
    let help = format!("`{name} --help` tells how it is used");
    match error.kind() {
        ErrorKind::InvalidSubcommand => no_verb(typed),
        ErrorKind::UnknownArgument => unknown(error, typed, definitions),
        ErrorKind::MissingRequiredArgument => {
            let missing = texts(error, ContextKind::InvalidArg).join(" ");
            let missing = missing.replace(['<', '>'], "");
            let usage = usage(error).unwrap_or(help);
            Error::new(format!("`{name}` needs more words"))
                .why(format!("{missing} is missing"))
                .fix(usage)
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => value(error, &help),
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Error::new(first.trim_start_matches("error: ")).fix(help)
        }
    }
}

/// The first word, or the second behind a group, is no verb.
pub(super) fn no_verb(typed: &Typed) -> Error {
    let said = &typed.said;
    let error = Error::new(format!("'{said}' is not a command of pier"));
    let spellings = all().flat_map(|verb| verb.spellings).copied();
    let known = |spelling: &&str| spelling.contains(' ') == typed.group.is_some();
    let groups = MANAGED.iter().map(|(group, _)| *group).filter(|_| typed.group.is_none());
    let meant = nearest(said, spellings.filter(known).chain(groups));
    let list = format!("`{} --help` lists all", typed.name());
    error.fix(match meant {
        Some(meant) => format!("did you mean `pier {meant}`? {list}"),
        None => list,
    })
}

/// What an ordinary user can do about a refusal of the kernel's.
pub(super) fn without_root(error: Error) -> Error {
    let root = rustix::process::geteuid().is_root();
    advise(error, root)
}

fn advise(error: Error, root: bool) -> Error {
    let cause = error.why.as_deref().unwrap_or(&error.what).to_lowercase();
    let refused = ["permission denied", "operation not permitted"];
    if root || error.fix.is_some() || !refused.iter().any(|words| cause.ends_with(words)) {
        return error;
    }
    error.fix("containers and images are root's: sudo pier …")
}

/// A flag that does not exist, or a word too many.
fn unknown(error: &clap::Error, typed: &Typed, definitions: &clap::Command) -> Error {
    let word = texts(error, ContextKind::InvalidArg).join(" ");
    let name = typed.name();
    if !word.starts_with('-') {
        let help = usage(error).unwrap_or_else(|| format!("see `{name} --help`"));
        return Error::new(format!("`{name}` was given a word too many: '{word}'")).fix(help);
    }
    if typed.is_in_front(&word) {
        return absent::flag(&word).unwrap_or_else(|| {
            Error::new(format!("unknown flag: {word}"))
                .why("only --root, --run-root, --version and --help may stand before the command")
                .fix("flags of a command stand behind it: pier run -d IMAGE")
        });
    }
    let flags: Vec<String> = flags(definitions);
    let meant = nearest(&word, flags.iter().map(String::as_str).filter(|_| word.len() > 2));
    let list = format!("`{name} --help` lists the flags");
    let meant = meant.map(|meant| format!("did you mean {meant}? {list}"));
    Error::new(format!("unknown flag: {word}")).fix(meant.unwrap_or(list))
}

/// Every long flag of the verb that was typed.
fn flags(definitions: &clap::Command) -> Vec<String> {
    let own = definitions.get_arguments().flat_map(|arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long().into_iter().chain(aliases)
    });
    let own = own.map(|long| format!("--{long}"));
    own.chain(definitions.get_subcommands().flat_map(flags)).collect()
}

/// A value that its flag cannot take.
fn value(error: &clap::Error, help: &str) -> Error {
    let of = texts(error, ContextKind::InvalidArg).join(" ").replace(['<', '>'], "");
    let value = texts(error, ContextKind::InvalidValue).join(" ");
    let valid = texts(error, ContextKind::ValidValue).join(", ");
    if value.is_empty() {
        return Error::new(format!("{of} needs a value")).fix(help);
    }
    let wrong = Error::new(format!("invalid argument \"{value}\" for {of}"));
    let wrong = match std::error::Error::source(error) {
        Some(source) => wrong.why(source),
        None => wrong,
    };
    if valid.is_empty() { wrong.fix(help) } else { wrong.fix(format!("one of: {valid}")) }
}

/// `usage: pier rm [OPTIONS] CONTAINER...`
fn usage(error: &clap::Error) -> Option<String> {
    let text = error.to_string();
    let line = text.lines().find_map(|line| line.strip_prefix("Usage: "))?;
    Some(format!("usage: {}", line.replace(['<', '>'], "")))
}

/// What clap tells of this kind.
fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::definitions;
    use super::*;

    /// The three parts for a command line.
    fn said(line: &str) -> [String; 3] {
        let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let typed = Typed::find(&argv);
        let mut definitions = definitions(&typed);
        let error = definitions.try_get_matches_from_mut(typed.close(argv)).unwrap_err();
        let error = explain(&error, &typed, &definitions);
        [error.what, error.why.unwrap_or_default(), error.fix.unwrap_or_default()]
    }

    #[test]
    fn who_is_not_root_is_told_to_be() {
        let refused = || Error::new("cannot read /x").why("permission denied");
        assert!(advise(refused(), false).fix.is_some_and(|fix| fix.contains("sudo")));
        assert!(advise(refused(), true).fix.is_none());
        assert_eq!(advise(refused().fix("y"), false).fix.as_deref(), Some("y"));
        assert!(advise(Error::new("no such image: x"), false).fix.is_none());
    }

    #[test]
    fn every_mistake_has_its_own_words() {
        for (line, what, why, fix) in [
            ("pier runn", "'runn' is not a command of pier", "", "did you mean `pier run`?"),
            (
                "pier container lss",
                "'container lss' is not",
                "",
                "did you mean `pier container ls`?",
            ),
            ("pier contianer ls", "'contianer' is not", "", "did you mean `pier container`?"),
            ("pier xyzzy", "'xyzzy' is not", "", "`pier --help` lists all"),
            ("pier run --nmae x i", "unknown flag: --nmae", "", "did you mean --name?"),
            ("pier container run --zzz i", "unknown flag: --zzz", "", "`pier run --help` lists"),
            ("pier ps -Z", "unknown flag: -Z", "", "`pier ps --help` lists"),
            ("pier -d run i", "unknown flag: -d", "before the command", "pier run -d IMAGE"),
            ("pier -H tcp://x ps", "unknown flag: -H", "pier has none", "leave it out"),
            ("pier rm", "`pier rm` needs more words", "CONTAINER... is missing", "usage: pier rm"),
            ("pier ps web", "was given a word too many: 'web'", "", "usage: pier ps"),
            (
                "pier run --stop-timeout soon i",
                "\"soon\" for --stop-timeout",
                "invalid digit",
                "--help",
            ),
            ("pier pull --progress loud i", "\"loud\" for --progress", "", "one of: auto"),
            ("pier logs --tail", "--tail NUMBER needs a value", "", "`pier logs --help`"),
        ] {
            let parts = said(line);
            for (part, wanted) in parts.iter().zip([what, why, fix]) {
                assert!(part.contains(wanted), "{line}: {parts:?} has no {wanted}");
            }
        }
    }
}
