//! The engine itself: `version`, `info`, `check`, `system df`, `system prune`.

pub mod check;
mod containers;
pub mod df;
pub mod info;
pub mod inspect;
pub mod prune;
pub mod version;

use crate::cli::print;
use crate::error::{Result, What as _};

/// Docker's question; nothing but a y is a yes.
///
/// # Errors
/// stdin cannot be read.
pub(crate) fn confirm(question: &str) -> Result<bool> {
    print(&format!("{question}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).what(|| "cannot read the answer".into())?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
