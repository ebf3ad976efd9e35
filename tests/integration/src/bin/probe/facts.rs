//! Questions that only look.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nix::sys::resource::{Resource, getrlimit};
use nix::time::{ClockId, clock_gettime};
use nix::unistd;
use serde_json::{Map, Value, json};

use crate::Answer;

/// The answer to a looking question; none when the word is not one of them.
pub(crate) fn answer(word: &str, args: &[&str]) -> Option<Answer> {
    let arg = args.first().copied().unwrap_or_default();
    Some(match word {
        "read" => read(arg),
        "stat" => fs::metadata(arg).map(|m| stat(&m)),
        "lstat" => fs::symlink_metadata(arg).map(|m| stat(&m)),
        "readlink" => fs::read_link(arg).map(|l| json!(l.to_string_lossy())),
        "list" => list(arg),
        "mounts" => mounts(),
        "mount" => mount(arg),
        "status" => status(arg),
        "ids" => Ok(ids()),
        "cwd" => cwd(),
        "args" => Ok(json!(strings(std::env::args_os()))),
        "env" => env(args),
        "hostname" => read("/proc/sys/kernel/hostname"),
        "domainname" => read("/proc/sys/kernel/domainname"),
        "ns" => namespaces(),
        "fds" => descriptors(),
        "winsize" => winsize(),
        "tty" => rustix::termios::ttyname(io::stdin(), Vec::new())
            .map(|name| json!(name.to_string_lossy()))
            .map_err(Into::into),
        "rlimit" => rlimit(arg),
        "net" => interfaces(),
        "clock" => clock(),
        "statfs" => statfs(arg),
        "pid" => Ok(json!(std::process::id())),
        "readable" => fs::File::open(arg).map(|_| json!("ok")),
        _ => return None,
    })
}

/// At most 64 KiB of a file, without the last newline.
fn read(path: &str) -> Answer {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(65536).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(json!(text.strip_suffix('\n').unwrap_or(&text)))
}

fn stat(meta: &fs::Metadata) -> Value {
    let kind = meta.file_type();
    let kind = match kind {
        k if k.is_dir() => "dir",
        k if k.is_symlink() => "link",
        k if k.is_char_device() => "char",
        k if k.is_block_device() => "block",
        k if k.is_fifo() => "fifo",
        k if k.is_socket() => "socket",
        _ => "file",
    };
    let rdev = meta.rdev();
    json!({
        "type": kind,
        "mode": format!("{:o}", meta.mode() & 0o7777),
        "uid": meta.uid(), "gid": meta.gid(), "size": meta.size(), "dev": meta.dev(), "ino": meta.ino(),
        "major": rustix::fs::major(rdev), "minor": rustix::fs::minor(rdev),
    })
}

fn list(path: &str) -> Answer {
    let mut names: Vec<String> = fs::read_dir(path)?
        .map(|e| e.map(|e| e.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort();
    Ok(json!(names))
}

fn mounts() -> Answer {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(text.lines().filter_map(mount_line).collect())
}

/// One line of mountinfo (proc_pid_mountinfo(5)).
fn mount_line(line: &str) -> Option<Value> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let right: Vec<&str> = right.split(' ').collect();
    Some(json!({
        "root": left.get(3)?, "target": left.get(4)?, "options": left.get(5)?,
        "propagation": left.get(6..)?.join(" "),
        "type": right.first()?, "source": right.get(1)?, "super": right.get(2)?,
    }))
}

/// The topmost mount at a mount point.
fn mount(target: &str) -> Answer {
    let all = mounts()?;
    let at = all.as_array().into_iter().flatten().rfind(|m| m["target"] == target);
    at.cloned().ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
}

fn status(field: &str) -> Answer {
    let text = fs::read_to_string("/proc/self/status")?;
    let value = text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
    value.map(|v| json!(v.trim())).ok_or_else(|| io::Error::other("no such field"))
}

fn ids() -> Value {
    let groups = unistd::getgroups().unwrap_or_default();
    json!({
        "uid": unistd::getuid().as_raw(), "euid": unistd::geteuid().as_raw(),
        "gid": unistd::getgid().as_raw(), "egid": unistd::getegid().as_raw(),
        "groups": groups.into_iter().map(unistd::Gid::as_raw).collect::<Vec<_>>(),
    })
}

fn cwd() -> Answer {
    Ok(json!(std::env::current_dir()?.to_string_lossy()))
}

fn strings(list: impl Iterator<Item = std::ffi::OsString>) -> Vec<String> {
    list.map(|s| s.to_string_lossy().into_owned()).collect()
}

/// `env` is the whole environment as the kernel has it; `env NAME` one variable.
fn env(args: &[&str]) -> Answer {
    if let [name] = args {
        let value = std::env::var_os(name);
        return Ok(value.map_or(Value::Null, |v| json!(v.to_string_lossy())));
    }
    let bytes = fs::read("/proc/self/environ")?;
    let entries = bytes.split(|b| *b == 0).filter(|e| !e.is_empty());
    Ok(entries.map(|e| json!(OsStr::from_bytes(e).to_string_lossy())).collect())
}

fn namespaces() -> Answer {
    let mut all = Map::new();
    for entry in fs::read_dir("/proc/self/ns")? {
        let entry = entry?;
        let inode = fs::read_link(entry.path())?;
        all.insert(entry.file_name().to_string_lossy().into(), json!(inode.to_string_lossy()));
    }
    Ok(all.into())
}

/// Every open descriptor and what it is, but for the one that reads the list.
fn descriptors() -> Answer {
    let mut all = Map::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        if !target.ends_with("/fd") || !target.starts_with("/proc/") {
            all.insert(entry.file_name().to_string_lossy().into(), json!(target));
        }
    }
    Ok(all.into())
}

