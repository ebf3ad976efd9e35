//! `process.capabilities`, LSM labels and seccomp: a protection that cannot be given is an error.

use std::fs;

use harness::config::capability_mask;
use harness::image::copy_program;
use harness::{Bundle, Finished, need};
use serde_json::{Value, json};

fn with(capabilities: Value) -> Bundle {
    Bundle::new().set("/process/capabilities", capabilities).probe(
        "status CapInh -- status CapPrm -- status CapEff -- status CapBnd -- status CapAmb"
            .split(' '),
    )
}

fn set(c: &Finished, name: &str) -> String {
    c.fact(&format!("status {name}"))
}

/// Each of the five sets is exactly what was asked.
#[test]
fn each_capability_set_is_exact() {
    need!(root);
    let c = with(json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SETPCAP"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "effective": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_NET_RAW"],
        "ambient": ["CAP_NET_RAW"]
    }))
    .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
    .run();
    // After execve of a plain program as a plain user only the ambient set is left in permitted and effective.
    assert_eq!(
        set(&c, "CapBnd"),
        capability_mask(&["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SETPCAP"])
    );
    for name in ["CapInh", "CapAmb", "CapPrm", "CapEff"] {
        assert_eq!(set(&c, name), capability_mask(&["CAP_NET_RAW"]), "{name}");
    }
}

/// Root gets what the bounding set allows, and no inheritable or ambient ones (CVE-2022-29162, CVE-2016-8867).
#[test]
fn root_has_no_inheritable_capabilities() {
    need!(root);
    let c = Bundle::new().probe("status CapInh -- status CapEff -- status CapAmb".split(' ')).run();
    assert_eq!(set(&c, "CapInh"), capability_mask(&[]));
    assert_eq!(set(&c, "CapAmb"), capability_mask(&[]));
    assert_eq!(
        set(&c, "CapEff"),
        capability_mask(&["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"])
    );
}

/// No capabilities configured: none at all.
#[test]
fn no_capabilities_means_none() {
    need!(root);
    for capabilities in [json!({}), json!({ "bounding": [], "permitted": [], "effective": [] })] {
        let c = with(capabilities).run();
        for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(set(&c, name), capability_mask(&[]), "{name}");
        }
    }
}

/// `process.capabilities` left out altogether is no grant of the caller's.
#[test]
fn capabilities_left_out_grant_nothing_new() {
    need!(root);
    let c = Bundle::new()
        .unset("/process/capabilities")
        .probe(["status", "CapInh", "--", "status", "CapAmb"])
        .run();
    assert_eq!(set(&c, "CapInh"), capability_mask(&[]));
    assert_eq!(set(&c, "CapAmb"), capability_mask(&[]));
}

/// An unknown name warns and the rest is given (config.md: SHOULD NOT fail).
#[test]
fn an_unknown_capability_warns() {
    need!(root);
    let caps = json!(["CAP_KILL", "CAP_MOON_WALK"]);
    let c = with(json!({ "bounding": caps, "permitted": caps, "effective": caps }))
        .global(&["--debug"])
        .run();
    assert_eq!(set(&c, "CapEff"), capability_mask(&["CAP_KILL"]));
    assert!(c.output.log.contains("CAP_MOON_WALK"), "{}", c.output.log);
}

/// What the caller does not have cannot be given: a warning, and the container runs (config.md).
///
/// runc 1.5.0: refuses.
#[test]
fn a_capability_the_caller_lacks_is_left_out() {
    need!(root, no_sys_resource);
    let caps = json!(["CAP_KILL", "CAP_SYS_RESOURCE"]);
    let c = with(json!({ "bounding": caps, "permitted": caps, "effective": caps }))
        .global(&["--debug"])
        .run();
    assert_eq!(set(&c, "CapEff"), capability_mask(&["CAP_KILL"]));
    assert!(c.output.log.contains("CAP_SYS_RESOURCE"), "{}", c.output.log);
}

/// What is not inheritable cannot be ambient: a warning in runc's words, and the container runs.
#[test]
fn an_ambient_capability_that_is_not_inheritable_is_left_out() {
    need!(root);
    let both = json!(["CAP_KILL", "CAP_CHOWN"]);
    let c = with(json!({ "bounding": both, "permitted": both, "effective": both,
        "inheritable": ["CAP_KILL"], "ambient": both }))
    .global(&["--debug"])
    .run();
    assert_eq!(set(&c, "CapAmb"), capability_mask(&["CAP_KILL"]));
    let said = format!("{}{}", c.output.log, c.output.stderr);
    assert!(said.contains("can't raise ambient capability CAP_CHOWN: "), "{said}");
}

/// Whether a program may run is asked with the capabilities that it will have.
#[test]
fn a_capability_opens_a_program_of_others() {
    need!(root);
    let with = |capabilities: Value| {
        let bundle = Bundle::new().set("/process/capabilities", capabilities);
        let program = bundle.rootfs("/bin/own");
        copy_program(&bundle.rootfs("/bin/probe"), &program, 0o700);
        bundle
            .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
            .args(&["/bin/own", "status", "Seccomp"])
    };
    let error = with(json!({})).refused();
    assert!(error.contains("permission denied"), "{error}");
    let may = json!(["CAP_DAC_OVERRIDE"]);
    let all = json!({ "bounding": may, "permitted": may, "effective": may, "inheritable": may, "ambient": may });
    let c = with(all).run();
    assert_eq!(c.code(), 0);
}

