//! `features.md`: what the runtime says of itself, held against what it does.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    case::{Case, Not, Verdict, ensure, must, other, should, skip},
    cases::kit::{HOOKS, semver},
    runtime::{Files, Runtime},
};

const TOP: &str = "#features";
const VERSION: &str = "#featuresSpecificationVersion";
const HOOK: &str = "#featuresHooks";
const MOUNT: &str = "#featuresMountOptions";

pub(crate) const CASES: &[Case] = &[
    should(
        "features/001",
        TOP,
        "Hence, the content of the Features structure SHOULD be determined on the compilation time of the runtime, not on the execution time.",
        "with another environment and fewer capabilities it is the same",
        the_same,
    ),
    other(
        "features/002",
        TOP,
        "The null value MUST NOT be confused with an empty value such as 0, false, \"\", [], and {}.",
        "readers of the structure",
    ),
    must(
        "features/003",
        VERSION,
        "ociVersionMin (string, REQUIRED) The minimum recognized version of the Open Container Initiative Runtime Specification.",
        "it is there, a semantic version",
        minimum,
    ),
    must(
        "features/004",
        VERSION,
        "The runtime MUST accept this value as the ociVersion property of config.json.",
        "bundles of the lowest and of the highest version run",
        accepted,
    ),
    must(
        "features/005",
        VERSION,
        "ociVersionMax (string, REQUIRED) The maximum recognized version of the Open Container Initiative Runtime Specification.",
        "it is there, a semantic version",
        maximum,
    ),
    must(
        "features/006",
        VERSION,
        "The value MUST NOT be less than the value of the ociVersionMin property.",
        "it is not",
        in_order,
    ),
    must(
        "features/007",
        VERSION,
        "The Features structure MUST NOT contain properties that are not defined in this version of the Open Container Initiative Runtime Specification.",
        "all names are those of the specification",
        only_defined,
    ),
    must(
        "features/008",
        HOOK,
        "The runtime MUST support the elements in this array as the hooks property of config.json.",
        "a hook of every kind in the list runs",
        hooks,
    ),
    must(
        "features/009",
        MOUNT,
        "The runtime MUST recognize the elements in this array as the options of mounts objects in config.json.",
        "a mount with each option of the list is made",
        options,
    ),
    should(
        "features/010",
        MOUNT,
        "Linux: this array SHOULD NOT contain filesystem-specific mount options that are passed to the mount(2) syscall as const void *data.",
        "the list has no size, mode and the like",
        no_data_options,
    ),
    must(
        "features/011",
        "#featuresAnnotations",
        "Annotations MUST be a key-value map that follows the same convention as the Key and Values of the annotations property of config.json.",
        "names are not empty, values are strings",
        annotations,
    ),
];

/// The structure; skips if the runtime has none to give.
///
/// # Errors
/// `Skip`.
pub(super) fn structure(runtime: &Runtime) -> Result<&Value, Not> {
    match &runtime.features {
        Some(features) => Ok(features),
        None => skip!("a runtime with a `features` command: the structure is optional"),
    }
}

/// The strings of an array of the structure; skips if the runtime leaves it out.
///
/// # Errors
/// `Skip`.
pub(super) fn words(runtime: &Runtime, pointer: &str) -> Result<Vec<String>, Not> {
    structure(runtime)?;
    match runtime.feature_words(pointer) {
        Some(words) => Ok(words),
        None => skip!("a runtime that says {pointer} in its features: it is optional"),
    }
}

fn the_same(runtime: &Runtime) -> Verdict {
    let features = structure(runtime)?;
    let files = Files::new(&runtime.work, runtime.number())?;
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(&runtime.program).arg("features");
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
    let Ok(said) = runtime.say(command, &files) else { skip!("setpriv (util-linux)") };
    ensure!(said.ok(), "`features` without capabilities: {}", said.words());
    let other: Value = serde_json::from_str(&said.out)?;
    ensure!(other == *features, "the two answers differ");
    Ok(())
}

fn version(runtime: &Runtime, name: &str) -> Result<String, Not> {
    let version = structure(runtime)?[name].as_str().unwrap_or_default();
    ensure!(semver(version), "{name} is {version:?}");
    Ok(version.to_owned())
}

fn minimum(runtime: &Runtime) -> Verdict {
    version(runtime, "ociVersionMin").map(drop)
}

fn maximum(runtime: &Runtime) -> Verdict {
    version(runtime, "ociVersionMax").map(drop)
}

fn accepted(runtime: &Runtime) -> Verdict {
    for name in ["ociVersionMin", "ociVersionMax"] {
        let version = version(runtime, name)?;
        let bundle = runtime.bundle()?.set("/ociVersion", json!(version)).ask(["cwd"]);
        bundle.run()?.facts.same("cwd", &json!("/"))?;
    }
    Ok(())
}

fn in_order(runtime: &Runtime) -> Verdict {
    let numbers = |version: &str| -> Vec<u64> {
        let core = version.split(['-', '+']).next().unwrap_or_default();
        core.split('.').filter_map(|part| part.parse().ok()).collect()
    };
    let (low, high) = (version(runtime, "ociVersionMin")?, version(runtime, "ociVersionMax")?);
    ensure!(numbers(&low) <= numbers(&high), "{low} is more than {high}");
    Ok(())
}

