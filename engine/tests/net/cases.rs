//! What containers, their host and its neighbours reach.

use std::time::Instant;

use corten_engine::net;
use corten_engine::net::flags::NetFlags;

use crate::lab::Lab;

fn publish(ports: &[&str]) -> NetFlags {
    let publish = ports.iter().map(|port| (*port).to_owned()).collect();
    NetFlags { publish, ..NetFlags::default() }
}

#[test]
fn a_container_reaches_the_world_and_the_world_does_not_reach_it() {
    let Some(lab) = Lab::new() else { return };
    lab.neighbour.serve(7000);
    let first = lab.start(NetFlags::default());
    let second = lab.start(NetFlags::default());
    second.space.serve(7000);
    assert_eq!(first.space.get("192.0.2.2:7000"), "192.0.2.1", "translated to the host's address");
    assert_eq!(first.space.get(&format!("{}:7000", second.ip())), first.ip(), "untranslated");
    assert_eq!(
        lab.host.get(&format!("{}:7000", second.ip())),
        first.endpoint.unwrap().gateway.to_string()
    );
    lab.neighbour.sh(&format!("ip route add {}/32 via 192.0.2.1", second.ip()));
    assert_eq!(lab.neighbour.get(&format!("{}:7000", second.ip())), "TimedOut", "routed directly");
    let eth0 = second.space.sh("ip -o addr show eth0; ip route; ip -o link show eth0");
    assert!(eth0.contains(&format!("inet {}/16 brd", second.ip())), "{eth0}");
    assert!(!eth0.contains("inet6"), "{eth0}");
    assert!(eth0.contains("default via 10.233.0.1 dev eth0"), "{eth0}");
    assert!(eth0.contains("02:42:0a:e9:00:03"), "{eth0}");
}

#[test]
fn published_ports_are_reached_from_everywhere() {
    let Some(lab) = Lab::new() else { return };
    let web =
        lab.start(publish(&["8080:80", "192.0.2.1:9000:80", "127.0.0.1:9100:80", "53:53/udp"]));
    web.space.serve(80);
    web.space.serve_udp(53);
    assert_eq!(lab.neighbour.get("192.0.2.1:8080"), "192.0.2.2", "the client's address stays");
    assert_eq!(lab.neighbour.get("192.0.2.1:9000"), "192.0.2.2");
    assert_eq!(lab.neighbour.get("192.0.2.1:9100"), "ConnectionRefused", "loopback only");
    assert_eq!(lab.neighbour.get("[2001:db8::1]:8080"), "10.233.0.1", "IPv6, by the forwarder");
    assert_eq!(lab.neighbour.get_udp("192.0.2.1:53"), "192.0.2.2");
    assert_eq!(lab.neighbour.get_udp("[2001:db8::1]:53"), "10.233.0.1");
    assert_eq!(lab.host.get("192.0.2.1:8080"), "192.0.2.1");
    for address in ["127.0.0.1:8080", "127.0.0.1:9100", "[::1]:8080"] {
        assert_eq!(lab.host.get(address), "10.233.0.1", "{address}");
    }
    assert_eq!(lab.host.get_udp("127.0.0.1:53"), "10.233.0.1");
    let other = lab.start(NetFlags::default());
    for (from, who) in [(&other, "another container"), (&web, "itself")] {
        assert_eq!(from.space.get("192.0.2.1:8080"), "10.233.0.1", "hairpin: {who}");
        assert_eq!(from.space.get("10.233.0.1:8080"), "10.233.0.1", "by the gateway: {who}");
    }
}

