//! The user's terminal: raw while the container owns it, and as it was on every exit.
//!
//! Ends by a signal do not come here (signals are the container's); returning runs `Drop`; a
//! panic aborts without unwinding, so a panic hook restores too.

use std::fs::File;
use std::io::{self, IsTerminal, Stdin};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, Once, PoisonError};

use libcontainer::sys::tty::{self, Termios, WinSize};

/// Settings to put back, for the panic hook.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal on stdin, in raw mode while this lives.
pub(super) struct Raw {
    stdin: Stdin,
    saved: Termios,
}

impl Raw {
    /// Makes the terminal on stdin raw; `None` when stdin is no terminal.
    pub(super) fn begin() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let saved = tty::termios(&stdin)?;
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved);
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                usual(info);
            }));
        });
        tty::set_termios(&stdin, &saved.raw())?;
        Ok(Some(Self { stdin, saved }))
    }

    /// Makes it raw again: a shell resets it when it stops and continues us.
    pub(super) fn resume(&self) {
        let _ = tty::set_termios(&self.stdin, &self.saved.raw());
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back as it was; once.
fn restore() {
    let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(saved) = saved {
        // It may have hung up; then nobody looks at it any more.
        let _ = tty::set_termios(io::stdin(), &saved);
    }
}

/// The size of the terminal that the user looks at: whichever of stdio is one, else the one that
/// controls us.
pub(super) fn size() -> Option<WinSize> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let stdio: [BorrowedFd<'_>; 3] = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let of_stdio = stdio.into_iter().find_map(|fd| tty::winsize(fd).ok());
    let size = of_stdio.or_else(|| tty::winsize(File::open("/dev/tty").ok()?).ok())?;
    // A terminal without a window says 0 by 0.
    (size.rows != 0 || size.cols != 0).then_some(size)
}
