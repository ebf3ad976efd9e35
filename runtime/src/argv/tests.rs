//! Every command line that a known caller sends (containerd, go-runc, conmon, CRI-O, buildkit,
//! buildah, nerdctl, Docker), and the ways Go allows flags to be written.

use super::*;
use crate::cli::{self, Cli};

fn rewrite(line: &str) -> Result<String, Misuse> {
    let argv = std::iter::once("corten").chain(line.split_whitespace());
    let out = normalise(&cli::all(), argv.map(OsString::from))?;
    let out: Vec<_> = out.iter().skip(1).map(|t| t.to_string_lossy().into_owned()).collect();
    Ok(out.join(" "))
}

/// What the verbs see.
fn parse(line: &str) -> Cli {
    let mut command = cli::all();
    let argv = std::iter::once("corten").chain(line.split_whitespace());
    let argv = normalise(&command, argv.map(OsString::from)).unwrap();
    let matches = command.try_get_matches_from_mut(argv).unwrap_or_else(|e| panic!("{line}: {e}"));
    Cli::read(&matches).unwrap()
}

fn refused(line: &str) -> String {
    let mut command = cli::all();
    let argv = std::iter::once("corten").chain(line.split_whitespace());
    match normalise(&command, argv.map(OsString::from)) {
        Err(misuse) => misuse.text,
        Ok(argv) => command.try_get_matches_from_mut(argv).unwrap_err().to_string(),
    }
}

fn create(line: &str) -> cli::Create {
    match parse(line).command {
        Some((_, cli::Command::Create(create))) => create,
        other => panic!("{other:?}"),
    }
}

fn run(line: &str) -> cli::Run {
    match parse(line).command {
        Some((_, cli::Command::Run(run))) => run,
        other => panic!("{other:?}"),
    }
}

