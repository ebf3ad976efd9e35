//! `config-linux.md`: Intel RDT. Without the hardware there is one thing to see: the refusal.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    case::{Case, Check, Level::Must, Not, Verdict, ensure, must, other, skip},
    cases::{config_root::AUTHOR, kit::hold},
    host::mounts,
    runtime::Runtime,
};

const RDT: &str = "#configLinuxIntelRdt";

pub(crate) const CASES: &[Case] = &[
    must(
        "config-linux/116",
        RDT,
        "If intelRdt is set, the runtime MUST write the container process ID to the tasks file in a proper sub-directory in a mounted resctrl pseudo-filesystem.",
        "its tasks have the process",
        tasks,
    ),
    must(
        "config-linux/117",
        RDT,
        "If no mounted resctrl pseudo-filesystem is available in the runtime mount namespace, the runtime MUST generate an error.",
        "intelRdt without resctrl is refused",
        unavailable,
    ),
    must(
        "config-linux/118",
        RDT,
        "If intelRdt is not set, the runtime MUST NOT manipulate any resctrl pseudo-filesystems.",
        "its directories are the same before and after",
        untouched,
    ),
    must(
        "config-linux/119",
        RDT,
        "As a special case, value / means that the container MUST be assigned to the default CLOS (the root of the resctrl filesystem).",
        "the tasks of the root have the process",
        default_class,
    ),
    other(
        "config-linux/120",
        RDT,
        "The value SHOULD start with L3: and SHOULD NOT contain newlines.",
        AUTHOR,
    ),
    refuses(
        "config-linux/121",
        "The value MUST start with MB: and MUST NOT contain newlines.",
        "memBwSchema",
    ),
    refuses(
        "config-linux/122",
        "Each element represents one line in the schemata file. The value MUST NOT contain newlines.",
        "schemata",
    ),
    other(
        "config-linux/123",
        RDT,
        "The following rules on parameters MUST be applied:",
        "nobody by itself: every rule has its own case",
    ),
    must(
        "config-linux/124",
        RDT,
        "If both l3CacheSchema and memBwSchema are set, runtimes MUST write the values to the schemata file in that sub-directory discussed in closID. The runtimes MUST write l3CacheSchema first and memBwSchema last.",
        "both lines are in the schemata",
        both_schemas,
    ),
    schema(
        "config-linux/125",
        "If either l3CacheSchema or memBwSchema is set, runtimes MUST write the value to the schemata file in the that sub-directory discussed in closID.",
        "l3CacheSchema",
    ),
    schema(
        "config-linux/126",
        "If schemata field is set, runtimes MUST write the value to the schemata file in the that sub-directory discussed in closID.",
        "schemata",
    ),
    must(
        "config-linux/127",
        RDT,
        "If none of l3CacheSchema, memBwSchema or schemata is set, runtimes MUST NOT write to schemata files in any resctrl pseudo-filesystems.",
        "the schemata of the class are as before",
        no_schema,
    ),
    must(
        "config-linux/128",
        RDT,
        "If closID is not set, runtimes MUST use the container ID from start and create the <container-id directory.",
        "there is a directory of the container's id",
        named_by_id,
    ),
    must(
        "config-linux/129",
        RDT,
        "if closID directory in a mounted resctrl pseudo-filesystem doesn't exist, the runtimes MUST create it.",
        "the directory is made",
        tasks,
    ),
    must(
        "config-linux/130",
        RDT,
        "if closID directory in a mounted resctrl pseudo-filesystem exists, runtimes MUST compare l3CacheSchema and/or memBwSchema value with schemata file, and generate an error if doesn't match.",
        "another schema than that of an existing class is refused",
        mismatch,
    ),
    must(
        "config-linux/131",
        RDT,
        "If closID is set, and none of l3CacheSchema, memBwSchema or schemata are set, runtime MUST check if corresponding pre-configured directory closID is present in mounted resctrl. If such pre-configured directory closID exists, runtime MUST assign container to this closID and generate an error if directory does not exist.",
        "a class that does not exist, without a schema, is refused",
        not_configured,
    ),
    must(
        "config-linux/132",
        RDT,
        "If closID is not set and the runtime has created the sub-directory, the runtime MUST remove the sub-directory when the container is deleted.",
        "after delete it is gone",
        removed,
    ),
    must(
        "config-linux/133",
        RDT,
        "If closID is set or the runtime has not created the sub-directory, the runtime MUST NOT remove the sub-directory when the container is deleted.",
        "after delete it is there",
        kept,
    ),
    must(
        "config-linux/134",
        RDT,
        "If enableMonitoring is set, the runtime MUST create a dedicated MON group for the container. The runtime MUST use the container ID from start as the name of the MON group",
        "mon_groups has a directory of the container's id",
        monitored,
    ),
    must(
        "config-linux/135",
        RDT,
        "The runtime MUST delete the MON group after the container is deleted. If creation of the MON group fails (e.g. the maximum number of MON groups is reached) the runtime MUST return an error.",
        "after delete it is gone",
        no_longer_monitored,
    ),
];

