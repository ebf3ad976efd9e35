//! `config.md`: host and domain name, platforms, annotations, extensibility, valid values.

use serde_json::{Value, json};

use crate::{
    bundle::Bundle,
    case::{Case, Check, Level::Must, Not, Verdict, ensure, must, other},
    cases::config_root::{AUTHOR, WINDOWS},
    runtime::Runtime,
};

const ANNOTATIONS: &str = "#configAnnotations";
const EXTENSIBILITY: &str = "#configExtensibility";
const VALUES: &str = "#valid-values";
const CALLER: &str = "who writes or reads image annotations, not the runtime";

pub(crate) const CASES: &[Case] = &[
    must(
        "config/179",
        "#configHostname",
        "hostname (string, OPTIONAL) specifies the container's hostname as seen by processes running inside the container.",
        "uname inside says it",
        hostname,
    ),
    must(
        "config/180",
        "#configDomainname",
        "domainname (string, OPTIONAL) specifies the container's domainname as seen by processes running inside the container.",
        "uname inside says it",
        domainname,
    ),
    other(
        "config/181",
        "#configPlatformSpecificConfiguration",
        "This MUST be set if the target platform of this spec is windows.",
        WINDOWS,
    ),
    must(
        "config/182",
        ANNOTATIONS,
        "Annotations MUST be a key-value map.",
        "a list of annotations is refused",
        annotation_list,
    ),
    other("config/183", ANNOTATIONS, "Keys MUST be strings.", "nobody: JSON has no other keys"),
    must(
        "config/184",
        ANNOTATIONS,
        "Keys MUST NOT be an empty string.",
        "an annotation without a name is refused",
        empty_key,
    ),
    other(
        "config/185",
        ANNOTATIONS,
        "Keys SHOULD be named using a reverse domain notation",
        AUTHOR,
    ),
    other(
        "config/186",
        ANNOTATIONS,
        "annotations using keys in this namespace MUST be as described in this section.",
        AUTHOR,
    ),
    other(
        "config/187",
        ANNOTATIONS,
        "The annotation value MUST have a valid value for the os property as defined in the OCI image specification.",
        CALLER,
    ),
    other(
        "config/188",
        ANNOTATIONS,
        "The annotation value MUST have a valid value for the os.version property as defined in the OCI image specification.",
        CALLER,
    ),
    other(
        "config/189",
        ANNOTATIONS,
        "The annotation value MUST have a valid value for the os.features property as defined in the OCI image specification.",
        CALLER,
    ),
    other(
        "config/190",
        ANNOTATIONS,
        "The annotation value MUST have a valid value for the architecture property as defined in the OCI image specification.",
        CALLER,
    ),
    other(
        "config/191",
        ANNOTATIONS,
        "The annotation value MUST have a valid value for the variant property as defined in the OCI image specification.",
        CALLER,
    ),
    other(
        "config/192",
        ANNOTATIONS,
        "The annotation value MUST have a valid value for the author property as defined in the OCI image specification.",
        CALLER,
    ),
    other(
        "config/193",
        ANNOTATIONS,
        "The annotation value MUST have a valid value for the created property as defined in the OCIimage specification.",
        CALLER,
    ),
    other(
        "config/194",
        ANNOTATIONS,
        "Indicates signal that SHOULD be sent by the container runtimes to kill the container.",
        "the caller of kill, who names the signal",
    ),
    other(
        "config/195",
        ANNOTATIONS,
        "The annotation value MUST have a valid value for the config.StopSignal property as defined in the OCI image specification.",
        CALLER,
    ),
    other(
        "config/196",
        ANNOTATIONS,
        "This annotation SHOULD only be used in accordance with the OCI image specification's runtime conversion specification.",
        CALLER,
    ),
    other(
        "config/197",
        ANNOTATIONS,
        "All other keys in the org.opencontainers namespace not specified in this above table are reserved and MUST NOT be used by subsequent specifications.",
        "authors of later specifications",
    ),
    must(
        "config/198",
        ANNOTATIONS,
        "Runtimes MUST handle unknown annotation keys like any other unknown property.",
        "an unknown annotation is no error",
        unknown_annotation,
    ),
    must(
        "config/199",
        ANNOTATIONS,
        "Values MUST be strings.",
        "an annotation that is a number is refused",
        number_value,
    ),
    must(
        "config/200",
        EXTENSIBILITY,
        "Runtimes MAY log unknown properties but MUST otherwise ignore them.",
        "unknown properties at every level are no error",
        unknown_properties,
    ),
    bad("config/201", "args is a string"),
    bad("config/202", "env has a number"),
    bad("config/203", "a negative uid"),
    bad("config/204", "an uid beyond 32 bits"),
    bad("config/205", "terminal is a string"),
    bad("config/206", "mounts is an object"),
    bad("config/207", "root is a string"),
    bad("config/208", "oomScoreAdj beyond its range"),
    bad("config/209", "an unknown scheduling policy"),
    bad("config/210", "an unknown I/O class"),
    bad("config/211", "a hostname longer than the kernel takes"),
    bad("config/212", "an unknown namespace type"),
    bad("config/213", "an unknown rootfsPropagation"),
    bad("config/214", "an unknown device type"),
    bad("config/215", "an unknown personality"),
    bad("config/216", "an unknown memory policy"),
    bad("config/217", "an unknown seccomp action"),
    bad("config/218", "an unknown seccomp architecture"),
    bad("config/219", "an unknown seccomp operator"),
    bad("config/220", "an unknown clock in timeOffsets"),
    bad("config/221", "hooks is a list"),
];

