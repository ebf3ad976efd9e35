//! `ps`: the processes of a container, as pids or as ps(1) shows them.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::process::Command;

use libcontainer::state::Store;
use libcontainer::{At, Error, Result, Step, verbs};

use crate::cli::{self, ListFormat};
use crate::output::Level;
use crate::settings::Settings;

/// The text for stdout.
///
/// # Errors
/// `container does not exist`; there is no ps(1), it refuses its options or shows no pids.
pub(crate) fn ps(args: &cli::Ps, settings: &Settings) -> Result<String> {
    let pids = verbs::ps(&Store::new(&settings.root), &args.id)?;
    if args.format == ListFormat::Json {
        return Ok(json(&pids));
    }
    let usual = [OsString::from("-ef")];
    let options = if args.options.is_empty() { &usual[..] } else { &args.options };
    let (table, complaints) = run(options)?;
    if !complaints.is_empty() {
        settings.log.say(Level::Warning, &format!("ps: {complaints}"));
    }
    filter(&table, &pids)
}

/// Go prints a list that was never filled as `null`, as for `list`.
fn json(pids: &[i32]) -> String {
    let text = if pids.is_empty() { None } else { serde_json::to_string(pids).ok() };
    text.unwrap_or_else(|| "null".to_owned()) + "\n"
}

/// What ps(1) prints, and what it complains of all the same.
fn run(options: &[OsString]) -> Result<(String, String)> {
    let output = match Command::new("ps").args(options).output() {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let words = "exec: \"ps\": executable file not found in $PATH";
            return Err(Error::rule(Step::Ps, "", words)
                .hint("install procps, or use --format json, which needs no ps"));
        }
        other => other.at(Step::Ps, || "exec ps")?,
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (table, complaints) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() {
        return Ok((table, complaints));
    }
    let said = if complaints.is_empty() { &table } else { &complaints };
    let how = output.status.code().map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    Err(Error::rule(Step::Ps, "", format!("ps {}: exit status {how}: {said}", shown(options))))
}

fn shown(options: &[OsString]) -> String {
    options.iter().map(|option| option.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The title and the lines whose pid is among `pids`.
fn filter(table: &str, pids: &[i32]) -> Result<String> {
    let mut lines = table.lines();
    let title = lines.next().unwrap_or_default();
    let column = title.split_whitespace().position(|name| name == "PID").ok_or_else(|| {
        Error::rule(Step::Ps, "", "couldn't find PID field in ps output")
            .hint("use options that show it, such as -ef, aux or -o pid,comm")
    })?;
    let mut text = format!("{title}\n");
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let pid = line.split_whitespace().nth(column).unwrap_or_default();
        let pid: i32 = pid.parse().map_err(io::Error::other).at(Step::Ps, || {
            format!("unable to parse pid {pid:?} (show the pid before columns with blanks)")
        })?;
        if pids.contains(&pid) {
            text.extend([line, "\n"]);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_container_s_lines_are_left() {
        let table = "UID          PID    PPID CMD\nroot           1       0 init\n\nroot         117\
                     \x20      1 a 1 b\nwww          118     117 x\n";
        assert_eq!(
            filter(table, &[118, 117]).unwrap(),
            "UID          PID    PPID CMD\nroot         117       1 a 1 b\nwww          118     117 x\n"
        );
        assert_eq!(filter(table, &[]).unwrap(), "UID          PID    PPID CMD\n");
    }

    #[test]
    fn a_table_without_pids_is_refused() {
        let error = filter("COMMAND\nsh\n", &[1]).unwrap_err();
        assert_eq!(error.to_string(), "couldn't find PID field in ps output");
        assert!(filter("", &[1]).is_err());
        let error = filter("COMMAND PID\na b 1\n", &[1]).unwrap_err().to_string();
        assert!(error.contains("unable to parse pid \"b\""), "{error}");
    }

    #[test]
    fn pids_are_one_line_of_json() {
        assert_eq!(json(&[7, 12]), "[7,12]\n");
        assert_eq!(json(&[]), "null\n");
    }

    #[test]
    fn what_ps_says_when_it_fails_is_told() {
        let error = run(&["--no-such-option".into()]).unwrap_err().to_string();
        assert!(error.starts_with("ps --no-such-option: exit status 1: "), "{error}");
    }
}
