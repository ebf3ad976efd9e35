//! Control group mounts and the procfs of our own.

use super::inside::{hold, readonly, reads, stat};
use super::*;
use crate::create::rootfs::proc::{open_private, write_proc, write_self};
use crate::plan::mounts::CgroupHierarchy;
use crate::sys::fd::open;
use crate::sys::mount::mount;

const CGROUP: &str = r#"[{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
    "options": ["nosuid", "noexec", "nodev", "ro"]}]"#;

fn cgroup_plan(scene: &Scene, cgroup: &CgroupMounts) -> Mounts {
    scene.plan_in(CGROUP, "{}", cgroup, |_| {})
}

#[test]
fn v1_hierarchies_are_bound_read_only() {
    let Some(scene) = Scene::new() else { return };
    for name in ["cpu,cpuacct", "pids"] {
        fs::create_dir_all(scene.path("cg").join(name)).unwrap();
        fs::write(scene.path("cg").join(name).join("tasks"), name).unwrap();
    }
    let hierarchy = |name: &str| CgroupHierarchy {
        name: name.into(),
        data: name.into(),
        dir: scene.path("cg").join(name),
    };
    let hierarchies = vec![hierarchy("cpu,cpuacct"), hierarchy("pids")];
    let cgroup = CgroupMounts { hierarchies, ..CgroupMounts::default() };
    let plan = cgroup_plan(&scene, &cgroup);
    scene
        .run(&plan, USUAL, || {
            hold(1, reads(c"/sys/fs/cgroup/cpu/tasks", b"cpu,cpuacct")?)?;
            hold(2, reads(c"/sys/fs/cgroup/pids/tasks", b"pids")?)?;
            hold(3, stat(c"/sys/fs/cgroup/cpuacct")?.is(libc::S_IFLNK))?;
            hold(4, readonly(c"/sys/fs/cgroup/new") && readonly(c"/sys/fs/cgroup/pids/new"))?;
            hold(5, stat(c"/sys/fs/cgroup")?.mode & 0o7777 == 0o755)
        })
        .unwrap();
}

/// The host's hierarchies, whichever it has: hugetlb is left alone, for a v1 mount of it takes it
/// away from v2 for the whole machine.
fn host_hierarchies() -> Vec<CgroupHierarchy> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let v1 = table.lines().filter(|line| line.contains(" - cgroup "));
    v1.filter_map(|line| {
        let point = line.split(' ').nth(4)?;
        let name = point.rsplit('/').next()?.to_owned();
        let named = name == "systemd" || name == "hugetlb";
        (!named).then(|| CgroupHierarchy { data: name.clone(), name, dir: point.into() })
    })
    .collect()
}

#[test]
fn in_a_cgroup_namespace_hierarchies_are_mounted() {
    let Some(scene) = Scene::new() else { return };
    let hierarchies = host_hierarchies();
    let unified = hierarchies.is_empty();
    let cgroup = CgroupMounts { hierarchies, unified, namespace: true, ..CgroupMounts::default() };
    let plan = cgroup_plan(&scene, &cgroup);
    let check: fn() -> io::Result<()> = match unified {
        true => || {
            hold(1, stat(c"/sys/fs/cgroup/cgroup.procs").is_ok())?;
            hold(2, readonly(c"/sys/fs/cgroup/new"))
        },
        false => || {
            let pids = stat(c"/sys/fs/cgroup/pids/cgroup.procs").is_ok();
            hold(3, pids || stat(c"/sys/fs/cgroup/memory/cgroup.procs").is_ok())?;
            hold(4, readonly(c"/sys/fs/cgroup/new"))?;
            for path in [c"/sys/fs/cgroup/pids", c"/sys/fs/cgroup/memory"] {
                if let Ok(dir) = open(path, libc::O_PATH) {
                    hold(5, crate::sys::fd::fs_flags(dir)? & libc::ST_RDONLY != 0)?;
                }
            }
            Ok(())
        },
    };
    scene.run(&plan, USUAL | crate::sys::clone::CLONE_NEWCGROUP, check).unwrap();
    // The v2 hierarchy of a hybrid host can be mounted just as well.
    let cgroup = CgroupMounts { unified: true, namespace: true, ..CgroupMounts::default() };
    let plan = cgroup_plan(&scene, &cgroup);
    scene
        .run(&plan, USUAL | crate::sys::clone::CLONE_NEWCGROUP, || {
            hold(6, stat(c"/sys/fs/cgroup/cgroup.procs").is_ok())?;
            hold(7, readonly(c"/sys/fs/cgroup/new"))
        })
        .unwrap();
}

/// CVE-2019-16884, CVE-2025-52881: neither a fake `/proc` nor a mount over a file of it is
/// believed or even seen.
#[test]
fn writes_to_proc_go_to_the_kernel() {
    let Some(scene) = Scene::new() else { return };
    scene.mkdir("proc");
    let plan = scene.plan(r#"[{"destination": "/proc", "type": "proc"}]"#, "{}", false);
    scene
        .run(&plan, USUAL, || {
            mount(Some(c"/dev/null"), c"/proc/1/comm", None, libc::MS_BIND, None)?;
            hold(1, reads(c"/proc/1/comm", b"")?)?;
            let proc = open_private().map_err(|_| io::Error::from_raw_os_error(20_090))?;
            write_self(&proc, c"comm", b"written")?;
            crate::sys::mount::umount2(c"/proc/1/comm", 0)?;
            hold(2, reads(c"/proc/1/comm", b"written\n")?)?;
            write_proc(&proc, c"1/comm", b"again")?;
            hold(3, reads(c"/proc/1/comm", b"again\n")?)?;
            for path in [c"self/comm", c"1/root/proc/1/comm", c"../proc/1/comm", c"1/exe"] {
                hold(4, write_proc(&proc, path, b"x").is_err())?;
            }
            hold(5, open(c"/proc/1/comm", libc::O_RDONLY).is_ok())
        })
        .unwrap();
}
