//! Limits: flags to `linux.resources`. Shared by `run` and `update`.

use serde_json::{Map, Value, json};

use super::units::{bytes, bytes_or_unlimited, nano_cpus};
use crate::container::flags::{Devices, Limits};
use crate::error::{Error, Result};

/// The number of a block device by its path; looked up by the caller, so that this stays pure.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<(u32, u32)>;

/// What `update` and `run` share.
///
/// # Errors
/// A flag that is no number, out of range, or at odds with another one.
pub fn limits(flags: &Limits) -> Result<Map<String, Value>> {
    let mut out = Map::new();
    put(&mut out, "memory", memory(flags)?);
    put(&mut out, "cpu", cpu(flags)?);
    if let Some(limit) = flags.pids_limit {
        // Docker takes 0 and -1 for "no limit".
        out.insert("pids".into(), json!({ "limit": if limit <= 0 { -1 } else { limit } }));
    }
    if let Some(weight) = flags.blkio_weight.filter(|weight| *weight != 0) {
        if !(10..=1000).contains(&weight) {
            return Err(Error::new("invalid argument for --blkio-weight")
                .why(format!("{weight} is not between 10 and 1000")));
        }
        out.insert("blockIO".into(), json!({ "weight": weight }));
    }
    Ok(out)
}

fn put(out: &mut Map<String, Value>, name: &str, value: Map<String, Value>) {
    if !value.is_empty() {
        out.insert(name.into(), Value::Object(value));
    }
}

/// The least memory that Docker accepts.
const LEAST: i64 = 6 << 20;

fn memory(flags: &Limits) -> Result<Map<String, Value>> {
    let size = |flag: &str, text: &Option<String>| {
        text.as_deref().map(|text| bytes(flag, text)).transpose()
    };
    let mut out = Map::new();
    let limit = size("memory", &flags.memory)?.filter(|limit| *limit != 0);
    if let Some(limit) = limit {
        if limit < LEAST {
            return Err(Error::new("invalid argument for --memory")
                .why("a container needs 6 MB at least")
                .fix("write --memory 6m or more"));
        }
        out.insert("limit".into(), limit.into());
    }
    let swap = flags.memory_swap.as_deref().map(|text| bytes_or_unlimited("memory-swap", text));
    let swap = swap.transpose()?.filter(|swap| *swap != 0);
    match (limit, swap) {
        (None, Some(swap)) if swap > 0 => {
            return Err(Error::new("--memory-swap needs --memory beside it")
                .fix("--memory-swap is memory and swap together"));
        }
        (Some(limit), Some(swap)) if swap != -1 && swap < limit => {
            return Err(Error::new("--memory-swap is smaller than --memory")
                .fix("--memory-swap is memory and swap together; -1 is unlimited swap"));
        }
        (_, Some(swap)) => drop(out.insert("swap".into(), swap.into())),
        // Docker's rule: as much swap again as memory.
        (Some(limit), None) => drop(out.insert("swap".into(), limit.saturating_mul(2).into())),
        (None, None) => {}
    }
    if let Some(soft) = size("memory-reservation", &flags.memory_reservation)? {
        if limit.is_some_and(|limit| soft > limit) {
            return Err(Error::new("--memory-reservation is larger than --memory"));
        }
        out.insert("reservation".into(), soft.into());
    }
    // Accepted and without effect, as Docker says since the kernel dropped it (Linux 5.16).
    size("kernel-memory", &flags.kernel_memory)?;
    Ok(out)
}

fn cpu(flags: &Limits) -> Result<Map<String, Value>> {
    let mut out = Map::new();
    if let Some(cpus) = &flags.cpus {
        if flags.cpu_period.is_some() || flags.cpu_quota.is_some() {
            return Err(Error::new("--cpus and --cpu-quota or --cpu-period exclude each other"));
        }
        let nano = nano_cpus(cpus)?;
        if nano > 0 {
            out.insert("period".into(), 100_000.into());
            out.insert("quota".into(), (nano / 10_000).max(1000).into());
        }
    }
    let numbers: [(&str, Option<Value>); 7] = [
        ("shares", flags.cpu_shares.filter(|shares| *shares != 0).map(Into::into)),
        ("period", flags.cpu_period.filter(|period| *period != 0).map(Into::into)),
        ("quota", flags.cpu_quota.filter(|quota| *quota != 0).map(Into::into)),
        ("realtimePeriod", flags.cpu_rt_period.map(Into::into)),
        ("realtimeRuntime", flags.cpu_rt_runtime.map(Into::into)),
        ("cpus", flags.cpuset_cpus.clone().map(Into::into)),
        ("mems", flags.cpuset_mems.clone().map(Into::into)),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            out.insert(name.into(), value);
        }
    }
    Ok(out)
}

