//! The container's terminal: a pair made inside its own devpts, the master handed to the caller.
//!
//! Two halves. The child's ([`open`], [`bind`], [`attach`], [`own_stdio`]) runs between clone3 and
//! execve, so it makes system calls only and returns plain errnos. The parent's ([`FdSocket`])
//! sends the master to `--console-socket` and init's pidfd to `--pidfd-socket`.
//!
//! Nothing is looked up twice and nothing by the name `/dev/pts/N`: the container may have put
//! links there (CVE-2025-52565). Raw mode of the user's own terminal is the binary's matter; the
//! calls for it are in [`crate::sys::tty`].

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{At, Error, Result, Step};
use crate::sys::mount::{AT_EMPTY_PATH, OPEN_TREE_CLONE, move_mount_fd, open_tree};
use crate::sys::{clone, cred, fd, tty};

/// Magic number of devpts (`statfs(2)`, `linux/magic.h`).
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// A pseudo terminal.
#[derive(Debug)]
pub struct Pty {
    /// The side that the caller reads and writes.
    pub master: OwnedFd,
    /// The side that the container's process has as its terminal.
    pub peer: OwnedFd,
}

/// Makes a pseudo terminal in the devpts at `pts` below `dev`, the container's `/dev` (child).
///
/// `ptmx` is taken from the superblock of a verified devpts, not crossing a mount, so it can only
/// be the kernel's own; the peer is opened through the master.
///
/// # Errors
/// `ENOENT` without `pts` or `ptmx`; `ELOOP` for a link there; `ENODEV` when it is no devpts;
/// `EXDEV` when something is mounted over `ptmx`; `ENOSPC` at the limit of terminals.
pub fn open(dev: BorrowedFd<'_>) -> io::Result<Pty> {
    let below = fd::RESOLVE_NO_SYMLINKS | fd::RESOLVE_BENEATH;
    let pts = fd::openat2(dev, c"pts", libc::O_PATH | libc::O_DIRECTORY, 0, below)?;
    if fd::fs_magic(&pts)? != DEVPTS_SUPER_MAGIC {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NOFOLLOW;
    let master = fd::openat2(&pts, c"ptmx", flags, 0, below | fd::RESOLVE_NO_XDEV)?;
    let stat = fd::fstat(&master)?;
    if !stat.is(libc::S_IFCHR) || stat.rdev != libc::makedev(5, 2) {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    tty::unlock_pt(&master)?;
    let peer = tty::peer(&master, libc::O_RDWR | libc::O_NOCTTY)?;
    Ok(Pty { master, peer })
}

/// Mounts the peer on `console` below `dev`, the container's `/dev` (child).
///
/// The place is made when it is missing and never truncated or followed.
///
/// # Errors
/// `ELOOP` when `console` is a link, `EEXIST` when it is neither a plain file nor a character
/// device; `EROFS` when it is missing on a read-only `/dev`; those of `move_mount(2)`.
pub fn bind(peer: impl AsFd, dev: BorrowedFd<'_>) -> io::Result<()> {
    match fd::mknodat(dev, c"console", libc::S_IFREG | 0o600, 0) {
        Err(e) if e.raw_os_error() != Some(libc::EEXIST) => return Err(e),
        _ => {}
    }
    let below = fd::RESOLVE_NO_SYMLINKS | fd::RESOLVE_BENEATH;
    let place = fd::openat2(dev, c"console", libc::O_PATH | libc::O_NOFOLLOW, 0, below)?;
    match fd::fstat(&place)?.mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFCHR => {}
        libc::S_IFLNK => return Err(io::Error::from_raw_os_error(libc::ELOOP)),
        _ => return Err(io::Error::from_raw_os_error(libc::EEXIST)),
    }
    let tree = open_tree(&peer, c"", OPEN_TREE_CLONE | AT_EMPTY_PATH)?;
    move_mount_fd(&tree, &place)
}

/// Makes the peer the controlling terminal and standard input, output and error of this process,
/// which leads a session of its own from now on (child).
///
/// Send the master away before it is dropped here: closing the last copy hangs up, and `SIGHUP`
/// ends the leader of the session.
///
/// # Errors
/// `EPERM` when this process leads a process group but no session, or has a terminal already.
pub fn attach(peer: impl AsFd) -> io::Result<()> {
    match cred::setsid() {
        Err(e) if !clone::leads_session() => return Err(e),
        _ => {}
    }
    tty::set_controlling(&peer)?;
    (0..3).try_for_each(|number| fd::dup3(&peer, number, 0))
}

/// Gives the files of standard input, output and error to `uid` (child, before it becomes that
/// user), so that a program that is not root can open `/dev/stdout` or its terminal again. The
/// group stays: devpts has its own idea of it (`gid=`).
///
/// `/dev/null` is shared by all and stays as it is, as do files whose owner we may not change.
///
/// # Errors
/// Those of `fchown(2)` other than `EPERM`, `EROFS` and `EINVAL`.
pub fn own_stdio(uid: u32) -> io::Result<()> {
    const SAME: u32 = u32::MAX;
    for file in fd::STDIO {
        let Ok(stat) = fd::fstat(file) else { continue };
        let null = stat.is(libc::S_IFCHR) && stat.rdev == libc::makedev(1, 3);
        if null || stat.uid == uid {
            continue;
        }
        match fd::fchown(file, uid, SAME).map_err(|e| (e.raw_os_error(), e)) {
            Err((Some(libc::EPERM | libc::EROFS | libc::EINVAL | libc::EBADF), _)) | Ok(()) => {}
            Err((_, e)) => return Err(e),
        }
    }
    Ok(())
}

/// What is sent along with the master: containerd, conmon and runc's recvtty take it for the name
/// of the file.
const MASTER_NAME: &[u8] = b"/dev/pts/ptmx";

/// How long a caller may take to make room for one connection and one message. Both come at once
/// from a caller that listens; the limit is there so that nothing hangs.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long to wait before a full queue of connections is tried again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(10);

/// What a caller's socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The master of the container's terminal (`--console-socket`).
    Console,
    /// The pidfd of the container's init (`--pidfd-socket`).
    Pidfd,
    /// The descriptor of a filter's notifications (`linux.seccomp.listenerPath`).
    Listener,
}

