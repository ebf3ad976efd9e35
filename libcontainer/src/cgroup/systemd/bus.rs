//! A connection to a D-Bus: the few calls that a unit needs, each with a deadline.
//!
//! The message bus first, as every other client; where there is none (a minimal host, early boot),
//! the manager's own socket, which `systemctl` uses too. The server reads our uid from the socket
//! (`AUTH EXTERNAL` without a name), so it is right inside user namespaces as well.
//!
//! One thread, no callback: [`Bus::send`] returns a serial, [`Bus::reply`] waits for its answer,
//! signals that come meanwhile are kept for [`Bus::signal`]. The bytes are [`super::message`]'s.

use std::collections::VecDeque;
use std::env;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use super::message::{self, FIXED, Kind, Message, Method};
use crate::plan::cgroup::systemd::value::Value;
use crate::sys::fd::{self, PollFd};

const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";
const SYSTEM_MANAGER: &str = "unix:path=/run/systemd/private";
const HELLO: Method = Method {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
};
/// The listener's queue is full: how long until the next attempt.
const PAUSE: Duration = Duration::from_millis(10);
/// Signals that are kept; ours come one at a time.
const SIGNALS_MAX: usize = 1024;

/// Why a conversation failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The connection broke, or could not be made.
    Io(io::Error),
    /// The answer is an error: its name and its words.
    Refused(String, String),
    /// No answer until the deadline.
    Silence,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Bus {
    socket: OwnedFd,
    until: Instant,
    inbox: Vec<u8>,
    serial: u32,
    replies: Vec<Message>,
    signals: VecDeque<Message>,
}

impl Bus {
    /// Connects to the system's bus, or the user's. Every wait ends at `until`.
    ///
    /// # Errors
    /// No address, nobody who listens there, or a server that does not want us.
    pub(crate) fn connect(user: bool, until: Instant) -> Result<Self, Trouble> {
        Self::first_of(addresses(user, |name| env::var(name).ok()), until)
    }

