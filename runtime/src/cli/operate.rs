//! Flags of the verbs that look after a container that runs: `ps`, `update`, `events`; the others are in
//! [`super`].

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::ListFormat;

/// `ps`.
#[derive(Args, Debug)]
pub(crate) struct Ps {
    /// Output: table or json
    #[arg(short, long, default_value = "table", hide_possible_values = true)]
    pub(crate) format: ListFormat,
    /// Name of the container
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: String,
    // Hyphen values: flags after the container's name are those of ps(1), see `argv`.
    /// Options of ps(1), which must show the column PID [default: -ef]
    #[arg(value_name = "PS-OPTION", allow_hyphen_values = true, num_args = 0..)]
    pub(crate) options: Vec<OsString>,
}

/// `update`.
#[derive(Args, Debug, Default)]
pub(crate) struct Update {
    /// Read the limits as linux.resources from this file, - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) resources: Option<PathBuf>,
    /// Weight of its block I/O, 10 to 1000
    #[arg(long, value_name = "N")]
    pub(crate) blkio_weight: Option<String>,
    /// Length of a period of the CPU quota, in microseconds
    #[arg(long, value_name = "USEC")]
    pub(crate) cpu_period: Option<String>,
    /// CPU time per period, in microseconds; -1 is no limit
    #[arg(long, value_name = "USEC")]
    pub(crate) cpu_quota: Option<String>,
    /// CPU time that may be saved up beyond the quota, in microseconds
    #[arg(long, value_name = "USEC")]
    pub(crate) cpu_burst: Option<String>,
    /// Weight of its CPU time against other containers, 2 to 262144
    #[arg(long, value_name = "N")]
    pub(crate) cpu_share: Option<String>,
    /// Length of a period of the realtime limit, in microseconds (cgroup v1)
    #[arg(long, value_name = "USEC")]
    pub(crate) cpu_rt_period: Option<String>,
    /// Realtime CPU time per period, in microseconds (cgroup v1)
    #[arg(long, value_name = "USEC")]
    pub(crate) cpu_rt_runtime: Option<String>,
    /// 1 runs it only when no other needs the CPU (SCHED_IDLE), 0 is usual
    #[arg(long, value_name = "0|1")]
    pub(crate) cpu_idle: Option<String>,
    /// CPUs to use, such as 0-3,7
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_mems: Option<String>,
    /// Memory limit in bytes, or with a unit such as 64M; -1 is no limit
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Memory that is left to it when memory is short
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_reservation: Option<String>,
    /// Memory and swap together; -1 is no limit on swap
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_swap: Option<String>,
    /// Obsolete: kernels since 6.1 take it and limit nothing
    #[arg(long, value_name = "SIZE", hide = true)]
    pub(crate) kernel_memory: Option<String>,
    /// Obsolete
    #[arg(long, value_name = "SIZE", hide = true)]
    pub(crate) kernel_memory_tcp: Option<String>,
    /// Processes and threads it may have; -1 is no limit
    #[arg(long, value_name = "N")]
    pub(crate) pids_limit: Option<String>,
    /// Schema of its L3 cache, such as L3:0=f0 (Intel RDT)
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) l3_cache_schema: Option<String>,
    /// Schema of its memory bandwidth, such as MB:0=50 (Intel RDT)
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) mem_bw_schema: Option<String>,
    /// Name of the container
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: String,
}

/// `events`.
#[derive(Args, Debug)]
pub(crate) struct Events {
    /// Time between two statistics, such as 5s, 100ms or 1m30s
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub(crate) interval: String,
    /// Print the statistics once and end
    #[arg(long)]
    pub(crate) stats: bool,
    /// Name of the container
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: String,
}
