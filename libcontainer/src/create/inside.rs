//! The steps of the init stage that are neither mounts nor identity: network, cgroup namespace,
//! hooks, terminal, program, descriptors.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::console;
use crate::create::gate::{hear, say};
use crate::create::home;
use crate::create::init::{Init, Outcome, errno, fail};
use crate::create::kit::{Gate, Kit};
use crate::create::program;
use crate::create::protocol::{Detail, Go, Said};
use crate::create::report::Failure;
use crate::create::stage;
use crate::error::Step;
use crate::hooks::inside as hooks;
use crate::net;
use crate::plan::Plan;
use crate::plan::hooks::Kind as HookKind;
use crate::plan::namespaces::Kind;
use crate::sys::{clone, fd, signal, tty};

/// A new network namespace has its loopback down.
pub fn loopback_up(init: &mut Init<'_>) -> Outcome {
    if init.plan.namespaces.is_new(Kind::Network) {
        net::loopback_up().or_else(|e| fail(Step::Network, 0, &e))?;
    }
    Ok(())
}

/// Moves this process, which has one thread, into its v1 cgroups: `0` in `tasks` takes no lock
/// over all forks of the machine, see [`crate::cgroup`].
pub fn join_cgroups(tasks: &[OwnedFd]) -> Outcome {
    for (item, tasks) in (0..).zip(tasks) {
        fd::write_all(tasks, b"0").or_else(|e| fail(Step::Cgroup, item, &e))?;
    }
    Ok(())
}

/// Waits until systemd has moved this process into its unit, if it is to.
pub fn wait_for_unit(plan: &Plan, kit: &Kit) -> Outcome {
    if plan.cgroup.unit.is_some() { hear(kit, Go::Placed) } else { Ok(()) }
}

/// A cgroup namespace shows the cgroup of its maker as `/`: we are in ours already.
pub fn cgroup_namespace(init: &mut Init<'_>) -> Outcome {
    if init.plan.namespaces.is_new(Kind::Cgroup) {
        clone::unshare(Kind::Cgroup.flag()).or_else(|e| fail(Step::Namespace, stage::NEW, &e))?;
    }
    Ok(())
}

/// `prestart` and `createRuntime` run in the parent, `createContainer` here (runtime.md,
/// lifecycle 3 to 5).
pub fn hooks_before_pivot(init: &mut Init<'_>) -> Outcome {
    let plan = &init.plan.hooks;
    if !plan.before_pivot() {
        return Ok(());
    }
    say(init.kit, &Said::Rootfs, None);
    hear(init.kit, Go::Pivot)?;
    let (env, state) = (&init.kit.envp, init.kit.hook_state.as_ref());
    hooks::run_all(HookKind::CreateContainer, &plan.create_container, env, state)
}

/// The pty of the container's own devpts becomes its stdio; the master goes to the parent.
pub fn open_console(init: &mut Init<'_>) -> Outcome {
    let Some(process) = init.plan.process.as_ref().filter(|process| process.terminal) else {
        return Ok(());
    };
    let step = |item| move |e: io::Error| Failure::new(Step::Console, item, errno(&e));
    let dev = fd::open(c"/dev", libc::O_PATH | libc::O_DIRECTORY).map_err(step(0))?;
    let console::Pty { master, peer } = console::open(dev.as_fd()).map_err(step(1))?;
    if let Some(size) = process.console_size {
        let size = tty::WinSize { rows: size.height, cols: size.width };
        tty::set_winsize(&master, size).map_err(step(2))?;
    }
    // `/dev/console` is init's terminal, not that of a process that comes later.
    if init.plan.namespaces.enter.is_empty() {
        console::bind(&peer, dev.as_fd()).map_err(step(3))?;
    }
    say(init.kit, &Said::Console, Some(master.as_fd()));
    // Gone before we lead the session: closing the last copy hangs up.
    drop(master);
    console::attach(&peer).map_err(step(4))
}

/// Sets `HOME` where the configuration does not.
pub fn find_home(init: &mut Init<'_>) -> Outcome {
    if let Some(process) = init.plan.process.as_ref().filter(|process| process.find_home) {
        let envp = &mut init.kit.envp;
        home::of(process.uid, |home| {
            envp.fill(&[b"HOME=", home]);
        });
    }
    Ok(())
}

/// Finds the program, as the user that will run it.
pub fn find_program(init: &mut Init<'_>) -> Outcome {
    let Some(process) = &init.plan.process else { return Ok(()) };
    init.program = program::find(&process.candidates)?;
    Ok(())
}

/// Closes everything behind the descriptors that the caller preserves, but what the gate and the
/// last hooks need: those are close-on-exec. Closed and not only marked, because a container may
/// stay `created` for long, and whoever may look into init could walk through what is open
/// (CVE-2024-21626).
pub fn close_descriptors(init: &mut Init<'_>) -> Outcome {
    let (start, result) = match &init.kit.gate {
        Gate::Sync => (None, None),
        Gate::Fifo { start, result, .. } => (Some(start), Some(result)),
    };
    let number = |fd: Option<&OwnedFd>| fd.map_or(u32::MAX, |fd| fd.as_raw_fd().unsigned_abs());
    let mut keep =
        [Some(&init.kit.sync), start, result, init.kit.hook_state.as_ref(), None].map(number);
    // The working directory may have to be entered as the user.
    let root = init.kit.tree.root_fd().filter(|_| init.retry_cwd);
    keep[4] = root.map_or(u32::MAX, |root| root.as_raw_fd().unsigned_abs());
    keep.sort_unstable();
    close_but(3 + init.plan.preserve_fds, &keep).or_else(|e| fail(Step::Fds, 0, &e))
}

/// Closes the descriptors from `first` on that are not in `keep`, which is sorted.
///
/// # Errors
/// None on kernels with close_range(2).
pub fn close_but(mut first: u32, keep: &[u32]) -> io::Result<()> {
    for kept in keep.iter().copied().filter(|kept| *kept < u32::MAX) {
        if kept > first {
            fd::close_range(first, kept - 1, 0)?;
        }
        first = first.max(kept + 1);
    }
    fd::close_range(first, u32::MAX, 0)
}

/// The container's own last words before its program.
pub fn start_container_hooks(init: &mut Init<'_>) -> Outcome {
    let hooks = &init.plan.hooks.start_container;
    let (env, state) = (&init.kit.envp, init.kit.hook_state.as_ref());
    hooks::run_all(HookKind::StartContainer, hooks, env, state)
}

/// Nothing of the runtime's signal mask is left to the program.
pub fn unblock_signals(_: &mut Init<'_>) -> Outcome {
    signal::restore(signal::SigSet::EMPTY).or_else(|e| fail(Step::Exec, 0, &e))
}

/// What a failed hook wrote; empty for other steps.
pub fn last_words(init: &Init<'_>, failure: Failure) -> Detail {
    let mut buffer = [0; hooks::WORDS];
    match failure.step {
        Step::Hook => Detail::new(hooks::words(init.kit.hook_state.as_ref(), &mut buffer)),
        _ => Detail::default(),
    }
}
