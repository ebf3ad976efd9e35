//! Hooks that init runs in the container's namespaces: `createContainer` and `startContainer`.
//!
//! Init has no heap to use. The parent writes the state into a memory file before clone3
//! ([`fill`]); only pid and status are known later, and they stand at fixed places, padded with
//! blanks, so that init can write over them. The words of a failure go back the same way
//! ([`words`]): init and its parent share the file.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::create::report::Failure;
use crate::error::Step;
use crate::hooks::process::{self, End, Tail};
use crate::plan::hooks::{Kind, ReadyHook};
use crate::state::oci::{PID_AT, PID_LEN, STATUS_AT, STATUS_LEN};
use crate::sys::argv::ArgV;
use crate::sys::{clone, fd};

/// Bytes of a failure's words.
pub const WORDS: usize = 1024;

/// Writes the state ([`crate::state::oci::HookState`]) into the memory file that init inherits.
///
/// # Errors
/// `ENOMEM`, `ENOSPC`.
pub fn fill(file: &OwnedFd, state: &[u8]) -> io::Result<()> {
    fd::ftruncate(file, 0)?;
    fd::lseek(file, 0, libc::SEEK_SET)?;
    fd::write_all(file, state)
}

/// Runs the hooks of one kind, in init; allocates nothing. `file` was filled by [`fill`]; `env` is
/// the program's environment, for hooks that name none (runc's `startContainer` has it so).
///
/// # Errors
/// The hook that failed as [`item`]; [`words`] has the rest.
pub fn run_all(
    kind: Kind,
    hooks: &[ReadyHook],
    env: &ArgV,
    file: Option<&OwnedFd>,
) -> Result<(), Failure> {
    if hooks.is_empty() {
        return Ok(());
    }
    let fail = |index: usize, errno: i32| Failure::new(Step::Hook, item(kind, index), errno);
    let file = file.ok_or_else(|| fail(0, libc::EBADF))?;
    stamp(kind, file).map_err(|e| fail(0, e.raw_os_error().unwrap_or(libc::EIO)))?;
    for (index, hook) in hooks.iter().enumerate() {
        let mut tail = Tail::new();
        let end = process::run(hook, env, file.as_fd(), &mut tail);
        if end != End::Done {
            tell(file, hook, end, &tail);
            return Err(fail(index, if let End::NotRun(errno) = end { errno } else { 0 }));
        }
    }
    Ok(())
}

/// The `item` of a failure: which hook of which kind.
pub fn item(kind: Kind, index: usize) -> u32 {
    let kind = Kind::ALL.iter().position(|other| *other == kind).unwrap_or(0);
    let number = |n: usize| u32::try_from(n).unwrap_or(0xFFFF).min(0xFFFF);
    number(kind) << 16 | number(index)
}

/// Kind and index of an [`item`].
pub fn hook_of(item: u32) -> (Kind, usize) {
    let kind = Kind::ALL.get((item >> 16) as usize).copied().unwrap_or(Kind::CreateContainer);
    (kind, (item & 0xFFFF) as usize)
}

/// Reads the words of the failure that [`run_all`] returned; allocates nothing.
pub fn words<'a>(file: Option<&OwnedFd>, buffer: &'a mut [u8; WORDS]) -> &'a [u8] {
    let length = file.and_then(|file| {
        fd::lseek(file, 0, libc::SEEK_SET).ok()?;
        fd::read(file, buffer).ok()
    });
    &buffer[..length.unwrap_or(0)]
}

/// Sets pid, as the container sees it (runtime.md, "State"), and status.
fn stamp(kind: Kind, file: &OwnedFd) -> io::Result<()> {
    let mut pid = [b' '; PID_LEN];
    let mut number = clone::getpid().unsigned_abs();
    for digit in pid.iter_mut().rev() {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
        if number == 0 {
            break;
        }
    }
    write_at(file, &pid, PID_AT)?;
    let mut status = [b' '; STATUS_LEN];
    let name = kind.status().as_bytes();
    status[0] = b'"';
    status[1..=name.len()].copy_from_slice(name);
    status[name.len() + 1] = b'"';
    write_at(file, &status, STATUS_AT)
}

fn write_at(file: &OwnedFd, bytes: &[u8], at: usize) -> io::Result<()> {
    fd::pwrite(file, bytes, i64::try_from(at).unwrap_or(i64::MAX)).map(drop)
}

/// Leaves the words in the file, instead of the state that nobody will read any more.
fn tell(file: &OwnedFd, hook: &ReadyHook, end: End, tail: &Tail) {
    let mut text = Text { bytes: [0; WORDS], len: 0 };
    text.push(hook.path.to_bytes());
    text.push(b": ");
    let _ = process::write_end(&mut text, end);
    let output = tail.as_bytes().trim_ascii();
    if !output.is_empty() {
        text.push(b", output: ");
        let room = WORDS - text.len;
        text.push(&output[output.len().saturating_sub(room)..]);
    }
    let _ = fill(file, &text.bytes[..text.len]);
}

/// A text of bounded length; what does not fit is left out.
struct Text {
    bytes: [u8; WORDS],
    len: usize,
}

impl Text {
    fn push(&mut self, new: &[u8]) {
        let new = &new[..new.len().min(WORDS - self.len)];
        self.bytes[self.len..self.len + new.len()].copy_from_slice(new);
        self.len += new.len();
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
