//! Rules about the root, mounts, names, hooks and annotations (config.md).

use std::path::Path;

use oci_spec::runtime::{Hook, LinuxNamespaceType, Mount};

use super::{Asked, Fault, Rule, Verdict, ensure, set};
use crate::host::kernel;
use crate::plan::mounts::mappings;

/// Bytes of a host or domain name (`__NEW_UTS_LEN`, sethostname(2)).
const NAME_MAX: usize = 64;

pub(super) static RULES: &[Rule] = &[
    Rule {
        field: "kernel",
        words: "the calls of the create path are there",
        section: "mount_setattr(2)",
        check: kernel_is_young_enough,
    },
    Rule {
        field: "root",
        words: "the root file system is required",
        section: "config.md, \"Root\"",
        check: root_is_set,
    },
    Rule {
        field: "mounts",
        words: "a mount needs a destination",
        section: "config.md, \"Mounts\"",
        check: destinations_are_set,
    },
    Rule {
        field: "mounts",
        words: "uidMappings and gidMappings of a mount come together",
        section: "config.md, \"POSIX-platform Mounts\"",
        check: mount_mappings_come_together,
    },
    Rule {
        field: "mounts",
        words: "an id-mapped mount is a bind mount with mappings of its own or the container's",
        section: "config.md, \"Linux mount options\"",
        check: idmaps_have_mappings,
    },
    Rule {
        field: "hostname",
        words: "a host name needs a UTS namespace and fits into 64 bytes",
        section: "config.md, \"Hostname\"",
        check: |asked| name_fits(asked, "hostname", asked.spec.oci.hostname()),
    },
    Rule {
        field: "domainname",
        words: "a domain name needs a UTS namespace and fits into 64 bytes",
        section: "config.md, \"Domainname\"",
        check: |asked| name_fits(asked, "domainname", asked.spec.oci.domainname()),
    },
    Rule {
        field: "hooks",
        words: "the path of a hook is absolute and its timeout is greater than zero",
        section: "config.md, \"POSIX-platform Hooks\"",
        check: hooks_are_legal,
    },
    Rule {
        field: "annotations",
        words: "the key of an annotation is not empty",
        section: "config.md, \"Annotations\"",
        check: annotations_have_keys,
    },
];

/// What the specification tolerates and the user should change.
pub(super) fn warnings(asked: Asked<'_>) -> Vec<String> {
    let relative = mounts(asked).filter(|(_, mount)| !mount.destination().is_absolute());
    let relative = relative.map(|(index, mount)| {
        let to = mount.destination().display();
        format!(
            "mounts[{index}].destination: {to} is relative, which is deprecated; taken as /{to}"
        )
    });
    asked.spec.warnings.iter().cloned().chain(relative).collect()
}

fn mounts(asked: Asked<'_>) -> impl Iterator<Item = (usize, &Mount)> {
    asked.spec.oci.mounts().iter().flatten().enumerate()
}

fn kernel_is_young_enough(asked: Asked<'_>) -> Verdict {
    let (major, minor) = kernel::OLDEST;
    ensure(asked.host.kernel.at_least(kernel::OLDEST), || {
        Fault::new(format!("Linux {} is older than {major}.{minor}", asked.host.kernel.release))
            .hint("every long-term kernel since 5.15 will do")
    })
}

fn root_is_set(asked: Asked<'_>) -> Verdict {
    let root = asked.spec.oci.root().as_ref().ok_or_else(|| Fault::new("must be specified"))?;
    ensure(root.path() != Path::new(""), || Fault::at("root.path", "must not be empty"))
}

fn destinations_are_set(asked: Asked<'_>) -> Verdict {
    for (index, mount) in mounts(asked) {
        let field = || format!("mounts[{index}].destination");
        ensure(mount.destination() != Path::new(""), || Fault::at(field(), "must not be empty"))?;
    }
    Ok(())
}

fn mount_mappings_come_together(asked: Asked<'_>) -> Verdict {
    for (index, mount) in mounts(asked) {
        let count = |mappings: &Option<Vec<_>>| mappings.as_ref().map_or(0, Vec::len);
        let (uids, gids) = (count(mount.uid_mappings()), count(mount.gid_mappings()));
        ensure((uids == 0) == (gids == 0), || {
            let missing = if uids == 0 { "uidMappings" } else { "gidMappings" };
            Fault::at(format!("mounts[{index}]"), format!("{missing} are missing"))
        })?;
    }
    Ok(())
}

fn idmaps_have_mappings(asked: Asked<'_>) -> Verdict {
    for (index, mount) in mounts(asked) {
        let has = |names: &[&str]| {
            mount.options().iter().flatten().any(|option| names.contains(&option.as_str()))
        };
        let fault = |why: &str| Fault::at(format!("mounts[{index}]"), why);
        let own = mappings::of(mount, asked.linux()).map_err(|why| fault(&why))?.is_some();
        if !own && !mount.options().iter().flatten().any(|option| mappings::asks(option).is_some())
        {
            continue;
        }
        let bind = has(&["bind", "rbind"]) || mount.typ().as_deref() == Some("bind");
        ensure(bind, || fault("id-mapped mounts are only supported for bind-mounts"))?;
        ensure(own || asked.has_namespace(LinuxNamespaceType::User), || {
            fault(
                "id-mapped mounts must have both uid and gid mappings specified, or a user namespace",
            )
        })?;
    }
    Ok(())
}

fn name_fits(asked: Asked<'_>, field: &'static str, name: &Option<String>) -> Verdict {
    let Some(name) = set(name) else { return Ok(()) };
    ensure(asked.has_namespace(LinuxNamespaceType::Uts), || {
        Fault::new(format!("unable to set {field} without a private UTS namespace"))
            .hint("add {\"type\": \"uts\"} to linux.namespaces")
    })?;
    ensure(name.len() <= NAME_MAX && !name.contains('\0'), || {
        Fault::new(format!("{} bytes do not fit into {NAME_MAX}", name.len()))
    })
}

fn hooks_are_legal(asked: Asked<'_>) -> Verdict {
    let Some(hooks) = asked.spec.oci.hooks() else { return Ok(()) };
    let lists: [(&str, &Option<Vec<Hook>>); 6] = [
        ("prestart", hooks.prestart()),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ];
    for (kind, list) in lists {
        for (index, hook) in list.iter().flatten().enumerate() {
            let field = |member: &str| format!("hooks.{kind}[{index}].{member}");
            ensure(hook.path().is_absolute(), || {
                Fault::at(field("path"), format!("{:?} is not an absolute path", hook.path()))
            })?;
            ensure(hook.timeout().is_none_or(|seconds| seconds > 0), || {
                Fault::at(field("timeout"), "must be greater than zero")
            })?;
        }
    }
    Ok(())
}

fn annotations_have_keys(asked: Asked<'_>) -> Verdict {
    let annotations = asked.spec.oci.annotations();
    let empty = annotations.as_ref().is_some_and(|keys| keys.contains_key(""));
    ensure(!empty, || Fault::new("a key is empty"))
}
