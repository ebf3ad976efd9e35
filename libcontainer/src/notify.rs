//! Tells the service manager that the container is ready (`sd_notify(3)`).
//!
//! A container cannot reach the manager's socket, and the manager could not place a message from
//! there. So the container gets a socket of ours (`NOTIFY_SOCKET=/run/notify/notify.sock`), in a
//! directory of its state that is bind-mounted, and `READY=1` is passed on together with the pid
//! that the manager shall watch.
//!
//! Only `READY=1` is passed on. Everything else that a manager obeys (`MAINPID=`, `FDSTORE=1`,
//! `WATCHDOG=trigger`, ...) would let the container speak for the host's service.
//!
//! ```text
//! make_dir        with the state directory, before the plan's mounts run
//! Proxy::listen   before the container's program starts: `run` at create, otherwise `start`
//! Proxy::wait     `start` and `run --detach`: until ready, or ended
//! Proxy::forward  `run` in the foreground: whenever the socket is readable
//! ```

use std::ffi::{CString, OsStr};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{At, Error, Result, Step};
use crate::sys::fd::{self, PollFd};

/// Where the directory of the socket is mounted in the container (as runc has it).
pub const CONTAINER_DIR: &str = "/run/notify";
/// The line of the container's environment.
pub const CONTAINER_ENV: &str = "NOTIFY_SOCKET=/run/notify/notify.sock";
/// How the directory is mounted: the socket is all that the container needs of it.
pub const MOUNT_OPTIONS: [&str; 5] = ["bind", "nosuid", "noexec", "nodev", "ro"];

const DIR: &str = "notify";
const SOCKET: &str = "notify.sock";
/// Longest message that is looked at: systemd's own limit (`NOTIFY_BUFFER_MAX`).
const MESSAGE: usize = 4096;
/// Messages read at a time, so that a container that talks without end stops nothing else.
const BATCH: usize = 32;
/// How long a manager may take to work off what we sent (runc's number). One that does not know
/// barriers closes the fd at once.
const BARRIER_MS: i32 = 30_000;

/// The directory on the host that is mounted on [`CONTAINER_DIR`].
pub fn host_dir(state_dir: &Path) -> PathBuf {
    state_dir.join(DIR)
}

/// Makes [`host_dir`].
///
/// # Errors
/// Those of `mkdir(2)`.
pub fn make_dir(state_dir: &Path) -> Result<PathBuf> {
    let dir = host_dir(state_dir);
    // Not by the umask: the container's user has to get through.
    fs::create_dir(&dir)
        .and_then(|()| fs::set_permissions(&dir, Permissions::from_mode(0o755)))
        .at(Step::Notify, || dir.display())?;
    Ok(dir)
}

/// The container's socket, and the manager's.
#[derive(Debug)]
pub struct Proxy {
    container: OwnedFd,
    host: OwnedFd,
    ready: bool,
}

impl Proxy {
    /// Listens in the state directory of a container, for the manager at `notify_socket`: the
    /// value of the caller's `NOTIFY_SOCKET`, a path or `@` and an abstract name.
    ///
    /// # Errors
    /// An address that is none; a manager that is not there. The container can do without: a
    /// caller may warn and go on.
    pub fn listen(state_dir: &Path, notify_socket: &OsStr) -> Result<Self> {
        let shown = || format!("NOTIFY_SOCKET={}", notify_socket.display());
        let address = Address::parse(notify_socket).ok_or_else(|| {
            let cause = "is neither an absolute path nor an abstract socket (@name)";
            Error::rule(Step::Notify, shown(), cause)
        })?;
        let host = fd::unix_datagram().at(Step::Notify, shown)?;
        address.connect(&host).at(Step::Notify, shown)?;
        let dir = host_dir(state_dir);
        let container = bind(&dir).at(Step::Notify, || dir.join(SOCKET).display().to_string())?;
        Ok(Self { container, host, ready: false })
    }

    /// Whether [`Proxy::forward`] has told the manager.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Reads what the container has sent, without blocking; on the first `READY=1` tells the
    /// manager, and that `main_pid` is the process to watch. Returns [`Proxy::is_ready`].
    ///
    /// # Errors
    /// A manager that is gone.
    pub fn forward(&mut self, main_pid: i32) -> Result<bool> {
        for _ in 0..BATCH {
            let mut message = [0; MESSAGE];
            // An fd that comes along (BARRIER=1) is closed right here, which is the answer: all
            // messages before it have been worked off.
            match fd::recv_with_fd(&self.container, &mut message) {
                Ok((length, _)) => {
                    let message = message.get(..length).unwrap_or_default();
                    if !self.ready && says_ready(message) {
                        tell(&self.host, main_pid).at(Step::Notify, || "service manager")?;
                        self.ready = true;
                    }
                }
                Err(e) => match e.raw_os_error() {
                    Some(libc::EAGAIN) => break,
                    // Too long, or with more fds than anyone needs: no message of sd_notify(3).
                    Some(libc::EMSGSIZE | libc::EPROTO) => {}
                    _ => return Err(e).at(Step::Notify, || "container's socket"),
                },
            }
        }
        Ok(self.ready)
    }