impl Purpose {
    const fn flag(self) -> &'static str {
        match self {
            Self::Console => "--console-socket",
            Self::Pidfd => "--pidfd-socket",
            Self::Listener => "linux.seccomp.listenerPath",
        }
    }

    const fn step(self) -> Step {
        match self {
            Self::Console => Step::Console,
            Self::Pidfd => Step::Output,
            Self::Listener => Step::Seccomp,
        }
    }
}

/// A connection to a caller that waits for one file descriptor (parent).
///
/// Connected before anything of the container exists, so that a wrong path costs nothing.
#[derive(Debug)]
pub struct FdSocket {
    socket: OwnedFd,
    path: PathBuf,
    purpose: Purpose,
}

impl FdSocket {
    /// Connects to the stream socket at `path`, which may be longer than a socket address.
    ///
    /// # Errors
    /// A missing path, a path that is no listening stream socket, or a caller that does not take
    /// the connection within ten seconds.
    pub fn connect(purpose: Purpose, path: &Path) -> Result<Self> {
        let socket = connect(path, DEADLINE).map_err(|e| failed(purpose, path, e))?;
        Ok(Self { socket, path: path.to_owned(), purpose })
    }

    /// Sends the master of the container's terminal and ends the connection.
    ///
    /// # Errors
    /// A caller that went away, or does not take the message within ten seconds.
    pub fn send_master(self, master: impl AsFd) -> Result<()> {
        self.send(MASTER_NAME, master.as_fd())
    }

