//! Builds the container's file system tree: the effect half of [`crate::plan::mounts`].
//!
//! Everything below the root file system is named by one type, [`root::RootFd`], and everything
//! that is mounted is made detached, given its attributes, and only then moved onto a descriptor.
//! So no path is looked up twice and no link of a hostile image leads out of it
//! (CVE-2021-30465, CVE-2024-45310, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881,
//! CVE-2026-41579).
//!
//! Linux 5.12 (mount_setattr(2)) is needed; mount(2) remains for parameters that fsconfig(2) does not
//! take, by a descriptor's path.
//!
//! In the parent, before clone:
//! - [`Work::prepare`]`(&Mounts) -> Result<Work>`: room for descriptors, ids of mapped mounts, the
//!   helper for sources that only the host's root reaches; [`Work::take_helper`] keeps it alive.
//!
//! In init, in this order, without allocating:
//! 1. [`open_root`]`(&Mounts, &mut Work)`: propagation, the root as a mount of its own.
//! 2. [`mount_all`]`(&Mounts, &mut Work, Range<usize>)`: the list; call it twice around
//!    [`Mounts::first_cgroup`] where the cgroup namespace is made late.
//! 3. [`make_devices`]`(&Mounts, &Work)`: nodes and links of `/dev`; [`devpts`]`(&Work)` and
//!    [`bind_console`]`(&Work, slave)` for a terminal.
//! 4. [`pivot()`]`(&Mounts, &mut Work)`: pivot_root, or move and chroot.
//! 5. [`reopen_null`]`(&Mounts, &Work)`, [`close_readonly`]`(&Mounts, &Work)`,
//!    [`readonly_root`]`(&Mounts, &Work)`, [`restrict()`]`(&Mounts, &mut Work)` (read-only, then
//!    masked paths).
//! 6. [`make_cwd`]`(&Work, &InRoot)`, and as the container's user [`enter_cwd`]`(&Work, &InRoot)`.
//!
//! In the parent, after a failure: [`words::error`]`(&Mounts, Failure) -> Option<Error>`.
//! [`proc::ProcFs`] is the only door for writes to `/proc`.

pub mod bind;
pub mod cgroup;
pub mod copyup;
pub mod cwd;
pub mod devices;
pub mod fs;
pub mod helper;
pub mod mount;
pub mod pivot;
pub mod prepare;
pub mod proc;
pub mod restrict;
pub mod root;
#[cfg(test)]
mod tests;
pub mod words;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

pub use cwd::{enter_cwd, make_cwd};
pub use devices::{bind_console, devpts, make_devices, reopen_null};
pub use mount::{close_readonly, mount_all};
pub use pivot::{open_root, pivot, readonly_root};
pub use restrict::restrict;

use self::root::RootFd;
use super::report::Failure;
use crate::error::Step;
use crate::plan::mounts::Mounts;

/// Descriptors that live from one step to the next; all room is made before clone.
#[derive(Debug)]
pub struct Work {
    /// The root file system, from [`open_root`] on.
    root: Option<RootFd>,
    /// One slot a mount: trees taken before anything is mounted over their source.
    trees: Vec<Option<OwnedFd>>,
    /// One slot a mount: mounts that become read-only later.
    late: Vec<Option<OwnedFd>>,
    /// Whose ids mapped mounts are given.
    ids: helper::Ids,
    /// Takes sources with the host's rights, until the pivot.
    helper: Option<helper::Helper>,
    /// `--no-pivot`: the host's procfs and sysfs, which must not stay reachable.
    host_kernel_mounts: Vec<std::ffi::CString>,
    /// A detached mount of the host's `/dev/null`, for masked files.
    null: Option<OwnedFd>,
}

impl Work {
    /// The root file system.
    ///
    /// # Errors
    /// `EBADF` before [`open_root`].
    fn root(&self) -> io::Result<&RootFd> {
        self.root.as_ref().ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    /// In the parent after clone: what must live until init has pivoted, though everything else
    /// of this is init's.
    pub fn take_helper(&mut self) -> Option<helper::Helper> {
        self.helper.take()
    }

    /// Works in a root file system that is there already, and that is `/`.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn adopt_root(&mut self) -> io::Result<()> {
        let root = crate::sys::fd::open(c"/", libc::O_PATH | libc::O_DIRECTORY)?;
        self.root = Some(RootFd::new(root));
        Ok(())
    }

    /// The root file system's descriptor (`O_PATH`), from [`open_root`] on.
    pub fn root_fd(&self) -> Option<BorrowedFd<'_>> {
        self.root.as_ref().map(RootFd::as_fd)
    }
}

/// Errnos of our own: a rule was broken, not a call refused. Above every errno of the kernel.
pub mod refusal {
    /// procfs, sysfs and what lies in `/proc`, `/sys` go to real directories only.
    pub const NOT_A_DIRECTORY: i32 = 10_001;
    /// A link of the image leads into `/proc`.
    pub const INSIDE_PROC: i32 = 10_002;
    /// A link of the image leads to the root itself.
    pub const IS_ROOT: i32 = 10_003;
    /// Only a procfs may be bound over `/proc`.
    pub const NOT_PROC: i32 = 10_006;
    /// What stands at a device's path is something else.
    pub const OTHER_FILE: i32 = 10_007;
    /// The host's node is not the device that was asked for.
    pub const OTHER_DEVICE: i32 = 10_008;
    /// Somebody changed the tree while it was built.
    pub const CHANGED: i32 = 10_009;
    /// Without a mount namespace mounts need Linux 6.15, and some cannot be made at all.
    pub const NEEDS_NAMESPACE: i32 = 10_010;
    /// Not a devpts where one was expected.
    pub const NOT_DEVPTS: i32 = 10_011;
    /// The working directory is outside the root.
    pub const UNREACHABLE: i32 = 10_012;
    /// The tree to copy is deeper than we follow.
    pub const TOO_DEEP: i32 = 10_013;
    /// What should be procfs is not, or something lies over it.
    pub const UNSAFE_PROC: i32 = 10_014;
    /// A mount that was not prepared before clone.
    pub const NOT_PREPARED: i32 = 10_015;
    /// The file system has no id-mapped mounts.
    pub const NO_ID_MAP: i32 = 10_016;
}

/// An error from [`refusal`].
pub(crate) fn refused<T>(code: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(code))
}

/// Whether a result is this errno.
fn is_errno<T>(result: &io::Result<T>, errno: i32) -> bool {
    matches!(result, Err(error) if error.raw_os_error() == Some(errno))
}

/// Turns an errno into the record that the parent understands.
fn failure(step: Step, item: usize) -> impl FnOnce(io::Error) -> Failure {
    move |error| {
        let item = u32::try_from(item).unwrap_or(u32::MAX);
        Failure::new(step, item, error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// Whether a mount of the plan stands exactly at `path` (relative, clean).
fn mounts_at(plan: &Mounts, path: &str) -> bool {
    plan.list.iter().any(|op| op.target.is(path))
}
