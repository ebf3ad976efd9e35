//! Answering the notifications of a system call filter (`seccomp_unotify(2)`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{done, errno, raw, retry};

/// What the kernel may write for one notification; its struct may grow.
const ROOM: usize = 64;

/// A call that waits for an answer: `struct seccomp_notif`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Names it in the answer.
    pub id: u64,
    /// The thread that calls, in our pid namespace; 0 when it has no number there.
    pub pid: u32,
    /// Number of the call.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Its arguments.
    pub args: [u64; 6],
}

/// The descriptor of a filter's notifications.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Takes the descriptor. Where the kernel can (Linux 6.6), a caller that is answered runs on
    /// the processor of the one who answers, which halves the time of a notification.
    pub fn new(file: OwnedFd) -> Self {
        const SYNC_WAKE_UP: u64 = 1;
        // SAFETY: takes a number, no pointer.
        let _older = done(unsafe {
            libc::ioctl(raw(&file), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP)
        });
        Self(file)
    }

    /// Waits for a call.
    ///
    /// # Errors
    /// `ENOENT` when the caller was killed or interrupted meanwhile.
    pub fn receive(&self) -> io::Result<Notification> {
        let mut words = [0_u64; ROOM];
        let request = libc::SECCOMP_IOCTL_NOTIF_RECV;
        // SAFETY: the kernel writes its struct of 80 bytes, for which there is room.
        retry(|| done(unsafe { libc::ioctl(raw(&self.0), request, words.as_mut_ptr()) }))?;
        // SAFETY: the buffer is longer than the struct, aligned for it, and all its members are
        // integers, for which any bytes will do.
        let told = unsafe { words.as_ptr().cast::<libc::seccomp_notif>().read() };
        let nr = u32::from_ne_bytes(told.data.nr.to_ne_bytes());
        let (arch, args) = (told.data.arch, told.data.args);
        Ok(Notification { id: told.id, pid: told.pid, nr, arch, args })
    }

    /// Lets the call be made as if nobody had asked (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`).
    ///
    /// # Errors
    /// `ENOENT` when nobody waits any more; `EINVAL` before Linux 5.5.
    pub fn go_on(&self, id: u64) -> io::Result<()> {
        let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE);
        let flags = flags.map_err(|_| errno(libc::EINVAL))?;
        let answer = libc::seccomp_notif_resp { id, val: 0, error: 0, flags };
        let request = libc::SECCOMP_IOCTL_NOTIF_SEND;
        // SAFETY: the kernel reads the struct.
        retry(|| done(unsafe { libc::ioctl(raw(&self.0), request, &raw const answer) }))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::sys::clone::{self, CloneArgs, Forked, WaitStatus};
    use crate::sys::{cred, seccomp};
    use corten_seccomp::{FLAG_NEW_LISTENER, Insn};

    fn getppid() -> u32 {
        u32::try_from(libc::SYS_getppid).unwrap_or(0)
    }

    /// Tells the number of its listener, then asks for its parent, under a filter that notifies.
    fn asks(mut told: impl Write, parent: i32) -> i32 {
        let insn = |code, jt, jf, k| Insn { code, jt, jf, k };
        let filter = [
            insn(0x20, 0, 0, 0),
            insn(0x15, 0, 1, getppid()),
            insn(0x06, 0, 0, 0x7fc0_0000),
            insn(0x06, 0, 0, 0x7fff_0000),
        ];
        if cred::set_no_new_privs().is_err() {
            return 1;
        }
        let Ok(Some(file)) = seccomp::set_filter(&filter, FLAG_NEW_LISTENER) else { return 2 };
        let number = file.as_raw_fd().to_ne_bytes();
        if told.write_all(&number).is_err() {
            return 3;
        }
        if clone::getppid() == parent { 0 } else { 4 }
    }

    #[test]
    fn a_call_goes_on_when_it_is_let() {
        let (mut hears, tells) = io::pipe().unwrap();
        let parent = clone::getpid();
        let args = CloneArgs { flags: 0, cgroup: None, exit_signal: libc::SIGCHLD };
        // SAFETY: the child makes system calls only.
        let pidfd = match unsafe { clone::clone3(&args) }.unwrap() {
            Forked::Child => clone::exit(asks(tells, parent)),
            Forked::Parent { pidfd, .. } => pidfd,
        };
        let mut number = [0; 4];
        hears.read_exact(&mut number).unwrap();
        let file = clone::pidfd_getfd(&pidfd, i32::from_ne_bytes(number)).unwrap();
        let listener = Listener::new(file);
        let told = listener.receive().unwrap();
        assert_eq!(told.nr, getppid());
        assert!(told.pid != 0 && told.arch != 0);
        let unknown = listener.go_on(told.id + 1).unwrap_err();
        assert_eq!(unknown.raw_os_error(), Some(libc::ENOENT));
        listener.go_on(told.id).unwrap();
        assert_eq!(clone::wait_pidfd(&pidfd).unwrap(), WaitStatus::Exited(0));
    }
}
