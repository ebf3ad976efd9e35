//! `features`: what this runtime can do, in the form of the specification's `features.md`.
//!
//! About the runtime, not about this host or its kernel. Only JSON, only on stdout: CRI-O reads
//! both streams as one.

use corten_seccomp::{ARCHES, ActionName, FLAGS, Operator};
use libcontainer::plan::mount_options;
use libcontainer::sys::seccomp::knows_flag;
use serde::Serialize;
use serde_json::{Value, json};

use crate::personality;
use crate::version;

/// The hooks of the specification, in the order of their running.
const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// The namespaces of the specification, in alphabetical order.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];

/// `linux.memoryPolicy.mode`, in the order of linux/mempolicy.h.
const MEMORY_MODES: [&str; 7] = [
    "MPOL_DEFAULT",
    "MPOL_PREFERRED",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];

/// `linux.memoryPolicy.flags`.
const MEMORY_FLAGS: [&str; 3] =
    ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];

/// The members of `features.md`, in its order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    oci_version_min: &'static str,
    oci_version_max: &'static str,
    hooks: [&'static str; 6],
    mount_options: Vec<&'static str>,
    linux: Linux,
    annotations: Value,
    potentially_unsafe_config_annotations: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: [&'static str; 8],
    capabilities: Vec<String>,
    cgroup: Value,
    seccomp: Value,
    apparmor: Value,
    selinux: Value,
    intel_rdt: Value,
    memory_policy: Value,
    mount_extensions: Value,
    net_devices: Value,
}

/// Flags are supported as far as the kernel knows them; all else is the compiler's.
fn seccomp() -> Value {
    let actions = ActionName::ALL.map(|action| action.0);
    let operators = Operator::ALL.map(|operator| operator.0);
    let archs: Vec<_> = ARCHES.iter().map(|arch| arch.name).collect();
    let supported = FLAGS.iter().filter(|flag| knows_flag(flag.1)).map(|flag| flag.0);
    json!({
        "enabled": true,
        "actions": actions,
        "operators": operators,
        "archs": archs,
        "knownFlags": FLAGS.map(|flag| flag.0),
        "supportedFlags": supported.collect::<Vec<_>>(),
    })
}

fn collect() -> Features {
    let enabled = |enabled: bool| json!({ "enabled": enabled });
    let mut capabilities: Vec<_> = caps::all().into_iter().collect();
    capabilities.sort_unstable_by_key(caps::Capability::index);
    Features {
        oci_version_min: version::SPEC_MIN,
        oci_version_max: version::SPEC,
        hooks: HOOKS,
        mount_options: mount_options::OPTIONS.iter().map(|option| option.name).collect(),
        linux: Linux {
            namespaces: NAMESPACES,
            capabilities: capabilities.iter().map(ToString::to_string).collect(),
            cgroup: json!({
                "v1": true, "v2": true, "systemd": version::SYSTEMD, "systemdUser": version::SYSTEMD, "rdma": true,
            }),
            seccomp: seccomp(),
            apparmor: enabled(true),
            selinux: enabled(true),
            intel_rdt: json!({ "enabled": true, "schemata": true, "monitoring": true }),
            memory_policy: json!({ "modes": MEMORY_MODES, "flags": MEMORY_FLAGS }),
            mount_extensions: json!({ "idmap": { "enabled": true } }),
            net_devices: enabled(true),
        },
        annotations: annotations(),
        // No annotation of a configuration changes what this runtime does.
        potentially_unsafe_config_annotations: [UNIT_PROPERTIES],
    }
}

/// Who we are, under the names that callers of runc and of crun look for.
fn annotations() -> Value {
    let own = personality::own();
    json!({
        format!("{}.version", own.feature_prefix()): own.version(),
        format!("{}.commit", own.feature_prefix()): version::COMMIT,
        // Read by those who ask runc; said in its words.
        "org.opencontainers.runc.checkpoint.enabled": "false",
    })
}

/// Annotations that systemd carries out with its own rights; a name that ends in a dot is a prefix.
const UNIT_PROPERTIES: &str = "org.systemd.property.";

/// The text for stdout.
pub(crate) fn features() -> String {
    let mut text = Vec::new();
    let spaces = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, spaces);
    // A plain tree of strings and booleans into memory cannot fail.
    let _ = collect().serialize(&mut serializer);
    text.push(b'\n');
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{
        Arch, LinuxNamespaceType, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSeccompOperator,
        MemoryPolicyFlagType, MemoryPolicyModeType,
    };

    use super::*;

    fn value() -> Value {
        serde_json::from_str(&features()).unwrap()
    }

    fn known<T: serde::de::DeserializeOwned>(name: &str) -> bool {
        serde_json::from_value::<T>(name.into()).is_ok()
    }

    #[test]
    fn what_callers_ask_for_is_there() {
        let features = value();
        // CRI-O, containerd (user namespaces, recursive read-only), moby.
        assert_eq!(features["ociVersionMin"], "1.0.0");
        assert_eq!(features["ociVersionMax"], "1.3.0");
        assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
        let list = |value: &Value, word: &str| value.as_array().unwrap().contains(&word.into());
        assert!(list(&features["mountOptions"], "rro"));
        assert!(list(&features["linux"]["namespaces"], "user"));
        assert!(list(&features["linux"]["capabilities"], "CAP_CHECKPOINT_RESTORE"));
        assert_eq!(features["linux"]["capabilities"][0], "CAP_CHOWN");
    }

    #[test]
    fn names_are_the_specification_s() {
        assert!(NAMESPACES.into_iter().all(known::<LinuxNamespaceType>));
        assert!(MEMORY_MODES.into_iter().all(known::<MemoryPolicyModeType>));
        assert!(MEMORY_FLAGS.into_iter().all(known::<MemoryPolicyFlagType>));
        assert!(ARCHES.iter().all(|arch| known::<Arch>(arch.name)));
        assert!(ActionName::ALL.iter().all(|action| known::<LinuxSeccompAction>(action.0)));
        assert!(Operator::ALL.iter().all(|op| known::<LinuxSeccompOperator>(op.0)));
        assert!(FLAGS.iter().all(|flag| known::<LinuxSeccompFilterFlag>(flag.0)));
        assert_eq!(NAMESPACES.len(), libcontainer::plan::namespaces::Kind::ALL.len());
    }
}
