//! What the host lacks, and what crashed containers left: told, and removed when asked.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::runtime::Runtime;
use harness::{Bundle, Container, Place, host, need};
use serde_json::Value;

/// `doctor --json` with flags; asserts the form that is promised, and gives the findings.
fn doctor(runtime: &Runtime, flags: &[&str]) -> Vec<Value> {
    let output = runtime.call(&[&["doctor", "--json"], flags].concat());
    let all = output.json();
    assert_eq!(all["form"], 1);
    assert!(all["kernel"].is_string() && all["rootless"].is_boolean(), "{all}");
    let findings = all["findings"].as_array().unwrap();
    let bad = findings.iter().filter(|one| one["status"] == "lack" || one["status"] == "failed");
    let bad = bad.count() > 0;
    assert_eq!(all["ok"], !bad);
    assert_eq!(output.code, Some(i32::from(bad)), "{output:#?}");
    for one in findings {
        let text = |key: &str| one[key].as_str().unwrap_or_else(|| panic!("no {key}: {one}"));
        assert_eq!(one.as_object().unwrap().len(), 6, "{one}");
        assert!(!text("group").is_empty() && !text("id").is_empty(), "{one}");
        assert!(!text("what").is_empty() && !text("why").is_empty(), "{one}");
        match text("status") {
            "ok" | "repaired" => assert_eq!(text("fix"), "", "{one}"),
            "warn" | "lack" | "failed" => assert_ne!(text("fix"), "", "{one}"),
            status => assert_eq!(status, "info", "{one}"),
        }
    }
    findings.clone()
}

fn find<'a>(findings: &'a [Value], id: &str) -> &'a Value {
    let found = findings.iter().find(|one| one["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {findings:#?}"))
}

/// The leftovers in the state root: failed units are the machine's, not this test's.
fn left(findings: &[Value]) -> Vec<&Value> {
    let mine = |one: &&Value| one["group"] == "leftovers" && one["id"] != "failed-unit";
    findings.iter().filter(mine).filter(|one| one["status"] != "ok").collect()
}

/// The status of the one leftover there is; asserts its name.
fn leftover(runtime: &Runtime, flags: &[&str], id: &str) -> String {
    let all = doctor(runtime, flags);
    let [one] = left(&all)[..] else { panic!("not one leftover: {all:#?}") };
    assert_eq!(one["id"], id, "{all:#?}");
    one["status"].as_str().unwrap().to_owned()
}

fn assert_nothing_left(runtime: &Runtime) {
    let all = doctor(runtime, &[]);
    assert!(left(&all).is_empty(), "{all:#?}");
}

fn dir(c: &Container) -> PathBuf {
    c.place().root().join(c.id())
}

/// The directory of a container that need not be finished.
fn runtime_root(bundle: &Bundle) -> PathBuf {
    bundle.place().root().join(bundle.id())
}

fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

/// A container as a `create` leaves it that is killed right before it publishes: init waits.
fn crashed(bundle: Bundle) -> (Container, i32) {
    let c = bundle.sleeper().create();
    let pid = c.pid();
    fs::remove_file(dir(&c).join("state.json")).unwrap();
    (c, pid)
}

#[test]
fn every_finding_has_its_six_members() {
    let place = Place::new();
    let runtime = Runtime::new(&place);
    let findings = doctor(&runtime, &[]);
    let ids: Vec<_> = findings.iter().map(|one| one["id"].as_str().unwrap()).collect();
    for id in ["kernel-version", "system-calls", "namespaces", "cgroup-layout", "state-root"] {
        assert!(ids.contains(&id), "no {id} in {ids:?}");
    }
    // People read the same.
    let text = runtime.call(&["doctor"]).stdout;
    for id in ids {
        assert!(
            text.lines().any(|line| line.split_whitespace().nth(1) == Some(id)),
            "{id}: {text}"
        );
    }
    assert!(text.contains(" run here") && text.ends_with(".\n"), "{text}");
}

