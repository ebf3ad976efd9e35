//! Records on disk: written whole by one rename, read as data of unknown origin.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a record that are read.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Writes `record` as `dir/name`: it is there whole or not at all.
///
/// # Errors
/// Those of open(2), write(2) and rename(2).
pub(super) fn write(dir: &Path, name: &str, record: &impl Serialize) -> io::Result<()> {
    let renamed = draft(dir, name, record).and_then(|()| finish(dir, name));
    if renamed.is_err() {
        let _ = fs::remove_file(temporary(dir, name));
    }
    renamed
}

/// Writes `record` beside `dir/name`, for [`finish`].
///
/// # Errors
/// Those of open(2) and write(2).
pub(super) fn draft(dir: &Path, name: &str, record: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(record)?;
    let mut options = OpenOptions::new();
    // A file that a killed command left is written over: the directory is ours alone.
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(temporary(dir, name))?.write_all(&text)
}

/// Gives a [`draft`] its name.
///
/// # Errors
/// Those of rename(2).
pub(super) fn finish(dir: &Path, name: &str) -> io::Result<()> {
    fs::rename(temporary(dir, name), dir.join(name))
}

fn temporary(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!(".{name}.tmp"))
}

/// Reads `dir/name`; the outer error is the file's, the inner one says how it is damaged.
///
/// # Errors
/// Those of open(2) and read(2).
pub(super) fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> io::Result<Result<T, String>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    let file = options.open(dir.join(name))?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Ok(Err("not a regular file of ours".to_owned()));
    }
    let mut text = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1);
    file.take(LARGEST).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).map_err(|e| e.to_string()))
}
