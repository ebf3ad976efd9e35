//! What the tests of several modules need: work in a process of its own.

use std::io;

use super::clone::{CLONE_NEWUSER, CloneArgs, Forked, WaitStatus, clone3, exit, wait_pidfd};

/// Whether the tests run as root.
pub(crate) fn root() -> bool {
    // SAFETY: takes no pointers and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Runs `work` in a child; what it returns is the child's exit code. It makes system calls only.
pub(crate) fn in_child(flags: u64, work: impl FnOnce() -> i32) -> WaitStatus {
    let args = CloneArgs { flags, cgroup: None, exit_signal: libc::SIGCHLD };
    // SAFETY: the work of the tests makes system calls only.
    match unsafe { clone3(&args) }.unwrap() {
        Forked::Child => exit(work()),
        Forked::Parent { pidfd, .. } => wait_pidfd(&pidfd).unwrap(),
    }
}

/// Runs `work` in a child with new namespaces, as root of a user namespace when we are not root;
/// returns the errno of its failure, 0 for none, 1000 + signal for a violent end.
pub(crate) fn in_namespaces(flags: u64, work: impl FnOnce() -> io::Result<()>) -> i32 {
    let flags = if root() { flags } else { flags | CLONE_NEWUSER };
    let status = in_child(flags, || work().err().map_or(0, |e| e.raw_os_error().unwrap_or(255)));
    match status {
        WaitStatus::Exited(code) => code,
        WaitStatus::Signaled(signal) => 1000 + signal,
    }
}

/// The failure of a test's own condition, told apart from the kernel's by a rare errno.
pub(crate) fn hold(condition: bool) -> io::Result<()> {
    if condition { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EILSEQ)) }
}
