//! The working directory: made and entered by descriptor, never outside the root
//! (CVE-2024-21626).

use std::io;

use super::{Work, failure, refusal, refused};
use crate::create::report::Failure;
use crate::error::Step;
use crate::plan::paths::{InRoot, PATH_MAX};
use crate::sys::cred::{fchdir, getcwd};

/// Makes the working directory where it is missing, as root of the container.
///
/// # Errors
/// [`Step::Cwd`], item 0.
pub fn make_cwd(work: &Work, cwd: &InRoot) -> Result<(), Failure> {
    let make = || work.root()?.directory(cwd);
    make().map(drop).map_err(failure(Step::Cwd, 0))
}

/// Changes into the working directory and checks that it is in the root; call it as the user
/// whose rights should count. No magic link is followed, so `/proc/self/fd/N` leads nowhere.
///
/// # Errors
/// [`Step::Cwd`], item 1; [`refusal::UNREACHABLE`].
pub fn enter_cwd(work: &Work, cwd: &InRoot) -> Result<(), Failure> {
    let enter = || {
        let dir = work.root()?.open(cwd, libc::O_PATH | libc::O_DIRECTORY)?;
        fchdir(dir)?;
        reachable()
    };
    enter().map_err(failure(Step::Cwd, 1))
}

/// getcwd(2) gives `(unreachable)/...` for a directory outside the root.
fn reachable() -> io::Result<()> {
    let mut path = [0; PATH_MAX];
    getcwd(&mut path)?;
    if path[0] == b'/' { Ok(()) } else { refused(refusal::UNREACHABLE) }
}
