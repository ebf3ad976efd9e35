//! Runs as the container's program and answers questions about what it sees there.
//!
//! Every argument is one question, `verb word word`; every answer is one line of JSON on standard
//! output: `{"ask": …, "ok": …}` or `{"ask": …, "err": "ENOENT"}`. Nothing stops at an error.
//! As `probe hook FILE NAME [what]` it is a hook that writes down how it was called.

use std::{
    env, fs,
    io::{self, Read, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    process::{Command, exit},
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        resource::{Resource, getrlimit},
        signal::{SigSet, Signal},
        stat::{Mode, SFlag, makedev, mknod, umask},
        statfs::statfs,
    },
    time::{ClockId, clock_gettime},
    unistd::{alarm, getegid, geteuid, getgid, getgroups, getuid},
};
use serde_json::{Value, json};

/// A held probe ends by itself: a check that died leaves nothing running for long.
const HOLD_SECONDS: u32 = 60;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("hook") => exit(hook(&args[1..])),
        Some("sleep") => {
            thread::sleep(Duration::from_secs(HOLD_SECONDS.into()));
        }
        _ => {
            for question in &args {
                let answer = match answer(question) {
                    Ok(value) => json!({"ask": question, "ok": value}),
                    Err(e) => json!({"ask": question, "err": name(&e)}),
                };
                // Nobody reads: the check will say that the answer is missing.
                let _ = writeln!(io::stdout(), "{answer}");
            }
        }
    }
}

/// `ENOENT` for an error of the system, its words for another.
fn name(e: &io::Error) -> String {
    e.raw_os_error().map_or_else(|| e.to_string(), |code| format!("{:?}", Errno::from_raw(code)))
}

fn answer(question: &str) -> io::Result<Value> {
    let words: Vec<&str> = question.split(' ').collect();
    match words.as_slice() {
        ["hold"] => hold(),
        ["exit", code] => exit(code.parse().unwrap_or(1)),
        ["sleep", seconds] => {
            thread::sleep(Duration::from_secs(seconds.parse().unwrap_or(1)));
            Ok(Value::Null)
        }
        ["ids"] => Ok(ids()),
        ["env"] => Ok(json!(env::vars().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>())),
        ["args"] => Ok(json!(env::args().collect::<Vec<_>>())),
        ["cwd"] => Ok(json!(env::current_dir()?)),
        ["uname"] => {
            let name = nix::sys::utsname::uname()?;
            Ok(json!({
                "nodename": name.nodename().to_string_lossy(),
                "domainname": name.domainname().to_string_lossy(),
                "machine": name.machine().to_string_lossy(),
            }))
        }
        ["rlimit", kind] => {
            let (soft, hard) = getrlimit(resource(kind)?)?;
            Ok(json!([soft, hard]))
        }
        ["clock", kind] => {
            let clock = if *kind == "boottime" {
                ClockId::CLOCK_BOOTTIME
            } else {
                ClockId::CLOCK_MONOTONIC
            };
            Ok(json!(clock_gettime(clock)?.tv_sec()))
        }
        ["interfaces"] => interfaces(),
        ["fds"] => Ok(json!(fds())),
        ["isatty", fd] => Ok(json!(
            fs::read_link(format!("/proc/self/fd/{fd}"))
                .is_ok_and(|to| { to.starts_with("/dev/pts") || to == Path::new("/dev/console") })
        )),
        ["threads", count] => Ok(threads(count.parse().unwrap_or(1))),
        ["allocate", mebibytes] => Ok(allocate(mebibytes.parse().unwrap_or(1))),
        ["hostname", name] => Ok(json!(nix::unistd::sethostname(name)?)),
        ["chroot", dir] => Ok(json!(nix::unistd::chroot(*dir)?)),
        [verb, path, rest @ ..] => file(verb, path, rest),
        _ => Err(unknown()),
    }
}

fn unknown() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the probe has no such question")
}

