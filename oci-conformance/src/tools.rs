//! Runs the validation tests of a built runtime-tools checkout, one by one, and judges the judge.
//!
//! Each test runs in a mount namespace of its own under a reaper of its own: some leak mounts,
//! most leave orphans. Both are `oci-conformance isolate`, this program again.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    host::Host,
    known::{Known, Name},
    runtime::Files,
    seccompless::wrapper,
    select::Selection,
    tap::{Result as Verdict, Tap},
    world::{kill_orphans, output, remove_tree, wait_child, which},
};

/// What to run, and how.
pub(crate) struct Options {
    /// The checkout, built.
    pub(crate) checkout: PathBuf,
    /// Name or path of the runtime.
    pub(crate) runtime: String,
    /// Row of `known.toml`.
    pub(crate) name: Option<String>,
    /// Which tests.
    pub(crate) only: Selection,
    /// Time limit of each test.
    pub(crate) limit: Duration,
    /// Take the profiles out of the bundles.
    pub(crate) without_seccomp: bool,
    /// Print JSON instead of a table.
    pub(crate) json: bool,
    /// Scratch directory.
    pub(crate) work: PathBuf,
}

/// One test's result.
struct Row {
    test: String,
    verdict: Verdict,
    tap: Tap,
    seconds: f64,
    expected: String,
    why: String,
    differs: bool,
    /// The last line on standard error, for a failure without assertions.
    words: String,
}

/// Runs everything; `Ok(true)` when every result is the known one.
///
/// # Errors
/// The checkout is not built, the runtime is not found, or a file cannot be made.
pub(crate) fn run(options: &Options, known: &Known) -> io::Result<bool> {
    let checkout = fs::canonicalize(&options.checkout)?;
    let tests = find(&checkout)?;
    let runtime = which(&options.runtime).ok_or_else(|| {
        io::Error::other(format!("{}: no such program (RUNTIME=)", options.runtime))
    })?;
    let version = output(Command::new(&runtime).arg("--version"))?;
    let version = version.lines().next().unwrap_or_default();
    let file_name = runtime.file_name().unwrap_or_default().to_string_lossy();
    let name = options.name.as_deref().unwrap_or(&file_name);
    let key = Name::new(name, version.rsplit(' ').next().unwrap_or_default());
    let host = Host::probe()?;
    let runtime = match options.without_seccomp {
        true => wrapper(&options.work, &runtime)?,
        false => runtime.clone(),
    };
    if !options.json {
        println!("{version} as {name}: {} tests of {}", tests.len(), checkout.display());
        println!(
            "{:<36} {:<8} {:>5} {:>6} {:>7} {:>6}  known",
            "test", "result", "ok", "not ok", "skipped", "s"
        );
    }
    let mut rows = Vec::new();
    for test in tests.iter().filter(|test| options.only.takes(test, "")) {
        let mut row = one(options, &checkout, &runtime, test)?;
        row.compare(known, &key, &host);
        if !options.json {
            row.print();
        }
        rows.push(row);
    }
    if options.json {
        let list: Vec<Value> = rows.iter().map(Row::json).collect();
        println!("{}", json!({"runtime": name, "version": version, "tests": list}));
    } else {
        close(&rows);
    }
    Ok(!rows.is_empty() && rows.iter().all(|row| !row.differs))
}

