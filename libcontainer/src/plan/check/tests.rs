//! Every rule is broken at least once, and says field and value; the default is legal.

mod host;

use std::path::{Path, PathBuf};

use super::*;

const NAMESPACES: &str = r#""namespaces":[{"type":"pid"},{"type":"mount"},{"type":"uts"},
    {"type":"ipc"},{"type":"network"},{"type":"time"}]"#;

/// A legal configuration with more members at three places; a member that a case names replaces
/// the default one.
fn spec(top: &str, process: &str, linux: &str) -> Spec {
    let comma = |members: &str| if members.is_empty() { "" } else { "," };
    let namespaces = if linux.contains("\"namespaces\"") { "" } else { NAMESPACES };
    let between = if namespaces.is_empty() || linux.is_empty() { "" } else { "," };
    let cwd = if process.contains("\"cwd\"") { "" } else { r#""cwd":"/","# };
    let args = if process.contains("\"args\"") { "" } else { r#""args":["sh"],"# };
    let user = if process.contains("\"user\"") { "" } else { r#""user":{"uid":0,"gid":0},"# };
    let root = if top.contains("\"root\"") { "" } else { r#""root":{"path":"rootfs"},"# };
    let text = format!(
        r#"{{{root}"ociVersion":"1.3.0"{}{top},
        "process":{{{cwd}{args}{user}"terminal":false{}{process}}},
        "linux":{{{namespaces}{between}{linux}}}}}"#,
        comma(top),
        comma(process),
    );
    Spec::parse(Path::new("config.json"), text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn verdict(spec: &Spec, host: &Host, options: &Options) -> String {
    match check(spec, host, options) {
        Ok(_) => String::from("legal"),
        Err(error) => {
            assert!(error.hint.is_some(), "{error}");
            error.to_string()
        }
    }
}

/// Members at the top, in `process` and in `linux`, and what the error says.
const BROKEN: &[(&str, &str, &str, &str)] = &[
    (r#""root":null"#, "", "", "invalid config root: must be specified"),
    (r#""root":{"path":""}"#, "", "", "invalid config root.path: must not be empty"),
    (r#""mounts":[{"destination":""}]"#, "", "", "mounts[0].destination: must not be empty"),
    (
        r#""mounts":[{"destination":"/a","options":["bind","idmap"],
            "uidMappings":[{"containerID":0,"hostID":0,"size":1}]}]"#,
        "",
        "",
        "mounts[0]: gidMappings are missing",
    ),
    (
        r#""mounts":[{"destination":"/a","options":["bind","ridmap"]}]"#,
        "",
        "",
        "must have both uid and gid",
    ),
    (
        r#""mounts":[{"destination":"/a","type":"tmpfs","options":["idmap"]}]"#,
        "",
        "",
        "only supported for bind",
    ),
    (r#""hostname":"h""#, "", r#""namespaces":[]"#, "unable to set hostname without a private UTS"),
    (
        r#""domainname":"h""#,
        "",
        r#""namespaces":[]"#,
        "unable to set domainname without a private UTS",
    ),
    (
        r#""hostname":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""#,
        "",
        "",
        "hostname: 65 bytes do not fit into 64",
    ),
    (
        r#""hooks":{"poststart":[{"path":"/a"},{"path":"b"}]}"#,
        "",
        "",
        "hooks.poststart[1].path: \"b\" is not",
    ),
    (
        r#""hooks":{"prestart":[{"path":"/a","timeout":0}]}"#,
        "",
        "",
        "hooks.prestart[0].timeout: must be",
    ),
    (r#""annotations":{"":"x"}"#, "", "", "annotations: a key is empty"),
    ("", r#""cwd":"""#, "", "Cwd property must not be empty"),
    ("", r#""cwd":"tmp""#, "", "Cwd must be an absolute path, tmp is not"),
    ("", r#""args":[]"#, "", "args must not be empty"),
    ("", r#""user":{"uid":4294967295,"gid":0}"#, "", "process.user.uid: 4294967295 is no id"),
    (
        "",
        r#""user":{"uid":1,"gid":0,"additionalGids":[4294967295]}"#,
        "",
        "process.user.additionalGids",
    ),
    ("", r#""user":{"uid":1,"gid":0,"umask":512}"#, "", "process.user.umask: 512 has"),
    (
        "",
        r#""rlimits":[{"type":"RLIMIT_CORE","soft":2,"hard":1}]"#,
        "",
        "soft limit 2 of RLIMIT_CORE is above",
    ),
    (
        "",
        r#""rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":1},{"type":"RLIMIT_CORE","soft":1,"hard":1}]"#,
        "",
        "process.rlimits[1]: RLIMIT_CORE is there twice",
    ),
    ("", r#""oomScoreAdj":1001"#, "", "oomScoreAdj: 1001 is out of range"),
    ("", r#""scheduler":{"policy":"SCHED_ISO"}"#, "", "scheduler.policy: SCHED_ISO"),
    ("", r#""scheduler":{"policy":"SCHED_OTHER","nice":20}"#, "", "scheduler.nice: 20"),
    (
        "",
        r#""scheduler":{"policy":"SCHED_OTHER","priority":1}"#,
        "",
        "scheduler.priority: can only",
    ),
    ("", r#""scheduler":{"policy":"SCHED_RR","priority":100}"#, "", "scheduler.priority: 100"),
    (
        "",
        r#""scheduler":{"policy":"SCHED_RR","priority":1,"period":1}"#,
        "",
        "can only be specified for SCHED_DEADLINE",
    ),
    ("", r#""scheduler":{"policy":"SCHED_DEADLINE","runtime":3,"deadline":2}"#, "", "0 < runtime"),
    ("", r#""ioPriority":{"class":"IOPRIO_CLASS_BE","priority":8}"#, "", "ioPriority.priority: 8"),
    ("", r#""execCPUAffinity":{"final":"3-1"}"#, "", "execCPUAffinity.final: \"3-1\""),
    (
        "",
        "",
        r#""namespaces":[{"type":"pid"},{"type":"pid"}]"#,
        "namespaces[1]: malformed spec file: duplicated ns pid",
    ),
    (
        "",
        "",
        r#""namespaces":[{"type":"network","path":"ns"}]"#,
        "namespaces[0]: path ns is not absolute",
    ),
    ("", "", r#""namespaces":[],"timeOffsets":{"boottime":{}}"#, "time namespace isn't enabled"),
    ("", "", r#""timeOffsets":{"realtime":{}}"#, "\"realtime\" is neither"),
    (
        "",
        "",
        r#""timeOffsets":{"boottime":{"nanosecs":1000000000}}"#,
        "boottime.nanosecs: 1000000000",
    ),
    (
        "",
        "",
        r#""namespaces":[{"type":"time","path":"/t"}],"timeOffsets":{"boottime":{}}"#,
        "joined time namespace",
    ),
    (
        "",
        "",
        r#""devices":[{"path":"dev/x","type":"c"}]"#,
        "devices[0]: path \"dev/x\" is not absolute",
    ),
    ("", "", r#""devices":[{"path":"/dev/x","type":"a"}]"#, "devices[0]: type a"),
    ("", "", r#""namespaces":[],"netDevices":{"eth0":{}}"#, "without a NET namespace"),
    ("", "", r#""netDevices":{"eth0":{"name":"a/b"}}"#, "invalid network device name \"a/b\""),
    ("", "", r#""netDevices":{"0123456789abcdef":{}}"#, "invalid network device name"),
    (
        "",
        "",
        r#""netDevices":{"a":{"name":"x"},"b":{"name":"x"}}"#,
        "two devices would be named \"x\"",
    ),
    ("", "", r#""maskedPaths":["/a","b"]"#, "linux.maskedPaths[1]: \"b\" is not absolute"),
    ("", "", r#""namespaces":[],"maskedPaths":["/a"]"#, "unable to restrict sys entries without"),
    ("", "", r#""readonlyPaths":["b"]"#, "linux.readonlyPaths[0]: \"b\" is not absolute"),
    ("", "", r#""rootfsPropagation":"public""#, "rootfsPropagation=public is not supported"),
    ("", "", r#""personality":{"domain":"LINUX","flags":["X"]}"#, "[\"X\"] are not supported"),
    ("", "", r#""intelRdt":{"closID":".."}"#, "invalid intelRdt.ClosID \"..\""),
    ("", "", r#""intelRdt":{"closID":"a/b"}"#, "invalid intelRdt.ClosID"),
    ("", "", r#""intelRdt":{"memBwSchema":"L3:0=f"}"#, "does not begin with MB:"),
    ("", "", r#""intelRdt":{"schemata":["L3:0=f\nMB:0=1"]}"#, "has a newline"),
    (
        "",
        "",
        r#""memoryPolicy":{"mode":"MPOL_BIND"}"#,
        "MPOL_BIND: memory policy mode requires at least one node but got 0",
    ),
    (
        "",
        "",
        r#""memoryPolicy":{"mode":"MPOL_BIND","nodes":"0-9876543210"}"#,
        "invalid memory policy nodes",
    ),
    (
        "",
        "",
        r#""memoryPolicy":{"mode":"MPOL_LOCAL","nodes":"0"}"#,
        "MPOL_LOCAL: memory policy mode requires 0 nodes but got 1",
    ),
    (
        "",
        "",
        r#""memoryPolicy":{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]}"#,
        "exclude each other",
    ),
    (
        "",
        "",
        r#""uidMappings":[{"containerID":0,"hostID":0,"size":1}]"#,
        "user namespace isn't enabled",
    ),
    ("", "", r#""namespaces":[{"type":"user"}]"#, "no namespace path to join nor mappings"),
    (
        "",
        "",
        r#""namespaces":[{"type":"user"}],"gidMappings":[{"containerID":0,"hostID":0,"size":1}],
            "uidMappings":[{"containerID":0,"hostID":9,"size":5},{"containerID":4,"hostID":90,"size":1}]"#,
        "uidMappings[1]: overlaps entry 0",
    ),
    (
        "",
        "",
        r#""namespaces":[{"type":"user"}],"gidMappings":[{"containerID":0,"hostID":0,"size":0}],
            "uidMappings":[{"containerID":0,"hostID":9,"size":5}]"#,
        "gidMappings[0]: size is 0",
    ),
    (
        "",
        r#""user":{"uid":0,"gid":7}"#,
        r#""namespaces":[{"type":"user"}],"gidMappings":[{"containerID":0,"hostID":0,"size":7}],
            "uidMappings":[{"containerID":0,"hostID":4294967000,"size":5}]"#,
        "process.user.gid: 7 is not mapped",
    ),
    ("", "", r#""sysctl":{"kernel.core_pattern":"|/x"}"#, "is not in a separate kernel namespace"),
    ("", "", r#""sysctl":{"kernel.shm_rmid_forced":"1\nkernel.core_pattern=|x"}"#, "has a newline"),
    ("", "", r#""sysctl":{"net/../kernel/core_pattern":"x"}"#, "is not a sysctl name"),
    ("", "", r#""sysctl":{"net.ipv4.ip_forward":"1","net/ipv4/ip_forward":"0"}"#, "two spellings"),
    (
        "",
        "",
        r#""resources":{"blockIO":{"weightDevice":[{"major":1,"minor":1}]}}"#,
        "weightDevice[0]: has neither",
    ),
    ("", "", r#""resources":{"rdma":{"mlx":{}}}"#, "rdma.mlx: has neither"),
    (
        "",
        "",
        r#""resources":{"hugepageLimits":[{"pageSize":"02MB","limit":1}]}"#,
        "\"02MB\" is not a page size",
    ),
    (
        "",
        "",
        r#""resources":{"unified":{"../memory.max":"1"}}"#,
        "is not the name of a cgroup file",
    ),
    ("", "", r#""resources":{"unified":{"cgroup.procs":"1"}}"#, "moves processes"),
    (
        "",
        "",
        r#""resources":{"devices":[{"allow":true,"access":"x"}]}"#,
        "devices[0]: access \"x\"",
    ),
];

#[test]
fn broken_rules_say_field_and_value() {
    for (top, process, linux, want) in BROKEN {
        let got = verdict(&spec(top, process, linux), &Host::ideal(), &Options::default());
        assert!(
            got.starts_with("invalid config ") && got.contains(want),
            "got: {got}\nwant: {want}"
        );
    }
}

#[test]
fn every_rule_is_broken_by_a_test() {
    let (host, options) = (Host::ideal(), Options::default());
    let no_lsm = Host { lsm: crate::host::Lsm::default(), ..Host::ideal() };
    let rootless = Host { euid: 1000, ..Host::ideal() };
    let old = Host { kernel: crate::host::Version::parse("5.4"), ..Host::ideal() };
    let socket = Options { console_socket: Some(PathBuf::from("/s")), ..Options::default() };
    let labels = spec("", r#""apparmorProfile":"p","selinuxLabel":"l""#, r#""mountLabel":"m""#);
    let plain = spec("", "", "");
    let specs: Vec<Spec> = BROKEN.iter().map(|(t, p, l, _)| spec(t, p, l)).collect();
    let mut asked: Vec<Asked<'_>> =
        specs.iter().map(|spec| Asked { spec, host: &host, options: &options }).collect();
    asked.push(Asked { spec: &labels, host: &no_lsm, options: &options });
    asked.push(Asked { spec: &plain, host: &rootless, options: &options });
    asked.push(Asked { spec: &plain, host: &old, options: &options });
    asked.push(Asked { spec: &plain, host: &host, options: &socket });
    for rule in rules() {
        let broken = asked.iter().any(|asked| (rule.check)(*asked).is_err());
        assert!(broken, "no test breaks the rule {:?} of {}", rule.words, rule.field);
        assert!(!rule.section.is_empty());
    }
}

/// Members of configurations that break no rule.
const LEGAL: &[(&str, &str, &str)] = &[
    ("", "", ""),
    (r#""hostname":"h","domainname":"d","windows":{"x":1}"#, "", ""),
    (r#""hostname":"""#, "", r#""namespaces":[]"#),
    (r#""hooks":{"prestart":[{"path":"/a","timeout":1}]},"annotations":{"a":""}"#, "", ""),
    ("", r#""user":{"uid":4294967294,"gid":0,"umask":511}"#, ""),
    (
        "",
        r#""rlimits":[{"type":"RLIMIT_AS","soft":18446744073709551615,"hard":18446744073709551615}]"#,
        "",
    ),
    ("", r#""oomScoreAdj":-1000,"execCPUAffinity":{"initial":"0-3,7"}"#, ""),
    ("", r#""scheduler":{"policy":"SCHED_DEADLINE","runtime":1,"deadline":2,"period":3}"#, ""),
    (
        "",
        r#""scheduler":{"policy":"SCHED_FIFO","priority":99,"flags":["SCHED_FLAG_RESET_ON_FORK"]}"#,
        "",
    ),
    (
        "",
        "",
        r#""sysctl":{"net/ipv4/conf/eth0.1/mtu":"1","kernel.sem":"1 2 3 4","fs.mqueue.msg_max":"5","kernel.domainname":"d"}"#,
    ),
    ("", "", r#""timeOffsets":{"boottime":{"secs":-3,"nanosecs":999999999},"monotonic":{}}"#),
    (
        "",
        "",
        r#""rootfsPropagation":"rslave","maskedPaths":[],"netDevices":{"e":{"name":"eth%d"},"f":{"name":"eth%d"}}"#,
    ),
    (
        "",
        "",
        r#""personality":{"domain":"LINUX32","flags":[]},"intelRdt":{"closID":"/","memBwSchema":"MB:0=1"}"#,
    ),
    (
        "",
        "",
        r#""memoryPolicy":{"mode":"MPOL_PREFERRED"},"devices":[{"path":"/dev/p","type":"p","major":8,"minor":666}]"#,
    ),
    ("", "", r#""namespaces":[{"type":"user","path":"/u"}]"#),
    (
        "",
        r#""user":{"uid":5,"gid":1}"#,
        r#""namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":9,"size":6}],
            "gidMappings":[{"containerID":0,"hostID":0,"size":1},{"containerID":1,"hostID":1,"size":1}]"#,
    ),
    (
        r#""mounts":[{"destination":"/a","type":"bind","uidMappings":[{"containerID":0,"hostID":0,"size":1}],
            "gidMappings":[{"containerID":0,"hostID":0,"size":1}]}]"#,
        "",
        "",
    ),
    (
        "",
        "",
        r#""resources":{"unified":{"memory.max":"1","io.max":"8:0 rbps=1\n8:1 rbps=1"},"hugepageLimits":[{"pageSize":"64KB","limit":1}]}"#,
    ),
];

#[test]
fn legal_configurations_pass() {
    for (top, process, linux) in LEGAL {
        let got = verdict(&spec(top, process, linux), &Host::ideal(), &Options::default());
        assert_eq!(got, "legal", "{top} {process} {linux}");
    }
}

#[test]
fn a_container_without_process_or_linux_section_is_legal() {
    for text in [
        r#"{"ociVersion":"1.0.0","root":{"path":"r"}}"#,
        r#"{"ociVersion":"1.0.0","root":{"path":"r"},"linux":{}}"#,
    ] {
        let spec = Spec::parse(Path::new("c"), text.as_bytes()).unwrap();
        assert_eq!(verdict(&spec, &Host::ideal(), &Options::default()), "legal");
    }
}

#[test]
fn strange_letters_of_device_access_are_told() {
    let linux = r#""resources":{"devices":[{"allow":false,"access":"rwm"},{"allow":false,"type":"c","access":"rwa"}]}"#;
    let told = check(&spec("", "", linux), &Host::ideal(), &Options::default()).unwrap();
    assert_eq!(
        told,
        [r#"linux.resources.devices[1].access: ignoring "a", access is of r, w and m"#]
    );
}
