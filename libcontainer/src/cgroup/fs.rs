//! One cgroup directory, held open: every file is reached through it.
//!
//! Opened below the hierarchy's mount with `openat2(2)`: no symbolic link, no other file system,
//! nothing outside. A file is opened by *name* below the directory under the same rules, so a name
//! from a configuration cannot lead elsewhere (GHSA-5g49-rx9x-qfc6).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::host::cgroup::CGROUP2_SUPER_MAGIC;
use crate::plan::cgroup::DirPlan;
use crate::sys::fd;

/// Magic of the v1 file system (statfs(2)).
const CGROUP_SUPER_MAGIC: i64 = 0x0027_e0eb;

/// No link, no mount, no way out.
const RESOLVE: u64 =
    fd::RESOLVE_BENEATH | fd::RESOLVE_NO_SYMLINKS | fd::RESOLVE_NO_MAGICLINKS | fd::RESOLVE_NO_XDEV;

const DIRECTORY: i32 = libc::O_PATH | libc::O_DIRECTORY;

/// An open cgroup directory.
#[derive(Debug)]
pub(crate) struct Dir(OwnedFd);

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Dir {
    /// The root of a mounted hierarchy.
    ///
    /// # Errors
    /// `ENODEV` when something else is mounted there by now; those of `open(2)`.
    pub(crate) fn mount(path: &Path) -> io::Result<Self> {
        let mount = Self(fd::open(&text(path)?, DIRECTORY)?);
        match fd::fs_magic(&mount)? {
            CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC => Ok(mount),
            _ => Err(io::Error::from_raw_os_error(libc::ENODEV)),
        }
    }

    /// Any directory, for tests of what is read from cgroups.
    #[cfg(test)]
    pub(crate) fn plain(path: &Path) -> io::Result<Self> {
        fd::open(&text(path)?, DIRECTORY).map(Self)
    }

    /// A container's directory; `None` when it, or its hierarchy, does not exist.
    ///
    /// # Errors
    /// Those of `openat2(2)`.
    pub(crate) fn find(plan: &DirPlan) -> io::Result<Option<Self>> {
        let found = Self::mount(&plan.mount).and_then(|mount| mount.dir(&text(&plan.path)?));
        match found {
            Ok(dir) => Ok(Some(dir)),
            Err(e) if is_gone(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A directory below this one.
    ///
    /// # Errors
    /// Those of `openat2(2)`.
    pub(crate) fn dir(&self, path: &CStr) -> io::Result<Self> {
        fd::openat2(self, path, DIRECTORY, 0, RESOLVE).map(Self)
    }

    /// The directory above. Only for callers that came from there: it may lead out of the
    /// hierarchy's mount otherwise.
    fn above(&self) -> io::Result<Self> {
        fd::openat(self, c"..", DIRECTORY, 0).map(Self)
    }

    /// Opens a file of this cgroup.
    ///
    /// # Errors
    /// `ENOENT` without the controller; `EXDEV` or `ELOOP` for a name that leads away.
    pub(crate) fn open(&self, name: &str, flags: i32) -> io::Result<OwnedFd> {
        fd::openat2(self, &text(Path::new(name))?, flags, 0, RESOLVE)
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// As [`Dir::open`]; `ENODEV` when the cgroup is removed meanwhile.
    pub(crate) fn read(&self, name: &str) -> io::Result<String> {
        let file = self.open(name, libc::O_RDONLY)?;
        let mut content = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match fd::read(&file, &mut buffer)? {
                0 => return Ok(String::from_utf8_lossy(&content).into_owned()),
                length => content.extend(buffer.iter().take(length)),
            }
        }
    }

    /// Writes a file: each line of `value` with a `write(2)` of its own, as cgroup files want it.
    ///
    /// # Errors
    /// As [`Dir::open`]; what the controller says about the value.
    pub(crate) fn write(&self, name: &str, value: &str) -> io::Result<()> {
        let file = self.open(name, libc::O_WRONLY)?;
        // An empty value is a write of nothing, which resets some files.
        for line in value.trim_end_matches('\n').split('\n') {
            fd::write(&file, line.as_bytes())?;
        }
        Ok(())
    }

    /// The number in a file, `None` for `max` and for what is no number.
    pub(crate) fn number(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.read(name)?.trim().parse().ok())
    }

    /// The number after `key` in a file of `key value` lines.
    pub(crate) fn value_of(&self, name: &str, key: &str) -> io::Result<Option<u64>> {
        let text = self.read(name)?;
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        Ok(found.and_then(|value| value.trim().parse().ok()))
    }

    /// Whether there are cgroups below; yes, when that cannot be told.
    pub(super) fn has_children(&self) -> bool {
        // kernfs counts: two links, and one for each directory below.
        !fd::fstat(self).is_ok_and(|stat| stat.nlink == 2)
    }

    /// Names of the cgroups right below.
    ///
    /// # Errors
    /// Those of `open(2)` and `getdents64(2)`.
    fn children(&self) -> io::Result<Vec<CString>> {
        if !self.has_children() {
            return Ok(Vec::new());
        }
        let listing = self.open(".", libc::O_RDONLY | libc::O_DIRECTORY)?;
        let mut buffer = [0; 4096];
        let mut reader = fd::DirReader::new(listing.as_fd(), &mut buffer);
        let mut names = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            if entry.kind == libc::DT_DIR {
                names.push(entry.name.to_owned());
            }
        }
        Ok(names)
    }

    /// Processes of this cgroup, without those below; threads where it is a threaded one. What
    /// our pid namespace cannot name is left out.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub(super) fn processes(&self) -> io::Result<Vec<i32>> {
        let text = match self.read("cgroup.procs") {
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => self.read("cgroup.threads")?,
            other => other?,
        };
        Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect())
    }
}

/// Visits a cgroup and everything below it, parents first, at any depth with three open
/// directories: a container may nest cgroups deeper than a path or a table of fds can be.
/// `leave` gets each directory above and the name in it once everything below is visited.
///
/// # Errors
/// Those of `enter`, `leave` and of opening; what vanishes meanwhile is skipped.
pub(super) fn walk(
    root: &Dir,
    mut enter: impl FnMut(&Dir) -> io::Result<()>,
    mut leave: impl FnMut(&Dir, &CStr) -> io::Result<()>,
) -> io::Result<()> {
    enter(root)?;
    let mut here = root.dir(c".")?;
    let mut waiting = vec![here.children()?];
    let mut names: Vec<CString> = Vec::new();
    while let Some(level) = waiting.last_mut() {
        if let Some(name) = level.pop() {
            let visited = here.dir(&name).and_then(|child| {
                enter(&child)?;
                Ok((child.children()?, child))
            });
            match visited {
                Ok((children, child)) => {
                    waiting.push(children);
                    names.push(name);
                    here = child;
                }
                Err(e) if is_gone(&e) => {}
                Err(e) => return Err(e),
            }
            continue;
        }
        waiting.pop();
        if let Some(name) = names.pop() {
            here = here.above()?;
            leave(&here, &name)?;
        }
    }
    Ok(())
}

/// Whether an error only says that the cgroup is not there (any more).
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::ENOTDIR))
}

/// Whether an error says that we lack the rights.
pub(super) fn is_denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::EROFS))
}

/// A path as the kernel takes it; one with a NUL byte is `EINVAL`, as no file has such a name.
pub(super) fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
