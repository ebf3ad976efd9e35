//! An archive of images, taken apart: every file of it becomes a blob-to-be, named by its path.
//!
//! Archives come from a pipe and in any order, and say only at the end what their files are. Each
//! file is hashed while it is written below the command's directory, so that nothing is read
//! twice and nothing copied: a layer's file *is* the blob.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, What};
use crate::fsutil;
use crate::layer::compress;
use crate::layer::tar::{Kind, Reader};
use crate::store::digest::Hashing;
use crate::store::{Digest, Store};

/// What is read at once.
const BUFFER: usize = 256 << 10;
/// Most files of an archive.
const FILES: usize = 100_000;
/// Most links from one name to the next: Docker's old archives have one.
const LINKS: usize = 8;

/// A file of the archive.
#[derive(Debug, Clone)]
pub struct Member {
    /// Where it was written.
    pub path: PathBuf,
    /// Of its content.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// The archive, by clean paths.
#[derive(Debug, Default)]
pub struct Archive {
    files: HashMap<String, Member>,
    links: HashMap<String, String>,
}

impl Archive {
    /// Takes `stream` apart; it may be compressed.
    ///
    /// # Errors
    /// It is no archive, or the disk is full.
    pub fn read(store: &Store, stream: impl Read) -> Result<Self> {
        let what = || "cannot read the archive".to_owned();
        let stream = BufReader::with_capacity(BUFFER, stream);
        let (_, stream) = compress::decompress(stream).what(what)?;
        let mut tar = Reader::new(BufReader::with_capacity(BUFFER, stream));
        let mut archive = Self::default();
        while let Some(entry) = tar.next_entry().what(what)? {
            let name = clean("", &String::from_utf8_lossy(&entry.path));
            match entry.kind {
                Kind::File => drop(archive.files.insert(name, spool(store, &mut tar)?)),
                Kind::Symlink | Kind::HardLink => {
                    let base = match (entry.kind, name.rsplit_once('/')) {
                        (Kind::Symlink, Some((dir, _))) => dir,
                        _ => "",
                    };
                    let target = clean(base, &String::from_utf8_lossy(&entry.link));
                    archive.links.insert(name, target);
                }
                _ => {}
            }
            if archive.files.len() + archive.links.len() > FILES {
                return Err(Error::new(what()).why(format!("it has more than {FILES} files")));
            }
        }
        tar.drain().what(what)?;
        Ok(archive)
    }

    /// The file called `name`, links followed.
    pub fn file(&self, name: &str) -> Option<&Member> {
        let mut name = clean("", name);
        for _ in 0..LINKS {
            if let Some(member) = self.files.get(&name) {
                return Some(member);
            }
            name.clone_from(self.links.get(&name)?);
        }
        None
    }

    /// Whether there is a file called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.file(name).is_some()
    }

    /// The file called `name`, which must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn need(&self, name: &str) -> Result<&Member> {
        let missing = || Error::new("the archive is not complete").why(format!("no file {name}"));
        self.file(name).ok_or_else(missing)
    }

    /// Reads a small file whole.
    ///
    /// # Errors
    /// It is missing or longer than `limit` bytes.
    pub fn content(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let content = fsutil::read_small(&self.need(name)?.path, limit)?;
        content.ok_or_else(|| Error::new(format!("file {name} of the archive vanished")))
    }
}

/// Writes a file's data below the command's directory.
fn spool(store: &Store, data: &mut impl Read) -> Result<Member> {
    let path = store.scratch()?;
    let what = || format!("cannot write {}", path.display());
    let mut hashing = Hashing::new(fsutil::create_new(&path).what(what)?);
    let size = io::copy(data, &mut hashing).what(what)?;
    let digest = hashing.finish().0;
    Ok(Member { path, digest, size })
}

/// The path `name` seen from the directory `base`, without `.` and `..`, which end at the top.
fn clean(base: &str, name: &str) -> String {
    let base = if name.starts_with('/') { "" } else { base };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Opens what a command line names: a file, or `-` and nothing for stdin.
///
/// # Errors
/// There is no such file; stdin is a terminal.
pub fn open_input(path: Option<&Path>) -> Result<Box<dyn Read>> {
    match path.filter(|path| *path != Path::new("-")) {
        Some(path) => {
            let file = File::open(path).what(|| format!("cannot open {}", path.display()))?;
            Ok(Box::new(file))
        }
        None if io::IsTerminal::is_terminal(&io::stdin()) => {
            Err(Error::new("cannot read an archive from a terminal")
                .fix("redirect a file or a pipe to stdin, or name a file"))
        }
        None => Ok(Box::new(io::stdin().lock())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_and_never_leave_the_archive() {
        assert_eq!(clean("", "./a//b/../c"), "a/c");
        assert_eq!(clean("x", "../y/layer.tar"), "y/layer.tar");
        assert_eq!(clean("x/y", "/z"), "z");
        assert_eq!(clean("", "../../etc/passwd"), "etc/passwd");
    }
}
