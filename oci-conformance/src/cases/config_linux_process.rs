//! `config.md`: what only Linux knows of a process.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    case::{Case, Check, Level::Must, Not, Verdict, ensure, must, other, should, skip},
    cases::config_root::AUTHOR,
    cases::kit::hold,
    runtime::{Files, Runtime},
    world::{output, which},
};

const PROCESS: &str = "#configLinuxProcess";

pub(crate) const CASES: &[Case] = &[
    must(
        "config/117",
        PROCESS,
        "apparmorProfile (string, OPTIONAL) specifies the name of the AppArmor profile for the process.",
        "a profile that does not exist, or cannot be had here, is refused",
        apparmor,
    ),
    must(
        "config/118",
        PROCESS,
        "Any value which cannot be mapped to a relevant kernel interface, or cannot be granted otherwise MUST be logged as a warning by the runtime.",
        "the name of an unknown capability is said on stderr or in the log",
        unknown_capability,
    ),
    should(
        "config/119",
        PROCESS,
        "Runtimes SHOULD NOT fail if the container configuration requests capabilities that cannot be granted, for example, if the runtime operates in a restricted environment with a limited set of capabilities.",
        "a capability that the runtime has not itself does not stop the container",
        cannot_be_granted,
    ),
    set(
        "config/120",
        "effective (array of strings, OPTIONAL) the effective field is an array of effective capabilities that are kept for the process.",
        "CapEff",
    ),
    set(
        "config/121",
        "bounding (array of strings, OPTIONAL) the bounding field is an array of bounding capabilities that are kept for the process.",
        "CapBnd",
    ),
    set(
        "config/122",
        "inheritable (array of strings, OPTIONAL) the inheritable field is an array of inheritable capabilities that are kept for the process.",
        "CapInh",
    ),
    set(
        "config/123",
        "permitted (array of strings, OPTIONAL) the permitted field is an array of permitted capabilities that are kept for the process.",
        "CapPrm",
    ),
    set(
        "config/124",
        "ambient (array of strings, OPTIONAL) the ambient field is an array of ambient capabilities that are kept for the process.",
        "CapAmb",
    ),
    must(
        "config/125",
        PROCESS,
        "noNewPrivileges (bool, OPTIONAL) setting noNewPrivileges to true prevents the process from gaining additional privileges.",
        "NoNewPrivs is 1 with it, 0 without it",
        no_new_privileges,
    ),
    must(
        "config/126",
        PROCESS,
        "If oomScoreAdj is set, the runtime MUST set oom_score_adj to the given value.",
        "it is 500 inside",
        oom_score,
    ),
    must(
        "config/127",
        PROCESS,
        "If oomScoreAdj is not set, the runtime MUST NOT change the value of oom_score_adj.",
        "it is the caller's inside",
        oom_score_kept,
    ),
    other(
        "config/128",
        PROCESS,
        "policy (string, REQUIRED) represents the scheduling policy.",
        AUTHOR,
    ),
    must(
        "config/129",
        PROCESS,
        "scheduler (object, OPTIONAL) is an object describing the scheduler properties for the process.",
        "SCHED_BATCH with nice 5, and SCHED_IDLE, are set",
        scheduler,
    ),
    must(
        "config/130",
        PROCESS,
        "selinuxLabel (string, OPTIONAL) specifies the SELinux label for the process.",
        "a label that cannot be had here is refused",
        selinux,
    ),
    must(
        "config/131",
        PROCESS,
        "class (string, REQUIRED) specifies the I/O scheduling class. Possible values are IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, and IOPRIO_CLASS_IDLE.",
        "ionice shows best-effort and idle",
        io_class,
    ),
    must(
        "config/132",
        PROCESS,
        "priority (int, REQUIRED) specifies the priority level within the class.",
        "ionice shows the level",
        io_level,
    ),
    other(
        "config/133",
        PROCESS,
        "If omitted or empty, runtime SHOULD NOT change process' CPU affinity after the process is moved to container's cgroup",
        "nobody that can be seen: the setting is about further processes, for which there is no operation, and the kernel itself may change the affinity then",
    ),
];

