//! The directory of containers: claiming, publishing, loading, listing, locking.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::process::ProcessId;
use super::{
    FORMAT, Intent, State, Status, View, check_id, does_not_exist, gate, owner, record, time,
};
use crate::error::{At, Error, Result, Step};

const INTENT: &str = "intent.json";
const STATE: &str = "state.json";
const INIT: &str = "init.json";
const CGROUP_OURS: &str = "cgroup.ours";

/// How long a command waits for another one on the same container.
const PATIENCE: Duration = Duration::from_secs(10);

/// All containers below one `--root`.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// What there is of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// `create` has finished.
    Published(Box<State>),
    /// `create` is at work, or was killed: see [`Intent::owner`]. With it comes init, once known.
    Unfinished(Box<Intent>, Option<ProcessId>),
    /// `state.json` cannot be read; the intent may be left.
    Damaged {
        /// What is wrong with it.
        why: String,
        /// The record that was written before it.
        intent: Option<Box<Intent>>,
        /// Init, if it was written down.
        init: Option<ProcessId>,
    },
    /// A directory without any record: `create` was killed in its first moment, or is in it.
    Empty,
}

/// Only root may write to the state root that everybody has.
fn not_ours(error: Error) -> Error {
    match error.errno() {
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => error.hint(
            "the state must be in a directory that you may write to: log in through PAM, so that \
             $XDG_RUNTIME_DIR is one, or name one with --root",
        ),
        _ => error,
    }
}

impl Store {
    /// The store in the directory `root`, which the first container makes.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory of container `id`.
    ///
    /// # Errors
    /// The id is none.
    pub fn dir(&self, id: &str) -> Result<PathBuf> {
        check_id(id)?;
        Ok(self.root.join(id))
    }

    /// Takes `id`, and writes down what is about to be made.
    ///
    /// # Errors
    /// `container with given ID already exists`, `invalid container ID format`; those of mkdir(2).
    pub fn claim(&self, id: &str, intent: &Intent) -> Result<Claim> {
        let dir = self.dir(id)?;
        match self.make_dir(&dir) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::rule(Step::State, "", "container with given ID already exists")
                    .hint("choose another id, or remove that container with `delete`"));
            }
            made => made.at(Step::State, || dir.display()).map_err(not_ours)?,
        }
        let claim = Claim { dir };
        let written = record::write(&claim.dir, INTENT, intent);
        if written.is_err() {
            let _ = fs::remove_dir_all(&claim.dir);
        }
        written.at(Step::State, || claim.dir.join(INTENT).display().to_string())?;
        Ok(claim)
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        match builder.create(dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                DirBuilder::new().mode(0o700).recursive(true).create(&self.root)?;
                builder.create(dir)
            }
            made => made,
        }
    }

    /// What there is of container `id`.
    ///
    /// # Errors
    /// `container does not exist`; those of open(2) and read(2).
    pub fn find(&self, id: &str) -> Result<Found> {
        let dir = self.dir(id)?;
        let name = |name: &str| dir.join(name).display().to_string();
        match record::read::<State>(&dir, STATE) {
            Ok(Ok(state)) if state.format == FORMAT && state.id == id => {
                return Ok(Found::Published(Box::new(State { dir, ..state })));
            }
            Ok(Ok(state)) => {
                let why = format!("format {} of container {:?}", state.format, state.id);
                return Ok(Found::Damaged { why, intent: intent(&dir), init: init(&dir) });
            }
            Ok(Err(why)) => {
                return Ok(Found::Damaged { why, intent: intent(&dir), init: init(&dir) });
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e).at(Step::State, || name(STATE)),
        }
        if let Some(intent) = intent(&dir) {
            return Ok(Found::Unfinished(intent, init(&dir)));
        }
        match fs::symlink_metadata(&dir) {
            Ok(meta) if meta.is_dir() => Ok(Found::Empty),
            Ok(_) => Err(does_not_exist()),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(does_not_exist()),
            Err(e) => Err(e).at(Step::State, || dir.display()),
        }
    }

    /// The state of a published container.
    ///
    /// # Errors
    /// `container does not exist`, also while it is being created; a damaged record.
    pub fn load(&self, id: &str) -> Result<State> {
        match self.find(id)? {
            Found::Published(state) => Ok(*state),
            Found::Damaged { why, .. } => Err(self.damaged(id, &why)),
            Found::Unfinished(..) | Found::Empty => Err(does_not_exist()
                .hint("`create` is at work or was killed; `delete --force` removes the rest")),
        }
    }

    fn damaged(&self, id: &str, why: &str) -> Error {
        let path = self.root.join(id).join(STATE);
        Error::rule(Step::State, path.display(), format!("damaged: {why}"))
            .hint(format!("remove the container with `delete --force {id}`"))
    }

    /// What `state` prints.
    ///
    /// # Errors
    /// As [`Store::load`], but a container that is being created has a state: `creating`.
    pub fn view(&self, id: &str) -> Result<View> {
        let found = self.find(id)?;
        let owner = fs::metadata(self.root.join(id)).map(|meta| owner::name(meta.uid()));
        let owner = owner.unwrap_or_default();
        match found {
            Found::Published(state) => View::of(&state, owner),
            Found::Unfinished(intent, init) if intent.owner.is_alive() => Ok(View {
                oci_version: super::OCI_VERSION.to_owned(),
                id: intent.id,
                pid: init.map_or(0, |init| init.pid),
                status: Status::Creating,
                bundle: intent.bundle,
                rootfs: PathBuf::new(),
                created: time::format(intent.created),
                annotations: std::collections::BTreeMap::new(),
                owner,
            }),
            Found::Damaged { why, .. } => Err(self.damaged(id, &why)),
            Found::Unfinished(..) | Found::Empty => Err(does_not_exist()
                .hint(format!("`delete --force {id}` removes what a killed `create` left"))),
        }
    }

    /// Every container in the order of their names: its view, or why there is none. Containers
    /// may come and go meanwhile; one that has gone is not an error.
    ///
    /// # Errors
    /// The root directory cannot be read; `ENOENT` when there has never been a container.
    pub fn list(&self) -> Result<Vec<(String, Result<View>)>> {
        let ids = self.ids()?;
        let views = ids.into_iter().map(|id| (self.view(&id), id));
        let is_there = |id: &str| self.root.join(id).exists();
        let still = views.filter(|(view, id)| view.is_ok() || is_there(id));
        Ok(still.map(|(view, id)| (id, view)).collect())
    }

    /// The directories of containers, in the order of their names.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub fn ids(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.root).at(Step::State, || self.root.display())?;
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.at(Step::State, || self.root.display())?;
            let id = entry.file_name().into_string().unwrap_or_default();
            // What is not a container's directory is nobody's business here.
            if check_id(&id).is_ok() && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// The directory that holds all of them.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the cgroups of the intent are the container's own: see [`Claim::own_cgroup`].
    ///
    /// # Errors
    /// The id is none.
    pub fn owns_cgroup(&self, id: &str) -> Result<bool> {
        Ok(self.dir(id)?.join(CGROUP_OURS).exists())
    }

    /// Waits for other commands on the same container and keeps them out (flock(2)).
    ///
    /// # Errors
    /// `container does not exist`, also when it went away meanwhile; another command holds it
    /// for longer than ten seconds.
    pub fn lock(&self, id: &str) -> Result<Lock> {
        let dir = self.dir(id)?;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW);
        let file = match options.open(&dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(does_not_exist()),
            opened => opened.at(Step::State, || dir.display())?,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(e)) => return Err(e).at(Step::State, || dir.display()),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::rule(Step::State, id, "another command works on it"));
                }
            }
        }
        // A directory that was removed while we waited locks nothing.
        let (ours, now) = (file.metadata(), fs::symlink_metadata(&dir));
        let same =
            matches!((ours, now), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()));
        if same { Ok(Lock { _file: file }) } else { Err(does_not_exist()) }
    }

    /// Writes down what has changed in the state of a container that is held.
    ///
    /// # Errors
    /// Those of write(2) and rename(2); the old state stands then.
    pub fn save(&self, state: &State, _held: &Lock) -> Result<()> {
        let dir = self.dir(&state.id)?;
        record::write(&dir, STATE, state).at(Step::State, || dir.join(STATE).display().to_string())
    }

    /// Frees the id: removes the container's directory. One that is gone is fine.
    ///
    /// # Errors
    /// Those of unlink(2) and rmdir(2).
    pub fn remove(&self, id: &str) -> Result<()> {
        let dir = self.dir(id)?;
        match fs::remove_dir_all(&dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.at(Step::State, || dir.display()),
        }
    }
}

