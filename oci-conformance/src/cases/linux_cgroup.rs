//! `config-linux.md`: control groups, their path and owner.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use serde_json::json;

use crate::{
    bundle::Bundle,
    case::{Case, Not, Verdict, ensure, must, other, should, skip},
    cases::{
        cgroups::{Guest, directories, some_path},
        config_root::AUTHOR,
        kit::hold,
    },
    container::Container,
    runtime::Runtime,
};

const GROUPS: &str = "#configLinuxControlGroups";
const PATH: &str = "#configLinuxCgroupsPath";
const OWNER: &str = "#cgroup-ownership";

pub(crate) const CASES: &[Case] = &[
    must(
        "config-linux/065",
        GROUPS,
        "A runtime MAY, during a particular container operation, such as create, start, or exec, check if the container cgroup is fit for purpose, and MUST generate an error if such a check fails.",
        "a cgroup that is frozen is refused, or the container runs: no operation hangs",
        frozen,
    ),
    must(
        "config-linux/066",
        GROUPS,
        "For example, a frozen cgroup or (for create operation) a non-empty cgroup.",
        "in a cgroup with another's process: refused, or neither harms the other",
        not_empty,
    ),
    other(
        "config-linux/067",
        PATH,
        "The value of cgroupsPath MUST be either an absolute path or a relative path.",
        AUTHOR,
    ),
    must(
        "config-linux/068",
        PATH,
        "In the case of an absolute path (starting with /), the runtime MUST take the path to be relative to the cgroups mount point.",
        "that directory is made below every hierarchy, and the process is in it",
        absolute,
    ),
    must(
        "config-linux/069",
        PATH,
        "If the value is specified, the runtime MUST consistently attach to the same place in the cgroups hierarchy given the same value of cgroupsPath.",
        "two lives with the same relative path are in the same cgroups",
        consistent,
    ),
    must(
        "config-linux/070",
        PATH,
        "Runtimes MAY consider certain cgroupsPath values to be invalid, and MUST generate an error if this is the case.",
        "a path with .. is refused, or stays below the hierarchy's top",
        outside,
    ),
    must(
        "config-linux/071",
        PATH,
        "The cgroups will be created if they don't exist.",
        "several directories on the way are made",
        created,
    ),
    should(
        "config-linux/072",
        OWNER,
        "Runtimes SHOULD NOT change the ownership of container cgroups when cgroups v1 is in use.",
        "v1 cgroups of a container with mapped ids belong to root",
        owner_on_v1,
    ),
    should(
        "config-linux/073",
        OWNER,
        "A runtime SHOULD NOT change the ownership of a container cgroup unless it will also create a new cgroup namespace for the container.",
        "without a cgroup namespace it belongs to root",
        owner_without_namespace,
    ),
    should(
        "config-linux/074",
        OWNER,
        "Runtimes SHOULD change the cgroup ownership if and only if the cgroup filesystem is to be mounted read/write",
        "with a cgroup mount that is writable it belongs to the container's user",
        owner_with_mount,
    ),
    should(
        "config-linux/075",
        OWNER,
        "If the configuration does not specify such a mount, the runtime SHOULD NOT change the cgroup ownership.",
        "with a read-only mount, or none, it belongs to root",
        owner_without_mount,
    ),
    should(
        "config-linux/076",
        OWNER,
        "A runtime that changes the cgroup ownership SHOULD only change the ownership of the container's cgroup directory and files within that directory that are listed in /sys/kernel/cgroup/delegate.",
        "no file beside those of the list has another owner",
        owner_of_files,
    ),
    should(
        "config-linux/077",
        OWNER,
        "Runtimes MUST NOT fail in this scenario, and SHOULD change the ownership of the listed files that do exist in the cgroup.",
        "all listed files that exist have the new owner",
        owner_of_listed,
    ),
    must(
        "config-linux/078",
        OWNER,
        "If the /sys/kernel/cgroup/delegate file does not exist, the runtime MUST fall back to using the following list of files:",
        "the three files have the new owner",
        owner_fallback,
    ),
    should(
        "config-linux/079",
        OWNER,
        "The runtime SHOULD NOT change the ownership of any other files.",
        "memory.max, where it is, belongs to root",
        owner_of_files,
    ),
];