#[test]
fn what_is_lacking_decides_the_exit_code() {
    need!(root);
    let place = Place::new();
    let runtime = Runtime::new(&place);
    chown(place.root(), Some(4711), None).unwrap();
    let findings = doctor(&runtime, &[]);
    let root = find(&findings, "state-root");
    assert_eq!(root["status"], "lack");
    assert!(root["what"].as_str().unwrap().contains("belongs to uid 4711"), "{root}");
    let text = runtime.call(&["doctor"]);
    assert_eq!(text.code, Some(1));
    assert!(text.stdout.contains("cannot run here") && text.stdout.contains("fix: "), "{text:?}");
}

#[test]
fn a_host_where_containers_run_lacks_nothing() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let findings = doctor(c.runtime(), &[]);
    let lacking: Vec<_> = findings.iter().filter(|one| one["status"] == "lack").collect();
    // A tier lays an empty v2 hierarchy over a v1 host: only what is said there can be missing.
    assert!(lacking.is_empty(), "{lacking:#?}");
    assert!(find(&findings, "leftovers")["what"].as_str().unwrap().ends_with("alive: 1"));
}

#[test]
fn rootless_is_about_the_user_who_asks() {
    need!(root);
    let place = Place::new();
    let mut runtime = Runtime::new(&place);
    let nobody = doctor(&runtime, &["--rootless"]);
    assert_eq!(find(&nobody, "rootless-user")["status"], "lack");
    runtime.env = vec![("SUDO_UID".into(), "54321".into())];
    let sudo = doctor(&runtime, &["--rootless"]);
    let user = find(&sudo, "rootless-user");
    assert_eq!(user["what"], "#54321, uid 54321");
    let subuid = find(&sudo, "subuid");
    assert_eq!(subuid["status"], "lack");
    assert!(subuid["fix"].as_str().unwrap().starts_with("usermod --add-subuids "), "{subuid}");
    assert_eq!(find(&sudo, "runtime-dir")["status"], "lack");
    // An ordinary user has no other containers, and needs not say so.
    runtime.env.clear();
    runtime.wrapper = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--"]
        .map(String::from)
        .to_vec();
    fs::set_permissions(place.dir(), Permissions::from_mode(0o777)).unwrap();
    let user = doctor(&runtime, &[]);
    assert_eq!(find(&user, "rootless-user")["what"], "#54321, uid 54321");
    assert_eq!(find(&user, "state-root")["status"], "lack");
}

/// A user as after a login, on the guest: nothing of what systemd gives is missing.
#[test]
fn a_user_of_systemd_has_a_bus_and_controllers() {
    need!(root, systemd, cgroup_v2);
    if !Path::new("/usr/local/bin/as-user").exists() {
        return need::skip(
            "doctor::a_user_of_systemd_has_a_bus_and_controllers",
            "as-user",
            "none",
        );
    }
    let place = Place::new();
    let mut runtime = Runtime::new(&place);
    runtime.wrapper = vec!["as-user".into()];
    chown(place.dir(), Some(1000), Some(1000)).unwrap();
    chown(place.root(), Some(1000), Some(1000)).unwrap();
    let findings = doctor(&runtime, &["--rootless"]);
    assert_eq!(find(&findings, "rootless-user")["what"], "user, uid 1000");
    for id in ["runtime-dir", "user-systemd", "delegation", "user-namespace"] {
        assert_eq!(find(&findings, id)["status"], "ok", "{findings:#?}");
    }
}

#[test]
fn a_crashed_create_is_told_and_repaired() {
    need!(root);
    let (mut c, pid) = crashed(Bundle::new());
    let runtime = c.runtime().clone();
    assert_eq!(leftover(&runtime, &[], "crashed-create"), "warn");
    assert!(dir(&c).exists() && is_alive(pid), "nothing is removed unless asked for");
    assert_eq!(leftover(&runtime, &["--repair"], "crashed-create"), "repaired");
    assert!(!dir(&c).exists() && !is_alive(pid));
    assert_nothing_left(&runtime);
    c.forget();
    let left = c.place().settled();
    assert!(left.is_empty(), "{left}");
}

