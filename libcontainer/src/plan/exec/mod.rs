//! Decides everything about a further process of a container that exists (`exec`): pure.
//!
//! An `exec` is a `create` of which nearly all is there already. So an [`ExecPlan`] is the
//! [`Plan`] of a container with one process and nothing to make, which enters namespaces instead;
//! `create`'s steps, words and ladder carry it out, in the order of `exec::STEPS`. What `create`
//! knew comes from its record ([`Inherit`]): `config.json` is not read again, and the filter is
//! the one that was compiled for the container.

mod inherit;
mod place;
mod request;
#[cfg(test)]
mod tests;

pub use inherit::{Inherit, SeccompRecord};
pub use place::Sub;
pub use request::{Changes, Request, User, id};

use std::ffi::CString;

use corten_seccomp::Insn;
use oci_spec::runtime::Process;

use crate::error::{Error, Result, Step};
use crate::host::Host;
use crate::plan::namespaces::{Kind, NamespacePlan};
use crate::plan::seccomp::{Listener, SeccompPlan, When};
use crate::plan::security::Grantable;
use crate::plan::{Options, Plan, check, process, sched, security};
use crate::state::State;

/// A container as its records have it: all that the decision needs.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its state.
    pub state: State,
    /// What a further process takes over.
    pub inherit: Inherit,
    /// The compiled filter; empty without one.
    pub filter: Vec<Insn>,
}

/// A further process, decided.
#[derive(Debug)]
pub struct ExecPlan {
    /// The process, as the plan of a container that has everything else.
    pub process: Plan,
    /// The sub-cgroups that were asked for.
    pub subs: Vec<Sub>,
    /// CPUs of the process until it is in its cgroup (`execCPUAffinity.initial`).
    pub first_cpus: Option<Vec<u8>>,
    /// CPUs from then on.
    pub cpus: Cpus,
    /// Sockets that are announced to the program (`LISTEN_FDS`), with its own pid.
    pub listen_fds: u32,
    /// The container may be frozen: its process then waits until it is resumed.
    pub patient: bool,
}

/// On which CPUs a process runs once it is in its cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cpus {
    /// All of the cgroup's: what the caller is confined to is no limit of the container's.
    All,
    /// Those it was born with.
    Inherited,
    /// These (`execCPUAffinity.final`).
    Only(Vec<u8>),
}

impl ExecPlan {
    /// Decides what `request` means for the container of `recorded`, on `host`.
    ///
    /// # Errors
    /// A broken rule of the specification for processes, a request without a program, a number or
    /// name that is none.
    pub fn build(recorded: &Recorded, host: &Host, request: &Request) -> Result<Self> {
        let Recorded { state, inherit, .. } = recorded;
        let spec = request.process(inherit)?;
        let options = Options {
            id: state.id.clone(),
            detach: request.detach,
            console_socket: request.console_socket.clone(),
            init_name: request.init_name.clone(),
            ..Options::default()
        };
        check::check_process(&spec, host, &options)?;
        let Some(asked) = spec.oci.process() else {
            return Err(Error::rule(Step::CheckConfig, "process", "is required"));
        };
        let mut warnings = spec.warnings.clone();
        let (first_cpus, cpus) = affinity(asked)?;
        Ok(Self {
            subs: place::parse(&request.cgroup)?,
            first_cpus,
            cpus,
            listen_fds: request.listen_fds,
            patient: request.ignore_paused,
            process: Plan {
                preserve_fds: request.inherited_fds()?,
                pidfd_socket: request.pidfd_socket.clone(),
                console_socket: options.console_socket.clone(),
                timings: request.timings,
                init_name: super::init_name(&options)?,
                ..plan(recorded, host, asked, &mut warnings)?
            },
        }
        .warn(warnings))
    }

    fn warn(mut self, warnings: Vec<String>) -> Self {
        self.process.warnings = warnings;
        self
    }
}

/// The process in the container; what the caller alone decides is left out.
fn plan(
    recorded: &Recorded,
    host: &Host,
    asked: &Process,
    warnings: &mut Vec<String>,
) -> Result<Plan> {
    let Recorded { state, inherit, .. } = recorded;
    let namespaces = NamespacePlan { enter: inherit.namespaces.clone(), ..Default::default() };
    let user_namespace = namespaces.has(Kind::User);
    // In the container's user namespace we hold every capability.
    let all = u64::MAX >> (63 - u32::from(host.last_cap.min(63)));
    let caps = if user_namespace { all } else { host.caps & all };
    let grantable =
        Grantable { caps, last_cap: host.last_cap, confined: host.lsm.apparmor_confined };
    let security = security::build(asked, grantable, warnings)?;
    let groups = asked.user().additional_gids().iter().flatten().count();
    if !inherit.set_groups && groups > 0 {
        let field = "process.user.additionalGids";
        let why = "cannot set any additional groups in a rootless container";
        return Err(Error::rule(Step::CheckConfig, field, why));
    }
    Ok(Plan {
        id: state.id.clone(),
        bundle: state.bundle.clone(),
        rootfs: state.rootfs.clone(),
        annotations: state.annotations.clone(),
        set_groups: inherit.set_groups,
        seccomp: seccomp(recorded, security.no_new_privileges),
        security: Some(security),
        sched: sched::SchedPlan {
            memory_policy: inherit.memory_policy.clone(),
            personality: inherit.personality,
            ..sched::build(asked, None)?
        },
        process: Some(process::build(asked, &Options::default(), user_namespace)?),
        keyring: inherit.keyring.then(|| keyring(&state.id)).transpose()?,
        namespaces,
        run: true,
        ..Plan::default()
    })
}

/// The session keyring of the container's init, by its name.
fn keyring(id: &str) -> Result<CString> {
    CString::new(format!("_ses.{id}"))
        .map_err(|_| Error::rule(Step::CheckConfig, "id", "has a NUL byte"))
}

/// The container's filter; only the moment of loading is the process's own.
fn seccomp(recorded: &Recorded, no_new_privileges: bool) -> Option<SeccompPlan> {
    let record = recorded.inherit.seccomp.as_ref()?;
    let listener = record.listener.clone();
    Some(SeccompPlan {
        filter: recorded.filter.clone(),
        flags: record.flags,
        when: When::decide(no_new_privileges, listener.is_some()),
        listener: listener
            .map(|listener| Listener { joins: Some(recorded.state.init.pid), ..listener }),
        unknown: Vec::new(),
    })
}

/// `execCPUAffinity`: where the process starts, and where it ends up.
fn affinity(process: &Process) -> Result<(Option<Vec<u8>>, Cpus)> {
    let asked = process.exec_cpu_affinity().as_ref();
    let mask = |member: &str, list: Option<&String>| {
        let list = list.filter(|list| !list.is_empty());
        let field = format!("process.execCPUAffinity.{member}");
        list.map(|list| sched::cpu_mask(&field, list)).transpose()
    };
    let first = mask("initial", asked.and_then(|cpus| cpus.initial().as_ref()))?;
    let last = mask("final", asked.and_then(|cpus| cpus.cpu_affinity_final().as_ref()))?;
    let cpus = match (&first, last) {
        (_, Some(last)) => Cpus::Only(last),
        (Some(_), None) => Cpus::Inherited,
        (None, None) => Cpus::All,
    };
    Ok((first, cpus))
}
