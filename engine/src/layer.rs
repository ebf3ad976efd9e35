//! Layers: an archive becomes a directory, directories become one root file system.
//!
//! [`tar`] and [`compress`] read what an image brings; [`unpack()`] writes it below a directory and
//! nowhere else; [`settle`] completes what refers to the layers beneath; [`overlay`] mounts them.
//! Where layers are kept is the business of [`crate::store`].

pub mod compress;
pub mod overlay;
pub mod settle;
pub mod tar;
pub mod unpack;

pub use unpack::{Unpacked, unpack};