#[test]
fn what_is_stopped_leaves_nothing() {
    let Some(lab) = Lab::new() else { return };
    let before = lab.host.sh("ip -o link | wc -l");
    let mut web = lab.start(publish(&["8080:80", "8000-8002:90-92"]));
    let text = lab.host.sh("nft list ruleset");
    assert!(text.contains("tcp . 8080 : 10.233.0.2 . 80"), "{text}");
    assert!(text.contains("tcp . 8002 : 10.233.0.2 . 92"), "{text}");
    web.down();
    web.down();
    let text = lab.host.sh("nft list ruleset");
    assert!(!text.contains("10.233.0.2"), "{text}");
    assert_eq!(lab.neighbour.get("192.0.2.1:8080"), "ConnectionRefused");
    let after: u32 = lab.host.sh("ip -o link | wc -l").trim().parse().unwrap();
    assert_eq!(after, before.trim().parse::<u32>().unwrap() + 1, "only the bridge is left");
    assert_eq!(std::fs::read_dir(lab.paths.ipam().join("bridge")).unwrap().count(), 0);
    assert!(!lab.paths.run.join("net").join(format!("{}.json", web.id)).exists());
    let again = lab.start(publish(&["8080:80"]));
    assert_eq!(again.ip(), "10.233.0.2", "the lowest free address");
}

#[test]
fn a_conflict_names_the_owner_and_leaves_nothing() {
    let Some(lab) = Lab::new() else { return };
    let _web = lab.start(publish(&["8080:80"]));
    let error = lab.try_start(publish(&["8081:80", "8080:80"])).err().unwrap();
    let expected = "cannot publish 80/tcp on 0.0.0.0:8080: port is already allocated";
    assert!(error.starts_with(expected), "{error}");
    let _free = lab.start(publish(&["8081:80"]));
    let missing = lab.try_start(publish(&["198.51.100.1:80:80"])).err().unwrap();
    assert!(missing.ends_with("this host has no address 198.51.100.1"), "{missing}");
    let taken = NetFlags { ip: Some("10.233.0.2".into()), ..NetFlags::default() };
    let taken = lab.try_start(taken).err().unwrap();
    assert!(taken.contains("Address already in use by container"), "{taken}");
    let outside = NetFlags { ip: Some("10.9.0.2".into()), ..NetFlags::default() };
    assert!(lab.try_start(outside).err().unwrap().contains("it is not in 10.233.0.0/16"));
    assert_eq!(std::fs::read_dir(lab.paths.ipam().join("bridge")).unwrap().count(), 2);
}

#[test]
fn address_and_mac_can_be_chosen() {
    let Some(lab) = Lab::new() else { return };
    let flags = NetFlags {
        ip: Some("10.233.7.9".into()),
        mac_address: Some("92:d0:c6:0a:29:33".into()),
        add_host: vec!["gate:host-gateway".into()],
        ..NetFlags::default()
    };
    let container = lab.start(flags);
    let eth0 = container.space.sh("ip addr show eth0");
    assert!(eth0.contains("inet 10.233.7.9/16") && eth0.contains("92:d0:c6:0a:29:33"), "{eth0}");
    let hosts = container.file("hosts");
    assert!(hosts.ends_with("10.233.0.1\tgate\n10.233.7.9\tweb\n"), "{hosts}");
}

#[test]
fn rules_that_were_flushed_come_back_with_the_next_container() {
    let Some(lab) = Lab::new() else { return };
    let first = lab.start(publish(&["8080:80"]));
    first.space.serve(80);
    lab.host.sh("nft flush ruleset");
    // The forwarder's sockets take what is not translated: the port works all the same.
    assert_eq!(lab.neighbour.get("192.0.2.1:8080"), "10.233.0.1");
    let _second = lab.start(NetFlags::default());
    assert_eq!(lab.neighbour.get("192.0.2.1:8080"), "192.0.2.2");
    lab.host.sh("nft flush ruleset && ip link del $(ip -o link show type bridge | cut -d: -f2)");
    let third = lab.start(publish(&["8081:80"]));
    third.space.serve(80);
    assert_eq!(lab.neighbour.get("192.0.2.1:8081"), "192.0.2.2");
}

