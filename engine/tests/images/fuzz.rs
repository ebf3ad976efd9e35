//! The doors of the fuzz targets, with inputs made of fixed seeds.

use crate::entry;
use crate::lab::colourful;

/// Numbers below a limit, the same in every run.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    }
}

#[test]
fn archives_with_changed_bytes_are_read_or_refused() {
    let mut next = numbers(0x2545_f491_4f6c_dd1d);
    let (mut read, mut refused) = (0, 0);
    for sound in colourful() {
        assert!(entry::archive(&sound));
        for _ in 0..1500 {
            let mut bytes = sound.clone();
            for _ in 0..=next(4) {
                let at = next(bytes.len().min(8192));
                bytes[at] = u8::try_from(next(256)).unwrap();
            }
            match entry::archive(&bytes) {
                true => read += 1,
                false => refused += 1,
            }
        }
    }
    assert!(read > 50 && refused > 50, "{read} {refused}");
}

#[test]
fn names_of_any_letters_are_read_or_refused() {
    let mut next = numbers(0x9e37_79b9_7f4a_7c15);
    let words = ["a", "b1", "-", "__", ".", ":", "/", "@", "localhost", "H", "sha256:", "[::1]"];
    let read = (0..20_000)
        .filter(|_| {
            let text: String = (0..=next(6)).map(|_| words[next(words.len())]).collect();
            entry::name(text.as_bytes())
        })
        .count();
    assert!(read > 500, "{read}");
}
