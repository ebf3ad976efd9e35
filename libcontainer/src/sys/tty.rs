//! Terminals: pseudo terminal pairs, window sizes, raw mode.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use libc::c_int;

use super::{done, fd, owned, raw};

/// Opens a new pseudo terminal master in the devpts mounted at `devpts` (`pts(4)`); not our
/// controlling terminal.
///
/// # Errors
/// `ENOENT` without `ptmx` there; `EACCES` where `ptmxmode` forbids; `ENOSPC` at a limit.
pub fn open_ptmx(devpts: impl AsFd) -> io::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NOFOLLOW;
    fd::openat(devpts, c"ptmx", flags, 0)
}

/// Lets the other side of a master be opened (`TIOCSPTLCK`).
///
/// # Errors
/// `ENOTTY` when it is no master.
pub fn unlock_pt(master: impl AsFd) -> io::Result<()> {
    let locked: c_int = 0;
    // SAFETY: the kernel reads one int.
    done(unsafe { libc::ioctl(raw(&master), libc::TIOCSPTLCK, &raw const locked) })
}

/// Opens the other side of a master, whatever lies at its path (`TIOCGPTPEER`, Linux 4.13);
/// `O_*` in `flags`.
///
/// # Errors
/// `EIO` while it is locked; `ENOTTY` when it is no master.
pub fn peer(master: impl AsFd, flags: i32) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: takes no pointers.
    owned(unsafe { libc::ioctl(raw(&master), libc::TIOCGPTPEER, flags) })
}

/// The number of the pair, N of `/dev/pts/N` (`TIOCGPTN`).
///
/// # Errors
/// `ENOTTY` when it is no master.
pub fn pt_number(master: impl AsFd) -> io::Result<u32> {
    let mut number: u32 = 0;
    // SAFETY: the kernel writes one unsigned int.
    done(unsafe { libc::ioctl(raw(&master), libc::TIOCGPTN, &raw mut number) })?;
    Ok(number)
}

/// Makes a terminal the controlling one of the session that we lead (`TIOCSCTTY`).
///
/// # Errors
/// `EPERM` when we lead no session, have one already, or it belongs to another session.
pub fn set_controlling(terminal: impl AsFd) -> io::Result<()> {
    let steal: c_int = 0;
    // SAFETY: takes no pointers.
    done(unsafe { libc::ioctl(raw(&terminal), libc::TIOCSCTTY, steal) })
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WinSize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
}

/// The size of a terminal (`TIOCGWINSZ`).
///
/// # Errors
/// `ENOTTY`.
pub fn winsize(terminal: impl AsFd) -> io::Result<WinSize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel writes one struct winsize.
    done(unsafe { libc::ioctl(raw(&terminal), libc::TIOCGWINSZ, &raw mut size) })?;
    Ok(WinSize { rows: size.ws_row, cols: size.ws_col })
}

/// Sets the size of a terminal; its foreground group gets `SIGWINCH` (`TIOCSWINSZ`).
///
/// # Errors
/// `ENOTTY`.
pub fn set_winsize(terminal: impl AsFd, size: WinSize) -> io::Result<()> {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel reads one struct winsize.
    done(unsafe { libc::ioctl(raw(&terminal), libc::TIOCSWINSZ, &raw const size) })
}

/// The settings of a terminal (`termios(3)`).
#[derive(Clone, Copy)]
pub struct Termios(libc::termios);

impl std::fmt::Debug for Termios {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(t) = self;
        write!(f, "Termios({:o} {:o} {:o} {:o})", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag)
    }
}

impl PartialEq for Termios {
    fn eq(&self, other: &Self) -> bool {
        let all = |t: &libc::termios| (t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_cc);
        all(&self.0) == all(&other.0)
    }
}

impl Termios {
    /// The same with nothing interpreted: every key is a byte, every byte is shown as it is
    /// (`cfmakeraw(3)`); but output keeps its processing, so that lines still begin at the left
    /// (runc does the same).
    #[must_use]
    pub fn raw(mut self) -> Self {
        let output = self.0.c_oflag;
        // SAFETY: changes the plain struct only.
        unsafe { libc::cfmakeraw(&raw mut self.0) };
        self.0.c_oflag = output;
        self
    }

