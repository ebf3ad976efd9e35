//! `rm` and `container prune`: what is left of containers goes.

use std::time::{Duration, Instant};

use libcontainer::sys::fd::{PollFd, poll};
use std::os::fd::AsFd;

use super::state::Status;
use super::{Container, each, litter, names, signal};
use crate::Context;
use crate::error::{Error, Result, What};
use crate::format::time::Timestamp;
use crate::monitor::launch;

/// How long a monitor may take to clean up behind itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether the container runs again, in milliseconds.
const GLANCE: i32 = 100;
/// How often a container is ended that others start again.
const ROUNDS: u32 = 100;

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
    // What killed commands left is in nobody's way, but its space shall come back.
    let _ = litter::sweep(context);
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
    // Others may start it again, each time that it was ended.
    for _ in 0..ROUNDS {
        if !container.dir.exists() {
            return Ok(());
        }
        end(context, container, force)?;
        let lock = match container.lock() {
            Err(_) if !container.dir.exists() => return Ok(()),
            lock => lock?,
        };
        if !wait_for_monitor(container)? {
            drop(lock);
            continue;
        }
        if !container.dir.exists() {
            return Ok(());
        }
        let record = container.record().ok();
        launch::delete_id(context, &container.id, record.as_ref());
        forget(context, container, volumes)?;
        clear(context, container, volumes);
        return Ok(());
    }
    Err(Error::new(format!("cannot remove container {}", container.id))
        .why("somebody starts it again and again"))
}

/// Ends what runs, when that may be.
fn end(context: &Context, container: &Container, force: bool) -> Result<()> {
    let state = match container.state() {
        Ok(state) => state,
        // Nobody knows what it was; with force it goes all the same.
        Err(_) if force || !container.dir.exists() => return Ok(()),
        Err(error) => return Err(error),
    };
    if !state.status.is_live() {
        return Ok(());
    }
    if !force {
        return Err(Error::new(format!("cannot remove container \"/{}\"", state.name))
            .why(format!("container is {}", state.status.word()))
            .fix("stop the container before removing it, or force the removal with -f"));
    }
    match state.status {
        Status::Restarting => signal::end(context, container, None, Some(0)),
        // It may have ended just now.
        _ => {
            drop(signal::strike(context, container, libc::SIGKILL));
            Ok(())
        }
    }
}

/// Waits until a monitor that has written its last word is gone: `false` when it has not, and the
/// container runs.
///
/// # Errors
/// It stays.
pub fn wait_for_monitor(container: &Container) -> Result<bool> {
    let begun = Instant::now();
    loop {
        // With --rm it may be gone by now.
        let Ok(state) = container.recorded_state() else { return Ok(true) };
        let Some(monitor) = state.monitor.clone() else { return Ok(true) };
        let Ok(Some(pidfd)) = monitor.open() else { return Ok(true) };
        if state.status.is_live() {
            return Ok(false);
        }
        let mut fds = [PollFd::new(pidfd.as_fd(), libc::POLLIN)];
        match poll(&mut fds, GLANCE).what(|| "cannot wait for a monitor".into())? {
            0 if begun.elapsed() > PATIENCE => {
                let what = format!("the monitor of container {} does not end", container.id);
                return Err(Error::new(what)
                    .why("somebody who is attached does not read")
                    .fix(format!("end that client, or kill {}", monitor.pid)));
            }
            _ => {}
        }
    }
}

/// The container is no more from here on: no id, no name. In one step, so that a command that is
/// killed leaves a container or none; `volumes`: the anonymous ones go with it.
///
/// # Errors
/// Its directory stays where it is: it is still a container, and `rm` can be said again.
pub fn forget(context: &Context, container: &Container, volumes: bool) -> Result<()> {
    match litter::set_aside(context, container, volumes) {
        // Somebody else was faster.
        Err(_) if !container.dir.exists() => Ok(()),
        done => done,
    }
}

/// Removes what [`forget`] has set aside, with the same `volumes`.
pub fn clear(context: &Context, container: &Container, volumes: bool) {
    litter::clear(context, &container.id, volumes);
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
    litter::sweep(context)?;
    litter::bury_all(context)?;
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
