//! `cp`: files and directories between a container and the machine, either way; `-` is an archive
//! on stdin or stdout.
//!
//! A copy is a stream of archive entries: [`walk`] reads a tree, an archive is read from stdin;
//! [`plant`] writes into a tree, or an archive goes to stdout. [`place`] looks paths up so that
//! nothing leads out of the container, [`inside`] opens its root. What a path means is Docker's
//! (docker(1) "cp"): a source that ends in `/.` stands for its content.

mod inside;
mod place;
mod plant;
mod walk;

use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader, BufWriter, IsTerminal};
use std::os::unix::ffi::OsStrExt;

use super::Container;
use super::record::Record;
use crate::Context;
use crate::bundle::user::Accounts;
use crate::error::{Error, Result, What, plain};
use crate::format::size;
use crate::layer::{compress, tar};
use inside::Inside;
use place::{Real, Root, base, clean, parent};
use plant::{Owner, Plant};
use walk::{Sink, Walk};

/// `cp`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "A directory is copied with all that is in it, under its own name where DEST is a \
directory;\nSRC/. is its content alone. One of both sides may be -, an archive on stdin or stdout.

Examples:
  pier cp web:/var/log/nginx ./logs
  pier cp ./site/. web:/srv/www
  pier cp web:/etc/passwd - | tar xO"
)]
pub struct Args {
    /// Into a container: everything is its user's. Out of one: owners are kept
    #[arg(short, long)]
    archive: bool,
    /// Follow the source when it is a symbolic link
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Do not say what was copied; so without a terminal
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    quiet: Option<bool>,
    /// CONTAINER:PATH, a path of this machine, or - for an archive on stdin
    #[arg(value_name = "SRC")]
    source: OsString,
    /// CONTAINER:PATH, a path of this machine, or - for an archive on stdout
    #[arg(value_name = "DEST")]
    destination: OsString,
}

/// Copies.
///
/// # Errors
/// A path that is not there, something in the way, a container or volume that is read-only; what
/// was copied before stays.
pub fn cp(context: &Context, args: &Args) -> Result<u8> {
    for (word, name) in [(&args.source, "source"), (&args.destination, "destination")] {
        if word.is_empty() {
            return Err(Error::new(format!("{name} can not be empty")));
        }
    }
    let (from, to) = (split(&args.source), split(&args.destination));
    let (bytes, place) = match (from, to) {
        ((Some(from), path), (None, to)) => out(context, args, (from, path), to.as_bytes())?,
        ((None, from), (Some(to), path)) => into(context, args, from.as_bytes(), (to, path))?,
        ((Some(_), _), (Some(_), _)) => {
            return Err(Error::new("copying between containers is not supported")
                .fix("take the way over an archive: pier cp A:/src - | pier cp - B:/dest"));
        }
        ((None, _), (None, _)) => {
            return Err(Error::new("must specify at least one container source")
                .fix("write the container in front of its path: NAME:/path"));
        }
    };
    let quiet = args.quiet.unwrap_or_else(|| !io::stdout().is_terminal());
    if !quiet && args.destination != "-" {
        // Who has closed stderr does not want to know.
        let _ = io::Write::write_all(
            &mut io::stderr(),
            format!("Successfully copied {} to {place}\n", size::decimal(bytes)).as_bytes(),
        );
    }
    Ok(0)
}

/// `CONTAINER:PATH`; a path of this machine begins with `/` or `.`, or has no colon.
fn split(word: &OsStr) -> (Option<&str>, &OsStr) {
    let bytes = word.as_bytes();
    let colon = bytes.iter().position(|byte| *byte == b':');
    let colon = colon.filter(|_| !bytes.starts_with(b"/") && !bytes.starts_with(b"."));
    let named = colon.and_then(|at| Some((str::from_utf8(&bytes[..at]).ok()?, &bytes[at + 1..])));
    match named {
        Some((name, path)) if !name.is_empty() => (Some(name), OsStr::from_bytes(path)),
        _ => (None, word),
    }
}

/// What a path says of itself by its end.
struct Asked {
    /// Absolute, taken back in words.
    path: Vec<u8>,
    /// It ends in `/.`: the content alone.
    content: bool,
    /// It ends in `/` or `/.`: a directory.
    directory: bool,
}

impl Asked {
    fn of(path: &[u8]) -> Self {
        let content = path == b"." || path.ends_with(b"/.");
        Self { path: clean(path), content, directory: content || path.ends_with(b"/") }
    }

