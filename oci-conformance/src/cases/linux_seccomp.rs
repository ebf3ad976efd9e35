//! `config-linux.md`: seccomp, and the state that its listener is sent.

use std::os::unix::net::UnixListener;

use serde_json::{Value, json};

use crate::{
    bundle::Bundle,
    case::{Case, Not, Verdict, ensure, must, other},
    cases::{config_root::AUTHOR, kit::semver},
    container::Container,
    pty::{Message, accept, receive},
    runtime::Runtime,
    world::Exit,
};

const SECCOMP: &str = "#configLinuxSeccomp";
const STATE: &str = "#containerprocessstate";
const NO_ERRNO: &str =
    "When the action doesn't support an errno, the runtime MUST print and error and fail.";

pub(crate) const CASES: &[Case] = &[
    must(
        "config-linux/138",
        SECCOMP,
        "defaultAction (string, REQUIRED) - the default action for seccomp.",
        "a profile without it is refused",
        no_default,
    ),
    must(
        "config-linux/139",
        SECCOMP,
        NO_ERRNO,
        "defaultErrnoRet with SCMP_ACT_ALLOW is refused",
        default_errno,
    ),
    must(
        "config-linux/140",
        SECCOMP,
        "This socket MUST use AF_UNIX domain and SOCK_STREAM type.",
        "the runtime connects to such a socket",
        connects,
    ),
    must(
        "config-linux/141",
        SECCOMP,
        "The runtime MUST send exactly one container process state per connection.",
        "one JSON object comes, and nothing after it",
        one_state,
    ),
    must(
        "config-linux/142",
        SECCOMP,
        "The connection MUST NOT be reused and it MUST be closed after sending a seccomp state.",
        "the connection ends",
        one_state,
    ),
    must(
        "config-linux/143",
        SECCOMP,
        "If sending to this socket fails, the runtime MUST generate an error.",
        "a listener that is not there is refused",
        no_listener,
    ),
    must(
        "config-linux/144",
        SECCOMP,
        "seccompFd (string, REQUIRED) is the seccomp file descriptor returned by the seccomp syscall.",
        "fds names it, and one descriptor comes",
        descriptor,
    ),
    must(
        "config-linux/145",
        SECCOMP,
        "This field MUST NOT be set if listenerPath is not set.",
        "listenerMetadata alone is refused",
        metadata_alone,
    ),
    must(
        "config-linux/146",
        SECCOMP,
        "names (array of strings, REQUIRED) - the names of the syscalls. names MUST contain at least one entry.",
        "a rule without names is refused",
        no_names,
    ),
    must(
        "config-linux/147",
        SECCOMP,
        "action (string, REQUIRED) - the action for seccomp rules.",
        "ERRNO refuses, KILL_PROCESS kills, ALLOW allows",
        actions,
    ),
    must(
        "config-linux/148",
        SECCOMP,
        NO_ERRNO,
        "errnoRet with SCMP_ACT_ALLOW is refused",
        rule_errno,
    ),
    must(
        "config-linux/149",
        SECCOMP,
        "errnoRet (uint, OPTIONAL) - the errno return code to use.",
        "the call fails with it",
        errno,
    ),
    other(
        "config-linux/150",
        SECCOMP,
        "index (uint, REQUIRED) - the index for syscall arguments in seccomp.",
        AUTHOR,
    ),
    other(
        "config-linux/151",
        SECCOMP,
        "value (uint64, REQUIRED) - the value for syscall arguments in seccomp.",
        AUTHOR,
    ),
    must(
        "config-linux/152",
        SECCOMP,
        "op (string, REQUIRED) - the operator for syscall arguments in seccomp.",
        "a rule with an argument decides by it",
        arguments,
    ),
    must(
        "config-linux/153",
        STATE,
        "The container runtime MUST send the container process state over the UNIX socket as regular payload serialized in JSON and file descriptors MUST be sent using SCM_RIGHTS.",
        "it does",
        descriptor,
    ),
    must(
        "config-linux/154",
        STATE,
        "If more than one sendmsg(2) is used, the file descriptors MUST be sent only in the first call.",
        "the first message has the descriptor, later ones none",
        first_call,
    ),
    must(
        "config-linux/155",
        STATE,
        "ociVersion (string, REQUIRED) is version of the Open Container Initiative Runtime Specification with which the container process state complies.",
        "it is a semantic version",
        state_version,
    ),
    must(
        "config-linux/156",
        STATE,
        "pid (int, REQUIRED) is the container process ID, as seen by the runtime.",
        "it is the pid of the container",
        state_pid,
    ),
    must(
        "config-linux/157",
        STATE,
        "state (state, REQUIRED) is the state of the container.",
        "it has the container's id and bundle; metadata is passed on",
        state_state,
    ),
];

