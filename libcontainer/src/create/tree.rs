//! The steps of the init stage that build the file system tree: `create::rootfs` in the order of
//! [`crate::create::init::STEPS`].

use crate::create::init::{Init, Outcome};
use crate::create::rootfs;

/// Nothing that is mounted from here on reaches the host.
pub fn isolate(init: &mut Init<'_>) -> Outcome {
    rootfs::open_root(&init.plan.mounts, &mut init.kit.tree)
}

/// The mounts of the configuration, in its order.
pub fn mount_all(init: &mut Init<'_>) -> Outcome {
    let mounts = &init.plan.mounts;
    rootfs::mount_all(mounts, &mut init.kit.tree, 0..mounts.list.len())
}

/// Nodes and links of `/dev`.
pub fn make_devices(init: &mut Init<'_>) -> Outcome {
    rootfs::make_devices(&init.plan.mounts, &init.kit.tree)
}

/// The root file system becomes `/`; a missing working directory is made while it can be written.
pub fn pivot(init: &mut Init<'_>) -> Outcome {
    rootfs::pivot(&init.plan.mounts, &mut init.kit.tree)?;
    let Some(process) = &init.plan.process else { return Ok(()) };
    match rootfs::make_cwd(&init.kit.tree, &process.cwd) {
        // Behind a directory that only the user may enter: `enter_cwd` decides.
        Err(failure) if failure.errno == libc::EACCES => Ok(()),
        made => made,
    }
}

/// Read-only and masked paths, read-only root.
pub fn protect(init: &mut Init<'_>) -> Outcome {
    let (mounts, tree) = (&init.plan.mounts, &mut init.kit.tree);
    rootfs::reopen_null(mounts, tree)?;
    rootfs::close_readonly(mounts, tree)?;
    rootfs::readonly_root(mounts, tree)?;
    rootfs::restrict(mounts, tree)
}

/// Enters the working directory; one that root may not enter (a network file system) is left to
/// the user.
pub fn enter_cwd(init: &mut Init<'_>) -> Outcome {
    let Some(process) = &init.plan.process else { return Ok(()) };
    match rootfs::enter_cwd(&init.kit.tree, &process.cwd) {
        Err(failure) if failure.errno == libc::EACCES => {
            init.retry_cwd = true;
            Ok(())
        }
        entered => entered,
    }
}

/// The second try, as the container's user.
pub fn enter_cwd_as_user(init: &mut Init<'_>) -> Outcome {
    match &init.plan.process {
        Some(process) if init.retry_cwd => rootfs::enter_cwd(&init.kit.tree, &process.cwd),
        _ => Ok(()),
    }
}
