//! Reads an archive entry by entry, extensions applied.

use std::io::{self, Read};

use super::header::Header;
use super::pax::Records;
use super::{BLOCK, Entry, Kind, SPECIAL, broken, sparse};

/// An archive being read.
pub struct Reader<R> {
    input: R,
    /// Data of the current entry that was not read yet.
    data: u64,
    /// Padding behind it.
    padding: usize,
    ended: bool,
}

/// What stood before a header and changes it.
#[derive(Default)]
struct Extensions {
    pax: Option<Records>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    /// Begins at the first header.
    pub fn new(input: R) -> Self {
        Self { input, data: 0, padding: 0, ended: false }
    }

    /// The next entry, `None` at the end of the archive; what was not read of the one before is
    /// passed over.
    ///
    /// # Errors
    /// `InvalidData` where the archive is broken or ends early; what reading fails with.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut extensions = Extensions::default();
        loop {
            let Some(block) = self.block_of_header()? else {
                return match (&extensions.pax, &extensions.path, &extensions.link) {
                    (None, None, None) => Ok(None),
                    _ => Err(broken("it ends after an extended header")),
                };
            };
            let header = Header::of(&block)?;
            match header.flag() {
                b'x' => extensions.pax = Some(Records::parse(&self.special(header.size()?)?)?),
                // Said of all files that follow; no archiver of images says anything there.
                b'g' => drop(self.special(header.size()?)?),
                b'L' => extensions.path = Some(long(self.special(header.size()?)?)),
                b'K' => extensions.link = Some(long(self.special(header.size()?)?)),
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    /// Reads what follows the end of the archive, so that all of the input was seen.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut self.input, &mut io::sink()).map(drop)
    }

    /// What the archive is read from.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// Takes extensions and header together.
    fn entry(&mut self, header: &Header<'_>, extensions: Extensions) -> io::Result<Entry> {
        let mut entry = header.entry()?;
        let Extensions { pax, path, link } = extensions;
        entry.path = path.unwrap_or(entry.path);
        entry.link = link.unwrap_or(entry.link);
        let pax = pax.unwrap_or_default();
        pax.apply(&mut entry)?;
        if entry.path.is_empty() {
            return Err(broken("an entry without a path"));
        }
        let carries = matches!(entry.kind, Kind::File | Kind::Other(_));
        let size = pax.number("size")?;
        // Links and directories may tell a size that no data follows.
        let data = if carries { size.map_or_else(|| header.size(), Ok)? } else { 0 };
        if header.flag() == b'S' {
            return self.old_sparse(header, entry, data);
        }
        self.expect(data);
        if entry.kind != Kind::File {
            return Ok(entry);
        }
        entry.size = data;
        let map = match sparse::before_data(&pax)? {
            Some(whole) => Some(sparse::read_before_data(|| self.block_of_data(), whole)?),
            None => sparse::in_records(&pax)?,
        };
        if let Some(map) = map {
            sparse::settle(&mut entry, map, self.data)?;
        }
        Ok(entry)
    }

    /// GNU's old format: the map goes on in blocks before the data.
    fn old_sparse(
        &mut self,
        header: &Header<'_>,
        mut entry: Entry,
        data: u64,
    ) -> io::Result<Entry> {
        let (area, mut more, size) = header.sparse()?;
        let mut pieces = Vec::new();
        sparse::old(area, &mut pieces)?;
        while more {
            let mut block = [0; BLOCK];
            self.input.read_exact(&mut block).map_err(early)?;
            sparse::old(&block[..504], &mut pieces)?;
            more = block[504] != 0;
        }
        self.expect(data);
        sparse::settle(&mut entry, sparse::Map { pieces, size }, data)?;
        Ok(entry)
    }

    /// The next block, or `None` where the archive ends: at two empty blocks or with the input.
    fn block_of_header(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        if self.ended {
            return Ok(None);
        }
        let rest = self.data;
        let passed = io::copy(&mut (&mut self.input).take(rest), &mut io::sink())?;
        if passed < rest {
            return Err(early(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut padding = [0; BLOCK];
        let padding = &mut padding[..std::mem::take(&mut self.padding)];
        self.data = 0;
        let mut block = [0; BLOCK];
        self.ended = fill(&mut self.input, padding)? < padding.len();
        if self.ended {
            return Ok(None);
        }
        match fill(&mut self.input, &mut block)? {
            0 => self.ended = true,
            BLOCK if block.iter().any(|byte| *byte != 0) => return Ok(Some(block)),
            BLOCK => {
                let second = fill(&mut self.input, &mut block)?;
                if second == BLOCK && block.iter().any(|byte| *byte != 0) {
                    return Err(broken("an empty block between entries"));
                }
                self.ended = true;
            }
            _ => return Err(early(io::ErrorKind::UnexpectedEof.into())),
        }
        Ok(None)
    }

    /// The next block of an entry's data.
    fn block_of_data(&mut self) -> io::Result<Vec<u8>> {
        let mut block = vec![0; BLOCK];
        self.read_exact(&mut block).map_err(early)?;
        Ok(block)
    }

    /// The data of an extension.
    fn special(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > SPECIAL {
            return Err(broken(format!(
                "an extended header of {size} bytes, allowed are {SPECIAL}"
            )));
        }
        self.expect(size);
        let mut data = Vec::new();
        self.read_to_end(&mut data)?;
        Ok(data)
    }

    fn expect(&mut self, data: u64) {
        self.data = data;
        let over = usize::try_from(data % BLOCK as u64).unwrap_or(0);
        self.padding = (BLOCK - over) % BLOCK;
    }
}

/// The data of the current entry.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.data).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.input.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(early(io::ErrorKind::UnexpectedEof.into()));
        }
        self.data -= read as u64;
        Ok(read)
    }
}

/// A long name without the NUL behind it.
fn long(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|byte| *byte == 0) {
        name.truncate(end);
    }
    name
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The end of the input in the middle of an entry, in words.
fn early(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof if error.raw_os_error().is_none() => {
            broken("it ends in the middle of an entry")
        }
        _ => error,
    }
}
