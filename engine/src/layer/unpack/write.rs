//! How an entry is written: made anew, then owner, attributes, permissions, time, in this order,
//! because a change of the owner takes set-id bits and capabilities away.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, linkat, makedev,
    mkdirat, mknodat, openat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::place::{is_whiteout, open_below, open_made, set_opaque, split};
use super::{Layer, clean, refused};
use crate::layer::tar::{Entry, Kind};

/// Names of attributes that would change how overlayfs looks things up.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

impl Layer {
    /// The entry of the root itself.
    pub(super) fn root_directory(&mut self, entry: &Entry) -> io::Result<()> {
        if entry.kind != Kind::Directory {
            return Err(refused("the root of a layer is a directory"));
        }
        describe(&self.root, entry)?;
        self.has_root = true;
        self.times.insert(Vec::new(), entry.mtime);
        Ok(())
    }

    pub(super) fn make_directory(
        &mut self,
        dir: &OwnedFd,
        path: &[u8],
        name: &[u8],
        entry: &Entry,
    ) -> io::Result<()> {
        match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => mkdirat(dir, name, Mode::RWXU)?,
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
            Ok(stat) => {
                self.clear(dir, path, name)?;
                mkdirat(dir, name, Mode::RWXU)?;
                if is_whiteout(&stat) {
                    set_opaque(&open_made(dir, name)?)?;
                }
            }
            Err(error) => return Err(error.into()),
        }
        describe(&open_made(dir, name)?, entry)?;
        self.loose.parents.remove(path);
        self.times.insert(path.to_vec(), entry.mtime);
        Ok(())
    }

    pub(super) fn file(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        data: &mut impl Read,
    ) -> io::Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let make = || openat(dir, name, flags, Mode::RUSR | Mode::WUSR);
        let made = self.replacing(dir, name, entry, make)?;
        let mut file = File::from(made);
        match &entry.sparse {
            None => copy(data, &mut file, entry.size, &mut self.buffer)?,
            Some(pieces) => {
                for (offset, length) in pieces {
                    file.seek(SeekFrom::Start(*offset))?;
                    copy(data, &mut file, *length, &mut self.buffer)?;
                }
                file.set_len(entry.size)?;
            }
        }
        describe(&file, entry)?;
        rustix::fs::futimens(&file, &times(entry.mtime))?;
        Ok(())
    }

    pub(super) fn symlink(&mut self, dir: &OwnedFd, name: &[u8], entry: &Entry) -> io::Result<()> {
        let make = || symlinkat(entry.link.as_slice(), dir, name);
        self.replacing(dir, name, entry, make)?;
        describe_at(dir, name, entry)
    }

    pub(super) fn node(&mut self, dir: &OwnedFd, name: &[u8], entry: &Entry) -> io::Result<()> {
        let kind = match entry.kind {
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = makedev(entry.device.0, entry.device.1);
        let make = || mknodat(dir, name, kind, Mode::empty(), device);
        self.replacing(dir, name, entry, make)?;
        describe_at(dir, name, entry)?;
        // It was made a moment ago and is no link.
        rustix::fs::chmodat(dir, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
        Ok(())
    }

    pub(super) fn hard_link(
        &mut self,
        dir: &OwnedFd,
        path: &[u8],
        name: &[u8],
        entry: &Entry,
    ) -> io::Result<()> {
        let target = clean(&entry.link)?;
        let (parent, last) = split(&target).ok_or_else(|| refused("a hard link to the root"))?;
        if target == path {
            return Err(refused("a hard link to itself"));
        }
        let there = match open_below(&self.root, parent) {
            Ok(there) => there,
            Err(Errno::NOENT) => {
                self.loose.links.push((path.to_vec(), target));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match statat(&there, last, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {
                self.loose.links.push((path.to_vec(), target));
                return Ok(());
            }
            Ok(stat) if is_whiteout(&stat) => {
                return Err(refused("a hard link to what is deleted"));
            }
            other => drop(other?),
        }
        let make = || linkat(&there, last, dir, name, AtFlags::empty());
        self.replacing(dir, name, entry, make)
    }

    /// Makes what must be new; what stands in its place goes.
    fn replacing<T>(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> io::Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                self.clear(dir, &clean(&entry.path)?, name)?;
                Ok(make()?)
            }
            other => Ok(other?),
        }
    }

    /// Sets the times of all directories; nothing is made in them any more.
    pub(super) fn set_times(&mut self) -> io::Result<()> {
        for (path, time) in std::mem::take(&mut self.times) {
            rustix::fs::futimens(open_below(&self.root, &path)?, &times(time))?;
        }
        Ok(())
    }
}

/// Copies exactly `length` bytes.
fn copy(data: &mut impl Read, file: &mut File, length: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut rest = length;
    while rest > 0 {
        let most = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
        let read = match data.read(&mut buffer[..most]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        file.write_all(&buffer[..read])?;
        rest -= read as u64;
    }
    Ok(())
}

/// Owner, attributes and permissions of something open.
fn describe(file: &impl AsFd, entry: &Entry) -> io::Result<()> {
    let (uid, gid) = owner(entry)?;
    rustix::fs::fchown(file, Some(uid), Some(gid))?;
    for (name, value) in attributes(entry) {
        attribute(rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()), name)?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))?;
    Ok(())
}

/// Owner, attributes and time of something that is not opened: a link, a device.
fn describe_at(dir: &OwnedFd, name: &[u8], entry: &Entry) -> io::Result<()> {
    let (uid, gid) = owner(entry)?;
    rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    for (key, value) in attributes(entry) {
        // There is no call for a link by descriptor; the directory is named by its own.
        let path = [format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(), name].concat();
        attribute(rustix::fs::lsetxattr(path.as_slice(), key, value, XattrFlags::empty()), key)?;
    }
    utimensat(dir, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn owner(entry: &Entry) -> io::Result<(Uid, Gid)> {
    // The largest number means "leave it" to the kernel.
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    let wrong = || refused("its owner or group is out of range");
    let uid = id(entry.uid).ok_or_else(wrong)?;
    Ok((Uid::from_raw(uid), Gid::from_raw(id(entry.gid).ok_or_else(wrong)?)))
}

fn attributes(entry: &Entry) -> impl Iterator<Item = (&OsStr, &[u8])> {
    let ours = |name: &[u8]| OVERLAY.iter().any(|prefix| name.starts_with(prefix));
    let wanted = entry.xattrs.iter().filter(move |(name, _)| !ours(name));
    wanted.map(|(name, value)| (OsStr::from_bytes(name), value.as_slice()))
}

/// A file system without attributes, as of Docker, is no reason to refuse an image.
fn attribute(set: rustix::io::Result<()>, name: &OsStr) -> io::Result<()> {
    match set {
        Ok(()) | Err(Errno::NOTSUP) => Ok(()),
        Err(error) => {
            let error = io::Error::from(error);
            let why = format!("attribute {}: {}", name.display(), crate::error::plain(&error));
            Err(io::Error::new(error.kind(), why))
        }
    }
}

fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}
