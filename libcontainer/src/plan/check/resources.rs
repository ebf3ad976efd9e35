//! Rules about cgroup resources that hold for every hierarchy (config-linux.md,
//! "Control groups"). What one hierarchy can do is `plan::cgroup`'s.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxResources};

use super::{Asked, Fault, Rule, Verdict, ensure};

pub(super) static RULES: &[Rule] = &[
    Rule {
        field: "linux.resources.blockIO.weightDevice",
        words: "an entry has weight or leafWeight",
        section: "config-linux.md, \"Block IO\"",
        check: |asked| on_resources(asked, weights_are_set),
    },
    Rule {
        field: "linux.resources.rdma",
        words: "an entry has hcaHandles or hcaObjects",
        section: "config-linux.md, \"RDMA\"",
        check: |asked| on_resources(asked, rdma_is_set),
    },
    Rule {
        field: "linux.resources.hugepageLimits",
        words: "pageSize is a size such as 2MB, each at most once",
        section: "config-linux.md, \"Huge page limits\"",
        check: |asked| on_resources(asked, huge_pages_are_legal),
    },
    Rule {
        field: "linux.resources.unified",
        words: "a key is the name of one file of the cgroup, never of a process list",
        section: "config-linux.md, \"Unified\"; GHSA-5g49-rx9x-qfc6",
        check: |asked| on_resources(asked, unified_keys_are_files),
    },
    Rule {
        field: "linux.resources.devices",
        words: "access has r, w or m; numbers are -1 or more",
        section: "config-linux.md, \"Allowed Device list\"",
        check: |asked| on_resources(asked, device_rules_are_legal),
    },
];

/// The rules of [`RULES`] on limits alone, in the same order.
pub(super) fn verdicts(
    resources: &LinuxResources,
) -> impl Iterator<Item = (&'static Rule, Verdict)> {
    let checks: [fn(&LinuxResources) -> Verdict; 5] = [
        weights_are_set,
        rdma_is_set,
        huge_pages_are_legal,
        unified_keys_are_files,
        device_rules_are_legal,
    ];
    RULES.iter().zip(checks).map(move |(rule, check)| (rule, check(resources)))
}

fn on_resources(asked: Asked<'_>, check: fn(&LinuxResources) -> Verdict) -> Verdict {
    let resources = asked.linux().and_then(|linux| linux.resources().as_ref());
    resources.map_or(Ok(()), check)
}

fn weights_are_set(resources: &LinuxResources) -> Verdict {
    let devices = resources.block_io().iter().filter_map(|io| io.weight_device().as_ref());
    for (index, device) in devices.flatten().enumerate() {
        ensure(device.weight().is_some() || device.leaf_weight().is_some(), || {
            let field = format!("linux.resources.blockIO.weightDevice[{index}]");
            Fault::at(field, "has neither weight nor leafWeight")
        })?;
    }
    Ok(())
}

fn rdma_is_set(resources: &LinuxResources) -> Verdict {
    for (device, limits) in resources.rdma().iter().flatten() {
        ensure(limits.hca_handles().is_some() || limits.hca_objects().is_some(), || {
            let field = format!("linux.resources.rdma.{device}");
            Fault::at(field, "has neither hcaHandles nor hcaObjects")
        })?;
    }
    Ok(())
}

fn huge_pages_are_legal(resources: &LinuxResources) -> Verdict {
    let mut seen = std::collections::HashSet::new();
    for (index, limit) in resources.hugepage_limits().iter().flatten().enumerate() {
        let size = limit.page_size();
        let number = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit));
        let legal = number.is_some_and(|number| {
            !number.starts_with('0')
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        });
        let field = || format!("linux.resources.hugepageLimits[{index}].pageSize");
        ensure(legal, || Fault::at(field(), format!("{size:?} is not a page size")))?;
        ensure(seen.insert(size), || Fault::at(field(), format!("{size} is there twice")))?;
    }
    Ok(())
}

fn unified_keys_are_files(resources: &LinuxResources) -> Verdict {
    for key in resources.unified().iter().flat_map(|unified| unified.keys()) {
        let file = !key.is_empty() && key.contains('.') && !key.contains(['/', '\0', '\n']);
        ensure(file && ![".", ".."].contains(&key.as_str()), || {
            Fault::new(format!("{key:?} is not the name of a cgroup file"))
        })?;
        let moves = ["cgroup.procs", "cgroup.threads"].contains(&key.as_str());
        ensure(!moves, || Fault::new(format!("{key:?} moves processes and sets no resource")))?;
    }
    Ok(())
}

/// The kinds of access to a device.
const ACCESS: [char; 3] = ['r', 'w', 'm'];

fn device_rules_are_legal(resources: &LinuxResources) -> Verdict {
    for (index, rule) in resources.devices().iter().flatten().enumerate() {
        let fault = |why: String| Fault::at(format!("linux.resources.devices[{index}]"), why);
        let access = rule.access().as_deref().unwrap_or_default();
        ensure(access.is_empty() || access.contains(ACCESS), || {
            fault(format!("access {access:?} has none of the letters r, w, m"))
        })?;
        for number in [rule.major(), rule.minor()].into_iter().flatten() {
            ensure((-1..=i64::from(u32::MAX)).contains(&number), || {
                fault(format!("{number} is no device number"))
            })?;
        }
    }
    Ok(())
}

/// What deserves a warning: letters of a device rule that mean nothing. runc passes them over, so
/// that bundles have them.
pub(super) fn warnings(asked: Asked<'_>) -> Vec<String> {
    let resources = asked.linux().and_then(|linux| linux.resources().as_ref());
    let rules = resources.and_then(|resources| resources.devices().as_ref());
    let strange = |(index, rule): (usize, &LinuxDeviceCgroup)| {
        let access = rule.access().as_deref()?;
        let rest: String = access.chars().filter(|letter| !ACCESS.contains(letter)).collect();
        let field = format!("linux.resources.devices[{index}].access");
        (!rest.is_empty()).then(|| format!("{field}: ignoring {rest:?}, access is of r, w and m"))
    };
    rules.into_iter().flatten().enumerate().filter_map(strange).collect()
}
