//! What happens to a call, and which rule says so.
//!
//! The program is what the kernel runs; the rules behind it are found again here, by asking which
//! of the profile's words about a number became the part that decides.

use std::collections::BTreeMap;

use crate::action::Action;
use crate::arch::{Arch, X32_BIT};
use crate::chain::{Cond, Fate, Rule};
use crate::error::Error;
use crate::profile::Profile;
use crate::rules::{self, ArchRules, Rules};
use crate::sim::{Data, run};
use crate::space::{SKIPPED, X86_64_AUDIT, newer};
use crate::table;
use crate::tools::samples::samples;
use crate::{Program, emit};

/// A profile with its program.
pub struct Filter {
    pub(crate) profile: Profile,
    pub(crate) rules: Rules,
    /// The program.
    pub program: Program,
    /// For each architecture, in the order of `rules.arches`, what is said about a number.
    claims: Vec<BTreeMap<u32, Vec<Claim>>>,
}

/// What one name of one rule says about a number.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) rule: usize,
    pub(crate) name: usize,
    pub(crate) conds: Vec<Cond>,
    pub(crate) action: Action,
}

/// Why something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This rule of the profile, by this name of it.
    Rule {
        /// Index of the rule.
        rule: usize,
        /// Index of the name.
        name: usize,
    },
    /// No rule decides.
    Default,
    /// The number is above the newest that the profile names, which is this: runc's rule.
    Newer(u32),
    /// `setup` of s390, which stands for every number that the kernel does not know.
    Setup,
    /// The architecture is not one of the profile's.
    Foreign,
    /// A tracer sets this number to skip a call.
    Skipped,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the filter returns.
    pub action: Action,
    /// Who says so.
    pub reason: Reason,
    /// Other rules that hold for the same call and do not decide.
    pub overruled: Vec<(usize, Action)>,
}

/// Arguments and what they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// An example.
    pub args: [u64; 6],
    /// What happens to it.
    pub verdict: Verdict,
}

impl Filter {
    /// Compiles a profile, and keeps what is needed to ask about it.
    ///
    /// # Errors
    /// Those of [`crate::compile`].
    pub fn new(profile: Profile, host: &'static Arch) -> Result<Self, Error> {
        let rules = rules::read(&profile, host)?;
        let code = emit::emit(&rules)?;
        let program = Program { code, flags: rules.flags, unknown: rules.unknown.clone() };
        let claims = rules.arches.iter().map(|arch| claims(&profile, arch.arch));
        let claims = claims.collect::<Result<_, _>>()?;
        Ok(Self { profile, rules, program, claims })
    }

