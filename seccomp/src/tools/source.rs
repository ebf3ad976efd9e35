//! Profiles as engines keep them: rules that depend on capabilities, architecture and kernel.
//!
//! moby and containers/common read such a file for every container and write what is left of it
//! into `config.json`. [`Source::resolve`] does as they do. A profile of the specification is a
//! source without conditions.

use serde::{Deserialize, Deserializer};

use crate::arch::Arch;
use crate::error::Error;
use crate::profile::{ActionName, Arg, Operator, Profile, Syscalls, null_is_empty};

/// A profile file. What the specification requires must be there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    default_action: ActionName,
    default_errno_ret: Option<u32>,
    default_errno: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    architectures: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    arch_map: Vec<ArchMap>,
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    listener_metadata: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    syscalls: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    sub_architectures: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default, deserialize_with = "null_is_empty")]
    names: Vec<String>,
    name: Option<String>,
    action: ActionName,
    errno_ret: Option<u32>,
    errno: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    args: Vec<SourceArg>,
    includes: Option<When>,
    excludes: Option<When>,
}

/// An argument's condition, of which the specification leaves out `valueTwo` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceArg {
    index: usize,
    value: u64,
    #[serde(default, deserialize_with = "null_is_zero")]
    value_two: u64,
    op: Operator,
}

fn null_is_zero<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Option::<u64>::deserialize(from).map(Option::unwrap_or_default)
}

/// When a rule counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct When {
    #[serde(default, deserialize_with = "null_is_empty")]
    caps: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    arches: Vec<String>,
    min_kernel: Option<String>,
}

/// The container that a source is resolved for.
#[derive(Clone, Copy)]
pub struct Container<'a> {
    /// Architecture of the host.
    pub host: &'static Arch,
    /// Its bounding set, as `CAP_*`.
    pub capabilities: &'a [String],
    /// The kernel's major and minor version.
    pub kernel: (u32, u32),
    /// The number of an errno's name on `host`.
    pub errno: fn(&str) -> Option<u32>,
}

/// What an engine would write into `config.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The profile.
    pub profile: Profile,
    /// For each of its rules, the index in the file's `syscalls`.
    pub origins: Vec<usize>,
}

impl Source {
    /// Leaves out what is not for this container.
    ///
    /// # Errors
    /// `architectures` beside `archMap`, `name` beside `names`, an unknown errno or kernel.
    pub fn resolve(&self, to: &Container<'_>) -> Result<Resolved, Error> {
        let mut profile = Profile {
            default_action: self.default_action,
            default_errno_ret: errno(
                self.default_errno.as_deref(),
                self.default_errno_ret,
                to,
                "defaultErrno",
            )?,
            architectures: self.architectures(to.host)?,
            flags: self.flags.clone(),
            listener_path: self.listener_path.clone(),
            listener_metadata: self.listener_metadata.clone(),
            syscalls: Vec::new(),
        };
        let mut origins = Vec::new();
        for (at, rule) in self.syscalls.iter().enumerate() {
            let field = format!("syscalls[{at}]");
            if rule.counts(to, &field)? {
                profile.syscalls.push(rule.resolve(to, &field)?);
                origins.push(at);
            }
        }
        Ok(Resolved { profile, origins })
    }

    fn architectures(&self, host: &Arch) -> Result<Vec<String>, Error> {
        if !self.architectures.is_empty() && !self.arch_map.is_empty() {
            return Err(Error::new(
                "archMap",
                "is given beside architectures",
                "leave one of the two out",
            ));
        }
        let mut all = self.architectures.clone();
        if let Some(map) = self.arch_map.iter().find(|map| map.architecture == host.name) {
            all.push(map.architecture.clone());
            all.extend(map.sub_architectures.iter().cloned());
        }
        Ok(all)
    }
}

impl Rule {
    fn counts(&self, to: &Container<'_>, field: &str) -> Result<bool, Error> {
        let has = |cap: &String| to.capabilities.contains(cap);
        let kernel = |when: &When, side: &str| {
            let asked = when.min_kernel.as_deref().filter(|text| !text.is_empty());
            asked.map(|text| {
                let least = kernel(text).ok_or_else(|| {
                    let field = format!("{field}.{side}.minKernel");
                    let problem = format!("{text:?} is no kernel version");
                    Error::new(field, problem, "write major and minor version, as \"4.8\"")
                })?;
                Ok(to.kernel >= least)
            })
        };
        if let Some(when) = &self.excludes {
            let newer = kernel(when, "excludes").transpose()?.unwrap_or(false);
            if newer || when.is_for(to.host) || when.caps.iter().any(has) {
                return Ok(false);
            }
        }
        if let Some(when) = &self.includes {
            let new_enough = kernel(when, "includes").transpose()?.unwrap_or(true);
            let arch = when.arches.is_empty() || when.is_for(to.host);
            return Ok(new_enough && arch && when.caps.iter().all(has));
        }
        Ok(true)
    }

