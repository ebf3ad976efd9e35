//! `explain`: the plan that `create` would carry out, without doing it.

use std::fmt::Write as _;
use std::io;

use libcontainer::plan::{Options, Plan};
use libcontainer::{At, Result, Step};

use crate::cli::{self, PlanFormat};
use crate::cmd::create;
use crate::settings::Settings;

/// The text for stdout.
///
/// # Errors
/// What `create` would refuse before it changes anything.
pub(crate) fn explain(args: &cli::Explain, settings: &Settings) -> Result<String> {
    let shape = cli::Shape {
        bundle: args.bundle.clone(),
        config: args.config.clone(),
        no_pivot: args.no_pivot,
        no_new_keyring: args.no_new_keyring,
        id: args.id.clone(),
        ..cli::Shape::default()
    };
    // In the foreground: a terminal then needs no socket.
    let options = Options { run: true, ..create::options(&shape, settings)? };
    let plan: Plan = create::plan(&shape, &options)?;
    let json = serde_json::to_string_pretty(&plan).map_err(io::Error::from);
    let json = json.at(Step::Output, || "plan")?;
    Ok(match args.format {
        PlanFormat::Json => json + "\n",
        PlanFormat::Text => text(&json),
    })
}

/// Indented JSON, one value a line, as lines for people: no quotes, no brackets, and no member that
/// is empty or false. The order is the plan's, which is the order of doing.
fn text(json: &str) -> String {
    let mut out = String::new();
    let mut item = false;
    // The outermost brackets and one step of indentation go.
    for line in json.lines().filter_map(|line| line.strip_prefix("  ")) {
        let rest = line.trim_start();
        let indent = line.len() - rest.len();
        let rest = rest.strip_suffix(',').unwrap_or(rest);
        let (key, value) = split(rest);
        match (key, value) {
            (None, "}" | "]") => {
                item = false;
                continue;
            }
            (_, "null" | "[]" | "{}") | (Some(_), "false" | "\"\"") => continue,
            (None, "{" | "[") => {
                item = true;
                continue;
            }
            _ => {}
        }
        // The first line of an item carries its dash.
        let dash = item || key.is_none();
        let indent = if item { indent.saturating_sub(2) } else { indent };
        item = false;
        let _ = write!(out, "{:indent$}{}", "", if dash { "- " } else { "" });
        if let Some(key) = key {
            let _ = write!(out, "{key}:");
        }
        match value {
            "{" | "[" => {}
            scalar => {
                let blank = if key.is_some() { " " } else { "" };
                let _ = write!(out, "{blank}{}", unquoted(scalar));
            }
        }
        out.push('\n');
    }
    out
}

/// `"key": value`, or a value alone.
fn split(line: &str) -> (Option<&str>, &str) {
    let mut escaped = false;
    let closing = |c: char| {
        let quote = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        quote
    };
    let key = line.strip_prefix('"').and_then(|rest| rest.split_once(closing));
    match key.and_then(|(key, rest)| Some((key, rest.strip_prefix(": ")?))) {
        Some((key, value)) => (Some(key), value),
        None => (None, line),
    }
}

fn unquoted(scalar: &str) -> String {
    match serde_json::from_slice::<String>(scalar.as_bytes()) {
        // What would be lost or mistaken in plain text keeps its quotes.
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => text,
        _ => scalar.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_plan_s_order_and_nothing_unset() {
        let json = r#"{
  "id": "c1",
  "empty": [],
  "hostname": null,
  "args": [
    "sh",
    "-c",
    "a\nb"
  ],
  "mounts": [
    {
      "target": "/proc",
      "flags": {
        "set": 14
      }
    },
    {
      "target": "/d",
      "data": ""
    },
    {
      "data": ""
    }
  ],
  "cgroup": {
    "path": "/c"
  }
}"#;
        let wanted = r#"id: c1
args:
  - sh
  - -c
  - "a\nb"
mounts:
  - target: /proc
    flags:
      set: 14
  - target: /d
cgroup:
  path: /c
"#;
        assert_eq!(text(json), wanted);
    }

    #[test]
    fn values_that_look_like_members_stay_whole() {
        let pretty =
            serde_json::to_string_pretty(&serde_json::json!({"env": ["A\": {", "B=x: y"]}));
        assert_eq!(text(&pretty.unwrap()), "env:\n  - A\": {\n  - B=x: y\n");
    }
}
