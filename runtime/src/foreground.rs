//! Stands between the caller and the container while `run` waits: signals in, exit code out,
//! orphans reaped, terminal bytes both ways.
//!
//! One thread, one poll loop. Signals are blocked before the container is made, so that none is
//! lost or kills us in between; they arrive as data. Bytes are only moved where poll(2) says that
//! it will not block: a stalled reader of stdout must not stop signals.

mod relay;
mod terminal;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libcontainer::notify::Proxy;
use libcontainer::sys::clone::{self, WaitStatus, pidfd_send_signal};
use libcontainer::sys::cred::set_subreaper;
use libcontainer::sys::fd::{PollFd, poll};
use libcontainer::sys::signal::{self, SigSet};
use libcontainer::{At, Result, Step};

use crate::output::{Level, Log};
use relay::Relay;

/// Never forwarded. Faults of our own must end us; `SIGTTIN` and `SIGTTOU` must stop us as a
/// shell's background job; `SIGPIPE` is an error of a write here.
const OURS: [i32; 9] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGPIPE,
];

/// After the container's end these mean us.
const ENDS: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// While poll reports a hang-up of a terminal without end, look again after this many ms: the
/// container may open its terminal anew (getty does).
const HUNG_UP: i32 = 100;

/// The container's first process, our child.
pub(crate) struct Init<'a> {
    pub(crate) pid: i32,
    pub(crate) pidfd: BorrowedFd<'a>,
}

/// Signals held back for the container.
pub(crate) struct Foreground {
    signals: OwnedFd,
    mask: SigSet,
    relay: Option<Relay>,
    proxy: Option<Proxy>,
}

impl Foreground {
    /// Takes hold of all signals; with `subreaper`, orphans of the container become ours.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub(crate) fn begin(subreaper: bool) -> Result<Self> {
        let held = SigSet(SigSet::ALL.0 & !SigSet::of(&OURS).0);
        let mask = signal::set_mask(held).at(Step::Wait, || "signals")?;
        let signals = signal::signalfd(held).at(Step::Wait, || "signals")?;
        if subreaper {
            set_subreaper(true).at(Step::Wait, || "subreaper")?;
        }
        Ok(Self { signals, mask, relay: None, proxy: None })
    }

    /// Connects the container's terminal, whose master this is, to our stdio. Before the start:
    /// the program may ask for the terminal's size at once.
    ///
    /// # Errors
    /// The user's terminal is gone.
    pub(crate) fn attach(&mut self, master: OwnedFd) -> Result<()> {
        self.relay = Some(Relay::new(master).at(Step::Console, || "foreground")?);
        Ok(())
    }

    /// Passes the container's readiness on while waiting.
    pub(crate) fn watch(&mut self, proxy: Option<Proxy>) {
        self.proxy = proxy;
    }

    /// Waits until init has ended; returns its exit code, or 128 plus the signal that ended it.
    /// What the container wrote to its terminal has then been copied out.
    ///
    /// # Errors
    /// The kernel refuses to wait.
    pub(crate) fn wait(&mut self, init: &Init<'_>, log: &Log) -> Result<u8> {
        loop {
            let ready = self.poll().at(Step::Wait, || "poll")?;
            if let Some(relay) = self.relay.as_mut() {
                relay.move_bytes(ready);
            }
            if ready.proxy {
                self.pass_readiness(log);
            }
            if !ready.signals {
                continue;
            }
            let ended = self.signals(init, log).at(Step::Wait, || "signals")?;
            if let Some(status) = ended {
                if let Some(relay) = self.relay.as_mut() {
                    let ends = signal::signalfd(SigSet::of(&ENDS)).at(Step::Wait, || "signals")?;
                    relay.drain(ends.as_fd());
                }
                log.say(Level::Debug, &format!("container's first process ended: {status:?}"));
                return Ok(exit_code(status));
            }
        }
    }

    /// Waits until there is something to do.
    fn poll(&self) -> io::Result<Ready> {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), libc::POLLIN)];
        let proxy = self.proxy.as_ref().map(Proxy::as_fd);
        fds.extend(proxy.map(|fd| PollFd::new(fd, libc::POLLIN)));
        let wants = self.relay.as_ref().map(Relay::wants);
        fds.extend(wants.iter().flat_map(relay::Wants::polls));
        let hung_up = wants.as_ref().is_some_and(|wants| wants.hung_up);
        poll(&mut fds, if hung_up { HUNG_UP } else { -1 })?;
        let mut results = fds.iter().map(PollFd::is_ready);
        let mut next = |asked: bool| asked && results.next().unwrap_or(false);
        let (signals, proxy) = (next(true), next(proxy.is_some()));
        let asked = wants.unwrap_or_default();
        Ok(Ready {
            signals,
            proxy,
            master: next(asked.master.is_some()) || hung_up,
            input: next(asked.input.is_some()),
            output: next(asked.output.is_some()),
        })
    }

    /// The manager watches us, and we watch the container.
    fn pass_readiness(&mut self, log: &Log) {
        let passed = self.proxy.as_mut().map(|proxy| proxy.forward(clone::getpid()));
        if let Some(Err(error)) = passed {
            log.say(Level::Warning, &error.to_string());
            self.proxy = None;
        }
    }

    /// Takes all signals that have arrived; returns how init ended, when it has.
    fn signals(&self, init: &Init<'_>, log: &Log) -> io::Result<Option<WaitStatus>> {
        let mut ended = None;
        while let Some(arrived) = signal::read_signal(&self.signals)? {
            match (arrived.signal, &self.relay) {
                (libc::SIGCHLD, _) => ended = ended.or(reap(init.pid)?),
                // The kernel tells the container when its own terminal changes.
                (libc::SIGWINCH, Some(relay)) => relay.resize(),
                (number, relay) => {
                    if let Some(relay) = relay.as_ref().filter(|_| number == libc::SIGCONT) {
                        relay.resume();
                    }
                    forward(init, number, log);
                }
            }
        }
        Ok(ended)
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        // Only the exit follows; a mask that stays changed harms nobody.
        let _ = signal::restore(self.mask);
    }
}

