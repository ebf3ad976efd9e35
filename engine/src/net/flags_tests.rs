//! What the network flags ask for, and which of them exclude each other.

use super::*;

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn says(flags: &NetFlags) -> String {
    flags.ask(&[], false).unwrap_err().to_string()
}

#[test]
fn the_modes() {
    for (name, means) in [
        ("bridge", Mode::Bridge),
        ("default", Mode::Bridge),
        ("none", Mode::None),
        ("host", Mode::Host),
        ("container:web", Mode::Container("web".into())),
        ("name=none", Mode::None),
    ] {
        let flags = NetFlags { network: list(&[name]), ..NetFlags::default() };
        assert_eq!(flags.ask(&[], false).unwrap().mode, means, "{name}");
    }
    for (name, error) in [
        ("mine", "network mine not found"),
        ("container:", "invalid container format container:<name|id>"),
        ("name=bridge,x=1", "invalid field x=1 in --network name=bridge,x=1"),
    ] {
        assert_eq!(says(&NetFlags { network: list(&[name]), ..NetFlags::default() }), error);
    }
    let two = NetFlags { network: list(&["none", "host"]), ..NetFlags::default() };
    assert_eq!(says(&two), "a container can live in one network only");
}

#[test]
fn what_a_shared_network_excludes() {
    let with = |change: fn(&mut NetFlags)| {
        let mut flags = NetFlags { network: list(&["container:a"]), ..NetFlags::default() };
        change(&mut flags);
        says(&flags)
    };
    for (flags, error) in [
        (
            with(|f| f.publish = list(&["80"])),
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            with(|f| f.expose = list(&["80"])),
            "conflicting options: port exposing and the container type network mode",
        ),
        (with(|f| f.dns = list(&["1.1.1.1"])), "conflicting options: dns and the network mode"),
        (
            with(|f| f.add_host = list(&["a:1.1.1.1"])),
            "conflicting options: custom host-to-IP mapping and the network mode",
        ),
        (
            with(|f| f.mac_address = Some("02:42:0a:00:00:02".into())),
            "conflicting options: mac-address and the network mode",
        ),
    ] {
        assert_eq!(flags, error);
    }
    let shared = NetFlags { network: list(&["container:a"]), ..NetFlags::default() };
    let named = shared.ask(&[], true).unwrap_err().to_string();
    assert_eq!(named, "conflicting options: hostname and the network mode");
    assert!(shared.ask(&list(&["80/tcp"]), false).is_ok(), "the image may expose what it likes");
}

#[test]
fn hosts_and_servers() {
    let flags = NetFlags {
        add_host: list(&["a:1.2.3.4", "b=::1", "c:[fe80::1]", "d:host-gateway"]),
        dns: list(&["1.1.1.1", "::1"]),
        ..NetFlags::default()
    };
    let asked = flags.ask(&[], false).unwrap();
    let hosts: Vec<_> = asked.add_host.iter().map(|(name, to)| format!("{name} {to:?}")).collect();
    let expected = ["a Ip(1.2.3.4)", "b Ip(::1)", "c Ip(fe80::1)", "d HostGateway"];
    assert_eq!(hosts, expected);
    assert_eq!(asked.dns.len(), 2);
    for (host, error) in [
        ("a", "bad format for add-host: \"a\""),
        (":1.2.3.4", "bad format for add-host: \":1.2.3.4\""),
        ("a b:1.2.3.4", "bad format for add-host: \"a b:1.2.3.4\""),
        ("a:b", "invalid IP address in add-host: \"b\""),
    ] {
        assert_eq!(says(&NetFlags { add_host: list(&[host]), ..NetFlags::default() }), error);
    }
    let dns = NetFlags { dns: list(&["one"]), ..NetFlags::default() };
    assert_eq!(says(&dns), "one is not an ip address");
}

#[test]
fn what_needs_a_network_of_the_users_is_refused() {
    let alias = NetFlags { network_alias: list(&["x"]), ..NetFlags::default() };
    assert!(says(&alias).starts_with("network-scoped alias is supported only"));
    let link = NetFlags { link: list(&["db"]), ..NetFlags::default() };
    assert_eq!(says(&link), "cannot link to db: links are not supported");
    assert!(NetFlags { ip6: Some("::1".into()), ..NetFlags::default() }.ask(&[], false).is_err());
}

#[test]
fn published_ports_without_a_bridge_are_warned_of() {
    let network = list(&["host"]);
    let flags = NetFlags { network, publish: list(&["80:80"]), ..NetFlags::default() };
    let warnings = flags.ask(&[], false).unwrap().warnings();
    assert_eq!(warnings, ["Published ports are discarded when using host network mode"]);
}

#[test]
fn exposed_ports_come_from_flags_and_image_once() {
    let flags = NetFlags { expose: list(&["81", "80"]), ..NetFlags::default() };
    let asked = flags.ask(&list(&["80/tcp", "53/udp"]), false).unwrap();
    let ports: Vec<_> = asked.expose.iter().map(ToString::to_string).collect();
    assert_eq!(ports, ["53/udp", "80/tcp", "81/tcp"]);
}
