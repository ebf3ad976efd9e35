//! Decides one entry of `mounts`.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oci_spec::runtime::Mount;
use serde::{Serialize, Serializer};

use super::Request;
use super::bind::{self, Bind, UserNamespace};
use super::cgroup::{self, V1, V2};
use crate::error::{Error, Result, Step};
use crate::plan::mount_options::{Attrs, Parsed, Propagate, attrs_of, ms};
use crate::plan::paths::{self, InRoot};

/// fsconfig(2) takes strings of at most 255 bytes; longer data needs mount(2).
const FSCONFIG_MAX: usize = 255;

/// Files below `/proc` that may be covered: fakes of them (lxcfs) lie about numbers and give
/// nobody power. runc's list.
const PROC_FILES: [&str; 10] = [
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/meminfo",
    "proc/stat",
    "proc/swaps",
    "proc/uptime",
    "proc/loadavg",
    "proc/slabinfo",
    "proc/sys/kernel/ns_last_pid",
    "proc/sys/crypto/fips_enabled",
];

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MountOp {
    /// Where.
    pub target: InRoot,
    /// How the target may be reached.
    pub place: Place,
    /// What.
    pub action: Action,
    /// Attributes of the whole tree, last.
    pub recursive: Attrs,
    /// Propagation types, in order.
    pub propagation: Vec<Propagate>,
    /// Becomes read-only only after everything has been made on it.
    pub late_readonly: bool,
    /// The configuration's `source`, for messages.
    pub source: String,
}

/// How a target may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Through symbolic links too, as long as it is outside `/proc`.
    Plain,
    /// procfs and sysfs: an ordinary directory, no link on the way (CVE-2019-19921).
    Directory,
    /// A file that may be covered in the container's procfs.
    ProcFile,
}

/// What a mount is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A new file system.
    Fs(Fs),
    /// A file or directory of the host.
    Bind(Bind),
    /// Other flags for what is mounted already: mount(2) flags and data.
    Remount(Fs),
    /// cgroup v1.
    CgroupV1(V1),
    /// cgroup v2.
    CgroupV2(V2),
}

/// A new file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fs {
    /// Its type.
    #[serde(serialize_with = "crate::plan::text::one")]
    pub fstype: CString,
    /// Its source; may be empty.
    #[serde(serialize_with = "crate::plan::text::one")]
    pub source: CString,
    /// Parameters, in order.
    pub params: Vec<Param>,
    /// Attributes of the mount.
    pub attrs: u64,
    /// The same for mount(2).
    pub flags: u64,
    /// The same for mount(2).
    #[serde(serialize_with = "crate::plan::text::one")]
    pub data: CString,
    /// Only mount(2) can do it: a parameter is too long for fsconfig(2) or a flag unknown there.
    pub legacy: bool,
    /// tmpfs: takes the mode of the directory it covers, where the data names none.
    pub mode_of_target: bool,
    /// tmpfs: starts with what it covers.
    pub copy_up: bool,
}

/// One parameter of a file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Param {
    /// Name.
    #[serde(serialize_with = "crate::plan::text::one")]
    pub key: CString,
    /// Value, where it has one.
    #[serde(serialize_with = "some_text")]
    pub value: Option<CString>,
}

/// What all entries share.
pub(super) struct Context<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) label: Option<&'a CStr>,
    pub(super) container: Option<&'a UserNamespace>,
}

impl MountOp {
    /// Whether it is a bind mount.
    pub fn is_bind(&self) -> bool {
        matches!(self.action, Action::Bind(_))
    }

    /// Whether it shows cgroups.
    pub fn needs_cgroup(&self) -> bool {
        match &self.action {
            Action::CgroupV1(_) | Action::CgroupV2(_) => true,
            Action::Fs(fs) => fs.fstype.as_bytes() == b"cgroup2",
            _ => false,
        }
    }
}

