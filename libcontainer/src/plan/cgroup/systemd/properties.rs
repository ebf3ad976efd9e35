//! The words of the cgroup files as properties of a unit: what systemd can say of them
//! (systemd.resource-control(5), org.freedesktop.systemd1(5)).
//!
//! One row of a table per file. A word that is in no row, or has a value that systemd does not
//! take, has no property: the kernel hears it all the same.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::value::Value;
use crate::plan::cgroup::devices::{DeviceList, Exception, Kind};
use crate::plan::cgroup::{Missing, Write};

/// `CollectMode=` came with systemd 236.
pub(super) const COLLECT_MODE: u32 = 236;
/// Devices by number without a node, and `char-5`: systemd 240.
const DEVICE_NUMBERS: u32 = 240;
const QUOTA_PERIOD: u32 = 242;
const CPUSETS: u32 = 244;
/// `CPUWeight=idle`.
const CPU_IDLE: u32 = 252;
const ZSWAP: u32 = 253;
/// `OOMPolicy=` of scopes.
const OOM_POLICY: u32 = 253;
/// systemd keeps a quota in hundredths of a processor: a finer one is rounded up.
const PERCENT_USEC: u64 = 10_000;
const DEFAULT_PERIOD: u64 = 100_000;

/// A property and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name on the bus.
    pub name: Cow<'static, str>,
    /// What it is set to.
    pub value: Value,
}

impl Property {
    /// `name` set to `value`.
    pub fn new(name: impl Into<Cow<'static, str>>, value: Value) -> Self {
        Self { name: name.into(), value }
    }
}

/// `MemoryMax=uint64 1024`
impl Serialize for Property {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}={}", self.name, self.value))
    }
}

/// What the value of a file means to systemd, and since which version.
enum Means {
    /// A number, or `max` for no limit.
    Limit(u32),
    /// A number.
    Number,
    /// A list of processors or memory nodes.
    Bits(u32),
}

/// The files of v2 whose words are one property.
const UNIFIED: &[(&str, &str, Means)] = &[
    ("memory.min", "MemoryMin", Means::Limit(240)),
    ("memory.low", "MemoryLow", Means::Limit(0)),
    ("memory.high", "MemoryHigh", Means::Limit(0)),
    ("memory.max", "MemoryMax", Means::Limit(0)),
    ("memory.swap.max", "MemorySwapMax", Means::Limit(0)),
    ("memory.zswap.max", "MemoryZSwapMax", Means::Limit(ZSWAP)),
    ("pids.max", "TasksMax", Means::Limit(0)),
    ("cpuset.cpus", "AllowedCPUs", Means::Bits(CPUSETS)),
    ("cpuset.mems", "AllowedMemoryNodes", Means::Bits(CPUSETS)),
];

/// Those of v1.
const LEGACY: &[(&str, &str, Means)] = &[
    ("memory.limit_in_bytes", "MemoryLimit", Means::Limit(0)),
    ("pids.max", "TasksMax", Means::Limit(0)),
    ("cpu.shares", "CPUShares", Means::Number),
    ("blkio.weight", "BlockIOWeight", Means::Number),
];

/// The properties that say what `words` say; the later of two words about one thing holds, as in
/// the files.
pub fn of(words: &[Write], unified: bool, version: u32) -> Vec<Property> {
    let table = if unified { UNIFIED } else { LEGACY };
    let mut all = Vec::new();
    for word in words {
        let Some((_, name, means)) = table.iter().find(|(file, ..)| *file == word.file) else {
            continue;
        };
        let value = match means {
            Means::Limit(since) if version >= *since => limit(&word.value).map(Value::U64),
            Means::Number => number(&word.value).map(Value::U64),
            Means::Bits(since) if version >= *since => bits(&word.value),
            Means::Limit(_) | Means::Bits(_) => None,
        };
        if let Some(value) = value {
            set(&mut all, name, value);
        }
    }
    if unified {
        weight(words, version, &mut all);
        io(words, &mut all);
    }
    quota(words, version, &mut all);
    all
}

