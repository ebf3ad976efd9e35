//! From flags to mounts: which one wins where several want the same target, which volumes are
//! made, which options the bundle gets.

use std::fs;
use std::path::Path;

use super::wanted::{self, Recursive, Wanted};
use super::{Kind, Mount, MountFlags, Volume, Volumes};
use crate::error::{Error, Result, What as _};
use crate::net::state::random_id;
use crate::paths::Paths;

/// What a container that is being created wants to mount.
pub struct Request<'a> {
    /// Its id; `making/<id>` exists.
    pub container: &'a str,
    /// The flags.
    pub flags: &'a MountFlags,
    /// `Volumes` of the image's configuration.
    pub image: &'a [String],
    /// The mounts of another container, by the name that `--volumes-from` has.
    pub other: &'a dyn Fn(&str) -> Result<Vec<Mount>>,
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("container", &self.container).finish_non_exhaustive()
    }
}

/// Decides the mounts, makes volumes, enters the container as their user. In the order in which
/// they are to be mounted: a target comes before those below it.
///
/// # Errors
/// A flag that cannot be understood, two for one target, a volume that cannot be made. What was
/// made for the container is gone then.
pub fn resolve(paths: &Paths, request: &Request<'_>) -> Result<Vec<Mount>> {
    let wanted = merge(request)?;
    let mut mounts = Vec::with_capacity(wanted.len());
    for either in wanted {
        let mount = match either {
            Either::Taken(mount) => enter(paths, request.container, mount),
            Either::Wanted(wanted) => decide(paths, request.container, &wanted),
        };
        match mount {
            Ok(mount) => mounts.push(mount),
            Err(error) => {
                // Its own failure would hide the cause; a sweep finds what it leaves.
                let _ = super::release(paths, request.container, &mounts, true);
                return Err(error);
            }
        }
    }
    Ok(mounts)
}

/// A mount of another container, or one that is asked for.
enum Either {
    Taken(Mount),
    Wanted(Wanted),
}

impl Either {
    fn target(&self) -> &str {
        match self {
            Self::Taken(mount) => &mount.target,
            Self::Wanted(wanted) => &wanted.target,
        }
    }
}

/// Docker's order (`daemon/volumes_unix.go`): other containers' mounts, then flags, which go
/// before them and may not name a target twice, then the image's volumes where nothing else is.
fn merge(request: &Request<'_>) -> Result<Vec<Either>> {
    let flags = request.flags;
    let mut all: Vec<Either> = Vec::new();
    for text in &flags.volumes_from {
        for mount in from(request, text)? {
            all.retain(|other| other.target() != mount.target);
            all.push(Either::Taken(mount));
        }
    }
    let mut asked: Vec<Wanted> = Vec::new();
    let short = flags.volume.iter().map(|text| wanted::volume(text));
    let long = flags.mount.iter().map(|text| wanted::mount(text));
    let memory = flags.tmpfs.iter().map(|text| wanted::tmpfs(text));
    for one in short.chain(long).chain(memory) {
        let mut one = one?;
        if asked.iter().any(|other| other.target == one.target) {
            return Err(Error::new(format!("Duplicate mount point: {}", one.target)));
        }
        if one.driver.is_empty() {
            one.driver = flags.volume_driver.clone().unwrap_or_default();
        }
        if !matches!(one.driver.as_str(), "" | "local") {
            return Err(no_driver(&one.driver));
        }
        asked.push(one);
    }
    for one in asked {
        all.retain(|other| other.target() != one.target);
        all.push(Either::Wanted(one));
    }
    for path in request.image {
        let target = wanted::target(path)?;
        if !all.iter().any(|other| other.target() == target) {
            all.push(Either::Wanted(Wanted { target, ..Wanted::default() }));
        }
    }
    all.sort_by_key(|one| one.target().matches('/').count());
    Ok(all)
}

/// There are no plugins.
pub(crate) fn no_driver(driver: &str) -> Error {
    Error::new(format!("error looking up volume plugin {driver}"))
        .why(format!("plugin {driver:?} not found"))
        .fix("the only driver is local; it mounts what mount(8) can: --opt type=nfs …")
}

/// Mounts of another container, `NAME[:MODE]`.
fn from(request: &Request<'_>, text: &str) -> Result<Vec<Mount>> {
    let (name, mode) = text.split_once(':').unwrap_or((text, ""));
    let read_only = match mode {
        "ro" => true,
        "" | "rw" | "z" | "Z" => false,
        _ => return Err(Error::new(format!("invalid mode: {mode}")).why("in --volumes-from")),
    };
    if name.is_empty() {
        return Err(Error::new("malformed volumes-from specification: it names no container"));
    }
    let mut mounts = (request.other)(name)?;
    mounts.retain(|mount| mount.kind != Kind::Tmpfs);
    for mount in &mut mounts {
        if read_only && !mount.read_only {
            mount.read_only = true;
            mount.mode = "ro".into();
            mount.options.push(read_only_word(Recursive::Enabled).into());
        }
        // The other container's root may have had another propagation in mind.
        mount.nocopy = true;
    }
    Ok(mounts)
}

