//! What the verbs print and refuse, in Docker's words.

use std::io::Write;

use crate::lab::{EMPTY, Lab, can, colourful, dir, docker_archive, file, tar};

#[test]
fn images_are_listed_filtered_and_formatted() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    assert_eq!(lab.pier("images"), "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
    assert_eq!(lab.pier("images -q"), "");
    let id = lab.load("app:1", &colourful());
    lab.pier("tag app:1 h.io/team/app");
    let format = "--format {{.Repository}}|{{.Tag}}|{{.ID}}|{{.Size}}|{{.Digest}}";
    let short = &id[7..19];
    let both = format!("app|1|{short}|100kB|<none>\nh.io/team/app|latest|{short}|100kB|<none>\n");
    assert_eq!(lab.pier(&format!("image ls {format}")), both);
    assert_eq!(lab.pier("images -q --no-trunc"), format!("{id}\n"));
    for (filter, shown) in [
        ("dangling=true", false),
        ("dangling=false", true),
        ("label=made.by=test", true),
        ("label=made.by=me", false),
        ("label!=made.by", false),
        ("reference=*/team/*", true),
        ("reference=nothing", false),
        ("until=2026-01-01", false),
        ("until=2026-01-03", true),
        ("before=app:1", false),
    ] {
        let found = lab.pier(&format!("images -q --filter {filter}"));
        assert_eq!(!found.is_empty(), shown, "{filter}");
    }
    assert_eq!(lab.pier("images -q app:*"), format!("{short}\n"));
    assert!(lab.refused("images --filter colour=red").contains("no filter is called so"));
    let json = lab.pier("images --format json app:1");
    assert!(json.contains("\"Repository\":\"app\""), "{json}");
    let history = lab.pier("history --format {{.ID}}|{{.CreatedBy}}|{{.Size}} app:1");
    assert_eq!(history, format!("{short}|COPY|100kB\n<missing>|COPY|14B\n"));
    let inspected = lab.pier("image inspect --format {{.Id}}{{.Config.Cmd}}{{.RepoTags}} app:1");
    assert_eq!(inspected, format!("{id}[/bin/true][app:1 h.io/team/app:latest]\n"));
    let told = lab.refused("image inspect app:2");
    assert!(told.contains("no such image: app:2"), "{told}");
}

#[test]
fn rmi_follows_dockers_rules() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let id = lab.load("app:1", &colourful());
    lab.pier("tag app:1 app:2");
    lab.pier("tag app:1 other");
    assert_eq!(lab.pier("rmi app:2"), "Untagged: app:2\n");
    let told = lab.refused(&format!("rmi {}", &id[7..15]));
    assert!(told.contains("names in several repositories"), "{told}");
    let told = lab.pier(&format!("rmi -f {}", &id[7..15]));
    let gone = format!("Untagged: app:1\nUntagged: other:latest\nDeleted: {id}\nDeleted: sha256:");
    assert!(told.starts_with(&gone), "{told}");
    assert_eq!(lab.files(), EMPTY);
    assert!(lab.refused("rmi app:1").contains("no such image: app:1"));
    assert!(lab.try_pier("rmi -f app:1").status.success());
}

#[test]
fn an_image_that_a_container_uses_stays() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let id = lab.load("app:1", &colourful());
    let container = lab.path("root/containers/0123456789abcdef");
    std::fs::create_dir_all(&container).unwrap();
    std::fs::write(container.join("spec.json"), format!("{{\"imageId\":\"{id}\"}}")).unwrap();
    let told = lab.refused("rmi app:1");
    assert!(told.contains("container 0123456789ab uses it"), "{told}");
    std::fs::write(container.join("state.json"), "{\"status\":\"running\"}").unwrap();
    let told = lab.refused(&format!("rmi -f {id}"));
    assert!(told.contains("is running from it"), "{told}");
    assert_eq!(lab.pier("rmi -f app:1"), "Untagged: app:1\n");
    let store = lab.store();
    let image = store.image(&id).unwrap();
    assert_eq!((image.names.len(), store.layers(&image).unwrap().len()), (0, 2));
    assert!(lab.pier("image prune -af").contains("Total reclaimed space: 0B"));
    std::fs::remove_file(container.join("state.json")).unwrap();
    // Forced, the record goes; the layers stay as long as the container.
    assert!(lab.pier(&format!("rmi -f {id}")).starts_with("Deleted: "));
    assert!(store.layers(&image).is_ok());
    std::fs::remove_dir_all(lab.path("root/containers")).unwrap();
    lab.pier("image prune -f");
    assert_eq!(lab.files(), EMPTY);
}

