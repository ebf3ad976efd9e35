//! The words of cgroup v2 (kernel: Documentation/admin-guide/cgroup-v2.rst).
//!
//! The configuration speaks v1; each function here says what v2 makes of it. What has no
//! counterpart is refused ("If the conversion is not possible the runtime MUST generate an
//! error", config-linux.md, "Unified"), which is also what crun does; values that ask for nothing
//! (`-1`, `0`, `false`) are not.

use std::collections::HashMap;

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxResources, LinuxThrottleDevice,
};

use super::{UsageCheck, Words, out_of_range, v1};
use crate::error::{Error, Result, Step};

/// Period that the kernel starts with, in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

/// Every word of `linux.resources` but the devices.
pub(super) fn resources(
    resources: &LinuxResources,
    pids_limit: Option<i64>,
    out: &mut Words<'_>,
) -> Result<()> {
    v1::pids(pids_limit, out)?;
    if let Some(asked) = resources.memory() {
        memory(asked, out)?;
    }
    if let Some(asked) = resources.block_io() {
        io(asked, out)?;
    }
    if let Some(asked) = resources.cpu() {
        cpu(asked, out)?;
        v1::cpuset(asked, out)?;
    }
    if let Some(limits) = resources.hugepage_limits() {
        hugetlb(limits, out)?;
    }
    v1::rdma(resources, out)?;
    if let Some(asked) = resources.network() {
        let class = asked.class_id().unwrap_or(0);
        if class != 0 || asked.priorities().as_ref().is_some_and(|p| !p.is_empty()) {
            return Err(only_v1("linux.resources.network", "use nftables and tc on cgroup v2"));
        }
    }
    match resources.unified() {
        Some(files) => unified(files, out),
        None => Ok(()),
    }
}

fn only_v1(field: &'static str, hint: &str) -> Error {
    Error::rule(Step::CheckConfig, field, "has no counterpart on cgroup v2").hint(hint)
}

fn cpu(cpu: &LinuxCpu, out: &mut Words<'_>) -> Result<()> {
    for (field, value) in [
        ("linux.resources.cpu.realtimeRuntime", cpu.realtime_runtime().unwrap_or(0) != 0),
        ("linux.resources.cpu.realtimePeriod", cpu.realtime_period().unwrap_or(0) != 0),
    ] {
        if value {
            return Err(only_v1(field, "leave it out: v2 has no limit for realtime processes"));
        }
    }
    let idle = cpu.idle().unwrap_or(0) != 0;
    // The kernel refuses a weight for an idle group, so the group becomes idle last, and is woken
    // first.
    if let (Some(value), false) = (cpu.idle(), idle) {
        out.add("linux.resources.cpu.idle", "cpu.idle", value)?;
    }
    if let Some(shares) = cpu.shares().filter(|s| *s != 0) {
        out.add("linux.resources.cpu.shares", "cpu.weight", weight_of_shares(shares))?;
    }
    if let (Some(value), true) = (cpu.idle(), idle) {
        out.add("linux.resources.cpu.idle", "cpu.idle", value)?;
    }
    if let Some(burst) = cpu.burst() {
        // Larger than the quota that still stands: the new quota comes next.
        out.add("linux.resources.cpu.burst", "cpu.max.burst", burst)?.retry();
    }
    let (quota, period) = (cpu.quota().unwrap_or(0), cpu.period().unwrap_or(0));
    if quota != 0 || period != 0 {
        let quota = if quota > 0 { quota.to_string() } else { "max".to_owned() };
        let period = if period == 0 { DEFAULT_PERIOD } else { period };
        out.add("linux.resources.cpu.quota", "cpu.max", format!("{quota} {period}"))?;
    }
    Ok(())
}

/// `cpu.shares` (2 to 262144, usually 1024) as `cpu.weight` (1 to 10000, usually 100).
///
/// The formula of runc since 1.3.2 and crun since 1.23: a parabola over the logarithm that meets
/// both ends and the default, where the linear one of old made the default 39.
pub(super) fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "below 2^18, exact in a f64")]
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and 10000 for this range of shares"
            )]
            let weight = 10_f64.powf(exponent).ceil() as u64;
            weight
        }
    }
}

fn memory(memory: &LinuxMemory, out: &mut Words<'_>) -> Result<()> {
    refuse_v1_memory(memory)?;
    let limit = v1::memory_value("limit", memory.limit())?;
    let swap = v1::memory_value("swap", memory.swap())?;
    let field = "linux.resources.memory.swap";
    if let Some(swap) = swap_max(limit, swap)? {
        let word = out.add(field, "memory.swap.max", &swap)?;
        // Without swap accounting there is no swap to use and none to forbid.
        if swap == "max" || swap == "0" {
            word.skip_if_missing();
        }
    }
    let text = |value: i64| if value == -1 { "max".to_owned() } else { value.to_string() };
    if let Some(limit) = limit {
        out.add("linux.resources.memory.limit", "memory.max", text(limit))?;
    }
    if let Some(low) = v1::memory_value("reservation", memory.reservation())? {
        out.add("linux.resources.memory.reservation", "memory.low", text(low))?;
    }
    Ok(())
}

/// v1 limits memory and swap together, v2 swap alone. `None`: leave it as it is.
fn swap_max(limit: Option<i64>, swap: Option<i64>) -> Result<Option<String>> {
    let wrong = |words: &str| Err(out_of_range("linux.resources.memory.swap", words));
    match (limit, swap) {
        // Unlimited memory with swap unset means that both are unlimited, as on v1.
        (_, Some(-1)) | (Some(-1), None) => Ok(Some("max".to_owned())),
        (_, None) => Ok(None),
        (Some(-1), Some(swap)) => Ok(Some(swap.to_string())),
        (None, Some(_)) => wrong("unable to set swap limit without memory limit"),
        (Some(limit), Some(swap)) if swap < limit => {
            wrong("memory+swap limit should be >= memory limit")
        }
        (Some(limit), Some(swap)) => Ok(Some((swap - limit).to_string())),
    }
}

