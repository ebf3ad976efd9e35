//! What a filter returns: the 32 bits of `SECCOMP_RET_*` and their data (seccomp(2)).

use std::fmt;

use crate::error::Error;
use crate::profile::ActionName;

/// A return value of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action(pub u32);

impl Action {
    /// What a call of a foreign architecture gets; libseccomp's default.
    pub const BAD_ARCH: Action = Action(KILL_THREAD);
    /// Goes on.
    pub const ALLOW: Action = Action(ALLOW);
    /// Asks the listener.
    pub const NOTIFY: Action = Action(NOTIFY);
    /// What a call gets that is newer than the profile.
    pub const ENOSYS: Action = Action(ERRNO | 38);

    /// The action of a rule; `EPERM` where an errno is due and none is given, as runc does.
    ///
    /// # Errors
    /// An errno for an action that has none, or one that the kernel would change.
    pub(crate) fn new(name: ActionName, errno: Option<u32>, field: &str) -> Result<Self, Error> {
        let (base, most) = match name {
            ActionName::Kill | ActionName::KillThread => (KILL_THREAD, None),
            ActionName::KillProcess => (KILL_PROCESS, None),
            ActionName::Trap => (TRAP, None),
            ActionName::Allow => (ALLOW, None),
            ActionName::Log => (LOG, None),
            ActionName::Notify => (NOTIFY, None),
            ActionName::Errno => (ERRNO, Some(4095)),
            ActionName::Trace => (TRACE, Some(0xffff)),
        };
        match (errno, most) {
            (None, None) => Ok(Self(base)),
            (None, Some(_)) => Ok(Self(base | 1)),
            (Some(errno), Some(most)) if errno <= most => Ok(Self(base | errno)),
            (Some(errno), Some(most)) => Err(Error::new(
                field,
                format!("{errno} is more than {most}"),
                "use the number of an errno",
            )),
            (Some(_), None) => Err(Error::new(
                field,
                format!("the action {} takes no errno", describe(base)),
                "leave it out, or use SCMP_ACT_ERRNO or SCMP_ACT_TRACE",
            )),
        }
    }

    /// The errno, or the number for a tracer.
    pub fn data(self) -> Option<u32> {
        matches!(self.0 & 0xffff_0000, ERRNO | TRACE).then_some(self.0 & 0xffff)
    }

    /// The call fails with [`Action::data`].
    pub fn is_errno(self) -> bool {
        self.0 & 0xffff_0000 == ERRNO
    }

    /// The call is made, logged or not.
    pub fn allows(self) -> bool {
        matches!(self.0 & 0xffff_0000, ALLOW | LOG)
    }

    /// A tracer or the log sees the call, and it goes on: runc adds no `ENOSYS` to such a default.
    pub(crate) fn lets_new_calls_pass(self) -> bool {
        matches!(self.0 & 0xffff_0000, ALLOW | LOG | TRACE)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 & 0xffff_0000 {
            ERRNO | TRACE => write!(f, "{}({})", describe(self.0), self.0 & 0xffff),
            _ => f.write_str(describe(self.0)),
        }
    }
}

/// The `SCMP_ACT_*` name of a return value, without its data.
pub fn describe(value: u32) -> &'static str {
    match value & 0xffff_0000 {
        KILL_PROCESS => "SCMP_ACT_KILL_PROCESS",
        KILL_THREAD => "SCMP_ACT_KILL_THREAD",
        TRAP => "SCMP_ACT_TRAP",
        ERRNO => "SCMP_ACT_ERRNO",
        NOTIFY => "SCMP_ACT_NOTIFY",
        TRACE => "SCMP_ACT_TRACE",
        LOG => "SCMP_ACT_LOG",
        ALLOW => "SCMP_ACT_ALLOW",
        _ => "an unknown action",
    }
}

// linux/seccomp.h
const KILL_THREAD: u32 = 0;
const KILL_PROCESS: u32 = 0x8000_0000;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_is_eperm_unless_given() {
        let value = |name, errno| Action::new(name, errno, "x").map(|action| action.0);
        assert_eq!(value(ActionName::Errno, None), Ok(0x0005_0001));
        assert_eq!(value(ActionName::Trace, Some(7)), Ok(0x7ff0_0007));
        assert!(value(ActionName::Errno, Some(4096)).is_err());
        let error = value(ActionName::Kill, Some(1)).unwrap_err();
        assert!(error.to_string().contains("SCMP_ACT_KILL_THREAD takes no errno"), "{error}");
    }
}
