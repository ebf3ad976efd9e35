//! The other part of the kernel that speaks netlink: packet filtering (`NETLINK_NETFILTER`).
//!
//! Changes of nftables come in batches that happen whole or not at all
//! (`linux/netfilter/nfnetlink.h`, `net/netfilter/nfnetlink.c`); which table and which elements is
//! the caller's matter. Connection tracking takes single requests.

use std::io;

use super::{ANSWER, Answer, HEADER, Message, NLM_F_ACK, NLMSG_ERROR, Route, errno, fd};

/// `NFNL_MSG_BATCH_BEGIN`.
const BATCH_BEGIN: u16 = 0x10;
/// `NFNL_MSG_BATCH_END`.
const BATCH_END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES`.
const NFTABLES: u16 = 10;
/// `struct nfgenmsg`.
const GENERAL: usize = 4;

/// A connection to netfilter, in the network namespace that the calling thread had when it was
/// opened.
#[derive(Debug)]
pub struct Netfilter(Route);

impl Netfilter {
    /// Opens one.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` when the kernel has no netfilter; `EMFILE`.
    pub fn open() -> io::Result<Self> {
        Route::open_to(libc::NETLINK_NETFILTER).map(Self)
    }

    /// A message of nftables of `kind` (`NFT_MSG_*`) about tables of `family` (`NFPROTO_*`).
    ///
    /// # Errors
    /// None in practice: the message is empty yet.
    pub fn nftables(kind: u8, flags: u16, family: u8) -> io::Result<Message> {
        Message::new(NFTABLES << 8 | u16::from(kind), flags, &[family, 0, 0, 0])
    }

    /// Sends messages of nftables as one batch, and waits for the verdict. `buffer` takes the
    /// batch: the messages, and 64 bytes more.
    ///
    /// # Errors
    /// The kernel's for the first message that it refuses, nothing has changed then; `EMSGSIZE`
    /// for a small buffer.
    pub fn batch(&self, messages: &mut [Message], buffer: &mut [u8]) -> io::Result<()> {
        let Some(end) = messages.len().checked_sub(1) else { return Ok(()) };
        let mut sequence = self.0.sequence.get().wrapping_add(1);
        let first = sequence;
        let id = NFTABLES.to_be_bytes();
        let edge: [u8; GENERAL] = [0, 0, id[0], id[1]];
        let mut length = 0;
        append(buffer, &mut length, Message::new(BATCH_BEGIN, 0, &edge)?.finish(0, sequence))?;
        for (n, message) in messages.iter_mut().enumerate() {
            sequence = sequence.wrapping_add(1);
            let flags = if n == end { NLM_F_ACK } else { 0 };
            append(buffer, &mut length, message.finish(flags, sequence))?;
        }
        let last = sequence;
        self.0.sequence.set(sequence.wrapping_add(1));
        let mut finish = Message::new(BATCH_END, 0, &edge)?;
        append(buffer, &mut length, finish.finish(0, last.wrapping_add(1)))?;
        fd::write_all(&self.0.socket, buffer.get(..length).unwrap_or_default())?;
        self.verdict(first, last)
    }

    /// Asks netfilter for one thing that is no batch: connection tracking, queues, logs.
    ///
    /// # Errors
    /// As [`Route::request`].
    pub fn request(&self, message: &mut Message) -> io::Result<()> {
        self.0.request(message)
    }

    /// As [`Route::list`], for a list of netfilter's.
    ///
    /// # Errors
    /// As [`Route::list`].
    pub fn list<T>(
        &self,
        message: &mut Message,
        buffer: &mut [u8],
        begin: impl Fn() -> T,
        each: impl FnMut(&mut T, u16, &[u8]) -> io::Result<()>,
    ) -> io::Result<T> {
        self.0.list(message, buffer, begin, each)
    }

    /// The first answer that is a refusal, or the acknowledgement of the last message. A failed
    /// commit is told as an answer to the batch's beginning.
    fn verdict(&self, first: u32, last: u32) -> io::Result<()> {
        let mut buffer = [0; ANSWER];
        loop {
            let length = self.0.receive(&mut buffer)?;
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some((answer, after)) = Answer::first(rest) {
                rest = after;
                let ours = answer.sequence.wrapping_sub(first) <= last.wrapping_sub(first);
                if !ours || answer.kind != NLMSG_ERROR {
                    continue;
                }
                answer.verdict(false)?;
                if answer.sequence == last {
                    return Ok(());
                }
            }
        }
    }
}

fn append(buffer: &mut [u8], length: &mut usize, message: &[u8]) -> io::Result<()> {
    let end = *length + message.len().next_multiple_of(4);
    let room = buffer.get_mut(*length..end).ok_or_else(|| errno(libc::EMSGSIZE))?;
    room.fill(0);
    room.iter_mut().zip(message).for_each(|(to, from)| *to = *from);
    *length = end;
    Ok(())
}

const _: () = assert!(HEADER + GENERAL <= 32, "two edges fit into the 64 bytes promised");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_refused_with_its_own_errno() {
        let Ok(netfilter) = Netfilter::open() else { return };
        // NFT_MSG_DELTABLE of a table that nobody has: ENOENT, or EPERM without the capability.
        let mut message = Netfilter::nftables(2, 0, 1).unwrap();
        message.text(1, "corten-no-such-table").unwrap();
        let refused = netfilter.batch(&mut [message], &mut [0; 1024]).unwrap_err();
        let known = [libc::ENOENT, libc::EPERM, libc::EOPNOTSUPP, libc::EINVAL];
        assert!(refused.raw_os_error().is_some_and(|errno| known.contains(&errno)), "{refused}");
    }

    #[test]
    fn a_small_buffer_is_an_error_not_half_a_batch() {
        let Ok(netfilter) = Netfilter::open() else { return };
        let message = Netfilter::nftables(2, 0, 1).unwrap();
        let refused = netfilter.batch(&mut [message], &mut [0; 30]).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EMSGSIZE));
        assert!(netfilter.batch(&mut [], &mut []).is_ok());
    }
}
