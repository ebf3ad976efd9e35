//! `seccomp diff`: for which calls two profiles do different things.

use std::fmt::Write as _;
use std::path::Path;

use corten_seccomp::FLAGS;
use corten_seccomp::tools::{Change, Difference, diff as differences};
use serde_json::{Value, json};

use super::input::Input;
use super::{Answer, arguments, misuse, pretty, words};
use crate::cli::seccomp::Diff;

/// Numbers of a change that are looked up; above there are no names.
const NAMED: u32 = 8192;

/// The differences; the code is 1 when there are any.
///
/// # Errors
/// A profile that cannot be read or compiled.
pub(super) fn diff(args: &Diff) -> Answer {
    if args.before == Path::new("-") && args.after == Path::new("-") {
        return Err(misuse("-", "standard input can be one of the two profiles only"));
    }
    let read = |path: &Path| Input::read(path, &args.host)?.filter();
    let found = differences(&read(&args.before)?, &read(&args.after)?);
    let code = u8::from(!found.is_empty());
    if args.host.json {
        let entries: Vec<_> = found.iter().map(entry).collect();
        return Ok((pretty(&json!(entries))?, code));
    }
    let mut text = String::new();
    let mut arch = "";
    for line in grouped(&found) {
        if line.arch != arch {
            arch = line.arch;
            let _ = writeln!(text, "{arch}:");
        }
        let indent = if line.arch.is_empty() { "" } else { "  " };
        let _ = writeln!(text, "{indent}{}", line.text);
    }
    Ok((text, code))
}

struct Line {
    /// The architecture; empty for what belongs to none.
    arch: &'static str,
    text: String,
}

/// One line for all calls of an architecture that change alike.
fn grouped(found: &[Difference]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut alike: Vec<(&Change, Vec<String>)> = Vec::new();
    for difference in found {
        let text = match difference {
            Difference::Calls(change) => {
                let same = |other: &&mut (&Change, Vec<String>)| {
                    other.0.arch == change.arch
                        && other.0.args.is_none()
                        && (other.0.before, other.0.after) == (change.before, change.after)
                        && change.args.is_none()
                        && !(other.0.unsure || change.unsure)
                };
                match alike.iter_mut().find(same) {
                    Some((_, names)) => names.extend(names_of(change)),
                    None => alike.push((change, names_of(change))),
                }
                continue;
            }
            Difference::ArchRemoved(arch) => {
                format!("{}: only in the first; the second kills its calls", arch.name)
            }
            Difference::ArchAdded(arch) => {
                format!("{}: only in the second; the first kills its calls", arch.name)
            }
            Difference::Flags(before, after) => {
                format!("flags: {} -> {}", flags(*before), flags(*after))
            }
            Difference::Listener => "listenerPath or listenerMetadata differ".to_owned(),
        };
        lines.push(Line { arch: "", text });
    }
    lines.extend(alike.into_iter().map(|(change, names)| {
        let names = names.join(", ");
        let actions = format!("{} -> {}", words(change.before), words(change.after));
        let text = match change.args {
            _ if change.unsure => format!("{names}: too many conditions to compare"),
            Some(args) => format!("{names}({}): {actions}", arguments(&args)),
            None => format!("{names}: {actions}"),
        };
        Line { arch: change.arch.name, text }
    }));
    lines
}

/// Names, and ranges of numbers that have none.
fn names_of(change: &Change) -> Vec<String> {
    let mut names = Vec::new();
    let mut nameless: Option<u32> = None;
    let range = |from: u32, to: u32| match from == to {
        true => from.to_string(),
        false => format!("{from}-{to}"),
    };
    let last = change.last.min(change.first.saturating_add(NAMED));
    for nr in change.first..=last {
        match (change.arch.call(nr), nameless) {
            (Some(name), from) => {
                names.extend(from.map(|from| range(from, nr - 1)));
                nameless = None;
                names.push(name.to_owned());
            }
            (None, None) => nameless = Some(nr),
            (None, Some(_)) => {}
        }
    }
    if last < change.last || nameless.is_some() {
        names.push(range(nameless.unwrap_or(last + 1), change.last));
    }
    names
}

fn flags(bits: u64) -> String {
    let names: Vec<_> = FLAGS.iter().filter(|flag| bits & flag.1 != 0).map(|flag| flag.0).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn entry(difference: &Difference) -> Value {
    match difference {
        Difference::Calls(change) => json!({
            "kind": "calls",
            "architecture": change.arch.name,
            "first": change.first,
            "last": change.last,
            "names": names_of(change),
            "before": change.before.to_string(),
            "after": change.after.to_string(),
            "args": change.args,
            "unsure": change.unsure,
        }),
        Difference::ArchRemoved(arch) => {
            json!({ "kind": "architecture-removed", "architecture": arch.name })
        }
        Difference::ArchAdded(arch) => {
            json!({ "kind": "architecture-added", "architecture": arch.name })
        }
        Difference::Flags(before, after) => {
            json!({ "kind": "flags", "before": flags(*before), "after": flags(*after) })
        }
        Difference::Listener => json!({ "kind": "listener" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_seccomp::{Action, Arch};

    #[test]
    fn numbers_have_names_and_ranges_without() {
        let change = |first, last| Change {
            arch: Arch::named("SCMP_ARCH_X86_64").unwrap(),
            first,
            last,
            before: Action::ALLOW,
            after: Action::ENOSYS,
            args: None,
            unsure: false,
        };
        assert_eq!(names_of(&change(0, 2)), ["read", "write", "open"]);
        assert_eq!(
            names_of(&change(333, 425)),
            [
                "io_pgetevents",
                "rseq",
                "uretprobe",
                "uprobe",
                "337-423",
                "pidfd_send_signal",
                "io_uring_setup"
            ]
        );
        assert_eq!(names_of(&change(5000, 0x3fff_ffff)), ["5000-1073741823"]);
        assert_eq!(names_of(&change(9000, 9000)), ["9000"]);
    }
}
