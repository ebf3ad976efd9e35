//! Compression of layers and archives: found by the first bytes, never by a name.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), of one or more members.
    Gzip,
    /// Zstandard (RFC 8878), of one or more frames.
    Zstd,
}

/// Looks at the first bytes without taking them.
///
/// # Errors
/// The stream is compressed in a way that layers are not; what reading fails with.
pub fn detect(stream: &mut impl BufRead) -> io::Result<Compression> {
    let start = stream.fill_buf()?;
    let other = match start {
        [0x1f, 0x8b, ..] => return Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            return Ok(Compression::Zstd);
        }
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => "bzip2",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz",
        _ => return Ok(Compression::None),
    };
    let why = format!("it is compressed with {other}; plain, gzip and zstd are known");
    Err(io::Error::new(io::ErrorKind::InvalidData, why))
}

/// The stream without its compression, and which one it was.
///
/// # Errors
/// As [`detect`].
pub fn decompress<'a>(
    mut stream: impl BufRead + 'a,
) -> io::Result<(Compression, Box<dyn Read + 'a>)> {
    let compression = detect(&mut stream)?;
    Ok((
        compression,
        match compression {
            Compression::None => Box::new(stream),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
            Compression::Zstd => Box::new(Zstd::new(stream)),
        },
    ))
}

/// Frame after frame of a zstd stream; frames that carry no content are passed over.
struct Zstd<R> {
    decoder: FrameDecoder,
    stream: R,
    inside: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(stream: R) -> Self {
        // Its window is bounded: 128 MiB, what zstd(1) allows without `--long`.
        Self { decoder: FrameDecoder::new(), stream, inside: false }
    }

    /// Begins the next frame; false at the end of the stream.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.stream.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.stream) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let passed = io::copy(&mut (&mut self.stream).take(length), &mut io::sink())?;
                    if passed < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(broken(&error)),
            }
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.inside && !self.begin()? {
                return Ok(0);
            }
            self.inside = true;
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.decoder.decode_blocks(&mut self.stream, one);
                decoded.map_err(|error| broken(&error))?;
            }
            match self.decoder.read(buffer)? {
                0 => self.inside = false,
                read => return Ok(read),
            }
        }
    }
}

fn broken(error: &FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("broken zstd stream: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(stream: &[u8]) -> io::Result<(Compression, Vec<u8>)> {
        let (compression, mut reader) = decompress(stream)?;
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        Ok((compression, content))
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// A frame with one raw block, and one that programs must skip.
    const FRAME: &[u8] = b"\x28\xb5\x2f\xfd\x20\x03\x19\0\0abc";
    const SKIPPED: &[u8] = b"\x50\x2a\x4d\x18\x02\0\0\0xx";

    #[test]
    fn streams_are_known_by_their_first_bytes() {
        assert_eq!(read(b"plain").unwrap(), (Compression::None, b"plain".to_vec()));
        assert_eq!(read(b"").unwrap(), (Compression::None, Vec::new()));
        let two = [gzip(b"one"), gzip(b"two")].concat();
        assert_eq!(read(&two).unwrap(), (Compression::Gzip, b"onetwo".to_vec()));
        let frames = [SKIPPED, FRAME, SKIPPED, FRAME, SKIPPED].concat();
        assert_eq!(read(&frames).unwrap(), (Compression::Zstd, b"abcabc".to_vec()));
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_an_error() {
        let whole = gzip(&[7; 1000]);
        assert!(read(&whole[..whole.len() - 9]).is_err());
        assert!(read(&FRAME[..FRAME.len() - 1]).is_err());
        assert!(read(&SKIPPED[..SKIPPED.len() - 1]).is_err());
        let error = read(b"\xfd7zXZ\0....").unwrap_err().to_string();
        assert!(error.contains("compressed with xz"), "{error}");
        assert!(read(b"BZh91AY").unwrap_err().to_string().contains("bzip2"));
    }
}
