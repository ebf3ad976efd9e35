//! The init stage: everything between clone3 and execve, in the container's first process.
//!
//! The rules that make it usable from any program, threaded ones too:
//! 1. Only `sys::` wrappers are called: no allocation, no lock, no logger, no environment, no
//!    panic. `tests/no_allocation.rs` runs the matrix of bundles under an allocator that aborts
//!    here.
//! 2. A step reads the plan and the kit and decides nothing. Their order is the security model:
//!    [`STEPS`], one reason a row.
//! 3. A failure is step, item, errno ([`Failure`]); `create::report` makes words of it.
//! 4. Every descriptor is close-on-exec from birth. Paths are resolved below the rootfs
//!    descriptor, files of `/proc` through a procfs that we mounted ourselves.

use std::io;
use std::os::fd::OwnedFd;

use crate::create::kit::Kit;
use crate::create::protocol::{Detail, Go, Said};
use crate::create::report::Failure;
use crate::create::rootfs::proc::{ProcFs, open_private};
use crate::create::stage::{self, Birth};
use crate::create::{filter, gate, identity, inside, program, tree};
use crate::error::Step;
use crate::plan::Plan;
use crate::plan::namespaces::Kind;
use crate::sys::shared::monotonic_ns;
use crate::sys::{clone, cred, exec, fd, sched, signal};

/// How a step ends.
pub type Outcome = Result<(), Failure>;

/// What the steps work on.
pub struct Init<'a> {
    /// What was decided.
    pub plan: &'a Plan,
    /// What was opened.
    pub kit: &'a mut Kit,
    /// Our own procfs, apart from the container's tree; opened only when the plan needs it.
    pub procfs: Option<ProcFs>,
    /// The candidate that will be executed.
    pub program: usize,
    /// The working directory must be tried again as the container's user.
    pub retry_cwd: bool,
}

