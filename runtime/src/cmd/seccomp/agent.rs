//! Lets every call of a container go on, and keeps which ones there were.
//!
//! A thread of its own: while the creator waits for init, init waits for the answer to its calls.
//! It ends when it is told to, or when nobody is left under the filter.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use corten_seccomp::tools::Recorder;
use corten_seccomp::{Arch, Data};
use libcontainer::sys::fd::{PollFd, poll, recv_with_fd};
use libcontainer::sys::supervise::{Listener, Notification};
use libcontainer::{At, Error, Result, Step};
use serde::Deserialize;

/// More than a container process state has.
const MESSAGE: usize = 1 << 20;

/// The thread, from outside.
pub(super) struct Agent {
    dir: Dir,
    stop: UnixStream,
    thread: JoinHandle<Result<Recorder>>,
}

/// What the thread knows of the run.
struct Watch {
    recorder: Recorder,
    /// Calls of init count only from its execve on: the profile will be loaded right before it.
    late: bool,
    init: u32,
    execve: [Option<u32>; 2],
}

/// A directory that goes with its owner.
struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        // Best effort: it lies in a directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is needed of the container process state (config-linux.md).
#[derive(Deserialize)]
struct ProcessState {
    pid: u32,
}

impl Agent {
    /// Listens for a filter. With `late`, what init calls before it executes the program is left
    /// out.
    ///
    /// # Errors
    /// No directory for temporary files, no thread.
    pub(super) fn listen(host: &Arch, late: bool) -> Result<Self> {
        let dir = dir()?;
        let path = dir.0.join("listener");
        let socket = UnixListener::bind(&path).at(Step::Seccomp, || path.display())?;
        let (stop, stopped) = UnixStream::pair().at(Step::Seccomp, || "recorder")?;
        let execve = ["execve", "execveat"].map(|name| host.number(name));
        let mut watch = Watch { recorder: Recorder::default(), late, init: 0, execve };
        let work = move || {
            let Some(listener) = accept(&socket, &stopped, &mut watch)? else {
                return Ok(watch.recorder);
            };
            watch.answer(&listener, &stopped)?;
            Ok(watch.recorder)
        };
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(work);
        let thread = thread.at(Step::Seccomp, || "recorder")?;
        Ok(Self { dir, stop, thread })
    }

    /// The socket that wants the listener.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.0.join("listener")
    }

    /// Ends the thread and takes what it has seen.
    ///
    /// # Errors
    /// The kernel cannot let calls go on.
    pub(super) fn finish(self) -> Result<Recorder> {
        drop(self.stop);
        let gone = |_| Error::rule(Step::Seccomp, "recorder", "ended before its time");
        self.thread.join().map_err(gone)?
    }
}

fn dir() -> Result<Dir> {
    let base = std::env::temp_dir();
    for attempt in 0..100 {
        let path = base.join(format!("corten-record-{}-{attempt}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.at(Step::Seccomp, || path.display()).map(|()| Dir(path)),
        }
    }
    Err(Error::rule(Step::Seccomp, base.display(), "has no room for a directory of ours"))
}

/// Waits for one of two descriptors; whether the first is ready.
fn ready(wanted: impl AsFd, stopped: &UnixStream) -> io::Result<bool> {
    let mut fds =
        [PollFd::new(wanted.as_fd(), libc::POLLIN), PollFd::new(stopped.as_fd(), libc::POLLIN)];
    poll(&mut fds, -1)?;
    Ok(fds[0].is_ready())
}

/// Takes the listener; `None` when there will be none.
fn accept(
    socket: &UnixListener,
    stopped: &UnixStream,
    watch: &mut Watch,
) -> Result<Option<Listener>> {
    let failed = || Path::new("listener").display().to_string();
    if !ready(socket, stopped).at(Step::Seccomp, failed)? {
        return Ok(None);
    }
    let (stream, _) = socket.accept().at(Step::Seccomp, failed)?;
    let mut message = vec![0; MESSAGE];
    let mut file: Option<OwnedFd> = None;
    let mut length = 0;
    while let Some(room) = message.get_mut(length..).filter(|room| !room.is_empty()) {
        let (read, came) = recv_with_fd(&stream, room).at(Step::Seccomp, failed)?;
        file = file.or(came);
        length += read;
        if read == 0 {
            break;
        }
    }
    let state = serde_json::from_slice(message.get(..length).unwrap_or_default());
    let ProcessState { pid } = state.map_err(io::Error::from).at(Step::Seccomp, failed)?;
    watch.init = pid;
    Ok(file.map(Listener::new))
}

impl Watch {
    /// Answers until nobody is left, or nobody wants to know more.
    fn answer(&mut self, listener: &Listener, stopped: &UnixStream) -> Result<()> {
        let failed = || "notification";
        loop {
            let mut fds = [
                PollFd::new(listener.as_fd(), libc::POLLIN),
                PollFd::new(stopped.as_fd(), libc::POLLIN),
            ];
            poll(&mut fds, -1).at(Step::Seccomp, failed)?;
            // The container is gone, or what is left of it is no part of the run any more.
            if fds[1].is_ready() || fds[0].revents() & libc::POLLIN == 0 {
                return Ok(());
            }
            let told = match listener.receive() {
                // The caller was killed meanwhile, or a signal came first.
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => continue,
                told => told.at(Step::Seccomp, failed)?,
            };
            self.see(&told);
            match listener.go_on(told.id) {
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                    let old = "this kernel cannot let a call go on after it was seen";
                    return Err(Error::rule(Step::Seccomp, "seccomp record", old)
                        .hint("SECCOMP_USER_NOTIF_FLAG_CONTINUE needs Linux 5.5"));
                }
                sent => sent.at(Step::Seccomp, failed)?,
            }
        }
    }

    fn see(&mut self, told: &Notification) {
        if self.late {
            let executes = told.pid == self.init && self.execve.contains(&Some(told.nr));
            self.late = !executes;
        }
        if !self.late {
            let Notification { nr, arch, args, .. } = *told;
            self.recorder.see(&Data { nr, arch, args, ..Data::default() });
        }
    }
}
