//! Which cgroup tree the runtimes see, and what machine this is.

use std::fs;

use anyhow::{Context as _, Result};
use libcontainer::sys::{clone, mount};

/// Moves this process into a mount namespace of its own whose cgroup tree is v2 alone, without
/// controllers: crun refuses a hybrid host. The host's mounts stay as they are.
pub(crate) fn cgroup2_only() -> Result<()> {
    clone::unshare(clone::CLONE_NEWNS).context("a mount namespace needs root")?;
    let private = libc::MS_REC | libc::MS_PRIVATE;
    mount::mount(None, c"/", None, private, None).context("make mounts private")?;
    // Nothing to lay aside on a host that is v2 alone.
    if fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok() {
        return Ok(());
    }
    mount::umount2(c"/sys/fs/cgroup", libc::MNT_DETACH).context("lay the cgroup tree aside")?;
    mount::mount(Some(c"none"), c"/sys/fs/cgroup", Some(c"cgroup2"), 0, None)
        .context("mount cgroup2")
}

/// Kernel, processors and load, for the record.
pub(crate) fn words() -> String {
    let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let load = line("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("kernel {}, {cpus} processors, load {load}", line("/proc/sys/kernel/osrelease"))
}
