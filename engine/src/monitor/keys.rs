//! Detach keys: a sequence that is for us and not for the program.

use crate::error::{Error, Result};

/// Docker's: ctrl-p, ctrl-q.
pub(crate) const DEFAULT: &str = "ctrl-p,ctrl-q";

/// Looks for the sequence in what is typed.
#[derive(Debug)]
pub(crate) struct Keys {
    sequence: Vec<u8>,
    matched: usize,
}

impl Keys {
    /// Reads `ctrl-p,ctrl-q`, `a,b`, `ctrl-@`; an empty text means that nothing detaches.
    ///
    /// # Errors
    /// A key that is none.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let key = |word: &str| {
            let bad = || {
                Error::new(format!("invalid detach keys ({text})"))
                    .why(format!("unknown key '{word}'"))
                    .fix("write letters or ctrl-LETTER, with commas between")
            };
            if let [byte] = word.as_bytes() {
                return Ok(*byte);
            }
            match word.strip_prefix("ctrl-").map(str::as_bytes) {
                Some([byte @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => {
                    Ok(byte & 0x1f)
                }
                _ => Err(bad()),
            }
        };
        let words = text.split(',').filter(|_| !text.is_empty());
        Ok(Self { sequence: words.map(key).collect::<Result<_>>()?, matched: 0 })
    }

    /// What of the typed bytes is for the program, and whether the sequence is complete.
    pub(crate) fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(typed.len());
        for byte in typed {
            if self.sequence.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.sequence.len() {
                    self.matched = 0;
                    return (out, true);
                }
                continue;
            }
            // It was no detaching after all: what was held back is the program's.
            out.extend_from_slice(&self.sequence[..self.matched]);
            self.matched = 0;
            if self.sequence.first() == Some(byte) {
                self.matched = 1;
                if self.sequence.len() == 1 {
                    return (out, true);
                }
            } else {
                out.push(*byte);
            }
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_found_across_reads() {
        let mut keys = Keys::parse(DEFAULT).unwrap();
        assert_eq!(keys.filter(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.filter(b"\x11rest"), (vec![], true));
    }

    #[test]
    fn what_only_begins_like_it_is_the_programs() {
        let mut keys = Keys::parse(DEFAULT).unwrap();
        assert_eq!(keys.filter(b"\x10x"), (b"\x10x".to_vec(), false));
        assert_eq!(keys.filter(b"\x10\x10\x11"), (b"\x10".to_vec(), true));
    }

    #[test]
    fn keys_are_checked() {
        assert_eq!(Keys::parse("a,ctrl-[").unwrap().sequence, [b'a', 0x1b]);
        assert_eq!(Keys::parse("").unwrap().filter(b"\x10\x11"), (b"\x10\x11".to_vec(), false));
        for text in ["ctrl-", "ctrl-P", "alt-x", "a,,b"] {
            assert!(Keys::parse(text).is_err(), "{text}");
        }
    }
}
