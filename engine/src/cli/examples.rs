//! Examples at the end of `--help`, which are the examples of the man pages as well.
//!
//! A verb whose flags bring examples of their own is not listed here.

use super::Verb;

/// Verb by its first spelling, and lines that can be typed as they stand.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "run",
        "Examples:
  pier run --rm alpine echo hello
  pier run -it --rm alpine sh
  pier run -d --name web -p 8080:80 --restart on-failure:3 nginx
  pier run --rm -v data:/data -v \"$PWD\":/src:ro -w /src alpine ls
  pier run --rm --network none --memory 64m --cpus 0.5 --read-only alpine true

Flags end at IMAGE: what follows is the program and its arguments. Ctrl-P Ctrl-Q leaves a container
that has a terminal without stopping it.",
    ),
    (
        "create",
        "Examples:
  pier create --name web -p 8080:80 nginx
  pier start web",
    ),
    (
        "start",
        "Examples:
  pier start web db
  pier start -ai shell",
    ),
    (
        "boot",
        "Examples:
  pier boot --dry-run
  systemctl enable pier.service

The unit says it once after each boot; without systemd any init script can.",
    ),
    (
        "stop",
        "Examples:
  pier stop web
  pier stop -t 1 web db",
    ),
    (
        "restart",
        "Example:
  pier restart -t 5 web",
    ),
    (
        "kill",
        "Examples:
  pier kill web
  pier kill -s HUP web",
    ),
    (
        "rm",
        "Examples:
  pier rm web
  pier rm -fv web
  pier rm $(pier ps -aq --filter status=exited)",
    ),
    (
        "ps",
        "Examples:
  pier ps -a
  pier ps -aq --filter status=exited
  pier ps --filter label=team=blue --format '{{.Names}}\\t{{.Status}}'",
    ),
    (
        "attach",
        "Example:
  pier attach web",
    ),
    (
        "exec",
        "Examples:
  pier exec web ps
  pier exec -it web sh
  pier exec -u nobody -w /tmp -e A=1 web env",
    ),
    (
        "logs",
        "Examples:
  pier logs -f --tail 20 web
  pier logs --since 10m -t web",
    ),
    (
        "inspect",
        "Examples:
  pier inspect web
  pier inspect --format '{{.State.ExitCode}}' web
  pier inspect --format '{{json .NetworkSettings.Ports}}' web",
    ),
    (
        "container inspect",
        "Example:
  pier container inspect --size web",
    ),
    (
        "top",
        "Examples:
  pier top web
  pier top web -o pid,args",
    ),
    (
        "port",
        "Examples:
  pier port web
  pier port web 80/tcp",
    ),
    (
        "pause",
        "Example:
  pier pause web && pier unpause web",
    ),
    (
        "rename",
        "Example:
  pier rename web web-old",
    ),
    (
        "update",
        "Examples:
  pier update --memory 128m --cpus 1 web
  pier update --restart unless-stopped web",
    ),
    (
        "wait",
        "Example:
  code=$(pier wait job)",
    ),
    (
        "container prune",
        "Example:
  pier container prune -f --filter until=24h",
    ),
    (
        "history",
        "Example:
  pier history --no-trunc alpine",
    ),
    (
        "network ls",
        "Example:
  pier network ls",
    ),
    (
        "network inspect",
        "Example:
  pier network inspect bridge",
    ),
    (
        "volume create",
        "Examples:
  pier volume create data
  pier volume create -o type=tmpfs -o device=tmpfs -o o=size=64m fast",
    ),
    (
        "volume ls",
        "Example:
  pier volume ls --filter dangling=true",
    ),
    (
        "volume inspect",
        "Example:
  pier volume inspect --format '{{.Mountpoint}}' data",
    ),
    (
        "volume rm",
        "Example:
  pier volume rm data",
    ),
    (
        "volume prune",
        "Example:
  pier volume prune -f",
    ),
    (
        "check",
        "Examples:
  pier check
  pier check --repair",
    ),
    (
        "info",
        "Example:
  pier info --format '{{.CgroupVersion}}'",
    ),
    (
        "system df",
        "Example:
  pier system df -v",
    ),
    (
        "system prune",
        "Example:
  pier system prune -f --volumes",
    ),
    (
        "version",
        "Example:
  pier version --format '{{.Client.Version}}'",
    ),
    (
        "completion",
        "Examples:
  source <(pier completion bash)
  pier completion zsh > /usr/local/share/zsh/site-functions/_pier
  pier completion fish > /etc/fish/completions/pier.fish",
    ),
];

/// The examples of a verb.
pub(super) fn of(verb: &Verb) -> Option<&'static str> {
    let name = verb.spellings.first()?;
    EXAMPLES.iter().find(|(verb, _)| verb == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{Typed, all, definitions, misuse};
    use super::*;

    /// Lines of a help text that are to be typed.
    fn lines(text: &str) -> impl Iterator<Item = &str> {
        let typed = text.lines().filter_map(|line| line.strip_prefix("  pier "));
        typed.filter(|line| !line.contains("$(") && line.is_ascii())
    }

    #[test]
    fn every_verb_has_examples_and_every_row_a_verb() {
        for (name, _) in EXAMPLES {
            assert!(all().any(|verb| verb.spellings.first() == Some(name)), "{name}");
        }
        for verb in all().filter(|verb| !matches!(verb.spellings[0], "network prune" | "unpause")) {
            let command = super::super::command(verb.spellings[0], verb, true);
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(text.contains("pier "), "{}", verb.spellings[0]);
        }
    }

    #[test]
    fn every_example_is_understood() {
        for verb in all() {
            let command = super::super::command(verb.spellings[0], verb, true);
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in lines(&text) {
                let line = [" && ", " > ", " | "]
                    .iter()
                    .fold(line, |line, end| line.split(end).next().unwrap());
                let words = ["pier"].into_iter().chain(line.split(' '));
                let argv: Vec<OsString> = words.map(OsString::from).collect();
                let typed = Typed::find(&argv);
                let mut definitions = definitions(&typed);
                if let Err(error) = definitions.try_get_matches_from_mut(typed.close(argv)) {
                    panic!("{line}: {:?}", misuse::explain(&error, &typed, &definitions));
                }
            }
        }
    }
}
