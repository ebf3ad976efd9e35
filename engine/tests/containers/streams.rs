//! What goes in and out: stdin, both outputs, logs, terminals, `exec`, `attach`.

use crate::pier::Pier;

#[test]
fn streams_are_kept_apart_and_nothing_is_lost() {
    let Some(pier) = Pier::new() else { return };
    let said = pier.sh(&["--rm"], "echo out; echo err >&2");
    assert_eq!((said.out.as_str(), said.err.as_str()), ("out\n", "err\n"));
    let many: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    let said = pier.sh_with(&["--rm", "-i"], "cat", many.as_bytes());
    assert!(said.out == many, "{} of {} bytes", said.out.len(), many.len());
    let said = pier.sh_with(&["--rm"], "cat", b"unseen");
    assert_eq!(said.out, "", "without -i there is no stdin");
}

#[test]
fn the_log_is_dockers_json_file() {
    let Some(pier) = Pier::new() else { return };
    let id = pier.start("web", &[], "echo one; echo two >&2; printf three");
    assert_eq!(pier.out(&["wait", "web"]), "0");
    let said = pier.say(&["logs", "web"]);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("one\nthree", "two\n"));
    assert_eq!(pier.out(&["logs", "--tail", "1", "web"]), "three");
    let stamped = pier.out(&["logs", "-t", "web"]);
    assert!(stamped.starts_with("20") && stamped.contains("Z one"), "{stamped}");
    assert_eq!(pier.out(&["logs", "--until", "2001-01-01T00:00:00Z", "web"]), "");
    let path = pier.inspect("web", "LogPath");
    assert!(path.ends_with(&format!("{id}-json.log")));
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.starts_with("{\"log\":\"one\\n\",\"stream\":\"stdout\",\"time\":\"20"), "{text}");
}

#[test]
fn following_the_log_ends_with_the_container() {
    let Some(pier) = Pier::new() else { return };
    pier.start("web", &[], "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; seq 6 2000");
    let said = pier.out(&["logs", "-f", "web"]);
    assert_eq!(said.lines().count(), 2000);
    assert!(said.ends_with("\n2000"));
}

#[test]
fn logs_can_be_limited_or_off() {
    let Some(pier) = Pier::new() else { return };
    let flags = ["--log-opt", "max-size=2k", "--log-opt", "max-file=2"];
    pier.start("web", &flags, "seq 1 1000; sleep 0.2; echo last");
    pier.out(&["wait", "web"]);
    assert!(pier.out(&["logs", "web"]).ends_with("last"));
    assert_eq!(pier.sh(&["--name", "mute", "--log-driver", "none"], "echo x").out, "x\n");
    assert_eq!(pier.say(&["logs", "mute"]).code, 1);
}

#[test]
fn exec_runs_beside_the_program() {
    let Some(pier) = Pier::new() else { return };
    let id = pier.start("web", &["-e", "A=1"], "sleep 100");
    let said = pier.say(&["exec", "web", "sh", "-c", "echo $HOSTNAME $A; echo e >&2; exit 4"]);
    assert_eq!((said.code, said.err.as_str()), (4, "e\n"));
    assert_eq!(said.out, format!("{} 1\n", &id[..12]));
    assert_eq!(pier.say_with(&["exec", "-i", "web", "cat"], b"typed").out, "typed");
    let who =
        ["exec", "-u", "web", "-w", "/tmp", "-e", "A=2", "web", "sh", "-c", "id; pwd; echo $A"];
    let said = pier.out(&who);
    assert_eq!(said, "uid=33(web) gid=34(www) groups=34(www),44(extra)\n/tmp\n2");
    assert_eq!(pier.say(&["exec", "web", "nope"]).code, 127);
    assert_eq!(pier.say(&["exec", "web", "/etc"]).code, 126);
    assert_eq!(pier.say(&["exec", "nobody", "true"]).code, 1);
    assert!(pier.out(&["top", "web"]).contains("sleep 100"));
    pier.out(&["kill", "web"]);
    let ended = pier.say(&["exec", "web", "true"]);
    assert!(ended.code == 1 && ended.err.contains("is not running"), "{}", ended.err);
}

#[test]
fn a_terminal_is_the_programs_own() {
    let Some(pier) = Pier::new() else { return };
    let said = pier.sh(&["--rm", "-t"], "[ -t 0 ] && [ -t 1 ] && echo terminal $TERM");
    assert_eq!(said.out, "terminal xterm\r\n");
    let refused = pier.sh_with(&["--rm", "-it"], "true", b"");
    assert_eq!(refused.code, 125);
    assert!(refused.err.contains("the input device is not a TTY"), "{}", refused.err);
}

#[test]
fn attach_sees_what_is_written_and_the_exit_code() {
    let Some(pier) = Pier::new() else { return };
    pier.start("web", &["-i"], "while read line; do echo got $line; done; exit 6");
    assert_eq!(pier.say(&["attach", "nobody"]).code, 1);
    std::thread::scope(|scope| {
        let attached = scope.spawn(|| pier.say_with(&["attach", "web"], b"one\ntwo\n"));
        pier.until("web", "State.Running", "true");
        std::thread::sleep(std::time::Duration::from_millis(500));
        // Started in the background, its stdin stays open when a reader has gone.
        pier.out(&["kill", "web"]);
        let said = attached.join().unwrap();
        assert_eq!((said.code, said.out.as_str()), (137, "got one\ngot two\n"));
    });
}
