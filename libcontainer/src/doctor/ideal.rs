//! A host that lacks nothing: for tests, to take things away from.

use super::facts::{Cgroups, Facts, Mount, PATHS, Sealing, StateRoot};
use super::user::{Program, User};
use crate::host::Host;

/// The texts of a host that is as it should be.
const TEXTS: [(&str, &str); 30] = [
    ("/etc/subgid", "user:100000:65536\n"),
    ("/etc/subuid", "other:200000:65536\n1000:100000:65536\n"),
    ("/proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t90\t1\n"),
    ("/proc/cmdline", "root=/dev/sda1 quiet\n"),
    (
        "/proc/filesystems",
        "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevpts\nnodev\tmqueue\nnodev\toverlay\n\text4\n",
    ),
    (
        "/proc/key-users",
        "    0:   109 108/108 12/1000000 220/25000000\n 1000:     5 5/5 5/20000 47/400000\n",
    ),
    ("/proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
    ("/proc/self/attr/current", "unconfined\n"),
    ("/proc/self/status", "Name:\tcorten\nNoNewPrivs:\t0\nSeccomp:\t0\n"),
    ("/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1 0 -2\n"),
    ("/proc/sys/fs/inotify/max_user_instances", "8192\n"),
    ("/proc/sys/fs/inotify/max_user_watches", "524288\n"),
    ("/proc/sys/kernel/keys/maxkeys", "20000\n"),
    ("/proc/sys/kernel/keys/root_maxkeys", "1000000\n"),
    ("/proc/sys/kernel/pid_max", "4194304\n"),
    (
        "/proc/sys/kernel/seccomp/actions_avail",
        "kill_process trap errno user_notif trace log allow\n",
    ),
    ("/proc/sys/kernel/unprivileged_userns_clone", "1\n"),
    ("/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n"),
    ("/proc/sys/net/ipv4/ip_forward", "1\n"),
    ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "80\n"),
    ("/proc/sys/net/ipv4/ping_group_range", "0\t2147483647\n"),
    ("/proc/sys/user/max_net_namespaces", "95000\n"),
    ("/proc/sys/user/max_user_namespaces", "95000\n"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0\n"),
    ("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n"),
    ("/sys/fs/cgroup/cgroup.procs", "1\n"),
    ("/sys/fs/cgroup/cgroup.subtree_control", "cpu memory pids\n"),
    (
        "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers",
        "cpuset cpu io memory pids\n",
    ),
    ("/sys/fs/selinux/enforce", "1\n"),
    ("/etc/nsswitch.conf", "passwd: files systemd\nsubid: files\n"),
];

impl Facts {
    /// A host where everything is there and we are root: for tests, to take things away from.
    pub fn ideal() -> Self {
        let program = |name: &&'static str| {
            let path = format!("/usr/bin/{name}");
            (*name, Program { path, owner: 0, mode: 0o104_755, caps: false })
        };
        let mount = |point: &str, kind: &str| Mount {
            point: point.into(),
            kind: kind.into(),
            options: "rw,relatime".into(),
            shared: true,
        };
        Self {
            host: Host::ideal(),
            rootless: false,
            texts: TEXTS.map(|(path, text)| (path.into(), text.into())).to_vec(),
            paths: PATHS.to_vec(),
            calls: [
                ("clone3", libc::E2BIG),
                ("mount_setattr", libc::EINVAL),
                ("fsopen", libc::EINVAL),
            ]
            .into_iter()
            .chain([("bpf", libc::E2BIG), ("keyctl", libc::EOPNOTSUPP)])
            .collect(),
            modules: ["br_netfilter", "bridge", "overlay", "veth"]
                .map(|name| (name, Some(true)))
                .to_vec(),
            programs: ["apparmor_parser", "criu", "newuidmap", "newgidmap", "pasta"]
                .iter()
                .map(program)
                .collect(),
            mounts: vec![
                mount("/", "ext4"),
                mount("/proc", "proc"),
                mount("/run", "tmpfs"),
                mount("/sys/fs/cgroup", "cgroup2"),
            ],
            cgroups: Cgroups {
                controllers: ["cpuset", "cpu", "blkio", "memory", "hugetlb", "pids"]
                    .map(str::to_owned)
                    .to_vec(),
                swap: Some(true),
                quota: Some(true),
                device_program: Some(0),
            },
            systemd: Some(Ok(252)),
            sealing: Sealing::Mount,
            label: Some("system_u:object_r:container_runtime_exec_t:s0".into()),
            root: StateRoot {
                path: "/run/corten".into(),
                nearest: "/run/corten".into(),
                owner: 0,
                mode: 0o40_711,
                write: 0,
            },
            open_files: 1_048_576,
            user: None,
        }
    }

    /// The same for containers of the ordinary user 1000, who asks himself.
    pub fn ideal_rootless() -> Self {
        let user = User {
            uid: 1000,
            name: "user".into(),
            runtime_dir: ("/run/user/1000".into(), Some((1000, 0o40_700))),
            systemd: Ok(252),
            linger: true,
        };
        let path = "/run/user/1000/corten".to_owned();
        let root = StateRoot {
            path,
            nearest: "/run/user/1000".into(),
            owner: 1000,
            mode: 0o40_700,
            write: 0,
        };
        let host = Host { euid: 1000, egid: 1000, caps: 0, ..Host::ideal() };
        Self { host, rootless: true, root, user: Some(user), ..Self::ideal() }
    }

    /// Changes the text of a small file; `None` takes it away.
    pub fn set_text(&mut self, path: &str, text: Option<&str>) {
        self.texts.retain(|(name, _)| name != path);
        self.texts.extend(text.map(|text| (path.to_owned(), text.to_owned())));
    }
}