    fn resolve(&self, to: &Container<'_>, field: &str) -> Result<Syscalls, Error> {
        let mut names = self.names.clone();
        match self.name.as_ref().filter(|name| !name.is_empty()) {
            Some(_) if !names.is_empty() => {
                let problem = "is given beside names";
                return Err(Error::new(
                    format!("{field}.name"),
                    problem,
                    "leave one of the two out",
                ));
            }
            name => names.extend(name.cloned()),
        }
        let arg = |arg: &SourceArg| Arg {
            index: arg.index,
            value: arg.value,
            value_two: arg.value_two,
            op: arg.op,
        };
        Ok(Syscalls {
            names,
            action: self.action,
            errno_ret: errno(self.errno.as_deref(), self.errno_ret, to, &format!("{field}.errno"))?,
            args: self.args.iter().map(arg).collect(),
        })
    }
}

impl When {
    fn is_for(&self, host: &Arch) -> bool {
        self.arches.iter().any(|arch| host.is_called(arch))
    }
}

/// A name beside a number wins, as with containers/common; both usually say the same.
fn errno(
    name: Option<&str>,
    number: Option<u32>,
    to: &Container<'_>,
    field: &str,
) -> Result<Option<u32>, Error> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(number) };
    let found = name.parse().ok().or_else(|| (to.errno)(name));
    let unknown =
        || Error::new(field, format!("{name:?} is no errno"), "use a name such as \"EPERM\"");
    found.map(Some).ok_or_else(unknown)
}

/// Major and minor of `4.8`, `6.1.0-13-amd64`.
pub fn kernel(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    // moby wants both.
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: [&str; 2] = ["CAP_CHOWN", "CAP_SYS_CHROOT"];

    fn resolve(json: &str, host: &str, kernel: (u32, u32)) -> Result<Resolved, String> {
        let source: Source = serde_json::from_str(json).map_err(|e| e.to_string())?;
        let capabilities = CAPS.map(str::to_owned);
        let host = Arch::named(host).unwrap();
        let errno = |name: &str| (name == "ENOSYS").then_some(38);
        let to = Container { host, capabilities: &capabilities, kernel, errno };
        source.resolve(&to).map_err(|e| e.to_string())
    }

    fn names(json: &str, host: &str, kernel: (u32, u32)) -> Vec<String> {
        let resolved = resolve(json, host, kernel).unwrap();
        resolved.profile.syscalls.into_iter().flat_map(|rule| rule.names).collect()
    }

    const RULES: &str = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"ENOSYS","defaultErrnoRet":1,
        "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]},
                   {"architecture":"SCMP_ARCH_AARCH64","subArchitectures":null}],
        "syscalls":[
        {"names":["a"],"action":"SCMP_ACT_ALLOW","args":null,"includes":{},"excludes":{}},
        {"names":["b"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_CHOWN","CAP_SYS_CHROOT"]}},
        {"names":["c"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_CHOWN","CAP_BPF"]}},
        {"names":["d"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_BPF","CAP_CHOWN"]}},
        {"name":"e","action":"SCMP_ACT_ALLOW","includes":{"arches":["amd64","x32"]}},
        {"names":["f"],"action":"SCMP_ACT_ALLOW","excludes":{"arches":["amd64"]}},
        {"names":["g"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8"}},
        {"names":["h"],"action":"SCMP_ACT_ALLOW","excludes":{"minKernel":"4.8"}}]}"#;

    #[test]
    fn conditions_are_those_of_the_engines() {
        assert_eq!(names(RULES, "SCMP_ARCH_X86_64", (4, 8)), ["a", "b", "e", "g"]);
        assert_eq!(names(RULES, "SCMP_ARCH_AARCH64", (4, 7)), ["a", "b", "f", "h"]);
        assert_eq!(names(RULES, "SCMP_ARCH_AARCH64", (5, 0)), ["a", "b", "f", "g"]);
        let resolved = resolve(RULES, "SCMP_ARCH_X86_64", (4, 8)).unwrap();
        assert_eq!(resolved.origins, [0, 1, 4, 6]);
        assert_eq!(resolved.profile.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
        assert_eq!(resolved.profile.default_errno_ret, Some(38));
    }

    #[test]
    fn what_is_said_twice_or_not_at_all_is_refused() {
        let refused = |json: &str| resolve(json, "SCMP_ARCH_X86_64", (6, 0)).unwrap_err();
        assert!(refused("{}").contains("defaultAction"));
        let both = RULES.replacen("\"archMap\"", "\"architectures\":[\"x\"],\"archMap\"", 1);
        assert!(refused(&both).contains("archMap: is given beside architectures"));
        let both = RULES.replace("\"name\":\"e\"", "\"name\":\"e\",\"names\":[\"e\"]");
        assert!(refused(&both).contains("syscalls[4].name: "));
        assert!(refused(&RULES.replace("4.8", "new")).contains("syscalls[6].includes.minKernel"));
        assert!(refused(&RULES.replace("\"ENOSYS\"", "\"EWHAT\"")).contains("EWHAT"));
        assert!(
            refused(&RULES.replace("\"names\":[\"a\"],\"action\"", "\"x\"")).contains("action")
        );
    }

    #[test]
    fn kernels_have_two_numbers() {
        assert_eq!(kernel("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(kernel("4.8"), Some((4, 8)));
        assert_eq!(kernel("5"), None);
        assert_eq!(kernel("new"), None);
    }
}
