//! `corten seccomp explain`, `check`, `lint` and `diff`: answers, their places, exit codes.
//!
//! runc: has none of these.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use harness::place::Place;
use harness::{need, runtime};
use serde_json::{Value, json};

/// A profile in a file, one member a line.
struct File {
    place: Place,
    name: String,
}

impl File {
    fn new(profile: &Value) -> Self {
        let place = Place::new();
        let name = place.path("profile.json").to_string_lossy().into_owned();
        fs::write(&name, serde_json::to_string_pretty(profile).unwrap()).unwrap();
        Self { place, name }
    }

    /// The line of a text.
    fn line(&self, text: &str) -> usize {
        let file = fs::read_to_string(&self.name).unwrap();
        let at = file.lines().position(|line| line.contains(text));
        at.unwrap_or_else(|| panic!("no {text} in {file}")) + 1
    }
}

fn tool(words: &[&str]) -> (i32, String) {
    let output = call(words, "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap(), text)
}

fn call(words: &[&str], input: &str) -> Output {
    let mut command = Command::new(runtime::path());
    command.arg("seccomp").args(words).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that does not read it closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// For a machine that tests may not be run on, too.
const AMD64: [&str; 2] = ["--arch", "amd64"];

fn ask(tool_and_flags: &[&str], rest: &[&str]) -> (i32, String) {
    tool(&[tool_and_flags, &AMD64, rest].concat())
}

/// As Docker writes them: conditions that the engine resolves, and several rules for a call.
fn engine_profile() -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{
            "architecture": "SCMP_ARCH_X86_64",
            "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]
        }],
        "syscalls": [
            { "names": ["read", "write", "execve", "process_mrelease"], "action": "SCMP_ACT_ALLOW" },
            {
                "names": ["mount", "umount2"],
                "action": "SCMP_ACT_ALLOW",
                "includes": { "caps": ["CAP_SYS_ADMIN"] }
            },
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{
                    "index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"
                }],
                "excludes": { "caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"] }
            },
            {
                "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
                "excludes": { "caps": ["CAP_SYS_ADMIN"] }
            },
            { "names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "4.8" } },
            {
                "names": ["socket"], "action": "SCMP_ACT_ALLOW",
                "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }]
            }
        ]
    })
}

/// What happens, which line says so; the exit code is for scripts.
#[test]
fn check_tells_what_happens_and_which_rule_says_so() {
    let file = File::new(&engine_profile());
    let check = |call: &[&str]| ask(&["check"], &[&[&file.name[..]], call].concat());
    let (code, text) = check(&["read"]);
    let line = file.line("\"read\"");
    assert_eq!(
        text,
        format!(
            "read is 0 on SCMP_ARCH_X86_64\nSCMP_ACT_ALLOW: syscalls[0].names[0] (line {line})\n"
        )
    );
    assert_eq!(code, 0);
    let (code, text) = check(&["mkdir", "1", "-1", "0x7"]);
    assert!(text.contains("SCMP_ACT_ERRNO(1) EPERM: defaultAction (line "), "{text}");
    assert_eq!(code, 1);
    let (code, text) = check(&["clone3"]);
    let line = file.line("\"clone3\"");
    let expected = format!("SCMP_ACT_ERRNO(38) ENOSYS: syscalls[3].names[0] (line {line})");
    assert!(text.contains(&expected), "{text}");
    assert_eq!(code, 1);
    let (_, text) = check(&["500"]);
    assert!(text.contains("ENOSYS: newer than the profile: above process_mrelease"), "{text}");
}

