//! UDP through the forwarder: a client is known by its address, and has a socket of its own
//! towards the container, so that answers find back.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use super::Door;

/// The longest datagram of IPv4.
const DATAGRAM: usize = 65_535;
/// Datagrams of one socket in a row, so that the others get their turn.
const IN_A_ROW: usize = 64;

/// Who sends to us.
pub(super) struct Client {
    door: usize,
    address: SocketAddr,
    socket: UdpSocket,
    last: Instant,
}

impl Client {
    fn new(door: usize, address: SocketAddr, to: SocketAddr) -> Option<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect(to).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self { door, address, socket, last: Instant::now() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn is_silent(&self, since: Duration) -> bool {
        self.last.elapsed() > since
    }

    /// Carries the container's answers back. A refusal of its kernel's is an answer that UDP has
    /// no word for.
    pub(super) fn answer(&mut self, doors: &[Door]) {
        let Some(Door::Udp(host, _)) = doors.get(self.door) else { return };
        let mut datagram = vec![0; DATAGRAM];
        for _ in 0..IN_A_ROW {
            let Ok(length) = self.socket.recv(&mut datagram) else { return };
            self.last = Instant::now();
            // Datagrams may be lost anywhere; here too.
            let _ = host.send_to(datagram.get(..length).unwrap_or_default(), self.address);
        }
    }
}

/// Carries datagrams of a host port to the container; `most` clients are remembered.
pub(super) fn receive(
    clients: &mut Vec<Client>,
    door: usize,
    host: &UdpSocket,
    to: SocketAddr,
    most: usize,
) {
    let mut datagram = vec![0; DATAGRAM];
    for _ in 0..IN_A_ROW {
        let Ok((length, from)) = host.recv_from(&mut datagram) else { return };
        let known = clients.iter().position(|c| c.door == door && c.address == from);
        let at = known.or_else(|| {
            let full = clients.len() >= most;
            let oldest = clients.iter().enumerate().min_by_key(|(_, c)| c.last).map(|(n, _)| n);
            if let Some(oldest) = oldest.filter(|_| full) {
                clients.swap_remove(oldest);
            }
            clients.push(Client::new(door, from, to)?);
            Some(clients.len() - 1)
        });
        if let Some(client) = at.and_then(|at| clients.get_mut(at)) {
            client.last = Instant::now();
            let _ = client.socket.send(datagram.get(..length).unwrap_or_default());
        }
    }
}
