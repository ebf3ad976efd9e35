//! `kill -9` at the system calls of `create`, `start`, `run`, `rm` and `stop`, of the command and of
//! the monitor: the next command works, nothing that was told is lost, nothing is left.

use crate::host::{Host, cgroups, kill};
use crate::points::{killing, points, traced};

/// How many points are taken of each command where not all are.
const SAMPLE: usize = 12;

/// Kills `line` everywhere; `before` makes the scene, `after` looks at what is left of it.
fn everywhere(host: &Host, line: &str, before: impl Fn(), after: impl Fn(&str, &str)) {
    before();
    let (said, trace) = host.strace(line, &["-e", &traced()]);
    assert_eq!(said.code, 0, "{line}: {said:?}");
    look(host, "no kill", &said.out, &after);
    for point in points(&trace, SAMPLE) {
        before();
        let options = killing(&point);
        let (said, _) = host.strace(line, &options.each_ref().map(String::as_str));
        look(host, &format!("{line}, killed at {point:?}"), &said.out, &after);
    }
}

fn look(host: &Host, when: &str, printed: &str, after: &impl Fn(&str, &str)) {
    let ids = host.ids();
    let listed = host.say("ps -a --no-trunc --format {{.ID}}:{{.State}}");
    assert!(listed.code == 0 && listed.err.is_empty(), "{when}: {listed:?}");
    after(when, printed);
    for line in ["run --rm --network none app true", "container prune -f"] {
        let said = host.say(line);
        assert_eq!(said.code, 0, "{when}, then {line}: {said:?}");
    }
    let volumes: Vec<_> = host.list("root/volumes").into_iter().filter(|v| v == "data").collect();
    host.is_clean(&ids, &volumes.iter().map(String::as_str).collect::<Vec<_>>(), when);
}

const SHAPE: &str = "--name web -p 8080:80 -v data:/data -v /anonymous";

#[test]
fn create_killed_anywhere_makes_a_container_or_none() {
    let Some(host) = Host::new() else { return };
    let line = format!("create {SHAPE} app true");
    everywhere(
        &host,
        &line,
        || {},
        |when, printed| {
            let all = host.good("ps -aq --no-trunc");
            assert!(all.contains(printed.trim()), "{when}: {printed} was told and is lost");
            if all.is_empty() {
                // Name and port are free.
                host.good(&line);
            }
            assert_eq!(host.good("start web"), "web", "{when}");
            host.good("rm -fv web");
        },
    );
}

#[test]
fn start_killed_anywhere_with_its_monitor_can_be_said_again() {
    let Some(host) = Host::new() else { return };
    let before = || drop(host.good(&format!("create {SHAPE} app true")));
    everywhere(&host, "start web", before, |when, _| {
        let state = host.good("inspect --format {{.State.Status}} web");
        assert!(state == "created" || state == "exited", "{when}: {state}");
        assert_eq!(host.good("start -a web"), "", "{when}");
        assert_eq!(host.good("inspect --format {{.State.ExitCode}} web"), "0", "{when}");
        host.good("rm -v web");
    });
}

#[test]
fn run_killed_anywhere_leaves_what_it_told_and_nothing_else() {
    let Some(host) = Host::new() else { return };
    let line = "run -d -p 8080:80 -v data:/data -v /anonymous app true";
    everywhere(
        &host,
        line,
        || {},
        |when, printed| {
            let all = host.good("ps -aq --no-trunc");
            assert!(all.contains(printed.trim()), "{when}: {printed} was told and is lost");
            for id in all.lines() {
                host.good(&format!("rm -fv {id}"));
            }
        },
    );
}

#[test]
fn run_rm_killed_anywhere_leaves_nothing() {
    let Some(host) = Host::new() else { return };
    let line = "run --rm -p 8080:80 -v data:/data -v /anonymous app true";
    everywhere(
        &host,
        line,
        || {},
        |when, _| {
            // One that never ran stands as created, as with Docker.
            for id in host.good("ps -aq --no-trunc").lines() {
                let state = host.good(&format!("inspect --format {{{{.State.Status}}}} {id}"));
                assert_eq!(state, "created", "{when}");
                host.good(&format!("rm -v {id}"));
            }
            let said = host.say(line);
            assert_eq!(said.code, 0, "{when}: the port is free: {said:?}");
        },
    );
}

/// Between "it has ended" and the removal.
#[test]
fn one_of_rm_whose_monitor_was_killed_at_its_last_word_goes() {
    let Some(host) = Host::new() else { return };
    let id = host.good("create --rm --network none -v /anonymous app true");
    let file = host.name(&format!("root/containers/{id}/state.json"));
    host.sh(&format!("sed -i 's/\"status\": *\"created\"/\"status\":\"exited\"/' {file}"));
    assert_eq!(host.good("ps -aq"), "");
    assert_eq!(host.good("volume ls -q"), "");
}

#[test]
fn rm_killed_anywhere_removes_or_leaves_a_container() {
    let Some(host) = Host::new() else { return };
    let before = || drop(host.good(&format!("run -d {SHAPE} app sleep 1000")));
    everywhere(&host, "rm -fv web", before, |when, printed| {
        let all = host.good("ps -aq");
        assert!(printed.is_empty() || all.is_empty(), "{when}: it was told as removed");
        host.good("rm -fv web");
        assert_eq!(host.good("ps -aq"), "", "{when}");
    });
}

#[test]
fn stop_killed_anywhere_can_be_said_again() {
    let Some(host) = Host::new() else { return };
    let before = || drop(host.good(&format!("run -d {SHAPE} app sleep 1000")));
    everywhere(&host, "stop -t 0 web", before, |when, _| {
        host.good("stop -t 0 web");
        assert_eq!(host.good("inspect --format {{.State.Status}} web"), "exited", "{when}");
        host.good("rm -v web");
    });
}

#[test]
fn a_container_whose_monitor_is_killed_is_ended_by_who_looks() {
    let Some(host) = Host::new() else { return };
    for (look, told) in [
        ("ps -a --format {{.State}}({{.Status}})", "exited(Exited (255)"),
        ("inspect --format {{.State.Status}}-{{.State.ExitCode}} web", "exited-255"),
        ("stop web", "web"),
        ("wait web", "255"),
        ("start web", "web"),
        ("rm -v web", "web"),
    ] {
        let id = host.good(&format!("run -d {SHAPE} app sleep 1000"));
        kill(host.monitor(&id));
        let said = host.good(look);
        assert!(said.starts_with(told), "{look}: {said}");
        if look.starts_with("start") {
            assert_eq!(host.good("inspect --format {{.State.Running}} web"), "true");
        } else {
            assert_eq!(cgroups(&id), Vec::<std::path::PathBuf>::new(), "{look}");
        }
        host.good("rm -fv web");
        host.is_clean(&[id].into(), &["data"], look);
    }
}
