//! A container with a terminal: receives the master from the runtime's `--console-socket`.

use std::{
    fs::File,
    io::{self, IoSliceMut, Read},
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::net::UnixListener},
    thread,
    time::{Duration, Instant},
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::{
    bundle::Bundle,
    case::{Not, ensure, fail},
    container::{Container, Facts},
    world::TICK,
};

/// How long the runtime may take to connect to a socket of ours.
const LIMIT: Duration = Duration::from_secs(10);

/// One message of a connection with the descriptors that came with it.
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Receives one message; an empty one is the end.
///
/// # Errors
/// Those of recvmsg(2).
pub(crate) fn receive(socket: impl std::os::fd::AsFd) -> io::Result<Message> {
    let mut bytes = vec![0; 64 << 10];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    let got = recvmsg(socket, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(list) = message {
            fds.extend(list);
        }
    }
    bytes.truncate(got.bytes);
    Ok(Message { bytes, fds })
}

/// Accepts one connection, but does not wait for ever.
///
/// # Errors
/// `TimedOut` when nobody connects.
pub(crate) fn accept(listener: &UnixListener) -> io::Result<std::os::unix::net::UnixStream> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(LIMIT))?;
                return Ok(stream);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => thread::sleep(TICK),
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the runtime did not connect to the socket"))
}

/// A created container and the master of its terminal.
pub(crate) struct Terminal<'r> {
    container: Container<'r>,
    pub(crate) master: OwnedFd,
}

impl<'r> Terminal<'r> {
    /// Creates a bundle with a terminal.
    ///
    /// # Errors
    /// The runtime refused, or did not send exactly one descriptor.
    pub(crate) fn create(bundle: Bundle<'r>) -> Result<Self, Not> {
        let bundle = bundle.set("/process/terminal", serde_json::json!(true));
        let path = bundle.dir.join("console.sock");
        let listener = UnixListener::bind(&path)?;
        // The runtime waits for nobody: the message stays in the socket until it is read.
        let socket = path.display().to_string();
        let said = bundle.call_create(&["--console-socket", &socket])?;
        ensure!(said.ok(), "`create` with a terminal: {}", said.words());
        let mut fds = receive(accept(&listener)?)?.fds;
        let container = Container::of(bundle)?;
        match (fds.pop(), fds.len()) {
            (Some(master), 0) => Ok(Self { container, master }),
            _ => fail!("the console socket got {} more descriptors than one", fds.len()),
        }
    }

    /// Starts it and reads what it prints to its end.
    ///
    /// # Errors
    /// The runtime refused.
    pub(crate) fn run(mut self) -> Result<Facts, Not> {
        self.container.start()?;
        let mut text = Vec::new();
        // A master whose terminal is closed says EIO: the end, not an error.
        let end = File::from(self.master).read_to_end(&mut text);
        self.container.wait()?;
        ensure!(!text.is_empty(), "nothing came through the terminal: {end:?}");
        Ok(Facts::parse(&String::from_utf8_lossy(&text)))
    }
}