const fn bad(id: &'static str, what: &'static str) -> Case {
    let text =
        "Runtimes MUST generate an error when invalid or unsupported values are encountered.";
    Case { id, section: VALUES, level: Must, text, what, check: Check::Of(refused, what) }
}

/// A place in the configuration, a wrong value for it, and a right one.
fn value(what: &str) -> (&'static str, Value, Value) {
    let device = |kind: &str| json!([{"type": kind, "path": "/dev/oc", "major": 1, "minor": 3}]);
    let class = |class: &str| json!({"class": class, "priority": 1});
    let policy = |mode: &str| json!({"mode": mode, "nodes": "0"});
    match what {
        "args is a string" => ("/process/args", json!("/probe"), json!(["/probe"])),
        "env has a number" => ("/process/env", json!(["A=1", 2]), json!(["A=1"])),
        "a negative uid" => ("/process/user/uid", json!(-1), json!(1)),
        "an uid beyond 32 bits" => ("/process/user/uid", json!(1_u64 << 33), json!(1)),
        "terminal is a string" => ("/process/terminal", json!("no"), json!(false)),
        "mounts is an object" => (
            "/mounts",
            json!({"destination": "/proc", "type": "proc"}),
            json!([{"destination": "/proc", "type": "proc"}]),
        ),
        "root is a string" => ("/root", json!("rootfs"), json!({"path": "rootfs"})),
        "oomScoreAdj beyond its range" => ("/process/oomScoreAdj", json!(5000), json!(500)),
        "an unknown scheduling policy" => {
            let policy = |name: &str| json!({"policy": name});
            ("/process/scheduler", policy("SCHED_NO_SUCH"), policy("SCHED_OTHER"))
        }
        "an unknown I/O class" => {
            ("/process/ioPriority", class("IOPRIO_CLASS_NO_SUCH"), class("IOPRIO_CLASS_BE"))
        }
        "a hostname longer than the kernel takes" => {
            ("/hostname", json!("h".repeat(65)), json!("h".repeat(64)))
        }
        "an unknown namespace type" => {
            ("/linux/namespaces/4", json!({"type": "no-such"}), json!({"type": "mount"}))
        }
        "an unknown rootfsPropagation" => {
            ("/linux/rootfsPropagation", json!("no-such"), json!("private"))
        }
        "an unknown device type" => ("/linux/devices", device("z"), device("c")),
        "an unknown personality" => {
            let domain = |name: &str| json!({"domain": name});
            ("/linux/personality", domain("LINUX16"), domain("LINUX"))
        }
        "an unknown memory policy" => {
            ("/linux/memoryPolicy", policy("MPOL_NO_SUCH"), policy("MPOL_BIND"))
        }
        _ if what.contains("seccomp") => seccomp(what),
        "an unknown clock in timeOffsets" => (
            "/linux/timeOffsets",
            json!({"no-such": {"secs": 1}}),
            json!({"boottime": {"secs": 1}}),
        ),
        _ => ("/hooks", json!(["/bin/true"]), json!({})),
    }
}

