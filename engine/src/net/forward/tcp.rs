//! One TCP connection through the forwarder: bytes both ways, each way ended on its own.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::event::PollFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};

/// Bytes on their way in one direction.
const BUFFER: usize = 16 << 10;

/// A client, the container, and what is on its way between them.
pub(super) struct Connection {
    client: TcpStream,
    container: TcpStream,
    /// The container has not answered yet.
    connecting: bool,
    inwards: Way,
    outwards: Way,
    over: bool,
}

impl Connection {
    /// Begins to connect; `None` when that fails at once: the client sees its connection end.
    pub(super) fn new(client: TcpStream, to: SocketAddr) -> Option<Self> {
        let begin = || -> io::Result<TcpStream> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket =
                socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))?;
            match connect(&socket, &to) {
                Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket.into()),
                Err(e) => Err(e.into()),
            }
        };
        client.set_nonblocking(true).ok()?;
        let (_, container) = (client.set_nodelay(true), begin().ok()?);
        let _ = container.set_nodelay(true);
        let (inwards, outwards) = (Way::new(), Way::new());
        Some(Self { client, container, connecting: true, inwards, outwards, over: false })
    }

    /// What is waited for.
    pub(super) fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let (client, container) = (self.client.as_fd(), self.container.as_fd());
        if self.connecting {
            return vec![(container, PollFlags::OUT)];
        }
        let wants = |reads: &Way, writes: &Way| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, reads.wants_more());
            flags.set(PollFlags::OUT, writes.has_some());
            flags
        };
        let sides = [
            (client, wants(&self.inwards, &self.outwards)),
            (container, wants(&self.outwards, &self.inwards)),
        ];
        sides.into_iter().filter(|(_, flags)| !flags.is_empty()).collect()
    }

    /// Carries what can be carried.
    pub(super) fn work(&mut self, _: PollFlags) {
        if self.connecting {
            match sockopt::socket_error(&self.container) {
                Ok(Ok(())) => self.connecting = false,
                Ok(Err(_)) | Err(_) => return self.over = true,
            }
        }
        let carried = self
            .inwards
            .carry(&self.client, &self.container)
            .and_then(|()| self.outwards.carry(&self.container, &self.client));
        self.over = carried.is_err() || (self.inwards.closed && self.outwards.closed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }
}

/// One direction.
struct Way {
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
    ended: bool,
    closed: bool,
}

impl Way {
    fn new() -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { buffer, begin: 0, end: 0, ended: false, closed: false }
    }

    fn has_some(&self) -> bool {
        self.begin < self.end
    }

    fn wants_more(&self) -> bool {
        !self.has_some() && !self.ended
    }

    fn carry(&mut self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        loop {
            if self.wants_more() {
                match from.read(&mut self.buffer) {
                    Ok(0) => self.ended = true,
                    Ok(count) => (self.begin, self.end) = (0, count),
                    Err(e) if later(&e) => return Ok(()),
                    Err(e) => return Err(e),
                }
            }
            if !self.has_some() {
                if self.ended && !self.closed {
                    self.closed = true;
                    // One that is gone altogether is noticed by the other direction.
                    let _ = to.shutdown(Shutdown::Write);
                }
                return Ok(());
            }
            match to.write(self.buffer.get(self.begin..self.end).unwrap_or_default()) {
                Ok(count) => self.begin += count,
                Err(e) if later(&e) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }
}

fn later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
