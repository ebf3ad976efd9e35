//! What must hold for every archive and every name of an image that somebody gives.
//!
//! It panics where something does not hold; what is refused in words is fine. Run by libFuzzer
//! (`fuzz_targets/`) and by `tests/images/fuzz.rs`.

use std::io::Read;

use corten_engine::layer::compress::decompress;
use corten_engine::layer::tar::Reader;
use corten_engine::reference::Reference;

/// Most bytes that are looked at: a small stream may be a large one compressed.
const LIMIT: u64 = 1 << 20;

/// Reads an archive, compressed or not; whether it was one.
pub(crate) fn archive(data: &[u8]) -> bool {
    let Ok((_, stream)) = decompress(data) else { return false };
    let mut archive = Reader::new(stream.take(LIMIT));
    let mut read = 0;
    loop {
        match archive.next_entry() {
            Ok(Some(entry)) => {
                assert!(!entry.path.is_empty() && !entry.path.contains(&0));
                let mut data = Vec::new();
                if archive.read_to_end(&mut data).is_err() {
                    return false;
                }
                read += data.len() as u64;
                assert!(read <= LIMIT);
                let pieces = entry.sparse.as_deref().unwrap_or_default();
                assert!(pieces.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
                assert!(pieces.last().is_none_or(|(at, length)| at + length <= entry.size));
            }
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Reads a name; whether it was one.
pub(crate) fn name(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(name) = text.parse::<Reference>() else { return false };
    assert_eq!(name.to_string().parse::<Reference>().ok().as_ref(), Some(&name));
    assert_eq!(name.familiar().parse::<Reference>().ok().as_ref(), Some(&name));
    // It is a path below `refs/`.
    assert!(name.repository.split('/').all(|part| !["", ".", ".."].contains(&part)));
    true
}
