//! Conditions on arguments, against the compiler of the crate seccompiler: a judge that needs no package.
//!
//! It knows one action per filter and one architecture, so it judges these only, see ADR 13.

use std::collections::BTreeMap;

use corten_seccomp::{
    ActionName, Arch, Arg, Data, Insn, Operator, Profile, Syscalls, compile, run,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::generate::{Dice, VALUES};

/// `openat(2)` on both architectures.
const CALLS: [(&str, TargetArch, i64); 2] =
    [("SCMP_ARCH_X86_64", TargetArch::x86_64, 257), ("SCMP_ARCH_AARCH64", TargetArch::aarch64, 56)];

const OPERATORS: [Operator; 7] = [
    Operator::Ne,
    Operator::Lt,
    Operator::Le,
    Operator::Eq,
    Operator::Ge,
    Operator::Gt,
    Operator::MaskedEq,
];

/// One to three conditions, each on an argument of its own.
fn conditions(dice: &mut Dice) -> Vec<Arg> {
    let first = dice.below(6);
    let count = 1 + dice.below(3);
    let condition = |at| {
        let (op, value) = (*dice.pick(&OPERATORS), *dice.pick(&VALUES));
        // Bits outside of the mask are never there: the two compilers differ in what that means.
        let value_two = *dice.pick(&VALUES) & value;
        Arg { index: (first + at) % 6, value, value_two, op }
    };
    (0..count).map(condition).collect()
}

fn theirs(arg: &Arg) -> SeccompCondition {
    let (op, value) = match arg.op {
        Operator::Ne => (SeccompCmpOp::Ne, arg.value),
        Operator::Lt => (SeccompCmpOp::Lt, arg.value),
        Operator::Le => (SeccompCmpOp::Le, arg.value),
        Operator::Eq => (SeccompCmpOp::Eq, arg.value),
        Operator::Ge => (SeccompCmpOp::Ge, arg.value),
        Operator::Gt => (SeccompCmpOp::Gt, arg.value),
        Operator::MaskedEq => (SeccompCmpOp::MaskedEq(arg.value), arg.value_two),
    };
    let index = u8::try_from(arg.index).unwrap();
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, op, value).unwrap()
}

/// The filter that seccompiler makes of the rules: any that holds is `EPERM`.
fn judge(rules: &[Vec<Arg>], arch: TargetArch, number: i64) -> Vec<Insn> {
    let rule = |args: &Vec<Arg>| SeccompRule::new(args.iter().map(theirs).collect()).unwrap();
    let rules = BTreeMap::from([(number, rules.iter().map(rule).collect())]);
    let (allow, deny) = (SeccompAction::Allow, SeccompAction::Errno(1));
    let filter = SeccompFilter::new(rules, allow, deny, arch).unwrap();
    let program = BpfProgram::try_from(filter).unwrap();
    program.iter().map(|i| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect()
}

fn ours(rules: &[Vec<Arg>], host: &'static Arch) -> Vec<Insn> {
    let deny = |args: &Vec<Arg>| Syscalls {
        names: vec!["openat".into()],
        action: ActionName::Errno,
        args: args.clone(),
        ..Syscalls::default()
    };
    let syscalls = rules.iter().map(deny).collect();
    let profile = Profile { default_action: ActionName::Allow, syscalls, ..Profile::default() };
    compile(&profile, host).unwrap().code
}

#[test]
fn conditions_mean_what_seccompiler_makes_of_them() {
    let mut dice = Dice(0x5eed);
    let mut denied = 0;
    for round in 0..2000 {
        let (name, target, number) = CALLS[round % 2];
        let host = Arch::named(name).unwrap();
        let count = 1 + dice.below(3);
        let rules: Vec<_> = (0..count).map(|_| conditions(&mut dice)).collect();
        let (mine, other) = (ours(&rules, host), judge(&rules, target, number));
        for _ in 0..50 {
            let args = [(); 6].map(|()| dice.pick(&VALUES).wrapping_add(dice.next() % 3));
            let nr = u32::try_from(number).unwrap();
            let call = Data { nr, arch: host.audit, args, ..Data::default() };
            let action = run(&mine, &call).unwrap().action;
            assert_eq!(action, run(&other, &call).unwrap().action, "{name} {args:x?} {rules:#x?}");
            denied += usize::from(action != 0x7fff_0000);
        }
    }
    // Both answers were judged often.
    assert!((10_000..90_000).contains(&denied), "{denied} of 100,000 denied");
}
