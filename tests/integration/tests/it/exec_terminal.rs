//! `exec --tty`: the console socket, foreground terminals, sizes, sockets for pidfds.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use harness::console::Terminal;
use harness::{Bundle, Console, Container, host, need};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::json;

fn sleeper() -> Container {
    Bundle::new().sleeper().start()
}

/// The master comes over the socket; the terminal is the container's own, and controls.
#[test]
fn the_master_comes_over_the_socket() {
    need!(root);
    let c = sleeper();
    let socket = Console::listen(&c.place().path("tty.sock"));
    let path = socket.path();
    let script = "tty; read line; echo got $line; echo ctl > /dev/tty; exit 4";
    let done = c.exec(&["-t", "-d", "--console-socket", &path], &["/bin/sh", "-c", script]).ok();
    assert_eq!(done.stdout, "");
    let terminal = socket.terminal();
    let _ = terminal.expect("/dev/pts/0");
    terminal.say("hello\n");
    let _ = terminal.expect("got hello");
    let _ = terminal.expect("ctl");
}

/// `consoleSize` of a process file is the size from the start; `/dev/console` stays init's.
#[test]
fn the_console_size_of_a_process_is_set() {
    need!(root);
    let c = sleeper();
    let file = c.place().path("process.json");
    let process = json!({ "user": {}, "cwd": "/", "terminal": true, "env": ["PATH=/bin"],
        "consoleSize": { "height": 11, "width": 33 },
        "args": ["/bin/sh", "-c", "stty size; ls /dev/console; echo end"] });
    fs::write(&file, process.to_string()).unwrap();
    let socket = Console::listen(&c.place().path("tty.sock"));
    let flags = ["-d", "--process", &file.to_string_lossy(), "--console-socket", &socket.path()];
    let _ = c.exec(&flags, &[]).ok();
    let seen = socket.terminal().expect("end");
    assert!(seen.contains("11 33"), "{seen}");
    assert!(seen.contains("No such file"), "{seen}");
}

/// In a user namespace too, and for a user that is not root.
#[test]
fn a_terminal_belongs_to_the_user() {
    need!(root, user_namespace);
    let c = Bundle::new().user_namespace().sleeper().start();
    let socket = Console::listen(&c.place().path("tty.sock"));
    let script = "stat -c 'uid %u' $(tty); echo again > $(tty); echo end";
    let flags = ["-t", "-d", "-u", "1000", "--console-socket", &socket.path()];
    let _ = c.exec(&flags, &["/bin/sh", "-c", script]).ok();
    let seen = socket.terminal().expect("end");
    assert!(seen.contains("uid 1000") && seen.contains("again"), "{seen}");
}

/// In the foreground the caller's terminal is raw, resized, and as before at the end.
#[test]
fn a_foreground_exec_uses_the_callers_terminal() {
    need!(root);
    let c = sleeper();
    let pty = nix::pty::openpty(None, None).unwrap();
    let size = Winsize { ws_row: 20, ws_col: 50, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&pty.master, size).unwrap();
    let before = tcgetattr(&pty.slave).unwrap();
    let mut runtime = c.runtime().clone();
    runtime.wrapper = ["setsid", "--ctty", "--wait"].map(String::from).to_vec();
    let script = "echo ready $(stty size); trap 'echo now $(stty size); exit 5' WINCH; while true; do sleep 0.1; done";
    let mut command = runtime.command(&["exec", "-t", c.id(), "/bin/sh", "-c", script]);
    command.stdin(Stdio::from(pty.slave.try_clone().unwrap()));
    command.stdout(Stdio::from(pty.slave.try_clone().unwrap()));
    command.stderr(Stdio::from(pty.slave.try_clone().unwrap()));
    let mut child = command.spawn().unwrap();
    let terminal = Terminal::new(pty.master);
    let _ = terminal.expect("ready 20 50");
    let raw = tcgetattr(&pty.slave).unwrap();
    assert!(!raw.local_modes.contains(LocalModes::ICANON), "the caller's terminal is raw");
    tcsetwinsize(terminal.master(), Winsize { ws_row: 30, ws_col: 70, ..size }).unwrap();
    let _ = terminal.expect("now 30 70");
    let mut code = None;
    host::eventually(Duration::from_secs(10), || {
        code = child.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.and_then(|c| c.code()), Some(5));
    let after = tcgetattr(&pty.slave).unwrap();
    assert_eq!((after.local_modes, after.input_modes), (before.local_modes, before.input_modes));
    assert_eq!(after.output_modes, before.output_modes);
}

/// A program that cannot run leaves the caller's terminal as it was, and one line.
#[test]
fn a_program_that_does_not_run_restores_the_terminal() {
    need!(root);
    let c = sleeper();
    let pty = nix::pty::openpty(None, None).unwrap();
    let before = tcgetattr(&pty.slave).unwrap();
    let mut command = c.runtime().command(&["exec", "-t", c.id(), "/no/such"]);
    command.stdin(Stdio::from(pty.slave.try_clone().unwrap()));
    let done = command.output().unwrap();
    assert_eq!(done.status.code(), Some(255));
    let text = String::from_utf8_lossy(&done.stderr);
    assert_eq!(text.lines().count(), 1, "{text}");
    let after = tcgetattr(&pty.slave).unwrap();
    assert_eq!((after.local_modes, after.input_modes), (before.local_modes, before.input_modes));
}

/// Everything the program wrote arrives, also when it ends at once.
#[test]
fn the_last_words_are_not_lost() {
    need!(root);
    let c = sleeper();
    let script = "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; echo the very end";
    let done = c.exec(&["-t"], &["/bin/sh", "-c", script]).ok();
    assert!(done.stdout.contains("line 499") && done.stdout.contains("the very end"));
}

/// Terminals and sockets that make no sense together are refused in runc's words.
#[test]
fn odd_terminals_are_refused() {
    need!(root);
    let c = sleeper();
    let error = c.exec_refused(&["-t", "-d"], &["/bin/true"]);
    let words = "cannot allocate tty if runc will detach without setting console socket";
    assert!(error.contains(words), "{error}");
    let socket = Console::listen(&c.place().path("tty.sock"));
    let error = c.exec_refused(&["-d", "--console-socket", &socket.path()], &["/bin/true"]);
    assert!(error.contains("cannot use console socket"), "{error}");
    let error = c.exec_refused(&["-t", "-d", "--console-socket", "/no/such"], &["/bin/true"]);
    assert!(error.contains("/no/such"), "{error}");
}

/// `--pidfd-socket` gets a pidfd of the process, with runc's word for it.
#[test]
fn the_pidfd_is_handed_over() {
    need!(root);
    let c = sleeper();
    let socket = Console::listen(&c.place().path("pidfd.sock"));
    let pid_file = c.place().path("pid");
    let flags = ["-d", "--pidfd-socket", &socket.path(), "--pid-file", &pid_file.to_string_lossy()];
    let _ = c.exec(&flags, &["/bin/probe", "wait", "TERM"]).ok();
    let (pidfd, word) = socket.receive();
    assert_eq!(word, "setns");
    let info = fs::read_to_string(format!(
        "/proc/self/fdinfo/{}",
        std::os::fd::AsRawFd::as_raw_fd(&pidfd)
    ));
    let pid = fs::read_to_string(pid_file).unwrap();
    assert!(info.unwrap().lines().any(|l| l == format!("Pid:\t{pid}")));
}
