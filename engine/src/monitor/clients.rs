//! The monitor's side of its clients: who listens, who types, what waits to be sent.
//!
//! A client that does not read holds the program up, as a full pipe would: nothing of its output
//! is lost while somebody is attached.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags, SocketFlags};

use super::wire::{CHUNK, Down, Up, Wants};

/// One connection.
#[derive(Debug)]
struct Client {
    socket: OwnedFd,
    wants: Wants,
    waiting: VecDeque<Vec<u8>>,
    gone: bool,
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Clients(Vec<Client>);

impl Clients {
    /// Takes a connected socket.
    pub(crate) fn add(&mut self, socket: OwnedFd) {
        let wants = Wants::default();
        self.0.push(Client { socket, wants, waiting: VecDeque::new(), gone: false });
    }

    /// Takes everybody who has connected.
    pub(crate) fn accept(&mut self, listener: impl AsFd) {
        while let Ok(socket) = net::accept_with(&listener, SocketFlags::CLOEXEC) {
            self.add(socket);
        }
    }

    /// Sends to everybody whom it concerns.
    pub(crate) fn tell(&mut self, message: &Down) {
        let concerned = |wants: Wants| match message {
            Down::Output(_) => wants.output,
            Down::Errors(_) => wants.errors,
            _ => true,
        };
        let packet = message.encode();
        for client in self.0.iter_mut().filter(|client| concerned(client.wants)) {
            client.send(&packet);
        }
        self.sweep();
    }

    /// Answers one client.
    pub(crate) fn answer(&mut self, at: usize, message: &Down) {
        if let Some(client) = self.0.get_mut(at) {
            client.send(&message.encode());
        }
    }

    /// Whether somebody has to read first.
    pub(crate) fn is_behind(&self) -> bool {
        self.0.iter().any(|client| !client.waiting.is_empty())
    }

    /// Number, descriptor, and whether something waits to be sent, of each.
    pub(crate) fn polls(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>, bool)> {
        let all = self.0.iter().enumerate();
        all.map(|(at, client)| (at, client.socket.as_fd(), !client.waiting.is_empty()))
    }

    /// Whether this client gives stdin.
    pub(crate) fn gives_input(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(|client| client.wants.input)
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self, at: usize) {
        if let Some(client) = self.0.get_mut(at) {
            client.flush();
        }
    }

    /// What a client says; `None` when it has gone.
    pub(crate) fn hear(&mut self, at: usize) -> Option<Up> {
        let client = self.0.get_mut(at)?;
        let mut buffer = vec![0; CHUNK + 16];
        let heard = match net::recv(&client.socket, &mut buffer, RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => return None,
            // An empty packet is the end; so is one that says nothing known.
            Ok((length, _)) => buffer.get(..length).and_then(Up::decode),
            Err(_) => None,
        };
        match &heard {
            Some(Up::Hello(wants)) => client.wants = *wants,
            Some(_) => {}
            None => client.gone = true,
        }
        heard
    }

    /// Forgets who has gone; whether one of them gave stdin.
    pub(crate) fn sweep(&mut self) -> bool {
        let typed = self.0.iter().any(|client| client.gone && client.wants.input);
        self.0.retain(|client| !client.gone);
        typed
    }

    /// Closes a connection that has had its answer.
    pub(crate) fn close_idle(&mut self) {
        self.0.retain(|client| !client.waiting.is_empty());
    }
}

impl Client {
    fn send(&mut self, packet: &[u8]) {
        self.waiting.push_back(packet.to_vec());
        self.flush();
    }

    fn flush(&mut self) {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        while let Some(packet) = self.waiting.front() {
            match net::send(&self.socket, packet, flags) {
                Ok(_) => drop(self.waiting.pop_front()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.gone = true;
                    self.waiting.clear();
                }
            }
        }
    }
}
