//! `features-linux.md`: the lists of the Linux part, each word tried in a configuration.

use serde_json::{Value, json};

use crate::{
    bundle::Bundle,
    case::{Case, Not, Verdict, ensure, must, skip},
    cases::features::{structure, words},
    runtime::Runtime,
};

const SECCOMP: &str = "#linuxFeaturesSeccomp";
const POLICY: &str = "#linuxFeaturesMemoryPolicy";

pub(crate) const CASES: &[Case] = &[
    must(
        "features-linux/001",
        "#linuxFeaturesNamespaces",
        "The runtime MUST recognize the elements in this array as the type of linux.namespaces objects in config.json.",
        "a container with each type of the list is made",
        namespaces,
    ),
    must(
        "features-linux/002",
        "#linuxFeaturesCapabilities",
        "The runtime MUST recognize the elements in this array in the process.capabilities object of config.json.",
        "none of the list is warned of",
        capabilities,
    ),
    must(
        "features-linux/003",
        SECCOMP,
        "The runtime MUST recognize the elements in this array in the syscalls[].action property of the linux.seccomp object in config.json.",
        "a profile with each action is taken",
        actions,
    ),
    must(
        "features-linux/004",
        SECCOMP,
        "The runtime MUST recognize the elements in this array in the syscalls[].args[].op property of the linux.seccomp object in config.json.",
        "a profile with each operator is taken",
        operators,
    ),
    must(
        "features-linux/005",
        SECCOMP,
        "The runtime MUST recognize the elements in this array in the architectures property of the linux.seccomp object in config.json.",
        "a profile with each architecture is taken",
        architectures,
    ),
    must(
        "features-linux/006",
        SECCOMP,
        "The runtime MUST recognize the elements in this array in the flags property of the linux.seccomp object in config.json.",
        "a profile with each known flag is taken, or refused as not supported here",
        known_flags,
    ),
    must(
        "features-linux/007",
        SECCOMP,
        "The runtime MUST recognize and support the elements in this array in the flags property of the linux.seccomp object in config.json.",
        "a profile with each supported flag is taken",
        supported_flags,
    ),
    must(
        "features-linux/008",
        POLICY,
        "The runtime MUST recognize the elements in this array as the mode of linux.memoryPolicy objects in config.json.",
        "a policy with each mode is taken",
        modes,
    ),
    must(
        "features-linux/009",
        POLICY,
        "The runtime MUST recognize the elements in this in the flags property of the linux.memoryPolicy object in config.json",
        "a policy with each flag is taken",
        flags,
    ),
    must(
        "features-linux/010",
        "#linuxFeaturesMountExtensions",
        "In such cases, runtimes MUST still set this value to true, to indicate that the runtime recognises the uidMappings and gidMappings properties.",
        "a runtime that maps the ids of a mount says so, one that says so does",
        idmap,
    ),
];

/// Creates and starts the bundle made for each word; collects what was refused.
fn each<'r>(
    runtime: &'r Runtime,
    words: &[String],
    make: impl Fn(Bundle<'r>, &str) -> Result<Bundle<'r>, Not>,
) -> Verdict {
    let mut wrong = Vec::new();
    for word in words {
        let bundle = make(runtime.bundle()?.ask(["exit 0"]), word)?;
        let said = bundle.call_create(&[])?;
        if !said.ok() {
            wrong.push(format!("{word} ({})", said.words()));
            continue;
        }
        let said = runtime.call(&["start", &bundle.id])?;
        if !said.ok() {
            wrong.push(format!("{word} at start ({})", said.words()));
        }
    }
    ensure!(wrong.is_empty(), "refused: {}", wrong.join("; "));
    Ok(())
}

fn namespaces(runtime: &Runtime) -> Verdict {
    each(runtime, &words(runtime, "/linux/namespaces")?, |bundle, kind| match kind {
        "user" => bundle.user_namespace(200_000, 1000),
        kind => Ok(bundle.namespace(kind, "")),
    })
}

