//! Proves that the numbering is complete: every keyword of the specification's text is quoted.
//!
//! Given a checkout of the runtime specification, each MUST, SHOULD, REQUIRED, SHALL and
//! RECOMMENDED of its documents must stand inside the quotation of some case, and each quotation
//! must stand in its document, word for word.

use std::{fs, io, path::Path};

use crate::case::Case;

/// The documents, in reading order.
pub(crate) const DOCUMENTS: [&str; 6] =
    ["runtime", "runtime-linux", "config", "config-linux", "features", "features-linux"];

const KEYWORDS: [&str; 5] = ["MUST", "SHOULD", "REQUIRED", "SHALL", "RECOMMENDED"];

/// Compares; prints what is missing; `Ok(true)` when nothing is.
///
/// # Errors
/// A document cannot be read.
pub(crate) fn check(spec: &Path, cases: &[Case]) -> io::Result<bool> {
    let mut missing = 0;
    for name in DOCUMENTS {
        let file = spec.join(format!("{name}.md"));
        let at = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", file.display()));
        let text = plain(&fs::read_to_string(&file).map_err(at)?);
        let quotes: Vec<&Case> = cases.iter().filter(|case| case.document() == name).collect();
        let words = compare(&text, &quotes);
        words.iter().for_each(|words| println!("{name}: {words}"));
        missing += words.len();
        let keywords = KEYWORDS.iter().map(|k| text.matches(k).count()).sum::<usize>();
        println!("{name}: {keywords} keywords, {} cases, {} problems", quotes.len(), words.len());
    }
    Ok(missing == 0)
}

/// What is not quoted, and which quotations are not there.
fn compare(text: &str, cases: &[&Case]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut spans = Vec::new();
    for case in cases {
        let quote = plain(case.text);
        let before = spans.len();
        spans.extend(text.match_indices(&quote).map(|(at, found)| at..at + found.len()));
        if spans.len() == before {
            problems.push(format!("{} quotes what is not there: {:?}", case.id, case.text));
        }
    }
    for keyword in KEYWORDS {
        for (at, _) in text.match_indices(keyword) {
            if !spans.iter().any(|span| span.contains(&at)) {
                let before: String = text[..at].chars().rev().take(100).collect();
                let before: String = before.chars().rev().collect();
                let after: String = text[at..].chars().take(60).collect();
                problems.push(format!("not quoted: …{before}{after}…"));
            }
        }
    }
    problems
}

/// Text without markup: link targets, emphasis, code marks, line breaks.
fn plain(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    let mut rest = markdown;
    while let Some(at) = rest.find("](").into_iter().chain(rest.find("][")).min() {
        text.push_str(&rest[..at]);
        let close = if rest[at..].starts_with("](") { ')' } else { ']' };
        let target = &rest[at + 2..];
        rest = target.find(close).map_or("", |end| &target[end + 1..]);
    }
    text.push_str(rest);
    let text: String = text.chars().filter(|c| !"*`[]>".contains(*c)).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::other;

    #[test]
    fn markup_is_taken_off() {
        let text =
            "it MUST\n   [generate an *error*](runtime.md#errors) for [`x`][x.2] and [y](y).";
        assert_eq!(plain(text), "it MUST generate an error for x and y.");
    }

    #[test]
    fn a_keyword_without_a_quotation_and_a_quotation_without_text_are_found() {
        let case = other("config/001", "#a", "x MUST be", "author");
        let wrong = other("config/002", "#a", "y MUST be", "author");
        assert!(compare("x MUST be", &[&case]).is_empty());
        assert_eq!(compare("x MUST be. z SHOULD", &[&case]).len(), 1);
        assert_eq!(compare("x MUST be", &[&case, &wrong]).len(), 1);
    }
}
