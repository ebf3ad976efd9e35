//! What the program may do: capabilities, filter, labels; `--privileged` and `--security-opt`.

use serde_json::Value;

use super::{Facts, caps, seccomp};
use crate::container::record::Record;
use crate::error::{Error, Result};

/// The decision.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Every right of the host's root.
    pub privileged: bool,
    /// Names of capabilities.
    pub capabilities: Vec<&'static str>,
    /// `linux.seccomp`.
    pub seccomp: Option<Value>,
    /// AppArmor profile.
    pub apparmor: Option<String>,
    /// SELinux label.
    pub label: Option<String>,
    /// No rights by setuid programs.
    pub no_new_privileges: bool,
    /// Paths of /proc and /sys are neither masked nor read-only.
    pub open_paths: bool,
}

/// `--security-opt`, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `seccomp=`.
    pub seccomp: Option<String>,
    apparmor: Option<String>,
    label: Vec<String>,
    no_new_privileges: bool,
    pub(crate) open_paths: bool,
}

impl Options {
    /// Reads the flags. Both `name=value` and Docker's old `name:value` are understood.
    ///
    /// # Errors
    /// An option that does not exist, or a value that it cannot have.
    pub fn parse(list: &[String]) -> Result<Self> {
        let mut options = Self::default();
        for text in list {
            let bad = |why: &str| {
                Error::new(format!("invalid --security-opt: \"{text}\"")).why(why).fix(
                    "options are seccomp=, apparmor=, label=, no-new-privileges, systempaths=unconfined",
                )
            };
            let (name, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
            match (name, value) {
                ("seccomp", value) if !value.is_empty() => options.seccomp = Some(value.into()),
                ("apparmor", value) if !value.is_empty() => options.apparmor = Some(value.into()),
                ("label", value) if !value.is_empty() => options.label.push(value.into()),
                ("no-new-privileges", "" | "true") => options.no_new_privileges = true,
                ("no-new-privileges", "false") => options.no_new_privileges = false,
                ("systempaths", "unconfined") => options.open_paths = true,
                ("seccomp" | "apparmor" | "label" | "systempaths" | "no-new-privileges", _) => {
                    return Err(bad("the option cannot have this value"));
                }
                _ => return Err(bad("there is no such option")),
            }
        }
        Ok(options)
    }

    /// The file of the profile, when one is named.
    pub fn profile(&self) -> Option<&str> {
        self.seccomp.as_deref().filter(|name| !matches!(*name, "unconfined" | "builtin"))
    }
}

/// Decides what the flags come to.
///
/// # Errors
/// A flag that means nothing.
pub fn decide(record: &Record, facts: &Facts) -> Result<Security> {
    let isolation = &record.flags.isolation;
    let options = Options::parse(&isolation.security_opt)?;
    let privileged = isolation.privileged;
    let (add, drop) = (&isolation.cap_add, &isolation.cap_drop);
    let capabilities = caps::tweak(add, drop, privileged, facts.capabilities)?;
    let filter = match (&facts.seccomp_profile, options.seccomp.as_deref()) {
        (Some(text), _) => Some(seccomp::resolve(text, &capabilities, &facts.machine)?),
        (None, Some("unconfined")) => None,
        (None, None) if privileged => None,
        (None, _) => Some(seccomp::default(&capabilities, &facts.machine)),
    };
    let apparmor = match options.apparmor.as_deref() {
        None if privileged => None,
        None => facts.apparmor.clone(),
        Some(profile) => Some(profile.to_owned()),
    };
    Ok(Security {
        privileged,
        capabilities,
        seccomp: filter,
        apparmor,
        label: label(&options.label)?,
        no_new_privileges: options.no_new_privileges,
        open_paths: options.open_paths || privileged,
    })
}

/// `user:`, `role:`, `type:`, `level:` parts to one label; `disable` to none.
fn label(parts: &[String]) -> Result<Option<String>> {
    if parts.is_empty() || parts.iter().any(|part| part == "disable") {
        return Ok(None);
    }
    let mut label = ["system_u", "system_r", "container_t", "s0"].map(str::to_owned);
    for part in parts {
        let (key, value) = part.split_once(':').unwrap_or((part, ""));
        let at = ["user", "role", "type", "level"].iter().position(|known| *known == key);
        let place = at.and_then(|at| label.get_mut(at)).filter(|_| !value.is_empty());
        let Some(place) = place else {
            return Err(Error::new(format!("invalid --security-opt: \"label={part}\""))
                .why("it must be disable, user:, role:, type: or level: with a value"));
        };
        value.clone_into(place);
    }
    Ok(Some(label.join(":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &[&str]) -> Result<Options> {
        Options::parse(&list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn both_spellings_and_no_nonsense() {
        let options = parse(&["seccomp=/p.json", "no-new-privileges", "label:type:t"]).unwrap();
        assert_eq!(options.profile(), Some("/p.json"));
        assert!(options.no_new_privileges);
        assert_eq!(label(&options.label).unwrap().as_deref(), Some("system_u:system_r:t:s0"));
        assert_eq!(parse(&["seccomp:unconfined"]).unwrap().profile(), None);
        assert!(!parse(&["no-new-privileges:false"]).unwrap().no_new_privileges);
        for text in ["secomp=x", "seccomp", "systempaths=all", "no-new-privileges=maybe"] {
            assert!(parse(&[text]).is_err(), "{text}");
        }
        assert!(label(&["colour:blue".into()]).is_err());
    }
}
