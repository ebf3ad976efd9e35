//! Decides what an update writes: the words of the limits that are named, and of no others.
//!
//! v2 keeps in one file, or in terms of another, what the configuration names apart. What an
//! update leaves out is taken from what stands ([`Standing`]): the other half of `cpu.max`, the
//! memory limit that the swap is reckoned from, the total of memory and swap that was asked for
//! when memory alone is changed. v1 has a file for each.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use super::{CgroupPlan, DirPlan, Words, v1, v2};
use crate::error::{Error, Result, Step};
use crate::host::cgroup::CgroupMode;
use crate::plan::check::check_resources;
use crate::spec::Resources;

/// What stands before an update, as far as words depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Quota (-1 for none) and period of `cpu.max`, in microseconds; v2.
    pub cpu_max: Option<(i64, u64)>,
    /// `memory.max` in bytes, `None` without a limit; v2.
    pub memory_max: Option<i64>,
    /// `memory.swap` as it was last asked for: memory and swap together, in bytes.
    pub swap: Option<i64>,
}

/// Decides the words. The returned plan makes nothing and changes no device rules; its
/// [`CgroupPlan::swap`] is the standing one of next time.
///
/// # Errors
/// A value out of range, or a limit for which there is no place: no controller, no counterpart
/// on v2.
pub fn update(
    (mode, dirs): (CgroupMode, &[DirPlan]),
    asked: &Resources,
    standing: &Standing,
) -> Result<CgroupPlan> {
    check_resources(&asked.oci)?;
    if dirs.is_empty() {
        return without(asked);
    }
    let mut resources = asked.oci.clone();
    let swap = swap_to_come(&resources, standing.swap);
    let mut plan = CgroupPlan { mode, dirs: dirs.to_vec(), swap, ..CgroupPlan::default() };
    let mut words = Words { dirs, writes: Vec::new() };
    if mode == CgroupMode::Unified {
        if let Some(cpu) = resources.cpu_mut() {
            complete_cpu(cpu, standing);
        }
        if let Some(memory) = resources.memory_mut() {
            complete_memory(memory, standing);
        }
        v2::resources(&resources, asked.pids_limit, &mut words)?;
        plan.usage_check = v2::usage_check(&resources);
    } else {
        v1::resources(&resources, asked.pids_limit, &mut words)?;
    }
    plan.writes = words.writes;
    Ok(plan)
}

/// A container without any cgroup can only be asked for nothing.
fn without(asked: &Resources) -> Result<CgroupPlan> {
    let dirs = [DirPlan { controllers: vec![], mount: "".into(), path: "".into() }];
    let mut words = Words { dirs: &dirs, writes: Vec::new() };
    v2::resources(&asked.oci, asked.pids_limit, &mut words)?;
    match words.writes.first() {
        None => Ok(CgroupPlan::default()),
        Some(first) => {
            let words = "cannot be limited: cgroups not configured for container";
            Err(Error::rule(Step::Cgroup, &first.field, words).hint(crate::cgroup::WITHOUT))
        }
    }
}

/// The total of memory and swap that stands after the update. Without a memory limit there is
/// none, unless it is named.
fn swap_to_come(resources: &LinuxResources, standing: Option<i64>) -> Option<i64> {
    let memory = resources.memory().as_ref();
    let set = |value: Option<i64>| value.filter(|v| *v != 0);
    match (memory.and_then(|m| set(m.limit())), memory.and_then(|m| set(m.swap()))) {
        (_, Some(swap)) => Some(swap),
        (Some(-1), None) => None,
        _ => standing,
    }
}

fn complete_cpu(cpu: &mut LinuxCpu, standing: &Standing) {
    let Some((quota, period)) = standing.cpu_max else { return };
    match (cpu.quota().unwrap_or(0), cpu.period().unwrap_or(0)) {
        (0, 0) => {}
        (0, _) => drop(cpu.set_quota(Some(quota))),
        (_, 0) => drop(cpu.set_period(Some(period))),
        _ => {}
    }
}

