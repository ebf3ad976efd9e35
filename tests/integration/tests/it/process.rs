//! `process` of config.md: what the program gets, seen from inside.

use std::process::Command;

use harness::{Bundle, need};
use serde_json::json;

/// `args`: every word arrives as it is, empty ones and odd bytes too.
#[test]
fn args_arrive_unchanged() {
    need!(root);
    let c = Bundle::new()
        .probe(["args", "--", "", "--", "ids"])
        .args(&["/bin/probe", "args", "a b", "\"$x\"", "ü", ""])
        .run();
    assert_eq!(c.facts.value("args"), &json!(["/bin/probe", "args", "a b", "\"$x\"", "ü", ""]));
}

/// `args[0]` without a slash is searched in PATH of `process.env`, not of the caller.
#[test]
fn args_are_searched_in_the_containers_path() {
    need!(root);
    let c = Bundle::new()
        .file("/opt/only-here", "#!/bin/sh\necho found\n")
        .set("/process/env", json!(["PATH=/nowhere:/opt:/bin"]))
        .args(&["only-here"]);
    assert_eq!(c.run().stdout(), "found\n");
}

/// A PATH of the caller is no PATH of the container.
#[test]
fn the_callers_path_is_not_used() {
    need!(root);
    let c = Bundle::new()
        .file("/opt/only-here", "#!/bin/sh\necho found\n")
        .set("/process/env", json!(["PATH=/bin"]))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/opt")
        .args(&["only-here"]);
    let done = c.try_run();
    assert_ne!(done.code(), 0);
    assert!(done.output.stderr.contains("executable file not found"), "{:?}", done.output);
}

/// A relative `args[0]` with a slash starts at `cwd`.
#[test]
fn a_relative_program_starts_at_cwd() {
    need!(root);
    let c = Bundle::new().set("/process/cwd", "/bin").args(&["./probe", "cwd"]).run();
    assert_eq!(c.fact("cwd"), "/bin");
}

/// `env`: exactly what is configured, in order, and nothing of the caller.
#[test]
fn env_is_exactly_what_is_configured() {
    need!(root);
    let env = json!(["PATH=/bin", "A=1", "B=x=y", "EMPTY=", "HOME=/home"]);
    let c =
        Bundle::new().set("/process/env", env.clone()).env("SECRET", "s3cret").probe(["env"]).run();
    let mut seen = c.value("env").as_array().unwrap().clone();
    let mut asked = env.as_array().unwrap().clone();
    seen.sort_by_key(ToString::to_string);
    asked.sort_by_key(ToString::to_string);
    assert_eq!(seen, asked);
}

/// HOME is taken from `/etc/passwd` of the container when `env` has none.
#[test]
fn home_comes_from_the_containers_passwd() {
    need!(root);
    let c = Bundle::new()
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .probe(["env", "HOME"])
        .run();
    assert_eq!(c.fact("env HOME"), "/home");
}

/// An `env` entry without `=` never takes the caller's variable (CVE-2026-57231 class).
///
/// runc 1.1.5: drops such an entry.
#[test]
fn env_without_equals_is_never_expanded() {
    need!(root);
    let c = Bundle::new()
        .set("/process/env", json!(["PATH=/bin", "SECRET"]))
        .env("SECRET", "s3cret")
        .probe(["env"])
        .try_run();
    assert!(!c.output.stdout.contains("s3cret"), "{:?}", c.output);
    assert!(!c.output.stderr.contains("s3cret"), "{:?}", c.output);
}

/// `cwd`: the program starts there.
#[test]
fn cwd_is_where_the_program_starts() {
    need!(root);
    let c = Bundle::new().set("/process/cwd", "/tmp").probe(["cwd"]).run();
    assert_eq!(c.fact("cwd"), "/tmp");
}

/// A missing `cwd` is made inside the container.
#[test]
fn a_missing_cwd_is_made_below_the_rootfs() {
    need!(root);
    let c = Bundle::new().set("/process/cwd", "/made/for/me").probe(["cwd"]).run();
    assert_eq!(c.fact("cwd"), "/made/for/me");
    assert!(c.rootfs("/made/for/me").is_dir());
}

/// A relative `cwd` is refused: the spec asks for an absolute path.
#[test]
fn a_relative_cwd_is_refused() {
    need!(root);
    let message = Bundle::new().set("/process/cwd", "tmp").refused();
    assert!(message.to_lowercase().contains("cwd"), "{message}");
}

