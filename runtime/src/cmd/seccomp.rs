//! `seccomp`: the tools for profiles, one file each. What they find out is [`corten_seccomp::tools`].
//!
//! Exit codes are those of grep and diff: 0 and 1 answer the question, 2 means that it could not
//! be answered.

mod agent;
mod check;
mod diff;
mod explain;
mod input;
mod lint;
mod place;
mod record;

use corten_seccomp::Action;
use libcontainer::{At, Error, Result, Step};
use nix::errno::Errno;
use serde::Serialize;

use crate::cli::seccomp::{Seccomp, Tool};
use crate::cmd::print;
use crate::output::Failure;
use crate::settings::Settings;

/// Runs a tool; returns the exit code.
///
/// # Errors
/// A profile that cannot be read or compiled: with code 2.
pub(crate) fn seccomp(args: &Seccomp, settings: &Settings) -> Result<u8, Failure> {
    let answer = match &args.tool {
        Tool::Explain(args) => explain::explain(args),
        Tool::Check(args) => check::check(args),
        Tool::Lint(args) => lint::lint(args),
        Tool::Diff(args) => diff::diff(args),
        Tool::Record(args) => return record::record(args, settings),
    };
    let said = answer.and_then(|(text, code)| print(&text).map(|()| code));
    said.map_err(|error| Failure { code: 2, ..Failure::from(error) })
}

/// What a tool prints, and its exit code.
type Answer = Result<(String, u8)>;

/// Two spaces a level, and a newline at the end.
fn pretty(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from);
    Ok(text.at(Step::Output, || "json")? + "\n")
}

/// A question that makes no sense.
fn misuse(on: impl std::fmt::Display, cause: impl Into<String>) -> Error {
    Error::rule(Step::Seccomp, on, cause)
}

/// The action with the name of its errno: `SCMP_ACT_ERRNO(1) EPERM`.
fn words(action: Action) -> String {
    match errno(action) {
        Some(errno) => format!("{action} {errno}"),
        None => action.to_string(),
    }
}

/// The name of the errno that a call fails with.
fn errno(action: Action) -> Option<String> {
    let number = i32::try_from(action.data().filter(|_| action.is_errno())?).ok()?;
    let name = format!("{:?}", Errno::from_raw(number));
    (name != "UnknownErrno").then_some(name)
}

/// The number of an errno's name.
fn errno_number(name: &str) -> Option<u32> {
    let names = |number: &i32| format!("{:?}", Errno::from_raw(*number)) == name;
    let number = (1..4096).find(names).filter(|_| name != "UnknownErrno")?;
    u32::try_from(number).ok()
}

/// Arguments as people write them: small ones decimal.
fn arguments(args: &[u64; 6]) -> String {
    let word = |arg: &u64| if *arg < 4096 { arg.to_string() } else { format!("{arg:#x}") };
    let last = args.iter().rposition(|arg| *arg != 0).map_or(1, |at| at + 1);
    args[..last].iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_have_the_name_of_their_errno() {
        assert_eq!(words(Action(0x0005_0001)), "SCMP_ACT_ERRNO(1) EPERM");
        assert_eq!(words(Action(0x0005_0fff)), "SCMP_ACT_ERRNO(4095)");
        assert_eq!(words(Action::ALLOW), "SCMP_ACT_ALLOW");
        assert_eq!(errno_number("ENOSYS"), Some(38));
        assert_eq!(errno_number("EWHAT"), None);
        assert_eq!(errno_number("UnknownErrno"), None);
    }

    #[test]
    fn arguments_end_with_the_last_that_is_not_zero() {
        assert_eq!(arguments(&[1, 0, 0x1_0000, 0, 0, 0]), "1, 0, 0x10000");
        assert_eq!(arguments(&[0; 6]), "0");
    }
}
