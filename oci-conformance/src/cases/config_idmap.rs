//! `config.md`: mounts with mapped ids, beside the two options themselves.

use serde_json::{Value, json};

use crate::{
    bundle::Bundle,
    case::{Case, Not, Verdict, ensure, must, other, should},
    cases::config_root::AUTHOR,
    runtime::Runtime,
};

const OPTIONS: &str = "#configLinuxMountOptions";
const POSIX: &str = "#configPOSIXMounts";
const HOW: &str = "nobody that can be seen from outside: how, not what";

const OTHERWISE: &str = "If they are not specified, the runtime MAY use the container's user namespace mapping, otherwise an error MUST be returned.";
const SHOULD_CONTAIN: &str = "If specified, the options field of the mounts structure SHOULD contain either idmap or ridmap to specify whether the mapping should be applied recursively for rbind mounts, as well as to ensure that older runtimes will not silently ignore this field.";
const IMPLEMENTED: &str =
    "This SHOULD be implemented using mount_setattr(MOUNT_ATTR_IDMAP), available since Linux 5.12.";

pub(crate) const CASES: &[Case] = &[
    must(
        "config/085",
        OPTIONS,
        "Indicates that the mount MUST have an idmapping applied.",
        "a file that is written through the mount has the mapped owner on the source",
        written_through,
    ),
    must(
        "config/086",
        OPTIONS,
        "Indicates that the mount MUST have an idmapping applied, and the mapping is applied recursively",
        "idmap leaves a mount below the source as it is, ridmap does not",
        recursive,
    ),
    should(
        "config/087",
        OPTIONS,
        "This option SHOULD NOT be passed to the underlying mount(2) call.",
        "the mount table does not show the option",
        not_passed,
    ),
    must(
        "config/088",
        OPTIONS,
        "If uidMappings or gidMappings are specified for the mount, the runtime MUST use those values for the mount's mapping.",
        "the mount's mapping is used, not that of the user namespace",
        own_mapping,
    ),
    must(
        "config/089",
        OPTIONS,
        OTHERWISE,
        "the user namespace's mapping is used, or it is refused",
        otherwise,
    ),
    must(
        "config/090",
        OPTIONS,
        "If there are no uidMappings and gidMappings specified and the container isn't using user namespaces, an error MUST be returned.",
        "idmap without a mapping and without a user namespace is refused",
        nothing_to_map,
    ),
    other("config/091", OPTIONS, IMPLEMENTED, HOW),
    other("config/092", POSIX, SHOULD_CONTAIN, AUTHOR),
    must(
        "config/093",
        POSIX,
        "uidMappings (array of type LinuxIDMapping, OPTIONAL) The mapping to convert UIDs from the source file system to the destination mount point.",
        "mappings without idmap among the options are applied or refused, not ignored",
        not_ignored,
    ),
    must(
        "config/094",
        POSIX,
        "If specified, it MUST be specified along with gidMappings.",
        "uidMappings alone are refused",
        uid_alone,
    ),
    must(
        "config/095",
        POSIX,
        "If specified, it MUST be specified along with uidMappings.",
        "gidMappings alone are refused",
        gid_alone,
    ),
];

fn map(to: u32) -> Value {
    json!([{"containerID": 0, "hostID": to, "size": 100}])
}

/// A bundle with `data/file` and a bind mount of `data` on `/mnt`.
fn bundle<'r>(runtime: &'r Runtime, options: &[&str], more: &Value) -> Result<Bundle<'r>, Not> {
    let bundle = runtime.bundle()?.outside("data/file", "content")?;
    let source = bundle.dir.join("data");
    std::os::unix::fs::chown(&source, Some(0), Some(0))?;
    let mut entry =
        json!({"type": "bind", "source": source, "destination": "/mnt", "options": options});
    if let (Some(entry), Some(more)) = (entry.as_object_mut(), more.as_object()) {
        entry.extend(more.clone());
    }
    Ok(bundle.push("/mounts", entry))
}

fn both(to: u32) -> Value {
    json!({"uidMappings": map(to), "gidMappings": map(to)})
}

