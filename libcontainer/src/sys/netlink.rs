//! A small client of rtnetlink (`rtnetlink(7)`): requests, their answers, and attributes.
//!
//! A message is built in place and its length is checked at every step (CVE-2021-43784 was an
//! overflow of a 16-bit attribute length). What is asked and told is in [`crate::net`].

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;

use libc::c_int;

use super::{done, errno, fd, owned, raw, retry, size};

mod netfilter;

pub use netfilter::Netfilter;

/// Bytes of the longest request: a link or an address with all of its attributes.
const REQUEST: usize = 512;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct nlattr`.
const ATTRIBUTE: usize = 4;
/// Answers to one request; a link's answer is about 2 KiB.
const ANSWER: usize = 16 << 10;
/// How often an inconsistent list is asked for again.
const AGAIN: u32 = 16;

/// `NLMSG_ERROR`, also the good answer (`netlink(7)`).
const NLMSG_ERROR: u16 = 2;
/// `NLMSG_DONE`.
const NLMSG_DONE: u16 = 3;
/// It is a request.
const NLM_F_REQUEST: u16 = 0x01;
/// Answer even when nothing failed.
const NLM_F_ACK: u16 = 0x04;
/// The list changed while it was made.
const NLM_F_DUMP_INTR: u16 = 0x10;
/// All entries (`NLM_F_ROOT | NLM_F_MATCH`).
const NLM_F_DUMP: u16 = 0x300;
/// The attribute has attributes inside.
const NLA_F_NESTED: u16 = 0x8000;
/// The kind of an attribute without its flags.
const NLA_TYPE_MASK: u16 = 0x3fff;

/// Must not exist yet, for requests that make something.
pub const NLM_F_EXCL: u16 = 0x200;
/// Make it, for requests that make something.
pub const NLM_F_CREATE: u16 = 0x400;

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// A request in the making.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: [u8; REQUEST],
    length: usize,
}

impl Message {
    /// A message of `kind` (`RTM_*`) with its fixed part, such as `struct ifinfomsg`.
    ///
    /// # Errors
    /// `EMSGSIZE` when it is too long.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> io::Result<Self> {
        let mut message = Self { bytes: [0; REQUEST], length: HEADER };
        message.bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        message.bytes[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        message.push(fixed)?;
        Ok(message)
    }

    /// Adds bytes that are no attribute: the fixed part of what is nested.
    ///
    /// # Errors
    /// `EMSGSIZE` when the message is full.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length + bytes.len();
        let room = self.bytes.get_mut(self.length..end).ok_or_else(|| errno(libc::EMSGSIZE))?;
        room.copy_from_slice(bytes);
        self.length = aligned(end).min(REQUEST);
        Ok(())
    }

    /// Adds an attribute.
    ///
    /// # Errors
    /// `EMSGSIZE` when the message is full.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> io::Result<&mut Self> {
        let length = u16::try_from(ATTRIBUTE + value.len()).map_err(|_| errno(libc::EMSGSIZE))?;
        self.push(&length.to_ne_bytes())?;
        // The kind stands in the second half of the first word.
        let at = self.length - 2;
        self.bytes[at..at + 2].copy_from_slice(&kind.to_ne_bytes());
        self.push(value)?;
        Ok(self)
    }

    /// Adds an attribute that is a C string.
    ///
    /// # Errors
    /// `EMSGSIZE` when the message is full or the text too long.
    pub fn text(&mut self, kind: u16, text: &str) -> io::Result<&mut Self> {
        let mut value = [0; 64];
        let room = value.get_mut(..text.len()).ok_or_else(|| errno(libc::EMSGSIZE))?;
        room.copy_from_slice(text.as_bytes());
        let whole = value.get(..=text.len()).ok_or_else(|| errno(libc::EMSGSIZE))?;
        self.attribute(kind, whole)
    }

    /// Adds an attribute whose value is made of the attributes that `inside` adds.
    ///
    /// # Errors
    /// `EMSGSIZE` when the message is full.
    pub fn nested(
        &mut self,
        kind: u16,
        inside: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<&mut Self> {
        let begin = self.length;
        self.attribute(kind | NLA_F_NESTED, &[])?;
        inside(self)?;
        let length = u16::try_from(self.length - begin).map_err(|_| errno(libc::EMSGSIZE))?;
        self.bytes[begin..begin + 2].copy_from_slice(&length.to_ne_bytes());
        Ok(self)
    }

    fn finish(&mut self, flags: u16, sequence: u32) -> &[u8] {
        let length = u32::try_from(self.length).unwrap_or(0);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        let flags = flags | u16::from_ne_bytes([self.bytes[6], self.bytes[7]]);
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        &self.bytes[..self.length]
    }
}

/// A connection to the routing part of the kernel, in the network namespace that the calling
/// thread had when it was opened.
#[derive(Debug)]
pub struct Route {
    socket: OwnedFd,
    /// Number of the last request: what is left of an answer that was given up is not taken for
    /// the next one's.
    sequence: Cell<u32>,
}

impl Route {
    /// Opens one; only the kernel can answer on it.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` without networking; `EMFILE`.
    pub fn open() -> io::Result<Self> {
        Self::open_to(libc::NETLINK_ROUTE)
    }

    fn open_to(part: c_int) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: takes no pointers.
        let socket = owned(unsafe { libc::socket(libc::AF_NETLINK, kind, part) })?;
        // SAFETY: sockaddr_nl is plain data; all zeroes but the family are the kernel's address.
        let mut kernel: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        kernel.nl_family = libc::sa_family_t::try_from(libc::AF_NETLINK).unwrap_or(16);
        let length = libc::socklen_t::try_from(size_of_val(&kernel)).unwrap_or(12);
        // SAFETY: the pointer is to a whole sockaddr_nl of the length passed.
        done(unsafe { libc::connect(raw(&socket), (&raw const kernel).cast(), length) })?;
        Ok(Self { socket, sequence: Cell::new(0) })
    }

    /// Asks for something to be done, and waits until it is.
    ///
    /// # Errors
    /// The kernel's: `EPERM`, `ENODEV`, `EEXIST`, `EINVAL`, ...
    pub fn request(&self, message: &mut Message) -> io::Result<()> {
        self.exchange(message, NLM_F_ACK, &mut [0; ANSWER], |_, _| Ok(()))
    }

    /// Asks for one thing; `each` gets the kind and body of what comes before the last answer.
    ///
    /// # Errors
    /// The kernel's, `ENODEV` above all, and those of `each`.
    pub fn get(
        &self,
        message: &mut Message,
        each: impl FnMut(u16, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.exchange(message, NLM_F_ACK, &mut [0; ANSWER], each)
    }

    /// Asks for a list; `each` gets the kind and body of every entry. `begin` is called first,
    /// and again when the list changed under way and comes anew. `buffer` takes one packet of
    /// the kernel's: 32 KiB are enough for all.
    ///
    /// # Errors
    /// The kernel's, those of `each`, `EMSGSIZE` for a small buffer, `EAGAIN` for a list that
    /// never stays the same.
    pub fn list<T>(
        &self,
        message: &mut Message,
        buffer: &mut [u8],
        begin: impl Fn() -> T,
        mut each: impl FnMut(&mut T, u16, &[u8]) -> io::Result<()>,
    ) -> io::Result<T> {
        for _ in 0..AGAIN {
            let mut list = begin();
            let told = self
                .exchange(message, NLM_F_DUMP, buffer, |kind, body| each(&mut list, kind, body));
            match told {
                Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
                other => return other.map(|()| list),
            }
        }
        Err(errno(libc::EAGAIN).into())
    }

    /// `EINTR` is the answer for a list that changed under way.
    fn exchange(
        &self,
        message: &mut Message,
        flags: u16,
        buffer: &mut [u8],
        mut each: impl FnMut(u16, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        fd::write_all(&self.socket, message.finish(flags, sequence))?;
        let mut changed = false;
        loop {
            let length = self.receive(buffer)?;
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some((answer, after)) = Answer::first(rest) {
                rest = after;
                if answer.sequence != sequence {
                    continue;
                }
                changed |= answer.flags & NLM_F_DUMP_INTR != 0;
                match answer.kind {
                    NLMSG_ERROR | NLMSG_DONE => return answer.verdict(changed),
                    kind => each(kind, answer.body)?,
                }
            }
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (to, room) = (buffer.as_mut_ptr().cast(), buffer.len());
        // MSG_TRUNC makes the kernel return the true length.
        // SAFETY: the kernel writes at most `room` bytes.
        let length =
            retry(|| size(unsafe { libc::recv(raw(&self.socket), to, room, libc::MSG_TRUNC) }))?;
        match length {
            0 => Err(errno(libc::EPIPE).into()),
            more if more > room => Err(errno(libc::EMSGSIZE).into()),
            fits => Ok(fits),
        }
    }
}

/// One message of the kernel's.
struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

impl<'a> Answer<'a> {
    fn first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let length = usize::try_from(word(header, 0)?).ok()?;
        let body = bytes.get(HEADER..length)?;
        let rest = bytes.get(aligned(length)..).unwrap_or_default();
        let (kind, flags) = (half(header, 4)?, half(header, 6)?);
        Some((Self { kind, flags, sequence: word(header, 8)?, body }, rest))
    }

    /// The negative errno at the beginning of the last answer; 0 is success.
    fn verdict(&self, changed: bool) -> io::Result<()> {
        match word(self.body, 0).map(u32::cast_signed) {
            Some(code @ c_int::MIN..=-1) => Err(errno(code.saturating_neg()).into()),
            _ if changed => Err(errno(libc::EINTR).into()),
            _ => Ok(()),
        }
    }
}

/// The native-endian u32 at an offset.
pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

/// The native-endian u16 at an offset.
pub fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_ne_bytes(*half))
}