fn kill(line: &str) -> cli::Kill {
    match parse(line).command {
        Some((_, cli::Command::Kill(kill))) => kill,
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_are_written_with_two_dashes_and_joined_to_their_value() {
    for (go, ours) in [
        ("-root /r state c", "--root=/r state c"),
        ("-root=/r state c", "--root=/r state c"),
        ("--root /r state c", "--root=/r state c"),
        ("run -no-subreaper c", "run --no-subreaper c"),
        ("run -b /b c", "run --bundle=/b c"),
        ("run -b=/b c", "run --bundle=/b c"),
        ("run -d c", "run --detach c"),
        ("run -detach=true c", "run --detach c"),
        ("run --detach=1 c", "run --detach c"),
        ("run --detach=false c", "run c"),
        ("run --detach --detach=false c", "run c"),
        ("--debug=T --systemd-cgroup=F list", "--debug list"),
        ("list -q", "list --quiet"),
        ("run -help", "run --help"),
        ("-h", "--help"),
    ] {
        assert_eq!(rewrite(go).unwrap(), ours, "{go}");
    }
}

#[test]
fn the_last_of_equal_flags_wins_within_its_level() {
    assert_eq!(rewrite("--root=/a --root /b list").unwrap(), "--root=/b list");
    assert_eq!(rewrite("run -b /a --bundle=/b c").unwrap(), "run --bundle=/b c");
    // --log is no --log-format, and a value is not a flag.
    assert_eq!(
        rewrite("--log-format json --log a --log b list").unwrap(),
        "--log-format=json --log=b list"
    );
}

#[test]
fn values_may_begin_with_a_dash_or_be_empty() {
    assert_eq!(rewrite("run --pid-file --keep c").unwrap(), "run --pid-file=--keep c");
    assert_eq!(rewrite("run --bundle - c").unwrap(), "run --bundle=- c");
    assert_eq!(rewrite("run --console-socket= c").unwrap(), "run c");
    assert_eq!(rewrite("run --bundle=/a --bundle= c").unwrap(), "run c");
    assert_eq!(rewrite("run --bundle=a=b c").unwrap(), "run --bundle=a=b c");
}

#[test]
fn flags_end_where_callers_end_them() {
    assert_eq!(rewrite("kill c -9").unwrap(), "kill -- c -9");
    assert_eq!(rewrite("kill --all c KILL").unwrap(), "kill --all -- c KILL");
    assert_eq!(rewrite("kill -a c -a").unwrap(), "kill --all -- c -a");
    // go-runc's Ps and Top; after the name everything is for ps(1).
    assert_eq!(rewrite("ps --format json c").unwrap(), "ps --format=json -- c");
    assert_eq!(rewrite("ps --format table c -ef -f x").unwrap(), "ps --format=table -- c -ef -f x");
    assert_eq!(rewrite("pause c").unwrap(), "pause c");
    assert_eq!(rewrite("events --stats c").unwrap(), "events --stats c");
    assert_eq!(rewrite("events -interval 5s c").unwrap(), "events --interval=5s c");
    // Docker's and CRI-O's update; values may be negative.
    assert_eq!(rewrite("update --resources - c").unwrap(), "update --resources=- c");
    assert_eq!(rewrite("update --resources=- c").unwrap(), "update --resources=- c");
    assert_eq!(rewrite("update -r - c").unwrap(), "update --resources=- c");
    assert_eq!(
        rewrite("update c --memory-swap -1 --pids-limit -1").unwrap(),
        "update c --memory-swap=-1 --pids-limit=-1"
    );
    assert_eq!(rewrite("delete -- -force").unwrap(), "delete -- -force");
    assert_eq!(rewrite("delete c -force").unwrap(), "delete c --force");
    // What follows the container's name is the program's.
    assert_eq!(rewrite("exec -t c sh -c x").unwrap(), "exec --tty -- c sh -c x");
    // A command that does not exist: nothing after it is ours to judge.
    assert_eq!(rewrite("fly -t c sh -c x").unwrap(), "fly -t c sh -c x");
}

#[test]
fn names_that_are_not_utf8_pass_unharmed() {
    let argv = ["corten", "run", "--bundle"].map(OsString::from);
    let odd = OsString::from_vec(vec![b'/', 0xff, b'=']);
    let out = normalise(&cli::all(), argv.into_iter().chain([odd.clone()])).unwrap();
    assert_eq!(out[2].as_bytes(), b"--bundle=/\xff=");
    let out = normalise(&cli::all(), [OsString::from("corten"), odd.clone()]).unwrap();
    assert_eq!(out[1], odd);
}

#[test]
fn misuse_is_said_in_words_that_callers_search() {
    assert_eq!(refused("run --pid-file"), "flag needs an argument: --pid-file");
    assert_eq!(refused("run -pid-file"), "flag needs an argument: --pid-file");
    assert_eq!(refused("--log"), "flag needs an argument: --log");
    assert!(refused("run --detach=maybe c").starts_with("invalid boolean value \"maybe\""));
    assert!(refused("run --lsm-profile x c").contains("--lsm-profile"));
    assert!(refused("run --preserve-fds=-1 c").contains("-1"));
    assert!(refused("checkpoint --help").contains("checkpoint"));
}

#[test]
fn misuse_keeps_the_flags_before_it() {
    let argv = ["corten", "-log", "/l", "run", "--pid-file"].map(OsString::from);
    let misuse = normalise(&cli::all(), argv).unwrap_err();
    assert_eq!(misuse.argv, ["corten", "--log=/l", "run"]);
}

#[test]
fn short_switches_may_stand_together() {
    match parse("delete -fr c").command {
        Some((_, cli::Command::Delete(delete))) => assert!(delete.force && delete.regex),
        other => panic!("{other:?}"),
    }
}

#[test]
fn globals_of_go_runc() {
    let cli = parse(
        "--root /run/containerd/runc/k8s.io --debug --log /b/log.json --log-format json \
         --systemd-cgroup --rootless=true state c",
    );
    assert_eq!(cli.global.root.as_deref(), Some("/run/containerd/runc/k8s.io".as_ref()));
    assert!(cli.global.debug && cli.global.systemd_cgroup);
    assert_eq!(cli.global.log.as_deref(), Some("/b/log.json"));
    assert_eq!(cli.global.log_format, "json");
    assert_eq!(cli.global.rootless, "true");
    for when in ["false", "auto"] {
        assert_eq!(parse(&format!("--rootless={when} list")).global.rootless, when);
    }
    assert_eq!(
        parse("--cgroup-manager disabled list").global.cgroup_manager.as_deref(),
        Some("disabled")
    );
    assert!(parse("--version").global.version && parse("-v").global.version);
}

#[test]
fn create_of_containerd() {
    let create = create(
        "create --bundle /b --pid-file /b/init.pid --console-socket /s --pidfd-socket /p \
         --no-pivot --no-new-keyring --detach --preserve-fds 2 c",
    );
    let shape = create.shape;
    assert_eq!(shape.bundle.as_deref(), Some("/b".as_ref()));
    assert_eq!(shape.pid_file.as_deref(), Some("/b/init.pid".as_ref()));
    assert_eq!(shape.console_socket.as_deref(), Some("/s".as_ref()));
    assert_eq!(shape.pidfd_socket.as_deref(), Some("/p".as_ref()));
    assert!(shape.no_pivot && shape.no_new_keyring && create.detach);
    assert_eq!((shape.preserve_fds, shape.id.as_str()), (2, "c"));
}

#[test]
fn create_of_conmon_and_buildah() {
    let conmon = "--systemd-cgroup create --bundle /b --pid-file /p --no-pivot --no-new-keyring \
                  --console-socket /s c";
    assert!(create(conmon).shape.no_pivot);
    assert_eq!(create("create --bundle /b --pid-file /p c").shape.id, "c");
    assert!(create("create --no-subreaper c").no_subreaper);
    assert_eq!(create("create -f /c.json c").shape.config.as_deref(), Some("/c.json".as_ref()));
}

#[test]
fn run_of_buildkit_and_people() {
    let buildkit = run("run --bundle /b --no-pivot --keep c");
    assert!(buildkit.keep && buildkit.shape.no_pivot && !buildkit.detach);
    assert!(run("run -d -no-subreaper -bundle=/b c").no_subreaper);
    assert_eq!(run("run c --bundle /b").shape.bundle.as_deref(), Some("/b".as_ref()));
}

#[test]
fn kill_of_every_caller() {
    // containerd and podman; CRI-O; buildah; runc's people.
    for (line, all, signal) in [
        ("kill c 9", false, "9"),
        ("kill --all c 9", true, "9"),
        ("kill -a c KILL", true, "KILL"),
        ("kill c SIGTERM", false, "SIGTERM"),
        ("kill c", false, "SIGTERM"),
        ("kill c -9", false, "-9"),
    ] {
        let kill = kill(line);
        assert_eq!(
            (kill.id.as_str(), kill.all, kill.signal.as_str()),
            ("c", all, signal),
            "{line}"
        );
    }
}

#[test]
fn the_other_verbs_of_containerd_podman_and_crio() {
    assert!(matches!(parse("start c").command, Some((_, cli::Command::Start(_)))));
    assert!(matches!(parse("state c").command, Some((_, cli::Command::State(_)))));
    assert!(matches!(parse("features").command, Some((_, cli::Command::Features(_)))));
    for (line, forced) in [("delete c", false), ("delete --force c", true), ("delete -f c", true)] {
        match parse(line).command {
            Some((_, cli::Command::Delete(delete))) => assert_eq!(delete.force, forced, "{line}"),
            other => panic!("{other:?}"),
        }
    }
    for line in ["list --format=json", "list -f json", "list --format json", "list -format json"] {
        match parse(line).command {
            Some((_, cli::Command::List(list))) => assert_eq!(list.format, cli::ListFormat::Json),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn commands_of_later_days_do_not_exist() {
    // podman takes the success of `checkpoint --help` as "can checkpoint".
    for verb in ["checkpoint", "restore"] {
        assert!(refused(&format!("{verb} --help")).contains(verb), "{verb}");
        assert!(refused(&format!("{verb} c")).contains(verb), "{verb}");
    }
}

#[test]
fn exec_of_every_caller() {
    let exec = |line: &str| match parse(line).command {
        Some((_, cli::Command::Exec(exec))) => exec,
        other => panic!("{other:?}"),
    };
    // containerd (go-runc's Exec), conmon, CRI-O's probes.
    let asked = exec("exec --process /t/p --console-socket /t/s --detach --pid-file /t/f c");
    assert_eq!((asked.id.as_str(), asked.detach, asked.args.len()), ("c", true, 0));
    assert_eq!(asked.process.unwrap().to_str(), Some("/t/p"));
    assert!(asked.console_socket.is_some() && asked.pid_file.is_some());
    assert!(!exec("exec --process /t/p c").detach);
    // Flags that are given several times all count; the program's own stay its own.
    let asked = exec("exec -e A=1 --env B=2 -g 5 -additional-gids 6 -u 1:2 c sh -c -e");
    assert_eq!(
        (asked.env, asked.additional_gids),
        (vec!["A=1".into(), "B=2".into()], vec!["5".into(), "6".into()])
    );
    assert_eq!(
        (asked.user.as_deref(), asked.args),
        (Some("1:2"), ["sh", "-c", "-e"].map(String::from).to_vec())
    );
    let asked = exec("exec --cgroup cpu,memory:x --cgroup pids:y c true");
    assert_eq!(asked.cgroup, ["cpu,memory:x", "pids:y"]);
}

#[test]
fn definitions_are_sound() {
    cli::all().debug_assert();
    // Left out are only verbs that the line does not have.
    for verb in &cli::VERBS {
        let argv = [OsString::from("corten"), OsString::from(verb.name)];
        let (few, all) = (cli::few(&argv), cli::all());
        let flags =
            |root: &Command| root.find_subcommand(verb.name).unwrap().get_arguments().count();
        assert_eq!(flags(&few), flags(&all), "{}", verb.name);
        assert_eq!(few.get_subcommands().count(), 1, "{}", verb.name);
    }
    let none = cli::few(&["corten".into(), "stat".into()]);
    assert_eq!(none.get_subcommands().count(), cli::VERBS.len());
}
