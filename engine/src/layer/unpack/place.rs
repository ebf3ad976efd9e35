//! Where an entry goes: directories below the layer's root, opened so that nothing leads out.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, makedev, mkdirat, openat, openat2,
    readlinkat, statat, unlinkat,
};
use rustix::io::Errno;

use super::{Layer, refused};
use crate::layer::overlay::OPAQUE;

/// Most symbolic links on one path, as the kernel's.
const LINKS: usize = 40;

/// Parent and last part of a clean path; `None` for the root itself.
pub(in crate::layer) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    match path.iter().rposition(|byte| *byte == b'/') {
        _ if path.is_empty() => None,
        Some(slash) => Some((&path[..slash], &path[slash + 1..])),
        None => Some((b"", path)),
    }
}

/// Opens the directory `path` below `root`; links in it are followed as if `root` were `/`.
pub(in crate::layer) fn open_below(root: impl AsFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open_in(root, path, flags)
}

/// Opens anything below `root` with `flags`.
pub(in crate::layer) fn open_in(
    root: impl AsFd,
    path: &[u8],
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Something was renamed meanwhile.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Whether a file is overlayfs's mark of a deletion.
pub(in crate::layer) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

impl Layer {
    /// The directory at the clean path `path`; what is missing is made and is loose.
    pub(super) fn directory(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        if let Some((last, dir)) = self.last.take()
            && last == path
        {
            return Ok(dir);
        }
        match open_below(&self.root, path) {
            Ok(dir) => Ok(dir),
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_way(path),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the directories of `path` that are missing, one after the other.
    fn make_way(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        let mut todo: Vec<Vec<u8>> = parts(path);
        let mut done: Vec<u8> = Vec::new();
        let mut here = open_below(&self.root, b"")?;
        let mut links = 0;
        while let Some(part) = todo.pop() {
            let next = join(&done, &part);
            match open_below(&self.root, &next) {
                Ok(dir) => (here, done) = (dir, next),
                Err(Errno::NOENT | Errno::NOTDIR) => match self.step(&here, &next, &part)? {
                    None => {
                        here = open_below(&self.root, &next)?;
                        done = next;
                    }
                    Some(target) => {
                        links += 1;
                        if links > LINKS {
                            return Err(Errno::LOOP.into());
                        }
                        if target.starts_with(b"/") {
                            done.clear();
                            here = open_below(&self.root, b"")?;
                        }
                        todo.extend(parts(&target));
                    }
                },
                Err(error) => return Err(error.into()),
            }
        }
        Ok(here)
    }

    /// Makes the directory `part` in `here`; where a link with no target is, returns the target.
    fn step(&mut self, here: &OwnedFd, path: &[u8], part: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let stat = match statat(here, part, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        match stat.map(|stat| (is_whiteout(&stat), FileType::from_raw_mode(stat.st_mode))) {
            None => {
                self.make_plain(here, part)?;
                self.loose.parents.insert(path.to_vec());
                Ok(None)
            }
            // What was beneath is gone, and this is new.
            Some((true, _)) => {
                unlinkat(here, part, AtFlags::empty())?;
                let dir = self.make_plain(here, part)?;
                set_opaque(&dir)?;
                Ok(None)
            }
            Some((false, FileType::Symlink)) => {
                Ok(Some(readlinkat(here, part, Vec::new())?.into_bytes()))
            }
            Some((false, _)) => {
                let path = String::from_utf8_lossy(path);
                Err(refused(&format!("{path:?} above it is no directory")))
            }
        }
    }

    /// A directory as it is when nobody says how: root's, mode 0755.
    pub(super) fn make_plain(&self, dir: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
        let mode = Mode::from_raw_mode(0o755);
        mkdirat(dir, name, mode)?;
        let made = open_made(dir, name)?;
        rustix::fs::fchmod(&made, mode)?;
        Ok(made)
    }

    /// Takes away what is at `name`, whole; the directory used last may have been in it.
    pub(super) fn clear(&mut self, dir: &OwnedFd, path: &[u8], name: &[u8]) -> io::Result<()> {
        crate::fsutil::remove_tree_at(dir, name)?;
        let below = |other: &Vec<u8>| {
            other.starts_with(path) && matches!(other.get(path.len()), None | Some(b'/'))
        };
        self.loose.parents.retain(|parent| !below(parent));
        self.times.retain(|dir, _| !below(dir));
        self.last = None;
        Ok(())
    }

    /// `.wh.NAME`, of which `name` is NAME, in the directory `parent`.
    pub(super) fn whiteout(&mut self, parent: &[u8], name: &[u8]) -> io::Result<()> {
        match name {
            b".wh..opq" if parent.is_empty() => {
                self.loose.opaque = true;
                return Ok(());
            }
            b".wh..opq" => {
                let dir = self.directory(parent)?;
                set_opaque(&dir)?;
                self.last = Some((parent.to_vec(), dir));
                return Ok(());
            }
            b"" | b"." | b".." => return Err(refused("a deletion of nothing")),
            // Bookkeeping of aufs (`.wh..wh.plnk`, `.wh..wh.orph`): says nothing about files.
            name if name.starts_with(b".wh.") => return Ok(()),
            _ => {}
        }
        let dir = self.directory(parent)?;
        match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {
                let none = Mode::empty();
                let device = makedev(0, 0);
                rustix::fs::mknodat(&dir, name, FileType::CharacterDevice, none, device)?;
            }
            // A deletion is about the layers beneath: what this layer has stays.
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                set_opaque(&open_made(&dir, name)?)?;
            }
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        self.last = Some((parent.to_vec(), dir));
        Ok(())
    }
}

/// Opens a directory that stands in `dir` itself.
pub(super) fn open_made(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// Hides what layers beneath have in the directory `dir`.
pub(in crate::layer) fn set_opaque(dir: &OwnedFd) -> io::Result<()> {
    rustix::fs::fsetxattr(dir, OPAQUE, b"y", rustix::fs::XattrFlags::empty())?;
    Ok(())
}

/// Parts of a path, the first one last.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

pub(in crate::layer) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, name].join(&b'/') }
}
