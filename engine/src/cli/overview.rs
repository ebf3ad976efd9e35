//! `pier --help`: the verbs by what they are about.

use super::{MANAGED, Verb, container, image, registry, system};

/// The text, in the words of clap's templates.
pub(super) fn text() -> String {
    let mut text = String::from("{about}\n\nUsage: pier [OPTIONS] COMMAND\n");
    let mut section = |title: &str, rows: &mut dyn Iterator<Item = (&str, &str)>| {
        text.extend(["\n", title, ":\n"]);
        rows.for_each(|(name, about)| text.push_str(&format!("  {name:<11}{about}\n")));
    };
    let short = |verb: &'static Verb| {
        let name = verb.spellings.iter().find(|spelling| !spelling.contains(' '))?;
        Some((*name, verb.about))
    };
    for (title, groups) in [
        ("Containers", &[container::VERBS][..]),
        ("Images", &[registry::VERBS, image::VERBS]),
        ("Engine", &[system::VERBS]),
    ] {
        section(title, &mut groups.iter().flat_map(|verbs| verbs.iter()).filter_map(short));
    }
    section("Groups, whose commands are two words (pier volume ls)", &mut MANAGED.iter().copied());
    text.push_str("\nOptions:\n{options}\n\n");
    text.push_str("`pier help COMMAND` tells about one, with examples.\n");
    text
}
