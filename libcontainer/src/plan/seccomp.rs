//! The system call filter: compiled here, loaded by `create::filter`.
//!
//! The compiler is a crate of its own, `corten_seccomp`; this module hands it the profile and
//! decides when the filter is loaded, and who hears of notifications.

use std::path::PathBuf;

use corten_seccomp::{
    ActionName, Arch, Arg, FLAG_NEW_LISTENER, FLAG_TSYNC, Insn, Operator, Profile, Syscalls,
};
use oci_spec::runtime::{
    Linux, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};
use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, Result, Step};

/// Between which steps of the init stage the filter is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Without no_new_privs loading needs CAP_SYS_ADMIN: before capabilities go.
    BeforeCapabilities,
    /// Somebody listens: while the creator, who passes the descriptor on, is still there.
    BeforeStart,
    /// The container's own hooks run after `start`: they come from its image, as its program.
    BeforeHooks,
    /// Last, so that the fewest calls of ours are under it.
    BeforeExec,
}

impl When {
    /// By the privileges of the process, and by whether the filter notifies.
    pub const fn decide(no_new_privileges: bool, notifies: bool) -> Self {
        match (no_new_privileges, notifies) {
            (false, _) => When::BeforeCapabilities,
            (true, true) => When::BeforeStart,
            (true, false) => When::BeforeExec,
        }
    }
}

/// Who hears of notifications.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Unix socket that receives the descriptor and the state of the container's process.
    pub path: PathBuf,
    /// Passed on as it is.
    pub metadata: Option<String>,
    /// Init of the running container that the process joins; `None` for init itself.
    #[serde(skip)]
    pub joins: Option<i32>,
}

/// The decided filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeccompPlan {
    /// The program; plans print how many instructions it has.
    #[serde(rename = "instructions", serialize_with = "length")]
    pub filter: Vec<Insn>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u64,
    /// When it is loaded.
    pub when: When,
    /// Who hears of notifications; there when the profile notifies.
    pub listener: Option<Listener>,
    /// Names that no kernel has: skipped, as the rules of newer or older engines must be.
    pub unknown: Vec<String>,
}

fn length<S: Serializer>(filter: &[Insn], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&filter.len())
}

/// Compiles `linux.seccomp`; `hooks` tells whether there are any of `startContainer`.
///
/// # Errors
/// What [`corten_seccomp::compile`] refuses; a notification that nobody would hear.
pub fn build(
    linux: Option<&Linux>,
    no_new_privileges: bool,
    hooks: bool,
) -> Result<Option<SeccompPlan>> {
    let Some(asked) = linux.and_then(|linux| linux.seccomp().as_ref()) else { return Ok(None) };
    let host = Arch::native().ok_or_else(|| {
        Error::rule(Step::Seccomp, "linux.seccomp", "is not known for this processor")
    })?;
    let program = corten_seccomp::compile(&profile(asked), host).map_err(|fault| {
        let on = format!("linux.seccomp.{}", fault.field);
        Error::rule(Step::CheckConfig, on, fault.problem).hint(fault.hint)
    })?;
    let notifies = program.flags & FLAG_NEW_LISTENER != 0;
    let when = match When::decide(no_new_privileges, notifies) {
        When::BeforeExec if hooks => When::BeforeHooks,
        when => when,
    };
    Ok(Some(SeccompPlan {
        filter: program.code,
        // Init has one thread: there are no others to put under the filter too.
        flags: program.flags & !FLAG_TSYNC,
        when,
        listener: listener(asked, notifies)?,
        unknown: program.unknown,
    }))
}

fn listener(asked: &LinuxSeccomp, notifies: bool) -> Result<Option<Listener>> {
    let path = asked.listener_path().as_ref().filter(|path| !path.as_os_str().is_empty());
    let metadata = asked.listener_metadata().as_ref().filter(|text| !text.is_empty());
    match path {
        None if notifies => Err(Error::rule(
            Step::CheckConfig,
            "linux.seccomp.listenerPath",
            "is required when an action is SCMP_ACT_NOTIFY",
        )),
        None if metadata.is_some() => Err(Error::rule(
            Step::CheckConfig,
            "linux.seccomp.listenerMetadata",
            "needs listenerPath",
        )),
        Some(path) if notifies => {
            Ok(Some(Listener { path: path.clone(), metadata: metadata.cloned(), joins: None }))
        }
        _ => Ok(None),
    }
}

