//! `seccomp explain`: the compiled filter, one instruction a line.

use std::fmt::Write as _;

use corten_seccomp::FLAGS;
use corten_seccomp::tools::{Line, explain as lines};
use serde_json::json;

use super::input::Input;
use super::{Answer, misuse, pretty};
use crate::cli::seccomp::Explain;

/// The program.
///
/// # Errors
/// A profile that cannot be read or compiled.
pub(super) fn explain(args: &Explain) -> Answer {
    let input = Input::read(&args.profile, &args.host)?;
    let filter = input.filter()?;
    let program = &filter.program;
    let lines = lines(&program.code, filter.arches());
    let lines = lines.map_err(|fault| misuse(&input.name, fault.to_string()))?;
    let arches: Vec<_> = filter.arches().map(|arch| arch.name).collect();
    let flags = FLAGS.iter().filter(|flag| program.flags & flag.1 != 0).map(|flag| flag.0);
    let flags: Vec<_> = flags.collect();
    if args.host.json {
        let text = pretty(&json!({
            "architectures": arches,
            "flags": flags,
            "unknown": program.unknown,
            "instructions": lines,
        }))?;
        return Ok((text, 0));
    }
    let mut text = format!("; {}: {} instructions\n", input.name, lines.len());
    let _ = writeln!(text, "; {}", arches.join(", "));
    for (title, list) in [("flags", flags.join(", ")), ("unknown", program.unknown.join(", "))] {
        if !list.is_empty() {
            let _ = writeln!(text, "; {title}: {list}");
        }
    }
    lines.iter().for_each(|line| write(&mut text, line));
    Ok((text, 0))
}

fn write(text: &mut String, line: &Line) {
    if !line.begins.is_empty() {
        let _ = writeln!(text, "{}:", line.begins.join(", "));
    }
    let _ = write!(text, "{:5}  {}", line.at, line.text);
    // What comes next anyway is not said.
    match (line.then, line.otherwise) {
        (Some(then), Some(otherwise)) => {
            let _ = write!(text, " goto {then} else {otherwise}");
        }
        (Some(then), None) if then != line.at + 1 => {
            let _ = write!(text, " at {then}");
        }
        _ => {}
    }
    if !line.calls.is_empty() {
        let _ = write!(text, "  ; {}", line.calls.join(", "));
    }
    text.push('\n');
}
