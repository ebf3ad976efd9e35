//! `version`: this build, and what it is made for.

use clap::Args;
use serde_json::json;

use crate::Context;
use crate::cli::print;
use crate::error::Result;
use crate::format;

/// Commit of this build; the Makefile sets it.
pub const COMMIT: &str = match option_env!("CORTEN_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
/// Of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The newest OCI runtime specification that is understood.
const SPECIFICATION: &str = "1.3.0";

/// Flags of `version`.
#[derive(Args, Debug)]
pub struct VersionArgs {
    /// Print by a Go template, or json
    #[arg(short, long)]
    format: Option<String>,
}

/// Architecture in Go's word, as image configurations have it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// Prints it; client and server are one program here.
///
/// # Errors
/// A template that cannot be understood.
pub fn version(_: &Context, args: &VersionArgs) -> Result<u8> {
    let kernel = super::info::kernel();
    if args.format.is_some() {
        let part = json!({
            "Version": VERSION,
            "GitCommit": COMMIT,
            "Os": "linux",
            "Arch": architecture(),
            "KernelVersion": kernel,
        });
        let whole = json!({ "Client": part, "Server": part });
        return print(&format::one(&whole, args.format.as_deref())?).map(|()| 0);
    }
    print(&format!(
        "pier (no daemon: client and server are this program)\n \
         Version:      {VERSION}\n \
         Git commit:   {COMMIT}\n \
         OS/Arch:      linux/{}\n \
         Kernel:       {kernel}\n \
         OCI runtime:  corten {VERSION} (built in), specification {SPECIFICATION}\n",
        architecture()
    ))?;
    Ok(0)
}
