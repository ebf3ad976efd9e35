//! The same for further processes of a container: one for each way of joining it.

use harness::{Bundle, need};
use libcontainer::cgroup::Cgroup;
use libcontainer::exec::{self, Target};
use libcontainer::plan::exec::{ExecPlan, Request, User};
use libcontainer::sys::clone::{WaitStatus, pidfd_send_signal, wait_pidfd};
use libcontainer::{Host, Options, Plan, Spec, Store};
use serde_json::json;

use super::End;

/// Name, end, container, process.
type Join = (&'static str, End, fn(Bundle) -> Bundle, fn(&mut Request));

/// One further process for each way into a container.
pub(super) const JOINS: &[Join] = &[
    ("exec", End::Exit(0), |b| b, |_| ()),
    ("exec_exit_code", End::Exit(7), |b| b, |r| r.changes.args = probe(&["exit", "7"])),
    (
        "exec_all_namespaces",
        End::Exit(0),
        |b| {
            let b = b.namespace("cgroup", "");
            if need::time_namespace().is_ok() { b.namespace("time", "") } else { b }
        },
        |_| (),
    ),
    ("exec_shared_namespaces", End::Exit(0), shared, |_| ()),
    ("exec_user_namespace", End::Exit(0), Bundle::user_namespace, |_| ()),
    (
        "exec_everything",
        End::Exit(0),
        |b| {
            let policy = json!({ "mode": "MPOL_BIND", "nodes": "0" });
            let b = if need::numa().is_ok() { b.set("/linux/memoryPolicy", policy) } else { b };
            b.set("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 3 }))
                .set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 5 }))
                .set("/linux/personality", json!({ "domain": "LINUX" }))
                .set("/process/execCPUAffinity", json!({ "initial": "0", "final": "0" }))
                .set("/process/oomScoreAdj", 5)
        },
        |r| {
            r.changes.user = Some(User { uid: 5, gid: Some(6) });
            r.changes.groups = vec![7, 8];
            r.changes.env = vec!["A=1".into()];
            r.changes.cwd = Some("/tmp".into());
            r.changes.capabilities = vec!["CAP_NET_RAW".into()];
        },
    ),
    ("exec_filter", End::Exit(0), filtered, |_| ()),
    ("exec_filter_early", End::Exit(0), filtered, |r| r.changes.no_new_privileges = Some(false)),
    ("exec_terminal", End::Exit(0), |b| b, |r| r.changes.terminal = true),
    ("exec_missing_program", End::Refused, |b| b, |r| r.changes.args = vec!["nosuch".into()]),
    ("exec_missing_path", End::Refused, |b| b, |r| r.changes.args = vec!["/no/such".into()]),
    ("exec_missing_cwd", End::Refused, |b| b, |r| r.changes.cwd = Some("/no/such".into())),
    ("exec_unmapped_user", End::Refused, Bundle::user_namespace, |r| {
        r.changes.user = Some(User { uid: 70_000, gid: None });
    }),
];

fn probe(words: &[&str]) -> Vec<String> {
    [&["/bin/probe"], words].concat().into_iter().map(str::to_owned).collect()
}

fn shared(bundle: Bundle) -> Bundle {
    ["network", "ipc", "pid", "uts"]
        .into_iter()
        .fold(bundle.unset("/hostname"), Bundle::without_namespace)
        .edit(|c| c["mounts"].as_array_mut().unwrap().retain(|m| m["type"] != "sysfs"))
}

fn filtered(bundle: Bundle) -> Bundle {
    let rule = json!({ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" });
    bundle.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] }))
}

/// Makes a container that waits, joins it, and removes it.
pub(super) fn join(name: &str, end: End, bundle: Bundle, change: fn(&mut Request)) {
    let bundle = bundle.sleeper();
    bundle.write();
    let store = Store::new(bundle.place().root());
    let options = Options {
        id: bundle.id().to_owned(),
        bundle: bundle.dir().to_owned(),
        state_root: bundle.place().root(),
        run: true,
        ..Options::default()
    };
    let spec = Spec::load(bundle.dir()).unwrap();
    let plan = Plan::build(&spec, &Host::probe_for(&spec).unwrap(), &options).unwrap();
    let mut container = libcontainer::create(&plan, &store).unwrap();
    container.start(&plan).unwrap();
    let mut request = Request::default();
    request.changes.args = probe(&["pid"]);
    change(&mut request);
    let seen = further(&store, bundle.id(), &request);
    let _gone = pidfd_send_signal(container.pidfd().unwrap(), libc::SIGKILL);
    let _status = wait_pidfd(container.pidfd().unwrap());
    if let Some(record) = &container.state.cgroup {
        Cgroup::open(record).remove().unwrap();
    }
    let _removed = store.remove(bundle.id());
    assert!(
        seen == Ok(end) || (seen.is_err() && end == End::Refused),
        "{name}: {seen:?}, not {end:?}"
    );
    let left = bundle.place().settled();
    assert!(left.is_empty(), "{name} left:\n{left}");
}

fn further(store: &Store, id: &str, request: &Request) -> Result<End, String> {
    let words = |e: libcontainer::Error| e.to_string();
    let target = Target::find(store, id, false).map_err(words)?;
    let host = Host::probe_rights(true).map_err(words)?;
    let plan = ExecPlan::build(&target.recorded, &host, request).map_err(words)?;
    let mut joined = exec::join(&plan, &target).map_err(words)?;
    joined.start(&plan).map_err(words)?;
    let status = wait_pidfd(joined.pidfd().unwrap());
    joined.release();
    match status {
        Ok(WaitStatus::Exited(code)) => Ok(End::Exit(code)),
        other => Err(format!("{other:?}")),
    }
}
