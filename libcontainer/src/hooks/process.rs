//! One hook: started, fed, watched, reaped. Usable between clone and execve: nothing allocates,
//! but for [`words`], which the side with a heap calls.

use std::ffi::CStr;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::launch::Launch;
use crate::plan::hooks::ReadyHook;
use crate::sys::argv::ArgV;
use crate::sys::clone::{self, Child, WaitStatus};
use crate::sys::fd::{self, PollFd};

/// How a hook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Exit status 0.
    Done,
    /// Another exit status.
    Exited(i32),
    /// Killed by a signal that was not ours.
    Signaled(i32),
    /// Killed by us after this many seconds.
    TimedOut(u32),
    /// It never ran: the errno of clone3 or execve.
    NotRun(i32),
}

/// Bytes of a hook's output that are kept.
const KEPT: usize = 8 * 1024;

/// Bytes that are read after the hook has ended; a process it left behind may write for ever.
const DRAINED: usize = 1024 * 1024;

/// How long a killed hook may take to die, which it may not when its file system hangs.
const DEATH: Duration = Duration::from_millis(800);

/// The end of what a hook wrote to stdout and stderr.
#[derive(Debug)]
pub struct Tail {
    bytes: [u8; KEPT],
    len: usize,
}

impl Default for Tail {
    fn default() -> Self {
        Self::new()
    }
}

impl Tail {
    /// Nothing was written yet.
    pub const fn new() -> Self {
        Self { bytes: [0; KEPT], len: 0 }
    }

    /// What is kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, new: &[u8]) {
        let new = &new[new.len().saturating_sub(KEPT)..];
        let excess = (self.len + new.len()).saturating_sub(KEPT);
        self.bytes.copy_within(excess..self.len, 0);
        self.len -= excess;
        self.bytes[self.len..self.len + new.len()].copy_from_slice(new);
        self.len += new.len();
    }
}

