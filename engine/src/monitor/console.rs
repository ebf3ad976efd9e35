//! Where another runtime sends the terminal that it made (`--console-socket`, runc's terminals).

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use libcontainer::sys::fd;

use crate::error::{Error, Result, What};

/// A socket that waits for one terminal.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    _dir: std::fs::File,
}

impl Socket {
    /// Makes it in `dir`, and names it below a descriptor: paths of sockets are short.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn bind(dir: &Path) -> Result<Self> {
        let what = || "cannot make a console socket".into();
        let _ = std::fs::remove_file(dir.join("console.sock"));
        let file = std::fs::File::open(dir).what(what)?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        let pid = std::process::id();
        let path = PathBuf::from(format!("/proc/{pid}/fd/{number}/console.sock"));
        let listener = UnixListener::bind(&path).what(what)?;
        Ok(Self { listener, path, _dir: file })
    }

    /// What the runtime is told.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The terminal.
    ///
    /// # Errors
    /// The runtime did not send one.
    pub fn master(self) -> Result<OwnedFd> {
        let what = || "cannot get the terminal from the runtime".into();
        self.listener.set_nonblocking(true).what(what)?;
        let (stream, _) = self.listener.accept().what(what)?;
        let mut name = [0; 4096];
        let (_, master) = fd::recv_with_fd(&stream, &mut name).what(what)?;
        master.ok_or_else(|| Error::new(what()).why("it sent none"))
    }
}