fn written_through(runtime: &Runtime) -> Verdict {
    let bundle = bundle(runtime, &["bind", "idmap"], &both(1000))?;
    // The writer is 1000 inside the mount's mapping, so 0 on the source.
    let bundle = bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let ran = bundle.ask(["create /mnt/new", "stat /mnt/new"]).run()?;
    ran.facts.ok("create /mnt/new")?;
    let uid = &ran.facts.ok("stat /mnt/new")?["uid"];
    ensure!(*uid == 1000, "inside it belongs to {uid}");
    let file = ran.container.bundle.dir.join("data/new");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(file)?);
    ensure!(owner == 0, "on the source it belongs to {owner}, not to 0");
    Ok(())
}

fn recursive(runtime: &Runtime) -> Verdict {
    for (option, bind, wanted) in [("idmap", "rbind", 0), ("ridmap", "rbind", 1000)] {
        let bundle = runtime.bundle()?;
        let nested = super::config_options::Nested::new(runtime, nix::mount::MsFlags::empty())?;
        let entry = json!({
            "type": "bind", "source": nested.0, "destination": "/mnt", "options": [bind, option],
            "uidMappings": map(1000), "gidMappings": map(1000),
        });
        let ran = bundle.push("/mounts", entry).ask(["stat /mnt/inner/file"]).run()?;
        let uid = &ran.facts.ok("stat /mnt/inner/file")?["uid"];
        ensure!(*uid == wanted, "with {option} the owner below is {uid}, not {wanted}");
    }
    Ok(())
}

fn not_passed(runtime: &Runtime) -> Verdict {
    let bundle = bundle(runtime, &["bind", "idmap"], &both(1000))?;
    let ran = bundle.ask(["read /proc/self/mountinfo"]).run()?;
    let mount = ran.facts.mount("/mnt")?;
    ensure!(
        !mount.super_options.contains("idmap"),
        "the file system has {:?}",
        mount.super_options
    );
    Ok(())
}

fn own_mapping(runtime: &Runtime) -> Verdict {
    let bundle = bundle(runtime, &["bind", "idmap"], &both(200_007))?;
    let bundle = bundle.user_namespace(200_000, 1000)?;
    let ran = bundle.ask(["stat /mnt/file"]).run()?;
    let uid = &ran.facts.ok("stat /mnt/file")?["uid"];
    ensure!(*uid == 7, "the owner is {uid}: host id 200007 is 7 inside");
    Ok(())
}

fn otherwise(runtime: &Runtime) -> Verdict {
    let bundle = bundle(runtime, &["bind", "idmap"], &json!({}))?.user_namespace(200_000, 1000)?;
    let bundle = bundle.ask(["stat /mnt/file"]);
    if !bundle.call_create(&[])?.ok() {
        return Ok(());
    }
    let mut container = crate::container::Container::of(bundle)?;
    container.start()?;
    let ran = container.finish()?;
    let uid = &ran.facts.ok("stat /mnt/file")?["uid"];
    ensure!(*uid == 0, "it was accepted, but the owner is {uid}: no mapping was applied");
    Ok(())
}

fn nothing_to_map(runtime: &Runtime) -> Verdict {
    bundle(runtime, &["bind", "idmap"], &json!({}))?.refused(false, "idmap with no mapping")?;
    bundle(runtime, &["rbind", "ridmap"], &json!({}))?.refused(false, "ridmap with no mapping")
}

fn not_ignored(runtime: &Runtime) -> Verdict {
    let bundle = bundle(runtime, &["bind"], &both(1000))?.ask(["stat /mnt/file"]);
    if !bundle.call_create(&[])?.ok() {
        return Ok(());
    }
    let mut container = crate::container::Container::of(bundle)?;
    container.start()?;
    let ran = container.finish()?;
    let uid = &ran.facts.ok("stat /mnt/file")?["uid"];
    ensure!(*uid == 1000, "it was accepted, but the owner is {uid}: no mapping was applied");
    Ok(())
}

fn uid_alone(runtime: &Runtime) -> Verdict {
    let more = json!({"uidMappings": map(1000)});
    bundle(runtime, &["bind", "idmap"], &more)?.refused(false, "uidMappings without gidMappings")
}

fn gid_alone(runtime: &Runtime) -> Verdict {
    let more = json!({"gidMappings": map(1000)});
    bundle(runtime, &["bind", "idmap"], &more)?.refused(false, "gidMappings without uidMappings")
}
