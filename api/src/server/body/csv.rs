//! CSV (RFC 4180): a line of field names, then one event a line, typed by the topic's schema.
//!
//! A number or a boolean of the schema is written as such, a struct or a list as JSON text, everything else is text. A field of
//! nothing is absent from its event; `""` is empty text. Lines end in LF or CRLF, a quoted field may hold them.

use bytes::Bytes;
use rekap_tiered_storage::{Column, ColumnType, Topic, Violation};
use serde_json::value::RawValue;

use crate::Problem;

/// The events of a body, or why a line makes none.
pub(super) fn events(body: &[u8], topic: &Topic) -> Result<Vec<Result<Bytes, Violation>>, Problem> {
    let text = std::str::from_utf8(body).map_err(|e| invalid(format!("byte {} is no UTF-8", e.valid_up_to())))?;
    let mut lines = Lines { text, line: 0 };
    let Some(head) = lines.next() else { return Ok(Vec::new()) };
    let names = head.map_err(|detail| invalid(format!("its first line: {detail}")))?;
    let columns = topic.config.schema.as_ref().map(|schema| schema.columns()).unwrap_or_default();
    let fields = fields(&names, &columns)?;
    let event = |line: Result<Vec<Cell<'_>>, String>| match line {
        Ok(cells) => event(&fields, &cells),
        Err(detail) => Err(Violation { field: String::new(), detail }),
    };
    Ok(lines.map(event).collect())
}

/// A field of every event.
struct Field {
    /// Its name as JSON.
    name: String,
    plain: String,
    ty: ColumnType,
}

/// The fields that the first line names.
fn fields(names: &[Cell<'_>], columns: &[Column]) -> Result<Vec<Field>, Problem> {
    let mut fields: Vec<Field> = Vec::with_capacity(names.len());
    for name in names {
        let plain = name.text().trim().to_owned();
        if plain.is_empty() || fields.iter().any(|field| field.plain == plain) {
            return Err(invalid(format!("its first line names the field `{plain}`, which is empty or named twice")));
        }
        let ty = columns.iter().find(|column| column.name == plain).map_or(ColumnType::Text, |c| c.ty.clone());
        fields.push(Field { name: serde_json::Value::from(plain.as_str()).to_string(), plain, ty });
    }
    Ok(fields)
}

fn event(fields: &[Field], cells: &[Cell<'_>]) -> Result<Bytes, Violation> {
    if fields.len() != cells.len() {
        let detail = format!("the line has {} fields, the first line names {}", cells.len(), fields.len());
        return Err(Violation { field: String::new(), detail });
    }
    let mut json = String::from("{");
    for (field, cell) in fields.iter().zip(cells).filter(|(_, cell)| !cell.is_nothing()) {
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&field.name);
        json.push(':');
        json.push_str(&value(field, cell)?);
    }
    json.push('}');
    Ok(json.into())
}

/// A cell as JSON.
fn value(field: &Field, cell: &Cell<'_>) -> Result<String, Violation> {
    let text = cell.text();
    let wrong = |what: &str| Violation { field: field.plain.clone(), detail: format!("`{text}` is no {what}") };
    match &field.ty {
        ColumnType::Bigint
        | ColumnType::Double
        | ColumnType::TimestampS
        | ColumnType::TimestampMs
        | ColumnType::TimestampUs => {
            let number = text.trim();
            let is_number = number.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            let is_json = is_number && serde_json::from_str::<&RawValue>(number).is_ok();
            if is_json { Ok(number.to_owned()) } else { Err(wrong("number")) }
        }
        ColumnType::Boolean => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok("true".to_owned()),
            "false" => Ok("false".to_owned()),
            _ => Err(wrong("boolean: write true or false")),
        },
        ColumnType::Struct(_) | ColumnType::List(_) | ColumnType::Json => {
            match serde_json::from_str::<&RawValue>(&text) {
                Ok(json) => Ok(json.get().to_owned()),
                // A column without one type may well hold text.
                Err(_) if field.ty == ColumnType::Json => Ok(serde_json::Value::from(text.as_ref()).to_string()),
                Err(_) => Err(wrong("JSON text")),
            }
        }
        ColumnType::Text | ColumnType::Timestamp | ColumnType::Binary => {
            Ok(serde_json::Value::from(text.as_ref()).to_string())
        }
    }
}

fn invalid(detail: String) -> Problem {
    let remedy = "send a line of field names, then one event a line, in UTF-8 (RFC 4180)";
    Problem::unprocessable("INVALID_RECORD", format!("the body is no CSV: {detail}; nothing was appended"), remedy)
        .with("index", 0)
        .with("field", "")
}

/// A field of a line, as it stands there.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell<'a> {
    Bare(&'a str),
    /// What stands between the quotes.
    Quoted(&'a str),
}

impl<'a> Cell<'a> {
    fn is_nothing(&self) -> bool {
        *self == Cell::Bare("")
    }

    fn text(&self) -> std::borrow::Cow<'a, str> {
        match self {
            Cell::Bare(text) => (*text).into(),
            Cell::Quoted(text) if text.contains('"') => text.replace("\"\"", "\"").into(),
            Cell::Quoted(text) => (*text).into(),
        }
    }
}

/// The lines of CSV that hold something, each with its fields.
struct Lines<'a> {
    text: &'a str,
    line: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Vec<Cell<'a>>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let blank = self.text.strip_prefix('\n').or_else(|| self.text.strip_prefix("\r\n"));
            match blank {
                Some(rest) => (self.text, self.line) = (rest, self.line + 1),
                None => break,
            }
        }
        if self.text.is_empty() {
            return None;
        }
        self.line += 1;
        let mut cells = Vec::new();
        loop {
            match cell(self.text) {
                Ok((cell, rest)) => {
                    cells.push(cell);
                    match rest.strip_prefix(',') {
                        Some(rest) => self.text = rest,
                        None => {
                            self.text = rest.strip_prefix('\r').unwrap_or(rest);
                            self.text = self.text.strip_prefix('\n').unwrap_or(self.text);
                            return Some(Ok(cells));
                        }
                    }
                }
                Err(detail) => {
                    // What follows a broken quote cannot be told apart.
                    self.text = "";
                    return Some(Err(format!("line {}: {detail}", self.line)));
                }
            }
        }
    }
}

/// The first cell, and what follows it.
fn cell(text: &str) -> Result<(Cell<'_>, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', '\n']).unwrap_or(text.len());
        let (cell, rest) = text.split_at(end);
        return Ok((
            Cell::Bare(if rest.starts_with('\n') || rest.is_empty() { cell.trim_end_matches('\r') } else { cell }),
            rest,
        ));
    };
    let mut at = 0;
    loop {
        let end = at + quoted[at..].find('"').ok_or("a quoted field does not end")?;
        let rest = &quoted[end + 1..];
        if rest.starts_with('"') {
            at = end + 2;
            continue;
        }
        let ends = rest.is_empty() || rest.starts_with([',', '\n']) || rest.starts_with("\r\n");
        return match ends {
            true => Ok((Cell::Quoted(&quoted[..end]), rest)),
            false => Err("text follows a quoted field; write a quote inside of a quoted field twice".to_owned()),
        };
    }
}
