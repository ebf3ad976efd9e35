//! Undoes a failed `create`: removes the cgroups, frees the id. Init is killed by its own owner
//! ([`crate::create::parent::InitProcess`]), which is dropped first.
//!
//! Failures of the undoing never hide the cause: what could not be removed stays on record in
//! the intent, and `delete --force` takes it from there.

use crate::cgroup::Cgroup;
use crate::state::Claim;

/// What was made so far; dropping it takes everything back unless it was told to forget.
#[derive(Debug)]
pub(super) struct Undo<'a> {
    claim: Option<&'a Claim>,
    cgroup: Option<&'a Cgroup>,
}

impl<'a> Undo<'a> {
    /// Gives the id back.
    pub(super) fn of(claim: &'a Claim) -> Self {
        Self { claim: Some(claim), cgroup: None }
    }

    /// Removes the cgroups first.
    pub(super) fn and<'b>(mut self, cgroup: &'b Cgroup) -> Undo<'b>
    where
        'a: 'b,
    {
        Undo { claim: self.claim.take(), cgroup: Some(cgroup) }
    }

    /// Everything went well.
    pub(super) fn forget(mut self) {
        (self.claim, self.cgroup) = (None, None);
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        // A cgroup that cannot be removed must stay findable: then the record stays too.
        if self.cgroup.is_none_or(|cgroup| cgroup.remove().is_ok())
            && let Some(claim) = self.claim
        {
            let _on_record = claim.release();
        }
    }
}
