//! The network namespace: loopback and `linux.netDevices`.

use harness::{Bundle, need};
use serde_json::json;

/// Loopback is up in a new network namespace, and nothing else is there.
#[test]
fn loopback_is_up_and_alone() {
    need!(root);
    let c = Bundle::new().probe(["net"]).run();
    let net = c.value("net");
    assert_eq!(net["lo"]["up"], true, "{net}");
    assert_eq!(net.as_object().unwrap().len(), 1, "{net}");
}

/// A bundle whose runtime lives in a network namespace with a veth pair `cit0`–`cit1`.
fn with_veth() -> Bundle {
    Bundle::new().under(&["unshare", "-n"]).after(
        "ip link add cit0 type veth peer name cit1 && ip addr add 10.9.8.7/24 dev cit0 && ip link set cit0 mtu 1400",
    )
}

/// A device is moved, keeps its name, addresses and MTU, and is up.
///
/// runc 1.1.5: has no `netDevices` yet.
#[test]
fn a_device_is_moved() {
    need!(root, veth);
    let c = with_veth()
        .set("/linux/netDevices", json!({ "cit0": {} }))
        .probe(["net", "--", "read", "/sys/class/net/cit0/mtu"])
        .run();
    let device = &c.value("net")["cit0"];
    assert_eq!(device["up"], true, "{}", c.value("net"));
    assert!(device["addresses"].to_string().contains("10.9.8.7"), "{device}");
    assert_eq!(c.fact("read"), "1400");
}

/// A device is moved and gets its new name.
///
/// runc 1.1.5: has no `netDevices` yet.
#[test]
fn a_device_is_renamed() {
    need!(root, veth);
    let c = with_veth()
        .set("/linux/netDevices", json!({ "cit0": { "name": "eth0" } }))
        .probe(["net"])
        .run();
    let net = c.value("net");
    assert_eq!(net["eth0"]["up"], true, "{net}");
    assert!(net["cit0"].is_null(), "{net}");
    assert!(net["eth0"]["addresses"].to_string().contains("10.9.8.7"), "{net}");
}

/// A device that does not exist is refused with its name.
///
/// runc 1.1.5: has no `netDevices` yet.
#[test]
fn a_missing_device_is_refused() {
    need!(root);
    let message = Bundle::new().set("/linux/netDevices", json!({ "nowhere0": {} })).refused();
    assert!(message.contains("nowhere0"), "{message}");
}

/// A name that no device can have is refused.
///
/// runc 1.1.5: has no `netDevices` yet.
#[test]
fn an_impossible_name_is_refused() {
    need!(root);
    for name in ["a/b", "far-too-long-for-a-device", ".", ".."] {
        let _ = Bundle::new().set("/linux/netDevices", json!({ "lo": { "name": name } })).refused();
    }
}

/// Without a network namespace of its own a container gets no devices.
///
/// runc 1.1.5: has no `netDevices` yet.
#[test]
fn devices_without_a_network_namespace_are_refused() {
    need!(root);
    let _ = Bundle::new()
        .without_namespace("network")
        .set("/linux/netDevices", json!({ "lo": {} }))
        .refused();
}
