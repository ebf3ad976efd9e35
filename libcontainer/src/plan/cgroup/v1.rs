//! The words of cgroup v1 (kernel: Documentation/admin-guide/cgroup-v1/), and the checks of values
//! that both versions share.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxNetwork, LinuxResources,
};

use super::{Words, out_of_range};
use crate::error::{Error, Result, Step};

pub(super) const READ_BPS: &str = "linux.resources.blockIO.throttleReadBpsDevice";
pub(super) const WRITE_BPS: &str = "linux.resources.blockIO.throttleWriteBpsDevice";
pub(super) const READ_IOPS: &str = "linux.resources.blockIO.throttleReadIOPSDevice";
pub(super) const WRITE_IOPS: &str = "linux.resources.blockIO.throttleWriteIOPSDevice";

/// Every word of `linux.resources` but the devices, in runc's order.
pub(super) fn resources(
    resources: &LinuxResources,
    pids_limit: Option<i64>,
    out: &mut Words<'_>,
) -> Result<()> {
    if resources.unified().as_ref().is_some_and(|files| !files.is_empty()) {
        return Err(Error::rule(
            Step::CheckConfig,
            "",
            "invalid configuration: cannot use unified on cgroup v1",
        ));
    }
    if let Some(asked) = resources.cpu() {
        cpuset(asked, out)?;
    }
    if let Some(asked) = resources.memory() {
        memory(asked, out)?;
    }
    if let Some(asked) = resources.cpu() {
        cpu(asked, out)?;
    }
    pids(pids_limit, out)?;
    if let Some(asked) = resources.block_io() {
        blkio(asked, out)?;
    }
    if let Some(limits) = resources.hugepage_limits() {
        hugetlb(limits, out)?;
    }
    if let Some(asked) = resources.network() {
        network(asked, out)?;
    }
    rdma(resources, out)
}

/// `linux.resources.pids`, the same on both versions: 0 lets no further process start, which the
/// kernel and systemd call 1 (a first process is always let in), any negative number is no limit.
pub(super) fn pids(limit: Option<i64>, out: &mut Words<'_>) -> Result<()> {
    let value = match limit {
        None => return Ok(()),
        Some(0) => "1".to_owned(),
        Some(limit) if limit < 0 => "max".to_owned(),
        Some(limit) => limit.to_string(),
    };
    out.add("linux.resources.pids.limit", "pids.max", value).map(drop)
}

/// Cpus and memory nodes. A v1 hierarchy mounted with `noprefix` calls its files otherwise.
pub(super) fn cpuset(cpu: &LinuxCpu, out: &mut Words<'_>) -> Result<()> {
    for (field, file, noprefix, text) in [
        ("linux.resources.cpu.cpus", "cpuset.cpus", "cpus", cpu.cpus()),
        ("linux.resources.cpu.mems", "cpuset.mems", "mems", cpu.mems()),
    ] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            let unified = out.unified();
            let word = out.add(field, file, text)?;
            if !unified {
                word.instead(noprefix, text);
            }
        }
    }
    Ok(())
}

fn cpu(cpu: &LinuxCpu, out: &mut Words<'_>) -> Result<()> {
    if let Some(shares) = cpu.shares().filter(|s| *s != 0) {
        // The kernel takes any number and silently moves it into its range.
        let field = "linux.resources.cpu.shares";
        match shares {
            0..2 => return Err(out_of_range(field, "the minimum allowed cpu-shares is 2")),
            262_145.. => {
                return Err(out_of_range(field, "the maximum allowed cpu-shares is 262144"));
            }
            _ => out.add(field, "cpu.shares", shares)?,
        };
    }
    // Period, burst and quota are checked against each other as they stand when written.
    if let Some(period) = cpu.period().filter(|p| *p != 0) {
        out.add("linux.resources.cpu.period", "cpu.cfs_period_us", period)?.retry();
    }
    if let Some(burst) = cpu.burst() {
        // Linux 5.14; without it nothing bursts, which a burst of 0 asks for.
        let word = out.add("linux.resources.cpu.burst", "cpu.cfs_burst_us", burst)?.retry();
        if burst == 0 {
            word.skip_if_missing();
        }
    }
    if let Some(quota) = cpu.quota().filter(|q| *q != 0) {
        out.add("linux.resources.cpu.quota", "cpu.cfs_quota_us", quota)?;
    }
    if let Some(idle) = cpu.idle() {
        out.add("linux.resources.cpu.idle", "cpu.idle", idle)?;
    }
    if let Some(period) = cpu.realtime_period().filter(|p| *p != 0) {
        out.add("linux.resources.cpu.realtimePeriod", "cpu.rt_period_us", period)?.retry();
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|r| *r != 0) {
        out.add("linux.resources.cpu.realtimeRuntime", "cpu.rt_runtime_us", runtime)?;
    }
    Ok(())
}