#[test]
fn what_a_killed_process_left_is_swept() {
    let Some(lab) = Lab::new() else { return };
    let mut dead = lab.start(publish(&["8080:80"]));
    dead.attached = None;
    // As a monitor that was killed: its record names a process that is no more.
    let record = lab.paths.run.join("net").join(format!("{}.json", dead.id));
    let claim = lab.paths.ipam().join("bridge").join(dead.ip());
    for file in [&record, &claim] {
        let text = std::fs::read_to_string(file).unwrap();
        let start = format!(
            "\"startTime\": {}",
            text.split("\"startTime\": ").nth(1).unwrap().split(',').next().unwrap()
        );
        std::fs::write(file, text.replace(&start, "\"startTime\": 1")).unwrap();
    }
    let web = lab.start(publish(&["8080:81"]));
    web.space.serve(81);
    assert_eq!(lab.neighbour.get("192.0.2.1:8080"), "192.0.2.2");
    assert!(!record.exists() && !claim.exists());
}

#[test]
fn a_host_that_did_not_forward_does_not_begin_to() {
    let Some(lab) = Lab::new() else { return };
    assert_eq!(lab.host.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "0");
    let far = crate::lab::Space::new();
    let pid = far.run(|| rustix::thread::gettid().as_raw_nonzero().get());
    lab.host.sh(&format!(
        "ip link add lan type veth peer name eth0 netns {pid} && ip addr add 203.0.113.1/24 dev lan && ip link set lan up"
    ));
    far.sh("ip addr add 203.0.113.2/24 dev eth0 && ip link set eth0 up && ip route add default via 203.0.113.1");
    lab.neighbour.sh("ip route add 203.0.113.0/24 via 192.0.2.1");
    lab.neighbour.serve(7000);
    let container = lab.start(publish(&["80:80"]));
    container.space.serve(80);
    assert_eq!(lab.host.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
    assert_eq!(far.get("192.0.2.2:7000"), "TimedOut", "the host is no router for others");
    assert_eq!(far.get("192.0.2.1:80"), "203.0.113.2", "published on every device");
    assert_eq!(container.space.get("192.0.2.2:7000"), "192.0.2.1");
}

#[test]
fn bridge_and_three_ports_are_quick() {
    let Some(lab) = Lab::new() else { return };
    let _first = lab.start(NetFlags::default());
    let begin = Instant::now();
    let mut container = lab.start(publish(&["8080:80", "8081:81", "53:53/udp"]));
    let started = begin.elapsed();
    container.down();
    println!("up {started:?}, up and down {:?}", begin.elapsed());
    assert!(begin.elapsed().as_millis() < 500, "{:?}", begin.elapsed());
}

#[test]
fn a_range_of_a_thousand_ports() {
    let Some(lab) = Lab::new() else { return };
    let mut container = lab.start(publish(&["20000-20999:1000-1999"]));
    container.space.serve(1999);
    assert_eq!(lab.neighbour.get("192.0.2.1:20999"), "192.0.2.2");
    container.down();
    assert!(!lab.host.sh("nft list ruleset").contains("10.233.0.2"));
}

#[test]
fn all_exposed_ports_on_free_ones() {
    let Some(lab) = Lab::new() else { return };
    let expose = vec!["80".to_owned(), "53/udp".to_owned()];
    let container = lab.start(NetFlags { publish_all: true, expose, ..NetFlags::default() });
    container.space.serve(80);
    let ports = container.endpoint.as_ref().unwrap().ports.clone();
    let tcp = ports.iter().find(|b| b.port.number == 80 && b.ip.is_ipv4()).unwrap();
    assert_eq!(lab.neighbour.get(&format!("192.0.2.1:{}", tcp.host_port)), "192.0.2.2");
    let v6 = ports.iter().find(|b| b.port.number == 80 && b.ip.is_ipv6()).unwrap();
    assert_eq!(tcp.host_port, v6.host_port);
    let line = net::ports::column(&ports, &[]);
    assert!(line.contains(&format!("[::]:{}->80/tcp", v6.host_port)), "{line}");
}
