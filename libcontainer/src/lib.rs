//! OCI containers on Linux, for programs that want to run one.
//!
//! Reading order: [`error`] (the vocabulary) → `spec` (what is asked) → `host` (what the kernel
//! offers) → `plan` (what is decided) → `create` (what is done) → `state` and `verbs`.

pub mod cgroup;
pub mod console;
pub mod create;
pub mod doctor;
pub mod error;
pub mod exec;
pub mod hooks;
pub mod host;
pub mod net;
pub mod notify;
pub mod plan;
pub mod seal;
pub mod spec;
pub mod state;
pub mod sys;
pub mod verbs;

pub use create::{Container, create};
pub use error::{At, Error, Result, Step};
pub use host::Host;
pub use plan::{Options, Plan};
pub use seal::seal;
pub use spec::Spec;
pub use state::{State, Store};
