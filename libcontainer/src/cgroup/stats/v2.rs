//! Statistics of the v2 controllers (kernel: Documentation/admin-guide/cgroup-v2.rst), under the
//! names of v1 as runc gives them.

use std::collections::BTreeMap;
use std::io;

use super::parse::{
    malformed, missing_as, number, number_or_zero, opened, page_sizes, psi, rdma, table,
};
use super::{
    Blkio, BlkioEntry, Cpu, CpuUsage, Hugetlb, Memory, MemoryEntry, Misc, Pids, Stats, Throttling,
};
use crate::cgroup::fs::Dir;
use crate::plan::cgroup::DirPlan;

/// Every controller that the directory has.
///
/// # Errors
/// `ENOENT` when the cgroup is gone; a file that says something else than a number.
pub(super) fn read(dirs: &[DirPlan]) -> io::Result<Stats> {
    let found = dirs.first().map(Dir::find).transpose()?.flatten();
    let Some(dir) = opened(Ok(found))? else {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    };
    of(&dir)
}

/// The statistics of an open directory.
pub(super) fn of(dir: &Dir) -> io::Result<Stats> {
    let mut stats = Stats {
        cpu: cpu(dir)?,
        memory: memory(dir)?,
        pids: pids(dir)?,
        blkio: io_stat(dir)?,
        misc: misc(dir)?,
        ..Stats::default()
    };
    hugetlb(dir, &mut stats.hugetlb)?;
    stats.rdma.limit = rdma(dir, "rdma.max")?;
    stats.rdma.current = rdma(dir, "rdma.current")?;
    Ok(stats)
}

/// `cpu.stat` is there without the controller too.
fn cpu(dir: &Dir) -> io::Result<Cpu> {
    let stat = missing_as(table(dir, "cpu.stat"), BTreeMap::new())?;
    let get = |key: &str| stat.get(key).copied().unwrap_or_default();
    let nanoseconds = |key: &str| get(key).saturating_mul(1000);
    Ok(Cpu {
        usage: CpuUsage {
            total: nanoseconds("usage_usec"),
            user: nanoseconds("user_usec"),
            kernel: nanoseconds("system_usec"),
            ..CpuUsage::default()
        },
        throttling: Throttling {
            periods: get("nr_periods"),
            throttled_periods: get("nr_throttled"),
            throttled_time: nanoseconds("throttled_usec"),
        },
        psi: psi(dir, "cpu.pressure")?,
    })
}

fn memory(dir: &Dir) -> io::Result<Memory> {
    let psi = psi(dir, "memory.pressure")?;
    // Without the controller there is no file of it.
    let raw = missing_as(table(dir, "memory.stat"), BTreeMap::new())?;
    if raw.is_empty() {
        return Ok(Memory { psi, ..Memory::default() });
    }
    let usage = memory_entry(dir, "memory")?;
    let mut swap = missing_as(memory_entry(dir, "memory.swap"), MemoryEntry::default())?;
    // v1 counts memory and swap together; their peaks cannot be added.
    swap.usage = swap.usage.saturating_add(usage.usage);
    swap.limit = swap.limit.saturating_add(usage.limit);
    swap.max = 0;
    Ok(Memory {
        cache: raw.get("file").copied().unwrap_or_default(),
        usage,
        swap,
        raw,
        psi,
        events: missing_as(table(dir, "memory.events"), BTreeMap::new())?,
        ..Memory::default()
    })
}

fn memory_entry(dir: &Dir, name: &str) -> io::Result<MemoryEntry> {
    Ok(MemoryEntry {
        usage: number(dir, &format!("{name}.current"))?,
        limit: number(dir, &format!("{name}.max"))?,
        // Linux 5.19, that of swap 6.5.
        max: number_or_zero(dir, &format!("{name}.peak"))?,
        failcnt: 0,
    })
}

fn pids(dir: &Dir) -> io::Result<Pids> {
    let current = match number(dir, "pids.current") {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
            // Without the controller the processes are counted.
            let count = u64::try_from(dir.processes()?.len()).unwrap_or(u64::MAX);
            return Ok(Pids { current: count, limit: 0 });
        }
        read => read?,
    };
    let limit = number(dir, "pids.max")?;
    Ok(Pids { current, limit: if limit == u64::MAX { 0 } else { limit } })
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.
fn io_stat(dir: &Dir) -> io::Result<Blkio> {
    let mut blkio = Blkio { psi: psi(dir, "io.pressure")?, ..Blkio::default() };
    let text = missing_as(dir.read("io.stat"), String::new())?;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let device = words.next().and_then(|word| word.split_once(':'));
        // Some lines have a name instead, or nothing behind it.
        let Some((major, minor)) = device else { continue };
        let numbers = major.parse().ok().zip(minor.parse().ok());
        let (major, minor) = numbers.ok_or_else(|| malformed("io.stat", line))?;
        for (key, number) in words.filter_map(|word| word.split_once('=')) {
            let (to, op) = match key {
                "rbytes" => (&mut blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut blkio.io_service_bytes_recursive, "Write"),
                "rios" => (&mut blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut blkio.io_serviced_recursive, "Write"),
                _ => continue,
            };
            let value = number.parse().map_err(|_| malformed("io.stat", line))?;
            to.push(BlkioEntry { major, minor, op: op.to_owned(), value });
        }
    }
    Ok(blkio)
}

fn hugetlb(dir: &Dir, stats: &mut BTreeMap<String, Hugetlb>) -> io::Result<()> {
    for size in page_sizes() {
        let name = format!("hugetlb.{size}");
        // Reservations are what fails, where they are accounted (Linux 5.7).
        let usage = match number(dir, &format!("{name}.rsvd.current")) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
                number(dir, &format!("{name}.current"))
            }
            read => read,
        };
        let usage = match usage {
            // Without the controller.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
            read => read?,
        };
        let events = missing_as(table(dir, &format!("{name}.events")), BTreeMap::new())?;
        let failcnt = events.get("max").copied().unwrap_or_default();
        stats.insert(size, Hugetlb { usage, max: 0, failcnt });
    }
    Ok(())
}

fn misc(dir: &Dir) -> io::Result<BTreeMap<String, Misc>> {
    let mut all: BTreeMap<String, Misc> = BTreeMap::new();
    for (key, usage) in missing_as(table(dir, "misc.current"), BTreeMap::new())? {
        all.entry(key).or_default().usage = usage;
    }
    for (key, events) in missing_as(table(dir, "misc.events"), BTreeMap::new())? {
        let key = key.strip_suffix(".max").unwrap_or(&key).to_owned();
        all.entry(key).or_default().events = events;
    }
    Ok(all)
}
