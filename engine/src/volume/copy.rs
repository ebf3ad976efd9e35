//! Copy-up: an empty volume takes the content that the image has at its target, with owners,
//! modes, times, extended attributes and hard links.
//!
//! Everything is opened by descriptor, symbolic links are copied and never followed; the target
//! itself is looked up inside the container's root.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid,
    XattrFlags, chownat, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fstat, futimens, linkat,
    mkdirat, mknodat, openat, openat2, readlinkat, statat, symlinkat, utimensat,
};

/// Directories inside each other; each has two descriptors open.
const DEEPEST: usize = 200;
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// The directory that the image has at `target`, `None` when it has none.
pub(super) fn source(root: BorrowedFd<'_>, target: &str) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, target, flags, Mode::empty(), resolve) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        other => Ok(other.map(Some)?),
    }
}

/// Whether a directory has nothing in it.
pub(super) fn is_empty(directory: impl AsFd) -> io::Result<bool> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b".." | b"lost+found") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Copies what is below `from`, and the attributes of `from` itself, into the directory `to`.
pub(super) fn tree(from: impl AsFd, to: &Path) -> io::Result<()> {
    let to = openat(CWD, to, DIRECTORY, Mode::empty())?;
    let mut copy = Copy { root: to.as_fd(), links: HashMap::new(), path: PathBuf::new() };
    copy.directory(from.as_fd(), to.as_fd(), 0)
}

struct Copy<'a> {
    root: BorrowedFd<'a>,
    /// Files with more than one name, by device and inode: where the first copy is.
    links: HashMap<(u64, u64), PathBuf>,
    path: PathBuf,
}

impl Copy<'_> {
    fn directory(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        depth: usize,
    ) -> io::Result<()> {
        if depth > DEEPEST {
            let why = format!("more than {DEEPEST} directories inside each other");
            return Err(io::Error::other(why));
        }
        for entry in Dir::read_from(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.path.push(OsString::from_vec(name.to_bytes().to_vec()));
            self.entry(from, to, name, depth)?;
            self.path.pop();
        }
        let stat = fstat(from)?;
        fchown(to, Some(owner(&stat).0), Some(owner(&stat).1))?;
        fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
        attributes(from, to)?;
        Ok(futimens(to, &times(&stat)?)?)
    }

    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        depth: usize,
    ) -> io::Result<()> {
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            let inner = openat(from, name, DIRECTORY, Mode::empty())?;
            mkdirat(to, name, Mode::RWXU)?;
            let made = openat(to, name, DIRECTORY, Mode::empty())?;
            return self.directory(inner.as_fd(), made.as_fd(), depth + 1);
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                return Ok(linkat(self.root, first, to, name, AtFlags::empty())?);
            }
            self.links.insert((stat.st_dev, stat.st_ino), self.path.clone());
        }
        match kind {
            FileType::RegularFile => return file(from, to, name, &stat),
            FileType::Symlink => symlinkat(link_target(from, name)?.as_c_str(), to, name)?,
            FileType::Socket => return Ok(()),
            kind => mknodat(to, name, kind, Mode::from_raw_mode(stat.st_mode), stat.st_rdev)?,
        }
        let (uid, gid) = owner(&stat);
        chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        if kind != FileType::Symlink {
            let mode = Mode::from_raw_mode(stat.st_mode);
            // What was just made here by us is no link.
            rustix::fs::chmodat(to, name, mode, AtFlags::empty())?;
        }
        Ok(utimensat(to, name, &times(&stat)?, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let from = openat(from, name, flags, Mode::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let to = openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
    let (mut reader, mut writer) = (std::fs::File::from(from), std::fs::File::from(to));
    // By copy_file_range(2), or reflink, where the file systems can.
    io::copy(&mut reader, &mut writer)?;
    let (uid, gid) = owner(stat);
    fchown(&writer, Some(uid), Some(gid))?;
    // After the owner: changing it takes the set-id bits and capabilities away.
    fchmod(&writer, Mode::from_raw_mode(stat.st_mode))?;
    attributes(reader.as_fd(), writer.as_fd())?;
    Ok(futimens(&writer, &times(stat)?)?)
}

fn owner(stat: &Stat) -> (Uid, Gid) {
    (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))
}

fn times(stat: &Stat) -> io::Result<Timestamps> {
    let time = |seconds, nanos| -> io::Result<Timespec> {
        let tv_nsec = i64::try_from(nanos).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Timespec { tv_sec: seconds, tv_nsec })
    };
    Ok(Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec)?,
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec)?,
    })
}

fn link_target(from: BorrowedFd<'_>, name: &CStr) -> io::Result<CString> {
    Ok(readlinkat(from, name, Vec::new())?)
}

/// Extended attributes; overlayfs's own are not seen through its mount, labels are the host's.
fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut names = vec![0; 64 << 10];
    let length = match flistxattr(from, names.as_mut_slice()) {
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        other => other?,
    };
    let names = names.get(..length).unwrap_or_default();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        if name == c"security.selinux" || name.to_bytes().starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        let length = fgetxattr(from, name, value.as_mut_slice())?;
        let value = value.get(..length).unwrap_or_default();
        match fsetxattr(to, name, value, XattrFlags::empty()) {
            // The volume's file system has none of this kind.
            Err(rustix::io::Errno::NOTSUP) => {}
            other => other?,
        }
    }
    Ok(())
}