fn winsize() -> Answer {
    let size = rustix::termios::tcgetwinsize(io::stdin())?;
    Ok(json!({ "rows": size.ws_row, "cols": size.ws_col }))
}

fn rlimit(name: &str) -> Answer {
    let resource = match name {
        "AS" => Resource::RLIMIT_AS,
        "CORE" => Resource::RLIMIT_CORE,
        "CPU" => Resource::RLIMIT_CPU,
        "DATA" => Resource::RLIMIT_DATA,
        "FSIZE" => Resource::RLIMIT_FSIZE,
        "LOCKS" => Resource::RLIMIT_LOCKS,
        "MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "NICE" => Resource::RLIMIT_NICE,
        "NOFILE" => Resource::RLIMIT_NOFILE,
        "NPROC" => Resource::RLIMIT_NPROC,
        "RSS" => Resource::RLIMIT_RSS,
        "RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RTTIME" => Resource::RLIMIT_RTTIME,
        "SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "STACK" => Resource::RLIMIT_STACK,
        _ => return Err(io::Error::from_raw_os_error(libc::EINVAL)),
    };
    let (soft, hard) = getrlimit(resource)?;
    Ok(json!({ "soft": soft, "hard": hard }))
}

/// Every network interface with its flags and addresses.
fn interfaces() -> Answer {
    let mut all = Map::new();
    for name in
        list("/sys/class/net").or_else(|_| names_in_proc())?.as_array().into_iter().flatten()
    {
        let name = name.as_str().unwrap_or_default();
        all.insert(name.to_owned(), json!({ "up": false, "addresses": [] }));
    }
    for entry in nix::ifaddrs::getifaddrs()? {
        let at = all.entry(entry.interface_name).or_insert_with(|| json!({ "addresses": [] }));
        at["up"] = json!(entry.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP));
        let address = entry.address.map(|a| a.to_string());
        if let (Some(address), Some(list)) = (address, at["addresses"].as_array_mut()) {
            list.push(json!(address));
        }
    }
    Ok(all.into())
}

fn names_in_proc() -> Answer {
    let text = fs::read_to_string("/proc/net/dev")?;
    let names = text.lines().skip(2).filter_map(|l| l.split(':').next());
    Ok(names.map(|n| json!(n.trim())).collect())
}

/// Seconds of the clocks that a time namespace moves.
fn clock() -> Answer {
    let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC)?.tv_sec();
    let boottime = clock_gettime(ClockId::CLOCK_BOOTTIME)?.tv_sec();
    Ok(json!({ "monotonic": monotonic, "boottime": boottime }))
}

fn statfs(path: &str) -> Answer {
    let found = rustix::fs::statfs(path)?;
    Ok(
        json!({ "magic": format!("{:x}", found.f_type), "blocks": found.f_blocks, "files": found.f_files }),
    )
}