fn bundle<'r>(runtime: &'r Runtime, path: &str) -> Result<Bundle<'r>, Not> {
    Ok(runtime.bundle()?.set("/linux/cgroupsPath", json!(path)))
}

fn frozen(runtime: &Runtime) -> Verdict {
    let path = some_path(runtime);
    let guest = Guest::new(runtime, &path, "freezer")?;
    let bundle = bundle(runtime, &path)?.ask(["exit 4"]);
    let said = bundle.call_create(&[])?;
    if !said.ok() {
        ensure!(!runtime.knows(&bundle.id)?, "refused, but the container exists");
        return Ok(());
    }
    let mut container = Container::of(bundle)?;
    let started = container.call("start", &[])?;
    if !started.ok() {
        return Ok(());
    }
    guest.freeze("THAWED", "0")?;
    container.start().err();
    container.wait().map(drop)
}

fn not_empty(runtime: &Runtime) -> Verdict {
    let path = some_path(runtime);
    let mut guest = Guest::new(runtime, &path, "pids")?;
    let bundle = bundle(runtime, &path)?.ask(["exit 4"]);
    if bundle.call_create(&[])?.ok() {
        let mut container = Container::of(bundle)?;
        container.start()?;
        container.wait()?;
        // The cgroup cannot be removed: to say so is as right as to leave it.
        container.call("delete", &[])?;
    }
    ensure!(guest.child.try_wait()?.is_none(), "the other's process was ended");
    Ok(())
}

/// The cgroups of a process, without the named and the unused hierarchies.
fn cgroups(container: &Container<'_>) -> Result<Vec<String>, Not> {
    let text = container.proc("cgroup")?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn absolute(runtime: &Runtime) -> Verdict {
    let path = some_path(runtime);
    let container = hold(bundle(runtime, &path)?, &[])?;
    let made = directories(runtime, &path);
    ensure!(!made.is_empty(), "there is no directory {path} below any hierarchy");
    for dir in made.iter().filter(|dir| !runtime.host.v2().is_some_and(|v2| dir.starts_with(v2))) {
        let members = fs::read_to_string(dir.join("cgroup.procs"))?;
        let inside = members.lines().any(|line| line == container.pid.to_string());
        ensure!(inside, "the process is not in {}", dir.display());
    }
    let list = cgroups(&container)?;
    ensure!(list.iter().any(|line| line.ends_with(&path)), "it is in {list:?}");
    Ok(())
}

fn consistent(runtime: &Runtime) -> Verdict {
    let path = format!("oci-conformance-relative-{}", std::process::id());
    let mut seen = Vec::new();
    for _ in 0..2 {
        let container = hold(bundle(runtime, &path)?, &[])?;
        seen.push(cgroups(&container)?);
        container.kill()?;
        container.must("delete", &[])?;
    }
    ensure!(seen[0] == seen[1], "first {:?}, then {:?}", seen[0], seen[1]);
    let there = seen[0].iter().any(|line| line.contains(&path));
    ensure!(there, "the relative path is in none of {:?}", seen[0]);
    Ok(())
}

fn outside(runtime: &Runtime) -> Verdict {
    let path = format!("/../../..{}", some_path(runtime));
    let bundle = bundle(runtime, &path)?;
    if !bundle.call_create(&[])?.ok() {
        return Ok(());
    }
    let container = Container::of(bundle)?;
    let list = cgroups(&container)?;
    ensure!(!list.iter().any(|line| line.contains("..")), "it is in {list:?}");
    for top in runtime.host.hierarchies() {
        let escaped = top.join(path.trim_start_matches('/'));
        ensure!(!escaped.exists() || escaped.starts_with("/sys"), "{escaped:?} was made");
    }
    Ok(())
}

fn created(runtime: &Runtime) -> Verdict {
    let top = some_path(runtime);
    let path = format!("{top}/deep/er");
    let container = hold(bundle(runtime, &path)?, &[])?;
    let made = directories(runtime, &path);
    ensure!(!made.is_empty(), "{path} was not made");
    container.kill()?;
    container.must("delete", &[])?;
    for dir in directories(runtime, &top) {
        // Whose the directories on the way are is not said; ours must not stay.
        let _ = fs::remove_dir(dir.join("deep"));
        let _ = fs::remove_dir(dir);
    }
    Ok(())
}

/// The cgroup of a container with mapped ids: the directory and its owner.
fn owned(
    runtime: &Runtime,
    change: impl Fn(Bundle<'_>) -> Bundle<'_>,
    look: impl Fn(&Path) -> Verdict,
) -> Verdict {
    let path = some_path(runtime);
    let bundle = bundle(runtime, &path)?.user_namespace(200_000, 1000)?;
    let bundle = change(bundle.set("/process/user", json!({"uid": 7, "gid": 7})));
    let container = hold(bundle, &[])?;
    let dirs = directories(runtime, &path);
    ensure!(!dirs.is_empty(), "there is no cgroup {path}");
    dirs.iter().try_for_each(|dir| look(dir))?;
    container.kill()
}

fn needs_v2(runtime: &Runtime) -> Verdict {
    if !runtime.host.is("cgroup_v2") {
        skip!("cgroup v2 alone");
    }
    Ok(())
}

fn roots(path: &Path) -> Verdict {
    let uid = fs::metadata(path)?.uid();
    ensure!(uid == 0, "{} belongs to {uid}", path.display());
    Ok(())
}

fn mounted<'r>(bundle: Bundle<'r>, options: &[&str]) -> Bundle<'r> {
    bundle.namespace("cgroup", "").mount("cgroup", "cgroup", "/sys/fs/cgroup", options)
}

