//! The default profiles of Docker, containerd and podman, as those programs hand them to a runtime.
//!
//! `profiles` asks for them, `benches/` measures them.

use corten_seccomp::{Arch, Data, Profile, compile, run};

use crate::differential::{FAMILIES, Judge, on};
use crate::generate::Dice;
use crate::profiles;

#[test]
fn their_default_profiles_are_the_same_filters() {
    let Some(mut judge) = Judge::start() else { return };
    let Some(profiles) = profiles::ask("differential") else { return };
    let mut dice = Dice(0x5eed_0002);
    for (name, profile) in &profiles {
        let names: usize = profile.syscalls.iter().map(|rule| rule.names.len()).sum();
        assert!(names > 300, "{name} has {names}");
        let profile = judge.without_news(profile);
        let checked: usize =
            FAMILIES.iter().map(|family| judge.compare(&on(&profile, family), &mut dice, 3)).sum();
        println!("{name}: {checked} calls on {} sets of architectures", FAMILIES.len());
        assert!(checked > 90_000, "{name}: {checked}");
    }
}

/// The goals that are not of time: at most 450 instructions with three architectures, of which at
/// most 20 are executed for a call whose arguments nobody looks at.
#[test]
fn their_filters_are_short() {
    let Some(profiles) = profiles::ask("size") else { return };
    let host = Arch::named("SCMP_ARCH_X86_64").unwrap();
    for (name, profile) in &profiles {
        let profile = on(profile, FAMILIES[0]);
        let code = compile(&profile, host).unwrap().code;
        let most = FAMILIES[0].iter().map(|arch| most_executed(&code, &profile, arch)).max();
        let most = most.unwrap();
        println!("{name}: {} instructions, at most {most} executed", code.len());
        assert!(code.len() <= 450 && most <= 20, "{name}: {} {most}", code.len());
    }
}

/// The most instructions that a call takes whose arguments do not matter.
fn most_executed(code: &[corten_seccomp::Insn], profile: &Profile, arch: &str) -> usize {
    let arch = Arch::named(&format!("SCMP_ARCH_{arch}")).unwrap();
    let asked = |nr| {
        let name = arch.call(nr);
        let mut rules = profile.syscalls.iter().filter(|rule| !rule.args.is_empty());
        matches!(name, Some("socketcall" | "ipc"))
            || rules.any(|rule| rule.names.iter().any(|n| Some(&**n) == name))
    };
    let plain = (arch.base..arch.base + 1000).filter(|nr| !asked(*nr));
    let data = |nr| Data { nr, arch: arch.audit, ..Data::default() };
    plain.map(|nr| run(code, &data(nr)).unwrap().executed).max().unwrap()
}
