//! The user's side of a container's streams: stdin, output, signals, detaching.
//!
//! One thread, one poll loop, as on the monitor's side. This process may be killed at any moment:
//! the monitor goes on, and another client may come.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};

use libcontainer::sys::clone::pidfd_send_signal;
use libcontainer::sys::fd::{self, PollFd};
use libcontainer::sys::signal::{self, SigSet};

use super::keys::{self, Keys};
use super::terminal::{self, Raw};
use super::wire::{CHUNK, Connection, Down, Up, Wants};
use crate::container::Container;
use crate::error::{Error, Result, What};

/// How a client takes part.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Streams.
    pub wants: Wants,
    /// The container has a terminal.
    pub tty: bool,
    /// Signals are the program's.
    pub proxy: bool,
    /// `--detach-keys`; Docker's without.
    pub keys: Option<String>,
}

/// How it ended.
#[derive(Debug)]
pub enum Outcome {
    /// The program's exit code.
    Ended(i32),
    /// The user has left; the program goes on.
    Detached,
}

/// Never the program's: faults of ours, and stopping us as a background job.
const OURS: [i32; 10] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGPIPE,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGCHLD,
];

/// Signals that arrive as data from here on; before the program runs, so that none gets lost.
#[derive(Debug)]
pub struct Signals {
    file: OwnedFd,
    before: SigSet,
}

impl Signals {
    /// Blocks them; with `proxy` all that can be the program's, else the terminal's size alone.
    ///
    /// # Errors
    /// Too many descriptors are open.
    pub fn begin(proxy: bool) -> Result<Self> {
        let what = || "cannot watch for signals".into();
        let all = SigSet(SigSet::ALL.0 & !SigSet::of(&OURS).0);
        let set = if proxy { all } else { SigSet::of(&[libc::SIGWINCH]) };
        let before = signal::set_mask(set).what(what)?;
        Ok(Self { file: signal::signalfd(set).what(what)?, before })
    }
}

impl Signals {
    /// As [`Signals::begin`], and the end of children is told too.
    ///
    /// # Errors
    /// As [`Signals::begin`].
    pub fn with_children() -> Result<Self> {
        let what = || "cannot watch for signals".into();
        let ours = OURS.iter().copied().filter(|number| *number != libc::SIGCHLD);
        let ours: Vec<i32> = ours.collect();
        let set = SigSet(SigSet::ALL.0 & !SigSet::of(&ours).0);
        let before = signal::set_mask(set).what(what)?;
        Ok(Self { file: signal::signalfd(set).what(what)?, before })
    }

    /// The number of a signal that has arrived.
    pub fn next(&self) -> Option<i32> {
        signal::read_signal(&self.file).ok().flatten().map(|arrived| arrived.signal)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = signal::restore(self.before);
    }
}

/// A program with a terminal wants one to be typed at.
///
/// # Errors
/// Docker's words when stdin is none.
pub fn check_terminal(tty: bool, input: bool) -> Result<()> {
    if tty && input && !io::stdin().is_terminal() {
        return Err(Error::new("the input device is not a TTY").fix("leave -t out"));
    }
    Ok(())
}

/// Relays until the program ends or the user leaves. A connection whose start failed gives the
/// reason.
///
/// # Errors
/// The start failed; the monitor was killed.
pub fn relay(
    container: &Container,
    connection: &Connection,
    manner: &Manner,
    signals: &Signals,
) -> Result<Outcome> {
    let keys = Keys::parse(manner.keys.as_deref().unwrap_or(keys::DEFAULT))?;
    let raw = if manner.tty && manner.wants.input { Raw::begin() } else { None };
    let mut client = Client {
        container,
        connection,
        manner,
        keys,
        raw,
        listening: manner.wants.input,
        init: None,
        early: Vec::new(),
    };
    client.resize();
    client.run(signals)
}

