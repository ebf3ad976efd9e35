//! Rewrites an argument vector written for Go's flag parsers into the one clap reads.
//!
//! Callers of runc write `-no-subreaper`, `-bundle=x`, `--flag v`, `--detach=true` and give flags
//! twice; values may begin with a dash or be empty. All of that becomes `--flag` or
//! `--flag=value`. What is a flag, and which flags take a value, is read from the definitions in
//! [`crate::cli`]; nothing is listed here twice. Pure: no environment, no I/O.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, Command};

/// A command line that no definition can make sense of; the text is for the user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misuse {
    pub(crate) text: String,
    /// What could be made of the line before.
    pub(crate) argv: Vec<OsString>,
}

/// `argv` in the form that the definitions of `root` parse.
///
/// Rules, in Go's words and in this order: flags of the runtime stand before the command, flags of
/// a command anywhere after it; the last of several equal flags wins, unless the flag is one that
/// collects values; an empty value is the same as no flag; `--` ends the flags; so does the first positional argument of a command that takes
/// positional arguments with a leading dash (`kill ID -9`).
///
/// # Errors
/// A flag without its value, and a switch whose value is no boolean.
pub(crate) fn normalise(
    root: &Command,
    argv: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, Misuse> {
    let mut input = argv.into_iter();
    let mut line = Line { out: input.next().into_iter().collect(), level: root, start: 1 };
    while let Some(token) = input.next() {
        if token == "--" {
            line.out.push(token);
            break;
        }
        let done = match Flag::split(&token) {
            Some(flag) => match line.flag(&flag, token.clone(), &mut input) {
                Ok(()) => false,
                Err(text) => return Err(Misuse { text, argv: line.out }),
            },
            None => line.positional(token),
        };
        if done {
            break;
        }
    }
    line.out.extend(input);
    Ok(line.out)
}

/// The vector as far as it is rewritten.
struct Line<'a> {
    out: Vec<OsString>,
    /// The definition whose flags are read now: the runtime's, then the command's.
    level: &'a Command,
    /// Where this level's tokens begin in `out`.
    start: usize,
}

impl Line<'_> {
    /// Takes a token that is no flag; true when no flag may follow.
    fn positional(&mut self, token: OsString) -> bool {
        if self.level.has_subcommands() {
            let command = token.to_str().and_then(|name| self.level.find_subcommand(name));
            self.out.push(token);
            let Some(command) = command else { return true };
            self.level = command;
            self.start = self.out.len();
            return false;
        }
        let last = self.level.get_positionals().any(Arg::is_allow_hyphen_values_set);
        if last {
            self.out.push("--".into());
        }
        self.out.push(token);
        last
    }

    /// Takes a flag, and its value from `rest` where it has one.
    fn flag(
        &mut self,
        flag: &Flag<'_>,
        token: OsString,
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), String> {
        let Some(long) = flag.find(self.level) else {
            // Short flags written together, or unknown: clap splits the first, refuses the second.
            self.out.push(if flag.is_help() { "--help".into() } else { token });
            return Ok(());
        };
        let prefix = [b"--", long.name.as_bytes()].concat();
        if !long.repeats {
            self.forget(&prefix);
        }
        if long.takes_value {
            let value = match flag.value {
                Some(value) => value.to_owned(),
                None => {
                    rest.next().ok_or_else(|| format!("flag needs an argument: --{}", long.name))?
                }
            };
            if !value.is_empty() || long.repeats {
                let joined = [&prefix[..], b"=", value.as_bytes()].concat();
                self.out.push(OsString::from_vec(joined));
            }
        } else if flag.switch(long.name)? {
            self.out.push(OsString::from_vec(prefix));
        }
        Ok(())
    }

    /// Drops an earlier use of the same flag: the last one wins.
    fn forget(&mut self, prefix: &[u8]) {
        let start = self.start;
        let mut index = 0;
        self.out.retain(|token| {
            index += 1;
            let rest = token.as_bytes().strip_prefix(prefix);
            index <= start || !rest.is_some_and(|r| r.is_empty() || r.starts_with(b"="))
        });
    }
}

/// A token that begins with a dash, taken apart.
struct Flag<'a> {
    name: &'a str,
    value: Option<&'a OsStr>,
    single_dash: bool,
}

/// The definition that a flag names.
struct Long<'a> {
    name: &'a str,
    takes_value: bool,
    /// Every use counts, as of `exec --env`.
    repeats: bool,
}

impl<'a> Flag<'a> {
    fn split(token: &'a OsStr) -> Option<Self> {
        let bytes = token.as_bytes().strip_prefix(b"-")?;
        let (single_dash, bytes) =
            bytes.strip_prefix(b"-").map_or((true, bytes), |rest| (false, rest));
        let at = bytes.iter().position(|b| *b == b'=').unwrap_or(bytes.len());
        let name = std::str::from_utf8(&bytes[..at]).ok().filter(|name| !name.is_empty())?;
        let value = bytes.get(at + 1..).map(OsStr::from_bytes);
        Some(Self { name, value, single_dash })
    }

    /// The flag's definition at this level, by long name or, after one dash, by its letter.
    fn find<'c>(&self, level: &'c Command) -> Option<Long<'c>> {
        let mut letters = self.name.chars();
        let letter = letters.next().filter(|_| self.single_dash && letters.next().is_none());
        let named = |arg: &Arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long() == Some(self.name) || aliases.contains(&self.name)
        };
        let lettered = |arg: &Arg| {
            let aliases = arg.get_all_short_aliases().unwrap_or_default();
            letter.is_some_and(|l| arg.get_short() == Some(l) || aliases.contains(&l))
        };
        let arg = level.get_arguments().find(|arg| named(arg) || lettered(arg))?;
        let action = arg.get_action();
        let repeats = matches!(action, clap::ArgAction::Append);
        Some(Long { name: arg.get_long()?, takes_value: action.takes_values(), repeats })
    }

    /// clap adds help to the definitions only when it parses.
    fn is_help(&self) -> bool {
        self.value.is_none() && (self.name == "help" || (self.single_dash && self.name == "h"))
    }

    /// The value of a switch: Go allows `--detach=true` and its like.
    fn switch(&self, long: &str) -> Result<bool, String> {
        let Some(value) = self.value else { return Ok(true) };
        match value.as_bytes() {
            b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Ok(true),
            b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Ok(false),
            _ => Err(format!(
                "invalid boolean value {:?} for --{long}: use true or false",
                value.to_string_lossy()
            )),
        }
    }
}

#[cfg(test)]
mod tests;