/// Prints as `"tmpfs" to rootfs at "/dev"`, the words of runc's messages.
impl fmt::Display for MountOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" to rootfs at \"{}\"", self.source, self.target)
    }
}

impl Fs {
    /// Decides a new file system.
    pub(super) fn new(
        fstype: &CStr,
        source: &CStr,
        flags: u64,
        data: &[String],
        label: Option<&CStr>,
    ) -> Result<Self> {
        let sb_flags: [(u64, &CStr); 5] = [
            (ms::RDONLY, c"ro"),
            (ms::SYNCHRONOUS, c"sync"),
            (ms::MANDLOCK, c"mand"),
            (ms::DIRSYNC, c"dirsync"),
            (ms::LAZYTIME, c"lazytime"),
        ];
        let mut params: Vec<Param> = sb_flags
            .iter()
            .filter(|(bit, _)| flags & bit != 0)
            .map(|(_, key)| Param { key: (*key).to_owned(), value: None })
            .collect();
        for word in data {
            params.push(Param::new(word)?);
        }
        let mut joined = data.join(",").into_bytes();
        if let Some(label) = label {
            // A label holds commas ("s0:c1,c2"): quoted for mount(2), as it is for fsconfig(2).
            let comma = if joined.is_empty() { "" } else { "," };
            joined.extend_from_slice(comma.as_bytes());
            joined.extend_from_slice(b"context=\"");
            joined.extend_from_slice(label.to_bytes());
            joined.push(b'"');
            params.push(Param { key: c"context".to_owned(), value: Some(label.to_owned()) });
        }
        let long = |text: &CString| text.as_bytes().len() > FSCONFIG_MAX;
        let legacy = flags & (ms::I_VERSION | ms::SILENT) != 0
            || long(&source.to_owned())
            || params.iter().any(|param| {
                param.key.is_empty() || long(&param.key) || param.value.as_ref().is_some_and(long)
            });
        Ok(Self {
            fstype: fstype.to_owned(),
            source: source.to_owned(),
            params,
            attrs: attrs_of(flags),
            flags,
            data: paths::text(joined)?,
            legacy,
            mode_of_target: false,
            copy_up: false,
        })
    }
}

impl Param {
    /// Splits `key=value` or `key`.
    pub(super) fn new(word: &str) -> Result<Self> {
        Ok(match word.split_once('=') {
            Some((key, value)) => Self { key: paths::text(key)?, value: Some(paths::text(value)?) },
            None => Self { key: paths::text(word)?, value: None },
        })
    }
}

/// Decides one entry.
pub(super) fn build(
    context: &Context<'_>,
    mount: &Mount,
    notes: &mut Vec<String>,
) -> Result<MountOp> {
    let destination = mount.destination();
    // runc's rule, for callers that put the host's path of the rootfs in front.
    let target = InRoot::new(destination)?.without(&InRoot::new(context.request.rootfs)?);
    let refuse = |why: &str| Error::rule(Step::CheckConfig, destination.display(), why);
    if target.is_root() {
        let error = refuse("the mount would cover the root file system itself");
        return Err(error.hint("set root.path to what should be the root"));
    }
    if !destination.is_absolute() {
        notes.push(format!(
            "mounts: destination {destination:?} is relative, which is deprecated; it is taken \
             relative to the root"
        ));
    }
    let options = Parsed::new(mount.options().as_deref().unwrap_or_default());
    let fstype = mount.typ().as_deref().unwrap_or_default();
    let bind = options.flags & ms::BIND != 0 || fstype == "bind";
    check(mount, &options, bind)?;
    let place = place(&target, if bind { "bind" } else { fstype }).map_err(|why| refuse(&why))?;
    let source = mount.source().as_deref().unwrap_or_else(|| Path::new(""));
    let late_readonly = !bind
        && options.flags & (ms::RDONLY | ms::REMOUNT) == ms::RDONLY
        && (fstype == "tmpfs" || target.is("dev"));
    let action = if options.flags & ms::REMOUNT != 0 {
        Action::Remount(new_fs(context, fstype, source, &options)?)
    } else if bind {
        if !options.data.is_empty() {
            notes.push(format!(
                "mounts: bind mount {destination:?} ignores file system options {:?}",
                options.data.join(",")
            ));
        }
        Action::Bind(bind::build(context, mount, &target, &options).map_err(|why| refuse(&why))?)
    } else if fstype == "cgroup" {
        let source = paths::text(source.as_os_str().as_bytes())?;
        cgroup::build(context, &options, &source, notes)?
    } else {
        let mut options = options.clone();
        if late_readonly {
            options.flags &= !ms::RDONLY;
        }
        Action::Fs(new_fs(context, fstype, source, &options)?)
    };
    Ok(MountOp {
        target,
        place,
        action,
        recursive: options.recursive,
        propagation: options.propagation,
        late_readonly,
        source: if source.as_os_str().is_empty() {
            fstype.into()
        } else {
            source.display().to_string()
        },
    })
}

