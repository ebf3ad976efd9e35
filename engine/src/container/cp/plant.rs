//! Writes entries of an archive into a tree that is there, by Docker's rules: directories are
//! merged, everything else is replaced, a directory never takes the place of a file or the reverse.
//!
//! The archive may be hostile, and so may be who owns the tree: directories are opened below the
//! root by descriptor, files are made anew, and no link is written through.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, fstat, linkat,
    makedev, mkdirat, mknodat, openat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::place::{Root, base, clean, kind, name_of, parent};
use super::walk::Sink;
use crate::layer::tar::{Entry, Kind};

/// Whose the copies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// As in the archive.
    Kept,
    /// The caller's: nothing is changed.
    Caller,
    /// This user's and group's.
    Given(u32, u32),
}

/// A tree being written.
pub(super) struct Plant<'a> {
    root: &'a Root,
    /// The directory that entries go into, below the root.
    into: Vec<u8>,
    /// The same in the user's words.
    shown: Vec<u8>,
    owner: Owner,
    /// The directory that was used last.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Times of directories, set at the end: every entry made in one changes it.
    times: BTreeMap<Vec<u8>, (i64, u32)>,
}

impl Sink for Plant<'_> {
    fn take(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<()> {
        let path = inside(&entry.path)?;
        if path == b"/" {
            return match entry.kind {
                // The directory is there, and stays as it is.
                Kind::Directory => Ok(()),
                _ => Err(refused("an entry has no name".into())),
            };
        }
        let above = parent(&path).to_vec();
        let dir = self.directory(&above)?;
        let name = base(&path);
        let exists = self.make_way(&dir, name, entry, &path)?;
        match entry.kind {
            Kind::Directory => self.make_directory(&dir, &path, entry, exists)?,
            Kind::File => self.file(&dir, name, entry, data)?,
            Kind::HardLink => self.hard_link(&dir, &path, entry)?,
            Kind::Symlink => {
                symlinkat(entry.link.as_slice(), &dir, name)?;
                self.describe_at(&dir, name, entry)?;
            }
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => self.node(&dir, name, entry)?,
            Kind::Other(flag) => {
                let flag = char::from(flag).escape_default();
                return Err(refused(format!("entries of type '{flag}' are not known")));
            }
        }
        self.last = Some((above, dir));
        Ok(())
    }

    fn takes_holes(&self) -> bool {
        true
    }
}

impl<'a> Plant<'a> {
    /// Writes into the directory `into` below `root`; `shown` is what it is called in errors.
    pub(super) fn new(root: &'a Root, into: &[u8], shown: &[u8], owner: Owner) -> Self {
        let (into, shown) = (into.to_vec(), clean(shown));
        Self { root, into, shown, owner, last: None, times: BTreeMap::new() }
    }

