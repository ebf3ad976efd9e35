//! Device programs of control groups (`bpf(2)`).
//!
//! `union bpf_attr` grows with the kernel, and kernels 6.17 to 7.1 write the last field of a query
//! whatever size they were told. So every call gets a zeroed buffer larger than any version of it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::sys::{check_long, done_long, errno, owned_long, raw};

/// Larger than `union bpf_attr` of any kernel (184 bytes in 6.18), aligned for its pointers.
#[repr(C, align(8))]
struct Attr([u8; 256]);

const PROG_LOAD: i32 = 5;
const PROG_ATTACH: i32 = 8;
const PROG_DETACH: i32 = 9;
const PROG_GET_FD_BY_ID: i32 = 13;
const PROG_QUERY: i32 = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const F_ALLOW_MULTI: u32 = 2;
const F_REPLACE: u32 = 4;

/// A load is interrupted by signals since Linux 4.20; a busy process needs some turns.
const INTERRUPTED_MAX: u32 = 30;

impl Attr {
    fn new() -> Self {
        Self([0; 256])
    }

    fn u32(mut self, at: usize, value: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn u64(mut self, at: usize, value: u64) -> Self {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn fd(self, at: usize, fd: &impl AsFd) -> Self {
        self.u32(at, raw(fd).cast_unsigned())
    }
}

fn bpf(command: i32, attr: &mut Attr) -> libc::c_long {
    // SAFETY: the buffer is as large as we say, and the pointers in it (if any) point to memory
    // that the caller holds borrowed for the length of this call.
    unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr.0, size_of::<Attr>()) }
}

/// Loads a program of type `CGROUP_DEVICE` (Linux 4.15). On failure the verifier's words are in
/// `log`, up to a NUL byte; an empty `log` asks for none.
///
/// # Errors
/// `EPERM` without `CAP_BPF` or `CAP_SYS_ADMIN` over the host, or above `RLIMIT_MEMLOCK` (before
/// Linux 5.11); `EACCES`, `EINVAL` and `E2BIG` from the verifier; `ENOSPC` for a small log;
/// `ENOSYS` without bpf(2).
pub fn load_device_program(instructions: &[[u8; 8]], log: &mut [u8]) -> io::Result<OwnedFd> {
    let count = u32::try_from(instructions.len()).map_err(|_| errno(libc::E2BIG))?;
    let mut interrupted = 0;
    loop {
        let mut attr = Attr::new()
            .u32(0, PROG_TYPE_CGROUP_DEVICE)
            .u32(4, count)
            .u64(8, instructions.as_ptr().expose_provenance() as u64)
            .u64(16, c"Apache".as_ptr().expose_provenance() as u64);
        if !log.is_empty() {
            let size = u32::try_from(log.len()).map_err(|_| errno(libc::EINVAL))?;
            let at = log.as_mut_ptr().expose_provenance() as u64;
            attr = attr.u32(24, 1).u32(28, size).u64(32, at);
        }
        match owned_long(bpf(PROG_LOAD, &mut attr)) {
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) && interrupted < INTERRUPTED_MAX => {
                interrupted += 1;
            }
            other => return other,
        }
    }
}

/// Attaches a device program to a cgroup beside those of its ancestors, all of which must allow
/// an access. `replace` is an attached program whose place it takes (Linux 5.6).
///
/// # Errors
/// `EPERM` without rights, or below a cgroup whose program lets no other beside it; `E2BIG` at 64
/// programs; `ENOENT` when `replace` is not attached.
pub fn attach_device_program(
    cgroup: impl AsFd,
    program: impl AsFd,
    replace: Option<&OwnedFd>,
) -> io::Result<()> {
    let attr = Attr::new().fd(0, &cgroup).fd(4, &program).u32(8, CGROUP_DEVICE);
    let mut attr = match replace {
        Some(old) => attr.u32(12, F_ALLOW_MULTI | F_REPLACE).fd(16, old),
        None => attr.u32(12, F_ALLOW_MULTI),
    };
    done_long(bpf(PROG_ATTACH, &mut attr))
}

/// Takes a device program off a cgroup.
///
/// # Errors
/// `ENOENT` when it is not attached.
pub fn detach_device_program(cgroup: impl AsFd, program: impl AsFd) -> io::Result<()> {
    let mut attr = Attr::new().fd(0, &cgroup).fd(4, &program).u32(8, CGROUP_DEVICE);
    done_long(bpf(PROG_DETACH, &mut attr))
}

/// Ids of the device programs attached to this very cgroup; returns how many `ids` holds now.
///
/// # Errors
/// `ENOSPC` when `ids` is too small (the kernel keeps at most 64); `EPERM` without rights.
pub fn query_device_programs(cgroup: impl AsFd, ids: &mut [u32]) -> io::Result<usize> {
    let size = u32::try_from(ids.len()).map_err(|_| errno(libc::EINVAL))?;
    let mut attr = Attr::new()
        .fd(0, &cgroup)
        .u32(4, CGROUP_DEVICE)
        .u64(16, ids.as_mut_ptr().expose_provenance() as u64)
        .u32(24, size);
    check_long(bpf(PROG_QUERY, &mut attr))?;
    let [_, _, _, _, _, _, count, ..] = words(&attr);
    Ok(usize::try_from(count).unwrap_or(0).min(ids.len()))
}

fn words(attr: &Attr) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(attr.0.chunks_exact(4)) {
        *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    words
}

/// Opens an attached program by its id.
///
/// # Errors
/// `ENOENT` when it is gone; `EPERM` or `EACCES` when a security module keeps it from us.
pub fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    owned_long(bpf(PROG_GET_FD_BY_ID, &mut Attr::new().u32(0, id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::open;

    #[test]
    fn words_are_read_where_the_kernel_writes_them() {
        let attr = Attr::new().u32(24, 7).u32(0, 1);
        assert_eq!(words(&attr), [1, 0, 0, 0, 0, 0, 7, 0]);
    }

    #[test]
    fn no_cgroup_has_no_programs() {
        let dir = open(c"/", libc::O_RDONLY | libc::O_DIRECTORY).unwrap();
        // EBADF from the cgroup lookup, or EPERM where bpf(2) is not ours.
        assert!(query_device_programs(&dir, &mut [0; 64]).is_err());
    }
}
