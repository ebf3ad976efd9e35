//! `config.md`: specification version, root, and what holds for all mounts.

use serde_json::json;

use crate::{
    case::{Case, Verdict, ensure, must, other, should},
    runtime::Runtime,
};

const VERSION: &str = "#configSpecificationVersion";
const ROOT: &str = "#configRoot";
const MOUNTS: &str = "#configMounts";

/// Who is bound by a sentence about another platform.
pub(crate) const WINDOWS: &str = "runtimes for Windows";
/// Who is bound by a sentence about the form of the configuration.
pub(crate) const AUTHOR: &str = "the author of the bundle; every wrong value has its own case";

pub(crate) const CASES: &[Case] = &[
    must(
        "config/001",
        VERSION,
        "ociVersion (string, REQUIRED) MUST be in SemVer v2.0.0 format and specifies the version of the Open Container Initiative Runtime Specification with which the bundle complies.",
        "a configuration without ociVersion, or with words in it, is refused",
        version,
    ),
    other(
        "config/002",
        ROOT,
        "On Windows, for Windows Server Containers, this field is REQUIRED.",
        WINDOWS,
    ),
    other("config/003", ROOT, "For Hyper-V Containers, this field MUST NOT be set.", WINDOWS),
    must(
        "config/004",
        ROOT,
        "On all other platforms, this field is REQUIRED.",
        "a configuration without root is refused",
        no_root,
    ),
    must(
        "config/005",
        ROOT,
        "path (string, REQUIRED) Specifies the path to the root filesystem for the container.",
        "the root of the container is that directory",
        root_path,
    ),
    other("config/006", ROOT, "On Windows, path MUST be a volume GUID path.", WINDOWS),
    must(
        "config/007",
        ROOT,
        "On POSIX platforms, path is either an absolute path or a relative path to the bundle.",
        "absolute and relative paths name the same directory",
        absolute_root,
    ),
    other("config/008", ROOT, "The value SHOULD be the conventional rootfs.", AUTHOR),
    must(
        "config/009",
        ROOT,
        "A directory MUST exist at the path declared by the field.",
        "a root that does not exist, or is a file, is refused",
        no_directory,
    ),
    must(
        "config/010",
        ROOT,
        "readonly (bool, OPTIONAL) If true then the root filesystem MUST be read-only inside the container, defaults to false.",
        "nothing can be written below a read-only root, and below another it can",
        readonly,
    ),
    other("config/011", ROOT, "On Windows, this field MUST be omitted or false.", WINDOWS),
    must(
        "config/012",
        MOUNTS,
        "The runtime MUST mount entries in the listed order.",
        "a later mount covers an earlier one below it, an earlier one holds a later one",
        order,
    ),
    must(
        "config/013",
        MOUNTS,
        "destination (string, REQUIRED) Destination of mount point: path inside container.",
        "a mount stands at its destination; one without destination is refused",
        destination,
    ),
    other("config/014", MOUNTS, "Linux: This value SHOULD be an absolute path.", AUTHOR),
    must(
        "config/015",
        MOUNTS,
        "it MAY be a relative path, in which case it MUST be interpreted as relative to \"/\".",
        "a relative destination is found below /, whatever the working directory",
        relative_destination,
    ),
    other("config/016", MOUNTS, "Windows: This value MUST be an absolute path.", WINDOWS),
    other(
        "config/017",
        MOUNTS,
        "One mount destination MUST NOT be nested within another mount",
        WINDOWS,
    ),
    other(
        "config/018",
        MOUNTS,
        "Solaris: This value MUST be an absolute path.",
        "runtimes for Solaris",
    ),
    other(
        "config/019",
        MOUNTS,
        "For all other platforms: This value MUST be an absolute path.",
        "runtimes for other platforms than Linux",
    ),
    must(
        "config/020",
        MOUNTS,
        "Path values for bind mounts are either absolute or relative to the bundle.",
        "a relative source is found in the bundle",
        relative_source,
    ),
    must(
        "config/021",
        MOUNTS,
        "A mount is a bind mount if it has either bind or rbind in the options.",
        "a mount with bind is one whatever its type says",
        bind_by_option,
    ),
    other(
        "config/022",
        MOUNTS,
        "Windows: runtimes MUST support ro, mounting the filesystem read-only when ro is given.",
        WINDOWS,
    ),
    other(
        "config/023",
        "#configLinuxMountOptions",
        "Runtimes MUST/SHOULD/MAY implement the following option strings for Linux:",
        "nobody by itself: every row has its own case",
    ),
    should(
        "config/024",
        "#configLinuxMountOptions",
        "Runtimes SHOULD treat unknown options as filesystem-specific ones) and pass those as a comma-separated string to the fifth (const void *data) argument of mount(2).",
        "tmpfs gets its size and mode, and refuses what it does not know",
        data_options,
    ),
    other(
        "config/025",
        "#configLinuxMountOptions",
        "The \"MUST\" options correspond to mount(8).",
        "nobody: a definition",
    ),
    other(
        "config/026",
        "#configLinuxMountOptions",
        "If a custom option string is already recognized by mount(8), the runtime SHOULD follow the behavior of mount(8).",
        "option strings that a runtime adds of its own; no list of them exists",
    ),
];

