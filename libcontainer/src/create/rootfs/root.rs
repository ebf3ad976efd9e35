//! The one way to name something in a root file system.
//!
//! Every look-up is one openat2(2) with `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS`; what is missing
//! is made one component at a time below descriptors, always with links refused. Only an ordinary
//! target that needs a link has its links read here, in the root, into a path without any; that
//! path is checked and then opened like any other, so a link put there meanwhile is refused.
//! Reading them here also follows links that lead to nothing yet, as runc does.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{is_errno, refusal, refused};
use crate::plan::mounts::Place;
use crate::plan::paths::{InRoot, PATH_MAX};
use crate::sys::fd::{
    RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, fstat, mkdirat,
    mknodat, openat2, readlinkat,
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
                    let fd = self.make(path.as_c_str(), want)?;
                    return Ok(Target { fd, existed: false });
                }
                Some(libc::ELOOP) => self.allow_links(path, place)?,
                Some(libc::ENOTDIR) if only != 0 => return refused(refusal::NOT_A_DIRECTORY),
                _ => return Err(error),
            },
        }
        let mut buffer = Links::default();
        let path = self.without_links(path, &mut buffer)?;
        if path.is_empty() {
            return refused(refusal::IS_ROOT);
        }
        if matches!(path.to_bytes().strip_prefix(b"proc"), Some([] | [b'/', ..])) {
            return refused(refusal::INSIDE_PROC);
        }
        let found = openat2(&self.0, path, flags, 0, STRICT);
        if is_errno(&found, libc::ENOENT) {
            let fd = self.make(path, want)?;
            return Ok(Target { fd, existed: false });
        }
        Ok(Target { fd: settled(found)?, existed: true })
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
        let mut buffer = Links::default();
        self.make(self.without_links(path, &mut buffer)?, Want::Directory)
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
        let found = openat2(&self.0, dot(parent), flags, 0, IN_ROOT);
        if !is_errno(&found, libc::ENOENT) {
            return Ok((found?, last));
        }
        let mut links = Links::default();
        let parent = self.expand(parent, &mut links)?;
        Ok((self.make(parent, Want::Directory)?, last))
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
    /// Finds the longest part of `path` that exists and makes the rest below it; no links.
    fn make(&self, path: &CStr, want: Want) -> io::Result<OwnedFd> {
        let mut buffer = [0; PATH_MAX];
        let length = in_buffer(&mut buffer, path.to_bytes())?.to_bytes().len();
        let mut end = length;
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let base = loop {
            // One component less; nothing left means the root.
            let part = buffer.get(..end).unwrap_or_default();
            end = part.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            let mut prefix = [0; PATH_MAX];
            let prefix = in_buffer(&mut prefix, buffer.get(..end).unwrap_or_default())?;
            let found = openat2(&self.0, dot(prefix), flags, 0, STRICT);
            if !is_errno(&found, libc::ENOENT) || end == 0 {
                break settled(found)?;
            }
        };
        make_rest(base, buffer.get_mut(end..=length).unwrap_or_default(), want)
    }

    /// The same place named without links, as they are now.
    fn without_links<'a>(&self, path: &InRoot, buffer: &'a mut Links) -> io::Result<&'a CStr> {
        self.expand(path.as_c_str(), buffer)
    }

    fn expand<'a>(&self, path: &CStr, links: &'a mut Links) -> io::Result<&'a CStr> {
        links.pending = Text::new(path.to_bytes())?;
        for _ in 0..PATH_MAX {
            let mut part = [0; 256];
            let Some(part) = links.pending.take_first(&mut part)? else { break };
            match part.to_bytes() {
                b"." => {}
                b".." => links.done.pop(),
                part => {
                    let before = links.done.length;
                    links.done.push(part)?;
                    if self.follow(links)? {
                        links.done.length = before;
                    }
                }
            }
        }
        links.done.as_c_str()
    }

    /// When the place named so far is a link, puts what it says before what is pending; an
    /// absolute one starts again at the root. True when it was one.
    fn follow(&self, links: &mut Links) -> io::Result<bool> {
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let found = openat2(&self.0, links.done.as_c_str()?, flags, 0, STRICT);
        if is_errno(&found, libc::ENOENT) {
            return Ok(false);
        }
        let found = settled(found)?;
        if !fstat(&found)?.is(libc::S_IFLNK) {
            return Ok(false);
        }
        links.followed += 1;
        if links.followed > LINKS_MAX {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        let mut target = [0; PATH_MAX];
        let length = readlinkat(&found, c"", &mut target)?;
        let target = target.get(..length).unwrap_or_default();
        let mut pending = Text::new(target)?;
        pending.push(links.pending.bytes())?;
        links.pending = pending;
        if target.first() == Some(&b'/') {
            links.done.length = 0;
            return Ok(false);
        }
        Ok(true)
    }
}

/// As many links as the kernel follows (path_resolution(7)).
const LINKS_MAX: u32 = 40;

/// A path whose links are being read.
#[derive(Default)]
struct Links {
    done: Text,
    pending: Text,
    followed: u32,
}

/// A path on the stack, relative, always with room for its NUL.
struct Text {
    bytes: [u8; PATH_MAX],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; PATH_MAX], length: 0 }
    }
}

impl Text {
    fn new(bytes: &[u8]) -> io::Result<Self> {
        let mut text = Self::default();
        text.push(bytes)?;
        Ok(text)
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Appends, with a `/` between.
    fn push(&mut self, part: &[u8]) -> io::Result<()> {
        let long = || io::Error::from_raw_os_error(libc::ENAMETOOLONG);
        let slash = usize::from(self.length > 0);
        let (from, to) = (self.length + slash, self.length + slash + part.len());
        if to >= PATH_MAX {
            return Err(long());
        }
        if let (1, Some(byte)) = (slash, self.bytes.get_mut(self.length)) {
            *byte = b'/';
        }
        self.bytes.get_mut(from..to).ok_or_else(long)?.copy_from_slice(part);
        self.length = to;
        Ok(())
    }

    /// Drops the last component.
    fn pop(&mut self) {
        self.length = self.bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    }

    /// Takes the first component away.
    fn take_first<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<Option<&'a CStr>> {
        let Some(start) = self.bytes().iter().position(|byte| *byte != b'/') else {
            return Ok(None);
        };
        let rest = self.bytes().get(start..).unwrap_or_default();
        let end = start + rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let part = in_buffer(buffer, self.bytes().get(start..end).unwrap_or_default())?;
        self.bytes.copy_within(end..self.length, 0);
        self.length -= end;
        Ok(Some(part))
    }

    fn as_c_str(&mut self) -> io::Result<&CStr> {
        if let Some(end) = self.bytes.get_mut(self.length) {
            *end = 0;
        }
        CStr::from_bytes_until_nul(&self.bytes)
            .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
    }
}

/// A link where there was none a moment ago.
fn settled(found: io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    if is_errno(&found, libc::ELOOP) { refused(refusal::CHANGED) } else { found }
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
        at = settled(open_at(&at, name, libc::O_PATH))?;
    }
    Ok(at)
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
