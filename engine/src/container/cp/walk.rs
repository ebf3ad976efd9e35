//! Reads a tree: entries of an archive, in the order of their names, for whoever writes them.
//!
//! One component at a time by descriptor, no link is followed, and what is opened is what was
//! looked at: somebody may be changing the tree. Devices are never opened.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat, fstat, fstatfs, openat};
use rustix::io::Errno;

use super::place::{kind, name_of, reopen};
use crate::layer::tar::{Entry, Kind, Writer};

/// Directories inside each other; each has a descriptor open.
const DEEPEST: usize = 500;
/// Most bytes of a file that the kernel makes up as it is read.
const GENERATED: u64 = 16 << 20;
/// File systems whose files do not say how long they are: proc, sysfs, cgroup, cgroup2.
const KERNEL: [i64; 4] = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270];

/// Where entries go.
pub(super) trait Sink {
    /// Takes an entry; `data` has the bytes that [`Entry::size`] or [`Entry::sparse`] promise.
    fn take(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<()>;

    /// Whether it knows what holes are.
    fn takes_holes(&self) -> bool;
}

impl<W: io::Write> Sink for Writer<W> {
    fn take(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<()> {
        self.append(entry, data)
    }

    fn takes_holes(&self) -> bool {
        false
    }
}

/// A tree being read.
pub(super) struct Walk<'a> {
    sink: &'a mut dyn Sink,
    /// Files with more than one name, by device and inode: the path they were seen at first.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// Path of the entry at work, as the archive has it.
    path: Vec<u8>,
    depth: usize,
    /// Bytes that the archive has or would have.
    pub(super) bytes: u64,
}

impl<'a> Walk<'a> {
    /// Reads for `sink`.
    pub(super) fn new(sink: &'a mut dyn Sink) -> Self {
        // An archive ends with two empty blocks.
        Self { sink, links: HashMap::new(), path: Vec::new(), depth: 0, bytes: 1024 }
    }

    /// The entry `name` of `dir` and all below it; `path` is what the archive calls it.
    ///
    /// # Errors
    /// Reading it or writing it fails; the words name the entry.
    pub(super) fn tree(&mut self, dir: impl AsFd, name: &[u8], path: &[u8]) -> io::Result<()> {
        self.path = path.to_vec();
        self.entry(dir, &CString::new(name)?).map_err(|error| {
            let path = String::from_utf8_lossy(&self.path);
            io::Error::new(error.kind(), format!("{path}: {}", crate::error::plain(&error)))
        })
    }

    fn entry(&mut self, dir: impl AsFd, name: &CStr) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(dir, name, flags, Mode::empty())?;
        let stat = fstat(&found)?;
        let mut entry = describe(&found, &stat, &self.path)?;
        if entry.kind == Kind::Directory {
            return self.directory(&found, entry);
        }
        if kind(&stat) == FileType::Socket {
            return Ok(());
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                (entry.kind, entry.size) = (Kind::HardLink, 0);
                entry.link.clone_from(first);
                return self.give(&entry, &mut io::empty());
            }
            self.links.insert((stat.st_dev, stat.st_ino), self.path.clone());
        }
        match entry.kind {
            Kind::File => self.file(&found, entry),
            _ => self.give(&entry, &mut io::empty()),
        }
    }

    fn directory(&mut self, found: &OwnedFd, mut entry: Entry) -> io::Result<()> {
        if self.depth == DEEPEST {
            let why = format!("more than {DEEPEST} directories inside each other");
            return Err(io::Error::other(why));
        }
        if !entry.path.ends_with(b"/") {
            entry.path.push(b'/');
        }
        self.give(&entry, &mut io::empty())?;
        let dir = reopen(found, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&dir)? {
            let name = entry?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name);
            }
        }
        names.sort();
        let whole = self.path.len();
        self.depth += 1;
        for name in names {
            if !self.path.ends_with(b"/") {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            match self.entry(&dir, &name) {
                // Somebody has removed it meanwhile.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {}
                other => other?,
            }
            self.path.truncate(whole);
        }
        self.depth -= 1;
        Ok(())
    }

    fn file(&mut self, found: &OwnedFd, mut entry: Entry) -> io::Result<()> {
        let mut file = File::from(reopen(found, OFlags::RDONLY | OFlags::NONBLOCK)?);
        if entry.size == 0 || KERNEL.contains(&fstatfs(&file)?.f_type) {
            let mut content = Vec::new();
            (&mut file).take(GENERATED).read_to_end(&mut content)?;
            entry.size = content.len() as u64;
            return self.give(&entry, &mut content.as_slice());
        }
        let size = entry.size;
        let holes = if self.sink.takes_holes() { pieces(&mut file, size)? } else { None };
        let Some(pieces) = holes else {
            return self.give(&entry, &mut Exact { file, pieces: vec![(0, size)], done: 0 });
        };
        entry.sparse = Some(pieces.clone());
        self.give(&entry, &mut Exact { file, pieces, done: 0 })
    }

    fn give(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<()> {
        self.bytes += 512 + entry.size.next_multiple_of(512);
        self.sink.take(entry, data)
    }
}

