//! `exec` and what a hostile container makes of it: one test for each published attack, and the
//! system call filter.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use harness::{Bundle, Console, Container, need};
use serde_json::{Value, json};

/// A container whose first process tries to write to what others of its pid namespace show.
fn spy(files: &str, caps: &[&str]) -> Container {
    let look = format!(
        "echo up; while true; do for p in /proc/[0-9]*; do
            case $p in /proc/1|/proc/$$) continue;; esac
            for f in {files}; do ( : >> $f ) 2>/dev/null && echo wrote $f $(readlink $f); done
        done; done"
    );
    let spy = Bundle::new()
        .set(
            "/process/capabilities",
            json!({ "bounding": caps, "effective": caps, "permitted": caps }),
        )
        .sh(&look)
        .start();
    spy.wait_for("up");
    spy
}

/// What it could write to while other processes joined it.
fn spied_on(spy: &Container, program: &[&str]) -> Vec<String> {
    let runtime = harness::runtime::path();
    let before = fs::read(&runtime).unwrap();
    for _ in 0..15 {
        assert!(spy.exec(&[], program).signal.is_none());
    }
    assert!(fs::read(&runtime).unwrap() == before, "the runtime's file was changed");
    spy.stdout().lines().filter(|l| l.starts_with("wrote")).map(str::to_owned).collect()
}

