//! Mappings of a mount: the specification's lists, or crun's words after `idmap=` and `ridmap=`.
//!
//! podman hands the words on from `--volume …:idmap=…`: `uids=0-1-10#10-11-10;gids=0-100-10`. A
//! triplet is an id of the file system, an id of the host and how many; with `@` in front the
//! second is an id of the container (crun(1), "idmap mount options"). crun takes a relative
//! triplet by its first id alone; here it is cut where the container's ranges end.

use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxIdMappingBuilder, Mount};

/// Both lists of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mappings {
    pub(crate) uids: Vec<LinuxIdMapping>,
    pub(crate) gids: Vec<LinuxIdMapping>,
}

/// Whether an option asks for mapped ids, and if so for those of the whole tree.
pub(crate) fn asks(option: &str) -> Option<bool> {
    match option.split_once('=').map_or(option, |(word, _)| word) {
        "idmap" => Some(false),
        "ridmap" => Some(true),
        _ => None,
    }
}

/// The mount's own mappings; `None` means the container's, where it asks for any.
///
/// # Errors
/// What the mount has is half of it, given twice, or no mapping.
pub(crate) fn of(mount: &Mount, linux: Option<&Linux>) -> Result<Option<Mappings>, String> {
    let listed = (mount.uid_mappings().as_deref(), mount.gid_mappings().as_deref());
    let words = mount.options().iter().flatten().rfind(|option| asks(option).is_some());
    let words = words.and_then(|option| option.split_once('=')).filter(|(_, all)| !all.is_empty());
    match (listed, words) {
        ((None, None), None) => Ok(None),
        ((None, None), Some((_, all))) => parse(all, linux).map(Some),
        ((Some(uids), Some(gids)), None) if !uids.is_empty() && !gids.is_empty() => {
            Ok(Some(Mappings { uids: uids.to_vec(), gids: gids.to_vec() }))
        }
        (_, None) => Err(HALF.into()),
        (_, Some((word, all))) => {
            Err(format!("mappings are given twice: as lists, and as \"{word}={all}\""))
        }
    }
}

const HALF: &str = "id-mapped mounts must have both uid and gid mappings specified";

fn parse(words: &str, linux: Option<&Linux>) -> Result<Mappings, String> {
    let mut mappings = Mappings { uids: Vec::new(), gids: Vec::new() };
    for list in words.split(';').filter(|list| !list.is_empty()) {
        let (name, triplets) = list.split_once('=').unwrap_or((list, ""));
        let (out, ranges) = match name {
            "uids" => (&mut mappings.uids, linux.and_then(|linux| linux.uid_mappings().as_deref())),
            "gids" => (&mut mappings.gids, linux.and_then(|linux| linux.gid_mappings().as_deref())),
            _ => return Err(format!("\"{name}\" of idmap is not known: there are uids and gids")),
        };
        for text in triplets.split('#') {
            match text.strip_prefix('@') {
                None => out.push(triplet(text)?),
                Some(text) => relative(&triplet(text)?, ranges.unwrap_or_default(), name, out)?,
            }
        }
    }
    let whole = !mappings.uids.is_empty() && !mappings.gids.is_empty();
    if whole { Ok(mappings) } else { Err(format!("{HALF}, and \"{words}\" lacks one")) }
}

/// `0-1000-10`: from, to, how many.
fn triplet(text: &str) -> Result<LinuxIdMapping, String> {
    let numbers: Vec<Option<u32>> = text.split('-').map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [Some(from), Some(to), Some(size)] => map(from, to, size),
        _ => Err(format!("mapping \"{text}\" of idmap is not three numbers like 0-1000-10")),
    }
}

fn map(from: u32, to: u32, size: u32) -> Result<LinuxIdMapping, String> {
    let map = LinuxIdMappingBuilder::default().container_id(from).host_id(to).size(size);
    map.build().map_err(|error| error.to_string())
}

