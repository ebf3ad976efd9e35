//! `kill`: a signal for init, or for every process of the container (runtime.md, "Kill").

use std::str::FromStr;

use nix::sys::signal::Signal;

use crate::cgroup::Cgroup;
use crate::error::{At, Error, Result, Step};
use crate::state::{State, Store};
use crate::sys::clone;

/// The first real-time signal that a program may use: glibc keeps two for itself (signal(7)).
const REALTIME_FIRST: i32 = 34;
/// The last one.
const REALTIME_LAST: i32 = 64;

/// Sends `signal` to init of container `id`; to every process of its cgroup with `all`, even when
/// init is gone.
///
/// SIGKILL of a container that shares its pid namespace goes to every process, since the kernel
/// would end only init; and it thaws a paused one, which could not die otherwise. `all` never
/// fails for want of processes: callers clean up with it.
///
/// # Errors
/// `container not running`; `EPERM`, `EINVAL` for an unknown signal number.
pub fn kill(store: &Store, id: &str, signal: i32, all: bool) -> Result<()> {
    let state = store.load(id)?;
    let everyone = all || (signal == libc::SIGKILL && !state.own_pid_namespace);
    let sent = if everyone { signal_all(&state, signal)? } else { signal_init(&state, signal)? };
    if sent || all { Ok(()) } else { Err(not_running()) }
}

fn not_running() -> Error {
    Error::rule(Step::Kill, "", "container not running")
}

/// Signals init; `false` when it is gone.
pub(super) fn signal_init(state: &State, signal: i32) -> Result<bool> {
    let Some(pidfd) = state.init.open().at(Step::Kill, || &state.id)? else { return Ok(false) };
    match clone::pidfd_send_signal(&pidfd, signal) {
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
        sent => sent.at(Step::Kill, || &state.id)?,
    }
    if signal == libc::SIGKILL
        && let Some(record) = &state.cgroup
    {
        Cgroup::open(record).thaw_killed()?;
    }
    Ok(true)
}

/// Signals every process of the container; `false` when there was none.
pub(super) fn signal_all(state: &State, signal: i32) -> Result<bool> {
    let cgroup = state.cgroup.as_ref().map(Cgroup::open).filter(|cgroup| !cgroup.is_none());
    let Some(cgroup) = cgroup else { return signal_init(state, signal) };
    let init = state.init.is_alive();
    match cgroup.kill(signal) {
        // Init lives but not in its cgroup: somebody has moved it.
        Ok(false) if init => signal_init(state, signal),
        // Without rights over the cgroup (rootless) init at least is ours.
        Err(error) if init => signal_init(state, signal).map_err(|_| error),
        sent => sent,
    }
}

/// Reads a signal: a number, or a name with or without `SIG` in any case, also `RTMIN+n` and
/// `RTMAX-n`.
///
/// # Errors
/// `unknown signal "X"`.
pub fn parse_signal(text: &str) -> Result<i32> {
    let unknown = || {
        Error::rule(Step::Kill, "", format!("unknown signal {text:?}"))
            .hint("use a number from 0 to 64 or a name such as TERM or SIGTERM")
    };
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let number = text.parse().ok().filter(|number| (0..=REALTIME_LAST).contains(number));
        return number.ok_or_else(unknown);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    named(name).or_else(|| realtime(name)).ok_or_else(unknown)
}

fn named(name: &str) -> Option<i32> {
    let name = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    Signal::from_str(&format!("SIG{name}")).ok().map(|signal| signal as i32)
}

fn realtime(name: &str) -> Option<i32> {
    let (base, sign, rest) = match name.strip_prefix("RTMIN") {
        Some(rest) => (REALTIME_FIRST, '+', rest),
        None => (REALTIME_LAST, '-', name.strip_prefix("RTMAX")?),
    };
    let digits = rest.strip_prefix(sign).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let offset: i32 = match digits {
        None if rest.is_empty() => 0,
        digits => digits?.parse::<u8>().ok()?.into(),
    };
    let signal = if sign == '+' { base + offset } else { base - offset };
    (REALTIME_FIRST..=REALTIME_LAST).contains(&signal).then_some(signal)
}
