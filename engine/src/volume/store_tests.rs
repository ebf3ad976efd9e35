//! Volumes appear, are used, disappear.

use super::*;

fn scratch(name: &str) -> Paths {
    let unique = format!("pier-volume-{name}-{}", std::process::id());
    let root = std::env::temp_dir().join(unique);
    let _ = fs::remove_dir_all(&root);
    Paths { root: root.join("root"), run: root.join("run") }
}

fn named(name: &str) -> Volume {
    Volume { name: name.into(), ..Volume::default() }
}

#[test]
fn a_volume_in_use_stays() {
    let paths = scratch("use");
    let volumes = Volumes::of(&paths);
    volumes.create(&named("data")).unwrap();
    assert!(volumes.data("data").is_dir());
    fs::create_dir_all(paths.container("c1")).unwrap();
    volumes.enter("data", "c1").unwrap();
    volumes.enter("data", "gone").unwrap();
    assert_eq!(volumes.users("data").unwrap(), ["c1"]);
    let error = volumes.remove("data").unwrap_err().to_string();
    assert_eq!(error, "remove data: volume is in use - [c1]");
    volumes.leave("data", "c1").unwrap();
    volumes.remove("data").unwrap();
    assert_eq!(volumes.names().unwrap(), Vec::<String>::new());
    let missing = volumes.remove("data").unwrap_err().to_string();
    assert_eq!(missing, "get data: no such volume");
    // A directory of the host, said as a volume.
    let path = volumes.create(&named("/home/me")).unwrap_err();
    assert!(path.fix.is_some_and(|fix| fix.contains("source of type=bind")));
    fs::remove_dir_all(paths.root.parent().unwrap()).unwrap();
}

#[test]
fn the_same_volume_again_is_the_same_volume() {
    let paths = scratch("again");
    let volumes = Volumes::of(&paths);
    let first = volumes.create(&named("data")).unwrap();
    assert_eq!(volumes.create(&named("data")).unwrap(), first);
    let mut other = named("data");
    other.options.insert("type".into(), "tmpfs".into());
    other.options.insert("device".into(), "tmpfs".into());
    assert!(volumes.create(&other).unwrap_err().to_string().contains("with other options"));
    for wrong in ["", "a", "-a", "a/b", "a b", "..", &"x".repeat(300)] {
        assert!(volumes.create(&named(wrong)).is_err(), "{wrong}");
    }
    fs::remove_dir_all(paths.root.parent().unwrap()).unwrap();
}

#[test]
fn what_was_half_made_is_swept_and_a_lost_meta_is_made_again() {
    let paths = scratch("sweep");
    let volumes = Volumes::of(&paths);
    volumes.create(&named("data")).unwrap();
    fs::create_dir_all(volumes.directory(".new-1/_data")).unwrap();
    fs::remove_file(volumes.directory("data").join("meta.json")).unwrap();
    volumes.enter("data", "gone").unwrap();
    assert_eq!(volumes.sweep().unwrap().len(), 3);
    assert_eq!(volumes.get("data").unwrap().name, "data");
    assert!(volumes.sweep().unwrap().is_empty());
    fs::remove_dir_all(paths.root.parent().unwrap()).unwrap();
}
