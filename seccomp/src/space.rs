//! Every number that an architecture could see, cut into runs of equal fate.

use crate::action::Action;
use crate::arch::X32_BIT;
use crate::chain::{Fate, Rule};
use crate::rules::{ArchRules, Rules};
use crate::table::ARM_PRIVATE;

/// What a tracer sets to skip a call (seccomp(2), "Caveats"): it is no call of any table.
pub(crate) const SKIPPED: u32 = u32::MAX;

/// What stands at the end of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf<'a> {
    Always(Action),
    When(&'a [Rule]),
}

/// Numbers from `start` to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run<'a> {
    pub(crate) start: u32,
    pub(crate) leaf: Leaf<'a>,
}

/// Architectures that share an audit number, and all of its numbers.
pub(crate) struct Space<'a> {
    pub(crate) audit: u32,
    /// Not empty; begins at 0, ascending, neighbours differ.
    pub(crate) runs: Vec<Run<'a>>,
    pub(crate) members: Vec<&'a ArchRules>,
}

/// The spaces of a profile, in the order of its architectures.
pub(crate) fn spaces(rules: &Rules) -> Vec<Space<'_>> {
    let mut spaces: Vec<Space<'_>> = Vec::new();
    for arch in &rules.arches {
        match spaces.iter_mut().find(|space| space.audit == arch.arch.audit) {
            Some(space) => space.members.push(arch),
            None => {
                let (audit, members) = (arch.arch.audit, vec![arch]);
                spaces.push(Space { audit, runs: Vec::new(), members });
            }
        }
    }
    for space in &mut spaces {
        space.fill(rules.default);
    }
    spaces
}

impl<'a> Space<'a> {
    fn fill(&mut self, default: Action) {
        let x86 = self.members.iter().any(|member| member.arch.audit == X86_64_AUDIT);
        let mut members = self.members.clone();
        members.sort_by_key(|member| member.arch.base);
        if x86 {
            let (x32, plain): (Vec<_>, Vec<_>) =
                members.into_iter().partition(|member| member.arch.base == X32_BIT);
            self.half(plain.first().copied(), 0, X32_BIT - 1, default);
            self.half(x32.first().copied(), X32_BIT, SKIPPED - 1, default);
        } else {
            self.half(members.first().copied(), 0, SKIPPED - 1, default);
        }
        self.push(SKIPPED, Leaf::Always(default));
    }

    /// Numbers from `first` to `last`; those of an architecture that is not there are foreign.
    fn half(&mut self, of: Option<&'a ArchRules>, first: u32, last: u32, default: Action) {
        let Some(of) = of else { return self.push(first, Leaf::Always(Action::BAD_ARCH)) };
        let newer = newer(of, last, default);
        let mut next = first;
        if newer.is_some() && of.arch.has_setup_trick() {
            self.push(first, Leaf::Always(Action::ENOSYS));
            next += 1;
        }
        for (nr, fate) in of.calls.range(next..=last) {
            self.gap(next, nr, newer, default);
            self.push(
                nr,
                match fate {
                    Fate::Always(action) => Leaf::Always(*action),
                    Fate::When(rules) => Leaf::When(rules),
                },
            );
            next = nr.saturating_add(1);
        }
        self.gap(next, last.saturating_add(1), newer, default);
    }

    /// Numbers from `first` to before `end` have no rule: those that the profile could not know
    /// are ENOSYS, the others get its default.
    fn gap(&mut self, first: u32, end: u32, newer: Option<(u32, u32)>, default: Action) {
        let (from, to) = newer.map_or((end, end), |(from, to)| (from.min(end), to.min(end)));
        for (start, stop, action) in
            [(first, from, default), (from, to, Action::ENOSYS), (to, end, default)]
        {
            let start = start.max(first);
            if start < stop {
                self.push(start, Leaf::Always(action));
            }
        }
    }

    fn push(&mut self, start: u32, leaf: Leaf<'a>) {
        if self.runs.last().is_none_or(|run| run.leaf != leaf) {
            self.runs.push(Run { start, leaf });
        }
    }
}

