//! Whether readers of an alias find in a new version what they find in the old one.

use rekap_tables::TableSchema;

/// What of `old` a reader would miss in `new`, if anything. Columns may be added.
pub(crate) fn breaks(old: &TableSchema, new: &TableSchema) -> Option<String> {
    for column in old.columns().fields() {
        match new.columns().field_with_name(column.name()) {
            Err(_) => return Some(format!("column `{}` is gone", column.name())),
            Ok(now) if now.data_type() != column.data_type() => {
                let (name, was, is) = (column.name(), column.data_type(), now.data_type());
                return Some(format!("column `{name}` was {was} and is {is}"));
            }
            Ok(_) => {}
        }
    }
    let (was, is) = (key_names(old), key_names(new));
    (was != is).then(|| format!("the key was ({}) and is ({})", was.join(", "), is.join(", ")))
}

fn key_names(schema: &TableSchema) -> Vec<&str> {
    schema.key().iter().map(|i| schema.columns().field(*i).name().as_str()).collect()
}
