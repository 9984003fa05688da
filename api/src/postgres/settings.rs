//! `SET` and `SHOW`: what a session remembers of what its client says.
//!
//! Everything is remembered and shown again; an effect have `TimeZone`, `DateStyle`, `IntervalStyle`, `bytea_output` and
//! `extra_float_digits` (how values are written) and `statement_timeout`. A session's settings end with it. Pure.

use std::collections::HashMap;
use std::time::Duration;

use datafusion_postgres::pgwire::error::PgWireResult;

use super::error::error;

/// The version of Postgres whose dialect, catalog and messages clients find here.
pub(super) const SERVER_VERSION: &str = "16.6";

/// The settings that there are, with what they say where a session says nothing.
const DEFAULTS: [(&str, &str); 33] = [
    ("application_name", ""),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("datestyle", "ISO, YMD"),
    ("default_table_access_method", "heap"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "on"),
    ("extra_float_digits", "1"),
    ("idle_in_transaction_session_timeout", "0"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("intervalstyle", "postgres"),
    ("is_superuser", "off"),
    ("jit", "off"),
    ("lc_collate", "C"),
    ("lc_ctype", "C"),
    ("lc_messages", "C"),
    ("lc_monetary", "C"),
    ("lock_timeout", "0"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("scram_iterations", "4096"),
    ("row_security", "on"),
    ("search_path", "live"),
    ("server_encoding", "UTF8"),
    ("server_version", SERVER_VERSION),
    ("server_version_num", "160006"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("timezone", "UTC"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "on"),
];

/// The settings whose values a client is told without asking, as it expects to read their names.
const REPORTED: [&str; 15] = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "scram_iterations",
    "search_path",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

/// The settings that change what a client gets.
const EFFECTIVE: [&str; 7] = [
    "bytea_output",
    "client_encoding",
    "datestyle",
    "extra_float_digits",
    "intervalstyle",
    "statement_timeout",
    "timezone",
];

/// What a session has said, by lower-case name. Shared with the protocol, which writes values by it.
type Said = HashMap<String, String>;

/// Names as they are looked up: clients write them in any case at their start-up.
pub(super) fn lower_names(said: &mut Said) {
    *said = said.drain().map(|(name, value)| (name.to_lowercase(), value)).collect();
}

/// The value of a setting; `None` when there is none of that name.
pub(super) fn get<'a>(said: &'a Said, name: &str) -> Option<&'a str> {
    let name = name.to_lowercase();
    if name == "session_authorization" {
        return said.get("user").map(String::as_str);
    }
    said.get(&name).map(String::as_str).or_else(|| default(&name))
}

/// The value of a setting of which a session says nothing.
pub(super) fn default(name: &str) -> Option<&'static str> {
    DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// True for a setting that changes what a client gets.
pub(super) fn has_effect(name: &str) -> bool {
    EFFECTIVE.iter().any(|effective| effective.eq_ignore_ascii_case(name))
}

/// All settings that there are, with their values.
pub(super) fn all(said: &Said) -> impl Iterator<Item = (&'static str, &str)> {
    DEFAULTS.iter().map(|(name, value)| (*name, said.get(*name).map_or(*value, String::as_str)))
}

/// Remembers a value; `None` goes back to the default. Gives the name and value that the client is to be told, if it is.
pub(super) fn set(said: &mut Said, name: &str, value: Option<String>) -> PgWireResult<Option<(String, String)>> {
    let name = name.to_lowercase();
    match value {
        Some(value) => {
            check(&name, &value)?;
            said.insert(name.clone(), value);
        }
        None => drop(said.remove(&name)),
    }
    let reported = REPORTED.iter().find(|reported| reported.eq_ignore_ascii_case(&name));
    Ok(reported.and_then(|reported| Some(((*reported).to_owned(), get(said, &name)?.to_owned()))))
}

/// Forgets all that a session has said but who it is.
pub(super) fn reset(said: &mut Said) {
    said.retain(|name, _| ["user", "database", "application_name"].contains(&name.as_str()));
}

fn check(name: &str, value: &str) -> PgWireResult<()> {
    let is_utf8 = || ["utf8", "utf-8", "unicode", "sql_ascii"].contains(&value.to_lowercase().as_str());
    if name == "client_encoding" && !is_utf8() {
        let message = format!("invalid value for parameter \"client_encoding\": \"{value}\"");
        return Err(error("22023", message, "text is UTF8 here"));
    }
    if name == "statement_timeout" && duration(value).is_none() {
        let message = format!("invalid value for parameter \"statement_timeout\": \"{value}\"");
        return Err(error("22023", message, "a number of milliseconds, or such as 30s"));
    }
    Ok(())
}

/// The session's own bound on a statement's time.
pub(super) fn statement_timeout(said: &Said) -> Option<Duration> {
    duration(get(said, "statement_timeout")?).filter(|timeout| !timeout.is_zero())
}

/// Reads `5000`, `5000ms`, `30s`, `2min`, `1h`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit_ms = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(unit_ms)?))
}

/// What a client is told at its start-up.
pub(super) fn reported(said: &Said) -> HashMap<String, String> {
    let told = |name: &&str| Some(((*name).to_owned(), get(said, name)?.to_owned()));
    REPORTED.iter().filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_remembered_until_it_is_reset_and_told_where_clients_expect_it() {
        let mut said = Said::from([("User".to_owned(), "ann".to_owned())]);
        lower_names(&mut said);
        assert_eq!(get(&said, "Search_Path"), Some("live"));
        let told = set(&mut said, "timezone", Some("Europe/Berlin".to_owned())).unwrap();
        assert_eq!(told, Some(("TimeZone".to_owned(), "Europe/Berlin".to_owned())));
        assert_eq!(set(&mut said, "work_mem", Some("4MB".to_owned())).unwrap(), None);
        assert_eq!(get(&said, "work_mem"), Some("4MB"));
        reset(&mut said);
        assert_eq!((get(&said, "TimeZone"), get(&said, "work_mem")), (Some("UTC"), None));
        assert_eq!(get(&said, "session_authorization"), Some("ann"));
    }

    #[test]
    fn a_value_that_would_have_a_wrong_effect_is_refused() {
        let mut said = Said::new();
        assert!(set(&mut said, "client_encoding", Some("LATIN1".to_owned())).is_err());
        assert!(set(&mut said, "statement_timeout", Some("soon".to_owned())).is_err());
        set(&mut said, "statement_timeout", Some("2min".to_owned())).unwrap();
        assert_eq!(statement_timeout(&said), Some(Duration::from_secs(120)));
        set(&mut said, "statement_timeout", Some("0".to_owned())).unwrap();
        assert_eq!(statement_timeout(&said), None);
    }
}