/// Questions about a path.
fn file(verb: &str, path: &str, rest: &[&str]) -> io::Result<Value> {
    let open = |write: bool| fs::File::options().read(!write).write(write).open(path).map(drop);
    match (verb, rest) {
        ("read", []) => Ok(json!(String::from_utf8_lossy(&fs::read(path)?))),
        ("first", [count]) => {
            let mut bytes = Vec::new();
            let count = count.parse().unwrap_or(1);
            fs::File::open(path)?.take(count).read_to_end(&mut bytes)?;
            Ok(json!(bytes))
        }
        ("write", [text]) => {
            Ok(json!(fs::File::options().write(true).open(path)?.write_all(text.as_bytes())?))
        }
        ("append", [text]) => {
            append(path, text)?;
            Ok(Value::Null)
        }
        ("create", []) => Ok(json!(fs::File::create(path).map(drop)?)),
        ("mkdir", []) => Ok(json!(fs::create_dir(path)?)),
        ("open", []) => Ok(json!(open(false)?)),
        ("openw", []) => Ok(json!(open(true)?)),
        ("openmode", [mode]) => {
            let mode = u32::from_str_radix(mode, 8).map_err(|_| unknown())?;
            fs::File::options().create(true).truncate(true).write(true).mode(mode).open(path)?;
            Ok(json!(fs::metadata(path)?.permissions().mode() & 0o777))
        }
        ("stat", []) => Ok(stat(&fs::metadata(path)?)),
        ("lstat", []) => Ok(stat(&fs::symlink_metadata(path)?)),
        ("link", []) => Ok(json!(fs::read_link(path)?)),
        ("list", []) => {
            let entries = fs::read_dir(path)?.filter_map(Result::ok);
            let mut names: Vec<_> =
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort_unstable();
            Ok(json!(names))
        }
        ("mknod", [kind, major, minor]) => {
            let flag = if *kind == "b" { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
            let number = |word: &str| word.parse::<u64>().map_err(|_| unknown());
            let device = makedev(number(major)?, number(minor)?);
            Ok(json!(mknod(path, flag, Mode::from_bits_truncate(0o666), device)?))
        }
        ("statfs", []) => Ok(json!(statfs(path)?.filesystem_type().0)),
        ("copy", [to]) => Ok(json!(fs::copy(path, to)?)),
        ("exec", []) => Ok(json!(Command::new(path).status()?.success())),
        _ => Err(unknown()),
    }
}

fn stat(meta: &fs::Metadata) -> Value {
    let kind = match meta.file_type() {
        t if t.is_char_device() => "c",
        t if t.is_block_device() => "b",
        t if t.is_fifo() => "p",
        t if t.is_symlink() => "l",
        t if t.is_dir() => "d",
        _ => "f",
    };
    json!({
        "kind": kind, "mode": meta.mode() & 0o7777, "uid": meta.uid(), "gid": meta.gid(),
        "major": nix::sys::stat::major(meta.rdev()), "minor": nix::sys::stat::minor(meta.rdev()),
        "size": meta.size(),
    })
}

fn ids() -> Value {
    let groups = getgroups().unwrap_or_default();
    let mut groups: Vec<u32> = groups.into_iter().map(nix::unistd::Gid::as_raw).collect();
    groups.sort_unstable();
    let mask = umask(Mode::empty());
    umask(mask);
    json!({
        "uid": getuid().as_raw(), "euid": geteuid().as_raw(), "gid": getgid().as_raw(),
        "egid": getegid().as_raw(), "groups": groups, "umask": mask.bits(),
    })
}

fn resource(kind: &str) -> io::Result<Resource> {
    Ok(match kind {
        "RLIMIT_AS" => Resource::RLIMIT_AS,
        "RLIMIT_CORE" => Resource::RLIMIT_CORE,
        "RLIMIT_CPU" => Resource::RLIMIT_CPU,
        "RLIMIT_DATA" => Resource::RLIMIT_DATA,
        "RLIMIT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => Resource::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => Resource::RLIMIT_NICE,
        "RLIMIT_NOFILE" => Resource::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => Resource::RLIMIT_NPROC,
        "RLIMIT_RSS" => Resource::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => Resource::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => Resource::RLIMIT_STACK,
        _ => return Err(unknown()),
    })
}

/// Which numbers are open. The listing's own number is closed when it is looked at again.
fn fds() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let listed: Vec<i32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    let open = |fd: &i32| fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok();
    let mut open: Vec<i32> = listed.into_iter().filter(open).collect();
    open.sort_unstable();
    open
}

