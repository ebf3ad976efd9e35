//! On a v2 mount in a mount namespace of the test's own.
//!
//! On a hybrid host it has no controllers but those that v1 leaves to it, so most limits are
//! refused there; everything else is the same as on a unified one.

use super::*;
use crate::sys::{bpf, clone, mount};

/// Runs a test with v2 at `/sys/fs/cgroup`, seen by nobody else.
fn in_v2_view(test: fn(&Fixture)) {
    if !root() {
        return skip("needs root");
    }
    let view = std::thread::spawn(move || {
        // A thread may have a mount namespace of its own; it stops sharing cwd and umask.
        clone::unshare(u64::from(libc::CLONE_NEWNS.cast_unsigned())).unwrap();
        let private = libc::MS_PRIVATE | libc::MS_REC;
        mount::mount(None, c"/", None, private, None).unwrap();
        mount::umount2(c"/sys/fs/cgroup", libc::MNT_DETACH).unwrap();
        mount::mount(Some(c"none"), c"/sys/fs/cgroup", Some(c"cgroup2"), 0, None).unwrap();
        let fixture = Fixture::new();
        assert_eq!(fixture.host.cgroup.mode, CgroupMode::Unified);
        test(&fixture);
    });
    if let Err(panic) = view.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn made_joined_frozen_killed_removed() {
    in_v2_view(|f| {
        let cgroup = f.create(json!({})).unwrap();
        assert!(cgroup.clone_into().is_some() && cgroup.join_fds().is_empty());
        let mut sleeper = Sleeper::new();
        cgroup.place(sleeper.pid()).unwrap();
        assert_eq!(cgroup.pids().unwrap(), [sleeper.pid()]);
        cgroup.freeze().unwrap();
        assert!(cgroup.frozen().unwrap());
        assert!(cgroup.kill(0).unwrap());
        assert!(cgroup.frozen().unwrap(), "still");
        let cgroup = Cgroup::open(cgroup.record());
        assert!(cgroup.kill(libc::SIGKILL).unwrap());
        assert_eq!(sleeper.signal(), Some(libc::SIGKILL));
        cgroup.remove().unwrap();
        assert!(!f.any_left());
    });
}

#[test]
fn used_or_frozen_cgroup_is_refused() {
    in_v2_view(|f| {
        let cgroup = f.create(json!({})).unwrap();
        let nested = Cgroup::create(&f.plan("/nested", json!({}))).unwrap();
        let sleeper = Sleeper::new();
        nested.place(sleeper.pid()).unwrap();
        let error = f.create(json!({})).unwrap_err().to_string();
        assert_eq!(error, "container's cgroup is not empty: 1 process(es) found");
        drop(sleeper);
        cgroup.freeze().unwrap();
        let error = f.create(json!({})).unwrap_err().to_string();
        assert_eq!(error, "container's cgroup unexpectedly frozen");
        cgroup.thaw().unwrap();
        f.create(json!({})).unwrap();
    });
}

#[test]
fn missing_controller_is_named() {
    in_v2_view(|f| {
        let root = Dir::mount(Path::new("/sys/fs/cgroup")).unwrap();
        if root.read("cgroup.controllers").unwrap().contains("pids") {
            return skip("v2 has the pids controller here");
        }
        for resources in [json!({"pids": {"limit": 3}}), json!({"unified": {"pids.max": "3"}})] {
            let error = f.create(resources).unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("(pids.max): controller \"pids\" is not available on this host"),
                "{error}"
            );
            assert!(error.hint.unwrap().contains("v1 hierarchy"));
        }
        assert!(!f.any_left());
    });
}

#[test]
fn unified_files_are_written_line_by_line() {
    in_v2_view(|f| {
        let files = json!({"cgroup.max.depth": "3", "cgroup.max.descendants": "5\n"});
        f.create(json!({"unified": files})).unwrap();
        assert_eq!(f.read("cgroup.max.depth"), "3");
        assert_eq!(f.read("cgroup.max.descendants"), "5");
        let error = f.create(json!({"unified": {"cgroup.nothing": "1"}})).unwrap_err().to_string();
        assert!(error.contains("cgroup.nothing: no such file or directory"), "{error}");
    });
}

