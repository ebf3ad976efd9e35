//! The parent's side of the ladder: the init process, what it says, what it is told.

use std::os::fd::{AsFd, OwnedFd};

use crate::create::protocol::{Go, LEN, Said};
use crate::create::{filter, report};
use crate::error::{At, Error, Result, Step};
use crate::plan::Plan;
use crate::sys::clone::{self, Child, WaitStatus};
use crate::sys::fd::{self, PollFd};

/// How long init may take for one rung, in milliseconds: far more than any mount needs, far less
/// than for ever. Hooks inside the container have deadlines of their own and are not counted.
const PATIENCE_MS: i32 = 120_000;

/// Init, or the bridge before it.
#[derive(Debug)]
pub struct InitProcess {
    child: Option<Child>,
    sync: OwnedFd,
    console: Option<OwnedFd>,
    patience: i32,
    released: bool,
    /// For messages: what it is, and until when it is not finished.
    who: &'static str,
    before: &'static str,
}

impl Drop for InitProcess {
    /// A container that was not finished has no init.
    fn drop(&mut self) {
        self.end();
    }
}

impl InitProcess {
    /// Nobody yet; `sync` is our end of the socket pair.
    pub fn new(sync: OwnedFd, plan: &Plan) -> Self {
        let patience = if plan.hooks.runs_inside() { -1 } else { PATIENCE_MS };
        let (who, before) = ("init", "during container init");
        Self { child: None, sync, console: None, patience, released: false, who, before }
    }

    /// A process that joins a container; `patient` when that may be frozen and make us wait.
    #[must_use]
    pub fn joining(mut self, patient: bool) -> Self {
        (self.who, self.before) = ("process", "before its program ran");
        if patient {
            self.patience = -1;
        }
        self
    }

    /// This process is meant from here on; returns the one before.
    pub fn adopt(&mut self, child: Child) -> Option<Child> {
        self.child.replace(child)
    }

    /// Kills and reaps it, unless it was released.
    pub fn end(&mut self) {
        if let Some(child) = self.child.as_ref().filter(|_| !self.released) {
            // Both fail only when it has ended and was waited for.
            let _gone = clone::pidfd_send_signal(&child.pidfd, libc::SIGKILL)
                .and_then(|()| clone::wait_pidfd(&child.pidfd).map(drop));
        }
        self.released = true;
    }

    /// The container is finished: init outlives this value.
    pub fn release(&mut self) {
        self.released = true;
    }

    /// Its pid in our pid namespace; 0 before there is one.
    pub fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, |child| child.pid)
    }

    /// Its pidfd.
    pub fn child(&self) -> Option<&Child> {
        self.child.as_ref()
    }

    /// The pty master that came up the socket.
    pub fn take_console(&mut self) -> Option<OwnedFd> {
        self.console.take()
    }

    /// Tells init.
    ///
    /// # Errors
    /// Init is gone; what it said last is the better error, see [`InitProcess::next`].
    pub fn tell(&self, go: Go) -> Result<()> {
        fd::send_with_fd(&self.sync, &[go as u8], None).map(drop).at(Step::Clone, || "init")
    }

    /// Waits for one message; a pty master on the way is kept.
    ///
    /// # Errors
    /// Init's own failure in words, its death, or no word within the deadline.
    pub fn next(&mut self, plan: &Plan) -> Result<Said> {
        loop {
            match self.receive()? {
                Some((Said::Console, master)) => self.console = master,
                Some((Said::Listener(number), _)) => self.hand_over(plan, number)?,
                Some((Said::Failed(failure, detail), _)) => {
                    return Err(report::words(plan, failure, &detail));
                }
                Some((said, _)) => return Ok(said),
                None => return Err(self.epitaph()),
            }
        }
    }

    /// Waits for `want`.
    ///
    /// # Errors
    /// As [`InitProcess::next`], or another message.
    pub fn expect(&mut self, want: Said, plan: &Plan) -> Result<()> {
        let said = self.next(plan)?;
        if said == want { Ok(()) } else { Err(self.confused(said)) }
    }

    /// Waits for the end of file that means: the program runs.
    ///
    /// # Errors
    /// The failure of the execve or of a step after the gate.
    pub fn expect_exec(&mut self, plan: &Plan) -> Result<()> {
        match self.receive()? {
            None => Ok(()),
            Some((Said::Failed(failure, detail), _)) => Err(report::words(plan, failure, &detail)),
            Some((said, _)) => Err(self.confused(said)),
        }
    }

    fn hand_over(&self, plan: &Plan, number: i32) -> Result<()> {
        match &self.child {
            Some(child) => filter::hand_over(plan, child, number),
            None => Err(self.confused(Said::Listener(number))),
        }
    }

    /// A message that does not belong on this rung.
    pub fn confused(&self, said: Said) -> Error {
        Error::rule(Step::Clone, "init", format!("unexpected message {said:?}"))
    }

    fn receive(&self) -> Result<Option<(Said, Option<OwnedFd>)>> {
        let mut ready = [PollFd::new(self.sync.as_fd(), libc::POLLIN)];
        if fd::poll(&mut ready, self.patience).at(Step::Wait, || "init")? == 0 {
            let seconds = self.patience / 1000;
            let why =
                format!("no progress for {seconds} seconds: a mount or lock of the host hangs");
            return Err(Error::rule(Step::Wait, "init", why)
                .hint("look at /proc/PID/stack and the mounts' servers"));
        }
        let mut packet = [0; LEN];
        let received = match fd::recv_with_fd(&self.sync, &mut packet) {
            // It died with our word unread: not the end that tells that the program runs.
            Err(e) if e.raw_os_error() == Some(libc::ECONNRESET) => return Err(self.epitaph()),
            received => received,
        };
        let (len, with) = received.at(Step::Wait, || "init")?;
        if len == 0 {
            return Ok(None);
        }
        match Said::decode(&packet[..len]) {
            Some(said) => Ok(Some((said, with))),
            None => Err(Error::rule(Step::Wait, "init", "sent a packet that is none of ours")),
        }
    }

    /// Why init fell silent.
    fn epitaph(&self) -> Error {
        let (who, before) = (self.who, self.before);
        let status = self.child.as_ref().map(|child| clone::wait_pidfd(&child.pidfd));
        match status {
            Some(Ok(WaitStatus::Signaled(libc::SIGKILL))) => {
                Error::rule(Step::Clone, who, format!("was killed {before}"))
                    .hint("most likely the memory limit is too low for it, or someone killed it")
            }
            Some(Ok(WaitStatus::Signaled(signal))) => {
                Error::rule(Step::Clone, who, format!("died from signal {signal}"))
            }
            _ => Error::rule(Step::Clone, who, "ended before the container was ready"),
        }
    }
}
