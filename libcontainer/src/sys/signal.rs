//! Signals: the state a program expects at its start, and reading signals as data.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::{done_long, errno, fd, owned_long};

/// The highest signal number (`signal(7)`).
pub const MAX: i32 = 64;

/// A set of signals; bit n - 1 is signal n, as the kernel has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// Every signal.
    pub const ALL: Self = Self(u64::MAX);

    /// These signals; numbers outside 1 to [`MAX`] are left out.
    pub fn of(signals: &[i32]) -> Self {
        let bits = signals.iter().filter(|signal| (1..=MAX).contains(*signal));
        Self(bits.fold(0, |set, signal| set | 1 << (signal - 1)))
    }

    /// Whether it has this signal.
    pub fn has(self, signal: i32) -> bool {
        (1..=MAX).contains(&signal) && self.0 & 1 << (signal - 1) != 0
    }
}

/// Replaces the signal mask of this thread; returns the old one (`rt_sigprocmask(2)`).
///
/// # Errors
/// None.
pub fn set_mask(mask: SigSet) -> io::Result<SigSet> {
    let mut old = SigSet::EMPTY;
    // SAFETY: both are eight bytes long, the kernel's size of a signal set.
    done_long(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask.0,
            &raw mut old.0,
            size_of::<u64>(),
        )
    })?;
    Ok(old)
}

/// Blocks all signals of this thread; returns the mask for [`restore`].
///
/// # Errors
/// None.
pub fn block_all() -> io::Result<SigSet> {
    set_mask(SigSet::ALL)
}

/// Puts back the mask that [`block_all`] returned.
///
/// # Errors
/// None.
pub fn restore(mask: SigSet) -> io::Result<()> {
    set_mask(mask).map(drop)
}

/// Gives every signal its default action and unblocks all: handlers of an embedding program, or
/// `SIGPIPE` ignored by Rust, would otherwise reach into the container through execve.
///
/// # Errors
/// None.
pub fn reset_all() -> io::Result<()> {
    // Larger than struct sigaction of every kernel; all zeroes are SIG_DFL, no flags, no mask.
    let default = [0_u64; 16];
    let old = std::ptr::null_mut::<u64>();
    for signal in (1..=MAX).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // SAFETY: `default` is longer than the kernel's struct sigaction; no old one is asked for.
        // The libc call would refuse the two signals that it keeps for itself.
        done_long(unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), old, size_of::<u64>())
        })?;
    }
    set_mask(SigSet::EMPTY).map(drop)
}

/// Makes these signals end this process with exit code 128 + n, even where it is the init of a pid
/// namespace, for which the kernel ignores a default action (`pid_namespaces(7)`). execve undoes it.
///
/// # Errors
/// `EINVAL` for `SIGKILL`, `SIGSTOP` and numbers that are none.
pub fn end_on(signals: &[i32]) -> io::Result<()> {
    extern "C" fn end(signal: libc::c_int) {
        super::clone::exit(128 + signal)
    }
    for signal in signals {
        // SAFETY: zeroes are a valid sigaction: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = end as extern "C" fn(libc::c_int) as libc::sighandler_t;
        let old = std::ptr::null_mut();
        // SAFETY: `action` is whole, and its handler makes one system call and does not return.
        super::done(unsafe { libc::sigaction(*signal, &raw const action, old) })?;
    }
    Ok(())
}

/// An fd that delivers these signals, which the caller has blocked; non-blocking
/// (`signalfd(2)`).
///
/// # Errors
/// `EMFILE`, `ENFILE`.
pub fn signalfd(signals: SigSet) -> io::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the kernel reads eight bytes of mask.
    owned_long(unsafe {
        libc::syscall(libc::SYS_signalfd4, -1, &raw const signals.0, size_of::<u64>(), flags)
    })
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Which.
    pub signal: i32,
    /// From whom, 0 from the kernel; for `SIGCHLD` the child.
    pub pid: u32,
}

/// Takes one signal from a [`signalfd`], `None` when there is none.
///
/// # Errors
/// `EBADF`; `EIO` for an fd that is none.
pub fn read_signal(signalfd: impl AsFd) -> io::Result<Option<Arrived>> {
    let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
    match fd::read(signalfd, &mut info) {
        Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => Ok(None),
        Err(e) => Err(e),
        Ok(length) if length == info.len() => {
            let word = |at: usize| match info.get(at..at + 4) {
                Some(&[a, b, c, d]) => u32::from_ne_bytes([a, b, c, d]),
                _ => 0,
            };
            let pid_at = std::mem::offset_of!(libc::signalfd_siginfo, ssi_pid);
            Ok(Some(Arrived { signal: word(0).cast_signed(), pid: word(pid_at) }))
        }
        Ok(_) => Err(errno(libc::EIO).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clone::{WaitStatus, getpid, kill};
    use crate::sys::testing::in_child;

    #[test]
    fn sets() {
        let set = SigSet::of(&[1, 64, 0, 65, -3]);
        assert_eq!(set.0, 1 | 1 << 63);
        assert!(set.has(64) && !set.has(2) && !set.has(0) && !set.has(65));
    }

    fn blocked_signal_is_read_then_reset_one_kills() -> io::Result<i32> {
        block_all()?;
        let fd = signalfd(SigSet::of(&[libc::SIGTERM]))?;
        if read_signal(&fd)?.is_some() {
            return Ok(1);
        }
        kill(getpid(), libc::SIGTERM)?;
        let arrived = read_signal(&fd)?;
        let expected = Arrived { signal: libc::SIGTERM, pid: getpid().cast_unsigned() };
        if arrived != Some(expected) {
            return Ok(2);
        }
        // SAFETY: ignoring a signal installs no code.
        unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
        restore(SigSet::EMPTY)?;
        kill(getpid(), libc::SIGUSR1)?;
        reset_all()?;
        kill(getpid(), libc::SIGUSR1)?;
        Ok(3)
    }

    #[test]
    fn a_child_reads_and_resets() {
        let status = in_child(0, || blocked_signal_is_read_then_reset_one_kills().unwrap_or(4));
        assert_eq!(status, WaitStatus::Signaled(libc::SIGUSR1));
    }
}
