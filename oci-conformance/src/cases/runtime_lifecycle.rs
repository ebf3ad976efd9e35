//! `runtime.md`: lifecycle, errors, warnings.

use std::{fs, thread, time::Duration};

use serde_json::json;

use crate::{
    case::{Case, Check, Level, Verdict, ensure, fail, must},
    cases::cgroups::{gone, some_path},
    cases::kit::{PROGRAM, ran_in_order},
    container::Ran,
    runtime::Runtime,
    world::{Exit, alive},
};

const LIFE: &str = "#runtimeLifecycle";

pub(crate) const CASES: &[Case] = &[
    must(
        "runtime/011",
        LIFE,
        "The container's runtime environment MUST be created according to the configuration in config.json.",
        "after create the mounts, host name and namespaces are there",
        environment,
    ),
    must(
        "runtime/012",
        LIFE,
        "If the runtime is unable to create the environment specified in the config.json, it MUST generate an error.",
        "a mount whose source does not exist is refused",
        unable,
    ),
    must(
        "runtime/013",
        LIFE,
        "While the resources requested in the config.json MUST be created, the user-specified program (from process) MUST NOT be run at this time.",
        "after create the program has not run",
        not_run_by_create,
    ),
    must(
        "runtime/014",
        LIFE,
        "Any updates to config.json after this step MUST NOT affect the container.",
        "a configuration changed between create and start changes nothing",
        config_is_read_once,
    ),
    invoked("runtime/015", "The prestart hooks MUST be invoked by the runtime.", "prestart"),
    failed(
        "runtime/016",
        "If any prestart hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12.",
        "prestart",
    ),
    invoked(
        "runtime/017",
        "The createRuntime hooks MUST be invoked by the runtime.",
        "createRuntime",
    ),
    failed(
        "runtime/018",
        "If any createRuntime hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12.",
        "createRuntime",
    ),
    destroyed(
        "runtime/019",
        "If any createRuntime hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12.",
        "createRuntime",
    ),
    invoked(
        "runtime/020",
        "The createContainer hooks MUST be invoked by the runtime.",
        "createContainer",
    ),
    failed(
        "runtime/021",
        "If any createContainer hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12.",
        "createContainer",
    ),
    invoked(
        "runtime/022",
        "The startContainer hooks MUST be invoked by the runtime.",
        "startContainer",
    ),
    failed(
        "runtime/023",
        "If any startContainer hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12.",
        "startContainer",
    ),
    destroyed(
        "runtime/024",
        "If any startContainer hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12.",
        "startContainer",
    ),
    must(
        "runtime/025",
        LIFE,
        "The runtime MUST run the user-specified program, as specified by process.",
        "the program runs after start, once",
        program_runs,
    ),
    invoked("runtime/026", "The poststart hooks MUST be invoked by the runtime.", "poststart"),
    failed(
        "runtime/027",
        "If any poststart hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12.",
        "poststart",
    ),
    destroyed(
        "runtime/028",
        "If any poststart hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12.",
        "poststart",
    ),
    must(
        "runtime/029",
        LIFE,
        "The container MUST be destroyed by undoing the steps performed during create phase (step 2).",
        "after delete no process, cgroup, mount or state is left",
        undone,
    ),
    invoked("runtime/030", "The poststop hooks MUST be invoked by the runtime.", "poststop"),
    must(
        "runtime/031",
        LIFE,
        "If any poststop hook fails, the runtime MUST log a warning, but the remaining hooks and lifecycle continue as if the hook had succeeded.",
        "a failing poststop hook stops neither the next one nor delete",
        poststop_fails,
    ),
    must(
        "runtime/032",
        "#runtimeErrors",
        "Unless otherwise stated, generating an error MUST leave the state of the environment as if the operation were never attempted",
        "a refused create leaves no process, cgroup, mount or state",
        error_leaves_nothing,
    ),
    must(
        "runtime/033",
        "#runtimeWarnings",
        "Unless otherwise stated, logging a warning does not change the flow of the operation; it MUST continue as if the warning had not been logged.",
        "an unknown capability, which is warned of, does not stop the container",
        warning_continues,
    ),
];

const fn invoked(id: &'static str, text: &'static str, kind: &'static str) -> Case {
    let check = Check::Of(hook_is_invoked, kind);
    Case { id, section: LIFE, level: Level::Must, text, what: "the hook is called, once", check }
}

