//! The process's side of `exec`, between clone3 and execve: the rules of `create::init` hold.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::create::gate::{self, hear, say};
use crate::create::init::{self, Init, Outcome, Run, errno, fail};
use crate::create::kit::Kit;
use crate::create::protocol::{Detail, Go, Said};
use crate::create::report::Failure;
use crate::create::rootfs::proc::ProcFs;
use crate::create::{filter, identity, inside, stage, tree};
use crate::error::Step;
use crate::plan::exec::{Cpus, ExecPlan};
use crate::plan::namespaces::Kind;
use crate::sys::clone::{self, CloneArgs};
use crate::sys::mount::chroot;
use crate::sys::{cred, sched, signal};

/// What the process is born with.
pub(super) struct Birth<'a> {
    pub(super) plan: &'a ExecPlan,
    pub(super) kit: &'a mut Kit,
    /// `tasks` of each v1 cgroup.
    pub(super) tasks: &'a [OwnedFd],
    /// systemd moves it into the container's unit: it waits for that.
    pub(super) by_unit: bool,
    /// pidfd of the container's init.
    pub(super) init: &'a OwnedFd,
    /// The container's root, where no mount namespace leads to it.
    pub(super) root: Option<&'a OwnedFd>,
    /// Our own procfs, opened with the host's in sight.
    pub(super) procfs: Option<ProcFs>,
}

/// The order after the namespaces are entered: that of `create::init::STEPS`, without what the
/// container has already.
pub(super) static STEPS: &[(Step, Run)] = &[
    (Step::Keyring, identity::join_keyring), // before anything can look at the caller's keys
    (Step::Console, inside::open_console),   // from the container's own devpts
    (Step::Label, identity::write_labels),   // before no_new_privs, which restricts changes
    (Step::Capabilities, identity::no_new_privileges),
    (Step::Scheduler, identity::schedule), // needs CAP_SYS_NICE
    (Step::Personality, identity::set_personality),
    (Step::Fds, identity::own_stdio),              // needs CAP_CHOWN
    (Step::User, inside::find_home),               // before limits on open files
    (Step::Cwd, tree::enter_cwd),                  // with the rights of root, as runc does
    (Step::Rlimit, identity::limit_resources),     // raising needs CAP_SYS_RESOURCE
    (Step::Fds, inside::close_descriptors),        // nothing of the runtime is left to look into
    (Step::Seccomp, filter::before_capabilities),  // without no_new_privs it needs CAP_SYS_ADMIN
    (Step::Capabilities, identity::drop_bounding), // needs CAP_SETPCAP
    (Step::User, identity::become_user),           // needs CAP_SETUID and CAP_SETGID
    (Step::Capabilities, identity::set_capabilities), // the last privilege goes here
    (Step::Cwd, tree::enter_cwd_as_user),          // a directory that only the user may enter
    (Step::Exec, inside::find_program),            // with the user's eyes
    (Step::Seccomp, filter::before_start),         // a listener: its parent waits for it
    (Step::Start, gate::wait),                     // limits are set and sockets served from outside
    (Step::Exec, inside::unblock_signals),         // the program's mask is empty
    (Step::Seccomp, filter::before_exec),          // last: only execve is under it
];

/// The process; never returns.
pub(super) fn run(birth: &mut Birth<'_>) -> ! {
    let arrived = arrive(birth);
    let mut init = Init {
        plan: &birth.plan.process,
        kit: &mut *birth.kit,
        procfs: birth.procfs.take(),
        program: 0,
        retry_cwd: false,
    };
    let worked = arrived
        .and_then(|()| settle(&mut init, birth.plan.listen_fds))
        .and_then(|()| init::steps(&mut init, STEPS));
    let (failure, detail) = match worked {
        Ok(()) => init::execute(&init),
        Err(failure) => (failure, Detail::default()),
    };
    say(init.kit, &Said::Failed(failure, detail), None);
    clone::exit(1)
}

/// The bridge, where the parent lacks the rights to make a child in the container's pid namespace;
/// never returns.
pub(super) fn bridge(birth: &mut Birth<'_>) -> ! {
    let made = enter(birth, true).and_then(|()| {
        birth.kit.entered = true;
        let args = CloneArgs { flags: clone::CLONE_PARENT, cgroup: None, exit_signal: 0 };
        clone::spawn(&args, birth, run).map_err(|e| Failure::new(Step::Clone, 0, errno(&e)))
    });
    match made {
        Ok(child) => {
            say(birth.kit, &Said::Born(child.pid), None);
            clone::exit(0)
        }
        Err(failure) => {
            say(birth.kit, &Said::Failed(failure, Detail::default()), None);
            clone::exit(1)
        }
    }
}

/// Into the container, unless a bridge has been there before.
fn arrive(birth: &mut Birth<'_>) -> Outcome {
    if birth.kit.entered {
        // It speaks on the same socket: it goes first.
        return hear(birth.kit, Go::Known);
    }
    enter(birth, false)
}

