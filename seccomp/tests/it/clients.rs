//! The default profiles of Docker, containerd and podman, as those programs hand them to a runtime.
//!
//! Nothing of them is kept here: `tests/client-profiles` asks the installed programs.
//! `CORTEN_PROFILES=DIR` takes the `config.json` files of a directory in their place.

use std::path::Path;
use std::process::Command;

use corten_seccomp::{Arch, Data, Profile, compile, run};
use serde_json::Value;

use crate::differential::{FAMILIES, Judge, on};
use crate::generate::Dice;

/// Every profile with its name. `None`, with a word on standard error, where the programs are not
/// installed or this is not root, unless `CI` is set: there they must be.
fn profiles(test: &str) -> Option<Vec<(String, Profile)>> {
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

#[test]
fn their_default_profiles_are_the_same_filters() {
    let Some(mut judge) = Judge::start() else { return };
    let Some(profiles) = profiles("differential") else { return };
    let mut dice = Dice(0x5eed_0002);
    for (name, profile) in &profiles {
        let names: usize = profile.syscalls.iter().map(|rule| rule.names.len()).sum();
        assert!(names > 300, "{name} has {names}");
        let profile = judge.without_news(profile);
        let checked: usize =
            FAMILIES.iter().map(|family| judge.compare(&on(&profile, family), &mut dice, 3)).sum();
        println!("{name}: {checked} calls on {} sets of architectures", FAMILIES.len());
        assert!(checked > 90_000, "{name}: {checked}");
    }
}

/// The goals that are not of time: at most 450 instructions with three architectures, of which at
/// most 20 are executed for a call whose arguments nobody looks at.
#[test]
fn their_filters_are_short() {
    let Some(profiles) = profiles("size") else { return };
    let host = Arch::named("SCMP_ARCH_X86_64").unwrap();
    for (name, profile) in &profiles {
        let profile = on(profile, FAMILIES[0]);
        let code = compile(&profile, host).unwrap().code;
        let most = FAMILIES[0].iter().map(|arch| most_executed(&code, &profile, arch)).max();
        let most = most.unwrap();
        println!("{name}: {} instructions, at most {most} executed", code.len());
        assert!(code.len() <= 450 && most <= 20, "{name}: {} {most}", code.len());
    }
}

/// The most instructions that a call takes whose arguments do not matter.
fn most_executed(code: &[corten_seccomp::Insn], profile: &Profile, arch: &str) -> usize {
    let arch = Arch::named(&format!("SCMP_ARCH_{arch}")).unwrap();
    let asked = |nr| {
        let name = arch.call(nr);
        let mut rules = profile.syscalls.iter().filter(|rule| !rule.args.is_empty());
        matches!(name, Some("socketcall" | "ipc"))
            || rules.any(|rule| rule.names.iter().any(|n| Some(&**n) == name))
    };
    let plain = (arch.base..arch.base + 1000).filter(|nr| !asked(*nr));
    let data = |nr| Data { nr, arch: arch.audit, ..Data::default() };
    plain.map(|nr| run(code, &data(nr)).unwrap().executed).max().unwrap()
}
