//! `start`: lets the program of a created container begin.

use std::env;
use std::os::fd::AsFd;
use std::path::Path;

use libcontainer::notify::{self, Proxy};
use libcontainer::state::Store;
use libcontainer::{At, Step, verbs};

use crate::cli::Container;
use crate::output::{Failure, Level, Log};
use crate::settings::Settings;

/// Returns when the program runs.
///
/// # Errors
/// As [`by_id`].
pub(crate) fn start(args: &Container, settings: &Settings) -> Result<(), Failure> {
    by_id(&args.id, settings)
}

/// Starts; where a service manager waits for the container's readiness, so do we.
///
/// # Errors
/// runc's words for a container in another state; the failure of the execve.
pub(crate) fn by_id(id: &str, settings: &Settings) -> Result<(), Failure> {
    let store = Store::new(&settings.root);
    let start = || verbs::start(&store, id).map(drop).map_err(Failure::of_start);
    let Some(proxy) = proxy(&store.dir(id)?, &settings.log) else { return start() };
    let init = store.load(id)?.init;
    // Before the start: a program may be ready, and gone, at once.
    let Some(pidfd) = init.open().at(Step::Notify, || "init")? else { return start() };
    start()?;
    if let Err(error) = proxy.wait(init.pid, pidfd.as_fd()) {
        settings.log.say(Level::Warning, &error.to_string());
    }
    Ok(())
}

/// Listens for the readiness of the container with this state directory, when it was created for
/// a service manager and there is one. A manager that is gone is no reason not to start.
pub(crate) fn proxy(state_dir: &Path, log: &Log) -> Option<Proxy> {
    let manager = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())?;
    if !notify::host_dir(state_dir).is_dir() {
        return None;
    }
    let listening = Proxy::listen(state_dir, &manager);
    listening.inspect_err(|error| log.say(Level::Warning, &error.to_string())).ok()
}