/// The numbers that are newer than the profile, the end not included: runc answers them with
/// ENOSYS, so that a C library falls back, unless the default lets calls pass.
pub(crate) fn newer(of: &ArchRules, last: u32, default: Action) -> Option<(u32, u32)> {
    if default.lets_new_calls_pass() {
        return None;
    }
    let newest = of.newest.filter(|nr| *nr > 0)?;
    let private = of.arch.has_private_calls().then_some(ARM_PRIVATE);
    Some((newest + 1, private.unwrap_or_else(|| last.saturating_add(1))))
}

/// `AUDIT_ARCH_X86_64`, which x32 shares.
pub(crate) const X86_64_AUDIT: u32 = 0xc000_003e;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::profile::{ActionName, Profile, Syscalls};
    use crate::rules;

    /// Runs of a profile that allows `names` and denies the rest.
    fn runs(names: &[&str], arches: &[&str]) -> Vec<(u32, Leaf<'static>)> {
        let profile = Profile {
            default_action: ActionName::Errno,
            architectures: arches.iter().map(|arch| format!("SCMP_ARCH_{arch}")).collect(),
            syscalls: vec![Syscalls {
                names: names.iter().map(ToString::to_string).collect(),
                ..Syscalls::default()
            }],
            ..Profile::default()
        };
        let host = Arch::named(&profile.architectures[0]).unwrap();
        let rules = rules::read(&profile, host).unwrap();
        let space = &spaces(&rules)[0];
        let plain = |leaf| match leaf {
            Leaf::Always(action) => Leaf::Always(action),
            Leaf::When(_) => Leaf::When(&[]),
        };
        space.runs.iter().map(|run| (run.start, plain(run.leaf))).collect()
    }

    const ALLOW: Leaf<'static> = Leaf::Always(Action(0x7fff_0000));
    const EPERM: Leaf<'static> = Leaf::Always(Action(0x0005_0001));
    const ENOSYS: Leaf<'static> = Leaf::Always(Action::ENOSYS);
    const KILL: Leaf<'static> = Leaf::Always(Action::BAD_ARCH);

    #[test]
    fn neighbours_are_one_run_and_x32_is_foreign() {
        let read_to_stat = runs(&["read", "write", "open", "stat"], &["X86_64"]);
        assert_eq!(
            read_to_stat,
            [(0, ALLOW), (3, EPERM), (4, ALLOW), (5, ENOSYS), (0x4000_0000, KILL), (!0, EPERM)]
        );
    }

    #[test]
    fn x32_has_its_own_half() {
        let both = runs(&["write"], &["X86_64", "X32"]);
        assert_eq!(both[..3], [(0, EPERM), (1, ALLOW), (2, ENOSYS)]);
        let x32 = 0x4000_0000;
        assert_eq!(both[3..], [(x32, EPERM), (x32 + 1, ALLOW), (x32 + 2, ENOSYS), (!0, EPERM)]);
    }

    #[test]
    fn arms_private_calls_are_not_newer() {
        let arm = runs(&["write", "cacheflush"], &["ARM"]);
        let private = 0x000f_0000;
        let expected =
            [(0, EPERM), (4, ALLOW), (5, ENOSYS), (private, EPERM), (private + 2, ALLOW)];
        assert_eq!(arm[..5], expected);
        assert_eq!(arm[5..], [(private + 3, EPERM)]);
    }

    #[test]
    fn setup_of_s390_is_enosys() {
        assert_eq!(runs(&["write"], &["S390X"])[..2], [(0, ENOSYS), (1, EPERM)]);
    }

    #[test]
    fn socketcall_is_asked_for_its_first_argument() {
        let x86 = runs(&["socket"], &["X86"]);
        assert!(x86.contains(&(102, Leaf::When(&[]))), "{x86:?}");
        assert!(x86.contains(&(359, ALLOW)), "{x86:?}");
    }
}
