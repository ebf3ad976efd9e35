//! The start gate: two fifos in the container's directory.
//!
//! Init holds both open for reading and writing and blocks in a read of [`START`]. `start`
//! writes one byte there and reads [`RESULT`] to its end: nothing means that the program was
//! executed (the descriptor is close-on-exec), a packet is the failure. A container waits for
//! `start` exactly as long as [`START`] has a reader.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::stat::Mode;

use crate::error::{At, Result, Step};

/// Name of the fifo that starts.
pub const START: &str = "exec.fifo";
/// Name of the fifo that tells how it went.
pub const RESULT: &str = "exec.result";

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

/// The reading end of [`RESULT`].
///
/// # Errors
/// Those of open(2).
#[expect(dead_code, reason = "start reads it")]
pub(crate) fn open_result(dir: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(dir.join(RESULT))
}
