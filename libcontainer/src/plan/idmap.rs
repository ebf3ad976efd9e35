//! User and group id mappings of a new user namespace (user_namespaces(7)).
//!
//! Decided here: the text of the maps, and who writes it. The kernel lets us write any map with
//! CAP_SETUID (CAP_SETGID for groups) over our own user namespace, and without it our own id alone,
//! which costs setgroups(2). Other ids of an ordinary user are handed out by newuidmap(1) and
//! newgidmap(1), from the ranges of subuid(5) and subgid(5). Carried out by `create::idmap`.

use std::fmt::Write as _;

use oci_spec::runtime::{Linux, LinuxIdMapping};
use serde::Serialize;

use crate::error::{Error, Result, Step};
use crate::host::Host;
use crate::plan::text;

/// Lines a map file takes (Linux 4.15).
pub const MAX_EXTENTS: usize = 340;
/// capabilities(7)
const CAP_SETGID: u8 = 6;
/// capabilities(7)
const CAP_SETUID: u8 = 7;

/// The decided maps; both empty without a new user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IdMapPlan {
    /// Content of `uid_map`.
    #[serde(serialize_with = "text::bytes")]
    pub uid: Vec<u8>,
    /// Content of `gid_map`.
    #[serde(serialize_with = "text::bytes")]
    pub gid: Vec<u8>,
    /// Who writes `uid_map`.
    pub uid_writer: Writer,
    /// Who writes `gid_map`.
    pub gid_writer: Writer,
    /// Whether container uid 0 exists: init works as root of its namespace when it does.
    pub root_uid: bool,
    /// Whether container gid 0 exists.
    pub root_gid: bool,
    /// `deny` goes to `/proc/PID/setgroups` first: an unprivileged writer of `gid_map` must give
    /// up setgroups(2) (CVE-2014-8989, Linux 3.19).
    pub deny_setgroups: bool,
}

/// Who writes a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Writer {
    /// We do: the kernel allows it.
    #[default]
    Runtime,
    /// newuidmap(1) or newgidmap(1).
    Tool,
}

/// Decides the maps and their writers.
///
/// # Errors
/// More than [`MAX_EXTENTS`] lines.
pub fn build(linux: Option<&Linux>, host: &Host) -> Result<IdMapPlan> {
    let Some(linux) = linux else { return Ok(IdMapPlan::default()) };
    let none = Vec::new();
    let uids = linux.uid_mappings().as_ref().unwrap_or(&none);
    let gids = linux.gid_mappings().as_ref().unwrap_or(&none);
    Ok(IdMapPlan {
        uid: lines("linux.uidMappings", uids)?,
        gid: lines("linux.gidMappings", gids)?,
        uid_writer: writer(uids, host.has_cap(CAP_SETUID), host.euid),
        gid_writer: gid_writer(gids, host),
        root_uid: maps_root(uids),
        root_gid: maps_root(gids),
        deny_setgroups: gives_up_setgroups(gids, host),
    })
}

/// Whether an unprivileged user must give up setgroups(2) for this group map.
pub fn gives_up_setgroups(gids: &[LinuxIdMapping], host: &Host) -> bool {
    !gids.is_empty() && !host.has_cap(CAP_SETGID) && gid_writer(gids, host) == Writer::Runtime
}

fn gid_writer(gids: &[LinuxIdMapping], host: &Host) -> Writer {
    writer(gids, host.has_cap(CAP_SETGID), host.egid)
}

fn writer(mappings: &[LinuxIdMapping], privileged: bool, own: u32) -> Writer {
    match mappings {
        [] => Writer::Runtime,
        [only] if only.size() == 1 && only.host_id() == own => Writer::Runtime,
        _ if privileged => Writer::Runtime,
        _ => Writer::Tool,
    }
}

fn maps_root(mappings: &[LinuxIdMapping]) -> bool {
    mappings.iter().any(|map| map.container_id() == 0 && map.size() > 0)
}

/// The text of one map file: container id, host id, size.
///
/// # Errors
/// More than [`MAX_EXTENTS`] lines.
pub fn lines(field: &str, mappings: &[LinuxIdMapping]) -> Result<Vec<u8>> {
    if mappings.len() > MAX_EXTENTS {
        return Err(Error::rule(
            Step::CheckConfig,
            field,
            format!("{} lines, the kernel takes at most {MAX_EXTENTS}", mappings.len()),
        ));
    }
    let mut lines = String::new();
    for map in mappings {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{} {} {}", map.container_id(), map.host_id(), map.size());
    }
    Ok(lines.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linux(uids: &serde_json::Value, gids: &serde_json::Value) -> Linux {
        serde_json::from_value(serde_json::json!({ "uidMappings": uids, "gidMappings": gids }))
            .unwrap()
    }

    #[test]
    fn maps_are_written_container_first() {
        let linux = linux(
            &serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]),
            &serde_json::json!([{"containerID": 1, "hostID": 1, "size": 1}]),
        );
        let plan = build(Some(&linux), &Host::ideal()).unwrap();
        assert_eq!(plan.uid, b"0 100000 65536\n");
        assert_eq!(plan.gid, b"1 1 1\n");
        assert_eq!((plan.root_uid, plan.root_gid, plan.deny_setgroups), (true, false, false));
        assert_eq!((plan.uid_writer, plan.gid_writer), (Writer::Runtime, Writer::Runtime));
    }

    #[test]
    fn a_user_writes_its_own_id_and_asks_the_tools_for_others() {
        let user = Host { euid: 1000, egid: 100, caps: 0, ..Host::ideal() };
        let one = |id: u32| serde_json::json!([{"containerID": 0, "hostID": id, "size": 1}]);
        let decided = |uids: &serde_json::Value, gids: &serde_json::Value| {
            let plan = build(Some(&linux(uids, gids)), &user).unwrap();
            (plan.uid_writer, plan.gid_writer, plan.deny_setgroups)
        };
        assert_eq!(decided(&one(1000), &one(100)), (Writer::Runtime, Writer::Runtime, true));
        assert_eq!(decided(&one(1001), &one(1000)), (Writer::Tool, Writer::Tool, false));
        let two = serde_json::json!([{"containerID": 0, "hostID": 1000, "size": 1},
            {"containerID": 1, "hostID": 100_000, "size": 65536}]);
        assert_eq!(decided(&two, &one(100)), (Writer::Tool, Writer::Runtime, true));
        // Root of a user namespace, as podman's without root.
        let nested = Host { euid: 0, egid: 0, initial_user_ns: false, ..Host::ideal() };
        let plan = build(Some(&linux(&two, &two)), &nested).unwrap();
        assert_eq!((plan.uid_writer, plan.deny_setgroups), (Writer::Runtime, false));
    }
}
