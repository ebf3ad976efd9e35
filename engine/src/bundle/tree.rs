//! The file system tree: Docker's mounts, masked and read-only paths.

use serde_json::{Map, Value, json};

use super::namespaces::{self, Mode};
use super::process::INIT;
use super::security::Security;
use super::{Facts, units};
use crate::container::record::Record;
use crate::error::Result;
use crate::volume::Mount;

/// Read as empty.
pub(crate) const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Cannot be written.
pub(crate) const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// 64 MB, as Docker has it.
const SHM: i64 = 64 << 20;

/// Masked and read-only paths, unless the user wants them open.
pub fn mask(linux: &mut Map<String, Value>, security: &Security) {
    if !security.open_paths {
        linux.insert("maskedPaths".into(), MASKED.to_vec().into());
        linux.insert("readonlyPaths".into(), READ_ONLY.to_vec().into());
    }
}

/// The list `mounts`, in the order in which they are made.
///
/// # Errors
/// `--tmpfs` or `--shm-size` that mean nothing.
pub fn mounts(record: &Record, facts: &Facts, security: &Security) -> Result<Vec<Value>> {
    let writable = if security.privileged { "rw" } else { "ro" };
    let mount = |to: &str, kind: &str, options: &[&str]| json!({ "destination": to, "type": kind, "source": kind, "options": options });
    let mut out = vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", writable]),
        mount("/sys/fs/cgroup", "cgroup", &[writable, "nosuid", "noexec", "nodev"]),
        // Whose queues they are, the IPC namespace says.
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    out.extend(shm(record, facts)?);
    let taken = |to: &str, list: &[Value]| list.iter().any(|mount| mount["destination"] == to);
    // What the user mounts at such a place replaces it.
    let mut asked: Vec<Value> =
        facts.mounts.iter().cloned().chain(record.mounts.iter().map(volume)).collect();
    // A volume at /etc does not hide /etc/hosts.
    asked.sort_by_key(|mount| mount["destination"].as_str().map_or(0, depth));
    out.retain(|mount| !taken(mount["destination"].as_str().unwrap_or_default(), &asked));
    out.extend(asked);
    if record.flags.basics.init {
        out.push(json!({ "destination": INIT, "type": "bind", "source": facts.own_program,
                         "options": ["bind", "ro", "rprivate"] }));
    }
    Ok(out)
}

/// How many names a path has: what is mounted on something that is mounted comes later.
pub fn depth(path: &str) -> usize {
    path.split('/').filter(|part| !part.is_empty()).count()
}

fn shm(record: &Record, facts: &Facts) -> Result<Option<Value>> {
    let isolation = &record.flags.isolation;
    let size = isolation.shm_size.as_deref().map(|text| units::bytes("shm-size", text));
    let size = size.transpose()?.filter(|size| *size > 0).unwrap_or(SHM);
    Ok(match (namespaces::ipc(record)?, &facts.joined.shm) {
        (Mode::Host, _) => Some(bind("/dev/shm", "/dev/shm", &[])),
        (_, Some(shm)) => {
            Some(bind(&shm.to_string_lossy(), "/dev/shm", &["nosuid", "noexec", "nodev"]))
        }
        _ if isolation.ipc.as_deref() == Some("none") => None,
        _ => Some(json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", format!("size={size}")] })),
    })
}

/// The entry of a mount that was asked for.
fn volume(mount: &Mount) -> Value {
    json!({ "destination": mount.target, "type": mount.fs_type(), "source": mount.source,
            "options": mount.options })
}

/// Size of `/dev/shm` of a container that shares it, in bytes.
///
/// # Errors
/// `--shm-size` is no size.
pub fn shm_size(record: &Record) -> Result<i64> {
    let size = record.flags.isolation.shm_size.as_deref();
    let size = size.map(|text| units::bytes("shm-size", text)).transpose()?;
    Ok(size.filter(|size| *size > 0).unwrap_or(SHM))
}

/// A bind mount that sees nothing of later mounts, as Docker's are.
pub fn bind(from: &str, to: &str, more: &[&str]) -> Value {
    let options = [&["rbind", "rprivate"], more].concat();
    json!({ "destination": to, "type": "bind", "source": from, "options": options })
}
