//! Decides everything about a container before anything is done: pure, no I/O, no clock.
//!
//! [`Plan::build`](Plan) has one line per part; each part is a file. `create` carries a plan out
//! and `corten explain` prints it.

pub mod cgroup;
pub mod check;
pub mod devices;
pub mod hooks;
pub mod idmap;
pub mod intel_rdt;
pub mod mount_options;
pub mod mounts;
pub mod namespaces;
pub mod net;
pub mod paths;
pub mod process;
pub mod sched;
pub mod security;
pub mod text;

use std::path::PathBuf;

/// What the caller wants beside the configuration: the flags of `create` and `run`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The container's id.
    pub id: String,
    /// Absolute path of the bundle directory.
    pub bundle: PathBuf,
    /// Directory that holds one directory per container (`--root`).
    pub state_root: PathBuf,
    /// Do not use pivot_root: for a rootfs on the initramfs (`--no-pivot`).
    pub no_pivot: bool,
    /// Keep the caller's session keyring (`--no-new-keyring`).
    pub no_new_keyring: bool,
    /// How many file descriptors from 3 on the container inherits (`--preserve-fds`), the
    /// caller's `LISTEN_FDS` not included.
    pub preserve_fds: u32,
    /// `LISTEN_FDS` of the caller, when `LISTEN_PID` is the runtime itself; they are passed on
    /// and announced in the container's environment.
    pub listen_fds: u32,
    /// Unix socket that receives the pty master (`--console-socket`).
    pub console_socket: Option<PathBuf>,
    /// Unix socket that receives a pidfd of init (`--pidfd-socket`).
    pub pidfd_socket: Option<PathBuf>,
    /// The caller's `NOTIFY_SOCKET`: readiness is forwarded to it.
    pub notify_socket: Option<PathBuf>,
    /// The caller stays in the foreground and starts the container itself (`run`): the start
    /// gate is the sync socket, no fifo is made.
    pub run: bool,
    /// The caller does not wait for the container (`create`, `run --detach`).
    pub detach: bool,
    /// Which cgroup driver places the container.
    pub cgroup_driver: CgroupDriver,
    /// Whether missing cgroup rights are tolerated when no limits are asked
    /// (`--rootless`); `None` decides from the host.
    pub rootless: Option<bool>,
}

/// Who makes the container's cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupDriver {
    /// We write the cgroup file system ourselves.
    #[default]
    Fs,
    /// No cgroup at all (`--cgroup-manager disabled`).
    Disabled,
}