fn memory(memory: &LinuxMemory, out: &mut Words<'_>) -> Result<()> {
    let limit = memory_value("limit", memory.limit())?;
    let swap = memory_value("swap", memory.swap())?;
    if let (Some(1..), Some(1..)) = (limit, swap)
        && swap < limit
    {
        let words = "memory+swap limit should be >= memory limit";
        return Err(out_of_range("linux.resources.memory.swap", words));
    }
    if let Some(limit) = limit {
        // Above the memory+swap limit that still stands when both are raised: swap comes next.
        out.add("linux.resources.memory.limit", "memory.limit_in_bytes", limit)?.retry();
    }
    let memsw = "memory.memsw.limit_in_bytes";
    match (limit, swap) {
        (_, Some(swap)) => drop(out.add("linux.resources.memory.swap", memsw, swap)?),
        // Unlimited memory with swap unset: both are unlimited, where swap is accounted at all.
        (Some(-1), None) => {
            out.add("linux.resources.memory.limit", memsw, -1)?.skip_if_missing();
        }
        (_, None) => {}
    }
    if let Some(low) = memory_value("reservation", memory.reservation())? {
        out.add("linux.resources.memory.reservation", "memory.soft_limit_in_bytes", low)?;
    }
    // Kernels since 6.1 accept a kernel limit and do nothing; runc does not ask them any more.
    if let Some(kernel) = memory.kernel().filter(|k| *k != 0) {
        let field = "linux.resources.memory.kernel";
        out.add(field, "memory.kmem.limit_in_bytes", kernel)?.skip_if_missing();
    }
    if let Some(tcp) = memory.kernel_tcp().filter(|t| *t != 0) {
        let field = "linux.resources.memory.kernelTCP";
        out.add(field, "memory.kmem.tcp.limit_in_bytes", tcp)?.skip_if_missing();
    }
    if let Some(hierarchy) = memory.use_hierarchy() {
        // Linux 5.11 knows only `true`, and refuses anything else.
        let field = "linux.resources.memory.useHierarchy";
        let word = out.add(field, "memory.use_hierarchy", u8::from(hierarchy))?;
        if hierarchy {
            word.skip_if_missing();
        }
    }
    if memory.disable_oom_killer() == Some(true) {
        out.add("linux.resources.memory.disableOOMKiller", "memory.oom_control", 1)?;
    }
    match memory.swappiness() {
        // Go programs send -1, unset, as the largest unsigned number.
        None | Some(u64::MAX) => Ok(()),
        Some(value @ 0..=100) => {
            let field = "linux.resources.memory.swappiness";
            out.add(field, "memory.swappiness", value).map(drop)
        }
        Some(value) => Err(out_of_range(
            "linux.resources.memory.swappiness",
            format!("invalid memory swappiness value: {value} (valid range is 0-100)"),
        )),
    }
}

/// Bytes, or -1 for no limit; 0 is not set.
pub(super) fn memory_value(name: &str, value: Option<i64>) -> Result<Option<i64>> {
    match value {
        None | Some(0) => Ok(None),
        Some(value) if value < -1 => Err(out_of_range(
            &format!("linux.resources.memory.{name}"),
            format!("invalid memory value: {value} (bytes, or -1 for no limit)"),
        )),
        value => Ok(value),
    }
}

fn blkio(io: &LinuxBlockIo, out: &mut Words<'_>) -> Result<()> {
    const FIELD: &str = "linux.resources.blockIO";
    if let Some(weight) = weight(FIELD, "weight", io.weight())? {
        // The BFQ scheduler has its own file; Linux 5.0 took the old one away.
        out.add("linux.resources.blockIO.weight", "blkio.weight", weight)?
            .instead("blkio.bfq.weight", weight);
    }
    if let Some(weight) = weight(FIELD, "leafWeight", io.leaf_weight())? {
        out.add("linux.resources.blockIO.leafWeight", "blkio.leaf_weight", weight)?;
    }
    for device in io.weight_device().as_deref().unwrap_or_default() {
        let field = "linux.resources.blockIO.weightDevice";
        let number = device_number(field, device.major(), device.minor())?;
        if let Some(weight) = weight(field, "weight", device.weight())? {
            let value = format!("{number} {weight}");
            out.add(field, "blkio.weight_device", &value)?
                .instead("blkio.bfq.weight_device", value);
        }
        if let Some(weight) = weight(field, "leafWeight", device.leaf_weight())? {
            out.add(field, "blkio.leaf_weight_device", format!("{number} {weight}"))?;
        }
    }
    for (field, file, devices) in [
        (READ_BPS, "blkio.throttle.read_bps_device", io.throttle_read_bps_device()),
        (WRITE_BPS, "blkio.throttle.write_bps_device", io.throttle_write_bps_device()),
        (READ_IOPS, "blkio.throttle.read_iops_device", io.throttle_read_iops_device()),
        (WRITE_IOPS, "blkio.throttle.write_iops_device", io.throttle_write_iops_device()),
    ] {
        for device in devices.as_deref().unwrap_or_default() {
            let number = device_number(field, device.major(), device.minor())?;
            out.add(field, file, format!("{number} {}", device.rate()))?;
        }
    }
    Ok(())
}

