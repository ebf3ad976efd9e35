//! What `create` and `run` can be asked: Docker's flags, kept as they were typed.
//!
//! The same structs are the record on disk, so that a container can be started again from what
//! was asked. Words are given a meaning in [`crate::bundle`].

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::net::flags::NetFlags;
use crate::volume::MountFlags;

/// Everything that shapes a container.
#[derive(Args, Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Shape {
    #[command(flatten)]
    #[serde(flatten)]
    /// Program, streams, life.
    pub basics: Basics,
    #[command(flatten)]
    #[serde(flatten)]
    /// What it may see and do.
    pub isolation: Isolation,
    #[command(flatten)]
    #[serde(flatten)]
    /// What it may use up.
    pub limits: Limits,
    #[command(flatten)]
    #[serde(flatten)]
    /// Further limits, which `update` cannot change.
    pub io: Devices,
    #[command(flatten)]
    #[serde(skip)]
    /// Network; the record has what it comes to, see [`crate::net::flags::Asked`].
    pub net: NetFlags,
    #[command(flatten)]
    #[serde(flatten)]
    /// Volumes and mounts, as `inspect` repeats them; what they come to is in
    /// [`crate::volume::Mount`].
    pub volumes: MountFlags,
}

/// Program, streams, life.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "help text: brackets stand for what may be left out"
)]
#[derive(Args, Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Basics {
    /// Keep stdin open even if not attached
    #[arg(short, long)]
    pub interactive: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    pub tty: bool,
    /// Attach to stdin, stdout or stderr; all that there is without
    #[arg(short, long, value_name = "STREAM")]
    pub attach: Vec<String>,
    /// Remove the container and its anonymous volumes when it has ended
    #[arg(long)]
    pub rm: bool,
    /// Name of the container
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Write the container's id to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    /// Set an environment variable; NAME alone takes the caller's value
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Host name of the container
    #[arg(short = 'h', long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// NIS domain name of the container
    #[arg(long, value_name = "NAME")]
    pub domainname: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// User inside the container
    #[arg(short, long, value_name = "NAME|UID[:GROUP|GID]")]
    pub user: Option<String>,
    /// Replace the image's entry point; empty for none
    #[arg(long, value_name = "COMMAND")]
    pub entrypoint: Option<String>,
    /// Run a small init inside the container that forwards signals and reaps processes
    #[arg(long)]
    pub init: bool,
    /// What follows an end: no, on-failure[:N], always or unless-stopped
    #[arg(long, value_name = "POLICY", default_value = "no", hide_default_value = true)]
    pub restart: String,
    /// Signal that stops the container
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Seconds to wait for it to stop before it is killed
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub stop_timeout: Option<i64>,
    /// Set metadata
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub label: Vec<String>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    pub label_file: Vec<PathBuf>,
    /// Add an annotation for the OCI runtime
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Where output is kept: json-file, or none
    #[arg(long, value_name = "DRIVER", default_value = "json-file", hide_default_value = true)]
    pub log_driver: String,
    /// Option of the log: max-size, max-file
    #[arg(long, value_name = "NAME=VALUE")]
    pub log_opt: Vec<String>,
    /// OCI runtime to use instead of the one built in
    #[arg(long, value_name = "PATH")]
    pub runtime: Option<PathBuf>,
    /// Take IMAGE as a directory that holds a root file system
    #[arg(long)]
    pub rootfs: bool,
    /// When to pull the image: always, missing or never
    #[arg(long, value_name = "WHEN", default_value = "missing", hide_default_value = true)]
    pub pull: String,
    /// Platform of the image: os[/arch[/variant]]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
}