#[test]
fn word_cannot_leave_the_directory() {
    in_v2_view(|f| {
        let cgroup = f.create(json!({})).unwrap();
        let dir = cgroup.v2().unwrap();
        for name in ["../cgroup.max.depth", "/proc/self/comm", ".."] {
            assert_eq!(
                dir.write(name, "1").unwrap_err().raw_os_error(),
                Some(match name {
                    ".." | "../cgroup.max.depth" | "/proc/self/comm" => libc::EXDEV,
                    _ => 0,
                })
            );
        }
    });
}

fn programs(cgroup: &Cgroup) -> usize {
    bpf::query_device_programs(cgroup.v2().unwrap(), &mut [0; 64]).unwrap()
}

/// Whether a process in the cgroup can open a node.
fn opens(f: &Fixture, node: &str) -> bool {
    let procs = f.dirs()[0].join("cgroup.procs");
    let script = format!("echo $$ > {} && : < {node}", procs.display());
    let quiet = Stdio::null;
    let status = Command::new("sh").args(["-c", &script]).stderr(quiet()).status().unwrap();
    status.success()
}

#[test]
fn device_program_decides_and_is_replaced() {
    in_v2_view(|f| {
        let closed = f.create(json!({})).unwrap();
        assert_eq!(programs(&closed), 0);
        assert!(opens(f, "/dev/kmsg"));
        closed.limit_devices().unwrap();
        assert_eq!(programs(&closed), 1);
        assert!(opens(f, "/dev/null"));
        assert!(!opens(f, "/dev/kmsg"));
        let allowing = json!({"devices": [{"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}]});
        let open = f.create(allowing).unwrap();
        open.limit_devices().unwrap();
        assert_eq!(programs(&open), 1, "in the place of the first");
        assert!(opens(f, "/dev/kmsg"));
        let all = f.create(json!({"devices": [{"allow": true, "access": "rwm"}]})).unwrap();
        all.limit_devices().unwrap();
        assert_eq!(programs(&all), 0);
    });
}

#[test]
fn container_gets_its_directory_and_the_safe_files() {
    in_v2_view(|f| {
        let mut plan = f.plan("", json!({}));
        plan.owner = Some(12_345);
        let cgroup = Cgroup::create(&plan).unwrap();
        let owner = |name: &str| {
            use std::os::unix::fs::MetadataExt;
            std::fs::metadata(f.dirs()[0].join(name)).unwrap().uid()
        };
        for (name, uid) in [
            ("", 12_345),
            ("cgroup.procs", 12_345),
            ("cgroup.subtree_control", 12_345),
            ("cgroup.max.depth", 0),
            ("cgroup.freeze", 0),
        ] {
            assert_eq!(owner(name), uid, "{name:?}");
        }
        cgroup.remove().unwrap();
    });
}

#[test]
fn threaded_tree_is_met_without_domain_controllers() {
    in_v2_view(|f| {
        let outer = f.create(json!({})).unwrap();
        let inner = Cgroup::create(&f.plan("/inner", json!({}))).unwrap();
        // No thread below a cgroup that hands domain controllers down.
        let handed = f.read("cgroup.subtree_control");
        for controller in handed.split_whitespace() {
            let off = format!("-{controller}");
            outer.v2().unwrap().write("cgroup.subtree_control", &off).unwrap();
        }
        inner.v2().unwrap().write("cgroup.type", "threaded").unwrap();
        let beside = Cgroup::create(&f.plan("/beside", json!({}))).unwrap();
        assert_eq!(beside.v2().unwrap().read("cgroup.type").unwrap(), "threaded\n");
        let error = Cgroup::create(&f.plan("/more", json!({"memory": {"limit": 9}}))).unwrap_err();
        assert!(error.to_string().contains("cannot limit memory: the cgroup is domain invalid"));
        outer.remove().unwrap();
        assert!(!f.any_left());
    });
}

#[test]
fn refused_clone_is_explained() {
    in_v2_view(|f| {
        let cgroup = f.create(json!({})).unwrap();
        let explained = |errno| {
            let error = std::io::Error::from_raw_os_error(errno);
            cgroup.explain_clone(Error::io(Step::Clone, "", error))
        };
        for (errno, words) in [
            (libc::EBUSY, "hands controllers"),
            (libc::EOPNOTSUPP, "threaded"),
            (libc::EACCES, "delegated"),
        ] {
            let error = explained(errno);
            assert!(error.on.contains("unable to apply cgroup configuration"), "{error}");
            assert!(error.hint.unwrap().contains(words));
        }
        assert_eq!(explained(libc::EAGAIN).step, Step::Clone);
    });
}

#[test]
fn controllers_are_handed_down_to_the_container() {
    in_v2_view(|f| {
        let root = Dir::mount(Path::new("/sys/fs/cgroup")).unwrap();
        let all = root.read("cgroup.controllers").unwrap();
        if !all.contains("hugetlb") {
            return skip("v2 has no hugetlb controller here");
        }
        let sizes: Vec<_> = std::fs::read_dir("/sys/kernel/mm/hugepages").unwrap().collect();
        let limits = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]});
        let deep = Cgroup::create(&f.plan("/a/b", limits)).unwrap();
        let dir = deep.v2().unwrap();
        assert_eq!(dir.read("cgroup.controllers").unwrap(), all);
        assert!(!sizes.is_empty());
        for file in ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"] {
            assert_eq!(dir.number(file).unwrap(), Some(4_194_304), "{file}");
        }
    });
}