/// Properties that a unit takes only when it begins.
pub(super) fn at_start(words: &[Write], version: u32) -> Option<Property> {
    let word = words.iter().rfind(|word| word.file == "memory.oom.group")?;
    let policy = match word.value.trim() {
        "0" => "continue",
        "1" => "kill",
        _ => return None,
    };
    (version >= OOM_POLICY).then(|| Property::new("OOMPolicy", Value::text(policy)))
}

/// What systemd may know of the device rules: the same or more, never less. Our own program stays
/// beside systemd's, and both must allow; v1 has one list for both, so nothing wider is told there.
pub(super) fn devices(list: &DeviceList, unified: bool, version: u32) -> Vec<Property> {
    // systemd knows no deny rules: then it stays out of it.
    let policy = if list.default_allow { "auto" } else { "strict" };
    let mut all = vec![
        // An empty list takes away what a unit file of the slice's kind may have added.
        Property::new("DeviceAllow", Value::pairs([])),
        Property::new("DevicePolicy", Value::text(policy)),
    ];
    if !list.default_allow {
        let allow = list.exceptions.iter().filter_map(|e| device(e, unified, version));
        all.push(Property::new("DeviceAllow", Value::pairs(allow)));
    }
    all
}

fn device(exception: &Exception, unified: bool, version: u32) -> Option<(String, String)> {
    let kind = match exception.kind {
        Kind::Char => "char",
        Kind::Block => "block",
    };
    let path = match (exception.major, exception.minor) {
        (Some(major), Some(minor)) if version >= DEVICE_NUMBERS || !unified => {
            format!("/dev/{kind}/{major}:{minor}")
        }
        (Some(major), None) if version >= DEVICE_NUMBERS => format!("{kind}-{major}"),
        (None, None) => format!("{kind}-*"),
        _ if unified => format!("{kind}-*"),
        _ => return None,
    };
    Some((path, exception.access.to_string()))
}

/// Seconds as microseconds, of any number.
pub(super) fn microseconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::Byte(n) => u64::from(*n),
        Value::U16(n) => u64::from(*n),
        Value::U32(n) => u64::from(*n),
        Value::U64(n) => *n,
        Value::I16(n) => u64::try_from(*n).ok()?,
        Value::I32(n) => u64::try_from(*n).ok()?,
        Value::I64(n) => u64::try_from(*n).ok()?,
        Value::Double(bits) => {
            let microseconds = f64::from_bits(*bits) * 1e6;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be in range"
            )]
            let whole = (0.0..1e18).contains(&microseconds).then_some(microseconds as u64);
            return whole;
        }
        _ => return None,
    };
    seconds.checked_mul(1_000_000)
}

fn set(all: &mut Vec<Property>, name: &'static str, value: Value) {
    all.retain(|property| property.name != name);
    all.push(Property::new(name, value));
}

/// A number as the kernel reads sizes: `1024`, `1K`.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The same; `max` and -1 are systemd's infinity.
fn limit(text: &str) -> Option<u64> {
    if ["max", "-1"].contains(&text.trim()) { Some(u64::MAX) } else { number(text) }
}

/// A list of numbers, `0-2,4`, as a mask of bytes.
fn bits(text: &str) -> Option<Value> {
    let mut mask: Vec<u8> = Vec::new();
    for range in text.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        // The kernel has at most 8192 processors.
        if first > last || last >= 8192 {
            return None;
        }
        mask.resize(mask.len().max(last / 8 + 1), 0);
        for at in first..=last {
            mask[at / 8] |= 1 << (at % 8);
        }
    }
    (!mask.is_empty()).then(|| Value::bytes(&mask))
}

fn last<'a>(words: &'a [Write], file: &str) -> Option<&'a str> {
    words.iter().rfind(|word| word.file == file).map(|word| word.value.trim())
}

/// `cpu.idle` is a weight of 0 to systemd, and an idle group has no other.
fn weight(words: &[Write], version: u32, all: &mut Vec<Property>) {
    let idle = last(words, "cpu.idle") == Some("1") && version >= CPU_IDLE;
    let weight = if idle { Some(0) } else { last(words, "cpu.weight").and_then(number) };
    if let Some(weight) = weight {
        set(all, "CPUWeight", Value::U64(weight));
    }
}