/// What a triplet with an id of the container means on the host: one piece for each range it touches.
fn relative(
    asked: &LinuxIdMapping,
    ranges: &[LinuxIdMapping],
    name: &str,
    out: &mut Vec<LinuxIdMapping>,
) -> Result<(), String> {
    let mut done = 0;
    while done < asked.size() {
        let id = u64::from(asked.host_id()) + u64::from(done);
        // How far into which range it is.
        let within = |range: &LinuxIdMapping| {
            let into = id.checked_sub(u64::from(range.container_id()))?;
            u32::try_from(into).ok().filter(|into| *into < range.size())
        };
        let found = ranges.iter().find_map(|range| Some((range, within(range)?)));
        let (range, into) = found.ok_or_else(|| {
            format!("idmap is relative to the container, which has no id {id} in its own {name}")
        })?;
        let size = (range.size() - into).min(asked.size() - done);
        let sum = |a: u32, b: u32| a.checked_add(b).ok_or_else(|| format!("{a} + {b} is no id"));
        out.push(map(sum(asked.container_id(), done)?, sum(range.host_id(), into)?, size)?);
        done += size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(options: &str) -> Mount {
        let json = format!(r#"{{"destination": "/a", "options": ["bind", "{options}"]}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn container() -> Linux {
        let ranges = serde_json::json!([
            {"containerID": 0, "hostID": 0, "size": 1},
            {"containerID": 1, "hostID": 2, "size": 10},
            {"containerID": 11, "hostID": 500, "size": 10},
        ]);
        serde_json::from_value(serde_json::json!({"uidMappings": ranges, "gidMappings": ranges}))
            .unwrap()
    }

    fn lines(options: &str) -> Result<(String, String), String> {
        let found = of(&mount(options), Some(&container()))?.ok_or("none")?;
        Ok((super::super::map_lines(&found.uids), super::super::map_lines(&found.gids)))
    }

    #[test]
    fn words_are_map_files() {
        let (uids, gids) = lines("idmap=uids=0-1-10#10-11-10;gids=0-100-10").unwrap();
        assert_eq!((&*uids, &*gids), ("0 1 10\n10 11 10\n", "0 100 10\n"));
        for plain in ["idmap", "ridmap", "idmap=", "ro"] {
            assert_eq!(lines(plain).unwrap_err(), "none", "{plain}");
        }
    }

    #[test]
    fn relative_words_go_through_the_container_s_ranges() {
        // The example of crun(1).
        let (uids, _) = lines("idmap=uids=@1-3-5;gids=0-1-1").unwrap();
        assert_eq!(uids, "1 4 5\n");
        let (uids, gids) = lines("ridmap=gids=@0-0-1#9-9-1;uids=@100-9-4").unwrap();
        assert_eq!((&*uids, &*gids), ("100 10 2\n102 500 2\n", "0 0 1\n9 9 1\n"));
        let error = lines("idmap=uids=@0-20-2;gids=0-1-1").unwrap_err();
        assert!(error.contains("no id 21 in its own uids"), "{error}");
        let error = of(&mount("idmap=uids=@0-0-1;gids=0-1-1"), None).unwrap_err();
        assert!(error.contains("no id 0"), "{error}");
        let error = lines("idmap=uids=@4294967295-10-2;gids=0-1-1").unwrap_err();
        assert!(error.contains("is no id"), "{error}");
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        for (words, why) in [
            ("idmap=uids=0-1-10", "lacks one"),
            ("idmap=;", "lacks one"),
            ("idmap=pids=0-1-10;gids=0-1-1", "\"pids\" of idmap is not known"),
            ("idmap=uids=0-1;gids=0-1-1", "\"0-1\" of idmap is not three numbers"),
            ("idmap=uids=;gids=0-1-1", "not three numbers"),
            ("idmap=uids=0-1-1-1;gids=0-1-1", "not three numbers"),
            ("idmap=uids=0--1-1;gids=0-1-1", "not three numbers"),
            ("idmap=uids=0-4294967296-1;gids=0-1-1", "not three numbers"),
        ] {
            let error = lines(words).unwrap_err();
            assert!(error.contains(why), "{words}: {error}");
        }
    }

    #[test]
    fn lists_and_words_exclude_each_other() {
        let list = vec![map(0, 7, 1).unwrap()];
        let mut both = mount("idmap=uids=0-1-1;gids=0-1-1");
        both.set_uid_mappings(Some(list.clone())).set_gid_mappings(Some(list.clone()));
        assert!(of(&both, None).unwrap_err().contains("given twice"));
        both.set_options(None);
        assert_eq!(of(&both, None).unwrap().unwrap().uids, list);
        both.set_gid_mappings(None);
        assert_eq!(of(&both, None).unwrap_err(), HALF);
    }
}
