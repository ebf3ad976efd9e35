//! Digests: how content is named, and how it is checked while it streams.
//!
//! Only SHA-256, as every registry and every engine uses; another algorithm is refused by name
//! (image-spec, descriptor.md, "Digests").

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use crate::error::Error;

/// `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(sha2::Sha256::digest(content).into())
    }

    /// The 64 digits without the algorithm: the name of a blob's file.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads the 64 digits without the algorithm.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if hex.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// The first 12 digits: what Docker shows as an image's id.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::new(format!("invalid digest {text:?}")).why(why);
        match text.split_once(':') {
            Some(("sha256", hex)) => Self::from_hex(hex)
                .ok_or_else(|| wrong("sha256 has 64 lower-case hexadecimal digits".into())),
            Some((algorithm, _)) => {
                Err(wrong(format!("algorithm {algorithm} is not supported, only sha256 is")))
            }
            None => Err(wrong("it is written sha256:<64 hexadecimal digits>".into())),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashes and counts what passes through, reading or writing.
#[derive(Debug)]
pub struct Hashing<T> {
    inner: T,
    hash: sha2::Sha256,
    bytes: u64,
}

impl<T> Hashing<T> {
    /// Nothing has passed yet.
    pub fn new(inner: T) -> Self {
        Self { inner, hash: sha2::Sha256::new(), bytes: 0 }
    }

    /// How many bytes passed.
    pub fn passed(&self) -> u64 {
        self.bytes
    }

    /// The digest of what passed, and what it passed through.
    pub fn finish(self) -> (Digest, T) {
        (Digest(self.hash.finalize().into()), self.inner)
    }

    /// What it passes through.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.pass(&buffer[..read]);
        Ok(read)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.pass(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digests_are_written_as_they_are_read() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        let digest: Digest = EMPTY.parse().unwrap();
        assert_eq!((digest, digest.short()), (Digest::of(b""), "e3b0c44298fc".to_owned()));
        assert_eq!(serde_json::to_string(&digest).unwrap(), format!("{EMPTY:?}"));
        assert_eq!(serde_json::from_str::<Digest>(&format!("{EMPTY:?}")).unwrap(), digest);
    }

    #[test]
    fn what_is_no_digest_is_refused_in_words() {
        let sha512 = format!("sha512:{}", "a".repeat(128));
        let cases = [
            ("sha256:E3B0".to_owned(), "64 lower-case"),
            (EMPTY.to_uppercase().replace("SHA256", "sha256"), "64 lower-case"),
            (format!("{EMPTY}0"), "64 lower-case"),
            (sha512, "sha512 is not supported"),
            ("latest".to_owned(), "it is written"),
            ("sha256:../../../../etc/passwd".to_owned(), "64 lower-case"),
        ];
        for (text, why) in cases {
            let error = text.parse::<Digest>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn what_passes_is_hashed_either_way() {
        let mut reading = Hashing::new(&b"content"[..]);
        let mut writing = Hashing::new(Vec::new());
        io::copy(&mut reading, &mut writing).unwrap();
        assert_eq!((reading.passed(), writing.passed()), (7, 7));
        let (read, _) = reading.finish();
        let (written, content) = writing.finish();
        assert_eq!((read, written), (Digest::of(b"content"), Digest::of(&content)));
    }
}
