//! `top`: the processes of a container, as the host's ps(1) shows them.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use libcontainer::verbs;

use super::Container;
use super::state::{State, Status};
use crate::Context;
use crate::error::{Error, Result, What};
use crate::format::columns;

/// `top`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Options of ps(1); -ef without
    #[arg(value_name = "PS OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Prints the processes of a container.
///
/// # Errors
/// It does not run; the host has no ps(1), or the options hide the column PID.
pub fn top(context: &Context, args: &Args) -> Result<u8> {
    let container = Container::find(context, &args.container)?;
    let state = container.state()?;
    if !matches!(state.status, Status::Running | Status::Paused) {
        return Err(Error::new(format!("container {} is not running", container.id)));
    }
    let pids = pids(context, &container, &state)?;
    let mut command = Command::new("ps");
    match args.options.is_empty() {
        true => command.arg("-ef"),
        false => command.args(&args.options),
    };
    let listed = command.output().what(|| "cannot run ps".into())?;
    if !listed.status.success() {
        let words = String::from_utf8_lossy(&listed.stderr).trim().to_owned();
        return Err(Error::new("cannot list processes").why(format!("ps: {words}")));
    }
    let table = select(&String::from_utf8_lossy(&listed.stdout), &pids)?;
    crate::cli::print(&columns(&table))?;
    Ok(0)
}

fn pids(context: &Context, container: &Container, state: &State) -> Result<BTreeSet<i32>> {
    if container.record()?.flags.basics.runtime.is_none() {
        let pids = verbs::ps(&Container::store(context), &container.id)?;
        return Ok(pids.into_iter().collect());
    }
    // Of another runtime: everybody in the cgroup of the first process.
    let cgroup = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).ok();
    let own = cgroup(&state.pid().to_string()).unwrap_or_default();
    let entries = fs::read_dir("/proc").what(|| "cannot read /proc".into())?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| cgroup(pid).as_ref() == Some(&own))
        .filter_map(|pid| pid.parse().ok())
        .collect())
}

/// The heading and the lines whose column PID is one of these; cells with tabs between.
fn select(text: &str, pids: &BTreeSet<i32>) -> Result<String> {
    let mut lines = text.lines();
    let heading: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let at = heading.iter().position(|name| *name == "PID").ok_or_else(|| {
        Error::new("couldn't find PID field in ps output").fix("let ps show the column pid")
    })?;
    let mut out = heading.join("\t") + "\n";
    for line in lines {
        // The last column is the command, with blanks in it.
        let mut cells = Vec::with_capacity(heading.len());
        let mut rest = line.trim_start();
        while cells.len() + 1 < heading.len() {
            let Some((cell, more)) = rest.split_once(char::is_whitespace) else { break };
            cells.push(cell);
            rest = more.trim_start();
        }
        cells.push(rest);
        if cells.get(at).and_then(|pid| pid.parse().ok()).is_some_and(|pid| pids.contains(&pid)) {
            out.push_str(&cells.join("\t"));
            out.push('\n');
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_lines_and_whole_commands() {
        let text = "UID   PID  CMD\nroot    1  init x\nroot  777  sh -c  'a b'\n";
        let table = select(text, &[777].into()).unwrap();
        assert_eq!(table, "UID\tPID\tCMD\nroot\t777\tsh -c  'a b'\n");
        assert!(select("UID CMD\n", &[1].into()).is_err());
    }
}
