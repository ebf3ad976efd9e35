//! `linux.seccomp`: what a filtered call gets, who hears of it, and what runs under the filter.

use std::fs;
use std::os::fd::AsRawFd;

use harness::console::Console;
use harness::{Bundle, need};
use serde_json::{Value, json};

/// A profile that allows all but the rules.
fn rules(rules: &Value) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules })
}

fn on_mkdir(action: &str) -> Value {
    json!({ "names": ["mkdir", "mkdirat"], "action": action })
}

fn with(profile: Value) -> Bundle {
    Bundle::new().set("/linux/seccomp", profile)
}

/// `EPERM` unless the profile says another errno.
#[test]
fn a_denied_call_gets_its_errno() {
    need!(root);
    let mkdir = || ["mkdir", "/tmp/x", "--", "status", "Seccomp"];
    for no_new_privileges in [true, false] {
        let profile = rules(&json!([on_mkdir("SCMP_ACT_ERRNO")]));
        let c =
            with(profile).set("/process/noNewPrivileges", no_new_privileges).probe(mkdir()).run();
        assert_eq!(c.errno("mkdir"), "EPERM");
        assert_eq!(c.fact("status"), "2");
    }
    let mut rule = on_mkdir("SCMP_ACT_ERRNO");
    rule["errnoRet"] = json!(95);
    let c = with(rules(&json!([rule]))).probe(mkdir()).run();
    assert_eq!(c.errno("mkdir"), "EOPNOTSUPP");
}

/// `SIGSYS` ends the process: 128 + 31.
#[test]
fn a_killed_call_ends_the_process() {
    need!(root);
    for action in ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL", "SCMP_ACT_TRAP"] {
        let c = with(rules(&json!([on_mkdir(action)]))).probe(["mkdir", "/tmp/x"]).try_run();
        assert_eq!(c.code(), 159, "{action}: {:?}", c.output);
    }
}

/// What a small static program calls.
const NEEDED: &str = "arch_prctl brk clone clone3 close execve exit exit_group fcntl fstat futex getpid \
    getrandom gettid ioctl lseek madvise mmap mprotect mremap munmap newfstatat open openat \
    poll ppoll prctl prlimit64 read readlink readlinkat readv rseq rt_sigaction rt_sigprocmask \
    rt_sigreturn sched_getaffinity set_robust_list set_tid_address sigaltstack statx stat \
    tkill uname wait4 write writev";

/// What no rule names gets the default, with its errno.
#[test]
fn the_default_action_is_for_all_else() {
    need!(root);
    let profile = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 95,
        "syscalls": [
            { "names": NEEDED.split_whitespace().collect::<Vec<_>>(), "action": "SCMP_ACT_ALLOW" },
            // Above it a call is newer than the profile, and gets ENOSYS.
            { "names": ["openat2"], "action": "SCMP_ACT_ALLOW" }
        ]
    });
    let c = with(profile)
        .set("/process/noNewPrivileges", true)
        .probe(["mkdir", "/tmp/x", "--", "status", "Seccomp"])
        .run();
    assert_eq!(c.errno("mkdir"), "EOPNOTSUPP");
    assert_eq!(c.fact("status"), "2");
}

/// A rule may look at arguments: here at a bit of a mode.
#[test]
fn arguments_are_compared() {
    need!(root);
    let setuid = |index: u32| json!([{ "index": index, "value": 0o4000, "valueTwo": 0o4000, "op": "SCMP_CMP_MASKED_EQ" }]);
    let rule = |name: &str, index| json!({ "names": [name], "action": "SCMP_ACT_ERRNO", "args": setuid(index) });
    let profile = rules(&json!([rule("chmod", 1), rule("fchmodat", 2)]));
    let c = with(profile)
        .file("/plain", "")
        .probe(["chmod", "/plain", "4755", "--", "writable", "/plain"])
        .run();
    assert_eq!(c.errno("chmod"), "EPERM");
    let profile = rules(&json!([rule("chmod", 1), rule("fchmodat", 2)]));
    let c = with(profile).file("/plain", "").probe(["chmod", "/plain", "755"]).run();
    assert_eq!(c.fact("chmod"), "ok");
}

