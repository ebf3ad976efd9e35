//! `create`: from flags to a container that waits for its first start.
//!
//! The directory is made below `making/`, and renamed when it is whole: a command that is killed
//! leaves nothing that looks like a container ([`litter`]).

use std::fs;
use std::io::Write;
use std::path::Path;

use super::Container;
use super::flags::Shape;
use super::litter::{self, Making};
use super::names;
use super::record::{ImageConfig, Record};
use super::state::State;
use crate::Context;
use crate::bundle::process::{lines, resolve_env};
use crate::bundle::{namespaces, resources, security, units};
use crate::error::{ENGINE, Error, FAILURE, Result, What};
use crate::format::time::Timestamp;
use crate::fsutil::remove_tree;
use crate::monitor::log::Settings;
use crate::monitor::policy::Policy;
use crate::net::flags::Mode;
use crate::store::Store;
use crate::volume;

/// `create`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shape: Shape,
    /// Image to make the container from; with --rootfs a directory
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Program and arguments instead of the image's
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Makes a container and prints its id.
///
/// # Errors
/// Whatever is wrong with the flags; nothing is left behind.
pub fn create(context: &Context, args: &Args) -> Result<u8> {
    let asked = Asked { shape: &args.shape, image: &args.image, command: &args.command };
    // What the client of Docker finds ends with 125, what its daemon finds with 1.
    let container = make(context, &asked, true).map_err(|error| {
        let client = error.what.starts_with("invalid argument");
        error.code(if client { ENGINE } else { FAILURE })
    })?;
    crate::cli::print(&format!("{}\n", container.id))?;
    Ok(0)
}

/// What the command line says.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Flags.
    pub shape: &'a Shape,
    /// First word.
    pub image: &'a str,
    /// The words behind it.
    pub command: &'a [String],
}

/// Makes the container.
///
/// # Errors
/// As [`create`]; exit code 125.
pub fn make(context: &Context, asked: &Asked<'_>, detached: bool) -> Result<Container> {
    make_inner(context, asked, detached).map_err(|error| {
        let code = if error.code == FAILURE { ENGINE } else { error.code };
        error.code(code)
    })
}

fn make_inner(context: &Context, asked: &Asked<'_>, detached: bool) -> Result<Container> {
    let mut record = record(context, asked, detached)?;
    // From here on the image stays until the record that names it is written.
    let _hold = Store::open(&context.paths)?.hold()?;
    super::image::check(&record)?;
    share_network(context, &mut record)?;
    check(&record)?;
    let cidfile = record.flags.basics.cidfile.clone().map(Cidfile::claim).transpose()?;
    let container = Container::of(context, &record.id);
    stage(context, &mut record, &container)?;
    if let Some(cidfile) = cidfile {
        cidfile.write(&record.id)?;
    }
    Ok(container)
}

/// The flags with everything that belongs to the caller read in: environment, files, paths.
fn record(context: &Context, asked: &Asked<'_>, detached: bool) -> Result<Record> {
    let mut flags = asked.shape.clone();
    let basics = &mut flags.basics;
    let mut env = Vec::new();
    for file in std::mem::take(&mut basics.env_file) {
        env.extend(read_lines(&file)?);
    }
    env.append(&mut basics.env);
    basics.env = resolve_env(&env, |name| std::env::var(name).ok())?;
    let mut labels = Vec::new();
    for file in std::mem::take(&mut basics.label_file) {
        labels.extend(read_lines(&file)?);
    }
    labels.append(&mut basics.label);
    basics.label = labels;
    volume::asked::absolute(&mut flags.volumes).what(|| "there is no current directory".into())?;
    let basics = &flags.basics;
    let attached_input = !detached && wants_input(basics);
    let mut record = Record {
        id: names::new_id()?,
        created: Timestamp::now().to_string(),
        image: asked.image.to_owned(),
        command: asked.command.to_vec(),
        detached,
        stdin_once: attached_input,
        flags,
        ..Record::default()
    };
    root_of(context, &mut record)?;
    let exposed: Vec<String> =
        record.config.exposed_ports.iter().flatten().map(|(port, _)| port.clone()).collect();
    let basics = &record.flags.basics;
    let named = basics.hostname.is_some() || basics.domainname.is_some();
    record.net = record.flags.net.ask(&exposed, named)?;
    for warning in record.net.warnings() {
        crate::cli::tell(&Error::new(warning));
    }
    Ok(record)
}

/// The network of another container comes with its name; the host's with the host's.
fn share_network(context: &Context, record: &mut Record) -> Result<()> {
    match &mut record.net.mode {
        Mode::Container(name) => {
            let other = Container::find(context, name)?;
            name.clone_from(&other.id);
            record.flags.basics.hostname = Some(other.record()?.hostname());
        }
        Mode::Host if record.flags.basics.hostname.is_none() => {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            record.flags.basics.hostname = Some(name);
        }
        _ => {}
    }
    Ok(())
}

/// Whether stdin goes to the program while we are attached.
fn wants_input(basics: &super::flags::Basics) -> bool {
    let named = basics.attach.iter().any(|stream| stream.eq_ignore_ascii_case("stdin"));
    basics.interactive && (basics.attach.is_empty() || named)
}

fn read_lines(path: &Path) -> Result<Vec<String>> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).what(|| format!("cannot read {name}"))?;
    lines(&name, &text)
}

