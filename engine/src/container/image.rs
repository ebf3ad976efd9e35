//! The image that a container is made from: found in the store, or pulled.

use std::io::Write;

use super::flags::Basics;
use super::record::{ImageConfig, Record};
use crate::error::{Error, Result};
use crate::image::config::Config;
use crate::reference::Reference;
use crate::registry::{Platform, PullOptions, pull};
use crate::store::{Image, Store};

/// The image of a name, as `--pull` and `--platform` want it.
///
/// # Errors
/// It is not there and may not be pulled; the registry does not have it.
pub(super) fn find(store: &Store, name: &str, flags: &Basics) -> Result<Image> {
    let platform: Option<Platform> = flags.platform.as_deref().map(str::parse).transpose()?;
    let fits = |image: &Image| flags.platform.as_ref().is_none_or(|asked| is_for(image, asked));
    let local = store.image(name);
    let unknown = match &local {
        _ if flags.pull == "always" => None,
        Ok(image) if fits(image) => return local,
        Ok(image) if flags.pull == "never" => {
            let own = format!("it is for {}/{}", image.config.os, image.config.architecture);
            return Err(Error::new(format!("image '{name}' is for another platform")).why(own));
        }
        Err(_) if flags.pull == "never" => return local,
        _ => Some(()),
    };
    // What is no name can only be an id, and then it is not there.
    let Ok(reference) = name.parse::<Reference>() else { return local };
    if unknown.is_some() {
        if local.is_err() && store.find(&reference)?.is_some() {
            // It is there and damaged: the first look has said why.
            return local;
        }
        // stderr may be closed; the pull does not depend on it.
        let _ =
            writeln!(std::io::stderr(), "Unable to find image '{}' locally", reference.familiar());
    }
    let options = PullOptions { platform, aside: true, ..PullOptions::default() };
    Ok(pull(store, &reference, &options)?.image)
}

/// `os[/arch[/variant]]`.
fn is_for(image: &Image, platform: &str) -> bool {
    let config = &image.config;
    let own = [config.os.as_str(), config.architecture.as_str(), config.variant.as_str()];
    let arch = |name: &str| match name {
        "x86_64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    };
    platform.split('/').zip(own).all(|(asked, own)| arch(asked) == arch(own) || own.is_empty())
}

/// Whether the layers are still there, now that nobody may remove them.
///
/// # Errors
/// The image was removed meanwhile.
pub(super) fn check(record: &Record) -> Result<()> {
    match record.layers.iter().find(|layer| !layer.exists()) {
        None => Ok(()),
        Some(_) => Err(Error::new(format!("image '{}' was removed meanwhile", record.image))
            .fix("say it again")),
    }
}

impl From<&Config> for ImageConfig {
    fn from(config: &Config) -> Self {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let empty = || serde_json::Value::Object(serde_json::Map::new());
        let names = |names: Vec<&String>| {
            Some(names.into_iter().map(|name| (name.clone(), empty())).collect())
        };
        Self {
            env: Some(config.env.clone()),
            cmd: config.cmd.clone(),
            entrypoint: config.entrypoint.clone(),
            user: text(&config.user),
            working_dir: text(&config.working_dir),
            volumes: names(config.volumes.keys().collect()),
            labels: Some(config.labels.clone()),
            stop_signal: text(&config.stop_signal),
            exposed_ports: names(config.exposed_ports.keys().collect()),
        }
    }
}
