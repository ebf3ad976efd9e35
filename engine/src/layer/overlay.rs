//! Layers become one root file system: an overlay mount of any number of them.
//!
//! The mount is made detached by `fsopen(2)`; one `lowerdir+` a layer (Linux 6.8) has no limit but
//! overlayfs's own 500. Older kernels take all of them in one option of a page, where each layer is
//! named by its descriptor and 230 fit in.
//! Source: `Documentation/filesystems/overlayfs.rst`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::error::{Error, Result};

/// The attribute of a directory that hides what layers beneath have there.
pub const OPAQUE: &str = "trusted.overlay.opaque";
/// Most layers of one mount (`OVL_MAX_STACK`).
pub const MOST: usize = 500;
/// What is said to every mount: features that some kernels turn on by default and that would
/// write what only they can read, and tie a layer to one mount.
const OPTIONS: [(&str, &str); 3] = [("index", "off"), ("redirect_dir", "off"), ("metacopy", "off")];

/// What to mount.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// Directories of the layers, the top one last: the order of an image's configuration.
    pub layers: Vec<PathBuf>,
    /// Where changes go and the empty directory that overlayfs needs beside it; read-only without.
    pub upper: Option<(PathBuf, PathBuf)>,
    /// Changes need not survive a power cut (`--rm`): nothing is synced. Such an upper directory
    /// cannot be mounted again.
    pub volatile: bool,
}

impl Overlay {
    /// Mounts it on the directory `target`.
    ///
    /// # Errors
    /// The kernel has no overlayfs, may not mount, or a directory cannot take part.
    pub fn mount(&self, target: &Path) -> Result<()> {
        let what = || format!("cannot mount {} layers on {}", self.layers.len(), target.display());
        self.check(&what)?;
        let mounted = match self.detached() {
            Ok(mount) => {
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                move_mount(&mount, c"", CWD, target, flags).map_err(Into::into)
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::TOOBIG) => self.mount_by_page(target),
            Err(error) => Err(error.into()),
        };
        mounted.map_err(|error| explained(what(), &error))
    }

    /// The mount without a place: descriptors below it work until the last one is closed.
    ///
    /// # Errors
    /// As [`Overlay::mount`]; `EINVAL` where the kernel has no `lowerdir+`.
    pub fn detached(&self) -> rustix::io::Result<OwnedFd> {
        let config = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&config, "source", "pier")?;
        for layer in self.layers.iter().rev() {
            fsconfig_set_string(&config, "lowerdir+", layer)?;
        }
        if let Some((upper, work)) = &self.upper {
            fsconfig_set_string(&config, "upperdir", upper)?;
            fsconfig_set_string(&config, "workdir", work)?;
            for (key, value) in OPTIONS {
                fsconfig_set_string(&config, key, value)?;
            }
            if self.volatile {
                rustix::mount::fsconfig_set_flag(&config, "volatile")?;
            }
        }
        fsconfig_create(&config)?;
        fsmount(&config, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    }

    /// The way of kernels before 6.8: every option in one page.
    ///
    /// # Errors
    /// As [`Overlay::mount`]; `EINVAL` where the layers do not fit into a page.
    pub fn mount_by_page(&self, target: &Path) -> io::Result<()> {
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |path: &PathBuf| openat(CWD, path, directory, Mode::empty());
        let named = |dir: &OwnedFd| format!("/proc/self/fd/{}", dir.as_raw_fd());
        let layers = self.layers.iter().rev().map(open).collect::<rustix::io::Result<Vec<_>>>()?;
        let lower = layers.iter().map(named).collect::<Vec<_>>().join(":");
        let mut options = format!("lowerdir={lower}");
        let upper = match &self.upper {
            Some((upper, work)) => Some((open(upper)?, open(work)?)),
            None => None,
        };
        if let Some((upper, work)) = &upper {
            options += &format!(",upperdir={},workdir={}", named(upper), named(work));
            options += ",index=off";
        }
        let options = std::ffi::CString::new(options)?;
        rustix::mount::mount("pier", target, "overlay", MountFlags::empty(), options.as_c_str())?;
        Ok(())
    }

    fn check(&self, what: &impl Fn() -> String) -> Result<()> {
        let why = match self.layers.len() {
            0 => "an overlay needs a layer".to_owned(),
            count if count > MOST => format!("overlayfs takes at most {MOST}"),
            _ => return Ok(()),
        };
        Err(Error::new(what()).why(why))
    }
}

/// Everything that layers show together, to look things up in; nothing is mounted anywhere.
///
/// # Errors
/// As [`Overlay::mount`].
pub fn view(layers: &[PathBuf]) -> Result<OwnedFd> {
    let what = || format!("cannot look into {} layers", layers.len());
    if let [one] = layers {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, one, flags, Mode::empty());
        return opened.map_err(|error| explained(what(), &error.into()));
    }
    let overlay = Overlay { layers: layers.to_vec(), ..Overlay::default() };
    overlay.check(&what)?;
    overlay.detached().map_err(|error| explained(what(), &error.into()))
}

/// Unmounts `target`; fine when nothing is mounted there or it is missing.
///
/// # Errors
/// It is in use (`EBUSY`), or may not be unmounted.
pub fn unmount(target: &Path) -> io::Result<()> {
    match rustix::mount::unmount(target, UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn explained(what: String, error: &io::Error) -> Error {
    let told = Error::new(what).why(crate::error::plain(error));
    match Errno::from_io_error(error) {
        Some(Errno::NODEV) => {
            told.fix("this kernel has no overlayfs: load it with modprobe overlay")
        }
        Some(Errno::PERM) => told.fix("mounting needs root (CAP_SYS_ADMIN)"),
        Some(Errno::INVAL) => told.fix(
            "the directory of the engine must be on a file system that overlayfs can write to, \
             as ext4, xfs, btrfs or tmpfs; on another overlay it is not: choose one with --root",
        ),
        _ => told,
    }
}

/// Opens what a descriptor of [`view`] shows at `path`, links followed inside of it.
///
/// # Errors
/// `ENOENT` and what else opening fails with.
pub fn look(view: impl AsFd, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    super::unpack::open_in(view, path, flags)
}