fn profile(default: &str, calls: impl Into<Value>) -> Value {
    json!({"defaultAction": default, "syscalls": calls.into()})
}

fn with(runtime: &Runtime, profile: Value) -> Result<Bundle<'_>, Not> {
    Ok(runtime.bundle()?.set("/linux/seccomp", profile))
}

/// The wrong profile must be refused for what is wrong with it: the right one is taken.
fn refused(runtime: &Runtime, right: Value, wrong: Value, why: &str) -> Verdict {
    let said = with(runtime, right)?.call_create(&[])?;
    ensure!(said.ok(), "the profile without that fault is refused, too: {}", said.words());
    with(runtime, wrong)?.refused(true, why)
}

/// A profile that refuses one system call.
fn plain() -> Value {
    profile("SCMP_ACT_ALLOW", json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]))
}

fn no_default(runtime: &Runtime) -> Verdict {
    let mut wrong = plain();
    if let Some(profile) = wrong.as_object_mut() {
        profile.remove("defaultAction");
    }
    refused(runtime, plain(), wrong, "a profile without defaultAction")
}

fn default_errno(runtime: &Runtime) -> Verdict {
    let mut wrong = plain();
    wrong["defaultErrnoRet"] = json!(5);
    refused(runtime, plain(), wrong, "defaultErrnoRet with SCMP_ACT_ALLOW")
}

fn rule_errno(runtime: &Runtime) -> Verdict {
    let rule = |action: &str| json!([{"names": ["mkdir"], "action": action, "errnoRet": 5}]);
    let right = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO"));
    let wrong = profile("SCMP_ACT_LOG", rule("SCMP_ACT_ALLOW"));
    refused(runtime, right, wrong, "errnoRet with SCMP_ACT_ALLOW")
}

fn metadata_alone(runtime: &Runtime) -> Verdict {
    let mut wrong = plain();
    wrong["listenerMetadata"] = json!("data");
    refused(runtime, plain(), wrong, "listenerMetadata without listenerPath")
}

fn no_names(runtime: &Runtime) -> Verdict {
    let wrong = |rule: Value| profile("SCMP_ACT_ALLOW", json!([rule]));
    let empty = wrong(json!({"names": [], "action": "SCMP_ACT_ERRNO"}));
    refused(runtime, plain(), empty, "a rule with no names")?;
    let absent = wrong(json!({"action": "SCMP_ACT_ERRNO"}));
    refused(runtime, plain(), absent, "a rule without names")
}

/// How a mkdir(2) comes out, and how the program ends, with one rule for it. No runtime calls it
/// between its filter and execve(2).
fn mkdir(runtime: &Runtime, action: &Value) -> Result<(Option<String>, Exit), Not> {
    const MKDIR: &str = "mkdir /tmp/new";
    let mut rule = action.clone();
    rule["names"] = json!(["mkdir", "mkdirat"]);
    let ran = with(runtime, profile("SCMP_ACT_ALLOW", json!([rule])))?.ask([MKDIR]).run()?;
    let errno = ran.facts.errno(MKDIR).ok().flatten().map(str::to_owned);
    Ok((errno, ran.exit))
}

fn actions(runtime: &Runtime) -> Verdict {
    let (errno, exit) = mkdir(runtime, &json!({"action": "SCMP_ACT_ERRNO"}))?;
    ensure!(errno.as_deref() == Some("EPERM"), "SCMP_ACT_ERRNO: {errno:?}, {exit:?}");
    let (errno, exit) = mkdir(runtime, &json!({"action": "SCMP_ACT_ALLOW"}))?;
    ensure!(errno.is_none() && exit == Exit::Code(0), "SCMP_ACT_ALLOW: {errno:?}, {exit:?}");
    let (errno, exit) = mkdir(runtime, &json!({"action": "SCMP_ACT_KILL_PROCESS"}))?;
    let killed = exit == Exit::Signal(31);
    ensure!(killed, "SCMP_ACT_KILL_PROCESS: {errno:?}, {exit:?}, not SIGSYS");
    Ok(())
}

fn errno(runtime: &Runtime) -> Verdict {
    let (errno, exit) = mkdir(runtime, &json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 5}))?;
    ensure!(errno.as_deref() == Some("EIO"), "errnoRet 5 is {errno:?}, {exit:?}");
    Ok(())
}