const fn failed(id: &'static str, text: &'static str, kind: &'static str) -> Case {
    let what = "a failing hook is an error and ends the container's process";
    let check = Check::Of(hook_fails, kind);
    Case { id, section: LIFE, level: Level::Must, text, what, check }
}

const fn destroyed(id: &'static str, text: &'static str, kind: &'static str) -> Case {
    let what = "after a failing hook the container is destroyed and poststop hooks ran";
    let check = Check::Of(hook_failure_destroys, kind);
    Case { id, section: LIFE, level: Level::Must, text, what, check }
}

fn environment(runtime: &Runtime) -> Verdict {
    let container = runtime.bundle()?.mount("tmpfs", "tmpfs", "/mnt", &["nosuid"]).create()?;
    let mounts = container.mounts()?;
    let tmpfs = mounts.iter().find(|mount| mount.point.ends_with("/mnt"));
    let tmpfs = tmpfs.filter(|mount| mount.kind == "tmpfs" && mount.has("nosuid"));
    ensure!(tmpfs.is_some(), "the tmpfs of the configuration is not mounted after create");
    for kind in ["pid", "net", "ipc", "uts", "mnt"] {
        let ours = fs::read_link(format!("/proc/self/ns/{kind}"))?;
        let theirs = container.namespace(kind)?;
        ensure!(ours.to_string_lossy() != theirs, "after create it is in our {kind} namespace");
    }
    Ok(())
}

fn unable(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.mount("bind", "/does/not/exist", "/mnt", &["bind"]);
    bundle.refused(false, "a bind mount of /does/not/exist")
}

fn not_run_by_create(runtime: &Runtime) -> Verdict {
    let mut container = runtime.bundle()?.ask([PROGRAM]).create()?;
    thread::sleep(Duration::from_millis(100));
    ensure!(container.bundle.hook_log().is_empty(), "the program ran before start");
    ensure!(alive(container.pid), "no process waits for start");
    container.start()?;
    container.wait()?;
    ran_in_order(&container.bundle, &["program"])
}

fn config_is_read_once(runtime: &Runtime) -> Verdict {
    let mut container = runtime.bundle()?.ask(["exit 7"]).create()?;
    container.bundle.config["process"]["args"] = json!(["/probe", "exit 9"]);
    container.bundle.config["annotations"] = json!({"com.example.late": "yes"});
    container.bundle.write()?;
    container.start()?;
    let exit = container.wait()?;
    ensure!(exit == Exit::Code(7), "the changed arguments were used: {exit:?}");
    let state = container.state()?;
    let late = &state["annotations"]["com.example.late"];
    ensure!(late.is_null(), "the changed annotations are in the state");
    Ok(())
}

fn hook_is_invoked(runtime: &Runtime, kind: &'static str) -> Verdict {
    let Ran { container, .. } = runtime.bundle()?.hook(kind, kind, &[]).run()?;
    container.must("delete", &[])?;
    ran_in_order(&container.bundle, &[kind])
}

fn hook_fails(runtime: &Runtime, kind: &'static str) -> Verdict {
    let bundle = runtime.bundle()?.ask([PROGRAM, "hold"]).hook(kind, kind, &["fail"]);
    let said = bundle.call_create(&[])?;
    let at_start = matches!(kind, "startContainer" | "poststart");
    if at_start {
        ensure!(said.ok(), "create: {}", said.words());
        let pid = runtime.state(&bundle.id)?["pid"].as_i64().unwrap_or(0);
        let said = runtime.call(&["start", &bundle.id])?;
        ensure!(!said.ok(), "start succeeded although the {kind} hook failed");
        let names = bundle.hook_names();
        let ran = names.iter().any(|name| name == "program");
        ensure!(kind == "poststart" || !ran, "the program ran after a failed hook");
        return dead(pid);
    }
    ensure!(!said.ok(), "create succeeded although the {kind} hook failed");
    let log = bundle.hook_log();
    ensure!(!log.is_empty(), "the {kind} hook did not run: {}", said.words());
    // A hook in the container's pid namespace is told the pid as seen there.
    let ours = fs::read_link("/proc/self/ns/pid")?;
    match log[0]["state"]["pid"].as_i64().filter(|_| log[0]["pid"] == json!(ours)) {
        Some(pid) => dead(pid),
        None => no_children(),
    }
}

