//! The one way to name something in a root file system.
//!
//! Every look-up is one openat2(2) with `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS`; what is missing
//! is made one component at a time below descriptors. First all links are refused; only an
//! ordinary target that needs one is looked up again with links allowed, and then the result is
//! checked to lie outside `/proc`.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{is_errno, refusal, refused};
use crate::plan::mounts::Place;
use crate::plan::paths::{InRoot, PATH_MAX};
use crate::sys::fd::{
    CWD, PROC_FD_PATH, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS, mkdirat, mknodat, openat2, proc_fd_path, readlinkat,
};

const IN_ROOT: u64 = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
const STRICT: u64 = IN_ROOT | RESOLVE_NO_SYMLINKS;
const BENEATH: u64 = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

/// The root of a container's tree.
#[derive(Debug)]
pub struct RootFd(OwnedFd);

/// What a missing target becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A directory, 0755.
    Directory,
    /// An empty file, 0644.
    File,
}

/// What links on the way may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Links {
    /// Nothing: they are refused.
    Refused,
    /// Lead anywhere in the root but into `/proc`.
    OutsideProc,
    /// Lead anywhere in the root.
    InRoot,
}

/// Where something will be mounted.
#[derive(Debug)]
pub struct Target {
    /// `O_PATH` descriptor.
    pub fd: OwnedFd,
    /// It was there before.
    pub existed: bool,
}

impl RootFd {
    /// Takes the descriptor of the tree's topmost directory.
    pub fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The descriptor itself.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Opens what is there; links are followed inside the root. `flags` as for open(2), without
    /// `O_CREAT`.
    ///
    /// # Errors
    /// `ELOOP` for a magic link; those of openat2(2).
    pub fn open(&self, path: &InRoot, flags: i32) -> io::Result<OwnedFd> {
        openat2(&self.0, name(path), flags & !libc::O_CREAT, 0, IN_ROOT)
    }

    /// Opens the target of a mount, making what is missing.
    ///
    /// # Errors
    /// A code of [`refusal`]; those of openat2(2), mkdirat(2), mknodat(2).
    pub fn target(&self, path: &InRoot, place: Place, want: Want) -> io::Result<Target> {
        let only = if place == Place::Directory { libc::O_DIRECTORY } else { 0 };
        let flags = libc::O_PATH | only;
        match openat2(&self.0, name(path), flags, 0, STRICT) {
            Ok(fd) => return Ok(Target { fd, existed: true }),
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOENT) => {
                    let fd = self.make(path.as_c_str(), Links::Refused, want)?;
                    return Ok(Target { fd, existed: false });
                }
                Some(libc::ELOOP) => self.allow_links(path, place)?,
                Some(libc::ENOTDIR) if only != 0 => return refused(refusal::NOT_A_DIRECTORY),
                _ => return Err(error),
            },
        }
        let found = openat2(&self.0, name(path), flags, 0, IN_ROOT);
        if is_errno(&found, libc::ENOENT) {
            let fd = self.make(path.as_c_str(), Links::OutsideProc, want)?;
            return Ok(Target { fd, existed: false });
        }
        let fd = found?;
        match self.check_inside(fd.as_fd())? {
            true => refused(refusal::IS_ROOT),
            false => Ok(Target { fd, existed: true }),
        }
    }

    /// Opens a directory, making what is missing.
    ///
    /// # Errors
    /// As [`RootFd::target`]; `ENOTDIR`.
    pub fn directory(&self, path: &InRoot) -> io::Result<OwnedFd> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let found = self.open(path, flags);
        if !is_errno(&found, libc::ENOENT) {
            return found;
        }
        self.make(path.as_c_str(), Links::InRoot, Want::Directory)
    }

    /// Opens the directory that holds `path` (made if missing) and gives the last component.
    ///
    /// # Errors
    /// As [`RootFd::directory`]; `EISDIR` for the root itself.
    pub fn parent<'a>(&self, path: &'a InRoot) -> io::Result<(OwnedFd, &'a CStr)> {
        let (parent, last) = split(path)?;
        let mut buffer = [0; PATH_MAX];
        let parent = in_buffer(&mut buffer, parent)?;
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let parent = match openat2(&self.0, dot(parent), flags, 0, IN_ROOT) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                self.make(parent, Links::InRoot, Want::Directory)?
            }
            other => other?,
        };
        Ok((parent, last))
    }

    /// procfs and sysfs never; elsewhere in `/proc`, `/sys` only when these two are no links.
    fn allow_links(&self, path: &InRoot, place: Place) -> io::Result<()> {
        if place != Place::Plain {
            return refused(refusal::NOT_A_DIRECTORY);
        }
        for (top, name) in [("proc", c"proc"), ("sys", c"sys")] {
            if path.is_within(top)
                && is_errno(&openat2(&self.0, name, libc::O_PATH, 0, STRICT), libc::ELOOP)
            {
                return refused(refusal::NOT_A_DIRECTORY);
            }
        }
        Ok(())
    }

    /// Finds the longest part of `path` that exists and makes the rest below it.
    fn make(&self, path: &CStr, links: Links, want: Want) -> io::Result<OwnedFd> {
        let mut buffer = [0; PATH_MAX];
        let length = in_buffer(&mut buffer, path.to_bytes())?.to_bytes().len();
        let mut end = length;
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let base = loop {
            // One component less; nothing left means the root.
            end = buffer
                .get(..end)
                .and_then(|part| part.iter().rposition(|b| *b == b'/'))
                .unwrap_or(0);
            let mut prefix = [0; PATH_MAX];
            let prefix = in_buffer(&mut prefix, buffer.get(..end).unwrap_or_default())?;
            let mut found = openat2(&self.0, dot(prefix), flags, 0, STRICT);
            if is_errno(&found, libc::ELOOP) && links != Links::Refused {
                found = openat2(&self.0, dot(prefix), flags, 0, IN_ROOT);
                if let (Ok(fd), Links::OutsideProc) = (&found, links) {
                    self.check_inside(fd.as_fd())?;
                }
            }
            match found {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) && end > 0 => {}
                other => break other?,
            }
        };
        let rest = buffer.get_mut(end..=length).unwrap_or_default();
        make_rest(base, rest, want)
    }

    /// What links led to must be in the root and not in its `/proc`; true for the root itself.
    fn check_inside(&self, fd: BorrowedFd<'_>) -> io::Result<bool> {
        let (mut root, mut at) = ([0; PATH_MAX], [0; PATH_MAX]);
        let (root, at) = (path_of(self.as_fd(), &mut root)?, path_of(fd, &mut at)?);
        let root = root.strip_suffix(b"/").unwrap_or(root);
        let inside = match at.strip_prefix(root) {
            Some(rest) if rest.is_empty() || rest == b"/" => return Ok(true),
            Some(rest) if rest.first() == Some(&b'/') => rest,
            _ => return refused(refusal::OUTSIDE),
        };
        match inside.strip_prefix(b"/proc") {
            Some(rest) if matches!(rest.first(), None | Some(b'/')) => {
                refused(refusal::INSIDE_PROC)
            }
            _ => Ok(false),
        }
    }
}

