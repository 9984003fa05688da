//! Names that only differ by case: one column for whoever reads the cold tier, where Delta tells names apart without it.

use std::collections::HashMap;

use crate::decode::{Column, ColumnType};

/// Two fields of one object, at any depth, whose names differ by case only, as `k` and `K` or `o.k` and `o.K`.
pub(crate) fn clash(columns: &[Column]) -> Option<(String, String)> {
    among("", columns)
}

fn among(within: &str, columns: &[Column]) -> Option<(String, String)> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let clash =
        columns.iter().find_map(|column| Some((seen.insert(column.name.to_lowercase(), &column.name)?, column)));
    if let Some((first, second)) = clash {
        return Some((format!("{within}{first}"), format!("{within}{}", second.name)));
    }
    columns.iter().find_map(|column| below(&format!("{within}{}.", column.name), &column.ty))
}

fn below(within: &str, ty: &ColumnType) -> Option<(String, String)> {
    match ty {
        ColumnType::Struct(columns) => among(within, columns),
        ColumnType::List(item) => below(within, item),
        _ => None,
    }
}
