//! Propagation words of `mounts`: what leaves a container, and what comes in later.

use std::fs;

use harness::{Bundle, need};
use serde_json::Value;

/// Per-mount propagation: each word on a bind of a shared tree.
#[test]
fn propagation_is_set_per_mount() {
    need!(root);
    let bundle = Bundle::new();
    let tree = bundle.outside("tree");
    fs::create_dir(&tree).unwrap();
    let prelude = format!("mount -t tmpfs t '{0}' && mount --make-rshared '{0}'", tree.display());
    let mut bundle = bundle.under(&["unshare", "-m", "--propagation", "private"]).after(&prelude);
    let words = [
        "shared",
        "slave",
        "private",
        "unbindable",
        "rshared",
        "rslave",
        "rprivate",
        "runbindable",
    ];
    let mut args = vec!["/bin/probe".to_owned()];
    for word in words {
        bundle =
            bundle.mount("bind", &tree.to_string_lossy(), &format!("/{word}"), &["rbind", word]);
        args.extend(["mount".to_owned(), format!("/{word}"), "--".to_owned()]);
    }
    let c = bundle.args(&args).run();
    for word in words {
        let mount: &Value = c.value(&format!("mount /{word}"));
        let seen = mount["propagation"].as_str().unwrap();
        let right = match word.trim_start_matches('r') {
            "shared" => seen.contains("shared:"),
            "slave" => seen.contains("master:") && !seen.contains("shared:"),
            "private" => seen.is_empty(),
            _ => seen == "unbindable",
        };
        assert!(right, "{word}: `{seen}`");
    }
}

/// A slave volume sees what the host mounts later; Kubernetes' `HostToContainer`.
#[test]
fn a_slave_volume_sees_later_mounts() {
    need!(root);
    let bundle = Bundle::new();
    let tree = bundle.outside("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    // The mount comes from a process that shares the runtime's mount namespace, after the start.
    let script = format!(
        "mount -t tmpfs t '{0}' && mkdir '{0}/sub' && mount --make-rshared '{0}'
        (for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.05; done; mount -t tmpfs late '{0}/sub'; : > '{0}/sub/late') &",
        tree.display()
    );
    let c = bundle
        .under(&["unshare", "-m", "--propagation", "private"])
        .after(&script)
        .mount("bind", &tree.to_string_lossy(), "/vol", &["rbind", "rslave"])
        .sh("for i in $(/bin/busybox seq 100); do test -e /vol/sub/late && echo seen && exit 0; /bin/busybox usleep 50000; done; exit 1")
        .run();
    assert_eq!(c.stdout(), "seen\n");
}
