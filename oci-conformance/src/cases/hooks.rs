//! The checks behind the cases about hooks.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    case::{Verdict, ensure},
    cases::kit::{HOOKS, PROGRAM, life_with_hooks, line_of},
    runtime::Runtime,
};

pub(super) fn no_path(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.push("/hooks/createRuntime", json!({"args": ["probe"]}));
    bundle.refused(false, "a hook without path")
}

pub(super) fn relative_path(runtime: &Runtime) -> Verdict {
    for kind in HOOKS {
        // Below the working directory of the runtime there is such a file, so it could work.
        let bundle = runtime.bundle()?.push(&format!("/hooks/{kind}"), json!({"path": "bin/true"}));
        bundle.refused(true, &format!("a {kind} hook with the path \"bin/true\""))?;
    }
    Ok(())
}

pub(super) fn args(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.hook("createRuntime", "one", &["plain", "two words", ""]);
    let log = bundle.rootfs().join("hooks.log");
    let created = bundle.create()?;
    let line = line_of(&created.bundle, "one")?;
    let wanted = json!(["probe", "hook", log, "one", "plain", "two words", ""]);
    ensure!(line["args"] == wanted, "its arguments are {}", line["args"]);
    Ok(())
}

pub(super) fn env(runtime: &Runtime) -> Verdict {
    let mut bundle = runtime.bundle()?.hook("createRuntime", "one", &[]);
    bundle.config["hooks"]["createRuntime"][0]["env"] = json!(["A=1", "B=x y"]);
    let mut command = runtime.command(&["create", "--bundle"]);
    command.arg(&bundle.dir).arg(&bundle.id).env("OC_OF_THE_CALLER", "1");
    bundle.write()?;
    let said = runtime.say(command, &bundle.files)?;
    ensure!(said.ok(), "create: {}", said.words());
    let line = line_of(&bundle, "one")?;
    ensure!(line["env"] == json!(["A=1", "B=x y"]), "its environment is {}", line["env"]);
    Ok(())
}

pub(super) fn timeout(runtime: &Runtime) -> Verdict {
    let mut bundle = runtime.bundle()?.hook("createRuntime", "one", &["hang"]);
    bundle.config["hooks"]["createRuntime"][0]["timeout"] = json!(1);
    let began = Instant::now();
    let said = bundle.call_create(&[])?;
    let took = began.elapsed();
    ensure!(!said.ok(), "create succeeded although the hook hangs");
    ensure!(took < Duration::from_secs(8), "it took {} s", took.as_secs());
    ensure!(took >= Duration::from_millis(900), "it was ended after {} ms", took.as_millis());
    Ok(())
}

pub(super) fn zero_timeout(runtime: &Runtime) -> Verdict {
    for seconds in [0, -1] {
        let mut bundle = runtime.bundle()?.hook("createRuntime", "one", &[]);
        bundle.config["hooks"]["createRuntime"][0]["timeout"] = json!(seconds);
        bundle.refused(false, &format!("a timeout of {seconds}"))?;
    }
    Ok(())
}

/// The hook's program is where only one of the two worlds has it.
pub(super) fn resolves(runtime: &Runtime, kind: &'static str) -> Verdict {
    // `/probe` is only in the container, the path of the others only outside: see `Bundle::hook`.
    ensure!(!std::path::Path::new("/probe").exists(), "this host has a /probe of its own");
    let ran = runtime.bundle()?.hook(kind, kind, &[]).run()?;
    ran.container.must("delete", &[])?;
    line_of(&ran.container.bundle, kind).map(drop)
}

pub(super) fn executed(runtime: &Runtime, kind: &'static str) -> Verdict {
    let bundle = life_with_hooks(runtime)?;
    let line = line_of(&bundle, kind)?;
    let ours = json!(fs::read_link("/proc/self/ns/mnt")?);
    // The startContainer hook runs inside for certain: it found its program there.
    let theirs = &line_of(&bundle, "startContainer")?["mnt"];
    ensure!(*theirs != ours, "the startContainer hook ran in our mount namespace");
    if matches!(kind, "createContainer" | "startContainer") {
        ensure!(line["mnt"] == *theirs, "it ran in {}, the container is {theirs}", line["mnt"]);
    } else {
        ensure!(line["mnt"] == ours, "it ran in {}, the runtime in {ours}", line["mnt"]);
        let pid = json!(fs::read_link("/proc/self/ns/pid")?);
        ensure!(line["pid"] == pid, "it ran in {}, the runtime in {pid}", line["pid"]);
    }
    Ok(())
}

