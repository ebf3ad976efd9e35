//! `boot`: after a reboot, what should run runs again. `contrib/systemd/pier.service` calls it once.
//!
//! As dockerd does when it starts: `always` starts whatever ran before, also what somebody stopped;
//! `unless-stopped` what nobody stopped; `on-failure` what ended with a code that is not 0, as a
//! machine that went down ends it. What was never started is left alone. Saying it again, or while
//! containers run, changes nothing for these.

use super::state::State;
use super::{Container, litter, names, start};
use crate::Context;
use crate::error::{FAILURE, Result};
use crate::monitor::policy::Policy;

/// `boot`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Say what would be started, and start nothing
    #[arg(long)]
    dry_run: bool,
}

/// Takes away what the last boot left, starts what is to be started, and prints the names.
///
/// # Errors
/// The containers cannot be listed. One that cannot be started is told, the others are started all
/// the same, and the exit code is 1.
pub fn boot(context: &Context, args: &Args) -> Result<u8> {
    if !args.dry_run {
        litter::sweep(context)?;
        litter::bury_all(context)?;
    }
    let mut code = 0;
    for (container, state) in wanted(context)? {
        let started = if args.dry_run { Ok(()) } else { start::begin(context, &container) };
        match started {
            Ok(()) => crate::cli::print(&format!("{}\n", state.name))?,
            Err(error) => {
                crate::cli::tell(&error);
                code = FAILURE;
            }
        }
    }
    Ok(code)
}

/// What is to be started, the oldest first: who shares a namespace is younger than whose it is.
fn wanted(context: &Context) -> Result<Vec<(Container, State)>> {
    let mut wanted = Vec::new();
    for id in names::ids(&context.paths)? {
        let container = Container::of(context, &id);
        // A record that is damaged is told by `check`, and keeps no other from its start.
        let (Ok(state), Ok(record)) = (container.state(), container.record()) else { continue };
        let policy = Policy::parse(&record.flags.basics.restart)?;
        if !state.status.is_live() && !state.started.is_empty() && policy.boots(&state) {
            wanted.push((container, state));
        }
    }
    wanted.sort_by(|(_, one), (_, other)| one.created.cmp(&other.created));
    Ok(wanted)
}

impl Policy {
    /// Whether a container in this state, which ran before, is started when the machine is.
    fn boots(self, state: &State) -> bool {
        match self {
            Self::No => false,
            Self::Always => true,
            Self::UnlessStopped => !state.stopped_by_user,
            Self::OnFailure(_) => state.exit_code != 0 && !state.stopped_by_user,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_at_a_boot_are_dockers() {
        let boots = |policy: &str, exit_code, stopped_by_user| {
            let state = State { exit_code, stopped_by_user, ..State::default() };
            Policy::parse(policy).unwrap().boots(&state)
        };
        assert!(!boots("no", 255, false));
        assert!(boots("always", 0, false) && boots("always", 137, true));
        assert!(boots("unless-stopped", 0, false) && !boots("unless-stopped", 0, true));
        assert!(boots("on-failure", 255, false) && !boots("on-failure", 0, false));
        assert!(boots("on-failure:3", 1, false) && !boots("on-failure", 137, true));
    }
}
