//! `runtime-linux.md`: file descriptors, symbolic links in `/dev`.

use serde_json::json;

use crate::{
    case::{Case, Check, Level::Must, Verdict, must},
    runtime::Runtime,
};

pub(crate) const CASES: &[Case] = &[
    must(
        "runtime-linux/001",
        "#runtimeLinuxFileDescriptors",
        "By default, only the stdin, stdout and stderr file descriptors are kept open for the application by the runtime.",
        "the program has the descriptors 0, 1 and 2",
        descriptors,
    ),
    link("runtime-linux/002", "/dev/fd"),
    link("runtime-linux/003", "/dev/stdin"),
    link("runtime-linux/004", "/dev/stdout"),
    link("runtime-linux/005", "/dev/stderr"),
];

const fn link(id: &'static str, path: &'static str) -> Case {
    let text = "runtimes MUST create the following symlinks if the source file exists after processing mounts:";
    let section = "#runtimeLinuxDevSymbolicLinks";
    Case { id, section, level: Must, text, what: path, check: Check::Of(symlink, path) }
}

fn descriptors(runtime: &Runtime) -> Verdict {
    let ran = runtime.bundle()?.ask(["fds"]).run()?;
    ran.facts.same("fds", &json!([0, 1, 2]))
}

fn symlink(runtime: &Runtime, path: &'static str) -> Verdict {
    let target = match path {
        "/dev/fd" => "/proc/self/fd",
        "/dev/stdin" => "/proc/self/fd/0",
        "/dev/stdout" => "/proc/self/fd/1",
        _ => "/proc/self/fd/2",
    };
    let question = format!("link {path}");
    runtime.bundle()?.ask([&question]).run()?.facts.same(&question, &json!(target))
}
