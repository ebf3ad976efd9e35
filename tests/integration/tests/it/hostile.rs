//! Images and bundles that attack the runtime, one test for each published case: named after its advisory.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::{Bundle, Container, need};
use serde_json::json;

/// A directory of the "host" with a known content, and its whole shape as text.
pub(crate) fn trap(bundle: &Bundle) -> std::path::PathBuf {
    let dir = bundle.outside("trap");
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("file"), "host").unwrap();
    dir
}

pub(crate) fn shape(dir: &Path) -> String {
    let mut lines = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        let meta = fs::symlink_metadata(&at).unwrap();
        lines.push(format!(
            "{} {:o} {} {} {}",
            at.display(),
            meta.mode(),
            meta.uid(),
            meta.size(),
            meta.mtime_nsec()
        ));
        if meta.is_dir() {
            todo.extend(fs::read_dir(&at).unwrap().map(|e| e.unwrap().path()));
        }
    }
    lines.sort();
    lines.join("\n")
}

/// Runs it, whatever comes of it, in bounded time; the host's directory must be as it was.
pub(crate) fn harmless(bundle: Bundle, what: &str) -> harness::Finished {
    let dir = bundle.outside("trap");
    let before = shape(&dir);
    let done = bundle.patience(Duration::from_secs(8)).try_run();
    assert_eq!(shape(&dir), before, "{what}: the host's directory was changed");
    done
}

/// `/proc` or `/sys` of the image is a symlink: refused, or mounted inside; never elsewhere.
#[test]
fn cve_2019_19921_proc_is_a_symlink() {
    need!(root);
    for at in ["/proc", "/sys"] {
        for target in ["TRAP", "/tmp", "../../../../../..TRAP", "proc2", "/proc"] {
            let bundle = Bundle::new();
            let dir = trap(&bundle);
            let target = target.replace("TRAP", &dir.to_string_lossy());
            let done = harmless(bundle.link(&target, at).probe(["read", "/proc/self/comm"]), at);
            if done.code() == 0 {
                assert_eq!(done.fact("read"), "probe", "{at} -> {target}");
            } else {
                assert!(!done.output.logged().is_empty());
            }
        }
    }
}

/// A mount over `/proc/self/attr`, `/proc/self`, or `/proc` by a volume.
#[test]
fn cve_2019_16884_volume_over_proc() {
    need!(root);
    for destination in
        ["/proc", "/proc/self/attr", "/proc/self/attr/exec", "/proc/thread-self", "/tmp/../proc/1"]
    {
        let bundle = Bundle::new();
        let dir = trap(&bundle);
        let source = dir.clone();
        let message = bundle.bind(&source, destination, &[]).refused();
        assert!(message.contains("/proc"), "{destination}: {message}");
    }
}

/// A missing `cwd` through a symlink of the image is not made on the host (CVE-2026-55686 class).
#[test]
fn cve_2026_55686_cwd_through_a_symlink() {
    need!(root);
    let bundle = Bundle::new();
    let dir = trap(&bundle);
    let bundle = bundle
        .link(&dir.to_string_lossy(), "/way")
        .set("/process/cwd", "/way/new/dir")
        .probe(["cwd"]);
    let _ = harmless(bundle, "cwd");
}

/// `cwd` through a descriptor that the runtime or its caller left open.
#[test]
fn cve_2024_21626_cwd_through_a_descriptor() {
    need!(root);
    for fd in 0..24 {
        for link in [false, true] {
            let bundle = Bundle::new().after("exec 3</ 4</etc 5<. 6</sys/fs/cgroup 7</proc");
            let dir = trap(&bundle);
            fs::write(dir.join("flag"), "host file").unwrap();
            let target = format!("/proc/self/fd/{fd}");
            let bundle = if link {
                bundle.link(&target, "/way").set("/process/cwd", "/way")
            } else {
                bundle.set("/process/cwd", target)
            };
            let reach = format!("../../../../../../../..{}/flag", dir.display());
            let done = harmless(bundle.probe(["read", &reach, "--", "cwd"]), "cwd");
            assert!(
                !done.stdout().contains("host file"),
                "fd {fd}, link {link}: {}",
                done.stdout()
            );
        }
    }
}

/// A false `/proc` in the image: sysctls, labels and scores are not written into its files.
#[test]
fn cve_2025_52881_writes_into_a_false_proc() {
    need!(root);
    let bundle = Bundle::new();
    let dir = trap(&bundle);
    let bundle = bundle
        .edit(|c| c["mounts"].as_array_mut().unwrap().retain(|m| m["type"] != "proc"))
        .file("/proc/sys/net/ipv4/ip_forward", "false")
        .file("/proc/self/attr/exec", "false")
        .file("/proc/sys/kernel/cap_last_cap", "40")
        .link(&dir.join("file").to_string_lossy(), "/proc/self/oom_score_adj")
        .set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }))
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .set("/process/oomScoreAdj", 5)
        .sleeper();
    let fake = bundle.rootfs("/proc/sys/net/ipv4/ip_forward");
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    assert_eq!(fs::read_to_string(fake).unwrap(), "false");
    assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "host");
    if output.code == Some(0) {
        // It says it was set: then it is set, in the real place.
        let state = bundle.runtime().call(&["state", bundle.id()]).ok().json();
        let seen = Command::new("nsenter")
            .args(["-n", "-t", &state["pid"].to_string()])
            .args(["cat", "/proc/sys/net/ipv4/ip_forward"])
            .output();
        assert_eq!(String::from_utf8_lossy(&seen.unwrap().stdout).trim(), "1");
    } else {
        assert!(!output.refused().is_empty());
    }
}

