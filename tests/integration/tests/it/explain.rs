//! What Corten has beyond other runtimes: `explain`, `--timings`, and errors that programs can read.
//!
//! runc: has none of these.

use std::process::Command;

use harness::{Bundle, need, runtime};
use serde_json::{Value, json};

/// `explain` prints the plan, as text and as JSON, and makes nothing.
#[test]
fn explain_prints_the_plan_and_makes_nothing() {
    need!(root);
    let bundle = Bundle::new().probe(["pid"]);
    bundle.write();
    let dir = bundle.dir().to_string_lossy().into_owned();
    let text = bundle.runtime().call(&["explain", "--bundle", &dir]).ok().stdout;
    assert!(text.contains("/proc") && text.contains("/bin/probe"), "{text}");
    let plan =
        bundle.runtime().call(&["explain", "--bundle", &dir, "--format", "json"]).ok().json();
    assert_eq!(plan["bundle"], dir.as_str());
    assert!(plan["namespaces"]["new"].as_array().unwrap().contains(&json!("pid")), "{plan}");
    assert!(plan["mounts"]["list"].as_array().unwrap().len() >= 6);
    let left = bundle.place().census();
    assert!(left.is_empty(), "{left}");
}

/// A plan that cannot be made is explained in the words of `create`.
#[test]
fn explain_refuses_what_create_refuses() {
    need!(root);
    let bundle = Bundle::new().set("/linux/sysctl", json!({ "kernel.panic": "1" }));
    bundle.write();
    let dir = bundle.dir().to_string_lossy().into_owned();
    let message = bundle.runtime().call(&["explain", "--bundle", &dir]).refused();
    assert!(message.contains("kernel.panic"), "{message}");
}

/// `--timings` writes events with a name, a begin and a length, for the steps of both processes.
#[test]
fn timings_are_a_chrome_trace() {
    need!(root);
    let bundle = Bundle::new();
    let file = bundle.outside("timings.json").to_string_lossy().into_owned();
    let c = bundle.global(&["--timings", &file]).args(&["/bin/true"]).run();
    let trace: Value = serde_json::from_str(&runtime::lossy(&c.outside("timings.json"))).unwrap();
    let events = trace.get("traceEvents").unwrap_or(&trace).as_array().unwrap().clone();
    assert!(events.len() > 5, "{trace}");
    for event in &events {
        assert!(event["name"].is_string() && event["ph"].is_string(), "{event}");
    }
    let names = events.iter().map(|e| e["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ");
    assert!(names.contains("mount") && names.contains("pivot"), "{names}");
}

/// A `create` or `run` that fails leaves what was measured until then, the failing step included.
#[test]
fn timings_of_a_failure_are_kept() {
    need!(root);
    for verb in ["create", "run"] {
        let bundle = Bundle::new().mount("no-such-fs", "none", "/mnt", &[]);
        let file = bundle.outside("timings.json");
        let bundle = bundle.global(&["--timings", &file.to_string_lossy()]);
        bundle.write();
        let message = bundle.runtime().call(&bundle.words(verb)).refused();
        assert!(message.contains("/mnt"), "{message}");
        let trace: Value = serde_json::from_str(&runtime::lossy(&file)).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let names: Vec<_> = events.iter().filter_map(|event| event["name"].as_str()).collect();
        assert_eq!(names[..2], ["plan", "create"], "{trace}");
        assert_eq!(names.last(), Some(&"mount"), "{trace}");
        let create = events[1]["pid"].as_i64();
        assert!(events[2..].iter().all(|event| event["pid"].as_i64() > Some(0)), "{trace}");
        assert!(events[2..].iter().all(|event| event["pid"].as_i64() != create), "{trace}");
    }
}

/// The error in the log has keys beside the message: a code that does not change, the step, errno, a hint.
#[test]
fn errors_have_keys_for_programs() {
    need!(root);
    let c = Bundle::new().args(&["no-such-program"]).try_run();
    let entry: Value = serde_json::from_str(c.output.log.trim()).unwrap();
    assert_eq!(entry["code"], "exec.ENOENT", "{entry}");
    assert_eq!(entry["step"], "exec", "{entry}");
    assert_eq!(entry["errno"], 2, "{entry}");
    assert!(entry["hint"].is_string(), "{entry}");
}

/// The completion script of a shell names the verbs.
#[test]
fn completions_name_the_verbs() {
    let output = Command::new(runtime::path()).args(["completion", "bash"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for verb in ["create", "start", "explain"] {
        assert!(text.contains(verb), "{verb}");
    }
}
