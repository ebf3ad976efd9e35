//! `process.terminal` and `consoleSize`: the console socket, foreground terminals, `/dev/console`.

use std::process::Stdio;
use std::time::Duration;

use harness::console::Terminal;
use harness::{Bundle, Console, host, need};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use serde_json::json;

fn with_console(bundle: Bundle) -> (Bundle, Console) {
    let socket = Console::listen(&bundle.outside("tty.sock"));
    let path = socket.path();
    (bundle.set("/process/terminal", true).flags(&["--console-socket", &path]), socket)
}

/// The master comes over the socket; the container has a terminal on 0, 1, 2 and it controls it.
#[test]
fn the_master_comes_over_the_socket() {
    need!(root);
    let (bundle, socket) = with_console(Bundle::new());
    let c = bundle
        .sh("tty; read line; echo got $line; ls -l /proc/self/fd/0; echo ctl > /dev/tty")
        .create();
    let terminal = socket.terminal();
    c.start();
    let _ = terminal.expect("/dev/pts/0");
    terminal.say("hello\n");
    let _ = terminal.expect("got hello");
    let seen = terminal.expect("ctl");
    assert!(seen.contains("/dev/pts/0"), "{seen}");
    c.wait();
}

/// `consoleSize` is the size of the terminal from the start.
#[test]
fn the_console_size_is_set() {
    need!(root);
    let (bundle, socket) = with_console(Bundle::new());
    let c = bundle
        .set("/process/consoleSize", json!({ "height": 11, "width": 33 }))
        .probe(["winsize"])
        .create();
    let terminal = socket.terminal();
    c.start();
    let seen = terminal.expect("\"rows\":");
    assert!(seen.contains("\"cols\":33") && seen.contains("\"rows\":11"), "{seen}");
}

/// `consoleSize` means nothing without a terminal (config.md).
#[test]
fn the_console_size_is_ignored_without_a_terminal() {
    need!(root);
    let c = Bundle::new()
        .set("/process/consoleSize", json!({ "height": 11, "width": 33 }))
        .probe(["winsize"])
        .run();
    assert_eq!(c.errno("winsize"), "ENOTTY");
}

/// `/dev/console` is the terminal, and belongs to the user.
#[test]
fn dev_console_is_the_terminal() {
    need!(root);
    let (bundle, socket) = with_console(Bundle::new());
    let c = bundle
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .sh("echo through > /dev/console; stat -c 'uid %u' /dev/console; echo end")
        .create();
    let terminal = socket.terminal();
    c.start();
    let seen = terminal.expect("end");
    assert!(seen.contains("through"), "{seen}");
    assert!(seen.contains("uid 1000"), "{seen}");
}

/// A terminal with nobody to take it is refused in runc's words.
#[test]
fn a_terminal_without_a_socket_is_refused() {
    need!(root);
    let message = Bundle::new().set("/process/terminal", true).refused();
    assert!(
        message.contains("cannot allocate tty if runc will detach without setting console socket"),
        "{message}"
    );
}

/// A socket without a terminal is refused too.
#[test]
fn a_socket_without_a_terminal_is_refused() {
    need!(root);
    let bundle = Bundle::new();
    let socket = Console::listen(&bundle.outside("tty.sock"));
    let path = socket.path();
    let message = bundle.flags(&["--console-socket", &path]).refused();
    assert!(
        message.contains("cannot use console socket if runc will not detach or allocate tty"),
        "{message}"
    );
}

/// A socket that is not there fails `create`, and nothing is left.
#[test]
fn a_missing_socket_is_refused() {
    need!(root);
    let bundle = Bundle::new();
    let path = bundle.outside("nobody.sock").to_string_lossy().into_owned();
    let _ = bundle.set("/process/terminal", true).flags(&["--console-socket", &path]).refused();
}

/// A foreground `run` with a terminal: raw mode while it runs, sizes and signals handed on, all restored.
#[test]
fn a_foreground_run_uses_the_callers_terminal() {
    need!(root);
    let pty = nix::pty::openpty(None, None).unwrap();
    let size = Winsize { ws_row: 20, ws_col: 50, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&pty.master, size).unwrap();
    let before = tcgetattr(&pty.slave).unwrap();
    let bundle = Bundle::new().set("/process/terminal", true).sh(
        "echo ready $(stty size); trap 'echo now $(stty size); exit 5' WINCH; while true; do sleep 0.1; done",
    );
    bundle.write();
    let mut runtime = bundle.runtime().clone();
    runtime.wrapper = ["setsid", "--ctty", "--wait"].map(String::from).to_vec();
    let mut command = runtime.command(&bundle.words("run"));
    command.stdin(Stdio::from(pty.slave.try_clone().unwrap()));
    command.stdout(Stdio::from(pty.slave.try_clone().unwrap()));
    command.stderr(Stdio::from(pty.slave.try_clone().unwrap()));
    let mut child = command.spawn().unwrap();
    let terminal = Terminal::new(pty.master);
    let seen = terminal.expect("ready ");
    assert!(terminal.expect("20 50").contains("ready 20 50"), "{seen}");
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
    assert_eq!(after.local_modes, before.local_modes);
    assert_eq!(after.input_modes, before.input_modes);
    assert_eq!(after.output_modes, before.output_modes);
    tcsetattr(&pty.slave, OptionalActions::Now, &before).unwrap();
}

/// Everything the program wrote arrives, also when it ends at once.
#[test]
fn the_last_words_are_not_lost() {
    need!(root);
    let pty = nix::pty::openpty(None, None).unwrap();
    let bundle = Bundle::new()
        .set("/process/terminal", true)
        .sh("i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; echo the very end");
    bundle.write();
    let mut command = bundle.runtime().command(&bundle.words("run"));
    command.stdin(Stdio::from(pty.slave.try_clone().unwrap()));
    command.stdout(Stdio::from(pty.slave.try_clone().unwrap()));
    command.stderr(Stdio::from(pty.slave.try_clone().unwrap()));
    let mut child = command.spawn().unwrap();
    let terminal = Terminal::new(pty.master);
    let seen = terminal.expect("the very end");
    assert!(seen.contains("line 499"), "{seen}");
    assert!(child.wait().unwrap().success());
}

/// Without a terminal the program has none.
#[test]
fn no_terminal_means_none() {
    need!(root);
    let c = Bundle::new().probe(["tty", "--", "open", "/dev/tty"]).run();
    assert_eq!(c.errno("tty"), "ENOTTY");
    assert_eq!(c.errno("open"), "ENXIO");
}

/// In a user namespace as well.
#[test]
fn a_terminal_in_a_user_namespace() {
    need!(root, user_namespace);
    let (bundle, socket) = with_console(Bundle::new().user_namespace());
    let c = bundle.sh("tty; id -u; echo end").create();
    let terminal = socket.terminal();
    c.start();
    let seen = terminal.expect("end");
    assert!(seen.contains("/dev/pts/0"), "{seen}");
}
