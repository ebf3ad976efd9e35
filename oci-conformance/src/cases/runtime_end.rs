//! `runtime.md`: the operations kill and delete.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use serde_json::json;

use crate::{
    case::{Case, Verdict, ensure, must},
    cases::cgroups::{gone, some_path},
    cases::kit::{hold, running, stopped},
    cases::runtime_operations::{PROVIDED, without_id},
    runtime::Runtime,
    world::{Exit, alive},
};

const KILL: &str = "#runtimeKill";
const DELETE: &str = "#runtimeDelete";

const KILL_NEITHER: &str = "Attempting to send a signal to a container that is neither created nor running MUST have no effect on the container and MUST generate an error.";
const DELETE_NOT_STOPPED: &str = "Attempting to delete a container that is not stopped MUST have no effect on the container and MUST generate an error.";

pub(crate) const CASES: &[Case] = &[
    without_id("runtime/049", KILL, PROVIDED, "kill"),
    must(
        "runtime/050",
        KILL,
        KILL_NEITHER,
        "kill of a stopped container: error, still stopped",
        kill_stopped,
    ),
    must(
        "runtime/051",
        KILL,
        "This operation MUST send the specified signal to the container process.",
        "signals by name, with and without SIG, and by number arrive",
        kill_sends,
    ),
    must(
        "runtime/052",
        KILL,
        "This operation MUST send the specified signal to the container process.",
        "a created container can be killed",
        kill_created,
    ),
    without_id("runtime/053", DELETE, PROVIDED, "delete"),
    must(
        "runtime/054",
        DELETE,
        DELETE_NOT_STOPPED,
        "delete of a running container: error, still running",
        delete_running,
    ),
    must(
        "runtime/055",
        DELETE,
        DELETE_NOT_STOPPED,
        "delete of a created container: error, still created",
        delete_created,
    ),
    must(
        "runtime/056",
        DELETE,
        "Deleting a container MUST delete the resources that were created during the create step.",
        "the cgroups are gone and the id is free again",
        delete_frees,
    ),
    must(
        "runtime/057",
        DELETE,
        "Note that resources associated with the container, but not created by this container, MUST NOT be deleted.",
        "joined namespaces, bind sources, parent cgroups and the bundle stay",
        delete_keeps,
    ),
];

fn kill_stopped(runtime: &Runtime) -> Verdict {
    let container = stopped(runtime)?;
    let said = container.call("kill", &["TERM"])?;
    ensure!(!said.ok(), "kill of a stopped container succeeded");
    container.is("stopped")
}

fn kill_sends(runtime: &Runtime) -> Verdict {
    let container = running(runtime)?;
    for signal in ["USR1", "SIGUSR2", "1", "TERM"] {
        container.must("kill", &[signal])?;
        // One after the other: pending standard signals have no order.
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    container.wait()?;
    let said = container.said();
    for name in ["SIGUSR1", "SIGUSR2", "SIGHUP", "SIGTERM"] {
        ensure!(said.contains(name), "{name} did not arrive: {said}");
    }
    Ok(())
}

fn kill_created(runtime: &Runtime) -> Verdict {
    let container = runtime.bundle()?.create()?;
    container.must("kill", &["KILL"])?;
    let exit = container.wait()?;
    ensure!(exit == Exit::Signal(9), "SIGKILL ended it as {exit:?}");
    container.is("stopped")
}

fn delete_running(runtime: &Runtime) -> Verdict {
    let container = running(runtime)?;
    ensure!(!container.call("delete", &[])?.ok(), "delete of a running container succeeded");
    ensure!(alive(container.pid), "the refused delete ended the container");
    container.is("running")
}

fn delete_created(runtime: &Runtime) -> Verdict {
    let container = runtime.bundle()?.create()?;
    ensure!(!container.call("delete", &[])?.ok(), "delete of a created container succeeded");
    container.is("created")
}

fn delete_frees(runtime: &Runtime) -> Verdict {
    let path = some_path(runtime);
    let ran = runtime.bundle()?.set("/linux/cgroupsPath", json!(path)).run()?;
    ran.container.must("delete", &[])?;
    gone(runtime, &path)?;
    let said = ran.container.bundle.call_create(&[])?;
    ensure!(said.ok(), "its id cannot be used again: {}", said.words());
    Ok(())
}

fn delete_keeps(runtime: &Runtime) -> Verdict {
    let owner = hold(runtime.bundle()?, &[])?;
    let path = format!("/proc/{}/ns/net", owner.pid);
    let bundle = runtime.bundle()?.outside("kept/file", "kept")?.namespace("network", &path);
    let source = bundle.dir.join("kept").display().to_string();
    let ran = bundle.mount("bind", &source, "/mnt", &["rbind"]).ask(["read /mnt/file"]).run()?;
    ran.container.must("delete", &[])?;
    ran.facts.same("read /mnt/file", &json!("kept"))?;
    ensure!(alive(owner.pid), "the owner of the joined namespace was ended");
    let dir = &ran.container.bundle.dir;
    ensure!(fs::read_to_string(dir.join("kept/file"))? == "kept", "the bind source is gone");
    ensure!(fs::metadata(dir.join("rootfs/probe"))?.nlink() > 1, "the root file system is gone");
    ensure!(dir.join("config.json").exists(), "the bundle is gone");
    let listed = Command::new("nsenter").arg(format!("--net={path}")).arg("true").status();
    ensure!(listed.map_or(true, |status| status.success()), "the joined namespace is gone");
    Ok(())
}
