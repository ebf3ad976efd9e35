//! Images: what they consist of, and the verbs about them.
//!
//! [`manifest`] and [`config`] are the two documents of an image. Both are read leniently: what
//! registries serve has `null` where a list should be, and Docker's configuration says more than
//! the specification does. Where images are kept: [`crate::store`].

pub mod config;
pub mod manifest;

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
