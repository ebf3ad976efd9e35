//! `start` and `attach`: a program of a container that exists.

use super::run::{exit_code, manner, wait_for_start};
use super::state::Status;
use super::{Container, each, litter, rm};
use crate::Context;
use crate::error::{Error, Result};
use crate::monitor;
use crate::monitor::attach::{self, Outcome, Signals};
use crate::monitor::wire::{Connection, Up, Wants};

/// `start`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Attach to stdout and stderr, and pass signals on
    #[arg(short, long)]
    attach: bool,
    /// Attach to stdin
    #[arg(short, long)]
    interactive: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

/// Starts containers that have ended or never ran.
///
/// # Errors
/// Several containers with `-a` or `-i`; whatever keeps the one from starting.
pub fn start(context: &Context, args: &Args) -> Result<u8> {
    if args.attach || args.interactive {
        let [word] = &args.containers[..] else {
            return Err(Error::new("You cannot start and attach multiple containers at once"));
        };
        return start_attached(context, args, word);
    }
    each(&args.containers, |word| {
        begin(context, &Container::find(context, word)?)?;
        crate::cli::print(&format!("{word}\n"))
    })
}

fn start_attached(context: &Context, args: &Args, word: &str) -> Result<u8> {
    let container = Container::find(context, word)?;
    let manner = manner(&container.record()?, args.detach_keys.clone(), true, args.interactive);
    attach::check_terminal(manner.tty, manner.wants.input)?;
    let signals = Signals::begin(true)?;
    let lock = container.lock()?;
    if runs(context, &container)? {
        drop(lock);
        return join(&container, &manner, &signals);
    }
    let connection = monitor::spawn(context, &container.id, manner.wants)?;
    drop(lock);
    ended(&attach::relay(&container, &connection, &manner, &signals)?)
}

/// Starts one container; nothing happens when it runs.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn begin(context: &Context, container: &Container) -> Result<()> {
    let _lock = container.lock()?;
    if container.state()?.status == Status::Paused {
        return Err(Error::new(format!("cannot start container {}", container.id))
            .why("it is paused")
            .fix("unpause it instead"));
    }
    if runs(context, container)? {
        return Ok(());
    }
    let connection = monitor::spawn(context, &container.id, Wants::default())?;
    wait_for_start(&connection)
}

/// Whether it runs. If not, what its last monitor left is gone when this returns. The caller holds
/// the lock.
fn runs(context: &Context, container: &Container) -> Result<bool> {
    litter::bury_locked(context, container);
    if !container.dir.exists() {
        // With --rm it went with its monitor.
        return Err(super::no_such(&container.id));
    }
    Ok(!rm::wait_for_monitor(container)?)
}

/// `attach`.
#[derive(clap::Args, Debug)]
pub struct AttachArgs {
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Do not attach stdin
    #[arg(long)]
    no_stdin: bool,
    /// Pass signals on to the program
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true",
          default_missing_value = "true", hide_default_value = true)]
    sig_proxy: bool,
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
}

/// Attaches to a container that runs; its exit code is ours.
///
/// # Errors
/// It does not run, or is paused.
pub fn attach(context: &Context, args: &AttachArgs) -> Result<u8> {
    let container = Container::find(context, &args.container)?;
    let refuse = |word: &str| Error::new(format!("You cannot attach to a {word} container"));
    match container.state()?.status {
        Status::Running => {}
        Status::Paused => return Err(refuse("paused").fix("unpause it first")),
        Status::Restarting => return Err(refuse("restarting").fix("wait until it is running")),
        _ => return Err(refuse("stopped").fix("start it first")),
    }
    let manner =
        manner(&container.record()?, args.detach_keys.clone(), args.sig_proxy, !args.no_stdin);
    attach::check_terminal(manner.tty, manner.wants.input)?;
    let signals = Signals::begin(args.sig_proxy)?;
    join(&container, &manner, &signals)
}

fn join(container: &Container, manner: &attach::Manner, signals: &Signals) -> Result<u8> {
    let gone = || Error::new(format!("container {} is not running", container.id));
    let connection = Connection::open(&container.live)?.ok_or_else(gone)?;
    connection.say(&Up::Hello(manner.wants))?;
    ended(&attach::relay(container, &connection, manner, signals)?)
}

fn ended(outcome: &Outcome) -> Result<u8> {
    match outcome {
        Outcome::Ended(code) => Ok(exit_code(*code)),
        Outcome::Detached => crate::cli::print("read escape sequence\n").map(|()| 0),
    }
}
