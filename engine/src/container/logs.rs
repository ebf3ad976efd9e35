//! `logs`: what the container has written, and what it still writes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use libcontainer::sys::fd::{PollFd, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use serde::Deserialize;

use super::Container;
use crate::Context;
use crate::error::{Error, Result, What};
use crate::format::time::Timestamp;
use crate::monitor::log::{self, Settings};
use crate::monitor::wire::{Connection, Down, Up, Wants};

/// `logs`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Go on while the container runs
    #[arg(short, long)]
    follow: bool,
    /// Only from this time on: RFC 3339, seconds since 1970, or how long ago (10m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only until this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only so many lines of the end, or all
    #[arg(
        short = 'n',
        long,
        value_name = "NUMBER",
        default_value = "all",
        hide_default_value = true
    )]
    tail: String,
    /// Show when each line was written
    #[arg(short, long)]
    timestamps: bool,
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
}

/// Prints the log.
///
/// # Errors
/// The container has none; a time or a number that is none.
pub fn logs(context: &Context, args: &Args) -> Result<u8> {
    let container = Container::find(context, &args.container)?;
    let record = container.record()?;
    if !Settings::of(&record)?.on {
        return Err(Error::new("configured logging driver does not support reading")
            .why(format!("container {} was made with --log-driver none", record.name)));
    }
    let printer = Printer::new(args)?;
    let path = log::path(&container.dir, &container.id);
    // Before the first look at the file, so that nothing falls between.
    let live = match args.follow {
        true => Connection::open(&container.live)?,
        false => None,
    };
    let live = live.map(|connection| Live::begin(connection, &container.dir)).transpose()?;
    let mut rest = printer.print_old(&path, tail(&args.tail)?)?;
    if let (Some(live), Some(rest)) = (live, &mut rest) {
        live.follow(&path, rest, &printer)?;
    }
    Ok(0)
}

fn tail(text: &str) -> Result<Option<usize>> {
    match text {
        "all" | "-1" => Ok(None),
        number => number.parse().map(Some).map_err(|_| {
            Error::new(format!("invalid argument \"{number}\" for --tail"))
                .fix("write a number of lines, or all")
        }),
    }
}

/// A line of the log file.
#[derive(Deserialize)]
struct Entry {
    log: String,
    stream: String,
    time: String,
}

/// What is shown of each entry.
struct Printer {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    times: bool,
}

impl Printer {
    fn new(args: &Args) -> Result<Self> {
        let now = Timestamp::now();
        let point = |flag: &str, text: &Option<String>| {
            let point = text.as_deref().map(|text| {
                let bad = || Error::new(format!("invalid argument \"{text}\" for --{flag}"));
                Timestamp::point(text, now)
                    .ok_or_else(|| bad().fix("write a time such as 2026-01-31T10:00:00Z, or 10m"))
            });
            point.transpose()
        };
        Ok(Self {
            since: point("since", &args.since)?,
            until: point("until", &args.until)?,
            times: args.timestamps,
        })
    }

    /// Prints what is there, the oldest file first; the last file, read to its end.
    fn print_old(&self, path: &Path, tail: Option<usize>) -> Result<Option<Rest>> {
        let what = || format!("cannot read {}", path.display());
        let mut last = VecDeque::new();
        let mut rest = None;
        for path in files(path) {
            let mut file = Rest::open(&path).what(what)?;
            while let Some(line) = file.line().what(what)? {
                let Some(entry) = self.wanted(&line) else { continue };
                match tail {
                    None => self.print(&entry)?,
                    Some(0) => {}
                    Some(most) => {
                        if last.len() == most {
                            last.pop_front();
                        }
                        last.push_back(entry);
                    }
                }
            }
            rest = Some(file);
        }
        for entry in last {
            self.print(&entry)?;
        }
        Ok(rest)
    }

    fn wanted(&self, line: &[u8]) -> Option<Entry> {
        let entry: Entry = serde_json::from_slice(line).ok()?;
        if self.since.is_none() && self.until.is_none() {
            return Some(entry);
        }
        let time = Timestamp::parse(&entry.time)?;
        let inside = self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time <= until);
        inside.then_some(entry)
    }

    fn print(&self, entry: &Entry) -> Result<()> {
        let time = if self.times { format!("{} ", entry.time) } else { String::new() };
        let written = match entry.stream.as_str() {
            "stderr" => write(io::stderr().lock(), &time, &entry.log),
            _ => write(io::stdout().lock(), &time, &entry.log),
        };
        written.what(|| "cannot write the log to its reader".into())
    }
}

