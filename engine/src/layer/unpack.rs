//! Writes a layer's archive into an empty directory, as overlayfs wants to find it.
//!
//! The archive is hostile. Every path is cleaned, then opened below the directory's descriptor
//! with `RESOLVE_IN_ROOT`, so that no link and no `..` leads out; what exists is replaced, never
//! written through. Deletions become overlayfs's own: `.wh.NAME` a character device 0/0,
//! `.wh..wh..opq` the attribute `trusted.overlay.opaque` (image-spec, layer.md, "Whiteouts").
//! Attributes of overlayfs that an archive brings are left out: they would redirect lookups.
//!
//! A layer may name directories and files that only layers beneath it have. They are collected in
//! [`Loose`] and completed by [`super::settle`], which knows what is beneath.

mod place;
mod write;

pub(super) use place::{join, open_below, open_in, set_opaque, split};

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::compress;
use super::tar::{Entry, Kind, Reader};
use crate::error::{Error, Result};
use crate::store::digest::{Digest, Hashing};

/// Most entries of one layer.
const ENTRIES: u64 = 10_000_000;
/// Most bytes of one layer's files.
const BYTES: u64 = 1 << 40;
/// Longest path, as the kernel's `PATH_MAX`.
const PATH: usize = 4096;
/// What is read at once.
const BUFFER: usize = 256 << 10;

/// What a layer refers to and does not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loose {
    /// Directories that no entry describes, made because something is in them.
    pub parents: BTreeSet<Vec<u8>>,
    /// Hard links to files of layers beneath: new name, target.
    pub links: Vec<(Vec<u8>, Vec<u8>)>,
    /// All of the layers beneath is hidden: the root itself is opaque.
    pub opaque: bool,
}

impl Loose {
    /// The layer means the same on whatever layers it lies.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty() && self.links.is_empty() && !self.opaque
    }
}

/// A layer that was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// Digest of the archive without compression.
    pub diff_id: Digest,
    /// Bytes of the archive without compression.
    pub tar_size: u64,
    /// Bytes of the files in it: what Docker shows as the size of a layer.
    pub size: u64,
    /// An entry says what the root directory is like.
    pub has_root: bool,
    /// What is left to do.
    pub loose: Loose,
}

/// A layer being written.
struct Layer {
    root: OwnedFd,
    /// The directory that was used last, by its path.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Times of directories, set at the end: every entry made in one changes it.
    times: BTreeMap<Vec<u8>, (i64, u32)>,
    loose: Loose,
    has_root: bool,
    entries: u64,
    bytes: u64,
    /// Content on its way into a file.
    buffer: Vec<u8>,
}

/// Unpacks `stream`, compressed or not, into the directory `dest`, which is made. Reads to the end
/// of the stream.
///
/// # Errors
/// The archive is broken, leads out of the directory or is larger than layers may be; the disk is
/// full. What was written stays: `dest` is part of something that is thrown away then.
pub fn unpack(stream: impl Read, dest: &Path) -> Result<Unpacked> {
    let what = || format!("cannot unpack a layer into {}", dest.display());
    let wrong = |error: &io::Error| Error::new(what()).why(crate::error::plain(error));
    let mut layer = Layer::make(dest).map_err(|error| wrong(&error))?;
    let (_, stream) =
        compress::decompress(BufReader::with_capacity(BUFFER, stream)).map_err(|e| wrong(&e))?;
    let mut archive = Reader::new(BufReader::with_capacity(BUFFER, Hashing::new(stream)));
    while let Some(entry) = archive.next_entry().map_err(|error| wrong(&error))? {
        let added = layer.add(&entry, &mut archive);
        added.map_err(|error| {
            let entry = String::from_utf8_lossy(&entry.path).into_owned();
            Error::new(format!("{}: entry {entry:?}", what())).why(crate::error::plain(&error))
        })?;
    }
    archive.drain().map_err(|error| wrong(&error))?;
    layer.set_times().map_err(|error| wrong(&error))?;
    let hashing = archive.into_inner().into_inner();
    let tar_size = hashing.passed();
    Ok(Unpacked {
        diff_id: hashing.finish().0,
        tar_size,
        size: layer.bytes,
        has_root: layer.has_root,
        loose: layer.loose,
    })
}

/// Whether a stream is an archive that [`unpack`] can read: its first header is right.
///
/// # Errors
/// It is none; what reading fails with.
pub fn probe(stream: impl BufRead) -> io::Result<()> {
    let (_, stream) = compress::decompress(stream)?;
    Reader::new(stream).next_entry().map(drop)
}

impl Layer {
    fn make(dest: &Path) -> io::Result<Self> {
        rustix::fs::mkdirat(CWD, dest, Mode::from_raw_mode(0o755))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, dest, flags, Mode::empty())?;
        // The umask may have taken something away.
        rustix::fs::fchmod(&root, Mode::from_raw_mode(0o755))?;
        Ok(Self {
            root,
            last: None,
            times: BTreeMap::new(),
            loose: Loose::default(),
            has_root: false,
            entries: 0,
            bytes: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Writes one entry.
    fn add(&mut self, entry: &Entry, data: &mut impl Read) -> io::Result<()> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(entry.size);
        if self.entries > ENTRIES || self.bytes > BYTES {
            return Err(refused("the layer has more entries or bytes than a layer may have"));
        }
        let path = clean(&entry.path)?;
        let Some((parent, name)) = split(&path) else {
            return self.root_directory(entry);
        };
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            return self.whiteout(parent, hidden);
        }
        let dir = self.directory(parent)?;
        match entry.kind {
            Kind::Directory => self.make_directory(&dir, &path, name, entry)?,
            Kind::File => self.file(&dir, name, entry, data)?,
            Kind::HardLink => self.hard_link(&dir, &path, name, entry)?,
            Kind::Symlink => self.symlink(&dir, name, entry)?,
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => self.node(&dir, name, entry)?,
            Kind::Other(flag) => {
                let flag = char::from(flag).escape_default();
                return Err(refused(&format!("entries of type '{flag}' mean nothing in a layer")));
            }
        }
        self.last = Some((parent.to_vec(), dir));
        Ok(())
    }
}

/// The path without `.`, `//`, a slash in front or behind, and with `..` taken back.
///
/// # Errors
/// It leads above the top, or is longer than paths are.
pub(super) fn clean(path: &[u8]) -> io::Result<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.pop().is_none() => {
                return Err(refused("its path leads out of the layer"));
            }
            b".." => {}
            part => parts.push(part),
        }
    }
    let path = parts.join(&b'/');
    if path.len() >= PATH {
        return Err(rustix::io::Errno::NAMETOOLONG.into());
    }
    Ok(path)
}

/// Something that is well-formed and not allowed.
fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