/// `cwd` through a symlink of the image ends inside the image.
#[test]
fn a_symlinked_cwd_stays_inside() {
    need!(root);
    let c = Bundle::new().link("/tmp", "/way").set("/process/cwd", "/way").probe(["cwd"]).run();
    assert_eq!(c.fact("cwd"), "/tmp");
}

/// A `cwd` that root may enter and the user may not is entered before the ids change, as engines expect.
#[test]
fn a_cwd_of_root_is_entered_as_root() {
    need!(root);
    let c = Bundle::new()
        .dir_in("/locked")
        .set("/process/cwd", "/locked")
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .set("/process/capabilities", json!({}))
        .probe(["readlink", "/proc/self/cwd"]);
    let chmod = Command::new("chmod").arg("700").arg(c.rootfs("/locked")).status();
    assert!(chmod.unwrap().success());
    assert_eq!(c.run().fact("readlink"), "/locked");
}

/// `user.uid`, `user.gid` and `user.additionalGids`: all ids, and only these groups.
#[test]
fn user_ids_and_groups_are_set() {
    need!(root);
    let c = Bundle::new()
        .set("/process/user", json!({ "uid": 1000, "gid": 1001, "additionalGids": [5, 2000] }))
        .probe(["ids"])
        .run();
    assert_eq!(
        c.value("ids"),
        &json!({ "uid": 1000, "euid": 1000, "gid": 1001, "egid": 1001, "groups": [5, 2000] })
    );
}

/// The caller's supplementary groups stay outside (CVE-2022-2989 class).
#[test]
fn the_callers_groups_are_dropped() {
    need!(root);
    let c = Bundle::new().under(&["setpriv", "--groups", "4,20,24", "--"]).probe(["ids"]).run();
    assert_eq!(c.value("ids")["groups"], json!([]));
}

/// An id above 2³¹ is given as it is or refused; it never becomes another (CVE-2024-40635 class).
///
/// runc 1.1.5: refuses it.
#[test]
fn a_huge_uid_does_not_wrap() {
    need!(root);
    let c = Bundle::new()
        .set("/process/user", json!({ "uid": 4_294_967_294_u32, "gid": 4_294_967_294_u32 }))
        .probe(["ids"])
        .try_run();
    if c.code() == 0 {
        assert_eq!(c.value("ids")["uid"], 4_294_967_294_u32);
    } else {
        assert!(c.output.refused().contains("range"), "{:?}", c.output);
    }
}

/// Ids that do not fit into 32 bits are refused, never cut.
#[test]
fn a_uid_beyond_32_bits_is_refused() {
    need!(root);
    let _ = Bundle::new().set("/process/user/uid", 4_294_967_296_u64).refused();
    let _ = Bundle::new().set("/process/user/uid", -1).refused();
}

/// `user.umask`, and 0022 when there is none, whatever the caller's is.
#[test]
fn umask_is_set() {
    need!(root);
    let c = Bundle::new().set("/process/user/umask", 0o077).probe(["status", "Umask"]).run();
    assert_eq!(c.fact("status"), "0077");
    let c = Bundle::new().after("umask 0777").probe(["status", "Umask"]).run();
    assert_eq!(c.fact("status"), "0022");
}

/// `rlimits`: soft and hard, of every type of the spec.
#[test]
fn rlimits_are_set() {
    need!(root);
    // Lower than anything inherited: raising needs CAP_SYS_RESOURCE, which this test does not ask for.
    let limits = [
        ("AS", 1_u64 << 32),
        ("CORE", 0),
        ("CPU", 100),
        ("DATA", 1 << 31),
        ("FSIZE", 1 << 30),
        ("LOCKS", 10),
        ("MEMLOCK", 4096),
        ("MSGQUEUE", 4096),
        ("NICE", 0),
        ("NOFILE", 100),
        ("NPROC", 1000),
        ("RSS", 1 << 30),
        ("RTPRIO", 0),
        ("RTTIME", 1000),
        ("SIGPENDING", 50),
        ("STACK", 1 << 22),
    ];
    let mut bundle = Bundle::new().set("/process/rlimits", json!([]));
    let mut args = vec!["/bin/probe"];
    for (name, value) in limits {
        let soft = value / 2;
        bundle = bundle.push(
            "/process/rlimits",
            json!({ "type": format!("RLIMIT_{name}"), "soft": soft, "hard": value }),
        );
        args.extend(["rlimit", name, "--"]);
    }
    let c = bundle.args(&args).run();
    for (name, value) in limits {
        let fact = c.value(&format!("rlimit {name}"));
        assert_eq!(fact, &json!({ "soft": value / 2, "hard": value }), "RLIMIT_{name}");
    }
}

