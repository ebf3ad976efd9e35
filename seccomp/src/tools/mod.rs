//! Questions about profiles: what happens and why, what is wrong, what differs, what was needed.
//!
//! [`Source`] reads the file of an engine or of the specification; a [`Filter`] is a profile that
//! can be asked. Beside each other: [`explain()`] lists the program, [`Filter::ask`] is `check`,
//! [`lint()`], [`diff()`], [`Recorder`].

mod check;
mod diff;
mod explain;
mod lint;
mod record;
mod samples;
mod source;

pub use check::{Case, Filter, Reason, Verdict};
pub use diff::{Change, Difference, diff};
pub use explain::{Line, explain};
pub use lint::{Finding, Severity, lint};
pub use record::{Recorded, Recorder};
pub use source::{Container, Resolved, Source, kernel};
