//! `rmi`: takes names away; an image without names goes, and what only it had.
//!
//! The rules are Docker's (`daemon/images/image_delete.go`): a name is only untagged while there
//! are others; an id with names in several repositories needs `-f`; what a container uses needs
//! `-f`, and what a running one uses stays, without a name at most.

use crate::Context;
use crate::cli;
use crate::error::{Error, FAILURE, Result};
use crate::reference::Reference;
use crate::store::{Digest, Image, Name, Record, Store, Swept};

/// `rmi`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  pier rmi app:1.2
  pier rmi -f 4bcff63911fc")]
pub struct Args {
    /// Remove all names of an id, and images of containers that are not running
    #[arg(short, long)]
    pub force: bool,
    /// Keep parents that have no name; there are none in this store
    #[arg(long)]
    pub no_prune: bool,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

/// Runs `rmi`: what can be removed is, then an error for what cannot.
///
/// # Errors
/// There is no such image, or it may not go.
pub fn rmi(context: &Context, args: &Args) -> Result<u8> {
    let store = Store::open(&context.paths)?;
    let mut refused = 0;
    for query in &args.images {
        match one(&store, query, args.force) {
            Ok(told) => cli::print(&told)?,
            Err(error) if args.images.len() == 1 => {
                // `-f` asks for the image to be gone, and it is.
                let gone = args.force && error.what.starts_with("no such image");
                return if gone {
                    cli::tell(&error);
                    Ok(0)
                } else {
                    Err(error)
                };
            }
            Err(error) => {
                cli::tell(&error);
                refused += usize::from(!(args.force && error.what.starts_with("no such image")));
            }
        }
    }
    Ok(if refused == 0 { 0 } else { FAILURE })
}

/// What is to be done about one word.
struct Decision {
    names: Vec<Name>,
    /// The image goes too.
    gone: Option<Digest>,
    /// It stays without a name.
    nameless: Option<Record>,
}

/// Removes what one word means; returns what Docker prints.
pub(super) fn one(store: &Store, query: &str, force: bool) -> Result<String> {
    let mut told = String::new();
    let swept = store.remove(|records| {
        let decision = decide(store, records, query, force)?;
        told = tell(records, &decision);
        Ok((decision.names, decision.nameless))
    })?;
    Ok(told + &layers(&swept))
}

fn layers(swept: &Swept) -> String {
    swept.layers.iter().map(|layer| format!("Deleted: {layer}\n")).collect()
}

fn decide(store: &Store, records: &[(Name, Record)], query: &str, force: bool) -> Result<Decision> {
    let named = store.named(query)?;
    let id = match &named {
        Some((_, record)) => record.image,
        None => {
            let id = store.by_id(query, records)?;
            id.ok_or_else(|| crate::store::unknown(query, records))?
        }
    };
    let of_image: Vec<&(Name, Record)> = records.iter().filter(|(_, r)| r.image == id).collect();
    let all = || of_image.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let Some((name, record)) = named else {
        if !force && repositories(&of_image) > 1 {
            return Err(conflict(&id)
                .why("it has names in several repositories")
                .fix("remove them one by one, or all with -f"));
        }
        may_go(store, &id, force)?;
        return Ok(Decision { names: all(), gone: Some(id), nameless: None });
    };
    if of_image.len() > 1 {
        return Ok(Decision { names: vec![name], gone: None, nameless: None });
    }
    match may_go(store, &id, force) {
        Ok(()) => Ok(Decision { names: vec![name], gone: Some(id), nameless: None }),
        // The name goes all the same; the containers keep the image.
        Err(_) if force => Ok(Decision { names: vec![name], gone: None, nameless: Some(record) }),
        Err(error) => Err(error),
    }
}

fn repositories(of_image: &[&(Name, Record)]) -> usize {
    let mut names: Vec<String> =
        of_image.iter().filter_map(|(name, _)| name.reference()).map(Reference::name).collect();
    names.sort();
    names.dedup();
    names.len()
}

fn conflict(id: &Digest) -> Error {
    Error::new(format!("cannot remove image {}", id.short()))
}

/// Whether no container needs the image.
fn may_go(store: &Store, id: &Digest, force: bool) -> Result<()> {
    for user in users(store, id)? {
        let short: String = user.id.chars().take(12).collect();
        if user.running {
            return Err(conflict(id)
                .why(format!("container {short} is running from it"))
                .fix(format!("stop and remove it first: pier rm -f {short}")));
        }
        if !force {
            return Err(conflict(id)
                .why(format!("container {short} uses it"))
                .fix(format!("remove it first: pier rm {short}, or use -f")));
        }
    }
    Ok(())
}

/// A container that was made of an image.
pub(super) struct User {
    id: String,
    running: bool,
}

/// The containers of an image.
pub(super) fn users(store: &Store, id: &Digest) -> Result<Vec<User>> {
    let used = store.used_by_containers()?;
    let of_image = used.into_iter().filter(|(_, used)| used.digests.contains(id));
    Ok(of_image.map(|(id, _)| User { running: store.is_live(&id), id }).collect())
}

fn tell(records: &[(Name, Record)], decision: &Decision) -> String {
    let mut told = String::new();
    for name in &decision.names {
        let Some(reference) = name.reference() else { continue };
        told += &format!("Untagged: {}\n", reference.familiar());
        let source = records.iter().find(|(other, _)| other == name).and_then(|(_, r)| r.source);
        if let (Some(source), Some(_), Some(_)) = (source, decision.gone, &reference.tag) {
            told += &format!("Untagged: {}@{source}\n", reference.familiar_name());
        }
    }
    if let Some(id) = decision.gone {
        told += &format!("Deleted: {id}\n");
    }
    told
}

/// Removes an image with all its names, for `image prune`.
pub(super) fn whole(store: &Store, image: &Image) -> Result<String> {
    one(store, &image.id.to_string(), true)
}
