//! One process for each container that runs: it creates the container, keeps its streams and its
//! log, serves who attaches, writes down how it ended, starts it again when it should.
//!
//! It is started by `run`, `start` and `restart` as `pier monitor ID`, with one end of a socket as
//! its stdin: the first client ([`wire`]). It has one thread and one poll loop ([`watch`]). Its
//! death harms nothing but its container's future: what it leaves on disk tells the next command.

pub mod attach;
mod clients;
pub mod console;
pub(crate) mod keys;
pub mod launch;
pub mod log;
pub mod policy;
pub mod prepare;
mod shm;
pub(crate) mod terminal;
mod watch;
pub mod wire;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use libcontainer::state::process::ProcessId;
use libcontainer::sys::cred;
use libcontainer::sys::signal::{self, SigSet};

use crate::Context;
use crate::container::Container;
use crate::error::{Error, Result, What};
use wire::{Connection, Up, Wants};

/// Starts the monitor of a container; it says over the connection how the start went.
///
/// # Errors
/// This program's file cannot be executed any more.
pub fn spawn(context: &Context, id: &str, wants: Wants) -> Result<Connection> {
    let what = || "cannot start the container's monitor".into();
    let (ours, theirs) = wire::pair()?;
    ours.say(&Up::Hello(wants))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg("--root").arg(&context.paths.root).arg("--run-root").arg(&context.paths.run);
    // A sealed program does not know its own path any more: see `--init`.
    let program = std::env::current_exe().what(what)?;
    command
        .args(["monitor", id])
        .arg(program)
        .stdin(theirs)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.current_dir("/").spawn().what(what)?;
    Ok(ours)
}

/// The monitor: returns when the container has ended for good.
///
/// # Errors
/// Only before anybody can be told; everything later is told to the clients.
pub fn main(context: &Context, id: &str, program: &Path) -> Result<u8> {
    let first = std::io::stdin().as_fd().try_clone_to_owned().what(|| "stdin is closed".into())?;
    let null = File::open("/dev/null").what(|| "cannot open /dev/null".into())?;
    rustix::stdio::dup2_stdin(null).what(|| "cannot replace stdin".into())?;
    let signals = settle()?;
    let container = Container::of(context, id);
    match watch::Monitor::new((context, program), container, signals) {
        Ok(monitor) => Ok(monitor.live(first)),
        Err(error) => {
            refuse(&first, &error);
            Err(error)
        }
    }
}

/// Makes a process of its own of us: no terminal, orphans come here, signals arrive as data.
fn settle() -> Result<OwnedFd> {
    let what = || "cannot become a monitor".into();
    // A leader already has a session of its own.
    let _ = cred::setsid();
    cred::set_subreaper(true).what(what)?;
    // Its name goes to the container's first process too, until the program runs.
    cred::set_name(c"pier:monitor").what(what)?;
    cred::umask(0o022);
    let all = [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGPIPE];
    signal::set_mask(SigSet::of(&all)).what(what)?;
    signal::signalfd(SigSet::of(&all)).what(what)
}

fn refuse(client: &OwnedFd, error: &Error) {
    let packet = wire::Down::Failed(error.into()).encode();
    // The client may have gone; then nobody is there to hear.
    let _ = rustix::net::send(client, &packet, rustix::net::SendFlags::NOSIGNAL);
}

/// Our own identity.
///
/// # Errors
/// `/proc` is not there.
fn own_id() -> Result<ProcessId> {
    Ok(ProcessId::current()?)
}
