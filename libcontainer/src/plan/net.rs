//! What happens to the container's network: loopback, and devices that are moved in.
//!
//! The names are checked here, once; whether a device exists and may be moved, only the kernel
//! knows ([`crate::net`]).

use std::collections::BTreeSet;

use oci_spec::runtime::Linux;
use serde::Serialize;

use crate::error::{Error, Result, Step};
use crate::plan::namespaces::{Kind, NamespacePlan};

/// The longest name of a device: `IFNAMSIZ` with its NUL is 16.
const NAME_MAX: usize = 15;

/// A network device that is moved into the container (`linux.netDevices`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetDevice {
    /// Its name on the host.
    pub host: String,
    /// Its name in the container; with `%d` the first free number is taken.
    pub name: String,
}

impl NetDevice {
    /// Whether the name in the container is a template (config-linux.md, "Network Devices").
    pub fn is_template(&self) -> bool {
        self.name.contains("%d")
    }
}

/// The decided network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NetPlan {
    /// Set `lo` up: the network namespace is new and ours.
    pub loopback: bool,
    /// Devices to move in, sorted by their name on the host.
    pub devices: Vec<NetDevice>,
}

/// Decides the network of `linux.netDevices` and the network namespace.
///
/// # Errors
/// Names that the kernel would refuse, two devices of one name, devices without a network
/// namespace or in a rootless container.
pub fn build(linux: Option<&Linux>, namespaces: &NamespacePlan, rootless: bool) -> Result<NetPlan> {
    let wanted = linux.and_then(|linux| linux.net_devices().as_ref());
    let mut devices = Vec::new();
    for (host, device) in wanted.into_iter().flatten() {
        let name = device.name().as_deref().filter(|name| !name.is_empty()).unwrap_or(host);
        devices.push(NetDevice { host: host.clone(), name: name.to_owned() });
    }
    devices.sort_unstable_by(|a, b| a.host.cmp(&b.host));
    if !devices.is_empty() {
        if !namespaces.has(Kind::Network) {
            return Err(broken("", "unable to move network devices without a NET namespace")
                .hint("add {\"type\": \"network\"} to linux.namespaces"));
        }
        if rootless {
            return Err(broken("", "network devices are not supported for rootless containers"));
        }
        check(&devices)?;
    }
    Ok(NetPlan { loopback: namespaces.is_new(Kind::Network), devices })
}

fn broken(host: &str, cause: impl Into<String>) -> Error {
    let on = match host {
        "" => "linux.netDevices".to_owned(),
        host => format!("linux.netDevices[{host:?}]"),
    };
    Error::rule(Step::CheckConfig, on, cause)
}

fn check(devices: &[NetDevice]) -> Result<()> {
    let mut taken = BTreeSet::from(["lo"]);
    for NetDevice { host, name } in devices {
        if host.contains('%') {
            return Err(broken(host, "a device on the host has no '%' in its name"));
        }
        if host == "lo" {
            return Err(broken(host, "lo belongs to its network namespace and cannot be moved"));
        }
        for name in [host, name] {
            if let Some(fault) = fault(name) {
                return Err(broken(host, format!("invalid network device name {name:?}: {fault}")));
            }
        }
        if name.contains('%') {
            if name.matches('%').count() != 1 || !name.contains("%d") {
                let cause = format!("invalid network device name {name:?}: only one %d may stand");
                return Err(broken(host, cause));
            }
        } else if !taken.insert(name) {
            let cause = format!("{name:?} is the name of another device in the container");
            return Err(broken(host, cause));
        }
    }
    Ok(())
}

