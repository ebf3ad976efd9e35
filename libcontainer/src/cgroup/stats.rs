//! What a container uses: the numbers of its cgroups, in the shape in which runc prints them.
//!
//! Names, order and what is left out when it is zero are those of runc 1.5's `types/events.go`,
//! which callers decode; [`Memory::events`], [`Stats::rdma`] and [`Stats::misc`] are ours, and
//! only there when the kernel has them. Read by [`v1`] and [`v2`]; [`rdt`] is beside cgroups.

mod parse;
mod rdt;
mod v1;
mod v2;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

pub use self::rdt::{Cmt, IntelRdt, L3CacheInfo, Mbm, MemBwInfo};
use super::Cgroup;
use crate::error::{At, Error, Result, Step};
use crate::host::cgroup::CgroupMode;

/// Numbers of a container at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: Cpu,
    /// Processors and memory nodes (v1).
    pub cpuset: Cpuset,
    /// Memory.
    pub memory: Memory,
    /// Processes.
    pub pids: Pids,
    /// Block I/O.
    pub blkio: Blkio,
    /// Huge pages, by page size (`2MB`).
    pub hugetlb: BTreeMap<String, Hugetlb>,
    /// Cache and memory bandwidth.
    pub intel_rdt: IntelRdt,
    /// Interfaces of the container's own network namespace, without loopback.
    pub network_interfaces: Option<Vec<NetworkInterface>>,
    /// RDMA devices.
    #[serde(skip_serializing_if = "is_default")]
    pub rdma: Rdma,
    /// Resources of the misc controller (v2).
    #[serde(skip_serializing_if = "is_default")]
    pub misc: BTreeMap<String, Misc>,
}

/// Processor time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Time used.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: CpuUsage,
    /// Time waited because of the quota.
    #[serde(skip_serializing_if = "is_default")]
    pub throttling: Throttling,
    /// Stalls (v2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// Processor time in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CpuUsage {
    /// All of it.
    #[serde(skip_serializing_if = "is_default")]
    pub total: u64,
    /// By processor (v1).
    #[serde(skip_serializing_if = "is_default")]
    pub percpu: Vec<u64>,
    /// In the kernel, by processor (v1).
    #[serde(skip_serializing_if = "is_default")]
    pub percpu_kernel: Vec<u64>,
    /// In programs, by processor (v1).
    #[serde(skip_serializing_if = "is_default")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// What the quota did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods that have passed.
    #[serde(skip_serializing_if = "is_default")]
    pub periods: u64,
    /// Periods in which the quota was used up.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_periods: u64,
    /// Time waited, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_time: u64,
}

/// Files of the v1 cpuset controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each member is the file of its name: cgroup-v1/cpusets.rst")]
pub struct Cpuset {
    #[serde(skip_serializing_if = "is_default")]
    pub cpus: Vec<u16>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub mems: Vec<u16>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Page cache.
    #[serde(skip_serializing_if = "is_default")]
    pub cache: u64,
    /// Memory.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: MemoryEntry,
    /// Memory and swap together.
    #[serde(skip_serializing_if = "is_default")]
    pub swap: MemoryEntry,
    /// Memory of the kernel (v1).
    #[serde(skip_serializing_if = "is_default")]
    pub kernel: MemoryEntry,
    /// Buffers of TCP (v1).
    #[serde(rename = "kernelTCP", skip_serializing_if = "is_default")]
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat`.
    #[serde(skip_serializing_if = "is_default")]
    pub raw: BTreeMap<String, u64>,
    /// Stalls (v2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
    /// `memory.events`: how often a limit was met, and what came of it (v2).
    #[serde(skip_serializing_if = "is_default")]
    pub events: BTreeMap<String, u64>,
}

/// A kind of memory in bytes; a limit of 2^64-1 or near 2^63 is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MemoryEntry {
    /// The limit.
    pub limit: u64,
    /// Now.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// The most there ever was.
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    /// How often the limit was met.
    pub failcnt: u64,
}

/// Processes and threads.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Pids {
    /// Now.
    #[serde(skip_serializing_if = "is_default")]
    pub current: u64,
    /// The limit, 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: u64,
}

/// Block I/O by device and operation; most of it needs the BFQ scheduler.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blkio {
    /// Bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "is_default")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// Operations that wait.
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "is_default")]
    pub io_queued_recursive: Vec<BlkioEntry>,
    /// Nanoseconds at the device.
    #[serde(skip_serializing_if = "is_default")]
    pub io_service_time_recursive: Vec<BlkioEntry>,
    /// Nanoseconds before the device.
    #[serde(skip_serializing_if = "is_default")]
    pub io_wait_time_recursive: Vec<BlkioEntry>,
    /// Operations that became one with another.
    #[serde(skip_serializing_if = "is_default")]
    pub io_merged_recursive: Vec<BlkioEntry>,
    /// Milliseconds of the disk.
    #[serde(skip_serializing_if = "is_default")]
    pub io_time_recursive: Vec<BlkioEntry>,
    /// Sectors.
    #[serde(skip_serializing_if = "is_default")]
    pub sectors_recursive: Vec<BlkioEntry>,
    /// Stalls (v2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// A number for a device and an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BlkioEntry {
    /// Of the device.
    #[serde(skip_serializing_if = "is_default")]
    pub major: u64,
    /// Of the device.
    #[serde(skip_serializing_if = "is_default")]
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`; empty where there is one number.
    #[serde(skip_serializing_if = "is_default")]
    pub op: String,
    /// The number.
    #[serde(skip_serializing_if = "is_default")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hugetlb {
    /// Now.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// The most there ever was (v1).
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    /// How often the limit was met.
    pub failcnt: u64,
}

