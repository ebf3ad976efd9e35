//! What the program may do: capability sets, no_new_privs, security labels.
//!
//! A set that cannot be granted is narrowed with a warning, never widened (config.md, process
//! capabilities; CVE-2022-29162: inheritable is exactly what was asked).

use std::ffi::CString;
use std::str::FromStr;

use oci_spec::runtime::{Capabilities, Process};
use serde::{Serialize, Serializer};

use crate::error::{Error, Result, Step};
use crate::plan::text;

/// The five capability sets as bit masks (capabilities(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapSets {
    /// What execve can ever give.
    pub bounding: u64,
    /// What the kernel checks.
    pub effective: u64,
    /// What survives execve of a file with inheritable capabilities.
    pub inheritable: u64,
    /// What can be made effective.
    pub permitted: u64,
    /// What survives execve of an ordinary file.
    pub ambient: u64,
}

impl Serialize for CapSets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = |mask: u64| -> Vec<String> {
            let all = caps::all().into_iter();
            let mut named: Vec<_> = all.filter(|cap| mask & cap.bitmask() != 0).collect();
            named.sort_unstable_by_key(caps::Capability::index);
            named.iter().map(ToString::to_string).collect()
        };
        serializer.collect_map([
            ("bounding", names(self.bounding)),
            ("effective", names(self.effective)),
            ("inheritable", names(self.inheritable)),
            ("permitted", names(self.permitted)),
            ("ambient", names(self.ambient)),
        ])
    }
}

/// The decided security of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecurityPlan {
    /// The capability sets; none are left when the configuration asks for none.
    pub caps: CapSets,
    /// The highest capability of the kernel: bounding is dropped up to here.
    pub last_cap: u8,
    /// prctl(PR_SET_NO_NEW_PRIVS).
    pub no_new_privileges: bool,
    /// Text for `/proc/thread-self/attr/apparmor/exec`.
    #[serde(serialize_with = "text::optional")]
    pub apparmor: Option<CString>,
    /// Text for `/proc/thread-self/attr/exec`.
    #[serde(serialize_with = "text::optional")]
    pub selinux: Option<CString>,
}

/// What the host can grant.
#[derive(Clone, Copy, Debug)]
pub struct Grantable {
    /// Capabilities that init will hold before it drops any: our own, or all in a new user
    /// namespace.
    pub caps: u64,
    /// `/proc/sys/kernel/cap_last_cap`.
    pub last_cap: u8,
    /// We are under an AppArmor profile ourselves.
    pub confined: bool,
}

/// Decides the security of `process`; what had to be left out is added to `warnings`.
///
/// # Errors
/// A NUL byte in a label.
pub fn build(
    process: &Process,
    grantable: Grantable,
    warnings: &mut Vec<String>,
) -> Result<SecurityPlan> {
    let label = |field: &str, prefix: &str, text: &Option<String>| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => CString::new(format!("{prefix}{text}"))
            .map(Some)
            .map_err(|_| Error::rule(Step::CheckConfig, field, "has a NUL byte")),
    };
    // Under no_new_privs the kernel lets a confined process only add to what confines it.
    let change = match process.no_new_privileges() == Some(true) && grantable.confined {
        true => "stack ",
        false => "exec ",
    };
    Ok(SecurityPlan {
        caps: cap_sets(process, grantable, warnings),
        last_cap: grantable.last_cap,
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        apparmor: label("process.apparmorProfile", change, process.apparmor_profile())?,
        selinux: label("process.selinuxLabel", "", process.selinux_label())?,
    })
}

fn cap_sets(process: &Process, grantable: Grantable, warnings: &mut Vec<String>) -> CapSets {
    let Some(asked) = process.capabilities() else { return CapSets::default() };
    let mut grant = |set: &str, asked: &Option<Capabilities>, within: u64, why: &str| {
        let asked = asked.as_ref().map_or(0, mask);
        let refused = asked & !within;
        if refused != 0 {
            let names = names(refused).join(", ");
            warnings.push(format!("process.capabilities.{set}: {names} left out: {why}"));
        }
        asked & within
    };
    let held = "this runtime does not hold it here";
    let bounding = grant("bounding", asked.bounding(), grantable.caps, held);
    let permitted = grant("permitted", asked.permitted(), grantable.caps, held);
    let inheritable = grant("inheritable", asked.inheritable(), grantable.caps, held);
    let effective =
        grant("effective", asked.effective(), permitted, "it is not in the permitted set");
    let within = permitted & inheritable;
    let ambient = asked.ambient().as_ref().map_or(0, mask);
    for name in names(ambient & !within) {
        // runc's words.
        warnings.push(format!(
            "can't raise ambient capability {name}: it is not in both the permitted and the \
             inheritable set"
        ));
    }
    let ambient = ambient & within;
    CapSets { bounding, effective, inheritable, permitted, ambient }
}

