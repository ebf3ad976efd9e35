//! Undoes a failed `create`: removes the cgroups and the class, frees the id. Init is killed by its
//! own owner ([`crate::create::parent::InitProcess`]), which is dropped first.
//!
//! Failures of the undoing never hide the cause: what could not be removed stays on record in
//! the intent, and `delete --force` takes it from there.

use crate::cgroup::Cgroup;
use crate::cgroup::resctrl::Resctrl;
use crate::state::Claim;

/// What was made so far; dropping it takes everything back unless it was told to forget.
#[derive(Debug)]
pub(super) struct Undo<'a> {
    claim: Option<&'a Claim>,
    cgroup: Option<&'a Cgroup>,
    class: Option<&'a Resctrl>,
}

impl<'a> Undo<'a> {
    /// Gives the id back.
    pub(super) fn of(claim: &'a Claim) -> Self {
        Self { claim: Some(claim), cgroup: None, class: None }
    }

    /// Removes the cgroups first.
    pub(super) fn and<'b>(mut self, cgroup: &'b Cgroup) -> Undo<'b>
    where
        'a: 'b,
    {
        Undo { claim: self.claim.take(), cgroup: Some(cgroup), class: None }
    }

    /// Removes the class of `intelRdt` too.
    pub(super) fn and_class(mut self, class: Option<&'a Resctrl>) -> Self {
        self.class = class;
        self
    }

    /// Everything went well.
    pub(super) fn forget(mut self) {
        (self.claim, self.cgroup, self.class) = (None, None, None);
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let _class = self.class.map(Resctrl::remove);
        // A cgroup that cannot be removed must stay findable: then the record stays too.
        if self.cgroup.is_none_or(|cgroup| cgroup.remove().is_ok())
            && let Some(claim) = self.claim
        {
            let _on_record = claim.release();
        }
    }
}
