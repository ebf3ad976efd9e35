//! An ordinary user: ids from subuid(5), no cgroup, and what is said where something is missing.
//!
//! The user is nobody of this machine: it has its passwd(5) and subuid(5) in a mount namespace of its
//! own. Where systemd gives it a cgroup: [`crate::systemd_user`].

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::host::eventually;
use harness::{Bundle, need};
use serde_json::{Value, json};

const UID: u32 = 2990;
const NEWUIDMAP: &str = "/usr/bin/newuidmap";

pub(crate) fn map(of: &[(u32, u32, u32)]) -> Value {
    of.iter()
        .map(|(container, host, size)| {
            json!({ "containerID": container, "hostID": host, "size": size })
        })
        .collect()
}

/// A bundle that asks for nothing that only root can give: ids of the user alone.
fn bundle() -> Bundle {
    of(UID)
}

/// The same for a user of the machine.
pub(crate) fn of(uid: u32) -> Bundle {
    Bundle::new()
        .namespace("user", "")
        .unset("/linux/cgroupsPath")
        .unset("/linux/resources")
        .set("/linux/uidMappings", map(&[(0, uid, 1)]))
        .set("/linux/gidMappings", map(&[(0, uid, 1)]))
        .set("/mounts/2/options", json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666"]))
}

/// The same with a range of other ids.
fn with_ranges() -> Bundle {
    let ids = map(&[(0, UID, 1), (1, 100_000, 65536)]);
    bundle().set("/linux/uidMappings", ids.clone()).set("/linux/gidMappings", ids)
}

/// Runs it as the user, which has these rows in subuid(5) and subgid(5); `before` is a shell script
/// that may change more of what the user will see.
fn as_user(bundle: Bundle, rows: &str, before: &str) -> Bundle {
    let dir = bundle.place().dir().to_owned();
    fs::write(
        dir.join("passwd"),
        format!("root:x:0:0::/root:/bin/sh\ncit:x:{UID}:{UID}::/:/bin/sh\n"),
    )
    .unwrap();
    fs::write(dir.join("rows"), rows).unwrap();
    let dir = dir.to_str().unwrap();
    let script = format!(
        "for file in subuid subgid; do mount --bind {dir}/rows /etc/$file || exit 99; done
        mount --bind {dir}/passwd /etc/passwd || exit 99
        {before}
        exec setpriv --reuid {UID} --regid {UID} --clear-groups --inh-caps=-all $flags -- \"$@\""
    );
    let bundle =
        bundle.under(&["unshare", "-m", "--propagation", "private", "sh", "-c", &script, "sh"]);
    give(&bundle, UID);
    bundle
}

/// Writes the bundle and gives its directories to a user; only these: programs are links to files that
/// all tests share.
pub(crate) fn give(bundle: &Bundle, uid: u32) {
    bundle.write();
    let chown = ["-type", "d", "-exec", "chown", &format!("{uid}:{uid}"), "{}", "+"];
    let status = Command::new("find").arg(bundle.place().dir()).args(chown).status();
    assert!(status.is_ok_and(|status| status.success()));
}

const ROWS: &str = "other:300000:10\ncit:100000:65536\n";

/// Tries to create; gives everything back that was said.
fn refused(bundle: &Bundle) -> String {
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    let _ = output.refused();
    assert!(bundle.place().settled().is_empty(), "{output:#?}");
    output.stderr
}

/// The ranges of subuid(5) and subgid(5) are mapped, and groups may be set.
#[test]
fn ranges_of_subordinate_ids_are_mapped() {
    need!(root, user_namespace, file(NEWUIDMAP), file("/etc/subuid"));
    let bundle = with_ranges()
        .set("/process/user", json!({ "uid": 1000, "gid": 1000, "additionalGids": [5] }))
        .probe(
            "read /proc/self/uid_map -- read /proc/self/gid_map -- read /proc/self/setgroups -- \
             ids -- create /tmp/mine"
                .split(' '),
        );
    let c = as_user(bundle, ROWS, "").run();
    for file in ["read /proc/self/uid_map", "read /proc/self/gid_map"] {
        let words: Vec<String> = c.fact(file).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["0", "2990", "1", "1", "100000", "65536"], "{file}");
    }
    assert_eq!(c.fact("read /proc/self/setgroups").trim(), "allow");
    assert_eq!(c.value("ids")["groups"], json!([5]));
    assert_eq!(fs::metadata(c.rootfs("/tmp/mine")).unwrap().uid(), 100_999);
}

