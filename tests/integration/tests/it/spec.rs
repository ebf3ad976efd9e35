//! config.json: what is refused, in one clear line, and what must be read all the same.

use harness::{Bundle, need};
use serde_json::{Value, json};

/// Where, what, and a word the message must contain.
fn bad_values() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("/ociVersion", json!("2.0.0"), ""),
        ("/ociVersion", json!(""), ""),
        ("/ociVersion", json!(7), ""),
        ("/process/args", json!([]), "args"),
        ("/process/args", json!("sh"), ""),
        ("/process/args", json!([""]), ""),
        ("/process/cwd", json!(""), ""),
        ("/process/user/gid", json!("root"), ""),
        ("/process/rlimits", json!([{ "type": "RLIMIT_CORE", "soft": 5, "hard": 1 }]), ""),
        ("/process/env", json!(["A\u{0}B=1"]), ""),
        ("/process/args", json!(["a\u{0}b"]), ""),
        ("/process/capabilities", json!({ "bounding": "CAP_KILL" }), ""),
        ("/root/path", json!(""), ""),
        (
            "/mounts",
            json!([{ "destination": "/x", "source": "/nowhere/at/all", "options": ["bind"] }]),
            "/nowhere/at/all",
        ),
        ("/linux/namespaces", json!([{ "type": "moon" }]), ""),
        ("/linux/namespaces/0", json!({ "path": "/proc/1/ns/net" }), ""),
        ("/linux/rootfsPropagation", json!("moon"), "moon"),
        ("/linux/devices", json!([{ "path": "/dev/x", "type": "c", "major": -5, "minor": 0 }]), ""),
        ("/linux/resources/memory", json!({ "limit": "64M" }), ""),
        ("/linux/resources/devices", json!([{ "allow": true, "type": "q", "access": "r" }]), ""),
        ("/linux/resources/devices", json!([{ "allow": true, "type": "c", "access": "xyz" }]), ""),
        ("/linux/sysctl", json!({ "kernel.core_pattern": "|/evil" }), "kernel.core_pattern"),
        ("/linux/maskedPaths", json!("/proc"), ""),
        ("/hooks", json!({ "createRuntime": [{ "args": ["x"] }] }), ""),
        ("/annotations", json!(["a"]), ""),
    ]
}

/// Each bad value: exit 1, a message, one JSON line, and nothing left.
///
/// runc 1.5.0: takes `ociVersion` 2.0.0 and others of these.
#[test]
fn bad_values_are_refused() {
    need!(root);
    for (pointer, value, word) in bad_values() {
        let bundle = Bundle::new().set(pointer, value.clone()).args_unless(pointer);
        bundle.write();
        let output = bundle.runtime().call(&bundle.words("create"));
        assert_eq!(output.code, Some(1), "{pointer} = {value}: {output:?}");
        let message = output.refused();
        assert!(message.contains(word), "{pointer} = {value}: {message}");
        let left = bundle.place().settled();
        assert!(left.is_empty(), "{pointer} = {value} left:\n{left}");
    }
}

/// So that a table of changes does not undo itself.
trait ArgsUnless {
    fn args_unless(self, pointer: &str) -> Self;
}

impl ArgsUnless for Bundle {
    fn args_unless(self, pointer: &str) -> Self {
        if pointer == "/process/args" { self } else { self.args(&["/bin/true"]) }
    }
}

/// Files that are no configuration at all: no crash, no hang, the position in the message.
#[test]
fn files_that_are_no_configuration_are_refused() {
    need!(root);
    let deep = "[".repeat(100_000);
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("cut", b"{\"ociVersion\": \"1.0.2\", \"proc".to_vec()),
        ("an array", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("no JSON", b"hello".to_vec()),
        ("no UTF-8", vec![b'{', b'"', 0xff, 0xfe, b'"', b':', b'1', b'}']),
        ("deep", deep.into_bytes()),
        ("an empty object", b"{}".to_vec()),
        (
            "a number too big",
            b"{\"ociVersion\":\"1.0.2\",\"process\":{\"user\":{\"uid\":1e400}}}".to_vec(),
        ),
    ] {
        let bundle = Bundle::new().raw_config(bytes);
        bundle.write();
        let output = bundle.runtime().call(&bundle.words("create"));
        assert_eq!(output.code, Some(1), "{what}: {output:?}");
        let _ = output.refused();
        let left = bundle.place().settled();
        assert!(left.is_empty(), "{what} left:\n{left}");
    }
}