/// Why the kernel would refuse a name (`dev_valid_name()` in net/core/dev.c).
fn fault(name: &str) -> Option<&'static str> {
    let forbidden = |byte: u8| matches!(byte, b'/' | b':' | b'\0' | b' ' | 9..=13 | 0xa0);
    match name {
        "" => Some("it is empty"),
        "." | ".." => Some("it is reserved"),
        _ if name.len() > NAME_MAX => Some("longer than 15 bytes"),
        _ if name.bytes().any(forbidden) => Some("it has '/', ':' or white space"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::namespaces;

    #[expect(clippy::needless_pass_by_value, reason = "callers write the values in place")]
    fn plan(devices: Value, namespaces: Value, rootless: bool) -> Result<NetPlan> {
        let linux: Linux =
            serde_json::from_value(json!({"namespaces": namespaces, "netDevices": devices}))
                .unwrap();
        build(Some(&linux), &namespaces::build(Some(&linux)).unwrap(), rootless)
    }

    fn refused(devices: Value) -> String {
        plan(devices, json!([{"type": "network"}]), false).unwrap_err().to_string()
    }

    #[test]
    fn devices_keep_their_names_or_get_new_ones() {
        let devices = json!({"eth1": {"name": "up0"}, "eth0": {}, "eth2": {"name": "net%d"},
            "eth3": {"name": "net%d"}, "eth4": {"name": ""}});
        let plan = plan(devices, json!([{"type": "network"}]), false).unwrap();
        let names: Vec<_> =
            plan.devices.iter().map(|d| (d.host.as_str(), d.name.as_str())).collect();
        let expected = [
            ("eth0", "eth0"),
            ("eth1", "up0"),
            ("eth2", "net%d"),
            ("eth3", "net%d"),
            ("eth4", "eth4"),
        ];
        assert_eq!(names, expected);
        assert!(plan.loopback && plan.devices[2].is_template() && !plan.devices[0].is_template());
    }

    #[test]
    fn loopback_is_ours_only_in_a_new_namespace() {
        let joined = json!([{"type": "network", "path": "/run/netns/a"}]);
        assert!(!plan(json!({}), joined.clone(), false).unwrap().loopback);
        assert_eq!(plan(json!({"eth0": {}}), joined, false).unwrap().devices.len(), 1);
        assert_eq!(plan(json!({}), json!([]), true).unwrap(), NetPlan::default());
        assert_eq!(build(None, &namespaces::build(None).unwrap(), false).unwrap().devices, []);
    }

    #[test]
    fn devices_need_a_namespace_and_root() {
        let error = plan(json!({"eth0": {}}), json!([]), false).unwrap_err();
        assert!(error.to_string().contains("without a NET namespace"), "{error}");
        assert!(error.hint.is_some());
        let error = plan(json!({"eth0": {}}), json!([{"type": "network"}]), true).unwrap_err();
        assert!(error.to_string().contains("not supported for rootless"), "{error}");
    }

    #[test]
    fn names_that_the_kernel_refuses() {
        for name in
            [".", "..", "a/b", "a:b", "a b", "a\tb", "a\nb", "sixteen-bytes-xx", "a%s", "%d%d"]
        {
            let words = refused(json!({"eth0": {"name": name}}));
            assert!(words.contains("invalid network device name"), "{name}: {words}");
            assert!(words.starts_with("invalid config linux.netDevices[\"eth0\"]: "), "{words}");
        }
        for name in ["", "a/b", "sixteen-bytes-xx"] {
            assert!(refused(json!({name: {}})).contains("invalid network device name"), "{name}");
        }
        assert!(refused(json!({"eth%d": {}})).contains('%'));
        assert!(refused(json!({"lo": {"name": "x"}})).contains("cannot be moved"));
        assert!(refused(json!({"eth0": {"name": "lo"}})).contains("another device"));
        assert!(refused(json!({"a": {"name": "x"}, "b": {"name": "x"}})).contains("another"));
        assert!(refused(json!({"a": {"name": "b"}, "b": {}})).contains("another"));
        assert!(plan(json!({"fifteen-bytes-x": {}}), json!([{"type": "network"}]), false).is_ok());
    }
}
