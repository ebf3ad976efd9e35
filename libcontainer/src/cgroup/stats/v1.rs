//! Statistics of the v1 controllers (kernel: Documentation/admin-guide/cgroup-v1/).

use std::io;

use super::parse::{
    list, malformed, missing_as, number, number_or_zero, numbers, opened, page_sizes, rdma, table,
};
use super::{
    Blkio, BlkioEntry, CpuUsage, Cpuset, Hugetlb, Memory, MemoryEntry, Pids, Stats, Throttling,
};
use crate::cgroup::fs::Dir;
use crate::plan::cgroup::DirPlan;

/// Nanoseconds of a clock tick: `USER_HZ` is 100 on every architecture of ours.
const TICK: u64 = 10_000_000;

/// Every controller that has a directory.
///
/// # Errors
/// A file that every kernel has is missing, or says something else than a number.
pub(super) fn read(dirs: &[DirPlan]) -> io::Result<Stats> {
    let mut stats = Stats::default();
    for plan in dirs.iter().filter(|plan| !plan.is_v2()) {
        let Some(dir) = opened(Dir::find(plan))? else { continue };
        for controller in &plan.controllers {
            add(&dir, controller, &mut stats)?;
        }
    }
    Ok(stats)
}

/// The numbers of one controller.
pub(super) fn add(dir: &Dir, controller: &str, stats: &mut Stats) -> io::Result<()> {
    match controller {
        "cpu" => stats.cpu.throttling = throttling(dir)?,
        "cpuacct" => stats.cpu.usage = cpu(dir)?,
        "cpuset" => stats.cpuset = cpuset(dir)?,
        "memory" => stats.memory = memory(dir)?,
        "pids" => stats.pids = pids(dir)?,
        "blkio" => stats.blkio = blkio(dir)?,
        "hugetlb" => hugetlb(dir, stats)?,
        "rdma" => {
            stats.rdma.limit = rdma(dir, "rdma.max")?;
            stats.rdma.current = rdma(dir, "rdma.current")?;
        }
        _ => {}
    }
    Ok(())
}

fn throttling(dir: &Dir) -> io::Result<Throttling> {
    let stat = missing_as(table(dir, "cpu.stat"), std::collections::BTreeMap::new())?;
    let get = |key: &str| stat.get(key).copied().unwrap_or_default();
    Ok(Throttling {
        periods: get("nr_periods"),
        throttled_periods: get("nr_throttled"),
        throttled_time: get("throttled_time"),
    })
}

fn cpu(dir: &Dir) -> io::Result<CpuUsage> {
    let stat = table(dir, "cpuacct.stat")?;
    let ticks = |key: &str| stat.get(key).map_or(0, |ticks| ticks.saturating_mul(TICK));
    let (mut percpu_user, mut percpu_kernel) = (Vec::new(), Vec::new());
    let all = missing_as(dir.read("cpuacct.usage_all"), String::new())?;
    // Below the title: processor, user, system.
    for line in all.lines().skip(1) {
        let mut columns = line.split_whitespace().skip(1).map(str::parse);
        match (columns.next(), columns.next()) {
            (Some(Ok(user)), Some(Ok(kernel))) => {
                percpu_user.push(user);
                percpu_kernel.push(kernel);
            }
            _ => return Err(malformed("cpuacct.usage_all", line)),
        }
    }
    Ok(CpuUsage {
        total: number(dir, "cpuacct.usage")?,
        percpu: numbers(dir, "cpuacct.usage_percpu")?,
        percpu_kernel,
        percpu_user,
        kernel: ticks("system"),
        user: ticks("user"),
    })
}

/// A hierarchy mounted with `noprefix` calls its files without the first word.
fn cpuset(dir: &Dir) -> io::Result<Cpuset> {
    let read = |name: &str| match dir.read(&format!("cpuset.{name}")) {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
            missing_as(dir.read(name), String::new())
        }
        read => read,
    };
    let flag = |name: &str| {
        let text = read(name)?;
        if text.is_empty() {
            Ok(0)
        } else {
            text.trim().parse().map_err(|_| malformed(name, &text))
        }
    };
    let level = read("sched_relax_domain_level")?;
    Ok(Cpuset {
        cpus: list("cpuset.cpus", &read("cpus")?)?,
        cpu_exclusive: flag("cpu_exclusive")?,
        mems: list("cpuset.mems", &read("mems")?)?,
        mem_hardwall: flag("mem_hardwall")?,
        mem_exclusive: flag("mem_exclusive")?,
        memory_migrate: flag("memory_migrate")?,
        memory_spread_page: flag("memory_spread_page")?,
        memory_spread_slab: flag("memory_spread_slab")?,
        memory_pressure: flag("memory_pressure")?,
        sched_load_balance: flag("sched_load_balance")?,
        sched_relax_domain_level: level.trim().parse().unwrap_or_default(),
    })
}

