//! Names and numbers of system calls on every architecture; the lists themselves are generated.
//!
//! One sorted list of names and one column of numbers per architecture: a name is looked up once
//! and gives the number on all of them.

mod names;
pub(crate) mod numbers;

pub(crate) use names::NAMES;

/// "This architecture has no such call".
const NONE: u16 = 0xffff;
/// Where a column keeps Arm's private calls (`__ARM_NR_BASE`).
const PRIVATE: u16 = 0xf000;
/// First of Arm's private calls.
pub(crate) const ARM_PRIVATE: u32 = 0x000f_0000;

/// A column of numbers.
pub(crate) type Column = [u16; NAMES.len()];

/// The row of a name.
pub(crate) fn row(name: &str) -> Option<usize> {
    NAMES.binary_search(&name).ok()
}

/// The number in a row, without the architecture's base.
pub(crate) fn number(column: &Column, row: usize) -> Option<u32> {
    match column.get(row).copied() {
        None | Some(NONE) => None,
        Some(n) if n >= PRIVATE => Some(ARM_PRIVATE + u32::from(n - PRIVATE)),
        Some(n) => Some(u32::from(n)),
    }
}

/// The name of a number without the architecture's base.
pub(crate) fn name(column: &Column, nr: u32) -> Option<&'static str> {
    let row = (0..NAMES.len()).find(|row| number(column, *row) == Some(nr))?;
    NAMES.get(row).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(NAMES.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn arms_private_calls_have_their_numbers() {
        let row = row("cacheflush").unwrap();
        assert_eq!(number(&numbers::ARM, row), Some(983_042));
        assert_eq!(name(&numbers::ARM, 983_042), Some("cacheflush"));
        assert_eq!(number(&numbers::X86_64, row), None);
    }
}
