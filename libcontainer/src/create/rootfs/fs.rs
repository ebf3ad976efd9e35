//! Makes new file systems: detached, with their attributes, then moved in.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use super::copyup;
use super::mount::{attach, mount_by_path, set_attrs};
use super::root::{RootFd, Target, Want};
use super::{mounts_at, restrict};
use crate::plan::mount_options::{Attrs, attr};
use crate::plan::mounts::{Fs, MountOp, Mounts};
use crate::plan::paths::PATH_MAX;
use crate::sys::fd::{CWD, fsetxattr, fstat, openat};
use crate::sys::mount::{
    AT_RECURSIVE, OPEN_TREE_CLONE, fsconfig_create, fsconfig_flag, fsconfig_string, fsmount,
    fsopen, move_mount_fd, open_tree,
};

/// Mounts a new file system at its place.
pub(super) fn mount(plan: &Mounts, root: &RootFd, op: &MountOp, fs: &Fs) -> io::Result<OwnedFd> {
    let target = root.target(&op.target, op.place, Want::Directory)?;
    let mode = match fs.mode_of_target && target.existed {
        true => Some(fstat(&target.fd)?.mode & 0o7777),
        false => None,
    };
    let made = match create(fs, mode) {
        Ok(made) => {
            if fs.copy_up && target.existed {
                copyup::copy(&target.fd, &made)?;
            }
            attach(&made, op, &target)?;
            made
        }
        Err(Refused::Settings(_)) => {
            let made = mount_by_path(root, op, fs, mode, &target)?;
            if fs.copy_up && target.existed {
                copyup::copy(&target.fd, &made)?;
            }
            made
        }
        Err(Refused::Mount(error)) => {
            let sysfs = fs.fstype.as_bytes() == b"sysfs" && fs.attrs & attr::RDONLY != 0;
            if sysfs && error.raw_os_error() == Some(libc::EPERM) {
                host_sysfs(plan, op, fs, &target)?
            } else {
                return Err(error);
            }
        }
    };
    if let (b"mqueue", Some(label)) = (fs.fstype.as_bytes(), &plan.label) {
        let top = openat(&made, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        fsetxattr(top, c"security.selinux", label.as_bytes_with_nul())?;
    }
    Ok(made)
}

/// Why a file system was not made.
#[derive(Debug)]
pub(super) enum Refused {
    /// The new calls do not take these settings: mount(2) may.
    Settings(io::Error),
    /// The file system itself cannot be mounted.
    Mount(io::Error),
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Settings(error) | Refused::Mount(error) => error,
        }
    }
}

/// Makes a detached mount.
///
/// # Errors
/// [`Refused`], by the stage that failed.
pub(super) fn create(fs: &Fs, mode: Option<u32>) -> Result<OwnedFd, Refused> {
    if fs.legacy {
        return Err(Refused::Settings(io::Error::from_raw_os_error(libc::EINVAL)));
    }
    let context = fsopen(&fs.fstype).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EOPNOTSUPP) => Refused::Settings(error),
        _ => Refused::Mount(error),
    })?;
    let set = || {
        if !fs.source.is_empty() {
            fsconfig_string(&context, c"source", &fs.source)?;
        }
        if let Some(mode) = mode {
            let mut text = [0; 8];
            fsconfig_string(&context, c"mode", octal(&mut text, mode)?)?;
        }
        fs.params.iter().try_for_each(|param| match &param.value {
            Some(value) => fsconfig_string(&context, &param.key, value),
            None => fsconfig_flag(&context, &param.key),
        })
    };
    set().map_err(Refused::Settings)?;
    fsconfig_create(&context).map_err(Refused::Mount)?;
    fsmount(&context, fs.attrs).map_err(Refused::Mount)
}

/// In a user namespace without its own network namespace sysfs cannot be mounted (runc #3672).
/// The host's, read-only with all below, shows nothing that the container could not see; cgroups
/// that the configuration does not ask for are covered.
fn host_sysfs(plan: &Mounts, op: &MountOp, fs: &Fs, target: &Target) -> io::Result<OwnedFd> {
    let tree = open_tree(CWD, c"/sys", OPEN_TREE_CLONE | AT_RECURSIVE)?;
    set_attrs(&tree, Attrs { set: fs.attrs & !attr::ATIME, clear: 0 }, true)?;
    attach(&tree, op, target)?;
    if op.target.is("sys") && !mounts_at(plan, "sys/fs/cgroup") {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        match openat(&tree, c"fs/cgroup", flags, 0) {
            Ok(place) => move_mount_fd(restrict::empty_directory(plan)?, place)?,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(tree)
}

/// `mode=0755,` before the data of mount(2); what comes later wins.
pub(super) fn data_with_mode<'a>(
    buffer: &'a mut [u8; PATH_MAX],
    fs: &'a Fs,
    mode: Option<u32>,
) -> io::Result<&'a CStr> {
    let Some(mode) = mode else { return Ok(&fs.data) };
    let mut digits = [0; 8];
    let parts = [b"mode=", octal(&mut digits, mode)?.to_bytes(), b",", fs.data.as_bytes()];
    let mut at = 0;
    for part in parts {
        let end = at + part.len();
        let long = || io::Error::from_raw_os_error(libc::E2BIG);
        buffer.get_mut(at..end).ok_or_else(long)?.copy_from_slice(part);
        at = end;
    }
    CStr::from_bytes_until_nul(buffer).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))
}

/// A number in octal with a leading zero, without allocating.
fn octal(buffer: &mut [u8; 8], number: u32) -> io::Result<&CStr> {
    const DIGITS: &[u8; 8] = b"01234567";
    for (place, digit) in buffer.iter_mut().take(7).enumerate() {
        let shift = 3 * u32::try_from(6 - place).unwrap_or(0);
        *digit = DIGITS.get((number >> shift & 7) as usize).copied().unwrap_or(b'0');
    }
    CStr::from_bytes_with_nul(buffer).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        let mut text = [0; 8];
        assert_eq!(octal(&mut text, 0o1777).unwrap(), c"0001777");
        assert_eq!(octal(&mut text, 0).unwrap(), c"0000000");
    }
}