/// The cgroup tree is not writable through `/sys` or a cgroup mount that was asked to be read-only.
#[test]
fn cve_2023_25809_cgroups_are_readonly() {
    need!(root);
    for with_namespace in [false, true] {
        let mut bundle = Bundle::new().mount(
            "cgroup",
            "cgroup",
            "/sys/fs/cgroup",
            &["nosuid", "noexec", "nodev", "relatime", "ro"],
        );
        if with_namespace {
            bundle = bundle.namespace("cgroup", "");
        }
        let script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do test -d $d && mkdir $d/evil 2>/dev/null && echo made $d; done
            for f in /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/release_agent; do test -e $f && ( : >> $f ) 2>/dev/null && echo opened $f; done; echo looked";
        let c = bundle.sh(script).run();
        assert_eq!(c.stdout(), "looked\n", "namespace: {with_namespace}");
    }
}

/// A recursive read-only bind of the host's `/sys` leaves nothing writable below it, and a plain one is as asked.
#[test]
fn cve_2023_25809_rbind_of_sys() {
    need!(root);
    let c = Bundle::new()
        .edit(|c| c["mounts"].as_array_mut().unwrap().retain(|m| m["destination"] != "/sys"))
        .mount("bind", "/sys", "/sys", &["rbind", "rro", "nosuid", "noexec", "nodev"])
        .sh("grep ' /sys' /proc/self/mountinfo | grep -v ' ro,' ; echo looked")
        .run();
    assert_eq!(c.stdout(), "looked\n");
}

/// `/etc/passwd` and `/etc/group` of the image that never end or never open (fault model F24).
///
/// runc: waits for ever.
#[test]
fn a_hostile_passwd_is_survived() {
    need!(root);
    for what in ["fifo", "zero", "symlink-out", "directory", "huge-line"] {
        let bundle = Bundle::new().probe(["env", "HOME"]);
        let dir = trap(&bundle);
        let passwd = bundle.rootfs("/etc/passwd");
        fs::remove_file(&passwd).unwrap();
        match what {
            "fifo" => assert!(Command::new("mkfifo").arg(&passwd).status().unwrap().success()),
            "zero" => assert!(
                Command::new("mknod")
                    .arg(&passwd)
                    .args(["c", "1", "5"])
                    .status()
                    .unwrap()
                    .success()
            ),
            "symlink-out" => symlink(dir.join("file"), &passwd).unwrap(),
            "directory" => fs::create_dir(&passwd).unwrap(),
            _ => fs::write(&passwd, "x".repeat(5 << 20)).unwrap(),
        }
        let _ = harmless(bundle, what);
    }
}

/// The uid is a number: a name in the image's passwd that looks like it is nobody (CVE-2016-3697).
#[test]
fn cve_2016_3697_a_number_is_no_name() {
    need!(root);
    let c = Bundle::new()
        .file("/etc/passwd", "1000:x:0:0:evil:/root:/bin/sh\nroot:x:0:0::/root:/bin/sh\n")
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .probe(["ids"])
        .run();
    assert_eq!(c.value("ids")["euid"], 1000);
}

/// The runtime's own program is never writable from inside (CVE-2019-5736).
#[test]
fn cve_2019_5736_the_runtime_is_not_writable() {
    need!(root);
    let runtime = harness::runtime::path();
    let before = fs::read(&runtime).unwrap();
    let caps = json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"]);
    for program in ["/proc/self/exe", "/bin/evil"] {
        let bundle = Bundle::new()
            .link("/proc/self/exe", "/bin/evil")
            .set("/process/capabilities", json!({ "bounding": caps, "effective": caps, "permitted": caps, "inheritable": caps }))
            .args(&[program, "--help"]);
        // A loop in the container's pid namespace would see the runtime's file as /proc/PID/exe.
        let _ = bundle.try_run();
    }
    assert!(fs::read(&runtime).unwrap() == before, "the runtime's file was changed");
}

/// No process of the runtime is left in the container's pid namespace to be looked into.
#[test]
fn cve_2016_9962_no_foreign_process_inside() {
    need!(root);
    let c = Bundle::new().sh("for p in /proc/[0-9]*; do echo $p; done").run();
    assert_eq!(c.stdout().lines().filter(|l| *l != "/proc/1").count(), 0, "{}", c.stdout());
}