/// With no_new_privs nothing of the runtime is under the filter; without, what follows is, and a
/// denied step is an error that names it.
#[test]
fn the_filter_is_loaded_where_privilege_allows() {
    need!(root);
    let steps = || {
        let names =
            ["setresuid", "setresgid", "setgroups", "capset", "prctl", "faccessat2", "close_range"];
        rules(&json!([{ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 95 }]))
    };
    let c = with(steps()).set("/process/noNewPrivileges", true).probe(["status", "Seccomp"]).run();
    assert_eq!(c.fact("status"), "2");
    let error = with(steps()).set("/process/noNewPrivileges", false).refused();
    assert!(error.contains("peration not supported"), "{error}");
}

/// The descriptor comes with the state of the container's process; closing it ends all waiting.
#[test]
fn a_listener_receives_the_container_process_state() {
    need!(root);
    for no_new_privileges in [true, false] {
        let bundle = Bundle::new();
        let agent = Console::listen(&bundle.outside("agent.sock"));
        let mut profile = rules(&json!([on_mkdir("SCMP_ACT_NOTIFY")]));
        profile["listenerPath"] = json!(agent.path());
        profile["listenerMetadata"] = json!("what the agent knows us by");
        let container = bundle
            .set("/linux/seccomp", profile)
            .set("/process/noNewPrivileges", no_new_privileges)
            .set("/annotations", json!({ "org.example": "seccomp" }))
            .probe(["mkdir", "/tmp/x"])
            .create();
        let (listener, text) = agent.receive();
        let state: Value = serde_json::from_str(&text).expect("one JSON document");
        assert_eq!(state["fds"], json!(["seccompFd"]));
        assert_eq!(state["pid"], container.pid());
        assert_eq!(state["metadata"], "what the agent knows us by");
        assert_eq!(state["ociVersion"], state["state"]["ociVersion"]);
        assert_eq!(state["state"]["id"], container.id());
        assert_eq!(state["state"]["status"], "creating");
        assert_eq!(state["state"]["pid"], container.pid());
        assert_eq!(state["state"]["annotations"]["org.example"], "seccomp");
        let kind = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        assert_eq!(kind.to_string_lossy(), "anon_inode:seccomp notify");
        drop(listener);
        container.start();
        container.wait();
        assert_eq!(container.facts().errno("mkdir"), "ENOSYS");
    }
}

/// An agent that is not there, a call that could never be answered, an errno that has no use.
#[test]
fn what_cannot_work_is_refused_in_words() {
    need!(root);
    let mut lonely = rules(&json!([on_mkdir("SCMP_ACT_NOTIFY")]));
    let error = with(lonely.clone()).refused();
    assert!(error.contains("linux.seccomp.listenerPath"), "{error}");
    lonely["listenerPath"] = json!("/no/such/agent");
    let output = with(lonely).try_run().output;
    let error = output.refused();
    assert!(error.contains("linux.seccomp.listenerPath /no/such/agent"), "{error}");
    assert!(output.stderr.contains("failed to connect with seccomp agent"), "{output:?}");
    let write = json!([{ "names": ["write"], "action": "SCMP_ACT_NOTIFY" }]);
    let error = with(rules(&write)).refused();
    assert!(error.contains("SCMP_ACT_NOTIFY cannot be used for the write syscall"), "{error}");
    let mut errno = on_mkdir("SCMP_ACT_KILL");
    errno["errnoRet"] = json!(1);
    let error = with(rules(&json!([errno]))).refused();
    assert!(error.contains("linux.seccomp.syscalls[0].errnoRet"), "{error}");
}

/// The log sees a call and it goes on; a tracer that is not there cannot let it.
#[test]
fn a_logged_call_goes_on_and_a_traced_one_needs_a_tracer() {
    need!(root);
    let c = with(rules(&json!([on_mkdir("SCMP_ACT_LOG")]))).probe(["mkdir", "/tmp/x"]).run();
    assert_eq!(c.fact("mkdir"), "ok");
    let c = with(rules(&json!([on_mkdir("SCMP_ACT_TRACE")]))).probe(["mkdir", "/tmp/x"]).run();
    assert_eq!(c.errno("mkdir"), "ENOSYS");
}

