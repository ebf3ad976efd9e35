//! Creates the container and starts its program: linked in, or through another OCI runtime.
//!
//! Either way the program gets its streams by inheritance, and its first process becomes ours to
//! wait for: a child, or an orphan of the other runtime that a subreaper adopts.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use libcontainer::create::Container as Created;
use libcontainer::host::Host;
use libcontainer::plan::{Options, Plan};
use libcontainer::spec::Spec;
use libcontainer::state::process::ProcessId;
use libcontainer::sys::fd;
use libcontainer::sys::signal::{self, SigSet};
use libcontainer::{Step, Store, verbs};
use rustix::process::{Signal, getpid, kill_process};

use super::prepare::Prepared;
use crate::Context;
use crate::container::record::Record;
use crate::error::{ENGINE, Error, NOT_EXECUTABLE, NOT_FOUND, Result, What};

/// Our ends of the program's streams.
#[derive(Debug, Default)]
pub struct Streams {
    /// Where its stdin is written.
    pub input: Option<OwnedFd>,
    /// Where its stdout is read.
    pub output: Option<OwnedFd>,
    /// Where its stderr is read.
    pub errors: Option<OwnedFd>,
    /// The terminal, which is all three.
    pub terminal: Option<OwnedFd>,
}

/// A container that waits for its start.
pub struct Launched {
    /// The first process.
    pub init: ProcessId,
    /// Our ends.
    pub streams: Streams,
    kind: Kind,
}

enum Kind {
    Linked(Box<(Plan, Created)>),
    Foreign(Foreign),
}

/// Another runtime.
struct Foreign {
    program: PathBuf,
    root: PathBuf,
    id: String,
}

/// Creates the container.
///
/// # Errors
/// The runtime's; nothing of the container is left.
pub fn create(context: &Context, record: &Record, prepared: &Prepared) -> Result<Launched> {
    let tty = record.flags.basics.tty;
    let mut streams = Streams::default();
    let stdio = match tty {
        true => Stdio::null()?,
        false => Stdio::pipes(&mut streams, record.flags.basics.interactive)?,
    };
    let kind = match &record.flags.basics.runtime {
        None => linked(context, record, prepared)?,
        Some(program) => foreign(context, record, prepared, program, &mut streams)?,
    };
    drop(stdio);
    let (pid, kind) = match kind {
        (pid, Kind::Linked(mut both)) => {
            if let Some(master) = both.1.console.take() {
                streams.terminal = Some(master);
            }
            (pid, Kind::Linked(both))
        }
        other => other,
    };
    let init = ProcessId::of(pid)?;
    Ok(Launched { init, streams, kind })
}

impl Launched {
    /// Lets the program run.
    ///
    /// # Errors
    /// It cannot be executed: codes 126 and 127.
    pub fn start(&mut self) -> Result<()> {
        match &mut self.kind {
            Kind::Linked(both) => both.1.start(&both.0).map_err(of_runtime),
            Kind::Foreign(foreign) => foreign.run(&["start", &foreign.id]),
        }
    }
}

/// Removes what the runtime and the network keep of a container; that there is nothing is as good.
pub fn delete(context: &Context, record: &Record) {
    delete_id(context, &record.id, Some(record));
}

/// As [`delete`], for a container whose record may be damaged: then its runtime was ours.
pub fn delete_id(context: &Context, id: &str, record: Option<&Record>) {
    let other = record.and_then(|record| Some((record, record.flags.basics.runtime.as_ref()?)));
    let warnings = match other {
        None => verbs::delete(&Store::new(context.paths.runtime()), id, true).map_err(Error::from),
        Some((record, program)) => {
            let foreign = Foreign::of(context, record, program);
            foreign.run(&["delete", "--force", &foreign.id]).map(|()| Vec::new())
        }
    };
    // A cgroup that somebody else uses, a rule that does not go: `rm` will try again.
    drop((warnings, crate::net::down(&context.paths, id)));
}

/// Exit codes are Docker's: 127 for a program that is not there, 126 for one that is no program.
pub fn of_runtime(error: libcontainer::Error) -> Error {
    let code = match (error.step, error.errno()) {
        (Step::Exec, Some(libc::ENOENT)) => NOT_FOUND,
        (Step::Exec, None) if error.to_string().contains("not found") => NOT_FOUND,
        (Step::Exec, _) => NOT_EXECUTABLE,
        _ => ENGINE,
    };
    Error::from(error).code(code)
}

fn linked(context: &Context, record: &Record, prepared: &Prepared) -> Result<(i32, Kind)> {
    let make = || -> libcontainer::Result<(Plan, Created)> {
        let spec = Spec::parse(&prepared.bundle.join("config.json"), &prepared.config)?;
        let options = Options {
            id: record.id.clone(),
            bundle: prepared.bundle.clone(),
            state_root: context.paths.runtime(),
            run: true,
            init_name: Some("pier:init".into()),
            ..Options::default()
        };
        let plan = Plan::build(&spec, &Host::probe_for(&spec)?, &options)?;
        let container = libcontainer::create(&plan, &Store::new(context.paths.runtime()))?;
        Ok((plan, container))
    };
    let both = make().map_err(of_runtime)?;
    Ok((both.1.pid(), Kind::Linked(Box::new(both))))
}

