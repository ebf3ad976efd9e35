//! Paths of a copy: what stands there, and where it really is.
//!
//! A [`Root`] is a container's root or the machine's. Every path is opened below its descriptor
//! with `RESOLVE_IN_ROOT`: whatever a container does with its links meanwhile, no step leaves the
//! root (CVE-2018-15664, CVE-2019-14271). [`Root::real`] tells a path without links in words; it
//! is never trusted, only opened the same way again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2};
use rustix::io::Errno;

/// Most symbolic links on one path, as the kernel's.
const LINKS: usize = 40;

/// Where paths begin.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

/// A path without links, and what stands there.
#[derive(Debug)]
pub(super) struct Real {
    /// Absolute, without `.`, `..` and links.
    pub(super) path: Vec<u8>,
    /// `None`: nothing does.
    pub(super) stat: Option<Stat>,
}

impl Real {
    /// Whether a directory stands there.
    pub(super) fn is_dir(&self) -> bool {
        self.stat.as_ref().is_some_and(|stat| kind(stat) == FileType::Directory)
    }

    /// Whether a device stands there, which a copy does not replace.
    pub(super) fn is_device(&self) -> bool {
        let device = |stat| matches!(kind(stat), FileType::CharacterDevice | FileType::BlockDevice);
        self.stat.as_ref().is_some_and(device)
    }
}

impl Root {
    /// The root below an open directory.
    pub(super) fn of(dir: OwnedFd) -> Self {
        Self(dir)
    }

    /// The machine's.
    pub(super) fn machine() -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, c"/", flags, Mode::empty())?))
    }

    /// Opens a path below the root; links are followed as if the root were `/`.
    pub(super) fn open(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        open_in(&self.0, path, flags)
    }

    /// Opens a directory to work in.
    pub(super) fn directory(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Follows a path as far as it goes. The last part is followed too with `last`; where nothing
    /// stands the rest is taken as it is written.
    ///
    /// # Errors
    /// `ENOTDIR` where something on the way is no directory, `ELOOP`.
    pub(super) fn real(&self, path: &[u8], last: bool) -> io::Result<Real> {
        let mut todo = parts(path);
        let mut real = Vec::new();
        let (mut links, mut stat) = (0, Some(self.look(b"/")?));
        while let Some(part) = todo.pop() {
            if part == b".." {
                real = parent(&real).to_vec();
                stat = None;
                continue;
            }
            real.push(b'/');
            real.extend_from_slice(&part);
            stat = match self.look(&real) {
                Ok(found) => Some(found),
                Err(Errno::NOENT) => None,
                Err(error) => return Err(error.into()),
            };
            if !stat.as_ref().is_some_and(|stat| kind(stat) == FileType::Symlink)
                || (todo.is_empty() && !last)
            {
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(Errno::LOOP.into());
            }
            let target = self.link(&real)?;
            real = if target.starts_with(b"/") { Vec::new() } else { parent(&real).to_vec() };
            todo.extend(parts(&target));
            stat = None;
        }
        if real.is_empty() {
            real.push(b'/');
        }
        // After `..` and `/` of a link nothing was looked at.
        let stat = match stat {
            None => self.look(&real).ok(),
            found => found,
        };
        Ok(Real { path: real, stat })
    }

    fn look(&self, path: &[u8]) -> rustix::io::Result<Stat> {
        fstat(self.open(path, OFlags::PATH | OFlags::NOFOLLOW)?)
    }

    fn link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let link = self.open(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        Ok(rustix::fs::readlinkat(link, c"", Vec::new())?.into_bytes())
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Opens a path below a directory, which links cannot lead out of.
pub(super) fn open_in(dir: impl AsFd, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(&dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Something was renamed meanwhile.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Opens what an `O_PATH` descriptor stands for, and nothing that was put in its place.
pub(super) fn reopen(path: &OwnedFd, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    openat(CWD, name_of(path), flags | OFlags::CLOEXEC, Mode::empty())
}

/// A name of a descriptor, for calls that take names only.
pub(super) fn name_of(fd: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// The kind of what was looked at.
pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// An absolute path without `.`, `..` and doubled slashes: taken back in words, as Docker does.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(out.pop()),
            part => out.push(part),
        }
    }
    let mut path = b"/".to_vec();
    path.extend(out.join(&b'/'));
    path
}

/// The path above; of the root the root.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |slash| &path[..slash])
}

/// The last part; of the root `/`.
pub(super) fn base(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) if slash + 1 < path.len() => &path[slash + 1..],
        Some(_) => b"/",
        None => path,
    }
}

/// Parts of a path, the first one last.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_are_cleaned_in_words() {
        let cases = [("", "/"), ("a//b/./c/", "/a/b/c"), ("/a/../../b", "/b"), ("/..", "/")];
        for (path, wanted) in cases {
            assert_eq!(clean(path.as_bytes()), wanted.as_bytes(), "{path}");
        }
        assert_eq!((parent(b"/a/b"), base(b"/a/b")), (&b"/a"[..], &b"b"[..]));
        assert_eq!((parent(b"/a"), base(b"/")), (&b""[..], &b"/"[..]));
    }

    #[test]
    fn links_are_followed_inside_of_the_root_only() {
        let dir = crate::testing::dir();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("real/inner")).unwrap();
        std::fs::write(at("real/file"), "x").unwrap();
        symlink("/real", at("absolute")).unwrap();
        symlink("../../../../real/inner", at("up")).unwrap();
        symlink("absolute/missing/x", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("/etc/passwd", at("outside")).unwrap();
        let root = Root::of(std::fs::File::open(dir.path()).unwrap().into());
        let real = |path: &str, last| {
            let real = root.real(path.as_bytes(), last).map_err(|error| error.to_string())?;
            let path = String::from_utf8(real.path).unwrap();
            Ok::<_, String>((path, real.stat.map(|stat| kind(&stat))))
        };
        let is = |path: &str, kind| Ok((path.to_owned(), Some(kind)));
        assert_eq!(real("/", true), is("/", FileType::Directory));
        assert_eq!(real("/absolute/file", false), is("/real/file", FileType::RegularFile));
        assert_eq!(real("/absolute", false), is("/absolute", FileType::Symlink));
        assert_eq!(real("/absolute", true), is("/real", FileType::Directory));
        assert_eq!(real("/up/..", true), is("/real", FileType::Directory));
        assert_eq!(real("/dangling", true), Ok(("/real/missing/x".into(), None)));
        assert_eq!(real("/outside", true), Ok(("/etc/passwd".into(), None)));
        assert!(real("/real/file/x", true).is_err() && real("/loop/x", true).is_err());
    }
}
