//! What a monitor and its clients say to each other: one message a packet, the first byte says
//! which.
//!
//! The socket is `SOCK_SEQPACKET`: packets arrive whole, in order, and the end of either side is
//! seen. Both sides are this program, of the same build; a message of an unknown kind ends the
//! connection.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use libcontainer::sys::fd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, What};

/// Bytes of a stream that travel in one packet.
pub const CHUNK: usize = 32 << 10;
/// Name of the socket in a container's live directory.
const SOCKET: &str = "monitor.sock";

/// From a client to the monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Up {
    /// Which streams the client wants; the first message of every client.
    Hello(Wants),
    /// Bytes for stdin.
    Input(Vec<u8>),
    /// The client's stdin has ended.
    InputEnd,
    /// Size of the client's terminal: rows, columns.
    Resize(u16, u16),
    /// What follows ends the container on purpose: no restart.
    Stopping,
    /// The restart policy has changed: read it again.
    Reread,
}

/// Streams of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// Gives stdin.
    pub input: bool,
    /// Gets stdout, and everything of a terminal.
    pub output: bool,
    /// Gets stderr.
    pub errors: bool,
}

/// From the monitor to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// Bytes of stdout, or of the terminal.
    Output(Vec<u8>),
    /// Bytes of stderr.
    Errors(Vec<u8>),
    /// The program runs.
    Started,
    /// The program could not be started.
    Failed(Failure),
    /// The program has ended.
    Ended(i32),
    /// Done, what needs an answer.
    Done,
}

/// An [`Error`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    what: String,
    why: Option<String>,
    fix: Option<String>,
    code: u8,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let Error { what, why, fix, code } = error;
        Self { what: what.clone(), why: why.clone(), fix: fix.clone(), code: *code }
    }
}

impl From<Failure> for Error {
    fn from(Failure { what, why, fix, code }: Failure) -> Self {
        Self { what, why, fix, code }
    }
}

impl Up {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(wants) => {
                vec![b'h', wants.input.into(), wants.output.into(), wants.errors.into()]
            }
            Self::Input(bytes) => tagged(b'i', bytes),
            Self::InputEnd => vec![b'e'],
            Self::Resize(rows, cols) => {
                tagged(b'w', &[rows.to_le_bytes(), cols.to_le_bytes()].concat())
            }
            Self::Stopping => vec![b'm'],
            Self::Reread => vec![b'r'],
        }
    }

    /// Reads a packet; `None` for one that is none of these.
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let (tag, rest) = packet.split_first()?;
        Some(match (tag, rest) {
            (b'h', [input, output, errors]) => Self::Hello(Wants {
                input: *input != 0,
                output: *output != 0,
                errors: *errors != 0,
            }),
            (b'i', bytes) => Self::Input(bytes.to_vec()),
            (b'e', []) => Self::InputEnd,
            (b'w', [a, b, c, d]) => {
                Self::Resize(u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]))
            }
            (b'm', []) => Self::Stopping,
            (b'r', []) => Self::Reread,
            _ => return None,
        })
    }
}

impl Down {
    /// The packet.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Output(bytes) => tagged(b'o', bytes),
            Self::Errors(bytes) => tagged(b'x', bytes),
            Self::Started => vec![b'S'],
            Self::Failed(failure) => tagged(b'F', &serde_json::to_vec(failure).unwrap_or_default()),
            Self::Ended(code) => tagged(b'E', &code.to_le_bytes()),
            Self::Done => vec![b'D'],
        }
    }

    fn decode(packet: &[u8]) -> Option<Self> {
        let (tag, rest) = packet.split_first()?;
        Some(match tag {
            b'o' => Self::Output(rest.to_vec()),
            b'x' => Self::Errors(rest.to_vec()),
            b'S' => Self::Started,
            b'F' => Self::Failed(serde_json::from_slice(rest).ok()?),
            b'E' => Self::Ended(i32::from_le_bytes(rest.try_into().ok()?)),
            b'D' => Self::Done,
            _ => return None,
        })
    }
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(bytes.len() + 1);
    packet.push(tag);
    packet.extend_from_slice(bytes);
    packet
}

/// A client's end.
#[derive(Debug)]
pub struct Connection(OwnedFd);

impl Connection {
    /// Takes over a connected socket.
    pub fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Connects to the monitor of a container; `None` when there is none.
    ///
    /// # Errors
    /// The directory is there and cannot be entered.
    pub fn open(live: &Path) -> Result<Option<Self>> {
        let what = || format!("cannot reach the monitor below {}", live.display());
        let (_dir, address) = match address(live) {
            Err(Errno::NOENT) => return Ok(None),
            address => address.what(what)?,
        };
        let socket = socket(SocketFlags::CLOEXEC).what(what)?;
        match net::connect(&socket, &address) {
            Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
            connected => connected.what(what).map(|()| Some(Self(socket))),
        }
    }

