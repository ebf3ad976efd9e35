//! `pause` and `unpause`: every process of a container stands still, and goes on.

use libcontainer::verbs;

use super::state::Status;
use super::{Container, each};
use crate::Context;
use crate::error::{Error, Result, What};

/// `pause` and `unpause`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

/// Freezes containers.
///
/// # Errors
/// One that does not run, or is paused already.
pub fn pause(context: &Context, args: &Args) -> Result<u8> {
    each(&args.containers, |word| {
        let container = Container::find(context, word)?;
        match container.state()?.status {
            Status::Running => change(context, &container, true)?,
            Status::Paused => {
                return Err(Error::new(format!("Container {word} is already paused")));
            }
            _ => return Err(Error::new(format!("Container {word} is not running"))),
        }
        crate::cli::print(&format!("{word}\n"))
    })
}

/// Thaws containers.
///
/// # Errors
/// One that is not paused.
pub fn unpause(context: &Context, args: &Args) -> Result<u8> {
    each(&args.containers, |word| {
        let container = Container::find(context, word)?;
        if container.state()?.status != Status::Paused {
            return Err(Error::new(format!("Container {word} is not paused")));
        }
        change(context, &container, false)?;
        crate::cli::print(&format!("{word}\n"))
    })
}

/// Freezes or thaws one container, through the runtime that made it.
///
/// # Errors
/// The kernel refuses.
pub fn change(context: &Context, container: &Container, freeze: bool) -> Result<()> {
    let record = container.record()?;
    let store = Container::store(context);
    match (&record.flags.basics.runtime, freeze) {
        (None, true) => Ok(verbs::pause(&store, &container.id)?),
        (None, false) => Ok(verbs::resume(&store, &container.id)?),
        (Some(program), freeze) => {
            let what = || format!("cannot run {}", program.display());
            let mut command = std::process::Command::new(program);
            command.arg("--root").arg(container.live.join("runtime"));
            let verb = if freeze { "pause" } else { "resume" };
            let done = command.args([verb, &container.id]).output().what(what)?;
            let words = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            if done.status.success() { Ok(()) } else { Err(Error::new(what()).why(words)) }
        }
    }
}
