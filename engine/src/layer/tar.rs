//! Tar archives as images use them: ustar, GNU, pax, star and v7, sparse files of every kind.
//!
//! [`Reader`] streams: it never seeks and holds one entry's header at a time, whose extensions
//! may take at most [`SPECIAL`] bytes. What an entry *means* is decided by its reader. [`Writer`]
//! writes ustar with pax records where a value does not fit.
//! Sources: pax(1) "pax Interchange Format", GNU tar manual "Basic Tar Format" and "Storing Sparse
//! Files".

mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

use std::io;

pub use reader::Reader;
pub use writer::Writer;

/// Bytes of a block: headers are one, data is padded to it.
pub const BLOCK: usize = 512;
/// Longest extension of a header (pax records, long names, maps of sparse files).
pub const SPECIAL: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; data follows.
    File,
    /// Another name of an entry before it, [`Entry::link`].
    HardLink,
    /// A symbolic link to [`Entry::link`].
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// Anything else, with its type flag: a volume label, a dump directory.
    Other(u8),
}

/// One entry of an archive, extensions applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, as it stands there: any bytes but NUL.
    pub path: Vec<u8>,
    /// Target of a link.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions with set-id and sticky bits, nothing else.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of a file, holes included; 0 for everything else.
    pub size: u64,
    /// Time of the last change of the data: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Offset and length of each piece of a sparse file; the data is their concatenation.
    pub sparse: Option<Vec<(u64, u64)>>,
}

impl Entry {
    /// An entry of root's with nothing in it.
    pub fn new(kind: Kind, path: impl Into<Vec<u8>>, mode: u32) -> Self {
        Self {
            path: path.into(),
            link: Vec::new(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: (0, 0),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        }
    }
}

/// The archive is not what it says it is.
fn broken(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("broken tar archive: {}", why.into()))
}

#[cfg(test)]
mod tests;
