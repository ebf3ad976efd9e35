//! From what was asked to `config.json`: pure, so that every flag can be tested without a
//! container.
//!
//! What must be looked up (users of the image, devices, namespaces of other containers) comes in
//! as [`Facts`]. The result is JSON and not a typed configuration: it is what is written, and the
//! runtime reads it as it would read anybody's.

pub mod caps;
pub mod devices;
pub mod namespaces;
pub mod process;
pub mod resources;
pub mod seccomp;
pub mod security;
pub mod tree;
pub mod units;
pub mod user;

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::container::record::Record;
use crate::error::Result;
use crate::volume;

/// What was looked up for a container.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The mounted root file system.
    pub rootfs: PathBuf,
    /// Users and groups of the image.
    pub accounts: user::Accounts,
    /// Capabilities that we have ourselves, a bit for each.
    pub capabilities: u64,
    /// Hard limit of each resource that we may not exceed: name, value.
    pub hard_limits: Vec<(&'static str, u64)>,
    /// Namespaces to join, made by others.
    pub joined: namespaces::Joined,
    /// Mounts that come from volumes and the network: hosts, hostname, resolv.conf.
    pub mounts: Vec<Value>,
    /// Kernel parameters that the network wants.
    pub sysctls: Vec<(&'static str, &'static str)>,
    /// The machine.
    pub machine: seccomp::Machine,
    /// Cgroup v2 is all there is.
    pub unified: bool,
    /// This program, for `--init`.
    pub own_program: PathBuf,
    /// Text of the profile that `--security-opt seccomp=FILE` names.
    pub seccomp_profile: Option<Vec<u8>>,
    /// The AppArmor profile for containers that ask for none.
    pub apparmor: Option<String>,
    /// Host devices, for `--privileged`.
    pub host_devices: Vec<(String, devices::Seen)>,
}

/// Looks at a path of the host: is it a device?
pub type Look<'a> = &'a dyn Fn(&str) -> Result<devices::Seen>;

/// The configuration.
///
/// # Errors
/// Every flag that does not mean anything, in the words of the flag.
pub fn config(record: &Record, facts: &Facts, look: Look<'_>) -> Result<Value> {
    let security = security::decide(record, facts)?;
    let mut process = process::process(record, facts, &security)?;
    let mut linux = Map::new();
    linux.insert("namespaces".into(), namespaces::list(record, facts)?);
    linux.insert("cgroupsPath".into(), cgroup_path(record).into());
    linux.insert("resources".into(), limits(record, &security, look)?);
    let devices = device_nodes(record, facts, &security, look)?;
    if !devices.is_empty() {
        linux.insert("devices".into(), devices.into());
    }
    tree::mask(&mut linux, &security);
    if let Some(propagation) = volume::rootfs_propagation(&record.mounts) {
        linux.insert("rootfsPropagation".into(), propagation.into());
    }
    let sysctls = sysctls(record, facts)?;
    if !sysctls.is_empty() {
        linux.insert("sysctl".into(), sysctls.into());
    }
    if let Some(filter) = &security.seccomp {
        linux.insert("seccomp".into(), filter.clone());
    }
    if let Some(label) = &security.label {
        linux.insert("mountLabel".into(), label.clone().into());
        process["selinuxLabel"] = label.clone().into();
    }
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": process,
        "root": { "path": facts.rootfs, "readonly": record.flags.isolation.read_only },
        "mounts": tree::mounts(record, facts, &security)?,
        "annotations": annotations(record)?,
        "linux": linux,
    });
    if namespaces::own_uts(record) {
        config["hostname"] = record.hostname().into();
        if let Some(name) = &record.flags.basics.domainname {
            config["domainname"] = name.clone().into();
        }
    }
    Ok(config)
}

/// Below our own directory, or the one asked for.
fn cgroup_path(record: &Record) -> String {
    let parent = record.flags.isolation.cgroup_parent.as_deref().unwrap_or("pier");
    format!("/{}/{}", parent.trim_matches('/'), record.id)
}

fn limits(record: &Record, security: &security::Security, look: Look<'_>) -> Result<Value> {
    let mut limits = resources::limits(&record.flags.limits)?;
    let block = |path: &str| look(path).map(|seen| (seen.major, seen.minor));
    resources::devices(&mut limits, &record.flags.io, &block)?;
    if record.flags.isolation.oom_kill_disable {
        resources::set(&mut limits, "memory", "disableOOMKiller", true.into());
    }
    let mut rules = match security.privileged {
        true => vec![json!({ "allow": true, "access": "rwm" })],
        false => devices::default_rules(),
    };
    for asked in &record.flags.isolation.device {
        let asked = devices::parse(asked)?;
        rules.push(devices::rule(look(&asked.host)?, &asked.access));
    }
    for rule in &record.flags.isolation.device_cgroup_rule {
        rules.push(devices::cgroup_rule(rule)?);
    }
    limits.insert("devices".into(), rules.into());
    Ok(Value::Object(limits))
}

fn device_nodes(
    record: &Record,
    facts: &Facts,
    security: &security::Security,
    look: Look<'_>,
) -> Result<Vec<Value>> {
    let mut nodes = Vec::new();
    if security.privileged {
        nodes.extend(facts.host_devices.iter().map(|(path, seen)| devices::node(path, *seen)));
    }
    for asked in &record.flags.isolation.device {
        let asked = devices::parse(asked)?;
        let seen = look(&asked.host)?;
        nodes.retain(|node: &Value| node["path"] != asked.inside);
        nodes.push(devices::node(&asked.inside, seen));
    }
    Ok(nodes)
}

fn sysctls(record: &Record, facts: &Facts) -> Result<Map<String, Value>> {
    let mut out: Map<String, Value> =
        facts.sysctls.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    for text in &record.flags.isolation.sysctl {
        let (name, value) = process::pair("sysctl", text)?;
        out.insert(name.into(), value.into());
    }
    Ok(out)
}

fn annotations(record: &Record) -> Result<Map<String, Value>> {
    let pairs = record.flags.basics.annotation.iter();
    let pairs = pairs.map(|text| process::pair("annotation", text));
    pairs.map(|pair| pair.map(|(key, value)| (key.into(), value.into()))).collect()
}

#[cfg(test)]
#[path = "bundle/tests.rs"]
mod tests;