fn version(runtime: &Runtime) -> Verdict {
    runtime.bundle()?.without("/ociVersion").refused(false, "no ociVersion")?;
    runtime.bundle()?.set("/ociVersion", json!("newest")).refused(false, "ociVersion \"newest\"")
}

fn no_root(runtime: &Runtime) -> Verdict {
    runtime.bundle()?.without("/root").refused(false, "no root")
}

fn root_path(runtime: &Runtime) -> Verdict {
    let ran =
        runtime.bundle()?.file("/etc/mark", "here")?.ask(["read /etc/mark", "list /"]).run()?;
    ran.facts.same("read /etc/mark", &json!("here"))?;
    let names = json!(["dev", "etc", "mnt", "probe", "proc", "sys", "tmp"]);
    ran.facts.same("list /", &names)
}

fn absolute_root(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.file("/etc/mark", "here")?.ask(["read /etc/mark"]);
    let path = bundle.rootfs();
    let ran = bundle.set("/root/path", json!(path)).run()?;
    ran.facts.same("read /etc/mark", &json!("here"))
}

fn no_directory(runtime: &Runtime) -> Verdict {
    let made = || runtime.bundle();
    made()?.set("/root/path", json!("no-such-dir")).refused(false, "a root that is not there")?;
    let file = made()?.outside("file", "")?.set("/root/path", json!("file"));
    file.refused(false, "a root that is a file")
}

fn readonly(runtime: &Runtime) -> Verdict {
    let writes = ["create /etc/new", "mkdir /new", "create /tmp/new"];
    let ran = runtime.bundle()?.set("/root/readonly", json!(true)).ask(writes).run()?;
    for question in writes {
        let errno = ran.facts.errno(question)?;
        ensure!(errno == Some("EROFS"), "read-only root: `{question}`: {errno:?}");
    }
    let ran = runtime.bundle()?.without("/root/readonly").ask(writes).run()?;
    writes.iter().try_for_each(|question| ran.facts.ok(question).map(drop))
}

fn order(runtime: &Runtime) -> Verdict {
    let covered = runtime
        .bundle()?
        .mount("tmpfs", "first", "/mnt/inner", &[])
        .mount("tmpfs", "second", "/mnt", &[])
        .ask(["list /mnt"])
        .run()?;
    covered.facts.same("list /mnt", &json!([]))?;
    let held = runtime
        .bundle()?
        .mount("tmpfs", "first", "/mnt", &[])
        .mount("tmpfs", "second", "/mnt/inner", &["mode=711"])
        .ask(["list /mnt", "stat /mnt/inner"])
        .run()?;
    held.facts.same("list /mnt", &json!(["inner"]))?;
    let mode = &held.facts.ok("stat /mnt/inner")?["mode"];
    ensure!(*mode == 0o711, "the inner mount is not on top: mode {mode}");
    Ok(())
}

fn destination(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.mount("tmpfs", "tmpfs", "/mnt/new/deep", &["mode=700"]);
    let ran = bundle.ask(["read /proc/self/mountinfo"]).run()?;
    ran.facts.mount("/mnt/new/deep")?;
    let bundle = runtime.bundle()?.push("/mounts", json!({"type": "tmpfs", "source": "tmpfs"}));
    bundle.refused(false, "a mount without destination")
}

fn relative_destination(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.set("/process/cwd", json!("/tmp"));
    let bundle = bundle.mount("tmpfs", "tmpfs", "mnt", &[]);
    let ran = bundle.ask(["read /proc/self/mountinfo"]).run()?;
    ran.facts.mount("/mnt").map(drop)
}

fn relative_source(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.outside("data/file", "mine")?;
    let ran = bundle.mount("bind", "data", "/mnt", &["bind"]).ask(["read /mnt/file"]).run()?;
    ran.facts.same("read /mnt/file", &json!("mine"))
}

fn bind_by_option(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.outside("data/file", "mine")?;
    let source = bundle.dir.join("data").display().to_string();
    let bundle = bundle.mount("none", &source, "/mnt", &["rbind"]);
    let untyped = json!({"source": source, "destination": "/tmp", "options": ["bind"]});
    let ran = bundle.push("/mounts", untyped).ask(["read /mnt/file", "read /tmp/file"]).run()?;
    ran.facts.same("read /mnt/file", &json!("mine"))?;
    ran.facts.same("read /tmp/file", &json!("mine"))
}

fn data_options(runtime: &Runtime) -> Verdict {
    let options = ["size=1024k", "mode=711", "nosuid"];
    let bundle = runtime.bundle()?.mount("tmpfs", "tmpfs", "/mnt", &options);
    let ran = bundle.ask(["read /proc/self/mountinfo"]).run()?;
    let mount = ran.facts.mount("/mnt")?;
    ensure!(
        mount.has("size=1024k") && mount.has("mode=711"),
        "tmpfs has {:?}",
        mount.super_options
    );
    let bundle = runtime.bundle()?.mount("tmpfs", "tmpfs", "/mnt", &["no-such-option"]);
    bundle.refused(false, "an option that tmpfs does not know")
}
