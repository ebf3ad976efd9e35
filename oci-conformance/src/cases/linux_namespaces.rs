//! `config-linux.md`: default file systems, namespaces, mapped ids, time offsets.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::json;

use crate::{
    bundle::Bundle,
    case::{
        Case, Check,
        Level::{Must, Should},
        Not, Verdict, ensure, fail, must, should, skip,
    },
    cases::kit::hold,
    runtime::Runtime,
    world::TICK,
};

const FILESYSTEMS: &str = "#configLinuxDefaultFilesystems";
const NAMESPACES: &str = "#configLinuxNamespaces";
const MAPPINGS: &str = "#configLinuxUserNamespaceMappings";

const JOINED: &str =
    "The runtime MUST place the container process in the namespace associated with that path.";
const INHERITED: &str = "If a namespace type is not specified in the namespaces array, the container MUST inherit the runtime namespace of that type.";
const MAPPED: &str = "uidMappings (array of objects, OPTIONAL) describes the user namespace uid mappings from the host to the container.";

pub(crate) const CASES: &[Case] = &[
    filesystem("config-linux/001", "/proc"),
    filesystem("config-linux/002", "/sys"),
    filesystem("config-linux/003", "/dev/pts"),
    filesystem("config-linux/004", "/dev/shm"),
    kind("config-linux/005", "pid", "a new pid namespace"),
    kind("config-linux/006", "network", "a new network namespace"),
    kind("config-linux/007", "mount", "a new mount namespace"),
    kind("config-linux/008", "ipc", "a new ipc namespace"),
    kind("config-linux/009", "uts", "a new uts namespace"),
    kind("config-linux/010", "user", "a new user namespace"),
    kind("config-linux/011", "cgroup", "a new cgroup namespace"),
    kind("config-linux/012", "time", "a new time namespace"),
    must(
        "config-linux/013",
        NAMESPACES,
        "type (string, REQUIRED) - namespace type.",
        "a namespace without type is refused",
        no_type,
    ),
    must(
        "config-linux/014",
        NAMESPACES,
        "This value MUST be an absolute path in the runtime mount namespace.",
        "a relative path of a namespace is refused",
        relative_path,
    ),
    of("config-linux/015", JOINED, Check::Of(joined, "pid"), "an existing pid namespace"),
    of("config-linux/016", JOINED, Check::Of(joined, "network"), "an existing network namespace"),
    of("config-linux/017", JOINED, Check::Of(joined, "mount"), "an existing mount namespace"),
    of("config-linux/018", JOINED, Check::Of(joined, "ipc"), "an existing ipc namespace"),
    of("config-linux/019", JOINED, Check::Of(joined, "uts"), "an existing uts namespace"),
    of("config-linux/020", JOINED, Check::Of(joined, "user"), "an existing user namespace"),
    of("config-linux/021", JOINED, Check::Of(joined, "cgroup"), "an existing cgroup namespace"),
    of("config-linux/022", JOINED, Check::Of(joined, "time"), "an existing time namespace"),
    must(
        "config-linux/023",
        NAMESPACES,
        "The runtime MUST generate an error if path is not associated with a namespace of type type.",
        "a namespace of another type, and a plain file, are refused",
        wrong_type,
    ),
    must(
        "config-linux/024",
        NAMESPACES,
        "If path is not specified, the runtime MUST create a new container namespace of type type.",
        "two containers have no namespace in common",
        all_new,
    ),
    of("config-linux/025", INHERITED, Check::Of(inherited, "pid"), "the runtime's pid namespace"),
    of(
        "config-linux/026",
        INHERITED,
        Check::Of(inherited, "network"),
        "the runtime's network namespace",
    ),
    of("config-linux/027", INHERITED, Check::Of(inherited, "ipc"), "the runtime's ipc namespace"),
    of("config-linux/028", INHERITED, Check::Of(inherited, "uts"), "the runtime's uts namespace"),
    of("config-linux/029", INHERITED, Check::Of(inherited, "user"), "the runtime's user namespace"),
    of(
        "config-linux/030",
        INHERITED,
        Check::Of(inherited, "cgroup"),
        "the runtime's cgroup namespace",
    ),
    of("config-linux/031", INHERITED, Check::Of(inherited, "time"), "the runtime's time namespace"),
    must(
        "config-linux/032",
        NAMESPACES,
        "If a namespaces field contains duplicated namespaces with same type, the runtime MUST generate an error.",
        "a type said twice is refused",
        duplicate,
    ),
    must(
        "config-linux/033",
        MAPPINGS,
        MAPPED,
        "uid_map and gid_map are what the configuration says",
        mapped,
    ),
    must(
        "config-linux/034",
        MAPPINGS,
        "containerID (uint32, REQUIRED) - is the starting uid/gid in the container.",
        "a map that does not begin at 0 is written so",
        mapped_from,
    ),
    must(
        "config-linux/035",
        MAPPINGS,
        "hostID (uint32, REQUIRED) - is the starting uid/gid on the host to be mapped to containerID.",
        "a file of the host's id belongs to the mapped id inside",
        mapped_owner,
    ),
    must(
        "config-linux/036",
        MAPPINGS,
        "size (uint32, REQUIRED) - is the number of ids to be mapped.",
        "a size of 0 is refused",
        no_size,
    ),
    should(
        "config-linux/037",
        MAPPINGS,
        "The runtime SHOULD NOT modify the ownership of referenced filesystems to realize the mapping.",
        "files of the root keep their owners on the host",
        ownership_kept,
    ),
    must(
        "config-linux/038",
        "#configLinuxTimeOffset",
        "timeOffsets (object, OPTIONAL) sets the offset for Time Namespace.",
        "both clocks are shifted by it",
        time_offsets,
    ),
];

