//! The program's own image: which file its memory is mapped from and `/proc/self/exe` names.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr;

use super::{done, fd, raw};

/// The most loaded segments that a program of ours has; linkers make four to six.
const SEGMENTS: usize = 16;
/// `struct prctl_mm_map` of prctl(2) has this many addresses before its auxiliary vector.
const ADDRESSES: usize = 11;

/// Replaces the file behind this process' image: every segment comes from `file` afterwards, and
/// `/proc/PID/exe` is `file` (`PR_SET_MM` of prctl(2), Linux 3.18 for those who may change
/// namespaces). `file` is the same file on another mount, open for reading; anything else is
/// refused.
///
/// What was written to is copied; the rest is mapped anew, which costs no copy at all. The kernel
/// accepts the new name only when no mapping of the old one is left, so success is complete.
/// After a failure the program runs on as before, and its name is the old one.
///
/// # Errors
/// `Unsupported` when the process has other threads, which could write to what is being moved.
/// `EPERM` without `CAP_SYS_ADMIN`, `CAP_CHECKPOINT_RESTORE` or `CAP_SYS_RESOURCE`; `EINVAL` of a
/// kernel without `CONFIG_CHECKPOINT_RESTORE`; `EBUSY` when the old file is mapped elsewhere too
/// (a dynamic program); `Unsupported` for a layout of segments that is not understood.
pub fn replace(file: impl AsFd) -> io::Result<()> {
    let image = Image::own()?;
    let running = fd::open(c"/proc/self/exe", libc::O_PATH)?;
    let (running, new) = (fd::fstat(&running)?, fd::fstat(&file)?);
    if (running.dev, running.ino) != (new.dev, new.ino) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let map = MemoryMap::read()?;
    for segment in &image.segments[..image.count] {
        // SAFETY: the segment is one of this program's, `file` is its file, there is one thread.
        unsafe { segment.move_to(file.as_fd()) }?;
    }
    if let Some((start, length)) = image.relro {
        // SAFETY: the loader protected this same range after relocation.
        done(unsafe { libc::mprotect(start as *mut c_void, length, libc::PROT_READ) })?;
    }
    name_executable(file.as_fd(), &map)
}

/// Gives memory back that a process which mostly waits need not hold: pages of the program's file,
/// which come again from the page cache when they are run, and what the allocator keeps unused.
///
/// # Errors
/// `Unsupported` for a layout of segments that is not understood; nothing is given back then.
pub fn give_back() -> io::Result<()> {
    let image = Image::own()?;
    for segment in &image.segments[..image.count] {
        if segment.length > 0 && segment.protection & libc::PROT_WRITE == 0 {
            let at = segment.start as *mut c_void;
            // SAFETY: a private mapping of a file that nothing was ever written to: each page
            // reads the same after it was dropped (madvise(2)).
            done(unsafe { libc::madvise(at, segment.length, libc::MADV_DONTNEED) })?;
        }
    }
    // SAFETY: the allocator's own call; whether there was something to give is of no interest.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
    Ok(())
}

/// What the callback of dl_iterate_phdr(3) says when it has seen the program itself.
const FIRST_SEEN: c_int = 1;

struct Image {
    segments: [Segment; SEGMENTS],
    count: usize,
    /// What is only read after relocation: start, length.
    relro: Option<(usize, usize)>,
}

impl Image {
    /// This program's.
    fn own() -> io::Result<Self> {
        let mut image = Self { segments: [Segment::default(); SEGMENTS], count: 0, relro: None };
        // SAFETY: the callback keeps to its contract (below), `data` outlives the call.
        let code = unsafe { libc::dl_iterate_phdr(Some(note_program), (&raw mut image).cast()) };
        if code == FIRST_SEEN { Ok(image) } else { Err(io::ErrorKind::Unsupported.into()) }
    }
}

/// The part of a segment that is mapped from the file, in whole pages.
#[derive(Clone, Copy, Default)]
struct Segment {
    start: usize,
    length: usize,
    offset: i64,
    protection: c_int,
}

