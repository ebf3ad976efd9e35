//! The container's log: Docker's json-file, byte for byte, with rotation.
//!
//! One object a line: `{"log":"text\n","stream":"stdout","time":"…"}`. A line of the program that
//! is longer than 16 KiB is several objects, of which only the last ends with `\n`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::container::record::Record;
use crate::error::{Error, Result, What};
use crate::format::{size, time::Timestamp};

/// Longest piece of a line in one object.
const LONGEST: usize = 16 << 10;

/// Which stream of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// stdout, or the terminal.
    Output,
    /// stderr.
    Errors,
}

impl Stream {
    const fn name(self) -> &'static str {
        match self {
            Self::Output => "stdout",
            Self::Errors => "stderr",
        }
    }
}

/// `--log-driver` and `--log-opt`, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Nothing is written with the driver `none`.
    pub on: bool,
    /// Bytes of a file before the next one is begun; 0 for no limit.
    pub max_size: u64,
    /// Files that are kept.
    pub max_files: u32,
}

impl Settings {
    /// Reads the flags of a record.
    ///
    /// # Errors
    /// A driver or an option that does not exist here.
    pub fn of(record: &Record) -> Result<Self> {
        let basics = &record.flags.basics;
        let mut settings = Self { on: true, max_size: 0, max_files: 1 };
        match basics.log_driver.as_str() {
            "json-file" | "" => {}
            "none" => settings.on = false,
            other => {
                return Err(Error::new(format!("logger: no log driver named '{other}'"))
                    .fix("drivers are json-file and none"));
            }
        }
        for text in &basics.log_opt {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let bad = |why: &str| Error::new(format!("invalid --log-opt: \"{text}\"")).why(why);
            match name {
                "max-size" => {
                    let size = size::parse(value).filter(|size| *size > 0);
                    settings.max_size = size.ok_or_else(|| bad("it is no size"))?;
                }
                "max-file" => {
                    let count = value.parse().ok().filter(|count| *count > 0);
                    settings.max_files = count.ok_or_else(|| bad("it is no number above 0"))?;
                }
                _ => return Err(bad("the json-file log has no such option")),
            }
        }
        if settings.max_files > 1 && settings.max_size == 0 {
            return Err(Error::new("--log-opt max-file needs max-size beside it"));
        }
        Ok(settings)
    }
}

/// The log of one container while its monitor is at work.
#[derive(Debug)]
pub struct Log {
    settings: Settings,
    path: PathBuf,
    file: Option<File>,
    size: u64,
    output: Vec<u8>,
    errors: Vec<u8>,
}

/// Where the log of a container is.
pub fn path(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("{id}-json.log"))
}

impl Log {
    /// Opens it for appending.
    ///
    /// # Errors
    /// The disk is full; the directory is gone.
    pub fn open(path: PathBuf, settings: Settings) -> Result<Self> {
        let mut log =
            Self { settings, path, file: None, size: 0, output: Vec::new(), errors: Vec::new() };
        if settings.on {
            let what = || format!("cannot open the log {}", log.path.display());
            let file = append(&log.path).what(what)?;
            log.size = file.metadata().what(what)?.len();
            log.file = Some(file);
        }
        Ok(log)
    }

    /// Takes what the program has written.
    ///
    /// # Errors
    /// The disk is full: the program goes on, what it wrote is lost.
    pub fn take(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let mut rest = std::mem::take(self.waiting(stream));
        rest.extend_from_slice(bytes);
        let mut entries = Vec::with_capacity(rest.len() + 128);
        let mut begin = 0;
        while let Some(piece) = next_piece(rest.get(begin..).unwrap_or_default()) {
            entry(&mut entries, stream, piece, now);
            begin += piece.len();
        }
        rest.drain(..begin);
        *self.waiting(stream) = rest;
        self.write(&entries)
    }

    /// The stream has ended: what had no end of line is written as it is.
    ///
    /// # Errors
    /// As [`Log::take`].
    pub fn finish(&mut self, now: Timestamp) -> io::Result<()> {
        for stream in [Stream::Output, Stream::Errors] {
            let rest = std::mem::take(self.waiting(stream));
            if !rest.is_empty() && self.file.is_some() {
                let mut entries = Vec::new();
                entry(&mut entries, stream, &rest, now);
                self.write(&entries)?;
            }
        }
        Ok(())
    }

