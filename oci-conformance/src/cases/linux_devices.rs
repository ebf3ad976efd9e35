//! `config-linux.md`: devices, default devices.

use serde_json::{Value, json};

use crate::{
    case::{Case, Check, Level::Must, Verdict, ensure, must, other},
    cases::config_root::AUTHOR,
    pty::Terminal,
    runtime::Runtime,
};

const DEVICES: &str = "#configLinuxDevices";
const DEFAULTS: &str = "#configLinuxDefaultDevices";
const AVAILABLE: &str =
    "devices (array of objects, OPTIONAL) lists devices that MUST be available in the container.";

pub(crate) const CASES: &[Case] = &[
    device("config-linux/039", "c"),
    device("config-linux/040", "b"),
    device("config-linux/041", "u"),
    device("config-linux/042", "p"),
    other(
        "config-linux/043",
        DEVICES,
        "type (string, REQUIRED) - type of device: c, b, u or p.",
        AUTHOR,
    ),
    must(
        "config-linux/044",
        DEVICES,
        "path (string, REQUIRED) - full path to device inside container.",
        "a device outside /dev is there; one without path is refused",
        path,
    ),
    must(
        "config-linux/045",
        DEVICES,
        "If a file already exists at path that does not match the requested device, the runtime MUST generate an error.",
        "a plain file at the path is refused",
        taken,
    ),
    must(
        "config-linux/046",
        DEVICES,
        "major, minor (int64, REQUIRED unless type is p) - major, minor numbers for the device.",
        "the numbers are those of the configuration",
        numbers,
    ),
    must(
        "config-linux/047",
        DEVICES,
        "fileMode (uint32, OPTIONAL) - file mode for the device.",
        "mode, owner and group are those of the configuration",
        mode,
    ),
    other(
        "config-linux/048",
        DEVICES,
        "The same type, major and minor SHOULD NOT be used for multiple devices.",
        AUTHOR,
    ),
    default("config-linux/049", "/dev/null"),
    default("config-linux/050", "/dev/zero"),
    default("config-linux/051", "/dev/full"),
    default("config-linux/052", "/dev/random"),
    default("config-linux/053", "/dev/urandom"),
    default("config-linux/054", "/dev/tty"),
    must(
        "config-linux/055",
        DEFAULTS,
        "/dev/console is set up if terminal is enabled in the config by bind mounting the pseudoterminal pty to /dev/console.",
        "it is the process's terminal",
        console,
    ),
    must(
        "config-linux/056",
        DEFAULTS,
        "A bind-mount or symlink of the container's /dev/pts/ptmx.",
        "/dev/ptmx opens a terminal of the container's own devpts",
        ptmx,
    ),
];

const fn device(id: &'static str, kind: &'static str) -> Case {
    let what = "a device of this type is there, with its numbers";
    Case {
        id,
        section: DEVICES,
        level: Must,
        text: AVAILABLE,
        what,
        check: Check::Of(of_type, kind),
    }
}

const fn default(id: &'static str, path: &'static str) -> Case {
    let text =
        "In addition to any devices configured with this setting, the runtime MUST also supply:";
    Case { id, section: DEFAULTS, level: Must, text, what: path, check: Check::Of(supplied, path) }
}

fn is(stat: &Value, kind: &str, major: u32, minor: u32) -> Verdict {
    let same = stat["kind"] == kind && stat["major"] == major && stat["minor"] == minor;
    ensure!(same, "it is {stat}, not {kind} {major}:{minor}");
    Ok(())
}

fn of_type(runtime: &Runtime, kind: &'static str) -> Verdict {
    let mut entry = json!({"type": kind, "path": "/dev/oc"});
    if kind != "p" {
        entry["major"] = json!(10);
        entry["minor"] = json!(222);
    }
    let ran = runtime.bundle()?.push("/linux/devices", entry).ask(["stat /dev/oc"]).run()?;
    let stat = ran.facts.ok("stat /dev/oc")?;
    match kind {
        "p" => {
            ensure!(stat["kind"] == "p", "it is {stat}");
            Ok(())
        }
        // `u` is mknod(1)'s word for an unbuffered character device.
        "u" => is(stat, "c", 10, 222),
        kind => is(stat, kind, 10, 222),
    }
}

