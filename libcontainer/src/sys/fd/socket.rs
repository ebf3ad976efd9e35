//! Unix sockets, and fds sent through them.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_int, c_void};

use crate::sys::{done, errno, owned, raw, retry, size};

/// Room for the control messages of more fds than anyone sends us; what does not fit is closed by
/// the kernel and told by `MSG_CTRUNC`.
const CONTROL: usize = 64;

/// A buffer for control messages with the alignment of `struct cmsghdr`.
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Two ends of a connection that keeps messages apart (`socketpair(2)`, `SOCK_SEQPACKET`).
///
/// # Errors
/// `EMFILE`, `ENFILE`.
pub fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [c_int; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel stores two fds.
    done(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    // SAFETY: both are new and nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// A stream socket, not connected, non-blocking (`unix(7)`).
///
/// # Errors
/// `EMFILE`, `ENFILE`.
pub fn unix_stream() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes no pointers.
    owned(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })
}

/// A datagram socket, not connected, non-blocking (`unix(7)`).
///
/// # Errors
/// `EMFILE`, `ENFILE`.
pub fn unix_datagram() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes no pointers.
    owned(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })
}

/// The address of these bytes: a path, or NUL and an abstract name (`unix(7)`).
fn address_of(bytes: &[u8]) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: sockaddr_un is plain data for which all zeroes are valid.
    let mut name: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    name.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).unwrap_or(1);
    if bytes.is_empty() || bytes.len() >= name.sun_path.len() {
        return Err(errno(libc::ENAMETOOLONG).into());
    }
    for (to, from) in name.sun_path.iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let terminator = usize::from(bytes.first() != Some(&0));
    let length = offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + terminator;
    let length = libc::socklen_t::try_from(length).map_err(|_| errno(libc::ENAMETOOLONG))?;
    Ok((name, length))
}

/// Connects to the address of these bytes: a path, or NUL and an abstract name (`connect(2)`).
///
/// # Errors
/// `ENAMETOOLONG` over 107 bytes; `ENOENT`; `ECONNREFUSED` when nobody listens; `EAGAIN` when the
/// listener's queue is full and the socket non-blocking; `EPROTOTYPE` for another kind of socket.
pub fn connect_unix(socket: impl AsFd, address: &[u8]) -> io::Result<()> {
    let (name, length) = address_of(address)?;
    // SAFETY: the pointer is to a sockaddr_un of which `length` bytes are filled.
    retry(|| done(unsafe { libc::connect(raw(&socket), (&raw const name).cast(), length) }))
}

/// Gives the socket this address, see [`connect_unix`]; a path is made with the umask applied
/// (`bind(2)`).
///
/// # Errors
/// `ENAMETOOLONG` over 107 bytes; `EADDRINUSE` when the path exists; `ENOENT`; `EROFS`.
pub fn bind_unix(socket: impl AsFd, address: &[u8]) -> io::Result<()> {
    let (name, length) = address_of(address)?;
    // SAFETY: the pointer is to a sockaddr_un of which `length` bytes are filled.
    done(unsafe { libc::bind(raw(&socket), (&raw const name).cast(), length) })
}

fn message(bytes: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: msghdr is plain data for which all zeroes are valid.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = bytes;
    header.msg_iovlen = 1;
    header
}

/// Sends one message, and with it an fd (`sendmsg(2)`, `SCM_RIGHTS`); returns the bytes taken.
/// A stream passes an fd only together with at least one byte.
///
/// # Errors
/// `EPIPE` (never the signal) when the other side is gone; `EAGAIN`; `ETOOMANYREFS`.
pub fn send_with_fd(
    socket: impl AsFd,
    bytes: &[u8],
    fd: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut part =
        libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast::<c_void>(), iov_len: bytes.len() };
    let mut header = message(&mut part);
    let mut control = Control([0; CONTROL]);
    if let Some(fd) = fd {
        let payload = u32::try_from(size_of::<RawFd>()).unwrap_or(4);
        header.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: pure arithmetic; 24 of 64 bytes on 64-bit kernels.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(payload) } as _;
        // SAFETY: the control buffer is aligned and longer than one header with its payload.
        unsafe {
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(payload) as _;
            libc::CMSG_DATA(first).cast::<RawFd>().write_unaligned(fd.as_raw_fd());
        }
    }
    // SAFETY: the header points to buffers that live through the call; sendmsg only reads them.
    retry(|| size(unsafe { libc::sendmsg(raw(&socket), &raw const header, libc::MSG_NOSIGNAL) }))
}

