//! `rename` and `port`: the name of a container, and what it publishes.

use super::{Container, names};
use crate::Context;
use crate::error::{Error, FAILURE, Result};
use crate::monitor::wire::{Connection, Down, Up, Wants};

/// `rename`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Its new name
    #[arg(value_name = "NEW_NAME")]
    name: String,
}

/// Gives a container another name.
///
/// # Errors
/// The name is taken, or can be none.
pub fn rename(context: &Context, args: &Args) -> Result<u8> {
    let container = Container::find(context, &args.container)?;
    let _lock = container.lock()?;
    let mut record = container.record()?;
    let new = names::check(&args.name).map_err(|error| error.code(FAILURE))?;
    if new == record.name {
        return Err(Error::new("Renaming a container with the same name as its current name"));
    }
    // The old link goes last: a command that is killed between leaves two names, never none.
    names::claim(&context.paths, &container.id, Some(new)).map_err(|error| error.code(FAILURE))?;
    crate::fsutil::sync_dir(&context.paths.names())?;
    let old = std::mem::replace(&mut record.name, new.to_owned());
    container.save_record(&record).inspect_err(|_| {
        names::release(&context.paths, &container.id, new);
    })?;
    names::release(&context.paths, &container.id, &old);
    changed(&container, new)?;
    Ok(0)
}

/// Brings the state up to date with the record: by its monitor, where there is one.
///
/// # Errors
/// The state cannot be written.
pub fn changed(container: &Container, name: &str) -> Result<()> {
    if let Some(connection) = Connection::open(&container.live)? {
        let said = connection.say(&Up::Hello(Wants::default()));
        if said.and_then(|()| connection.say(&Up::Reread)).is_ok() {
            loop {
                match connection.hear()? {
                    Some(Down::Done) => return Ok(()),
                    Some(Down::Started) => {}
                    _ => break,
                }
            }
        }
    }
    let mut state = container.recorded_state()?;
    name.clone_into(&mut state.name);
    container.save_state(&state)
}

/// `port`.
#[derive(clap::Args, Debug)]
pub struct PortArgs {
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Only this port of the container: NUMBER[/PROTO]
    #[arg(value_name = "PORT")]
    port: Option<String>,
}

/// Prints where the ports of a container are published.
///
/// # Errors
/// The port is not published.
pub fn port(context: &Context, args: &PortArgs) -> Result<u8> {
    let container = Container::find(context, &args.container)?;
    let endpoint = crate::net::endpoint_of(&context.paths, &container.id)?;
    let bindings = endpoint.map(|endpoint| endpoint.ports).unwrap_or_default();
    let Some(asked) = &args.port else {
        let lines = bindings.iter().map(|b| format!("{} -> {}\n", b.port, b.host()));
        return crate::cli::print(&lines.collect::<String>()).map(|()| 0);
    };
    let asked = if asked.contains('/') { asked.clone() } else { format!("{asked}/tcp") };
    let found = bindings.iter().filter(|binding| binding.port.to_string() == asked);
    let lines: String = found.map(|binding| format!("{}\n", binding.host())).collect();
    if lines.is_empty() {
        let why = format!("no public port '{asked}' published for {}", args.container);
        return Err(Error::new(why));
    }
    crate::cli::print(&lines).map(|()| 0)
}
