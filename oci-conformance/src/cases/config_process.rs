//! `config.md`: process, POSIX process (resource limits), user.

use serde_json::{Value, json};

use crate::{
    case::{Case, Verdict, ensure, must, other},
    cases::config_root::{AUTHOR, WINDOWS},
    cases::kit::hold,
    runtime::Runtime,
    world::Exit,
};

const PROCESS: &str = "#configProcess";
const POSIX: &str = "#configPOSIXProcess";
const USER: &str = "#configPOSIXUser";

const ARGS: &str = "This specification extends the IEEE standard in that at least one entry is REQUIRED (non-Windows), and that entry is used with the same semantics as execvp's file.";

pub(crate) const CASES: &[Case] = &[
    must(
        "config/096",
        PROCESS,
        "process (object, OPTIONAL) specifies the container process. This property is REQUIRED when start is called.",
        "create without process succeeds, start then fails",
        optional_until_start,
    ),
    must(
        "config/097",
        PROCESS,
        "Runtimes MUST ignore consoleSize if terminal is false or unset.",
        "a console size without a terminal changes nothing",
        console_size_ignored,
    ),
    other("config/098", PROCESS, "height (uint, REQUIRED)", AUTHOR),
    other("config/099", PROCESS, "width (uint, REQUIRED)", AUTHOR),
    must(
        "config/100",
        PROCESS,
        "cwd (string, REQUIRED) is the working directory that will be set for the executable.",
        "it is; a process without cwd is refused",
        cwd,
    ),
    must(
        "config/101",
        PROCESS,
        "This value MUST be an absolute path.",
        "a relative cwd is refused",
        relative_cwd,
    ),
    must(
        "config/102",
        PROCESS,
        "env (array of strings, OPTIONAL) with the same semantics as IEEE Std 1003.1-2008's environ.",
        "the environment is what the configuration says, nothing of the runtime's own",
        env,
    ),
    must("config/103", PROCESS, ARGS, "an empty list of arguments is refused", no_args),
    must("config/104", PROCESS, ARGS, "a name without slash is searched for on PATH", searched),
    must("config/105", PROCESS, ARGS, "a program that is not there is an error", no_program),
    other(
        "config/106",
        PROCESS,
        "This field is OPTIONAL on Windows, and commandLine is REQUIRED if this field is omitted.",
        WINDOWS,
    ),
    other(
        "config/107",
        POSIX,
        "type (string, REQUIRED) the platform resource being limited.",
        AUTHOR,
    ),
    must(
        "config/108",
        POSIX,
        "The runtime MUST generate an error for any values which cannot be mapped to a relevant kernel interface.",
        "RLIMIT_NO_SUCH is refused",
        unknown_limit,
    ),
    must(
        "config/109",
        POSIX,
        "For each entry in rlimits, a getrlimit(3) on type MUST succeed.",
        "all sixteen limits of getrlimit(2) can be set",
        every_limit,
    ),
    must(
        "config/110",
        POSIX,
        "soft (uint64, REQUIRED) the value of the limit enforced for the corresponding resource. rlim.rlim_cur MUST match the configured value.",
        "getrlimit inside returns the soft limits",
        soft_limits,
    ),
    must(
        "config/111",
        POSIX,
        "hard (uint64, REQUIRED) the ceiling for the soft limit that could be set by an unprivileged process. rlim.rlim_max MUST match the configured value.",
        "getrlimit inside returns the hard limits",
        hard_limits,
    ),
    must(
        "config/112",
        POSIX,
        "If rlimits contains duplicated entries with same type, the runtime MUST generate an error.",
        "a limit said twice is refused",
        duplicate_limit,
    ),
    must(
        "config/113",
        USER,
        "uid (int, REQUIRED) specifies the user ID in the container namespace.",
        "real and effective user are it, with and without a user namespace",
        uid,
    ),
    must(
        "config/114",
        USER,
        "gid (int, REQUIRED) specifies the group ID in the container namespace.",
        "real and effective group are it",
        gid,
    ),
    must(
        "config/115",
        USER,
        "umask (int, OPTIONAL) specifies the umask of the user.",
        "it is set",
        umask,
    ),
    must(
        "config/116",
        USER,
        "additionalGids (array of ints, OPTIONAL) specifies additional group IDs in the container namespace to be added to the process.",
        "they are its groups, and no group of the runtime stays",
        groups,
    ),
];