/// Called for the program first: notes its segments and asks for no other object.
unsafe extern "C" fn note_program(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    data: *mut c_void,
) -> c_int {
    // SAFETY: the C library hands over a valid description, and `data` as `replace` gave it.
    let (info, image) = unsafe { (&*info, &mut *data.cast::<Image>()) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: dlpi_phdr points to that many headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    // Program headers have the machine's word, whichever it is.
    let word = |value| usize::try_from(value).unwrap_or_default();
    let base = word(info.dlpi_addr);
    for header in headers {
        let start = base.wrapping_add(word(header.p_vaddr));
        let first = page_floor(start);
        match header.p_type {
            libc::PT_LOAD if image.count == SEGMENTS => return 0,
            libc::PT_LOAD => {
                let before = start - first;
                image.segments[image.count] = Segment {
                    start: first,
                    length: page_ceil(before + word(header.p_filesz)),
                    offset: i64::try_from(word(header.p_offset) - before).unwrap_or(-1),
                    protection: protection(header.p_flags),
                };
                image.count += 1;
            }
            // As the C library does: a last page that is shared stays writable.
            libc::PT_GNU_RELRO => {
                let end = page_floor(start + word(header.p_memsz));
                image.relro = Some((first, end - first));
            }
            _ => {}
        }
    }
    FIRST_SEEN
}

impl Segment {
    /// # Safety
    /// `self` is a mapping of this program, `file` its file, and it has one thread.
    unsafe fn move_to(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        if self.length == 0 {
            return Ok(());
        }
        if self.protection & libc::PROT_WRITE != 0 {
            // SAFETY: our caller's promise.
            return unsafe { self.move_to_memory() };
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
        let at = self.start as *mut c_void;
        // SAFETY: nobody writes here, and the same bytes stand here at every moment, so that the
        // code which is running, and everything that points here, goes on.
        let address =
            unsafe { libc::mmap(at, self.length, self.protection, flags, raw(&file), self.offset) };
        mapped(address).map(drop)
    }

    /// # Safety
    /// As [`Segment::move_to`].
    unsafe fn move_to_memory(&self) -> io::Result<()> {
        let (at, flags) = (self.start as *mut c_void, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place of the kernel's choice.
        let copy = unsafe {
            libc::mmap(
                ptr::null_mut(),
                self.length,
                self.protection,
                flags | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        let copy = mapped(copy)?;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the whole range is readable, the copy is as long; with one thread, nothing is
        // written to the old pages between the copy and the exchange (the stack is elsewhere).
        let address = unsafe {
            ptr::copy_nonoverlapping(at.cast::<u8>(), copy.cast(), self.length);
            libc::mremap(copy, self.length, self.length, flags, at)
        };
        mapped(address).map(drop)
    }
}

fn mapped(address: *mut c_void) -> io::Result<*mut c_void> {
    if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(address) }
}

/// `p_flags` of elf(5) as the bits of mmap(2).
fn protection(flags: u32) -> c_int {
    let pairs = [
        (libc::PF_R, libc::PROT_READ),
        (libc::PF_W, libc::PROT_WRITE),
        (libc::PF_X, libc::PROT_EXEC),
    ];
    pairs.iter().filter(|(flag, _)| flags & flag != 0).fold(0, |all, (_, bit)| all | bit)
}

fn page_size() -> usize {
    // SAFETY: reads a constant of the process.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

fn page_floor(address: usize) -> usize {
    address & !(page_size() - 1)
}

fn page_ceil(length: usize) -> usize {
    page_floor(length + page_size() - 1)
}

/// `struct prctl_mm_map` of `linux/prctl.h`.
#[derive(Clone, Copy)]
#[repr(C)]
struct MemoryMap {
    /// start and end of code, start and end of data, start of brk, brk, start of the stack, then
    /// start and end of arguments and environment.
    addresses: [u64; ADDRESSES],
    auxv: *const u64,
    auxv_size: u32,
    exe_fd: u32,
}

impl MemoryMap {
    /// What the kernel knows now: the call sets everything at once.
    fn read() -> io::Result<Self> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let mut text = [0; 1024]; // 52 numbers and a short name
        let stat = fd::open(c"/proc/self/stat", libc::O_RDONLY)?;
        let length = fd::read(&stat, &mut text)?;
        // The name in parentheses may hold anything; field 3 stands after the last of them.
        let end = text[..length].iter().rposition(|byte| *byte == b')').ok_or_else(invalid)?;
        let text = std::str::from_utf8(&text[end + 1..length]).map_err(|_| invalid())?;
        let field = |number: usize| {
            let field = text.split_ascii_whitespace().nth(number - 3)?;
            field.parse::<u64>().ok()
        };
        if field(20) != Some(1) {
            return Err(io::ErrorKind::Unsupported.into()); // num_threads
        }
        // SAFETY: sbrk(0) only reads.
        let brk = unsafe { libc::sbrk(0) } as u64;
        // proc_pid_stat(5): startcode endcode start_data end_data start_brk, the brk of now,
        // startstack, then start and end of arguments and environment.
        let numbers = [26, 27, 45, 46, 47, 0, 28, 48, 49, 50, 51];
        let mut addresses = [0; ADDRESSES];
        for (slot, number) in addresses.iter_mut().zip(numbers) {
            *slot = if number == 0 { brk } else { field(number).ok_or_else(invalid)? };
        }
        Ok(Self { addresses, auxv: ptr::null(), auxv_size: 0, exe_fd: u32::MAX })
    }
}

fn name_executable(file: BorrowedFd<'_>, map: &MemoryMap) -> io::Result<()> {
    let exe_fd = u32::try_from(raw(&file)).map_err(|_| io::ErrorKind::InvalidInput)?;
    let map = MemoryMap { exe_fd, ..*map };
    let size = size_of::<MemoryMap>();
    // SAFETY: the structure is the kernel's, complete, and only read.
    done(unsafe {
        libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP, &raw const map, size, 0_usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests run in threads, whose writes would be lost; nothing may have been touched.
    #[test]
    fn other_threads_are_an_obstacle() {
        let file = fd::open(c"/proc/self/exe", libc::O_RDONLY).unwrap();
        assert_eq!(replace(&file).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn another_file_is_refused() {
        let file = fd::open(c"/proc/self/stat", libc::O_RDONLY).unwrap();
        assert_eq!(replace(&file).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn segments_are_whole_pages_of_this_program() {
        let image = Image::own().unwrap();
        let segments = &image.segments[..image.count];
        let inside = |address: usize| {
            segments.iter().find(|s| (s.start..s.start + s.length).contains(&address))
        };
        let code = inside(page_size as *const () as usize).unwrap();
        assert_eq!(code.protection, libc::PROT_READ | libc::PROT_EXEC);
        assert_eq!(code.start % page_size(), 0);
        assert_eq!(usize::try_from(code.offset).unwrap() % page_size(), 0);
        let constant = ptr::from_ref(c"stat").addr();
        assert_eq!(inside(constant).unwrap().protection & libc::PROT_WRITE, 0);
    }

    /// Threads may run on meanwhile: nothing that is read changes.
    #[test]
    fn a_program_runs_on_without_its_pages() {
        let clean = || {
            let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let exe = std::env::current_exe().unwrap().display().to_string();
            let mut resident = 0;
            let mut code = false;
            for line in text.lines() {
                if line.contains("-xp") || line.contains(" rw-p") || line.contains(" r--p") {
                    code = line.contains("r-xp") && line.ends_with(&exe);
                }
                if let Some(rest) = line.strip_prefix("Rss:").filter(|_| code) {
                    let kib = rest.split_whitespace().next().unwrap();
                    resident += kib.parse::<u64>().unwrap();
                }
            }
            resident
        };
        // All of the code is there once.
        let image = Image::own().unwrap();
        for segment in image.segments.iter().filter(|s| s.protection & libc::PROT_EXEC != 0) {
            for page in (segment.start..segment.start + segment.length).step_by(page_size()) {
                // SAFETY: it lies in a mapped and readable segment of this program.
                unsafe { ptr::read_volatile(page as *const u8) };
            }
        }
        let before = clean();
        give_back().unwrap();
        let after = clean();
        assert!(after < before, "{after} of {before} KiB");
    }
}
