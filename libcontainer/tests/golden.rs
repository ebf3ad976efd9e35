//! Golden plans: what is decided for the configurations that engines write, on an ideal host.
//!
//! Each `tests/golden/NAME.config.json` has the plan beside it in `NAME.plan.json`. A change of
//! the plan shows as a diff of that file: `BLESS=1 cargo test --test golden` writes them anew.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use libcontainer::{Host, Options, Plan, Spec};

fn plan(config: &Path) -> String {
    let spec = Spec::read(config).unwrap();
    let options = Options {
        id: "golden".into(),
        bundle: PathBuf::from("/bundle"),
        state_root: PathBuf::from("/run/corten"),
        ..Options::default()
    };
    let plan = Plan::build(&spec, &Host::ideal(), &options).unwrap();
    serde_json::to_string_pretty(&plan).unwrap() + "\n"
}

#[test]
fn plans_are_as_they_were() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut seen = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        let config = entry.unwrap().path();
        let name = config.file_name().unwrap().to_str().unwrap();
        let Some(name) = name.strip_suffix(".config.json") else { continue };
        seen += 1;
        let golden = dir.join(format!("{name}.plan.json"));
        let now = plan(&config);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&golden, &now).unwrap();
        }
        let before = fs::read_to_string(&golden).unwrap_or_default();
        let differs = before.lines().zip(now.lines()).position(|(before, now)| before != now);
        assert!(
            before == now,
            "the plan of {name} has changed at line {:?}; if that is meant, set BLESS=1 and \
             look at the diff",
            differs.map(|line| line + 1)
        );
    }
    assert!(seen >= 3, "only {seen} configurations in {}", dir.display());
}
