//! The few forms in which cgroup files tell numbers.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::{Psi, PsiData, RdmaEntry};
use crate::cgroup::fs::{Dir, is_gone};

/// One number; `max` is the largest there is, and what is below zero is none (as in runc).
pub(super) fn number(dir: &Dir, file: &str) -> io::Result<u64> {
    let text = dir.read(file)?;
    value(text.trim()).ok_or_else(|| malformed(file, text.trim()))
}

/// [`number`], 0 where this kernel has no such file.
pub(super) fn number_or_zero(dir: &Dir, file: &str) -> io::Result<u64> {
    missing_as(number(dir, file), 0)
}

/// What a missing file is read as; every other error stays.
pub(super) fn missing_as<T>(read: io::Result<T>, value: T) -> io::Result<T> {
    match read {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(value),
        read => read,
    }
}

fn value(text: &str) -> Option<u64> {
    match text {
        "max" => Some(u64::MAX),
        negative if negative.starts_with('-') => negative.parse::<i64>().ok().map(|_| 0),
        number => number.parse().ok(),
    }
}

/// Lines of `key value`.
pub(super) fn table(dir: &Dir, file: &str) -> io::Result<BTreeMap<String, u64>> {
    let text = dir.read(file)?;
    let entry = |line: &str| {
        let (key, number) = line.split_once(' ')?;
        Some((key.to_owned(), value(number.trim())?))
    };
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let (key, number) = entry(line).ok_or_else(|| malformed(file, line))?;
        all.insert(key, number);
    }
    Ok(all)
}

/// Numbers with blanks between.
pub(super) fn numbers(dir: &Dir, file: &str) -> io::Result<Vec<u64>> {
    let text = dir.read(file)?;
    let all = text.split_whitespace();
    all.map(|one| one.parse().map_err(|_| malformed(file, one))).collect()
}

/// A list such as `0-3,7`.
pub(super) fn list(file: &str, text: &str) -> io::Result<Vec<u16>> {
    let mut all = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let range = from.parse::<u16>().ok().zip(to.parse::<u16>().ok());
        let (from, to) = range.filter(|(a, b)| a <= b).ok_or_else(|| malformed(file, text))?;
        all.extend(from..=to);
    }
    Ok(all)
}

/// `*.pressure`; `None` where the kernel has none, or keeps none for this cgroup.
pub(super) fn psi(dir: &Dir, file: &str) -> io::Result<Option<Psi>> {
    let text = match dir.read(file) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP)) => {
            return Ok(None);
        }
        read => read?,
    };
    let mut psi = Psi::default();
    for line in text.lines() {
        let to = match line.split(' ').next() {
            Some("some") => &mut psi.some,
            Some("full") => &mut psi.full,
            _ => continue,
        };
        *to = psi_line(line).ok_or_else(|| malformed(file, line))?;
    }
    Ok(Some(psi))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
fn psi_line(line: &str) -> Option<PsiData> {
    let value =
        |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let share = |key: &str| value(key)?.parse().ok();
    let (avg10, avg60, avg300) = (share("avg10")?, share("avg60")?, share("avg300")?);
    Some(PsiData { avg10, avg60, avg300, total: value("total")?.parse().ok()? })
}

/// `rdma.max` or `rdma.current`: `mlx5_0 hca_handle=2 hca_object=max`.
pub(super) fn rdma(dir: &Dir, file: &str) -> io::Result<Vec<RdmaEntry>> {
    let text = missing_as(dir.read(file), String::new())?;
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let mut entry = RdmaEntry { device: words.next()?.to_owned(), ..RdmaEntry::default() };
        for word in words {
            let (key, number) = word.split_once('=')?;
            let number = if number == "max" { u32::MAX } else { number.parse().ok()? };
            match key {
                "hca_handle" => entry.hca_handles = number,
                "hca_object" => entry.hca_objects = number,
                _ => {}
            }
        }
        Some(entry)
    };
    text.lines().map(|line| entry(line).ok_or_else(|| malformed(file, line))).collect()
}

/// Sizes of huge pages that this kernel has, as cgroup files name them: `2MB`, `1GB`.
pub(super) fn page_sizes() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| page_size(&name)).collect()
}

/// `hugepages-2048kB` as `2MB`.
fn page_size(name: &str) -> Option<String> {
    let kilobytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    Some(match kilobytes {
        1_048_576.. => format!("{}GB", kilobytes >> 20),
        1024.. => format!("{}MB", kilobytes >> 10),
        _ => format!("{kilobytes}KB"),
    })
}

/// Says which file was not understood.
pub(super) fn malformed(file: &str, text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unable to parse {file}: {text:?}"))
}

/// The directory of a container's controller; `None` when it has none.
pub(super) fn opened(found: io::Result<Option<Dir>>) -> io::Result<Option<Dir>> {
    match found {
        Err(e) if is_gone(&e) => Ok(None),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lists_and_sizes() {
        assert_eq!(value("max"), Some(u64::MAX));
        assert_eq!(
            (value("-1"), value("7"), value("x"), value("-x")),
            (Some(0), Some(7), None, None)
        );
        assert_eq!(list("f", "0-2,7\n").unwrap(), [0, 1, 2, 7]);
        assert_eq!(list("f", "\n").unwrap(), [0_u16; 0]);
        for bad in ["a", "3-1", "1-", "70000"] {
            assert!(list("f", bad).unwrap_err().to_string().contains("unable to parse f"), "{bad}");
        }
        assert_eq!(page_size("hugepages-2048kB").as_deref(), Some("2MB"));
        assert_eq!(page_size("hugepages-1048576kB").as_deref(), Some("1GB"));
        assert_eq!(page_size("hugepages-64kB").as_deref(), Some("64KB"));
        assert_eq!(page_size("hugepages-x"), None);
    }
}
