//! Which cgroup tree the runtimes see, and what machine this is.

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use libcontainer::sys::{clone, mount};

/// Moves this process into a mount namespace of its own whose cgroup tree is v2 alone, without
/// controllers: crun refuses a hybrid host. The host's mounts stay as they are.
pub(crate) fn cgroup2_only() -> Result<()> {
    own_mounts()?;
    // Nothing to lay aside on a host that is v2 alone.
    if fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok() {
        return Ok(());
    }
    mount::umount2(c"/sys/fs/cgroup", libc::MNT_DETACH).context("lay the cgroup tree aside")?;
    mount::mount(Some(c"none"), c"/sys/fs/cgroup", Some(c"cgroup2"), 0, None)
        .context("mount cgroup2")
}

/// Moves this process into a mount namespace of its own where the cgroup tree is the machine's
/// v1 hierarchies alone. `/run` is ours already: see [`own_network`].
pub(crate) fn cgroup1_only() -> Result<()> {
    const VIEW: &CStr = c"/run/corten-bench-cgroup";
    own_mounts()?;
    let names: Vec<_> = fs::read_dir("/sys/fs/cgroup")?.collect::<Result<_, _>>()?;
    let view = Path::new(OsStr::from_bytes(VIEW.to_bytes()));
    fs::create_dir(view)?;
    for from in names.iter().map(fs::DirEntry::path) {
        // Links to hierarchies with several names, and the v2 tree of a hybrid host.
        if !from.join("cgroup.clone_children").exists() || from.is_symlink() {
            continue;
        }
        let to = view.join(from.file_name().unwrap_or_default());
        fs::create_dir(&to)?;
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes());
        let (from, to) = (text(&from)?, text(&to)?);
        mount::mount(Some(&from), &to, None, libc::MS_BIND, None).context("bind a hierarchy")?;
    }
    mount::umount2(c"/sys/fs/cgroup", libc::MNT_DETACH).context("lay the cgroup tree aside")?;
    let bind = libc::MS_BIND | libc::MS_REC;
    mount::mount(Some(VIEW), c"/sys/fs/cgroup", None, bind, None).context("show v1 alone")
}

fn own_mounts() -> Result<()> {
    clone::unshare(clone::CLONE_NEWNS).context("a mount namespace needs root")?;
    let private = libc::MS_REC | libc::MS_PRIVATE;
    mount::mount(None, c"/", None, private, None).context("make mounts private")
}

/// A network of this process's own, with loopback, and a `/run` of its own beside it.
pub(crate) fn own_network() -> Result<()> {
    own_mounts()?;
    clone::unshare(clone::CLONE_NEWNET).context("a network namespace needs root")?;
    mount::mount(Some(c"none"), c"/run", Some(c"tmpfs"), 0, None).context("a /run of our own")?;
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    anyhow::ensure!(up.context("ip")?.success(), "loopback stays down");
    Ok(())
}

/// Kernel, processors and load, for the record.
pub(crate) fn words() -> String {
    let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let load = line("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("kernel {}, {cpus} processors, load {load}", line("/proc/sys/kernel/osrelease"))
}
