//! Where two profiles do different things: every number of every architecture, every combination
//! of arguments that can be told apart. What is written differently and means the same is equal.

use crate::action::Action;
use crate::arch::{Arch, X32_BIT};
use crate::space::{SKIPPED, Space, spaces};
use crate::tools::check::{Filter, has};
use crate::tools::samples::samples;

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// An architecture of the first alone: the second kills its calls.
    ArchRemoved(&'static Arch),
    /// An architecture of the second alone.
    ArchAdded(&'static Arch),
    /// Numbers of one architecture.
    Calls(Change),
    /// The flags of seccomp(2), which the kernel reads beside the program.
    Flags(u64, u64),
    /// The listener's path or metadata.
    Listener,
}

/// Numbers whose fate differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Their architecture.
    pub arch: &'static Arch,
    /// The first of them.
    pub first: u32,
    /// The last of them.
    pub last: u32,
    /// What happened.
    pub before: Action,
    /// What happens now.
    pub after: Action,
    /// Arguments with which that is so, where it depends on them.
    pub args: Option<[u64; 6]>,
    /// There are too many combinations of arguments to compare: it may be that nothing differs.
    pub unsure: bool,
}

/// Compares.
pub fn diff(one: &Filter, two: &Filter) -> Vec<Difference> {
    let mut all = Vec::new();
    if one.program.flags != two.program.flags {
        all.push(Difference::Flags(one.program.flags, two.program.flags));
    }
    let listener = |filter: &Filter| {
        let profile = &filter.profile;
        (profile.listener_path.clone(), profile.listener_metadata.clone())
    };
    if listener(one) != listener(two) {
        all.push(Difference::Listener);
    }
    let of = (spaces(&one.rules), spaces(&two.rules));
    for arch in one.arches() {
        if two.rules_of(arch).is_none() {
            all.push(Difference::ArchRemoved(arch));
            continue;
        }
        let mut starts = starts(&of.0, arch);
        starts.extend(starts_of(&of.1, arch));
        starts.sort_unstable();
        starts.dedup();
        compare(&mut all, (one, two), arch, &starts);
    }
    let added = two.arches().filter(|arch| one.rules_of(arch).is_none());
    all.extend(added.map(Difference::ArchAdded));
    all
}

fn starts(spaces: &[Space<'_>], arch: &Arch) -> Vec<u32> {
    let first = if arch.base == X32_BIT { X32_BIT } else { 0 };
    std::iter::once(first).chain(starts_of(spaces, arch)).collect()
}

/// Where runs of equal fate begin among the numbers of an architecture.
fn starts_of(spaces: &[Space<'_>], arch: &Arch) -> impl Iterator<Item = u32> {
    let space = spaces.iter().find(|space| space.audit == arch.audit);
    let runs = space.into_iter().flat_map(|space| &space.runs);
    runs.map(|run| run.start).filter(|start| has(arch, *start))
}

fn compare(
    all: &mut Vec<Difference>,
    (one, two): (&Filter, &Filter),
    arch: &'static Arch,
    starts: &[u32],
) {
    for (at, first) in starts.iter().enumerate() {
        let last = match starts.get(at + 1) {
            Some(next) => next - 1,
            None if has(arch, SKIPPED - 1) => SKIPPED - 1,
            None => X32_BIT - 1,
        };
        for found in of_number((one, two), arch, *first) {
            let found = Change { last, ..found };
            match all.last_mut() {
                Some(Difference::Calls(before)) if before.is_followed_by(&found) => {
                    before.last = last;
                }
                _ => all.push(Difference::Calls(found)),
            }
        }
    }
}

impl Change {
    fn is_followed_by(&self, next: &Self) -> bool {
        let plain = |change: &Self| change.args.is_none() && !change.unsure;
        let same = self.arch == next.arch && (self.before, self.after) == (next.before, next.after);
        same && plain(self) && plain(next) && self.last + 1 == next.first
    }
}

/// One change for each pair of outcomes.
fn of_number((one, two): (&Filter, &Filter), arch: &'static Arch, nr: u32) -> Vec<Change> {
    let rules = one.deciding(arch, nr).iter().chain(two.deciding(arch, nr));
    let conds = rules.flat_map(|rule| &rule.conds);
    let change = |args: &[u64; 6]| {
        let (before, after) = (one.action(arch, nr, args), two.action(arch, nr, args));
        Change { arch, first: nr, last: nr, before, after, args: Some(*args), unsure: false }
    };
    let Some(samples) = samples(conds, arch.wide, &[]) else {
        return vec![Change { args: None, unsure: true, ..change(&[0; 6]) }];
    };
    let mut found: Vec<Change> = Vec::new();
    for other in samples.iter().map(change) {
        let same = |known: &Change| (known.before, known.after) == (other.before, other.after);
        if !found.iter().any(same) {
            found.push(other);
        }
    }
    if let [only] = &mut found[..] {
        only.args = None;
    }
    found.retain(|change| change.before != change.after);
    found
}

#[cfg(test)]
mod tests;