/// Cgroups and CPUs with the host's rights, then every namespace by one call.
fn enter(birth: &mut Birth<'_>, pid: bool) -> Outcome {
    init::close_parents_end(birth.kit)?;
    if birth.by_unit {
        hear(birth.kit, Go::Placed)?;
    }
    inside::join_cgroups(birth.tasks)?;
    run_on(&birth.plan.cpus)?;
    signal::reset_all().or_else(|e| fail(Step::Exec, 0, &e))?;
    cred::set_dumpable(false).or_else(|e| fail(Step::Exec, 0, &e))?;
    close_strangers(birth)?;
    let plan = &birth.plan.process;
    let mut init = Init { plan, kit: &mut *birth.kit, procfs: None, program: 0, retry_cwd: false };
    init.open_procfs()?; // while the host's is in sight
    birth.procfs = init.procfs.take();
    if let Some(root) = birth.root {
        let changed = cred::fchdir(root).and_then(|()| chroot(c"."));
        changed.or_else(|e| fail(Step::Rootfs, 0, &e))?;
    }
    // Already in the pid namespace, unless somebody made without it makes a child.
    let kinds = plan.namespaces.enter.iter().filter(|kind| pid || **kind != Kind::Pid);
    let flags = kinds.fold(0, |flags, kind| flags | kind.flag());
    if flags != 0 {
        clone::setns(birth.init, flags).or_else(|e| fail(Step::Namespace, stage::ENTER, &e))?;
    }
    if plan.namespaces.has(Kind::User) {
        stage::become_root(plan)?;
    }
    Ok(())
}

fn run_on(cpus: &Cpus) -> Outcome {
    match cpus {
        Cpus::Inherited => Ok(()),
        // Best effort, as with runc and crun.
        Cpus::All => {
            let _same = sched::sched_setaffinity_all();
            Ok(())
        }
        Cpus::Only(mask) => {
            sched::sched_setaffinity(mask).or_else(|e| fail(Step::Scheduler, AFFINITY, &e))
        }
    }
}

/// `item` of a [`Step::Scheduler`] failure about `execCPUAffinity`.
const AFFINITY: u32 = 3;

/// Nothing of the host is open when the first process of the container can see us
/// (CVE-2016-9962), but what is needed to get there.
fn close_strangers(birth: &Birth<'_>) -> Outcome {
    let number = |fd: Option<&OwnedFd>| fd.map_or(u32::MAX, |fd| fd.as_raw_fd().unsigned_abs());
    let mut keep = [Some(&birth.kit.sync), Some(birth.init), birth.root].map(number);
    keep.sort_unstable();
    let first = 3 + birth.plan.process.preserve_fds;
    inside::close_but(first, &keep).or_else(|e| fail(Step::Fds, 0, &e))
}

/// What every process of a container does before any step.
fn settle(init: &mut Init<'_>, listen_fds: u32) -> Outcome {
    if let Some(name) = &init.plan.init_name {
        cred::set_name(name).or_else(|e| fail(Step::Exec, 0, &e))?;
    }
    cred::setsid().map(drop).or_else(|e| fail(Step::Exec, 0, &e))?;
    init.kit.tree.adopt_root().or_else(|e| fail(Step::Rootfs, 0, &e))?;
    if listen_fds > 0 {
        announce(init, listen_fds);
    }
    Ok(())
}

/// Socket activation (sd_listen_fds(3)): only here our pid is known.
fn announce(init: &mut Init<'_>, listen_fds: u32) {
    for (name, number) in
        [("LISTEN_FDS", i64::from(listen_fds)), ("LISTEN_PID", clone::getpid().into())]
    {
        let mut text = [0; 32];
        let mut rest = &mut text[..];
        // Always fits: two words and 20 digits.
        let _ = write!(rest, "{name}={number}");
        let left = rest.len();
        let length = text.len() - left;
        init.kit.envp.fill(&[&text[..length]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_the_steps_is_the_security_model() {
        let order: Vec<Step> = STEPS.iter().map(|(step, _)| *step).collect();
        let first = |step| order.iter().position(|other| *other == step).unwrap();
        let last = |step| order.iter().rposition(|other| *other == step).unwrap();
        assert_eq!(order.len(), 21);
        assert_eq!(first(Step::Keyring), 0);
        assert!(first(Step::Label) < first(Step::Capabilities));
        assert!(last(Step::Fds) < first(Step::Seccomp));
        assert!(first(Step::Seccomp) < last(Step::User));
        assert!(last(Step::User) < last(Step::Capabilities));
        assert!(last(Step::Capabilities) < first(Step::Exec));
        let end = [Step::Seccomp, Step::Start, Step::Exec, Step::Seccomp];
        assert_eq!(order[order.len() - 4..], end);
    }

    /// What both tables have stands in the same order in both.
    #[test]
    fn the_steps_are_those_of_create_in_its_order() {
        let create: Vec<usize> = init::STEPS.iter().map(|(_, run)| *run as usize).collect();
        let places = STEPS.iter().map(|(step, run)| {
            let place = create.iter().position(|other| *other == *run as usize);
            place.unwrap_or_else(|| panic!("{step:?} is no step of create"))
        });
        assert!(places.is_sorted());
    }
}
