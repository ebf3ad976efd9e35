//! subuid(5) and subgid(5): which ids a user may map, and which of those asked for are missing.

/// Ids in a row: the first, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) count: u64,
}

impl Range {
    pub(crate) fn end(self) -> u64 {
        self.first + self.count
    }

    fn has(self, id: u64) -> bool {
        (self.first..self.end()).contains(&id)
    }
}

/// A row `owner:first:count`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) owner: String,
    pub(crate) range: Range,
}

/// The rows of a file; lines that are none are passed over, as the tools do.
pub(crate) fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let [owner, first, count] = line.trim().split(':').collect::<Vec<_>>()[..] else {
            return None;
        };
        let (first, count) = (first.parse::<u32>().ok()?, count.parse::<u32>().ok()?);
        let range = Range { first: first.into(), count: count.into() };
        (count > 0 && !owner.starts_with('#')).then(|| Row { owner: owner.to_owned(), range })
    };
    text.lines().filter_map(row).collect()
}

/// The host's ids of a map: lines of container id, host id, size.
pub(crate) fn host_ids(map: &str) -> Vec<Range> {
    let range = |line: &str| {
        let mut words = line.split_whitespace().skip(1).map(str::parse);
        let (Some(Ok(first)), Some(Ok(count))) = (words.next(), words.next()) else { return None };
        Some(Range { first, count })
    };
    map.lines().filter_map(range).collect()
}

/// The first part of `asked` that is in none of `given`.
pub(crate) fn missing(asked: Range, given: &[Range]) -> Option<Range> {
    let mut next = asked.first;
    while next < asked.end() {
        match given.iter().find(|range| range.has(next)) {
            Some(range) => next = range.end(),
            None => return Some(Range { first: next, count: asked.end() - next }),
        }
    }
    None
}

/// Whether two ranges have an id in common.
pub(crate) fn meet(a: Range, b: Range) -> bool {
    a.first < b.end() && b.first < a.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, count: u64) -> Range {
        Range { first, count }
    }

    #[test]
    fn rows_are_read_as_the_tools_read_them() {
        let text = "# a comment\nuser:100000:65536\n\n1001:5:7\nnonsense\nx:1\ny:a:b\nz:9:0\n";
        let all: Vec<_> = rows(text).into_iter().map(|r| (r.owner, r.range)).collect();
        assert_eq!(
            all,
            [("user".to_owned(), range(100_000, 65536)), ("1001".to_owned(), range(5, 7))]
        );
    }

    #[test]
    fn what_no_row_gives_is_missing() {
        let given = [range(100, 10), range(110, 10), range(200, 1)];
        assert_eq!(missing(range(100, 20), &given), None);
        assert_eq!(missing(range(105, 20), &given), Some(range(120, 5)));
        assert_eq!(missing(range(99, 2), &given), Some(range(99, 2)));
        assert_eq!(missing(range(200, 1), &given), None);
        assert_eq!(host_ids("0 1000 1\n1 100000 65536\n"), [range(1000, 1), range(100_000, 65536)]);
        assert!(meet(range(1, 2), range(2, 1)) && !meet(range(1, 1), range(2, 1)));
    }
}
