//! The names of all tests: functions with `#[test]`, numbered cases of the conformance suite.

use std::collections::BTreeSet;

use syn::{Item, ItemFn};

use crate::inventory::{read, sources};

/// Every test of the workspace as `crate::module::name`, and every case as `document/number`.
pub(crate) fn all() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in sources("rs") {
        let text = read(&file);
        if file.starts_with("oci-conformance/src/cases") {
            names.extend(cases(&text));
        }
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
        collect(&parsed.items, &module(&file), &mut names);
    }
    names
}

/// Whether a name, or the end of one, is among `names`.
pub(crate) fn known(names: &BTreeSet<String>, name: &str) -> bool {
    let end = format!("::{name}");
    names.iter().any(|full| full == name || full.ends_with(&end))
}

/// `libcontainer/src/plan/idmap.rs` → `libcontainer::plan::idmap`.
fn module(file: &str) -> String {
    let path = file.trim_end_matches(".rs").replace("/src/", "/");
    path.trim_end_matches("/mod").trim_end_matches("/main").replace('/', "::")
}

fn collect(items: &[Item], prefix: &str, names: &mut BTreeSet<String>) {
    for item in items {
        match item {
            Item::Fn(function) if is_test(function) => {
                names.insert(format!("{prefix}::{}", function.sig.ident));
            }
            Item::Mod(module) => {
                if let Some((_, inner)) = &module.content {
                    collect(inner, &format!("{prefix}::{}", module.ident), names);
                }
            }
            _ => {}
        }
    }
}

fn is_test(function: &ItemFn) -> bool {
    function.attrs.iter().any(|attribute| attribute.path().is_ident("test"))
}

/// String literals of the form `document/number`.
fn cases(text: &str) -> impl Iterator<Item = String> {
    text.split('"').filter(|literal| is_case(literal)).map(str::to_owned)
}

fn is_case(literal: &str) -> bool {
    literal.split_once('/').is_some_and(|(document, number)| {
        number.len() == 3
            && number.chars().all(|c| c.is_ascii_digit())
            && document.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    })
}
