//! Completes a layer with what only the layers beneath it know.
//!
//! A directory that no entry described gets the attributes that it has beneath; where a symbolic
//! link stands beneath, what was put in moves to where the link points, as it would when the
//! archive is applied to the merged tree. A hard link to a file beneath becomes a copy of it, and
//! a root that hides everything becomes one deletion for each name beneath. The result depends on
//! what is beneath, so such a layer is not shared by its diff id alone.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
    fstat, futimens, makedev, mknodat, openat, readlinkat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::overlay;
use super::unpack::{Loose, join, open_below, split};
use crate::error::{Result, What};

/// A layer being completed.
struct Settling {
    root: OwnedFd,
    beneath: OwnedFd,
    /// Directories that still look like nobody described them.
    parents: BTreeSet<Vec<u8>>,
}

/// Completes the layer in `dir`, which lies on `beneath`, the top layer last.
///
/// # Errors
/// A hard link's target is in no layer; the disk is full.
pub fn settle(dir: &Path, loose: &Loose, has_root: bool, beneath: &[PathBuf]) -> Result<()> {
    let what = || format!("cannot complete the layer in {}", dir.display());
    if beneath.is_empty() {
        let lost = loose.links.first().map(|(name, target)| lost(name, target));
        return lost.map_or(Ok(()), |error| Err(error).what(what));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, dir, flags, Mode::empty()).what(what)?;
    let beneath = overlay::view(beneath)?;
    let mut settling = Settling { root, beneath, parents: loose.parents.clone() };
    settling.all(loose, has_root).what(what)
}

fn lost(name: &[u8], target: &[u8]) -> io::Error {
    let [name, target] = [name, target].map(String::from_utf8_lossy);
    let why = format!("{name:?} is a hard link to {target:?}, which no layer has");
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Settling {
    fn all(&mut self, loose: &Loose, has_root: bool) -> io::Result<()> {
        for (name, target) in &loose.links {
            self.copy(name, target)?;
        }
        while let Some(path) = self.parents.pop_first() {
            self.parent(&path)?;
        }
        if !has_root {
            take_attributes(&self.look(b"", OFlags::RDONLY)?, &self.root)?;
        }
        if loose.opaque {
            self.hide_all()?;
        }
        Ok(())
    }

    fn look(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        overlay::look(&self.beneath, path, flags)
    }

    /// One directory that nobody described.
    fn parent(&mut self, path: &[u8]) -> io::Result<()> {
        let found = match self.look(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let real = self.real(&found)?;
        if real == path {
            return take_attributes(&found, &open_below(&self.root, path)?);
        }
        self.relocate(path, &real)
    }

    /// Where a directory beneath really is: its path without links.
    fn real(&self, dir: &OwnedFd) -> io::Result<Vec<u8>> {
        let name = |dir: &OwnedFd| {
            let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
            readlinkat(CWD, link, Vec::new()).map(std::ffi::CString::into_bytes)
        };
        let (top, dir) = (name(&self.beneath)?, name(dir)?);
        let below = dir.strip_prefix(top.strip_suffix(b"/").unwrap_or(&top));
        let below = below.map(|below| below.strip_prefix(b"/").unwrap_or(below));
        below.map(<[u8]>::to_vec).ok_or_else(|| Errno::XDEV.into())
    }

    /// Moves what is in `from` to `to`, which may not be there yet.
    fn relocate(&mut self, from: &[u8], to: &[u8]) -> io::Result<()> {
        let mut made = Vec::new();
        for part in to.split(|byte| *byte == b'/') {
            let above = open_below(&self.root, &made)?;
            made = join(&made, part);
            match rustix::fs::mkdirat(&above, part, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    self.parents.insert(made.clone());
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        merge(&open_below(&self.root, from)?, &open_below(&self.root, to)?)?;
        if let Some((above, name)) = split(from) {
            unlinkat(open_below(&self.root, above)?, name, AtFlags::REMOVEDIR)?;
        }
        // What was below the old place is below the new one now.
        let old = [from, b"/"].concat();
        let moved: Vec<_> = self.parents.iter().filter(|p| p.starts_with(&old)).cloned().collect();
        for path in moved {
            self.parents.remove(&path);
            self.parents.insert(join(to, &path[old.len()..]));
        }
        Ok(())
    }

    /// A hard link whose target is beneath: the file as it is there, under the new name.
    fn copy(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        let found = match self.look(target, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(lost(name, target)),
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&found)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let why = "a hard link to something beneath that is no regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let (above, name) = split(name).unwrap_or_default();
        let above = open_below(&self.root, above)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mut copy =
            File::from(openat(&above, name, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?);
        let mut found = File::from(found);
        io::copy(&mut found, &mut copy)?;
        take_attributes(&found.into(), &copy.into())
    }

    /// One deletion for every name beneath that this layer does not have.
    fn hide_all(&self) -> io::Result<()> {
        for entry in Dir::read_from(self.look(b"", OFlags::RDONLY)?)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            match statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {
                    let kind = FileType::CharacterDevice;
                    mknodat(&self.root, name, kind, Mode::empty(), makedev(0, 0))?;
                }
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    super::unpack::set_opaque(&open_below(&self.root, name.to_bytes())?)?;
                }
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Moves everything of one directory into another; what is in both and no directory is replaced.
fn merge(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let names = Dir::read_from(from)?.map(|entry| Ok(entry?.file_name().to_owned()));
    for name in names.collect::<io::Result<Vec<_>>>()? {
        if name.as_c_str() == c"." || name.as_c_str() == c".." {
            continue;
        }
        let inner = |dir: &OwnedFd| openat(dir, &name, flags, Mode::empty());
        match (inner(from), inner(to)) {
            (Ok(from_inner), Ok(to_inner)) => {
                merge(&from_inner, &to_inner)?;
                unlinkat(from, &name, AtFlags::REMOVEDIR)?;
            }
            _ => {
                crate::fsutil::remove_tree_at(to, name.as_c_str())?;
                renameat(from, &name, to, &name)?;
            }
        }
    }
    Ok(())
}

/// Gives `to` owner, attributes, permissions and times of `from`.
fn take_attributes(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let stat: Stat = fstat(from)?;
    rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    for (name, value) in attributes(from)? {
        match rustix::fs::fsetxattr(to, name.as_c_str(), &value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let nanoseconds = |part| i64::try_from(part).unwrap_or(0);
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: nanoseconds(stat.st_mtime_nsec) };
    futimens(to, &Timestamps { last_access: time, last_modification: time })?;
    Ok(())
}

/// Extended attributes, overlayfs's own left out.
fn attributes(file: &OwnedFd) -> io::Result<Vec<(std::ffi::CString, Vec<u8>)>> {
    let mut names = vec![0_u8; 64 << 10];
    let length = match rustix::fs::flistxattr(file, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if std::ffi::OsStr::from_bytes(name).as_bytes().starts_with(b"trusted.overlay.") {
            continue;
        }
        let name = std::ffi::CString::new(name)?;
        let mut value = vec![0_u8; 64 << 10];
        let length = rustix::fs::fgetxattr(file, name.as_c_str(), value.as_mut_slice())?;
        value.truncate(length);
        found.push((name, value));
    }
    Ok(found)
}