const fn filesystem(id: &'static str, path: &'static str) -> Case {
    let text = "The following filesystems SHOULD be made available in each container's filesystem:";
    let check = Check::Of(available, path);
    Case { id, section: FILESYSTEMS, level: Should, text, what: path, check }
}

const fn kind(id: &'static str, kind: &'static str, what: &'static str) -> Case {
    let text = "The following namespace types SHOULD be supported:";
    let check = Check::Of(supported, kind);
    Case { id, section: NAMESPACES, level: Should, text, what, check }
}

const fn of(id: &'static str, text: &'static str, check: Check, what: &'static str) -> Case {
    Case { id, section: NAMESPACES, level: Must, text, what, check }
}

fn available(runtime: &Runtime, path: &'static str) -> Verdict {
    let kind = match path {
        "/proc" => "proc",
        "/sys" => "sysfs",
        "/dev/pts" => "devpts",
        _ => "tmpfs",
    };
    let ran = runtime.bundle()?.ask(["read /proc/self/mountinfo"]).run()?;
    let mount = ran.facts.mount(path)?;
    ensure!(mount.kind == kind, "{path} is {}", mount.kind);
    Ok(())
}

/// The name of a namespace type in `/proc`.
fn file(kind: &str) -> &str {
    match kind {
        "network" => "net",
        "mount" => "mnt",
        other => other,
    }
}

fn ours(kind: &str) -> Result<String, Not> {
    Ok(fs::read_link(format!("/proc/self/ns/{}", file(kind)))?.to_string_lossy().into_owned())
}

fn needs(runtime: &Runtime, kind: &str) -> Verdict {
    if !runtime.host.is(&format!("ns_{}", file(kind))) {
        skip!("{kind} namespaces in the kernel");
    }
    Ok(())
}

fn supported(runtime: &Runtime, kind: &'static str) -> Verdict {
    needs(runtime, kind)?;
    let bundle = runtime.bundle()?;
    let bundle = match kind {
        "user" => bundle.user_namespace(200_000, 1000)?,
        _ => bundle.namespace(kind, ""),
    };
    let container = hold(bundle, &[])?;
    let (theirs, ours) = (container.namespace(file(kind))?, ours(kind)?);
    ensure!(theirs != ours, "the container is in the runtime's {kind} namespace");
    Ok(())
}