/// The attributes in `bytes`, as kind and value; ends at the first that is cut off.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(half(rest, 0)?);
        let kind = half(rest, 2)? & NLA_TYPE_MASK;
        let value = rest.get(ATTRIBUTE..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_out_as_they_went_in() {
        let mut message = Message::new(16, 0, &[7; 16]).unwrap();
        message.text(3, "eth0").unwrap().attribute(4, &1500_u32.to_ne_bytes()).unwrap();
        message.nested(18, |inside| inside.text(1, "veth").map(drop)).unwrap();
        let bytes = message.finish(NLM_F_ACK, 9).to_vec();
        let (answer, rest) = Answer::first(&bytes).unwrap();
        assert_eq!((answer.kind, answer.flags, answer.sequence, rest.len()), (16, 5, 9, 0));
        assert_eq!(answer.body[..16], [7; 16]);
        let told: Vec<_> = attributes(&answer.body[16..]).collect();
        assert_eq!(told[0], (3, &b"eth0\0"[..]));
        assert_eq!(told[1], (4, &1500_u32.to_ne_bytes()[..]));
        assert_eq!(told[2].0, 18);
        assert_eq!(attributes(told[2].1).next(), Some((1, &b"veth\0"[..])));
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn too_much_is_an_error_not_an_overflow() {
        let mut message = Message::new(16, 0, &[]).unwrap();
        let full = (0..1000).find_map(|_| message.attribute(1, &[0; 100]).err()).unwrap();
        assert_eq!(full.raw_os_error(), Some(libc::EMSGSIZE));
        assert!(message.length <= REQUEST);
        let mut message = Message::new(16, 0, &[]).unwrap();
        assert!(message.attribute(1, &vec![0; 70_000]).is_err());
        let mut message = Message::new(16, 0, &[]).unwrap();
        assert!(message.text(1, &"x".repeat(64)).is_err());
        assert!(Message::new(16, 0, &[0; REQUEST]).is_err());
    }

    #[test]
    fn broken_answers_end_the_list() {
        assert!(Answer::first(&[0; 8]).is_none());
        assert!(Answer::first(&[200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_none());
        assert!(Answer::first(&[0; 16]).is_none());
        assert_eq!(attributes(&[2, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[255, 255, 1, 0, 9]).count(), 0);
        assert_eq!(attributes(&[5, 0, 1, 0, 9]).next(), Some((1, &[9][..])));
    }

    #[test]
    fn kernel_refuses_with_its_errno() {
        let route = Route::open().unwrap();
        let mut none = Message::new(libc::RTM_GETLINK, 0, &[0; 16]).unwrap();
        none.text(libc::IFLA_IFNAME, "no such link").unwrap();
        let refused = route.request(&mut none).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn what_is_left_of_an_answer_is_not_the_next_one() {
        let route = Route::open().unwrap();
        let mut list = Message::new(libc::RTM_GETLINK, 0, &[0; 16]).unwrap();
        let full = |_: &mut (), _: u16, _: &[u8]| Err(errno(libc::ENOSPC).into());
        let given_up = route.list(&mut list, &mut [0; ANSWER], || (), full).unwrap_err();
        assert_eq!(given_up.raw_os_error(), Some(libc::ENOSPC));
        let mut lo = Message::new(libc::RTM_GETLINK, 0, &[0; 16]).unwrap();
        lo.text(libc::IFLA_IFNAME, "lo").unwrap();
        let mut told = 0;
        let count = |kind, body: &[u8]| {
            told += usize::from(kind == libc::RTM_NEWLINK && word(body, 4) == Some(1));
            Ok(())
        };
        route.get(&mut lo, count).unwrap();
        assert_eq!(told, 1);
    }
}
