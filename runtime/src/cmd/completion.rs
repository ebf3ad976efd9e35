//! `completion`: prints the completion script of a shell.
//!
//! The scripts and the man pages are generated from [`crate::cli`] and checked in; a test below
//! fails when they are not current. That keeps their generators out of the released binary.
//! `CORTEN_REGENERATE=1 cargo test -p corten generated` writes them anew.

use crate::cli::{Completion, Shell};

/// The script.
pub(crate) const fn completion(args: &Completion) -> &'static str {
    match args.shell {
        Shell::Bash => include_str!("../../completions/corten.bash"),
        Shell::Zsh => include_str!("../../completions/_corten"),
        Shell::Fish => include_str!("../../completions/corten.fish"),
    }
}

#[cfg(test)]
mod generated {
    use std::fs;
    use std::path::{Path, PathBuf};

    use clap::Command;
    use clap_complete::Shell;

    use crate::NAME;
    use crate::cli;

    /// Every generated file, relative to the crate.
    fn files() -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        for (shell, name) in
            [(Shell::Bash, "corten.bash"), (Shell::Zsh, "_corten"), (Shell::Fish, "corten.fish")]
        {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut cli::all(), NAME, &mut text);
            files.push((Path::new("completions").join(name), text));
        }
        // The help template is for terminals, the template of man pages is clap_mangen's.
        let mut root = cli::all().disable_help_subcommand(true).after_help(None);
        root.build();
        files.push(page(&root, NAME));
        for verb in root.get_subcommands() {
            let name = format!("{NAME}-{}", verb.get_name());
            let tools = verb.get_subcommands();
            files.extend(tools.map(|tool| page(tool, &format!("{name}-{}", tool.get_name()))));
            files.push(page(verb, &name));
        }
        files
    }

    fn page(command: &Command, name: &str) -> (PathBuf, Vec<u8>) {
        let mut text = Vec::new();
        // No date and no version: the page changes when the flags do.
        let page = clap_mangen::Man::new(command.clone().display_name(name.to_owned()))
            .title(name.to_uppercase())
            .section("8")
            .date("")
            .source("Corten")
            .manual("System Administration");
        page.render(&mut text).unwrap();
        let tail = match name.strip_prefix(NAME) {
            Some("") => ROOT_TAIL,
            Some("-doctor") => include_str!("doctor.roff"),
            Some("-seccomp-record") => include_str!("seccomp/record.roff"),
            Some(tool) if tool.starts_with("-seccomp") => include_str!("seccomp/tools.roff"),
            _ => VERB_TAIL,
        };
        text.extend_from_slice(tail.as_bytes());
        (Path::new("../docs/man").join(format!("{name}.8")), text)
    }

    /// What the definitions do not know.
    const ROOT_TAIL: &str = r#".SH "EXIT STATUS"
.TP
0
The command did what was asked. For \fBrun\fR in the foreground: the container's program did.
.TP
1
The command failed; the reason is on standard error and in the log. With \fBrun\fR it may also be
the exit status of the container's program, as every other number.
.TP
255
The container's program could not be executed.
.TP
128+\fIn\fR
With \fBrun\fR: signal \fIn\fR ended the container's program.
.SH ENVIRONMENT
.TP
XDG_RUNTIME_DIR
Where a user who is not root has the state of containers, in \fIcorten\fR.
.TP
LISTEN_FDS, LISTEN_PID
Sockets of a service manager, passed on to the container.
.TP
NOTIFY_SOCKET
Where the readiness of the container's program is told.
.SH FILES
.TP
\fI/run/corten\fR
State of containers, one directory each.
.SH NAMES
A link or a copy of the binary that is called \fBrunc\fR or \fBcrun\fR takes that runtime's place:
the first line of \fB\-\-version\fR and the annotations of \fBfeatures\fR carry its name, state is
in \fI/run/runc\fR or \fI/run/crun\fR, and messages are its. As \fBcrun\fR, warnings are told only
when \fB\-\-log\-level\fR asks for them.
.SH NOTES
Flags may be written as Go's parsers read them: \fB\-bundle=DIR\fR, \fB\-\-detach=false\fR,
\fB\-\-log FILE\fR; of equal flags the last one counts, and an empty value is none.
.SH "SEE ALSO"
runc(8), crun(1), the OCI runtime specification
"#;
    const VERB_TAIL: &str = ".SH \"SEE ALSO\"\ncorten(8)\n";

    #[test]
    fn man_pages_and_completions_are_current() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let write = std::env::var_os("CORTEN_REGENERATE").is_some();
        for (path, text) in files() {
            let path = root.join(path);
            if write {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &text).unwrap();
            }
            let current = fs::read(&path).unwrap_or_default() == text;
            let path = path.display();
            assert!(current, "{path}: run CORTEN_REGENERATE=1 cargo test -p corten generated");
        }
    }

    #[test]
    fn every_verb_has_a_page() {
        let files = files();
        for verb in cli::all().get_subcommands() {
            let page = PathBuf::from(format!("../docs/man/corten-{}.8", verb.get_name()));
            assert!(files.iter().any(|(path, _)| *path == page), "{}", page.display());
        }
    }
}
