//! `stop`, `kill` and `restart`.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use libcontainer::sys::clone::pidfd_send_signal;
use libcontainer::sys::fd::{PollFd, poll};
use libcontainer::verbs::{self, parse_signal};

use super::state::{State, Status};
use super::{Container, each, start};
use crate::Context;
use crate::error::{Error, Result, What};
use crate::monitor::wire::{Connection, Down, Up, Wants};

/// Seconds that Docker waits for a container to stop.
const PATIENCE: i64 = 10;
/// How long a container that was killed may take to be gone.
const DEATH: Duration = Duration::from_secs(30);

/// `stop`.
#[derive(clap::Args, Debug)]
pub struct StopArgs {
    /// Signal to send instead of the container's own
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
    /// Seconds to wait before it is killed; -1 waits for ever
    #[arg(
        short,
        long,
        visible_alias = "timeout",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    time: Option<i64>,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

/// Stops containers: a signal, patience, SIGKILL.
///
/// # Errors
/// A container that does not exist, or does not die.
pub fn stop(context: &Context, args: &StopArgs) -> Result<u8> {
    each(&args.containers, |word| {
        let container = Container::find(context, word)?;
        end(context, &container, args.signal.as_deref(), args.time)?;
        crate::cli::print(&format!("{word}\n"))
    })
}

/// `restart`.
#[derive(clap::Args, Debug)]
pub struct RestartArgs {
    #[command(flatten)]
    stop: StopArgs,
}

/// Stops containers and starts them again.
///
/// # Errors
/// As [`stop`] and [`start::start`].
pub fn restart(context: &Context, args: &RestartArgs) -> Result<u8> {
    each(&args.stop.containers, |word| {
        let container = Container::find(context, word)?;
        end(context, &container, args.stop.signal.as_deref(), args.stop.time)?;
        start::begin(context, &container)?;
        crate::cli::print(&format!("{word}\n"))
    })
}

/// Stops one container; nothing happens when it does not run.
///
/// # Errors
/// It does not die.
pub fn end(
    context: &Context,
    container: &Container,
    signal: Option<&str>,
    patience: Option<i64>,
) -> Result<()> {
    let state = container.state()?;
    if !state.status.is_live() {
        return Ok(());
    }
    let record = container.record()?;
    let own = record.stop_signal();
    let number = parse_signal(signal.unwrap_or(&own))?;
    let patience = patience.or(record.flags.basics.stop_timeout).unwrap_or(PATIENCE);
    let Some(connection) = announce(container)? else { return Ok(()) };
    if state.status == Status::Restarting {
        return gone((container, &state), &connection, None);
    }
    if state.status == Status::Paused {
        verbs::resume(&Container::store(context), &container.id)?;
    }
    send(&state, number)?;
    let limit = u64::try_from(patience).ok().map(Duration::from_secs);
    if gone((container, &state), &connection, limit).is_ok() {
        return Ok(());
    }
    send(&state, libc::SIGKILL)?;
    gone((container, &state), &connection, Some(DEATH))
}

/// Tells the monitor that the end is wanted; `None` when it has gone meanwhile.
fn announce(container: &Container) -> Result<Option<Connection>> {
    let Some(connection) = Connection::open(&container.live)? else { return Ok(None) };
    let said =
        connection.say(&Up::Hello(Wants::default())).and_then(|()| connection.say(&Up::Stopping));
    if said.is_err() {
        return Ok(None);
    }
    loop {
        match connection.hear()? {
            Some(Down::Done) => return Ok(Some(connection)),
            Some(Down::Started) => {}
            _ => return Ok(None),
        }
    }
}

/// Waits until the monitor says that the container has ended, whose state was `state`.
fn gone(
    (container, state): (&Container, &State),
    connection: &Connection,
    limit: Option<Duration>,
) -> Result<()> {
    let until = limit.map(|limit| Instant::now() + limit);
    loop {
        let left = until.map_or(-1, |until| {
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            i32::try_from(left).unwrap_or(i32::MAX)
        });
        let mut fds = [PollFd::new(connection.as_fd(), libc::POLLIN)];
        if poll(&mut fds, left).what(|| "cannot wait".into())? == 0 {
            return Err(Error::new(format!("container {} does not end", container.id)));
        }
        match connection.hear()? {
            Some(Down::Ended(_) | Down::Failed(_)) | None => return last_word(container, state),
            Some(_) => {}
        }
    }
}

/// On a full disk the monitor cannot write that the container has ended. Then its own end says so,
/// which comes a little later.
fn last_word(container: &Container, before: &State) -> Result<()> {
    // With --rm it may be gone by now.
    let Ok(now) = container.recorded_state() else { return Ok(()) };
    let Some(monitor) = now.monitor.filter(|_| now.status.is_live() && now.init == before.init)
    else {
        return Ok(());
    };
    let what = || "cannot wait for a monitor".into();
    if let Some(pidfd) = monitor.open().what(what)? {
        let mut fds = [PollFd::new(pidfd.as_fd(), libc::POLLIN)];
        poll(&mut fds, i32::try_from(DEATH.as_millis()).unwrap_or(i32::MAX)).what(what)?;
    }
    Ok(())
}

/// A signal for the first process; that it has ended is as good.
fn send(state: &State, number: i32) -> Result<()> {
    let what = || format!("cannot send signal {number} to container {}", state.id);
    let Some(init) = &state.init else { return Ok(()) };
    let Some(pidfd) = init.open().what(what)? else { return Ok(()) };
    match pidfd_send_signal(&pidfd, number) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        sent => sent.what(what),
    }
}

/// `kill`.
#[derive(clap::Args, Debug)]
pub struct KillArgs {
    /// Signal to send
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL", hide_default_value = true)]
    signal: String,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

/// Sends a signal to containers that run.
///
/// # Errors
/// A container that does not run; a signal that does not exist.
pub fn kill(context: &Context, args: &KillArgs) -> Result<u8> {
    let number = parse_signal(&args.signal)?;
    each(&args.containers, |word| {
        let container = Container::find(context, word)?;
        strike(context, &container, number)?;
        crate::cli::print(&format!("{word}\n"))
    })
}

/// Sends a signal to one container, and waits for its end after SIGKILL.
///
/// # Errors
/// It does not run.
pub fn strike(context: &Context, container: &Container, number: i32) -> Result<()> {
    let state = container.state()?;
    if !matches!(state.status, Status::Running | Status::Paused) {
        return Err(Error::new(format!("Cannot kill container: {}", container.id))
            .why(format!("container {} is not running", container.id)));
    }
    let record = container.record()?;
    let ends = number == libc::SIGKILL || Some(number) == parse_signal(&record.stop_signal()).ok();
    let connection = if ends { announce(container)? } else { None };
    if number == libc::SIGKILL && state.status == Status::Paused {
        // The kernel ends nobody who is frozen.
        verbs::resume(&Container::store(context), &container.id)?;
    }
    send(&state, number)?;
    match connection {
        Some(connection) if number == libc::SIGKILL => {
            gone((container, &state), &connection, Some(DEATH))
        }
        _ => Ok(()),
    }
}
