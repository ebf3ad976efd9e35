//! Requests become processes.

use oci_spec::runtime::Process;

use super::*;
use crate::Spec;
use crate::plan::hooks::HookPlan;
use crate::state::Intent;

fn recorded(process: serde_json::Value) -> Recorded {
    let mut process: Process = serde_json::from_value(process).unwrap();
    // As `Inherit::of` leaves it.
    process.set_args(None);
    let intent = Intent::new("c", std::path::Path::new("/b")).unwrap();
    let state = intent.fulfil(intent.owner.clone(), std::path::Path::new("/b/rootfs"));
    let inherit = Inherit {
        process: Some(process),
        namespaces: vec![Kind::Pid, Kind::Mount],
        set_groups: true,
        ..Inherit::default()
    };
    Recorded { state, inherit, filter: Vec::new() }
}

/// The container's own process: everything that can be taken over is there.
fn own() -> serde_json::Value {
    serde_json::json!({"user": {"uid": 5, "gid": 6, "additionalGids": [7], "umask": 63},
        "cwd": "/own", "args": ["init"], "env": ["PATH=/bin", "A=own"], "terminal": true,
        "noNewPrivileges": true, "oomScoreAdj": 300, "apparmorProfile": "own",
        "selinuxLabel": "own_t", "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
        "scheduler": {"policy": "SCHED_BATCH", "nice": 3},
        "execCPUAffinity": {"initial": "0", "final": "0-1"},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
        "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"],
            "effective": ["CAP_KILL"]}})
}

fn args(args: &[&str]) -> Changes {
    Changes { args: args.iter().map(ToString::to_string).collect(), ..Changes::default() }
}

fn build(recorded: &Recorded, request: &Request) -> Result<ExecPlan> {
    ExecPlan::build(recorded, &Host::ideal(), request)
}

fn whole(text: &str) -> Request {
    let spec = Spec::parse_process(std::path::Path::new("p"), text.as_bytes()).unwrap();
    Request { whole: Some(spec), ..Request::default() }
}

#[test]
fn flags_change_the_containers_own_process() {
    let changes = Changes {
        env: vec!["A=flag".into()],
        cwd: Some("/flag".into()),
        user: Some(User { uid: 9, gid: None }),
        groups: vec![8],
        ..args(&["sh", "-c", "x"])
    };
    let plan = build(&recorded(own()), &Request { changes, ..Request::default() }).unwrap();
    let process = plan.process.process.unwrap();
    assert_eq!(process.args, [c"sh".to_owned(), c"-c".to_owned(), c"x".to_owned()]);
    assert_eq!(process.env, [c"PATH=/bin".to_owned(), c"A=flag".to_owned()]);
    assert_eq!((process.uid, process.gid, process.groups), (9, 6, vec![7, 8]));
    assert_eq!((process.umask, process.oom_score_adj), (0o077, Some(300)));
    assert_eq!(process.cwd.as_bytes(), b"flag");
    // A terminal is init's alone, unless asked for.
    assert!(!process.terminal);
    let security = plan.process.security.unwrap();
    assert!(security.no_new_privileges && security.apparmor.is_some());
    assert_eq!(security.caps.effective, 1 << 5);
}

