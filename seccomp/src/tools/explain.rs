//! The program in words: a line per instruction, with names for numbers, targets for jumps.
//!
//! What a comparison means depends on what was loaded before; the lines are walked as the kernel
//! would, forward only, and keep what is known at each: the architecture, what lies in the
//! accumulator, and which numbers can still come by.

use std::fmt::Write as _;

use serde::Serialize;

use crate::action::Action;
use crate::arch::{ARCHES, Arch};
use crate::emit::{AND, Insn, JA, JEQ, JGE, JGT, JSET, LD_ABS, RET};
use crate::sim::SimError;

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its index.
    pub at: usize,
    /// What it does.
    pub text: String,
    /// Where it goes when a comparison holds, or without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<usize>,
    /// Where it goes when the comparison does not hold.
    #[serde(rename = "else", skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<usize>,
    /// Architectures whose calls this instruction is the first for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub begins: Vec<&'static str>,
    /// Calls that come by, where they are few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<&'static str>,
}

/// How many calls are named beside a line.
const FEW: usize = 6;

/// The words of a program that was compiled for these architectures.
///
/// # Errors
/// An instruction that no compiler of profiles writes.
pub fn explain(
    code: &[Insn],
    arches: impl Iterator<Item = &'static Arch>,
) -> Result<Vec<Line>, SimError> {
    let arches: Vec<_> = arches.collect();
    let mut states: Vec<Option<State>> = vec![None; code.len()];
    if let Some(first) = states.first_mut() {
        *first = Some(State::default());
    }
    let mut lines = Vec::with_capacity(code.len());
    let mut last_arch = None;
    for (at, insn) in code.iter().enumerate() {
        let state = states[at].clone().unwrap_or_default();
        let targets = targets(at, insn)?;
        let mut line = Line {
            at,
            text: state.words(insn, &arches).ok_or(SimError { at })?,
            then: targets.0,
            otherwise: targets.1,
            begins: Vec::new(),
            calls: Vec::new(),
        };
        if state.arch.is_some() && state.arch != last_arch {
            last_arch = state.arch;
            line.begins = named(&arches, state.arch).map(|arch| arch.name).collect();
        }
        line.calls = state.calls(insn, &arches);
        for (target, holds) in [(targets.0, true), (targets.1, false)] {
            let next = state.after(insn, holds);
            if let Some(slot) = target.and_then(|target| states.get_mut(target)) {
                match slot {
                    Some(known) => known.meet(&next),
                    None => *slot = Some(next),
                }
            }
        }
        lines.push(line);
    }
    Ok(lines)
}

/// Where an instruction goes.
fn targets(at: usize, insn: &Insn) -> Result<(Option<usize>, Option<usize>), SimError> {
    let wrong = SimError { at };
    let next = |skip: usize| at + 1 + skip;
    match insn.code {
        RET => Ok((None, None)),
        JA => Ok((Some(next(usize::try_from(insn.k).map_err(|_| wrong)?)), None)),
        JEQ | JGT | JGE | JSET => {
            Ok((Some(next(usize::from(insn.jt))), Some(next(usize::from(insn.jf)))))
        }
        LD_ABS | AND => Ok((Some(next(0)), None)),
        _ => Err(wrong),
    }
}

/// What lies in the accumulator: an offset in `seccomp_data`, and a mask.
type Loaded = Option<(u32, u32)>;

/// What is known before an instruction.
#[derive(Clone, Default)]
struct State {
    arch: Option<u32>,
    loaded: Loaded,
    /// Numbers that can come by; none while the architecture is looked for.
    numbers: Vec<(u32, u32)>,
}

impl State {
    /// After `insn`, whose comparison holds or does not.
    fn after(&self, insn: &Insn, holds: bool) -> Self {
        let mut next = self.clone();
        match (insn.code, self.loaded) {
            (LD_ABS, _) => {
                next.loaded = Some((insn.k, u32::MAX));
                if insn.k == 0 {
                    next.numbers = vec![(0, u32::MAX)];
                }
            }
            (AND, Some((offset, mask))) => next.loaded = Some((offset, mask & insn.k)),
            (JEQ, Some((4, _))) if holds => next.arch = Some(insn.k),
            (JEQ | JGE | JGT, Some((0, _))) => next.numbers = cut(&self.numbers, insn, holds),
            _ => {}
        }
        next
    }

