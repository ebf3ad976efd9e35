//! `rm` and `container prune`: what is left of containers goes.

use std::fs;
use std::time::Duration;

use libcontainer::sys::fd::{PollFd, poll};
use std::os::fd::AsFd;

use super::state::Status;
use super::{Container, each, names, signal};
use crate::Context;
use crate::error::{Error, Result, What};
use crate::format::time::Timestamp;
use crate::fsutil::remove_tree;
use crate::monitor::launch;
use crate::volume;

/// How long a monitor may take to clean up behind itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// `rm`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Kill the container first when it runs; succeed when it does not exist
    #[arg(short, long)]
    force: bool,
    /// Remove its anonymous volumes too
    #[arg(short, long)]
    volumes: bool,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

/// Removes containers.
///
/// # Errors
/// One that runs, without `--force`; one that does not exist.
pub fn rm(context: &Context, args: &Args) -> Result<u8> {
    each(&args.containers, |word| {
        match Container::find(context, word) {
            Ok(container) => remove(context, &container, args.force, args.volumes)?,
            Err(error) if args.force && error.what.starts_with("No such") => {
                crate::cli::tell(&error);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        crate::cli::print(&format!("{word}\n"))
    })
}

/// Removes one container.
///
/// # Errors
/// It runs and `force` is not set.
pub fn remove(context: &Context, container: &Container, force: bool, volumes: bool) -> Result<()> {
    let state = container.state()?;
    if state.status.is_live() {
        if !force {
            return Err(Error::new(format!("cannot remove container \"/{}\"", state.name))
                .why(format!("container is {}", state.status.word()))
                .fix("stop the container before removing it, or force the removal with -f"));
        }
        match state.status {
            Status::Restarting => signal::end(context, container, None, Some(0))?,
            // It may have ended just now.
            _ => drop(signal::strike(context, container, libc::SIGKILL)),
        }
    }
    let Ok(_lock) = container.lock() else { return Ok(()) };
    wait_for_monitor(container)?;
    if let Ok(record) = container.record() {
        launch::delete(context, &record);
    }
    forget(context, container)?;
    clear(context, container, volumes);
    Ok(())
}

/// Waits until a monitor that has written its last word is gone.
///
/// # Errors
/// It stays.
pub fn wait_for_monitor(container: &Container) -> Result<()> {
    let Some(monitor) = container.recorded_state()?.monitor else { return Ok(()) };
    let Ok(Some(pidfd)) = monitor.open() else { return Ok(()) };
    let limit = i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX);
    let mut fds = [PollFd::new(pidfd.as_fd(), libc::POLLIN)];
    match poll(&mut fds, limit).what(|| "cannot wait for a monitor".into())? {
        0 => Err(Error::new(format!("the monitor of container {} does not end", container.id))
            .why("somebody who is attached does not read")
            .fix(format!("end that client, or kill {}", monitor.pid))),
        _ => Ok(()),
    }
}

/// The container is no more from here on: no name, no id. In one step, so that a command that is
/// killed leaves a container or none.
///
/// # Errors
/// Its directory stays where it is: it is still a container, and `rm` can be said again.
pub fn forget(context: &Context, container: &Container) -> Result<()> {
    if let Ok(record) = container.record() {
        names::release(&context.paths, &container.id, &record.name);
    }
    let what = || format!("cannot remove container {}", container.id);
    fs::rename(&container.dir, gone(context, container)).what(what)
}

/// Removes what [`forget`] has set aside; with `volumes` the anonymous ones too.
pub fn clear(context: &Context, container: &Container, volumes: bool) {
    let record =
        super::read_json::<super::record::Record>(&gone(context, container).join("spec.json"));
    if let Ok(record) = record {
        // A volume that is busy is swept later.
        let _ = volume::release(&context.paths, &container.id, &record.mounts, volumes);
    }
    // The next command sweeps what could not be removed.
    let _ = remove_tree(&gone(context, container));
    let _ = remove_tree(&container.live);
}

fn gone(context: &Context, container: &Container) -> std::path::PathBuf {
    context.paths.containers().join(format!(".gone-{}", container.id))
}

/// `container prune`.
#[derive(clap::Args, Debug)]
pub struct PruneArgs {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only these: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Removes every container that does not run.
///
/// # Errors
/// A filter that does not exist.
pub fn prune(context: &Context, args: &PruneArgs) -> Result<u8> {
    let filters = Filters::parse(&args.filter)?;
    let question = "WARNING! This will remove all stopped containers.";
    if !args.force && !ask(question)? {
        return Ok(0);
    }
    let (text, freed) = prune_stopped(context, &filters)?;
    let freed = crate::format::size::decimal(freed);
    crate::cli::print(&format!("{text}Total reclaimed space: {freed}\n"))?;
    Ok(0)
}

/// Removes the containers that do not run; returns Docker's words and the bytes that were freed.
///
/// # Errors
/// The containers cannot be listed.
pub(crate) fn prune_stopped(context: &Context, filters: &Filters) -> Result<(String, u64)> {
    let (mut removed, mut freed) = (String::new(), 0);
    for id in names::ids(&context.paths)? {
        let container = Container::of(context, &id);
        let Ok(state) = container.state() else { continue };
        if state.status.is_live() || !filters.allow(&state) {
            continue;
        }
        let bytes = crate::fsutil::usage(&container.dir.join("upper")).unwrap_or_default();
        match remove(context, &container, false, false) {
            Ok(()) => {
                removed.push_str(&id);
                removed.push('\n');
                freed += bytes;
            }
            Err(error) => crate::cli::tell(&error),
        }
    }
    let text =
        if removed.is_empty() { removed } else { format!("Deleted Containers:\n{removed}\n") };
    Ok((text, freed))
}

/// Docker's question; nothing but a y is a yes.
///
/// # Errors
/// stdin cannot be read.
pub fn ask(question: &str) -> Result<bool> {
    crate::cli::print(&format!("{question}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).what(|| "cannot read the answer".into())?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What is pruned.
pub(crate) struct Filters {
    until: Option<Timestamp>,
    /// Wanted or not, key, value.
    labels: Vec<(bool, String, Option<String>)>,
}

impl Filters {
    pub(crate) fn parse(list: &[String]) -> Result<Self> {
        let mut filters = Self { until: None, labels: Vec::new() };
        for text in list {
            let bad = || Error::new(format!("invalid filter '{text}'"));
            let (name, value) = text.split_once('=').ok_or_else(bad)?;
            let label = || {
                let (key, value) =
                    value.split_once('=').map_or((value, None), |(k, v)| (k, Some(v)));
                (key.to_owned(), value.map(str::to_owned))
            };
            match name {
                "until" => {
                    let point = Timestamp::point(value, Timestamp::now());
                    filters.until = Some(point.ok_or_else(bad)?);
                }
                "label" => filters.labels.push((true, label().0, label().1)),
                "label!" => filters.labels.push((false, label().0, label().1)),
                _ => return Err(bad().fix("filters are until=, label= and label!=")),
            }
        }
        Ok(filters)
    }

    fn allow(&self, state: &super::state::State) -> bool {
        let old = |until: &Timestamp| {
            Timestamp::parse(&state.created).is_some_and(|created| created < *until)
        };
        let labelled = |(wanted, key, value): &(bool, String, Option<String>)| {
            let found = state.labels.get(key);
            let matches = found.is_some_and(|found| value.as_ref().is_none_or(|v| v == found));
            matches == *wanted
        };
        self.until.as_ref().is_none_or(old) && self.labels.iter().all(labelled)
    }
}
