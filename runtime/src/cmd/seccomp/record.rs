//! `seccomp record`: runs a bundle and writes the profile that its run needed.
//!
//! The run is that of `run`, with another filter: every call asks the agent, who lets it go on.
//! The filter is loaded where one that notifies is loaded, the recorded one where it will be:
//! without `noNewPrivileges` before capabilities are dropped, and what the runtime calls from
//! there on is recorded with the rest; with it right before execve, and what comes before is left
//! out, unless there are hooks of the image's, which are under the filter too. A profile of the
//! bundle's own is not in force meanwhile.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use corten_seccomp::Arch;
use corten_seccomp::tools::{Recorded, Recorder};
use libcontainer::plan::seccomp::{Listener, SeccompPlan, When};
use libcontainer::plan::{Options, Plan};
use libcontainer::sys::seccomp::{WAIT_KILLABLE_RECV, knows_flag};
use libcontainer::{At, Result, Step};

use super::agent::Agent;
use super::{misuse, pretty};
use crate::cli::seccomp::Record;
use crate::cmd::{create, run};
use crate::foreground::Foreground;
use crate::output::{Failure, Level};
use crate::settings::Settings;
use crate::timings::Timings;

/// Returns the exit code of the container's program.
///
/// # Errors
/// Those of `run`; a kernel before 5.5; a file that cannot be written.
pub(super) fn record(args: &Record, settings: &Settings) -> Result<u8, Failure> {
    let host = Arch::native().ok_or_else(|| misuse("record", "not on this processor"))?;
    check_output(&args.output)?;
    let options = Options { run: true, ..create::options(&args.shape, settings)? };
    // Before the agent: its thread must not take signals either.
    let foreground = Foreground::begin(!args.no_subreaper)?;
    let mut plan = create::plan(&args.shape, &options)?;
    let late = plan.security.as_ref().is_some_and(|security| security.no_new_privileges)
        && plan.hooks.start_container.is_empty();
    if plan.seccomp.is_some() {
        let text = "linux.seccomp of the bundle is not in force while its calls are recorded";
        settings.log.say(Level::Warning, text);
    }
    let agent = Agent::listen(host, late)?;
    plan.seccomp = Some(watched(host, late, &agent));
    let ended = run_plan(&plan, args, settings, foreground);
    // The container is gone and has nobody left who asks.
    let recorder = agent.finish();
    // A run that failed because of the agent is not the news; otherwise its own failure is.
    let (recorder, code) = (recorder?, ended?);
    write(&recorder, host, args, settings)?;
    Ok(code)
}

/// The filter that asks about everything.
fn watched(host: &Arch, late: bool, agent: &Agent) -> SeccompPlan {
    let watcher = Recorder::watcher(host);
    // A signal must not take a call back that was seen: a Go program interrupts itself faster than
    // it can be answered.
    let killable = if knows_flag(WAIT_KILLABLE_RECV) { WAIT_KILLABLE_RECV } else { 0 };
    SeccompPlan {
        filter: watcher.code,
        flags: watcher.flags | killable,
        when: if late { When::BeforeStart } else { When::BeforeCapabilities },
        listener: Some(Listener { path: agent.path(), metadata: None, joins: None }),
        unknown: Vec::new(),
    }
}

fn run_plan(
    plan: &Plan,
    args: &Record,
    settings: &Settings,
    foreground: Foreground,
) -> Result<u8, Failure> {
    let mut timings = Timings::default();
    let container = create::carry_out(plan, &args.shape, settings, &mut timings)?;
    let ended = run::stay(foreground, plan, container, settings, timings);
    create::undo(&args.shape.id, settings);
    ended
}

/// A run is not repeated gladly: what cannot be written is told before it.
fn check_output(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    let on = || format!("--output {}", path.display());
    let is_dir = fs::metadata(parent).at(Step::Output, on)?.is_dir();
    if !is_dir || path.is_dir() || path.file_name().is_none() {
        return Err(misuse(on(), "is not the name of a file"));
    }
    Ok(())
}

fn write(
    recorder: &Recorder,
    host: &'static Arch,
    args: &Record,
    settings: &Settings,
) -> Result<()> {
    let Recorded { profile, unnamed } = recorder.profile(host);
    for (arch, nr) in unnamed {
        let text = format!("call {nr} of {arch} has no name: the profile will deny it");
        settings.log.say(Level::Warning, &text);
    }
    let on = || format!("--output {}", args.output.display());
    let text = pretty(&profile)?;
    // Whole or not at all.
    let mut part = args.output.clone().into_os_string();
    part.push(format!(".{}", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&part)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&part, &args.output));
    written.inspect_err(|_| drop(fs::remove_file(&part))).at(Step::Output, on)?;
    if settings.log.wants(Level::Info) {
        let count: usize = profile.syscalls.iter().map(|rule| rule.names.len()).sum();
        let text = format!("{count} calls in {}", args.output.display());
        settings.log.say(Level::Info, &text);
    }
    Ok(())
}