/// The names of the tests: `validation/NAME/NAME.t`.
fn find(checkout: &Path) -> io::Result<Vec<String>> {
    let hint = "build it as its README says: make runtimetest validation-executables";
    let missing = |what: &str| {
        let words = format!("{}: {what} ({hint})", checkout.display());
        io::Error::new(io::ErrorKind::NotFound, words)
    };
    if !checkout.join("runtimetest").is_file() {
        return Err(missing("no `runtimetest`"));
    }
    let mut tests = Vec::new();
    for entry in fs::read_dir(checkout.join("validation"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if program(checkout, &name).is_file() {
            tests.push(name);
        }
    }
    tests.sort_unstable();
    if tests.is_empty() { Err(missing("no `validation/*/*.t`")) } else { Ok(tests) }
}

fn program(checkout: &Path, test: &str) -> PathBuf {
    checkout.join("validation").join(test).join(format!("{test}.t"))
}

/// Runs one test to its end or its limit.
fn one(options: &Options, checkout: &Path, runtime: &Path, test: &str) -> io::Result<Row> {
    let work = options.work.join(test);
    fs::create_dir(&work)?;
    let files = Files::new(&work, 0)?;
    let began = Instant::now();
    let mut child = Command::new(std::env::current_exe()?)
        .arg("isolate")
        .arg(program(checkout, test))
        .current_dir(checkout)
        .env("RUNTIME", runtime)
        .env("TMPDIR", &work)
        .stdin(Stdio::null())
        .stdout(File::create(&files.out)?)
        .stderr(File::create(&files.err)?)
        .spawn()?;
    let ended = wait_child(&mut child, options.limit);
    let seconds = began.elapsed().as_secs_f64();
    kill_orphans();
    let tap = Tap::parse(&files.out());
    let verdict = match &ended {
        Ok(status) => tap.result(status.code()),
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Verdict::TimeOut,
        Err(e) => return Err(io::Error::new(e.kind(), format!("{test}: {e}"))),
    };
    let words = files.err().lines().last().unwrap_or_default().to_owned();
    drop(files);
    if let Err(e) = remove_tree(&work) {
        eprintln!("oci-conformance: {test} leaves {}: {e}", work.display());
    }
    Ok(Row {
        test: test.to_owned(),
        verdict,
        tap,
        seconds,
        expected: String::new(),
        why: String::new(),
        differs: false,
        words,
    })
}

impl Row {
    /// `fail 3/2`, as `known.toml` writes it.
    fn result(&self) -> String {
        format!("{} {}/{}", self.verdict, self.tap.ok, self.tap.not_ok)
    }

    fn compare(&mut self, known: &Known, name: &Name, host: &Host) {
        let passes = self.verdict == Verdict::Pass;
        match known.tool(&self.test, name, host) {
            None => self.differs = !passes,
            Some(expected) => {
                self.expected = expected.word.to_owned();
                self.why = expected.why.to_owned();
                // A flaky test may pass, or break at another of its assertions.
                let flaky = expected.flaky && matches!(self.verdict, Verdict::Pass | Verdict::Fail);
                self.differs = expected.word != self.result() && !flaky;
            }
        }
    }

    fn print(&self) {
        let known = match (self.expected.as_str(), self.differs) {
            ("", false) => "pass".to_owned(),
            ("", true) => "DIFFERS: known is pass".to_owned(),
            (_, false) => format!("as known: {}", self.why),
            (known, true) => format!("DIFFERS: known is {known}: {}", self.why),
        };
        let tap = &self.tap;
        println!(
            "{:<36} {:<8} {:>5} {:>6} {:>7} {:>6.1}  {known}",
            self.test, self.verdict, tap.ok, tap.not_ok, tap.skipped, self.seconds
        );
        if self.differs {
            tap.failures.iter().for_each(|failure| println!("    not ok {failure}"));
            if !self.words.is_empty() {
                println!("    stderr: {}", self.words);
            }
        }
    }

    fn json(&self) -> Value {
        json!({
            "test": self.test, "result": self.verdict.to_string(), "ok": self.tap.ok,
            "not_ok": self.tap.not_ok, "skipped": self.tap.skipped, "seconds": self.seconds,
            "known": self.expected, "why": self.why, "differs": self.differs,
            "failures": self.tap.failures, "stderr": self.words,
        })
    }
}

/// Prints the sums.
fn close(rows: &[Row]) {
    let count = |verdict: Verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let good = count(Verdict::Pass) + count(Verdict::BadPlan) + count(Verdict::NoTap);
    let (ok, not_ok) =
        rows.iter().fold((0, 0), |(ok, bad), row| (ok + row.tap.ok, bad + row.tap.not_ok));
    let differ = rows.iter().filter(|row| row.differs).count();
    println!(
        "assertions: {ok} ok, {not_ok} not ok; {differ} tests differ from known.toml\n\
         {good} passed, {} failed, {} vacuous",
        count(Verdict::Fail) + count(Verdict::TimeOut),
        count(Verdict::Vacuous),
    );
}