    /// Sends a pidfd and ends the connection; `kind` tells the caller whether it is the init of a
    /// container (`standard`) or a further process (`setns`), the words of runc.
    ///
    /// # Errors
    /// As [`FdSocket::send_master`].
    pub fn send_pidfd(self, pidfd: impl AsFd, kind: &str) -> Result<()> {
        self.send(kind.as_bytes(), pidfd.as_fd())
    }

    /// Sends the descriptor of a filter's notifications with the state of the container's process,
    /// and ends the connection.
    ///
    /// # Errors
    /// As [`FdSocket::send_master`].
    pub fn send_listener(self, state: &[u8], listener: impl AsFd) -> Result<()> {
        self.send(state, listener.as_fd())
    }

    fn send(self, name: &[u8], file: BorrowedFd<'_>) -> Result<()> {
        send(&self.socket, name, file, DEADLINE).map_err(|e| failed(self.purpose, &self.path, e))
    }
}

fn failed(purpose: Purpose, path: &Path, error: io::Error) -> Error {
    struct On<'a>(Purpose, &'a Path);
    impl fmt::Display for On<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} {}", self.0.flag(), self.1.display())
        }
    }
    let hint = match error.raw_os_error() {
        // Begins with the words that runc's callers know.
        Some(libc::ENOENT | libc::ECONNREFUSED | libc::ENOTSOCK)
            if purpose == Purpose::Listener =>
        {
            "failed to connect with seccomp agent: it must listen before the container is created"
        }
        Some(libc::ENOENT | libc::ECONNREFUSED | libc::ENOTSOCK) => {
            "the caller must listen on this path before it starts the runtime"
        }
        Some(libc::EPROTOTYPE) => "it must be a stream socket (SOCK_STREAM)",
        Some(libc::ETIMEDOUT) => "the caller listens but does not receive; waited 10 s",
        Some(libc::EPIPE | libc::ECONNRESET) => "the caller closed the connection",
        _ => "",
    };
    let located = Err::<(), _>(error).at(purpose.step(), || On(purpose, path));
    match located {
        Err(e) if !hint.is_empty() => e.hint(hint),
        Err(e) => e,
        Ok(()) => Error::rule(purpose.step(), On(purpose, path), "failed"),
    }
}

/// Connects by way of an fd of the socket's file: a path in `sockaddr_un` has 107 bytes at most.
fn connect(path: &Path, patience: Duration) -> io::Result<OwnedFd> {
    let name = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let file = fd::open(&name, libc::O_PATH)?;
    if !fd::fstat(&file)?.is(libc::S_IFSOCK) {
        return Err(io::Error::from_raw_os_error(libc::ENOTSOCK));
    }
    let mut buffer = [0; fd::PROC_FD_PATH];
    let address = fd::proc_fd_path(&file, &mut buffer);
    let socket = fd::unix_stream()?;
    let begun = Instant::now();
    loop {
        match fd::connect_unix(&socket, address.to_bytes()) {
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => {}
            other => return other.map(|()| socket),
        }
        if begun.elapsed() >= patience {
            return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        }
        std::thread::sleep(QUEUE_FULL_PAUSE);
    }
}

/// Sends the bytes, at least one, and with the first of them the fd.
fn send(socket: &OwnedFd, bytes: &[u8], file: BorrowedFd<'_>, wait: Duration) -> io::Result<()> {
    let begun = Instant::now();
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        match fd::send_with_fd(socket, rest, (sent == 0).then_some(file)) {
            Ok(count) => sent += count,
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => {
                let left = wait.saturating_sub(begun.elapsed()).as_millis();
                let left = i32::try_from(left).unwrap_or(i32::MAX);
                let mut room = [fd::PollFd::new(socket.as_fd(), libc::POLLOUT)];
                if left == 0 || fd::poll(&mut room, left)? == 0 {
                    return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "console_tests.rs"]
mod tests;
