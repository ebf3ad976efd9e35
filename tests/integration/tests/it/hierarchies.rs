//! Hosts whose cgroups are mounted in odd ways, each laid over `/sys/fs/cgroup` in a mount namespace of its own:
//! none at all, names without controllers, controllers that only v2 has, and v2 at the hybrid place alone.

use harness::{Bundle, need};
use serde_json::json;

/// Nothing is mounted.
const NONE: &str = "umount -l /sys/fs/cgroup";
/// systemd's own v1 hierarchy, and no controller.
const NAMED: &str = "umount -l /sys/fs/cgroup && mount -t tmpfs none /sys/fs/cgroup &&
    mkdir /sys/fs/cgroup/systemd && mount -t cgroup -o none,name=systemd none /sys/fs/cgroup/systemd";
/// v2 where a hybrid host has it, and nothing else.
const ALONE: &str = "umount -l /sys/fs/cgroup && mount -t tmpfs none /sys/fs/cgroup &&
    mkdir /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified";
/// A hybrid host without a v1 hierarchy of pids.
const WITHOUT_PIDS: &str = "view=$DIR/view && mkdir -p $view && mount -t tmpfs none $view && mkdir $view/unified &&
    mount -t cgroup2 none $view/unified || exit 99
    for dir in /sys/fs/cgroup/*; do
        case $dir in */pids | */unified) continue ;; esac
        [ ! -e $dir/cgroup.procs ] || { mkdir $view/${dir##*/} && mount --bind $dir $view/${dir##*/}; } || exit 99
    done
    umount -l /sys/fs/cgroup && mount --rbind $view /sys/fs/cgroup";

/// A bundle without limits on a host that looks like that.
fn on(view: &str) -> Bundle {
    let bundle = Bundle::new().unset("/linux/resources");
    let dir = bundle.place().dir().display().to_string();
    let script = format!("DIR={dir}\n{{ {view}\n}} || exit 99\nexec \"$@\"");
    bundle.under(&["unshare", "-m", "--propagation", "private", "sh", "-c", &script, "sh"])
}

/// What a refusal says, its hint included; nothing is left.
fn refused(bundle: &Bundle) -> String {
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    let _ = output.refused();
    let left = bundle.place().settled();
    assert!(left.is_empty(), "{left}{output:#?}");
    output.stderr
}

fn pids() -> serde_json::Value {
    json!({ "pids": { "limit": 20 } })
}

/// Without any cgroup there is no container, and the remedy is told; a caller that takes cgroups on itself
/// says so.
///
/// runc: refuses too, without a remedy; crun: has the same flag.
#[test]
fn without_cgroups_the_mount_is_told() {
    need!(root);
    let words = refused(&on(NONE));
    assert!(words.contains("no cgroup file system is mounted"), "{words}");
    assert!(words.contains("mount -t cgroup2 none /sys/fs/cgroup"), "{words}");
    let words = refused(&on(NONE).set("/linux/resources", pids()));
    assert!(words.contains("linux.resources.pids.limit"), "{words}");
    assert!(words.contains("mount -t cgroup2 none /sys/fs/cgroup"), "{words}");
    let c = on(NONE).global(&["--cgroup-manager=disabled"]).probe(["pid"]).run();
    assert_eq!(c.fact("pid"), "1");
}

/// A v1 host with names alone cannot keep a container from devices: refused, as is every limit.
///
/// runc: refuses too (`mountpoint for devices not found`).
#[test]
fn names_without_controllers_are_not_enough() {
    need!(root);
    let words = refused(&on(NAMED));
    assert!(words.contains("cannot set devices limit"), "{words}");
    assert!(words.contains("/sys/fs/cgroup/devices"), "{words}");
    let words = refused(&on(NAMED).set("/linux/resources", pids()));
    assert!(words.contains("linux.resources.pids.limit"), "{words}");
}

/// A controller that only v2 has limits nothing on a hybrid host: refused with both ways out. What is not
/// limited runs, in its place in every hierarchy.
///
/// runc 1.5.0: `container could not join or create cgroup`.
#[test]
fn a_controller_that_only_v2_has_is_explained() {
    need!(root, cgroup_v1);
    let words = refused(&on(WITHOUT_PIDS).set("/linux/resources", pids()));
    assert!(words.contains("cannot set pids limit"), "{words}");
    assert!(words.contains("systemd.unified_cgroup_hierarchy=1"), "{words}");
    let c = on(WITHOUT_PIDS).probe(["read", "/proc/self/cgroup"]).run();
    let seen = c.fact("read");
    assert!(seen.lines().any(|line| line.starts_with("0::/corten-cit-")), "{seen}");
    assert!(seen.lines().any(|line| line.contains("memory:/corten-cit-")), "{seen}");
}

/// v2 at the hybrid place alone is taken for what it is.
///
/// runc 1.5.0: finds no cgroup mount.
#[test]
fn v2_alone_at_the_hybrid_place_is_used() {
    need!(root);
    let c = on(ALONE).probe(["read", "/proc/self/cgroup"]).run();
    let seen = c.fact("read");
    assert!(seen.lines().any(|line| line.starts_with("0::/corten-cit-")), "{seen}");
}