#[test]
fn check_looks_at_arguments_and_architectures() {
    let file = File::new(&engine_profile());
    let check = |flags: &[&str], call: &[&str]| {
        ask(&[&["check"], flags].concat(), &[&[&file.name[..]], call].concat())
    };
    let (code, text) = check(&[], &["clone"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("its arguments decide"), "{text}");
    assert!(text.contains("args[0] & 0x7e020000 == 0x0"), "{text}");
    assert_eq!(check(&[], &["clone", "0x10000000"]).0, 1);
    assert_eq!(check(&[], &["clone", "17"]).0, 0);
    // i386 carries it in socketcall.
    assert_eq!(check(&["--abi", "x86"], &["socketcall", "1", "2"]).0, 0);
    let (code, text) = check(&["--abi", "x86"], &["socket", "40"]);
    assert_eq!((code, text.contains("socket is 359 on SCMP_ARCH_X86")), (1, true), "{text}");
    let (code, text) = check(&["--abi", "arm"], &["read"]);
    assert!(
        text.contains("KILL_THREAD: SCMP_ARCH_ARM is not an architecture of the profile"),
        "{text}"
    );
    assert_eq!(code, 1);
    let (_, text) = check(&["--json"], &["clone", "0x10000000"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["number"], 56);
    assert_eq!(json["cases"][0]["errno"], "EPERM");
    assert_eq!(json["cases"][0]["allowed"], false);
    assert_eq!(json["cases"].as_array().unwrap().len(), 1);
}

/// Capabilities, kernel and architecture decide which rules there are, as with the engine.
#[test]
fn profiles_of_engines_are_resolved_for_the_container() {
    let file = File::new(&engine_profile());
    let check =
        |flags: &[&str], call: &str| ask(&[&["check"], flags].concat(), &[&file.name, call]).0;
    assert_eq!(check(&[], "mount"), 1);
    assert_eq!(check(&["--cap", "CAP_CHOWN,sys_admin"], "mount"), 0);
    assert_eq!(check(&["--cap", "all"], "mount"), 0);
    assert_eq!(check(&["--cap", "none"], "mount"), 1);
    assert_eq!(check(&["--kernel", "4.8"], "ptrace"), 0);
    assert_eq!(check(&["--kernel", "4.4"], "ptrace"), 1);
    let (code, text) = tool(&["check", "--arch", "s390x", &file.name, "clone", "17"]);
    assert_eq!(code, 1, "{text}");
}

/// 2, one line that says where, nothing on standard output.
#[test]
fn what_cannot_be_answered_ends_with_2() {
    let place = Place::new();
    let write = |name: &str, text: &str| {
        let path = place.path(name).to_string_lossy().into_owned();
        fs::write(&path, text).unwrap();
        path
    };
    let good = write("good", "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
    let no_profile = write("no-profile", "{\n  \"linux\": {}\n}");
    let no_json = write("no-json", "{\n \"defaultAction\": }");
    let typo = write("typo", "{\"defaultAction\":\"SCMP_ACT_PERMIT\"}");
    let nothing = write("nothing", "{}");
    let bad = write(
        "bad",
        "{\"linux\": {\"seccomp\": {\"defaultAction\":\"SCMP_ACT_ALLOW\",\n\"syscalls\":[{\"names\":[\"read\"],\n\"action\":\"SCMP_ACT_KILL\",\n\"errnoRet\": 5}]}}}",
    );
    for (words, expected) in [
        (["explain", "/no/such/file"].as_slice(), "/no/such/file: "),
        (&["explain", &no_profile], "has no linux.seccomp"),
        (&["lint", &no_json], "no-json:2:19: expected value"),
        (&["lint", &typo], "unknown variant `SCMP_ACT_PERMIT`"),
        (&["lint", &nothing], "missing field `defaultAction`"),
        (&["explain", &bad], "bad:4:13: linux.seccomp.syscalls[0].errnoRet: "),
        (&["check", &good, "mkdri"], "mkdri: is no system call of"),
        (&["check", &good, "read", "x"], "x: is no argument"),
        (&["check", "--abi", "pdp11", &good, "read"], "\"pdp11\" is no architecture"),
        (&["check", "--cap", "CAP_FLY", &good, "read"], "\"CAP_FLY\" is no capability"),
        (&["check", "--kernel", "new", &good, "read"], "\"new\" is no version"),
        (&["diff", "-", "-"], "standard input"),
    ] {
        let output = call(words, "");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {error}");
        assert!(error.contains(expected), "{words:?}: {error}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}

/// A line per instruction; every target is a line; names for calls, actions, architectures.
#[test]
fn explain_lists_the_filter_with_names_and_targets() {
    let file = File::new(&engine_profile());
    let (code, text) = ask(&["explain"], &[&file.name]);
    assert_eq!(code, 0);
    for expected in [
        "    0  load arch\n",
        "if arch == SCMP_ARCH_X86_64 goto ",
        "SCMP_ARCH_X86_64, SCMP_ARCH_X32:\n",
        "\nSCMP_ARCH_X86:\n",
        "(execve)",
        "load args[0].low  ; clone\n",
        "return SCMP_ACT_ERRNO(38)",
        "; flags: SECCOMP_FILTER_FLAG_SPEC_ALLOW\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let (_, json) = ask(&["explain", "--json"], &[&file.name]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let lines = json["instructions"].as_array().unwrap();
    assert!(text.contains(&format!(": {} instructions\n", lines.len())), "{text}");
    for line in lines {
        for target in ["then", "else"].map(|way| &line[way]).into_iter().filter(|t| !t.is_null()) {
            let target = usize::try_from(target.as_u64().unwrap()).unwrap();
            assert!(target < lines.len() && line["at"].as_u64() < Some(target as u64), "{line}");
        }
    }
    // Standard input, and a whole configuration.
    let config = json!({ "linux": { "seccomp": { "defaultAction": "SCMP_ACT_LOG" } } });
    let output = call(&["explain", "-"], &config.to_string());
    assert!(String::from_utf8_lossy(&output.stdout).contains("return SCMP_ACT_LOG"), "{output:?}");
}

/// Position, severity, what to do; 1 only for errors.
#[test]
fn lint_tells_place_severity_and_remedy() {
    let conflict = |action: &str| {
        json!({
            "names": ["ioctl"], "action": action, "args": [{ "index": 1, "value": 7, "op": "SCMP_CMP_EQ" }]
        })
    };
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            { "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "excludes": { "caps": ["CAP_CHOWN"] } },
            { "names": ["mkdri", "mount"], "action": "SCMP_ACT_ERRNO" },
        ]
    });
    let file = File::new(&profile);
    let (code, text) = ask(&["lint"], &[&file.name]);
    assert_eq!(code, 0, "{text}");
    let line = file.line("mkdri");
    let expected = format!(
        "{}:{line}:9: warning: syscalls[1].names[0]: no architecture has \"mkdri\" [unknown-name]\n    did you mean mkdir?\n",
        file.name
    );
    assert!(text.contains(&expected), "{expected}\n{text}");
    assert!(text.contains("[left-out]") && text.contains("mount_setattr"), "{text}");
    assert!(text.ends_with("json: 0 errors, 2 warnings, 2 notes\n"), "{text}");
    let strict = |nnp: bool| {
        let rule = json!({ "names": ["execve"], "action": "SCMP_ACT_ALLOW" });
        let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule] });
        let config =
            json!({ "process": { "noNewPrivileges": nnp }, "linux": { "seccomp": profile } });
        ask(&["lint"], &[&File::new(&config).name]).1
    };
    assert!(strict(false).contains("[runtime]") && !strict(true).contains("[runtime]"));
    let broken = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [conflict("SCMP_ACT_ERRNO"), conflict("SCMP_ACT_LOG")]
    });
    let file = File::new(&broken);
    let (code, text) = ask(&["lint", "--json"], &[&file.name]);
    assert_eq!(code, 1, "{text}");
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found[0]["severity"], "error");
    assert_eq!(found[0]["code"], "invalid");
    assert_eq!(found[0]["at"], "syscalls[1].names");
    let line = usize::try_from(found[0]["line"].as_u64().unwrap()).unwrap();
    assert!(line > file.line("ioctl"));
    drop(file.place);
}

