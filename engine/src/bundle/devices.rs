//! `--device` and `--device-cgroup-rule`: devices of the host in the container.
//!
//! Looking at the host is the caller's: [`Seen`] says what stands at a path there.

use serde_json::{Value, json};

use crate::error::{Error, Result};

/// A device file of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Block device, else character device.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// `--device`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Path on the host.
    pub host: String,
    /// Path in the container.
    pub inside: String,
    /// `rwm` or a part of it.
    pub access: String,
}

/// Reads `HOST[:CONTAINER[:rwm]]` or `HOST:rwm`.
///
/// # Errors
/// Not that form.
pub fn parse(text: &str) -> Result<Asked> {
    let bad = || {
        Error::new(format!("invalid argument \"{text}\" for --device"))
            .why("it must be HOST[:CONTAINER[:rwm]] with absolute paths")
            .fix("for example --device /dev/fuse or --device /dev/sda:/dev/xvda:r")
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, access) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, access] if is_access(access) => (host, host, access),
        [host, inside] => (host, inside, "rwm"),
        [host, inside, access] if is_access(access) => (host, inside, access),
        _ => return Err(bad()),
    };
    if !host.starts_with('/') || !inside.starts_with('/') {
        return Err(bad());
    }
    Ok(Asked { host: host.into(), inside: inside.into(), access: access.into() })
}

fn is_access(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| "rwm".contains(c))
        && text.chars().all(|c| text.matches(c).count() == 1)
}

/// The entry of `linux.devices`.
pub fn node(path: &str, seen: Seen) -> Value {
    json!({
        "path": path, "type": kind(seen.block), "major": seen.major, "minor": seen.minor,
        "fileMode": seen.mode, "uid": seen.uid, "gid": seen.gid,
    })
}

/// The entry of `linux.resources.devices`.
pub fn rule(seen: Seen, access: &str) -> Value {
    json!({
        "allow": true, "type": kind(seen.block), "major": seen.major, "minor": seen.minor,
        "access": access,
    })
}

const fn kind(block: bool) -> &'static str {
    if block { "b" } else { "c" }
}

/// Reads `--device-cgroup-rule`: `c 1:3 rwm`, `a *:* rwm`.
///
/// # Errors
/// Not that form.
pub fn cgroup_rule(text: &str) -> Result<Value> {
    let bad = || {
        Error::new(format!("invalid argument \"{text}\" for --device-cgroup-rule"))
            .why("it must be TYPE MAJOR:MINOR ACCESS")
            .fix("for example 'c 42:* rmw'")
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [kind @ ("a" | "b" | "c"), numbers, access] = fields[..] else { return Err(bad()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(bad)?;
    let number = |text: &str| match text {
        "*" => Ok(-1),
        text => text.parse::<u32>().map(i64::from).map_err(|_| bad()),
    };
    if !is_access(access) {
        return Err(bad());
    }
    let (major, minor) = (number(major)?, number(minor)?);
    Ok(json!({ "allow": true, "type": kind, "major": major, "minor": minor, "access": access }))
}

/// What Docker allows every container beside the devices that a runtime always allows: making
/// any device file.
pub fn default_rules() -> Vec<Value> {
    vec![
        json!({ "allow": false, "access": "rwm" }),
        json!({ "allow": true, "type": "c", "access": "m" }),
        json!({ "allow": true, "type": "b", "access": "m" }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_device() {
        let of = |host: &str, inside: &str, access: &str| Asked {
            host: host.into(),
            inside: inside.into(),
            access: access.into(),
        };
        assert_eq!(parse("/dev/fuse").unwrap(), of("/dev/fuse", "/dev/fuse", "rwm"));
        assert_eq!(parse("/dev/a:/dev/b").unwrap(), of("/dev/a", "/dev/b", "rwm"));
        assert_eq!(parse("/dev/a:r").unwrap(), of("/dev/a", "/dev/a", "r"));
        assert_eq!(parse("/dev/a:/dev/b:rw").unwrap(), of("/dev/a", "/dev/b", "rw"));
        for text in ["", "dev", "/dev/a:/dev/b:rr", "/dev/a:/dev/b:x", "/a:/b:r:w"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rules_have_wildcards() {
        let expected =
            json!({ "allow": true, "type": "c", "major": 42, "minor": -1, "access": "rmw" });
        assert_eq!(cgroup_rule("c 42:* rmw").unwrap(), expected);
        for text in ["c 42 rmw", "x 1:1 r", "c 1:1 q", "c 1:1"] {
            assert!(cgroup_rule(text).is_err(), "{text}");
        }
    }
}