fn enter(paths: &Paths, container: &str, mount: Mount) -> Result<Mount> {
    if let Some(name) = &mount.name {
        let volumes = Volumes::of(paths);
        let _lock = volumes.lock()?;
        volumes.get(name)?;
        volumes.enter(name, container)?;
    }
    Ok(mount)
}

fn decide(paths: &Paths, container: &str, wanted: &Wanted) -> Result<Mount> {
    let mut mount = Mount {
        kind: wanted.kind,
        target: wanted.target.clone(),
        mode: wanted.mode.clone(),
        read_only: wanted.read_only,
        nocopy: wanted.nocopy,
        subpath: wanted.subpath.clone(),
        ..Mount::default()
    };
    if wanted.relabel {
        relabel(&wanted.source)?;
    }
    match wanted.kind {
        Kind::Tmpfs => {
            mount.source = "tmpfs".into();
            mount.options = wanted::merge_tmpfs(&wanted.tmpfs);
            return Ok(mount);
        }
        Kind::Bind => {
            bind_source(wanted)?;
            mount.source.clone_from(&wanted.source);
            mount.propagation = match wanted.propagation.as_str() {
                "" => "rprivate".into(),
                word => word.to_owned(),
            };
        }
        Kind::Volume => {
            let volume = volume(paths, container, wanted)?;
            let data = Volumes::of(paths).data(&volume.name);
            mount.anonymous = volume.anonymous;
            mount.name = Some(volume.name);
            mount.source = inside(&data, &wanted.subpath)?;
            mount.propagation = "rprivate".into();
        }
    }
    let bind = if wanted.recursive == Recursive::Disabled { "bind" } else { "rbind" };
    mount.options = vec![bind.to_owned(), mount.propagation.clone()];
    if wanted.read_only {
        mount.options.push(read_only_word(wanted.recursive).into());
    }
    Ok(mount)
}

fn inside(data: &Path, subpath: &str) -> Result<String> {
    let path = Path::new(subpath);
    let plain = |part| matches!(part, std::path::Component::Normal(_));
    if !path.components().all(plain) {
        return Err(Error::new(format!("invalid volume-subpath {subpath:?}"))
            .why("it must be a relative path without ..")
            .fix("write volume-subpath=directory/in/the/volume"));
    }
    let whole = if subpath.is_empty() { data.to_owned() } else { data.join(path) };
    whole
        .into_os_string()
        .into_string()
        .map_err(|_| Error::new("cannot mount volumes").why("the path of the root is not UTF-8"))
}

/// Makes the volume, or finds it, and enters the container.
fn volume(paths: &Paths, container: &str, wanted: &Wanted) -> Result<Volume> {
    let volumes = Volumes::of(paths);
    let anonymous = wanted.source.is_empty();
    let name = if anonymous { random_id()? } else { wanted.source.clone() };
    let asked = Volume {
        name,
        labels: wanted.labels.clone(),
        options: wanted.options.clone(),
        anonymous,
        ..Volume::default()
    };
    let _lock = volumes.lock()?;
    let volume = volumes.create_for(&asked, Some(container))?;
    volumes.enter(&volume.name, container)?;
    Ok(volume)
}

/// `rro` takes mounts below along (`mount_setattr(2)`, Linux 5.12); before it there was `ro` only.
fn read_only_word(recursive: Recursive) -> &'static str {
    match recursive {
        Recursive::ReadOnly => "rro",
        Recursive::Enabled if kernel_is_at_least(5, 12) => "rro",
        _ => "ro",
    }
}

fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

/// `-v` makes a directory of the host's that is missing, `--mount` says that it is.
fn bind_source(wanted: &Wanted) -> Result<()> {
    let source = Path::new(&wanted.source);
    match fs::symlink_metadata(source) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && wanted.make_source => {
            fs::create_dir_all(source).what(|| format!("cannot make {}", wanted.source))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(missing(&wanted.source)),
        Err(e) => Err(e).what(|| format!("cannot mount {}", wanted.source)),
    }
}

pub(super) fn missing(source: &str) -> Error {
    Error::new("invalid mount config for type \"bind\"")
        .why(format!("bind source path does not exist: {source}"))
        .fix("make it; source is the host's path, target the container's")
}

/// `z` and `Z`: without SELinux there is no label to change.
fn relabel(source: &str) -> Result<()> {
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        return Ok(());
    }
    Err(Error::new(format!("cannot relabel {source}"))
        .why("pier does not change SELinux labels")
        .fix(format!("leave z out, and run: chcon -R -t container_file_t {source}")))
}
