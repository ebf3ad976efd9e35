//! Whole containers by the `pier` binary: ports, shared networks, volumes.
//!
//! A host namespace of the test's own runs every command, in a private mount namespace.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use corten_engine::net::flags::NetFlags;

use crate::lab::Lab;

const APPLETS: [&str; 10] =
    ["cat", "echo", "httpd", "ip", "ls", "sh", "sleep", "stat", "touch", "wget"];

/// What a command said: exit code, stdout, stderr.
type Said = (i32, String, String);

struct Engine {
    lab: Lab,
    rootfs: String,
}

impl Engine {
    fn new() -> Option<Self> {
        let lab = Lab::new()?;
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|p| fs::exists(p).unwrap());
        let Some(busybox) = busybox else {
            assert!(
                std::env::var_os("CI").is_none(),
                "in CI nothing is passed over: busybox-static"
            );
            eprintln!("passed over: needs busybox-static");
            return None;
        };
        let rootfs = lab.paths.root.parent().unwrap().join("rootfs");
        for directory in ["bin", "etc", "proc", "sys", "dev", "tmp", "data"] {
            fs::create_dir_all(rootfs.join(directory)).unwrap();
        }
        // By another process: a descriptor open for writing here would be inherited by what other tests
        // fork in that moment, and execve(2) of the file fails then (`ETXTBSY`).
        let copied = Command::new("cp").arg(busybox).arg(rootfs.join("bin/busybox")).status();
        assert!(copied.unwrap().success());
        for applet in APPLETS {
            symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        fs::write(rootfs.join("data/seed"), "from the image").unwrap();
        Some(Self { rootfs: rootfs.to_str().unwrap().to_owned(), lab })
    }

    /// Says something to the engine; `ROOTFS` stands for the root file system.
    fn say(&self, line: &str) -> Said {
        let paths = self.lab.paths.clone();
        let rootfs = self.rootfs.clone();
        let words: Vec<String> =
            line.split(' ').map(|word| word.replace("ROOTFS", &rootfs).replace('~', " ")).collect();
        self.lab.host.run(move || {
            let mut pier = Command::new("unshare");
            pier.args(["-m", "--propagation", "slave", env!("CARGO_BIN_EXE_pier"), "--root"]);
            pier.arg(&paths.root).arg("--run-root").arg(&paths.run).args(words);
            let output = pier.output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
        })
    }

    fn good(&self, line: &str) -> String {
        let (code, out, err) = self.say(line);
        assert_eq!(code, 0, "{line}: {out}{err}");
        out
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let all = self.say("ps -aq").1;
        let ids = all.split_whitespace().collect::<Vec<_>>().join(" ");
        if !ids.is_empty() {
            let _ = self.say(&format!("rm -f {ids}"));
        }
    }
}

#[test]
fn a_container_that_publishes_is_reached_and_named_in_conflicts() {
    let Some(pier) = Engine::new() else { return };
    let serve = "echo~hello~>~/tmp/index.html;~httpd~-f~-p~80~-h~/tmp";
    pier.good(&format!(
        "run -d --name web -p 8080:80 -p 127.0.0.1:9000:80 --rootfs ROOTFS sh -c {serve}"
    ));
    let own = "run --rm --network container:web --rootfs ROOTFS wget -qO- 127.0.0.1/index.html";
    let mut answer = String::new();
    for _ in 0..50 {
        answer = pier.say(own).1;
        if answer == "hello\n" {
            break;
        }
    }
    assert_eq!(answer, "hello\n", "the network is shared");
    let other = "run --rm --rootfs ROOTFS wget -qO- 192.0.2.1:8080/index.html";
    assert_eq!(pier.good(other), "hello\n", "by the host's address");
    for address in ["127.0.0.1:8080", "127.0.0.1:9000", "[::1]:8080", "192.0.2.1:8080"] {
        let got = pier.lab.host.sh(&format!("curl -s -g -m 5 http://{address}/index.html"));
        assert_eq!(got, "hello\n", "{address}");
    }
    let ports = "80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:9000\n80/tcp -> [::]:8080\n";
    assert_eq!(pier.good("port web"), ports);
    let (_, _, err) = pier.say("run --rm -p 8080:80 --rootfs ROOTFS true");
    assert!(err.contains("port is already allocated, container web has it"), "{err}");
    let line = pier.good("network inspect bridge -f {{range~.Containers}}{{.IPv4Address}}{{end}}");
    assert_eq!(line, "10.233.0.2/16\n");
    pier.good("rm -f web");
    assert!(!pier.lab.host.sh("nft list ruleset").contains("10.233.0.2"));
}

#[test]
fn none_has_loopback_and_host_has_all() {
    let Some(pier) = Engine::new() else { return };
    let none = pier.good("run --rm --network none --rootfs ROOTFS ip -o link");
    assert!(none.lines().count() == 1 && none.contains("lo: <LOOPBACK,UP"), "{none}");
    let host = pier.good("run --rm --network host --rootfs ROOTFS ip -o link");
    assert!(host.contains("up0@"), "{host}");
    let (code, _, err) = pier.say("run --rm --network mine --rootfs ROOTFS true");
    assert_eq!(code, 125, "{err}");
    assert!(err.starts_with("pier: network mine not found\n  help: "), "{err}");
}

