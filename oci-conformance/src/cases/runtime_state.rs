//! `runtime.md`: scope of a container, state.

use serde_json::Value;

use crate::{
    case::{Case, Verdict, ensure, must},
    cases::kit::{at_every_point, hold, semver},
    runtime::Runtime,
    world::alive,
};

const SCOPE: &str = "#runtimeScopeContainer";
const STATE: &str = "#runtimeState";

pub(crate) const CASES: &[Case] = &[
    must(
        "runtime/001",
        SCOPE,
        "The entity using a runtime to create a container MUST be able to use the operations defined in this specification against that same container.",
        "create, state, start, kill and delete work on one container",
        all_operations,
    ),
    must(
        "runtime/002",
        STATE,
        "ociVersion (string, REQUIRED) is version of the Open Container Initiative Runtime Specification with which the state complies.",
        "state has ociVersion, a semantic version, at every point",
        oci_version,
    ),
    must(
        "runtime/003",
        STATE,
        "id (string, REQUIRED) is the container's ID.",
        "state has the id that create was given, at every point",
        id,
    ),
    must(
        "runtime/004",
        STATE,
        "This MUST be unique across all containers on this host.",
        "a second container of the same id is refused, the first stays",
        unique_id,
    ),
    must(
        "runtime/005",
        STATE,
        "status (string, REQUIRED) is the runtime state of the container.",
        "state has a status at every point",
        status,
    ),
    must(
        "runtime/006",
        STATE,
        "Additional values MAY be defined by the runtime, however, they MUST be used to represent new runtime states not defined above.",
        "created, running and stopped are called so",
        defined_status,
    ),
    must(
        "runtime/007",
        STATE,
        "pid (int, REQUIRED when status is created or running on Linux, OPTIONAL on other platforms) is the ID of the container process.",
        "the pid of a created and of a running container is its living process",
        pid,
    ),
    must(
        "runtime/008",
        STATE,
        "bundle (string, REQUIRED) is the absolute path to the container's bundle directory.",
        "state has the absolute path of the bundle at every point",
        bundle,
    ),
    must(
        "runtime/009",
        STATE,
        "When serialized in JSON, the format MUST adhere to the JSON Schema schema/state-schema.json.",
        "required properties and types of the schema hold at every point",
        schema,
    ),
    must(
        "runtime/010",
        STATE,
        "annotations (map, OPTIONAL) contains the list of annotations associated with the container.",
        "state repeats the annotations of the configuration",
        annotations,
    ),
];

fn all_operations(runtime: &Runtime) -> Verdict {
    let mut container = runtime.bundle()?.ask(["hold"]).create()?;
    container.state()?;
    container.start_and_hold()?;
    container.kill()?;
    container.must("delete", &[])
}

fn oci_version(runtime: &Runtime) -> Verdict {
    at_every_point(runtime, |state, point| {
        let version = state["ociVersion"].as_str().unwrap_or_default();
        ensure!(semver(version), "{point}: ociVersion is {version:?}");
        Ok(())
    })
}

fn id(runtime: &Runtime) -> Verdict {
    let mut container = runtime.bundle()?.ask(["hold"]).create()?;
    let same = |state: &Value, id: &str| {
        ensure!(state["id"] == id, "id is {}, not {id}", state["id"]);
        Ok(())
    };
    same(&container.state()?, &container.bundle.id)?;
    container.start_and_hold()?;
    same(&container.state()?, &container.bundle.id)?;
    container.kill()?;
    same(&container.state()?, &container.bundle.id)
}

fn unique_id(runtime: &Runtime) -> Verdict {
    let first = runtime.bundle()?.ask(["hold"]).create()?;
    let second = runtime.bundle()?.ask(["hold"]);
    second.write()?;
    let dir = second.dir.display().to_string();
    let said = runtime.call(&["create", "--bundle", &dir, &first.bundle.id])?;
    ensure!(!said.ok(), "a second container with the id of the first was created");
    let state = first.state()?;
    ensure!(state["pid"] == first.pid, "the refused create changed the first: {state}");
    ensure!(alive(first.pid), "the refused create ended the first");
    Ok(())
}

fn status(runtime: &Runtime) -> Verdict {
    at_every_point(runtime, |state, point| {
        let status = state["status"].as_str().unwrap_or_default();
        ensure!(!status.is_empty(), "{point}: status is {}", state["status"]);
        Ok(())
    })
}

fn defined_status(runtime: &Runtime) -> Verdict {
    at_every_point(runtime, |state, point| {
        ensure!(state["status"] == point, "a {point} container is called {}", state["status"]);
        Ok(())
    })
}

fn pid(runtime: &Runtime) -> Verdict {
    let created = runtime.bundle()?.create()?;
    ensure!(alive(created.pid), "created: process {} does not live", created.pid);
    drop(created);
    let running = hold(runtime.bundle()?, &["link /proc/self/ns/pid"])?;
    let state = running.state()?;
    ensure!(state["pid"] == running.pid, "pid was {}, is {} now", running.pid, state["pid"]);
    let inside = running.facts().text("link /proc/self/ns/pid")?.to_owned();
    let outside = running.namespace("pid")?;
    ensure!(inside == outside, "pid {} lives in {outside}, the program in {inside}", running.pid);
    let command = running.proc("cmdline")?;
    ensure!(command.starts_with("/probe\0"), "pid {} is {command:?}", running.pid);
    Ok(())
}

fn bundle(runtime: &Runtime) -> Verdict {
    let mut container = runtime.bundle()?.ask(["hold"]).create()?;
    let wanted = container.bundle.dir.to_string_lossy().into_owned();
    let same = |state: &Value, point: &str| {
        ensure!(state["bundle"] == wanted, "{point}: bundle is {}, not {wanted}", state["bundle"]);
        Ok(())
    };
    same(&container.state()?, "created")?;
    container.start_and_hold()?;
    same(&container.state()?, "running")?;
    container.kill()?;
    same(&container.state()?, "stopped")
}

fn schema(runtime: &Runtime) -> Verdict {
    at_every_point(runtime, |state, point| {
        for name in ["ociVersion", "id", "status", "bundle"] {
            ensure!(state[name].is_string(), "{point}: {name} is {}", state[name]);
        }
        if let Some(pid) = state.get("pid") {
            ensure!(pid.as_i64().is_some_and(|pid| pid >= 0), "{point}: pid is {pid}");
        }
        if let Some(map) = state.get("annotations").filter(|map| !map.is_null()) {
            let strings = map.as_object().is_some_and(|map| map.values().all(Value::is_string));
            ensure!(strings, "{point}: annotations is {map}");
        }
        Ok(())
    })
}

fn annotations(runtime: &Runtime) -> Verdict {
    let wanted = serde_json::json!({"com.example.key": "value", "com.example.empty": ""});
    let container = runtime.bundle()?.set("/annotations", wanted.clone()).create()?;
    let state = container.state()?;
    ensure!(state["annotations"] == wanted, "annotations is {}", state["annotations"]);
    Ok(())
}
