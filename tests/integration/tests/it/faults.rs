//! The fault model: after any single fault `delete --force` succeeds, and nothing is left.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::runtime::Call;
use harness::{Bundle, host, need};
use serde_json::json;

/// The typical time of one create, to spread the kills over.
fn duration_of_create() -> Duration {
    let bundle = Bundle::new().sleeper();
    bundle.write();
    let begun = Instant::now();
    let _ = bundle.runtime().call(&bundle.words("create")).ok();
    let took = begun.elapsed();
    let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]).ok();
    took
}

/// F1: kill -9 at any moment of create.
///
/// runc 1.5.0: leaves cgroups after about half of the kills.
#[test]
fn kill_at_any_moment_of_create_leaves_nothing() {
    need!(root);
    let typical = duration_of_create();
    let trials = 60;
    for trial in 0..trials {
        let bundle = Bundle::new().hook("createRuntime", "one", &[]).sleeper();
        bundle.write();
        let mut call = bundle.runtime().spawn(&bundle.words("create"));
        std::thread::sleep(typical * trial / trials * 11 / 10);
        let _ = call.child.kill();
        let _ = call.child.wait();
        let output = bundle.runtime().call(&["delete", "--force", bundle.id()]);
        assert_eq!(output.code, Some(0), "trial {trial}: {output:?}");
        let left = bundle.place().settled();
        assert!(
            left.is_empty(),
            "trial {trial} of {trials} ({:?}) left:\n{left}",
            typical * trial / trials
        );
    }
}

/// The id can be used again at once after such a kill and deletion.
#[test]
fn an_id_is_free_after_a_kill_and_delete() {
    need!(root);
    let typical = duration_of_create();
    for tenth in [2, 5, 8] {
        let bundle = Bundle::new().sleeper();
        bundle.write();
        let mut call = bundle.runtime().spawn(&bundle.words("create"));
        std::thread::sleep(typical * tenth / 10);
        let _ = call.child.kill();
        let _ = call.child.wait();
        let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]).ok();
        let c = bundle.create();
        assert_eq!(c.status(), "created");
    }
}

/// F16: INT, TERM and HUP in the middle of create.
///
/// runc 1.5.0: leaves cgroups.
#[test]
fn signals_in_the_middle_of_create_leave_nothing() {
    need!(root);
    let typical = duration_of_create();
    for (trial, signal) in
        (0_u32..).zip(["INT", "TERM", "HUP", "QUIT", "INT", "TERM", "TERM", "INT"])
    {
        let bundle = Bundle::new().sleeper();
        bundle.write();
        let call = bundle.runtime().spawn(&bundle.words("create"));
        std::thread::sleep(typical * (trial + 1) / 9);
        let pid = nix::unistd::Pid::from_raw(i32::try_from(call.child.id()).unwrap());
        let _ = nix::sys::signal::kill(
            pid,
            format!("SIG{signal}").parse::<nix::sys::signal::Signal>().unwrap(),
        );
        let _ = call.wait();
        let output = bundle.runtime().call(&["delete", "--force", bundle.id()]);
        assert_eq!(output.code, Some(0), "{signal}: {output:?}");
        let left = bundle.place().settled();
        assert!(left.is_empty(), "{signal}, trial {trial}, left:\n{left}");
    }
}

/// F17: the runtime of a foreground `run` is killed.
#[test]
fn a_killed_run_is_deleted() {
    need!(root);
    let bundle = Bundle::new().sleeper();
    bundle.write();
    let mut call = bundle.runtime().spawn(&bundle.words("run"));
    let up = host::eventually(Duration::from_secs(10), || {
        call.output(std::process::ExitStatus::default()).stdout.contains("waiting")
    });
    assert!(up);
    call.child.kill().unwrap();
    call.child.wait().unwrap();
    let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]).ok();
    let left = bundle.place().settled();
    assert!(left.is_empty(), "{left}");
}

/// F3: kill -9 of `start` and `delete`.
#[test]
fn killed_start_and_delete_leave_nothing() {
    need!(root);
    for trial in 0..8_u64 {
        let mut c = Bundle::new().sleeper().create();
        let pause = Duration::from_micros(400 * trial);
        kill_after(c.runtime().spawn(&["start", c.id()]), pause);
        kill_after(c.runtime().spawn(&["delete", "--force", c.id()]), pause);
        c.delete(&["--force"]);
        let left = c.place().settled();
        assert!(left.is_empty(), "trial {trial} left:\n{left}");
    }
}

