//! Blobs: content named by its digest, checked while it streams in.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::Store;
use super::digest::{Digest, Hashing};
use crate::error::{Error, Result, What};
use crate::fsutil::{self, Lock};

/// What is copied at once.
const BUFFER: usize = 256 << 10;

impl Store {
    /// Takes a blob from `reader`, which must have the digest `expected` and, where it is known,
    /// `size` bytes. It is in place once an image is put that needs it. Returns its size.
    ///
    /// # Errors
    /// Digest or size is another; reading or writing fails.
    pub fn add_blob(&self, reader: impl Read, expected: &Digest, size: Option<u64>) -> Result<u64> {
        let what = || format!("cannot store blob {expected}");
        let path = self.staging()?.join("blobs").join(fsutil::random_name()?);
        let file = fsutil::create_new(&path).what(what)?;
        // One byte more than allowed is enough to know.
        let mut reader = reader.take(size.map_or(u64::MAX, |size| size.saturating_add(1)));
        let mut hashing = Hashing::new(file);
        let copied = copy(&mut reader, &mut hashing).what(what);
        let length = hashing.passed();
        let checked = copied.and_then(|()| check(&hashing.finish().0, expected, length, size));
        if let Err(error) = checked {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        self.work().blobs.insert(*expected, path);
        Ok(length)
    }

    /// Takes a file below this command's directory as the blob that it is.
    pub fn adopt_blob(&self, digest: Digest, path: PathBuf) {
        self.work().blobs.insert(digest, path);
    }

    /// A fresh file below this command's directory.
    pub fn scratch(&self) -> Result<PathBuf> {
        Ok(self.staging()?.join("blobs").join(fsutil::random_name()?))
    }

    /// Opens a blob, in place or made by this command.
    ///
    /// # Errors
    /// There is none.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let staged = self.work().blobs.get(digest).cloned();
        let open = staged.map(File::open).filter(|open| {
            // Another command that took up the same download may have put it in place.
            !open.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        });
        let open = open.unwrap_or_else(|| File::open(self.blob_path(digest)));
        open.what(|| format!("cannot open blob {digest}"))
    }

    /// Reads a small blob whole and checks it.
    ///
    /// # Errors
    /// It is missing, damaged, or longer than `limit` bytes.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let what = || format!("cannot read blob {digest}");
        let mut content = Vec::new();
        self.open_blob(digest)?.take(limit + 1).read_to_end(&mut content).what(what)?;
        if content.len() as u64 > limit {
            return Err(Error::new(what()).why(format!("it is longer than {limit} bytes")));
        }
        if Digest::of(&content) != *digest {
            return Err(Error::new(what())
                .why("it is damaged: its content has another digest")
                .fix("pull or load the image again, or run: pier check --repair"));
        }
        Ok(content)
    }

    /// The file of a blob that is to be downloaded: it continues what an earlier command left.
    /// `None` where the blob is there already. Waits while another command downloads it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn partial(&self, digest: &Digest) -> Result<Option<Partial>> {
        let what = || format!("cannot continue blob {digest}");
        self.staging()?;
        let path = self.paths.partial().join(digest.hex());
        loop {
            if self.has_blob(digest)? {
                return Ok(None);
            }
            let mut lock = Lock::exclusive(&path)?;
            let open = lock.file().metadata().what(what)?;
            // The command that had the lock may have completed it.
            if !std::fs::metadata(&path).is_ok_and(|now| now.ino() == open.ino()) {
                continue;
            }
            let mut hashing = Hashing::new(io::sink());
            copy(lock.file(), &mut hashing).what(what)?;
            return Ok(Some(Partial { digest: *digest, path, lock, hash: Some(hashing) }));
        }
    }
}

/// A blob being downloaded: what is written is kept when the command dies.
#[derive(Debug)]
pub struct Partial {
    digest: Digest,
    path: PathBuf,
    lock: Lock,
    hash: Option<Hashing<io::Sink>>,
}

impl Partial {
    /// How many bytes are there: where the download goes on.
    pub fn offset(&self) -> u64 {
        self.hash.as_ref().map_or(0, Hashing::passed)
    }

    /// Begins anew: the server cannot continue, or what is there was wrong.
    ///
    /// # Errors
    /// The file cannot be cut.
    pub fn restart(&mut self) -> Result<()> {
        let file = self.lock.file();
        let cut = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
        cut.what(|| format!("cannot begin blob {} anew", self.digest))?;
        self.hash = Some(Hashing::new(io::sink()));
        Ok(())
    }

    /// Ends the download. What does not have the digest is removed, so that the next command
    /// begins anew.
    ///
    /// # Errors
    /// Digest or size is another than expected.
    pub fn finish(mut self, store: &Store, size: u64) -> Result<()> {
        let length = self.offset();
        let Some(hash) = self.hash.take() else { return Ok(()) };
        if let Err(error) = check(&hash.finish().0, &self.digest, length, Some(size)) {
            let _ = std::fs::remove_file(&self.path);
            return Err(error);
        }
        store.adopt_blob(self.digest, self.path.clone());
        Ok(())
    }
}

impl Write for Partial {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.lock.file().write(buffer)?;
        self.hash.as_mut().map_or(Ok(()), |hash| hash.write_all(&buffer[..written]))?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn copy(reader: &mut impl Read, writer: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => writer.write_all(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn check(found: &Digest, expected: &Digest, length: u64, size: Option<u64>) -> Result<()> {
    let wrong = |why: String| Err(Error::new(format!("blob {expected} is not what came")).why(why));
    match size {
        Some(size) if length > size => wrong(format!("there are more than {size} bytes")),
        Some(size) if length < size => wrong(format!("{length} bytes of {size} came")),
        _ if found != expected => wrong(format!("its digest is {found}")),
        _ => Ok(()),
    }
}
