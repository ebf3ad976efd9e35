//! `wait`: the exit codes of containers, when they have ended.

use super::state::Status;
use super::{Container, each};
use crate::Context;
use crate::error::Result;
use crate::monitor::wire::{Connection, Down, Up, Wants};

/// `wait`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

/// Waits for each container in turn and prints its exit code.
///
/// # Errors
/// A container that does not exist.
pub fn wait(context: &Context, args: &Args) -> Result<u8> {
    each(&args.containers, |word| {
        let code = end_of(&Container::find(context, word)?)?;
        crate::cli::print(&format!("{code}\n"))
    })
}

/// The exit code of a container, waited for.
///
/// # Errors
/// The container is damaged.
pub fn end_of(container: &Container) -> Result<i32> {
    let state = container.state()?;
    if !state.status.is_live() {
        return Ok(if state.status == Status::Created { 0 } else { state.exit_code });
    }
    if let Some(connection) = Connection::open(&container.live)? {
        connection.say(&Up::Hello(Wants::default()))?;
        loop {
            match connection.hear()? {
                Some(Down::Ended(code)) => return Ok(code),
                Some(_) => {}
                None => break,
            }
        }
    }
    // It ended between the two looks; with --rm nothing is left to look at.
    Ok(container.state().map_or(0, |state| state.exit_code))
}
