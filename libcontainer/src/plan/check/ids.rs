//! Rules about user namespaces and their mappings (config-linux.md; user_namespaces(7)).

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Process};

use super::{Asked, Fault, Rule, Verdict, ensure};
use crate::plan::mounts::mappings;

pub(super) static RULES: &[Rule] = &[
    Rule {
        field: "linux.namespaces",
        words: "without root's rights a container needs a user namespace",
        section: "user_namespaces(7); runc, \"Rootless\"",
        check: rootless_needs_a_user_namespace,
    },
    Rule {
        field: "linux.uidMappings",
        words: "a new user namespace has mappings, and mappings have a user namespace",
        section: "config-linux.md, \"User namespace mappings\"",
        check: mappings_belong_to_a_user_namespace,
    },
    Rule {
        field: "linux.uidMappings",
        words: "ranges have a size, stay below 4294967295 and do not overlap",
        section: "user_namespaces(7), \"Defining user and group ID mappings\"",
        check: ranges_are_legal,
    },
    Rule {
        field: "process.user",
        words: "the ids of the process are mapped in a new user namespace",
        section: "user_namespaces(7)",
        check: process_ids_are_mapped,
    },
];

fn mappings<'a>(asked: Asked<'a>) -> [(&'static str, &'a [LinuxIdMapping]); 2] {
    let linux = asked.linux();
    let uids = linux.and_then(|linux| linux.uid_mappings().as_deref()).unwrap_or_default();
    let gids = linux.and_then(|linux| linux.gid_mappings().as_deref()).unwrap_or_default();
    [("linux.uidMappings", uids), ("linux.gidMappings", gids)]
}

fn rootless_needs_a_user_namespace(asked: Asked<'_>) -> Verdict {
    if asked.host.euid == 0 {
        return Ok(());
    }
    ensure(asked.has_namespace(LinuxNamespaceType::User), || {
        Fault::new("rootless container requires user namespaces")
            .hint("add {\"type\": \"user\"} and mappings, as `spec --rootless` writes them")
    })
}

fn mappings_belong_to_a_user_namespace(asked: Asked<'_>) -> Verdict {
    let user = LinuxNamespaceType::User;
    for (field, list) in mappings(asked) {
        ensure(list.is_empty() || asked.has_namespace(user), || {
            let why =
                "user namespace mappings specified, but user namespace isn't enabled in the config";
            Fault::at(field, why).hint("add {\"type\": \"user\"} to linux.namespaces")
        })?;
        ensure(!list.is_empty() || !asked.has_new_namespace(user), || {
            let why = "user namespaces enabled, but no namespace path to join nor mappings to apply specified";
            Fault::at(field, why)
        })?;
    }
    Ok(())
}

fn ranges_are_legal(asked: Asked<'_>) -> Verdict {
    for (field, list) in mappings(asked) {
        list_is_legal(field, list)?;
    }
    for (index, mount) in asked.spec.oci.mounts().iter().flatten().enumerate() {
        // What is no mapping at all is refused where mounts are.
        let Ok(Some(own)) = mappings::of(mount, asked.linux()) else { continue };
        for (member, list) in [("uidMappings", &own.uids), ("gidMappings", &own.gids)] {
            list_is_legal(&format!("mounts[{index}].{member}"), list)?;
        }
    }
    Ok(())
}

fn list_is_legal(field: &str, list: &[LinuxIdMapping]) -> Verdict {
    for (index, map) in list.iter().enumerate() {
        let fault = |why: String| Fault::at(format!("{field}[{index}]"), why);
        ensure(map.size() > 0, || fault("size is 0".into()))?;
        for id in [map.container_id(), map.host_id()] {
            let fits = id.checked_add(map.size()).is_some();
            ensure(fits, || fault(format!("{id} + {} is no id", map.size())))?;
        }
        let overlaps = |other: &&LinuxIdMapping| {
            touch(map.container_id(), map.size(), other.container_id(), other.size())
                || touch(map.host_id(), map.size(), other.host_id(), other.size())
        };
        let other = list[..index].iter().position(|other| overlaps(&other));
        ensure(other.is_none(), || fault(format!("overlaps entry {}", other.unwrap_or_default())))?;
    }
    Ok(())
}

fn touch(a: u32, a_size: u32, b: u32, b_size: u32) -> bool {
    let (a, b) = (u64::from(a), u64::from(b));
    a < b + u64::from(b_size) && b < a + u64::from(a_size)
}

fn process_ids_are_mapped(asked: Asked<'_>) -> Verdict {
    if !asked.has_new_namespace(LinuxNamespaceType::User) {
        return Ok(());
    }
    let Some(user) = asked.process().map(Process::user) else { return Ok(()) };
    let [(_, uids), (_, gids)] = mappings(asked);
    let groups = user.additional_gids().iter().flatten().map(|gid| ("additionalGids", *gid, gids));
    let ids = [("uid", user.uid(), uids), ("gid", user.gid(), gids)];
    for (member, id, list) in ids.into_iter().chain(groups) {
        ensure(list.iter().any(|map| touch(id, 1, map.container_id(), map.size())), || {
            let field = format!("process.user.{member}");
            Fault::at(field, format!("{id} is not mapped in the container's user namespace"))
        })?;
    }
    Ok(())
}