/// Refuses more CPU time than the machine has, in Docker's words, and periods that no kernel takes.
///
/// # Errors
/// As said; `--cpus` is no number.
pub fn check_cpus(flags: &Limits, available: u32) -> Result<()> {
    let nano = flags.cpus.as_deref().map(nano_cpus).transpose()?.unwrap_or(0);
    if nano > i64::from(available).saturating_mul(1_000_000_000) {
        return Err(Error::new(format!(
            "Range of CPUs is from 0.01 to {available}.00, as there are only {available} CPUs available"
        )));
    }
    let period = flags.cpu_period.filter(|period| *period != 0);
    if period.is_some_and(|period| !(1000..=1_000_000).contains(&period)) {
        return Err(Error::new(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if flags.cpu_quota.is_some_and(|quota| quota > 0 && quota < 1000) {
        return Err(Error::new("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    Ok(())
}

/// What only `run` and `create` can set: swappiness, block devices.
///
/// # Errors
/// As [`limits`]; a device that is none.
pub fn devices(out: &mut Map<String, Value>, flags: &Devices, lookup: Lookup<'_>) -> Result<()> {
    if let Some(percent) = flags.memory_swappiness.filter(|percent| *percent != -1) {
        if !(0..=100).contains(&percent) {
            return Err(Error::new("invalid argument for --memory-swappiness")
                .why(format!("{percent} is not between 0 and 100")));
        }
        set(out, "memory", "swappiness", percent.into());
    }
    let rates = |flag: &str, list: &[String]| -> Result<Vec<Value>> {
        list.iter().map(|text| rate(flag, text, lookup)).collect()
    };
    let lists = [
        ("weightDevice", weights(&flags.blkio_weight_device, lookup)?),
        ("throttleReadBpsDevice", rates("device-read-bps", &flags.device_read_bps)?),
        ("throttleWriteBpsDevice", rates("device-write-bps", &flags.device_write_bps)?),
        ("throttleReadIOPSDevice", rates("device-read-iops", &flags.device_read_iops)?),
        ("throttleWriteIOPSDevice", rates("device-write-iops", &flags.device_write_iops)?),
    ];
    for (name, list) in lists {
        if !list.is_empty() {
            set(out, "blockIO", name, list.into());
        }
    }
    Ok(())
}

/// Sets a member of the object `name`, which is made when it is not there.
pub fn set(out: &mut Map<String, Value>, name: &str, member: &str, value: Value) {
    let section = out.entry(name).or_insert_with(|| json!({}));
    section[member] = value;
}

fn split<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str)> {
    let form = || {
        Error::new(format!("invalid argument \"{text}\" for --{flag}"))
            .why("it must be DEVICE:NUMBER")
            .fix(format!("for example --{flag} /dev/sda:1mb"))
    };
    text.rsplit_once(':').filter(|(device, _)| device.starts_with("/dev/")).ok_or_else(form)
}

fn rate(flag: &str, text: &str, lookup: Lookup<'_>) -> Result<Value> {
    let (device, rate) = split(flag, text)?;
    let (major, minor) = lookup(device)?;
    Ok(json!({ "major": major, "minor": minor, "rate": bytes(flag, rate)? }))
}

fn weights(list: &[String], lookup: Lookup<'_>) -> Result<Vec<Value>> {
    list.iter()
        .map(|text| {
            let (device, weight) = split("blkio-weight-device", text)?;
            let weight: u16 =
                weight.parse().ok().filter(|w| (10..=1000).contains(w)).ok_or_else(|| {
                    Error::new(format!("invalid argument \"{text}\" for --blkio-weight-device"))
                        .why("the weight must be between 10 and 1000")
                })?;
            let (major, minor) = lookup(device)?;
            Ok(json!({ "major": major, "minor": minor, "weight": weight }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(flags: &Limits) -> Value {
        Value::Object(limits(flags).unwrap())
    }

    #[test]
    fn nothing_asked_is_nothing_set() {
        assert_eq!(of(&Limits::default()), json!({}));
    }

    #[test]
    fn memory_has_as_much_swap_again() {
        let flags = Limits { memory: Some("64m".into()), ..Limits::default() };
        assert_eq!(of(&flags), json!({ "memory": { "limit": 67_108_864, "swap": 134_217_728 } }));
        let flags = Limits {
            memory: Some("64m".into()),
            memory_swap: Some("-1".into()),
            memory_reservation: Some("32m".into()),
            ..Limits::default()
        };
        let expected = json!({ "limit": 67_108_864, "swap": -1, "reservation": 33_554_432 });
        assert_eq!(of(&flags)["memory"], expected);
    }

    #[test]
    fn cpus_become_quota_and_period() {
        let flags = Limits { cpus: Some("1.5".into()), cpu_shares: Some(512), ..Limits::default() };
        let expected = json!({ "period": 100_000, "quota": 150_000, "shares": 512 });
        assert_eq!(of(&flags)["cpu"], expected);
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |flags: &Limits| assert!(limits(flags).is_err(), "{flags:?}");
        refused(&Limits { memory: Some("1m".into()), ..Limits::default() });
        refused(&Limits { memory_swap: Some("1g".into()), ..Limits::default() });
        refused(&Limits { cpus: Some("1".into()), cpu_quota: Some(1), ..Limits::default() });
        refused(&Limits { blkio_weight: Some(5), ..Limits::default() });
    }

    #[test]
    fn block_devices_are_numbers() {
        let flags = Devices {
            device_read_bps: vec!["/dev/sda:1mb".into()],
            memory_swappiness: Some(0),
            ..Devices::default()
        };
        let mut out = Map::new();
        devices(&mut out, &flags, &|_| Ok((8, 0))).unwrap();
        let rate = json!([{ "major": 8, "minor": 0, "rate": 1_048_576 }]);
        assert_eq!(out["blockIO"]["throttleReadBpsDevice"], rate);
        assert_eq!(out["memory"]["swappiness"], 0);
    }
}