/// What it may see and do.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "help text: brackets stand for what may be left out"
)]
#[derive(Args, Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Isolation {
    /// Mount the root file system read-only
    #[arg(long)]
    pub read_only: bool,
    /// Give the container every right of the host's root
    #[arg(long)]
    pub privileged: bool,
    /// Add a capability, or ALL
    #[arg(long, value_name = "CAP")]
    pub cap_add: Vec<String>,
    /// Take a capability away, or ALL
    #[arg(long, value_name = "CAP")]
    pub cap_drop: Vec<String>,
    /// seccomp=FILE|unconfined|builtin, apparmor=, label=, no-new-privileges, systempaths=,
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// Add a device of the host: HOST[:CONTAINER[:rwm]]
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// Add a rule to the list of allowed devices: TYPE MAJOR:MINOR rwm
    #[arg(long, value_name = "RULE")]
    pub device_cgroup_rule: Vec<String>,
    /// Resource limit: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT")]
    pub ulimit: Vec<String>,
    /// Kernel parameter of the container's namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    pub sysctl: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES")]
    pub shm_size: Option<String>,
    /// IPC namespace: private, shareable, none, host or container:NAME
    #[arg(long, value_name = "MODE")]
    pub ipc: Option<String>,
    /// PID namespace: host or container:NAME
    #[arg(long, value_name = "MODE")]
    pub pid: Option<String>,
    /// UTS namespace: host
    #[arg(long, value_name = "MODE")]
    pub uts: Option<String>,
    /// User namespace: host
    #[arg(long, value_name = "MODE")]
    pub userns: Option<String>,
    /// Cgroup namespace: host or private
    #[arg(long, value_name = "MODE")]
    pub cgroupns: Option<String>,
    /// Cgroup to make the container's below
    #[arg(long, value_name = "PATH")]
    pub cgroup_parent: Option<String>,
    /// Additional group
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// The kernel must not kill it when its memory is used up
    #[arg(long)]
    pub oom_kill_disable: bool,
    /// Preference of the kernel's OOM killer (-1000 to 1000)
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub oom_score_adj: Option<i32>,
}

/// What it may use up; `update` takes the same.
#[derive(Args, Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory limit
    #[arg(short, long, value_name = "BYTES")]
    pub memory: Option<String>,
    /// Soft memory limit
    #[arg(long, value_name = "BYTES")]
    pub memory_reservation: Option<String>,
    /// Memory and swap together; -1 for unlimited swap
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory_swap: Option<String>,
    /// Kernel memory limit; kernels ignore it since 5.16
    #[arg(long, value_name = "BYTES")]
    pub kernel_memory: Option<String>,
    /// How many CPUs' time
    #[arg(long, value_name = "NUMBER")]
    pub cpus: Option<String>,
    /// Share of the CPU relative to others (1024 is usual)
    #[arg(short, long, value_name = "SHARES")]
    pub cpu_shares: Option<u64>,
    /// Microseconds of one CFS period
    #[arg(long, value_name = "US")]
    pub cpu_period: Option<u64>,
    /// Microseconds of CPU time in each period
    #[arg(long, value_name = "US", allow_negative_numbers = true)]
    pub cpu_quota: Option<i64>,
    /// Microseconds of one real-time period
    #[arg(long, value_name = "US")]
    pub cpu_rt_period: Option<u64>,
    /// Microseconds of real-time CPU time in each period
    #[arg(long, value_name = "US", allow_negative_numbers = true)]
    pub cpu_rt_runtime: Option<i64>,
    /// CPUs it may run on: 0-3, 0,1
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes it may use
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// How many processes; -1 for unlimited
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub pids_limit: Option<i64>,
    /// Weight of block I/O, 10 to 1000; 0 turns it off
    #[arg(long, value_name = "WEIGHT")]
    pub blkio_weight: Option<u16>,
}

/// Further limits.
#[derive(Args, Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Devices {
    /// How readily memory is swapped out, 0 to 100
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    pub memory_swappiness: Option<i64>,
    /// Weight of one block device: DEVICE:WEIGHT
    #[arg(long, value_name = "DEVICE:WEIGHT")]
    pub blkio_weight_device: Vec<String>,
    /// Bytes read per second: DEVICE:RATE
    #[arg(long, value_name = "DEVICE:RATE")]
    pub device_read_bps: Vec<String>,
    /// Bytes written per second: DEVICE:RATE
    #[arg(long, value_name = "DEVICE:RATE")]
    pub device_write_bps: Vec<String>,
    /// Reads per second: DEVICE:RATE
    #[arg(long, value_name = "DEVICE:RATE")]
    pub device_read_iops: Vec<String>,
    /// Writes per second: DEVICE:RATE
    #[arg(long, value_name = "DEVICE:RATE")]
    pub device_write_iops: Vec<String>,
}
