//! `runtime.md`: the operations state, create and start.

use std::fs;

use serde_json::json;

use crate::{
    case::{Case, Check, Level, Verdict, ensure, must},
    cases::cgroups::some_path,
    cases::kit::{PROGRAM, running, stopped},
    runtime::{Files, Runtime},
    world::alive,
};

const QUERY: &str = "#runtimeQueryState";
const CREATE: &str = "#runtimeCreate";
const START: &str = "#runtimeStart";

/// The sentence that several operations share.
pub(super) const PROVIDED: &str =
    "This operation MUST generate an error if it is not provided the container ID.";
const START_NOT_CREATED: &str = "Attempting to start a container that is not created MUST have no effect on the container and MUST generate an error.";
pub(crate) const CASES: &[Case] = &[
    must(
        "runtime/034",
        "#runtimeOperations",
        "Unless otherwise stated, runtimes MUST support the following operations.",
        "the program has the verbs create, state, start, kill and delete",
        supported,
    ),
    without_id(
        "runtime/035",
        QUERY,
        "This operation MUST generate an error if it is not provided the ID of a container.",
        "state",
    ),
    must(
        "runtime/036",
        QUERY,
        "Attempting to query a container that does not exist MUST generate an error.",
        "state of an unknown id is an error",
        unknown_state,
    ),
    must(
        "runtime/037",
        QUERY,
        "This operation MUST return the state of a container as specified in the State section.",
        "state prints one JSON object and nothing else",
        state_is_json,
    ),
    must(
        "runtime/038",
        CREATE,
        "This operation MUST generate an error if it is not provided a path to the bundle and the container ID to associate with the container.",
        "create without an id, and create where no bundle is, are errors",
        create_without,
    ),
    must(
        "runtime/039",
        CREATE,
        "If the ID provided is not unique across all containers within the scope of the runtime, or is not valid in any other way, the implementation MUST generate an error and a new container MUST NOT be created.",
        "ids that are taken, empty or paths are refused",
        invalid_ids,
    ),
    must(
        "runtime/040",
        CREATE,
        "This operation MUST create a new container.",
        "after create there is a container of status created",
        creates,
    ),
    must(
        "runtime/041",
        CREATE,
        "All of the properties configured in config.json except for process MUST be applied.",
        "root, host name, mounts, namespaces and cgroup stand before start",
        applied,
    ),
    must(
        "runtime/042",
        CREATE,
        "process.args MUST NOT be applied until triggered by the start operation.",
        "an unusable program is no error of create",
        args_wait,
    ),
    must(
        "runtime/043",
        CREATE,
        "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a new container MUST NOT be created.",
        "a root, mount or namespace that cannot be had is refused",
        cannot_apply,
    ),
    without_id("runtime/044", START, PROVIDED, "start"),
    must(
        "runtime/045",
        START,
        START_NOT_CREATED,
        "start of a running container: error, still running",
        start_running,
    ),
    must(
        "runtime/046",
        START,
        START_NOT_CREATED,
        "start of a stopped container: error, still stopped",
        start_stopped,
    ),
    must(
        "runtime/047",
        START,
        "This operation MUST run the user-specified program as specified by process.",
        "arguments, environment and directory are those of process",
        as_specified,
    ),
    must(
        "runtime/048",
        START,
        "This operation MUST generate an error if process was not set.",
        "start of a container without process is an error",
        no_process,
    ),
];

pub(super) const fn without_id(
    id: &'static str,
    section: &'static str,
    text: &'static str,
    verb: &'static str,
) -> Case {
    let check = Check::Of(needs_id, verb);
    Case {
        id,
        section,
        level: Level::Must,
        text,
        what: "the verb without an id is an error",
        check,
    }
}

fn supported(runtime: &Runtime) -> Verdict {
    let mut container = runtime.bundle()?.ask(["hold"]).create()?;
    container.state()?;
    container.start_and_hold()?;
    container.must("kill", &["TERM"])?;
    container.wait()?;
    container.must("delete", &[])
}

fn needs_id(runtime: &Runtime, verb: &'static str) -> Verdict {
    ensure!(!runtime.call(&[verb])?.ok(), "`{verb}` without an id succeeded");
    ensure!(!runtime.call(&[verb, ""])?.ok(), "`{verb}` with an empty id succeeded");
    Ok(())
}

fn unknown_state(runtime: &Runtime) -> Verdict {
    let said = runtime.call(&["state", "oc-never-made"])?;
    ensure!(!said.ok(), "it succeeded");
    ensure!(said.out.trim().is_empty(), "it failed, but printed {:?}", said.out);
    Ok(())
}

fn state_is_json(runtime: &Runtime) -> Verdict {
    let container = runtime.bundle()?.create()?;
    let said = container.call("state", &[])?;
    let value: serde_json::Value = serde_json::from_str(&said.out)?;
    ensure!(value.is_object(), "it is {value}");
    Ok(())
}

