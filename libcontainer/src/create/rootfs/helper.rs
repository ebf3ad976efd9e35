//! The host's rights for single sources of a container in a user namespace.
//!
//! Init is root of its user namespace only: it cannot map ids of the host's file systems, and may
//! not reach a source behind a directory of the host's root (a volume below `/var/lib/kubelet`).
//! The helper is a process of the caller's, made before clone and only when needed. Init sends its
//! mount namespace and the number of a mount; the helper enters the namespace, takes the tree
//! there as the plan says, and sends it back. So sources are seen as init sees them, what is
//! mounted already included, and locked flags stay locked.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::{bind, refusal, refused};
use crate::plan::mount_options::attr;
use crate::plan::mounts::{Action, Bind, Mounts, UserNamespace};
use crate::sys::clone::{
    CLONE_NEWNS, CloneArgs, exit, pidfd_send_signal, setns, spawn, wait_pidfd,
};
use crate::sys::cred::set_dumpable;
use crate::sys::fd::{close_range, open, recv_with_fd, send_with_fd, seqpacket_pair};
use crate::sys::mount::{AT_EMPTY_PATH, AT_RECURSIVE, MountAttr, mount_setattr};

/// User namespaces whose ids mounts are given.
pub(super) type Ids = Vec<(UserNamespace, OwnedFd)>;

/// The helper, as both parent and init see it.
#[derive(Debug)]
pub struct Helper {
    socket: OwnedFd,
    process: OwnedFd,
}

/// What the helper's process works with.
struct Inside<'a> {
    plan: &'a Mounts,
    ids: &'a Ids,
    socket: OwnedFd,
}

impl Helper {
    /// Starts the helper.
    ///
    /// # Errors
    /// Those of socketpair(2) and clone(2).
    pub(super) fn start(plan: &Mounts, ids: &Ids) -> io::Result<Self> {
        let (ours, theirs) = seqpacket_pair()?;
        let args = CloneArgs { flags: 0, cgroup: None, exit_signal: libc::SIGCHLD };
        let mut inside = Inside { plan, ids, socket: theirs };
        let child = spawn(&args, &mut inside, serve)?;
        Ok(Self { socket: ours, process: child.pidfd })
    }

    /// In init: asks for the tree of a mount.
    ///
    /// # Errors
    /// What the helper met.
    pub(super) fn ask(&self, index: usize) -> io::Result<OwnedFd> {
        // The host's /proc: this is before the pivot.
        let namespace = open(c"/proc/self/ns/mnt", libc::O_RDONLY)?;
        let number = u32::try_from(index).unwrap_or(u32::MAX).to_ne_bytes();
        send_with_fd(&self.socket, &number, Some(namespace.as_fd()))?;
        let mut answer = [0; 4];
        match recv_with_fd(&self.socket, &mut answer)? {
            (4, Some(tree)) => Ok(tree),
            (4, None) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(answer))),
            _ => refused(refusal::NOT_PREPARED),
        }
    }
}

impl Drop for Helper {
    /// Ends the helper, wherever nobody will ask any more: in the parent after create, in init
    /// before the pivot.
    fn drop(&mut self) {
        // It may be gone already, or be no child of ours; there is nobody to tell.
        let _ = pidfd_send_signal(&self.process, libc::SIGKILL);
        let _ = wait_pidfd(&self.process);
    }
}

/// In the helper: serves until nobody can ask any more.
fn serve(inside: &mut Inside<'_>) -> ! {
    // Copies of the caller's descriptors would keep other people's pipes and sockets open.
    // Nobody in a joined namespace may look into us either (CVE-2016-9962).
    if close_others(inside).and_then(|()| set_dumpable(false)).is_err() {
        exit(1);
    }
    let mut number = [0; 4];
    while let Ok((4, Some(namespace))) = recv_with_fd(&inside.socket, &mut number) {
        let answer = setns(&namespace, CLONE_NEWNS).and_then(|()| tree(inside, number));
        let sent = match answer {
            Ok(tree) => send_with_fd(&inside.socket, &[0; 4], Some(tree.as_fd())),
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                send_with_fd(&inside.socket, &errno.to_ne_bytes(), None)
            }
        };
        if sent.is_err() {
            break;
        }
    }
    exit(0)
}

/// Closes everything but the socket and the user namespaces.
fn close_others(inside: &Inside<'_>) -> io::Result<()> {
    let mut from = 0;
    loop {
        let ids = inside.ids.iter().map(|(_, fd)| fd.as_raw_fd());
        let kept = ids.chain([inside.socket.as_raw_fd()]).map(i32::cast_unsigned);
        match kept.filter(|fd| *fd >= from).min() {
            Some(next) => {
                if next > from {
                    close_range(from, next - 1, 0)?;
                }
                from = next + 1;
            }
            None => return close_range(from, u32::MAX, 0),
        }
    }
}

fn tree(inside: &Inside<'_>, number: [u8; 4]) -> io::Result<OwnedFd> {
    let index = usize::try_from(u32::from_ne_bytes(number)).unwrap_or(usize::MAX);
    match inside.plan.list.get(index).map(|op| &op.action) {
        Some(Action::Bind(bind)) => mapped(bind, inside.ids),
        _ => refused(refusal::NOT_PREPARED),
    }
}

/// Takes a source and gives it the ids that the plan says.
///
/// # Errors
/// Those of open_tree(2); [`refusal::NO_ID_MAP`] where the file system cannot.
pub(super) fn mapped(bind: &Bind, ids: &Ids) -> io::Result<OwnedFd> {
    let tree = bind::take(bind)?;
    let Some(map) = &bind.id_map else { return Ok(tree) };
    let Some((_, namespace)) = ids.iter().find(|(known, _)| *known == map.user_namespace) else {
        return refused(refusal::NOT_PREPARED);
    };
    let attr = MountAttr {
        set: attr::IDMAP,
        userns_fd: u64::from(namespace.as_raw_fd().cast_unsigned()),
        ..MountAttr::default()
    };
    let all = if map.recursive { AT_RECURSIVE } else { 0 };
    match mount_setattr(&tree, c"", AT_EMPTY_PATH | all, &attr) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused(refusal::NO_ID_MAP),
        other => other.map(|()| tree),
    }
}
