//! What a further process takes over from its container: written down by `create`.

use oci_spec::runtime::{Process, User};
use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::plan::namespaces::Kind;
use crate::plan::sched::MemoryPolicy;
use crate::plan::seccomp::Listener;

/// What `create` leaves for `exec`, beside the state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inherit {
    /// The configuration's process, without its arguments.
    pub process: Option<Process>,
    /// The namespaces that the container does not share with its creator.
    pub namespaces: Vec<Kind>,
    /// setgroups(2) is allowed.
    pub set_groups: bool,
    /// Init has a session keyring of its own.
    pub keyring: bool,
    /// Argument of personality(2).
    pub personality: Option<u32>,
    /// Arguments of set_mempolicy(2).
    pub memory_policy: Option<MemoryPolicy>,
    /// About the filter, which lies in a file of its own.
    pub seccomp: Option<SeccompRecord>,
}

/// How the compiled filter is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeccompRecord {
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u64,
    /// Who hears of notifications.
    pub listener: Option<Listener>,
}

impl Inherit {
    /// What the container of `plan` leaves.
    pub fn of(plan: &Plan) -> Self {
        let process = plan.asked.clone().map(|mut process| {
            process.set_args(None);
            process
        });
        let seccomp = plan.seccomp.as_ref();
        Self {
            process,
            namespaces: Kind::ALL.into_iter().filter(|k| plan.namespaces.has(*k)).collect(),
            set_groups: plan.set_groups,
            keyring: plan.keyring.is_some(),
            personality: plan.sched.personality,
            memory_policy: plan.sched.memory_policy.clone(),
            seccomp: seccomp
                .map(|plan| SeccompRecord { flags: plan.flags, listener: plan.listener.clone() }),
        }
    }

    /// The process that flags of `exec` change: the container's own, or the barest for a container
    /// that was made without one.
    pub(super) fn process(&self) -> Process {
        self.process.clone().unwrap_or_else(|| {
            let mut process = bare();
            process.set_cwd("/".into());
            process
        })
    }

    /// Fills in what a process of the caller leaves open. Protections are the container's unless
    /// the process says otherwise, as in runc.
    pub(super) fn complete(&self, process: &mut Process) {
        let Some(own) = &self.process else { return };
        macro_rules! take_over {
            ($($get:ident $set:ident),*) => {
                $(if process.$get().is_none() {
                    process.$set(own.$get().clone());
                })*
            };
        }
        take_over!(
            capabilities set_capabilities,
            io_priority set_io_priority,
            scheduler set_scheduler,
            exec_cpu_affinity set_exec_cpu_affinity
        );
        let unset = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
        if unset(process.apparmor_profile()) {
            process.set_apparmor_profile(own.apparmor_profile().clone());
        }
        if unset(process.selinux_label()) {
            process.set_selinux_label(own.selinux_label().clone());
        }
        if process.rlimits().as_ref().is_none_or(Vec::is_empty) {
            process.set_rlimits(own.rlimits().clone());
        }
        let no_new_privileges = process.no_new_privileges().or_else(|| own.no_new_privileges());
        let oom_score_adj = process.oom_score_adj().or_else(|| own.oom_score_adj());
        process.set_no_new_privileges(no_new_privileges).set_oom_score_adj(oom_score_adj);
        let umask = process.user().umask().or_else(|| own.user().umask());
        process.user_mut().set_umask(umask);
    }
}

/// oci-spec's default is a shell with capabilities; this is nothing.
fn bare() -> Process {
    let mut process = Process::default();
    process
        .set_terminal(None)
        .set_args(None)
        .set_env(None)
        .set_capabilities(None)
        .set_rlimits(None)
        .set_no_new_privileges(None)
        .set_user(User::default());
    process
}
