//! What the tests beside the code share: a directory that goes away with its owner.

use std::path::{Path, PathBuf};

/// A directory of one test.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = crate::fsutil::remove_tree(&self.0);
    }
}

/// A fresh directory.
pub(crate) fn dir() -> Dir {
    let name = format!("pier-unit-{}", crate::fsutil::random_name().unwrap());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir(&path).unwrap();
    Dir(path)
}