fn path(runtime: &Runtime) -> Verdict {
    let entry = json!({"type": "c", "major": 1, "minor": 3, "path": "/etc/deep/null"});
    let bundle = runtime.bundle()?.push("/linux/devices", entry);
    let ran = bundle.ask(["stat /etc/deep/null", "write /etc/deep/null x"]).run()?;
    is(ran.facts.ok("stat /etc/deep/null")?, "c", 1, 3)?;
    let entry = json!({"type": "c", "major": 1, "minor": 3});
    runtime.bundle()?.push("/linux/devices", entry).refused(false, "a device without path")
}

fn taken(runtime: &Runtime) -> Verdict {
    let entry = json!({"type": "c", "major": 1, "minor": 3, "path": "/etc/taken"});
    let bundle = runtime.bundle()?.file("/etc/taken", "a plain file")?;
    bundle.push("/linux/devices", entry).refused(false, "a device where a plain file is")
}

fn numbers(runtime: &Runtime) -> Verdict {
    let mut bundle = runtime.bundle()?;
    for (kind, major, minor) in [("c", 10, 200), ("b", 7, 300)] {
        let path = format!("/dev/oc-{kind}");
        let entry = json!({"type": kind, "path": path, "major": major, "minor": minor});
        bundle = bundle.push("/linux/devices", entry);
    }
    let ran = bundle.ask(["stat /dev/oc-c", "stat /dev/oc-b"]).run()?;
    is(ran.facts.ok("stat /dev/oc-c")?, "c", 10, 200)?;
    is(ran.facts.ok("stat /dev/oc-b")?, "b", 7, 300)
}

fn mode(runtime: &Runtime) -> Verdict {
    let entry = json!({
        "type": "c", "path": "/dev/oc", "major": 1, "minor": 3,
        "fileMode": 0o642, "uid": 12, "gid": 34,
    });
    let ran = runtime.bundle()?.push("/linux/devices", entry).ask(["stat /dev/oc"]).run()?;
    let stat = ran.facts.ok("stat /dev/oc")?;
    let same = stat["mode"] == 0o642 && stat["uid"] == 12 && stat["gid"] == 34;
    ensure!(same, "it is {stat}");
    Ok(())
}

fn supplied(runtime: &Runtime, path: &'static str) -> Verdict {
    let (major, minor) = match path {
        "/dev/null" => (1, 3),
        "/dev/zero" => (1, 5),
        "/dev/full" => (1, 7),
        "/dev/random" => (1, 8),
        "/dev/urandom" => (1, 9),
        _ => (5, 0),
    };
    let (stat, first) = (format!("stat {path}"), format!("first {path} 4"));
    let write = format!("write {path} x");
    let user = json!({"uid": 1000, "gid": 1000});
    let bundle = runtime.bundle()?.set("/process/user", user);
    let ran = bundle.ask([&stat, &first, &write]).run()?;
    is(ran.facts.ok(&stat)?, "c", major, minor)?;
    match path {
        // A process without a terminal cannot open it; that it is there was seen.
        "/dev/tty" => {}
        "/dev/null" => ran.facts.same(&first, &json!([]))?,
        "/dev/random" | "/dev/urandom" => drop(ran.facts.ok(&first)?),
        _ => ran.facts.same(&first, &json!([0, 0, 0, 0]))?,
    }
    if path == "/dev/full" {
        let errno = ran.facts.errno(&write)?;
        ensure!(errno == Some("ENOSPC"), "writing to it: {errno:?}");
    }
    Ok(())
}

fn console(runtime: &Runtime) -> Verdict {
    let questions = ["stat /dev/console", "stat /proc/self/fd/0", "isatty 0", "openw /dev/console"];
    let facts = Terminal::create(runtime.bundle()?.ask(questions))?.run()?;
    facts.same("isatty 0", &json!(true))?;
    facts.ok("openw /dev/console")?;
    let (console, stdin) = (facts.ok("stat /dev/console")?, facts.ok("stat /proc/self/fd/0")?);
    let numbers = |stat: &Value| [stat["major"].clone(), stat["minor"].clone()];
    ensure!(console["kind"] == "c", "/dev/console is {console}");
    ensure!(numbers(console) == numbers(stdin), "it is {console}, the terminal is {stdin}");
    Ok(())
}

fn ptmx(runtime: &Runtime) -> Verdict {
    let questions = ["stat /dev/ptmx", "openw /dev/ptmx", "lstat /dev/ptmx"];
    let user = json!({"uid": 1000, "gid": 1000});
    let ran = runtime.bundle()?.set("/process/user", user).ask(questions).run()?;
    ran.facts.ok("openw /dev/ptmx")?;
    is(ran.facts.ok("stat /dev/ptmx")?, "c", 5, 2)
}
