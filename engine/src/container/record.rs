//! What was asked of a container: `spec.json`, written once by `create`, changed by `rename` and
//! `update` only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::flags::Shape;
use crate::net::flags::Asked;
use crate::volume::Mount;

/// What was asked, whole: a container is started from this and nothing else.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Record {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without a slash in front.
    pub name: String,
    /// RFC 3339, UTC, nanoseconds.
    pub created: String,
    /// The image as it was typed; the directory with `--rootfs`.
    pub image: String,
    /// Digest of the image's configuration; empty with `--rootfs`.
    pub image_id: String,
    /// The root file system with `--rootfs`.
    pub rootfs: Option<PathBuf>,
    /// Unpacked layers, the lowest first; empty with `--rootfs`.
    pub layers: Vec<PathBuf>,
    /// What the image brings along.
    pub config: ImageConfig,
    /// Flags; environment and label files are read in already.
    pub flags: Shape,
    /// What was asked of the network.
    pub net: Asked,
    /// Volumes, host paths and memory, in the order in which they are mounted.
    pub mounts: Vec<Mount>,
    /// What was typed behind the image.
    pub command: Vec<String>,
    /// Nobody waits for it at its start: `--detach`.
    pub detached: bool,
    /// Whether stdin is kept open after its first reader has gone.
    pub stdin_once: bool,
}

/// The part of an image's configuration that a container starts from (image-spec, config.md).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageConfig {
    /// `NAME=VALUE`.
    pub env: Option<Vec<String>>,
    /// Arguments, or the whole command.
    pub cmd: Option<Vec<String>>,
    /// The program that the arguments are for.
    pub entrypoint: Option<Vec<String>>,
    /// As `--user`.
    pub user: Option<String>,
    /// As `--workdir`.
    pub working_dir: Option<String>,
    /// Directories that get an anonymous volume.
    pub volumes: Option<BTreeMap<String, serde_json::Value>>,
    /// Metadata.
    pub labels: Option<BTreeMap<String, String>>,
    /// As `--stop-signal`.
    pub stop_signal: Option<String>,
    /// Ports that the image says it serves: `80/tcp`.
    pub exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
}

impl Record {
    /// Program and arguments, by Docker's rule: an entry point of the user's own leaves the
    /// image's arguments out.
    pub fn argv(&self) -> Vec<String> {
        let own = self.flags.basics.entrypoint.as_ref();
        let mut argv = match own {
            Some(own) if own.is_empty() => Vec::new(),
            Some(own) => vec![own.clone()],
            None => self.config.entrypoint.clone().unwrap_or_default(),
        };
        if !self.command.is_empty() {
            argv.extend(self.command.iter().cloned());
        } else if own.is_none() {
            argv.extend(self.config.cmd.clone().unwrap_or_default());
        }
        argv
    }

    /// Labels of the image, and those of the flags, which win.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.config.labels.clone().unwrap_or_default();
        for label in &self.flags.basics.label {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            labels.insert(key.into(), value.into());
        }
        labels
    }

    /// The name that a process in the container has for its host.
    pub fn hostname(&self) -> String {
        let short = self.id.get(..12).unwrap_or(&self.id);
        self.flags.basics.hostname.clone().unwrap_or_else(|| short.to_owned())
    }

    /// The signal that stops it.
    pub fn stop_signal(&self) -> String {
        let own = self.flags.basics.stop_signal.clone();
        own.or_else(|| self.config.stop_signal.clone()).unwrap_or_else(|| "SIGTERM".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(entrypoint: Option<&str>, command: &[&str]) -> Vec<String> {
        let list = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect());
        let mut record = Record {
            config: ImageConfig {
                entrypoint: list(&["/entry"]),
                cmd: list(&["a", "b"]),
                ..ImageConfig::default()
            },
            command: command.iter().map(|w| (*w).to_owned()).collect(),
            ..Record::default()
        };
        record.flags.basics.entrypoint = entrypoint.map(Into::into);
        record.argv()
    }

    #[test]
    fn argv_follows_dockers_rule() {
        assert_eq!(argv(None, &[]), ["/entry", "a", "b"]);
        assert_eq!(argv(None, &["x"]), ["/entry", "x"]);
        assert_eq!(argv(Some("/own"), &[]), ["/own"]);
        assert_eq!(argv(Some("/own"), &["x"]), ["/own", "x"]);
        assert_eq!(argv(Some(""), &["x"]), ["x"]);
        assert!(argv(Some(""), &[]).is_empty());
    }
}