/// Receives one message and the fd that came with it (`recvmsg(2)`); 0 bytes is the end.
/// Of several fds the first is kept and the others are closed.
///
/// # Errors
/// `EMSGSIZE` when the buffer was too small for the message, `EPROTO` when fds got lost on the
/// way; `EAGAIN`; `ECONNRESET`.
pub fn recv_with_fd(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut part =
        libc::iovec { iov_base: buffer.as_mut_ptr().cast::<c_void>(), iov_len: buffer.len() };
    let mut header = message(&mut part);
    let mut control = Control([0; CONTROL]);
    let received = retry(|| {
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL as _;
        let flags = libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the header points to buffers of the lengths it says, alive through the call.
        size(unsafe { libc::recvmsg(raw(&socket), &raw mut header, flags) })
    })?;
    let fd = received_fd(&header);
    if header.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(errno(libc::EPROTO).into());
    }
    if header.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(errno(libc::EMSGSIZE).into());
    }
    Ok((received, fd))
}

/// Owns all fds of a received message and keeps the first.
#[allow(clippy::unnecessary_cast, reason = "cmsg_len is narrower with other C libraries")]
fn received_fd(header: &libc::msghdr) -> Option<OwnedFd> {
    let mut kept = None;
    // SAFETY: the header was filled by recvmsg and its control buffer is still alive.
    let mut current = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !current.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return headers that lie inside the buffer.
        let (level, kind, length) =
            unsafe { ((*current).cmsg_level, (*current).cmsg_type, (*current).cmsg_len) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            // SAFETY: pure arithmetic.
            let payload = (length as usize).saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize);
            for index in 0..payload / size_of::<RawFd>() {
                // SAFETY: the kernel put `payload` bytes of new fds there; each is taken once.
                let fd = unsafe {
                    let data = libc::CMSG_DATA(current).cast::<RawFd>().add(index);
                    OwnedFd::from_raw_fd(data.read_unaligned())
                };
                kept.get_or_insert(fd);
            }
        }
        // SAFETY: as for the first header.
        current = unsafe { libc::CMSG_NXTHDR(header, current) };
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::{fstat, memfd};

    #[test]
    fn fd_travels_with_its_message() {
        let (a, b) = seqpacket_pair().unwrap();
        let file = memfd(c"travel", 0).unwrap();
        assert_eq!(send_with_fd(&a, b"here", Some(file.as_fd())).unwrap(), 4);
        assert_eq!(send_with_fd(&a, b"none", None).unwrap(), 4);
        let mut buffer = [0; 16];
        let (n, fd) = recv_with_fd(&b, &mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"here");
        assert_eq!(fstat(fd.unwrap()).unwrap().ino, fstat(&file).unwrap().ino);
        let (n, fd) = recv_with_fd(&b, &mut buffer).unwrap();
        assert_eq!((n, fd.is_none()), (4, true));
        assert_eq!(send_with_fd(&a, b"long", None).unwrap(), 4);
        let cut = recv_with_fd(&b, &mut buffer[..2]).unwrap_err();
        assert_eq!(cut.raw_os_error(), Some(libc::EMSGSIZE));
        drop(a);
        assert_eq!(recv_with_fd(&b, &mut buffer).unwrap().0, 0);
        assert_eq!(send_with_fd(&b, b"x", None).unwrap_err().raw_os_error(), Some(libc::EPIPE));
    }

    #[test]
    fn addresses_are_checked() {
        let socket = unix_stream().unwrap();
        let long = connect_unix(&socket, &[b'a'; 108]).unwrap_err();
        assert_eq!(long.raw_os_error(), Some(libc::ENAMETOOLONG));
        let none = connect_unix(&socket, b"/no/such/socket").unwrap_err();
        assert_eq!(none.raw_os_error(), Some(libc::ENOENT));
        let datagram = unix_datagram().unwrap();
        assert!(connect_unix(&datagram, b"\0corten nobody listens").is_err());
    }
}
