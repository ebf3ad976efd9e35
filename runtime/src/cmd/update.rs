//! `update`: new limits, from flags or as the `linux.resources` of a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use libcontainer::spec::{LARGEST, Resources};
use libcontainer::state::Store;
use libcontainer::verbs::{self, Limits};
use libcontainer::{At, Error, Result, Step};
use serde_json::{Map, Value};

use crate::cli::Update;
use crate::output::Level;
use crate::settings::Settings;
use crate::units;

/// How a flag's value is read.
#[derive(Clone, Copy)]
enum Kind {
    Unsigned,
    Signed,
    /// Bytes with a unit, or -1.
    Size,
    Text,
}

/// Sets the limits.
///
/// # Errors
/// A value that is none; `container not running`; a limit that cannot be set, and then all are as
/// before.
pub(crate) fn update(args: &Update, settings: &Settings) -> Result<()> {
    let limits = Limits {
        resources: resources(args)?,
        l3_cache_schema: args.l3_cache_schema.clone(),
        mem_bw_schema: args.mem_bw_schema.clone(),
    };
    let store = Store::new(&settings.root);
    for warning in verbs::update(&store, &args.id, &limits)? {
        settings.log.say(Level::Warning, &warning);
    }
    Ok(())
}

fn resources(args: &Update) -> Result<Resources> {
    let asked = from_flags(args)?;
    let Some(path) = &args.resources else {
        return Resources::parse(Path::new("flags"), Value::Object(asked).to_string().as_bytes());
    };
    if !asked.is_empty() {
        // runc passes over the flags then.
        let words = "--resources cannot be combined with flags that set limits";
        return Err(Error::rule(Step::Update, "", words).hint("put all limits into the file"));
    }
    if path == Path::new("-") {
        let name = Path::new("standard input");
        return Resources::parse(name, &read(io::stdin().lock(), name)?);
    }
    let file = File::open(path).at(Step::Update, || path.display())?;
    Resources::parse(path, &read(file, path)?)
}

fn read(from: impl Read, name: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut text).at(Step::Update, || name.display())?;
    if text.len() as u64 > LARGEST {
        return Err(Error::rule(Step::Update, name.display(), "too large to be limits"));
    }
    Ok(text)
}

/// The flags as `linux.resources`.
fn from_flags(args: &Update) -> Result<Map<String, Value>> {
    use Kind::{Signed, Size, Text, Unsigned};
    let mut resources = Map::new();
    for (flag, value, object, member, kind) in [
        ("blkio-weight", &args.blkio_weight, "blockIO", "weight", Unsigned),
        ("cpu-period", &args.cpu_period, "cpu", "period", Unsigned),
        ("cpu-quota", &args.cpu_quota, "cpu", "quota", Signed),
        ("cpu-burst", &args.cpu_burst, "cpu", "burst", Unsigned),
        ("cpu-share", &args.cpu_share, "cpu", "shares", Unsigned),
        ("cpu-rt-period", &args.cpu_rt_period, "cpu", "realtimePeriod", Unsigned),
        ("cpu-rt-runtime", &args.cpu_rt_runtime, "cpu", "realtimeRuntime", Signed),
        ("cpu-idle", &args.cpu_idle, "cpu", "idle", Signed),
        ("cpuset-cpus", &args.cpuset_cpus, "cpu", "cpus", Text),
        ("cpuset-mems", &args.cpuset_mems, "cpu", "mems", Text),
        ("memory", &args.memory, "memory", "limit", Size),
        ("memory-reservation", &args.memory_reservation, "memory", "reservation", Size),
        ("memory-swap", &args.memory_swap, "memory", "swap", Size),
        ("kernel-memory", &args.kernel_memory, "memory", "kernel", Size),
        ("kernel-memory-tcp", &args.kernel_memory_tcp, "memory", "kernelTCP", Size),
        ("pids-limit", &args.pids_limit, "pids", "limit", Signed),
    ] {
        let Some(text) = value.as_deref().filter(|text| !text.is_empty()) else { continue };
        let value = parse(text, kind).ok_or_else(|| wrong(flag, text, kind))?;
        if let Value::Object(inner) =
            resources.entry(object).or_insert_with(|| Value::Object(Map::new()))
        {
            inner.insert(member.to_owned(), value);
        }
    }
    Ok(resources)
}

fn parse(text: &str, kind: Kind) -> Option<Value> {
    match kind {
        Kind::Unsigned => text.parse::<u64>().ok().map(Value::from),
        Kind::Signed => text.parse::<i64>().ok().map(Value::from),
        Kind::Size if text == "-1" => Some(Value::from(-1)),
        Kind::Size => units::bytes(text).map(Value::from),
        Kind::Text => Some(Value::from(text)),
    }
}

fn wrong(flag: &str, text: &str, kind: Kind) -> Error {
    let hint = match kind {
        Kind::Unsigned => "use a whole number, 0 or more",
        Kind::Signed => "use a whole number, such as 1000 or -1",
        Kind::Size | Kind::Text => "use bytes, a number with a unit such as 64M, or -1",
    };
    Error::rule(Step::Update, "", format!("invalid value for {flag}: {text:?}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(set: impl FnOnce(&mut Update)) -> Result<String> {
        let mut args = Update::default();
        set(&mut args);
        Ok(Value::Object(from_flags(&args)?).to_string())
    }

    #[test]
    fn flags_are_the_members_of_resources() {
        let text = flags(|args| {
            for (flag, value) in [
                (&mut args.blkio_weight, "10"),
                (&mut args.cpu_period, "1000"),
                (&mut args.cpu_quota, "-1"),
                (&mut args.cpu_burst, "0"),
                (&mut args.cpu_share, "2"),
                (&mut args.cpu_rt_period, "3"),
                (&mut args.cpu_rt_runtime, "4"),
                (&mut args.cpu_idle, "1"),
                (&mut args.cpuset_cpus, "0-1"),
                (&mut args.cpuset_mems, "0"),
                (&mut args.memory, "1k"),
                (&mut args.memory_reservation, "5"),
                (&mut args.memory_swap, "-1"),
                (&mut args.kernel_memory, "6"),
                (&mut args.kernel_memory_tcp, "7"),
                (&mut args.pids_limit, "-1"),
            ] {
                *flag = Some(value.to_owned());
            }
        });
        let value: Value = serde_json::from_str(&text.unwrap()).unwrap();
        let wanted = serde_json::json!({
            "blockIO": {"weight": 10},
            "cpu": {"period": 1000, "quota": -1, "burst": 0, "shares": 2, "realtimePeriod": 3,
                "realtimeRuntime": 4, "idle": 1, "cpus": "0-1", "mems": "0"},
            "memory": {"limit": 1024, "reservation": 5, "swap": -1, "kernel": 6, "kernelTCP": 7},
            "pids": {"limit": -1},
        });
        assert_eq!(value, wanted);
        assert_eq!(flags(|_| {}).unwrap(), "{}");
    }

    #[test]
    fn values_that_are_none_are_refused() {
        let error = flags(|args| args.cpu_period = Some("-5".into())).unwrap_err();
        assert_eq!(error.to_string(), "invalid value for cpu-period: \"-5\"");
        assert!(flags(|args| args.memory = Some("-2".into())).is_err());
        assert!(flags(|args| args.memory_swap = Some("5x".into())).is_err());
        assert!(flags(|args| args.pids_limit = Some("many".into())).is_err());
    }
}
