//! Host name, domain name and kernel parameters of the container's namespaces.
//!
//! Which parameters are allowed is `plan::check`'s.

use std::ffi::CString;

use oci_spec::runtime::{Linux, Spec};
use serde::Serialize;

use crate::error::{Error, Result, Step};
use crate::plan::namespaces::Kind;
use crate::plan::{check, text};

/// Names of the uts namespace; empty ones are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    /// sethostname(2)
    pub hostname: Option<String>,
    /// setdomainname(2)
    pub domainname: Option<String>,
}

/// One kernel parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sysctl {
    /// Its name, as asked.
    pub name: String,
    /// The file below `/proc`.
    #[serde(serialize_with = "text::one")]
    pub path: CString,
    /// What is written.
    pub value: String,
}

impl Sysctl {
    /// The kind of namespace that owns it; `plan::check` lets no other pass.
    pub fn owner(&self) -> Kind {
        let path = self.path.to_bytes();
        match path {
            b"sys/kernel/domainname" => Kind::Uts,
            _ if path.starts_with(b"sys/net/") => Kind::Network,
            _ if path.starts_with(b"sys/user/") => Kind::User,
            _ => Kind::Ipc,
        }
    }
}

/// Decides `hostname` and `domainname`.
pub fn names(spec: &Spec) -> Names {
    let set = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    Names { hostname: set(spec.hostname()), domainname: set(spec.domainname()) }
}

/// Decides `linux.sysctl`, in the order of the names.
///
/// # Errors
/// A NUL byte.
pub fn sysctls(linux: Option<&Linux>) -> Result<Vec<Sysctl>> {
    let asked = linux.and_then(|linux| linux.sysctl().as_ref());
    let mut all: Vec<_> = asked.into_iter().flatten().collect();
    all.sort_unstable();
    let sysctl = |(name, value): (&String, &String)| {
        let path = CString::new(format!("sys/{}", file(name)))
            .map_err(|_| Error::rule(Step::CheckConfig, "linux.sysctl", "has a NUL byte"))?;
        Ok(Sysctl { name: name.clone(), path, value: value.clone() })
    };
    all.into_iter().map(sysctl).collect()
}

/// The file below `/proc/sys`, read from the name as the check has read it: what was allowed is
/// what is written.
fn file(name: &str) -> String {
    check::sysctl::file(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sysctl_has_an_owner() {
        for (name, kind) in [
            ("net.core.somaxconn", Kind::Network),
            ("user.max_pid_namespaces", Kind::User),
            ("kernel.domainname", Kind::Uts),
            ("kernel.shmmax", Kind::Ipc),
            ("fs/mqueue/msg_max", Kind::Ipc),
        ] {
            let linux = serde_json::from_value(serde_json::json!({"sysctl": {name: "1"}}));
            assert_eq!(sysctls(Some(&linux.unwrap())).unwrap()[0].owner(), kind, "{name}");
        }
    }

    #[test]
    fn sysctl_names_become_files_in_both_spellings() {
        for (name, path) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
            ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ] {
            assert_eq!(file(name), path);
        }
    }
}
