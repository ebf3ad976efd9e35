//! The place the checks run in: a mount namespace of our own, and every orphan becomes our child.
//!
//! Suites of container tests leak mounts and zombies. Here both end with the runner: nothing
//! that is mounted propagates to the machine, and a container's first process, left behind by
//! `create`, is reparented to us, so that its exit status can be read and no zombie stays.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::host::{CgroupMount, cgroup_mounts};

/// How long to sleep between two looks at something that has no file descriptor.
pub(crate) const TICK: Duration = Duration::from_millis(2);

/// Enters a private mount namespace and makes this process the reaper of its descendants.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub(crate) fn enter() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?;
    Ok(())
}

/// Makes every mount of our namespace shared, with peers in this namespace only, as a machine's
/// first mount namespace is: what a container leaks into its host shows, and ends with us.
///
/// # Errors
/// Those of mount(2).
pub(crate) fn share() -> io::Result<()> {
    let none = None::<&str>;
    Ok(mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none)?)
}

/// Enters a network namespace of our own, so that devices can be made without a trace outside.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub(crate) fn enter_network() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWNET)?)
}

/// Hides the cgroup2 mount of a hybrid host, in this mount namespace only: a new tmpfs over
/// `/sys/fs/cgroup` that holds bind mounts of the v1 controllers.
///
/// For runtimes that refuse the hybrid layout although they support v1.
///
/// # Errors
/// Those of mount(2).
pub(crate) fn hide_cgroup2(work: &Path) -> io::Result<()> {
    const TOP: &str = "/sys/fs/cgroup";
    let none = None::<&str>;
    let v1: Vec<CgroupMount> = cgroup_mounts()?
        .into_iter()
        .filter(|m| !m.controllers.is_empty() && m.point.starts_with(TOP))
        .collect();
    let mut kept = Vec::new();
    for (number, m) in v1.iter().enumerate() {
        let at = work.join(format!("v1-{number}"));
        fs::create_dir_all(&at)?;
        mount(Some(&m.point), &at, none, MsFlags::MS_BIND, none)?;
        kept.push((at, m.point.clone()));
    }
    mount(Some("tmpfs"), TOP, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    for (at, point) in kept {
        fs::create_dir_all(&point)?;
        mount(Some(&at), &point, none, MsFlags::MS_MOVE, none)?;
        fs::remove_dir(&at)?;
    }
    Ok(())
}

/// Waits for a child of ours until `limit` has passed, then kills it.
///
/// # Errors
/// `TimedOut` when it had to be killed.
pub(crate) fn wait_child(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no end after {} s, killed", limit.as_secs()),
            ));
        }
        thread::sleep(TICK);
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

/// Waits for a process that was reparented to us.
///
/// # Errors
/// `TimedOut`; `ECHILD` when it is not our child.
pub(crate) fn wait_orphan(pid: i32, limit: Duration) -> io::Result<Exit> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(Exit::Code(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Exit::Signal(signal as i32)),
            Ok(_) | Err(Errno::EINTR) => thread::sleep(TICK),
            Err(e) => return Err(e.into()),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        format!("process {pid} still runs after {} s", limit.as_secs()),
    ))
}

/// Reaps every orphan that has ended. Call it only while no [`Child`] is unwaited.
pub(crate) fn reap() {
    while let Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) =
        waitpid(None, Some(WaitPidFlag::WNOHANG))
    {}
}

/// Kills and reaps every descendant that was reparented to us and still runs.
pub(crate) fn kill_orphans() {
    for _ in 0..50 {
        reap();
        let me = std::process::id();
        let list = format!("/proc/self/task/{me}/children");
        let Ok(children) = fs::read_to_string(list) else { return };
        if children.trim().is_empty() {
            return;
        }
        for pid in children.split_whitespace().filter_map(|word| word.parse().ok()) {
            // It may be gone already; the loop looks again.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(TICK * 5);
    }
}

/// Whether a process exists and is no zombie.
pub(crate) fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit_once(')').map_or("", |(_, rest)| rest.trim_start());
        !state.starts_with(['Z', 'X'])
    })
}

/// Removes a tree but never what is mounted below it: a leaked bind mount must not lead the
/// removal into the machine's own files.
///
/// # Errors
/// The first thing that could not be removed; what is mounted is left and named.
pub(crate) fn remove_tree(top: &Path) -> io::Result<()> {
    let device = fs::symlink_metadata(top)?.dev();
    remove_on(top, device)
}

fn remove_on(path: &Path, device: u64) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.dev() != device {
        return Err(io::Error::other(format!("{} is mounted, left alone", path.display())));
    }
    if !meta.is_dir() {
        return fs::remove_file(path);
    }
    for entry in fs::read_dir(path)? {
        remove_on(&entry?.path(), device)?;
    }
    fs::remove_dir(path)
}

/// A command found as a shell finds it.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return fs::canonicalize(name).ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Runs a small host tool and returns what it printed.
///
/// # Errors
/// It could not be run or did not succeed.
pub(crate) fn output(command: &mut Command) -> io::Result<String> {
    let done = command.output()?;
    if !done.status.success() {
        let words = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        return Err(io::Error::other(format!("{:?}: {words}", command.get_program())));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