/// Quota and period: `cpu.max` on v2, two files on v1.
fn quota(words: &[Write], version: u32, all: &mut Vec<Property>) {
    let (quota, period) = match last(words, "cpu.max") {
        Some(both) => {
            let mut parts = both.split_whitespace();
            (parts.next(), parts.next())
        }
        None => (last(words, "cpu.cfs_quota_us"), last(words, "cpu.cfs_period_us")),
    };
    let period = period.and_then(number);
    let quota = quota.map_or_else(|| period.map(|_| u64::MAX), limit);
    let (Some(quota), Some(used @ 1..)) = (quota, period.or(Some(DEFAULT_PERIOD))) else { return };
    if let (Some(period), true) = (period, version >= QUOTA_PERIOD) {
        set(all, "CPUQuotaPeriodUSec", Value::U64(period));
    }
    let value = match quota {
        u64::MAX => u64::MAX,
        _ => per_second(quota, used),
    };
    set(all, "CPUQuotaPerSecUSec", Value::U64(value));
}

/// Rounds a quota in the words up to what systemd can keep, as runc does: what is written would
/// otherwise change when systemd writes its own value.
pub fn round_quota(words: &mut [Write]) {
    let v1_period = last(words, "cpu.cfs_period_us").and_then(number).unwrap_or(DEFAULT_PERIOD);
    for word in words {
        let rounded = |quota: u64, period: u64| match period {
            0 => quota,
            _ => u64::try_from(
                u128::from(per_second(quota, period)) * u128::from(period) / 1_000_000,
            )
            .unwrap_or(quota),
        };
        match &*word.file {
            "cpu.max" => {
                let mut parts = word.value.split_whitespace();
                let quota = parts.next().and_then(number);
                let period = parts.next().map_or(Some(DEFAULT_PERIOD), number);
                if let (Some(quota), Some(period)) = (quota, period) {
                    word.value = format!("{} {period}", rounded(quota, period));
                }
            }
            "cpu.cfs_quota_us" => {
                if let Some(quota) = number(&word.value) {
                    word.value = rounded(quota, v1_period).to_string();
                }
            }
            _ => {}
        }
    }
}

/// Microseconds of processor time in a second, in steps of a hundredth of a processor.
fn per_second(quota: u64, period: u64) -> u64 {
    let exact = u128::from(quota) * 1_000_000 / u128::from(period);
    let exact = u64::try_from(exact).unwrap_or(u64::MAX);
    exact.div_ceil(PERCENT_USEC).saturating_mul(PERCENT_USEC)
}

/// Weights and limits of devices. systemd wants `io.weight`'s scale and makes that of BFQ from it.
fn io(words: &[Write], all: &mut Vec<Property>) {
    let mut lists: [(&str, &str, Vec<Value>); 5] = [
        ("rbps", "IOReadBandwidthMax", vec![]),
        ("wbps", "IOWriteBandwidthMax", vec![]),
        ("riops", "IOReadIOPSMax", vec![]),
        ("wiops", "IOWriteIOPSMax", vec![]),
        ("weight", "IODeviceWeight", vec![]),
    ];
    let mut add = |device: &str, key: &str, value: Option<u64>| {
        let list = lists.iter_mut().find(|(name, ..)| *name == key);
        if let (Some((.., list)), Some(value)) = (list, value) {
            let path = Value::text(format!("/dev/block/{device}"));
            list.push(Value::Struct(vec![path, Value::U64(value)]));
        }
    };
    for word in words {
        let (file, value) = match &word.missing {
            Missing::Instead { file, value } => (*file, value),
            _ => (&*word.file, &word.value),
        };
        for line in value.lines() {
            let mut parts = line.split_whitespace();
            let first = parts.next().unwrap_or_default();
            match file {
                "io.max" => {
                    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                        add(first, key, limit(value));
                    }
                }
                "io.weight" if first.contains(':') => {
                    add(first, "weight", parts.next().and_then(number));
                }
                "io.weight" => {
                    let weight = if first == "default" { parts.next() } else { Some(first) };
                    if let Some(weight) = weight.and_then(number) {
                        set(all, "IOWeight", Value::U64(weight));
                    }
                }
                _ => {}
            }
        }
    }
    for (_, name, list) in lists.into_iter().filter(|(.., list)| !list.is_empty()) {
        set(all, name, Value::Array("(st)".into(), list));
    }
}
