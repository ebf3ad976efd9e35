//! Golden plans and every refusal, without root.

use super::*;
use crate::plan::mount_options::{Attrs, Propagation, attr, ms};

struct Case<'a> {
    linux: &'a str,
    mounts: &'a str,
    cgroup: CgroupMounts,
    change: fn(&mut Request<'_>),
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self { linux: "{}", mounts: "[]", cgroup: CgroupMounts::default(), change: |_| {} }
    }
}

impl Case<'_> {
    fn plan(&self) -> Result<Mounts> {
        let text = format!(
            r#"{{"ociVersion": "1.3.0", "root": {{"path": "rootfs", "readonly": true}},
                 "linux": {}, "mounts": {}}}"#,
            self.linux, self.mounts
        );
        let spec: Spec = serde_json::from_str(&text).unwrap();
        let mut request = Request {
            spec: &spec,
            last: None,
            rootfs: Path::new("/b/rootfs"),
            bundle: Path::new("/b"),
            mount_namespace: true,
            user_namespace: false,
            rootless: false,
            no_pivot: false,
            cgroup: &self.cgroup,
        };
        (self.change)(&mut request);
        build(&request)
    }
}

fn one(mounts: &str) -> MountOp {
    let mounts = format!("[{mounts}]");
    Case { mounts: &mounts, ..Case::default() }.plan().unwrap().list.remove(0)
}

fn refused(mounts: &str) -> String {
    let mounts = format!("[{mounts}]");
    Case { mounts: &mounts, ..Case::default() }.plan().unwrap_err().to_string()
}

fn fs(op: &MountOp) -> &Fs {
    match &op.action {
        Action::Fs(fs) => fs,
        other => panic!("{other:?}"),
    }
}

fn bind(op: &MountOp) -> &Bind {
    match &op.action {
        Action::Bind(bind) => bind,
        other => panic!("{other:?}"),
    }
}

fn params(fs: &Fs) -> Vec<String> {
    let text = |text: &CString| text.to_string_lossy().into_owned();
    fs.params
        .iter()
        .map(|param| match &param.value {
            Some(value) => format!("{}={}", text(&param.key), text(value)),
            None => text(&param.key),
        })
        .collect()
}

