//! `config.md`: the table of mount options, one case each.
//!
//! What an option does is read from the mount table inside. An option without a trace there
//! (`loud`, `iversion`, …) is tried on tmpfs, which refuses every word that it does not know: a
//! runtime that does not know the option passes it on and fails.

use std::{fs, path::Path};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use crate::{
    case::{
        Case, Check,
        Level::{self, Must, Should},
        Not, Verdict, ensure,
    },
    host::Mount,
    runtime::Runtime,
};

pub(crate) const CASES: &[Case] = &[
    row("config/027", Must, "async | MUST", "async"),
    row("config/028", Must, "atime | MUST", "atime"),
    row("config/029", Must, "bind | MUST", "bind"),
    row("config/030", Must, "defaults | MUST", "defaults"),
    row("config/031", Must, "dev | MUST", "dev"),
    row("config/032", Must, "diratime | MUST", "diratime"),
    row("config/033", Must, "dirsync | MUST", "dirsync"),
    row("config/034", Must, "exec | MUST", "exec"),
    row("config/035", Must, "iversion | MUST", "iversion"),
    row("config/036", Must, "lazytime | MUST", "lazytime"),
    row("config/037", Must, "loud | MUST", "loud"),
    row("config/038", Must, "noatime | MUST", "noatime"),
    row("config/039", Must, "nodev | MUST", "nodev"),
    row("config/040", Must, "nodiratime | MUST", "nodiratime"),
    row("config/041", Must, "noexec | MUST", "noexec"),
    row("config/042", Must, "noiversion | MUST", "noiversion"),
    row("config/043", Must, "nolazytime | MUST", "nolazytime"),
    row("config/044", Must, "norelatime | MUST", "norelatime"),
    row("config/045", Must, "nostrictatime | MUST", "nostrictatime"),
    row("config/046", Must, "nosuid | MUST", "nosuid"),
    row("config/047", Should, "nosymfollow | SHOULD", "nosymfollow"),
    row("config/048", Must, "private | MUST", "private"),
    row("config/049", Should, "ratime | SHOULD", "ratime"),
    row("config/050", Must, "rbind | MUST", "rbind"),
    row("config/051", Should, "rdev | SHOULD", "rdev"),
    row("config/052", Should, "rdiratime | SHOULD", "rdiratime"),
    row("config/053", Must, "relatime | MUST", "relatime"),
    row("config/054", Must, "remount | MUST", "remount"),
    row("config/055", Should, "rexec | SHOULD", "rexec"),
    row("config/056", Should, "rnoatime | SHOULD", "rnoatime"),
    row("config/057", Should, "rnodiratime | SHOULD", "rnodiratime"),
    row("config/058", Should, "rnoexec | SHOULD", "rnoexec"),
    row("config/059", Should, "rnorelatime | SHOULD", "rnorelatime"),
    row("config/060", Should, "rnostrictatime | SHOULD", "rnostrictatime"),
    row("config/061", Should, "rnosuid | SHOULD", "rnosuid"),
    row("config/062", Should, "rnosymfollow | SHOULD", "rnosymfollow"),
    row("config/063", Must, "ro | MUST", "ro"),
    row("config/064", Must, "rprivate | MUST", "rprivate"),
    row("config/065", Should, "rrelatime | SHOULD", "rrelatime"),
    row("config/066", Should, "rro | SHOULD", "rro"),
    row("config/067", Should, "rrw | SHOULD", "rrw"),
    row("config/068", Must, "rshared | MUST", "rshared"),
    row("config/069", Must, "rslave | MUST", "rslave"),
    row("config/070", Should, "rstrictatime | SHOULD", "rstrictatime"),
    row("config/071", Should, "rsuid | SHOULD", "rsuid"),
    row("config/072", Should, "rsymfollow | SHOULD", "rsymfollow"),
    row("config/073", Must, "runbindable | MUST", "runbindable"),
    row("config/074", Must, "rw | MUST", "rw"),
    row("config/075", Must, "shared | MUST", "shared"),
    row("config/076", Must, "silent | MUST", "silent"),
    row("config/077", Must, "slave | MUST", "slave"),
    row("config/078", Must, "strictatime | MUST", "strictatime"),
    row("config/079", Must, "suid | MUST", "suid"),
    row("config/080", Should, "symfollow | SHOULD", "symfollow"),
    row("config/081", Must, "sync | MUST", "sync"),
    row("config/082", Must, "unbindable | MUST", "unbindable"),
    row("config/083", Should, "idmap | SHOULD", "idmap"),
    row("config/084", Should, "ridmap | SHOULD", "ridmap"),
];

const fn row(id: &'static str, level: Level, text: &'static str, option: &'static str) -> Case {
    let section = "#configLinuxMountOptions";
    Case { id, section, level, text, what: option, check: Check::Of(check, option) }
}