/// The runtime's program cannot be written, with `/proc/self/exe` as program or seen from a
/// process that may trace (CVE-2019-5736).
#[test]
fn cve_2019_5736_the_runtime_is_not_writable() {
    need!(root);
    let spy = spy("$p/exe", &["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]);
    assert_eq!(spied_on(&spy, &["/proc/self/exe", "--version"]), [""; 0]);
}

/// A process of the container opens no descriptor of the runtime that joins it (CVE-2016-9962).
#[test]
fn cve_2016_9962_no_descriptor_of_the_runtime_is_opened() {
    need!(root);
    let caps = ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL"];
    let spy = spy("$p/fd/[3-9]*", &caps);
    assert_eq!(spied_on(&spy, &["/bin/true"]), [""; 0]);
}

/// Of the caller's descriptors the program has what it was promised, and nothing else
/// (CVE-2024-21626).
#[test]
fn cve_2024_21626_descriptors_are_closed() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let runtime = c.runtime();
    let fds = |flags: &str, program: &str| {
        let mut command = Command::new("/bin/sh");
        let call = format!(
            "exec 3</etc/hostname 4</etc/passwd 5</ 6</etc; exec \"$@\" exec {flags} {} {program}",
            c.id()
        );
        let line = runtime.command(&[] as &[&str]);
        command.args(["-c", &call, "sh"]).arg(line.get_program()).args(line.get_args());
        let done = command.stdin(Stdio::null()).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let open = |text: &str| harness::Facts::parse(text).value("fds").clone();
    let (code, none) = fds("", "/bin/probe fds");
    assert_eq!(
        (code, open(&none).as_object().map_or(0, serde_json::Map::len)),
        (Some(0), 3),
        "{none}"
    );
    let (code, two) = fds("--preserve-fds 2", "/bin/probe fds");
    assert_eq!(
        (code, open(&two).as_object().map_or(0, serde_json::Map::len)),
        (Some(0), 5),
        "{two}"
    );
    // The host's directories, by their number: not as working directory, not even when promised.
    for number in 3..9 {
        let (code, text) = fds(&format!("--cwd /proc/self/fd/{number}"), "/bin/probe list .");
        assert_eq!(code, Some(255), "{text}");
    }
    let (code, text) = fds("--preserve-fds 4 --cwd /proc/self/fd/5", "/bin/probe list .");
    assert_eq!(code, Some(255), "{text}");
    // A promise that the caller does not keep.
    assert!(c.exec_refused(&["--preserve-fds", "9"], &["true"]).contains("preserved"));
}

/// A link of the image as working directory leads nowhere else (CVE-2024-21626).
#[test]
fn cve_2024_21626_a_link_as_cwd_stays_inside() {
    need!(root);
    let bundle = Bundle::new();
    let outside = bundle.outside("secret");
    fs::create_dir(&outside).unwrap();
    let c = bundle
        .link(&outside.to_string_lossy(), "/away")
        .link("/proc/self/fd/5", "/magic")
        .link("../../../../../../tmp", "/up")
        .sleeper()
        .start();
    for cwd in ["/away", "/magic", "/proc/self/cwd", "/proc/1/root"] {
        let error = c.exec_refused(&["--cwd", cwd], &["true"]);
        assert!(error.contains("chdir to cwd"), "{cwd}: {error}");
    }
    assert_eq!(c.ask(&["--cwd", "/up"], &["cwd"]).text("cwd"), "/tmp");
}

/// No number becomes root by wrapping or by being a name (CVE-2016-3697, CVE-2024-40635,
/// CVE-2026-30892).
///
/// runc 1.5.0: 4294967296 is root.
#[test]
fn cve_2026_30892_odd_users_are_never_root() {
    need!(root);
    let c = Bundle::new()
        .file(
            "/etc/passwd",
            "root:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\nname:x:0:0::/:/bin/sh\n",
        )
        .set("/process/user", json!({ "uid": 5, "gid": 6 }))
        .sleeper()
        .start();
    assert_eq!(c.ask(&["-u", "1"], &["ids"]).value("ids")["uid"], 1);
    assert_eq!(c.ask(&["-u", "1000"], &["ids"]).value("ids")["uid"], 1000);
    for user in [
        "4294967295",
        "4294967296",
        "-1",
        "+0",
        "0x0",
        "name",
        "root",
        ":0",
        "0:",
        "0:x",
        "1:4294967296",
    ] {
        let error = c.exec_refused(&[&format!("--user={user}")], &["id"]);
        assert!(error.contains("bad uid") || error.contains("bad gid"), "{user}: {error}");
    }
    assert!(c.exec_refused(&["-g", "4294967295"], &["id"]).contains("bad gid"));
}

/// The inheritable set is what was configured: nothing is added to it (CVE-2022-29162).
#[test]
fn cve_2022_29162_added_capabilities_are_not_inheritable() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let facts = c.ask(&["--cap", "CAP_SYS_ADMIN"], &["status", "CapInh", "--", "status", "CapAmb"]);
    assert_eq!(facts.text("status CapInh"), "0000000000000000");
    assert_eq!(facts.text("status CapAmb"), "0000000000000000");
}

/// A terminal comes from a devpts of the kernel, or not at all: links of the container are not
/// followed (CVE-2025-52565).
#[test]
fn cve_2025_52565_a_false_devpts_gives_no_terminal() {
    need!(root);
    let bundle = Bundle::new();
    let victim = bundle.outside("victim");
    fs::write(&victim, "untouched").unwrap();
    let c = bundle
        .set("/mounts", json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]))
        .link(&victim.to_string_lossy(), "/dev/pts/ptmx")
        .link(&victim.to_string_lossy(), "/dev/console")
        .set("/process/capabilities/bounding", json!([]))
        .sleeper()
        .start();
    let socket = Console::listen(&c.place().path("tty.sock"));
    let path = socket.path();
    let error = c.exec_refused(&["-t", "-d", "--console-socket", &path], &["/bin/true"]);
    assert!(error.contains("console"), "{error}");
    assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
}

/// The host's `/dev/null` on stdio keeps its owner.
#[test]
fn stdio_on_the_hosts_null_device_keeps_its_owner() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let owner = || std::os::unix::fs::MetadataExt::uid(&fs::metadata("/dev/null").unwrap());
    let before = owner();
    let _ = c.exec(&["-u", "1234:1234"], &["/bin/true"]).ok();
    assert_eq!(owner(), before);
}

fn on_mkdir(action: &str) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": action }] })
}