/// Runs `hook` with the file `state` as its stdin, from its beginning, and waits for its end; what
/// it writes goes to `tail`.
///
/// Only the hook itself is waited for: a process that it leaves behind keeps running, and cannot
/// make us wait by holding a descriptor. After the timeout the hook's process group is killed.
/// A hook that names no environment gets `env`.
pub fn run(hook: &ReadyHook, env: &ArgV, state: BorrowedFd<'_>, tail: &mut Tail) -> End {
    try_run(hook, env, state, tail).unwrap_or_else(|e| End::NotRun(errno(&e)))
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

fn try_run(
    hook: &ReadyHook,
    env: &ArgV,
    state: BorrowedFd<'_>,
    tail: &mut Tail,
) -> io::Result<End> {
    fd::lseek(state, 0, libc::SEEK_SET)?;
    let (output, output_end) = fd::pipe()?;
    let (failed, failed_end) = fd::pipe()?;
    fd::fcntl_setfl(&output, libc::O_NONBLOCK)?;
    let deadline =
        hook.timeout.and_then(|s| Instant::now().checked_add(Duration::from_secs(u64::from(s))));
    let mut launch = Launch {
        path: &hook.path,
        argv: &hook.argv,
        envp: hook.envp.as_ref().unwrap_or(env),
        cwd: hook.cwd.as_deref(),
        stdin: state,
        output: output_end.as_fd(),
        failed: failed_end.as_fd(),
    };
    let Child { pid, pidfd } = launch.start()?;
    drop((output_end, failed_end));
    let mut running = Running { pid, pidfd, output: Some(output), failed: Some(failed), errno: 0 };
    let ended = running.watch(deadline, tail)?;
    if !ended {
        running.kill()?;
        running.drain(tail);
        return Ok(End::TimedOut(hook.timeout.unwrap_or(0)));
    }
    running.drain(tail);
    let status = clone::wait_pidfd(&running.pidfd)?;
    Ok(match status {
        _ if running.errno != 0 => End::NotRun(running.errno),
        WaitStatus::Exited(0) => End::Done,
        WaitStatus::Exited(code) => End::Exited(code),
        WaitStatus::Signaled(signal) => End::Signaled(signal),
    })
}

/// A started hook.
struct Running {
    pid: i32,
    pidfd: OwnedFd,
    output: Option<OwnedFd>,
    failed: Option<OwnedFd>,
    errno: i32,
}

impl Running {
    /// Follows it to its end; `false` when the deadline comes first.
    fn watch(&mut self, deadline: Option<Instant>, tail: &mut Tail) -> io::Result<bool> {
        loop {
            let pidfd = self.pidfd.as_fd();
            let output = self.output.as_ref().map_or(pidfd, AsFd::as_fd);
            let failed = self.failed.as_ref().map_or(pidfd, AsFd::as_fd);
            let mut fds = [pidfd, output, failed].map(|fd| PollFd::new(fd, libc::POLLIN));
            if fd::poll(&mut fds, timeout_ms(deadline))? == 0 {
                if deadline.is_some_and(|at| Instant::now() >= at) {
                    return Ok(false);
                }
                continue;
            }
            let [ended, wrote, executed] = fds.map(|fd| fd.is_ready());
            if executed && let Some(pipe) = self.failed.take() {
                self.errno = read_errno(&pipe);
            }
            if ended {
                return Ok(true);
            }
            if wrote {
                self.read_some(tail);
            }
        }
    }

    /// Reads once; closes the pipe at its end.
    fn read_some(&mut self, tail: &mut Tail) -> usize {
        let mut buffer = [0; 4096];
        let Some(pipe) = &self.output else { return 0 };
        match fd::read(pipe, &mut buffer) {
            Ok(length) if length > 0 => {
                tail.push(&buffer[..length]);
                length
            }
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => 0,
            _ => {
                self.output = None;
                0
            }
        }
    }

    /// Reads what is in the pipe now, not what others will write.
    fn drain(&mut self, tail: &mut Tail) {
        let mut total = 0;
        while total < DRAINED {
            match self.read_some(tail) {
                0 => return,
                length => total += length,
            }
        }
    }

    /// Kills the process group. Its leader is not reaped yet, so the number is still its own.
    fn kill(&self) -> io::Result<()> {
        // No such group: it had not reached setsid.
        let _ = clone::kill(-self.pid, libc::SIGKILL);
        let _ = clone::pidfd_send_signal(&self.pidfd, libc::SIGKILL);
        let deadline = Instant::now() + DEATH;
        let mut fds = [PollFd::new(self.pidfd.as_fd(), libc::POLLIN)];
        if fd::poll(&mut fds, timeout_ms(Some(deadline)))? > 0 {
            clone::wait_pidfd(&self.pidfd)?;
        }
        Ok(())
    }
}

fn read_errno(pipe: &OwnedFd) -> i32 {
    let mut errno = [0; 4];
    match fd::read(pipe, &mut errno) {
        Ok(4) => i32::from_ne_bytes(errno),
        _ => 0,
    }
}

/// Milliseconds for poll(2), rounded up so that the deadline has passed when it says so.
fn timeout_ms(deadline: Option<Instant>) -> i32 {
    deadline.map_or(-1, |at| {
        let left = at.saturating_duration_since(Instant::now()).as_millis() + 1;
        i32::try_from(left).unwrap_or(i32::MAX)
    })
}

/// What happened, for the error: `/bin/false: exit status 1, output: …`.
pub fn words(path: &CStr, end: End, tail: &Tail) -> String {
    let mut text = format!("{}: ", path.to_string_lossy());
    // Writing to a String cannot fail.
    let _ = write_end(&mut text, end);
    let output = String::from_utf8_lossy(tail.as_bytes());
    let output = output.trim();
    if !output.is_empty() {
        let _ = write!(text, ", output: {output}");
    }
    text
}

/// The words of an end; allocates only what `out` does.
pub(super) fn write_end(out: &mut dyn std::fmt::Write, end: End) -> std::fmt::Result {
    match end {
        End::Done => out.write_str("exit status 0"),
        End::Exited(code) => write!(out, "exit status {code}"),
        // What a seccomp filter does, in runc's words.
        End::Signaled(libc::SIGSYS) => {
            write!(out, "killed by signal {}: bad system call", libc::SIGSYS)
        }
        End::Signaled(signal) => write!(out, "killed by signal {signal}"),
        End::TimedOut(seconds) => {
            write!(out, "hook ran past specified timeout of {seconds}.0s and was killed")
        }
        End::NotRun(errno) => write!(out, "cannot be executed: {}", errno_name(errno)),
    }
}

/// The usual reasons why a program cannot be executed, in strerror's words (which allocates).
fn errno_name(errno: i32) -> &'static str {
    match errno {
        libc::ENOENT => "no such file or directory",
        libc::EACCES => "permission denied",
        libc::EPERM => "operation not permitted",
        libc::ENOEXEC => "exec format error",
        libc::ENOTDIR => "not a directory",
        libc::EISDIR => "is a directory",
        libc::ELOOP => "too many levels of symbolic links",
        libc::E2BIG => "argument list too long",
        libc::ETXTBSY => "text file busy",
        libc::EAGAIN => "resource temporarily unavailable (process limit)",
        libc::ENOMEM => "cannot allocate memory",
        libc::EMFILE | libc::ENFILE => "too many open files",
        libc::ENOSYS => "function not implemented (clone3)",
        _ => "see the errno",
    }
}
