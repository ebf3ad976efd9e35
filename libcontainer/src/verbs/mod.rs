//! What is done to a container that exists: one verb per file.
//!
//! Each verb takes a [`Store`](crate::state::Store) and an id, decides by the derived status, and
//! ends within ten seconds beside the hooks it runs. Signals go through pidfds that were compared
//! with the recorded start time; `start` and `delete` keep each other out by the container's lock.

mod delete;
mod events;
mod kill;
mod list;
mod pause;
mod ps;
mod repair;
mod start;
mod state;
mod update;

pub use delete::delete;
pub use events::{Event, events, stats};
pub use kill::{kill, parse_signal};
pub use list::list;
pub use pause::{pause, resume};
pub use ps::ps;
pub use repair::leftovers;
pub(crate) use start::poststart;
pub use start::start;
pub use state::state;
pub use update::{Limits, update};

#[cfg(test)]
mod tests;