const fn refuses(id: &'static str, text: &'static str, field: &'static str) -> Case {
    let what = "a value with a line break is refused";
    Case { id, section: RDT, level: Must, text, what, check: Check::Of(newline, field) }
}

const fn schema(id: &'static str, text: &'static str, field: &'static str) -> Case {
    let what = "the line is in the schemata";
    Case { id, section: RDT, level: Must, text, what, check: Check::Of(one_schema, field) }
}

/// Where resctrl is mounted; skips if it is not.
fn top() -> Result<PathBuf, Not> {
    let table = mounts(&fs::read_to_string("/proc/self/mountinfo")?);
    match table.into_iter().find(|mount| mount.kind == "resctrl") {
        Some(mount) => Ok(mount.point.into()),
        None => skip!("a mounted resctrl file system (Intel RDT)"),
    }
}

/// A class of ours, removed on drop.
struct Class(PathBuf);

impl Class {
    fn new(runtime: &Runtime) -> Result<Self, Not> {
        Ok(Self(top()?.join(format!("oc-{}", runtime.number()))))
    }

    fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn schemata(&self) -> Result<String, Not> {
        Ok(fs::read_to_string(self.0.join("schemata"))?)
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_dir(&self.0);
    }
}

/// A line of the root's schemata: surely a valid one for this machine.
fn line(kind: &str) -> Result<String, Not> {
    let text = fs::read_to_string(top()?.join("schemata"))?;
    match text.lines().map(str::trim).find(|line| line.starts_with(kind)) {
        Some(line) => Ok(line.to_owned()),
        None => skip!("resctrl with {kind}"),
    }
}