/// Flags reach the kernel, which takes them; without a list there is SPEC_ALLOW. TSYNC is for
/// threads, of which init has none.
#[test]
fn flags_reach_the_kernel() {
    need!(root);
    let flag = |name: &str| format!("SECCOMP_FILTER_FLAG_{name}");
    let cases: [(Option<&[&str]>, u32); 5] = [
        (None, 4),
        (Some(&[]), 0),
        (Some(&["LOG"]), 2),
        (Some(&["TSYNC"]), 0),
        (Some(&["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"]), 6),
    ];
    for (flags, value) in cases {
        let mut profile = rules(&json!([on_mkdir("SCMP_ACT_ERRNO")]));
        if let Some(flags) = flags {
            profile["flags"] = flags.iter().map(|name| flag(name)).collect();
        }
        let c = with(profile)
            .global(&["--debug"])
            .probe(["mkdir", "/tmp/x", "--", "status", "Seccomp_filters"])
            .run();
        assert_eq!(c.errno("mkdir"), "EPERM", "{flags:?}");
        assert_eq!(c.fact("status"), "1", "{flags:?}");
        let said = format!("seccomp filter flags: {value}\"");
        assert!(c.output.log.contains(&said), "{flags:?}: {}", c.output.log);
    }
}

/// WAIT_KILLABLE_RECV is for listeners: it comes beside NEW_LISTENER.
#[test]
fn a_listener_may_ask_that_only_death_ends_the_wait() {
    need!(root);
    let bundle = Bundle::new();
    let agent = Console::listen(&bundle.outside("agent.sock"));
    let mut profile = rules(&json!([on_mkdir("SCMP_ACT_NOTIFY")]));
    profile["listenerPath"] = json!(agent.path());
    profile["flags"] = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
    let container =
        bundle.set("/linux/seccomp", profile).probe(["mkdir", "/tmp/x"]).global(&["--debug"]);
    let container = container.create();
    drop(agent.receive());
    container.start();
    container.wait();
    assert_eq!(container.facts().errno("mkdir"), "ENOSYS");
}

/// Ids of its own: loading needs a privilege in the container's user namespace, which init has.
#[test]
fn a_filter_is_loaded_in_a_user_namespace() {
    need!(root);
    for no_new_privileges in [true, false] {
        let c = with(rules(&json!([on_mkdir("SCMP_ACT_ERRNO")])))
            .user_namespace()
            .set("/process/noNewPrivileges", no_new_privileges)
            .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
            .probe(["mkdir", "/tmp/x", "--", "status", "Seccomp"])
            .run();
        assert_eq!(c.errno("mkdir"), "EPERM");
        assert_eq!(c.fact("status"), "2");
    }
}

/// A `startContainer` hook comes from the image as the program does: it is under the filter.
#[test]
fn hooks_of_the_image_are_under_the_filter() {
    need!(root);
    for no_new_privileges in [true, false] {
        let hook = json!({ "path": "/bin/probe", "args": ["probe", "mkdir", "/dev/shm/x"] });
        let error = with(rules(&json!([on_mkdir("SCMP_ACT_KILL_PROCESS")])))
            .set("/process/noNewPrivileges", no_new_privileges)
            .push("/hooks/startContainer", hook)
            .probe(["status", "Seccomp"])
            .try_run()
            .output
            .refused();
        assert!(error.contains("error running startContainer hook #0"), "{error}");
        assert!(error.contains("bad system call"), "{error}");
    }
}

/// A profile may be older than the calls that the runtime would use: what is left to do under the
/// filter is done by older ones, hooks included.
#[test]
fn a_profile_older_than_the_runtime_is_no_obstacle() {
    need!(root);
    let young = ["clone3", "close_range", "openat2", "faccessat2", "pidfd_open", "pidfd_getfd"];
    for (errno, no_new_privileges) in [(38, true), (38, false), (1, true), (1, false)] {
        let rule = json!({ "names": young, "action": "SCMP_ACT_ERRNO", "errnoRet": errno });
        let hook = json!({ "path": "/bin/probe", "args": ["probe", "create", "/dev/shm/x"] });
        let c = with(rules(&json!([rule])))
            .set("/process/noNewPrivileges", no_new_privileges)
            .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
            .push("/hooks/startContainer", hook)
            .probe(["status", "Seccomp", "--", "writable", "/dev/shm/x"])
            .run();
        assert_eq!(c.fact("status"), "2");
        assert_eq!(c.fact("writable"), "ok");
    }
}
