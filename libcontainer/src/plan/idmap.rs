//! User and group id mappings of a new user namespace (user_namespaces(7)).
//!
//! Written by the parent to `/proc/PID/{uid,gid}_map`, see `create::stage`.

use std::fmt::Write as _;

use oci_spec::runtime::{Linux, LinuxIdMapping};
use serde::Serialize;

use crate::error::{Error, Result, Step};
use crate::plan::text;

/// Lines a map file takes (Linux 4.15).
pub const MAX_EXTENTS: usize = 340;

/// The decided maps; both empty without a new user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IdMapPlan {
    /// Content of `uid_map`.
    #[serde(serialize_with = "text::bytes")]
    pub uid: Vec<u8>,
    /// Content of `gid_map`.
    #[serde(serialize_with = "text::bytes")]
    pub gid: Vec<u8>,
    /// Whether container uid 0 exists: init works as root of its namespace when it does.
    pub root_uid: bool,
    /// Whether container gid 0 exists.
    pub root_gid: bool,
    /// `deny` goes to `/proc/PID/setgroups` first: an unprivileged writer of `gid_map` must give
    /// up setgroups(2) (CVE-2014-8989, Linux 3.19).
    pub deny_setgroups: bool,
}

/// Decides the maps; `privileged` says whether we hold CAP_SETUID and CAP_SETGID over the host.
///
/// # Errors
/// More than [`MAX_EXTENTS`] lines.
pub fn build(linux: Option<&Linux>, privileged: bool) -> Result<IdMapPlan> {
    let Some(linux) = linux else { return Ok(IdMapPlan::default()) };
    let none = Vec::new();
    let uids = linux.uid_mappings().as_ref().unwrap_or(&none);
    let gids = linux.gid_mappings().as_ref().unwrap_or(&none);
    Ok(IdMapPlan {
        uid: lines("linux.uidMappings", uids)?,
        gid: lines("linux.gidMappings", gids)?,
        root_uid: maps_root(uids),
        root_gid: maps_root(gids),
        deny_setgroups: !privileged && !gids.is_empty(),
    })
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

    #[test]
    fn maps_are_written_container_first() {
        let linux = serde_json::from_value(serde_json::json!({
            "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
            "gidMappings": [{"containerID": 1, "hostID": 1, "size": 1}]}))
        .unwrap();
        let plan = build(Some(&linux), true).unwrap();
        assert_eq!(plan.uid, b"0 100000 65536\n");
        assert_eq!(plan.gid, b"1 1 1\n");
        assert_eq!((plan.root_uid, plan.root_gid, plan.deny_setgroups), (true, false, false));
        assert!(build(Some(&linux), false).unwrap().deny_setgroups);
    }
}
