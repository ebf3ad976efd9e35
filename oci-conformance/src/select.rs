//! Which cases or tests to run: `--only 12`, `--only config-linux`, `--only 'hooks*,runtime/00*'`.

/// A list of patterns; an empty one takes everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection(Vec<String>);

impl Selection {
    /// Splits a comma-separated list.
    pub(crate) fn new(text: Option<&str>) -> Self {
        let words = text.unwrap_or_default().split(',').map(str::trim);
        Self(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }

    /// Whether an id, or the section it stands in, is asked for. A pattern is a number (the end
    /// of the id), a text with `*`, or a part of the id or the section.
    pub(crate) fn takes(&self, id: &str, section: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| takes(pattern, id, section))
    }
}

fn takes(pattern: &str, id: &str, section: &str) -> bool {
    if let Ok(number) = pattern.parse::<u32>() {
        return id.rsplit('/').next().and_then(|end| end.parse().ok()) == Some(number);
    }
    if pattern.contains('*') {
        return glob(pattern, id) || glob(pattern, section);
    }
    id.contains(pattern) || section.contains(pattern)
}

/// `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| glob(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_parts_and_stars_select() {
        let takes = |only: &str, id: &str| Selection::new(Some(only)).takes(id, "#masked-paths");
        assert!(takes("", "config/001"));
        assert!(takes("12", "config-linux/012"));
        assert!(!takes("12", "config-linux/112"));
        assert!(takes("config-linux", "config-linux/012"));
        assert!(takes("masked", "config-linux/012"));
        assert!(takes("config/0*", "config/012"));
        assert!(!takes("config/0*", "config-linux/012"));
        assert!(
            takes("nothing, linux/*2", "config-linux/012") == glob("linux/*2", "config-linux/012")
        );
    }
}
