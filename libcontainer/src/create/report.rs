//! What the init stage says when a step fails, and the words the parent makes of it.
//!
//! After clone3 nothing may allocate, so a failure is a small fixed record. The parent holds the
//! same [`crate::plan::Plan`] and turns step and item back into "which mount, which path".

use crate::error::Step;

/// A failed step of the init stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which step.
    pub step: Step,
    /// Which entry of the plan's list for that step; 0 where the step has no list.
    pub item: u32,
    /// The kernel's errno.
    pub errno: i32,
}

impl Failure {
    /// A failure of `step` on entry `item` of its list.
    pub const fn new(step: Step, item: u32, errno: i32) -> Self {
        Self { step, item, errno }
    }
}
