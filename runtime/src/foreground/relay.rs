//! Copies bytes between the caller's stdio and the container's terminal.
//!
//! Nothing that the container wrote is lost: after its end the master is read until the kernel
//! says that nobody can write any more (`EIO`). The caller's descriptors are shared with others,
//! so they are never made non-blocking.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libcontainer::sys::fd::{self, PollFd, poll};
use libcontainer::sys::tty;

use super::Ready;
use super::terminal::{self, Raw};

/// Bytes moved at once: a pipe that poll calls writable takes `PIPE_BUF` bytes without blocking.
const CHUNK: usize = 4096;

/// Bytes on their way.
struct Buffer {
    bytes: [u8; CHUNK],
    start: usize,
    end: usize,
}

impl Buffer {
    const fn new() -> Self {
        Self { bytes: [0; CHUNK], start: 0, end: 0 }
    }

    const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Reads what there is into the empty buffer; the count, 0 at the end of file.
    fn fill(&mut self, from: impl AsFd) -> io::Result<usize> {
        (self.start, self.end) = (0, 0);
        self.end = fd::read(from, &mut self.bytes)?;
        Ok(self.end)
    }

    /// Writes as much as fits now.
    fn flush(&mut self, to: impl AsFd) -> io::Result<()> {
        let waiting = self.bytes.get(self.start..self.end).unwrap_or_default();
        self.start += fd::write(to, waiting)?;
        Ok(())
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

/// Both ways between stdio and the master.
pub(super) struct Relay {
    master: OwnedFd,
    input: OwnedFd,
    output: OwnedFd,
    raw: Option<Raw>,
    inward: Buffer,
    outward: Buffer,
    /// The input has not ended.
    listening: bool,
    /// The last byte that went inward: decides how an end of file is typed.
    last: u8,
    /// Nobody has the container's side open at the moment.
    hung_up: bool,
}

/// What to poll for; the fd of each, where it is wanted.
#[derive(Default)]
pub(super) struct Wants<'a> {
    pub(super) master: Option<(BorrowedFd<'a>, i16)>,
    pub(super) input: Option<BorrowedFd<'a>>,
    pub(super) output: Option<BorrowedFd<'a>>,
    pub(super) hung_up: bool,
}

impl<'a> Wants<'a> {
    pub(super) fn polls(&self) -> impl Iterator<Item = PollFd<'a>> + use<'a> {
        let master = self.master.map(|(fd, events)| PollFd::new(fd, events));
        let input = self.input.map(|fd| PollFd::new(fd, libc::POLLIN));
        let output = self.output.map(|fd| PollFd::new(fd, libc::POLLOUT));
        [master, input, output].into_iter().flatten()
    }
}

impl Relay {
    /// Takes the master over for our stdio: sized as the user's terminal, which becomes raw.
    ///
    /// # Errors
    /// The user's terminal is gone.
    pub(super) fn new(master: OwnedFd) -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        let output = io::stdout().as_fd().try_clone_to_owned()?;
        let mut relay = Self::between(master, input, output)?;
        relay.resize();
        relay.raw = Raw::begin()?;
        Ok(relay)
    }

    fn between(master: OwnedFd, input: OwnedFd, output: OwnedFd) -> io::Result<Self> {
        fd::fcntl_setfl(&master, fd::fcntl_getfl(&master)? | libc::O_NONBLOCK)?;
        // The user's own terminal ends lines; a pipe should get what the program wrote.
        tty::set_termios(&master, &tty::termios(&master)?.without_onlcr())?;
        Ok(Self {
            master,
            input,
            output,
            raw: None,
            inward: Buffer::new(),
            outward: Buffer::new(),
            listening: true,
            last: b'\n',
            hung_up: false,
        })
    }

    /// Gives the container's terminal the size of the user's.
    pub(super) fn resize(&self) {
        if let Some(size) = terminal::size() {
            // The container's end may be closed for good.
            let _ = tty::set_winsize(&self.master, size);
        }
    }

    /// After we were stopped and continued.
    pub(super) fn resume(&self) {
        if let Some(raw) = &self.raw {
            raw.resume();
        }
        self.resize();
    }

    pub(super) fn wants(&self) -> Wants<'_> {
        let read = if self.outward.is_empty() { libc::POLLIN } else { 0 };
        let write = if self.inward.is_empty() { 0 } else { libc::POLLOUT };
        let master = (read | write != 0 && !self.hung_up).then(|| self.master.as_fd());
        Wants {
            master: master.map(|fd| (fd, read | write)),
            input: (self.listening && self.inward.is_empty()).then(|| self.input.as_fd()),
            output: (!self.outward.is_empty()).then(|| self.output.as_fd()),
            hung_up: self.hung_up,
        }
    }

    /// Moves what can be moved without blocking.
    pub(super) fn move_bytes(&mut self, ready: Ready) {
        if ready.input {
            self.take_input();
        }
        if ready.master {
            if !self.inward.is_empty() {
                self.give_input();
            }
            if self.outward.is_empty() {
                self.take_output();
            }
        }
        if ready.output {
            self.give_output();
        }
    }

    fn take_input(&mut self) {
        match self.inward.fill(&self.input) {
            Ok(0) => self.end_input(),
            Ok(count) => self.last = self.inward.bytes.get(count - 1).copied().unwrap_or(b'\n'),
            Err(error) if again(&error) => {}
            // The user's terminal hung up, or stdin is not readable at all.
            Err(_) => self.listening = false,
        }
    }

    /// stdin ended: type what a user would type. Only the line discipline knows ends of files; in
    /// a line already begun, the first one just sends the line.
    fn end_input(&mut self) {
        self.listening = false;
        let Ok(Some(eof)) = tty::termios(&self.master).map(|settings| settings.eof()) else {
            return;
        };
        let count = if self.last == b'\n' { 1 } else { 2 };
        self.inward.clear();
        self.inward.bytes[..count].fill(eof);
        self.inward.end = count;
    }

    fn give_input(&mut self) {
        match self.inward.flush(&self.master) {
            Err(error) if !again(&error) => self.hung_up = true,
            _ => {}
        }
    }

    fn take_output(&mut self) {
        match self.outward.fill(&self.master) {
            Ok(count) => self.hung_up = count == 0,
            Err(error) if again(&error) => self.hung_up = false,
            Err(_) => self.hung_up = true,
        }
    }

    fn give_output(&mut self) {
        match self.outward.flush(&self.output) {
            Err(error) if !again(&error) => {
                // Nobody reads stdout any more; the container must not block on it.
                self.outward.clear();
            }
            _ => {}
        }
    }

    /// The container has ended: copies out what it left in its terminal.
    ///
    /// Stops at the hang-up, when others hold the terminal open and nothing is waiting, and
    /// where `stop` can be read: the reader of our output may never come back.
    pub(super) fn drain(&mut self, stop: BorrowedFd<'_>) {
        loop {
            while !self.outward.is_empty() {
                let output = PollFd::new(self.output.as_fd(), libc::POLLOUT);
                let mut fds = [output, PollFd::new(stop, libc::POLLIN)];
                if poll(&mut fds, -1).is_err() || !fds[0].is_ready() {
                    return;
                }
                self.give_output();
            }
            // poll makes the kernel push what is still on its way through the line discipline.
            let mut readable = [PollFd::new(self.master.as_fd(), libc::POLLIN)];
            match poll(&mut readable, 0) {
                Ok(1..) if readable[0].revents() & libc::POLLIN != 0 => {}
                _ => return,
            }
            self.take_output();
            if self.hung_up {
                return;
            }
        }
    }
}

fn again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests;
