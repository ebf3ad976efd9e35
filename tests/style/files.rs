//! Every source file says what it is for, is short, and leaves `unsafe` to one place.

use crate::inventory::{read, sources};

/// Lines of a file that is no generated table.
const LONGEST: usize = 400;
/// Where the lint against `unsafe` may be lifted: the door to the kernel, and a test's allocator.
const UNSAFE: [&str; 2] = ["libcontainer/src/sys/", "tests/integration/tests/no_allocation.rs"];

/// The names of the files that `wrong` finds fault with.
fn check(rule: &str, wrong: impl Fn(&str, &str) -> bool) {
    let found: Vec<_> = sources("rs").into_iter().filter(|name| wrong(name, &read(name))).collect();
    assert!(found.is_empty(), "{rule}: {found:#?}");
}

#[test]
fn every_file_begins_with_its_purpose() {
    check("no //! header", |_, text| !text.starts_with("//! "));
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let table = |name: &str| name.contains("/table/");
    check("longer than 400 lines", |name, text| !table(name) && text.lines().count() > LONGEST);
}

#[test]
fn unsafe_is_allowed_in_sys_alone() {
    let lifted = concat!("unsafe", "_code");
    let there = |name: &str| UNSAFE.iter().any(|place| name.starts_with(place));
    check("lifts the lint", |name, text| text.contains(lifted) && !there(name));
}
