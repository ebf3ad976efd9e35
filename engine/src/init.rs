//! The first process of a container with `--init`: this same program under the name
//! `docker-init`, bind-mounted read-only into the container.
//!
//! It starts the program, hands signals on, reaps orphans, and ends as the program ends.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitCode};

use libcontainer::sys::clone::{kill, reap_any};
use libcontainer::sys::fd::{PollFd, poll};
use libcontainer::sys::signal::{self, Arrived, SigSet};

use crate::error::{ENGINE, NOT_EXECUTABLE, NOT_FOUND};

/// What a terminal sends to all of its foreground group: the program has it already.
const OF_TERMINAL: [i32; 4] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP, libc::SIGWINCH];

/// Whether this program was started under that name.
pub fn is_asked(argv: &[OsString]) -> bool {
    let name = argv.first().and_then(|name| Path::new(name).file_name());
    name.is_some_and(|name| name == "docker-init")
}

/// Runs `docker-init -- PROGRAM ARGUMENT…`.
pub fn main(argv: Vec<OsString>) -> ExitCode {
    let mut words = argv.into_iter().skip(1).skip_while(|word| word == "--");
    let Some(program) = words.next() else { return ExitCode::from(NOT_FOUND) };
    match run(&program, words) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let words = crate::error::plain(&error);
            let _ = writeln!(io::stderr(), "docker-init: {}: {words}", program.display());
            ExitCode::from(match error.kind() {
                ErrorKind::NotFound => NOT_FOUND,
                ErrorKind::PermissionDenied | ErrorKind::IsADirectory => NOT_EXECUTABLE,
                _ => ENGINE,
            })
        }
    }
}

fn run(program: &OsString, args: impl Iterator<Item = OsString>) -> io::Result<u8> {
    // The program inherits what is blocked: nothing may be yet.
    let child = Command::new(program).args(args).spawn()?;
    signal::block_all()?;
    let signals = signal::signalfd(SigSet::ALL)?;
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let terminal = io::stdin().is_terminal();
    // It may have ended before anybody was told.
    let mut patience = 0;
    loop {
        poll(&mut [PollFd::new(signals.as_fd(), libc::POLLIN)], patience)?;
        if patience == 0 {
            patience = -1;
            if let Some(code) = reap(pid) {
                return Ok(code);
            }
        }
        while let Some(arrived) = signal::read_signal(&signals)? {
            if arrived.signal != libc::SIGCHLD {
                if !(terminal && is_everybodys(arrived)) {
                    // It may just have ended; SIGCHLD tells.
                    let _ = kill(pid, arrived.signal);
                }
                continue;
            }
            if let Some(code) = reap(pid) {
                return Ok(code);
            }
        }
    }
}

/// Reaps everybody who has ended; the exit code when the program is among them.
fn reap(pid: i32) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((ended, status))) = reap_any() {
        if ended == pid {
            code = Some(crate::container::run::exit_code(status.code()));
        }
    }
    code
}

/// The kernel sent it, to the group.
fn is_everybodys(arrived: Arrived) -> bool {
    arrived.pid == 0 && OF_TERMINAL.contains(&arrived.signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        let asked = |name: &str| is_asked(&[name.into(), "--".into()]);
        assert!(asked("/sbin/docker-init") && asked("docker-init"));
        assert!(!asked("/usr/bin/pier") && !is_asked(&[]));
    }
}
