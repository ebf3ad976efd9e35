//! The container's program: arguments, environment, user, directory, limits.
//!
//! Capabilities and labels are in `security`, scheduling in `sched`; `create::identity` and
//! `create::program` carry this out.

use std::ffi::CString;

use std::fmt;

use oci_spec::runtime::{PosixRlimitType, Process};
use serde::Serialize;

use crate::error::{Error, Result, Step};
use crate::plan::paths::InRoot;
use crate::plan::{Options, text};

/// The umask of a container that asks for none, as runc sets it.
const DEFAULT_UMASK: u32 = 0o022;

/// The decided program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessPlan {
    /// argv.
    #[serde(serialize_with = "text::list")]
    pub args: Vec<CString>,
    /// envp, without duplicates: the last one wins.
    #[serde(serialize_with = "text::list")]
    pub env: Vec<CString>,
    /// `HOME` is to be looked up in the container's `/etc/passwd`.
    pub find_home: bool,
    /// The paths at which the program is looked for, in order.
    #[serde(serialize_with = "text::list")]
    pub candidates: Vec<CString>,
    /// Working directory below the rootfs.
    pub cwd: InRoot,
    /// uid in the container.
    pub uid: u32,
    /// gid in the container.
    pub gid: u32,
    /// Supplementary groups, the whole list.
    pub groups: Vec<u32>,
    /// File mode creation mask.
    pub umask: u32,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Who sets them.
    pub limiter: Limiter,
    /// `/proc/PID/oom_score_adj`.
    pub oom_score_adj: Option<i32>,
    /// A pseudo terminal becomes stdio.
    pub terminal: bool,
    /// Its size.
    pub console_size: Option<ConsoleSize>,
}

impl ProcessPlan {
    /// What the configuration calls the program: `args[0]`.
    pub fn name(&self) -> String {
        self.args.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// Who sets the resource limits: raising one needs CAP_SYS_RESOURCE of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Limiter {
    /// Init has the caller's rights until it drops them.
    Init,
    /// In a user namespace init has none of the host's; the parent reaches in (prlimit(2)).
    Parent,
}

/// One resource limit (setrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rlimit {
    /// The specification's name.
    pub name: PosixRlimitType,
    /// The `RLIMIT_*` number.
    pub resource: u32,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

impl fmt::Display for Rlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} soft {} hard {}", self.name, self.soft, self.hard)
    }
}

/// Size of the terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// Decides the program of `process`.
///
/// # Errors
/// Empty `args`, a NUL byte, an environment entry without `=`, a size over 65535.
pub fn build(process: &Process, options: &Options, user_namespace: bool) -> Result<ProcessPlan> {
    let args = cstrings("process.args", process.args().as_deref().unwrap_or_default())?;
    let Some(name) = args.first() else {
        return Err(Error::rule(Step::CheckConfig, "process.args", "must not be empty"));
    };
    let (mut env, has_home) =
        environment(process.env().as_deref().unwrap_or_default(), options.notify_socket.is_some())?;
    announce_fds(&mut env, options.listen_fds);
    let user = process.user();
    Ok(ProcessPlan {
        candidates: candidates(name, &env),
        args,
        env,
        find_home: !has_home,
        cwd: InRoot::new(process.cwd())?,
        uid: user.uid(),
        gid: user.gid(),
        groups: user.additional_gids().clone().unwrap_or_default(),
        umask: user.umask().unwrap_or(DEFAULT_UMASK),
        rlimits: process.rlimits().iter().flatten().map(rlimit).collect(),
        limiter: if user_namespace { Limiter::Parent } else { Limiter::Init },
        oom_score_adj: process.oom_score_adj(),
        terminal: process.terminal().unwrap_or(false),
        console_size: console_size(process)?,
    })
}

fn nul(field: &str) -> Error {
    Error::rule(Step::CheckConfig, field, "has a NUL byte")
}

fn cstrings(field: &str, strings: &[String]) -> Result<Vec<CString>> {
    strings.iter().map(|text| CString::new(text.as_str()).map_err(|_| nul(field))).collect()
}

/// Removes earlier duplicates and tells whether `HOME` has a value.
fn environment(asked: &[String], notify: bool) -> Result<(Vec<CString>, bool)> {
    let mut seen = std::collections::HashSet::new();
    let mut env = Vec::with_capacity(asked.len() + 4);
    let mut has_home = false;
    if notify {
        // Said by us below; a value of the image must not redirect it.
        seen.insert("NOTIFY_SOCKET");
    }
    for entry in asked.iter().rev() {
        let Some((name, value)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Error::rule(
                Step::CheckConfig,
                "process.env",
                format!("invalid environment variable {entry:?}: it must be NAME=VALUE"),
            ));
        };
        if seen.insert(name) && !(name == "HOME" && value.is_empty()) {
            has_home |= name == "HOME";
            env.push(CString::new(entry.as_str()).map_err(|_| nul("process.env"))?);
        }
    }
    env.reverse();
    if notify {
        env.extend(CString::new(crate::notify::CONTAINER_ENV));
    }
    Ok((env, has_home))
}

