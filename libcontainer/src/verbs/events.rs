//! `events`: statistics of a container, once or again and again, and word of kills for lack of
//! memory.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::cgroup::stats::{NetworkInterface, Stats};
use crate::cgroup::{Cgroup, OomWatch};
use crate::error::{At, Error, Result, Step, errno_words};
use crate::state::{State, Status, Store, process};
use crate::sys::clone;
use crate::sys::fd::{self, PollFd};

/// What is told of a container.
#[derive(Debug)]
pub enum Event {
    /// Its numbers, after each interval.
    Stats(Box<Stats>),
    /// A process was killed for lack of memory.
    Oom,
    /// Something cannot be told; the rest goes on.
    Warning(String),
}

/// The numbers of container `id` now.
///
/// # Errors
/// `container with id ID is not running`, `container does not exist`; it has no cgroup, or that
/// cannot be read.
pub fn stats(store: &Store, id: &str) -> Result<Stats> {
    of(&running(store, id)?)
}

/// Tells of container `id` until it ends: its numbers each `interval`, kills as they happen.
///
/// # Errors
/// As [`stats`]; the first one of `tell`, which ends it.
pub fn events(
    store: &Store,
    id: &str,
    interval: Duration,
    mut tell: impl FnMut(Event) -> Result<()>,
) -> Result<()> {
    let state = running(store, id)?;
    let Some(init) = state.init.open().at(Step::Events, || id)? else {
        return Err(not_running(id));
    };
    let mut watch = state.cgroup.as_ref().map(Cgroup::open).map_or(Ok(None), |c| c.watch_oom())?;
    if watch.is_none() {
        let words = "memory controller missing: kills for lack of memory are not told";
        tell(Event::Warning(words.to_owned()))?;
    }
    let mut next = Instant::now() + interval;
    loop {
        let ready = wait(&init, watch.as_ref(), next)?;
        if ready.oom {
            match watch.as_mut().map_or(Ok(None), OomWatch::woken) {
                Ok(Some(true)) => tell(Event::Oom)?,
                Ok(Some(false)) => {}
                Ok(None) => watch = None,
                Err(error) => {
                    watch = None;
                    let why = errno_words(&error);
                    let words = format!("kills for lack of memory are told no more: {why}");
                    tell(Event::Warning(words))?;
                }
            }
        }
        if ready.ended {
            if watch.as_ref().is_some_and(OomWatch::last) {
                tell(Event::Oom)?;
            }
            return Ok(());
        }
        if Instant::now() >= next {
            match of(&state) {
                Ok(stats) => tell(Event::Stats(Box::new(stats)))?,
                // It may have ended meanwhile: the next look says so.
                Err(_) if !state.init.is_alive() => {}
                Err(error) => tell(Event::Warning(error.to_string()))?,
            }
            // A reader that is slow gets fewer of them, as from Go's ticker.
            next = (next + interval).max(Instant::now());
        }
    }
}

fn running(store: &Store, id: &str) -> Result<State> {
    let state = store.load(id)?;
    if state.status()? == Status::Stopped { Err(not_running(id)) } else { Ok(state) }
}

fn not_running(id: &str) -> Error {
    Error::rule(Step::Events, "", format!("container with id {id} is not running"))
}

fn of(state: &State) -> Result<Stats> {
    let mut stats = Cgroup::open(&state.cgroup.clone().unwrap_or_default()).stats()?;
    if let Some(class) = &state.resctrl {
        stats.intel_rdt = class.stats()?;
    }
    stats.network_interfaces = interfaces(state.init.pid).filter(|list| !list.is_empty());
    Ok(stats)
}

/// Interfaces of a process that has a network namespace of its own; `None` where it is ours, or
/// where that cannot be seen.
fn interfaces(pid: i32) -> Option<Vec<NetworkInterface>> {
    if process::namespace(pid, "net")? == process::namespace(clone::getpid(), "net")? {
        return None;
    }
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?;
    let all = text.lines().filter_map(interface).filter(|one| one.name != "lo");
    let mut all: Vec<_> = all.collect();
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Some(all)
}

/// A line of proc_pid_net(5), `dev`: a name, a colon, eight counters of what was received and
/// eight of what was sent. The two lines of headings are none.
fn interface(line: &str) -> Option<NetworkInterface> {
    let (name, counters) = line.rsplit_once(':')?;
    let counters: Vec<u64> = counters.split_whitespace().map_while(|n| n.parse().ok()).collect();
    let [rx_bytes, rx_packets, rx_errors, rx_dropped, _, _, _, _, sent @ ..] = &*counters else {
        return None;
    };
    let [tx_bytes, tx_packets, tx_errors, tx_dropped, ..] = sent else { return None };
    Some(NetworkInterface {
        name: name.trim().to_owned(),
        rx_bytes: *rx_bytes,
        rx_packets: *rx_packets,
        rx_errors: *rx_errors,
        rx_dropped: *rx_dropped,
        tx_bytes: *tx_bytes,
        tx_packets: *tx_packets,
        tx_errors: *tx_errors,
        tx_dropped: *tx_dropped,
    })
}

/// What has happened.
struct Ready {
    ended: bool,
    oom: bool,
}

fn wait(init: &OwnedFd, watch: Option<&OomWatch>, until: Instant) -> Result<Ready> {
    let mut fds = vec![PollFd::new(init.as_fd(), libc::POLLIN)];
    if let Some((file, events)) = watch.map(OomWatch::poll) {
        fds.push(PollFd::new(file, events));
    }
    let left = until.saturating_duration_since(Instant::now());
    // Rounded up, so that the next look is not too early.
    let left = i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
    fd::poll(&mut fds, left).at(Step::Events, || "poll")?;
    let is_ready = |at: usize| fds.get(at).is_some_and(|fd| fd.revents() != 0);
    Ok(Ready { ended: is_ready(0), oom: is_ready(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_counters_is_an_interface() {
        let line = "  eth0:1 2 3 4 5 6 7 8 11 12 13 14 15 16 17 18";
        let one = interface(line).unwrap();
        let received = (one.rx_bytes, one.rx_packets, one.rx_errors, one.rx_dropped);
        let sent = (one.tx_bytes, one.tx_packets, one.tx_errors, one.tx_dropped);
        assert_eq!((&*one.name, received, sent), ("eth0", (1, 2, 3, 4), (11, 12, 13, 14)));
        let headings = ["Inter-|   Receive                 |  Transmit", " face |bytes    packets"];
        for other in headings.into_iter().chain(["eth0: 1 2 3", "eth0: a"]) {
            assert!(interface(other).is_none(), "{other}");
        }
    }
}
