//! Rules that depend on the machine, the flags or the namespaces.

use std::path::{Path, PathBuf};

use super::super::*;
use super::{spec, verdict};

#[test]
fn what_the_host_lacks_is_an_error_not_a_silence() {
    let host = Host { lsm: crate::host::Lsm::default(), ..Host::ideal() };
    for (process, linux, want) in [
        (r#""apparmorProfile":"p""#, "", "apparmor is disabled or not supported"),
        (r#""selinuxLabel":"l""#, "", "selinux is disabled or not supported"),
        ("", r#""mountLabel":"l""#, "linux.mountLabel: selinux label is specified"),
    ] {
        let spec = spec("", process, linux);
        assert!(verdict(&spec, &host, &Options::default()).contains(want));
        assert_eq!(verdict(&spec, &Host::ideal(), &Options::default()), "legal");
    }
    let old = Host { kernel: crate::host::Version::parse("5.10.0-28-amd64"), ..Host::ideal() };
    let got = verdict(&spec("", "", ""), &old, &Options::default());
    assert_eq!(got, "invalid config kernel: Linux 5.10.0-28-amd64 is older than 5.12");
}

#[test]
fn flags_and_configuration_must_fit() {
    let socket = Some(PathBuf::from("/s"));
    let tty = |terminal: bool, detach: bool, console_socket: Option<PathBuf>| {
        let text = format!(
            r#"{{"ociVersion":"1.0.0","root":{{"path":"r"}},"process":{{"cwd":"/","args":["a"],"terminal":{terminal}}}}}"#
        );
        let spec = Spec::parse(Path::new("c"), text.as_bytes()).unwrap();
        let options = Options { detach, console_socket, ..Options::default() };
        verdict(&spec, &Host::ideal(), &options)
    };
    assert!(tty(true, true, None).contains("cannot allocate tty if runc will detach"));
    assert!(tty(false, true, socket.clone()).contains("cannot use console socket"));
    assert!(tty(true, false, socket.clone()).contains("cannot use console socket"));
    for legal in [tty(true, true, socket), tty(true, false, None), tty(false, true, None)] {
        assert_eq!(legal, "legal");
    }
    let no_pivot = Options { no_pivot: true, ..Options::default() };
    let private = spec("", "", r#""rootfsPropagation":"rprivate""#);
    assert!(verdict(&private, &Host::ideal(), &no_pivot).contains("not safe without pivot_root"));
}

#[test]
fn without_root_a_user_namespace_is_needed() {
    let host = Host { euid: 1000, initial_user_ns: true, ..Host::ideal() };
    let none = Options::default();
    assert!(verdict(&spec("", "", ""), &host, &none).contains("rootless container requires user"));
    let mapped = r#""namespaces":[{"type":"user"}],
        "uidMappings":[{"containerID":0,"hostID":1000,"size":1}],
        "gidMappings":[{"containerID":0,"hostID":1000,"size":1}]"#;
    assert_eq!(verdict(&spec("", "", mapped), &host, &none), "legal");
}

#[test]
fn each_sysctl_needs_its_namespace() {
    let everything_but = |kind: &str| {
        let kinds = ["ipc", "network", "uts", "mount"].into_iter().filter(|other| *other != kind);
        let list: Vec<_> = kinds.map(|kind| format!(r#"{{"type":"{kind}"}}"#)).collect();
        format!(r#""namespaces":[{}]"#, list.join(","))
    };
    for (name, kind, want) in [
        ("kernel.msgmax", "ipc", "hosts ipc namespace"),
        ("fs/mqueue/msg_max", "ipc", "hosts ipc namespace"),
        ("net.core.somaxconn", "network", "host network namespace"),
        ("kernel.domainname", "uts", "not in a separate kernel namespace"),
        ("kernel.hostname", "", "conflicts with the OCI \"hostname\" field"),
        ("user.max_user_namespaces", "", "needs a user namespace"),
        ("vm.swappiness", "", "not in a separate kernel namespace"),
        ("kernel/msgmax.x", "", "not in a separate kernel namespace"),
    ] {
        let linux = format!("{},\"sysctl\":{{\"{name}\":\"1\"}}", everything_but(kind));
        let got = verdict(&spec("", "", &linux), &Host::ideal(), &Options::default());
        assert!(got.contains(want), "{name}: {got}");
    }
}

#[test]
fn sysctl_names_become_one_file() {
    for (name, file) in [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/1.mtu", "net/ipv4/conf/eth0.1/mtu"),
        ("net/ipv4/conf/eth0.1/mtu", "net/ipv4/conf/eth0.1/mtu"),
    ] {
        assert_eq!(sysctl::file(name).as_deref(), Some(file));
    }
    for name in [
        "",
        "kernel",
        ".",
        "..",
        "/",
        "net..x",
        "net//x",
        "/net/x",
        "net.x.",
        "net/../kernel/x",
        "net.//.kernel.x",
        "net/./x",
        "net.x=1",
        "net.x+y.z",
        "net.x y",
        "net.x\n",
        "net.\u{e4}",
    ] {
        assert_eq!(sysctl::file(name), None, "{name:?}");
    }
}

#[test]
fn relative_destinations_warn() {
    let spec = spec(r#""mounts":[{"destination":"/a"},{"destination":"b"}]"#, "", "");
    let warnings = check(&spec, &Host::ideal(), &Options::default()).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("mounts[1].destination: b is relative"), "{warnings:?}");
}
