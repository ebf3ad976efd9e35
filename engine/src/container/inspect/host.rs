//! `HostConfig` of `inspect`: what was asked of the host, in the shape of Docker's API. What was
//! not asked is `null`, `[]` or 0, whichever Docker prints there.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::bundle::security::Options;
use crate::bundle::{devices, resources, tree, units};
use crate::container::record::Record;
use crate::error::Result;
use crate::monitor::policy::Policy;
use crate::net::flags::HostAddress;
use crate::volume::asked;

/// The member `HostConfig`.
///
/// # Errors
/// The record is damaged: every flag was understood when it was made.
pub(super) fn config(record: &Record) -> Result<Value> {
    let mut out = life(record)?;
    out.extend(rights(record)?);
    out.extend(limits(record)?);
    out.extend(mounts(record)?);
    Ok(Value::Object(out))
}

/// `null` for an empty list.
fn list(words: &[String]) -> Value {
    if words.is_empty() { Value::Null } else { json!(words) }
}

fn word(text: Option<&String>) -> &str {
    text.map_or("", String::as_str)
}

fn pairs(words: &[String]) -> impl Iterator<Item = (&str, &str)> {
    words.iter().filter_map(|text| text.split_once('='))
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// Life, log and network.
fn life(record: &Record) -> Result<Map<String, Value>> {
    let (basics, net) = (&record.flags.basics, &record.net);
    let (policy, most) = Policy::parse(&basics.restart)?.words();
    let options: Map<String, Value> =
        pairs(&basics.log_opt).map(|(name, value)| (name.to_owned(), value.into())).collect();
    let hosts: Vec<String> = net
        .add_host
        .iter()
        .map(|(name, address)| match address {
            HostAddress::HostGateway => format!("{name}:host-gateway"),
            HostAddress::Ip(ip) => format!("{name}:{ip}"),
        })
        .collect();
    let mut out = object(json!({
        "ContainerIDFile": basics.cidfile.clone().unwrap_or_default(),
        "LogConfig": { "Type": basics.log_driver, "Config": options },
        "NetworkMode": super::network_mode(record),
        "PortBindings": super::port_bindings(record),
        "RestartPolicy": { "Name": policy, "MaximumRetryCount": most },
        "AutoRemove": basics.rm,
        "ConsoleSize": [0, 0],
        "Dns": net.dns,
        "DnsOptions": net.dns_option,
        "DnsSearch": net.dns_search,
        "ExtraHosts": list(&hosts),
        "Links": null,
        "PublishAllPorts": net.publish_all,
        "Runtime": basics.runtime.clone().unwrap_or_else(|| "corten".into()),
        "Isolation": "",
    }));
    if basics.init {
        out.insert("Init".into(), true.into());
    }
    let annotations: Map<String, Value> =
        pairs(&basics.annotation).map(|(name, value)| (name.to_owned(), value.into())).collect();
    if !annotations.is_empty() {
        out.insert("Annotations".into(), annotations.into());
    }
    Ok(out)
}

/// What it may see and do.
fn rights(record: &Record) -> Result<Map<String, Value>> {
    let isolation = &record.flags.isolation;
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let own_cgroup = if unified && !isolation.privileged { "private" } else { "host" };
    let open = isolation.privileged || Options::parse(&isolation.security_opt)?.open_paths;
    let paths = |paths: &[&str]| if open { Value::Null } else { json!(paths) };
    let mut devices = Vec::new();
    for text in &isolation.device {
        let asked = devices::parse(text)?;
        devices.push(json!({
            "PathOnHost": asked.host, "PathInContainer": asked.inside,
            "CgroupPermissions": asked.access,
        }));
    }
    let sysctls: Map<String, Value> =
        pairs(&isolation.sysctl).map(|(name, value)| (name.to_owned(), value.into())).collect();
    let mut out = object(json!({
        "CapAdd": capabilities(&isolation.cap_add),
        "CapDrop": capabilities(&isolation.cap_drop),
        "CgroupnsMode": isolation.cgroupns.as_deref().unwrap_or(own_cgroup),
        "GroupAdd": list(&isolation.group_add),
        "IpcMode": isolation.ipc.as_deref().unwrap_or("private"),
        "Cgroup": "",
        "OomScoreAdj": isolation.oom_score_adj.unwrap_or(0),
        "PidMode": word(isolation.pid.as_ref()),
        "Privileged": isolation.privileged,
        "ReadonlyRootfs": isolation.read_only,
        "SecurityOpt": list(&isolation.security_opt),
        "UTSMode": word(isolation.uts.as_ref()),
        "UsernsMode": word(isolation.userns.as_ref()),
        "ShmSize": tree::shm_size(record)?,
        "CgroupParent": word(isolation.cgroup_parent.as_ref()),
        "Devices": devices,
        "DeviceCgroupRules": list(&isolation.device_cgroup_rule),
        "DeviceRequests": null,
        "OomKillDisable": isolation.oom_kill_disable,
        "MaskedPaths": paths(&tree::MASKED),
        "ReadonlyPaths": paths(&tree::READ_ONLY),
    }));
    if !sysctls.is_empty() {
        out.insert("Sysctls".into(), sysctls.into());
    }
    Ok(out)
}

/// `CAP_` and capitals, as Docker writes them down.
fn capabilities(words: &[String]) -> Value {
    let whole = |text: &str| match text.trim().to_ascii_uppercase() {
        name if name == "ALL" || name.starts_with("CAP_") => name,
        name => format!("CAP_{name}"),
    };
    let words: Vec<String> = words.iter().flat_map(|text| text.split(',')).map(whole).collect();
    list(&words)
}

/// What it may use up.
fn limits(record: &Record) -> Result<Map<String, Value>> {
    let (flags, io) = (&record.flags.limits, &record.flags.io);
    let limits = Value::Object(resources::limits(flags)?);
    let number = |section: &str, member: &str| limits[section][member].as_i64().unwrap_or(0);
    let cpus = flags.cpus.as_deref().map(units::nano_cpus).transpose()?;
    let weight = |text: &str| -> Result<Value> { Ok(json!(text.parse::<u16>().unwrap_or(0))) };
    let bytes = |text: &str| -> Result<Value> { Ok(units::bytes("device-bps", text)?.into()) };
    let count = |text: &str| -> Result<Value> { Ok(json!(text.parse::<u64>().unwrap_or(0))) };
    let mut ulimits = Vec::new();
    for text in &record.flags.isolation.ulimit {
        let limit = units::ulimit(text)?;
        let name = limit.name.trim_start_matches("RLIMIT_").to_ascii_lowercase();
        // No limit is -1 to Docker, which counts with a sign.
        let (hard, soft) = (limit.hard.cast_signed(), limit.soft.cast_signed());
        ulimits.push(json!({ "Name": name, "Hard": hard, "Soft": soft }));
    }
    let pids = flags.pids_limit.filter(|limit| *limit != 0);
    Ok(object(json!({
        "CpuShares": number("cpu", "shares"),
        "Memory": number("memory", "limit"),
        "NanoCpus": cpus.unwrap_or(0),
        "BlkioWeight": number("blockIO", "weight"),
        "BlkioWeightDevice": rates(&io.blkio_weight_device, "Weight", &weight)?,
        "BlkioDeviceReadBps": rates(&io.device_read_bps, "Rate", &bytes)?,
        "BlkioDeviceWriteBps": rates(&io.device_write_bps, "Rate", &bytes)?,
        "BlkioDeviceReadIOps": rates(&io.device_read_iops, "Rate", &count)?,
        "BlkioDeviceWriteIOps": rates(&io.device_write_iops, "Rate", &count)?,
        "CpuPeriod": flags.cpu_period.unwrap_or(0),
        "CpuQuota": flags.cpu_quota.unwrap_or(0),
        "CpuRealtimePeriod": flags.cpu_rt_period.unwrap_or(0),
        "CpuRealtimeRuntime": flags.cpu_rt_runtime.unwrap_or(0),
        "CpusetCpus": word(flags.cpuset_cpus.as_ref()),
        "CpusetMems": word(flags.cpuset_mems.as_ref()),
        "MemoryReservation": number("memory", "reservation"),
        "MemorySwap": number("memory", "swap"),
        "MemorySwappiness": io.memory_swappiness.filter(|percent| *percent != -1),
        "PidsLimit": pids,
        "Ulimits": ulimits,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    })))
}

/// `DEVICE:NUMBER`, each as an object.
fn rates(words: &[String], name: &str, read: &dyn Fn(&str) -> Result<Value>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for (path, number) in words.iter().filter_map(|text| text.rsplit_once(':')) {
        let mut entry = Map::new();
        entry.insert("Path".into(), path.into());
        entry.insert(name.into(), read(number)?);
        out.push(Value::Object(entry));
    }
    Ok(out)
}

/// What was asked to be mounted, as it was asked.
fn mounts(record: &Record) -> Result<Map<String, Value>> {
    let flags = &record.flags.volumes;
    let binds: Vec<String> = asked::binds(flags);
    let mut out = object(json!({
        "Binds": list(&binds),
        "VolumeDriver": word(flags.volume_driver.as_ref()),
        "VolumesFrom": list(&flags.volumes_from),
    }));
    let (mounts, memory) = (asked::mounts(flags)?, asked::memory(flags));
    if !mounts.is_empty() {
        out.insert("Mounts".into(), mounts.into());
    }
    if !memory.is_empty() {
        out.insert("Tmpfs".into(), memory.into());
    }
    Ok(out)
}
