//! Verbs about images that need no registry.

use super::{Verb, verb};
use crate::image::{history, import, inspect, list, load, prune, remove, save, tag};

/// Rows of this group.
pub(super) static VERBS: &[Verb] = &[
    verb!(["images", "image ls", "image list"], list::Args, list::images, "List images"),
    verb!(
        ["history", "image history"],
        history::Args,
        history::history,
        "Show how an image was built"
    ),
    verb!(["image inspect"], inspect::Args, inspect::inspect, "Show everything about images"),
    verb!(["tag", "image tag"], tag::Args, tag::tag, "Give an image another name"),
    verb!(["rmi", "image rm", "image remove"], remove::Args, remove::rmi, "Remove images"),
    verb!(["image prune"], prune::Args, prune::prune, "Remove images that are not used"),
    verb!(["load", "image load"], load::Args, load::load, "Read images from an archive"),
    verb!(["save", "image save"], save::Args, save::save, "Write images to an archive"),
    verb!(
        ["import", "image import"],
        import::Args,
        import::import,
        "Make an image of a root file system"
    ),
];
