//! The kernel's share: the system calls that the default bundle cannot do without, nothing
//! parsed and nothing decided. A runtime's time divided by this one's is its distance from the
//! limit.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libcontainer::sys::argv::ArgV;
use libcontainer::sys::clone::{self, CloneArgs, WaitStatus};
use libcontainer::sys::{cred, exec, fd, mount};

const BIND: u64 = libc::MS_BIND | libc::MS_REC;
const RO: u64 = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY;
const SAFE: u64 = libc::MS_NOSUID | libc::MS_NOEXEC | libc::MS_NODEV;

struct Floor {
    rootfs: CString,
    argv: ArgV,
    envp: ArgV,
    go: std::os::fd::OwnedFd,
}

/// One container: cgroups made, `/bin/true` run in its namespaces, cgroups removed.
pub(crate) fn container(rootfs: &str, cgroups: &[String]) -> Result<()> {
    let cgroups = Cgroups::make(cgroups)?;
    let dirs = &cgroups.0;
    let v2 = dirs.len() == 1;
    let (go, tell) = fd::pipe()?;
    let mut floor = Floor {
        rootfs: CString::new(rootfs)?,
        argv: ArgV::new(&[c"/bin/true".to_owned()]),
        envp: ArgV::new(&[c"PATH=/bin".to_owned()]),
        go,
    };
    let dir = v2.then(|| fs::File::open(&dirs[0])).transpose()?;
    let args = CloneArgs {
        flags: clone::CLONE_NEWPID
            | clone::CLONE_NEWNS
            | clone::CLONE_NEWUTS
            | clone::CLONE_NEWIPC
            | clone::CLONE_NEWNET,
        cgroup: dir.as_ref().map(std::os::fd::AsFd::as_fd),
        exit_signal: libc::SIGCHLD,
    };
    let child = clone::spawn(&args, &mut floor, inside)?;
    let placed = if v2 { Ok(()) } else { place(dirs, child.pid) };
    if let Err(error) = placed.and_then(|()| Ok(fd::write_all(&tell, b"x")?)) {
        // It would wait for ever: it has the other end of the pipe itself.
        clone::pidfd_send_signal(&child.pidfd, libc::SIGKILL)?;
        clone::wait_pidfd(&child.pidfd)?;
        return Err(error);
    }
    let status = clone::wait_pidfd(&child.pidfd)?;
    cgroups.remove()?;
    ensure!(status == WaitStatus::Exited(0), "the floor container ended with {status:?}");
    Ok(())
}

fn place(dirs: &[PathBuf], pid: i32) -> Result<()> {
    for dir in dirs {
        let file = dir.join("cgroup.procs");
        fs::write(&file, pid.to_string()).with_context(|| {
            // The kernel's CONFIG_RT_GROUP_SCHED: a new cgroup has no real-time budget.
            format!("{} (under chrt? v1 refuses real-time priority with EINVAL)", file.display())
        })?;
    }
    Ok(())
}

/// The container's cgroups; gone with this value.
struct Cgroups(Vec<PathBuf>);

impl Cgroups {
    fn make(parents: &[String]) -> Result<Self> {
        let mut made = Self(Vec::new());
        let name = format!("corten-floor-{}", std::process::id());
        for parent in parents {
            let parent = PathBuf::from(parent);
            let dir = parent.join(&name);
            fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
            made.0.push(dir.clone());
            for file in ["cpuset.cpus", "cpuset.mems"] {
                // A v1 cpuset starts empty and takes no process until it has some.
                if let Ok(text) = fs::read(parent.join(file)) {
                    let file = dir.join(file);
                    fs::write(&file, text).with_context(|| file.display().to_string())?;
                }
            }
        }
        Ok(made)
    }

    /// Removes them; what has just ended may be in there for a moment.
    fn remove(mut self) -> Result<()> {
        while let Some(dir) = self.0.last() {
            remove(dir)?;
            self.0.pop();
        }
        Ok(())
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for dir in &self.0 {
            if let Err(error) = remove(dir) {
                eprintln!("{error:#}");
            }
        }
    }
}

