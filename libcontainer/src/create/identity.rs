//! Who the container's program is: names, limits of privilege, user, capabilities.
//!
//! Steps of the init stage: see the rules in `create::init`. Nothing is decided here.

use std::io;

use crate::console;
use crate::create::init::{Init, Outcome, fail};
use crate::create::rootfs::proc;
use crate::error::Step;
use crate::plan::Plan;
use crate::plan::namespaces::Kind;
use crate::plan::process::Limiter;
use crate::sys::{cred, sched};

/// A new session keyring, so that the caller's keys stay the caller's (keyrings(7)).
pub fn join_keyring(init: &mut Init<'_>) -> Outcome {
    let Some(name) = &init.plan.keyring else { return Ok(()) };
    label_keys(init)?;
    match sched::keyctl_join_session(name) {
        // A kernel without key management has no keys to protect.
        Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        Err(e) => fail(Step::Keyring, 0, &e),
        Ok(key) => let_user_search(key).or_else(|e| fail(Step::Keyring, 1, &e)),
    }
}

/// The keyring's label is the program's, or SELinux would keep it from its own keys; execve ends this.
fn label_keys(init: &Init<'_>) -> Outcome {
    let label = init.plan.security.as_ref().and_then(|security| security.selinux.as_ref());
    let Some(label) = label else { return Ok(()) };
    proc::write_self(init.procfs(Step::Keyring)?, c"attr/keycreate", label.as_bytes())
        .or_else(|e| fail(Step::Keyring, KEY_LABEL, &e))
}

/// `item` of a [`Step::Keyring`] failure about its label.
pub const KEY_LABEL: u32 = 2;

/// Processes of the same user, such as those of an `exec`, may join the keyring, as with runc.
fn let_user_search(key: i32) -> io::Result<()> {
    /// `KEY_USR_SEARCH` of keyctl_setperm(3).
    const USER_SEARCH: u32 = 0x0008_0000;
    let mut buffer = [0; 256];
    let len = sched::keyctl_describe(key, &mut buffer)?.min(buffer.len());
    // type;uid;gid;perm;description
    let field = buffer[..len].split(|byte| *byte == b';').nth(3).unwrap_or_default();
    let permissions =
        std::str::from_utf8(field).ok().and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let permissions = permissions.ok_or(io::ErrorKind::InvalidData)?;
    sched::keyctl_setperm(key, permissions | USER_SEARCH)
}

/// Host and domain name of the new uts namespace.
pub fn set_names(init: &mut Init<'_>) -> Outcome {
    let names = &init.plan.names;
    if let Some(host) = &names.hostname {
        cred::sethostname(host.as_bytes()).or_else(|e| fail(Step::Hostname, 0, &e))?;
    }
    if let Some(domain) = &names.domainname {
        cred::setdomainname(domain.as_bytes()).or_else(|e| fail(Step::Hostname, 1, &e))?;
    }
    Ok(())
}

/// Kernel parameters, through the procfs that we mounted ourselves (CVE-2025-52881).
pub fn write_sysctls(init: &mut Init<'_>) -> Outcome {
    for (item, sysctl) in (0..).zip(&init.plan.sysctls) {
        let procfs = init.procfs(Step::Sysctl)?;
        proc::write_proc(procfs, &sysctl.path, sysctl.value.as_bytes())
            .or_else(|e| fail(Step::Sysctl, item, &e))?;
    }
    Ok(())
}

/// Labels take effect at the execve that follows.
pub fn write_labels(init: &mut Init<'_>) -> Outcome {
    let Some(security) = &init.plan.security else { return Ok(()) };
    let labels = [(&security.apparmor, c"attr/apparmor/exec"), (&security.selinux, c"attr/exec")];
    for (item, (label, path)) in (0..).zip(labels) {
        if let Some(label) = label {
            let procfs = init.procfs(Step::Label)?;
            proc::write_self(procfs, path, label.as_bytes())
                .or_else(|e| fail(Step::Label, item, &e))?;
        }
    }
    Ok(())
}

/// No program below can gain privilege by execve (PR_SET_NO_NEW_PRIVS).
pub fn no_new_privileges(init: &mut Init<'_>) -> Outcome {
    if init.plan.security.as_ref().is_some_and(|security| security.no_new_privileges) {
        cred::set_no_new_privs().or_else(|e| fail(Step::Capabilities, NO_NEW_PRIVS, &e))?;
    }
    Ok(())
}

