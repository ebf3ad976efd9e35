//! Runs a bundle in the foreground: the whole library in one page.
//!
//! ```console
//! # cargo run -p corten-libcontainer --example run -- BUNDLE ID
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use libcontainer::plan::{Options, Plan};
use libcontainer::spec::Spec;
use libcontainer::state::Store;
use libcontainer::{Host, create, seal, sys, verbs};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    seal()?; // first: it may execute this program again
    let mut args = std::env::args().skip(1);
    let bundle = PathBuf::from(args.next().ok_or("which bundle?")?).canonicalize()?;
    let id = args.next().ok_or("which id?")?;
    let store = Store::new("/run/corten-example");

    let spec = Spec::load(&bundle)?;
    let host = Host::probe_for(&spec)?;
    let options = Options { id, bundle, run: true, ..Options::default() };
    let plan = Plan::build(&spec, &host, &options)?;

    let mut container = create(&plan, &store)?;
    container.start(&plan)?;
    let status = sys::clone::wait_pidfd(container.pidfd().ok_or("no init")?)?;
    verbs::delete(&store, &plan.id, true)?;
    Ok(ExitCode::from(u8::try_from(status.code())?))
}
