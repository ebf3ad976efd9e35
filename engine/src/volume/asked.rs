//! Flags of mounts as `inspect` repeats them, in the shape of Docker's API: `Binds`, `Mounts`,
//! `Tmpfs`.

use serde_json::{Map, Value, json};

use super::wanted::{self, Recursive, Wanted};
use super::{Kind, MountFlags};
use crate::error::Result;

/// Makes the sources of `-v` absolute: a later command has another current directory.
///
/// # Errors
/// There is no current directory.
pub fn absolute(flags: &mut MountFlags) -> std::io::Result<()> {
    for text in &mut flags.volume {
        if !text.starts_with('.') {
            continue;
        }
        let (source, rest) = text.split_once(':').unwrap_or((text.as_str(), ""));
        let whole = std::path::absolute(source)?;
        if let (Some(whole), false) = (whole.to_str(), rest.is_empty()) {
            *text = format!("{whole}:{rest}");
        }
    }
    Ok(())
}

/// `Binds`: every `-v` that has a source.
pub fn binds(flags: &MountFlags) -> Vec<String> {
    flags.volume.iter().filter(|text| text.contains(':')).cloned().collect()
}

/// `Tmpfs`: the options of each target.
pub fn memory(flags: &MountFlags) -> Map<String, Value> {
    let parts = flags.tmpfs.iter().map(|text| text.split_once(':').unwrap_or((text, "")));
    parts.map(|(target, options)| (target.to_owned(), options.into())).collect()
}

/// `Mounts`: every `--mount`.
///
/// # Errors
/// One that means nothing.
pub fn mounts(flags: &MountFlags) -> Result<Vec<Value>> {
    flags.mount.iter().map(|text| wanted::mount(text).map(|wanted| mount(&wanted))).collect()
}

fn mount(wanted: &Wanted) -> Value {
    let mut out = Map::new();
    let mut options = Map::new();
    let (kind, member) = match wanted.kind {
        Kind::Bind => {
            let propagation = Some(&wanted.propagation).filter(|word| !word.is_empty());
            options.extend(propagation.map(|word| ("Propagation".to_owned(), json!(word))));
            flag(&mut options, "NonRecursive", wanted.recursive == Recursive::Disabled);
            flag(&mut options, "CreateMountpoint", wanted.make_source);
            flag(&mut options, "ReadOnlyNonRecursive", wanted.recursive == Recursive::Writable);
            flag(&mut options, "ReadOnlyForceRecursive", wanted.recursive == Recursive::ReadOnly);
            ("bind", "BindOptions")
        }
        Kind::Volume => {
            flag(&mut options, "NoCopy", wanted.nocopy);
            if !wanted.labels.is_empty() {
                options.insert("Labels".into(), json!(wanted.labels));
            }
            if !wanted.subpath.is_empty() {
                options.insert("Subpath".into(), json!(wanted.subpath));
            }
            let mut driver = Map::new();
            if !wanted.driver.is_empty() {
                driver.insert("Name".into(), json!(wanted.driver));
            }
            if !wanted.options.is_empty() {
                driver.insert("Options".into(), json!(wanted.options));
            }
            // As Docker's client does, which makes both when one of them is asked for.
            if !(options.is_empty() && driver.is_empty()) {
                options.insert("DriverConfig".into(), driver.into());
            }
            ("volume", "VolumeOptions")
        }
        Kind::Tmpfs => {
            for option in &wanted.tmpfs {
                match option.split_once('=') {
                    Some(("size", size)) => {
                        options.insert("SizeBytes".into(), json!(size.parse::<u64>().ok()));
                    }
                    Some(("mode", mode)) => {
                        options.insert("Mode".into(), json!(u32::from_str_radix(mode, 8).ok()));
                    }
                    _ => {}
                }
            }
            ("tmpfs", "TmpfsOptions")
        }
    };
    out.insert("Type".into(), kind.into());
    if !wanted.source.is_empty() {
        out.insert("Source".into(), json!(wanted.source));
    }
    out.insert("Target".into(), json!(wanted.target));
    flag(&mut out, "ReadOnly", wanted.read_only);
    if !options.is_empty() {
        out.insert(member.into(), options.into());
    }
    out.into()
}

/// Docker leaves out what is false.
fn flag(out: &mut Map<String, Value>, name: &str, set: bool) {
    if set {
        out.insert(name.into(), true.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_repeated_in_dockers_shape() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let mut flags = MountFlags {
            volume: words(&["/anon", "vol:/v:ro", "./here:/h"]),
            tmpfs: words(&["/t:size=1m", "/u"]),
            mount: words(&[
                "type=tmpfs,target=/m,tmpfs-size=1m,tmpfs-mode=700",
                "type=bind,source=/etc,target=/b,readonly,bind-propagation=rprivate",
                "source=name,target=/c,volume-nocopy",
                "target=/d",
            ]),
            ..MountFlags::default()
        };
        absolute(&mut flags).unwrap();
        let here = std::env::current_dir().unwrap().join("here").display().to_string();
        assert_eq!(binds(&flags), ["vol:/v:ro".to_owned(), format!("{here}:/h")]);
        assert_eq!(Value::Object(memory(&flags)), json!({ "/t": "size=1m", "/u": "" }));
        let wanted = json!([
            { "Type": "tmpfs", "Target": "/m", "TmpfsOptions": { "SizeBytes": 1_048_576, "Mode": 448 } },
            { "Type": "bind", "Source": "/etc", "Target": "/b", "ReadOnly": true,
              "BindOptions": { "Propagation": "rprivate" } },
            { "Type": "volume", "Source": "name", "Target": "/c",
              "VolumeOptions": { "NoCopy": true, "DriverConfig": {} } },
            { "Type": "volume", "Target": "/d" },
        ]);
        assert_eq!(Value::Array(mounts(&flags).unwrap()), wanted);
    }
}
