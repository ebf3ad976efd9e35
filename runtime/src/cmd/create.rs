//! `create`, and what `run` and `explain` share with it: from flags to a container that waits.

use std::env;
use std::path::{Path, PathBuf};

use libcontainer::create::{Container, Progress, create_noting};
use libcontainer::host::Host;
use libcontainer::plan::{Options, Plan};
use libcontainer::spec::Spec;
use libcontainer::state::Store;
use libcontainer::{At, Result, Step, verbs};

use crate::cli::{Create, Shape};
use crate::output::Level;
use crate::personality;
use crate::pid_file;
use crate::settings::Settings;
use crate::timings::Timings;

/// Makes a container whose program waits for `start`.
///
/// # Errors
/// Whatever is wrong with the bundle or the host; nothing is left behind.
pub(crate) fn create(args: &Create, settings: &Settings) -> Result<()> {
    let options = Options { detach: true, ..options(&args.shape, settings)? };
    let mut timings = Timings::default();
    let made = make(&args.shape, &options, settings, &mut timings);
    timings.tell(settings);
    made.map(drop)
}

/// Makes the container and writes its pid file.
///
/// # Errors
/// As [`create`].
pub(crate) fn make(
    shape: &Shape,
    options: &Options,
    settings: &Settings,
    timings: &mut Timings,
) -> Result<(Plan, Container)> {
    let plan = timings.measure("plan", || plan(shape, options))?;
    let container = carry_out(&plan, shape, settings, timings)?;
    Ok((plan, container))
}

/// Makes the container of a plan and writes its pid file.
///
/// # Errors
/// As [`create`].
pub(crate) fn carry_out(
    plan: &Plan,
    shape: &Shape,
    settings: &Settings,
    timings: &mut Timings,
) -> Result<Container> {
    settings.keep_runtime_dir()?;
    for warning in &plan.warnings {
        settings.log.say(Level::Warning, warning);
    }
    if let Some(seccomp) = plan.seccomp.as_ref().filter(|_| settings.log.wants(Level::Debug)) {
        // runc's words.
        settings.log.say(Level::Debug, &format!("seccomp filter flags: {}", seccomp.flags));
    }
    let store = Store::new(&settings.root);
    let mut progress = Progress::default();
    let create = || create_noting(plan, &store, &mut progress);
    let made = timings.measure("create", create);
    match &made {
        Ok(container) => timings.steps(&container.times, container.pid()),
        Err(_) => timings.steps(&progress.times, progress.pid),
    }
    let container = made?;
    if let Some(path) = &shape.pid_file {
        // Callers wait for this file; a container they cannot find must not stay.
        pid_file::write(path, container.pid()).inspect_err(|_| undo(&shape.id, settings))?;
    }
    Ok(container)
}

/// Removes a container that did not come to life; that it cannot be removed is not the news.
pub(crate) fn undo(id: &str, settings: &Settings) {
    let warnings = match verbs::delete(&Store::new(&settings.root), id, true) {
        Ok(warnings) => warnings,
        Err(error) => vec![format!("container {id} is left behind: {error}")],
    };
    for warning in warnings {
        settings.log.say(Level::Warning, &warning);
    }
}

/// Reads, looks, decides.
///
/// # Errors
/// As [`create`], before anything is changed.
pub(crate) fn plan(shape: &Shape, options: &Options) -> Result<Plan> {
    let spec = match &shape.config {
        Some(config) => Spec::read(config)?,
        None => Spec::load(&options.bundle)?,
    };
    Plan::build(&spec, &Host::probe_for(&spec)?.with_systemd(options)?, options)
}

/// What the flags and the environment ask for.
///
/// # Errors
/// No current directory.
pub(crate) fn options(shape: &Shape, settings: &Settings) -> Result<Options> {
    let bundle = shape.bundle.as_deref().unwrap_or_else(|| Path::new("."));
    Ok(Options {
        id: shape.id.clone(),
        bundle: std::path::absolute(bundle).at(Step::ReadConfig, || bundle.display())?,
        state_root: settings.root.clone(),
        no_pivot: shape.no_pivot,
        no_new_keyring: shape.no_new_keyring,
        preserve_fds: shape.preserve_fds,
        listen_fds: listen_fds(|name| env::var(name).ok()),
        console_socket: shape.console_socket.clone(),
        pidfd_socket: shape.pidfd_socket.clone(),
        notify_socket: env::var_os("NOTIFY_SOCKET").filter(|s| !s.is_empty()).map(PathBuf::from),
        cgroup_driver: settings.driver,
        rootless: settings.rootless,
        init_name: Some(personality::own().init_name()),
        timings: settings.timings.is_some() || settings.log.wants(Level::Debug),
        ..Options::default()
    })
}

/// How many sockets systemd or its like gave us (sd_listen_fds(3)).
pub(super) fn listen_fds(variable: impl Fn(&str) -> Option<String>) -> u32 {
    let ours = variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
    let count = variable("LISTEN_FDS").filter(|_| ours);
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_only_taken_when_they_were_meant_for_us() {
        let with = |pid: &str, fds: &str| {
            let (pid, fds) = (pid.to_owned(), fds.to_owned());
            listen_fds(move |name| match name {
                "LISTEN_PID" => Some(pid.clone()),
                "LISTEN_FDS" => Some(fds.clone()),
                _ => None,
            })
        };
        let me = std::process::id().to_string();
        assert_eq!(with(&me, "2"), 2);
        assert_eq!(with("1", "2"), 0);
        assert_eq!(with(&me, "-1"), 0);
        assert_eq!(with(&me, "many"), 0);
        assert_eq!(listen_fds(|_| None), 0);
    }
}
