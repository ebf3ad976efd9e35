//! Which namespaces are made, which are joined, and by which route init gets there.
//!
//! `create::stage` walks the route; nothing is opened here.

use std::ffi::CString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use oci_spec::runtime::{Linux, LinuxNamespaceType};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Step};
use crate::plan::text;

/// A kind of namespace, in the order in which `setns` is tried (namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// user_namespaces(7)
    User,
    /// pid_namespaces(7)
    Pid,
    /// time_namespaces(7), Linux 5.6
    Time,
    /// network_namespaces(7)
    Network,
    /// ipc_namespaces(7)
    Ipc,
    /// uts_namespaces(7)
    Uts,
    /// cgroup_namespaces(7), Linux 4.6
    Cgroup,
    /// mount_namespaces(7)
    Mount,
}

impl Kind {
    /// Every kind. Mount is last: joining it changes root and working directory.
    pub const ALL: [Kind; 8] = [
        Kind::User,
        Kind::Pid,
        Kind::Time,
        Kind::Network,
        Kind::Ipc,
        Kind::Uts,
        Kind::Cgroup,
        Kind::Mount,
    ];

    /// The `CLONE_NEW*` flag.
    pub const fn flag(self) -> u64 {
        match self {
            Kind::User => 0x1000_0000,
            Kind::Pid => 0x2000_0000,
            Kind::Time => 0x0000_0080,
            Kind::Network => 0x4000_0000,
            Kind::Ipc => 0x0800_0000,
            Kind::Uts => 0x0400_0000,
            Kind::Cgroup => 0x0200_0000,
            Kind::Mount => 0x0002_0000,
        }
    }

    /// The name below `/proc/PID/ns`.
    pub const fn proc_name(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Pid => "pid",
            Kind::Time => "time",
            Kind::Network => "net",
            Kind::Ipc => "ipc",
            Kind::Uts => "uts",
            Kind::Cgroup => "cgroup",
            Kind::Mount => "mnt",
        }
    }

    /// The specification's word for it (config-linux.md, "Namespaces").
    pub const fn spec_name(self) -> &'static str {
        match self {
            Kind::Network => "network",
            Kind::Mount => "mount",
            other => other.proc_name(),
        }
    }

    const fn of(spec: LinuxNamespaceType) -> Self {
        match spec {
            LinuxNamespaceType::User => Kind::User,
            LinuxNamespaceType::Pid => Kind::Pid,
            LinuxNamespaceType::Time => Kind::Time,
            LinuxNamespaceType::Network => Kind::Network,
            LinuxNamespaceType::Ipc => Kind::Ipc,
            LinuxNamespaceType::Uts => Kind::Uts,
            LinuxNamespaceType::Cgroup => Kind::Cgroup,
            LinuxNamespaceType::Mount => Kind::Mount,
        }
    }
}

/// An existing namespace that init enters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Join {
    /// Its kind: `setns` refuses a file of another.
    pub kind: Kind,
    /// Where it lies, on the host.
    #[serde(serialize_with = "text::one")]
    pub path: CString,
}

/// How init is born.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    /// One clone3 with every new namespace.
    #[default]
    Direct,
    /// A short-lived process in between: a pid or time namespace takes effect for children only,
    /// a joined user namespace must own the new ones, what is joined may belong to the host while
    /// the user namespace is new, and time offsets are frozen as soon as a process lives in the
    /// namespace.
    Bridge,
}

/// The decided namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NamespacePlan {
    /// Made for this container.
    pub new: Vec<Kind>,
    /// Entered by path.
    pub join: Vec<Join>,
    /// Those of an existing container that a further process enters, all at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enter: Vec<Kind>,
    /// How init gets there.
    pub route: Route,
    /// Lines for `/proc/self/timens_offsets`; empty when the clocks stay as they are.
    #[serde(serialize_with = "text::bytes")]
    pub time_offsets: Vec<u8>,
}

impl NamespacePlan {
    /// Whether a namespace of this kind is made.
    pub fn is_new(&self, kind: Kind) -> bool {
        self.new.contains(&kind)
    }

    /// Whether the container has a namespace of this kind apart from the caller's.
    pub fn has(&self, kind: Kind) -> bool {
        let joined = || self.join.iter().any(|join| join.kind == kind);
        self.is_new(kind) || self.enter.contains(&kind) || joined()
    }

