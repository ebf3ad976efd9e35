//! Tests of the device rules.

use serde_json::json;

use super::*;

fn build(rules: serde_json::Value) -> Result<DeviceList> {
    let rules: Vec<LinuxDeviceCgroup> = serde_json::from_value(rules).unwrap();
    DeviceList::build(&rules, &[])
}

fn texts(list: &DeviceList) -> Vec<String> {
    list.exceptions.iter().map(ToString::to_string).collect()
}

#[test]
fn no_rules_mean_the_default_devices_only() {
    let list = build(json!([])).unwrap();
    assert!(!list.default_allow);
    assert_eq!(
        texts(&list),
        [
            "c *:* m",
            "b *:* m",
            "c 1:3 rwm",
            "c 1:8 rwm",
            "c 1:7 rwm",
            "c 5:0 rwm",
            "c 1:5 rwm",
            "c 1:9 rwm",
            "c 136:* rwm",
            "c 5:2 rwm",
            "c 10:200 rwm"
        ]
    );
}

#[test]
fn rules_keep_their_order_and_merge() {
    let list = build(json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        {"allow": true, "type": "b", "major": 8, "minor": 20, "access": "r"},
        {"allow": true, "type": "b", "major": 8, "minor": 20, "access": "w"},
        {"allow": true, "type": "c", "major": 7, "minor": -1, "access": "r"},
        {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "m"},
    ]))
    .unwrap();
    assert_eq!(texts(&list)[..3], ["c 10:229 rw", "b 8:20 rw", "c 7:* r"]);
}

#[test]
fn allow_all_forgets_what_came_before() {
    let list = build(json!([
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        {"allow": true, "type": "a", "access": "rwm"},
    ]))
    .unwrap();
    assert!(list.is_allow_all());
}

#[test]
fn deny_rule_of_an_open_cgroup_stays() {
    let list = build(json!([
        {"allow": true, "access": "rwm"},
        {"allow": false, "type": "b", "major": 8, "minor": 0, "access": "w"},
    ]))
    .unwrap();
    assert!(list.default_allow && !list.is_allow_all());
    assert_eq!(texts(&list), ["b 8:0 w"]);
}

#[test]
fn hole_in_a_wildcard_is_refused() {
    let error = build(json!([
        {"allow": true, "type": "c", "major": 10, "access": "rw"},
        {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "w"},
    ]))
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid config linux.resources.devices[1]: cannot deny c 10:229 w: \
         it would punch a hole in the allow rule c 10:* rw"
    );
}

#[test]
fn own_node_at_a_default_path_replaces_the_default_rule() {
    let devices: Vec<LinuxDevice> =
        serde_json::from_value(json!([{"path": "/dev/null", "type": "c", "major": 1, "minor": 3}]))
            .unwrap();
    let list = DeviceList::build(&[], &devices).unwrap();
    assert!(!texts(&list).contains(&"c 1:3 rwm".to_owned()));
    assert!(texts(&list).contains(&"c 1:5 rwm".to_owned()));
}

#[test]
fn bad_rules_are_named() {
    for (rule, words) in [
        (json!({"allow": true, "type": "c"}), "device access \"\" must have"),
        (json!({"allow": true, "type": "c", "access": "x"}), "device access \"x\" must have"),
        (json!({"allow": true, "type": "p", "access": "r"}), "invalid cgroup device type \"p\""),
        (json!({"allow": true, "type": "c", "major": -2, "access": "r"}), "major -2 is no device"),
        (
            json!({"allow": true, "type": "c", "minor": 4_294_967_296_u64, "access": "r"}),
            "minor 4294967296 is no device",
        ),
    ] {
        let error = build(json!([rule])).unwrap_err().to_string();
        assert!(error.starts_with("invalid config linux.resources.devices[0]: "), "{error}");
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn fresh_cgroup_is_closed_first() {
    let fresh = DeviceList::parse("a *:* rwm\n").unwrap();
    let target = build(json!([])).unwrap();
    let writes = fresh.transition(&target);
    assert_eq!(writes[0], ("devices.deny", "a".to_owned()));
    assert_eq!(writes[1], ("devices.allow", "c *:* m".to_owned()));
    assert_eq!(writes.len(), 12);
}

#[test]
fn closed_cgroup_changes_without_closing() {
    let now = DeviceList::parse("c 1:3 rwm\nb 8:* rw\nc 7:7 m\n").unwrap();
    let target = DeviceList::parse("c 1:3 rwm\nb 8:* r\nc 9:9 rw\n").unwrap();
    assert_eq!(
        now.transition(&target),
        [
            ("devices.deny", "b 8:* w".to_owned()),
            ("devices.deny", "c 7:7 m".to_owned()),
            ("devices.allow", "c 9:9 rw".to_owned()),
        ]
    );
    assert_eq!(now.transition(&now), []);
}

#[test]
fn opening_a_cgroup_starts_anew() {
    let now = DeviceList::parse("c 1:3 rwm\n").unwrap();
    let target = DeviceList {
        default_allow: true,
        exceptions: vec![Exception::new(Kind::Block, Some(8), None, Access(Access::WRITE))],
    };
    assert_eq!(
        now.transition(&target),
        [("devices.allow", "a".to_owned()), ("devices.deny", "b 8:* w".to_owned())]
    );
}

#[test]
fn strange_list_is_an_error() {
    assert!(DeviceList::parse("x 1:3 rwm").is_err());
    assert!(DeviceList::parse("c 1 rwm").is_err());
    assert_eq!(DeviceList::parse("").unwrap(), DeviceList::default());
}
