//! The program: a search tree over the runs of every architecture, then the arguments.
//!
//! It is built from its end, so that every target is known when a jump to it is written: a label
//! is the index of an instruction in the reversed program. A target more than 255 instructions
//! away is reached over a copy (of a `RET`) or a long jump next to the branch.

use crate::action::Action;
use crate::chain::{Cond, Rule};
use crate::error::Error;
use crate::profile::Operator;
use crate::rules::Rules;
use crate::space::{Leaf, Run, Space, spaces};

/// The kernel takes no longer program (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// One instruction of classic BPF: `struct sock_filter` of linux/filter.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Insn {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip when the comparison holds.
    pub jt: u8,
    /// How many to skip when it does not.
    pub jf: u8,
    /// The constant, the offset or the result.
    pub k: u32,
}

// linux/bpf_common.h
pub(crate) const LD_ABS: u16 = 0x20;
pub(crate) const AND: u16 = 0x54;
pub(crate) const JA: u16 = 0x05;
pub(crate) const JEQ: u16 = 0x15;
pub(crate) const JGT: u16 = 0x25;
pub(crate) const JGE: u16 = 0x35;
pub(crate) const JSET: u16 = 0x45;
pub(crate) const RET: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NR: u32 = 0;
const ARCH: u32 = 4;

/// Index of an instruction in the reversed program.
type Label = usize;

/// Writes the program of a profile.
///
/// # Errors
/// More instructions than the kernel takes.
pub(crate) fn emit(rules: &Rules) -> Result<Vec<Insn>, Error> {
    let mut asm = Asm { rev: Vec::with_capacity(512), rets: Vec::new() };
    let mut sections = Vec::new();
    // The native architecture comes first in the program, so it is written last.
    for space in spaces(rules).iter().rev() {
        sections.push((space.audit, asm.section(space, rules.default)));
    }
    let mut next = asm.ret(Action::BAD_ARCH);
    for (audit, section) in sections {
        next = asm.branch(JEQ, audit, section, next);
    }
    asm.load(ARCH, next);
    asm.rev.reverse();
    let length = asm.rev.len();
    if length > MAX_INSTRUCTIONS {
        return Err(Error::new(
            "syscalls",
            format!("make a filter of {length} instructions, the kernel takes {MAX_INSTRUCTIONS}"),
            "name fewer architectures, or join rules that differ only in an argument",
        ));
    }
    Ok(asm.rev)
}

struct Asm {
    rev: Vec<Insn>,
    /// The nearest copy of each return.
    rets: Vec<(Action, Label)>,
}