    /// Two ways lead here.
    fn meet(&mut self, other: &Self) {
        if self.arch != other.arch {
            self.arch = None;
        }
        if self.loaded != other.loaded {
            self.loaded = None;
        }
        // Ways part and meet again at every condition: ranges are kept apart and in order.
        self.numbers.extend(&other.numbers);
        self.numbers.sort_unstable();
        self.numbers.dedup_by(|next, kept| {
            let joined = next.0 <= kept.1.saturating_add(1);
            kept.1 = if joined { kept.1.max(next.1) } else { kept.1 };
            joined
        });
    }

    fn words(&self, insn: &Insn, arches: &[&'static Arch]) -> Option<String> {
        let k = insn.k;
        let sign = match insn.code {
            RET => return Some(format!("return {}", Action(k))),
            JA => return Some("go on".to_owned()),
            LD_ABS => return Some(format!("load {}", self.field(k))),
            AND => return Some(format!("and {k:#x}")),
            JEQ => "==",
            JGT => ">",
            JGE => ">=",
            JSET => "&",
            _ => return None,
        };
        let (what, value) = match self.loaded {
            Some((4, _)) => (
                "arch".to_owned(),
                named(arches, Some(k)).next().map_or("?", |a| a.name).to_owned(),
            ),
            Some((0, _)) => {
                let name = named(arches, self.arch).find_map(|arch| arch.call(k));
                ("nr".to_owned(), name.map_or_else(|| format!("{k}"), |n| format!("{k} ({n})")))
            }
            Some((offset, mask)) => {
                let field = self.field(offset);
                let masked = format!("{field} & {mask:#x}");
                (if mask == u32::MAX { field } else { masked }, format!("{k:#x}"))
            }
            None => ("what was loaded".to_owned(), format!("{k:#x}")),
        };
        Some(format!("if {what} {sign} {value}"))
    }

    /// A word of `seccomp_data`.
    fn field(&self, offset: u32) -> String {
        let big = self.arch.is_some_and(|arch| arch & 0x4000_0000 == 0);
        let mut words = String::new();
        let _ = match offset {
            0 => write!(words, "nr"),
            4 => write!(words, "arch"),
            8 | 12 => write!(words, "instruction pointer"),
            _ => {
                let half = if (offset % 8 == 4) == big { "low" } else { "high" };
                write!(words, "args[{}].{half}", (offset - 16) / 8)
            }
        };
        words
    }

    /// The calls that come by a return or an argument, where they are few.
    fn calls(&self, insn: &Insn, arches: &[&'static Arch]) -> Vec<&'static str> {
        let asks = insn.code == LD_ABS && insn.k >= 16;
        if !asks && insn.code != RET {
            return Vec::new();
        }
        let count = |range: &(u32, u32)| u64::from(range.1) - u64::from(range.0) + 1;
        if self.numbers.iter().map(count).sum::<u64>() > FEW as u64 {
            return Vec::new();
        }
        let numbers = self.numbers.iter().flat_map(|(first, last)| *first..=*last);
        let name = |nr| named(arches, self.arch).find_map(|arch| arch.call(nr));
        let mut names: Vec<_> = numbers.filter_map(name).collect();
        names.dedup();
        names
    }
}

/// The numbers of `from` for which the comparison ends so.
fn cut(from: &[(u32, u32)], insn: &Insn, holds: bool) -> Vec<(u32, u32)> {
    let k = insn.k;
    let parts: [Option<(u32, u32)>; 2] = match (insn.code, holds) {
        (JEQ, true) => [Some((k, k)), None],
        (JEQ, false) => {
            [k.checked_sub(1).map(|end| (0, end)), k.checked_add(1).map(|s| (s, u32::MAX))]
        }
        (JGE, true) => [Some((k, u32::MAX)), None],
        (JGE, false) => [k.checked_sub(1).map(|end| (0, end)), None],
        (_, true) => [k.checked_add(1).map(|start| (start, u32::MAX)), None],
        (_, false) => [Some((0, k)), None],
    };
    let both = |range: &(u32, u32)| {
        let (first, last) = *range;
        parts.into_iter().flatten().filter_map(move |(from, to)| {
            let (first, last) = (first.max(from), last.min(to));
            (first <= last).then_some((first, last))
        })
    };
    from.iter().flat_map(both).collect()
}

/// The profile's architectures of an audit number; any of that number for a program of others.
fn named(arches: &[&'static Arch], audit: Option<u32>) -> impl Iterator<Item = &'static Arch> {
    let of = move |arch: &&Arch| Some(arch.audit) == audit;
    let own: Vec<_> = arches.iter().copied().filter(of).collect();
    let others = if own.is_empty() { &ARCHES[..] } else { &[] };
    own.into_iter().chain(others.iter().filter(of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{ActionName, Arg, Profile, Syscalls};
    use crate::tools::Filter;

    fn lines(host: &str, profile: Profile) -> Vec<Line> {
        let filter = Filter::new(profile, Arch::named(host).unwrap()).unwrap();
        explain(&filter.program.code, filter.arches()).unwrap()
    }

    fn profile() -> Profile {
        let rule = |name: &str, args: &[Arg]| Syscalls {
            names: vec![name.into()],
            args: args.to_vec(),
            ..Syscalls::default()
        };
        let kind = Arg { index: 1, value: 1 << 33, ..Arg::default() };
        Profile {
            default_action: ActionName::Errno,
            syscalls: vec![rule("write", &[]), rule("socket", &[kind])],
            ..Profile::default()
        }
    }

    #[test]
    fn lines_have_names_halves_and_targets() {
        let lines = lines("SCMP_ARCH_X86_64", profile());
        let text: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(text[0], "load arch");
        assert_eq!(text[1], "if arch == SCMP_ARCH_X86_64");
        assert_eq!(text[2], "load nr");
        assert_eq!(lines[2].begins, ["SCMP_ARCH_X86_64"]);
        assert!(text.iter().any(|text| text.ends_with("1 (write)")), "{text:#?}");
        let high = lines.iter().position(|line| line.text == "load args[1].high").unwrap();
        assert_eq!(lines[high].calls, ["socket"]);
        assert_eq!(text[high + 1], "if args[1].high == 0x2");
        assert!(text.contains(&"return SCMP_ACT_ERRNO(1)"));
        for line in &lines {
            let targets = line.then.into_iter().chain(line.otherwise);
            assert!(targets.into_iter().all(|to| to > line.at && to < lines.len()), "{line:?}");
        }
    }

    /// A big-endian architecture has the high half first.
    #[test]
    fn halves_are_those_of_the_architecture() {
        let lines = lines("SCMP_ARCH_S390X", profile());
        let high = lines.iter().find(|line| line.text.contains(".high")).unwrap();
        let half = lines.iter().find(|line| line.text == "if args[1].high == 0x2");
        assert!(half.is_some(), "{lines:#?} {high:?}");
    }

    /// Found by the fuzz target: with every condition the ways to the next doubled.
    #[test]
    fn many_conditions_are_no_more_work_than_a_few() {
        let args: Vec<_> =
            (0..60).map(|value| Arg { value: 3 * value, ..Arg::default() }).collect();
        let rule =
            Syscalls { names: vec!["ioctl".into(), "read".into()], args, ..Syscalls::default() };
        let profile = Profile {
            default_action: ActionName::Errno,
            syscalls: vec![rule],
            ..Profile::default()
        };
        for host in ["SCMP_ARCH_X86_64", "SCMP_ARCH_S390X"] {
            assert!(lines(host, profile.clone()).len() > 60, "{host}");
        }
    }

    #[test]
    fn foreign_instructions_are_refused() {
        let odd = Insn { code: 0x07, ..Insn::default() };
        assert_eq!(explain(&[odd], std::iter::empty()), Err(SimError { at: 0 }));
    }
}
