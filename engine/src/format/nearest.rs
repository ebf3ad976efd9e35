//! The word that was meant when one is misspelt.

/// The candidate that is at most a third of its letters away from `word`: for "did you mean".
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let scored = candidates.into_iter().filter_map(|candidate| {
        let far = distance(&lower, &candidate.to_lowercase());
        let letters = word.chars().count().max(candidate.chars().count());
        (far * 3 <= letters.max(3)).then_some((far, candidate))
    });
    scored.min_by_key(|(far, _)| *far).map(|(_, candidate)| candidate)
}

/// Letters to add, drop, change or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let cost =
                |costs: &[usize], at: usize| costs.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut least = cost(&last, column) + usize::from(letter != other);
            least = least.min(cost(&last, column + 1) + 1).min(cost(&next, column) + 1);
            let swapped = row > 0
                && column > 0
                && a.get(row - 1) == Some(other)
                && b.get(column - 1) == Some(letter);
            if swapped {
                least = least.min(cost(&before, column - 1) + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let names = ["web", "database", "cache"];
        assert_eq!(nearest("wbe", names), Some("web"));
        assert_eq!(nearest("Databse", names), Some("database"));
        assert_eq!(nearest("cahce", names), Some("cache"));
        assert_eq!(nearest("queue", names), None);
        assert_eq!(nearest("x", names), None);
    }
}
