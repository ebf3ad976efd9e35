//! Our filter and libseccomp's, run side by side.
//!
//! The only differences allowed are the documented ones: `ENOSYS` where a call is newer than the
//! profile (runc adds that in front of libseccomp's filter).

use corten_seccomp::{ARCHES, Arch, Data, Profile, X32_BIT, compile, run};

use crate::generate::{self, Dice, Style};
use crate::oracle::{Oracle, token};

const ENOSYS: u32 = 0x0005_0026;

/// Runs both programs on every number of every architecture; returns how many calls were equal.
fn compare(oracle: &mut Oracle, profile: &Profile, dice: &mut Dice, tries: usize) -> usize {
    let host = Arch::named(&profile.architectures[0]).unwrap();
    let ours = compile(profile, host);
    let theirs = oracle.compile(profile);
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours.code, theirs),
        (Err(_), Err(errno)) => {
            assert_eq!(errno, -17, "{profile:#?}");
            return 0;
        }
        (ours, theirs) => panic!("{:?} {:?} {profile:#?}", ours.err(), theirs.err()),
    };
    // Exact for a default that is not ENOSYS itself: nothing named is answered so by addition.
    let default = run(&theirs, &Data { nr: u32::MAX, arch: host.audit, ..Data::default() });
    let default = default.unwrap().action;
    let mut checked = 0;
    for arch in &ARCHES {
        let numbers = (0..480).map(|nr| arch.base + nr);
        let others = [u32::MAX, X32_BIT - 1, X32_BIT, 0xf_0002, 0xf_0005, 0x7fff_ffff];
        for nr in numbers.chain(others) {
            for _ in 0..tries {
                let args = generate::args(dice);
                let data = Data { nr, arch: arch.audit, args, ..Data::default() };
                let (our, their) = (run(&ours, &data).unwrap(), run(&theirs, &data).unwrap());
                let newer = our.action == ENOSYS && their.action == default;
                assert!(
                    our.action == their.action || newer,
                    "{} {data:x?}: {:x} is {:x} in libseccomp\n{profile:#?}",
                    arch.name,
                    our.action,
                    their.action
                );
                checked += 1;
            }
        }
    }
    checked
}

#[test]
fn numbers_are_libseccomps() {
    let Some(mut oracle) = Oracle::start() else { return };
    let (mut same, mut differ) = (0, Vec::new());
    // 2.5 does not know these architectures.
    let unknown = ["SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB"];
    for arch in ARCHES.iter().filter(|arch| !unknown.contains(&arch.name)) {
        for nr in (0..500).map(|nr| arch.base + nr) {
            let Some(theirs) = oracle.resolve(token(arch.name), nr) else { continue };
            let ours = arch.call(nr);
            if ours == Some(&*theirs) {
                same += 1;
            } else {
                differ.push((arch.name, nr, theirs, ours));
            }
        }
    }
    // The kernel's table for 64-bit parisc has no such call; libseccomp 2.6 agrees.
    differ.retain(|(arch, nr, ..)| (*arch, *nr) != ("SCMP_ARCH_PARISC64", 140));
    assert_eq!(differ, [], "only libseccomp knows these");
    assert!(same > 6000, "{same}");
}

#[test]
fn a_distributions_profile_is_the_same_filter() {
    let Ok(text) = std::fs::read_to_string("/usr/share/containers/seccomp.json") else {
        assert!(std::env::var_os("CI").is_none(), "install golang-github-containers-common");
        eprintln!("skipped: needs Debian's golang-github-containers-common");
        return;
    };
    let Some(mut oracle) = Oracle::start() else { return };
    let mut dice = Dice(0x5eed_0002);
    let profile: Profile = serde_json::from_str(&text).unwrap();
    for arches in [&["X86_64", "X86", "X32"][..], &["X86_64"], &["AARCH64", "ARM"]] {
        let mut profile = profile.clone();
        profile.architectures = arches.iter().map(|arch| format!("SCMP_ARCH_{arch}")).collect();
        assert!(compare(&mut oracle, &profile, &mut dice, 20) > 100_000);
        let code = compile(&profile, Arch::named(&profile.architectures[0]).unwrap()).unwrap().code;
        let longest = (0..480).map(|nr| {
            let data = Data {
                nr,
                arch: Arch::named("SCMP_ARCH_X86_64").unwrap().audit,
                ..Data::default()
            };
            run(&code, &data).unwrap().executed
        });
        let longest = longest.max().unwrap();
        assert!(code.len() <= 450 && longest <= 20, "{} long, {longest} executed", code.len());
        println!("{arches:?}: {} long, at most {longest} executed", code.len());
    }
}

#[test]
fn generated_profiles_are_the_same_filters() {
    let Some(mut oracle) = Oracle::start() else { return };
    let mut dice = Dice(0x5eed_0003);
    let sets =
        [&["X86_64", "X86", "X32"][..], &["X86_64"], &["AARCH64", "ARM"], &["X86_64", "X86"]];
    let mut checked = 0;
    for round in 0..160 {
        let profile = generate::profile(&mut dice, sets[round % 4], Style::OneCondition);
        checked += compare(&mut oracle, &profile, &mut dice, 1);
    }
    assert!(checked > 500_000, "{checked}");
}