/// The entry of something open, by what the kernel says of it.
fn describe(found: &OwnedFd, stat: &Stat, path: &[u8]) -> io::Result<Entry> {
    let what = match kind(stat) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice => Kind::CharDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        _ => Kind::Fifo,
    };
    let mut entry = Entry::new(what, path, stat.st_mode & 0o7777);
    (entry.uid, entry.gid) = (stat.st_uid.into(), stat.st_gid.into());
    entry.mtime = (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
    entry.xattrs = attributes(found)?;
    match what {
        Kind::File => entry.size = u64::try_from(stat.st_size).unwrap_or(0),
        Kind::Symlink => {
            entry.link = rustix::fs::readlinkat(found, c"", Vec::new())?.into_bytes();
        }
        Kind::CharDevice | Kind::BlockDevice => {
            entry.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        }
        _ => {}
    }
    Ok(entry)
}

/// Extended attributes; overlayfs's own and labels, which are the machine's, are left out.
fn attributes(found: &OwnedFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = name_of(found);
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::listxattr(path.as_str(), names.as_mut_slice()) {
        Err(Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => return Ok(Vec::new()),
        other => other?,
    };
    let mut all = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name == b"security.selinux" || name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        match rustix::fs::getxattr(path.as_str(), name, value.as_mut_slice()) {
            // Gone meanwhile, or only told of.
            Err(Errno::NODATA | Errno::NOTSUP) => continue,
            other => value.truncate(other?),
        }
        all.push((name.to_vec(), value));
    }
    Ok(all)
}

/// Where a file has data, `None` when it has no holes (lseek(2), `SEEK_DATA`).
fn pieces(file: &mut File, size: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
    let stat = fstat(&*file)?;
    if u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) >= size {
        return Ok(None);
    }
    let mut found = Vec::new();
    let mut at = 0;
    while at < size {
        let begin = match rustix::fs::seek(&*file, rustix::fs::SeekFrom::Data(at)) {
            Ok(begin) if begin < size => begin,
            // No data behind it.
            Ok(_) | Err(Errno::NXIO) => break,
            // This file system does not tell.
            Err(Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        at = rustix::fs::seek(&*file, rustix::fs::SeekFrom::Hole(begin))?.min(size);
        found.push((begin, at - begin));
    }
    file.rewind()?;
    Ok(Some(found))
}

/// The pieces of a file, one after the other, and not a byte less: it may become shorter while it
/// is read.
struct Exact {
    file: File,
    pieces: Vec<(u64, u64)>,
    /// Bytes of the first piece that were read.
    done: u64,
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pieces.first().is_some_and(|(_, length)| *length == self.done) {
            self.pieces.remove(0);
            self.done = 0;
        }
        let Some((begin, length)) = self.pieces.first().copied() else { return Ok(0) };
        if self.done == 0 {
            self.file.seek(SeekFrom::Start(begin))?;
        }
        let left = usize::try_from(length - self.done).unwrap_or(usize::MAX).min(buffer.len());
        match self.file.read(&mut buffer[..left])? {
            0 if left > 0 => Err(io::Error::other("it became shorter while it was read")),
            read => {
                self.done += read as u64;
                Ok(read)
            }
        }
    }
}
