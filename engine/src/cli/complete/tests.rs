//! What is offered for a line, and that the script of bash asks for it.

use super::*;

fn nowhere() -> Paths {
    Paths { root: "/nonexistent/pier".into(), run: "/nonexistent/pier-run".into() }
}

/// What is offered behind `pier `, with the cursor at the end; beginnings are not yet cut.
fn offered(line: &str) -> (Vec<String>, More) {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let (current, before) = words.split_last().unwrap();
    let offer = offer(&nowhere(), before, current);
    let fits = offer.words.into_iter().map(|(word, _)| word);
    (fits.filter(|word| word.starts_with(current.as_str())).collect(), offer.more)
}

#[test]
fn verbs_groups_and_flags() {
    for (line, expected) in [
        ("ru", "run"),
        ("contai", "container"),
        ("container ls", "ls"),
        ("--root /x volume pr", "prune"),
        ("--run", "--run-root"),
        ("run --rea", "--read-only"),
        ("container run --detach-k", "--detach-keys"),
        ("help container pru", "prune"),
        ("run --pull=al", "--pull=always"),
        ("run --pull al", "always"),
        ("run -it --restart on", "on-failure"),
        ("run --network hos", "host"),
        ("kill -s TE", "TERM"),
        ("completion zs", "zsh"),
        ("network inspect br", "bridge"),
        ("pull --progress js", "json"),
    ] {
        assert_eq!(offered(line).0, [expected], "{line}");
    }
}

#[test]
fn where_nothing_is_known_nothing_is_offered() {
    for line in ["frobnicate ", "container frobnicate ", "rename a b c", "run --name "] {
        assert_eq!(offered(line), (vec![], More::Nothing), "{line}");
    }
}

#[test]
fn files_where_files_stand() {
    for (line, more) in [
        ("load -i ", More::Files),
        ("--root ", More::Directories),
        ("run --cidfile ", More::Files),
        ("run -v ./", More::Files),
        ("run alpine ", More::Files),
        ("run alpine --na", More::Files),
        ("import ", More::Files),
    ] {
        assert_eq!(offered(line), (vec![], more), "{line}");
    }
}

/// The script as bash runs it: the words cut where bash cuts them.
#[test]
fn bash_asks_and_cuts_where_it_must() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/completions/pier.bash");
    let say = "answer() { printf '[%s]' \"$@\" >&2; printf 'alpine:3.19\\timage\\nalpine:edge\\timage\\n:nothing\\n'; }";
    let ask = |line: &str, words: &str, current: &str| {
        let text = format!(
            "{say}; . {script}; COMP_LINE='{line}' COMP_POINT={} COMP_WORDS=({words})\n\
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _pier answer '{current}' ''; echo \"${{COMPREPLY[@]}}\"",
            line.len()
        );
        let output = std::process::Command::new("bash").args(["-c", &text]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        (text(&output.stderr), text(&output.stdout))
    };
    let (asked, offered) = ask("answer run al", "answer run al", "al");
    assert_eq!(asked, "[__complete][--][run][al]");
    assert_eq!(offered, "alpine:3.19 alpine:edge");
    // Bash cuts at colons: only what is behind them is replaced.
    let (asked, offered) = ask("answer run alpine:3", "answer run alpine : 3", "3");
    assert_eq!(
        (asked.as_str(), offered.as_str()),
        ("[__complete][--][run][alpine:3]", "3.19 edge")
    );
    let (asked, _) = ask("answer run --pull=", "answer run --pull =", "");
    assert_eq!(asked, "[__complete][--][run][--pull=]");
    let (asked, _) = ask("answer run -e \"A=b c\" ", "answer run -e '\"A=b c\"' ''", "");
    assert_eq!(asked, "[__complete][--][run][-e][\"A=b c\"][]");
}
