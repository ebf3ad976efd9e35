//! What pier prints: Go templates, tables, sizes, durations, points in time.
//!
//! The words are Docker's, so that scripts written for its `--format` and columns go on working:
//! [`Listing`] is the one door for verbs that print rows, [`inspect()`] for those that print objects.
//! Nothing here knows what a container or an image is.

pub mod duration;
mod nearest;
pub mod size;
mod table;
pub mod template;
pub mod time;
mod value;

pub use nearest::nearest;
pub use table::{Listing, columns};
pub use template::Template;
pub use value::{Map, Nil, Value};

use crate::error::Result;
use serde::Serialize;

/// The objects of an `inspect` verb: a JSON array with Docker's indentation, or one line for each
/// by a template (`json` stands for `{{json .}}`).
///
/// # Errors
/// A template that cannot be read, or that asks for what is not there.
pub fn inspect<T: Serialize>(objects: &[T], format: Option<&str>) -> Result<String> {
    let Some(format) = format.filter(|format| !format.is_empty()) else {
        let mut text = pretty(&objects);
        text.push('\n');
        return Ok(text);
    };
    let template = Template::parse(if format == "json" { "{{json .}}" } else { format })?;
    let mut text = String::new();
    for object in objects {
        text.push_str(&template.render(&Value::of(object))?);
        text.push('\n');
    }
    if text.is_empty() {
        // As Docker: an answer is a line, even where nothing was found.
        text.push('\n');
    }
    Ok(text)
}

/// JSON as Docker prints it: four spaces a level.
#[must_use]
pub fn pretty<T: Serialize + ?Sized>(object: &T) -> String {
    let mut out = Vec::new();
    let style = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, style);
    match object.serialize(&mut writer) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        Err(_) => "null".to_owned(), // a map whose keys are no text: none of ours
    }
}

#[cfg(test)]
mod tests {
    use super::{inspect, pretty};
    use serde_json::json;

    #[test]
    fn objects_are_printed_as_docker_prints_them() {
        let empty = pretty(&json!({"A": [], "B": {}, "C": [1, {"D": "<&>"}]}));
        let want = "{\n    \"A\": [],\n    \"B\": {},\n    \"C\": [\n        1,\n        {\n            \
                    \"D\": \"<&>\"\n        }\n    ]\n}";
        assert_eq!(empty, want);
    }

    #[test]
    fn a_template_prints_a_line_for_each_object() {
        let objects = [json!({"Id": "a"}), json!({"Id": "b"})];
        assert_eq!(inspect(&objects, Some("{{.Id}}")).unwrap(), "a\nb\n");
        assert_eq!(inspect(&objects, Some("json")).unwrap(), "{\"Id\":\"a\"}\n{\"Id\":\"b\"}\n");
        assert_eq!(inspect(&[json!(1)], None).unwrap(), "[\n    1\n]\n");
        assert!(inspect(&objects, Some("{{.Name}}")).is_err());
    }
}
