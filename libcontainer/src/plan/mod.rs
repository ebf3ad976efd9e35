//! Decides everything about a container before anything is done: pure, no I/O, no clock.
//!
//! [`Plan::build`](Plan) has one line per part; each part is a file. `create` carries a plan out
//! and `corten explain` prints it.

pub mod cgroup;
pub mod check;
pub mod devices;
pub mod exec;
pub mod hooks;
pub mod idmap;
pub mod intel_rdt;
pub mod mount_options;
pub mod mounts;
pub mod names;
pub mod namespaces;
pub mod net;
pub mod paths;
pub mod process;
pub mod sched;
pub mod seccomp;
pub mod security;
pub mod text;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, Result, Step};
use crate::host::Host;
use crate::notify;
use crate::spec::Spec;
use namespaces::Kind;

/// What the caller wants beside the configuration: the flags of `create` and `run`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The container's id.
    pub id: String,
    /// Absolute path of the bundle directory.
    pub bundle: PathBuf,
    /// Directory that holds one directory per container (`--root`).
    pub state_root: PathBuf,
    /// Do not use pivot_root: for a rootfs on the initramfs (`--no-pivot`).
    pub no_pivot: bool,
    /// Keep the caller's session keyring (`--no-new-keyring`).
    pub no_new_keyring: bool,
    /// How many file descriptors from 3 on the container inherits (`--preserve-fds`), the
    /// caller's `LISTEN_FDS` not included.
    pub preserve_fds: u32,
    /// `LISTEN_FDS` of the caller, when `LISTEN_PID` is the runtime itself; they are passed on
    /// and announced in the container's environment.
    pub listen_fds: u32,
    /// Unix socket that receives the pty master (`--console-socket`).
    pub console_socket: Option<PathBuf>,
    /// Unix socket that receives a pidfd of init (`--pidfd-socket`).
    pub pidfd_socket: Option<PathBuf>,
    /// The caller's `NOTIFY_SOCKET`: readiness is forwarded to it.
    pub notify_socket: Option<PathBuf>,
    /// The caller stays in the foreground and starts the container itself (`run`): the start
    /// gate is the sync socket, no fifo is made.
    pub run: bool,
    /// The caller does not wait for the container (`create`, `run --detach`).
    pub detach: bool,
    /// Which cgroup driver places the container.
    pub cgroup_driver: CgroupDriver,
    /// Whether missing cgroup rights are tolerated when no limits are asked
    /// (`--rootless`); `None` decides from the host.
    pub rootless: Option<bool>,
    /// Name of the container's first process until it executes its program
    /// (`/proc/PID/comm`, at most 15 bytes); the caller's without.
    pub init_name: Option<String>,
    /// Time every step of the init stage (`--timings`).
    pub timings: bool,
}

/// Who makes the container's cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupDriver {
    /// We write the cgroup file system ourselves.
    #[default]
    Fs,
    /// systemd makes a unit for the container, and delegates its cgroup to us
    /// (`--systemd-cgroup`); needs [`Host::with_systemd`].
    Systemd,
    /// No cgroup at all (`--cgroup-manager disabled`).
    Disabled,
}

