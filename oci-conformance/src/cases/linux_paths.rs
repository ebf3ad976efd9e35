//! `config-linux.md`: propagation of the root, masked and read-only paths, mount label, personality.

use serde_json::{Value, json};

use crate::{
    case::{Case, Check, Level::Must, Verdict, ensure, must, skip},
    runtime::Runtime,
};

const PROPAGATION: &str = "#configLinuxRootfsMountPropagation";
const MASKED: &str = "#configLinuxMaskedPaths";
const READONLY: &str = "#configLinuxReadonlyPaths";
const PERSONALITY: &str = "#configLinuxPersonality";

pub(crate) const CASES: &[Case] = &[
    spreads("config-linux/158", "shared: the rootfs mount belongs to a new peer group.", "shared"),
    spreads(
        "config-linux/159",
        "slave: the rootfs mount receives propagation events from the host",
        "slave",
    ),
    spreads(
        "config-linux/160",
        "private: the rootfs mount doesn't receive mount propagation events from the host",
        "private",
    ),
    spreads(
        "config-linux/161",
        "unbindable: the rootfs mount is a private mount that cannot be bind-mounted.",
        "unbindable",
    ),
    must(
        "config-linux/162",
        MASKED,
        "maskedPaths (array of strings, OPTIONAL) will mask over the provided paths inside the container so that they cannot be read.",
        "a file reads as empty, a directory lists as empty",
        masked,
    ),
    must(
        "config-linux/163",
        MASKED,
        "The values MUST be absolute paths in the container namespace.",
        "a relative path is refused, or masked below / all the same",
        masked_relative,
    ),
    must(
        "config-linux/164",
        READONLY,
        "readonlyPaths (array of strings, OPTIONAL) will set the provided paths as readonly inside the container.",
        "files and directories cannot be written",
        readonly,
    ),
    must(
        "config-linux/165",
        READONLY,
        "The values MUST be absolute paths in the container namespace.",
        "a relative path is refused, or read-only below / all the same",
        readonly_relative,
    ),
    must(
        "config-linux/166",
        "#configLinuxMountLabel",
        "mountLabel (string, OPTIONAL) will set the Selinux context for the mounts in the container.",
        "where there is no SELinux a label is refused, not ignored",
        mount_label,
    ),
    must(
        "config-linux/167",
        PERSONALITY,
        "domain (string, REQUIRED) - the execution domain.",
        "uname says a 32-bit machine with LINUX32, and not with LINUX",
        personality,
    ),
];

const fn spreads(id: &'static str, text: &'static str, word: &'static str) -> Case {
    let what = "the propagation of / in the container";
    Case { id, section: PROPAGATION, level: Must, text, what, check: Check::Of(propagation, word) }
}

/// Our own `/` is shared, as on most machines: a slave has a master, a private root had to be made
/// so.
fn propagation(runtime: &Runtime, word: &'static str) -> Verdict {
    let bundle = runtime.bundle()?.set("/linux/rootfsPropagation", json!(word));
    let ran = bundle.ask(["read /proc/self/mountinfo"]).run()?;
    let now = ran.facts.mount("/")?.propagation();
    ensure!(now == word, "it is {now}");
    Ok(())
}

fn masked(runtime: &Runtime) -> Verdict {
    let paths = json!(["/etc/secret", "/etc/dir", "/proc/kcore", "/etc/not-there"]);
    let bundle = runtime
        .bundle()?
        .file("/etc/secret", "secret")?
        .file("/etc/dir/file", "secret")?
        .set("/linux/maskedPaths", paths);
    let questions =
        ["first /etc/secret 9", "list /etc/dir", "first /proc/kcore 9", "create /etc/dir/new"];
    let ran = bundle.ask(questions).run()?;
    let empty = |question: &str| -> Result<bool, crate::case::Not> {
        // Either nothing comes out of it, or it cannot be opened at all.
        Ok(ran.facts.errno(question)?.is_some() || ran.facts.ok(question)? == &json!([]))
    };
    for question in &questions[..3] {
        ensure!(empty(question)?, "`{question}` reads {}", ran.facts.ok(question)?);
    }
    ensure!(ran.facts.errno(questions[3])?.is_some(), "a masked directory can be written");
    Ok(())
}

/// A relative path: an error is right, and so is what its author meant; to ignore it is not.
fn refused_or(
    runtime: &Runtime,
    pointer: &str,
    question: &str,
    denied: impl Fn(&Value) -> bool,
) -> Verdict {
    let bundle =
        runtime.bundle()?.file("/etc/secret", "secret")?.set(pointer, json!(["etc/secret"]));
    let bundle = bundle.ask([question]);
    if !bundle.call_create(&[])?.ok() {
        return Ok(());
    }
    let mut container = crate::container::Container::of(bundle)?;
    container.start()?;
    let ran = container.finish()?;
    if ran.facts.errno(question)?.is_none() {
        let answer = ran.facts.ok(question)?;
        ensure!(denied(answer), "etc/secret was accepted and ignored: {question}: {answer}");
    }
    Ok(())
}

fn masked_relative(runtime: &Runtime) -> Verdict {
    refused_or(runtime, "/linux/maskedPaths", "first /etc/secret 9", |got| *got == json!([]))
}

fn readonly_relative(runtime: &Runtime) -> Verdict {
    refused_or(runtime, "/linux/readonlyPaths", "write /etc/secret x", |_| false)
}

fn readonly(runtime: &Runtime) -> Verdict {
    let paths = json!(["/etc/file", "/etc/dir", "/proc/sys", "/etc/not-there"]);
    let bundle = runtime
        .bundle()?
        .file("/etc/file", "text")?
        .file("/etc/dir/file", "text")?
        .set("/linux/readonlyPaths", paths);
    let questions = [
        "write /etc/file x",
        "create /etc/dir/new",
        "write /etc/dir/file x",
        "write /proc/sys/kernel/shm_rmid_forced 1",
    ];
    let ran = bundle.ask(questions.into_iter().chain(["read /etc/file"])).run()?;
    for question in questions {
        let errno = ran.facts.errno(question)?;
        ensure!(errno == Some("EROFS"), "`{question}`: {errno:?}");
    }
    ran.facts.same("read /etc/file", &json!("text"))
}

fn mount_label(runtime: &Runtime) -> Verdict {
    if runtime.host.is("selinux") {
        skip!("a kernel without SELinux, to see that a label is not ignored");
    }
    let label = json!("system_u:object_r:container_file_t:s0:c1,c2");
    let bundle = runtime.bundle()?.set("/linux/mountLabel", label);
    bundle.refused(true, "a mount label without SELinux")
}

fn personality(runtime: &Runtime) -> Verdict {
    if !cfg!(target_arch = "x86_64") {
        skip!("x86_64, where uname shows the personality");
    }
    for (domain, wanted) in [("LINUX32", "i686"), ("LINUX", "x86_64")] {
        let bundle = runtime.bundle()?.set("/linux/personality", json!({"domain": domain}));
        let ran = bundle.ask(["uname"]).run()?;
        let machine = &ran.facts.ok("uname")?["machine"];
        ensure!(machine == wanted, "with {domain} the machine is {machine}");
    }
    Ok(())
}
