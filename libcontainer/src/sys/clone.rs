//! Processes and namespaces: making, joining, waiting, signalling by pidfd.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, c_long};

mod old;

use super::{check, check_long, done, done_long, errno, owned_long, raw, retry};

/// New time namespace for children (`time_namespaces(7)`, Linux 5.6).
pub const CLONE_NEWTIME: u64 = 0x80;
/// New mount namespace (`mount_namespaces(7)`).
pub const CLONE_NEWNS: u64 = 0x0002_0000;
/// New cgroup namespace (`cgroup_namespaces(7)`, Linux 4.6).
pub const CLONE_NEWCGROUP: u64 = 0x0200_0000;
/// New UTS namespace (`uts_namespaces(7)`).
pub const CLONE_NEWUTS: u64 = 0x0400_0000;
/// New IPC namespace (`ipc_namespaces(7)`).
pub const CLONE_NEWIPC: u64 = 0x0800_0000;
/// New user namespace (`user_namespaces(7)`, Linux 3.8).
pub const CLONE_NEWUSER: u64 = 0x1000_0000;
/// New pid namespace for children (`pid_namespaces(7)`).
pub const CLONE_NEWPID: u64 = 0x2000_0000;
/// New network namespace (`network_namespaces(7)`).
pub const CLONE_NEWNET: u64 = 0x4000_0000;
/// Same parent as the caller's (`clone(2)`).
pub const CLONE_PARENT: u64 = 0x0000_8000;
/// Hand out a pidfd (`clone(2)`, Linux 5.2).
pub const CLONE_PIDFD: u64 = 0x0000_1000;
/// Start in the cgroup of `clone_args.cgroup` (`clone(2)`, Linux 5.7, cgroup v2 only).
pub const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What [`clone3`] is asked for.
#[derive(Clone, Copy, Debug)]
pub struct CloneArgs<'a> {
    /// `CLONE_*`; [`CLONE_PIDFD`] and [`CLONE_INTO_CGROUP`] are added as needed. Nothing that
    /// shares memory with the caller.
    pub flags: u64,
    /// Directory of the cgroup v2 hierarchy that the child starts in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Signal for the parent when the child ends, usually `SIGCHLD`; 0 with [`CLONE_PARENT`].
    pub exit_signal: i32,
}

/// On which side of [`clone3`] the caller woke up.
#[derive(Debug)]
pub enum Forked {
    /// In the new process.
    Child,
    /// In the old one.
    Parent {
        /// The child's pid as the caller sees it.
        pid: i32,
        /// The child, without the races of its pid; close-on-exec.
        pidfd: OwnedFd,
    },
}

/// Makes a process with a copy of our memory (`clone(2)`, clone3 since Linux 5.3).
///
/// # Errors
/// `EINVAL` for flags that share memory, stack or handlers; `ENOSYS` before Linux 5.3 or where a
/// seccomp filter hides the call; `EPERM` without `CAP_SYS_ADMIN` for new namespaces; `ENOSPC` at
/// a namespace limit; `EAGAIN` at a process limit.
///
/// # Safety
/// The child has one thread and a copy of the memory of all of them: until execve or [`exit`] it
/// must not allocate, take a lock, unwind, or call anything that does.
pub unsafe fn clone3(args: &CloneArgs<'_>) -> io::Result<Forked> {
    let shared = u64::from(libc::CLONE_VM.cast_unsigned())
        | u64::from(libc::CLONE_VFORK.cast_unsigned())
        | u64::from(libc::CLONE_THREAD.cast_unsigned())
        | u64::from(libc::CLONE_SETTLS.cast_unsigned());
    if args.flags & shared != 0 {
        return Err(errno(libc::EINVAL).into());
    }
    let mut pidfd: c_int = -1;
    let mut flags = args.flags | CLONE_PIDFD;
    let mut cgroup = 0;
    if let Some(dir) = args.cgroup {
        flags |= CLONE_INTO_CGROUP;
        cgroup = u64::from(dir.as_raw_fd().cast_unsigned());
    }
    let raw_args = libc::clone_args {
        flags,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: u64::from(args.exit_signal.cast_unsigned()),
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup,
    };
    // SAFETY: `raw_args` is a whole clone_args of the size passed; `pidfd` outlives the call; no
    // memory is shared (checked above), so the child has its own stack; the rest is our caller's
    // promise.
    let pid = check_long(unsafe {
        libc::syscall(libc::SYS_clone3, &raw const raw_args, size_of::<libc::clone_args>())
    })?;
    // SAFETY: the kernel stored a new fd because CLONE_PIDFD was asked for.
    unsafe { forked(pid, pidfd) }
}