/// Whatever the moment of the kill: afterwards nothing is left, and the neighbour runs on.
#[test]
fn a_create_killed_at_any_moment_is_repaired() {
    need!(root);
    let neighbour = Bundle::new().sleeper().start();
    let place = neighbour.place();
    let pid = neighbour.pid();
    let begun = Instant::now();
    let mut first = Bundle::at(Arc::clone(&place), "first").sleeper().create();
    let typical = begun.elapsed();
    first.delete(&["--force"]);
    let trials = 12;
    for trial in 0..trials {
        let bundle =
            Bundle::at(Arc::clone(&place), "k").hook("createRuntime", "one", &[]).sleeper();
        bundle.write();
        let mut call = bundle.runtime().spawn(&bundle.words("create"));
        std::thread::sleep(typical * trial / trials);
        let _ = call.child.kill();
        let _ = call.child.wait();
        let findings = doctor(bundle.runtime(), &["--repair"]);
        let state = place.root().join(bundle.id());
        // It may have been done already: then it is a container, and nothing of it is touched.
        if state.join("state.json").exists() {
            let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]).ok();
        }
        assert!(!state.exists(), "trial {trial}: {findings:#?}");
        assert!(is_alive(pid), "trial {trial}: {findings:#?}");
        assert_eq!(neighbour.status(), "running");
    }
    assert_nothing_left(neighbour.runtime());
}

#[test]
fn a_create_at_work_is_left_alone() {
    need!(root);
    let bundle = Bundle::new().hook("createRuntime", "slow", &["sleep", "1500"]).sleeper();
    bundle.write();
    let runtime = bundle.runtime().clone();
    let call = runtime.spawn(&bundle.words("create"));
    let log = bundle.outside("hooks.log");
    assert!(host::eventually(Duration::from_secs(10), || log.exists()));
    // What it has begun to write may be old: a hook takes its time.
    let files = fs::read_dir(runtime_root(&bundle)).unwrap().flatten().map(|file| file.path());
    for file in files.filter(|path| path.extension().is_some_and(|end| end == "tmp")) {
        let done = Command::new("touch").args(["-d", "1 hour ago"]).arg(file).status();
        assert!(done.unwrap().success());
    }
    for flags in [&[][..], &["--repair"]] {
        let findings = doctor(&runtime, flags);
        let found = find(&findings, "leftovers");
        assert!(found["what"].as_str().unwrap().ends_with("alive: 1"), "{found}");
    }
    let _ = call.wait().ok();
    let state = runtime.call(&["state", bundle.id()]).ok().json();
    assert_eq!(state["status"], "created");
}

#[test]
fn a_stopped_container_is_no_leftover() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    c.stop();
    assert_eq!(leftover(c.runtime(), &["--repair"], "stopped-container"), "info");
    assert_eq!(c.status(), "stopped");
}

#[test]
fn a_damaged_state_is_repaired_once_nothing_runs() {
    need!(root);
    let mut c = Bundle::new().sleeper().start();
    let runtime = c.runtime().clone();
    let pid = c.pid();
    fs::write(dir(&c).join("state.json"), "{{{").unwrap();
    for flags in [&[][..], &["--repair"]] {
        assert_eq!(leftover(&runtime, flags, "unknown-state"), "warn");
        assert!(is_alive(pid) && dir(&c).exists());
    }
    let init = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGKILL).unwrap();
    harness::container::wait_exit(pid);
    assert_eq!(leftover(&runtime, &[], "damaged-state"), "warn");
    assert_eq!(leftover(&runtime, &["--repair"], "damaged-state"), "repaired");
    assert!(!dir(&c).exists());
    c.forget();
    let left = c.place().settled();
    assert!(left.is_empty(), "{left}");
}

/// What a later version may have written is not taken for nothing.
#[test]
fn records_of_a_later_version_are_left_alone() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let replace = |old: &str, new: &str| {
        for name in ["state.json", "intent.json"] {
            let path = dir(&c).join(name);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(old), "{text}");
            fs::write(&path, text.replace(old, new)).unwrap();
        }
    };
    replace("\"format\":1", "\"format\":2");
    assert_eq!(leftover(c.runtime(), &["--repair"], "unknown-state"), "warn");
    replace("\"format\":2", "\"format\":1");
    assert_eq!(c.status(), "running");
}