fn refuse_v1_memory(memory: &LinuxMemory) -> Result<()> {
    let limits = |value: Option<i64>| value.is_some_and(|v| v > 0);
    for (field, asked) in [
        ("linux.resources.memory.kernel", limits(memory.kernel())),
        ("linux.resources.memory.kernelTCP", limits(memory.kernel_tcp())),
        ("linux.resources.memory.disableOOMKiller", memory.disable_oom_killer() == Some(true)),
        ("linux.resources.memory.useHierarchy", memory.use_hierarchy() == Some(false)),
        // Go programs send -1, unset, as the largest unsigned number.
        ("linux.resources.memory.swappiness", memory.swappiness().is_some_and(|s| s != u64::MAX)),
    ] {
        if asked {
            return Err(only_v1(field, "leave the field out on hosts with cgroup v2"));
        }
    }
    Ok(())
}

/// `memory.checkBeforeUpdate`, when something is limited.
pub(super) fn usage_check(resources: &LinuxResources) -> Option<UsageCheck> {
    let memory = resources.memory().as_ref()?;
    if memory.check_before_update() != Some(true) {
        return None;
    }
    let positive = |value: Option<i64>| u64::try_from(value?).ok().filter(|v| *v > 0);
    let check = UsageCheck { limit: positive(memory.limit()), swap: positive(memory.swap()) };
    (check.limit.is_some() || check.swap.is_some()).then_some(check)
}

fn io(io: &LinuxBlockIo, out: &mut Words<'_>) -> Result<()> {
    const FIELD: &str = "linux.resources.blockIO";
    if io.leaf_weight().unwrap_or(0) != 0 {
        return Err(only_v1("linux.resources.blockIO.leafWeight", "leave the field out"));
    }
    if let Some(weight) = v1::weight(FIELD, "weight", io.weight())? {
        // BFQ has its own file where it is built in; io.weight is that of iocost.
        out.add("linux.resources.blockIO.weight", "io.bfq.weight", weight)?
            .instead("io.weight", linear(weight));
    }
    for device in io.weight_device().as_deref().unwrap_or_default() {
        let field = "linux.resources.blockIO.weightDevice";
        if device.leaf_weight().unwrap_or(0) != 0 {
            return Err(only_v1(field, "leave leafWeight out"));
        }
        if let Some(weight) = v1::weight(field, "weight", device.weight())? {
            let number = v1::device_number(field, device.major(), device.minor())?;
            out.add(field, "io.bfq.weight", format!("{number} {weight}"))?
                .instead("io.weight", format!("{number} {}", linear(weight)));
        }
    }
    for (field, key, devices) in [
        (v1::READ_BPS, "rbps", io.throttle_read_bps_device()),
        (v1::WRITE_BPS, "wbps", io.throttle_write_bps_device()),
        (v1::READ_IOPS, "riops", io.throttle_read_iops_device()),
        (v1::WRITE_IOPS, "wiops", io.throttle_write_iops_device()),
    ] {
        for device in devices.as_deref().unwrap_or_default() {
            throttle(field, key, device, out)?;
        }
    }
    Ok(())
}

/// A weight of 10 to 1000 on `io.weight`'s scale of 1 to 10000.
fn linear(weight: u16) -> u64 {
    1 + u64::from(weight.saturating_sub(10)) * 9999 / 990
}

fn throttle(
    field: &'static str,
    key: &str,
    device: &LinuxThrottleDevice,
    out: &mut Words<'_>,
) -> Result<()> {
    let number = v1::device_number(field, device.major(), device.minor())?;
    // 0 takes a limit away on v1; v2 says max.
    let rate = match device.rate() {
        0 => "max".to_owned(),
        rate => rate.to_string(),
    };
    out.add(field, "io.max", format!("{number} {key}={rate}")).map(drop)
}

fn hugetlb(limits: &[LinuxHugepageLimit], out: &mut Words<'_>) -> Result<()> {
    const FIELD: &str = "linux.resources.hugepageLimits";
    for limit in limits {
        let size = v1::page_size(limit)?;
        let value = v1::hugetlb_value(limit)?;
        out.add(FIELD, format!("hugetlb.{size}.max"), value)?;
        // Reservations are accounted since Linux 5.7 (as runc: where they are, both are limited).
        out.add(FIELD, format!("hugetlb.{size}.rsvd.max"), value)?.skip_if_missing();
    }
    Ok(())
}

/// Files of the v2 directory by name: last, because they override what was converted.
///
/// A key is a file *name* (GHSA-5g49-rx9x-qfc6): one with a slash is refused here, and
/// `crate::cgroup` opens nothing outside of the container's directory anyway.
fn unified(files: &HashMap<String, String>, out: &mut Words<'_>) -> Result<()> {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_unstable();
    for (key, value) in sorted {
        let wrong =
            |words: &str| Err(out_of_range(&format!("linux.resources.unified {key:?}"), words));
        if key.contains('/') {
            return wrong("must be a file name (no slashes)");
        }
        match key.split_once('.') {
            Some((controller, parameter)) if !controller.is_empty() && !parameter.is_empty() => {}
            _ => return wrong("must be in the form CONTROLLER.PARAMETER"),
        }
        if key.contains('\0') {
            return wrong("contains a NUL byte");
        }
        let word = out.add("linux.resources.unified", key.clone(), value)?;
        if word.controller == "cgroup" {
            word.controller = "".into();
        }
    }
    Ok(())
}
