//! The store as its users see it: images in, names, layers shared, nothing left when they go.

use std::collections::BTreeMap;

use super::*;
use crate::image::manifest::{self, Descriptor};
use crate::image::{ImageConfig, Manifest};
use crate::layer::tar::{Entry, Kind, Writer};
use crate::reference::Reference;

fn store(dir: &crate::testing::Dir) -> Store {
    let paths = Paths { root: dir.path().join("root"), run: dir.path().join("run") };
    Store::open(&paths).unwrap()
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

/// An archive of one directory and one file in it.
fn archive(file: &str, content: &str) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    writer.append(&Entry::new(Kind::Directory, "d", 0o755), &b""[..]).unwrap();
    writer.file(&format!("d/{file}"), content.as_bytes()).unwrap();
    writer.finish().unwrap()
}

/// Puts an image of these layers; its command is `mark`.
fn put(store: &Store, layers: &[Vec<u8>], mark: &str, names: &[Reference]) -> Image {
    let mut config = ImageConfig::default();
    config.config.cmd = Some(vec![mark.to_owned()]);
    config.rootfs.diff_ids = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = serde_json::to_vec(&config).unwrap();
    store.add_blob(config.as_slice(), &Digest::of(&config), None).unwrap();
    for layer in layers {
        store.add_blob(layer.as_slice(), &Digest::of(layer), None).unwrap();
    }
    let blobs = layers.iter().map(|layer| Descriptor::of(manifest::LAYER, layer)).collect();
    let manifest = Manifest::new(Descriptor::of(manifest::CONFIG, &config), blobs);
    let manifest = serde_json::to_vec(&manifest).unwrap();
    store.put_image(&NewImage { manifest: &manifest, names, source: None }).unwrap()
}

