//! Files that survive a power cut, locks that end with their holder, trees that are removed.
//!
//! The rule of the whole engine: an object is made beside its place, made durable, and appears by
//! one `rename(2)` or one `O_EXCL` open. What a killed process leaves is litter below `staging/`.

mod lock;
mod tree;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use lock::Lock;
pub use tree::{remove_tree, remove_tree_at, usage};

use crate::error::{Error, Result, What};

/// Makes `dir` and what is missing above it, mode 0700: nobody else has business in the store.
///
/// # Errors
/// The directory cannot be made.
pub fn make_dirs(dir: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.what(|| format!("cannot make the directory {}", dir.display()))
}

/// Makes what was renamed or made in `dir` durable (`fsync(2)` of a directory).
///
/// # Errors
/// The disk failed.
pub fn sync_dir(dir: &Path) -> Result<()> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.what(|| format!("cannot sync the directory {}", dir.display()))
}

/// Replaces or makes the file `path`, mode 0600: after a power cut it has the old content or the
/// new one, whole.
///
/// # Errors
/// The directory is missing, the disk is full or failed.
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, File::sync_all)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// As [`write_atomic`] for what says nothing after a reboot: whoever reads it sees the old content
/// or the new one, but a power cut may take both.
///
/// # Errors
/// The directory is missing, the disk is full.
pub fn write_at_once(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, |_| Ok(()))
}

fn replace(path: &Path, content: &[u8], sync: impl Fn(&File) -> io::Result<()>) -> Result<()> {
    let temporary = beside(path);
    let written = (|| {
        let mut file = create_new(&temporary)?;
        file.write_all(content)?;
        sync(&file)?;
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // Whether it is there or not: the cause is told.
        let _ = std::fs::remove_file(&temporary);
    }
    written.what(|| format!("cannot write {}", path.display()))
}

/// Removes what writers that were killed left beside the files of `dir`; how many there were.
///
/// # Errors
/// The directory cannot be read.
pub fn sweep_temporaries(dir: &Path) -> Result<usize> {
    let mut swept = 0;
    for name in names(dir)? {
        let Some(name) = name.to_str() else { continue };
        let pid = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
        let Some(pid) = pid.and_then(|name| name.split('.').next()) else { continue };
        let dead = pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists();
        if dead && std::fs::remove_file(dir.join(name)).is_ok() {
            swept += 1;
        }
    }
    Ok(swept)
}

/// Makes a file that must not be there, mode 0600.
///
/// # Errors
/// It is there (`EEXIST`), or cannot be made.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Reads a file that may not be longer than `limit` bytes; `None` where it is missing.
///
/// # Errors
/// It cannot be read, or is longer.
pub fn read_small(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let what = || format!("cannot read {}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).what(what),
    };
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content).what(what)?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > limit {
        return Err(Error::new(what()).why(format!("it is longer than {limit} bytes")));
    }
    Ok(Some(content))
}

/// A name that nobody else has: 16 hexadecimal digits from the kernel.
///
/// # Errors
/// `/dev/urandom` cannot be read.
pub fn random_name() -> Result<String> {
    let mut bytes = [0; 8];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.what(|| "cannot read /dev/urandom".into())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Names in a directory, in no order; none where it is missing.
///
/// # Errors
/// It cannot be read.
pub fn names(dir: &Path) -> Result<Vec<std::ffi::OsString>> {
    let what = || format!("cannot list {}", dir.display());
    match std::fs::read_dir(dir) {
        Ok(entries) => {
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>().what(what)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).what(what),
    }
}

/// Where the new content of `path` is written: a name that this process alone uses.
pub(crate) fn beside(path: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{}.{number}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let dir = crate::testing::dir();
        let path = dir.path().join("file");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()).unwrap(), ["file"]);
        let error = write_atomic(&dir.path().join("missing/file"), b"").unwrap_err().to_string();
        assert!(error.ends_with("missing/file: no such file or directory"), "{error}");
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        let dir = crate::testing::dir();
        let path = dir.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_small(&path, 5).unwrap().unwrap(), b"12345");
        assert!(read_small(&path, 4).unwrap_err().to_string().contains("longer than 4 bytes"));
        assert!(read_small(&dir.path().join("none"), 4).unwrap().is_none());
    }
}
