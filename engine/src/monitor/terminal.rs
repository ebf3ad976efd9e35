//! The user's terminal: raw while the container owns it, as it was on every way out.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};

use libcontainer::sys::tty::{self, Termios, WinSize};

/// The terminal on stdin, raw while this lives. Signals cannot end us meanwhile: they are the
/// program's.
pub(crate) struct Raw(Termios);

impl Raw {
    /// Makes it raw; `None` when stdin is no terminal.
    pub(crate) fn begin() -> Option<Self> {
        let stdin = io::stdin();
        let saved = stdin.is_terminal().then(|| tty::termios(&stdin).ok()).flatten()?;
        tty::set_termios(&stdin, &saved.raw()).ok()?;
        Some(Self(saved))
    }

    /// A shell makes it its own again when it stops and continues us.
    pub(crate) fn resume(&self) {
        let _ = tty::set_termios(io::stdin(), &self.0.raw());
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // It may have hung up; then nobody looks at it any more.
        let _ = tty::set_termios(io::stdin(), &self.0);
    }
}

/// The size of the terminal that the user looks at.
pub(crate) fn size() -> Option<WinSize> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let stdio: [BorrowedFd<'_>; 3] = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let found = stdio.into_iter().find_map(|fd| tty::winsize(fd).ok());
    let size = found.or_else(|| tty::winsize(File::open("/dev/tty").ok()?).ok())?;
    (size.rows != 0 && size.cols != 0).then_some(size)
}