/// A limit above the caller's hard limit is refused by the kernel: one clear error.
#[test]
fn an_rlimit_that_may_not_be_raised_fails() {
    need!(root, no_sys_resource);
    let limit = json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 5000 }]);
    let message = Bundle::new()
        .after("ulimit -Sn 1000; ulimit -Hn 2000")
        .set("/process/rlimits", limit)
        .refused();
    assert!(message.contains("operation not permitted"), "{message}");
}

/// The same with the capability.
#[test]
fn an_rlimit_is_raised_with_the_capability() {
    need!(root, sys_resource);
    let limit = json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 5000 }]);
    let c = Bundle::new()
        .after("ulimit -Sn 1000; ulimit -Hn 2000")
        .set("/process/rlimits", limit)
        .probe(["rlimit", "NOFILE"])
        .run();
    assert_eq!(c.value("rlimit"), &json!({ "soft": 100, "hard": 5000 }));
}

/// The spec wants an error for a limit type given twice, and for one nobody knows.
///
/// runc 1.1.5: takes the last of two.
#[test]
fn rlimits_given_twice_or_unknown_are_refused() {
    need!(root);
    let one = json!({ "type": "RLIMIT_CORE", "soft": 0, "hard": 0 });
    let message = Bundle::new().set("/process/rlimits", json!([one, one])).refused();
    assert!(message.contains("RLIMIT_CORE"), "{message}");
    let other = json!([{ "type": "RLIMIT_MOON", "soft": 0, "hard": 0 }]);
    let message = Bundle::new().set("/process/rlimits", other).refused();
    assert!(message.contains("RLIMIT_MOON"), "{message}");
}

/// `oomScoreAdj` is set; without it the container keeps the caller's.
#[test]
fn oom_score_adj_is_set_or_inherited() {
    need!(root);
    let c = Bundle::new()
        .set("/process/oomScoreAdj", 321)
        .probe(["read", "/proc/self/oom_score_adj"])
        .run();
    assert_eq!(c.fact("read"), "321");
    let c = Bundle::new()
        .after("echo 123 > /proc/self/oom_score_adj")
        .probe(["read", "/proc/self/oom_score_adj"])
        .run();
    assert_eq!(c.fact("read"), "123");
}

/// `oomScoreAdj` out of range is refused.
#[test]
fn oom_score_adj_out_of_range_is_refused() {
    need!(root);
    let _ = Bundle::new().set("/process/oomScoreAdj", 1001).refused();
}

/// `hostname` and `domainname`.
///
/// runc 1.1.5: has no `domainname` yet.
#[test]
fn hostname_and_domainname_are_set() {
    need!(root);
    let c = Bundle::new()
        .set("/hostname", "weathered")
        .set("/domainname", "steel.example")
        .probe(["hostname", "--", "domainname"])
        .run();
    assert_eq!(c.fact("hostname"), "weathered");
    assert_eq!(c.fact("domainname"), "steel.example");
}

/// A host name without a uts namespace of one's own would rename the host: refused.
#[test]
fn hostname_without_uts_namespace_is_refused() {
    need!(root);
    let message = Bundle::new().without_namespace("uts").refused();
    assert!(message.contains("uts") || message.contains("UTS"), "{message}");
    let message =
        Bundle::new().without_namespace("uts").unset("/hostname").set("/domainname", "x").refused();
    assert!(message.to_lowercase().contains("uts"), "{message}");
}

/// `noNewPrivileges`, both ways.
#[test]
fn no_new_privileges_is_set_only_when_asked() {
    need!(root);
    for (asked, seen) in [(true, "1"), (false, "0")] {
        let c = Bundle::new()
            .set("/process/noNewPrivileges", asked)
            .probe(["status", "NoNewPrivs"])
            .run();
        assert_eq!(c.fact("status"), seen);
    }
}

/// `personality.domain`: LINUX32 is `PER_LINUX32` (8), LINUX is 0.
///
/// runc 1.1.5: has no `personality` yet.
#[test]
fn personality_is_set() {
    need!(root);
    for (domain, bits) in [("LINUX32", "00000008"), ("LINUX", "00000000")] {
        let c = Bundle::new()
            .set("/linux/personality", json!({ "domain": domain }))
            .probe(["read", "/proc/self/personality"])
            .run();
        assert_eq!(c.fact("read"), bits, "{domain}");
    }
    let _ = Bundle::new().set("/linux/personality", json!({ "domain": "PLAN9" })).refused();
}
