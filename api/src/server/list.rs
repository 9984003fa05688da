//! Lists in pages: `limit` and `cursor` in, `next_cursor` out where there is more.

use axum::Json;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use rekap_tables::InvalidCursor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::Problem;

/// The number of items of a list when the request does not say.
const DEFAULT_LIMIT: usize = 100;
/// The greatest number of items of a list.
const MAX_LIMIT: usize = 10_000;

/// The paging of every list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// At most this many items, 100 when it is not said.
    #[param(minimum = 1, maximum = 10_000)]
    pub(super) limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// The size of a page: the default where nothing is asked.
pub(super) fn page_size(limit: Option<usize>) -> Result<usize, Problem> {
    match limit {
        None => Ok(DEFAULT_LIMIT),
        Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
        Some(limit) => Err(Problem::unprocessable(
            "INVALID_LIMIT",
            format!("limit={limit} is not between 1 and {MAX_LIMIT}"),
            if limit == 0 { "ask for at least one" } else { "ask for fewer and go on with `next_cursor`" },
        )),
    }
}

/// A page of a list that is in memory and in the order of its names; the cursor holds the name of the page's last item.
pub(super) fn page<T>(
    items: Vec<T>,
    query: &ListQuery,
    name: impl Fn(&T) -> &str,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let limit = page_size(query.limit)?;
    let cursor = query.cursor.as_deref().map(last_of).transpose()?;
    let after = |item: &T| cursor.as_deref().is_none_or(|cursor| name(item) > cursor);
    let mut rest = items.into_iter().filter(after);
    let page: Vec<T> = rest.by_ref().take(limit).collect();
    let next = rest.next().and(page.last()).map(|last| cursor_after(name(last)));
    Ok((page, next))
}

/// What a cursor of such a list begins with, before it is written as base64url: text that comes from elsewhere is no cursor.
const AFTER: &str = "after:";

/// The cursor of a page that ends with the item of that name.
fn cursor_after(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{AFTER}{name}"))
}

/// The name in a cursor.
fn last_of(cursor: &str) -> Result<String, Problem> {
    let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let name = text.as_deref().and_then(|text| text.strip_prefix(AFTER)).map(str::to_owned);
    name.ok_or_else(|| InvalidCursor(cursor.to_owned()).into())
}

/// `{name: items, next_cursor?}`.
pub(super) fn listing(name: &str, items: impl Serialize, next_cursor: Option<String>) -> Json<Value> {
    let mut body = json!({name: items});
    if let Some(next) = next_cursor {
        body["next_cursor"] = next.into();
    }
    Json(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_a_hole() {
        let all = ["a", "b", "c"];
        let ask =
            |cursor: Option<String>| page(all.to_vec(), &ListQuery { limit: Some(2), cursor }, |name| name).unwrap();
        let (first, next) = ask(None);
        assert_eq!((first, next.is_some()), (vec!["a", "b"], true));
        assert_eq!(ask(next), (vec!["c"], None));
    }

    #[test]
    fn a_cursor_that_no_page_gave_is_refused() {
        for cursor in ["garbage", "", "b", "Yg"] {
            let query = ListQuery { limit: None, cursor: Some(cursor.to_owned()) };
            assert_eq!(page(vec!["a"], &query, |name| name).unwrap_err().code, "INVALID_CURSOR", "{cursor}");
        }
    }

    #[test]
    fn a_page_of_nothing_or_of_too_much_is_refused() {
        for limit in [0, MAX_LIMIT + 1] {
            assert_eq!(page_size(Some(limit)).unwrap_err().code, "INVALID_LIMIT");
        }
    }
}
