//! What flags come to inside: rights, limits, users, mounts, names.

use crate::pier::{Pier, which};

#[test]
fn rights_are_dockers() {
    let Some(pier) = Pier::new() else { return };
    let caps = |flags: &[&str]| {
        let said = pier.sh(
            &[&["--rm"], flags].concat(),
            "grep -E 'Cap(Eff|Bnd)|NoNew|Seccomp:' /proc/self/status",
        );
        said.out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let docker = "CapEff: 00000000a80425fb CapBnd: 00000000a80425fb NoNewPrivs: 0 Seccomp: 2";
    assert_eq!(caps(&[]), docker);
    let none = "CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 0";
    let flags = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
    assert_eq!(caps(&[&flags[..], &["--security-opt", "seccomp=unconfined"]].concat()), none);
    let user = "CapEff: 0000000000000000 CapBnd: 00000000a80425fb NoNewPrivs: 0 Seccomp: 2";
    assert_eq!(caps(&["-u", "web"]), user);
    assert!(caps(&["--privileged"]).ends_with("Seccomp: 0"));
}

#[test]
fn kernel_files_are_masked_or_read_only() {
    let Some(pier) = Pier::new() else { return };
    let look = "cat /proc/kcore | head -c 1; touch /proc/sys/kernel/hostname 2>&1 || echo refused; \
                ls /sys/firmware; touch /sys/x || echo refused";
    let said = pier.sh(&["--rm"], look);
    assert_eq!(said.out.matches("refused").count(), 2, "{said:?}");
    let open =
        pier.sh(&["--rm", "--privileged"], "echo x > /proc/sys/kernel/domainname && echo open");
    assert_eq!(open.out, "open\n", "{}", open.err);
}

#[test]
fn a_user_is_looked_up_in_the_image() {
    let Some(pier) = Pier::new() else { return };
    let id = |flags: &[&str]| pier.sh(&[&["--rm"], flags].concat(), "id").out;
    assert_eq!(id(&["-u", "web"]), "uid=33(web) gid=34(www) groups=34(www),44(extra)\n");
    assert_eq!(id(&["-u", "5:6", "--group-add", "extra"]), "uid=5 gid=6 groups=6,44(extra)\n");
    let said = pier.sh(&["--rm", "-u", "nobody"], "id");
    assert!(said.code == 125 && said.err.contains("unable to find user nobody"), "{said:?}");
}

#[test]
fn environment_directory_host_name() {
    let Some(pier) = Pier::new() else { return };
    let file = pier.path("vars");
    std::fs::write(&file, "# comment\nB=from file\nA=from file\n").unwrap();
    let flags = ["--rm", "--env-file", file.to_str().unwrap(), "-e", "A=flag", "-w", "/new/dir"];
    let said = pier.sh(
        &[&flags[..], &["-h", "box"]].concat(),
        "echo $A; echo $B; pwd; hostname; echo $HOSTNAME",
    );
    assert_eq!(said.out, "flag\nfrom file\n/new/dir\nbox\nbox\n", "{}", said.err);
}

#[test]
fn a_read_only_root_with_memory_on_it() {
    let Some(pier) = Pier::new() else { return };
    let line = "touch /x 2>/dev/null || echo refused; touch /tmp/x && echo written; grep ' /tmp ' /proc/mounts";
    let said = pier.sh(&["--rm", "--read-only", "--tmpfs", "/tmp:size=1m"], line);
    assert!(said.out.starts_with("refused\nwritten\n"), "{said:?}");
    assert!(said.out.contains("size=1024k") && said.out.contains("noexec"), "{said:?}");
}

#[test]
fn host_paths_and_volumes() {
    let Some(pier) = Pier::new() else { return };
    std::fs::write(pier.path("file"), "host").unwrap();
    let bind = format!("{}:/file:ro", pier.path("file").display());
    let said = pier.sh(
        &["--rm", "-v", &bind, "-v", "data:/data"],
        "cat /file; echo x 2>/dev/null >/file; echo kept >/data/k",
    );
    assert!(said.out.starts_with("host"), "{said:?}");
    assert_eq!(std::fs::read_to_string(pier.path("file")).unwrap(), "host");
    assert_eq!(pier.sh(&["--rm", "-v", "data:/d"], "cat /d/k").out, "kept\n");
    let seen = pier.sh(&["--rm", "-v", "etc:/etc"], "cat /etc/hosts /etc/passwd").out;
    assert!(seen.contains("localhost") && seen.contains("root:x:0"), "{seen}");
    pier.start("web", &["-v", "/anon"], "echo shared >/anon/x; sleep 100");
    pier.until("web", "State.Running", "true");
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(pier.sh(&["--rm", "--volumes-from", "web"], "cat /anon/x").out, "shared\n");
}

#[test]
fn limits_are_written_and_changed() {
    let Some(pier) = Pier::new() else { return };
    let id = pier.start("web", &["-m", "64m", "--pids-limit", "50", "--cpus", "0.5"], "sleep 100");
    let read = |path: &str| {
        let v1 = format!("/sys/fs/cgroup/{}/pier/{id}/{path}", path.split('.').next().unwrap());
        std::fs::read_to_string(v1).map(|text| text.trim().to_owned()).ok()
    };
    if let Some(limit) = read("memory.limit_in_bytes") {
        assert_eq!(limit, "67108864");
        assert_eq!(read("pids.max").as_deref(), Some("50"));
        assert_eq!(read("cpu.cfs_quota_us").as_deref(), Some("50000"));
    }
    pier.out(&["update", "--memory", "32m", "--memory-swap", "64m", "web"]);
    if let Some(limit) = read("memory.limit_in_bytes") {
        assert_eq!(limit, "33554432");
    }
    assert_eq!(pier.inspect("web", "HostConfig.Memory"), "33554432");
    assert_eq!(pier.say(&["update", "web"]).code, 1, "nothing is asked");
    // Taken and without effect, as by Docker: the kernel has no such limit any more.
    assert_eq!(pier.sh(&["--rm", "--kernel-memory", "32m"], "true").code, 0);
    assert_eq!(pier.sh(&["--rm", "--kernel-memory", "x"], "true").code, 125);
    // The kernel kills the one that takes too much, and `inspect` tells.
    let flags = ["--name", "greedy", "-m", "8m", "--memory-swap", "8m"];
    let greedy = pier.sh(&flags, "head -c 60000000 /dev/zero >/dev/shm/x");
    assert_eq!(greedy.code, 137, "{greedy:?}");
    assert_eq!(pier.inspect("greedy", "State.OOMKilled"), "true");
    assert_eq!(pier.inspect("web", "State.OOMKilled"), "false");
}

#[test]
fn namespaces_of_the_host_and_of_others() {
    let Some(pier) = Pier::new() else { return };
    let own = |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    let inside = |flags: &[&str], kind: &str| {
        let said = pier.sh(&[&["--rm"], flags].concat(), &format!("ls -l /proc/self/ns/{kind}"));
        said.out.split("-> ").nth(1).unwrap_or_else(|| panic!("{said:?}")).trim().to_owned()
    };
    for (flag, kind) in [("--pid=host", "pid"), ("--ipc=host", "ipc"), ("--uts=host", "uts")] {
        assert_eq!(inside(&[flag], kind), own(kind).to_string_lossy(), "{flag}");
        assert_ne!(inside(&[], kind), own(kind).to_string_lossy(), "{kind}");
    }
    pier.start("web", &[], "sleep 100");
    let pid = pier.inspect("web", "State.Pid");
    let theirs = std::fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
    assert_eq!(inside(&["--pid", "container:web"], "pid"), theirs.to_string_lossy());
    let refused = pier.sh(&["--rm", "--ipc", "container:web"], "true");
    assert!(refused.err.contains("non-shareable IPC"), "{}", refused.err);
    let flags = ["--ipc", "shareable", "--shm-size", "1m"];
    pier.start("shares", &flags, "echo seen >/dev/shm/file; sleep 100");
    let joined = pier.sh(
        &["--rm", "--ipc", "container:shares"],
        "while [ ! -s /dev/shm/file ]; do sleep 0.1; done; cat /dev/shm/file; mount | grep /dev/shm
         echo back >/dev/shm/second",
    );
    assert!(joined.out.starts_with("seen\n"), "{joined:?}");
    assert!(joined.out.contains("noexec") && joined.out.contains("size=1024k"), "{joined:?}");
    assert_eq!(pier.say(&["exec", "shares", "cat", "/dev/shm/second"]).out, "back\n");
    let dead = pier.sh(&["--rm", "--ipc", "container:nobody"], "true");
    assert_ne!(dead.code, 0);
}

#[test]
fn an_init_reaps_and_forwards() {
    let Some(pier) = Pier::new() else { return };
    assert_eq!(pier.sh(&["--rm", "--init"], "exit 9").code, 9);
    pier.start("web", &["--init"], "trap 'exit 8' TERM; while :; do sleep 0.05; done");
    let table = pier.out(&["exec", "web", "cat", "/proc/1/cmdline"]);
    assert!(table.starts_with("/sbin/docker-init"), "{table}");
    pier.out(&["stop", "web"]);
    assert_eq!(pier.inspect("web", "State.ExitCode"), "8");
}

#[test]
fn another_runtime_does_the_same() {
    let Some(pier) = Pier::new() else { return };
    let Some(runtime) = which("runc") else { return };
    let runtime = runtime.to_str().unwrap();
    let said = pier.sh(&["--rm", "--runtime", runtime], "echo out; exit 5");
    assert_eq!((said.code, said.out.as_str()), (5, "out\n"), "{}", said.err);
    pier.start("web", &["--runtime", runtime], "sleep 100");
    assert_eq!(pier.out(&["exec", "web", "echo", "in"]), "in");
    pier.out(&["rm", "-f", "web"]);
}
