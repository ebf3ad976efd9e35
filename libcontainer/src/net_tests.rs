//! Devices moved between network namespaces that the tests make for themselves.

use super::*;
use crate::sys::clone::unshare;
use crate::sys::testing::{hold, in_namespaces, root};

/// Addresses of a device as text, permanent or not: family, length, bytes.
fn addresses(route: &Route, name: &str) -> Vec<(u8, u8, Vec<u8>)> {
    let index = Link::find(route, name).unwrap().index;
    let mut ask = Message::new(libc::RTM_GETADDR, 0, &[0; ADDRESS]).unwrap();
    let list = route.list(&mut ask, &mut vec![0; PACKET], Vec::new, |list, _, body| {
        if word(body, 4) == Some(index) {
            let mut told = attributes(&body[ADDRESS..]);
            let (_, bytes) = told.find(|(kind, _)| *kind == libc::IFA_ADDRESS).unwrap();
            list.push((body[0], body[1], bytes.to_vec()));
        }
        Ok(())
    });
    list.unwrap()
}

/// Adds an address; `lifetime` is in seconds.
fn add(route: &Route, name: &str, (bytes, prefix): (&[u8], u8), scope: u8, lifetime: Option<u32>) {
    let family = if bytes.len() == 4 { libc::AF_INET } else { libc::AF_INET6 };
    let mut fixed = [u8::try_from(family).unwrap(), prefix, 0, scope, 0, 0, 0, 0];
    fixed[4..].copy_from_slice(&Link::find(route, name).unwrap().index.to_ne_bytes());
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    let mut message = Message::new(libc::RTM_NEWADDR, flags, &fixed).unwrap();
    message.attribute(libc::IFA_LOCAL, bytes).unwrap();
    message.attribute(libc::IFA_ADDRESS, bytes).unwrap();
    if let Some(seconds) = lifetime {
        let words = [seconds, seconds, 0, 0].map(u32::to_ne_bytes);
        message.attribute(libc::IFA_CACHEINFO, words.as_flattened()).unwrap();
    }
    route.request(&mut message).unwrap();
}

fn make_veth(route: &Route, name: &str) {
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    let mut message = Message::new(libc::RTM_NEWLINK, flags, &link(0, 0, 0)).unwrap();
    message.text(libc::IFLA_IFNAME, name).unwrap();
    message
        .nested(libc::IFLA_LINKINFO, |inside| inside.text(libc::IFLA_INFO_KIND, "veth").map(drop))
        .unwrap();
    route.request(&mut message).unwrap();
}

fn device(host: &str, name: &str) -> NetDevice {
    NetDevice { host: host.to_owned(), name: name.to_owned() }
}

fn new_netns() -> OwnedFd {
    std::thread::spawn(|| {
        unshare(CLONE_NEWNET).unwrap();
        open_ns("/proc/thread-self/ns/net").unwrap()
    })
    .join()
    .unwrap()
}

/// Runs a test in a thread that lives in a new network namespace, its "host".
fn on_a_host(test: fn(&Route, OwnedFd)) {
    if !root() {
        eprintln!("skipped: network namespaces need root");
        return;
    }
    let run = move || {
        unshare(CLONE_NEWNET).unwrap();
        let host = Route::open().unwrap();
        test(&host, new_netns());
    };
    std::thread::spawn(run).join().unwrap();
}

#[test]
fn loopback_comes_up_in_a_new_namespace() {
    let work = || {
        let route = Route::open()?;
        hold(!Link::find(&route, "lo")?.up)?;
        loopback_up()?;
        hold(Link::find(&route, "lo")? == Link { index: LOOPBACK, up: true })
    };
    assert_eq!(in_namespaces(CLONE_NEWNET, work), 0);
}

