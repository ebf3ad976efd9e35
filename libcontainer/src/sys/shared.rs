//! A page shared with the child: where the init stage leaves the times of its steps.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

/// A fixed array of numbers, seen by parent and child alike.
#[derive(Debug)]
pub struct SharedNumbers {
    page: *mut AtomicU64,
    len: NonZeroUsize,
}

// SAFETY: the page is plain memory of atomics, owned by the value; see `Drop`.
unsafe impl Send for SharedNumbers {}

impl SharedNumbers {
    /// Maps `len` zeros (mmap(2), shared and anonymous).
    ///
    /// # Errors
    /// `ENOMEM`; `EINVAL` for a length of 0.
    pub fn new(len: usize) -> io::Result<Self> {
        let len = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        let bytes = len.get() * size_of::<AtomicU64>();
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { page: page.cast(), len })
    }

    fn slot(&self, at: usize) -> Option<&AtomicU64> {
        // SAFETY: `at` is inside the mapping, which is zeroed, aligned to a page and lives as
        // long as `self`.
        (at < self.len.get()).then(|| unsafe { &*self.page.add(at) })
    }

    /// Stores a number; outside of the array nothing happens.
    pub fn set(&self, at: usize, value: u64) {
        if let Some(slot) = self.slot(at) {
            slot.store(value, Ordering::Release);
        }
    }

    /// Reads a number; 0 when it was never set.
    pub fn get(&self, at: usize) -> u64 {
        self.slot(at).map_or(0, |slot| slot.load(Ordering::Acquire))
    }
}

impl Drop for SharedNumbers {
    fn drop(&mut self) {
        let bytes = self.len.get() * size_of::<AtomicU64>();
        // SAFETY: the mapping was made by `new` with this length, and no reference to it
        // outlives `self`.
        unsafe { libc::munmap(self.page.cast(), bytes) };
    }
}

/// Nanoseconds of the monotonic clock (clock_gettime(2), a vDSO call: nothing is allocated).
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; CLOCK_MONOTONIC always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_and_the_end_is_guarded() {
        let numbers = SharedNumbers::new(2).unwrap();
        numbers.set(1, 7);
        numbers.set(2, 9);
        assert_eq!((numbers.get(0), numbers.get(1), numbers.get(2)), (0, 7, 0));
        assert!(SharedNumbers::new(0).is_err());
    }
}
