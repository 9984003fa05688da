//! Rows as the server sends them: objects whose members keep their order, which is the table's own.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::failure::Failure;
use super::out::{Out, cell};

/// A page of rows, whatever the list is called.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    #[serde(alias = "dead_letters")]
    rows: Vec<Row>,
    next_cursor: Option<String>,
}

/// One row: columns and values in the table's order.
#[derive(Debug)]
struct Row(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(row: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Row;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Row, A::Error> {
                let mut row = Vec::new();
                while let Some(member) = members.next_entry()? {
                    row.push(member);
                }
                Ok(Row(row))
            }
        }
        row.deserialize_map(Members)
    }
}

impl Page {
    /// Reads what the server answered.
    pub(crate) fn read(json: &str) -> Result<Self, Failure> {
        serde_json::from_str(json).map_err(|e| Failure::Failed(format!("the server answered no rows: {e}")))
    }

    /// The rows as a table; the first one names the columns.
    pub(crate) fn show(&self, out: &Out, indent: &str) -> Result<(), Failure> {
        let Some(Row(first)) = self.rows.first() else { return out.line(format!("{indent}no rows")) };
        let head: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
        let cells: Vec<_> =
            self.rows.iter().map(|Row(row)| row.iter().map(|(_, value)| cell(value)).collect()).collect();
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
        let names: Vec<_> = page.rows[0].0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["minute", "currency", "avg"]);
    }
}
