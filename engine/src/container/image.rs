//! The image that a container is made from: found in the store, or pulled.

use super::flags::Basics;
use super::record::{ImageConfig, Record};
use crate::error::{Error, Result};
use crate::image::config::Config;
use crate::store::{Image, Store};

/// The image of a name, as `--pull` and `--platform` want it.
///
/// # Errors
/// It is not there and may not be pulled; it is for another platform.
pub(super) fn find(store: &Store, name: &str, flags: &Basics) -> Result<Image> {
    let image = store.image(name)?;
    match &flags.platform {
        Some(platform) if !is_for(&image, platform) => {
            let config = &image.config;
            Err(Error::new(format!("image '{name}' is not for the platform {platform}"))
                .why(format!("it is for {}/{}", config.os, config.architecture)))
        }
        _ => Ok(image),
    }
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
