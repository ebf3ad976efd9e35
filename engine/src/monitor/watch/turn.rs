//! One turn of the monitor's loop: signals, clients, streams.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use libcontainer::state::process::ProcessId;
use libcontainer::sys::clone::{self, WaitStatus};
use libcontainer::sys::fd::{self, PollFd};
use libcontainer::sys::signal;
use libcontainer::sys::tty::{self, WinSize};
use libcontainer::verbs::parse_signal;

use super::Monitor;
use crate::container::state::Status;
use crate::format::time::Timestamp;
use crate::monitor::launch::Streams;
use crate::monitor::log::Stream;
use crate::monitor::policy::Policy;
use crate::monitor::wire::{CHUNK, Down, Up};

/// How long a terminal that nobody has open is left alone, in milliseconds.
const HUNG_UP: i32 = 100;

/// What poll found.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Output,
    Errors,
    Terminal(bool),
    Input,
    Client(usize, bool),
}

impl Monitor<'_> {
    /// One turn of the loop; who has ended.
    pub(super) fn turn(&mut self, timeout: i32) -> Option<BTreeMap<i32, WaitStatus>> {
        let timeout = if self.hung_up && timeout < 0 { HUNG_UP } else { timeout };
        let ready = self.poll(timeout);
        let mut ended = None;
        let mut gone = Vec::new();
        for (source, hup) in ready {
            match source {
                Source::Signals => ended = Some(self.take_signals()),
                Source::Listener => self.clients.accept(&self.listener),
                Source::Output => self.take(Stream::Output),
                Source::Errors => self.take(Stream::Errors),
                Source::Terminal(write) => {
                    if write {
                        self.give_input();
                    }
                    self.take(Stream::Output);
                }
                Source::Input if hup => self.streams.input = None,
                Source::Input => self.give_input(),
                Source::Client(at, write) => {
                    if write {
                        self.clients.flush(at);
                    }
                    gone.push(at);
                }
            }
        }
        for at in gone {
            self.hear(at);
        }
        if self.clients.sweep() && self.record.stdin_once {
            self.input_ends = true;
            self.give_input();
        }
        ended
    }

    fn poll(&self, timeout: i32) -> Vec<(Source, bool)> {
        let mut sources: Vec<(Source, BorrowedFd<'_>, i16)> = vec![
            (Source::Signals, self.signals.as_fd(), libc::POLLIN),
            (Source::Listener, self.listener.as_fd(), libc::POLLIN),
        ];
        let behind = self.clients.is_behind();
        let typed = !self.input.is_empty();
        let streams = &self.streams;
        for (source, stream) in
            [(Source::Output, &streams.output), (Source::Errors, &streams.errors)]
        {
            if let Some(fd) = stream.as_ref().filter(|_| !behind) {
                sources.push((source, fd.as_fd(), libc::POLLIN));
            }
        }
        if let Some(terminal) = streams.terminal.as_ref().filter(|_| !self.hung_up) {
            let read = if behind { 0 } else { libc::POLLIN };
            let write = if typed { libc::POLLOUT } else { 0 };
            if read | write != 0 {
                sources.push((Source::Terminal(typed), terminal.as_fd(), read | write));
            }
        }
        if let Some(input) = &streams.input {
            // Without bytes only the end of the program's side is of interest.
            let events = if typed { libc::POLLOUT } else { 0 };
            sources.push((Source::Input, input.as_fd(), events));
        }
        for (at, socket, waits) in self.clients.polls() {
            let read = if typed && self.clients.gives_input(at) { 0 } else { libc::POLLIN };
            let write = if waits { libc::POLLOUT } else { 0 };
            sources.push((Source::Client(at, waits), socket, read | write));
        }
        let mut fds: Vec<_> =
            sources.iter().map(|(_, fd, events)| PollFd::new(*fd, *events)).collect();
        // Fails for want of memory only; the next turn tries again.
        let _ = fd::poll(&mut fds, timeout);
        let ready = sources.iter().zip(&fds).filter(|(_, fd)| fd.is_ready());
        ready.map(|((source, ..), fd)| (*source, fd.revents() & libc::POLLERR != 0)).collect()
    }

    fn take_signals(&mut self) -> BTreeMap<i32, WaitStatus> {
        let mut ended = BTreeMap::new();
        while let Ok(Some(arrived)) = signal::read_signal(&self.signals) {
            match arrived.signal {
                libc::SIGCHLD => {
                    while let Ok(Some((pid, status))) = clone::reap_any() {
                        ended.insert(pid, status);
                    }
                }
                // The machine goes down: the program may end in its own way.
                libc::SIGTERM => {
                    self.machine_ends = true;
                    let signal = parse_signal(&self.record.stop_signal()).unwrap_or(libc::SIGTERM);
                    if let Some(Ok(Some(pidfd))) = self.state.init.as_ref().map(ProcessId::open) {
                        let _ = clone::pidfd_send_signal(&pidfd, signal);
                    }
                }
                _ => {}
            }
        }
        ended
    }

    /// Takes what the program wrote, a piece at a time; `false` at the end of the stream.
    fn take(&mut self, stream: Stream) {
        let source = match (stream, &self.streams.terminal) {
            (_, Some(terminal)) => Some(terminal),
            (Stream::Output, None) => self.streams.output.as_ref(),
            (Stream::Errors, None) => self.streams.errors.as_ref(),
        };
        let Some(source) = source else { return };
        let mut buffer = vec![0; CHUNK];
        match fd::read(source, &mut buffer) {
            Ok(0) => self.close(stream),
            Ok(length) => {
                buffer.truncate(length);
                // A full disk costs the log, not the program.
                let _ = self.log.take(stream, &buffer, Timestamp::now());
                self.clients.tell(&match stream {
                    Stream::Output => Down::Output(buffer),
                    Stream::Errors => Down::Errors(buffer),
                });
            }
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => self.hung_up = false,
            Err(_) => self.close(stream),
        }
    }

    fn close(&mut self, stream: Stream) {
        match (stream, self.streams.terminal.is_some()) {
            (_, true) => self.hung_up = true,
            (Stream::Output, false) => self.streams.output = None,
            (Stream::Errors, false) => self.streams.errors = None,
        }
    }

    /// The program has ended: takes what it left in its pipes.
    pub(super) fn drain(&mut self) {
        self.hung_up = false;
        for stream in [Stream::Output, Stream::Errors] {
            loop {
                while self.clients.is_behind() {
                    self.turn(-1);
                }
                if !self.is_readable(stream) {
                    break;
                }
                self.take(stream);
            }
        }
        let _ = self.log.finish(Timestamp::now());
        self.streams = Streams::default();
        self.input.clear();
        self.input_ends = false;
    }

    fn is_readable(&self, stream: Stream) -> bool {
        let source = match (stream, &self.streams.terminal) {
            (Stream::Output, Some(_)) if self.hung_up => None,
            (Stream::Output, Some(terminal)) => Some(terminal),
            (Stream::Errors, Some(_)) => None,
            (Stream::Output, None) => self.streams.output.as_ref(),
            (Stream::Errors, None) => self.streams.errors.as_ref(),
        };
        source.is_some_and(|source| {
            let mut fds = [PollFd::new(source.as_fd(), libc::POLLIN)];
            fd::poll(&mut fds, 0).is_ok_and(|count| count > 0)
        })
    }

    pub(super) fn hear(&mut self, at: usize) {
        match self.clients.hear(at) {
            Some(Up::Hello(_)) => {
                if self.state.status == Status::Running {
                    self.clients.answer(at, &Down::Started);
                }
            }
            Some(Up::Input(bytes)) if self.record.flags.basics.interactive => {
                self.input.extend_from_slice(&bytes);
                self.give_input();
            }
            // A terminal ends with its user's ctrl-d, not with a connection.
            Some(Up::InputEnd) if self.record.stdin_once && self.streams.terminal.is_none() => {
                self.input_ends = true;
                self.give_input();
            }
            Some(Up::Resize(rows, cols)) => self.resize(rows, cols),
            Some(Up::Stopping) => {
                self.state.stopped_by_user = true;
                self.save();
                self.clients.answer(at, &Down::Done);
            }
            Some(Up::Reread) => {
                if let Ok(record) = self.container.record()
                    && let Ok(policy) = Policy::parse(&record.flags.basics.restart)
                {
                    self.policy = policy;
                    self.state.name.clone_from(&record.name);
                    self.record = record;
                    self.save();
                }
                self.clients.answer(at, &Down::Done);
            }
            Some(Up::Input(_) | Up::InputEnd) | None => {}
        }
    }

    fn give_input(&mut self) {
        let target = self.streams.terminal.as_ref().or(self.streams.input.as_ref());
        let Some(target) = target else {
            self.input.clear();
            return;
        };
        while !self.input.is_empty() {
            match fd::write(target, &self.input) {
                Ok(length) => drop(self.input.drain(..length)),
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return,
                // The program reads no more.
                Err(_) => self.input.clear(),
            }
        }
        if self.input_ends {
            self.streams.input = None;
        }
    }

    fn resize(&mut self, rows: u16, cols: u16) {
        let size = WinSize { rows, cols };
        self.size = Some(size);
        if let Some(terminal) = &self.streams.terminal {
            let _ = tty::set_winsize(terminal, size);
        }
    }
}
