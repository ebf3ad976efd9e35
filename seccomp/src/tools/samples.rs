//! Arguments that try every combination of conditions that can be true at once.
//!
//! What a filter does depends on its conditions alone. For each argument this finds one value for
//! each combination of them that some value has, by reading values bit by bit, the highest first:
//! a comparison is undecided while the bits are equal, a masked equality holds while they match.
//! Arguments are independent of each other, so all combinations of such values are all cases.

use crate::chain::Cond;
use crate::profile::Operator;

/// Combinations of one argument, and of all together, that are not looked at any more.
const MOST: usize = 1 << 16;

/// Arguments for every case of `conds`, where those in `given` stand fast; `None` when there are
/// too many.
pub(crate) fn samples<'a>(
    conds: impl Iterator<Item = &'a Cond>,
    wide: bool,
    given: &[u64],
) -> Option<Vec<[u64; 6]>> {
    let conds: Vec<_> = conds.collect();
    let bits = if wide { 64 } else { 32 };
    let mut all = vec![[0; 6]];
    for (index, arg) in (0_u8..6).zip(0_usize..) {
        let values = match given.get(arg) {
            Some(value) => vec![*value],
            None => values(conds.iter().copied().filter(|cond| cond.arg == index), bits)?,
        };
        if all.len() * values.len() > MOST {
            return None;
        }
        let with = |args: &[u64; 6], value| {
            let mut args = *args;
            args[arg] = value;
            args
        };
        all = all.iter().flat_map(|args| values.iter().map(|v| with(args, *v))).collect();
    }
    Some(all)
}

/// What is known of a condition after the highest bits of a value.
type Known = u8;
const OPEN: Known = 0;
const LESS: Known = 1;
const GREATER: Known = 2;

fn values<'a>(conds: impl Iterator<Item = &'a Cond>, bits: u32) -> Option<Vec<u64>> {
    let mut distinct: Vec<&Cond> = Vec::new();
    for cond in conds {
        let same = |other: &&Cond| {
            let equal = other.value == cond.value && other.mask == cond.mask;
            equal && is_equality(other) == is_equality(cond)
        };
        if !distinct.iter().any(same) {
            distinct.push(cond);
        }
    }
    let mut cases = vec![(vec![OPEN; distinct.len()], 0_u64)];
    for bit in (0..bits).rev() {
        let mut next = Vec::with_capacity(2 * cases.len());
        for (known, value) in &cases {
            for one in [0, 1] {
                let step = |(cond, known): (&&Cond, &Known)| read(cond, *known, bit, one);
                next.push((distinct.iter().zip(known).map(step).collect(), value | one << bit));
            }
        }
        next.sort_unstable();
        next.dedup_by(|b, a| a.0 == b.0);
        if next.len() > MOST {
            return None;
        }
        cases = next;
    }
    Some(cases.into_iter().map(|case| case.1).collect())
}

/// It only matters whether its bits are equal, not on which side they are.
fn is_equality(cond: &Cond) -> bool {
    matches!(cond.op, Operator::Eq | Operator::Ne | Operator::MaskedEq)
}

/// What one more bit of the value tells.
fn read(cond: &Cond, known: Known, bit: u32, one: u64) -> Known {
    let wanted = cond.value >> bit & 1;
    match known {
        OPEN if cond.mask >> bit & 1 == 0 || wanted == one => OPEN,
        OPEN if wanted > one || is_equality(cond) => LESS,
        OPEN => GREATER,
        decided => decided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cond(arg: u8, op: Operator, mask: u64, value: u64) -> Cond {
        Cond { arg, op, mask, value }
    }

    /// One value below, on, between and above.
    #[test]
    fn comparisons_have_a_value_on_either_side() {
        let conds = [cond(1, Operator::Gt, u64::MAX, 5), cond(1, Operator::Eq, u64::MAX, 1 << 40)];
        let mut found: Vec<_> =
            samples(conds.iter(), true, &[]).unwrap().iter().map(|args| args[1]).collect();
        found.sort_unstable();
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0] < 5 && found[1] == 5 && found[2] > 5 && found[2] != 1 << 40);
        assert_eq!(found[3], 1 << 40);
    }

    #[test]
    fn nothing_lies_below_zero_or_between_neighbours() {
        let at = |values: &[u64]| {
            let conds: Vec<_> =
                values.iter().map(|v| cond(0, Operator::Eq, u64::MAX, *v)).collect();
            samples(conds.iter(), true, &[]).unwrap().len()
        };
        assert_eq!(at(&[0]), 2);
        assert_eq!(at(&[0, 1]), 3);
        assert_eq!(at(&[0, u64::MAX]), 3);
    }

    /// Every combination of two masks that can be, and none that cannot.
    #[test]
    fn masks_are_combined() {
        let conds = [
            cond(0, Operator::MaskedEq, 0b11, 0b01),
            cond(0, Operator::MaskedEq, 0b10, 0b10),
            cond(0, Operator::MaskedEq, 0xf0, 0),
        ];
        let mut cases: Vec<_> = samples(conds.iter(), false, &[])
            .unwrap()
            .iter()
            .map(|args| conds.map(|c| args[0] & c.mask == c.value))
            .collect();
        cases.sort_unstable();
        // The first two exclude each other.
        assert_eq!(cases.len(), 6, "{cases:?}");
        assert!(!cases.contains(&[true, true, true]));
    }

    #[test]
    fn arguments_are_independent_and_given_ones_stand_fast() {
        let conds = [cond(0, Operator::Eq, u64::MAX, 3), cond(2, Operator::Ge, u64::MAX, 9)];
        assert_eq!(samples(conds.iter(), true, &[]).unwrap().len(), 6);
        let given = samples(conds.iter(), true, &[7]).unwrap();
        assert_eq!(given.len(), 3);
        assert!(given.iter().all(|args| args[0] == 7));
    }

    #[test]
    fn too_much_is_said_to_be_too_much() {
        let many: Vec<_> = (0..6_u8)
            .flat_map(|arg| (0..40).map(move |v| cond(arg, Operator::Eq, u64::MAX, v * 2)))
            .collect();
        assert_eq!(samples(many.iter(), true, &[]), None);
    }
}
