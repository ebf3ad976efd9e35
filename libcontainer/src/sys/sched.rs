//! Limits and scheduling: what a process may use, when and where it runs; the session keyring.

use std::ffi::{CStr, c_ulong};
use std::io;

use super::{check_long, done, done_long, errno, size};

/// Sets a resource limit of ourselves (`prlimit(2)`); `RLIMIT_*`, bytes or counts.
///
/// # Errors
/// `EPERM` for a higher hard limit without `CAP_SYS_RESOURCE`; `EINVAL` for soft over hard.
pub fn setrlimit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    setrlimit_of(0, resource, soft, hard)
}

/// Sets a resource limit of another process; 0 is ourselves (`prlimit(2)`).
///
/// # Errors
/// As [`setrlimit`], and `EPERM` for a process of another user, `ESRCH`.
pub fn setrlimit_of(pid: i32, resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let old = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: `limit` is a whole rlimit64; a null pointer asks for no old value.
    done_long(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const limit, old) })
}

/// Soft and hard limit of ourselves (`prlimit(2)`).
///
/// # Errors
/// `EINVAL` for a resource the kernel does not know.
pub fn getrlimit(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let new = std::ptr::null::<libc::rlimit64>();
    // SAFETY: `limit` is a whole rlimit64; a null pointer sets nothing.
    done_long(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, new, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// A scheduling policy with its parameters (`sched_setattr(2)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SchedAttr {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// For `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub runtime: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub deadline: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub period: u64,
}

/// `struct sched_attr` as of `SCHED_ATTR_SIZE_VER0`.
#[repr(C)]
struct RawSchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Sets our scheduling policy (`sched_setattr(2)`, Linux 3.14).
///
/// # Errors
/// `EPERM` without `CAP_SYS_NICE`; `EINVAL` for parameters outside their ranges; `EBUSY` when a
/// deadline cannot be admitted.
pub fn sched_setattr(attr: &SchedAttr) -> io::Result<()> {
    let raw = RawSchedAttr {
        size: 48,
        policy: attr.policy,
        flags: attr.flags,
        nice: attr.nice,
        priority: attr.priority,
        runtime: attr.runtime,
        deadline: attr.deadline,
        period: attr.period,
    };
    const { assert!(size_of::<RawSchedAttr>() == 48) };
    // SAFETY: `raw` is a whole sched_attr of the size it says.
    done_long(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const raw, 0) })
}

/// Bits of a kernel mask: 8192, more CPUs or nodes than any kernel is built for.
const MASK_WORDS: usize = 128;
const WORD: usize = size_of::<c_ulong>();

/// The kernel's words of a mask whose bit n is bit n % 8 of byte n / 8.
fn words(mask: &[u8]) -> io::Result<[c_ulong; MASK_WORDS]> {
    if mask.len() > MASK_WORDS * WORD {
        return Err(errno(libc::EINVAL).into());
    }
    let mut words = [0; MASK_WORDS];
    for (word, bytes) in words.iter_mut().zip(mask.chunks(WORD)) {
        let mut whole = [0; WORD];
        for (to, from) in whole.iter_mut().zip(bytes) {
            *to = *from;
        }
        *word = c_ulong::from_le_bytes(whole);
    }
    Ok(words)
}

/// Sets the CPUs we run on; CPU n is bit n % 8 of byte n / 8 (`sched_setaffinity(2)`).
///
/// # Errors
/// `EINVAL` when none of them is both online and in our cpuset.
pub fn sched_setaffinity(mask: &[u8]) -> io::Result<()> {
    sched_setaffinity_of(0, mask)
}

/// Lets us run on every CPU of our cpuset (`sched_setaffinity(2)`).
///
/// # Errors
/// None that is known.
pub fn sched_setaffinity_all() -> io::Result<()> {
    sched_setaffinity(&[0xff; MASK_WORDS * WORD])
}

/// [`sched_setaffinity`] of another process.
///
/// # Errors
/// As there; `ESRCH`, `EPERM`.
pub fn sched_setaffinity_of(pid: i32, mask: &[u8]) -> io::Result<()> {
    let words = words(mask)?;
    // SAFETY: the kernel reads the given size of `words`.
    done_long(unsafe {
        libc::syscall(libc::SYS_sched_setaffinity, pid, size_of_val(&words), words.as_ptr())
    })
}

/// Reads the CPUs we may run on into the mask; bytes that the kernel does not know become 0
/// (`sched_getaffinity(2)`).
///
/// # Errors
/// None.
pub fn sched_getaffinity(mask: &mut [u8]) -> io::Result<()> {
    let mut words: [c_ulong; MASK_WORDS] = [0; MASK_WORDS];
    // SAFETY: the kernel writes at most the given size of `words`.
    check_long(unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&words), words.as_mut_ptr())
    })?;
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    for (to, from) in mask.iter_mut().zip(bytes.chain(std::iter::repeat(0))) {
        *to = from;
    }
    Ok(())
}

/// Class (1 real time, 2 best effort, 3 idle) and level (0 highest to 7) as one number
/// (`ioprio_set(2)`).
pub const fn ioprio(class: i32, level: i32) -> i32 {
    class << 13 | level
}

