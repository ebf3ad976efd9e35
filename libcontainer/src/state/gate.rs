//! The start gate: two fifos in the container's directory.
//!
//! Init holds both open for reading and writing and blocks in a read of [`START`]. `start`
//! writes one byte there and reads [`RESULT`] to its end: nothing means that the program was
//! executed (the descriptor is close-on-exec), a packet is the failure. Any other byte than [`GO`]
//! ends init. A container waits for `start` exactly as long as [`START`] has a reader.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::stat::Mode;

use crate::error::{At, Result, Step};

/// Name of the fifo that starts.
pub const START: &str = "exec.fifo";
/// Name of the fifo that tells how it went.
pub const RESULT: &str = "exec.result";
/// What [`START`] gets when the program shall run.
pub const GO: u8 = b's';
/// What it gets when init shall end instead.
const ABORT: u8 = b'a';

/// Makes both fifos below `dir`, for the owner only.
///
/// # Errors
/// Those of mkfifo(3).
pub fn make(dir: &Path) -> Result<()> {
    for name in [START, RESULT] {
        let path = dir.join(name);
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)
            .at(Step::State, || path.display())?;
    }
    Ok(())
}

/// Whether init waits for `start`.
pub(super) fn is_waiting(dir: &Path) -> bool {
    open_start(dir).is_ok_and(|fifo| fifo.is_some())
}

/// The writing end of [`START`], `None` when init does not wait.
///
/// # Errors
/// `EACCES` and other odd ones of open(2).
pub(crate) fn open_start(dir: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    // Opening a fifo for writing only and without waiting succeeds only where there is a reader.
    let fifo =
        options.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(dir.join(START));
    match fifo {
        Ok(fifo) => Ok(Some(fifo)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENXIO | libc::ENOENT)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Tells an init that waits to end: one whose `create` was killed, so that nobody knows its pid.
///
/// # Errors
/// As [`open_start`].
pub(crate) fn abort(dir: &Path) -> io::Result<()> {
    match open_start(dir)? {
        Some(mut fifo) => fifo.write_all(&[ABORT]),
        None => Ok(()),
    }
}

/// Removes the gate that was passed. The result's fifo stays for the reader who has it open.
///
/// # Errors
/// Those of unlink(2); that it is gone is none.
pub(crate) fn close(dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(dir.join(START)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The reading end of [`RESULT`].
///
/// # Errors
/// Those of open(2).
pub(crate) fn open_result(dir: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(dir.join(RESULT))
}
