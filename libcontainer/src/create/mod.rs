//! Carries out a plan: from nothing to a container whose init waits for `start`.

pub mod report;
