//! The fates of an architecture's calls by number: a list as long as the table, as profiles name
//! most of it, and a map for Arm's private calls, which are above all others.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::chain::Fate;
use crate::table::ARM_PRIVATE;

/// Fates by number, in order.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    base: u32,
    /// The fate of `base` and its successors.
    near: Vec<Option<Fate>>,
    far: BTreeMap<u32, Fate>,
}

impl Calls {
    /// None yet, of an architecture whose numbers begin at `base`.
    pub(crate) fn new(base: u32) -> Self {
        Self { base, ..Self::default() }
    }

    /// The place of a number in the list.
    fn place(&self, nr: u32) -> Option<usize> {
        let place = nr.checked_sub(self.base).filter(|place| *place < ARM_PRIVATE)?;
        usize::try_from(place).ok()
    }

    /// The fate of a number that a rule names.
    pub(crate) fn get(&self, nr: &u32) -> Option<&Fate> {
        match self.place(*nr) {
            Some(place) => self.near.get(place)?.as_ref(),
            None => self.far.get(nr),
        }
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, nr: &u32) -> Option<&mut Fate> {
        match self.place(*nr) {
            Some(place) => self.near.get_mut(place)?.as_mut(),
            None => self.far.get_mut(nr),
        }
    }

    /// Sets the fate of a number.
    pub(crate) fn insert(&mut self, nr: u32, fate: Fate) {
        let Some(place) = self.place(nr) else {
            self.far.insert(nr, fate);
            return;
        };
        if place >= self.near.len() {
            self.near.resize(place + 1, None);
        }
        if let Some(slot) = self.near.get_mut(place) {
            *slot = Some(fate);
        }
    }

    /// Numbers with their fates, ascending.
    pub(crate) fn range(&self, range: RangeInclusive<u32>) -> impl Iterator<Item = (u32, &Fate)> {
        let near = (self.base..).zip(&self.near);
        let near = near.filter_map(|(nr, fate)| fate.as_ref().map(|fate| (nr, fate)));
        let far = self.far.iter().map(|(nr, fate)| (*nr, fate));
        near.chain(far).filter(move |(nr, _)| range.contains(nr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Action;

    #[test]
    fn near_and_far_calls_are_kept_in_order() {
        let mut calls = Calls::new(4000);
        let fate = |value| Fate::Always(Action(value));
        let all = [(4000 + ARM_PRIVATE + 2, 1), (4471, 2), (4000, 3), (4003, 4)];
        for (nr, value) in all {
            calls.insert(nr, fate(value));
        }
        *calls.get_mut(&4003).unwrap() = fate(6);
        assert_eq!(calls.get(&4003), Some(&fate(6)));
        assert_eq!(calls.get(&4004), None);
        assert_eq!(calls.get(&(4000 + ARM_PRIVATE)), None);
        let numbers = |range| calls.range(range).map(|(nr, _)| nr).collect::<Vec<_>>();
        assert_eq!(numbers(4001..=u32::MAX), [4003, 4471, 4000 + ARM_PRIVATE + 2]);
        assert_eq!(numbers(4001..=4470), [4003]);
    }
}
