//! The `pier` binary: everything is in the library, so that tests can link it.

use std::process::ExitCode;

fn main() -> ExitCode {
    corten_engine::cli::main(std::env::args_os().collect())
}
