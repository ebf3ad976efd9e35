//! Paths of the configuration as the init stage uses them: cleaned, NUL-checked C strings.
//!
//! [`InRoot`] is the only name the plan has for something below the root file system. It is
//! cleaned *lexically* (as runc does: `/a/../b` is `/b`) and never joined to a host path; only
//! `create::rootfs::root` resolves it, by descriptor.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result, Step};

/// Longest path the kernel takes, its NUL included (`PATH_MAX`).
pub const PATH_MAX: usize = 4096;

/// A place below the root file system: clean, relative to it, without `.`, `..` or `//`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InRoot(CString);

impl InRoot {
    /// Cleans `path`, which is meant relative to the root whether it starts with `/` or not.
    ///
    /// # Errors
    /// A NUL byte, or a path longer than [`PATH_MAX`].
    pub fn new(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let clean = clean(path.as_os_str().as_bytes());
        if clean.len() >= PATH_MAX {
            return Err(bad(path, "the path is longer than 4095 bytes"));
        }
        CString::new(clean).map(Self).map_err(|_| bad(path, "the path contains a NUL byte"))
    }

    /// The relative path; empty for the root itself.
    pub fn as_c_str(&self) -> &CStr {
        &self.0
    }

    /// The relative path's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is `dir` (relative, clean) or something below it.
    pub fn is_within(&self, dir: impl AsRef<[u8]>) -> bool {
        let dir = dir.as_ref();
        match self.as_bytes().strip_prefix(dir) {
            Some(rest) => dir.is_empty() || matches!(rest.first(), None | Some(b'/')),
            None => false,
        }
    }

    /// This place as seen from `dir`, when it is `dir` or below; itself otherwise, and where `dir`
    /// is the root.
    #[must_use]
    pub fn without(self, dir: &Self) -> Self {
        if dir.is_root() || !self.is_within(dir) {
            return self;
        }
        let rest = self.as_bytes().get(dir.as_bytes().len()..).unwrap_or_default();
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        // A part of a C string holds no NUL.
        CString::new(rest).map_or_else(|_| self.clone(), Self)
    }

    /// Whether this is exactly `path` (relative, clean).
    pub fn is(&self, path: &str) -> bool {
        self.as_bytes() == path.as_bytes()
    }
}

impl AsRef<[u8]> for InRoot {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for InRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.to_string_lossy())
    }
}

impl fmt::Debug for InRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InRoot({self})")
    }
}

impl Serialize for InRoot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Cleans a path lexically and makes it relative to the root: `/a//./b/../c/` is `a/c`.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// A path on the host: absolute as it is, relative ones below `base` (the bundle).
///
/// # Errors
/// A NUL byte, or a path longer than [`PATH_MAX`].
pub fn host(base: &Path, path: &Path) -> Result<CString> {
    let whole = base.join(path);
    if whole.as_os_str().len() >= PATH_MAX {
        return Err(bad(path, "the path is longer than 4095 bytes"));
    }
    CString::new(whole.as_os_str().as_bytes())
        .map_err(|_| bad(path, "the path contains a NUL byte"))
}

/// Any other text for the kernel.
///
/// # Errors
/// A NUL byte.
pub fn text(text: impl AsRef<[u8]>) -> Result<CString> {
    CString::new(text.as_ref()).map_err(|_| {
        let text = String::from_utf8_lossy(text.as_ref());
        Error::rule(Step::CheckConfig, format!("{text:?}"), "the text contains a NUL byte")
    })
}

fn bad(path: &Path, why: &str) -> Error {
    Error::rule(Step::CheckConfig, format!("path {path:?}"), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_never_leaves_the_root() {
        for (path, cleaned) in [
            ("/", ""),
            ("", ""),
            (".", ""),
            ("..", ""),
            ("/../../etc/passwd", "etc/passwd"),
            ("a/../../b", "b"),
            ("//proc//./sys/", "proc/sys"),
            ("/proc/../proc", "proc"),
            ("...", "..."),
            ("/a/b/..", "a"),
        ] {
            assert_eq!(clean(path.as_bytes()), cleaned.as_bytes(), "{path}");
        }
    }

    #[test]
    fn within_counts_whole_components() {
        let at = |path| InRoot::new(path).unwrap();
        assert!(at("/proc/self").is_within("proc"));
        assert!(at("/proc").is_within("proc"));
        assert!(!at("/process").is_within("proc"));
        assert!(!at("/").is_within("proc"));
        assert_eq!(at("//dev/./pts").to_string(), "/dev/pts");
        assert!(at("/x/..").is_root());
        assert!(at("/a").is_within(at("/")) && !at("/ab").is_within(at("/a")));
    }

    #[test]
    fn nul_and_overlong_paths_are_errors() {
        assert!(InRoot::new("a\0b").unwrap_err().to_string().contains("NUL"));
        assert!(InRoot::new("a".repeat(4096)).unwrap_err().to_string().contains("4095"));
        assert!(host(Path::new("/b"), Path::new("x\0")).is_err());
        assert!(text("a\0").is_err());
    }

    #[test]
    fn relative_sources_are_below_the_bundle() {
        let host = |path: &str| host(Path::new("/bundle"), Path::new(path)).unwrap();
        assert_eq!(host("data").to_bytes(), b"/bundle/data");
        assert_eq!(host("/data").to_bytes(), b"/data");
    }
}
