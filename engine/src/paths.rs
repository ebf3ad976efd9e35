//! Where everything is on disk: one method per directory, so that a name is written once.
//!
//! `root` survives a reboot, `run` does not. Nothing is created here.

use std::path::{Path, PathBuf};

/// Default of `--root`.
pub const ROOT: &str = "/var/lib/pier";
/// Default of `--run-root`.
pub const RUN: &str = "/run/pier";

/// The two directories that hold all that the engine keeps.
#[derive(Debug, Clone)]
pub struct Paths {
    /// What survives a reboot: images, containers, volumes, networks.
    pub root: PathBuf,
    /// What does not: sockets, the runtime's state, locks of the moment.
    pub run: PathBuf,
}

impl Paths {
    /// The OCI image layout: `oci-layout`, `index.json`, `blobs/`.
    pub fn image(&self) -> PathBuf {
        self.root.join("image")
    }

    /// `<host>/<repository>/<tag>`: which image a name means.
    pub fn refs(&self) -> PathBuf {
        self.root.join("refs")
    }

    /// One directory per unpacked layer, named for its diff id.
    pub fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// Where things are made before they are renamed into place.
    pub fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Blobs that are not complete yet, by digest.
    pub fn partial(&self) -> PathBuf {
        self.root.join("partial")
    }

    /// One directory per container.
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// The directory of container `id`.
    pub fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }

    /// Containers that are being made, by id: each is locked by the command that makes it, and
    /// renamed below [`Paths::containers`] when it is whole.
    pub fn making(&self) -> PathBuf {
        self.root.join("making")
    }

    /// What is left of containers that were removed, until all of it is gone.
    pub fn going(&self) -> PathBuf {
        self.root.join("going")
    }

    /// Whether there is a container `id`, or a command is making it now.
    pub fn has_container(&self, id: &str) -> bool {
        // In this order: it goes from the one place to the other by one rename.
        self.making().join(id).exists() || self.container(id).exists()
    }

    /// Names of containers: symbolic links whose target is the id.
    pub fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    /// One directory per volume.
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// One JSON file per network.
    pub fn networks(&self) -> PathBuf {
        self.root.join("networks")
    }

    /// Addresses that are taken: `<network>/<address>`. A reboot gives all of them back.
    pub fn ipam(&self) -> PathBuf {
        self.run.join("ipam")
    }

    /// The lock of the store, the network and the names; each user adds its own file below.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// What container `id` needs while it runs: its socket, its root file system's mount.
    pub fn live(&self, id: &str) -> PathBuf {
        self.run.join(id)
    }

    /// The runtime's state of containers.
    pub fn runtime(&self) -> PathBuf {
        self.run.join("runtime")
    }

    /// Both directories, made absolute.
    ///
    /// # Errors
    /// There is no current directory.
    pub fn absolute(root: &Path, run: &Path) -> std::io::Result<Self> {
        Ok(Self { root: std::path::absolute(root)?, run: std::path::absolute(run)? })
    }
}
