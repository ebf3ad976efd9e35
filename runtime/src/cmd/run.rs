//! `run`: create and start, then wait in the foreground or leave.

use std::os::fd::AsFd;

use libcontainer::create::Container;
use libcontainer::plan::{Options, Plan};
use libcontainer::{At, Step};

use crate::cli::Run;
use crate::cmd::{create, start};
use crate::foreground::{Foreground, Init};
use crate::output::Failure;
use crate::settings::Settings;
use crate::timings::Timings;

/// Returns the exit code: the program's in the foreground, 0 when detached.
///
/// # Errors
/// Those of `create` and `start`; the container is removed then.
pub(crate) fn run(args: &Run, settings: &Settings) -> Result<u8, Failure> {
    let options = Options {
        run: !args.detach,
        detach: args.detach,
        ..create::options(&args.shape, settings)?
    };
    let mut timings = Timings::default();
    // Before the container: a signal that arrives meanwhile is for it.
    let foreground = match args.detach {
        true => None,
        false => Some(Foreground::begin(!args.no_subreaper)?),
    };
    let made = create::make(&args.shape, &options, settings, &mut timings);
    let (plan, container) = made.inspect_err(|_| timings.tell(settings))?;
    let ended = match foreground {
        Some(foreground) => stay(foreground, &plan, container, settings, timings),
        None => leave(&args.shape.id, settings, timings),
    };
    let stays = args.keep || (args.detach && ended.is_ok());
    if !stays {
        create::undo(&args.shape.id, settings);
    }
    ended
}

/// Starts the program and waits for its end.
///
/// # Errors
/// The program could not be executed.
pub(crate) fn stay(
    mut foreground: Foreground,
    plan: &Plan,
    mut container: Container,
    settings: &Settings,
    mut timings: Timings,
) -> Result<u8, Failure> {
    if let Some(master) = container.console.take() {
        foreground.attach(master)?;
    }
    foreground.watch(start::proxy(&container.state.dir, &settings.log));
    let started = timings.measure("start", || container.start(plan));
    timings.tell(settings);
    started.map_err(Failure::of_start)?;
    let gone = || std::io::Error::from_raw_os_error(libc::ECHILD);
    let pidfd = container.pidfd().ok_or_else(gone).at(Step::Wait, || "init")?;
    let init = Init { pid: container.pid(), pidfd: pidfd.as_fd() };
    Ok(foreground.wait(&init, &settings.log)?)
}

/// Starts the program and leaves it.
fn leave(id: &str, settings: &Settings, mut timings: Timings) -> Result<u8, Failure> {
    let started = timings.measure("start", || start::by_id(id, settings));
    timings.tell(settings);
    started.map(|()| 0)
}