#[test]
fn device_keeps_its_lasting_addresses_under_a_new_name() {
    on_a_host(|host, container| {
        make_veth(host, "v0");
        let up = Link::find(host, "v0").unwrap().index;
        set_up(host, up).unwrap();
        let global: [u8; 16] = [0xfd, 0xc0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        add(host, "v0", (&[10, 9, 8, 7], 24), libc::RT_SCOPE_UNIVERSE, None);
        add(host, "v0", (&global, 64), libc::RT_SCOPE_UNIVERSE, None);
        add(host, "v0", (&[169, 254, 1, 1], 16), libc::RT_SCOPE_LINK, None);
        add(host, "v0", (&[10, 9, 8, 99], 24), libc::RT_SCOPE_UNIVERSE, Some(500));
        let mut moved = move_devices(&[device("v0", "up0")], &container).unwrap();
        assert_eq!(Link::find(host, "v0").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert!(Link::find(&moved.there, "up0").unwrap().up);
        let kept = addresses(&moved.there, "up0");
        assert!(kept.contains(&(2, 24, vec![10, 9, 8, 7])), "{kept:?}");
        assert!(kept.contains(&(10, 64, global.to_vec())), "{kept:?}");
        assert!(!kept.iter().any(|(.., a)| *a == [169, 254, 1, 1] || *a == [10, 9, 8, 99]));
        // And home again.
        moved.moves[0].was_up = false;
        moved.undo().unwrap();
        assert!(!Link::find(host, "v0").unwrap().up);
        assert_eq!(addresses(host, "v0")[0], (2, 24, vec![10, 9, 8, 7]));
    });
}

#[test]
fn templates_take_the_first_free_number() {
    on_a_host(|host, container| {
        for name in ["a", "b"] {
            make_veth(host, name);
        }
        let devices = [device("a", "net%d"), device("b", "net%d")];
        let moved = move_devices(&devices, &container).unwrap();
        assert!(
            Link::find(&moved.there, "net0").is_ok() && Link::find(&moved.there, "net1").is_ok()
        );
    });
}

#[test]
fn a_failure_leaves_every_device_on_the_host() {
    on_a_host(|host, container| {
        let there = route_in(container.as_fd()).unwrap();
        make_veth(&there, "taken");
        for name in ["a", "b", "taken"] {
            make_veth(host, name);
        }
        set_up(host, Link::find(host, "a").unwrap().index).unwrap();
        let words = |devices: &[NetDevice]| {
            let error = move_devices(devices, &container).unwrap_err();
            assert!(error.hint.is_some(), "{error}");
            error.to_string()
        };
        assert_eq!(
            words(&[device("a", "a"), device("b", "taken")]),
            "network device b: the container already has a device named taken"
        );
        assert!(Link::find(host, "a").unwrap().up);
        assert_eq!(words(&[device("none", "x")]), "network device none: no such device");
        assert_eq!(words(&[device("lo", "x")]), "network device lo: invalid argument");
        assert!(words(&[device("taken", "taken")]).contains("already has"));
        assert!(Link::find(host, "taken").is_ok() && Link::find(&there, "taken").is_ok());
    });
}

#[test]
fn old_name_may_be_taken_in_the_container_when_the_new_one_is_free() {
    on_a_host(|host, container| {
        let there = route_in(container.as_fd()).unwrap();
        make_veth(&there, "eth0");
        make_veth(host, "eth0");
        let moved = move_devices(&[device("eth0", "eth1")], &container).unwrap();
        assert!(Link::find(&there, "eth0").is_ok() && Link::find(&there, "eth1").unwrap().up);
        moved.undo().unwrap();
        assert!(Link::find(host, "eth0").is_ok() && Link::find(&there, "eth0").is_ok());
    });
}

#[test]
fn own_namespace_is_no_target() {
    let own = netns_of(i32::try_from(std::process::id()).unwrap()).unwrap();
    let error = move_devices(&[device("eth0", "eth0")], own).unwrap_err();
    assert!(error.to_string().contains("is the host's"), "{error}");
    assert!(netns_of(i32::MAX).is_err());
}

#[test]
fn number_too_long_for_a_name_is_no_name() {
    let names: Vec<String> = (0..10).map(|n| format!("fourteen-byte{n}x")).collect();
    assert_eq!(free_name(&device("a", "fourteen-byte%dx"), &names), None);
    assert_eq!(free_name(&device("a", "n%d"), &["n0".into(), "n2".into()]).unwrap(), "n1");
}