const fn set(id: &'static str, text: &'static str, line: &'static str) -> Case {
    let what = "exactly these are in /proc/self/status";
    Case { id, section: PROCESS, level: Must, text, what, check: Check::Of(capability_set, line) }
}

fn apparmor(runtime: &Runtime) -> Verdict {
    let bundle = runtime.bundle()?.set("/process/apparmorProfile", json!("oc-no-such-profile"));
    bundle.refused(true, "an AppArmor profile that cannot be had")
}

fn selinux(runtime: &Runtime) -> Verdict {
    let label = json!("no_such_u:no_such_r:no_such_t:s0");
    runtime.bundle()?.set("/process/selinuxLabel", label).refused(true, "an impossible label")
}

/// Unknown capabilities must be in none of the sets that the runtime understands.
fn unknown_capability(runtime: &Runtime) -> Verdict {
    let list = json!(["CAP_KILL", "CAP_NO_SUCH_THING"]);
    let log = runtime.work.join(format!("log-{}", runtime.number()));
    let bundle = runtime.bundle()?.set("/process/capabilities/bounding", list);
    bundle.write()?;
    let files = Files::new(&bundle.dir, runtime.number())?;
    let mut command = Command::new(&runtime.program);
    command.arg("--root").arg(&runtime.root).arg("--log").arg(&log);
    command.args(["create", "--bundle"]).arg(&bundle.dir).arg(&bundle.id);
    let said = runtime.say(command, &files)?;
    let words = said.err.clone() + &fs::read_to_string(&log).unwrap_or_default();
    ensure!(said.ok(), "create: {}", said.words());
    ensure!(words.contains("CAP_NO_SUCH_THING"), "no word of it: {words:?}");
    Ok(())
}

fn cannot_be_granted(runtime: &Runtime) -> Verdict {
    if which("setpriv").is_none() {
        skip!("setpriv (util-linux) to call the runtime with fewer capabilities");
    }
    let capabilities = json!(["CAP_KILL", "CAP_SYS_TIME"]);
    let bundle = runtime
        .bundle()?
        .set("/process/capabilities/bounding", capabilities.clone())
        .set("/process/capabilities/permitted", capabilities.clone())
        .set("/process/capabilities/effective", capabilities)
        .ask(["read /proc/self/status"]);
    bundle.write()?;
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_time", "--inh-caps=-sys_time"]).arg(&runtime.program);
    command.arg("--root").arg(&runtime.root).args(["create", "--bundle"]);
    command.arg(&bundle.dir).arg(&bundle.id);
    let said = runtime.say(command, &bundle.files)?;
    ensure!(said.ok(), "create: {}", said.words());
    let mut container = crate::container::Container::of(bundle)?;
    container.start()?;
    let ran = container.finish()?;
    let mask = status_mask(ran.facts.text("read /proc/self/status")?, "CapEff")?;
    ensure!(mask == 1 << KILL, "its effective capabilities are {mask:#x}");
    Ok(())
}

const CHOWN: u64 = 0;
const KILL: u64 = 5;
const NET_BIND_SERVICE: u64 = 10;

fn status_mask(status: &str, line: &str) -> Result<u64, Not> {
    let found = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    let mask = found.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    mask.ok_or_else(|| Not::Fail(format!("no {line} in {status:?}")))
}

