//! The version lines and the identity of this build.

/// Version of this build.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit of this build; the Makefile sets it.
pub(crate) const COMMIT: &str = match option_env!("CORTEN_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
/// Oldest runtime specification that is understood.
pub(crate) const SPEC_MIN: &str = "1.0.0";
/// Newest runtime specification that is understood.
pub(crate) const SPEC: &str = "1.3.0";

/// What `--version` prints for a runtime called `name`.
///
/// containerd and nerdctl want three words on the first line; Docker takes the last line that
/// contains "version", so no other line may.
pub(crate) fn lines(name: &str) -> String {
    format!("{name} version {VERSION}\ncommit: {COMMIT}\nspec: {SPEC}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_has_three_words_and_alone_says_version() {
        for name in ["corten", "runc"] {
            let text = lines(name);
            let lines: Vec<_> = text.lines().collect();
            let words: Vec<_> = lines[0].split(' ').collect();
            assert_eq!(words, [name, "version", VERSION]);
            assert!(lines[1].starts_with("commit: "));
            assert_eq!(lines[2], "spec: 1.3.0");
            assert_eq!(text.matches("version").count(), 1);
        }
    }
}