/// The same where a process in between makes the namespace.
#[test]
fn ranges_are_mapped_behind_a_bridge() {
    need!(root, user_namespace, time_namespace, file(NEWUIDMAP), file("/etc/subuid"));
    let bundle = with_ranges()
        .namespace("time", "")
        .set("/linux/timeOffsets", json!({ "monotonic": { "secs": 3 } }))
        .probe(["read", "/proc/self/uid_map"]);
    let c = as_user(bundle, ROWS, "").run();
    assert!(c.fact("read").contains("100000"), "{}", c.fact("read"));
}

/// The own id is mapped without any tool or row, at the price of setgroups(2).
#[test]
fn the_own_id_needs_no_tool() {
    need!(root, user_namespace, file("/etc/subuid"));
    let bundle = bundle().probe("read /proc/self/setgroups -- ids -- create /tmp/mine".split(' '));
    let hidden = "for tool in newuidmap newgidmap; do
        [ ! -e /usr/bin/$tool ] || mount --bind /dev/null /usr/bin/$tool || exit 99; done";
    let c = as_user(bundle, "", hidden).run();
    assert_eq!(c.fact("read").trim(), "deny");
    assert_eq!(c.value("ids")["uid"], 0);
    assert_eq!(fs::metadata(c.rootfs("/tmp/mine")).unwrap().uid(), UID);
}

/// Groups cannot be set where setgroups(2) was given up: said before anything is made.
#[test]
fn groups_are_refused_with_the_own_id_alone() {
    need!(root, user_namespace, file("/etc/subuid"));
    let user = json!({ "uid": 0, "gid": 0, "additionalGids": [0] });
    let words = refused(&as_user(bundle().set("/process/user", user), "", ""));
    assert!(words.contains("cannot set any additional groups in a rootless container"), "{words}");
    assert!(words.contains("newgidmap"), "{words}");
}

