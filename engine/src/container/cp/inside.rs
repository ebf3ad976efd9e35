//! The root of a container, running or not.
//!
//! One that runs is looked at as its first process sees it, mounts and memory included. For one
//! that does not, root and volumes are mounted in a mount namespace of our own, which ends with
//! us; its lock keeps it from being started meanwhile.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libcontainer::sys::clone::{CLONE_NEWNS, unshare};
use libcontainer::sys::mount::{
    AT_EMPTY_PATH, AT_RECURSIVE, MountAttr, mount_setattr, move_mount_fd,
};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, OpenTreeFlags, UnmountFlags, mount_change, mount_remount,
    open_tree, unmount,
};

use super::place::{Root, base, name_of, parent};
use crate::Context;
use crate::bundle::tree::depth;
use crate::container::record::Record;
use crate::container::state::{State, Status};
use crate::container::{Container, rm};
use crate::error::{Error, Result, What};
use crate::monitor::prepare;
use crate::net::files::Files;
use crate::volume::{self, Kind, Mount};

/// How long a container that is being restarted may take to run, or to give up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The root, for as long as this lives.
pub(super) struct Inside {
    /// Where it is.
    pub(super) root: Root,
    /// It runs: what is mounted in it decides alone what can be written.
    pub(super) runs: bool,
    // Dropped in this order: the mount goes, then somebody else may start the container.
    _mounted: Option<Mounted>,
    _lock: Option<File>,
}

impl Inside {
    /// Opens the root of a container.
    ///
    /// # Errors
    /// It is being restarted again and again; its root cannot be mounted.
    pub(super) fn open(context: &Context, container: &Container, record: &Record) -> Result<Self> {
        let begun = Instant::now();
        loop {
            let state = container.state()?;
            match state.status {
                Status::Running | Status::Paused => {
                    if let Some(root) = live(&state).what(|| root_of(container))? {
                        return Ok(Self { root, runs: true, _mounted: None, _lock: None });
                    }
                }
                Status::Restarting => {}
                Status::Created | Status::Exited => {
                    let lock = container.lock()?;
                    let ended = !container.state()?.status.is_live();
                    if ended && rm::wait_for_monitor(container)? {
                        let (root, mounted) = mount(context, container, record)?;
                        let (mounted, lock) = (Some(mounted), Some(lock));
                        return Ok(Self { root, runs: false, _mounted: mounted, _lock: lock });
                    }
                }
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::new(format!("Container {} is restarting", record.name))
                    .why("it ends as soon as it is started")
                    .fix(format!("stop it first: pier stop {}", record.name)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn root_of(container: &Container) -> String {
    format!("cannot open the root of container {}", container.id)
}

/// The root as the first process sees it; `None` when it has just ended.
fn live(state: &State) -> io::Result<Option<Root>> {
    let Some(init) = &state.init else { return Ok(None) };
    let path = format!("/proc/{}/root", init.pid);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, path, flags, Mode::empty());
    // The number may have been somebody else's by then: only what is still there was ours.
    match (init.open()?, root) {
        // It is about to end: it has no root any more, and has not been told as ended yet.
        (None, _) | (_, Err(Errno::NOENT | Errno::SRCH)) => Ok(None),
        (Some(_), root) => Ok(Some(Root::of(root?))),
    }
}

/// What is taken away at the end.
struct Mounted {
    target: Option<PathBuf>,
    live: PathBuf,
    made: bool,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let Some(target) = &self.target else { return };
        // The namespace ends with us in any case; only the empty directories are everybody's.
        let _ = unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        let _ = fs::remove_dir(target);
        if self.made {
            let _ = fs::remove_dir(&self.live);
        }
    }
}

/// Mounts root, volumes and network files where nobody else sees it.
fn mount(context: &Context, container: &Container, record: &Record) -> Result<(Root, Mounted)> {
    volume::activate(&context.paths, &record.mounts)?;
    let what = || "cannot make a mount namespace".into();
    unshare(CLONE_NEWNS).what(what)?;
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", slave).what(what)?;
    let made = !container.live.exists();
    let path = prepare::mount_root(container, record, false)?;
    let target = record.rootfs.is_none().then(|| path.clone());
    let mounted = Mounted { target, live: container.live.clone(), made };
    let open = || -> io::Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Root::of(openat(CWD, &path, flags, Mode::empty())?))
    };
    let root = open().what(|| root_of(container))?;
    if volume::needs_content(&record.mounts) {
        let dir = File::open(&path).what(|| root_of(container))?;
        volume::populate(&context.paths, &record.mounts, dir.as_fd())?;
    }
    for (from, to, read_only) in binds(container, record) {
        let what = || format!("cannot mount {} on {to}", from.display());
        bind(&root, &from, to, read_only).what(what)?;
    }
    Ok((root, mounted))
}

/// What the container has mounted when it runs, but for memory; what others lie on comes first.
fn binds<'a>(container: &Container, record: &'a Record) -> Vec<(PathBuf, &'a str, bool)> {
    let files = Files::of(&container.dir);
    let files = [
        (files.hosts, "/etc/hosts", false),
        (files.hostname, "/etc/hostname", false),
        (files.resolv_conf, "/etc/resolv.conf", false),
    ];
    // They are there since the first start.
    let mut all: Vec<_> = files.into_iter().filter(|(from, ..)| from.exists()).collect();
    let mounts = record.mounts.iter().filter(|mount| mount.kind != Kind::Tmpfs);
    all.extend(mounts.map(|one| (one.source.clone().into(), one.target.as_str(), one.read_only)));
    all.sort_by_key(|(_, to, _)| depth(to));
    all
}

