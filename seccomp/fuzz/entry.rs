//! What must hold for every text that somebody gives as a profile.
//!
//! It panics where something does not hold; a text that is refused in words is fine. Run by
//! libFuzzer (`fuzz_targets/profile.rs`) and by `tests/it/fuzz.rs`.

use corten_seccomp::tools::{Container, Filter, Reason, Source, diff, explain, lint};
use corten_seccomp::{
    ARCHES, ActionName, Arch, Data, Insn, MAX_INSTRUCTIONS, Profile, Program, compile, run,
};

/// How far a text came: tells a fuzzer what is new.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Came {
    /// It is no profile.
    Unread,
    /// It cannot be resolved or compiled; the words, without what was quoted.
    Refused(String),
    /// It has a filter: how long it is, roughly, and how it is made.
    Compiled(u32, Vec<u16>),
}

/// Reads, resolves, compiles, asks.
pub(crate) fn one(data: &[u8]) -> Came {
    let Ok(source) = serde_json::from_slice::<Source>(data) else { return Came::Unread };
    // The text itself decides for which container.
    let sum = data.iter().fold(7_usize, |sum, byte| sum * 31 % 65_521 + usize::from(*byte));
    let host = &ARCHES[sum % ARCHES.len()];
    let capabilities = ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"].map(str::to_owned);
    let to = Container {
        host,
        capabilities: &capabilities[..sum % 3],
        kernel: ([4, 6][sum % 2], 8),
        errno: |name| (name == "ENOSYS").then_some(38),
    };
    let resolved = match source.resolve(&to) {
        Ok(resolved) => resolved,
        Err(error) => return refused(&error),
    };
    assert_eq!(resolved.origins.len(), resolved.profile.syscalls.len());
    let profile = resolved.profile;
    // Whatever is wrong with it can be told.
    let found = lint(&profile, host, to.kernel);
    assert!(found.iter().all(|finding| !finding.problem.is_empty() && !finding.remedy.is_empty()));
    let program = match compile(&profile, host) {
        Ok(program) => program,
        Err(error) => {
            assert!(found.iter().any(|finding| finding.code == "invalid"), "{found:?}");
            return refused(&error);
        }
    };
    assert!(found.iter().all(|finding| finding.code != "invalid"), "{found:?}");
    written_again(&profile, host, &program);
    taken_by_the_kernel(&program.code);
    asked(profile, host, &program);
    let mut codes: Vec<u16> = program.code.iter().map(|insn| insn.code).collect();
    codes.sort_unstable();
    codes.dedup();
    Came::Compiled(program.code.len().ilog2(), codes)
}

fn refused(error: &corten_seccomp::Error) -> Came {
    assert!(!error.field.is_empty() && !error.problem.is_empty() && !error.hint.is_empty());
    let words = error.problem.split(|c: char| !c.is_ascii_lowercase());
    Came::Refused(words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

/// A profile means the same after a round through its file.
fn written_again(profile: &Profile, host: &'static Arch, program: &Program) {
    let text = serde_json::to_vec(profile).unwrap_or_default();
    let again: Option<Profile> = serde_json::from_slice(&text).ok();
    assert_eq!(again.as_ref(), Some(profile));
    assert_eq!(again.and_then(|again| compile(&again, host).ok()).as_ref(), Some(program));
}

/// The kernel's own rules for a filter (`bpf_check_classic`, `seccomp_check_filter`).
fn taken_by_the_kernel(code: &[Insn]) {
    assert!((1..=MAX_INSTRUCTIONS).contains(&code.len()));
    for (at, insn) in code.iter().enumerate() {
        let left = code.len() - at - 1;
        match insn.code {
            0x20 => assert!(insn.k.is_multiple_of(4) && insn.k < 64, "load at {at}"),
            0x54 | 0x06 => {}
            0x05 => assert!((insn.k as usize) < left, "jump at {at}"),
            0x15 | 0x25 | 0x35 | 0x45 => {
                assert!(usize::from(insn.jt.max(insn.jf)) < left, "branch at {at}");
            }
            other => panic!("instruction {other:#x} at {at}"),
        }
    }
    assert_eq!(code.last().map(|insn| insn.code), Some(0x06));
}

/// The tools agree with the program about everything that is named, and about what lies beside.
fn asked(profile: Profile, host: &'static Arch, program: &Program) {
    let filter = match Filter::new(profile, host) {
        Ok(filter) => filter,
        Err(error) => panic!("compiled, but not to be asked: {error}"),
    };
    assert_eq!(&filter.program, program);
    assert_eq!(diff(&filter, &filter), []);
    let lines = explain(&program.code, filter.arches());
    assert_eq!(lines.map(|lines| lines.len()), Ok(program.code.len()));
    let names = filter.profile().syscalls.iter().flat_map(|rule| &rule.names);
    let names: Vec<_> = names.take(64).collect();
    for arch in filter.arches() {
        let numbers = names.iter().filter_map(|name| arch.number(name));
        let beside = numbers.flat_map(|nr| [nr, nr.wrapping_add(1)]);
        for nr in beside.chain([0, arch.base, arch.base + 102, arch.base + 117, u32::MAX]) {
            decided(&filter, arch, nr);
        }
    }
}

fn decided(filter: &Filter, arch: &'static Arch, nr: u32) {
    let Some(cases) = filter.cases(arch, nr, &[]) else { return };
    assert!(!cases.is_empty());
    for case in cases {
        let data = Data { nr, arch: arch.audit, args: case.args, ..Data::default() };
        let outcome = run(&filter.program.code, &data).map(|outcome| outcome.action);
        assert_eq!(outcome, Ok(case.verdict.action.0), "{nr} on {}", arch.name);
        let profile = filter.profile();
        let said = match case.verdict.reason {
            Reason::Rule { rule, .. } => {
                let rule = &profile.syscalls[rule];
                value(rule.action, rule.errno_ret)
            }
            Reason::Default | Reason::Skipped => {
                value(profile.default_action, profile.default_errno_ret)
            }
            Reason::Newer(newest) => {
                assert!(nr > newest);
                0x0005_0026
            }
            Reason::Setup => 0x0005_0026,
            Reason::Foreign => 0,
        };
        assert_eq!(outcome, Ok(said), "{nr} on {}: {:?}", arch.name, case.verdict);
    }
}

fn value(action: ActionName, errno: Option<u32>) -> u32 {
    match action {
        ActionName::Kill | ActionName::KillThread => 0,
        ActionName::KillProcess => 0x8000_0000,
        ActionName::Trap => 0x0003_0000,
        ActionName::Errno => 0x0005_0000 | errno.unwrap_or(1),
        ActionName::Trace => 0x7ff0_0000 | errno.unwrap_or(1),
        ActionName::Allow => 0x7fff_0000,
        ActionName::Log => 0x7ffc_0000,
        ActionName::Notify => 0x7fc0_0000,
    }
}
