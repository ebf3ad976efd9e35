//! Our filter and libseccomp's, run side by side.
//!
//! The only differences allowed are the documented ones: `ENOSYS` where a call is newer than the
//! profile (runc adds that in front of libseccomp's filter).
//!
//! `CORTEN_DIFFERENTIAL=N` makes N times as many profiles, from another seed each.

use std::collections::HashSet;

use corten_seccomp::{ARCHES, Arch, Data, Insn, Profile, Syscalls, X32_BIT, compile, run};

use crate::generate::{self, Dice, Style, VALUES};
use crate::oracle::{Oracle, token};

const ENOSYS: u32 = 0x0005_0026;

/// Architectures that a filter may have together: those of one byte order that run on one machine.
/// The first is the native one. libseccomp 2.5 has no others; `naive` checks all.
pub(crate) const FAMILIES: [&[&str]; 20] = [
    &["X86_64", "X86", "X32"],
    &["X86_64"],
    &["X86"],
    &["X86_64", "X86"],
    &["X32"],
    &["AARCH64", "ARM"],
    &["ARM"],
    &["MIPS64", "MIPS", "MIPS64N32"],
    &["MIPS"],
    &["MIPSEL64", "MIPSEL", "MIPSEL64N32"],
    &["MIPSEL"],
    &["PPC64", "PPC"],
    &["PPC"],
    &["PPC64LE"],
    &["S390X", "S390"],
    &["S390"],
    &["PARISC64", "PARISC"],
    &["PARISC"],
    &["RISCV64"],
    &["MIPSEL64N32"],
];

/// A profile for other architectures.
pub(crate) fn on(profile: &Profile, family: &[&str]) -> Profile {
    let architectures = family.iter().map(|arch| format!("SCMP_ARCH_{arch}")).collect();
    Profile { architectures, ..profile.clone() }
}

/// Call of an architecture, by its name and number.
type Call = (&'static str, u32);

/// libseccomp and its tables.
pub(crate) struct Judge {
    oracle: Oracle,
    /// Calls that only one of us knows: its tables are of another kernel than ours.
    differing: HashSet<Call>,
}

/// Two programs that should do the same.
struct Pair<'a> {
    ours: Vec<Insn>,
    theirs: Vec<Insn>,
    profile: &'a Profile,
    /// Arguments worth trying.
    values: Vec<u64>,
    /// What libseccomp says to a number that no profile names.
    default: u32,
    differing: &'a HashSet<Call>,
}

/// What the profile says of an architecture.
struct Known {
    arch: &'static Arch,
    /// Calls above are newer than the profile.
    newest: Option<u32>,
    /// Calls whose arguments may matter.
    conditional: HashSet<u32>,
}

impl Known {
    fn of(profile: &Profile, arch: &'static Arch) -> Self {
        let names = |rule: &Syscalls| {
            rule.names.iter().filter_map(|name| arch.number(name)).collect::<Vec<_>>()
        };
        let plain = |nr: &u32| nr - arch.base < 0xf_0000;
        let newest = profile.syscalls.iter().flat_map(names).filter(plain).max();
        let asked = profile.syscalls.iter().filter(|rule| !rule.args.is_empty());
        let carriers = ["socketcall", "ipc"].into_iter().filter_map(|name| arch.number(name));
        let conditional = asked.flat_map(names).chain(carriers).collect();
        Self { arch, newest, conditional }
    }

    /// s390's `setup` stands for every call that the kernel does not know.
    fn may_be_newer(&self, nr: u32) -> bool {
        let s390 = self.arch.name.starts_with("SCMP_ARCH_S390");
        (s390 && nr == 0) || self.newest.is_some_and(|newest| nr > newest)
    }
}

