//! An error of the engine: what failed, why, what to do, and the exit code that says so.
//!
//! Exit codes are Docker's: 125 the engine failed, 126 the program could not be executed, 127 it
//! was not found, 1 a verb about an existing object failed, 128+n a program ended by signal n.

use std::fmt;
use std::io;

/// The engine itself failed before a program ran (`run`).
pub const ENGINE: u8 = 125;
/// The program exists but cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The program was not found.
pub const NOT_FOUND: u8 = 127;
/// What every other verb ends with.
pub const FAILURE: u8 = 1;

/// Result of the engine.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure in three parts.
#[derive(Debug)]
pub struct Error {
    /// What could not be done: `cannot publish port 80`.
    pub what: String,
    /// The cause: `already used by nginx (pid 25326)`.
    pub why: Option<String>,
    /// What the user can do about it.
    pub fix: Option<String>,
    /// Exit code of the command.
    pub code: u8,
}

impl Error {
    /// A failure with exit code [`FAILURE`]; `what` is a whole sentence without a stop.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: None, fix: None, code: FAILURE }
    }

    /// Adds the cause.
    #[must_use]
    pub fn why(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Adds the remedy.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Changes the exit code.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}

impl std::error::Error for Error {}

/// The runtime's words: step, subject and cause stay one sentence, its hint is the remedy. What it
/// calls by the field of `config.json` the user of an engine knows by another name.
impl From<libcontainer::Error> for Error {
    fn from(error: libcontainer::Error) -> Self {
        let hint = error.hint.as_ref().map(|hint| {
            hint.replace("process.args[0]", "the first word of the command")
                .replace("process.env", "the environment")
        });
        Self { fix: hint, ..Self::new(error.to_string()) }
    }
}

/// Adds to a plain cause what was being done.
pub trait What<T> {
    /// `fs::read(&path).what(|| format!("cannot read {}", path.display()))?`
    ///
    /// # Errors
    /// The same failure, now with the words in front.
    fn what(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> What<T> for std::result::Result<T, E> {
    fn what(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::new(what()).why(plain(&error.into())))
    }
}

/// The kernel's words without Rust's number behind them.
pub fn plain(error: &io::Error) -> String {
    libcontainer::error::errno_words(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_hints_are_in_the_words_of_the_command_line() {
        let error = libcontainer::Error::rule(libcontainer::Step::Exec, "x", "not found")
            .hint("look at process.args[0] and at PATH in process.env");
        let fix = Error::from(error).fix.unwrap();
        assert_eq!(fix, "look at the first word of the command and at PATH in the environment");
    }

    #[test]
    fn an_error_is_one_sentence_and_a_remedy() {
        let missing: io::Result<()> = Err(io::Error::from_raw_os_error(libc::ENOENT));
        let error = missing.what(|| "cannot read /x".into()).unwrap_err().fix("make it");
        assert_eq!(error.to_string(), "cannot read /x: no such file or directory");
        assert_eq!((error.fix.as_deref(), error.code), (Some("make it"), FAILURE));
    }
}
