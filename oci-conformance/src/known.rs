//! `known.toml`: what each runtime is known to break, and why.
//!
//! The file is compiled in and can be replaced by `--known FILE`. A row holds only where it names
//! the runtime: `runc-1.1.5` is looked for first, then `runc-1.1`, then `runc`, then `any`.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::Deserialize;

use crate::host::Host;

const BUILT_IN: &str = include_str!("../known.toml");

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Known {
    /// Cases of ours, by number.
    #[serde(default)]
    own: BTreeMap<String, Own>,
    /// Tests of runtime-tools, by name.
    #[serde(default)]
    runtime_tools: BTreeMap<String, Tool>,
}

/// A case of ours that some runtimes are known to fail.
#[derive(Debug, Deserialize)]
struct Own {
    /// Facts of the host under which the row holds.
    #[serde(default)]
    when: Vec<String>,
    /// Whether the result varies from run to run.
    #[serde(default)]
    flaky: bool,
    /// Runtime → reason.
    #[serde(flatten)]
    reasons: BTreeMap<String, String>,
}

/// A test of runtime-tools with a result other than a pass.
#[derive(Debug, Deserialize)]
struct Tool {
    why: String,
    #[serde(default)]
    when: Vec<String>,
    #[serde(default)]
    flaky: bool,
    /// Runtime → result as the table prints it: `fail 3/2`.
    #[serde(flatten)]
    results: BTreeMap<String, String>,
}

/// What is expected of one case or test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected<'k> {
    /// For a case the reason it fails; for a test its result.
    pub(crate) word: &'k str,
    /// Why.
    pub(crate) why: &'k str,
    /// A pass is as good.
    pub(crate) flaky: bool,
}

impl Known {
    /// Reads a file, or the one compiled in.
    ///
    /// # Errors
    /// It cannot be read or is no such table; with the place.
    pub(crate) fn load(file: Option<&Path>) -> io::Result<Self> {
        let (text, name) = match file {
            Some(file) => {
                let at =
                    |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", file.display()));
                (fs::read_to_string(file).map_err(at)?, file.display().to_string())
            }
            None => (BUILT_IN.to_owned(), "the known.toml compiled in".to_owned()),
        };
        toml::from_str(&text).map_err(|e| io::Error::other(format!("{name}: {e}")))
    }

    /// Why this runtime is known to fail a case of ours.
    pub(crate) fn own(&self, id: &str, runtime: &Name, host: &Host) -> Option<Expected<'_>> {
        let row = self.own.get(id).filter(|row| holds(&row.when, host))?;
        let why = runtime.find(&row.reasons)?;
        Some(Expected { word: "fail", why, flaky: row.flaky })
    }

    /// The result of a runtime-tools test that is known not to be a plain pass.
    pub(crate) fn tool(&self, test: &str, runtime: &Name, host: &Host) -> Option<Expected<'_>> {
        let row = self.runtime_tools.get(test).filter(|row| holds(&row.when, host))?;
        let word = runtime.find(&row.results)?;
        Some(Expected { word, why: &row.why, flaky: row.flaky })
    }

    /// The numbers of ours that the file speaks of.
    #[cfg(test)]
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.own.keys().map(String::as_str)
    }
}

fn holds(when: &[String], host: &Host) -> bool {
    when.iter().all(|fact| host.is(fact))
}

/// A runtime's name and version, most exact first.
pub(crate) struct Name(Vec<String>);

impl Name {
    /// `runc`, `1.1.5+ds1` → `runc-1.1.5`, `runc-1.1`, `runc`.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        let version = version.split(['+', '-', '~']).next().unwrap_or_default();
        let mut keys = Vec::new();
        let mut rest = version;
        while !rest.is_empty() {
            keys.push(format!("{name}-{rest}"));
            rest = rest.rsplit_once('.').map_or("", |(left, _)| left);
        }
        keys.push(name.to_owned());
        keys.push("any".to_owned());
        Self(keys)
    }

    fn find<'m>(&self, map: &'m BTreeMap<String, String>) -> Option<&'m str> {
        self.0.iter().find_map(|key| map.get(key)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_exact_name_wins() {
        let map: BTreeMap<String, String> =
            [("runc", "a"), ("runc-1.5", "b")].map(|(k, v)| (k.into(), v.into())).into();
        assert_eq!(Name::new("runc", "1.1.5+ds1").find(&map), Some("a"));
        assert_eq!(Name::new("runc", "1.5.1").find(&map), Some("b"));
        assert_eq!(Name::new("youki", "0.7.0").find(&map), None);
    }

    #[test]
    fn the_file_compiled_in_is_read_and_speaks_of_existing_cases() {
        let known = Known::load(None).unwrap();
        let cases = crate::cases::all();
        for id in known.ids() {
            assert!(cases.iter().any(|case| case.id == id), "known.toml: there is no case {id}");
        }
    }
}