/// What contradicts itself.
fn check(mount: &Mount, options: &Parsed, bind: bool) -> Result<()> {
    let fstype = mount.typ().as_deref().unwrap_or_default();
    let refuse =
        |why: &str| Err(Error::rule(Step::CheckConfig, mount.destination().display(), why));
    if fstype.is_empty() && !bind && options.flags & ms::REMOUNT == 0 {
        return refuse("the mount has no type, and not the option \"bind\"");
    }
    if options.copy_up && (bind || fstype != "tmpfs") {
        return refuse("tmpcopyup can be used only with tmpfs");
    }
    // They decide what is bound and where: ignoring one like data would bind something else.
    let foreign = ["copy-symlink", "src-nofollow", "dest-nofollow"];
    if let Some(word) = options.data.iter().find(|word| bind && foreign.contains(&word.as_str())) {
        return refuse(&format!("option \"{word}\" is not supported"));
    }
    let mapped = options.id_map.is_some() || mount.uid_mappings().is_some();
    if (mapped || mount.gid_mappings().is_some()) && !bind {
        return refuse("id-mapped mounts are only supported for bind-mounts");
    }
    Ok(())
}

fn new_fs(context: &Context<'_>, fstype: &str, source: &Path, options: &Parsed) -> Result<Fs> {
    // mqueue takes its label by attribute, procfs and sysfs have labels of their own.
    let label = context.label.filter(|_| !["proc", "sysfs", "mqueue"].contains(&fstype));
    let source = paths::text(source.as_os_str().as_bytes())?;
    let mut fs = Fs::new(&paths::text(fstype)?, &source, options.flags, &options.data, label)?;
    let tmpfs = fstype == "tmpfs";
    fs.mode_of_target = tmpfs && !options.data.iter().any(|word| word.starts_with("mode="));
    fs.copy_up = options.copy_up;
    Ok(fs)
}

/// runc's `checkProcMount`, on the cleaned path; `create::rootfs` repeats it on the descriptor.
fn place(target: &InRoot, fstype: &str) -> Result<Place, String> {
    if target.is("proc") && fstype != "bind" && fstype != "proc" {
        return Err(format!("\"{target}\" cannot be mounted because it is not of type proc"));
    }
    if target.is_within("proc") && !target.is("proc") {
        return match PROC_FILES.iter().any(|file| target.is(file)) {
            true => Ok(Place::ProcFile),
            false => Err(format!("\"{target}\" cannot be mounted because it is inside /proc")),
        };
    }
    Ok(match fstype {
        "proc" | "sysfs" => Place::Directory,
        _ if target.is("proc") => Place::Directory,
        _ => Place::Plain,
    })
}

/// Prints an optional C string.
pub(super) fn some_text<S: Serializer>(
    text: &Option<CString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => crate::plan::text::one(text, serializer),
        None => serializer.serialize_none(),
    }
}