/// A shell loop that tries to write to what foreign processes of its pid namespace show in `/proc`.
fn spy(files: &str, caps: &[&str]) -> Container {
    let look = format!(
        "echo up; while true; do for p in /proc/[0-9]*; do
            case $p in /proc/1|/proc/$$) continue;; esac
            for f in {files}; do ( : >> $f ) 2>/dev/null && echo wrote $f $(readlink $f); done
        done; done"
    );
    let spy = Bundle::new().capabilities(caps).sh(&look).start();
    spy.wait_for("up");
    spy
}

/// Ten containers made beside a spy, in its pid namespace; what it could write to.
fn spied_on(spy: &Container, program: &str) -> Vec<String> {
    let runtime = harness::runtime::path();
    let before = fs::read(&runtime).unwrap();
    for _ in 0..10 {
        let c = Bundle::new()
            .namespace("pid", &format!("/proc/{}/ns/pid", spy.pid()))
            .args(&[program, "pid"])
            .try_run();
        assert!(c.output.signal.is_none());
    }
    assert!(fs::read(&runtime).unwrap() == before, "the runtime's file was changed");
    spy.stdout().lines().filter(|l| l.starts_with("wrote")).map(str::to_owned).collect()
}

/// A neighbour in the same pid namespace that may trace cannot write to the program that runs in it while
/// containers are made (CVE-2019-5736).
#[test]
fn cve_2019_5736_a_neighbour_cannot_write_to_the_runtime() {
    need!(root);
    let spy = spy("$p/exe", &["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]);
    assert_eq!(spied_on(&spy, "/proc/self/exe"), [""; 0]);
}

/// One that may not trace cannot open any descriptor of the runtime's (CVE-2016-9962).
///
/// runc 1.5.0: now and then it can.
#[test]
fn cve_2016_9962_a_neighbour_cannot_open_descriptors() {
    need!(root);
    let caps = [
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
        "CAP_NET_BIND_SERVICE",
    ];
    let spy = spy("$p/fd/[3-9]*", &caps);
    // A program that opens nothing itself: its own files would be no secret.
    assert_eq!(spied_on(&spy, "/bin/true"), [""; 0]);
}

/// The directory of the notify socket, and a false `/run`, of the image (CVE-2025-24965 class).
#[test]
fn cve_2025_24965_notify_through_a_symlink() {
    need!(root);
    for at in ["/run", "/run/notify", "/run/notify/notify.sock"] {
        let bundle = Bundle::new();
        let dir = trap(&bundle);
        let socket = harness::console::Notify::listen(&bundle.outside("notify.sock"));
        let bundle = bundle.link(&dir.to_string_lossy(), at).env("NOTIFY_SOCKET", &socket.path());
        let _ = harmless(bundle.args(&["/bin/true"]), at);
    }
}

/// Long words in every field that travels to init: right, or an error; never cut (CVE-2021-43784).
#[test]
fn cve_2021_43784_long_fields_are_not_cut() {
    need!(root);
    let path = format!("/proc/self/{}", "ns/../".repeat(12_000));
    let message = Bundle::new().namespace("network", &path).refused();
    assert!(
        message.contains("too long") || message.contains("namespace"),
        "{}",
        &message[..message.len().min(300)]
    );
    let long = "x".repeat(100_000);
    let c = Bundle::new().args(&["/bin/probe", "args", &long]).run();
    assert_eq!(c.value("args")[2], long.as_str());
    let _ =
        Bundle::new().mount("tmpfs", "tmpfs", &format!("/{}", "d/".repeat(5000)), &[]).try_run();
    let _ = Bundle::new().mask(&format!("/{long}")).try_run();
    let _ = Bundle::new().set("/process/cwd", format!("/{long}")).refused();
}

/// Nothing of the image is executed on the host's side: not by PATH, not by a loader's variables.
#[test]
fn cve_2026_84042_nothing_of_the_image_runs_outside() {
    need!(root);
    let bundle = Bundle::new();
    let evil = bundle.outside("evil-ran");
    let script = format!("#!/bin/sh\necho ran > '{}'\n", evil.display());
    let mut bundle = bundle.file("/etc/ld.so.preload", "/bin/evil.so");
    for name in ["newuidmap", "newgidmap", "ip", "mount", "sh2"] {
        bundle = bundle.file(&format!("/evil/{name}"), &script);
    }
    let path = bundle.rootfs("/evil").to_string_lossy().into_owned();
    let env = json!([
        format!("PATH=/evil:/bin"),
        format!("LD_PRELOAD=/bin/evil.so"),
        "LD_LIBRARY_PATH=/evil"
    ]);
    let _ = bundle
        .env("CORTEN_IMAGE", &path)
        .set("/process/env", env)
        .user_namespace()
        .probe(["pid"])
        .try_run();
    assert!(!evil.exists(), "a program of the image ran outside");
}