#[test]
fn cgroup_with_processes_hands_nothing_down() {
    in_v2_view(|f| {
        let root = Dir::mount(Path::new("/sys/fs/cgroup")).unwrap();
        if !root.read("cgroup.controllers").unwrap().contains("hugetlb") {
            return skip("v2 has no hugetlb controller here");
        }
        let outer = f.create(json!({})).unwrap();
        let sleeper = Sleeper::new();
        outer.place(sleeper.pid()).unwrap();
        let limits = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]});
        let error = Cgroup::create(&f.plan("/inner", limits)).unwrap_err();
        let words = format!(
            "controller \"hugetlb\" is not available: {} has processes of its own, so it hands \
             no controllers down",
            f.dirs()[0].display()
        );
        assert!(error.to_string().ends_with(&words), "{error}");
        assert!(error.hint.unwrap().contains("only in the leaves"));
    });
}

#[test]
fn rootless_without_rights_needs_a_cgroup_only_for_limits() {
    in_v2_view(|f| {
        let forgiving = |resources| CgroupPlan { forgiving: true, ..f.plan("", resources) };
        let read_only = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
        mount::mount(None, c"/sys/fs/cgroup", None, read_only, None).unwrap();
        let none = Cgroup::create(&forgiving(json!({}))).unwrap();
        assert!(none.is_none() && none.clone_into().is_none());
        none.limit_devices().unwrap();
        let error = Cgroup::create(&forgiving(json!({"pids": {"limit": 3}}))).unwrap_err();
        let words = "rootless needs no limits + no cgrouppath when no permission is granted for \
                     cgroups";
        assert!(error.to_string().contains(words), "{error}");
        let error = f.create(json!({})).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "cgroup {}: unable to apply cgroup configuration: read-only file system",
                f.dirs()[0].display()
            )
        );
        let writable = libc::MS_REMOUNT | libc::MS_BIND;
        mount::mount(None, c"/sys/fs/cgroup", None, writable, None).unwrap();
    });
}

#[test]
fn limits_on_cgroups_themselves_are_explained() {
    in_v2_view(|f| {
        let outer = f.create(json!({"unified": {"cgroup.max.descendants": "0"}})).unwrap();
        let error = Cgroup::create(&f.plan("/a", json!({}))).unwrap_err();
        assert_eq!(error.errno(), Some(libc::EAGAIN));
        assert!(error.hint.unwrap().contains("cgroup.max.descendants"));
        outer.remove().unwrap();
    });
}
