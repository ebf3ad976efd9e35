//! The rule of the init stage, enforced: between clone and execve nothing is allocated.
//!
//! The allocator of this program ends every process but the one that called [`guard`]. Then the library
//! makes containers of every kind, good and bad. A program of its own, because the allocator is for
//! all, and because [`libcontainer::seal`] wants to be first in `main`.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

use harness::console::Notify;
use harness::{Bundle, Holder, need};
use libcontainer::cgroup::Cgroup;
use libcontainer::sys::clone::{WaitStatus, pidfd_send_signal, wait_pidfd};
use libcontainer::sys::fd::memfd;
use libcontainer::{Host, Options, Plan, Spec, Store};
use serde_json::json;

#[path = "no_allocation/joins.rs"]
mod joins;

/// The process that may allocate; 0 until the guard is up.
static PARENT: AtomicI32 = AtomicI32::new(0);
/// Where another process confesses: a memory file, open in all of them until execve.
static RECORD: AtomicI32 = AtomicI32::new(-1);
/// The exit code of a process that was caught.
const CAUGHT: i32 = 99;

struct Guarded;

#[global_allocator]
static ALLOCATOR: Guarded = Guarded;

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(b"alloc ");
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        check(b"free ");
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(b"realloc ");
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Ends the process when it is not the parent.
fn check(what: &[u8]) {
    let parent = PARENT.load(Ordering::Relaxed);
    // SAFETY: no arguments; write gets a buffer that lives; _exit does not return.
    unsafe {
        if parent != 0 && libc::getpid() != parent {
            libc::write(RECORD.load(Ordering::Relaxed), what.as_ptr().cast(), what.len());
            libc::write(2, what.as_ptr().cast(), what.len());
            libc::_exit(CAUGHT);
        }
    }
}

/// From here on only this process may allocate. The file collects confessions.
fn guard() -> File {
    let record: OwnedFd = memfd(c"confessions", libc::MFD_CLOEXEC).unwrap();
    RECORD.store(record.as_raw_fd(), Ordering::Relaxed);
    PARENT.store(i32::try_from(std::process::id()).unwrap(), Ordering::Relaxed);
    record.into()
}

/// A guard that never caught anybody would pass every case: a child that allocates must be caught.
fn guard_is_awake(record: &mut File) -> bool {
    // SAFETY: this program has one thread, so the child may do what it likes; it ends in _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        std::hint::black_box(vec![1_u8]);
        // SAFETY: does not return; reached only when the guard sleeps.
        unsafe { libc::_exit(0) };
    }
    let pid = nix::unistd::Pid::from_raw(child);
    let ended = nix::sys::wait::waitpid(pid, None);
    let caught = nix::sys::wait::WaitStatus::Exited(pid, CAUGHT);
    ended == Ok(caught) && confession(record) == "alloc "
}

/// What must come of a bundle.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Exit(i32),
    Refused,
}

type Case = (&'static str, End, fn(Bundle) -> Bundle);

/// A filter that hides what is newer than old profiles, and kills who makes a directory.
fn filtered(bundle: Bundle, no_new_privileges: bool) -> Bundle {
    let young = ["clone3", "close_range", "faccessat2", "openat2"];
    let rules = json!([
        { "names": young, "action": "SCMP_ACT_ERRNO", "errnoRet": 38 },
        { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" }
    ]);
    bundle
        .set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules }))
        .set("/process/noNewPrivileges", no_new_privileges)
}