fn no_type(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.push("/linux/namespaces", json!({"path": "/proc/self/ns/net"}));
    bundle.refused(false, "a namespace without type")
}

fn relative_path(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.namespace("network", "proc/self/ns/net");
    bundle.refused(false, "the namespace path \"proc/self/ns/net\"")
}

/// A process of the host that has one new namespace.
struct Holder {
    child: Child,
    path: String,
}

impl Holder {
    fn new(kind: &str) -> Result<Self, Not> {
        let mut command = Command::new("unshare");
        let (flags, link): (&[&str], &str) = match kind {
            "pid" => (&["--pid", "--fork"], "pid_for_children"),
            "network" => (&["--net"], "net"),
            "mount" => (&["--mount"], "mnt"),
            "user" => (&["--user", "--map-root-user"], "user"),
            "ipc" => (&["--ipc"], "ipc"),
            "uts" => (&["--uts"], "uts"),
            "cgroup" => (&["--cgroup"], "cgroup"),
            _ => (&["--time", "--fork"], "time_for_children"),
        };
        command.args(flags).args(["sleep", "60"]).stdin(Stdio::null());
        let Ok(child) = command.spawn() else { skip!("unshare (util-linux) to make a namespace") };
        let path = format!("/proc/{}/ns/{link}", child.id());
        let holder = Self { child, path };
        let ours = ours(kind)?;
        for _ in 0..1000 {
            let made = fs::read_link(&holder.path).is_ok_and(|now| now.to_string_lossy() != ours);
            // unshare(1) writes the maps of a user namespace after making it.
            let mapped = kind != "user"
                || fs::read_to_string(format!("/proc/{}/gid_map", holder.child.id()))
                    .is_ok_and(|map| !map.is_empty());
            if made && mapped {
                return Ok(holder);
            }
            thread::sleep(TICK);
        }
        fail!("the check itself could not work: unshare made no {kind} namespace")
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The process may have ended; then there is nothing to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn joined(runtime: &Runtime, kind: &'static str) -> Verdict {
    needs(runtime, kind)?;
    let holder = Holder::new(kind)?;
    let wanted = fs::read_link(&holder.path)?.to_string_lossy().into_owned();
    let bundle = runtime.bundle()?.namespace(kind, &holder.path);
    let bundle = if kind == "uts" { bundle.without("/hostname") } else { bundle };
    let container = hold(bundle, &[])?;
    let theirs = container.namespace(file(kind))?;
    ensure!(theirs == wanted, "the container is in {theirs}, the path is {wanted}");
    Ok(())
}

fn wrong_type(runtime: &Runtime) -> Verdict {
    let holder = Holder::new("uts")?;
    for kind in ["network", "ipc", "pid"] {
        let bundle = runtime.bundle()?.namespace(kind, &holder.path);
        bundle.refused(false, &format!("a {kind} namespace whose path is a uts namespace"))?;
    }
    let bundle = runtime.bundle()?;
    let plain = runtime.probe().display().to_string();
    bundle.namespace("network", &plain).refused(false, "a network namespace whose path is a file")
}

fn all_new(runtime: &Runtime) -> Verdict {
    let made = || -> Result<Bundle<'_>, Not> { Ok(runtime.bundle()?.namespace("cgroup", "")) };
    let (one, two) = (hold(made()?, &[])?, hold(made()?, &[])?);
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup"] {
        let (a, b) = (one.namespace(kind)?, two.namespace(kind)?);
        ensure!(a != b && a != ours(kind)?, "the {kind} namespace is not new: {a}, {b}");
    }
    Ok(())
}

fn inherited(runtime: &Runtime, kind: &'static str) -> Verdict {
    needs(runtime, kind)?;
    let bundle = runtime.bundle()?.without_namespace(kind);
    // A host name needs a uts namespace of one's own, sysfs a network namespace of one's own.
    let bundle = if kind == "uts" { bundle.without("/hostname") } else { bundle };
    let container = hold(bundle, &[])?;
    let (theirs, ours) = (container.namespace(file(kind))?, ours(kind)?);
    ensure!(theirs == ours, "the container is in {theirs}, the runtime in {ours}");
    Ok(())
}

fn duplicate(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.push("/linux/namespaces", json!({"type": "uts"}));
    bundle.refused(false, "two uts namespaces")
}

fn words(map: &str) -> Vec<&str> {
    map.split_whitespace().collect()
}

fn mapped(runtime: &Runtime) -> Verdict {
    let entry = |inside: u32, host: u32| json!({"containerID": inside, "hostID": host, "size": 10});
    let bundle = runtime
        .bundle()?
        .user_namespace(200_000, 10)?
        .set("/linux/uidMappings", json!([entry(0, 200_000), entry(10, 300_000)]));
    let container = hold(bundle, &[])?;
    let (uids, gids) = (container.proc("uid_map")?, container.proc("gid_map")?);
    ensure!(words(&uids) == ["0", "200000", "10", "10", "300000", "10"], "uid_map is {uids:?}");
    ensure!(words(&gids) == ["0", "200000", "10"], "gid_map is {gids:?}");
    Ok(())
}

fn mapped_from(runtime: &Runtime) -> Verdict {
    let map = json!([
        {"containerID": 0, "hostID": 200_000, "size": 1},
        {"containerID": 77, "hostID": 200_077, "size": 3},
    ]);
    let bundle = runtime.bundle()?.user_namespace(200_000, 1000)?;
    let bundle = bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let container = hold(bundle, &[])?;
    let uids = container.proc("uid_map")?;
    ensure!(words(&uids)[3..] == ["77", "200077", "3"], "uid_map is {uids:?}");
    Ok(())
}

fn mapped_owner(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.user_namespace(200_000, 1000)?.file("/etc/mine", "x")?;
    let path = bundle.rootfs().join("etc/mine");
    std::os::unix::fs::chown(path, Some(200_042), Some(200_043))?;
    let ran = bundle.ask(["stat /etc/mine"]).run()?;
    let stat = ran.facts.ok("stat /etc/mine")?;
    ensure!(stat["uid"] == 42 && stat["gid"] == 43, "inside it is {stat}");
    Ok(())
}

fn no_size(runtime: &Runtime) -> Verdict {
    let map = json!([{"containerID": 0, "hostID": 200_000, "size": 0}]);
    let bundle = runtime.bundle()?.namespace("user", "").set("/linux/gidMappings", map.clone());
    bundle.set("/linux/uidMappings", map).refused(false, "a mapping of size 0")
}

fn ownership_kept(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.user_namespace(200_000, 1000)?.file("/etc/root", "x")?;
    let path = bundle.rootfs().join("etc/root");
    let ran = bundle.run()?;
    let (file, probe) = (fs::metadata(path)?, fs::metadata(runtime.probe())?);
    ensure!(file.uid() == 0 && probe.uid() == 0, "root's files belong to {} now", file.uid());
    drop(ran);
    Ok(())
}

fn time_offsets(runtime: &Runtime) -> Verdict {
    needs(runtime, "time")?;
    let offset = |secs: i64| json!({"secs": secs, "nanosecs": 5});
    let offsets = json!({"monotonic": offset(5000), "boottime": offset(70_000)});
    let bundle = runtime.bundle()?.namespace("time", "").set("/linux/timeOffsets", offsets);
    let ran = bundle.ask(["clock monotonic", "clock boottime"]).run()?;
    for (clock, id, shift) in [
        ("monotonic", nix::time::ClockId::CLOCK_MONOTONIC, 5000),
        ("boottime", nix::time::ClockId::CLOCK_BOOTTIME, 70_000),
    ] {
        let now = nix::time::clock_gettime(id)?.tv_sec();
        let inside = ran.facts.ok(&format!("clock {clock}"))?.as_i64().unwrap_or(0);
        let seen = inside - now;
        ensure!((shift - 30..=shift).contains(&seen), "{clock} is shifted by {seen}, not {shift}");
    }
    Ok(())
}
