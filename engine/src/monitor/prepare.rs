//! Everything that stands before the runtime is asked: the root file system mounted, the world
//! looked at, `config.json` written.
//!
//! Mounts are made in a mount namespace of the monitor's own. They end with the monitor and its
//! container, however those end: nothing is left for another command to unmount.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use libcontainer::host::Host;
use libcontainer::sys::clone::{CLONE_NEWNS, unshare};
use libcontainer::sys::fd::statx_mnt_id;
use libcontainer::sys::sched::getrlimit;
use rustix::fs::{Mode as Permission, OFlags, ResolveFlags, openat2, symlinkat};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

use super::shm;
use crate::Context;
use crate::bundle::devices::Seen;
use crate::bundle::namespaces::{self, Joined, Mode};
use crate::bundle::seccomp::Machine;
use crate::bundle::security::Options;
use crate::bundle::user::Accounts;
use crate::bundle::{self, Facts};
use crate::container::record::Record;
use crate::container::{Container, names};
use crate::error::{Error, Result, What};
use crate::fsutil::remove_tree;
use crate::layer::overlay::Overlay;
use crate::net::files::Files;
use crate::net::{self, ContainerNet, NetPlan};
use crate::volume;

/// What a container is created from.
#[derive(Debug)]
pub struct Prepared {
    /// The bundle directory.
    pub(crate) bundle: PathBuf,
    /// `config.json`.
    pub(crate) config: Vec<u8>,
    /// What the network holds until it is up.
    pub(crate) net: NetPlan,
}

/// Leaves the machine's mount namespace. Mounts of the machine still arrive; ours stay ours, but
/// for those that the container's flags share.
///
/// # Errors
/// No right to do so.
pub(crate) fn leave_mounts(live: &Path, record: &Record) -> Result<()> {
    let what = || "cannot make a mount namespace for the container".into();
    unshare(CLONE_NEWNS).what(what)?;
    if volume::rootfs_propagation(&record.mounts) == Some("shared") {
        // Only the mount that ours will stand on is cut off.
        let top = mount_of(live).what(what)?;
        return mount_change(&top, MountPropagationFlags::PRIVATE).what(what);
    }
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", slave).what(what)
}

/// Where the mount begins that `path` lies in.
fn mount_of(path: &Path) -> std::io::Result<PathBuf> {
    let mount = |path: &Path| statx_mnt_id(fs::File::open(path)?);
    let mut top = path.to_owned();
    while let Some(parent) = top.parent() {
        if mount(parent)? != mount(&top)? {
            break;
        }
        top = parent.to_owned();
    }
    Ok(top)
}

/// Mounts, looks, writes.
///
/// # Errors
/// Whatever a flag asks for that is not there.
pub(crate) fn prepare(
    (context, program): (&Context, &Path),
    container: &Container,
    record: &Record,
) -> Result<Prepared> {
    volume::activate(&context.paths, &record.mounts)?;
    let rootfs = mount_root(container, record, record.flags.basics.rm)?;
    if volume::needs_content(&record.mounts) {
        let root = fs::File::open(&rootfs).what(|| format!("cannot open {}", rootfs.display()))?;
        volume::populate(&context.paths, &record.mounts, root.as_fd())?;
    }
    let net = net::prepare(&context.paths, &of_net(record, &record.hostname()))?;
    let facts = facts((context, program), record, (rootfs, &net))?;
    let config = bundle::config(record, &facts, &look)?;
    let what = || format!("cannot write the bundle of container {}", record.id);
    let bundle = container.dir.join("bundle");
    fs::create_dir_all(&bundle).what(what)?;
    let config = serde_json::to_vec(&config).map_err(|error| Error::new(what()).why(error))?;
    fs::write(bundle.join("config.json"), &config).what(what)?;
    Ok(Prepared { bundle, config, net })
}

/// The container, as the network knows it.
fn of_net<'a>(record: &'a Record, hostname: &'a str) -> ContainerNet<'a> {
    ContainerNet {
        id: &record.id,
        name: &record.name,
        hostname,
        domainname: record.flags.basics.domainname.as_deref().unwrap_or_default(),
        asked: &record.net,
    }
}

