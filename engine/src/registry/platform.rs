//! Platforms: `OS/ARCH[/VARIANT]`, and which image of an index one of them runs.

use crate::error::{Error, Result};
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// What an image was built for; the words are Go's (image-spec, image-index.md).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Platform {
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// `amd64`, `arm64`, `arm`, `386`, `riscv64`.
    #[serde(default, rename = "architecture")]
    pub arch: String,
    /// `v7`, `v8`; empty when there is none.
    #[serde(default)]
    pub variant: String,
}

impl Platform {
    /// What this machine runs.
    #[must_use]
    pub fn host() -> Self {
        Self {
            os: "linux".into(),
            arch: go_arch(std::env::consts::ARCH).into(),
            variant: String::new(),
        }
        .normal()
    }

    /// The usual words: `x86_64` is `amd64`, `arm64/v8` is `arm64`, `arm` is `arm/v7`.
    fn normal(mut self) -> Self {
        self.os = self.os.to_ascii_lowercase();
        self.arch = go_arch(&self.arch.to_ascii_lowercase()).into();
        self.variant = match (self.arch.as_str(), self.variant.to_ascii_lowercase().as_str()) {
            ("arm64", "v8" | "8") | ("amd64", "v1") => String::new(),
            ("arm", "" | "7") => "v7".into(),
            ("arm", number @ ("5" | "6" | "8")) => format!("v{number}"),
            (_, variant) => variant.to_owned(),
        };
        self
    }

    /// What runs on a machine of this platform, best first: containerd's order.
    fn runs(&self) -> Vec<Self> {
        let of = |arch: &str, variant: &str| Self {
            os: self.os.clone(),
            arch: arch.into(),
            variant: variant.into(),
        };
        let mut all = vec![self.clone()];
        let level = self.variant.strip_prefix('v').and_then(|level| level.parse::<u8>().ok());
        match (self.arch.as_str(), level) {
            ("amd64", level) => {
                all.extend(
                    (2..level.unwrap_or(1)).rev().map(|level| of("amd64", &format!("v{level}"))),
                );
                all.extend([of("amd64", ""), of("386", "")]);
            }
            ("arm", Some(level)) => {
                all.extend((5..level).rev().map(|level| of("arm", &format!("v{level}"))));
            }
            ("arm64", _) => {
                all.push(of("arm64", ""));
                all.extend((5..=8).rev().map(|level| of("arm", &format!("v{level}"))));
            }
            _ => {}
        }
        all
    }

    /// Which of the platforms offered is the best to run here.
    #[must_use]
    pub fn best(&self, offered: &[&Self]) -> Option<usize> {
        let wanted = self.clone().normal().runs();
        wanted
            .iter()
            .find_map(|one| offered.iter().position(|other| (*other).clone().normal() == *one))
    }
}

fn go_arch(arch: &str) -> &str {
    match arch {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armhf" | "armel" => "arm",
        "i386" | "i686" | "x86" => "386",
        "powerpc64le" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let good = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        let platform = match parts.as_slice() {
            _ if !parts.iter().all(good) => None,
            // One word is a system or a processor.
            [os @ ("linux" | "windows" | "freebsd" | "darwin")] => {
                Some(Self { os: (*os).into(), ..Self::host() })
            }
            [arch] => {
                Some(Self { os: "linux".into(), arch: (*arch).into(), variant: String::new() })
            }
            [os, arch] => {
                Some(Self { os: (*os).into(), arch: (*arch).into(), variant: String::new() })
            }
            [os, arch, variant] => {
                Some(Self { os: (*os).into(), arch: (*arch).into(), variant: (*variant).into() })
            }
            _ => None,
        };
        platform.map(Self::normal).ok_or_else(|| {
            Error::new(format!("invalid platform {text:?}"))
                .fix("it is written OS/ARCH[/VARIANT], as linux/arm64")
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.os, self.arch)?;
        if self.variant.is_empty() { Ok(()) } else { write!(out, "/{}", self.variant) }
    }
}

#[cfg(test)]
mod tests {
    use super::Platform;

    fn of(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn written_in_many_ways() {
        let cases = [
            ("linux/amd64", "linux/amd64"),
            ("x86_64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/ARM64/v8", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/riscv64", "linux/riscv64"),
        ];
        for (text, want) in cases {
            assert_eq!(of(text).to_string(), want);
        }
        for bad in ["", "linux/", "/", "a/b/c/d", "linux/a b"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_best_of_an_index() {
        let best = |want: &str, offered: &[&str]| {
            let offered: Vec<_> = offered.iter().map(|text| of(text)).collect();
            of(want).best(&offered.iter().collect::<Vec<_>>())
        };
        let index = ["linux/386", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "linux/amd64"];
        assert_eq!(best("linux/amd64", &index), Some(4));
        assert_eq!(best("linux/arm64", &index), Some(3));
        assert_eq!(best("linux/arm/v7", &index), Some(2));
        assert_eq!(best("linux/arm/v6", &index), Some(1));
        assert_eq!(best("linux/arm/v5", &index), None);
        assert_eq!(best("linux/amd64/v3", &["linux/amd64", "linux/amd64/v2"]), Some(1));
        assert_eq!(best("linux/amd64", &["linux/amd64/v3", "linux/386"]), Some(1));
        assert_eq!(best("linux/arm64", &index[..3]), Some(2));
        assert_eq!(best("linux/s390x", &index), None);
    }
}
