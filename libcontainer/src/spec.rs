//! Reads `config.json`: one typed parse by oci-spec, repaired where the crate falls short.
//!
//! A file that is valid under runtime-spec 1.3 never fails to parse; one that is not fails with
//! file, line, column and field. What the file *means* is checked in [`crate::plan::check`].

mod locate;
mod repair;
mod resources;
mod version;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Deserialize;

use crate::error::{At, Error, Result, Step};

pub use resources::Resources;

/// Largest `config.json` that is read, in bytes. Real ones have 10 to 100 KiB.
pub const LARGEST: u64 = 64 * 1024 * 1024;

/// The container that was asked for.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The configuration, typed.
    pub oci: oci_spec::runtime::Spec,
    /// `linux.resources.pids.limit`: `None` when it is not set, which differs from 0 since
    /// runtime-spec 1.3 (config-linux.md, "PIDs"); oci-spec cannot tell them apart.
    pub pids_limit: Option<i64>,
    /// Names in `process.capabilities` that are no capability: left out, with a warning.
    pub unknown_capabilities: Vec<String>,
    /// What the user should know although the container can be made.
    pub warnings: Vec<String>,
}

impl Spec {
    /// Reads `config.json` of the bundle directory.
    ///
    /// # Errors
    /// As [`Spec::read`].
    pub fn load(bundle: &Path) -> Result<Self> {
        Self::read(&bundle.join("config.json"))
    }

    /// Reads the configuration in the file `path`.
    ///
    /// # Errors
    /// The file is missing, not a regular file, larger than [`LARGEST`] or not a configuration
    /// of runtime-spec 1.x.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_file(path)?)
    }

    /// Reads a process, such as callers of `exec` write it, from the file `path`; `-` is stdin.
    ///
    /// # Errors
    /// The file cannot be read, or is no `process` of a configuration.
    pub fn read_process(path: &Path) -> Result<Self> {
        let text = if path == Path::new("-") {
            read_stream(path, std::io::stdin().lock())?
        } else {
            // A pipe is welcome here: `-p <(...)`.
            let file = File::open(path).at(Step::ReadConfig, || path.display())?;
            read_stream(path, file)?
        };
        Self::parse_process(path, &text)
    }

    /// Parses a process; everything else of the configuration is left out.
    ///
    /// # Errors
    /// As [`Spec::read_process`].
    pub fn parse_process(path: &Path, text: &[u8]) -> Result<Self> {
        let whole = [br#"{"ociVersion":"1.3.0","process":"#, text, b"}"].concat();
        let parsed = Self::parse(path, &whole);
        // A fault is told in the places of the text that the user knows.
        match (parsed, serde_json::from_slice::<oci_spec::runtime::Process>(text)) {
            (Err(_), Err(fault)) => Err(explain(path, text, &fault)),
            (parsed, _) => parsed,
        }
    }

    /// A configuration of which only `process` is known.
    pub fn of_process(process: oci_spec::runtime::Process) -> Self {
        // Not oci-spec's default, which is a whole container.
        // From a slice as everywhere: another kind of reader is another 120 KB of parsers.
        let bare = serde_json::from_slice(br#"{"ociVersion":"1.3.0"}"#);
        let mut oci: oci_spec::runtime::Spec = bare.unwrap_or_default();
        oci.set_process(Some(process));
        Self { oci, pids_limit: None, unknown_capabilities: Vec::new(), warnings: Vec::new() }
    }

    /// Parses `text`, which came from `path`.
    ///
    /// # Errors
    /// The text is not a configuration of runtime-spec 1.x; the message names line, column and
    /// field.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self> {
        let mut spec = match serde_json::from_slice(text) {
            Ok(oci) => Self {
                oci,
                pids_limit: None,
                unknown_capabilities: Vec::new(),
                warnings: Vec::new(),
            },
            Err(fault) => Self::parse_repaired(path, text, &fault)?,
        };
        version::check(path, spec.oci.version())?;
        if spec.has_ambiguous_default() {
            let raw: Raw = serde_json::from_slice(text).map_err(|e| explain(path, text, &e))?;
            raw.apply(path, &mut spec)?;
        } else {
            spec.pids_limit = spec.typed_pids_limit();
        }
        Ok(spec)
    }

    /// The second try, after the typed parse failed with `fault`.
    fn parse_repaired(path: &Path, text: &[u8], fault: &serde_json::Error) -> Result<Self> {
        if !fault.is_data() {
            return Err(explain(path, text, fault));
        }
        let repair::Unique(mut config) =
            serde_json::from_slice(text).map_err(|e| explain(path, text, &e))?;
        let notes = repair::repair(&mut config);
        let repaired = serde_json::to_vec(&config).map_err(|e| explain(path, text, &e))?;
        let oci = serde_json::from_slice(&repaired)
            .map_err(|e| explain_repaired(path, text, &repaired, &e))?;
        let mut warnings = Vec::new();
        if !notes.unknown_capabilities.is_empty() {
            let names = notes.unknown_capabilities.join(" ");
            warnings.push(format!("ignoring unknown or unavailable capabilities: [{names}]"));
        }
        Ok(Self {
            oci,
            pids_limit: None,
            unknown_capabilities: notes.unknown_capabilities,
            warnings,
        })
    }

    /// Whether a member stands at a default that oci-spec also gives for "not set". Only then is
    /// the text read a second time.
    fn has_ambiguous_default(&self) -> bool {
        self.typed_pids_limit() == Some(0)
            || self.oci.process().as_ref().is_some_and(|p| p.io_priority().is_some())
    }

    fn typed_pids_limit(&self) -> Option<i64> {
        let resources = self.oci.linux().as_ref()?.resources().as_ref()?;
        Some(resources.pids().as_ref()?.limit())
    }
}