impl Pair<'_> {
    /// Both programs on one call; arguments `tries` times.
    fn call(&self, known: &Known, nr: u32, tries: usize, dice: &mut Dice) -> usize {
        let arch = known.arch;
        for _ in 0..tries {
            let args = generate::args(dice, &self.values);
            let data = Data { nr, arch: arch.audit, args, ..Data::default() };
            let our = run(&self.ours, &data).unwrap().action;
            let their = run(&self.theirs, &data).unwrap().action;
            let newer = our == ENOSYS && their == self.default && known.may_be_newer(nr);
            assert!(
                our == their || newer || self.differing.contains(&(arch.name, nr)),
                "{} {data:x?}: {our:x} is {their:x} in libseccomp\n{:#?}",
                arch.name,
                self.profile,
            );
        }
        tries
    }

    /// Every number of every architecture.
    fn all(&self, dice: &mut Dice, tries: usize) -> usize {
        let known: Vec<_> = ARCHES.iter().map(|arch| Known::of(self.profile, arch)).collect();
        let mut checked = 0;
        for of in &known {
            let arch = of.arch;
            let member = self.profile.architectures.iter().any(|name| name == arch.name);
            for nr in (0..if member { 600 } else { 8 }).map(|nr| arch.base + nr) {
                let tries = if of.conditional.contains(&nr) { tries * 100 } else { tries };
                checked += self.call(of, nr, tries, dice);
            }
            let ends = [u32::MAX, X32_BIT - 1, X32_BIT, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1];
            let private = [0xe_ffff, 0xf_0000, 0xf_0001, 0xf_0002, 0xf_0005, 0xf_0006, 0xf_0007];
            let random = [(); 16].map(|()| u32::try_from(dice.next() >> 32).unwrap());
            for nr in ends.into_iter().chain(private).chain(random) {
                // x86_64 and x32 share an audit number.
                let of = match (arch.audit, nr & X32_BIT) {
                    (X86_64_AUDIT, 0) => &known[1],
                    (X86_64_AUDIT, _) => &known[2],
                    _ => of,
                };
                checked += self.call(of, nr, 1, dice);
            }
        }
        checked
    }
}

/// `AUDIT_ARCH_X86_64`.
const X86_64_AUDIT: u32 = 0xc000_003e;

impl Judge {
    /// `None` where libseccomp is not installed.
    pub(crate) fn start() -> Option<Self> {
        let mut oracle = Oracle::start()?;
        let mut differing = HashSet::new();
        for arch in &ARCHES {
            for nr in (0..600).map(|nr| arch.base + nr) {
                if oracle.resolve(token(arch.name), nr).as_deref() != arch.call(nr) {
                    differing.insert((arch.name, nr));
                }
            }
        }
        Some(Self { oracle, differing })
    }

    /// Leaves out what the installed libseccomp is too old to know.
    pub(crate) fn without_news(&mut self, profile: &Profile) -> Profile {
        let mut profile = profile.clone();
        for rule in &mut profile.syscalls {
            rule.names.retain(|name| self.oracle.knows(name));
        }
        profile.syscalls.retain(|rule| !rule.names.is_empty());
        profile
    }

    /// Runs both programs on every number of every architecture; returns how many calls were
    /// equal.
    ///
    /// Only libseccomp's tree is compared with: without it 2.5 may write a program that skips a
    /// rule, where many calls have conditions (runc uses the tree above 32 calls).
    pub(crate) fn compare(&mut self, profile: &Profile, dice: &mut Dice, tries: usize) -> usize {
        let host = Arch::named(&profile.architectures[0]).unwrap();
        let (ours, theirs) = match (compile(profile, host), self.oracle.compile(profile, true)) {
            (Ok(ours), Ok(theirs)) => (ours.code, theirs),
            (Err(_), Err(errno)) => {
                assert_eq!(errno, -17, "{profile:#?}");
                return 0;
            }
            // It compares the rules of a call that the architecture does not have, too.
            (Ok(_), Err(-17)) if names_no_call(profile) => return 0,
            (ours, theirs) => panic!("{:?} {:?} {profile:#?}", ours.err(), theirs.err()),
        };
        // Exact for a default that is not ENOSYS itself: nothing named is answered so by addition.
        let default = run(&theirs, &Data { nr: u32::MAX, arch: host.audit, ..Data::default() });
        let default = default.unwrap().action;
        let of_rules = profile.syscalls.iter().flat_map(|rule| &rule.args);
        let values = of_rules.flat_map(|arg| [arg.value, arg.value_two]).chain(VALUES).collect();
        let differing = &self.differing;
        Pair { ours, theirs, profile, values, default, differing }.all(dice, tries)
    }
}

/// Whether rules with conditions name a call that one of the architectures does not have.
fn names_no_call(profile: &Profile) -> bool {
    let conditional = profile.syscalls.iter().filter(|rule| !rule.args.is_empty());
    let mut names = conditional.flat_map(|rule| &rule.names);
    let lacks = |name: &String| {
        let mut arches = profile.architectures.iter().filter_map(|arch| Arch::named(arch));
        arches.any(|arch| arch.number(name).is_none())
    };
    names.any(lacks)
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
fn generated_profiles_are_the_same_filters() {
    let Some(mut judge) = Judge::start() else { return };
    let times = std::env::var("CORTEN_DIFFERENTIAL").map_or(1, |text| text.parse().unwrap());
    let mut checked = 0;
    for time in 0..times {
        let mut dice = Dice(0x5eed_0003 + time);
        for family in FAMILIES.iter().cycle().take(10 * FAMILIES.len()) {
            let profile = generate::profile(&mut dice, family, Style::OneCondition);
            checked += judge.compare(&profile, &mut dice, 1);
        }
    }
    println!("{checked} calls");
    assert!(checked > 200_000, "{checked}");
}