    /// Sets the times of all directories; nothing is made in them any more.
    pub(super) fn finish(mut self) -> io::Result<()> {
        for (path, time) in std::mem::take(&mut self.times) {
            match self.open(&path) {
                Ok(dir) => rustix::fs::futimens(dir, &times(time))?,
                // Somebody has removed it meanwhile.
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn open(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        self.root.directory(&[self.into.as_slice(), path].concat())
    }

    /// The directory at `path` below ours; what is missing is made, as Docker does.
    fn directory(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        if let Some((last, dir)) = self.last.take()
            && last == path
        {
            return Ok(dir);
        }
        match self.open(path) {
            Err(Errno::NOENT) if !path.is_empty() => {}
            other => return Ok(other?),
        }
        let above = self.directory(parent(path))?;
        match mkdirat(&above, base(path), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(self.open(path)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes away what stands in the way of an entry; whether a directory is there that it goes
    /// into.
    fn make_way(&self, dir: &OwnedFd, name: &[u8], entry: &Entry, path: &[u8]) -> io::Result<bool> {
        let found = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            other => kind(&other?) == FileType::Directory,
        };
        let at = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let whole = || at(&clean(&[self.shown.as_slice(), path].concat()));
        match (found, entry.kind == Kind::Directory) {
            (true, true) => return Ok(true),
            (true, false) => {
                let (path, dir) = (whole(), at(&self.shown));
                let why = format!("cannot overwrite directory {path:?} with non-directory {dir:?}");
                return Err(refused(why));
            }
            (false, true) => {
                let (path, dir) = (whole(), at(&self.shown));
                let why = format!("cannot overwrite non-directory {path:?} with directory {dir:?}");
                return Err(refused(why));
            }
            (false, false) => {}
        }
        if entry.kind == Kind::HardLink && inside(&entry.link)? == path {
            return Err(refused("a hard link to itself".into()));
        }
        match unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(false),
            Err(Errno::BUSY) => Err(io::Error::other(format!(
                "{} is a mount of its own and cannot be replaced: device or resource busy",
                whole()
            ))),
            Err(error) => Err(error.into()),
        }
    }

    fn make_directory(
        &mut self,
        dir: &OwnedFd,
        path: &[u8],
        entry: &Entry,
        exists: bool,
    ) -> io::Result<()> {
        let name = base(path);
        if !exists {
            mkdirat(dir, name, Mode::RWXU)?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(dir, name, flags, Mode::empty())?;
        self.describe(&made, entry)?;
        self.times.insert(path.to_vec(), entry.mtime);
        Ok(())
    }

    fn file(
        &self,
        dir: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        data: &mut dyn Read,
    ) -> io::Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?);
        let mut copy = |file: &mut File, length| match io::copy(&mut data.take(length), file)? {
            copied if copied == length => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        };
        match &entry.sparse {
            None => copy(&mut file, entry.size)?,
            Some(pieces) => {
                for (offset, length) in pieces {
                    file.seek(SeekFrom::Start(*offset))?;
                    copy(&mut file, *length)?;
                }
                file.set_len(entry.size)?;
            }
        }
        self.describe(&file, entry)?;
        Ok(rustix::fs::futimens(&file, &times(entry.mtime))?)
    }

    fn hard_link(&self, dir: &OwnedFd, path: &[u8], entry: &Entry) -> io::Result<()> {
        let target = inside(&entry.link)?;
        let there = self.open(parent(&target))?;
        Ok(linkat(there, base(&target), dir, base(path), AtFlags::empty())?)
    }

    fn node(&self, dir: &OwnedFd, name: &[u8], entry: &Entry) -> io::Result<()> {
        let what = match entry.kind {
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = makedev(entry.device.0, entry.device.1);
        mknodat(dir, name, what, Mode::empty(), device)?;
        self.describe_at(dir, name, entry)?;
        // Only of what was made just now, whatever stands at its name.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(dir, name, flags, Mode::empty())?;
        if kind(&fstat(&made)?) == what {
            rustix::fs::chmod(name_of(&made), Mode::from_raw_mode(entry.mode))?;
        }
        Ok(())
    }

    /// Whose it is to be, `None` to leave it.
    fn ids(&self, entry: &Entry) -> io::Result<Option<(Uid, Gid)>> {
        // The largest number means "leave it" to the kernel.
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        let wrong = || refused("its owner or group is out of range".into());
        let (uid, gid) = match self.owner {
            Owner::Caller => return Ok(None),
            Owner::Given(uid, gid) => (uid, gid),
            Owner::Kept => (id(entry.uid).ok_or_else(wrong)?, id(entry.gid).ok_or_else(wrong)?),
        };
        Ok(Some((Uid::from_raw(uid), Gid::from_raw(gid))))
    }

    /// Owner, attributes and permissions, in this order: a new owner takes set-id bits and
    /// capabilities away.
    fn describe(&self, file: &impl AsFd, entry: &Entry) -> io::Result<()> {
        if let Some((uid, gid)) = self.ids(entry)? {
            rustix::fs::fchown(file, Some(uid), Some(gid))?;
        }
        for (name, value) in attributes(entry) {
            attribute(rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()), name)?;
        }
        Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))?)
    }

