//! What tests run outside containers: hooks, holders of namespaces, wrappers of the runtime.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, wait};
use serde_json::{Value, json};

/// Runs a tool; false when the first word is none.
pub(crate) fn run(words: &[&str]) -> bool {
    match words {
        ["hook", log, name, more @ ..] => hook(log, name, more),
        ["hold"] => hold(),
        ["block", signals, program @ ..] => block(signals, program),
        ["subreaper", program @ ..] => subreaper(program),
        ["exchange", one, other, seconds] => exchange(one, other, seconds),
        _ => return false,
    }
    true
}

/// Appends what a hook was given to `log`, then does `exit N`, `sleep MS`, `stderr TEXT`, `orphan MS`.
fn hook(log: &str, name: &str, more: &[&str]) {
    let mut stdin = String::new();
    let _ = std::io::stdin().read_to_string(&mut stdin);
    let state: Value = serde_json::from_str(&stdin).unwrap_or(Value::Null);
    let env: Vec<String> = std::env::vars_os()
        .map(|(k, v)| format!("{}={}", k.to_string_lossy(), v.to_string_lossy()))
        .collect();
    let entry = json!({
        "hook": name, "state": state, "env": env,
        "cwd": std::env::current_dir().map(|d| d.to_string_lossy().into_owned()).unwrap_or_default(),
        "args": std::env::args().collect::<Vec<_>>(),
        "pid": std::process::id(),
        "mnt": link("/proc/self/ns/mnt"), "net": link("/proc/self/ns/net"), "uts": link("/proc/self/ns/uts"),
        "pidns": link("/proc/self/ns/pid"), "root": std::fs::metadata("/bin/probe").is_ok(),
        "fds": std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or_default(),
    });
    let file = OpenOptions::new().create(true).append(true).open(log);
    // One write: hooks of two processes may run at once.
    let written = file.and_then(|mut f| f.write_all(format!("{entry}\n").as_bytes()));
    if written.is_err() {
        eprintln!("hook: cannot write {log}: {written:?}");
        std::process::exit(99);
    }
    match more {
        ["exit", code] => std::process::exit(code.parse().unwrap_or(98)),
        ["fail", text] => {
            eprintln!("{text}");
            std::process::exit(1);
        }
        ["sleep", ms] => std::thread::sleep(Duration::from_millis(ms.parse().unwrap_or_default())),
        _ => {}
    }
}

fn link(path: &str) -> String {
    std::fs::read_link(path).map(|l| l.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Holds its namespaces until its stdin ends.
fn hold() {
    println!("held");
    let _ = std::io::stdout().flush();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Blocks signals, then becomes the program: std's `Command` would unblock them again.
fn block(signals: &str, program: &[&str]) {
    let mut set = SigSet::empty();
    for name in signals.split(',') {
        set.add(name.parse::<Signal>().expect("a signal like SIGTERM"));
    }
    set.thread_block().expect("block");
    let words: Vec<CString> =
        program.iter().map(|w| CString::new(*w).expect("no NUL in an argument")).collect();
    let failed = nix::unistd::execvp(&words[0], &words);
    panic!("{}: {failed:?}", program[0]);
}

/// Runs a program as the reaper of its orphans; prints how each of them ended, and exits with the program's code.
fn subreaper(program: &[&str]) {
    nix::sys::prctl::set_child_subreaper(true).expect("subreaper");
    let child = Command::new(program[0]).args(&program[1..]).spawn().expect("program");
    let main = i32::try_from(child.id()).expect("a pid");
    let mut code = 0;
    while let Ok(status) = wait() {
        match status {
            WaitStatus::Exited(pid, status) if pid.as_raw() == main => code = status,
            WaitStatus::Exited(_, status) => println!("orphan exited {status}"),
            WaitStatus::Signaled(_, signal, _) => println!("orphan killed {signal}"),
            _ => {}
        }
    }
    std::process::exit(code);
}

/// Exchanges two names as fast as it can: the attacker of every check-then-use.
fn exchange(one: &str, other: &str, seconds: &str) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let end = Instant::now() + Duration::from_secs(seconds.parse().unwrap_or(1));
    while Instant::now() < end {
        for _ in 0..1000 {
            let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
        }
    }
}