#[test]
fn the_default_bundle() {
    let mounts = r#"[
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "gid=5"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs",
         "options": ["nosuid", "noexec", "nodev", "ro"]}]"#;
    let linux = r#"{"maskedPaths": ["/proc/kcore", "/proc//kcore", "/sys/firmware"],
        "readonlyPaths": ["/proc/sys"], "rootfsPropagation": "rslave"}"#;
    let plan = Case { mounts, linux, ..Case::default() }.plan().unwrap();
    let words: Vec<String> = plan.list.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            r#""proc" to rootfs at "/proc""#,
            r#""tmpfs" to rootfs at "/dev""#,
            r#""devpts" to rootfs at "/dev/pts""#,
            r#""sysfs" to rootfs at "/sys""#,
        ]
    );
    assert_eq!(plan.list[0].place, Place::Directory);
    assert_eq!(plan.list[3].place, Place::Directory);
    assert_eq!(params(fs(&plan.list[1])), ["mode=755", "size=65536k"]);
    assert_eq!(fs(&plan.list[1]).attrs, attr::NOSUID | attr::STRICTATIME);
    assert_eq!(params(fs(&plan.list[2])), ["newinstance", "ptmxmode=0666", "gid=5"]);
    assert_eq!(params(fs(&plan.list[3])), ["ro"]);
    let all = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC;
    assert_eq!(fs(&plan.list[3]).attrs, all);
    assert!(!plan.list.iter().any(|op| op.late_readonly || fs(op).legacy));
    assert!(plan.readonly && plan.dev.is_some() && plan.notes.is_empty());
    assert_eq!(plan.masked.len(), 2, "the second kcore is the first");
    assert_eq!(plan.readonly_paths[0].to_string(), "/proc/sys");
    assert_eq!(plan.propagation, Some(Propagate { kind: Propagation::Slave, recursive: true }));
    assert_eq!(plan.first_cgroup(), 4);
    assert!(serde_json::to_string(&plan).unwrap().contains(r#""rootfs":"/b/rootfs""#));
}

#[test]
fn only_a_procfs_may_cover_proc() {
    for (destination, kind) in [
        ("/proc", r#""type": "tmpfs""#),
        ("//proc/./", r#""type": "overlay", "source": "/proc""#),
        ("/x/../proc", r#""type": "tmpfs""#),
        ("proc", r#""type": "sysfs""#),
    ] {
        let text = refused(&format!(r#"{{"destination": "{destination}", {kind}}}"#));
        assert!(
            text.contains(r#""/proc" cannot be mounted because it is not of type proc"#),
            "{text}"
        );
    }
    for (destination, kind) in [
        ("/proc/sys", r#""type": "bind", "source": "/proc/sys", "options": ["bind"]"#),
        ("/proc/self/attr", r#""type": "tmpfs""#),
        ("/proc/..//proc/net/dev", r#""type": "none", "source": "/x", "options": ["rbind"]"#),
        ("/proc/sys/kernel", r#""type": "proc""#),
    ] {
        let text = refused(&format!(r#"{{"destination": "{destination}", {kind}}}"#));
        assert!(text.contains("cannot be mounted because it is inside /proc"), "{text}");
    }
    assert_eq!(one(r#"{"destination": "/process", "type": "tmpfs"}"#).place, Place::Plain);
    let op = one(r#"{"destination": "/proc", "source": "/proc", "options": ["rbind"]}"#);
    assert!(bind(&op).procfs_only && op.place == Place::Directory);
    let op = one(r#"{"destination": "/proc/uptime", "source": "/x", "options": ["bind"]}"#);
    assert_eq!(op.place, Place::ProcFile);
}

#[test]
fn bind_flags_are_exact_or_added_to_locked_ones() {
    let plain = one(r#"{"destination": "/a", "source": "s", "options": ["rbind"]}"#);
    assert_eq!(bind(&plain).source.to_bytes(), b"/b/s", "relative to the bundle");
    assert_eq!((bind(&plain).exact, bind(&plain).recursive), (None, true));

    let op = one(r#"{"destination": "/a", "source": "/s", "options": ["bind", "ro", "noexec"]}"#);
    let set = attr::RDONLY | attr::NOEXEC;
    let clear = attr::NOSUID | attr::NODEV | attr::NOSYMFOLLOW;
    assert_eq!(bind(&op).exact, Some(Attrs { set, clear }), "access times stay");
    assert_eq!(bind(&op).named, Attrs { set, clear: attr::NOSYMFOLLOW });

    let op = one(r#"{"destination": "/a", "source": "/s", "options": ["bind", "dev", "noatime"]}"#);
    let Some(exact) = bind(&op).exact else { panic!() };
    assert_eq!(exact.set, attr::NOATIME);
    assert_eq!(exact.clear & (attr::ATIME | attr::NODIRATIME), attr::ATIME | attr::NODIRATIME);
    let clear = attr::NODEV | attr::ATIME | attr::NODIRATIME | attr::NOSYMFOLLOW;
    assert_eq!(bind(&op).named, Attrs { set: attr::NOATIME, clear });

    let op = one(r#"{"destination": "/a", "source": "/s", "options": ["bind", "diratime"]}"#);
    let Some(exact) = bind(&op).exact else { panic!() };
    assert_eq!(exact.clear & (attr::ATIME | attr::NODIRATIME), 0, "a negation changes nothing");
}

#[test]
fn a_bind_that_holds_the_rootfs_is_taken_early() {
    for (source, early) in [("/", true), ("/b/", true), ("/b/rootfs", true), ("/b/./x/..", true)] {
        let op = format!(r#"{{"destination": "/a", "source": "{source}", "options": ["rbind"]}}"#);
        assert_eq!(bind(&one(&op)).early, early, "{source}");
    }
    for source in ["/bb", "/b/rootfs/x", "rootfs2"] {
        let op = format!(r#"{{"destination": "/a", "source": "{source}", "options": ["rbind"]}}"#);
        assert!(!bind(&one(&op)).early, "{source}");
    }
    assert!(!bind(&one(r#"{"destination": "/a", "source": "/", "options": ["bind"]}"#)).early);
}

#[test]
fn a_destination_with_the_rootfs_in_front_is_taken_as_meant() {
    let op = one(r#"{"destination": "/b/rootfs/x", "type": "tmpfs"}"#);
    assert!(op.target.is("x"));
    let op = one(r#"{"destination": "/b/rootfsx", "type": "tmpfs"}"#);
    assert!(op.target.is("b/rootfsx"));
    assert!(
        refused(r#"{"destination": "/b/rootfs/proc/sys", "type": "tmpfs"}"#).contains("inside")
    );
    assert!(refused(r#"{"destination": "/b/rootfs", "type": "tmpfs"}"#).contains("itself"));
}

#[test]
fn data_on_a_bind_is_noted() {
    let mounts = r#"[{"destination": "a", "source": "/s", "options": ["bind", "mode=755"]}]"#;
    let plan = Case { mounts, ..Case::default() }.plan().unwrap();
    assert_eq!(plan.notes.len(), 2, "{:?}", plan.notes);
    assert!(plan.notes[0].contains("relative") && plan.notes[1].contains("mode=755"));
}

#[test]
fn long_parameters_and_odd_flags_need_the_old_call() {
    let lower = "/l:".repeat(100);
    let op = one(&format!(
        r#"{{"destination": "/o", "type": "overlay", "source": "overlay",
            "options": ["lowerdir={lower}", "ro"]}}"#
    ));
    assert!(fs(&op).legacy);
    assert_eq!(fs(&op).data.to_bytes(), format!("lowerdir={lower}").as_bytes());
    assert_eq!(fs(&op).flags, ms::RDONLY);
    assert!(fs(&one(r#"{"destination": "/o", "type": "ext4", "options": ["iversion"]}"#)).legacy);
}

#[test]
fn a_readonly_tmpfs_is_closed_late() {
    let op = one(r#"{"destination": "/run", "type": "tmpfs", "options": ["ro", "tmpcopyup"]}"#);
    assert!(op.late_readonly && fs(&op).copy_up && fs(&op).mode_of_target);
    assert_eq!(fs(&op).attrs & attr::RDONLY, 0);
    assert_eq!(params(fs(&op)), Vec::<String>::new());
    let op = one(r#"{"destination": "/run", "type": "tmpfs", "options": ["mode=1777"]}"#);
    assert!(!op.late_readonly && !fs(&op).mode_of_target);
}

#[test]
fn the_label_goes_where_a_label_belongs() {
    let linux = r#"{"mountLabel": "system_u:object_r:t:s0:c1,c2"}"#;
    let mounts = r#"[{"destination": "/t", "type": "tmpfs", "options": ["size=1k"]},
                     {"destination": "/proc", "type": "proc"},
                     {"destination": "/q", "type": "mqueue"}]"#;
    let plan = Case { mounts, linux, ..Case::default() }.plan().unwrap();
    let label = "context=system_u:object_r:t:s0:c1,c2";
    assert_eq!(params(fs(&plan.list[0])), ["size=1k", label]);
    let data = br#"size=1k,context="system_u:object_r:t:s0:c1,c2""#;
    assert_eq!(fs(&plan.list[0]).data.to_bytes(), data);
    assert!(params(fs(&plan.list[1])).is_empty() && params(fs(&plan.list[2])).is_empty());
    assert!(plan.label.is_some());
}

#[test]
fn cgroup_mounts_follow_the_host() {
    let mounts = r#"[{"destination": "/t", "type": "tmpfs"},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", "ro"]}]"#;
    let hierarchies = vec![
        CgroupHierarchy {
            name: "cpu,cpuacct".into(),
            data: "cpu,cpuacct".into(),
            dir: "/c/x".into(),
        },
        CgroupHierarchy { name: "systemd".into(), data: "name=systemd".into(), dir: "/s/x".into() },
    ];
    let cgroup = CgroupMounts { hierarchies, namespace: true, ..CgroupMounts::default() };
    let plan = Case { mounts, cgroup, ..Case::default() }.plan().unwrap();
    assert_eq!(plan.first_cgroup(), 1);
    let Action::CgroupV1(v1) = &plan.list[1].action else { panic!() };
    assert!(v1.readonly && v1.namespace && v1.attrs & attr::RDONLY != 0);
    assert_eq!(v1.hierarchies[0].links.len(), 2);
    assert_eq!(params(&v1.hierarchies[0].fs), ["ro", "cpu", "cpuacct"]);
    assert_eq!(params(&v1.hierarchies[1].fs), ["ro", "name=systemd"]);
    assert_eq!(v1.hierarchies[1].fs.source.to_bytes(), b"systemd");
    assert!(v1.hierarchies[1].links.is_empty());

    for (namespace, fallback) in [(true, "/own"), (false, "/sys/fs/cgroup")] {
        let cgroup = CgroupMounts {
            unified: true,
            namespace,
            own: Some("/own".into()),
            ..CgroupMounts::default()
        };
        let plan = Case { mounts, cgroup, ..Case::default() }.plan().unwrap();
        let Action::CgroupV2(v2) = &plan.list[1].action else { panic!() };
        assert_eq!(v2.fallback.to_bytes(), fallback.as_bytes());
        assert_eq!(v2.fs.fstype.to_bytes(), b"cgroup2");
    }
}

#[test]
fn id_maps_come_from_the_mount_or_the_container() {
    let own = one(r#"{"destination": "/a", "source": "/s", "options": ["rbind", "ridmap"],
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 2}],
            "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 2}]}"#);
    let map = bind(&own).id_map.as_ref().unwrap();
    let lines = "0 1000 2\n".to_owned();
    let maps = UserNamespace::Maps { uid: lines.clone(), gid: lines };
    assert_eq!((map.recursive, &map.user_namespace), (true, &maps));

    let mounts = r#"[{"destination": "/a", "source": "/s", "options": ["bind", "idmap"]}]"#;
    let linux = r#"{"namespaces": [{"type": "user", "path": "/proc/1/ns/user"}]}"#;
    let plan = Case { mounts, linux, ..Case::default() }.plan().unwrap();
    let map = bind(&plan.list[0]).id_map.as_ref().unwrap();
    assert_eq!(map.user_namespace, UserNamespace::Path(c"/proc/1/ns/user".to_owned()));

    let text = Case { mounts, ..Case::default() }.plan().unwrap_err().to_string();
    assert!(text.contains("both uid and gid mappings"), "{text}");
    let rootless = Case { mounts, linux, change: |r| r.rootless = true, ..Case::default() };
    assert!(rootless.plan().unwrap_err().to_string().contains("rootless"));
    let text = refused(r#"{"destination": "/a", "type": "tmpfs", "options": ["idmap"]}"#);
    assert!(text.contains("only supported for bind-mounts"), "{text}");
}

#[test]
fn refusals_name_the_entry() {
    let text = refused(r#"{"destination": "/", "type": "tmpfs"}"#);
    assert_eq!(
        text,
        "invalid config mounts[0] /: the mount would cover the root file system itself"
    );
    assert!(refused(r#"{"destination": "/a"}"#).contains("no type"));
    assert!(refused(r#"{"destination": "/a", "options": ["bind"]}"#).contains("no source"));
    let text = refused(r#"{"destination": "/a", "source": "/", "options": ["bind", "tmpcopyup"]}"#);
    assert!(text.contains("only with tmpfs"), "{text}");
    for word in ["copy-symlink", "src-nofollow", "dest-nofollow"] {
        let text = refused(&format!(
            r#"{{"destination": "/a", "source": "/s", "options": ["bind", "{word}"]}}"#
        ));
        assert!(text.contains(&format!("option \"{word}\" is not supported")), "{text}");
    }
    assert!(refused(r#"{"destination": "/a\u0000", "type": "tmpfs"}"#).contains("NUL"));
}

#[test]
fn paths_and_propagation_are_checked() {
    let refused = |linux: &str, change: fn(&mut Request<'_>)| {
        Case { linux, change, ..Case::default() }.plan().unwrap_err().to_string()
    };
    assert!(refused(r#"{"maskedPaths": ["/"]}"#, |_| {}).contains("root directory itself"));
    let text = refused(r#"{"readonlyPaths": ["/a"]}"#, |r| r.mount_namespace = false);
    assert!(text.contains("without a private MNT namespace"), "{text}");
    let text = refused(r#"{"rootfsPropagation": "sharedd"}"#, |_| {});
    assert!(text.contains("rootfsPropagation=sharedd is not supported"), "{text}");
    let text = refused(r#"{"rootfsPropagation": "rprivate"}"#, |r| r.no_pivot = true);
    assert!(text.contains("not safe without pivot_root"), "{text}");
}

#[test]
fn a_bound_dev_is_left_alone() {
    let mounts = r#"[{"destination": "/dev/", "source": "/dev", "options": ["rbind"]}]"#;
    assert_eq!(Case { mounts, ..Case::default() }.plan().unwrap().dev, None);
}