fn owner_on_v1(runtime: &Runtime) -> Verdict {
    if !runtime.host.is("cgroup_v1") {
        skip!("cgroup v1");
    }
    owned(runtime, |bundle| bundle.namespace("cgroup", ""), roots)
}

fn owner_without_namespace(runtime: &Runtime) -> Verdict {
    needs_v2(runtime)?;
    owned(runtime, |bundle| bundle.mount("cgroup", "cgroup", "/sys/fs/cgroup", &[]), roots)
}

/// Host id of the container's user in `owned`.
const USER: u32 = 200_007;

/// Looks at the cgroup of a container that may write to it.
fn delegated(runtime: &Runtime, look: impl Fn(&Path) -> Verdict) -> Verdict {
    needs_v2(runtime)?;
    owned(runtime, |bundle| mounted(bundle, &["rw"]), look)
}

fn owner_with_mount(runtime: &Runtime) -> Verdict {
    delegated(runtime, |dir| {
        let uid = fs::metadata(dir)?.uid();
        ensure!(uid == USER, "{} belongs to {uid}, not {USER}", dir.display());
        Ok(())
    })
}

fn owner_without_mount(runtime: &Runtime) -> Verdict {
    needs_v2(runtime)?;
    owned(runtime, |bundle| mounted(bundle, &["ro"]), roots)?;
    owned(runtime, |bundle| bundle.namespace("cgroup", ""), roots)
}

fn listed() -> Vec<String> {
    let text = fs::read_to_string("/sys/kernel/cgroup/delegate").unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn owner_of_files(runtime: &Runtime) -> Verdict {
    delegated(runtime, |dir| {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && !listed().contains(&name) {
                roots(&entry.path())?;
            }
        }
        Ok(())
    })
}

fn all_owned(dir: &Path, files: &[String]) -> Verdict {
    for file in files.iter().map(|name| dir.join(name)).filter(|file| file.exists()) {
        let uid = fs::metadata(&file)?.uid();
        ensure!(uid == USER, "{} belongs to {uid}, not {USER}", file.display());
    }
    Ok(())
}

fn owner_of_listed(runtime: &Runtime) -> Verdict {
    delegated(runtime, |dir| all_owned(dir, &listed()))
}

fn owner_fallback(runtime: &Runtime) -> Verdict {
    if Path::new("/sys/kernel/cgroup/delegate").exists() {
        skip!("a kernel without /sys/kernel/cgroup/delegate");
    }
    let files = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"].map(String::from);
    delegated(runtime, |dir| all_owned(dir, &files))
}