/// The three files over those of the image; read-only as the root.
fn net_files(files: &Files, read_only: bool) -> Vec<serde_json::Value> {
    let all = [
        ("/etc/resolv.conf", &files.resolv_conf),
        ("/etc/hostname", &files.hostname),
        ("/etc/hosts", &files.hosts),
    ];
    let more: &[&str] = if read_only { &["ro"] } else { &[] };
    all.map(|(to, from)| bundle::tree::bind(&from.to_string_lossy(), to, more)).into()
}

/// The root file system: a directory as it is, or an image's layers with one of our own on top,
/// which is not synced when it is volatile.
///
/// # Errors
/// The kernel refuses to mount it.
pub(crate) fn mount_root(
    container: &Container,
    record: &Record,
    volatile: bool,
) -> Result<PathBuf> {
    if let Some(rootfs) = &record.rootfs {
        return Ok(rootfs.clone());
    }
    let what = || format!("cannot make the root file system of container {}", record.id);
    let (upper, work) = (container.dir.join("upper"), container.dir.join("work"));
    let target = container.live.join("rootfs");
    if record.flags.basics.rm && work.exists() {
        // A monitor was killed: what it left of such a mount refuses the next one.
        remove_tree(&work).what(what)?;
    }
    let fresh = !upper.exists();
    if fresh {
        fs::create_dir_all(&upper).what(what)?;
        // The root directory of the mount is that of the top.
        if let Some(top) = record.layers.last() {
            let meta = fs::metadata(top).what(what)?;
            std::os::unix::fs::chown(&upper, Some(meta.uid()), Some(meta.gid())).what(what)?;
            fs::set_permissions(&upper, meta.permissions()).what(what)?;
        }
    }
    fs::create_dir_all(&work).and_then(|()| fs::create_dir_all(&target)).what(what)?;
    let layers = record.layers.clone();
    Overlay { layers, upper: Some((upper, work)), volatile }.mount(&target)?;
    if fresh {
        mtab(&target).what(what)?;
    }
    Ok(target)
}

