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

use crate::error::{Error, Result};
use serde::Serialize;

/// Exit code of Docker for a template that cannot be read.
const BAD_TEMPLATE: u8 = 64;

/// The objects of an `inspect` verb: a JSON array with Docker's indentation, or one line for each
/// by a template (`json` stands for `{{json .}}`), an empty one for none; and what the template
/// asks of them that is not there.
///
/// # Errors
/// A template that cannot be read; the exit code is Docker's.
pub fn inspect<T: Serialize>(objects: &[T], format: Option<&str>) -> Result<(String, Vec<Error>)> {
    let Some(format) = format.filter(|format| !format.is_empty()) else {
        let mut text = pretty(&objects);
        text.push('\n');
        return Ok((text, Vec::new()));
    };
    let template = if format == "json" { "{{json .}}" } else { format };
    let template = Template::parse(template).map_err(|error| error.code(BAD_TEMPLATE))?;
    let (mut text, mut misfits) = (String::new(), Vec::new());
    for object in objects {
        match template.render(&Value::of(object)) {
            Ok(line) => {
                text.push_str(&line);
                text.push('\n');
            }
            Err(error) => misfits.push(error),
        }
    }
    if text.is_empty() {
        text.push('\n');
    }
    Ok((text, misfits))
}

/// One object by a template, or as [`inspect`] prints it.
///
/// # Errors
/// A template that cannot be read, or that asks for what is not there.
pub fn one<T: Serialize>(object: &T, format: Option<&str>) -> Result<String> {
    let (text, misfits) = inspect(std::slice::from_ref(object), format)?;
    misfits.into_iter().next().map_or(Ok(text), Err)
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
        let text = |format| inspect(&objects, Some(format)).unwrap().0;
        assert_eq!(text("{{.Id}}"), "a\nb\n");
        assert_eq!(text("json"), "{\"Id\":\"a\"}\n{\"Id\":\"b\"}\n");
        assert_eq!(inspect(&[json!(1)], None).unwrap().0, "[\n    1\n]\n");
        let (text, misfits) = inspect(&objects, Some("{{.Name}}")).unwrap();
        assert_eq!((text.as_str(), misfits.len()), ("\n", 2));
        assert_eq!(inspect(&objects, Some("{{")).unwrap_err().code, 64);
    }
}