/// The bit mask of a set of capabilities.
fn mask(set: &Capabilities) -> u64 {
    set.iter().filter_map(|cap| number(&cap.to_string())).fold(0, |mask, bit| mask | 1 << bit)
}

/// The number of a capability; `name` in the specification's or in strum's spelling.
fn number(name: &str) -> Option<u8> {
    let plain = name.trim_start_matches("CAP_").replace('_', "");
    let same = |cap: &caps::Capability| {
        cap.to_string().trim_start_matches("CAP_").replace('_', "") == plain
    };
    caps::Capability::from_str(name)
        .ok()
        .or_else(|| caps::all().into_iter().find(same))
        .map(|cap| cap.index())
}

fn names(mask: u64) -> Vec<String> {
    let mut all: Vec<_> = caps::all().into_iter().filter(|cap| mask & cap.bitmask() != 0).collect();
    all.sort_unstable_by_key(caps::Capability::index);
    all.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(caps: &serde_json::Value) -> Process {
        serde_json::from_value(serde_json::json!({
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "capabilities": caps}))
        .unwrap()
    }

    const ALL: Grantable = Grantable { caps: (1 << 41) - 1, last_cap: 40, confined: false };

    #[test]
    fn every_capability_of_the_kernel_has_its_number() {
        let names: Vec<_> = caps::all().iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 41);
        let process = process(&serde_json::json!({"bounding": names}));
        let plan = build(&process, ALL, &mut Vec::new()).unwrap();
        assert_eq!(plan.caps.bounding, ALL.caps);
    }

    #[test]
    fn nothing_asked_is_nothing_kept() {
        let process =
            serde_json::from_value(serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/"}))
                .unwrap();
        let plan = build(&process, ALL, &mut Vec::new()).unwrap();
        assert_eq!(plan.caps, CapSets::default());
    }

    #[test]
    fn what_cannot_be_granted_is_left_out_with_a_warning() {
        let process = process(&serde_json::json!({
            "bounding": ["CAP_KILL", "CAP_SYS_RESOURCE"], "permitted": ["CAP_KILL"],
            "effective": ["CAP_KILL", "CAP_CHOWN"], "ambient": ["CAP_KILL"]}));
        let mut warnings = Vec::new();
        let grantable = Grantable { caps: ALL.caps & !(1 << 24), ..ALL };
        let plan = build(&process, grantable, &mut warnings).unwrap();
        let kill = 1 << 5;
        assert_eq!(
            plan.caps,
            CapSets {
                bounding: kill,
                effective: kill,
                permitted: kill,
                inheritable: 0,
                ambient: 0
            }
        );
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings[0].contains("CAP_SYS_RESOURCE"));
        assert!(warnings[2].starts_with("can't raise ambient capability CAP_KILL: "));
    }

    #[test]
    fn a_confined_caller_stacks_profiles_under_no_new_privileges() {
        let text = |no_new_privileges: bool, confined: bool| {
            let process = serde_json::from_value(serde_json::json!({
                "user": {"uid": 0, "gid": 0}, "cwd": "/", "apparmorProfile": "p",
                "noNewPrivileges": no_new_privileges}))
            .unwrap();
            let plan = build(&process, Grantable { confined, ..ALL }, &mut Vec::new()).unwrap();
            plan.apparmor.unwrap().into_string().unwrap()
        };
        assert_eq!(text(true, true), "stack p");
        for (no_new_privileges, confined) in [(false, true), (true, false), (false, false)] {
            assert_eq!(text(no_new_privileges, confined), "exec p");
        }
    }
}