/// Without rows, or with too few ids in them, the row to add is printed.
#[test]
fn a_missing_row_is_printed() {
    need!(root, user_namespace, file(NEWUIDMAP), file("/etc/subuid"));
    let words = refused(&as_user(with_ranges(), "", ""));
    assert!(words.contains("map ids newuidmap: "), "{words}");
    for part in ["`cit:100000:65536`", "/etc/subuid", "usermod --add-subuids 100000-165535 cit"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let words = refused(&as_user(with_ranges(), "cit:100000:1000\n", ""));
    assert!(words.contains("`cit:101000:64536`"), "{words}");
    let words = refused(&as_user(with_ranges(), "other:100000:65536\n", ""));
    assert!(words.contains("gives ids of these to other"), "{words}");
    // Users have theirs, groups lack.
    let groups = "mount --bind /dev/null /etc/subgid";
    let words = refused(&as_user(with_ranges(), ROWS, groups));
    assert!(words.contains("newgidmap") && words.contains("--add-subgids"), "{words}");
}

/// A tool that is not there, or has lost its rights, is named with the way to get it back.
#[test]
fn a_tool_that_cannot_work_is_named() {
    need!(root, user_namespace, file(NEWUIDMAP), file("/etc/subuid"));
    let words = refused(&as_user(with_ranges(), ROWS, "mount --bind /dev/null /usr/bin/newuidmap"));
    assert!(words.contains("newuidmap: is not installed") && words.contains("uidmap"), "{words}");
    let bundle = with_ranges();
    let copy = bundle.outside("newuidmap");
    fs::copy(NEWUIDMAP, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let plain = format!("mount --bind {} {NEWUIDMAP}", copy.display());
    let words = refused(&as_user(bundle, ROWS, &plain));
    assert!(words.contains(&format!("chmod u+s {NEWUIDMAP}")), "{words}");
    let words = refused(&as_user(with_ranges(), ROWS, "flags=--no-new-privs"));
    assert!(words.contains("no_new_privs"), "{words}");
    let nosuid =
        format!("mount --bind {NEWUIDMAP} {NEWUIDMAP} && mount -o remount,bind,nosuid {NEWUIDMAP}");
    let words = refused(&as_user(with_ranges(), ROWS, &nosuid));
    assert!(words.contains("nosuid"), "{words}");
}

/// Where user namespaces are turned off the refusal names the sysctl.
#[test]
fn forbidden_namespaces_name_the_sysctl() {
    need!(root, user_namespace);
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"";
    let words = ["unshare", "-U", "--map-root-user", "sh", "-c", script, "sh"];
    let bundle = bundle()
        .set("/linux/uidMappings", map(&[(0, 0, 1)]))
        .set("/linux/gidMappings", map(&[(0, 0, 1)]))
        .under(&words);
    bundle.write();
    let words = refused(&bundle);
    assert!(words.contains("sysctl -w user.max_user_namespaces="), "{words}");
    // The same where a process in between makes the namespace.
    let bridged = bundle.unset("/hostname").namespace("uts", "/proc/self/ns/uts");
    bridged.write();
    let words = refused(&bridged);
    assert!(words.contains("sysctl -w user.max_user_namespaces="), "{words}");
}

/// Root of a user namespace that gave setgroups(2) up runs containers, with and without one more.
#[test]
fn a_root_without_setgroups_runs_containers() {
    need!(root, user_namespace);
    let under = ["unshare", "-U", "--map-root-user"];
    let ids = || {
        let one = map(&[(0, 0, 1)]);
        bundle().set("/linux/uidMappings", one.clone()).set("/linux/gidMappings", one)
    };
    let c = ids().probe(["read", "/proc/self/setgroups"]).under(&under).run();
    assert_eq!(c.fact("read").trim(), "deny");
    let without = ids()
        .without_namespace("user")
        .unset("/linux/uidMappings")
        .unset("/linux/gidMappings")
        .probe(["read", "/proc/self/setgroups"]);
    let c = without.under(&under).run();
    assert_eq!(c.fact("read").trim(), "deny");
}

/// Root of a user namespace whose PID 1 is a systemd of its own asks the system's bus; below a
/// systemd of the host's it asks the user's.
#[test]
fn root_of_a_machine_in_a_namespace_asks_its_own_systemd() {
    need!(root, user_namespace);
    let ask = |pid1: &str| {
        let one = map(&[(0, 0, 1)]);
        let bundle = bundle().set("/linux/uidMappings", one.clone()).set("/linux/gidMappings", one);
        let init = bundle.outside(pid1);
        let script =
            "#!/bin/sh\nmount -t tmpfs none /run\nDBUS_SYSTEM_BUS_ADDRESS=unix:path=/no \"$@\"\n";
        fs::write(&init, script).unwrap();
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).unwrap();
        let under = ["unshare", "-U", "-r", "--mount", "--pid", "--fork", "--mount-proc"];
        let bundle = bundle.under(&under).under(&[init.to_str().unwrap()]);
        refused(&bundle.global(&["--systemd-cgroup"]))
    };
    let words = ask("systemd");
    assert!(words.contains("connect on the system's bus"), "{words}");
    let words = ask("tini");
    assert!(words.contains("connect on the user's bus"), "{words}");
}

/// Every verb works for the user, without a cgroup; what needs one says so.
#[test]
fn every_verb_works_without_a_cgroup() {
    need!(root, user_namespace, file(NEWUIDMAP), file("/etc/subuid"));
    let bundle = as_user(with_ranges().sleeper(), ROWS, "");
    let call = |words: &[&str]| bundle.runtime().call(words);
    let id = bundle.id();
    let _ = bundle.runtime().call(&bundle.words("create")).ok();
    let _ = call(&["start", id]).ok();
    assert_eq!(call(&["state", id]).ok().json()["status"], "running");
    let done = call(&[
        "exec",
        "--user",
        "1000:1000",
        id,
        "/bin/sh",
        "-c",
        "id -u; cat /proc/self/uid_map",
    ]);
    let done = done.ok();
    assert!(done.stdout.starts_with("1000\n") && done.stdout.contains("100000"), "{done:#?}");
    assert_eq!(call(&["exec", id, "/bin/sh", "-c", "exit 7"]).code, Some(7));
    assert!(call(&["list"]).ok().stdout.contains(id));
    for (verb, words) in [
        ("pause", &["pause", id][..]),
        ("update", &["update", "--memory", "64M", id]),
        ("ps", &["ps", "--format", "json", id]),
        ("events", &["events", "--stats", id]),
    ] {
        let output = call(words);
        if output.code != Some(0) {
            let said = output.refused();
            assert!(said.contains("cgroup"), "{verb}: {said}");
        }
    }
    let _ = call(&["kill", id, "KILL"]).ok();
    let stopped = || call(&["state", id]).ok().json()["status"] == "stopped";
    assert!(eventually(Duration::from_secs(10), stopped));
    let _ = call(&["delete", id]).ok();
    assert!(!Path::new(&bundle.place().root().join(id)).exists());
}

/// Limits without a cgroup to write them into are an error that tells how to get one, unless they
/// were not asked for; `--rootless=false` forgives nothing.
#[test]
fn limits_without_a_cgroup_are_refused() {
    need!(root, user_namespace, file("/etc/subuid"));
    let limited = bundle().set("/linux/resources/pids", json!({ "limit": 20 }));
    let words = refused(&as_user(limited, "", ""));
    assert!(words.contains("limit") && words.contains("elegate"), "{words}");
    let words = refused(&as_user(bundle().global(&["--rootless=false"]), "", ""));
    assert!(words.contains("cgroup"), "{words}");
    let c = as_user(bundle().global(&["--rootless=true"]), "", "").run();
    assert_eq!(c.code(), 0);
}

/// Without a runtime directory the state root is root's: the refusal says what to do.
#[test]
fn a_state_root_of_another_is_refused() {
    need!(root, user_namespace, file("/etc/subuid"));
    let bundle = bundle();
    let dir = bundle.outside("roots");
    fs::create_dir(&dir).unwrap();
    let bundle = as_user(bundle, "", "");
    std::os::unix::fs::chown(&dir, Some(0), Some(0)).unwrap();
    let root = format!("--root={}/state", dir.display());
    let words = refused(&bundle.global(&[&root]));
    assert!(words.contains("XDG_RUNTIME_DIR") && words.contains("--root"), "{words}");
}

/// The state is in the user's runtime directory, with the bit that keeps it from being cleaned up.
#[test]
fn the_state_is_in_the_runtime_directory() {
    need!(root, user_namespace, file("/etc/subuid"));
    let bundle = as_user(bundle().sleeper(), "", "");
    let dir = bundle.outside("xdg");
    fs::create_dir(&dir).unwrap();
    std::os::unix::fs::chown(&dir, Some(UID), Some(UID)).unwrap();
    let wrapper = &bundle.runtime().wrapper;
    let call = |words: &[String]| {
        let mut command = Command::new(&wrapper[0]);
        command.args(&wrapper[1..]).arg(&bundle.runtime().program).args(words);
        command.env("XDG_RUNTIME_DIR", &dir).env("CORTEN_TEST_ID", bundle.id());
        let null = || Stdio::null();
        let status = command.stdin(null()).stdout(null()).stderr(null()).status().unwrap();
        assert!(status.success(), "{words:?}");
    };
    call(&bundle.words("create"));
    let root = dir.join("corten");
    assert_eq!(fs::metadata(&root).unwrap().mode() & 0o7777, 0o1700);
    assert!(root.join(bundle.id()).join("state.json").exists());
    let id = bundle.id().to_owned();
    call(&["start".into(), id.clone()]);
    call(&["delete".into(), "--force".into(), id]);
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
}