/// One bundle for each way through the init stage.
const CASES: &[Case] = &[
    ("default", End::Exit(0), |b| b),
    ("exit_code", End::Exit(7), |b| b.probe(["exit", "7"])),
    ("readonly_root", End::Exit(0), |b| b.set("/root/readonly", true)),
    ("root_propagation", End::Exit(0), |b| b.set("/linux/rootfsPropagation", "rshared")),
    ("all_namespaces", End::Exit(0), |b| {
        let b = b.namespace("cgroup", "");
        if need::time_namespace().is_err() {
            return b;
        }
        b.namespace("time", "").set("/linux/timeOffsets", json!({ "boottime": { "secs": 5 } }))
    }),
    ("no_namespaces", End::Exit(0), |b| {
        ["network", "ipc", "pid", "uts"]
            .into_iter()
            .fold(b.unset("/hostname"), Bundle::without_namespace)
            .edit(|c| c["mounts"].as_array_mut().unwrap().retain(|m| m["type"] != "sysfs"))
    }),
    ("user_namespace", End::Exit(0), |b| b.user_namespace()),
    ("user_namespace_as_user", End::Exit(0), |b| {
        b.user_namespace()
            .set("/process/user", json!({ "uid": 5, "gid": 6, "additionalGids": [7] }))
    }),
    ("plain_user", End::Exit(0), |b| {
        b.set(
            "/process/user",
            json!({ "uid": 1000, "gid": 1000, "additionalGids": [5, 6, 7], "umask": 63 }),
        )
    }),
    ("missing_cwd", End::Exit(0), |b| b.set("/process/cwd", "/deep/er/still")),
    ("mounts", End::Exit(0), |b| {
        let dir = b.outside("vol");
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        b.bind(&dir, "/a/b/c", &["ro", "nosuid"])
            .mount("bind", &dir.to_string_lossy(), "/tree", &["rbind", "rro", "rslave"])
            .bind(Path::new("/etc/hostname"), "/etc/hostname", &[])
            .mount("tmpfs", "t", "/t", &["size=1m", "nosymfollow", "lazytime", "shared"])
            .mount(
                "bind",
                "/etc",
                "/t/etc",
                &["bind", "remount", "ro"].map(|o| if o == "remount" { "nodev" } else { o }),
            )
    }),
    ("tmpcopyup", End::Exit(0), |b| {
        b.file("/data/a/b", "x").link("a/b", "/data/l").mount("tmpfs", "t", "/data", &["tmpcopyup"])
    }),
    ("cgroup_mount", End::Exit(0), |b| {
        b.namespace("cgroup", "").mount("cgroup", "cgroup", "/sys/fs/cgroup", &["ro"])
    }),
    ("devices", End::Exit(0), |b| {
        b.push(
            "/linux/devices",
            json!({ "path": "/dev/x/y", "type": "c", "major": 1, "minor": 3, "fileMode": 384 }),
        )
        .push("/linux/devices", json!({ "path": "/dev/p", "type": "p" }))
    }),
    ("masks", End::Exit(0), |b| {
        b.file("/m/x", "").mask("/m").mask("/etc/passwd").push("/linux/readonlyPaths", "/etc")
    }),
    ("no_pivot", End::Exit(0), |b| b),
    ("names_and_sysctls", End::Exit(0), |b| {
        b.set("/domainname", "d")
            .set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1", "kernel.shmmax": "65536" }))
    }),
    ("limits", End::Exit(0), |b| {
        b.push("/process/rlimits", json!({ "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }))
            .set("/process/oomScoreAdj", 5)
    }),
    ("scheduling", End::Exit(0), |b| {
        b.set("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 3 }))
            .set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 5 }))
            .set("/linux/personality", json!({ "domain": "LINUX" }))
            .edit(|c| {
                if need::numa().is_ok() {
                    c["linux"]["memoryPolicy"] = json!({ "mode": "MPOL_BIND", "nodes": "0" });
                }
            })
    }),
    ("capabilities", End::Exit(0), |b| {
        let caps = json!(["CAP_KILL", "CAP_NET_RAW", "CAP_CHOWN"]);
        b.set("/process/capabilities", json!({ "bounding": caps, "permitted": caps, "effective": caps, "inheritable": caps, "ambient": caps }))
    }),
    ("hooks", End::Exit(0), |b| {
        let hook = json!({ "path": "/bin/true", "args": ["true"], "env": ["A=1"], "timeout": 10 });
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
            .into_iter()
            .fold(b, |b, kind| b.push(&format!("/hooks/{kind}"), hook.clone()))
    }),
    ("filter", End::Exit(0), |b| filtered(b, true)),
    ("filter_before_capabilities", End::Exit(0), |b| filtered(b, false)),
    ("filter_and_hooks", End::Exit(0), |b| {
        let hook = json!({ "path": "/bin/true", "args": ["true"] });
        filtered(b, true).push("/hooks/startContainer", hook)
    }),
    ("filter_that_kills_a_hook", End::Refused, |b| {
        let hook = json!({ "path": "/bin/busybox", "args": ["mkdir", "/dev/shm/x"] });
        filtered(b, false).push("/hooks/startContainer", hook)
    }),
    ("terminal", End::Exit(0), |b| {
        b.set("/process/terminal", true)
            .set("/process/consoleSize", json!({ "height": 10, "width": 20 }))
    }),
    ("notify", End::Exit(0), |b| b),
    ("program_on_the_path", End::Exit(0), |b| b.args(&["true"])),
    ("missing_program", End::Refused, |b| b.args(&["no-such-program"])),
    ("missing_path", End::Refused, |b| b.args(&["/no/such/program"])),
    ("directory_as_program", End::Refused, |b| b.args(&["/etc"])),
    ("missing_source", End::Refused, |b| b.mount("bind", "/no/such/source", "/x", &["bind"])),
    ("refused_option", End::Refused, |b| b.mount("tmpfs", "t", "/t", &["no-such-option"])),
    ("unknown_type", End::Refused, |b| b.mount("moonfs", "m", "/m", &[])),
    ("directory_over_file", End::Refused, |b| b.mount("tmpfs", "t", "/etc/passwd", &[])),
    ("bad_sysctl", End::Refused, |b| b.set("/linux/sysctl", json!({ "net.no_such": "1" }))),
    ("unmapped_user", End::Refused, |b| b.user_namespace().set("/process/user/uid", 70_000)),
    ("failing_create_container", End::Refused, |b| {
        b.push("/hooks/createContainer", json!({ "path": "/bin/false", "args": ["false"] }))
    }),
    ("missing_start_container", End::Refused, |b| {
        b.push("/hooks/startContainer", json!({ "path": "/no/such/hook" }))
    }),
    ("hanging_start_container", End::Refused, |b| {
        b.push(
            "/hooks/startContainer",
            json!({ "path": "/bin/sleep", "args": ["sleep", "60"], "timeout": 1 }),
        )
    }),
];

fn main() {
    libcontainer::seal().expect("seal");
    if let Err(reason) = need::root() {
        return need::skip("no_allocation::all", "root", &reason);
    }
    let mut record = guard();
    assert!(guard_is_awake(&mut record), "the guard does not catch a child that allocates");
    let only: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut failed = 0;
    let mut case = |name: &str, run: &dyn Fn()| {
        if !(only.is_empty() || only.iter().any(|o| name.contains(o.as_str()))) {
            return;
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        let confession = confession(&mut record);
        let ok = result.is_ok() && confession.is_empty();
        failed += i32::from(!ok);
        println!("test no_allocation::{name} ... {}", if ok { "ok" } else { "FAILED" });
        if !confession.is_empty() {
            println!("    allocated in the init stage: {confession}");
        }
    };
    for (name, end, change) in CASES {
        case(name, &|| one(name, *end, *change));
    }
    for (name, end, change, request) in joins::JOINS {
        case(name, &|| joins::join(name, *end, change(Bundle::new()), *request));
    }
    let passed = i32::try_from(CASES.len() + joins::JOINS.len()).unwrap_or(i32::MAX) - failed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    std::process::exit(i32::from(failed > 0));
}

/// What other processes wrote since the last look.
fn confession(record: &mut File) -> String {
    let mut text = String::new();
    record.seek(SeekFrom::Start(0)).unwrap();
    record.read_to_string(&mut text).unwrap();
    record.set_len(0).unwrap();
    record.seek(SeekFrom::Start(0)).unwrap();
    text
}

/// Makes, starts, waits for and removes one container.
fn one(name: &str, end: End, change: fn(Bundle) -> Bundle) {
    let mut bundle = change(Bundle::new());
    let mut holder = None;
    if name == "no_namespaces" {
        // A joined pid namespace goes the long way round, over a bridge.
        let held = Holder::unshare(&["--pid", "--fork"]);
        bundle = bundle.namespace("pid", &held.path("pid"));
        holder = Some(held);
    }
    bundle.write();
    let notify = Notify::listen(&bundle.outside("notify.sock"));
    let store = Store::new(bundle.place().root());
    let options = Options {
        id: bundle.id().to_owned(),
        bundle: bundle.dir().to_owned(),
        state_root: bundle.place().root(),
        no_pivot: name == "no_pivot",
        run: true,
        notify_socket: (name == "notify").then(|| notify.path().into()),
        ..Options::default()
    };
    let seen = run(&bundle, &store, &options);
    drop(holder);
    assert!(
        seen == Ok(end) || (seen.is_err() && end == End::Refused),
        "{name}: {seen:?}, not {end:?}"
    );
    let _removed = store.remove(bundle.id());
    let left = bundle.place().settled();
    assert!(left.is_empty(), "{name} left:\n{left}");
}

fn run(bundle: &Bundle, store: &Store, options: &Options) -> Result<End, String> {
    let words = |e: libcontainer::Error| e.to_string();
    let spec = Spec::load(bundle.dir()).map_err(words)?;
    let host = Host::probe_for(&spec).map_err(words)?;
    let plan = Plan::build(&spec, &host, options).map_err(words)?;
    let mut container = libcontainer::create(&plan, store).map_err(words)?;
    let started = container.start(&plan).map_err(words);
    if started.is_err() {
        let _gone = pidfd_send_signal(container.pidfd().unwrap(), libc::SIGKILL);
    }
    let status = wait_pidfd(container.pidfd().unwrap());
    if let Some(record) = &container.state.cgroup {
        Cgroup::open(record).remove().map_err(words)?;
    }
    started?;
    match status {
        Ok(WaitStatus::Exited(code)) => Ok(End::Exit(code)),
        other => Err(format!("{other:?}")),
    }
}
