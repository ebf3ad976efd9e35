//! The flags of `exec`.

use std::path::PathBuf;

use clap::Args;

/// `exec`. Flags change the container's own process, or with --process the one in that file.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct Exec {
    /// Unix socket that receives the terminal's master descriptor
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Unix socket that receives a pidfd of the process
    #[arg(long, value_name = "SOCKET")]
    pub(crate) pidfd_socket: Option<PathBuf>,
    /// Working directory in the container
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,
    /// Set an environment variable; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Give the program a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// User and group, by number
    #[arg(short, long, value_name = "UID[:GID]")]
    pub(crate) user: Option<String>,
    /// Add a supplementary group, by number; may be given several times
    #[arg(short = 'g', long, value_name = "GID")]
    pub(crate) additional_gids: Vec<String>,
    /// Process to run, as JSON like process in config.json; - reads it from stdin
    #[arg(short, long, value_name = "FILE")]
    pub(crate) process: Option<PathBuf>,
    /// Return as soon as the program has started
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// File that receives the pid of the process
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// SELinux label of the process
    #[arg(long, value_name = "LABEL")]
    pub(crate) process_label: Option<String>,
    /// AppArmor profile of the process
    #[arg(long, value_name = "PROFILE")]
    pub(crate) apparmor: Option<String>,
    /// Never let the process gain privileges
    #[arg(long)]
    pub(crate) no_new_privs: bool,
    /// Add a capability; may be given several times
    #[arg(short, long, value_name = "CAP")]
    pub(crate) cap: Vec<String>,
    /// Pass this many descriptors after stdio and $LISTEN_FDS to the process
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) preserve_fds: u32,
    /// Run in a sub-cgroup of the container's; may be given once for each controller
    #[arg(long, value_name = "[CONTROLLER[,CONTROLLER]:]PATH")]
    pub(crate) cgroup: Vec<String>,
    /// Do not refuse a paused container: the program runs when it is resumed
    #[arg(long)]
    pub(crate) ignore_paused: bool,
    /// Name of the container
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: String,
    /// Program and its arguments; none with --process
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
}
