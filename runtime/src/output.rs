//! What the user and the caller read: the log file, stderr, and the words of a failure.
//!
//! An error is printed once, by [`Log::failure`]: on stderr as text and in `--log` as one line.
//! podman reads the whole log file as one JSON object, so nothing but that error is written to a
//! JSON log unless more was asked for. Warnings go where errors go: to the file, else to stderr.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::SystemTime;

use libcontainer::host::kernel::explain_missing;
use libcontainer::state::time;
use libcontainer::{At, Error, Result, Step};
use serde::Serialize;

use crate::cli::Global;
use crate::personality;

/// How much is logged, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error,
    Warning,
    Info,
    Debug,
}

impl Level {
    /// logrus' words, which callers compare.
    const fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        match word {
            "error" => Some(Level::Error),
            "warning" | "warn" => Some(Level::Warning),
            "info" => Some(Level::Info),
            "debug" => Some(Level::Debug),
            _ => None,
        }
    }
}

/// A failed verb: the error and how it ends the program.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Exit code of the program.
    pub(crate) code: u8,
    /// The container's program could not be executed after everything else had worked. The
    /// container's own stderr gets the bare sentence, as from a shell.
    pub(crate) exec: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, code: 1, exec: false }
    }
}

impl Failure {
    /// The failure of `start`: 255 when it was the container's program that could not run.
    pub(crate) fn of_start(error: Error) -> Self {
        let exec = error.step == Step::Exec;
        Self { error, code: if exec { 255 } else { 1 }, exec }
    }

    /// The failure of `exec`: 255, whatever it was. A program that could not run is told to the
    /// container's own stderr, so in one line.
    pub(crate) fn of_exec(error: Error) -> Self {
        let exec = error.step == Step::Exec && error.errno().is_some();
        Self { error, code: 255, exec }
    }

    /// runc's sentence: which verb failed, and whether the container itself was at fault.
    fn message(&self, verb: &str) -> String {
        let (error, own) = (&self.error, personality::own());
        let verbs = matches!(verb, "create" | "run") && !self.exec || verb == "exec";
        if !verbs || !own.names_verb() {
            return error.to_string();
        }
        let starting = match error.step {
            Step::Exec if error.errno().is_none() => "",
            Step::ReadConfig | Step::CheckConfig | Step::State | Step::Seal | Step::Output => "",
            Step::Mount => "unable to start container process: error during container init: ",
            _ => "unable to start container process: ",
        };
        match verb {
            "exec" => format!("exec failed: {starting}{error}"),
            _ => format!("{} {verb} failed: {starting}{error}", own.name()),
        }
    }
}

/// One line of a JSON log; the first three members are logrus', the others ours.
#[derive(Serialize, Default)]
struct Record<'a> {
    level: &'a str,
    msg: &'a str,
    time: &'a str,
    /// Stable name of the kind of failure, such as `mount.EPERM` or `kill.refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// Where and how much is logged.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<File>,
    json: bool,
    /// For the file.
    level: Level,
    /// For stderr.
    loud: Level,
}

impl Log {
    /// Errors as text on stderr: for what happens before the flags are known.
    pub(crate) const STDERR: Log =
        Log { file: None, json: false, level: Level::Error, loud: Level::Error };

    /// The log that the flags ask for. Warnings go to stderr where there is no file, as runc's do,
    /// although it may be the container's as well.
    ///
    /// # Errors
    /// An unknown format, level or scheme; a log file that cannot be opened.
    pub(crate) fn open(global: &Global) -> Result<Self> {
        let refuse = |flag: &str, value: &str, hint: &str| {
            Err(Error::rule(Step::Output, "", format!("invalid {flag}: {value}")).hint(hint))
        };
        let json = match global.log_format.as_str() {
            "text" => false,
            "json" => true,
            other => return refuse("log-format", other, "use text or json"),
        };
        let asked = match global.log_level.as_deref() {
            _ if global.debug => Some(Level::Debug),
            None => None,
            Some(word) => match Level::parse(word) {
                None => return refuse("log-level", word, "use error, warning, info or debug"),
                level => level,
            },
        };
        let file = match global.log.as_deref() {
            None => None,
            Some(log) if log.starts_with("journald:") || log.starts_with("syslog:") => {
                return refuse("log", log, "only files are supported: --log [file:]PATH");
            }
            Some(log) => Some(append(log.strip_prefix("file:").unwrap_or(log))?),
        };
        let quiet = if personality::own().warns() { Level::Warning } else { Level::Error };
        let usual = if json { Level::Error } else { quiet };
        let level = asked.unwrap_or(usual);
        let loud = match (&file, asked) {
            (None, Some(level)) => level,
            (None, None) => quiet,
            _ => Level::Error,
        };
        Ok(Self { file, json, level, loud })
    }

