//! Docker's words that mean nothing here: each is refused with what to do instead.
//!
//! The table is looked at only when no verb has the word, so that a verb that comes later wins.

use crate::error::Error;

/// Words that are refused for one reason.
struct Absent {
    /// As typed; a group's verb is two words, a group alone stands for all of its verbs.
    words: &'static [&'static str],
    why: &'static str,
    fix: &'static str,
}

const ABSENT: &[Absent] = &[
    Absent {
        words: &["build", "image build", "builder", "buildx", "bake"],
        why: "pier runs images and builds none",
        fix: "build with `buildah bud -t NAME .` or docker, then: buildah push NAME docker-archive:app.tar:NAME && pier load -i app.tar",
    },
    Absent {
        words: &["push", "image push", "manifest", "trust"],
        why: "pier fetches images and sends none",
        fix: "pier save --format oci-archive -o app.tar NAME && skopeo copy oci-archive:app.tar docker://HOST/NAME",
    },
    Absent {
        words: &["login", "logout"],
        why: "pier keeps no passwords: it uses the logins of docker and podman, and their helpers",
        fix: "skopeo login HOST, or podman login HOST",
    },
    Absent {
        words: &["search"],
        why: "registries other than Docker Hub answer no searches",
        fix: "look at https://hub.docker.com, then: pier pull NAME",
    },
    Absent {
        words: &["commit", "container commit"],
        why: "no image is made of what a container has written",
        fix: "build images with buildah or docker, or of a directory: tar -C DIR -c . | pier import - NAME",
    },
    Absent {
        words: &["export", "container export"],
        why: "a container's root is not written as an archive",
        fix: "pier exec NAME tar -c -C /DIR . > files.tar, or the image: pier save -o image.tar IMAGE",
    },
    Absent {
        words: &["diff", "container diff"],
        why: "what a container has changed is not listed",
        fix: "`pier ps --size` tells how much it has written",
    },
    Absent {
        words: &["stats", "container stats"],
        why: "no process counts what containers use",
        fix: "systemd-cgtop shows it for each control group, `pier top NAME` the processes",
    },
    Absent {
        words: &["events", "system events"],
        why: "there is no daemon that would see what happens",
        fix: "`pier wait NAME` returns when a container ends, `pier logs -f NAME` follows its output",
    },
    Absent {
        words: &["swarm", "service", "stack", "node", "secret", "config"],
        why: "pier is for one machine",
        fix: "for many, use Kubernetes or Docker with corten as their runtime",
    },
    Absent {
        words: &["compose", "pod", "play", "kube", "generate", "quadlet"],
        why: "pier runs one container for each command and reads no compose or Kubernetes files",
        fix: "write the commands into a script, or use docker compose or podman with corten as runtime",
    },
    Absent {
        words: &[
            "network create",
            "network rm",
            "network remove",
            "network connect",
            "network disconnect",
        ],
        why: "user defined networks are not supported; there are bridge, host and none",
        fix: "share a network with --network container:NAME, give names with --add-host",
    },
    Absent {
        words: &[
            "daemon",
            "dockerd",
            "context",
            "machine",
            "system dial-stdio",
            "system connection",
        ],
        why: "there is no daemon: nothing has to be started, and nothing is reached from afar",
        fix: "run pier as root on the machine itself: ssh HOST pier ps",
    },
    Absent {
        words: &["plugin", "checkpoint", "volume update", "scout", "debug", "init"],
        why: "it is not a part of this engine",
        fix: "`pier --help` lists what there is",
    },
];

/// Flags of Docker's that say how to reach a daemon, or what it logs.
const OF_A_DAEMON: &[&str] = &[
    "-H",
    "--host",
    "-c",
    "--context",
    "--config",
    "-D",
    "--debug",
    "-l",
    "--log-level",
    "--tls",
    "--tlscacert",
    "--tlscert",
    "--tlskey",
    "--tlsverify",
];

/// Why there is no such verb, when Docker or podman has it.
pub(super) fn verb(typed: &str) -> Option<Error> {
    let group = typed.split(' ').next().unwrap_or_default();
    let knows = |absent: &&Absent| absent.words.iter().any(|word| *word == typed || *word == group);
    let absent = ABSENT.iter().find(knows)?;
    let what = format!("'{typed}' is not a command of pier");
    Some(Error::new(what).why(absent.why).fix(absent.fix))
}

/// Why there is no such flag in front of the verb, when Docker has it.
pub(super) fn flag(typed: &str) -> Option<Error> {
    let name = typed.split('=').next().unwrap_or_default();
    OF_A_DAEMON.contains(&name).then(|| {
        Error::new(format!("unknown flag: {name}"))
            .why("it tells Docker about its daemon, and pier has none")
            .fix("leave it out; --root and --run-root say where pier keeps things")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_engines_are_refused_by_name() {
        for word in ["build", "image push", "swarm init", "compose", "network create", "events"] {
            let error = verb(word).unwrap();
            assert!(error.what.contains(word) && error.why.is_some() && error.fix.is_some());
        }
        for word in ["run", "runn", "network", "image", "network ls", ""] {
            assert!(verb(word).is_none(), "{word}");
        }
        assert!(flag("--host=tcp://x").is_some() && flag("--hots").is_none());
    }

    #[test]
    fn no_verb_of_ours_is_said_to_be_absent() {
        let ours = crate::cli::all().flat_map(|verb| verb.spellings);
        let both: Vec<_> = ours.filter(|spelling| verb(spelling).is_some()).collect();
        assert!(both.is_empty(), "take these out of the table: {both:?}");
    }
}
