//! The `pier` binary: everything is in the library, so that tests can link it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<_> = std::env::args_os().collect();
    if corten_engine::init::is_asked(&argv) {
        return corten_engine::init::main(argv);
    }
    corten_engine::cli::main(argv)
}