/// `/etc/mtab`, where older programs look for mounts: images do not have it. None without `/etc`.
fn mtab(root: &Path) -> std::io::Result<()> {
    let root = fs::File::open(root)?;
    let (flags, mode) = (OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Permission::empty());
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match openat2(&root, "etc", flags, mode, inside)
        .and_then(|etc| symlinkat("/proc/mounts", etc, "mtab"))
    {
        Ok(()) | Err(Errno::EXIST | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes the root file system off its directory once nobody is in it, so that the directory can
/// go; what is still in use stays until the monitor ends.
pub(super) fn unmount_all(container: &Container) {
    shm::leave(&container.live);
    let target = container.live.join("rootfs");
    // Not mounted: a directory as it is, or the container never came so far.
    let _ = unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
}

/// Looks at what the flags name.
fn facts(
    (context, program): (&Context, &Path),
    record: &Record,
    (rootfs, net): (PathBuf, &NetPlan),
) -> Result<Facts> {
    let what = || format!("cannot open the root file system {}", rootfs.display());
    let root = fs::File::open(&rootfs).what(what)?;
    let options = Options::parse(&record.flags.isolation.security_opt)?;
    let profile = options
        .profile()
        .map(|path| fs::read(path).what(|| format!("cannot read the seccomp profile {path}")));
    let host = Host::probe()?;
    Ok(Facts {
        accounts: Accounts::read(&root),
        capabilities: host.caps,
        hard_limits: hard_limits(host.has_cap(CAP_SYS_RESOURCE)),
        joined: joined(context, record)?,
        sysctls: net.sysctls.clone(),
        machine: Machine::current(),
        unified: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        own_program: program.to_owned(),
        seccomp_profile: profile.transpose()?,
        apparmor: host.lsm.apparmor.then(default_apparmor).flatten(),
        host_devices: match record.flags.isolation.privileged {
            true => host_devices(),
            false => Vec::new(),
        },
        mounts: net_files(&net.files, record.flags.isolation.read_only),
        rootfs,
    })
}

const CAP_SYS_RESOURCE: u8 = 24;

/// What we may not exceed, being without the right to.
fn hard_limits(may_raise: bool) -> Vec<(&'static str, u64)> {
    const LIMITS: [(&str, u32); 7] = [
        ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE),
        ("RLIMIT_NPROC", libc::RLIMIT_NPROC),
        ("RLIMIT_CORE", libc::RLIMIT_CORE),
        ("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK),
        ("RLIMIT_STACK", libc::RLIMIT_STACK),
        ("RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO),
        ("RLIMIT_NICE", libc::RLIMIT_NICE),
    ];
    if may_raise {
        return Vec::new();
    }
    let hard = |(name, number)| getrlimit(number).ok().map(|(_, hard)| (name, hard));
    LIMITS.into_iter().filter_map(hard).collect()
}

/// Docker's profile, when it is loaded.
fn default_apparmor() -> Option<String> {
    let profiles = fs::read_to_string("/sys/kernel/security/apparmor/profiles").ok()?;
    let loaded = |name: &&str| profiles.lines().any(|line| line.split(' ').next() == Some(name));
    ["docker-default", "containers-default"].iter().find(|name| loaded(name)).map(|n| (*n).into())
}

/// Namespaces of other containers.
fn joined(context: &Context, record: &Record) -> Result<Joined> {
    let of = |mode: Mode, kind: &str| -> Result<Option<PathBuf>> {
        let Mode::Of(name) = mode else { return Ok(None) };
        let pid = running(context, &name)?;
        Ok(Some(format!("/proc/{pid}/ns/{kind}").into()))
    };
    let ipc = namespaces::ipc(record)?;
    let shm = match &ipc {
        Mode::Of(name) => {
            let other = Container::find(context, name)?.record()?;
            let live = context.paths.live(&record.id);
            Some(shm::join(&live, (name, &other, running(context, name)?))?)
        }
        _ => None,
    };
    Ok(Joined {
        net: of(namespaces::net(record), "net")?,
        ipc: of(ipc, "ipc")?,
        shm,
        pid: of(namespaces::pid(record)?, "pid")?,
    })
}

/// Pid of the first process of another container.
fn running(context: &Context, name: &str) -> Result<i32> {
    let id = names::resolve(&context.paths, name)?;
    match Container::of(context, &id).state()?.pid() {
        0 => Err(Error::new(format!("cannot join a namespace of container {name}"))
            .why("it is not running")
            .fix(format!("start it first: pier start {name}"))),
        pid => Ok(pid),
    }
}

/// What stands at a path of the host.
fn look(path: &str) -> Result<Seen> {
    let what = || format!("error gathering device information for {path}");
    let meta = fs::metadata(path).what(what)?;
    seen(&meta).ok_or_else(|| Error::new(what()).why("not a device node"))
}

fn seen(meta: &fs::Metadata) -> Option<Seen> {
    let kind = meta.file_type();
    (kind.is_block_device() || kind.is_char_device()).then(|| Seen {
        block: kind.is_block_device(),
        major: rustix::fs::major(meta.rdev()),
        minor: rustix::fs::minor(meta.rdev()),
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
    })
}

/// Devices below /dev, without those that a container has of its own.
fn host_devices() -> Vec<(String, Seen)> {
    const OWN: [&str; 5] = ["pts", "shm", "mqueue", "fd", "console"];
    let mut found = Vec::new();
    let mut dirs = vec![PathBuf::from("/dev")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let own = dir == Path::new("/dev") && OWN.iter().any(|own| name == *own);
            let Some(meta) = entry.metadata().ok().filter(|_| !own) else { continue };
            if meta.is_dir() {
                dirs.push(entry.path());
            } else if let Some(seen) = seen(&meta)
                && let Ok(path) = entry.path().into_os_string().into_string()
                && !(path.starts_with("/dev/ptmx") || path == "/dev/tty")
            {
                found.push((path, seen));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
