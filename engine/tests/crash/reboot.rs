//! Reboots: what ran is told as exited, what should run is started by `pier boot`.

use rustix::process::Signal;

use crate::host::{Host, signal, until};

fn state(host: &Host, name: &str) -> String {
    host.good(&format!("inspect --format {{{{.State.Status}}}}/{{{{.State.ExitCode}}}} {name}"))
}

#[test]
fn after_a_reboot_what_should_run_runs_again() {
    let Some(mut host) = Host::new() else { return };
    let run = |name: &str, more: &str| host.good(&format!("run -d --name {name} {more}"));
    run("first", "--restart unless-stopped -p 8080:80 -v data:/data app sleep 1000");
    run("joined", "--restart always --network container:first app sleep 1000");
    run("failed", "--restart on-failure:3 --network none app sleep 1000");
    run("plain", "--network none app sleep 1000");
    run("passing", "--rm --network none -v /anonymous app sleep 1000");
    run("stopped", "--restart unless-stopped --network none app sleep 1000");
    run("always", "--restart always --network none app sleep 1000");
    run("ended", "--restart on-failure --network none app true");
    host.good("create --restart always --network none --name never app sleep 1000");
    host.good("stop -t 0 stopped always");
    until("its end", || state(&host, "ended") == "exited/0");
    let ids = host.ids();
    host.reboot();
    assert_eq!(state(&host, "plain"), "exited/255");
    let all = host.good("ps -a --format {{.Names}}:{{.State}}");
    assert!(all.contains("first:exited") && all.contains("never:created"), "{all}");
    assert!(!all.contains("running") && !all.contains("passing"), "with --rm it has gone: {all}");
    assert_eq!(host.list("root/volumes"), ["data".to_owned()].into(), "and its volume with it");
    assert_eq!(host.good("boot --dry-run"), "first\njoined\nfailed\nalways");
    assert_eq!(host.good("ps -q"), "");
    assert_eq!(host.good("boot"), "first\njoined\nfailed\nalways");
    let running = host.good("ps --format {{.Names}}");
    assert_eq!(running, "always\nfailed\njoined\nfirst");
    assert!(host.sh("nft list ruleset").contains("8080"), "its port is published anew");
    assert_eq!(host.good("exec first cat /data/seed"), "of the image");
    assert_eq!(host.good("boot"), "", "what runs is left alone");
    host.good("start plain");
    host.good("rm -fv first joined failed plain stopped always ended never");
    host.is_clean(&ids, &["data"], "after the reboot");
}

#[test]
fn a_machine_that_goes_down_stops_what_boot_starts() {
    let Some(host) = Host::new() else { return };
    let program = "trap~'exit~3'~TERM;~echo~up;~while~:;~do~sleep~0.05;~done";
    let line =
        format!("run -d --restart unless-stopped --network none --name web app sh -c {program}");
    let id = host.good(&line);
    until("its word", || host.good("logs web") == "up");
    // systemd ends every process of a session so.
    signal(host.monitor(&id), Signal::TERM);
    until("its end", || state(&host, "web") == "exited/3");
    until("the monitor's end", || !host.list("run").contains(&id));
    assert_eq!(host.good("inspect --format {{.RestartCount}} web"), "0");
    assert_eq!(host.good("boot"), "web", "nobody stopped it");
    host.good("rm -f web");
}

#[test]
fn one_that_cannot_start_does_not_keep_the_others() {
    let Some(mut host) = Host::new() else { return };
    let gone = host.name("gone");
    std::fs::create_dir(host.path("gone")).unwrap();
    host.good(&format!(
        "run -d --restart always --name one --network none -v {gone}:/mnt app sleep 1000"
    ));
    host.good("run -d --restart always --name two --network none app sleep 1000");
    host.reboot();
    std::fs::remove_dir(host.path("gone")).unwrap();
    let said = host.say("boot");
    assert_eq!((said.code, said.out.as_str()), (1, "two\n"), "{said:?}");
    assert!(said.err.contains(&gone), "{said:?}");
    host.good("rm -f one two");
}