/// The rows about seccomp: one word of a whole profile is wrong.
fn seccomp(what: &str) -> (&'static str, Value, Value) {
    let profile = |arch: &str, action: &str, op: &str| {
        let args = json!([{"index": 0, "value": 1, "op": op}]);
        let call = json!([{"names": ["mkdir"], "action": action, "args": args}]);
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch], "syscalls": call})
    };
    let (arch, action, op) = ("SCMP_ARCH_X86_64", "SCMP_ACT_ERRNO", "SCMP_CMP_EQ");
    let wrong = match what {
        "an unknown seccomp action" => profile(arch, "SCMP_ACT_NO_SUCH", op),
        "an unknown seccomp architecture" => profile("SCMP_ARCH_NO_SUCH", action, op),
        _ => profile(arch, action, "SCMP_CMP_NO_SUCH"),
    };
    ("/linux/seccomp", wrong, profile(arch, action, op))
}

/// The wrong value must be refused for what is wrong with it: the right one is taken.
fn refused(runtime: &Runtime, what: &'static str) -> Verdict {
    let (pointer, wrong, right) = value(what);
    let made = || -> Result<Bundle<'_>, Not> {
        let bundle = runtime.bundle()?;
        Ok(if pointer.ends_with("timeOffsets") { bundle.namespace("time", "") } else { bundle })
    };
    let said = made()?.set(pointer, right).call_create(&[])?;
    ensure!(said.ok(), "a right value is refused, too: {}", said.words());
    made()?.set(pointer, wrong).refused(true, what)
}

fn hostname(runtime: &Runtime) -> Verdict {
    let ran = runtime.bundle()?.set("/hostname", json!("weathering")).ask(["uname"]).run()?;
    let name = &ran.facts.ok("uname")?["nodename"];
    ensure!(name == "weathering", "it is {name}");
    Ok(())
}

fn domainname(runtime: &Runtime) -> Verdict {
    let ran = runtime.bundle()?.set("/domainname", json!("steel.test")).ask(["uname"]).run()?;
    let name = &ran.facts.ok("uname")?["domainname"];
    ensure!(name == "steel.test", "it is {name}");
    Ok(())
}

fn annotation_list(runtime: &Runtime) -> Verdict {
    runtime.bundle()?.set("/annotations", json!(["a", "b"])).refused(false, "a list of annotations")
}

fn empty_key(runtime: &Runtime) -> Verdict {
    runtime
        .bundle()?
        .set("/annotations", json!({"": "x"}))
        .refused(false, "an empty annotation key")
}

fn number_value(runtime: &Runtime) -> Verdict {
    runtime.bundle()?.set("/annotations", json!({"a": 1})).refused(false, "an annotation of 1")
}

fn unknown_annotation(runtime: &Runtime) -> Verdict {
    let map = json!({"org.opencontainers.no.such": "x", "com.example.unknown": "{}"});
    let ran = runtime.bundle()?.set("/annotations", map).ask(["cwd"]).run()?;
    ran.facts.same("cwd", &json!("/"))
}

fn unknown_properties(runtime: &Runtime) -> Verdict {
    let mut bundle = runtime.bundle()?.ask(["cwd"]);
    for pointer in ["", "/root", "/process", "/process/user", "/linux", "/linux/resources"] {
        bundle = bundle.set(&format!("{pointer}/comExampleUnknown"), json!({"deep": [1, "a"]}));
    }
    bundle.config["mounts"][0]["comExampleUnknown"] = json!(true);
    bundle.config["linux"]["namespaces"][0]["comExampleUnknown"] = json!("x");
    bundle.run()?.facts.same("cwd", &json!("/"))
}
