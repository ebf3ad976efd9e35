//! `list`: the containers below `--root`, as a table, as JSON or by name.

use std::fmt::Write as _;

use libcontainer::state::{Store, View};
use libcontainer::{Error, Result, Step, verbs};

use crate::cli::{self, ListFormat};
use crate::output::Level;
use crate::settings::Settings;

/// The text for stdout.
///
/// # Errors
/// `--root` names a directory that cannot be read.
pub(crate) fn list(args: &cli::List, settings: &Settings) -> Result<String> {
    let views = views(settings)?;
    if args.quiet {
        return Ok(views.iter().map(|view| format!("{}\n", view.id)).collect());
    }
    Ok(match args.format {
        ListFormat::Table => table(&views),
        ListFormat::Json => json(&views),
    })
}

/// What can be said of each container; one that cannot be read is warned of and left out.
fn views(settings: &Settings) -> Result<Vec<View>> {
    let listed = match verbs::list(&Store::new(&settings.root)) {
        // The default root is made with the first container.
        Err(error) if error.errno() == Some(libc::ENOENT) && !settings.root_given => Vec::new(),
        other => other?,
    };
    let readable = listed.into_iter().filter_map(|(id, view)| {
        view.inspect_err(|error| {
            settings.log.say(Level::Warning, &format!("load container {id}: {error}"));
        })
        .ok()
    });
    Ok(readable.collect())
}

/// The names that a regular expression finds, in order.
///
/// # Errors
/// No regular expression; an unreadable `--root`.
pub(crate) fn matching(pattern: &str, settings: &Settings) -> Result<Vec<String>> {
    let regex = regex_lite::Regex::new(pattern).map_err(|error| {
        Error::rule(Step::State, "", format!("invalid regular expression {pattern:?}: {error}"))
    })?;
    let listed = match verbs::list(&Store::new(&settings.root)) {
        Err(error) if error.errno() == Some(libc::ENOENT) => Vec::new(),
        other => other?,
    };
    Ok(listed.into_iter().map(|(id, _)| id).filter(|id| regex.is_match(id)).collect())
}

/// Go prints a list that was never filled as `null`; callers know both.
fn json(views: &[View]) -> String {
    let text = if views.is_empty() { None } else { serde_json::to_string(views).ok() };
    text.unwrap_or_else(|| "null".to_owned()) + "\n"
}

/// Columns as Go's tabwriter makes them for runc: at least 12 wide, 3 blanks between; the last
/// one is as long as its text.
fn table(views: &[View]) -> String {
    let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = views.iter().map(|view| {
        let (pid, status) = (view.pid.to_string(), view.status.to_string());
        let bundle = view.bundle.display().to_string();
        [view.id.clone(), pid, status, bundle, view.created.clone(), view.owner.clone()]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| {
        let longest = rows.iter().map(|row| row[column].chars().count()).max();
        (longest.unwrap_or(0) + 3).max(12)
    };
    let widths: [usize; 6] =
        std::array::from_fn(|column| if column < 5 { width(column) } else { 0 });
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(text, "{cell:<width$}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use libcontainer::state::Status;

    use super::*;

    fn view(id: &str, bundle: &str) -> View {
        View {
            oci_version: "1.3.0".into(),
            id: id.into(),
            pid: 4711,
            status: Status::Running,
            bundle: bundle.into(),
            rootfs: "/b/rootfs".into(),
            created: "2026-11-22T01:53:23.5Z".into(),
            annotations: BTreeMap::new(),
            owner: "root".into(),
        }
    }

    #[test]
    fn table_is_runc_s() {
        assert_eq!(
            table(&[]),
            "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
        );
        assert_eq!(
            table(&[view("c", "/a/long/bundle")]),
            "ID          PID         STATUS      BUNDLE           CREATED                  OWNER\n\
             c           4711        running     /a/long/bundle   2026-11-22T01:53:23.5Z   root\n"
        );
    }

    #[test]
    fn json_is_one_line_and_null_when_empty() {
        assert_eq!(json(&[]), "null\n");
        let text = json(&[view("c", "/b")]);
        assert!(
            text.starts_with(r#"[{"ociVersion":"1.3.0","id":"c","pid":4711,"status":"running""#)
        );
        assert!(text.ends_with("\"owner\":\"root\"}]\n") && text.lines().count() == 1, "{text}");
    }
}