fn run<T>(
    runtime: &Runtime,
    rdt: Value,
    look: impl FnOnce(&crate::container::Container<'_>) -> Result<T, Not>,
) -> Result<T, Not> {
    let container = hold(runtime.bundle()?.set("/linux/intelRdt", rdt), &[])?;
    let seen = look(&container)?;
    container.kill()?;
    container.must("delete", &[])?;
    Ok(seen)
}

fn has_task(dir: &std::path::Path, pid: i32) -> Verdict {
    let tasks = fs::read_to_string(dir.join("tasks"))?;
    let has = tasks.lines().any(|line| line == pid.to_string());
    ensure!(has, "the tasks of {} have no {pid}", dir.display());
    Ok(())
}

fn tasks(runtime: &Runtime) -> Verdict {
    let class = Class::new(runtime)?;
    let rdt = json!({"closID": class.name(), "l3CacheSchema": line("L3:")?});
    run(runtime, rdt, |container| has_task(&class.0, container.pid))
}

fn unavailable(runtime: &Runtime) -> Verdict {
    if top().is_ok() {
        skip!("a machine without a mounted resctrl");
    }
    let rdt = json!({"closID": "oc-class", "l3CacheSchema": "L3:0=f"});
    runtime.bundle()?.set("/linux/intelRdt", rdt).refused(false, "intelRdt without resctrl")
}

fn listing() -> Result<Vec<std::ffi::OsString>, Not> {
    let mut names = Vec::new();
    for entry in fs::read_dir(top()?)? {
        names.push(entry?.file_name());
    }
    names.sort_unstable();
    Ok(names)
}

fn untouched(runtime: &Runtime) -> Verdict {
    let before = (listing()?, fs::read_to_string(top()?.join("schemata"))?);
    let container = hold(runtime.bundle()?, &[])?;
    let after = (listing()?, fs::read_to_string(top()?.join("schemata"))?);
    ensure!(before == after, "resctrl was {before:?}, is {after:?}");
    container.kill()
}

fn default_class(runtime: &Runtime) -> Verdict {
    let root = top()?;
    run(runtime, json!({"closID": "/"}), |container| has_task(&root, container.pid))
}

fn newline(runtime: &Runtime, field: &'static str) -> Verdict {
    let value = match field {
        "schemata" => json!(["MB:0=50\nMB:1=50"]),
        _ => json!("MB:0=50\nMB:1=50"),
    };
    let rdt = json!({"closID": "oc-class", field: value});
    runtime.bundle()?.set("/linux/intelRdt", rdt).refused(false, "a schema of two lines")
}

fn both_schemas(runtime: &Runtime) -> Verdict {
    let class = Class::new(runtime)?;
    let (l3, mb) = (line("L3:")?, line("MB:")?);
    let rdt = json!({"closID": class.name(), "l3CacheSchema": l3, "memBwSchema": mb});
    let schemata = run(runtime, rdt, |_| class.schemata())?;
    ensure!(schemata.contains(&l3) && schemata.contains(&mb), "the schemata are {schemata:?}");
    Ok(())
}

fn one_schema(runtime: &Runtime, field: &'static str) -> Verdict {
    let class = Class::new(runtime)?;
    let l3 = line("L3:")?;
    let value = if field == "schemata" { json!([l3]) } else { json!(l3) };
    let schemata =
        run(runtime, json!({"closID": class.name(), field: value}), |_| class.schemata())?;
    ensure!(schemata.contains(&l3), "the schemata are {schemata:?}");
    Ok(())
}

fn no_schema(runtime: &Runtime) -> Verdict {
    let class = Class::new(runtime)?;
    fs::create_dir(&class.0)?;
    let before = class.schemata()?;
    let after = run(runtime, json!({"closID": class.name()}), |_| class.schemata())?;
    ensure!(before == after, "the schemata were {before:?}, are {after:?}");
    Ok(())
}

fn named_by_id(runtime: &Runtime) -> Verdict {
    let root = top()?;
    run(runtime, json!({"l3CacheSchema": line("L3:")?}), |container| {
        has_task(&root.join(&container.bundle.id), container.pid)
    })
}

fn mismatch(runtime: &Runtime) -> Verdict {
    let class = Class::new(runtime)?;
    fs::create_dir(&class.0)?;
    let rdt = json!({"closID": class.name(), "l3CacheSchema": "L3:0=1"});
    runtime
        .bundle()?
        .set("/linux/intelRdt", rdt)
        .refused(false, "another schema than the class has")
}

fn not_configured(runtime: &Runtime) -> Verdict {
    let class = Class::new(runtime)?;
    let rdt = json!({"closID": class.name()});
    runtime.bundle()?.set("/linux/intelRdt", rdt).refused(false, "a class that does not exist")
}

fn removed(runtime: &Runtime) -> Verdict {
    let root = top()?;
    let rdt = json!({"l3CacheSchema": line("L3:")?});
    let dir = run(runtime, rdt, |container| Ok(root.join(&container.bundle.id)))?;
    ensure!(!dir.exists(), "{} is left", dir.display());
    Ok(())
}

fn kept(runtime: &Runtime) -> Verdict {
    let class = Class::new(runtime)?;
    fs::create_dir(&class.0)?;
    run(runtime, json!({"closID": class.name()}), |_| Ok(()))?;
    ensure!(class.0.exists(), "{} is gone", class.0.display());
    Ok(())
}

/// Runs with monitoring; the path of the group, and whether it was there.
fn monitoring(runtime: &Runtime) -> Result<(PathBuf, bool), Not> {
    let class = Class::new(runtime)?;
    fs::create_dir(&class.0)?;
    let rdt = json!({"closID": class.name(), "enableMonitoring": true});
    run(runtime, rdt, |container| {
        let group = class.0.join("mon_groups").join(&container.bundle.id);
        let there = group.exists();
        Ok((group, there))
    })
}

fn monitored(runtime: &Runtime) -> Verdict {
    let (group, there) = monitoring(runtime)?;
    ensure!(there, "{} was not made", group.display());
    Ok(())
}

fn no_longer_monitored(runtime: &Runtime) -> Verdict {
    let (group, there) = monitoring(runtime)?;
    ensure!(there && !group.exists(), "{} is left", group.display());
    Ok(())
}
