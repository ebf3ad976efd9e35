//! Terminals made in a mount namespace of our own, and fds handed to a listening caller.

use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;

use super::*;
use crate::sys::clone::{CLONE_NEWNS, WaitStatus};
use crate::sys::fd::{mkdirat, openat, symlinkat};
use crate::sys::mount::{fsconfig_create, fsconfig_string, fsmount, fsopen, mount};
use crate::sys::testing::{hold, in_child, in_namespaces, root};
use crate::sys::tty::{WinSize, set_winsize, winsize};

/// An empty `/dev` of our own on `/mnt`.
fn dev() -> io::Result<OwnedFd> {
    mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE, None)?;
    let context = fsopen(c"tmpfs")?;
    fsconfig_create(&context)?;
    let tmpfs = fsmount(&context, 0)?;
    move_mount_fd(&tmpfs, fd::open(c"/mnt", libc::O_PATH)?)?;
    fd::open(c"/mnt", libc::O_PATH | libc::O_DIRECTORY)
}

fn dev_with_pts() -> io::Result<OwnedFd> {
    let dev = dev()?;
    mkdirat(&dev, c"pts", 0o755)?;
    let context = fsopen(c"devpts")?;
    fsconfig_string(&context, c"ptmxmode", c"0666")?;
    fsconfig_string(&context, c"mode", c"0620")?;
    fsconfig_create(&context)?;
    let pts = fsmount(&context, 0)?;
    move_mount_fd(&pts, openat(&dev, c"pts", libc::O_PATH, 0)?)?;
    Ok(dev)
}

fn fails_with(result: io::Result<impl Sized>, errno: i32) -> io::Result<()> {
    hold(result.err().and_then(|e| e.raw_os_error()) == Some(errno))
}

fn terminal_is_bound_and_controls() -> io::Result<()> {
    let dev = dev_with_pts()?;
    let pty = open(dev.as_fd())?;
    hold(tty::pt_number(&pty.master)? == 0)?;
    bind(&pty.peer, dev.as_fd())?;
    let console = openat(&dev, c"console", libc::O_RDWR | libc::O_NOCTTY, 0)?;
    hold(fd::fstat(&console)?.rdev == fd::fstat(&pty.peer)?.rdev)?;
    hold(fd::fs_magic(&console)? == DEVPTS_SUPER_MAGIC)?;
    set_winsize(&pty.master, WinSize { rows: 33, cols: 99 })?;
    hold(winsize(&console)? == WinSize { rows: 33, cols: 99 })?;
    attach(&pty.peer)?;
    hold(fd::STDIO.into_iter().all(tty::isatty))?;
    // /dev/tty opens only for a process that has a controlling terminal.
    fd::open(c"/dev/tty", libc::O_RDWR | libc::O_NOCTTY)?;
    own_stdio(1234)?;
    hold(fd::fstat(&pty.peer)?.uid == 1234)?;
    fd::write_all(fd::STDIO[1], b"hello")?;
    let mut text = [0; 16];
    let n = fd::read(&pty.master, &mut text)?;
    // Closing the last master would hang up and end this process with SIGHUP.
    std::mem::forget(pty);
    hold(&text[..n] == b"hello")
}

fn existing_places_are_used_or_refused() -> io::Result<()> {
    let dev = dev_with_pts()?;
    let pty = open(dev.as_fd())?;
    symlinkat(c"/etc/passwd", &dev, c"console")?;
    fails_with(bind(&pty.peer, dev.as_fd()), libc::ELOOP)?;
    fd::unlinkat(&dev, c"console", 0)?;
    mkdirat(&dev, c"console", 0o755)?;
    fails_with(bind(&pty.peer, dev.as_fd()), libc::EEXIST)?;
    fd::unlinkat(&dev, c"console", libc::AT_REMOVEDIR)?;
    let file = openat(&dev, c"console", libc::O_CREAT | libc::O_RDWR, 0o644)?;
    fd::write_all(&file, b"kept")?;
    bind(&pty.peer, dev.as_fd())?;
    hold(fd::fstat(&file)?.size == 4)
}

fn foreign_ptmx_is_refused() -> io::Result<()> {
    let dev = dev()?;
    fails_with(open(dev.as_fd()), libc::ENOENT)?;
    // What an image can carry: a directory with a device node that looks right.
    mkdirat(&dev, c"pts", 0o755)?;
    fd::mknodat(openat(&dev, c"pts", libc::O_PATH, 0)?, c"ptmx", libc::S_IFREG, 0)?;
    fails_with(open(dev.as_fd()), libc::ENODEV)?;
    fd::renameat(&dev, c"pts", &dev, c"elsewhere")?;
    symlinkat(c"/dev/pts", &dev, c"pts")?;
    fails_with(open(dev.as_fd()), libc::ELOOP)
}

fn covered_ptmx_is_refused() -> io::Result<()> {
    let dev = dev_with_pts()?;
    mount(Some(c"/dev/null"), c"/mnt/pts/ptmx", None, libc::MS_BIND, None)?;
    fails_with(open(dev.as_fd()), libc::EXDEV)
}

