//! Keeps the host's runtime binary out of the container's reach (CVE-2019-5736).
//!
//! A container whose program is `/proc/self/exe`, or a script with that interpreter, executes the
//! file that init was running before: ours. Once it has ended the container could open that file
//! for writing. So the file that runs must not be writable through `/proc/PID/exe`, and there are
//! three ways to that, the cheapest first:
//!
//! 1. our memory is mapped from a read-only detached mount of our own file, which becomes
//!    `/proc/self/exe` (50 µs; a static program on a kernel with `CONFIG_CHECKPOINT_RESTORE`);
//! 2. we execute ourselves once more from that mount (more than a millisecond); the program's name
//!    survives that, in `argv[0]` and in `/proc/PID/comm`: tools look for it;
//! 3. or, where mounts are refused, from a sealed copy in memory.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{At, Error, Result, Step};
use crate::sys::argv::ArgV;
use crate::sys::fd;
use crate::sys::mount::{self, MountAttr};
use crate::sys::{cred, exec, image};

/// Carries our pid into the second run, so that a host on which sealing has no effect ends in an
/// error instead of a loop; another process that inherits it has another pid. Behind the pid and a
/// blank stands our name.
const MARK: &str = "_CORTEN_SEALED";
/// The mount that we run from, from [`seal`] to [`let_go`].
static HELD: Mutex<Option<OwnedFd>> = Mutex::new(None);
/// `ST_RDONLY` of statvfs(3).
const READ_ONLY: u64 = 1;

/// Makes sure that this process runs a file that nobody can write through `/proc/self/exe`.
/// Call it at the top of `main`, before threads and open files: it may execute the program again
/// with the same arguments, environment and descriptors.
///
/// # Errors
/// `/proc` is not there, or neither a mount nor a memory file can be made.
pub fn seal() -> Result<()> {
    let exe = own_file().at(Step::Seal, || "/proc/self/exe")?;
    let pid = std::process::id().to_string();
    let mark = std::env::var_os(MARK).map(OsStringExt::into_vec);
    let name = mark.as_deref().and_then(|mark| marked_name(mark, &pid));
    if is_read_only(&exe) {
        if let Some(name) = name {
            // execveat(2) named us after a descriptor.
            cred::set_name(&name).at(Step::Seal, || "comm")?;
        }
        return Ok(());
    }
    if name.is_some() {
        return Err(Error::rule(Step::Seal, "", "the sealed runtime binary is still writable"));
    }
    let mount = read_only_mount(&exe);
    if mount.as_ref().is_ok_and(move_to) {
        *lock() = mount.ok();
        return Ok(());
    }
    let sealed = mount.or_else(|_| memory_copy(&exe)).at(Step::Seal, || "/proc/self/exe")?;
    execute(&sealed, &pid)
}

/// Closes the mount that we were sealed with: what we run from stays in use without it. The kernel
/// takes a detached mount down when the last descriptor is closed, which waits for a grace period
/// of RCU (0.2 ms and more), so that this is done while another process is at work; that one has
/// closed its copy before ([`held`]).
pub(crate) fn let_go() {
    drop(lock().take());
}

/// The descriptor that [`let_go`] will close.
pub(crate) fn held() -> Option<u32> {
    lock().as_ref().map(|mount| mount.as_raw_fd().unsigned_abs())
}

fn lock() -> MutexGuard<'static, Option<OwnedFd>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Goes on in the file that `mount` is. A failure is no harm: the program is as it was.
fn move_to(mount: &OwnedFd) -> bool {
    let mut path = [0; fd::PROC_FD_PATH];
    let file = fd::open(fd::proc_fd_path(mount, &mut path), libc::O_RDONLY);
    file.and_then(|file| image::replace(&file)).is_ok() && is_sealed().unwrap_or(false)
}

/// Starts again, from the file that `sealed` is.
fn execute(sealed: &OwnedFd, pid: &str) -> Result<()> {
    let argv: Vec<_> = std::env::args_os().map(OsStringExt::into_vec).collect();
    let name = cred::name().at(Step::Seal, || "comm")?;
    let mark = [MARK.as_bytes(), b"=", pid.as_bytes(), b" ", name.as_bytes()].concat();
    let environment = std::env::vars_os().filter(|(name, _)| name != MARK).map(|(name, value)| {
        [name.into_vec().as_slice(), b"=", value.into_vec().as_slice()].concat()
    });
    let envp = vector(environment.chain([mark]));
    let argv = vector(argv);
    Err(exec::exec_fd(sealed, &argv, &envp)).at(Step::Seal, || "/proc/self/exe")
}

