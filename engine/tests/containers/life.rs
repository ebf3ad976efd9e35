//! From `run` to `rm`: names, states, exit codes, restarts, and what a killed monitor leaves.

use std::process::Command;
use std::time::Duration;

use crate::pier::Pier;

#[test]
fn exit_codes_are_dockers() {
    let Some(pier) = Pier::new() else { return };
    assert_eq!(pier.sh(&["--rm"], "exit 7").code, 7);
    assert_eq!(pier.sh(&["--rm"], "kill -9 $$; sleep 1; exit 3").code, 3, "a pid 1 is immune");
    let rootfs = pier.rootfs();
    let run = |words: &[&str]| {
        pier.say(&[&["run", "--rm", "--network", "none", "--rootfs"], words].concat())
    };
    assert_eq!(run(&[&rootfs, "/nope"]).code, 127);
    assert_eq!(run(&[&rootfs, "nope"]).code, 127);
    assert_eq!(run(&[&rootfs, "/etc"]).code, 126);
    assert_eq!(run(&["--cpus", "many", &rootfs, "true"]).code, 125);
    assert_eq!(run(&["--no-such-flag", &rootfs, "true"]).code, 125);
    assert_eq!(run(&["/nowhere", "true"]).code, 125);
    assert_eq!(pier.out(&["ps", "-aq"]), "", "nothing is left of what failed");
}

#[test]
fn words_behind_the_image_are_the_programs() {
    let Some(pier) = Pier::new() else { return };
    let rootfs = pier.rootfs();
    let said =
        pier.out(&["run", "--rm", "--network", "none", "--rootfs", &rootfs, "echo", "-d", "--rm"]);
    assert_eq!(said, "-d --rm");
}

