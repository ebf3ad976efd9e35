//! `spec`: writes a configuration to start from, the same one that `runc spec` writes.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use libcontainer::{At, Error, Result, Step};
use nix::unistd::{getegid, geteuid};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli;
use crate::personality;
use crate::version;

/// Writes `config.json` into the bundle; never over an existing one.
///
/// # Errors
/// The file exists, or cannot be written.
pub(crate) fn spec(args: &cli::Spec) -> Result<()> {
    let path = args.bundle.as_deref().unwrap_or_else(|| Path::new(".")).join("config.json");
    let shown = path.strip_prefix(".").unwrap_or(&path).display().to_string();
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let mut config = usual(unified);
    if args.rootless {
        make_rootless(&mut config, geteuid().as_raw(), getegid().as_raw());
    }
    let text = tabbed(&config);
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    match file {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            Err(Error::rule(Step::Output, "", format!("File {shown} exists. Remove it first")))
        }
        other => other.and_then(|mut file| file.write_all(&text)).at(Step::Output, || shown),
    }
}

/// The default: a shell on a terminal, few rights, everything private. `unified` is a host with
/// cgroup v2 only.
fn usual(unified: bool) -> Config {
    let caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mut namespaces = vec!["pid", "network", "ipc", "uts", "mount"];
    if unified {
        namespaces.push("cgroup");
    }
    Config {
        version: version::SPEC,
        process: json!({
            "terminal": true,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            "cwd": "/",
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        }),
        root: json!({ "path": "rootfs", "readonly": true }),
        hostname: personality::own().name(),
        mounts: MOUNTS.iter().map(Mount::new).collect(),
        linux: Linux {
            uid_mappings: None,
            gid_mappings: None,
            resources: Some(json!({ "devices": [{ "allow": false, "access": "rwm" }] })),
            namespaces,
            masked_paths: &MASKED,
            readonly_paths: &READONLY,
        },
    }
}

/// Takes away what needs the host's root, and maps the caller to the container's root.
fn make_rootless(config: &mut Config, uid: u32, gid: u32) {
    let map = |host: u32| Some(json!([{ "containerID": 0, "hostID": host, "size": 1 }]));
    let linux = &mut config.linux;
    linux.namespaces.retain(|kind| *kind != "network");
    linux.namespaces.push("user");
    (linux.uid_mappings, linux.gid_mappings) = (map(uid), map(gid));
    linux.resources = None;
    for mount in &mut config.mounts {
        if mount.destination == "/sys" {
            // sysfs belongs to the network namespace, which is the host's now.
            (mount.kind, mount.source) = ("none", "/sys");
            mount.options.insert(0, "rbind");
        }
        mount.options.retain(|option| !option.starts_with("gid=") && !option.starts_with("uid="));
    }
}

/// In the order of the specification, which is also Go's.
#[derive(Serialize)]
struct Config {
    #[serde(rename = "ociVersion")]
    version: &'static str,
    process: Value,
    root: Value,
    hostname: &'static str,
    mounts: Vec<Mount>,
    linux: Linux,
}

#[derive(Serialize)]
struct Mount {
    destination: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    source: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid_mappings: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid_mappings: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Value>,
    #[serde(serialize_with = "as_types")]
    namespaces: Vec<&'static str>,
    masked_paths: &'static [&'static str],
    readonly_paths: &'static [&'static str],
}

fn as_types<S: serde::Serializer>(kinds: &[&str], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(kinds.iter().map(|kind| json!({ "type": kind })))
}

/// Destination, type, source, options.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

impl Mount {
    fn new(&(destination, kind, source, options): &Row) -> Self {
        Self { destination, kind, source, options: options.to_vec() }
    }
}

const MOUNTS: [Row; 7] = [
    ("/proc", "proc", "proc", &[]),
    ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
];

const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];

const READONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Indented with tabs, as Go's callers and their diffs expect.
fn tabbed(config: &Config) -> Vec<u8> {
    let mut text = Vec::new();
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, tabs);
    // A plain tree of strings and numbers into memory cannot fail.
    let _ = config.serialize(&mut serializer);
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(config: &Config) -> Value {
        serde_json::from_slice(&tabbed(config)).unwrap()
    }

    fn types(config: &Value) -> Vec<&str> {
        let all = config["linux"]["namespaces"].as_array().unwrap();
        all.iter().map(|ns| ns["type"].as_str().unwrap()).collect()
    }

    #[test]
    fn the_usual_one_is_private_and_poor() {
        let config = value(&usual(false));
        assert_eq!(config["ociVersion"], "1.3.0");
        assert_eq!(types(&config), ["pid", "network", "ipc", "uts", "mount"]);
        assert_eq!(types(&value(&usual(true))).last(), Some(&"cgroup"));
        assert_eq!(config["process"]["capabilities"].as_object().unwrap().len(), 3);
        assert_eq!(config["linux"]["resources"]["devices"][0]["access"], "rwm");
        assert!(config["linux"].get("uidMappings").is_none());
        assert!(config["mounts"][0].get("options").is_none());
        assert!(
            tabbed(&usual(false)).starts_with(b"{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\"")
        );
    }

    #[test]
    fn rootless_shares_the_network_and_maps_the_caller() {
        let mut config = usual(true);
        make_rootless(&mut config, 1000, 1001);
        let config = value(&config);
        assert_eq!(types(&config), ["pid", "ipc", "uts", "mount", "cgroup", "user"]);
        assert_eq!(config["linux"]["uidMappings"][0]["hostID"], 1000);
        assert_eq!(config["linux"]["gidMappings"][0]["hostID"], 1001);
        assert!(config["linux"].get("resources").is_none());
        assert_eq!(config["mounts"][5]["type"], "none");
        assert_eq!(config["mounts"][5]["options"][0], "rbind");
        assert!(!config["mounts"].to_string().contains("gid="));
    }

    #[test]
    fn never_writes_over_a_configuration() {
        let dir = std::env::temp_dir().join(format!("corten-spec-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let args = cli::Spec { bundle: Some(dir.clone()), rootless: false };
        spec(&args).unwrap();
        let error = spec(&args).unwrap_err().to_string();
        assert!(
            error.starts_with("File ") && error.ends_with("exists. Remove it first"),
            "{error}"
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