fn complete_memory(memory: &mut LinuxMemory, standing: &Standing) {
    match (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0)) {
        (0, 1..) => drop(memory.set_limit(standing.memory_max)),
        (1.., 0) => drop(memory.set_swap(standing.swap)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    fn dir(controllers: &[&str]) -> DirPlan {
        let controllers = controllers.iter().map(ToString::to_string).collect();
        DirPlan { controllers, mount: "/cg".into(), path: "c".into() }
    }

    fn words(
        mode: CgroupMode,
        asked: &Value,
        standing: &Standing,
    ) -> Result<(Vec<String>, Option<i64>)> {
        let v1: &[_] = &[dir(&["cpu"]), dir(&["memory"]), dir(&["pids"]), dir(&["blkio"])];
        let v2: &[_] = &[dir(&[])];
        let dirs = if mode == CgroupMode::Unified { v2 } else { v1 };
        let asked = Resources::parse(Path::new("r"), asked.to_string().as_bytes()).unwrap();
        let plan = update((mode, dirs), &asked, standing)?;
        let words = plan.writes.iter().map(|w| format!("{} {}", w.file, w.value)).collect();
        Ok((words, plan.swap))
    }

    fn unified(asked: &Value, standing: &Standing) -> Vec<String> {
        words(CgroupMode::Unified, asked, standing).unwrap().0
    }

    #[test]
    fn only_what_is_named_is_written() {
        let asked = json!({"pids": {"limit": 7}, "memory": {"limit": 0}, "cpu": {}, "blockIO": {}});
        for mode in [CgroupMode::Unified, CgroupMode::Legacy] {
            let (words, _) = words(mode, &asked, &Standing::default()).unwrap();
            assert_eq!(words, ["pids.max 7"], "{mode:?}");
        }
    }

    #[test]
    fn half_of_cpu_max_keeps_the_other_half() {
        let standing = Standing { cpu_max: Some((500, 1000)), ..Standing::default() };
        assert_eq!(unified(&json!({"cpu": {"period": 900}}), &standing), ["cpu.max 500 900"]);
        assert_eq!(unified(&json!({"cpu": {"quota": 600}}), &standing), ["cpu.max 600 1000"]);
        assert_eq!(unified(&json!({"cpu": {"quota": -1}}), &standing), ["cpu.max max 1000"]);
        let none = Standing { cpu_max: Some((-1, 100_000)), ..Standing::default() };
        assert_eq!(unified(&json!({"cpu": {"period": 900}}), &none), ["cpu.max max 900"]);
    }

    #[test]
    fn swap_alone_is_reckoned_from_the_memory_that_stands() {
        let standing = Standing { memory_max: Some(50), ..Standing::default() };
        let asked = json!({"memory": {"swap": 80}});
        assert_eq!(unified(&asked, &standing), ["memory.swap.max 30", "memory.max 50"]);
        let error = words(CgroupMode::Unified, &asked, &Standing::default()).unwrap_err();
        assert!(error.to_string().contains("unable to set swap limit without memory limit"));
        assert_eq!(unified(&json!({"memory": {"swap": -1}}), &standing), ["memory.swap.max max"]);
    }

    #[test]
    fn memory_alone_keeps_the_total_that_was_asked_for() {
        let standing = Standing { swap: Some(80), memory_max: Some(50), cpu_max: None };
        let by = |asked| words(CgroupMode::Unified, &asked, &standing);
        let memory = |limit: i64| json!({"memory": {"limit": limit}});
        let both = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(
            by(memory(60)).unwrap(),
            (both("memory.swap.max 20", "memory.max 60"), Some(80))
        );
        let error = by(memory(90)).unwrap_err().to_string();
        assert!(error.contains("memory+swap limit should be >= memory limit"), "{error}");
        // Both are unlimited then, and the total is forgotten.
        assert_eq!(by(memory(-1)).unwrap(), (both("memory.swap.max max", "memory.max max"), None));
        // Set by `unified`, or never: not ours to change.
        let other = Standing { swap: None, ..standing };
        assert_eq!(unified(&memory(60), &other), ["memory.max 60"]);
    }

    #[test]
    fn v1_has_a_file_for_each() {
        let standing = Standing { swap: Some(80), ..Standing::default() };
        let asked = json!({"memory": {"limit": 60}, "cpu": {"period": 900}});
        let (words, swap) = words(CgroupMode::Legacy, &asked, &standing).unwrap();
        assert_eq!(words, ["memory.limit_in_bytes 60", "cpu.cfs_period_us 900"]);
        assert_eq!(swap, Some(80));
    }

    #[test]
    fn the_rules_of_create_hold() {
        for (asked, field) in [
            (json!({"unified": {"cgroup.procs": "1"}}), "linux.resources.unified"),
            (json!({"unified": {"a/b": "1"}}), "linux.resources.unified"),
            (json!({"rdma": {"mlx5_0": {}}}), "linux.resources.rdma"),
            (
                json!({"hugepageLimits": [{"pageSize": "2M", "limit": 1}]}),
                "linux.resources.hugepageLimits",
            ),
            (
                json!({"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}),
                "linux.resources.blockIO.weightDevice",
            ),
            (json!({"devices": [{"allow": true, "access": "x"}]}), "linux.resources.devices"),
        ] {
            let error = words(CgroupMode::Unified, &asked, &Standing::default()).unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with(&format!("invalid config {field}")), "{error}");
        }
    }

    #[test]
    fn a_limit_without_a_place_is_an_error() {
        let asked = json!({"network": {"classID": 7}});
        let error =
            words(CgroupMode::Legacy, &asked, &Standing::default()).unwrap_err().to_string();
        assert!(error.contains("cannot set net_cls limit"), "{error}");
        assert!(words(CgroupMode::Unified, &asked, &Standing::default()).is_err());
        let asked = Resources::parse(Path::new("r"), br#"{"pids": {"limit": 1}}"#).unwrap();
        let error = update((CgroupMode::Absent, &[]), &asked, &Standing::default()).unwrap_err();
        assert!(error.to_string().contains("cgroups not configured for container"), "{error}");
        let nothing = Resources::default();
        assert!(update((CgroupMode::Absent, &[]), &nothing, &Standing::default()).is_ok());
    }
}
