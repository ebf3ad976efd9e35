//! Init's side of the sync socket and of the start gate.
//!
//! Only read(2) and write(2), and sendmsg(2) where a descriptor goes along: a system call filter
//! that is already loaded should not be in the way.

use std::os::fd::BorrowedFd;

use crate::create::init::{Init, Outcome, fail};
use crate::create::kit::{Gate, Kit};
use crate::create::protocol::{Go, Said};
use crate::create::report::Failure;
use crate::error::Step;
use crate::state;
use crate::sys::{clone, fd, signal};

/// Tells the parent, or `start` once the fifo was passed. Nobody may be there any more: then
/// there is nobody to tell either.
pub fn say(kit: &Kit, said: &Said, with: Option<BorrowedFd<'_>>) {
    let packet = said.encode();
    let _sent = match &kit.gate {
        Gate::Fifo { passed: true, result, .. } => fd::write_all(result, &packet),
        _ if with.is_some() => fd::send_with_fd(&kit.sync, &packet, with).map(drop),
        _ => fd::write_all(&kit.sync, &packet),
    };
}

/// Waits for `go`. When the parent is gone, so are we: it cleans up or is dead.
pub fn hear(kit: &Kit, go: Go) -> Outcome {
    let mut byte = [0];
    match fd::read(&kit.sync, &mut byte) {
        Ok(1) if byte[0] == go as u8 => Ok(()),
        Ok(0) => clone::exit(1),
        Ok(_) => Err(Failure::new(Step::Clone, u32::from(byte[0]), libc::EPROTO)),
        Err(e) => fail(Step::Clone, 0, &e),
    }
}

/// The step that makes a container `created`: everything is done but the execve.
pub fn wait(init: &mut Init<'_>) -> Outcome {
    // A created container ends on these, as with runc: the kernel alone would drop them for an
    // init that has no handlers.
    signal::end_on(&[libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM])
        .or_else(|e| fail(Step::Start, 0, &e))?;
    say(init.kit, &Said::Ready, None);
    match &mut init.kit.gate {
        Gate::Sync => hear(init.kit, Go::Start),
        Gate::Fifo { start, passed, .. } => {
            let mut byte = [0];
            fd::read(&*start, &mut byte).map(drop).or_else(|e| fail(Step::Start, 0, &e))?;
            if byte[0] != state::gate::GO {
                // `delete --force` of a container that was never published.
                clone::exit(1);
            }
            *passed = true;
            Ok(())
        }
    }
}