/// Every file of the store with its content.
fn files(dir: &std::path::Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path(), std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn an_image_is_found_by_name_and_id_and_its_layers_are_ready() {
    let dir = crate::testing::dir();
    let layers = [archive("a", "1"), archive("b", "2")];
    let image = put(&store(&dir), &layers, "x", &[name("app:1"), name("h.io/app")]);
    let store = store(&dir);
    for query in ["app:1", "h.io/app", &image.id.hex()[..6], &image.id.to_string()] {
        assert_eq!(store.image(query).unwrap().id, image.id, "{query}");
    }
    assert_eq!(store.image_with_names("app:1").unwrap().names, [name("app:1"), name("h.io/app")]);
    let found = store.layers(&image).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(std::fs::read(found[1].join("d/b")).unwrap(), b"2");
    assert_eq!(store.size(&image).unwrap(), 2);
    let error = store.image("aps:1").unwrap_err();
    assert_eq!(error.to_string(), "no such image: aps:1");
    assert_eq!(error.fix.as_deref(), Some("did you mean app:1?"));
    assert!(store.check(true).unwrap().is_empty());
}

#[test]
fn layers_are_shared_and_go_with_the_last_image() {
    let dir = crate::testing::dir();
    let (base, top) = (archive("a", "1"), archive("b", "2"));
    let store = store(&dir);
    put(&store, std::slice::from_ref(&base), "one", &[name("one")]);
    let two = put(&store, &[base, top.clone()], "two", &[name("two")]);
    let layers = dir.path().join("root/layers");
    assert_eq!(std::fs::read_dir(&layers).unwrap().count(), 3);
    let named = |text| Ok((vec![Name::Named(name(text))], None));
    let swept = store.remove(|_| named("two")).unwrap();
    assert_eq!(swept.layers, [Digest::of(&top)]);
    assert!(swept.bytes > 0 && store.image("two").is_err() && store.image("one").is_ok());
    assert!(store.find(&name("two")).unwrap().is_none());
    assert!(store.image(&two.id.hex()).is_err());
    store.remove(|_| named("one")).unwrap();
    drop(store);
    let left: Vec<PathBuf> = files(&dir.path().join("root")).into_keys().collect();
    let expected = ["image/index.json", "image/oci-layout", "lock"];
    assert_eq!(left, expected.map(|path| dir.path().join("root").join(path)));
}

#[test]
fn a_name_that_moves_leaves_its_image_without_one() {
    let dir = crate::testing::dir();
    let store = store(&dir);
    let old = put(&store, &[archive("a", "1")], "old", &[name("app")]);
    let new = put(&store, &[archive("a", "2")], "new", &[name("app")]);
    assert_eq!(store.image("app").unwrap().id, new.id);
    assert_eq!(store.image(&old.id.hex()).unwrap().names, []);
    store.tag(&old, &name("kept")).unwrap();
    assert_eq!(store.image(&old.id.hex()).unwrap().names, [name("kept")]);
    assert_eq!(store.records().unwrap().len(), 2);
}

#[test]
fn what_is_wrong_is_refused_and_nothing_stays() {
    let dir = crate::testing::dir();
    let store = store(&dir);
    let digest = Digest::of(b"right");
    let error = store.add_blob(&b"wrong"[..], &digest, None).unwrap_err().to_string();
    assert!(error.contains("its digest is"), "{error}");
    let error = store.add_blob(&b"right and more"[..], &digest, Some(5)).unwrap_err().to_string();
    assert!(error.contains("more than 5 bytes"), "{error}");
    let error = store.add_blob(&b"rig"[..], &digest, Some(5)).unwrap_err().to_string();
    assert!(error.contains("3 bytes of 5"), "{error}");
    let layer = archive("a", "1");
    let error = store.add_layer(&digest, layer.as_slice()).unwrap_err().to_string();
    assert!(error.contains("without compression its digest is"), "{error}");
    assert!(!store.has_blob(&digest).unwrap());
    let staging = store.staging().unwrap();
    assert!(files(&staging).into_keys().all(|path| path.ends_with("lock")));
    drop(store);
    assert!(!staging.exists());
}

#[test]
fn an_interrupted_download_goes_on_where_it_stopped() {
    use std::io::Write;
    let dir = crate::testing::dir();
    let content = b"0123456789";
    let digest = Digest::of(content);
    {
        let store = store(&dir);
        let mut partial = store.partial(&digest).unwrap().unwrap();
        partial.write_all(&content[..4]).unwrap();
    }
    let store = store(&dir);
    let mut partial = store.partial(&digest).unwrap().unwrap();
    assert_eq!(partial.offset(), 4);
    partial.write_all(&content[4..]).unwrap();
    partial.finish(&store, 10).unwrap();
    assert!(store.partial(&digest).unwrap().is_none());
    assert_eq!(store.read_blob(&digest, 100).unwrap(), content);
    let other = Digest::of(b"other");
    let mut wrong = store.partial(&other).unwrap().unwrap();
    wrong.write_all(b"wrong").unwrap();
    assert!(wrong.finish(&store, 5).is_err());
    assert_eq!(store.partial(&other).unwrap().unwrap().offset(), 0);
    assert_eq!(store.sweep_partials().unwrap(), 10);
}

#[test]
fn the_remains_of_a_killed_command_are_swept_by_the_next() {
    let dir = crate::testing::dir();
    let kept = put(&store(&dir), &[archive("a", "1")], "kept", &[name("kept")]);
    let before = files(&dir.path().join("root"));
    let root = dir.path().join("root");
    let dead = root.join("staging/dead");
    std::fs::create_dir_all(dead.join("keep")).unwrap();
    std::fs::write(dead.join("lock"), "").unwrap();
    std::fs::write(root.join("image/blobs/sha256").join("a".repeat(64)), "litter").unwrap();
    std::fs::create_dir(root.join("layers/litter")).unwrap();
    std::fs::write(root.join("refs/.1.0.tmp"), "{").unwrap();
    std::fs::write(root.join("image/index.json"), "{}").unwrap();
    assert_eq!(store(&dir).check(false).unwrap().len(), 2);
    drop(store(&dir).staging().unwrap());
    assert_eq!(files(&root), before);
    assert_eq!(store(&dir).image("kept").unwrap(), kept);
}

#[test]
fn damage_is_found_and_repaired() {
    let dir = crate::testing::dir();
    let layer = archive("a", "1");
    let image = put(&store(&dir), std::slice::from_ref(&layer), "x", &[name("app")]);
    let store = store(&dir);
    let fs = store.layers(&image).unwrap().remove(0);
    crate::fsutil::remove_tree(fs.parent().unwrap()).unwrap();
    assert!(store.layers(&image).is_err());
    assert_eq!(store.check(false).unwrap().len(), 1);
    store.repair(false).unwrap();
    assert_eq!(std::fs::read(fs.join("d/a")).unwrap(), b"1");
    let blob = store.blob_path(&Digest::of(&layer));
    let mut damaged = layer;
    damaged[600] ^= 1;
    std::fs::write(&blob, damaged).unwrap();
    assert!(store.check(false).unwrap().is_empty());
    assert_eq!(store.repair(true).unwrap().len(), 1);
    assert!(!blob.exists() && store.image("app").is_err());
    assert!(store.check(true).unwrap().is_empty());
}