/// # Safety
/// In the parent, where `pid` is not 0, `pidfd` is open and nobody else's.
unsafe fn forked(pid: c_long, pidfd: c_int) -> io::Result<Forked> {
    if pid == 0 {
        return Ok(Forked::Child);
    }
    let pid = i32::try_from(pid).map_err(|_| errno(libc::EOVERFLOW))?;
    // SAFETY: our caller's promise.
    Ok(Forked::Parent { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
}

/// Whether this process is a child made by [`spawn`] that has not become another program yet:
/// an allocator may look at it to enforce the rules of the init stage.
pub static IN_CHILD: AtomicBool = AtomicBool::new(false);

/// A child of ours.
#[derive(Debug)]
pub struct Child {
    /// Its pid as we see it.
    pub pid: i32,
    /// The same without the races of a number; close-on-exec.
    pub pidfd: OwnedFd,
}

/// [`clone3`] whose child runs `work` on its copy of `with`, all signals blocked.
///
/// `work` keeps the rules of [`clone3`]: system calls only. A breach of them cannot corrupt
/// memory (the child has its own), but may wait for ever for a lock that another thread held.
///
/// # Errors
/// As [`clone3`].
pub fn spawn<T>(args: &CloneArgs<'_>, with: &mut T, work: fn(&mut T) -> !) -> io::Result<Child> {
    let mask = super::signal::block_all()?;
    // SAFETY: the child calls only `work`, which makes system calls only: our caller's promise.
    let forked = unsafe { clone3(args) }.or_else(|error| match error.raw_os_error() {
        // A filter that we run under may hide clone3, as Docker's default profile does: without
        // new namespaces nothing else says ENOSYS or EPERM.
        Some(libc::ENOSYS | libc::EPERM) if args.flags == 0 && args.cgroup.is_none() => {
            // SAFETY: as above.
            unsafe { old::plain_clone(args.exit_signal) }
        }
        _ => Err(error),
    });
    if let Ok(Forked::Child) = forked {
        IN_CHILD.store(true, Ordering::Relaxed);
        work(with)
    }
    super::signal::restore(mask)?;
    match forked? {
        Forked::Parent { pid, pidfd } => Ok(Child { pid, pidfd }),
        Forked::Child => exit(1),
    }
}

/// Ends the process at once: no destructors, no exit handlers, no flushed buffers (`_exit(2)`).
pub fn exit(code: i32) -> ! {
    // SAFETY: takes no pointers and does not return.
    unsafe { libc::_exit(code) }
}

/// Moves the calling thread into new namespaces (`unshare(2)`).
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`; `EINVAL` for an unknown flag or several threads with
/// `CLONE_NEWUSER`; `ENOSPC` at a namespace limit.
pub fn unshare(flags: u64) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done_long(unsafe { libc::syscall(libc::SYS_unshare, flags) })
}

/// Joins the namespace of `fd`, which is a file of `/proc/PID/ns` or a pidfd (`setns(2)`).
///
/// `nstype` is one `CLONE_NEW*` that the namespace must be of, 0 for any, or several for a pidfd
/// (Linux 5.8).
///
/// # Errors
/// `EINVAL` for another type of namespace; `EPERM` without capabilities there; `EBADF`.
pub fn setns(fd: impl AsFd, nstype: u64) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done_long(unsafe { libc::syscall(libc::SYS_setns, raw(&fd), nstype) })
}

/// The pidfd of a process (`pidfd_open(2)`, Linux 5.3); close-on-exec.
///
/// # Errors
/// `ESRCH` when there is no such process; `EINVAL` for a thread; `ENOSYS`.
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    owned_long(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Signals the process of a pidfd (`pidfd_send_signal(2)`, Linux 5.1); signal 0 asks whether it
/// still exists.
///
/// # Errors
/// `ESRCH` when it has ended and was waited for; `EPERM`; `EINVAL` for an unknown signal.
pub fn pidfd_send_signal(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the kernel fills in the siginfo itself when it is given none.
    done_long(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, raw(&pidfd), signal, info, 0) })
}

/// Copies fd number `target` out of another process (`pidfd_getfd(2)`, Linux 5.6); close-on-exec.
///
/// # Errors
/// `EPERM` without ptrace rights over it; `EBADF` when it has no such fd; `ESRCH`.
pub fn pidfd_getfd(pidfd: impl AsFd, target: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    owned_long(unsafe { libc::syscall(libc::SYS_pidfd_getfd, raw(&pidfd), target, 0) })
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitStatus {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

impl WaitStatus {
    /// The status as shells and runc give it: the code itself, or 128 + signal.
    pub const fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128 + signal,
        }
    }
}

/// Waits until the child of a pidfd has ended, and reaps it (`waitid(2)`, `P_PIDFD`, Linux 5.4).
///
/// # Errors
/// `ECHILD` when it is not our child, or already reaped.
pub fn wait_pidfd(pidfd: impl AsFd) -> io::Result<WaitStatus> {
    let id = raw(&pidfd).cast_unsigned();
    wait(libc::P_PIDFD, id, libc::WEXITED)?.ok_or_else(|| errno(libc::EAGAIN).into())
}

/// [`wait_pidfd`] that returns `None` instead of blocking.
///
/// # Errors
/// As [`wait_pidfd`].
pub fn try_wait_pidfd(pidfd: impl AsFd) -> io::Result<Option<WaitStatus>> {
    wait(libc::P_PIDFD, raw(&pidfd).cast_unsigned(), libc::WEXITED | libc::WNOHANG)
}

/// Waits until the child `pid` has ended, and reaps it (`waitid(2)`).
///
/// # Errors
/// `ECHILD` when it is not our child, or already reaped.
pub fn wait_pid(pid: i32) -> io::Result<WaitStatus> {
    let id = u32::try_from(pid).map_err(|_| errno(libc::EINVAL))?;
    wait(libc::P_PID, id, libc::WEXITED)?.ok_or_else(|| errno(libc::EAGAIN).into())
}

/// Reaps one ended child, whichever: its pid and how it ended, or `None` when all still run.
///
/// # Errors
/// `ECHILD` when there are no children.
pub fn reap_any() -> io::Result<Option<(i32, WaitStatus)>> {
    let mut pid = 0;
    let status = wait_info(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG, &mut pid)?;
    Ok(status.map(|status| (pid, status)))
}

fn wait(kind: libc::idtype_t, id: u32, options: c_int) -> io::Result<Option<WaitStatus>> {
    wait_info(kind, id, options, &mut 0)
}

fn wait_info(
    kind: libc::idtype_t,
    id: u32,
    options: c_int,
    pid: &mut i32,
) -> io::Result<Option<WaitStatus>> {
    // SAFETY: siginfo_t is plain data for which all zeroes are valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is a valid siginfo_t for the length of the call.
    retry(|| check(unsafe { libc::waitid(kind, id, &raw mut info, options) }))?;
    // SAFETY: waitid succeeded, so `info` is of the SIGCHLD form, or still zero (WNOHANG).
    let (who, status) = unsafe { (info.si_pid(), info.si_status()) };
    *pid = who;
    Ok(match info.si_code {
        _ if who == 0 => None,
        libc::CLD_EXITED => Some(WaitStatus::Exited(status)),
        _ => Some(WaitStatus::Signaled(status)),
    })
}

/// Our pid, from the kernel (`getpid(2)`).
pub fn getpid() -> i32 {
    // SAFETY: takes no pointers and cannot fail.
    let pid: c_long = unsafe { libc::syscall(libc::SYS_getpid) };
    i32::try_from(pid).unwrap_or(-1)
}

/// Our parent's pid, 0 when it lives in an outer pid namespace (`getppid(2)`).
pub fn getppid() -> i32 {
    // SAFETY: takes no pointers and cannot fail.
    let pid: c_long = unsafe { libc::syscall(libc::SYS_getppid) };
    i32::try_from(pid).unwrap_or(-1)
}

/// Whether we lead our session (`getsid(2)`).
pub fn leads_session() -> bool {
    // SAFETY: takes no pointers.
    let session = unsafe { libc::getsid(0) };
    session == getpid()
}

/// Signals a process by pid, a group by negative pid (`kill(2)`).
///
/// # Errors
/// `ESRCH`, `EPERM`, `EINVAL`.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done(unsafe { libc::kill(pid, signal) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fork(work: impl FnOnce() -> i32) -> (i32, OwnedFd) {
        let args = CloneArgs { flags: 0, cgroup: None, exit_signal: libc::SIGCHLD };
        // SAFETY: the work of these tests makes system calls only.
        match unsafe { clone3(&args) }.unwrap() {
            Forked::Child => exit(work()),
            Forked::Parent { pid, pidfd } => (pid, pidfd),
        }
    }

    #[test]
    fn child_code_arrives_through_its_pidfd() {
        let (pid, pidfd) = fork(|| 42);
        assert!(pid > 0);
        assert_eq!(wait_pidfd(&pidfd).unwrap(), WaitStatus::Exited(42));
        assert_eq!(wait_pidfd(&pidfd).unwrap_err().raw_os_error(), Some(libc::ECHILD));
        assert_eq!(pidfd_send_signal(&pidfd, 0).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn signal_is_told_from_exit() {
        let (_, pidfd) = fork(|| {
            loop {
                // SAFETY: takes no pointers.
                unsafe { libc::pause() };
            }
        });
        assert_eq!(try_wait_pidfd(&pidfd).unwrap(), None);
        pidfd_send_signal(&pidfd, libc::SIGKILL).unwrap();
        let status = wait_pidfd(&pidfd).unwrap();
        assert_eq!(status, WaitStatus::Signaled(libc::SIGKILL));
        assert_eq!(status.code(), 137);
    }

    #[test]
    fn waiting_by_pid_and_for_strangers() {
        let (pid, _pidfd) = fork(|| 3);
        assert_eq!(wait_pid(pid).unwrap(), WaitStatus::Exited(3));
        assert_eq!(wait_pid(1).unwrap_err().raw_os_error(), Some(libc::ECHILD));
        assert_eq!(wait_pid(-1).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn memory_is_never_shared() {
        let flags = u64::from(libc::CLONE_VM.cast_unsigned());
        let args = CloneArgs { flags, cgroup: None, exit_signal: libc::SIGCHLD };
        // SAFETY: refused before any process is made.
        let refused = unsafe { clone3(&args) }.unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn pidfd_of_ourselves_copies_our_fds() {
        let own = pidfd_open(getpid()).unwrap();
        let (a, _b) = super::super::fd::pipe().unwrap();
        let copy = pidfd_getfd(&own, a.as_raw_fd()).unwrap();
        let ino = |fd: &OwnedFd| super::super::fd::fstat(fd).unwrap().ino;
        assert_eq!(ino(&copy), ino(&a));
        assert_ne!(getppid(), 0);
    }
}