/// How an option shows.
enum Trace {
    /// On a tmpfs with these options, the mount table has this word.
    Has(&'static [&'static str], &'static str),
    /// On a tmpfs with these options, the mount table has not this word.
    Lacks(&'static [&'static str], &'static str),
    /// tmpfs takes the option, the runtime must know it.
    Taken,
    /// On a recursive bind of two mounts that both have these flags, both have the word after.
    AllHave(MsFlags, &'static str),
    /// On a recursive bind of two mounts that both have these flags, both lack the word after.
    AllLack(MsFlags, &'static str),
    /// The propagation of the upper mount of a recursive bind; whether the inner one has it too.
    Spreads(&'static str, Inner),
    /// What is below a bind mount's source is seen; what is mounted below it is, or is not.
    Binds { inner: bool },
    /// A second entry changes the first.
    Remounts,
}

/// Whether a mount below the bind's source is changed too.
enum Inner {
    Same,
    /// It is what it is without the option.
    Left,
}

fn trace(option: &'static str) -> Trace {
    use Trace::{AllHave, AllLack, Binds, Has, Lacks, Remounts, Spreads, Taken};
    const NONE: MsFlags = MsFlags::empty();
    const NO_SYMFOLLOW: MsFlags = MsFlags::from_bits_retain(256);
    match option {
        "async" => Lacks(&["sync", "async"], "sync"),
        "atime" => Lacks(&["noatime", "atime"], "noatime"),
        "bind" => Binds { inner: false },
        "rbind" => Binds { inner: true },
        "defaults" => Has(&["defaults"], "rw"),
        "dev" => Lacks(&["nodev", "dev"], "nodev"),
        "diratime" => Lacks(&["nodiratime", "diratime"], "nodiratime"),
        "dirsync" => Has(&["dirsync"], "dirsync"),
        "exec" => Lacks(&["noexec", "exec"], "noexec"),
        "lazytime" => Has(&["lazytime"], "lazytime"),
        "noatime" => Has(&["noatime"], "noatime"),
        "nodev" => Has(&["nodev"], "nodev"),
        "nodiratime" => Has(&["nodiratime"], "nodiratime"),
        "noexec" => Has(&["noexec"], "noexec"),
        "nolazytime" => Lacks(&["lazytime", "nolazytime"], "lazytime"),
        "nosuid" => Has(&["nosuid"], "nosuid"),
        "nosymfollow" => Has(&["nosymfollow"], "nosymfollow"),
        "relatime" => Has(&["relatime"], "relatime"),
        "ro" => Has(&["ro"], "ro"),
        "rw" => Lacks(&["ro", "rw"], "ro"),
        "strictatime" => Lacks(&["strictatime"], "relatime"),
        "suid" => Lacks(&["nosuid", "suid"], "nosuid"),
        "symfollow" => Lacks(&["nosymfollow", "symfollow"], "nosymfollow"),
        "sync" => Has(&["sync"], "sync"),
        "remount" => Remounts,
        "private" => Spreads("private", Inner::Left),
        "rprivate" => Spreads("private", Inner::Same),
        "shared" => Spreads("shared", Inner::Left),
        "rshared" => Spreads("shared", Inner::Same),
        "slave" => Spreads("slave", Inner::Left),
        "rslave" => Spreads("slave", Inner::Same),
        "unbindable" => Spreads("unbindable", Inner::Left),
        "runbindable" => Spreads("unbindable", Inner::Same),
        "ratime" => AllLack(MsFlags::MS_NOATIME, "noatime"),
        "rdev" => AllLack(MsFlags::MS_NODEV, "nodev"),
        "rdiratime" => AllLack(MsFlags::MS_NODIRATIME, "nodiratime"),
        "rexec" => AllLack(MsFlags::MS_NOEXEC, "noexec"),
        "rnoatime" => AllHave(NONE, "noatime"),
        "rnodev" => AllHave(NONE, "nodev"),
        "rnodiratime" => AllHave(NONE, "nodiratime"),
        "rnoexec" => AllHave(NONE, "noexec"),
        "rnosuid" => AllHave(NONE, "nosuid"),
        "rnosymfollow" => AllHave(NONE, "nosymfollow"),
        "rrelatime" => AllHave(MsFlags::MS_NOATIME, "relatime"),
        "rro" => AllHave(NONE, "ro"),
        "rrw" => AllLack(MsFlags::MS_RDONLY, "ro"),
        "rstrictatime" => AllLack(MsFlags::MS_RELATIME, "relatime"),
        "rsuid" => AllLack(MsFlags::MS_NOSUID, "nosuid"),
        "rsymfollow" => AllLack(NO_SYMFOLLOW, "nosymfollow"),
        "idmap" | "ridmap" => Binds { inner: option == "ridmap" },
        _ => Taken,
    }
}

fn check(runtime: &Runtime, option: &'static str) -> Verdict {
    match trace(option) {
        Trace::Has(options, word) => {
            let mount = on_tmpfs(runtime, options)?;
            ensure!(mount.has(word), "with {options:?} the mount has no {word}: {mount:?}");
        }
        Trace::Lacks(options, word) => {
            let mount = on_tmpfs(runtime, options)?;
            ensure!(!mount.has(word), "with {options:?} the mount has {word}: {mount:?}");
        }
        Trace::Taken => drop(on_tmpfs(runtime, &[option])?),
        Trace::AllHave(flags, word) => {
            for mount in on_bind(runtime, flags, &["rbind", option])? {
                let has = mount.options.contains(word);
                ensure!(has, "{} has no {word}: {mount:?}", mount.point);
            }
        }
        Trace::AllLack(flags, word) => {
            for mount in on_bind(runtime, flags, &["rbind", option])? {
                let has = mount.options.contains(word);
                ensure!(!has, "{} has {word}: {mount:?}", mount.point);
            }
        }
        Trace::Spreads(upper, inner) => {
            let [first, second] = on_bind(runtime, MsFlags::empty(), &["rbind", option])?;
            let (first, second) = (first.propagation(), second.propagation());
            ensure!(first == upper, "it is {first}, not {upper}");
            let wanted = match inner {
                Inner::Same => upper,
                Inner::Left => on_bind(runtime, MsFlags::empty(), &["rbind"])?[1].propagation(),
            };
            ensure!(second == wanted, "the one below it is {second}, not {wanted}");
        }
        Trace::Binds { inner } => return binds(runtime, option, inner),
        Trace::Remounts => {
            let bundle = runtime.bundle()?.mount("tmpfs", "tmpfs", "/mnt", &[]);
            let bundle = bundle.mount("tmpfs", "tmpfs", "/mnt", &["remount", "ro"]);
            let ran = bundle.ask(["read /proc/self/mountinfo", "create /mnt/file"]).run()?;
            ensure!(ran.facts.mount("/mnt")?.has("ro"), "the mount is still writable");
        }
    }
    Ok(())
}

/// The row of a tmpfs mounted with these options.
fn on_tmpfs(runtime: &Runtime, options: &[&str]) -> Result<Mount, Not> {
    let bundle = runtime.bundle()?.mount("tmpfs", "tmpfs", "/mnt", options);
    bundle.ask(["read /proc/self/mountinfo"]).run()?.facts.mount("/mnt")
}

/// A tmpfs with a tmpfs below it, both shared and with these flags, in our own mount namespace.
pub(crate) struct Nested(pub(crate) String);

impl Nested {
    /// Mounts them.
    ///
    /// # Errors
    /// Those of mount(2).
    pub(crate) fn new(runtime: &Runtime, flags: MsFlags) -> Result<Self, Not> {
        let upper = runtime.work.join(format!("nested-{}", runtime.number()));
        let nested = Self(upper.display().to_string());
        let inner = upper.join("inner");
        let none = None::<&str>;
        for dir in [&upper, &inner] {
            fs::create_dir(dir)?;
            mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
            fs::write(dir.join("file"), "content")?;
        }
        for dir in [&inner, &upper] {
            if !flags.is_empty() {
                let remount = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags;
                mount(none, dir, none, remount, none)?;
            }
            mount(none, dir, none, MsFlags::MS_SHARED, none)?;
        }
        Ok(nested)
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        // In our own mount namespace: should this fail, it ends with us.
        let _ = umount2(&Path::new(&self.0).join("inner"), MntFlags::MNT_DETACH);
        let _ = umount2(self.0.as_str(), MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}

/// The rows of the two mounts after a bind of them with these options.
fn on_bind(runtime: &Runtime, flags: MsFlags, options: &[&str]) -> Result<[Mount; 2], Not> {
    let bundle = runtime.bundle()?.set("/linux/rootfsPropagation", json!("slave"));
    let nested = Nested::new(runtime, flags)?;
    let bundle = bundle.mount("bind", &nested.0, "/mnt", options);
    let ran = bundle.ask(["read /proc/self/mountinfo"]).run()?;
    Ok([ran.facts.mount("/mnt")?, ran.facts.mount("/mnt/inner")?])
}

/// `bind` and `rbind`, and their forms with mapped ids.
fn binds(runtime: &Runtime, option: &'static str, inner: bool) -> Verdict {
    let bundle = runtime.bundle()?;
    let nested = Nested::new(runtime, MsFlags::empty())?;
    let mapped = option.ends_with("idmap");
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 100}]);
    let entry = match option {
        "idmap" => json!({"options": ["bind", option], "uidMappings": map, "gidMappings": map}),
        "ridmap" => json!({"options": ["rbind", option], "uidMappings": map, "gidMappings": map}),
        _ => json!({"options": [option]}),
    };
    let mut entry = entry;
    entry["source"] = json!(nested.0);
    entry["destination"] = json!("/mnt");
    entry["type"] = json!("bind");
    let questions = ["read /mnt/file", "list /mnt/inner", "stat /mnt/file", "stat /mnt/inner/file"];
    let ran = bundle.push("/mounts", entry).ask(questions).run()?;
    ran.facts.same("read /mnt/file", &json!("content"))?;
    let below = if inner { json!(["file"]) } else { json!([]) };
    ran.facts.same("list /mnt/inner", &below)?;
    if mapped {
        let files = if inner { &questions[2..] } else { &questions[2..3] };
        for question in files {
            let uid = &ran.facts.ok(question)?["uid"];
            ensure!(*uid == 1000, "`{question}`: uid 0 is not mapped to 1000 but {uid}");
        }
    }
    Ok(())
}