/// One container, five sets that differ. The user is not root: execve(2) would give root all.
fn capability_set(runtime: &Runtime, line: &'static str) -> Verdict {
    let bundle = runtime.bundle()?.set("/process/user", json!({"uid": 1000, "gid": 1000})).set(
        "/process/capabilities",
        json!({
            "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
            "permitted": ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
            "inheritable": ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
            "effective": ["CAP_KILL"],
            "ambient": ["CAP_KILL"],
        }),
    );
    let ran = bundle.ask(["read /proc/self/status"]).run()?;
    let mask = status_mask(ran.facts.text("read /proc/self/status")?, line)?;
    let wanted = match line {
        "CapBnd" => 1 << CHOWN | 1 << KILL | 1 << NET_BIND_SERVICE,
        "CapInh" => 1 << KILL | 1 << NET_BIND_SERVICE,
        // After execve(2) of a program without file capabilities the ambient set is what stays.
        _ => 1 << KILL,
    };
    ensure!(mask == wanted, "{line} is {mask:#x}, not {wanted:#x}");
    Ok(())
}

fn no_new_privileges(runtime: &Runtime) -> Verdict {
    for (value, line) in [(json!(true), "NoNewPrivs:\t1"), (json!(false), "NoNewPrivs:\t0")] {
        let bundle = runtime.bundle()?.set("/process/noNewPrivileges", value);
        let ran = bundle.ask(["read /proc/self/status"]).run()?;
        let status = ran.facts.text("read /proc/self/status")?;
        ensure!(status.contains(line), "there is no {line:?}");
    }
    Ok(())
}

const SCORE: &str = "read /proc/self/oom_score_adj";

fn oom_score(runtime: &Runtime) -> Verdict {
    let ran = runtime.bundle()?.set("/process/oomScoreAdj", json!(500)).ask([SCORE]).run()?;
    let score = ran.facts.text(SCORE)?;
    ensure!(score == "500", "it is {score}");
    Ok(())
}

fn oom_score_kept(runtime: &Runtime) -> Verdict {
    let ours = fs::read_to_string("/proc/self/oom_score_adj")?;
    let ran = runtime.bundle()?.ask([SCORE]).run()?;
    let score = ran.facts.text(SCORE)?;
    ensure!(score == ours.trim(), "it is {score}, the caller's is {}", ours.trim());
    Ok(())
}

/// Policy and nice value: fields 41 and 19 of proc_pid_stat(5).
fn scheduler(runtime: &Runtime) -> Verdict {
    for (policy, nice, wanted) in [("SCHED_BATCH", 5, ["3", "5"]), ("SCHED_IDLE", 0, ["5", "0"])] {
        let value = json!({"policy": policy, "nice": nice});
        let bundle = runtime.bundle()?.set("/process/scheduler", value);
        let ran = bundle.ask(["read /proc/self/stat"]).run()?;
        let stat = ran.facts.text("read /proc/self/stat")?;
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let field = |number: usize| rest.split(' ').nth(number - 3).unwrap_or_default();
        let got = [field(41), field(19)];
        ensure!(got == wanted, "{policy} nice {nice}: policy and nice are {got:?}");
    }
    Ok(())
}

fn ionice(runtime: &Runtime, value: Value) -> Result<String, Not> {
    if which("ionice").is_none() {
        skip!("ionice (util-linux) to see an I/O priority");
    }
    let bundle = runtime.bundle()?.set("/process/ioPriority", value);
    let container = hold(bundle, &[])?;
    Ok(output(Command::new("ionice").args(["-p", &container.pid.to_string()]))?)
}

fn io_class(runtime: &Runtime) -> Verdict {
    let text = ionice(runtime, json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0}))?;
    ensure!(text.contains("idle"), "IOPRIO_CLASS_IDLE is {text:?}");
    let text = ionice(runtime, json!({"class": "IOPRIO_CLASS_BE", "priority": 4}))?;
    ensure!(text.contains("best-effort"), "IOPRIO_CLASS_BE is {text:?}");
    Ok(())
}

fn io_level(runtime: &Runtime) -> Verdict {
    let text = ionice(runtime, json!({"class": "IOPRIO_CLASS_BE", "priority": 6}))?;
    ensure!(text.contains("prio 6"), "priority 6 is {text:?}");
    Ok(())
}