/// Pressure stall information (Linux 4.20; kernel: Documentation/accounting/psi.rst).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Psi {
    /// Some process waited.
    #[serde(skip_serializing_if = "is_default")]
    pub some: PsiData,
    /// All waited.
    #[serde(skip_serializing_if = "is_default")]
    pub full: PsiData,
}

/// Share of time in percent, over three windows in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PsiData {
    /// Ten seconds.
    #[serde(serialize_with = "as_go")]
    pub avg10: f32,
    /// A minute.
    #[serde(serialize_with = "as_go")]
    pub avg60: f32,
    /// Five minutes.
    #[serde(serialize_with = "as_go")]
    pub avg300: f32,
    /// All the time that was lost, in microseconds.
    pub total: u64,
}

/// Limits and use of RDMA devices.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rdma {
    /// `rdma.max`.
    #[serde(rename = "rdma_limit", skip_serializing_if = "is_default")]
    pub limit: Vec<RdmaEntry>,
    /// `rdma.current`.
    #[serde(rename = "rdma_current", skip_serializing_if = "is_default")]
    pub current: Vec<RdmaEntry>,
}

/// One RDMA device; 2^32-1 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RdmaEntry {
    /// Its name.
    pub device: String,
    /// Handles.
    #[serde(skip_serializing_if = "is_default")]
    pub hca_handles: u32,
    /// Objects.
    #[serde(skip_serializing_if = "is_default")]
    pub hca_objects: u32,
}

/// One resource of the misc controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Misc {
    /// Now.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// How often the limit was met.
    #[serde(skip_serializing_if = "is_default")]
    pub events: u64,
}

/// Counters of a network interface, as the container sees them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "each member is the counter of its name in /proc/net/dev")]
pub struct NetworkInterface {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

impl Cgroup {
    /// Reads every controller that the container has.
    ///
    /// # Errors
    /// It has no cgroup, or a file cannot be read or understood; `ENOENT` or `ENODEV` when the
    /// cgroup goes away meanwhile.
    pub fn stats(&self) -> Result<Stats> {
        let on = || "unable to get container cgroup stats";
        if self.is_none() {
            let words =
                "unable to get container cgroup stats: cgroups not configured for container";
            return Err(Error::rule(Step::Events, "", words).hint(super::WITHOUT));
        }
        let stats = match self.record.mode {
            CgroupMode::Unified => v2::read(&self.record.dirs),
            _ => v1::read(&self.record.dirs),
        };
        stats.at(Step::Events, on)
    }
}

/// Go's `omitempty` and `omitzero`.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A float as Go prints it: without a point where it is whole.
fn as_go<S: Serializer>(value: &f32, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "percentages, and only whole ones"
    )]
    match *value {
        whole if whole.fract() == 0.0 && (0.0..=100.0).contains(&whole) => {
            serializer.serialize_u8(whole as u8)
        }
        other => serializer.serialize_f32(other),
    }
}

#[cfg(test)]
mod tests;