/// Sets our I/O priority, see [`ioprio`] (`ioprio_set(2)`).
///
/// # Errors
/// `EPERM` for the real-time class without `CAP_SYS_ADMIN` or `CAP_SYS_NICE`; `EINVAL`.
pub fn ioprio_set(priority: i32) -> io::Result<()> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    // SAFETY: takes no pointers.
    done_long(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) })
}

/// Sets the execution domain; returns the old one (`personality(2)`); `0xffffffff` only asks.
///
/// # Errors
/// `EINVAL`.
pub fn personality(domain: u64) -> io::Result<u64> {
    // SAFETY: takes no pointers.
    let old = check_long(unsafe { libc::syscall(libc::SYS_personality, domain) })?;
    Ok(old.cast_unsigned())
}

/// Sets our memory policy, `MPOL_*` with its mode flags; node n is bit n % 8 of byte n / 8
/// (`set_mempolicy(2)`). An empty mask is none.
///
/// # Errors
/// `EINVAL` for an unknown mode, an empty mask where one is needed, or nodes that are not ours;
/// `ENOSYS` without NUMA.
pub fn set_mempolicy(mode: i32, nodes: &[u8]) -> io::Result<()> {
    let words = words(nodes)?;
    // The kernel subtracts one from the number of bits (get_nodes() in mm/mempolicy.c).
    let bits = if nodes.is_empty() { 0 } else { nodes.len().next_multiple_of(WORD) * 8 + 1 };
    let mask = if nodes.is_empty() { std::ptr::null() } else { words.as_ptr() };
    // SAFETY: `words` has one more bit than `bits` covers, or the pointer is null.
    done_long(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) })
}

const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
const KEYCTL_SETPERM: i32 = 5;
const KEYCTL_DESCRIBE: i32 = 6;

/// Joins the named session keyring, made if need be; returns its serial (`keyctl(2)`).
///
/// # Errors
/// `EDQUOT` at the user's key quota; `ENOSYS` without key support; `EPERM` under a filter.
pub fn keyctl_join_session(name: &CStr) -> io::Result<i32> {
    // SAFETY: `name` ends in NUL.
    let serial = check_long(unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr())
    })?;
    i32::try_from(serial).map_err(|_| errno(libc::EOVERFLOW).into())
}

/// Writes `type;uid;gid;perm;description` of a key and NUL into the buffer; returns the length
/// with NUL, which may be more than the buffer has (`keyctl(2)`).
///
/// # Errors
/// `ENOKEY`, `EACCES`.
pub fn keyctl_describe(key: i32, buffer: &mut [u8]) -> io::Result<usize> {
    let (to, room) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: the kernel writes at most `room` bytes.
    let length = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_DESCRIBE, key, to, room) };
    size(isize::try_from(length).unwrap_or(-1))
}

/// Sets the permissions of a key (`keyctl(2)`).
///
/// # Errors
/// `EACCES`, `ENOKEY`.
pub fn keyctl_setperm(key: i32, permissions: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done_long(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, key, permissions) })
}

/// Sets our nice value (`setpriority(2)`).
///
/// # Errors
/// `EACCES` for a lower one without `CAP_SYS_NICE`.
pub fn setnice(nice: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_lowered() {
        let (soft, hard) = getrlimit(libc::RLIMIT_CORE).unwrap();
        assert!(soft <= hard);
        setrlimit(libc::RLIMIT_CORE, soft, hard).unwrap();
        let refused = setrlimit(libc::RLIMIT_NOFILE, 2, 1).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
        assert_eq!(getrlimit(1000).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn affinity_of_this_thread() {
        let mut mask = [0; 16];
        sched_getaffinity(&mut mask).unwrap();
        assert_ne!(mask, [0; 16]);
        let first = mask.iter().position(|byte| *byte != 0).unwrap();
        let mut one = [0; 16];
        one[first] = 1 << mask[first].trailing_zeros();
        sched_setaffinity(&one).unwrap();
        let mut now = [0; 16];
        sched_getaffinity(&mut now).unwrap();
        assert_eq!(now, one);
        sched_setaffinity(&mask).unwrap();
        assert_eq!(sched_setaffinity(&[]).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert!(sched_setaffinity(&[0; 2000]).is_err());
    }

    #[test]
    fn policies() {
        // SCHED_BATCH needs no privilege.
        sched_setattr(&SchedAttr { policy: 3, ..SchedAttr::default() }).unwrap();
        sched_setattr(&SchedAttr::default()).unwrap();
        let refused = sched_setattr(&SchedAttr { policy: 77, ..SchedAttr::default() });
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        ioprio_set(ioprio(2, 4)).unwrap();
        assert_eq!(ioprio_set(ioprio(7, 0)).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        let old = personality(0xffff_ffff).unwrap();
        assert_eq!(personality(old).unwrap(), old);
        setnice(0).ok();
    }

    #[test]
    fn memory_policy_or_no_numa() {
        const MPOL_DEFAULT: i32 = 0;
        const MPOL_BIND: i32 = 2;
        match set_mempolicy(MPOL_BIND, &[1]) {
            Ok(()) => {
                set_mempolicy(MPOL_DEFAULT, &[]).unwrap();
                assert!(set_mempolicy(MPOL_BIND, &[]).is_err());
            }
            Err(e) => assert_eq!(e.raw_os_error(), Some(libc::ENOSYS)),
        }
    }
}