/// Mounts a path of the machine on a path of the container, which is made when it is missing.
fn bind(root: &Root, from: &Path, to: &str, read_only: bool) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, from, flags)?;
    let real = root.real(to.as_bytes(), true)?;
    if real.stat.is_none() {
        make(root, &real.path, from.is_dir())?;
    }
    move_mount_fd(&tree, root.open(&real.path, OFlags::PATH)?)?;
    if !read_only {
        return Ok(());
    }
    let attr = MountAttr { set: libc::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    match mount_setattr(&tree, c"", AT_EMPTY_PATH | AT_RECURSIVE, &attr) {
        // Before Linux 5.12.
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
            Ok(mount_remount(name_of(&tree), MountFlags::BIND | MountFlags::RDONLY, c"")?)
        }
        other => other,
    }
}

/// Makes a directory or an empty file to mount on, and what is missing above it.
fn make(root: &Root, path: &[u8], directory: bool) -> io::Result<OwnedFd> {
    let above = match root.directory(parent(path)) {
        Err(Errno::NOENT) => make(root, parent(path), true)?,
        other => other?,
    };
    if directory {
        mkdirat(&above, base(path), Mode::from_raw_mode(0o755))?;
        return Ok(root.directory(path)?);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    Ok(openat(above, base(path), flags, Mode::from_raw_mode(0o644))?)
}

/// Why nothing can be written at `path` of a container, in Docker's words: by what was asked of
/// it, not by what the kernel says.
///
/// # Errors
/// The volume there, or the root, was asked to be read-only.
pub(super) fn check_writable(record: &Record, path: &[u8], runs: bool) -> Result<()> {
    let below = |mount: &&Mount| {
        let target = mount.target.as_bytes();
        let rest = path.strip_prefix(target);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            // Memory is there only while the container runs.
            && (runs || mount.kind != Kind::Tmpfs)
    };
    match record.mounts.iter().filter(below).max_by_key(|mount| mount.target.len()) {
        Some(mount) if mount.read_only => Err(Error::new("mounted volume is marked read-only")),
        None if record.flags.isolation.read_only && !runs => Err(root_is_read_only()),
        _ => Ok(()),
    }
}

/// Docker's words for a root that cannot be written.
pub(super) fn root_is_read_only() -> Error {
    Error::new("container rootfs is marked read-only")
        .fix("copy into a volume, or make the container without --read-only")
}