#[test]
fn a_container_has_a_name_an_id_and_a_short_id() {
    let Some(pier) = Pier::new() else { return };
    let id = pier.start("web", &[], "sleep 100");
    assert_eq!(id.len(), 64);
    for word in ["web", &id, &id[..5]] {
        assert_eq!(pier.inspect(word, "Id"), id);
    }
    let again = pier.sh(&["--name", "web"], "true");
    assert_eq!(again.code, 125);
    assert!(again.err.contains("already in use by container") && again.err.contains(&id));
    let unknown = pier.say(&["stop", "wbe"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("No such container: wbe"), "{}", unknown.err);
    assert!(unknown.err.contains("did you mean web?"), "{}", unknown.err);
    pier.out(&["rename", "web", "shop"]);
    assert_eq!(pier.out(&["ps", "--format", "{{.Names}}"]), "shop");
    assert_eq!(pier.say(&["inspect", "web"]).code, 1);
}

#[test]
fn a_cidfile_is_never_written_over() {
    let Some(pier) = Pier::new() else { return };
    let file = pier.path("cid");
    let flags = ["--rm", "--cidfile", file.to_str().unwrap()];
    assert_eq!(pier.sh(&flags, "true").code, 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap().len(), 64);
    let again = pier.sh(&flags, "true");
    assert_eq!(again.code, 125);
    assert!(again.err.contains("exists"), "{}", again.err);
}

#[test]
fn start_stop_kill_wait_and_what_ps_shows() {
    let Some(pier) = Pier::new() else { return };
    pier.start(
        "web",
        &["--stop-signal", "USR1"],
        "trap 'exit 5' USR1; while :; do sleep 0.05; done",
    );
    assert_eq!(pier.out(&["ps", "--format", "{{.State}}"]), "running");
    assert_eq!(pier.say(&["rm", "web"]).code, 1, "it runs");
    assert_eq!(pier.out(&["stop", "web"]), "web");
    assert_eq!(pier.inspect("web", "State.ExitCode"), "5");
    assert_eq!(pier.out(&["wait", "web"]), "5");
    assert_eq!(pier.out(&["ps", "-q"]), "");
    assert!(pier.out(&["ps", "-a"]).contains("Exited (5)"));
    pier.out(&["start", "web"]);
    assert_eq!(pier.inspect("web", "State.Running"), "true");
    pier.out(&["kill", "web"]);
    assert_eq!(pier.inspect("web", "State.ExitCode"), "137");
    assert_eq!(pier.say(&["kill", "web"]).code, 1);
    pier.out(&["restart", "-t", "0", "web"]);
    assert_eq!(pier.out(&["ps", "--filter", "name=we", "--format", "{{.Names}}"]), "web");
    assert_eq!(pier.out(&["rm", "-f", "web"]), "web");
    assert_eq!(pier.out(&["ps", "-aq"]), "");
}

#[test]
fn a_paused_container_stands_still() {
    let Some(pier) = Pier::new() else { return };
    pier.start("web", &[], "while :; do sleep 0.05; done");
    pier.out(&["pause", "web"]);
    assert_eq!(pier.inspect("web", "State.Status"), "paused");
    assert_eq!(pier.say(&["exec", "web", "true"]).code, 1);
    pier.out(&["unpause", "web"]);
    assert_eq!(pier.inspect("web", "State.Status"), "running");
    pier.out(&["pause", "web"]);
    pier.out(&["rm", "-f", "web"]);
}

#[test]
fn the_restart_policy_starts_it_again_so_often() {
    let Some(pier) = Pier::new() else { return };
    pier.start("web", &["--restart", "on-failure:2"], "echo run; exit 3");
    pier.until("web", "State.Status", "exited");
    assert_eq!(pier.inspect("web", "RestartCount"), "2");
    assert_eq!(pier.out(&["logs", "web"]).lines().count(), 3);
    pier.start("ever", &["--restart", "always"], "sleep 0.1");
    pier.until("ever", "RestartCount", "2");
    pier.out(&["stop", "-t", "0", "ever"]);
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(pier.inspect("ever", "State.Status"), "exited", "it was stopped on purpose");
}

#[test]
fn a_killed_monitor_is_seen_and_repaired() {
    let Some(pier) = Pier::new() else { return };
    let id = pier.start("web", &[], "sleep 100");
    let file = pier.path("root/containers").join(&id).join("state.json");
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let monitor = state["monitor"]["pid"].to_string();
    assert!(Command::new("kill").args(["-9", &monitor]).status().unwrap().success());
    pier.until("web", "State.Status", "exited");
    assert_eq!(pier.inspect("web", "State.ExitCode"), "255");
    pier.out(&["start", "web"]);
    assert_eq!(pier.inspect("web", "State.Status"), "running");
}

#[test]
fn prune_takes_only_what_has_ended() {
    let Some(pier) = Pier::new() else { return };
    pier.start("live", &[], "sleep 100");
    assert_eq!(pier.sh(&["--name", "dead", "--label", "keep=1"], "true").code, 0);
    assert_eq!(pier.sh(&["--name", "gone"], "true").code, 0);
    let said = pier.say_with(&["container", "prune"], b"n\n");
    assert!(said.out.contains("[y/N]") && pier.out(&["ps", "-aq"]).lines().count() == 3);
    pier.out(&["container", "prune", "-f", "--filter", "label!=keep"]);
    let names = pier.out(&["ps", "-a", "--format", "{{.Names}}"]);
    assert!(names.contains("live") && names.contains("dead") && !names.contains("gone"), "{names}");
}

#[test]
fn a_hundred_at_once_and_none_is_lost() {
    const AT_ONCE: usize = 100;
    let Some(pier) = Pier::new() else { return };
    std::thread::scope(|scope| {
        for number in 0..AT_ONCE {
            let pier = &pier;
            scope.spawn(move || pier.start(&format!("c{number}"), &[], "sleep 1000"));
        }
    });
    let names = pier.out(&["ps", "--format", "{{.Names}}"]);
    let names: std::collections::BTreeSet<&str> = names.lines().collect();
    assert_eq!(names.len(), AT_ONCE);
    let names: Vec<&str> = names.into_iter().collect();
    pier.out(&[&["rm", "-f"], &names[..]].concat());
    assert_eq!(pier.out(&["ps", "-aq"]), "");
}

/// What only the start needed is given back: a monitor has its container's whole life before it.
#[test]
fn a_monitor_that_waits_keeps_little_memory() {
    let Some(pier) = Pier::new() else { return };
    let id = pier.start("quiet", &[], "sleep 100");
    let file = pier.path("root/containers").join(&id).join("state.json");
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let memory = format!("/proc/{}/smaps_rollup", state["monitor"]["pid"]);
    let resident = || -> u64 {
        let text = std::fs::read_to_string(&memory).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (begun, at_first) = (std::time::Instant::now(), resident());
    // On a slow machine it may have happened before the first look.
    while resident() > (at_first * 2 / 3).max(4096) {
        let late = begun.elapsed() > Duration::from_secs(20);
        assert!(!late, "{} KiB, {at_first} at first", resident());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// With an image: the layer of its own is mounted anew and not emptied in between.
#[test]
fn what_it_wrote_is_there_at_the_next_start() {
    let Some(pier) = Pier::new() else { return };
    let tar = Command::new("tar").args(["-C", &pier.rootfs(), "-c", "."]).output().unwrap();
    let made = pier.say_with(&["import", "-", "made:1"], &tar.stdout);
    assert_eq!(made.code, 0, "{}", made.err);
    let line = "echo x >>/etc/count; cat /etc/count; busybox readlink /etc/mtab";
    let run = ["run", "--name", "twice", "--network", "none", "made:1", "sh", "-c", line];
    assert_eq!(pier.out(&run), "x\n/proc/mounts");
    assert_eq!(pier.out(&["start", "-a", "twice"]), "x\nx\n/proc/mounts");
    let fails = ["--network", "none", "--restart", "on-failure:2", "made:1"];
    let line = "echo x >>/count; cat /count; false";
    pier.out(&[&["run", "-d", "--name", "again"][..], &fails, &["sh", "-c", line]].concat());
    pier.until("again", "RestartCount", "2");
    assert_eq!(pier.out(&["wait", "again"]), "1");
    assert_eq!(pier.out(&["logs", "again"]), "x\nx\nx\nx\nx\nx");
}