struct Client<'a> {
    container: &'a Container,
    connection: &'a Connection,
    manner: &'a Manner,
    keys: Keys,
    raw: Option<Raw>,
    listening: bool,
    /// The first process, once it runs.
    init: Option<OwnedFd>,
    /// Signals that came before it.
    early: Vec<i32>,
}

impl Client<'_> {
    fn run(&mut self, signals: &Signals) -> Result<Outcome> {
        let stdin = io::stdin();
        loop {
            let mut fds = vec![
                PollFd::new(self.connection.as_fd(), libc::POLLIN),
                PollFd::new(signals.file.as_fd(), libc::POLLIN),
            ];
            if self.listening {
                fds.push(PollFd::new(stdin.as_fd(), libc::POLLIN));
            }
            fd::poll(&mut fds, -1).what(|| "cannot wait for the container".into())?;
            let ready: Vec<bool> = fds.iter().map(PollFd::is_ready).collect();
            if ready.get(1) == Some(&true) {
                self.signals(signals);
            }
            if ready.get(2) == Some(&true) && self.type_in()? {
                return Ok(Outcome::Detached);
            }
            if ready.first() == Some(&true)
                && let Some(outcome) = self.hear()?
            {
                return Ok(outcome);
            }
        }
    }

    fn hear(&mut self) -> Result<Option<Outcome>> {
        match self.connection.hear()? {
            Some(Down::Output(bytes)) => write(io::stdout().lock(), &bytes),
            Some(Down::Errors(bytes)) => write(io::stderr().lock(), &bytes),
            Some(Down::Started) => self.started(),
            Some(Down::Done) => {}
            Some(Down::Failed(failure)) => return Err(failure.into()),
            Some(Down::Ended(code)) => return Ok(Some(Outcome::Ended(code))),
            None => {
                return Err(Error::new("the container's monitor ended without a word")
                    .why("it was killed")
                    .code(crate::error::ENGINE));
            }
        }
        Ok(None)
    }

    fn started(&mut self) {
        let state = self.container.recorded_state().ok();
        self.init = state.and_then(|state| state.init?.open().ok()?);
        for number in std::mem::take(&mut self.early) {
            self.send(number);
        }
        self.resize();
    }

    fn signals(&mut self, signals: &Signals) {
        while let Ok(Some(arrived)) = signal::read_signal(&signals.file) {
            match arrived.signal {
                libc::SIGWINCH => self.resize(),
                libc::SIGCONT => {
                    if let Some(raw) = &self.raw {
                        raw.resume();
                    }
                    self.resize();
                }
                number => self.send(number),
            }
        }
    }

    fn send(&mut self, number: i32) {
        match &self.init {
            // It may just have ended; the monitor tells.
            Some(init) => drop(pidfd_send_signal(init, number)),
            None => self.early.push(number),
        }
    }

    fn resize(&self) {
        if let Some(size) = terminal::size().filter(|_| self.manner.tty) {
            // A monitor that has gone is seen by `hear`.
            let _ = self.connection.say(&Up::Resize(size.rows, size.cols));
        }
    }

    /// Passes on what is typed; whether the user leaves.
    fn type_in(&mut self) -> Result<bool> {
        let mut buffer = vec![0; CHUNK];
        let length = match fd::read(io::stdin().as_fd(), &mut buffer) {
            Ok(length) => length,
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return Ok(false),
            // A terminal that hung up.
            Err(_) => 0,
        };
        if length == 0 {
            self.listening = false;
            let _ = self.connection.say(&Up::InputEnd);
            return Ok(false);
        }
        buffer.truncate(length);
        let (typed, leave) = match self.manner.tty {
            true => self.keys.filter(&buffer),
            false => (buffer, false),
        };
        if !typed.is_empty() && self.connection.say(&Up::Input(typed)).is_err() {
            self.listening = false;
        }
        Ok(leave)
    }
}

/// Who does not read any more does not miss anything; the program goes on.
fn write(mut to: impl Write, bytes: &[u8]) {
    let _ = to.write_all(bytes).and_then(|()| to.flush());
}