fn remove(dir: &Path) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    while let Err(e) = fs::remove_dir(dir) {
        let busy = e.raw_os_error() == Some(libc::EBUSY) && Instant::now() < end;
        ensure!(busy, "{}: {e}", dir.display());
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

fn inside(floor: &mut Floor) -> ! {
    let done = tree(floor).and_then(|()| limits());
    if done.is_ok() {
        exec::exec(c"/bin/true", &floor.argv, &floor.envp);
    }
    clone::exit(99)
}

fn tree(floor: &Floor) -> io::Result<()> {
    mount::mount(None, c"/", None, libc::MS_SLAVE | libc::MS_REC, None)?;
    mount::mount(Some(&floor.rootfs), &floor.rootfs, None, BIND, None)?;
    cred::chdir(&floor.rootfs)?;
    let fs = |what: &'static std::ffi::CStr, at, flags, data| {
        mount::mount(Some(what), at, Some(what), flags, data)
    };
    fs(c"proc", c"proc", 0, None)?;
    let data = Some(c"mode=755,size=65536k");
    fs(c"tmpfs", c"dev", libc::MS_NOSUID | libc::MS_STRICTATIME, data)?;
    for dir in [c"dev/pts", c"dev/shm", c"dev/mqueue"] {
        fd::mkdirat(fd::CWD, dir, 0o755)?;
    }
    let data = Some(c"newinstance,ptmxmode=0666,mode=0620,gid=5");
    fs(c"devpts", c"dev/pts", libc::MS_NOSUID | libc::MS_NOEXEC, data)?;
    fs(c"tmpfs", c"dev/shm", SAFE, Some(c"mode=1777,size=65536k"))?;
    fs(c"mqueue", c"dev/mqueue", SAFE, None)?;
    fs(c"sysfs", c"sys", SAFE | libc::MS_RDONLY, None)?;
    devices()?;
    let mut go = [0];
    fd::read(&floor.go, &mut go)?;
    clone::unshare(clone::CLONE_NEWCGROUP)?;
    mount::pivot_root(c".", c".")?;
    mount::umount2(c".", libc::MNT_DETACH)?;
    cred::chdir(c"/")?;
    mount::mount(None, c"/", None, RO, None)
}

fn devices() -> io::Result<()> {
    let old = cred::umask(0);
    let nodes = [
        (c"dev/null", 1, 3),
        (c"dev/zero", 1, 5),
        (c"dev/full", 1, 7),
        (c"dev/random", 1, 8),
        (c"dev/urandom", 1, 9),
        (c"dev/tty", 5, 0),
    ];
    for (path, major, minor) in nodes {
        fd::mknodat(fd::CWD, path, libc::S_IFCHR | 0o666, libc::makedev(major, minor))?;
    }
    cred::umask(old);
    let links = [
        (c"/proc/self/fd", c"dev/fd"),
        (c"/proc/self/fd/0", c"dev/stdin"),
        (c"/proc/self/fd/1", c"dev/stdout"),
        (c"/proc/self/fd/2", c"dev/stderr"),
        (c"pts/ptmx", c"dev/ptmx"),
    ];
    links.iter().try_for_each(|(target, path)| fd::symlinkat(target, fd::CWD, path))
}

fn limits() -> io::Result<()> {
    cred::sethostname(b"runc")?;
    let there = |path: &&std::ffi::CStr| fd::fstatat(fd::CWD, path, 0).is_ok();
    let paths = [c"/proc/bus", c"/proc/fs", c"/proc/irq", c"/proc/sys", c"/proc/sysrq-trigger"];
    for path in paths.into_iter().filter(there) {
        mount::mount(Some(path), path, None, BIND, None)?;
        mount::mount(None, path, None, RO, None)?;
    }
    let files = [c"/proc/kcore", c"/proc/keys", c"/proc/timer_list"];
    for path in files.into_iter().filter(there) {
        mount::mount(Some(c"/dev/null"), path, None, libc::MS_BIND, None)?;
    }
    let dirs = [c"/proc/acpi", c"/proc/asound", c"/sys/firmware", c"/proc/scsi"];
    for path in dirs.into_iter().filter(there) {
        mount::mount(Some(c"tmpfs"), path, Some(c"tmpfs"), libc::MS_RDONLY, None)?;
    }
    // AUDIT_WRITE, KILL, NET_BIND_SERVICE.
    let keep = 1 << 29 | 1 << 5 | 1 << 10;
    for cap in (0..=40).filter(|cap| keep & (1u64 << cap) == 0) {
        cred::cap_bounding_drop(cap)?;
    }
    cred::capset(cred::CapSets { effective: keep, permitted: keep, inheritable: 0 })?;
    cred::set_no_new_privs()
}
