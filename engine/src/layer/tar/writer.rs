//! Writes archives: ustar headers, a pax header before each whose values do not fit.

use std::io::{self, Read, Write};

use super::{BLOCK, Entry, Kind};

/// An archive being written.
pub struct Writer<W> {
    output: W,
}

impl<W: Write> Writer<W> {
    /// Writes to `output`.
    pub fn new(output: W) -> Self {
        Self { output }
    }

    /// Appends an entry; `data` has [`Entry::size`] bytes, of which none are left out.
    ///
    /// # Errors
    /// `data` is shorter, or what writing fails with.
    pub fn append(&mut self, entry: &Entry, data: impl Read) -> io::Result<()> {
        let records = records(entry);
        if !records.is_empty() {
            let mut header = Entry::new(Kind::Other(b'x'), b"pax".to_vec(), 0o644);
            header.size = records.len() as u64;
            header.mtime.0 = entry.mtime.0.clamp(0, OCTAL_12);
            self.output.write_all(&block(&header))?;
            self.data(&records[..], header.size)?;
        }
        self.output.write_all(&block(entry))?;
        self.data(data, entry.size)
    }

    /// Appends a file of root's, mode 0644.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        let mut entry = Entry::new(Kind::File, path, 0o644);
        entry.size = content.len() as u64;
        self.append(&entry, content)
    }

    /// Writes the end of the archive.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn finish(mut self) -> io::Result<W> {
        self.output.write_all(&[0; 2 * BLOCK])?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn data(&mut self, data: impl Read, size: u64) -> io::Result<()> {
        let written = io::copy(&mut data.take(size), &mut self.output)?;
        if written < size {
            let why = format!("{written} bytes of {size} are there");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        self.output.write_all(&[0; BLOCK][..(BLOCK - over) % BLOCK])
    }
}

/// Largest number of 7 and of 11 octal digits.
const OCTAL_8: u64 = 0o7_777_777;
const OCTAL_12: i64 = 0o77_777_777_777;

/// The pax records that an entry needs.
fn records(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::new();
    if entry.path.len() > 100 || !entry.path.is_ascii() {
        record(&mut out, b"path", &entry.path);
    }
    if entry.link.len() > 100 || !entry.link.is_ascii() {
        record(&mut out, b"linkpath", &entry.link);
    }
    for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
        if id > OCTAL_8 {
            record(&mut out, key.as_bytes(), id.to_string().as_bytes());
        }
    }
    if entry.size > OCTAL_12.unsigned_abs() {
        record(&mut out, b"size", entry.size.to_string().as_bytes());
    }
    let (seconds, nanoseconds) = entry.mtime;
    if nanoseconds != 0 || !(0..=OCTAL_12).contains(&seconds) {
        record(&mut out, b"mtime", time(seconds, nanoseconds).as_bytes());
    }
    for (name, value) in &entry.xattrs {
        record(&mut out, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    out
}

/// Seconds and fraction as pax writes them: before 1970 the fraction counts downwards.
fn time(seconds: i64, nanoseconds: u32) -> String {
    match (seconds, nanoseconds) {
        (_, 0) => seconds.to_string(),
        (-1, _) => format!("-0.{:09}", 1_000_000_000 - nanoseconds),
        (..-1, _) => format!("{}.{:09}", seconds + 1, 1_000_000_000 - nanoseconds),
        _ => format!("{seconds}.{nanoseconds:09}"),
    }
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// The header; what does not fit is cut, the records have it.
fn block(entry: &Entry) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put(&mut block[..100], &entry.path);
    octal(&mut block[100..108], u64::from(entry.mode));
    octal(&mut block[108..116], entry.uid.min(OCTAL_8));
    octal(&mut block[116..124], entry.gid.min(OCTAL_8));
    octal(&mut block[124..136], entry.size.min(OCTAL_12.unsigned_abs()));
    octal(&mut block[136..148], entry.mtime.0.clamp(0, OCTAL_12).unsigned_abs());
    block[156] = match entry.kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
        Kind::Other(flag) => flag,
    };
    put(&mut block[157..257], &entry.link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    octal(&mut block[329..337], u64::from(entry.device.0).min(OCTAL_8));
    octal(&mut block[337..345], u64::from(entry.device.1).min(OCTAL_8));
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..155], sum);
    block[155] = b' ';
    block
}

fn put(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

/// Octal digits over the whole field but the last byte, which is NUL.
fn octal(field: &mut [u8], mut number: u64) {
    let Some((last, digits)) = field.split_last_mut() else { return };
    *last = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b"01234567"[usize::from(number.to_le_bytes()[0] & 7)];
        number >>= 3;
    }
}