#[test]
fn pty_in_the_containers_own_devpts() {
    if !root() {
        eprintln!("skipped: devpts and ids of a real container need root");
        return;
    }
    assert_eq!(in_namespaces(CLONE_NEWNS, terminal_is_bound_and_controls), 0);
    assert_eq!(in_namespaces(CLONE_NEWNS, existing_places_are_used_or_refused), 0);
    assert_eq!(in_namespaces(CLONE_NEWNS, foreign_ptmx_is_refused), 0);
    assert_eq!(in_namespaces(CLONE_NEWNS, covered_ptmx_is_refused), 0);
}

#[test]
fn null_is_nobodys_own() {
    let status = in_child(0, || {
        let null = fd::open(c"/dev/null", libc::O_RDWR);
        let owned = null.and_then(|null| {
            let before = fd::fstat(&null)?.uid;
            (0..3).try_for_each(|number| fd::dup3(&null, number, 0))?;
            own_stdio(4321)?;
            hold(fd::fstat(&null)?.uid == before)
        });
        i32::from(owned.is_err())
    });
    assert_eq!(status, WaitStatus::Exited(0));
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        // Longer than any socket address.
        let path = std::env::temp_dir()
            .join(format!("corten-{name}-{}", std::process::id()))
            .join("d".repeat(120));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).unwrap();
        Self(path)
    }

    fn listen(&self, name: &str) -> (PathBuf, UnixListener) {
        let path = self.0.join(name);
        let dir = std::fs::File::open(&self.0).unwrap();
        let short = format!("/proc/self/fd/{}/{name}", std::os::fd::AsRawFd::as_raw_fd(&dir));
        (path, UnixListener::bind(short).unwrap())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(parent) = self.0.parent() {
            std::fs::remove_dir_all(parent).ok();
        }
    }
}

#[test]
fn caller_receives_the_fd_and_its_name() {
    let scratch = Scratch::new("console");
    let (path, listener) = scratch.listen("c.sock");
    let (reader, writer) = fd::pipe().unwrap();
    FdSocket::connect(Purpose::Console, &path).unwrap().send_master(&writer).unwrap();
    FdSocket::connect(Purpose::Pidfd, &path).unwrap().send_pidfd(&writer, "standard").unwrap();
    drop(writer);
    for expected in [&b"/dev/pts/ptmx"[..], b"standard"] {
        let (caller, _) = listener.accept().unwrap();
        let mut name = [0; 64];
        let (n, file) = fd::recv_with_fd(&caller, &mut name).unwrap();
        assert_eq!(&name[..n], expected);
        fd::write_all(file.unwrap(), b"x").unwrap();
        assert_eq!(fd::recv_with_fd(&caller, &mut name).unwrap().0, 0, "one message, then the end");
        assert_eq!(fd::read(&reader, &mut [0; 8]).unwrap(), 1);
    }
}

#[test]
fn wrong_paths_are_said_clearly() {
    let scratch = Scratch::new("wrong");
    let words = |purpose, path: &Path| {
        let error = FdSocket::connect(purpose, path).unwrap_err();
        (error.to_string(), error.hint.unwrap_or_default())
    };
    let none = scratch.0.join("none");
    let (text, hint) = words(Purpose::Console, &none);
    let shown = none.display();
    assert_eq!(text, format!("console --console-socket {shown}: no such file or directory"));
    assert!(hint.contains("listen"), "{hint}");
    let file = scratch.0.join("file");
    std::fs::write(&file, "").unwrap();
    let (text, _) = words(Purpose::Pidfd, &file);
    assert!(text.ends_with("file: socket operation on non-socket"), "{text}");
    let (path, listener) = scratch.listen("gone.sock");
    drop(listener);
    assert!(words(Purpose::Console, &path).0.ends_with("connection refused"));
    let nul = Path::new(std::ffi::OsStr::from_bytes(b"a\0b"));
    assert!(FdSocket::connect(Purpose::Console, nul).is_err());
}

#[test]
fn nothing_hangs_on_a_caller_that_does_not_listen() {
    let scratch = Scratch::new("full");
    let (path, listener) = scratch.listen("full.sock");
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    let patience = Duration::from_millis(50);
    let mut waiting = Vec::new();
    let refused = loop {
        match connect(&path, patience) {
            Ok(socket) => waiting.push(socket),
            Err(e) => break e,
        }
    };
    assert_eq!(refused.raw_os_error(), Some(libc::ETIMEDOUT));
    let (stuffed, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    stuffed.set_nonblocking(true).unwrap();
    let stuffed = OwnedFd::from(stuffed);
    while fd::write(&stuffed, &[0; 4096]).is_ok() {}
    let late = send(&stuffed, b"x", stuffed.as_fd(), patience).unwrap_err();
    assert_eq!(late.raw_os_error(), Some(libc::ETIMEDOUT));
}
