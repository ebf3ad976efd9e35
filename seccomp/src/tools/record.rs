//! From the calls of a run to a profile that allows them and nothing else.
//!
//! [`Recorder::watcher`] is the filter to run under: every call asks the listener, who lets it go
//! on. `write(2)` of the host's architecture does not ask, because it tells where the listener's
//! descriptor is; it is taken as called. What belongs to the runtime and not to the program is the
//! caller's knowledge: it decides what is [seen](Recorder::see).

use std::collections::{BTreeMap, BTreeSet};

use crate::Program;
use crate::action::Action;
use crate::arch::{ARCHES, Arch, X32_BIT};
use crate::emit::{Insn, JEQ, LD_ABS, RET};
use crate::profile::{ActionName, FLAG_NEW_LISTENER, FLAGS, Profile, Syscalls};
use crate::sim::Data;
use crate::space::X86_64_AUDIT;

/// Allowed in every recorded profile: to execute the program, to end, to come back from a signal
/// or a stop that happened not to come while it was recorded, and `write`, see above.
const ALWAYS: [&str; 7] =
    ["execve", "exit", "exit_group", "restart_syscall", "rt_sigreturn", "sigreturn", "write"];

/// Calls that were seen.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// Numbers by `AUDIT_ARCH_*`; first arguments of multiplexers.
    seen: BTreeSet<(u32, u32, Option<u64>)>,
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// What allows the run and denies all else.
    pub profile: Profile,
    /// Calls that have no name, as architecture and number: a profile cannot say them.
    pub unnamed: Vec<(String, u32)>,
}

impl Recorder {
    /// The filter to run under.
    pub fn watcher(host: &Arch) -> Program {
        let insn = |code, jt, jf, k| Insn { code, jt, jf, k };
        let write = host.number("write").unwrap_or(u32::MAX);
        let code = vec![
            insn(LD_ABS, 0, 0, 4),
            insn(JEQ, 0, 3, host.audit),
            insn(LD_ABS, 0, 0, 0),
            insn(JEQ, 0, 1, write),
            insn(RET, 0, 0, Action::ALLOW.0),
            insn(RET, 0, 0, Action::NOTIFY.0),
        ];
        // The run is to be as fast as it can be: no mitigation that was not there without it.
        let flag = |name| FLAGS.iter().find(|flag| flag.0 == name).map_or(0, |flag| flag.1);
        let flags = FLAG_NEW_LISTENER | flag("SECCOMP_FILTER_FLAG_SPEC_ALLOW");
        Program { code, flags, unknown: Vec::new() }
    }

    /// A call was made; whether it was one that had not been seen.
    pub fn see(&mut self, data: &Data) -> bool {
        let carried = arch(data).is_some_and(|arch| arch.is_multiplexer(data.nr));
        self.seen.insert((data.arch, data.nr, carried.then_some(data.args[0])))
    }

    /// The profile of what was seen, for containers on `host`.
    pub fn profile(&self, host: &'static Arch) -> Recorded {
        let mut names: BTreeSet<&str> = ALWAYS.into_iter().collect();
        // By their place in the specification, the host's first.
        let mut arches: BTreeMap<usize, &str> = BTreeMap::new();
        let mut unnamed = Vec::new();
        for (audit, nr, first) in &self.seen {
            let data = Data { nr: *nr, arch: *audit, ..Data::default() };
            let Some(arch) = arch(&data) else {
                unnamed.push((format!("audit architecture {audit:#x}"), *nr));
                continue;
            };
            if let Some(at) = ARCHES.iter().position(|other| other == arch).filter(|_| arch != host)
            {
                arches.insert(at, arch.name);
            }
            let carried = first.and_then(|first| arch.carried(*nr, first));
            match carried.or_else(|| arch.call(*nr)) {
                Some(name) => drop(names.insert(name)),
                None => unnamed.push((arch.name.to_owned(), *nr)),
            }
        }
        let allow = Syscalls {
            names: names.into_iter().map(str::to_owned).collect(),
            action: ActionName::Allow,
            ..Syscalls::default()
        };
        let arches = std::iter::once(host.name).chain(arches.into_values());
        let profile = Profile {
            default_action: ActionName::Errno,
            architectures: arches.map(str::to_owned).collect(),
            syscalls: vec![allow],
            ..Profile::default()
        };
        Recorded { profile, unnamed }
    }
}

