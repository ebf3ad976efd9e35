//! Images: what they consist of, and the verbs about them.
//!
//! [`manifest`] and [`config`] are the two documents of an image. Both are read leniently: what
//! registries serve has `null` where a list should be, and Docker's configuration says more than
//! the specification does. Where images are kept: [`crate::store`]. A verb is a file.

pub mod archive;
pub mod change;
pub mod config;
pub mod history;
pub mod import;
pub mod inspect;
pub mod list;
pub mod load;
pub mod manifest;
pub mod prune;
pub mod remove;
pub mod save;
pub mod tag;

pub use config::ImageConfig;
pub use manifest::{Descriptor, Index, Manifest, Platform};

use serde::{Deserialize, Deserializer};

/// A member that is missing or `null` is empty.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