/// Whether [`seal`] has been called, or need not be: `create` refuses to work otherwise.
///
/// # Errors
/// `/proc` is not there.
pub fn is_sealed() -> Result<bool> {
    Ok(is_read_only(&own_file().at(Step::Seal, || "/proc/self/exe")?))
}

/// How [`seal`] can work here: by a mount, or by a copy in memory, which costs its time at each
/// start. Nothing is changed.
///
/// # Errors
/// Neither can be made.
pub fn way() -> Result<bool> {
    let exe = own_file().at(Step::Seal, || "/proc/self/exe")?;
    let sealed = is_sealed()? && fd::seals(&exe).is_err();
    if sealed || read_only_mount(&exe).is_ok() {
        return Ok(true);
    }
    memory_copy(&exe).at(Step::Seal, || "/proc/self/exe").map(|_| false)
}

/// The name in a mark that this process has written.
fn marked_name(mark: &[u8], pid: &str) -> Option<CString> {
    let name = mark.strip_prefix(pid.as_bytes())?.strip_prefix(b" ")?;
    CString::new(name).ok()
}

fn own_file() -> io::Result<OwnedFd> {
    fd::open(c"/proc/self/exe", libc::O_RDONLY)
}

fn is_read_only(exe: &OwnedFd) -> bool {
    let sealed = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    fd::fs_flags(exe).is_ok_and(|flags| flags & READ_ONLY != 0)
        || fd::seals(exe).is_ok_and(|seals| seals & sealed == sealed)
}

fn vector(strings: impl IntoIterator<Item = Vec<u8>>) -> ArgV {
    // Strings that came through execve have no NUL inside.
    let strings: Vec<_> = strings.into_iter().filter_map(|text| CString::new(text).ok()).collect();
    ArgV::new(&strings)
}

/// A mount of the file alone, in no namespace, read-only for ever: nobody can name it to remount.
fn read_only_mount(exe: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC | mount::AT_EMPTY_PATH;
    let tree = mount::open_tree(exe, c"", flags)?;
    let attr = MountAttr { set: mount::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    mount::mount_setattr(&tree, c"", mount::AT_EMPTY_PATH, &attr)?;
    Ok(tree)
}

/// A copy that can never change again (memfd_create(2)).
fn memory_copy(exe: &OwnedFd) -> io::Result<OwnedFd> {
    let copy = fd::memfd(c"corten", libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING)?;
    // 2 GiB is the most that one call moves.
    while fd::sendfile(exe.as_fd(), &copy, 0x7fff_f000)? > 0 {}
    let all = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    fd::seal(&copy, all)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_mark_has_a_name() {
        assert_eq!(marked_name(b"12 runc", "12").as_deref(), Some(c"runc"));
        assert_eq!(marked_name(b"12 a b", "12").as_deref(), Some(c"a b"));
        assert_eq!(marked_name(b"123 runc", "12"), None);
        assert_eq!(marked_name(b"12", "12"), None);
        assert_eq!(marked_name(b"", "12"), None);
    }

    #[test]
    fn copy_in_memory_refuses_writes() {
        let exe = own_file().unwrap();
        let copy = memory_copy(&exe).unwrap();
        assert!(is_read_only(&copy));
        assert_eq!(fd::fstat(&copy).unwrap().size, fd::fstat(&exe).unwrap().size);
        let error = fd::pwrite(&copy, b"x", 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn mount_refuses_writes_through_its_descriptor() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        // Not our own file: a program that runs refuses writers anyway (ETXTBSY).
        let name = std::env::temp_dir().join(format!("corten-seal-{}", std::process::id()));
        std::fs::write(&name, "x").unwrap();
        let file = OwnedFd::from(std::fs::File::open(&name).unwrap());
        std::fs::remove_file(&name).unwrap();
        let tree = read_only_mount(&file).unwrap();
        let mut path = [0; fd::PROC_FD_PATH];
        let path = fd::proc_fd_path(&tree, &mut path);
        let error = fd::open(path, libc::O_WRONLY).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EROFS));
    }
}