/// A weight between 10 and 1000; 0 is not set.
pub(super) fn weight(field: &str, name: &str, value: Option<u16>) -> Result<Option<u16>> {
    match value {
        None | Some(0) => Ok(None),
        Some(10..=1000) => Ok(value),
        Some(value) => Err(out_of_range(
            &format!("{field}.{name}"),
            format!("{value} is not between 10 and 1000"),
        )),
    }
}

/// `major:minor`.
pub(super) fn device_number(field: &str, major: i64, minor: i64) -> Result<String> {
    match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) => Ok(format!("{major}:{minor}")),
        _ => Err(out_of_range(field, format!("{major}:{minor} is no device number"))),
    }
}

fn hugetlb(limits: &[LinuxHugepageLimit], out: &mut Words<'_>) -> Result<()> {
    const FIELD: &str = "linux.resources.hugepageLimits";
    for limit in limits {
        let size = page_size(limit)?;
        let value = hugetlb_value(limit)?;
        out.add(FIELD, format!("hugetlb.{size}.limit_in_bytes"), value)?;
        // Reservations are accounted since Linux 5.7 (as runc: where they are, both are limited).
        out.add(FIELD, format!("hugetlb.{size}.rsvd.limit_in_bytes"), value)?.skip_if_missing();
    }
    Ok(())
}

/// `64KB`, `2MB`, `1GB`: it becomes part of a file name.
pub(super) fn page_size(limit: &LinuxHugepageLimit) -> Result<&str> {
    let size = limit.page_size().as_str();
    let digits = size.trim_end_matches("KB").trim_end_matches("MB").trim_end_matches("GB");
    let good = size.len() == digits.len() + 2
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit());
    if good {
        return Ok(size);
    }
    Err(out_of_range(
        "linux.resources.hugepageLimits",
        format!("page size {size:?} is not a number with KB, MB or GB"),
    ))
}

/// oci-spec reads an unsigned number as a signed one.
pub(super) fn hugetlb_value(limit: &LinuxHugepageLimit) -> Result<u64> {
    u64::try_from(limit.limit()).map_err(|_| {
        out_of_range(
            "linux.resources.hugepageLimits",
            format!("limit {} is not a number of bytes", limit.limit()),
        )
    })
}

fn network(network: &LinuxNetwork, out: &mut Words<'_>) -> Result<()> {
    if let Some(class) = network.class_id().filter(|c| *c != 0) {
        out.add("linux.resources.network.classID", "net_cls.classid", class)?;
    }
    for priority in network.priorities().as_deref().unwrap_or_default() {
        let value = format!("{} {}", priority.name(), priority.priority());
        out.add("linux.resources.network.priorities", "net_prio.ifpriomap", value)?;
    }
    Ok(())
}

/// The same file on both versions, by device name so that plans compare.
pub(super) fn rdma(resources: &LinuxResources, out: &mut Words<'_>) -> Result<()> {
    const FIELD: &str = "linux.resources.rdma";
    let mut devices: Vec<_> = resources.rdma().iter().flatten().collect();
    devices.sort_unstable_by_key(|(device, _)| device.as_str());
    for (device, limits) in devices {
        let handles = limits.hca_handles().map(|n| format!(" hca_handle={n}"));
        let objects = limits.hca_objects().map(|n| format!(" hca_object={n}"));
        if handles.is_none() && objects.is_none() {
            return Err(out_of_range(
                &format!("{FIELD} {device:?}"),
                "at least one of hcaHandles and hcaObjects must be set",
            ));
        }
        let value =
            format!("{device}{}{}", handles.unwrap_or_default(), objects.unwrap_or_default());
        out.add(FIELD, "rdma.max", value)?;
    }
    Ok(())
}
