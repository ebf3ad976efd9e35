//! Every finding, found where it is and not where it is not.

use super::*;
use crate::profile::{ActionName, Syscalls};
use serde_json::{Value, json};

const HOST: &str = "SCMP_ARCH_X86_64";

fn found(profile: &Value) -> Vec<Finding> {
    let profile = serde_json::from_value(profile.clone()).unwrap();
    lint(&profile, Arch::named(HOST).unwrap(), (6, 1))
}

/// Findings as `severity code at`.
fn codes(profile: &Value) -> Vec<String> {
    let line = |f: &Finding| {
        let severity = format!("{:?}", f.severity).to_lowercase();
        format!("{severity} {} {}", f.code, f.at)
    };
    found(profile).iter().map(line).collect()
}

fn problem(profile: &Value, code: &str) -> String {
    let found = found(profile);
    let finding = found.iter().find(|finding| finding.code == code);
    finding.unwrap_or_else(|| panic!("no {code} in {found:#?}")).problem.clone()
}

/// A list of denied calls, for all of which the deny-list note is left out here.
fn denying(rules: &Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [HOST, "SCMP_ARCH_X86"], "syscalls": rules})
}

fn of(rules: &Value) -> Vec<String> {
    let mut codes = codes(&denying(rules));
    codes.retain(|code| code != "note deny-list defaultAction");
    codes
}

#[test]
fn names_are_looked_up() {
    let rule = json!([{"names": ["mkdri", "cacheflush", "acct", "acct", "no_such_call_at_all"],
        "action": "SCMP_ACT_ERRNO"}]);
    assert_eq!(
        of(&rule),
        [
            "warning unknown-name syscalls[0].names[0]",
            "warning unknown-name syscalls[0].names[4]",
            "note duplicate syscalls[0].names[3]",
            "note foreign-name syscalls[0].names",
        ]
    );
    let all = found(&denying(&rule));
    assert_eq!(all[0].remedy, "did you mean mkdir?");
    assert!(problem(&denying(&rule), "foreign-name").contains("cacheflush"));
}

#[test]
fn conditions_that_are_none_are_told() {
    let arg = |index: u32, value: u64, two: u64, op: &str| json!({"index": index, "value": value, "valueTwo": two, "op": op});
    let one =
        |args: Value| of(&json!([{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "args": args}]));
    assert_eq!(one(json!([arg(0, 1, 0, "SCMP_CMP_EQ")])), Vec::<String>::new());
    let condition = "warning condition syscalls[0].args[0]";
    assert_eq!(one(json!([arg(0, 1, 2, "SCMP_CMP_EQ")])), [condition]);
    assert_eq!(one(json!([arg(0, 1, 2, "SCMP_CMP_MASKED_EQ")])), [condition]);
    assert_eq!(one(json!([arg(0, 1 << 40, 0, "SCMP_CMP_GT")])), [condition]);
    assert_eq!(one(json!([arg(0, 0, 0, "SCMP_CMP_GE")])), [condition]);
    let never = "warning condition syscalls[0]";
    assert_eq!(one(json!([arg(0, 0, 0, "SCMP_CMP_LT")])), [condition, never]);
    let range = json!([arg(0, 3, 0, "SCMP_CMP_GT"), arg(0, 9, 0, "SCMP_CMP_LT")]);
    assert_eq!(one(range), ["warning alternatives syscalls[0].args"]);
}

