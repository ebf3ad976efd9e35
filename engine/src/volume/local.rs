//! Volumes of the local driver that are a mount: `--opt type=…`, `device=…`, `o=…`, as `mount -t
//! TYPE -o O DEVICE`.
//!
//! The first container that starts mounts it on `_data`, removing the volume unmounts it; the
//! host's mount survives in between, and a reboot takes it away.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use libcontainer::sys::fd::statx_mnt_id;
use libcontainer::sys::mount::{mount as mount2, umount2};

use crate::error::{Error, Result};

/// Words of `o` that are flags of `mount(2)`; `false` takes one away.
const FLAGS: [(&str, libc::c_ulong, bool); 20] = [
    ("ro", libc::MS_RDONLY, true),
    ("rw", libc::MS_RDONLY, false),
    ("nosuid", libc::MS_NOSUID, true),
    ("suid", libc::MS_NOSUID, false),
    ("nodev", libc::MS_NODEV, true),
    ("dev", libc::MS_NODEV, false),
    ("noexec", libc::MS_NOEXEC, true),
    ("exec", libc::MS_NOEXEC, false),
    ("sync", libc::MS_SYNCHRONOUS, true),
    ("async", libc::MS_SYNCHRONOUS, false),
    ("dirsync", libc::MS_DIRSYNC, true),
    ("noatime", libc::MS_NOATIME, true),
    ("atime", libc::MS_NOATIME, false),
    ("nodiratime", libc::MS_NODIRATIME, true),
    ("diratime", libc::MS_NODIRATIME, false),
    ("relatime", libc::MS_RELATIME, true),
    ("strictatime", libc::MS_STRICTATIME, true),
    ("bind", libc::MS_BIND, true),
    ("rbind", libc::MS_BIND | libc::MS_REC, true),
    ("defaults", 0, true),
];

/// Says what is wrong with options of a volume.
pub(super) fn check(options: &BTreeMap<String, String>) -> Result<()> {
    let wrong = |why: String| {
        Err(Error::new("create: invalid options of the driver local")
            .why(why)
            .fix("the options are type, device and o, as for mount(8)"))
    };
    if let Some(key) = options.keys().find(|key| !["type", "device", "o"].contains(&key.as_str())) {
        return match key.as_str() {
            "size" => wrong(
                "size needs quotas, which are not supported; for memory use type=tmpfs \
                and o=size=…"
                    .into(),
            ),
            key => wrong(format!("invalid option: {key:?}")),
        };
    }
    if options.is_empty() {
        return Ok(());
    }
    let has = |key: &str| options.get(key).is_some_and(|value| !value.is_empty());
    if !has("device") {
        return wrong("missing device in volume options".into());
    }
    if !has("type") && !is_bind(options) {
        return wrong("missing type in volume options".into());
    }
    let words = options.get("o").map_or("", String::as_str);
    match words.split(',').find_map(|word| word.strip_prefix("addr=")) {
        Some(address) if address.parse::<std::net::IpAddr>().is_err() => {
            wrong(format!("addr={address} is no IP address"))
        }
        _ => Ok(()),
    }
}

fn is_bind(options: &BTreeMap<String, String>) -> bool {
    let words = options.get("o").map_or("", String::as_str);
    words.split(',').any(|word| word == "bind" || word == "rbind")
}

/// Mounts it on `data`, unless it is mounted.
pub(super) fn mount(options: &BTreeMap<String, String>, data: &Path) -> io::Result<()> {
    if options.is_empty() || is_mounted(data)? {
        return Ok(());
    }
    let text = |key: &str| CString::new(options.get(key).map_or("", String::as_str));
    let (mut flags, mut rest) = (0, Vec::new());
    for word in options.get("o").map_or("", String::as_str).split(',') {
        match FLAGS.iter().find(|(name, ..)| *name == word) {
            Some((_, flag, true)) => flags |= flag,
            Some((_, flag, false)) => flags &= !flag,
            None if word.is_empty() => {}
            None => rest.push(word),
        }
    }
    let target = CString::new(data.as_os_str().as_bytes())?;
    let (device, kind) = (text("device")?, text("type")?);
    let rest = CString::new(rest.join(","))?;
    mount2(Some(&device), &target, Some(&kind), flags, Some(&rest))?;
    // A bind takes its flags in a second step (`mount(2)`).
    let bind = libc::MS_BIND | libc::MS_REC;
    if flags & libc::MS_BIND != 0 && flags & !bind != 0 {
        let again = (flags & !libc::MS_REC) | libc::MS_REMOUNT;
        if let Err(e) = mount2(None, &target, None, again, None) {
            umount2(&target, libc::MNT_DETACH)?;
            return Err(e);
        }
    }
    Ok(())
}

/// Unmounts what is mounted on `data`.
pub(super) fn unmount(data: &Path) -> io::Result<()> {
    let target = CString::new(data.as_os_str().as_bytes())?;
    while is_mounted(data)? {
        umount2(&target, 0)?;
    }
    Ok(())
}

/// Whether another mount begins at this directory.
fn is_mounted(data: &Path) -> io::Result<bool> {
    let mount = |path: &Path| statx_mnt_id(std::fs::File::open(path)?);
    match (mount(data), data.parent()) {
        (Err(e), _) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        (own, Some(parent)) => Ok(own? != mount(parent)?),
        (own, None) => own.map(|_| false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn options_are_those_of_mount() {
        assert!(check(&options(&[])).is_ok());
        assert!(
            check(&options(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")])).is_ok()
        );
        assert!(check(&options(&[("device", "/srv"), ("o", "bind")])).is_ok());
        for (given, says) in [
            (options(&[("foo", "1")]), "invalid option: \"foo\""),
            (options(&[("type", "ext4")]), "missing device in volume options"),
            (options(&[("device", "/dev/x")]), "missing type in volume options"),
            (
                options(&[("type", "nfs"), ("device", ":/x"), ("o", "addr=nas,rw")]),
                "addr=nas is no IP address",
            ),
        ] {
            assert_eq!(check(&given).unwrap_err().why.unwrap(), says);
        }
    }
}