    /// Says something; waits while the monitor is busy.
    ///
    /// # Errors
    /// The monitor has gone.
    pub fn say(&self, message: &Up) -> Result<()> {
        let packet = message.encode();
        let sent = rustix::io::retry_on_intr(|| net::send(&self.0, &packet, SendFlags::NOSIGNAL));
        sent.map(drop).what(|| "the container's monitor is gone".into())
    }

    /// Waits for an answer; `None` when the monitor has gone.
    ///
    /// # Errors
    /// An answer of another build.
    pub fn hear(&self) -> Result<Option<Down>> {
        let mut buffer = vec![0; CHUNK + 16];
        let flags = net::RecvFlags::empty();
        let received = rustix::io::retry_on_intr(|| net::recv(&self.0, &mut buffer[..], flags));
        let length = match received.map(|(length, _)| length) {
            Err(Errno::CONNRESET) | Ok(0) => return Ok(None),
            received => received.what(|| "cannot hear the container's monitor".into())?,
        };
        let message = Down::decode(&buffer[..length]);
        message.map(Some).ok_or_else(|| Error::new("the container's monitor is of another build"))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The socket where the clients of a monitor arrive.
///
/// # Errors
/// The directory is gone.
pub fn listen(live: &Path) -> Result<OwnedFd> {
    let what = || format!("cannot listen below {}", live.display());
    // What a monitor that was killed left.
    let _ = std::fs::remove_file(live.join(SOCKET));
    let (_dir, address) = address(live).what(what)?;
    let socket = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).what(what)?;
    net::bind(&socket, &address).what(what)?;
    net::listen(&socket, 64).what(what)?;
    Ok(socket)
}

/// A path of a socket has room for 107 bytes: it is named below a descriptor of its directory.
fn address(live: &Path) -> std::result::Result<(OwnedFd, SocketAddrUnix), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(live, flags, Mode::empty())?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&dir);
    Ok((dir, SocketAddrUnix::new(format!("/proc/self/fd/{number}/{SOCKET}"))?))
}

fn socket(flags: SocketFlags) -> std::result::Result<OwnedFd, Errno> {
    net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// Two connected ends: the first client's, which needs no path.
///
/// # Errors
/// Too many descriptors are open.
pub fn pair() -> Result<(Connection, OwnedFd)> {
    let (ours, theirs) = fd::seqpacket_pair().what(|| "cannot make a socket".into())?;
    Ok((Connection(ours), theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_arrives_as_it_was_sent() {
        let wants = Wants { input: true, output: false, errors: true };
        for message in [
            Up::Hello(wants),
            Up::Input(b"x\0y".to_vec()),
            Up::InputEnd,
            Up::Resize(24, 300),
            Up::Stopping,
            Up::Reread,
        ] {
            assert_eq!(Up::decode(&message.encode()), Some(message));
        }
        let failure = Failure::from(&Error::new("a").why("b").fix("c").code(127));
        for message in [
            Down::Output(vec![]),
            Down::Errors(b"e".to_vec()),
            Down::Started,
            Down::Failed(failure),
            Down::Ended(-1),
            Down::Done,
        ] {
            assert_eq!(Down::decode(&message.encode()), Some(message));
        }
        for packet in [&b""[..], b"q", b"w123", b"h", b"exx"] {
            assert_eq!(Up::decode(packet), None, "{packet:?}");
        }
    }

    #[test]
    fn a_long_path_is_no_obstacle() {
        let dir = std::env::temp_dir().join(format!("pier-wire-{}", std::process::id()));
        let live = dir.join("x".repeat(120));
        std::fs::create_dir_all(&live).unwrap();
        assert!(Connection::open(&live).unwrap().is_none());
        let listener = listen(&live).unwrap();
        let client = Connection::open(&live).unwrap().unwrap();
        let server = net::accept(&listener).unwrap();
        client.say(&Up::Stopping).unwrap();
        let mut buffer = [0; 16];
        let (length, _) = net::recv(&server, &mut buffer, net::RecvFlags::empty()).unwrap();
        assert_eq!(Up::decode(&buffer[..length]), Some(Up::Stopping));
        drop((listener, server));
        assert!(client.hear().unwrap().is_none());
        assert!(Connection::open(&live).unwrap().is_none(), "nobody listens any more");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