fn kill_after(mut call: Call, pause: Duration) {
    std::thread::sleep(pause);
    let _ = call.child.kill();
    let _ = call.child.wait();
}

/// F5: init is killed between create and start.
#[test]
fn a_dead_init_is_stopped_and_deletable() {
    need!(root);
    let mut c = Bundle::new().sleeper().create();
    let pid = c.pid();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    harness::container::wait_exit(pid);
    let begun = Instant::now();
    let output = c.call(&["start"]);
    assert_ne!(output.code, Some(0), "{output:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(c.status(), "stopped");
    c.delete(&[]);
}

/// Every file of the container's state.
fn state_files(root: &std::path::Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                todo.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files
}

/// F10: any state file torn in any way: no crash, `list` shows the others, `delete --force` works.
///
/// runc 1.5.0: crashes on some, and cannot delete most.
#[test]
fn torn_state_is_deletable() {
    need!(root);
    for kind in ["empty", "half", "garbage", "null", "array", "wrong-types"] {
        let torn = Bundle::new().sleeper().start();
        let mut torn = torn;
        let other = Bundle::at(torn.place(), "other").sleeper().create();
        let pid = torn.pid();
        for file in state_files(&torn.place().root().join(torn.id())) {
            let text = fs::read(&file).unwrap();
            let new = match kind {
                "empty" => Vec::new(),
                "half" => text[..text.len() / 2].to_vec(),
                "garbage" => b"\x00\xff{{{{".to_vec(),
                "null" => b"null".to_vec(),
                "array" => b"[]".to_vec(),
                _ => br#"{"id": 5, "init_process_pid": "x", "cgroup_paths": 7}"#.to_vec(),
            };
            fs::write(&file, new).unwrap();
        }
        for verb in ["state", "start", "kill", "delete"] {
            let output = torn.call(&[verb]);
            assert!(
                output.signal.is_none() && !output.stderr.contains("panic"),
                "{kind}, {verb}: {output:?}"
            );
        }
        let list = torn.runtime().call(&["list", "-q"]);
        assert!(list.stdout.contains(other.id()), "{kind}: {list:?}");
        torn.delete(&["--force"]);
        let alive =
            fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z"));
        if alive && kind != "half" {
            // With every file of the state lost at once nothing names the process any more; it is ended here.
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            );
            harness::container::wait_exit(pid);
        }
        drop(other);
        torn.place().census().clear();
    }
}

/// F10: one lost file still leaves nothing.
///
/// runc 1.5.0: has one file only.
#[test]
fn one_lost_state_file_leaves_nothing() {
    need!(root);
    let count = {
        let c = Bundle::new().sleeper().create();
        state_files(&c.place().root().join(c.id())).len()
    };
    for nth in 0..count {
        let mut c = Bundle::new().sleeper().start();
        let mut files = state_files(&c.place().root().join(c.id()));
        files.sort();
        fs::write(&files[nth], "").unwrap();
        c.delete(&["--force"]);
        let left = c.place().settled();
        assert!(left.is_empty(), "without {}:\n{left}", files[nth].display());
    }
}

/// F11: eight creates of the same id at once: one wins, the others touch nothing.
#[test]
fn one_of_eight_creates_wins() {
    need!(root);
    for _ in 0..3 {
        let bundle = Bundle::new().sleeper();
        bundle.write();
        let calls: Vec<Call> =
            (0..8).map(|_| bundle.runtime().spawn(&bundle.words("create"))).collect();
        let outputs: Vec<_> = calls.into_iter().map(Call::wait).collect();
        let won = outputs.iter().filter(|o| o.code == Some(0)).count();
        assert_eq!(won, 1, "{outputs:#?}");
        for lost in outputs.iter().filter(|o| o.code != Some(0)) {
            assert!(lost.logged().contains("container with given ID already exists"), "{lost:?}");
        }
        let state = bundle.runtime().call(&["state", bundle.id()]).ok().json();
        assert_eq!(state["status"], "created");
        let _ = bundle.runtime().call(&["start", bundle.id()]).ok();
        let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]).ok();
    }
}