#[test]
fn rules_that_never_decide_are_told_with_who_does() {
    let deny = |errno: u32| json!({"names": ["acct", "swapon"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno});
    assert_eq!(of(&json!([deny(1), deny(1)])), ["note duplicate syscalls[1]"]);
    let two = json!([deny(1), deny(2)]);
    assert_eq!(of(&two), ["warning overruled syscalls[1]"]);
    assert!(problem(&denying(&two), "overruled").contains("acct and swapon: SCMP_ACT_ERRNO(2)"));
    let allow = json!([{"names": ["acct"], "action": "SCMP_ACT_ALLOW"}]);
    assert_eq!(of(&allow), ["note no-effect syscalls[0]"]);
    let allow = json!([deny(1), {"names": ["acct"], "action": "SCMP_ACT_ALLOW"}]);
    assert_eq!(of(&allow), ["warning overruled syscalls[1]"]);
    assert!(problem(&denying(&allow), "overruled").contains("equal to the default is skipped"));
}

/// podman's profile has such rules on purpose: they exclude each other.
#[test]
fn rules_that_hold_at_once_are_told_unless_they_exclude_each_other() {
    let rule = |value: u64, op: &str, action: &str| json!({"names": ["ioctl"], "action": action, "args": [{"index": 1, "value": value, "op": op}]});
    let meet =
        json!([rule(5, "SCMP_CMP_GT", "SCMP_ACT_ERRNO"), rule(9, "SCMP_CMP_GT", "SCMP_ACT_LOG")]);
    assert_eq!(of(&meet), ["warning overlap syscalls[1]"]);
    let apart =
        json!([rule(5, "SCMP_CMP_LE", "SCMP_ACT_ERRNO"), rule(5, "SCMP_CMP_GT", "SCMP_ACT_LOG")]);
    assert_eq!(of(&apart), Vec::<String>::new());
}

#[test]
fn what_cannot_be_compiled_is_an_error_beside_the_rest() {
    let rule = |action: &str| {
        let arg = json!([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]);
        json!({"names": ["ioctl"], "action": action, "args": arg})
    };
    let conflict = json!([rule("SCMP_ACT_ERRNO"), rule("SCMP_ACT_LOG"), {"names": ["x"], "action": "SCMP_ACT_LOG"}]);
    assert_eq!(
        of(&conflict),
        ["error invalid syscalls[1].names", "warning unknown-name syscalls[2].names[0]"]
    );
    let zero = json!([{"names": ["acct"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0}]);
    assert_eq!(of(&zero), ["warning errno-zero syscalls[0].errnoRet"]);
}

#[test]
fn twins_of_denied_calls_are_missed() {
    let deny = |names: &[&str]| json!([{"names": names, "action": "SCMP_ACT_ERRNO"}]);
    assert_eq!(of(&deny(&["umount2", "acct"])), Vec::<String>::new());
    assert_eq!(of(&deny(&["mkdir"])), ["warning left-out syscalls[0].names[0]"]);
    assert!(problem(&denying(&deny(&["mkdir"])), "left-out").contains("mkdirat does the same"));
    let both = of(&deny(&["mkdir", "mkdirat"]));
    assert_eq!(both, ["warning io-uring syscalls[0].names[1]"]);
    assert_eq!(of(&deny(&["mkdir", "mkdirat", "io_uring_setup"])), Vec::<String>::new());
    let flags = json!([{"names": ["clone"], "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 0, "value": 0x1000_0000, "valueTwo": 0x1000_0000, "op": "SCMP_CMP_MASKED_EQ"}]}]);
    assert_eq!(of(&flags), ["warning clone3 "]);
}

#[test]
fn architectures_are_looked_at() {
    let with = |arches: &[&str], default: &str| {
        codes(&json!({"defaultAction": default, "architectures": arches, "syscalls": []}))
    };
    let open = with(&["SCMP_ARCH_X86", "SCMP_ARCH_X32"], "SCMP_ACT_ALLOW");
    assert_eq!(open, ["warning x32 architectures", "note deny-list defaultAction"]);
    let alone = with(&[], "SCMP_ACT_ALLOW");
    assert_eq!(alone, ["note architecture architectures", "note deny-list defaultAction"]);
}

/// A list of allowed calls that starts programs, and one that does not.
#[test]
fn what_is_needed_to_start_is_missed_and_dangers_are_told() {
    let mut names: Vec<String> = facts::TO_START
        .iter()
        .chain(&facts::BY_RUNTIME)
        .filter_map(|row| row.first())
        .map(ToString::to_string)
        .collect();
    names.push("execve".into());
    let lint_of = |names: &[String], kernel| {
        let rule = Syscalls { names: names.to_vec(), ..Syscalls::default() };
        let profile = Profile {
            default_action: ActionName::Errno,
            architectures: vec!["SCMP_ARCH_X86".into()],
            syscalls: vec![rule],
            ..Profile::default()
        };
        let found = lint(&profile, Arch::named(HOST).unwrap(), kernel);
        found.iter().map(|f| format!("{} {}", f.code, f.at)).collect::<Vec<_>>()
    };
    assert_eq!(lint_of(&names, (6, 1)), Vec::<String>::new());
    assert_eq!(lint_of(&["getpid".into()], (6, 1)), ["no-execve "]);
    assert_eq!(lint_of(&["execve".into()], (6, 1)), ["start syscalls", "runtime syscalls"]);
    names.extend(["ptrace".into(), "mount".into()]);
    let at = names.len() - 1;
    assert_eq!(lint_of(&names, (6, 1)), [format!("dangerous syscalls[0].names[{at}]")]);
    assert_eq!(lint_of(&names, (4, 4)).len(), 2);
}

#[test]
fn a_listener_is_missed() {
    let notify = json!([{"names": ["acct"], "action": "SCMP_ACT_NOTIFY"}]);
    assert_eq!(of(&notify), ["error listener syscalls[0].action"]);
    let mut heard = denying(&notify);
    heard["listenerPath"] = json!("/run/agent.sock");
    assert!(!codes(&heard).iter().any(|code| code.contains("listener")));
    let mut lost = denying(&json!([]));
    lost["listenerMetadata"] = json!("x");
    assert_eq!(codes(&lost)[0], "error listener listenerMetadata");
}
