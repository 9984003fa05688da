//! Rows as the server sends them: objects whose members keep their order, which is the table's own.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::out::{Out, cell};

/// A page of rows, whatever the list is called.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    #[serde(alias = "dead_letters")]
    rows: Vec<Map<String, Value>>,
    next_cursor: Option<String>,
}

impl Page {
    /// Reads what the server answered.
    pub(crate) fn read(json: &str) -> Result<Self, Failure> {
        serde_json::from_str(json).map_err(|e| Failure::Failed(format!("the server answered no rows: {e}")))
    }

    /// The rows as a table; the first one names the columns.
    pub(crate) fn show(&self, out: &Out, indent: &str) -> Result<(), Failure> {
        let Some(first) = self.rows.first() else { return out.line(format!("{indent}no rows")) };
        let head: Vec<&str> = first.keys().map(String::as_str).collect();
        let cells: Vec<_> = self.rows.iter().map(|row| row.values().map(cell).collect()).collect();
        out.table(&head, &cells, indent)?;
        if self.next_cursor.is_some() { out.line(format!("{indent}… there are more")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_the_order_of_the_table() {
        let page = Page::read(r#"{"rows":[{"minute":1,"currency":"EUR","avg":2.5}]}"#).unwrap();
        let names: Vec<_> = page.rows[0].keys().map(String::as_str).collect();
        assert_eq!(names, ["minute", "currency", "avg"]);
    }
}
