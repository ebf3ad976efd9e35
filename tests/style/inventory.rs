//! The files of the repository, without what is built or hidden.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// A file's text, by its path in the repository.
pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Files whose name ends with `.extension`, as sorted paths in the repository.
pub(crate) fn sources(extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(&root(), "", &mut |name| {
        if Path::new(name).extension().is_some_and(|e| e == extension) {
            found.push(name.to_owned());
        }
    });
    assert!(!found.is_empty(), "no .{extension} file below {}", root().display());
    found.sort();
    found
}

fn walk(dir: &Path, prefix: &str, each: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let entry = entry.expect("a directory entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        if name == "target" || name.starts_with('.') {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().expect("a file type").is_dir() {
            walk(&entry.path(), &format!("{path}/"), each);
        } else {
            each(&path);
        }
    }
}
