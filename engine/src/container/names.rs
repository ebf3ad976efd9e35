//! Names and ids: who may have a name, which container a word means.
//!
//! A name is a symbolic link below `names/` whose target is the id: made in one step, or refused
//! because it is there. A link whose container is gone is left by a command that was killed, and
//! the next one takes it over.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::error::{ENGINE, Error, Result, What};
use crate::format::nearest;
use crate::paths::Paths;

use super::no_such;

const FIRST: [&str; 40] = [
    "amber", "brisk", "calm", "clever", "copper", "crisp", "dapper", "eager", "early", "fair",
    "fleet", "gentle", "glad", "golden", "hardy", "honest", "ivory", "jolly", "keen", "kind",
    "lively", "lucid", "mellow", "merry", "misty", "noble", "patient", "plucky", "quick", "quiet",
    "rusty", "sandy", "silver", "steady", "sturdy", "sunny", "swift", "tidy", "wise", "witty",
];
const SECOND: [&str; 40] = [
    "anchor", "beacon", "bollard", "breeze", "buoy", "cargo", "coaster", "compass", "coral",
    "crane", "current", "cutter", "dinghy", "dock", "dory", "ferry", "foghorn", "galley", "gull",
    "harbour", "hawser", "jetty", "keel", "ketch", "lagoon", "lantern", "lugger", "mast",
    "mooring", "oar", "otter", "pelican", "quay", "reef", "rudder", "schooner", "sloop", "tide",
    "trawler", "wharf",
];

/// A new id: 64 hexadecimal digits, never digits only in its first twelve, which a person types.
///
/// # Errors
/// The kernel gives no random numbers.
pub fn new_id() -> Result<String> {
    loop {
        let id: String = random::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        if id[..12].bytes().any(|byte| byte.is_ascii_alphabetic()) {
            return Ok(id);
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let flags = rustix::rand::GetRandomFlags::empty();
    let count = rustix::rand::getrandom(&mut bytes, flags);
    count.what(|| "cannot get random numbers".into())?;
    Ok(bytes)
}

/// Whether a name can be one: Docker's rule.
///
/// # Errors
/// Any other; the words say what may stand there.
pub fn check(name: &str) -> Result<&str> {
    let name = name.strip_prefix('/').unwrap_or(name);
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let others = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if first && others && name.len() > 1 {
        return Ok(name);
    }
    Err(Error::new(format!("Invalid container name ({name})"))
        .why("only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, and two characters at least")
        .code(ENGINE))
}

/// Gives `id` the name that was asked for, or one of two words.
///
/// # Errors
/// The name is taken: the words say by whom.
pub fn claim(paths: &Paths, id: &str, asked: Option<&str>) -> Result<String> {
    let dir = paths.names();
    fs::create_dir_all(&dir).what(|| format!("cannot make {}", dir.display()))?;
    if let Some(name) = asked {
        let name = check(name)?;
        return match link(paths, id, name)? {
            None => Ok(name.to_owned()),
            Some(other) => Err(Error::new(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{other}\""
            ))
                .fix(format!("remove or rename that container: pier rm {name}"))
                .code(ENGINE)),
        };
    }
    for round in 0_u32.. {
        let [a, b, c] = random::<3>()?;
        let pick = |list: &[&'static str], at: u8| list[usize::from(at) % list.len()];
        let mut name = format!("{}_{}", pick(&FIRST, a), pick(&SECOND, b));
        if round > 3 {
            name.push_str(&c.to_string());
        }
        if link(paths, id, &name)?.is_none() {
            return Ok(name);
        }
    }
    Err(Error::new("no name is free"))
}

/// Makes the link; the id of who has the name when somebody has.
fn link(paths: &Paths, id: &str, name: &str) -> Result<Option<String>> {
    let path = paths.names().join(name);
    let what = || format!("cannot take the name {name}");
    loop {
        match symlink(id, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.what(what).map(|()| None),
        }
        match target(&path) {
            Some(other) if other == id => return Ok(None),
            Some(other) if paths.has_container(&other) => return Ok(Some(other)),
            // What a killed command left. Under the lock, or two could take it over.
            Some(_) => {
                let _lock = lock(paths).what(what)?;
                if target(&path).is_some_and(|id| !paths.has_container(&id)) {
                    fs::remove_file(&path).what(what)?;
                }
            }
            None => {}
        }
    }
}

fn target(path: &std::path::Path) -> Option<String> {
    fs::read_link(path).ok()?.to_str().map(str::to_owned)
}

/// Who removes a link holds this lock: between its look and its hand nobody else takes the name.
fn lock(paths: &Paths) -> std::io::Result<fs::File> {
    let lock = fs::File::create(paths.names().join(".lock"))?;
    lock.lock().map(|()| lock)
}

/// Gives a name back, when it is still this container's.
pub fn release(paths: &Paths, id: &str, name: &str) {
    let path: PathBuf = paths.names().join(name);
    let own = || target(&path).as_deref() == Some(id);
    // Gone already is as good; a link that stays is taken over by who wants the name.
    if let (true, Ok(_lock)) = (own(), lock(paths))
        && own()
    {
        let _ = fs::remove_file(&path);
    }
}

/// Makes the link of a name again that a container has by its record, unless somebody else has it.
///
/// # Errors
/// The link cannot be made.
pub fn restore(paths: &Paths, id: &str, name: &str) -> Result<()> {
    if name.is_empty() { Ok(()) } else { link(paths, id, name).map(drop) }
}

/// Every name and the id that it stands for, sorted by name.
///
/// # Errors
/// The directory cannot be read.
pub fn all(paths: &Paths) -> Result<Vec<(String, String)>> {
    let dir = paths.names();
    let names = crate::fsutil::names(&dir)?.into_iter().filter_map(|name| name.into_string().ok());
    let mut all: Vec<_> =
        names.filter_map(|name| target(&dir.join(&name)).map(|id| (name, id))).collect();
    all.sort();
    Ok(all)
}

/// Every id there is.
///
/// # Errors
/// The directory cannot be read; that it is not there means none.
pub fn ids(paths: &Paths) -> Result<Vec<String>> {
    let dir = paths.containers();
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.what(|| format!("cannot read {}", dir.display()))?,
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| is_id(name)).collect())
}

fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The id that a word means: a whole id, a name, the beginning of one id.
///
/// # Errors
/// `No such container`, with the nearest name; a beginning of several.
pub fn resolve(paths: &Paths, word: &str) -> Result<String> {
    if is_id(word) && paths.container(word).exists() {
        return Ok(word.to_owned());
    }
    let name = word.strip_prefix('/').unwrap_or(word);
    if !name.is_empty() && !name.contains('/') && !name.starts_with('.') {
        let id = target(&paths.names().join(name));
        if let Some(id) = id.filter(|id| paths.container(id).exists()) {
            return Ok(id);
        }
    }
    let all = ids(paths)?;
    let mut found = all.iter().filter(|id| !word.is_empty() && id.starts_with(word));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id.clone()),
        (Some(first), Some(second)) => {
            Err(Error::new(format!("Multiple IDs found with provided prefix: {word}"))
                .why(format!("{} and {}", &first[..12], &second[..12]))
                .fix("write more of the id"))
        }
        (None, _) => Err(suggest(paths, word)),
    }
}

fn suggest(paths: &Paths, word: &str) -> Error {
    let names: Vec<String> = fs::read_dir(paths.names())
        .map(|entries| {
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
        })
        .unwrap_or_default();
    let error = no_such(word);
    match nearest(word, names.iter().map(String::as_str)) {
        Some(name) => error.fix(format!("did you mean {name}?")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(name: &str) -> Paths {
        let root = std::env::temp_dir().join(format!("pier-names-{name}-{}", std::process::id()));
        Paths { root: root.join("root"), run: root.join("run") }
    }

    #[test]
    fn dockers_rule_for_names() {
        assert_eq!(check("/web-1").unwrap(), "web-1");
        for name in ["", "a", "-web", "we b", "a/b", ".x1"] {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_word_is_an_id_a_name_or_a_beginning() {
        let paths = paths("resolve");
        let (one, two) = (format!("ab1{}", "0".repeat(61)), format!("ab2{}", "0".repeat(61)));
        for id in [&one, &two] {
            fs::create_dir_all(paths.container(id)).unwrap();
        }
        assert_eq!(claim(&paths, &one, Some("web")).unwrap(), "web");
        let conflict = claim(&paths, &two, Some("web")).unwrap_err();
        assert!(conflict.to_string().contains(&one), "{conflict}");
        assert_eq!(resolve(&paths, "web").unwrap(), one);
        assert_eq!(resolve(&paths, "/web").unwrap(), one);
        assert_eq!(resolve(&paths, "ab2").unwrap(), two);
        assert!(resolve(&paths, "ab").unwrap_err().to_string().contains("Multiple"));
        let error = resolve(&paths, "wbe").unwrap_err();
        assert_eq!(error.fix.as_deref(), Some("did you mean web?"));
        assert!(resolve(&paths, "").is_err());
        // A name whose container is gone is free.
        fs::remove_dir_all(paths.container(&one)).unwrap();
        assert_eq!(claim(&paths, &two, Some("web")).unwrap(), "web");
        release(&paths, &two, "web");
        assert!(resolve(&paths, "web").is_err());
        fs::remove_dir_all(paths.root.parent().unwrap()).unwrap();
    }

    #[test]
    fn ids_are_not_taken_for_numbers() {
        let id = new_id().unwrap();
        assert!(is_id(&id) && id[..12].parse::<u64>().is_err());
    }
}
