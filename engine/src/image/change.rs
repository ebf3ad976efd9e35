//! `--change`: one instruction of a Dockerfile, applied to an image's configuration.
//!
//! Docker takes CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME
//! and WORKDIR here; so do we.

use super::config::{Config, Healthcheck, Nothing};
use crate::error::{Error, Result};
use crate::format::duration;

/// Applies one instruction.
///
/// # Errors
/// It is no instruction that may stand here, or its words cannot be read.
pub fn apply(config: &mut Config, text: &str) -> Result<()> {
    let wrong = |why: &str| Error::new(format!("invalid change {text:?}")).why(why);
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let word = word.to_ascii_uppercase();
    if rest.is_empty() {
        return Err(wrong("it is written INSTRUCTION ARGUMENTS"));
    }
    match word.as_str() {
        "CMD" => config.cmd = Some(command(rest)),
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(rest));
        }
        "ENV" => {
            for (key, value) in pairs(rest).map_err(|why| wrong(&why))? {
                let prefix = format!("{key}=");
                config.env.retain(|known| !known.starts_with(&prefix));
                config.env.push(format!("{key}={value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs(rest).map_err(|why| wrong(&why))?),
        "EXPOSE" => {
            for port in words(rest).map_err(|why| wrong(&why))? {
                config.exposed_ports.insert(expose(&port).map_err(|why| wrong(&why))?, Nothing {});
            }
        }
        "VOLUME" => {
            let places = match json(rest) {
                Some(places) => places,
                None => words(rest).map_err(|why| wrong(&why))?,
            };
            config.volumes.extend(places.into_iter().map(|place| (place, Nothing {})));
        }
        "USER" => rest.clone_into(&mut config.user),
        "WORKDIR" => config.working_dir = join(&config.working_dir, rest),
        "STOPSIGNAL" => rest.clone_into(&mut config.stop_signal),
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        "HEALTHCHECK" => config.healthcheck = Some(health(rest).map_err(|why| wrong(&why))?),
        _ => {
            return Err(wrong(
                "only CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, \
                 USER, VOLUME and WORKDIR change an image",
            ));
        }
    }
    Ok(())
}

/// The exec form, or the shell form.
fn command(text: &str) -> Vec<String> {
    json(text).unwrap_or_else(|| ["/bin/sh", "-c", text].map(str::to_owned).to_vec())
}

fn json(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// `80`, `80/udp`, `8000-8010/tcp`.
fn expose(text: &str) -> std::result::Result<String, String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| text.parse::<u16>().is_ok_and(|port| port != 0);
    if port(first) && port(last) && ["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Ok(format!("{ports}/{protocol}"));
    }
    Err(format!("{text} is no port: it is written PORT[-PORT][/tcp|udp|sctp]"))
}

/// A relative directory is one below the last.
fn join(base: &str, text: &str) -> String {
    if text.starts_with('/') {
        return text.to_owned();
    }
    format!("{}/{text}", base.trim_end_matches('/'))
}

/// `KEY=value KEY="two words"`, or the old form `KEY the rest`.
fn pairs(text: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let words = words(text)?;
    if words.first().is_some_and(|first| !first.contains('=')) {
        let (key, value) = text.split_once(char::is_whitespace).ok_or("a key without a value")?;
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: &String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{word:?} is not written KEY=VALUE")),
    };
    words.iter().map(pair).collect()
}

/// Words, with quotes and backslashes taken away.
fn words(text: &str) -> std::result::Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, space) if space.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

/// `NONE`, or flags and `CMD`.
fn health(text: &str) -> std::result::Result<Healthcheck, String> {
    let mut health = Healthcheck::default();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).ok_or("CMD is missing")?;
        let (key, value) = flag.split_once('=').ok_or_else(|| format!("--{flag} has no value"))?;
        let time = || {
            let length = duration::parse(value).and_then(|l| i64::try_from(l.as_nanos()).ok());
            length.ok_or_else(|| format!("--{key}: {value} is no length of time"))
        };
        match key {
            "interval" => health.interval = time()?,
            "timeout" => health.timeout = time()?,
            "start-period" => health.start_period = time()?,
            "start-interval" => health.start_interval = time()?,
            "retries" => {
                health.retries = value.parse().map_err(|_| format!("--retries: {value}"))?;
            }
            _ => return Err(format!("HEALTHCHECK has no flag --{key}")),
        }
        rest = after.trim_start();
    }
    let (word, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    health.test = match (word.to_ascii_uppercase().as_str(), command.trim()) {
        ("NONE", "") => vec!["NONE".into()],
        ("CMD", command) if !command.is_empty() => match json(command) {
            Some(words) => ["CMD".to_owned()].into_iter().chain(words).collect(),
            None => vec!["CMD-SHELL".into(), command.into()],
        },
        _ => return Err("HEALTHCHECK is followed by NONE, or flags and CMD".into()),
    };
    Ok(health)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(texts: &[&str]) -> Config {
        let mut config = Config::default();
        texts.iter().for_each(|text| apply(&mut config, text).unwrap());
        config
    }

    #[test]
    fn every_instruction_changes_its_member() {
        let config = changed(&[
            "CMD [\"a\", \"b c\"]",
            "entrypoint run me",
            "ENV A=1 B=\"two words\" C=x\\ y",
            "ENV A=2",
            "ENV OLD the rest",
            "LABEL a.b=c",
            "EXPOSE 80 53/udp 8000-8010",
            "VOLUME [\"/a\"]",
            "VOLUME /b /c",
            "USER 1:2",
            "WORKDIR /x",
            "WORKDIR y",
            "STOPSIGNAL SIGQUIT",
            "ONBUILD RUN x",
            "HEALTHCHECK --interval=5s --retries=2 CMD curl x",
        ]);
        assert_eq!(config.cmd.unwrap(), ["a", "b c"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run me"]);
        assert_eq!(config.env, ["B=two words", "C=x y", "A=2", "OLD=the rest"]);
        assert_eq!(config.labels["a.b"], "c");
        let ports: Vec<_> = config.exposed_ports.into_keys().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "8000-8010/tcp"]);
        assert_eq!(config.volumes.into_keys().collect::<Vec<_>>(), ["/a", "/b", "/c"]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("1:2", "/x/y"));
        assert_eq!((config.stop_signal.as_str(), config.on_build.len()), ("SIGQUIT", 1));
        let health = config.healthcheck.unwrap();
        assert_eq!(health.test, ["CMD-SHELL", "curl x"]);
        assert_eq!((health.interval, health.retries), (5_000_000_000, 2));
    }

    #[test]
    fn what_changes_nothing_is_refused() {
        let cases = [
            "RUN x",
            "CMD",
            "ENV A",
            "LABEL =x",
            "EXPOSE x",
            "EXPOSE 0",
            "ENV A='x",
            "HEALTHCHECK CMD",
            "HEALTHCHECK --x=1 CMD y",
            "",
        ];
        for text in cases {
            let error = apply(&mut Config::default(), text).unwrap_err();
            assert!(error.to_string().starts_with("invalid change"), "{error}");
        }
    }
}
