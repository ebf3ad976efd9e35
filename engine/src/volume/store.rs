//! Volumes on disk: `volumes/<name>/` with `meta.json`, the content in `_data`, and in `users` an
//! empty file for each container that has it.
//!
//! A volume appears and disappears by one rename. Who adds a user or removes a volume holds the
//! lock `volumes/.lock`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::local;
use crate::error::{Error, Result, What as _};
use crate::fsutil::remove_tree;
use crate::net::state::{create, names, now, random_id};
use crate::paths::Paths;

/// What `meta.json` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its name, or 64 hexadecimal digits.
    pub name: String,
    /// Seconds since 1970.
    pub created: u64,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--opt`: `type`, `device`, `o`.
    pub options: BTreeMap<String, String>,
    /// Nobody named it: it goes with its last container.
    pub anonymous: bool,
}

/// All volumes of a root.
#[derive(Debug)]
pub struct Volumes<'a> {
    paths: &'a Paths,
}

impl<'a> Volumes<'a> {
    /// Those below these paths.
    pub fn of(paths: &'a Paths) -> Self {
        Self { paths }
    }

    pub(super) fn directory(&self, name: &str) -> PathBuf {
        self.paths.volumes().join(name)
    }

    /// Where the content is.
    pub fn data(&self, name: &str) -> PathBuf {
        self.directory(name).join("_data")
    }

    /// Keeps others from adding users or removing volumes, until it is dropped.
    pub(super) fn lock(&self) -> Result<File> {
        let file = self.paths.volumes().join(".lock");
        let take = || {
            make_directory(&self.paths.volumes(), 0o711)?;
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(&file)?;
            file.lock().map(|()| file)
        };
        take().what(|| format!("cannot lock {}", file.display()))
    }

    /// A volume by its name.
    ///
    /// # Errors
    /// Its `meta.json` cannot be read or understood.
    pub fn find(&self, name: &str) -> Result<Option<Volume>> {
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Ok(None);
        }
        let file = self.directory(name).join("meta.json");
        match fs::read(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            read => {
                let text = read.what(|| format!("cannot read {}", file.display()))?;
                let volume = serde_json::from_slice(&text);
                volume.map(Some).map_err(|error| {
                    Error::new(format!("cannot understand {}", file.display()))
                        .why(error)
                        .fix("pier check --repair writes it anew, without labels and options")
                })
            }
        }
    }

    /// A volume by its name.
    ///
    /// # Errors
    /// There is none; as [`Self::find`].
    pub fn get(&self, name: &str) -> Result<Volume> {
        self.find(name)?.ok_or_else(|| {
            let error = Error::new(format!("get {name}: no such volume"));
            let all = self.names().unwrap_or_default();
            match crate::format::nearest(name, all.iter().map(String::as_str)) {
                Some(near) => error.fix(format!("did you mean {near}?")),
                None => error.fix("pier volume ls lists them"),
            }
        })
    }

    /// Names of all volumes, sorted.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        let mut all = names(&self.paths.volumes())?;
        all.retain(|name| !name.starts_with('.'));
        all.sort_unstable();
        Ok(all)
    }

    /// All volumes, sorted by name.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn all(&self) -> Result<Vec<Volume>> {
        let found = self.names()?.into_iter().map(|name| self.find(&name));
        found.filter_map(Result::transpose).collect()
    }

    /// Makes a volume. One that exists is returned as it is, when nothing else is asked of it.
    ///
    /// # Errors
    /// A name or an option that cannot be, one that exists with other options.
    pub fn create(&self, volume: &Volume) -> Result<Volume> {
        let _lock = self.lock()?;
        self.create_for(volume, None)
    }

    /// As [`Self::create`]; the caller holds the lock. A volume that is made has the container
    /// `user` as its user from its first moment: it is not left when the container comes to
    /// nothing.
    pub(super) fn create_for(&self, volume: &Volume, user: Option<&str>) -> Result<Volume> {
        check_name(&volume.name)?;
        local::check(&volume.options)?;
        for _ in 0..2 {
            if let Some(old) = self.find(&volume.name)? {
                if !volume.options.is_empty() && volume.options != old.options {
                    return Err(Error::new(format!("cannot create volume {}", volume.name))
                        .why("a volume of this name exists with other options")
                        .fix("choose another name, or remove it: pier volume rm"));
                }
                return Ok(old);
            }
            let volume = Volume { created: now(), ..volume.clone() };
            if self.make(&volume, user)? {
                return Ok(volume);
            }
        }
        Err(Error::new(format!("cannot create volume {}", volume.name))
            .why("something without meta.json is in its place")
            .fix("run: pier check --repair"))
    }

    /// `false`: another process was faster.
    fn make(&self, volume: &Volume, user: Option<&str>) -> Result<bool> {
        let words = || format!("cannot create volume {}", volume.name);
        make_directory(&self.paths.volumes(), 0o711).what(words)?;
        let fresh = self.directory(&format!(".new-{}", random_id()?));
        let stage = || -> Result<()> {
            make_directory(&fresh, 0o711).what(words)?;
            make_directory(&fresh.join("_data"), 0o755).what(words)?;
            make_directory(&fresh.join("users"), 0o700).what(words)?;
            if let Some(user) = user {
                File::create(fresh.join("users").join(user)).what(words)?;
            }
            create(&fresh.join("meta.json"), volume, true).map(drop)
        };
        let done = stage().and_then(|()| match fs::rename(&fresh, self.directory(&volume.name)) {
            Err(e) if is_there(&e) => Ok(false),
            other => {
                other.what(words)?;
                crate::fsutil::sync_dir(&self.paths.volumes()).map(|()| true)
            }
        });
        if !matches!(done, Ok(true)) {
            // Litter of this kind is swept by `check --repair`.
            let _ = remove_tree(&fresh);
        }
        done
    }

    /// The containers that have it, by id; those that are gone do not count.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn users(&self, name: &str) -> Result<Vec<String>> {
        let mut users = names(&self.directory(name).join("users"))?;
        users.retain(|id| self.paths.has_container(id));
        users.sort_unstable();
        Ok(users)
    }

    /// Enters a user. The caller holds the lock.
    pub(super) fn enter(&self, name: &str, container: &str) -> Result<()> {
        let file = self.directory(name).join("users").join(container);
        let entered = OpenOptions::new().create(true).truncate(true).write(true).open(&file);
        entered.map(drop).what(|| format!("cannot write {}", file.display()))
    }

    pub(super) fn leave(&self, name: &str, container: &str) -> Result<()> {
        crate::net::state::remove(&self.directory(name).join("users").join(container))
    }

    /// Removes a volume that nobody has.
    ///
    /// # Errors
    /// There is none, a container has it, it is mounted still.
    pub fn remove(&self, name: &str) -> Result<()> {
        let _lock = self.lock()?;
        self.get(name)?;
        let users = self.users(name)?;
        if !users.is_empty() {
            return Err(Error::new(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            ))
            .fix("remove these containers first: pier rm"));
        }
        self.erase(name)
    }

    /// The caller holds the lock and has looked for users.
    pub(super) fn erase(&self, name: &str) -> Result<()> {
        let words = || format!("cannot remove volume {name}");
        local::unmount(&self.data(name)).what(words)?;
        let gone = self.directory(&format!(".gone-{}", random_id()?));
        fs::rename(self.directory(name), &gone).what(words)?;
        remove_tree(&gone).what(words)
    }

    /// Ends the use of all volumes by a container whose record nobody can read, or never was
    /// complete; with `anonymous` those go that were made for it.
    ///
    /// # Errors
    /// A volume that cannot be removed.
    pub(crate) fn abandon(&self, container: &str, anonymous: bool) -> Result<()> {
        let _lock = self.lock()?;
        for name in self.names()? {
            if !self.directory(&name).join("users").join(container).exists() {
                continue;
            }
            let own = || self.find(&name).ok().flatten().is_some_and(|volume| volume.anonymous);
            if anonymous && own() && self.users(&name)?.iter().all(|user| user == container) {
                self.erase(&name)?;
            } else {
                self.leave(&name, container)?;
            }
        }
        Ok(())
    }

    /// Removes what was half made or half removed; returns a line for each.
    ///
    /// # Errors
    /// The first thing that would not go.
    pub fn sweep(&self) -> Result<Vec<String>> {
        let _lock = self.lock()?;
        let mut swept = Vec::new();
        for name in names(&self.paths.volumes())? {
            let path = self.directory(&name);
            if name.starts_with(".new-") || name.starts_with(".gone-") {
                remove_tree(&path).what(|| format!("cannot remove {}", path.display()))?;
                swept.push(format!("unfinished volume {}", path.display()));
            } else if !name.starts_with('.') {
                for id in names(&path.join("users"))? {
                    if !self.paths.has_container(&id) {
                        self.leave(&name, &id)?;
                        swept
                            .push(format!("use of volume {name} by container {id}, which is gone"));
                    }
                }
                crate::fsutil::sweep_temporaries(&path)?;
                if !matches!(self.find(&name), Ok(Some(_))) && path.join("_data").exists() {
                    let volume = Volume { name: name.clone(), created: now(), ..Volume::default() };
                    let meta = crate::net::state::json(&volume)?;
                    crate::fsutil::write_atomic(&path.join("meta.json"), &meta)?;
                    swept.push(format!("the meta.json of volume {name}, which could not be read"));
                }
            }
        }
        Ok(swept)
    }
}

fn is_there(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST | libc::ENOTDIR))
}

/// A directory with exactly this mode, and those above it.
pub(super) fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
    // The umask took its part.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Docker's rule for names.
fn check_name(name: &str) -> Result<()> {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !name.chars().all(letters) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(Error::new(format!(
            "create {name}: {name:?} includes invalid characters for a \
            local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed"
        ))
        .fix(if name.starts_with('/') {
            "a directory of the host is the source of type=bind; target is the container's path"
        } else {
            "if you intended to pass a host directory, use an absolute path"
        }));
    }
    if name.len() < 2 {
        return Err(Error::new(format!("create {name}: volume name is too short"))
            .why("names should be at least two alphanumeric characters"));
    }
    if name.len() > 255 {
        return Err(
            Error::new("create: volume name is too long").why("255 characters are the most")
        );
    }
    Ok(())
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
