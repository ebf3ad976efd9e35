//! Flags of the verbs that look after a container that runs: `ps`; the others are in
//! [`super`].

use std::ffi::OsString;

use clap::Args;

use super::ListFormat;

/// `ps`.
#[derive(Args, Debug)]
pub(crate) struct Ps {
    /// Output: table or json
    #[arg(short, long, default_value = "table", hide_possible_values = true)]
    pub(crate) format: ListFormat,
    /// Name of the container
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: String,
    // Hyphen values: flags after the container's name are those of ps(1), see `argv`.
    /// Options of ps(1), which must show the column PID [default: -ef]
    #[arg(value_name = "PS-OPTION", allow_hyphen_values = true, num_args = 0..)]
    pub(crate) options: Vec<OsString>,
}
