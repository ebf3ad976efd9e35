//! Writes the id maps of a new user namespace, or has newuidmap(1) and newgidmap(1) write them;
//! and says what to do where that, or the namespace itself, is refused.
//!
//! [`plan::idmap`](crate::plan::idmap) decided who writes. The tools are started by the parent,
//! like runc's: found in `PATH`, without our environment. What they refuse is explained from
//! subuid(5) and their own file by [`blame`].

mod blame;
pub(crate) mod ranges;

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{At, Error, Result, Step};
use crate::plan::idmap::{IdMapPlan, Writer};
use crate::sys::fd::{self, PollFd};

pub use blame::{namespace_hint, why_no_namespace};

/// How long a tool may take, which asks the name service who we are.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a tool's complaint that are read.
const SAID: u64 = 4096;
/// Where the tools are when `PATH` says nothing of them.
const USUAL: &str = "/usr/bin:/usr/sbin:/usr/local/bin:/bin:/sbin";

/// What differs between users and groups.
struct Kind {
    /// Below `/proc/PID`.
    file: &'static str,
    tool: &'static str,
    /// The rows that the tool goes by.
    rows: &'static str,
    /// usermod(8)'s way of adding one.
    option: &'static str,
    capability: &'static str,
}

const UIDS: Kind = Kind {
    file: "uid_map",
    tool: "newuidmap",
    rows: "/etc/subuid",
    option: "--add-subuids",
    capability: "cap_setuid",
};
const GIDS: Kind = Kind {
    file: "gid_map",
    tool: "newgidmap",
    rows: "/etc/subgid",
    option: "--add-subgids",
    capability: "cap_setgid",
};

/// Writes the maps of the process's user namespace, setgroups first (user_namespaces(7)).
///
/// # Errors
/// The kernel or a tool refuses; a tool is missing, or does not end in 30 seconds.
pub fn write(pid: i32, maps: &IdMapPlan) -> Result<()> {
    if maps.deny_setgroups {
        write_file(pid, "setgroups", b"deny")?;
    }
    for (kind, map, writer) in
        [(&UIDS, &maps.uid, maps.uid_writer), (&GIDS, &maps.gid, maps.gid_writer)]
    {
        match writer {
            Writer::Runtime => write_file(pid, kind.file, map).map_err(blame::refused_map)?,
            Writer::Tool => by_tool(kind, pid, map)?,
        }
    }
    Ok(())
}

fn write_file(pid: i32, file: &str, content: &[u8]) -> Result<()> {
    let path = format!("/proc/{pid}/{file}");
    fs::write(&path, content).at(Step::IdMap, || path)
}

fn by_tool(kind: &Kind, pid: i32, map: &[u8]) -> Result<()> {
    let on = || kind.tool;
    let path = find(kind.tool).ok_or_else(|| blame::missing(kind))?;
    let map = String::from_utf8_lossy(map);
    let child = Command::new(&path)
        .arg(pid.to_string())
        .args(map.split_whitespace())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .at(Step::IdMap, || path.display())?;
    match end(child).at(Step::IdMap, on)? {
        End::Done => Ok(()),
        End::Said(said) => Err(blame::tool(kind, &path, &map, &said)),
        End::Silent => {
            let why = format!("did not end within {} seconds", PATIENCE.as_secs());
            Err(Error::rule(Step::IdMap, kind.tool, why)
                .hint("the name service may hang: try `getent passwd`"))
        }
    }
}

/// How a tool ended.
enum End {
    Done,
    /// Not well; its words.
    Said(String),
    /// Killed by us.
    Silent,
}

fn end(mut child: Child) -> io::Result<End> {
    let until = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    while let Some(pipe) = &mut child.stderr {
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        let left = i32::try_from(left).unwrap_or(i32::MAX);
        if fd::poll(&mut [PollFd::new(pipe.as_fd(), libc::POLLIN)], left)? == 0 {
            child.kill()?;
            child.wait()?;
            return Ok(End::Silent);
        }
        let mut some = Vec::with_capacity(512);
        pipe.take(512).read_to_end(&mut some)?;
        if some.is_empty() || said.len() as u64 > SAID {
            child.stderr = None;
        }
        said.extend(some);
    }
    if child.wait()?.success() {
        return Ok(End::Done);
    }
    Ok(End::Said(String::from_utf8_lossy(&said).trim().to_owned()))
}

/// The tool, as a shell would find it.
fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_program = |path: &PathBuf| {
        use std::os::unix::fs::PermissionsExt;
        path.is_absolute()
            && fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&path)
        .chain(USUAL.split(':').map(PathBuf::from))
        .map(|dir| Path::join(&dir, tool))
        .find(is_program)
}
