//! The messages of the domain name system that a lookup of addresses needs (RFC 1035).
//!
//! Only questions for A and AAAA, and the addresses out of their answers: a name server that
//! recurses puts the whole chain of aliases into one answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of record asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// IPv4.
    A,
    /// IPv6.
    Aaaa,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
        }
    }
}

/// What a name server said.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// The addresses; none when the name has others only.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    NoName,
    /// It did not fit into a datagram: ask again over TCP.
    Truncated,
    /// The server cannot tell; the number is its code.
    Failed(u8),
}

const CLASS_IN: u16 = 1;
/// A response to a standard query.
const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
const TRUNCATED: u8 = 0x02;
const RECURSION_DESIRED: u8 = 0x01;

/// A question, or `None` when `name` cannot be a name: parts of 1 to 63 bytes, 253 in all.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > 253 {
        return None;
    }
    let mut out = Vec::with_capacity(name.len() + 18);
    out.extend(id.to_be_bytes());
    out.extend([RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for part in name.split('.') {
        let length = u8::try_from(part.len()).ok().filter(|length| (1..64).contains(length))?;
        out.push(length);
        out.extend(part.bytes());
    }
    out.push(0);
    out.extend(kind.number().to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    Some(out)
}

/// The answer to `question`, or `None` when the message is not one, or is broken.
pub(super) fn answer(question: &[u8], kind: Kind, message: &[u8]) -> Option<Answer> {
    let asked = question.get(12..)?;
    let flags = message.get(2..4)?;
    let (high, low) = (*flags.first()?, *flags.get(1)?);
    let ours = message.get(..2)? == question.get(..2)?
        && high & RESPONSE != 0
        && high & OPCODE == 0
        && number(message, 4)? == 1
        && message.get(12..12 + asked.len())?.eq_ignore_ascii_case(asked);
    if !ours {
        return None;
    }
    if high & TRUNCATED != 0 {
        return Some(Answer::Truncated);
    }
    match low & 0x0f {
        0 => {}
        3 => return Some(Answer::NoName),
        code => return Some(Answer::Failed(code)),
    }
    let mut at = 12 + asked.len();
    let mut addresses = Vec::new();
    for _ in 0..number(message, 6)? {
        at = skip_name(message, at)?;
        let (record, class) = (number(message, at)?, number(message, at + 2)?);
        let length = usize::from(number(message, at + 8)?);
        let data = message.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        if record == kind.number() && class == CLASS_IN {
            addresses.push(address(data)?);
        }
    }
    Some(Answer::Addresses(addresses))
}

fn number(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn address(data: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(data) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(data).ok().map(|sixteen| Ipv6Addr::from(sixteen).into())
}

/// Where the name at `at` ends; a pointer is the end of it.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = *message.get(at)?;
        match length {
            0 => return Some(at + 1),
            1..64 => at += 1 + usize::from(length),
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Kind, answer, question};

    /// An answer to `question` with an alias before the records.
    pub(super) fn reply(question: &[u8], code: u8, kind: u16, records: &[&[u8]]) -> Vec<u8> {
        let mut out = question.to_vec();
        out[2] = 0x81;
        out[3] = 0x80 | code;
        out[7] = u8::try_from(records.len() + 1).unwrap();
        out.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'x', 0xc0, 12]);
        for data in records {
            out.extend([1, b'x', 0xc0, 12]);
            out.extend(kind.to_be_bytes());
            out.extend([0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap()]);
            out.extend(*data);
        }
        out
    }

    #[test]
    fn addresses_are_found_behind_aliases() {
        let asked = question(7, "registry.example.org", Kind::A).unwrap();
        let message = reply(&asked, 0, 1, &[&[10, 0, 0, 1], &[10, 0, 0, 2]]);
        let want = vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        assert_eq!(answer(&asked, Kind::A, &message), Some(Answer::Addresses(want)));
        let asked = question(7, "x.", Kind::Aaaa).unwrap();
        let message = reply(&asked, 0, 28, &[&[0; 16]]);
        let want = vec!["::".parse().unwrap()];
        assert_eq!(answer(&asked, Kind::Aaaa, &message), Some(Answer::Addresses(want)));
        assert_eq!(answer(&asked, Kind::Aaaa, &reply(&asked, 3, 28, &[])), Some(Answer::NoName));
        assert_eq!(answer(&asked, Kind::Aaaa, &reply(&asked, 2, 28, &[])), Some(Answer::Failed(2)));
        let mut cut = reply(&asked, 0, 28, &[]);
        cut[2] |= 2;
        assert_eq!(answer(&asked, Kind::Aaaa, &cut), Some(Answer::Truncated));
    }

    #[test]
    fn what_is_no_answer_is_not_taken() {
        let asked = question(7, "a.b", Kind::A).unwrap();
        let good = reply(&asked, 0, 1, &[&[10, 0, 0, 1]]);
        let mut other_id = good.clone();
        other_id[1] ^= 1;
        let mut other_name = good.clone();
        other_name[13] = b'z';
        for message in [&other_id, &other_name, &asked] {
            assert_eq!(answer(&asked, Kind::A, message), None);
        }
        assert!(question(7, &"a".repeat(64), Kind::A).is_none());
        assert!(question(7, "a..b", Kind::A).is_none());
        assert!(question(7, &"ab.".repeat(90), Kind::A).is_none());
    }

    /// Every cut and every changed byte: an answer or none, never the end of the process.
    #[test]
    fn broken_messages_are_refused() {
        let asked = question(7, "a.b", Kind::A).unwrap();
        let good = reply(&asked, 0, 1, &[&[10, 0, 0, 1]]);
        for length in 0..good.len() {
            assert!(answer(&asked, Kind::A, &good[..length]).is_none());
        }
        for at in 0..good.len() {
            for value in 0..=255 {
                let mut message = good.clone();
                message[at] = value;
                let _ = answer(&asked, Kind::A, &message);
            }
        }
    }
}
