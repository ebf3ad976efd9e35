//! The caller's side of descriptors handed over a unix socket: terminals, pidfds, notify messages.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::host::eventually;

/// A listening socket that takes one descriptor (`--console-socket`, `--pidfd-socket`).
#[derive(Debug)]
pub struct Console {
    path: PathBuf,
    listener: UnixListener,
}

impl Console {
    /// Listens at a path.
    #[must_use]
    pub fn listen(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a unix socket");
        listener.set_nonblocking(true).expect("nonblocking");
        Self { path: path.to_owned(), listener }
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Takes the connection and the one descriptor sent over it, with the bytes beside it.
    #[must_use]
    pub fn receive(&self) -> (OwnedFd, String) {
        let mut stream = None;
        let came = eventually(Duration::from_secs(10), || {
            stream = self.listener.accept().ok();
            stream.is_some()
        });
        assert!(came, "nobody connected to {}", self.path.display());
        let (stream, _) = stream.expect("a connection");
        stream.set_nonblocking(false).expect("blocking");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
        let mut bytes = [0_u8; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(
            &stream,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
        .expect("recvmsg");
        let mut fds: Vec<OwnedFd> = control
            .drain()
            .filter_map(|m| match m {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds.collect::<Vec<_>>()),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(fds.len(), 1, "one descriptor is sent");
        (fds.remove(0), String::from_utf8_lossy(&bytes[..got.bytes]).into_owned())
    }

    /// As [`Console::receive`], for the master of a terminal.
    #[must_use]
    pub fn terminal(&self) -> Terminal {
        Terminal::new(self.receive().0)
    }
}

/// The master side of a pseudo-terminal; everything read is kept.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    seen: Arc<Mutex<String>>,
}

impl Terminal {
    /// Reads the terminal in a thread until its end.
    #[must_use]
    pub fn new(master: OwnedFd) -> Self {
        let master = File::from(master);
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut reader, kept) = (master.try_clone().expect("dup"), Arc::clone(&seen));
        thread::spawn(move || {
            let mut bytes = [0_u8; 4096];
            // EIO is the end of a terminal.
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                kept.lock().expect("lock").push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Self { master, seen }
    }

    /// The master's descriptor.
    #[must_use]
    pub fn master(&self) -> &File {
        &self.master
    }

    /// Everything read so far.
    #[must_use]
    pub fn seen(&self) -> String {
        self.seen.lock().expect("lock").clone()
    }

    /// Types text.
    pub fn say(&self, text: &str) {
        (&self.master).write_all(text.as_bytes()).expect("write to the terminal");
    }

    /// Waits until `word` was read; gives everything back.
    #[must_use]
    pub fn expect(&self, word: &str) -> String {
        let seen = eventually(Duration::from_secs(10), || self.seen().contains(word));
        assert!(seen, "no `{word}` on the terminal: {:?}", self.seen());
        self.seen()
    }
}

/// A `NOTIFY_SOCKET`: everything sent is read at once, so that a sender who waits for a barrier gets on.
#[derive(Debug)]
pub struct Notify {
    path: PathBuf,
    said: Arc<Mutex<Vec<String>>>,
}

impl Notify {
    /// Listens at a path, for as long as the test runs.
    #[must_use]
    pub fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a unix socket");
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        thread::spawn(move || {
            let mut bytes = [0_u8; 4096];
            // A descriptor that comes along has no room, and is closed by the kernel: the barrier lifts.
            while let Ok(n) = socket.recv(&mut bytes) {
                let words = String::from_utf8_lossy(&bytes[..n]).into_owned();
                kept.lock().expect("lock").push(words);
            }
        });
        Self { path: path.to_owned(), said }
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Waits for a message with `word` in it; gives all messages back.
    #[must_use]
    pub fn expect(&self, word: &str) -> Vec<String> {
        let said = || self.said.lock().expect("lock").clone();
        let came = eventually(Duration::from_secs(10), || said().iter().any(|m| m.contains(word)));
        assert!(came, "no `{word}` among {:?}", said());
        said()
    }
}
