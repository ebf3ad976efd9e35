//! Listing a directory into a buffer of the caller's.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::sys::{check_long, errno, raw};

/// Offset of the record length in `struct linux_dirent64` (`getdents64(2)`).
const RECLEN: usize = 16;
/// Offset of the type.
const TYPE: usize = 18;
/// Offset of the name.
const NAME: usize = 19;

/// One name in a directory.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// The name.
    pub name: &'a CStr,
    /// `DT_*`; `DT_UNKNOWN` where the file system does not say.
    pub kind: u8,
    /// Inode number.
    pub ino: u64,
}

/// Reads a directory without allocating (`getdents64(2)`); `.` and `..` are left out.
#[derive(Debug)]
pub struct DirReader<'a> {
    dir: BorrowedFd<'a>,
    buffer: &'a mut [u8],
    from: usize,
    to: usize,
}

impl<'a> DirReader<'a> {
    /// Lists `dir`, opened for reading, from its current position on. A buffer of 512 bytes holds
    /// the longest name; more means fewer calls.
    pub fn new(dir: BorrowedFd<'a>, buffer: &'a mut [u8]) -> Self {
        Self { dir, buffer, from: 0, to: 0 }
    }

    /// The next name, `None` at the end.
    ///
    /// # Errors
    /// `EINVAL` when the buffer is too small; `ENOENT` when the directory is gone; `ENOTDIR`.
    pub fn next_entry(&mut self) -> io::Result<Option<DirEntry<'_>>> {
        loop {
            if self.from == self.to && !self.fill()? {
                return Ok(None);
            }
            let start = self.from;
            let record = &self.buffer[start..self.to];
            let length = match record.get(RECLEN..RECLEN + 2) {
                Some(&[a, b]) => usize::from(u16::from_ne_bytes([a, b])),
                _ => return Err(errno(libc::EIO).into()),
            };
            if length <= NAME || length > record.len() {
                return Err(errno(libc::EIO).into());
            }
            self.from += length;
            if !matches!(record[NAME..length], [b'.', 0, ..] | [b'.', b'.', 0, ..]) {
                return entry(&self.buffer[start..start + length]).map(Some);
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let (buffer, length) = (self.buffer.as_mut_ptr(), self.buffer.len());
        // SAFETY: the kernel writes at most `length` bytes into our buffer.
        let filled = check_long(unsafe {
            libc::syscall(libc::SYS_getdents64, raw(&self.dir.as_fd()), buffer, length)
        })?;
        self.from = 0;
        self.to = usize::try_from(filled).unwrap_or(0);
        Ok(self.to > 0)
    }
}

fn entry(record: &[u8]) -> io::Result<DirEntry<'_>> {
    let (Some(&ino), Some(&kind), Some(name)) =
        (record.first_chunk::<8>(), record.get(TYPE), record.get(NAME..))
    else {
        return Err(errno(libc::EIO).into());
    };
    let name = CStr::from_bytes_until_nul(name).map_err(|_| errno(libc::EIO))?;
    Ok(DirEntry { name, kind, ino: u64::from_ne_bytes(ino) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::open;

    #[test]
    fn lists_what_std_lists() {
        let dir = open(c"/etc", libc::O_RDONLY | libc::O_DIRECTORY).unwrap();
        let mut buffer = [0; 512];
        let mut reader = DirReader::new(dir.as_fd(), &mut buffer);
        let mut ours = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            assert_ne!(entry.ino, 0);
            ours.push(entry.name.to_str().unwrap().to_owned());
        }
        let mut theirs: Vec<_> = std::fs::read_dir("/etc")
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn small_buffer_is_an_error_not_an_end() {
        let dir = open(c"/etc", libc::O_RDONLY | libc::O_DIRECTORY).unwrap();
        let mut buffer = [0; 8];
        let mut reader = DirReader::new(dir.as_fd(), &mut buffer);
        assert_eq!(reader.next_entry().unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