pub(super) fn order(runtime: &Runtime) -> Verdict {
    let mut bundle = runtime.bundle()?;
    for kind in HOOKS {
        for number in 1..=3 {
            bundle = bundle.hook(kind, &format!("{kind}-{number}"), &[]);
        }
    }
    let ran = bundle.run()?;
    ran.container.must("delete", &[])?;
    let names = ran.container.bundle.hook_names();
    for kind in HOOKS {
        let got: Vec<_> =
            names.iter().filter(|n| n.rsplit_once('-').is_some_and(|n| n.0 == kind)).collect();
        let wanted: Vec<_> = (1..=3).map(|number| format!("{kind}-{number}")).collect();
        ensure!(got == wanted.iter().collect::<Vec<_>>(), "{kind} hooks ran as {got:?}");
    }
    Ok(())
}

pub(super) fn state(runtime: &Runtime, kind: &'static str) -> Verdict {
    let bundle = life_with_hooks(runtime)?;
    let state = line_of(&bundle, kind)?["state"].clone();
    ensure!(state["id"] == bundle.id.as_str(), "its state has id {}: {state}", state["id"]);
    ensure!(state["bundle"] == json!(bundle.dir), "its state has bundle {}", state["bundle"]);
    ensure!(state["ociVersion"].is_string(), "its state has no ociVersion: {state}");
    let allowed: &[&str] = match kind {
        // Before create has finished the spec's words are between the two.
        "prestart" | "createRuntime" | "createContainer" => &["creating", "created"],
        "startContainer" => &["created", "creating"],
        "poststart" => &["running"],
        _ => &["stopped"],
    };
    let status = state["status"].as_str().unwrap_or_default();
    ensure!(allowed.contains(&status), "its state has status {status:?}, not {allowed:?}");
    let pid = state["pid"].as_i64().unwrap_or(0);
    ensure!(kind == "poststop" || pid > 0, "its state has no pid: {state}");
    Ok(())
}

/// At the time of the hook the mounts of the configuration stand below the root file system's
/// path on the host: they are made, and the root is not yet changed.
pub(super) fn before_pivot(runtime: &Runtime, kind: &'static str) -> Verdict {
    let bundle = runtime.bundle()?.hook(kind, kind, &[]);
    let bundle = bundle.mount("tmpfs", "tmpfs", "/mnt/made", &[]);
    let rootfs = bundle.rootfs();
    let created = bundle.create()?;
    let line = line_of(&created.bundle, kind)?;
    let points = if kind == "createContainer" { &line["own"] } else { &line["points"] };
    let has = |path: &str| {
        let path = json!(rootfs.join(path));
        points.as_array().is_some_and(|list| list.contains(&path))
    };
    ensure!(has("mnt/made") && has("proc"), "the mounts are not made below {rootfs:?}: {points}");
    Ok(())
}

pub(super) fn kinds_in_order(runtime: &Runtime) -> Verdict {
    let names = life_with_hooks(runtime)?.hook_names();
    let first: Vec<_> = names.iter().take(3).map(String::as_str).collect();
    ensure!(first == HOOKS[..3], "the hooks of create ran as {first:?}");
    Ok(())
}

pub(super) fn before_program(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.hook("startContainer", "startContainer", &[]).ask([PROGRAM]);
    let mut container = bundle.create()?;
    ensure!(container.bundle.hook_names().is_empty(), "it was called by create");
    container.start()?;
    container.wait()?;
    let names = container.bundle.hook_names();
    ensure!(names == ["startContainer", "program"], "ran: {names:?}");
    Ok(())
}

pub(super) fn after_program(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.hook("poststart", "poststart", &[]).ask(["hold"]);
    let mut container = bundle.create()?;
    ensure!(container.bundle.hook_names().is_empty(), "it was called by create");
    container.start()?;
    let line = line_of(&container.bundle, "poststart")?;
    let command = line["cmdline"].as_str().unwrap_or_default();
    ensure!(command.starts_with("/probe\0"), "the process is {command:?} at that time");
    Ok(())
}

pub(super) fn after_delete(runtime: &Runtime) -> Verdict {
    let ran = runtime.bundle()?.hook("poststop", "poststop", &[]).run()?;
    ensure!(ran.container.bundle.hook_names().is_empty(), "it was called before delete");
    ran.container.must("delete", &[])?;
    let line = line_of(&ran.container.bundle, "poststop")?;
    let gone =
        line["state"]["pid"].as_i64().unwrap_or(0) == 0 || line["alive"] == Value::Bool(false);
    ensure!(gone, "the container's process lives at that time");
    Ok(())
}