/// F9: a state root on a full, a small, or a read-only file system: an error, nothing left, and it works again after.
#[test]
fn a_full_state_root_is_an_error() {
    need!(root);
    for options in ["size=4k,nr_inodes=1000", "size=1m,nr_inodes=2", "size=1m,nr_inodes=3", "ro"] {
        let bundle = Bundle::new();
        let small = bundle.outside("small");
        fs::create_dir(&small).unwrap();
        let prelude = format!(
            "mount -t tmpfs -o {options} small '{0}'; [ {1} = ro ] || dd if=/dev/zero of='{0}/fill' bs=4k count=1 2>/dev/null",
            small.display(),
            options.split(',').next().unwrap()
        );
        let script = format!(
            "{prelude}; \"$0\" --root '{0}/root' create --bundle '{1}' {2}; code=$?; rm -f '{0}/fill'; ls -A '{0}/root' 2>/dev/null; exit $code",
            small.display(),
            bundle.dir().display(),
            bundle.id()
        );
        let bundle = bundle.sleeper();
        bundle.write();
        let output = std::process::Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", &script])
            .arg(harness::runtime::path())
            .env("CORTEN_TEST_ID", bundle.id())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(output.status.code(), Some(0), "{options}: {text}");
        assert!(!text.contains("panicked"), "{options}: {text}");
        assert!(
            !String::from_utf8_lossy(&output.stdout).contains(bundle.id()),
            "{options}: state is left"
        );
        let left = bundle.place().settled();
        assert!(left.is_empty(), "{options}: {left}");
    }
}

/// F20: few descriptors for the runtime itself: it works, or says why and leaves nothing.
#[test]
fn few_descriptors_are_an_error_or_enough() {
    need!(root);
    for limit in [3, 4, 5, 6, 8, 10, 12, 16, 20, 32] {
        let bundle = Bundle::new()
            .unset("/process/rlimits")
            .after(&format!("ulimit -n {limit}"))
            .args(&["/bin/true"]);
        let done = bundle.try_run();
        assert!(done.output.signal.is_none(), "{limit}: {:?}", done.output);
        assert!(!done.output.stderr.contains("panicked"), "{limit}: {:?}", done.output);
        if limit >= 32 {
            assert_eq!(done.code(), 0, "{limit}: {:?}", done.output);
        }
    }
}

/// F9: a file size limit of zero on the runtime.
#[test]
fn a_file_size_limit_of_zero_is_an_error() {
    need!(root);
    let bundle = Bundle::new().after("ulimit -f 0; trap '' XFSZ").sleeper();
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    let _ = bundle.runtime().plain().call(&["delete", "--force", bundle.id()]).ok();
    let left = bundle.place().settled();
    assert!(left.is_empty(), "{left}");
}

/// F30: `state` and `list` while containers come and go: whole JSON, no failures.
///
/// runc 1.5.0: `list` fails in about a third of the readings.
#[test]
fn readers_see_whole_states_while_containers_come_and_go() {
    need!(root);
    let steady = Bundle::new().sleeper().create();
    let place = steady.place();
    let churn = std::thread::spawn({
        let place = std::sync::Arc::clone(&place);
        move || {
            for n in 0..8 {
                drop(Bundle::at(std::sync::Arc::clone(&place), &format!("n{n}")).sleeper().start());
            }
        }
    });
    let mut readings = 0;
    while !churn.is_finished() {
        let list = steady.runtime().call(&["list", "--format", "json"]).ok().json();
        assert!(list.as_array().unwrap().iter().any(|c| c["id"] == steady.id()), "{list}");
        assert_eq!(steady.status(), "created");
        readings += 1;
    }
    churn.join().unwrap();
    assert!(readings > 5);
}

/// F14: a pid that now belongs to another process is not the container's.
#[test]
fn a_state_of_another_boot_is_stopped() {
    need!(root);
    // The pid of a dead container is forgotten: kill finds nothing to signal even when a process has it again.
    let c = Bundle::new().args(&["/bin/true"]).start();
    c.wait();
    let message = c.kill("KILL").refused();
    assert!(message.contains("container not running"), "{message}");
    assert_eq!(c.state()["pid"], json!(0));
}