    /// A path of this machine, from the current directory.
    fn local(path: &[u8]) -> Result<Self> {
        if path.starts_with(b"/") {
            return Ok(Self::of(path));
        }
        let here = std::env::current_dir().what(|| "there is no current directory".into())?;
        Ok(Self::of(&[here.as_os_str().as_bytes(), b"/", path].concat()))
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

/// A source that was found.
struct Source {
    real: Real,
    /// What the archive calls it.
    name: Vec<u8>,
}

impl Source {
    /// Looks a source up; `wrong` makes words of what is not there.
    fn find(root: &Root, asked: &Asked, follow: bool) -> io::Result<Self> {
        let real = root.real(&asked.path, follow || asked.directory)?;
        if real.stat.is_none() {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        if asked.directory && !real.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
        let name = if asked.content { b"." } else { base(&asked.path) };
        Ok(Self { real, name: name.to_vec() })
    }

    /// Reads all of it into `sink`; how many bytes an archive of it has.
    fn copy(&self, root: &Root, name: &[u8], sink: &mut dyn Sink) -> io::Result<u64> {
        let mut walk = Walk::new(sink);
        let path = &self.real.path;
        match base(path) {
            b"/" => walk.tree(root, b".", name)?,
            last => walk.tree(root.directory(parent(path))?, last, name)?,
        }
        Ok(walk.bytes)
    }
}

/// Where a copy goes: a directory, and the name that the source gets in it.
struct Target {
    directory: Vec<u8>,
    name: Vec<u8>,
}

impl Target {
    /// Docker's table: `PrepareArchiveCopy` of moby's `pkg/archive`.
    ///
    /// # Errors
    /// A directory that would replace a file; a directory that is not there.
    fn of(there: &Real, asked: &Asked, source: &Source) -> Result<Self> {
        let beside =
            || Self { directory: parent(&there.path).to_vec(), name: base(&there.path).to_vec() };
        // A file that is called a directory is as good as not there.
        let exists = there.stat.is_some() && (there.is_dir() || !asked.directory);
        match (exists, source.real.is_dir()) {
            (true, _) if there.is_dir() => {
                Ok(Self { directory: there.path.clone(), name: source.name.clone() })
            }
            (true, true) => Err(Error::new("cannot copy directory")
                .why(format!("{} is a file", String::from_utf8_lossy(&there.path)))),
            (false, false) if asked.directory => {
                Err(Error::new("no such directory").why(asked.shown()))
            }
            _ => Ok(beside()),
        }
    }
}

/// What stands at a destination. A link to itself is replaced.
fn destination(root: &Root, asked: &Asked) -> io::Result<Real> {
    match root.real(&asked.path, true) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => root.real(&asked.path, false),
        other => other,
    }
}

/// Out of a container; how many bytes, and where they went.
fn out(context: &Context, args: &Args, from: (&str, &OsStr), to: &[u8]) -> Result<(u64, String)> {
    let local = if to == b"-" { None } else { Some(Out::find(to)?) };
    let (container, record) = container(context, from)?;
    let inside = Inside::open(context, &container, &record)?;
    let asked = Asked::of(from.1.as_bytes());
    let source = Source::find(&inside.root, &asked, args.follow_link);
    let mut source = source.map_err(|error| not_found(&error, &asked.path, from.0))?;
    let what = || format!("cannot copy {}:{}", from.0, asked.shown());
    let Some(local) = local else {
        if !asked.directory {
            source.name = base(&source.real.path).to_vec();
        }
        let mut archive = tar::Writer::new(BufWriter::with_capacity(256 << 10, io::stdout()));
        let bytes = source.copy(&inside.root, &source.name, &mut archive).what(what)?;
        archive.finish().what(what)?;
        return Ok((bytes, "-".into()));
    };
    let target = Target::of(&local.real, &local.asked, &source)?;
    // Nothing that the container does shows a way out of this directory.
    let root = local.machine.directory(&target.directory).what(what)?;
    let owner = if args.archive { Owner::Kept } else { Owner::Caller };
    let root = Root::of(root);
    let mut plant = Plant::new(&root, b"", &target.directory, owner);
    let bytes = source.copy(&inside.root, &target.name, &mut plant).what(what)?;
    plant.finish().what(what)?;
    Ok((bytes, local.asked.shown()))
}

/// A destination on this machine.
struct Out {
    machine: Root,
    asked: Asked,
    real: Real,
}

impl Out {
    fn find(path: &[u8]) -> Result<Self> {
        let asked = Asked::local(path)?;
        let shown = asked.shown();
        let machine = Root::machine().what(|| "cannot open /".into())?;
        let real = destination(&machine, &asked).what(|| format!("stat {shown}"))?;
        let above = String::from_utf8_lossy(parent(&real.path)).into_owned();
        if real.stat.is_none() && machine.directory(parent(&real.path)).is_err() {
            return Err(Error::new("invalid output path")
                .why(format!("directory {above:?} does not exist"))
                .fix(format!("make it first: mkdir -p {above}")));
        }
        if real.is_device() {
            let why = format!("{shown:?} must be a directory or a regular file: got a device");
            return Err(Error::new("invalid output path").why(why));
        }
        Ok(Self { machine, asked, real })
    }
}

/// Into a container; how many bytes, and where they went.
fn into(context: &Context, args: &Args, from: &[u8], to: (&str, &OsStr)) -> Result<(u64, String)> {
    // What is wrong with the source is told first, as Docker does, and before anything is mounted.
    let local = if from == b"-" { None } else { Some(In::find(from, args.follow_link)?) };
    let (container, record) = container(context, to)?;
    let inside = Inside::open(context, &container, &record)?;
    let (root, asked) = (&inside.root, Asked::of(to.1.as_bytes()));
    let named = format!("{}:{}", to.0, to.1.display());
    let there = destination(root, &asked);
    let there = there.map_err(|error| not_found(&error, &asked.path, to.0))?;
    if there.is_device() {
        return Err(Error::new(format!(
            "destination \"{named}\" must be a directory or a regular file: got a device"
        )));
    }
    let owner = owner(args, &record, root)?;
    let target = match &local {
        Some(local) => Target::of(&there, &asked, &local.source)?,
        None if there.is_dir() => Target { directory: there.path.clone(), name: Vec::new() },
        None => return Err(Error::new(format!("destination \"{named}\" must be a directory"))),
    };
    let dir = root.directory(&target.directory);
    let dir = dir.map_err(|error| not_found(&error.into(), &target.directory, to.0))?;
    inside::check_writable(&record, &target.directory, inside.runs)?;
    let vfs = rustix::fs::fstatvfs(&dir).what(|| format!("cannot look at {named}"))?;
    if vfs.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Err(inside::root_is_read_only());
    }
    let what = || format!("cannot copy to {named}");
    let mut plant = Plant::new(root, &target.directory, &target.directory, owner);
    let bytes = match &local {
        Some(In { machine, source }) => source.copy(machine, &target.name, &mut plant),
        None => unpack(&mut plant),
    };
    let bytes = bytes.what(what)?;
    plant.finish().what(what)?;
    Ok((bytes, format!("{}:{}", to.0, String::from_utf8_lossy(&there.path))))
}

/// A source on this machine.
struct In {
    machine: Root,
    source: Source,
}

impl In {
    fn find(path: &[u8], follow: bool) -> Result<Self> {
        let asked = Asked::local(path)?;
        let machine = Root::machine().what(|| "cannot open /".into())?;
        let source = Source::find(&machine, &asked, follow);
        let source = source.what(|| format!("lstat {}", asked.shown()))?;
        Ok(Self { machine, source })
    }
}

/// Takes an archive from stdin, compressed or not.
fn unpack(plant: &mut Plant<'_>) -> io::Result<u64> {
    let stdin = BufReader::with_capacity(256 << 10, io::stdin());
    let (_, stream) = compress::decompress(stdin)?;
    let mut archive = tar::Reader::new(BufReader::with_capacity(256 << 10, stream));
    let mut bytes = 1024;
    while let Some(entry) = archive.next_entry()? {
        bytes += 512 + entry.size.next_multiple_of(512);
        plant.take(&entry, &mut archive).map_err(|error| {
            let path = String::from_utf8_lossy(&entry.path);
            io::Error::new(error.kind(), format!("{path}: {}", plain(&error)))
        })?;
    }
    archive.drain()?;
    Ok(bytes)
}

/// The container, when there is a path behind it.
fn container(context: &Context, (name, path): (&str, &OsStr)) -> Result<(Container, Record)> {
    if path.is_empty() {
        return Err(Error::new("bad parameter: path cannot be empty")
            .fix(format!("write {name}:/ for the whole container")));
    }
    let container = Container::find(context, name)?;
    let record = container.record()?;
    Ok((container, record))
}

/// Docker's words for what a container does not have.
fn not_found(error: &io::Error, path: &[u8], name: &str) -> Error {
    let path = String::from_utf8_lossy(path);
    match error.raw_os_error() {
        Some(libc::ENOENT) => {
            Error::new(format!("Could not find the file {path} in container {name}"))
        }
        _ => Error::new(format!("lstat {path}")).why(plain(error)),
    }
}

/// Whose the copies in a container are: Docker keeps the numbers, and with `--archive` gives them
/// to the container's user if it has one.
fn owner(args: &Args, record: &Record, root: &Root) -> Result<Owner> {
    let user = record.flags.basics.user.clone().or_else(|| record.config.user.clone());
    match user.filter(|user| args.archive && !user.is_empty()) {
        None => Ok(Owner::Kept),
        Some(user) => {
            let user = Accounts::read(root).user(&user, &[])?;
            Ok(Owner::Given(user.uid, user.gid))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_behind_a_name_makes_a_container() {
        let cases = [
            ("web:/etc", Some("web"), "/etc"),
            ("web:etc:x", Some("web"), "etc:x"),
            ("./web:x", None, "./web:x"),
            ("/web:x", None, "/web:x"),
            ("file", None, "file"),
            (":x", None, ":x"),
            ("-", None, "-"),
        ];
        for (word, name, path) in cases {
            assert_eq!(split(OsStr::new(word)), (name, OsStr::new(path)), "{word}");
        }
    }
}