/// A step.
pub type Run = fn(&mut Init<'_>) -> Outcome;

/// The order of the init stage.
pub static STEPS: &[(Step, Run)] = &[
    (Step::Namespace, stage::enter), // whose root we are decides what follows
    (Step::Keyring, identity::join_keyring), // before anything can look at the caller's keys
    (Step::Network, inside::loopback_up), // the new network namespace is still ours alone
    (Step::Rootfs, tree::isolate),   // propagation off: no mount below reaches the host
    (Step::Namespace, inside::cgroup_namespace), // its root is our cgroup; cgroup mounts show it
    (Step::Mount, tree::mount_all),  // before pivot_root: sources are still visible
    (Step::Device, tree::make_devices), // after mounts: /dev may be one of them
    (Step::Hook, inside::hooks_before_pivot), // they see the mounts and still the host's tree
    (Step::PivotRoot, tree::pivot),  // the host's tree is gone from here on
    (Step::Console, inside::open_console), // from the container's own devpts
    (Step::Hostname, identity::set_names), // needs CAP_SYS_ADMIN
    (Step::Sysctl, identity::write_sysctls), // before /proc/sys becomes read-only
    (Step::Mask, tree::protect),     // read-only and masked paths, read-only root: the last mounts
    (Step::Label, identity::write_labels), // before no_new_privs, which restricts changes
    (Step::Capabilities, identity::no_new_privileges),
    (Step::Scheduler, identity::schedule), // needs CAP_SYS_NICE
    (Step::Personality, identity::set_personality),
    (Step::Fds, identity::own_stdio),             // needs CAP_CHOWN
    (Step::User, inside::find_home),              // before limits on open files
    (Step::Cwd, tree::enter_cwd),                 // with the rights of root, as runc does
    (Step::Rlimit, identity::limit_resources),    // raising needs CAP_SYS_RESOURCE
    (Step::Fds, inside::close_descriptors),       // nothing of the runtime is left to look into
    (Step::Seccomp, filter::before_capabilities), // without no_new_privs it needs CAP_SYS_ADMIN;
    // what follows may be under it: only calls that old profiles know too
    (Step::Capabilities, identity::drop_bounding), // needs CAP_SETPCAP
    (Step::User, identity::become_user),           // needs CAP_SETUID and CAP_SETGID
    (Step::Capabilities, identity::set_capabilities), // the last privilege goes here
    (Step::Cwd, tree::enter_cwd_as_user),          // a directory that only the user may enter
    (Step::Exec, inside::find_program),            // with the user's eyes
    (Step::Seccomp, filter::before_start),         // a listener: its creator is still here
    (Step::Start, gate::wait),                     // `created`; errors above are create's
    (Step::Seccomp, filter::before_hooks),         // the image's hooks are under it, as with runc
    (Step::Hook, inside::start_container_hooks),   // after start, before the program
    (Step::Exec, inside::unblock_signals),         // the program's mask is empty
    (Step::Seccomp, filter::before_exec),          // last: only execve is under it
];

/// Runs the steps and executes the program; never returns.
pub fn run(birth: &mut Birth<'_>) -> ! {
    let mut init =
        Init { plan: birth.plan, kit: birth.kit, procfs: None, program: 0, retry_cwd: false };
    let (failure, detail) =
        match settle(&mut init, birth.tasks).and_then(|()| steps(&mut init, STEPS)) {
            Ok(()) => execute(&init),
            Err(failure) => (failure, inside::last_words(&init, failure)),
        };
    gate::say(init.kit, &Said::Failed(failure, detail), None);
    clone::exit(1)
}

/// What every first process does, before any step.
fn settle(init: &mut Init<'_>, tasks: &[OwnedFd]) -> Outcome {
    if init.kit.entered {
        // The bridge has done the rest before us. It speaks on the same socket: it goes first.
        gate::hear(init.kit, Go::Known)?;
    } else {
        close_parents_end(init.kit)?;
        inside::wait_for_unit(init.plan, init.kit)?;
        inside::join_cgroups(tasks)?;
    }
    // The CPUs that the caller confines itself to are not the container's limit: its cpuset is,
    // which we are in by now. Best effort, as with runc and crun.
    let _same = sched::sched_setaffinity_all();
    // No handler of the program that embeds us may run in here.
    signal::reset_all().or_else(|e| fail(Step::Clone, 0, &e))?;
    if let Some(name) = &init.plan.init_name {
        cred::set_name(name).or_else(|e| fail(Step::Clone, 0, &e))?;
    }
    // Nobody in a joined namespace may look into us (CVE-2016-9962). Our files of /proc are root's
    // from then on: an ordinary user maps our ids before (`stage::enter`).
    if init.kit.entered || !init.plan.namespaces.is_new(Kind::User) {
        cred::set_dumpable(false).or_else(|e| fail(Step::Clone, 0, &e))?;
    }
    cred::setsid().map(drop).or_else(|e| fail(Step::Clone, 0, &e))
}

/// Runs a table of steps.
///
/// # Errors
/// That of the first step that fails.
pub fn steps(init: &mut Init<'_>, steps: &[(Step, Run)]) -> Outcome {
    for (at, (_, run)) in steps.iter().enumerate() {
        let begin = init.kit.times.as_ref().map(|_| monotonic_ns());
        let done = run(init);
        if let (Some(times), Some(begin)) = (&init.kit.times, begin) {
            times.set(2 * at, begin);
            times.set(2 * at + 1, monotonic_ns());
        }
        done?;
    }
    Ok(())
}

/// The execve; what comes back is its failure.
pub fn execute(init: &Init<'_>) -> (Failure, Detail) {
    let none = Detail::default();
    let Some(process) = &init.plan.process else {
        return (program::failed(program::Why::NoProcess, libc::EINVAL), none);
    };
    let Some(path) = process.candidates.get(init.program) else {
        return (program::failed(program::Why::NotFound, libc::ENOENT), none);
    };
    let error = exec::exec(path, &init.kit.argv, &init.kit.envp);
    program::diagnose(path, errno(&error))
}

/// Our copy of the parent's end would keep us from seeing it die.
pub fn close_parents_end(kit: &Kit) -> Outcome {
    let mut all = [Some(kit.parents_end), kit.sealed].into_iter().flatten();
    all.try_for_each(|fd| fd::close_range(fd, fd, 0)).or_else(|e| fail(Step::Clone, 0, &e))
}

impl Init<'_> {
    /// Our own procfs.
    ///
    /// # Errors
    /// A failure of `step` when the plan did not foresee the need.
    pub fn procfs(&self, step: Step) -> Result<&ProcFs, Failure> {
        self.procfs.as_ref().ok_or_else(|| Failure::new(step, 0, libc::ENOENT))
    }

    /// Opens it while the host's procfs is still in sight, which the kernel demands of a user
    /// namespace.
    ///
    /// # Errors
    /// Those of [`open_private`].
    pub fn open_procfs(&mut self) -> Outcome {
        let labels = self.plan.security.as_ref();
        let labels = labels.is_some_and(|s| s.apparmor.is_some() || s.selinux.is_some());
        if labels || !self.plan.sysctls.is_empty() {
            let procfs =
                open_private().map_err(|e| Failure::new(Step::Rootfs, PROCFS, errno(&e)))?;
            self.procfs = Some(procfs);
        }
        Ok(())
    }
}

/// `item` of a [`Step::Rootfs`] failure about our own procfs.
pub const PROCFS: u32 = 100;

/// The errno of an error of `sys`.
pub fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// A failed step.
///
/// # Errors
/// Always: that is its use.
pub fn fail(step: Step, item: u32, error: &io::Error) -> Outcome {
    Err(Failure::new(step, item, errno(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_the_steps_is_the_security_model() {
        let order: Vec<Step> = STEPS.iter().map(|(step, _)| *step).collect();
        let first = |step| order.iter().position(|other| *other == step).unwrap();
        let last = |step| order.iter().rposition(|other| *other == step).unwrap();
        assert_eq!(order.len(), 34);
        assert!(first(Step::Rootfs) < first(Step::Mount));
        assert!(last(Step::Mount) < first(Step::PivotRoot));
        assert!(first(Step::Sysctl) < first(Step::Mask));
        assert!(first(Step::PivotRoot) < first(Step::Mask));
        assert!(first(Step::Label) < first(Step::Capabilities));
        assert!(first(Step::User) < last(Step::Capabilities));
        assert!(last(Step::Capabilities) < first(Step::Exec));
        assert!(first(Step::Seccomp) < first(Step::User).max(last(Step::Capabilities)));
        assert!(first(Step::Label) < first(Step::Seccomp));
        let end =
            [Step::Seccomp, Step::Start, Step::Seccomp, Step::Hook, Step::Exec, Step::Seccomp];
        assert_eq!(order[order.len() - 6..], end);
    }
}
