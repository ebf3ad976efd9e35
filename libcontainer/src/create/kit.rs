//! What must be open before clone3: the child inherits it and opens nothing by the caller's paths.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::create::init::STEPS;
use crate::create::rootfs;
use crate::error::{At, Error, Result, Step};
use crate::plan::Plan;
use crate::plan::namespaces::Kind;
use crate::seal;
use crate::state::gate;
use crate::sys::argv::ArgV;
use crate::sys::fd;
use crate::sys::shared::SharedNumbers;

/// Room for `HOME=` and a path.
pub(crate) const HOME: usize = 1024;

/// Where init waits for `start`.
#[derive(Debug)]
pub enum Gate {
    /// The caller stays and says [`crate::create::protocol::Go::Start`] itself.
    Sync,
    /// A later process opens the fifo.
    Fifo {
        /// Opened for reading and writing: it never reports end of file.
        start: OwnedFd,
        /// Takes the failure of the execve; closes when it succeeds.
        result: OwnedFd,
        /// The fifo was read: whoever wrote it now waits on `result`.
        passed: bool,
    },
}

/// The open side of a plan.
#[derive(Debug)]
pub struct Kit {
    /// Init's end of the sync socket.
    pub sync: OwnedFd,
    /// The start gate.
    pub gate: Gate,
    /// The namespaces to enter.
    pub joins: Vec<(Kind, OwnedFd)>,
    /// The bridge has entered them and made init root of its user namespace.
    pub entered: bool,
    /// argv of the program.
    pub argv: ArgV,
    /// envp of the program, with a slot for `HOME`.
    pub envp: ArgV,
    /// The container's state as JSON, for the hooks that init runs; filled by the parent.
    pub hook_state: Option<OwnedFd>,
    /// What the rootfs steps keep between them.
    pub tree: rootfs::Work,
    /// The parent's end of the sync socket: init has a copy that it must close to see the parent
    /// die.
    pub parents_end: u32,
    /// The mount that the parent was sealed with, to be closed at once: see [`seal::let_go`].
    pub sealed: Option<u32>,
    /// When each step began and ended.
    pub times: Option<SharedNumbers>,
}

impl Kit {
    /// Opens what `plan` needs; `gate` and `sync` were made by the caller. Nothing is changed.
    ///
    /// # Errors
    /// A namespace path that cannot be opened, a preserved descriptor that is not there.
    pub fn open(plan: &Plan, sync: OwnedFd, gate: Gate) -> Result<Self> {
        check_preserved(plan.preserve_fds)?;
        let joins = plan.namespaces.join.iter().map(|join| {
            let on = || join.path.to_string_lossy().into_owned();
            let file = fd::open(&join.path, libc::O_RDONLY).at(Step::Namespace, on)?;
            sysctls_stay_inside(plan, join.kind, &file)?;
            Ok((join.kind, file))
        });
        let (argv, envp) = match &plan.process {
            Some(process) if process.find_home => {
                (ArgV::new(&process.args), ArgV::with_slots(&process.env, 1, HOME))
            }
            Some(process) => (ArgV::new(&process.args), ArgV::new(&process.env)),
            None => (ArgV::new(&[]), ArgV::new(&[])),
        };
        let times = plan.timings.then(|| SharedNumbers::new(2 * STEPS.len()));
        let hooks = plan.hooks.runs_inside();
        Ok(Self {
            sync,
            gate,
            joins: joins.collect::<Result<_>>()?,
            entered: false,
            argv,
            envp,
            hook_state: hooks
                .then(|| fd::memfd(c"corten-state", libc::MFD_CLOEXEC))
                .transpose()
                .at(Step::Hook, || "state")?,
            tree: rootfs::Work::prepare(&plan.mounts)?,
            parents_end: 0,
            sealed: seal::held(),
            times: times.transpose().at(Step::Clone, || "timings")?,
        })
    }
}

/// A path may lead to the namespace that we are in ourselves: a kernel parameter written there would
/// be the host's. Only the open file can tell; `plan::check` sees the path.
fn sysctls_stay_inside(plan: &Plan, kind: Kind, file: &OwnedFd) -> Result<()> {
    let Some(sysctl) = plan.sysctls.iter().find(|sysctl| sysctl.owner() == kind) else {
        return Ok(());
    };
    let own = format!("/proc/self/ns/{}", kind.proc_name());
    let ours = std::fs::metadata(&own).at(Step::Namespace, || &own)?;
    let theirs = fd::fstat(file).at(Step::Namespace, || kind.spec_name())?;
    if (theirs.dev, theirs.ino) != (ours.dev(), ours.ino()) {
        return Ok(());
    }
    let words = format!("not allowed in host {} namespace", kind.spec_name());
    Err(Error::rule(Step::Sysctl, &sysctl.name, words).hint(
        "linux.namespaces has the path of the runtime's own namespace: leave the path out for a \
         new one",
    ))
}

/// A descriptor that the caller promises must be open and inheritable; otherwise one of ours
/// could have taken its number.
fn check_preserved(count: u32) -> Result<()> {
    for number in 3..3 + count {
        if !fd::is_inheritable(number) {
            return Err(Error::rule(
                Step::Fds,
                number,
                "is to be preserved but the caller did not leave it open",
            )
            .hint("pass it without close-on-exec, or lower --preserve-fds"));
        }
    }
    Ok(())
}

/// Opens both fifos of the start gate in the container's state directory.
///
/// # Errors
/// Those of open(2).
pub fn open_fifos(dir: &Path) -> Result<Gate> {
    let open = |name: &str| -> Result<File> {
        let path = dir.join(name);
        // For reading and writing: neither open nor read waits for another process.
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .at(Step::State, || path.display())
    };
    Ok(Gate::Fifo {
        start: open(gate::START)?.into(),
        result: open(gate::RESULT)?.into(),
        passed: false,
    })
}