    /// What was compiled.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The profile's architectures, the host's first.
    pub fn arches(&self) -> impl Iterator<Item = &'static Arch> {
        self.rules.arches.iter().map(|rules| rules.arch)
    }

    /// What happens to a call.
    pub fn ask(&self, arch: &'static Arch, nr: u32, args: &[u64; 6]) -> Verdict {
        let arch = self.seen(arch, nr);
        let action = self.action(arch, nr, args);
        let claims = self.claims(arch, nr);
        let reason = self.reason(arch, nr, args, action);
        let decides = match reason {
            Reason::Rule { rule, .. } => Some(rule),
            _ => None,
        };
        let mut overruled: Vec<_> = claims
            .iter()
            .filter(|claim| all_hold(&claim.conds, args) && Some(claim.rule) != decides)
            .map(|claim| (claim.rule, claim.action))
            .collect();
        overruled.dedup();
        Verdict { action, reason, overruled }
    }

    /// What happens to a call of which only the first arguments are known: one case for each that
    /// decides differently; `None` when there are too many to look at.
    pub fn cases(&self, arch: &'static Arch, nr: u32, given: &[u64]) -> Option<Vec<Case>> {
        let arch = self.seen(arch, nr);
        let conds = self.deciding(arch, nr).iter().flat_map(|rule| &rule.conds);
        let mut cases: Vec<Case> = Vec::new();
        for args in samples(conds, arch.wide, given)? {
            let verdict = self.ask(arch, nr, &args);
            let known = |case: &Case| {
                case.verdict.action == verdict.action && case.verdict.reason == verdict.reason
            };
            if !cases.iter().any(known) {
                cases.push(Case { args, verdict });
            }
        }
        Some(cases)
    }

    /// The architecture that the kernel takes a call for: x32 and x86_64 are told apart by the
    /// number alone.
    fn seen(&self, arch: &'static Arch, nr: u32) -> &'static Arch {
        let other = |other: &&'static Arch| other.audit == arch.audit && has(other, nr);
        if has(arch, nr) { arch } else { self.arches().find(other).unwrap_or(arch) }
    }

    /// What the program returns.
    pub(crate) fn action(&self, arch: &Arch, nr: u32, args: &[u64; 6]) -> Action {
        let data = Data { nr, arch: arch.audit, args: *args, ..Data::default() };
        // A program of ours ends in a return.
        run(&self.program.code, &data).map_or(Action::BAD_ARCH, |outcome| Action(outcome.action))
    }

    /// The numbers that a rule is about.
    pub(crate) fn numbers(&self, arch: &Arch) -> impl Iterator<Item = u32> {
        let at = self.rules.arches.iter().position(|rules| rules.arch == arch);
        at.and_then(|at| self.claims.get(at)).into_iter().flat_map(|claims| claims.keys().copied())
    }

    pub(crate) fn claims(&self, arch: &Arch, nr: u32) -> &[Claim] {
        let at = self.rules.arches.iter().position(|rules| rules.arch == arch);
        let claims = at.and_then(|at| self.claims.get(at)).and_then(|claims| claims.get(&nr));
        claims.map(Vec::as_slice).unwrap_or_default()
    }

    /// The conditional rules of a number that has no others.
    pub(crate) fn deciding(&self, arch: &Arch, nr: u32) -> &[Rule] {
        match self.rules_of(arch).and_then(|rules| rules.calls.get(&nr)) {
            Some(Fate::When(rules)) => rules,
            _ => &[],
        }
    }

    pub(crate) fn rules_of(&self, arch: &Arch) -> Option<&ArchRules> {
        self.rules.arches.iter().find(|rules| rules.arch == arch)
    }

    fn reason(&self, arch: &Arch, nr: u32, args: &[u64; 6], action: Action) -> Reason {
        let Some(rules) = self.rules_of(arch).filter(|_| has(arch, nr)) else {
            return if nr == SKIPPED { Reason::Skipped } else { Reason::Foreign };
        };
        let newer = newer(rules, SKIPPED - 1, self.rules.default);
        if newer.is_some() && arch.has_setup_trick() && nr == 0 {
            return Reason::Setup;
        }
        let Some(fate) = rules.calls.get(&nr) else {
            return match newer {
                Some((from, to)) if (from..to).contains(&nr) => Reason::Newer(from - 1),
                _ => Reason::Default,
            };
        };
        let conds = match fate {
            Fate::Always(_) => Some([].as_slice()),
            Fate::When(rules) => rules.iter().find(|rule| holds(rule, args)).map(|r| &r.conds[..]),
        };
        let decides = |claim: &&Claim| claim.action == action && Some(&claim.conds[..]) == conds;
        match self.claims(arch, nr).iter().find(decides) {
            Some(claim) => Reason::Rule { rule: claim.rule, name: claim.name },
            None => Reason::Default,
        }
    }
}

/// Whether a number can be one of the architecture: x86_64 and x32 share an audit number.
pub(crate) fn has(arch: &Arch, nr: u32) -> bool {
    let shared = arch.audit == X86_64_AUDIT;
    nr != SKIPPED && (!shared || (arch.base == X32_BIT) == (nr >= X32_BIT))
}

fn holds(rule: &Rule, args: &[u64; 6]) -> bool {
    all_hold(&rule.conds, args)
}

pub(crate) fn all_hold(conds: &[Cond], args: &[u64; 6]) -> bool {
    conds.iter().all(|cond| cond.holds(args.get(usize::from(cond.arg)).copied().unwrap_or(0)))
}

/// All that a profile says about the numbers of an architecture, in its order.
fn claims(profile: &Profile, arch: &Arch) -> Result<BTreeMap<u32, Vec<Claim>>, Error> {
    let mut all: BTreeMap<u32, Vec<Claim>> = BTreeMap::new();
    for (rule, asked) in profile.syscalls.iter().enumerate() {
        let action = Action::new(asked.action, asked.errno_ret, "errnoRet")?;
        let any = rules::alternatives(&asked.args, "args")?;
        for (name, word) in asked.names.iter().enumerate() {
            let Some(row) = table::row(word) else { continue };
            for (nr, conds) in rules::parts(arch, row, &any) {
                all.entry(nr).or_default().push(Claim { rule, name, conds, action });
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
