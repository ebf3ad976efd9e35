//! `linux.sysctl`: only names that a namespace of the container owns.

use harness::{Bundle, Holder, need};
use serde_json::json;

fn with(name: &str, value: &str) -> Bundle {
    Bundle::new().edit(|c| c["linux"]["sysctl"] = json!({ name: value }))
}

/// Names of the network namespace, also with an interface in them.
#[test]
fn net_names_are_set() {
    need!(root);
    let c = Bundle::new()
        .edit(|c| c["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1", "net.ipv4.conf.lo.rp_filter": "2", "net.core.somaxconn": "77" }))
        .probe("read /proc/sys/net/ipv4/ip_forward -- read /proc/sys/net/ipv4/conf/lo/rp_filter -- read /proc/sys/net/core/somaxconn".split(' '))
        .run();
    assert_eq!(c.fact("read /proc/sys/net/ipv4/ip_forward"), "1");
    assert_eq!(c.fact("read /proc/sys/net/ipv4/conf/lo/rp_filter"), "2");
    assert_eq!(c.fact("read /proc/sys/net/core/somaxconn"), "77");
}

/// Slashes are as good as dots.
#[test]
fn slashes_are_as_good_as_dots() {
    need!(root);
    let c = with("net/ipv4/ip_forward", "1").probe(["read", "/proc/sys/net/ipv4/ip_forward"]).run();
    assert_eq!(c.fact("read"), "1");
}

/// Names of the ipc namespace.
#[test]
fn ipc_names_are_set() {
    need!(root);
    let c = Bundle::new()
        .edit(|c| c["linux"]["sysctl"] = json!({ "kernel.shmmax": "65536", "kernel.msgmax": "4096", "fs.mqueue.msg_max": "20", "kernel.sem": "32000 1024000000 500 32000" }))
        .probe("read /proc/sys/kernel/shmmax -- read /proc/sys/kernel/msgmax -- read /proc/sys/fs/mqueue/msg_max".split(' '))
        .run();
    assert_eq!(c.fact("read /proc/sys/kernel/shmmax"), "65536");
    assert_eq!(c.fact("read /proc/sys/kernel/msgmax"), "4096");
    assert_eq!(c.fact("read /proc/sys/fs/mqueue/msg_max"), "20");
}

/// The domain name belongs to the uts namespace.
#[test]
fn uts_names_are_set() {
    need!(root);
    let c = with("kernel.domainname", "steel.example").probe(["domainname"]).run();
    assert_eq!(c.fact("domainname"), "steel.example");
}

/// Names of the host are refused, and name themselves.
#[test]
fn names_of_the_host_are_refused() {
    need!(root);
    for name in [
        "kernel.core_pattern",
        "vm.swappiness",
        "fs.file-max",
        "kernel.panic",
        "user.max_user_namespaces",
    ] {
        let message = with(name, "1").refused();
        assert!(message.contains(name), "{message}");
    }
}

/// A name is refused when its namespace is the caller's.
#[test]
fn names_need_their_namespace() {
    need!(root);
    let message = with("net.ipv4.ip_forward", "1").without_namespace("network").refused();
    assert!(message.contains("net.ipv4.ip_forward"), "{message}");
    let message = with("kernel.shmmax", "65536").without_namespace("ipc").refused();
    assert!(message.contains("kernel.shmmax"), "{message}");
}

/// A namespace that is joined by path, and is not the host's, counts.
#[test]
fn a_joined_namespace_counts() {
    need!(root);
    let holder = Holder::unshare(&["--net"]);
    let c = with("net.ipv4.ip_forward", "1")
        .namespace("network", &holder.path("net"))
        .probe(["read", "/proc/sys/net/ipv4/ip_forward"])
        .run();
    assert_eq!(c.fact("read"), "1");
}

/// The caller's own namespace given by path is still the caller's.
#[test]
fn the_hosts_namespace_by_path_is_refused() {
    need!(root);
    for (name, value, kind, file) in [
        ("net.ipv4.ip_forward", "1", "network", "/proc/self/ns/net"),
        ("kernel.shm_rmid_forced", "1", "ipc", "/proc/self/ns/ipc"),
        ("kernel.domainname", "corten.test", "uts", "/proc/self/ns/uts"),
    ] {
        let words = with(name, value).namespace(kind, file).refused();
        assert!(words.contains(&format!("not allowed in host {kind} namespace")), "{words}");
    }
}

/// Names that climb, or hide other assignments, are refused (CVE-2022-0811 class).
#[test]
fn names_that_climb_are_refused() {
    need!(root);
    for name in [
        "net.ipv4/../../kernel/core_pattern",
        "net/../kernel/core_pattern",
        "kernel.shm_rmid_forced=1+kernel.core_pattern",
        "",
    ] {
        let _ = with(name, "1").refused();
    }
}

/// A name of a namespace that does not exist is refused with it.
#[test]
fn a_name_that_does_not_exist_is_refused() {
    need!(root);
    let message = with("net.ipv4.no_such_name", "1").refused();
    assert!(message.contains("no_such_name"), "{message}");
}

/// A value the kernel refuses is an error with the name.
#[test]
fn a_value_the_kernel_refuses_is_an_error() {
    need!(root);
    let message = with("net.ipv4.ip_forward", "moon").refused();
    assert!(message.contains("ip_forward"), "{message}");
}
