//! Flags in, `config.json` out.

use serde_json::{Value, json};

use super::{Facts, caps, config, devices, seccomp, user};
use crate::container::record::Record;
use crate::error::Result;

const SEEN: devices::Seen =
    devices::Seen { block: false, major: 10, minor: 229, mode: 0o666, uid: 0, gid: 0 };

fn facts() -> Facts {
    Facts {
        rootfs: "/merged".into(),
        accounts: user::Accounts::of("root:x:0:0::/root:/bin/sh\n", ""),
        capabilities: (1 << caps::ALL.len()) - 1,
        machine: seccomp::Machine { arch: "x86_64".into(), kernel: (6, 1) },
        own_program: "/usr/bin/pier".into(),
        ..Facts::default()
    }
}

fn of(change: impl FnOnce(&mut Record, &mut Facts)) -> Result<Value> {
    let mut record =
        Record { id: "ab".repeat(32), command: vec!["true".into()], ..Record::default() };
    let mut facts = facts();
    change(&mut record, &mut facts);
    config(&record, &facts, &|_| Ok(SEEN))
}

#[test]
fn without_flags_it_is_dockers_bundle() {
    let config = of(|_, _| {}).unwrap();
    assert_eq!(config["hostname"], "abababababab");
    assert_eq!(config["process"]["args"], json!(["true"]));
    assert_eq!(config["process"]["env"].as_array().unwrap().len(), 2);
    let kinds: Vec<_> = config["linux"]["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|namespace| namespace["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["mount", "network", "ipc", "pid", "uts"]);
    let places: Vec<_> = config["mounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| mount["destination"].as_str().unwrap().to_owned())
        .collect();
    let docker = ["/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"];
    assert_eq!(places, docker);
    assert_eq!(config["linux"]["cgroupsPath"], format!("/pier/{}", "ab".repeat(32)));
    assert_eq!(
        config["linux"]["resources"]["devices"][0],
        json!({"allow": false, "access": "rwm"})
    );
    // The runtime that will get it must take it.
    libcontainer::Spec::parse("config.json".as_ref(), &serde_json::to_vec(&config).unwrap())
        .unwrap();
}

#[test]
fn every_flag_has_its_field() {
    let config = of(|record, facts| {
        facts.hard_limits = vec![("RLIMIT_NOFILE", 100)];
        let isolation = &mut record.flags.isolation;
        isolation.sysctl = vec!["net.core.somaxconn=5".into()];
        isolation.shm_size = Some("1m".into());
        isolation.oom_score_adj = Some(500);
        isolation.oom_kill_disable = true;
        isolation.cgroup_parent = Some("/own/".into());
        isolation.cgroupns = Some("private".into());
        isolation.userns = Some("host".into());
        isolation.pid = Some("host".into());
        isolation.device = vec!["/dev/fuse:/dev/f:r".into()];
        isolation.ulimit = vec!["nofile=50:5000".into()];
        isolation.read_only = true;
        let basics = &mut record.flags.basics;
        basics.annotation = vec!["a=b".into()];
        basics.env = vec!["X=1".into(), "PATH=/own".into(), "HOSTNAME".into()];
        basics.init = true;
        basics.tty = true;
        basics.workdir = Some("/w".into());
    })
    .unwrap();
    let linux = &config["linux"];
    assert_eq!(linux["sysctl"], json!({ "net.core.somaxconn": "5" }));
    assert!(config["mounts"].to_string().contains("size=1048576"));
    assert_eq!(config["process"]["oomScoreAdj"], 500);
    assert_eq!(linux["resources"]["memory"]["disableOOMKiller"], true);
    assert_eq!(linux["cgroupsPath"], format!("/own/{}", "ab".repeat(32)));
    let namespaces = linux["namespaces"].to_string();
    assert!(namespaces.contains("cgroup") && !namespaces.contains("pid"), "{namespaces}");
    assert_eq!(linux["devices"][0]["path"], "/dev/f");
    let rules = linux["resources"]["devices"].as_array().unwrap();
    assert_eq!(rules.last().unwrap()["access"], "r");
    let limit = json!([{ "type": "RLIMIT_NOFILE", "soft": 50, "hard": 100 }]);
    assert_eq!(config["process"]["rlimits"], limit, "lowered to what we may");
    assert_eq!(config["root"]["readonly"], true);
    assert_eq!(config["annotations"], json!({ "a": "b" }));
    assert_eq!(config["process"]["env"], json!(["PATH=/own", "TERM=xterm", "X=1"]));
    assert_eq!(config["process"]["args"], json!(["/sbin/docker-init", "--", "true"]));
    assert_eq!(config["process"]["cwd"], "/w");
    assert_eq!(config["process"]["terminal"], true);
}

#[test]
fn a_privileged_container_is_open() {
    let config = of(|record, facts| {
        record.flags.isolation.privileged = true;
        facts.host_devices = vec![("/dev/fuse".into(), SEEN)];
    })
    .unwrap();
    assert!(
        config["linux"].get("seccomp").is_none() && config["linux"].get("maskedPaths").is_none()
    );
    assert_eq!(config["linux"]["resources"]["devices"], json!([{"allow": true, "access": "rwm"}]));
    assert_eq!(config["linux"]["devices"][0]["path"], "/dev/fuse");
    let effective = config["process"]["capabilities"]["effective"].as_array().unwrap().len();
    assert_eq!(effective, caps::ALL.len());
}

#[test]
fn what_means_nothing_is_refused() {
    let refused = |change: fn(&mut Record)| assert!(of(|record, _| change(record)).is_err());
    refused(|record| record.command.clear());
    refused(|record| record.flags.basics.workdir = Some("relative".into()));
    refused(|record| record.flags.basics.user = Some("nobody".into()));
    refused(|record| record.flags.basics.annotation = vec!["novalue".into()]);
    refused(|record| record.flags.isolation.sysctl = vec!["=1".into()]);
    refused(|record| record.flags.isolation.oom_score_adj = Some(2000));
    refused(|record| record.flags.isolation.ipc = Some("public".into()));
    refused(|record| record.flags.isolation.uts = Some("other".into()));
    refused(|record| record.flags.isolation.cgroupns = Some("other".into()));
}
