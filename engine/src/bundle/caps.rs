//! Which capabilities a container has: Docker's fourteen, and what the flags change.

use crate::error::{Error, Result};

/// What Docker gives without flags.
pub const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Every capability, at the place of its number (capabilities(7), Linux 5.9).
pub const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The names that the flags come to, in the order of their numbers. `available` is a bit for each
/// capability that we have ourselves: what we lack cannot be given, which is an error when it was
/// asked for by name and is left out of `ALL`.
///
/// # Errors
/// A name that is none; one that we lack.
pub fn tweak(
    add: &[String],
    drop: &[String],
    privileged: bool,
    available: u64,
) -> Result<Vec<&'static str>> {
    let have = |name: &str| {
        ALL.iter().position(|known| *known == name).is_some_and(|at| available & (1 << at) != 0)
    };
    let (add, add_all) = names("cap-add", add)?;
    let (drop, drop_all) = names("cap-drop", drop)?;
    for name in &add {
        if !have(name) {
            return Err(Error::new(format!("cannot add the capability {name}"))
                .why("this process does not have it itself"));
        }
    }
    let base = |name: &str| match (privileged || add_all, drop_all) {
        (true, _) => true,
        (false, true) => false,
        (false, false) => DEFAULT.contains(&name),
    };
    let wanted =
        |name: &&str| privileged || add.contains(name) || (base(name) && !drop.contains(name));
    Ok(ALL.into_iter().filter(wanted).filter(|name| have(name)).collect())
}

/// The flag's names, and whether `ALL` is among them.
fn names(flag: &str, list: &[String]) -> Result<(std::collections::BTreeSet<&'static str>, bool)> {
    let mut found = std::collections::BTreeSet::new();
    let mut all = false;
    for text in list.iter().flat_map(|text| text.split(',')) {
        let upper = text.trim().to_ascii_uppercase();
        if upper == "ALL" {
            all = true;
            continue;
        }
        let name = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        let known = ALL.iter().find(|known| **known == name).ok_or_else(|| {
            Error::new(format!("invalid argument \"{text}\" for --{flag}"))
                .why("there is no such capability")
                .fix("capabilities(7) lists them; ALL means every one")
        })?;
        found.insert(*known);
    }
    Ok((found, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: u64 = (1 << ALL.len()) - 1;

    fn of(add: &[&str], drop: &[&str], privileged: bool) -> Vec<&'static str> {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        tweak(&own(add), &own(drop), privileged, EVERY).unwrap()
    }

    #[test]
    fn without_flags_it_is_the_fourteen() {
        let mut expected = DEFAULT.to_vec();
        let mut got = of(&[], &[], false);
        expected.sort_unstable();
        got.sort_unstable();
        assert_eq!(got, expected);
    }

    #[test]
    fn flags_work_as_dockers() {
        assert_eq!(of(&["net_admin"], &["ALL"], false), ["CAP_NET_ADMIN"]);
        assert_eq!(of(&["ALL"], &["CAP_SYS_ADMIN"], false).len(), ALL.len() - 1);
        assert!(!of(&[], &["kill"], false).contains(&"CAP_KILL"));
        assert_eq!(of(&[], &["ALL"], true).len(), ALL.len());
        assert_eq!(of(&["ALL"], &["ALL"], false).len(), ALL.len());
    }

    #[test]
    fn what_we_lack_is_refused_by_name_and_left_out_of_all() {
        let without = EVERY & !(1 << 24);
        let names = tweak(&["ALL".into()], &[], false, without).unwrap();
        assert!(!names.contains(&"CAP_SYS_RESOURCE"));
        assert!(tweak(&["SYS_RESOURCE".into()], &[], false, without).is_err());
        assert!(tweak(&["FLY".into()], &[], false, EVERY).is_err());
    }
}
