//! Every field of oci-spec's runtime types, as the path it has in JSON.
//!
//! Read from the source of the very version that is locked, so that a field which an update adds
//! cannot go unnoticed. `linux.resources.cpu.shares` is such a path; a list or a map adds nothing
//! to it: `mounts.destination`, `linux.devices.path`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use serde_json::Value;
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Field, Fields, Item, ItemStruct, Lit, Meta, Token, Type};

/// The types at the top of the three documents, and what their paths begin with.
const DOCUMENTS: [(&str, &str); 3] = [("", "Spec"), ("features:", "Features"), ("state:", "State")];

/// All paths, of all documents.
pub(crate) fn all() -> BTreeSet<String> {
    let types = types();
    let mut paths = BTreeSet::new();
    for (prefix, name) in DOCUMENTS {
        walk(&types, name, prefix, &mut paths);
    }
    paths
}

type Types = BTreeMap<String, ItemStruct>;

/// Adds the fields of the structure `name` and of those within.
fn walk(types: &Types, name: &str, prefix: &str, paths: &mut BTreeSet<String>) {
    let item = types.get(name).unwrap_or_else(|| panic!("oci-spec has no structure {name}"));
    let Fields::Named(fields) = &item.fields else { return };
    for field in &fields.named {
        let path = format!("{prefix}{}", json_name(item, field));
        for inner in mentioned(&field.ty).iter().filter(|inner| types.contains_key(*inner)) {
            walk(types, inner, &format!("{path}."), paths);
        }
        paths.insert(path);
    }
}

/// The structures of oci-spec's `runtime` module.
fn types() -> Types {
    let dir = source().join("src/runtime");
    let mut types = Types::new();
    for entry in fs::read_dir(&dir).expect("oci-spec's sources") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("Rust source");
        for item in syn::parse_file(&text).expect("Rust source").items {
            if let Item::Struct(item) = item {
                types.insert(item.ident.to_string(), item);
            }
        }
    }
    types
}

/// Where cargo keeps the locked oci-spec.
fn source() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--offline", "--locked"]);
    // Only what this machine builds has been downloaded.
    cargo.args(["--filter-platform", &format!("{}-unknown-linux-gnu", env::consts::ARCH)]);
    let output = cargo.output().expect("cargo");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {words}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON of cargo");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == "oci-spec");
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    PathBuf::from(manifest.expect("oci-spec is locked")).with_file_name("")
}

/// Names of all types within a type: `HashMap<String, Vec<T>>` mentions `T`.
fn mentioned(ty: &Type) -> Vec<String> {
    let Type::Path(path) = ty else { return Vec::new() };
    let mut names = Vec::new();
    for segment in &path.path.segments {
        names.push(segment.ident.to_string());
        if let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments {
            for argument in &arguments.args {
                if let syn::GenericArgument::Type(inner) = argument {
                    names.extend(mentioned(inner));
                }
            }
        }
    }
    names
}

/// A field's name in JSON: `rename`, else `rename_all` of its structure.
fn json_name(item: &ItemStruct, field: &Field) -> String {
    if let Some(name) = serde(&field.attrs, "rename") {
        return name;
    }
    let name = field.ident.as_ref().expect("a named field").to_string();
    let name = name.trim_start_matches("r#");
    match serde(&item.attrs, "rename_all").as_deref() {
        None => name.to_owned(),
        Some("camelCase") => camel(name),
        Some(style) => panic!("{}: unknown style {style}", item.ident),
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(1);
        name + &initial.to_uppercase() + rest
    })
}

/// The value of `#[serde(key = "value")]`.
fn serde(attributes: &[syn::Attribute], key: &str) -> Option<String> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("serde")).find_map(|attribute| {
        let parse = Punctuated::<Meta, Token![,]>::parse_terminated;
        let metas = attribute.parse_args_with(parse).expect("serde's arguments");
        metas.into_iter().find_map(|meta| match meta {
            Meta::NameValue(pair) if pair.path.is_ident(key) => match pair.value {
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        })
    })
}

#[test]
fn the_walk_finds_what_the_specification_shows() {
    let paths = all();
    for known in [
        "ociVersion",
        "mounts.destination",
        "process.user.additionalGids",
        "linux.resources.cpu.shares",
        "linux.resources.network.classID",
        "linux.seccomp.syscalls.args.valueTwo",
        "features:linux.cgroup.rdma",
        "state:pid",
    ] {
        assert!(paths.contains(known), "{known} is missing: {paths:#?}");
    }
}
