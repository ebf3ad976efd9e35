//! Locks: `flock(2)` on a file, released when its descriptor closes, whatever ends the process.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::{Result, What};

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Waits until nobody else holds the lock of the file `path`, which is made if it is missing.
    ///
    /// # Errors
    /// The file cannot be made or opened.
    pub fn exclusive(path: &Path) -> Result<Self> {
        Self::wait(path, FlockOperation::LockExclusive)
    }

    /// Waits until nobody holds the lock of `path` exclusively; others may share it.
    ///
    /// # Errors
    /// The file cannot be made or opened.
    pub fn shared(path: &Path) -> Result<Self> {
        Self::wait(path, FlockOperation::LockShared)
    }

    /// The lock of an existing file, or `None` while another process holds it or when there is no
    /// such file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn if_free(path: &Path) -> Result<Option<Self>> {
        let what = || format!("cannot lock {}", path.display());
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).what(what),
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error).what(what),
        }
    }

    /// The locked file, to read and write.
    pub fn file(&mut self) -> &mut File {
        &mut self.0
    }

    fn wait(path: &Path, operation: FlockOperation) -> Result<Self> {
        let what = || format!("cannot lock {}", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).what(what)?;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Self(file)),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).what(what),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_free_again_when_it_is_dropped() {
        let dir = crate::testing::dir();
        let path = dir.path().join("lock");
        assert!(Lock::if_free(&path).unwrap().is_none());
        let held = Lock::exclusive(&path).unwrap();
        assert!(Lock::if_free(&path).unwrap().is_none());
        drop(held);
        let (one, two) = (Lock::shared(&path).unwrap(), Lock::shared(&path).unwrap());
        assert!(Lock::if_free(&path).unwrap().is_none());
        drop((one, two));
        assert!(Lock::if_free(&path).unwrap().is_some());
    }
}
