//! `seccomp lint`: what is probably not meant.

use std::fmt::Write as _;

use corten_seccomp::tools::{Finding, Severity, lint as findings};
use serde_json::json;

use super::input::Input;
use super::{Answer, pretty};
use crate::cli::seccomp::Lint;

/// What was found, the worst first; the code is 1 when there are errors.
///
/// # Errors
/// A profile that cannot be read.
pub(super) fn lint(args: &Lint) -> Answer {
    let input = Input::read(&args.profile, &args.host)?;
    let mut found = findings(&input.profile, input.host, input.kernel);
    // The filter is loaded last then.
    found.retain(|finding| finding.code != "runtime" || !input.no_new_privileges);
    for finding in &mut found {
        finding.at = input.in_file(&finding.at);
    }
    let count = |severity| found.iter().filter(|f| f.severity == severity).count();
    let errors = count(Severity::Error);
    let code = u8::from(errors > 0);
    if args.host.json {
        let entry = |finding: &Finding| {
            let (line, column) = input.place(&finding.at);
            let mut entry = json!(finding);
            (entry["line"], entry["column"]) = (json!(line), json!(column));
            entry
        };
        let entries: Vec<_> = found.iter().map(entry).collect();
        return Ok((pretty(&json!(entries))?, code));
    }
    let mut text = String::new();
    for Finding { severity, code, at, problem, remedy } in &found {
        let (line, column) = input.place(at);
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let at = if at.is_empty() { String::new() } else { format!("{at}: ") };
        let _ =
            writeln!(text, "{}:{line}:{column}: {severity}: {at}{problem} [{code}]", input.name);
        let _ = writeln!(text, "    {remedy}");
    }
    let (warnings, notes) = (count(Severity::Warning), count(Severity::Note));
    let of = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    let _ = writeln!(
        text,
        "{}: {}, {}, {}",
        input.name,
        of(errors, "error"),
        of(warnings, "warning"),
        of(notes, "note")
    );
    Ok((text, code))
}