/// No bundle, or a bundle without config.json, is named.
#[test]
fn a_missing_configuration_is_named() {
    need!(root);
    let bundle = Bundle::new();
    let output = bundle.runtime().call(&bundle.words("create"));
    assert!(output.refused().contains("config.json"), "{output:?}");
    let output = bundle.runtime().call(&["create", "--bundle", "/no/such/bundle", bundle.id()]);
    assert!(output.refused().contains("/no/such/bundle"), "{output:?}");
}

/// Unknown properties are passed over (config.md, extensibility).
#[test]
fn unknown_properties_are_ignored() {
    need!(root);
    let c = Bundle::new()
        .set("/moon", json!({ "walk": true }))
        .set("/process/moon", "x")
        .set("/linux/moon", json!([1, 2]))
        .set("/linux/resources/moon", 1)
        .edit(|c| c["mounts"][0]["moon"] = json!("y"))
        .probe(["pid"])
        .run();
    assert_eq!(c.fact("pid"), "1");
}

/// Sections of other systems are passed over.
#[test]
fn sections_of_other_systems_are_ignored() {
    need!(root);
    let c = Bundle::new()
        .set("/solaris", json!({ "milestone": "x" }))
        .set("/windows", json!({ "layerFolders": ["C:\\x"] }))
        .probe(["pid"])
        .run();
    assert_eq!(c.fact("pid"), "1");
}

/// Every 1.x version of the spec is read.
#[test]
fn all_versions_of_the_first_major_are_read() {
    need!(root);
    for version in ["1.0.0", "1.0.2-dev", "1.0.2", "1.1.0", "1.1.0+dev", "1.2.0", "1.2.1", "1.3.0"]
    {
        let c = Bundle::new().set("/ociVersion", version).probe(["pid"]).run();
        assert_eq!(c.fact("pid"), "1", "{version}");
    }
}

/// Annotations: any keys and values that are strings; empty keys and other values are not.
#[test]
fn annotations_are_strings() {
    need!(root);
    let c = Bundle::new()
        .set("/annotations", json!({ "a": "", "org.example/x": "ü\n" }))
        .sleeper()
        .create();
    assert_eq!(c.state()["annotations"], json!({ "a": "", "org.example/x": "ü\n" }));
    let _ = Bundle::new().set("/annotations", json!({ "a": 5 })).refused();
}

/// A large configuration is read in bounded time (fault model F22).
#[test]
fn a_large_configuration_is_read() {
    need!(root);
    let many: Vec<String> =
        (0..20_000).map(|n| format!("VARIABLE_{n}={}", "x".repeat(50))).collect();
    let begun = std::time::Instant::now();
    let c = Bundle::new().set("/process/env", json!(many)).args(&["/bin/true"]).run();
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(c.code(), 0);
}

/// A thousand mounts.
#[test]
fn a_thousand_mounts_are_made() {
    need!(root);
    let bundle = Bundle::new();
    let dir = bundle.outside("vol");
    std::fs::create_dir(&dir).unwrap();
    let mut bundle = bundle;
    for n in 0..1000 {
        bundle = bundle.bind(&dir, &format!("/m/{n}"), &["ro"]);
    }
    let c = bundle.sh("grep -c ' /m/' /proc/self/mountinfo").run();
    assert_eq!(c.stdout().trim(), "1000");
}

/// No `process` at all: `create` works and `start` is an error (runtime.md), or `create` says so.
#[test]
fn a_bundle_without_process_never_starts() {
    need!(root);
    let bundle = Bundle::new().unset("/process");
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    if output.code == Some(0) {
        let start = bundle.runtime().call(&["start", bundle.id()]);
        assert_ne!(start.code, Some(0));
        let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]).ok();
    } else {
        assert!(output.refused().contains("process"), "{output:?}");
    }
}
