//! `/dev`: default devices, their links, `linux.devices`, and who may open what.

use harness::{Bundle, need};
use serde_json::json;

/// The devices config-linux.md promises, with their numbers, open to all.
#[test]
fn default_devices_are_there() {
    need!(root);
    let devices = [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    ];
    let mut args = vec!["/bin/probe".to_owned()];
    for (name, ..) in devices {
        args.extend(["stat".to_owned(), format!("/dev/{name}"), "--".to_owned()]);
    }
    let c = Bundle::new().after("umask 077").args(&args).run();
    for (name, major, minor) in devices {
        let stat = c.value(&format!("stat /dev/{name}"));
        assert_eq!(stat["type"], "char", "{name}");
        assert_eq!(stat["mode"], "666", "{name}");
        assert_eq!(
            (stat["major"].clone(), stat["minor"].clone()),
            (json!(major), json!(minor)),
            "{name}"
        );
    }
}

/// The links that programs expect.
#[test]
fn default_links_are_there() {
    need!(root);
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    let mut args = vec!["/bin/probe".to_owned()];
    for (name, _) in links {
        args.extend(["readlink".to_owned(), format!("/dev/{name}"), "--".to_owned()]);
    }
    let c = Bundle::new().args(&args).run();
    for (name, target) in links {
        assert_eq!(c.fact(&format!("readlink /dev/{name}")), target);
    }
}

/// `linux.devices` of every type, with mode and owner.
#[test]
fn configured_devices_of_all_types_are_made() {
    need!(root);
    let c = Bundle::new()
        .after("umask 077")
        .push("/linux/devices", json!({ "path": "/dev/char", "type": "c", "major": 1, "minor": 11, "fileMode": 0o640, "uid": 7, "gid": 8 }))
        .push("/linux/devices", json!({ "path": "/dev/deep/block", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600 }))
        .push("/linux/devices", json!({ "path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 12, "fileMode": 0o666 }))
        .push("/linux/devices", json!({ "path": "/dev/pipe", "type": "p", "fileMode": 0o622 }))
        .probe("stat /dev/char -- stat /dev/deep/block -- stat /dev/unbuffered -- stat /dev/pipe".split(' '))
        .run();
    let stat = c.value("stat /dev/char");
    assert_eq!((stat["type"].clone(), stat["mode"].clone()), (json!("char"), json!("640")));
    assert_eq!((stat["uid"].clone(), stat["gid"].clone()), (json!(7), json!(8)));
    assert_eq!((stat["major"].clone(), stat["minor"].clone()), (json!(1), json!(11)));
    let stat = c.value("stat /dev/deep/block");
    assert_eq!((stat["type"].clone(), stat["minor"].clone()), (json!("block"), json!(200)));
    assert_eq!(c.value("stat /dev/unbuffered")["type"], "char");
    assert_eq!(c.value("stat /dev/pipe")["type"], "fifo");
    assert_eq!(c.value("stat /dev/pipe")["mode"], "622");
}

/// A device without `fileMode` is usable by somebody.
#[test]
fn a_device_without_mode_is_usable() {
    need!(root);
    let c = Bundle::new()
        .push("/linux/devices", json!({ "path": "/dev/mine", "type": "c", "major": 1, "minor": 3 }))
        .probe(["stat", "/dev/mine"])
        .run();
    assert_eq!(c.value("stat")["type"], "char");
}

/// An unknown type, and a relative path, are refused.
#[test]
fn odd_devices_are_refused() {
    need!(root);
    let message = Bundle::new()
        .push("/linux/devices", json!({ "path": "/dev/x", "type": "q", "major": 1, "minor": 3 }))
        .refused();
    assert!(
        message.contains("/dev/x") || message.contains("`q`") || message.contains("type"),
        "{message}"
    );
    let _ = Bundle::new()
        .push("/linux/devices", json!({ "type": "c", "major": 1, "minor": 3 }))
        .refused();
}

/// The rules of `resources.devices`: what is not allowed cannot be opened, whatever nodes can be made.
#[test]
fn device_rules_decide_who_may_open() {
    need!(root);
    let bundle = || {
        Bundle::new()
            .capabilities(&["CAP_MKNOD", "CAP_SYSLOG"])
            .probe("mknod /tmp/mem c 1 1 -- open /tmp/mem -- mknod /tmp/zero c 1 5 -- open /tmp/zero -- mknod /tmp/rtc c 1 11 -- readable /tmp/rtc".split(' '))
    };
    let c = bundle().run();
    assert_eq!(c.errno("open /tmp/mem"), "EPERM");
    assert_eq!(c.errno("readable /tmp/rtc"), "EPERM");
    assert_eq!(c.fact("open /tmp/zero"), "ok");
    let allow = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" });
    let c = bundle().push("/linux/resources/devices", allow).run();
    assert_ne!(c.errno("readable /tmp/rtc"), "EPERM");
    assert_eq!(c.errno("open /tmp/mem"), "EPERM");
}

/// Later rules win over earlier ones.
#[test]
fn device_rules_are_applied_in_order() {
    need!(root);
    let allow = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "rw" });
    let deny = json!({ "allow": false, "type": "c", "major": 1, "minor": 11, "access": "w" });
    let c = Bundle::new()
        .capabilities(&["CAP_MKNOD", "CAP_SYSLOG", "CAP_SYS_ADMIN"])
        .push("/linux/resources/devices", allow)
        .push("/linux/resources/devices", deny)
        .probe("mknod /tmp/kmsg c 1 11 -- readable /tmp/kmsg -- writable /tmp/kmsg".split(' '))
        .run();
    assert_eq!(c.fact("readable"), "ok");
    assert_eq!(c.errno("writable"), "EPERM");
}

/// A rule for all devices of a major number (minor −1 or absent).
#[test]
fn device_rules_know_wildcards() {
    need!(root);
    let allow = json!({ "allow": true, "type": "c", "major": 1, "access": "r" });
    let c = Bundle::new()
        .capabilities(&["CAP_MKNOD", "CAP_SYSLOG"])
        .push("/linux/resources/devices", allow)
        .probe("mknod /tmp/kmsg c 1 11 -- readable /tmp/kmsg -- writable /tmp/kmsg".split(' '))
        .run();
    assert_eq!(c.fact("readable"), "ok");
    assert_eq!(c.errno("writable"), "EPERM");
}

/// Configured devices may be opened only when a rule says so: the node alone is no permission.
#[test]
fn a_node_is_no_permission() {
    need!(root);
    let c = Bundle::new()
        .push(
            "/linux/devices",
            json!({ "path": "/dev/mem", "type": "c", "major": 1, "minor": 1, "fileMode": 0o666 }),
        )
        .probe(["open", "/dev/mem"])
        .run();
    assert_eq!(c.errno("open"), "EPERM");
}