/// Everything about one container, decided.
#[derive(Debug, Default, Serialize)]
pub struct Plan {
    /// The container's id.
    pub id: String,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the root file system on the host.
    pub rootfs: PathBuf,
    /// The configuration's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Which namespaces, and how init gets there.
    pub namespaces: namespaces::NamespacePlan,
    /// Ids of a new user namespace.
    pub idmap: idmap::IdMapPlan,
    /// setgroups(2) is allowed.
    pub set_groups: bool,
    /// The file system tree.
    pub mounts: mounts::Mounts,
    /// The program; `start` fails without.
    pub process: Option<process::ProcessPlan>,
    /// The configuration's process, which `exec` starts from.
    #[serde(skip)]
    pub asked: Option<oci_spec::runtime::Process>,
    /// What the program may do.
    pub security: Option<security::SecurityPlan>,
    /// The system call filter.
    pub seccomp: Option<seccomp::SeccompPlan>,
    /// How it is scheduled.
    pub sched: sched::SchedPlan,
    /// Host and domain name.
    pub names: names::Names,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: Vec<names::Sysctl>,
    /// Name of the session keyring; the caller's is kept without.
    #[serde(serialize_with = "text::optional")]
    pub keyring: Option<CString>,
    /// Control groups.
    pub cgroup: cgroup::CgroupPlan,
    /// Class of the processor's caches and memory bandwidth.
    pub intel_rdt: Option<intel_rdt::IntelRdtPlan>,
    /// Devices that move into the network namespace.
    pub net: net::NetPlan,
    /// Hooks of all kinds.
    pub hooks: hooks::HookPlan,
    /// Descriptors from 3 on that the program inherits.
    pub preserve_fds: u32,
    /// The caller starts the container itself: no fifo is made.
    pub run: bool,
    /// Unix socket that receives the pty master.
    pub console_socket: Option<PathBuf>,
    /// Unix socket that receives a pidfd of init.
    pub pidfd_socket: Option<PathBuf>,
    /// The caller's readiness socket: the container gets one of ours.
    pub notify_socket: Option<PathBuf>,
    /// `/proc/PID/comm` of init until it executes the program.
    #[serde(serialize_with = "text::optional", skip_serializing_if = "Option::is_none")]
    pub init_name: Option<CString>,
    /// The steps of the init stage are timed.
    pub timings: bool,
    /// What the user should know although the container can be made.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Decides everything about the container that `spec` describes, on `host`.
    ///
    /// # Errors
    /// The first rule of the specification, or of this host, that the configuration breaks.
    pub fn build(spec: &Spec, host: &Host, options: &Options) -> Result<Self> {
        let mut warnings = check::check(spec, host, options)?;
        let oci = &spec.oci;
        let linux = oci.linux().as_ref();
        let asked = oci.process().as_ref();
        let namespaces = namespaces::build(linux)?;
        let cgroup = cgroup::build(spec, host, options)?;
        let mounts = tree(spec, host, options, &namespaces, &cgroup)?;
        warnings.extend(mounts.notes.iter().cloned());
        let grantable = grantable(host, &namespaces);
        let process = asked
            .map(|asked| process::build(asked, options, namespaces.has(Kind::User)))
            .transpose()?;
        Ok(Self {
            id: options.id.clone(),
            bundle: options.bundle.clone(),
            rootfs: rootfs(spec, options)?,
            annotations: annotations(spec),
            idmap: idmap::build(linux, host)?,
            set_groups: set_groups(host, linux, process.as_ref())?,
            mounts,
            security: asked
                .map(|asked| security::build(asked, grantable, &mut warnings))
                .transpose()?,
            seccomp: seccomp::build(linux, asked.is_some_and(no_new_privileges), late_hooks(oci))?,
            sched: asked.map(|asked| sched::build(asked, linux)).transpose()?.unwrap_or_default(),
            names: names::names(oci),
            sysctls: names::sysctls(linux)?,
            keyring: keyring(options)?,
            net: net::build(linux, &namespaces, host.rootless())?,
            hooks: hooks::build(oci.hooks().as_ref(), &rootfs(spec, options)?)?,
            process,
            asked: asked.cloned(),
            namespaces,
            cgroup,
            intel_rdt: intel_rdt::build(spec, &options.id)?,
            preserve_fds: preserve_fds(options)?,
            run: options.run,
            console_socket: options.console_socket.clone(),
            pidfd_socket: options.pidfd_socket.clone(),
            notify_socket: options.notify_socket.clone(),
            init_name: init_name(options)?,
            timings: options.timings,
            warnings,
        })
    }
}

/// `root.path`, relative to the bundle.
fn rootfs(spec: &Spec, options: &Options) -> Result<PathBuf> {
    match spec.oci.root() {
        Some(root) => Ok(options.bundle.join(root.path())),
        None => Err(Error::rule(Step::CheckConfig, "root", "is required on Linux")),
    }
}

/// Whether hooks run between `start` and the program.
fn late_hooks(oci: &oci_spec::runtime::Spec) -> bool {
    let hooks = oci.hooks().as_ref().and_then(|hooks| hooks.start_container().as_ref());
    hooks.is_some_and(|hooks| !hooks.is_empty())
}

fn no_new_privileges(process: &oci_spec::runtime::Process) -> bool {
    process.no_new_privileges().unwrap_or(false)
}

fn annotations(spec: &Spec) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    all.extend(spec.oci.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
    all
}