impl Asm {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.rev.push(Insn { code, jt, jf, k });
        self.rev.len() - 1
    }

    /// An instruction that is no jump; `then` follows it.
    fn before(&mut self, code: u16, k: u32, then: Label) -> Label {
        if then + 1 != self.rev.len() {
            self.hop(then);
        }
        self.push(code, 0, 0, k)
    }

    /// Loads a word, then `then`.
    fn load(&mut self, offset: u32, then: Label) -> Label {
        self.before(LD_ABS, offset, then)
    }

    /// A copy of the return at `target`, or a long jump to it.
    fn hop(&mut self, target: Label) -> Label {
        let skip = self.rev.len() - 1 - target;
        let Some(Insn { code: RET, k, .. }) = self.rev.get(target).copied() else {
            return self.push(JA, 0, 0, u32::try_from(skip).unwrap_or(u32::MAX));
        };
        let end = self.rev.len();
        if let Some((_, nearest)) = self.rets.iter_mut().find(|(action, _)| action.0 == k) {
            *nearest = end;
        }
        self.push(RET, 0, 0, k)
    }

    fn ret(&mut self, action: Action) -> Label {
        if let Some((_, label)) = self.rets.iter().find(|(known, _)| *known == action) {
            return *label;
        }
        let label = self.push(RET, 0, 0, action.0);
        self.rets.push((action, label));
        label
    }

    /// Compares the accumulator with `k` and goes to `yes` or `no`.
    fn branch(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        let (yes, no) = (self.reach(yes), self.reach(no));
        let (jt, jf) = (self.skip(yes), self.skip(no));
        self.push(code, jt, jf, k)
    }

    /// A label for `target` that the next branch reaches, even when one more hop is written.
    fn reach(&mut self, target: Label) -> Label {
        let near = |asm: &Self, label: Label| asm.rev.len() - 1 - label < 255;
        if near(self, target) {
            return target;
        }
        let copies = self.rev.get(target).filter(|insn| insn.code == RET).map(|insn| insn.k);
        match self.rets.iter().find(|(action, _)| copies == Some(action.0)) {
            Some((_, label)) if near(self, *label) => *label,
            _ => self.hop(target),
        }
    }

    /// How many instructions lie between the next one and `target`; [`Asm::reach`] bounds it.
    fn skip(&self, target: Label) -> u8 {
        u8::try_from(self.rev.len() - 1 - target).unwrap_or(u8::MAX)
    }

    fn section(&mut self, space: &Space<'_>, default: Action) -> Label {
        let halves = |arg| space.members.first().map_or((0, 0), |m| m.arch.halves(arg));
        // Equal chains, as neighbours in a profile have, are written once.
        let mut chains: Vec<(&[Rule], Label)> = Vec::new();
        let mut labels = Vec::with_capacity(space.runs.len());
        for run in &space.runs {
            labels.push(match run.leaf {
                Leaf::Always(_) => None,
                Leaf::When(rules) => match chains.iter().find(|(known, _)| *known == rules) {
                    Some((_, label)) => Some(*label),
                    None => {
                        let label = self.chain(rules, default, &halves);
                        chains.push((rules, label));
                        Some(label)
                    }
                },
            });
        }
        let tree = self.tree(&space.runs, &labels);
        self.load(NR, tree)
    }

    /// Finds the run of the number in the accumulator.
    fn tree(&mut self, runs: &[Run<'_>], chains: &[Option<Label>]) -> Label {
        match runs {
            [] => self.ret(Action::BAD_ARCH),
            [one] => match (one.leaf, chains.first().copied().flatten()) {
                (Leaf::Always(action), _) => self.ret(action),
                (Leaf::When(_), Some(label)) => label,
                (Leaf::When(_), None) => self.ret(Action::BAD_ARCH),
            },
            // One number in the middle of others.
            [around, one, after] if around.leaf == after.leaf && after.start - one.start == 1 => {
                let no = self.tree(&runs[..1], &chains[..1]);
                let yes = self.tree(&runs[1..2], &chains[1..2]);
                self.branch(JEQ, one.start, yes, no)
            }
            _ => {
                let mid = runs.len() / 2;
                let high = self.tree(&runs[mid..], &chains[mid..]);
                let low = self.tree(&runs[..mid], &chains[..mid]);
                self.branch(JGE, runs[mid].start, high, low)
            }
        }
    }

    /// Tries the rules in their order.
    fn chain(&mut self, rules: &[Rule], default: Action, halves: &Halves<'_>) -> Label {
        let mut next = self.ret(default);
        let mut rest = rules;
        while let Some((last, before)) = rest.split_last() {
            let group = group(rest);
            if group > 1 {
                let (head, equal) = rest.split_at(rest.len() - group);
                next = self.one_of(equal, next, halves);
                rest = head;
                continue;
            }
            let mut yes = self.ret(last.action);
            for cond in last.conds.iter().rev() {
                yes = self.cond(cond, yes, next, halves);
            }
            next = yes;
            rest = before;
        }
        next
    }

    /// Rules that ask one argument for values with the same high half: it is looked at once.
    fn one_of(&mut self, rules: &[Rule], no: Label, halves: &Halves<'_>) -> Label {
        let Some(cond) = rules.first().and_then(|rule| rule.conds.first()) else { return no };
        let (low, high) = halves(cond.arg);
        let mut next = no;
        for rule in rules.iter().rev() {
            let value = rule.conds.first().map_or(0, |cond| split(cond.value).0);
            let yes = self.ret(rule.action);
            next = self.branch(JEQ, value, yes, next);
        }
        let low = self.load(low, next);
        if split(cond.mask).1 == 0 {
            return low;
        }
        let equal = self.branch(JEQ, split(cond.value).1, low, no);
        self.load(high, equal)
    }

    fn cond(&mut self, cond: &Cond, yes: Label, no: Label, halves: &Halves<'_>) -> Label {
        let (yes, no) = match cond.op {
            Operator::Ne | Operator::Lt | Operator::Le => (no, yes),
            _ => (yes, no),
        };
        let (low, high) = halves(cond.arg);
        let (value_low, value_high) = split(cond.value);
        let (mask_low, mask_high) = split(cond.mask);
        let mut at = yes;
        let code = match cond.op {
            Operator::Gt | Operator::Le => JGT,
            Operator::Ge | Operator::Lt => JGE,
            _ => JEQ,
        };
        if mask_low != 0 {
            at = self.half((low, mask_low), code, value_low, (yes, no));
        }
        if mask_high == 0 {
            return at;
        }
        if code == JEQ {
            return self.half((high, mask_high), JEQ, value_high, (at, no));
        }
        // The high half decides unless it is equal.
        let equal = self.branch(JEQ, value_high, at, no);
        let greater = self.branch(JGT, value_high, yes, equal);
        self.load(high, greater)
    }

    /// Compares one half of an argument.
    fn half(
        &mut self,
        (offset, mask): (u32, u32),
        code: u16,
        value: u32,
        (yes, no): (Label, Label),
    ) -> Label {
        let mut at = self.branch(code, value, yes, no);
        if mask != u32::MAX {
            at = self.before(AND, mask, at);
        }
        self.load(offset, at)
    }
}

/// Where the low and the high half of an argument lie.
type Halves<'a> = dyn Fn(u8) -> (u32, u32) + 'a;

/// The low and the high half.
#[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
fn split(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}

/// How many rules at the end ask the same argument for one value each, with the same high half.
fn group(rules: &[Rule]) -> usize {
    let simple = |rule: &Rule| match rule.conds[..] {
        [Cond { arg, op: Operator::Eq, mask, value }] => Some((arg, mask, split(value).1)),
        _ => None,
    };
    let Some(kind) = rules.last().and_then(simple) else { return 1 };
    rules.iter().rev().take_while(|rule| simple(rule) == Some(kind)).count()
}
