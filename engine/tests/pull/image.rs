//! Images made on the spot: layers of one file each, as an OCI layout or as answers of a server.

use corten_engine::store::Digest;
use std::io::Write;
use std::path::Path;

/// An image in parts.
#[derive(Clone)]
pub struct Image {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    /// Compressed.
    pub layers: Vec<Vec<u8>>,
}

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An archive with one file.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut out = header.to_vec();
    out.extend(content);
    out.resize(out.len().div_ceil(512) * 512 + 1024, 0);
    out
}

/// Bytes that do not compress.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.to_le_bytes());
    }
    out.truncate(length);
    out
}

fn descriptor(kind: &str, bytes: &[u8]) -> serde_json::Value {
    serde_json::json!({"mediaType": kind, "digest": Digest::of(bytes).to_string(), "size": bytes.len()})
}

impl Image {
    /// Layers `file0`, `file1`, … of that many bytes each.
    pub fn new(arch: &str, layers: usize, length: usize) -> Self {
        let mut diffs = Vec::new();
        let mut blobs = Vec::new();
        for number in 0..layers {
            let content = noise(number as u64 * 77 + length as u64 + arch.len() as u64, length);
            let tar = archive(&format!("file{number}"), &content);
            diffs.push(Digest::of(&tar).to_string());
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&tar).unwrap();
            blobs.push(gzip.finish().unwrap());
        }
        let config = serde_json::json!({
            "architecture": arch, "os": "linux", "config": {"Cmd": ["/true"]},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        });
        let config = serde_json::to_vec(&config).unwrap();
        let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
        let layers: Vec<_> = blobs.iter().map(|blob| descriptor(kind, blob)).collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers,
        });
        Self { manifest: serde_json::to_vec(&manifest).unwrap(), config, layers: blobs }
    }

    /// This machine's.
    pub fn here(layers: usize, length: usize) -> Self {
        Self::new(arch(), layers, length)
    }

    pub fn digest(&self) -> String {
        Digest::of(&self.manifest).to_string()
    }

    pub fn bytes(&self) -> usize {
        self.layers.iter().map(Vec::len).sum()
    }

    /// Configuration and layers by digest.
    pub fn blobs(&self) -> Vec<(String, Vec<u8>)> {
        let all = std::iter::once(&self.config).chain(&self.layers);
        all.map(|blob| (Digest::of(blob).to_string(), blob.clone())).collect()
    }

    /// Writes an OCI layout with the tag `latest`.
    pub fn layout(&self, dir: &Path) {
        let blobs = dir.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        for blob in [&self.manifest, &self.config].into_iter().chain(&self.layers) {
            std::fs::write(blobs.join(Digest::of(blob).hex()), blob).unwrap();
        }
        let mut entry = descriptor(MANIFEST, &self.manifest);
        entry["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "latest"});
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]});
        std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
        std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }
}

/// This machine's processor in Go's words.
pub fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An index of images with their platforms.
pub fn index(images: &[(&str, &Image)]) -> Vec<u8> {
    let entries: Vec<_> = images
        .iter()
        .map(|(platform, image)| {
            let (os, arch) = platform.split_once('/').unwrap();
            let mut entry = descriptor(MANIFEST, &image.manifest);
            entry["platform"] = serde_json::json!({"os": os, "architecture": arch});
            entry
        })
        .collect();
    serde_json::to_vec(
        &serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}),
    )
    .unwrap()
}