/// Other words for the same are equal; a value in between two conditions is found.
#[test]
fn diff_compares_what_profiles_do() {
    let one = File::new(&engine_profile());
    let mut other = engine_profile();
    other["syscalls"].as_array_mut().unwrap().reverse();
    other["syscalls"][0]["args"][0] =
        json!({ "index": 0, "value": 40, "op": "SCMP_CMP_NE", "valueTwo": 0 });
    let same = File::new(&other);
    assert_eq!(ask(&["diff"], &[&one.name, &same.name]), (0, String::new()));
    other["syscalls"][0]["args"][0]["value"] = json!(38);
    other["syscalls"][5]["names"] =
        json!(["read", "execve", "process_mrelease", "getpid", "gettid"]);
    let changed = File::new(&other);
    let (code, text) = ask(&["diff"], &[&one.name, &changed.name]);
    assert_eq!(code, 1);
    let (x86_64, others) = text.split_once("SCMP_ARCH_X86:\n").unwrap();
    let mut lines: Vec<_> = x86_64.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "  getpid, gettid: SCMP_ACT_ERRNO(1) EPERM -> SCMP_ACT_ALLOW",
            "  socket(38): SCMP_ACT_ALLOW -> SCMP_ACT_ERRNO(1) EPERM",
            "  socket(40): SCMP_ACT_ERRNO(1) EPERM -> SCMP_ACT_ALLOW",
            "  write: SCMP_ACT_ALLOW -> SCMP_ACT_ERRNO(1) EPERM",
            "SCMP_ARCH_X86_64:",
        ]
    );
    // What socketcall carries lies in memory: both allow every socket there.
    assert!(!others.contains("socketcall"), "{text}");
    assert!(others.contains("SCMP_ARCH_X32:\n"), "{text}");
    let (code, json) = ask(&["diff", "--json"], &[&one.name, &changed.name]);
    assert_eq!(code, 1);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["names"], json!(["write"]));
    assert_eq!(json[0]["before"], "SCMP_ACT_ALLOW");
    let native = File::new(&json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": [] }));
    let with_x86 = File::new(
        &json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"] }),
    );
    let (_, text) = ask(&["diff"], &[&native.name, &with_x86.name]);
    assert_eq!(
        text,
        "flags: none -> SECCOMP_FILTER_FLAG_SPEC_ALLOW\n\
                      SCMP_ARCH_X86: only in the second; the first kills its calls\n"
    );
}

/// podman's own profile, which names setns twice.
#[test]
fn a_client_s_profile_is_read_as_the_client_does() {
    const PROFILE: &str = "/usr/share/containers/seccomp.json";
    need!(file(PROFILE));
    let (code, text) = ask(&["check"], &[PROFILE, "openat"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = ask(&["check", "--cap", "none"], &[PROFILE, "bpf"]);
    assert_eq!((code, text.contains("EPERM")), (1, true), "{text}");
    assert_eq!(ask(&["check", "--cap", "all"], &[PROFILE, "bpf"]).0, 0);
    let (code, text) = ask(&["lint"], &[PROFILE]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("setns") && text.contains("[overruled]"), "{text}");
    assert_eq!(ask(&["diff"], &[PROFILE, PROFILE]), (0, String::new()));
    let (code, text) = ask(&["explain"], &[PROFILE]);
    assert!(code == 0 && text.lines().count() > 100, "{text}");
}