    /// Owner, attributes and time of what is not opened: a link, a device.
    fn describe_at(&self, dir: &OwnedFd, name: &[u8], entry: &Entry) -> io::Result<()> {
        if let Some((uid, gid)) = self.ids(entry)? {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(dir, name, Some(uid), Some(gid), flags)?;
        }
        for (key, value) in attributes(entry) {
            // No call takes a directory and a name: the directory is named by its descriptor.
            let path = [name_of(dir).as_bytes(), b"/", name].concat();
            let set = rustix::fs::lsetxattr(path.as_slice(), key, value, XattrFlags::empty());
            attribute(set, key)?;
        }
        Ok(utimensat(dir, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// The path of an entry below the destination, with a slash in front.
///
/// # Errors
/// It leads above the destination.
fn inside(path: &[u8]) -> io::Result<Vec<u8>> {
    let mut depth = 0_usize;
    for part in path.split(|byte| *byte == b'/') {
        depth = match part {
            b"" | b"." => depth,
            b".." => depth.checked_sub(1).ok_or_else(|| {
                let path = String::from_utf8_lossy(path).into_owned();
                refused(format!("invalid tar header: {path:?} leads out of the destination"))
            })?,
            _ => depth + 1,
        };
    }
    Ok(clean(path))
}

fn attributes(entry: &Entry) -> impl Iterator<Item = (&OsStr, &[u8])> {
    let wanted = entry.xattrs.iter().filter(|(name, _)| !name.starts_with(b"trusted.overlay."));
    wanted.map(|(name, value)| (OsStr::from_bytes(name), value.as_slice()))
}

/// A file system without attributes, and a user who may not set them, are no reason to refuse.
fn attribute(set: rustix::io::Result<()>, name: &OsStr) -> io::Result<()> {
    match set {
        Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
        Err(error) => {
            let why = crate::error::plain(&error.into());
            Err(io::Error::other(format!("attribute {}: {why}", name.display())))
        }
    }
}

fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Something that is well-formed and not allowed.
fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_below_the_destination() {
        let dir = crate::testing::dir();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        std::fs::create_dir_all(root.join("in")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        let root_fd = Root::of(File::open(&root).unwrap().into());
        let mut plant = Plant::new(&root_fd, b"/in", b"/in", Owner::Caller);
        let mut link = Entry::new(Kind::Symlink, "link", 0o777);
        link.link = outside.to_str().unwrap().into();
        plant.take(&link, &mut io::empty()).unwrap();
        let mut file = Entry::new(Kind::File, "link/x", 0o600);
        file.size = 1;
        // Below the root there is no such directory, and a link is not replaced by one.
        assert!(plant.take(&file, &mut &b"x"[..]).is_err());
        file.path = b"../../x".to_vec();
        let error = plant.take(&file, &mut &b"x"[..]).unwrap_err();
        assert!(error.to_string().contains("leads out"), "{error}");
        file.path = b"new/../a/b/x".to_vec();
        plant.take(&file, &mut &b"x"[..]).unwrap();
        assert_eq!(std::fs::read(root.join("in/a/b/x")).unwrap(), b"x");
        assert!(std::fs::read_dir(&outside).unwrap().next().is_none());
        let mut hard = Entry::new(Kind::HardLink, "a/hard", 0);
        hard.link = b"../x".to_vec();
        assert!(plant.take(&hard, &mut io::empty()).is_err());
        hard.link = b"a/b/x".to_vec();
        plant.take(&hard, &mut io::empty()).unwrap();
        let error = plant.take(&Entry::new(Kind::Directory, "a/hard", 0o755), &mut io::empty());
        let words = "cannot overwrite non-directory \"/in/a/hard\" with directory \"/in\"";
        assert_eq!(error.unwrap_err().to_string(), words);
        let error = plant.take(&Entry::new(Kind::Fifo, "a/b", 0o755), &mut io::empty());
        assert!(error.unwrap_err().to_string().starts_with("cannot overwrite directory"));
        plant.finish().unwrap();
    }
}
