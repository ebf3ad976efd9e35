//! Finds the container's program, executes it, and finds out why it would not run.
//!
//! Runs in the init stage: nothing is allocated. A failed execve is looked into only after the
//! fact, so that the good path pays nothing.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

use crate::create::protocol::Detail;
use crate::create::report::Failure;
use crate::error::Step;
use crate::sys::{exec, fd};

/// Why a program did not run: the `item` of a [`Step::Exec`] failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Why {
    /// Only the errno is known.
    Errno = 0,
    /// No candidate exists along `PATH`.
    NotFound = 1,
    /// It is a directory.
    Directory = 2,
    /// No execute permission for this user.
    NotExecutable = 3,
    /// The interpreter of its `#!` line does not exist; the detail names it.
    NoInterpreter = 4,
    /// Its `#!` line ends in a carriage return: written with DOS line ends.
    DosLineEnds = 5,
    /// An ELF file whose dynamic loader does not exist; the detail names it.
    NoLoader = 6,
    /// An ELF file for another machine.
    OtherMachine = 7,
    /// Its file system is mounted noexec.
    NoExecMount = 8,
    /// Neither an ELF file nor a script with `#!`.
    NoFormat = 9,
    /// The configuration has no `process`.
    NoProcess = 10,
}

impl Why {
    /// The reason with this number.
    pub fn from_number(number: u32) -> Self {
        const ALL: [Why; 11] = [
            Why::Errno,
            Why::NotFound,
            Why::Directory,
            Why::NotExecutable,
            Why::NoInterpreter,
            Why::DosLineEnds,
            Why::NoLoader,
            Why::OtherMachine,
            Why::NoExecMount,
            Why::NoFormat,
            Why::NoProcess,
        ];
        usize::try_from(number).ok().and_then(|at| ALL.get(at).copied()).unwrap_or(Why::Errno)
    }
}

/// A failure of this kind, with its errno.
pub fn failed(why: Why, errno: i32) -> Failure {
    Failure::new(Step::Exec, why as u32, errno)
}

/// The first candidate that this user may execute, or the failure of the last that exists.
///
/// # Errors
/// As execvp(3): `ENOENT` when none exists, `EISDIR`, `EACCES`.
pub fn find(candidates: &[std::ffi::CString]) -> Result<usize, Failure> {
    let mut worst = failed(Why::NotFound, libc::ENOENT);
    for (at, path) in candidates.iter().enumerate() {
        match executable(path) {
            Ok(()) => return Ok(at),
            Err(failure) if failure.errno == libc::ENOENT => {}
            Err(failure) => worst = failure,
        }
    }
    Err(worst)
}

fn executable(path: &CStr) -> Result<(), Failure> {
    let errno = |e: &io::Error| e.raw_os_error().unwrap_or(libc::EIO);
    let cwd = fd::CWD;
    let stat = fd::fstatat(cwd, path, 0).map_err(|e| failed(Why::NotFound, errno(&e)))?;
    if stat.mode & libc::S_IFMT == libc::S_IFDIR {
        return Err(failed(Why::Directory, libc::EISDIR));
    }
    exec::access_x(cwd, path).map_err(|e| failed(Why::NotExecutable, errno(&e)))
}

/// Looks into a program that execve refused with `errno`.
pub fn diagnose(path: &CStr, errno: i32) -> (Failure, Detail) {
    let mut head = [0u8; 4096];
    let none = Detail::default();
    let Ok(file) = fd::open(path, libc::O_RDONLY | libc::O_NONBLOCK) else {
        return (failed(Why::Errno, errno), none);
    };
    // ST_NOEXEC of statvfs(3).
    if errno == libc::EACCES && fd::fs_flags(&file).is_ok_and(|flags| flags & 8 != 0) {
        return (failed(Why::NoExecMount, errno), none);
    }
    let len = fd::read(&file, &mut head).unwrap_or(0);
    let head = &head[..len];
    let (why, detail) = match (errno, head) {
        (libc::ENOENT, [b'#', b'!', rest @ ..]) => script(rest),
        (libc::ENOENT, [0x7f, b'E', b'L', b'F', ..]) => (Why::NoLoader, loader(file.as_fd(), head)),
        (libc::ENOEXEC, [0x7f, b'E', b'L', b'F', ..]) => (Why::OtherMachine, none),
        (libc::ENOEXEC, _) => (Why::NoFormat, none),
        _ => (Why::Errno, none),
    };
    (failed(why, errno), detail)
}

/// The interpreter named after `#!`.
fn script(rest: &[u8]) -> (Why, Detail) {
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let why = if line.ends_with(b"\r") { Why::DosLineEnds } else { Why::NoInterpreter };
    let name = line.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    (why, Detail::new(name))
}

/// The PT_INTERP segment of a 64-bit little-endian ELF file (elf(5)).
fn loader(file: std::os::fd::BorrowedFd<'_>, head: &[u8]) -> Detail {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, len: usize| -> Option<u64> {
        let bytes = head.get(at..at.checked_add(len)?)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let segment = || -> Option<(u64, u64)> {
        let (table, entry, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count).find_map(|at| {
            let header = usize::try_from(table.checked_add(at.checked_mul(entry)?)?).ok()?;
            (number(header, 4)? == PT_INTERP).then_some((
                number(header.checked_add(8)?, 8)?,
                number(header.checked_add(32)?, 8)?,
            ))
        })
    };
    let mut name = [0u8; 128];
    let Some((offset, len)) = segment() else { return Detail::default() };
    let len = usize::try_from(len).unwrap_or(0).min(name.len());
    let read = fd::pread(file, &mut name[..len], offset).unwrap_or(0);
    Detail::new(&name[..read])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_as_the_table_says() {
        for number in 0..=10 {
            assert_eq!(Why::from_number(number) as u32, number);
        }
        assert_eq!(Why::from_number(99), Why::Errno);
    }

    #[test]
    fn directories_and_missing_programs_are_told_apart() {
        let find = |path: &CStr| find(&[path.to_owned()]).unwrap_err();
        assert_eq!(find(c"/proc"), failed(Why::Directory, libc::EISDIR));
        assert_eq!(find(c"/no/such"), failed(Why::NotFound, libc::ENOENT));
        assert_eq!(find(c"/proc/self/status").item, Why::NotExecutable as u32);
    }

    #[test]
    fn scripts_name_their_interpreter() {
        let (why, detail) = script(b" /bin/bash -e\nexit\n");
        assert_eq!((why, detail.as_bytes()), (Why::NoInterpreter, &b"/bin/bash"[..]));
        let (why, detail) = script(b"/bin/sh\r\nexit\r\n");
        assert_eq!((why, detail.as_bytes()), (Why::DosLineEnds, &b"/bin/sh"[..]));
    }
}
