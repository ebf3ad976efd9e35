//! Questions that wait, end the program, or try what may be forbidden.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::Pid;
use serde_json::json;

use crate::Answer;

/// The answer to an act; none when the word is not one of them.
pub(crate) fn answer(word: &str, args: &[&str]) -> Option<Answer> {
    let ok = |result: io::Result<()>| result.map(|()| json!("ok"));
    let number = |at: usize| args.get(at).and_then(|a| a.parse::<u64>().ok()).unwrap_or_default();
    Some(match (word, args) {
        ("write", [path, ..]) => ok(write(path, &args[1..].join(" "))),
        ("create", [path]) => ok(fs::File::create(path).map(drop)),
        ("writable", [path]) => ok(OpenOptions::new().write(true).open(path).map(drop)),
        ("mkdir", [path]) => ok(fs::create_dir(path)),
        ("remove", [path]) => ok(fs::remove_file(path)),
        ("chmod", [path, mode]) => ok(chmod(path, mode)),
        ("mknod", [path, kind, ..]) => ok(make_node(path, kind, number(2), number(3))),
        ("open", [path]) => ok(OpenOptions::new().read(true).write(true).open(path).map(drop)),
        ("sethostname", [name]) => ok(nix::unistd::sethostname(name).map_err(Into::into)),
        ("chroot", [path]) => ok(nix::unistd::chroot(*path).map_err(Into::into)),
        ("setuid", [id]) => {
            let id = id.parse().unwrap_or_default();
            ok(nix::unistd::setuid(nix::unistd::Uid::from_raw(id)).map_err(Into::into))
        }
        ("mount-tmpfs", [path]) => ok(mount_tmpfs(path)),
        ("umount", [path]) => ok(nix::mount::umount(*path).map_err(Into::into)),
        ("remount-rw", [path]) => ok(remount_rw(path)),
        ("alloc", [_]) => Ok(alloc(number(0))),
        ("sleep", [_]) => {
            std::thread::sleep(Duration::from_millis(number(0)));
            Ok(json!("ok"))
        }
        ("wait", [signal]) => wait(signal),
        ("raise", [signal]) => raise(signal),
        ("exit", [_]) => std::process::exit(i32::try_from(number(0)).unwrap_or(1)),
        ("stderr", _) => {
            eprintln!("{}", args.join(" "));
            Ok(json!("ok"))
        }
        ("thread-mkdir", [path]) => ok(in_thread((*path).to_owned())),
        ("calls", [_]) => {
            Ok(json!((0..number(0)).filter(|_| rustix::process::getppid().is_none()).count()))
        }
        ("notify", _) => ok(notify(&args.join("\n"))),
        ("send-to", [path]) => {
            ok(UnixDatagram::unbound().and_then(|s| s.send_to(b"x", path)).map(drop))
        }
        _ => return None,
    })
}

/// A call that the first thread does not make.
fn in_thread(path: String) -> io::Result<()> {
    let made = std::thread::spawn(move || fs::create_dir(path)).join();
    made.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

fn write(path: &str, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

fn chmod(path: &str, mode: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = u32::from_str_radix(mode, 8).unwrap_or_default();
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn make_node(path: &str, kind: &str, major: u64, minor: u64) -> io::Result<()> {
    let kind = match kind {
        "c" => SFlag::S_IFCHR,
        "b" => SFlag::S_IFBLK,
        _ => SFlag::S_IFIFO,
    };
    Ok(mknod(path, kind, Mode::S_IRWXU, makedev(major, minor))?)
}

fn mount_tmpfs(path: &str) -> io::Result<()> {
    let flags = nix::mount::MsFlags::empty();
    Ok(nix::mount::mount(Some("tmpfs"), path, Some("tmpfs"), flags, None::<&str>)?)
}

fn remount_rw(path: &str) -> io::Result<()> {
    let flags = nix::mount::MsFlags::MS_REMOUNT | nix::mount::MsFlags::MS_BIND;
    Ok(nix::mount::mount(None::<&str>, path, None::<&str>, flags, None::<&str>)?)
}

/// Touches so many MiB of memory.
fn alloc(mib: u64) -> serde_json::Value {
    let size = usize::try_from(mib << 20).unwrap_or(usize::MAX);
    let bytes = vec![0xA5_u8; size];
    json!(bytes.iter().step_by(4096).map(|b| u64::from(*b)).sum::<u64>())
}

fn signal(name: &str) -> io::Result<Signal> {
    let name = if name.starts_with("SIG") { name.to_owned() } else { format!("SIG{name}") };
    name.parse().map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Blocks a signal, says so, and waits for it: the first process of a pid namespace has no default actions.
fn wait(name: &str) -> Answer {
    let mut set = SigSet::empty();
    set.add(signal(name)?);
    set.thread_block()?;
    println!("waiting");
    io::stdout().flush()?;
    let got = set.wait()?;
    Ok(json!(got.as_str()))
}

fn raise(name: &str) -> Answer {
    kill(Pid::this(), signal(name)?)?;
    Ok(json!("survived"))
}

/// Sends a message to `NOTIFY_SOCKET` (sd_notify(3)).
fn notify(text: &str) -> io::Result<()> {
    let path =
        std::env::var_os("NOTIFY_SOCKET").ok_or_else(|| io::Error::other("no NOTIFY_SOCKET"))?;
    UnixDatagram::unbound()?.send_to(text.as_bytes(), path)?;
    Ok(())
}
