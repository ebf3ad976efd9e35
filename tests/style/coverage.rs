//! `docs/spec-coverage.md` is complete, and true where a program can tell.

use std::collections::BTreeSet;

use crate::inventory::{read, root};
use crate::{fields, names};

const TABLE: &str = "docs/spec-coverage.md";
/// Parts of the specification for other platforms: one row stands for all of their fields.
const OTHER_PLATFORMS: [&str; 4] = ["solaris", "vm", "windows", "zos"];

struct Row {
    line: usize,
    /// Paths in the first column.
    fields: Vec<String>,
    /// Files in the second column.
    modules: Vec<String>,
    /// Tests in the third column.
    tests: Vec<String>,
}

/// The rows of all tables whose first cell is code.
fn rows() -> Vec<Row> {
    let text = read(TABLE);
    let lines = text.lines().enumerate().filter(|(_, line)| line.starts_with("| `"));
    let rows = lines.map(|(at, line)| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(code).collect();
        let [fields, modules, tests] = cells.try_into().unwrap_or_else(|cells: Vec<_>| {
            panic!("{TABLE}:{}: {} cells, not field, module, test", at + 1, cells.len())
        });
        let fields = fields.iter().flat_map(|field| braces(field)).collect();
        Row { line: at + 1, fields, modules, tests }
    });
    rows.collect()
}

/// What stands in backticks.
fn code(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `a.{b,c}` is `a.b` and `a.c`.
fn braces(field: &str) -> Vec<String> {
    let Some((before, rest)) = field.split_once('{') else { return vec![field.to_owned()] };
    let (words, after) = rest.split_once('}').unwrap_or_else(|| panic!("{field}: no }}"));
    words.split(',').flat_map(|word| braces(&format!("{before}{word}{after}"))).collect()
}

#[test]
fn braces_are_alternatives() {
    assert_eq!(braces("{a,b}.c{,.d}"), ["a.c", "a.c.d", "b.c", "b.c.d"]);
}

#[test]
fn every_field_of_oci_spec_stands_in_a_row() {
    let listed: BTreeSet<_> = rows().into_iter().flat_map(|row| row.fields).collect();
    let foreign = |path: &str| {
        OTHER_PLATFORMS.iter().any(|name| {
            listed.contains(*name) && path.strip_prefix(name).is_some_and(|p| p.starts_with('.'))
        })
    };
    let fields = fields::all();
    let missing: Vec<_> =
        fields.iter().filter(|path| !listed.contains(*path) && !foreign(path)).collect();
    assert!(missing.is_empty(), "{TABLE} has no row for {missing:#?}");
}

#[test]
fn every_row_names_files_and_tests_that_exist() {
    let names = names::all();
    let mut wrong = Vec::new();
    for row in rows() {
        let file = |path: &String| ["", "libcontainer/src/"].map(|dir| root().join(dir).join(path));
        let modules = row.modules.iter().filter(|path| !file(path).iter().any(|f| f.is_file()));
        let tests = row.tests.iter().filter(|name| !names::known(&names, name));
        wrong.extend(modules.chain(tests).map(|name| format!("{TABLE}:{}: {name}", row.line)));
    }
    assert!(wrong.is_empty(), "not there: {wrong:#?}");
}

#[test]
fn every_row_has_a_module_and_a_test() {
    let bare = |row: &Row| {
        let other = row.fields.iter().all(|field| OTHER_PLATFORMS.contains(&field.as_str()));
        row.modules.is_empty() || (row.tests.is_empty() && !other)
    };
    let lines: Vec<_> = rows().iter().filter(|row| bare(row)).map(|row| row.line).collect();
    assert!(lines.is_empty(), "{TABLE}: rows without a module or a test: {lines:?}");
}
