//! The rules read literally, one after the other: no tree, no halves.

use corten_seccomp::{Arch, Arg, Data, Operator, Profile, X32_BIT, compile, run};

use crate::generate::{self, Dice, NAMES, Style};

/// What `profile` says about a call of `arch`, for profiles with one action per name; `None`
/// where multiplexers make it more than a look at the rules.
fn expected(profile: &Profile, arch: &Arch, data: &Data) -> Option<u32> {
    let default = value(profile.default_action, profile.default_errno_ret);
    let newest = profile.syscalls.iter().flat_map(|rule| &rule.names);
    let newest =
        newest.filter_map(|name| arch.number(name)).filter(|nr| *nr < 0xf_0000 || *nr >= X32_BIT);
    let newest = newest.max().filter(|nr| *nr > 0);
    let name = arch.call(data.nr);
    if matches!(name, Some("socketcall" | "ipc")) {
        return None;
    }
    let of_name =
        profile.syscalls.iter().filter(|rule| rule.names.iter().any(|n| Some(&**n) == name));
    for rule in of_name {
        let action = value(rule.action, rule.errno_ret);
        let mut indices: Vec<_> = rule.args.iter().map(|arg| arg.index).collect();
        indices.sort_unstable();
        let repeated = indices.windows(2).any(|pair| pair[0] == pair[1]);
        let holds = |arg: &Arg| holds(arg, data.args[arg.index], arch.wide);
        let matched = match repeated {
            true => rule.args.iter().any(holds),
            false => rule.args.iter().all(holds),
        };
        if matched {
            return Some(action);
        }
    }
    let passes = matches!(default & 0xffff_0000, 0x7fff_0000 | 0x7ffc_0000 | 0x7ff0_0000);
    match newest {
        // s390's setup stands for every number that the kernel does not know.
        Some(_) if !passes && data.nr == 0 && arch.name.starts_with("SCMP_ARCH_S390") => {
            Some(0x0005_0000 | 38)
        }
        Some(newest) if !passes && data.nr > newest && data.nr != u32::MAX => {
            let private = arch.number("set_tls").is_some() && data.nr >= 0xf_0000;
            Some(if private { default } else { 0x0005_0000 | 38 })
        }
        _ => Some(default),
    }
}

fn value(action: corten_seccomp::ActionName, errno: Option<u32>) -> u32 {
    use corten_seccomp::ActionName as Name;
    match action {
        Name::Kill | Name::KillThread => 0,
        Name::KillProcess => 0x8000_0000,
        Name::Trap => 0x0003_0000,
        Name::Errno => 0x0005_0000 | errno.unwrap_or(1),
        Name::Trace => 0x7ff0_0000 | errno.unwrap_or(1),
        Name::Allow => 0x7fff_0000,
        Name::Log => 0x7ffc_0000,
        Name::Notify => 0x7fc0_0000,
    }
}

fn holds(arg: &Arg, given: u64, wide: bool) -> bool {
    let width = if wide { u64::MAX } else { u64::from(u32::MAX) };
    let (given, value) = (given & width, arg.value & width);
    match arg.op {
        Operator::Ne => given != value,
        Operator::Lt => given < value,
        Operator::Le => given <= value,
        Operator::Eq => given == value,
        Operator::Ge => given >= value,
        Operator::Gt => given > value,
        Operator::MaskedEq => given & value == arg.value_two & value,
    }
}

#[test]
fn every_filter_does_what_its_rules_say() {
    let mut dice = Dice(0x5eed_0001);
    let mut checked = 0;
    for round in 0..400 {
        let arch = &corten_seccomp::ARCHES[round % corten_seccomp::ARCHES.len()];
        let name = arch.name.trim_start_matches("SCMP_ARCH_");
        let profile = generate::profile(&mut dice, &[name], Style::OneAction);
        let program = compile(&profile, arch).unwrap();
        let named = NAMES.iter().filter_map(|name| arch.number(name));
        let around = named.flat_map(|nr| [nr, nr + 1]);
        for nr in around.chain([arch.base, arch.base + 500, u32::MAX]) {
            for _ in 0..12 {
                let args = generate::args(&mut dice, &generate::VALUES);
                let data = Data { nr, arch: arch.audit, args, ..Data::default() };
                let Some(expected) = expected(&profile, arch, &data) else { continue };
                let outcome = run(&program.code, &data).unwrap();
                assert_eq!(outcome.action, expected, "{name} {data:x?} {profile:#?}");
                checked += 1;
            }
        }
    }
    assert!(checked > 50_000, "{checked}");
}