    /// Says something that is no error.
    pub(crate) fn say(&self, level: Level, text: &str) {
        if level <= self.loud && self.file.is_none() {
            self.line(&mut io::stderr(), &Record { level: level.word(), msg: text, ..record() });
        }
        if let Some(mut file) = self.file.as_ref().filter(|_| level <= self.level) {
            self.line(&mut file, &Record { level: level.word(), msg: text, ..record() });
        }
    }

    /// Whether `level` is logged anywhere: spares the work of making its text.
    pub(crate) fn wants(&self, level: Level) -> bool {
        level <= if self.file.is_some() { self.level } else { self.loud }
    }

    /// Prints why `verb` failed: once on stderr, once in the log file.
    pub(crate) fn failure(&self, verb: &str, failure: &Failure) {
        let error = &failure.error;
        let message = failure.message(verb);
        // Why a call is not there is better than what it was to do.
        let missing = explain_missing(error);
        let hint = missing.as_deref().or(error.hint.as_deref());
        let step = kebab(error.step);
        let record = Record {
            level: Level::Error.word(),
            msg: &message,
            code: Some(code(error, &step)),
            step: Some(&step),
            on: Some(error.on.as_str()).filter(|on| !on.is_empty()),
            errno: error.errno(),
            hint,
            ..record()
        };
        if let Some(mut file) = self.file.as_ref() {
            self.line(&mut file, &record);
        } else if self.json {
            return self.line(&mut io::stderr(), &record);
        }
        let mut text = format!("{message}\n");
        // A hint after the bare sentence of a failed execve would stand in the container's output.
        let hint = hint.filter(|_| !failure.exec || io::stderr().is_terminal());
        if let Some(hint) = hint {
            let _ = writeln!(text, "hint: {hint}");
        }
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Prints a command line that makes no sense. Without definitions there is no verb yet.
    pub(crate) fn misuse(&self, text: &str) {
        let text = text.trim_end();
        let text = text.strip_prefix("error: ").unwrap_or(text);
        // The first paragraph, on one line; what follows is the usage.
        let first = text.split("\n\n").next().unwrap_or_default();
        let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = Record {
            level: Level::Error.word(),
            msg: &first,
            code: Some("usage".to_owned()),
            ..record()
        };
        if let Some(mut file) = self.file.as_ref() {
            self.line(&mut file, &line);
        } else if self.json {
            return self.line(&mut io::stderr(), &line);
        }
        let _ = writeln!(io::stderr(), "{}: {text}", personality::own().name());
    }

    /// Writes one line, in one write: other processes may append to the same file. A log that
    /// cannot be written is no reason to fail, and there is nobody left to tell.
    fn line(&self, to: &mut impl Write, record: &Record<'_>) {
        let time = time::format(SystemTime::now());
        let record = Record { time: &time, code: record.code.clone(), ..*record };
        let mut line = if self.json { as_json(&record) } else { as_text(&record) };
        line.push('\n');
        let _ = to.write_all(line.as_bytes());
    }
}

/// A record with nothing in it yet.
fn record() -> Record<'static> {
    Record::default()
}

fn append(path: &str) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o644)
        .open(path)
        .at(Step::Output, || format!("log file {path}"))
}

fn as_json(record: &Record<'_>) -> String {
    // Strings and numbers always serialize.
    serde_json::to_string(record).unwrap_or_default()
}

/// logrus' text form; `{:?}` quotes as Go's `%q` does for everything a message contains.
fn as_text(record: &Record<'_>) -> String {
    let Record { level, msg, time, .. } = record;
    let mut line = format!("time=\"{time}\" level={level} msg={msg:?}");
    if let Some(code) = &record.code {
        let _ = write!(line, " code={code}");
    }
    if let Some(hint) = record.hint {
        let _ = write!(line, " hint={hint:?}");
    }
    line
}

/// `CheckConfig` as `check-config`: the step's name for programs.
pub(crate) fn kebab(step: Step) -> String {
    let mut out = String::new();
    for c in format!("{step:?}").chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The kind of failure: the step, and the errno's name or `refused` for a broken rule.
fn code(error: &Error, step: &str) -> String {
    match error.errno() {
        Some(errno) => format!("{step}.{:?}", nix::errno::Errno::from_raw(errno)),
        None => format!("{step}.refused"),
    }
}

#[cfg(test)]
mod tests;