/// The members that oci-spec 0.10 gives a default although "not set" means something else.
#[derive(Deserialize)]
struct Raw {
    linux: Option<RawLinux>,
    process: Option<RawProcess>,
}

#[derive(Deserialize)]
struct RawLinux {
    resources: Option<RawResources>,
}

#[derive(Deserialize)]
struct RawResources {
    pids: Option<RawPids>,
}

#[derive(Deserialize)]
struct RawPids {
    limit: Option<i64>,
}

#[derive(Deserialize)]
struct RawProcess {
    #[serde(rename = "ioPriority")]
    io_priority: Option<RawIoPriority>,
}

#[derive(Deserialize)]
struct RawIoPriority {
    class: Option<String>,
}

impl Raw {
    fn apply(self, path: &Path, spec: &mut Spec) -> Result<()> {
        let pids = self.linux.and_then(|l| l.resources).and_then(|r| r.pids);
        spec.pids_limit = pids.and_then(|p| p.limit);
        match self.process.and_then(|p| p.io_priority) {
            Some(RawIoPriority { class: None }) => {
                Err(fault(path, "process.ioPriority: missing field `class`"))
            }
            _ => Ok(()),
        }
    }
}

/// The bytes of the file `path`, which a user may have made anything but a small regular file.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = match open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let words = format!("JSON specification file {} not found", path.display());
            return Err(Error::rule(Step::ReadConfig, "", words)
                .hint("name the bundle directory with --bundle, or make one with `spec`"));
        }
        opened => opened.at(Step::ReadConfig, || path.display())?,
    };
    let meta = file.metadata().at(Step::ReadConfig, || path.display())?;
    if !meta.is_file() {
        return Err(fault(path, "not a regular file"));
    }
    if meta.len() > LARGEST {
        let words = format!("{} bytes are more than the {LARGEST} that are read", meta.len());
        return Err(fault(path, words));
    }
    // One byte more than the file has, so that the end is seen without growing the buffer.
    let mut text = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1);
    file.take(LARGEST + 1).read_to_end(&mut text).at(Step::ReadConfig, || path.display())?;
    if text.len() as u64 > LARGEST {
        return Err(fault(path, "grows while it is read"));
    }
    Ok(text)
}

