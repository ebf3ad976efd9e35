//! Carries out a plan: from nothing to a container whose init waits for `start`.

pub mod home;
pub mod program;
pub mod protocol;
pub mod report;
pub mod rootfs;