#[test]
fn what_a_whole_process_leaves_open_is_the_containers() {
    let request = whole(r#"{"user": {}, "cwd": "/", "args": ["id"], "env": ["X=1"]}"#);
    let plan = build(&recorded(own()), &request).unwrap();
    let process = plan.process.process.unwrap();
    assert_eq!((process.uid, process.gid, process.groups), (0, 0, vec![]));
    assert_eq!(process.env, [c"X=1".to_owned()]);
    assert_eq!((process.umask, process.oom_score_adj), (0o077, Some(300)));
    assert_eq!(process.rlimits.len(), 1);
    let security = plan.process.security.unwrap();
    assert!(security.no_new_privileges);
    assert_eq!(security.apparmor, Some(c"exec own".to_owned()));
    assert_eq!(security.selinux, Some(c"own_t".to_owned()));
    assert_eq!(security.caps.permitted, 1 << 5);
    assert!(plan.process.sched.scheduler.is_some() && plan.process.sched.io_priority.is_some());
    assert_eq!((plan.first_cpus, plan.cpus), (Some(vec![1]), Cpus::Only(vec![3])));
}

#[test]
fn what_a_whole_process_says_wins() {
    let text = r#"{"user": {"umask": 18}, "cwd": "/", "args": ["id"], "noNewPrivileges": false,
        "oomScoreAdj": 0, "capabilities": {}, "execCPUAffinity": {},
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_FSIZE", "soft": 1, "hard": 2}]}"#;
    let plan = build(&recorded(own()), &whole(text)).unwrap();
    let process = plan.process.process.unwrap();
    assert_eq!((process.umask, process.oom_score_adj), (0o022, Some(0)));
    assert_eq!(process.rlimits.len(), 2);
    let security = plan.process.security.unwrap();
    assert!(!security.no_new_privileges);
    assert_eq!(security.caps.permitted, 0);
    assert_eq!((plan.first_cpus, plan.cpus), (None, Cpus::All));
}

#[test]
fn flags_change_a_whole_process_too() {
    let mut request = whole(r#"{"user": {}, "cwd": "/", "args": ["id"], "env": ["X=1"]}"#);
    request.changes = Changes { env: vec!["X=2".into()], ..Changes::default() };
    let plan = build(&recorded(own()), &request).unwrap();
    assert_eq!(plan.process.process.unwrap().env, [c"X=2".to_owned()]);
}

#[test]
fn nothing_to_run_is_refused() {
    for request in [Request::default(), whole(r#"{"user": {}, "cwd": "/"}"#)] {
        let error = build(&recorded(own()), &request).unwrap_err();
        assert_eq!(error.to_string(), "exec args cannot be empty");
    }
}

#[test]
fn rules_for_processes_hold_here_too() {
    let request = whole(r#"{"user": {}, "cwd": "relative", "args": ["id"]}"#);
    let error = build(&recorded(own()), &request).unwrap_err();
    assert!(error.to_string().contains("process.cwd"), "{error}");
    let changes = Changes { terminal: true, ..args(&["sh"]) };
    let request = Request { changes, detach: true, ..Request::default() };
    let error = build(&recorded(own()), &request).unwrap_err();
    assert!(error.to_string().contains("without setting console socket"), "{error}");
}

#[test]
fn users_are_numbers_below_the_last() {
    for (text, uid, gid) in
        [("0", 0, None), ("1000:2", 1000, Some(2)), ("4294967294:0", 4_294_967_294, Some(0))]
    {
        assert_eq!(text.parse::<User>().unwrap(), User { uid, gid }, "{text}");
    }
    // CVE-2026-30892, and a number that wraps to root.
    for text in [
        "",
        ":",
        "1:",
        ":1",
        "root",
        "-1",
        "+1",
        " 1",
        "1 ",
        "0x1",
        "1.0",
        "4294967295",
        "4294967296",
        "1:4294967296",
        "1:root",
        "1:2:3",
        "18446744073709551616",
    ] {
        assert!(text.parse::<User>().is_err(), "{text:?}");
    }
}

#[test]
fn added_capabilities_are_never_inheritable() {
    let added = |process: serde_json::Value| {
        let changes = Changes { capabilities: vec!["CAP_NET_RAW".into()], ..args(&["id"]) };
        let plan = build(&recorded(process), &Request { changes, ..Request::default() });
        plan.unwrap().process.security.unwrap().caps
    };
    let (kill, raw) = (1 << 5, 1 << 13);
    let caps = added(own());
    assert_eq!(
        (caps.bounding, caps.permitted, caps.effective),
        (kill | raw, kill | raw, kill | raw)
    );
    assert_eq!((caps.inheritable, caps.ambient), (0, 0));
    let mut none = own();
    none["capabilities"] = serde_json::Value::Null;
    assert_eq!((added(none.clone()).permitted, added(none).inheritable), (raw, 0));
    let mut inheritable = own();
    inheritable["capabilities"]["inheritable"] = serde_json::json!(["CAP_NET_RAW"]);
    let caps = added(inheritable);
    assert_eq!((caps.inheritable, caps.ambient), (raw, raw));
}

#[test]
fn an_unknown_capability_is_refused() {
    let changes = Changes { capabilities: vec!["CAP_FLY".into()], ..args(&["id"]) };
    let error = build(&recorded(own()), &Request { changes, ..Request::default() }).unwrap_err();
    assert!(error.to_string().contains("CAP_FLY"), "{error}");
}

#[test]
fn sub_cgroups_are_read_by_runcs_grammar() {
    let parse =
        |flags: &[&str]| place::parse(&flags.iter().map(ToString::to_string).collect::<Vec<_>>());
    let sub = |controller: Option<&str>, path: &str| Sub {
        controller: controller.map(str::to_owned),
        path: crate::plan::paths::InRoot::new(path).unwrap(),
    };
    assert_eq!(parse(&["a/../b"]).unwrap(), [sub(None, "b")]);
    assert_eq!(parse(&["/"]).unwrap(), [sub(None, "/")]);
    assert_eq!(
        parse(&["cpu,cpuacct:x", "memory:y"]).unwrap(),
        [sub(Some("cpu"), "x"), sub(Some("cpuacct"), "x"), sub(Some("memory"), "y")]
    );
    for (bad, words) in [
        (&[".."][..], "bad sub cgroup path: .."),
        (&["a/../../a-sibling"], "bad sub cgroup path"),
        (&["cpu:../x"], "bad sub cgroup path"),
        (&["a", "b"], "is missing"),
        (&[":a"], "has no name"),
        (&["cpu,:a"], "has no name"),
        (&["cpu:a", "cpu:b"], "twice"),
    ] {
        let error = parse(bad).unwrap_err().to_string();
        assert!(error.contains(words), "{bad:?}: {error}");
    }
}

#[test]
fn what_a_plan_leaves_comes_back_as_it_was() {
    let asked: Process = serde_json::from_value(own()).unwrap();
    let namespaces = NamespacePlan { new: vec![Kind::User, Kind::Mount], ..Default::default() };
    let plan =
        Plan { asked: Some(asked), namespaces, hooks: HookPlan::default(), ..Plan::default() };
    let inherit = Inherit::of(&plan);
    assert_eq!(inherit.namespaces, [Kind::User, Kind::Mount]);
    assert!(inherit.process.as_ref().unwrap().args().is_none());
    let text = serde_json::to_string(&inherit).unwrap();
    assert_eq!(serde_json::from_str::<Inherit>(&text).unwrap(), inherit);
}

#[test]
fn the_filter_is_the_containers_its_moment_is_not() {
    let mut recorded = recorded(own());
    recorded.inherit.seccomp = Some(SeccompRecord { flags: 4, listener: None });
    recorded.filter = vec![Insn { code: 6, jt: 0, jf: 0, k: 0 }];
    let mut request = Request { changes: args(&["id"]), ..Request::default() };
    let seccomp = build(&recorded, &request).unwrap().process.seccomp.unwrap();
    assert_eq!((seccomp.filter.len(), seccomp.flags, seccomp.when), (1, 4, When::BeforeExec));
    request = whole(r#"{"user": {}, "cwd": "/", "args": ["id"], "noNewPrivileges": false}"#);
    let seccomp = build(&recorded, &request).unwrap().process.seccomp.unwrap();
    assert_eq!(seccomp.when, When::BeforeCapabilities);
}