/// A plain user has no capabilities unless they are ambient.
#[test]
fn a_plain_user_has_none() {
    need!(root);
    let caps = json!(["CAP_KILL", "CAP_NET_RAW"]);
    let c = with(json!({ "bounding": caps, "permitted": caps, "effective": caps }))
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .run();
    assert_eq!(set(&c, "CapEff"), capability_mask(&[]));
    assert_eq!(set(&c, "CapBnd"), capability_mask(&["CAP_KILL", "CAP_NET_RAW"]));
}

/// The secure bits are the kernel's defaults: root is root in the container.
#[test]
fn setuid_works_when_allowed() {
    need!(root);
    let caps = json!(["CAP_SETUID"]);
    let c = Bundle::new()
        .set(
            "/process/capabilities",
            json!({ "bounding": caps, "permitted": caps, "effective": caps }),
        )
        .probe(["setuid", "7", "--", "ids"])
        .run();
    assert_eq!(c.value("ids")["uid"], 7);
}

/// An AppArmor profile on a host without AppArmor is refused.
#[test]
fn an_apparmor_profile_is_refused_without_apparmor() {
    need!(root, no_apparmor);
    let message = Bundle::new().set("/process/apparmorProfile", "corten-default").refused();
    assert!(message.to_lowercase().contains("apparmor"), "{message}");
}

/// With AppArmor the profile is on, and one that is not loaded is refused.
#[test]
fn an_apparmor_profile_is_applied() {
    need!(root, apparmor);
    let c = Bundle::new()
        .set("/process/apparmorProfile", "unconfined")
        .probe(["read", "/proc/self/attr/current"])
        .run();
    assert!(c.fact("read").starts_with("unconfined"), "{}", c.fact("read"));
    let message = Bundle::new().set("/process/apparmorProfile", "no-such-profile").refused();
    assert!(message.contains("no-such-profile"), "{message}");
}

/// A SELinux label on a host without SELinux is refused.
#[test]
fn a_selinux_label_is_refused_without_selinux() {
    need!(root, no_selinux);
    let label = "system_u:system_r:container_t:s0";
    let message = Bundle::new().set("/process/selinuxLabel", label).refused();
    assert!(message.to_lowercase().contains("selinux"), "{message}");
}

/// So is a label for mounts: the kernel's own refusal would not say why.
///
/// runc: hands it to the kernel, which refuses the option.
#[test]
fn a_mount_label_is_refused_without_selinux() {
    need!(root, no_selinux);
    let label = "system_u:object_r:container_file_t:s0";
    let message = Bundle::new().set("/linux/mountLabel", label).refused();
    assert!(message.to_lowercase().contains("selinux"), "{message}");
}

/// Empty labels ask for nothing.
#[test]
fn empty_labels_ask_for_nothing() {
    need!(root);
    let c = Bundle::new()
        .set("/process/apparmorProfile", "")
        .set("/process/selinuxLabel", "")
        .set("/linux/mountLabel", "")
        .probe(["pid"])
        .run();
    assert_eq!(c.fact("pid"), "1");
}

/// A seccomp profile is applied or refused in clear words; it is never left out.
#[test]
fn a_seccomp_profile_is_never_ignored() {
    need!(root);
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95 }]
    });
    let c = Bundle::new()
        .set("/linux/seccomp", profile)
        .probe(["status", "Seccomp", "--", "mkdir", "/tmp/x"])
        .try_run();
    if c.code() == 0 {
        assert_eq!(c.fact("status"), "2");
        assert_eq!(c.errno("mkdir"), "EOPNOTSUPP");
    } else {
        assert!(c.output.refused().contains("seccomp"), "{:?}", c.output);
    }
}

/// Without a profile there is no filter.
#[test]
fn no_profile_means_no_filter() {
    need!(root);
    assert_eq!(Bundle::new().probe(["status", "Seccomp"]).run().fact("status"), "0");
}

/// An action nobody knows is refused.
#[test]
fn an_unknown_seccomp_action_is_refused() {
    need!(root);
    let _ =
        Bundle::new().set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_SHRUG" })).refused();
}

/// `/proc/self/attr` and friends are written on a procfs of the runtime's own: an image without one is no hole.
#[test]
fn an_oom_score_is_set_without_a_proc_mount() {
    need!(root);
    let c = Bundle::new()
        .edit(|c| c["mounts"].as_array_mut().unwrap().retain(|m| m["type"] != "proc"))
        .file("/proc/self/oom_score_adj", "fake")
        .file("/proc/sys/kernel/cap_last_cap", "40")
        .file("/proc/1/oom_score_adj", "fake")
        .set("/process/oomScoreAdj", 77)
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .sleeper();
    c.write();
    let output = c.runtime().call(&c.words("create"));
    if output.code == Some(0) {
        let state = c.runtime().call(&["state", c.id()]).ok().json();
        let score = fs::read_to_string(format!("/proc/{}/oom_score_adj", state["pid"])).unwrap();
        assert_eq!(score.trim(), "77");
    }
    assert_eq!(fs::read_to_string(c.rootfs("/proc/self/oom_score_adj")).unwrap(), "fake");
}