/// Name, up or not, and addresses of every interface.
fn interfaces() -> io::Result<Value> {
    let mut list = Vec::new();
    for interface in nix::ifaddrs::getifaddrs()? {
        let up = interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP);
        let address = interface
            .address
            .and_then(|a| Some(a.as_sockaddr_in()?.ip().to_string()))
            .unwrap_or_default();
        list.push(json!({"name": interface.interface_name, "up": up, "address": address}));
    }
    Ok(json!(list))
}

/// How many threads could be started, up to a count.
fn threads(wanted: usize) -> Value {
    let start = |_| {
        thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(|| thread::sleep(Duration::from_millis(300)))
            .ok()
    };
    let started: Vec<_> = (0..wanted).map_while(start).collect();
    let count = started.len();
    for thread in started {
        let _ = thread.join();
    }
    json!(count)
}

/// Touches this much memory; a limit below it kills us.
fn allocate(mebibytes: usize) -> Value {
    let mut bytes = vec![0_u8; mebibytes << 20];
    for page in bytes.chunks_mut(4096) {
        page[0] = 1;
    }
    json!(bytes.iter().map(|b| u64::from(*b)).sum::<u64>() > 0)
}

/// Says that it holds, then names every signal that comes, until SIGTERM.
fn hold() -> io::Result<Value> {
    let mut signals = SigSet::all();
    signals.remove(Signal::SIGALRM);
    signals.thread_block()?;
    alarm::set(HOLD_SECONDS);
    println!("{}", json!({"ask": "holding", "ok": true}));
    loop {
        let signal = signals.wait()?;
        println!("{}", json!({"ask": "signal", "ok": signal.as_str()}));
        if signal == Signal::SIGTERM {
            return Ok(Value::Null);
        }
    }
}

fn append(path: &str, line: &str) -> io::Result<()> {
    let mut file = fs::File::options().append(true).create(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

/// The mount points of a mount table.
fn points(table: &str) -> Vec<&str> {
    table.lines().filter_map(|line| line.split(' ').nth(4)).collect()
}

/// A hook: `FILE NAME` and then `fail`, `hang` or nothing. Writes one JSON line into the file.
fn hook(args: &[String]) -> i32 {
    let [file, name, rest @ ..] = args else { return 64 };
    let mut state = String::new();
    let stdin = io::stdin().read_to_string(&mut state).is_ok();
    let state = serde_json::from_str::<Value>(&state).unwrap_or_default();
    let link = |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).ok();
    // The container's process, as the hook was told; its files show how far it has come.
    let process = |file: &str| {
        fs::read_to_string(format!("/proc/{}/{file}", state["pid"])).unwrap_or_default()
    };
    let status = process("status");
    let own = env::vars().filter(|(key, _)| key != "PATH").map(|(k, v)| format!("{k}={v}"));
    let line = json!({
        "hook": name, "args": env::args().collect::<Vec<_>>(), "env": own.collect::<Vec<_>>(),
        "state": state, "stdin": stdin, "cmdline": process("cmdline"),
        "alive": status.contains("State:") && !status.contains("State:\tZ"),
        "process": fs::read_link(format!("/proc/{}/ns/mnt", state["pid"])).ok(),
        "points": points(&process("mountinfo")),
        "own": points(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()),
        "mnt": link("mnt"), "pid": link("pid"), "uts": link("uts"), "net": link("net"),
        "root": fs::metadata("/").map(|m| m.ino()).ok(),
        "probe": Path::new("/probe").exists(),
    });
    if append(file, &line.to_string()).is_err() {
        return 65;
    }
    match rest.first().map(String::as_str) {
        Some("fail") => {
            eprintln!("this hook fails on purpose");
            1
        }
        Some("hang") => {
            thread::sleep(Duration::from_secs(HOLD_SECONDS.into()));
            0
        }
        _ => 0,
    }
}