fn read_stream(path: &Path, stream: impl Read) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    stream.take(LARGEST + 1).read_to_end(&mut text).at(Step::ReadConfig, || path.display())?;
    if text.len() as u64 > LARGEST {
        return Err(fault(path, format!("is longer than the {LARGEST} bytes that are read")));
    }
    Ok(text)
}

/// Opens for reading without waiting: a FIFO must not hang us.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

fn fault(path: &Path, words: impl Into<String>) -> Error {
    Error::rule(Step::ReadConfig, path.display(), words)
}

/// Serde's error in the user's terms: where, which field, what is wanted.
fn explain(path: &Path, text: &[u8], error: &serde_json::Error) -> Error {
    if !error.is_data() {
        let (line, column) = (error.line(), error.column());
        return fault(path, format!("line {line}, column {column}: {}", reword(error)));
    }
    match locate::field_at(text, fault_offset(text, error)) {
        Some((field, start)) => at_field(path, text, &field, start, error),
        None => fault(path, reword(error)),
    }
}

/// The same for a fault found in `repaired`: named there, placed in the user's `text`.
fn explain_repaired(path: &Path, text: &[u8], repaired: &[u8], error: &serde_json::Error) -> Error {
    let field = locate::field_at(repaired, fault_offset(repaired, error)).map(|(f, _)| f);
    let start = field.as_deref().and_then(|f| locate::offset_of(text, f));
    match (field, start) {
        (Some(field), Some(start)) => at_field(path, text, &field, start, error),
        (Some(field), None) => fault(path, format!("{field}: {}", reword(error))),
        (None, _) => fault(path, reword(error)),
    }
}

fn at_field(path: &Path, text: &[u8], field: &str, at: usize, error: &serde_json::Error) -> Error {
    let (line, column) = locate::position(text, at);
    let words = reword(error);
    let known = RUNCS_WORDS.iter().find(|(prefix, _)| field.starts_with(prefix));
    let known = known.map(|(_, words)| format!("{words}: ")).unwrap_or_default();
    let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
    fault(path, format!("line {line}, column {column}: {field}{known}{words}"))
}

/// What runc says of values that it refuses after its parse and we in ours.
const RUNCS_WORDS: &[(&str, &str)] = &[
    ("linux.memoryPolicy.flags", "invalid memory policy flag"),
    ("linux.memoryPolicy", "invalid memory policy mode"),
];

/// The offset of the faulty value. serde_json points at the last byte it has read, which stands
/// *before* an object or array that it did not expect.
fn fault_offset(text: &[u8], error: &serde_json::Error) -> usize {
    let offset = locate::offset(text, error.line(), error.column());
    match text.get(offset + 1) {
        Some(b'{' | b'[') if error.to_string().starts_with("invalid type: ") => offset + 1,
        _ => offset,
    }
}

/// Serde's words, with Rust's type names replaced by JSON's and without the position.
fn reword(error: &serde_json::Error) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("invalid type: ", "wrong type: "),
        ("invalid value: ", "value out of range: "),
        ("unknown variant ", "unknown value "),
        ("expected a sequence", "expected an array"),
        ("invalid length 0", "empty array"),
        ("wrong type: map", "wrong type: object"),
        ("wrong type: sequence", "wrong type: array"),
        ("expected u16", "expected a number from 0 to 65535"),
        ("expected u32", "expected a number from 0 to 4294967295"),
        ("expected u64", "expected a number from 0 to 18446744073709551615"),
        ("expected usize", "expected a number from 0 to 18446744073709551615"),
        ("expected i32", "expected a number from -2147483648 to 2147483647"),
        ("expected i64", "expected a number from -9223372036854775808 to 9223372036854775807"),
        ("expected a map", "expected an object"),
        ("expected path string", "expected a string"),
        ("expected a boolean", "expected true or false"),
    ];
    let text = error.to_string();
    let mut text = match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    };
    for (serde, ours) in WORDS {
        text = text.replace(serde, ours);
    }
    match text.find("expected struct ") {
        Some(start) => format!("{}expected an object", &text[..start]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