    /// The `CLONE_NEW*` bits of the new namespaces among `kinds`.
    pub fn flags(&self, kinds: &[Kind]) -> u64 {
        self.new.iter().filter(|kind| kinds.contains(kind)).fold(0, |bits, kind| bits | kind.flag())
    }
}

/// Decides the namespaces of `linux.namespaces` and `linux.timeOffsets`.
///
/// # Errors
/// A path with a NUL byte. Legality of the combination is `plan::check`'s.
pub fn build(linux: Option<&Linux>) -> Result<NamespacePlan> {
    let mut plan = NamespacePlan::default();
    let Some(linux) = linux else { return Ok(plan) };
    for namespace in linux.namespaces().iter().flatten() {
        let kind = Kind::of(namespace.typ());
        match namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty()) {
            None => plan.new.push(kind),
            Some(path) => plan.join.push(Join {
                kind,
                path: CString::new(path.as_os_str().as_bytes()).map_err(|_| {
                    Error::rule(Step::CheckConfig, "linux.namespaces[].path", "has a NUL byte")
                })?,
            }),
        }
    }
    plan.new.sort_unstable_by_key(|kind| Kind::ALL.iter().position(|other| other == kind));
    plan.join.sort_unstable_by_key(|join| Kind::ALL.iter().position(|other| *other == join.kind));
    plan.time_offsets = time_offsets(linux);
    let for_children = |join: &Join| matches!(join.kind, Kind::User | Kind::Pid | Kind::Time);
    // In a new user namespace nobody may enter what the host's owns: that comes before.
    let enters_first = plan.is_new(Kind::User) && !plan.join.is_empty();
    if enters_first || plan.join.iter().any(for_children) || !plan.time_offsets.is_empty() {
        plan.route = Route::Bridge;
    }
    Ok(plan)
}

/// One line per clock, as `/proc/PID/timens_offsets` wants them (time_namespaces(7)).
fn time_offsets(linux: &Linux) -> Vec<u8> {
    let mut clocks: Vec<_> = linux.time_offsets().iter().flatten().collect();
    clocks.sort_unstable_by_key(|(clock, _)| clock.as_str());
    let mut lines = String::new();
    for (clock, offset) in clocks {
        let (secs, nanosecs) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        if (secs, nanosecs) != (0, 0) {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{clock} {secs} {nanosecs}");
        }
    }
    lines.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linux(json: serde_json::Value) -> Linux {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn new_namespaces_go_by_one_clone() {
        let linux = linux(serde_json::json!({"namespaces": [
            {"type": "mount"}, {"type": "pid"}, {"type": "user"}, {"type": "network", "path": ""}]}));
        let plan = build(Some(&linux)).unwrap();
        assert_eq!(plan.route, Route::Direct);
        assert_eq!(plan.new, [Kind::User, Kind::Pid, Kind::Network, Kind::Mount]);
        assert_eq!(plan.flags(&Kind::ALL), 0x7002_0000);
    }

    #[test]
    fn joined_pid_needs_a_bridge_and_joined_net_does_not() {
        let pid = linux(serde_json::json!({"namespaces": [{"type": "pid", "path": "/p"}]}));
        assert_eq!(build(Some(&pid)).unwrap().route, Route::Bridge);
        let user = linux(serde_json::json!({"namespaces": [
            {"type": "user"}, {"type": "network", "path": "/n"}]}));
        assert_eq!(build(Some(&user)).unwrap().route, Route::Bridge);
        let net = linux(serde_json::json!({"namespaces": [{"type": "network", "path": "/p"}]}));
        let plan = build(Some(&net)).unwrap();
        assert_eq!(plan.route, Route::Direct);
        assert!(plan.has(Kind::Network) && !plan.is_new(Kind::Network));
    }

    #[test]
    fn time_offsets_are_lines_and_zero_ones_are_left_out() {
        let linux = linux(serde_json::json!({"namespaces": [{"type": "time"}],
            "timeOffsets": {"monotonic": {"secs": -5, "nanosecs": 7}, "boottime": {"secs": 0}}}));
        let plan = build(Some(&linux)).unwrap();
        assert_eq!(plan.time_offsets, b"monotonic -5 7\n");
        assert_eq!(plan.route, Route::Bridge);
    }
}
