//! Attackers that exchange a directory for a symlink while the runtime works, for a few seconds each.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{Bundle, host, need};
use serde_json::json;

use crate::hostile::{shape, trap};

/// A racing exchange of a mount target's directory with a symlink to the host: nothing is made or mounted there.
#[test]
fn cve_2021_30465_racing_targets() {
    need!(root);
    let bundle = Bundle::new();
    let dir = trap(&bundle);
    let racing = bundle.outside("racing");
    fs::create_dir_all(racing.join("a")).unwrap();
    symlink(&dir, racing.join("b")).unwrap();
    let before = shape(&dir);
    let _racer = Racer::start(&racing.join("a"), &racing.join("b"), 5);
    let place = bundle.place();
    let mut runs = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        let mut bundle =
            Bundle::at(Arc::clone(&place), &format!("r{runs}")).bind(&racing, "/vol", &[]);
        for n in 0..30 {
            bundle = bundle.mount("tmpfs", "evil", &format!("/vol/a/made{runs}x{n}"), &[]);
        }
        let _ = bundle
            .push(
                "/linux/devices",
                json!({ "path": "/vol/a/dev", "type": "c", "major": 1, "minor": 3 }),
            )
            .args(&["/bin/true"])
            .try_run();
        runs += 1;
    }
    assert!(runs >= 3, "only {runs} runs in the time");
    assert_eq!(shape(&dir), before, "made on the host in {runs} runs");
    assert!(!host::mountinfo("/proc/self/mountinfo").iter().any(|m| m.source == "evil"));
}

/// A racing exchange of a masked path.
#[test]
fn cve_2024_45310_racing_masks_and_cwd() {
    need!(root);
    let bundle = Bundle::new();
    let dir = trap(&bundle);
    let racing = bundle.outside("racing");
    fs::create_dir_all(racing.join("a")).unwrap();
    symlink(&dir, racing.join("b")).unwrap();
    let before = shape(&dir);
    let _racer = Racer::start(&racing.join("a"), &racing.join("b"), 4);
    let place = bundle.place();
    let begun = Instant::now();
    let mut runs = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        let _ = Bundle::at(Arc::clone(&place), &format!("r{runs}"))
            .bind(&racing, "/vol", &[])
            .mask("/vol/a/file")
            .mask("/vol/a/sub")
            .push("/linux/readonlyPaths", "/vol/a/sub")
            .set("/process/cwd", format!("/vol/a/cwd{runs}/x"))
            .args(&["/bin/true"])
            .try_run();
        runs += 1;
    }
    assert_eq!(shape(&dir), before, "made on the host in {runs} runs");
}

struct Racer(Child);

impl Racer {
    fn start(one: &Path, other: &Path, seconds: u32) -> Self {
        let child = Command::new(host::built("probe"))
            .arg("exchange")
            .args([one, other])
            .arg(seconds.to_string())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
