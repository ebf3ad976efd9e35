//! `pull` from Debian's docker-registry on loopback, beside skopeo's copy into a directory.
//!
//! Skopeo copies what `pier pull` also verifies, unpacks and makes durable. Ten layers, filled
//! with programs of this machine.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::lab::{Lab, output};
use crate::measure::{find, median, minimum};

/// Layers of the image.
const LAYERS: usize = 10;
/// Bytes of programs in each, before compression.
const BYTES: u64 = 12 << 20;
/// The registry's address, in a network of our own.
const ADDRESS: &str = "127.0.0.1:5000";

/// Turns of both, each into a store that does not have the image.
pub(super) fn measure(lab: &Lab, rounds: usize) -> Result<()> {
    for program in ["docker-registry", "skopeo"] {
        if find(program).is_none() {
            eprintln!("{program} is not installed: pulls are left out");
            return Ok(());
        }
    }
    let bytes = layout(&lab.dir.join("layout"))?;
    let _registry = Registry::start(&lab.dir)?;
    let name = format!("{ADDRESS}/bench:1");
    let remote = format!("docker://{name}");
    skopeo(&format!("oci:{}:latest", lab.dir.join("layout").display()), &remote)?;
    let copy = lab.dir.join("copy");
    let storage = lab.dir.join("storage");
    let inside = format!("[overlay@{0}/root+{0}/run]{name}", storage.display());
    let clear = |dir: &Path| -> Result<()> {
        // A storage mounts itself upon itself.
        let _ = output(&["umount".into(), "-l".into(), format!("{}/root/overlay", dir.display())]);
        Ok(fs::remove_dir_all(dir)?)
    };
    let mut all = [
        Contestant::new(
            "pier pull",
            || output(&lab.pier(&["pull", "-q", &name])).map(drop),
            || output(&lab.pier(&["rmi", &name])).map(drop),
        ),
        Contestant::new(
            "skopeo copy to a storage, unpacked",
            || skopeo(&remote, &format!("containers-storage:{inside}")),
            || clear(&storage),
        ),
        Contestant::new(
            "skopeo copy to a directory, packed",
            || skopeo(&remote, &format!("oci:{}:latest", copy.display())),
            || clear(&copy),
        ),
    ];
    for round in 0..=rounds {
        for contestant in &mut all {
            contestant.round()?;
        }
        // The first is for warming up.
        if round == 0 {
            all.iter_mut().for_each(|contestant| contestant.times.clear());
        }
    }
    let mb = bytes / 1_000_000;
    println!("pull of {LAYERS} layers, {mb} MB compressed, {rounds} rounds in turn");
    println!("| program | median ms | minimum ms | pier ÷ it |");
    println!("|---|---|---|---|");
    let ours = median(&all[0].times);
    for Contestant { name, times, .. } in &all {
        let (median, minimum) = (median(times), minimum(times));
        println!("| {name} | {median:.0} | {minimum:.0} | {:.2} |", ours / median);
    }
    Ok(())
}

/// Who pulls, and how it forgets what it has.
struct Contestant<'a> {
    name: &'a str,
    pull: Box<dyn Fn() -> Result<()> + 'a>,
    forget: Box<dyn Fn() -> Result<()> + 'a>,
    times: Vec<f64>,
}

impl<'a> Contestant<'a> {
    fn new(
        name: &'a str,
        pull: impl Fn() -> Result<()> + 'a,
        forget: impl Fn() -> Result<()> + 'a,
    ) -> Self {
        Self { name, pull: Box::new(pull), forget: Box::new(forget), times: Vec::new() }
    }

    fn round(&mut self) -> Result<()> {
        let begin = Instant::now();
        (self.pull)()?;
        self.times.push(begin.elapsed().as_secs_f64() * 1e3);
        (self.forget)()
    }
}

/// Copies; certificates of loopback are nobody's.
fn skopeo(from: &str, to: &str) -> Result<()> {
    let mut line = vec!["skopeo", "copy", "--quiet"];
    line.extend(from.starts_with("docker:").then_some("--src-tls-verify=false"));
    line.extend(to.starts_with("docker:").then_some("--dest-tls-verify=false"));
    line.extend([from, to]);
    output(&line.into_iter().map(str::to_owned).collect::<Vec<_>>()).map(drop)
}

/// The registry, while it is wanted.
struct Registry(Child);

impl Registry {
    fn start(dir: &Path) -> Result<Self> {
        let config = dir.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '{ADDRESS}'}}\n",
            dir.join("registry").display()
        );
        fs::write(&config, text)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Self(command.spawn().context("docker-registry")?);
        let begin = Instant::now();
        while TcpStream::connect(ADDRESS).is_err() {
            ensure!(begin.elapsed() < Duration::from_secs(20), "the registry does not start");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes an OCI layout; bytes of its layers.
fn layout(dir: &Path) -> Result<u64> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let mut programs = programs()?.into_iter();
    let (mut layers, mut diffs, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..LAYERS {
        let mut some = Vec::new();
        let mut size = 0;
        for (path, length) in programs.by_ref() {
            size += length;
            some.push(path);
            if size >= BYTES {
                break;
            }
        }
        let tar = dir.join("layer.tar");
        let words = ["tar", "-C", "/", "-cf", &tar.display().to_string()].map(str::to_owned);
        output(&[&words[..], &some].concat())?;
        diffs.push(format!("sha256:{}", sum(&tar)?));
        output(&["gzip".to_owned(), "-nf".into(), tar.display().to_string()])?;
        let (digest, length) = store(&blobs, &dir.join("layer.tar.gz"))?;
        let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
        layers.push(json!({ "mediaType": kind, "digest": digest, "size": length }));
        bytes += length;
    }
    let file = dir.join("new");
    let put = |kind: &str, value: serde_json::Value| -> Result<serde_json::Value> {
        fs::write(&file, value.to_string())?;
        let (digest, size) = store(&blobs, &file)?;
        Ok(json!({ "mediaType": kind, "digest": digest, "size": size }))
    };
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": diffs },
    });
    let config = put("application/vnd.oci.image.config.v1+json", config)?;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers });
    let mut manifest = put(kind, manifest)?;
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(dir.join("index.json"), index.to_string())?;
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(bytes)
}

/// Programs of this machine and their sizes, in the order of their names.
fn programs() -> Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/usr/bin")? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if let (true, Some(name)) = (meta.is_file(), entry.file_name().to_str()) {
            found.push((format!("usr/bin/{name}"), meta.len()));
        }
    }
    found.sort();
    Ok(found)
}

/// Moves a file in place under its digest.
fn store(blobs: &Path, file: &PathBuf) -> Result<(String, u64)> {
    let (hex, length) = (sum(file)?, fs::metadata(file)?.len());
    fs::rename(file, blobs.join(&hex))?;
    Ok((format!("sha256:{hex}"), length))
}

fn sum(file: &Path) -> Result<String> {
    let text = output(&["sha256sum".to_owned(), file.display().to_string()])?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}