fn write(mut to: impl Write, time: &str, text: &str) -> io::Result<()> {
    to.write_all(time.as_bytes())?;
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// The log's files, the oldest first.
fn files(path: &Path) -> Vec<PathBuf> {
    let numbered = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    let mut files: Vec<_> = (1..).map(numbered).take_while(|file| file.exists()).collect();
    files.reverse();
    files.push(path.to_owned());
    files.retain(|file| file.exists());
    files
}

/// A file that is read as far as it goes, and further when it has grown.
struct Rest {
    reader: BufReader<File>,
    partial: Vec<u8>,
}

impl Rest {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { reader: BufReader::new(File::open(path)?), partial: Vec::new() })
    }

    /// A whole line; `None` when there is none yet.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.reader.read_until(b'\n', &mut self.partial)?;
        let whole = self.partial.last() == Some(&b'\n');
        Ok(whole.then(|| std::mem::take(&mut self.partial)))
    }

    /// Whether `path` is another file by now.
    fn is_replaced(&self, path: &Path) -> bool {
        let now = std::fs::metadata(path).map(|meta| meta.ino());
        let ours = self.reader.get_ref().metadata().map(|meta| meta.ino());
        matches!((now, ours), (Ok(now), Ok(ours)) if now != ours)
    }
}

/// A container that still writes: its monitor, and a watch on its directory.
struct Live {
    connection: Connection,
    watch: OwnedFd,
}

impl Live {
    fn begin(connection: Connection, dir: &Path) -> Result<Self> {
        let what = || format!("cannot watch {}", dir.display());
        connection.say(&Up::Hello(Wants::default()))?;
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).what(what)?;
        let events = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        inotify::add_watch(&watch, dir, events).what(what)?;
        Ok(Self { connection, watch })
    }

    /// Prints until the monitor says that it was all, or is gone.
    fn follow(&self, path: &Path, rest: &mut Rest, printer: &Printer) -> Result<()> {
        let what = || format!("cannot read {}", path.display());
        let mut over = false;
        loop {
            while let Some(line) = rest.line().what(what)? {
                if let Some(entry) = printer.wanted(&line) {
                    printer.print(&entry)?;
                }
            }
            if rest.is_replaced(path) {
                *rest = Rest::open(path).what(what)?;
                continue;
            }
            if over {
                return Ok(());
            }
            over = self.wait()?;
        }
    }

    /// Waits for more; whether there will be none.
    fn wait(&self) -> Result<bool> {
        let mut fds = [
            PollFd::new(self.watch.as_fd(), libc::POLLIN),
            PollFd::new(self.connection.as_fd(), libc::POLLIN),
        ];
        poll(&mut fds, -1).what(|| "cannot wait for the log".into())?;
        if fds[0].is_ready() {
            let mut events = [0; 4096];
            // Which file has changed does not matter.
            while rustix::io::read(&self.watch, &mut events).is_ok_and(|length| length > 0) {}
        }
        if !fds[1].is_ready() {
            return Ok(false);
        }
        let heard = self.connection.hear()?;
        Ok(matches!(heard, None | Some(Down::Ended(_) | Down::Failed(_))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_when_it_is_whole() {
        let path = std::env::temp_dir().join(format!("pier-logs-{}", std::process::id()));
        std::fs::write(&path, "a\nb").unwrap();
        let mut rest = Rest::open(&path).unwrap();
        assert_eq!(rest.line().unwrap().as_deref(), Some(&b"a\n"[..]));
        assert_eq!(rest.line().unwrap(), None);
        File::options().append(true).open(&path).unwrap().write_all(b"c\n").unwrap();
        assert_eq!(rest.line().unwrap().as_deref(), Some(&b"bc\n"[..]));
        assert!(!rest.is_replaced(&path));
        std::fs::rename(&path, path.with_extension("1")).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(rest.is_replaced(&path));
        assert_eq!(files(&path), [path.with_extension("1"), path.clone()]);
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(path.with_extension("1")).unwrap();
    }

    #[test]
    fn tails_are_numbers() {
        assert_eq!(tail("all").unwrap(), None);
        assert_eq!(tail("5").unwrap(), Some(5));
        assert!(tail("few").is_err());
    }
}