    /// The same with `\n` left as it is on output: what the container writes arrives unchanged
    /// and only the user's own terminal adds `\r` (runc clears `ONLCR` of the container's side).
    #[must_use]
    pub fn without_onlcr(mut self) -> Self {
        self.0.c_oflag &= !libc::ONLCR;
        self
    }
}

impl Termios {
    /// The character that ends a file when it is typed; `None` while lines are not edited.
    pub fn eof(&self) -> Option<u8> {
        let edited = self.0.c_lflag & libc::ICANON != 0;
        self.0.c_cc.get(libc::VEOF).copied().filter(|eof| edited && *eof != 0)
    }
}

/// Reads the settings of a terminal (`tcgetattr(3)`).
///
/// # Errors
/// `ENOTTY`.
pub fn termios(terminal: impl AsFd) -> io::Result<Termios> {
    // SAFETY: struct termios is plain data for which all zeroes are valid.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole struct termios.
    done(unsafe { libc::tcgetattr(raw(&terminal), &raw mut settings) })?;
    Ok(Termios(settings))
}

/// Changes the settings of a terminal at once (`tcsetattr(3)`).
///
/// # Errors
/// `ENOTTY`; `EIO` for an orphan in the background.
pub fn set_termios(terminal: impl AsFd, settings: &Termios) -> io::Result<()> {
    // SAFETY: the pointer is to a whole struct termios.
    done(unsafe { libc::tcsetattr(raw(&terminal), libc::TCSANOW, &raw const settings.0) })
}

/// Whether this is a terminal (`isatty(3)`).
pub fn isatty(fd: impl AsFd) -> bool {
    termios(fd).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> Option<(OwnedFd, OwnedFd)> {
        let master = fd::open(c"/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY).ok()?;
        unlock_pt(&master).ok()?;
        let peer = peer(&master, libc::O_RDWR | libc::O_NOCTTY).ok()?;
        Some((master, peer))
    }

    #[test]
    fn raw_and_back() {
        let Some((master, peer)) = pair() else {
            eprintln!("skipped: needs /dev/ptmx");
            return;
        };
        let before = termios(&peer).unwrap();
        set_termios(&peer, &before.raw()).unwrap();
        let now = termios(&peer).unwrap();
        assert!(now != before && now == before.raw(), "{now:?}");
        assert_eq!(now.0.c_lflag & (libc::ECHO | libc::ICANON | libc::ISIG), 0);
        assert_ne!(now.0.c_oflag & libc::OPOST, 0);
        // Every byte arrives, the one for SIGINT too.
        fd::write_all(&master, b"\x03").unwrap();
        let mut byte = [0];
        assert_eq!(fd::read(&peer, &mut byte).unwrap(), 1);
        assert_eq!(byte, [3]);
        set_termios(&peer, &before).unwrap();
        assert!(termios(&peer).unwrap() == before);
    }

    #[test]
    fn lines_arrive_as_they_were_written() {
        let Some((master, peer)) = pair() else {
            eprintln!("skipped: needs /dev/ptmx");
            return;
        };
        let mut text = [0; 8];
        fd::write_all(&peer, b"a\n").unwrap();
        assert_eq!(fd::read(&master, &mut text).unwrap(), 3);
        assert_eq!(&text[..3], b"a\r\n");
        set_termios(&master, &termios(&master).unwrap().without_onlcr()).unwrap();
        fd::write_all(&peer, b"a\n").unwrap();
        assert_eq!(fd::read(&master, &mut text).unwrap(), 2);
    }

    #[test]
    fn sizes_and_other_files() {
        let Some((master, peer)) = pair() else {
            eprintln!("skipped: needs /dev/ptmx");
            return;
        };
        let size = WinSize { rows: 24, cols: 80 };
        set_winsize(&master, size).unwrap();
        assert_eq!(winsize(&peer).unwrap(), size);
        assert!(isatty(&peer) && isatty(&master));
        let file = fd::memfd(c"tty", 0).unwrap();
        assert!(!isatty(&file));
        assert_eq!(winsize(&file).unwrap_err().raw_os_error(), Some(libc::ENOTTY));
        assert!(pt_number(&master).is_ok() && pt_number(&peer).is_err());
        // The test's process leads no session.
        assert!(set_controlling(&peer).is_err());
    }
}
