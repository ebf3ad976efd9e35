//! Scheduler, I/O priority, memory policy and execution domain of the container's program.

use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy,
    MemoryPolicyFlagType, MemoryPolicyModeType, Process, Scheduler,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Step};
use crate::sys::sched::SchedAttr;

/// Highest NUMA node the kernel can be told of (`MAX_NUMNODES`, 1024 on the largest builds).
const MAX_NODES: usize = 1024;
/// Highest CPU the kernel can be told of (`NR_CPUS`, 8192 on the largest builds).
const MAX_CPUS: usize = 8192;

/// What is decided about scheduling; every field absent means: as inherited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SchedPlan {
    /// sched_setattr(2).
    pub scheduler: Option<SchedAttr>,
    /// Argument of ioprio_set(2): class and level.
    pub io_priority: Option<u16>,
    /// set_mempolicy(2).
    pub memory_policy: Option<MemoryPolicy>,
    /// Argument of personality(2).
    pub personality: Option<u32>,
}

/// Arguments of set_mempolicy(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPolicy {
    /// `MPOL_*` with `MPOL_F_*` bits.
    pub mode: i32,
    /// Node n is bit n % 8 of byte n / 8; empty without nodes.
    pub nodes: Vec<u8>,
}

/// Decides scheduling from `process` and `linux`.
///
/// # Errors
/// Values outside of what the kernel's structures hold, a malformed node list.
pub fn build(process: &Process, linux: Option<&Linux>) -> Result<SchedPlan> {
    let policy = linux.and_then(|linux| linux.memory_policy().as_ref());
    Ok(SchedPlan {
        scheduler: process.scheduler().as_ref().map(sched_attr).transpose()?,
        io_priority: process
            .io_priority()
            .map(|io| {
                let class = match io.class() {
                    IOPriorityClass::IoprioClassRt => 1u16,
                    IOPriorityClass::IoprioClassBe => 2,
                    IOPriorityClass::IoprioClassIdle => 3,
                };
                match u16::try_from(io.priority()) {
                    Ok(level @ 0..=7) => Ok(class << 13 | level),
                    _ => Err(Error::rule(
                        Step::CheckConfig,
                        "process.ioPriority.priority",
                        format!("{} is not in the range 0 to 7", io.priority()),
                    )),
                }
            })
            .transpose()?,
        memory_policy: policy
            .map(|policy| {
                let mode = mode(policy.mode())
                    | policy.flags().iter().flatten().fold(0, |bits, flag| bits | mode_flag(*flag));
                let nodes = policy.nodes().as_deref().unwrap_or_default();
                Ok::<_, Error>(MemoryPolicy {
                    mode,
                    nodes: mask("linux.memoryPolicy.nodes", nodes, MAX_NODES)?,
                })
            })
            .transpose()?,
        personality: linux.and_then(|linux| linux.personality().as_ref()).map(|personality| {
            match personality.domain() {
                LinuxPersonalityDomain::PerLinux => 0,
                LinuxPersonalityDomain::PerLinux32 => 8,
            }
        }),
    })
}

fn sched_attr(scheduler: &Scheduler) -> Result<SchedAttr> {
    let priority = scheduler.priority().unwrap_or(0);
    Ok(SchedAttr {
        policy: match scheduler.policy() {
            LinuxSchedulerPolicy::SchedOther => 0,
            LinuxSchedulerPolicy::SchedFifo => 1,
            LinuxSchedulerPolicy::SchedRr => 2,
            LinuxSchedulerPolicy::SchedBatch => 3,
            LinuxSchedulerPolicy::SchedIso => 4,
            LinuxSchedulerPolicy::SchedIdle => 5,
            LinuxSchedulerPolicy::SchedDeadline => 6,
        },
        flags: scheduler.flags().iter().flatten().fold(0, |bits, flag| bits | sched_flag(*flag)),
        nice: scheduler.nice().unwrap_or(0),
        priority: u32::try_from(priority).map_err(|_| {
            Error::rule(
                Step::CheckConfig,
                "process.scheduler.priority",
                format!("{priority} is negative"),
            )
        })?,
        runtime: scheduler.runtime().unwrap_or(0),
        deadline: scheduler.deadline().unwrap_or(0),
        period: scheduler.period().unwrap_or(0),
    })
}