/// The architecture of a call, by its audit number and bit 30 of its own.
fn arch(data: &Data) -> Option<&'static Arch> {
    let mut of = ARCHES.iter().filter(|arch| arch.audit == data.arch);
    of.find(|arch| (arch.base == X32_BIT) == (data.nr >= X32_BIT) || arch.audit != X86_64_AUDIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::run;
    use crate::{Error, compile};

    fn host() -> &'static Arch {
        Arch::named("SCMP_ARCH_X86_64").unwrap()
    }

    fn call(arch: &str, name: &str, first: u64) -> Data {
        let arch = Arch::named(arch).unwrap();
        let args = [first, 0, 0, 0, 0, 0];
        Data { nr: arch.number(name).unwrap(), arch: arch.audit, args, ..Data::default() }
    }

    #[test]
    fn everything_but_write_asks() {
        let watcher = Recorder::watcher(host());
        let outcome = |data: &Data| Action(run(&watcher.code, data).unwrap().action);
        assert_eq!(outcome(&call("SCMP_ARCH_X86_64", "write", 1)), Action::ALLOW);
        for (arch, name) in [
            ("SCMP_ARCH_X86_64", "read"),
            ("SCMP_ARCH_X86", "write"),
            ("SCMP_ARCH_X32", "write"),
            ("SCMP_ARCH_ARM", "write"),
        ] {
            assert_eq!(outcome(&call(arch, name, 1)), Action::NOTIFY, "{arch} {name}");
        }
    }

    /// What was seen is allowed, on the architecture where it was seen too; the rest is denied.
    #[test]
    fn the_profile_allows_what_was_seen() -> Result<(), Error> {
        let mut recorder = Recorder::default();
        assert!(recorder.see(&call("SCMP_ARCH_X86_64", "openat", 0)));
        assert!(!recorder.see(&call("SCMP_ARCH_X86_64", "openat", 7)));
        recorder.see(&call("SCMP_ARCH_X86", "socketcall", 3));
        recorder.see(&Data { nr: 900, arch: host().audit, ..Data::default() });
        recorder.see(&Data { nr: 1, arch: 0x1234, ..Data::default() });
        let Recorded { profile, unnamed } = recorder.profile(host());
        assert_eq!(profile.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
        let arch = "audit architecture 0x1234".to_owned();
        assert_eq!(unnamed, [(arch, 1), ("SCMP_ARCH_X86_64".to_owned(), 900)]);
        let code = compile(&profile, host())?.code;
        let allowed = |data: &Data| run(&code, data).unwrap().action == Action::ALLOW.0;
        assert!(allowed(&call("SCMP_ARCH_X86_64", "openat", 5)));
        assert!(allowed(&call("SCMP_ARCH_X86", "socketcall", 3)));
        assert!(allowed(&call("SCMP_ARCH_X86_64", "exit_group", 0)));
        assert!(allowed(&call("SCMP_ARCH_X86", "sigreturn", 0)));
        assert!(!allowed(&call("SCMP_ARCH_X86", "socketcall", 1)));
        assert!(!allowed(&call("SCMP_ARCH_X86_64", "mkdir", 0)));
        assert!(!allowed(&call("SCMP_ARCH_X32", "openat", 0)));
        Ok(())
    }

    #[test]
    fn x32_is_told_from_x86_64() {
        let mut recorder = Recorder::default();
        recorder.see(&call("SCMP_ARCH_X32", "getpid", 0));
        let profile = recorder.profile(host()).profile;
        assert_eq!(profile.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"]);
    }
}
