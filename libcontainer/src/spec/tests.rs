//! Good and bad configurations: what must parse, and what the error of the others says.

use super::*;

fn parse(text: &str) -> Result<Spec> {
    Spec::parse(Path::new("/b/config.json"), text.as_bytes())
}

/// A configuration with `process` and `linux` given as JSON members.
fn config(process: &str, linux: &str) -> String {
    format!(
        r#"{{"ociVersion":"1.3.0","root":{{"path":"rootfs"}},
"process":{{"cwd":"/","args":["sh"],"user":{{"uid":0,"gid":0}}{process}}},
"linux":{{{linux}}}}}"#
    )
}

fn error_of(text: &str) -> String {
    parse(text).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn minimal_files_parse() {
    for text in [
        r#"{"ociVersion":"1.0.0"}"#,
        r#"{"ociVersion":"1.0.0","root":{"path":"rootfs"}}"#,
        r#"{"ociVersion":"1.0.0","root":{"path":"r"},"process":{"cwd":"/","args":["sh"]}}"#,
        r#"{"ociVersion":"1.0.0","somethingNew":{"deep":[{"er":1}]},"process":null}"#,
    ] {
        parse(text).unwrap();
    }
}

#[test]
fn scheduler_flags_are_read_in_the_specs_spelling() {
    let all = [
        "SCHED_FLAG_RESET_ON_FORK",
        "SCHED_FLAG_RECLAIM",
        "SCHED_FLAG_DL_OVERRUN",
        "SCHED_FLAG_KEEP_POLICY",
        "SCHED_FLAG_KEEP_PARAMS",
        "SCHED_FLAG_UTIL_CLAMP_MIN",
        "SCHED_FLAG_UTIL_CLAMP_MAX",
    ];
    let flags = format!(r#","scheduler":{{"policy":"SCHED_OTHER","flags":{all:?}}}"#);
    let spec = parse(&config(&flags, "")).unwrap();
    let process = spec.oci.process().as_ref().unwrap();
    assert_eq!(process.scheduler().as_ref().unwrap().flags().as_ref().unwrap().len(), 7);
}

#[test]
fn unknown_capability_warns_and_the_others_stay() {
    let caps = r#","capabilities":{"bounding":["CAP_CHOWN","CAP_FUTURE","CAP_KILL"],
        "effective":["CAP_FUTURE","CAP_ALSO"]}"#;
    let spec = parse(&config(caps, "")).unwrap();
    assert_eq!(spec.unknown_capabilities, ["CAP_ALSO", "CAP_FUTURE"]);
    assert_eq!(
        spec.warnings,
        ["ignoring unknown or unavailable capabilities: [CAP_ALSO CAP_FUTURE]"]
    );
    let sets = spec.oci.process().as_ref().unwrap().capabilities().clone().unwrap();
    assert_eq!(sets.bounding().as_ref().unwrap().len(), 2);
    assert_eq!(sets.effective().as_ref().unwrap().len(), 0);
}

#[test]
fn pids_limit_distinguishes_unset_from_zero() {
    let limit =
        |pids: &str| parse(&config("", &format!(r#""resources":{{{pids}}}"#))).unwrap().pids_limit;
    assert_eq!(limit(""), None);
    assert_eq!(limit(r#""pids":{}"#), None);
    assert_eq!(limit(r#""pids":null"#), None);
    assert_eq!(limit(r#""pids":{"limit":null}"#), None);
    assert_eq!(limit(r#""pids":{"limit":0}"#), Some(0));
    assert_eq!(limit(r#""pids":{"limit":-1}"#), Some(-1));
    assert_eq!(limit(r#""pids":{"limit":32771}"#), Some(32771));
}

#[test]
fn nulls_mean_not_set() {
    let text = r#"{"ociVersion":"1.3.0","mounts":null,"hooks":null,"annotations":null,
        "process":{"cwd":"/","args":null,"env":null,"user":{"uid":null,"gid":null},
        "rlimits":null,"capabilities":{"ambient":null}},
        "linux":{"resources":{"devices":[{"allow":false,"type":null,"major":null}]},
        "devices":null,"seccomp":null}}"#;
    assert_eq!(parse(text).unwrap().oci.process().as_ref().unwrap().user().uid(), 0);
}

#[test]
fn exec_cpu_affinity_may_be_empty_or_have_blanks() {
    let affinity = |json: &str| {
        let text = config(&format!(r#","execCPUAffinity":{json}"#), "");
        let spec = parse(&text).unwrap();
        let process = spec.oci.process().clone().unwrap();
        let affinity = process.exec_cpu_affinity().clone().unwrap();
        (affinity.initial().clone(), affinity.cpu_affinity_final().clone())
    };
    assert_eq!(affinity(r#"{"initial":"","final":" "}"#), (None, None));
    assert_eq!(affinity(r#"{"initial":"0-3, 7"}"#), (Some("0-3,7".into()), None));
}

#[test]
fn other_values_of_the_schema_parse() {
    parse(&config(
        "",
        r#""resources":{"hugepageLimits":[{"pageSize":"2MB","limit":18446744073709551615}],
        "devices":[{"allow":true,"type":"","access":"rwm"}]}"#,
    ))
    .unwrap();
    parse(&config("", r#""seccomp":{"defaultAction":"SCMP_ACT_KILL_THREAD","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "architectures":["SCMP_ARCH_MIPS64N32","SCMP_ARCH_MIPSEL64N32","SCMP_ARCH_X86_64","SCMP_ARCH_SHEB","SCMP_ARCH_S390X"],
        "syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":1,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#))
    .unwrap();
    parse(&config("", r#""memoryPolicy":{"mode":"MPOL_WEIGHTED_INTERLEAVE","nodes":"0","flags":["MPOL_F_NUMA_BALANCING"]},
        "personality":{"domain":"LINUX32"},"timeOffsets":{"boottime":{"secs":-5},"monotonic":{"nanosecs":7}},
        "netDevices":{"eth0":{}},"intelRdt":{"closID":"/","schemata":["L3:0=f"],"enableMonitoring":true},
        "devices":[{"type":"u","path":"/dev/x","major":1,"minor":3},{"type":"p","path":"/dev/p"}],
        "namespaces":[{"type":"time"},{"type":"network","path":""}]"#))
    .unwrap();
}

#[test]
fn foreign_sections_are_ignored_even_when_odd() {
    parse(
        r#"{"ociVersion":"1.3.0","vm":{"hwConfig":{}},"zos":{"namespaces":[{"type":"x"}]},
        "windows":{"layerFolders":7},"solaris":{"anet":1},"freebsd":{"devices":[]}}"#,
    )
    .unwrap();
}

#[test]
fn a_missing_or_foreign_version_is_an_error() {
    assert!(error_of(r#"{"root":{"path":"r"}}"#).contains("ociVersion: required field is missing"));
    assert!(error_of(r#"{"ociVersion":"2.0.0"}"#).contains("ociVersion: \"2.0.0\""));
    assert!(error_of(r#"{"ociVersion":1}"#).contains("ociVersion: wrong type"));
}

#[test]
fn errors_name_line_column_and_field() {
    let cases = [
        (
            "{\"ociVersion\":\"1.0.0\",\n \"process\":{\"cwd\":\"/\",\"user\":{\"uid\":-1}}}",
            "line 2, column 37: process.user.uid: value out of range: integer `-1`, expected a number from 0 to 4294967295",
        ),
        (
            "{\"ociVersion\":\"1.0.0\",\n\n  \"mounts\":[{\"destination\":\"/a\"},\n {\"type\":\"x\"}]}",
            "line 4, column 2: mounts[1]: missing field `destination`",
        ),
        (
            "{\"ociVersion\":\"1.0.0\",\"hostname\": {\"a\":1}}",
            "line 1, column 35: hostname: wrong type: object, expected a string",
        ),
        (
            "{\"ociVersion\":\"1.0.0\",\"root\":\"rootfs\"}",
            "line 1, column 30: root: wrong type: string \"rootfs\", expected an object",
        ),
        (
            "{\"ociVersion\":\"1.0.0\",\"mounts\": {}}",
            "line 1, column 33: mounts: wrong type: object, expected an array",
        ),
        (
            "{\"ociVersion\":\"1.0.0\",\n\"root\":{\"path\":\"a\",}}",
            "line 2, column 20: trailing comma",
        ),
        ("{\"ociVersion\":\"1.0.0\"", "EOF while parsing"),
        ("{\"ociVersion\":\"1.0.0\"} x", "trailing characters"),
        ("", "EOF while parsing"),
        ("null", "expected an object"),
        (
            "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"a\",\"path\":\"b\"}}",
            "duplicate field `path`",
        ),
    ];
    for (text, want) in cases {
        let error = error_of(text);
        assert!(error.starts_with("read config /b/config.json: "), "{error}");
        assert!(error.contains(want), "{text}\n got: {error}\nwant: {want}");
    }
}

#[test]
fn a_fault_behind_a_repair_is_placed_in_the_users_text() {
    let text = "{\"ociVersion\":\"1.0.0\",\n\"process\":{\"cwd\":\"/\",\n  \"capabilities\":{\"bounding\":[\"CAP_X\"]},\n \"rlimits\":[{\"type\":\"RLIMIT_FOO\",\"soft\":1,\"hard\":1}]}}";
    let error = error_of(text);
    assert!(
        error.contains("line 4, column 21: process.rlimits[0].type: unknown value `RLIMIT_FOO`"),
        "{error}"
    );
}

#[test]
fn enums_outside_the_schema_are_refused() {
    for linux in [
        r#""namespaces":[{"type":"pod"}]"#,
        r#""namespaces":[{"path":"/x"}]"#,
        r#""seccomp":{"defaultAction":"SCMP_ACT_NOPE"}"#,
        r#""personality":{"domain":"BSD"}"#,
        r#""memoryPolicy":{"mode":"MPOL_X"}"#,
        r#""devices":[{"path":"/dev/x"}]"#,
        r#""resources":{"rdma":[]}"#,
        r#""netDevices":[]"#,
    ] {
        let error = error_of(&config("", linux));
        assert!(error.contains("linux"), "{linux}: {error}");
    }
    let error = error_of(&config(r#","ioPriority":{"priority":3}"#, ""));
    assert!(error.contains("process.ioPriority: missing field `class`"), "{error}");
}

#[test]
fn duplicates_are_refused_even_in_a_file_that_needs_repair() {
    let text = r#"{"ociVersion":"1.0.0","process":{"cwd":"/","cwd":"/x","args":["a"]}}"#;
    assert!(error_of(text).contains("duplicate field `cwd`"));
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    let deep = "[".repeat(200_000);
    let error = error_of(&format!(r#"{{"ociVersion":"1.0.0","mounts":{deep}"#));
    assert!(error.contains("line 1"), "{error}");
    let object = r#"{"a":"#.repeat(100_000);
    let error = error_of(&format!(r#"{{"ociVersion":"1.0.0","annotations":{object}"#));
    assert!(error.contains("line 1"), "{error}");
}

#[test]
fn invalid_utf8_is_an_error() {
    let error = Spec::parse(Path::new("c"), b"{\"ociVersion\":\"1.0.0\",\"hostname\":\"\xff\"}");
    assert!(error.unwrap_err().to_string().contains("line 1"));
}

/// A directory of its own, removed at the end.
struct Dir(std::path::PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("corten-spec-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_missing_file_is_said_in_the_callers_words() {
    let dir = Dir::new("missing");
    let error = Spec::load(&dir.0).unwrap_err();
    let want = format!("JSON specification file {}/config.json not found", dir.0.display());
    assert_eq!(error.to_string(), want);
    assert!(error.hint.is_some());
}

#[test]
fn only_a_small_regular_file_is_read() {
    let dir = Dir::new("kinds");
    let path = dir.0.join("config.json");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(Spec::load(&dir.0).unwrap_err().to_string().contains("not a regular file"));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(Spec::load(&dir.0).unwrap_err().to_string().contains("not a regular file"));
    std::fs::remove_dir(&path).unwrap();
    File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
    assert!(Spec::load(&dir.0).unwrap_err().to_string().contains("bytes are more than"));
    std::fs::write(&path, r#"{"ociVersion":"1.0.0"}"#).unwrap();
    assert_eq!(Spec::load(&dir.0).unwrap().oci.version(), "1.0.0");
}

/// A configuration that uses most of the readers, repairs included.
fn rich() -> String {
    config(
        r#","terminal":true,"env":["A=\u00e4\"\\"],"scheduler":{"policy":"SCHED_RR","priority":3,
        "flags":["SCHED_FLAG_DL_OVERRUN"]},"capabilities":{"bounding":["CAP_KILL","CAP_NEW"]}"#,
        r#""namespaces":[{"type":"pid"},{"type":"network","path":"/n"}],"sysctl":{"a.b":"1"},
        "resources":{"pids":{"limit":0},"memory":{"limit":-1},"unified":{"x.y":"z"}}"#,
    )
}

#[test]
fn every_truncation_is_an_error_with_a_place() {
    let text = rich();
    parse(&text).unwrap();
    for cut in (0..text.len()).filter(|cut| text.is_char_boundary(*cut)) {
        let error = error_of(&text[..cut]);
        assert!(error.contains("line "), "{cut}: {error}");
    }
}

#[test]
fn damaged_bytes_never_panic_and_errors_stay_short() {
    let text = rich().into_bytes();
    // Numbers that are the same in every run (Knuth's MMIX generator).
    let mut seed: u64 = 42;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    const BYTES: &[u8] = b"{}[]\",:\\0-9.eEntfu \n\x00\xff";
    for _ in 0..5000 {
        let mut text = text.clone();
        for _ in 0..=next(3) {
            let at = next(text.len());
            match next(3) {
                0 => text[at] = BYTES[next(BYTES.len())],
                1 => drop(text.remove(at)),
                _ => text.insert(at, BYTES[next(BYTES.len())]),
            }
        }
        if let Err(error) = Spec::parse(Path::new("c"), &text) {
            assert!(error.to_string().len() < 2000);
        }
    }
}
