//! `run`: create, start, and stay with it or leave.

use super::create::{self, Asked};
use super::flags::Shape;
use super::record::Record;
use crate::Context;
use crate::error::{ENGINE, Error, Result};
use crate::monitor;
use crate::monitor::attach::{self, Manner, Outcome, Signals};
use crate::monitor::wire::{Connection, Down, Wants};

/// `run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shape: Shape,
    /// Run the container in the background and print its id
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Pass signals on to the program
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true",
          default_missing_value = "true", hide_default_value = true)]
    sig_proxy: bool,
    /// Image to make the container from; with --rootfs a directory
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Program and arguments instead of the image's
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs a program in a new container; its exit code is ours.
///
/// # Errors
/// 125 when the engine fails, 126 when the program cannot be executed, 127 when it is not there.
pub fn run(context: &Context, args: &Args) -> Result<u8> {
    run_inner(context, args).map_err(|error| match error.code {
        // What another verb would end with is the engine's failure here.
        crate::error::FAILURE => error.code(ENGINE),
        _ => error,
    })
}

fn run_inner(context: &Context, args: &Args) -> Result<u8> {
    let basics = &args.shape.basics;
    if args.detach && !basics.attach.is_empty() {
        return Err(Error::new("Conflicting options: -a and -d").code(ENGINE));
    }
    let wants = if args.detach { Wants::default() } else { wants(args) };
    attach::check_terminal(basics.tty, wants.input).map_err(|error| error.code(ENGINE))?;
    let asked = Asked { shape: &args.shape, image: &args.image, command: &args.command };
    let container = create::make(context, &asked, args.detach)?;
    // Before the program: a signal that arrives meanwhile is for it.
    let signals = if args.detach { None } else { Some(Signals::begin(args.sig_proxy)?) };
    let lock = container.lock()?;
    let connection = monitor::spawn(context, &container.id, wants)?;
    let manner =
        Manner { wants, tty: basics.tty, proxy: args.sig_proxy, keys: args.detach_keys.clone() };
    let Some(signals) = signals else {
        wait_for_start(&connection)?;
        drop(lock);
        crate::cli::print(&format!("{}\n", container.id))?;
        return Ok(0);
    };
    drop(lock);
    match attach::relay(&container, &connection, &manner, &signals)? {
        Outcome::Ended(code) => Ok(exit_code(code)),
        Outcome::Detached => Ok(0),
    }
}

/// Which streams the flags mean.
fn wants(args: &Args) -> Wants {
    let basics = &args.shape.basics;
    let named = |name: &str| {
        basics.attach.is_empty() || basics.attach.iter().any(|s| s.eq_ignore_ascii_case(name))
    };
    Wants {
        input: basics.interactive && named("stdin"),
        output: named("stdout"),
        errors: named("stderr"),
    }
}

/// Waits until the monitor says that the program runs.
///
/// # Errors
/// Why it does not.
pub fn wait_for_start(connection: &Connection) -> Result<()> {
    loop {
        match connection.hear()? {
            Some(Down::Started | Down::Ended(_)) => return Ok(()),
            Some(Down::Failed(failure)) => return Err(failure.into()),
            Some(_) => {}
            None => {
                return Err(Error::new("the container's monitor ended without a word")
                    .why("it was killed")
                    .code(ENGINE));
            }
        }
    }
}

/// What a shell sees of an exit code.
pub fn exit_code(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(ENGINE)
}

/// How a container that is there is attached to.
pub fn manner(record: &Record, keys: Option<String>, proxy: bool, input: bool) -> Manner {
    let basics = &record.flags.basics;
    let wants = Wants { input: input && basics.interactive, output: true, errors: true };
    Manner { wants, tty: basics.tty, proxy, keys }
}