#[test]
fn prune_removes_what_has_no_name_or_no_container() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let [base, top] = colourful();
    let old = lab.load("app:1", std::slice::from_ref(&base));
    let new = lab.load("app:1", &[base, top]);
    assert_eq!(lab.pier("images -q --no-trunc -f dangling=true"), format!("{old}\n"));
    let asked = lab.pier("image prune");
    assert!(asked.ends_with("Are you sure you want to continue? [y/N] "), "{asked}");
    let told = lab.pier("image prune -f --filter until=2026-01-01");
    assert_eq!(told, "Total reclaimed space: 0B\n");
    let told = lab.pier("image prune -f");
    assert!(told.starts_with(&format!("Deleted Images:\ndeleted: {old}\n")), "{told}");
    assert_eq!(lab.pier("images -q --no-trunc"), format!("{new}\n"));
    let told = lab.pipe("image prune -a --filter label=made.by", b"y\n");
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("untagged: app:1\n") && !told.ends_with(" 0B\n"), "{told}");
    assert_eq!(lab.files(), EMPTY);
}

#[test]
fn save_writes_all_tags_of_a_repository_and_nothing_when_it_fails() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let id = lab.load("app:1", &colourful());
    lab.pier("tag app:1 app:2");
    let other = Lab::new();
    let archive = lab.pipe("save app", b"");
    let told = String::from_utf8(other.pipe("load", &archive)).unwrap();
    assert_eq!(told, "Loaded image: app:1\nLoaded image: app:2\n");
    let by_id = lab.pipe(&format!("save {id}"), b"");
    let third = Lab::new();
    let told = String::from_utf8(third.pipe("load -q", &by_id)).unwrap();
    assert_eq!(told, format!("Loaded image ID: {id}\n"));
    assert!(lab.refused("save -o out.tar app:1 missing").contains("no such image: missing"));
    assert!(!lab.path("out.tar").exists());
    let layer = lab.store().image("app:1").unwrap().layers[0].blob;
    let blob = lab.path("root/image/blobs/sha256").join(layer.hex());
    let mut damaged = std::fs::read(&blob).unwrap();
    damaged[1500] ^= 1;
    std::fs::write(&blob, damaged).unwrap();
    assert!(lab.refused("save -o out.tar app:1").contains("is damaged"));
    let left: Vec<_> = std::fs::read_dir(lab.path("")).unwrap().collect();
    assert_eq!(left.len(), 1, "only the store: {left:?}");
}

#[test]
fn import_makes_an_image_of_a_root_file_system() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let rootfs = tar(&[(dir("etc"), b""), (file("etc/hostname"), b"box")]);
    let mut command = lab.command();
    command.args(["import", "-c", "CMD [\"sh\"]", "-c", "ENV A=b", "-m", "by hand", "-", "base:1"]);
    let piped = std::process::Stdio::piped;
    let mut child = command.stdin(piped()).stdout(piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&rootfs).unwrap();
    let told = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let store = lab.store();
    let image = store.image("base:1").unwrap();
    assert_eq!(told, format!("{}\n", image.id));
    assert_eq!(image.config.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
    assert_eq!((image.config.comment.as_str(), image.config.config.env.len()), ("by hand", 1));
    let layers = store.layers(&image).unwrap();
    assert_eq!(std::fs::read(layers[0].join("etc/hostname")).unwrap(), b"box");
    std::fs::write(lab.path("none.tar"), "no archive at all").unwrap();
    assert!(lab.refused("import none.tar x").contains("broken tar archive"));
    assert!(lab.refused("import -c RUN none.tar x").contains("invalid change"));
    lab.pier("rmi base:1");
    assert_eq!(lab.files(), EMPTY);
}

#[test]
fn what_is_no_archive_of_images_is_refused_and_nothing_stays() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let good = docker_archive("app:1", &colourful());
    let mut flipped = good.clone();
    let at = good.windows(4).position(|bytes| bytes == b"dear").unwrap();
    flipped[at] = b'D';
    let bad_name = docker_archive("App:1", &colourful());
    let half = &good[..good.len() / 2];
    let cases: [(&[u8], &str); 6] = [
        (b"text", "broken tar archive"),
        (&tar(&[(file("etc/passwd"), b"")]), "the archive has no images"),
        (&flipped, "is not what came"),
        (&bad_name, "repository name must be lowercase"),
        (half, "broken tar archive"),
        (&tar(&[(file("manifest.json"), b"[]")]), "the archive has no images"),
    ];
    for (archive, why) in cases {
        std::fs::write(lab.path("x.tar"), archive).unwrap();
        let told = lab.refused("load -i x.tar");
        assert!(told.contains(why), "{told}, not {why}");
    }
    assert_eq!(lab.files(), EMPTY);
}
