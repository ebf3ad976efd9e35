//! The reason that is given is the one that makes the program act.

use super::*;
use crate::profile::{ActionName, Arg, Operator, Syscalls};
use crate::tools::samples::samples;

fn arch(name: &str) -> &'static Arch {
    Arch::named(&format!("SCMP_ARCH_{name}")).unwrap()
}

fn rule(name: &str, action: ActionName, args: &[Arg]) -> Syscalls {
    Syscalls { names: vec![name.into()], action, args: args.to_vec(), ..Syscalls::default() }
}

fn filter(default: ActionName, rules: Vec<Syscalls>) -> Filter {
    let architectures = vec!["SCMP_ARCH_X86".into()];
    let profile =
        Profile { default_action: default, architectures, syscalls: rules, ..Profile::default() };
    Filter::new(profile, arch("X86_64")).unwrap()
}

const NONE: [u64; 6] = [0; 6];

fn eq(index: usize, value: u64) -> Arg {
    Arg { index, value, ..Arg::default() }
}

#[test]
fn every_reason_is_told() {
    let filter = filter(
        ActionName::Errno,
        vec![
            rule("read", ActionName::Allow, &[]),
            rule("ioctl", ActionName::Allow, &[eq(1, 7)]),
            rule("mkdir", ActionName::Errno, &[]),
            rule("uname", ActionName::KillProcess, &[]),
        ],
    );
    let x86_64 = arch("X86_64");
    let ask = |name: &str, args| filter.ask(x86_64, x86_64.number(name).unwrap(), &args);
    assert_eq!(ask("read", NONE).reason, Reason::Rule { rule: 0, name: 0 });
    assert_eq!(ask("ioctl", [0, 7, 0, 0, 0, 0]).reason, Reason::Rule { rule: 1, name: 0 });
    assert_eq!(ask("ioctl", NONE).reason, Reason::Default);
    assert_eq!(ask("write", NONE).reason, Reason::Default);
    // It is equal to the default and therefore not in the program.
    assert_eq!(ask("mkdir", NONE).reason, Reason::Default);
    assert_eq!(ask("mkdir", NONE).overruled.len(), 1);
    assert_eq!(ask("statx", NONE).reason, Reason::Newer(83));
    assert_eq!(ask("statx", NONE).action, Action::ENOSYS);
    assert_eq!(filter.ask(arch("ARM"), 3, &NONE).reason, Reason::Foreign);
    assert_eq!(filter.ask(arch("X32"), X32_BIT, &NONE).reason, Reason::Foreign);
    assert_eq!(filter.ask(arch("X32"), 0, &NONE).reason, Reason::Rule { rule: 0, name: 0 });
    assert_eq!(filter.ask(x86_64, u32::MAX, &NONE).reason, Reason::Skipped);
}

#[test]
fn what_does_not_decide_is_told_beside() {
    let filter = filter(
        ActionName::Errno,
        vec![
            rule("setns", ActionName::Allow, &[]),
            rule("setns", ActionName::KillProcess, &[]),
            rule("socket", ActionName::Allow, &[eq(0, 1)]),
        ],
    );
    let x86_64 = arch("X86_64");
    let setns = filter.ask(x86_64, x86_64.number("setns").unwrap(), &NONE);
    assert_eq!(setns.reason, Reason::Rule { rule: 0, name: 0 });
    assert_eq!(setns.overruled, [(1, Action(0x8000_0000))]);
    // i386 has the call twice: alone and in socketcall, where the first argument names it.
    let x86 = arch("X86");
    let one = [1, 0, 0, 0, 0, 0];
    assert_eq!(filter.ask(x86, 359, &one).reason, Reason::Rule { rule: 2, name: 0 });
    assert_eq!(filter.ask(x86, 102, &one).reason, Reason::Rule { rule: 2, name: 0 });
    assert_eq!(filter.ask(x86, 102, &[2, 0, 0, 0, 0, 0]).reason, Reason::Default);
}

#[test]
fn unknown_arguments_give_every_case() {
    let masked = Arg { index: 0, value: 0xff, value_two: 4, op: Operator::MaskedEq };
    let filter =
        filter(ActionName::Errno, vec![rule("clone", ActionName::Allow, &[masked, eq(2, 9)])]);
    let x86_64 = arch("X86_64");
    let cases = |given: &[u64]| filter.cases(x86_64, 56, given).unwrap();
    let reasons: Vec<_> = cases(&[]).iter().map(|case| case.verdict.reason).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert_eq!(cases(&[3]).len(), 1);
    assert_eq!(cases(&[0x104]).len(), 2);
    assert_eq!(cases(&[0x104, 0, 9]).len(), 1);
}

/// The outcome that belongs to the reason is the program's, for everything that can be told apart.
#[test]
fn reasons_and_program_agree() {
    let ops = Operator::ALL.map(|op| op.1);
    let actions = [ActionName::Allow, ActionName::Log, ActionName::KillProcess, ActionName::Trap];
    let names = ["socket", "ioctl", "clone", "ipc", "read", "shmget"];
    let mut seed = 1_u64;
    let mut next = |end: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % end).unwrap()
    };
    let mut asked = 0;
    for _ in 0..300 {
        let rules = (0..1 + next(8)).map(|_| {
            let args: Vec<_> = (0..next(3))
                .map(|_| {
                    let (value, value_two) = ([0, 3, 8, u64::MAX][next(4)], [0, 3][next(2)]);
                    Arg { index: next(2), value, value_two, op: ops[next(7)] }
                })
                .collect();
            rule(names[next(6)], actions[next(4)], &args)
        });
        let profile = Profile {
            default_action: ActionName::Errno,
            architectures: vec!["SCMP_ARCH_X86".into()],
            syscalls: rules.collect(),
            ..Profile::default()
        };
        let Ok(filter) = Filter::new(profile, arch("X86_64")) else { continue };
        for arch in filter.arches() {
            for nr in filter.numbers(arch).collect::<Vec<_>>() {
                let conds = filter.claims(arch, nr).iter().flat_map(|claim| &claim.conds);
                for args in samples(conds, arch.wide, &[]).unwrap() {
                    let verdict = filter.ask(arch, nr, &args);
                    let expected = match verdict.reason {
                        Reason::Rule { rule, .. } => {
                            let asked = &filter.profile.syscalls[rule];
                            Action::new(asked.action, asked.errno_ret, "").unwrap()
                        }
                        Reason::Default => Action(0x0005_0001),
                        other => panic!("{other:?}"),
                    };
                    assert_eq!(verdict.action, expected, "{nr} {args:?} {:#?}", filter.profile);
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 5_000, "{asked}");
}