/// Socket activation (sd_listen_fds(3)): init is pid 1 of its namespace.
fn announce_fds(env: &mut Vec<CString>, listen_fds: u32) {
    if listen_fds > 0 {
        env.extend(CString::new(format!("LISTEN_FDS={listen_fds}")));
        env.push(c"LISTEN_PID=1".to_owned());
    }
}

/// Where execvp(3) would look: the name itself when it has a slash, else along `PATH`.
/// An empty or relative element of `PATH` is left out: it would mean the working directory.
fn candidates(name: &CString, env: &[CString]) -> Vec<CString> {
    if name.as_bytes().contains(&b'/') {
        return vec![name.clone()];
    }
    let path = env.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="));
    let dirs = path.unwrap_or_default().split(|byte| *byte == b':');
    dirs.filter(|dir| dir.starts_with(b"/") && !name.as_bytes().is_empty())
        .filter_map(|dir| CString::new([dir, b"/", name.as_bytes()].concat()).ok())
        .collect()
}

fn rlimit(limit: &oci_spec::runtime::PosixRlimit) -> Rlimit {
    // Numbers of asm-generic/resource.h, which libc types differently per C library.
    let resource = match limit.typ() {
        PosixRlimitType::RlimitCpu => libc::RLIMIT_CPU,
        PosixRlimitType::RlimitFsize => libc::RLIMIT_FSIZE,
        PosixRlimitType::RlimitData => libc::RLIMIT_DATA,
        PosixRlimitType::RlimitStack => libc::RLIMIT_STACK,
        PosixRlimitType::RlimitCore => libc::RLIMIT_CORE,
        PosixRlimitType::RlimitRss => libc::RLIMIT_RSS,
        PosixRlimitType::RlimitNproc => libc::RLIMIT_NPROC,
        PosixRlimitType::RlimitNofile => libc::RLIMIT_NOFILE,
        PosixRlimitType::RlimitMemlock => libc::RLIMIT_MEMLOCK,
        PosixRlimitType::RlimitAs => libc::RLIMIT_AS,
        PosixRlimitType::RlimitLocks => libc::RLIMIT_LOCKS,
        PosixRlimitType::RlimitSigpending => libc::RLIMIT_SIGPENDING,
        PosixRlimitType::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
        PosixRlimitType::RlimitNice => libc::RLIMIT_NICE,
        PosixRlimitType::RlimitRtprio => libc::RLIMIT_RTPRIO,
        PosixRlimitType::RlimitRttime => libc::RLIMIT_RTTIME,
    };
    Rlimit { name: limit.typ(), resource, soft: limit.soft(), hard: limit.hard() }
}

fn console_size(process: &Process) -> Result<Option<ConsoleSize>> {
    let Some(size) = process.console_size() else { return Ok(None) };
    match (u16::try_from(size.height()), u16::try_from(size.width())) {
        (Ok(height), Ok(width)) => Ok(Some(ConsoleSize { height, width })),
        _ => Err(Error::rule(Step::CheckConfig, "process.consoleSize", "is over 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(json: serde_json::Value) -> Process {
        serde_json::from_value(json).unwrap()
    }

    fn base() -> serde_json::Value {
        serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["sh"],
            "env": ["PATH=/bin:rel::/usr/bin", "A=1", "A=2", "HOME="]})
    }

    #[test]
    fn last_duplicate_wins_and_empty_home_is_looked_up() {
        let plan = build(&process(base()), &Options::default(), false).unwrap();
        assert_eq!(plan.env, [c"PATH=/bin:rel::/usr/bin".to_owned(), c"A=2".to_owned()]);
        assert!(plan.find_home);
    }

    #[test]
    fn program_is_looked_for_along_absolute_path_elements() {
        let plan = build(&process(base()), &Options::default(), false).unwrap();
        assert_eq!(plan.candidates, [c"/bin/sh".to_owned(), c"/usr/bin/sh".to_owned()]);
        let mut slash = base();
        slash["args"][0] = "./x".into();
        let plan = build(&process(slash), &Options::default(), false).unwrap();
        assert_eq!(plan.candidates, [c"./x".to_owned()]);
    }

    #[test]
    fn inherited_sockets_are_announced() {
        let options = Options { listen_fds: 2, ..Options::default() };
        let plan = build(&process(base()), &options, false).unwrap();
        assert!(plan.env.contains(&c"LISTEN_FDS=2".to_owned()));
        assert!(plan.env.contains(&c"LISTEN_PID=1".to_owned()));
    }

    #[test]
    fn entry_without_a_name_is_refused() {
        for entry in ["NOPE", "=x", ""] {
            let mut json = base();
            json["env"][0] = entry.into();
            let error = build(&process(json), &Options::default(), false).unwrap_err();
            assert!(error.to_string().contains("NAME=VALUE"), "{error}");
        }
    }

    #[test]
    fn no_args_are_refused() {
        let mut json = base();
        json["args"] = serde_json::json!([]);
        assert!(build(&process(json), &Options::default(), false).is_err());
    }
}