/// Scheduler, I/O priority, memory policy: while CAP_SYS_NICE is still there.
pub fn schedule(init: &mut Init<'_>) -> Outcome {
    let plan = &init.plan.sched;
    if let Some(attr) = &plan.scheduler {
        sched::sched_setattr(attr).or_else(|e| fail(Step::Scheduler, 0, &e))?;
    }
    if let Some(priority) = plan.io_priority {
        sched::ioprio_set(i32::from(priority)).or_else(|e| fail(Step::Scheduler, 1, &e))?;
    }
    if let Some(policy) = &plan.memory_policy {
        sched::set_mempolicy(policy.mode, &policy.nodes)
            .or_else(|e| fail(Step::Scheduler, 2, &e))?;
    }
    Ok(())
}

/// Execution domain (personality(2)).
pub fn set_personality(init: &mut Init<'_>) -> Outcome {
    let Some(domain) = init.plan.sched.personality else { return Ok(()) };
    sched::personality(u64::from(domain)).map(drop).or_else(|e| fail(Step::Personality, 0, &e))
}

/// Stdio belongs to the container's user, as after a login.
pub fn own_stdio(init: &mut Init<'_>) -> Outcome {
    let Some(process) = &init.plan.process else { return Ok(()) };
    console::own_stdio(process.uid).or_else(|e| fail(Step::Fds, 0, &e))
}

/// Resource limits, unless the parent sets them, see [`crate::plan::process::Limiter`].
pub fn limit_resources(init: &mut Init<'_>) -> Outcome {
    let Some(process) = &init.plan.process else { return Ok(()) };
    if process.limiter == Limiter::Init {
        for (item, limit) in (0..).zip(&process.rlimits) {
            sched::setrlimit(limit.resource, limit.soft, limit.hard)
                .or_else(|e| fail(Step::Rlimit, item, &e))?;
        }
    }
    Ok(())
}

/// `item` of a [`Step::Capabilities`] failure that was about no_new_privs.
pub const NO_NEW_PRIVS: u32 = 100;

/// Bounding first: dropping needs CAP_SETPCAP, which the next steps take away.
pub fn drop_bounding(init: &mut Init<'_>) -> Outcome {
    let Some(security) = &init.plan.security else { return Ok(()) };
    for cap in 0..=security.last_cap {
        if security.caps.bounding & (1 << cap) == 0 {
            cred::cap_bounding_drop(u32::from(cap))
                .or_else(|e| fail(Step::Capabilities, u32::from(cap), &e))?;
        }
    }
    Ok(())
}

/// Groups, gid and uid, keeping permitted capabilities over the change of uid.
pub fn become_user(init: &mut Init<'_>) -> Outcome {
    let Some(process) = &init.plan.process else { return Ok(()) };
    cred::umask(process.umask);
    cred::set_keepcaps(true).or_else(|e| fail(Step::User, 0, &e))?;
    if init.plan.set_groups {
        set_groups(init.plan, &process.groups)?;
    }
    cred::setresgid(process.gid, process.gid, process.gid).or_else(|e| fail(Step::User, 2, &e))?;
    cred::setresuid(process.uid, process.uid, process.uid).or_else(|e| fail(Step::User, 3, &e))?;
    cred::set_keepcaps(false).or_else(|e| fail(Step::User, 0, &e))
}

/// A user namespace of somebody else may have given setgroups(2) up (`/proc/PID/setgroups` says
/// `deny`); to a root of that namespace only this is refused. Without groups to set we go on there.
fn set_groups(plan: &Plan, groups: &[u32]) -> Outcome {
    let given_up = |e: &io::Error| {
        let joined = plan.namespaces.has(Kind::User) && !plan.namespaces.is_new(Kind::User);
        joined && groups.is_empty() && e.raw_os_error() == Some(libc::EPERM)
    };
    match cred::setgroups(groups) {
        Err(e) if !given_up(&e) => fail(Step::User, 1, &e),
        _ => Ok(()),
    }
}

/// The four sets of the process; ambient last, it needs the others in place.
pub fn set_capabilities(init: &mut Init<'_>) -> Outcome {
    let Some(security) = &init.plan.security else { return Ok(()) };
    let caps = &security.caps;
    cred::capset(cred::CapSets {
        effective: caps.effective,
        permitted: caps.permitted,
        inheritable: caps.inheritable,
    })
    .or_else(|e| fail(Step::Capabilities, 64, &e))?;
    cred::cap_ambient_clear().or_else(|e| fail(Step::Capabilities, 65, &e))?;
    for cap in (0..=security.last_cap).filter(|cap| caps.ambient & (1 << cap) != 0) {
        cred::cap_ambient_raise(u32::from(cap))
            .or_else(|e| fail(Step::Capabilities, u32::from(cap), &e))?;
    }
    Ok(())
}
