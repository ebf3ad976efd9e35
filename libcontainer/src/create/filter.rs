//! The system call filter: loaded by init, its notifications handed on by the parent.
//!
//! As little as possible runs under a filter. After an early one: prctl, setgroups and its like,
//! capset, chdir, stat, faccessat, read and write; runc asks the same of a profile. After a late
//! one: execve alone, unless the container has hooks of its own: those come from its image and are
//! under the filter as its program is.
//!
//! Init does not send the listener's descriptor, as a filter may be in the way of sendmsg: it
//! writes the number, and the parent takes the descriptor (pidfd_getfd(2)) and passes it on
//! before it listens to init again, which may by then wait for an answer.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::console::{FdSocket, Purpose};
use crate::create::gate::say;
use crate::create::init::{Init, Outcome, fail};
use crate::create::protocol::Said;
use crate::error::{At, Error, Result, Step};
use crate::plan::Plan;
use crate::plan::hooks::Kind;
use crate::plan::seccomp::{Listener, When};
use crate::state::OCI_VERSION;
use crate::state::oci::HookState;
use crate::sys::clone::{self, Child};
use crate::sys::seccomp;

/// Without no_new_privs.
pub fn before_capabilities(init: &mut Init<'_>) -> Outcome {
    load(init, When::BeforeCapabilities)
}

/// With no_new_privs and a listener.
pub fn before_start(init: &mut Init<'_>) -> Outcome {
    load(init, When::BeforeStart)
}

/// With no_new_privs and hooks that run after `start`.
pub fn before_hooks(init: &mut Init<'_>) -> Outcome {
    load(init, When::BeforeHooks)
}

/// With no_new_privs.
pub fn before_exec(init: &mut Init<'_>) -> Outcome {
    load(init, When::BeforeExec)
}

fn load(init: &mut Init<'_>, now: When) -> Outcome {
    let Some(plan) = init.plan.seccomp.as_ref().filter(|plan| plan.when == now) else {
        return Ok(());
    };
    match seccomp::set_filter(&plan.filter, plan.flags) {
        Ok(None) => Ok(()),
        Ok(Some(listener)) => {
            say(init.kit, &Said::Listener(listener.as_raw_fd()), None);
            // Left open: the parent may not have it yet; execve closes it.
            let _number = listener.into_raw_fd();
            Ok(())
        }
        Err(e) => fail(Step::Seccomp, 0, &e),
    }
}

/// What `listenerPath` receives (runtime-spec, config-linux.md, "The Container Process State").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'a str,
    fds: [&'a str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: Value,
}

/// Takes descriptor `number` of init and sends it to the plan's listener.
///
/// # Errors
/// No rights over init's descriptors; a listener that is not there or does not receive.
pub fn hand_over(plan: &Plan, init: &Child, number: i32) -> Result<()> {
    let listener = plan.seccomp.as_ref().and_then(|plan| plan.listener.as_ref());
    let Some(listener) = listener else {
        return Err(Error::rule(Step::Seccomp, "listener", "init has one that the plan has not"));
    };
    let file: OwnedFd = clone::pidfd_getfd(&init.pidfd, number)
        .at(Step::Seccomp, || "notification descriptor of init")
        .map_err(|e| e.hint("taking it needs CAP_SYS_PTRACE, as with runc"))?;
    let message = message(plan, init.pid, listener);
    let message = message.map_err(std::io::Error::from).at(Step::Seccomp, || "state")?;
    FdSocket::connect(Purpose::Listener, Path::new(&listener.path))?
        .send_listener(message.as_bytes(), &file)
}

fn message(plan: &Plan, pid: i32, listener: &Listener) -> serde_json::Result<String> {
    let metadata = listener.metadata.as_deref().unwrap_or_default();
    let state = HookState { id: &plan.id, bundle: &plan.bundle, annotations: &plan.annotations };
    // A container that is joined runs, and its pid is that of its own init.
    let state = match listener.joins {
        Some(init) => state.json(Kind::Poststart, init),
        None => state.json(Kind::CreateRuntime, pid),
    };
    serde_json::to_string(&ContainerProcessState {
        oci_version: OCI_VERSION,
        fds: ["seccompFd"],
        pid,
        metadata,
        state: serde_json::from_slice(&state)?,
    })
}
