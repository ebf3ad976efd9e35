//! The profiles that Docker, containerd and podman hand to a runtime, taken from those programs.
//!
//! Nothing of them is kept here: `tests/client-profiles` asks what is installed.
//! `CORTEN_PROFILES=DIR` takes the `config.json` files of a directory in their place.

use std::path::Path;
use std::process::Command;

use corten_seccomp::Profile;
use serde_json::Value;

/// Every profile with its name. `None`, with a word on standard error, where the programs are not
/// installed or this is not root, unless `CI` is set: there they must be.
pub(crate) fn ask(test: &str) -> Option<Vec<(String, Profile)>> {
    if let Some(dir) = std::env::var_os("CORTEN_PROFILES") {
        return Some(read(Path::new(&dir)));
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("profiles-of-{test}"));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client-profiles");
    let output = Command::new(script).arg(&dir).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        assert!(std::env::var_os("CI").is_none(), "{words}");
        eprintln!("skipped: {words}");
        return None;
    }
    let all = read(&dir);
    std::fs::remove_dir_all(&dir).unwrap();
    let names: Vec<_> = all.iter().map(|profile| profile.0.as_str()).collect();
    let expected = [
        "containerd-admin",
        "containerd-default",
        "docker-all",
        "docker-default",
        "docker-none",
        "podman-all",
        "podman-default",
    ];
    assert_eq!(names, expected);
    Some(all)
}

/// The profiles in the configurations of a directory.
fn read(dir: &Path) -> Vec<(String, Profile)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        let config: Value = serde_json::from_slice(&text).unwrap();
        let profile = serde_json::from_value(config["linux"]["seccomp"].clone()).unwrap();
        all.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), profile));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
