//! What `df` and `info` need to know of containers, read from their `state.json` alone.

use std::path::PathBuf;

use libcontainer::state::process::ProcessId;
use serde::Deserialize;

use crate::error::Result;
use crate::net::state::names;
use crate::paths::Paths;

/// A part of `state.json`, and where the container is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: String,
    pub(super) created: String,
    pub(super) command: Vec<String>,
    pub(super) status: String,
    monitor: Option<ProcessId>,
    #[serde(skip)]
    pub(super) directory: PathBuf,
    /// Digest of the image's configuration, from `spec.json`.
    #[serde(skip)]
    pub(super) image_id: String,
}

impl Seen {
    /// `running`, `paused`, `restarting`, `created` or `exited`; one whose monitor died has ended.
    pub(super) fn status(&self) -> &str {
        let live = matches!(self.status.as_str(), "running" | "paused" | "restarting");
        let lost = live && !self.monitor.as_ref().is_some_and(ProcessId::is_alive);
        if lost { "exited" } else { &self.status }
    }

    pub(super) fn is_live(&self) -> bool {
        !matches!(self.status(), "exited" | "created")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default)]
    image_id: String,
}

/// All containers that can be read.
pub(super) fn all(paths: &Paths) -> Result<Vec<Seen>> {
    let mut all = Vec::new();
    for id in names(&paths.containers())?.into_iter().filter(|id| !id.starts_with('.')) {
        let directory = paths.container(&id);
        let read = |file: &str| std::fs::read(directory.join(file)).unwrap_or_default();
        let Ok(seen) = serde_json::from_slice::<Seen>(&read("state.json")) else { continue };
        let record = serde_json::from_slice::<Record>(&read("spec.json"));
        let image_id = record.map(|record| record.image_id).unwrap_or_default();
        all.push(Seen { id, image_id, directory, ..seen });
    }
    Ok(all)
}
