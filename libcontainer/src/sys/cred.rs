//! Who a process is: ids, capabilities, flags, names, place; [`exec`](super::exec) is what it
//! becomes.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::AsFd;

use libc::{c_int, c_ulong};

pub use super::exec::{access_x, execve, execveat, seccomp_get_action_avail};
use super::{check, done, done_long, errno, raw, size};

/// Sets real, effective and saved user id of this thread (`setresuid(2)`).
///
/// # Errors
/// `EPERM`; `EINVAL` for an id without a mapping; `EAGAIN` at a process limit.
pub fn setresuid(real: u32, effective: u32, saved: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done_long(unsafe { libc::syscall(libc::SYS_setresuid, real, effective, saved) })
}

/// Sets real, effective and saved group id of this thread (`setresgid(2)`).
///
/// # Errors
/// `EPERM`; `EINVAL` for an id without a mapping.
pub fn setresgid(real: u32, effective: u32, saved: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done_long(unsafe { libc::syscall(libc::SYS_setresgid, real, effective, saved) })
}

/// Replaces the supplementary groups of this thread (`setgroups(2)`).
///
/// # Errors
/// `EPERM`, also where `/proc/PID/setgroups` says deny; `EINVAL` for too many or unmapped ids.
pub fn setgroups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the kernel reads `groups.len()` ids.
    done_long(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })
}

/// Three of the five capability sets of a thread; bit n is capability n (`capabilities(7)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapSets {
    /// What is checked.
    pub effective: u64,
    /// What may become effective.
    pub permitted: u64,
    /// What may survive execve.
    pub inheritable: u64,
}

/// `_LINUX_CAPABILITY_VERSION_3`: two words per set.
const CAPABILITY_V3: u32 = 0x2008_0522;

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapWords {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Reads our capability sets (`capget(2)`).
///
/// # Errors
/// None for ourselves.
pub fn capget() -> io::Result<CapSets> {
    let mut header = CapHeader { version: CAPABILITY_V3, pid: 0 };
    let mut words = [CapWords::default(); 2];
    // SAFETY: version 3 has two of the words.
    done_long(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) })?;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let [low, high] = words;
    Ok(CapSets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// Replaces our capability sets (`capset(2)`).
///
/// # Errors
/// `EPERM` for more than is permitted or bounded.
pub fn capset(sets: CapSets) -> io::Result<()> {
    let mut header = CapHeader { version: CAPABILITY_V3, pid: 0 };
    let half = |shift: u32| CapWords {
        effective: low_word(sets.effective >> shift),
        permitted: low_word(sets.permitted >> shift),
        inheritable: low_word(sets.inheritable >> shift),
    };
    let words = [half(0), half(32)];
    // SAFETY: version 3 has two of the words.
    done_long(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) })
}

fn low_word(bits: u64) -> u32 {
    u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0)
}

fn prctl(option: c_int, first: c_ulong, second: c_ulong) -> io::Result<c_int> {
    let zero: c_ulong = 0;
    // SAFETY: the options used here take numbers only; PR_SET_NAME has a call of its own.
    check(unsafe { libc::prctl(option, first, second, zero, zero) })
}