fn memory(dir: &Dir) -> io::Result<Memory> {
    let raw = table(dir, "memory.stat")?;
    let cache = raw.get("cache").copied().unwrap_or_default();
    Ok(Memory {
        cache,
        usage: memory_entry(dir, "memory")?,
        swap: missing_as(memory_entry(dir, "memory.memsw"), MemoryEntry::default())?,
        kernel: missing_as(memory_entry(dir, "memory.kmem"), MemoryEntry::default())?,
        kernel_tcp: missing_as(memory_entry(dir, "memory.kmem.tcp"), MemoryEntry::default())?,
        raw,
        ..Memory::default()
    })
}

fn memory_entry(dir: &Dir, name: &str) -> io::Result<MemoryEntry> {
    Ok(MemoryEntry {
        usage: number(dir, &format!("{name}.usage_in_bytes"))?,
        max: number(dir, &format!("{name}.max_usage_in_bytes"))?,
        failcnt: number(dir, &format!("{name}.failcnt"))?,
        // That of the kernel's memory went away in Linux 6.1.
        limit: number_or_zero(dir, &format!("{name}.limit_in_bytes"))?,
    })
}

fn pids(dir: &Dir) -> io::Result<Pids> {
    let limit = number(dir, "pids.max")?;
    let limit = if limit == u64::MAX { 0 } else { limit };
    Ok(Pids { current: number(dir, "pids.current")?, limit })
}

fn hugetlb(dir: &Dir, stats: &mut Stats) -> io::Result<()> {
    for size in page_sizes() {
        let of = |name: &str| {
            Ok::<_, io::Error>(Hugetlb {
                usage: number(dir, &format!("{name}.usage_in_bytes"))?,
                max: number(dir, &format!("{name}.max_usage_in_bytes"))?,
                failcnt: number(dir, &format!("{name}.failcnt"))?,
            })
        };
        // Reservations are what fails, where they are accounted (Linux 5.7).
        let read = match of(&format!("hugetlb.{size}.rsvd")) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => of(&format!("hugetlb.{size}")),
            read => read,
        };
        stats.hugetlb.insert(size, read?);
    }
    Ok(())
}

/// Files of the BFQ scheduler, of CFQ before Linux 5.0, and those that every kernel has; the
/// first group whose first file has numbers is the one that counts.
fn blkio(dir: &Dir) -> io::Result<Blkio> {
    const ALL: &[&str] = &[
        "sectors",
        "io_service_time",
        "io_wait_time",
        "io_merged",
        "io_queued",
        "time",
        "io_serviced",
        "io_service_bytes",
    ];
    const TWO: &[&str] = &["io_serviced", "io_service_bytes"];
    for (prefix, suffix, names) in [
        ("blkio.bfq", "_recursive", ALL),
        ("blkio.bfq", "_recursive", TWO),
        ("blkio", "_recursive", ALL),
        ("blkio.throttle", "_recursive", TWO),
        ("blkio.throttle", "", TWO),
    ] {
        let mut blkio = Blkio::default();
        for (at, name) in names.iter().enumerate() {
            let entries = blkio_entries(dir, &format!("{prefix}.{name}{suffix}"))?;
            match (entries.is_empty(), at) {
                (true, 0) => break,
                (true, _) => return Ok(blkio),
                (false, _) => *table_of(&mut blkio, name) = entries,
            }
        }
        if blkio != Blkio::default() {
            return Ok(blkio);
        }
    }
    Ok(Blkio::default())
}

fn table_of<'a>(blkio: &'a mut Blkio, name: &str) -> &'a mut Vec<BlkioEntry> {
    match name {
        "sectors" => &mut blkio.sectors_recursive,
        "io_service_time" => &mut blkio.io_service_time_recursive,
        "io_wait_time" => &mut blkio.io_wait_time_recursive,
        "io_merged" => &mut blkio.io_merged_recursive,
        "io_queued" => &mut blkio.io_queued_recursive,
        "time" => &mut blkio.io_time_recursive,
        "io_serviced" => &mut blkio.io_serviced_recursive,
        _ => &mut blkio.io_service_bytes_recursive,
    }
}

fn blkio_entries(dir: &Dir, file: &str) -> io::Result<Vec<BlkioEntry>> {
    let text = missing_as(dir.read(file), String::new())?;
    let lines = text.lines().filter(|line| !line.starts_with("Total "));
    lines.map(|line| blkio_entry(line).ok_or_else(|| malformed(file, line))).collect()
}

/// `8:0 Read 1282048` or `8:0 6792`.
fn blkio_entry(line: &str) -> Option<BlkioEntry> {
    let words: Vec<_> = line.split_whitespace().collect();
    let (device, op, value) = match words.as_slice() {
        [device, value] => (device, "", value),
        [device, op, value] => (device, *op, value),
        _ => return None,
    };
    let (major, minor) = device.split_once(':')?;
    Some(BlkioEntry {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        op: op.to_owned(),
        value: value.parse().ok()?,
    })
}