fn arguments(runtime: &Runtime) -> Verdict {
    let rule = |op: &str| {
        let args = json!([{"index": 0, "value": 0, "op": op}]);
        json!([{"names": ["umask"], "action": "SCMP_ACT_KILL_PROCESS", "args": args}])
    };
    let run = |op: &str| -> Result<Exit, Not> {
        let profile = profile("SCMP_ACT_ALLOW", rule(op));
        // The probe's `ids` calls umask(0) first, then umask(022).
        let user = json!({"uid": 0, "gid": 0, "umask": 0o22});
        Ok(with(runtime, profile)?.set("/process/user", user).ask(["ids"]).run()?.exit)
    };
    let equal = run("SCMP_CMP_EQ")?;
    ensure!(equal == Exit::Signal(31), "umask(0) with EQ 0 ended as {equal:?}, not SIGSYS");
    let less = run("SCMP_CMP_LT")?;
    ensure!(less == Exit::Code(0), "umask(0) with LT 0 ended as {less:?}");
    Ok(())
}

/// What a listener received from one connection.
struct Sent {
    messages: Vec<Message>,
    id: String,
    dir: String,
    pid: i32,
}

impl Sent {
    /// The payload of all messages as one JSON value.
    fn state(&self) -> Result<Value, Not> {
        let bytes: Vec<u8> = self.messages.iter().flat_map(|m| m.bytes.iter().copied()).collect();
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// Creates and starts a container whose profile notifies a listener of ours.
fn listen(runtime: &Runtime) -> Result<Sent, Not> {
    let bundle = runtime.bundle()?.ask(["exit 3"]);
    let path = bundle.dir.join("agent.sock");
    let listener = UnixListener::bind(&path)?;
    let mut profile =
        profile("SCMP_ACT_ALLOW", json!([{"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}]));
    profile["listenerPath"] = json!(path);
    profile["listenerMetadata"] = json!("some metadata");
    let bundle = bundle.set("/linux/seccomp", profile);
    let said = bundle.call_create(&[])?;
    ensure!(said.ok(), "create with a listener: {}", said.words());
    let mut container = Container::of(bundle)?;
    // The filter may be loaded at create or at start: both are before the program runs.
    container.start()?;
    let stream = accept(&listener)?;
    let mut messages = Vec::new();
    loop {
        let message = receive(&stream)?;
        if message.bytes.is_empty() {
            break;
        }
        messages.push(message);
    }
    container.wait()?;
    Ok(Sent {
        messages,
        id: container.bundle.id.clone(),
        dir: container.bundle.dir.display().to_string(),
        pid: container.pid,
    })
}

fn connects(runtime: &Runtime) -> Verdict {
    ensure!(!listen(runtime)?.messages.is_empty(), "it connected, but sent nothing");
    Ok(())
}

fn one_state(runtime: &Runtime) -> Verdict {
    // `listen` reads to the end of the connection, and more than one value is no JSON.
    let state = listen(runtime)?.state()?;
    ensure!(state.is_object(), "it sent {state}");
    Ok(())
}

fn no_listener(runtime: &Runtime) -> Verdict {
    let rule = json!([{"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}]);
    let mut profile = profile("SCMP_ACT_ALLOW", rule);
    profile["listenerPath"] = json!("/nowhere/agent.sock");
    refused(runtime, plain(), profile, "a listener that is not there")
}

fn descriptor(runtime: &Runtime) -> Verdict {
    let sent = listen(runtime)?;
    let state = sent.state()?;
    ensure!(state["fds"] == json!(["seccompFd"]), "fds is {}", state["fds"]);
    let count: usize = sent.messages.iter().map(|message| message.fds.len()).sum();
    ensure!(count == 1, "{count} descriptors came");
    Ok(())
}

fn first_call(runtime: &Runtime) -> Verdict {
    let sent = listen(runtime)?;
    let counts: Vec<usize> = sent.messages.iter().map(|message| message.fds.len()).collect();
    let later = counts.iter().skip(1).all(|count| *count == 0);
    ensure!(counts.first() == Some(&1) && later, "descriptors per message: {counts:?}");
    Ok(())
}

fn state_version(runtime: &Runtime) -> Verdict {
    let state = listen(runtime)?.state()?;
    ensure!(
        semver(state["ociVersion"].as_str().unwrap_or_default()),
        "it is {}",
        state["ociVersion"]
    );
    Ok(())
}

fn state_pid(runtime: &Runtime) -> Verdict {
    let sent = listen(runtime)?;
    let state = sent.state()?;
    ensure!(state["pid"] == sent.pid, "it is {}, the container {}", state["pid"], sent.pid);
    Ok(())
}

fn state_state(runtime: &Runtime) -> Verdict {
    let sent = listen(runtime)?;
    let whole = sent.state()?;
    let state = &whole["state"];
    ensure!(state["id"] == sent.id.as_str(), "its id is {}", state["id"]);
    ensure!(state["bundle"] == sent.dir.as_str(), "its bundle is {}", state["bundle"]);
    ensure!(whole["metadata"] == "some metadata", "the metadata is {}", whole["metadata"]);
    Ok(())
}