/// Takes a capability from the bounding set (`PR_CAPBSET_DROP`).
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`; `EINVAL` for a capability the kernel does not know.
pub fn cap_bounding_drop(cap: u32) -> io::Result<()> {
    prctl(libc::PR_CAPBSET_DROP, c_ulong::from(cap), 0).map(drop)
}

/// Whether a capability is in the bounding set (`PR_CAPBSET_READ`).
///
/// # Errors
/// `EINVAL` for a capability the kernel does not know.
pub fn cap_bounding_has(cap: u32) -> io::Result<bool> {
    prctl(libc::PR_CAPBSET_READ, c_ulong::from(cap), 0).map(|has| has == 1)
}

/// Empties the ambient set (`PR_CAP_AMBIENT_CLEAR_ALL`, Linux 4.3).
///
/// # Errors
/// `EINVAL` before Linux 4.3.
pub fn cap_ambient_clear() -> io::Result<()> {
    let clear = c_ulong::from(libc::PR_CAP_AMBIENT_CLEAR_ALL.cast_unsigned());
    prctl(libc::PR_CAP_AMBIENT, clear, 0).map(drop)
}

/// Adds a capability to the ambient set (`PR_CAP_AMBIENT_RAISE`).
///
/// # Errors
/// `EPERM` when it is not both permitted and inheritable, or securebits forbid it.
pub fn cap_ambient_raise(cap: u32) -> io::Result<()> {
    let raise = c_ulong::from(libc::PR_CAP_AMBIENT_RAISE.cast_unsigned());
    prctl(libc::PR_CAP_AMBIENT, raise, c_ulong::from(cap)).map(drop)
}

/// Whether permitted capabilities survive the change from uid 0 (`PR_SET_KEEPCAPS`); cleared by
/// execve.
///
/// # Errors
/// `EPERM` when securebits lock it.
pub fn set_keepcaps(on: bool) -> io::Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, c_ulong::from(on), 0).map(drop)
}

/// Sets the secure bits (`PR_SET_SECUREBITS`).
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
pub fn set_securebits(bits: u32) -> io::Result<()> {
    prctl(libc::PR_SET_SECUREBITS, c_ulong::from(bits), 0).map(drop)
}

/// From now on execve gives no privileges (`PR_SET_NO_NEW_PRIVS`).
///
/// # Errors
/// None on any kernel since 3.5.
pub fn set_no_new_privs() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// Whether `/proc/PID` belongs to our own user and others of it may trace us
/// (`PR_SET_DUMPABLE`).
///
/// # Errors
/// None.
pub fn set_dumpable(on: bool) -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, c_ulong::from(on), 0).map(drop)
}

/// Whether others of our user may trace us (`PR_GET_DUMPABLE`).
///
/// # Errors
/// None.
pub fn is_dumpable() -> io::Result<bool> {
    prctl(libc::PR_GET_DUMPABLE, 0, 0).map(|dumpable| dumpable == 1)
}

/// The signal we get when our parent thread ends, 0 for none (`PR_SET_PDEATHSIG`). A parent that
/// has ended already sends nothing: compare `getppid` afterwards.
///
/// # Errors
/// `EINVAL` for no signal.
pub fn set_pdeathsig(signal: i32) -> io::Result<()> {
    let signal = c_ulong::try_from(signal).map_err(|_| errno(libc::EINVAL))?;
    prctl(libc::PR_SET_PDEATHSIG, signal, 0).map(drop)
}

/// Whether orphans below us become our children (`PR_SET_CHILD_SUBREAPER`).
///
/// # Errors
/// None.
pub fn set_subreaper(on: bool) -> io::Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, c_ulong::from(on), 0).map(drop)
}

/// The name in `/proc/PID/comm`, cut at 15 bytes (`PR_SET_NAME`).
///
/// # Errors
/// None.
pub fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: `name` ends in NUL; the kernel reads up to it, at most 16 bytes.
    done(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) })
}

/// The name in `/proc/PID/comm` of the calling thread (`PR_GET_NAME`).
///
/// # Errors
/// None.
pub fn name() -> io::Result<CString> {
    let mut name = [0_u8; 16];
    // SAFETY: the kernel writes at most the 16 bytes of `name`, which outlives the call.
    done(unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr(), 0, 0, 0) })?;
    Ok(CStr::from_bytes_until_nul(&name).map(CStr::to_owned).unwrap_or_default())
}

/// Sets the file mode mask; returns the old one (`umask(2)`).
pub fn umask(mask: u32) -> u32 {
    // SAFETY: takes no pointers and cannot fail.
    unsafe { libc::umask(mask) }
}

/// Leads a new session without terminal; returns its id (`setsid(2)`).
///
/// # Errors
/// `EPERM` for a process group leader.
pub fn setsid() -> io::Result<i32> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::setsid() })
}

/// Sets the host name of our UTS namespace (`sethostname(2)`).
///
/// # Errors
/// `EINVAL` over 64 bytes; `EPERM`.
pub fn sethostname(name: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads `name.len()` bytes.
    done(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })
}

/// Sets the NIS domain name of our UTS namespace (`setdomainname(2)`).
///
/// # Errors
/// As [`sethostname`].
pub fn setdomainname(name: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads `name.len()` bytes.
    done(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) })
}

/// Changes the working directory (`chdir(2)`).
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `EACCES`.
pub fn chdir(path: &CStr) -> io::Result<()> {
    // SAFETY: `path` ends in NUL.
    done(unsafe { libc::chdir(path.as_ptr()) })
}

/// Changes the working directory to an open one (`fchdir(2)`).
///
/// # Errors
/// `ENOTDIR`, `EACCES`.
pub fn fchdir(dir: impl AsFd) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done(unsafe { libc::fchdir(raw(&dir)) })
}

/// Writes the working directory into the buffer; returns its length without NUL (`getcwd(2)`).
/// One that lies outside of our root begins with `(unreachable)` instead of `/`
/// (CVE-2024-21626).
///
/// # Errors
/// `ENOENT` when it was removed; `ERANGE` when the buffer is too small.
pub fn getcwd(buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes.
    let length = unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) };
    size(isize::try_from(length).unwrap_or(-1)).map(|length| length.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clone::WaitStatus;
    use crate::sys::testing::{in_child, root};

    #[test]
    fn capabilities_are_dropped_for_good() {
        let status = in_child(0, || {
            let Ok(before) = capget() else { return 1 };
            let less = CapSets { effective: 0, permitted: before.permitted, inheritable: 0 };
            if capset(less).is_err() || capget().ok() != Some(less) {
                return 2;
            }
            if capset(CapSets::default()).is_err() || capset(before).is_ok() != (before == less) {
                return 3;
            }
            i32::from(cap_ambient_clear().is_err())
        });
        assert_eq!(status, WaitStatus::Exited(0));
    }

    #[test]
    fn ids_change_when_root() {
        if !root() {
            eprintln!("skipped: needs root");
            return;
        }
        let status = in_child(0, || {
            let ids = setgroups(&[7, 8])
                .and_then(|()| setresgid(11, 11, 11))
                .and_then(|()| set_keepcaps(true))
                .and_then(|()| setresuid(12, 12, 12));
            // SAFETY: takes no pointers.
            let now = unsafe { (libc::getuid(), libc::getegid(), libc::getgroups(0, 0 as _)) };
            let kept = capget().is_ok_and(|sets| sets.permitted != 0 && sets.effective == 0);
            i32::from(ids.is_err() || now != (12, 11, 2) || !kept || setresuid(0, 0, 0).is_ok())
        });
        assert_eq!(status, WaitStatus::Exited(0));
    }

    #[test]
    fn place_and_flags() {
        let status = in_child(0, || {
            let mut here = [0; 64];
            let moved = chdir(c"/proc").and_then(|()| getcwd(&mut here));
            let steps = [
                moved.is_ok_and(|n| &here[..n] == b"/proc"),
                getcwd(&mut here[..2]).is_err_and(|e| e.raw_os_error() == Some(libc::ERANGE)),
                set_no_new_privs().is_ok(),
                set_dumpable(false).is_ok() && is_dumpable().is_ok_and(|dumpable| !dumpable),
                set_pdeathsig(libc::SIGKILL).is_ok(),
                set_pdeathsig(-1).is_err(),
                set_subreaper(true).is_ok(),
                set_name(c"a name that is too long").is_ok(),
                name().is_ok_and(|name| name.as_bytes() == b"a name that is "),
                setsid().is_ok_and(|id| id > 0),
                setsid().is_err(),
                umask(0o027) != 0o1000 && umask(0) == 0o027,
                cap_bounding_has(0).is_ok(),
                cap_bounding_has(1000).is_err(),
            ];
            (1..).zip(steps).find(|(_, held)| !held).map_or(0, |(at, _)| at)
        });
        assert_eq!(status, WaitStatus::Exited(0));
    }
}