/// What poll found.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    signals: bool,
    proxy: bool,
    master: bool,
    input: bool,
    output: bool,
}

fn forward(init: &Init<'_>, number: i32, log: &Log) {
    if log.wants(Level::Debug) {
        log.say(Level::Debug, &format!("forwarding signal {number} to {}", init.pid));
    }
    // It may just have ended; SIGCHLD tells.
    if let Err(error) = pidfd_send_signal(init.pidfd, number) {
        log.say(Level::Debug, &format!("signal {number} not delivered: {error}"));
    }
}

/// Reaps every ended child; returns how init ended, when it is among them.
fn reap(init: i32) -> io::Result<Option<WaitStatus>> {
    let mut ended = None;
    loop {
        match clone::reap_any() {
            Ok(Some((pid, status))) if pid == init => ended = Some(status),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(ended),
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(ended),
            Err(error) => return Err(error),
        }
    }
}

/// Exit codes and signal numbers fit: the kernel keeps 8 and 7 bits of them.
fn exit_code(status: WaitStatus) -> u8 {
    u8::try_from(status.code() & 0xff).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(exit_code(WaitStatus::Exited(0)), 0);
        assert_eq!(exit_code(WaitStatus::Exited(255)), 255);
        assert_eq!(exit_code(WaitStatus::Signaled(libc::SIGKILL)), 137);
        // SIGRTMIN+3, which ends systemd.
        assert_eq!(exit_code(WaitStatus::Signaled(37)), 165);
    }

    #[test]
    fn faults_and_job_control_stay_ours() {
        let held = SigSet(SigSet::ALL.0 & !SigSet::of(&OURS).0);
        for ours in [libc::SIGSEGV, libc::SIGTTIN, libc::SIGTTOU, libc::SIGPIPE] {
            assert!(!held.has(ours), "{ours}");
        }
        for theirs in [libc::SIGTERM, libc::SIGTSTP, libc::SIGCHLD, libc::SIGWINCH, 34, 64] {
            assert!(held.has(theirs), "{theirs}");
        }
    }
}