fn optional_until_start(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.without("/process");
    let said = bundle.call_create(&[])?;
    ensure!(said.ok(), "create without process: {}", said.words());
    ensure!(!runtime.call(&["start", &bundle.id])?.ok(), "start without process succeeded");
    Ok(())
}

fn console_size_ignored(runtime: &Runtime) -> Verdict {
    let size = json!({"height": 33, "width": 77});
    for terminal in [Some(false), None] {
        let bundle = runtime.bundle()?.set("/process/consoleSize", size.clone());
        let bundle = match terminal {
            Some(value) => bundle.set("/process/terminal", json!(value)),
            None => bundle,
        };
        let ran = bundle.ask(["isatty 0", "cwd"]).run()?;
        ran.facts.same("isatty 0", &json!(false))?;
    }
    Ok(())
}

fn cwd(runtime: &Runtime) -> Verdict {
    let ran = runtime.bundle()?.set("/process/cwd", json!("/etc")).ask(["cwd"]).run()?;
    ran.facts.same("cwd", &json!("/etc"))?;
    runtime.bundle()?.without("/process/cwd").refused(true, "no cwd")
}

fn relative_cwd(runtime: &Runtime) -> Verdict {
    runtime.bundle()?.set("/process/cwd", json!("etc")).refused(true, "cwd \"etc\"")
}

fn env(runtime: &Runtime) -> Verdict {
    let wanted = ["A=1", "EMPTY=", "PATH=/", "WITH=a=b"];
    let ran = runtime.bundle()?.set("/process/env", json!(wanted)).ask(["env"]).run()?;
    let mut got: Vec<String> = serde_json::from_value(ran.facts.ok("env")?.clone())?;
    // A home directory is the one thing that runtimes add (execvp's users expect it).
    got.retain(|line| !line.starts_with("HOME="));
    got.sort_unstable();
    ensure!(got == wanted, "the environment is {got:?}");
    Ok(())
}

fn no_args(runtime: &Runtime) -> Verdict {
    runtime.bundle()?.set("/process/args", json!([])).refused(true, "args []")?;
    runtime.bundle()?.without("/process/args").refused(true, "no args")
}

fn searched(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.set("/process/env", json!(["PATH=/nowhere:/"]));
    let ran = bundle.set("/process/args", json!(["probe", "args"])).run()?;
    ran.facts.same("args", &json!(["probe", "args"]))
}

fn no_program(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.set("/process/args", json!(["/no/such/program"]));
    bundle.refused(true, "a program that is not there")
}

fn unknown_limit(runtime: &Runtime) -> Verdict {
    let limit = json!([{"type": "RLIMIT_NO_SUCH", "soft": 1, "hard": 1}]);
    runtime.bundle()?.set("/process/rlimits", limit).refused(true, "RLIMIT_NO_SUCH")
}

const LIMITS: [&str; 16] = [
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_CPU",
    "RLIMIT_DATA",
    "RLIMIT_FSIZE",
    "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_NOFILE",
    "RLIMIT_NPROC",
    "RLIMIT_RSS",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
    "RLIMIT_SIGPENDING",
    "RLIMIT_STACK",
];

/// Small enough to be no raise anywhere, large enough to live with.
fn limit(kind: &str) -> (u64, u64) {
    match kind {
        "RLIMIT_AS" | "RLIMIT_DATA" | "RLIMIT_RSS" | "RLIMIT_FSIZE" => (1 << 38, 1 << 39),
        "RLIMIT_STACK" => (1 << 22, 1 << 23),
        "RLIMIT_CPU" | "RLIMIT_RTTIME" => (100_000_000, 200_000_000),
        "RLIMIT_CORE" | "RLIMIT_NICE" | "RLIMIT_RTPRIO" => (0, 0),
        "RLIMIT_MEMLOCK" => (32 << 10, 64 << 10),
        _ => (400, 500),
    }
}

