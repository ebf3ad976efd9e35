//! The conditional rules of one call, in the order in which they are tried.
//!
//! libseccomp keeps them in a tree whose levels it sorts; what a filter does where rules overlap
//! follows from that order, so it is the order here: a later argument first, then equality before
//! "less" before "greater", then the narrower range. Where libseccomp's tree is at odds with the
//! rules themselves (two halves of one argument merged with another rule's halves), the rules win.

use crate::action::Action;
use crate::profile::{Arg, Operator};

/// A condition that can fail, in the width of its architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cond {
    pub(crate) arg: u8,
    pub(crate) op: Operator,
    pub(crate) mask: u64,
    pub(crate) value: u64,
}

impl Cond {
    /// `None` when it always holds.
    pub(crate) fn new(arg: u8, asked: &Arg, wide: bool) -> Option<Self> {
        let width = if wide { u64::MAX } else { u64::from(u32::MAX) };
        let (mask, value) = match asked.op {
            Operator::MaskedEq => (asked.value & width, asked.value_two),
            _ => (width, asked.value),
        };
        (mask != 0).then_some(Self { arg, op: asked.op, mask, value: value & mask })
    }

    /// Whether an argument meets it.
    pub(crate) fn holds(&self, given: u64) -> bool {
        let given = given & self.mask;
        match self.op {
            Operator::Ne => given != self.value,
            Operator::Lt => given < self.value,
            Operator::Le => given <= self.value,
            Operator::Eq | Operator::MaskedEq => given == self.value,
            Operator::Ge => given >= self.value,
            Operator::Gt => given > self.value,
        }
    }

    /// Where it stands among others: the greatest is tried first.
    fn rank(&self) -> (u8, u8, u64) {
        let (kind, value) = match self.op {
            Operator::Eq | Operator::Ne | Operator::MaskedEq => (3, self.value),
            Operator::Lt | Operator::Le => (2, u64::MAX - self.value),
            Operator::Gt | Operator::Ge => (1, self.value),
        };
        (self.arg, kind, value)
    }
}

/// A rule: all conditions hold, then the action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) conds: Vec<Cond>,
    pub(crate) action: Action,
}

/// Two actions for one condition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conflict(pub(crate) Action);

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The same whatever its arguments are.
    Always(Action),
    /// Depends on them; the default action when no rule holds.
    When(Vec<Rule>),
}

impl Fate {
    /// The fate of a call that one rule names.
    pub(crate) fn of(conds: Vec<Cond>, action: Action) -> Self {
        if conds.is_empty() {
            return Self::Always(action);
        }
        Self::When(vec![Rule { conds, action }])
    }

    /// Adds a rule as libseccomp does: a rule without conditions beats all with some, the first of
    /// several without conditions stays; a rule that asks more than an earlier one is dropped.
    ///
    /// # Errors
    /// The same conditions, or fewer, with another action than an earlier rule.
    pub(crate) fn add(&mut self, conds: Vec<Cond>, action: Action) -> Result<(), Conflict> {
        let Self::When(rules) = self else { return Ok(()) };
        if conds.is_empty() {
            *self = Self::Always(action);
            return Ok(());
        }
        for rule in rules.iter() {
            let (same, shorter) = (rule.conds == conds, conds.starts_with(&rule.conds));
            if shorter && !same {
                return Ok(());
            }
            if rule.conds.starts_with(&conds) && rule.action != action {
                return Err(Conflict(rule.action));
            }
            if same {
                return Ok(());
            }
        }
        rules.retain(|rule| !rule.conds.starts_with(&conds));
        let at = place(rules, &conds);
        rules.insert(at, Rule { conds, action });
        Ok(())
    }
}

/// Where a new rule goes: level by level, as in a tree of conditions whose equal heads are one.
fn place(rules: &[Rule], conds: &[Cond]) -> usize {
    let (mut from, mut to) = (0, rules.len());
    for (depth, cond) in conds.iter().enumerate() {
        let at = |rule: &Rule| rule.conds.get(depth).copied();
        let level = rules.get(from..to).unwrap_or_default();
        if let Some(first) = level.iter().position(|rule| at(rule) == Some(*cond)) {
            let same = level[first..].iter().take_while(|rule| at(rule) == Some(*cond)).count();
            (from, to) = (from + first, from + first + same);
            continue;
        }
        let before = |rule: &Rule| at(rule).is_none_or(|other| other.rank() >= cond.rank());
        return from + level.iter().take_while(|rule| before(rule)).count();
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Action = Action(1);
    const B: Action = Action(2);

    fn cond(arg: u8, op: Operator, value: u64) -> Cond {
        Cond { arg, op, mask: u64::MAX, value }
    }

    #[test]
    fn a_rule_without_conditions_beats_all_and_the_first_stays() {
        let mut fate = Fate::of(vec![cond(0, Operator::Eq, 1)], A);
        fate.add(vec![], B).unwrap();
        fate.add(vec![], A).unwrap();
        fate.add(vec![cond(0, Operator::Eq, 2)], A).unwrap();
        assert_eq!(fate, Fate::Always(B));
    }

    #[test]
    fn the_same_condition_twice_is_a_conflict_only_with_another_action() {
        let same = || vec![cond(0, Operator::Eq, 1)];
        let mut fate = Fate::of(same(), A);
        assert_eq!(fate.add(same(), A), Ok(()));
        assert_eq!(fate.add(same(), B), Err(Conflict(A)));
    }

    #[test]
    fn a_longer_rule_is_dropped_a_shorter_one_replaces() {
        let short = vec![cond(0, Operator::Eq, 1)];
        let long = vec![cond(0, Operator::Eq, 1), cond(1, Operator::Eq, 2)];
        let mut fate = Fate::of(short.clone(), A);
        fate.add(long.clone(), B).unwrap();
        assert_eq!(fate, Fate::of(short.clone(), A));
        let mut fate = Fate::of(long.clone(), A);
        assert_eq!(fate.add(short.clone(), B), Err(Conflict(A)));
        fate.add(short.clone(), A).unwrap();
        assert_eq!(fate, Fate::of(short, A));
    }

    #[test]
    fn later_arguments_and_equality_are_tried_first() {
        let mut fate = Fate::of(vec![cond(0, Operator::Gt, 5)], A);
        fate.add(vec![cond(0, Operator::Lt, 9)], A).unwrap();
        fate.add(vec![cond(0, Operator::Lt, 3)], A).unwrap();
        fate.add(vec![cond(2, Operator::Ge, 0)], A).unwrap();
        fate.add(vec![cond(0, Operator::Eq, 0)], A).unwrap();
        let Fate::When(rules) = fate else { panic!("conditions are kept") };
        let order: Vec<_> = rules.iter().map(|r| (r.conds[0].op, r.conds[0].value)).collect();
        let expected = [
            (Operator::Ge, 0),
            (Operator::Eq, 0),
            (Operator::Lt, 3),
            (Operator::Lt, 9),
            (Operator::Gt, 5),
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn a_condition_that_always_holds_is_none() {
        let high = Arg { op: Operator::MaskedEq, value: 0xff << 32, ..Arg::default() };
        assert_eq!(Cond::new(0, &high, false), None);
        assert!(Cond::new(0, &high, true).is_some());
    }
}
