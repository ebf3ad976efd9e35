//! Argument and environment vectors that are ready before clone3 and only read after it.

use std::ffi::{CString, c_char};
use std::ptr;

/// A vector for execve(2): the strings and the pointers to them, with NULL at the end.
#[derive(Debug)]
pub struct ArgV {
    /// Never touched again but by [`ArgV::fill`], which stays inside a slot's allocation.
    strings: Vec<Box<[u8]>>,
    /// As many as strings, and a NULL; the slots that are filled stand before those that are not.
    pointers: Vec<*const c_char>,
    /// The slot that is filled next.
    next: usize,
}

// SAFETY: the pointers point into `strings`, which move with the value and are owned by it.
unsafe impl Send for ArgV {}

impl ArgV {
    /// Takes the strings as they are.
    pub fn new(strings: &[CString]) -> Self {
        let strings = strings.iter().map(|text| Box::from(text.as_bytes_with_nul()));
        Self::from_bytes(strings.collect())
    }

    /// As [`ArgV::new`], with `slots` last entries of up to `capacity` bytes that [`ArgV::fill`]
    /// sets one after the other; until then they are left out.
    pub fn with_slots(strings: &[CString], slots: usize, capacity: usize) -> Self {
        let texts = strings.iter().map(|text| Box::from(text.as_bytes_with_nul()));
        let slots = (0..slots).map(|_| Box::from(vec![0; capacity + 1]));
        let mut argv = Self::from_bytes(texts.chain(slots).collect());
        argv.next = strings.len();
        for pointer in argv.pointers.iter_mut().skip(argv.next) {
            *pointer = ptr::null();
        }
        argv
    }

    fn from_bytes(strings: Vec<Box<[u8]>>) -> Self {
        let pointers = strings.iter().map(|text| text.as_ptr().cast());
        let pointers = pointers.chain([ptr::null()]).collect();
        let next = strings.len();
        Self { strings, pointers, next }
    }

    /// Sets the next slot to `parts` joined; allocates nothing. `false` when they do not fit or
    /// hold a NUL byte, or no slot is left: the entry is then left out.
    pub fn fill(&mut self, parts: &[&[u8]]) -> bool {
        let (Some(slot), Some(pointer)) =
            (self.strings.get_mut(self.next), self.pointers.get_mut(self.next))
        else {
            return false;
        };
        let mut at = 0;
        for part in parts {
            let end = at + part.len();
            if end >= slot.len() || part.contains(&0) {
                return false;
            }
            slot[at..end].copy_from_slice(part);
            at = end;
        }
        slot[at] = 0;
        *pointer = slot.as_ptr().cast();
        self.next += 1;
        true
    }

    /// The pointers, for execve(2).
    pub(crate) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn read(argv: &ArgV) -> Vec<&[u8]> {
        let pointers = argv.pointers.iter().take_while(|pointer| !pointer.is_null());
        // SAFETY: every pointer before the NULL points to a NUL-terminated string of `strings`.
        pointers.map(|pointer| unsafe { CStr::from_ptr(*pointer) }.to_bytes()).collect()
    }

    #[test]
    fn slot_is_left_out_until_it_is_filled() {
        let mut argv = ArgV::with_slots(&[c"A=1".to_owned()], 2, 8);
        assert_eq!(read(&argv), [b"A=1"]);
        assert!(argv.fill(&[b"HOME=", b"/ro"]));
        assert_eq!(read(&argv), [&b"A=1"[..], b"HOME=/ro"]);
        assert!(argv.fill(&[b"B=2"]) && !argv.fill(&[b"C=3"]));
        assert_eq!(read(&argv), [&b"A=1"[..], b"HOME=/ro", b"B=2"]);
    }

    #[test]
    fn slot_refuses_what_does_not_fit() {
        let mut argv = ArgV::with_slots(&[], 1, 4);
        assert!(!argv.fill(&[b"12345"]));
        assert!(!argv.fill(&[b"a\0"]));
        assert!(argv.fill(&[b"1234"]));
    }
}