    fn first_of(addresses: Vec<(String, bool)>, until: Instant) -> Result<Self, Trouble> {
        let mut first = None;
        for (address, is_bus) in addresses {
            let done = socket(&address, until).map_err(Trouble::from).and_then(|socket| {
                let (inbox, replies) = (Vec::new(), Vec::new());
                let signals = VecDeque::new();
                let mut bus = Self { socket, until, inbox, serial: 0, replies, signals };
                bus.greet(is_bus).map(|()| bus)
            });
            match done {
                Ok(bus) => return Ok(bus),
                // No time is left for another.
                Err(Trouble::Silence) => return Err(Trouble::Silence),
                Err(trouble) => first = first.or(Some(trouble)),
            }
        }
        Err(first.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENOENT).into()))
    }

    fn greet(&mut self, is_bus: bool) -> Result<(), Trouble> {
        self.write(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        // The first answer asks for our name, the second accepts that we have none.
        while !self.line()?.starts_with(b"OK ") {}
        if is_bus {
            self.call(HELLO, &[])?;
        }
        Ok(())
    }

    /// One line of the authentication.
    fn line(&mut self) -> Result<Vec<u8>, Trouble> {
        loop {
            if let Some(end) = self.inbox.windows(2).position(|two| two == b"\r\n") {
                let line = self.inbox[..end].to_vec();
                self.inbox.drain(..end + 2);
                if [&b"REJECTED"[..], b"ERROR"].iter().any(|word| line.starts_with(word)) {
                    let words = String::from_utf8_lossy(&line).into_owned();
                    return Err(Trouble::Refused("authentication".into(), words));
                }
                return Ok(line);
            }
            self.read()?;
        }
    }

    /// Sends a call; returns the serial for [`Bus::reply`].
    ///
    /// # Errors
    /// The connection broke, or takes nothing until the deadline.
    pub(crate) fn send(&mut self, method: Method, arguments: &[Value]) -> Result<u32, Trouble> {
        self.serial += 1;
        self.write(&message::call(self.serial, method, arguments))?;
        Ok(self.serial)
    }

    /// Waits for the answer to a call.
    ///
    /// # Errors
    /// The answer is an error; the connection broke; the deadline.
    pub(crate) fn reply(&mut self, serial: u32) -> Result<Vec<Value>, Trouble> {
        loop {
            if let Some(at) = self.replies.iter().position(|reply| reply.answers == serial) {
                let reply = self.replies.swap_remove(at);
                if reply.kind == Kind::Reply {
                    return Ok(reply.body);
                }
                let words = reply.body.first().and_then(Value::as_str).unwrap_or_default();
                return Err(Trouble::Refused(reply.error, words.to_owned()));
            }
            self.receive()?;
        }
    }

    /// Sends a call and waits for the answer.
    ///
    /// # Errors
    /// As [`Bus::send`] and [`Bus::reply`].
    pub(crate) fn call(
        &mut self,
        method: Method,
        arguments: &[Value],
    ) -> Result<Vec<Value>, Trouble> {
        let serial = self.send(method, arguments)?;
        self.reply(serial)
    }

    /// Waits for a signal about which `wanted` has something to say.
    ///
    /// # Errors
    /// The connection broke; the deadline.
    pub(crate) fn signal<T>(
        &mut self,
        wanted: impl Fn(&Message) -> Option<T>,
    ) -> Result<T, Trouble> {
        loop {
            while let Some(signal) = self.signals.pop_front() {
                if let Some(found) = wanted(&signal) {
                    return Ok(found);
                }
            }
            self.receive()?;
        }
    }

    /// Reads one message and files it.
    fn receive(&mut self) -> Result<(), Trouble> {
        let damaged = || io::Error::from_raw_os_error(libc::EBADMSG);
        let need = loop {
            if self.inbox.len() >= FIXED {
                let need = message::length(&self.inbox[..FIXED]).ok_or_else(damaged)?;
                if self.inbox.len() >= need {
                    break need;
                }
            }
            self.read()?;
        };
        let message = message::decode(&self.inbox[..need]).ok_or_else(damaged)?;
        self.inbox.drain(..need);
        match message.kind {
            Kind::Reply | Kind::Error => self.replies.push(message),
            Kind::Signal if self.signals.len() < SIGNALS_MAX => self.signals.push_back(message),
            Kind::Signal | Kind::Other => {}
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Trouble> {
        let mut buffer = [0; 4096];
        loop {
            match fd::read(&self.socket, &mut buffer) {
                Ok(0) => return Err(io::Error::from_raw_os_error(libc::ECONNRESET).into()),
                Ok(length) => {
                    self.inbox.extend(buffer.iter().take(length));
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.wait(libc::POLLIN)?,
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Trouble> {
        while !bytes.is_empty() {
            match fd::send_with_fd(&self.socket, bytes, None) {
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.wait(libc::POLLOUT)?,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn wait(&self, events: i16) -> Result<(), Trouble> {
        let left = self.until.saturating_duration_since(Instant::now()).as_millis();
        let left = i32::try_from(left).unwrap_or(i32::MAX);
        match fd::poll(&mut [PollFd::new(self.socket.as_fd(), events)], left)? {
            0 => Err(Trouble::Silence),
            _ => Ok(()),
        }
    }
}

/// Where to look, in order; whether it is a message bus, which wants a greeting.
fn addresses(user: bool, variable: impl Fn(&str) -> Option<String>) -> Vec<(String, bool)> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if !user {
        let bus = set("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(|| SYSTEM_BUS.to_owned());
        return vec![(bus, true), (SYSTEM_MANAGER.to_owned(), false)];
    }
    let mut all = Vec::new();
    all.extend(set("DBUS_SESSION_BUS_ADDRESS").map(|bus| (bus, true)));
    if let Some(dir) = set("XDG_RUNTIME_DIR") {
        // The characters that an address writes otherwise (D-Bus Specification, "Server Addresses").
        let dir = dir.replace('%', "%25").replace(',', "%2c").replace(';', "%3b");
        all.push((format!("unix:path={dir}/bus"), true));
        all.push((format!("unix:path={dir}/systemd/private"), false));
    }
    all
}

/// Connects to the first of the addresses, joined by `;`, that is a Unix socket with a listener.
fn socket(addresses: &str, until: Instant) -> io::Result<OwnedFd> {
    let mut last = io::Error::from_raw_os_error(libc::EAFNOSUPPORT);
    for address in addresses.split(';').filter_map(socket_name) {
        let socket = fd::unix_stream()?;
        loop {
            match fd::connect_unix(&socket, &address) {
                Ok(()) => return Ok(socket),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                    thread::sleep(PAUSE);
                }
                Err(e) => {
                    last = e;
                    break;
                }
            }
        }
    }
    Err(last)
}

/// The socket's name in one address, as the kernel takes it.
fn socket_name(address: &str) -> Option<Vec<u8>> {
    let keys = address.strip_prefix("unix:")?;
    let value = |name: &str| {
        keys.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(unescape)
    };
    match (value("path"), value("abstract")) {
        (Some(path), _) => path,
        (None, Some(name)) => name.map(|name| [b"\0", &name[..]].concat()),
        (None, None) => None,
    }
}

/// `%2f` is `/`.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