#[test]
fn volumes_live_as_docker_says() {
    let Some(pier) = Engine::new() else { return };
    let seen = pier.good("run --rm -v named:/data --rootfs ROOTFS cat /data/seed");
    assert_eq!(seen, "from the image", "copy-up");
    pier.good("run --rm -v named:/d --rootfs ROOTFS sh -c echo~more~>~/d/more");
    let all = pier.good("run --rm -v named:/data:ro --rootfs ROOTFS ls /data");
    assert_eq!(all, "more\nseed\n");
    let (code, _, err) = pier.say("run --rm -v named:/data:ro --rootfs ROOTFS touch /data/x");
    assert!(code == 1 && err.contains("Read-only file system"), "{err}");
    pier.good("run --name first -v /anon -v named:/n --rootfs ROOTFS touch /anon/file");
    let from = pier.good("run --rm --volumes-from first --rootfs ROOTFS ls /anon /n");
    assert_eq!(from, "/anon:\nfile\n\n/n:\nmore\nseed\n");
    assert_eq!(pier.good("volume ls -q").lines().count(), 2);
    let (_, _, err) = pier.say("volume rm named");
    assert!(err.contains("remove named: volume is in use - ["), "{err}");
    pier.good("rm -v first");
    assert_eq!(pier.good("volume ls -q"), "named\n", "rm -v takes the anonymous one");
    assert_eq!(pier.good("volume rm named"), "named\n");
}

#[test]
fn a_volume_that_is_a_mount_is_one_for_all_its_containers() {
    let Some(pier) = Engine::new() else { return };
    pier.good("volume create -o type=tmpfs -o device=tmpfs -o o=size=1m,nosuid memory");
    let line = pier.good("run --rm -v memory:/m --rootfs ROOTFS sh -c cat~/proc/mounts");
    let mount = line.lines().find(|line| line.contains(" /m ")).unwrap();
    assert!(
        mount.starts_with("tmpfs /m tmpfs rw,nosuid") && mount.contains("size=1024k"),
        "{mount}"
    );
    pier.good("volume rm memory");
    assert_eq!(pier.good("volume ls -q"), "");
}

#[test]
fn df_info_and_check_tell_what_is_there() {
    let Some(pier) = Engine::new() else { return };
    pier.good("volume create one");
    pier.good("run --name gone --rootfs ROOTFS sh -c exit");
    let df = pier.good("system df");
    assert!(df.contains("\nContainers      1         0 "), "{df}");
    assert!(df.contains("\nLocal Volumes   1         0 "), "{df}");
    let counts = pier.good("info -f {{.Containers}}/{{.ContainersStopped}}/{{.Driver}}");
    assert_eq!(counts, "1/1/overlay\n");
    let pruned = pier.good("system prune -f --volumes");
    assert!(pruned.starts_with("Deleted Containers:\n"), "{pruned}");
    assert_eq!(pier.good("ps -aq"), "");
    assert_eq!(pier.good("volume ls -q"), "one\n", "it has a name");
    let (code, _, err) = pier.say("system prune -f --volumes --filter until=1h");
    assert!(code == 1 && err.contains("not supported with"), "{err}");
    let (_, check, _) = pier.say("check --repair");
    for line in ["ok        images\n", "ok        networks\n", "ok        volumes\n"] {
        assert!(check.contains(line), "{check}");
    }
}

#[test]
fn a_forward_chain_that_drops_lets_the_bridge_through_and_check_tells() {
    let Some(engine) = Engine::new() else { return };
    if !["/usr/sbin", "/sbin"].iter().any(|dir| fs::exists(format!("{dir}/iptables-nft")).unwrap())
    {
        assert!(std::env::var_os("CI").is_none(), "in CI nothing is passed over: iptables");
        return eprintln!("passed over: needs iptables");
    }
    let lab = &engine.lab;
    lab.host.sh("iptables-nft -P FORWARD DROP");
    lab.neighbour.serve(7000);
    let publish = vec!["8080:80".to_owned()];
    let container = lab.start(NetFlags { publish, ..NetFlags::default() });
    container.space.serve(80);
    assert_eq!(container.space.get("192.0.2.2:7000"), "192.0.2.1", "outwards");
    assert_eq!(lab.neighbour.get("192.0.2.1:8080"), "192.0.2.2", "inwards");
    assert!(lab.host.sh("iptables-nft -S FORWARD").starts_with("-P FORWARD DROP"), "as it was");
    let told = |words: &str| engine.say(words).1;
    assert!(
        told("check").contains("iptables drops what is forwarded (Docker sets that), and lets ")
    );
    // Somebody takes pier's rules away: the reason is told, and mended on demand.
    lab.host.sh("iptables-nft -F FORWARD");
    assert_eq!(container.space.get("192.0.2.2:7000"), "TimedOut");
    let said = told("check");
    assert!(said.contains("containers reach nothing outside"), "{said}");
    assert!(said.contains("iptables-nft -I FORWARD -i "), "{said}");
    told("check --repair");
    assert_eq!(container.space.get("192.0.2.2:7000"), "192.0.2.1", "repaired");
}
