//! Listings: Docker's columns, or a line for each row by a template.

use super::{Template, Value};
use crate::error::Result;

/// Spaces between two columns, and what a column has at least: those of Docker's tables.
const GAP: usize = 3;
const NARROWEST: usize = 10;

/// What a verb can list.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// Each field that a template may name, and the heading of its column.
    pub headings: &'a [(&'a str, &'a str)],
    /// The table when none is asked for: cells of a template with `\t` between them.
    pub default: &'a str,
}

impl Listing<'_> {
    /// The text of all rows. `format` is `None`, `table`, `table TEMPLATE`, `json` or `TEMPLATE`;
    /// `\t` and `\n` may be written in it as two letters each.
    ///
    /// # Errors
    /// A template that cannot be read, or that names a field which rows do not have.
    pub fn render(
        &self,
        format: Option<&str>,
        rows: impl IntoIterator<Item = Value>,
    ) -> Result<String> {
        let asked = format.unwrap_or("").trim();
        let (table, template) = match asked.strip_prefix("table") {
            _ if asked.is_empty() => (true, self.default),
            Some("") => (true, self.default),
            Some(rest) if rest.starts_with(|c: char| c.is_whitespace() || c == '{') => {
                (true, rest.trim_start())
            }
            _ if asked == "json" => (false, "{{json .}}"),
            _ => (false, asked),
        };
        let template = Template::parse(&template.replace("\\t", "\t").replace("\\n", "\n"))?;
        let mut text = String::new();
        if table {
            let names = self.headings.iter().map(|(name, words)| (*name, (*words).to_owned()));
            text.push_str(&template.render_headings(&Value::row(names))?);
            text.push('\n');
        }
        for row in rows {
            text.push_str(&template.render(&row)?);
            text.push('\n');
        }
        Ok(if table { columns(&text) } else { text })
    }
}

/// Makes columns of cells that end in tabs, as Go's `tabwriter` does for Docker: a column reaches
/// over the lines below each other that have it; what follows a line's last tab is not in one.
#[must_use]
pub fn columns(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let widths = widths(&lines);
    let mut out = String::with_capacity(text.len() * 2);
    for (line, widths) in lines.iter().zip(widths) {
        for (at, cell) in line.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(at) {
                let pad = width.saturating_sub(cell.chars().count());
                out.extend(std::iter::repeat_n(' ', pad));
            }
        }
        out.push('\n');
    }
    out
}

/// For each line the width of each of its columns.
fn widths(lines: &[Vec<&str>]) -> Vec<Vec<usize>> {
    let mut widths: Vec<Vec<usize>> =
        lines.iter().map(|line| vec![0; line.len().saturating_sub(1)]).collect();
    let most = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..most {
        let mut first = 0;
        while first < lines.len() {
            let block = widths.iter().skip(first).take_while(|line| line.len() > column).count();
            let cells = lines.iter().skip(first).take(block).filter_map(|line| line.get(column));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            for line in widths.iter_mut().skip(first).take(block) {
                if let Some(width) = line.get_mut(column) {
                    *width = NARROWEST.max(widest + GAP);
                }
            }
            first += block + 1;
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::{Listing, columns};
    use crate::format::Value;

    const IMAGES: Listing<'_> = Listing {
        headings: &[("Repository", "REPOSITORY"), ("Tag", "TAG"), ("Size", "SIZE")],
        default: "{{.Repository}}\t{{.Tag}}\t{{.Size}}",
    };

    fn rows() -> Vec<Value> {
        let row = |name: &str, size: &str| {
            Value::row([
                ("Repository", name.to_owned()),
                ("Tag", "latest".to_owned()),
                ("Size", size.to_owned()),
            ])
        };
        vec![row("alpine", "5.59MB"), row("registry.local/team/app", "1.2GB")]
    }

    #[test]
    fn the_default_is_dockers_table() {
        let want = "REPOSITORY                TAG       SIZE\n\
                    alpine                    latest    5.59MB\n\
                    registry.local/team/app   latest    1.2GB\n";
        for format in [None, Some(""), Some("table"), Some(" table ")] {
            assert_eq!(IMAGES.render(format, rows()).unwrap(), want);
        }
        let none = IMAGES.render(None, Vec::new()).unwrap();
        assert_eq!(none, "REPOSITORY   TAG       SIZE\n");
    }

    #[test]
    fn a_table_of_ones_own() {
        let got = IMAGES.render(Some(r"table {{.Size}}\t{{upper .Repository}}"), rows()).unwrap();
        let want = "SIZE      REPOSITORY\n5.59MB    ALPINE\n1.2GB     REGISTRY.LOCAL/TEAM/APP\n";
        assert_eq!(got, want);
        let got = IMAGES.render(Some("table{{.Tag}}"), rows()).unwrap();
        assert_eq!(got, "TAG\nlatest\nlatest\n");
    }

    #[test]
    fn lines_by_a_template() {
        let got = IMAGES.render(Some(r"{{.Repository}}:{{.Tag}}\t!"), rows()).unwrap();
        assert_eq!(got, "alpine:latest\t!\nregistry.local/team/app:latest\t!\n");
        let got = IMAGES.render(Some("json"), rows().into_iter().take(1)).unwrap();
        assert_eq!(got, "{\"Repository\":\"alpine\",\"Tag\":\"latest\",\"Size\":\"5.59MB\"}\n");
        let wrong = IMAGES.render(Some("{{.Sise}}"), rows()).unwrap_err().to_string();
        assert!(wrong.contains("Size"), "{wrong}");
    }

    #[test]
    fn a_column_ends_where_a_line_lacks_it() {
        let got = columns("a\tb\nlonger than ten\tc\nalone\nx\ty\n");
        assert_eq!(got, "a                 b\nlonger than ten   c\nalone\nx         y\n");
    }
}