fn profile(asked: &LinuxSeccomp) -> Profile {
    let names = |list: &[String]| list.to_vec();
    let architectures: Vec<_> =
        asked.architectures().iter().flatten().map(ToString::to_string).collect();
    let flags = asked.flags().as_ref();
    let flags: Option<Vec<_>> = flags.map(|list| list.iter().map(ToString::to_string).collect());
    Profile {
        default_action: action(asked.default_action()),
        default_errno_ret: asked.default_errno_ret(),
        architectures: names(&architectures),
        flags,
        listener_path: None,
        listener_metadata: None,
        syscalls: asked.syscalls().iter().flatten().map(syscalls).collect(),
    }
}

fn syscalls(asked: &LinuxSyscall) -> Syscalls {
    Syscalls {
        names: asked.names().clone(),
        action: action(asked.action()),
        errno_ret: asked.errno_ret(),
        args: asked.args().iter().flatten().map(arg).collect(),
    }
}

fn arg(asked: &LinuxSeccompArg) -> Arg {
    Arg {
        index: asked.index(),
        value: asked.value(),
        value_two: asked.value_two().unwrap_or(0),
        op: match asked.op() {
            LinuxSeccompOperator::ScmpCmpNe => Operator::Ne,
            LinuxSeccompOperator::ScmpCmpLt => Operator::Lt,
            LinuxSeccompOperator::ScmpCmpLe => Operator::Le,
            LinuxSeccompOperator::ScmpCmpEq => Operator::Eq,
            LinuxSeccompOperator::ScmpCmpGe => Operator::Ge,
            LinuxSeccompOperator::ScmpCmpGt => Operator::Gt,
            LinuxSeccompOperator::ScmpCmpMaskedEq => Operator::MaskedEq,
        },
    }
}

fn action(asked: LinuxSeccompAction) -> ActionName {
    match asked {
        LinuxSeccompAction::ScmpActKill => ActionName::Kill,
        LinuxSeccompAction::ScmpActKillThread => ActionName::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => ActionName::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ActionName::Trap,
        LinuxSeccompAction::ScmpActErrno => ActionName::Errno,
        LinuxSeccompAction::ScmpActNotify => ActionName::Notify,
        LinuxSeccompAction::ScmpActTrace => ActionName::Trace,
        LinuxSeccompAction::ScmpActLog => ActionName::Log,
        LinuxSeccompAction::ScmpActAllow => ActionName::Allow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(profile: &str, nnp: bool) -> Result<SeccompPlan> {
        let linux = serde_json::from_str(&format!(r#"{{"seccomp":{profile}}}"#)).unwrap();
        build(Some(&linux), nnp, false).map(Option::unwrap)
    }

    const NOTIFY: &str = r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/agent","listenerMetadata":"m",
        "syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}"#;

    #[test]
    fn privilege_and_listeners_decide_when_it_is_loaded() {
        let errno = r#"{"defaultAction":"SCMP_ACT_ALLOW",
            "syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}"#;
        assert_eq!(plan(errno, false).unwrap().when, When::BeforeCapabilities);
        assert_eq!(plan(errno, true).unwrap().when, When::BeforeExec);
        let linux = serde_json::from_str(&format!(r#"{{"seccomp":{errno}}}"#)).unwrap();
        let hooked = build(Some(&linux), true, true).unwrap().unwrap();
        assert_eq!(hooked.when, When::BeforeHooks);
        let notify = plan(NOTIFY, true).unwrap();
        assert_eq!(notify.when, When::BeforeStart);
        let listener = Listener { path: "/agent".into(), metadata: Some("m".into()), joins: None };
        assert_eq!(notify.listener, Some(listener));
    }

    #[test]
    fn every_name_of_the_types_is_known_to_the_compiler() {
        let arches = corten_seccomp::ARCHES.iter().map(|arch| format!("{:?}", arch.name));
        let arches = arches.collect::<Vec<_>>().join(",");
        let flags = corten_seccomp::FLAGS.map(|flag| format!("{:?}", flag.0)).join(",");
        let profile = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","architectures":[{arches}],"flags":[{flags}]}}"#
        );
        assert!(plan(&profile, true).is_ok());
    }

    #[test]
    fn a_fault_is_named_by_its_place() {
        let text = |profile: &str| plan(profile, true).unwrap_err().to_string();
        let errno = text(r#"{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1}"#);
        assert!(errno.contains("linux.seccomp.defaultErrnoRet: "), "{errno}");
        let deaf = text(&NOTIFY.replace("/agent", ""));
        assert!(deaf.contains("listenerPath"), "{deaf}");
        let lost = text(r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"m"}"#);
        assert!(lost.contains("listenerMetadata"), "{lost}");
    }

    #[test]
    fn a_plan_prints_the_length_of_the_program() {
        let json = serde_json::to_value(plan(NOTIFY, false).unwrap()).unwrap();
        assert!(json["instructions"].as_str().unwrap().parse::<u32>().unwrap() > 4, "{json}");
    }
}