fn capabilities(runtime: &Runtime) -> Verdict {
    let list = words(runtime, "/linux/capabilities")?;
    ensure!(!list.is_empty(), "the list is empty");
    let bundle = runtime.bundle()?.set("/process/capabilities/bounding", json!(list));
    let said = bundle.call_create(&[])?;
    ensure!(said.ok(), "create: {}", said.words());
    let warned: Vec<_> = list.iter().filter(|name| said.err.contains(name.as_str())).collect();
    // What the host's kernel or we ourselves have not may be said; what is unknown may not.
    ensure!(
        !said.err.contains("unknown") || warned.is_empty(),
        "warned of {warned:?}: {}",
        said.err
    );
    Ok(())
}

fn profile<'r>(bundle: Bundle<'r>, rule: &Value) -> Bundle<'r> {
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    bundle.set("/linux/seccomp", profile)
}

fn actions(runtime: &Runtime) -> Verdict {
    let mut list = words(runtime, "/linux/seccomp/actions")?;
    // It needs a listener: the seccomp section has cases for it.
    list.retain(|action| action != "SCMP_ACT_NOTIFY");
    each(runtime, &list, |bundle, action| {
        Ok(profile(bundle, &json!({"names": ["sethostname"], "action": action})))
    })
}

fn operators(runtime: &Runtime) -> Verdict {
    each(runtime, &words(runtime, "/linux/seccomp/operators")?, |bundle, op| {
        let args = json!([{"index": 0, "value": 1, "valueTwo": 1, "op": op}]);
        let rule = json!({"names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "args": args});
        Ok(profile(bundle, &rule))
    })
}

fn architectures(runtime: &Runtime) -> Verdict {
    each(runtime, &words(runtime, "/linux/seccomp/archs")?, |bundle, arch| {
        let rule = json!({"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"});
        let bundle = profile(bundle, &rule);
        Ok(bundle.set("/linux/seccomp/architectures", json!([arch])))
    })
}

fn with_flag<'r>(bundle: Bundle<'r>, flag: &str) -> Bundle<'r> {
    let rule = json!({"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"});
    profile(bundle, &rule).set("/linux/seccomp/flags", json!([flag]))
}

fn known_flags(runtime: &Runtime) -> Verdict {
    for flag in words(runtime, "/linux/seccomp/knownFlags")? {
        let said = with_flag(runtime.bundle()?, &flag).call_create(&[])?;
        let recognized = said.ok() || ["support", "requires"].iter().any(|w| said.err.contains(w));
        ensure!(recognized, "{flag}: {}", said.words());
    }
    Ok(())
}

fn supported_flags(runtime: &Runtime) -> Verdict {
    each(runtime, &words(runtime, "/linux/seccomp/supportedFlags")?, |bundle, flag| {
        Ok(with_flag(bundle, flag))
    })
}

fn modes(runtime: &Runtime) -> Verdict {
    each(runtime, &words(runtime, "/linux/memoryPolicy/modes")?, |bundle, mode| {
        let policy = match mode {
            "MPOL_DEFAULT" | "MPOL_LOCAL" => json!({"mode": mode}),
            mode => json!({"mode": mode, "nodes": "0"}),
        };
        Ok(bundle.set("/linux/memoryPolicy", policy))
    })
}

fn flags(runtime: &Runtime) -> Verdict {
    each(runtime, &words(runtime, "/linux/memoryPolicy/flags")?, |bundle, flag| {
        let policy = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]});
        Ok(bundle.set("/linux/memoryPolicy", policy))
    })
}

fn idmap(runtime: &Runtime) -> Verdict {
    structure(runtime)?;
    let says = runtime.feature("/linux/mountExtensions/idmap/enabled");
    let bundle = runtime.bundle()?.outside("data/file", "x")?;
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    let entry = json!({
        "type": "bind", "source": bundle.dir.join("data"), "destination": "/mnt",
        "options": ["bind", "idmap"], "uidMappings": map, "gidMappings": map,
    });
    let does = match bundle.push("/mounts", entry).ask(["stat /mnt/file"]).run() {
        Ok(ran) => ran.facts.ok("stat /mnt/file")?["uid"] == 1000,
        Err(_) => false,
    };
    let Some(says) = says else {
        ensure!(!does, "it maps the ids of a mount, but its features do not say so");
        skip!("a runtime that says /linux/mountExtensions/idmap: it is optional");
    };
    ensure!(*says == json!(does), "its features say {says}, it does {does}");
    Ok(())
}