/// Nothing that was reparented to us may run a moment later.
fn no_children() -> Verdict {
    let list = format!("/proc/self/task/{}/children", std::process::id());
    let mut left = String::new();
    for _ in 0..100 {
        crate::world::reap();
        left = fs::read_to_string(&list)?;
        if left.trim().is_empty() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    fail!("processes are left: {left}")
}

/// The process must end within a moment.
fn dead(pid: i64) -> Verdict {
    let pid = i32::try_from(pid).unwrap_or(0);
    for _ in 0..100 {
        crate::world::reap();
        if pid <= 0 || !alive(pid) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    fail!("the container's process {pid} still runs")
}

fn hook_failure_destroys(runtime: &Runtime, kind: &'static str) -> Verdict {
    let path = some_path(runtime);
    let bundle = runtime
        .bundle()?
        .set("/linux/cgroupsPath", json!(path))
        .ask(["hold"])
        .hook(kind, kind, &["fail"])
        .hook("poststop", "poststop", &[]);
    if bundle.call_create(&[])?.ok() {
        let said = runtime.call(&["start", &bundle.id])?;
        ensure!(!said.ok(), "neither create nor start failed");
    }
    ensure!(!runtime.knows(&bundle.id)?, "the container still exists after the failed hook");
    gone(runtime, &path)?;
    ran_in_order(&bundle, &[kind, "poststop"])
}

fn program_runs(runtime: &Runtime) -> Verdict {
    let ran = runtime.bundle()?.ask([PROGRAM, "exit 3"]).run()?;
    ran_in_order(&ran.container.bundle, &["program"])?;
    ensure!(ran.exit == Exit::Code(3), "the program's exit was {:?}, not 3", ran.exit);
    Ok(())
}

/// What must be the same before and after: our mount table and the runtime's state directory.
fn surroundings(runtime: &Runtime) -> std::io::Result<(String, Vec<String>)> {
    let mut names = Vec::new();
    for entry in fs::read_dir(&runtime.root)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok((fs::read_to_string("/proc/self/mountinfo")?, names))
}

fn undone(runtime: &Runtime) -> Verdict {
    let path = some_path(runtime);
    let before = surroundings(runtime)?;
    let bundle = runtime.bundle()?.set("/linux/cgroupsPath", json!(path));
    let ran = bundle.mount("tmpfs", "tmpfs", "/mnt", &[]).run()?;
    ran.container.must("delete", &[])?;
    ensure!(!alive(ran.container.pid), "its process still runs");
    gone(runtime, &path)?;
    ensure!(!runtime.knows(&ran.container.bundle.id)?, "its state is still known");
    let after = surroundings(runtime)?;
    ensure!(before.0 == after.0, "mounts are left:\n{}", after.0);
    ensure!(before.1 == after.1, "state is left: {:?}", after.1);
    Ok(())
}

fn poststop_fails(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.hook("poststop", "first", &["fail"]);
    let ran = bundle.hook("poststop", "second", &[]).run()?;
    ran.container.must("delete", &[])?;
    ran_in_order(&ran.container.bundle, &["first", "second"])?;
    ensure!(!runtime.knows(&ran.container.bundle.id)?, "the container still exists");
    Ok(())
}

fn error_leaves_nothing(runtime: &Runtime) -> Verdict {
    let path = some_path(runtime);
    let before = surroundings(runtime)?;
    let bundle = runtime.bundle()?.set("/linux/cgroupsPath", json!(path));
    let bundle = bundle.mount("no-such-type", "none", "/mnt", &[]);
    let said = bundle.call_create(&[])?;
    ensure!(!said.ok(), "a mount of an unknown type was accepted");
    gone(runtime, &path)?;
    let after = surroundings(runtime)?;
    ensure!(before.0 == after.0, "mounts are left:\n{}", after.0);
    ensure!(before.1 == after.1, "state is left: {:?}", after.1);
    no_children()
}

fn warning_continues(runtime: &Runtime) -> Verdict {
    let list = json!(["CAP_KILL", "CAP_NO_SUCH_THING"]);
    let ran = runtime.bundle()?.set("/process/capabilities/bounding", list).ask(["cwd"]).run()?;
    ran.facts.same("cwd", &json!("/"))
}
