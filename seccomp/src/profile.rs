//! A profile as the OCI runtime specification writes it (`linux.seccomp`, config-linux.md).
//!
//! Reading decides nothing: what a profile may not say is found by [`crate::compile`].

use serde::{Deserialize, Deserializer, Serialize};

/// `linux.seccomp`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    /// What happens to a call that no rule names.
    pub default_action: ActionName,
    /// errno of a default action that takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// Architectures besides the native one, as `SCMP_ARCH_*`.
    #[serde(deserialize_with = "null_is_empty")]
    pub architectures: Vec<String>,
    /// Flags of seccomp(2), as `SECCOMP_FILTER_FLAG_*`; absent and empty differ (see
    /// [`crate::Program::flags`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// Socket that receives the descriptor of user notifications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<String>,
    /// Passed to that socket as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<String>,
    /// The rules, in order.
    #[serde(deserialize_with = "null_is_empty")]
    pub syscalls: Vec<Syscalls>,
}

/// Go writes `null` for an empty list.
pub(crate) fn null_is_empty<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<Vec<T>>::deserialize(from).map(Option::unwrap_or_default)
}

/// One entry of `linux.seccomp.syscalls`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Syscalls {
    /// Names of the calls.
    #[serde(deserialize_with = "null_is_empty")]
    pub names: Vec<String>,
    /// What happens to them.
    pub action: ActionName,
    /// errno of an action that takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions, all of which must hold; two on the same argument are two rules.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Arg>,
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Arg {
    /// Which argument, 0 to 5.
    pub index: usize,
    /// What it is compared with; the mask of `SCMP_CMP_MASKED_EQ`.
    pub value: u64,
    /// What the masked argument must be.
    pub value_two: u64,
    /// The comparison.
    pub op: Operator,
}

/// `SCMP_ACT_*`; the data of an action is written beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionName {
    /// Kills the thread; the old name.
    #[serde(rename = "SCMP_ACT_KILL")]
    Kill,
    /// Kills the thread.
    #[serde(rename = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    /// Kills the process.
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    /// Sends `SIGSYS`.
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    /// Fails with an errno.
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    /// Asks the tracer.
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    /// Allows.
    #[default]
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    /// Allows and logs.
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    /// Asks the process behind `listenerPath`.
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

impl ActionName {
    /// All of them, in the order of the specification.
    pub const ALL: [(&'static str, ActionName); 9] = [
        ("SCMP_ACT_KILL", ActionName::Kill),
        ("SCMP_ACT_KILL_PROCESS", ActionName::KillProcess),
        ("SCMP_ACT_KILL_THREAD", ActionName::KillThread),
        ("SCMP_ACT_TRAP", ActionName::Trap),
        ("SCMP_ACT_ERRNO", ActionName::Errno),
        ("SCMP_ACT_TRACE", ActionName::Trace),
        ("SCMP_ACT_ALLOW", ActionName::Allow),
        ("SCMP_ACT_LOG", ActionName::Log),
        ("SCMP_ACT_NOTIFY", ActionName::Notify),
    ];
}

/// `SCMP_CMP_*`, unsigned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// Not equal.
    #[serde(rename = "SCMP_CMP_NE")]
    Ne,
    /// Less than.
    #[serde(rename = "SCMP_CMP_LT")]
    Lt,
    /// Less than or equal.
    #[serde(rename = "SCMP_CMP_LE")]
    Le,
    /// Equal.
    #[default]
    #[serde(rename = "SCMP_CMP_EQ")]
    Eq,
    /// Greater than or equal.
    #[serde(rename = "SCMP_CMP_GE")]
    Ge,
    /// Greater than.
    #[serde(rename = "SCMP_CMP_GT")]
    Gt,
    /// Equal under a mask.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEq,
}

impl Operator {
    /// All of them, in the order of the specification.
    pub const ALL: [(&'static str, Operator); 7] = [
        ("SCMP_CMP_NE", Operator::Ne),
        ("SCMP_CMP_LT", Operator::Lt),
        ("SCMP_CMP_LE", Operator::Le),
        ("SCMP_CMP_EQ", Operator::Eq),
        ("SCMP_CMP_GE", Operator::Ge),
        ("SCMP_CMP_GT", Operator::Gt),
        ("SCMP_CMP_MASKED_EQ", Operator::MaskedEq),
    ];
}

/// `SECCOMP_FILTER_FLAG_*` that a profile may name, with their bits (linux/seccomp.h).
pub const FLAGS: [(&str, u64); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", FLAG_TSYNC),
    ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 1 << 2),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1 << 5),
];

/// Puts all threads of the process under the filter (Linux 3.17).
pub const FLAG_TSYNC: u64 = 1;

/// Makes a descriptor that receives notifications (Linux 5.0).
pub const FLAG_NEW_LISTENER: u64 = 1 << 3;
