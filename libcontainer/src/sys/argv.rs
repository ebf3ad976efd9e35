//! Argument and environment vectors that are ready before clone3 and only read after it.

use std::ffi::{CString, c_char};
use std::ptr;

/// A vector for execve(2): the strings and the pointers to them, with NULL at the end.
#[derive(Debug)]
pub struct ArgV {
    /// Never touched again but by [`ArgV::fill`], which stays inside the slot's allocation.
    strings: Vec<Box<[u8]>>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers point into `strings`, which move with the value and are owned by it.
unsafe impl Send for ArgV {}

impl ArgV {
    /// Takes the strings as they are.
    pub fn new(strings: &[CString]) -> Self {
        let strings = strings.iter().map(|text| Box::from(text.as_bytes_with_nul()));
        Self::from_bytes(strings.collect())
    }

    /// As [`ArgV::new`], with a last entry of up to `capacity` bytes that [`ArgV::fill`] sets;
    /// until then it is left out.
    pub fn with_slot(strings: &[CString], capacity: usize) -> Self {
        let slot = Box::from(vec![0; capacity + 1]);
        let strings = strings.iter().map(|text| Box::from(text.as_bytes_with_nul()));
        let mut argv = Self::from_bytes(strings.chain([slot]).collect());
        if let Some(last) = argv.pointers.iter_mut().nth_back(1) {
            *last = ptr::null();
        }
        argv
    }

    fn from_bytes(strings: Vec<Box<[u8]>>) -> Self {
        let pointers = strings.iter().map(|text| text.as_ptr().cast());
        let pointers = pointers.chain([ptr::null()]).collect();
        Self { strings, pointers }
    }

    /// Sets the slot to `parts` joined; allocates nothing. `false` when they do not fit or hold
    /// a NUL byte: the entry is then left out.
    pub fn fill(&mut self, parts: &[&[u8]]) -> bool {
        let (Some(slot), Some(pointer)) =
            (self.strings.last_mut(), self.pointers.iter_mut().nth_back(1))
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
        let mut argv = ArgV::with_slot(&[c"A=1".to_owned()], 8);
        assert_eq!(read(&argv), [b"A=1"]);
        assert!(argv.fill(&[b"HOME=", b"/ro"]));
        assert_eq!(read(&argv), [&b"A=1"[..], b"HOME=/ro"]);
    }

    #[test]
    fn slot_refuses_what_does_not_fit() {
        let mut argv = ArgV::with_slot(&[], 4);
        assert!(!argv.fill(&[b"12345"]));
        assert!(!argv.fill(&[b"a\0"]));
        assert!(argv.fill(&[b"1234"]));
    }
}
