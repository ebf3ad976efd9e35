//! Containers: what was asked, what became of it, and the verbs.
//!
//! A container is a directory below `containers/`: `spec.json` ([`record`]) says what was asked,
//! `state.json` ([`state`]) what became of it. Its monitor ([`crate::monitor`]) is the only writer
//! of the state while it runs. Verbs on one container take its lock; readers take none.

pub mod boot;
pub mod cp;
pub mod create;
pub mod exec;
pub mod flags;
mod image;
pub mod inspect;
pub mod litter;
pub mod logs;
pub mod names;
pub mod pause;
pub mod ps;
pub mod record;
pub mod rename;
pub mod rm;
pub mod run;
pub mod signal;
pub mod start;
pub mod state;
pub mod top;
pub mod update;
pub mod wait;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Context;
use crate::error::{Error, Result, What};
use crate::fsutil::{self, Lock};
use record::Record;
use state::{State, Status};

/// One container, by its id.
#[derive(Debug, Clone)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its directory.
    pub dir: PathBuf,
    /// Where its socket and mounts are while it runs.
    pub live: PathBuf,
}

impl Container {
    /// The container of this id, whether it exists or not.
    pub fn of(context: &Context, id: &str) -> Self {
        Self { id: id.into(), dir: context.paths.container(id), live: context.paths.live(id) }
    }

    /// The container that a name, an id or the beginning of an id means.
    ///
    /// # Errors
    /// `No such container: X`, with the nearest name; a beginning that several share.
    pub fn find(context: &Context, word: &str) -> Result<Self> {
        let container = Self::of(context, &names::resolve(&context.paths, word)?);
        // It runs, or its monitor was killed.
        if container.live.exists() && litter::bury(context, &container) {
            // With --rm it has gone.
            return names::resolve(&context.paths, word).map(|id| Self::of(context, &id));
        }
        Ok(container)
    }

    /// What was asked.
    ///
    /// # Errors
    /// The container is gone, or its record is damaged.
    pub fn record(&self) -> Result<Record> {
        let path = self.dir.join("spec.json");
        let read = read_json(&path).and_then(|record: Record| match record.id == self.id {
            true => Ok(record),
            false => Err(of_another(&path)),
        });
        read.map_err(|error| match self.dir.exists() {
            false => no_such(&self.id),
            true => error.fix(format!(
                "what it has written is kept in {}; pier rm -f {} removes it",
                self.dir.join("upper").display(),
                self.id.get(..12).unwrap_or(&self.id)
            )),
        })
    }

    /// Writes the record anew.
    ///
    /// # Errors
    /// The disk is full.
    pub fn save_record(&self, record: &Record) -> Result<()> {
        write_json(&self.dir.join("spec.json"), record, !record.flags.basics.rm)
    }

    /// What became of it, by the file alone. One that cannot be read is made of the record: then it
    /// has ended, nobody knows how.
    ///
    /// # Errors
    /// As [`Container::record`].
    pub fn recorded_state(&self) -> Result<State> {
        self.read_state().or_else(|error| {
            let mut state = State::new(&self.record()?);
            state.lose();
            state.error = error.to_string();
            Ok(state)
        })
    }

    /// The file as it is.
    fn read_state(&self) -> Result<State> {
        let path = self.dir.join("state.json");
        let state: State = read_json(&path)?;
        if state.id == self.id { Ok(state) } else { Err(of_another(&path)) }
    }

    /// What became of it: a container whose monitor has gone without a word has ended.
    ///
    /// # Errors
    /// As [`Container::record`].
    pub fn state(&self) -> Result<State> {
        let mut state = self.recorded_state()?;
        if state.status.is_live() && !state.has_monitor() {
            // It may have written its last word between the two looks.
            state = self.recorded_state()?;
            if state.status.is_live() && !state.has_monitor() {
                state.lose();
            }
        }
        if state.status == Status::Running && state::is_frozen(&state) {
            state.status = Status::Paused;
        }
        Ok(state)
    }

    /// Writes the state; only its monitor does so while it runs.
    ///
    /// # Errors
    /// The disk is full.
    pub fn save_state(&self, state: &State) -> Result<()> {
        write_json(&self.dir.join("state.json"), state, state.outlives_power())
    }

    /// As [`Container::save_state`] for what a power cut makes void.
    ///
    /// # Errors
    /// The disk is full.
    pub fn save_state_for_now(&self, state: &State) -> Result<()> {
        write_json(&self.dir.join("state.json"), state, false)
    }

    /// Takes the lock that start, remove and their like hold.
    ///
    /// # Errors
    /// The container is gone.
    pub fn lock(&self) -> Result<fs::File> {
        let gone = || format!("cannot lock container {}", self.id);
        let file = match fs::File::create(self.dir.join("lock")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(no_such(&self.id));
            }
            opened => opened.what(gone)?,
        };
        file.lock().what(gone)?;
        // Another command may have removed it while we waited.
        if !self.dir.join("lock").exists() {
            return Err(no_such(&self.id));
        }
        Ok(file)
    }

    /// As [`Container::lock`], `None` while somebody else has it, or when the container is gone.
    pub fn lock_if_free(&self) -> Option<Lock> {
        let lock = Lock::if_free(&self.dir.join("lock")).ok().flatten()?;
        self.dir.join("lock").exists().then_some(lock)
    }

    /// The runtime's store of states.
    pub fn store(context: &Context) -> libcontainer::Store {
        libcontainer::Store::new(context.paths.runtime())
    }
}

fn of_another(path: &Path) -> Error {
    Error::new(format!("cannot read {}", path.display())).why("it is not about this container")
}

/// Docker's words for a container that is not there.
pub fn no_such(word: &str) -> Error {
    Error::new(format!("No such container: {word}")).fix("`pier ps -a` lists all there are")
}

/// Reads a file of ours.
///
/// # Errors
/// It is not there, or is no JSON of that shape.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let what = || format!("cannot read {}", path.display());
    let text = fs::read(path).what(what)?;
    serde_json::from_slice(&text).map_err(|error| Error::new(what()).why(error))
}

/// Puts a file of ours in place of the old one in one step. `durable`: it survives a power cut.
///
/// # Errors
/// The disk is full; the directory is gone.
pub fn write_json<T: Serialize>(path: &Path, value: &T, durable: bool) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    let text = serde_json::to_vec(value).map_err(|error| Error::new(what()).why(error))?;
    if durable { fsutil::write_atomic(path, &text) } else { fsutil::write_at_once(path, &text) }
}

/// Runs `work` for each name; what fails is told and the others are still done.
///
/// # Errors
/// Never; the number is 1 when one failed.
pub fn each(list: &[String], mut work: impl FnMut(&str) -> Result<()>) -> Result<u8> {
    let mut code = 0;
    for word in list {
        if let Err(error) = work(word) {
            crate::cli::tell(&error);
            code = crate::error::FAILURE;
        }
    }
    Ok(code)
}
