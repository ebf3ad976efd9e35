//! Carries what the kernel does not translate to the container: connections to the host's
//! loopback (see [`super::firewall`] for why) and to its IPv6 addresses, when the container has
//! IPv4 only.
//!
//! One thread per container that publishes ports, in the process that holds the ports' sockets;
//! [`tcp`] and [`udp`] are its two halves. It ends when the [`Forwarder`] is dropped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libcontainer::sys::fd::pipe;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::tcp::Connection;
use self::udp::Client;
use super::ports::Held;
use super::publish::Proto;

mod tcp;
mod udp;

/// Of the thread, in bytes: it has no deep calls.
const STACK: usize = 128 << 10;
/// Connections and clients at once; further ones wait in the kernel's queue.
const MOST: usize = 1024;
/// How long a UDP client that is silent is remembered (docker-proxy's figure).
const SILENCE: Duration = Duration::from_secs(90);
/// How often the silent ones are looked for.
const LOOK: Duration = Duration::from_secs(10);
/// How long accepting pauses when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(200);

/// The thread. Dropping it closes the ports.
#[derive(Debug)]
pub(super) struct Forwarder {
    /// Closing it wakes the thread up for the last time.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Begins to carry from the held sockets to `ip`.
    pub(super) fn start(held: Vec<Held>, ip: Ipv4Addr) -> io::Result<Self> {
        let (wake, stop) = pipe()?;
        let mut doors = Vec::with_capacity(held.len());
        for (binding, socket) in held {
            let to = SocketAddr::new(ip.into(), binding.port.number);
            let Some(socket) = socket else { continue };
            doors.push(match binding.port.proto {
                Proto::Tcp => Door::Tcp(socket.into(), to),
                Proto::Udp => Door::Udp(socket.into(), to),
                Proto::Sctp => Door::Held(socket),
            });
        }
        let thread = thread::Builder::new().name("forward".into()).stack_size(STACK);
        let thread = thread.spawn(move || Loop::new(wake, doors).run())?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A thread that panicked has closed its sockets too.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A port of the host, and where it leads.
enum Door {
    Tcp(std::net::TcpListener, SocketAddr),
    Udp(std::net::UdpSocket, SocketAddr),
    /// Held so that nobody else has it, and not served.
    Held(#[expect(dead_code, reason = "kept open, never read")] OwnedFd),
}

struct Loop {
    wake: OwnedFd,
    doors: Vec<Door>,
    connections: Vec<Connection>,
    clients: Vec<Client>,
    /// No new connections until then.
    paused: Option<Instant>,
}

/// What a polled descriptor belongs to.
#[derive(Clone, Copy)]
enum Of {
    Wake,
    Door(usize),
    Connection(usize),
    Client(usize),
}

impl Loop {
    fn new(wake: OwnedFd, doors: Vec<Door>) -> Self {
        Self { wake, doors, connections: Vec::new(), clients: Vec::new(), paused: None }
    }

    fn run(mut self) {
        let mut looked = Instant::now();
        while let Ok(ready) = self.wait() {
            for (of, flags) in ready {
                match of {
                    Of::Wake => return,
                    Of::Door(n) => self.enter(n),
                    Of::Connection(n) => {
                        if let Some(connection) = self.connections.get_mut(n) {
                            connection.work(flags);
                        }
                    }
                    Of::Client(n) => {
                        if let Some(client) = self.clients.get_mut(n) {
                            client.answer(&self.doors);
                        }
                    }
                }
            }
            self.connections.retain(|connection| !connection.is_over());
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                self.clients.retain(|client| !client.is_silent(SILENCE));
            }
        }
    }

    /// Waits for something to do.
    fn wait(&mut self) -> io::Result<Vec<(Of, PollFlags)>> {
        let mut of = vec![Of::Wake];
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        if self.paused.is_some_and(|until| Instant::now() >= until) {
            self.paused = None;
        }
        let room = self.paused.is_none() && self.connections.len() < MOST;
        for (n, door) in self.doors.iter().enumerate() {
            let fd: BorrowedFd<'_> = match door {
                Door::Tcp(listener, _) if room => listener.as_fd(),
                Door::Udp(socket, _) => socket.as_fd(),
                Door::Tcp(..) | Door::Held(_) => continue,
            };
            of.push(Of::Door(n));
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        for (n, connection) in self.connections.iter().enumerate() {
            for (fd, flags) in connection.interests() {
                of.push(Of::Connection(n));
                fds.push(PollFd::from_borrowed_fd(fd, flags));
            }
        }
        for (n, client) in self.clients.iter().enumerate() {
            of.push(Of::Client(n));
            fds.push(PollFd::from_borrowed_fd(client.fd(), PollFlags::IN));
        }
        let timer = match (self.paused, self.clients.is_empty()) {
            (Some(_), _) => Some(PAUSE),
            (None, false) => Some(LOOK),
            (None, true) => None,
        };
        let timer = timer.and_then(|time| Timespec::try_from(time).ok());
        match poll(&mut fds, timer.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            other => other?,
        };
        let events = fds.iter().map(PollFd::revents);
        Ok(of.into_iter().zip(events).filter(|(_, flags)| !flags.is_empty()).collect())
    }

    /// Somebody is at the door.
    fn enter(&mut self, n: usize) {
        match self.doors.get(n) {
            Some(Door::Tcp(listener, to)) => match listener.accept() {
                Ok((stream, _)) => self.connections.extend(Connection::new(stream, *to)),
                Err(e) if is_exhausted(&e) => self.paused = Some(Instant::now() + PAUSE),
                // The other side has left already.
                Err(_) => {}
            },
            Some(Door::Udp(socket, to)) => udp::receive(&mut self.clients, n, socket, *to, MOST),
            Some(Door::Held(_)) | None => {}
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
