//! Containers: what was asked, what became of it, and the verbs.
//!
//! A container is a directory below `containers/`: `spec.json` ([`record`]) says what was asked,
//! `state.json` ([`state`]) what became of it. Its monitor ([`crate::monitor`]) is the only writer
//! of the state while it runs. Verbs on one container take its lock; readers take none.

pub mod cp;
pub mod create;
pub mod exec;
pub mod flags;
mod image;
pub mod inspect;
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
        names::resolve(&context.paths, word).map(|id| Self::of(context, &id))
    }

    /// What was asked.
    ///
    /// # Errors
    /// The container is gone, or its record is damaged.
    pub fn record(&self) -> Result<Record> {
        read_json(&self.dir.join("spec.json"))
    }

    /// Writes the record anew.
    ///
    /// # Errors
    /// The disk is full.
    pub fn save_record(&self, record: &Record) -> Result<()> {
        write_json(&self.dir.join("spec.json"), record)
    }

    /// What became of it, by the record alone.
    ///
    /// # Errors
    /// As [`Container::record`].
    pub fn recorded_state(&self) -> Result<State> {
        read_json(&self.dir.join("state.json"))
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
        write_json(&self.dir.join("state.json"), state)
    }

    /// Takes the lock that start, remove and their like hold.
    ///
    /// # Errors
    /// The container is gone.
    pub fn lock(&self) -> Result<fs::File> {
        let gone = || format!("cannot lock container {}", self.id);
        let file = fs::File::create(self.dir.join("lock")).what(gone)?;
        file.lock().what(gone)?;
        // Another command may have removed it while we waited.
        if !self.dir.join("spec.json").exists() {
            return Err(no_such(&self.id));
        }
        Ok(file)
    }

    /// The runtime's store of states.
    pub fn store(context: &Context) -> libcontainer::Store {
        libcontainer::Store::new(context.paths.runtime())
    }
}

/// Docker's words for a container that is not there.
pub fn no_such(word: &str) -> Error {
    Error::new(format!("No such container: {word}"))
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

/// Puts a file of ours in place of the old one in one step. It is not synced: after a power cut
/// nothing runs any more that it could tell of.
///
/// # Errors
/// The disk is full; the directory is gone.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    let text = serde_json::to_vec(value).map_err(|error| Error::new(what()).why(error))?;
    let staged = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&staged, text).and_then(|()| fs::rename(&staged, path)).what(what)
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