/// `SCHED_FLAG_*` of linux/sched.h.
const fn sched_flag(flag: LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

/// `MPOL_*` of linux/mempolicy.h.
const fn mode(mode: MemoryPolicyModeType) -> i32 {
    match mode {
        MemoryPolicyModeType::MpolDefault => 0,
        MemoryPolicyModeType::MpolPreferred => 1,
        MemoryPolicyModeType::MpolBind => 2,
        MemoryPolicyModeType::MpolInterleave => 3,
        MemoryPolicyModeType::MpolLocal => 4,
        MemoryPolicyModeType::MpolPreferredMany => 5,
        MemoryPolicyModeType::MpolWeightedInterleave => 6,
    }
}

const fn mode_flag(flag: MemoryPolicyFlagType) -> i32 {
    match flag {
        MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
        MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
        MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
    }
}

/// A list of CPUs as sched_setaffinity(2) takes it.
///
/// # Errors
/// No list of CPUs, or one over 8191; `field` is the subject.
pub fn cpu_mask(field: &str, list: &str) -> Result<Vec<u8>> {
    mask(field, list, MAX_CPUS)
}

/// `0-3,7` as a bit mask, no longer than needed; `limit` is the first number that is too large.
fn mask(field: &str, list: &str, limit: usize) -> Result<Vec<u8>> {
    let bad = |why: &str| Error::rule(Step::CheckConfig, field, format!("{list:?} {why}"));
    let mut bits = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let parse = |text: &str| text.parse::<usize>().map_err(|_| bad("is not a list of numbers"));
        let (first, last) = (parse(first)?, parse(last)?);
        if first > last {
            return Err(bad("has a range that ends before it begins"));
        }
        if last >= limit {
            return Err(bad(&format!("names one over {}", limit - 1)));
        }
        for number in first..=last {
            let byte = number / 8;
            if bits.len() <= byte {
                bits.resize(byte + 1, 0);
            }
            bits[byte] |= 1 << (number % 8);
        }
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_lists_become_masks() {
        let nodes = |list| mask("nodes", list, MAX_NODES);
        assert_eq!(nodes("0-2,9").unwrap(), [0b111, 0b10]);
        assert!(nodes("").unwrap().is_empty());
        for bad in ["x", "3-1", "1-", "1024"] {
            assert!(nodes(bad).is_err(), "{bad}");
        }
        assert_eq!(cpu_mask("cpus", "1,8191").unwrap().len(), 1024);
        assert!(cpu_mask("cpus", "8192").is_err());
    }

    #[test]
    fn scheduling_words_become_the_kernels_numbers() {
        let process: Process = serde_json::from_value(serde_json::json!({
            "user": {"uid": 0, "gid": 0}, "cwd": "/",
            "scheduler": {"policy": "SCHED_FIFO", "priority": 5},
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4}}))
        .unwrap();
        let linux = serde_json::from_value(serde_json::json!({
            "personality": {"domain": "LINUX32"},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}}))
        .unwrap();
        let plan = build(&process, Some(&linux)).unwrap();
        let attr = plan.scheduler.unwrap();
        assert_eq!((attr.policy, attr.priority), (1, 5));
        assert_eq!(plan.io_priority, Some(2 << 13 | 4));
        assert_eq!(plan.personality, Some(8));
        assert_eq!(plan.memory_policy, Some(MemoryPolicy { mode: 2 | 1 << 15, nodes: vec![1] }));
    }

    #[test]
    fn io_priority_out_of_range_is_refused() {
        let process = serde_json::from_value(serde_json::json!({
            "user": {"uid": 0, "gid": 0}, "cwd": "/",
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}))
        .unwrap();
        assert!(build(&process, None).unwrap_err().to_string().contains("0 to 7"));
    }
}
