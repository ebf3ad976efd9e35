//! One block of header: its fields, its checksum, its dialect.

use std::io;

use super::{BLOCK, Entry, Kind, broken};

/// A block that is a header: the checksum was right.
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

/// Which of the formats the block is in: says what the bytes behind the common fields are.
#[derive(PartialEq, Eq)]
enum Dialect {
    V7,
    Ustar,
    Star,
    Gnu,
}

impl<'a> Header<'a> {
    /// Checks the sum over the block.
    pub(super) fn of(block: &'a [u8; BLOCK]) -> io::Result<Self> {
        let wanted = number(&block[148..156]).ok_or_else(|| broken("no checksum in a header"))?;
        let summed = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { b' ' } else { *byte };
        let bytes = || block.iter().enumerate().map(summed);
        let unsigned: i64 = bytes().map(i64::from).sum();
        // Old archivers added signed characters.
        let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
        if wanted == unsigned || wanted == signed {
            return Ok(Self(block));
        }
        Err(broken("wrong checksum of a header"))
    }

    /// The type flag, not interpreted.
    pub(super) fn flag(&self) -> u8 {
        self.0[156]
    }

    /// Length of the data that follows.
    pub(super) fn size(&self) -> io::Result<u64> {
        let size = number(&self.0[124..136]).and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| broken("a size that is no number"))
    }

    /// All that is known from the block alone.
    pub(super) fn entry(&self) -> io::Result<Entry> {
        let field = |at: std::ops::Range<usize>, name: &str| {
            number(&self.0[at]).ok_or_else(|| broken(format!("{name} that is no number")))
        };
        let id = |at, name: &str| {
            u64::try_from(field(at, name)?).map_err(|_| broken(format!("{name} below zero")))
        };
        let dialect = self.dialect();
        let mut path = text(&self.0[..100]);
        let prefix = match dialect {
            Dialect::Ustar => text(&self.0[345..500]),
            Dialect::Star => text(&self.0[345..476]),
            Dialect::V7 | Dialect::Gnu => Vec::new(),
        };
        if !prefix.is_empty() {
            path = [prefix, path].join(&b'/');
        }
        let mode = field(100..108, "a mode")?;
        let kind = kind(self.flag(), &path);
        let device = match kind {
            Kind::CharDevice | Kind::BlockDevice if dialect != Dialect::V7 => {
                (narrow(field(329..337, "a major")?)?, narrow(field(337..345, "a minor")?)?)
            }
            _ => (0, 0),
        };
        let mut entry = Entry::new(kind, path, u32::try_from(mode & 0o7777).unwrap_or(0));
        entry.link = text(&self.0[157..257]);
        entry.uid = id(108..116, "an owner")?;
        entry.gid = id(116..124, "a group")?;
        entry.mtime = (field(136..148, "a time")?, 0);
        entry.device = device;
        Ok(entry)
    }

    /// GNU's old sparse header: pieces in this block, whether more blocks follow, the whole size.
    pub(super) fn sparse(&self) -> io::Result<(&'a [u8], bool, u64)> {
        let size = number(&self.0[483..495]).and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| broken("a sparse file without size"))?;
        Ok((&self.0[386..482], self.0[482] != 0, size))
    }

    fn dialect(&self) -> Dialect {
        match (&self.0[257..263], &self.0[263..265]) {
            (b"ustar\0", _) if &self.0[508..512] == b"tar\0" => Dialect::Star,
            (b"ustar\0", _) => Dialect::Ustar,
            (b"ustar ", b" \0") => Dialect::Gnu,
            _ => Dialect::V7,
        }
    }
}

fn kind(flag: u8, path: &[u8]) -> Kind {
    match flag {
        // Before POSIX a directory was a file whose name ends so.
        0 if path.ends_with(b"/") => Kind::Directory,
        // 7: contiguous file; S: GNU's sparse file.
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => Kind::Other(other),
    }
}

fn narrow(number: i64) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| broken("a device number out of range"))
}

/// The bytes before the first NUL.
fn text(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

/// Octal digits among spaces and NULs, or base 256 with the first bit set. An empty field is 0.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        return base256(field);
    }
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    digits[..end].iter().try_fold(0_i64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// GNU's and star's numbers: two's complement over all bytes, the first bit is the mark.
fn base256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let first = if negative { field[0] } else { field[0] & 0x7f };
    let start = if negative { -1_i64 } else { 0 };
    std::iter::once(first)
        .chain(field[1..].iter().copied())
        .try_fold(start, |sum, byte| sum.checked_mul(256)?.checked_add(i64::from(byte)))
}