#[test]
fn a_directory_without_records_goes_and_one_with_other_files_stays() {
    let place = Place::new();
    let runtime = Runtime::new(&place);
    let bare = place.root().join("bare");
    fs::create_dir(&bare).unwrap();
    fs::write(bare.join(".intent.json.tmp"), "{").unwrap();
    assert_eq!(leftover(&runtime, &["--repair"], "crashed-create"), "repaired");
    assert!(!bare.exists());
    let other = place.root().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("precious"), "mine").unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(leftover(&runtime, &["--repair"], "unknown-state"), "warn");
    assert_eq!(fs::read_to_string(other.join("precious")).unwrap(), "mine");
    fs::remove_dir_all(other).unwrap();
}

#[test]
fn a_temporary_file_of_a_living_container_is_removed_once_it_is_old() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let file = dir(&c).join(".state.json.tmp");
    fs::write(&file, "{").unwrap();
    let young = doctor(c.runtime(), &["--repair"]);
    assert_eq!(find(&young, "leftovers")["status"], "ok");
    let done = Command::new("touch").args(["-d", "1 hour ago"]).arg(&file).status().unwrap();
    assert!(done.success() && file.exists());
    assert_eq!(leftover(c.runtime(), &[], "temporary-file"), "warn");
    assert_eq!(leftover(c.runtime(), &["--repair"], "temporary-file"), "repaired");
    assert!(!file.exists());
    assert_eq!(c.status(), "running");
}

/// What is mounted in a dead container's directory is unmounted, not emptied.
#[test]
fn a_mount_below_a_leftover_keeps_its_files() {
    need!(root);
    let (mut c, _) = crashed(Bundle::new());
    let kept = c.place().path("kept");
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join("file"), "mine").unwrap();
    let (inside, beside) = (dir(&c).join("mnt"), c.place().root().join(".beside"));
    for point in [&inside, &beside] {
        fs::create_dir(point).unwrap();
        let done = Command::new("mount").arg("--bind").args([&kept, point]).status().unwrap();
        assert!(done.success());
    }
    let findings = doctor(c.runtime(), &["--repair"]);
    let foreign = find(&findings, "foreign-mount");
    assert!(foreign["what"].as_str().unwrap().contains("/.beside "), "{foreign}");
    assert_eq!(find(&findings, "crashed-create")["status"], "repaired");
    assert!(Command::new("umount").arg(&beside).status().unwrap().success());
    fs::remove_dir(&beside).unwrap();
    assert_eq!(fs::read_to_string(kept.join("file")).unwrap(), "mine");
    assert!(!dir(&c).exists());
    c.forget();
}

/// Units are the machine's: a `--repair` of a test beside this one may be quicker.
#[test]
fn a_failed_unit_of_ours_is_forgotten() {
    need!(root, systemd);
    let place = Place::new();
    let runtime = Runtime::new(&place);
    let fail = |unit: &str, description: &str| {
        let words = ["--unit", unit, "--description", description, "--wait", "--quiet", "false"];
        assert!(!Command::new("systemd-run").args(words).status().unwrap().success());
    };
    let is_failed = |unit: &str| {
        let asked = Command::new("systemctl").args(["is-failed", "--quiet", unit]).status();
        asked.unwrap().success()
    };
    let status = |flags: &[&str], unit: &str| -> Option<String> {
        let findings = doctor(&runtime, flags);
        let about = |one: &&Value| one["what"].as_str().is_some_and(|what| what.contains(unit));
        findings.iter().find(about).map(|one| one["status"].as_str().unwrap().to_owned())
    };
    let (ours, others) = (format!("{}.service", place.id()), format!("{}-b.service", place.id()));
    fail(&others, "a backup");
    let told = host::eventually(Duration::from_secs(20), || {
        fail(&ours, "corten container lost");
        status(&[], &ours).as_deref() == Some("warn")
    });
    assert!(told, "{ours} is not told");
    let repaired = host::eventually(Duration::from_secs(20), || {
        fail(&ours, "corten container lost");
        status(&["--repair"], &ours).as_deref() == Some("repaired")
    });
    assert!(repaired && !is_failed(&ours), "{ours} is not forgotten");
    assert_eq!(status(&["--repair"], &others), None);
    assert!(is_failed(&others), "another's unit is another's");
    let _ = Command::new("systemctl").args(["reset-failed", &others]).status();
}