    /// Waits until the container is ready, tells the manager, and waits until the manager has
    /// taken note, because our exit would make it lose track. Returns whether it became ready;
    /// `false` when the process of `pidfd` ended before.
    ///
    /// # Errors
    /// As [`Proxy::forward`].
    pub fn wait(mut self, main_pid: i32, pidfd: BorrowedFd<'_>) -> Result<bool> {
        let mut ended = false;
        while !self.forward(main_pid)? {
            if ended {
                return Ok(false);
            }
            let container = PollFd::new(self.container.as_fd(), libc::POLLIN);
            let mut fds = [container, PollFd::new(pidfd, libc::POLLIN)];
            fd::poll(&mut fds, -1).at(Step::Notify, || "container")?;
            // What it sent before it ended is still read.
            ended = fds[1].is_ready() && !fds[0].is_ready();
        }
        barrier(&self.host, BARRIER_MS).at(Step::Notify, || "service manager")?;
        Ok(true)
    }
}

impl AsFd for Proxy {
    /// Readable when [`Proxy::forward`] has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.container.as_fd()
    }
}

/// Makes the container's socket. It is bound below an fd of its directory, because a path in a
/// socket address has 107 bytes at most.
fn bind(dir: &Path) -> io::Result<OwnedFd> {
    let path = dir.join(SOCKET);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let dir = open_path(dir.as_os_str())?;
    let mut buffer = [0; fd::PROC_FD_PATH];
    let mut address = fd::proc_fd_path(&dir, &mut buffer).to_bytes().to_vec();
    address.push(b'/');
    address.extend(SOCKET.as_bytes());
    let socket = fd::unix_datagram()?;
    fd::bind_unix(&socket, &address)?;
    // Whoever runs in the container may write; nobody else gets into the state directory.
    fs::set_permissions(&path, Permissions::from_mode(0o777))?;
    Ok(socket)
}

fn open_path(path: &OsStr) -> io::Result<OwnedFd> {
    fd::open(&CString::new(path.as_bytes())?, libc::O_PATH)
}

/// Where a manager listens.
#[derive(Debug, PartialEq, Eq)]
enum Address<'a> {
    Path(&'a OsStr),
    Abstract(&'a [u8]),
}

impl<'a> Address<'a> {
    fn parse(value: &'a OsStr) -> Option<Self> {
        match value.as_bytes() {
            [b'/', ..] => Some(Self::Path(value)),
            [b'@', name @ ..] if !name.is_empty() => Some(Self::Abstract(name)),
            _ => None,
        }
    }

    fn connect(&self, socket: &OwnedFd) -> io::Result<()> {
        match self {
            Self::Path(path) => {
                let file = open_path(path)?;
                let mut buffer = [0; fd::PROC_FD_PATH];
                fd::connect_unix(socket, fd::proc_fd_path(&file, &mut buffer).to_bytes())
            }
            Self::Abstract(name) => fd::connect_unix(socket, &[b"\0", *name].concat()),
        }
    }
}

/// Whether a message has the line `READY=1`; the last line need not end.
fn says_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

/// Both in one message: a manager that took only the first would watch the wrong process.
fn tell(host: &OwnedFd, main_pid: i32) -> io::Result<()> {
    let message = format!("READY=1\nMAINPID={main_pid}\n");
    send(host, message.as_bytes(), None)
}

/// Sends when the manager has room, within the barrier's time.
fn send(host: &OwnedFd, message: &[u8], file: Option<BorrowedFd<'_>>) -> io::Result<()> {
    match fd::send_with_fd(host, message, file) {
        Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => {
            fd::poll(&mut [PollFd::new(host.as_fd(), libc::POLLOUT)], BARRIER_MS)?;
            fd::send_with_fd(host, message, file).map(drop)
        }
        sent => sent.map(drop),
    }
}

/// Waits until the manager closes an fd that stands in its queue behind all that we sent
/// (`sd_notify_barrier(3)`), or the time is over.
fn barrier(host: &OwnedFd, timeout_ms: i32) -> io::Result<()> {
    let (here, there) = fd::pipe()?;
    send(host, b"BARRIER=1", Some(there.as_fd()))?;
    drop(there);
    fd::poll(&mut [PollFd::new(here.as_fd(), 0)], timeout_ms).map(drop)
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
