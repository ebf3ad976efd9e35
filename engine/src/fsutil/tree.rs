//! Whole trees: how large they are, and how they go away.
//!
//! Everything is relative to descriptors and no symbolic link is followed: the trees come from
//! images, and somebody may be changing them.

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use libcontainer::sys::fd::statx_mnt_id;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

/// Flags to open a directory of an untrusted tree.
const DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes `path` and all below it; it may be missing. Does not cross into another mount, be it of
/// the same file system: what is mounted below stays, and is an error.
///
/// # Errors
/// `EXDEV` at a mount, `EBUSY`, `EPERM` at an immutable file; what could be removed is gone.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    remove_tree_at(CWD, path)
}

/// As [`remove_tree`], with a path relative to the directory `at`.
///
/// # Errors
/// As [`remove_tree`].
pub fn remove_tree_at(at: impl AsFd, path: impl Arg + Copy) -> io::Result<()> {
    match unlinkat(&at, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let dir = openat(&at, path, DIR, Mode::empty())?;
    empty(&dir, statx_mnt_id(&dir)?)?;
    match unlinkat(&at, path, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes all that is in `top`. Depth is bounded by memory only: one descriptor a level would
/// run out, so the way back is taken by `..`.
fn empty(top: &OwnedFd, mount: u64) -> io::Result<()> {
    let mut here = top.try_clone()?;
    let mut names: Vec<CString> = Vec::new();
    loop {
        match one_level(&here, mount)? {
            Some((inner, name)) => {
                here = inner;
                names.push(name);
            }
            None => {
                let Some(name) = names.pop() else { return Ok(()) };
                let up = openat(&here, c"..", DIR, Mode::empty())?;
                unlinkat(&up, &name, AtFlags::REMOVEDIR)?;
                here = up;
            }
        }
    }
}

/// Removes everything in `dir` but directories that are not empty; returns the first of those.
fn one_level(dir: &OwnedFd, mount: u64) -> io::Result<Option<(OwnedFd, CString)>> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            match unlinkat(dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                let inner = openat(dir, name, DIR, Mode::empty())?;
                if statx_mnt_id(&inner)? != mount {
                    return Err(Errno::XDEV.into());
                }
                return Ok(Some((inner, name.to_owned())));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Bytes on disk below `path` (blocks of every inode, hard links once), 0 where it is missing.
///
/// # Errors
/// A directory cannot be read.
pub fn usage(path: &Path) -> io::Result<u64> {
    let mut here = match openat(CWD, path, DIR, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let mut seen = HashSet::new();
    let mut sum = 0;
    let mut levels = vec![count(&here, &mut seen, &mut sum)?];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.pop() else {
            levels.pop();
            if !levels.is_empty() {
                here = openat(&here, c"..", DIR, Mode::empty())?;
            }
            continue;
        };
        match openat(&here, &name, DIR, Mode::empty()) {
            Ok(inner) => here = inner,
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(error) => return Err(error.into()),
        }
        levels.push(count(&here, &mut seen, &mut sum)?);
    }
    Ok(sum)
}

/// Adds what the entries of `dir` take to `sum`; returns the names of its directories.
fn count(dir: &OwnedFd, seen: &mut HashSet<u64>, sum: &mut u64) -> io::Result<Vec<CString>> {
    let mut inner = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            inner.push(name.to_owned());
        } else if stat.st_nlink > 1 && !seen.insert(stat.st_ino) {
            continue;
        }
        *sum += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
    }
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_descriptors_goes_and_its_links_are_not_followed() {
        let dir = crate::testing::dir();
        let kept = dir.path().join("kept");
        std::fs::write(&kept, "x").unwrap();
        let top = dir.path().join("top");
        std::fs::create_dir(&top).unwrap();
        std::os::unix::fs::symlink(dir.path(), top.join("link")).unwrap();
        let mut here = openat(CWD, &top, DIR, Mode::empty()).unwrap();
        for _ in 0..1200 {
            rustix::fs::mkdirat(&here, c"deep", Mode::RWXU).unwrap();
            here = openat(&here, c"deep", DIR, Mode::empty()).unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists() && kept.exists());
        remove_tree(&kept).unwrap();
        remove_tree(&kept).unwrap();
        assert!(!kept.exists());
    }

    #[test]
    fn a_hard_link_is_counted_once() {
        let dir = crate::testing::dir();
        std::fs::write(dir.path().join("a"), vec![1; 100_000]).unwrap();
        let once = usage(dir.path()).unwrap();
        std::fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert_eq!(usage(dir.path()).unwrap(), once);
        assert!(once >= 100_000, "{once}");
        assert_eq!(usage(&dir.path().join("none")).unwrap(), 0);
    }
}