/// The container's filter holds for its further processes, whichever their privileges.
#[test]
fn the_containers_filter_holds() {
    need!(root);
    for (own, flag) in [(true, false), (false, true), (false, false)] {
        let c = Bundle::new()
            .set("/linux/seccomp", on_mkdir("SCMP_ACT_ERRNO"))
            .set("/process/noNewPrivileges", own)
            .sleeper()
            .start();
        let flags: &[&str] = if flag { &["--no-new-privs"] } else { &[] };
        let facts = c.ask(flags, &["mkdir", "/tmp/x", "--", "status", "Seccomp"]);
        assert_eq!((facts.errno("mkdir"), facts.text("status")), ("EPERM".into(), "2".into()));
        let killed = c.exec(flags, &["/bin/sh", "-c", "true"]);
        assert_eq!(killed.code, Some(0));
    }
}

/// The filter is the compiled one that `create` left: without it, whole, nothing runs.
#[test]
fn a_damaged_filter_is_never_left_out() {
    need!(root);
    let c = Bundle::new().set("/linux/seccomp", on_mkdir("SCMP_ACT_ERRNO")).sleeper().start();
    let file: PathBuf = c.place().root().join(c.id()).join("seccomp.bpf");
    let whole = fs::read(&file).unwrap();
    for damaged in [&whole[..whole.len() - 1], &[]] {
        fs::write(&file, damaged).unwrap();
        assert!(c.exec_refused(&[], &["/bin/true"]).contains("seccomp.bpf: damaged"));
    }
    fs::remove_file(&file).unwrap();
    assert!(c.exec_refused(&[], &["/bin/true"]).contains("seccomp.bpf"));
    fs::write(&file, whole).unwrap();
    assert_eq!(c.ask(&[], &["mkdir", "/tmp/x"]).errno("mkdir"), "EPERM");
}

/// The listener of the container hears of further processes, and who they are.
#[test]
fn the_listener_hears_of_further_processes() {
    need!(root);
    for no_new_privileges in [true, false] {
        let bundle = Bundle::new();
        let agent = Console::listen(&bundle.outside("agent.sock"));
        let mut profile = on_mkdir("SCMP_ACT_NOTIFY");
        profile["listenerPath"] = json!(agent.path());
        profile["listenerMetadata"] = json!("known");
        let c = bundle
            .set("/linux/seccomp", profile)
            .set("/process/noNewPrivileges", no_new_privileges)
            .sleeper()
            .create();
        let (of_init, _) = agent.receive();
        c.start();
        let pid_file = c.place().path("pid");
        let flags = ["-d", "--pid-file", &pid_file.to_string_lossy()];
        let done = c.exec(&flags, &["/bin/probe", "wait", "TERM"]).ok();
        let (listener, text) = agent.receive();
        let state: Value = serde_json::from_str(&text).expect("one JSON document");
        assert_eq!(state["pid"].to_string(), fs::read_to_string(&pid_file).unwrap(), "{done:?}");
        assert_eq!((&state["fds"], &state["metadata"]), (&json!(["seccompFd"]), &json!("known")));
        assert_eq!(state["state"]["pid"], c.pid());
        assert_eq!(state["state"]["status"], "running");
        let kind = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        assert_eq!(kind.to_string_lossy(), "anon_inode:seccomp notify");
        drop((of_init, listener));
    }
}

/// The container's AppArmor profile holds for its further processes, and the caller may name another.
#[test]
fn an_apparmor_profile_is_applied() {
    need!(root, apparmor);
    let c = Bundle::new().set("/process/apparmorProfile", "unconfined").sleeper().start();
    for flags in [&[][..], &["--apparmor", "unconfined"]] {
        let current = c.ask(flags, &["read", "/proc/self/attr/current"]);
        assert!(current.text("read").starts_with("unconfined"), "{}", current.text("read"));
    }
    let error = c.exec_refused(&["--apparmor", "no-such-profile"], &["true"]);
    assert!(error.contains("no-such-profile"), "{error}");
}

/// A profile or label of the caller's: applied, or the program does not run.
#[test]
fn labels_are_applied_or_refused() {
    need!(root, no_apparmor, no_selinux);
    let c = Bundle::new().sleeper().start();
    assert!(c.exec_refused(&["--apparmor", "some"], &["true"]).contains("apparmor is disabled"));
    assert!(
        c.exec_refused(&["--process-label", "a:b:c"], &["true"]).contains("selinux is disabled")
    );
}
