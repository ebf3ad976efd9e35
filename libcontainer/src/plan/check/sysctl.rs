//! Rules about sysctls: only those that a namespace of the container owns (config-linux.md,
//! "Sysctl"), and only names that cannot mean another file (CVE-2022-0811).

use std::collections::HashSet;

use oci_spec::runtime::LinuxNamespaceType;

use super::{Asked, Fault, Rule, Verdict, ensure};

pub(super) static RULES: &[Rule] = &[Rule {
    field: "linux.sysctl",
    words: "the kernel parameter belongs to a namespace of the container",
    section: "config-linux.md, \"Sysctl\"; sysctl(8)",
    check: sysctls_are_the_containers,
}];

/// The parameters of an IPC namespace beside `fs.mqueue.*` (ipc_namespaces(7)).
const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The file below `/proc/sys` that a sysctl means: `net.ipv4.conf.eth0/1.mtu` and
/// `net/ipv4/conf/eth0.1/mtu` are both `net/ipv4/conf/eth0.1/mtu` (sysctl.d(5)).
///
/// `None` for a name that is none: an empty part, `.` or `..`, or other characters than letters,
/// digits and `_ - : @ .`.
pub fn file(name: &str) -> Option<String> {
    let separator = name.chars().find(|c| matches!(c, '.' | '/'))?;
    let file: String = match separator {
        '/' => name.to_owned(),
        _ => name.chars().map(swap).collect(),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-:@.".contains(c);
    let part = |part: &str| !part.is_empty() && ![".", ".."].contains(&part);
    (file.split('/').all(part) && file.chars().all(|c| c == '/' || legal(c))).then_some(file)
}

const fn swap(c: char) -> char {
    match c {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

fn sysctls_are_the_containers(asked: Asked<'_>) -> Verdict {
    let mut seen = HashSet::new();
    let sysctls = asked.linux().and_then(|linux| linux.sysctl().as_ref());
    let mut sysctls: Vec<_> = sysctls.into_iter().flatten().collect();
    sysctls.sort_unstable();
    for (name, value) in sysctls {
        let file =
            file(name).ok_or_else(|| Fault::new(format!("{name:?} is not a sysctl name")))?;
        ensure(!value.contains(['\n', '\0']), || {
            Fault::new(format!("the value of {name:?} has a newline or NUL byte"))
        })?;
        belongs(asked, &file.chars().map(swap).collect::<String>())?;
        ensure(seen.insert(file), || Fault::new(format!("{name:?} is there in two spellings")))?;
    }
    Ok(())
}

/// Whether a namespace of the container owns the parameter, named with dots.
fn belongs(asked: Asked<'_>, name: &str) -> Verdict {
    let has = |kind| asked.has_namespace(kind);
    let refuse = |why: &str| Fault::new(format!("sysctl {name:?} {why}"));
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return ensure(has(LinuxNamespaceType::Ipc), || {
            refuse("is not allowed in the hosts ipc namespace")
        });
    }
    if name.starts_with("net.") {
        return ensure(has(LinuxNamespaceType::Network), || {
            refuse("not allowed in host network namespace")
        });
    }
    if name == "kernel.domainname" && has(LinuxNamespaceType::Uts) {
        return Ok(());
    }
    if name == "kernel.hostname" && has(LinuxNamespaceType::Uts) {
        return Err(refuse("is not allowed as it conflicts with the OCI \"hostname\" field"));
    }
    if name.starts_with("user.") {
        return ensure(has(LinuxNamespaceType::User), || {
            refuse("sets limits of the host: it needs a user namespace")
        });
    }
    Err(refuse("is not in a separate kernel namespace"))
}
