//! The pid file: decimal digits without a newline, there as a whole or not at all.
//!
//! go-runc and the Rust shim parse it without trimming and may read it the moment it appears.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use libcontainer::{At, Error, Result, Step};

/// Writes `pid` beside `path` and renames it there.
///
/// # Errors
/// `path` names no file, or its directory cannot be written.
pub(crate) fn write(path: &Path, pid: i32) -> Result<()> {
    let Some(name) = path.file_name() else {
        return Err(Error::rule(Step::Output, path.display(), "the pid file has no name"));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    let temporary = path.with_file_name(hidden);
    let subject = || format!("pid file {}", path.display());
    // A leftover of a runtime that was killed here; O_EXCL then refuses links put in our way.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).at(Step::Output, subject);
        }
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&temporary)
        .and_then(|mut file| file.write_all(pid.to_string().as_bytes()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.at(Step::Output, subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_only_and_nothing_left_beside() {
        let dir = std::env::temp_dir().join(format!("corten-pid-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let path = dir.join("init.pid");
        fs::write(dir.join(".init.pid"), "left over").unwrap();
        fs::write(&path, "an older and longer pid file").unwrap();
        write(&path, 4_194_303).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"4194303");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn names_the_file_that_cannot_be_written() {
        let error = write(Path::new("/nonexistent/pid"), 1).unwrap_err();
        assert_eq!(error.to_string(), "write pid file /nonexistent/pid: no such file or directory");
        assert!(write(Path::new("/"), 1).is_err());
    }
}