/// Every property of version 1.3, as `parent/name`; a parent that is not named is free.
const DEFINED: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "ociVersionMin",
            "ociVersionMax",
            "hooks",
            "mountOptions",
            "annotations",
            "potentiallyUnsafeConfigAnnotations",
            "linux",
        ],
    ),
    (
        "/linux",
        &[
            "namespaces",
            "capabilities",
            "cgroup",
            "seccomp",
            "apparmor",
            "selinux",
            "memoryPolicy",
            "intelRdt",
            "mountExtensions",
            "netDevices",
        ],
    ),
    ("/linux/cgroup", &["v1", "v2", "systemd", "systemdUser", "rdma"]),
    (
        "/linux/seccomp",
        &["enabled", "actions", "operators", "archs", "knownFlags", "supportedFlags"],
    ),
    ("/linux/apparmor", &["enabled"]),
    ("/linux/selinux", &["enabled"]),
    ("/linux/memoryPolicy", &["modes", "flags"]),
    ("/linux/intelRdt", &["enabled", "schemata", "monitoring"]),
    ("/linux/mountExtensions", &["idmap"]),
    ("/linux/mountExtensions/idmap", &["enabled"]),
    ("/linux/netDevices", &["enabled"]),
];

fn only_defined(runtime: &Runtime) -> Verdict {
    let features = structure(runtime)?;
    for (parent, names) in DEFINED {
        let Some(object) = features.pointer(parent).and_then(Value::as_object) else { continue };
        let unknown: Vec<_> = object.keys().filter(|key| !names.contains(&key.as_str())).collect();
        ensure!(unknown.is_empty(), "{parent}/ has {unknown:?}");
    }
    Ok(())
}

fn hooks(runtime: &Runtime) -> Verdict {
    let kinds = words(runtime, "/hooks")?;
    let known: Vec<&str> =
        HOOKS.into_iter().filter(|kind| kinds.iter().any(|k| k == kind)).collect();
    ensure!(known.len() == kinds.len(), "the list has others than {HOOKS:?}: {kinds:?}");
    let mut bundle = runtime.bundle()?;
    for kind in &known {
        bundle = bundle.hook(kind, kind, &[]);
    }
    let ran = bundle.run()?;
    ran.container.must("delete", &[])?;
    let names = ran.container.bundle.hook_names();
    let missing: Vec<_> = known.iter().filter(|kind| !names.iter().any(|n| n == *kind)).collect();
    ensure!(missing.is_empty(), "did not run: {missing:?}");
    Ok(())
}

/// A mount entry that makes sense of an option.
fn entry(option: &str, number: usize, source: &str) -> Value {
    let to = format!("/mnt/{number}");
    let map = json!([{"containerID": 0, "hostID": 0, "size": 1000}]);
    match option {
        "idmap" | "ridmap" => json!({
            "destination": to, "type": "bind", "source": source, "options": ["rbind", option],
            "uidMappings": map, "gidMappings": map,
        }),
        "bind" | "rbind" => {
            json!({"destination": to, "type": "bind", "source": source, "options": [option]})
        }
        "remount" => json!({
            "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [option, "nosuid"],
        }),
        "copy-symlink" | "src-nofollow" | "dest-nofollow" => {
            json!({"destination": to, "type": "bind", "source": source, "options": ["bind", option]})
        }
        _ => json!({"destination": to, "type": "tmpfs", "source": "tmpfs", "options": [option]}),
    }
}

fn options(runtime: &Runtime) -> Verdict {
    let options = words(runtime, "/mountOptions")?;
    let mut wrong = Vec::new();
    // `mand` and `acl` need a kernel that still has them: recognized is not supported.
    for option in options.iter().filter(|o| !matches!(o.as_str(), "mand" | "acl" | "noacl")) {
        let bundle = runtime.bundle()?.outside("data/file", "x")?;
        let source = bundle.dir.join("data").display().to_string();
        let said = bundle.push("/mounts", entry(option, 1, &source)).call_create(&[])?;
        if !said.ok() {
            wrong.push(format!("{option} ({})", said.words()));
        }
    }
    ensure!(wrong.is_empty(), "refused: {}", wrong.join("; "));
    Ok(())
}

fn no_data_options(runtime: &Runtime) -> Verdict {
    const DATA: [&str; 9] =
        ["size", "mode", "uid", "gid", "nr_inodes", "newinstance", "ptmxmode", "hidepid", "huge"];
    let list = words(runtime, "/mountOptions")?;
    let data: Vec<_> = list
        .iter()
        .filter(|option| option.contains('=') || DATA.contains(&option.as_str()))
        .collect();
    ensure!(data.is_empty(), "the list has {data:?}");
    Ok(())
}

fn annotations(runtime: &Runtime) -> Verdict {
    structure(runtime)?;
    let Some(value) = runtime.feature("/annotations") else {
        skip!("a runtime that says /annotations in its features: it is optional");
    };
    let good = value
        .as_object()
        .is_some_and(|map| map.iter().all(|(key, value)| !key.is_empty() && value.is_string()));
    ensure!(good, "it is {value}");
    Ok(())
}
