//! Stays with a program that runs in a container: bytes both ways, signals in, exit code out.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use libcontainer::sys::clone::{self, pidfd_open, pidfd_send_signal};
use libcontainer::sys::fd::{self, PollFd};
use libcontainer::sys::tty;

use crate::container::run::exit_code;
use crate::error::{Result, What};
use crate::monitor::attach::Signals;
use crate::monitor::keys::{self, Keys};
use crate::monitor::launch::{Streams, nonblocking};
use crate::monitor::terminal::{self, Raw};
use crate::monitor::wire::CHUNK;

/// How long a terminal that nobody has open is left alone, in milliseconds.
const HUNG_UP: i32 = 100;

/// How the user takes part.
#[derive(Debug)]
pub(super) struct Manner {
    /// stdin is passed on.
    pub(super) input: bool,
    /// `--detach-keys`.
    pub(super) keys: Option<String>,
}

struct Relay {
    streams: Streams,
    process: Option<OwnedFd>,
    pid: i32,
    keys: Keys,
    raw: Option<Raw>,
    listening: bool,
    hung_up: bool,
    waiting: Vec<u8>,
    left: bool,
}

/// Relays until the program has ended; its exit code.
///
/// # Errors
/// The detach keys are none; the kernel cannot wait.
pub(super) fn stay(streams: Streams, pid: i32, manner: &Manner, signals: &Signals) -> Result<u8> {
    let keys = Keys::parse(manner.keys.as_deref().unwrap_or(keys::DEFAULT))?;
    let raw = match &streams.terminal {
        Some(terminal) => {
            nonblocking(terminal)?;
            manner.input.then(Raw::begin).flatten()
        }
        None => None,
    };
    let process = pidfd_open(pid).ok();
    let mut relay = Relay {
        streams,
        process,
        pid,
        keys,
        raw,
        listening: manner.input,
        hung_up: false,
        waiting: Vec::new(),
        left: false,
    };
    relay.resize();
    let code = loop {
        if let Some(code) = relay.turn(signals)? {
            break code;
        }
        if relay.left {
            return Ok(0);
        }
    };
    relay.drain();
    Ok(code)
}

impl Relay {
    fn turn(&mut self, signals: &Signals) -> Result<Option<u8>> {
        let stdin = io::stdin();
        let closed = PollFd::new(signals.as_fd(), 0);
        let reads = |stream: &Option<OwnedFd>| stream.is_some();
        let target = self.streams.terminal.as_ref().or(self.streams.input.as_ref());
        let typed = !self.waiting.is_empty();
        let terminal = self.streams.terminal.as_ref().filter(|_| !self.hung_up);
        let output = terminal.or(self.streams.output.as_ref());
        let listen = self.listening && !typed;
        let mut fds = [
            PollFd::new(signals.as_fd(), libc::POLLIN),
            output.map_or(closed, |fd| PollFd::new(fd.as_fd(), libc::POLLIN)),
            self.streams.errors.as_ref().map_or(closed, |fd| PollFd::new(fd.as_fd(), libc::POLLIN)),
            target.filter(|_| typed).map_or(closed, |fd| PollFd::new(fd.as_fd(), libc::POLLOUT)),
            if listen { PollFd::new(stdin.as_fd(), libc::POLLIN) } else { closed },
        ];
        let patience = if self.hung_up { HUNG_UP } else { -1 };
        fd::poll(&mut fds, patience).what(|| "cannot wait for the program".into())?;
        let [signalled, output, errors, writable, readable] = fds.map(|fd| fd.is_ready());
        if output || (self.hung_up && reads(&self.streams.terminal)) {
            self.take_output();
        }
        if errors {
            let errors = self.streams.errors.take();
            self.streams.errors = errors.filter(|from| copy(from, &mut io::stderr().lock()));
        }
        if readable {
            self.type_in();
        }
        if writable {
            self.give();
        }
        Ok(if signalled { self.signals(signals) } else { None })
    }

    /// Takes all signals; the exit code when the program has ended.
    fn signals(&mut self, signals: &Signals) -> Option<u8> {
        let mut ended = None;
        while let Some(number) = signals.next() {
            match number {
                libc::SIGCHLD => {
                    while let Ok(Some((pid, status))) = clone::reap_any() {
                        if pid == self.pid {
                            ended = Some(exit_code(status.code()));
                        }
                    }
                }
                libc::SIGWINCH => self.resize(),
                number => {
                    if let Some(raw) = self.raw.as_ref().filter(|_| number == libc::SIGCONT) {
                        raw.resume();
                    }
                    if let Some(process) = &self.process {
                        // It may just have ended; SIGCHLD tells.
                        let _ = pidfd_send_signal(process, number);
                    }
                }
            }
        }
        ended
    }

    fn take_output(&mut self) {
        let mut to = io::stdout().lock();
        if let Some(terminal) = &self.streams.terminal {
            self.hung_up = !copy(terminal, &mut to);
        } else if let Some(output) = self.streams.output.take() {
            self.streams.output = Some(output).filter(|from| copy(from, &mut to));
        }
    }

    fn type_in(&mut self) {
        let mut buffer = vec![0; CHUNK];
        let length = match fd::read(io::stdin().as_fd(), &mut buffer) {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return,
            read => read.unwrap_or(0),
        };
        if length == 0 {
            self.listening = false;
            self.streams.input = None;
            return;
        }
        buffer.truncate(length);
        let (typed, leave) = match self.streams.terminal {
            Some(_) => self.keys.filter(&buffer),
            None => (buffer, false),
        };
        self.left = leave;
        self.waiting = typed;
        self.give();
    }

    fn give(&mut self) {
        let target = self.streams.terminal.as_ref().or(self.streams.input.as_ref());
        let Some(target) = target else { return self.waiting.clear() };
        while !self.waiting.is_empty() {
            match fd::write(target, &self.waiting) {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return,
                // The program reads no more.
                Err(_) => {
                    self.waiting.clear();
                    self.listening = false;
                }
            }
        }
    }

    fn resize(&self) {
        if let (Some(terminal), Some(size)) = (&self.streams.terminal, terminal::size()) {
            let _ = tty::set_winsize(terminal, size);
        }
    }

    /// The program has ended: takes what it left. Others may hold its pipes: nothing is waited
    /// for.
    fn drain(&mut self) {
        loop {
            let out = self.streams.terminal.as_ref().or(self.streams.output.as_ref());
            let (out, errors) = (readable(out), readable(self.streams.errors.as_ref()));
            if out {
                self.take_output();
            }
            if errors {
                let errors = self.streams.errors.take();
                self.streams.errors = errors.filter(|from| copy(from, &mut io::stderr().lock()));
            }
            if self.hung_up || !(out || errors) {
                return;
            }
        }
    }
}

fn readable(from: Option<&OwnedFd>) -> bool {
    from.is_some_and(|from| {
        let mut fds = [PollFd::new(from.as_fd(), libc::POLLIN)];
        fd::poll(&mut fds, 0).is_ok_and(|count| count > 0)
    })
}

/// Moves what there is; `false` at the end of the stream.
fn copy(from: &OwnedFd, to: &mut impl Write) -> bool {
    let mut buffer = vec![0; CHUNK];
    match fd::read(from, &mut buffer) {
        Ok(0) => false,
        Ok(length) => {
            // Who does not read any more does not miss anything.
            let _ =
                to.write_all(buffer.get(..length).unwrap_or_default()).and_then(|()| to.flush());
            true
        }
        Err(error) => error.raw_os_error() == Some(libc::EAGAIN),
    }
}