fn tree(
    spec: &Spec,
    host: &Host,
    options: &Options,
    namespaces: &namespaces::NamespacePlan,
    cgroup: &cgroup::CgroupPlan,
) -> Result<mounts::Mounts> {
    let facts = cgroup_mounts(host, options, namespaces, cgroup);
    let socket = options.notify_socket.as_ref().map(|_| notify_mount(options));
    mounts::build(&mounts::Request {
        spec: &spec.oci,
        last: socket.as_ref(),
        rootfs: &rootfs(spec, options)?,
        bundle: &options.bundle,
        mount_namespace: namespaces.has(Kind::Mount),
        user_namespace: namespaces.has(Kind::User) || !host.initial_user_ns,
        rootless: host.rootless(),
        no_pivot: options.no_pivot,
        cgroup: &facts,
    })
}

/// The directory of the readiness socket.
fn notify_mount(options: &Options) -> oci_spec::runtime::Mount {
    let mut mount = oci_spec::runtime::Mount::default();
    let dir = notify::host_dir(&options.state_root.join(&options.id));
    mount
        .set_destination(notify::CONTAINER_DIR.into())
        .set_typ(Some("bind".into()))
        .set_source(Some(dir))
        .set_options(Some(notify::MOUNT_OPTIONS.map(str::to_owned).to_vec()));
    mount
}

/// What a mount of type `cgroup` has to know.
fn cgroup_mounts(
    host: &Host,
    options: &Options,
    namespaces: &namespaces::NamespacePlan,
    cgroup: &cgroup::CgroupPlan,
) -> mounts::CgroupMounts {
    let unified = host.cgroup.mode == crate::host::cgroup::CgroupMode::Unified;
    let v1 = cgroup.dirs.iter().filter(|dir| !dir.is_v2());
    mounts::CgroupMounts {
        unified,
        namespace: namespaces.has(Kind::Cgroup),
        own: cgroup.dirs.first().filter(|_| unified).map(cgroup::DirPlan::host_dir),
        hierarchies: v1
            .map(|dir| mounts::CgroupHierarchy {
                name: dir.mount_name(),
                data: dir.mount_data(),
                dir: dir.host_dir(),
            })
            .collect(),
        rootless: options.rootless.unwrap_or_else(|| host.rootless()),
    }
}

/// Init holds every capability in a new user namespace, else our own.
fn grantable(host: &Host, namespaces: &namespaces::NamespacePlan) -> security::Grantable {
    let all = u64::MAX >> (63 - u32::from(host.last_cap.min(63)));
    let caps = if namespaces.has(Kind::User) { all } else { host.caps & all };
    security::Grantable { caps, last_cap: host.last_cap, confined: host.lsm.apparmor_confined }
}

/// An unprivileged user gives up setgroups(2) with the group map; then nobody may ask for groups.
fn set_groups(
    host: &Host,
    linux: Option<&oci_spec::runtime::Linux>,
    process: Option<&process::ProcessPlan>,
) -> Result<bool> {
    let gids = linux.and_then(|linux| linux.gid_mappings().as_deref()).unwrap_or_default();
    let allowed = !host.setgroups_denied && !idmap::gives_up_setgroups(gids, host);
    match process {
        Some(process) if !allowed && !process.groups.is_empty() => Err(Error::rule(
            Step::CheckConfig,
            "process.user.additionalGids",
            "cannot set any additional groups in a rootless container",
        )
        .hint("map more groups than your own: newgidmap then keeps setgroups(2) allowed")),
        _ => Ok(allowed),
    }
}

/// runc's name, which `keyctl show` prints inside.
fn keyring(options: &Options) -> Result<Option<CString>> {
    if options.no_new_keyring {
        return Ok(None);
    }
    let name = CString::new(format!("_ses.{}", options.id));
    name.map(Some).map_err(|_| Error::rule(Step::CheckConfig, "id", "has a NUL byte"))
}

fn init_name(options: &Options) -> Result<Option<CString>> {
    let name = options.init_name.as_deref().map(CString::new).transpose();
    name.map_err(|_| Error::rule(Step::CheckConfig, "init_name", "has a NUL byte"))
}

fn preserve_fds(options: &Options) -> Result<u32> {
    // 3 + n must still be a descriptor number.
    options
        .preserve_fds
        .checked_add(options.listen_fds)
        .filter(|count| *count < 1 << 30)
        .ok_or_else(|| Error::rule(Step::Fds, "--preserve-fds", "is too large"))
}