fn create_without(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?;
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    ensure!(!runtime.call(&["create", "--bundle", &dir])?.ok(), "create without an id succeeded");
    // The command line allows to leave the bundle out: it is then the working directory.
    let files = Files::new(&runtime.work, runtime.number())?;
    let mut command = runtime.command(&["create", "oc-no-bundle"]);
    command.current_dir(bundle.rootfs());
    ensure!(!runtime.say(command, &files)?.ok(), "create without a bundle succeeded");
    ensure!(!runtime.knows("oc-no-bundle")?, "create failed, but there is a container");
    Ok(())
}

fn invalid_ids(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?;
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    for id in ["", ".", "..", "../oc-escape", "a/b", "/oc-absolute"] {
        let said = runtime.call(&["create", "--bundle", &dir, id])?;
        if said.ok() {
            runtime.call(&["delete", "--force", id])?;
        }
        ensure!(!said.ok(), "the id {id:?} was accepted");
    }
    let outside = runtime.root.parent().is_some_and(|dir| dir.join("oc-escape").exists());
    ensure!(!outside, "the id \"../oc-escape\" made a directory outside the state directory");
    let first = runtime.bundle()?.create()?;
    let said = runtime.call(&["create", "--bundle", &dir, &first.bundle.id])?;
    ensure!(!said.ok(), "an id that is taken was accepted");
    Ok(())
}

fn creates(runtime: &Runtime) -> Verdict {
    runtime.bundle()?.create()?.is("created")
}

fn applied(runtime: &Runtime) -> Verdict {
    let path = some_path(runtime);
    let container = runtime
        .bundle()?
        .set("/root/readonly", json!(true))
        .set("/linux/cgroupsPath", json!(path))
        .mount("tmpfs", "tmpfs", "/mnt", &["noexec"])
        .create()?;
    let mounts = container.mounts()?;
    let find = |end: &str| mounts.iter().rfind(|mount| mount.point.ends_with(end));
    ensure!(find("/mnt").is_some_and(|m| m.has("noexec")), "the tmpfs is not mounted");
    ensure!(find("/").is_some_and(|m| m.options.contains("ro")), "the root is writable");
    let cgroup = container.proc("cgroup")?;
    ensure!(cgroup.contains(&path), "it is not in its cgroup {path}: {cgroup}");
    let uts = container.namespace("uts")?;
    ensure!(
        fs::read_link("/proc/self/ns/uts")?.to_string_lossy() != uts,
        "it is in our uts namespace"
    );
    Ok(())
}

fn args_wait(runtime: &Runtime) -> Verdict {
    let mut container = runtime.bundle()?.ask([PROGRAM]).create()?;
    ensure!(container.bundle.hook_log().is_empty(), "the program ran at create");
    container.is("created")?;
    container.start()?;
    container.wait()?;
    ensure!(container.bundle.hook_names() == ["program"], "the program did not run at start");
    Ok(())
}

fn cannot_apply(runtime: &Runtime) -> Verdict {
    let made = || runtime.bundle();
    made()?.set("/root/path", json!("no-such-dir")).refused(false, "a root that is not there")?;
    made()?.mount("no-such-type", "none", "/mnt", &[]).refused(false, "an unknown file system")?;
    made()?
        .namespace("network", "/does/not/exist")
        .refused(false, "a namespace path to nothing")?;
    made()?.set("/linux/sysctl", json!({"net.no.such": "1"})).refused(false, "an unknown sysctl")
}

fn start_running(runtime: &Runtime) -> Verdict {
    let container = running(runtime)?;
    ensure!(!container.call("start", &[])?.ok(), "a second start succeeded");
    ensure!(alive(container.pid), "the second start ended the container");
    container.is("running")
}

fn start_stopped(runtime: &Runtime) -> Verdict {
    let container = stopped(runtime)?;
    ensure!(!container.call("start", &[])?.ok(), "start of a stopped container succeeded");
    container.is("stopped")
}

fn as_specified(runtime: &Runtime) -> Verdict {
    let ran = runtime
        .bundle()?
        .ask(["args", "env", "cwd"])
        .set("/process/env", json!(["A=1", "B=two=2", "EMPTY="]))
        .set("/process/cwd", json!("/tmp"))
        .run()?;
    ran.facts.same("args", &json!(["/probe", "args", "env", "cwd"]))?;
    ran.facts.same("cwd", &json!("/tmp"))?;
    let env = ran.facts.ok("env")?;
    for wanted in ["A=1", "B=two=2", "EMPTY="] {
        let there = env.as_array().is_some_and(|list| list.iter().any(|line| line == wanted));
        ensure!(there, "{wanted:?} is not in the environment {env}");
    }
    Ok(())
}

fn no_process(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.without("/process");
    let created = bundle.call_create(&[])?.ok();
    let said = runtime.call(&["start", &bundle.id])?;
    ensure!(!said.ok(), "start succeeded (create {created})");
    Ok(())
}
