//! The configuration of an image: what a container gets when nothing else is said.
//!
//! Sources: image-spec `config.md`; Docker adds `Healthcheck`, `Shell`, `OnBuild`, `ArgsEscaped`.
//! Fields of others are not kept here: the blob itself is, byte for byte. The crate oci-spec has
//! such types too; they refuse `null`, which Docker writes, and lose what Docker adds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lenient;
use crate::error::{Error, Result};
use crate::store::Digest;

/// Longest configuration that is read.
pub const LONGEST: u64 = 8 << 20;

/// An object without members: the values of `ExposedPorts` and `Volumes`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// The whole document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made, RFC 3339.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// Who made it.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// What `import -m` and `commit -m` say.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// `amd64`: Go's word.
    #[serde(default, deserialize_with = "lenient")]
    pub architecture: String,
    /// `v8`.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// `linux`.
    #[serde(default, deserialize_with = "lenient")]
    pub os: String,
    /// Version of Docker that built it.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub docker_version: String,
    /// What a container gets.
    #[serde(default, deserialize_with = "lenient")]
    pub config: Config,
    /// The layers without compression.
    #[serde(default, deserialize_with = "lenient")]
    pub rootfs: Rootfs,
    /// How it was built, the oldest step first.
    #[serde(default, deserialize_with = "lenient")]
    pub history: Vec<History>,
}

/// What a container gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Config {
    /// `user`, `uid`, `user:group`, `uid:gid`.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `80/tcp`.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Nothing>,
    /// `KEY=value`.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// What is always run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// What is run, or the entry point's arguments, unless others are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Places of anonymous volumes.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Nothing>,
    /// Where it starts.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `SIGTERM`, `15`.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Windows: `Cmd` is one line already.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    /// How its health is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Shell of the shell forms.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// Instructions for images built on this one.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
}

/// How a container's health is asked; times in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", …]`.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Between two questions.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// For one question.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Failures do not count so long.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Between two questions in that period.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row until it is unhealthy.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "is_zero")]
    pub retries: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The layers without compression, the bottom one first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// `layers`.
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub kind: String,
    /// Digest of each layer's archive.
    #[serde(default, deserialize_with = "lenient")]
    pub diff_ids: Vec<Digest>,
}

/// One step of the build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// What was run.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Who.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// A note.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// The step made no layer.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

impl ImageConfig {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(content: &[u8]) -> Result<Self> {
        serde_json::from_slice(content)
            .map_err(|error| Error::new("invalid image configuration").why(error))
    }

    /// Every chain id: what a layer is together with all beneath it (config.md, "Layer ChainID").
    pub fn chain_ids(&self) -> Vec<Digest> {
        let mut chain: Vec<Digest> = Vec::new();
        for diff in &self.rootfs.diff_ids {
            chain.push(match chain.last() {
                None => *diff,
                Some(beneath) => Digest::of(format!("{beneath} {diff}").as_bytes()),
            });
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_members_are_read_and_nothing_is_written_for_them() {
        let text = br#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":null,
            "Volumes":null,"ExposedPorts":{"80/tcp":{}},"Labels":null,"User":"","OnBuild":null,
            "Healthcheck":{"Test":["NONE"]},"Image":"sha256:x"},"rootfs":{"type":"layers",
            "diff_ids":null},"history":null,"container_config":{}}"#;
        let config = ImageConfig::parse(text).unwrap();
        assert_eq!(config.config.cmd, None);
        assert!(config.config.exposed_ports.contains_key("80/tcp"));
        let written = serde_json::to_string(&config).unwrap();
        assert!(written.contains(r#""config":{"ExposedPorts":{"80/tcp":{}},"Healthcheck":"#));
    }

    #[test]
    fn chain_ids_are_those_of_the_specification() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let mut config = ImageConfig::default();
        assert_eq!(config.chain_ids(), []);
        config.rootfs.diff_ids = vec![a, b];
        assert_eq!(config.chain_ids(), [a, Digest::of(format!("{a} {b}").as_bytes())]);
    }
}