fn limits(runtime: &Runtime, part: usize) -> Verdict {
    let list: Vec<Value> = LIMITS
        .iter()
        .map(|kind| json!({"type": kind, "soft": limit(kind).0, "hard": limit(kind).1}))
        .collect();
    let questions = LIMITS.map(|kind| format!("rlimit {kind}"));
    let bundle = runtime.bundle()?.set("/process/rlimits", json!(list));
    let ran = bundle.ask(&questions).run()?;
    for kind in LIMITS {
        let wanted = json!([limit(kind).0, limit(kind).1]);
        let got = ran.facts.ok(&format!("rlimit {kind}"))?;
        ensure!(got[part] == wanted[part], "{kind} is {got}, not {wanted}");
    }
    Ok(())
}

fn every_limit(runtime: &Runtime) -> Verdict {
    for kind in LIMITS {
        let entry = json!([{"type": kind, "soft": limit(kind).0, "hard": limit(kind).1}]);
        let bundle = runtime.bundle()?.set("/process/rlimits", entry);
        bundle.ask([format!("rlimit {kind}")]).run()?.facts.ok(&format!("rlimit {kind}"))?;
    }
    Ok(())
}

fn soft_limits(runtime: &Runtime) -> Verdict {
    limits(runtime, 0)
}

fn hard_limits(runtime: &Runtime) -> Verdict {
    limits(runtime, 1)
}

fn duplicate_limit(runtime: &Runtime) -> Verdict {
    let entry = |soft: u32| json!({"type": "RLIMIT_NOFILE", "soft": soft, "hard": 500});
    let list = json!([entry(300), entry(400)]);
    runtime.bundle()?.set("/process/rlimits", list).refused(true, "RLIMIT_NOFILE twice")
}

fn uid(runtime: &Runtime) -> Verdict {
    let user = json!({"uid": 1234, "gid": 0});
    let ran = runtime.bundle()?.set("/process/user", user.clone()).ask(["ids"]).run()?;
    let ids = ran.facts.ok("ids")?;
    ensure!(ids["uid"] == 1234 && ids["euid"] == 1234, "the ids are {ids}");
    let bundle = runtime.bundle()?.user_namespace(300_000, 2000)?.set("/process/user", user);
    let container = hold(bundle, &["ids"])?;
    let facts = container.facts();
    ensure!(facts.ok("ids")?["uid"] == 1234, "in a user namespace: {}", facts.ok("ids")?);
    let status = container.proc("status")?;
    ensure!(status.contains("Uid:\t301234\t"), "outside it is not 301234");
    Ok(())
}

fn gid(runtime: &Runtime) -> Verdict {
    let user = json!({"uid": 0, "gid": 4321});
    let ran = runtime.bundle()?.set("/process/user", user).ask(["ids"]).run()?;
    let ids = ran.facts.ok("ids")?;
    ensure!(ids["gid"] == 4321 && ids["egid"] == 4321, "the ids are {ids}");
    Ok(())
}

fn umask(runtime: &Runtime) -> Verdict {
    let user = json!({"uid": 0, "gid": 0, "umask": 0o027});
    let bundle = runtime.bundle()?.set("/process/user", user);
    let ran = bundle.ask(["ids", "openmode /tmp/file 666", "exit 5"]).run()?;
    let ids = ran.facts.ok("ids")?;
    ensure!(ids["umask"] == 0o027, "the umask is {}", ids["umask"]);
    ran.facts.same("openmode /tmp/file 666", &json!(0o640))?;
    ensure!(ran.exit == Exit::Code(5), "it ended as {:?}", ran.exit);
    Ok(())
}

fn groups(runtime: &Runtime) -> Verdict {
    let user = json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 6]});
    let ran = runtime.bundle()?.set("/process/user", user).ask(["ids"]).run()?;
    let groups = &ran.facts.ok("ids")?["groups"];
    let plain = [json!([5, 6]), json!([5, 6, 1000])];
    ensure!(plain.contains(groups), "its groups are {groups}, not [5, 6] and perhaps its own");
    Ok(())
}