/// Opens one name in a directory we hold, never through a link.
///
/// # Errors
/// `ELOOP` for a link; those of openat2(2).
pub(crate) fn open_at(dir: impl AsFd, name: &CStr, flags: i32) -> io::Result<OwnedFd> {
    openat2(dir, name, flags & !libc::O_CREAT, 0, BENEATH)
}

/// Makes `rest` (components with `/` between, NUL at the end) below `base`.
fn make_rest(base: OwnedFd, rest: &mut [u8], want: Want) -> io::Result<OwnedFd> {
    let mut at = base;
    let mut parts = rest.split_mut(|byte| matches!(byte, b'/' | 0)).peekable();
    // The buffer ends in NUL, so the split ends in an empty part.
    while let Some(part) = parts.next() {
        if part.is_empty() {
            continue;
        }
        let last = parts.peek().is_none_or(|next| next.is_empty());
        let mut name = [0; 256];
        let name = in_buffer(&mut name, part)?;
        let made = match last && want == Want::File {
            true => mknodat(&at, name, libc::S_IFREG | 0o644, 0),
            false => mkdirat(&at, name, 0o755),
        };
        if !is_errno(&made, libc::EEXIST) {
            made?;
        }
        let opened = open_at(&at, name, libc::O_PATH);
        if is_errno(&opened, libc::ELOOP) {
            return refused(refusal::DANGLING);
        }
        at = opened?;
    }
    Ok(at)
}

/// The kernel's own idea of where a descriptor is. Needs the host's `/proc`, so before the pivot.
fn path_of<'a>(fd: BorrowedFd<'_>, buffer: &'a mut [u8; PATH_MAX]) -> io::Result<&'a [u8]> {
    let mut link = [0; PROC_FD_PATH];
    let length = readlinkat(CWD, proc_fd_path(fd, &mut link), buffer)?;
    match buffer.get(..length) {
        Some(path) if length < PATH_MAX => Ok(path),
        _ => Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG)),
    }
}

/// Splits off the last component.
fn split(path: &InRoot) -> io::Result<(&[u8], &CStr)> {
    let bytes = path.as_c_str().to_bytes_with_nul();
    let cut = path.as_bytes().iter().rposition(|byte| *byte == b'/');
    let (parent, last) = match cut {
        Some(cut) => (bytes.get(..cut), bytes.get(cut + 1..)),
        None => (Some(&[][..]), Some(bytes)),
    };
    match (parent, last.and_then(|last| CStr::from_bytes_with_nul(last).ok())) {
        (Some(parent), Some(last)) if !last.is_empty() => Ok((parent, last)),
        _ => Err(io::Error::from_raw_os_error(libc::EISDIR)),
    }
}

/// Copies bytes and a NUL into a buffer on the stack.
fn in_buffer<'a>(buffer: &'a mut [u8], bytes: &[u8]) -> io::Result<&'a CStr> {
    let long = || io::Error::from_raw_os_error(libc::ENAMETOOLONG);
    buffer.get_mut(..bytes.len()).ok_or_else(long)?.copy_from_slice(bytes);
    *buffer.get_mut(bytes.len()).ok_or_else(long)? = 0;
    CStr::from_bytes_until_nul(buffer).map_err(|_| long())
}

fn name(path: &InRoot) -> &CStr {
    dot(path.as_c_str())
}

/// openat2(2) wants a name for the directory itself.
fn dot(path: &CStr) -> &CStr {
    if path.is_empty() { c"." } else { path }
}