fn intent(dir: &Path) -> Option<Box<Intent>> {
    let intent: Option<Intent> = record::read(dir, INTENT).ok().and_then(std::result::Result::ok);
    intent.filter(|intent| intent.format == FORMAT).map(Box::new)
}

fn init(dir: &Path) -> Option<ProcessId> {
    record::read(dir, INIT).ok().and_then(std::result::Result::ok)
}

/// An id that is ours to fill. Dropping it changes nothing: who undoes a failed `create` calls
/// [`Claim::release`].
#[derive(Debug)]
pub struct Claim {
    dir: PathBuf,
}

impl Claim {
    /// The container's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the fifos that `start` uses, see [`gate`].
    ///
    /// # Errors
    /// Those of mkfifo(3).
    pub fn make_gate(&self) -> Result<()> {
        gate::make(&self.dir)
    }

    /// Writes down init, so that `delete --force` finds it even without a cgroup; `state` then
    /// shows its pid while hooks run.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn note_init(&self, init: &ProcessId) -> Result<()> {
        record::write(&self.dir, INIT, init)
            .at(Step::State, || self.dir.join(INIT).display().to_string())
    }

    /// Writes down that the cgroups of the intent were found empty or made: from now on every
    /// process in them is the container's, and `delete --force` may kill it.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn own_cgroup(&self) -> Result<()> {
        // Empty: made by one system call, whole or not at all. No directory, which takes a block
        // of a disk, whose return the kernel may wait for.
        let path = self.dir.join(CGROUP_OURS);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(&path).map(drop).at(Step::State, || path.display())
    }

    /// Writes the state where nobody looks for it yet.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn draft(&self, state: State) -> Result<Draft> {
        if state.cgroup.as_ref().is_none_or(|record| record.dirs.is_empty()) {
            // Should state.json be damaged one day, no cgroup tells who init is.
            self.note_init(&state.init)?;
        }
        record::draft(&self.dir, STATE, &state)
            .at(Step::State, || self.dir.join(STATE).display().to_string())?;
        Ok(Draft { state: State { dir: self.dir.clone(), ..state } })
    }

    /// Gives the id back: everything else is undone.
    ///
    /// # Errors
    /// Those of unlink(2) and rmdir(2).
    pub fn release(&self) -> Result<()> {
        fs::remove_dir_all(&self.dir).at(Step::State, || self.dir.display())
    }
}

/// A container that exists as soon as it is published. What is left of one that never is goes with
/// the container's directory.
#[derive(Debug)]
pub struct Draft {
    state: State,
}

impl Draft {
    /// Makes the container exist for others.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn publish(self) -> Result<State> {
        let path = self.state.dir.join(STATE);
        record::finish(&self.state.dir, STATE).at(Step::State, || path.display())?;
        Ok(self.state)
    }
}

/// Other commands on the container wait while this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}
