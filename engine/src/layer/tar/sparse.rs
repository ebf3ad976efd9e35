//! Sparse files: GNU's old header, and its pax formats 0.0, 0.1 and 1.0.
//!
//! All of them become one map: ascending pieces inside of the file, as long together as the data.

use std::io;

use super::pax::{Records, decimal};
use super::{Entry, broken, header};

/// Most pieces of one file: what fits into a map of [`super::SPECIAL`] bytes.
const PIECES: usize = 1 << 16;

/// A map that was found, with the size of the whole file.
pub(super) struct Map {
    pub(super) pieces: Vec<(u64, u64)>,
    pub(super) size: u64,
}

/// Takes the real name: in `path` stands one that tells old programs that it is sparse.
pub(super) fn name(records: &Records, entry: &mut Entry) {
    if let Some(name) = records.get("GNU.sparse.name") {
        entry.path = name.to_vec();
    }
}

/// The map in the records of format 0.0 and 0.1; `None` when the file is not sparse.
pub(super) fn in_records(records: &Records) -> io::Result<Option<Map>> {
    let wrong = || broken("a sparse map that is none");
    let numbers: Vec<&[u8]> = match records.get("GNU.sparse.map") {
        Some(map) => map.split(|byte| *byte == b',').collect(),
        None => records.pairs("GNU.sparse.offset", "GNU.sparse.numbytes"),
    };
    let Some(size) = records.number("GNU.sparse.size")? else { return Ok(None) };
    let numbers: Option<Vec<u64>> = numbers.into_iter().map(decimal).collect();
    let pieces = pairs(&numbers.ok_or_else(wrong)?)?;
    Ok(Some(Map { pieces, size }))
}

/// Whether the map stands before the data (format 1.0), and the size of the whole file then.
pub(super) fn before_data(records: &Records) -> io::Result<Option<u64>> {
    match (records.get("GNU.sparse.major"), records.get("GNU.sparse.minor")) {
        (None, None) => Ok(None),
        (Some(b"1"), Some(b"0")) => {
            let size = records.number("GNU.sparse.realsize")?;
            size.map(Some).ok_or_else(|| broken("a sparse file without size"))
        }
        (Some(b"0"), _) => Ok(None),
        _ => Err(broken("a sparse file of an unknown format")),
    }
}

/// Reads the map of format 1.0: a count and pairs, one decimal number a line, padded to a block.
/// `block` gives the next block of the data.
pub(super) fn read_before_data(
    mut block: impl FnMut() -> io::Result<Vec<u8>>,
    size: u64,
) -> io::Result<Map> {
    let wrong = || broken("a sparse map that is none");
    let mut text = Vec::new();
    let mut numbers = Vec::new();
    let mut wanted = 1;
    while numbers.len() < wanted {
        if !text.contains(&b'\n') {
            if text.len() > 20 {
                return Err(wrong());
            }
            text.extend(block()?);
            continue;
        }
        let end = text.iter().position(|byte| *byte == b'\n').ok_or_else(wrong)?;
        numbers.push(decimal(&text[..end]).ok_or_else(wrong)?);
        text.drain(..=end);
        if numbers.len() == 1 {
            let pieces = usize::try_from(numbers[0]).ok().filter(|pieces| *pieces <= PIECES);
            wanted = 1 + 2 * pieces.ok_or_else(wrong)?;
        }
    }
    Ok(Map { pieces: pairs(&numbers[1..])?, size })
}

/// Pieces of GNU's old format: offset and length, 12 bytes each, until an empty one.
pub(super) fn old(area: &[u8], pieces: &mut Vec<(u64, u64)>) -> io::Result<()> {
    let wrong = || broken("a sparse map that is none");
    for piece in area.chunks_exact(24) {
        if piece[0] == 0 || piece[12] == 0 {
            break;
        }
        let field = |at: &[u8]| header::number(at).and_then(|n| u64::try_from(n).ok());
        let offset = field(&piece[..12]).ok_or_else(wrong)?;
        pieces.push((offset, field(&piece[12..]).ok_or_else(wrong)?));
        if pieces.len() > PIECES {
            return Err(broken("a sparse file of too many pieces"));
        }
    }
    Ok(())
}

/// Puts the map into the entry when it is one for `data` bytes.
pub(super) fn settle(entry: &mut Entry, map: Map, data: u64) -> io::Result<()> {
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for (offset, length) in &map.pieces {
        let wrong = || broken("pieces of a sparse file out of order");
        if *offset < end {
            return Err(wrong());
        }
        end = offset.checked_add(*length).filter(|end| *end <= map.size).ok_or_else(wrong)?;
        sum += length;
    }
    if sum != data {
        return Err(broken("a sparse map that does not match the data"));
    }
    entry.size = map.size;
    entry.sparse = Some(map.pieces);
    Ok(())
}

fn pairs(numbers: &[u64]) -> io::Result<Vec<(u64, u64)>> {
    if !numbers.len().is_multiple_of(2) || numbers.len() / 2 > PIECES {
        return Err(broken("a sparse map that is none"));
    }
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}
