//! skopeo, umoci and podman read what pier writes, and pier what they write.

use std::io::Write;

use crate::lab::{Lab, can, colourful, tree};

#[test]
fn skopeo_reads_the_store_and_both_archives_and_pier_what_it_makes_of_them() {
    if !can(&["skopeo"]) {
        return;
    }
    let lab = Lab::new();
    let id = lab.load("app:1", &colourful());
    let store = "oci:root/image:docker.io/library/app:1";
    let told = lab.run("skopeo", &["inspect", "--format", "{{.Digest}} {{.Labels}}", store]);
    let image = lab.store().image("app:1").unwrap();
    let (manifest, config) = (image.manifest, image.config);
    assert_eq!(told.trim(), format!("{manifest} map[made.by:test]"));
    lab.pier("save -o docker.tar app:1");
    lab.pier("save --format oci-archive -o oci.tar app:1");
    let sources =
        [store, "docker-archive:docker.tar", "oci-archive:docker.tar", "oci-archive:oci.tar"];
    for (at, source) in sources.into_iter().enumerate() {
        for (kind, ending) in
            [("docker-archive", ":again:2"), ("oci-archive", ":docker.io/library/again:2")]
        {
            let to = format!("{kind}:{at}-{kind}.tar{ending}");
            lab.run("skopeo", &["--insecure-policy", "copy", "-q", source, &to]);
            let other = Lab::new();
            let archive = std::fs::read(lab.path(&format!("{at}-{kind}.tar"))).unwrap();
            let told = String::from_utf8(other.pipe("load", &archive)).unwrap();
            assert_eq!(told, "Loaded image: again:2\n", "{source} {kind}");
            let found = other.store().image("again:2").unwrap();
            // From one format to the other skopeo writes the configuration anew.
            if source.starts_with("docker") == kind.starts_with("docker") {
                assert_eq!(found.id.to_string(), id, "{source} {kind}");
            }
            assert_eq!(found.config.rootfs, config.rootfs, "{source} {kind}");
            assert_eq!(found.config.config, config.config, "{source} {kind}");
            assert!(other.store().check(true).unwrap().is_empty());
        }
        lab.run("skopeo", &["--insecure-policy", "copy", "-q", source, &format!("dir:dir{at}")]);
    }
}

#[test]
fn umoci_unpacks_the_store_to_the_same_tree() {
    if !can(&["umoci"]) {
        return;
    }
    let lab = Lab::new();
    lab.load("app:1", &colourful());
    let image = "root/image:docker.io/library/app:1";
    lab.run("umoci", &["unpack", "--image", image, "bundle"]);
    let theirs = tree(&lab.path("bundle/rootfs"));
    let ours = crate::layers::merged(&lab, "app:1");
    assert_eq!(ours, theirs);
}

#[test]
fn podman_loads_what_pier_saves_and_the_reverse() {
    if !can(&["podman", "gzip"]) {
        return;
    }
    let lab = Lab::new();
    let id = lab.load("localhost/app:1", &colourful());
    let [root, run] = ["podman", "podman-run"].map(|name| lab.path(name).display().to_string());
    let podman = |args: &[&str]| {
        let store = ["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
        lab.run("podman", &[&store, args].concat())
    };
    for format in ["docker-archive", "oci-archive"] {
        lab.pier(&format!("save --format {format} -o ours.tar localhost/app:1"));
        podman(&["load", "-q", "-i", "ours.tar"]);
        let theirs = podman(&["image", "inspect", "--format", "{{.Id}}", "localhost/app:1"]);
        assert_eq!(format!("sha256:{}", theirs.trim()), id, "{format}");
        let _ = std::fs::remove_file(lab.path("theirs.tar"));
        podman(&["save", "-q", "--format", format, "-o", "theirs.tar", "localhost/app:1"]);
        podman(&["rmi", "-f", "localhost/app:1"]);
        let other = Lab::new();
        let theirs = std::fs::read(lab.path("theirs.tar")).unwrap();
        let mut gzip = std::process::Command::new("gzip");
        let piped = std::process::Stdio::piped;
        let mut gzip = gzip.arg("-1").stdin(piped()).stdout(piped()).spawn().unwrap();
        let mut input = gzip.stdin.take().unwrap();
        let feeding = std::thread::spawn(move || input.write_all(&theirs).unwrap());
        let packed = gzip.wait_with_output().unwrap().stdout;
        feeding.join().unwrap();
        other.pipe("load", &packed);
        assert_eq!(other.store().image("localhost/app:1").unwrap().id.to_string(), id, "{format}");
    }
}

/// Layers of every compression, as they come from registries.
#[test]
fn layers_of_every_compression_are_loaded_and_keep_their_digests() {
    if !can(&["skopeo", "zstd"]) {
        return;
    }
    let lab = Lab::new();
    let id = lab.load("app:1", &colourful());
    let source = "oci:root/image:docker.io/library/app:1";
    for format in ["gzip", "zstd"] {
        let to = format!("oci-archive:{format}.tar:docker.io/library/app:{format}");
        let compress = ["--dest-compress-format", format, "--dest-compress"];
        let copy = ["--insecure-policy", "copy", "-q"];
        lab.run("skopeo", &[&copy[..], &compress[..], &[source, &to]].concat());
        lab.pier(&format!("load -i {format}.tar"));
        let image = lab.store().image(&format!("app:{format}")).unwrap();
        assert_eq!(image.id.to_string(), id);
        lab.pier(&format!("save --format oci-archive -o again.tar app:{format}"));
        let manifest =
            lab.run("skopeo", &["inspect", "--format", "{{.Digest}}", "oci-archive:again.tar"]);
        assert_eq!(manifest.trim(), image.manifest.to_string(), "{format}");
    }
    assert!(lab.store().check(true).unwrap().is_empty());
}
