//! Verbs on containers.

use clap::Args;

use super::{Verb, verb};
use crate::Context;
use crate::container::{
    boot, cp, create, exec, inspect, logs, pause, ps, rename, rm, run, signal, start, top, update,
    wait,
};
use crate::error::{ENGINE, Result};

/// Rows of this group.
pub(super) static VERBS: &[Verb] = &[
    verb!(["run", "container run"], run::Args, run::run,
          "Create a container from an image and run it", misuse: ENGINE, literal),
    verb!(["create", "container create"], create::Args, create::create,
          "Create a container without starting it", misuse: ENGINE, literal),
    verb!(["start", "container start"], start::Args, start::start, "Start containers"),
    verb!(["boot"], boot::Args, boot::boot, "Start what its restart policy starts after a reboot"),
    verb!(["stop", "container stop"], signal::StopArgs, signal::stop, "Stop containers"),
    verb!(
        ["restart", "container restart"],
        signal::RestartArgs,
        signal::restart,
        "Stop containers and start them again"
    ),
    verb!(
        ["kill", "container kill"],
        signal::KillArgs,
        signal::kill,
        "Send a signal to containers"
    ),
    verb!(["rm", "container rm", "container remove"], rm::Args, rm::rm, "Remove containers"),
    verb!(
        ["ps", "container ls", "container list", "container ps"],
        ps::Args,
        ps::ps,
        "List containers"
    ),
    verb!(
        ["attach", "container attach"],
        start::AttachArgs,
        start::attach,
        "Attach to a container that runs"
    ),
    verb!(
        ["exec", "container exec"],
        exec::Args,
        exec::exec,
        "Run another program in a container that runs",
        misuse: 1,
        literal
    ),
    verb!(
        ["cp", "container cp"],
        cp::Args,
        cp::cp,
        "Copy files between a container and this machine"
    ),
    verb!(["logs", "container logs"], logs::Args, logs::logs, "Show what a container has written"),
    verb!(
        ["container inspect"],
        inspect::Args,
        inspect::inspect,
        "Show everything about containers"
    ),
    verb!(
        ["top", "container top"],
        top::Args,
        top::top,
        "Show the processes of a container",
        misuse: 1,
        literal
    ),
    verb!(["port", "container port"], rename::PortArgs, rename::port, "Show published ports"),
    verb!(["pause", "container pause"], pause::Args, pause::pause, "Freeze containers"),
    verb!(["unpause", "container unpause"], pause::Args, pause::unpause, "Thaw containers"),
    verb!(["rename", "container rename"], rename::Args, rename::rename, "Rename a container"),
    verb!(
        ["update", "container update"],
        update::Args,
        update::update,
        "Change limits and restart policy of containers"
    ),
    verb!(
        ["wait", "container wait"],
        wait::Args,
        wait::wait,
        "Wait for containers to end and print their exit codes"
    ),
    verb!(
        ["container prune"],
        rm::PruneArgs,
        rm::prune,
        "Remove every container that does not run"
    ),
];

/// What the engine starts of itself; no person types it.
pub(super) static HIDDEN: &[Verb] =
    &[verb!(["monitor"], Monitor, monitor, "The process behind one container")];

/// `monitor`.
#[derive(Args, Debug)]
struct Monitor {
    /// Id of the container
    id: String,
    /// Where this program is on disk
    program: std::path::PathBuf,
}

fn monitor(context: &Context, args: &Monitor) -> Result<u8> {
    crate::monitor::main(context, &args.id, &args.program)
}
