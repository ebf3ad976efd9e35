//! `exec`: another program in a container that runs, waited for or left.

use std::env;
use std::os::fd::AsFd;

use libcontainer::exec::{self, Joined, Target};
use libcontainer::host::Host;
use libcontainer::plan::exec::{Changes, ExecPlan, Request, id};
use libcontainer::spec::Spec;
use libcontainer::state::Store;
use libcontainer::{At, Result, Step};

use crate::cli::Exec;
use crate::cmd::create::listen_fds;
use crate::foreground::{Foreground, Init};
use crate::output::{Failure, Level};
use crate::personality;
use crate::pid_file;
use crate::settings::Settings;
use crate::timings::Timings;

/// Returns the exit code: the program's in the foreground, 0 when detached.
///
/// # Errors
/// Whatever keeps the program from running, with exit code 255; nothing is left behind.
pub(crate) fn exec(args: &Exec, settings: &Settings) -> Result<u8, Failure> {
    run(args, settings).map_err(Failure::of_exec)
}

fn run(args: &Exec, settings: &Settings) -> Result<u8> {
    let request = request(args, settings)?;
    let target = Target::find(&Store::new(&settings.root), &args.id, args.ignore_paused)?;
    // Before the process: a signal that arrives meanwhile is for it.
    let foreground = match args.detach {
        true => None,
        false => Some(Foreground::begin(false)?),
    };
    let mut timings = Timings::default();
    let plan = timings.measure("plan", || -> Result<ExecPlan> {
        ExecPlan::build(&target.recorded, &Host::probe_rights(true)?, &request)
    })?;
    for warning in &plan.process.warnings {
        settings.log.say(Level::Warning, warning);
    }
    let joined = timings.measure("join", || exec::join(&plan, &target));
    let mut joined = joined.inspect_err(|_| timings.tell(settings))?;
    timings.steps(&joined.times, joined.pid());
    let foreground = match (foreground, joined.console.take()) {
        (Some(mut foreground), Some(master)) => {
            foreground.attach(master)?;
            Some(foreground)
        }
        (foreground, _) => foreground,
    };
    let started = timings.measure("start", || joined.start(&plan));
    timings.tell(settings);
    started?;
    if let Some(path) = &args.pid_file {
        // Callers wait for this file; a process that they cannot find must not stay.
        pid_file::write(path, joined.pid())?;
    }
    joined.release();
    foreground.map_or(Ok(0), |foreground| stay(foreground, &joined, settings))
}

/// Waits for the end of the program.
fn stay(mut foreground: Foreground, joined: &Joined<'_>, settings: &Settings) -> Result<u8> {
    let gone = || std::io::Error::from_raw_os_error(libc::ECHILD);
    let pidfd = joined.pidfd().ok_or_else(gone).at(Step::Wait, || "process")?;
    foreground.wait(&Init { pid: joined.pid(), pidfd: pidfd.as_fd() }, &settings.log)
}

/// What the flags and the environment ask for.
fn request(args: &Exec, settings: &Settings) -> Result<Request> {
    let groups = args.additional_gids.iter().map(|gid| id("gid", gid));
    Ok(Request {
        whole: args.process.as_deref().map(Spec::read_process).transpose()?,
        changes: Changes {
            args: args.args.clone(),
            env: args.env.clone(),
            cwd: args.cwd.clone(),
            terminal: args.tty,
            user: args.user.as_deref().map(str::parse).transpose()?,
            groups: groups.collect::<Result<_>>()?,
            capabilities: args.cap.clone(),
            no_new_privileges: args.no_new_privs.then_some(true),
            apparmor: args.apparmor.clone(),
            label: args.process_label.clone(),
        },
        detach: args.detach,
        console_socket: args.console_socket.clone(),
        pidfd_socket: args.pidfd_socket.clone(),
        preserve_fds: args.preserve_fds,
        listen_fds: listen_fds(|name| env::var(name).ok()),
        cgroup: args.cgroup.clone(),
        ignore_paused: args.ignore_paused,
        timings: settings.timings.is_some() || settings.log.wants(Level::Debug),
        init_name: Some(personality::own().init_name()),
    })
}