/// Makes the pipes; the program's ends are returned in the order of their numbers.
fn pipes(streams: &mut Streams, interactive: bool) -> Result<[OwnedFd; 3]> {
    let what = || "cannot make a pipe".into();
    let input = match interactive {
        true => {
            let (read, write) = fd::pipe().what(what)?;
            nonblocking(&write)?;
            streams.input = Some(write);
            read
        }
        false => File::open("/dev/null").what(|| "cannot open /dev/null".into())?.into(),
    };
    let (output, output_end) = fd::pipe().what(what)?;
    let (errors, errors_end) = fd::pipe().what(what)?;
    nonblocking(&output)?;
    nonblocking(&errors)?;
    (streams.output, streams.errors) = (Some(output), Some(errors));
    Ok([input, output_end, errors_end])
}

/// Only our end: the program's is a file description of its own.
pub(crate) fn nonblocking(end: &OwnedFd) -> Result<()> {
    let set = fd::fcntl_getfl(end).and_then(|flags| fd::fcntl_setfl(end, flags | libc::O_NONBLOCK));
    set.what(|| "cannot change a pipe".into())
}

/// Our own stdio while the runtime is at work, which the program inherits; what it was before when
/// dropped.
pub(crate) struct Stdio([OwnedFd; 3]);

impl Stdio {
    /// Gives the program pipes; the other ends go into `streams`.
    ///
    /// # Errors
    /// Too many descriptors are open.
    pub(crate) fn pipes(streams: &mut Streams, interactive: bool) -> Result<Self> {
        Self::replace(&pipes(streams, interactive)?)
    }

    /// Gives the program nothing.
    ///
    /// # Errors
    /// As [`Stdio::pipes`].
    pub(crate) fn null() -> Result<Self> {
        let what = || "cannot open /dev/null".into();
        let open = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
        let all = open().and_then(|one| Ok([one, open()?, open()?]));
        Self::replace(&all.what(what)?)
    }

    fn replace(ends: &[OwnedFd; 3]) -> Result<Self> {
        let what = || "cannot give the program its streams".into();
        let input = io::stdin().as_fd().try_clone_to_owned();
        let output = io::stdout().as_fd().try_clone_to_owned();
        let errors = io::stderr().as_fd().try_clone_to_owned();
        let saved = Self([input.what(what)?, output.what(what)?, errors.what(what)?]);
        put(ends).what(what)?;
        Ok(saved)
    }
}

fn put([input, output, errors]: &[OwnedFd; 3]) -> rustix::io::Result<()> {
    rustix::stdio::dup2_stdin(input)?;
    rustix::stdio::dup2_stdout(output)?;
    rustix::stdio::dup2_stderr(errors)
}

impl Drop for Stdio {
    fn drop(&mut self) {
        // Held open, the program's ends would never be seen to close. These three were ours: it
        // does not fail.
        let _ = put(&self.0);
    }
}

/// Runs another program without the signals that we have blocked: it would hand them on so.
fn unblocked<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = signal::set_mask(SigSet::EMPTY)?;
    let done = work();
    signal::set_mask(before)?;
    // The container's program may have ended meanwhile, and the signal of that was lost: whoever
    // waits for it looks once more.
    kill_process(getpid(), Signal::CHILD)?;
    done
}

impl Foreign {
    fn of(context: &Context, record: &Record, program: &Path) -> Self {
        let root = context.paths.live(&record.id).join("runtime");
        Self { program: program.to_owned(), root, id: record.id.clone() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).args(args);
        command
    }

    /// Runs one verb; its words are the reason when it fails.
    fn run(&self, args: &[&str]) -> Result<()> {
        let what = || format!("cannot run {}", self.program.display());
        let done = unblocked(|| self.command(args).output()).what(what)?;
        match done.status.success() {
            true => Ok(()),
            false => Err(self.failed(args, &String::from_utf8_lossy(&done.stderr))),
        }
    }

    fn failed(&self, args: &[&str], words: &str) -> Error {
        let verb = args.first().copied().unwrap_or_default();
        let words = words.trim().lines().last().unwrap_or("it gives no reason");
        let code = match words {
            words if words.contains("executable file") && words.contains("not found") => NOT_FOUND,
            words if words.contains("no such file or directory") => NOT_FOUND,
            words if words.contains("ermission denied") => NOT_EXECUTABLE,
            _ => ENGINE,
        };
        Error::new(format!("{} {verb}", self.program.display())).why(words).code(code)
    }
}

/// `create` of another runtime. Its words go to a file: a pipe would be inherited by the program.
fn foreign(
    context: &Context,
    record: &Record,
    prepared: &Prepared,
    program: &Path,
    streams: &mut Streams,
) -> Result<(i32, Kind)> {
    let foreign = Foreign::of(context, record, program);
    let live = context.paths.live(&record.id);
    let (pid_file, log) = (live.join("init.pid"), live.join("runtime.log"));
    let mut command = foreign.command(&["--log"]);
    command.arg(&log).arg("create").arg("--bundle").arg(&prepared.bundle);
    command.arg("--pid-file").arg(&pid_file);
    let console = match record.flags.basics.tty {
        true => Some(super::console::Socket::bind(&live)?),
        false => None,
    };
    if let Some(console) = &console {
        command.arg("--console-socket").arg(console.path());
    }
    let what = || format!("cannot run {}", program.display());
    let status = unblocked(|| command.arg(&record.id).status()).what(what)?;
    if !status.success() {
        let words = std::fs::read_to_string(&log).unwrap_or_default();
        return Err(foreign.failed(&["create"], &words));
    }
    if let Some(console) = console {
        streams.terminal = Some(console.master()?);
    }
    let text = std::fs::read_to_string(&pid_file).what(|| "cannot read the pid file".into())?;
    let pid = text.trim().parse();
    let pid = pid.map_err(|_| Error::new(format!("{} wrote no pid", program.display())))?;
    Ok((pid, Kind::Foreign(foreign)))
}