    fn waiting(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Output => &mut self.output,
            Stream::Errors => &mut self.errors,
        }
    }

    fn write(&mut self, entries: &[u8]) -> io::Result<()> {
        if self.settings.max_size > 0 && self.size >= self.settings.max_size {
            self.rotate()?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(entries)?;
            self.size += entries.len() as u64;
        }
        Ok(())
    }

    /// `log` becomes `log.1`, `log.1` becomes `log.2`, the last one goes.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| match number {
            0 => self.path.clone(),
            number => PathBuf::from(format!("{}.{number}", self.path.display())),
        };
        for number in (0..self.settings.max_files.saturating_sub(1)).rev() {
            match std::fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.settings.max_files == 1 {
            std::fs::remove_file(&self.path)?;
        }
        self.file = Some(append(&self.path)?);
        self.size = 0;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// A whole line, or as much of one as fits.
fn next_piece(bytes: &[u8]) -> Option<&[u8]> {
    let window = bytes.get(..LONGEST).unwrap_or(bytes);
    match window.iter().position(|byte| *byte == b'\n') {
        Some(end) => window.get(..=end),
        None if window.len() == LONGEST => Some(window),
        None => None,
    }
}

fn entry(out: &mut Vec<u8>, stream: Stream, text: &[u8], now: Timestamp) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(out, text);
    // Writing to memory does not fail.
    let _ = writeln!(out, "\",\"stream\":\"{}\",\"time\":\"{now}\"}}", stream.name());
}

/// JSON's escapes as Go writes them.
fn escape(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut utf8 = [0; 4];
            let _ = match c {
                '"' => out.write(b"\\\""),
                '\\' => out.write(b"\\\\"),
                '\n' => out.write(b"\\n"),
                '\r' => out.write(b"\\r"),
                '\t' => out.write(b"\\t"),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                    write!(out, "\\u{:04x}", u32::from(c)).map(|()| 0)
                }
                c => out.write(c.encode_utf8(&mut utf8).as_bytes()),
            };
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp { seconds: 0, nanos: 5 };

    fn log(name: &str, settings: Settings) -> Log {
        let name = format!("pier-log-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        Log::open(path, settings).unwrap()
    }

    const PLAIN: Settings = Settings { on: true, max_size: 0, max_files: 1 };

    #[test]
    fn bytes_are_dockers() {
        let mut log = log("bytes", PLAIN);
        log.take(Stream::Output, b"hel", NOW).unwrap();
        log.take(Stream::Errors, b"oops\n", NOW).unwrap();
        log.take(Stream::Output, b"lo\na<\"\\\x01\xff", NOW).unwrap();
        log.finish(NOW).unwrap();
        let text = std::fs::read_to_string(&log.path).unwrap();
        std::fs::remove_file(&log.path).unwrap();
        let time = NOW.to_string();
        let line = |text: &str, stream: &str| {
            format!("{{\"log\":\"{text}\",\"stream\":\"{stream}\",\"time\":\"{time}\"}}\n")
        };
        let expected = [
            line("oops\\n", "stderr"),
            line("hello\\n", "stdout"),
            line("a\\u003c\\\"\\\\\\u0001\\ufffd", "stdout"),
        ];
        assert_eq!(text, expected.concat());
    }

    #[test]
    fn a_long_line_is_cut_and_none_of_it_lost() {
        let mut log = log("long", PLAIN);
        log.take(Stream::Output, &vec![b'x'; LONGEST + 10], NOW).unwrap();
        log.take(Stream::Output, b"\n", NOW).unwrap();
        let text = std::fs::read_to_string(&log.path).unwrap();
        std::fs::remove_file(&log.path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(text.matches('x').count(), LONGEST + 10);
    }

    #[test]
    fn files_rotate_and_the_oldest_goes() {
        let mut log = log("rotate", Settings { on: true, max_size: 100, max_files: 2 });
        for number in 0..6 {
            log.take(Stream::Output, format!("{number}{}\n", "y".repeat(90)).as_bytes(), NOW)
                .unwrap();
        }
        let old = PathBuf::from(format!("{}.1", log.path.display()));
        let (new_text, old_text) =
            (std::fs::read_to_string(&log.path).unwrap(), std::fs::read_to_string(&old).unwrap());
        assert!(
            new_text.contains("\"5y") && old_text.contains("\"4y") && !old_text.contains("\"3y")
        );
        assert!(!PathBuf::from(format!("{}.2", log.path.display())).exists());
        std::fs::remove_file(&log.path).unwrap();
        std::fs::remove_file(old).unwrap();
    }

    #[test]
    fn options_are_checked() {
        let of = |driver: &str, options: &[&str]| {
            let mut record = Record::default();
            record.flags.basics.log_driver = driver.into();
            record.flags.basics.log_opt = options.iter().map(|o| (*o).to_owned()).collect();
            Settings::of(&record)
        };
        assert_eq!(of("json-file", &["max-size=10k"]).unwrap().max_files, 1);
        assert!(!of("none", &[]).unwrap().on);
        assert!(of("syslog", &[]).is_err());
        for option in ["max-size=x", "max-file=0", "max-file=3", "colour=red"] {
            assert!(of("json-file", &[option]).is_err(), "{option}");
        }
    }
}