/// What the container is made from.
fn root_of(context: &Context, record: &mut Record) -> Result<()> {
    if record.flags.basics.rootfs {
        let what = || format!("cannot use {} as a root file system", record.image);
        let dir = fs::canonicalize(&record.image).what(what)?;
        if !dir.is_dir() {
            return Err(Error::new(what()).why("it is no directory"));
        }
        record.rootfs = Some(dir);
        return Ok(());
    }
    let store = Store::open(&context.paths)?;
    let image = super::image::find(&store, &record.image, &record.flags.basics)?;
    record.image_id = image.id.to_string();
    record.layers = store.layers(&image)?;
    record.config = ImageConfig::from(&image.config.config);
    Ok(())
}

/// Finds what is wrong with the flags before anything is made. What only the start can know
/// (users of the image, devices) is found there.
fn check(record: &Record) -> Result<()> {
    let basics = &record.flags.basics;
    let policy = Policy::parse(&basics.restart)?;
    if basics.rm && policy != Policy::No {
        return Err(Error::new("Conflicting options: --restart and --rm"));
    }
    Settings::of(record)?;
    if let Some(signal) = &basics.stop_signal {
        libcontainer::verbs::parse_signal(signal)?;
    }
    if !matches!(basics.pull.as_str(), "always" | "missing" | "never" | "") {
        return Err(Error::new(format!("invalid pull option: '{}'", basics.pull))
            .why("must be one of \"always\", \"missing\" or \"never\""));
    }
    let streams = ["stdin", "stdout", "stderr"];
    if let Some(stream) =
        basics.attach.iter().find(|s| !streams.contains(&s.to_lowercase().as_str()))
    {
        return Err(Error::new(format!("invalid argument \"{stream}\" for --attach"))
            .why("valid streams are stdin, stdout and stderr"));
    }
    if basics.rm && record.detached && !basics.attach.is_empty() {
        return Err(Error::new("Conflicting options: -a and -d"));
    }
    resources::limits(&record.flags.limits)?;
    resources::check_cpus(&record.flags.limits, cpus())?;
    let isolation = &record.flags.isolation;
    security::Options::parse(&isolation.security_opt)?;
    crate::bundle::caps::tweak(&[], &isolation.cap_drop, false, u64::MAX)?;
    crate::bundle::caps::tweak(&isolation.cap_add, &[], false, u64::MAX)?;
    for limit in &isolation.ulimit {
        units::ulimit(limit)?;
    }
    namespaces::check(record)
}

/// How many CPUs we may run on.
pub(super) fn cpus() -> u32 {
    let own = rustix::thread::sched_getaffinity(None);
    own.map_or(u32::MAX, |set| set.count())
}

/// Makes directory, name and first state.
fn stage(context: &Context, record: &mut Record, container: &Container) -> Result<()> {
    let what = || format!("cannot make container {}", record.id);
    make_dirs(&context.paths.root).what(what)?;
    // What killed commands left is in the way of nobody, but its space shall come back.
    let _ = litter::sweep(context);
    let making = Making::begin(context, &record.id)?;
    let id = record.id.clone();
    let finish = |record: &mut Record| -> Result<()> {
        record.mounts = mounts(context, record)?;
        record.name = names::claim(&context.paths, &id, record.flags.basics.name.as_deref())?;
        making.staged.save_record(record)?;
        making.staged.save_state(&State::new(record))?;
        making.publish(context, container, !record.flags.basics.rm)
    };
    finish(record).inspect_err(|_| {
        names::release(&context.paths, &id, &record.name);
        // Its own failure would hide the cause; a sweep finds what it leaves.
        let _ = volume::release(&context.paths, &id, &record.mounts, true);
        let _ = remove_tree(&making.staged.dir);
        let _ = remove_tree(&container.dir);
    })
}

/// Decides the mounts, and makes the volumes that are missing.
fn mounts(context: &Context, record: &Record) -> Result<Vec<volume::Mount>> {
    let image: Vec<String> =
        record.config.volumes.iter().flat_map(|all| all.keys().cloned()).collect();
    let other = |name: &str| Ok(Container::find(context, name)?.record()?.mounts);
    let flags = &record.flags.volumes;
    let request = volume::Request { container: &record.id, flags, image: &image, other: &other };
    volume::resolve(&context.paths, &request)
}

/// Directories that only root may look into.
fn make_dirs(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// `--cidfile`: claimed before anything is made, removed when nothing comes of it.
struct Cidfile {
    path: std::path::PathBuf,
    file: fs::File,
    written: bool,
}

impl Cidfile {
    fn claim(path: std::path::PathBuf) -> Result<Self> {
        let file = fs::File::create_new(&path).map_err(|error| {
            let what = format!("cannot make the container ID file {}", path.display());
            match error.kind() {
                std::io::ErrorKind::AlreadyExists => Error::new(what)
                    .why("it exists")
                    .fix("make sure the other container isn't running or delete the file"),
                _ => Error::new(what).why(crate::error::plain(&error)),
            }
        })?;
        Ok(Self { path, file, written: false })
    }

    fn write(mut self, id: &str) -> Result<()> {
        let what = format!("cannot write {}", self.path.display());
        self.file.write_all(id.as_bytes()).what(|| what)?;
        self.written = true;
        Ok(())
    }
}

impl Drop for Cidfile {
    fn drop(&mut self) {
        if !self.written {
            let _ = fs::remove_file(&self.path);
        }
    }
}
